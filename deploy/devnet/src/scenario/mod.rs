//! The scenarios: what must come true after a fault, and what must not without one. Everything is asserted against the
//! nodes' own ledgers and the chains' own views; an error is a scenario that failed.
//!
//! A file per scenario; [`report`] is what each gives back, `scene` what they share.

mod bitcoin_reorg;
mod equivocation;
mod quiet;
pub mod report;
mod scene;
mod vault_claim;

pub use bitcoin_reorg::{bitcoin_deep_reorg, bitcoin_reorg};
pub use equivocation::equivocation;
pub use quiet::quiet;
pub use vault_claim::vault_claim;
