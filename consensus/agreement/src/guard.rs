//! What an operator may sign, decided from what he signed before. It runs inside the signer, in front of every key that
//! votes or attests; here is only the decision, a function of the request and of the records.
//!
//! - One digest per (domain, slot), and one ballot per (height, round, step), ever (R18). The same again is honest: it
//!   gives the same signature.
//! - In the ledger's domain only extensions of the block attested last (R16): a later block whose state does not name
//!   it is, together with it, evidence against us (R1). Nothing below the block attested last is signed any more.
//! - A vote for a checkpoint must stand on one chain with the checkpoint voted for last, below it or, when a late slot is filled
//!   in (R22), above it: where nobody attests with BLS, no other record says on which chain we are (R16).
//! - A contradiction in a finality domain stops signing for the whole chain id until a person has looked (R16). A refusal
//!   for want of a proof does not: nothing was contradicted.
//! - Vault claims and orders have domains of their own, where a slot is a number and nothing builds on anything: one digest
//!   each, in whatever order.
//! - A service's domains are of the same kind, but for one thing: a module that hands in a second digest is refused and stops nothing
//!   else, since what it contradicts is only itself (R14).
//! - Where the records hold that something was signed and not what ([`UNNAMED`]), nothing is signed, and nothing that must be shown
//!   to build on it either: they were imported or pruned.
//! - A succession (R21) is attested from a block that is not below the one attested last and whose chain holds that. It is the
//!   last thing that is signed under this chain id, in whatever domain: whoever names the network's successor has left it.
//! - Ballots never go back to a lower height, so that records of decided heights need not be kept.
//!
//! Whether the records are all there ever were is not known here (R15); the signer asks that first.

use crate::ballot::Ballot;
use palisade_crypto::hash::keccak256;
use palisade_types::attestation::{Statement, UNNAMED};
use palisade_types::block::Header;
use palisade_types::evidence::Domains;
use palisade_types::ids::{BlockId, Digest};
use palisade_types::numbers::Numbered;
use palisade_types::proof::RowProof;
use palisade_types::row::{Row, RowKey};
use palisade_types::units::Height;

/// What the state of a new block says of the block attested last (R16).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ancestry {
    /// The height attested last.
    pub height: Height,
    /// Which block the new header's state names there.
    pub named: BlockId,
    /// Proves that row under the new header's state root.
    pub proof: RowProof,
}

/// What a committed block shows of the chain on which a checkpoint and the one voted for last stand (R16).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lineage {
    /// The block: not below either of them.
    pub header: Header,
    /// Shows in its state which block stands at the checkpoint; `None` when it is that block.
    pub checkpoint: Option<RowProof>,
    /// The checkpoint voted for last.
    pub last: Height,
    /// Which block the chain holds there.
    pub named: BlockId,
    /// Shows that; `None` when it is the block itself.
    pub proof: Option<RowProof>,
}

/// One request for a signature.
#[derive(Clone, Copy, Debug)]
pub enum Request<'a> {
    /// BLS, the ledger's domain: this block stands at its height.
    Attestation {
        /// What is to be signed.
        statement: &'a Statement,
        /// The block's header.
        header: &'a Header,
        /// Needed once anything was attested.
        ancestry: Option<&'a Ancestry>,
    },
    /// BLS, the domain of successions: this is the first block of the network that goes on from here (R21).
    Succession {
        /// What is to be signed; the slot counts successions.
        statement: &'a Statement,
        /// The successor's first header.
        first: &'a Header,
        /// The block it goes on from, which is ether-final.
        last: &'a Header,
        /// Needed unless that is the block attested last, or nothing was.
        ancestry: Option<&'a Ancestry>,
    },
    /// BLS, the domain of vault claims or of orders: the ledger says this under its number.
    Numbered(&'a Numbered),
    /// BLS, a domain of a service: what its module says stands in a slot (R14).
    Service(&'a Statement),
    /// EOTS, the Bitcoin finality domain: this block stands at its checkpoint (R2).
    FinalityVote {
        /// What is to be signed.
        statement: &'a Statement,
        /// Needed once anything was voted for.
        lineage: Option<&'a Lineage>,
    },
    /// Ed25519: a vote or proposal of the engine (R18).
    Ballot(&'a Ballot),
}

/// What the records hold of the request's place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Whether a contradiction was met before and nobody has acted yet (R16).
    pub stopped: bool,
    /// The digest signed in this very place.
    pub here: Option<Digest>,
    /// What the other finality domain holds at the same height; always `None` for ballots. Both say which block stands
    /// there, so that two answers are a contradiction even though no pair proves it.
    pub beside: Option<Digest>,
    /// Whether a succession was attested: the network has ended for us (R21).
    pub succeeded: bool,
    /// The newest place signed in this domain and what was signed there; for ballots the highest height, for a succession the
    /// newest in the ledger's domain.
    pub newest: Option<(u64, Digest)>,
}

/// What the signer does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Record it, then sign.
    Safe,
    /// It is recorded already: sign it again.
    Same,
    /// Refuse; when [`Danger::stops`], refuse everything from now on.
    NotSafe(Danger),
}

/// Why a request is not safe to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Danger {
    /// A contradiction was met earlier. Only a person ends this (R16).
    #[error("signing is stopped until a person acts")]
    Stopped,
    /// Another digest is signed in this place, or at this height in the other finality domain.
    #[error("another digest is signed in this slot")]
    Conflict,
    /// The chain holds another block than the one attested or voted for last (R1, R16).
    #[error("the block is not of the chain that was signed for last")]
    Fork,
    /// Another ballot is signed in this height, round and step. The engine abstains (R18).
    #[error("another ballot is signed in this height, round and step")]
    Voted,
    /// Lower than what is signed already.
    #[error("a later slot is signed already")]
    Behind,
    /// Another digest is signed in this slot of a service. Its module contradicts itself; nothing of the network's does.
    #[error("another digest is signed in this slot of the service")]
    Taken,
    /// A successor was named (R21): under this chain id nothing is signed any more, for ever.
    #[error("the network has been succeeded: nothing is signed in it any more")]
    Succeeded,
    /// Something is signed there, or in the slot that must be built on, and the records do not say what.
    #[error("something is signed in this slot, or in the one before it, that the records do not name")]
    Unnamed,
    /// No proof that the block is of one chain with the one signed for last, or one of another height. Ask again with it.
    #[error("nothing proves that the block is of the chain that was signed for last")]
    Unproven,
    /// The request is of another chain or domain, or its parts are not of one block.
    #[error("the request contradicts itself or is of another chain")]
    Misfit,
}

impl Danger {
    /// Whether nothing at all may be signed for this chain id any more until a person acts (R16).
    #[must_use]
    pub const fn stops(self) -> bool {
        matches!(self, Self::Conflict | Self::Fork)
    }
}

/// Decides for one network.
#[derive(Clone, Copy, Debug)]
pub struct Guard {
    domains: Domains,
}

impl Guard {
    /// The guard of one network.
    #[must_use]
    pub const fn new(domains: Domains) -> Self {
        Self { domains }
    }

    /// Whether `request` may be signed, given what the records hold of its place.
    #[must_use]
    pub fn check(&self, request: &Request<'_>, known: &Known) -> Verdict {
        if known.stopped {
            return Verdict::NotSafe(Danger::Stopped);
        }
        if !self.fits(request) {
            return Verdict::NotSafe(Danger::Misfit);
        }
        if known.succeeded && !matches!(request, Request::Succession { .. }) {
            return Verdict::NotSafe(Danger::Succeeded);
        }
        if [known.here, known.beside].contains(&Some(UNNAMED)) {
            return Verdict::NotSafe(Danger::Unnamed);
        }
        match (request, known.here) {
            (Request::Ballot(ballot), Some(here)) if here != ballot_digest(ballot) => Verdict::NotSafe(Danger::Voted),
            (Request::Ballot(_), Some(_)) => Verdict::Same,
            (Request::Ballot(ballot), None) => follows(ballot.height.get(), known),
            (Request::Attestation { statement, .. } | Request::FinalityVote { statement, .. }, _)
                if [known.here, known.beside].iter().flatten().any(|digest| *digest != statement.digest) =>
            {
                Verdict::NotSafe(Danger::Conflict)
            }
            (Request::Succession { statement, .. }, Some(here)) if here != statement.digest => {
                Verdict::NotSafe(Danger::Conflict)
            }
            (Request::Numbered(numbered), Some(here)) if here != numbered.digest() => {
                Verdict::NotSafe(Danger::Conflict)
            }
            (Request::Service(statement), Some(here)) if here != statement.digest => Verdict::NotSafe(Danger::Taken),
            (_, Some(_)) => Verdict::Same,
            (Request::Succession { .. }, None) if known.succeeded => Verdict::NotSafe(Danger::Conflict),
            (Request::Succession { last, ancestry, .. }, None) => ends(last, *ancestry, known),
            (Request::Numbered(_) | Request::Service(_), None) => Verdict::Safe,
            (Request::Attestation { statement, header, ancestry }, None) => {
                extends(statement.slot, header, *ancestry, known)
            }
            (Request::FinalityVote { statement, lineage }, None) => self.joins(statement, *lineage, known),
        }
    }

    /// Whether the parts of a request belong together and to this network.
    fn fits(&self, request: &Request<'_>) -> bool {
        match request {
            Request::Attestation { statement, header, .. } => {
                statement.domain == self.domains.ledger
                    && header.chain == self.domains.chain
                    && header.height.get() == statement.slot
                    && statement.digest == header.id().into()
            }
            Request::FinalityVote { statement, .. } => {
                statement.domain == self.domains.bitcoin && statement.slot.checked_rem(self.domains.interval) == Some(0)
            }
            Request::Succession { statement, first, last, .. } => {
                statement.domain == self.domains.succession
                    && statement.slot > 0
                    && statement.digest == first.id().into()
                    && first.chain != self.domains.chain
                    && last.chain == self.domains.chain
                    && (first.parent, first.height) == (last.id(), last.height.next())
            }
            Request::Numbered(Numbered::Claim(claim)) => claim.number > 0,
            Request::Numbered(Numbered::Order(order)) => order.number > 0 && order.chain == self.domains.founder,
            Request::Service(statement) => {
                let Domains { ledger, bitcoin, claim, order, succession, .. } = self.domains;
                ![ledger, bitcoin, claim, order, succession].contains(&statement.domain)
            }
            Request::Ballot(ballot) => ballot.chain == self.domains.chain,
        }
    }

    /// A vote in a new slot: of a block on one chain with the one voted for last, so that by induction all of them are (R16).
    fn joins(&self, statement: &Statement, lineage: Option<&Lineage>, known: &Known) -> Verdict {
        let Some((newest, voted)) = known.newest else {
            return Verdict::Safe; // the first of all
        };
        if voted == UNNAMED {
            return Verdict::NotSafe(Danger::Unnamed);
        }
        let Some(lineage) = lineage.filter(|lineage| self.shows(lineage, statement, newest)) else {
            return Verdict::NotSafe(Danger::Unproven);
        };
        if voted == lineage.named.into() { Verdict::Safe } else { Verdict::NotSafe(Danger::Fork) }
    }

    /// Whether it is about this checkpoint and the one at `newest`, and holds.
    fn shows(&self, lineage: &Lineage, statement: &Statement, newest: u64) -> bool {
        let Lineage { header, checkpoint, last, named, proof } = lineage;
        let block = BlockId::new(*statement.digest.as_bytes());
        header.chain == self.domains.chain
            && last.get() == newest
            && names(header, Height::new(statement.slot), block, checkpoint.as_ref())
            && names(header, *last, *named, proof.as_ref())
    }
}

/// What a ballot's record holds.
#[must_use]
pub fn ballot_digest(ballot: &Ballot) -> Digest {
    Digest::new(keccak256(&ballot.preimage()))
}

/// A ballot in a new place: not below the highest height.
fn follows(height: u64, known: &Known) -> Verdict {
    match known.newest {
        Some((newest, _)) if height < newest => Verdict::NotSafe(Danger::Behind),
        _ => Verdict::Safe,
    }
}

/// An attestation in a new slot: above the newest, and of a block whose state names it (R16).
fn extends(slot: u64, header: &Header, ancestry: Option<&Ancestry>, known: &Known) -> Verdict {
    let Some((newest, attested)) = known.newest else {
        return Verdict::Safe; // the first of all
    };
    if slot < newest {
        return Verdict::NotSafe(Danger::Behind);
    }
    if attested == UNNAMED {
        return Verdict::NotSafe(Danger::Unnamed);
    }
    let Some(ancestry) = ancestry.filter(|ancestry| ancestry.height.get() == newest && holds(ancestry, header)) else {
        return Verdict::NotSafe(Danger::Unproven);
    };
    if attested == ancestry.named.into() { Verdict::Safe } else { Verdict::NotSafe(Danger::Fork) }
}

/// A network ends with a block that we attested last, or that builds on it: what we attested is never left out.
fn ends(last: &Header, ancestry: Option<&Ancestry>, known: &Known) -> Verdict {
    match known.newest {
        Some((newest, attested)) if newest == last.height.get() && attested == last.id().into() => Verdict::Safe,
        Some((newest, attested)) if newest == last.height.get() && attested != UNNAMED => {
            Verdict::NotSafe(Danger::Fork)
        }
        _ => extends(last.height.get(), last, ancestry, known),
    }
}

fn holds(ancestry: &Ancestry, header: &Header) -> bool {
    names(header, ancestry.height, ancestry.named, Some(&ancestry.proof))
}

/// Whether the chain that ends in `header` holds `block` at `height`: it is its own block, or its state proves it.
fn names(header: &Header, height: Height, block: BlockId, proof: Option<&RowProof>) -> bool {
    let Some(proof) = proof else { return header.height == height && header.id() == block };
    let (key, row) = (RowKey::Block(height), Row::Block(block));
    height < header.height && proof.proves(&header.state_root, &key, Some(&row)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ballot::Step;
    use palisade_types::canonical::List;
    use palisade_types::claim::Claim;
    use palisade_types::ids::{Address, CaseId, ChainId, Domain, Hash, OperatorId, ServiceId};
    use palisade_types::order::Order;
    use palisade_types::proof::{EMPTY, Terminal, bit, inner, leaf};
    use palisade_types::units::{Epoch, Wad};

    const CHAIN: ChainId = ChainId::new([1; 32]);
    const DOMAINS: Domains = Domains {
        chain: CHAIN,
        ledger: Domain::new([2; 32]),
        bitcoin: Domain::new([3; 32]),
        claim: Domain::new([4; 32]),
        order: Domain::new([5; 32]),
        succession: Domain::new([6; 32]),
        founder: ChainId::new([1; 32]),
        keys: Domain::new([3; 32]),
        interval: 5,
    };
    const A: BlockId = BlockId::new([0xa; 32]);
    const B: BlockId = BlockId::new([0xb; 32]);

    /// A header whose state is the one row that names `named` at `height`.
    fn header(slot: u64, height: u64, named: BlockId) -> (Header, Ancestry) {
        let (key, row) = (RowKey::Block(Height::new(height)), Row::Block(named));
        let header = Header {
            version: 1,
            chain: CHAIN,
            height: Height::new(slot),
            epoch: Epoch::new(1),
            parent: BlockId::ZERO,
            items_root: Hash::ZERO,
            state_root: leaf(&key.path(), &row.value_hash()),
            next_committee: Hash::ZERO,
        };
        let proof = RowProof { siblings: List::new(), terminal: Terminal::Found };
        (header, Ancestry { height: Height::new(height), named, proof })
    }

    fn attest(header: &Header, ancestry: Option<&Ancestry>, known: Known) -> Verdict {
        let statement = Statement { domain: DOMAINS.ledger, slot: header.height.get(), digest: header.id().into() };
        Guard::new(DOMAINS).check(&Request::Attestation { statement: &statement, header, ancestry }, &known)
    }

    #[test]
    fn r14_a_module_that_contradicts_itself_is_refused_and_stops_nothing() {
        let statement = Statement { domain: Domain::new([9; 32]), slot: 7, digest: Digest::new([1; 32]) };
        let known = |here| Known { here, ..Known::default() };
        let check = |statement: &Statement, known| Guard::new(DOMAINS).check(&Request::Service(statement), &known);
        assert_eq!(check(&statement, known(None)), Verdict::Safe);
        assert_eq!(check(&statement, known(Some(statement.digest))), Verdict::Same);
        let taken = check(&statement, known(Some(Digest::new([2; 32]))));
        assert_eq!(taken, Verdict::NotSafe(Danger::Taken));
        assert!(!Danger::Taken.stops());
        assert_eq!(check(&statement, known(Some(UNNAMED))), Verdict::NotSafe(Danger::Unnamed));
        let stopped = Known { stopped: true, ..Known::default() };
        assert_eq!(check(&statement, stopped), Verdict::NotSafe(Danger::Stopped));
        for own in [DOMAINS.ledger, DOMAINS.bitcoin, DOMAINS.claim, DOMAINS.order] {
            let reserved = Statement { domain: own, ..statement };
            assert_eq!(check(&reserved, known(None)), Verdict::NotSafe(Danger::Misfit));
        }
    }

    #[test]
    fn r21_a_succession_leaves_out_nothing_that_was_attested_and_is_the_last_signature() {
        let (last, proof) = header(9, 7, A);
        let (_, other) = header(9, 7, B);
        let first = Header { chain: ChainId::new([8; 32]), height: Height::new(10), parent: last.id(), ..last };
        let ask = |first: &Header, ancestry: Option<&Ancestry>, known: Known| {
            let statement = Statement { domain: DOMAINS.succession, slot: 1, digest: first.id().into() };
            let request = Request::Succession { statement: &statement, first, last: &last, ancestry };
            Guard::new(DOMAINS).check(&request, &known)
        };
        let newest = |slot, digest: Digest| Known { newest: Some((slot, digest)), ..Known::default() };
        let refused = |danger| Verdict::NotSafe(danger);
        assert_eq!(ask(&first, None, Known::default()), Verdict::Safe, "nothing was attested");
        assert_eq!(ask(&first, None, newest(9, last.id().into())), Verdict::Safe);
        assert_eq!(ask(&first, Some(&proof), newest(7, A.into())), Verdict::Safe);
        assert_eq!(ask(&first, None, newest(9, B.into())), refused(Danger::Fork));
        assert_eq!(ask(&first, Some(&proof), newest(7, B.into())), refused(Danger::Fork));
        assert_eq!(ask(&first, None, newest(7, A.into())), refused(Danger::Unproven));
        assert_eq!(ask(&first, Some(&other), newest(7, B.into())), refused(Danger::Unproven), "of another state");
        assert_eq!(ask(&first, None, newest(10, A.into())), refused(Danger::Behind), "it would be left out");
        assert_eq!(ask(&first, None, newest(9, UNNAMED)), refused(Danger::Unnamed));
        let strays = [
            Header { chain: CHAIN, ..first },
            Header { parent: A, ..first },
            Header { height: Height::new(11), ..first },
        ];
        for stray in strays {
            assert_eq!(ask(&stray, None, Known::default()), refused(Danger::Misfit));
        }
        let done = Known { here: Some(first.id().into()), succeeded: true, ..newest(9, last.id().into()) };
        assert_eq!(ask(&first, None, done), Verdict::Same);
        let second = Header { items_root: Hash::new([1; 32]), ..first };
        assert_eq!(ask(&second, None, done), refused(Danger::Conflict));
        assert_eq!(ask(&second, None, Known { here: None, ..done }), refused(Danger::Conflict), "in another slot");
        // The old network goes on without us.
        let (next, ancestry) = header(10, 9, last.id());
        assert_eq!(attest(&next, Some(&ancestry), Known { here: None, ..done }), refused(Danger::Succeeded));
        let ballot = Ballot {
            chain: CHAIN,
            operator: OperatorId::ZERO,
            height: Height::new(10),
            round: 0,
            step: Step::Prevote,
            block: None,
            valid_round: None,
        };
        let known = Known { succeeded: true, ..Known::default() };
        assert_eq!(Guard::new(DOMAINS).check(&Request::Ballot(&ballot), &known), refused(Danger::Succeeded));
    }

    #[test]
    fn r16_only_what_extends_the_block_attested_last_is_attested() {
        let newest = |slot, id: BlockId| Known { newest: Some((slot, id.into())), ..Known::default() };
        let ((ours, proof), (fork, other)) = (header(9, 7, A), header(9, 7, B));
        assert_eq!(attest(&ours, None, Known::default()), Verdict::Safe, "the first of all");
        assert_eq!(attest(&ours, Some(&proof), newest(7, A)), Verdict::Safe);
        assert_eq!(attest(&fork, Some(&other), newest(7, A)), Verdict::NotSafe(Danger::Fork));
        assert_eq!(attest(&ours, None, newest(7, A)), Verdict::NotSafe(Danger::Unproven));
        assert_eq!(attest(&ours, Some(&other), newest(7, A)), Verdict::NotSafe(Danger::Unproven), "of another state");
        assert_eq!(attest(&ours, Some(&proof), newest(8, A)), Verdict::NotSafe(Danger::Unproven), "of another height");
        assert_eq!(attest(&ours, Some(&proof), newest(10, A)), Verdict::NotSafe(Danger::Behind));
        let stopped = Known { stopped: true, ..newest(7, A) };
        assert_eq!(attest(&ours, Some(&proof), stopped), Verdict::NotSafe(Danger::Stopped));
        assert!(Danger::Fork.stops() && Danger::Conflict.stops());
        assert!(!Danger::Unproven.stops() && !Danger::Behind.stops() && !Danger::Voted.stops());
    }

    #[test]
    fn r16_a_slot_holds_one_digest_and_the_same_again_is_honest() {
        let (header, _) = header(7, 5, A);
        let signed = |digest: Digest| Known { here: Some(digest), newest: Some((9, A.into())), ..Known::default() };
        assert_eq!(attest(&header, None, signed(header.id().into())), Verdict::Same, "published again");
        assert_eq!(attest(&header, None, signed(B.into())), Verdict::NotSafe(Danger::Conflict));
        let beside = |digest: Digest| Known { beside: Some(digest), ..Known::default() };
        assert_eq!(attest(&header, None, beside(header.id().into())), Verdict::Safe);
        assert_eq!(attest(&header, None, beside(B.into())), Verdict::NotSafe(Danger::Conflict));
    }

    #[test]
    fn r19_a_checkpoint_holds_one_digest() {
        let vote = |domain, slot, known: Known| {
            let statement = Statement { domain, slot, digest: A.into() };
            Guard::new(DOMAINS).check(&Request::FinalityVote { statement: &statement, lineage: None }, &known)
        };
        let (bitcoin, nothing) = (DOMAINS.bitcoin, Known::default());
        assert_eq!(vote(bitcoin, 10, nothing), Verdict::Safe);
        assert_eq!(vote(bitcoin, 11, nothing), Verdict::NotSafe(Danger::Misfit), "no checkpoint");
        assert_eq!(vote(DOMAINS.ledger, 10, nothing), Verdict::NotSafe(Danger::Misfit));
        assert_eq!(vote(bitcoin, 10, Known { here: Some(A.into()), ..nothing }), Verdict::Same);
        assert_eq!(vote(bitcoin, 10, Known { here: Some(B.into()), ..nothing }), Verdict::NotSafe(Danger::Conflict));
        assert_eq!(vote(bitcoin, 10, Known { beside: Some(A.into()), ..nothing }), Verdict::Safe);
        assert_eq!(vote(bitcoin, 10, Known { beside: Some(B.into()), ..nothing }), Verdict::NotSafe(Danger::Conflict));
        let voted = Known { newest: Some((5, B.into())), ..nothing };
        assert_eq!(vote(bitcoin, 10, voted), Verdict::NotSafe(Danger::Unproven), "on which chain is it?");
        assert_eq!(vote(bitcoin, 10, Known { here: Some(A.into()), ..voted }), Verdict::Same, "published again");
    }

    /// A block at `height` whose state names two others, and the proofs of both.
    fn above(height: u64, [one, other]: [(u64, BlockId); 2]) -> (Header, [RowProof; 2]) {
        let paths = [one, other].map(|(height, _)| RowKey::Block(Height::new(height)).path());
        let leaves = [one, other]
            .map(|(height, id)| leaf(&RowKey::Block(Height::new(height)).path(), &Row::Block(id).value_hash()));
        let shared = (0..256).take_while(|depth| bit(&paths[0], *depth) == bit(&paths[1], *depth)).count();
        let mut root = match bit(&paths[0], shared) {
            false => inner(&leaves[0], &leaves[1]),
            true => inner(&leaves[1], &leaves[0]),
        };
        for depth in (0..shared).rev() {
            root = if bit(&paths[0], depth) { inner(&EMPTY, &root) } else { inner(&root, &EMPTY) };
        }
        let proof = |sibling: Hash| {
            let siblings: Vec<Hash> = (0..shared).map(|_| EMPTY).chain([sibling]).collect();
            RowProof { siblings: siblings.try_into().unwrap(), terminal: Terminal::Found }
        };
        let (mut header, _) = header(height, one.0, one.1);
        header.state_root = root;
        (header, [proof(leaves[1]), proof(leaves[0])])
    }

    #[test]
    fn r16_only_checkpoints_of_the_chain_voted_for_last_are_voted_for() {
        let vote = |slot, digest: BlockId, lineage: &Lineage, newest: (u64, BlockId)| {
            let statement = Statement { domain: DOMAINS.bitcoin, slot, digest: digest.into() };
            let known = Known { newest: Some((newest.0, newest.1.into())), ..Known::default() };
            Guard::new(DOMAINS).check(&Request::FinalityVote { statement: &statement, lineage: Some(lineage) }, &known)
        };
        // The checkpoint is the newest block, and names the one voted for last.
        let own = |named: BlockId| {
            let (header, ancestry) = header(10, 5, named);
            Lineage { header, checkpoint: None, last: Height::new(5), named, proof: Some(ancestry.proof) }
        };
        let (ours, fork) = (own(A), own(B));
        assert_eq!(vote(10, ours.header.id(), &ours, (5, A)), Verdict::Safe);
        assert_eq!(vote(10, fork.header.id(), &fork, (5, A)), Verdict::NotSafe(Danger::Fork));
        let unproven = Verdict::NotSafe(Danger::Unproven);
        assert_eq!(vote(10, fork.header.id(), &ours, (5, A)), unproven, "it is of another checkpoint");
        assert_eq!(vote(15, ours.header.id(), &ours, (5, A)), unproven, "at another height");
        assert_eq!(vote(10, ours.header.id(), &ours, (0, A)), unproven, "not about what was voted for last");
        let lied = Lineage { named: A, ..fork.clone() };
        assert_eq!(vote(10, fork.header.id(), &lied, (5, A)), unproven, "its state names another block");
        let unnamed = Lineage { proof: None, ..ours.clone() };
        assert_eq!(vote(10, ours.header.id(), &unnamed, (5, A)), unproven);
        let mut elsewhere = ours.clone();
        elsewhere.header.chain = ChainId::new([9; 32]);
        assert_eq!(vote(10, elsewhere.header.id(), &elsewhere, (5, A)), unproven, "another network's block");

        let (early, ancestry) = header(5, 10, A);
        let (last, proof) = (Height::new(10), Some(ancestry.proof));
        let early = Lineage { header: early, checkpoint: None, last, named: A, proof };
        assert_eq!(vote(5, early.header.id(), &early, (10, A)), unproven, "no state names a block above its own");

        // The chain has gone on: a later block names both, whichever of them is higher.
        for (slot, last) in [(10, 5), (5, 10)] {
            let (header, [checkpoint, proof]) = above(12, [(slot, A), (last, B)]);
            let checkpoint = Some(checkpoint);
            let lineage = Lineage { header, checkpoint, last: Height::new(last), named: B, proof: Some(proof) };
            assert_eq!(vote(slot, A, &lineage, (last, B)), Verdict::Safe, "a late slot may be filled in (R22)");
            assert_eq!(vote(slot, A, &lineage, (last, A)), Verdict::NotSafe(Danger::Fork));
            assert_eq!(vote(slot, B, &lineage, (last, B)), unproven);
        }
        // A late slot, while the block voted for last is the newest there is.
        let (header, ancestry) = header(10, 5, A);
        let (last, named) = (header.height, header.id());
        let lineage = Lineage { header, checkpoint: Some(ancestry.proof), last, named, proof: None };
        assert_eq!(vote(5, A, &lineage, (10, named)), Verdict::Safe);
        assert_eq!(vote(5, A, &lineage, (10, B)), Verdict::NotSafe(Danger::Fork));
    }

    #[test]
    fn r16_an_orders_number_holds_one_digest_of_its_own_network() {
        let order = Order {
            number: 7,
            epoch: Epoch::new(2),
            chain: DOMAINS.chain,
            contract: Address::new([1; 20]),
            evm_chain_id: 1,
            case: CaseId::new([2; 32]),
            operator: OperatorId::new([3; 20]),
            service: ServiceId::ZERO,
            adapter: Address::new([4; 20]),
            wad: Wad::new(5),
            capture: 6,
            expiry: 7,
        };
        let check = |order: Order, here: Option<Digest>| {
            let known = Known { here, ..Known::default() };
            Guard::new(DOMAINS).check(&Request::Numbered(&Numbered::Order(order)), &known)
        };
        assert_eq!(check(order, None), Verdict::Safe);
        assert_eq!(check(order, Some(order.digest())), Verdict::Same);
        let more = Order { wad: Wad::new(6), ..order };
        assert_eq!(check(more, Some(order.digest())), Verdict::NotSafe(Danger::Conflict));
        assert_eq!(check(Order { number: 0, ..order }, None), Verdict::NotSafe(Danger::Misfit));
        let elsewhere = Order { chain: ChainId::new([9; 32]), ..order };
        assert_eq!(check(elsewhere, None), Verdict::NotSafe(Danger::Misfit));
    }

    #[test]
    fn r16_a_claims_number_holds_one_digest_and_numbers_may_come_in_any_order() {
        let claim = Claim {
            number: 7,
            epoch: Epoch::new(1),
            vault: palisade_types::ids::VaultId { txid: Hash::new([1; 32]), output: 0 },
            operator: OperatorId::new([2; 20]),
            sats: palisade_types::units::Sats::new(9),
            until: 10,
            block: Hash::new([3; 32]),
            height: 4,
            revoked: false,
        };
        let check =
            |claim: &Claim, known| Guard::new(DOMAINS).check(&Request::Numbered(&Numbered::Claim(*claim)), &known);
        let signed = |digest| Known { here: Some(digest), ..Known::default() };
        assert_eq!(check(&claim, Known::default()), Verdict::Safe);
        assert_eq!(check(&claim, Known { newest: Some((8, B.into())), ..Known::default() }), Verdict::Safe);
        assert_eq!(check(&claim, signed(claim.digest())), Verdict::Same);
        let revoked = Claim { revoked: true, ..claim };
        assert_eq!(check(&revoked, signed(claim.digest())), Verdict::NotSafe(Danger::Conflict));
        assert_eq!(check(&Claim { number: 0, ..claim }, Known::default()), Verdict::NotSafe(Danger::Misfit));
        let stopped = Known { stopped: true, ..Known::default() };
        assert_eq!(check(&claim, stopped), Verdict::NotSafe(Danger::Stopped));
    }

    #[test]
    fn r18_a_height_round_and_step_holds_one_ballot() {
        let ballot = |height, block: Option<BlockId>| Ballot {
            chain: CHAIN,
            operator: OperatorId::new([4; 20]),
            height: Height::new(height),
            round: 1,
            step: Step::Precommit,
            block,
            valid_round: None,
        };
        let check = |ballot: &Ballot, known| Guard::new(DOMAINS).check(&Request::Ballot(ballot), &known);
        let ours = ballot(7, Some(A));
        let signed = Known { here: Some(ballot_digest(&ours)), ..Known::default() };
        let highest = |height| Known { newest: Some((height, Digest::ZERO)), ..Known::default() };
        assert_eq!(check(&ours, Known::default()), Verdict::Safe);
        assert_eq!(check(&ours, signed), Verdict::Same);
        assert_eq!(check(&ballot(7, Some(B)), signed), Verdict::NotSafe(Danger::Voted));
        assert_eq!(check(&ballot(7, None), signed), Verdict::NotSafe(Danger::Voted));
        assert_eq!(check(&ours, highest(7)), Verdict::Safe);
        assert_eq!(check(&ours, highest(8)), Verdict::NotSafe(Danger::Behind));
        let elsewhere = Ballot { chain: ChainId::new([9; 32]), ..ours };
        assert_eq!(check(&elsewhere, Known::default()), Verdict::NotSafe(Danger::Misfit));
    }

    #[test]
    fn a_request_whose_parts_are_not_of_one_block_is_refused() {
        let (header, _) = header(7, 5, A);
        let check = |domain, slot, digest| {
            let statement = Statement { domain, slot, digest };
            let request = Request::Attestation { statement: &statement, header: &header, ancestry: None };
            Guard::new(DOMAINS).check(&request, &Known::default())
        };
        let misfit = Verdict::NotSafe(Danger::Misfit);
        assert_eq!(check(DOMAINS.ledger, 7, header.id().into()), Verdict::Safe);
        assert_eq!(check(DOMAINS.bitcoin, 7, header.id().into()), misfit);
        assert_eq!(check(DOMAINS.ledger, 8, header.id().into()), misfit);
        assert_eq!(check(DOMAINS.ledger, 7, B.into()), misfit);
    }
}
