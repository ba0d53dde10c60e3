//! The real Symbiotic core, version 1, on a devnet.
//!
//! Its sources come from npm with the compiler that their pragma names, and what comes of them is cached outside the checkout:
//! they are under another licence than this repository. Only the contracts that a devnet and its tests use are compiled.

use crate::constants::{SYMBIOTIC_EPOCH_SECONDS, SYMBIOTIC_TOKENS, SYMBIOTIC_VETO_SECONDS};
use crate::progress::say;
use crate::sender::{Plan, Sender};
use alloy::eips::BlockId;
use alloy::primitives::{Address, B256, Bytes, U256, address, aliases::U48, b256, keccak256};
use alloy::providers::Provider;
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::{SolConstructor, SolEvent, SolValue};
use anyhow::{Context, ensure};
use bindings::{
    Configurator, Delegator, DevToken, FactoryOf, NetworkRestake, OperatorNetworkSpecific, OperatorSpecific, OptIn,
    Registry, Roles, SlasherOf, SymbioticAdapter, SymbioticAdapter::Source, TokenizedParams, Vault, VaultParams,
    VetoParams,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where what is slashed goes: nobody has a key for so small a number, and there is no code (R8).
pub const BURNER: Address = address!("000000000000000000000000000000000000dEaD");

/// Where the core stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Symbiotic {
    /// Vaults.
    pub vault_factory: Address,
    /// Networks.
    pub network_registry: Address,
    /// Operators.
    pub operator_registry: Address,
    /// Who slashes for a network.
    pub middleware_service: Address,
    /// Operators' words that a vault may back them.
    pub vault_opt_in: Address,
    /// Operators' words that they work for a network.
    pub network_opt_in: Address,
    /// Makes vaults with delegator and slasher.
    pub configurator: Address,
    /// The collateral of every vault here.
    pub token: Address,
}

/// How a vault is divided among networks and operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Division {
    /// Shares of what a network may use.
    NetworkRestake,
    /// To each operator up to his limit, all of them the same stake.
    FullRestake,
    /// All to one operator.
    OperatorSpecific(Address),
    /// All to one operator in one network.
    OperatorNetworkSpecific {
        /// The operator.
        operator: Address,
        /// The network.
        network: Address,
    },
}

/// What kind of vault is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// 1, or 2 for a vault whose shares are a token.
    pub version: u64,
    /// How it is divided.
    pub division: Division,
    /// For how long after its capture stake can be slashed, seconds.
    pub epoch_seconds: u64,
    /// How long a slash may be vetoed, seconds; `None` for slashes at once.
    pub veto_seconds: Option<u64>,
    /// Where what is slashed goes.
    pub burner: Address,
}

/// Symbiotic as a devnet has it: the core, our adapter, and a vault of each kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vaults {
    /// The core.
    pub core: Symbiotic,
    /// Our network and its middleware; predicted before it stands.
    pub adapter: Address,
    /// Slashed at once; each operator has shares of it.
    pub instant: Address,
    /// Its slashes may be vetoed by its curator; all operators stand behind the same stake, each up to a limit.
    pub veto: Address,
}

impl Vaults {
    /// Both, ascending.
    #[must_use]
    pub fn all(&self) -> [Address; 2] {
        if self.instant < self.veto { [self.instant, self.veto] } else { [self.veto, self.instant] }
    }

    /// Deploys the core and both vaults as `curator`, who deploys the adapter next.
    ///
    /// # Errors
    ///
    /// The core cannot be had, or the chain refuses a transaction.
    pub async fn make(endpoint: &str, curator: &PrivateKeySigner, token: Address) -> anyhow::Result<Self> {
        let core = deploy(endpoint, curator, token).await?;
        let kind = Kind {
            version: 1,
            division: Division::NetworkRestake,
            epoch_seconds: SYMBIOTIC_EPOCH_SECONDS,
            veto_seconds: None,
            burner: BURNER,
        };
        let instant = create_vault(endpoint, &core, curator, &kind).await?;
        let slow = Some(SYMBIOTIC_VETO_SECONDS);
        let kind = Kind { version: 2, division: Division::FullRestake, veto_seconds: slow, ..kind };
        let veto = create_vault(endpoint, &core, curator, &kind).await?;
        let nonce = Sender::new(endpoint, curator)?.nonce().await?;
        Ok(Self { core, adapter: curator.address().create(nonce), instant, veto })
    }

    /// Deploys the adapter where it was predicted.
    ///
    /// # Errors
    ///
    /// It comes to stand elsewhere, or the core refuses what it is made with.
    pub async fn deploy_adapter(
        &self,
        endpoint: &str,
        curator: &PrivateKeySigner,
        palisade: Address,
        orders: Address,
    ) -> anyhow::Result<()> {
        let resolver = |vault: Address| if vault == self.veto { curator.address() } else { Address::ZERO };
        let sources = self.all().map(|vault| (vault, resolver(vault)));
        let adapter = deploy_adapter(endpoint, &self.core, curator, (palisade, orders), &sources).await?;
        ensure!(adapter == self.adapter, "the Symbiotic adapter stands at {adapter}, not where genesis says");
        Ok(())
    }

    /// Fills both vaults for these operators, each with the same part.
    ///
    /// # Errors
    ///
    /// The chain refuses a transaction.
    pub async fn fill(&self, endpoint: &str, curator: &PrivateKeySigner, operators: &[Address]) -> anyhow::Result<()> {
        let part = U256::from(SYMBIOTIC_TOKENS) * WAD;
        let all = part * U256::from(operators.len());
        for (vault, division) in [(self.instant, Division::NetworkRestake), (self.veto, Division::FullRestake)] {
            deposit(endpoint, &self.core, curator, vault, all).await?;
            set_limit(endpoint, curator, vault, self.adapter, all).await?;
            let parts: Vec<_> = operators.iter().map(|operator| (*operator, part)).collect();
            set_parts(endpoint, curator, vault, self.adapter, &division, &parts).await?;
        }
        Ok(())
    }
}

/// anvil's second rich account: it makes the vaults, divides them and may veto.
///
/// # Errors
///
/// Never: its key is a constant.
pub fn curator() -> anyhow::Result<PrivateKeySigner> {
    Ok(CURATOR.parse()?)
}

const CURATOR: &str = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";
const WAD: U256 = U256::from_limbs([1_000_000_000_000_000_000, 0, 0, 0]);

/// Deploys our adapter for vaults, ascending, each with who may veto there (zero for nobody); its address comes back. It slashes
/// for the two callers, Palisade.sol and Orders.sol.
///
/// # Errors
///
/// The core refuses what it is made with.
pub async fn deploy_adapter(
    endpoint: &str,
    core: &Symbiotic,
    deployer: &PrivateKeySigner,
    (palisade, orders): (Address, Address),
    vaults: &[(Address, Address)],
) -> anyhow::Result<Address> {
    let arguments = SymbioticAdapter::constructorCall {
        palisade_: palisade,
        orders_: orders,
        service_: B256::ZERO,
        vaultFactory_: core.vault_factory,
        networkRegistry: core.network_registry,
        middlewareService: core.middleware_service,
        sources: vaults.iter().map(|(vault, resolver)| Source { vault: *vault, resolver: *resolver }).collect(),
    };
    let sender = Sender::new(endpoint, deployer)?;
    let mut plan = sender.plan().await?;
    let adapter = plan.create("SymbioticAdapter", [&SymbioticAdapter::BYTECODE[..], &arguments.abi_encode()].concat());
    sender.send(plan).await?;
    Ok(adapter)
}

/// Has the adapter remember this moment, unless it just did.
///
/// # Errors
///
/// The chain refuses the transaction.
pub async fn note(endpoint: &str, account: &PrivateKeySigner, adapter: Address) -> anyhow::Result<()> {
    send_one(endpoint, account, "note", adapter, &SymbioticAdapter::noteCall {}).await
}

/// The operator lists a vault, or an AppAdapter of core 2, that came after the adapter; it follows `like`, one of the adapter's own.
///
/// # Errors
///
/// The adapter refuses it.
pub async fn list(
    endpoint: &str,
    operator: &PrivateKeySigner,
    adapter: Address,
    vault: Address,
    like: Address,
) -> anyhow::Result<()> {
    send_one(endpoint, operator, "list", adapter, &SymbioticAdapter::listCall { vault, like }).await
}

/// The moments that the adapter remembered at a block, newest first.
///
/// # Errors
///
/// The chain does not answer.
pub async fn notes(provider: &impl Provider, adapter: Address, block: u64) -> anyhow::Result<Vec<u64>> {
    let notes = SymbioticAdapter::new(adapter, provider).notes().block(block.into()).call().await?;
    Ok(notes.iter().map(|note| note.to::<u64>()).filter(|note| *note > 0).collect())
}

/// Deploys a token that anybody can mint, where EigenLayer's core brings none.
///
/// # Errors
///
/// The chain refuses the transaction.
pub async fn deploy_token(endpoint: &str, deployer: &PrivateKeySigner) -> anyhow::Result<Address> {
    let sender = Sender::new(endpoint, deployer)?;
    let mut plan = sender.plan().await?;
    let token = plan.create("DevToken", DevToken::BYTECODE.to_vec());
    sender.send(plan).await?;
    Ok(token)
}

/// Deploys the core, paid by `deployer`, who owns its factories.
///
/// # Errors
///
/// The core cannot be had, or the chain refuses a transaction.
pub async fn deploy(endpoint: &str, deployer: &PrivateKeySigner, token: Address) -> anyhow::Result<Symbiotic> {
    let codes = tokio::task::spawn_blocking(Codes::load).await??;
    let sender = Sender::new(endpoint, deployer)?;
    let mut plan = sender.plan().await?;
    let core = plan_core(&mut plan, sender.account, token, &codes)?;
    sender.send(plan).await?;
    Ok(core)
}

/// Implementations are whitelisted in the order of the numbers by which a vault asks for them.
fn plan_core(plan: &mut Plan, owner: Address, token: Address, codes: &Codes) -> anyhow::Result<Symbiotic> {
    let [vaults, delegators, slashers] = [
        plan.create("VaultFactory", codes.with("VaultFactory", &owner.abi_encode())?),
        plan.create("DelegatorFactory", codes.with("DelegatorFactory", &owner.abi_encode())?),
        plan.create("SlasherFactory", codes.with("SlasherFactory", &owner.abi_encode())?),
    ];
    let networks = plan.create("NetworkRegistry", codes.with("NetworkRegistry", &[])?);
    let operators = plan.create("OperatorRegistry", codes.with("OperatorRegistry", &[])?);
    let middleware =
        plan.create("NetworkMiddlewareService", codes.with("NetworkMiddlewareService", &networks.abi_encode())?);
    let vault_opt_in = (operators, vaults, "OperatorVaultOptInService".to_owned()).abi_encode_params();
    let vault_opt_in = plan.create("OptInService", codes.with("OptInService", &vault_opt_in)?);
    let network_opt_in = (operators, networks, "OperatorNetworkOptInService".to_owned()).abi_encode_params();
    let network_opt_in = plan.create("OptInService", codes.with("OptInService", &network_opt_in)?);

    for name in ["Vault", "VaultTokenized"] {
        let arguments = (delegators, slashers, vaults).abi_encode_params();
        let implementation = plan.create("a vault", codes.with(name, &arguments)?);
        plan.call("whitelist", vaults, &FactoryOf::whitelistCall { implementation });
    }
    let divisions = [
        "NetworkRestakeDelegator",
        "FullRestakeDelegator",
        "OperatorSpecificDelegator",
        "OperatorNetworkSpecificDelegator",
    ];
    for (number, name) in (0_u64..).zip(divisions) {
        let services = (vault_opt_in, network_opt_in, delegators, number);
        // The last two ask the operators' registry, too.
        let arguments = match number {
            0 | 1 => (networks, vaults, services.0, services.1, services.2, number).abi_encode_params(),
            _ => (operators, networks, vaults, services.0, services.1, services.2, number).abi_encode_params(),
        };
        let implementation = plan.create("a delegator", codes.with(name, &arguments)?);
        plan.call("whitelist", delegators, &FactoryOf::whitelistCall { implementation });
    }
    let instant = (vaults, middleware, slashers, 0_u64).abi_encode_params();
    let veto = (vaults, middleware, networks, slashers, 1_u64).abi_encode_params();
    for (name, arguments) in [("Slasher", instant), ("VetoSlasher", veto)] {
        let implementation = plan.create("a slasher", codes.with(name, &arguments)?);
        plan.call("whitelist", slashers, &FactoryOf::whitelistCall { implementation });
    }
    let factories = (vaults, delegators, slashers).abi_encode_params();
    let configurator = plan.create("VaultConfigurator", codes.with("VaultConfigurator", &factories)?);
    Ok(Symbiotic {
        vault_factory: vaults,
        network_registry: networks,
        operator_registry: operators,
        middleware_service: middleware,
        vault_opt_in,
        network_opt_in,
        configurator,
        token,
    })
}

/// Makes a vault that `curator` divides.
///
/// # Errors
///
/// The chain refuses the transaction.
pub async fn create_vault(
    endpoint: &str,
    core: &Symbiotic,
    curator: &PrivateKeySigner,
    kind: &Kind,
) -> anyhow::Result<Address> {
    let sender = Sender::new(endpoint, curator)?;
    let owner = sender.account;
    let params = VaultParams {
        collateral: core.token,
        burner: kind.burner,
        epochDuration: U48::try_from(kind.epoch_seconds)?,
        depositWhitelist: false,
        isDepositLimit: false,
        depositLimit: U256::ZERO,
        defaultAdminRoleHolder: owner,
        depositWhitelistSetRoleHolder: owner,
        depositorWhitelistRoleHolder: owner,
        isDepositLimitSetRoleHolder: owner,
        depositLimitSetRoleHolder: owner,
    };
    let vault_params = match kind.version {
        2 => TokenizedParams { baseParams: params, name: "Staked token".to_owned(), symbol: "STK".to_owned() }
            .abi_encode(),
        _ => params.abi_encode(),
    };
    let roles = Roles { defaultAdminRoleHolder: owner, hook: Address::ZERO, hookSetRoleHolder: owner };
    let (division, delegator_params) = match kind.division {
        Division::NetworkRestake => (0, NetworkRestake { roles, limits: vec![owner], parts: vec![owner] }.abi_encode()),
        Division::FullRestake => (1, NetworkRestake { roles, limits: vec![owner], parts: vec![owner] }.abi_encode()),
        Division::OperatorSpecific(operator) => {
            (2, OperatorSpecific { roles, limits: vec![owner], operator }.abi_encode())
        }
        Division::OperatorNetworkSpecific { operator, network } => {
            (3, OperatorNetworkSpecific { roles, network, operator }.abi_encode())
        }
    };
    let (slasher, slasher_params) = match kind.veto_seconds {
        None => (0, false.abi_encode()),
        Some(seconds) => {
            let params = VetoParams {
                isBurnerHook: false,
                vetoDuration: U48::try_from(seconds)?,
                resolverSetEpochsDelay: U256::from(3),
            };
            (1, params.abi_encode())
        }
    };
    let call = Configurator::createCall {
        params: Configurator::InitParams {
            version: kind.version,
            owner,
            vaultParams: vault_params.into(),
            delegatorIndex: division,
            delegatorParams: delegator_params.into(),
            withSlasher: true,
            slasherIndex: slasher,
            slasherParams: slasher_params.into(),
        },
    };
    let mut plan = sender.plan().await?;
    plan.call("create a vault", core.configurator, &call);
    let receipts = sender.send(plan).await?;
    let added = receipts.iter().flat_map(|receipt| receipt.logs());
    let mut added = added.filter(|log| log.address() == core.vault_factory);
    let added = added.find_map(|log| FactoryOf::AddEntity::decode_log(&log.inner).ok());
    Ok(added.context("the factory announced no vault")?.entity)
}

/// Puts `amount` of the collateral, freshly minted, into a vault.
///
/// # Errors
///
/// The chain refuses a transaction.
pub async fn deposit(
    endpoint: &str,
    core: &Symbiotic,
    staker: &PrivateKeySigner,
    vault: Address,
    amount: U256,
) -> anyhow::Result<()> {
    let sender = Sender::new(endpoint, staker)?;
    let mut plan = sender.plan().await?;
    plan.call("mint", core.token, &DevToken::mintCall { to: staker.address(), value: amount });
    plan.call("approve", core.token, &DevToken::approveCall { spender: vault, value: amount });
    plan.call("deposit", vault, &Vault::depositCall { onBehalfOf: staker.address(), amount });
    sender.send(plan).await?;
    Ok(())
}

/// Asks for `amount` back: it leaves the active stake at once, and can be slashed until the next epoch is over.
///
/// # Errors
///
/// The chain refuses the transaction.
pub async fn withdraw(endpoint: &str, staker: &PrivateKeySigner, vault: Address, amount: U256) -> anyhow::Result<()> {
    let call = Vault::withdrawCall { claimer: staker.address(), amount };
    send_one(endpoint, staker, "withdraw", vault, &call).await
}

/// Makes the account an operator who says that these vaults may back him and that he works for `network`. Anything of
/// it that he has said before is left.
///
/// # Errors
///
/// The chain refuses a transaction.
pub async fn opt_in(
    endpoint: &str,
    core: &Symbiotic,
    operator: &PrivateKeySigner,
    network: Address,
    vaults: &[Address],
) -> anyhow::Result<()> {
    let sender = Sender::new(endpoint, operator)?;
    let mut plan = sender.plan().await?;
    let registry = Registry::new(core.operator_registry, &sender.provider);
    if !registry.isEntity(operator.address()).call().await? {
        plan.call("registerOperator", core.operator_registry, &Registry::registerOperatorCall {});
    }
    let places = vaults.iter().map(|vault| (core.vault_opt_in, *vault)).chain([(core.network_opt_in, network)]);
    for (service, place) in places {
        if !OptIn::new(service, &sender.provider).isOptedIn(operator.address(), place).call().await? {
            plan.call("optIn", service, &OptIn::optInCall { r#where: place });
        }
    }
    sender.send(plan).await?;
    Ok(())
}

/// The operator takes back his word that a vault may back him.
///
/// # Errors
///
/// The chain refuses the transaction.
pub async fn opt_out(
    endpoint: &str,
    core: &Symbiotic,
    operator: &PrivateKeySigner,
    vault: Address,
) -> anyhow::Result<()> {
    send_one(endpoint, operator, "optOut", core.vault_opt_in, &OptIn::optOutCall { r#where: vault }).await
}

/// Gives the network `limit` of a vault, as its curator. Needs the network's own word first, which our adapter gives when it is made.
///
/// # Errors
///
/// The chain refuses the transaction.
pub async fn set_limit(
    endpoint: &str,
    curator: &PrivateKeySigner,
    vault: Address,
    network: Address,
    limit: U256,
) -> anyhow::Result<()> {
    let delegator = delegator(endpoint, curator, vault).await?;
    let call = Delegator::setNetworkLimitCall { subnetwork: subnetwork(network), amount: limit };
    send_one(endpoint, curator, "setNetworkLimit", delegator, &call).await
}

/// Gives operators parts of what the network has of a vault: shares of it, or limits where all have the same stake.
///
/// # Errors
///
/// The chain refuses a transaction.
pub async fn set_parts(
    endpoint: &str,
    curator: &PrivateKeySigner,
    vault: Address,
    network: Address,
    division: &Division,
    parts: &[(Address, U256)],
) -> anyhow::Result<()> {
    let delegator = delegator(endpoint, curator, vault).await?;
    let sender = Sender::new(endpoint, curator)?;
    let mut plan = sender.plan().await?;
    let subnetwork = subnetwork(network);
    for (operator, part) in parts.iter().copied() {
        if *division == Division::FullRestake {
            let call = Delegator::setOperatorNetworkLimitCall { subnetwork, operator, amount: part };
            plan.call("setOperatorNetworkLimit", delegator, &call);
        } else {
            let call = Delegator::setOperatorNetworkSharesCall { subnetwork, operator, shares: part };
            plan.call("setOperatorNetworkShares", delegator, &call);
        }
    }
    sender.send(plan).await?;
    Ok(())
}

async fn delegator(endpoint: &str, account: &PrivateKeySigner, vault: Address) -> anyhow::Result<Address> {
    let sender = Sender::new(endpoint, account)?;
    Ok(Vault::new(vault, &sender.provider).delegator().call().await?)
}

/// Vetoes a request as the resolver.
///
/// # Errors
///
/// The chain refuses the transaction.
pub async fn veto(endpoint: &str, resolver: &PrivateKeySigner, vault: Address, index: U256) -> anyhow::Result<()> {
    let sender = Sender::new(endpoint, resolver)?;
    let slasher = Vault::new(vault, &sender.provider).slasher().call().await?;
    let call = SlasherOf::vetoSlashCall { slashIndex: index, hints: Bytes::new() };
    send_one(endpoint, resolver, "vetoSlash", slasher, &call).await
}

async fn send_one(
    endpoint: &str,
    account: &PrivateKeySigner,
    what: &'static str,
    to: Address,
    call: &impl alloy::sol_types::SolCall,
) -> anyhow::Result<()> {
    let sender = Sender::new(endpoint, account)?;
    let mut plan = sender.plan().await?;
    plan.call(what, to, call);
    sender.send(plan).await?;
    Ok(())
}

/// How many requests a vault's veto slasher has ever had, done and open.
///
/// # Errors
///
/// The chain does not answer.
pub async fn requests(provider: &impl Provider, vault: Address) -> anyhow::Result<u64> {
    let slasher = Vault::new(vault, provider).slasher().call().await?;
    Ok(u64::try_from(SlasherOf::new(slasher, provider).slashRequestsLength().call().await?)?)
}

/// What can be taken of an operator by a capture, by the slasher's own view at a block.
///
/// # Errors
///
/// The chain does not answer.
pub async fn slashable(
    provider: &impl Provider,
    vault: Address,
    network: Address,
    operator: Address,
    capture: u64,
    block: BlockId,
) -> anyhow::Result<U256> {
    let slasher = Vault::new(vault, provider).slasher().call().await?;
    let slasher = SlasherOf::new(slasher, provider);
    let asked = slasher.slashableStake(subnetwork(network), operator, U48::try_from(capture)?, Bytes::new());
    Ok(asked.block(block).call().await?)
}

/// What a vault's stakers have in it that does not leave, in the collateral's smallest units.
///
/// # Errors
///
/// The chain does not answer.
pub async fn active_stake(provider: &impl Provider, vault: Address) -> anyhow::Result<U256> {
    Ok(Vault::new(vault, provider).activeStake().call().await?)
}

/// What of the collateral lies at the burner.
///
/// # Errors
///
/// The chain does not answer.
pub async fn burned(provider: &impl Provider, core: &Symbiotic) -> anyhow::Result<U256> {
    Ok(DevToken::new(core.token, provider).balanceOf(BURNER).call().await?)
}

/// Subnetwork 0 of a network.
#[must_use]
pub fn subnetwork(network: Address) -> B256 {
    let mut bytes = [0; 32];
    bytes[..20].copy_from_slice(network.as_slice());
    B256::new(bytes)
}

/// Creation codes by contract.
struct Codes(BTreeMap<String, String>);

impl Codes {
    /// Reads the cache, or fills it: npm brings sources and compiler, node compiles.
    fn load() -> anyhow::Result<Self> {
        let cache = cache()?;
        if let Some(codes) = Self::read(&cache) {
            return Ok(codes);
        }
        fs::create_dir_all(&cache)?;
        let lock = File::create(cache.join("lock"))?;
        lock.lock().context("waiting for another compilation of Symbiotic's core")?;
        if let Some(codes) = Self::read(&cache) {
            return Ok(codes); // the one we waited for
        }
        say(format!("bringing {} from npm into {} and compiling it, once", PACKAGES.join(" and "), cache.display()));
        install(&cache)?;
        compile(&cache)?;
        Self::read(&cache).context("Symbiotic's core compiles to something else than it is known for")
    }

    /// All codes, if they are the ones we know.
    fn read(cache: &Path) -> Option<Self> {
        let text = fs::read(cache.join(CODES)).ok()?;
        if keccak256(&text) != CODES_HASH {
            return None;
        }
        serde_json::from_slice(&text).ok().map(Self)
    }

    fn with(&self, name: &str, arguments: &[u8]) -> anyhow::Result<Vec<u8>> {
        let code = self.0.get(name).with_context(|| format!("there is no code of {name}"))?;
        Ok([hex::decode(code)?.as_slice(), arguments].concat())
    }
}

fn cache() -> anyhow::Result<PathBuf> {
    let home = std::env::var_os("HOME").context("HOME is not set, so there is no cache for Symbiotic's core")?;
    Ok(Path::new(&home).join(".cache/palisade/symbiotic"))
}

fn install(cache: &Path) -> anyhow::Result<()> {
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error", "--prefix"]);
    let status = npm.arg(cache).args(PACKAGES).stdin(Stdio::null()).stdout(Stdio::null()).status();
    let status = status.context("npm cannot be started; is Node.js installed?")?;
    ensure!(status.success(), "npm install {} failed with {status}", PACKAGES.join(" "));
    Ok(())
}

fn compile(cache: &Path) -> anyhow::Result<()> {
    let script = cache.join("compile.mjs");
    fs::write(&script, COMPILE)?;
    let output = Command::new("node").arg(&script).arg(cache.join("node_modules")).stdin(Stdio::null()).output();
    let output = output.context("node cannot be started")?;
    ensure!(output.status.success(), "compiling failed: {}", String::from_utf8_lossy(&output.stderr));
    // Renamed into place, so that it is read whole or not at all.
    let partial = cache.join(format!("{CODES}.{}", std::process::id()));
    fs::write(&partial, output.stdout)?;
    Ok(fs::rename(&partial, cache.join(CODES))?)
}

/// The sources and their compiler.
const PACKAGES: [&str; 3] = ["@symbioticfi/core@1.0.3", "@openzeppelin/contracts@5.0.2", "solc@0.8.25"];
const COMPILE: &str = include_str!("symbiotic/compile.mjs");
const CODES: &str = "codes.json";
/// The keccak256 of the codes as the script writes them.
const CODES_HASH: B256 = b256!("45483fe1b320c34376cc480435cd8655997c7f6acd93851f573f291900eebe38");

/// The parts of the core's ABI that a devnet and its tests need, and the token's.
#[allow(missing_docs, clippy::too_many_arguments)]
mod bindings {
    alloy::sol! {
        #[sol(rpc)]
        DevToken,
        "../../chains/ethereum/contracts/artifacts/DevToken.json"
    }
    alloy::sol! {
        #[sol(rpc)]
        SymbioticAdapter,
        "../../chains/ethereum/contracts/artifacts/SymbioticAdapter.json"
    }
    alloy::sol! {
        #[sol(rpc)]
        interface FactoryOf {
            event AddEntity(address indexed entity);
            function whitelist(address implementation) external;
        }
        #[sol(rpc)]
        interface Registry {
            function registerOperator() external;
            function isEntity(address account) external view returns (bool);
        }
        #[sol(rpc)]
        interface OptIn {
            function optIn(address where) external;
            function optOut(address where) external;
            function isOptedIn(address who, address where) external view returns (bool);
        }
        #[sol(rpc)]
        interface Configurator {
            struct InitParams {
                uint64 version;
                address owner;
                bytes vaultParams;
                uint64 delegatorIndex;
                bytes delegatorParams;
                bool withSlasher;
                uint64 slasherIndex;
                bytes slasherParams;
            }
            function create(InitParams params) external returns (address, address, address);
        }
        #[sol(rpc)]
        interface Vault {
            function delegator() external view returns (address);
            function slasher() external view returns (address);
            function activeStake() external view returns (uint256);
            function deposit(address onBehalfOf, uint256 amount) external returns (uint256, uint256);
            function withdraw(address claimer, uint256 amount) external returns (uint256, uint256);
        }
        #[sol(rpc)]
        interface Delegator {
            function setNetworkLimit(bytes32 subnetwork, uint256 amount) external;
            function setOperatorNetworkShares(bytes32 subnetwork, address operator, uint256 shares) external;
            function setOperatorNetworkLimit(bytes32 subnetwork, address operator, uint256 amount) external;
        }
        #[sol(rpc)]
        interface SlasherOf {
            function slashableStake(bytes32 subnetwork, address operator, uint48 capture, bytes hints)
                external view returns (uint256);
            function slashRequestsLength() external view returns (uint256);
            function vetoSlash(uint256 slashIndex, bytes hints) external;
        }
        struct VaultParams {
            address collateral;
            address burner;
            uint48 epochDuration;
            bool depositWhitelist;
            bool isDepositLimit;
            uint256 depositLimit;
            address defaultAdminRoleHolder;
            address depositWhitelistSetRoleHolder;
            address depositorWhitelistRoleHolder;
            address isDepositLimitSetRoleHolder;
            address depositLimitSetRoleHolder;
        }
        struct TokenizedParams {
            VaultParams baseParams;
            string name;
            string symbol;
        }
        struct Roles {
            address defaultAdminRoleHolder;
            address hook;
            address hookSetRoleHolder;
        }
        struct NetworkRestake {
            Roles roles;
            address[] limits;
            address[] parts;
        }
        struct OperatorSpecific {
            Roles roles;
            address[] limits;
            address operator;
        }
        struct OperatorNetworkSpecific {
            Roles roles;
            address network;
            address operator;
        }
        struct VetoParams {
            bool isBurnerHook;
            uint48 vetoDuration;
            uint256 resolverSetEpochsDelay;
        }
    }
}
