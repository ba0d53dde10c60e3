//! A covenant member as a process of his own: `palisade covenant run`.
//!
//! It holds the member's key and nothing else, behind a UNIX socket that only its owner may open. The node hands in vault
//! registrations as it hears them; the process believes nothing of them:
//!
//! 1. the network named is the one of its own genesis file, and its key is unlocked;
//! 2. the registration is checked from its first byte, as a voter would (terms, transactions, staker's signatures);
//! 3. the terms are those in force; the staking transaction stands in a block of the chain that its **own** endpoints show, deep
//!    enough, and its output is unspent there; of an expansion that names no block yet, the parent's output is;
//! 4. its record holds nothing that contradicts it, and the quota is not used up, which is smaller for what is signed before its
//!    coins are locked (R32);
//! 5. the record is on the disk; only then does an answer leave ([`keeper`]).
//!
//! What it **cannot** know, because it follows no ledger: whether the key named as the operator's is the one the registry holds for him
//! (the node says so, and every voter checks it again); whether that operator is convicted; whether the vault is
//! in the ledger already; whether the parent of an expansion is registered as the node shows it, and active, and whether the
//! expansion itself is: a node that says so falsely gets the member a signature that convicts him (R27), and the node is his
//! own. None of this lets anybody be robbed: the worst a lying node gets are signatures over transactions that the terms of genesis pin to the satoshi, or
//! over an expansion that keeps staker, providers and value, and no block takes the registration.
//!
//! Every request is a connection, a question and an answer ([`protocol`]), so that one that hangs or is refused costs no
//! other one anything. The node asks in the background ([`ask`]); a process that is away, slow, locked or wrong costs
//! its own signatures and nothing else.
//!
//! The key lies on the disk under a passphrase ([`crate::keystore`]). The process starts locked; `palisade covenant unlock`
//! hands the passphrase over the same socket, and `lock` wipes the key. Who can read the memory of this process, or
//! runs as its user while it is unlocked, can ask for signatures: the socket is a fence between users, not within one.

pub mod ask;
pub mod config;
pub mod keeper;
pub mod protocol;
pub mod record;
pub mod server;
pub mod shield;

pub use config::Config;
