//! The session in which the covenant signs before a vault counts.
//!
//! A member checks the whole registration himself and then answers once: a plain signature on the unbonding transaction,
//! and for each slashing transaction and each finality provider an adaptor signature, which becomes a signature only with
//! the provider's secret. So the covenant can neither slash an honest provider's stakers nor be asked to
//! answer an equivocation. [`Presigning`] collects answers, believes none, and says when there are enough.

use std::collections::BTreeMap;

use bitcoin::block::Header;
use bitcoin::secp256k1::XOnlyPublicKey;
use palisade_crypto::{adaptor, eots};
use palisade_types::vault::{CovenantAdaptor, CovenantSignature, MAX_PROVIDERS, MAX_RUNGS};
use palisade_types::{
    AdaptorBytes, Canonical, List, Malformed, Reader, SchnorrKey, SchnorrSignature, VaultRegistration,
};

use crate::registration::{Draft, Presigned, RegistrationError, member, member_adaptors};
use crate::vault::{CheckedVault, PinnedSlashing, VaultRules};
use crate::witness;

/// What one member says to one registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The member.
    pub member: SchnorrKey,
    /// His signature on the unbonding transaction.
    pub unbonding: SchnorrSignature,
    /// His adaptor signatures: by slashing transaction in the vault's order, then by provider, ascending.
    pub slashings: List<List<CovenantAdaptor, MAX_PROVIDERS>, { 2 * MAX_RUNGS }>,
}

impl Canonical for Answer {
    fn write(&self, out: &mut Vec<u8>) {
        self.member.write(out);
        self.unbonding.write(out);
        self.slashings.write(out);
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            member: Canonical::read(input)?,
            unbonding: Canonical::read(input)?,
            slashings: Canonical::read(input)?,
        })
    }
}

/// A member of the covenant, with his key.
pub struct Member {
    secret: eots::SecretKey,
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Member").field(&self.key()).finish()
    }
}

impl Member {
    /// Takes the member's key.
    pub fn new(secret: eots::SecretKey) -> Self {
        Self { secret }
    }

    /// The member's public key.
    pub fn key(&self) -> XOnlyPublicKey {
        witness::x_only(&self.secret.public())
    }

    /// Checks a registration from its first byte and signs everything. `header` is the block the member's **own** node shows at
    /// the height the registration names: a member who signs for a stake he did not see backs a promise of coins that may not exist.
    ///
    /// # Errors
    ///
    /// [`RegistrationError`]: the member does not sign. One bad registration costs no other one anything.
    pub fn presign(
        &self,
        registration: &VaultRegistration,
        header: &Header,
        rules: &VaultRules,
    ) -> Result<Answer, RegistrationError> {
        let draft = Draft::check(registration, rules)?;
        draft.check_inclusion(header)?;
        member(draft.vault(), &witness::name(&self.key()))?;
        Ok(self.sign(draft.vault()))
    }

    fn sign(&self, vault: &CheckedVault) -> Answer {
        let name = witness::name(&self.key());
        let encrypted = |slashing: &PinnedSlashing, provider: &XOnlyPublicKey| {
            let signature = adaptor::sign(&self.secret, &slashing.sighash, &witness::public(provider), &[0; 32]);
            let signature = AdaptorBytes::new(signature.to_bytes());
            CovenantAdaptor { member: name, provider: witness::name(provider), signature }
        };
        let of = |slashing: &PinnedSlashing| {
            let signed: Vec<_> =
                vault.terms().providers().iter().map(|provider| encrypted(slashing, provider)).collect();
            List::try_from(signed).expect("terms hold no more providers than a list")
        };
        let slashings: Vec<_> = vault.slashings().iter().map(of).collect();
        Answer {
            member: name,
            unbonding: witness::sign(&self.secret, vault.unbonding_sighash()),
            slashings: List::try_from(slashings).expect("a vault has no more slashing transactions than a list"),
        }
    }
}

/// How far a session has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More answers are needed.
    Waiting {
        /// Members who answered.
        signed: usize,
        /// Members who must.
        quorum: u16,
    },
    /// [`Presigning::finish`] gives the whole registration.
    Complete,
}

/// One registration on its way to a quorum.
#[derive(Clone, Debug)]
pub struct Presigning {
    registration: VaultRegistration,
    draft: Draft,
    answers: BTreeMap<SchnorrKey, Answer>,
}

impl Presigning {
    /// Opens a session for a registration that staker and operator agree on; the covenant's lists in it are ignored.
    ///
    /// # Errors
    ///
    /// [`RegistrationError`]: no member would sign it.
    pub fn open(registration: VaultRegistration, rules: &VaultRules) -> Result<Self, RegistrationError> {
        let draft = Draft::check(&registration, rules)?;
        Ok(Self { registration, draft, answers: BTreeMap::new() })
    }

    /// What the members are asked to sign.
    pub fn registration(&self) -> &VaultRegistration {
        &self.registration
    }

    /// Takes one member's answer after checking every signature in it. A second answer of a member replaces his first.
    ///
    /// # Errors
    ///
    /// [`RegistrationError`]: the answer counts for nothing; the session goes on.
    pub fn take(&mut self, answer: Answer) -> Result<Progress, RegistrationError> {
        let vault = self.draft.vault();
        let key = member(vault, &answer.member)?;
        if !witness::verify(&key, vault.unbonding_sighash(), &answer.unbonding) {
            return Err(RegistrationError::Unbonding(answer.member));
        }
        if answer.slashings.len() != vault.slashings().len() {
            return Err(RegistrationError::Adaptor { member: answer.member, index: answer.slashings.len() });
        }
        for (index, adaptors) in answer.slashings.iter().enumerate() {
            member_adaptors(vault, index, &answer.member, adaptors)?;
        }
        self.answers.insert(answer.member, answer);
        Ok(self.progress())
    }

    /// How far the session has come.
    pub fn progress(&self) -> Progress {
        let quorum = self.draft.vault().terms().quorum();
        match self.answers.len() {
            signed if signed >= usize::from(quorum) => Progress::Complete,
            signed => Progress::Waiting { signed, quorum },
        }
    }

    /// The whole registration, with every answer that came.
    ///
    /// # Errors
    ///
    /// [`RegistrationError::NoQuorum`] while more answers are needed.
    pub fn finish(&self, rules: &VaultRules) -> Result<VaultRegistration, RegistrationError> {
        let mut whole = self.registration.clone();
        let signature = |answer: &Answer| CovenantSignature { member: answer.member, signature: answer.unbonding };
        whole.unbonding_covenant = List::try_from(self.answers.values().map(signature).collect::<Vec<_>>())?;
        let staked = whole.slashings.len();
        let adaptors = |index: usize| {
            let of = |answer: &Answer| answer.slashings[index].to_vec();
            List::try_from(self.answers.values().flat_map(of).collect::<Vec<_>>())
        };
        for (index, slashing) in whole.slashings.as_mut_slice().iter_mut().enumerate() {
            slashing.covenant = adaptors(index)?;
        }
        for (index, slashing) in whole.unbonding_slashings.as_mut_slice().iter_mut().enumerate() {
            slashing.covenant = adaptors(staked + index)?;
        }
        Presigned::check(&whole, rules)?;
        Ok(whole)
    }
}
