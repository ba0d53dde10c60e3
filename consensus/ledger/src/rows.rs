//! The settled rows of a ledger, by key.
//!
//! Most rows of a network that has run for long are ids of blocks: one for every height below the head and none besides (R1). They stand
//! in a list by height, which takes a tenth of what a map takes for them. Vaults are found by their operator too: who weighs one
//! operator, or is asked about him, does not look at everybody's.

use palisade_types::{BlockId, Hash, Height, OperatorId, Row, RowKey, VaultId};
use std::borrow::Cow;
use std::collections::btree_map::Range;
use std::collections::{BTreeMap, BTreeSet};

/// Rows by key ascending.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows {
    /// The ids of the blocks from height 0 on, without a gap.
    blocks: Vec<BlockId>,
    /// Every other row; also ids behind a gap, which no ledger has and the audit names.
    others: BTreeMap<RowKey, Row>,
    /// Of every row of a vault, whose it is.
    vaults: BTreeSet<(OperatorId, VaultId)>,
}

/// Whose vault a row is of.
fn owner(key: &RowKey, row: &Row) -> Option<(OperatorId, VaultId)> {
    match (key, row) {
        (RowKey::Vault(id), Row::Vault(vault)) => Some((vault.registration.operator, *id)),
        _ => None,
    }
}

impl Rows {
    /// Blocks' ids and all other rows, each in any order.
    pub(crate) fn new(mut blocks: Vec<(Height, BlockId)>, others: Vec<(RowKey, Row)>) -> Self {
        blocks.sort_by_key(|(height, _)| *height); // in order already where a store gives them
        let others: BTreeMap<RowKey, Row> = others.into_iter().collect();
        let vaults = others.iter().filter_map(|(key, row)| owner(key, row)).collect();
        let mut rows = Self { blocks: Vec::with_capacity(blocks.len()), others, vaults };
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

    /// The vaults behind an operator, by outpoint ascending.
    pub(crate) fn vaults_of(&self, operator: OperatorId) -> impl Iterator<Item = VaultId> {
        let first = VaultId { txid: Hash::ZERO, output: 0 };
        let own = self.vaults.range((operator, first)..).take_while(move |(owner, _)| *owner == operator);
        own.map(|(_, id)| *id)
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
            _ => self.insert_other(key, row),
        }
    }

    fn insert_other(&mut self, key: RowKey, row: Row) {
        let now = owner(&key, &row);
        let before = self.others.insert(key, row).and_then(|before| owner(&key, &before));
        if before != now {
            before.map(|before| self.vaults.remove(&before));
            self.vaults.extend(now);
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
            _ => {
                let gone = self.others.remove(key).and_then(|row| owner(key, &row));
                gone.map(|gone| self.vaults.remove(&gone));
            }
        }
    }

    /// A row that is neither a block's nor a vault's, to be changed.
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
        let Self { blocks, others, vaults: _ } = self;
        let blocks = (0..).map(Height::new).map(RowKey::Block).zip(blocks.into_iter().map(Row::Block));
        Box::new(blocks.chain(others))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::network;
    use palisade_types::Vault;
    use palisade_types::vault::VaultStatus;
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
    #[test]
    fn vaults_are_found_by_whoever_stands_behind_them_now() {
        let network = network(3, 7);
        let operator = |number: u8| network.operators[usize::from(number)].id;
        let id = |number: u8| VaultId { txid: Hash::new([number; 32]), output: 0 };
        let row = |number: u8, whose: u8| {
            let registration = network.vault(usize::from(whose), number.into(), 10_000, 201);
            let status = VaultStatus::Verified;
            let vault = Vault { id: id(number), registration, registered: 1, start: None, status, since: 1 };
            (RowKey::Vault(id(number)), Row::Vault(Box::new(vault)))
        };
        let told = |rows: &Rows| [0, 1, 2].map(|whose| rows.vaults_of(operator(whose)).collect::<Vec<_>>());
        let mut rows: Rows = [row(3, 0), row(1, 0), row(2, 1)].into_iter().collect();
        assert_eq!(told(&rows), [vec![id(1), id(3)], vec![id(2)], vec![]]);
        for (key, row) in [row(1, 2), row(2, 1), row(4, 1)] {
            rows.insert(key, row); // one changes hands, one stays, one is new
        }
        assert_eq!(told(&rows), [vec![id(3)], vec![id(2), id(4)], vec![id(1)]]);
        for gone in [3, 4, 9] {
            rows.remove(&RowKey::Vault(id(gone)));
        }
        assert_eq!(told(&rows), [vec![], vec![id(2)], vec![id(1)]]);
    }
}
