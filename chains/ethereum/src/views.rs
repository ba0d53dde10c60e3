//! Views of contracts that nobody vouches for, at one block. A contract that reverts or is not there is an answer
//! about that contract; an endpoint that fails is none.

use crate::endpoint::{MOST_LOG_BLOCKS, asks_for_less};
use crate::facts::Place;
use crate::inspect::Failed;
use alloy::eips::BlockId;
use alloy::primitives::{Address, B256, Bytes};
use alloy::providers::{Provider, RootProvider};
use alloy::rpc::json_rpc::ErrorPayload;
use alloy::rpc::types::{Filter, Log, TransactionRequest};
use alloy::sol_types::SolCall;
use alloy::transports::{RpcError, TransportError};
use futures::StreamExt;
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;

/// The most questions of one inspection: a contract that names a million accounts does not make us ask a million times.
pub(crate) const MOST_CALLS: usize = 100_000;
/// How many questions are open at once, whoever asks.
const AT_ONCE: usize = 8;
/// How often a question is asked again that got no answer at all, and after how long; public endpoints count requests.
const PATIENCE: [Duration; 3] = [Duration::from_millis(250), Duration::from_secs(1), Duration::from_secs(4)];
/// The most requests for logs of one search.
const MOST_LOG_REQUESTS: usize = 250;
/// For how many blocks logs are asked first; it grows and shrinks with what the endpoint grants.
const FIRST_LOG_BLOCKS: u64 = 2_000;
/// The most bytes of a contract's own reason that are kept.
const MOST_REASON: usize = 120;

/// Why a contract has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// It reverts, with this reason if it gives one.
    Reverts(String),
    /// There is no contract, or none that answers this.
    NoSuchView,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reverts(reason) if reason.is_empty() => f.write_str("reverts"),
            Self::Reverts(reason) => write!(f, "reverts: {reason}"),
            Self::NoSuchView => f.write_str("is not answered there"),
        }
    }
}

/// What a contract said: an endpoint that could not be asked is no part of this.
pub(crate) type Answer<T> = Result<T, Missing>;

/// All views at one block.
pub(crate) struct Views<'a> {
    provider: &'a RootProvider,
    state: BlockId,
    left: AtomicUsize,
    open: Semaphore,
}

impl<'a> Views<'a> {
    pub(crate) fn new(provider: &'a RootProvider, state: BlockId) -> Self {
        Self { provider, state, left: AtomicUsize::new(MOST_CALLS), open: Semaphore::new(AT_ONCE) }
    }

    /// Asks one contract.
    ///
    /// # Errors
    ///
    /// [`Failed::Chain`] when the endpoint does not answer, [`Failed::Asked`] past [`MOST_CALLS`].
    pub(crate) async fn ask<C: SolCall>(&self, to: Address, call: C) -> Result<Answer<C::Return>, Failed> {
        let spent = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        spent.map_err(|_| Failed::Asked(format!("needs more than {MOST_CALLS} questions")))?;
        let request = TransactionRequest::default().to(to).input(Bytes::from(call.abi_encode()).into());
        let doing = || format!("asking {to} for {}", name::<C>());
        let _open = self.open.acquire().await.expect("it is never closed");
        match patiently(|| self.provider.call(request.clone()).block(self.state).into_future()).await {
            Ok(answer) => Ok(C::abi_decode_returns_validate(&answer).map_err(|_| Missing::NoSuchView)),
            Err(RpcError::ErrorResp(error)) => match refused(&error) {
                Some(missing) => Ok(Err(missing)),
                None => Err(Failed::unavailable(&doing(), RpcError::<std::convert::Infallible>::ErrorResp(error))),
            },
            Err(error) => Err(Failed::unavailable(&doing(), error)),
        }
    }

    /// Asks for what must be there for anything to be said.
    ///
    /// # Errors
    ///
    /// Also [`Failed::Unknown`] when the contract has no such answer.
    pub(crate) async fn require<C: SolCall>(&self, to: Address, call: C, what: &str) -> Result<C::Return, Failed> {
        let answer = self.ask(to, call).await?;
        answer.map_err(|missing| Failed::unknown(what, &format!("{} at {to} {missing}", name::<C>())))
    }

    /// Whether there is a contract.
    pub(crate) async fn has_code(&self, address: Address) -> Result<bool, Failed> {
        let code = patiently(|| self.provider.get_code_at(address).block_id(self.state).into_future()).await;
        code.map(|code| !code.is_empty()).map_err(|error| Failed::unavailable("asking for a contract's code", error))
    }

    /// Looks for logs of one contract backwards from block `upto`, until `enough` or until block `from`, newest first, and says
    /// from which block on all have been seen. What the endpoint has been asked for too often is not asked for.
    pub(crate) async fn logs_back(
        &self,
        address: Address,
        event: B256,
        blocks: std::ops::RangeInclusive<u64>,
        most: usize,
    ) -> Result<(Vec<Log>, u64), Failed> {
        let (from, mut to) = (*blocks.start(), *blocks.end());
        let (mut step, mut logs) = (FIRST_LOG_BLOCKS, Vec::new());
        for _ in 0..MOST_LOG_REQUESTS {
            let first = from.max(to.saturating_sub(step - 1));
            let filter = Filter::new().address(address).event_signature(event).from_block(first).to_block(to);
            match patiently(|| self.provider.get_logs(&filter)).await {
                Ok(mut found) => {
                    crate::endpoint::check_order(&filter, first, to, &found)?;
                    found.reverse();
                    logs.extend(found);
                    if logs.len() >= most || first == from {
                        logs.truncate(most);
                        return Ok((logs, first));
                    }
                    to = first - 1;
                    step = (step + step / 2).min(MOST_LOG_BLOCKS);
                }
                Err(error) if to > first && asks_for_less(&error) => step = (to - first).div_ceil(2),
                Err(error) => return Err(Failed::unavailable(&format!("asking for logs of {first} to {to}"), error)),
            }
        }
        Ok((logs, to + 1))
    }

    /// Where a log stands.
    pub(crate) fn block_of(log: &Log) -> Result<u64, Failed> {
        Ok(Place::of(log)?.block)
    }
}

/// Asks about each item, a few at once; the answers in the items' order. The first failure ends it.
pub(crate) async fn each<I, T, F>(items: impl IntoIterator<Item = I>, ask: impl Fn(I) -> F) -> Result<Vec<T>, Failed>
where
    F: Future<Output = Result<T, Failed>>,
{
    let mut asked = futures::stream::iter(items.into_iter().map(ask)).buffered(AT_ONCE);
    let mut answers = Vec::new();
    while let Some(answer) = asked.next().await {
        answers.push(answer?);
    }
    Ok(answers)
}

/// Asks again, a few times, when nothing came back.
async fn patiently<T, F>(ask: impl Fn() -> F) -> Result<T, TransportError>
where
    F: Future<Output = Result<T, TransportError>>,
{
    for pause in PATIENCE {
        match ask().await {
            Err(error) if is_hurried(&error) => tokio::time::sleep(pause).await,
            answer => return answer,
        }
    }
    ask().await
}

/// Whether the endpoint wants us to slow down. Whatever else went wrong goes wrong again.
fn is_hurried(error: &TransportError) -> bool {
    match error {
        RpcError::ErrorResp(error) => error.is_retry_err(),
        RpcError::Transport(error) => error.to_string().contains("HTTP status 429"),
        _ => false,
    }
}

/// The contract's own refusal, in whatever words the endpoint tells it; nothing when it is the endpoint's.
pub(crate) fn refused(error: &ErrorPayload) -> Option<Missing> {
    const OF_THE_EVM: [&str; 6] =
        ["revert", "invalid opcode", "out of gas", "invalid jump", "stack underflow", "EVM error"];
    if !OF_THE_EVM.iter().any(|words| error.message.contains(words)) {
        return None;
    }
    let data = error.as_revert_data().unwrap_or_default();
    let reason = alloy::sol_types::decode_revert_reason(&data);
    let reason = reason.unwrap_or_else(|| data.get(..4).map(alloy::hex::encode_prefixed).unwrap_or_default());
    // A contract's words are shown to people: nothing in them may steer a terminal.
    let shown = reason.chars().filter(|c| !c.is_control()).take(MOST_REASON).collect();
    Some(Missing::Reverts(shown))
}

fn name<C: SolCall>() -> &'static str {
    C::SIGNATURE.split('(').next().unwrap_or(C::SIGNATURE)
}

/// What a view must not do: answer another number of questions than it was asked.
pub(crate) fn expect(found: usize, expected: usize) -> Result<(), Failed> {
    if found == expected { Ok(()) } else { Err(Failed::lied(&format!("{found} answers to {expected} questions"))) }
}

/// What could not be seen, in words, at most [`MOST_GAPS`].
#[derive(Debug, Default)]
pub(crate) struct Gaps(Vec<String>);

/// The most gaps that are told.
const MOST_GAPS: usize = 100;

impl Gaps {
    /// The answer, or nothing and a gap of this name.
    pub(crate) fn note<T>(&mut self, figure: &str, answer: Answer<T>) -> Option<T> {
        match answer {
            Ok(answer) => Some(answer),
            Err(missing) => {
                self.say(format!("{figure} {missing}"));
                None
            }
        }
    }

    /// One more gap.
    pub(crate) fn say(&mut self, gap: String) {
        if self.0.len() < MOST_GAPS && !self.0.contains(&gap) {
            self.0.push(gap);
        }
    }

    /// The first `most` of a list; the rest is a gap.
    pub(crate) fn first<T>(&mut self, what: &str, mut list: Vec<T>, most: usize) -> Vec<T> {
        if list.len() > most {
            self.say(format!("{what}: {} of {} were looked at", most, list.len()));
            list.truncate(most);
        }
        list
    }

    pub(crate) fn told(self) -> Vec<String> {
        self.0
    }
}
