//! The state tree: the Merkle tree whose root a header commits to, as [`palisade_types::proof`] defines its
//! hashes. Nodes are shared between versions, so that a preview copies only the way to the rows it changes.

use palisade_types::proof::{EMPTY, RowProof, Terminal, bit, inner, leaf};
use palisade_types::{Hash, List};
use std::sync::Arc;

/// One version of the tree. Cloning it is free; changing a clone leaves the original as it is.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    root: Child,
}

type Path = [u8; 32];
type Child = Option<Arc<Node>>;

/// A subtree with at least one row.
#[derive(Debug)]
struct Node {
    hash: Hash,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// The subtree's only row, however deep it hangs.
    Leaf { path: Path, value: Path },
    /// At least two rows, by the next bit of their paths.
    Inner([Child; 2]),
}

impl Tree {
    /// The tree over `rows`, (path, value hash) with every path once: each node is hashed once.
    pub(crate) fn build(mut rows: Vec<(Path, Path)>) -> Self {
        rows.sort_unstable();
        Self { root: build(&rows, 0) }
    }

    /// The state root.
    #[must_use]
    pub fn root(&self) -> Hash {
        hash_of(&self.root)
    }

    /// Puts a row's value in, in place of the one before.
    pub(crate) fn insert(&mut self, path: &Path, value: &Path) {
        self.root = Some(insert(&self.root, 0, path, value));
    }

    /// Takes a row out; nothing changes when there is none.
    pub(crate) fn remove(&mut self, path: &Path) {
        self.root = remove(&self.root, 0, path);
    }

    /// Shows what hangs where `path`, a row's key's, ends.
    #[must_use]
    pub fn prove(&self, path: &[u8; 32]) -> RowProof {
        let mut siblings = Vec::new();
        let mut at = &self.root;
        while let Some(Kind::Inner(halves)) = at.as_ref().map(|node| &node.kind) {
            let side = usize::from(bit(path, siblings.len()));
            siblings.push(hash_of(&halves[1 - side]));
            at = &halves[side];
        }
        let terminal = match at.as_ref().map(|node| &node.kind) {
            Some(Kind::Leaf { path: found, value }) if found != path => {
                Terminal::Other((Hash::new(*found), Hash::new(*value)))
            }
            Some(_) => Terminal::Found,
            None => Terminal::Nothing,
        };
        let siblings = List::try_from(siblings).expect("a path has 256 bits");
        RowProof { siblings, terminal }
    }
}

fn hash_of(child: &Child) -> Hash {
    child.as_ref().map_or(EMPTY, |node| node.hash)
}

fn leaf_node(path: &Path, value: &Path) -> Arc<Node> {
    Arc::new(Node { hash: leaf(path, value), kind: Kind::Leaf { path: *path, value: *value } })
}

fn inner_node(halves: [Child; 2]) -> Arc<Node> {
    Arc::new(Node { hash: inner(&hash_of(&halves[0]), &hash_of(&halves[1])), kind: Kind::Inner(halves) })
}

/// The subtree over `rows`, ascending, which agree in their first `depth` bits.
fn build(rows: &[(Path, Path)], depth: usize) -> Child {
    match rows {
        [] => None,
        [(path, value)] => Some(leaf_node(path, value)),
        _ => {
            assert!(depth < 256, "every path is there once");
            let middle = rows.partition_point(|(path, _)| !bit(path, depth));
            let (left, right) = rows.split_at(middle);
            Some(inner_node([build(left, depth + 1), build(right, depth + 1)]))
        }
    }
}

/// The hash of the subtree over `rows`, ascending, which agree in their first `depth` bits.
pub(crate) fn subtree(rows: &[(Path, Path)], depth: usize) -> Hash {
    hash_of(&build(rows, depth))
}

/// `child` with one row more, or with another value of that row.
fn insert(child: &Child, depth: usize, path: &Path, value: &Path) -> Arc<Node> {
    let Some(node) = child else {
        return leaf_node(path, value);
    };
    match &node.kind {
        Kind::Leaf { path: other, .. } if other == path => leaf_node(path, value),
        Kind::Leaf { path: other, .. } => {
            // Two rows now: the old leaf goes one bit down, and the new one after it.
            let mut halves = [None, None];
            halves[usize::from(bit(other, depth))] = Some(node.clone());
            insert_into(halves, depth, path, value)
        }
        Kind::Inner(halves) => insert_into(halves.clone(), depth, path, value),
    }
}

fn insert_into(mut halves: [Child; 2], depth: usize, path: &Path, value: &Path) -> Arc<Node> {
    let side = usize::from(bit(path, depth));
    halves[side] = Some(insert(&halves[side], depth + 1, path, value));
    inner_node(halves)
}

/// `child` without one row. A subtree left with a single row is that row's leaf again.
fn remove(child: &Child, depth: usize, path: &Path) -> Child {
    let node = child.as_ref()?;
    match &node.kind {
        Kind::Leaf { path: other, .. } if other == path => None,
        Kind::Leaf { .. } => Some(node.clone()),
        Kind::Inner(halves) => {
            let side = usize::from(bit(path, depth));
            let mut halves = halves.clone();
            halves[side] = remove(&halves[side], depth + 1, path);
            match &halves {
                [None, None] => None,
                [Some(only), None] | [None, Some(only)] if only.is_leaf() => Some(only.clone()),
                _ => Some(inner_node(halves)),
            }
        }
    }
}

impl Node {
    const fn is_leaf(&self) -> bool {
        matches!(self.kind, Kind::Leaf { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use palisade_crypto::hash::keccak256;
    use palisade_types::{BlockId, Height, Row, RowKey};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// The definition in `palisade_types::proof`, word for word.
    fn naive(rows: &[(Path, Path)], depth: usize) -> Hash {
        match rows {
            [] => EMPTY,
            [(path, value)] => leaf(path, value),
            _ => {
                let half = |side: bool| -> Vec<_> {
                    let rows = rows.iter().filter(|(path, _)| bit(path, depth) == side);
                    rows.copied().collect()
                };
                inner(&naive(&half(false), depth + 1), &naive(&half(true), depth + 1))
            }
        }
    }

    fn key(number: u64) -> RowKey {
        RowKey::Block(Height::new(number))
    }

    fn row(value: u8) -> Row {
        Row::Block(BlockId::new([value; 32]))
    }

    /// Paths that agree in many bits, as nobody's keccak would make them so soon.
    fn close_path(number: u16) -> Path {
        let mut path = [0; 32];
        path[0] = (number >> 8) as u8;
        path[31] = number as u8;
        path
    }

    proptest! {
        #[test]
        fn the_tree_is_its_definition_whatever_the_order(
            changes in prop::collection::vec((0_u16..600, prop::option::weighted(0.7, any::<u8>())), 0..80),
        ) {
            let (mut tree, mut rows) = (Tree::default(), BTreeMap::new());
            for (number, value) in changes {
                let path = close_path(number);
                if let Some(value) = value {
                    tree.insert(&path, &[value; 32]);
                    rows.insert(path, [value; 32]);
                } else {
                    tree.remove(&path);
                    rows.remove(&path);
                }
            }
            let rows: Vec<_> = rows.into_iter().collect();
            prop_assert_eq!(tree.root(), naive(&rows, 0));
            prop_assert_eq!(Tree::build(rows).root(), tree.root());
        }

        #[test]
        fn a_proof_shows_presence_or_absence_and_never_both(
            rows in prop::collection::btree_map(0_u64..40, any::<u8>(), 0..30),
            asked in 0_u64..40,
            flip in any::<prop::sample::Index>(),
        ) {
            let hashed = rows.iter().map(|(number, value)| (key(*number).path(), row(*value).value_hash()));
            let tree = Tree::build(hashed.collect());
            let (root, key) = (tree.root(), key(asked));
            let proof = tree.prove(&key.path());
            let there = rows.get(&asked).map(|value| row(*value));
            prop_assert_eq!(proof.proves(&root, &key, there.as_ref()), Ok(()));
            let wrong = rows.get(&asked).map_or(7, |value| value.wrapping_add(1));
            prop_assert!(proof.proves(&root, &key, Some(&row(wrong))).is_err());
            if there.is_some() {
                prop_assert!(proof.proves(&root, &key, None).is_err());
            }
            if !proof.siblings.is_empty() {
                let mut siblings = proof.siblings.clone();
                let at = flip.index(siblings.len());
                siblings.as_mut_slice()[at] = Hash::new(keccak256(siblings[at].as_bytes()));
                let tampered = RowProof { siblings, ..proof.clone() };
                prop_assert!(tampered.proves(&root, &key, there.as_ref()).is_err());
                let short = RowProof { siblings: proof.siblings[1..].to_vec().try_into().unwrap(), ..proof };
                prop_assert!(short.proves(&root, &key, there.as_ref()).is_err());
            }
        }
    }

    #[test]
    fn a_changed_clone_leaves_the_original_as_it_is() {
        let mut tree = Tree::default();
        tree.insert(&[1; 32], &[1; 32]);
        let before = tree.root();
        let mut changed = tree.clone();
        changed.insert(&[2; 32], &[2; 32]);
        changed.remove(&[1; 32]);
        assert_eq!(tree.root(), before);
        assert_eq!(changed.root(), leaf(&[2; 32], &[2; 32]));
        changed.remove(&[2; 32]);
        assert_eq!(changed.root(), EMPTY);
    }
}
