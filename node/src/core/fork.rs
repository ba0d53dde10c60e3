//! A chain that is not ours: attestations of other blocks than those that stand in our ledger.
//!
//! A third that forgets what it attested can make a second chain without signing twice in any slot (R1). Each side then holds
//! half of the proof. So whoever hears of another chain tells what everybody attested of his own, and whoever hears that shows, by
//! the state of a block of his own which the same operator attested later, that it builds on another.

use super::{Action, Core};
use crate::message::Message;
use palisade_types::attestation::Attestation;
use palisade_types::evidence::{AncestorFault, Evidence};
use palisade_types::ids::{Hash, OperatorId};
use palisade_types::row::RowKey;
use palisade_types::units::Height;
use std::collections::BTreeSet;

/// What is known of another chain.
#[derive(Debug, Default)]
pub(super) struct Fork {
    /// Who attested blocks that are not ours.
    strayed: BTreeSet<OperatorId>,
    /// Whether everybody was told of ours since our own messages were repeated last.
    told: bool,
    /// The head at that time.
    stood: Height,
}

impl Core {
    /// An attestation was heard, for the first time if `is_new`. Looks whether it speaks of another chain, and whether its
    /// operator, who did before, speaks of ours now.
    pub(super) fn look_for_fork(&mut self, attestation: &Attestation, is_new: bool) {
        if self.strays(attestation) {
            self.fork.strayed.insert(attestation.operator);
            self.tell_of_ours(attestation.statement.slot);
        }
        if is_new && self.fork.strayed.contains(&attestation.operator) {
            self.accuse_of_amnesia(attestation.operator);
        }
    }

    /// Whether another block than the attested one stands at that height in our ledger.
    fn strays(&self, attestation: &Attestation) -> bool {
        let ours = self.ledger.block_id(Height::new(attestation.statement.slot));
        ours.is_some_and(|ours| attestation.statement.digest != ours.into())
    }

    /// Repeats what everybody attested last of our chain up to a slot, so that those on the other one, who may be no further, can
    /// prove who attested both.
    pub(super) fn tell_of_ours(&mut self, slot: u64) {
        if std::mem::replace(&mut self.fork.told, true) {
            return;
        }
        self.tell_certificate(slot);
        for operator in self.ledger.operators() {
            let known = |said: &Attestation| said.statement.slot <= slot && !self.strays(said);
            let ours = self.attestations_by(&operator.id).find(known);
            self.actions.extend(ours.map(|said| Action::Publish(Message::Attestation(said))));
        }
    }

    fn accuse_of_amnesia(&mut self, operator: OperatorId) {
        if self.convicted(&operator) {
            self.fork.strayed.remove(&operator);
        } else if let Some(fault) = self.amnesia(&operator) {
            self.accuse(Evidence::Ancestor(Box::new(fault)));
        }
    }

    /// The proof, if it can be made here, that an operator attested a block that is not ours and later one of ours.
    fn amnesia(&self, operator: &OperatorId) -> Option<AncestorFault> {
        // The newest of ours whose state is at hand.
        let (recent, later) = self.recent.iter().rev().find_map(|(height, recent)| {
            let here = |said: &Attestation| said.statement.slot == height.get() && !self.strays(said);
            Some((recent, self.attestations_by(operator).find(here)?))
        })?;
        let before = |said: &Attestation| said.statement.slot < later.statement.slot && self.strays(said);
        let earlier = self.attestations_by(operator).find(before)?;
        let height = Height::new(earlier.statement.slot);
        Some(AncestorFault {
            operator: *operator,
            domain: earlier.statement.domain,
            slot: height.get(),
            first: (earlier.statement.digest, earlier.signature),
            header: recent.header,
            second: later.signature,
            named: Hash::new(*self.ledger.block_id(height)?.as_bytes()),
            proof: recent.tree.as_ref()?.prove(&RowKey::Block(height).path()),
        })
    }

    fn attestations_by(&self, operator: &OperatorId) -> impl Iterator<Item = Attestation> {
        self.tally.by(&self.ledger.domains().ledger, operator)
    }

    /// Our own messages are about to be repeated: whether the head stands where it stood the last time. Whoever stands still
    /// says his newest certified word again too; on another chain it is news.
    pub(super) fn stands_still(&mut self) -> bool {
        self.fork.told = false;
        let head = self.ledger.head().height;
        std::mem::replace(&mut self.fork.stood, head) == head
    }

    /// Forgets those of whom nothing is left to be proven.
    pub(super) fn forget_strayed(&mut self) {
        let mut strayed = std::mem::take(&mut self.fork.strayed);
        strayed.retain(|operator| self.attestations_by(operator).any(|said| self.strays(&said)));
        self.fork.strayed = strayed;
    }
}
