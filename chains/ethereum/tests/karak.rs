//! Karak, from stake to loss, over doubles of its two generations on a real anvil. Slow.

#![allow(clippy::unwrap_used)] // a test's helpers are tests too

#[allow(dead_code)]
#[rustfmt::skip]
#[path = "../../../deploy/devnet/src/contracts.rs"]
mod contracts;
#[allow(dead_code)]
mod council;
#[allow(dead_code)]
mod doubles;
#[allow(dead_code)]
#[rustfmt::skip]
#[path = "../../../deploy/devnet/src/eigenlayer.rs"]
mod eigenlayer;
#[allow(dead_code)]
#[rustfmt::skip]
#[path = "../../../deploy/devnet/src/sender.rs"]
mod sender;
#[allow(dead_code)]
mod world;

use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::providers::Provider;
use alloy::sol_types::SolEvent;
use contracts::Palisade;
use doubles::bindings::karak::{KarakBase, KarakCore};
use doubles::bindings::karak_vault::KarakVault;
use doubles::bindings::odd_token::OddToken;
use doubles::{Karak, UNSTAKE_SECONDS, VETO_SECONDS, creation};
use palisade_ethereum::bindings::karak_adapter::KarakAdapter;
use palisade_ethereum::bindings::orders::Orders;
use palisade_ethereum::inspect::{Failed, Question, inspect};
use palisade_ethereum::{Config, Ethereum};
use palisade_types::chain::{Chain, ChainError, ChainPoint, Execution, Progress, Watch};
use palisade_types::genesis::{Asset, Caps, Genesis, KarakContracts};
use palisade_types::ids;
use palisade_types::observation::{Fact, StakeSeen};
use palisade_types::position::{KarakStake, Position, PositionId, StakeSource};
use palisade_types::price::Price;
use palisade_types::slash::{OrderStatus, SlashOrder, SlashTarget};
use palisade_types::units::{MicroUsd, Wad};
use sender::Sender;
use std::sync::Arc;
use std::time::{Duration, Instant};
use world::{Anvil, Member, World, applied, breach_case, case, drawn, execution, signer};

/// Stake is counted as it can be taken, asked back, let go; a pair asks for its fraction and takes it two days later.
#[tokio::test]
async fn r04_a_slash_on_karak_follows_the_stake_from_views_to_the_final_loss() {
    let mut scene = Scene::new(false).await;
    let whole = scene.staked(1_000).await;
    assert_eq!(whole, KarakStake { assets: ether(1_000), leaving: 0, veto_duration: VETO_SECONDS });

    // What a staker asked back counts no more, though it lies there for nine days.
    let call =
        KarakVault::startRedeemCall { shares: U256::from(ether(200)), beneficiary: scene.member.signer().address() };
    scene.send(1, scene.karak.vault, &call).await;
    let [Fact::Stake(less)] = &scene.news().await[..] else { panic!("no single change") };
    assert_eq!(less.position, Position::Karak(KarakStake { assets: ether(800), ..whole }));

    let execution = scene.execution();
    let asked = scene.time().await;
    let Progress::Sent(_) = scene.ethereum.execute(&execution).await.unwrap() else { panic!("nothing was sent") };
    let until = scene.waiting(&execution).await;
    assert!(until >= asked + VETO_SECONDS && until <= asked + VETO_SECONDS + 100);
    let [Fact::Convicted(_)] = &scene.news().await[..] else { panic!("nothing is taken before the time for a veto") };
    scene.pass(until - scene.time().await).await;
    let taken = scene.executed(&execution).await;
    let facts = scene.news().await;
    let [Fact::Slashed(slashed), Fact::Stake(left)] = &facts[..] else { panic!("{facts:?}") };
    assert_eq!((slashed.before, slashed.afterwards), (ether(1_000), ether(750)));
    assert_eq!((slashed.adapter, slashed.transaction), (scene.contracts().adapter, taken));
    assert_eq!(left.position, Position::Karak(KarakStake { assets: ether(600), ..whole })); // of four fifths
    let other = scene.world.connect().await; // another operator, or we after a restart
    assert_eq!(other.execute(&execution).await.unwrap(), Progress::Executed(taken));
}

/// What anybody can see of it without a genesis.
#[tokio::test]
async fn an_operator_and_a_service_on_karak_are_shown_as_its_core_has_them() {
    let mut scene = Scene::new(false).await;
    scene.staked(1_000).await;
    let operator = scene.member.signer().address();
    let call = KarakVault::startRedeemCall { shares: U256::from(ether(200)), beneficiary: operator };
    scene.send(1, scene.karak.vault, &call).await;
    scene.news().await;
    let Progress::Sent(_) = scene.ethereum.execute(&scene.execution()).await.unwrap() else {
        panic!("nothing was sent")
    };
    scene.waiting(&scene.execution()).await;
    scene.news().await;
    let core = Some(ids::Address::new(scene.karak.core.into_array()));
    let ask = |what: Address, karak_core| Question {
        what: what.to_string(),
        endpoint: scene.world.endpoint.clone(),
        timeout_ms: 20_000,
        karak_core,
        ..Question::default()
    };
    let [his, its] = [operator, scene.adapter()].map(|what| ask(what, core));
    let (his, its) = (inspect(&his).await.unwrap().karak.unwrap(), inspect(&its).await.unwrap().karak.unwrap());
    assert_eq!((his.is_service, its.is_service), (false, true));
    for seen in [&his, &its] {
        let [vault] = &seen.vaults[..] else { panic!("{seen:?}") };
        assert_eq!((&vault.vault, &vault.operator), (&scene.karak.vault.to_string(), &operator.to_string()));
        assert_eq!(vault.assets, Some(ether(1_000).to_string()));
        assert_eq!((&vault.shares, &vault.shares_asked_back), (&vault.assets, &Some(ether(200).to_string())));
        assert_eq!(vault.staked_to, [scene.adapter().to_string()]);
        let [slash] = &seen.slashes[..] else { panic!("{seen:?}") };
        assert_eq!((&slash.service, &slash.operator), (&scene.adapter().to_string(), &operator.to_string()));
        let quarter = "25000000000000000000".to_owned(); // of 100e18
        assert_eq!(slash.vaults, [(scene.karak.vault.to_string(), quarter)]);
        // Our double has no such view, and that is said instead of guessed.
        assert_eq!(vault.queued_for_slashing, None);
        assert!(seen.gaps.iter().any(|gap| gap.contains("isVaultQueuedForSlashing")), "{:?}", seen.gaps);
    }
    let nobody = inspect(&ask(signer(5).address(), core)).await;
    assert!(matches!(&nobody, Err(Failed::Asked(why)) if why.contains("account without code")), "{nobody:?}");
    let nowhere = inspect(&ask(operator, Some(ids::Address::new([9; 20])))).await;
    assert!(matches!(&nowhere, Err(Failed::Unknown { found, .. }) if found.contains("no code")), "{nowhere:?}");
    let no_core = inspect(&ask(operator, Some(scene.vault()))).await;
    assert!(matches!(&no_core, Err(Failed::Unknown { found, .. }) if found.contains("isDSSRegistered")), "{no_core:?}");
}

/// The audited generation fixes the amount when it is asked: what was taken is booked, not a fraction of what is there.
#[tokio::test]
async fn r24_on_the_audited_core_what_was_taken_is_booked() {
    let mut scene = Scene::new(true).await;
    scene.staked(1_000).await;
    let execution = scene.execution();
    let Progress::Sent(_) = scene.ethereum.execute(&execution).await.unwrap() else { panic!("nothing was sent") };
    let until = scene.waiting(&execution).await;
    scene.deposit(1_000).await;
    scene.pass(until - scene.time().await).await;
    scene.executed(&execution).await;
    let facts = scene.news().await;
    let slashed = facts.iter().find_map(|fact| if let Fact::Slashed(slashed) = fact { Some(slashed) } else { None });
    let slashed = slashed.unwrap();
    assert_eq!((slashed.before, slashed.afterwards), (ether(2_000), ether(1_750)));
}

/// An unstake is known from the block of its request, and ends what can be taken when it could be completed.
#[tokio::test]
async fn r04_a_vault_that_leaves_counts_until_a_slash_could_come_too_late() {
    let mut scene = Scene::new(false).await;
    let whole = scene.staked(1_000).await;
    let update = scene.request(false).await;
    let [Fact::Stake(seen)] = &scene.news().await[..] else { panic!("no single change") };
    let leaving = update.startTimestamp.to::<u64>() + UNSTAKE_SECONDS;
    assert_eq!(seen.position, Position::Karak(KarakStake { leaving, ..whole }));
    let Position::Karak(stake) = seen.position else { panic!("{seen:?}") };
    assert_eq!(stake.slashable_at(leaving - VETO_SECONDS - 1), ether(1_000));
    assert_eq!(stake.slashable_at(leaving - VETO_SECONDS), 0);
    assert!(scene.news().await.is_empty()); // it is remembered when its log lies behind

    scene.pass(UNSTAKE_SECONDS).await;
    let call = KarakCore::finalizeUpdateVaultStakeInDSSCall { update };
    scene.send(1, scene.karak.core, &call).await;
    let [Fact::Stake(gone)] = &scene.news().await[..] else { panic!("no single change") };
    assert_eq!(gone.position, Position::Karak(KarakStake::NOTHING));
    // Staked again, nothing of the old request is left.
    scene.stake().await;
    let [Fact::Stake(back)] = &scene.news().await[..] else { panic!("no single change") };
    assert_eq!(back.position, Position::Karak(whole));
}

/// The committee's veto ends the case: it is a fact, and nobody asks again.
#[tokio::test]
async fn r26_a_veto_on_karak_ends_the_case() {
    let mut scene = Scene::new(false).await;
    scene.staked(1_000).await;
    let execution = scene.execution();
    let Progress::Sent(_) = scene.ethereum.execute(&execution).await.unwrap() else { panic!("nothing was sent") };
    scene.waiting(&execution).await;
    let request = scene.asked().await;
    let slashing = <KarakCore::QueuedSlashing as alloy::sol_types::SolValue>::abi_decode(&request).unwrap();
    let call = KarakCore::cancelSlashingCall { slashing };
    scene.send(0, scene.karak.core, &call).await; // the deployer is the committee
    let facts = scene.news().await;
    let [Fact::Convicted(_), Fact::Vetoed(vetoed)] = &facts[..] else { panic!("{facts:?}") };
    assert_eq!((vetoed.case, vetoed.operator), (execution.case.id, scene.member.id()));
    assert_eq!((vetoed.adapter, vetoed.asset), (scene.contracts().adapter, scene.vault()));
    assert!(matches!(scene.ethereum.execute(&execution).await, Err(ChainError::Refused(_))));
}

/// Bad input: logs of an impostor, a vault whose numbers are absurd, a core and an adapter that are not genesis'.
#[tokio::test]
async fn what_is_not_as_genesis_has_it_is_named_and_stops_nothing_else() {
    let mut scene = Scene::new(false).await;
    let whole = scene.staked(1_000).await;
    // Another Karak tells, by the very same event, that the vault leaves ours.
    let sender = Sender::new(&scene.world.endpoint, &signer(0)).unwrap();
    let update = KarakCore::RequestedStakeUpdate {
        update: KarakBase::QueuedStakeUpdate {
            nonce: Default::default(),
            startTimestamp: Default::default(),
            operator: scene.member.signer().address(),
            updateRequest: KarakBase::StakeUpdateRequest {
                vault: scene.karak.vault,
                dss: scene.adapter(),
                toStake: false,
            },
        },
    };
    let mut plan = sender.plan().await.unwrap();
    plan.create(
        "impostor",
        doubles::logging(&[KarakCore::RequestedStakeUpdate::SIGNATURE_HASH], &update.encode_data()),
    );
    let receipt = sender.send(plan).await.unwrap().remove(0);
    assert_eq!(receipt.logs().len(), 1); // it did say so
    assert_eq!(scene.news().await, []);

    // The token has six decimals, as no amount here knows. All balances halve, and what is put in loses a tenth on the way: the
    // vault's own views count.
    scene.send(0, scene.karak.token, &OddToken::rebaseCall { worth_: U256::from(ether(1) / 2) }).await;
    let [Fact::Stake(half)] = &scene.news().await[..] else { panic!("no single change") };
    assert_eq!(half.position, Position::Karak(KarakStake { assets: ether(500), ..whole }));
    scene.send(0, scene.karak.token, &OddToken::chargeFeeCall { bips: U256::from(1_000) }).await;
    scene.deposit(100).await;
    let [Fact::Stake(more)] = &scene.news().await[..] else { panic!("no single change") };
    assert_eq!(more.position, Position::Karak(KarakStake { assets: ether(590), ..whole }));
    // Now it says more than a token can hold: this vault counts nothing, and nothing else fails.
    let call = OddToken::mintCall { to: scene.karak.vault, value: U256::from(1) << 190 };
    scene.send(0, scene.karak.token, &call).await;
    let [Fact::Stake(absurd)] = &scene.news().await[..] else { panic!("no single change") };
    assert_eq!(absurd.position, Position::Karak(KarakStake { assets: 0, ..whole }));
    // And with code that answers nothing.
    scene.ask("anvil_setCode", serde_json::json!([scene.karak.vault, "0x60006000fd"])).await;
    assert_eq!(scene.news().await, []);

    let refused = async |change: fn(&mut Genesis)| {
        let mut genesis = (*scene.world.genesis).clone();
        change(&mut genesis);
        let contracts = genesis.contracts.karak.unwrap();
        redeploy(&scene.world, &mut genesis, &scene.karak, contracts.core, false).await;
        Ethereum::connect(&Config::one(&scene.world.endpoint), Arc::new(genesis), None).await.err()
    };
    let unknown = refused(|genesis| {
        let token = genesis.contracts.palisade; // a contract, but no Karak
        genesis.contracts.karak.as_mut().unwrap().core = token;
    });
    assert!(matches!(unknown.await, Some(ChainError::WrongChain { .. })));
    let impatient = refused(|genesis| genesis.contracts.karak.as_mut().unwrap().veto_seconds -= 1);
    assert!(matches!(impatient.await, Some(ChainError::WrongChain { .. })));
}

/// A certified order asks for its part, waits two days, and takes it: by one execution after the other.
#[tokio::test]
async fn r11_r24_a_certified_order_takes_its_part_on_karak() {
    for audited in [false, true] {
        let mut scene = Scene::new(audited).await;
        scene.staked(1_000).await;
        let execution = scene.ordered().await;
        scene.announced(&execution).await;
        let Progress::Sent(_) = scene.until(&execution, |progress| matches!(progress, Progress::Sent(_))).await else {
            unreachable!()
        };
        let until = scene.waiting(&execution).await;
        assert_eq!(scene.news().await, [], "nothing is taken before the time for a veto");
        // An equivocation's case is behind it.
        let pair = scene.execution();
        let Progress::Sent(_) = scene.ethereum.execute(&pair).await.unwrap() else { panic!("the pair convicts") };
        scene.until(&pair, |progress| matches!(progress, Progress::Waiting)).await;
        scene.pass(until - scene.time().await).await;
        assert_eq!(scene.ethereum.execute(&pair).await.unwrap(), Progress::Waiting, "another's goes first");
        let taken = scene.executed(&execution).await;
        let facts = scene.news().await;
        let slashed: Vec<_> = facts
            .iter()
            .filter_map(|fact| if let Fact::Slashed(slashed) = fact { Some(slashed) } else { None })
            .collect();
        let [slashed] = slashed[..] else { panic!("{facts:?}") };
        assert_eq!((slashed.case, slashed.transaction), (execution.case.id, taken));
        assert_eq!((slashed.before, slashed.afterwards), (ether(1_000), ether(750)));
        // Its turn.
        scene.until(&pair, |progress| matches!(progress, Progress::Sent(_))).await;
    }
}

/// The veto of an order is a fact of its case, and the order is asked for no more.
#[tokio::test]
async fn r26_a_veto_on_karak_ends_an_order() {
    let mut scene = Scene::new(false).await;
    scene.staked(1_000).await;
    let execution = scene.ordered().await;
    scene.announced(&execution).await;
    scene.until(&execution, |progress| matches!(progress, Progress::Sent(_))).await;
    scene.waiting(&execution).await;
    let slashing = <KarakCore::QueuedSlashing as alloy::sol_types::SolValue>::abi_decode(&scene.asked().await).unwrap();
    scene.send(0, scene.karak.core, &KarakCore::cancelSlashingCall { slashing }).await;
    let facts = scene.news().await;
    let [Fact::Vetoed(vetoed)] = &facts[..] else { panic!("{facts:?}") };
    assert_eq!((vetoed.case, vetoed.operator), (execution.case.id, scene.member.id()));
    assert_eq!((vetoed.adapter, vetoed.asset), (scene.contracts().adapter, scene.vault()));
    let refused = scene.ethereum.execute(&execution).await;
    assert!(matches!(&refused, Err(ChainError::Refused(why)) if why.contains("vetoed")), "{refused:?}");
}

/// One member whose vault can be staked, our contracts, and what a ledger would know.
struct Scene {
    world: World,
    ethereum: Ethereum,
    karak: Karak,
    member: Member,
    watch: Watch,
    seen: ChainPoint,
}

impl Scene {
    async fn new(audited: bool) -> Self {
        let (anvil, endpoint) = Anvil::start();
        let member = Member::new(1);
        let karak = doubles::deploy_karak(&endpoint, &signer(0), &member.signer(), audited).await;
        let mut world = World::over(anvil, endpoint, None).await;
        let mut genesis = (*world.genesis).clone();
        redeploy(&world, &mut genesis, &karak, ids::Address::new(karak.core.into_array()), true).await;
        world.genesis = Arc::new(genesis);
        let ethereum = world.connect().await;
        let seen = world.genesis.ethereum_start;
        Self { world, ethereum, karak, member, watch: Watch::default(), seen }
    }

    fn contracts(&self) -> KarakContracts {
        self.world.genesis.contracts.karak.unwrap()
    }

    fn adapter(&self) -> Address {
        Address::from(*self.contracts().adapter.as_bytes())
    }

    fn vault(&self) -> ids::Address {
        ids::Address::new(self.karak.vault.into_array())
    }

    /// Keys, membership, and a vault with so many tokens, staked.
    async fn staked(&mut self, tokens: u64) -> KarakStake {
        let keys = self.member.keys(&self.world.genesis);
        self.ethereum.register_keys(&self.member.account(), &keys).await.unwrap();
        let call = KarakCore::registerOperatorToDSSCall { dss: self.adapter(), data: Bytes::new() };
        self.send(1, self.karak.core, &call).await;
        self.deposit(tokens).await;
        self.stake().await;
        let facts = self.news().await;
        let [Fact::Keys(_), Fact::Stake(StakeSeen { id, position: Position::Karak(stake) })] = facts[..] else {
            panic!("{facts:?}")
        };
        assert_eq!(id, PositionId { operator: self.member.id(), source: StakeSource::Karak(self.vault()) });
        stake
    }

    async fn deposit(&self, tokens: u64) {
        let (to, assets) = (self.member.signer().address(), U256::from(ether(tokens)));
        self.send(1, self.karak.token, &OddToken::mintCall { to, value: assets }).await;
        self.send(1, self.karak.token, &OddToken::approveCall { spender: self.karak.vault, value: assets }).await;
        self.send(1, self.karak.vault, &KarakVault::depositCall { assets, to }).await;
    }

    async fn stake(&self) {
        let update = self.request(true).await;
        self.pass(UNSTAKE_SECONDS).await;
        self.send(1, self.karak.core, &KarakCore::finalizeUpdateVaultStakeInDSSCall { update }).await;
    }

    async fn request(&self, stake: bool) -> KarakBase::QueuedStakeUpdate {
        let request = KarakBase::StakeUpdateRequest { vault: self.karak.vault, dss: self.adapter(), toStake: stake };
        let receipt = self.send(1, self.karak.core, &KarakCore::requestUpdateVaultStakeInDSSCall { request }).await;
        let mut logs = receipt.logs().iter();
        logs.find_map(|log| KarakCore::RequestedStakeUpdate::decode_log(&log.inner).ok()).unwrap().data.update
    }

    /// The request as the adapter told it, for whoever vetoes.
    async fn asked(&self) -> Bytes {
        let filter = alloy::rpc::types::Filter::new().address(self.adapter()).from_block(0);
        let filter = filter.event_signature(KarakAdapter::Requested::SIGNATURE_HASH);
        let logs = self.world.provider.get_logs(&filter).await.unwrap();
        KarakAdapter::Requested::decode_log(&logs[0].inner).unwrap().data.request
    }

    async fn send(
        &self,
        account: usize,
        to: Address,
        call: &impl alloy::sol_types::SolCall,
    ) -> alloy::rpc::types::TransactionReceipt {
        let sender = Sender::new(&self.world.endpoint, &signer(account)).unwrap();
        let mut plan = sender.plan().await.unwrap();
        plan.call("a call", to, call);
        sender.send(plan).await.unwrap().remove(0)
    }

    async fn time(&self) -> u64 {
        let latest = self.world.provider.get_block(alloy::eips::BlockId::latest()).await.unwrap();
        latest.unwrap().header.timestamp
    }

    async fn pass(&self, seconds: u64) {
        self.ask("evm_increaseTime", serde_json::json!([seconds])).await;
        self.ask("evm_mine", serde_json::json!([])).await;
    }

    async fn ask(&self, method: &'static str, arguments: serde_json::Value) {
        self.world.provider.raw_request::<_, serde_json::Value>(method.into(), arguments).await.unwrap();
    }

    /// What became final since the last look, as a ledger takes it in.
    async fn news(&mut self) -> Vec<Fact> {
        self.world.finalize().await;
        let tip = self.ethereum.tip().await.unwrap();
        let facts = self.ethereum.observe(&self.seen, &tip, &self.watch).await.unwrap();
        applied(&mut self.watch, &facts);
        self.seen = tip;
        facts
    }

    fn execution(&self) -> Execution {
        let order = SlashOrder { target: SlashTarget::Karak(self.vault()), asked: 1, status: OrderStatus::Ordered };
        execution(&case(&self.world.genesis, &self.member, order), &self.watch)
    }

    /// A covenant's breach, ordered and certified by the member alone; the light client comes to stand.
    async fn ordered(&self) -> Execution {
        let genesis = &self.world.genesis;
        let council = council::Council::alone(self.member.id(), 1, &self.member.bls, self.seen.number);
        let boundary = council::header(genesis, 20, 0, council.committee.hash(&genesis.chain_id()));
        let sender = Sender::new(&self.world.endpoint, &signer(0)).unwrap();
        let mut plan = sender.plan().await.unwrap();
        let stands = plan.create("Committee", palisade_ethereum::light::deploy_committee(genesis, &boundary));
        sender.send(plan).await.unwrap();
        assert_eq!(stands.into_array(), *genesis.contracts.committee.as_bytes(), "where genesis says");
        let order = SlashOrder { target: SlashTarget::Karak(self.vault()), asked: 1, status: OrderStatus::Ordered };
        let case = breach_case(genesis, &self.member, vec![order]);
        let order = drawn(genesis, &case, 1, self.contracts().adapter, self.seen.number);
        let certified = Some(Box::new(council.order(genesis, order)));
        Execution { certified, ..execution(&case, &self.watch) }
    }

    /// Announces it, and lets the delay pass.
    async fn announced(&self, execution: &Execution) {
        let Progress::Sent(_) = self.ethereum.execute(execution).await.unwrap() else { panic!("nothing was sent") };
        self.until(execution, |progress| matches!(progress, Progress::Waiting)).await;
        for _ in 0..self.world.genesis.parameters.order_delay_blocks {
            self.ask("evm_mine", serde_json::json!([])).await;
        }
    }

    /// Sees that the slash waits, and until when.
    async fn waiting(&self, execution: &Execution) -> u64 {
        assert_eq!(self.until(execution, |progress| !matches!(progress, Progress::Sent(_))).await, Progress::Waiting);
        let adapter = KarakAdapter::new(self.adapter(), &self.world.provider);
        let under_way = adapter.underWay(self.member.signer().address()).call().await.unwrap();
        assert_eq!(under_way.caseId, B256::from(*execution.case.id.as_bytes()));
        under_way.since.to::<u64>() + VETO_SECONDS
    }

    async fn executed(&self, execution: &Execution) -> ids::Hash {
        match self.until(execution, |progress| matches!(progress, Progress::Executed(_))).await {
            Progress::Executed(hash) => hash,
            other => panic!("{other:?}"),
        }
    }

    /// Asks until it has come so far: what is on its way is looked at again, as an operator does.
    async fn until(&self, execution: &Execution, so_far: impl Fn(&Progress) -> bool) -> Progress {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            match self.ethereum.execute(execution).await {
                Ok(progress) if so_far(&progress) => return progress,
                Ok(_) | Err(ChainError::Unavailable { .. }) if Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Deploys a judge whose only target is Karak, and the adapter to `core`; genesis names them.
async fn redeploy(world: &World, genesis: &mut Genesis, karak: &Karak, core: ids::Address, joins: bool) {
    let sender = Sender::new(&world.endpoint, &signer(0)).unwrap();
    let nonce = sender.nonce().await.unwrap();
    let [palisade, adapter, orders, committee] = [0, 1, 2, 4].map(|step| signer(0).address().create(nonce + step));
    let address = |address: Address| ids::Address::new(address.into_array());
    let known = genesis
        .contracts
        .karak
        .map_or((UNSTAKE_SECONDS, VETO_SECONDS), |known| (known.unstake_seconds, known.veto_seconds));
    genesis.contracts.palisade = address(palisade);
    genesis.contracts.orders = address(orders);
    genesis.contracts.committee = address(committee); // after all that is sent here
    genesis.contracts.eigenlayer_adapter = ids::Address::ZERO; // nothing counts there
    genesis.contracts.karak =
        Some(KarakContracts { adapter: address(adapter), core, unstake_seconds: known.0, veto_seconds: known.1 });
    genesis.parameters.window_seconds = 86_400;
    let asset = Asset {
        source: StakeSource::Karak(address(karak.vault)),
        price: Price::Fixed(MicroUsd::new(1)),
        cap: Caps::ANY,
        equivocation: Wad::new(QUARTER),
    };
    genesis.assets = vec![asset].try_into().unwrap();
    let mut plan = sender.plan().await.unwrap();
    let judge = Palisade::constructorCall {
        chainId_: B256::from(*genesis.chain_id().as_bytes()),
        adapters_: vec![adapter],
        evidenceWindowBlocks_: genesis.parameters.ethereum_window(),
        lightClient_: committee,
        orders_: orders,
    };
    plan.create("Palisade", creation(&Palisade::BYTECODE, &judge));
    let arguments = KarakAdapter::constructorCall {
        palisade_: palisade,
        orders_: orders,
        service_: B256::ZERO,
        core_: Address::from(*core.as_bytes()),
        vaults_: vec![karak.vault],
        equivocationWad_: U256::from(QUARTER),
        orderWad_: U256::from(genesis.parameters.order_part.get()),
        vetoSeconds_: U256::from(VETO_SECONDS),
    };
    plan.create("KarakAdapter", creation(&KarakAdapter::BYTECODE, &arguments));
    let arguments = Orders::constructorCall {
        chainId_: B256::from(*genesis.chain_id().as_bytes()),
        committee_: committee,
        delayBlocks_: genesis.parameters.order_delay_blocks,
        adapters: vec![adapter],
        ownMaximum: genesis.parameters.order_part.get(),
    };
    plan.create("Orders", creation(&Orders::BYTECODE, &arguments));
    if joins {
        plan.call("join", adapter, &KarakAdapter::joinCall {});
    }
    sender.send(plan).await.unwrap();
}

fn ether(amount: u64) -> u128 {
    u128::from(amount) * 1_000_000_000_000_000_000
}

/// What an equivocation takes, of 1e18.
const QUARTER: u64 = 250_000_000_000_000_000;
