//! A stake that becomes a larger or a longer one without being unbonded in between.
//!
//! The expansion spends exactly two outputs: the old stake, by its unbonding leaf under the old parameters, and one that pays for the rest and is
//! no stake itself. Staker and account stay, no provider is lost, the value does not fall, and enough of the old covenant must be in the new one, because
//! both must have checked the same thing.

use bitcoin::secp256k1::XOnlyPublicKey;
use bitcoin::{Amount, Transaction, TxOut};

use super::parameters::Parameters;
use super::rules::{Checks, Rule};
use super::transactions::{Stake, staking};
use crate::scripts::StakingTerms;

/// What an expansion grows out of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    /// The stake, which must be active.
    pub stake: Stake,
    /// The version it was made under.
    pub parameters: Parameters,
}

impl Parent {
    /// Checks an expansion of this stake into one with `terms` under `parameters`. `funding` is the output that the second input spends, and
    /// `is_stake` whether it is known to be a stake, which it may not be.
    pub fn expansion(
        &self,
        parameters: &Parameters,
        terms: &StakingTerms,
        funding: &TxOut,
        is_stake: bool,
        transaction: &Transaction,
    ) -> Checks {
        let (mut checks, found) = staking(parameters, terms, transaction);
        checks.expect(Rule::Inputs, transaction.input.len() == 2, || transaction.input.len().to_string());
        let first = transaction.input.first().map(|input| input.previous_output);
        checks.expect(Rule::Spends, first == Some(self.stake.outpoint), || {
            format!("input 0 does not spend {}", self.stake.outpoint)
        });
        checks.expect(Rule::Funding, funding.value > Amount::ZERO && !is_stake, || funding.value.to_string());
        let kept = terms.staker() == self.stake.terms.staker()
            && self.stake.terms.providers().iter().all(|provider| terms.providers().contains(provider));
        checks.expect(Rule::KeepsParties, kept, || "another staker, or a provider less".to_owned());
        let value = found.map_or(Amount::ZERO, |(_, value)| value);
        checks.expect(Rule::KeepsValue, value >= self.stake.value, || format!("{value}, not {}", self.stake.value));
        let paid = transaction.output.iter().map(|output| output.value).try_fold(Amount::ZERO, Amount::checked_add);
        let held = self.stake.value.checked_add(funding.value);
        checks.expect(Rule::ExpansionFee, paid.is_some() && paid < held, || {
            "the outputs are worth as much as the inputs".to_owned()
        });
        let shared = overlap(&self.parameters.covenant, &parameters.covenant);
        checks.expect(Rule::Overlap, shared >= usize::from(self.parameters.quorum), || {
            format!("{shared} of {} that are needed", self.parameters.quorum)
        });
        checks
    }
}

fn overlap(old: &[XOnlyPublicKey], new: &[XOnlyPublicKey]) -> usize {
    old.iter().filter(|member| new.contains(member)).count()
}
