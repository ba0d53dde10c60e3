//! The settled rows of a ledger, by key.
//!
//! Most rows of a network that has run for long are ids of blocks: one for every height below the head and none besides (R1). They stand
//! in a list by height, which takes a tenth of what a map takes for them.

use palisade_types::{BlockId, Height, Row, RowKey};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Range;

/// Rows by key ascending.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows {
    /// The ids of the blocks from height 0 on, without a gap.
    blocks: Vec<BlockId>,
    /// Every other row; also ids behind a gap, which no ledger has and the audit names.
    others: BTreeMap<RowKey, Row>,
}

impl Rows {
    /// Blocks' ids and all other rows, each in any order.
    pub(crate) fn new(mut blocks: Vec<(Height, BlockId)>, others: Vec<(RowKey, Row)>) -> Self {
        blocks.sort_by_key(|(height, _)| *height); // in order already where a store gives them
        let mut rows = Self { blocks: Vec::with_capacity(blocks.len()), others: others.into_iter().collect() };
        for (height, id) in blocks {
            rows.insert(RowKey::Block(height), Row::Block(id));
        }
        rows
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.blocks.len() + self.others.len()
    }

    /// The ids of the blocks from height 0 on, without a gap.
    pub(crate) fn blocks(&self) -> &[BlockId] {
        &self.blocks
    }

    /// Every row but those of [`Self::blocks`].
    pub(crate) const fn others(&self) -> &BTreeMap<RowKey, Row> {
        &self.others
    }

    /// One row.
    pub(crate) fn get(&self, key: &RowKey) -> Option<Cow<'_, Row>> {
        match key {
            RowKey::Block(height) if let Some(id) = self.block(*height) => Some(Cow::Owned(Row::Block(id))),
            _ => self.others.get(key).map(Cow::Borrowed),
        }
    }

    /// Which block stands at a height.
    pub(crate) fn block(&self, height: Height) -> Option<BlockId> {
        self.blocks.get(usize::try_from(height.get()).ok()?).copied()
    }

    /// Every row that is no block's, from `start` on.
    pub(crate) fn range(&self, start: RowKey) -> Range<'_, RowKey, Row> {
        self.others.range(start..)
    }

    /// Every row.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (RowKey, Cow<'_, Row>)> {
        let blocks = (0..).map(Height::new).zip(&self.blocks);
        let blocks = blocks.map(|(height, id)| (RowKey::Block(height), Cow::Owned(Row::Block(*id))));
        blocks.chain(self.others.iter().map(|(key, row)| (*key, Cow::Borrowed(row))))
    }

    /// Puts a row in, in place of the one before.
    pub(crate) fn insert(&mut self, key: RowKey, row: Row) {
        let place = match key {
            RowKey::Block(height) => usize::try_from(height.get()).ok(),
            _ => None,
        };
        match (place, &row) {
            (Some(place), Row::Block(id)) if place < self.blocks.len() => self.blocks[place] = *id,
            (Some(place), Row::Block(id)) if place == self.blocks.len() => {
                self.others.remove(&key);
                self.blocks.push(*id);
                self.close_gap();
            }
            _ => drop(self.others.insert(key, row)),
        }
    }

    /// Moves ids that stood behind a gap to the others.
    fn close_gap(&mut self) {
        let next = |blocks: &[BlockId]| RowKey::Block(Height::new(blocks.len() as u64));
        while let Some(first) = self.others.first_entry().filter(|first| *first.key() == next(&self.blocks)) {
            match first.remove() {
                Row::Block(id) => self.blocks.push(id),
                misplaced => {
                    self.others.insert(next(&self.blocks), misplaced);
                    return; // the audit names it
                }
            }
        }
    }

    /// Takes a row away; one of [`Self::blocks`] with all after it, which stand alone then.
    pub(crate) fn remove(&mut self, key: &RowKey) {
        match key {
            RowKey::Block(height) if self.block(*height).is_some() => {
                let after = (height.get()..).map(|height| RowKey::Block(Height::new(height)));
                let cut = usize::try_from(height.get()).expect("it is a place in the list");
                let ids = self.blocks.split_off(cut).into_iter().map(Row::Block);
                self.others.extend(after.zip(ids).skip(1));
            }
            _ => drop(self.others.remove(key)),
        }
    }

    /// A row that is no block's, to be changed.
    pub(crate) fn get_mut(&mut self, key: &RowKey) -> Option<&mut Row> {
        self.others.get_mut(key)
    }
}

impl FromIterator<(RowKey, Row)> for Rows {
    fn from_iter<I: IntoIterator<Item = (RowKey, Row)>>(rows: I) -> Self {
        let (mut blocks, mut others) = (Vec::new(), Vec::new());
        for (key, row) in rows {
            match (key, row) {
                (RowKey::Block(height), Row::Block(id)) => blocks.push((height, id)),
                other => others.push(other),
            }
        }
        Self::new(blocks, others)
    }
}

impl IntoIterator for Rows {
    type Item = (RowKey, Row);
    type IntoIter = Box<dyn Iterator<Item = (RowKey, Row)>>;
    fn into_iter(self) -> Self::IntoIter {
        let blocks = (0..).map(Height::new).map(RowKey::Block).zip(self.blocks.into_iter().map(Row::Block));
        Box::new(blocks.chain(self.others))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(number: u64) -> RowKey {
        if number.is_multiple_of(7) {
            RowKey::EpochFirst(palisade_types::Epoch::new(number as u32 / 7))
        } else {
            RowKey::Block(Height::new(number - number / 7 - 1))
        }
    }

    fn row(key: &RowKey, value: u8) -> Row {
        match key {
            RowKey::Block(_) => Row::Block(BlockId::new([value; 32])),
            _ => Row::EpochFirst(Height::new(value.into())),
        }
    }

    proptest! {
        #[test]
        fn rows_are_a_map_whatever_is_put_in_and_taken_out(
            first in prop::collection::btree_map(0_u64..40, any::<u8>(), 0..40),
            changes in prop::collection::vec((0_u64..60, prop::option::of(any::<u8>())), 0..60),
        ) {
            let first: Vec<_> = first.iter().map(|(number, value)| (key(*number), row(&key(*number), *value))).collect();
            let mut map: BTreeMap<_, _> = first.iter().cloned().collect();
            let mut rows: Rows = first.into_iter().rev().collect();
            for (number, value) in changes {
                let key = key(number);
                match value {
                    Some(value) => {
                        map.insert(key, row(&key, value));
                        rows.insert(key, row(&key, value));
                    }
                    None => {
                        map.remove(&key);
                        rows.remove(&key);
                    }
                }
                let found = rows.get(&key);
                prop_assert_eq!(found.as_deref(), map.get(&key));
            }
            prop_assert_eq!(rows.len(), map.len());
            prop_assert!(map.iter().all(|(key, row)| rows.get(key).as_deref() == Some(row)));
            let mut all: Vec<_> = rows.iter().map(|(key, row)| (key, row.into_owned())).collect();
            all.sort_unstable_by_key(|(key, _)| *key);
            prop_assert!(all.into_iter().eq(map));
        }
    }
}
