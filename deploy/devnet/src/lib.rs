//! A whole Palisade on one machine, of real parts: anvil with the real cores of EigenLayer and Symbiotic, Bitcoin Core on regtest, and
//! operators as processes of their own. `deploy/devnet.sh` and `tests/tests/devnet.rs` both drive [`devnet::Devnet`].
//!
//! [`constants`] holds every number. The chains are [`anvil`] and [`bitcoind`]; [`eigenlayer`], [`symbiotic`] and [`contracts`] put
//! the contracts there, [`staking`] the vaults; [`genesis`] ties them together; [`operator`] is one of the operators.
//! [`equivocation`] makes a fault on purpose and [`scenario`] asserts what follows.

pub mod constants;

pub mod anvil;
pub mod bitcoind;
pub mod contracts;
pub mod eigenlayer;
mod sender;
pub mod staking;
pub mod symbiotic;

pub mod description;
pub mod devnet;
pub mod genesis;
pub mod layout;
pub mod operator;

pub mod equivocation;
pub mod scenario;
pub mod service;

pub mod links;
pub mod logs;
pub mod process;
pub mod progress;
pub mod relay;
pub mod tools;
