//! The transactions of a stake under one version of Babylon's parameters: staking, unbonding, the two slashings.
//!
//! Every field that a staker could vary is pinned, but for two: a slashing transaction may take more than the slash and may pay any fee from the
//! least on, and its version may be 1 (Babylon's nodes build that) or 2 (its wallets do).

use bitcoin::absolute::LockTime;
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Weight, Witness};

use super::parameters::{Parameters, is_dust};
use super::rules::{Broken, Checks, Rule};
use crate::scripts::StakingTerms;

/// A stake on Bitcoin: where it lies, what it is worth, under which terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stake {
    /// Who stakes, behind whom, for how long.
    pub terms: StakingTerms,
    /// Where it lies.
    pub outpoint: OutPoint,
    /// What it is worth.
    pub value: Amount,
}

impl Stake {
    /// Finds the stake with these terms in `transaction` and checks it against its version.
    ///
    /// # Errors
    ///
    /// The first rule that is broken.
    pub fn find(parameters: &Parameters, terms: StakingTerms, transaction: &Transaction) -> Result<Self, Broken> {
        let (checks, found) = staking(parameters, &terms, transaction);
        checks.require()?;
        let (outpoint, value) = found.expect("the rule of the staking output holds only with one");
        Ok(Self { terms, outpoint, value })
    }

    /// The output itself.
    pub fn output(&self) -> TxOut {
        TxOut { value: self.value, script_pubkey: self.terms.staking_output().script_pubkey }
    }

    /// The only unbonding transaction there can be, without signatures; `None` when the fee takes everything.
    pub fn unbonding(&self, parameters: &Parameters) -> Option<Transaction> {
        let value = self.value.checked_sub(parameters.unbonding_fee)?;
        let script_pubkey = self.terms.unbonding_output().script_pubkey;
        Some(spend(self.outpoint, Version::TWO, vec![TxOut { value, script_pubkey }]))
    }

    /// The slashing transaction that Babylon's nodes build of an output of this stake, with a fee of one's choice; `None` when nothing would
    /// be left.
    pub fn slashing(&self, parameters: &Parameters, from: OutPoint, value: Amount, fee: Amount) -> Option<Transaction> {
        let slash = parameters.rate.of(value);
        let rest = value.checked_sub(slash)?.checked_sub(fee).filter(|rest| *rest > Amount::ZERO)?;
        let outputs = vec![
            TxOut { value: slash, script_pubkey: parameters.sink.clone() },
            TxOut { value: rest, script_pubkey: self.terms.change_output().script_pubkey },
        ];
        Some(spend(from, Version::ONE, outputs))
    }
}

fn spend(from: OutPoint, version: Version, output: Vec<TxOut>) -> Transaction {
    let input =
        TxIn { previous_output: from, script_sig: ScriptBuf::new(), sequence: Sequence::MAX, witness: Witness::new() };
    Transaction { version, lock_time: LockTime::ZERO, input: vec![input], output }
}

/// What is known of an output that is spent. With everything known every rule can be checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Where it lies.
    pub outpoint: Option<OutPoint>,
    /// What it is worth.
    pub value: Option<Amount>,
    /// The script of the unbonding output.
    pub unbonding: Option<ScriptBuf>,
    /// The script of what a slash gives back.
    pub change: Option<ScriptBuf>,
}

impl Known {
    /// Everything about an output of `terms`.
    pub fn all(terms: &StakingTerms, outpoint: OutPoint, value: Amount) -> Self {
        Self {
            outpoint: Some(outpoint),
            value: Some(value),
            unbonding: Some(terms.unbonding_output().script_pubkey),
            change: Some(terms.change_output().script_pubkey),
        }
    }
}

/// Checks a staking transaction, and says where the stake is.
pub fn staking(
    parameters: &Parameters,
    terms: &StakingTerms,
    transaction: &Transaction,
) -> (Checks, Option<(OutPoint, Amount)>) {
    let mut checks = Checks::default();
    sane(&mut checks, transaction);
    let same_covenant = terms.covenant() == parameters.covenant && terms.quorum() == parameters.quorum;
    checks.expect(Rule::Covenant, same_covenant && terms.unbonding_time() == parameters.unbonding_time, || {
        format!("{} of {}, {} blocks", terms.quorum(), terms.covenant().len(), terms.unbonding_time())
    });
    let providers = u32::try_from(terms.providers().len()).unwrap_or(u32::MAX);
    checks.expect(Rule::Providers, providers <= parameters.max_providers, || {
        format!("{providers}, and {} are allowed", parameters.max_providers)
    });
    let bounds = parameters.min_time..=parameters.max_time;
    checks.expect(Rule::StakingTime, bounds.contains(&terms.staking_time()), || {
        format!("{} blocks, outside {} to {}", terms.staking_time(), bounds.start(), bounds.end())
    });
    let script = terms.staking_output().script_pubkey;
    let places: Vec<_> = (0..).zip(&transaction.output).filter(|(_, output)| output.script_pubkey == script).collect();
    checks.expect(Rule::StakingOutput, places.len() == 1, || format!("{} do", places.len()));
    let Some((vout, output)) = places.first() else {
        checks.unknown(Rule::StakingValue, "the staking output");
        return (checks, None);
    };
    let bounds = parameters.min_stake..=parameters.max_stake;
    checks.expect(Rule::StakingValue, bounds.contains(&output.value), || {
        format!("{}, outside {} to {}", output.value, bounds.start(), bounds.end())
    });
    let outpoint = OutPoint { txid: transaction.compute_txid(), vout: *vout };
    (checks, Some((outpoint, output.value)))
}

/// Checks an unbonding transaction.
pub fn unbonding(parameters: &Parameters, known: &Known, transaction: &Transaction) -> Checks {
    let mut checks = Checks::default();
    presigned(&mut checks, transaction, 1, &[2], known.outpoint);
    let output = transaction.output.first();
    checks.given(
        Rule::UnbondingOutput,
        known.unbonding.as_ref(),
        "the finality providers",
        |script| output.is_some_and(|output| output.script_pubkey == **script),
        |_| "another script".to_owned(),
    );
    let paid = transaction.output.iter().map(|output| output.value).try_fold(Amount::ZERO, Amount::checked_add);
    let fee = known.value.map(|value| paid.and_then(|paid| value.checked_sub(paid)));
    checks.given(
        Rule::UnbondingFee,
        fee,
        "the stake's value",
        |fee| *fee == Some(parameters.unbonding_fee),
        |fee| {
            fee.map_or("more is paid than there is".to_owned(), |fee| {
                format!("{fee} instead of {}", parameters.unbonding_fee)
            })
        },
    );
    checks
}

/// Checks a slashing transaction, of the staking output or of the unbonding output.
pub fn slashing(parameters: &Parameters, known: &Known, transaction: &Transaction) -> Checks {
    let mut checks = Checks::default();
    presigned(&mut checks, transaction, 2, &[1, 2], known.outpoint);
    let (sink, change) = (transaction.output.first(), transaction.output.get(1));
    checks.expect(Rule::Sink, sink.is_some_and(|output| output.script_pubkey == parameters.sink), || {
        format!("{} instead of {}", sink.map_or_else(String::new, |o| o.script_pubkey.to_hex_string()), {
            parameters.sink.to_hex_string()
        })
    });
    let taken = sink.map_or(Amount::ZERO, |output| output.value);
    checks.given(
        Rule::Slash,
        known.value,
        "the value slashed",
        |value| parameters.rate.is_taken(taken, *value) && taken > Amount::ZERO,
        |value| format!("{taken} instead of {}", parameters.rate.of(*value)),
    );
    checks.given(
        Rule::Change,
        known.change.as_ref(),
        "the staker",
        |script| change.is_some_and(|output| output.script_pubkey == **script && output.value > Amount::ZERO),
        |_| "another script, or nothing".to_owned(),
    );
    let dust = transaction.output.iter().position(is_dust);
    checks.expect(Rule::Dust, dust.is_none(), || format!("output {} is", dust.unwrap_or_default()));
    let paid = transaction.output.iter().map(|output| output.value).try_fold(Amount::ZERO, Amount::checked_add);
    let fee = known.value.map(|value| paid.and_then(|paid| value.checked_sub(paid)));
    checks.given(
        Rule::SlashingFee,
        fee,
        "the value slashed",
        |fee| fee.is_some_and(|fee| fee >= parameters.min_slashing_fee),
        |fee| {
            fee.map_or("more is paid than there is".to_owned(), |fee| {
                format!("{fee}, and the least is {}", parameters.min_slashing_fee)
            })
        },
    );
    checks
}

/// What Bitcoin's own consensus asks of any transaction that is no coinbase.
pub(crate) fn sane(checks: &mut Checks, transaction: &Transaction) {
    let mut spent: Vec<_> = transaction.input.iter().map(|input| input.previous_output).collect();
    spent.sort_unstable();
    let sum = transaction.output.iter().map(|output| output.value).try_fold(Amount::ZERO, Amount::checked_add);
    let wrong = match () {
        () if transaction.input.is_empty() => Some("it has no input"),
        () if transaction.output.is_empty() => Some("it has no output"),
        () if transaction.is_coinbase() || spent.iter().any(OutPoint::is_null) => Some("it is a coinbase"),
        () if spent.windows(2).any(|pair| pair[0] == pair[1]) => Some("it spends one output twice"),
        () if sum.is_none_or(|sum| sum > Amount::MAX_MONEY) => Some("it pays more than there is"),
        () if transaction.weight() > Weight::MAX_BLOCK => Some("it fits in no block"),
        () => None,
    };
    checks.expect(Rule::Sane, wrong.is_none(), || wrong.unwrap_or_default().to_owned());
}

/// What every transaction that is signed in advance must be.
fn presigned(checks: &mut Checks, transaction: &Transaction, outputs: usize, versions: &[i32], from: Option<OutPoint>) {
    sane(checks, transaction);
    checks.expect(Rule::Inputs, transaction.input.len() == 1, || transaction.input.len().to_string());
    checks.expect(Rule::Outputs, transaction.output.len() == outputs, || transaction.output.len().to_string());
    checks.expect(Rule::Version, versions.contains(&transaction.version.0), || transaction.version.to_string());
    checks.expect(Rule::LockTime, transaction.lock_time == LockTime::ZERO, || transaction.lock_time.to_string());
    checks.expect(Rule::Weight, transaction.weight() <= STANDARD_WEIGHT, || transaction.weight().to_string());
    let sequence = transaction.input.iter().map(|input| input.sequence).find(|sequence| *sequence != Sequence::MAX);
    checks.expect(Rule::Final, sequence.is_none(), || sequence.unwrap_or_default().to_string());
    let bare = transaction.input.iter().all(|input| input.script_sig.is_empty());
    checks.expect(Rule::NoScriptSig, bare, || "it has one".to_owned());
    checks.given(
        Rule::Spends,
        from,
        "where the stake lies",
        |from| transaction.input.first().is_some_and(|input| input.previous_output == *from),
        |from| format!("it does not spend {from}"),
    );
}

/// The heaviest transaction that is relayed.
const STANDARD_WEIGHT: Weight = Weight::from_wu(400_000);
