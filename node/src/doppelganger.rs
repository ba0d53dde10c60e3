//! Asks every peer what this operator said last (R20). Gossip never repeats to a peer what it made itself, so a copy of a machine,
//! being the same peer to everybody, would not hear its twin; and what a doppelganger signs is met long before it is in a block.
//!
//! The answers are believed as far as their signatures hold: what a peer leaves out is a doppelganger that it does not show.

use crate::elsewhere::Question;
use crate::handle::CoreHandle;
use crate::message::Message;
use crate::network::Network;
use palisade_types::canonical::{Canonical, List};
use palisade_types::ids::OperatorId;
use std::time::{Duration, Instant};
use tokio::time::MissedTickBehavior;

/// How often peers are asked while we only listen,
const ASK_FIRST: Duration = Duration::from_millis(500);
/// and how often afterwards.
const ASK: Duration = Duration::from_secs(20);

/// What one operator said last, as far as a peer knows: an attestation and a vote.
pub type SaidLast = List<Message, 2>;

/// Asks for as long as the node runs; every half second in the first `listen`.
pub async fn listen(network: Network, core: CoreHandle, operator: OperatorId, listen: Duration) {
    let (began, question) = (Instant::now(), Question::Said(operator).to_bytes());
    let mut pace = tokio::time::interval(ASK_FIRST);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_first = true;
    loop {
        pace.tick().await;
        for peer in network.peers().into_keys() {
            let Ok(answer) = network.ask(peer, question.clone().into()).await else { continue };
            let Ok(said) = SaidLast::from_bytes(&answer) else { continue };
            if core.hear_own(said.to_vec()).await.is_err() {
                return;
            }
        }
        if is_first && began.elapsed() >= listen {
            is_first = false;
            pace = tokio::time::interval(ASK);
            pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
    }
}
