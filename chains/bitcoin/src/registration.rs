//! A vault's registration: what staker and covenant sign before a vault counts.
//!
//! A registration is believed in nothing. [`Draft::check`] rebuilds every transaction from the terms and compares, and
//! checks the staker's signatures; [`Presigned::check`] also checks that a quorum of the covenant has signed everything:
//! the unbonding transaction plainly, each slashing transaction encrypted to each finality provider's key, the registration itself,
//! and of an expansion the first input. Only then can a provider's equivocation be answered without asking anybody.

use std::collections::BTreeMap;

use bitcoin::block::Header;
use bitcoin::consensus::encode;
use bitcoin::hashes::Hash as _;
use bitcoin::secp256k1::XOnlyPublicKey;
use bitcoin::{Amount, Transaction};
use palisade_crypto::adaptor::AdaptorSignature;
use palisade_crypto::eots;
use palisade_types::vault::{CovenantAdaptor, CovenantSignature, Expansion, Inclusion, Slashing};
use palisade_types::{
    Blob, Hash, List, Malformed, OperatorId, Sats, SchnorrKey, SchnorrSignature, VaultId, VaultRegistration,
};

use crate::expansion::{CheckedExpansion, ExpansionError};
use crate::inclusion::{InclusionError, MerkleProof};
use crate::scripts::TermsError;
use crate::vault::{CheckedVault, Held, PinnedSlashing, VaultError, VaultRules, Versions};
use crate::witness;

/// Why a registration is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationError {
    /// A key is no point.
    #[error("the {0} key is not on the curve")]
    Key(&'static str),
    /// The providers are not in ascending order.
    #[error("the finality providers are not ascending")]
    Unsorted,
    /// Some bytes are not a transaction without its witness.
    #[error("the {0} bytes are not a transaction without a witness")]
    NotATransaction(&'static str),
    /// The output is no vault of this network, or some transaction is not the pinned one.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The terms are refused.
    #[error(transparent)]
    Terms(#[from] TermsError),
    /// The amount named is not the output's.
    #[error("the registration names {named}, the output holds {held}")]
    Amount {
        /// What the registration says.
        named: Amount,
        /// What the output holds.
        held: Amount,
    },
    /// The staker did not sign a slashing transaction.
    #[error("the staker's signature on slashing transaction {0} does not verify")]
    Staker(usize),
    /// Somebody who is no member signed, or members are not ascending.
    #[error("the covenant's signatures are not by ascending members of it")]
    NotMembers,
    /// Fewer members than the quorum signed.
    #[error("{signed} of {quorum} covenant members signed")]
    NoQuorum {
        /// How many signed everything.
        signed: usize,
        /// How many must.
        quorum: u16,
    },
    /// A member's signature on the unbonding transaction is wrong.
    #[error("covenant member {0} did not sign the unbonding transaction")]
    Unbonding(SchnorrKey),
    /// A member's adaptor signatures are incomplete or wrong.
    #[error("covenant member {member} did not sign slashing transaction {index}")]
    Adaptor {
        /// The member.
        member: SchnorrKey,
        /// The place of the transaction in [`CheckedVault::slashings`].
        index: usize,
    },
    /// The network has no such version of its terms.
    #[error("the network has no version {0} of its terms")]
    UnknownTerms(u16),
    /// Other terms were in force when its coins were locked.
    #[error("version {named} of the terms was not in force at height {height}")]
    OtherTerms {
        /// What the registration says.
        named: u16,
        /// The height of its block.
        height: u64,
    },
    /// The dearest rung does not pay what the registration says (R28).
    #[error("the registration names a top rate of {named}, its transactions make {real}")]
    TopRate {
        /// What the registration says.
        named: u64,
        /// What the transactions say.
        real: u64,
    },
    /// A member did not sign this very registration: its operator or its block is not what he saw.
    #[error("covenant member {0} did not endorse the registration")]
    Endorsement(SchnorrKey),
    /// It is no expansion of its parent.
    #[error(transparent)]
    Expansion(#[from] ExpansionError),
    /// A member of the parent's covenant did not sign the first input.
    #[error("covenant member {0} did not sign the expansion's first input")]
    FirstInput(SchnorrKey),
    /// The operator's finality key is not among the providers.
    #[error("none of the providers is the operator's finality key")]
    NotTheOperator,
    /// The block named is not the header's.
    #[error("the registration names another block")]
    OtherBlock,
    /// Somebody asks for a proof of inclusion where none is named, or has no block for the one that is.
    #[error("the block that holds the stake is not known")]
    Unseen,
    /// The Merkle path proves nothing.
    #[error(transparent)]
    Inclusion(#[from] InclusionError),
    /// A list or transaction is longer than a registration may carry.
    #[error(transparent)]
    TooLong(#[from] Malformed),
}

/// A registration whose vault, transactions and staker's signatures hold. The covenant has not been asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    operator: OperatorId,
    staking: Transaction,
    inclusion: Option<Inclusion>,
    vault: CheckedVault,
    staker: Vec<SchnorrSignature>,
    endorsement: Hash,
    expansion: Option<CheckedExpansion>,
}

impl Draft {
    /// Checks everything but the covenant's signatures and the block the stake stands in. `parent` is what the ledger holds
    /// of the vault that an expansion grows out of; no other registration needs it.
    ///
    /// # Errors
    ///
    /// [`RegistrationError`]: nobody may sign for it, and no block may hold it.
    pub fn check(
        registration: &VaultRegistration,
        parent: Option<&VaultRegistration>,
        versions: &Versions,
    ) -> Result<Self, RegistrationError> {
        let rules = in_force(registration, versions)?;
        let staking = transaction(&registration.staking, "staking")?;
        let vault = rebuild(registration, &staking, rules)?;
        let real = vault.top_rate();
        if registration.top_rate != real {
            return Err(RegistrationError::TopRate { named: registration.top_rate, real });
        }
        let draft = Self {
            operator: registration.operator,
            inclusion: registration.inclusion.clone(),
            staker: slashings(registration).map(|slashing| slashing.staker).collect(),
            endorsement: registration.endorsement(versions.chain()),
            expansion: expansion(registration, &staking, &vault, parent, versions)?,
            staking,
            vault,
        };
        draft.check_staker()?;
        Ok(draft)
    }

    fn check_staker(&self) -> Result<(), RegistrationError> {
        let staker = self.vault.terms().staker();
        let signed = |(pinned, signature): (&PinnedSlashing, &SchnorrSignature)| {
            witness::verify(&staker, &pinned.sighash, signature)
        };
        match self.vault.slashings().iter().zip(&self.staker).position(|pair| !signed(pair)) {
            Some(index) => Err(RegistrationError::Staker(index)),
            None => Ok(()),
        }
    }

    /// Checks that the staking transaction stands in the block with this header. Whether that block is on the
    /// heaviest chain, and how deep, is for [`crate::headers::HeaderChain`] to say.
    ///
    /// # Errors
    ///
    /// [`RegistrationError::Unseen`], [`RegistrationError::OtherBlock`] and [`RegistrationError::Inclusion`].
    pub fn check_inclusion(&self, header: &Header) -> Result<(), RegistrationError> {
        let inclusion = self.inclusion.as_ref().ok_or(RegistrationError::Unseen)?;
        if header.block_hash().to_byte_array() != *inclusion.block.as_bytes() {
            return Err(RegistrationError::OtherBlock);
        }
        let siblings = inclusion.siblings.iter().map(|sibling| *sibling.as_bytes()).collect();
        MerkleProof { index: inclusion.index, siblings }.verify(&self.staking, header)?;
        Ok(())
    }

    /// The operator who named himself. That one of the providers is his key is the ledger's to check.
    pub fn operator(&self) -> OperatorId {
        self.operator
    }

    /// The vault.
    pub fn vault(&self) -> &CheckedVault {
        &self.vault
    }

    /// The vault's name in the ledger.
    pub fn id(&self) -> VaultId {
        self.vault.id()
    }

    /// Where the staker says his transaction stands; `None` before his coins are locked.
    pub fn inclusion(&self) -> Option<&Inclusion> {
        self.inclusion.as_ref()
    }

    /// What a covenant member signs to endorse this very registration, with its operator and its block.
    pub fn endorsement(&self) -> &Hash {
        &self.endorsement
    }

    /// How the vault grows out of another one.
    pub fn expansion(&self) -> Option<&CheckedExpansion> {
        self.expansion.as_ref()
    }

    /// What may not be a vault: the coin that pays for an expansion.
    pub fn funding(&self) -> Option<VaultId> {
        self.expansion.as_ref().map(|expansion| name(expansion.funding()))
    }

    /// The staker's signature on slashing transaction `index`.
    pub(crate) fn staker_signature(&self, index: usize) -> &SchnorrSignature {
        &self.staker[index]
    }
}

pub(crate) fn name(outpoint: bitcoin::OutPoint) -> VaultId {
    VaultId { txid: Hash::new(outpoint.txid.to_byte_array()), output: outpoint.vout }
}

/// The rules a registration names. Where its coins are locked already, they must be those of that height; before, only the
/// ledger knows which are in force.
fn in_force<'a>(registration: &VaultRegistration, versions: &'a Versions) -> Result<&'a VaultRules, RegistrationError> {
    let named = registration.terms;
    let rules = versions.rules(named).ok_or(RegistrationError::UnknownTerms(named))?;
    match registration.inclusion.as_ref().map(|inclusion| inclusion.height) {
        Some(height) if versions.at(height) != Some(rules) => Err(RegistrationError::OtherTerms { named, height }),
        _ => Ok(rules),
    }
}

fn expansion(
    registration: &VaultRegistration,
    staking: &Transaction,
    vault: &CheckedVault,
    parent: Option<&VaultRegistration>,
    versions: &Versions,
) -> Result<Option<CheckedExpansion>, RegistrationError> {
    let Some(expansion) = &registration.expansion else {
        return Ok(None);
    };
    let old = parent.ok_or(ExpansionError::NoParent)?;
    let parent = self::vault(old, versions)?;
    if name(parent.outpoint()) != expansion.parent {
        return Err(ExpansionError::OtherParent.into());
    }
    Ok(Some(CheckedExpansion::check((registration, expansion), staking, vault, (old, parent))?))
}

/// Checks a registration as a voter, an RPC or a covenant member must before anything else: under the network's terms, with the
/// operator's own EOTS key among the providers, and with the covenant's quorum when `presigned`. `parent` as in [`Draft::check`].
///
/// # Errors
///
/// [`RegistrationError`].
pub fn check_registration(
    registration: &VaultRegistration,
    parent: Option<&VaultRegistration>,
    versions: &Versions,
    operator_eots: &SchnorrKey,
    presigned: bool,
) -> Result<VaultId, RegistrationError> {
    if !registration.providers.contains(operator_eots) {
        return Err(RegistrationError::NotTheOperator);
    }
    match presigned {
        true => Presigned::check(registration, parent, versions).map(|presigned| presigned.draft().id()),
        false => Draft::check(registration, parent, versions).map(|draft| draft.id()),
    }
}

/// The vault a registration speaks of, without a look at any signature: for watching vaults the ledger holds already.
///
/// # Errors
///
/// [`RegistrationError`].
pub fn vault(registration: &VaultRegistration, versions: &Versions) -> Result<CheckedVault, RegistrationError> {
    let rules = versions.rules(registration.terms).ok_or(RegistrationError::UnknownTerms(registration.terms))?;
    rebuild(registration, &transaction(&registration.staking, "staking")?, rules)
}

fn rebuild(
    registration: &VaultRegistration,
    staking: &Transaction,
    rules: &VaultRules,
) -> Result<CheckedVault, RegistrationError> {
    let staker = key(&registration.staker, "staker")?;
    let providers = registration.providers.iter().map(|bytes| key(bytes, "provider")).collect::<Result<Vec<_>, _>>()?;
    let terms = rules.terms(staker, providers.clone(), registration.staking_time)?;
    if terms.providers() != providers {
        return Err(RegistrationError::Unsorted);
    }
    let listed = listed(registration)?;
    let fees = fees(staking, registration, &listed)?;
    let vault = CheckedVault::check(staking, registration.output, terms, &fees, rules)?;
    vault.check_transactions(&transaction(&registration.unbonding, "unbonding")?, &listed)?;
    let named = Amount::from_sat(registration.amount.get());
    if named != vault.value() {
        return Err(RegistrationError::Amount { named, held: vault.value() });
    }
    Ok(vault)
}

/// A registration that counts: every signature of a quorum of the covenant is there and holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presigned {
    draft: Draft,
    unbonding: BTreeMap<SchnorrKey, SchnorrSignature>,
    /// By slashing transaction, member and provider.
    adaptors: Vec<BTreeMap<SchnorrKey, Vec<AdaptorSignature>>>,
    first_input: BTreeMap<SchnorrKey, SchnorrSignature>,
}

impl Presigned {
    /// Checks a whole registration; `parent` as in [`Draft::check`].
    ///
    /// # Errors
    ///
    /// [`RegistrationError`]: no block may hold it.
    pub fn check(
        registration: &VaultRegistration,
        parent: Option<&VaultRegistration>,
        versions: &Versions,
    ) -> Result<Self, RegistrationError> {
        let draft = Draft::check(registration, parent, versions)?;
        let members = check_endorsements(&draft, &registration.endorsements)?;
        let first_input = check_first_input(&draft, registration)?;
        Self::signed(draft, registration, first_input).and_then(|presigned| {
            match presigned.unbonding.keys().eq(&members) {
                true => Ok(presigned),
                false => Err(RegistrationError::NotMembers),
            }
        })
    }

    /// What a vault of the ledger can be unbonded and slashed with. Its endorsements were checked when it came in, and so was the
    /// input through which an expansion came: its parent is not needed any more.
    ///
    /// # Errors
    ///
    /// [`RegistrationError`]: no block should have held it.
    pub fn held(registration: &VaultRegistration, versions: &Versions) -> Result<Self, RegistrationError> {
        let settled = VaultRegistration { expansion: None, ..registration.clone() };
        let draft = Draft::check(&settled, None, versions)?;
        Self::signed(draft, registration, BTreeMap::new())
    }

    fn signed(
        draft: Draft,
        registration: &VaultRegistration,
        first_input: BTreeMap<SchnorrKey, SchnorrSignature>,
    ) -> Result<Self, RegistrationError> {
        let unbonding = check_unbonding(draft.vault(), &registration.unbonding_covenant)?;
        let members: Vec<SchnorrKey> = unbonding.keys().copied().collect();
        let adaptors = slashings(registration)
            .enumerate()
            .map(|(index, slashing)| check_adaptors(draft.vault(), index, &members, &slashing.covenant))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { draft, unbonding, adaptors, first_input })
    }

    /// What was checked before the covenant was asked.
    pub fn draft(&self) -> &Draft {
        &self.draft
    }

    /// The vault.
    pub fn vault(&self) -> &CheckedVault {
        &self.draft.vault
    }

    /// The covenant's signatures on the unbonding transaction.
    pub(crate) fn unbonding(&self) -> &BTreeMap<SchnorrKey, SchnorrSignature> {
        &self.unbonding
    }

    /// The parent's covenant's signatures on an expansion's first input.
    pub(crate) fn first_input(&self) -> &BTreeMap<SchnorrKey, SchnorrSignature> {
        &self.first_input
    }

    /// The covenant's adaptor signatures on slashing transaction `index`, encrypted to provider number `provider`.
    pub(crate) fn adaptors(
        &self,
        index: usize,
        provider: usize,
    ) -> impl Iterator<Item = (SchnorrKey, &AdaptorSignature)> {
        self.adaptors[index].iter().map(move |(member, adaptors)| (*member, &adaptors[provider]))
    }
}

/// Ascending members, a quorum of them at least, and every signature holds.
fn check_signatures(
    vault: &CheckedVault,
    signatures: &[CovenantSignature],
    message: &[u8; 32],
    wrong: fn(SchnorrKey) -> RegistrationError,
) -> Result<BTreeMap<SchnorrKey, SchnorrSignature>, RegistrationError> {
    let quorum = vault.terms().quorum();
    if !signatures.windows(2).all(|pair| pair[0].member < pair[1].member) {
        return Err(RegistrationError::NotMembers);
    }
    if signatures.len() < usize::from(quorum) {
        return Err(RegistrationError::NoQuorum { signed: signatures.len(), quorum });
    }
    for signature in signatures {
        let member = member(vault, &signature.member)?;
        if !witness::verify(&member, message, &signature.signature) {
            return Err(wrong(signature.member));
        }
    }
    Ok(signatures.iter().map(|signature| (signature.member, signature.signature)).collect())
}

fn check_unbonding(
    vault: &CheckedVault,
    signatures: &[CovenantSignature],
) -> Result<BTreeMap<SchnorrKey, SchnorrSignature>, RegistrationError> {
    check_signatures(vault, signatures, vault.unbonding_sighash(), RegistrationError::Unbonding)
}

/// Who endorsed the registration, ascending.
fn check_endorsements(draft: &Draft, signatures: &[CovenantSignature]) -> Result<Vec<SchnorrKey>, RegistrationError> {
    let message = draft.endorsement.as_bytes();
    let signed = check_signatures(&draft.vault, signatures, message, RegistrationError::Endorsement)?;
    Ok(signed.into_keys().collect())
}

/// The parent's covenant, under the parent's terms, let its coins go into this vault; nobody has, as long as it is not registered.
fn check_first_input(
    draft: &Draft,
    registration: &VaultRegistration,
) -> Result<BTreeMap<SchnorrKey, SchnorrSignature>, RegistrationError> {
    match (&draft.expansion, &registration.expansion) {
        (Some(checked), Some(expansion)) if !expansion.covenant.is_empty() => {
            check_signatures(checked.parent(), &expansion.covenant, checked.sighash(), RegistrationError::FirstInput)
        }
        _ => Ok(BTreeMap::new()),
    }
}

/// One adaptor signature of every member for every provider, by member and then provider, ascending.
fn check_adaptors(
    vault: &CheckedVault,
    index: usize,
    members: &[SchnorrKey],
    adaptors: &[CovenantAdaptor],
) -> Result<BTreeMap<SchnorrKey, Vec<AdaptorSignature>>, RegistrationError> {
    let providers = vault.terms().providers().len();
    if adaptors.len() != members.len() * providers {
        return Err(RegistrationError::NoQuorum { signed: adaptors.len() / providers, quorum: vault.terms().quorum() });
    }
    let of_member = |(member, adaptors): (&SchnorrKey, &[CovenantAdaptor])| {
        Ok((*member, member_adaptors(vault, index, member, adaptors)?))
    };
    members.iter().zip(adaptors.chunks(providers)).map(of_member).collect()
}

/// One member's adaptor signatures on one slashing transaction: one for each provider, ascending.
pub(crate) fn member_adaptors(
    vault: &CheckedVault,
    index: usize,
    by: &SchnorrKey,
    adaptors: &[CovenantAdaptor],
) -> Result<Vec<AdaptorSignature>, RegistrationError> {
    let wrong = || RegistrationError::Adaptor { member: *by, index };
    let signer = witness::public(&member(vault, by)?);
    let sighash = &vault.slashings().get(index).ok_or_else(wrong)?.sighash;
    let providers = vault.terms().providers();
    if adaptors.len() != providers.len() {
        return Err(wrong());
    }
    let one = |(provider, adaptor): (&XOnlyPublicKey, &CovenantAdaptor)| {
        if adaptor.member != *by || adaptor.provider != witness::name(provider) {
            return Err(wrong());
        }
        let signature = AdaptorSignature::from_bytes(adaptor.signature.as_bytes()).map_err(|_| wrong())?;
        signature.verify(&signer, sighash, &witness::public(provider)).map_err(|_| wrong())?;
        Ok(signature)
    };
    providers.iter().zip(adaptors).map(one).collect()
}

pub(crate) fn member(vault: &CheckedVault, name: &SchnorrKey) -> Result<XOnlyPublicKey, RegistrationError> {
    let is_named = |member: &&XOnlyPublicKey| member.serialize() == *name.as_bytes();
    vault.terms().covenant().iter().find(is_named).copied().ok_or(RegistrationError::NotMembers)
}

/// Where a staking transaction stands, as a registration carries it.
///
/// # Errors
///
/// [`RegistrationError::TooLong`] when the path is longer than a registration may carry.
pub fn inclusion(proof: &MerkleProof, block: bitcoin::BlockHash, height: u64) -> Result<Inclusion, RegistrationError> {
    let siblings: Vec<_> = proof.siblings.iter().map(|sibling| Hash::new(*sibling)).collect();
    Ok(Inclusion {
        block: Hash::new(block.to_byte_array()),
        height,
        index: proof.index,
        siblings: List::try_from(siblings)?,
    })
}

/// The staker's signatures that a registration needs: on each of [`CheckedVault::slashings`], in that order.
pub fn sign(vault: &CheckedVault, staker: &eots::SecretKey) -> Vec<SchnorrSignature> {
    vault.slashings().iter().map(|slashing| witness::sign(staker, &slashing.sighash)).collect()
}

/// Writes a registration for a vault: every transaction, the staker's signatures, and nothing of the covenant's. Without an
/// `inclusion` the covenant is asked before the coins are locked; an `expansion`'s list of signatures is empty.
///
/// # Errors
///
/// [`RegistrationError::Staker`] when there are not as many signatures as slashing transactions,
/// [`RegistrationError::TooLong`] when the staking transaction is longer than a registration may carry.
pub fn write(
    operator: OperatorId,
    staking: &Transaction,
    (inclusion, expansion): (Option<Inclusion>, Option<Expansion>),
    vault: &CheckedVault,
    staker: &[SchnorrSignature],
) -> Result<VaultRegistration, RegistrationError> {
    if staker.len() != vault.slashings().len() {
        return Err(RegistrationError::Staker(staker.len()));
    }
    let providers: Vec<_> = vault.terms().providers().iter().map(witness::name).collect();
    let of = |held: Held| {
        let ours = vault.slashings().iter().zip(staker).filter(|(slashing, _)| slashing.held == held);
        ours.map(|(slashing, staker)| {
            let transaction = bytes(&slashing.transaction)?;
            Ok(Slashing { transaction, staker: *staker, covenant: List::new() })
        })
        .collect::<Result<Vec<_>, RegistrationError>>()
    };
    Ok(VaultRegistration {
        terms: vault.version(),
        operator,
        staker: witness::name(&vault.terms().staker()),
        providers: List::try_from(providers)?,
        staking_time: vault.terms().staking_time(),
        staking: bytes(staking)?,
        output: vault.outpoint().vout,
        amount: Sats::new(vault.value().to_sat()),
        inclusion,
        expansion,
        unbonding: bytes(vault.unbonding_transaction())?,
        unbonding_covenant: List::new(),
        slashings: List::try_from(of(Held::Staked)?)?,
        unbonding_slashings: List::try_from(of(Held::Unbonding)?)?,
        top_rate: vault.top_rate(),
        endorsements: List::new(),
    })
}

/// A transaction as a registration carries it: without its witness, which its id does not cover.
fn bytes<const MAX: usize>(transaction: &Transaction) -> Result<Blob<MAX>, RegistrationError> {
    let mut bare = transaction.clone();
    bare.input.iter_mut().for_each(|input| input.witness.clear());
    Ok(Blob::try_from(encode::serialize(&bare))?)
}

fn key(bytes: &SchnorrKey, whose: &'static str) -> Result<XOnlyPublicKey, RegistrationError> {
    XOnlyPublicKey::from_slice(bytes.as_bytes()).map_err(|_| RegistrationError::Key(whose))
}

fn transaction(bytes: &[u8], which: &'static str) -> Result<Transaction, RegistrationError> {
    let transaction: Transaction = encode::deserialize(bytes).map_err(|_| RegistrationError::NotATransaction(which))?;
    if transaction.input.is_empty() || transaction.input.iter().any(|input| !input.witness.is_empty()) {
        return Err(RegistrationError::NotATransaction(which));
    }
    Ok(transaction)
}

/// Both lists of slashings, in the order of [`CheckedVault::slashings`].
fn slashings(registration: &VaultRegistration) -> impl Iterator<Item = &Slashing> {
    registration.slashings.iter().chain(registration.unbonding_slashings.iter())
}

fn listed(registration: &VaultRegistration) -> Result<Vec<Transaction>, RegistrationError> {
    slashings(registration).map(|slashing| transaction(&slashing.transaction, "slashing")).collect()
}

/// The ladder of fees the registration chose: what the slashing transactions of the staking output leave to miners.
fn fees(
    staking: &Transaction,
    registration: &VaultRegistration,
    listed: &[Transaction],
) -> Result<Vec<Amount>, RegistrationError> {
    let output = usize::try_from(registration.output).ok().and_then(|at| staking.output.get(at));
    let value = output.ok_or(VaultError::NoOutput(registration.output))?.value;
    let fee = |slashing: &Transaction| {
        let paid = slashing.output.iter().try_fold(Amount::ZERO, |sum, output| sum.checked_add(output.value));
        // One that pays more than it takes has no fee at all: below every ladder's least.
        paid.and_then(|paid| value.checked_sub(paid)).ok_or(VaultError::Ladder { least: Amount::ONE_SAT }.into())
    };
    listed.iter().take(registration.slashings.len()).map(fee).collect()
}
