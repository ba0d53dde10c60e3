//! Key, record and quota: what stands between a checked registration and a signature.

use super::protocol::{Reason, Refusal};
use super::record::{Record, Signed};
use crate::message::Presigned;
use palisade_bitcoin::RegistrationError;
use palisade_bitcoin::covenant::{Answer, Member};
use palisade_crypto::eots;
use palisade_types::ids::{ChainId, OperatorId, SchnorrKey, VaultId};
use palisade_types::vault::{MAX_EXPANSIONS, VaultRegistration};

/// How much may be signed in an hour, by what is new; what was signed before is signed again freely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Vaults in all,
    pub vaults: usize,
    /// of one operator,
    pub of_one: usize,
    /// before their coins are locked (R32),
    pub early: usize,
    /// and of one operator, before their coins are locked.
    pub early_of_one: usize,
}

/// Why a key is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key is not {expected}'s")]
pub struct WrongKey {
    /// Whose it should be.
    expected: SchnorrKey,
}

/// See the module.
#[derive(Debug)]
pub struct Keeper {
    chain: ChainId,
    public: SchnorrKey,
    /// Wiped when it is taken out.
    member: Option<Member>,
    record: Record,
    quota: Quota,
}

impl Keeper {
    /// Locked.
    #[must_use]
    pub const fn new(chain: ChainId, public: SchnorrKey, record: Record, quota: Quota) -> Self {
        Self { chain, public, member: None, record, quota }
    }

    /// The member.
    #[must_use]
    pub const fn public(&self) -> SchnorrKey {
        self.public
    }

    /// Whether the key is in memory.
    #[must_use]
    pub const fn is_unlocked(&self) -> bool {
        self.member.is_some()
    }

    /// Whether the record's disk failed.
    #[must_use]
    pub const fn failed(&self) -> bool {
        self.record.failed()
    }

    /// Takes the key.
    ///
    /// # Errors
    ///
    /// [`WrongKey`]: it is another one's.
    pub fn unlock(&mut self, secret: eots::SecretKey) -> Result<(), WrongKey> {
        if secret.public().to_bytes() != *self.public.as_bytes() {
            return Err(WrongKey { expected: self.public });
        }
        self.member = Some(Member::new(secret));
        Ok(())
    }

    /// Wipes the key.
    pub fn lock(&mut self) {
        self.member = None;
    }

    /// How many vaults stand in the record, and how many came in the hour before `now`.
    pub fn counts(&mut self, now: u64) -> (usize, usize) {
        (self.record.len(), self.record.this_hour(now, &OperatorId::ZERO).vaults)
    }

    /// Signs for `vault`, which the registration is of. `presign` checks the registration and signs it; what it gives leaves only
    /// after the record is on the disk. `now` is in seconds since 1970.
    ///
    /// # Errors
    ///
    /// [`Refusal`]; after [`Refusal::Failed`] nothing is signed any more.
    pub fn sign(
        &mut self,
        now: u64,
        vault: VaultId,
        registration: &VaultRegistration,
        presign: impl FnOnce(&Member) -> Result<Answer, RegistrationError>,
    ) -> Result<Presigned, Refusal> {
        if self.record.failed() {
            return Err(Refusal::Failed);
        }
        let member = self.member.as_ref().ok_or(Refusal::Locked)?;
        let signed = Signed::of(vault, registration, now);
        let standing = self.record.standing(&vault);
        match standing {
            Some(standing) if standing != signed.essence => return Err(Refusal::Contradiction),
            Some(_) => {}
            None => may_be_new(&mut self.record, &self.quota, &signed)?,
        }
        let answer = presign(member).map_err(refusal)?;
        if standing.is_none() {
            self.record.sign(signed).map_err(|error| {
                tracing::error!(error = &error as &dyn std::error::Error, "nothing is signed any more");
                Refusal::Failed
            })?;
        }
        Ok(Presigned { registration: registration.endorsement(&self.chain), answer })
    }
}

/// Whether something may be signed that was not signed before.
fn may_be_new(record: &mut Record, quota: &Quota, signed: &Signed) -> Result<(), Refusal> {
    if signed.parent.is_some_and(|parent| record.expansions(&parent) >= MAX_EXPANSIONS) {
        return Err(Refusal::Expansions);
    }
    let hourly = record.this_hour(signed.time, &signed.operator);
    let early = signed.early && (hourly.early >= quota.early || hourly.early_of_one >= quota.early_of_one);
    if early || hourly.vaults >= quota.vaults || hourly.of_one >= quota.of_one {
        return Err(Refusal::Quota);
    }
    Ok(())
}

/// A block that is another one than the registration names may become the right one: chains reorganise.
pub(super) fn refusal(error: RegistrationError) -> Refusal {
    match error {
        RegistrationError::OtherBlock => Refusal::NotYet(Reason::new(error)),
        other => Refusal::Invalid(Reason::new(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use palisade_types::canonical::{Canonical, Reader};
    use palisade_types::ids::{Hash, SchnorrSignature};
    use palisade_types::vault::Inclusion;
    use std::path::Path;

    const NOW: u64 = 1_800_000_000;
    const MUCH: Quota = Quota { vaults: 9, of_one: 9, early: 9, early_of_one: 9 };

    fn secret(number: u8) -> eots::SecretKey {
        eots::SecretKey::from_bytes(&[number; 32]).unwrap()
    }

    fn keeper(dir: &Path, quota: Quota) -> Keeper {
        let public = SchnorrKey::new(secret(1).public().to_bytes());
        Keeper::new(ChainId::ZERO, public, Record::open(dir, &ChainId::ZERO, &public).unwrap(), quota)
    }

    /// Whether a registration holds is not the keeper's to say: here one is of nothing.
    fn registration(operator: u8) -> VaultRegistration {
        let mut registration = VaultRegistration::read(&mut Reader::new(&[0; 4096])).unwrap();
        registration.operator = OperatorId::new([operator; 20]);
        registration.inclusion = Some(Inclusion::read(&mut Reader::new(&[0; 128])).unwrap());
        registration
    }

    fn vault(number: u8) -> VaultId {
        VaultId { txid: Hash::new([number; 32]), output: 0 }
    }

    fn signs(member: &Member) -> Result<Answer, RegistrationError> {
        let member = SchnorrKey::new(member.key().serialize());
        let (signature, slashings) = (SchnorrSignature::new([0; 64]), Vec::new().try_into().unwrap());
        Ok(Answer { member, unbonding: signature, slashings, endorsement: signature, expansion: None })
    }

    #[test]
    fn nothing_is_signed_while_the_key_is_locked_and_no_other_key_opens_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut keeper = keeper(dir.path(), MUCH);
        assert_eq!(keeper.sign(NOW, vault(1), &registration(1), signs), Err(Refusal::Locked));
        assert!(keeper.unlock(secret(2)).is_err());
        assert!(!keeper.is_unlocked());
        keeper.unlock(secret(1)).unwrap();
        assert!(keeper.sign(NOW, vault(1), &registration(1), signs).is_ok());
        keeper.lock();
        assert_eq!(keeper.sign(NOW, vault(1), &registration(1), signs), Err(Refusal::Locked));
        assert_eq!(keeper.counts(NOW), (1, 1));
    }

    #[test]
    fn the_same_again_is_signed_and_something_else_for_the_output_is_not_even_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let quota = Quota { vaults: 1, ..MUCH };
        let mut first = keeper(dir.path(), quota);
        first.unlock(secret(1)).unwrap();
        let answer = first.sign(NOW, vault(1), &registration(1), signs).unwrap();
        drop(first);
        let mut keeper = keeper(dir.path(), quota);
        keeper.unlock(secret(1)).unwrap();
        assert_eq!(keeper.sign(NOW, vault(1), &registration(1), signs), Ok(answer), "it costs no quota");
        assert_eq!(keeper.sign(NOW, vault(1), &registration(2), signs), Err(Refusal::Contradiction));
    }

    #[test]
    fn what_does_not_hold_leaves_no_trace() {
        let dir = tempfile::tempdir().unwrap();
        let mut keeper = keeper(dir.path(), MUCH);
        keeper.unlock(secret(1)).unwrap();
        let bad = keeper.sign(NOW, vault(1), &registration(1), |_| Err(RegistrationError::NotMembers));
        assert!(matches!(bad, Err(Refusal::Invalid(_))) && bad.unwrap_err().stays());
        let early = keeper.sign(NOW, vault(1), &registration(1), |_| Err(RegistrationError::OtherBlock));
        assert!(matches!(early, Err(Refusal::NotYet(_))), "a reorganisation may bring its block back");
        assert!(!early.unwrap_err().stays());
        assert_eq!(keeper.counts(NOW), (0, 0));
        assert!(keeper.sign(NOW, vault(1), &registration(2), signs).is_ok());
    }

    #[test]
    fn r32_a_quota_bounds_what_is_new_in_an_hour_in_all_and_of_one_operator() {
        let dir = tempfile::tempdir().unwrap();
        let mut keeper = keeper(dir.path(), Quota { vaults: 3, of_one: 2, ..MUCH });
        keeper.unlock(secret(1)).unwrap();
        let mut sign = |now, number, operator| keeper.sign(now, vault(number), &registration(operator), signs).err();
        assert_eq!([sign(NOW, 1, 1), sign(NOW, 2, 1)], [None, None]);
        assert_eq!(sign(NOW, 3, 1), Some(Refusal::Quota), "of one operator");
        assert_eq!(sign(NOW + 1, 3, 2), None);
        assert_eq!(sign(NOW + 1, 4, 3), Some(Refusal::Quota), "in all");
        assert_eq!(sign(NOW + 3_599, 4, 3), Some(Refusal::Quota));
        assert_eq!(sign(NOW + 3_600, 4, 3), None, "an hour later");
    }

    #[test]
    fn r32_before_the_coins_are_locked_a_quota_of_its_own_holds() {
        let dir = tempfile::tempdir().unwrap();
        let mut keeper = keeper(dir.path(), Quota { early: 2, early_of_one: 1, ..MUCH });
        keeper.unlock(secret(1)).unwrap();
        let early = |operator| VaultRegistration { inclusion: None, ..registration(operator) };
        assert!(keeper.sign(NOW, vault(1), &early(1), signs).is_ok());
        assert_eq!(keeper.sign(NOW, vault(2), &early(1), signs), Err(Refusal::Quota), "of one operator");
        assert!(keeper.sign(NOW, vault(2), &registration(1), signs).is_ok(), "what is locked has its own");
        assert!(keeper.sign(NOW, vault(3), &early(2), signs).is_ok());
        assert_eq!(keeper.sign(NOW, vault(4), &early(3), signs), Err(Refusal::Quota), "in all");
        assert!(keeper.sign(NOW, vault(1), &registration(1), signs).is_ok(), "where it stands comes to be known later");
    }

    #[test]
    fn of_one_vault_only_so_many_expansions_are_signed() {
        let dir = tempfile::tempdir().unwrap();
        let mut keeper = keeper(dir.path(), MUCH);
        keeper.unlock(secret(1)).unwrap();
        let expansion = palisade_types::vault::Expansion::read(&mut Reader::new(
            &[7; 36].iter().chain(&[0; 64]).copied().collect::<Vec<_>>(),
        ))
        .unwrap();
        let child = VaultRegistration { inclusion: None, expansion: Some(expansion), ..registration(1) };
        for number in 1..=u8::try_from(MAX_EXPANSIONS).unwrap() {
            assert!(keeper.sign(NOW, vault(number), &child, signs).is_ok());
        }
        assert_eq!(keeper.sign(NOW, vault(99), &child, signs), Err(Refusal::Expansions));
        assert!(keeper.sign(NOW, vault(1), &child, signs).is_ok(), "the same again");
    }
}
