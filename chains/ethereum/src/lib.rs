//! Ethereum, in Palisade's words.
//!
//! [`Ethereum`] implements [`palisade_types::chain::Chain`] over the JSON-RPC of several endpoints: only finalized
//! blocks become facts, and a fact counts when enough endpoints say the same (R30). It reads what Palisade.sol logged
//! and what the restaking protocols' own views say at the anchor, carries orders to Palisade.sol, and registers keys
//! there. It decides nothing about stake: a position is written down as it stands, and weighed by the ledger.
//!
//! No log, receipt or RPC type leaves this crate.

mod account;
mod addresses;
pub mod answers;
pub mod bindings;
mod client;
mod endpoint;
mod exposure;
mod facts;
mod handover;
mod health;
pub mod inspect;
pub mod light;
mod note;
pub mod orders;
mod outbox;
pub mod readers;
mod registration;
mod slash;
mod transport;
mod views;

pub use account::{Account, BadKey};
pub use client::{Config, Ethereum};
pub use exposure::{ExposedFinality, Shown};
pub use handover::HandedOver;
pub use note::Noted;
pub use registration::{Keys, Registered};
