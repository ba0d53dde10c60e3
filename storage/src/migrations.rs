//! How a store of an older layout becomes one of this: step by step, each step in one synced batch with the number of the layout it leads
//! to, so that a crash between two steps goes on from the one that was reached.
//!
//! Only the owner migrates; who reads beside him ([`crate::Beside`]) refuses an older layout. There is no way back: a backup is.

use crate::error::StoreError;
use crate::schema::{META, META_RELEASE, META_SCHEMA, VERSION};
use crate::store::Store;
use palisade_types::canonical::Canonical;
use rocksdb::WriteBatch;

/// What a step adds to the batch that makes it durable.
type Step = fn(&Store, &mut WriteBatch) -> Result<(), StoreError>;

/// The step at place i leads from layout i + 1 to layout i + 2. A step that has left the house is never changed: stores were made with it.
const STEPS: [Step; VERSION as usize - 1] = [name_the_release];

/// Layout 2 knows which release wrote the store last, so that an older one can name the release that reads it.
fn name_the_release(store: &Store, batch: &mut WriteBatch) -> Result<(), StoreError> {
    batch.put_cf(store.family(META), META_RELEASE, crate::schema::RELEASE);
    Ok(())
}

impl Store {
    /// Brings a store of an older layout up to date.
    pub(crate) fn migrate(&self, found: u32) -> Result<(), StoreError> {
        for version in found.max(1)..VERSION {
            let step = STEPS[version as usize - 1];
            let mut batch = WriteBatch::default();
            step(self, &mut batch)?;
            batch.put_cf(self.family(META), META_SCHEMA, (version + 1).to_bytes());
            self.write(&batch, "bringing the store up to date")?;
        }
        Ok(())
    }

    /// Notes that this release writes the store from now on.
    pub(crate) fn sign(&self) -> Result<(), StoreError> {
        if self.get(META, META_RELEASE)?.as_deref() == Some(crate::schema::RELEASE.as_bytes()) {
            return Ok(());
        }
        let mut batch = WriteBatch::default();
        batch.put_cf(self.family(META), META_RELEASE, crate::schema::RELEASE);
        self.write(&batch, "naming the release")
    }
}
