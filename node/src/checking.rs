//! Checks the signatures of attestations beside the core, those of one statement together.
//!
//! Nothing waits for company: whatever has come while the last batch was checked is the next one, so that a lone attestation
//! is looked at when it comes, and many cost about as much as one. Both queues are bounded; what does not fit in, the core
//! checks itself, at its own pace.

use crate::keys::random;
use crate::network::Verdict;
use palisade_agreement::batch::{self, Checked};
use palisade_crypto::bls::PublicKey;
use palisade_types::attestation::Attestation;
use palisade_types::ids::ChainId;
use tokio::sync::mpsc;

/// How many attestations may wait.
pub const MAX_WAITING: usize = 512;
/// How many are checked together.
pub const MAX_BATCH: usize = 256;

/// An attestation to be checked under a key.
#[derive(Debug)]
pub struct Asked {
    /// What was heard.
    pub attestation: Attestation,
    /// Who is to have made it.
    pub key: PublicKey,
    /// What becomes of the message.
    pub verdict: Verdict,
}

/// What came of it.
#[derive(Debug)]
pub struct Told {
    /// What was heard.
    pub attestation: Attestation,
    /// Shows that the key made it; `None` when it did not.
    pub checked: Option<Checked>,
    /// As in [`Asked`].
    pub verdict: Verdict,
}

/// Checks until the core is gone.
pub async fn check(chain: ChainId, mut asked: mpsc::Receiver<Asked>, told: mpsc::Sender<Vec<Told>>) {
    loop {
        let mut batch = Vec::new();
        if asked.recv_many(&mut batch, MAX_BATCH).await == 0 {
            return;
        }
        let Ok(answers) = tokio::task::spawn_blocking(move || answer(&chain, batch)).await else {
            tracing::error!("checking attestations failed: the core goes on checking them itself");
            return;
        };
        if told.send(answers).await.is_err() {
            return;
        }
    }
}

fn answer(chain: &ChainId, batch: Vec<Asked>) -> Vec<Told> {
    let asked: Vec<_> = batch.iter().map(|one| (one.attestation, one.key)).collect();
    let checked = batch::check(chain, &asked, &random());
    let answers = batch.into_iter().zip(checked);
    answers.map(|(Asked { attestation, verdict, .. }, checked)| Told { attestation, checked, verdict }).collect()
}
