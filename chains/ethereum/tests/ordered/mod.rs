//! A certified order on a real anvil with the real EigenLayer core: announced, executed and seen, whoever crashes in between.

use crate::council::Council;
use crate::eigenlayer;
use crate::light::{DEPLOYER, council_of, create, header};
use crate::sender::Sender;
use crate::world::{Member, World, applied, breach_case, drawn};
use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::providers::Provider;
use alloy::rpc::types::TransactionRequest;
use palisade_ethereum::bindings::orders::Orders;
use palisade_ethereum::bindings::palisade::Palisade;
use palisade_ethereum::light::Certified;
use palisade_ethereum::{Ethereum, light, orders};
use palisade_types::attestation::Statement;
use palisade_types::certificate::QuorumCertificate;
use palisade_types::chain::{CertifiedOrder, Chain, ChainError, ChainPoint, Execution, Progress, Watch};
use palisade_types::ids::{self, DomainKind};
use palisade_types::observation::Fact;
use palisade_types::order::Order;
use palisade_types::slash::{Case, OrderStatus, SlashOrder, SlashTarget};
use palisade_types::units::Epoch;
use std::time::{Duration, Instant};

/// The accounts of the members; the first is the convict.
const MEMBERS: [usize; 4] = [3, 4, 5, 6];
const MILLI: u64 = 1_000_000_000_000_000;

/// A convict with stake, and the committee that takes it.
struct Scene {
    world: World,
    convict: Member,
    council: Council,
    seen: ChainPoint,
    watch: Watch,
}

impl Scene {
    /// With 40 % of a thousand tokens allocated by the convict, and the light client at epoch 1.
    async fn new() -> Self {
        let world = World::with_stake().await;
        let core = world.core.clone().unwrap();
        let ethereum = world.connect().await;
        let mut registered = Vec::new();
        for number in MEMBERS {
            let member = Member::new(number);
            let keys = ethereum.register_keys(&member.account(), &member.keys(&world.genesis)).await.unwrap();
            registered.push((member, keys.key_id));
        }
        registered.sort_by_key(|(member, _)| member.id());
        let convict = Member::new(MEMBERS[0]);
        let (signer, stake) = (convict.signer(), U256::from(1_000) * U256::from(1_000 * MILLI));
        let adapter = Address::from(*world.genesis.contracts.eigenlayer_adapter.as_bytes());
        eigenlayer::stake(&world.endpoint, &core, &signer, &signer, stake).await.unwrap();
        eigenlayer::allocate(&world.endpoint, &core, &signer, adapter, 400 * MILLI).await.unwrap();
        world.finalize().await;
        let seen = ethereum.tip().await.unwrap();
        let mut watch = Watch::default();
        let facts = ethereum.observe(&world.genesis.ethereum_start, &seen, &watch).await.unwrap();
        applied(&mut watch, &facts);
        let council = council_of(&registered, 1, seen.number);
        Self { world, convict, council, seen, watch }
    }

    async fn deploy_light_client(&self) {
        let sender = Sender::new(&self.world.endpoint, &Member::new(DEPLOYER).signer()).unwrap();
        let boundary = header(&self.world.genesis, 20, 0, self.council.committee.hash(&self.world.genesis.chain_id()));
        let at = create(&sender, light::deploy_committee(&self.world.genesis, &boundary)).await;
        assert_eq!(at.into_array(), *self.world.genesis.contracts.committee.as_bytes(), "where genesis says");
    }

    /// What the ledger would draw under a number.
    fn order(&self, number: u64) -> Order {
        let genesis = &self.world.genesis;
        drawn(genesis, &self.case(), number, genesis.contracts.eigenlayer_adapter, self.seen.number)
    }

    /// A covenant's breach, which only an order answers.
    fn case(&self) -> Case {
        let (genesis, core) = (&self.world.genesis, self.world.core.as_ref().unwrap());
        let order = SlashOrder {
            target: SlashTarget::EigenLayer(ids::Address::new(core.strategy.into_array())),
            asked: 1,
            status: OrderStatus::Ordered,
        };
        breach_case(genesis, &self.convict, vec![order])
    }

    fn certified(&self, order: Order) -> CertifiedOrder {
        let genesis = &self.world.genesis;
        let statement = order.statement(genesis.domain(DomainKind::Order));
        let certificate = self.council.certify(&genesis.chain_id(), &statement, &[0]);
        CertifiedOrder { order, certificate, committee: self.council.committee.clone() }
    }

    fn execution(&self, certified: Option<CertifiedOrder>) -> Execution {
        let operator = self.watch.operators[&self.convict.id()].clone();
        Execution {
            case: self.case(),
            order: 0,
            operator,
            vault: None,
            certified: certified.map(Box::new),
            company: None,
        }
    }
}

fn executed(progress: Progress) -> B256 {
    let Progress::Executed(hash) = progress else { panic!("{progress:?}") };
    B256::from(*hash.as_bytes())
}

/// Asks until the answer is as wanted: anvil counts a block before it answers for all of it.
async fn until(ethereum: &Ethereum, execution: &Execution, wanted: fn(&Progress) -> bool) -> Progress {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match ethereum.execute(execution).await {
            Ok(progress) if wanted(&progress) => return progress,
            Ok(_) | Err(ChainError::Unavailable { .. }) if Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn r11_r24_a_certified_order_is_announced_executed_and_seen_whoever_crashes() {
    let scene = Scene::new().await;
    let world = &scene.world;
    let (first, second) = (scene.certified(scene.order(1)), scene.certified(scene.order(2)));
    let (ours, later) = (scene.execution(Some(first.clone())), scene.execution(Some(second)));

    // Nothing can be done without a certificate, nor before the light client stands.
    let ethereum = world.connect().await;
    assert_eq!(ethereum.execute(&scene.execution(None)).await.unwrap(), Progress::Waiting);
    assert_eq!(ethereum.execute(&ours).await.unwrap(), Progress::Waiting);
    scene.deploy_light_client().await;

    // The announcement, and a crash right after it was sent, before anybody saw it in a block.
    world.stop_mining().await;
    assert!(matches!(ethereum.execute(&ours).await.unwrap(), Progress::Sent(_)));
    drop(ethereum);
    let ethereum = world.connect().await;
    assert!(matches!(ethereum.execute(&ours).await.unwrap(), Progress::Sent(_)), "it is sent again, for more");
    world.mine_at(1_000_000_000, 1).await;
    let contract = Orders::new(Address::from(*world.genesis.contracts.orders.as_bytes()), &world.provider);
    let announced = contract.announcement(1).call().await.unwrap();
    assert_eq!(announced.digest, B256::from(*first.order.digest().as_bytes()));

    // The delay. Another epoch's order changes nothing: one is announced.
    assert_eq!(until(&ethereum, &ours, |progress| matches!(progress, Progress::Waiting)).await, Progress::Waiting);
    assert_eq!(ethereum.execute(&later).await.unwrap(), Progress::Waiting);
    world.mine_at(1_000_000_000, 2).await;
    assert_eq!(ethereum.newest().await.unwrap(), announced.from);

    // The execution, by whoever knows only the newest order, and a crash once more.
    assert!(matches!(
        until(&ethereum, &later, |progress| matches!(progress, Progress::Sent(_))).await,
        Progress::Sent(_)
    ));
    drop(ethereum);
    let ethereum = world.connect().await;
    assert!(matches!(ethereum.execute(&ours).await.unwrap(), Progress::Sent(_)));
    world.mine_at(1_000_000_000, 1).await;
    let done = until(&ethereum, &ours, |progress| matches!(progress, Progress::Executed(_))).await;
    let other = world.connect().await;
    assert_eq!(until(&other, &later, |progress| matches!(progress, Progress::Executed(_))).await, done);
    assert_eq!(contract.announcement(2).call().await.unwrap().from, 0, "the second was never needed");
    let receipt = world.provider.get_transaction_receipt(executed(done)).await.unwrap().unwrap();
    println!("gas of an order on EigenLayer, one strategy: {}", receipt.gas_used);
    assert!(receipt.gas_used < 450_000, "{receipt:?}");

    // What the ledgers are told: what EigenLayer's views lost, by whom, for which case.
    world.finalize().await;
    let tip = ethereum.tip().await.unwrap();
    let facts = ethereum.observe(&scene.seen, &tip, &scene.watch).await.unwrap();
    let [Fact::Slashed(slashed), Fact::Stake(_)] = facts[..] else { panic!("{facts:?}") };
    assert_eq!((slashed.case, slashed.operator), (scene.case().id, scene.convict.id()));
    assert_eq!(Progress::Executed(slashed.transaction), done);
    assert_eq!(slashed.before, 400 * 1_000 * u128::from(MILLI));
    let taken = slashed.before - slashed.afterwards;
    assert!(taken.abs_diff(100 * 1_000 * u128::from(MILLI)) < 1_000, "a quarter of it: {taken}");
    assert_eq!(world.slashable(&scene.convict, tip.number).await, U256::from(slashed.afterwards));
}

/// The announcement alone takes the convict's weight from what the light client counts: his own signature carries no hand-over
/// any more, and the others do it without him.
#[tokio::test]
async fn r09_an_order_that_is_announced_takes_the_convicts_weight_on_chain() {
    let scene = Scene::new().await;
    let (world, genesis) = (&scene.world, &scene.world.genesis);
    scene.deploy_light_client().await;
    let chain = genesis.chain_id();
    let boundary = header(genesis, 40, 1, scene.council.committee.hash(&chain));
    let statement = Statement { domain: genesis.domain(DomainKind::Ledger), slot: 40, digest: boundary.id().into() };
    let convict = scene.convict.id();
    let seats = &scene.council.committee.members;
    let his = seats.iter().position(|seat| seat.operator == convict).unwrap();
    let [with, without] = [(his + 1) % 4, his].map(|absent| scene.council.certify(&chain, &statement, &[absent]));
    let takes = async |certificate: &QuorumCertificate| {
        let committee = &scene.council.committee;
        let certified = Certified { certificate, committee, with_weights: true };
        let input = light::hand_over(&boundary, &certified).unwrap();
        let to = Address::from(*genesis.contracts.committee.as_bytes());
        let request = TransactionRequest::default().to(to).input(Bytes::from(input).into());
        world.provider.call(request).await.is_ok()
    };
    assert!(takes(&with).await && takes(&without).await, "three of four");
    let ethereum = world.connect().await;
    let ours = scene.execution(Some(scene.certified(scene.order(1))));
    assert!(matches!(ethereum.execute(&ours).await.unwrap(), Progress::Sent(_)));
    let told = Palisade::new(Address::from(*genesis.contracts.palisade.as_bytes()), &world.provider);
    let deadline = Instant::now() + Duration::from_secs(20);
    while told.convictedAt(scene.convict.signer().address()).call().await.unwrap().is_zero() {
        assert!(Instant::now() < deadline, "the announcement is in no block");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!takes(&with).await, "two of three who count");
    assert!(takes(&without).await, "all who count");
}

#[tokio::test]
async fn r11_what_cannot_be_executed_in_time_is_not_announced_and_a_refusal_is_told() {
    let scene = Scene::new().await;
    let world = &scene.world;
    scene.deploy_light_client().await;
    let ethereum = world.connect().await;
    let newest = ethereum.newest().await.unwrap();
    let delay = world.genesis.parameters.order_delay_blocks;
    let progress = async |order: Order| ethereum.execute(&scene.execution(Some(scene.certified(order)))).await;
    let late = Order { expiry: newest + 1 + delay, ..scene.order(3) };
    assert_eq!(progress(late).await.unwrap(), Progress::Waiting, "its delay would end in its last block");
    let unknown = Order { epoch: Epoch::new(2), ..scene.order(4) };
    assert_eq!(progress(unknown).await.unwrap(), Progress::Waiting, "the hand-over comes first");
    let greedy = Order { wad: palisade_types::Wad::new(scene.order(5).wad.get() + 1), ..scene.order(5) };
    let refused = progress(greedy).await;
    assert!(matches!(&refused, Err(ChainError::Refused(why)) if why.contains("OverMaximum")), "{refused:?}");
    let forged = CertifiedOrder { order: scene.order(6), ..scene.certified(scene.order(7)) };
    let refused = ethereum.execute(&scene.execution(Some(forged.clone()))).await;
    assert!(matches!(&refused, Err(ChainError::Refused(_))), "{refused:?}");
    assert!(orders::announcement(&forged).is_ok(), "the contract is who checks");
}
