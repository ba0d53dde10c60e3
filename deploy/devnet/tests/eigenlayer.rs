//! Our contracts over the real EigenLayer core on a real anvil: slow, and what the devnet does too.

#![allow(clippy::unwrap_used)] // a test's helpers are tests too

use alloy::network::EthereumWallet;
use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::providers::{DynProvider, Provider, ProviderBuilder};
use alloy::rpc::types::TransactionReceipt;
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::{SolError, SolEvent};
use anyhow::{Context, ensure};
use palisade_crypto::bls;
use palisade_devnet::contracts::{self, EigenLayerAdapter, Palisade, Parameters, PredictedAddresses};
use palisade_devnet::eigenlayer::{self, EigenLayer};
use palisade_types::ids::{self, BlsKey, ChainId, Digest, Domain, DomainKind, OperatorId};
use palisade_types::{attestation::Statement, possession};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::time::{Instant, sleep};

alloy::sol! {
    #[sol(rpc)]
    interface AllocationManager {
        function getMaxMagnitude(address operator, address strategy) external view returns (uint64);
    }
    #[sol(rpc)]
    interface DelegationManager {
        struct QueuedWithdrawalParams { address[] strategies; uint256[] depositShares; address withdrawer; }
        function queueWithdrawals(QueuedWithdrawalParams[] params) external returns (bytes32[]);
        function getSlashableSharesInQueue(address operator, address strategy) external view returns (uint256);
    }
}

#[tokio::test]
async fn r24_a_pair_takes_the_fixed_part_once_on_the_real_core() {
    let world = World::new().await.unwrap();
    let operator = world.operator(1);
    world.join(&operator, 400 * MILLI).await.unwrap();
    assert_eq!(world.slashable(&operator).await, ether(400));

    let receipt = world.slash(&world.pair(&operator, 7, A, B)).await.unwrap();
    println!("gas of the first slash: {}", receipt.gas_used);
    assert!(receipt.gas_used < 475_000);
    let slashed = event::<Palisade::Slashed>(&receipt).unwrap();
    assert_eq!(slashed.before, ether(400));
    assert_about(slashed.afterwards, ether(300));
    assert_eq!(slashed.asset, world.core.strategy);
    assert_eq!(world.slashable(&operator).await, slashed.afterwards);
    assert_eq!(world.max_magnitude(&operator).await, 900 * MILLI);

    // The same case again: another pair of the same slot, and another slot.
    for slot in [7, 8] {
        let again = world.slash(&world.pair(&operator, slot, A, B)).await.unwrap_err();
        assert_reason::<Palisade::AlreadySlashed>(&again);
    }
    assert_eq!(world.slashable(&operator).await, slashed.afterwards);
}

#[tokio::test]
async fn r25_only_a_pair_convicts_and_every_domain_is_a_case() {
    let world = World::new().await.unwrap();
    let operator = world.operator(1);
    world.join(&operator, 400 * MILLI).await.unwrap();

    let compatible = world.slash(&world.pair(&operator, 7, A, A)).await.unwrap_err();
    assert_reason::<Palisade::Compatible>(&compatible);
    let mut moved = world.pair(&operator, 7, A, B);
    moved.slot = 8;
    assert!(world.slash(&moved).await.unwrap_err().to_string().contains(WRONG_SIGNATURE));
    assert_eq!(world.slashable(&operator).await, ether(400));

    world.slash(&world.pair_in(DomainKind::Ledger, &operator, 7, A, B)).await.unwrap();
    let receipt = world.slash(&world.pair_in(DomainKind::Succession, &operator, 1, A, B)).await.unwrap();
    println!("gas of a later slash: {}", receipt.gas_used);
    assert!(receipt.gas_used < 380_000);
    assert_about(world.slashable(&operator).await, ether(225)); // a quarter of what the first one left
}

#[tokio::test]
async fn r24_a_conviction_waits_for_something_to_take() {
    let world = World::new().await.unwrap();
    let operator = world.operator(1);
    // Without keys the adapter lets nobody into the operator set.
    eigenlayer::stake(&world.endpoint, &world.core, &operator.account, &operator.account, ether(1_000)).await.unwrap();
    let refused = world.allocate(&operator, 400 * MILLI).await.unwrap_err();
    assert_reason::<EigenLayerAdapter::NotRegistered>(&refused);

    world.register(&operator).await.unwrap();
    let receipt = world.slash(&world.pair(&operator, 7, A, B)).await.unwrap();
    assert!(event::<Palisade::Convicted>(&receipt).is_some());
    let failed = event::<Palisade::SlashFailed>(&receipt).unwrap();
    assert_eq!(failed.reason[..4], EigenLayerAdapter::NothingSlashable::SELECTOR);

    world.allocate(&operator, 400 * MILLI).await.unwrap();
    let receipt = world.slash(&world.pair(&operator, 7, A, B)).await.unwrap();
    println!("gas of carrying out a conviction: {}", receipt.gas_used);
    assert!(event::<Palisade::Convicted>(&receipt).is_none());
    assert_about(world.slashable(&operator).await, ether(300));
}

#[tokio::test]
async fn r24_stake_in_the_withdrawal_queue_is_taken_too() {
    let world = World::new().await.unwrap();
    let operator = world.operator(1);
    world.join(&operator, 400 * MILLI).await.unwrap();
    world.queue_everything().await.unwrap();
    assert_eq!(world.slashable(&operator).await, U256::ZERO); // EigenLayer's first view has forgotten it
    assert_eq!(world.queued(&operator).await, ether(1_000));

    let receipt = world.slash(&world.pair(&operator, 7, A, B)).await.unwrap();
    let slashed = event::<Palisade::Slashed>(&receipt).unwrap();
    assert_eq!((slashed.before, slashed.afterwards), (ether(400), ether(300)));
    assert_eq!(world.queued(&operator).await, ether(900));
}

/// The core and our contracts on an anvil of their own.
struct World {
    endpoint: String,
    core: EigenLayer,
    addresses: PredictedAddresses,
    deployer: PrivateKeySigner,
    anvil: Child,
}

/// An account with an attestation key.
struct Operator {
    account: PrivateKeySigner,
    key: bls::SecretKey,
}

impl World {
    async fn new() -> anyhow::Result<Self> {
        let (anvil, endpoint) = start_anvil()?;
        let deployer = account(0);
        let mut world = Self {
            endpoint,
            core: NOWHERE,
            addresses: contracts::predict(deployer.address(), 0),
            deployer,
            anvil, // from here on it ends with the world
        };
        world.await_anvil().await?;
        world.core = eigenlayer::deploy(&world.endpoint, &world.deployer).await?;
        let nonce = contracts::next_nonce(&world.endpoint, &world.deployer).await?;
        world.addresses = contracts::predict(world.deployer.address(), nonce);
        let parameters = Parameters {
            chain_id: B256::from(*CHAIN.as_bytes()),
            evidence_window_blocks: 60,
            equivocation_wad: U256::from(250 * MILLI),
            order_wad: 500 * MILLI,
            order_delay_blocks: 2,
            other_adapters: Vec::new(),
        };
        contracts::deploy(&world.endpoint, &world.deployer, &world.addresses, &world.core, &parameters).await?;
        Ok(world)
    }

    async fn await_anvil(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(20);
        let provider = self.provider(&self.deployer);
        while provider.get_block_number().await.is_err() {
            ensure!(Instant::now() < deadline, "anvil does not answer");
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    fn provider(&self, signer: &PrivateKeySigner) -> DynProvider {
        let wallet = EthereumWallet::from(signer.clone());
        ProviderBuilder::new().wallet(wallet).connect_http(self.endpoint.parse().unwrap()).erased()
    }

    fn operator(&self, number: u8) -> Operator {
        Operator { account: account(number), key: bls::SecretKey::from_seed(&[number; 32]) }
    }

    /// Keys, stake of 1,000 tokens, allocation.
    async fn join(&self, operator: &Operator, magnitude: u64) -> anyhow::Result<()> {
        assert_eq!(self.register(operator).await?, 1);
        eigenlayer::stake(&self.endpoint, &self.core, &operator.account, &account(9), ether(1_000)).await?;
        self.allocate(operator, magnitude).await
    }

    async fn register(&self, operator: &Operator) -> anyhow::Result<u32> {
        let public = operator.key.public();
        let id = OperatorId::new(operator.account.address().into_array());
        let key = BlsKey::new(public.to_bytes());
        let palisade = ids::Address::new(self.addresses.palisade.into_array());
        let message = possession::bls_message(&CHAIN, &palisade, &id, &key).context("a key")?;
        let keys = Palisade::Keys {
            bls: public.to_packed().to_vec().into(),
            blsProof: operator.key.prove_possession(&message).to_packed().to_vec().into(),
            ed25519: B256::repeat_byte(1),
            ed25519Proof: Bytes::from(vec![0; 64]), // the ledger's business
            eots: B256::repeat_byte(2),
            eotsProof: Bytes::from(vec![0; 64]),
            peerId: Bytes::from(vec![0, 36, 8]),
        };
        contracts::register(&self.endpoint, self.addresses.palisade, &operator.account, keys).await
    }

    async fn allocate(&self, operator: &Operator, magnitude: u64) -> anyhow::Result<()> {
        let adapter = self.addresses.eigenlayer_adapter;
        eigenlayer::allocate(&self.endpoint, &self.core, &operator.account, adapter, magnitude).await
    }

    fn pair(&self, operator: &Operator, slot: u64, a: Digest, b: Digest) -> Palisade::Pair {
        self.pair_in(DomainKind::Ledger, operator, slot, a, b)
    }

    /// What the evidence of two attestations becomes on Ethereum.
    fn pair_in(&self, kind: DomainKind, operator: &Operator, slot: u64, a: Digest, b: Digest) -> Palisade::Pair {
        let palisade = ids::Address::new(self.addresses.palisade.into_array());
        let domain = Domain::own(&CHAIN, &palisade, kind);
        let signatures =
            [a, b].map(|digest| operator.key.sign(&Statement { domain, slot, digest }.bls_message(&CHAIN)));
        Palisade::Pair {
            keyId: 1,
            serviceId: B256::ZERO,
            registration: 0,
            kind: kind.number(),
            slot,
            digestA: B256::from(*a.as_bytes()),
            digestB: B256::from(*b.as_bytes()),
            signatureSum: bls::Signature::aggregate(&signatures).unwrap().to_packed().to_vec().into(),
        }
    }

    /// Sent by an account that is nobody, with the gas that the node estimates.
    async fn slash(&self, pair: &Palisade::Pair) -> anyhow::Result<TransactionReceipt> {
        let palisade = Palisade::new(self.addresses.palisade, self.provider(&account(5)));
        let receipt = palisade.slash(pair.clone()).send().await?.get_receipt().await?;
        ensure!(receipt.status(), "the slash reverted");
        Ok(receipt)
    }

    async fn slashable(&self, operator: &Operator) -> U256 {
        let provider = self.provider(&self.deployer);
        let adapter = self.addresses.eigenlayer_adapter;
        eigenlayer::slashable(&provider, &self.core, operator.account.address(), adapter).await.unwrap()
    }

    async fn max_magnitude(&self, operator: &Operator) -> u64 {
        AllocationManager::new(self.core.allocation_manager, self.provider(&self.deployer))
            .getMaxMagnitude(operator.account.address(), self.core.strategy)
            .call()
            .await
            .unwrap()
    }

    async fn queued(&self, operator: &Operator) -> U256 {
        DelegationManager::new(self.core.delegation_manager, self.provider(&self.deployer))
            .getSlashableSharesInQueue(operator.account.address(), self.core.strategy)
            .call()
            .await
            .unwrap()
    }

    /// The staker leaves, and with him all of the operator's stake.
    async fn queue_everything(&self) -> anyhow::Result<()> {
        let staker = account(9);
        let withdrawal = DelegationManager::QueuedWithdrawalParams {
            strategies: vec![self.core.strategy],
            depositShares: vec![ether(1_000)],
            withdrawer: staker.address(),
        };
        DelegationManager::new(self.core.delegation_manager, self.provider(&staker))
            .queueWithdrawals(vec![withdrawal])
            .send()
            .await?
            .get_receipt()
            .await?;
        Ok(())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.anvil.kill(); // gone already is as good
        let _ = self.anvil.wait();
    }
}

fn start_anvil() -> anyhow::Result<(Child, String)> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let anvil = Command::new(anvil_binary()?)
        .args(["--silent", "--port", &port.to_string()])
        .stdin(Stdio::null())
        .spawn()
        .context("anvil does not start")?;
    Ok((anvil, format!("http://127.0.0.1:{port}")))
}

/// The native binary: npm's shim leaves the real process behind.
fn anvil_binary() -> anyhow::Result<PathBuf> {
    let home = std::env::var("HOME").unwrap_or_default();
    let folders = std::env::var("PALISADE_TOOLS")
        .into_iter()
        .chain([format!("{home}/.cache/palisade/tools/node_modules"), "/tmp/npm/node_modules".to_owned()]);
    folders
        .flat_map(|folder| std::fs::read_dir(Path::new(&folder).join("@foundry-rs")).into_iter().flatten().flatten())
        .filter(|package| package.file_name().to_string_lossy().starts_with("anvil-"))
        .map(|package| package.path().join("bin/anvil"))
        .find(|binary| binary.is_file())
        .context("no anvil: see chains/ethereum/contracts/tools.sh for how to install it")
}

fn event<E: SolEvent>(receipt: &TransactionReceipt) -> Option<E> {
    receipt.logs().iter().find_map(|log| E::decode_log(&log.inner).ok()).map(|log| log.data)
}

fn assert_reason<E: SolError>(error: &anyhow::Error) {
    let text = format!("{error:#}");
    assert!(text.contains(&alloy::hex::encode(E::SELECTOR)), "{text}");
}

/// Equal but for the core's rounding of magnitudes, which is in the staker's disfavour.
fn assert_about(value: U256, expected: U256) {
    assert!(value <= expected && expected - value < U256::from(1_000), "{value} is not about {expected}");
}

/// One of anvil's own accounts: publicly known keys.
fn account(number: u8) -> PrivateKeySigner {
    ANVIL_KEYS[usize::from(number)].parse().unwrap()
}

fn ether(amount: u64) -> U256 {
    U256::from(amount) * U256::from(1_000 * MILLI)
}

/// A thousandth of 1e18.
const MILLI: u64 = 1_000_000_000_000_000;
const CHAIN: ChainId = ChainId::new([7; 32]);
const A: Digest = Digest::new([0xa; 32]);
const B: Digest = Digest::new([0xb; 32]);
/// Bls.sol's `WrongSignature()`: a library's error is not in the contract's ABI.
const WRONG_SIGNATURE: &str = "356a4418";
/// The keys of anvil's accounts, known to everybody.
const ANVIL_KEYS: [&str; 10] = [
    "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    "0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
    "0x7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
    "0x47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a",
    "0x8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba",
    "0x92db14e403b83dfe3df233f83dfa3a0d7096f21ca9b0d6d6b8d88b2b4ec1564e",
    "0x4bbbf85ce3377467afe5d46f804f221813b2bb87f24d81f60f1fcdbf7cbf4356",
    "0xdbda1821b80551c9d65939329250298aa3472ba22feea921c0cf5d620ea67b97",
    "0x2a871d0798f97d79848a013d4936a73bf4cc922c825d33c1cf7073dff6d409c6",
];
const NOWHERE: EigenLayer = EigenLayer {
    allocation_manager: Address::ZERO,
    delegation_manager: Address::ZERO,
    strategy_manager: Address::ZERO,
    eigen_pod_manager: Address::ZERO,
    permission_controller: Address::ZERO,
    strategy_factory: Address::ZERO,
    token: Address::ZERO,
    strategy: Address::ZERO,
};
