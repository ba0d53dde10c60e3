//! The ledger at the size of a whole market: what a block changes derived, committed to and stored, against a bare `WriteBatch` of the
//! same bytes, and against `jmt` committing to the same rows without any disk (`--features jmt`). Besides, how it starts, what it
//! takes, and how long a proof is.

use anyhow::{Context as _, Result, ensure};
use palisade_benches::{Effort, Race, Run, bench, timed};
use palisade_crypto::hash::sha256_all;
use palisade_ledger::Ledger;
use palisade_ledger::fixture::{Network, network_with, point};
use palisade_storage::{Loaded, Store};
use palisade_types::chain::ChainKind;
use palisade_types::epoch::FinalBlock;
use palisade_types::observation::StakeSeen;
use palisade_types::operator::{KeyRow, Operator};
use palisade_types::position::{Magnitudes, Position, PositionId, StakeSource};
use palisade_types::vault::VaultStatus;
use palisade_types::{
    Address, Block, BlockId, BlsKey, Canonical, Ed25519Key, Fact, Hash, Height, Item, List, OperatorId, Row, RowKey,
    SchnorrKey, Vault, VaultId, Wad,
};
use rocksdb::{DB, WriteBatch, WriteOptions};
use std::path::Path;
use std::time::Instant;

/// Assets in which every operator has a position.
const ASSETS: u8 = 16;

/// How large the market is, and how much happens.
#[derive(Clone, Copy)]
struct Scale {
    rows: u64,
    operators: u64,
    vaults: u32,
    blocks: usize,
    changes: usize,
    rounds: usize,
}

const WHOLE: Scale =
    Scale { rows: 1_000_000, operators: 10_000, vaults: 100_000, blocks: 20, changes: 1_000, rounds: 5 };
const SHORT: Scale = Scale { rows: 3_000, operators: 20, vaults: 100, blocks: 2, changes: 50, rounds: 1 };

fn main() -> Result<()> {
    bench("ledger", |effort| run(if effort == Effort::Whole { WHOLE } else { SHORT }))
}

fn run(scale: Scale) -> Result<()> {
    let network = market();
    let (head, rows) = state(&network, scale);
    println!(
        "{} rows: {} operators with {ASSETS} positions each, {} vaults",
        rows.len(),
        scale.operators,
        scale.vaults
    );
    let blocks = blocks(&network, head, rows.clone(), scale)?;
    let dir = tempfile::tempdir()?;
    let (ours, bare) = (dir.path().join("ours"), dir.path().join("bare"));
    let store = Store::open(&ours, &network.chain)?;
    store.begin(head, rows.iter().map(|(key, row)| (key, row)))?;
    drop(store);
    let peer = bare_copy(&bare, &rows)?;
    #[cfg(feature = "jmt")]
    let mut jellyfish = jellyfish::Tree::of(&rows)?;
    drop(rows);

    let before = resident()?;
    let started = Instant::now();
    let store = Store::open(&ours, &network.chain)?;
    let Loaded { head, rows } = store.load()?.context("the store is begun")?;
    let mut ledger = Ledger::restore(network.genesis.clone(), head, rows)?;
    println!("  from the disk to a whole ledger, audited: {:?}", started.elapsed());
    println!("  resident memory it added: {} MB", (resident()? - before) >> 20);
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
        let (took, done) = timed(|| {
            turn.iter().try_for_each(|(block, _)| {
                let changes = ledger.preview(block)?;
                store.commit(block, b"certificate", &changes)?;
                ledger.apply(changes);
                anyhow::Ok(())
            })
        });
        done?;
        let expected = turn.last().context("there is a block")?.0.header.state_root;
        ensure!(ledger.root() == expected, "the root is not the reference's");
        Ok(Run::of(took))
    })
    .against("WriteBatch", || {
        let turn = &all[bare_at..bare_at + scale.blocks];
        bare_at += scale.blocks;
        let (took, done) = timed(|| turn.iter().try_for_each(|(block, bytes)| write(&peer, block, bytes)));
        done?;
        Ok(Run::of(took))
    });
    #[cfg(feature = "jmt")]
    let race = race.against("jmt", || {
        let turn = &all[jellyfish_at..jellyfish_at + scale.blocks];
        jellyfish_at += scale.blocks;
        let (took, done) = timed(|| turn.iter().try_for_each(|(_, bytes)| jellyfish.commit(bytes)));
        done?;
        Ok(Run::of(took))
    });
    race.run(scale.rounds)?;
    let grown = size(&ours)?.saturating_sub(disk);
    println!("  disk bytes a block of {} rows: {}", scale.changes, grown / (scale.blocks * scale.rounds) as u64);
    check(&all, scale)
}

/// A key and what is stored under it.
type Bytes = (Vec<u8>, Vec<u8>);

/// Whose epochs do not end while we measure: drawing a committee is another bench.
fn market() -> Network {
    network_with(4, 7, |genesis| {
        genesis.parameters.epoch_heights = 1 << 40;
        genesis.parameters.epoch_ethereum_blocks = 1 << 40;
        let asset = genesis.assets[0];
        let assets = (0..ASSETS).map(|number| {
            let source = StakeSource::EigenLayer(Address::new([number; 20]));
            palisade_types::genesis::Asset { source, ..asset }
        });
        genesis.assets = List::try_from(assets.collect::<Vec<_>>()).expect("no more assets than genesis holds");
    })
}

fn operator(number: u64) -> OperatorId {
    let hash = sha256_all(&[b"operator of the market", &number.to_be_bytes()]);
    OperatorId::new(std::array::from_fn(|i| hash[i]))
}

fn position(number: u64, asset: u8, shares: u64) -> StakeSeen {
    let source = StakeSource::EigenLayer(Address::new([asset; 20]));
    let whole = Wad::ONE.get();
    let magnitudes = Magnitudes {
        shares: shares.into(),
        max_magnitude: whole,
        magnitude: whole,
        pending: 0,
        effect_block: 0,
        member: true,
        slashable_until: 0,
    };
    StakeSeen { id: PositionId { operator: operator(number), source }, position: Position::EigenLayer(magnitudes) }
}

/// The rows of genesis, of operators with positions and vaults, and of as many blocks as fill the rest.
fn state(network: &Network, scale: Scale) -> (FinalBlock, Vec<(RowKey, Row)>) {
    let genesis = Ledger::genesis(network.genesis.clone());
    let mut rows: Vec<(RowKey, Row)> = genesis.rows().map(|(key, row)| (*key, row.clone())).collect();
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
        let positions = (0..ASSETS).map(|asset| position(number, asset, 1_000_000_000_000));
        rows.extend(positions.map(|seen| (RowKey::Position(seen.id), Row::Position(seen.position))));
    }
    for number in 0..scale.vaults {
        let registration = network.vault(0, number, 100_000_000, 201);
        let id = VaultId { txid: Hash::new(sha256_all(&[b"vault", &number.to_be_bytes()])), output: 0 };
        let vault =
            Vault { id, registration, registered: 205, start: Some(201), status: VaultStatus::Active, since: 205 };
        rows.push((RowKey::Vault(id), Row::Vault(Box::new(vault))));
    }
    let height = scale.rows.saturating_sub(rows.len() as u64).max(1);
    let name = |height: u64| BlockId::new(sha256_all(&[b"block of the market", &height.to_be_bytes()]));
    rows.push((RowKey::Block(Height::new(0)), Row::Block(BlockId::new(*network.chain.as_bytes()))));
    rows.extend((1..height).map(|at| (RowKey::Block(Height::new(at)), Row::Block(name(at)))));
    (FinalBlock { height: Height::new(height), id: name(height) }, rows)
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
            Fact::Stake(position(which % scale.operators, hash[31] % ASSETS, shares >> 1))
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
        proof.proves(&ledger.root(), &key, ledger.row(&key))?;
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
    let mut rows: std::collections::BTreeMap<_, _> = rows.into_iter().collect();
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

fn resident() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
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
