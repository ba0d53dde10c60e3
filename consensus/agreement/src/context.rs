//! The engine's vocabulary, in our types.
//!
//! Malachite is generic over a `Context`; [`Palisade`] is ours. Consensus carries the 32-byte block id alone: the
//! block travels as [`Part`](crate::parts::Part)s and is kept by the core before the engine hears of it, so neither a
//! vote, nor a proposal, nor the write-ahead log ever holds a block. Foreign traits cannot be put on foreign types,
//! which is the only reason for the thin wrappers here.

use crate::ballot::{Ballot, Step};
use crate::parts::Part;
use arc_malachitebft_core_types::{
    self as engine, LinearTimeouts, NilOrVal, Round, SignedExtension, SignedMessage, ValidatorProof,
    VoteExtensionScope, VoteType, VotingPower,
};
use arc_malachitebft_signing::{Error as SigningError, VerificationResult};
use async_trait::async_trait;
use palisade_crypto::ed25519::{self, Ed25519Error, PublicKey};
use palisade_crypto::hash::sha256_all;
use palisade_types::certificate::Committee;
use palisade_types::ids::{BlockId, ChainId, Ed25519Signature, OperatorId};
use palisade_types::units::Height;
use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{mpsc, oneshot};

/// Our instance of the engine's types.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Palisade;

impl engine::Context for Palisade {
    type Address = Voter;
    type Height = Level;
    type ProposalPart = Part;
    type Proposal = Proposal;
    type Validator = Validator;
    type ValidatorSet = ValidatorSet;
    type Timeouts = LinearTimeouts;
    type Value = Value;
    type Vote = Vote;
    type Extension = ();
    type SigningScheme = Ed25519;

    fn select_proposer<'a>(&self, set: &'a ValidatorSet, height: Level, round: Round) -> &'a Validator {
        set.proposer(height.0, round)
    }

    fn new_proposal(&self, height: Level, round: Round, value: Value, pol_round: Round, address: Voter) -> Proposal {
        Proposal { height, round, value, pol_round, address }
    }

    fn new_prevote(&self, height: Level, round: Round, value: NilOrVal<BlockId>, address: Voter) -> Vote {
        Vote { kind: VoteType::Prevote, height, round, value, address }
    }

    fn new_precommit(&self, height: Level, round: Round, value: NilOrVal<BlockId>, address: Voter) -> Vote {
        Vote { kind: VoteType::Precommit, height, round, value, address }
    }
}

/// A height, as the engine wants it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Level(pub Height);

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl engine::Height for Level {
    const ZERO: Self = Self(Height::new(0));
    const INITIAL: Self = Self(Height::new(1));

    fn increment_by(&self, count: u64) -> Self {
        Self(Height::new(self.0.get().saturating_add(count)))
    }

    fn decrement_by(&self, count: u64) -> Option<Self> {
        self.0.get().checked_sub(count).map(|height| Self(Height::new(height)))
    }

    fn as_u64(&self) -> u64 {
        self.0.get()
    }
}

/// An operator, as the engine wants it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Voter(pub OperatorId);

impl engine::Address for Voter {}

impl fmt::Display for Voter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Voter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// What is agreed: a block, by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value(pub BlockId);

impl engine::Value for Value {
    type Id = BlockId;

    fn id(&self) -> BlockId {
        self.0
    }
}

/// One member's place in the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validator {
    /// Who.
    pub address: Voter,
    /// The key that checks his votes.
    pub key: PublicKey,
    /// His share of the order: the committee's `engine` weight.
    pub power: VotingPower,
}

impl engine::Validator<Palisade> for Validator {
    fn address(&self) -> &Voter {
        &self.address
    }

    fn public_key(&self) -> &PublicKey {
        &self.key
    }

    fn voting_power(&self) -> VotingPower {
        self.power
    }
}

/// Why a committee gives the engine nobody to wait for, or more power than it can count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSeats {
    /// Nobody has weight. An epoch without stake keeps the seats of the one before (R6), so this is our own bug.
    #[error("no member has engine weight")]
    Empty,
    /// The weights sum to more than [`MAX_POWER`].
    #[error("the engine's weights sum to more than 2^60")]
    TooHeavy,
    /// An operator stands twice.
    #[error("operator {0} has two seats")]
    Twice(OperatorId),
    /// A member's key is no key. The ledger takes none without a proof of possession, so this is our own bug.
    #[error("operator {operator} has no usable vote key")]
    Key {
        /// Whose.
        operator: OperatorId,
        /// What is wrong with it.
        #[source]
        source: Ed25519Error,
    },
}

/// The engine multiplies power by three and panics when that overflows, so the sum stays far below.
pub const MAX_POWER: VotingPower = 1 << 60;

/// Who decides one height: in operator order, never empty, each with power, all of it at most [`MAX_POWER`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidatorSet {
    seats: Arc<[Validator]>,
    total: VotingPower,
}

impl ValidatorSet {
    /// Seats everybody with power.
    ///
    /// # Errors
    ///
    /// [`BadSeats`]: the engine must not be started with this set.
    pub fn new(seats: impl IntoIterator<Item = Validator>) -> Result<Self, BadSeats> {
        let mut seats: Vec<_> = seats.into_iter().filter(|seat| seat.power > 0).collect();
        seats.sort_by_key(|seat| seat.address);
        if let Some(pair) = seats.windows(2).find(|pair| pair[0].address == pair[1].address) {
            return Err(BadSeats::Twice(pair[0].address.0));
        }
        let total = seats
            .iter()
            .try_fold(0, |sum: VotingPower, seat| sum.checked_add(seat.power))
            .filter(|total| *total <= MAX_POWER)
            .ok_or(BadSeats::TooHeavy)?;
        if seats.is_empty() {
            return Err(BadSeats::Empty);
        }
        Ok(Self { seats: seats.into(), total })
    }

    /// Who proposes at (height, round): a point walks round a circle of all the power in steps of the golden
    /// ratio, and whoever's arc it falls on is the proposer. Everybody knows it beforehand, turns are proportional to
    /// power as closely as any rule can make them, and whoever has less than 38 % of the power is never asked twice
    /// in a row, so one dead proposer costs one round. The step is taken at each height and at each round.
    #[must_use]
    pub fn proposer(&self, height: Height, round: Round) -> &Validator {
        /// The fractional part of the golden ratio, in units of 2^-64.
        const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
        let step = height.get().wrapping_add(u64::from(round.as_u32().unwrap_or(0)));
        let angle = u128::from(step.wrapping_mul(GOLDEN));
        let point = (angle * u128::from(self.total)) >> 64; // below the total
        let mut before = 0_u128;
        self.seats
            .iter()
            .find(|seat| {
                before += u128::from(seat.power);
                point < before
            })
            .expect("the point lies below the total, which is the sum of all arcs")
    }

    /// Whether `present` hold more than two thirds of the power.
    #[must_use]
    pub fn is_quorum(&self, present: impl Fn(&OperatorId) -> bool) -> bool {
        let power: u128 =
            self.seats.iter().filter(|seat| present(&seat.address.0)).map(|seat| u128::from(seat.power)).sum();
        power * 3 > u128::from(self.total) * 2
    }

    /// The seat of `operator`.
    #[must_use]
    pub fn seat(&self, operator: &OperatorId) -> Option<&Validator> {
        let place = self.seats.binary_search_by_key(operator, |seat| seat.address.0).ok()?;
        self.seats.get(place)
    }
}

impl TryFrom<&Committee> for ValidatorSet {
    type Error = BadSeats;

    fn try_from(committee: &Committee) -> Result<Self, BadSeats> {
        let seats = committee.members.iter().filter(|member| member.engine > 0).map(|member| {
            let operator = member.operator;
            let key = PublicKey::from_bytes(member.ed25519.as_bytes())
                .map_err(|source| BadSeats::Key { operator, source })?;
            Ok(Validator { address: Voter(operator), key, power: member.engine })
        });
        Self::new(seats.collect::<Result<Vec<_>, BadSeats>>()?)
    }
}

impl engine::ValidatorSet<Palisade> for ValidatorSet {
    fn count(&self) -> usize {
        self.seats.len()
    }

    fn total_voting_power(&self) -> VotingPower {
        self.total
    }

    fn get_by_address(&self, address: &Voter) -> Option<&Validator> {
        self.seat(&address.0)
    }

    fn get_by_index(&self, index: usize) -> Option<&Validator> {
        self.seats.get(index)
    }
}

/// A prevote or precommit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Vote {
    /// In which of the two steps.
    pub kind: VoteType,
    /// At which height.
    pub height: Level,
    /// In which round of it.
    pub round: Round,
    /// For which block; nil is a vote against all of this round.
    pub value: NilOrVal<BlockId>,
    /// By whom.
    pub address: Voter,
}

impl Vote {
    /// The statement that is signed, checked and, in conflict with another, proves a fault (R18).
    #[must_use]
    pub fn ballot(&self, chain: ChainId) -> Ballot {
        Ballot {
            chain,
            operator: self.address.0,
            height: self.height.0,
            round: round_number(self.round),
            step: match self.kind {
                VoteType::Prevote => Step::Prevote,
                VoteType::Precommit => Step::Precommit,
            },
            block: match self.value {
                NilOrVal::Nil => None,
                NilOrVal::Val(block) => Some(block),
            },
            valid_round: None,
        }
    }
}

impl engine::Vote<Palisade> for Vote {
    fn height(&self) -> Level {
        self.height
    }

    fn round(&self) -> Round {
        self.round
    }

    fn value(&self) -> &NilOrVal<BlockId> {
        &self.value
    }

    fn take_value(self) -> NilOrVal<BlockId> {
        self.value
    }

    fn vote_type(&self) -> VoteType {
        self.kind
    }

    fn validator_address(&self) -> &Voter {
        &self.address
    }

    // Vote extensions are disabled at every height: what the outside relies on is attested after the commit.
    fn extension(&self) -> Option<&SignedExtension<Palisade>> {
        None
    }

    fn take_extension(&mut self) -> Option<SignedExtension<Palisade>> {
        None
    }

    fn extend(self, _: SignedExtension<Palisade>) -> Self {
        self
    }
}

/// A proposal of a block, by its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// At which height.
    pub height: Level,
    /// In which round of it.
    pub round: Round,
    /// Which block.
    pub value: Value,
    /// The earlier round in which it had a quorum of prevotes; nil for a new block.
    pub pol_round: Round,
    /// By whom.
    pub address: Voter,
}

impl Proposal {
    /// The statement that is signed, checked and, in conflict with another, proves a fault (R18).
    #[must_use]
    pub fn ballot(&self, chain: ChainId) -> Ballot {
        Ballot {
            chain,
            operator: self.address.0,
            height: self.height.0,
            round: round_number(self.round),
            step: Step::Propose,
            block: Some(self.value.0),
            valid_round: self.pol_round.as_u32(),
        }
    }
}

/// The round of a message. Votes and proposals are never made in the nil round, and none is decoded in it.
fn round_number(round: Round) -> u32 {
    round.as_u32().unwrap_or(u32::MAX)
}

impl engine::Proposal<Palisade> for Proposal {
    fn height(&self) -> Level {
        self.height
    }

    fn round(&self) -> Round {
        self.round
    }

    fn value(&self) -> &Value {
        &self.value
    }

    fn take_value(self) -> Value {
        self.value
    }

    fn pol_round(&self) -> Round {
        self.pol_round
    }

    fn validator_address(&self) -> &Voter {
        &self.address
    }
}

/// Ed25519, checked strictly. Secret keys never come here: they live behind the [`VoteSigner`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ed25519;

impl engine::SigningScheme for Ed25519 {
    type DecodingError = Ed25519Error;
    type Signature = Ed25519Signature;
    type PublicKey = PublicKey;
    type PrivateKey = ();

    fn decode_signature(bytes: &[u8]) -> Result<Ed25519Signature, Ed25519Error> {
        bytes.try_into().map(Ed25519Signature::new).map_err(|_| Ed25519Error::Encoding)
    }

    fn encode_signature(signature: &Ed25519Signature) -> Vec<u8> {
        signature.as_bytes().to_vec()
    }

    fn decode_public_key(bytes: &[u8]) -> Result<PublicKey, Ed25519Error> {
        PublicKey::from_bytes(bytes.try_into().map_err(|_| Ed25519Error::Encoding)?)
    }

    fn encode_public_key(key: &PublicKey) -> Vec<u8> {
        key.to_bytes().to_vec()
    }
}

/// Checks the engine's signatures. The chain id is in every preimage (R17), so it stands here and not in the message.
///
/// The engine checks each precommit when it hears it, and again in the certificate that it makes of them. So what held is remembered
/// for a while, under a hash of all that the check depends on; what did not hold is checked again. Clones remember together.
#[derive(Clone, Debug)]
pub struct Verifier {
    chain: ChainId,
    held: Option<Arc<Mutex<Held>>>,
}

/// Checks that held: those since the newer set was begun, and as many before.
#[derive(Debug, Default)]
struct Held {
    newer: HashSet<[u8; 32]>,
    older: HashSet<[u8; 32]>,
}

/// How many checks one set remembers: two votes of each member of a full committee in some rounds.
const MAX_HELD: usize = 4_096;

impl Held {
    fn knows(&self, check: &[u8; 32]) -> bool {
        self.newer.contains(check) || self.older.contains(check)
    }

    fn remember(&mut self, check: [u8; 32]) {
        if self.newer.len() >= MAX_HELD {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.insert(check);
    }
}

impl Verifier {
    /// One that remembers what held.
    #[must_use]
    pub fn new(chain: ChainId) -> Self {
        Self { chain, held: Some(Arc::default()) }
    }

    /// One that checks everything anew.
    #[must_use]
    pub const fn forgetful(chain: ChainId) -> Self {
        Self { chain, held: None }
    }

    /// Whether `key` made a vote.
    pub(crate) fn holds(&self, vote: &SignedMessage<Palisade, Vote>, key: &PublicKey) -> bool {
        let preimage = vote.message.ballot(self.chain).preimage();
        matches!(self.check(&preimage, &vote.signature, key), VerificationResult::Valid)
    }

    fn check(&self, message: &[u8], signature: &Ed25519Signature, key: &PublicKey) -> VerificationResult {
        let verify = || key.verify(message, &ed25519::Signature(*signature.as_bytes())).is_ok();
        let Some(held) = &self.held else { return VerificationResult::from_bool(verify()) };
        // Of fixed lengths but for the last.
        let name = sha256_all(&[&key.to_bytes(), signature.as_bytes(), message]);
        let known = || held.lock().unwrap_or_else(PoisonError::into_inner);
        if known().knows(&name) {
            return VerificationResult::Valid;
        }
        let holds = verify();
        if holds {
            known().remember(name);
        }
        VerificationResult::from_bool(holds)
    }
}

#[async_trait]
impl arc_malachitebft_signing::Verifier<Palisade> for Verifier {
    async fn verify_signed_vote(
        &self,
        vote: &Vote,
        signature: &Ed25519Signature,
        key: &PublicKey,
    ) -> Result<VerificationResult, SigningError> {
        Ok(self.check(&vote.ballot(self.chain).preimage(), signature, key))
    }

    async fn verify_signed_proposal(
        &self,
        proposal: &Proposal,
        signature: &Ed25519Signature,
        key: &PublicKey,
    ) -> Result<VerificationResult, SigningError> {
        Ok(self.check(&proposal.ballot(self.chain).preimage(), signature, key))
    }

    /// Extensions are disabled, so none is ever valid.
    async fn verify_signed_vote_extension(
        &self,
        _: &VoteExtensionScope<Palisade>,
        (): &(),
        _: &Ed25519Signature,
        _: &PublicKey,
    ) -> Result<VerificationResult, SigningError> {
        Ok(VerificationResult::Invalid)
    }

    /// Peers are bound to operators by genesis and the registry, not by the engine's own proofs.
    async fn verify_validator_proof(&self, _: &ValidatorProof<Palisade>) -> Result<VerificationResult, SigningError> {
        Ok(VerificationResult::Invalid)
    }
}

/// One request to the signer.
#[derive(Debug)]
pub struct SignRequest {
    /// What to sign: [`Ballot::preimage`], in the guard's slot [`Ballot::slot`].
    pub ballot: Ballot,
    /// The signature, once its record is durable (R18), or the refusal.
    pub reply: oneshot::Sender<Result<Ed25519Signature, Refused>>,
}

/// The guard holds another statement for this slot, or waits (R15): the engine must abstain here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the guard refuses to sign in this slot")]
pub struct Refused;

/// Our hand on the signer, where the guard and the key live.
///
/// A refusal makes the engine abstain: it gets [`ABSTAINED`] for a signature, which verifies under no key, so it
/// counts the vote for nothing and our network side does not publish it. Stopping the engine instead would turn
/// every lost write-ahead log into an outage, and a guard that waits into a dead node.
#[derive(Clone, Debug)]
pub struct VoteSigner {
    chain: ChainId,
    requests: mpsc::Sender<SignRequest>,
}

/// Stands where a signature would, when the guard refuses. Strict verification accepts it under no key.
pub const ABSTAINED: Ed25519Signature = Ed25519Signature::ZERO;

impl VoteSigner {
    /// A hand and the requests that it makes; at most `waiting` may wait.
    #[must_use]
    pub fn new(chain: ChainId, waiting: usize) -> (Self, mpsc::Receiver<SignRequest>) {
        let (requests, served) = mpsc::channel(waiting);
        (Self { chain, requests }, served)
    }

    /// Asks for a signature. An error means that the signer is gone, and the engine stops.
    async fn sign(&self, ballot: Ballot) -> Result<Ed25519Signature, SigningError> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(SignRequest { ballot, reply }).await.map_err(|_| gone())?;
        match answer.await.map_err(|_| gone())? {
            Ok(signature) => Ok(signature),
            Err(Refused) => {
                tracing::warn!(height = %ballot.height, round = ballot.round, step = ?ballot.step, "guard refuses, abstaining");
                Ok(ABSTAINED)
            }
        }
    }
}

fn gone() -> SigningError {
    SigningError::from_source(SignerGone)
}

/// The signer's task has ended.
#[derive(Debug, thiserror::Error)]
#[error("the signer is gone")]
struct SignerGone;

#[async_trait]
impl arc_malachitebft_signing::Signer<Palisade> for VoteSigner {
    async fn sign_vote(&self, vote: Vote) -> Result<SignedMessage<Palisade, Vote>, SigningError> {
        let signature = self.sign(vote.ballot(self.chain)).await?;
        Ok(SignedMessage::new(vote, signature))
    }

    async fn sign_proposal(&self, proposal: Proposal) -> Result<SignedMessage<Palisade, Proposal>, SigningError> {
        let signature = self.sign(proposal.ballot(self.chain)).await?;
        Ok(SignedMessage::new(proposal, signature))
    }

    /// Never asked: extensions are disabled.
    async fn sign_vote_extension(
        &self,
        _: VoteExtensionScope<Palisade>,
        (): (),
    ) -> Result<SignedMessage<Palisade, ()>, SigningError> {
        Err(SigningError::new())
    }

    /// Never asked: our network does not speak the engine's proof protocol.
    async fn sign_validator_proof(&self, _: Vec<u8>, _: Vec<u8>) -> Result<ValidatorProof<Palisade>, SigningError> {
        Err(SigningError::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use palisade_crypto::ed25519::SecretKey;
    use std::collections::BTreeMap;

    fn seats(powers: &[u64]) -> Result<ValidatorSet, BadSeats> {
        ValidatorSet::new((0_u8..).zip(powers).map(|(name, power)| Validator {
            address: Voter(OperatorId::new([name; 20])),
            key: SecretKey::from_seed(&[name; 32]).public(),
            power: *power,
        }))
    }

    #[test]
    fn a_set_is_ordered_has_power_and_not_too_much() {
        assert_eq!(seats(&[]), Err(BadSeats::Empty));
        assert_eq!(seats(&[0, 0]), Err(BadSeats::Empty));
        assert_eq!(seats(&[MAX_POWER, 1]), Err(BadSeats::TooHeavy));
        assert_eq!(seats(&[u64::MAX, u64::MAX]), Err(BadSeats::TooHeavy));
        let full = seats(&[MAX_POWER - 1, 1, 0]).unwrap();
        assert_eq!(engine::ValidatorSet::count(&full), 2);
        assert!(full.seats.is_sorted_by_key(|seat| seat.address));
        let twice = ValidatorSet::new([full.seats[0].clone(), full.seats[0].clone()]);
        assert!(matches!(twice, Err(BadSeats::Twice(_) | BadSeats::TooHeavy)));
    }

    #[test]
    fn turns_are_proportional_to_power_and_nobody_small_goes_twice_in_a_row() {
        for powers in [&[1, 1, 1, 1][..], &[3, 1, 4, 1, 5, 9, 2, 6], &[MAX_POWER / 4; 4], &[1; 100], &[1]] {
            let set = seats(powers).unwrap();
            let (turns, mut count, mut before) = (10_000_u64, BTreeMap::new(), None);
            for height in 1..=turns {
                let proposer = set.proposer(Height::new(height), Round::ZERO);
                *count.entry(proposer.address).or_insert(0_u64) += 1;
                let small = u128::from(proposer.power) * 100 < u128::from(set.total) * 38;
                assert!(!(small && before == Some(proposer.address)), "twice in a row at {height} of {powers:?}");
                before = Some(proposer.address);
            }
            for seat in set.seats.iter() {
                let due = u128::from(turns) * u128::from(seat.power) / u128::from(set.total);
                let had = u128::from(count.get(&seat.address).copied().unwrap_or(0));
                assert!(had.abs_diff(due) <= 4, "{had} turns where {due} are due in {powers:?}");
            }
        }
    }

    #[test]
    fn the_next_round_asks_somebody_else() {
        let set = seats(&[1, 1, 1, 1]).unwrap();
        for height in 1..100 {
            let first = set.proposer(Height::new(height), Round::ZERO).address;
            assert_ne!(first, set.proposer(Height::new(height), Round::new(1)).address);
        }
    }

    #[test]
    fn more_than_two_thirds_are_a_quorum_and_two_thirds_are_not() {
        let set = seats(&[1, 1, 1]).unwrap();
        let first = |count: usize| set.is_quorum(|who| set.seats[..count].iter().any(|seat| seat.address.0 == *who));
        assert!(!first(2));
        assert!(first(3));
    }

    #[test]
    fn what_held_is_remembered_and_nothing_else() {
        let verifier = Verifier::new(ChainId::new([1; 32]));
        let known = |verifier: &Verifier| verifier.held.as_ref().unwrap().lock().unwrap().newer.len();
        let secret = SecretKey::from_seed(&[1; 32]);
        let (ours, theirs) = (secret.public(), SecretKey::from_seed(&[2; 32]).public());
        let signature = Ed25519Signature::new(secret.sign(b"message").0);
        for _ in 0..2 {
            assert!(verifier.check(b"message", &signature, &ours).is_valid());
            assert!(verifier.check(b"massage", &signature, &ours).is_invalid());
            assert!(verifier.check(b"message", &signature, &theirs).is_invalid());
            assert!(verifier.check(b"message", &ABSTAINED, &ours).is_invalid());
            assert_eq!(known(&verifier), 1);
        }
        let mut held = Held::default();
        let name = |number: usize| sha256_all(&[&number.to_be_bytes()]);
        (0..3 * MAX_HELD).for_each(|number| held.remember(name(number)));
        assert!(held.newer.len() + held.older.len() <= 2 * MAX_HELD);
        assert!(held.knows(&name(2 * MAX_HELD)) && !held.knows(&name(0)), "the oldest are forgotten");
    }

    #[test]
    fn r18_abstaining_verifies_under_no_key() {
        let chain = ChainId::new([1; 32]);
        let vote = Vote {
            kind: VoteType::Prevote,
            height: Level(Height::new(1)),
            round: Round::ZERO,
            value: NilOrVal::Nil,
            address: Voter(OperatorId::ZERO),
        };
        let (preimage, verifier) = (vote.ballot(chain).preimage(), Verifier::new(chain));
        for seed in 0..16 {
            let secret = SecretKey::from_seed(&[seed; 32]);
            assert!(verifier.check(&preimage, &ABSTAINED, &secret.public()).is_invalid());
            let signature = Ed25519Signature::new(secret.sign(&preimage).0);
            assert!(verifier.check(&preimage, &signature, &secret.public()).is_valid());
        }
    }
}
