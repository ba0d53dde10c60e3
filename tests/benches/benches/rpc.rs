//! What a question costs that is about one thing in the ledger of a market, through the node's own JSON-RPC over HTTP, kept alive: against a
//! plain jsonrpsee server with a method `echo`, in the same runtime, by the same client, in turn. The peer is asked twice: to say the
//! question again, and to say as much as our answer is.
//!
//! Every answer is compared with what the ledger says without any RPC, before and while it is timed.

use anyhow::{Context as _, Result, bail, ensure};
use jsonrpsee::RpcModule;
use jsonrpsee::server::{Server, ServerHandle};
use jsonrpsee::types::ErrorObjectOwned;
use palisade_bitcoin::vault::Versions;
use palisade_crypto::hash::sha256_all;
use palisade_ledger::Ledger;
use palisade_ledger::fixture::{Network, Run, network_with};
use palisade_node::config;
use palisade_node::core::Core;
use palisade_node::handle::{Command, CoreHandle};
use palisade_node::metrics::Metrics;
use palisade_node::rpc::views::{BundleView, OperatorView, PositionView, ProofView, VaultView};
use palisade_node::rpc::{self, Sources};
use palisade_node::signer::{History, SignedLast};
use palisade_node::text::hex_bytes;
use palisade_race::{Effort, bench};
use palisade_storage::Store;
use palisade_types::account::{Account, AccountId};
use palisade_types::chain::ChainKind;
use palisade_types::operator::{KeyRow, Operator};
use palisade_types::position::{Capture, Magnitudes, Position, PositionId, StakeSource, SymbioticStake};
use palisade_types::proof::{Clock, LightProof, ProofBundle};
use palisade_types::vault::VaultStatus;
use palisade_types::{
    Address, Block, BlsKey, Canonical as _, Ed25519Key, Hash, Header, List, OperatorId, QuorumCertificate, Row, RowKey,
    SchnorrKey, Vault, VaultId, Wad,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::sync::{broadcast, watch};

/// Assets in which every operator has a position: as many as genesis can list. The last is Symbiotic's.
const ASSETS: u8 = 16;
/// Those who sit in the committee and certify; they are besides the market's.
const SEATS: usize = 64;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How large the market is, and how much is asked.
#[derive(Clone, Copy)]
struct Scale {
    operators: u64,
    vaults: u32,
    /// Different questions of a kind.
    questions: u64,
    /// How often one connection asks in a round, about each kind.
    asked: usize,
    rounds: usize,
}

const WHOLE: Scale = Scale { operators: 10_000, vaults: 100_000, questions: 100, asked: 1_000, rounds: 7 };
const SHORT: Scale = Scale { operators: 20, vaults: 100, questions: 5, asked: 20, rounds: 1 };

fn main() -> Result<()> {
    bench("rpc", |effort| {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        run(&runtime, if effort == Effort::Whole { WHOLE } else { SHORT })
    })
}

fn run(runtime: &Runtime, scale: Scale) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let network = market();
    let started = Instant::now();
    let (stand, ledger) = Stand::make(&network, dir.path(), scale)?;
    println!("{} rows, founded in {:?}", ledger.rows().count(), started.elapsed());
    let kinds = kinds(&ledger, &stand, scale)?;
    let (ours, _server) = runtime.block_on(serve(&network, ledger, &stand))?;
    let (peer, _echo) = runtime.block_on(echo())?;
    let expected = digest(kinds.iter().flat_map(|kind| &kind.answers));
    let told = check(ours, &kinds)?;
    ensure!(told == expected, "the answers' hash is {}, by the ledger itself {}", hex(&told), hex(&expected));
    println!("sha256 of all answers {}, as the ledger itself has it", hex(&told));
    for connections in [1, 8] {
        println!("{connections} connections, {} rounds of {} questions each, by the clock", scale.rounds, scale.asked);
        for kind in &kinds {
            race(kind, ours, peer, connections, scale)?;
        }
    }
    Ok(())
}

/// Questions of one kind.
struct Kind {
    name: &'static str,
    /// Requests as they go over the wire.
    requests: Vec<Vec<u8>>,
    /// What the ledger itself says.
    answers: Vec<Value>,
    /// An echo of the same parameters,
    questions: Vec<Vec<u8>>,
    /// and of a text as long as the answer.
    as_long: Vec<Vec<u8>>,
}

impl Kind {
    fn of(name: &'static str, method: &str, asked: impl IntoIterator<Item = Result<(Value, Value)>>) -> Result<Self> {
        let mut kind = Self { name, requests: vec![], answers: vec![], questions: vec![], as_long: vec![] };
        for pair in asked {
            let (question, answer) = pair?;
            kind.requests.push(request(method, &question));
            kind.questions.push(request("echo", &json!([question.to_string()])));
            kind.as_long.push(request("echo", &json!(["x".repeat(answer.to_string().len())])));
            kind.answers.push(answer);
        }
        Ok(kind)
    }
}

/// What is asked, and what the ledger itself says to it.
fn kinds(ledger: &Ledger, stand: &Stand, scale: Scale) -> Result<Vec<Kind>> {
    let some = |what: &'static [u8], of: u64| {
        (0..scale.questions).map(move |number| {
            let hash = sha256_all(&[b"asked about", what, &number.to_be_bytes()]);
            u64::from_be_bytes(std::array::from_fn(|i| hash[i])) % of
        })
    };
    let operators = some(b"operators", scale.operators).map(|number| {
        let known = ledger.operator(&operator(number)).context("he is there")?;
        let positions = ledger.positions().filter(|(id, _)| id.operator == known.id);
        let positions = positions.map(|(id, position)| PositionView::of(id, position)).collect();
        let vaults = ledger.vaults().filter(|vault| vault.registration.operator == known.id);
        let vaults = vaults.map(|vault| vault.id.to_string()).collect();
        let view = OperatorView::of(known, positions, vaults, ledger.committee());
        Ok((json!([known.id.to_string()]), serde_json::to_value(view)?))
    });
    let vaults = some(b"vaults", scale.vaults.into()).map(|number| {
        let vault = ledger.vault(&vault_id(u32::try_from(number)?)).context("it is there")?;
        Ok((json!([vault.id.to_string()]), serde_json::to_value(VaultView::whole(vault, ledger))?))
    });
    let accounts = std::iter::once_with(|| Ok((json!([]), ledger.accounts().map(account).collect())));
    let positions = |what| some(what, scale.operators * u64::from(ASSETS));
    let key = |number: u64| {
        let asset = u8::try_from(number % u64::from(ASSETS)).expect("few assets");
        RowKey::Position(PositionId { operator: operator(number / u64::from(ASSETS)), source: source(asset) })
    };
    let proofs = positions(b"proofs").map(|number| stand.proof(ledger, key(number)));
    let bundles = positions(b"bundles").map(|number| stand.bundle(ledger, key(number)));
    Ok(vec![
        Kind::of("an operator", "ledger_operator", operators)?,
        Kind::of("a vault", "vault_get", vaults)?,
        Kind::of("the accounts", "ledger_accounts", accounts)?,
        Kind::of("a row's proof", "ledger_proof", proofs)?,
        Kind::of("a proof with its committee", "ledger_proof_bundle", bundles)?,
    ])
}

fn account((id, account): (&AccountId, &Account)) -> Value {
    let (source, asset) = match id {
        AccountId::Stake(source) => (source.protocol(), json!(source.asset().to_string())),
        AccountId::Bitcoin => ("bitcoin", Value::Null),
    };
    let [entered, held, left, taken] =
        [account.entered, account.held, account.left, account.taken].map(|amount| amount.to_string());
    json!({ "source": source, "asset": asset, "entered": entered, "held": held, "left": left, "taken": taken })
}

/// The same questions to us and to the peer, in turn.
fn race(kind: &Kind, ours: SocketAddr, peer: SocketAddr, connections: usize, scale: Scale) -> Result<()> {
    let contenders = [
        ("palisade", ours, &kind.requests),
        ("echo of the question", peer, &kind.questions),
        ("echo as long as the answer", peer, &kind.as_long),
    ];
    let mut rounds: [Vec<Vec<Duration>>; 3] = [vec![], vec![], vec![]];
    for _ in 0..scale.rounds {
        for ((_, address, requests), rounds) in contenders.iter().zip(&mut rounds) {
            rounds.push(ask_all(*address, requests, connections, scale.asked)?);
        }
    }
    let length = kind.answers.iter().map(|answer| answer.to_string().len()).max().unwrap_or(0);
    println!("  {}: {length} bytes at most", kind.name);
    let middle = |times: &[Duration]| place(times, 500);
    for ((name, _, _), rounds) in contenders.iter().zip(&rounds) {
        let all = rounds.concat();
        println!("    {name:<27} p50 {:>9?}  p99 {:>9?}", middle(&all), place(&all, 990));
    }
    for ((name, _, _), peer) in contenders.iter().zip(&rounds).skip(1) {
        let ratios: Vec<u128> =
            rounds[0].iter().zip(peer).map(|(ours, peer)| hundredths(middle(ours), middle(peer))).collect();
        let [low, half, high] = [0, 500, 1_000].map(|part| place(&ratios, part));
        let show = |ratio: u128| format!("{}.{:02}", ratio / 100, ratio % 100);
        println!("    p50 {} times that of the {name} ({} to {})", show(half), show(low), show(high));
    }
    Ok(())
}

/// How long every answer took, over so many connections at once.
fn ask_all(address: SocketAddr, requests: &[Vec<u8>], connections: usize, asked: usize) -> Result<Vec<Duration>> {
    let one = |first: usize| {
        let mut connection = Connection::open(address)?;
        connection.ask(&requests[0])?;
        let asked = (first..first + asked).map(|number| {
            let before = Instant::now();
            connection.ask(&requests[number % requests.len()])?;
            Ok(before.elapsed())
        });
        asked.collect::<Result<Vec<_>>>()
    };
    let times: Result<Vec<Vec<Duration>>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections).map(|number| scope.spawn(move || one(number * asked))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a client does not panic")).collect()
    });
    Ok(times?.concat())
}

/// Every answer is what the ledger says; their hash.
fn check(address: SocketAddr, kinds: &[Kind]) -> Result<[u8; 32]> {
    let mut connection = Connection::open(address)?;
    let mut told = Vec::new();
    for kind in kinds {
        for (request, expected) in kind.requests.iter().zip(&kind.answers) {
            let mut answer: Value = serde_json::from_slice(connection.ask(request)?)?;
            let result = answer["result"].take();
            ensure!(result == *expected, "{}: the node says {result}, the ledger {expected}", kind.name);
            told.push(result);
        }
    }
    Ok(digest(&told))
}

fn digest<'a>(answers: impl IntoIterator<Item = &'a Value>) -> [u8; 32] {
    answers.into_iter().fold([0; 32], |sum, answer| sha256_all(&[&sum, answer.to_string().as_bytes()]))
}

fn hex(hash: &[u8; 32]) -> String {
    hex_bytes(hash)
}

/// The value that so many in a thousand are not above.
fn place<T: Copy + Ord>(values: &[T], part: usize) -> T {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted[(sorted.len() - 1) * part / 1_000]
}

fn hundredths(of: Duration, to: Duration) -> u128 {
    100 * of.as_nanos() / to.as_nanos().max(1)
}

fn request(method: &str, params: &Value) -> Vec<u8> {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    let head = "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length:";
    format!("{head} {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// One HTTP connection, kept alive. As little of a client as can be, so that the servers are what is compared.
struct Connection {
    stream: BufReader<TcpStream>,
    line: String,
    body: Vec<u8>,
}

impl Connection {
    fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream: BufReader::with_capacity(1 << 16, stream), line: String::new(), body: Vec::new() })
    }

    /// The body of the answer, which is one of success.
    fn ask(&mut self, request: &[u8]) -> Result<&[u8]> {
        self.stream.get_mut().write_all(request)?;
        let mut length = None;
        for number in 0.. {
            self.line.clear();
            self.stream.read_line(&mut self.line)?;
            let line = self.line.trim_end();
            if number == 0 {
                ensure!(line == "HTTP/1.1 200 OK", "the answer is {line}");
            } else if line.is_empty() {
                break;
            } else if let Some(("content-length", value)) = line.split_once(": ") {
                length = Some(value.parse::<usize>()?);
            }
        }
        self.body.resize(length.context("an answer without length")?, 0);
        self.stream.read_exact(&mut self.body)?;
        if self.body.windows(8).take(64).any(|piece| piece == b"\"error\":") {
            bail!("refused: {}", String::from_utf8_lossy(&self.body));
        }
        Ok(&self.body)
    }
}

/// The peer: jsonrpsee, and nothing else.
async fn echo() -> Result<(SocketAddr, ServerHandle)> {
    let mut module = RpcModule::new(());
    module.register_method("echo", |params, (), _| {
        let [said]: [String; 1] = params.parse()?;
        Ok::<_, ErrorObjectOwned>(said)
    })?;
    let server = Server::builder().build("127.0.0.1:0").await?;
    Ok((server.local_addr()?, server.start(module)))
}

/// A node's JSON-RPC over this ledger.
async fn serve(network: &Network, ledger: Ledger, stand: &Stand) -> Result<(SocketAddr, ServerHandle)> {
    let operator = network.operators[0].id;
    let core = Core::new(operator, Versions::new(network.chain, &[])?, ledger, None, SignedLast::default());
    let (handle, mut commands) = CoreHandle::channel();
    tokio::spawn(async move {
        while let Some(command) = commands.recv().await {
            if let Command::Read(read) = command {
                read(&core);
            }
        }
    });
    let sources = Sources {
        core: handle,
        store: stand.store.clone(),
        operator,
        connected: watch::channel([operator].into()).1,
        history: History::Unbroken,
        certified: broadcast::channel(rpc::MAX_NEWS).0,
        metrics: Metrics::new(),
    };
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    Ok(rpc::start(&config::Rpc { listen, ..config::Rpc::default() }, sources).await?)
}

/// A store at the newest block of the market, and what proves that block.
struct Stand {
    store: Arc<Store>,
    header: Header,
    certificate: QuorumCertificate,
}

impl Stand {
    fn make(network: &Network, dir: &std::path::Path, scale: Scale) -> Result<(Self, Ledger)> {
        let run = Run::joined(network.clone());
        let head = run.ledger.head();
        let mut rows: BTreeMap<RowKey, Row> = run.ledger.rows().collect();
        rows.extend(market_rows(network, scale));
        let books = books(&rows);
        rows.extend(books);
        let store = Store::open(dir, &network.chain)?;
        store.begin(head, rows.iter().map(|(key, row)| (*key, row.clone())))?;
        let mut ledger = Ledger::restore(network.genesis.clone(), head, rows)?;
        let upto = ledger.anchor(ChainKind::Ethereum).number + 1;
        let item = network.observed(&ledger, ChainKind::Ethereum, upto, vec![]);
        let (block, changes, refused) = ledger.draft(vec![item]);
        ensure!(refused.is_empty(), "the block is refused: {refused:?}");
        store.commit(&block, b"certificate", &changes)?;
        ledger.apply(changes);
        let certificate = certify(network, &ledger, &block);
        store.put_certificate(&certificate)?;
        Ok((Self { store: Arc::new(store), header: block.header, certificate }, ledger))
    }

    fn light(&self, ledger: &Ledger, key: RowKey) -> LightProof {
        let (row, proof) = (ledger.row(&key), ledger.prove(&key));
        LightProof { key, row, proof, header: self.header, certificate: self.certificate.clone() }
    }

    /// What proves a row, checked.
    fn proof(&self, ledger: &Ledger, key: RowKey) -> Result<(Value, Value)> {
        let proof = self.light(ledger, key);
        proof.verify(&ledger.chain(), &ledger.domains().ledger, ledger.committee())?;
        let view = ProofView {
            height: self.header.height.get(),
            epoch: self.header.epoch.get(),
            present: true,
            proof: hex_bytes(&proof.to_bytes()),
        };
        Ok((json!([hex_bytes(&key.to_bytes())]), serde_json::to_value(view)?))
    }

    fn bundle(&self, ledger: &Ledger, key: RowKey) -> Result<(Value, Value)> {
        let (genesis, committee) = ((**ledger.genesis_of()).clone(), ledger.committee().clone());
        let hash = committee.hash(&ledger.chain());
        let bundle = ProofBundle { genesis, committee, proof: self.light(ledger, key) };
        bundle.verify(&hash, Clock::Ethereum(ledger.anchor(ChainKind::Ethereum).number))?;
        let view = BundleView {
            height: self.header.height.get(),
            committee: hash.to_string(),
            present: true,
            bundle: hex_bytes(&bundle.to_bytes()),
        };
        Ok((json!([hex_bytes(&key.to_bytes())]), serde_json::to_value(view)?))
    }
}

/// Two thirds of the seats and one more sign the block.
fn certify(network: &Network, ledger: &Ledger, block: &Block) -> QuorumCertificate {
    let statement = network.finality_statement(block.header.height, block.id().into());
    let signers: Vec<usize> = (0..SEATS * 2 / 3 + 1).collect();
    network.certificate(ledger.committee(), statement, &signers)
}

fn market() -> Network {
    network_with(SEATS, 7, |genesis| {
        let asset = genesis.assets[0];
        let assets = (0..ASSETS).map(|number| palisade_types::genesis::Asset { source: source(number), ..asset });
        genesis.assets = List::try_from(assets.collect::<Vec<_>>()).expect("no more assets than genesis holds");
    })
}

fn operator(number: u64) -> OperatorId {
    let hash = sha256_all(&[b"operator of the market", &number.to_be_bytes()]);
    OperatorId::new(std::array::from_fn(|i| hash[i]))
}

fn vault_id(number: u32) -> VaultId {
    VaultId { txid: Hash::new(sha256_all(&[b"vault", &number.to_be_bytes()])), output: 0 }
}

const fn source(asset: u8) -> StakeSource {
    let address = Address::new([asset + 1; 20]);
    if asset + 1 < ASSETS { StakeSource::EigenLayer(address) } else { StakeSource::Symbiotic(address) }
}

/// Operators with a position in every asset, and vaults behind them.
fn market_rows(network: &Network, scale: Scale) -> Vec<(RowKey, Row)> {
    let mut rows = Vec::new();
    for number in 0..scale.operators {
        let id = operator(number);
        let seed = |what: &[u8]| sha256_all(&[what, id.as_bytes()]);
        let keys = KeyRow {
            id: 1_000 + u32::try_from(number).expect("few operators"),
            from: 101,
            until: None,
            bls: BlsKey::new(std::array::from_fn(|i| seed(b"bls")[i % 32])),
            ed25519: Ed25519Key::new(seed(b"ed25519")),
            eots: SchnorrKey::new(seed(b"eots")),
            peer: seed(b"peer").to_vec().try_into().expect("32 bytes"),
        };
        let keys = List::try_from(vec![keys]).expect("one row of keys");
        let row = Operator { id, keys, convicted: None, jailed: None, attested: 0, missed: 0 };
        rows.push((RowKey::Operator(id), Row::Operator(row)));
        rows.extend((0..ASSETS).map(|asset| {
            let id = PositionId { operator: id, source: source(asset) };
            (RowKey::Position(id), Row::Position(position(asset)))
        }));
    }
    rows.extend((0..scale.vaults).map(|number| {
        let mut registration = network.vault(0, number, 100_000_000, 201);
        registration.operator = operator(u64::from(number) % scale.operators);
        let (id, status) = (vault_id(number), VaultStatus::Active);
        let vault = Vault { id, registration, registered: 205, start: Some(201), status, since: 205 };
        (RowKey::Vault(id), Row::Vault(Box::new(vault)))
    }));
    rows
}

fn position(asset: u8) -> Position {
    let shares: u64 = 1_000_000_000_000 + u64::from(asset);
    if let StakeSource::Symbiotic(_) = source(asset) {
        let captures = [1, 2, 3, 4].map(|time| Capture { time, stake: shares.into() });
        let stake = SymbioticStake { captures, pool: shares.into(), epoch_duration: 604_800, veto_duration: 86_400 };
        return Position::Symbiotic(stake);
    }
    let whole = Wad::ONE.get();
    Position::EigenLayer(Magnitudes {
        shares: shares.into(),
        queued: 0,
        max_magnitude: whole,
        magnitude: whole,
        pending: 0,
        effect_block: 0,
        member: true,
        slashable_until: 0,
    })
}

/// The books of everything that is held.
fn books(rows: &BTreeMap<RowKey, Row>) -> BTreeMap<RowKey, Row> {
    let mut books: BTreeMap<AccountId, Account> = BTreeMap::new();
    for (key, row) in rows {
        let (id, adds) = match (key, row) {
            (RowKey::Position(id), Row::Position(position)) => {
                let held = position.held();
                (AccountId::Stake(id.source), Account { entered: held, held, ..Account::default() })
            }
            (_, Row::Vault(vault)) => (AccountId::Bitcoin, Account::of_vault(vault)),
            _ => continue,
        };
        let sum = books.entry(id).or_default();
        *sum = sum.plus(&adds);
    }
    books.into_iter().map(|(id, account)| (RowKey::Account(id), Row::Account(account))).collect()
}
