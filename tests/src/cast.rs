//! Who plays in a world: honest operators, and villains by name.

use palisade_agreement::ballot::{Ballot, SignedBallot, Step};
use palisade_crypto::eots;
use palisade_ledger::fixture::OperatorKeys;
use palisade_node::message::Message;
use palisade_types::attestation::{Attestation, FinalityVote, Statement};
use palisade_types::evidence::Domains;
use palisade_types::ids::{BlockId, BlsSignature, Digest, Ed25519Signature, Hash};
use palisade_types::units::Height;

/// How an operator behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Runs what we ship.
    #[default]
    Honest,
    /// Runs it, and signs the opposite beside it.
    Equivocator(Equivocator),
    /// Runs it, and tells half of the others nothing: others at each height.
    Withholder,
    /// Runs it on two machines with the same keys, of which each knows nothing of the other.
    Twin,
}

impl From<Equivocator> for Role {
    fn from(villain: Equivocator) -> Self {
        Self::Equivocator(villain)
    }
}

/// An operator who signs two things in one slot. His core and his guard are honest; the second signatures are made
/// behind their back with the same keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Equivocator {
    from: Height,
    fault: Fault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Stake,
    Checkpoints,
    Ballots,
}

impl Equivocator {
    /// At the first checkpoint from height `from` on that he votes for, his BLS key attests another block too, and his
    /// EOTS key votes for it. Both stakes are at risk: two domains, two cases (R25).
    #[must_use]
    pub const fn of_stake(from: u64) -> Self {
        Self { from: Height::new(from), fault: Fault::Stake }
    }

    /// At each checkpoint from height `from` on his EOTS key votes for another block too. His bitcoin is at risk, and nothing
    /// else is where it stands alone (R22).
    #[must_use]
    pub const fn of_checkpoints(from: u64) -> Self {
        Self { from: Height::new(from), fault: Fault::Checkpoints }
    }

    /// From height `from` on he sends about half of the others another prevote and precommit than the rest. That jails
    /// and takes nothing (R18).
    #[must_use]
    pub const fn of_ballots(from: u64) -> Self {
        Self { from: Height::new(from), fault: Fault::Ballots }
    }

    /// Whether stake is what he loses.
    #[must_use]
    pub fn risks_stake(&self) -> bool {
        self.fault != Fault::Ballots
    }

    /// What he says beside one of his own messages, each time he says it.
    #[must_use]
    pub fn aside(&self, keys: &OperatorKeys, domains: &Domains, message: &Message) -> Vec<Message> {
        match message {
            Message::Vote(vote) if self.risks_stake() && vote.statement.slot >= self.from.get() => {
                let other = other_vote(keys, domains, vote);
                if self.fault == Fault::Checkpoints {
                    return vec![Message::Vote(Box::new(other))];
                }
                let (slot, domain) = (vote.statement.slot, domains.ledger);
                let attest = |digest| attest(keys, domains, Statement { domain, slot, digest });
                vec![
                    Message::Attestation(attest(other.statement.digest)),
                    Message::Attestation(attest(vote.statement.digest)),
                    Message::Vote(Box::new(other)),
                ]
            }
            _ => Vec::new(),
        }
    }

    /// His other vote in the slot of `ballot`.
    #[must_use]
    pub fn second_face(&self, keys: &OperatorKeys, ballot: &SignedBallot) -> Option<SignedBallot> {
        let ballot = ballot.ballot;
        if self.fault != Fault::Ballots || ballot.height < self.from || ballot.step == Step::Propose {
            return None;
        }
        let block = if ballot.block.is_some() { None } else { Some(BlockId::new(*OTHER.as_bytes())) };
        let other = Ballot { block, ..ballot };
        let signature = Ed25519Signature::new(keys.ed25519.sign(&other.preimage()).0);
        Some(SignedBallot { ballot: other, signature })
    }
}

fn attest(keys: &OperatorKeys, domains: &Domains, statement: Statement) -> Attestation {
    let signature = keys.bls.sign(&statement.bls_message(&domains.chain));
    Attestation { statement, operator: keys.id, signature: BlsSignature::new(signature.to_bytes()) }
}

/// The same nonce under another digest: whoever sees both has the key.
fn other_vote(keys: &OperatorKeys, domains: &Domains, vote: &FinalityVote) -> FinalityVote {
    let statement = Statement { digest: OTHER, ..vote.statement };
    let nonce = eots::nonce(&keys.eots, domains.chain.as_bytes(), domains.bitcoin.as_bytes(), statement.slot);
    let signature = eots::sign(&keys.eots, &nonce, &statement.eots_message(&domains.chain));
    FinalityVote { statement, signature: Hash::new(signature.0), ..vote.clone() }
}

/// A block that nobody has ever seen.
const OTHER: Digest = Digest::new([0xee; 32]);
