//! A vault: one Bitcoin output that backs Palisade, and every transaction that may take it apart.
//!
//! Nothing about a vault is believed. Given the staking transaction, the terms and the network's rules, the output, the
//! unbonding transaction and every slashing transaction are computed again; what somebody sends is compared for equality. All fields are
//! pinned, because with two valid unbonding transactions a staker could leave by the one that carries no slashing signatures.
//!
//! Slashing takes `floor(value × rate)` for a sink that nobody owns (R8), pays one of a ladder of fees (R28), and gives the
//! rest back under the unbonding timelock. Dust and fees are the staker's; the slash is exact.

use bitcoin::absolute::LockTime;
use bitcoin::consensus::encode;
use bitcoin::secp256k1::XOnlyPublicKey;
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, Script, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Weight, Witness};
use palisade_types::genesis::VaultTerms;
use palisade_types::vault::MAX_RUNGS;
use palisade_types::{BasisPoints, ChainId, Genesis, VaultId, VaultRegistration};

use crate::registration::name;
use crate::scripts::{ChangeOutput, Leaf, StakingOutput, StakingTerms, TermsError, UnbondingOutput};
use crate::witness::only_sighash;

/// What a network asks of its vaults, one version of its terms after the other. A vault keeps its version for life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versions {
    chain: ChainId,
    rules: Vec<VaultRules>,
}

impl Versions {
    /// Reads a network's terms, once, at start. None is a network where bitcoin does not count.
    ///
    /// # Errors
    ///
    /// [`RulesError`]: the network must not start with these.
    pub fn new(chain: ChainId, terms: &[VaultTerms]) -> Result<Self, RulesError> {
        let numbered = (0..).zip(terms);
        let rules = numbered.map(|(version, terms)| VaultRules::new(version, terms)).collect::<Result<_, _>>()?;
        Ok(Self { chain, rules })
    }

    /// The versions that a genesis names.
    ///
    /// # Errors
    ///
    /// As [`Self::new`].
    pub fn of(genesis: &Genesis) -> Result<Self, RulesError> {
        Self::new(genesis.founder(), &genesis.vaults)
    }

    /// The network, of a successor the first of its line (R21): what its covenant endorses is worth nothing elsewhere.
    pub fn chain(&self) -> &ChainId {
        &self.chain
    }

    /// Whether bitcoin does not count in this network.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// One version.
    pub fn rules(&self, version: u16) -> Option<&VaultRules> {
        self.rules.get(usize::from(version))
    }

    /// Every version, ascending.
    pub(crate) fn all(&self) -> &[VaultRules] {
        &self.rules
    }

    /// The version in force at a Bitcoin height.
    pub fn at(&self, height: u64) -> Option<&VaultRules> {
        self.rules.iter().take_while(|rules| rules.activation <= height).last()
    }
}

/// One version of what a network asks of every vault: genesis' terms with its keys read and its sizes checked. Only
/// [`VaultRules::new`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultRules {
    version: u16,
    activation: u64,
    covenant: Vec<XOnlyPublicKey>,
    quorum: u16,
    sink: ScriptBuf,
    slash_rate: BasisPoints,
    min_staking_time: u16,
    max_staking_time: u16,
    unbonding_time: u16,
    unbonding_fee: Amount,
    min_slash_fee: Amount,
    min_stake: Amount,
}

/// Why a network's rules cannot work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// A covenant key is no point.
    #[error("covenant key {0} is not on the curve")]
    Key(usize),
    /// The rate takes nothing, or leaves nothing for the fee.
    #[error("a slash rate of {0} basis points is not between 1 and 9999")]
    Rate(u16),
    /// A slashing transaction without a fee is never mined.
    #[error("the least slashing fee is zero")]
    NoFee,
    /// The sink is not an `OP_RETURN`: anything else somebody might own, and be paid by slashes (R8).
    #[error("the slash sink can be spent from")]
    SpendableSink,
    /// The covenant is no majority of its members, so that two halves could sign two things.
    #[error("a quorum of {quorum} is no majority of {members}")]
    NoMajority {
        /// The quorum asked for.
        quorum: u16,
        /// The members there are.
        members: usize,
    },
    /// The smallest vault could not be slashed or unbonded.
    #[error("a vault of the smallest size cannot be taken apart")]
    Minimum(#[source] VaultError),
}

/// Why an output is not a vault of this network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// The terms themselves are refused.
    #[error(transparent)]
    Terms(#[from] TermsError),
    /// The covenant, its quorum or the unbonding time are not the network's.
    #[error("the {0} is not this network's")]
    Foreign(&'static str),
    /// The transaction has no such output.
    #[error("the staking transaction has no output {0}")]
    NoOutput(u32),
    /// The output does not pay the script these terms make.
    #[error("output {0} does not hold these terms")]
    OtherScript(u32),
    /// The stake is smaller than the network asks.
    #[error("a stake of {value} is too small: {least} is the least")]
    Value {
        /// What it holds.
        value: Amount,
        /// What the network asks.
        least: Amount,
    },
    /// The staking time is outside the network's range.
    #[error("a staking time of {blocks} blocks is not between {least} and {most}")]
    StakingTime {
        /// The time chosen.
        blocks: u16,
        /// The shortest.
        least: u16,
        /// The longest.
        most: u16,
    },
    /// The fees of the slashing transactions are no ladder (R28).
    #[error("the slashing fees are not 1 to {MAX_RUNGS} ascending amounts of {least} or more")]
    Ladder {
        /// The network's least.
        least: Amount,
    },
    /// A coinbase cannot be a stake: it may vanish without a conflict.
    #[error("a coinbase transaction cannot stake")]
    Coinbase,
    /// A transaction of 64 bytes can be mistaken for an inner node of a Merkle tree.
    #[error("the staking transaction is 64 bytes long")]
    LooksLikeNode,
    /// Some transaction would have an output too small to be relayed, or none left for the fee.
    #[error("the {transaction} transaction of a stake of {value} has no room for its outputs and fee")]
    TooSmall {
        /// Which one.
        transaction: &'static str,
        /// The stake's value.
        value: Amount,
    },
    /// What somebody sent is not what these terms make.
    #[error("{transaction} transaction {index} is not the one these terms make")]
    OtherTransaction {
        /// Which kind.
        transaction: &'static str,
        /// Its place in the list.
        index: usize,
    },
    /// The list of slashing transactions is shorter or longer than the ladder asks.
    #[error("{given} slashing transactions instead of {wanted}")]
    SlashingCount {
        /// How many came.
        given: usize,
        /// How many there must be.
        wanted: usize,
    },
}

impl VaultRules {
    /// Reads one version of genesis' terms.
    ///
    /// # Errors
    ///
    /// [`RulesError`]: the network must not start with these.
    pub fn new(version: u16, terms: &VaultTerms) -> Result<Self, RulesError> {
        let rules = Self {
            version,
            activation: terms.activation,
            covenant: keys(terms)?,
            quorum: u16::from(terms.quorum),
            sink: ScriptBuf::from_bytes(terms.slash_script.to_vec()),
            slash_rate: terms.slash_rate,
            min_staking_time: terms.min_staking_time,
            max_staking_time: terms.max_staking_time,
            unbonding_time: terms.unbonding_time,
            unbonding_fee: Amount::from_sat(terms.unbonding_fee.get()),
            min_slash_fee: Amount::from_sat(terms.min_slash_fee.get()),
            min_stake: Amount::from_sat(terms.min_stake.get()),
        };
        rules.check()?;
        Ok(rules)
    }

    fn check(&self) -> Result<(), RulesError> {
        if !(1..WHOLE).contains(&self.slash_rate.get()) {
            return Err(RulesError::Rate(self.slash_rate.get()));
        }
        if self.min_slash_fee == Amount::ZERO {
            return Err(RulesError::NoFee);
        }
        if !self.sink.is_op_return() {
            return Err(RulesError::SpendableSink);
        }
        if usize::from(self.quorum) * 2 <= self.covenant.len() || usize::from(self.quorum) > self.covenant.len() {
            return Err(RulesError::NoMajority { quorum: self.quorum, members: self.covenant.len() });
        }
        self.room(self.min_stake, self.min_slash_fee).map_err(RulesError::Minimum)
    }

    /// Its place in genesis' list.
    pub fn version(&self) -> u16 {
        self.version
    }

    /// The covenant's members, ascending.
    pub fn covenant(&self) -> &[XOnlyPublicKey] {
        &self.covenant
    }

    /// How many of them must sign.
    pub fn quorum(&self) -> u16 {
        self.quorum
    }

    /// The least a slashing transaction pays to miners.
    pub fn min_slash_fee(&self) -> Amount {
        self.min_slash_fee
    }

    /// The least a vault holds.
    pub fn min_stake(&self) -> Amount {
        self.min_stake
    }

    /// Whether a vault with these terms and this ladder of fees could be one of this network, whatever it holds: asked before a
    /// staker is shown where to pay.
    ///
    /// # Errors
    ///
    /// [`VaultError::Foreign`], [`VaultError::StakingTime`], [`VaultError::Ladder`].
    pub fn allow(&self, terms: &StakingTerms, fees: &[Amount]) -> Result<(), VaultError> {
        self.admits(terms)?;
        self.climbs(fees).map(drop)
    }

    /// The terms of a vault of this network: what a staker still chooses.
    ///
    /// # Errors
    ///
    /// [`TermsError`]: a key is repeated, or there are too many or too few.
    pub fn terms(
        &self,
        staker: XOnlyPublicKey,
        providers: Vec<XOnlyPublicKey>,
        staking_time: u16,
    ) -> Result<StakingTerms, TermsError> {
        StakingTerms::new(staker, providers, self.covenant.clone(), self.quorum, staking_time, self.unbonding_time)
    }

    /// What a slash takes from `value`, rounded down: dust stays with the staker.
    pub fn slash(&self, value: Amount) -> Amount {
        Amount::from_sat(palisade_types::Sats::new(value.to_sat()).slashed_by(self.slash_rate).get())
    }

    /// The transaction by which `vault` would unbond under this version; `None` when its covenant signs for no such vault.
    pub(crate) fn unbonding(&self, vault: &CheckedVault) -> Option<Transaction> {
        let old = &vault.terms;
        let terms = self.terms(old.staker(), old.providers().to_vec(), old.staking_time()).ok()?;
        self.is_of_covenant(vault).then_some(())?;
        let value = vault.value.checked_sub(self.unbonding_fee)?;
        let unbonded = TxOut { value, script_pubkey: terms.unbonding_output().script_pubkey };
        Some(pinned(vault.outpoint, vec![unbonded]))
    }

    /// Whether `transaction` pays to the sink what this version takes from that output of `vault`, as every slashing transaction does
    /// that its covenant signs.
    pub(crate) fn takes(&self, vault: &CheckedVault, held: Held, transaction: &Transaction) -> bool {
        let burnt = transaction.output.iter().filter(|output| output.script_pubkey == self.sink);
        let burnt = burnt.fold(0_u64, |sum, output| sum.saturating_add(output.value.to_sat()));
        self.is_of_covenant(vault) && burnt >= self.slash(vault.spent(held).value).to_sat()
    }

    /// Whether the vault's script asks the same members, of whom as many must sign.
    fn is_of_covenant(&self, vault: &CheckedVault) -> bool {
        self.covenant == vault.terms.covenant() && self.quorum == vault.terms.quorum()
    }

    /// Whether a stake of `value` can be unbonded and slashed, from both outputs and on the dearest rung.
    fn room(&self, value: Amount, dearest: Amount) -> Result<(), VaultError> {
        let small = |transaction| VaultError::TooSmall { transaction, value };
        let unbonded = value.checked_sub(self.unbonding_fee).ok_or(small("unbonding"))?;
        if unbonded < TAPROOT_DUST {
            return Err(small("unbonding"));
        }
        for held in [value, unbonded] {
            let slashed = self.slash(held);
            let change = held.checked_sub(slashed).and_then(|rest| rest.checked_sub(dearest));
            if slashed < dust(&self.sink) || change.is_none_or(|change| change < TAPROOT_DUST) {
                return Err(small("slashing"));
            }
        }
        Ok(())
    }

    fn admits(&self, terms: &StakingTerms) -> Result<(), VaultError> {
        if self.covenant != terms.covenant() {
            return Err(VaultError::Foreign("covenant"));
        }
        if self.quorum != terms.quorum() {
            return Err(VaultError::Foreign("quorum"));
        }
        if self.unbonding_time != terms.unbonding_time() {
            return Err(VaultError::Foreign("unbonding time"));
        }
        if !(self.min_staking_time..=self.max_staking_time).contains(&terms.staking_time()) {
            return Err(VaultError::StakingTime {
                blocks: terms.staking_time(),
                least: self.min_staking_time,
                most: self.max_staking_time,
            });
        }
        Ok(())
    }

    /// A ladder starts at the network's least fee or above, and rises (R28).
    fn climbs(&self, fees: &[Amount]) -> Result<Amount, VaultError> {
        let rises = fees.windows(2).all(|pair| pair[0] < pair[1]);
        match (fees.first(), fees.last()) {
            (Some(first), Some(last)) if rises && fees.len() <= MAX_RUNGS && *first >= self.min_slash_fee => Ok(*last),
            _ => Err(VaultError::Ladder { least: self.min_slash_fee }),
        }
    }
}

fn keys(terms: &VaultTerms) -> Result<Vec<XOnlyPublicKey>, RulesError> {
    let key = |(at, key): (usize, &palisade_types::SchnorrKey)| {
        XOnlyPublicKey::from_slice(key.as_bytes()).map_err(|_| RulesError::Key(at))
    };
    let mut keys = terms.covenant.iter().enumerate().map(key).collect::<Result<Vec<_>, _>>()?;
    keys.sort_unstable_by_key(XOnlyPublicKey::serialize);
    Ok(keys)
}

/// Which of a vault's two outputs is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Held {
    /// The staking output.
    Staked,
    /// The output of the unbonding transaction.
    Unbonding,
}

/// One slashing transaction of a vault, unsigned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinnedSlashing {
    /// The output it takes.
    pub held: Held,
    /// Its rung on the ladder of fees, from zero.
    pub rung: usize,
    /// The transaction, without a witness.
    pub transaction: Transaction,
    /// What staker, provider and covenant sign.
    pub sighash: [u8; 32],
}

/// A checked vault. Only [`CheckedVault::check`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedVault {
    version: u16,
    terms: StakingTerms,
    outpoint: OutPoint,
    value: Amount,
    staking: StakingOutput,
    unbonding: UnbondingOutput,
    change: ChangeOutput,
    unbonding_transaction: Transaction,
    unbonding_sighash: [u8; 32],
    slashings: Vec<PinnedSlashing>,
}

impl CheckedVault {
    /// Recognises output `index` of `staking` as a vault with these terms under these rules.
    ///
    /// # Errors
    ///
    /// [`VaultError`]: the output counts for nothing.
    pub fn check(
        staking: &Transaction,
        index: u32,
        terms: StakingTerms,
        fees: &[Amount],
        rules: &VaultRules,
    ) -> Result<Self, VaultError> {
        if staking.is_coinbase() {
            return Err(VaultError::Coinbase);
        }
        if staking.base_size() == 64 {
            return Err(VaultError::LooksLikeNode);
        }
        rules.admits(&terms)?;
        let output =
            usize::try_from(index).ok().and_then(|at| staking.output.get(at)).ok_or(VaultError::NoOutput(index))?;
        if output.script_pubkey != terms.staking_output().script_pubkey {
            return Err(VaultError::OtherScript(index));
        }
        if output.value < rules.min_stake || output.value > Amount::MAX_MONEY {
            return Err(VaultError::Value { value: output.value, least: rules.min_stake });
        }
        rules.room(output.value, rules.climbs(fees)?)?;
        let outpoint = OutPoint { txid: staking.compute_txid(), vout: index };
        Ok(Self::build(outpoint, output.value, terms, fees, rules))
    }

    fn build(outpoint: OutPoint, value: Amount, terms: StakingTerms, fees: &[Amount], rules: &VaultRules) -> Self {
        let (staking, unbonding, change) = (terms.staking_output(), terms.unbonding_output(), terms.change_output());
        let staked = TxOut { value, script_pubkey: staking.script_pubkey.clone() };
        let unbonded = TxOut { value: value - rules.unbonding_fee, script_pubkey: unbonding.script_pubkey.clone() };
        let unbonding_transaction = pinned(outpoint, vec![unbonded.clone()]);
        let unbonded_at = OutPoint { txid: unbonding_transaction.compute_txid(), vout: 0 };
        let places = [
            (Held::Staked, outpoint, &staked, &staking.slashing),
            (Held::Unbonding, unbonded_at, &unbonded, &unbonding.slashing),
        ];
        let slashings = places
            .into_iter()
            .flat_map(|(held, from, spent, leaf)| {
                fees.iter().enumerate().map(move |rung| (held, from, spent, leaf, rung))
            })
            .map(|(held, from, spent, leaf, (rung, fee))| {
                let transaction =
                    slashing(from, spent.value, rules.slash(spent.value), *fee, &rules.sink, &change.script_pubkey);
                let sighash = only_sighash(&transaction, spent, leaf);
                PinnedSlashing { held, rung, transaction, sighash }
            })
            .collect();
        let unbonding_sighash = only_sighash(&unbonding_transaction, &staked, &staking.unbonding);
        let version = rules.version;
        Self {
            version,
            terms,
            outpoint,
            value,
            staking,
            unbonding,
            change,
            unbonding_transaction,
            unbonding_sighash,
            slashings,
        }
    }

    /// The version of the network's terms that it keeps.
    pub fn version(&self) -> u16 {
        self.version
    }

    /// Who stakes, behind whom, for how long.
    pub fn terms(&self) -> &StakingTerms {
        &self.terms
    }

    /// Its name in the ledger.
    pub fn id(&self) -> VaultId {
        name(self.outpoint)
    }

    /// Where the stake lies.
    pub fn outpoint(&self) -> OutPoint {
        self.outpoint
    }

    /// Where it lies after the unbonding transaction.
    pub fn unbonded_outpoint(&self) -> OutPoint {
        OutPoint { txid: self.unbonding_transaction.compute_txid(), vout: 0 }
    }

    /// What is staked.
    pub fn value(&self) -> Amount {
        self.value
    }

    /// The scripts of the staking output.
    pub fn staking_output(&self) -> &StakingOutput {
        &self.staking
    }

    /// The scripts of the unbonding output.
    pub fn unbonding_output(&self) -> &UnbondingOutput {
        &self.unbonding
    }

    /// The scripts of what a slash gives back.
    pub fn change_output(&self) -> &ChangeOutput {
        &self.change
    }

    /// The one unbonding transaction, unsigned.
    pub fn unbonding_transaction(&self) -> &Transaction {
        &self.unbonding_transaction
    }

    /// What staker and covenant sign to unbond.
    pub fn unbonding_sighash(&self) -> &[u8; 32] {
        &self.unbonding_sighash
    }

    /// Every slashing transaction, unsigned: the rungs of the staking output, then those of the unbonding output.
    pub fn slashings(&self) -> &[PinnedSlashing] {
        &self.slashings
    }

    /// The output a slashing transaction spends, as sighashes and script checks need it.
    pub fn spent(&self, held: Held) -> TxOut {
        match held {
            Held::Staked => TxOut { value: self.value, script_pubkey: self.staking.script_pubkey.clone() },
            Held::Unbonding => self.unbonding_transaction.output[0].clone(),
        }
    }

    /// The slashing leaf of one of the two outputs.
    pub fn slashing_leaf(&self, held: Held) -> &Leaf {
        match held {
            Held::Staked => &self.staking.slashing,
            Held::Unbonding => &self.unbonding.slashing,
        }
    }

    /// The timelock leaf of one of the two outputs, with its blocks.
    pub fn timelock_leaf(&self, held: Held) -> (&Leaf, u16) {
        match held {
            Held::Staked => (&self.staking.timelock, self.terms.staking_time()),
            Held::Unbonding => (&self.unbonding.timelock, self.terms.unbonding_time()),
        }
    }

    /// Whether this is the vault that `registration` speaks of, once the registration was found to be one: everything else follows
    /// from its name, the version of the terms and the transactions compared here.
    pub(crate) fn is_of(&self, registration: &VaultRegistration) -> bool {
        let slashings = registration.slashings.iter().chain(registration.unbonding_slashings.iter());
        let ours = self.slashings.iter().map(|slashing| encode::serialize(&slashing.transaction));
        self.version == registration.terms
            && self.terms.staking_time() == registration.staking_time
            && slashings.map(|slashing| slashing.transaction.to_vec()).eq(ours)
    }

    /// Compares transactions that somebody sent with those these terms make, witnesses aside.
    ///
    /// # Errors
    ///
    /// [`VaultError::OtherTransaction`] and [`VaultError::SlashingCount`].
    pub fn check_transactions(&self, unbonding: &Transaction, slashings: &[Transaction]) -> Result<(), VaultError> {
        if unbonding.compute_txid() != self.unbonding_transaction.compute_txid() {
            return Err(VaultError::OtherTransaction { transaction: "unbonding", index: 0 });
        }
        if slashings.len() != self.slashings.len() {
            return Err(VaultError::SlashingCount { given: slashings.len(), wanted: self.slashings.len() });
        }
        let differs =
            |(theirs, ours): (&Transaction, &PinnedSlashing)| theirs.compute_txid() != ours.transaction.compute_txid();
        match slashings.iter().zip(&self.slashings).position(differs) {
            Some(index) => Err(VaultError::OtherTransaction { transaction: "slashing", index }),
            None => Ok(()),
        }
    }

    /// The slashing transaction with this id.
    pub fn slashing(&self, txid: Txid) -> Option<&PinnedSlashing> {
        self.slashings.iter().find(|slashing| slashing.transaction.compute_txid() == txid)
    }

    /// What the dearest slashing transaction of the output that is cheaper to outbid pays once it is signed, satoshis per 1000
    /// weight units, rounded down: below the market's, the vault's weight is zero (R28).
    pub fn top_rate(&self) -> u64 {
        let dearest = |held: Held| {
            let rungs = self.slashings.iter().filter(|slashing| slashing.held == held);
            rungs.map(|slashing| self.rate(slashing)).max().unwrap_or(0)
        };
        dearest(Held::Staked).min(dearest(Held::Unbonding))
    }

    /// What one slashing transaction pays once it is signed, satoshis per 1000 weight units, rounded down.
    pub fn rate(&self, slashing: &PinnedSlashing) -> u64 {
        let weight = slashing.transaction.weight() + self.witness_weight(slashing.held);
        self.fee(slashing).to_sat().saturating_mul(1_000) / weight.to_wu()
    }

    /// What one slashing transaction leaves to miners.
    pub fn fee(&self, slashing: &PinnedSlashing) -> Amount {
        let paid = slashing.transaction.output.iter().map(|output| output.value).sum::<Amount>();
        self.spent(slashing.held).value - paid
    }

    /// The weight a complete slashing witness adds: the covenant's quorum, one provider and the staker sign.
    fn witness_weight(&self, held: Held) -> Weight {
        self.leaf_weight(self.slashing_leaf(held), self.terms.providers().len(), 2)
    }

    /// The weight that spending the staking output by its unbonding leaf adds: the covenant's quorum and the staker sign.
    pub(crate) fn unbonding_witness_weight(&self) -> Weight {
        self.leaf_weight(&self.staking.unbonding, 0, 1)
    }

    /// Marker and flag, the signatures of a quorum and `more`, one empty slot for everyone else, the leaf.
    fn leaf_weight(&self, leaf: &Leaf, providers: usize, more: usize) -> Weight {
        let signed = usize::from(self.terms.quorum()) + more;
        let slots = self.terms.covenant().len() + providers + 1;
        let script = bitcoin::VarInt::from(leaf.script.len()).size() + leaf.script.len();
        let bytes = 2 + 1 + signed * 64 + slots + script + leaf.control_block.size() + 1;
        Weight::from_wu_usize(bytes)
    }
}

/// The whole, in basis points.
const WHOLE: u16 = 10_000;

/// The smallest Taproot output that is relayed.
const TAPROOT_DUST: Amount = Amount::from_sat(330);

/// The smallest output with this script that is relayed.
fn dust(script: &Script) -> Amount {
    script.minimal_non_dust()
}

/// A transaction with every field pinned: one input, final, version 2, no lock time.
fn pinned(from: OutPoint, output: Vec<TxOut>) -> Transaction {
    let input =
        TxIn { previous_output: from, script_sig: ScriptBuf::new(), sequence: Sequence::MAX, witness: Witness::new() };
    Transaction { version: Version::TWO, lock_time: LockTime::ZERO, input: vec![input], output }
}

/// The slashing transaction of `from`: the slash to its sink, the rest without the fee back under the timelock.
fn slashing(from: OutPoint, value: Amount, slash: Amount, fee: Amount, sink: &Script, change: &Script) -> Transaction {
    pinned(
        from,
        vec![
            TxOut { value: slash, script_pubkey: sink.to_owned() },
            TxOut { value: value - slash - fee, script_pubkey: change.to_owned() },
        ],
    )
}

/// What Babylon's own nodes take from `value`: a float product, rounded half up. Only for reading Babylon's vaults; it can
/// differ by one satoshi from exact arithmetic, which is why nothing of ours uses it.
#[expect(clippy::float_arithmetic, reason = "compatibility with Babylon's MulF64")]
pub fn babylon_slash(value: Amount, rate_bps: u16) -> Amount {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "every amount of bitcoin is exact in a double"
    )]
    let taken = (value.to_sat() as f64 * (f64::from(rate_bps) / 10_000.0) + 0.5).floor() as u64;
    Amount::from_sat(taken)
}
