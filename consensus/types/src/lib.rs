//! The vocabulary every crate speaks: one file per noun, one encoding for all of them.
//!
//! Nothing here reads a clock, a chain or a disk. What a type says was checked stays checked: only
//! [`evidence::Evidence::prove`] makes a [`evidence::ProvenFault`]. JSON is not spoken here; it exists in
//! `node::rpc` alone.

pub mod canonical;
pub mod ids;
pub mod units;

pub mod account;
pub mod attestation;
pub mod block;
pub mod certificate;
pub mod chain;
pub mod claim;
pub mod contradiction;
pub mod duty;
pub mod epoch;
pub mod evidence;
pub mod genesis;
pub mod keyring;
pub mod numbers;
pub mod observation;
pub mod operator;
pub mod order;
pub mod position;
pub mod possession;
pub mod price;
pub mod proof;
pub mod randomness;
pub mod row;
pub mod service;
pub mod slash;
pub mod suspension;
pub mod vault;
pub mod verdict;

pub use account::{Account, AccountId, SlashId, SlashRecord};
pub use attestation::{Attestation, FinalityVote, Statement};
pub use block::{Block, Header, Item};
pub use canonical::{Blob, Canonical, List, Malformed, Reader};
pub use certificate::{BitcoinCertificate, Committee, Member, QuorumCertificate};
pub use chain::{Chain, ChainError, ChainKind, ChainPoint};
pub use claim::{Claim, Claims};
pub use evidence::{Evidence, ProvenFault, Unproven};
pub use genesis::Genesis;
pub use ids::*;
pub use numbers::{Numbered, NumberedKind, Numbers};
pub use observation::{Fact, Observation};
pub use operator::Operator;
pub use order::{Order, OrderId};
pub use row::{Row, RowKey};
pub use slash::Case;
pub use suspension::{Suspended, Suspension};
pub use units::*;
pub use vault::{Vault, VaultRegistration};
