//! The ledger at the size of a whole market: what a block changes derived, committed to and stored, against a bare `WriteBatch` of the
//! same bytes, and against `jmt` committing to the same rows without any disk (`--features jmt`). Besides, how it starts, what it
//! takes, and how long a proof is.

use anyhow::{Context as _, Result, ensure};
use palisade_crypto::hash::sha256_all;
use palisade_ledger::Ledger;
use palisade_ledger::fixture::{Network, network_with, point};
use palisade_race::{Effort, Race, Run, bench, timed};
use palisade_storage::Store;
use palisade_types::account::{Account, AccountId};
use palisade_types::chain::ChainKind;
use palisade_types::epoch::FinalBlock;
use palisade_types::observation::StakeSeen;
use palisade_types::operator::{KeyRow, Operator};
use palisade_types::position::{Capture, Magnitudes, Position, PositionId, StakeSource, SymbioticStake};
use palisade_types::service::{FaultRule, Law, Registration, RegistrationId, Service, ServiceRules, ServiceSet};
use palisade_types::vault::VaultStatus;
use palisade_types::{
    Address, Block, BlockId, BlsKey, Canonical, Ed25519Key, Fact, Hash, Height, Item, List, MicroUsd, OperatorId, Row,
    RowKey, SchnorrKey, ServiceId, Vault, VaultId, Wad,
};
use rocksdb::{DB, WriteBatch, WriteOptions};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

/// Assets in which every operator has a position: as many as genesis can list. The last is Symbiotic's.
const ASSETS: u8 = 16;
/// Vaults that every operator lists besides, each with a position: as many as he may.
const LISTED: u8 = 4;
/// In the environment of this very program when it is only to start from a store: where that is.
const STORE: &str = "PALISADE_BENCH_STORE";

/// How large the market is, and how much happens.
#[derive(Clone, Copy)]
struct Scale {
    rows: u64,
    operators: u64,
    vaults: u32,
    services: u32,
    blocks: usize,
    changes: usize,
    rounds: usize,
}

const WHOLE: Scale = Scale {
    rows: 1_000_000,
    operators: 10_000,
    vaults: 100_000,
    services: 1_000,
    blocks: 20,
    changes: 1_000,
    rounds: 5,
};
const SHORT: Scale = Scale { rows: 3_000, operators: 20, vaults: 100, services: 10, blocks: 2, changes: 50, rounds: 1 };

fn main() -> Result<()> {
    if let Some(dir) = std::env::var_os(STORE) {
        return start(Path::new(&dir));
    }
    bench("ledger", |effort| run(if effort == Effort::Whole { WHOLE } else { SHORT }))
}

fn run(scale: Scale) -> Result<()> {
    let network = market();
    let (head, rows) = state(&network, scale);
    println!(
        "{} rows: {} operators with {} positions each ({LISTED} of them listed), {} vaults, {} services, {} heights",
        rows.len(),
        scale.operators,
        ASSETS + LISTED,
        scale.vaults,
        scale.services,
        head.height
    );
    let blocks = blocks(&network, head, rows.clone(), scale)?;
    let dir = tempfile::tempdir()?;
    let (ours, bare) = (dir.path().join("ours"), dir.path().join("bare"));
    let store = Store::open(&ours, &network.chain)?;
    store.begin(head, rows.iter().cloned())?;
    drop(store);
    let peer = bare_copy(&bare, &rows)?;
    #[cfg(feature = "jmt")]
    let mut jellyfish = jellyfish::Tree::of(&rows)?;
    drop(rows);

    start_alone(&ours, "as it was begun")?;
    let store = Store::open(&ours, &network.chain)?;
    let (head, rows) = store.stored()?.context("the store is begun")?;
    let mut ledger = Ledger::wake(network.genesis.clone(), head, rows)?;
    show_proof(&ledger)?;

    let disk = size(&ours)?;
    let all: Vec<(Block, Vec<Bytes>)> = blocks;
    let (mut at, mut bare_at) = (0, 0);
    #[cfg(feature = "jmt")]
    let mut jellyfish_at = 0;
    let pieces = (scale.blocks * scale.changes) as u64;
    let race = Race::new("rows changed by blocks, derived, committed to and stored", (pieces, "row"), || {
        let turn = &all[at..at + scale.blocks];
        at += scale.blocks;
        let began = Instant::now();
        let (took, done) = timed(|| {
            turn.iter().try_for_each(|(block, _)| {
                let changes = ledger.preview(block)?;
                store.commit(block, b"certificate", &changes)?;
                ledger.apply(changes);
                anyhow::Ok(())
            })
        });
        let lasted = began.elapsed();
        done?;
        let expected = turn.last().context("there is a block")?.0.header.state_root;
        ensure!(ledger.root() == expected, "the root is not the reference's");
        Ok(Run::of(took).lasted(lasted))
    })
    .against("WriteBatch", || {
        let turn = &all[bare_at..bare_at + scale.blocks];
        bare_at += scale.blocks;
        let began = Instant::now();
        let (took, done) = timed(|| turn.iter().try_for_each(|(block, bytes)| write(&peer, block, bytes)));
        done?;
        Ok(Run::of(took).lasted(began.elapsed()))
    });
    #[cfg(feature = "jmt")]
    let race = race.against("jmt", || {
        let turn = &all[jellyfish_at..jellyfish_at + scale.blocks];
        jellyfish_at += scale.blocks;
        let began = Instant::now();
        let (took, done) = timed(|| turn.iter().try_for_each(|(_, bytes)| jellyfish.commit(bytes)));
        done?;
        Ok(Run::of(took).lasted(began.elapsed()))
    });
    race.run(scale.rounds)?;
    let grown = size(&ours)?.saturating_sub(disk);
    println!("  disk bytes a block of {} rows: {}", scale.changes, grown / (scale.blocks * scale.rounds) as u64);
    drop(store);
    start_alone(&ours, "as the race left it, its newest blocks in the log")?;
    check(&all, scale)
}

/// Starts from a store in a process of its own, which tells what it took.
fn start_alone(dir: &Path, how: &str) -> Result<()> {
    let told = std::process::Command::new(std::env::current_exe()?).env(STORE, dir).output()?;
    ensure!(told.status.success(), "the start failed: {}", String::from_utf8_lossy(&told.stderr));
    print!("  from the disk to a ledger whose root is compared, {how}: {}", String::from_utf8_lossy(&told.stdout));
    Ok(())
}

/// What a node does from its store to a ledger that it can go on with.
fn start(dir: &Path) -> Result<()> {
    let network = market();
    let (before, started) = (memory("VmRSS:")?, Instant::now());
    let (worked, done) = timed(|| {
        let store = Store::open(dir, &network.chain)?;
        let opened = started.elapsed();
        let (head, rows) = store.stored()?.context("the store is begun")?;
        let read = started.elapsed();
        let ledger = Ledger::wake(network.genesis.clone(), head, rows)?;
        if let Some((block, _)) = store.block(head.height)? {
            ensure!(block.header.state_root == ledger.root(), "the root is not the block's");
        }
        Ok((store, ledger, opened, read))
    });
    let (_store, _ledger, opened, read) = done?;
    let (ready, now, most) = (started.elapsed(), memory("VmRSS:")?, memory("VmHWM:")?);
    println!(
        "{ready:?} (open after {opened:?}, read after {read:?}), {worked:?} of processors; {} MB, {} MB at most",
        (now - before) >> 20,
        most >> 20
    );
    Ok(())
}

/// A key and what is stored under it.
type Bytes = (Vec<u8>, Vec<u8>);

/// Whose epochs do not end while we measure: drawing a committee is another bench.
fn market() -> Network {
    network_with(4, 7, |genesis| {
        genesis.parameters.epoch_heights = 1 << 40;
        genesis.parameters.epoch_ethereum_blocks = 1 << 40;
        let asset = genesis.assets[0];
        let assets = (0..ASSETS).map(|number| palisade_types::genesis::Asset { source: source(number), ..asset });
        genesis.assets = List::try_from(assets.collect::<Vec<_>>()).expect("no more assets than genesis holds");
    })
}

fn operator(number: u64) -> OperatorId {
    let hash = sha256_all(&[b"operator of the market", &number.to_be_bytes()]);
    OperatorId::new(std::array::from_fn(|i| hash[i]))
}

/// Where stake of an asset lies; beyond genesis' assets are the vaults that operators list.
const fn source(asset: u8) -> StakeSource {
    let address = Address::new([asset; 20]);
    if asset + 1 < ASSETS { StakeSource::EigenLayer(address) } else { StakeSource::Symbiotic(address) }
}

fn position(number: u64, asset: u8, shares: u64) -> StakeSeen {
    let id = PositionId { operator: operator(number), source: source(asset) };
    if matches!(id.source, StakeSource::Symbiotic(_)) {
        let captures = [1, 2, 3, 4].map(|time| Capture { time, stake: shares.into() });
        let stake = SymbioticStake { captures, pool: shares.into(), epoch_duration: 604_800, veto_duration: 86_400 };
        return StakeSeen { id, position: Position::Symbiotic(stake) };
    }
    let whole = Wad::ONE.get();
    let magnitudes = Magnitudes {
        shares: shares.into(),
        queued: 0,
        max_magnitude: whole,
        magnitude: whole,
        pending: 0,
        effect_block: 0,
        member: true,
        slashable_until: 0,
    };
    StakeSeen { id, position: Position::EigenLayer(magnitudes) }
}

/// The rows of genesis, of operators with positions and vaults, and of as many blocks as fill the rest.
fn state(network: &Network, scale: Scale) -> (FinalBlock, Vec<(RowKey, Row)>) {
    let genesis = Ledger::genesis(network.genesis.clone());
    let mut rows: Vec<(RowKey, Row)> = genesis.rows().collect();
    for number in 0..scale.operators {
        let id = operator(number);
        let seed = |what: &[u8]| sha256_all(&[what, id.as_bytes()]);
        let keys = KeyRow {
            id: u32::try_from(number).expect("few operators"),
            from: 1,
            until: None,
            bls: BlsKey::new(std::array::from_fn(|i| seed(b"bls")[i % 32])),
            ed25519: Ed25519Key::new(seed(b"ed25519")),
            eots: SchnorrKey::new(seed(b"eots")),
            peer: seed(b"peer").to_vec().try_into().expect("32 bytes"),
        };
        let keys = List::try_from(vec![keys]).expect("one row of keys");
        let row = Operator { id, keys, convicted: None, jailed: None, attested: 0, missed: 0 };
        rows.push((RowKey::Operator(id), Row::Operator(row)));
        let positions = (0..ASSETS + LISTED).map(|asset| position(number, asset, 1_000_000_000_000));
        rows.extend(positions.map(|seen| (RowKey::Position(seen.id), Row::Position(seen.position))));
        let listed = (ASSETS..ASSETS + LISTED).map(|asset| PositionId { operator: id, source: source(asset) });
        rows.extend(listed.map(|id| (RowKey::Listing(id), Row::Listing(source(ASSETS - 1)))));
    }
    for number in 0..scale.services {
        rows.extend(service(number));
    }
    for number in 0..scale.vaults {
        let registration = network.vault(0, number, 100_000_000, 201);
        let id = VaultId { txid: Hash::new(sha256_all(&[b"vault", &number.to_be_bytes()])), output: 0 };
        let vault =
            Vault { id, registration, registered: 205, start: Some(201), status: VaultStatus::Active, since: 205 };
        rows.push((RowKey::Vault(id), Row::Vault(Box::new(vault))));
    }
    let books = books(&rows);
    rows.extend(books);
    let height = scale.rows.saturating_sub(rows.len() as u64).max(1);
    let name = |height: u64| BlockId::new(sha256_all(&[b"block of the market", &height.to_be_bytes()]));
    rows.push((RowKey::Block(Height::new(0)), Row::Block(BlockId::new(*network.chain.as_bytes()))));
    rows.extend((1..height).map(|at| (RowKey::Block(Height::new(at)), Row::Block(name(at)))));
    (FinalBlock { height: Height::new(height), id: name(height) }, rows)
}

/// The books of everything that is held.
fn books(rows: &[(RowKey, Row)]) -> BTreeMap<RowKey, Row> {
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

/// A service with one operator set and one registration.
fn service(number: u32) -> [(RowKey, Row); 2] {
    let id = ServiceId::new(sha256_all(&[b"service", &number.to_be_bytes()]));
    let adapter = Address::new(std::array::from_fn(|i| id.as_bytes()[i]));
    let set = ServiceSet { adapter, maximum: Wad::ONE };
    let rules = ServiceRules {
        version: ServiceRules::VERSION,
        kinds: List::try_from(vec![256]).expect("one kind"),
        sets: List::try_from(vec![adapter]).expect("one set"),
        threshold: ServiceRules::LEAST_THRESHOLD,
        bond: MicroUsd::new(0),
        window_blocks: 32,
        faults: List::try_from(vec![FaultRule { fault: 1, most: Wad::ONE, law: Law::Square(300) }]).expect("one fault"),
    };
    let registration = Registration { id: RegistrationId { service: id, number: 1 }, rules, since: Height::new(1) };
    let sets = List::try_from(vec![set]).expect("one set");
    [
        (RowKey::Service(id), Row::Service(Service { id, sets })),
        (RowKey::Registration(registration.id), Row::Registration(Box::new(registration))),
    ]
}

/// Blocks in which positions change all over the market, each with the rows that it makes.
fn blocks(
    network: &Network,
    head: FinalBlock,
    rows: Vec<(RowKey, Row)>,
    scale: Scale,
) -> Result<Vec<(Block, Vec<Bytes>)>> {
    let mut ledger = Ledger::restore(network.genesis.clone(), head, rows)?;
    let mut made = Vec::new();
    for number in 0..scale.blocks * scale.rounds {
        let facts = (0..scale.changes).map(|change| {
            let hash = sha256_all(&[&number.to_be_bytes(), &change.to_be_bytes()]);
            let [which, shares] = [0, 8].map(|at| u64::from_be_bytes(std::array::from_fn(|i| hash[at + i])));
            Fact::Stake(position(which % scale.operators, hash[31] % (ASSETS + LISTED), shares >> 1))
        });
        let upto = ledger.anchor(ChainKind::Ethereum).number + 1;
        let item = Item::Observed(palisade_types::Observation {
            chain: ChainKind::Ethereum,
            after: *ledger.anchor(ChainKind::Ethereum),
            upto: point(ChainKind::Ethereum, upto),
            facts: facts.collect::<Vec<_>>().try_into()?,
        });
        let (block, changes, refused) = ledger.draft(vec![item]);
        ensure!(refused.is_empty(), "the block is refused: {refused:?}");
        let rows = changes.rows().iter();
        let bytes = rows.filter_map(|(key, row)| Some((key.to_bytes(), row.as_ref()?.to_bytes()))).collect();
        ledger.apply(changes);
        made.push((block, bytes));
    }
    Ok(made)
}

/// The same rows in a database of RocksDB's own making.
fn bare_copy(dir: &Path, rows: &[(RowKey, Row)]) -> Result<DB> {
    let db = DB::open_default(dir)?;
    for rows in rows.chunks(10_000) {
        let mut batch = WriteBatch::default();
        rows.iter().for_each(|(key, row)| batch.put(key.to_bytes(), row.to_bytes()));
        db.write(batch)?;
    }
    db.flush()?;
    Ok(db)
}

fn write(db: &DB, block: &Block, rows: &[Bytes]) -> Result<()> {
    let mut batch = WriteBatch::default();
    rows.iter().for_each(|(key, row)| batch.put(key, row));
    batch.put([&b"block"[..], &block.header.height.to_bytes()].concat(), block.to_bytes());
    let mut synced = WriteOptions::default();
    synced.set_sync(true);
    Ok(db.write_opt(batch, &synced)?)
}

/// How long the proof of a row is, beside the row and what names its committee.
fn show_proof(ledger: &Ledger) -> Result<()> {
    let keys = (0..200).map(|number| RowKey::Position(position(number % 20, 3, 1).id));
    let lengths = keys.map(|key| {
        let proof = ledger.prove(&key);
        proof.proves(&ledger.root(), &key, ledger.row(&key).as_ref())?;
        Ok::<_, palisade_types::proof::BadProof>(proof.to_bytes().len())
    });
    let longest = lengths.collect::<Result<Vec<_>, _>>()?.into_iter().max().unwrap_or(0);
    let header = 2 + 32 + 8 + 4 + 4 * 32;
    println!("  a row's proof: {longest} bytes at most, and {header} of the header");
    Ok(())
}

/// The last root is the one of a tree that is built of all rows at once.
fn check(blocks: &[(Block, Vec<Bytes>)], scale: Scale) -> Result<()> {
    let network = market();
    let (head, rows) = state(&network, scale);
    let mut rows: BTreeMap<_, _> = rows.into_iter().collect();
    for (_, bytes) in blocks {
        for (key, row) in bytes {
            rows.insert(RowKey::from_bytes(key)?, Row::from_bytes(row)?);
        }
    }
    let last = blocks.last().context("there is a block")?.0.header;
    ensure!(head.height < last.height, "the blocks follow the state");
    let built = Ledger::restore(network.genesis.clone(), FinalBlock { height: last.height, id: last.id() }, rows)?;
    ensure!(built.root() == last.state_root, "a tree built at once has another root");
    println!("  state root {}, as a tree built at once has it", built.root());
    Ok(())
}

/// A figure of this process as Linux tells it, bytes.
fn memory(what: &str) -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(what)).context("a figure that Linux does not tell")?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes << 10)
}

fn size(dir: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        sum += if entry.file_type()?.is_dir() { size(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(sum)
}

#[cfg(feature = "jmt")]
mod jellyfish {
    use super::{Bytes, Canonical as _, Result, Row, RowKey};
    use jmt::mock::MockTreeStore;
    use jmt::{KeyHash, Sha256Jmt, Version};
    use palisade_crypto::hash::keccak256;

    /// A tree over the same rows, in memory.
    pub(super) struct Tree {
        store: MockTreeStore,
        version: Version,
    }

    impl Tree {
        pub(super) fn of(rows: &[(RowKey, Row)]) -> Result<Self> {
            let mut tree = Self { store: MockTreeStore::default(), version: 0 };
            for rows in rows.chunks(50_000) {
                let bytes: Vec<Bytes> = rows.iter().map(|(key, row)| (key.to_bytes(), row.to_bytes())).collect();
                tree.commit(&bytes)?;
            }
            Ok(tree)
        }

        pub(super) fn commit(&mut self, rows: &[Bytes]) -> Result<()> {
            let values = rows.iter().map(|(key, row)| (KeyHash(keccak256(key)), Some(row.clone())));
            let (_, batch) = Sha256Jmt::new(&self.store).put_value_set(values, self.version)?;
            self.store.write_tree_update_batch(batch)?;
            self.version += 1;
            Ok(())
        }
    }
}
