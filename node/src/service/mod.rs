//! The signer's door for local modules of services (R14): a UNIX socket that its owner alone opens, and nothing from outside reaches.
//!
//! A module names its service, registration and kind, a slot and a digest. What domain that is the signer derives; whether the registration
//! stands and this operator counts there the core looks up; whether anything was signed in that slot before the guard knows. The answer is
//! the attestation, which the node has told its peers by then; the certificate comes over RPC, to anybody.

pub mod protocol;
pub mod server;
