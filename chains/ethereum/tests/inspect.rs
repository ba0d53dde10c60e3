//! What `inspect` shows, on a real anvil with the real EigenLayer core. Slow.
//!
//! No endpoint of a mainnet can be reached from where this is tested, and nobody publishes recorded answers of the liquid restaking tokens
//! under a licence that we could use. Their answers are therefore **made by hand from their documented ABIs** and put before the same
//! anvil: where a token's own contracts end and EigenLayer begins, the real core answers.

#![allow(clippy::unwrap_used)] // a test's helpers are tests too

#[allow(dead_code)]
#[rustfmt::skip]
#[path = "../../../deploy/devnet/src/contracts.rs"]
mod contracts;
#[allow(dead_code)]
#[rustfmt::skip]
#[path = "../../../deploy/devnet/src/eigenlayer.rs"]
mod eigenlayer;
mod recorded;
#[allow(dead_code)]
#[rustfmt::skip]
#[path = "../../../deploy/devnet/src/sender.rs"]
mod sender;
#[allow(dead_code)]
mod world;

use alloy::primitives::{Address, B256, U256, address};
use eigenlayer::EigenLayer;
use palisade_ethereum::inspect::{Failed, Origin, Question, Report, inspect};
use palisade_types::chain::ChainError;
use palisade_types::ids;
use recorded::{Mood, Recorded, Said};
use world::{Member, World};

alloy::sol! {
    interface Lrt {
        function getRate() external view returns (uint256);
        function totalSupply() external view returns (uint256);
        function balanceOf(address account) external view returns (uint256);
        function totalValueOutOfLp() external view returns (uint128);
        function totalValueInLp() external view returns (uint128);
        function etherFiAdminContract() external view returns (address);
        function lastHandledReportRefBlock() external view returns (uint32);
        event EtherFiNodeDeployed(address indexed etheFiNode);
        function calculateTVLs() external view returns (uint256[][] memory, uint256[] memory, uint256);
        function getOperatorDelegatorsLength() external view returns (uint256);
        function operatorDelegators(uint256 index) external view returns (address);
        function rsETHPrice() external view returns (uint256);
        function getAssetPrice(address asset) external view returns (uint256);
        event RsETHPriceUpdate(uint256 newPrice, uint256 oldPrice);
        function lrtConfig() external view returns (address);
        function getNodeDelegatorQueue() external view returns (address[] memory);
        function getTotalAssetDeposits(address asset) external view returns (uint256);
        function getSupportedAssetList() external view returns (address[] memory);
        function convertToAssets(uint256 shares) external view returns (uint256);
        function totalAssets() external view returns (uint256);
        function getLockedEthAmount() external view returns (uint256);
        function getModuleWeights() external view returns (bytes32[] memory);
        function getModuleAddress(bytes32 moduleName) external view returns (address);
    }
    interface Core {
        function beaconChainETHStrategy() external view returns (address);
        function delegatedTo(address staker) external view returns (address);
        function getDepositedShares(address staker) external view returns (address[] memory, uint256[] memory);
        function getWithdrawableShares(address staker, address[] strategies)
            external view returns (uint256[] memory, uint256[] memory);
        function ownerToPod(address owner) external view returns (address);
        function lastCheckpointTimestamp() external view returns (uint64);
        function currentCheckpointTimestamp() external view returns (uint64);
        function getSlasher(address avs, uint32 id) external view returns (address);
        function version() external view returns (string memory);
    }
}

#[tokio::test]
async fn an_operator_and_his_service_are_shown_as_eigenlayers_own_views_have_them() {
    let (world, core, member) = joined().await;
    let operator = member.signer().address();
    let adapter = Address::from(*world.genesis.contracts.eigenlayer_adapter.as_bytes());
    eigenlayer::allocate(&world.endpoint, &core, &member.signer(), adapter, 300 * MILLI).await.unwrap();
    eigenlayer::queue_withdrawal(&world.endpoint, &core, &member.signer(), ether(200)).await.unwrap();
    world.finalize().await;

    let report = inspect(&question(&world, &core, &operator.to_string())).await.unwrap();
    assert_eq!((report.chain_id, report.chain.as_deref()), (31_337, None));
    let core_seen = report.eigenlayer.as_ref().unwrap();
    assert_eq!((core_seen.generation.as_str(), core_seen.version.as_deref()), ("1.3 to 1.4", Some("v1.4.0")));
    assert_eq!(core_seen.allocation_manager, core.allocation_manager.to_string());
    let seen = report.operator.unwrap();
    assert_eq!((seen.allocation_delay, seen.redistributable), (Some(0), None));
    let [strategy] = &seen.strategies[..] else { panic!("{:?}", seen.strategies) };
    assert_eq!(strategy.strategy, core.strategy.to_string());
    assert_eq!((strategy.delegated.clone(), strategy.queued.clone()), (ether(800).to_string(), ether(200).to_string()));
    assert_eq!(strategy.underlying, Some(ether(800).to_string()));
    // What leaves stays encumbered until it has left.
    assert_eq!(
        (strategy.max_magnitude, strategy.encumbered, strategy.allocatable),
        (1_000 * MILLI, 400 * MILLI, 600 * MILLI)
    );
    let [set] = &seen.sets[..] else { panic!("{:?}", seen.sets) };
    assert_eq!((set.service.clone(), set.id, set.member, set.slashable), (adapter.to_string(), 0, true, true));
    assert_eq!((&set.slasher, &set.redistribution), (&None, &None)); // this core names neither
    let [held] = &set.allocations[..] else { panic!("{:?}", set.allocations) };
    assert_eq!(
        (held.magnitude, held.in_set, held.pending.clone()),
        (400 * MILLI, true, Some(format!("-{}", 100 * MILLI)))
    );
    let effect = u64::from(held.effect_block.unwrap());
    let delay = u64::from(eigenlayer::DEALLOCATION_DELAY_BLOCKS);
    assert!(effect > delay && effect <= report.block.number + delay + 1);
    assert_eq!(held.slashable, world.slashable(&member, report.block.number).await.to_string());
    assert_eq!(held.slashable, ether(320).to_string()); // 40 % of what is left
    assert_eq!(held.lasting, ether(240).to_string()); // 30 %, whatever he does
    let warned = seen.warnings.join("\n");
    assert!(
        warned.contains("allocation delay 0") && warned.contains(&format!("slashable until block {effect}")),
        "{warned}"
    );

    let report = inspect(&question(&world, &core, &adapter.to_string().to_lowercase())).await.unwrap();
    let seen = report.service.unwrap();
    assert!(report.operator.is_none() && seen.gaps.is_empty(), "{:?}", seen.gaps);
    let [set] = &seen.sets[..] else { panic!("{:?}", seen.sets) };
    assert_eq!((set.id, set.member_count, set.slashes.clone()), (0, 1, None));
    assert_eq!(set.strategies[0].0, core.strategy.to_string());
    assert_eq!(set.members[0].operator, operator.to_string());
    assert_eq!((&set.members[0].slashable[0], &set.slashable[0]), (&ether(320).to_string(), &ether(320).to_string()));

    // A block of the past, as long as the node has its state: before the withdrawal was queued all 1,000 counted.
    let then = Question { block: Some(report.block.number - 8), ..question(&world, &core, &operator.to_string()) };
    let then = inspect(&then).await.unwrap();
    assert_eq!(then.block.number, report.block.number - 8);
    assert_eq!(then.operator.unwrap().strategies[0].delegated, ether(1_000).to_string());
}

#[tokio::test]
async fn every_wrong_question_has_an_answer_that_says_what_is_wrong() {
    let (world, core, member) = joined().await;
    let ask = |what: &str| question(&world, &core, what);
    let operator = member.signer().address().to_string();
    let asked = async |question: Question, says: &str| match inspect(&question).await {
        Err(Failed::Asked(told)) if told.contains(says) => {}
        other => panic!("{question:?} is answered by {other:?}, and not by {says}"),
    };
    let nobody = "0x1234567890123456789012345678901234567890";
    asked(ask(nobody), "an account without code").await;
    asked(ask(&core.token.to_string()), "is a contract and").await;
    asked(ask("0x12"), "no address of 20 bytes").await;
    asked(ask("ezETH"), "no token is known on chain id 31337").await;
    asked(ask(""), "neither an address nor a token").await;
    let mistyped = operator.replace(|c: char| c.is_ascii_uppercase(), "a");
    assert_ne!(mistyped, operator);
    let checked = inspect(&ask(&format!("0x{}", operator[2..].to_uppercase().replace('X', "x")))).await;
    assert!(checked.is_ok(), "upper case alone is no checksum: {checked:?}");
    let swapped = operator.chars().rev().collect::<String>();
    asked(ask(&swapped), "neither an address").await;
    asked(Question { delegation_manager: None, ..ask(&operator) }, "chain id 31337 is not in our table").await;
    asked(Question { endpoint: "nowhere".to_owned(), ..ask(&operator) }, "is no URL").await;
    asked(Question { endpoint: "ws://127.0.0.1:1".to_owned(), ..ask(&operator) }, "neither http nor https").await;
    asked(Question { strategies: vec![ids::Address::ZERO; 65], ..ask(&operator) }, "more than 64 strategies").await;

    let unknown = async |question: Question, says: &str| match inspect(&question).await {
        Err(error @ Failed::Unknown { .. }) if error.to_string().contains(says) => {}
        other => panic!("{question:?} is answered by {other:?}, and not by {says}"),
    };
    let manager = |manager: Address| Some(ids::Address::new(manager.into_array()));
    let nowhere = Some(ids::Address::new([9; 20]));
    unknown(Question { delegation_manager: nowhere, ..ask(&operator) }, "no code at").await;
    unknown(Question { delegation_manager: manager(core.token), ..ask(&operator) }, "allocationManager").await;

    let future = Question { block: Some(1 << 40), ..ask(&operator) };
    assert!(matches!(inspect(&future).await, Err(Failed::Chain(ChainError::NotThere { number })) if number == 1 << 40));
    let down = Question { endpoint: "http://127.0.0.1:1/key-of-mine".to_owned(), ..ask(&operator) };
    let error = inspect(&down).await.unwrap_err();
    assert!(matches!(error, Failed::Chain(ChainError::Unavailable { .. })), "{error:?}");
    assert!(!format!("{error:?}").contains("key-of-mine"), "an endpoint's URL is a secret");
}

#[tokio::test]
async fn a_core_that_is_not_known_and_an_endpoint_that_lies_are_named() {
    let (world, core, member) = joined().await;
    let operator = member.signer().address().to_string();
    let recorded = Recorded::before(&world.endpoint, 31_337).await;
    let ask = || Question { endpoint: recorded.endpoint.clone(), ..question(&world, &core, &operator) };
    assert!(inspect(&ask()).await.is_ok());

    recorded.says(core.allocation_manager, Core::versionCall {}, &"v2.0.0\u{1b}[2J".to_owned());
    let error = inspect(&ask()).await.unwrap_err().to_string();
    assert!(error.contains("calls itself v2.0.0[2J") && !error.contains('\u{1b}'), "{error}");
    recorded.says(core.allocation_manager, Core::versionCall {}, &"1.4.1".to_owned());
    // It names slashers, and knows nothing of what came before them.
    let get_slasher = [
        &alloy::primitives::keccak256("getSlasher((address,uint32))")[..4],
        &[0; 12],
        core.allocation_manager.as_slice(),
        &[0; 32],
    ];
    recorded.raw(core.allocation_manager, get_slasher.concat(), Said::Answer(vec![0; 32]));
    let error = inspect(&ask()).await.unwrap_err().to_string();
    assert!(error.contains("some views of a generation and not others"), "{error}");
    recorded.forget();

    for (mood, says) in [
        (Mood::NoState, "unavailable"),
        (Mood::Nonsense, "unavailable"),
        (Mood::Oversized, "unavailable"),
        (Mood::Cut, "is looked for"),
        (Mood::Silent, "unavailable"),
    ] {
        recorded.is_in(mood);
        let question = Question { timeout_ms: 1_000, ..ask() };
        let error = inspect(&question).await.unwrap_err().to_string();
        assert!(error.contains(says), "{mood:?}: {error}");
    }
}

#[tokio::test]
async fn tokens_are_looked_through_to_the_sets_that_may_slash_them() {
    let (world, core, member) = joined().await;
    let operator = member.signer().address();
    let adapter = Address::from(*world.genesis.contracts.eigenlayer_adapter.as_bytes());
    let staker = operator; // his own stake: an account like any other to a token
    world.finalize().await;
    let recorded = Recorded::before(&world.endpoint, 1).await;
    let ask = |what: &str| Question { endpoint: recorded.endpoint.clone(), ..question(&world, &core, what) };

    // Renzo: the value reverts as a whole, and the accounts are looked at nevertheless.
    recorded.says(EZETH, Lrt::totalSupplyCall {}, &ether(900));
    recorded.says(RENZO_RATE, Lrt::getRateCall {}, &U256::from(1_070 * MILLI));
    recorded.reverts(RENZO_MANAGER, Lrt::calculateTVLsCall {}, "NotFound");
    recorded.says(RENZO_MANAGER, Lrt::getOperatorDelegatorsLengthCall {}, &U256::from(2));
    recorded.says(RENZO_MANAGER, Lrt::operatorDelegatorsCall { index: U256::ZERO }, &staker);
    recorded.says(RENZO_MANAGER, Lrt::operatorDelegatorsCall { index: U256::ONE }, &UNDELEGATED);
    let report = inspect(&ask("ezeth")).await.unwrap();
    assert_eq!(report.chain.as_deref(), Some("Ethereum mainnet"));
    let seen = report.token.clone().unwrap();
    assert_eq!((seen.issuer.as_str(), seen.accounts), ("Renzo", 2));
    assert_eq!((seen.rate.value, seen.rate.origin), (Some((1_070 * MILLI).to_string()), Origin::Reported));
    assert_eq!((seen.supply.value, seen.supply.origin), (Some(ether(900).to_string()), Origin::Chain));
    assert_eq!((seen.backing.value, seen.backing.as_of.age_seconds), (None, None));
    assert!(seen.gaps.iter().any(|gap| gap.contains("calculateTVLs") && gap.contains("NotFound")), "{:?}", seen.gaps);
    assert_looked_through(&report, &core, operator, adapter);

    // Kelp: a stored price with the age of its log, and a lockbox that holds less than circulates.
    let (oracle, pool, config) = (KELP_ORACLE, KELP_POOL, Address::repeat_byte(0xc0));
    let price_block = report.block.number - 4;
    recorded.says(RSETH, Lrt::totalSupplyCall {}, &ether(500));
    recorded.says(oracle, Lrt::rsETHPriceCall {}, &U256::from(1_050 * MILLI));
    recorded.logs(oracle, price_block, event::<Lrt::RsETHPriceUpdate>(), vec![]);
    recorded.says(pool, Lrt::getNodeDelegatorQueueCall {}, &vec![staker]);
    recorded.says(pool, Lrt::lrtConfigCall {}, &config);
    recorded.says(config, Lrt::getSupportedAssetListCall {}, &vec![STETH]);
    recorded.says(pool, Lrt::getTotalAssetDepositsCall { asset: STETH }, &ether(520));
    recorded.says(oracle, Lrt::getAssetPriceCall { asset: STETH }, &U256::from(999 * MILLI));
    recorded.says(RSETH, Lrt::balanceOfCall { account: KELP_LOCKBOX }, &ether(100));
    recorded.says(REMOTE_RSETH, Lrt::totalSupplyCall {}, &ether(216));
    let remotes = vec![(recorded.endpoint.clone(), ids::Address::new(REMOTE_RSETH.into_array()))];
    let report = inspect(&Question { remotes, ..ask(&RSETH.to_string()) }).await.unwrap();
    let seen = report.token.clone().unwrap();
    assert_eq!(seen.rate.as_of.block, Some(price_block));
    assert!(seen.rate.as_of.age_seconds.is_some());
    assert_eq!(seen.backing.value, Some((ether(520) * U256::from(999) / U256::from(1_000)).to_string()));
    assert_eq!(seen.bridged.locked, Some(ether(100).to_string()));
    assert_eq!(seen.bridged.circulating, Some(ether(216).to_string()));
    assert_eq!(seen.bridged.missing, Some(ether(116).to_string()));
    assert!(seen.gaps.is_empty(), "{:?}", seen.gaps);
    assert_looked_through(&report, &core, operator, adapter);
    recorded.says(RSETH, Lrt::balanceOfCall { account: KELP_LOCKBOX }, &ether(216));
    let remotes = vec![(recorded.endpoint.clone(), ids::Address::new(REMOTE_RSETH.into_array()))];
    let seen = inspect(&Question { remotes, ..ask("Kelp") }).await.unwrap().token.unwrap();
    assert_eq!(seen.bridged.missing, Some("0".to_owned()));

    // Puffer: an oracle that never says when, and a module of its protocol.
    let name = B256::repeat_byte(7);
    recorded.says(PUFETH, Lrt::totalSupplyCall {}, &ether(300));
    recorded.says(PUFETH, Lrt::convertToAssetsCall { shares: ether(1) }, &U256::from(1_020 * MILLI));
    recorded.says(PUFETH, Lrt::totalAssetsCall {}, &ether(306));
    recorded.says(PUFFER_ORACLE, Lrt::getLockedEthAmountCall {}, &ether(256));
    recorded.says(PUFFER_PROTOCOL, Lrt::getModuleWeightsCall {}, &vec![name, name]);
    recorded.says(PUFFER_PROTOCOL, Lrt::getModuleAddressCall { moduleName: name }, &staker);
    let report = inspect(&ask("pufETH")).await.unwrap();
    let seen = report.token.clone().unwrap();
    assert_eq!((seen.accounts, seen.backing.value), (1, Some(ether(306).to_string())));
    assert_eq!(seen.parts[0].1.value, Some(ether(256).to_string()));
    assert_eq!(seen.parts[1].1.value, Some(ether(50).to_string()));
    assert_eq!(seen.rate.as_of.age_seconds, None);
    assert_looked_through(&report, &core, operator, adapter);

    // ether.fi: a report about a block, and a node whose pod was never checkpointed beside one whose was.
    let (node, fresh) = (Address::repeat_byte(0xe1), Address::repeat_byte(0xe2));
    recorded.says(WEETH, Lrt::getRateCall {}, &U256::from(1_080 * MILLI));
    recorded.says(EETH, Lrt::totalSupplyCall {}, &ether(2_000));
    recorded.says(ETHERFI_POOL, Lrt::totalValueOutOfLpCall {}, &1_900_000_000_000_000_000_000_u128);
    recorded.says(ETHERFI_POOL, Lrt::totalValueInLpCall {}, &100_000_000_000_000_000_000_u128);
    recorded.says(ETHERFI_POOL, Lrt::etherFiAdminContractCall {}, &config);
    recorded.says(config, Lrt::lastHandledReportRefBlockCall {}, &u32::try_from(price_block).unwrap());
    let topic = |node: Address| vec![B256::left_padding_from(node.as_slice())];
    recorded.logs(ETHERFI_STAKING, 3, event::<Lrt::EtherFiNodeDeployed>(), topic(node));
    recorded.logs(ETHERFI_STAKING, 4, event::<Lrt::EtherFiNodeDeployed>(), topic(fresh));
    recorded.logs(ETHERFI_STAKING, 5, event::<Lrt::EtherFiNodeDeployed>(), topic(node)); // told twice: backfilled
    let beacon = address!("beaC0eeEeeeeEEeEeEEEEeeEEeEeeeEeeEEBEaC0");
    for (staker, pod, last) in [(node, Address::repeat_byte(0xd1), 77_u64), (fresh, Address::repeat_byte(0xd2), 0)] {
        recorded.says(core.delegation_manager, Core::delegatedToCall { staker }, &operator);
        let deposited = Core::getDepositedSharesReturn { _0: vec![beacon], _1: vec![ether(32)] };
        recorded.says(core.delegation_manager, Core::getDepositedSharesCall { staker }, &deposited);
        let withdrawable = Core::getWithdrawableSharesReturn { _0: vec![ether(31)], _1: vec![ether(32)] };
        let asked = Core::getWithdrawableSharesCall { staker, strategies: vec![beacon] };
        recorded.says(core.delegation_manager, asked, &withdrawable);
        recorded.says(core.eigen_pod_manager, Core::ownerToPodCall { owner: staker }, &pod);
        recorded.says(pod, Core::lastCheckpointTimestampCall {}, &last);
        recorded.says(pod, Core::currentCheckpointTimestampCall {}, &0_u64);
    }
    recorded.says(core.delegation_manager, Core::beaconChainETHStrategyCall {}, &beacon);
    let seen = inspect(&ask("eETH")).await.unwrap().token.unwrap();
    assert_eq!((seen.symbol.as_str(), seen.accounts), ("weETH", 3)); // two nodes and the restaker
    assert_eq!(seen.rate.as_of.block, Some(price_block));
    assert_eq!(seen.backing.value, Some(ether(2_000).to_string()));
    let [row] = &seen.rows[..] else { panic!("{:?}", seen.rows) };
    assert_eq!((row.operator.clone(), row.shares.clone()), (Some(operator.to_string()), ether(62).to_string()));
    assert_eq!((row.oldest_checkpoint, row.pods_without_checkpoint), (Some(77), 1));
    assert!(row.exposures.is_empty()); // he allocates no ether to anybody

    // One contract that answers nonsense is a gap, and the rest goes on.
    recorded.raw_call(WEETH, Lrt::getRateCall {}, Said::Answer(vec![1, 2, 3]));
    recorded.raw_call(ETHERFI_POOL, Lrt::totalValueInLpCall {}, Said::Answer(vec![0xff; 32]));
    let seen = inspect(&ask("weETH")).await.unwrap().token.unwrap();
    assert_eq!((seen.rate.value, seen.backing.value), (None, None));
    assert_eq!(seen.gaps.iter().filter(|gap| gap.contains("is not answered there")).count(), 2, "{:?}", seen.gaps);
    assert_eq!(seen.rows.len(), 1);
}

/// The row that the real core has: 1,000 delegated by one account, of which the network's own set may take 40 %.
fn assert_looked_through(report: &Report, core: &EigenLayer, operator: Address, adapter: Address) {
    let seen = report.token.as_ref().unwrap();
    let row = seen.rows.iter().find(|row| row.operator == Some(operator.to_string())).unwrap();
    assert_eq!((row.strategy.clone(), row.accounts), (core.strategy.to_string(), 1));
    assert_eq!(
        (row.shares.clone(), row.underlying.clone()),
        (ether(1_000).to_string(), Some(ether(1_000).to_string()))
    );
    let [exposure] = &row.exposures[..] else { panic!("{:?}", row.exposures) };
    assert_eq!((exposure.service.clone(), exposure.id, exposure.slashable), (adapter.to_string(), 0, true));
    assert_eq!((exposure.magnitude, exposure.max_magnitude), (400 * MILLI, 1_000 * MILLI));
    assert_eq!(
        (exposure.shares.clone(), exposure.underlying.clone()),
        (ether(400).to_string(), Some(ether(400).to_string()))
    );
    let [total] = &seen.services[..] else { panic!("{:?}", seen.services) };
    assert_eq!(total.exposed[0].1, ether(400).to_string());
}

/// A member with 1,000 delegated and 40 % of it allocated, final.
async fn joined() -> (World, EigenLayer, Member) {
    let world = World::with_stake().await;
    let core = world.core.clone().unwrap();
    let member = Member::new(1);
    let ethereum = world.connect().await;
    ethereum.register_keys(&member.account(), &member.keys(&world.genesis)).await.unwrap();
    let (signer, adapter) = (member.signer(), Address::from(*world.genesis.contracts.eigenlayer_adapter.as_bytes()));
    eigenlayer::stake(&world.endpoint, &core, &signer, &signer, ether(1_000)).await.unwrap();
    eigenlayer::allocate(&world.endpoint, &core, &signer, adapter, 400 * MILLI).await.unwrap();
    world.finalize().await;
    (world, core, member)
}

fn question(world: &World, core: &EigenLayer, what: &str) -> Question {
    Question {
        what: what.to_owned(),
        endpoint: world.endpoint.clone(),
        timeout_ms: 20_000,
        delegation_manager: Some(ids::Address::new(core.delegation_manager.into_array())),
        ..Question::default()
    }
}

fn event<E: alloy::sol_types::SolEvent>() -> B256 {
    E::SIGNATURE_HASH
}

fn ether(amount: u64) -> U256 {
    U256::from(amount) * U256::from(1_000 * MILLI)
}

const MILLI: u64 = 1_000_000_000_000_000;
const UNDELEGATED: Address = Address::repeat_byte(0xaa);
const REMOTE_RSETH: Address = Address::repeat_byte(0xbb);
const STETH: Address = address!("ae7ab96520DE3A18E5e111B5EaAb095312D7fE84");
// As the issuers publish them, written out here again: the table itself is tested too.
const EETH: Address = address!("35fA164735182de50811E8e2E824cFb9B6118ac2");
const WEETH: Address = address!("Cd5fE23C85820F7B72D0926FC9b05b43E359b7ee");
const ETHERFI_POOL: Address = address!("308861A430be4cce5502d0A12724771Fc6DaF216");
const ETHERFI_STAKING: Address = address!("25e821b7197B146F7713C3b89B6A4D83516B912d");
const EZETH: Address = address!("bf5495Efe5DB9ce00f80364C8B423567e58d2110");
const RENZO_RATE: Address = address!("387dBc0fB00b26fb085aa658527D5BE98302c84C");
const RENZO_MANAGER: Address = address!("74a09653A083691711cF8215a6ab074BB4e99ef5");
const RSETH: Address = address!("A1290d69c65A6Fe4DF752f95823fae25cB99e5A7");
const KELP_ORACLE: Address = address!("349A73444b1a310BAe67ef67973022020d70020d");
const KELP_POOL: Address = address!("036676389e48133B63a802f8635AD39E752D375D");
const KELP_LOCKBOX: Address = address!("85d456B2DfF1fd8245387C0BfB64Dfb700e98Ef3");
const PUFETH: Address = address!("D9A442856C234a39a81a089C06451EBAa4306a72");
const PUFFER_ORACLE: Address = address!("0BE2aE0edbeBb517541DF217EF0074FC9a9e994f");
const PUFFER_PROTOCOL: Address = address!("f7b6B32492c2e13799D921E84202450131bd238B");
