//! `Chain` for Ethereum over several endpoints: what enough of them say counts (R30).

use crate::account::Account;
use crate::endpoint::Endpoint;
use crate::health::{Conduct, Health};
use crate::outbox::Outbox;
use crate::readers::eigenlayer::Generation;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use palisade_types::chain::{Chain, ChainError, ChainPoint, Endpoints, Execution, Progress, Watch};
use palisade_types::genesis::Genesis;
use palisade_types::observation::Fact;
use serde::Deserialize;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// The most endpoints that are asked.
pub const MAX_ENDPOINTS: usize = 16;
/// How long we wait at least, and at most, for the others once enough endpoints have said the same: one that lies should be
/// heard, one that is silent must not hold us up.
const SHORTEST_GRACE: Duration = Duration::from_millis(20);
const LONGEST_GRACE: Duration = Duration::from_millis(500);

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

    /// Asks the endpoints the same and returns the first answer that enough of them give. Who then says otherwise is
    /// named: a person should look, although nothing stops (R30).
    pub(crate) async fn agreed<T, F>(&self, question: impl Fn(Endpoint) -> F) -> Result<T, ChainError>
    where
        T: PartialEq,
        F: Future<Output = Result<T, ChainError>>,
    {
        let answers = self.ask(question, |answers| majority(answers, self.quorum).is_some()).await;
        let Some(said) = majority(&answers, self.quorum) else {
            return Err(self.undecided(answers));
        };
        for (endpoint, answer) in self.endpoints.iter().zip(&answers) {
            let conduct = match answer {
                Answer::NotAsked => continue,
                Answer::Late => Conduct::Late,
                Answer::Said(Ok(answer)) if answer == said => Conduct::Agreed,
                Answer::Said(Ok(_)) => Conduct::Contradicted,
                Answer::Said(Err(error)) => Conduct::of(error),
            };
            note(endpoint, conduct);
        }
        let at = answers.iter().position(|answer| matches!(answer, Answer::Said(Ok(answer)) if answer == said));
        match at.and_then(|at| answers.into_iter().nth(at)) {
            Some(Answer::Said(answer)) => answer,
            _ => unreachable!("the majority is one of the answers"),
        }
    }

    /// The endpoints' answers in their order, complete as soon as they are `enough`, but for who then still takes longer than the
    /// others took together. Who rests is asked only when the others are not enough.
    async fn ask<T, F>(&self, question: impl Fn(Endpoint) -> F, enough: impl Fn(&[Answer<T>]) -> bool) -> Vec<Answer<T>>
    where
        F: Future<Output = Result<T, ChainError>>,
    {
        let started = Instant::now();
        let mut answers: Vec<Answer<T>> = self.endpoints.iter().map(|_| Answer::NotAsked).collect();
        let (well, mut resting): (Vec<usize>, Vec<usize>) =
            (0..self.endpoints.len()).partition(|at| self.endpoints[*at].health().is_well(started));
        let asking = |at: usize| {
            let answer = question(self.endpoints[at].clone());
            async move { (at, answer.await) }
        };
        let mut asked: FuturesUnordered<_> = well.into_iter().map(asking).collect();
        while !enough(&answers) {
            match asked.next().await {
                Some((at, answer)) => answers[at] = Answer::Said(answer),
                None if resting.is_empty() => return answers,
                None => asked.extend(resting.drain(..).map(asking)),
            }
        }
        let late = async {
            while let Some((at, answer)) = asked.next().await {
                answers[at] = Answer::Said(answer);
            }
        };
        let grace = started.elapsed().clamp(SHORTEST_GRACE, LONGEST_GRACE);
        if tokio::time::timeout(grace, late).await.is_err() {
            let rested = |at: &usize| !resting.contains(at);
            for at in (0..answers.len()).filter(rested) {
                if matches!(answers[at], Answer::NotAsked) {
                    answers[at] = Answer::Late;
                }
            }
        }
        answers
    }

    /// Why there is no answer. Who failed is noted; who of the others lied nobody can say.
    fn undecided<T: PartialEq>(&self, answers: Vec<Answer<T>>) -> ChainError {
        let mut said: Vec<T> = Vec::new();
        let mut failures = Vec::new();
        for (endpoint, answer) in self.endpoints.iter().zip(answers) {
            match answer {
                Answer::Said(Ok(answer)) if !said.contains(&answer) => said.push(answer),
                Answer::Said(Err(error)) => {
                    if Conduct::of(&error) == Conduct::Failed {
                        note(endpoint, Conduct::Failed);
                    }
                    failures.push(error);
                }
                Answer::Said(Ok(_)) | Answer::NotAsked | Answer::Late => {}
            }
        }
        verdict(said.len(), failures, self.quorum)
    }

    /// The answer of the first endpoint that can be reached, those that are well first. For what the chain itself decides, not we.
    pub(crate) async fn first<T, F>(&self, question: impl Fn(Endpoint) -> F) -> Result<T, ChainError>
    where
        F: Future<Output = Result<T, ChainError>>,
    {
        let now = Instant::now();
        let mut order: Vec<&Endpoint> = self.endpoints.iter().collect();
        order.sort_by_key(|endpoint| !endpoint.health().is_well(now));
        let mut last = ChainError::Refused("no endpoint".to_owned());
        for endpoint in order {
            match question(endpoint.clone()).await {
                Err(error @ ChainError::Unavailable { .. }) => {
                    note(endpoint, Conduct::Failed);
                    last = error;
                }
                answer => return answer,
            }
        }
        Err(last)
    }
}

/// What came of asking one endpoint.
enum Answer<T> {
    /// It rests, and the others were enough.
    NotAsked,
    /// It had not answered when the others were enough, nor soon after.
    Late,
    Said(Result<T, ChainError>),
}

/// The answer that at least `quorum` endpoints gave.
fn majority<T: PartialEq>(answers: &[Answer<T>], quorum: usize) -> Option<&T> {
    let said = || {
        answers.iter().filter_map(|answer| match answer {
            Answer::Said(Ok(said)) => Some(said),
            _ => None,
        })
    };
    said().find(|one| said().filter(|other| other == one).count() >= quorum)
}

/// Writes down what an endpoint did, and tells a person when it changed.
fn note(endpoint: &Endpoint, conduct: Conduct) {
    if !endpoint.health().note(conduct, Instant::now()) {
        return;
    }
    match conduct {
        Conduct::Agreed => tracing::info!(endpoint = endpoint.name(), "answers again"),
        Conduct::Contradicted => tracing::error!(
            endpoint = endpoint.name(),
            "contradicts enough others; they count, but a person should look at this endpoint"
        ),
        Conduct::Late | Conduct::Failed | Conduct::Neutral => {
            tracing::warn!(endpoint = endpoint.name(), "does not answer in time")
        }
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

/// The tips that were told.
fn reached(tips: &[Answer<ChainPoint>]) -> impl Iterator<Item = &ChainPoint> {
    tips.iter().filter_map(|tip| match tip {
        Answer::Said(Ok(tip)) => Some(tip),
        _ => None,
    })
}

impl Chain for Ethereum {
    fn endpoints(&self) -> Endpoints {
        let now = Instant::now();
        let health = || self.endpoints.iter().map(Endpoint::health);
        Endpoints {
            configured: self.endpoints.len(),
            well: health().filter(|health| health.is_well(now)).count(),
            contradictions: health().map(Health::contradictions).sum(),
        }
    }

    async fn tip(&self) -> Result<ChainPoint, ChainError> {
        // The newest point that enough endpoints have reached.
        let there = |answers: &[Answer<ChainPoint>]| reached(answers).count() >= self.quorum;
        let tips = self.ask(async |endpoint: Endpoint| endpoint.tip().await, there).await;
        for (endpoint, tip) in self.endpoints.iter().zip(&tips) {
            match tip {
                Answer::Late => note(endpoint, Conduct::Late),
                Answer::Said(Err(ChainError::Unavailable { .. })) => note(endpoint, Conduct::Failed),
                Answer::Said(_) | Answer::NotAsked => {}
            }
        }
        let mut numbers: Vec<u64> = reached(&tips).map(|tip| tip.number).collect();
        numbers.sort_by_key(|number| std::cmp::Reverse(*number));
        match numbers.get(self.quorum - 1) {
            Some(number) => self.point(*number).await,
            None => Err(self.undecided(tips)),
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
