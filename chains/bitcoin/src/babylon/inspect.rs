//! What a transaction does to a stake, for people.
//!
//! A stake on Bitcoin is a hash; who it belongs to is told by the identification of phase 1, by the script of whoever spends it, or by a hint.
//! What a spend's witness does not say is worked out where arithmetic can: times by trying them all, the value of an unbonded or slashed
//! stake from what the transaction pays, believed only when the staker's signature holds over it. Everything else is called unknown, never good.

use std::collections::BTreeMap;
use std::str::FromStr as _;

use bitcoin::consensus::encode;
use bitcoin::secp256k1::XOnlyPublicKey;
use bitcoin::{Amount, OutPoint, ScriptBuf, Transaction, TxOut};
use palisade_types::vault::MAX_PROVIDERS;
use serde::Serialize;

use super::expansion::Parent;
use super::leaf::LeafScript;
use super::parameters::{Parameters, Table, VersionError};
use super::phase1::Identification;
use super::rules::{Checks, Rule, Verdict};
use super::spend::{LeafSpend, Origin, Slot};
use super::transactions::{self, Known, Stake};
use crate::scripts::StakingTerms;

/// The largest transaction that is read, in bytes: as large as a block allows.
pub const MAX_TRANSACTION_BYTES: usize = 4_000_000;

/// The most earlier transactions that may be given to explain one.
pub const MAX_PREVIOUS: usize = 1_000;

/// The most values that are tried against a signature.
const MAX_TRIES: usize = 20_000;

/// Why there is nothing to explain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InspectError {
    /// The bytes are longer than a block.
    #[error("a transaction of {0} bytes fits in no block")]
    TooLong(usize),
    /// The bytes are no transaction.
    #[error("{0} bytes that are no transaction")]
    NoTransaction(usize),
    /// A hint is no key.
    #[error("{0:.80} is no x-only key of 64 hexadecimal characters")]
    Key(String),
    /// More hints than any stake has providers, or than any transaction has inputs.
    #[error("{0} are too many {1}")]
    TooMany(usize, &'static str),
    /// No version was in force then.
    #[error(transparent)]
    Version(#[from] VersionError),
}

/// What is known besides the transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    staker: Option<XOnlyPublicKey>,
    providers: Vec<XOnlyPublicKey>,
    time: Option<u16>,
    height: Option<u32>,
    previous: BTreeMap<OutPoint, TxOut>,
}

impl Hints {
    /// Nothing but the transaction.
    pub fn none() -> Self {
        Self::default()
    }

    /// Names the staker, the finality providers (x-only, in hexadecimal) and the staking time in blocks.
    ///
    /// # Errors
    ///
    /// [`InspectError::Key`] and [`InspectError::TooMany`].
    pub fn of(staker: Option<&str>, providers: &[String], time: Option<u16>) -> Result<Self, InspectError> {
        if providers.len() > MAX_PROVIDERS {
            return Err(InspectError::TooMany(providers.len(), "finality providers"));
        }
        let digits = |text: &str| XOnlyPublicKey::from_str(text.strip_prefix("0x").unwrap_or(text));
        let key = |text: &str| digits(text).map_err(|_| InspectError::Key(text.to_owned()));
        Ok(Self {
            staker: staker.map(key).transpose()?,
            providers: providers.iter().map(|text| key(text)).collect::<Result<_, _>>()?,
            time,
            ..Self::default()
        })
    }

    /// Says in which block the stake was, so that only that height's version is meant.
    #[must_use]
    pub fn at(self, height: Option<u32>) -> Self {
        Self { height, ..self }
    }

    /// Adds a transaction whose outputs are spent.
    ///
    /// # Errors
    ///
    /// [`InspectError`].
    pub fn with_previous(mut self, bytes: &[u8]) -> Result<Self, InspectError> {
        let transaction = read(bytes)?;
        let txid = transaction.compute_txid();
        let outputs = (0..).zip(transaction.output).map(|(vout, output)| (OutPoint { txid, vout }, output));
        self.previous.extend(outputs);
        Ok(self)
    }
}

/// A transaction, explained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Its id, as Bitcoin shows it.
    pub txid: String,
    /// The network whose parameters it was held against.
    pub network: String,
    /// Everything it does to a stake; nothing, when it has to do with none that can be recognised.
    pub acts: Vec<Act>,
}

impl Report {
    /// Whether some rule is broken.
    pub fn is_broken(&self) -> bool {
        self.acts.iter().any(|act| act.rules.iter().any(|rule| rule.verdict == "broken"))
    }
}

/// What a transaction does to a stake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It makes one.
    Staking,
    /// It takes one out of its lock early, into the unbonding lock.
    Unbonding,
    /// It takes the agreed part.
    Slashing,
    /// It returns it to the staker after a lock.
    Withdrawal,
    /// It turns one into a larger or longer one.
    Expansion,
}

/// One thing a transaction does to a stake. Keys are x-only in hexadecimal, amounts in satoshis, times in blocks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Act {
    /// What it does.
    pub kind: Kind,
    /// The output that it makes or spends.
    pub outpoint: String,
    /// What is spent, and by which leaf.
    pub spends: Option<String>,
    /// The versions of the parameters that it fits equally well.
    pub versions: Vec<u32>,
    /// The staker.
    pub staker: String,
    /// The finality providers; empty when nothing tells.
    pub providers: Vec<String>,
    /// The covenant; empty when nothing tells.
    pub covenant: Vec<String>,
    /// How many of it must sign.
    pub quorum: Option<u16>,
    /// The lock of the stake.
    pub staking_time: Option<u16>,
    /// The lock after unbonding or slashing.
    pub unbonding_time: Option<u16>,
    /// What is staked, or spent.
    pub value: Option<u64>,
    /// What the slash takes.
    pub taken: Option<u64>,
    /// What miners get.
    pub fee: Option<u64>,
    /// The covenant members whose signatures stand in the witness.
    pub signed_by: Vec<String>,
    /// The finality provider whose signature stands in the witness: the one that is slashed.
    pub slashed: Option<String>,
    /// Every rule with what came of it.
    pub rules: Vec<RuleReport>,
}

/// A rule with what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleReport {
    /// The rule.
    pub rule: String,
    /// `obeyed`, `broken` or `unknown`.
    pub verdict: &'static str,
    /// What was found instead, or what would have to be known.
    pub note: Option<String>,
}

/// Explains the bytes of one transaction.
///
/// # Errors
///
/// [`InspectError`].
pub fn inspect(bytes: &[u8], table: &Table, hints: &Hints) -> Result<Report, InspectError> {
    let transaction = read(bytes)?;
    let versions = match hints.height {
        Some(height) => vec![table.at(height)?],
        None => table.versions().iter().collect(),
    };
    let case = Case { transaction: &transaction, table, versions, hints };
    let mut acts = case.spends();
    acts.extend(case.staking().filter(|_| acts.iter().all(|act| act.kind != Kind::Expansion)));
    if acts.is_empty() {
        acts.extend(case.unsigned());
    }
    Ok(Report { txid: transaction.compute_txid().to_string(), network: table.network().to_owned(), acts })
}

/// The transactions whose outputs a transaction spends, as ids.
///
/// # Errors
///
/// [`InspectError`].
pub fn parents(bytes: &[u8]) -> Result<Vec<String>, InspectError> {
    let mut ids: Vec<_> = read(bytes)?.input.iter().map(|input| input.previous_output.txid.to_string()).collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.len() > MAX_PREVIOUS {
        return Err(InspectError::TooMany(ids.len(), "earlier transactions"));
    }
    Ok(ids)
}

fn read(bytes: &[u8]) -> Result<Transaction, InspectError> {
    if bytes.len() > MAX_TRANSACTION_BYTES {
        return Err(InspectError::TooLong(bytes.len()));
    }
    encode::deserialize(bytes).map_err(|_| InspectError::NoTransaction(bytes.len()))
}

/// A transaction and everything it is judged by.
struct Case<'a> {
    transaction: &'a Transaction,
    table: &'a Table,
    versions: Vec<&'a Parameters>,
    hints: &'a Hints,
}

impl Case<'_> {
    /// Tries every version, and keeps those that break the fewest rules; the newest of them is shown.
    fn best(&self, judge: impl Fn(&Parameters) -> Option<(Act, Checks)>) -> Option<Act> {
        let judged: Vec<_> = self
            .versions
            .iter()
            .filter_map(|version| {
                judge(version).map(|(act, checks)| (checks.broken().count(), version.version, act, checks))
            })
            .collect();
        let fewest = judged.iter().map(|(broken, ..)| *broken).min()?;
        let versions =
            judged.iter().filter(|(broken, ..)| *broken == fewest).map(|(_, version, ..)| *version).collect();
        let (.., act, checks) = judged.into_iter().rfind(|(broken, ..)| *broken == fewest)?;
        Some(Act { versions, rules: checks.0.iter().map(|check| rule(check.rule, &check.verdict)).collect(), ..act })
    }

    /// The stake that the transaction makes, when its identification or hints name it.
    fn staking(&self) -> Option<Act> {
        let identified = Identification::of(self.transaction).ok();
        self.best(|version| {
            let terms = match identified {
                Some(found) => version.terms(found.staker, vec![found.provider], found.staking_time).ok()?,
                None => self.hinted(version)?,
            };
            let (mut checks, found) = transactions::staking(version, &terms, self.transaction);
            if identified.is_none() && found.is_none() {
                return None; // hints that fit no output say nothing about this transaction
            }
            if let Some(found) = identified {
                checks.given(
                    Rule::Tag,
                    self.table.tag(),
                    "the network's tag",
                    |tag| *tag == found.tag,
                    |_| named(found.tag),
                );
            }
            let mut act = Act::of(Kind::Staking, &terms);
            let (outpoint, value) = found.unzip();
            act.outpoint = outpoint.map_or_else(|| self.transaction.compute_txid().to_string(), |at| at.to_string());
            act.value = value.map(Amount::to_sat);
            Some((act, checks))
        })
    }

    /// The terms that hints name under a version. Without a time, every one within bounds is tried.
    fn hinted(&self, version: &Parameters) -> Option<StakingTerms> {
        let staker = self.hints.staker.filter(|_| !self.hints.providers.is_empty())?;
        let terms = |time| version.terms(staker, self.hints.providers.clone(), time).ok();
        match self.hints.time {
            Some(time) => terms(time),
            None => (version.min_time..=version.max_time).filter_map(terms).find(|terms| {
                let script = terms.staking_output().script_pubkey;
                self.transaction.output.iter().any(|output| output.script_pubkey == script)
            }),
        }
    }

    /// Everything that inputs do by leaves of a stake.
    fn spends(&self) -> Vec<Act> {
        (0..self.transaction.input.len())
            .filter_map(|input| LeafSpend::read(self.transaction, input).ok())
            .filter_map(|spend| self.spend(&spend))
            .collect()
    }

    fn spend(&self, spend: &LeafSpend) -> Option<Act> {
        let spent = self.spent(spend);
        self.best(|version| {
            let mut checks = Checks::default();
            self.origin(&mut checks, version, spend);
            let value = spent.as_ref().map(|spent| spent[spend.input].value);
            let known = Known {
                outpoint: None,
                value,
                unbonding: spend.unbonding_output(version.unbonding_time),
                change: Some(spend.change_output(version.unbonding_time)),
            };
            let kind = self.kind(spend);
            match kind {
                Kind::Unbonding => checks.0.extend(transactions::unbonding(version, &known, self.transaction).0),
                Kind::Slashing => checks.0.extend(transactions::slashing(version, &known, self.transaction).0),
                Kind::Expansion => self.expansion(&mut checks, version, spend, value),
                Kind::Withdrawal | Kind::Staking => self.withdrawal(&mut checks, spend),
            }
            checks.0.retain(|check| check.rule != Rule::Spends || kind == Kind::Expansion); // it is its own evidence
            self.signatures(&mut checks, version, spend, spent.as_deref());
            Some((self.describe(kind, version, spend, value), checks))
        })
    }

    fn kind(&self, spend: &LeafSpend) -> Kind {
        match spend.leaf {
            LeafScript::Timelock { .. } => Kind::Withdrawal,
            LeafScript::Slashing { .. } => Kind::Slashing,
            LeafScript::Unbonding { .. } if self.transaction.input.len() == 2 && spend.input == 0 => Kind::Expansion,
            LeafScript::Unbonding { .. } => Kind::Unbonding,
        }
    }

    /// Whose output is spent: covenant and lock are the version's, there is no key path, the proof leads to the output.
    fn origin(&self, checks: &mut Checks, version: &Parameters, spend: &LeafSpend) {
        let covenant = match spend.leaf.covenant() {
            Some((covenant, quorum)) => Some(covenant == version.covenant && quorum == version.quorum),
            None => self.committed_covenant(version, spend),
        };
        let other = |_: &bool| "another covenant".to_owned();
        checks.given(Rule::Covenant, covenant, "the finality providers", |same| *same, other);
        checks.expect(Rule::NoKeyPath, spend.no_key_path, || "another internal key, or another parity".to_owned());
        let output = self.hints.previous.get(&self.transaction.input[spend.input].previous_output);
        checks.given(
            Rule::Committed,
            output,
            "the output spent",
            |output| output.script_pubkey == spend.output,
            |_| "the output has another script".to_owned(),
        );
        if let Origin::Staking { staking_time } = spend.origin {
            let bounds = version.min_time..=version.max_time;
            let outside = |time: &u16| format!("{time} blocks, outside {} to {}", bounds.start(), bounds.end());
            checks.given(Rule::StakingTime, staking_time, "the staking time", |time| bounds.contains(time), outside);
        }
    }

    /// Whether the leaves beside a timelock are this version's, as far as the witness and hints tell.
    fn committed_covenant(&self, version: &Parameters, spend: &LeafSpend) -> Option<bool> {
        match spend.origin {
            Origin::Change { unbonding_time } => Some(unbonding_time == version.unbonding_time),
            Origin::Staking { .. } => Some(spend.has_unbonding_leaf(&version.covenant, version.quorum)),
            Origin::Unbonding { .. } if self.hints.providers.is_empty() => None,
            Origin::Unbonding { .. } => spend.commits_to(&self.hints.providers, &version.covenant, version.quorum),
        }
    }

    fn withdrawal(&self, checks: &mut Checks, spend: &LeafSpend) {
        transactions::sane(checks, self.transaction);
        checks.expect(Rule::Version, self.transaction.version.0 >= 2, || self.transaction.version.to_string());
        let LeafScript::Timelock { blocks, .. } = spend.leaf else {
            return;
        };
        let sequence = self.transaction.input[spend.input].sequence;
        let waits = sequence.is_height_locked() && sequence.0 & 0xffff >= u32::from(blocks);
        checks.expect(Rule::Waits, waits, || format!("{sequence} instead of {blocks} blocks"));
    }

    /// An expansion is checked whole when the hints name its providers and time and the outputs it spends are known.
    fn expansion(&self, checks: &mut Checks, version: &Parameters, spend: &LeafSpend, value: Option<Amount>) {
        let inputs = &self.transaction.input;
        let funding = self.hints.previous.get(&inputs[1].previous_output);
        let old_time = if let Origin::Staking { staking_time } = spend.origin { staking_time } else { None };
        let parent = old_time.zip(value).and_then(|(time, value)| {
            let terms = version.terms(spend.leaf.staker(), self.hints.providers.clone(), time).ok()?;
            let kept = spend.commits_to(&self.hints.providers, &version.covenant, version.quorum)?;
            let stake = Stake { terms, outpoint: inputs[0].previous_output, value };
            kept.then(|| Parent { stake, parameters: version.clone() })
        });
        let newest = self.versions.iter().rev().find_map(|new| {
            let hints = Hints { staker: Some(spend.leaf.staker()), ..self.hints.clone() };
            let case = Case { transaction: self.transaction, table: self.table, versions: vec![], hints: &hints };
            let terms = case.hinted(new)?;
            let found = transactions::staking(new, &terms, self.transaction).1;
            found.map(|_| (*new, terms))
        });
        match (parent, newest, funding) {
            (Some(parent), Some((new, terms)), Some(funding)) => {
                let is_stake = LeafSpend::read(self.transaction, 1).is_ok();
                checks.0.extend(parent.expansion(new, &terms, funding, is_stake, self.transaction).0);
            }
            _ => {
                transactions::sane(checks, self.transaction);
                let without = "the finality providers, the new staking time and the outputs spent";
                [Rule::StakingOutput, Rule::KeepsParties, Rule::KeepsValue, Rule::ExpansionFee, Rule::Funding]
                    .into_iter()
                    .for_each(|rule| checks.unknown(rule, without));
            }
        }
    }

    fn signatures(&self, checks: &mut Checks, version: &Parameters, spend: &LeafSpend, spent: Option<&[TxOut]>) {
        let holds = |key: &XOnlyPublicKey, signature: &[u8]| {
            spent.map(|spent| spend.verifies(self.transaction, spent, key, signature))
        };
        let without = "the value of what is spent";
        let bad = |_: &bool| "it does not match".to_owned();
        checks.given(Rule::StakerSignature, holds(&spend.leaf.staker(), &spend.staker), without, |good| *good, bad);
        let mut slots = |rule, slots: &[Slot], needed: usize| {
            let filled: Vec<_> = LeafSpend::signers(slots).collect();
            if filled.len() != needed {
                return checks.expect(rule, false, || format!("{} instead of {needed}", filled.len()));
            }
            let all = filled
                .iter()
                .map(|slot| holds(&slot.key, &slot.signature))
                .try_fold(true, |all, one| one.map(|one| all && one));
            checks.given(rule, all, without, |good| *good, |_| "one does not match".to_owned());
        };
        if !spend.providers.is_empty() {
            slots(Rule::ProviderSignature, &spend.providers, 1);
        }
        if let Some((_, quorum)) = spend.leaf.covenant() {
            slots(Rule::CovenantSignatures, &spend.covenant, usize::from(quorum.max(version.quorum)));
        }
    }

    /// Every output the transaction spends: those that were given, or the one that a signature proves.
    fn spent(&self, spend: &LeafSpend) -> Option<Vec<TxOut>> {
        let given: Option<Vec<TxOut>> = self
            .transaction
            .input
            .iter()
            .map(|input| self.hints.previous.get(&input.previous_output).cloned())
            .collect();
        given.or_else(|| self.proven(spend).map(|output| vec![output]))
    }

    /// The only output spent, when the staker's signature holds for one of the values that the rules allow.
    fn proven(&self, spend: &LeafSpend) -> Option<TxOut> {
        if self.transaction.input.len() != 1 {
            return None;
        }
        let paid =
            self.transaction.output.iter().map(|output| output.value).try_fold(Amount::ZERO, Amount::checked_add)?;
        let values: Vec<Amount> = match spend.leaf {
            LeafScript::Timelock { .. } => vec![],
            LeafScript::Unbonding { .. } => {
                self.versions.iter().filter_map(|version| paid.checked_add(version.unbonding_fee)).collect()
            }
            LeafScript::Slashing { .. } => {
                let taken = self.transaction.output.first()?.value;
                self.versions.iter().flat_map(|version| slashed_values(version, taken)).collect()
            }
        };
        let mut tried: Vec<Amount> = values.into_iter().filter(|value| *value > paid).take(MAX_TRIES).collect();
        tried.sort_unstable();
        tried.dedup();
        tried.into_iter().map(|value| TxOut { value, script_pubkey: spend.output.clone() }).find(|output| {
            spend.verifies(self.transaction, std::slice::from_ref(output), &spend.leaf.staker(), &spend.staker)
        })
    }

    fn describe(&self, kind: Kind, version: &Parameters, spend: &LeafSpend, value: Option<Amount>) -> Act {
        let paid =
            self.transaction.output.iter().map(|output| output.value).try_fold(Amount::ZERO, Amount::checked_add);
        let alone = self.transaction.input.len() == 1;
        let fee = value.zip(paid).filter(|_| alone).and_then(|(value, paid)| value.checked_sub(paid));
        let (staking_time, unbonding_time) = match spend.origin {
            Origin::Staking { staking_time } => (staking_time, None),
            Origin::Unbonding { unbonding_time } => (None, unbonding_time),
            Origin::Change { unbonding_time } => (None, Some(unbonding_time)),
        };
        let hinted = spend.commits_to(&self.hints.providers, &version.covenant, version.quorum) == Some(true);
        let providers = if hinted { &self.hints.providers[..] } else { spend.leaf.providers() };
        let (covenant, quorum) = spend.leaf.covenant().unzip();
        let taken = self.transaction.output.first().filter(|_| kind == Kind::Slashing);
        Act {
            kind,
            outpoint: self.transaction.input[spend.input].previous_output.to_string(),
            spends: Some(format!("the {} by its {} leaf", spend.origin.name(), spend.leaf.name())),
            versions: vec![],
            staker: spend.leaf.staker().to_string(),
            providers: texts(providers),
            covenant: covenant.map(texts).unwrap_or_default(),
            quorum,
            staking_time,
            unbonding_time,
            value: value.map(Amount::to_sat),
            taken: taken.map(|output| output.value.to_sat()),
            fee: fee.map(Amount::to_sat),
            signed_by: LeafSpend::signers(&spend.covenant).map(|slot| slot.key.to_string()).collect(),
            slashed: LeafSpend::signers(&spend.providers).map(|slot| slot.key.to_string()).next(),
            rules: vec![],
        }
    }

    /// Whether an output holds a stake of these providers, for how long, or what becomes of one by unbonding.
    fn holds(&self, version: &Parameters, terms: &StakingTerms, output: &TxOut) -> Option<Origin> {
        if output.script_pubkey == terms.unbonding_output().script_pubkey {
            return Some(Origin::Unbonding { unbonding_time: Some(terms.unbonding_time()) });
        }
        let stake = |time: &u16| {
            let terms = version.terms(terms.staker(), terms.providers().to_vec(), *time);
            terms.is_ok_and(|terms| terms.staking_output().script_pubkey == output.script_pubkey)
        };
        let times = self.hints.time.map_or(version.min_time..=version.max_time, |time| time..=time);
        times.into_iter().find(stake).map(|time| Origin::Staking { staking_time: Some(time) })
    }

    /// A transaction without witnesses that pays what hints make: one that waits for its signatures.
    fn unsigned(&self) -> Option<Act> {
        let staker = self.hints.staker.filter(|_| !self.hints.providers.is_empty())?;
        let from = self.transaction.input.first()?.previous_output;
        let spent = self.hints.previous.get(&from);
        let value = spent.map(|output| output.value);
        let pays = |place: usize, script: &ScriptBuf| {
            self.transaction.output.get(place).is_some_and(|output| output.script_pubkey == *script)
        };
        self.best(|version| {
            let terms = version.terms(staker, self.hints.providers.clone(), self.hints.time.unwrap_or(1)).ok()?;
            let known = Known {
                outpoint: None,
                value,
                unbonding: Some(terms.unbonding_output().script_pubkey),
                change: Some(terms.change_output().script_pubkey),
            };
            let (kind, mut checks) = match &known {
                Known { unbonding: Some(script), .. } if pays(0, script) => {
                    (Kind::Unbonding, transactions::unbonding(version, &known, self.transaction))
                }
                Known { change: Some(script), .. } if pays(1, script) => {
                    (Kind::Slashing, transactions::slashing(version, &known, self.transaction))
                }
                _ => return None,
            };
            let origin = spent.map(|output| self.holds(version, &terms, output));
            checks.0.retain(|check| check.rule != Rule::Spends);
            let other = |_: &Option<Origin>| "the output has another script".to_owned();
            let fits = |origin: &Option<Origin>| match origin {
                Some(Origin::Staking { .. }) => true,
                Some(_) => kind == Kind::Slashing, // what unbonds does not unbond again
                None => false,
            };
            checks.given(Rule::Spends, origin, "the output it spends", fits, other);
            let mut act = Act::of(kind, &terms);
            act.outpoint = from.to_string();
            act.staking_time = match origin.flatten() {
                Some(Origin::Staking { staking_time }) => staking_time,
                _ => self.hints.time,
            };
            act.spends = Some(match origin.flatten() {
                Some(origin) => format!("the {}; nobody has signed yet", origin.name()),
                None => "nothing yet: nobody has signed".to_owned(),
            });
            act.value = value.map(Amount::to_sat);
            let taken = self.transaction.output.first().filter(|_| kind == Kind::Slashing);
            act.taken = taken.map(|output| output.value.to_sat());
            let paid =
                self.transaction.output.iter().map(|output| output.value).try_fold(Amount::ZERO, Amount::checked_add);
            act.fee = value.zip(paid).and_then(|(value, paid)| value.checked_sub(paid)).map(Amount::to_sat);
            Some((act, checks))
        })
    }
}

/// A tag as people know it, with the network it belongs to.
fn named(tag: [u8; 4]) -> String {
    let text = match tag.iter().all(u8::is_ascii_graphic) {
        true => String::from_utf8_lossy(&tag).into_owned(),
        false => hex::encode(tag),
    };
    let known = [Table::bbn_1(), Table::bbn_test_5()];
    match known.iter().find(|table| table.tag() == Some(tag)) {
        Some(table) => format!("{text}, which is {}'s", table.network()),
        None => text,
    }
}

/// Every value of which a version's slash is exactly `taken`.
fn slashed_values(version: &Parameters, taken: Amount) -> impl Iterator<Item = Amount> + use<> {
    let (rate, around) = (u64::from(version.rate.get()), taken.to_sat().saturating_mul(10_000));
    let (least, most) = (around.saturating_sub(5_000) / rate, around.saturating_add(5_000) / rate + 1);
    let slashing = version.rate;
    let bounded = least.min(Amount::MAX_MONEY.to_sat())..=most.min(Amount::MAX_MONEY.to_sat());
    bounded.map(Amount::from_sat).filter(move |value| slashing.of(*value) == taken).take(MAX_TRIES)
}

impl Act {
    /// What terms say; the rest is filled in by whoever knows it.
    fn of(kind: Kind, terms: &StakingTerms) -> Self {
        Self {
            kind,
            outpoint: String::new(),
            spends: None,
            versions: vec![],
            staker: terms.staker().to_string(),
            providers: texts(terms.providers()),
            covenant: texts(terms.covenant()),
            quorum: Some(terms.quorum()),
            staking_time: Some(terms.staking_time()),
            unbonding_time: Some(terms.unbonding_time()),
            value: None,
            taken: None,
            fee: None,
            signed_by: vec![],
            slashed: None,
            rules: vec![],
        }
    }
}

fn texts(keys: &[XOnlyPublicKey]) -> Vec<String> {
    keys.iter().map(XOnlyPublicKey::to_string).collect()
}

fn rule(rule: Rule, verdict: &Verdict) -> RuleReport {
    let (verdict, note) = match verdict {
        Verdict::Obeyed => ("obeyed", None),
        Verdict::Broken(found) => ("broken", Some(found.clone())),
        Verdict::Unknown(without) => ("unknown", Some((*without).to_owned())),
    };
    RuleReport { rule: rule.to_string(), verdict, note }
}
