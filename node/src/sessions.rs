//! Vault registrations that wait for the covenant: opened by whoever hands one in, known to every operator by gossip,
//! closed when the vault is in the ledger, its operator is convicted, or nobody could sign for too long.

use crate::handle::RegistrationRefused;
use crate::message::Presigned;
use palisade_bitcoin::covenant::{Presigning, Progress};
use palisade_bitcoin::registration::Draft;
use palisade_bitcoin::vault::VaultRules;
use palisade_ledger::Ledger;
use palisade_types::ids::{OperatorId, VaultId};
use palisade_types::units::Millis;
use palisade_types::vault::VaultRegistration;
use std::collections::BTreeMap;

/// Registrations that may wait at one time,
const MAX_OPEN: usize = 256;
/// and of one operator: a stranger who makes registrations up fills no more than that.
const MAX_OPEN_OF_ONE: usize = 16;
/// How long one may wait: a stake that no member finds on Bitcoin makes room again.
const LIFE: Millis = Millis::new(600_000);
/// How many are told again at one time.
const REPEATED: usize = 16;

/// Registrations that wait.
#[derive(Debug)]
pub struct Sessions {
    rules: Option<VaultRules>,
    open: BTreeMap<VaultId, Session>,
}

#[derive(Debug)]
struct Session {
    presigning: Presigning,
    since: Millis,
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
    /// None waits. Without `rules` vaults do not count in this network.
    #[must_use]
    pub const fn new(rules: Option<VaultRules>) -> Self {
        Self { rules, open: BTreeMap::new() }
    }

    /// The terms of this network's vaults.
    #[must_use]
    pub const fn rules(&self) -> Option<&VaultRules> {
        self.rules.as_ref()
    }

    /// The vault's name, when everything holds that does not depend on the ledger.
    ///
    /// # Errors
    ///
    /// [`RegistrationRefused`]: no honest node passes it on.
    pub fn name(&self, registration: &VaultRegistration) -> Result<VaultId, RegistrationRefused> {
        let rules = self.rules.as_ref().ok_or_else(|| refused("vaults do not count in this network"))?;
        Ok(Draft::check(registration, rules).map_err(refused)?.id())
    }

    /// Opens a session for a registration that [`Self::name`] named; true when it is new.
    ///
    /// # Errors
    ///
    /// [`RegistrationRefused`] with the reason; nothing has changed then.
    pub fn open(
        &mut self,
        now: Millis,
        ledger: &Ledger,
        id: VaultId,
        registration: VaultRegistration,
    ) -> Result<bool, RegistrationRefused> {
        self.check(ledger, &id, &registration)?;
        if self.open.contains_key(&id) {
            return Ok(false);
        }
        let of_one = |operator: &OperatorId| {
            self.open.values().filter(|session| session.presigning.registration().operator == *operator).count()
        };
        if self.open.len() >= MAX_OPEN || of_one(&registration.operator) >= MAX_OPEN_OF_ONE {
            return Err(refused("too many registrations wait for the covenant"));
        }
        let rules = self.rules.as_ref().ok_or_else(|| refused("vaults do not count in this network"))?;
        let presigning = Presigning::open(registration, rules).map_err(refused)?;
        self.open.insert(id, Session { presigning, since: now });
        Ok(true)
    }

    /// What depends on the ledger, and so on whose head it is.
    fn check(
        &self,
        ledger: &Ledger,
        id: &VaultId,
        registration: &VaultRegistration,
    ) -> Result<(), RegistrationRefused> {
        let operator = ledger
            .operator(&registration.operator)
            .ok_or_else(|| refused(format!("operator {} is unknown", registration.operator)))?;
        if operator.convicted.is_some() {
            return Err(refused(format!("operator {} is convicted", operator.id)));
        }
        if operator.keys_now().is_none_or(|row| !registration.providers.contains(&row.eots)) {
            return Err(refused("none of the finality providers is the operator's key"));
        }
        if ledger.vault(id).is_some() {
            return Err(refused(format!("vault {id} is registered already")));
        }
        Ok(())
    }

    /// Takes a covenant member's answer.
    pub fn take(&mut self, presigned: Presigned) -> Taken {
        let (Some(session), Some(rules)) = (self.open.get_mut(&presigned.vault), &self.rules) else {
            return Taken::Unneeded;
        };
        match session.presigning.take(presigned.answer) {
            Err(_) => Taken::Worthless,
            Ok(Progress::Waiting { .. }) => Taken::Waiting,
            Ok(Progress::Complete) => {
                session.presigning.finish(rules).map_or(Taken::Waiting, |whole| Taken::Whole(Box::new(whole)))
            }
        }
    }

    /// What should be said again, oldest first.
    pub fn repeated(&self) -> Vec<VaultRegistration> {
        let mut open: Vec<&Session> = self.open.values().collect();
        open.sort_by_key(|session| session.since);
        open.iter().take(REPEATED).map(|session| session.presigning.registration().clone()).collect()
    }

    /// Closes what the ledger has settled and what waited too long.
    pub fn settle(&mut self, now: Millis, ledger: &Ledger) {
        let convicted = |id: &OperatorId| ledger.operator(id).is_some_and(|operator| operator.convicted.is_some());
        self.open.retain(|id, session| {
            ledger.vault(id).is_none()
                && !convicted(&session.presigning.registration().operator)
                && session.since.get() + LIFE.get() > now.get()
        });
    }
}

fn refused(reason: impl ToString) -> RegistrationRefused {
    RegistrationRefused { reason: reason.to_string() }
}
