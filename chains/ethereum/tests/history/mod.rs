//! One EigenLayer core on an anvil of its own, and what can be done to it, so that two cores can be told the same.

use crate::doubles;
use crate::doubles::bindings::registrar::OpenRegistrar;
use crate::eigenlayer::{self, EigenLayer};
use crate::sender::Sender;
use crate::world::{Anvil, signer};
use alloy::eips::BlockId;
use alloy::network::TransactionBuilder;
use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use alloy::providers::{DynProvider, Provider, ProviderBuilder};
use alloy::rpc::json_rpc::RpcRecv;
use alloy::rpc::types::{TransactionReceipt, TransactionRequest};
use alloy::sol_types::{SolCall, SolEvent};
use alloy::transports::RpcError;
use futures::future::join_all;
use std::time::{Duration, Instant};

alloy::sol! {
    #[derive(Debug)]
    interface Core {
        struct OperatorSet { address avs; uint32 id; }
        struct CreateSetParams { uint32 operatorSetId; address[] strategies; }
        struct RegisterParams { address avs; uint32[] operatorSetIds; bytes data; }
        struct DeregisterParams { address operator; address avs; uint32[] operatorSetIds; }
        struct AllocateParams { OperatorSet operatorSet; address[] strategies; uint64[] newMagnitudes; }
        struct SlashingParams {
            address operator; uint32 operatorSetId; address[] strategies; uint256[] wadsToSlash; string description;
        }
        struct SignatureWithExpiry { bytes signature; uint256 expiry; }
        struct QueuedWithdrawalParams { address[] strategies; uint256[] depositShares; address withdrawer; }
        struct Withdrawal {
            address staker; address delegatedTo; address withdrawer; uint256 nonce; uint32 startBlock;
            address[] strategies; uint256[] scaledShares;
        }

        function deployNewStrategy(address token) external returns (address);
        function deployedStrategies(address token) external view returns (address);
        function mint(address to, uint256 value) external;
        function approve(address spender, uint256 value) external returns (bool);
        function depositIntoStrategy(address strategy, address token, uint256 amount) external returns (uint256);
        function stakerDepositShares(address staker, address strategy) external view returns (uint256);
        function totalShares() external view returns (uint256);

        function updateAVSMetadataURI(address avs, string metadataURI) external;
        function setAVSRegistrar(address avs, address registrar) external;
        function createOperatorSets(address avs, CreateSetParams[] params) external;
        function addStrategiesToOperatorSet(address avs, uint32 id, address[] strategies) external;
        function removeStrategiesFromOperatorSet(address avs, uint32 id, address[] strategies) external;
        function registerForOperatorSets(address operator, RegisterParams params) external;
        function deregisterFromOperatorSets(DeregisterParams params) external;
        function modifyAllocations(address operator, AllocateParams[] params) external;
        function clearDeallocationQueue(address operator, address[] strategies, uint16[] numToClear) external;
        function setAllocationDelay(address operator, uint32 delay) external;
        function slashOperator(address avs, SlashingParams params) external;

        function registerAsOperator(address approver, uint32 allocationDelay, string metadataURI) external;
        function delegateTo(address operator, SignatureWithExpiry approval, bytes32 salt) external;
        function undelegate(address staker) external returns (bytes32[]);
        function queueWithdrawals(QueuedWithdrawalParams[] params) external returns (bytes32[]);
        function completeQueuedWithdrawal(Withdrawal withdrawal, address[] tokens, bool receiveAsTokens) external;
        function getQueuedWithdrawals(address staker)
            external view returns (Withdrawal[] withdrawals, uint256[][] shares);

        function getAllocation(address operator, OperatorSet set, address strategy)
            external view returns (uint64 current, int128 pending, uint32 effect);
        function getMaxMagnitudes(address[] operators, address strategy) external view returns (uint64[]);
        function getEncumberedMagnitude(address operator, address strategy) external view returns (uint64);
        function getAllocatableMagnitude(address operator, address strategy) external view returns (uint64);
        function getMinimumSlashableStake(
            OperatorSet set, address[] operators, address[] strategies, uint32 futureBlock
        ) external view returns (uint256[][]);
        function getMembers(OperatorSet set) external view returns (address[]);
        function getStrategiesInOperatorSet(OperatorSet set) external view returns (address[]);
        function isOperatorSlashable(address operator, OperatorSet set) external view returns (bool);
        function getAllocationDelay(address operator) external view returns (bool, uint32);
        function getOperatorsShares(address[] operators, address[] strategies) external view returns (uint256[][]);
        function getSlashableSharesInQueue(address operator, address strategy) external view returns (uint256);
        function getWithdrawableShares(address staker, address[] strategies)
            external view returns (uint256[] withdrawable, uint256[] deposited);
        function depositScalingFactor(address staker, address strategy) external view returns (uint256);

        event AllocationUpdated(
            address operator, OperatorSet operatorSet, address strategy, uint64 magnitude, uint32 effectBlock
        );
        event AllocationDelaySet(address operator, uint32 delay, uint32 effectBlock);
        event EncumberedMagnitudeUpdated(address operator, address strategy, uint64 encumberedMagnitude);
        event MaxMagnitudeUpdated(address operator, address strategy, uint64 maxMagnitude);
        event OperatorAddedToOperatorSet(address indexed operator, OperatorSet operatorSet);
        event OperatorRemovedFromOperatorSet(address indexed operator, OperatorSet operatorSet);
        event OperatorSlashed(
            address operator, OperatorSet operatorSet, address[] strategies, uint256[] wadSlashed, string description
        );
        event StrategyAddedToOperatorSet(OperatorSet operatorSet, address strategy);
        event StrategyRemovedFromOperatorSet(OperatorSet operatorSet, address strategy);
        event DepositScalingFactorUpdated(address staker, address strategy, uint256 newDepositScalingFactor);
        event OperatorSharesDecreased(address indexed operator, address staker, address strategy, uint256 shares);
        event OperatorSharesIncreased(address indexed operator, address staker, address strategy, uint256 shares);
        event OperatorSharesSlashed(address indexed operator, address strategy, uint256 totalSlashedShares);
        event SlashingWithdrawalCompleted(bytes32 withdrawalRoot);
        event SlashingWithdrawalQueued(bytes32 withdrawalRoot, Withdrawal withdrawal, uint256[] sharesToWithdraw);
        event StakerDelegated(address indexed staker, address indexed operator);
        event StakerUndelegated(address indexed staker, address indexed operator);
        event StakerForceUndelegated(address indexed staker, address indexed operator);
        event Deposit(address staker, address strategy, uint256 shares);
        event BurnableSharesIncreased(address strategy, uint256 shares);
        event BurnOrRedistributableSharesIncreased(
            OperatorSet operatorSet, uint256 slashId, address strategy, uint256 shares
        );
    }
}

/// Accounts of anvil, by number.
pub(crate) const OPERATORS: [usize; 2] = [1, 2];
pub(crate) const STAKERS: [usize; 2] = [3, 4];
pub(crate) const SERVICE: usize = 5;
/// Everybody who may have stake.
pub(crate) const PEOPLE: [usize; 4] = [1, 2, 3, 4];
/// The service's operator sets.
pub(crate) const SETS: [u32; 2] = [0, 1];

/// One thing that somebody does.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Deposit { staker: usize, strategy: usize, amount: u128 },
    Delegate { staker: usize, operator: usize },
    Undelegate { caller: usize, staker: usize },
    Queue { staker: usize, amounts: Vec<(usize, U256)> },
    Complete { staker: usize, which: usize, tokens: bool },
    Allocate { operator: usize, set: u32, magnitudes: Vec<(usize, u64)> },
    Clear { operator: usize, counts: [u16; 2] },
    Delay { operator: usize, delay: u32 },
    Join { operator: usize, set: u32 },
    Leave { operator: usize, set: u32 },
    List { set: u32, strategy: usize },
    Unlist { set: u32, strategy: usize },
    Slash { operator: usize, set: u32, wads: Vec<(usize, u64)> },
    Wait { blocks: u64 },
}

/// What came of a step: the revert's selector, or the events' data.
pub(crate) type Outcome = Result<Vec<(B256, String)>, String>;

/// One core.
pub(crate) struct Side {
    _anvil: Anvil,
    pub(crate) provider: DynProvider,
    core: EigenLayer,
    accounts: Vec<Address>,
    /// With their tokens, ascending by strategy.
    strategies: [(Address, Address); 2],
}

impl Side {
    /// The real core 1.4, or the double of core 1.13.
    pub(crate) async fn new(real: bool) -> Self {
        let (anvil, endpoint) = Anvil::start();
        let core = if real {
            eigenlayer::deploy(&endpoint, &signer(0)).await.unwrap()
        } else {
            doubles::deploy_eigenlayer(&endpoint, &signer(0), true).await
        };
        // Without fillers: they would remember nonces that a revert of the chain takes back.
        let provider = ProviderBuilder::default().connect_http(endpoint.parse().unwrap()).erased();
        let accounts: Vec<Address> = provider.raw_request("eth_accounts".into(), ()).await.unwrap();
        let sender = Sender::new(&endpoint, &signer(0)).unwrap();
        let mut plan = sender.plan().await.unwrap();
        let token = plan.create("token", doubles::token());
        let registrar = plan.create("registrar", OpenRegistrar::BYTECODE.to_vec());
        plan.call("deployNewStrategy", core.strategy_factory, &Core::deployNewStrategyCall { token });
        sender.send(plan).await.unwrap();
        let mut side =
            Self { _anvil: anvil, provider, core, accounts, strategies: [(Address::ZERO, Address::ZERO); 2] };
        let call = Core::deployedStrategiesCall { token }.abi_encode();
        let answer = side.view(side.core.strategy_factory, call.into()).await.unwrap();
        let second = Core::deployedStrategiesCall::abi_decode_returns(&answer).unwrap();
        side.strategies = [(side.core.strategy, side.core.token), (second, token)];
        side.strategies.sort_unstable();
        side.prepare(registrar).await;
        side
    }

    async fn prepare(&self, registrar: Address) {
        let (dm, am) = (self.core.delegation_manager, self.core.allocation_manager);
        for person in PEOPLE {
            for (_, token) in self.strategies {
                let to = self.accounts[person];
                self.must(person, token, Core::mintCall { to, value: U256::from(u128::MAX) }).await;
                let spender = self.core.strategy_manager;
                self.must(person, token, Core::approveCall { spender, value: U256::MAX }).await;
            }
        }
        for operator in OPERATORS {
            let call = Core::registerAsOperatorCall {
                approver: Address::ZERO,
                allocationDelay: operator as u32 - 1, // none and one block
                metadataURI: String::new(),
            };
            self.must(operator, dm, call).await;
        }
        let avs = self.accounts[SERVICE];
        self.must(SERVICE, am, Core::updateAVSMetadataURICall { avs, metadataURI: "uri".into() }).await;
        self.must(SERVICE, am, Core::setAVSRegistrarCall { avs, registrar }).await;
        let [first, second] = self.strategies.map(|(strategy, _)| strategy);
        let params = vec![
            Core::CreateSetParams { operatorSetId: 0, strategies: vec![first, second] },
            Core::CreateSetParams { operatorSetId: 1, strategies: vec![second] },
        ];
        self.must(SERVICE, am, Core::createOperatorSetsCall { avs, params }).await;
        self.mine(10).await; // until the allocation delays are in force in the real core
    }

    async fn must(&self, from: usize, to: Address, call: impl SolCall) {
        let receipt = self.send(from, to, call.abi_encode().into()).await;
        assert!(receipt.status(), "preparing failed");
    }

    async fn send(&self, from: usize, to: Address, input: Bytes) -> TransactionReceipt {
        let request = self.request_of(from, to, input).with_gas_limit(6_000_000);
        let pending = self.provider.send_transaction(request).await.unwrap();
        let deadline = Instant::now() + Duration::from_secs(20); // anvil mines at once
        loop {
            if let Some(receipt) = self.provider.get_transaction_receipt(*pending.tx_hash()).await.unwrap() {
                return receipt;
            }
            assert!(Instant::now() < deadline, "a transaction is in no block");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    fn request_of(&self, from: usize, to: Address, input: Bytes) -> TransactionRequest {
        TransactionRequest::default().with_from(self.accounts[from]).with_to(to).with_input(input)
    }

    pub(crate) async fn height(&self) -> u64 {
        self.provider.get_block_number().await.unwrap()
    }

    pub(crate) async fn mine(&self, blocks: u64) {
        self.ask::<serde_json::Value>("anvil_mine", serde_json::json!([blocks])).await;
    }

    pub(crate) async fn snapshot(&self) -> U256 {
        self.ask("evm_snapshot", serde_json::json!([])).await
    }

    pub(crate) async fn revert(&self, snapshot: U256) {
        assert!(self.ask::<bool>("evm_revert", serde_json::json!([snapshot])).await);
    }

    async fn ask<T: RpcRecv>(&self, method: &'static str, arguments: serde_json::Value) -> T {
        self.provider.raw_request(method.into(), arguments).await.unwrap()
    }

    /// Deposit shares of somebody, which a step may withdraw a part of.
    pub(crate) async fn deposited(&self, staker: usize, strategy: usize) -> U256 {
        let call =
            Core::stakerDepositSharesCall { staker: self.accounts[staker], strategy: self.strategies[strategy].0 };
        let answer = self.view(self.core.strategy_manager, call.abi_encode().into()).await.unwrap();
        Core::stakerDepositSharesCall::abi_decode_returns(&answer).unwrap()
    }

    /// Does it.
    pub(crate) async fn does(&self, step: &Step) -> Outcome {
        if let Step::Wait { blocks } = step {
            self.mine(*blocks).await;
            return Ok(Vec::new());
        }
        let (from, to, input) = self.call_of(step).await;
        let request = self.request_of(from, to, input.clone());
        let tried = self.provider.call(request).block(BlockId::pending()).await;
        let refused = tried.err().map(|error| selector(&error));
        let receipt = self.send(from, to, input).await;
        assert_eq!(receipt.status(), refused.is_none(), "{step:?} ended otherwise than it was tried");
        match refused {
            Some(refused) => Err(refused),
            None => Ok(self.heard(&receipt)),
        }
    }

    async fn call_of(&self, step: &Step) -> (usize, Address, Bytes) {
        let (am, dm, sm) = (self.core.allocation_manager, self.core.delegation_manager, self.core.strategy_manager);
        let avs = self.accounts[SERVICE];
        let who = |number: &usize| self.accounts[*number];
        let strategy = |number: &usize| self.strategies[*number].0;
        match step {
            Step::Deposit { staker, strategy, amount } => {
                let (strategy, token) = self.strategies[*strategy];
                let amount = U256::from(*amount);
                (*staker, sm, Core::depositIntoStrategyCall { strategy, token, amount }.abi_encode())
            }
            Step::Delegate { staker, operator } => {
                let approval = Core::SignatureWithExpiry { signature: Bytes::new(), expiry: U256::ZERO };
                let call = Core::delegateToCall { operator: who(operator), approval, salt: B256::ZERO };
                (*staker, dm, call.abi_encode())
            }
            Step::Undelegate { caller, staker } => {
                (*caller, dm, Core::undelegateCall { staker: who(staker) }.abi_encode())
            }
            Step::Queue { staker, amounts } => {
                let params = Core::QueuedWithdrawalParams {
                    strategies: amounts.iter().map(|(number, _)| strategy(number)).collect(),
                    depositShares: amounts.iter().map(|(_, shares)| *shares).collect(),
                    withdrawer: who(staker),
                };
                (*staker, dm, Core::queueWithdrawalsCall { params: vec![params] }.abi_encode())
            }
            Step::Complete { staker, which, tokens } => (*staker, dm, self.completion(*staker, *which, *tokens).await),
            Step::Allocate { operator, set, magnitudes } => {
                let params = Core::AllocateParams {
                    operatorSet: Core::OperatorSet { avs, id: *set },
                    strategies: magnitudes.iter().map(|(number, _)| strategy(number)).collect(),
                    newMagnitudes: magnitudes.iter().map(|(_, magnitude)| *magnitude).collect(),
                };
                let call = Core::modifyAllocationsCall { operator: who(operator), params: vec![params] };
                (*operator, am, call.abi_encode())
            }
            Step::Clear { operator, counts } => {
                let call = Core::clearDeallocationQueueCall {
                    operator: who(operator),
                    strategies: self.strategies.map(|(strategy, _)| strategy).to_vec(),
                    numToClear: counts.to_vec(),
                };
                (SERVICE, am, call.abi_encode()) // anybody may
            }
            Step::Delay { operator, delay } => {
                let call = Core::setAllocationDelayCall { operator: who(operator), delay: *delay };
                (*operator, am, call.abi_encode())
            }
            Step::Join { operator, set } => {
                let params = Core::RegisterParams { avs, operatorSetIds: vec![*set], data: Bytes::new() };
                (*operator, am, Core::registerForOperatorSetsCall { operator: who(operator), params }.abi_encode())
            }
            Step::Leave { operator, set } => {
                let params = Core::DeregisterParams { operator: who(operator), avs, operatorSetIds: vec![*set] };
                (*operator, am, Core::deregisterFromOperatorSetsCall { params }.abi_encode())
            }
            Step::List { set, strategy: number } => {
                let call = Core::addStrategiesToOperatorSetCall { avs, id: *set, strategies: vec![strategy(number)] };
                (SERVICE, am, call.abi_encode())
            }
            Step::Unlist { set, strategy: number } => {
                let strategies = vec![strategy(number)];
                let call = Core::removeStrategiesFromOperatorSetCall { avs, id: *set, strategies };
                (SERVICE, am, call.abi_encode())
            }
            Step::Slash { operator, set, wads } => {
                let params = Core::SlashingParams {
                    operator: who(operator),
                    operatorSetId: *set,
                    strategies: wads.iter().map(|(number, _)| strategy(number)).collect(),
                    wadsToSlash: wads.iter().map(|(_, wad)| U256::from(*wad)).collect(),
                    description: "fault".into(),
                };
                (SERVICE, am, Core::slashOperatorCall { avs, params }.abi_encode())
            }
            Step::Wait { .. } => unreachable!("nobody is called"),
        }
        .pack()
    }

    /// Of the staker's queued withdrawals one; of nobody's, one that was never queued.
    async fn completion(&self, staker: usize, which: usize, receive_as_tokens: bool) -> Vec<u8> {
        let call = Core::getQueuedWithdrawalsCall { staker: self.accounts[staker] };
        let answer = self.view(self.core.delegation_manager, call.abi_encode().into()).await.unwrap();
        let queued = Core::getQueuedWithdrawalsCall::abi_decode_returns(&answer).unwrap().withdrawals;
        let unknown = Core::Withdrawal {
            staker: self.accounts[staker],
            delegatedTo: Address::ZERO,
            withdrawer: self.accounts[staker],
            nonce: U256::from(99),
            startBlock: 0,
            strategies: vec![],
            scaledShares: vec![],
        };
        let withdrawal = queued.get(which % queued.len().max(1)).cloned().unwrap_or(unknown);
        let token = |strategy: &Address| self.strategies.iter().find(|(known, _)| known == strategy).unwrap().1;
        let tokens = withdrawal.strategies.iter().map(token).collect();
        Core::completeQueuedWithdrawalCall { withdrawal, tokens, receiveAsTokens: receive_as_tokens }.abi_encode()
    }

    /// The events that both generations have, with what they say; what a slash took is announced by different ones, which
    /// end with the same two words.
    fn heard(&self, receipt: &TransactionReceipt) -> Vec<(B256, String)> {
        let mut heard = Vec::new();
        for log in receipt.logs() {
            let Some(topic) = log.topic0() else { continue };
            let data = &log.data().data;
            let said = match *topic {
                Core::BurnableSharesIncreased::SIGNATURE_HASH
                | Core::BurnOrRedistributableSharesIncreased::SIGNATURE_HASH => {
                    heard.push((keccak256("what a slash took"), self.named(&data[data.len() - 64..])));
                    continue;
                }
                Core::SlashingWithdrawalCompleted::SIGNATURE_HASH => Vec::new(), // a hash of addresses
                Core::SlashingWithdrawalQueued::SIGNATURE_HASH => data[32..].to_vec(),
                known if EVENTS.contains(&known) => data.to_vec(),
                _ => continue,
            };
            let topics = log.topics()[1..].iter().flat_map(|topic| topic.0);
            heard.push((*topic, self.named(&said.into_iter().chain(topics).collect::<Vec<u8>>())));
        }
        heard
    }

    /// With the same names for the same strategies and tokens.
    fn named(&self, bytes: &[u8]) -> String {
        let mut named = bytes.to_vec();
        for (number, (strategy, token)) in self.strategies.iter().enumerate() {
            for (address, name) in [(strategy, 0xa0), (token, 0xb0)] {
                let mut from = 0;
                while let Some(at) = named[from..].windows(20).position(|window| window == address.as_slice()) {
                    named[from + at..from + at + 20].fill(name + number as u8);
                    from += at + 20;
                }
            }
        }
        alloy::hex::encode(named)
    }

    async fn view(&self, to: Address, input: Bytes) -> Result<Bytes, String> {
        let request = TransactionRequest::default().with_to(to).with_input(input);
        self.provider.call(request).await.map_err(|error| selector(&error))
    }

    /// What the core says of everybody, view by view.
    pub(crate) async fn shows(&self) -> Vec<(String, Result<String, String>)> {
        let (am, dm) = (self.core.allocation_manager, self.core.delegation_manager);
        let operators = OPERATORS.map(|number| self.accounts[number]);
        let strategies = self.strategies.map(|(strategy, _)| strategy);
        let height = u32::try_from(self.height().await).unwrap();
        let set = |id: u32| Core::OperatorSet { avs: self.accounts[SERVICE], id };
        let mut views: Vec<(Address, String, Vec<u8>)> = Vec::new();
        let mut ask = |to: Address, what: String, input: Vec<u8>| views.push((to, what, input));
        for id in SETS {
            for future in [0, 60, 120, 121] {
                let call = Core::getMinimumSlashableStakeCall {
                    set: set(id),
                    operators: operators.to_vec(),
                    strategies: strategies.to_vec(),
                    futureBlock: height + future,
                };
                ask(am, format!("slashable by {id} in {future}"), call.abi_encode());
            }
            ask(am, format!("members of {id}"), Core::getMembersCall { set: set(id) }.abi_encode());
            let call = Core::getStrategiesInOperatorSetCall { set: set(id) };
            ask(am, format!("strategies of {id}"), call.abi_encode());
            for operator in operators {
                let call = Core::isOperatorSlashableCall { operator, set: set(id) };
                ask(am, format!("{operator} slashable by {id}"), call.abi_encode());
                for strategy in strategies {
                    let call = Core::getAllocationCall { operator, set: set(id), strategy };
                    ask(am, format!("allocation of {operator} to {id}"), call.abi_encode());
                }
            }
        }
        for strategy in strategies {
            let call = Core::getMaxMagnitudesCall { operators: operators.to_vec(), strategy };
            ask(am, "max magnitudes".into(), call.abi_encode());
            ask(strategy, "total shares".into(), Core::totalSharesCall {}.abi_encode());
            for operator in operators {
                let call = Core::getEncumberedMagnitudeCall { operator, strategy };
                ask(am, format!("encumbered of {operator}"), call.abi_encode());
                let call = Core::getAllocatableMagnitudeCall { operator, strategy };
                ask(am, format!("allocatable of {operator}"), call.abi_encode());
                let call = Core::getSlashableSharesInQueueCall { operator, strategy };
                ask(dm, format!("slashable in the queue of {operator}"), call.abi_encode());
            }
            for person in PEOPLE {
                let call = Core::depositScalingFactorCall { staker: self.accounts[person], strategy };
                ask(dm, format!("scaling factor of {person}"), call.abi_encode());
            }
        }
        let call = Core::getOperatorsSharesCall { operators: operators.to_vec(), strategies: strategies.to_vec() };
        ask(dm, "operators' shares".into(), call.abi_encode());
        for operator in operators {
            ask(am, format!("delay of {operator}"), Core::getAllocationDelayCall { operator }.abi_encode());
        }
        for person in PEOPLE {
            let staker = self.accounts[person];
            let call = Core::getWithdrawableSharesCall { staker, strategies: strategies.to_vec() };
            ask(dm, format!("withdrawable of {person}"), call.abi_encode());
            ask(dm, format!("queued of {person}"), Core::getQueuedWithdrawalsCall { staker }.abi_encode());
        }
        let answers = views.into_iter().map(|(to, what, input)| async move {
            let answer = self.view(to, input.into()).await;
            (what, answer.map(|bytes| self.named(&bytes)))
        });
        join_all(answers).await
    }
}

/// Shortens the table above.
trait Pack {
    fn pack(self) -> (usize, Address, Bytes);
}

impl Pack for (usize, Address, Vec<u8>) {
    fn pack(self) -> (usize, Address, Bytes) {
        (self.0, self.1, self.2.into())
    }
}

/// The first four bytes of a revert: the error's name; a panic's is the same for all panics.
fn selector(error: &RpcError<alloy::transports::TransportErrorKind>) -> String {
    let RpcError::ErrorResp(payload) = error else { panic!("{error}") };
    let data = payload.as_revert_data().unwrap_or_else(|| panic!("no revert: {payload}"));
    alloy::hex::encode(data.get(..4).unwrap_or_default())
}

const EVENTS: [B256; 17] = [
    Core::AllocationUpdated::SIGNATURE_HASH,
    Core::AllocationDelaySet::SIGNATURE_HASH,
    Core::EncumberedMagnitudeUpdated::SIGNATURE_HASH,
    Core::MaxMagnitudeUpdated::SIGNATURE_HASH,
    Core::OperatorAddedToOperatorSet::SIGNATURE_HASH,
    Core::OperatorRemovedFromOperatorSet::SIGNATURE_HASH,
    Core::OperatorSlashed::SIGNATURE_HASH,
    Core::StrategyAddedToOperatorSet::SIGNATURE_HASH,
    Core::StrategyRemovedFromOperatorSet::SIGNATURE_HASH,
    Core::DepositScalingFactorUpdated::SIGNATURE_HASH,
    Core::OperatorSharesDecreased::SIGNATURE_HASH,
    Core::OperatorSharesIncreased::SIGNATURE_HASH,
    Core::OperatorSharesSlashed::SIGNATURE_HASH,
    Core::StakerDelegated::SIGNATURE_HASH,
    Core::StakerUndelegated::SIGNATURE_HASH,
    Core::StakerForceUndelegated::SIGNATURE_HASH,
    Core::Deposit::SIGNATURE_HASH,
];
