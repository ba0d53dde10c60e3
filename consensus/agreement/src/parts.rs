//! A block in bounded pieces.
//!
//! The engine's proposal carries the block's id; the block itself travels as [`Part`]s, which may arrive before the
//! proposal that names it and are not signed by the proposer. So each part says what it is a part of, the whole is
//! taken only when it hashes to that id, and what may lie around unfinished is bounded per publisher, in age and in
//! bytes of all together.

use crate::malachite::{PeerId, StreamContent, StreamId, StreamMessage};
use bytes::Bytes;
use palisade_types::block::{Block, MAX_BLOCK};
use palisade_types::canonical::{Canonical, Malformed, Reader};
use palisade_types::ids::{BlockId, OperatorId};
use palisade_types::units::{Height, Millis};
use std::collections::BTreeMap;

/// The most bytes of the block in one part.
pub const MAX_PART: usize = 128 << 10;
/// The most parts of one block.
pub const MAX_PARTS: u8 = 16;
/// height, round, nonce.
pub const STREAM_ID_BYTES: usize = 16;
/// Unfinished blocks of one publisher.
const MAX_STREAMS: usize = 4;
/// An unfinished block older than this is dropped.
const MAX_AGE: Millis = Millis::new(60_000);
/// The bytes of all unfinished blocks together.
const MAX_HELD: usize = 64 << 20;

/// One piece of a proposed block.
#[derive(Clone, PartialEq, Eq)]
pub struct Part {
    /// What it is a piece of.
    pub of: Proposed,
    /// Which piece, from 0.
    pub index: u8,
    /// How many there are.
    pub count: u8,
    /// The piece.
    pub bytes: Bytes,
}

/// Which block, proposed where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Proposed {
    /// At which height.
    pub height: Height,
    /// In which round it is proposed (again).
    pub round: u32,
    /// By whom it is proposed in that round.
    pub proposer: OperatorId,
    /// Which block.
    pub block: BlockId,
}

impl Canonical for Proposed {
    fn write(&self, out: &mut Vec<u8>) {
        self.height.write(out);
        self.round.write(out);
        self.proposer.write(out);
        self.block.write(out);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        let height = Canonical::read(input)?;
        let round = u32::read(input)?;
        if round > crate::codec::MAX_ROUND {
            return Err(Malformed::OutOfRange("round"));
        }
        Ok(Self { height, round, proposer: Canonical::read(input)?, block: Canonical::read(input)? })
    }
}

impl Canonical for Part {
    fn write(&self, out: &mut Vec<u8>) {
        self.of.write(out);
        self.index.write(out);
        self.count.write(out);
        u32::try_from(self.bytes.len()).expect("a part has at most MAX_PART bytes").write(out);
        out.extend_from_slice(&self.bytes);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (of, (index, count)) = <(Proposed, (u8, u8))>::read(input)?;
        if count == 0 || count > MAX_PARTS || index >= count {
            return Err(Malformed::OutOfRange("part"));
        }
        let length = u32::read(input)? as usize;
        if length > MAX_PART {
            return Err(Malformed::TooLong { length, bound: MAX_PART });
        }
        Ok(Self { of, index, count, bytes: Bytes::copy_from_slice(input.take(length)?) })
    }
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Part")
            .field("of", &self.of)
            .field("index", &self.index)
            .field("count", &self.count)
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

impl arc_malachitebft_core_types::ProposalPart<crate::context::Palisade> for Part {
    fn is_first(&self) -> bool {
        self.index == 0
    }

    fn is_last(&self) -> bool {
        self.index + 1 == self.count
    }
}

/// Cuts an encoded block. `nonce` tells two streams of one round apart: a block sent again is a new stream.
///
/// # Panics
///
/// When the block is larger than [`MAX_BLOCK`], which no block we build or accept is.
#[must_use]
pub fn cut(of: Proposed, block: &Bytes, nonce: u32) -> Vec<StreamMessage<Part>> {
    assert!(block.len() <= MAX_BLOCK, "a block is at most MAX_BLOCK bytes");
    let mut stream = Vec::with_capacity(STREAM_ID_BYTES);
    of.height.write(&mut stream);
    (of.round, nonce).write(&mut stream);
    let stream = Bytes::from(stream);
    let count = u8::try_from(block.len().div_ceil(MAX_PART).max(1)).expect("MAX_BLOCK is at most MAX_PARTS parts");
    (0..count)
        .map(|index| {
            let start = usize::from(index) * MAX_PART;
            let end = (start + MAX_PART).min(block.len());
            let part = Part { of, index, count, bytes: block.slice(start..end) };
            StreamMessage::new(StreamId::new(stream.clone()), u64::from(index), StreamContent::Data(part))
        })
        .collect()
}

/// A block that arrived whole and hashes to the id under which it was sent. Whether it is valid is another question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// Where it is proposed.
    pub of: Proposed,
    /// The block.
    pub block: Block,
    /// Its encoding.
    pub bytes: Bytes,
}

/// Why a part was thrown away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPart {
    /// It contradicts the parts before it, or itself: a fault of the publisher.
    #[error("the part does not fit its stream")]
    Unfit,
    /// The whole is no block, or another block than announced: a fault of the publisher.
    #[error("the parts are not the block that was announced")]
    NotTheBlock,
    /// It is for a height we have left, or one we are not near. Nobody's fault.
    #[error("not a height we gather parts for")]
    WrongHeight,
}

/// Unfinished blocks of all publishers.
#[derive(Debug, Default)]
pub struct Gathering {
    streams: BTreeMap<(PeerId, StreamId), Unfinished>,
    held: usize,
}

#[derive(Debug)]
struct Unfinished {
    of: Proposed,
    since: Millis,
    parts: Vec<Option<Bytes>>,
    held: usize,
}

impl Gathering {
    /// Takes one part from `publisher` while the engine stands at `height`; gives the block when it is whole. Parts
    /// for the height after are taken too: the proposer may be a step ahead of us.
    ///
    /// # Errors
    ///
    /// [`BadPart`] says why it was thrown away, and its stream with it where it is the publisher's fault.
    pub fn take(
        &mut self,
        now: Millis,
        height: Height,
        publisher: PeerId,
        message: StreamMessage<Part>,
    ) -> Result<Option<Arrived>, BadPart> {
        self.forget_old(now);
        let StreamContent::Data(part) = message.content else { return Ok(None) };
        if part.of.height < height || part.of.height > height.next() {
            return Err(BadPart::WrongHeight);
        }
        if message.sequence != u64::from(part.index) {
            return Err(BadPart::Unfit);
        }
        let key = (publisher, message.stream_id);
        if !self.streams.contains_key(&key) {
            self.open(now, key.clone(), &part);
        }
        self.make_room(part.bytes.len());
        match self.add(&key, part) {
            Ok(true) => self.close(&key).map_or(Ok(None), |unfinished| unfinished.join().map(Some)),
            Ok(false) => Ok(None),
            Err(fault) => {
                self.close(&key);
                Err(fault)
            }
        }
    }

    /// Drops what is for heights below `height`: they are decided.
    pub fn forget_below(&mut self, height: Height) {
        self.forget(|unfinished| unfinished.of.height < height);
    }

    fn forget_old(&mut self, now: Millis) {
        self.forget(|unfinished| now.get().saturating_sub(unfinished.since.get()) > MAX_AGE.get());
    }

    fn forget(&mut self, gone: impl Fn(&Unfinished) -> bool) {
        let held = &mut self.held;
        self.streams.retain(|_, unfinished| {
            let stays = !gone(unfinished);
            if !stays {
                *held -= unfinished.held;
            }
            stays
        });
    }

    /// Starts a stream. Whoever has too many loses his own oldest: what he sends now matters more to him.
    fn open(&mut self, now: Millis, key: (PeerId, StreamId), first: &Part) {
        if self.streams.keys().filter(|(publisher, _)| *publisher == key.0).count() >= MAX_STREAMS {
            self.drop_oldest(key.0);
        }
        let parts = vec![None; usize::from(first.count)];
        self.streams.insert(key, Unfinished { of: first.of, since: now, parts, held: 0 });
    }

    /// Makes room for `size` bytes at the expense of whoever holds the most, so that a few who fill the memory
    /// push out each other and not the proposer.
    fn make_room(&mut self, size: usize) {
        while self.held + size > MAX_HELD {
            let mut held = BTreeMap::new();
            for ((publisher, _), unfinished) in &self.streams {
                *held.entry(*publisher).or_insert(0) += unfinished.held;
            }
            let Some((publisher, _)) = held.into_iter().max_by_key(|(_, held)| *held) else { return };
            self.drop_oldest(publisher);
        }
    }

    fn drop_oldest(&mut self, publisher: PeerId) {
        let oldest = self
            .streams
            .iter()
            .filter(|(key, _)| key.0 == publisher)
            .min_by_key(|(_, unfinished)| unfinished.since)
            .map(|(key, _)| key.clone());
        if let Some(key) = oldest {
            self.close(&key);
        }
    }

    /// Puts a part in its place; true when it was the last one missing.
    fn add(&mut self, key: &(PeerId, StreamId), part: Part) -> Result<bool, BadPart> {
        let Some(unfinished) = self.streams.get_mut(key) else { return Err(BadPart::Unfit) };
        let size = part.bytes.len();
        if unfinished.of != part.of
            || unfinished.parts.len() != usize::from(part.count)
            || unfinished.held + size > MAX_BLOCK
        {
            return Err(BadPart::Unfit);
        }
        let place = unfinished.parts.get_mut(usize::from(part.index)).ok_or(BadPart::Unfit)?;
        match place {
            Some(before) if *before == part.bytes => return Ok(false), // the same again
            Some(_) => return Err(BadPart::Unfit),
            None => *place = Some(part.bytes),
        }
        unfinished.held += size;
        self.held += size;
        Ok(unfinished.parts.iter().all(Option::is_some))
    }

    fn close(&mut self, key: &(PeerId, StreamId)) -> Option<Unfinished> {
        let unfinished = self.streams.remove(key)?;
        self.held -= unfinished.held;
        Some(unfinished)
    }
}

impl Unfinished {
    fn join(self) -> Result<Arrived, BadPart> {
        let bytes = Bytes::from(self.parts.into_iter().flatten().collect::<Vec<_>>().concat());
        let block = whole_block(&bytes).ok_or(BadPart::NotTheBlock)?;
        if block.id() != self.of.block || block.header.height != self.of.height {
            return Err(BadPart::NotTheBlock);
        }
        Ok(Arrived { of: self.of, block, bytes })
    }
}

/// Reads a block whose header commits to just these items; without that check two blocks would share an id.
#[must_use]
pub fn whole_block(bytes: &[u8]) -> Option<Block> {
    if bytes.len() > MAX_BLOCK {
        return None;
    }
    let block = Block::from_bytes(bytes).ok()?;
    (Block::items_root(&block.items) == block.header.items_root).then_some(block)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::malachite::numbered_peer;
    use palisade_types::block::{HEADER_VERSION, Header};
    use palisade_types::canonical::List;
    use palisade_types::ids::{ChainId, Hash};
    use palisade_types::units::Epoch;

    const NOW: Millis = Millis::new(1_000);
    const AT: Height = Height::new(7);

    fn block(height: Height) -> (Proposed, Bytes) {
        let items = List::new();
        let header = Header {
            version: HEADER_VERSION,
            chain: ChainId::new([1; 32]),
            height,
            epoch: Epoch::new(0),
            parent: BlockId::ZERO,
            items_root: Block::items_root(&items),
            state_root: Hash::ZERO,
            next_committee: Hash::ZERO,
        };
        let block = Block { header, items };
        let of = Proposed { height, round: 0, proposer: OperatorId::new([2; 20]), block: block.id() };
        (of, block.to_bytes().into())
    }

    /// The parts of bytes that are no block: what a hostile proposer fills memory with.
    fn junk(size: usize, nonce: u32) -> Vec<StreamMessage<Part>> {
        let (of, _) = block(AT);
        cut(of, &Bytes::from(vec![9; size]), nonce)
    }

    #[test]
    fn a_block_comes_back_whole_in_any_order_of_its_parts() {
        let (of, bytes) = block(AT);
        let mut gathering = Gathering::default();
        let mut parts = cut(of, &bytes, 0);
        let arrived = gathering.take(NOW, AT, numbered_peer(1), parts.remove(0)).unwrap().unwrap();
        assert_eq!((arrived.of, arrived.bytes), (of, bytes));
        assert_eq!(gathering.held, 0);
        // Several parts, backwards: they are complete, and then seen not to be the block.
        let publisher = numbered_peer(2);
        let mut parts = junk(MAX_BLOCK, 0);
        assert_eq!(parts.len(), MAX_BLOCK / MAX_PART);
        let last = parts.remove(0);
        for part in parts.into_iter().rev() {
            assert_eq!(gathering.take(NOW, AT, publisher, part), Ok(None));
        }
        assert_eq!(gathering.take(NOW, AT, publisher, last), Err(BadPart::NotTheBlock));
        assert_eq!((gathering.held, gathering.streams.len()), (0, 0));
    }

    #[test]
    fn items_that_the_header_does_not_commit_to_are_no_block() {
        let (_, bytes) = block(AT);
        let mut block = Block::from_bytes(&bytes).unwrap();
        assert!(whole_block(&bytes).is_some());
        block.header.items_root = Hash::new([5; 32]);
        assert_eq!(whole_block(&block.to_bytes()), None);
    }

    #[test]
    fn a_part_that_contradicts_its_stream_ends_it() {
        let publisher = numbered_peer(3);
        let mut gathering = Gathering::default();
        let mut parts = junk(2 * MAX_PART, 0);
        let (second, first) = (parts.pop().unwrap(), parts.pop().unwrap());
        let mut other = first.clone();
        if let StreamContent::Data(part) = &mut other.content {
            part.bytes = Bytes::from(vec![8; MAX_PART]);
        }
        assert_eq!(gathering.take(NOW, AT, publisher, first.clone()), Ok(None));
        assert_eq!(gathering.take(NOW, AT, publisher, first.clone()), Ok(None), "the same again is harmless");
        assert_eq!(gathering.take(NOW, AT, publisher, other), Err(BadPart::Unfit));
        assert_eq!(gathering.take(NOW, AT, publisher, second), Ok(None), "a new stream");
        let misplaced = StreamMessage { sequence: 1, ..first };
        assert_eq!(gathering.take(NOW, AT, publisher, misplaced), Err(BadPart::Unfit));
    }

    #[test]
    fn only_this_height_and_the_next_are_gathered() {
        let mut gathering = Gathering::default();
        for (height, expected) in [(6, Err(BadPart::WrongHeight)), (9, Err(BadPart::WrongHeight))] {
            let (of, bytes) = block(Height::new(height));
            let part = cut(of, &bytes, 0).remove(0);
            assert_eq!(gathering.take(NOW, AT, numbered_peer(4), part), expected);
        }
        let (of, bytes) = block(AT.next());
        assert!(gathering.take(NOW, AT, numbered_peer(5), cut(of, &bytes, 0).remove(0)).unwrap().is_some());
    }

    #[test]
    fn r32_unfinished_blocks_are_bounded_in_number_age_and_bytes() {
        let mut gathering = Gathering::default();
        let publisher = numbered_peer(6);
        for nonce in 0..10 {
            gathering.take(NOW, AT, publisher, junk(2 * MAX_PART, nonce).remove(0)).unwrap();
        }
        assert_eq!(gathering.streams.len(), MAX_STREAMS);
        let crowd: Vec<_> = (100..140).map(numbered_peer).collect();
        for peer in &crowd {
            for nonce in 0..4 {
                for part in junk(MAX_BLOCK, nonce).into_iter().take(7) {
                    gathering.take(NOW, AT, *peer, part).unwrap();
                    assert!(gathering.held <= MAX_HELD);
                }
            }
        }
        let held: usize = gathering.streams.values().map(|unfinished| unfinished.held).sum();
        assert_eq!(held, gathering.held);
        let later = Millis::new(NOW.get() + MAX_AGE.get() + 1);
        gathering.take(later, AT, publisher, junk(2 * MAX_PART, 99).remove(0)).unwrap();
        assert_eq!(gathering.streams.len(), 1, "everything else is too old");
        gathering.forget_below(AT.next());
        assert_eq!((gathering.held, gathering.streams.len()), (0, 0));
    }
}
