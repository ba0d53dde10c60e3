//! Vault registrations that wait for the covenant: opened by whoever hands one in, known to every operator by gossip,
//! closed when the vault is in the ledger, the ledger would not take it any more, or nobody could sign for too long. An expansion's
//! stays open until its first input is signed as well, for which its members wait until the ledger holds it.
//!
//! A session is named by the registration, not by the vault: a stranger's copy with a false block or another operator is a session
//! of its own, which no honest member answers and which keeps nobody from the true one.

use crate::handle::RegistrationRefused;
use crate::message::Presigned;
use palisade_bitcoin::covenant::{Presigning, Progress};
use palisade_bitcoin::expansion::ExpansionError;
use palisade_bitcoin::registration::{Draft, RegistrationError};
use palisade_bitcoin::vault::Versions;
use palisade_ledger::{Invalid, Ledger};
use palisade_types::ids::{Hash, OperatorId, VaultId};
use palisade_types::units::Millis;
use palisade_types::vault::{MAX_VERIFIED, VaultRegistration};
use std::collections::BTreeMap;

/// Registrations that may wait at one time,
const MAX_OPEN: usize = 256;
/// and of one operator: a stranger who makes registrations up fills no more than that.
const MAX_OPEN_OF_ONE: usize = MAX_VERIFIED;
/// How long one may wait: a stake that no member finds on Bitcoin makes room again.
const LIFE: Millis = Millis::new(600_000);
/// How long one keeps its place for itself while no member answers: they answer in seconds. After that it gives way to one that
/// finds no place, or a stranger's made-up ones would keep the true ones out for all their life.
const UNANSWERED: Millis = Millis::new(10_000);
/// How many are told again at one time.
const REPEATED: usize = 16;

/// Registrations that wait.
#[derive(Debug)]
pub struct Sessions {
    versions: Versions,
    open: BTreeMap<Hash, Session>,
    /// Where [`Self::repeated`] goes on.
    turn: usize,
}

#[derive(Debug)]
struct Session {
    presigning: Presigning,
    since: Millis,
    /// Whether a member signed for it.
    answered: bool,
}

/// What a member of the covenant is asked to sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The registration, with nothing of the covenant's.
    pub registration: VaultRegistration,
    /// What the ledger holds of the vault that it expands.
    pub parent: Option<VaultRegistration>,
    /// Whether the ledger holds this very registration, so that an expansion's first input may be signed (R27).
    pub registered: bool,
}

/// What a covenant member's answer did.
#[derive(Debug)]
pub enum Taken {
    /// No registration waits for it.
    Unneeded,
    /// A signature in it does not hold.
    Worthless,
    /// It holds, and more are needed.
    Waiting,
    /// The registration is whole.
    Whole(Box<VaultRegistration>),
}

impl Sessions {
    /// None waits. Without a version of terms vaults do not count in this network.
    #[must_use]
    pub const fn new(versions: Versions) -> Self {
        Self { versions, open: BTreeMap::new(), turn: 0 }
    }

    /// The terms of this network's vaults.
    #[must_use]
    pub const fn versions(&self) -> &Versions {
        &self.versions
    }

    /// The vault's name, when everything holds that does not depend on the ledger. Of an expansion whose parent this ledger does
    /// not hold (yet) that is everything but the way it grows out of it.
    ///
    /// # Errors
    ///
    /// [`RegistrationRefused`]: no honest node passes it on.
    pub fn name(&self, ledger: &Ledger, registration: &VaultRegistration) -> Result<VaultId, RegistrationRefused> {
        match Draft::check(registration, parent(ledger, registration), &self.versions) {
            Err(RegistrationError::Expansion(ExpansionError::NoParent)) => {
                let alone = VaultRegistration { expansion: None, ..registration.clone() };
                Ok(Draft::check(&alone, None, &self.versions).map_err(refused)?.id())
            }
            checked => Ok(checked.map_err(refused)?.id()),
        }
    }

    /// Opens a session for a registration that [`Self::name`] named; what the members are to be asked when it is new.
    ///
    /// # Errors
    ///
    /// [`RegistrationRefused`] with the reason; nothing has changed then.
    pub fn open(
        &mut self,
        now: Millis,
        ledger: &Ledger,
        registration: &VaultRegistration,
    ) -> Result<Option<Asked>, RegistrationRefused> {
        ledger.expects(registration).map_err(refused)?;
        let name = registration.endorsement(self.versions.chain());
        if self.open.contains_key(&name) {
            return Ok(None);
        }
        let parent = parent(ledger, registration);
        let presigning = Presigning::open(registration, parent, &self.versions).map_err(refused)?;
        if presigning.draft().funding().is_some_and(|coin| ledger.vault(&coin).is_some()) {
            return Err(refused("the coin that pays for the expansion is a vault"));
        }
        if !self.make_room(now, &registration.operator) {
            return Err(refused("too many registrations wait for the covenant"));
        }
        let session = Session { presigning, since: now, answered: false };
        let asked = session.asked(ledger);
        self.open.insert(name, session);
        Ok(Some(asked))
    }

    /// Whether one more of an operator may wait: there is room, or the oldest that nobody answered gives way.
    fn make_room(&mut self, now: Millis, operator: &OperatorId) -> bool {
        let his = |session: &Session| session.presigning.registration().operator == *operator;
        let is_full = self.open.values().filter(|session| his(session)).count() >= MAX_OPEN_OF_ONE;
        if !is_full && self.open.len() < MAX_OPEN {
            return true;
        }
        let gives_way = |session: &Session| {
            let waited = now.get().saturating_sub(session.since.get());
            !session.answered && waited >= UNANSWERED.get() && (!is_full || his(session))
        };
        let idle = self.open.iter().filter(|(_, session)| gives_way(session));
        let oldest = idle.min_by_key(|(_, session)| session.since).map(|(name, _)| *name);
        oldest.is_some_and(|name| self.open.remove(&name).is_some())
    }

    /// Takes a covenant member's answer.
    pub fn take(&mut self, presigned: Presigned) -> Taken {
        let Some(session) = self.open.get_mut(&presigned.registration) else {
            return Taken::Unneeded;
        };
        let taken = session.presigning.take(presigned.answer);
        session.answered |= taken.is_ok();
        match taken {
            Err(_) => Taken::Worthless,
            Ok(Progress::Waiting { .. }) => Taken::Waiting,
            Ok(Progress::Complete) => {
                session.presigning.finish(&self.versions).map_or(Taken::Waiting, |whole| Taken::Whole(Box::new(whole)))
            }
        }
    }

    /// What should be said again: a part of all at a time, in turn, so that some that nobody signs keep no other one from
    /// being heard.
    pub fn repeated(&mut self, ledger: &Ledger) -> Vec<Asked> {
        let mut open: Vec<&Session> = self.open.values().collect();
        open.sort_by_key(|session| session.since);
        let (part, next) = in_turn(&open, self.turn, REPEATED);
        let asked = part.into_iter().map(|session| session.asked(ledger)).collect();
        self.turn = next;
        asked
    }

    /// Closes what the ledger has settled and what waited too long.
    pub fn settle(&mut self, now: Millis, ledger: &Ledger) {
        let may_come = |registration: &VaultRegistration| {
            !matches!(ledger.expects(registration), Err(Invalid::Late(_) | Invalid::Refused(_)))
        };
        self.open.retain(|_, session| {
            may_come(session.presigning.registration()) && session.since.get() + LIFE.get() > now.get()
        });
    }
}

impl Session {
    fn asked(&self, ledger: &Ledger) -> Asked {
        let (registration, parent) = (self.presigning.registration().clone(), self.presigning.parent().cloned());
        let known = ledger.vault(&self.presigning.draft().id());
        let registered = known.is_some_and(|known| known.registration.bare() == registration);
        Asked { registration, parent, registered }
    }
}

/// What the ledger holds of the vault that a registration expands.
pub fn parent<'a>(ledger: &'a Ledger, registration: &VaultRegistration) -> Option<&'a VaultRegistration> {
    let expansion = registration.expansion.as_ref()?;
    ledger.vault(&expansion.parent).map(|parent| &parent.registration)
}

/// At most `count` of all from place `turn` on, around the end, and the place after them.
fn in_turn<T: Copy>(all: &[T], turn: usize, count: usize) -> (Vec<T>, usize) {
    let Some(start) = turn.checked_rem(all.len()) else { return (Vec::new(), 0) };
    let part: Vec<T> = all.iter().cycle().skip(start).take(count.min(all.len())).copied().collect();
    let next = start + part.len();
    (part, next)
}

fn refused(reason: impl ToString) -> RegistrationRefused {
    RegistrationRefused { reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_waits_is_said_again_in_turn() {
        assert_eq!(in_turn::<u8>(&[], 7, 2), (vec![], 0));
        assert_eq!(in_turn(&[1], 0, 2), (vec![1], 1));
        let (mut turn, mut said) = (0, Vec::new());
        for _ in 0..5 {
            let (part, next) = in_turn(&[1, 2, 3, 4, 5], turn, 2);
            said.extend(part);
            turn = next;
        }
        assert_eq!(said, [1, 2, 3, 4, 5, 1, 2, 3, 4, 5]);
        assert_eq!(in_turn(&[1, 2], 5, 2), (vec![2, 1], 3), "others are gone since");
    }
}
