//! Asks peers for the attestations of a slot that stays without a quorum: what gossip dropped is said again only until those who
//! said it know a certificate.
//!
//! One peer after the other is asked, at most so many, until the quorum is there. An answer is bounded, and believed as far as
//! its signatures hold, which are checked together and beside the core.

use crate::elsewhere::Question;
use crate::handle::{CoreHandle, Stopped};
use crate::keys::random;
use crate::network::Network;
use palisade_agreement::batch;
use palisade_types::attestation::Attestation;
use palisade_types::canonical::{Canonical, List};
use palisade_types::certificate::MAX_MEMBERS;
use palisade_types::ids::{ChainId, Domain};
use tokio::sync::mpsc;

/// How many slots may wait to be asked for.
pub const MAX_WAITING: usize = 8;
/// How many peers are asked for one slot.
const MAX_PEERS: usize = 16;

/// What a peer knows of one slot.
pub type Attested = List<Attestation, MAX_MEMBERS>;

/// Asks until the core is gone.
pub async fn pull(network: Network, core: CoreHandle, chain: ChainId, mut wanted: mpsc::Receiver<(Domain, u64)>) {
    while let Some((domain, slot)) = wanted.recv().await {
        tracing::debug!(slot, "asking peers who attested");
        for peer in network.peers().into_keys().take(MAX_PEERS) {
            let question = Question::Attested(domain, slot).to_bytes();
            let Ok(answer) = network.ask(peer, question.into()).await else { continue };
            let Ok(said) = Attested::from_bytes(&answer) else {
                tracing::debug!(%peer, "an answer about a slot cannot be read");
                continue;
            };
            match take(&core, chain, (domain, slot), said).await {
                Ok(true) => break,
                Ok(false) => {}
                Err(Stopped) => return,
            }
        }
    }
}

/// Counts what is new and holds; whether that made the quorum.
async fn take(
    core: &CoreHandle,
    chain: ChainId,
    (domain, slot): (Domain, u64),
    said: Attested,
) -> Result<bool, Stopped> {
    let asked = core.read(move |core| {
        let of_slot = said.iter().filter(|said| (said.statement.domain, said.statement.slot) == (domain, slot));
        of_slot.filter_map(|said| Some((*said, core.key_for(said)?))).collect::<Vec<_>>()
    });
    let asked = asked.await?;
    let checked = tokio::task::spawn_blocking(move || batch::check(&chain, &asked, &random())).await;
    core.hear_checked(checked.unwrap_or_default().into_iter().flatten().collect()).await?;
    core.read(move |core| core.is_certified(slot)).await
}
