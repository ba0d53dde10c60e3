//! The whole state in chunks, each of which a reader can check by itself against the state root: for a node that begins with a later
//! block than the first.
//!
//! A chunk is a subtree of the state tree: all of its rows, in the order of their paths, and the other halves on the way down to it. That
//! no row is missing, added, changed or in another place follows from one comparison with the root: a subtree's hash at its place is
//! unique, because every half on the way belongs to a subtree of at least two rows. Chunks follow each other from the path of zeros to the
//! path of ones, so that a reader always knows which one must come next, whoever gives it.

use crate::root;
use palisade_types::canonical::{List, Malformed, Reader};
use palisade_types::proof::{bit, inner};
use palisade_types::{Canonical, Hash, Row, RowKey};

/// A subtree of more bytes is cut in two. Part of the protocol: who cuts elsewhere cannot go on where another stopped.
pub const CHUNK_BYTES: usize = 512 << 10;
/// The most rows of one chunk.
pub const MAX_CHUNK_ROWS: usize = 1 << 14;

type Path = [u8; 32];

/// All rows of one subtree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The first path that could hang there.
    pub first: Hash,
    /// The other halves on the way to it, root first; as many as the subtree is deep.
    pub siblings: List<Hash, 256>,
    /// Its rows, by path ascending.
    pub rows: List<(RowKey, Row), MAX_CHUNK_ROWS>,
}

impl Canonical for Chunk {
    fn write(&self, out: &mut Vec<u8>) {
        self.first.write(out);
        self.siblings.write(out);
        self.rows.write(out);
    }
    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self { first: Canonical::read(input)?, siblings: Canonical::read(input)?, rows: Canonical::read(input)? })
    }
}

/// Why a chunk is not of the state: whoever gave it lied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadChunk {
    /// Another one must come next, or a subtree cannot begin there.
    #[error("the chunk is not the next one")]
    Misplaced,
    /// A row hangs elsewhere, stands twice, or out of order.
    #[error("a row of the chunk is out of its place")]
    Unordered,
    /// The rows and halves do not lead to the state root.
    #[error("the chunk does not lead to the state root")]
    WrongRoot,
}

impl Chunk {
    /// Checks that these are all rows under `root` from [`Self::first`] to the end of the subtree.
    ///
    /// # Errors
    ///
    /// [`BadChunk`] names what does not hold.
    pub fn prove(&self, root: &Hash) -> Result<(), BadChunk> {
        let (first, depth) = (self.first.as_bytes(), self.siblings.len());
        if (depth..256).any(|deeper| bit(first, deeper)) {
            return Err(BadChunk::Misplaced);
        }
        let hashed: Vec<(Path, Path)> = self.rows.iter().map(|(key, row)| (key.path(), row.value_hash())).collect();
        let hangs_here = |path: &Path| (0..depth).all(|above| bit(path, above) == bit(first, above));
        let in_order = hashed.windows(2).all(|pair| pair[0].0 < pair[1].0);
        if !in_order || !hashed.iter().all(|(path, _)| hangs_here(path)) {
            return Err(BadChunk::Unordered);
        }
        let end = root::subtree(&hashed, depth);
        let found = self.siblings.iter().enumerate().rev().fold(end, |below, (depth, sibling)| {
            if bit(first, depth) { inner(sibling, &below) } else { inner(&below, sibling) }
        });
        if found == *root { Ok(()) } else { Err(BadChunk::WrongRoot) }
    }

    /// Where the next chunk begins; `None` after the last one.
    fn next(&self) -> Option<Hash> {
        let mut path = *self.first.as_bytes();
        for depth in (0..self.siblings.len()).rev() {
            path[depth / 8] ^= 1 << (7 - depth % 8);
            if bit(&path, depth) {
                return Some(Hash::new(path));
            }
        }
        None
    }
}

/// The state in chunks, in order.
#[must_use]
pub fn chunks(rows: impl IntoIterator<Item = (RowKey, Row)>) -> Vec<Chunk> {
    chunks_of(rows, CHUNK_BYTES)
}

fn chunks_of(rows: impl IntoIterator<Item = (RowKey, Row)>, limit: usize) -> Vec<Chunk> {
    let mut rows: Vec<_> = rows.into_iter().map(|(key, row)| Hung::new(key, row)).collect();
    rows.sort_unstable_by_key(|row| row.path);
    let tree = root::Tree::build(rows.iter().map(|row| (row.path, row.value)).collect());
    let mut chunks = Vec::new();
    cut(&rows, [0; 32], 0, limit, &mut |first, depth, rows| {
        let mut siblings = tree.prove(&first).siblings.into_vec();
        siblings.truncate(depth);
        let rows: Vec<_> = rows.iter().map(|row| (row.key, row.row.clone())).collect();
        chunks.push(Chunk {
            first: Hash::new(first),
            siblings: siblings.try_into().expect("a path has 256 bits"),
            rows: rows.try_into().expect("a subtree of more rows was cut"),
        });
    });
    chunks
}

/// A row with its place in the tree.
struct Hung {
    path: Path,
    value: Path,
    size: usize,
    key: RowKey,
    row: Row,
}

impl Hung {
    fn new(key: RowKey, row: Row) -> Self {
        let size = key.to_bytes().len() + row.to_bytes().len();
        Self { path: key.path(), value: row.value_hash(), size, key, row }
    }
}

/// Cuts the subtree at `first` until it fits, and gives each piece away.
fn cut(rows: &[Hung], first: Path, depth: usize, limit: usize, give: &mut impl FnMut(Path, usize, &[Hung])) {
    let size: usize = rows.iter().map(|row| row.size).sum();
    if rows.len() <= 1 || size <= limit && rows.len() <= MAX_CHUNK_ROWS {
        return give(first, depth, rows);
    }
    let middle = rows.partition_point(|row| !bit(&row.path, depth));
    let (left, right) = rows.split_at(middle);
    let mut second = first;
    second[depth / 8] |= 1 << (7 - depth % 8);
    cut(left, first, depth + 1, limit, give);
    cut(right, second, depth + 1, limit, give);
}

/// A state that is being put together.
#[derive(Clone, Debug)]
pub struct Assembly {
    root: Hash,
    next: Option<Hash>,
    rows: Vec<(RowKey, Row)>,
}

impl Assembly {
    /// Nothing yet of the state with this root.
    #[must_use]
    pub const fn new(root: Hash) -> Self {
        Self { root, next: Some(Hash::ZERO), rows: Vec::new() }
    }

    /// Where the next chunk begins; `None` when nothing is missing.
    #[must_use]
    pub const fn next(&self) -> Option<Hash> {
        self.next
    }

    /// Takes the next chunk.
    ///
    /// # Errors
    ///
    /// [`BadChunk`]; nothing has changed then.
    pub fn take(&mut self, chunk: Chunk) -> Result<(), BadChunk> {
        if self.next != Some(chunk.first) {
            return Err(BadChunk::Misplaced);
        }
        chunk.prove(&self.root)?;
        self.next = chunk.next();
        self.rows.extend(chunk.rows.into_vec());
        Ok(())
    }

    /// Every row, when nothing is missing.
    #[must_use]
    pub fn whole(self) -> Option<Vec<(RowKey, Row)>> {
        self.next.is_none().then_some(self.rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use palisade_types::{BlockId, Height};
    use proptest::prelude::*;

    fn rows(count: u64) -> Vec<(RowKey, Row)> {
        let row = |number: u64| {
            let id = BlockId::new([(number % 251) as u8; 32]);
            (RowKey::Block(Height::new(number)), Row::Block(id))
        };
        (0..count).map(row).collect()
    }

    fn root_of(rows: &[(RowKey, Row)]) -> Hash {
        root::Tree::build(rows.iter().map(|(key, row)| (key.path(), row.value_hash())).collect()).root()
    }

    fn assemble(root: Hash, chunks: &[Chunk]) -> Result<Vec<(RowKey, Row)>, BadChunk> {
        let mut assembly = Assembly::new(root);
        for chunk in chunks {
            assembly.take(Chunk::from_bytes(&chunk.to_bytes()).unwrap())?;
        }
        let mut rows = assembly.whole().ok_or(BadChunk::Misplaced)?;
        rows.sort_unstable_by_key(|(key, _)| *key);
        Ok(rows)
    }

    /// What a liar can do to one chunk of several.
    #[derive(Clone, Copy, Debug)]
    enum Lie {
        Drop,
        Double,
        Change,
        Swap,
        Forge,
        Half,
        Deeper,
        Elsewhere,
        Empty,
    }

    /// False when it cannot be done to this chunk.
    fn tell(lie: Lie, chunk: &mut Chunk, at: prop::sample::Index) -> bool {
        let mut rows = chunk.rows.clone().into_vec();
        let mut siblings = chunk.siblings.clone().into_vec();
        match lie {
            Lie::Forge => rows.push((RowKey::Block(Height::new(1 << 40)), Row::Block(BlockId::ZERO))),
            Lie::Empty if !rows.is_empty() => rows.clear(),
            Lie::Half if !siblings.is_empty() => {
                let at = at.index(siblings.len());
                siblings[at] = Hash::new([7; 32]);
            }
            // Where all of several rows hang in the left half, the right half is empty: that is no lie, only a smaller chunk.
            Lie::Deeper if rows.len() < 2 || rows.iter().any(|(key, _)| bit(&key.path(), siblings.len())) => {
                siblings.push(Hash::ZERO);
            }
            Lie::Elsewhere => {
                let mut first = *chunk.first.as_bytes();
                first[at.index(32)] ^= 1;
                chunk.first = Hash::new(first);
            }
            Lie::Drop if !rows.is_empty() => drop(rows.remove(at.index(rows.len()))),
            Lie::Double if !rows.is_empty() => {
                let at = at.index(rows.len());
                rows.insert(at, rows[at].clone());
            }
            Lie::Change if !rows.is_empty() => {
                let at = at.index(rows.len());
                rows[at].1 = Row::Block(BlockId::new([252; 32]));
            }
            Lie::Swap if rows.len() > 1 => {
                let at = at.index(rows.len() - 1);
                rows.swap(at, at + 1);
            }
            _ => return false,
        }
        let Ok(siblings) = siblings.try_into() else { return false };
        (chunk.rows, chunk.siblings) = (rows.try_into().unwrap(), siblings);
        true
    }

    proptest! {
        #[test]
        fn a_state_is_its_chunks(count in 0_u64..300, limit in 1_usize..4_000) {
            let rows = rows(count);
            let chunks = chunks_of(rows.clone(), limit);
            prop_assert_eq!(assemble(root_of(&rows), &chunks), Ok(rows));
        }

        #[test]
        fn no_lie_about_any_chunk_is_believed(
            count in 0_u64..200,
            limit in 1_usize..2_000,
            which in any::<prop::sample::Index>(),
            at in any::<prop::sample::Index>(),
            lie in prop::sample::select(vec![
                Lie::Drop, Lie::Double, Lie::Change, Lie::Swap, Lie::Forge, Lie::Half, Lie::Deeper, Lie::Elsewhere, Lie::Empty,
            ]),
        ) {
            let rows = rows(count);
            let root = root_of(&rows);
            let mut chunks = chunks_of(rows, limit);
            let which = which.index(chunks.len());
            if tell(lie, &mut chunks[which], at) {
                prop_assert!(chunks[which].prove(&root).is_err());
                prop_assert!(assemble(root, &chunks).is_err());
            }
        }

        #[test]
        fn chunks_are_taken_in_their_order_and_each_once(
            count in 50_u64..200,
            one in any::<prop::sample::Index>(),
            other in any::<prop::sample::Index>(),
        ) {
            let rows = rows(count);
            let (root, chunks) = (root_of(&rows), chunks_of(rows, 200));
            let (one, other) = (one.index(chunks.len()), other.index(chunks.len()));
            let mut without = chunks.clone();
            without.remove(one);
            prop_assert!(assemble(root, &without).is_err());
            let mut twice = chunks.clone();
            twice.insert(other, chunks[one].clone());
            prop_assert!(assemble(root, &twice).is_err());
            if one != other {
                let mut swapped = chunks;
                swapped.swap(one, other);
                prop_assert_eq!(assemble(root, &swapped), Err(BadChunk::Misplaced));
            }
        }
    }

    #[test]
    fn chunks_of_one_state_do_not_fit_another() {
        let (ours, theirs) = (rows(60), rows(61));
        let chunk = chunks_of(theirs, 200).remove(0);
        assert_eq!(Assembly::new(root_of(&ours)).take(chunk), Err(BadChunk::WrongRoot));
    }

    #[test]
    fn a_chunk_fits_into_an_answer_however_many_rows_there_are() {
        let chunks = chunks(rows(40_000));
        assert!(chunks.len() > 2);
        assert!(chunks.iter().all(|chunk| chunk.to_bytes().len() <= CHUNK_BYTES + 16_384));
    }
}
