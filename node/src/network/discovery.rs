//! How members find each other: whoever knows one of them asks where the others are (Kademlia, as libp2p has it).
//!
//! What is told is hearsay. It costs a call at most: only members are called, a peer id is the hash of the key with which whoever
//! answers must prove himself, and nothing is stored for anybody. Who belongs to no operator does not ask; others do not let him in.

use super::swarm::LEARNT_ADDRESSES;
use libp2p::kad::store::{MemoryStore, MemoryStoreConfig};
use libp2p::kad::{self, BucketInserts, Caching, GetClosestPeersError, QueryId, StoreInserts};
use libp2p::{Multiaddr, PeerId, StreamProtocol};
use std::time::{Duration, Instant};

/// Between two questions. One at a time is asked, about one member without a line, each in turn.
const PACE: Duration = Duration::from_secs(3);
/// How long a question may go from peer to peer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest answer: twenty peers with some addresses each.
const PACKET: usize = 16 << 10;

/// A table of peers that we have met and that belong to operators. It keeps no records: who wants to store one is not heard.
pub(super) fn behaviour(own: PeerId, protocol: StreamProtocol) -> kad::Behaviour<MemoryStore> {
    let mut config = kad::Config::new(protocol);
    config
        .set_query_timeout(PATIENCE)
        .set_max_packet_size(PACKET)
        .set_kbucket_inserts(BucketInserts::Manual)
        .set_record_filtering(StoreInserts::FilterBoth)
        .set_caching(Caching::Disabled)
        .set_periodic_bootstrap_interval(None)
        .set_replication_interval(None)
        .set_publication_interval(None)
        .set_provider_publication_interval(None);
    let nothing =
        MemoryStoreConfig { max_records: 0, max_value_bytes: 0, max_providers_per_key: 0, max_provided_keys: 0 };
    let mut table = kad::Behaviour::with_config(own, MemoryStore::with_config(own, nothing), config);
    table.set_mode(Some(kad::Mode::Server));
    table
}

/// What was asked last.
#[derive(Debug, Default)]
pub(super) struct Discovery {
    asked: Option<QueryId>,
    about: Option<PeerId>,
    when: Option<Instant>,
}

impl Discovery {
    /// The member to ask about now, of those `missing`, who come in order; `None` while there is nobody, or it is too soon.
    pub fn due(&mut self, missing: impl Iterator<Item = PeerId>, now: Instant) -> Option<PeerId> {
        if self.asked.is_some() || self.when.is_some_and(|when| now.duration_since(when) < PACE) {
            return None;
        }
        let missing: Vec<_> = missing.collect();
        let next = missing.iter().find(|peer| Some(**peer) > self.about).or_else(|| missing.first()).copied()?;
        (self.about, self.when) = (Some(next), Some(now));
        Some(next)
    }

    /// The question is on its way.
    pub fn asked(&mut self, id: QueryId) {
        self.asked = Some(id);
    }

    /// What the table tells: peers, each with a few addresses at which it may be.
    pub fn answered(&mut self, event: kad::Event) -> Vec<(PeerId, Vec<Multiaddr>)> {
        let kad::Event::OutboundQueryProgressed { id, result: kad::QueryResult::GetClosestPeers(result), step, .. } =
            event
        else {
            return Vec::new();
        };
        if step.last && self.asked == Some(id) {
            self.asked = None;
        }
        let peers = match result {
            Ok(found) => found.peers,
            Err(GetClosestPeersError::Timeout { peers, .. }) => peers,
        };
        let few = |peer: kad::PeerInfo| (peer.peer_id, peer.addrs.into_iter().take(LEARNT_ADDRESSES).collect());
        peers.into_iter().map(few).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_who_is_missing_is_asked_about_in_turn() {
        let mut peers: Vec<_> = (0..3).map(|_| PeerId::random()).collect();
        peers.sort();
        let mut discovery = Discovery::default();
        let mut now = Instant::now();
        assert_eq!(discovery.due([].into_iter(), now), None);
        for round in 0..6 {
            assert_eq!(discovery.due(peers.iter().copied(), now), Some(peers[round % 3]));
            assert_eq!(discovery.due(peers.iter().copied(), now), None, "too soon");
            now += PACE;
        }
        // Whoever was asked about last may be there now.
        assert_eq!(discovery.due(peers[..1].iter().copied(), now), Some(peers[0]));
    }
}
