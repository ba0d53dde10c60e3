//! Who may connect, and who may publish.
//!
//! Every registered operator follows, also one who is joining, jailed or convicted; only the committee publishes. But for promises
//! of nonces: without one in the ledger his bitcoin does not count, and where bitcoin stands alone he would never get a seat.
//! A peer nobody vouches for is not even let in. Peer ids come from genesis and from the registry, where the
//! operator's account signs the binding; followers without a seat (watchtowers) come from the operator's own config.

use super::Topic;
use libp2p::PeerId;
use palisade_types::ids::OperatorId;
use std::collections::{BTreeMap, BTreeSet};

/// What one peer may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whose node it is; `None` for a follower that belongs to no operator.
    pub operator: Option<OperatorId>,
    /// Whether every message that it originates is taken and passed on.
    pub publishes: bool,
    /// Of the committee's power, in hundredths, rounded down; zero for everybody else.
    pub share: u8,
}

/// Every peer anybody vouches for. At most [`Admission::MAX`] of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admission {
    peers: BTreeMap<PeerId, Standing>,
}

impl Admission {
    /// More peers than this are not let in: the list comes from a registry that anybody may join for the price of a transaction.
    pub const MAX: usize = 1024;

    /// Takes the list, publishers first, the others as they come, as many as there may be. Who comes first keeps a peer that several
    /// claim, and a publisher before everybody else: no peer's own key signs whose it is, so that anybody may claim another's.
    #[must_use]
    pub fn new(peers: impl IntoIterator<Item = (PeerId, Standing)>) -> Self {
        let mut list: Vec<_> = peers.into_iter().collect();
        list.sort_by_key(|(_, standing)| !standing.publishes);
        let mut peers = BTreeMap::new();
        for (peer, standing) in list {
            if peers.len() < Self::MAX {
                peers.entry(peer).or_insert(standing);
            }
        }
        Self { peers }
    }

    /// The list, and whom our own configuration names: they follow, whatever the registry says, and beyond the bound.
    #[must_use]
    pub fn with_named<'a>(mut self, named: impl IntoIterator<Item = &'a PeerId>) -> Self {
        for peer in named {
            self.peers.entry(*peer).or_default();
        }
        self
    }

    /// The list without one peer.
    #[must_use]
    pub fn without(mut self, peer: &PeerId) -> Self {
        self.peers.remove(peer);
        self
    }

    /// What `peer` may do; `None` when nobody vouches for it.
    #[must_use]
    pub fn standing(&self, peer: &PeerId) -> Option<Standing> {
        self.peers.get(peer).copied()
    }

    /// Whether `peer` may originate messages of a topic.
    #[must_use]
    pub fn publishes(&self, peer: &PeerId, topic: Topic) -> bool {
        self.standing(peer).is_some_and(|standing| {
            standing.publishes || (topic == Topic::Registrations && standing.operator.is_some())
        })
    }

    /// Everybody on the list.
    pub fn peers(&self) -> impl Iterator<Item = &PeerId> {
        self.peers.keys()
    }

    /// Everybody who publishes everything: the committee.
    pub fn publishers(&self) -> impl Iterator<Item = &PeerId> {
        self.peers.iter().filter(|(_, standing)| standing.publishes).map(|(peer, _)| peer)
    }

    /// The operators behind `connected`.
    #[must_use]
    pub fn operators<'a>(&self, connected: impl IntoIterator<Item = &'a PeerId>) -> BTreeSet<OperatorId> {
        connected.into_iter().filter_map(|peer| self.standing(peer)?.operator).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn publishers_stay_when_the_list_is_too_long() {
        let follower = Standing::default();
        let publisher = Standing { operator: Some(OperatorId::new([7; 20])), publishes: true, share: 100 };
        let seat = PeerId::random();
        let crowd = (0..Admission::MAX).map(|_| (PeerId::random(), follower));
        let admission = Admission::new(crowd.chain([(seat, publisher)]));
        assert_eq!(admission.peers().count(), Admission::MAX);
        assert!(Topic::ALL.iter().all(|topic| admission.publishes(&seat, *topic)));
        assert_eq!(admission.operators([&seat]).len(), 1);
        assert_eq!(admission.standing(&PeerId::random()), None);
        // Whom we name ourselves stays, and is no more than he is.
        let tower = PeerId::random();
        let admission = admission.with_named([&tower, &seat]);
        assert_eq!((admission.standing(&tower), admission.standing(&seat)), (Some(follower), Some(publisher)));
    }

    #[test]
    fn r12_who_claims_anothers_peer_takes_nothing_from_him() {
        let (peer, other) = (PeerId::random(), PeerId::random());
        let member = |id| Standing { operator: Some(OperatorId::new([id; 20])), publishes: true, share: 25 };
        let stranger = Standing { operator: Some(OperatorId::new([9; 20])), ..Standing::default() };
        for list in [[(peer, member(1)), (peer, stranger)], [(peer, stranger), (peer, member(1))]] {
            assert_eq!(Admission::new(list).standing(&peer), Some(member(1)));
        }
        let two = Admission::new([(peer, member(2)), (other, member(3)), (peer, member(1))]);
        assert_eq!((two.standing(&peer), two.standing(&other)), (Some(member(2)), Some(member(3))), "who came first");
    }

    #[test]
    fn an_operator_without_a_seat_publishes_his_promises_and_nothing_else() {
        let (joining, watchtower) = (PeerId::random(), PeerId::random());
        let operator = Standing { operator: Some(OperatorId::new([7; 20])), ..Standing::default() };
        let admission = Admission::new([(joining, operator), (watchtower, Standing::default())]);
        for topic in Topic::ALL {
            assert_eq!(admission.publishes(&joining, topic), topic == Topic::Registrations, "{}", topic.name());
            assert!(!admission.publishes(&watchtower, topic) && !admission.publishes(&PeerId::random(), topic));
        }
    }
}
