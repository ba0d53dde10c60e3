//! How far each chain is agreed, and what our own followers saw beyond it.
//!
//! An observation is a function of the chain and of what the parent state already knows, so it is named by its
//! [`Gap`]: the two anchors and the hash of that knowledge. A voter looks a proposed gap up here; when it is not
//! there yet the follower is asked, and the vote waits as long as the engine lets it.

use palisade_crypto::hash::Tag;
use palisade_types::canonical::Canonical;
use palisade_types::chain::{ChainKind, ChainPoint, Watch};
use palisade_types::ids::Hash;
use palisade_types::observation::{Fact, Observation};
use palisade_types::suspension::Suspended;
use palisade_types::units::Millis;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// How many own final points are remembered for a chain.
const TIPS: usize = 64;
/// How many own observations are remembered for a chain.
const OBSERVATIONS: usize = 64;
/// For how long a point must have been final for us before we propose it (R31): others need time to see it too.
pub const SETTLED: Millis = Millis::new(2_000);

/// Names an observation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gap {
    /// Of which chain.
    pub chain: ChainKind,
    /// The parent state's anchor.
    pub after: ChainPoint,
    /// The new anchor.
    pub upto: ChainPoint,
    /// What the parent state knows, hashed: [`Known::hash`].
    pub known: Hash,
}

/// What a parent state knows of one chain, with its hash.
#[derive(Clone, Debug)]
pub struct Known {
    /// The rows.
    pub watch: Arc<Watch>,
    /// Their hash.
    pub hash: Hash,
}

impl Known {
    /// Hashes `watch` once.
    #[must_use]
    pub fn new(watch: Watch) -> Self {
        let mut bytes = Vec::new();
        for operator in watch.operators.values() {
            operator.id.write(&mut bytes);
            operator.keys.write(&mut bytes);
        }
        for (id, position) in &watch.positions {
            id.write(&mut bytes);
            position.write(&mut bytes);
        }
        for (id, vault) in &watch.vaults {
            id.write(&mut bytes);
            vault.status.write(&mut bytes);
            vault.since.write(&mut bytes);
            // The same vault may be registered again with a block: then other facts become true of it.
            vault.registered.write(&mut bytes);
            vault.registration.inclusion.write(&mut bytes);
        }
        watch.fee_rate.write(&mut bytes);
        for (source, quote) in &watch.prices {
            source.write(&mut bytes);
            quote.write(&mut bytes);
        }
        for (id, like) in &watch.listings {
            id.write(&mut bytes);
            like.write(&mut bytes);
        }
        for point in &watch.older {
            point.write(&mut bytes);
        }
        Self { watch: Arc::new(watch), hash: Hash::new(Tag::Peer.hash(&[&bytes])) }
    }
}

/// What a follower is asked to observe.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// What it is.
    pub gap: Gap,
    /// What the parent state knows.
    pub watch: Arc<Watch>,
}

/// One chain as our own follower sees it.
#[derive(Clone, Debug, Default)]
struct View {
    tips: VecDeque<(ChainPoint, Millis)>,
    seen: BTreeMap<Gap, Vec<Fact>>,
    order: VecDeque<Gap>,
    asked: BTreeSet<Gap>,
    /// An agreed anchor that is not on our chain, though our chain is deep past it, and since when we know.
    gone: Option<(ChainPoint, Millis)>,
}

/// Our own view of every chain.
#[derive(Clone, Debug, Default)]
pub struct Anchors {
    views: BTreeMap<ChainKind, View>,
}

/// How a proposed observation compares with our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    /// The same, fact by fact.
    Same,
    /// Something else: we prevote nil and say so loudly.
    Different,
    /// Our follower has not been there.
    Unknown,
}

impl Anchors {
    /// Our follower stands at `tip`. True when that is news.
    pub fn stand(&mut self, chain: ChainKind, tip: ChainPoint, now: Millis) -> bool {
        let view = self.views.entry(chain).or_default();
        if view.tips.back().is_some_and(|(newest, _)| newest.number >= tip.number) {
            return false;
        }
        view.tips.push_back((tip, now));
        if view.tips.len() > TIPS {
            view.tips.pop_front();
        }
        true
    }

    /// Our newest final point of `chain`.
    #[must_use]
    pub fn tip(&self, chain: ChainKind) -> Option<ChainPoint> {
        Some(self.views.get(&chain)?.tips.back()?.0)
    }

    /// Whether our follower contradicts that `point` is on the chain: it stood at the same number at another hash.
    #[must_use]
    pub fn contradicts(&self, chain: ChainKind, point: &ChainPoint) -> bool {
        self.views
            .get(&chain)
            .is_some_and(|view| view.tips.iter().any(|(own, _)| own.number == point.number && own.hash != point.hash))
    }

    /// Asks for `gap` unless it was asked or seen before.
    pub fn want(&mut self, gap: Gap, known: &Known) -> Option<Wanted> {
        let view = self.views.entry(gap.chain).or_default();
        (!view.seen.contains_key(&gap) && view.asked.insert(gap)).then(|| Wanted { gap, watch: known.watch.clone() })
    }

    /// The follower could not tell; it may be asked again.
    pub fn unanswered(&mut self, gap: &Gap) {
        if let Some(view) = self.views.get_mut(&gap.chain) {
            view.asked.remove(gap);
        }
    }

    /// Our own final points are no longer on our chain: what we saw of it is forgotten. An agreed anchor may still stand.
    pub fn rewound(&mut self, chain: ChainKind) {
        let view = self.views.entry(chain).or_default();
        *view = View { gone: view.gone, ..View::default() };
    }

    /// Our chain is deep past `anchor` and does not hold it (R30). What we saw before is of a chain that is gone. True when
    /// that is news.
    pub fn lost(&mut self, chain: ChainKind, anchor: ChainPoint, now: Millis) -> bool {
        let view = self.views.entry(chain).or_default();
        if view.gone.is_some_and(|(gone, _)| gone == anchor) {
            return false;
        }
        *view = View { gone: Some((anchor, now)), ..View::default() };
        true
    }

    /// Whether our own chain contradicts the agreed `anchor`.
    #[must_use]
    pub fn is_gone(&self, chain: ChainKind, anchor: &ChainPoint) -> bool {
        self.views.get(&chain).and_then(|view| view.gone).is_some_and(|(gone, _)| gone == *anchor)
    }

    /// The suspension that we may propose: others had time to see the same (R31).
    #[must_use]
    pub fn suspended(&self, chain: ChainKind, anchor: &ChainPoint, now: Millis) -> Option<Suspended> {
        let (gone, since) = self.views.get(&chain)?.gone?;
        let settled = since.get() + SETTLED.get() <= now.get();
        (gone == *anchor && settled).then_some(Suspended { chain, anchor: gone })
    }

    /// The follower's answer.
    pub fn saw(&mut self, gap: Gap, facts: Vec<Fact>) {
        let view = self.views.entry(gap.chain).or_default();
        view.asked.remove(&gap);
        let told_anew = matches!(facts.first(), Some(Fact::Rewound(_)));
        if !told_anew && view.gone.is_some_and(|(gone, _)| gone == gap.after) {
            view.gone = None; // the old chain is the heaviest again
        }
        if view.seen.insert(gap, facts).is_none() {
            view.order.push_back(gap);
        }
        while view.order.len() > OBSERVATIONS {
            if let Some(oldest) = view.order.pop_front() {
                view.seen.remove(&oldest);
            }
        }
    }

    /// Compares what somebody else says of `gap` with what we saw.
    #[must_use]
    pub fn compare(&self, gap: &Gap, facts: &[Fact]) -> Compared {
        match self.views.get(&gap.chain).and_then(|view| view.seen.get(gap)) {
            Some(own) if own == facts => Compared::Same,
            Some(_) => Compared::Different,
            None => Compared::Unknown,
        }
    }

    /// The newest observation from `after` that we may propose: settled (R31) and seen.
    #[must_use]
    pub fn proposable(&self, chain: ChainKind, after: &ChainPoint, known: &Hash, now: Millis) -> Option<Observation> {
        let view = self.views.get(&chain)?;
        let settled = |point: &ChainPoint| {
            view.tips.iter().any(|(tip, since)| tip.number >= point.number && since.get() + SETTLED.get() <= now.get())
        };
        let (gap, facts) = view
            .seen
            .iter()
            .filter(|(gap, _)| gap.after == *after && gap.known == *known && settled(&gap.upto))
            .max_by_key(|(gap, _)| (gap.upto.number, gap.upto.log))?;
        let facts = facts.clone().try_into().ok()?;
        Some(Observation { chain, after: gap.after, upto: gap.upto, facts })
    }

    /// Forgets what starts at another anchor than the agreed one.
    pub fn agreed(&mut self, chain: ChainKind, anchor: &ChainPoint) {
        if let Some(view) = self.views.get_mut(&chain) {
            view.asked.retain(|gap| gap.after == *anchor);
            view.gone = view.gone.filter(|(gone, _)| gone == anchor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use palisade_types::canonical::Reader;
    use palisade_types::ids::VaultId;
    use palisade_types::vault::{Inclusion, Vault, VaultRegistration, VaultStatus};

    const CHAIN: ChainKind = ChainKind::Ethereum;

    fn point(number: u64, hash: u8) -> ChainPoint {
        ChainPoint { number, hash: Hash::new([hash; 32]), log: u32::MAX, time: number * 2 }
    }

    fn gap(upto: u64) -> Gap {
        Gap { chain: CHAIN, after: point(1, 1), upto: point(upto, 1), known: Hash::ZERO }
    }

    #[test]
    fn r31_a_point_is_proposed_only_after_it_has_been_final_for_a_while() {
        let mut anchors = Anchors::default();
        anchors.stand(CHAIN, point(5, 1), Millis::new(10_000));
        anchors.saw(gap(5), vec![]);
        let proposable = |now| anchors.proposable(CHAIN, &point(1, 1), &Hash::ZERO, Millis::new(now));
        assert_eq!(proposable(11_999), None);
        assert_eq!(proposable(12_000).map(|observation| observation.upto.number), Some(5));
    }

    #[test]
    fn r30_another_block_at_a_number_where_we_stood_is_a_contradiction() {
        let mut anchors = Anchors::default();
        anchors.stand(CHAIN, point(5, 1), Millis::new(0));
        assert!(!anchors.contradicts(CHAIN, &point(5, 1)));
        assert!(anchors.contradicts(CHAIN, &point(5, 2)));
        assert!(!anchors.contradicts(CHAIN, &point(6, 2)));
    }

    #[test]
    fn r30_own_points_that_a_reorganisation_took_back_contradict_nobody() {
        let mut anchors = Anchors::default();
        anchors.stand(CHAIN, point(5, 1), Millis::new(0));
        anchors.saw(gap(5), vec![]);
        anchors.rewound(CHAIN);
        assert!(!anchors.contradicts(CHAIN, &point(5, 2)));
        assert_eq!(anchors.proposable(CHAIN, &point(1, 1), &Hash::ZERO, Millis::new(9_000)), None);
        assert!(anchors.stand(CHAIN, point(5, 2), Millis::new(1)), "it stands anew, also lower");
    }

    #[test]
    fn r30_a_lost_anchor_is_known_until_the_chain_comes_back_or_another_one_is_agreed_on() {
        let (anchor, mut anchors) = (point(1, 1), Anchors::default());
        anchors.stand(CHAIN, point(5, 1), Millis::new(0));
        anchors.saw(gap(5), vec![]);
        assert!(anchors.lost(CHAIN, anchor, Millis::new(1_000)));
        assert!(!anchors.lost(CHAIN, anchor, Millis::new(9_000)), "no news");
        assert!(anchors.is_gone(CHAIN, &anchor) && !anchors.is_gone(CHAIN, &point(1, 2)));
        assert_eq!((anchors.tip(CHAIN), anchors.compare(&gap(5), &[])), (None, Compared::Unknown), "of the old chain");
        assert_eq!(anchors.suspended(CHAIN, &anchor, Millis::new(2_999)), None, "others need time to see it");
        let suspended = Suspended { chain: CHAIN, anchor };
        assert_eq!(anchors.suspended(CHAIN, &anchor, Millis::new(3_000)), Some(suspended));
        assert_eq!(anchors.suspended(CHAIN, &point(1, 2), Millis::new(3_000)), None);
        anchors.saw(gap(6), vec![Fact::Rewound(point(0, 1))]);
        assert!(anchors.is_gone(CHAIN, &anchor), "what a suspended chain tells is no sign that it came back");
        let mut back = anchors.clone();
        back.saw(gap(5), vec![]);
        assert!(!back.is_gone(CHAIN, &anchor), "the old chain is the heaviest again");
        anchors.agreed(CHAIN, &anchor);
        assert!(anchors.is_gone(CHAIN, &anchor));
        anchors.agreed(CHAIN, &point(6, 2));
        assert!(!anchors.is_gone(CHAIN, &anchor));
    }

    #[test]
    fn r07_what_others_say_is_compared_fact_by_fact() {
        let mut anchors = Anchors::default();
        assert_eq!(anchors.compare(&gap(5), &[]), Compared::Unknown);
        anchors.saw(gap(5), vec![]);
        assert_eq!(anchors.compare(&gap(5), &[]), Compared::Same);
        let id = VaultId { txid: Hash::ZERO, output: 0 };
        let more = Fact::VaultConfirmed(palisade_types::observation::VaultConfirmed { id, height: 1 });
        assert_eq!(anchors.compare(&gap(5), &[more]), Compared::Different);
    }

    /// What was seen of a gap before a vault is registered again with its block is not what is seen after it: taken for one and
    /// the same question, honest operators would call each other's answers contradictions and fall silent.
    #[test]
    fn r31_a_vault_registered_again_with_its_block_is_another_question() {
        let mut registration = VaultRegistration::read(&mut Reader::new(&[0; 4096])).unwrap();
        let id = VaultId { txid: Hash::ZERO, output: 0 };
        let mut known = |inclusion| {
            registration.inclusion = inclusion;
            let (registration, status) = (registration.clone(), VaultStatus::Verified);
            let vault = Vault { id, registration, registered: 200, start: None, status, since: 200 };
            Known::new(Watch { vaults: BTreeMap::from([(id, vault)]), ..Watch::default() }).hash
        };
        let (ahead, again) = (known(None), known(Some(Inclusion::read(&mut Reader::new(&[0; 128])).unwrap())));
        assert_ne!(ahead, again);
        assert_eq!(known(None), ahead);
    }

    #[test]
    fn a_gap_is_asked_for_once_until_the_follower_gives_up() {
        let mut anchors = Anchors::default();
        let known = Known::new(Watch::default());
        assert!(anchors.want(gap(5), &known).is_some());
        assert!(anchors.want(gap(5), &known).is_none());
        anchors.unanswered(&gap(5));
        assert!(anchors.want(gap(5), &known).is_some());
    }
}
