//! What keeps a key in memory from the disk and from other processes, as far as it goes without unsafe code.
//!
//! The process is not dumpable: no core file holds its memory, and no other process of its user may trace it. Pages in use
//! when a key is opened are kept from swap where the system's limit allows it. Who is root reads everything all the same.

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit, umask};

/// Closes the process: no core files, no tracing, and files it makes are its owner's alone.
///
/// # Errors
///
/// The system refuses.
pub fn close() -> std::io::Result<()> {
    umask(rustix::fs::Mode::from_raw_mode(0o077));
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// Keeps what is in memory now from swap. What it cannot is said once: an encrypted swap does as well.
pub fn keep_from_swap() {
    if let Err(error) = mlockall(MlockAllFlags::CURRENT | MlockAllFlags::ONFAULT) {
        tracing::warn!(%error, "the key's memory may be swapped out: raise the limit on locked memory, or encrypt swap");
    }
}
