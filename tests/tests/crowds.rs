//! R32 on a real bitcoind: a block in which more happens to vaults than one observation can hold is taken in over several.

#![allow(clippy::unwrap_used)] // a test that cannot go on has failed

#[path = "../../chains/bitcoin/tests/stake/mod.rs"]
mod stake;

use bitcoin::hashes::Hash as _;
use bitcoin::{Address, Amount, FeeRate, Network, OutPoint};
use palisade_agreement::anchors::{Gap, Known, Wanted};
use palisade_bitcoin::client::Client;
use palisade_bitcoin::staker::Coin;
use palisade_bitcoin::vault::{CheckedVault, Held};
use palisade_bitcoin::{Bitcoin, Config};
use palisade_devnet::bitcoind::{self, Bitcoind, Lifetime};
use palisade_ledger::fixture::network_with;
use palisade_node::follower::{self, Seen};
use palisade_types::chain::{Chain as _, ChainKind, ChainPoint, Watch};
use palisade_types::observation::{Fact, MAX_FACTS};
use palisade_types::vault::{Spend, Vault, VaultRegistration, VaultStatus};
use palisade_types::{Hash, List, VaultId};
use stake::People;
use std::collections::BTreeSet;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Bitcoin's depth k.
const K: u32 = 3;
/// Stakes of one staker, more than an observation has room for: he alone decides in which block they move.
const STAKES: usize = MAX_FACTS + 76;
/// Unconfirmed stakes in a row: Core takes no longer chains.
const IN_A_ROW: usize = 22;

#[tokio::test]
async fn r32_a_block_that_moves_more_vaults_than_an_observation_holds_is_taken_in_over_several() {
    let binary = bitcoind::locate().expect("no bitcoind: run deploy/devnet.sh once to build it");
    let dir = tempfile::tempdir().unwrap();
    let bitcoind = Bitcoind::start(&binary, dir.path(), free_port(), Lifetime::Handle).await.unwrap();
    let (client, people) = (bitcoind.client(), People::new(3, 1));
    client.mine(110, &people.wallet.address(Network::Regtest)).await.unwrap();
    let (genesis_hash, start) = (hash_at(client, 0).await, point(client, 110 - K).await);
    let network = network_with(1, 7, |genesis| {
        genesis.bitcoin_genesis = genesis_hash;
        genesis.bitcoin_start = start;
        genesis.parameters.bitcoin_depth = u64::from(K);
        genesis.vaults = List::try_from(vec![people.terms(2, 12, 6)]).unwrap();
    });
    let (endpoints, genesis) = (vec![bitcoind.endpoint().clone()], network.genesis.clone());
    let (max_tip_age, grace) = (Duration::from_secs(3_600), Duration::ZERO);
    let chain = Bitcoin::connect(Config { endpoints, genesis, max_tip_age, grace, kept: Vec::new() }).await.unwrap();

    // They all are locked, and then withdrawn in one block.
    let vaults = lock(client, &people, &chain).await;
    mine(client, K + 12).await;
    let mut anchor = chain.tip().await.unwrap();
    for (vault, _) in &vaults {
        let back = people.wallet.withdraw(vault, Held::Staked, stake::elsewhere(), Amount::from_sat(1_000)).unwrap();
        client.send(&back).await.unwrap();
    }
    mine(client, K + 1).await;
    let mut watch = Watch::default();
    for (vault, registration) in &vaults {
        let (id, registration) = (id(vault), registration.clone());
        let (start, status) = (Some(anchor.number), VaultStatus::Active);
        watch.vaults.insert(id, Vault { id, registration, registered: 0, start, status, since: 0 });
    }

    let tip = chain.tip().await.unwrap();
    let (ask, asked) = mpsc::channel(4);
    let (tell, mut seen) = mpsc::channel(16);
    let following = tokio::spawn(follower::follow(ChainKind::Bitcoin, Arc::new(chain), asked, tell));
    let (mut gone, mut observations) = (BTreeSet::new(), 0);
    while anchor != tip {
        let known = Known::new(watch.clone());
        let gap = Gap { chain: ChainKind::Bitcoin, after: anchor, upto: tip, known: known.hash };
        ask.send(Wanted { gap, watch: known.watch }).await.unwrap();
        let (upto, facts) = loop {
            match timeout(Duration::from_secs(120), seen.recv()).await.unwrap().unwrap() {
                Seen::Observed(told, facts) => break (told.upto, facts),
                Seen::Unobserved(gap) => panic!("nothing is told of {gap:?}, and nothing ever would be"),
                _ => {}
            }
        };
        assert!(upto.is_above(&anchor) && facts.len() <= MAX_FACTS);
        for fact in facts {
            match fact {
                Fact::VaultSpent(spent) => {
                    let Spend::Withdrawn(txid) = spent.spend else { panic!("{spent:?}") };
                    assert!(gone.insert(spent.id), "each is told once");
                    watch.vaults.get_mut(&spent.id).unwrap().status = VaultStatus::Withdrawn(txid);
                }
                Fact::FeeRate(rate) => watch.fee_rate = rate,
                other => panic!("{other:?}"),
            }
        }
        (anchor, observations) = (upto, observations + 1);
    }
    following.abort();
    assert_eq!(gone, vaults.iter().map(|(vault, _)| id(vault)).collect(), "and none is left out");
    assert!((2..20).contains(&observations), "{observations}");
}

/// As many stakes as there are to be, each out of the change of the one before.
async fn lock(client: &Client, people: &People, chain: &Bitcoin) -> Vec<(CheckedVault, VaultRegistration)> {
    let rules = chain.versions().at(0).unwrap();
    let terms = people.staking_terms(rules, 12);
    let (amount, rate) = (Amount::from_sat(60_000), FeeRate::from_sat_per_vb_u32(2));
    let mut vaults = Vec::new();
    while vaults.len() < STAKES {
        let tip = client.info().await.unwrap().blocks;
        let coins = client.coins(&people.wallet.script_pubkey()).await.unwrap();
        for found in coins.into_iter().filter(|found| found.is_ripe(tip)) {
            let mut coin = found.coin;
            for _ in 0..IN_A_ROW {
                if vaults.len() == STAKES {
                    break;
                }
                let staking = people.wallet.stake(&[coin], &terms, amount, rate).unwrap();
                let txid = client.send(&staking).await.unwrap();
                coin = Coin { outpoint: OutPoint { txid, vout: 1 }, value: staking.output[1].value };
                let vault = people.vault(&staking, rules, 12);
                let registration = people.register(&staking, &vault, (None, None));
                vaults.push((vault, registration));
            }
        }
        mine(client, 1).await;
    }
    vaults
}

fn id(vault: &CheckedVault) -> VaultId {
    let OutPoint { txid, vout } = vault.outpoint();
    VaultId { txid: Hash::new(txid.to_byte_array()), output: vout }
}

async fn mine(client: &Client, blocks: u32) {
    let elsewhere = Address::from_script(&stake::elsewhere(), Network::Regtest).unwrap();
    client.mine(blocks, &elsewhere).await.unwrap();
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
