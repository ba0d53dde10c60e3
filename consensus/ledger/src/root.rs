//! The state tree: the Merkle tree whose root a header commits to, as [`palisade_types::proof`] defines its
//! hashes. Nodes are shared between versions, so that a preview copies only the way to the rows it changes.
//!
//! A hash stands beside the pointer to what it is of, so that nobody looks into a subtree that did not change. Subtrees of few rows are
//! one piece, hashed anew when one of them changes: that is a few hashes more for half of the memory. First a change makes the nodes that
//! are new, then they are hashed, the lowest level first: those of one level together, because many hashes at once take less time. Halves of
//! a large tree are built and changed in threads of their own, which gives the same tree as one thread would.

use palisade_types::proof::{EMPTY, RowProof, Terminal, bit, inners, leaves};
use palisade_types::{Hash, List};
use std::sync::{Arc, OnceLock};

/// One version of the tree. Cloning it is free; changing a clone leaves the original as it is.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    root: Child,
}

type Path = [u8; 32];
/// A row's path and its value's hash.
pub(crate) type Leaf = (Path, Path);
/// A path and what hangs there from now on.
pub(crate) type Change = (Path, Option<Path>);

/// A subtree and its hash, which is [`UNHASHED`] until [`hash_all`] comes by.
#[derive(Clone, Debug)]
struct Child {
    hash: Hash,
    node: Node,
}

#[derive(Clone, Debug)]
enum Node {
    /// No row.
    Empty,
    /// At most [`TWIG`] rows, by path ascending.
    Twig(Arc<[Leaf]>),
    /// More than that, by the next bit of their paths.
    Inner(Arc<[Child; 2]>),
}

/// What stands for the hash of a new node: no subtree that holds anything hashes to it.
const UNHASHED: Hash = EMPTY;
/// Subtrees of so many rows are one piece.
const TWIG: usize = 8;
/// So many rows of a new tree are hashed together. More would only take more memory.
const TOGETHER: usize = 4096;
/// With fewer rows to change a thread costs more than it saves.
const WORTH_A_THREAD: usize = 256;

impl Default for Child {
    fn default() -> Self {
        Self { hash: EMPTY, node: Node::Empty }
    }
}

impl Tree {
    /// The tree over `rows`, with every path once: each node is hashed once.
    pub(crate) fn build(rows: Vec<Leaf>) -> Self {
        Self::of(rows).expect("every path is there once")
    }

    /// The same; `None` where a path comes twice.
    pub(crate) fn of(mut rows: Vec<Leaf>) -> Option<Self> {
        Some(Self { root: sort_and_grow(&mut rows, 0, forks())? })
    }

    /// The state root.
    #[must_use]
    pub const fn root(&self) -> Hash {
        self.root.hash
    }

    /// Puts rows' values in, in place of those before, and takes rows out where there is no value. Every path comes once. What lies
    /// above several of them is hashed once.
    pub(crate) fn update(&mut self, mut changes: Vec<Change>) {
        changes.sort_unstable();
        self.root = update_and_hash(&self.root, &changes, 0, forks());
    }

    /// Shows what hangs where `path`, a row's key's, ends.
    #[must_use]
    pub fn prove(&self, path: &[u8; 32]) -> RowProof {
        let mut siblings = Vec::new();
        let mut at = &self.root;
        while let Node::Inner(halves) = &at.node {
            let side = usize::from(bit(path, siblings.len()));
            siblings.push(halves[1 - side].hash);
            at = &halves[side];
        }
        let mut rows: &[Leaf] = match &at.node {
            Node::Twig(rows) => rows,
            Node::Empty | Node::Inner(_) => &[],
        };
        while rows.len() > 1 {
            let depth = siblings.len();
            let (left, right) = split(rows, depth);
            let (this, other) = if bit(path, depth) { (right, left) } else { (left, right) };
            siblings.push(subtree(other, depth + 1));
            rows = this;
        }
        let terminal = match rows {
            [] => Terminal::Nothing,
            [(found, _)] if found == path => Terminal::Found,
            [(found, value), ..] => Terminal::Other((Hash::new(*found), Hash::new(*value))),
        };
        let siblings = List::try_from(siblings).expect("a path has 256 bits");
        RowProof { siblings, terminal }
    }
}

/// The hash of the subtree over `rows`, ascending, which agree in their first `depth` bits.
pub(crate) fn subtree(rows: &[Leaf], depth: usize) -> Hash {
    subtrees(&[rows], depth)[0]
}

/// The hashes of such subtrees, all at one depth: level by level together.
fn subtrees(all: &[&[Leaf]], depth: usize) -> Vec<Hash> {
    let halves = all.iter().filter(|rows| rows.len() > 1).flat_map(|rows| {
        assert!(depth < 256, "every path is there once");
        <[_; 2]>::from(split(rows, depth))
    });
    let halves: Vec<_> = halves.collect();
    let below = if halves.is_empty() { Vec::new() } else { subtrees(&halves, depth + 1) };
    let mut joined = inners(below.as_chunks().0.iter().map(|[left, right]| (left, right))).into_iter();
    let single = all.iter().filter_map(|rows| if let [(path, value)] = rows { Some((path, value)) } else { None });
    let mut single = leaves(single).into_iter();
    let hash = |rows: &&[Leaf]| match rows {
        [] => Some(EMPTY),
        [_] => single.next(),
        _ => joined.next(),
    };
    all.iter().filter_map(hash).collect()
}

/// The halves of `rows`, ascending, by a bit of their paths.
fn split(rows: &[Leaf], depth: usize) -> (&[Leaf], &[Leaf]) {
    rows.split_at(rows.partition_point(|(path, _)| !bit(path, depth)))
}

fn join(left: Child, right: Child) -> Child {
    Child { hash: UNHASHED, node: Node::Inner(Arc::new([left, right])) }
}

/// The subtree over `rows`, ascending, which agree in their first `depth` bits.
fn grow(rows: &[Leaf], depth: usize) -> Child {
    if rows.is_empty() {
        return Child::default();
    }
    if rows.len() <= TWIG {
        return Child { hash: UNHASHED, node: Node::Twig(rows.into()) };
    }
    assert!(depth < 256, "every path is there once");
    let (left, right) = split(rows, depth);
    join(grow(left, depth + 1), grow(right, depth + 1))
}

/// A subtree whose nodes all have their hashes.
fn hashed(mut child: Child, depth: usize) -> Child {
    if child.is_unhashed() {
        hash_all(vec![&mut child], depth);
    }
    child
}

/// Hashes new nodes, all at one depth, and what is new below them.
fn hash_all(mut level: Vec<&mut Child>, depth: usize) {
    let mut below = Vec::new();
    for child in &mut level {
        if let Node::Inner(halves) = &mut child.node {
            let halves = Arc::get_mut(halves).expect("nobody else has a node before it is hashed");
            below.extend(halves.iter_mut().filter(|half| half.is_unhashed()));
        }
    }
    if !below.is_empty() {
        hash_all(below, depth + 1);
    }
    let twigs = level.iter().filter_map(|child| if let Node::Twig(rows) = &child.node { Some(&**rows) } else { None });
    let mut twigs = subtrees(&twigs.collect::<Vec<_>>(), depth).into_iter();
    let halves =
        level.iter().filter_map(|child| if let Node::Inner(halves) = &child.node { Some(halves) } else { None });
    let mut joined = inners(halves.map(|halves| (&halves[0].hash, &halves[1].hash))).into_iter();
    for child in level {
        let hash = match child.node {
            Node::Empty => None,
            Node::Twig(_) => twigs.next(),
            Node::Inner(_) => joined.next(),
        };
        child.hash = hash.unwrap_or(EMPTY);
    }
}

/// [`grow`] of rows in any order, hashed, in so many levels of threads; `None` where a path comes twice.
fn sort_and_grow(rows: &mut [Leaf], depth: usize, forks: usize) -> Option<Child> {
    if rows.len() <= TOGETHER {
        rows.sort_unstable();
        let is_once = rows.windows(2).all(|pair| pair[0].0 != pair[1].0);
        return is_once.then(|| hashed(grow(rows, depth), depth));
    }
    if depth == 256 {
        return None;
    }
    let middle = partition(rows, |(path, _)| !bit(path, depth));
    let (left, right) = rows.split_at_mut(middle);
    let mut left = |forks| sort_and_grow(left, depth + 1, forks);
    let mut right = |forks| sort_and_grow(right, depth + 1, forks);
    let (left, right) = if forks == 0 { (left(0), right(0)) } else { both(|| left(forks - 1), || right(forks - 1)) };
    Some(hashed(join(left?, right?), depth))
}

/// [`update`], hashed, in so many levels of threads.
fn update_and_hash(child: &Child, changes: &[Change], depth: usize, forks: usize) -> Child {
    match &child.node {
        Node::Inner(halves) if forks > 0 && changes.len() >= WORTH_A_THREAD => {
            let (to_left, to_right) = divide(changes, depth);
            let (left, right) = both(
                || update_and_hash(&halves[0], to_left, depth + 1, forks - 1),
                || update_and_hash(&halves[1], to_right, depth + 1, forks - 1),
            );
            hashed(meet(left, right, depth), depth)
        }
        _ => hashed(update(child, changes, depth), depth),
    }
}

/// `child` with all of these rows changed: by path ascending, and agreeing in their first `depth` bits.
fn update(child: &Child, changes: &[Change], depth: usize) -> Child {
    if changes.is_empty() {
        return child.clone();
    }
    match &child.node {
        Node::Empty => grow(&put(changes, &[]), depth),
        Node::Twig(rows) => grow(&put(changes, rows), depth),
        Node::Inner(halves) => {
            let (to_left, to_right) = divide(changes, depth);
            let left = update(&halves[0], to_left, depth + 1);
            meet(left, update(&halves[1], to_right, depth + 1), depth)
        }
    }
}

/// The changes of the two halves.
fn divide(changes: &[Change], depth: usize) -> (&[Change], &[Change]) {
    changes.split_at(changes.partition_point(|(path, _)| !bit(path, depth)))
}

/// What two halves are together: one piece if they are few rows.
fn meet(left: Child, right: Child, depth: usize) -> Child {
    match (left.few(), right.few()) {
        (Some(few), Some(more)) if few.len() + more.len() <= TWIG => grow(&[few, more].concat(), depth),
        _ => join(left, right),
    }
}

impl Child {
    /// Whether it is new and waits for its hash.
    fn is_unhashed(&self) -> bool {
        self.hash == UNHASHED && !matches!(self.node, Node::Empty)
    }

    /// The rows of a subtree that is one piece.
    fn few(&self) -> Option<&[Leaf]> {
        match &self.node {
            Node::Empty => Some(&[]),
            Node::Twig(rows) => Some(rows),
            Node::Inner(_) => None,
        }
    }
}

/// The rows that `changes` put in, and those of `there` of which they do not speak, by path ascending.
fn put(changes: &[Change], there: &[Leaf]) -> Vec<Leaf> {
    let is_changed = |path: &Path| changes.binary_search_by_key(&path, |(changed, _)| changed).is_ok();
    let kept = there.iter().filter(|(path, _)| !is_changed(path)).copied();
    let mut rows: Vec<_> = changes.iter().filter_map(|(path, value)| Some((*path, (*value)?))).chain(kept).collect();
    rows.sort_unstable();
    rows
}

/// In how many levels halves get threads of their own: as many as there are processors, and at most eight threads.
fn forks() -> usize {
    static FORKS: OnceLock<usize> = OnceLock::new();
    *FORKS.get_or_init(|| {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        processors.min(8).ilog2() as usize
    })
}

/// Does two things at once. A panic of either is the caller's.
pub(crate) fn both<L: Send, R>(left: impl FnOnce() -> L + Send, right: impl FnOnce() -> R) -> (L, R) {
    std::thread::scope(|scope| {
        let left = scope.spawn(left);
        let right = right();
        (left.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), right)
    })
}

/// Moves what `is_first` holds for to the front, and tells how many those are.
fn partition<T>(items: &mut [T], is_first: impl Fn(&T) -> bool) -> usize {
    let mut count = 0;
    for at in 0..items.len() {
        if is_first(&items[at]) {
            items.swap(count, at);
            count += 1;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use palisade_crypto::hash::keccak256;
    use palisade_types::proof::{inner, leaf};
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
    fn a_large_tree_is_built_as_it_grows_and_has_every_path_once() {
        let leaf = |number: u64| (key(number).path(), row((number % 251) as u8).value_hash());
        let mut rows: Vec<_> = (0..3 * TOGETHER as u64).map(leaf).collect();
        let (first, rest) = rows.split_at(TOGETHER / 2);
        let mut tree = Tree::build(first.to_vec());
        tree.update(rest.iter().map(|(path, value)| (*path, Some(*value))).collect());
        assert_eq!(Tree::of(rows.clone()).map(|tree| tree.root()), Some(tree.root()));
        let mut sorted = rows.clone();
        sorted.sort_unstable();
        assert_eq!(naive(&sorted, 0), tree.root());
        rows.push((rows[7].0, [0; 32]));
        assert!(Tree::of(rows).is_none());
        assert!(Tree::of(vec![([1; 32], [1; 32]); TOGETHER + 1]).is_none());
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
