//! One task per chain: it says where the chain's final tip stands and answers what the core wants to know of a gap.

use palisade_agreement::anchors::{Gap, Wanted};
use palisade_types::chain::{Chain, ChainError, ChainKind, ChainPoint, Endpoints, Watch};
use palisade_types::evidence::Evidence;
use palisade_types::observation::{Fact, MAX_FACTS};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

/// How often the tip is asked for.
const POLL: Duration = Duration::from_millis(500);
/// How many gaps may wait; the core asks again for what did not fit.
pub const MAX_WANTED: usize = 64;

/// More than a block holds: logs of Ethereum's, inputs and outputs of Bitcoin's.
const MAX_LOGS: u32 = 1 << 18;

/// What a follower tells the core.
#[derive(Debug)]
pub enum Seen {
    /// The newest final point.
    Stands(ChainKind, ChainPoint),
    /// What became true in a gap.
    Observed(Gap, Vec<Fact>),
    /// Secrets that the transactions of a gap gave away (R29).
    Exposed(Vec<Evidence>),
    /// A gap that cannot be told now.
    Unobserved(Gap),
    /// A gap whose beginning, an agreed anchor, is not on the chain any more (R30).
    Lost(Gap),
    /// A final point that was told is no longer on the chain: what was seen of it counts for nothing (R30).
    Rewound(ChainKind),
    /// The chain could not be read; said once per outage.
    Failing(ChainKind),
    /// It can be read again.
    Recovered(ChainKind),
    /// How its endpoints fare now; said when it changes.
    Endpoints(ChainKind, Endpoints),
}

/// Follows `chain` until the core is gone.
pub async fn follow<C: Chain>(
    kind: ChainKind,
    chain: Arc<C>,
    mut wanted: mpsc::Receiver<Wanted>,
    seen: mpsc::Sender<Seen>,
) {
    let mut poll = tokio::time::interval(POLL);
    poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut failing, mut stood, mut fared) = (false, None, None);
    loop {
        let told = tokio::select! {
            _ = poll.tick() => match chain.tip().await {
                Ok(tip) => {
                    if std::mem::take(&mut failing) {
                        tracing::info!(chain = ?kind, "chain endpoint answers again");
                        if seen.send(Seen::Recovered(kind)).await.is_err() { return; }
                    }
                    if is_gone(chain.as_ref(), stood.replace(tip), &tip).await
                        && seen.send(Seen::Rewound(kind)).await.is_err()
                    {
                        return;
                    }
                    Some(Seen::Stands(kind, tip))
                }
                Err(error) if failing => {
                    tracing::debug!(chain = ?kind, error = &error as &dyn std::error::Error, "still no tip");
                    None
                }
                Err(error) => {
                    failing = true;
                    tracing::warn!(chain = ?kind, error = &error as &dyn std::error::Error, "chain cannot be read");
                    Some(Seen::Failing(kind))
                }
            },
            asked = wanted.recv() => match asked {
                Some(asked) => {
                    let watch = asked.watch.clone();
                    let told = observe(chain.as_ref(), asked).await;
                    if let Seen::Observed(gap, _) = &told
                        && let Some(secrets) = exposed(chain.as_ref(), gap, &watch).await
                        && seen.send(secrets).await.is_err() { return; }
                    Some(told)
                }
                None => return,
            },
        };
        let fare = chain.endpoints();
        let changed = fared.replace(fare) != Some(fare);
        for told in told.into_iter().chain(changed.then_some(Seen::Endpoints(kind, fare))) {
            if seen.send(told).await.is_err() {
                return;
            }
        }
    }
}

/// Whether the chain that stands at `now` shows another block where it stood before.
async fn is_gone<C: Chain>(chain: &C, before: Option<ChainPoint>, now: &ChainPoint) -> bool {
    let Some(before) = before.filter(|before| before != now) else { return false };
    matches!(chain.point(before.number).await, Ok(point) if point.hash != before.hash)
}

/// Observes a gap, or as much of its beginning as one observation can hold (R32).
async fn observe<C: Chain>(chain: &C, asked: Wanted) -> Seen {
    let Wanted { mut gap, watch } = asked;
    loop {
        let answer = match watch.older.is_empty() {
            true => chain.observe(&gap.after, &gap.upto, &watch).await,
            false => chain.resume(&gap.upto, &watch).await,
        };
        let error = match answer {
            Ok(facts) if facts.len() <= MAX_FACTS => return Seen::Observed(gap, facts),
            Ok(_) => ChainError::TooMany { number: gap.upto.number },
            Err(ChainError::FinalityBroken { number }) if number == gap.after.number => return Seen::Lost(gap),
            Err(error) => error,
        };
        if !matches!(error, ChainError::TooMany { .. }) {
            return unobserved(gap, &error);
        }
        match middle(chain, &gap).await {
            Ok(Some(upto)) => gap.upto = upto,
            Ok(None) => return unobserved(gap, &error),
            Err(error) => return unobserved(gap, &error),
        }
    }
}

/// A point within a gap: a whole block, or where there is one only, a place in that (R32). `None` when it cannot be less.
async fn middle<C: Chain>(chain: &C, gap: &Gap) -> Result<Option<ChainPoint>, ChainError> {
    let (after, upto) = (gap.after, gap.upto);
    let number = after.number.midpoint(upto.number);
    if number > after.number || (upto.number > number && after.log != u32::MAX) {
        return chain.point(number).await.map(Some);
    }
    let first = if after.number == upto.number { after.log } else { 0 };
    let log = first.midpoint(upto.log.min(MAX_LOGS));
    Ok((log > first).then_some(ChainPoint { log, ..upto }))
}

/// What the gap gave away. A chain that falls silent just here is not asked again: every other operator looks too, and one of them
/// is enough.
async fn exposed<C: Chain>(chain: &C, gap: &Gap, watch: &Watch) -> Option<Seen> {
    match chain.exposed(&gap.after, &gap.upto, watch).await {
        Ok(secrets) if secrets.is_empty() => None,
        Ok(secrets) => Some(Seen::Exposed(secrets)),
        Err(error) => {
            tracing::warn!(chain = ?gap.chain, error = &error as &dyn std::error::Error, "cannot look for keys given away");
            None
        }
    }
}

fn unobserved(gap: Gap, error: &ChainError) -> Seen {
    let shown = error as &dyn std::error::Error;
    match error {
        ChainError::NotThere { .. } | ChainError::Unavailable { .. } => {
            tracing::debug!(chain = ?gap.chain, error = shown, "cannot observe yet");
        }
        _ => tracing::error!(chain = ?gap.chain, error = shown, "cannot observe"),
    }
    Seen::Unobserved(gap)
}
