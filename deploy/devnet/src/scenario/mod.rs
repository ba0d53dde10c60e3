//! The scenarios: what must come true after a fault, and what must not without one. Everything is asserted against the
//! nodes' own ledgers and the chains' own views; an error is a scenario that failed.
//!
//! A file per scenario; [`report`] is what each gives back, `scene` what they share, `vaults` what those of a vault's life share,
//! `stake` those of restaked ether, `services` those of services.

mod bitcoin_reorg;
mod committee_change;
mod correlated_fault;
mod deallocation;
mod doppelganger;
mod equivocation;
mod equivocation_vote;
mod ethereum_reorg;
mod jail_unjail;
mod kills;
mod partial_slash;
mod partition;
mod quiet;
mod rejoin;
pub mod report;
mod restored_backup;
mod rpc_disagreement;
mod scene;
mod services;
mod slash_order;
mod slash_pair;
mod stake;
mod succession;
mod throttle;
mod vault_claim;
mod vault_expansion;
mod vault_expiry;
mod vault_life;
mod vault_slashed;
mod vault_unbonding_race;
mod vaults;
mod veto;
mod wallet;
mod withdrawal_queue;

pub use bitcoin_reorg::{bitcoin_deep_reorg, bitcoin_reorg};
pub use committee_change::committee_change;
pub use correlated_fault::correlated_fault;
pub use deallocation::deallocation;
pub use doppelganger::doppelganger;
pub use equivocation::equivocation;
pub use equivocation_vote::equivocation_vote;
pub use ethereum_reorg::ethereum_reorg;
pub use jail_unjail::jail_unjail;
pub use kills::{kill_all, kill_one, kill_two_and_back};
pub use partial_slash::partial_slash;
pub use partition::partition;
pub use quiet::quiet;
pub use rejoin::{rejoin_from_genesis, rejoin_from_snapshot};
pub use restored_backup::restored_backup;
pub use rpc_disagreement::rpc_disagreement;
pub use slash_order::slash_order;
pub use slash_pair::slash_pair;
pub use succession::succession;
pub use throttle::throttle;
pub use vault_claim::vault_claim;
pub use vault_expansion::vault_expansion;
pub use vault_expiry::vault_expiry;
pub use vault_life::vault_life;
pub use vault_slashed::vault_slashed;
pub use vault_unbonding_race::vault_unbonding_race;
pub use veto::{veto_executed, veto_vetoed};
pub use withdrawal_queue::withdrawal_queue;
