//! The devnet's Ethereum: a real anvil that mines by itself, keeps its state over `down` and `up`, and is told the
//! truth about its finality tag after a restart.

use crate::constants::{
    BLOCKS_AFTER_LOAD, ETHEREUM_BLOCK_SECONDS, EVM_CHAIN_ID, SLOTS_IN_AN_EPOCH, START_DEADLINE, STOP_DEADLINE,
};
use crate::layout::Layout;
use crate::process::Signal;
use crate::progress::{Seen, until};
use crate::tools;
use alloy::primitives::{Address, U256};
use alloy::providers::{DynProvider, Provider, ProviderBuilder};
use alloy::rpc::types::BlockNumberOrTag;
use anyhow::{Context, ensure};
use palisade_types::Hash;
use palisade_types::chain::ChainPoint;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// anvil, running or not.
#[derive(Clone, Debug)]
pub struct Anvil {
    layout: Layout,
    port: u16,
}

impl Anvil {
    /// The anvil of a devnet.
    #[must_use]
    pub const fn new(layout: Layout, port: u16) -> Self {
        Self { layout, port }
    }

    /// Starts it, from its stored state if there is one.
    ///
    /// # Errors
    ///
    /// It cannot be had or started, or its state was not stored when it ended last.
    pub async fn start(&self) -> anyhow::Result<()> {
        let (state, unsaved) = (self.layout.anvil_state(), self.layout.anvil_unsaved());
        ensure!(
            !unsaved.exists(),
            "anvil was killed before it could store its state, so the Ethereum that the nodes know is gone; reset and start anew"
        );
        let stored = state.exists();
        fs::create_dir_all(state.parent().context("a state file has a folder")?)?;
        let process = self.layout.process("anvil");
        process.start(&mut self.command(tools::anvil()?, &state), &self.layout.log("anvil"))?;
        fs::write(&unsaved, "")?;
        let ended = format!("it ended at once; see {}", self.layout.log("anvil").display());
        let answers =
            until("anvil's first answer", START_DEADLINE, async || match self.provider()?.get_chain_id().await {
                Ok(_) => Ok(Seen::There(())),
                Err(_) if process.pid().is_none() => Ok(Seen::Never(ended.clone())),
                Err(error) => Ok(Seen::NotYet(error.to_string())),
            });
        if let Err(error) = answers.await {
            process.stop(Signal::Kill, STOP_DEADLINE).await?;
            fs::remove_file(&unsaved)?; // nothing ran, nothing was lost
            return Err(error);
        }
        if stored {
            self.mine(BLOCKS_AFTER_LOAD).await?;
        }
        Ok(())
    }

    fn command(&self, binary: PathBuf, state: &std::path::Path) -> Command {
        let mut command = Command::new(binary);
        command
            .args(["--silent", "--host", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--chain-id", &EVM_CHAIN_ID.to_string()])
            .args(["--block-time", &ETHEREUM_BLOCK_SECONDS.to_string()])
            .args(["--slots-in-an-epoch", &SLOTS_IN_AN_EPOCH.to_string()])
            .arg("--state")
            .arg(state);
        command
    }

    /// Lets it store its state and waits for its end. Fine when it does not run.
    ///
    /// # Errors
    ///
    /// It did not end in time and was killed: its state is lost.
    pub async fn stop(&self) -> anyhow::Result<()> {
        let process = self.layout.process("anvil");
        if process.pid().is_none() {
            return Ok(());
        }
        process.stop(Signal::Interrupt, STOP_DEADLINE).await?;
        ensure!(
            self.layout.anvil_state().exists(),
            "anvil stored no state; see {}",
            self.layout.log("anvil").display()
        );
        fs::remove_file(self.layout.anvil_unsaved())?;
        Ok(())
    }

    /// Where it answers.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A way to it.
    ///
    /// # Errors
    ///
    /// Its address is none.
    pub fn provider(&self) -> anyhow::Result<DynProvider> {
        Ok(ProviderBuilder::new().connect_http(self.url().parse()?).erased())
    }

    /// Mines blocks at once.
    ///
    /// # Errors
    ///
    /// anvil does not answer.
    pub async fn mine(&self, blocks: u64) -> anyhow::Result<()> {
        self.tell("anvil_mine", (U256::from(blocks),)).await
    }

    /// Replaces the newest blocks by empty ones; what they held is gone.
    ///
    /// # Errors
    ///
    /// anvil does not answer.
    pub async fn reorg(&self, blocks: u64) -> anyhow::Result<()> {
        let none: [(); 0] = [];
        self.tell("anvil_reorg", (blocks, none)).await
    }

    /// Puts every transaction into a block at once: the first start would else wait for dozens of them.
    ///
    /// # Errors
    ///
    /// anvil does not answer.
    pub async fn hurry(&self) -> anyhow::Result<()> {
        self.tell("evm_setAutomine", (true,)).await
    }

    /// Mines by its clock again.
    ///
    /// # Errors
    ///
    /// anvil does not answer.
    pub async fn keep_time(&self) -> anyhow::Result<()> {
        self.tell("evm_setIntervalMining", (ETHEREUM_BLOCK_SECONDS,)).await
    }

    /// Gives an account ether.
    ///
    /// # Errors
    ///
    /// anvil does not answer.
    pub async fn fund(&self, account: Address, ether: u64) -> anyhow::Result<()> {
        let wei = U256::from(ether) * U256::from(1_000_000_000_000_000_000_u64);
        self.tell("anvil_setBalance", (account, wei)).await
    }

    async fn tell<P>(&self, method: &'static str, params: P) -> anyhow::Result<()>
    where
        P: serde::Serialize + Clone + std::fmt::Debug + Send + Sync + Unpin + 'static,
    {
        let answer = self.provider()?.raw_request::<P, serde_json::Value>(method.into(), params).await;
        answer.map(drop).with_context(|| format!("anvil refuses {method}"))
    }

    /// Its newest final block.
    ///
    /// # Errors
    ///
    /// anvil does not answer.
    pub async fn final_point(&self) -> anyhow::Result<ChainPoint> {
        let block = self.provider()?.get_block_by_number(BlockNumberOrTag::Finalized).await?;
        let header = block.context("anvil knows no final block")?.header;
        Ok(ChainPoint { number: header.number, hash: Hash::new(header.hash.0), log: u32::MAX, time: header.timestamp })
    }
}
