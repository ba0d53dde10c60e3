//! How rows are read: the settled ones of a ledger, and over them those a draft has changed.

use crate::ledger::Ledger;
use palisade_types::certificate::Committee;
use palisade_types::chain::{ChainKind, ChainPoint};
use palisade_types::epoch::{EpochState, Finality, Roll};
use palisade_types::genesis::Asset;
use palisade_types::position::{Position, PositionId, StakeSource};
use palisade_types::price::{Price, Quote};
use palisade_types::randomness::RandomnessCommitment;
use palisade_types::row::{EarlierId, RandomnessId};
use palisade_types::{
    Address, BlockId, Case, CaseId, ChainId, Epoch, Hash, Height, MicroUsd, Operator, OperatorId, Row, RowKey,
    SchnorrKey, Suspension, Vault, VaultId,
};
use std::collections::{BTreeMap, BTreeSet};

/// Changed rows; `None` where a row was taken away.
pub(crate) type ChangedRows = BTreeMap<RowKey, Option<Row>>;

/// No changes.
pub(crate) static UNCHANGED: ChangedRows = ChangedRows::new();

/// The rows of a ledger with changes over them.
#[derive(Clone, Copy)]
pub(crate) struct State<'a> {
    /// Its rows, genesis and names.
    pub(crate) ledger: &'a Ledger,
    /// What stands instead.
    pub(crate) changed: &'a ChangedRows,
}

/// The first of all sources of stake, in the order of rows.
pub(crate) const FIRST_SOURCE: StakeSource = StakeSource::EigenLayer(Address::ZERO);

/// Genesis writes these rows and restoring a ledger checks that they are there.
const ALWAYS: &str = "every ledger has this row";

impl<'a> State<'a> {
    /// One row; blocks' are [`Self::block_id`]'s.
    pub(crate) fn row(self, key: &RowKey) -> Option<&'a Row> {
        debug_assert!(!matches!(key, RowKey::Block(_)));
        match self.changed.get(key) {
            Some(changed) => changed.as_ref(),
            None => self.ledger.settled(key),
        }
    }

    /// Every row from `start` on, by key ascending, but those of blocks.
    pub(crate) fn rows_from(self, start: RowKey) -> impl Iterator<Item = (&'a RowKey, &'a Row)> {
        let mut settled = self.ledger.settled_from(start).map(|(key, row)| (key, Some(row))).peekable();
        let changed = self.changed.range(start..).filter(|(key, _)| !matches!(key, RowKey::Block(_)));
        let mut changed = changed.map(|(key, row)| (key, row.as_ref())).peekable();
        let merged = std::iter::from_fn(move || {
            let (Some((old, _)), Some((new, _))) = (settled.peek(), changed.peek()) else {
                return settled.next().or_else(|| changed.next());
            };
            if old < new {
                return settled.next();
            }
            if old == new {
                settled.next(); // the change stands instead
            }
            changed.next()
        });
        merged.filter_map(|(key, row)| Some((key, row?)))
    }

    pub(crate) fn epoch(self) -> &'a EpochState {
        match self.row(&RowKey::Epoch) {
            Some(Row::Epoch(state)) => state,
            _ => unreachable!("{ALWAYS}"),
        }
    }

    pub(crate) fn finality(self) -> &'a Finality {
        match self.row(&RowKey::Finality) {
            Some(Row::Finality(finality)) => finality,
            _ => unreachable!("{ALWAYS}"),
        }
    }

    pub(crate) fn anchor(self, chain: ChainKind) -> &'a ChainPoint {
        match self.row(&RowKey::Anchor(chain)) {
            Some(Row::Anchor(point)) => point,
            _ => unreachable!("{ALWAYS}"),
        }
    }

    /// A chain's last suspension, over or not.
    pub(crate) fn suspension(self, chain: ChainKind) -> Option<&'a Suspension> {
        match self.row(&RowKey::Suspension(chain)) {
            Some(Row::Suspension(suspension)) => Some(suspension),
            _ => None,
        }
    }

    /// What Bitcoin's blocks ask of a transaction, satoshis per 1000 weight units (R28). It has a row from the first block on that
    /// asked anything.
    pub(crate) fn fee_rate(self) -> u64 {
        match self.row(&RowKey::FeeRate) {
            Some(Row::FeeRate(rate)) => *rate,
            _ => 0,
        }
    }

    /// The committee of the epoch the ledger is in.
    pub(crate) fn committee(self) -> &'a Committee {
        self.committee_of(self.epoch().epoch).expect(ALWAYS)
    }

    pub(crate) fn committee_of(self, epoch: Epoch) -> Option<&'a Committee> {
        match self.row(&RowKey::Committee(epoch)) {
            Some(Row::Committee(committee)) => Some(committee),
            _ => None,
        }
    }

    /// The newest committee drawn: the next one's while an epoch is closing.
    pub(crate) fn newest_committee(self) -> &'a Committee {
        let state = self.epoch();
        let next = state.boundary.map(|_| state.epoch.next());
        next.and_then(|epoch| self.committee_of(epoch)).unwrap_or_else(|| self.committee())
    }

    /// The epoch that `height` belongs to; `None` for genesis and for heights beyond the next block.
    pub(crate) fn epoch_of(self, height: Height) -> Option<Epoch> {
        if height > self.ledger.head().height.next() {
            return None;
        }
        let mut epoch = self.epoch().epoch;
        loop {
            match self.row(&RowKey::EpochFirst(epoch)) {
                Some(Row::EpochFirst(first)) if *first <= height => return Some(epoch),
                _ => epoch = Epoch::new(epoch.get().checked_sub(1)?),
            }
        }
    }

    /// The first height of an epoch that has begun.
    pub(crate) fn first_of(self, epoch: Epoch) -> Option<Height> {
        match self.row(&RowKey::EpochFirst(epoch)) {
            Some(Row::EpochFirst(first)) => Some(*first),
            _ => None,
        }
    }

    /// Slots that supplements may still name more signers of, ascending (R20).
    pub(crate) fn rolls(self) -> impl Iterator<Item = (Height, &'a Roll)> {
        self.rows_from(RowKey::Roll(Height::new(0))).map_while(|(key, row)| match (key, row) {
            (RowKey::Roll(slot), Row::Roll(roll)) => Some((*slot, roll)),
            _ => None,
        })
    }

    pub(crate) fn roll(self, slot: Height) -> Option<&'a Roll> {
        match self.row(&RowKey::Roll(slot)) {
            Some(Row::Roll(roll)) => Some(roll),
            _ => None,
        }
    }

    pub(crate) fn block_id(self, height: Height) -> Option<BlockId> {
        match self.changed.get(&RowKey::Block(height)) {
            Some(Some(Row::Block(id))) => Some(*id),
            Some(_) => None,
            None => self.ledger.rows.block(height),
        }
    }

    pub(crate) fn operator(self, id: &OperatorId) -> Option<&'a Operator> {
        match self.row(&RowKey::Operator(*id)) {
            Some(Row::Operator(operator)) => Some(operator),
            _ => None,
        }
    }

    pub(crate) fn is_convicted(self, id: &OperatorId) -> bool {
        self.operator(id).is_some_and(|operator| operator.convicted.is_some())
    }

    pub(crate) fn operators(self) -> impl Iterator<Item = &'a Operator> {
        self.rows_from(RowKey::Operator(OperatorId::ZERO)).map_while(|(_, row)| match row {
            Row::Operator(operator) => Some(operator),
            _ => None,
        })
    }

    pub(crate) fn position(self, id: &PositionId) -> Option<&'a Position> {
        match self.row(&RowKey::Position(*id)) {
            Some(Row::Position(position)) => Some(position),
            _ => None,
        }
    }

    pub(crate) fn positions(self) -> impl Iterator<Item = (&'a PositionId, &'a Position)> {
        self.positions_from(OperatorId::ZERO)
    }

    /// Positions of `first` and every operator after him.
    pub(crate) fn positions_from(self, first: OperatorId) -> impl Iterator<Item = (&'a PositionId, &'a Position)> {
        let first = PositionId { operator: first, source: FIRST_SOURCE };
        self.rows_from(RowKey::Position(first)).map_while(|(key, row)| match (key, row) {
            (RowKey::Position(id), Row::Position(position)) => Some((id, position)),
            _ => None,
        })
    }

    /// Listed stake of `first` and every operator after him, with the asset of genesis that each follows.
    pub(crate) fn listings_from(self, first: OperatorId) -> impl Iterator<Item = (&'a PositionId, &'a StakeSource)> {
        let first = PositionId { operator: first, source: FIRST_SOURCE };
        self.rows_from(RowKey::Listing(first)).map_while(|(key, row)| match (key, row) {
            (RowKey::Listing(id), Row::Listing(like)) => Some((id, like)),
            _ => None,
        })
    }

    /// Where an operator's stake of one asset of genesis may lie: there, and where he listed more of it.
    pub(crate) fn sources(self, operator: &OperatorId, asset: &Asset) -> impl Iterator<Item = PositionId> + 'a {
        let (operator, asset) = (*operator, asset.source);
        let own = self.listings_from(operator).take_while(move |(id, _)| id.operator == operator);
        let following = own.filter(move |(_, like)| **like == asset).map(|(id, _)| *id);
        std::iter::once(PositionId { operator, source: asset }).chain(following)
    }

    /// What the feed of an asset said, as far as it was believed; nothing before the first observation of it.
    pub(crate) fn quote(self, source: &StakeSource) -> Option<&'a Quote> {
        match self.row(&RowKey::Price(*source)) {
            Some(Row::Price(quote)) => Some(quote),
            _ => None,
        }
    }

    /// What 1e18 of an asset's smallest units are worth (R23).
    pub(crate) fn price(self, asset: &Asset) -> MicroUsd {
        match asset.price {
            Price::Fixed(price) => price,
            Price::Feed(feed) => self.quote(&asset.source).map_or(feed.start, |quote| quote.price),
        }
    }

    pub(crate) fn vault(self, id: &VaultId) -> Option<&'a Vault> {
        match self.row(&RowKey::Vault(*id)) {
            Some(Row::Vault(vault)) => Some(vault),
            _ => None,
        }
    }

    pub(crate) fn vaults(self) -> impl Iterator<Item = &'a Vault> {
        let first = VaultId { txid: Hash::ZERO, output: 0 };
        self.rows_from(RowKey::Vault(first)).map_while(|(_, row)| match row {
            Row::Vault(vault) => Some(&**vault),
            _ => None,
        })
    }

    /// The vaults behind an operator, by outpoint ascending.
    pub(crate) fn vaults_of(self, operator: &OperatorId) -> impl Iterator<Item = &'a Vault> {
        let operator = *operator;
        let first = RowKey::Vault(VaultId { txid: Hash::ZERO, output: 0 });
        let changed = self.changed.range(first..).map_while(|(key, _)| match key {
            RowKey::Vault(id) => Some(*id),
            _ => None,
        });
        let ids: BTreeSet<VaultId> = self.ledger.rows.vaults_of(operator).chain(changed).collect();
        let vaults = ids.into_iter().filter_map(move |id| self.vault(&id));
        vaults.filter(move |vault| vault.registration.operator == operator)
    }

    /// An operator's promises of nonces, by key and first slot ascending.
    pub(crate) fn commitments(self, operator: &OperatorId) -> impl Iterator<Item = &'a RandomnessCommitment> {
        let operator = *operator;
        let first = RandomnessId { operator, key: SchnorrKey::ZERO, first: Height::new(0) };
        self.rows_from(RowKey::Randomness(first)).map_while(move |(_, row)| match row {
            Row::Randomness(commitment) if commitment.operator == operator => Some(commitment),
            _ => None,
        })
    }

    /// What he promised in a network before this one (R21).
    pub(crate) fn earlier_commitments(
        self,
        chain: &ChainId,
        operator: &OperatorId,
    ) -> impl Iterator<Item = &'a RandomnessCommitment> + use<'a> {
        let (chain, operator) = (*chain, *operator);
        let promise = RandomnessId { operator, key: SchnorrKey::ZERO, first: Height::new(0) };
        self.rows_from(RowKey::Earlier(EarlierId { chain, promise })).map_while(move |(key, row)| match (key, row) {
            (RowKey::Earlier(id), Row::Earlier(commitment)) if id.chain == chain && commitment.operator == operator => {
                Some(commitment)
            }
            _ => None,
        })
    }

    pub(crate) fn case(self, id: &CaseId) -> Option<&'a Case> {
        match self.row(&RowKey::Case(*id)) {
            Some(Row::Case(case)) => Some(case),
            _ => None,
        }
    }

    pub(crate) fn cases(self) -> impl Iterator<Item = &'a Case> {
        self.rows_from(RowKey::Case(CaseId::ZERO)).map_while(|(_, row)| match row {
            Row::Case(case) => Some(&**case),
            _ => None,
        })
    }
}
