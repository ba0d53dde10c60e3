//! A stake in the making: what a staker has chosen, until every signature of his is there.
//!
//! A plan is nothing but a registration whose staker's signatures are still blank, so that it needs no format of its own, and holds no
//! secret: it may lie in a file between two visits of the wallet.

use std::str::FromStr;

use bitcoin::address::Address;
use bitcoin::secp256k1::XOnlyPublicKey;
use bitcoin::{Amount, Block, FeeRate, Network, OutPoint, Psbt, ScriptBuf, Transaction};
use palisade_types::vault::Expansion;
use palisade_types::{Canonical, OperatorId, SchnorrKey, SchnorrSignature, VaultId, VaultRegistration};

use crate::descriptor::Descriptors;
use crate::expansion::{self, FundingCoin, UnpayableExpansion};
use crate::inclusion::MerkleProof;
use crate::psbt::{self, PsbtError, Request};
use crate::registration::{self, Draft, Presigned, RegistrationError};
use crate::scripts::{StakingTerms, TermsError};
use crate::staker::{Coin, StakerError, Wallet};
use crate::vault::{CheckedVault, VaultError, VaultRules, Versions};
use crate::witness;

/// The largest plan that is read, in bytes.
pub const MAX_PLAN_BYTES: usize = 400_000;

/// Why a plan cannot be made, read or carried on.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A key is no x-only key.
    #[error("{0} is no x-only key of 32 bytes in hex")]
    Key(String),
    /// An address is none of this network.
    #[error("{0} is no address of this network")]
    Address(String),
    /// A coin's name is none.
    #[error("{0} is no coin (txid:output)")]
    Coin(String),
    /// The bytes are no plan of this network.
    #[error("no plan: {0}")]
    Malformed(String),
    /// The terms are refused.
    #[error(transparent)]
    Terms(#[from] TermsError),
    /// The stake is refused.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The registration is refused.
    #[error(transparent)]
    Registration(#[from] RegistrationError),
    /// A PSBT does not do.
    #[error(transparent)]
    Psbt(#[from] PsbtError),
    /// The wallet cannot pay.
    #[error(transparent)]
    Staker(#[from] StakerError),
    /// The expansion cannot be paid.
    #[error(transparent)]
    Expansion(#[from] UnpayableExpansion),
    /// A PSBT signs nothing that this plan asks for.
    #[error("the PSBT is of none of this plan's transactions")]
    Foreign,
    /// The stake is not in the block it was said to be in.
    #[error("the block at {0} does not hold the staking transaction")]
    NotThere(u64),
    /// The fee rate is no number of satoshis.
    #[error("a fee rate of {0} sat/vB")]
    Rate(u64),
    /// The network's own terms are impossible, or there are none.
    #[error("bitcoin does not count in this network at this height")]
    NoTerms,
}

/// What a staker chooses before any coin is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    operator: OperatorId,
    terms: StakingTerms,
    rules: VaultRules,
    ladder: Vec<Amount>,
}

impl Choice {
    /// A stake behind `operator`, whose finality key is the first of `providers`; the others are those of other services behind the same
    /// stake. `height` chooses the version of the network's terms. `fees` are those of the ladder of slashing transactions, satoshis,
    /// ascending (R28); when there is none, the least fee, 4 times and 16 times that, as far as the stake may bear.
    ///
    /// # Errors
    ///
    /// [`PlanError::Key`], [`PlanError::NoTerms`], [`PlanError::Terms`], [`PlanError::Vault`].
    pub fn new(
        versions: &Versions,
        height: u64,
        operator: OperatorId,
        (staker, providers): (&str, &[String]),
        staking_time: u16,
        fees: &[u64],
    ) -> Result<Self, PlanError> {
        let rules = versions.at(height).ok_or(PlanError::NoTerms)?.clone();
        let providers = providers.iter().map(|text| key(text)).collect::<Result<Vec<_>, _>>()?;
        let terms = rules.terms(key(staker)?, providers, staking_time)?;
        let least = rules.min_slash_fee();
        let ladder = match fees {
            [] => [1, 4, 16].into_iter().filter_map(|times| least.checked_mul(times)).collect(),
            fees => fees.iter().map(|fee| Amount::from_sat(*fee)).collect::<Vec<_>>(),
        };
        rules.allow(&terms, &ladder)?;
        Ok(Self { operator, terms, rules, ladder })
    }

    /// The least that the stake must hold.
    pub fn least(&self) -> Amount {
        self.rules.min_stake()
    }

    /// The address that makes the stake.
    pub fn address(&self, network: Network) -> String {
        let script = self.terms.staking_output().script_pubkey;
        Address::from_script(&script, network).map_or_else(|_| script.to_hex_string(), |address| address.to_string())
    }

    /// How a wallet recognises the stake and what becomes of it.
    pub fn descriptors(&self) -> Option<Descriptors> {
        Descriptors::of(&self.terms)
    }

    /// The plan of a stake that a wallet funded without signing yet.
    ///
    /// # Errors
    ///
    /// [`PlanError`].
    pub fn funded(&self, psbt: &Psbt) -> Result<Plan, PlanError> {
        let (staking, index) = psbt::funded(psbt, &self.terms)?;
        self.plan(&staking, index, None)
    }

    /// The plan of a stake that a key of our own pays for, and its staking transaction, signed and not sent: it should be when the
    /// covenant has signed. `rate` in sat/vB.
    ///
    /// # Errors
    ///
    /// [`PlanError`].
    pub fn paid(
        &self,
        wallet: &Wallet,
        coins: &[Coin],
        amount: u64,
        rate: u64,
    ) -> Result<(Plan, Transaction), PlanError> {
        let rate = fee_rate(rate)?;
        let staking = wallet.stake(coins, &self.terms, Amount::from_sat(amount), rate)?;
        Ok((self.plan(&staking, 0, None)?, staking))
    }

    /// The plan of a stake that grows out of `parent`, paid for by `funding`. With `rest`, the new vault holds that amount and what remains
    /// goes to that address's script; without, all of it stays in the vault. `rate` in sat/vB.
    ///
    /// # Errors
    ///
    /// [`PlanError`].
    pub fn expanding(
        &self,
        parent: &Presigned,
        funding: &FundingCoin,
        rest: Option<(u64, ScriptBuf)>,
        rate: u64,
    ) -> Result<Plan, PlanError> {
        let rest = rest.map(|(amount, script)| (Amount::from_sat(amount), script));
        let staking = expansion::build(parent.vault(), &self.terms, funding, rest, fee_rate(rate)?)?;
        let grows = expansion::write(parent.draft().id(), funding).map_err(RegistrationError::from)?;
        self.plan(&staking, 0, Some(grows))
    }

    fn plan(&self, staking: &Transaction, index: u32, expansion: Option<Expansion>) -> Result<Plan, PlanError> {
        let vault = CheckedVault::check(staking, index, self.terms.clone(), &self.ladder, &self.rules)?;
        let blank = vec![BLANK; vault.slashings().len()];
        let registration = registration::write(self.operator, staking, (None, expansion), &vault, &blank)?;
        Ok(Plan { registration, vault })
    }
}

/// A signature that is still to come.
const BLANK: SchnorrSignature = SchnorrSignature::new([0; 64]);

/// A stake in the making.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    registration: VaultRegistration,
    vault: CheckedVault,
}

impl Plan {
    /// Reads a plan back and rebuilds everything it speaks of.
    ///
    /// # Errors
    ///
    /// [`PlanError::Malformed`], [`PlanError::Registration`].
    pub fn read(bytes: &[u8], versions: &Versions) -> Result<Self, PlanError> {
        if bytes.len() > MAX_PLAN_BYTES {
            return Err(PlanError::Malformed(format!("{} bytes", bytes.len())));
        }
        let read = VaultRegistration::from_bytes(bytes).map_err(|error| PlanError::Malformed(error.to_string()))?;
        let vault = registration::vault(&read, versions)?;
        Ok(Self { registration: read, vault })
    }

    /// What lies in a file between two visits of the wallet.
    pub fn bytes(&self) -> Vec<u8> {
        self.registration.to_bytes()
    }

    /// The vault it becomes.
    pub fn id(&self) -> VaultId {
        self.vault.id()
    }

    /// The vault it grows out of.
    pub fn parent(&self) -> Option<&VaultId> {
        self.registration.expansion.as_ref().map(|expansion| &expansion.parent)
    }

    /// What the staker must sign before the plan can be registered.
    pub fn requests(&self) -> Vec<Request> {
        Request::slashings(&self.vault)
    }

    /// Takes a signature out of a PSBT that a wallet gave back; says of which request.
    ///
    /// # Errors
    ///
    /// [`PlanError::Foreign`], [`PlanError::Psbt`]; nothing has changed then.
    pub fn take(&mut self, signed: &Psbt) -> Result<usize, PlanError> {
        let requests = self.requests();
        let asked = requests.iter().position(|request| *request.transaction() == signed.unsigned_tx);
        let index = asked.ok_or(PlanError::Foreign)?;
        let signature = requests[index].signature(signed)?;
        self.set(index, signature);
        Ok(index)
    }

    /// Signs everything with a key of our own.
    pub fn sign(&mut self, wallet: &Wallet) {
        for (index, signature) in registration::sign(&self.vault, wallet.secret()).into_iter().enumerate() {
            self.set(index, signature);
        }
    }

    fn set(&mut self, index: usize, signature: SchnorrSignature) {
        let staked = self.registration.slashings.len();
        let list = match index.checked_sub(staked) {
            None => self.registration.slashings.as_mut_slice().get_mut(index),
            Some(index) => self.registration.unbonding_slashings.as_mut_slice().get_mut(index),
        };
        list.expect("there is one signature for each slashing transaction").staker = signature;
    }

    /// The requests that are still unsigned.
    pub fn unsigned(&self) -> Vec<usize> {
        let all = self.registration.slashings.iter().chain(self.registration.unbonding_slashings.iter());
        all.enumerate().filter(|(_, slashing)| slashing.staker == BLANK).map(|(index, _)| index).collect()
    }

    /// Says that the staking transaction stands in `block` at `height`, for a stake that was locked before it was registered. The
    /// staker's signatures do not cover it.
    ///
    /// # Errors
    ///
    /// [`PlanError::NotThere`], [`PlanError::Registration`].
    pub fn include(&mut self, block: &Block, height: u64) -> Result<(), PlanError> {
        let staking = self.vault.outpoint().txid;
        let index = block.txdata.iter().position(|transaction| transaction.compute_txid() == staking);
        let proof = index.and_then(|index| MerkleProof::of(block, u32::try_from(index).ok()?));
        let proof = proof.ok_or(PlanError::NotThere(height))?;
        self.registration.inclusion = Some(registration::inclusion(&proof, block.block_hash(), height)?);
        Ok(())
    }

    /// The registration to hand in, once everything is signed, after the checks that every voter makes.
    ///
    /// # Errors
    ///
    /// [`PlanError::Registration`].
    pub fn registration(
        &self,
        parent: Option<&VaultRegistration>,
        versions: &Versions,
    ) -> Result<&VaultRegistration, PlanError> {
        Draft::check(&self.registration, parent, versions)?;
        Ok(&self.registration)
    }
}

/// The staking transaction that a wallet has signed, if it is this vault's. A wallet need not have finished the inputs of a single
/// key: a Taproot key's, or a P2WPKH's.
///
/// # Errors
///
/// [`PsbtError`].
pub fn finished(psbt: Psbt, vault: &CheckedVault) -> Result<Transaction, PsbtError> {
    if psbt.unsigned_tx.compute_txid() != vault.outpoint().txid {
        return Err(PsbtError::OtherTransaction);
    }
    let mut psbt = psbt;
    for (at, input) in psbt.inputs.iter_mut().enumerate() {
        input.final_script_witness = Some(psbt::single_key_witness(input).ok_or(PsbtError::Unsigned(at))?);
    }
    psbt.extract_tx().map_err(|error| PsbtError::Malformed(error.to_string()))
}

/// The name of a coin, `txid:output`.
///
/// # Errors
///
/// [`PlanError::Coin`].
pub fn coin(outpoint: &str) -> Result<OutPoint, PlanError> {
    OutPoint::from_str(outpoint).map_err(|_| PlanError::Coin(outpoint.to_owned()))
}

/// The script of an address of this network.
///
/// # Errors
///
/// [`PlanError::Address`].
pub fn script(address: &str, network: Network) -> Result<ScriptBuf, PlanError> {
    let wrong = || PlanError::Address(address.to_owned());
    let address = Address::from_str(address).map_err(|_| wrong())?;
    Ok(address.require_network(network).map_err(|_| wrong())?.script_pubkey())
}

fn key(text: &str) -> Result<XOnlyPublicKey, PlanError> {
    let wrong = || PlanError::Key(text.to_owned());
    let bytes = SchnorrKey::from_str(text).map_err(|_| wrong())?;
    XOnlyPublicKey::from_slice(bytes.as_bytes()).map_err(|_| wrong())
}

fn fee_rate(rate: u64) -> Result<FeeRate, PlanError> {
    FeeRate::from_sat_per_vb(rate).ok_or(PlanError::Rate(rate))
}

/// A wallet's key as the ledger names it.
pub fn staker(wallet: &Wallet) -> SchnorrKey {
    witness::name(&wallet.key())
}
