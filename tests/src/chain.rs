//! A chain that a test writes: what happened in which block, and how one endpoint shows it.
//!
//! [`History`] is what really happened, the same for everybody. A [`FakeChain`] is one operator's endpoint of it: it
//! shows final blocks up to where it stands, and it can lag, fall silent and lie. Only what an order asks for changes
//! the history: [`FakeChain::carry_out`] takes the stake as the contract and Bitcoin's consensus would, from evidence
//! that proves it, once, in the block after every block that anybody has seen.

use bitcoin::block::Header;
use bitcoin::hashes::Hash as _;
use palisade_bitcoin::registration::Presigned;
use palisade_bitcoin::vault::Versions;
use palisade_bitcoin::{slash, watch};
use palisade_crypto::hash::sha256_all;
use palisade_ledger::fixture;
use palisade_types::chain::{
    CertifiedOrder, Chain, ChainError, ChainKind, ChainPoint, Endpoints, Execution, Progress, Watch,
};
use palisade_types::evidence::Evidence;
use palisade_types::genesis::Genesis;
use palisade_types::ids::{Address, CaseId, Hash, VaultId};
use palisade_types::observation::{ConvictedOnChain, Fact, SlashedOnChain, VaultConfirmed, VaultSpent};
use palisade_types::position::{Magnitudes, Position, PositionId, StakeSource, mul_div};
use palisade_types::slash::SlashTarget;
use palisade_types::units::Wad;
use palisade_types::vault::{Spend, VaultStatus};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What really happened on one chain.
#[derive(Debug)]
pub struct History {
    kind: ChainKind,
    genesis: Arc<Genesis>,
    /// The highest block that any endpoint has shown.
    head: u64,
    logs: BTreeMap<u64, Vec<Fact>>,
    positions: BTreeMap<PositionId, BTreeMap<u64, Position>>,
    slashed: BTreeMap<(CaseId, Address), Hash>,
    headers: BTreeMap<u64, Header>,
    stakes: BTreeMap<VaultId, u64>,
    spends: BTreeMap<VaultId, (u64, Spend)>,
    /// Secrets in slashing transactions that nobody ordered.
    secrets: BTreeMap<u64, Evidence>,
    /// The first block of each reorganisation.
    forks: Vec<u64>,
}

impl History {
    /// A chain on which nothing has happened since genesis' start anchor.
    #[must_use]
    pub fn new(kind: ChainKind, genesis: Arc<Genesis>) -> Self {
        let start = match kind {
            ChainKind::Ethereum => genesis.ethereum_start,
            ChainKind::Bitcoin => genesis.bitcoin_start,
        };
        Self {
            kind,
            genesis,
            head: start.number,
            logs: BTreeMap::new(),
            positions: BTreeMap::new(),
            slashed: BTreeMap::new(),
            headers: BTreeMap::new(),
            stakes: BTreeMap::new(),
            spends: BTreeMap::new(),
            secrets: BTreeMap::new(),
            forks: Vec::new(),
        }
    }

    /// `fact` happens in block `number`. A position holds from then on until the next one.
    pub fn happen(&mut self, number: u64, fact: Fact) {
        match fact {
            Fact::Stake(seen) => drop(self.positions.entry(seen.id).or_default().insert(number, seen.position)),
            fact => self.logs.entry(number).or_default().push(fact),
        }
    }

    /// Bitcoin block `number` has this header and holds the staking transactions of these vaults.
    pub fn stake(&mut self, number: u64, header: Header, vaults: impl IntoIterator<Item = VaultId>) {
        self.headers.insert(number, header);
        self.stakes.extend(vaults.into_iter().map(|vault| (vault, number)));
    }

    /// Somebody completes a slashing transaction in block `number`, whose witness gives this away.
    pub fn give_away(&mut self, number: u64, secret: Evidence) {
        self.secrets.insert(number, secret);
    }

    /// Other blocks stand from `number` on, as many as before: final or not, what happened in them on Bitcoin has not happened.
    pub fn reorganise(&mut self, number: u64) {
        self.headers.retain(|at, _| *at < number);
        self.stakes.retain(|_, at| *at < number);
        self.spends.retain(|_, (at, _)| *at < number);
        self.forks.push(number);
    }

    /// The coins of `vault` are locked in block `number` and not before.
    pub fn lock_later(&mut self, number: u64, vault: VaultId) {
        self.stakes.insert(vault, number);
    }

    fn point(&self, number: u64) -> ChainPoint {
        let mut point = fixture::point(self.kind, number);
        let replaced = self.forks.iter().filter(|fork| **fork <= number).count();
        if replaced > 0 {
            let times = u64::try_from(replaced).expect("a test has few");
            point.hash = Hash::new(sha256_all(&[point.hash.as_bytes(), &times.to_be_bytes()]));
        }
        let hash = self.headers.get(&number).map(|header| Hash::new(header.block_hash().to_byte_array()));
        ChainPoint { hash: hash.unwrap_or(point.hash), ..point }
    }

    /// What the ledger's `watch` does not say yet, up to block `upto`: logs of the gap, then views.
    fn differences(&self, after: u64, upto: u64, watch: &Watch, lie: bool) -> Vec<Fact> {
        let mut facts: Vec<Fact> = self.logs.range(after + 1..=upto).flat_map(|(_, facts)| facts.clone()).collect();
        match self.kind {
            ChainKind::Ethereum => facts.extend(self.changed_positions(upto, watch, &facts, lie)),
            ChainKind::Bitcoin => facts.extend(self.changed_vaults(upto, watch)),
        }
        facts
    }

    fn changed_positions(&self, upto: u64, watch: &Watch, logs: &[Fact], lie: bool) -> Vec<Fact> {
        let new = logs.iter().filter_map(|fact| match fact {
            Fact::Keys(keys) => Some(keys.operator),
            _ => None,
        });
        let known: BTreeSet<_> = watch.operators.keys().copied().chain(new).collect();
        let seen = self.positions.iter().filter(|(id, _)| known.contains(&id.operator));
        let seen = seen.filter_map(|(id, blocks)| Some((*id, *blocks.range(..=upto).next_back()?.1)));
        let shown = |position: Position| match position {
            Position::EigenLayer(seen) => {
                Position::EigenLayer(Magnitudes { shares: seen.shares << u32::from(lie), ..seen })
            }
            Position::Symbiotic(_) | Position::Karak(_) => position,
        };
        let seen = seen.map(|(id, position)| (id, shown(position)));
        seen.filter(|(id, position)| watch.positions.get(id) != Some(position))
            .map(|(id, position)| Fact::Stake(palisade_types::observation::StakeSeen { id, position }))
            .collect()
    }

    fn changed_vaults(&self, upto: u64, watch: &Watch) -> Vec<Fact> {
        let by_then = |at: Option<&u64>| at.is_some_and(|at| *at <= upto);
        let mut facts = Vec::new();
        for (id, vault) in &watch.vaults {
            let height = self.stakes.get(id).filter(|height| by_then(Some(height)));
            if let Some(height) = height.filter(|_| vault.status == VaultStatus::Verified) {
                facts.push(Fact::VaultConfirmed(VaultConfirmed { id: *id, height: *height }));
            }
            if let Some((at, spend)) = self.spends.get(id)
                && by_then(Some(at))
                && !matches!((vault.status, spend), (VaultStatus::Unbonding(_), Spend::Unbonded(_)))
            {
                facts.push(Fact::VaultSpent(VaultSpent { id: *id, spend: *spend }));
            }
        }
        facts
    }

    /// The judge contract and its adapter: believe the proof alone, take the fixed part (R11), and only once (R24).
    fn slash_on_ethereum(&mut self, execution: &Execution, strategy: Address) -> Result<Progress, ChainError> {
        let Execution { case, operator, .. } = execution;
        if let Some(transaction) = self.slashed.get(&(case.id, strategy)) {
            return Ok(Progress::Executed(*transaction));
        }
        let evidence = case.evidence.as_ref().ok_or(ChainError::Refused("there is no evidence".to_owned()))?;
        let ordered = match case.needs_order() {
            true => match self.ordered(execution)? {
                Some(part) => Some(part),
                None => return Ok(Progress::Waiting),
            },
            // The contract reads the sums under rows' keys, of which this chain knows the convict's only.
            false if matches!(evidence, Evidence::Certificates(_)) => {
                let own = execution.company.as_ref().map(|company| company.key);
                let known = operator.keys.iter().any(|row| Some(row.id) == own);
                known.then_some(None).ok_or(ChainError::Refused("none of the convict's keys".to_owned()))?
            }
            false => {
                let fault = evidence.prove(&self.genesis.domains(), operator, |_| true);
                fault.map_err(|unproven| ChainError::Refused(unproven.to_string()))?;
                None
            }
        };
        let assets = &self.genesis.assets;
        let source = StakeSource::EigenLayer(strategy);
        let asset = assets.iter().find(|asset| asset.source == source);
        let asset = *asset.ok_or(ChainError::Refused("no such asset".to_owned()))?;
        let id = PositionId { operator: operator.id, source };
        let blocks = self.positions.get(&id).and_then(|blocks| blocks.last_key_value());
        let Some((_, Position::EigenLayer(before))) = blocks else {
            return Err(ChainError::Refused("there is no stake".to_owned()));
        };
        let before = *before;
        let now = self.head + 1;
        let wad = u128::from(Wad::ONE.get());
        let part = ordered.unwrap_or(asset.equivocation);
        let left = |amount: u128| amount - mul_div(amount, u128::from(part.get()), wad);
        let magnitude = |amount: u64| u64::try_from(left(amount.into())).expect("a part is no more than the whole");
        let afterwards = Magnitudes {
            shares: left(before.shares),
            max_magnitude: magnitude(before.max_magnitude),
            magnitude: magnitude(before.magnitude),
            ..before
        };
        let transaction = Hash::new(*case.id.as_bytes());
        self.positions.entry(id).or_default().insert(now, Position::EigenLayer(afterwards));
        self.slashed.insert((case.id, strategy), transaction);
        let (operator, domain, slot) = (operator.id, case.domain, case.slot);
        if ordered.is_none() {
            self.happen(now, Fact::Convicted(ConvictedOnChain { case: case.id, operator, domain, slot }));
        }
        self.happen(
            now,
            Fact::Slashed(SlashedOnChain {
                case: case.id,
                operator,
                adapter: self.genesis.contracts.eigenlayer_adapter,
                asset: strategy,
                before: before.slashable_at(now),
                afterwards: afterwards.slashable_at(now),
                transaction,
            }),
        );
        Ok(Progress::Sent(transaction))
    }

    /// Orders.sol: believes a certificate of the order's own committee (R3), and nothing else; `None` without one.
    fn ordered(&self, execution: &Execution) -> Result<Option<Wad>, ChainError> {
        let Some(certified) = &execution.certified else { return Ok(None) };
        let CertifiedOrder { order, certificate, committee } = &**certified;
        let domains = self.genesis.domains();
        let told = certificate.verify(&domains.chain, committee, |_| false);
        told.map_err(|worthless| ChainError::Refused(worthless.to_string()))?;
        let fits = certificate.statement() == order.statement(domains.order)
            && (order.case, order.operator) == (execution.case.id, execution.operator.id)
            && order.adapter == self.genesis.contracts.eigenlayer_adapter
            && order.epoch == committee.epoch
            && order.wad <= self.genesis.parameters.order_part;
        if fits { Ok(Some(order.wad)) } else { Err(ChainError::Refused("the order is another's".to_owned())) }
    }

    /// Bitcoin: the slashing transaction, completed with the key that the pair gives away.
    fn slash_on_bitcoin(&mut self, execution: &Execution, id: VaultId) -> Result<Progress, ChainError> {
        if let Some((_, Spend::Slashed(loss))) = self.spends.get(&id) {
            return Ok(Progress::Executed(loss.txid));
        }
        let refuse = |reason: String| ChainError::Refused(reason);
        if self.stakes.get(&id).is_none_or(|at| *at > self.head) {
            return Err(refuse("the vault's coins are not there".to_owned()));
        }
        let versions = Versions::of(&self.genesis).map_err(|error| refuse(error.to_string()))?;
        let vault = execution.vault.as_ref().ok_or(refuse("there is no vault".to_owned()))?;
        let evidence = execution.case.evidence.as_ref().ok_or(refuse("there is no evidence".to_owned()))?;
        let chain = self.genesis.chain_id();
        let secret = slash::exposed(evidence, &chain, &vault.registration.providers);
        let secret = secret.map_err(|error| refuse(error.to_string()))?;
        let presigned = Presigned::held(&vault.registration, &versions).map_err(|error| refuse(error.to_string()))?;
        let transaction = presigned.slash(0, &secret).map_err(|error| refuse(error.to_string()))?;
        let spent = watch::classify(presigned.vault(), &transaction, false);
        let spend = spent.ok_or(refuse("the transaction does not spend the vault".to_owned()))?.spend;
        self.spends.insert(id, (self.head + 1, spend));
        Ok(Progress::Sent(Hash::new(transaction.compute_txid().to_byte_array())))
    }
}

/// One operator's endpoint of a chain.
#[derive(Clone, Debug)]
pub struct FakeChain {
    history: Arc<Mutex<History>>,
    tip: u64,
    lag: u64,
    silent_after: Option<u64>,
    lies: Range<u64>,
}

impl FakeChain {
    /// An honest endpoint that stands where the history began.
    #[must_use]
    pub fn new(history: Arc<Mutex<History>>) -> Self {
        let tip = lock(&history).head;
        Self { history, tip, lag: 0, silent_after: None, lies: 0..0 }
    }

    /// It shows final blocks up to `number`, less its lag; never fewer than before.
    #[must_use]
    pub fn final_to(mut self, number: u64) -> Self {
        self.advance(number);
        self
    }

    /// It is this many blocks behind.
    #[must_use]
    pub const fn lagging(mut self, blocks: u64) -> Self {
        self.lag = blocks;
        self
    }

    /// It answers nothing once it has come to block `number`.
    #[must_use]
    pub const fn silent_after(mut self, number: u64) -> Self {
        self.silent_after = Some(number);
        self
    }

    /// In these blocks it shows every position with twice its shares.
    #[must_use]
    pub const fn lying_in(mut self, blocks: Range<u64>) -> Self {
        self.lies = blocks;
        self
    }

    /// As [`Self::final_to`], for a chain that goes on.
    pub fn advance(&mut self, number: u64) {
        let mut history = lock(&self.history);
        history.head = history.head.max(number);
        self.tip = self.tip.max(number.saturating_sub(self.lag));
    }

    /// The newest final point.
    ///
    /// # Errors
    ///
    /// [`ChainError::Unavailable`] when it is silent.
    pub fn newest(&self) -> Result<ChainPoint, ChainError> {
        self.answer("asking for the tip")?;
        Ok(self.history().point(self.tip))
    }

    /// What became true in a gap.
    ///
    /// # Errors
    ///
    /// [`ChainError::Unavailable`] when it is silent, [`ChainError::NotThere`] past the tip, [`ChainError::FinalityBroken`]
    /// and [`ChainError::Lied`] when the points are of another chain.
    pub fn seen(&self, after: &ChainPoint, upto: &ChainPoint, watch: &Watch) -> Result<Vec<Fact>, ChainError> {
        self.answer("reading a gap")?;
        if upto.number > self.tip {
            return Err(ChainError::NotThere { number: upto.number });
        }
        let history = self.history();
        if history.point(after.number) != *after {
            return Err(ChainError::FinalityBroken { number: after.number });
        }
        if history.point(upto.number) != *upto {
            return Err(ChainError::Lied("the points are of another chain".to_owned()));
        }
        Ok(history.differences(after.number, upto.number, watch, self.lies.contains(&upto.number)))
    }

    /// The secrets that stand in the blocks of a gap.
    #[must_use]
    pub fn given_away(&self, after: &ChainPoint, upto: &ChainPoint) -> Vec<Evidence> {
        self.history().secrets.range(after.number + 1..=upto.number).map(|(_, secret)| secret.clone()).collect()
    }

    /// What a suspended chain shows for the ledger to go on from `upto`.
    ///
    /// # Errors
    ///
    /// As [`Self::seen`]; [`ChainError::Refused`] when it holds no older anchor either.
    pub fn seen_anew(&self, upto: &ChainPoint, watch: &Watch) -> Result<Vec<Fact>, ChainError> {
        self.answer("reading a chain anew")?;
        if upto.number > self.tip {
            return Err(ChainError::NotThere { number: upto.number });
        }
        let history = self.history();
        if history.point(upto.number) != *upto {
            return Err(ChainError::Lied("the point is of another chain".to_owned()));
        }
        let mut older = watch.older.iter().filter(|older| older.number < upto.number);
        let shared = *older
            .find(|older| history.point(older.number) == **older)
            .ok_or(ChainError::Refused("no older anchor is on this chain".to_owned()))?;
        let told = history.differences(shared.number, upto.number, &watch.rewound(&shared), false);
        Ok(std::iter::once(Fact::Rewound(shared)).chain(told).collect())
    }

    /// The final point at `number`, when the endpoint has it.
    ///
    /// # Errors
    ///
    /// [`ChainError::Unavailable`] and [`ChainError::NotThere`].
    pub fn point_at(&self, number: u64) -> Result<ChainPoint, ChainError> {
        self.answer("asking for a block")?;
        if number > self.tip {
            return Err(ChainError::NotThere { number });
        }
        Ok(self.history().point(number))
    }

    /// The header of Bitcoin block `number`, when it is final here and holds stakes.
    #[must_use]
    pub fn header(&self, number: u64) -> Option<Header> {
        self.answer("asking for a header").ok()?;
        self.history().headers.get(&number).copied().filter(|_| number <= self.tip)
    }

    /// Carries an order out; a second time it only says so (R24).
    ///
    /// # Errors
    ///
    /// [`ChainError::Refused`] when the evidence does not prove it.
    pub fn carry_out(&self, execution: &Execution) -> Result<Progress, ChainError> {
        self.answer("sending a transaction")?;
        match execution.case.orders[execution.order].target {
            SlashTarget::EigenLayer(strategy) => self.history().slash_on_ethereum(execution, strategy),
            SlashTarget::Symbiotic(_) => Err(ChainError::Refused("no Symbiotic stands on this chain".to_owned())),
            SlashTarget::Karak(_) => Err(ChainError::Refused("no Karak stands on this chain".to_owned())),
            SlashTarget::Service(_) => Err(ChainError::Refused("no service stands on this chain".to_owned())),
            SlashTarget::Vault(id) => self.history().slash_on_bitcoin(execution, id),
        }
    }

    fn answer(&self, doing: &str) -> Result<(), ChainError> {
        if self.silent_after.is_some_and(|number| self.tip >= number) {
            return Err(ChainError::Unavailable { doing: doing.to_owned(), source: "it is silent".into() });
        }
        Ok(())
    }

    fn history(&self) -> MutexGuard<'_, History> {
        lock(&self.history)
    }
}

impl Chain for FakeChain {
    fn endpoints(&self) -> Endpoints {
        Endpoints { configured: 1, well: usize::from(self.answer("counting endpoints").is_ok()), contradictions: 0 }
    }

    async fn tip(&self) -> Result<ChainPoint, ChainError> {
        self.newest()
    }

    async fn observe(&self, after: &ChainPoint, upto: &ChainPoint, watch: &Watch) -> Result<Vec<Fact>, ChainError> {
        self.seen(after, upto, watch)
    }

    async fn resume(&self, upto: &ChainPoint, watch: &Watch) -> Result<Vec<Fact>, ChainError> {
        self.seen_anew(upto, watch)
    }

    async fn exposed(&self, after: &ChainPoint, upto: &ChainPoint, _: &Watch) -> Result<Vec<Evidence>, ChainError> {
        Ok(self.given_away(after, upto))
    }

    async fn point(&self, number: u64) -> Result<ChainPoint, ChainError> {
        self.point_at(number)
    }

    async fn execute(&self, execution: &Execution) -> Result<Progress, ChainError> {
        self.carry_out(execution)
    }
}

/// A test that panicked elsewhere leaves a history that can still be read.
fn lock(history: &Mutex<History>) -> MutexGuard<'_, History> {
    history.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use palisade_ledger::Ledger;

    fn chain() -> (FakeChain, Ledger) {
        let network = fixture::network(2, 1);
        let mut history = History::new(ChainKind::Ethereum, network.genesis.clone());
        for fact in network.joining_facts() {
            history.happen(105, fact);
        }
        (FakeChain::new(Arc::new(Mutex::new(history))), Ledger::genesis(network.genesis))
    }

    fn count(chain: &FakeChain, ledger: &Ledger, upto: u64) -> Result<usize, ChainError> {
        let point = |number| fixture::point(ChainKind::Ethereum, number);
        Ok(chain.seen(&point(100), &point(upto), &ledger.watch(ChainKind::Ethereum))?.len())
    }

    #[test]
    fn a_chain_shows_what_happened_up_to_where_it_stands() {
        let (chain, ledger) = chain();
        let chain = chain.final_to(110);
        assert_eq!(count(&chain, &ledger, 104).unwrap(), 0);
        assert_eq!(count(&chain, &ledger, 105).unwrap(), 4);
        assert!(matches!(count(&chain, &ledger, 111), Err(ChainError::NotThere { number: 111 })));
        let behind = chain.clone().lagging(5).final_to(112);
        assert_eq!(behind.newest().unwrap().number, 110, "it never goes back");
        let silent = chain.clone().silent_after(110);
        assert!(matches!(silent.newest(), Err(ChainError::Unavailable { .. })));
    }

    #[test]
    fn a_lying_chain_shows_other_facts_than_an_honest_one() {
        let (chain, ledger) = chain();
        let (honest, liar) = (chain.clone().final_to(110), chain.final_to(110).lying_in(105..200));
        let point = |number| fixture::point(ChainKind::Ethereum, number);
        let watch = ledger.watch(ChainKind::Ethereum);
        let seen = |chain: &FakeChain| chain.seen(&point(100), &point(110), &watch).unwrap();
        assert_ne!(seen(&honest), seen(&liar));
        assert_eq!(seen(&honest), seen(&honest));
    }
}
