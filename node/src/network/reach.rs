//! When direct sends are enough, and when gossip must carry what we say.
//!
//! Who has a line to us hears us on it. A member without one may be gone, and then gossip would only cost the others; or he may be
//! cut off from us alone, and then somebody else passes gossip on to him, as he does to us. So for a while after a line broke we gossip,
//! and as long as we hear the member by gossip; otherwise one message every few seconds goes by gossip, so that two who are cut
//! off from each other find out. What the engine sends again goes by gossip in any case.

use libp2p::PeerId;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// For how long a member is taken to be there who was heard, by a line or by gossip.
const PRESENT: Duration = Duration::from_secs(60);
/// How often one message goes by gossip while somebody has no line.
const PROBE: Duration = Duration::from_secs(5);

/// When members without a line were heard last.
#[derive(Debug, Default)]
pub(super) struct Reach {
    heard: BTreeMap<PeerId, Instant>,
    probed: Option<Instant>,
}

impl Reach {
    /// A member was heard, or had a line until now.
    pub fn heard(&mut self, peer: PeerId, now: Instant) {
        self.heard.insert(peer, now);
    }

    /// Only these are members.
    pub fn retain(&mut self, is_member: impl Fn(&PeerId) -> bool) {
        self.heard.retain(|peer, _| is_member(peer));
    }

    /// Whether the next message must go by gossip, when these members have no line.
    pub fn needs_gossip(&mut self, cut_off: impl IntoIterator<Item = PeerId>, now: Instant) -> bool {
        let within = |since: Option<&Instant>, time| since.is_some_and(|since| now.duration_since(*since) < time);
        let mut is_complete = true;
        for peer in cut_off {
            is_complete = false;
            if within(self.heard.get(&peer), PRESENT) {
                return true;
            }
        }
        if is_complete || within(self.probed.as_ref(), PROBE) {
            return false;
        }
        self.probed = Some(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gossip_is_for_who_may_be_there_without_a_line() {
        let (peer, start) = (PeerId::random(), Instant::now());
        let mut reach = Reach::default();
        assert!(!reach.needs_gossip([], start), "everybody has a line");
        reach.heard(peer, start);
        assert!(reach.needs_gossip([peer], start + PRESENT / 2), "his line broke a moment ago");
        assert!(!reach.needs_gossip([], start + PRESENT / 2), "it is open again");
        let late = start + PRESENT;
        assert!(reach.needs_gossip([peer], late), "one message looks for him");
        assert!(!reach.needs_gossip([peer], late + PROBE / 2), "he seems to be gone");
        assert!(reach.needs_gossip([peer], late + PROBE));
        reach.heard(peer, late + PROBE);
        assert!(reach.needs_gossip([peer], late + PROBE * 2), "somebody passed on what he said");
    }
}
