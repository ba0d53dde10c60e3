//! Bitcoin Core's JSON-RPC, as far as we need it.
//!
//! Nothing an endpoint says is believed here; blocks are checked where they are read ([`crate::block`]) and headers where they
//! are linked ([`crate::headers`]). Answers are bounded and calls have deadlines. Works with Core 28 and later, which
//! answer by the second version of the protocol and replace a transaction by one that pays more without asking for a signal.

use std::fmt;
use std::path::PathBuf;
use std::sync::RwLock;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bitcoin::block::Header;
use bitcoin::consensus::encode;
use bitcoin::{Address, Amount, Block, BlockHash, Denomination, OutPoint, Script, ScriptBuf, Transaction, TxOut, Txid};
use jsonrpsee::core::client::{ClientT as _, Error as JsonRpcError};
use jsonrpsee::core::params::ArrayParams;
use jsonrpsee::core::traits::ToRpcParams;
use jsonrpsee::http_client::transport::Error as TransportError;
use jsonrpsee::http_client::{HeaderMap, HeaderValue, HttpClient, HttpClientBuilder};
use jsonrpsee::rpc_params;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::block::{self, BlockError, MAX_BLOCK_BYTES};
use crate::staker::Coin;

/// How to show an endpoint who we are.
#[derive(Clone)]
pub enum Auth {
    /// The cookie file bitcoind writes anew at each start.
    Cookie(PathBuf),
    /// A fixed user and password.
    Password {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cookie(path) => f.debug_tuple("Cookie").field(path).finish(),
            Self::Password { user, .. } => write!(f, "Password({user}, …)"),
        }
    }
}

/// Where a bitcoind listens, and how to talk to it.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// `http://host:port`.
    pub url: String,
    /// Credentials.
    pub auth: Auth,
}

/// Why a call gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    /// Nobody answered, or not in time. Ask again.
    #[error("{method} was not answered")]
    Unavailable {
        /// The method called.
        method: &'static str,
        /// What the transport said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The endpoint answered that it does not do this.
    #[error("{method} was refused with {code}: {message}")]
    Refused {
        /// The method called.
        method: &'static str,
        /// Bitcoin Core's error code.
        code: i32,
        /// Its message.
        message: String,
    },
    /// The answer is not what the method answers.
    #[error("the answer to {method} makes no sense")]
    Senseless {
        /// The method called.
        method: &'static str,
    },
    /// The block is not the one asked for.
    #[error("the endpoint sent a bad block")]
    Block(#[from] BlockError),
    /// The credentials cannot be read.
    #[error("cannot read the credentials from {path}")]
    Credentials {
        /// The cookie file.
        path: PathBuf,
        /// What the file system said.
        #[source]
        source: std::io::Error,
    },
    /// The credentials or the address cannot be used at all.
    #[error("cannot use the endpoint: {0}")]
    Endpoint(String),
}

impl RpcError {
    /// Whether the endpoint said it does not know the thing asked for.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { code: NOT_FOUND | OUT_OF_RANGE, .. })
    }

    /// Bitcoin Core's error code, when it refused.
    pub fn code(&self) -> Option<i32> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }
}

/// One bitcoind.
pub struct Client {
    endpoint: Endpoint,
    http: RwLock<HttpClient>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(&self.endpoint).finish()
    }
}

/// What `getblockchaininfo` says, as far as we look.
#[derive(Clone, Debug, Deserialize)]
pub struct ChainInfo {
    /// `main`, `test`, `signet`, `regtest`.
    pub chain: String,
    /// The height of its tip.
    pub blocks: u32,
    /// The height of the best header it has seen.
    pub headers: u32,
    /// The hash of its tip.
    pub bestblockhash: BlockHash,
}

/// An unspent output, as `gettxout` shows it.
#[derive(Clone, Debug, Deserialize)]
pub struct Unspent {
    /// The tip at which it is unspent.
    pub bestblock: BlockHash,
    /// Zero while it is in the mempool only.
    pub confirmations: u32,
    /// Bitcoins.
    value: f64,
    #[serde(rename = "scriptPubKey")]
    script_pubkey: UnspentScript,
}

/// A transaction with what it spends.
#[derive(Clone, Debug, Deserialize)]
struct Spending {
    vin: Vec<SpendingInput>,
}

#[derive(Clone, Debug, Deserialize)]
struct SpendingInput {
    prevout: Option<Prevout>,
}

#[derive(Clone, Debug, Deserialize)]
struct Prevout {
    /// Bitcoins.
    value: f64,
    #[serde(rename = "scriptPubKey")]
    script_pubkey: UnspentScript,
}

impl Prevout {
    fn output(&self) -> Option<TxOut> {
        let script_pubkey = ScriptBuf::from_hex(&self.script_pubkey.hex).ok()?;
        Some(TxOut { value: Amount::from_btc(self.value).ok()?, script_pubkey })
    }
}

#[derive(Clone, Debug, Deserialize)]
struct UnspentScript {
    hex: String,
}

impl Unspent {
    /// The output itself; `None` when the endpoint's numbers make none.
    pub fn output(&self) -> Option<TxOut> {
        let script_pubkey = ScriptBuf::from_hex(&self.script_pubkey.hex).ok()?;
        Some(TxOut { value: Amount::from_btc(self.value).ok()?, script_pubkey })
    }
}

/// A transaction in the mempool.
#[derive(Clone, Debug, Deserialize)]
pub struct Pooled {
    /// The tip's height when it came.
    pub height: u32,
}

/// What `estimatesmartfee` says: bitcoin per 1000 virtual bytes; nothing while the node has seen too little.
#[derive(Clone, Debug, Deserialize)]
struct Estimate {
    feerate: Option<f64>,
}

/// What `getmempoolinfo` says, as far as we look: bitcoin per 1000 virtual bytes.
#[derive(Clone, Debug, Deserialize)]
struct Mempool {
    mempoolminfee: f64,
}

/// What a bitcoind would do with a transaction.
#[derive(Clone, Debug, Deserialize)]
pub struct Acceptance {
    /// Whether it would be taken.
    pub allowed: bool,
    /// Why not.
    #[serde(rename = "reject-reason")]
    pub reason: Option<String>,
}

impl Client {
    /// Where it is, for a person.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.endpoint.url
    }

    /// Prepares to talk; the first call connects.
    ///
    /// # Errors
    ///
    /// [`RpcError::Credentials`] and [`RpcError::Endpoint`].
    pub fn new(endpoint: Endpoint) -> Result<Self, RpcError> {
        let http = RwLock::new(connect(&endpoint)?);
        Ok(Self { endpoint, http })
    }

    /// `getblockchaininfo`.
    ///
    /// # Errors
    ///
    /// [`RpcError`], as of every call here.
    pub async fn info(&self) -> Result<ChainInfo, RpcError> {
        self.call("getblockchaininfo", rpc_params![]).await
    }

    /// The hash of the block at `height` on the endpoint's chain.
    ///
    /// # Errors
    ///
    /// [`RpcError`]; [`RpcError::is_not_found`] above its tip.
    pub async fn block_hash(&self, height: u32) -> Result<BlockHash, RpcError> {
        self.call("getblockhash", rpc_params![height]).await
    }

    /// A header, by its hash; only that it hashes to it is checked here.
    ///
    /// # Errors
    ///
    /// [`RpcError`].
    pub async fn header(&self, hash: BlockHash) -> Result<Header, RpcError> {
        let text: String = self.call("getblockheader", rpc_params![hash.to_string(), false]).await?;
        let header: Header =
            encode::deserialize_hex(&text).map_err(|_| RpcError::Senseless { method: "getblockheader" })?;
        match header.block_hash() == hash {
            true => Ok(header),
            false => Err(BlockError::OtherBlock(header.block_hash()).into()),
        }
    }

    /// A whole block, checked.
    ///
    /// # Errors
    ///
    /// [`RpcError::Block`] when it is not the one asked for.
    pub async fn block(&self, hash: BlockHash) -> Result<Block, RpcError> {
        let text: String = self.call("getblock", rpc_params![hash.to_string(), 0]).await?;
        Ok(block::read(&text, hash)?)
    }

    /// A transaction of a block, or of the mempool when no block is named.
    ///
    /// # Errors
    ///
    /// [`RpcError`]; [`RpcError::is_not_found`] when it is in neither.
    pub async fn transaction(&self, txid: Txid, block: Option<BlockHash>) -> Result<Transaction, RpcError> {
        let method = "getrawtransaction";
        let block = block.map(|hash| hash.to_string());
        let text: String = self.call(method, rpc_params![txid.to_string(), false, block]).await?;
        let transaction: Transaction = encode::deserialize_hex(&text).map_err(|_| RpcError::Senseless { method })?;
        match transaction.compute_txid() == txid {
            true => Ok(transaction),
            false => Err(RpcError::Senseless { method }),
        }
    }

    /// The outputs that a transaction of a block spends, in the order of its inputs. Nothing of it is checked here: signatures over
    /// them say whether it is true.
    ///
    /// # Errors
    ///
    /// [`RpcError`].
    pub async fn spent_by(&self, txid: Txid, block: BlockHash) -> Result<Vec<TxOut>, RpcError> {
        let method = "getrawtransaction";
        let found: Spending = self.call(method, rpc_params![txid.to_string(), 2, block.to_string()]).await?;
        let output = |input: SpendingInput| input.prevout.and_then(|spent| spent.output());
        let outputs: Option<Vec<TxOut>> = found.vin.into_iter().map(output).collect();
        outputs.ok_or(RpcError::Senseless { method })
    }

    /// The bytes of a transaction named by text, for those who only explain it.
    ///
    /// # Errors
    ///
    /// [`RpcError`]; [`RpcError::Senseless`] when the text is no id.
    pub async fn transaction_bytes(&self, txid: &str) -> Result<Vec<u8>, RpcError> {
        let txid = txid.parse().map_err(|_| RpcError::Senseless { method: "getrawtransaction" })?;
        Ok(encode::serialize(&self.transaction(txid, None).await?))
    }

    /// Hands a transaction to the network. A burn is meant when it is one: the sink of a slash may be an `OP_RETURN`,
    /// and the top rung may pay more than Core's limit for absent-minded wallets.
    ///
    /// # Errors
    ///
    /// [`RpcError::Refused`] with Core's reason.
    pub async fn send(&self, transaction: &Transaction) -> Result<Txid, RpcError> {
        let burnt = transaction.output.iter().filter(|output| output.script_pubkey.is_op_return());
        let burnt = burnt.map(|output| output.value).max().unwrap_or(Amount::ZERO);
        let params =
            rpc_params![encode::serialize_hex(transaction), ANY_FEE_RATE, burnt.to_string_in(Denomination::Bitcoin)];
        self.call("sendrawtransaction", params).await
    }

    /// What the endpoint would do with a transaction.
    ///
    /// # Errors
    ///
    /// [`RpcError`].
    pub async fn test(&self, transaction: &Transaction) -> Result<Acceptance, RpcError> {
        let method = "testmempoolaccept";
        let params = rpc_params![[encode::serialize_hex(transaction)], ANY_FEE_RATE];
        let answers: Vec<Acceptance> = self.call(method, params).await?;
        answers.into_iter().next().ok_or(RpcError::Senseless { method })
    }

    /// An output, when it is unspent; with the mempool's spends counted or not.
    ///
    /// # Errors
    ///
    /// [`RpcError`].
    pub async fn unspent(&self, outpoint: OutPoint, with_mempool: bool) -> Result<Option<Unspent>, RpcError> {
        self.call("gettxout", rpc_params![outpoint.txid.to_string(), outpoint.vout, with_mempool]).await
    }

    /// A transaction's entry in the mempool.
    ///
    /// # Errors
    ///
    /// [`RpcError`].
    pub async fn pooled(&self, txid: Txid) -> Result<Option<Pooled>, RpcError> {
        match self.call("getmempoolentry", rpc_params![txid.to_string()]).await {
            Err(error) if error.is_not_found() => Ok(None),
            other => other.map(Some),
        }
    }

    /// What a transaction pays today to be mined within two blocks, satoshis per 1000 weight units, rounded up: the node's
    /// estimate, and at least what its mempool asks. A node without an estimate says the latter.
    ///
    /// # Errors
    ///
    /// [`RpcError`].
    pub async fn market_rate(&self) -> Result<u64, RpcError> {
        let estimate: Estimate = self.call("estimatesmartfee", rpc_params![SOON_BLOCKS]).await?;
        let mempool: Mempool = self.call("getmempoolinfo", rpc_params![]).await?;
        let senseless = |_| RpcError::Senseless { method: "estimatesmartfee" };
        let per_kilobyte = [estimate.feerate.unwrap_or_default(), mempool.mempoolminfee];
        let rates = per_kilobyte.map(|rate| Amount::from_btc(rate).map(|rate| rate.to_sat().div_ceil(4)));
        Ok(rates.into_iter().collect::<Result<Vec<_>, _>>().map_err(senseless)?.into_iter().max().unwrap_or(0))
    }

    /// Every confirmed coin under a script, by a scan of the whole UTXO set: slow on mainnet, meant for devnets.
    ///
    /// # Errors
    ///
    /// [`RpcError`].
    pub async fn coins(&self, script: &Script) -> Result<Vec<FoundCoin>, RpcError> {
        let method = "scantxoutset";
        let descriptor = format!("raw({})", script.to_hex_string());
        let scan: Scan = self.call(method, rpc_params!["start", [descriptor]]).await?;
        let senseless = || RpcError::Senseless { method };
        let coin = |found: &ScannedCoin| {
            let value = Amount::from_btc(found.amount).map_err(|_| senseless())?;
            let coin = Coin { outpoint: OutPoint { txid: found.txid, vout: found.vout }, value };
            Ok(FoundCoin { coin, height: found.height, coinbase: found.coinbase })
        };
        if !scan.success || scan.unspents.len() > MAX_COINS {
            return Err(senseless());
        }
        scan.unspents.iter().map(coin).collect()
    }

    /// Mines blocks to an address. Regtest only.
    ///
    /// # Errors
    ///
    /// [`RpcError`].
    pub async fn mine(&self, blocks: u32, to: &Address) -> Result<Vec<BlockHash>, RpcError> {
        self.call("generatetoaddress", rpc_params![blocks, to.to_string()]).await
    }

    /// Mines one block that leaves the mempool as it is. Regtest only.
    ///
    /// # Errors
    ///
    /// [`RpcError`].
    pub async fn mine_empty(&self, to: &Address) -> Result<(), RpcError> {
        let none: [String; 0] = [];
        self.call::<serde_json::Value>("generateblock", rpc_params![to.to_string(), none]).await.map(drop)
    }

    /// Makes the endpoint treat a block and all above it as invalid. Regtest only: it makes reorganisations.
    ///
    /// # Errors
    ///
    /// [`RpcError`].
    pub async fn invalidate(&self, block: BlockHash) -> Result<(), RpcError> {
        self.call::<Option<()>>("invalidateblock", rpc_params![block.to_string()]).await.map(drop)
    }

    /// Undoes [`Self::invalidate`]. Regtest only.
    ///
    /// # Errors
    ///
    /// [`RpcError`].
    pub async fn reconsider(&self, block: BlockHash) -> Result<(), RpcError> {
        self.call::<Option<()>>("reconsiderblock", rpc_params![block.to_string()]).await.map(drop)
    }

    /// Asks bitcoind to stop; it goes on for a moment to write its state.
    ///
    /// # Errors
    ///
    /// [`RpcError`].
    pub async fn stop(&self) -> Result<(), RpcError> {
        self.call::<String>("stop", rpc_params![]).await.map(drop)
    }

    /// Calls once, and once more with fresh credentials: a restarted bitcoind has another cookie.
    async fn call<T: DeserializeOwned>(&self, method: &'static str, params: ArrayParams) -> Result<T, RpcError> {
        let params = params.to_rpc_params().map_err(|error| RpcError::Endpoint(error.to_string()))?;
        match self.request(method, params.clone()).await {
            Err(error) if is_unauthorised(&error) => {
                let fresh = connect(&self.endpoint)?;
                *self.http.write().unwrap_or_else(std::sync::PoisonError::into_inner) = fresh;
                self.request(method, params).await.map_err(|error| named(method, error))
            }
            other => other.map_err(|error| named(method, error)),
        }
    }

    async fn request<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: Option<Box<serde_json::value::RawValue>>,
    ) -> Result<T, JsonRpcError> {
        let http = self.http.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        http.request(method, Raw(params)).await
    }
}

/// A coin found by a scan, with what decides whether it can be spent yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundCoin {
    /// The coin.
    pub coin: Coin,
    /// The block it came in.
    pub height: u32,
    /// A coinbase can be spent after a hundred blocks.
    pub coinbase: bool,
}

impl FoundCoin {
    /// Whether it can be spent at height `tip`.
    pub fn is_ripe(&self, tip: u32) -> bool {
        !self.coinbase || tip.saturating_sub(self.height) >= 100
    }
}

#[derive(Deserialize)]
struct Scan {
    success: bool,
    unspents: Vec<ScannedCoin>,
}

#[derive(Deserialize)]
struct ScannedCoin {
    txid: Txid,
    vout: u32,
    amount: f64,
    height: u32,
    #[serde(default)]
    coinbase: bool,
}

/// Parameters that are written already.
struct Raw(Option<Box<serde_json::value::RawValue>>);

impl ToRpcParams for Raw {
    fn to_rpc_params(self) -> Result<Option<Box<serde_json::value::RawValue>>, serde_json::Error> {
        Ok(self.0)
    }
}

fn connect(endpoint: &Endpoint) -> Result<HttpClient, RpcError> {
    let credentials = match &endpoint.auth {
        Auth::Cookie(path) => {
            std::fs::read_to_string(path).map_err(|source| RpcError::Credentials { path: path.clone(), source })?
        }
        Auth::Password { user, password } => format!("{user}:{password}"),
    };
    let mut value = HeaderValue::from_str(&format!("Basic {}", BASE64.encode(credentials.trim())))
        .map_err(|_| RpcError::Endpoint("the credentials are no header".to_owned()))?;
    value.set_sensitive(true);
    let mut headers = HeaderMap::new();
    headers.insert("authorization", value);
    HttpClientBuilder::default()
        .set_headers(headers)
        .max_response_size(MAX_RESPONSE_BYTES)
        .request_timeout(REQUEST_TIMEOUT)
        .build(&endpoint.url)
        .map_err(|error| RpcError::Endpoint(error.to_string()))
}

fn is_unauthorised(error: &JsonRpcError) -> bool {
    let JsonRpcError::Transport(source) = error else {
        return false;
    };
    matches!(source.downcast_ref(), Some(TransportError::Rejected { status_code: 401 | 403 }))
}

fn named(method: &'static str, error: JsonRpcError) -> RpcError {
    match error {
        JsonRpcError::Call(refusal) => {
            RpcError::Refused { method, code: refusal.code(), message: refusal.message().to_owned() }
        }
        JsonRpcError::ParseError(_) => RpcError::Senseless { method },
        other => RpcError::Unavailable { method, source: Box::new(other) },
    }
}

/// A block in hex, and the frame around it.
const MAX_RESPONSE_BYTES: u32 = 2 * MAX_BLOCK_BYTES as u32 + 65_536;

/// How long one call may take. A scan of a large UTXO set takes longer and is for devnets only.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The most coins one scan may find.
const MAX_COINS: usize = 20_000;

/// In how many blocks a slash is wanted.
const SOON_BLOCKS: u32 = 2;

/// `maxfeerate` that allows any.
const ANY_FEE_RATE: u32 = 0;

/// Core: no such block, transaction or entry.
const NOT_FOUND: i32 = -5;
/// Core: no such height.
const OUT_OF_RANGE: i32 = -8;
