//! The rules of stakes by name, and what came of checking them.
//!
//! A checker that must decide asks [`Checks::require`]; one that explains shows every rule, also those that cannot be checked from what is
//! known.

use std::fmt;

/// A rule that a transaction of a stake obeys or breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// What Bitcoin itself asks of any transaction.
    Sane,
    /// The identifying `OP_RETURN` of phase 1 carries the network's tag.
    Tag,
    /// Exactly one output holds the terms.
    StakingOutput,
    /// The staking time is within the version's bounds.
    StakingTime,
    /// The stake's value is within the version's bounds.
    StakingValue,
    /// No more finality providers than the version allows.
    Providers,
    /// The covenant in the script is the version's.
    Covenant,
    /// The internal key is the one nobody knows, so that there is no key path.
    NoKeyPath,
    /// The script and its proof lead to the output that is spent.
    Committed,
    /// The transaction has the number of inputs it must have.
    Inputs,
    /// The transaction has the number of outputs it must have.
    Outputs,
    /// The version is one of those allowed.
    Version,
    /// The lock time is zero.
    LockTime,
    /// The sequence is final, so that the transaction cannot be replaced.
    Final,
    /// The input has no signature script.
    NoScriptSig,
    /// The transaction is light enough to be relayed.
    Weight,
    /// The input is the stake.
    Spends,
    /// Output 0 of an unbonding transaction holds the unbonding terms.
    UnbondingOutput,
    /// The unbonding fee is exactly the version's.
    UnbondingFee,
    /// Output 0 of a slashing transaction pays the version's script.
    Sink,
    /// It pays at least the slash.
    Slash,
    /// Output 1 gives the rest back to the staker under the unbonding time.
    Change,
    /// No output is dust.
    Dust,
    /// The slashing fee is at least the version's.
    SlashingFee,
    /// The sequence waits for the lock.
    Waits,
    /// The staker has signed.
    StakerSignature,
    /// Exactly one finality provider has signed.
    ProviderSignature,
    /// Exactly a quorum of the covenant has signed.
    CovenantSignatures,
    /// An expansion keeps staker and providers.
    KeepsParties,
    /// An expansion is worth at least what it replaces.
    KeepsValue,
    /// An expansion pays a fee out of its second input.
    ExpansionFee,
    /// The second input of an expansion is no stake itself.
    Funding,
    /// Enough members of the old covenant are in the new one.
    Overlap,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sane => "it is a transaction Bitcoin takes",
            Self::Tag => "it carries the network's tag",
            Self::StakingOutput => "exactly one output holds the terms",
            Self::StakingTime => "the staking time is within bounds",
            Self::StakingValue => "the stake's value is within bounds",
            Self::Providers => "it has an allowed number of finality providers",
            Self::Covenant => "the covenant and its quorum are the version's",
            Self::NoKeyPath => "the output has no key path",
            Self::Committed => "the script belongs to the output spent",
            Self::Inputs => "it has the right number of inputs",
            Self::Outputs => "it has the right number of outputs",
            Self::Version => "its version is allowed",
            Self::LockTime => "its lock time is zero",
            Self::Final => "its sequence is final",
            Self::NoScriptSig => "it has no signature script",
            Self::Weight => "it is light enough to be relayed",
            Self::Spends => "it spends the stake",
            Self::UnbondingOutput => "its output holds the unbonding terms",
            Self::UnbondingFee => "it pays exactly the unbonding fee",
            Self::Sink => "it pays the slashing script",
            Self::Slash => "it takes at least the slash",
            Self::Change => "the rest goes back to the staker under the unbonding time",
            Self::Dust => "no output is dust",
            Self::SlashingFee => "it pays at least the slashing fee",
            Self::Waits => "it waits for the lock",
            Self::StakerSignature => "the staker has signed",
            Self::ProviderSignature => "exactly one finality provider has signed",
            Self::CovenantSignatures => "exactly a quorum of the covenant has signed",
            Self::KeepsParties => "it keeps the staker and every finality provider",
            Self::KeepsValue => "it is worth at least what it replaces",
            Self::ExpansionFee => "it pays a fee",
            Self::Funding => "its second input is worth something and no stake",
            Self::Overlap => "a quorum of the old covenant is in the new one",
        })
    }
}

/// What came of one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Obeyed,
    /// It does not; this is what was found instead.
    Broken(String),
    /// It cannot be checked without what is named here.
    Unknown(&'static str),
}

/// A rule with what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The rule.
    pub rule: Rule,
    /// What came of it.
    pub verdict: Verdict,
}

/// A broken rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it does not hold that {rule}: {found}")]
pub struct Broken {
    /// The rule.
    pub rule: Rule,
    /// What was found instead.
    pub found: String,
}

/// Every rule of one transaction, in the order of checking.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checks(pub Vec<Check>);

impl Checks {
    /// Checks one rule; `found` says what is there when it does not hold.
    pub(crate) fn expect(&mut self, rule: Rule, holds: bool, found: impl FnOnce() -> String) {
        let verdict = if holds { Verdict::Obeyed } else { Verdict::Broken(found()) };
        self.0.push(Check { rule, verdict });
    }

    /// Notes that a rule cannot be checked.
    pub(crate) fn unknown(&mut self, rule: Rule, without: &'static str) {
        self.0.push(Check { rule, verdict: Verdict::Unknown(without) });
    }

    /// Checks a rule that needs a fact which may be missing.
    pub(crate) fn given<T>(
        &mut self,
        rule: Rule,
        fact: Option<T>,
        without: &'static str,
        holds: impl FnOnce(&T) -> bool,
        found: impl FnOnce(&T) -> String,
    ) {
        match fact {
            Some(fact) => self.expect(rule, holds(&fact), || found(&fact)),
            None => self.unknown(rule, without),
        }
    }

    /// What came of one rule, when it was looked at.
    pub fn of(&self, rule: Rule) -> Option<&Verdict> {
        self.0.iter().find(|check| check.rule == rule).map(|check| &check.verdict)
    }

    /// The rules that are broken.
    pub fn broken(&self) -> impl Iterator<Item = Broken> + '_ {
        self.0.iter().filter_map(|check| match &check.verdict {
            Verdict::Broken(found) => Some(Broken { rule: check.rule, found: found.clone() }),
            _ => None,
        })
    }

    /// Nothing, when no rule is broken and none is unknown.
    ///
    /// # Errors
    ///
    /// The first that is broken, or could not be checked.
    pub fn require(&self) -> Result<(), Broken> {
        let refused = |check: &Check| match &check.verdict {
            Verdict::Obeyed => None,
            Verdict::Broken(found) => Some(Broken { rule: check.rule, found: found.clone() }),
            Verdict::Unknown(without) => Some(Broken { rule: check.rule, found: format!("{without} is not known") }),
        };
        self.0.iter().find_map(refused).map_or(Ok(()), Err)
    }
}
