//! Why a database could not be opened, read or written.

use palisade_types::canonical::Malformed;
use palisade_types::ids::ChainId;
use palisade_types::units::Height;
use std::path::PathBuf;

/// Sorted by what the caller does. Nothing here is worth a retry.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process, or another handle of this one, has it open. Do not start.
    #[error("{} is open already", dir.display())]
    Locked {
        /// The directory.
        dir: PathBuf,
    },
    /// It belongs to another network. Do not start; the operator named the wrong directory or genesis.
    #[error("the store is of chain {found}, not of {expected}")]
    OtherChain {
        /// Whose store was asked for.
        expected: ChainId,
        /// Whose it is.
        found: ChainId,
    },
    /// A newer release wrote it. Do not start.
    #[error("a newer release wrote this store, in layout {found}")]
    NewerSchema {
        /// Its layout.
        found: u32,
        /// The release that wrote it last, by its own word; empty where it does not say.
        release: String,
    },
    /// An older release wrote it, and only its owner may change it: start the node once.
    #[error(
        "the store has layout {found}, not {}: the node brings it up to date when it starts",
        crate::schema::VERSION
    )]
    OlderSchema {
        /// Its layout.
        found: u32,
    },
    /// What is on the disk is not what was written, and RocksDB's checksums say so. Do not start, or stop.
    #[error("the store is damaged, which was found while {doing}")]
    Damaged {
        /// What was being done.
        doing: &'static str,
        /// What RocksDB said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A value does not read as what was written. Do not start, or stop.
    #[error("the store is corrupt at {what}")]
    Corrupt {
        /// Which value.
        what: &'static str,
        /// How it does not read.
        #[source]
        source: Malformed,
    },
    /// The disk failed. Stop: what is on it is not known any more.
    #[error("the disk failed while {doing}")]
    Disk {
        /// What was being done.
        doing: &'static str,
        /// What RocksDB or the system said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The block is not the one after the tip. Our own bug: stop.
    #[error("block {given} does not follow the stored tip {tip:?}")]
    NotNext {
        /// The block's height.
        given: Height,
        /// The stored tip; `None` before [`crate::Store::begin`].
        tip: Option<Height>,
    },
    /// No node ever ran here.
    #[error("{} holds no store", dir.display())]
    Nothing {
        /// The directory.
        dir: PathBuf,
    },
    /// There is a tip already: a ledger begins once.
    #[error("the store holds a ledger already")]
    Begun,
    /// A value is larger than its bound. Our own bug when it is ours, else refuse whoever sent it.
    #[error("{what} of {size} bytes is over its bound of {bound}")]
    TooLarge {
        /// Which value.
        what: &'static str,
        /// Its size in bytes.
        size: usize,
        /// The bound.
        bound: usize,
    },
    /// Another digest is recorded in this place. The guard should have refused before: stop.
    #[error("another digest is recorded in this place")]
    Recorded,
}

impl StoreError {
    /// What a person can do about it, where one thing helps: the rest of a sentence.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::NewerSchema { release, .. } if release.is_empty() => Some("run the release that wrote it".to_owned()),
            Self::NewerSchema { release, .. } => Some(format!("run release {release} or a later one")),
            Self::OtherChain { found, .. } => {
                Some(format!("name this network's own data_dir, or as genesis the file whose chain id is {found}"))
            }
            Self::OlderSchema { .. } => Some("run palisade run once".to_owned()),
            Self::Locked { .. } => Some("stop the other process that runs on it".to_owned()),
            Self::Nothing { .. } => Some("name the ledger in the data_dir of a node that ran, or a backup".to_owned()),
            Self::Begun => Some("name a directory that is not there yet".to_owned()),
            _ => None,
        }
    }

    /// Whether what was written is not what is read: trying again does not help, another copy does.
    #[must_use]
    pub const fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Corrupt { .. })
    }

    pub(crate) fn disk<E>(doing: &'static str) -> impl FnOnce(E) -> Self
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        move |source| Self::Disk { doing, source: Box::new(source) }
    }

    pub(crate) fn corrupt(what: &'static str) -> impl FnOnce(Malformed) -> Self {
        move |source| Self::Corrupt { what, source }
    }
}
