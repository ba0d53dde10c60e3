//! A delegation as it is registered on Babylon: transactions, and everything signed over them before the stake counts.
//!
//! Nothing in a registration is believed that can be computed: outputs, fees and ids follow from the transactions and the version's parameters.
//! What remains are signatures, and each is checked, because a stake with one bad covenant signature cannot be slashed by it.

use bitcoin::secp256k1::XOnlyPublicKey;
use bitcoin::{Amount, Network, OutPoint, Transaction, TxOut};
use palisade_crypto::adaptor::AdaptorSignature;
use palisade_crypto::eots::{self, SecretKey};
use palisade_types::SchnorrSignature;

use super::context::Context;
use super::parameters::Parameters;
use super::possession::{Possession, PossessionError};
use super::rules::Broken;
use super::spend::LeafSpend;
use super::transactions::{self, Known, Stake};
use crate::scripts::{Leaf, StakingTerms, TermsError};
use crate::witness;

/// What a staker registers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delegation {
    /// The staker's account on Babylon.
    pub owner: String,
    /// That the account's owner holds the staker's key.
    pub possession: Possession,
    /// The staker.
    pub staker: XOnlyPublicKey,
    /// The finality providers, in the registration's order.
    pub providers: Vec<XOnlyPublicKey>,
    /// The lock, in blocks.
    pub staking_time: u16,
    /// What is staked.
    pub staking_value: Amount,
    /// The staking transaction.
    pub staking: Transaction,
    /// The slashing transaction of the staking output.
    pub slashing: Transaction,
    /// The staker's signature on it.
    pub slashing_signature: SchnorrSignature,
    /// The unbonding transaction.
    pub unbonding: Transaction,
    /// The slashing transaction of the unbonding output.
    pub unbonding_slashing: Transaction,
    /// The staker's signature on it.
    pub unbonding_slashing_signature: SchnorrSignature,
}

/// What one covenant member adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CovenantPart {
    /// The member.
    pub member: XOnlyPublicKey,
    /// Adaptor signatures on the slashing transaction, one for each provider in the registration's order.
    pub slashing: Vec<AdaptorSignature>,
    /// A signature on the unbonding transaction.
    pub unbonding: SchnorrSignature,
    /// Adaptor signatures on the unbonding output's slashing transaction, in the same order.
    pub unbonding_slashing: Vec<AdaptorSignature>,
}

/// Why a delegation does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DelegationError {
    /// The account's owner does not hold the staker's key.
    #[error("the proof of possession does not hold")]
    Possession(#[from] PossessionError),
    /// The keys cannot make a stake.
    #[error(transparent)]
    Terms(#[from] TermsError),
    /// A transaction breaks a rule.
    #[error("the {transaction} transaction: {broken}")]
    Transaction {
        /// Which.
        transaction: &'static str,
        /// The rule.
        broken: Broken,
    },
    /// The value registered is not what the output holds.
    #[error("{registered} are registered, and the output holds {found}")]
    Value {
        /// What was said.
        registered: Amount,
        /// What is there.
        found: Amount,
    },
    /// The staker did not sign this transaction.
    #[error("the staker's signature on the {0} transaction does not match")]
    Staker(&'static str),
    /// Somebody who is no member signed.
    #[error("{0} is no member of the covenant")]
    NotAMember(XOnlyPublicKey),
    /// A member came twice.
    #[error("{0} signed twice")]
    Repeated(XOnlyPublicKey),
    /// A member did not sign for every provider.
    #[error("{member} gave {given} adaptor signatures for {providers} providers")]
    Count {
        /// The member.
        member: XOnlyPublicKey,
        /// How many came.
        given: usize,
        /// How many there must be.
        providers: usize,
    },
    /// A member's signature does not match.
    #[error("the signature of {member} on the {transaction} transaction does not match")]
    Covenant {
        /// The member.
        member: XOnlyPublicKey,
        /// Which transaction.
        transaction: &'static str,
    },
    /// Too few members have signed.
    #[error("{signed} covenant members signed, {quorum} are needed")]
    NoQuorum {
        /// How many did.
        signed: usize,
        /// How many must.
        quorum: u16,
    },
}

/// A delegation whose transactions and staker's signatures are good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    stake: Stake,
    providers: Vec<XOnlyPublicKey>,
    slashing: Signed,
    unbonding: Signed,
    unbonding_slashing: Signed,
}

/// A transaction with what is signed over it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Signed {
    transaction: Transaction,
    sighash: [u8; 32],
}

impl Delegation {
    /// Checks proof, transactions and the staker's signatures, as Babylon does before a delegation is pending.
    ///
    /// # Errors
    ///
    /// [`DelegationError`].
    pub fn check(
        &self,
        parameters: &Parameters,
        context: &Context,
        network: Network,
    ) -> Result<Checked, DelegationError> {
        self.possession.verify(&self.staker, &self.owner, context, network)?;
        self.check_transactions(parameters)
    }

    /// Checks everything but the proof of possession.
    ///
    /// # Errors
    ///
    /// [`DelegationError`].
    pub fn check_transactions(&self, parameters: &Parameters) -> Result<Checked, DelegationError> {
        let of = |transaction| move |broken| DelegationError::Transaction { transaction, broken };
        let terms = parameters.terms(self.staker, self.providers.clone(), self.staking_time)?;
        let stake = Stake::find(parameters, terms, &self.staking).map_err(of("staking"))?;
        if stake.value != self.staking_value {
            return Err(DelegationError::Value { registered: self.staking_value, found: stake.value });
        }
        let known = Known::all(&stake.terms, stake.outpoint, stake.value);
        transactions::slashing(parameters, &known, &self.slashing).require().map_err(of("slashing"))?;
        transactions::unbonding(parameters, &known, &self.unbonding).require().map_err(of("unbonding"))?;
        let unbonded = &self.unbonding.output[0];
        let from = OutPoint { txid: self.unbonding.compute_txid(), vout: 0 };
        let known = Known::all(&stake.terms, from, unbonded.value);
        transactions::slashing(parameters, &known, &self.unbonding_slashing)
            .require()
            .map_err(of("unbonding slashing"))?;
        let (staking, unbonding) = (stake.terms.staking_output(), stake.terms.unbonding_output());
        let checked = Checked {
            providers: self.providers.clone(),
            slashing: Signed::new(&self.slashing, &stake.output(), &staking.slashing),
            unbonding: Signed::new(&self.unbonding, &stake.output(), &staking.unbonding),
            unbonding_slashing: Signed::new(&self.unbonding_slashing, unbonded, &unbonding.slashing),
            stake,
        };
        for (signed, signature, transaction) in [
            (&checked.slashing, &self.slashing_signature, "slashing"),
            (&checked.unbonding_slashing, &self.unbonding_slashing_signature, "unbonding slashing"),
        ] {
            if !witness::verify(&self.staker, &signed.sighash, signature) {
                return Err(DelegationError::Staker(transaction));
            }
        }
        Ok(checked)
    }
}

impl Signed {
    fn new(transaction: &Transaction, spent: &TxOut, leaf: &Leaf) -> Self {
        let sighash = witness::only_sighash(transaction, spent, leaf);
        Self { transaction: transaction.clone(), sighash }
    }
}

impl Checked {
    /// The stake.
    pub fn stake(&self) -> &Stake {
        &self.stake
    }

    /// Its terms.
    pub fn terms(&self) -> &StakingTerms {
        &self.stake.terms
    }

    /// What is signed over the slashing, the unbonding and the unbonding output's slashing transaction.
    pub fn sighashes(&self) -> [&[u8; 32]; 3] {
        [&self.slashing.sighash, &self.unbonding.sighash, &self.unbonding_slashing.sighash]
    }

    /// Checks what the covenant added: every signature, members once, and a quorum of them.
    ///
    /// # Errors
    ///
    /// [`DelegationError`].
    pub fn check_covenant(&self, parts: &[CovenantPart]) -> Result<(), DelegationError> {
        for (place, part) in parts.iter().enumerate() {
            if parts[..place].iter().any(|earlier| earlier.member == part.member) {
                return Err(DelegationError::Repeated(part.member));
            }
            self.check_member(part)?;
        }
        let quorum = self.terms().quorum();
        if parts.len() < usize::from(quorum) {
            return Err(DelegationError::NoQuorum { signed: parts.len(), quorum });
        }
        Ok(())
    }

    /// Checks what one member added. A bad one says nothing about the others.
    ///
    /// # Errors
    ///
    /// [`DelegationError`].
    pub fn check_member(&self, part: &CovenantPart) -> Result<(), DelegationError> {
        let member = part.member;
        if !self.terms().covenant().contains(&member) {
            return Err(DelegationError::NotAMember(member));
        }
        if !witness::verify(&member, &self.unbonding.sighash, &part.unbonding) {
            return Err(DelegationError::Covenant { member, transaction: "unbonding" });
        }
        self.check_adaptors(member, &part.slashing, &self.slashing, "slashing")?;
        self.check_adaptors(member, &part.unbonding_slashing, &self.unbonding_slashing, "unbonding slashing")
    }

    fn check_adaptors(
        &self,
        member: XOnlyPublicKey,
        given: &[AdaptorSignature],
        signed: &Signed,
        transaction: &'static str,
    ) -> Result<(), DelegationError> {
        if given.len() != self.providers.len() {
            return Err(DelegationError::Count { member, given: given.len(), providers: self.providers.len() });
        }
        let signer = witness::public(&member);
        let good = given
            .iter()
            .zip(&self.providers)
            .all(|(adaptor, provider)| adaptor.verify(&signer, &signed.sighash, &witness::public(provider)).is_ok());
        if good { Ok(()) } else { Err(DelegationError::Covenant { member, transaction }) }
    }

    /// The key of the provider who completed a covenant signature and published it: anybody who holds the adaptor form can tell
    /// (Babylon's selective slashing). `None` when `published` is no slashing transaction of this delegation, or was completed by nobody's key.
    pub fn exposed(&self, published: &Transaction, parts: &[CovenantPart]) -> Option<(XOnlyPublicKey, SecretKey)> {
        let txid = published.compute_txid();
        let adaptors: fn(&CovenantPart) -> &[AdaptorSignature] = match () {
            () if txid == self.slashing.transaction.compute_txid() => |part| &part.slashing,
            () if txid == self.unbonding_slashing.transaction.compute_txid() => |part| &part.unbonding_slashing,
            () => return None,
        };
        let spend = LeafSpend::read(published, 0).ok()?;
        parts.iter().find_map(|part| {
            let slot = spend.covenant.iter().find(|slot| slot.key == part.member)?;
            let completed: [u8; 64] = slot.signature.as_slice().try_into().ok()?;
            self.providers.iter().zip(adaptors(part)).find_map(|(provider, adaptor)| {
                let secret = adaptor.recover(&completed).ok()?;
                let same = secret.public() == eots::PublicKey::from_bytes(&provider.serialize()).ok()?;
                same.then_some((*provider, secret))
            })
        })
    }
}
