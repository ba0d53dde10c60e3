//! Records of a guard in a file, to be taken to another machine: the shape of EIP-3076, with a row for each key and domain.
//!
//! `{"metadata": {"interchange_format_version": "palisade-1", "chain_id": "0x…"}, "data": [{"pubkey": "0x…", "domain": "0x…",
//! "signed_slots": [{"slot": "7", "digest": "0x…"}]}, {"pubkey": "0x…", "signed_ballots": [{"height": "7", "round": "0", "step":
//! "1", "digest": "0x…"}]}]}`. Numbers are decimal strings, as there. A row without a domain is the engine's, of the network
//! that the file names.
//!
//! The rules are EIP-3076's too. An import is a merge that only raises: a slot is signed once it is signed in either. Nothing is
//! signed at or below the lowest slot of an imported row, so that a file with the newest slots alone is complete. A digest may be
//! missing, and two may stand in one slot: then nothing is signed there. Rows of other keys are of no use and left out. A file of
//! another network is refused.
//!
//! An export is a photograph: the keys may have signed since. So an import makes the guard wait (R15), which is made durable first.

use super::{Cause, KEYS, OpenError, RECORDS, Wait};
use crate::keys::{OperatorKeys, PublicKeys};
use palisade_storage::{Merged, Place, Record, SignatureStore, StoreError};
use palisade_types::attestation::UNNAMED;
use palisade_types::evidence::Domains;
use palisade_types::ids::{ChainId, Digest, Domain};
use palisade_types::units::Height;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// The largest file that is read, in bytes: two million records.
pub const MAX_FILE: u64 = 256 << 20;
/// Stands in the file.
pub const VERSION: &str = "palisade-1";

/// Why a file is no record of this guard. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum BadInterchange {
    /// It is not of the form above.
    #[error("the file is no interchange of signatures")]
    Form(#[from] serde_json::Error),
    /// A field does not hold what it should.
    #[error("{field} {value:?} is not what belongs there")]
    Field {
        /// Which.
        field: &'static str,
        /// What it holds.
        value: String,
    },
    /// It is of another version of the format.
    #[error("version {0:?} of the format is not known")]
    Version(String),
    /// It is of another network.
    #[error("the file is of network {found}, and this signer's is {ours}")]
    OtherNetwork {
        /// The file's.
        found: ChainId,
        /// Ours.
        ours: ChainId,
    },
}

/// The file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interchange {
    /// Of which network.
    pub metadata: Metadata,
    /// What was signed.
    pub data: Vec<Row>,
}

/// See [`Interchange`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// [`VERSION`].
    pub interchange_format_version: String,
    /// The hash of genesis.
    pub chain_id: String,
}

/// What one key signed in one domain, or as the engine's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The key: BLS, EOTS of the network or, in a row of ballots, Ed25519.
    pub pubkey: String,
    /// The domain (R14); none in a row of ballots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Slots of the domain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signed_slots: Vec<SignedSlot>,
    /// Ballots of the engine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signed_ballots: Vec<SignedBallot>,
}

/// One slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedSlot {
    /// Which.
    pub slot: String,
    /// What was signed; none when that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// One ballot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedBallot {
    /// Its height.
    pub height: String,
    /// Its round.
    pub round: String,
    /// Its step, as the ballot encodes it.
    pub step: String,
    /// What was signed; none when that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// What came of the records.
    pub merged: Merged,
    /// Rows of keys that are not ours.
    pub foreign_rows: usize,
}

impl Interchange {
    /// Reads a file's text.
    ///
    /// # Errors
    ///
    /// [`BadInterchange::Form`] or [`BadInterchange::Version`].
    pub fn from_json(text: &str) -> Result<Self, BadInterchange> {
        let interchange: Self = serde_json::from_str(text)?;
        let version = &interchange.metadata.interchange_format_version;
        if version == VERSION { Ok(interchange) } else { Err(BadInterchange::Version(version.clone())) }
    }

    /// The file's text.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a struct of strings has a JSON form")
    }

    /// What a store holds of these keys. A floor is a slot without a digest.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn of(store: &SignatureStore, keys: &PublicKeys, domains: &Domains) -> Result<Self, StoreError> {
        let mut slots: BTreeMap<Domain, Vec<SignedSlot>> = BTreeMap::new();
        let mut signed_ballots = Vec::new();
        for Record { place, digest } in store.all()? {
            let digest = Some(digest).filter(|digest| *digest != UNNAMED).map(|digest| digest.to_string());
            match place {
                Place::Slot { domain, slot } => {
                    slots.entry(domain).or_default().push(SignedSlot { slot: slot.to_string(), digest });
                }
                Place::Ballot { chain, height, round, step } if chain == domains.chain => {
                    let (height, round, step) = (height.get().to_string(), round.to_string(), step.to_string());
                    signed_ballots.push(SignedBallot { height, round, step, digest });
                }
                Place::Ballot { .. } => {}
            }
        }
        let mut data = Vec::new();
        for (domain, mut signed_slots) in slots {
            if let Some(floor) = store.floor(&domain)?
                && !signed_slots.iter().any(|signed| signed.slot == floor.to_string())
            {
                signed_slots.insert(0, SignedSlot { slot: floor.to_string(), digest: None });
            }
            let is_bitcoin = domain == domains.bitcoin;
            let pubkey = if is_bitcoin { keys.eots.to_string() } else { keys.bls.to_string() };
            data.push(Row { pubkey, domain: Some(domain.to_string()), signed_slots, ..Row::default() });
        }
        if !signed_ballots.is_empty() {
            data.push(Row { pubkey: keys.ed25519.to_string(), signed_ballots, ..Row::default() });
        }
        let metadata = Metadata { interchange_format_version: VERSION.to_owned(), chain_id: domains.chain.to_string() };
        Ok(Self { metadata, data })
    }

    /// The same with nothing but the newest of each row: all that is needed where nothing below it is signed again.
    #[must_use]
    pub fn minified(mut self) -> Self {
        for row in &mut self.data {
            row.signed_slots = row.signed_slots.pop().into_iter().collect();
            row.signed_ballots = row.signed_ballots.pop().into_iter().collect();
        }
        self
    }

    /// Merges the rows of `keys` into a store. It does not make the guard wait: [`import`] does.
    ///
    /// # Errors
    ///
    /// [`BadInterchange`], before anything is written; a [`StoreError`] when the disk fails.
    pub fn merge_into(
        &self,
        store: &mut SignatureStore,
        keys: &[String],
        chain: &ChainId,
    ) -> Result<Imported, ImportError> {
        let (records, floors, foreign_rows) = self.read(keys, chain)?;
        Ok(Imported { merged: store.merge(&records, &floors)?, foreign_rows })
    }

    #[expect(clippy::type_complexity, reason = "it is taken apart at once")]
    fn read(
        &self,
        keys: &[String],
        chain: &ChainId,
    ) -> Result<(Vec<Record>, Vec<(Domain, u64)>, usize), BadInterchange> {
        let found: ChainId = field("chain_id", &self.metadata.chain_id)?;
        if found != *chain {
            return Err(BadInterchange::OtherNetwork { found, ours: *chain });
        }
        let (mut records, mut floors, mut foreign) = (Vec::new(), Vec::new(), 0);
        for row in &self.data {
            if !keys.iter().any(|key| key.eq_ignore_ascii_case(&row.pubkey)) {
                foreign += 1;
                continue;
            }
            match &row.domain {
                Some(domain) if row.signed_ballots.is_empty() => {
                    let domain = field("domain", domain)?;
                    let from = records.len();
                    for signed in &row.signed_slots {
                        let place = Place::Slot { domain, slot: field("slot", &signed.slot)? };
                        records.push(Record { place, digest: digest(signed.digest.as_deref())? });
                    }
                    let slots = records[from..].iter().map(|record| match record.place {
                        Place::Slot { slot, .. } => slot,
                        Place::Ballot { .. } => u64::MAX,
                    });
                    floors.extend(slots.min().map(|lowest| (domain, lowest)));
                }
                None if row.signed_slots.is_empty() => {
                    for signed in &row.signed_ballots {
                        let place = Place::Ballot {
                            chain: *chain,
                            height: Height::new(field("height", &signed.height)?),
                            round: field("round", &signed.round)?,
                            step: field("step", &signed.step)?,
                        };
                        records.push(Record { place, digest: digest(signed.digest.as_deref())? });
                    }
                }
                _ => return Err(BadInterchange::Field { field: "domain", value: format!("{:?}", row.domain) }),
            }
        }
        Ok((records, floors, foreign))
    }
}

/// Why nothing was imported or exported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file.
    #[error(transparent)]
    Bad(#[from] BadInterchange),
    /// The signer's directory: it is in use, or damaged.
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl From<StoreError> for ImportError {
    fn from(error: StoreError) -> Self {
        Self::Open(error.into())
    }
}

impl From<crate::keys::KeyError> for ImportError {
    fn from(error: crate::keys::KeyError) -> Self {
        Self::Open(error.into())
    }
}

/// What the signer in `dir` holds. It must not be running.
///
/// # Errors
///
/// [`ImportError::Open`].
pub fn export(dir: &Path, domains: &Domains) -> Result<Interchange, ImportError> {
    let store = SignatureStore::open(&dir.join(RECORDS))?;
    let keys = OperatorKeys::read(&dir.join(KEYS))?.public(&domains.founder, &domains.keys);
    Ok(Interchange::of(&store, &keys, domains)?)
}

/// Merges a file into the signer in `dir`, which must not be running. From now on its guard waits, from its next start on
/// (R15): nobody knows what the keys signed after the file was written.
///
/// # Errors
///
/// [`ImportError`].
pub fn import(dir: &Path, domains: &Domains, interchange: &Interchange) -> Result<Imported, ImportError> {
    let mut store = SignatureStore::open(&dir.join(RECORDS))?;
    let keys = OperatorKeys::read(&dir.join(KEYS))?.public(&domains.founder, &domains.keys);
    let names = [keys.bls.to_string(), keys.eots.to_string(), keys.ed25519.to_string()];
    interchange.read(&names, &domains.chain)?;
    let wait = Wait { cause: Cause::Imported, wake_up: Wait::NOT_WOKEN, silent: true, released: None };
    store.set_wait(&wait, &[])?;
    interchange.merge_into(&mut store, &names, &domains.chain)
}

/// Forgets what the signer in `dir` signed below a height of the ledger's two domains, where it signs nothing any more then. It
/// must not be running. Returns the two floors: for attestations and for votes.
///
/// # Errors
///
/// [`StoreError`].
pub fn prune(dir: &Path, domains: &Domains, below: Height) -> Result<[Option<u64>; 2], StoreError> {
    let mut store = SignatureStore::open(&dir.join(RECORDS))?;
    Ok([store.prune(&domains.ledger, below.get())?, store.prune(&domains.bitcoin, below.get())?])
}

fn field<T: std::str::FromStr>(field: &'static str, value: &str) -> Result<T, BadInterchange> {
    value.parse().map_err(|_| BadInterchange::Field { field, value: value.chars().take(80).collect() })
}

fn digest(text: Option<&str>) -> Result<Digest, BadInterchange> {
    text.map_or(Ok(UNNAMED), |text| field("digest", text))
}
