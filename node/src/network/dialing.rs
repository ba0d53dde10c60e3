//! When to try a peer again: at once the first time, then after twice as long each time, up to a ceiling.

use libp2p::{Multiaddr, PeerId};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The first wait after a failure.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The longest wait: peers are few and known, and a network that is whole again must notice.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The peers we keep calling: those in the config, and members whom others told us of, each with a few addresses.
#[derive(Debug, Default)]
pub(super) struct Dialing {
    calls: BTreeMap<PeerId, Call>,
}

#[derive(Debug, Default)]
struct Call {
    addresses: Vec<Multiaddr>,
    /// Where others say it is; the newest word of it.
    hearsay: Vec<Multiaddr>,
    connected: bool,
    /// Zero before the first call.
    wait: Duration,
    next: Option<Instant>,
}

impl Dialing {
    /// Keeps calling `peer` at `address`, among the addresses given before.
    pub fn keep(&mut self, peer: PeerId, address: Multiaddr) {
        let call = self.calls.entry(peer).or_default();
        if !call.addresses.contains(&address) {
            call.addresses.push(address);
        }
    }

    /// Calls `peer` where others say it is too, as long as it is a member.
    pub fn found(&mut self, peer: PeerId, hearsay: Vec<Multiaddr>) {
        self.calls.entry(peer).or_default().hearsay = hearsay;
    }

    /// Forgets what was said of those who are no members.
    pub fn retain(&mut self, is_member: impl Fn(&PeerId) -> bool) {
        for (_, call) in self.calls.iter_mut().filter(|(peer, _)| !is_member(peer)) {
            call.hearsay.clear();
        }
        self.calls.retain(|_, call| !call.addresses.is_empty() || !call.hearsay.is_empty());
    }

    /// The peers to call now; each is then left alone for its wait, which doubles.
    pub fn due(&mut self, now: Instant) -> Vec<(PeerId, Vec<Multiaddr>)> {
        let mut due = Vec::new();
        for (peer, call) in &mut self.calls {
            if !call.connected && call.next.is_none_or(|next| next <= now) {
                call.wait = call.wait.max(FIRST_WAIT);
                call.next = Some(now + call.wait);
                call.wait = call.wait.saturating_mul(2).min(LONGEST_WAIT);
                due.push((*peer, [&call.addresses[..], &call.hearsay[..]].concat()));
            }
        }
        due
    }

    /// `peer` is connected: no more calls.
    pub fn connected(&mut self, peer: &PeerId) {
        if let Some(call) = self.calls.get_mut(peer) {
            call.connected = true;
            call.wait = FIRST_WAIT;
        }
    }

    /// The last connection to `peer` is gone: call again after the first wait.
    pub fn disconnected(&mut self, peer: &PeerId, now: Instant) {
        if let Some(call) = self.calls.get_mut(peer) {
            call.connected = false;
            call.next = Some(now + FIRST_WAIT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_member_is_forgotten_with_his_seat() {
        let (named, heard_of, start) = (PeerId::random(), PeerId::random(), Instant::now());
        let [at_home, said]: [Multiaddr; 2] =
            ["/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/2"].map(|one| one.parse().unwrap());
        let mut dialing = Dialing::default();
        dialing.keep(named, at_home.clone());
        dialing.found(named, vec![said.clone()]);
        dialing.found(heard_of, vec![at_home.clone()]);
        dialing.found(heard_of, vec![said.clone()]);
        let due: BTreeMap<_, _> = dialing.due(start).into_iter().collect();
        assert_eq!(due, [(named, vec![at_home.clone(), said.clone()]), (heard_of, vec![said])].into());
        dialing.retain(|_| false);
        assert_eq!(dialing.due(start + LONGEST_WAIT), [(named, vec![at_home])]);
    }

    #[test]
    fn a_silent_peer_is_called_ever_more_rarely_but_never_given_up() {
        let (peer, start) = (PeerId::random(), Instant::now());
        let mut dialing = Dialing::default();
        dialing.keep(peer, "/ip4/127.0.0.1/tcp/1".parse().unwrap());
        assert_eq!(dialing.due(start).len(), 1);
        assert!(dialing.due(start).is_empty());
        assert_eq!(dialing.due(start + FIRST_WAIT).len(), 1);
        assert!(dialing.due(start + FIRST_WAIT * 2).is_empty());
        let mut now = start;
        for _ in 0..20 {
            now += LONGEST_WAIT;
            assert_eq!(dialing.due(now).len(), 1);
        }
        dialing.connected(&peer);
        assert!(dialing.due(now + LONGEST_WAIT * 2).is_empty());
        dialing.disconnected(&peer, now);
        assert!(dialing.due(now).is_empty());
        assert_eq!(dialing.due(now + FIRST_WAIT).len(), 1);
    }
}
