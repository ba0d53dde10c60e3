//! What Babylon asks of a stake, by version: each is in force from one Bitcoin height on, until the next.
//!
//! The tables of bbn-1 and bbn-test-5 are in `data/`, copied from the state of those chains; any other comes from a file of the same form.
//! Nothing is taken over unchecked: the rules of the module's own `Params.Validate` hold for every version here (a quorum is a majority,
//! fees fit into the smallest stake, no slash is dust), and some that Babylon leaves to its scripts.

use std::fmt;
use std::str::FromStr as _;

use bitcoin::secp256k1::XOnlyPublicKey;
use bitcoin::{Amount, ScriptBuf, TxOut};
use palisade_types::genesis::VaultTerms;
use palisade_types::vault::{MAX_COVENANT, MAX_PROVIDERS};
use palisade_types::{BasisPoints, Sats};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::scripts::{StakingTerms, TermsError};
use crate::vault::babylon_slash;

/// The longest file of parameters that is read, in bytes.
pub const MAX_FILE_BYTES: usize = 1 << 20;

/// The most versions a table may have.
pub const MAX_VERSIONS: usize = 1_000;

/// The part of a stake that a slash takes, in ten-thousandths: Babylon allows four decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlashingRate {
    part: u16,
    rounding: Rounding,
}

/// Who rounds a slash, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rounding {
    /// Babylon: a float product, half up; more may be taken.
    HalfUp,
    /// A vault of ours: down, and exactly that is taken (R8).
    Down,
}

impl SlashingRate {
    /// Babylon's rate: more than nothing and less than everything; `None` otherwise.
    pub fn new(ten_thousandths: u16) -> Option<Self> {
        (1..WHOLE).contains(&ten_thousandths).then_some(Self { part: ten_thousandths, rounding: Rounding::HalfUp })
    }

    /// The rate of a vault of ours.
    pub fn palisade(rate: BasisPoints) -> Option<Self> {
        Self::new(rate.get()).map(|same| Self { rounding: Rounding::Down, ..same })
    }

    /// Ten-thousandths.
    pub fn get(self) -> u16 {
        self.part
    }

    /// What is taken from `value`: as Babylon's nodes round it, or rounded down from a vault of ours.
    pub fn of(self, value: Amount) -> Amount {
        match (self.rounding, BasisPoints::new(self.part)) {
            (Rounding::Down, Some(rate)) => Amount::from_sat(Sats::new(value.to_sat()).slashed_by(rate).get()),
            _ => babylon_slash(value, self.part),
        }
    }

    /// Whether a slashing transaction that takes `taken` from `value` takes what it must.
    pub fn is_taken(self, taken: Amount, value: Amount) -> bool {
        match self.rounding {
            Rounding::HalfUp => taken >= self.of(value),
            Rounding::Down => taken == self.of(value),
        }
    }

    /// Reads a decimal such as `0.001`, with any number of zeros behind it.
    fn read(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("0.")?.trim_end_matches('0');
        if digits.is_empty() || digits.len() > 4 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        format!("{digits:0<4}").parse().ok().and_then(Self::new)
    }
}

impl fmt::Display for SlashingRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(format!("0.{:04}", self.part).trim_end_matches('0'))
    }
}

/// The whole, in ten-thousandths.
const WHOLE: u16 = 10_000;

/// One version of the parameters, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// Its number, from zero.
    pub version: u32,
    /// The Bitcoin height from which it is in force.
    pub activation: u32,
    /// The covenant's members, ascending.
    pub covenant: Vec<XOnlyPublicKey>,
    /// How many of them must sign.
    pub quorum: u16,
    /// The smallest stake.
    pub min_stake: Amount,
    /// The largest stake.
    pub max_stake: Amount,
    /// The shortest lock, in blocks.
    pub min_time: u16,
    /// The longest lock, in blocks.
    pub max_time: u16,
    /// Where slashes go.
    pub sink: ScriptBuf,
    /// The least a slashing transaction pays to miners.
    pub min_slashing_fee: Amount,
    /// What a slash takes.
    pub rate: SlashingRate,
    /// The lock after unbonding, in blocks.
    pub unbonding_time: u16,
    /// What the unbonding transaction pays to miners, exactly.
    pub unbonding_fee: Amount,
    /// The most finality providers of one stake.
    pub max_providers: u32,
    /// The Babylon height until which only listed stakes are registered; zero means no list.
    pub allow_list_until: u64,
}

/// Why parameters cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParametersError {
    /// The file is longer than any table.
    #[error("{0} bytes are too many for a table of parameters")]
    TooLong(usize),
    /// The file is no table.
    #[error("the parameters cannot be read: {0}")]
    Form(String),
    /// A table without versions, or with too many.
    #[error("a table of {0} versions")]
    Count(usize),
    /// Versions are not 0, 1, 2, ….
    #[error("version {found} stands where version {expected} belongs")]
    Version {
        /// What is there.
        found: u32,
        /// What should be.
        expected: u32,
    },
    /// A version is in force no later than the one before.
    #[error("version {0} does not come into force after the one before")]
    Order(u32),
    /// A rule of one version is broken.
    #[error("version {version}: {rule}")]
    Rule {
        /// The version.
        version: u32,
        /// What is wrong.
        rule: ParametersRule,
    },
}

/// What is wrong with one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParametersRule {
    /// A covenant key is no point.
    #[error("covenant key {0} is not on the curve")]
    Key(usize),
    /// Too many covenant keys, or none.
    #[error("a covenant of {0} members")]
    Members(usize),
    /// A covenant key stands twice.
    #[error("a covenant key is repeated")]
    RepeatedKey,
    /// The quorum is no majority, or more than there are.
    #[error("the quorum is no majority of the covenant")]
    Quorum,
    /// The bounds of a stake are no bounds.
    #[error("the smallest stake is zero or above the largest")]
    Value,
    /// The bounds of the staking time are no bounds, or beyond 65535.
    #[error("the staking times are not within 1 to 65535 blocks, or the shortest is above the longest")]
    Time,
    /// The unbonding time is zero or beyond 65535.
    #[error("the unbonding time is not within 1 to 65535 blocks")]
    UnbondingTime,
    /// The unbonding fee is zero, or takes the smallest stake.
    #[error("the unbonding fee is zero or takes the smallest stake")]
    UnbondingFee,
    /// A slashing transaction may be free.
    #[error("the least slashing fee is zero")]
    SlashingFee,
    /// The rate is not between zero and one, or has more than four decimals.
    #[error("the slashing rate is not between 0 and 1 with at most four decimals")]
    Rate,
    /// The sink is no script.
    #[error("the slashing script is empty or no hex")]
    Sink,
    /// The smallest slash would not be relayed.
    #[error("the slash of the smallest unbonded stake is dust")]
    Dust,
    /// The commission is above the whole.
    #[error("the least commission is above 1 or no decimal")]
    Commission,
    /// A number does not fit.
    #[error("a number is out of range")]
    Number,
    /// The unbonding time ends before a checkpoint must be final.
    #[error("the unbonding time does not outlast a checkpoint")]
    Finalization,
}

impl Parameters {
    /// The terms of a stake under this version: what a staker still chooses.
    ///
    /// # Errors
    ///
    /// [`TermsError`].
    pub fn terms(
        &self,
        staker: XOnlyPublicKey,
        providers: Vec<XOnlyPublicKey>,
        staking_time: u16,
    ) -> Result<StakingTerms, TermsError> {
        StakingTerms::new(staker, providers, self.covenant.clone(), self.quorum, staking_time, self.unbonding_time)
    }

    /// One version of a network of ours, so that its vaults are explained like any other stake.
    ///
    /// # Errors
    ///
    /// [`ParametersRule`].
    pub fn palisade(version: u32, terms: &VaultTerms) -> Result<Self, ParametersRule> {
        let key = |(at, key): (usize, &palisade_types::SchnorrKey)| {
            XOnlyPublicKey::from_slice(key.as_bytes()).map_err(|_| ParametersRule::Key(at))
        };
        let mut covenant = terms.covenant.iter().enumerate().map(key).collect::<Result<Vec<_>, _>>()?;
        covenant.sort_unstable_by_key(XOnlyPublicKey::serialize);
        Ok(Self {
            version,
            activation: u32::try_from(terms.activation).map_err(|_| ParametersRule::Number)?,
            covenant,
            quorum: u16::from(terms.quorum),
            min_stake: Amount::from_sat(terms.min_stake.get()),
            max_stake: Amount::MAX_MONEY,
            min_time: terms.min_staking_time,
            max_time: terms.max_staking_time,
            sink: ScriptBuf::from_bytes(terms.slash_script.to_vec()),
            min_slashing_fee: Amount::from_sat(terms.min_slash_fee.get()),
            rate: SlashingRate::palisade(terms.slash_rate).ok_or(ParametersRule::Rate)?,
            unbonding_time: terms.unbonding_time,
            unbonding_fee: Amount::from_sat(terms.unbonding_fee.get()),
            max_providers: u32::try_from(MAX_PROVIDERS).map_err(|_| ParametersRule::Number)?,
            allow_list_until: 0,
        })
    }

    /// Every rule that one version must obey by itself.
    ///
    /// # Errors
    ///
    /// [`ParametersRule`].
    pub fn check(&self) -> Result<(), ParametersRule> {
        let members = self.covenant.len();
        let rules = [
            ((1..=MAX_COVENANT).contains(&members), ParametersRule::Members(members)),
            (
                self.covenant.windows(2).all(|pair| pair[0].serialize() < pair[1].serialize()),
                ParametersRule::RepeatedKey,
            ),
            (usize::from(self.quorum) * 2 > members && usize::from(self.quorum) <= members, ParametersRule::Quorum),
            (
                self.min_stake > Amount::ZERO
                    && self.min_stake <= self.max_stake
                    && self.max_stake <= Amount::MAX_MONEY,
                ParametersRule::Value,
            ),
            (self.min_time > 0 && self.min_time <= self.max_time, ParametersRule::Time),
            (self.unbonding_time > 0, ParametersRule::UnbondingTime),
            (self.unbonding_fee > Amount::ZERO && self.unbonding_fee < self.min_stake, ParametersRule::UnbondingFee),
            (self.min_slashing_fee > Amount::ZERO, ParametersRule::SlashingFee),
            (!self.sink.is_empty(), ParametersRule::Sink),
        ];
        if let Some((_, rule)) = rules.into_iter().find(|(holds, _)| !holds) {
            return Err(rule);
        }
        let smallest = self.rate.of(self.min_stake - self.unbonding_fee);
        if is_dust(&TxOut { value: smallest, script_pubkey: self.sink.clone() }) {
            return Err(ParametersRule::Dust);
        }
        Ok(())
    }

    /// What a change of parameters must also obey: coins stay slashable until a checkpoint must be final, `timeout` blocks
    /// after it was submitted.
    ///
    /// # Errors
    ///
    /// [`ParametersRule::Finalization`].
    pub fn outlasts(&self, timeout: u16) -> Result<(), ParametersRule> {
        if self.unbonding_time > timeout { Ok(()) } else { Err(ParametersRule::Finalization) }
    }
}

/// Whether an output is too small to be relayed; burns never are.
pub(crate) fn is_dust(output: &TxOut) -> bool {
    !output.script_pubkey.is_op_return() && output.value < output.script_pubkey.minimal_non_dust()
}

/// Every version of one network, each in force from its height on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    network: String,
    tag: Option<[u8; 4]>,
    versions: Vec<Parameters>,
}

/// How a stake came to be registered: that decides its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registered {
    /// After its transaction was in a block.
    PostStaking {
        /// That block's height.
        inclusion: u32,
    },
    /// Before: the version is fixed by the light client's tip, and the transaction may not be older.
    PreStaking {
        /// The tip's height at registration.
        tip: u32,
        /// The height of the transaction's block, once there is one.
        inclusion: Option<u32>,
    },
}

/// Why no version applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// Nothing was in force yet.
    #[error("no parameters are in force at height {0}")]
    Before(u32),
    /// The transaction was in a block before it was registered as one that is not.
    #[error("the stake is in block {inclusion}, below the tip {tip} at its registration")]
    BelowTip {
        /// Its block.
        inclusion: u32,
        /// The tip.
        tip: u32,
    },
}

impl Table {
    /// The table of `bbn-1`, Babylon's mainnet.
    pub fn bbn_1() -> Self {
        Self::read("bbn-1", include_bytes!("data/bbn-1.json")).expect("the table in this repository is good")
    }

    /// The table of `bbn-test-5`, Babylon's testnet on signet.
    pub fn bbn_test_5() -> Self {
        Self::read("bbn-test-5", include_bytes!("data/bbn-test-5.json")).expect("the table in this repository is good")
    }

    /// Reads `{"versions": […]}`, where the versions are a list or keyed by their number.
    ///
    /// # Errors
    ///
    /// [`ParametersError`].
    pub fn read(network: &str, bytes: &[u8]) -> Result<Self, ParametersError> {
        if bytes.len() > MAX_FILE_BYTES {
            return Err(ParametersError::TooLong(bytes.len()));
        }
        let file: File = serde_json::from_slice(bytes).map_err(|error| ParametersError::Form(error.to_string()))?;
        let versions = match file.versions {
            Versions::List(list) => list,
            Versions::Map(map) => {
                let mut list: Vec<_> = map.into_iter().collect();
                list.sort_by_key(|(version, _)| version.parse::<u32>().unwrap_or(u32::MAX));
                list.into_iter().map(|(_, version)| version).collect()
            }
        };
        let versions = versions.into_iter().zip(0..).map(|(raw, at)| raw.parse(at)).collect::<Result<_, _>>()?;
        let mut table = Self::new(file.network.as_deref().unwrap_or(network), versions)?;
        if let Some(text) = file.tag {
            let mut tag = [0; 4];
            hex::decode_to_slice(&text, &mut tag).map_err(|_| ParametersError::Form(format!("{text} is no tag")))?;
            table.tag = Some(tag);
        }
        Ok(table)
    }

    /// The table of a network of ours.
    ///
    /// # Errors
    ///
    /// [`ParametersError`].
    pub fn palisade(terms: &[VaultTerms]) -> Result<Self, ParametersError> {
        let version = |(terms, version): (&VaultTerms, u32)| {
            Parameters::palisade(version, terms).map_err(|rule| ParametersError::Rule { version, rule })
        };
        Self::new("palisade", terms.iter().zip(0..).map(version).collect::<Result<_, _>>()?)
    }

    /// A table of versions that were made elsewhere.
    ///
    /// # Errors
    ///
    /// [`ParametersError`].
    pub fn new(network: &str, versions: Vec<Parameters>) -> Result<Self, ParametersError> {
        if versions.is_empty() || versions.len() > MAX_VERSIONS {
            return Err(ParametersError::Count(versions.len()));
        }
        for (version, expected) in versions.iter().zip(0..) {
            if version.version != expected {
                return Err(ParametersError::Version { found: version.version, expected });
            }
            version.check().map_err(|rule| ParametersError::Rule { version: expected, rule })?;
        }
        match versions.windows(2).find(|pair| pair[0].activation >= pair[1].activation) {
            Some(pair) => Err(ParametersError::Order(pair[1].version)),
            None => Ok(Self { network: network.to_owned(), tag: None, versions }),
        }
    }

    /// The network's name.
    pub fn network(&self) -> &str {
        &self.network
    }

    /// What identified the stakes of the network's first phase.
    pub fn tag(&self) -> Option<[u8; 4]> {
        self.tag
    }

    /// Every version, ascending.
    pub fn versions(&self) -> &[Parameters] {
        &self.versions
    }

    /// One version.
    pub fn version(&self, version: u32) -> Option<&Parameters> {
        self.versions.get(usize::try_from(version).ok()?)
    }

    /// The version in force at a Bitcoin height.
    ///
    /// # Errors
    ///
    /// [`VersionError::Before`].
    pub fn at(&self, height: u32) -> Result<&Parameters, VersionError> {
        let after = self.versions.partition_point(|version| version.activation <= height);
        self.versions[..after].last().ok_or(VersionError::Before(height))
    }

    /// The version of a stake.
    ///
    /// # Errors
    ///
    /// [`VersionError`].
    pub fn of(&self, registered: Registered) -> Result<&Parameters, VersionError> {
        match registered {
            Registered::PostStaking { inclusion } => self.at(inclusion),
            Registered::PreStaking { tip, inclusion: Some(inclusion) } if inclusion < tip => {
                Err(VersionError::BelowTip { inclusion, tip })
            }
            Registered::PreStaking { tip, .. } => self.at(tip),
        }
    }
}

#[derive(Deserialize)]
struct File {
    network: Option<String>,
    tag: Option<String>,
    versions: Versions,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Versions {
    List(Vec<RawParameters>),
    Map(std::collections::BTreeMap<String, RawParameters>),
}

/// One version as Babylon writes it. A field that is not here could be a rule we do not know: it is refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawParameters {
    version: Option<Number>,
    covenant_pks: Vec<String>,
    covenant_quorum: Number,
    min_staking_value_sat: Number,
    max_staking_value_sat: Number,
    min_staking_time_blocks: Number,
    max_staking_time_blocks: Number,
    slashing_pk_script: String,
    min_slashing_tx_fee_sat: Number,
    slashing_rate: Decimal,
    unbonding_time_blocks: Number,
    unbonding_fee_sat: Number,
    min_commission_rate: Decimal,
    #[serde(rename = "delegation_creation_base_gas_fee")]
    _gas: IgnoredAny,
    allow_list_expiration_height: Number,
    btc_activation_height: Number,
    max_finality_providers: Option<Number>,
}

/// A whole number, or the text of one.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Number {
    Whole(u64),
    Text(String),
}

impl Number {
    pub(crate) fn read<T: TryFrom<u64>>(&self) -> Option<T> {
        let whole = match self {
            Self::Whole(whole) => *whole,
            Self::Text(text) => text.parse().ok()?,
        };
        T::try_from(whole).ok()
    }
}

/// A decimal, or the text of one.
#[derive(Deserialize)]
#[serde(untagged)]
enum Decimal {
    Number(serde_json::Number),
    Text(String),
}

impl Decimal {
    fn text(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }

    /// Whether it is a decimal between zero and one.
    fn is_part(&self) -> bool {
        let text = self.text();
        let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
        let digits = part.bytes().all(|digit| digit.is_ascii_digit());
        digits && (whole == "0" || (whole == "1" && part.bytes().all(|digit| digit == b'0')))
    }
}

impl RawParameters {
    fn parse(&self, at: u32) -> Result<Parameters, ParametersError> {
        let version = self.version.as_ref().map_or(Some(at), Number::read).unwrap_or(u32::MAX);
        self.read(version).map_err(|rule| ParametersError::Rule { version, rule })
    }

    fn read(&self, version: u32) -> Result<Parameters, ParametersRule> {
        let number = ParametersRule::Number;
        let sats = |number: &Number| number.read().map(Amount::from_sat);
        if !self.min_commission_rate.is_part() {
            return Err(ParametersRule::Commission);
        }
        let sink = hex::decode(&self.slashing_pk_script).map_err(|_| ParametersRule::Sink)?;
        Ok(Parameters {
            version,
            activation: self.btc_activation_height.read().ok_or(number)?,
            covenant: covenant(&self.covenant_pks)?,
            quorum: self.covenant_quorum.read().ok_or(ParametersRule::Quorum)?,
            min_stake: sats(&self.min_staking_value_sat).ok_or(number)?,
            max_stake: sats(&self.max_staking_value_sat).ok_or(number)?,
            min_time: self.min_staking_time_blocks.read().ok_or(ParametersRule::Time)?,
            max_time: self.max_staking_time_blocks.read().ok_or(ParametersRule::Time)?,
            sink: ScriptBuf::from_bytes(sink),
            min_slashing_fee: sats(&self.min_slashing_tx_fee_sat).ok_or(number)?,
            rate: SlashingRate::read(&self.slashing_rate.text()).ok_or(ParametersRule::Rate)?,
            unbonding_time: self.unbonding_time_blocks.read().ok_or(ParametersRule::UnbondingTime)?,
            unbonding_fee: sats(&self.unbonding_fee_sat).ok_or(number)?,
            max_providers: self.max_finality_providers.as_ref().map_or(Some(1), Number::read).ok_or(number)?,
            allow_list_until: self.allow_list_expiration_height.read().ok_or(number)?,
        })
    }
}

/// Covenant keys, x-only or compressed, sorted.
pub(crate) fn covenant(texts: &[String]) -> Result<Vec<XOnlyPublicKey>, ParametersRule> {
    if texts.is_empty() || texts.len() > MAX_COVENANT {
        return Err(ParametersRule::Members(texts.len()));
    }
    let key = |(at, text): (usize, &String)| {
        let x_only = match text.len() {
            66 if text.starts_with("02") || text.starts_with("03") => text.get(2..),
            _ => Some(text.as_str()),
        };
        x_only.and_then(|x_only| XOnlyPublicKey::from_str(x_only).ok()).ok_or(ParametersRule::Key(at))
    };
    let mut keys = texts.iter().enumerate().map(key).collect::<Result<Vec<_>, _>>()?;
    keys.sort_unstable_by_key(XOnlyPublicKey::serialize);
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_stake_obeys_the_version_of_its_height() {
        let table = Table::bbn_1();
        let at = |height| table.at(height).map(|version| version.version);
        assert_eq!(at(857_909), Err(VersionError::Before(857_909)));
        let expected = [(857_910, 0), (864_789, 0), (864_790, 1), (874_088, 2), (891_424, 2), (891_425, 3)];
        for (height, version) in expected.into_iter().chain([(893_361, 3), (893_362, 4), (u32::MAX, 4)]) {
            assert_eq!(at(height), Ok(version), "{height}");
        }
        let fees: Vec<_> = table.versions().iter().map(|version| version.unbonding_fee.to_sat()).collect();
        assert_eq!(fees, [64_000, 32_000, 32_000, 32_000, 9_600]);
        assert!(table.versions().iter().all(|version| version.quorum == 6 && version.covenant.len() == 9));
        let of = |registered| table.of(registered).map(|version| version.version);
        assert_eq!(of(Registered::PostStaking { inclusion: 864_790 }), Ok(1));
        let pre = |tip, inclusion| of(Registered::PreStaking { tip, inclusion });
        assert_eq!(pre(864_789, Some(864_790)), Ok(0), "the tip decides, not the block");
        assert_eq!(pre(864_790, Some(864_789)), Err(VersionError::BelowTip { inclusion: 864_789, tip: 864_790 }));
        assert_eq!(pre(864_790, None), Ok(1));
        assert_eq!(Table::bbn_test_5().at(227_174).unwrap().rate.to_string(), "0.05");
        assert_eq!(table.versions()[0].outlasts(300), Ok(()));
        assert_eq!(table.versions()[0].outlasts(1_008), Err(ParametersRule::Finalization));
    }

    #[test]
    fn rates_are_read_exactly() {
        let read = |text: &str| SlashingRate::read(text).map(SlashingRate::get);
        for (text, rate) in [("0.001", 10), ("0.0010000", 10), ("0.1", 1_000), ("0.9999", 9_999), ("0.05", 500)] {
            assert_eq!(read(text), Some(rate));
            assert_eq!(read(&SlashingRate::new(rate).unwrap().to_string()), Some(rate));
        }
        for text in ["0", "0.", "0.0", "1", "1.0", "0.00001", "0.12345", "-0.1", "0.1e1", ".1", "0.+1", "0,1", ""] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    /// The testnet's newest version, in which one thing is changed.
    fn changed(change: impl Fn(&mut Parameters)) -> Result<(), ParametersRule> {
        let mut version = Table::bbn_test_5().versions()[6].clone();
        change(&mut version);
        version.check()
    }

    #[test]
    fn parameters_that_could_never_slash_are_refused() {
        let sats = Amount::from_sat;
        assert_eq!(changed(|_| ()), Ok(()));
        assert_eq!(changed(|v| v.covenant.clear()), Err(ParametersRule::Members(0)));
        assert_eq!(changed(|v| v.covenant[1] = v.covenant[0]), Err(ParametersRule::RepeatedKey));
        assert_eq!(changed(|v| v.quorum = 4), Err(ParametersRule::Quorum));
        assert_eq!(changed(|v| v.quorum = 10), Err(ParametersRule::Quorum));
        assert_eq!(changed(|v| v.min_stake = Amount::ZERO), Err(ParametersRule::Value));
        assert_eq!(changed(|v| v.max_stake = sats(49_999)), Err(ParametersRule::Value));
        assert_eq!(changed(|v| v.min_time = 0), Err(ParametersRule::Time));
        assert_eq!(changed(|v| v.max_time = 9_999), Err(ParametersRule::Time));
        assert_eq!(changed(|v| v.unbonding_time = 0), Err(ParametersRule::UnbondingTime));
        assert_eq!(changed(|v| v.unbonding_fee = Amount::ZERO), Err(ParametersRule::UnbondingFee));
        assert_eq!(changed(|v| v.unbonding_fee = v.min_stake), Err(ParametersRule::UnbondingFee));
        assert_eq!(changed(|v| v.min_slashing_fee = Amount::ZERO), Err(ParametersRule::SlashingFee));
        assert_eq!(changed(|v| v.sink = ScriptBuf::new()), Err(ParametersRule::Sink));
        // 294 satoshis is the least a P2WPKH output may hold: (min - 2000) * 0.05
        assert_eq!(changed(|v| v.min_stake = sats(2_000 + 5_870)), Ok(()));
        assert_eq!(changed(|v| v.min_stake = sats(2_000 + 5_869)), Err(ParametersRule::Dust));
    }

    #[test]
    fn tables_out_of_order_are_refused() {
        let table = Table::bbn_1();
        let with = |change: &dyn Fn(&mut Vec<Parameters>)| {
            let mut versions = table.versions().to_vec();
            change(&mut versions);
            Table::new("x", versions).map(drop)
        };
        assert_eq!(with(&|_| ()), Ok(()));
        assert_eq!(with(&|v| v.clear()), Err(ParametersError::Count(0)));
        assert_eq!(with(&|v| v.swap(0, 1)), Err(ParametersError::Version { found: 1, expected: 0 }));
        assert_eq!(with(&|v| v[1].activation = v[0].activation), Err(ParametersError::Order(1)));
        let quorum = ParametersError::Rule { version: 2, rule: ParametersRule::Quorum };
        assert_eq!(with(&|v| v[2].quorum = 0), Err(quorum));
    }

    #[test]
    fn a_file_is_taken_whole_or_not_at_all() {
        let good = include_str!("data/bbn-1.json");
        let with = |from: &str, to: &str| Table::read("x", good.replacen(from, to, 1).as_bytes()).map(drop);
        let rule = |rule| Err(ParametersError::Rule { version: 0, rule });
        assert_eq!(with("", ""), Ok(()));
        assert_eq!(with("\"covenant_quorum\": 6", "\"covenant_quorum\": \"6\""), Ok(()));
        assert_eq!(with("\"0.001\"", "0.001"), Ok(()));
        assert_eq!(with("\"0.001\"", "\"0.00001\""), rule(ParametersRule::Rate));
        assert_eq!(with("\"0.03\"", "\"1.03\""), rule(ParametersRule::Commission));
        assert_eq!(with("64000", "65536"), rule(ParametersRule::Time));
        assert_eq!(with("6a07626162796c6f6e", "6a0"), rule(ParametersRule::Sink));
        assert_eq!(with("23b29f89", "zzb29f89"), rule(ParametersRule::Key(0)));
        assert!(matches!(with("\"version\"", "\"something\": 1, \"version\""), Err(ParametersError::Form(_))));
        assert!(matches!(Table::read("x", b"{}"), Err(ParametersError::Form(_))));
        let long = vec![b' '; MAX_FILE_BYTES + 1];
        assert_eq!(Table::read("x", &long), Err(ParametersError::TooLong(MAX_FILE_BYTES + 1)));
    }

    proptest! {
        #[test]
        fn any_file_is_survived(place in 0_usize..4_000, byte: u8) {
            let mut bytes = include_bytes!("data/bbn-1.json").to_vec();
            let place = place % bytes.len();
            bytes[place] = byte;
            let _ = Table::read("x", &bytes);
            let _ = Table::read("x", &bytes[..place]);
        }
    }
}
