//! How an endpoint has behaved, and whether to ask it now.
//!
//! Health decides only whom we wait for and what a person is told. It never decides what is true: the number of
//! endpoints that must agree stays what the operator configured, and when too few are well every one is asked (R30).

use palisade_types::chain::ChainError;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long an endpoint rests after its first failure in a row; doubled with every further one.
const FIRST_REST: Duration = Duration::from_secs(1);
/// The longest rest, and the rest after a contradiction. One probe a minute costs nothing, and a repaired endpoint is back soon.
const LONGEST_REST: Duration = Duration::from_secs(60);

/// So often in a row an endpoint may be late before that is a failure: the slowest of several always is, now and then.
const LATE_IN_A_ROW: u32 = 10;

/// What an answer says of the endpoint that gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conduct {
    /// It said what counts.
    Agreed,
    /// It is behind, or refused what every endpoint would refuse.
    Neutral,
    /// Slower than the others together.
    Late,
    /// No answer.
    Failed,
    /// It said something else than enough others, or what no honest node says.
    Contradicted,
}

impl Conduct {
    /// Of an error, where enough others gave an answer.
    pub(crate) fn of(error: &ChainError) -> Self {
        match error {
            ChainError::NotThere { .. } | ChainError::TooMany { .. } | ChainError::Refused(_) => Self::Neutral,
            ChainError::Unavailable { .. } => Self::Failed,
            ChainError::Lied(_) | ChainError::FinalityBroken { .. } | ChainError::WrongChain { .. } => {
                Self::Contradicted
            }
        }
    }
}

/// One endpoint's record.
#[derive(Debug, Default)]
pub(crate) struct Health(Mutex<Record>);

#[derive(Clone, Copy, Debug, Default)]
struct Record {
    /// Failures since it last agreed.
    failures: u32,
    /// Late answers since then, or since the last failure.
    late: u32,
    /// Contradictions since the start.
    contradictions: u64,
    rests_until: Option<Instant>,
}

impl Health {
    /// Whether to ask it at `now`.
    pub(crate) fn is_well(&self, now: Instant) -> bool {
        self.record().rests_until.is_none_or(|until| until <= now)
    }

    /// How often it contradicted enough others.
    pub(crate) fn contradictions(&self) -> u64 {
        self.record().contradictions
    }

    /// Writes down what it did at `now`; returns whether a person should hear of it: a contradiction, the first failure
    /// after good conduct, and the return to it.
    ///
    /// Agreement does not end a rest: who lies of one thing may be asked another while too few are well.
    pub(crate) fn note(&self, conduct: Conduct, now: Instant) -> bool {
        let mut record = self.record();
        let failed = record.failures;
        match conduct {
            Conduct::Agreed => (record.failures, record.late) = (0, 0),
            Conduct::Neutral => return false,
            Conduct::Late if record.late + 1 < LATE_IN_A_ROW => {
                record.late += 1;
                return false;
            }
            Conduct::Late | Conduct::Failed => {
                record.late = 0;
                record.failures = failed.saturating_add(1);
                let rest = FIRST_REST.saturating_mul(1 << failed.min(6)).min(LONGEST_REST);
                record.rests_until = record.rests_until.max(Some(now + rest));
                return failed == 0;
            }
            Conduct::Contradicted => {
                record.contradictions += 1;
                record.rests_until = Some(now + LONGEST_REST);
                return true;
            }
        }
        failed > 0
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds until it is asked again.
    fn rest(health: &Health, now: Instant) -> u64 {
        let seconds = (0..=90).find(|second| health.is_well(now + Duration::from_secs(*second)));
        seconds.expect("no rest is longer than a minute")
    }

    #[test]
    fn an_endpoint_that_fails_rests_longer_each_time_until_it_agrees() {
        let (health, now) = (Health::default(), Instant::now());
        let fail = |failure: u32| {
            assert_eq!(health.note(Conduct::Failed, now), failure == 0, "said once");
            rest(&health, now)
        };
        assert_eq!((0..8).map(fail).collect::<Vec<_>>(), [1, 2, 4, 8, 16, 32, 60, 60]);
        assert!(!health.note(Conduct::Neutral, now));
        assert!(health.note(Conduct::Agreed, now), "its return is said");
        assert!(!health.note(Conduct::Agreed, now));
        let later = now + LONGEST_REST;
        assert_eq!(rest(&health, later), 0);
        health.note(Conduct::Failed, later);
        assert_eq!((rest(&health, later), health.contradictions()), (1, 0));
    }

    #[test]
    fn an_endpoint_that_is_always_the_slowest_by_far_rests_too() {
        let (health, now) = (Health::default(), Instant::now());
        let told: Vec<bool> = (0..LATE_IN_A_ROW).map(|_| health.note(Conduct::Late, now)).collect();
        assert!(told.ends_with(&[false, true]) && told.iter().filter(|told| **told).count() == 1);
        assert_eq!(rest(&health, now), 1);
        health.note(Conduct::Agreed, now);
        let late = |times: u32| (0..times).any(|_| health.note(Conduct::Late, now));
        assert!(!late(LATE_IN_A_ROW - 1));
        health.note(Conduct::Agreed, now);
        assert!(!late(LATE_IN_A_ROW - 1), "in a row");
    }

    #[test]
    fn r30_a_contradiction_is_counted_and_agreement_does_not_end_its_rest() {
        let (health, now) = (Health::default(), Instant::now());
        assert!(health.note(Conduct::Contradicted, now));
        assert!(!health.note(Conduct::Agreed, now));
        health.note(Conduct::Failed, now);
        assert_eq!(rest(&health, now), 60);
        assert!(health.note(Conduct::Contradicted, now), "every one is said");
        assert_eq!(health.contradictions(), 2);
    }

    #[test]
    fn a_lag_or_a_refusal_is_no_misconduct() {
        let conducts = [
            (ChainError::Lied(String::new()), Conduct::Contradicted),
            (ChainError::FinalityBroken { number: 1 }, Conduct::Contradicted),
            (ChainError::WrongChain { expected: String::new(), found: String::new() }, Conduct::Contradicted),
            (ChainError::NotThere { number: 1 }, Conduct::Neutral),
            (ChainError::TooMany { number: 1 }, Conduct::Neutral),
            (ChainError::Refused(String::new()), Conduct::Neutral),
            (ChainError::Unavailable { doing: String::new(), source: "down".into() }, Conduct::Failed),
        ];
        for (error, conduct) in conducts {
            assert_eq!(Conduct::of(&error), conduct, "{error}");
        }
    }
}
