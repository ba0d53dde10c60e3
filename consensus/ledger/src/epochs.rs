//! Epochs: when one is due to end, who sits in the next, and when it takes office (R4, R9, R10).
//!
//! The boundary block is the first at which the end is due. Its state draws the next committee and its header
//! names it. The epoch goes on until a block holds the boundary block's certificate: that block is its last. In
//! an epoch without weight nobody could certify (R6), and in a BTC-only network the engine's commit certificate stands in
//! (R22): there the boundary block itself is the last.

use crate::changes::Draft;
use crate::rows::Rows;
use crate::state::State;
use crate::{captures, committee, weights};
use palisade_types::certificate::Committee;
use palisade_types::chain::ChainKind;
use palisade_types::epoch::{Boundary, EpochState, Finality};
use palisade_types::{Epoch, Genesis, Hash, Height, Row, RowKey};

/// The rows of a ledger before its first block.
pub(crate) fn genesis_rows(genesis: &Genesis) -> Rows {
    let state = EpochState { epoch: Epoch::new(0), first: Height::new(1), boundary: None };
    let rows = [
        (RowKey::Anchor(ChainKind::Ethereum), Row::Anchor(genesis.ethereum_start)),
        (RowKey::Anchor(ChainKind::Bitcoin), Row::Anchor(genesis.bitcoin_start)),
        (RowKey::Epoch, Row::Epoch(state)),
        (RowKey::EpochFirst(state.epoch), Row::EpochFirst(state.first)),
        (RowKey::Finality, Row::Finality(Finality::default())),
        (RowKey::Committee(state.epoch), Row::Committee(committee::first(genesis))),
    ];
    rows.into_iter().collect()
}

/// Ends a block: draws the next committee when it is due, and changes the epoch when it is time. What comes back
/// stands in the header: the next committee's hash in a boundary block, else zero.
pub(crate) fn close(draft: &mut Draft<'_>) -> Hash {
    let mut epoch = *draft.state().epoch();
    let mut named = Hash::ZERO;
    if epoch.boundary.is_none() && epoch.epoch < Epoch::MAX && is_due(draft) {
        named = set_boundary(draft, &mut epoch);
    }
    let is_bitcoin_only = draft.parent.genesis_of().is_bitcoin_only();
    let by_commit = is_bitcoin_only || !draft.state().committee().has_weight();
    if epoch.boundary.is_some() && (draft.boundary_certified || by_commit) {
        advance(draft, epoch.epoch.next());
    }
    named
}

fn set_boundary(draft: &mut Draft<'_>, epoch: &mut EpochState) -> Hash {
    let next = committee::draw(draft.state(), draft.height);
    let next_committee = next.hash(&draft.parent.chain());
    epoch.boundary = Some(Boundary { height: draft.height, next_committee });
    captures::take(draft);
    draft.put(RowKey::Committee(next.epoch), Row::Committee(next));
    draft.put(RowKey::Epoch, Row::Epoch(*epoch));
    next_committee
}

fn advance(draft: &mut Draft<'_>, epoch: Epoch) {
    let first = draft.height.next();
    let state = EpochState { epoch, first, boundary: None };
    draft.put(RowKey::Epoch, Row::Epoch(state));
    draft.put(RowKey::EpochFirst(epoch), Row::EpochFirst(first));
}

/// Whether the epoch should end with this block: by heights, by either chain's blocks since the snapshot (R4), or
/// because weight left it before this block (R9).
fn is_due(draft: &Draft<'_>) -> bool {
    let state = draft.state();
    let parameters = &draft.parent.genesis_of().parameters;
    let heights = (draft.height.get() + 1).saturating_sub(state.epoch().first.get());
    let committee = state.committee();
    let (ethereum, bitcoin) = ages(state, committee);
    heights >= parameters.epoch_heights
        || ethereum >= parameters.epoch_ethereum_blocks
        || bitcoin >= parameters.epoch_bitcoin_blocks
        || has_convict(draft.parent.state(), committee)
        || has_lost_vaults(draft.parent.state(), committee)
}

/// How many blocks each chain's anchor is past the committee's snapshot.
pub(crate) fn ages(state: State<'_>, committee: &Committee) -> (u64, u64) {
    let since = |chain, snapshot| state.anchor(chain).number.saturating_sub(snapshot);
    (since(ChainKind::Ethereum, committee.ethereum.number), since(ChainKind::Bitcoin, committee.bitcoin.number))
}

/// Whether the committee can only hand over any more (R10), by the anchors of `state`.
pub(crate) fn is_past_age(state: State<'_>, committee: &Committee) -> bool {
    let (ethereum, bitcoin) = ages(state, committee);
    ethereum.max(bitcoin) > state.ledger.genesis_of().parameters.max_age_blocks
}

/// Whether a member with weight is convicted. A seat without weight has nothing to lose and waits for the
/// ordinary end; else an epoch that cannot replace its seats would end with every block.
fn has_convict(parent: State<'_>, committee: &Committee) -> bool {
    let mut members = committee.members.iter();
    members.any(|member| (member.ether > 0 || member.bitcoin > 0) && parent.is_convicted(&member.operator))
}

/// Whether more than a tenth of the committee's bitcoin is gone from its vaults (R9).
fn has_lost_vaults(parent: State<'_>, committee: &Committee) -> bool {
    let total = committee.total_bitcoin();
    if total == 0 {
        return false;
    }
    let left = weights::bitcoin_left(parent, committee);
    let left: u128 = left.into_iter().map(u128::from).sum();
    (total - left) * 10 > total
}
