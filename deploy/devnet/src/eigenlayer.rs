//! The real EigenLayer core, v1.4 generation, on a devnet.
//!
//! Its bytecode is taken out of the source of a crate that carries it, as cargo unpacks it, and cached outside the
//! checkout: it is compiled from sources under the BUSL, so it is a download and no part of this repository. The crate
//! is not linked (it would bring a second alloy and a whole SDK).

use crate::sender::{Plan, Sender};
use alloy::primitives::{Address, B256, Bytes, U256, address, b256, keccak256};
use alloy::providers::{DynProvider, Provider};
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::{SolConstructor, SolValue};
use anyhow::{Context, bail, ensure};
use bindings::{DelegationManager, DevToken, IAllocationManager, ProxyAdmin, StrategyFactory, StrategyManager};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Blocks in which a deallocation is still slashable, on devnet.
pub const DEALLOCATION_DELAY_BLOCKS: u32 = 120;
/// Blocks until an operator's allocation delay is in force, on devnet.
pub const ALLOCATION_CONFIGURATION_DELAY_BLOCKS: u32 = 5;
/// Blocks in which a queued withdrawal is still slashable, on devnet.
pub const WITHDRAWAL_DELAY_BLOCKS: u32 = 120;

/// Where the core stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EigenLayer {
    /// Allocations, operator sets and slashes.
    pub allocation_manager: Address,
    /// Operators, delegations and withdrawals.
    pub delegation_manager: Address,
    /// Deposits.
    pub strategy_manager: Address,
    /// Native restaking; no pod can be proven on a devnet.
    pub eigen_pod_manager: Address,
    /// Who may act for whom.
    pub permission_controller: Address,
    /// Makes strategies.
    pub strategy_factory: Address,
    /// The token that is staked; anybody can mint it.
    pub token: Address,
    /// The strategy that holds the token.
    pub strategy: Address,
}

/// Deploys the core, a token and its strategy, paid by `deployer`, and mines until the core can slash. To be run
/// before any node follows the chain.
///
/// # Errors
///
/// The bytecode cannot be had, or the chain refuses a transaction.
pub async fn deploy(endpoint: &str, deployer: &PrivateKeySigner) -> anyhow::Result<EigenLayer> {
    let codes = Codes::load()?;
    let sender = Sender::new(endpoint, deployer)?;
    let mut plan = sender.plan().await?;
    let mut core = plan_core(&mut plan, sender.account, &codes);
    sender.send(plan).await?;
    outgrow_withdrawal_delay(&sender.provider).await?;
    let factory = StrategyFactory::new(core.strategy_factory, &sender.provider);
    core.strategy = factory.deployedStrategies(core.token).call().await?;
    ensure!(core.strategy != Address::ZERO, "the strategy factory made no strategy");
    Ok(core)
}

/// The core subtracts the withdrawal delay from the block's number whenever it slashes, and panics on a chain that
/// is shorter than that.
async fn outgrow_withdrawal_delay(provider: &DynProvider) -> anyhow::Result<()> {
    let height = provider.get_block_number().await?;
    let missing = (u64::from(WITHDRAWAL_DELAY_BLOCKS) + 2).saturating_sub(height);
    if missing > 0 {
        provider.raw_request::<_, Option<bool>>("anvil_mine".into(), [U256::from(missing)]).await?;
    }
    Ok(())
}

/// Proxies first, because every implementation is built with the others' addresses.
fn plan_core(plan: &mut Plan, owner: Address, codes: &Codes) -> EigenLayer {
    let none = U256::ZERO; // nothing is paused
    let version = VERSION.to_owned();
    let admin = plan.create("ProxyAdmin", codes.bare("proxy_admin"));
    let empty = plan.create("EmptyContract", codes.bare("empty_contract"));
    let [delegation, strategies, pods, allocation, permission, factory] = [(); 6].map(|()| {
        let arguments = (empty, admin, Bytes::new()).abi_encode_params();
        plan.create("proxy", codes.with("transparent_upgradeable_proxy", &arguments))
    });
    let pausers = (vec![owner], owner).abi_encode_params();
    let pauser = plan.create("PauserRegistry", codes.with("pauser_registry", &pausers));

    let pod_arguments = (DEPOSIT_CONTRACT, pods, 0u64, version.clone()).abi_encode_params();
    let pod = plan.create("EigenPod", codes.with("eigen_pod", &pod_arguments));
    let pod_beacon = plan.create("pod beacon", codes.with("upgradeable_beacon", &pod.abi_encode()));
    let base_arguments = (strategies, pauser, version.clone()).abi_encode_params();
    let base = plan.create("StrategyBase", codes.with("strategy_base", &base_arguments));
    let base_beacon = plan.create("strategy beacon", codes.with("upgradeable_beacon", &base.abi_encode()));

    let delegation_arguments = DelegationManager::constructorCall {
        strategyManager: strategies,
        eigenPodManager: pods,
        allocationManager: allocation,
        pauserRegistry: pauser,
        permissionController: permission,
        minWithdrawalDelay: WITHDRAWAL_DELAY_BLOCKS,
        version: version.clone(),
    };
    let allocation_arguments = IAllocationManager::constructorCall {
        delegation,
        pauserRegistry: pauser,
        permissionController: permission,
        deallocationDelay: DEALLOCATION_DELAY_BLOCKS,
        allocationConfigurationDelay: ALLOCATION_CONFIGURATION_DELAY_BLOCKS,
        version: version.clone(),
    };
    let pods_arguments = (DEPOSIT_CONTRACT, pod_beacon, delegation, pauser, version.clone());
    let implementations = [
        (delegation, "delegation_manager", delegation_arguments.abi_encode()),
        (allocation, "allocation_manager", allocation_arguments.abi_encode()),
        (strategies, "strategy_manager", (delegation, pauser, version.clone()).abi_encode_params()),
        (pods, "eigen_pod_manager", pods_arguments.abi_encode_params()),
        (permission, "permission_controller", version.abi_encode()),
        (factory, "strategy_factory", base_arguments),
    ];
    for (proxy, name, arguments) in implementations {
        let implementation = plan.create(name, codes.with(name, &arguments));
        plan.call(name, admin, &ProxyAdmin::upgradeCall { proxy, implementation });
    }

    for proxy in [delegation, allocation, pods] {
        let call = DelegationManager::initializeCall { owner, paused: none };
        plan.call("initialize", proxy, &call);
    }
    let call = StrategyManager::initializeCall { owner, whitelister: factory, paused: none };
    plan.call("initialize StrategyManager", strategies, &call);
    let call = StrategyFactory::initializeCall { owner, paused: none, beacon: base_beacon };
    plan.call("initialize StrategyFactory", factory, &call);
    let token = plan.create("DevToken", DevToken::BYTECODE.to_vec());
    plan.call("deployNewStrategy", factory, &StrategyFactory::deployNewStrategyCall { token });
    EigenLayer {
        allocation_manager: allocation,
        delegation_manager: delegation,
        strategy_manager: strategies,
        eigen_pod_manager: pods,
        permission_controller: permission,
        strategy_factory: factory,
        token,
        strategy: Address::ZERO, // known when the factory has made it
    }
}

/// Makes `operator` an operator with allocation delay 0, and `staker` (which may be the same account) deposit
/// `amount` of the token and delegate it. Another call adds to the stake.
///
/// # Errors
///
/// The chain refuses a transaction; a staker who delegated to somebody else is refused.
pub async fn stake(
    endpoint: &str,
    core: &EigenLayer,
    operator: &PrivateKeySigner,
    staker: &PrivateKeySigner,
    amount: U256,
) -> anyhow::Result<()> {
    become_operator(endpoint, core, operator).await?;
    let sender = Sender::new(endpoint, staker)?;
    let mut plan = sender.plan().await?;
    plan.call("mint", core.token, &DevToken::mintCall { to: staker.address(), value: amount });
    let approve = DevToken::approveCall { spender: core.strategy_manager, value: amount };
    plan.call("approve", core.token, &approve);
    let deposit = StrategyManager::depositIntoStrategyCall { strategy: core.strategy, token: core.token, amount };
    plan.call("depositIntoStrategy", core.strategy_manager, &deposit);
    let manager = DelegationManager::new(core.delegation_manager, &sender.provider);
    let chosen = manager.delegatedTo(staker.address()).call().await?;
    if chosen == Address::ZERO {
        let delegate = DelegationManager::delegateToCall {
            operator: operator.address(),
            approval: DelegationManager::SignatureWithExpiry { signature: Bytes::new(), expiry: U256::ZERO },
            salt: B256::ZERO,
        };
        plan.call("delegateTo", core.delegation_manager, &delegate);
    } else {
        ensure!(chosen == operator.address(), "{} delegates to {chosen}", staker.address());
    }
    sender.send(plan).await?;
    Ok(())
}

/// Makes another token and a strategy that holds it, as anybody may.
///
/// # Errors
///
/// The chain refuses a transaction.
pub async fn new_strategy(
    endpoint: &str,
    core: &EigenLayer,
    account: &PrivateKeySigner,
) -> anyhow::Result<(Address, Address)> {
    let sender = Sender::new(endpoint, account)?;
    let mut plan = sender.plan().await?;
    let token = plan.create("DevToken", DevToken::BYTECODE.to_vec());
    plan.call("deployNewStrategy", core.strategy_factory, &StrategyFactory::deployNewStrategyCall { token });
    sender.send(plan).await?;
    let factory = StrategyFactory::new(core.strategy_factory, &sender.provider);
    let strategy = factory.deployedStrategies(token).call().await?;
    ensure!(strategy != Address::ZERO, "the strategy factory made no strategy");
    Ok((token, strategy))
}

/// What an operator set has of an operator's stake in the core's strategy, in the core's own numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocated {
    /// The magnitude allocated to the set,
    pub current: u64,
    /// of what all slashes have left of 1e18.
    pub max: u64,
    /// Shares delegated to the operator.
    pub shares: U256,
}

impl Allocated {
    /// What the set can take: the core's own formula, with its roundings (SlashingLib).
    #[must_use]
    pub fn slashable(&self) -> U256 {
        let wad = U256::from(WAD);
        if self.max == 0 {
            return U256::ZERO;
        }
        self.shares * (U256::from(self.current) * wad / U256::from(self.max)) / wad
    }

    /// After a slash of `part` (of 1e18) of this set: the magnitude falls by its part rounded up, shares stay rounded up.
    #[must_use]
    pub fn slashed(&self, part: u64) -> Self {
        let taken = (u128::from(self.current) * u128::from(part)).div_ceil(u128::from(WAD));
        let taken = u64::try_from(taken).unwrap_or(u64::MAX).min(self.current);
        let max = self.max - taken;
        let shares = (self.shares * U256::from(max)).div_ceil(U256::from(self.max.max(1)));
        Self { current: self.current - taken, max, shares }
    }
}

/// The whole of a magnitude, and of a part.
const WAD: u64 = 1_000_000_000_000_000_000;

/// What operator set 0 of `adapter` has of an operator now.
///
/// # Errors
///
/// The chain does not answer.
pub async fn allocated(
    provider: &impl Provider,
    core: &EigenLayer,
    operator: Address,
    adapter: Address,
) -> anyhow::Result<Allocated> {
    let set = IAllocationManager::OperatorSet { avs: adapter, id: 0 };
    let manager = IAllocationManager::new(core.allocation_manager, provider);
    let delegations = DelegationManager::new(core.delegation_manager, provider);
    let now = provider.get_block_number().await?.into();
    Ok(Allocated {
        current: manager.getAllocation(operator, set, core.strategy).block(now).call().await?.currentMagnitude,
        max: manager.getMaxMagnitude(operator, core.strategy).block(now).call().await?,
        shares: delegations.operatorShares(operator, core.strategy).block(now).call().await?,
    })
}

async fn become_operator(endpoint: &str, core: &EigenLayer, operator: &PrivateKeySigner) -> anyhow::Result<()> {
    let sender = Sender::new(endpoint, operator)?;
    let manager = DelegationManager::new(core.delegation_manager, &sender.provider);
    if manager.isOperator(operator.address()).call().await? {
        return Ok(());
    }
    let mut plan = sender.plan().await?;
    let call = DelegationManager::registerAsOperatorCall {
        approver: Address::ZERO,
        allocationDelay: 0,
        metadataURI: String::new(),
    };
    plan.call("registerAsOperator", core.delegation_manager, &call);
    sender.send(plan).await?;
    Ok(())
}

/// Joins operator set 0 of `adapter` and allocates `magnitude` (of 1e18) of the strategy to it. The operator must
/// have its keys in Palisade.sol, else the adapter refuses it. An operator that is in the set already only changes
/// its allocation.
///
/// # Errors
///
/// The chain refuses a transaction, or the operator's allocation delay does not come into force.
pub async fn allocate(
    endpoint: &str,
    core: &EigenLayer,
    operator: &PrivateKeySigner,
    adapter: Address,
    magnitude: u64,
) -> anyhow::Result<()> {
    let sender = Sender::new(endpoint, operator)?;
    await_allocation_delay(&sender.provider, core, operator.address()).await?;
    let set = IAllocationManager::OperatorSet { avs: adapter, id: 0 };
    let manager = IAllocationManager::new(core.allocation_manager, &sender.provider);
    if !manager.isMemberOfOperatorSet(operator.address(), set.clone()).call().await? {
        let call = IAllocationManager::registerForOperatorSetsCall {
            operator: operator.address(),
            params: IAllocationManager::RegisterParams { avs: adapter, operatorSetIds: vec![0], data: Bytes::new() },
        };
        let mut plan = sender.plan().await?;
        plan.call("registerForOperatorSets", core.allocation_manager, &call);
        sender.send(plan).await?; // alone: who is refused allocates nothing
    }
    let mut plan = sender.plan().await?;
    let call = IAllocationManager::modifyAllocationsCall {
        operator: operator.address(),
        params: vec![IAllocationManager::AllocateParams {
            operatorSet: set,
            strategies: vec![core.strategy],
            newMagnitudes: vec![magnitude],
        }],
    };
    plan.call("modifyAllocations", core.allocation_manager, &call);
    sender.send(plan).await?;
    Ok(())
}

/// The core lets nobody allocate until the delay chosen at registration has been there for some blocks; we mine
/// them.
async fn await_allocation_delay(provider: &DynProvider, core: &EigenLayer, operator: Address) -> anyhow::Result<()> {
    let manager = IAllocationManager::new(core.allocation_manager, provider);
    for _ in 0..=ALLOCATION_CONFIGURATION_DELAY_BLOCKS + 1 {
        if manager.getAllocationDelay(operator).call().await?.isSet {
            return Ok(());
        }
        provider.raw_request::<_, String>("evm_mine".into(), ()).await?;
    }
    bail!("{operator} has no allocation delay: it is no operator")
}

/// Queues a withdrawal of some of an account's own deposit: its operator loses these shares at once, and they stay slashable for
/// [`WITHDRAWAL_DELAY_BLOCKS`].
///
/// # Errors
///
/// The chain refuses the transaction.
pub async fn queue_withdrawal(
    endpoint: &str,
    core: &EigenLayer,
    staker: &PrivateKeySigner,
    shares: U256,
) -> anyhow::Result<()> {
    let sender = Sender::new(endpoint, staker)?;
    let mut plan = sender.plan().await?;
    let call = DelegationManager::queueWithdrawalsCall {
        params: vec![DelegationManager::QueuedWithdrawalParams {
            strategies: vec![core.strategy],
            depositShares: vec![shares],
            withdrawer: staker.address(),
        }],
    };
    plan.call("queueWithdrawals", core.delegation_manager, &call);
    sender.send(plan).await?;
    Ok(())
}

/// Completes the account's only queued withdrawal; the answer is what it received, in the token's smallest units.
///
/// # Errors
///
/// There is no such withdrawal, or it is too early.
pub async fn complete_withdrawal(endpoint: &str, core: &EigenLayer, staker: &PrivateKeySigner) -> anyhow::Result<U256> {
    let sender = Sender::new(endpoint, staker)?;
    let manager = DelegationManager::new(core.delegation_manager, &sender.provider);
    let queued = manager.getQueuedWithdrawals(staker.address()).call().await?.withdrawals;
    let [withdrawal] = <[_; 1]>::try_from(queued).ok().context("not one queued withdrawal")?;
    let token = DevToken::new(core.token, &sender.provider);
    let before = token.balanceOf(staker.address()).call().await?;
    let mut plan = sender.plan().await?;
    let tokens = vec![core.token];
    let call = DelegationManager::completeQueuedWithdrawalCall { withdrawal, tokens, receiveAsTokens: true };
    plan.call("completeQueuedWithdrawal", core.delegation_manager, &call);
    sender.send(plan).await?;
    Ok(token.balanceOf(staker.address()).call().await? - before)
}

/// Shares in the queue that a slash of the operator still reaches.
///
/// # Errors
///
/// The chain does not answer.
pub async fn slashable_in_queue(
    provider: &impl Provider,
    core: &EigenLayer,
    operator: Address,
) -> anyhow::Result<U256> {
    let manager = DelegationManager::new(core.delegation_manager, provider);
    Ok(manager.getSlashableSharesInQueue(operator, core.strategy).call().await?)
}

/// Shares that were slashed and that the core is about to burn: they go to an address nobody owns.
///
/// # Errors
///
/// The chain does not answer.
pub async fn burnable(provider: &impl Provider, core: &EigenLayer) -> anyhow::Result<U256> {
    let manager = StrategyManager::new(core.strategy_manager, provider);
    Ok(manager.getBurnableShares(core.strategy).call().await?)
}

/// What the core's own view said at block `block` that operator set 0 of `adapter` can still take at block `future`, whatever the
/// operator does meanwhile, in shares.
///
/// # Errors
///
/// The chain does not answer.
pub async fn slashable_from(
    provider: &impl Provider,
    core: &EigenLayer,
    operator: Address,
    adapter: Address,
    block: u64,
    future: u64,
) -> anyhow::Result<U256> {
    let set = IAllocationManager::OperatorSet { avs: adapter, id: 0 };
    let manager = IAllocationManager::new(core.allocation_manager, provider);
    let asked = manager.getMinimumSlashableStake(set, vec![operator], vec![core.strategy], u32::try_from(future)?);
    let stakes = asked.block(block.into()).call().await?;
    stakes.first().and_then(|row| row.first()).copied().context("the core answered without a stake")
}

/// What the core's own view says that operator set 0 of `adapter` can take from the operator now, in shares.
///
/// # Errors
///
/// The chain does not answer.
pub async fn slashable(
    provider: &impl Provider,
    core: &EigenLayer,
    operator: Address,
    adapter: Address,
) -> anyhow::Result<U256> {
    let now = provider.get_block_number().await?;
    slashable_from(provider, core, operator, adapter, now, now).await
}

/// Creation codes by the name of the crate's module, in the order of [`NAMES`].
struct Codes(Vec<Vec<u8>>);

impl Codes {
    /// Reads the cache, or fills it from the crate's source.
    fn load() -> anyhow::Result<Self> {
        let cache = cache()?;
        if let Some(codes) = Self::read(|name| std::fs::read(cache.join(format!("{name}.bin"))).ok()) {
            return Ok(codes);
        }
        let source = source()?.join("src/bindings/core");
        let codes = Self::read(|name| bytecode(&std::fs::read_to_string(source.join(format!("{name}.rs"))).ok()?))
            .with_context(|| format!("{} does not hold the bytecode it is known for", source.display()))?;
        std::fs::create_dir_all(&cache)?;
        for (name, code) in NAMES.iter().zip(&codes.0) {
            // Renamed into place, so that two devnets that start at once read whole files.
            let partial = cache.join(format!("{name}.{}", std::process::id()));
            std::fs::write(&partial, code)?;
            std::fs::rename(&partial, cache.join(format!("{name}.bin")))?;
        }
        Ok(codes)
    }

    /// All codes, if all are there and are the ones we know.
    fn read(one: impl Fn(&str) -> Option<Vec<u8>>) -> Option<Self> {
        let codes = NAMES.iter().map(|name| one(name)).collect::<Option<Vec<_>>>()?;
        let hashes: Vec<u8> = codes.iter().flat_map(|code| keccak256(code).0).collect();
        (keccak256(hashes) == CODES_HASH).then_some(Self(codes))
    }

    fn bare(&self, name: &str) -> Vec<u8> {
        let at = NAMES.iter().position(|known| *known == name).expect("only names of the table are asked for");
        self.0[at].clone()
    }

    fn with(&self, name: &str, arguments: &[u8]) -> Vec<u8> {
        [self.bare(name).as_slice(), arguments].concat()
    }
}

fn cache() -> anyhow::Result<PathBuf> {
    let home = std::env::var_os("HOME").context("HOME is not set")?;
    Ok(Path::new(&home).join(".cache/palisade/eigenlayer"))
}

/// The folder in which cargo unpacked the crate; cargo is asked for it if there is none.
fn source() -> anyhow::Result<PathBuf> {
    if let Some(found) = unpacked()? {
        return Ok(found);
    }
    let package = CRATE.replace("-0.", "@0.");
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["info", "--quiet", &package])
        .current_dir(std::env::temp_dir()) // outside any workspace
        .stdout(std::process::Stdio::null())
        .status()
        .context("cargo cannot be started")?;
    ensure!(status.success(), "cargo info {package} failed: {status}");
    unpacked()?.with_context(|| format!("cargo fetched {package} and did not unpack it"))
}

fn unpacked() -> anyhow::Result<Option<PathBuf>> {
    let cargo = match std::env::var_os("CARGO_HOME") {
        Some(home) => PathBuf::from(home),
        None => Path::new(&std::env::var_os("HOME").context("HOME is not set")?).join(".cargo"),
    };
    let Ok(registries) = std::fs::read_dir(cargo.join("registry/src")) else {
        return Ok(None);
    };
    let folders = registries.flatten().map(|registry| registry.path().join(CRATE));
    Ok(folders.into_iter().find(|folder| folder.join("src/bindings/core").is_dir()))
}

/// The bytes of the byte string literal that follows `pub static BYTECODE`.
fn bytecode(source: &str) -> Option<Vec<u8>> {
    let (_, after) = source.split_once("pub static BYTECODE")?;
    let (_, literal) = after.split_once("b\"")?;
    let mut bytes = literal.bytes();
    let mut code = Vec::new();
    loop {
        match bytes.next()? {
            b'"' => return Some(code),
            b'\\' => code.push(unescape(&mut bytes)?),
            byte => code.push(byte),
        }
    }
}

/// What stands after a backslash in a byte string.
fn unescape(bytes: &mut impl Iterator<Item = u8>) -> Option<u8> {
    Some(match bytes.next()? {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'0' => 0,
        b'x' => {
            let digits = [bytes.next()?, bytes.next()?];
            u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
        }
        quoted @ (b'\\' | b'"' | b'\'') => quoted,
        _ => return None,
    })
}

/// The crate whose source carries the bytecode.
const CRATE: &str = "eigenlayer-contract-deployer-0.4.0";
const NAMES: [&str; 13] = [
    "proxy_admin",
    "empty_contract",
    "transparent_upgradeable_proxy",
    "pauser_registry",
    "upgradeable_beacon",
    "delegation_manager",
    "allocation_manager",
    "strategy_manager",
    "eigen_pod_manager",
    "eigen_pod",
    "permission_controller",
    "strategy_base",
    "strategy_factory",
];
/// The keccak256 of the codes' keccak256s: a cache or a crate that says something else is not used.
const CODES_HASH: B256 = b256!("7c46c4c7a2089cf5659b511960db4767f8c13c6e25e1c5c17f2f7f7602b46fd0");
const VERSION: &str = "v1.4.0";
/// Named in the pods' constructors and absent on a devnet.
const DEPOSIT_CONTRACT: Address = address!("00000000219ab540356cBB839Cbe05303d7705Fa");

/// The parts of the core's ABI that setting up a devnet needs, and the token's.
#[allow(missing_docs, clippy::too_many_arguments)]
mod bindings {
    alloy::sol! {
        #[sol(rpc)]
        DevToken,
        "../../chains/ethereum/contracts/artifacts/DevToken.json"
    }
    alloy::sol! {
        #[sol(rpc)]
        interface ProxyAdmin {
            function upgrade(address proxy, address implementation) external;
        }
        #[sol(rpc)]
        interface StrategyManager {
            function initialize(address owner, address whitelister, uint256 paused) external;
            function depositIntoStrategy(address strategy, address token, uint256 amount) external returns (uint256);
            function getBurnableShares(address strategy) external view returns (uint256);
        }
        #[sol(rpc)]
        interface StrategyFactory {
            function initialize(address owner, uint256 paused, address beacon) external;
            function deployNewStrategy(address token) external returns (address);
            function deployedStrategies(address token) external view returns (address);
        }
        #[sol(rpc)]
        contract DelegationManager {
            struct SignatureWithExpiry { bytes signature; uint256 expiry; }
            constructor(
                address strategyManager,
                address eigenPodManager,
                address allocationManager,
                address pauserRegistry,
                address permissionController,
                uint32 minWithdrawalDelay,
                string version
            );
            function initialize(address owner, uint256 paused) external;
            function isOperator(address account) external view returns (bool);
            function delegatedTo(address staker) external view returns (address);
            function registerAsOperator(address approver, uint32 allocationDelay, string metadataURI) external;
            function delegateTo(address operator, SignatureWithExpiry approval, bytes32 salt) external;
            struct QueuedWithdrawalParams { address[] strategies; uint256[] depositShares; address withdrawer; }
            struct Withdrawal {
                address staker;
                address delegatedTo;
                address withdrawer;
                uint256 nonce;
                uint32 startBlock;
                address[] strategies;
                uint256[] scaledShares;
            }
            function queueWithdrawals(QueuedWithdrawalParams[] params) external returns (bytes32[]);
            function getQueuedWithdrawals(address staker)
                external
                view
                returns (Withdrawal[] withdrawals, uint256[][] shares);
            function completeQueuedWithdrawal(Withdrawal withdrawal, address[] tokens, bool receiveAsTokens) external;
            function getSlashableSharesInQueue(address operator, address strategy) external view returns (uint256);
            function operatorShares(address operator, address strategy) external view returns (uint256);
        }
        #[sol(rpc)]
        contract IAllocationManager {
            struct OperatorSet { address avs; uint32 id; }
            struct RegisterParams { address avs; uint32[] operatorSetIds; bytes data; }
            struct AllocateParams { OperatorSet operatorSet; address[] strategies; uint64[] newMagnitudes; }
            constructor(
                address delegation,
                address pauserRegistry,
                address permissionController,
                uint32 deallocationDelay,
                uint32 allocationConfigurationDelay,
                string version
            );
            function registerForOperatorSets(address operator, RegisterParams params) external;
            function modifyAllocations(address operator, AllocateParams[] params) external;
            function isMemberOfOperatorSet(address operator, OperatorSet operatorSet) external view returns (bool);
            function getAllocationDelay(address operator) external view returns (bool isSet, uint32 delay);
            struct Allocation { uint64 currentMagnitude; int128 pendingDiff; uint32 effectBlock; }
            function getAllocation(address operator, OperatorSet operatorSet, address strategy)
                external
                view
                returns (Allocation);
            function getMaxMagnitude(address operator, address strategy) external view returns (uint64);
            function getMinimumSlashableStake(
                OperatorSet operatorSet,
                address[] operators,
                address[] strategies,
                uint32 futureBlock
            ) external view returns (uint256[][] stakes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_string_is_read_as_rustc_reads_it() {
        let source = r#"x; pub static BYTECODE: B = f( b"a\x01@\0\n\t\r\\\"\'\xFF", ); b"no""#;
        assert_eq!(bytecode(source).unwrap(), b"a\x01@\0\n\t\r\\\"\'\xFF");
        assert_eq!(bytecode(r#"pub static BYTECODE: b"a\q""#), None);
        assert_eq!(bytecode(r#"pub static BYTECODE: b"never ends"#), None);
    }
}
