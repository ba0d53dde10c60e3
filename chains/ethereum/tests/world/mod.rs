//! One anvil with our contracts on it, and operators with real keys.

use crate::contracts::{self, Palisade, Parameters as Deployment};
use crate::eigenlayer::{self, EigenLayer};
use crate::sender::{Plan, Sender};
use alloy::eips::BlockNumberOrTag;
use alloy::primitives::{Address, B256, U256};
use alloy::providers::{DynProvider, Provider, ProviderBuilder};
use alloy::rpc::json_rpc::RpcSend;
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::SolConstructor;
use palisade_crypto::{bls, ed25519, eots};
use palisade_ethereum::{Account, Config, Ethereum, Keys};
use palisade_types::attestation::Statement;
use palisade_types::canonical::{Blob, List};
use palisade_types::chain::{ChainPoint, Execution, Watch};
use palisade_types::evidence::{BlsPair, CovenantBreach, Evidence};
use palisade_types::genesis::{Asset, Caps, Contracts, Genesis, Parameters};
use palisade_types::ids::{
    self, BlsKey, BlsSignature, CaseId, Digest, DomainKind, Ed25519Key, Ed25519Signature, Hash, OperatorId, SchnorrKey,
    SchnorrSignature, ServiceId, VaultId,
};
use palisade_types::observation::Fact;
use palisade_types::operator::Operator;
use palisade_types::order::Order;
use palisade_types::position::StakeSource;
use palisade_types::possession;
use palisade_types::price::Price;
use palisade_types::slash::{Case, SlashOrder};
use palisade_types::units::{Epoch, Height, MicroUsd, Wad};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

alloy::sol! {
    #[sol(rpc)]
    interface AllocationManager {
        struct OperatorSet { address avs; uint32 id; }
        struct DeregisterParams { address operator; address avs; uint32[] operatorSetIds; }
        function deregisterFromOperatorSets(DeregisterParams params) external;
        function getMinimumSlashableStake(
            OperatorSet operatorSet, address[] operators, address[] strategies, uint32 futureBlock
        ) external view returns (uint256[][] memory);
    }
}

/// anvil's own accounts, as every anvil prints them.
const SECRETS: [&str; 7] = [
    "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
    "7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
    "47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a",
    "8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba",
    "92db14e403b83dfe3df233f83dfa3a0d7096f21ca9b0d6d6b8d88b2b4ec1564e",
];
/// Who pays for slashes.
const EXECUTOR: usize = 2;
/// Blocks after which a block is final with four slots in an epoch.
const FINALITY_LAG: u64 = 8;

/// A running anvil; it ends with its value.
pub(crate) struct Anvil(Child);

impl Anvil {
    /// Starts one on a free port and returns its endpoint.
    pub(crate) fn start() -> (Self, String) {
        let mut child = Command::new(binary())
            .args(["--port", "0", "--slots-in-an-epoch", "4"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("anvil is installed (PALISADE_ANVIL)");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let listening = lines.by_ref().map(Result::unwrap).find(|line| line.starts_with("Listening on "));
        let address = listening.unwrap()["Listening on ".len()..].trim().to_owned();
        std::thread::spawn(move || lines.for_each(drop)); // else its output blocks it
        (Self(child), format!("http://{address}"))
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn binary() -> PathBuf {
    if let Some(named) = std::env::var_os("PALISADE_ANVIL") {
        return named.into();
    }
    let native = "node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil";
    let home = std::env::var_os("HOME").unwrap_or_default();
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&on_path).map(|folder| folder.join("anvil"));
    let fallbacks = [Path::new(&home).join(".cache/palisade/tools").join(native), Path::new("/tmp/npm").join(native)];
    on_path.chain(fallbacks).find(|path| path.is_file()).expect("anvil is installed (PALISADE_ANVIL)")
}

/// A chain with Palisade.sol, and with EigenLayer where asked for.
pub(crate) struct World {
    _anvil: Anvil,
    pub(crate) endpoint: String,
    pub(crate) provider: DynProvider,
    pub(crate) genesis: Arc<Genesis>,
    pub(crate) core: Option<EigenLayer>,
}

impl World {
    /// No asset counts; the adapter that Palisade.sol names has no code.
    pub(crate) async fn without_stake() -> Self {
        Self::new(false).await
    }

    /// One strategy of a real EigenLayer counts, and an equivocation takes a quarter.
    pub(crate) async fn with_stake() -> Self {
        Self::new(true).await
    }

    async fn new(staked: bool) -> Self {
        let (anvil, endpoint) = Anvil::start();
        let core = if staked { Some(eigenlayer::deploy(&endpoint, &signer(0)).await.unwrap()) } else { None };
        Self::over(anvil, endpoint, core).await
    }

    /// Our contracts over whatever core stands there.
    pub(crate) async fn over(anvil: Anvil, endpoint: String, core: Option<EigenLayer>) -> Self {
        let provider = ProviderBuilder::new().connect_http(endpoint.parse().unwrap()).erased();
        mine(&provider, 2 * FINALITY_LAG).await;
        let final_block = provider.get_block_by_number(BlockNumberOrTag::Finalized).await.unwrap().unwrap();
        let start = ChainPoint {
            number: final_block.header.number,
            hash: Hash::new(final_block.header.hash.0),
            log: u32::MAX,
            time: final_block.header.timestamp,
        };
        let mut world =
            Self { _anvil: anvil, endpoint, provider, genesis: Arc::new(genesis(start, core.as_ref())), core };
        let mut genesis = (*world.genesis).clone();
        world.redeploy(&mut genesis).await;
        world.genesis = Arc::new(genesis);
        world
    }

    /// Names the next contracts in genesis and deploys them.
    pub(crate) async fn redeploy(&self, genesis: &mut Genesis) {
        let deployer = signer(0);
        let nonce = contracts::next_nonce(&self.endpoint, &deployer).await.unwrap();
        let predicted = contracts::predict(deployer.address(), nonce);
        genesis.contracts.palisade = ids::Address::new(predicted.palisade.into_array());
        genesis.contracts.eigenlayer_adapter = ids::Address::new(predicted.eigenlayer_adapter.into_array());
        genesis.contracts.committee = ids::Address::new(predicted.committee.into_array());
        genesis.contracts.orders = ids::Address::new(predicted.orders.into_array());
        let chain_id = B256::from(*genesis.chain_id().as_bytes());
        let window = genesis.parameters.ethereum_window();
        let Some(core) = &self.core else {
            let arguments = Palisade::constructorCall {
                chainId_: chain_id,
                adapters_: vec![predicted.eigenlayer_adapter],
                evidenceWindowBlocks_: window,
                lightClient_: predicted.committee,
                orders_: predicted.orders,
            };
            let sender = Sender::new(&self.endpoint, &deployer).unwrap();
            let mut plan: Plan = sender.plan().await.unwrap();
            plan.create("Palisade", [&Palisade::BYTECODE[..], &arguments.abi_encode()].concat());
            sender.send(plan).await.unwrap();
            return;
        };
        let parameters = Deployment::of(genesis);
        contracts::deploy(&self.endpoint, &deployer, &predicted, core, &parameters).await.unwrap();
    }

    pub(crate) async fn connect(&self) -> Ethereum {
        self.connect_at(&self.endpoint).await
    }

    /// By another way to the same chain.
    pub(crate) async fn connect_at(&self, endpoint: &str) -> Ethereum {
        let executor = Account::from_file(SECRETS[EXECUTOR].as_bytes()).unwrap();
        Ethereum::connect(&Config::one(endpoint), Arc::clone(&self.genesis), Some(executor)).await.unwrap()
    }

    /// Makes everything so far final.
    pub(crate) async fn finalize(&self) {
        mine(&self.provider, FINALITY_LAG).await;
    }

    /// So many empty blocks.
    pub(crate) async fn mine(&self, blocks: u64) {
        mine(&self.provider, blocks).await;
    }

    /// Lets transactions of an account through without its signature, and pays for them.
    pub(crate) async fn impersonate(&self, account: Address) {
        self.request("anvil_impersonateAccount", (account,)).await;
        self.request("anvil_setBalance", (account, U256::from(10).pow(U256::from(20)))).await;
    }

    /// Replaces the last blocks by empty ones.
    pub(crate) async fn reorg(&self, depth: u64) {
        let none: [(); 0] = [];
        self.request("anvil_reorg", (depth, none)).await;
    }

    /// From here on blocks come only when they are asked for.
    pub(crate) async fn stop_mining(&self) {
        self.request("evm_setAutomine", (false,)).await;
    }

    /// Mines blocks, the first of them at this base fee.
    pub(crate) async fn mine_at(&self, base_fee: u64, blocks: u64) {
        self.request("anvil_setNextBlockBaseFeePerGas", (U256::from(base_fee),)).await;
        mine(&self.provider, blocks).await;
    }

    pub(crate) async fn set_code(&self, account: Address, code: &alloy::primitives::Bytes) {
        self.request("anvil_setCode", (account, code.clone())).await;
    }

    async fn request(&self, method: &'static str, arguments: impl RpcSend) {
        self.provider.raw_request::<_, serde_json::Value>(method.into(), arguments).await.unwrap();
    }

    /// EigenLayer's own answer to what `Position::slashable_at` computes.
    pub(crate) async fn slashable(&self, member: &Member, block: u64) -> U256 {
        let core = self.core.as_ref().unwrap();
        let set = AllocationManager::OperatorSet { avs: self.adapter(), id: 0 };
        let block = u32::try_from(block).unwrap();
        let operators = vec![member.signer().address()];
        AllocationManager::new(core.allocation_manager, &self.provider)
            .getMinimumSlashableStake(set, operators, vec![core.strategy], block)
            .call()
            .await
            .unwrap()[0][0]
    }

    /// Leaves the operator set; returns the block.
    pub(crate) async fn leave(&self, member: &Member) -> u64 {
        let sender = Sender::new(&self.endpoint, &member.signer()).unwrap();
        let mut plan = sender.plan().await.unwrap();
        let params = AllocationManager::DeregisterParams {
            operator: member.signer().address(),
            avs: self.adapter(),
            operatorSetIds: vec![0],
        };
        let core = self.core.as_ref().unwrap();
        let call = AllocationManager::deregisterFromOperatorSetsCall { params };
        plan.call("deregisterFromOperatorSets", core.allocation_manager, &call);
        sender.send(plan).await.unwrap()[0].block_number.unwrap()
    }

    fn adapter(&self) -> Address {
        Address::from(*self.genesis.contracts.eigenlayer_adapter.as_bytes())
    }
}

async fn mine(provider: &DynProvider, blocks: u64) {
    provider.raw_request::<_, serde_json::Value>("anvil_mine".into(), (blocks,)).await.unwrap();
}

/// What an equivocation takes.
const QUARTER: u64 = 250_000_000_000_000_000;

fn genesis(start: ChainPoint, core: Option<&EigenLayer>) -> Genesis {
    let address = |address: Address| ids::Address::new(address.into_array());
    let none = ids::Address::ZERO;
    Genesis {
        random: Hash::new([1; 32]),
        evm_chain_id: 31_337,
        bitcoin_genesis: Hash::ZERO,
        ethereum_start: start,
        bitcoin_start: ChainPoint { number: 0, hash: Hash::ZERO, log: u32::MAX, time: 0 },
        contracts: Contracts {
            palisade: none,
            eigenlayer_adapter: none,
            committee: none,
            allocation_manager: core.map_or(none, |core| address(core.allocation_manager)),
            delegation_manager: core.map_or(none, |core| address(core.delegation_manager)),
            orders: none,
            symbiotic: None,
            karak: None,
        },
        assets: core.map_or_else(List::new, |core| {
            let asset = Asset {
                source: StakeSource::EigenLayer(address(core.strategy)),
                price: Price::Fixed(MicroUsd::new(1)),
                cap: Caps::ANY,
                equivocation: Wad::new(QUARTER),
            };
            List::try_from(vec![asset]).unwrap()
        }),
        vaults: List::new(),
        parameters: Parameters {
            epoch_heights: 20,
            epoch_ethereum_blocks: 15,
            epoch_bitcoin_blocks: 15,
            max_age_blocks: 30,
            trust_blocks: 40,
            execution_blocks: 20,
            observation_lag_blocks: 10,
            bitcoin_depth: 3,
            deallocation_delay: u64::from(eigenlayer::DEALLOCATION_DELAY_BLOCKS),
            checkpoint_interval: 5,
            attest_lag_blocks: 20,
            min_total: MicroUsd::new(1),
            min_bond: MicroUsd::new(1),
            bitcoin_price: MicroUsd::new(1),
            order_part: Wad::new(QUARTER),
            order_delay_blocks: 2,
            window_seconds: 0,
            caps: Caps::NONE,
            duty_slots: 120,
        },
        seats: List::new(),
        continues: None,
    }
}

pub(crate) fn signer(number: usize) -> PrivateKeySigner {
    SECRETS[number].parse().unwrap()
}

/// An operator: one of anvil's accounts and the keys he registers.
pub(crate) struct Member {
    number: usize,
    pub(crate) bls: bls::SecretKey,
    ed25519: ed25519::SecretKey,
    pub(crate) eots: eots::SecretKey,
}

impl Member {
    pub(crate) fn new(number: usize) -> Self {
        let seed = [number as u8 + 1; 32];
        Self {
            number,
            bls: bls::SecretKey::from_seed(&seed),
            ed25519: ed25519::SecretKey::from_seed(&seed),
            eots: eots::SecretKey::from_bytes(&seed).unwrap(),
        }
    }

    pub(crate) fn signer(&self) -> PrivateKeySigner {
        signer(self.number)
    }

    pub(crate) fn account(&self) -> Account {
        Account::from_file(SECRETS[self.number].as_bytes()).unwrap()
    }

    pub(crate) fn id(&self) -> OperatorId {
        OperatorId::new(self.signer().address().into_array())
    }

    /// His keys with real proofs.
    pub(crate) fn keys(&self, genesis: &Genesis) -> Keys {
        let (chain, palisade, id) = (genesis.chain_id(), genesis.contracts.palisade, self.id());
        let bls = BlsKey::new(self.bls.public().to_bytes());
        let ed25519 = Ed25519Key::new(self.ed25519.public().to_bytes());
        let eots = SchnorrKey::new(self.eots.public().to_bytes());
        let bls_message = possession::bls_message(&chain, &palisade, &id, &bls).unwrap();
        let ed25519_message = possession::ed25519_message(&chain, &palisade, &id, &ed25519);
        let eots_message = possession::eots_message(&chain, &palisade, &id, &eots);
        Keys {
            bls,
            bls_proof: BlsSignature::new(self.bls.prove_possession(&bls_message).to_bytes()),
            ed25519,
            ed25519_proof: Ed25519Signature::new(self.ed25519.sign(&ed25519_message).0),
            eots,
            eots_proof: SchnorrSignature::new(self.eots.sign_schnorr(&eots_message)),
            peer: Blob::try_from(vec![7; 38]).unwrap(),
        }
    }

    /// Two attestations of slot 7 of the ledger's domain.
    fn pair(&self, genesis: &Genesis) -> BlsPair {
        let (domain, slot) = (genesis.domain(DomainKind::Ledger), 7);
        let sign = |digest: Digest| {
            let statement = Statement { domain, slot, digest };
            let signature = self.bls.sign(&statement.bls_message(&genesis.chain_id()));
            (digest, BlsSignature::new(signature.to_bytes()))
        };
        BlsPair {
            operator: self.id(),
            domain,
            slot,
            first: sign(Digest::new([1; 32])),
            second: sign(Digest::new([2; 32])),
        }
    }
}

/// The case that a covenant's breach opens, which only a certified order answers.
pub(crate) fn breach_case(genesis: &Genesis, member: &Member, orders: Vec<SlashOrder>) -> Case {
    let domain = genesis.domain(DomainKind::Covenant);
    let breach = CovenantBreach {
        vault: VaultId { txid: Hash::ZERO, output: 0 },
        member: SchnorrKey::ZERO,
        height: 7,
        transaction: Hash::ZERO,
        sighash: Hash::ZERO,
        signature: SchnorrSignature::ZERO,
    };
    Case {
        id: CaseId::derive(&genesis.chain_id(), &member.id(), &domain),
        operator: member.id(),
        domain,
        slot: 7,
        opened: Height::new(1),
        evidence: Some(Evidence::Covenant(breach)),
        orders: List::try_from(orders).unwrap(),
    }
}

/// What the ledger would draw of such a case under a number, in epoch 1.
pub(crate) fn drawn(genesis: &Genesis, case: &Case, number: u64, adapter: ids::Address, capture: u64) -> Order {
    Order {
        number,
        epoch: Epoch::new(1),
        chain: genesis.chain_id(),
        contract: genesis.contracts.orders,
        evm_chain_id: genesis.evm_chain_id,
        case: case.id,
        operator: case.operator,
        service: ServiceId::ZERO,
        adapter,
        wad: genesis.parameters.order_part,
        capture,
        expiry: capture + 90,
    }
}

/// The case that a member's pair opens, with one order.
pub(crate) fn case(genesis: &Genesis, member: &Member, order: SlashOrder) -> Case {
    let pair = member.pair(genesis);
    Case {
        id: CaseId::derive(&genesis.chain_id(), &pair.operator, &pair.domain),
        operator: pair.operator,
        domain: pair.domain,
        slot: pair.slot,
        opened: Height::new(1),
        evidence: Some(Evidence::Pair(pair)),
        orders: List::try_from(vec![order]).unwrap(),
    }
}

/// The order to carry it out, with the convict as `watch` knows him.
pub(crate) fn execution(case: &Case, watch: &Watch) -> Execution {
    let operator = watch.operators[&case.operator].clone();
    Execution { case: case.clone(), order: 0, operator, vault: None, certified: None, company: None }
}

/// What a ledger would know after these facts.
pub(crate) fn applied(watch: &mut Watch, facts: &[Fact]) {
    for fact in facts {
        match fact {
            Fact::Keys(keys) => {
                let operator = Operator {
                    id: keys.operator,
                    keys: List::try_from(vec![keys.row.clone()]).unwrap(),
                    convicted: None,
                    jailed: None,
                    attested: 0,
                    missed: 0,
                };
                watch.operators.insert(keys.operator, operator);
            }
            Fact::Stake(stake) => {
                watch.positions.insert(stake.id, stake.position);
            }
            Fact::Listed(listed) => {
                watch.listings.insert(listed.id, listed.like);
            }
            _ => {}
        }
    }
}
