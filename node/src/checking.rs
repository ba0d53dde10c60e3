//! Checks the signatures of attestations beside the core, those of one statement together.
//!
//! A check costs about the same for one attestation as for all of a slot, so it waits for as many as the quorum lacks, but never for
//! long; those that come after the quorum are needed by nobody in a hurry, and wait for each other longer. All bounds are in count and
//! time; what does not fit in, the core checks itself, at its own pace.

use crate::keys::random;
use crate::network::Verdict;
use palisade_agreement::batch::{self, Checked};
use palisade_crypto::bls::PublicKey;
use palisade_types::attestation::{Attestation, Statement};
use palisade_types::ids::ChainId;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// How many attestations may wait.
pub const MAX_WAITING: usize = 512;
/// How many are checked together, or wait for it.
pub const MAX_BATCH: usize = 256;
/// For how long one waits for those that would make a quorum with it,
const COMPANY: Duration = Duration::from_millis(10);
/// and for how long one that no quorum lacks.
const AFTERWARDS: Duration = Duration::from_millis(200);

/// An attestation to be checked under a key.
#[derive(Debug)]
pub struct Asked {
    /// What was heard.
    pub attestation: Attestation,
    /// Who is to have made it.
    pub key: PublicKey,
    /// How many the quorum lacks of its kind; zero when it is there.
    pub lacking: usize,
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
    let mut waiting: BTreeMap<Statement, Waiting> = BTreeMap::new();
    loop {
        let deadline = waiting.values().map(|waiting| waiting.until).min();
        tokio::select! {
            one = asked.recv() => match one {
                Some(one) => take(&mut waiting, one),
                None => return,
            },
            () = sleep_until(deadline) => {}
        }
        while let Ok(one) = asked.try_recv() {
            take(&mut waiting, one);
        }
        let batch: Vec<_> = due(&mut waiting, Instant::now());
        if batch.is_empty() {
            continue;
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

/// Attestations of one statement.
struct Waiting {
    asked: Vec<Asked>,
    /// So many make the quorum, as the last of them was told.
    lacking: usize,
    until: Instant,
}

fn take(waiting: &mut BTreeMap<Statement, Waiting>, one: Asked) {
    let patience = if one.lacking == 0 { AFTERWARDS } else { COMPANY };
    let until = Instant::now() + patience;
    let all = waiting.entry(one.attestation.statement);
    let all = all.or_insert(Waiting { asked: Vec::new(), lacking: one.lacking, until });
    all.lacking = one.lacking;
    all.asked.push(one);
}

/// Takes what is to be checked now: quorums, what has waited long enough, and everything when there is too much of it.
fn due(waiting: &mut BTreeMap<Statement, Waiting>, now: Instant) -> Vec<Asked> {
    let is_full = waiting.values().map(|one| one.asked.len()).sum::<usize>() >= MAX_BATCH;
    let is_due = |one: &Waiting| is_full || one.until <= now || (one.lacking > 0 && one.asked.len() >= one.lacking);
    waiting.extract_if(.., |_, one| is_due(one)).flat_map(|(_, one)| one.asked).collect()
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

fn answer(chain: &ChainId, batch: Vec<Asked>) -> Vec<Told> {
    let asked: Vec<_> = batch.iter().map(|one| (one.attestation, one.key)).collect();
    let checked = batch::check(chain, &asked, &random());
    let answers = batch.into_iter().zip(checked);
    answers.map(|(Asked { attestation, verdict, .. }, checked)| Told { attestation, checked, verdict }).collect()
}
