//! Endpoints that lag, restart, prune and lie: each of it is named, nothing of it is believed, and one honest endpoint beside is enough.
//! It needs a bitcoind, as `regtest.rs` does.
#![allow(clippy::unwrap_used)]

#[allow(dead_code, missing_docs)]
#[path = "../../../deploy/devnet/src/bitcoind.rs"]
mod bitcoind;
mod network;
mod stake;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use bitcoin::block::Header;
use bitcoin::consensus::encode::serialize_hex;
use bitcoin::hashes::Hash as _;
use bitcoin::{Amount, Block, BlockHash, CompactTarget, Network, Witness};
use bitcoind::{Bitcoind, Lifetime};
use jsonrpsee::core::client::ClientT as _;
use jsonrpsee::http_client::{HeaderMap, HeaderValue, HttpClientBuilder};
use jsonrpsee::server::{RpcModule, Server, ServerHandle};
use jsonrpsee::types::{ErrorObjectOwned, Params};
use network::{DEPTH, free_port, genesis};
use palisade_bitcoin::client::{Client, RpcError};
use palisade_bitcoin::registration::Presigned;
use palisade_bitcoin::{Auth, Bitcoin, Config, Endpoint};
use palisade_types::chain::{Chain as _, ChainError, ChainPoint, Watch};
use palisade_types::vault::{Vault, VaultStatus};
use palisade_types::{Genesis, Hash};
use serde_json::{Value, json};
use stake::{People, work};
use tempfile::TempDir;

/// A bitcoind with its folder.
struct Core {
    bitcoind: Bitcoind,
    dir: TempDir,
}

impl Core {
    async fn start(options: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let bitcoind = start(dir.path(), free_port(), options).await;
        Self { bitcoind, dir }
    }

    fn client(&self) -> &Client {
        self.bitcoind.client()
    }

    fn endpoint(&self) -> Endpoint {
        self.bitcoind.endpoint().clone()
    }

    async fn mine(&self, blocks: u32) {
        self.client().mine(blocks, &People::new(3, 1).wallet.address(Network::Regtest)).await.unwrap();
    }

    /// Mines to somebody else, so that the blocks are others.
    async fn mine_others(&self, blocks: u32) {
        let other = bitcoin::Address::from_script(&stake::elsewhere(), Network::Regtest).unwrap();
        self.client().mine(blocks, &other).await.unwrap();
    }

    /// Takes every block of another one's chain.
    async fn follow(&self, other: &Self) {
        for height in 1..=other.client().info().await.unwrap().blocks {
            let block = other.client().block(other.client().block_hash(height).await.unwrap()).await.unwrap();
            call(&self.endpoint(), "submitblock", json!([serialize_hex(&block)])).await.unwrap();
        }
    }

    async fn genesis(&self, start: u32) -> Arc<Genesis> {
        Arc::new(genesis(&self.bitcoind, &People::new(3, 1), start).await)
    }

    /// How often it was asked for something since it was started with `-debug=rpc`.
    fn asked(&self, method: &str) -> usize {
        let log = std::fs::read_to_string(self.dir.path().join("regtest/debug.log")).unwrap();
        log.matches(&format!("method={method} ")).count()
    }
}

async fn start(dir: &Path, port: u16, options: &[&str]) -> Bitcoind {
    let binary = bitcoind::locate()
        .expect("no bitcoind: set PALISADE_BITCOIND, put one on PATH, or run deploy/devnet.sh once to build it");
    Bitcoind::start_with(&binary, dir, port, Lifetime::Handle, options).await.unwrap()
}

fn port(endpoint: &Endpoint) -> u16 {
    endpoint.url.rsplit(':').next().unwrap().parse().unwrap()
}

/// A call that no node makes.
async fn call(endpoint: &Endpoint, method: &str, params: Value) -> Result<Value, String> {
    let Auth::Cookie(cookie) = &endpoint.auth else { panic!("a bitcoind of ours has a cookie") };
    let login = base64::prelude::BASE64_STANDARD.encode(std::fs::read_to_string(cookie).unwrap());
    let mut headers = HeaderMap::new();
    headers.insert("authorization", HeaderValue::from_str(&format!("Basic {login}")).unwrap());
    let client = HttpClientBuilder::default().set_headers(headers).build(&endpoint.url).unwrap();
    let Value::Array(params) = params else { panic!("parameters are a list") };
    client.request(method, params).await.map_err(|error| error.to_string())
}

async fn connect(endpoints: Vec<Endpoint>, genesis: &Arc<Genesis>) -> Result<Bitcoin, ChainError> {
    connect_with(endpoints, genesis, Vec::new()).await
}

async fn connect_with(
    endpoints: Vec<Endpoint>,
    genesis: &Arc<Genesis>,
    kept: Vec<(u32, Vec<u8>)>,
) -> Result<Bitcoin, ChainError> {
    let (max_tip_age, grace) = (Duration::from_secs(3_600), Duration::ZERO);
    Bitcoin::connect(Config { endpoints, genesis: genesis.clone(), max_tip_age, grace, kept }).await
}

/// A vault that was signed for and never sent: who looks for it reads every block.
fn awaited(chain: &Bitcoin, registered: u64) -> Watch {
    let people = People::new(3, 1);
    let versions = chain.versions();
    let rules = versions.at(0).unwrap();
    let staking = people.stake(rules, 1_000);
    let draft = people.register(&staking, &people.vault(&staking, rules, 1_000), (None, None));
    let registration = people.presign(&draft, None, None, versions, 2);
    let id = Presigned::check(&registration, None, versions).unwrap().draft().id();
    let status = VaultStatus::Verified;
    let vault = Vault { id, registration, registered, start: None, status, since: registered };
    Watch { vaults: BTreeMap::from([(id, vault)]), ..Watch::default() }
}

/// What a node reads between the start and the newest final block: nothing happens there, and every block is looked at.
async fn read(chain: &Bitcoin, genesis: &Genesis) -> Result<ChainPoint, ChainError> {
    let tip = chain.tip().await?;
    let after = genesis.bitcoin_start;
    assert_eq!(chain.observe(&after, &tip, &awaited(chain, after.number)).await?, []);
    Ok(tip)
}

/// What an endpoint does to the truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lie {
    /// Sends the block below the one asked for.
    OtherBlock,
    /// Leaves the coinbase's witness out.
    Stripped,
    /// Pays the coinbase to somebody else.
    Doctored,
    /// Sends half a block.
    Cut,
    /// Sends text.
    Text,
    /// Sends headers that are not what they are asked by.
    OtherHeader,
    /// Claims a tip without end.
    Endless,
    /// Makes up a header on top, with less work than it needs.
    Cheap,
    /// Makes up a header on top, earlier than its past.
    Early,
    /// Has another genesis block.
    OtherGenesis,
}

const LIES: [Lie; 10] = [
    Lie::OtherBlock,
    Lie::Stripped,
    Lie::Doctored,
    Lie::Cut,
    Lie::Text,
    Lie::OtherHeader,
    Lie::Endless,
    Lie::Cheap,
    Lie::Early,
    Lie::OtherGenesis,
];

/// An endpoint that shows a real one's chain, and lies about it.
struct Liar {
    truth: Client,
    lie: Lie,
}

type Told = Result<Value, ErrorObjectOwned>;

impl Liar {
    async fn start(truth: Endpoint, lie: Lie) -> (Endpoint, ServerHandle) {
        let mut module = RpcModule::new(Self { truth: Client::new(truth).unwrap(), lie });
        let answer = async |params: Params<'static>, liar: Arc<Self>, method: &str| -> Told {
            let params: Vec<Value> = params.parse::<Option<_>>().unwrap().unwrap_or_default();
            match method {
                "getblockchaininfo" => liar.info().await,
                "getblockhash" => liar.hash(u32::try_from(params[0].as_u64().unwrap()).unwrap_or(u32::MAX)).await,
                "getblockheader" => liar.header(params[0].as_str().unwrap().parse().unwrap()).await,
                _ => liar.block(params[0].as_str().unwrap().parse().unwrap()).await,
            }
        };
        for method in ["getblockchaininfo", "getblockhash", "getblockheader", "getblock"] {
            module.register_async_method(method, move |params, liar, _| answer(params, liar, method)).unwrap();
        }
        let server = Server::builder().build("127.0.0.1:0").await.unwrap();
        let auth = Auth::Password { user: "nobody".to_owned(), password: "none".to_owned() };
        let endpoint = Endpoint { url: format!("http://{}", server.local_addr().unwrap()), auth };
        (endpoint, server.start(module))
    }

    /// A header nobody mined, on top of the real tip.
    async fn invented(&self) -> Option<(u32, Header)> {
        let info = self.truth.info().await.unwrap();
        let mut block = self.truth.block(info.bestblockhash).await.unwrap();
        block.header.prev_blockhash = info.bestblockhash;
        match self.lie {
            Lie::Cheap => block.header.bits = CompactTarget::from_consensus(0x1d00_ffff),
            Lie::Early => {
                block.header.time = 1_296_688_603;
                work(&mut block);
            }
            _ => return None,
        }
        Some((info.blocks + 1, block.header))
    }

    async fn info(&self) -> Told {
        let info = self.truth.info().await.unwrap();
        let (blocks, tip) = match self.invented().await {
            Some((height, header)) => (height, header.block_hash()),
            None if self.lie == Lie::Endless => (u32::MAX, BlockHash::all_zeros()),
            None => (info.blocks, info.bestblockhash),
        };
        Ok(json!({"chain": "regtest", "blocks": blocks, "headers": blocks, "bestblockhash": tip}))
    }

    async fn hash(&self, height: u32) -> Told {
        if height == 0 && self.lie == Lie::OtherGenesis {
            return Ok(json!(BlockHash::all_zeros()));
        }
        match self.invented().await {
            Some((at, header)) if at == height => Ok(json!(header.block_hash())),
            _ => told(self.truth.block_hash(height).await),
        }
    }

    async fn header(&self, hash: BlockHash) -> Told {
        let mut header = match self.invented().await {
            Some((_, header)) if header.block_hash() == hash => header,
            _ => self.truth.header(hash).await.map_err(refused)?,
        };
        if self.lie == Lie::OtherHeader {
            header.nonce ^= 1;
        }
        Ok(json!(serialize_hex(&header)))
    }

    async fn block(&self, hash: BlockHash) -> Told {
        let mut block = self.truth.block(hash).await.map_err(refused)?;
        match self.lie {
            Lie::OtherBlock => block = self.truth.block(block.header.prev_blockhash).await.map_err(refused)?,
            Lie::Stripped => block.txdata[0].input[0].witness = Witness::new(),
            Lie::Doctored => block.txdata[0].output[0].value = Amount::ONE_SAT,
            Lie::Text => return Ok(json!("no block at all")),
            _ => {}
        }
        let hex = serialize_hex::<Block>(&block);
        let half = if self.lie == Lie::Cut { hex.len() / 2 } else { hex.len() };
        Ok(json!(hex[..half]))
    }
}

fn told(answer: Result<BlockHash, RpcError>) -> Told {
    answer.map(|hash| json!(hash)).map_err(refused)
}

fn refused(error: RpcError) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(error.code().unwrap_or(-1), error.to_string(), None::<()>)
}

#[tokio::test]
async fn r30_whatever_one_endpoint_lies_about_is_named_and_another_one_s_truth_is_taken() {
    let core = Core::start(&[]).await;
    core.mine(20).await;
    let genesis = core.genesis(10).await;
    let truth = read(&connect(vec![core.endpoint()], &genesis).await.unwrap(), &genesis).await.unwrap();
    for lie in LIES {
        let (endpoint, _server) = Liar::start(core.endpoint(), lie).await;
        let alone = match connect(vec![endpoint.clone()], &genesis).await {
            Ok(chain) => read(&chain, &genesis).await,
            Err(error) => Err(error),
        };
        match (lie, &alone) {
            (Lie::OtherGenesis, Err(ChainError::WrongChain { .. })) => continue, // also beside an honest one: a person must look
            (Lie::Endless, Err(ChainError::Unavailable { .. })) => {}            // it never shows what it claims
            (_, Err(ChainError::Lied(_))) => {}
            _ => panic!("{lie:?}: {alone:?}"),
        }
        let both = connect(vec![endpoint, core.endpoint()], &genesis).await;
        let both = both.unwrap_or_else(|error| panic!("{lie:?}: {error}"));
        let seen = read(&both, &genesis).await;
        assert_eq!(seen.unwrap_or_else(|error| panic!("{lie:?}: {error}")), truth, "{lie:?}");
    }
}

#[tokio::test]
async fn r30_of_two_endpoints_that_disagree_the_heavier_chain_stands_whoever_shows_it() {
    let (honest, other) = (Core::start(&[]).await, Core::start(&[]).await);
    honest.mine(20).await;
    other.follow(&honest).await;
    let genesis = honest.genesis(10).await;
    // Both go on, each by itself: one block here, two there.
    honest.mine(1).await;
    other.mine_others(2).await;
    for endpoints in [[&honest, &other], [&other, &honest]] {
        let chain = connect(endpoints.map(Core::endpoint).into(), &genesis).await.unwrap();
        assert_eq!(read(&chain, &genesis).await.unwrap().number, u64::from(22 - DEPTH));
        let newest = chain.newest().await.unwrap().point;
        assert_eq!(newest.hash, name(other.client().block_hash(22).await.unwrap()));
    }
    // A chain without the start anchor is no chain of this network, however heavy.
    let chain = connect(vec![honest.endpoint()], &genesis).await.unwrap();
    let before = (read(&chain, &genesis).await.unwrap(), chain.newest().await.unwrap());
    let stranger = Core::start(&[]).await;
    stranger.mine_others(60).await;
    let refused = connect(vec![stranger.endpoint()], &genesis).await.map(drop);
    assert!(matches!(refused, Err(ChainError::WrongChain { .. })), "{refused:?}");
    let both = connect(vec![stranger.endpoint(), honest.endpoint()], &genesis).await.unwrap();
    assert_eq!((read(&both, &genesis).await.unwrap(), both.newest().await.unwrap()), before);
}

#[tokio::test]
async fn an_endpoint_that_lags_is_waited_for_and_takes_nothing_back() {
    let (quick, slow) = (Core::start(&[]).await, Core::start(&[]).await);
    quick.mine(20).await;
    slow.follow(&quick).await;
    let genesis = quick.genesis(10).await;
    quick.mine(5).await;
    let behind = connect(vec![slow.endpoint()], &genesis).await.unwrap();
    let fresh = Core::start(&[]).await; // it has not come to the start anchor yet
    let chain = connect(vec![fresh.endpoint(), slow.endpoint(), quick.endpoint()], &genesis).await.unwrap();
    let tip = read(&chain, &genesis).await.unwrap();
    assert_eq!((chain.endpoints().well, chain.endpoints().contradictions), (2, 0), "who lags tells no lie");
    let waits = connect(vec![fresh.endpoint()], &genesis).await.map(drop);
    assert!(matches!(waits, Err(ChainError::Unavailable { .. } | ChainError::NotThere { .. })), "{waits:?}");
    assert_eq!((tip.number, behind.tip().await.unwrap().number), (u64::from(25 - DEPTH), u64::from(20 - DEPTH)));
    let early = behind.observe(&genesis.bitcoin_start, &tip, &Watch::default()).await;
    assert!(matches!(early, Err(ChainError::NotThere { number }) if number == tip.number), "{early:?}");
    // Only the slow one is left: what was seen stays, and blocks that nobody serves now are not there yet.
    let newest = chain.newest().await.unwrap();
    let gone = quick.bitcoind;
    gone.stop().await.unwrap();
    assert_eq!((chain.tip().await.unwrap(), chain.newest().await.unwrap()), (tip, newest));
    let unread = connect(vec![slow.endpoint()], &genesis).await.unwrap();
    assert_eq!(read(&unread, &genesis).await.unwrap().number, u64::from(20 - DEPTH));
}

#[tokio::test]
async fn a_block_that_the_endpoint_has_pruned_is_named_and_another_endpoint_still_serves_it() {
    let options = ["-txindex=0", "-prune=1", "-fastprune"];
    let (pruned, whole) = (Core::start(&options).await, Core::start(&[]).await);
    whole.mine(700).await;
    pruned.follow(&whole).await;
    let genesis = whole.genesis(10).await;
    let alone = connect(vec![pruned.endpoint()], &genesis).await.unwrap();
    let height = call(&pruned.endpoint(), "pruneblockchain", json!([400])).await.unwrap();
    assert!(height.as_u64().unwrap() > 20, "nothing was pruned: {height}");
    // Headers stay: the tip is known, and what lies in the gap is not.
    let tip = alone.tip().await.unwrap();
    let upto = alone.point(15).await.unwrap();
    let observe = async |chain: &Bitcoin| chain.observe(&genesis.bitcoin_start, &upto, &awaited(chain, 10)).await;
    let Err(ChainError::Unavailable { source, .. }) = observe(&alone).await else { panic!("the block is gone") };
    assert!(source.to_string().contains("pruned"), "{source}");
    let both = connect(vec![pruned.endpoint(), whole.endpoint()], &genesis).await.unwrap();
    assert_eq!(observe(&both).await.unwrap(), []);
    assert_eq!(both.tip().await.unwrap(), tip);
}

#[tokio::test]
async fn headers_that_an_earlier_run_kept_are_not_asked_for_again() {
    let core = Core::start(&["-debug=rpc"]).await;
    core.mine(150).await;
    let genesis = core.genesis(10).await;
    let first = connect(vec![core.endpoint()], &genesis).await.unwrap();
    let seen = first.newest().await.unwrap();
    let mut disk = Vec::new();
    while let Some(part) = first.keep_next().await {
        disk.extend((part.first..).zip(part.rows));
    }
    assert_eq!((disk.len(), disk[0].0), (141, 10));
    assert!(core.asked("getblockheader") >= 140, "the log does not show calls");

    let asked = async |kept: Vec<(u32, Vec<u8>)>| {
        let before = core.asked("getblockheader");
        let chain = connect_with(vec![core.endpoint()], &genesis, kept).await.unwrap();
        let newest = chain.newest().await.unwrap();
        (newest, core.asked("getblockheader") - before, chain)
    };
    let (newest, calls, chain) = asked(disk.clone()).await;
    assert_eq!((newest, calls), (seen, 0));
    assert!(chain.keep_next().await.is_none(), "nothing new is to be kept");
    let mut flipped = disk.clone();
    flipped[130].1[40] ^= 4;
    let (newest, calls, chain) = asked(flipped).await;
    assert_eq!((newest, calls), (seen, 11), "what the damage lies under is asked for again, and the rest is not");
    assert_eq!(chain.keep_next().await.map(|part| (part.first, part.rows.len())), Some((140, 11)));
    let (newest, calls, _) = asked(disk[1..].to_vec()).await;
    assert_eq!((newest, calls), (seen, 141), "of another start");

    core.mine(2).await;
    let (newest, calls, chain) = asked(disk.clone()).await;
    assert_eq!((newest.point.number, calls), (152, 2));
    assert_eq!(chain.keep_next().await.map(|part| (part.first, part.rows.len())), Some((151, 2)));
    // While nobody looked, more than was final was replaced.
    let gone = core.client().block_hash(100).await.unwrap();
    core.client().invalidate(gone).await.unwrap();
    core.mine_others(60).await;
    let (newest, _, chain) = asked(disk.clone()).await;
    assert_eq!(newest.point.hash, name(core.client().block_hash(159).await.unwrap()));
    assert_eq!(chain.keep_next().await.map(|part| part.first), Some(100));
    // Without any endpoint the chain is what was kept.
    let silent = Endpoint { url: format!("http://127.0.0.1:{}", free_port()), ..core.endpoint() };
    let alone = connect_with(vec![silent], &genesis, disk).await.unwrap();
    assert!(matches!(alone.tip().await, Err(ChainError::Unavailable { .. })));
    assert_eq!(alone.best().await.unwrap(), seen);
}

#[tokio::test]
async fn a_bitcoind_that_is_killed_takes_nothing_back_and_is_found_again() {
    let Core { bitcoind, dir } = Core::start(&[]).await;
    let address = People::new(3, 1).wallet.address(Network::Regtest);
    bitcoind.client().mine(20, &address).await.unwrap();
    let (endpoint, genesis) = (bitcoind.endpoint().clone(), genesis(&bitcoind, &People::new(3, 1), 10).await);
    let genesis = Arc::new(genesis);
    let chain = connect(vec![endpoint.clone()], &genesis).await.unwrap();
    let tip = read(&chain, &genesis).await.unwrap();
    let newest = chain.newest().await.unwrap();
    let mut blocks = Vec::new();
    for height in 1..=20 {
        let hash = bitcoind.client().block_hash(height).await.unwrap();
        blocks.push(serialize_hex(&bitcoind.client().block(hash).await.unwrap()));
    }
    drop(bitcoind); // kills it
    let Err(ChainError::Unavailable { .. }) = chain.tip().await else { panic!("nobody is there") };
    let observed = chain.observe(&genesis.bitcoin_start, &tip, &awaited(&chain, 10)).await;
    assert!(matches!(observed, Err(ChainError::Unavailable { .. })), "{observed:?}");
    assert_eq!(chain.best().await.unwrap(), newest);
    // It has forgotten what it had not written down, and learns it again: nothing is forgotten here, and nobody is called a liar.
    let again = start(dir.path(), port(&endpoint), &[]).await;
    match chain.tip().await {
        Ok(stands) => assert_eq!(stands, tip),
        Err(ChainError::NotThere { .. }) => {}
        Err(error) => panic!("{error}"),
    }
    assert_eq!((chain.best().await.unwrap(), chain.endpoints().contradictions), (newest, 0));
    for block in blocks {
        call(&endpoint, "submitblock", json!([block])).await.unwrap();
    }
    assert_eq!((chain.tip().await.unwrap(), chain.newest().await.unwrap()), (tip, newest));
    again.client().mine(1, &address).await.unwrap();
    assert_eq!(read(&chain, &genesis).await.unwrap().number, tip.number + 1);
}

fn name(hash: BlockHash) -> Hash {
    Hash::new(hash.to_byte_array())
}
