//! R30 on a real bitcoind: one block, k-1 blocks, and k or more are replaced under every state of a vault. What our own Bitcoin
//! tells goes into a real ledger, block by block. Below k the ledger never hears of it; from k on Bitcoin is suspended, and
//! what the other chain holds is told anew.

#![allow(clippy::unwrap_used)] // a test that cannot go on has failed

#[path = "../../chains/bitcoin/tests/stake/mod.rs"]
mod stake;

use bitcoin::hashes::Hash as _;
use bitcoin::{Address, Amount, FeeRate, Network, ScriptBuf, Transaction, TxOut, Txid, WPubkeyHash};
use palisade_bitcoin::client::Client;
use palisade_bitcoin::expansion::{self, FundingCoin};
use palisade_bitcoin::registration::Presigned;
use palisade_bitcoin::staker::Coin;
use palisade_bitcoin::vault::Held;
use palisade_bitcoin::{Bitcoin, Config};
use palisade_devnet::bitcoind::{self, Bitcoind, Lifetime};
use palisade_ledger::fixture::{Run, network_with};
use palisade_types::chain::{Chain as _, ChainError, ChainKind, ChainPoint, Execution, Progress};
use palisade_types::observation::{Fact, Observation};
use palisade_types::slash::{OrderStatus, SlashTarget};
use palisade_types::vault::{Expansion, Phase, Vault, VaultRegistration};
use palisade_types::{Hash, Item, List, Suspended, VaultId};
use stake::People;
use std::net::TcpListener;
use std::time::Duration;
use tempfile::TempDir;

/// Bitcoin's depth k.
const K: u32 = 3;
/// Blocks that unbonding takes.
const UNBONDING: u16 = 6;
/// Satoshis of a stake.
const STAKE: u64 = 100_000_000;

/// The states that blocks are replaced under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Active,
    Expired,
    Unbonding,
    Withdrawn,
    Slashed,
    SlashedWhileUnbonding,
    Expanded,
}

/// A transaction that takes vaults from one phase to another.
struct Step {
    vaults: Vec<VaultId>,
    transaction: Txid,
    /// The same, when it is a staker's.
    sent: Option<Transaction>,
    before: Vec<Phase>,
    after: Vec<Phase>,
    /// Blocks on top of the transaction's own from which on the ledger shows it.
    depth: u32,
}

/// A bitcoind, a network of one operator over it, and a staker.
struct World {
    bitcoind: Bitcoind,
    _dir: TempDir,
    people: People,
    run: Run,
    chain: Bitcoin,
    paid: u64,
}

impl World {
    async fn start() -> Self {
        let binary = bitcoind::locate().expect("no bitcoind: run deploy/devnet.sh once to build it");
        let dir = tempfile::tempdir().unwrap();
        let bitcoind = Bitcoind::start(&binary, dir.path(), free_port(), Lifetime::Handle).await.unwrap();
        let mut people = People::new(3, 0);
        bitcoind.client().mine(110, &people.wallet.address(Network::Regtest)).await.unwrap();
        let (genesis_hash, start) = (hash_at(bitcoind.client(), 0).await, point(bitcoind.client(), 110 - K).await);
        let network = network_with(1, 7, |genesis| {
            genesis.bitcoin_genesis = genesis_hash;
            genesis.bitcoin_start = start;
            genesis.parameters.bitcoin_depth = u64::from(K);
            genesis.vaults = List::try_from(vec![people.terms(2, 12, UNBONDING)]).unwrap();
        });
        people.providers = vec![network.operators[0].eots.clone()];
        let mut run = Run::joined(network);
        let promise = run.network.randomness(0, 20, 50);
        run.produce(vec![Item::Randomness(promise)]);
        let (endpoints, genesis) = (vec![bitcoind.endpoint().clone()], run.network.genesis.clone());
        let (max_tip_age, grace) = (Duration::from_secs(3_600), Duration::ZERO);
        let chain =
            Bitcoin::connect(Config { endpoints, genesis, max_tip_age, grace, kept: Vec::new() }).await.unwrap();
        Self { bitcoind, _dir: dir, people, run, chain, paid: 0 }
    }

    fn client(&self) -> &Client {
        self.bitcoind.client()
    }

    // ---- blocks --------------------------------------------------------------------------------------------------

    async fn mine(&self, blocks: u32) {
        let elsewhere = Address::from_script(&stake::elsewhere(), Network::Regtest).unwrap();
        self.client().mine(blocks, &elsewhere).await.unwrap();
    }

    /// Blocks that leave the mempool as it is. Each pays somebody else, or one could be the very block that it replaces.
    async fn mine_empty(&mut self, blocks: u32) {
        for _ in 0..blocks {
            self.paid += 1;
            let mut hash = [1; 20];
            hash[..8].copy_from_slice(&self.paid.to_be_bytes());
            let script = ScriptBuf::new_p2wpkh(&WPubkeyHash::from_byte_array(hash));
            let other = Address::from_script(&script, Network::Regtest).unwrap();
            self.client().mine_empty(&other).await.unwrap();
        }
    }

    async fn height(&self) -> u32 {
        self.client().info().await.unwrap().blocks
    }

    /// Replaces the newest blocks by one more, the first of them empty: what they held stands higher now.
    async fn replace_newest(&mut self, blocks: u32) {
        let first = self.height().await + 1 - blocks;
        self.invalidate(first).await;
        self.mine_empty(1).await;
        self.mine(blocks).await;
    }

    async fn invalidate(&self, height: u32) {
        let gone = self.client().block_hash(height).await.unwrap();
        self.client().invalidate(gone).await.unwrap();
    }

    /// The block of our chain that holds a transaction.
    async fn holder(&self, transaction: Txid) -> Option<u32> {
        let tip = self.height().await;
        for height in (tip - 30..=tip).rev() {
            let block = self.client().block(self.client().block_hash(height).await.unwrap()).await.unwrap();
            if block.txdata.iter().any(|other| other.compute_txid() == transaction) {
                return Some(height);
            }
        }
        None
    }

    // ---- the ledger ----------------------------------------------------------------------------------------------

    fn anchor(&self) -> ChainPoint {
        *self.run.ledger.anchor(ChainKind::Bitcoin)
    }

    /// The ledger takes in what is final by now.
    async fn follow(&mut self) -> Vec<Fact> {
        let (tip, after) = (self.chain.tip().await.unwrap(), self.anchor());
        if tip.number <= after.number {
            assert_eq!(self.chain.point(tip.number).await.unwrap(), tip);
            return Vec::new();
        }
        let told = self.chain.observe(&after, &tip, &self.run.ledger.watch(ChainKind::Bitcoin)).await.unwrap();
        let facts = List::try_from(told.clone()).unwrap();
        self.run.produce(vec![Item::Observed(Observation { chain: ChainKind::Bitcoin, after, upto: tip, facts })]);
        self.run.ledger.audit().unwrap();
        told
    }

    fn vault(&self, id: &VaultId) -> &Vault {
        self.run.ledger.vault(id).unwrap()
    }

    fn vaults(&self, step: &Step) -> Vec<Vault> {
        step.vaults.iter().map(|id| self.vault(id).clone()).collect()
    }

    fn phases(&self, step: &Step) -> Vec<Phase> {
        let terms = self.run.network.genesis.terms(0).unwrap();
        step.vaults.iter().map(|id| self.vault(id).phase(terms, self.anchor().number)).collect()
    }

    fn presigned(&self, id: &VaultId) -> Presigned {
        Presigned::held(&self.vault(id).registration, self.chain.versions()).unwrap()
    }

    fn register(&mut self, registration: VaultRegistration) {
        let parent = registration.expansion.as_ref().map(|expansion| &self.vault(&expansion.parent).registration);
        Presigned::check(&registration, parent, self.chain.versions()).unwrap();
        self.run.produce(vec![Item::Vault(Box::new(registration))]);
    }

    // ---- the staker ----------------------------------------------------------------------------------------------

    async fn coins(&self) -> Vec<Coin> {
        let tip = self.height().await;
        let found = self.client().coins(&self.people.wallet.script_pubkey()).await.unwrap();
        let mut coins: Vec<Coin> =
            found.into_iter().filter(|found| found.is_ripe(tip)).map(|found| found.coin).collect();
        coins.sort_unstable_by_key(|coin| (std::cmp::Reverse(coin.value), coin.outpoint));
        coins
    }

    /// A stake that is not sent.
    async fn staking(&self, time: u16) -> Transaction {
        let rules = self.chain.versions().at(0).unwrap();
        let terms = self.people.staking_terms(rules, time);
        let (amount, rate) = (Amount::from_sat(STAKE), FeeRate::from_sat_per_vb_u32(5));
        self.people.wallet.stake(&self.coins().await, &terms, amount, rate).unwrap()
    }

    /// Has the covenant sign for a stake that is not sent, and registers it.
    async fn plan(&mut self, time: u16) -> (Transaction, VaultId) {
        let staking = self.staking(time).await;
        let rules = self.chain.versions().at(0).unwrap();
        let vault = self.people.vault(&staking, rules, time);
        let id = self.sign(&staking, &vault, None);
        (staking, id)
    }

    fn sign(
        &mut self,
        staking: &Transaction,
        vault: &palisade_bitcoin::vault::CheckedVault,
        expansion: Option<Expansion>,
    ) -> VaultId {
        let parent = expansion.as_ref().map(|expansion| self.vault(&expansion.parent).registration.clone());
        let mut draft = self.people.register(staking, vault, (None, expansion));
        draft.operator = self.run.network.operators[0].id;
        let versions = self.chain.versions();
        let registration = self.people.presign(&draft, parent.as_ref(), None, versions, 2);
        self.register(registration);
        VaultId { txid: hash(staking.compute_txid()), output: 0 }
    }

    /// A vault that the ledger holds for active.
    async fn active(&mut self, time: u16) -> VaultId {
        let (staking, id) = self.plan(time).await;
        self.client().send(&staking).await.unwrap();
        self.mine(K + 1).await;
        self.follow().await;
        id
    }

    /// A vault whose unbonding the ledger knows.
    async fn unbonding(&mut self) -> VaultId {
        let id = self.active(1_000).await;
        let unbonding = self.people.wallet.unbond(&self.presigned(&id)).unwrap();
        self.client().send(&unbonding).await.unwrap();
        self.mine(K + 1).await;
        self.follow().await;
        id
    }

    /// Its operator signs two blocks in one slot; his order is carried out as far as it goes now.
    async fn convict(&mut self, id: &VaultId) -> Txid {
        let evidence = self.run.network.eots_pair(0, 25, 20, 50);
        self.run.produce(vec![Item::Evidence(evidence)]);
        let Progress::Sent(sent) = self.execute(id).await else { panic!("nothing is mined yet") };
        Txid::from_byte_array(*sent.as_bytes())
    }

    async fn execute(&self, id: &VaultId) -> Progress {
        let case = self.run.ledger.cases().next().unwrap().clone();
        let order = case.orders.iter().position(|order| order.target == SlashTarget::Vault(*id)).unwrap();
        let operator = self.run.ledger.operator(&case.operator).unwrap().clone();
        let vault = Some(self.vault(id).clone());
        self.chain.execute(&Execution { case, order, operator, vault, certified: None, company: None }).await.unwrap()
    }

    fn order(&self) -> Option<OrderStatus> {
        self.run.ledger.cases().next().map(|case| case.orders[0].status)
    }

    /// The expansion of an active vault by half of its stake, registered and not sent.
    async fn grow(&mut self, parent: VaultId) -> (Transaction, VaultId) {
        let coin = self.coins().await[0];
        let output = TxOut { value: coin.value, script_pubkey: self.people.wallet.script_pubkey() };
        let funding = FundingCoin { outpoint: coin.outpoint, output };
        let rules = self.chain.versions().at(0).unwrap();
        let terms = self.people.staking_terms(rules, 1_000);
        let rest = Some((Amount::from_sat(STAKE + STAKE / 2), self.people.wallet.script_pubkey()));
        let rate = FeeRate::from_sat_per_vb_u32(5);
        let old = self.presigned(&parent);
        let transaction = expansion::build(old.vault(), &terms, &funding, rest, rate).unwrap();
        let vault = self.people.vault(&transaction, rules, 1_000);
        let child = self.sign(&transaction, &vault, Some(expansion::write(parent, &funding).unwrap()));
        let registration = &self.vault(&child).registration;
        let parent = &self.vault(&parent).registration;
        let presigned = Presigned::check(registration, Some(parent), self.chain.versions()).unwrap();
        (self.people.wallet.expand(&presigned).unwrap(), child)
    }

    // ---- the table -----------------------------------------------------------------------------------------------

    /// Takes a vault as far as the state before, and sends what takes it further.
    async fn step(&mut self, state: State) -> Step {
        use Phase::{Active, Expanded, Expired, Slashed, Unbonding, Verified, Withdrawn};
        let step = |vault, before, after, depth, transaction| Step {
            vaults: vec![vault],
            transaction,
            sent: None,
            before: vec![before],
            after: vec![after],
            depth,
        };
        let (step, sent) = match state {
            State::Active => {
                let (staking, id) = self.plan(1_000).await;
                (step(id, Verified, Active, K, staking.compute_txid()), Some(staking))
            }
            State::Expired => {
                let (staking, id) = self.plan(12).await;
                (step(id, Verified, Expired, K + 12 - u32::from(UNBONDING), staking.compute_txid()), Some(staking))
            }
            State::Unbonding => {
                let id = self.active(1_000).await;
                let unbonding = self.people.wallet.unbond(&self.presigned(&id)).unwrap();
                (step(id, Active, Unbonding, K, unbonding.compute_txid()), Some(unbonding))
            }
            State::Withdrawn => {
                let id = self.unbonding().await;
                self.mine(u32::from(UNBONDING)).await;
                let (presigned, fee) = (self.presigned(&id), Amount::from_sat(1_000));
                let wallet = &self.people.wallet;
                let back = wallet.withdraw(presigned.vault(), Held::Unbonding, stake::elsewhere(), fee).unwrap();
                (step(id, Unbonding, Withdrawn, K, back.compute_txid()), Some(back))
            }
            State::Slashed => {
                let id = self.active(1_000).await;
                (step(id, Active, Slashed, K, self.convict(&id).await), None)
            }
            State::SlashedWhileUnbonding => {
                let id = self.unbonding().await;
                (step(id, Unbonding, Slashed, K, self.convict(&id).await), None)
            }
            State::Expanded => {
                let parent = self.active(1_000).await;
                let (expansion, child) = self.grow(parent).await;
                let (vaults, transaction) = (vec![parent, child], expansion.compute_txid());
                let (before, after) = (vec![Active, Verified], vec![Expanded, Active]);
                (Step { vaults, transaction, sent: None, before, after, depth: K }, Some(expansion))
            }
        };
        self.follow().await;
        let step = Step { sent, ..step };
        self.send(&step).await;
        step
    }

    /// A staker's transaction waits in the mempool. After a long reorganisation Core does not put it there by itself.
    async fn send(&self, step: &Step) {
        if let Some(transaction) = &step.sent
            && self.client().pooled(step.transaction).await.unwrap().is_none()
        {
            self.client().send(transaction).await.unwrap();
        }
    }

    /// The transaction is on the chain and not final: nothing of it is in the ledger, and a slash says so.
    async fn is_underway(&self, step: &Step, case: &str) {
        assert_eq!(self.phases(step), step.before, "{case}");
        assert!(self.holder(step.transaction).await.is_some(), "{case}");
        if let Some(order) = self.order() {
            assert_eq!(order, OrderStatus::Ordered, "{case}");
            assert_eq!(self.execute(&step.vaults[0]).await, Progress::Executed(hash(step.transaction)), "{case}");
        }
    }

    /// The transaction is final, and the ledger says so.
    async fn is_done(&mut self, step: &Step, case: &str) {
        let (holder, tip) = (self.holder(step.transaction).await.unwrap(), self.height().await);
        self.mine((holder + step.depth).saturating_sub(tip)).await;
        self.follow().await;
        assert_eq!(self.phases(step), step.after, "{case}");
        if let Some(order) = self.order() {
            let loss = match order {
                OrderStatus::Final(taken) => taken.transaction,
                other => panic!("{case}: {other:?}"),
            };
            assert_eq!(loss, hash(step.transaction), "{case}");
        }
    }
}

/// One row: a vault comes to `state` while blocks are replaced before that is final, after it, and after it for good.
async fn replaced_under(state: State) {
    let mut world = World::start().await;
    let mut step = world.step(state).await;
    world.mine(1).await;
    for blocks in [1, K - 1] {
        world.replace_newest(blocks).await;
        let told = world.follow().await;
        assert_eq!(told, [], "{state:?}: nothing is final {blocks}");
        world.is_underway(&step, &format!("{state:?}, {blocks} replaced before it is final")).await;
    }
    world.is_done(&step, &format!("{state:?}, final")).await;

    // Its own block is final now: what stands on top of it may be replaced.
    for blocks in [1, K - 1] {
        let (rows, anchor) = (world.vaults(&step), world.anchor());
        world.replace_newest(blocks).await;
        let told = world.follow().await;
        assert_eq!(told, [], "{state:?}: nothing new {blocks}");
        assert_eq!(world.vaults(&step), rows, "{state:?}, {blocks} replaced after it was final");
        assert_eq!(world.chain.point(anchor.number).await.unwrap(), anchor, "{state:?}: what was final stands");
    }

    // k blocks and more: its own block goes, and the new chain does not hold it.
    let (rows, anchor) = (world.vaults(&step), world.anchor());
    let (holder, tip) = (world.holder(step.transaction).await.unwrap(), world.height().await);
    world.invalidate(holder).await;
    world.mine_empty(tip - holder + 2).await;
    let tip = world.chain.tip().await.unwrap();
    let broken = world.chain.observe(&anchor, &tip, &world.run.ledger.watch(ChainKind::Bitcoin)).await;
    let number = anchor.number;
    assert!(matches!(broken, Err(ChainError::FinalityBroken { number: gone }) if gone == number), "{broken:?}");
    world.run.produce(vec![Item::Suspended(Suspended { chain: ChainKind::Bitcoin, anchor })]);
    assert_eq!(world.vaults(&step), rows, "{state:?}: a suspension changes no vault");
    assert!(world.run.ledger.suspension(ChainKind::Bitcoin).is_some());

    // Accepted anew: everything is as the new chain shows it.
    let told = world.chain.resume(&tip, &world.run.ledger.watch(ChainKind::Bitcoin)).await.unwrap();
    assert!(matches!(told[0], Fact::Rewound(_)), "{told:?}");
    let facts = List::try_from(told).unwrap();
    let (chain, after) = (ChainKind::Bitcoin, anchor);
    world.run.produce(vec![Item::Resumed(Observation { chain, after, upto: tip, facts })]);
    world.run.ledger.audit().unwrap();
    assert_eq!((world.anchor(), world.run.ledger.suspension(chain)), (tip, None));
    assert_eq!(world.phases(&step), step.before, "{state:?}: it has not happened on this chain");

    // What was taken back waits in the mempool, and a slash is "sent" again; then it happens a second time.
    world.send(&step).await;
    if let Some(order) = world.order() {
        assert_eq!(order, OrderStatus::Ordered, "{state:?}");
        let Progress::Sent(sent) = world.execute(&step.vaults[0]).await else { panic!("{state:?}: not mined yet") };
        // It has waited for so many blocks by now that a dearer rung may be due (R28).
        step.transaction = Txid::from_byte_array(*sent.as_bytes());
    }
    world.mine(1).await;
    world.is_underway(&step, &format!("{state:?}, again")).await;
    world.is_done(&step, &format!("{state:?}, final again")).await;
}

macro_rules! rows {
    ($($name:ident: $state:ident,)*) => {$(
        #[tokio::test]
        async fn $name() {
            replaced_under(State::$state).await;
        }
    )*};
}

rows! {
    r30_replaced_while_a_vault_becomes_active: Active,
    r30_replaced_while_a_vault_expires: Expired,
    r30_replaced_while_a_vault_unbonds: Unbonding,
    r30_replaced_while_a_staker_withdraws: Withdrawn,
    r30_replaced_while_a_stake_is_slashed: Slashed,
    r30_replaced_while_an_unbonding_stake_is_slashed: SlashedWhileUnbonding,
    r30_replaced_while_a_vault_expands: Expanded,
}

/// Registered with the newest block, which is replaced by another one that holds the stake too: it counts all the same.
#[tokio::test]
async fn r30_a_stake_registered_with_a_block_that_is_replaced_counts_where_it_comes_to_stand() {
    for blocks in [1, K - 1] {
        let mut world = World::start().await;
        let staking = world.staking(1_000).await;
        let txid = world.client().send(&staking).await.unwrap();
        world.mine(1).await;
        let named = world.height().await;
        world.mine(blocks - 1).await;
        let (block, proof) = world.chain.find(txid, u64::from(named)).await.unwrap();
        let versions = world.chain.versions();
        let vault = world.people.vault(&staking, versions.at(0).unwrap(), 1_000);
        let mut draft = world.people.draft(&staking, &vault, &proof, (block, u64::from(named)));
        draft.operator = world.run.network.operators[0].id;
        let header = world.chain.header_of(&vault.id(), draft.inclusion.as_ref().unwrap()).await.unwrap();
        let registration = world.people.presign(&draft, None, Some(&header), versions, 2);
        world.register(registration);
        let id = VaultId { txid: hash(txid), output: 0 };

        world.replace_newest(blocks).await;
        let holder = world.holder(txid).await.unwrap();
        assert_ne!(holder, named, "it stands elsewhere");
        assert_eq!(world.follow().await, []);
        world.mine(K + 1).await;
        world.follow().await;
        assert_eq!(world.vault(&id).start, Some(u64::from(holder)), "{blocks}");
    }
}

fn hash(txid: Txid) -> Hash {
    Hash::new(txid.to_byte_array())
}

async fn hash_at(client: &Client, height: u32) -> Hash {
    Hash::new(client.block_hash(height).await.unwrap().to_byte_array())
}

async fn point(client: &Client, height: u32) -> ChainPoint {
    let header = client.header(client.block_hash(height).await.unwrap()).await.unwrap();
    let (number, hash) = (u64::from(height), hash_at(client, height).await);
    ChainPoint { number, hash, log: u32::MAX, time: u64::from(header.time) }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
