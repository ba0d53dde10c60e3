//! The node's side: it hands registrations to the covenant process and its signatures to the core.
//!
//! Each registration is a question of its own, so that one which is refused or hangs costs no other one anything. An answer is
//! checked before the core sees it: what the process says wrongly is never told to other operators. The core asks
//! again every few seconds while a vault waits; here that is given a pace.

use super::protocol::{Asked, FRAME, Question, Refusal, Reply, THINKING, Unanswered, ask};
use crate::message::Presigned;
use crate::signing::Signed;
use palisade_bitcoin::RegistrationError;
use palisade_bitcoin::covenant::Presigning;
use palisade_bitcoin::vault::Versions;
use palisade_types::canonical::Canonical;
use palisade_types::ids::Hash;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Questions at one time.
pub const IN_FLIGHT: usize = 8;
/// Registrations that are remembered, with what came of them.
const REMEMBERED: usize = 512;
/// How long an answer may take: its two frames, and the thinking.
const PATIENCE: Duration = Duration::from_secs(THINKING.as_secs() + 2 * FRAME.as_secs());
/// The first pause after a failure; each further one doubles it,
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(16);
/// The pause after a refusal that stays.
const REFUSED_PAUSE: Duration = Duration::from_secs(60);

/// Why an answer is worth nothing.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
    #[error("the covenant process does not sign: {0}")]
    Refused(Refusal),
    #[error("the covenant process signs what does not hold")]
    Worthless(#[source] RegistrationError),
    #[error("the covenant process answers another question")]
    Other,
}

/// Asks until the core is gone.
pub async fn run(
    socket: PathBuf,
    versions: Versions,
    mut registrations: mpsc::Receiver<Asked>,
    signed: mpsc::Sender<Signed>,
) {
    let mut desk = Desk::default();
    let mut running = JoinSet::new();
    let mut told = None;
    loop {
        let answered = tokio::select! {
            asked = registrations.recv() => {
                let Some(asked) = asked else { return };
                let name = name(&asked);
                match desk.turn(Instant::now(), name) {
                    Turn::Ask => {
                        let (socket, versions) = (socket.clone(), versions.clone());
                        running.spawn(async move { (name, one(&socket, &versions, asked).await) });
                        None
                    }
                    Turn::Answered(presigned) => Some(presigned),
                    Turn::Wait => None,
                }
            }
            Some(Ok((name, outcome))) = running.join_next() => {
                tell(&mut told, &outcome);
                desk.done(Instant::now(), name, outcome)
            }
        };
        if let Some(presigned) = answered
            && signed.send(Signed::Presigned(*presigned)).await.is_err()
        {
            return;
        }
    }
}

async fn one(socket: &Path, versions: &Versions, asked: Asked) -> Result<Box<Presigned>, Failure> {
    let (registration, parent) = (asked.registration.clone(), asked.parent.clone());
    match ask(socket, &Question::Presign(Box::new(asked)), PATIENCE).await? {
        Reply::Presigned(presigned) => {
            if presigned.registration != registration.endorsement(versions.chain()) {
                return Err(Failure::Other);
            }
            let session = Presigning::open(&registration, parent.as_ref(), versions);
            session.and_then(|mut session| session.take(presigned.answer.clone())).map_err(Failure::Worthless)?;
            Ok(presigned)
        }
        Reply::Refused(refusal) => Err(Failure::Refused(refusal)),
        Reply::Done | Reply::Status(_) => Err(Failure::Other),
    }
}

/// The very registration: another one of the same vault is another question.
fn name(asked: &Asked) -> Hash {
    Hash::new(palisade_crypto::hash::sha256_all(&[&asked.to_bytes()]))
}

/// Logs what is new: the same trouble is not said at every try.
fn tell(told: &mut Option<String>, outcome: &Result<Box<Presigned>, Failure>) {
    match outcome {
        Ok(presigned) => {
            tracing::info!(registration = %presigned.registration, "the covenant process signed for a vault");
            *told = None;
        }
        Err(failure) => {
            let text = failure.to_string();
            if told.as_ref() != Some(&text) {
                tracing::warn!(error = failure as &dyn std::error::Error, "no signature of the covenant process");
            }
            *told = Some(text);
        }
    }
}

/// What a registration is at.
#[derive(Debug)]
enum State {
    Asking { failures: u32 },
    Answered(Box<Presigned>),
    Waiting { until: Instant, failures: u32 },
}

/// What to do with one that comes.
#[derive(Debug, PartialEq, Eq)]
enum Turn {
    Ask,
    Answered(Box<Presigned>),
    Wait,
}

/// What is asked, answered, and waits.
#[derive(Debug, Default)]
struct Desk {
    states: BTreeMap<Hash, State>,
    asking: usize,
}

impl Desk {
    fn turn(&mut self, now: Instant, name: Hash) -> Turn {
        let failures = match self.states.get(&name) {
            Some(State::Answered(presigned)) => return Turn::Answered(presigned.clone()),
            Some(State::Asking { .. }) => return Turn::Wait,
            Some(State::Waiting { until, .. }) if now < *until => return Turn::Wait,
            Some(State::Waiting { failures, .. }) => *failures,
            None => 0,
        };
        if self.asking >= IN_FLIGHT {
            return Turn::Wait;
        }
        self.asking += 1;
        self.states.insert(name, State::Asking { failures });
        self.forget();
        Turn::Ask
    }

    /// Takes what came of a question that [`Self::turn`] let pass.
    fn done(&mut self, now: Instant, name: Hash, outcome: Result<Box<Presigned>, Failure>) -> Option<Box<Presigned>> {
        self.asking -= 1;
        let failures = match self.states.get(&name) {
            Some(State::Asking { failures }) => *failures,
            _ => 0,
        };
        let (state, answer) = match outcome {
            Ok(presigned) => (State::Answered(presigned.clone()), Some(presigned)),
            Err(failure) => {
                let doubled = FIRST_PAUSE.saturating_mul(1 << failures.min(8)).min(LONGEST_PAUSE);
                let stays = matches!(&failure, Failure::Refused(refusal) if refusal.stays());
                let until = now + if stays { REFUSED_PAUSE } else { doubled };
                (State::Waiting { until, failures: failures.saturating_add(1) }, None)
            }
        };
        self.states.insert(name, state);
        answer
    }

    /// Forgets something that is not being asked: at worst it is asked once more.
    fn forget(&mut self) {
        if self.states.len() > REMEMBERED {
            let idle = self.states.iter().find(|(_, state)| !matches!(state, State::Asking { .. }));
            if let Some(name) = idle.map(|(name, _)| *name) {
                self.states.remove(&name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use palisade_bitcoin::covenant::Answer;
    use palisade_types::ids::{SchnorrKey, SchnorrSignature};

    fn name(number: u32) -> Hash {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        Hash::new(bytes)
    }

    fn presigned() -> Box<Presigned> {
        let member = SchnorrKey::new([1; 32]);
        let (signature, slashings) = (SchnorrSignature::new([2; 64]), Vec::new().try_into().unwrap());
        let answer = Answer { member, unbonding: signature, slashings, endorsement: signature, expansion: None };
        Box::new(Presigned { registration: name(7), answer })
    }

    #[test]
    fn a_registration_is_asked_once_at_a_time_and_answered_from_memory_later() {
        let (mut desk, now) = (Desk::default(), Instant::now());
        assert_eq!(desk.turn(now, name(1)), Turn::Ask);
        assert_eq!(desk.turn(now, name(1)), Turn::Wait);
        assert_eq!(desk.turn(now, name(2)), Turn::Ask, "another does not wait for it");
        assert_eq!(desk.done(now, name(1), Ok(presigned())), Some(presigned()));
        assert_eq!(desk.turn(now, name(1)), Turn::Answered(presigned()));
    }

    #[test]
    fn failures_double_the_pause_up_to_a_limit_and_a_refusal_that_stays_waits_longest() {
        let (mut desk, mut now) = (Desk::default(), Instant::now());
        for pause in [1, 2, 4, 8, 16, 16, 16] {
            assert_eq!(desk.turn(now, name(1)), Turn::Ask);
            desk.done(now, name(1), Err(Failure::Refused(Refusal::Locked)));
            assert_eq!(desk.turn(now + Duration::from_millis(pause * 1_000 - 1), name(1)), Turn::Wait);
            now += Duration::from_secs(pause);
        }
        assert_eq!(desk.turn(now, name(2)), Turn::Ask);
        desk.done(now, name(2), Err(Failure::Refused(Refusal::Spent)));
        assert_eq!(desk.turn(now + Duration::from_secs(59), name(2)), Turn::Wait);
        assert_eq!(desk.turn(now + Duration::from_secs(60), name(2)), Turn::Ask);
    }

    #[test]
    fn no_more_than_a_few_are_asked_and_not_too_many_remembered() {
        let (mut desk, now) = (Desk::default(), Instant::now());
        for number in 0..IN_FLIGHT {
            assert_eq!(desk.turn(now, name(u32::try_from(number).unwrap())), Turn::Ask);
        }
        assert_eq!(desk.turn(now, name(99)), Turn::Wait);
        desk.done(now, name(0), Err(Failure::Unanswered(Unanswered::Slow)));
        assert_eq!(desk.turn(now, name(99)), Turn::Ask, "a place is free again");
        for number in 1_000..3_000 {
            desk.done(now, name(99), Err(Failure::Other));
            assert_eq!(desk.turn(now, name(number)), Turn::Ask);
            desk.done(now, name(number), Err(Failure::Other));
            assert_eq!(desk.turn(now + LONGEST_PAUSE, name(99)), Turn::Ask);
        }
        assert!(desk.states.len() <= REMEMBERED + 1);
        assert!((1..IN_FLIGHT).all(|number| desk.states.contains_key(&name(u32::try_from(number).unwrap()))));
    }
}
