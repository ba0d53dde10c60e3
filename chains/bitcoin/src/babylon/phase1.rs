//! Stakes of the first phase: recognised by an `OP_RETURN` that names tag, staker, provider and time.
//!
//! `6a 47 | tag 4 | version 00 | staker 32 | provider 32 | staking time, two bytes big-endian`. Exactly one such output, exactly one output that
//! holds the terms it names, and at least two outputs: everything else is no stake. A stake beyond the version's cap is marked as overflow and never
//! became active by itself.

use bitcoin::opcodes::all::OP_RETURN;
use bitcoin::script::Builder;
use bitcoin::secp256k1::XOnlyPublicKey;
use bitcoin::{Amount, OutPoint, Script, ScriptBuf, Transaction};
use serde::Deserialize;

use super::checkpoint::pushed;
use super::parameters::{MAX_FILE_BYTES, MAX_VERSIONS, Number, ParametersError, ParametersRule, covenant};
use crate::scripts::{StakingTerms, TermsError};

/// The bytes of an identification.
pub const IDENTIFICATION_BYTES: usize = 71;

/// What the `OP_RETURN` of a stake says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identification {
    /// Which network.
    pub tag: [u8; 4],
    /// The staker.
    pub staker: XOnlyPublicKey,
    /// The finality provider.
    pub provider: XOnlyPublicKey,
    /// The lock, in blocks.
    pub staking_time: u16,
}

/// Why a transaction is no stake of phase 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PhaseOneError {
    /// A stake has an identification and the stake itself.
    #[error("a stake has at least two outputs")]
    Outputs,
    /// No output identifies a stake.
    #[error("no output identifies a stake")]
    Unidentified,
    /// Several outputs do.
    #[error("several outputs identify a stake")]
    Ambiguous,
    /// The tag is another network's.
    #[error("the tag is another network's")]
    Tag,
    /// The keys cannot make a stake.
    #[error(transparent)]
    Terms(#[from] TermsError),
    /// No output holds the terms, or several do.
    #[error("{0} outputs hold the terms instead of one")]
    StakingOutput(usize),
    /// The value is out of bounds.
    #[error("a stake of {0} is out of bounds")]
    Value(Amount),
    /// The time is out of bounds.
    #[error("a staking time of {0} blocks is out of bounds")]
    Time(u16),
}

impl Identification {
    /// Reads the script of an output; `None` when it identifies no stake, whatever else it is.
    pub fn read(script: &Script) -> Option<Self> {
        if !script.is_op_return() || script.len() != IDENTIFICATION_BYTES + 2 {
            return None;
        }
        let (tag, rest) = pushed(script)?.split_first_chunk::<4>()?;
        let (version, rest) = rest.split_first()?;
        let (staker, rest) = rest.split_first_chunk::<32>()?;
        let (provider, time) = rest.split_first_chunk::<32>()?;
        (*version == 0).then_some(Self {
            tag: *tag,
            staker: XOnlyPublicKey::from_slice(staker).ok()?,
            provider: XOnlyPublicKey::from_slice(provider).ok()?,
            staking_time: u16::from_be_bytes(time.try_into().ok()?),
        })
    }

    /// The script that says this.
    pub fn script(&self) -> ScriptBuf {
        let mut data = [0; IDENTIFICATION_BYTES];
        data[..4].copy_from_slice(&self.tag);
        data[5..37].copy_from_slice(&self.staker.serialize());
        data[37..69].copy_from_slice(&self.provider.serialize());
        data[69..].copy_from_slice(&self.staking_time.to_be_bytes());
        Builder::new().push_opcode(OP_RETURN).push_slice(data).into_script()
    }

    /// The one identification among a transaction's outputs.
    ///
    /// # Errors
    ///
    /// [`PhaseOneError`].
    pub fn of(transaction: &Transaction) -> Result<Self, PhaseOneError> {
        if transaction.output.len() < 2 {
            return Err(PhaseOneError::Outputs);
        }
        let mut found = transaction.output.iter().filter_map(|output| Self::read(&output.script_pubkey));
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(one),
            (Some(_), Some(_)) => Err(PhaseOneError::Ambiguous),
            (None, _) => Err(PhaseOneError::Unidentified),
        }
    }
}

/// When stakes stop becoming active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cap {
    /// Once this much is staked.
    Staked(Amount),
    /// After this height.
    Height(u32),
}

/// One version of the parameters of phase 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GlobalParameters {
    /// Its number.
    pub version: u32,
    /// The Bitcoin height from which it is in force.
    pub activation: u32,
    /// When stakes stop becoming active.
    pub cap: Cap,
    /// What identifies stakes.
    pub tag: [u8; 4],
    /// The covenant, ascending.
    pub covenant: Vec<XOnlyPublicKey>,
    /// How many of it must sign.
    pub quorum: u16,
    /// The lock after unbonding, in blocks.
    pub unbonding_time: u16,
    /// The exact fee of unbonding.
    pub unbonding_fee: Amount,
    /// The smallest stake.
    pub min_stake: Amount,
    /// The largest stake.
    pub max_stake: Amount,
    /// The shortest lock, in blocks.
    pub min_time: u16,
    /// The longest lock, in blocks.
    pub max_time: u16,
    /// How deep a stake must be; its own block counts.
    pub confirmations: u16,
}

/// A stake of phase 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identified {
    /// Its terms.
    pub terms: StakingTerms,
    /// Where it lies.
    pub outpoint: OutPoint,
    /// What it is worth.
    pub value: Amount,
}

impl GlobalParameters {
    /// Recognises a stake, and checks its value and time.
    ///
    /// # Errors
    ///
    /// [`PhaseOneError`].
    pub fn recognise(&self, transaction: &Transaction) -> Result<Identified, PhaseOneError> {
        let found = Identification::of(transaction)?;
        if found.tag != self.tag {
            return Err(PhaseOneError::Tag);
        }
        let terms = StakingTerms::new(
            found.staker,
            vec![found.provider],
            self.covenant.clone(),
            self.quorum,
            found.staking_time,
            self.unbonding_time,
        )?;
        let script = terms.staking_output().script_pubkey;
        let places: Vec<_> =
            (0..).zip(&transaction.output).filter(|(_, output)| output.script_pubkey == script).collect();
        let [(vout, output)] = places[..] else {
            return Err(PhaseOneError::StakingOutput(places.len()));
        };
        if !(self.min_stake..=self.max_stake).contains(&output.value) {
            return Err(PhaseOneError::Value(output.value));
        }
        if !(self.min_time..=self.max_time).contains(&found.staking_time) {
            return Err(PhaseOneError::Time(found.staking_time));
        }
        Ok(Identified { terms, outpoint: OutPoint { txid: transaction.compute_txid(), vout }, value: output.value })
    }

    /// Whether a stake in block `height` is too late: after the cap's height, or when the cap is staked already.
    pub fn overflows(&self, height: u32, staked: Amount) -> bool {
        match self.cap {
            Cap::Staked(cap) => staked >= cap,
            Cap::Height(cap) => height > cap,
        }
    }

    /// Whether a stake in block `height` is deep enough when the chain has `tip`.
    pub fn is_confirmed(&self, height: u32, tip: u32) -> bool {
        tip.checked_sub(height).is_some_and(|above| above >= u32::from(self.confirmations).saturating_sub(1))
    }
}

/// The parameters of phase 1 of bbn-1.
pub fn bbn_1() -> Vec<GlobalParameters> {
    read(include_bytes!("data/bbn-1-phase-1.json")).expect("the table in this repository is good")
}

/// Reads `{"versions": […]}` as the registry of networks has it.
///
/// # Errors
///
/// [`ParametersError`].
pub fn read(bytes: &[u8]) -> Result<Vec<GlobalParameters>, ParametersError> {
    if bytes.len() > MAX_FILE_BYTES {
        return Err(ParametersError::TooLong(bytes.len()));
    }
    let file: File = serde_json::from_slice(bytes).map_err(|error| ParametersError::Form(error.to_string()))?;
    if file.versions.is_empty() || file.versions.len() > MAX_VERSIONS {
        return Err(ParametersError::Count(file.versions.len()));
    }
    let versions = file.versions.iter().map(Raw::parse).collect::<Result<Vec<_>, _>>()?;
    for (version, expected) in versions.iter().zip(0..) {
        if version.version != expected {
            return Err(ParametersError::Version { found: version.version, expected });
        }
    }
    match versions.windows(2).find(|pair| pair[0].activation >= pair[1].activation) {
        Some(pair) => Err(ParametersError::Order(pair[1].version)),
        None => Ok(versions),
    }
}

/// The version in force at a Bitcoin height.
pub fn at(versions: &[GlobalParameters], height: u32) -> Option<&GlobalParameters> {
    versions.iter().rev().find(|version| version.activation <= height)
}

#[derive(Deserialize)]
struct File {
    versions: Vec<Raw>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    version: Number,
    activation_height: Number,
    staking_cap: Option<Number>,
    cap_height: Option<Number>,
    tag: String,
    covenant_pks: Vec<String>,
    covenant_quorum: Number,
    unbonding_time: Number,
    unbonding_fee: Number,
    max_staking_amount: Number,
    min_staking_amount: Number,
    max_staking_time: Number,
    min_staking_time: Number,
    confirmation_depth: Number,
}

impl Raw {
    fn parse(&self) -> Result<GlobalParameters, ParametersError> {
        let version = self.version.read().unwrap_or(u32::MAX);
        self.read(version).map_err(|rule| ParametersError::Rule { version, rule })
    }

    fn read(&self, version: u32) -> Result<GlobalParameters, ParametersRule> {
        let number = ParametersRule::Number;
        let sats = |number: &Number| number.read().map(Amount::from_sat);
        let mut tag = [0; 4];
        hex::decode_to_slice(&self.tag, &mut tag).map_err(|_| number)?;
        let parameters = GlobalParameters {
            version,
            activation: self.activation_height.read().ok_or(number)?,
            cap: self.cap().ok_or(number)?,
            tag,
            covenant: covenant(&self.covenant_pks)?,
            quorum: self.covenant_quorum.read().ok_or(ParametersRule::Quorum)?,
            unbonding_time: self.unbonding_time.read().ok_or(ParametersRule::UnbondingTime)?,
            unbonding_fee: sats(&self.unbonding_fee).ok_or(number)?,
            min_stake: sats(&self.min_staking_amount).ok_or(number)?,
            max_stake: sats(&self.max_staking_amount).ok_or(number)?,
            min_time: self.min_staking_time.read().ok_or(ParametersRule::Time)?,
            max_time: self.max_staking_time.read().ok_or(ParametersRule::Time)?,
            confirmations: self.confirmation_depth.read().ok_or(number)?,
        };
        parameters.check()?;
        Ok(parameters)
    }

    /// One of the two, never both and never none.
    fn cap(&self) -> Option<Cap> {
        let read = |number: &Option<Number>| number.as_ref().map_or(Some(0_u64), Number::read);
        match (read(&self.staking_cap)?, read(&self.cap_height)?) {
            (0, height @ 1..) => u32::try_from(height).ok().map(Cap::Height),
            (sats @ 1.., 0) => Some(Cap::Staked(Amount::from_sat(sats))),
            _ => None,
        }
    }
}

impl GlobalParameters {
    fn check(&self) -> Result<(), ParametersRule> {
        let members = self.covenant.len();
        let rules = [
            (self.covenant.windows(2).all(|pair| pair[0] != pair[1]), ParametersRule::RepeatedKey),
            (usize::from(self.quorum) * 2 > members && usize::from(self.quorum) <= members, ParametersRule::Quorum),
            (self.min_stake > Amount::ZERO && self.min_stake <= self.max_stake, ParametersRule::Value),
            (self.min_time > 0 && self.min_time <= self.max_time, ParametersRule::Time),
            (self.unbonding_time > 0, ParametersRule::UnbondingTime),
            (self.unbonding_fee > Amount::ZERO && self.unbonding_fee < self.min_stake, ParametersRule::UnbondingFee),
            (self.confirmations > 0, ParametersRule::Number),
        ];
        rules.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, rule)| Err(rule))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::TxOut;
    use palisade_crypto::eots::SecretKey;
    use proptest::prelude::*;

    fn key(number: u8) -> XOnlyPublicKey {
        XOnlyPublicKey::from_slice(&SecretKey::from_bytes(&[number; 32]).unwrap().public().to_bytes()).unwrap()
    }

    fn identification() -> Identification {
        Identification { tag: *b"bbn1", staker: key(1), provider: key(2), staking_time: 64_000 }
    }

    fn output(script_pubkey: ScriptBuf, sats: u64) -> TxOut {
        TxOut { value: Amount::from_sat(sats), script_pubkey }
    }

    /// A stake of half a million satoshis, then its identification.
    fn stake(version: &GlobalParameters) -> Transaction {
        let found = identification();
        let terms = StakingTerms::new(
            found.staker,
            vec![found.provider],
            version.covenant.clone(),
            version.quorum,
            found.staking_time,
            version.unbonding_time,
        )
        .unwrap();
        let mut transaction = bitcoin::constants::genesis_block(bitcoin::Network::Bitcoin).txdata.remove(0);
        transaction.output = vec![output(terms.staking_output().script_pubkey, 500_000), output(found.script(), 0)];
        transaction
    }

    #[test]
    fn only_a_stake_without_any_doubt_is_recognised() {
        let version = &bbn_1()[0];
        let good = stake(version);
        let found = version.recognise(&good).unwrap();
        assert_eq!((found.outpoint.vout, found.value.to_sat(), found.terms.staker()), (0, 500_000, key(1)));
        let with = |change: &dyn Fn(&mut Vec<TxOut>)| {
            let mut changed = good.clone();
            change(&mut changed.output);
            version.recognise(&changed).map(drop)
        };
        let identify = |change: &dyn Fn(&mut Identification)| {
            let mut changed = identification();
            change(&mut changed);
            with(&|outputs| outputs[1].script_pubkey = changed.script())
        };
        assert_eq!(with(&|o| o.reverse()), Ok(()), "the order of outputs says nothing");
        assert_eq!(with(&|o| o.truncate(1)), Err(PhaseOneError::Outputs));
        assert_eq!(with(&|o| o[1].script_pubkey = ScriptBuf::new()), Err(PhaseOneError::Unidentified));
        assert_eq!(with(&|o| o.push(o[1].clone())), Err(PhaseOneError::Ambiguous));
        assert_eq!(with(&|o| o.push(o[0].clone())), Err(PhaseOneError::StakingOutput(2)));
        assert_eq!(
            with(&|o| o[0].value = Amount::from_sat(499_999)),
            Err(PhaseOneError::Value(Amount::from_sat(499_999)))
        );
        assert_eq!(
            with(&|o| o[0].value = Amount::from_sat(5_000_001)),
            Err(PhaseOneError::Value(Amount::from_sat(5_000_001)))
        );
        assert_eq!(identify(&|i| i.tag = *b"bbt4"), Err(PhaseOneError::Tag));
        assert_eq!(identify(&|i| i.staking_time = 63_999), Err(PhaseOneError::StakingOutput(0)));
        assert_eq!(identify(&|i| i.provider = i.staker), Err(PhaseOneError::Terms(TermsError::Repeated(key(1)))));
        assert_eq!(identify(&|i| i.staking_time = 0), Err(PhaseOneError::Terms(TermsError::NoTime)));
        let mut wide = version.clone();
        wide.min_time = 64_001;
        assert_eq!(wide.recognise(&good), Err(PhaseOneError::Time(64_000)));
    }

    #[test]
    fn an_identification_is_71_bytes_in_one_minimal_push() {
        let script = identification().script();
        assert_eq!(script.len(), 73);
        assert!(script.to_hex_string().starts_with("6a4762626e3100"));
        assert_eq!(Identification::read(&script), Some(identification()));
        let with = |place: usize, byte: u8| {
            let mut bytes = script.to_bytes();
            bytes[place] = byte;
            Identification::read(Script::from_bytes(&bytes))
        };
        assert_eq!(with(6, 1), None, "another version");
        assert_eq!(with(0, 0x51), None);
        assert_eq!(with(1, 0x46), None);
        let off_curve = with(7, script.as_bytes()[7] ^ 0xff);
        assert_ne!(off_curve, Some(identification()));
    }

    #[test]
    fn caps_are_by_amount_or_by_height_and_never_both() {
        let versions = bbn_1();
        let caps: Vec<_> = versions.iter().map(|version| version.cap).collect();
        let thousand = Amount::from_sat(100_000_000_000);
        assert_eq!(caps, [Cap::Staked(thousand), Cap::Height(864_799), Cap::Height(875_087)]);
        let one = Amount::from_sat(1);
        assert!(!versions[0].overflows(u32::MAX, thousand - one) && versions[0].overflows(0, thousand));
        assert!(!versions[1].overflows(864_799, thousand) && versions[1].overflows(864_800, Amount::ZERO));
        assert!(versions[0].is_confirmed(100, 109) && !versions[0].is_confirmed(100, 108), "its own block counts");
        assert!(!versions[0].is_confirmed(100, 99));
        assert_eq!(at(&versions, 864_789).map(|version| version.version), Some(0));
        assert_eq!(at(&versions, 864_790).map(|version| version.version), Some(1));
        assert_eq!(at(&versions, 857_909), None);
        let good = include_str!("data/bbn-1-phase-1.json");
        let with = |from: &str, to: &str| read(good.replacen(from, to, 1).as_bytes()).map(drop);
        let number = Err(ParametersError::Rule { version: 0, rule: ParametersRule::Number });
        assert_eq!(with("\"staking_cap\"", "\"cap_height\": 5, \"staking_cap\""), number);
        assert_eq!(with("100000000000", "0"), number);
        assert_eq!(with("62626e31", "62626e"), number);
    }

    proptest! {
        #[test]
        fn any_output_is_survived(bytes in proptest::collection::vec(any::<u8>(), 60..80)) {
            let script = ScriptBuf::from_bytes([&[0x6a, 0x47][..], &bytes].concat());
            let _ = Identification::read(&script);
        }
    }
}
