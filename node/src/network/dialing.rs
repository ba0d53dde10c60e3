//! When to try a peer again: at once the first time, then after twice as long each time, up to a ceiling.

use libp2p::{Multiaddr, PeerId};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The first wait after a failure.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The longest wait: peers are few and known, and a network that is whole again must notice.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The peers we keep calling. One entry for each address in the config, so the list cannot grow from outside.
#[derive(Debug, Default)]
pub(super) struct Dialing {
    calls: BTreeMap<PeerId, Call>,
}

#[derive(Debug)]
struct Call {
    addresses: Vec<Multiaddr>,
    connected: bool,
    wait: Duration,
    next: Option<Instant>,
}

impl Dialing {
    /// Keeps calling `peer` at `address`, among the addresses given before.
    pub fn keep(&mut self, peer: PeerId, address: Multiaddr) {
        let call = self.calls.entry(peer).or_insert(Call {
            addresses: Vec::new(),
            connected: false,
            wait: FIRST_WAIT,
            next: None,
        });
        if !call.addresses.contains(&address) {
            call.addresses.push(address);
        }
    }

    /// The peers to call now; each is then left alone for its wait, which doubles.
    pub fn due(&mut self, now: Instant) -> Vec<(PeerId, Vec<Multiaddr>)> {
        let mut due = Vec::new();
        for (peer, call) in &mut self.calls {
            if !call.connected && call.next.is_none_or(|next| next <= now) {
                call.next = Some(now + call.wait);
                call.wait = call.wait.saturating_mul(2).min(LONGEST_WAIT);
                due.push((*peer, call.addresses.clone()));
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
