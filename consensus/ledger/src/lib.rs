//! What the stake is, and what a fault costs.
//!
//! [`Ledger`] is the state every operator derives from the same blocks. [`Ledger::preview`] says what a block
//! would change; [`Ledger::apply`] makes the [`Changes`] of the decided one. Nothing here reads a clock, a chain
//! or a disk, and nothing iterates in an order that could differ between two machines.
//!
//! Every fact of the state is a row ([`palisade_types::RowKey`]), and the state root is a Merkle root over the
//! rows, so that what is stored, proven and replayed is one thing. No row is ever removed: evidence must
//! outlive what it is about.

mod accounts;
mod audit;
mod captures;
mod cases;
mod changes;
mod claims;
mod committee;
mod duties;
mod epochs;
mod exposure;
mod facts;
mod finality;
mod forecast;
mod invalid;
mod ledger;
mod operators;
mod orders;
pub mod protocols;
mod randomness;
mod root;
mod rows;
mod run;
mod services;
mod slashing;
pub mod snapshot;
mod state;
mod stored;
pub mod succession;
mod suspension;
mod vaults;
mod verdicts;
mod weights;

#[cfg(feature = "fixture")]
pub mod fixture;

pub use audit::Unsound;
pub use changes::Changes;
pub use finality::SUPPLEMENT_HEIGHTS;
pub use forecast::{Forecast, Foreseen, Loss, Strength};
pub use invalid::Invalid;
pub use ledger::Ledger;
pub use root::Tree;
pub use stored::{BadRow, Encoded, Stored};
