//! Everything that a service with many operator sets may take of many operators, derived from the chain alone, against a loop that
//! asks the core's own view about one operator in one set at a time.
//!
//! The core is the real one, version 1.4. The service is the network's own adapter: once the follower has checked it, a few bytes
//! stand in its place while the history is told, and let everybody in, because 200 operators with proven keys would measure the registry. One history
//! then serves both readers: the ledger's, which takes set 0 in as positions, and `inspect`'s, which takes in all.

use crate::eigenlayer::{ALLOCATION_CONFIGURATION_DELAY_BLOCKS, EigenLayer};
use crate::world::World;
use alloy::eips::BlockId;
use alloy::primitives::{Address, B256, Bytes, U256, hex};
use alloy::providers::{DynProvider, Provider};
use alloy::rpc::types::TransactionReceipt;
use alloy::sol_types::SolCall;
use anyhow::{Context, Result, ensure};
use palisade_crypto::hash::keccak256;
use palisade_ethereum::Ethereum;
use palisade_ethereum::inspect::{Question, ServiceSeen, inspect};
use palisade_race::{Race, Run, timed};
use palisade_types::canonical::List;
use palisade_types::chain::{Chain as _, ChainPoint, Watch};
use palisade_types::ids::{self, OperatorId};
use palisade_types::observation::Fact;
use palisade_types::operator::Operator;
use palisade_types::position::Moment;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

alloy::sol! {
    struct OperatorSet { address avs; uint32 id; }

    #[sol(rpc)]
    interface Core {
        struct CreateSetParams { uint32 operatorSetId; address[] strategies; }
        struct RegisterParams { address avs; uint32[] operatorSetIds; bytes data; }
        struct DeregisterParams { address operator; address avs; uint32[] operatorSetIds; }
        struct AllocateParams { OperatorSet operatorSet; address[] strategies; uint64[] newMagnitudes; }
        struct SlashingParams {
            address operator; uint32 operatorSetId; address[] strategies; uint256[] wadsToSlash; string description;
        }
        struct Allocation { uint64 currentMagnitude; int128 pendingDiff; uint32 effectBlock; }

        function createOperatorSets(address avs, CreateSetParams[] params) external;
        function registerAsOperator(address approver, uint32 allocationDelay, string metadataURI) external;
        function mint(address to, uint256 value) external;
        function approve(address spender, uint256 value) external;
        function depositIntoStrategy(address strategy, address token, uint256 amount) external;
        function registerForOperatorSets(address operator, RegisterParams params) external;
        function deregisterFromOperatorSets(DeregisterParams params) external;
        function modifyAllocations(address operator, AllocateParams[] params) external;
        function slashOperator(address avs, SlashingParams params) external;

        function getMembers(OperatorSet set) external view returns (address[] memory);
        function getAllocation(address operator, OperatorSet set, address strategy)
            external view returns (Allocation memory);
        function getMinimumSlashableStake(
            OperatorSet set, address[] operators, address[] strategies, uint32 futureBlock
        ) external view returns (uint256[][] memory);
    }
}

/// Answers everything with one, which is what a registrar is asked for.
const OPEN: &str = "0x600160005260206000f3";
/// Every so many operators one is slashed in a set, one takes some of an allocation back, one leaves a set.
const SLASHED: usize = 5;
const LEAVING: usize = 7;
const LEFT: usize = 11;
const WAD: u64 = 1_000_000_000_000_000_000;
const HISTORY_DEADLINE: Duration = Duration::from_secs(600);

/// Both readers over one history.
pub(crate) fn run(operators: usize, sets: u32, rounds: usize) -> Result<()> {
    let runtime = Runtime::new()?;
    let started = Instant::now();
    let told = runtime.block_on(History::tell(operators, sets))?;
    println!(
        "a history of {operators} operators in {sets} sets on the real core 1.4, told in {:.1?}",
        started.elapsed()
    );
    positions(&runtime, &told, rounds)?;
    rows(&runtime, &told)
}

/// The ledger's reader: the set that counts, by one observation.
fn positions(runtime: &Runtime, told: &History, rounds: usize) -> Result<()> {
    let end = told.genesis().parameters.after(&told.upto, told.genesis().parameters.ethereum_window());
    let now = Moment { block: told.upto.number, time: told.upto.time };
    let ours = || {
        let (took, facts) =
            timed(|| runtime.block_on(told.ethereum.observe(&told.genesis().ethereum_start, &told.upto, &told.watch)));
        let facts = facts?;
        let mut found: Vec<String> = Vec::new();
        for fact in &facts {
            let Fact::Stake(seen) = fact else { continue };
            let [now, end] = [&now, &end].map(|moment| seen.position.slashable_at(moment));
            found.push(format!("{} {now} {end}", seen.id.operator));
        }
        Ok(Run::of(took).found("positions", found.len()).found("hash", hash(found)))
    };
    let bare = || {
        let (took, found) = timed(|| {
            runtime.block_on(async {
                let mut found = Vec::new();
                for operator in &told.operators {
                    let mut stakes = Vec::new();
                    for block in [now.block, end.block] {
                        stakes.push(told.slashable(0, *operator, u32::try_from(block)?).await?);
                    }
                    let id = OperatorId::new(operator.into_array());
                    found.push(format!("{id} {} {}", stakes[0], stakes[1]));
                }
                anyhow::Ok(found)
            })
        });
        let found = found?;
        Ok(Run::of(took).found("positions", found.len()).found("hash", hash(found)))
    };
    told.count(runtime, "positions of the ledger", async |endpoint| {
        let ethereum = told.world.connect_at(&endpoint).await;
        ethereum.observe(&told.genesis().ethereum_start, &told.upto, &told.watch).await?;
        Ok(())
    })?;
    let pieces = (told.operators.len() as u64, "position");
    Race::new("the ledger's positions", pieces, ours).against("one by one", bare).run(rounds)
}

/// `inspect`: every set, every member.
fn rows(runtime: &Runtime, told: &History) -> Result<()> {
    let block = u32::try_from(told.upto.number)?;
    let ours = || {
        let (took, seen) = timed(|| runtime.block_on(inspect(&told.question(&told.world.endpoint))));
        let found = shown(&seen?.service.context("no service")?)?;
        Ok(Run::of(took).found("rows", found.len()).found("hash", hash(found)))
    };
    let bare = || {
        let (took, found) = timed(|| {
            runtime.block_on(async {
                let mut found = Vec::new();
                for id in 0..told.sets {
                    let set = OperatorSet { avs: told.service, id };
                    let core = told.core();
                    for operator in core.getMembers(set.clone()).block(told.state()).call().await? {
                        let stake = told.slashable(id, operator, block).await?;
                        let held = core.getAllocation(operator, set.clone(), told.strategy);
                        let held = held.block(told.state()).call().await?;
                        let (magnitude, pending) = (held.currentMagnitude, held.pendingDiff);
                        let effect = if pending == 0 { 0 } else { held.effectBlock };
                        found.push(format!("{id} {operator} {stake} {magnitude} {pending} {effect}"));
                    }
                }
                anyhow::Ok(found)
            })
        });
        let found = found?;
        Ok(Run::of(took).found("rows", found.len()).found("hash", hash(found)))
    };
    told.count(runtime, "rows of all sets", async |endpoint| {
        inspect(&told.question(&endpoint)).await?;
        Ok(())
    })?;
    let pieces = (told.operators.len() as u64 * u64::from(told.sets), "row");
    Race::new("a service's rows", pieces, ours).against("one by one", bare).run(1) // the loop takes a minute and a half
}

/// What the report says, in the loop's words.
fn shown(seen: &ServiceSeen) -> Result<Vec<String>> {
    ensure!(seen.gaps.is_empty(), "not all was seen: {:?}", seen.gaps);
    let mut found = Vec::new();
    for set in &seen.sets {
        for member in &set.members {
            let ([stake], [held]) = (&member.slashable[..], &member.allocated[..]) else {
                anyhow::bail!("one strategy is expected")
            };
            let pending = held.pending.as_deref().unwrap_or("0");
            let effect = held.effect_block.unwrap_or(0);
            found.push(format!("{} {} {stake} {} {pending} {effect}", set.id, member.operator, held.magnitude));
        }
    }
    Ok(found)
}

fn hash(mut found: Vec<String>) -> String {
    found.sort();
    hex::encode(keccak256(found.join("\n").as_bytes()))
}

/// A chain on which much has happened, and who may read it.
struct History {
    world: World,
    ethereum: Ethereum,
    eigenlayer: EigenLayer,
    service: Address,
    strategy: Address,
    operators: Vec<Address>,
    sets: u32,
    upto: ChainPoint,
    watch: Watch,
}

impl History {
    async fn tell(operators: usize, sets: u32) -> Result<Self> {
        let world = World::with_stake().await;
        let ethereum = world.connect().await;
        let eigenlayer = world.core.clone().context("there is a core")?;
        let service = Address::from(*world.genesis.contracts.eigenlayer_adapter.as_bytes());
        let (strategy, place) = (eigenlayer.strategy, |number: usize| number as u64 + 0x1000);
        let operators: Vec<Address> =
            (0..operators).map(|number| Address::left_padding_from(&place(number).to_be_bytes())).collect();
        let upto = world.genesis.ethereum_start;
        let mut history =
            Self { world, ethereum, eigenlayer, service, strategy, operators, sets, upto, watch: Watch::default() };
        history.happen().await?;
        history.world.finalize().await;
        history.upto = history.ethereum.tip().await?;
        for operator in &history.operators {
            let id = OperatorId::new(operator.into_array());
            let known = Operator { id, keys: List::new(), convicted: None, jailed: None, attested: 0, missed: 0 };
            history.watch.operators.insert(id, known);
        }
        Ok(history)
    }

    async fn happen(&self) -> Result<()> {
        let (manager, core) = (self.eigenlayer.allocation_manager, &self.eigenlayer);
        let strategies = || vec![self.strategy];
        let adapter = self.world.provider.get_code_at(self.service).await?;
        self.ask("anvil_setCode", json!([self.service, OPEN])).await?;
        self.ask("anvil_autoImpersonateAccount", json!([true])).await?;
        self.ask("evm_setBlockGasLimit", json!(["0x4000000000"])).await?;
        self.ask("evm_setAutomine", json!([false])).await?;
        let mut block = Block::new(self);
        let made = (1..self.sets).map(|id| Core::CreateSetParams { operatorSetId: id, strategies: strategies() });
        block.push(self.service, manager, &Core::createOperatorSetsCall { avs: self.service, params: made.collect() });
        for (number, operator) in self.operators.iter().enumerate() {
            let amount = U256::from(WAD) * U256::from(1_000 + number);
            let uri = String::new();
            let call = Core::registerAsOperatorCall { approver: Address::ZERO, allocationDelay: 0, metadataURI: uri };
            block.push(*operator, core.delegation_manager, &call);
            block.push(*operator, core.token, &Core::mintCall { to: *operator, value: amount });
            block.push(*operator, core.token, &Core::approveCall { spender: core.strategy_manager, value: amount });
            let (strategy, token) = (self.strategy, core.token);
            let deposit = Core::depositIntoStrategyCall { strategy, token, amount };
            block.push(*operator, core.strategy_manager, &deposit);
        }
        block.mine().await?;
        self.mine(u64::from(ALLOCATION_CONFIGURATION_DELAY_BLOCKS) + 2).await?;
        // One block each: together they would be more gas than a block can hold.
        for (number, operator) in self.operators.iter().enumerate() {
            let mut block = Block::new(self);
            let ids: Vec<u32> = (0..self.sets).collect();
            let params = Core::RegisterParams { avs: self.service, operatorSetIds: ids, data: Bytes::new() };
            block.push(*operator, manager, &Core::registerForOperatorSetsCall { operator: *operator, params });
            let all = WAD / u64::from(self.sets);
            let part = |id: u32| all - all / 8 * ((number as u64 + u64::from(id)) % 8);
            block.push(*operator, manager, &self.allocating(*operator, (0..self.sets).map(|id| (id, part(id)))));
            block.mine().await?;
        }
        let mut block = Block::new(self);
        for (number, operator) in self.operators.iter().enumerate() {
            let id = number as u32 % self.sets;
            if number % SLASHED == 0 {
                let params = Core::SlashingParams {
                    operator: *operator,
                    operatorSetId: id,
                    strategies: strategies(),
                    wadsToSlash: vec![U256::from(WAD / 10)],
                    description: String::new(),
                };
                block.push(self.service, manager, &Core::slashOperatorCall { avs: self.service, params });
            }
            if number % LEAVING == 0 {
                block.push(*operator, manager, &self.allocating(*operator, [(id, WAD / u64::from(self.sets) / 20)]));
            }
            if number % LEFT == 0 {
                let params =
                    Core::DeregisterParams { operator: *operator, avs: self.service, operatorSetIds: vec![id] };
                block.push(*operator, manager, &Core::deregisterFromOperatorSetsCall { params });
            }
        }
        block.mine().await?;
        // Whoever connects from now on looks at the adapter again.
        self.ask("anvil_setCode", json!([self.service, adapter])).await?;
        self.mine(1).await?;
        self.ask("evm_setAutomine", json!([true])).await?;
        Ok(())
    }

    fn allocating(
        &self,
        operator: Address,
        parts: impl IntoIterator<Item = (u32, u64)>,
    ) -> Core::modifyAllocationsCall {
        let params = parts.into_iter().map(|(id, magnitude)| Core::AllocateParams {
            operatorSet: OperatorSet { avs: self.service, id },
            strategies: vec![self.strategy],
            newMagnitudes: vec![magnitude],
        });
        Core::modifyAllocationsCall { operator, params: params.collect() }
    }

    fn genesis(&self) -> &palisade_types::genesis::Genesis {
        &self.world.genesis
    }

    fn core(&self) -> Core::CoreInstance<&DynProvider> {
        Core::new(self.eigenlayer.allocation_manager, &self.world.provider)
    }

    fn state(&self) -> BlockId {
        BlockId::hash(B256::from(*self.upto.hash.as_bytes()))
    }

    /// What a set can still take at a block, by the core's own view at the anchor.
    async fn slashable(&self, id: u32, operator: Address, future: u32) -> Result<U256> {
        let set = OperatorSet { avs: self.service, id };
        let core = self.core();
        let asked = core.getMinimumSlashableStake(set, vec![operator], vec![self.strategy], future);
        Ok(asked.block(self.state()).call().await?[0][0])
    }

    fn question(&self, endpoint: &str) -> Question {
        Question {
            what: self.service.to_string(),
            endpoint: endpoint.to_owned(),
            timeout_ms: 60_000,
            block: Some(self.upto.number),
            delegation_manager: Some(ids::Address::new(self.eigenlayer.delegation_manager.into_array())),
            ..Question::default()
        }
    }

    async fn ask(&self, method: &'static str, arguments: Value) -> Result<Value> {
        Ok(self.world.provider.raw_request(method.into(), arguments).await?)
    }

    async fn mine(&self, blocks: u64) -> Result<()> {
        self.ask("anvil_mine", json!([blocks])).await.map(drop)
    }

    /// Lets `read` read through a wire that counts, and says what it counted and how long it took.
    fn count(&self, runtime: &Runtime, what: &str, read: impl AsyncFnOnce(String) -> Result<()>) -> Result<()> {
        runtime.block_on(async {
            let wire = Wire::to(&self.world.endpoint).await?;
            let started = Instant::now();
            read(wire.endpoint.clone()).await?;
            let requests = wire.requests.load(Ordering::Relaxed);
            println!("{what}: {requests} requests, {:.2?} by the clock", started.elapsed());
            Ok(())
        })
    }
}

/// Transactions that come to stand in one block.
struct Block<'a> {
    history: &'a History,
    transactions: Vec<Value>,
}

impl<'a> Block<'a> {
    const fn new(history: &'a History) -> Self {
        Self { history, transactions: Vec::new() }
    }

    fn push(&mut self, from: Address, to: Address, call: &impl SolCall) {
        let input = hex::encode_prefixed(call.abi_encode());
        self.transactions.push(json!({ "from": from, "to": to, "input": input, "gas": "0x4000000" }));
    }

    /// Mines it and looks whether all of it succeeded.
    async fn mine(self) -> Result<()> {
        let mut sent: Vec<B256> = Vec::new();
        for transaction in &self.transactions {
            let payer = transaction["from"].clone();
            self.history.ask("anvil_setBalance", json!([payer, "0x56bc75e2d63100000"])).await?; // a hundred ether
            sent.push(serde_json::from_value(self.history.ask("eth_sendTransaction", json!([transaction])).await?)?);
        }
        let started = Instant::now();
        for (hash, transaction) in sent.iter().zip(&self.transactions) {
            let receipt = loop {
                let receipt: Option<TransactionReceipt> =
                    serde_json::from_value(self.history.ask("eth_getTransactionReceipt", json!([hash])).await?)?;
                match receipt {
                    Some(receipt) => break receipt,
                    None if started.elapsed() < HISTORY_DEADLINE => self.history.mine(1).await?,
                    None => anyhow::bail!("{transaction} stands in no block"),
                }
            };
            ensure!(receipt.status(), "{transaction} failed");
        }
        Ok(())
    }
}

/// Passes everything on to the anvil, and counts what is asked of it.
struct Wire {
    endpoint: String,
    requests: Arc<AtomicUsize>,
}

impl Wire {
    async fn to(upstream: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let upstream = upstream.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(&upstream).await else { break };
                let (mut asked, mut said) = near.into_split();
                let (mut answers, mut questions) = far.into_split();
                let counted = Arc::clone(&counted);
                tokio::spawn(async move { tokio::io::copy(&mut answers, &mut said).await });
                tokio::spawn(async move {
                    let mut buffer = vec![0; 1 << 16];
                    while let Ok(read @ 1..) = asked.read(&mut buffer).await {
                        // A client that keeps its connection sends each question's head in one piece.
                        let heads = buffer[..read].windows(5).filter(|word| word == b"POST ").count();
                        counted.fetch_add(heads, Ordering::Relaxed);
                        if questions.write_all(&buffer[..read]).await.is_err() {
                            break;
                        }
                    }
                });
            }
        });
        Ok(Self { endpoint, requests })
    }
}
