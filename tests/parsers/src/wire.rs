//! What other operators send, and what goes over the covenant's socket.

use std::fmt::Debug;
use std::sync::LazyLock;

use palisade_agreement::codec::{WireCodec, certificate_bytes, certificate_from_bytes};
use palisade_agreement::context::Palisade;
use palisade_agreement::malachite::{
    Codec, CommitCertificate, LivenessMsg, PolkaCertificate, ProposedValue, SignedConsensusMsg, StreamMessage, sync,
};
use palisade_agreement::parts::Part;
use palisade_agreement::wire;
use palisade_ledger::snapshot::{Assembly, Chunk, chunks};
use palisade_node::covenant::protocol::{self, MAX_QUESTION, MAX_REPLY};
use palisade_node::elsewhere;
use palisade_node::message::{MAX_MESSAGE, Message, Presigned};
use palisade_node::network::Topic;
use palisade_types::canonical::Malformed;
use palisade_types::{BlockId, Canonical, Hash, Height, Row, RowKey};
use tokio::runtime::{Builder, Runtime};

use crate::vaults::STAND;

/// One byte for the kind, then a message of the engine's: gossip, sync, what it writes down.
pub(crate) fn engine(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let decoded = |topic| wire::Message::decode(topic, bytes.to_vec().into());
    match kind % 9 {
        0 => assert_eq!(decoded(wire::Topic::Consensus).is_ok(), encoded::<SignedConsensusMsg<Palisade>>(bytes)),
        1 => assert_eq!(decoded(wire::Topic::Liveness).is_ok(), encoded::<LivenessMsg<Palisade>>(bytes)),
        2 => assert_eq!(decoded(wire::Topic::Parts).is_ok(), encoded::<StreamMessage<Part>>(bytes)),
        3 => drop(encoded::<sync::Status<Palisade>>(bytes)),
        4 => drop(encoded::<sync::Request<Palisade>>(bytes)),
        5 => drop(encoded::<sync::Response<Palisade>>(bytes)),
        6 => drop(encoded::<ProposedValue<Palisade>>(bytes)),
        7 => drop(encoded::<PolkaCertificate<Palisade>>(bytes)),
        _ => {
            let read = certificate_from_bytes(bytes).ok();
            assert_eq!(read.is_some(), encoded::<CommitCertificate<Palisade>>(bytes));
            assert!(read.is_none_or(|certificate| certificate_bytes(&certificate) == bytes));
        }
    }
}

/// Whether the bytes are such a message; there is one encoding of everything.
fn encoded<T>(bytes: &[u8]) -> bool
where
    WireCodec: Codec<T, Error = Malformed>,
{
    let read: Result<T, Malformed> = WireCodec.decode(bytes.to_vec().into());
    let written = read.as_ref().ok().and_then(|message| WireCodec.encode(message).ok());
    assert!(written.as_ref().is_none_or(|written| written == bytes) && written.is_some() == read.is_ok());
    read.is_ok()
}

/// A message of the node's own.
pub(crate) fn gossip(bytes: &[u8]) {
    let Ok(message) = Message::from_bytes(bytes) else { return };
    assert_eq!(message.to_bytes(), bytes);
    assert!(Topic::of(&message).limit() <= MAX_MESSAGE && Topic::of(&message).of_engine().is_none());
}

/// What operators ask each other, about Bitcoin and about the ledger's state, and the answers.
pub(crate) fn peer(bytes: &[u8]) {
    same::<elsewhere::Question>(bytes);
    same::<elsewhere::Best>(bytes);
    same::<Chunk>(bytes);
    if let Ok(chunk) = Chunk::from_bytes(bytes) {
        let rows = chunk.rows.to_vec();
        let mut state = Assembly::new(STATE.0);
        let taken = state.take(chunk).is_ok();
        assert!(!taken || STATE.1.iter().all(|row| rows.contains(row)) && rows.len() == STATE.1.len());
    }
}

/// A small state, of one chunk, and its root.
static STATE: LazyLock<(Hash, Vec<(RowKey, Row)>)> = LazyLock::new(|| {
    let row = |number| (RowKey::Block(Height::new(number)), Row::Block(BlockId::new([number as u8; 32])));
    let rows: Vec<_> = (1..4).map(row).collect();
    let whole = chunks(rows.clone());
    let root = subtree_of(&whole[0]);
    (root, rows)
});

/// The root of a state that is one chunk: the only one under which the chunk holds.
fn subtree_of(chunk: &Chunk) -> Hash {
    use palisade_types::proof::{bit, inner, leaf};
    fn hash(rows: &[([u8; 32], [u8; 32])], depth: usize) -> Hash {
        match rows {
            [] => palisade_types::proof::EMPTY,
            [(path, value)] => leaf(path, value),
            _ => {
                let half = |side| rows.iter().filter(|(path, _)| bit(path, depth) == side).copied().collect::<Vec<_>>();
                inner(&hash(&half(false), depth + 1), &hash(&half(true), depth + 1))
            }
        }
    }
    let rows: Vec<_> = chunk.rows.iter().map(|(key, row)| (key.path(), row.value_hash())).collect();
    hash(&rows, 0)
}

fn same<T: Canonical + PartialEq + Debug>(bytes: &[u8]) {
    if let Ok(value) = T::from_bytes(bytes) {
        assert_eq!(value.to_bytes(), bytes);
    }
}

/// One byte for the side, then a stream as it comes out of the covenant's socket.
pub(crate) fn covenant(bytes: &[u8]) {
    let Some((side, stream)) = bytes.split_first() else { return };
    match side % 2 {
        0 => frame::<protocol::Question>(stream, MAX_QUESTION),
        _ => frame::<protocol::Reply>(stream, MAX_REPLY),
    }
}

/// A frame that is read is what its value is written as, to its last byte.
fn frame<T: Canonical>(mut stream: &[u8], limit: usize) {
    let whole = stream;
    if let Ok(value) = WAITER.block_on(protocol::receive::<T>(&mut stream, limit)) {
        assert_eq!(whole[5..whole.len() - stream.len()], value.to_bytes());
    }
}

static WAITER: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_current_thread().enable_time().build().expect("a runtime without threads or sockets")
});

/// Seeds of the parser with this name.
pub(crate) fn seeds(name: &str) -> Vec<Vec<u8>> {
    match name {
        "engine" => (0..9).flat_map(|kind| [48, 100, 142, 175, 400].map(|length| blank(kind, length))).collect(),
        "gossip" => messages(),
        "peer" => {
            let chunk = chunks(STATE.1.clone()).remove(0).to_bytes();
            let state = [[&[4][..], &[9; 40]].concat(), [&[5][..], &[9; 40]].concat()];
            let bitcoin = [vec![0], [vec![1, 0, 0, 0, 2], vec![7; 64]].concat(), vec![1; 84]];
            bitcoin.into_iter().chain(state).chain([vec![3], chunk]).collect()
        }
        _ => frames(),
    }
}

fn blank(kind: u8, length: usize) -> Vec<u8> {
    [vec![kind], vec![0; length]].concat()
}

fn messages() -> Vec<Vec<u8>> {
    let whole = &STAND.whole;
    let registration = Message::Registration(Box::new(whole.clone())).to_bytes();
    let answers = crate::vaults::seeds("answer").into_iter();
    let hash = whole.endorsement(STAND.versions.chain()).to_bytes();
    let answers = answers.map(|answer| [vec![4], hash.clone(), answer].concat());
    let rest = [0, 1, 2, 5, 14].into_iter().flat_map(|tag| [150, 300, 700].map(|length| blank(tag, length)));
    answers.chain([registration]).chain(rest).collect()
}

fn frames() -> Vec<Vec<u8>> {
    let whole = &STAND.whole;
    let asked = [vec![0; 1], vec![3; 32], vec![4; 32], whole.to_bytes(), vec![1], whole.to_bytes()].concat();
    let questions = [asked, vec![2], vec![3], [&[1, 0, 0, 0, 6][..], b"secret"].concat()];
    let answer = crate::vaults::seeds("answer").swap_remove(0);
    let presigned = Presigned { registration: Hash::ZERO, answer: Canonical::from_bytes(&answer).expect("an answer") };
    let replies = [
        [vec![0], presigned.to_bytes()].concat(),
        vec![1, 5],
        [&[1, 3, 0, 0, 0, 4][..], b"why?"].concat(),
        vec![2],
        [vec![3], vec![1; 100]].concat(),
    ];
    let questions = questions.iter().map(|question| framed(0, question));
    questions.chain(replies.iter().map(|reply| framed(1, reply))).collect()
}

fn framed(side: u8, value: &[u8]) -> Vec<u8> {
    let length = u32::try_from(value.len() + 1).expect("a short seed").to_be_bytes();
    [&[side][..], &length, &[protocol::VERSION], value].concat()
}
