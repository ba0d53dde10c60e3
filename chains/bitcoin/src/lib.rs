//! Bitcoin: stake that its owner keeps, and the transactions that take a part of it when an operator equivocates.
//!
//! Everything but [`client`], [`bitcoin`] and [`elsewhere`] is pure. Nothing an endpoint, a staker or a covenant member says is believed:
//! headers are weighed by their work, blocks are hashed again, transactions are rebuilt from terms and compared. No key here
//! is ever in a log, and no coin is ever in our hands: the worst that every operator and the whole covenant can do together is named in
//! [`covenant`] and [`watch`].

pub mod scripts;
pub mod vault;
pub mod witness;

pub mod breach;
pub mod covenant;
pub mod expansion;
pub mod registration;
pub mod slash;
pub mod watch;

pub mod descriptor;
pub mod plan;
pub mod psbt;
pub mod staker;

pub mod block;
pub mod headers;
pub mod inclusion;
pub mod market;

pub mod babylon;

pub mod bitcoin;
pub mod client;
pub mod elsewhere;

pub use crate::bitcoin::{Bitcoin, Config, Newest};
pub use ::bitcoin::{Amount, Network, Psbt, Transaction};
pub use client::{Auth, Client, Endpoint};
pub use registration::{RegistrationError, check_registration};
pub use vault::{VaultRules, Versions};

/// A transaction as Bitcoin's tools take it.
pub fn transaction_hex(transaction: &Transaction) -> String {
    ::bitcoin::consensus::encode::serialize_hex(transaction)
}
