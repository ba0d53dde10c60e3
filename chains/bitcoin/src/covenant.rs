//! The session in which the covenant signs before a vault counts.
//!
//! A member checks the whole registration himself and then answers once: a plain signature on the unbonding transaction,
//! one on the registration itself (which binds operator and block), and for each
//! slashing transaction and each finality provider an adaptor signature, which becomes a signature only with the provider's secret. So the covenant can neither slash an honest provider's stakers nor be asked to
//! answer an equivocation. [`Presigning`] collects answers, believes none, and says when there are enough.
//!
//! The first input of an expansion he signs later, when the ledger holds the presigned registration ([`Member::release`]). A signature
//! on it that nobody had registered would convict him (R27), and whoever has it can show it at once.

use std::collections::BTreeMap;

use bitcoin::block::Header;
use bitcoin::secp256k1::XOnlyPublicKey;
use palisade_crypto::{adaptor, eots};
use palisade_types::vault::{CovenantAdaptor, CovenantSignature, MAX_PROVIDERS, MAX_RUNGS};
use palisade_types::{
    AdaptorBytes, Canonical, List, Malformed, Reader, SchnorrKey, SchnorrSignature, VaultRegistration,
};

use crate::expansion::CheckedExpansion;
use crate::registration::{Draft, Presigned, RegistrationError, member, member_adaptors};
use crate::vault::{PinnedSlashing, Versions};
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
    /// His signature on the registration: [`VaultRegistration::endorsement`].
    pub endorsement: SchnorrSignature,
    /// His signature on an expansion's first input, when the ledger holds it and he is in the parent's covenant too.
    pub expansion: Option<SchnorrSignature>,
}

impl Canonical for Answer {
    fn write(&self, out: &mut Vec<u8>) {
        self.member.write(out);
        self.unbonding.write(out);
        self.slashings.write(out);
        self.endorsement.write(out);
        self.expansion.write(out);
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            member: Canonical::read(input)?,
            unbonding: Canonical::read(input)?,
            slashings: Canonical::read(input)?,
            endorsement: Canonical::read(input)?,
            expansion: Canonical::read(input)?,
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
    /// A registration that names no block needs none: its coins are locked when everything is signed. `parent` is what the
    /// member's own ledger holds of the vault that an expansion grows out of; that it is active, that no vault lies where the
    /// funding coin does and that the terms are in force is for that ledger to say before.
    ///
    /// # Errors
    ///
    /// [`RegistrationError`]: the member does not sign. One bad registration costs no other one anything.
    pub fn presign(
        &self,
        registration: &VaultRegistration,
        parent: Option<&VaultRegistration>,
        header: Option<&Header>,
        versions: &Versions,
    ) -> Result<Answer, RegistrationError> {
        let draft = Draft::check(registration, parent, versions)?;
        if draft.inclusion().is_some() {
            draft.check_inclusion(header.ok_or(RegistrationError::Unseen)?)?;
        }
        member(draft.vault(), &witness::name(&self.key()))?;
        Ok(self.sign(&draft, false))
    }

    /// The same, and for an expansion a signature on its first input as well: only when the member's own ledger holds this very
    /// registration, and so for good.
    ///
    /// # Errors
    ///
    /// As [`Self::presign`].
    pub fn release(
        &self,
        registration: &VaultRegistration,
        parent: Option<&VaultRegistration>,
        versions: &Versions,
    ) -> Result<Answer, RegistrationError> {
        let draft = Draft::check(registration, parent, versions)?;
        member(draft.vault(), &witness::name(&self.key()))?;
        match draft.inclusion() {
            Some(_) => Err(RegistrationError::Unseen), // nothing is to be released
            None => Ok(self.sign(&draft, true)),
        }
    }

    fn sign(&self, draft: &Draft, releases: bool) -> Answer {
        let vault = draft.vault();
        let first_input = |expansion: &CheckedExpansion| {
            member(expansion.parent(), &witness::name(&self.key())).ok()?;
            Some(witness::sign(&self.secret, expansion.sighash()))
        };
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
            endorsement: witness::sign(&self.secret, draft.endorsement().as_bytes()),
            expansion: draft.expansion().filter(|_| releases).and_then(first_input),
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
    parent: Option<VaultRegistration>,
    draft: Draft,
    answers: BTreeMap<SchnorrKey, Answer>,
}

impl Presigning {
    /// Opens a session for a registration that staker and operator agree on; the covenant's lists in it are ignored. `parent`
    /// as in [`Draft::check`].
    ///
    /// # Errors
    ///
    /// [`RegistrationError`]: no member would sign it.
    pub fn open(
        registration: &VaultRegistration,
        parent: Option<&VaultRegistration>,
        versions: &Versions,
    ) -> Result<Self, RegistrationError> {
        let registration = registration.bare();
        let draft = Draft::check(&registration, parent, versions)?;
        Ok(Self { registration, parent: parent.cloned(), draft, answers: BTreeMap::new() })
    }

    /// What the members are asked to sign.
    pub fn registration(&self) -> &VaultRegistration {
        &self.registration
    }

    /// The vault that the registration expands.
    pub fn parent(&self) -> Option<&VaultRegistration> {
        self.parent.as_ref()
    }

    /// What was checked before anybody was asked.
    pub fn draft(&self) -> &Draft {
        &self.draft
    }

    /// Takes one member's answer after checking every signature in it. A second answer of a member replaces his first; what he
    /// released stays so.
    ///
    /// # Errors
    ///
    /// [`RegistrationError`]: the answer counts for nothing; the session goes on.
    pub fn take(&mut self, mut answer: Answer) -> Result<Progress, RegistrationError> {
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
        if !witness::verify(&key, self.draft.endorsement().as_bytes(), &answer.endorsement) {
            return Err(RegistrationError::Endorsement(answer.member));
        }
        self.check_first_input(&answer)?;
        let before = self.answers.get(&answer.member).and_then(|before| before.expansion);
        answer.expansion = answer.expansion.or(before);
        self.answers.insert(answer.member, answer);
        Ok(self.progress())
    }

    /// Who is in the parent's covenant may sign its coins away; who is not, and whoever answers anything else, does not.
    fn check_first_input(&self, answer: &Answer) -> Result<(), RegistrationError> {
        let wrong = RegistrationError::FirstInput(answer.member);
        let expansion = self.draft.expansion();
        let signer =
            expansion.and_then(|expansion| Some((expansion, member(expansion.parent(), &answer.member).ok()?)));
        match (signer, &answer.expansion) {
            (_, None) => Ok(()),
            (Some((expansion, key)), Some(signature)) if witness::verify(&key, expansion.sighash(), signature) => {
                Ok(())
            }
            _ => Err(wrong),
        }
    }

    /// How far the session has come.
    pub fn progress(&self) -> Progress {
        let quorum = self.draft.vault().terms().quorum();
        match self.answers.len() {
            signed if signed < usize::from(quorum) => Progress::Waiting { signed, quorum },
            _ => Progress::Complete,
        }
    }

    /// Whether enough of the parent's covenant let its coins go into this expansion.
    fn is_released(&self) -> bool {
        let released = self.answers.values().filter(|answer| answer.expansion.is_some()).count();
        let quorum = self.draft.expansion().map(|expansion| expansion.parent().terms().quorum());
        quorum.is_some_and(|quorum| released >= usize::from(quorum))
    }

    /// The whole registration, with every answer that came; of an expansion with its first input signed as soon as it is by enough.
    ///
    /// # Errors
    ///
    /// [`RegistrationError::NoQuorum`] while more answers are needed.
    pub fn finish(&self, versions: &Versions) -> Result<VaultRegistration, RegistrationError> {
        let mut whole = self.registration.clone();
        let signatures = |of: fn(&Answer) -> Option<SchnorrSignature>| {
            let one = |answer: &Answer| Some(CovenantSignature { member: answer.member, signature: of(answer)? });
            List::try_from(self.answers.values().filter_map(one).collect::<Vec<_>>())
        };
        whole.unbonding_covenant = signatures(|answer| Some(answer.unbonding))?;
        whole.endorsements = signatures(|answer| Some(answer.endorsement))?;
        if let Some(expansion) = whole.expansion.as_mut().filter(|_| self.is_released()) {
            expansion.covenant = signatures(|answer| answer.expansion)?;
        }
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
        Presigned::check(&whole, self.parent.as_ref(), versions)?;
        Ok(whole)
    }
}
