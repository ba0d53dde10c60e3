//! Signatures of our own key, met on the network or in a block (R20).
//!
//! Whether one is ours is the signer's to say: it holds a record of everything it ever signed. Here they are only found, and only
//! those that verify: anybody can write a signature that does not. In a certificate the committee's key names us, so that what a
//! doppelganger signed while we were away is met too, when we sync.

use super::finality::Early;
use super::{Action, Core};
use crate::doppelganger::SaidLast;
use crate::message::Message;
use crate::signer::{Met, OwnKey, SignedLast};
use palisade_types::attestation::Statement;
use palisade_types::block::Item;
use palisade_types::canonical::List;
use palisade_types::chain::ChainKind;
use palisade_types::ids::OperatorId;
use palisade_types::operator::Operator;
use palisade_types::units::{Epoch, Height};

impl Core {
    /// A signature of ours under the committee of `epoch` verified. Asks the signer whether he made it.
    pub(super) fn meet(&mut self, statement: Statement, epoch: Epoch) {
        let Some(committee) = self.ledger.committee_of(epoch) else { return };
        let Some((_, seat)) = committee.seat(&self.own) else { return };
        let is_vote = statement.domain == self.ledger.domains().bitcoin;
        let key = if is_vote { OwnKey::Eots(seat.eots) } else { OwnKey::Bls(seat.bls) };
        let is_block = is_vote || statement.domain == self.ledger.domains().ledger;
        let known = is_block.then(|| self.anchor_in(Height::new(statement.slot))).flatten();
        let anchor = known.unwrap_or(committee.ethereum.number);
        self.actions.push(Action::Met(Box::new(Met { statement, key, anchor: Some(anchor) })));
    }

    /// A signature in our name about a block that we have not committed: only one by our standing key counts, and no anchor is known.
    pub(super) fn meet_early(&mut self, early: &Early) {
        if early.operator() != self.own {
            return;
        }
        let Some(own) = self.ledger.operator(&self.own) else { return };
        let Some(row) = own.keys_now() else { return };
        let now =
            Operator { keys: List::try_from(vec![row.clone()]).expect("one row is no more than many"), ..own.clone() };
        let (chain, interval) = (self.ledger.chain(), self.ledger.domains().interval);
        let met = match early {
            Early::Attestation(heard) if heard.attestation().signed_by(&chain, &now) => {
                Met { statement: heard.attestation().statement, key: OwnKey::Bls(row.bls), anchor: None }
            }
            Early::Vote(said) if said.signed_by(&chain, &now, interval) => {
                Met { statement: said.statement, key: OwnKey::Eots(row.eots), anchor: None }
            }
            _ => return,
        };
        self.actions.push(Action::Met(Box::new(met)));
    }

    /// Meets ourselves in the certificates of a block that was just committed.
    pub(super) fn meet_in(&mut self, items: &[Item]) {
        for item in items {
            let (statement, height) = match item {
                Item::EtherFinal(certificate) => (certificate.statement(), Height::new(certificate.slot)),
                Item::BitcoinFinal(certificate) => (certificate.statement(), Height::new(certificate.slot)),
                _ => continue,
            };
            let Some(epoch) = self.ledger.epoch_of(height) else { continue };
            let seat = self.ledger.committee_of(epoch).and_then(|committee| committee.seat(&self.own));
            let named = seat.is_some_and(|(index, _)| match item {
                Item::EtherFinal(certificate) => certificate.names(index),
                Item::BitcoinFinal(certificate) => {
                    certificate.votes.iter().any(|vote| usize::from(vote.member) == index)
                }
                _ => false,
            });
            if named {
                self.meet(statement, epoch);
            }
        }
    }

    /// What an operator said last about finality, as far as it is known here and still open.
    #[must_use]
    pub fn said_last(&self, operator: &OperatorId) -> SaidLast {
        let attestation = self.tally.newest(&self.ledger.domains().ledger, operator).map(Message::Attestation);
        let vote = self.tally.newest_vote(operator).map(|vote| Message::Vote(Box::new(vote.clone())));
        attestation.into_iter().chain(vote).collect::<Vec<_>>().try_into().expect("two at most")
    }

    /// The signer recorded a signature of ours that its records had lost (R20): what is signed next builds on it.
    pub fn learned(&mut self, signed: SignedLast) {
        self.signed = signed;
    }

    /// The Ethereum anchor in the state of the block at `height`, while it is known.
    fn anchor_in(&self, height: Height) -> Option<u64> {
        if height == self.ledger.head().height {
            return Some(self.ledger.anchor(ChainKind::Ethereum).number);
        }
        self.recent.get(&height).map(|recent| recent.anchor)
    }
}
