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
/// A path and what hangs there from now on.
type Change = (Path, Option<Path>);

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

    /// Puts rows' values in, in place of those before, and takes rows out where there is no value. Every path comes once. What lies
    /// above several of them is hashed once.
    pub(crate) fn update(&mut self, mut changes: Vec<Change>) {
        changes.sort_unstable();
        self.root = update(&self.root, &changes, 0);
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

/// `child` with all of these rows changed: by path ascending, and agreeing in their first `depth` bits. A subtree left with a single
/// row is that row's leaf again.
fn update(child: &Child, changes: &[Change], depth: usize) -> Child {
    if changes.is_empty() {
        return child.clone();
    }
    match child.as_ref().map(|node| &node.kind) {
        None => build(&put(changes, None), depth),
        Some(Kind::Leaf { path, value }) => build(&put(changes, Some((*path, *value))), depth),
        Some(Kind::Inner([left, right])) => {
            let (to_left, to_right) = changes.split_at(changes.partition_point(|(path, _)| !bit(path, depth)));
            match [update(left, to_left, depth + 1), update(right, to_right, depth + 1)] {
                [None, None] => None,
                [Some(only), None] | [None, Some(only)] if only.is_leaf() => Some(only),
                halves => Some(inner_node(halves)),
            }
        }
    }
}

/// The rows that `changes` put in, with the only one that was there unless they speak of it.
fn put(changes: &[Change], there: Option<(Path, Path)>) -> Vec<(Path, Path)> {
    let mut rows: Vec<_> = changes.iter().filter_map(|(path, value)| Some((*path, (*value)?))).collect();
    if let Some((path, value)) = there
        && changes.binary_search_by_key(&path, |(changed, _)| *changed).is_err()
    {
        let at = rows.partition_point(|(before, _)| *before < path);
        rows.insert(at, (path, value));
    }
    rows
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
            batches in prop::collection::vec(
                prop::collection::btree_map(0_u16..600, prop::option::weighted(0.7, any::<u8>()), 0..40), 0..8),
        ) {
            let (mut tree, mut rows) = (Tree::default(), BTreeMap::new());
            for changes in batches {
                let change = |(number, value): (&u16, &Option<u8>)| (close_path(*number), value.map(|value| [value; 32]));
                tree.update(changes.iter().map(change).rev().collect());
                for (path, value) in changes.iter().map(change) {
                    match value {
                        Some(value) => rows.insert(path, value),
                        None => rows.remove(&path),
                    };
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
        tree.update(vec![([1; 32], Some([1; 32]))]);
        let before = tree.root();
        let mut changed = tree.clone();
        changed.update(vec![([2; 32], Some([2; 32])), ([1; 32], None)]);
        assert_eq!(tree.root(), before);
        assert_eq!(changed.root(), leaf(&[2; 32], &[2; 32]));
        changed.update(vec![([2; 32], None), ([3; 32], None)]);
        assert_eq!(changed.root(), EMPTY);
    }
}
