//! Checks the signatures of attestations beside the core, those of one statement together.
//!
//! A check costs about the same for one attestation as for all of a slot, so it waits for as many as the quorum lacks, and then a
//! moment for the others, which are on their way; never for long, and less long where somebody waits for it to be passed on. Those that
//! come after the quorum are needed by nobody in a hurry: they wait longer, or go with the next check. All bounds are in count and time;
//! what does not fit in, the core checks itself, at its own pace.

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
/// For how long one waits for those that would make a quorum with it, where neighbours wait for it too,
const PASSED_ON: Duration = Duration::from_millis(10);
/// and on a line, where nobody does: fewer than a quorum are worth nothing.
const COMPANY: Duration = Duration::from_millis(100);
/// For how long a quorum waits for the rest.
const REST: Duration = Duration::from_millis(3);
/// For how long one waits that no quorum lacks.
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
    /// How many whose weight counts have not been heard to say it.
    pub silent: usize,
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
    /// So many are all.
    silent: usize,
    until: Instant,
}

fn take(waiting: &mut BTreeMap<Statement, Waiting>, one: Asked) {
    let (now, lacking, silent) = (Instant::now(), one.lacking, one.silent);
    let patience = match lacking {
        0 => AFTERWARDS,
        _ if one.verdict.passes_on() => PASSED_ON,
        _ => COMPANY,
    };
    let all = waiting.entry(one.attestation.statement);
    let all = all.or_insert(Waiting { asked: Vec::new(), lacking, silent, until: now + patience });
    (all.lacking, all.silent, all.until) = (lacking, silent, all.until.min(now + patience));
    all.asked.push(one);
    if lacking > 0 && all.asked.len() >= lacking {
        all.until = all.until.min(now + REST);
    }
}

/// Takes what is to be checked now: quorums that have waited for the rest or have it, what has waited long enough, and everything when
/// there is too much of it. What nobody is in a hurry for goes with it: a further statement costs less than a check of its own.
fn due(waiting: &mut BTreeMap<Statement, Waiting>, now: Instant) -> Vec<Asked> {
    let is_full = waiting.values().map(|one| one.asked.len()).sum::<usize>() >= MAX_BATCH;
    let is_due = |one: &Waiting| is_full || one.until <= now || (one.lacking > 0 && one.asked.len() >= one.silent);
    if !waiting.values().any(is_due) {
        return Vec::new();
    }
    waiting.extract_if(.., |_, one| is_due(one) || one.lacking == 0).flat_map(|(_, one)| one.asked).collect()
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
