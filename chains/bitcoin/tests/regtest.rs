//! The whole life of vaults on a real bitcoind: staked, signed for, slashed by an equivocation, withdrawn, reorganised.
//! It needs a bitcoind (`$PALISADE_BITCOIND`, `PATH`, or the cache that `deploy/devnet.sh` fills) and says so when there is none.
#![allow(clippy::unwrap_used)]

#[allow(dead_code, missing_docs)]
#[path = "../../../deploy/devnet/src/bitcoind.rs"]
mod bitcoind;
mod network;
mod stake;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bitcoin::hashes::Hash as _;
use bitcoin::{Amount, FeeRate, Network, Transaction, TxOut, Txid};
use bitcoind::{Bitcoind, Lifetime};
use network::{DEPTH, free_port, genesis};
use palisade_bitcoin::client::Client;
use palisade_bitcoin::elsewhere::{Frozen, Heard};
use palisade_bitcoin::expansion::{self, FundingCoin};
use palisade_bitcoin::market;
use palisade_bitcoin::registration::Presigned;
use palisade_bitcoin::staker::Coin;
use palisade_bitcoin::vault::{Held, Versions};
use palisade_bitcoin::{Auth, Bitcoin, Config, Endpoint};
use palisade_crypto::eots;
use palisade_types::chain::{Chain as _, ChainError, ChainPoint, Execution, Progress, Watch};
use palisade_types::evidence::{CovenantBreach, EotsPair};
use palisade_types::observation::{Fact, VaultConfirmed, VaultSpent};
use palisade_types::operator::KeyRow;
use palisade_types::randomness::{Commitment, Opening};
use palisade_types::slash::{Case, OrderStatus, SlashOrder, SlashTarget};
use palisade_types::vault::{Inclusion, Phase, Spend, Vault, VaultLoss, VaultRegistration, VaultStatus};
use palisade_types::{
    Blob, BlsKey, CaseId, Digest, Ed25519Key, Evidence, Genesis, Hash, Height, List, Operator, OperatorId, Sats,
    SchnorrKey, Statement,
};
use stake::{People, ladder, secret};
use tempfile::TempDir;

/// A bitcoind, a network over it, and its people.
struct Regtest {
    bitcoind: Bitcoind,
    _dir: TempDir,
    people: People,
    genesis: Arc<Genesis>,
    chain: Bitcoin,
}

impl Regtest {
    /// A staker with mature coins and a network that starts at the tip.
    async fn start() -> Self {
        let binary = bitcoind::locate()
            .expect("no bitcoind: set PALISADE_BITCOIND, put one on PATH, or run deploy/devnet.sh once to build it");
        let dir = tempfile::tempdir().unwrap();
        let bitcoind = Bitcoind::start(&binary, dir.path(), free_port(), Lifetime::Handle).await.unwrap();
        let people = People::new(3, 1);
        let address = people.wallet.address(Network::Regtest);
        bitcoind.client().mine(110, &address).await.unwrap();
        let genesis = Arc::new(genesis(&bitcoind, &people, 110 - DEPTH).await);
        let chain = connect(&bitcoind, &genesis).await.unwrap();
        Self { bitcoind, _dir: dir, people, genesis, chain }
    }

    fn client(&self) -> &Client {
        self.bitcoind.client()
    }

    /// Mines to nobody we know.
    async fn mine(&self, blocks: u32) {
        let elsewhere = bitcoin::Address::from_script(&stake::elsewhere(), Network::Regtest).unwrap();
        self.client().mine(blocks, &elsewhere).await.unwrap();
    }

    /// Replaces everything from `height` on by `blocks` others: to another address, or they would be the same blocks.
    async fn replace(&self, height: u32, blocks: u32) {
        let gone = self.client().block_hash(height).await.unwrap();
        self.client().invalidate(gone).await.unwrap();
        self.client().mine(blocks, &self.people.wallet.address(Network::Regtest)).await.unwrap();
    }

    async fn send(&self, transaction: &Transaction) -> Txid {
        self.client().send(transaction).await.unwrap()
    }

    async fn height(&self) -> u32 {
        self.client().info().await.unwrap().blocks
    }

    fn start_point(&self) -> ChainPoint {
        self.genesis.bitcoin_start
    }

    /// Mines until everything sent so far is final.
    async fn settle(&self) -> ChainPoint {
        self.mine(DEPTH + 1).await;
        self.chain.tip().await.unwrap()
    }

    async fn observe(&self, after: ChainPoint, upto: ChainPoint, vault: &Vault) -> Vec<Fact> {
        self.chain.observe(&after, &upto, &watch(vault)).await.unwrap()
    }

    /// The staker's coins that can be spent, largest first.
    async fn coins(&self) -> Vec<Coin> {
        let found = self.client().coins(&self.people.wallet.script_pubkey()).await.unwrap();
        let tip = self.height().await;
        let mature = found.iter().filter(|found| !found.coinbase || found.height + 100 <= tip);
        let mut coins: Vec<Coin> = mature.map(|found| found.coin).collect();
        coins.sort_unstable_by_key(|coin| (std::cmp::Reverse(coin.value), coin.outpoint));
        coins
    }

    /// Has the covenant sign for a stake that is not sent: the staker's transaction, and the vault it will be.
    async fn sign_ahead(&self, staking_time: u16) -> (Transaction, Vault) {
        let (people, versions) = (&self.people, self.chain.versions());
        let rules = versions.at(0).unwrap();
        let terms = people.staking_terms(rules, staking_time);
        let (amount, rate) = (Amount::from_sat(100_000_000), FeeRate::from_sat_per_vb_u32(5));
        let staking = people.wallet.stake(&self.coins().await, &terms, amount, rate).unwrap();
        let draft = people.register(&staking, &people.vault(&staking, rules, staking_time), (None, None));
        let registration = people.presign(&draft, None, None, versions, 2);
        let id = Presigned::check(&registration, None, versions).unwrap().draft().id();
        let registered = self.chain.tip().await.unwrap().number;
        (staking, Vault { id, registration, registered, start: None, status: VaultStatus::Verified, since: registered })
    }

    /// Has the covenant sign for `parent` to grow by half a bitcoin: the complete transaction, unsent, and the child.
    async fn expand(&self, parent: &Vault) -> (Transaction, Vault) {
        let (people, versions) = (&self.people, self.chain.versions());
        let rules = versions.at(0).unwrap();
        let coin = self.coins().await[0];
        let output = TxOut { value: coin.value, script_pubkey: people.wallet.script_pubkey() };
        let funding = FundingCoin { outpoint: coin.outpoint, output };
        let old = Presigned::held(&parent.registration, versions).unwrap();
        let terms = people.staking_terms(rules, 1_000);
        let rest = Some((Amount::from_sat(150_000_000), people.wallet.script_pubkey()));
        let rate = FeeRate::from_sat_per_vb_u32(5);
        let transaction = expansion::build(old.vault(), &terms, &funding, rest, rate).unwrap();
        let how = (None, Some(expansion::write(parent.id, &funding).unwrap()));
        let draft = people.register(&transaction, &people.vault(&transaction, rules, 1_000), how);
        let before = Some(&parent.registration);
        let registration = people.presign(&draft, before, None, versions, 2);
        let presigned = Presigned::check(&registration, before, versions).unwrap();
        let complete = people.wallet.expand(&presigned).unwrap();
        let (id, registered) = (presigned.draft().id(), self.chain.tip().await.unwrap().number);
        (
            complete,
            Vault { id, registration, registered, start: None, status: VaultStatus::Verified, since: registered },
        )
    }

    /// Stakes for `staking_time` blocks and has two of three covenant members sign: a registration the ledger may hold.
    async fn stake(&self, staking_time: u16) -> (VaultRegistration, Vault) {
        let (people, versions) = (&self.people, self.chain.versions());
        let rules = versions.at(0).unwrap();
        let coins = self.coins().await;
        let terms = people.staking_terms(rules, staking_time);
        let amount = Amount::from_sat(100_000_000);
        let staking = people.wallet.stake(&coins, &terms, amount, FeeRate::from_sat_per_vb_u32(5)).unwrap();
        let txid = self.send(&staking).await;
        self.mine(1).await;
        let height = u64::from(self.height().await);
        let (block, proof) = self.chain.find(txid, height).await.unwrap();
        let vault = people.vault(&staking, rules, staking_time);
        let draft = people.draft(&staking, &vault, &proof, (block, height));
        let inclusion = draft.inclusion.clone().unwrap();
        let header = self.chain.header_of(&vault.id(), &inclusion).await.unwrap();
        let moved = [Inclusion { index: 0, ..inclusion.clone() }, Inclusion { index: 2, ..inclusion }];
        for moved in moved {
            let elsewhere = self.chain.header_of(&vault.id(), &moved).await;
            assert!(matches!(elsewhere, Err(ChainError::Refused(_))), "{elsewhere:?}");
        }
        let registration = people.presign(&draft, None, Some(&header), versions, 2);
        let id = Presigned::check(&registration, None, versions).unwrap().draft().id();
        (
            registration.clone(),
            Vault { id, registration, registered: height, start: None, status: VaultStatus::Verified, since: height },
        )
    }

    /// The provider signs two digests in one slot with one nonce: what that gives the network is a case with evidence.
    fn equivocate(&self, vault: &Vault, guilty: &eots::SecretKey) -> Execution {
        let domains = self.genesis.domains();
        let (chain, domain, slot) = (domains.chain, domains.bitcoin, 10);
        let nonce = eots::nonce(guilty, chain.as_bytes(), domain.as_bytes(), slot);
        let sign = |digest| {
            let message = Statement { domain, slot, digest }.eots_message(&chain);
            (digest, Hash::new(eots::sign(guilty, &nonce, &message).0))
        };
        let opening = Opening {
            commitment: Commitment { first: Height::new(5), count: 2, root: Hash::ZERO },
            aunts: List::new(),
        };
        let operator = vault.registration.operator;
        let pair = EotsPair {
            operator,
            domain,
            slot,
            nonce: Hash::new(nonce.public().to_bytes()),
            opening,
            first: sign(Digest::new([1; 32])),
            second: sign(Digest::new([2; 32])),
        };
        let order =
            SlashOrder { target: SlashTarget::Vault(vault.id), asked: 10_000_000, status: OrderStatus::Ordered };
        let case = Case {
            id: CaseId::derive(&chain, &operator, &domain),
            operator,
            domain,
            slot,
            opened: Height::new(11),
            evidence: Some(Evidence::EotsPair(pair)),
            orders: List::try_from(vec![order]).unwrap(),
        };
        let convict =
            Operator { id: operator, keys: List::new(), convicted: None, jailed: None, attested: 0, missed: 0 };
        Execution { case, order: 0, operator: convict, vault: Some(vault.clone()), certified: None, company: None }
    }
}

/// The first of two endpoints is silent: one honest one is enough.
async fn connect(bitcoind: &Bitcoind, genesis: &Arc<Genesis>) -> Result<Bitcoin, ChainError> {
    let auth = Auth::Password { user: "nobody".to_owned(), password: "none".to_owned() };
    let silent = Endpoint { url: format!("http://127.0.0.1:{}", free_port()), auth };
    let endpoints = vec![silent, bitcoind.endpoint().clone()];
    let (max_tip_age, grace) = (Duration::from_secs(3_600), Duration::ZERO);
    Bitcoin::connect(Config { endpoints, genesis: genesis.clone(), max_tip_age, grace, kept: Vec::new() }).await
}

fn watch(vault: &Vault) -> Watch {
    watch_all(&[vault])
}

fn watch_all(vaults: &[&Vault]) -> Watch {
    let vaults = vaults.iter().map(|vault| (vault.id, (*vault).clone()));
    Watch { vaults: BTreeMap::from_iter(vaults), ..Watch::default() }
}

fn spent(vault: &Vault, spend: Spend) -> Fact {
    Fact::VaultSpent(VaultSpent { id: vault.id, spend })
}

fn locked(vault: &Vault, height: u32) -> Fact {
    Fact::VaultConfirmed(VaultConfirmed { id: vault.id, height: u64::from(height) })
}

/// The fact that a vault's coins are locked where its registration says.
fn confirmed(vault: &Vault) -> Fact {
    let height = vault.registration.inclusion.as_ref().unwrap().height;
    Fact::VaultConfirmed(VaultConfirmed { id: vault.id, height })
}

fn key_row(eots: &eots::SecretKey) -> KeyRow {
    KeyRow {
        id: 1,
        from: 0,
        until: None,
        bls: BlsKey::ZERO,
        ed25519: Ed25519Key::ZERO,
        eots: SchnorrKey::new(eots.public().to_bytes()),
        peer: Blob::default(),
    }
}

fn id(transaction: &Transaction) -> Hash {
    Hash::new(transaction.compute_txid().to_byte_array())
}

#[tokio::test]
async fn an_equivocation_gives_the_key_that_completes_the_slash_and_the_chain_takes_it() {
    let net = Regtest::start().await;
    let (_, mut vault) = net.stake(1_000).await;
    let first = net.chain.tip().await.unwrap();
    assert_eq!(net.observe(net.start_point(), first, &vault).await, [], "the tip's depth is zero");
    let locked = net.settle().await;
    assert_eq!(net.observe(net.start_point(), locked, &vault).await, [confirmed(&vault)]);
    vault.status = VaultStatus::Active;

    let execution = net.equivocate(&vault, &net.people.providers[0]);
    let began = Instant::now();
    let Progress::Sent(sent) = net.chain.execute(&execution).await.unwrap() else { panic!("not mined yet") };
    println!("from an EOTS pair to a slashing transaction in bitcoind's mempool: {:?}", began.elapsed());
    assert!(net.client().pooled(Txid::from_byte_array(*sent.as_bytes())).await.unwrap().is_some());
    assert_eq!(net.chain.execute(&execution).await.unwrap(), Progress::Sent(sent), "again changes nothing");
    net.mine(1).await;
    assert_eq!(net.chain.execute(&execution).await.unwrap(), Progress::Executed(sent));
    let slashed = net.settle().await;
    let taken = Sats::new(10_000_000);
    let spend = Spend::Slashed(VaultLoss { txid: sent, taken });
    assert_eq!(net.observe(locked, slashed, &vault).await, [Fact::VaultSpent(VaultSpent { id: vault.id, spend })]);

    // r29: whoever reads the chain learns the key, with no case at hand
    let exposed = net.chain.exposed(&locked, &slashed, &watch(&vault)).await.unwrap();
    let [Evidence::ExposedProvider(provider)] = exposed[..] else { panic!("one key, of nobody we know") };
    let secret = eots::SecretKey::from_bytes(&provider.secret).unwrap();
    assert_eq!(secret.public(), net.people.providers[0].public());
    // of an operator of ours it is a conviction
    let mut known = watch(&vault);
    let row = key_row(&secret);
    let keys = List::try_from(vec![row]).unwrap();
    let operator =
        Operator { id: OperatorId::new([7; 20]), keys, convicted: None, jailed: None, attested: 0, missed: 0 };
    known.operators.insert(operator.id, operator);
    let exposed = net.chain.exposed(&locked, &slashed, &known).await.unwrap();
    let [Evidence::ExposedKey(key), Evidence::ExposedProvider(_)] = &exposed[..] else { panic!("his key") };
    assert_eq!((key.operator, key.secret), (OperatorId::new([7; 20]), provider.secret), "whoever's vault it stood in");

    // what is left comes back to the staker after the unbonding time, and not a block earlier
    let presigned = Presigned::held(&vault.registration, net.chain.versions()).unwrap();
    let back =
        net.people.wallet.withdraw_change(presigned.vault(), 0, stake::elsewhere(), Amount::from_sat(1_000)).unwrap();
    let acceptance = net.client().test(&back).await.unwrap();
    assert_eq!(acceptance.reason.as_deref(), Some("non-BIP68-final"));
    net.mine(1).await;
    net.send(&back).await;
}

#[tokio::test]
async fn an_innocent_provider_cannot_be_slashed_for_another_ones_fault() {
    let net = Regtest::start().await;
    let (_, vault) = net.stake(1_000).await;
    let execution = net.equivocate(&vault, &secret(99));
    assert!(matches!(net.chain.execute(&execution).await, Err(ChainError::Refused(_))));
    let mut without = net.equivocate(&vault, &net.people.providers[0]);
    without.case.evidence = None;
    assert!(matches!(net.chain.execute(&without).await, Err(ChainError::Refused(_))));
}

#[tokio::test]
async fn a_stake_that_is_already_unbonding_is_slashed_all_the_same() {
    let net = Regtest::start().await;
    let (registration, mut vault) = net.stake(1_000).await;
    let presigned = Presigned::held(&registration, net.chain.versions()).unwrap();
    let unbonding = net.people.wallet.unbond(&presigned).unwrap();
    net.send(&unbonding).await;
    let upto = net.settle().await;
    let spend = Spend::Unbonded(id(&unbonding));
    let unbonded = Fact::VaultSpent(VaultSpent { id: vault.id, spend });
    assert_eq!(net.observe(net.start_point(), upto, &vault).await, [confirmed(&vault), unbonded]);
    vault.status = VaultStatus::Unbonding(id(&unbonding));

    let execution = net.equivocate(&vault, &net.people.providers[0]);
    let Progress::Sent(sent) = net.chain.execute(&execution).await.unwrap() else { panic!("not mined yet") };
    let slash = presigned.vault().slashings().iter().find(|slashing| slashing.held == Held::Unbonding).unwrap();
    assert_eq!(sent, id(&slash.transaction));
    let last = net.settle().await;
    let taken = Sats::new((100_000_000 - 1_000) / 10);
    let spend = Spend::Slashed(VaultLoss { txid: sent, taken });
    assert_eq!(net.observe(upto, last, &vault).await, [Fact::VaultSpent(VaultSpent { id: vault.id, spend })]);
}

#[tokio::test]
async fn a_staker_withdraws_after_the_timelock_and_not_before() {
    let net = Regtest::start().await;
    let (registration, mut vault) = net.stake(12).await;
    let presigned = Presigned::held(&registration, net.chain.versions()).unwrap();
    let withdrawal = net
        .people
        .wallet
        .withdraw(presigned.vault(), Held::Staked, stake::elsewhere(), Amount::from_sat(1_000))
        .unwrap();
    net.mine(10).await; // with its own block eleven: one is missing
    assert_eq!(net.client().test(&withdrawal).await.unwrap().reason.as_deref(), Some("non-BIP68-final"));
    net.mine(1).await;
    net.send(&withdrawal).await;
    let height = registration.inclusion.as_ref().unwrap().height;
    assert!(net.chain.unspent(&vault.id, height).await.unwrap(), "the mempool does not count");
    let upto = net.settle().await;
    assert!(!net.chain.unspent(&vault.id, height).await.unwrap());
    let above = net.chain.unspent(&vault.id, u64::from(net.height().await) + 1).await;
    assert!(matches!(above, Err(ChainError::NotThere { .. })), "nobody has come to that block");
    vault.status = VaultStatus::Active;
    let spend = Spend::Withdrawn(id(&withdrawal));
    assert_eq!(
        net.observe(net.start_point(), upto, &vault).await,
        [Fact::VaultSpent(VaultSpent { id: vault.id, spend })]
    );
}

#[tokio::test]
async fn r28_a_slash_that_waits_climbs_to_the_next_rung() {
    let net = Regtest::start().await;
    let (_, vault) = net.stake(1_000).await;
    let execution = net.equivocate(&vault, &net.people.providers[0]);
    let Progress::Sent(cheap) = net.chain.execute(&execution).await.unwrap() else { panic!("not mined yet") };
    mine_empty(&net, 6).await;
    let Progress::Sent(dear) = net.chain.execute(&execution).await.unwrap() else { panic!("not mined yet") };
    assert_ne!(cheap, dear);
    assert_eq!(net.chain.execute(&execution).await.unwrap(), Progress::Sent(dear), "the ladder ends here");
    net.mine(1).await;
    assert_eq!(net.chain.execute(&execution).await.unwrap(), Progress::Executed(dear));
    assert_eq!(ladder().len(), 2);
}

#[tokio::test]
async fn a_vault_signed_for_ahead_is_found_by_its_transaction_and_so_is_its_spend() {
    let net = Regtest::start().await;
    let (staking, vault) = net.sign_ahead(1_000).await;
    let quiet = net.settle().await;
    assert_eq!(net.observe(net.start_point(), quiet, &vault).await, []);
    net.send(&staking).await;
    net.mine(1).await;
    let height = net.height().await;
    let upto = net.settle().await;
    assert_eq!(net.observe(quiet, upto, &vault).await, [locked(&vault, height)]);
    // Whoever registers it after that looked away: it names its block then.
    let late = Vault { registered: upto.number, ..vault.clone() };
    let next = net.settle().await;
    assert_eq!(net.observe(upto, next, &late).await, []);

    // The staker unbonds in the block that locks his coins: one gap holds both, in the order of the chain.
    let (staking, vault) = net.sign_ahead(1_000).await;
    let presigned = Presigned::held(&vault.registration, net.chain.versions()).unwrap();
    let unbonding = net.people.wallet.unbond(&presigned).unwrap();
    net.send(&staking).await;
    net.send(&unbonding).await;
    net.mine(1).await;
    let height = net.height().await;
    let last = net.settle().await;
    let facts = [locked(&vault, height), spent(&vault, Spend::Unbonded(id(&unbonding)))];
    assert_eq!(net.observe(next, last, &vault).await, facts);
}

#[tokio::test]
async fn r28_an_active_stake_is_expanded_and_its_child_is_slashed() {
    let net = Regtest::start().await;
    let (_, mut parent) = net.stake(1_000).await;
    let first = net.settle().await;
    parent.status = VaultStatus::Active;
    let (complete, mut child) = net.expand(&parent).await;
    // Nobody can take what is not locked yet, and that is no refusal for ever.
    let early = net.chain.execute(&net.equivocate(&child, &net.people.providers[0])).await;
    assert!(matches!(early, Err(ChainError::NotThere { .. })));

    net.send(&complete).await;
    net.mine(1).await;
    let height = net.height().await;
    let second = net.settle().await;
    let both = watch_all(&[&parent, &child]);
    let moved = spent(&parent, Spend::Expanded(id(&complete)));
    let facts = net.chain.observe(&first, &second, &both).await.unwrap();
    assert_eq!(facts, [moved, locked(&child, height)]);
    // r27: without a registration it is a breach, and the endpoint's word for what the other input spends is checked by it.
    let unknown = net.chain.observe(&first, &second, &watch(&parent)).await.unwrap();
    let [Fact::VaultSpent(unexpected), Fact::CovenantBreach(one), Fact::CovenantBreach(other)] = &unknown[..] else {
        panic!("{unknown:?}")
    };
    assert_eq!(Fact::VaultSpent(*unexpected), spent(&parent, Spend::Unexpected(id(&complete))));
    assert!(one.member < other.member && one.is_signed() && other.is_signed());
    for breach in [one, other] {
        assert_eq!((breach.vault, breach.transaction), (parent.id, id(&complete)));
        assert_eq!(breach.height, u64::from(height));
        assert!(!CovenantBreach { sighash: Hash::ZERO, ..*breach }.is_signed());
    }

    // The parent's coins are gone; the child's are taken.
    let gone = net.chain.execute(&net.equivocate(&parent, &net.people.providers[0])).await;
    assert!(matches!(gone, Err(ChainError::Refused(_))));
    child.status = VaultStatus::Active;
    let execution = net.equivocate(&child, &net.people.providers[0]);
    let Progress::Sent(sent) = net.chain.execute(&execution).await.unwrap() else { panic!("not mined yet") };
    let last = net.settle().await;
    let spend = Spend::Slashed(VaultLoss { txid: sent, taken: Sats::new(15_000_000) });
    assert_eq!(net.observe(second, last, &child).await, [spent(&child, spend)]);
}

/// GHSA-4rm2-cj74-f62h: the child unbonds before anybody has said that the parent is closed.
#[tokio::test]
async fn a_child_that_unbonds_at_once_is_seen_to_grow_and_to_unbond_in_one_gap() {
    let net = Regtest::start().await;
    let (_, mut parent) = net.stake(1_000).await;
    let first = net.settle().await;
    parent.status = VaultStatus::Active;
    let (complete, child) = net.expand(&parent).await;
    net.send(&complete).await;
    net.mine(1).await;
    let height = net.height().await;
    let presigned = Presigned::held(&child.registration, net.chain.versions()).unwrap();
    let unbonding = net.people.wallet.unbond(&presigned).unwrap();
    net.send(&unbonding).await;
    let upto = net.settle().await;
    let facts = net.chain.observe(&first, &upto, &watch_all(&[&parent, &child])).await.unwrap();
    let unbonded = spent(&child, Spend::Unbonded(id(&unbonding)));
    assert_eq!(facts, [spent(&parent, Spend::Expanded(id(&complete))), locked(&child, height), unbonded]);
}

#[tokio::test]
async fn an_expired_vault_weighs_nothing_and_is_slashed_all_the_same_until_its_coins_are_spent() {
    let net = Regtest::start().await;
    let terms = net.genesis.terms(0).unwrap();
    let (_, mut vault) = net.stake(12).await;
    let start = vault.registration.inclusion.as_ref().unwrap().height;
    vault.start = Some(start);
    vault.status = VaultStatus::Active;
    // Locked for 12 blocks, unbonding takes 6: at the sixth there is no time left to answer a fault.
    assert_eq!((vault.phase(terms, start + 5), vault.phase(terms, start + 6)), (Phase::Active, Phase::Expired));
    net.mine(9).await;
    let anchor = net.chain.tip().await.unwrap();
    assert_eq!(vault.phase(terms, anchor.number), Phase::Expired);
    let execution = net.equivocate(&vault, &net.people.providers[0]);
    let Progress::Sent(sent) = net.chain.execute(&execution).await.unwrap() else { panic!("not mined yet") };
    let last = net.settle().await;
    let spend = Spend::Slashed(VaultLoss { txid: sent, taken: Sats::new(10_000_000) });
    assert_eq!(net.observe(anchor, last, &vault).await, [spent(&vault, spend)]);
}

#[tokio::test]
async fn a_staker_who_races_with_the_unbonding_transaction_is_outbid_in_the_mempool() {
    let net = Regtest::start().await;
    let (registration, vault) = net.stake(1_000).await;
    let presigned = Presigned::held(&registration, net.chain.versions()).unwrap();
    net.send(&net.people.wallet.unbond(&presigned).unwrap()).await;
    let execution = net.equivocate(&vault, &net.people.providers[0]);
    let Progress::Sent(sent) = net.chain.execute(&execution).await.unwrap() else { panic!("not mined yet") };
    let dear = presigned.vault().slashings().iter().find(|one| one.held == Held::Staked && one.rung == 1).unwrap();
    assert_eq!(sent, id(&dear.transaction), "the cheapest rung pays less than he does");
    net.mine(1).await;
    assert_eq!(net.chain.execute(&execution).await.unwrap(), Progress::Executed(sent));
}

#[tokio::test]
async fn r30_a_slash_that_a_reorganisation_took_out_is_carried_out_again() {
    let net = Regtest::start().await;
    let (_, vault) = net.stake(1_000).await;
    let execution = net.equivocate(&vault, &net.people.providers[0]);
    let Progress::Sent(sent) = net.chain.execute(&execution).await.unwrap() else { panic!("not mined yet") };
    net.mine(1).await;
    assert_eq!(net.chain.execute(&execution).await.unwrap(), Progress::Executed(sent));
    let block = net.client().block_hash(net.height().await).await.unwrap();
    net.client().invalidate(block).await.unwrap();
    mine_empty(&net, 2).await;
    assert_eq!(net.chain.execute(&execution).await.unwrap(), Progress::Sent(sent), "it is on its way again");
    net.mine(1).await;
    assert_eq!(net.chain.execute(&execution).await.unwrap(), Progress::Executed(sent));
}

#[tokio::test]
async fn r28_a_slash_starts_at_the_rung_that_the_market_asks() {
    let net = Regtest::start().await;
    let (_, vault) = net.stake(1_000).await;
    let presigned = Presigned::held(&vault.registration, net.chain.versions()).unwrap();
    let [cheap, dear] = [0, 1].map(|rung| presigned.vault().rate(&presigned.vault().slashings()[rung]));
    let quiet = net.client().market_rate().await.unwrap();
    assert!(quiet < cheap, "{quiet}");
    // Everybody pays ten times that, until the node believes it.
    let rate = FeeRate::from_sat_per_vb_u32(40);
    for _ in 0..MANY_BLOCKS {
        if net.client().market_rate().await.unwrap() > cheap {
            break;
        }
        for coin in net.coins().await.into_iter().take(6) {
            let half = TxOut { value: coin.value / 2, script_pubkey: net.people.wallet.script_pubkey() };
            net.send(&net.people.wallet.pay(&[coin], half, rate).unwrap()).await;
        }
        net.mine(1).await;
    }
    let market = net.client().market_rate().await.unwrap();
    assert!((cheap..=dear).contains(&market), "{cheap} {market} {dear}");
    let Progress::Sent(sent) = net.chain.execute(&net.equivocate(&vault, &net.people.providers[0])).await.unwrap()
    else {
        panic!("not mined yet")
    };
    assert_eq!(sent, id(&presigned.vault().slashings()[1].transaction));
}

/// After so many busy blocks a node has an estimate.
const MANY_BLOCKS: u32 = 40;

/// Blocks that leave the mempool as it is. Each pays somebody else: a block that replaces another with the same parent, time and coinbase
/// would be that very block, which the node was told to refuse.
async fn mine_empty(net: &Regtest, blocks: u32) {
    static PAID: AtomicU64 = AtomicU64::new(0);
    for _ in 0..blocks {
        let mut hash = [1; 20];
        hash[..8].copy_from_slice(&PAID.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        let script = bitcoin::ScriptBuf::new_p2wpkh(&bitcoin::WPubkeyHash::from_byte_array(hash));
        let other = bitcoin::Address::from_script(&script, Network::Regtest).unwrap();
        net.client().mine_empty(&other).await.unwrap();
    }
}

#[tokio::test]
async fn r30_a_shallow_reorganisation_changes_nothing_final_and_a_deep_one_breaks_finality() {
    let net = Regtest::start().await;
    let (_, mut vault) = net.stake(1_000).await;
    let upto = net.settle().await;
    assert_eq!(net.observe(net.start_point(), upto, &vault).await, [confirmed(&vault)]);
    vault.status = VaultStatus::Active;

    // two blocks are replaced by three: the anchor stands
    net.replace(net.height().await - 1, 3).await;
    let next = net.chain.tip().await.unwrap();
    assert_eq!(next.number, upto.number + 1);
    assert_eq!(net.chain.point(upto.number).await.unwrap(), upto);
    assert_eq!(net.observe(upto, next, &vault).await, []);

    // the anchor's own block is replaced by a heavier chain
    net.replace(u32::try_from(upto.number).unwrap(), 12).await;
    let after = net.chain.tip().await.unwrap();
    assert_ne!(net.chain.point(upto.number).await.unwrap().hash, upto.hash);
    let broken = net.chain.observe(&upto, &after, &watch(&vault)).await;
    assert!(matches!(broken, Err(ChainError::FinalityBroken { number }) if number == upto.number));
}

/// Replaces the newest blocks by one more, the first of them empty: what they held stands higher now.
async fn replace_newest(net: &Regtest, blocks: u32) {
    let first = net.client().block_hash(net.height().await + 1 - blocks).await.unwrap();
    net.client().invalidate(first).await.unwrap();
    mine_empty(net, 1).await;
    net.mine(blocks).await;
}

#[tokio::test]
async fn r30_one_block_and_k_minus_one_replaced_under_every_state_of_a_vault_undo_nothing_that_was_final() {
    let net = Regtest::start().await;
    let few = DEPTH - 1;
    let (registration, mut vault) = net.stake(1_000).await;
    // Registered before its coins were locked: its transaction is found wherever it comes to stand.
    vault.registration.inclusion = None;
    vault.registered = net.start_point().number;
    for blocks in [1, few] {
        replace_newest(&net, blocks).await;
    }
    let mut anchor = net.chain.tip().await.unwrap();
    assert_eq!(net.observe(net.start_point(), anchor, &vault).await, [], "its coins are not deep yet");
    let upto = net.settle().await;
    let [Fact::VaultConfirmed(found)] = net.observe(anchor, upto, &vault).await[..] else {
        panic!("it is confirmed once")
    };
    let holder =
        net.client().block(net.client().block_hash(u32::try_from(found.height).unwrap()).await.unwrap()).await.unwrap();
    assert!(holder.txdata.iter().any(|transaction| id(transaction) == vault.id.txid), "where it really stands");
    (vault.status, vault.start, anchor) = (VaultStatus::Active, Some(found.height), upto);

    // Active, and its unbonding on the way.
    let presigned = Presigned::held(&registration, net.chain.versions()).unwrap();
    let unbonding = net.people.wallet.unbond(&presigned).unwrap();
    for blocks in [1, few] {
        replace_newest(&net, blocks).await;
    }
    net.send(&unbonding).await;
    net.mine(1).await;
    for blocks in [1, few] {
        replace_newest(&net, blocks).await;
        let tip = net.chain.tip().await.unwrap();
        assert_eq!(net.chain.point(anchor.number).await.unwrap(), anchor, "the anchor stands");
        assert_eq!(net.observe(anchor, tip, &vault).await, [], "nothing is final");
    }
    let upto = net.settle().await;
    let unbonded = Fact::VaultSpent(VaultSpent { id: vault.id, spend: Spend::Unbonded(id(&unbonding)) });
    assert_eq!(net.observe(anchor, upto, &vault).await, [unbonded]);
    (vault.status, anchor) = (VaultStatus::Unbonding(id(&unbonding)), upto);

    // Unbonding, and its slashing on the way.
    let execution = net.equivocate(&vault, &net.people.providers[0]);
    let Progress::Sent(sent) = net.chain.execute(&execution).await.unwrap() else { panic!("not mined yet") };
    net.mine(1).await;
    assert_eq!(net.chain.execute(&execution).await.unwrap(), Progress::Executed(sent));
    for blocks in [1, few] {
        replace_newest(&net, blocks).await;
        let tip = net.chain.tip().await.unwrap();
        assert_eq!(net.observe(anchor, tip, &vault).await, [], "nothing is final");
    }
    let upto = net.settle().await;
    let taken = Sats::new((100_000_000 - 1_000) / 10);
    let slashed = Fact::VaultSpent(VaultSpent { id: vault.id, spend: Spend::Slashed(VaultLoss { txid: sent, taken }) });
    assert_eq!(net.observe(anchor, upto, &vault).await, [slashed]);
    for blocks in [1, few] {
        replace_newest(&net, blocks).await;
    }
    assert_eq!(net.chain.point(upto.number).await.unwrap(), upto, "what was final stands");
}

#[tokio::test]
async fn r30_a_chain_that_took_back_final_blocks_is_told_anew_from_the_newest_anchor_it_still_holds() {
    let net = Regtest::start().await;
    let (registration, mut early) = net.stake(1_000).await;
    let shared = net.settle().await;
    let [Fact::VaultConfirmed(found)] = net.observe(net.start_point(), shared, &early).await[..] else { panic!("one") };
    (early.status, early.start, early.since) = (VaultStatus::Active, Some(found.height), shared.number);

    // After the shared anchor the first vault unbonds and is slashed, and a second one comes.
    let (_, mut late) = net.stake(1_000).await;
    let presigned = Presigned::held(&registration, net.chain.versions()).unwrap();
    let unbonding = net.people.wallet.unbond(&presigned).unwrap();
    net.send(&unbonding).await;
    net.mine(1).await;
    let execution = net.equivocate(&early, &net.people.providers[0]);
    let Progress::Sent(sent) = net.chain.execute(&execution).await.unwrap() else { panic!("not mined yet") };
    let gone = net.settle().await;
    assert_eq!(net.chain.execute(&execution).await.unwrap(), Progress::Executed(sent));
    let both = |early: &Vault, late: &Vault, older: Vec<ChainPoint>| Watch {
        vaults: BTreeMap::from([(early.id, early.clone()), (late.id, late.clone())]),
        older,
        ..Watch::default()
    };
    let facts = net.chain.observe(&shared, &gone, &both(&early, &late, vec![])).await.unwrap();
    assert_eq!(facts.len(), 3, "{facts:?}");
    let taken = Sats::new((100_000_000 - 1_000) / 10);
    let loss = VaultLoss { txid: sent, taken };
    (early.status, early.since) = (VaultStatus::Slashed(loss), gone.number);
    (late.status, late.start, late.since) =
        (VaultStatus::Active, Some(shared.number + u64::from(DEPTH) + 1), gone.number);

    // While the endpoint is no deeper than k past the anchor on another chain, nothing is known; then it is gone.
    let first = u32::try_from(shared.number + 1).unwrap();
    let replaced = net.height().await - first + 1;
    net.client().invalidate(net.client().block_hash(first).await.unwrap()).await.unwrap();
    mine_empty(&net, replaced + 1).await;
    let tip = net.chain.tip().await.unwrap();
    let broken = net.chain.observe(&gone, &tip, &both(&early, &late, vec![])).await;
    assert!(matches!(broken, Err(ChainError::FinalityBroken { number }) if number == gone.number), "{broken:?}");

    // Nothing of it stands on the new chain, which goes on from the shared anchor.
    let watch = both(&early, &late, vec![gone, shared, net.start_point()]);
    assert_eq!(net.chain.resume(&tip, &watch).await.unwrap(), [Fact::Rewound(shared)]);
    assert!(net.chain.resume(&gone, &watch).await.is_err(), "a block that is not on the chain is no start");
    let rewound = watch.rewound(&shared);
    let (early, late) = (rewound.vaults[&early.id].clone(), rewound.vaults[&late.id].clone());
    assert_eq!((early.status, late.status), (VaultStatus::Active, VaultStatus::Verified));

    // What was taken back waits in the mempool. The stake itself is unspent again, so that the executor outbids the unbonding for it.
    let Progress::Sent(again) = net.chain.execute(&execution).await.unwrap() else { panic!("not mined yet") };
    let loss = VaultLoss { txid: again, taken: Sats::new(100_000_000 / 10) };
    net.mine(1).await;
    let height = u64::from(net.height().await);
    let upto = net.settle().await;
    let facts = net.chain.observe(&tip, &upto, &both(&early, &late, vec![])).await.unwrap();
    let spent = |spend| Fact::VaultSpent(VaultSpent { id: early.id, spend });
    assert_eq!(facts.len(), 2, "{facts:?}");
    for fact in [Fact::VaultConfirmed(VaultConfirmed { id: late.id, height }), spent(Spend::Slashed(loss))] {
        assert!(facts.contains(&fact), "{fact:?} is not among {facts:?}");
    }

    // Taken back once more, all of it is told anew.
    let older = Vault { since: upto.number, status: VaultStatus::Slashed(loss), ..early.clone() };
    let late = Vault { since: upto.number, status: VaultStatus::Active, start: Some(height), ..late };
    let watch = both(&older, &late, vec![tip]);
    let end = net.settle().await;
    let facts = net.chain.resume(&end, &watch).await.unwrap();
    assert_eq!(facts[0], Fact::Rewound(tip));
    assert_eq!(facts.len(), 3, "{facts:?}");
}

#[tokio::test]
async fn r30_a_heavier_chain_elsewhere_freezes_the_anchor_until_our_own_endpoint_shows_it() {
    let net = Regtest::start().await;
    net.mine(6).await;
    let before = net.chain.tip().await.unwrap();
    let ours = net.chain.best().await.unwrap();
    assert_eq!(ours, net.chain.newest().await.unwrap());
    let locator = net.chain.locator().await;
    assert_eq!(locator[0], ours.point.hash);
    assert_eq!(locator.last(), Some(&net.start_point().hash));

    // What a peer with another endpoint would send: one block more on another branch.
    let (height, fork) = (net.height().await, net.height().await - 1);
    let own = net.client().block_hash(fork).await.unwrap();
    net.client().invalidate(own).await.unwrap();
    mine_empty(&net, 3).await;
    let mut headers = Vec::new();
    for at in fork..=height + 1 {
        let header = net.client().header(net.client().block_hash(at).await.unwrap()).await.unwrap();
        headers.extend(bitcoin::consensus::encode::serialize(&header));
    }
    let theirs = net.client().block_hash(fork).await.unwrap();
    net.client().invalidate(theirs).await.unwrap();
    net.client().reconsider(own).await.unwrap();
    assert_eq!(net.chain.tip().await.unwrap(), before);

    assert!(net.chain.hear(&headers[..79], Instant::now()).await.is_err());
    let mut forged = headers.clone();
    forged[4] ^= 1;
    assert!(matches!(net.chain.hear(&forged, Instant::now()).await, Err(ChainError::Lied(_))));
    assert_eq!(net.chain.hear(&headers[..160], Instant::now()).await.unwrap(), Heard::Known, "no more work than ours");
    assert_eq!(net.chain.tip().await.unwrap(), before);
    assert_eq!(net.chain.hear(&headers, Instant::now()).await.unwrap(), Heard::Heavier);
    assert!(matches!(net.chain.tip().await, Err(ChainError::Unavailable { .. })), "it stands still");
    let frozen = net.chain.observe(&net.start_point(), &before, &Watch::default()).await;
    assert!(matches!(frozen, Err(ChainError::Unavailable { .. })), "also for what others propose: {frozen:?}");
    assert_eq!(net.chain.best().await.unwrap(), ours, "our chain is what our own endpoint shows");

    net.client().reconsider(theirs).await.unwrap();
    assert_eq!(net.chain.tip().await.unwrap().number, u64::from(height + 1 - DEPTH));
    assert_eq!(net.chain.hear(&headers, Instant::now()).await.unwrap(), Heard::Known);
    let sent = net.chain.headers_after(&locator).await;
    assert!(sent.ends_with(&headers), "and it is told on");
    assert_eq!(net.chain.headers_after(&[Hash::ZERO]).await, [0; 0]);
}

#[tokio::test]
async fn r30_a_tip_far_behind_the_clock_freezes_the_anchor() {
    let dir = tempfile::tempdir().unwrap();
    let binary = bitcoind::locate().unwrap();
    let bitcoind = Bitcoind::start(&binary, dir.path(), free_port(), Lifetime::Handle).await.unwrap();
    let people = People::new(3, 1);
    let genesis = Arc::new(genesis(&bitcoind, &people, 0).await);
    let chain = connect(&bitcoind, &genesis).await.unwrap();
    // Regtest's genesis is of 2011.
    let Err(ChainError::Unavailable { source, .. }) = chain.tip().await else { panic!("an old tip says nothing") };
    assert!(matches!(source.downcast_ref(), Some(Frozen::Stale { age_s }) if *age_s > 400_000_000), "{source}");
    bitcoind.client().mine(DEPTH + 1, &people.wallet.address(Network::Regtest)).await.unwrap();
    assert_eq!(chain.tip().await.unwrap().number, 1);
}

#[tokio::test]
async fn another_chain_or_start_is_refused_at_once() {
    let net = Regtest::start().await;
    let with = |change: fn(&mut Genesis)| {
        let mut genesis = (*net.genesis).clone();
        change(&mut genesis);
        Arc::new(genesis)
    };
    let connect = async |genesis: Arc<Genesis>| connect(&net.bitcoind, &genesis).await.map(drop);
    let mainnet = with(|genesis| {
        genesis.bitcoin_genesis =
            Hash::new(bitcoin::constants::genesis_block(Network::Bitcoin).block_hash().to_byte_array());
    });
    let newest = net.chain.newest().await.unwrap();
    assert_eq!(newest.point.number, u64::from(net.height().await));
    assert!(newest.work > [0; 32]);
    assert!(matches!(connect(mainnet).await, Err(ChainError::WrongChain { .. })));
    assert!(matches!(
        connect(with(|genesis| genesis.bitcoin_start.hash = Hash::ZERO)).await,
        Err(ChainError::WrongChain { .. })
    ));
    assert!(connect(with(|genesis| genesis.bitcoin_start.number = 1_000)).await.is_err());
    assert!(matches!(net.chain.point(5_000).await, Err(ChainError::NotThere { number: 5_000 })));
    assert_eq!(&Versions::of(&net.genesis).unwrap(), net.chain.versions());
    assert_eq!(OperatorId::ZERO, OperatorId::new([0; 20]));
}

#[tokio::test]
async fn a_restarted_bitcoind_has_other_credentials_and_is_found_again() {
    let Regtest { bitcoind, _dir, chain, .. } = Regtest::start().await;
    let before = chain.tip().await.unwrap();
    let port: u16 = bitcoind.endpoint().url.rsplit(':').next().unwrap().parse().unwrap();
    bitcoind.stop().await.unwrap();
    assert!(matches!(chain.tip().await, Err(ChainError::Unavailable { .. })));
    let binary = bitcoind::locate().unwrap();
    let _again = Bitcoind::start(&binary, _dir.path(), port, Lifetime::Handle).await.unwrap();
    assert_eq!(chain.tip().await.unwrap(), before);
}

#[tokio::test]
async fn r28_what_a_block_asks_is_computed_from_the_block_alone() {
    let net = Regtest::start().await;
    let coins: BTreeMap<_, _> = net.coins().await.iter().map(|coin| (coin.outpoint, coin.value)).collect();
    let (registration, vault) = net.stake(1_000).await;
    let staking: Transaction = bitcoin::consensus::encode::deserialize(&registration.staking).unwrap();
    let spent: Amount = staking.input.iter().map(|input| coins[&input.previous_output]).sum();
    let paid: Amount = staking.output.iter().map(|output| output.value).sum();
    let height = net.height().await;
    let block = net.client().block(net.client().block_hash(height).await.unwrap()).await.unwrap();
    assert_eq!(market::fees(&block, height, Network::Regtest), (spent - paid).to_sat(), "no coin was looked at");
    // It had room, so that it asked nothing. The ledger is told where it says otherwise, and nothing where there is no vault.
    assert_eq!(market::asked(&block, height, Network::Regtest), 0);
    let upto = net.settle().await;
    let told = async |watch: Watch| net.chain.observe(&net.start_point(), &upto, &watch).await.unwrap();
    let calm = told(watch(&vault)).await;
    assert!(matches!(calm[..], [Fact::VaultConfirmed(_)]), "{calm:?}");
    let facts = told(Watch { fee_rate: 5_000, ..watch(&vault) }).await;
    assert!(matches!(facts[..], [Fact::VaultConfirmed(_), Fact::FeeRate(0)]), "{facts:?}");
    assert_eq!(told(Watch { fee_rate: 5_000, ..Watch::default() }).await, []);
}
