//! An expansion: a vault whose coins go into a new vault without ever being free.
//!
//! The new vault's staking transaction has exactly two inputs. Input 0 is the old vault's staking output, spent by its
//! **unbonding leaf**: the staker and a quorum of the old vault's covenant sign, under the old vault's terms. Input 1 is a coin of the
//! staker's that pays the fee. Both signatures cover both spent outputs (BIP-341), so that a registration that names a false
//! funding coin gets signatures that are worth nothing.
//!
//! The covenant signs input 0 only after it has checked the whole new registration and presigned its slashings: who equivocates
//! is slashed by one vault or the other, whichever transaction is mined first. Therefore the new vault keeps staker, operator, every
//! finality provider and at least the value. And so that the transaction cannot be pinned or kept out by fees (R28), it is of
//! version 3 (TRUC, BIP-431) or has no output besides the vault.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash as _;
use bitcoin::sighash::{Prevouts, SighashCache};
use bitcoin::transaction::Version;
use bitcoin::{
    Amount, FeeRate, OutPoint, ScriptBuf, Sequence, TapSighashType, Transaction, TxIn, TxOut, Weight, Witness,
};
use palisade_types::vault::{Expansion, Funding, MAX_WITNESS_PROGRAM};
use palisade_types::{Blob, List, Malformed, Sats, SchnorrKey, SchnorrSignature, VaultId, VaultRegistration};

use crate::registration::Presigned;
use crate::scripts::StakingTerms;
use crate::vault::CheckedVault;
use crate::witness::{self, Signatures};

/// Why a registration is no expansion of its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ExpansionError {
    /// The parent was not handed in: whoever checks does not know it.
    #[error("the parent is not known")]
    NoParent,
    /// The parent handed in is another vault.
    #[error("input 0 is not the parent's staking output")]
    OtherParent,
    /// Neither more nor fewer than the parent and one coin.
    #[error("{0} inputs instead of the parent's and one that pays")]
    Inputs(usize),
    /// The coin that pays is worth nothing or lies under no witness program.
    #[error("the funding coin {0}")]
    Funding(&'static str),
    /// Its transaction could be pinned.
    #[error("the transaction is not of version 3 and has other outputs than the vault")]
    Pinnable,
    /// More outputs than the vault and one for the change.
    #[error("{0} outputs instead of the vault's and one for the change")]
    Outputs(usize),
    /// The new vault holds less.
    #[error("the new vault holds {new}, the old one {old}")]
    Value {
        /// What the parent holds.
        old: Amount,
        /// What the child would.
        new: Amount,
    },
    /// Nothing is left for the miners.
    #[error("the transaction pays no fee")]
    NoFee,
    /// Another staker.
    #[error("the staker is not the parent's")]
    Staker,
    /// Another operator.
    #[error("the operator is not the parent's")]
    Operator,
    /// A provider who could equivocate and keep his stakers' coins from a slash.
    #[error("finality provider {0} is left out")]
    Provider(SchnorrKey),
    /// Too few members of the old covenant are in the new one: who signs input 0 must have presigned the slashings.
    #[error("{common} members are in both covenants, the old quorum is {quorum}")]
    Covenant {
        /// Members of both.
        common: usize,
        /// How many of the old one must sign.
        quorum: u16,
    },
    /// It names a block, although its slashings must be signed before its coins move.
    #[error("it stands in a block already")]
    Included,
}

/// A coin that pays for an expansion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FundingCoin {
    /// Where it lies.
    pub outpoint: OutPoint,
    /// What it holds, and its script: a witness program.
    pub output: TxOut,
}

/// Why an expansion's transaction cannot be built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnpayableExpansion {
    /// The parent and the coin together are worth less than the new vault and its fee.
    #[error("{held} is not enough for {needed} and a fee of {fee}")]
    NotEnough {
        /// What both are worth.
        held: Amount,
        /// What the new vault is to hold.
        needed: Amount,
        /// The fee.
        fee: Amount,
    },
    /// The fee is no amount of bitcoin.
    #[error("the fee rate is too high")]
    Rate,
    /// The coin that pays is the vault itself, whose coins move anyway.
    #[error("the coin that pays must be another one than the vault itself")]
    Itself,
}

/// Builds the staking transaction of an expansion, unsigned: output 0 is the new vault under `terms`. With `rest`, the vault
/// holds that amount and what remains after the fee goes to that script, when it is worth an output; without, everything but the
/// fee goes into the vault. `rate` is for a funding coin spent by one signature.
///
/// # Errors
///
/// [`UnpayableExpansion`].
pub fn build(
    parent: &CheckedVault,
    terms: &StakingTerms,
    funding: &FundingCoin,
    rest: Option<(Amount, ScriptBuf)>,
    rate: FeeRate,
) -> Result<Transaction, UnpayableExpansion> {
    if funding.outpoint == parent.outpoint() {
        return Err(UnpayableExpansion::Itself);
    }
    let input = |previous_output| TxIn {
        previous_output,
        script_sig: ScriptBuf::new(),
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        witness: Witness::new(),
    };
    let vault = TxOut { value: Amount::ZERO, script_pubkey: terms.staking_output().script_pubkey };
    let mut transaction = Transaction {
        version: Version(3),
        lock_time: LockTime::ZERO,
        input: vec![input(parent.outpoint()), input(funding.outpoint)],
        output: vec![vault],
    };
    if let Some((_, script_pubkey)) = &rest {
        transaction.output.push(TxOut { value: Amount::ZERO, script_pubkey: script_pubkey.clone() });
    }
    let weight = transaction.weight() + parent.unbonding_witness_weight() + SINGLE_SIGNATURE;
    let fee = rate.fee_wu(weight).ok_or(UnpayableExpansion::Rate)?;
    let held = parent.value().checked_add(funding.output.value).ok_or(UnpayableExpansion::Rate)?;
    let wanted = rest.as_ref().map_or(parent.value(), |(amount, _)| *amount);
    let left = held.checked_sub(fee).filter(|left| *left >= wanted);
    let left = left.ok_or(UnpayableExpansion::NotEnough { held, needed: wanted, fee })?;
    match rest {
        None => transaction.output[0].value = left,
        Some((amount, script)) => {
            transaction.output[0].value = amount;
            match left - amount {
                dust if dust < script.minimal_non_dust() => drop(transaction.output.pop()), // it goes to the miners
                change => transaction.output[1].value = change,
            }
        }
    }
    Ok(transaction)
}

/// The witness of a coin spent by one signature: of a P2WPKH, which is larger than a Taproot key path's.
const SINGLE_SIGNATURE: Weight = Weight::from_wu(109);

/// An expansion that keeps the rules: its transaction, and what is signed for input 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedExpansion {
    parent: CheckedVault,
    transaction: Transaction,
    spent: [TxOut; 2],
    sighash: [u8; 32],
}

impl CheckedExpansion {
    /// Checks `child`, whose staking transaction is `transaction`, against its parent.
    pub(crate) fn check(
        (registration, expansion): (&VaultRegistration, &Expansion),
        transaction: &Transaction,
        child: &CheckedVault,
        (old, parent): (&VaultRegistration, CheckedVault),
    ) -> Result<Self, ExpansionError> {
        if registration.inclusion.is_some() {
            return Err(ExpansionError::Included);
        }
        keeps_people((registration, child), (old, &parent))?;
        let spent = spent(expansion, transaction, &parent)?;
        keeps_value(transaction, child, &parent, &spent)?;
        let sighash = witness::sighash(transaction, 0, &spent, &parent.staking_output().unbonding)
            .expect("two inputs, and two outputs that they spend");
        Ok(Self { parent, transaction: transaction.clone(), spent, sighash })
    }

    /// The vault whose coins move.
    pub fn parent(&self) -> &CheckedVault {
        &self.parent
    }

    /// The new vault's staking transaction, unsigned.
    pub fn transaction(&self) -> &Transaction {
        &self.transaction
    }

    /// The outputs that its two inputs spend: the parent's, and the coin that pays.
    pub fn spent(&self) -> &[TxOut; 2] {
        &self.spent
    }

    /// What the staker and the parent's covenant sign for input 0.
    pub fn sighash(&self) -> &[u8; 32] {
        &self.sighash
    }

    /// What the owner of the funding coin signs for input 1, when it is spent by one Taproot key (BIP-341, default sighash).
    /// `None` when it lies under another program: his wallet knows how to spend it.
    pub fn funding_sighash(&self) -> Option<[u8; 32]> {
        if !self.spent[1].script_pubkey.is_p2tr() {
            return None;
        }
        SighashCache::new(&self.transaction)
            .taproot_key_spend_signature_hash(1, &Prevouts::All(&self.spent), TapSighashType::Default)
            .ok()
            .map(|hash| hash.to_byte_array())
    }

    /// Where the coin that pays lies. No vault may lie there: whoever knows the ledger looks.
    pub fn funding(&self) -> OutPoint {
        self.transaction.input[1].previous_output
    }
}

fn keeps_people(
    (registration, child): (&VaultRegistration, &CheckedVault),
    (old, parent): (&VaultRegistration, &CheckedVault),
) -> Result<(), ExpansionError> {
    if registration.staker != old.staker {
        return Err(ExpansionError::Staker);
    }
    if registration.operator != old.operator {
        return Err(ExpansionError::Operator);
    }
    if let Some(missing) = old.providers.iter().find(|provider| !registration.providers.contains(provider)) {
        return Err(ExpansionError::Provider(*missing));
    }
    let new: BTreeSet<_> = child.terms().covenant().iter().map(bitcoin::XOnlyPublicKey::serialize).collect();
    let common = parent.terms().covenant().iter().filter(|member| new.contains(&member.serialize())).count();
    let quorum = parent.terms().quorum();
    if common < usize::from(quorum) { Err(ExpansionError::Covenant { common, quorum }) } else { Ok(()) }
}

fn spent(
    expansion: &Expansion,
    transaction: &Transaction,
    parent: &CheckedVault,
) -> Result<[TxOut; 2], ExpansionError> {
    let [first, _] = &transaction.input[..] else {
        return Err(ExpansionError::Inputs(transaction.input.len()));
    };
    if first.previous_output != parent.outpoint() {
        return Err(ExpansionError::OtherParent);
    }
    let script = ScriptBuf::from_bytes(expansion.funding.script.to_vec());
    if !script.is_witness_program() {
        return Err(ExpansionError::Funding("lies under no witness program"));
    }
    let value = Amount::from_sat(expansion.funding.value.get());
    if value == Amount::ZERO || value > Amount::MAX_MONEY {
        return Err(ExpansionError::Funding("is worth no amount of bitcoin"));
    }
    Ok([parent.spent(crate::vault::Held::Staked), TxOut { value, script_pubkey: script }])
}

fn keeps_value(
    transaction: &Transaction,
    child: &CheckedVault,
    parent: &CheckedVault,
    spent: &[TxOut; 2],
) -> Result<(), ExpansionError> {
    if child.value() < parent.value() {
        return Err(ExpansionError::Value { old: parent.value(), new: child.value() });
    }
    if transaction.version != Version(3) && transaction.output.len() > 1 {
        return Err(ExpansionError::Pinnable);
    }
    if transaction.output.len() > 2 {
        return Err(ExpansionError::Outputs(transaction.output.len()));
    }
    let sum = |outputs: &[TxOut]| outputs.iter().try_fold(Amount::ZERO, |sum, one| sum.checked_add(one.value));
    match (sum(spent), sum(&transaction.output)) {
        (Some(held), Some(paid)) if held > paid => Ok(()),
        _ => Err(ExpansionError::NoFee),
    }
}

/// What a registration says of the expansion it is, before the covenant has signed.
///
/// # Errors
///
/// [`Malformed`] when the coin's script is longer than a witness program.
pub fn write(parent: VaultId, funding: &FundingCoin) -> Result<Expansion, Malformed> {
    let script: Blob<MAX_WITNESS_PROGRAM> = Blob::try_from(funding.output.script_pubkey.to_bytes())?;
    let funding = Funding { value: Sats::new(funding.output.value.to_sat()), script };
    Ok(Expansion { parent, funding, covenant: List::new() })
}

impl Presigned {
    /// The expansion's transaction with both witnesses: the staker's signature and exactly a quorum of the parent's covenant's
    /// on input 0, and whatever spends the funding coin. `None` when this is no expansion, comes from [`Presigned::held`], or its covenant
    /// has not released it yet.
    pub fn expand(&self, staker: &SchnorrSignature, funding: Witness) -> Option<Transaction> {
        let expansion = self.draft().expansion()?;
        let parent = expansion.parent();
        let quorum = usize::from(parent.terms().quorum());
        if self.first_input().len() < quorum {
            return None;
        }
        let signatures: BTreeMap<_, _> =
            self.first_input().iter().take(quorum).map(|(member, signature)| (*member, *signature)).collect();
        let mut transaction = expansion.transaction().clone();
        transaction.input[0].witness = Signatures::new()
            .slots(parent.terms().covenant(), &signatures)
            .one(staker)
            .leaf(&parent.staking_output().unbonding);
        transaction.input[1].witness = funding;
        Some(transaction)
    }
}
