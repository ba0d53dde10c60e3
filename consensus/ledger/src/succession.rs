//! How a network goes on from another (R21).
//!
//! Recovery is a succession, never a second signature. The successor has a chain id of its own, since its genesis names the block
//! from which it goes on, so that nothing that was signed before means anything in it, and nothing signed in it means anything
//! before. It begins with the state after that block, in the next epoch, with the parameters of its own genesis:
//!
//! - kept are operators with their keys (R12), convictions, jails and records; positions, prices and vaults; cases with their
//!   orders, under the chain ids they were opened under (R25); every block's id, every committee and the first height of every
//!   epoch, by which evidence of the networks before is still judged;
//! - nonces that were promised (R19) are put aside: they open signatures of the network before. In this one a finality key
//!   promises anew, so that a successor's first committee counts no bitcoin, and a run of checkpoints starts again, visibly (R2);
//! - slots that waited for supplements are over (R20), nobody missed them;
//! - members of the committee before whom genesis gives no seat are jailed: this is how operators who are gone for good are left
//!   behind. Their stake stays where it is and can be taken as before.
//!
//! The first block holds nothing. Its header, whose parent is the old network's block, names the first committee as a boundary
//! block's does, and its id is what the committee before attests in the domain `succession`: one digest says chain id, parent,
//! state and committee. That certificate is what makes it final (R10), and Committee.sol says whether it holds
//! (`verifySuccession`).
//!
//! What this cannot do: when more than a third of the ETH-side stake itself is gone, nobody can certify a successor. What remains
//! then is a new network by agreement among people, which begins with nothing: a weaker true statement.

use crate::committee;
use crate::invalid::Invalid;
use crate::ledger::Ledger;
use crate::root::Tree;
use crate::rows::Rows;
use crate::stored::Stored;
use palisade_types::block::HEADER_VERSION;
use palisade_types::epoch::{EpochState, FinalBlock, Finality};
use palisade_types::row::EarlierId;
use palisade_types::{
    Block, ChainId, Digest, Domain, DomainKind, Genesis, Header, List, OperatorId, Row, RowKey, Statement,
};
use std::sync::Arc;

/// What the committee before attests, so that `successor` goes on from it: `first` is its first block.
#[must_use]
pub fn statement(successor: &Genesis, first: &Header) -> Option<(ChainId, Statement)> {
    let continues = successor.continues.as_ref()?;
    let chain = continues.block.chain;
    let domain = Domain::own(&chain, &successor.contracts.palisade, DomainKind::Succession);
    Some((chain, Statement { domain, slot: continues.count(), digest: Digest::from(first.id()) }))
}

impl Ledger {
    /// The successor's first block and the state after it, made of the state of the network before: all rows after the block that
    /// its genesis names, which prove themselves against that block's header.
    ///
    /// # Errors
    ///
    /// [`Invalid::Refused`] says what no successor can be: of other rows, with seats for people nobody knows, or with a first
    /// committee that nobody could rely on.
    pub fn succeed(
        genesis: Arc<Genesis>,
        rows: impl IntoIterator<Item = (RowKey, Row)>,
    ) -> Result<(Block, Self), Invalid> {
        let continues = genesis.continues.clone().ok_or(Invalid::Refused("a genesis that continues nothing"))?;
        let before = continues.block;
        let joined = Stored::join(vec![Stored::of(rows)]).filter(|(_, tree)| tree.root() == before.state_root);
        let (rows, _) = joined.ok_or(Invalid::Refused("rows of another state than the block's"))?;
        let parent = FinalBlock { height: before.height, id: before.id() };
        let mut base = Self::assemble(genesis, parent, Rows::default(), Tree::default());
        base.rows = rows.into_iter().filter_map(|(key, row)| carried(before.chain, key, row)).collect();
        base.leave_behind()?;
        let next = committee::draw(base.state(), parent.height.next());
        if !next.has_weight() {
            return Err(Invalid::Refused("a successor whose first committee has no weight"));
        }
        let header = base.begin(next, parent);
        let items = List::new();
        let head = FinalBlock { height: header.height, id: header.id() };
        let ledger = Self::restore(base.genesis_of().clone(), head, std::mem::take(&mut base.rows))?;
        Ok((Block { header, items }, ledger))
    }

    /// Jails the members of the committee before who have no seat.
    fn leave_behind(&mut self) -> Result<(), Invalid> {
        let seats = &self.genesis_of().seats;
        if seats.iter().any(|seat| self.operator(&seat.operator).is_none()) {
            return Err(Invalid::Refused("a seat for somebody who was never registered"));
        }
        let stays = |id: &OperatorId| seats.binary_search_by_key(id, |seat| seat.operator).is_ok();
        let members = self.committee().members.iter();
        let gone: Vec<_> = members.map(|member| member.operator).filter(|id| !stays(id)).collect();
        let since = self.head().height.next();
        for id in gone {
            if let Some(Row::Operator(operator)) = self.rows.get_mut(&RowKey::Operator(id)) {
                operator.jailed = operator.jailed.or(Some(since));
            }
        }
        Ok(())
    }

    /// Lets the next committee take office, and makes the header that says so.
    fn begin(&mut self, next: palisade_types::certificate::Committee, parent: FinalBlock) -> Header {
        let (height, closed) = (parent.height.next(), self.epoch().epoch);
        let next_committee = next.hash(&self.chain());
        let state = EpochState { epoch: next.epoch, first: height.next(), boundary: None };
        let rows = [
            (RowKey::Block(parent.height), Row::Block(parent.id)),
            (RowKey::Committee(next.epoch), Row::Committee(next)),
            (RowKey::Epoch, Row::Epoch(state)),
            (RowKey::EpochFirst(state.epoch), Row::EpochFirst(state.first)),
            // What is final before it is so under the network before; the block itself cannot name its own id.
            (RowKey::Finality, Row::Finality(Finality { ether: Some(parent), bitcoin: None, run: None })),
        ];
        for (key, row) in rows {
            self.rows.insert(key, row);
        }
        let hashed = self.rows.iter().map(|(key, row)| (key.path(), row.value_hash())).collect();
        Header {
            version: HEADER_VERSION,
            chain: self.chain(),
            height,
            epoch: closed,
            parent: parent.id,
            items_root: Block::items_root(&List::new()),
            state_root: Tree::build(hashed).root(),
            next_committee,
        }
    }
}

/// A row as the successor keeps it; `None` for what ends with the network before.
fn carried(chain: ChainId, key: RowKey, row: Row) -> Option<(RowKey, Row)> {
    match (key, row) {
        (RowKey::Roll(_), _) => None,
        (RowKey::Randomness(promise), Row::Randomness(commitment)) => {
            Some((RowKey::Earlier(EarlierId { chain, promise }), Row::Earlier(commitment)))
        }
        kept => Some(kept),
    }
}
