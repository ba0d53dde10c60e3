//! What an operator decides about a suspended Bitcoin (R30): from which block it goes on.
//!
//! The decision lies in a file in the node's data folder, where only who may write there can make it; no RPC takes it. It
//! names the block that is gone, so that a decision about one reorganisation is none about the next. The node looks for it
//! while Bitcoin is suspended, and takes it only when its own endpoint shows that block, final.

use crate::handle::CoreHandle;
use crate::text::{bitcoin_hash, parse_bitcoin_hash};
use palisade_types::chain::{Chain, ChainKind, ChainPoint};
use palisade_types::ids::Hash;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The file's name in the data folder.
const NAME: &str = "bitcoin-accepted";
/// The longest such file: two hashes and a height.
const MAX_FILE: u64 = 256;
/// How often the node looks.
const LOOK: Duration = Duration::from_secs(1);

/// One decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acceptance {
    /// The anchor that is gone.
    pub gone: Hash,
    /// Where Bitcoin goes on.
    pub height: u64,
    /// That block.
    pub block: Hash,
}

/// Why a decision could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum AcceptanceError {
    /// The disk.
    #[error("cannot use {path}")]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file holds something else.
    #[error("{path} holds no decision about Bitcoin")]
    Malformed {
        /// The file.
        path: PathBuf,
    },
}

impl Acceptance {
    /// Keeps the decision in a node's data folder, in place of the one before.
    ///
    /// # Errors
    ///
    /// [`AcceptanceError::Disk`].
    pub fn keep(&self, data: &Path) -> Result<(), AcceptanceError> {
        let (path, partial) = (data.join(NAME), data.join(format!("{NAME}.partial")));
        let text = format!("{} {} {}\n", bitcoin_hash(&self.gone), self.height, bitcoin_hash(&self.block));
        let write = || {
            let mut file = File::create(&partial)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&partial, &path)
        };
        write().map_err(|source| AcceptanceError::Disk { path: path.clone(), source })
    }

    /// Reads it back; `None` when there is none.
    ///
    /// # Errors
    ///
    /// [`AcceptanceError`].
    pub fn read(data: &Path) -> Result<Option<Self>, AcceptanceError> {
        let path = data.join(NAME);
        let mut text = String::new();
        match File::open(&path).and_then(|file| file.take(MAX_FILE).read_to_string(&mut text)) {
            Ok(_) => Self::parse(&text).map(Some).ok_or(AcceptanceError::Malformed { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(AcceptanceError::Disk { path, source }),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let gone = parse_bitcoin_hash(words.next()?).ok()?;
        let height = words.next()?.parse().ok()?;
        let block = parse_bitcoin_hash(words.next()?).ok()?;
        words.next().is_none().then_some(Self { gone, height, block })
    }
}

/// Tells the core what its operator decided, until the core is gone.
pub async fn watch<C: Chain>(data: PathBuf, bitcoin: Arc<C>, core: CoreHandle) {
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut taken, mut complaint) = (None, String::new());
    loop {
        look.tick().await;
        let gone =
            core.read(|core| core.ledger().suspension(ChainKind::Bitcoin).map(|suspension| suspension.anchor.hash));
        let Ok(gone) = gone.await else { return };
        let Some(gone) = gone else { continue };
        let accepted = match decided(&data, &gone, bitcoin.as_ref()).await {
            Ok(accepted) => accepted.filter(|accepted| Some(*accepted) != taken),
            Err(reason) => {
                if reason != complaint {
                    tracing::error!(reason, "our operator's decision about Bitcoin cannot be taken");
                    complaint = reason;
                }
                continue;
            }
        };
        let Some(point) = accepted else { continue };
        tracing::warn!(
            height = point.number,
            block = bitcoin_hash(&point.hash),
            "our operator accepts a new start of Bitcoin"
        );
        if core.accept(ChainKind::Bitcoin, point).await.is_err() {
            return;
        }
        taken = accepted;
    }
}

/// The block that our operator accepted in place of `gone`, when our own endpoint shows it, final.
async fn decided<C: Chain>(data: &Path, gone: &Hash, bitcoin: &C) -> Result<Option<ChainPoint>, String> {
    let accepted = Acceptance::read(data).map_err(|error| error.to_string())?;
    let Some(Acceptance { height, block, .. }) = accepted.filter(|accepted| accepted.gone == *gone) else {
        return Ok(None);
    };
    match bitcoin.point(height).await {
        Ok(point) if point.hash == block => Ok(Some(point)),
        Ok(other) => Err(format!("our endpoint shows block {} at height {height}", bitcoin_hash(&other.hash))),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r30_a_decision_is_kept_and_nothing_else_is_one() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Acceptance::read(dir.path()).unwrap(), None);
        let accepted = Acceptance { gone: Hash::new([1; 32]), height: 7, block: Hash::new([2; 32]) };
        accepted.keep(dir.path()).unwrap();
        assert_eq!(Acceptance::read(dir.path()).unwrap(), Some(accepted));
        let later = Acceptance { height: 8, ..accepted };
        later.keep(dir.path()).unwrap();
        assert_eq!(Acceptance::read(dir.path()).unwrap(), Some(later));
        let hash = bitcoin_hash(&accepted.gone);
        for text in [String::new(), hash.clone(), format!("{hash} x {hash}"), format!("{hash} 7 {hash} more")] {
            fs::write(dir.path().join(NAME), &text).unwrap();
            assert!(matches!(Acceptance::read(dir.path()), Err(AcceptanceError::Malformed { .. })), "{text}");
        }
        fs::write(dir.path().join(NAME), vec![b' '; 1 << 20]).unwrap();
        assert!(Acceptance::read(dir.path()).is_err());
        assert!(accepted.keep(&dir.path().join("nowhere")).is_err());
    }
}
