//! Peers that do what no honest one does: after three such faults in a minute a peer is sent away for a minute.
//!
//! Nobody is punished for being slow, for being early or late, or for what he passes on from others after he could believe it. What
//! counts is a frame that is none, a message that does not decode, one in another's name, a signature that does not hold, more messages than
//! anybody has to say.

use libp2p::PeerId;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// A peer with so many faults
const FAULTS: u32 = 3;
/// in so short a time
const WINDOW: Duration = Duration::from_secs(60);
/// is sent away for so long.
const BAN: Duration = Duration::from_secs(60);

/// What is held against peers. Only admitted ones have entries.
#[derive(Debug, Default)]
pub(super) struct Conduct {
    faults: BTreeMap<PeerId, (u32, Instant)>,
    banned: BTreeMap<PeerId, Instant>,
    distrusted: BTreeSet<PeerId>,
}

impl Conduct {
    /// Counts a fault; true when the peer is to be sent away now.
    pub fn fault(&mut self, peer: PeerId, now: Instant) -> bool {
        if self.banned.contains_key(&peer) {
            return false;
        }
        let (count, since) = self.faults.entry(peer).or_insert((0, now));
        if now.duration_since(*since) > WINDOW {
            (*count, *since) = (0, now);
        }
        *count += 1;
        if *count < FAULTS {
            return false;
        }
        self.faults.remove(&peer);
        self.banned.insert(peer, now + BAN);
        true
    }

    /// Whether a peer is sent away.
    pub fn is_banned(&self, peer: &PeerId) -> bool {
        self.banned.contains_key(peer)
    }

    /// Those who may come back now.
    pub fn released(&mut self, now: Instant) -> Vec<PeerId> {
        self.banned.extract_if(.., |_, until| *until <= now).map(|(peer, _)| peer).collect()
    }

    /// A peer was caught lying about the network's state: nothing he says is heard as long as we run.
    pub fn distrust(&mut self, peer: PeerId) {
        self.distrusted.insert(peer);
    }

    /// Whether nothing he says is heard.
    pub fn is_distrusted(&self, peer: &PeerId) -> bool {
        self.distrusted.contains(peer)
    }

    /// Forgets who is not admitted any more, but not that he was sent away.
    pub fn retain(&mut self, is_admitted: impl Fn(&PeerId) -> bool) {
        self.faults.retain(|peer, _| is_admitted(peer));
        self.distrusted.retain(is_admitted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_faults_in_a_minute_send_a_peer_away_for_a_minute() {
        let (peer, start) = (PeerId::random(), Instant::now());
        let mut conduct = Conduct::default();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(!conduct.fault(peer, at(0)) && !conduct.fault(peer, at(1)));
        assert!(!conduct.fault(peer, at(62)), "the first ones are forgotten");
        assert!(!conduct.fault(peer, at(63)));
        assert!(conduct.fault(peer, at(64)) && conduct.is_banned(&peer));
        assert!(!conduct.fault(peer, at(64)), "he is sent away once");
        assert!(conduct.released(at(123)).is_empty());
        assert_eq!(conduct.released(at(124)), [peer]);
        assert!(!conduct.is_banned(&peer) && !conduct.fault(peer, at(125)));
    }
}
