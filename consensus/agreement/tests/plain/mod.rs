//! A core that is only a chain of empty blocks, with a guard: what agreement alone needs. Its fields are what a disk
//! would hold, so a crash loses nothing of it.

// Each test takes what it needs.
#![allow(dead_code)]

pub mod live;

use palisade_agreement::app::{Kept, Pace, Start, Stored, Verdict};
use palisade_agreement::ballot::{Ballot, SignedBallot, Step};
use palisade_agreement::context::Refused;
use palisade_agreement::parts::Proposed;
use palisade_agreement::sim::Node;
use palisade_crypto::ed25519::SecretKey;
use palisade_crypto::hash::keccak256_all;
use palisade_types::block::{Block, HEADER_VERSION, Header};
use palisade_types::canonical::{Canonical, List};
use palisade_types::certificate::{Committee, Member};
use palisade_types::chain::ChainPoint;
use palisade_types::evidence::VotePair;
use palisade_types::ids::{BlockId, BlsKey, ChainId, Ed25519Key, Ed25519Signature, Hash, OperatorId, SchnorrKey};
use palisade_types::units::{Epoch, Height, Millis};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub const CHAIN: ChainId = ChainId::new([7; 32]);

/// Fast, since the machine is the only thing to wait for.
pub const FAST: Pace = Pace {
    propose: Duration::from_millis(1000),
    prevote: Duration::from_millis(300),
    precommit: Duration::from_millis(300),
    step: Duration::from_millis(200),
    target: None,
};

pub fn operator(index: usize) -> OperatorId {
    OperatorId::new([u8::try_from(index + 1).unwrap(); 20])
}

fn key(index: usize) -> SecretKey {
    SecretKey::from_seed(&[u8::try_from(index + 1).unwrap(); 32])
}

/// `count` members of equal power.
pub fn committee(count: usize) -> Arc<Committee> {
    let nowhere = ChainPoint { number: 0, hash: Hash::ZERO, time: 0, log: 0 };
    let members = (0..count).map(|index| Member {
        operator: operator(index),
        key: 0,
        bls: BlsKey::ZERO,
        ed25519: Ed25519Key::new(key(index).public().to_bytes()),
        eots: SchnorrKey::ZERO,
        randomness: Hash::ZERO,
        ether: 0,
        bitcoin: 0,
        engine: 10,
    });
    let members = List::try_from(members.collect::<Vec<_>>()).unwrap();
    Arc::new(Committee { epoch: Epoch::new(0), ethereum: nowhere, bitcoin: nowhere, members })
}

pub struct Plain {
    pub index: usize,
    pub committee: Arc<Committee>,
    pub pace: Pace,
    pub blocks: Vec<(Block, Vec<u8>)>,
    pub kept: Vec<Block>,
    pub signed: BTreeMap<(Height, u32, Step), Ballot>,
    pub refused: usize,
    /// Pairs the engine reported.
    pub pairs: Vec<VotePair>,
    /// First ballots of the tap, and the operators it caught.
    pub first: BTreeMap<(OperatorId, Height, u32, Step), SignedBallot>,
    pub caught: Vec<OperatorId>,
    /// When a block was first proposed here, and when each was decided.
    pub proposed: BTreeMap<u64, Instant>,
    pub decided_at: Vec<Instant>,
    /// Blocks up to this height are pruned: nobody gets them here.
    pub pruned: u64,
    /// Signs nothing at all.
    pub silent: bool,
    /// Votes twice.
    pub two_faced: bool,
}

impl Plain {
    pub fn new(index: usize, committee: Arc<Committee>, pace: Pace) -> Self {
        Self {
            index,
            committee,
            pace,
            blocks: vec![],
            kept: vec![],
            signed: BTreeMap::new(),
            refused: 0,
            pairs: vec![],
            first: BTreeMap::new(),
            caught: vec![],
            proposed: BTreeMap::new(),
            decided_at: vec![],
            pruned: 0,
            silent: false,
            two_faced: false,
        }
    }

    /// How many blocks are committed.
    pub fn height(&self) -> usize {
        self.blocks.len()
    }

    pub fn ids(&self) -> Vec<BlockId> {
        self.blocks.iter().map(|(block, _)| block.id()).collect()
    }

    fn parent(&self) -> BlockId {
        self.blocks.last().map_or(BlockId::new(*CHAIN.as_bytes()), |(block, _)| block.id())
    }
}

impl Node for Plain {
    fn operator(&self) -> OperatorId {
        operator(self.index)
    }

    fn start(&mut self) -> Start {
        let height = Height::new(self.blocks.len() as u64 + 1);
        Start { height, committee: self.committee.clone(), pace: self.pace }
    }

    fn kept(&mut self, height: Height) -> Vec<Block> {
        self.kept.iter().filter(|block| block.header.height == height).cloned().collect()
    }

    fn propose(&mut self, _: Millis, height: Height, round: u32) -> Block {
        self.proposed.entry(height.get()).or_insert_with(Instant::now);
        let items = List::new();
        // Whoever proposes in another round proposes another block.
        let mark = keccak256_all(&[&round.to_be_bytes(), self.operator().as_bytes()]);
        Block {
            header: Header {
                version: HEADER_VERSION,
                chain: CHAIN,
                height,
                epoch: Epoch::new(0),
                parent: self.parent(),
                items_root: Block::items_root(&items),
                state_root: Hash::new(mark),
                next_committee: Hash::ZERO,
            },
            items,
        }
    }

    fn check(&mut self, _: Millis, of: &Proposed, block: &Block, _: bool) -> Verdict {
        let next = of.height.get() == self.blocks.len() as u64 + 1;
        if next && block.header.parent == self.parent() { Verdict::Valid } else { Verdict::Invalid }
    }

    fn keep(&mut self, kept: &Kept) {
        self.kept.push((*kept.block).clone());
    }

    fn decided(&mut self, _: Millis, of: &Proposed, block: &Block, certificate: &[u8]) -> Start {
        assert_eq!(of.height.get(), self.blocks.len() as u64 + 1, "heights are decided in order");
        assert_eq!(block.header.parent, self.parent(), "a decided block extends the last");
        self.blocks.push((block.clone(), certificate.to_vec()));
        self.decided_at.push(Instant::now());
        self.kept.retain(|block| block.header.height > of.height);
        self.start()
    }

    fn block(&self, height: Height) -> Option<Stored> {
        if height.get() <= self.pruned {
            return None;
        }
        let place = usize::try_from(height.get()).unwrap().checked_sub(1)?;
        let (block, certificate) = self.blocks.get(place)?;
        Some(Stored { block: block.to_bytes().into(), certificate: certificate.clone().into() })
    }

    fn sign(&mut self, ballot: &Ballot) -> Result<Ed25519Signature, Refused> {
        let recorded = *self.signed.entry(ballot.slot()).or_insert(*ballot);
        if self.silent || recorded != *ballot {
            self.refused += 1;
            return Err(Refused);
        }
        Ok(Ed25519Signature::new(key(self.index).sign(&ballot.preimage()).0))
    }

    fn heard(&mut self, _: Millis, ballot: &SignedBallot) {
        let (height, round, step) = ballot.ballot.slot();
        let first = *self.first.entry((ballot.ballot.operator, height, round, step)).or_insert(*ballot);
        if first.contradicts(ballot) {
            self.caught.push(ballot.ballot.operator);
        }
    }

    fn misbehaved(&mut self, pairs: Vec<VotePair>) {
        self.pairs.extend(pairs);
    }

    fn second_face(&mut self, ballot: &SignedBallot) -> Option<SignedBallot> {
        let block = if ballot.ballot.block.is_some() { None } else { Some(BlockId::new([9; 32])) };
        let other = Ballot { block, ..ballot.ballot };
        let signature = Ed25519Signature::new(key(self.index).sign(&other.preimage()).0);
        (self.two_faced && ballot.ballot.step != Step::Propose).then_some(SignedBallot { ballot: other, signature })
    }
}
