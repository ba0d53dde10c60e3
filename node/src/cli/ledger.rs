//! `palisade ledger`: looks at the store on the disk, whether a node runs on it or not, and changes nothing there.

use crate::config::Config;
use anyhow::{Context, anyhow, bail, ensure};
use palisade_ledger::Ledger;
use palisade_storage::{Beside, Loaded};
use palisade_types::{Block, BlockId, ChainId, Committee, Genesis, Hash, Height, OperatorId, Row, RowKey};
use serde::Serialize;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

#[derive(Debug, clap::Subcommand)]
pub enum LedgerCommand {
    /// Replay every stored block and compare each state root, and every row at the end, with what is stored
    Verify {
        #[command(flatten)]
        from: From,
        /// Check the quorum certificates that are stored too; about a millisecond each
        #[arg(long)]
        certificates: bool,
    },
    /// Write the ledger as JSON lines: one about the block it stands at, then one for each row
    Export {
        #[command(flatten)]
        from: From,
        /// Every stored block before the rows
        #[arg(long)]
        blocks: bool,
        /// The file to make; standard output without
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Copy the store of a running or stopped node into a new directory. To restore it, stop the node and put the copy in the place
    /// of `<data>/ledger`; the signer's records are not in it and must never be restored with it (R15)
    Backup {
        #[command(flatten)]
        from: From,
        /// The directory to make
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
}

/// Whose ledger.
#[derive(Debug, clap::Args)]
pub struct From {
    /// The node's configuration file
    #[arg(long, env = "PALISADE_CONFIG", value_name = "FILE")]
    config: PathBuf,
    /// Another store of the same network, such as a backup
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
}

/// One moment of a store.
struct Opened {
    store: Beside,
    genesis: Arc<Genesis>,
    /// RocksDB's own log of this process; it goes with it.
    _scratch: TempDir,
}

impl LedgerCommand {
    pub fn act(self) -> anyhow::Result<()> {
        match self {
            Self::Verify { from, certificates } => from.open()?.verify(certificates),
            Self::Export { from, blocks, out } => match out {
                None => from.open()?.export(blocks, std::io::stdout().lock()),
                Some(out) => {
                    let name = || out.display().to_string();
                    let file = File::create_new(&out).map_err(|error| match error.kind() {
                        ErrorKind::AlreadyExists => anyhow!("{} is there already and is not overwritten", name()),
                        _ => anyhow::Error::from(error).context(name()),
                    })?;
                    from.open()?.export(blocks, file).with_context(name)
                }
            },
            Self::Backup { from, out } => {
                let opened = from.open()?;
                let entries = opened.store.copy_to(&out).with_context(|| out.display().to_string())?;
                println!("copied {entries} entries to {}", out.display());
                Ok(())
            }
        }
    }
}

impl From {
    fn open(&self) -> anyhow::Result<Opened> {
        let (config, genesis) = Config::load_at_rest(&self.config)?;
        let dir = self.store.clone().unwrap_or_else(|| config.data_dir.join("ledger"));
        Opened::open(&dir, genesis)
    }
}

impl Opened {
    fn open(dir: &Path, genesis: Genesis) -> anyhow::Result<Self> {
        let scratch = tempfile::tempdir().context("making a directory for RocksDB's log")?;
        let store = Beside::open(dir, &genesis.chain_id(), scratch.path())?;
        Ok(Self { store, genesis: Arc::new(genesis), _scratch: scratch })
    }

    fn stored(&self) -> anyhow::Result<Loaded> {
        self.store.load()?.context("the store is empty: its node never began")
    }

    fn block(&self, height: Height) -> anyhow::Result<Block> {
        let stored = self.store.block(height)?;
        Ok(stored.with_context(|| format!("block {height} is missing"))?.0)
    }

    /// The ledger that the stored blocks begin with, and how people call it.
    fn beginning(&self) -> anyhow::Result<(Ledger, String)> {
        let Some(Loaded { head, rows }) = self.store.first()? else {
            return Ok((Ledger::genesis(self.genesis.clone()), "genesis".to_owned()));
        };
        let ledger = Ledger::restore(self.genesis.clone(), head, rows).context("the snapshot it began with")?;
        let header = self.block(head.height)?.header;
        ensure!(
            header.id() == head.id && header.state_root == ledger.root(),
            "the snapshot it began with is not the state after block {}",
            head.height
        );
        Ok((ledger, format!("the snapshot at block {}", head.height)))
    }

    fn verify(&self, certificates: bool) -> anyhow::Result<()> {
        let stored = self.stored()?;
        let (mut ledger, beginning) = self.beginning()?;
        let convicted: BTreeSet<OperatorId> = stored.rows.iter().filter_map(|(_, row)| convict(row)).collect();
        let (first, mut certified) = (ledger.head().height, 0_u64);
        while ledger.head().height < stored.head.height {
            let height = ledger.head().height.next();
            let block = self.block(height)?;
            let changes = ledger.preview(&block).with_context(|| format!("block {height} does not follow"))?;
            ledger.apply(changes);
            if certificates {
                certified += u64::from(self.check_certificate(&ledger, &block, &convicted)?);
            }
        }
        ensure!(ledger.head() == stored.head, "the stored tip is another block than {}", stored.head.height);
        compare(&ledger, &stored.rows)?;
        ledger.audit().context("the books do not balance")?;
        let blocks = stored.head.height.get() - first.get();
        println!("replayed  {blocks} blocks from {beginning} to {}", stored.head.height);
        println!("root      {}", ledger.root());
        println!("rows      {} as stored; every row accounts for what it says", stored.rows.len());
        if certificates {
            println!("certified {certified} blocks, by more than two thirds of the weight of their day");
        }
        Ok(())
    }

    /// Whether there is a certificate of this block, the ledger's newest. Which of those convicted since were so already when it was
    /// made (R9) it does not say: it holds with all of them in, or with all of them out.
    fn check_certificate(
        &self,
        ledger: &Ledger,
        block: &Block,
        convicted: &BTreeSet<OperatorId>,
    ) -> anyhow::Result<bool> {
        let height = block.header.height;
        let Some(certificate) = self.store.certificate(height)? else { return Ok(false) };
        let wrong = || format!("the certificate of block {height}");
        let committee: &Committee = ledger.committee_of(block.header.epoch).with_context(wrong)?;
        ensure!(
            certificate.digest == block.id().into() && certificate.domain == self.genesis.domains().ledger,
            "{} is of something else",
            wrong()
        );
        let chain = ledger.chain();
        certificate
            .verify(&chain, committee, |_| false)
            .or_else(|_| certificate.verify(&chain, committee, |operator| convicted.contains(operator)))
            .with_context(wrong)?;
        Ok(true)
    }

    fn export(&self, blocks: bool, to: impl Write) -> anyhow::Result<()> {
        let stored = self.stored()?;
        let mut to = BufWriter::new(to);
        if blocks {
            let (ledger, _) = self.beginning()?;
            let mut height = ledger.head().height.next();
            while height <= stored.head.height {
                line(&mut to, &Line::Block(&self.block(height)?))?;
                height = height.next();
            }
        }
        let (head, chain) = (stored.head, self.genesis.chain_id());
        let ledger = Ledger::restore(self.genesis.clone(), head, stored.rows).context("the stored ledger")?;
        line(&mut to, &Line::Ledger { chain, height: head.height, id: head.id, state_root: ledger.root() })?;
        for (key, row) in ledger.rows() {
            line(&mut to, &Line::Row { key: &key, row: &row })?;
        }
        Ok(to.flush()?)
    }
}

/// One line of an export.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Line<'a> {
    Block(&'a Block),
    Ledger { chain: ChainId, height: Height, id: BlockId, state_root: Hash },
    Row { key: &'a RowKey, row: &'a Row },
}

fn convict(row: &Row) -> Option<OperatorId> {
    match row {
        Row::Operator(operator) => operator.convicted.is_some().then_some(operator.id),
        _ => None,
    }
}

fn line(to: &mut impl Write, line: &Line<'_>) -> anyhow::Result<()> {
    serde_json::to_writer(&mut *to, line)?;
    Ok(to.write_all(b"\n")?)
}

/// Names the first row in which the replayed ledger and the stored one differ.
fn compare(replayed: &Ledger, stored: &[(RowKey, Row)]) -> anyhow::Result<()> {
    let shown = |key: &RowKey| serde_json::to_string(key).unwrap_or_default();
    for (key, row) in stored {
        match replayed.row(key) {
            Some(replayed) if replayed == *row => {}
            Some(_) => {
                bail!("the stored row {} is another than the blocks make; sync anew or restore a backup", shown(key))
            }
            None => bail!("the stored row {} is in no block's state; sync anew or restore a backup", shown(key)),
        }
    }
    let missing = replayed.rows().find(|(key, _)| stored.binary_search_by_key(key, |(stored, _)| *stored).is_err());
    match missing {
        Some((key, _)) => bail!("the row {} is not stored; sync anew or restore a backup", shown(&key)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use palisade_ledger::fixture::{Run, network};
    use palisade_storage::Store;

    /// A network's first blocks, in a store.
    fn kept(dir: &Path) -> Run {
        let run = Run::joined(network(4, 7));
        let mut ledger = Ledger::genesis(run.network.genesis.clone());
        let store = Store::open(dir, &run.network.chain).unwrap();
        store.begin(ledger.head(), ledger.rows()).unwrap();
        for block in &run.blocks {
            let changes = ledger.preview(block).unwrap();
            store.commit(block, b"certificate", &changes).unwrap();
            ledger.apply(changes);
        }
        run
    }

    fn open(dir: &Path, run: &Run) -> Opened {
        Opened::open(dir, (*run.network.genesis).clone()).unwrap()
    }

    #[test]
    fn a_store_is_read_while_its_node_runs_and_its_backup_is_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let (of, copy) = (dir.path().join("ledger"), dir.path().join("copy"));
        let run = kept(&of);
        let running = Store::open(&of, &run.network.chain).unwrap();
        let opened = open(&of, &run);
        opened.verify(true).unwrap();
        assert!(opened.store.copy_to(&copy).unwrap() > 0);
        let again = opened.store.copy_to(&copy).unwrap_err();
        assert!(matches!(again, palisade_storage::StoreError::Begun), "{again}");
        drop(running);
        let restored = Store::open(&copy, &run.network.chain).unwrap().load().unwrap().unwrap();
        assert_eq!(restored, opened.stored().unwrap());
        open(&copy, &run).verify(true).unwrap();
    }

    #[test]
    fn a_row_that_no_block_made_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let run = kept(dir.path());
        let ledger = &run.ledger;
        let mut rows: Vec<_> = ledger.rows().collect();
        rows.sort_unstable_by_key(|(key, _)| *key);
        compare(ledger, &rows).unwrap();
        let at = rows.iter().position(|(key, _)| *key == RowKey::FeeRate).unwrap_or(0);
        let said = |rows: &[(RowKey, Row)]| compare(ledger, rows).unwrap_err().to_string();
        let (key, taken) = rows.remove(at);
        assert!(said(&rows).contains("is not stored"));
        rows.insert(at, (key, Row::FeeRate(u64::MAX)));
        assert!(said(&rows).contains("another than the blocks make"));
        rows[at] = (key, taken);
        rows.push((RowKey::Block(Height::new(1 << 40)), Row::FeeRate(1)));
        assert!(said(&rows).contains("in no block's state"));
    }

    #[test]
    fn an_export_is_one_object_on_each_line() {
        let dir = tempfile::tempdir().unwrap();
        let run = kept(dir.path());
        let mut bytes = Vec::new();
        open(dir.path(), &run).export(true, &mut bytes).unwrap();
        let lines: Vec<serde_json::Value> =
            String::from_utf8(bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let count = |name: &str| lines.iter().filter(|line| line.get(name).is_some()).count();
        assert_eq!((count("block"), count("ledger"), count("row")), (run.blocks.len(), 1, run.ledger.rows().count()));
        let ledger = lines.iter().find_map(|line| line.get("ledger")).unwrap();
        assert_eq!(ledger["state_root"], run.ledger.root().to_string());
    }

    #[test]
    fn what_holds_no_store_and_what_is_of_another_network_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let of = dir.path().join("ledger");
        let run = kept(&of);
        let genesis = |seed| (*network(4, seed).genesis).clone();
        let said = |dir: &Path, seed| format!("{:#}", Opened::open(dir, genesis(seed)).err().unwrap());
        assert!(said(&dir.path().join("nothing"), 7).contains("holds no store"));
        assert!(said(&of, 8).contains("is of chain"));
        assert_eq!(run.network.genesis.chain_id(), genesis(7).chain_id());
    }
}
