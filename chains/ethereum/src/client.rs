//! `Chain` for Ethereum over several endpoints: what enough of them say counts (R30).

use crate::account::Account;
use crate::endpoint::Endpoint;
use crate::outbox::Outbox;
use crate::readers::eigenlayer::Generation;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use palisade_types::chain::{Chain, ChainError, ChainPoint, Execution, Progress, Watch};
use palisade_types::genesis::Genesis;
use palisade_types::observation::Fact;
use serde::Deserialize;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// The most endpoints that are asked.
pub const MAX_ENDPOINTS: usize = 16;

/// Which endpoints to ask.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// HTTP URLs of Ethereum nodes, 1 to 16. They may hold credentials and are never printed.
    pub endpoints: Vec<String>,
    /// How many of them must say the same; more than half of them by default.
    #[serde(default)]
    pub agreeing: Option<usize>,
    /// How long one answer may take, in milliseconds; 5,000 by default.
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u64,
}

const fn default_timeout_ms() -> u64 {
    5_000
}

impl Config {
    /// One endpoint, everything else by default.
    #[must_use]
    pub fn one(endpoint: impl Into<String>) -> Self {
        Self { endpoints: vec![endpoint.into()], agreeing: None, timeout_ms: default_timeout_ms() }
    }

    /// How many endpoints must agree.
    ///
    /// # Errors
    ///
    /// [`ChainError::Refused`] when that many cannot.
    fn quorum(&self) -> Result<usize, ChainError> {
        let count = self.endpoints.len();
        let quorum = self.agreeing.unwrap_or(count / 2 + 1);
        if count == 0 || count > MAX_ENDPOINTS || quorum == 0 || quorum > count {
            return Err(ChainError::Refused(format!("{count} Ethereum endpoints of which {quorum} must agree")));
        }
        Ok(quorum)
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("endpoints", &self.endpoints.len())
            .field("agreeing", &self.agreeing)
            .field("timeout_ms", &self.timeout_ms)
            .finish()
    }
}

/// Ethereum as this operator's endpoints show it.
pub struct Ethereum {
    pub(crate) genesis: Arc<Genesis>,
    pub(crate) endpoints: Vec<Endpoint>,
    quorum: usize,
    /// Pays for slashes; without one this operator executes none.
    pub(crate) account: Option<Account>,
    pub(crate) outbox: Mutex<Outbox>,
}

impl fmt::Debug for Ethereum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ethereum")
            .field("endpoints", &self.endpoints.len())
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

impl Ethereum {
    /// Connects to endpoints, enough of which must be there and serve genesis' chain with the contracts of genesis
    /// on it. The others are checked before their first use. `account` pays for slashes.
    ///
    /// # Errors
    ///
    /// [`ChainError::WrongChain`] when any endpoint serves another chain, [`ChainError::Refused`] for a
    /// configuration that makes no sense, [`ChainError::Unavailable`] when too few answer: then try again.
    pub async fn connect(config: &Config, genesis: Arc<Genesis>, account: Option<Account>) -> Result<Self, ChainError> {
        let quorum = config.quorum()?;
        let timeout = Duration::from_millis(config.timeout_ms);
        let endpoints = config
            .endpoints
            .iter()
            .enumerate()
            .map(|(index, url)| Endpoint::new(index + 1, url, timeout, Arc::clone(&genesis)));
        let ethereum = Self {
            endpoints: endpoints.collect::<Result<_, _>>()?,
            genesis,
            quorum,
            account,
            outbox: Mutex::default(),
        };
        ethereum.check().await?;
        Ok(ethereum)
    }

    /// The newest block that any endpoint shows, final or not: a guard without unbroken history waits for an epoch
    /// that starts above it (R15).
    ///
    /// # Errors
    ///
    /// [`ChainError::Unavailable`] when no endpoint answers.
    pub async fn newest(&self) -> Result<u64, ChainError> {
        let answers = futures::future::join_all(self.endpoints.iter().map(Endpoint::newest)).await;
        let (shown, failures): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
        let newest = shown.into_iter().flatten().max();
        let failures: Vec<ChainError> = failures.into_iter().filter_map(Result::err).collect();
        newest.ok_or_else(|| verdict(0, failures, self.quorum))
    }

    async fn check(&self) -> Result<(), ChainError> {
        let checks = self.endpoints.iter().map(Endpoint::check);
        let mut failures = Vec::new();
        for (endpoint, check) in self.endpoints.iter().zip(futures::future::join_all(checks).await) {
            match check {
                Ok(_) => {}
                Err(error @ ChainError::WrongChain { .. }) => return Err(error),
                Err(error) => {
                    tracing::warn!(endpoint = endpoint.name(), %error, "endpoint cannot be used yet");
                    failures.push(error);
                }
            }
        }
        let usable = self.endpoints.len() - failures.len();
        match failures.into_iter().next() {
            Some(error) if usable < self.quorum => Err(error),
            _ => Ok(()),
        }
    }

    /// Which generation of EigenLayer the first endpoint that answers has; `None` when no stake lies there.
    ///
    /// # Errors
    ///
    /// As [`Chain::tip`].
    pub async fn generation(&self) -> Result<Option<Generation>, ChainError> {
        self.first(async |endpoint: Endpoint| endpoint.check().await).await
    }

    /// Asks every endpoint the same and returns the first answer that enough of them give.
    pub(crate) async fn agreed<T, F>(&self, question: impl Fn(Endpoint) -> F) -> Result<T, ChainError>
    where
        T: PartialEq,
        F: Future<Output = Result<T, ChainError>>,
    {
        let mut asked: FuturesUnordered<F> = self.endpoints.iter().cloned().map(question).collect();
        let mut answers: Vec<(T, usize)> = Vec::new();
        let mut failures = Vec::new();
        while let Some(answer) = asked.next().await {
            let said = match answer {
                Ok(said) => said,
                Err(error) => {
                    failures.push(error);
                    continue;
                }
            };
            let known = answers.iter().position(|(known, _)| *known == said);
            let at = known.unwrap_or_else(|| {
                answers.push((said, 0));
                answers.len() - 1
            });
            answers[at].1 += 1;
            if answers[at].1 >= self.quorum {
                return Ok(answers.swap_remove(at).0);
            }
        }
        Err(verdict(answers.len(), failures, self.quorum))
    }

    /// The answer of the first endpoint that can be reached. For what the chain itself decides, not we.
    pub(crate) async fn first<T, F>(&self, question: impl Fn(Endpoint) -> F) -> Result<T, ChainError>
    where
        F: Future<Output = Result<T, ChainError>>,
    {
        let mut last = ChainError::Refused("no endpoint".to_owned());
        for endpoint in &self.endpoints {
            match question(endpoint.clone()).await {
                Err(error @ ChainError::Unavailable { .. }) => last = error,
                answer => return answer,
            }
        }
        Err(last)
    }
}

/// What it means that no answer had a quorum. A contradiction counts only when enough endpoints see it (R30).
fn verdict(answers: usize, failures: Vec<ChainError>, quorum: usize) -> ChainError {
    let same = |error: &ChainError| {
        let kind = std::mem::discriminant(error);
        failures.iter().filter(|other| std::mem::discriminant(*other) == kind).count()
    };
    if let Some(agreed) = failures.iter().position(|error| same(error) >= quorum) {
        return failures.into_iter().nth(agreed).expect("position is inside the list");
    }
    if answers > 1 {
        return ChainError::Lied("the endpoints contradict each other".to_owned());
    }
    let late = failures.iter().position(|error| matches!(error, ChainError::NotThere { .. }));
    match failures.into_iter().nth(late.unwrap_or(0)) {
        Some(error @ ChainError::NotThere { .. }) => error,
        Some(error) => ChainError::Unavailable {
            doing: "asking for what enough endpoints agree on".to_owned(),
            source: error.into(),
        },
        None => ChainError::Lied("the endpoints contradict each other".to_owned()),
    }
}

impl Chain for Ethereum {
    async fn tip(&self) -> Result<ChainPoint, ChainError> {
        // The newest point that enough endpoints have reached.
        let tips = futures::future::join_all(self.endpoints.iter().map(Endpoint::tip)).await;
        let (reached, failures): (Vec<_>, Vec<_>) = tips.into_iter().partition(Result::is_ok);
        let mut reached: Vec<ChainPoint> = reached.into_iter().flatten().collect();
        reached.sort_by_key(|point| std::cmp::Reverse(point.number));
        match reached.get(self.quorum - 1) {
            Some(point) if self.endpoints.len() == 1 => Ok(*point),
            Some(point) => self.point(point.number).await,
            None => Err(verdict(0, failures.into_iter().filter_map(Result::err).collect(), self.quorum)),
        }
    }

    async fn observe(&self, after: &ChainPoint, upto: &ChainPoint, watch: &Watch) -> Result<Vec<Fact>, ChainError> {
        self.agreed(async |endpoint: Endpoint| endpoint.observe(after, upto, watch).await).await
    }

    /// Ethereum is not suspended: a finality that breaks is its own protocol's failure, and people decide (R30).
    async fn resume(&self, _: &ChainPoint, _: &Watch) -> Result<Vec<Fact>, ChainError> {
        Err(ChainError::Refused("Ethereum does not go on from another start anchor".to_owned()))
    }

    /// No transaction there gives a key away.
    async fn exposed(
        &self,
        _: &ChainPoint,
        _: &ChainPoint,
        _: &Watch,
    ) -> Result<Vec<palisade_types::Evidence>, ChainError> {
        Ok(Vec::new())
    }

    async fn point(&self, number: u64) -> Result<ChainPoint, ChainError> {
        self.agreed(async |endpoint: Endpoint| endpoint.point(number).await).await
    }

    async fn execute(&self, execution: &Execution) -> Result<Progress, ChainError> {
        self.slash(execution).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gone() -> ChainError {
        ChainError::FinalityBroken { number: 7 }
    }

    fn down() -> ChainError {
        ChainError::Unavailable { doing: String::new(), source: "down".into() }
    }

    #[test]
    fn r30_a_contradiction_counts_only_when_enough_endpoints_see_it() {
        assert!(matches!(verdict(0, vec![gone(), down()], 1), ChainError::FinalityBroken { number: 7 }));
        assert!(matches!(verdict(0, vec![gone(), gone(), down()], 2), ChainError::FinalityBroken { number: 7 }));
        assert!(matches!(verdict(1, vec![gone(), down()], 2), ChainError::Unavailable { .. }));
        assert!(matches!(verdict(2, vec![down()], 2), ChainError::Lied(_)));
        let late = ChainError::NotThere { number: 9 };
        assert!(matches!(verdict(1, vec![down(), late], 2), ChainError::NotThere { number: 9 }));
    }

    #[test]
    fn a_configuration_asks_for_a_quorum_that_exists_and_prints_no_url() {
        let config = |count: usize, agreeing| Config {
            endpoints: vec!["http://secret@localhost:1".to_owned(); count],
            agreeing,
            timeout_ms: 1,
        };
        assert_eq!(config(1, None).quorum().unwrap(), 1);
        assert_eq!(config(2, None).quorum().unwrap(), 2);
        assert_eq!(config(5, None).quorum().unwrap(), 3);
        for (count, agreeing) in [(0, None), (2, Some(3)), (2, Some(0)), (17, None)] {
            assert!(matches!(config(count, agreeing).quorum(), Err(ChainError::Refused(_))));
        }
        assert!(!format!("{:?}", config(1, None)).contains("secret"));
    }
}
