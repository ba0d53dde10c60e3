//! What a block changes: collected row by row while its items apply, then handed out as one value.

use crate::ledger::Ledger;
use crate::root::Tree;
use crate::state::{ChangedRows, State};
use crate::stored::Encoded;
use palisade_types::epoch::FinalBlock;
use palisade_types::{BlockId, Hash, Height, Row, RowKey};

/// Everything that one block changes. Storing it is somebody else's one line; [`Ledger::apply`] makes it real.
#[must_use = "changes are lost unless they are stored and applied"]
#[derive(Clone, Debug)]
pub struct Changes {
    head: FinalBlock,
    parent: BlockId,
    rows: Vec<(RowKey, Option<Row>)>,
    encoded: Encoded,
    tree: Tree,
}

impl Changes {
    pub(crate) fn new(head: FinalBlock, parent: BlockId, made: Made) -> Self {
        let Made { rows, encoded, tree } = made;
        Self { head, parent, rows, encoded, tree }
    }

    /// The block that makes them.
    #[must_use]
    pub const fn head(&self) -> FinalBlock {
        self.head
    }

    /// The block they apply on.
    #[must_use]
    pub const fn parent(&self) -> BlockId {
        self.parent
    }

    /// The rows, by key ascending; `None` takes a row away.
    #[must_use]
    pub fn rows(&self) -> &[(RowKey, Option<Row>)] {
        &self.rows
    }

    /// The same as they are stored.
    #[must_use]
    pub const fn encoded(&self) -> &Encoded {
        &self.encoded
    }

    /// The state root afterwards.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.tree.root()
    }

    pub(crate) fn into_parts(self) -> (FinalBlock, Vec<(RowKey, Option<Row>)>, Tree) {
        (self.head, self.rows, self.tree)
    }
}

/// What a draft has come to: the rows that differ, and the tree with them.
pub(crate) struct Made {
    rows: Vec<(RowKey, Option<Row>)>,
    encoded: Encoded,
    pub(crate) tree: Tree,
}

/// A block while its items apply. It reads its own changes over the parent's rows.
pub(crate) struct Draft<'a> {
    /// The parent state. Certificates are judged by it (R9).
    pub(crate) parent: &'a Ledger,
    /// The block's height.
    pub(crate) height: Height,
    /// Whether an item certified this epoch's boundary block (R10).
    pub(crate) boundary_certified: bool,
    /// How many supplements it holds (R20).
    pub(crate) supplements: usize,
    /// How many verdicts it holds.
    pub(crate) verdicts: usize,
    changed: ChangedRows,
}

impl<'a> Draft<'a> {
    /// Starts the block after the parent's head by naming the parent (R1).
    pub(crate) fn on(parent: &'a Ledger) -> Self {
        let head = parent.head();
        let mut draft = Self {
            parent,
            height: head.height.next(),
            boundary_certified: false,
            supplements: 0,
            verdicts: 0,
            changed: ChangedRows::new(),
        };
        draft.put(RowKey::Block(head.height), Row::Block(head.id));
        draft
    }

    /// The state as it is so far.
    pub(crate) const fn state(&self) -> State<'_> {
        State { ledger: self.parent, changed: &self.changed }
    }

    /// Writes a row.
    pub(crate) fn put(&mut self, key: RowKey, row: Row) {
        self.changed.insert(key, Some(row));
    }

    /// Takes a row away. Only what nothing else names may go: the audit would miss it.
    pub(crate) fn take_away(&mut self, key: RowKey) {
        self.changed.insert(key, None);
    }

    /// The rows written so far.
    pub(crate) fn changed_keys(&self) -> impl Iterator<Item = &RowKey> {
        self.changed.keys()
    }

    /// The rows that really differ from the parent's, and the tree with them.
    pub(crate) fn finish(self) -> Made {
        let differs = |(key, row): &(RowKey, Option<Row>)| self.parent.rows.get(key).as_deref() != row.as_ref();
        let rows: Vec<_> = self.changed.into_iter().filter(differs).collect();
        let (encoded, mut tree) = (Encoded::of(&rows), self.parent.tree().clone());
        tree.update(encoded.hashes());
        Made { rows, encoded, tree }
    }
}
