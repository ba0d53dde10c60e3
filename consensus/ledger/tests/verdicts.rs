//! Services: what they register, what their verdicts take and what not, how faults of one cause are weighed, and how much goes at a time.

#![allow(clippy::unwrap_used)] // a test that cannot go on has failed

use palisade_ledger::Invalid;
use palisade_ledger::fixture::{BOND, Run, network};
use palisade_types::chain::ChainKind::Ethereum;
use palisade_types::observation::{ServiceDeclared, ServiceSetSeen, ServiceStakeSeen, SetProtocolSeen, SlashedOnChain};
use palisade_types::position::Magnitudes;
use palisade_types::service::{
    FaultRule, Law, MAX_FOLLOWED, MAX_SET_ASSETS, RegistrationId, ServiceDomain, ServiceRules, ServiceSet,
    ServiceStakeId, ServiceStatement, SetProtocol, slot_of,
};
use palisade_types::slash::{CaseStatus, OrderStatus, ServiceTarget, SlashTarget, Taken};
use palisade_types::verdict::{CertifiedVerdict, Verdict};
use palisade_types::{
    Address, Canonical as _, Case, CaseId, Epoch, Evidence, Fact, Hash, Item, MicroUsd, ServiceId, Unproven, Wad,
};
use proptest::prelude::*;

const PERCENT: u64 = 10_000_000_000_000_000;
/// The first service: it may take half of one set.
const SERVICE: ServiceId = ServiceId::new([0x5e; 32]);
const SET: Address = Address::new([0xe1; 20]);
const MOST: Wad = Wad::new(50 * PERCENT);
const REGISTRATION: RegistrationId = RegistrationId { service: SERVICE, number: 1 };

fn rules(law: Law, window_blocks: u64) -> ServiceRules {
    ServiceRules {
        version: ServiceRules::VERSION,
        kinds: vec![256, 300].try_into().unwrap(),
        sets: vec![SET].try_into().unwrap(),
        threshold: ServiceRules::LEAST_THRESHOLD,
        bond: MicroUsd::new(1),
        window_blocks,
        faults: vec![FaultRule { fault: 1, most: Wad::new(40 * PERCENT), law }].try_into().unwrap(),
    }
}

fn set(service: ServiceId, adapter: Address, maximum: Wad) -> Fact {
    Fact::ServiceSet(ServiceSetSeen { service, set: ServiceSet { adapter, maximum } })
}

fn declared(id: RegistrationId, rules: &ServiceRules) -> Fact {
    Fact::ServiceDeclared(Box::new(ServiceDeclared { id, rules: rules.to_bytes().try_into().unwrap() }))
}

/// Ethereum's anchor moves on by `blocks`.
fn ethereum(run: &mut Run, blocks: u64, facts: Vec<Fact>) {
    let upto = run.ledger.anchor(Ethereum).number + blocks;
    run.observe(Ethereum, upto, facts);
    run.ledger.audit().unwrap();
}

/// `n` equal members, and the service.
fn with_service(n: usize, seed: u64, rules: &ServiceRules) -> Run {
    let mut run = Run::joined(network(n, seed));
    ethereum(&mut run, 1, vec![set(SERVICE, SET, MOST), declared(REGISTRATION, rules)]);
    run
}

fn verdict(run: &Run, accused: usize, slot: u64) -> Verdict {
    let committee = run.ledger.committee();
    Verdict {
        registration: REGISTRATION,
        operator: run.network.operators[accused].id,
        fault: 1,
        part: Wad::new(40 * PERCENT),
        slot: slot_of(committee.epoch, slot).unwrap(),
        capture: committee.ethereum.number,
    }
}

fn certified_by(run: &Run, verdict: Verdict, signers: &[usize]) -> CertifiedVerdict {
    let named = ServiceDomain { registration: verdict.registration, kind: 256 };
    let asked = ServiceStatement { domain: named, slot: verdict.slot, digest: verdict.digest() };
    let statement = asked.statement(&run.network.chain, &run.network.genesis.contracts.palisade).unwrap();
    let committee = run.ledger.committee_of(palisade_types::service::epoch_of(verdict.slot)).unwrap();
    CertifiedVerdict { verdict, certificate: run.network.certificate(committee, statement, signers) }
}

fn certified(run: &Run, verdict: Verdict) -> CertifiedVerdict {
    let all: Vec<usize> = (0..run.network.operators.len()).collect();
    certified_by(run, verdict, &all)
}

fn item(certified: CertifiedVerdict) -> Item {
    Item::Evidence(Evidence::Verdict(Box::new(certified)))
}

/// The members at these places are judged in one block; their cases in the same order.
fn judge(run: &mut Run, accused: &[usize]) -> Vec<CaseId> {
    let verdicts: Vec<_> = accused.iter().map(|at| certified(run, verdict(run, *at, *at as u64 + 1))).collect();
    let cases = verdicts.iter().map(|one| run.ledger.judge_verdict(one).unwrap()).collect();
    run.produce(verdicts.into_iter().map(item).collect());
    run.ledger.audit().unwrap();
    cases
}

fn case(run: &Run, id: CaseId) -> Case {
    run.ledger.case(&id).unwrap().clone()
}

fn standing(run: &Run, id: CaseId) -> (OrderStatus, u128) {
    let order = case(run, id).orders[0];
    (order.status, order.asked)
}

const fn percent(part: u64) -> u128 {
    (part * PERCENT) as u128
}

#[test]
fn r14_a_registration_counts_when_its_rules_can_be_read_and_take_from_its_own_sets() {
    let mut run = Run::joined(network(3, 1));
    let good = rules(Law::Flat, 0);
    let (other, foreign) = (ServiceId::new([0x5f; 32]), Address::new([0xe2; 20]));
    let id = |service, number| RegistrationId { service, number };
    let foreign_rules = ServiceRules { sets: vec![foreign].try_into().unwrap(), ..good.clone() };
    let own_kind = ServiceRules { kinds: vec![6].try_into().unwrap(), ..good.clone() };
    let junk =
        Fact::ServiceDeclared(Box::new(ServiceDeclared { id: id(SERVICE, 5), rules: vec![1; 9].try_into().unwrap() }));
    let facts = vec![
        declared(id(SERVICE, 1), &good), // before it has a set
        set(SERVICE, SET, MOST),
        set(SERVICE, SET, Wad::ONE), // what stands there stands
        set(other, foreign, Wad::ONE),
        set(ServiceId::ZERO, foreign, Wad::ONE),
        declared(id(SERVICE, 2), &good),
        declared(id(SERVICE, 3), &foreign_rules),
        declared(id(SERVICE, 4), &own_kind),
        junk,
        declared(id(SERVICE, 2), &ServiceRules { window_blocks: 9, ..good.clone() }),
    ];
    ethereum(&mut run, 1, facts);
    assert_eq!(run.ledger.service(&SERVICE).unwrap().maximum(&SET), Some(MOST));
    assert_eq!(run.ledger.services().count(), 2);
    let counted: Vec<_> = run.ledger.registrations().map(|one| one.id).collect();
    assert_eq!(counted, [id(SERVICE, 2)]);
    assert_eq!(run.ledger.registration(&id(SERVICE, 2)).unwrap().rules, good);
}

#[test]
fn r11_a_verdict_takes_its_part_of_the_services_own_set_and_convicts_nobody() {
    let mut run = with_service(4, 2, &rules(Law::Flat, 0));
    let weights: Vec<_> = run.ledger.committee().members.iter().map(|member| member.ether).collect();
    let id = judge(&mut run, &[1])[0];
    let opened = case(&run, id);
    let order = *run.ledger.orders().next().unwrap();
    assert_eq!(opened.orders[0].target, SlashTarget::Service(ServiceTarget { adapter: SET, asset: None }));
    assert_eq!(standing(&run, id), (OrderStatus::Ordered, percent(40)));
    assert_eq!((order.service, order.adapter, order.wad), (SERVICE, SET, Wad::new(40 * PERCENT)));
    assert_eq!((order.case, order.operator), (id, run.network.operators[1].id));
    assert_eq!(order.capture, run.ledger.committee().ethereum.number, "the snapshot that it is charged to (R26)");
    assert!(run.ledger.operators().all(|one| one.convicted.is_none() && one.jailed.is_none()));
    run.until_epoch(2);
    let after: Vec<_> = run.ledger.committee().members.iter().map(|member| member.ether).collect();
    assert_eq!(after, weights, "nobody's weight left");
    // What the chain shows is booked, also of an asset that nobody here knew.
    let slashed = |asset: u8, before, afterwards| {
        Fact::Slashed(SlashedOnChain {
            case: id,
            operator: opened.operator,
            adapter: SET,
            asset: Address::new([asset; 20]),
            before,
            afterwards,
            transaction: Hash::new([7; 32]),
        })
    };
    ethereum(&mut run, 1, vec![slashed(1, 100, 60), slashed(2, 50, 30), slashed(1, 60, 1)]);
    let taken = |amount| OrderStatus::Final(Taken { amount, transaction: Hash::new([7; 32]) });
    let booked: Vec<_> = case(&run, id).orders.iter().map(|order| order.status).collect();
    assert_eq!(booked, [taken(40), taken(20)]);
    assert_eq!(case(&run, id).status(), CaseStatus::Final);
    let drawn = run.ledger.order_numbers().next;
    run.until_epoch(3);
    run.produce(vec![]);
    assert_eq!(run.ledger.order_numbers().next, drawn, "nothing more is ordered");
}

#[test]
fn r14_a_verdict_that_the_rules_or_the_quorum_do_not_bear_is_none() {
    let run = with_service(4, 3, &ServiceRules { bond: MicroUsd::new(BOND), ..rules(Law::Flat, 0) });
    let good = verdict(&run, 1, 1);
    assert!(run.ledger.judge_verdict(&certified(&run, good)).is_ok());
    let why = |changed: Verdict| run.ledger.judge_verdict(&certified(&run, changed)).unwrap_err();
    assert_eq!(why(Verdict { fault: 2, ..good }), Unproven::OverRules);
    assert_eq!(why(Verdict { part: Wad::new(40 * PERCENT + 1), ..good }), Unproven::OverRules);
    assert_eq!(why(Verdict { part: Wad::new(0), ..good }), Unproven::OverRules);
    assert_eq!(why(Verdict { capture: good.capture + 1, ..good }), Unproven::OverRules, "another snapshot");
    assert_eq!(why(Verdict { operator: palisade_types::OperatorId::new([9; 20]), ..good }), Unproven::UnknownOperator);
    let unknown = RegistrationId { number: 2, ..REGISTRATION };
    assert_eq!(why(Verdict { registration: unknown, ..good }), Unproven::UnknownService);
    // Two of four are half; three of four are three quarters, too few for a threshold of four fifths.
    assert_eq!(run.ledger.judge_verdict(&certified_by(&run, good, &[0, 2])), Err(Unproven::NoQuorum));
    assert!(run.ledger.judge_verdict(&certified_by(&run, good, &[0, 2, 3])).is_ok());
    // Whoever passes on what nobody signed answers for it.
    let mut forged = certified(&run, good);
    forged.certificate.signature = certified(&run, verdict(&run, 1, 2)).certificate.signature;
    assert_eq!(run.ledger.judge_verdict(&forged), Err(Unproven::BadSignature));
    // A certificate of something else, and one of another domain of the same service.
    let mut other = certified(&run, good);
    other.verdict.part = Wad::new(PERCENT);
    assert_eq!(run.ledger.judge_verdict(&other), Err(Unproven::WrongDomain));
    let strict = ServiceRules { threshold: Wad::new(80 * PERCENT), ..rules(Law::Flat, 0) };
    let run = with_service(4, 4, &strict);
    let good = verdict(&run, 1, 1);
    assert_eq!(run.ledger.judge_verdict(&certified_by(&run, good, &[0, 2, 3])), Err(Unproven::NoQuorum));
    assert!(run.ledger.judge_verdict(&certified(&run, good)).is_ok());
    let poor = with_service(4, 5, &ServiceRules { bond: MicroUsd::new(BOND + 1), ..rules(Law::Flat, 0) });
    assert_eq!(
        poor.ledger.judge_verdict(&certified(&poor, verdict(&poor, 1, 1))),
        Err(Unproven::OverRules),
        "no member"
    );
}

#[test]
fn r25_a_slot_judges_once_and_another_slot_again() {
    let mut run = with_service(9, 6, &rules(Law::Flat, 0));
    let first = judge(&mut run, &[1])[0];
    let again = certified(&run, verdict(&run, 1, 2));
    assert_eq!(run.ledger.judge_verdict(&again), Err(Unproven::AlreadyConvicted), "the slot of the first");
    assert!(matches!(run.refusal(item(again)), Invalid::Unproven(Unproven::AlreadyConvicted)));
    let other = certified(&run, verdict(&run, 1, 77));
    let second = run.ledger.judge_verdict(&other).unwrap();
    assert_ne!(first, second);
    run.produce(vec![item(other)]);
    // The registered maximum is a half, of which the first took two fifths: a tenth is left in this span.
    assert_eq!(standing(&run, first).1, percent(40));
    assert_eq!(standing(&run, second).1, percent(10));
    let third = certified(&run, verdict(&run, 1, 78));
    let third_case = run.ledger.judge_verdict(&third).unwrap();
    run.produce(vec![item(third)]);
    assert_eq!(standing(&run, third_case).0, OrderStatus::Waiting, "nothing is left to take in this span");
    ethereum(&mut run, 51, vec![]);
    assert_eq!(standing(&run, third_case), (OrderStatus::Ordered, percent(40)));
}

#[test]
fn r11_faults_of_one_cause_weigh_each_other_whatever_comes_first() {
    // Ten equal members, min((2x)^2, 1): one alone loses 4 % of what is asked, three together 36 %.
    let law = Law::Square(200);
    let mut alone = with_service(10, 7, &rules(law, 10));
    let one = judge(&mut alone, &[1])[0];
    assert_eq!(standing(&alone, one), (OrderStatus::Waiting, 0), "others may come");
    assert_eq!(case(&alone, one).status(), CaseStatus::Convicted, "it is not over");
    ethereum(&mut alone, 9, vec![]);
    assert_eq!(standing(&alone, one).0, OrderStatus::Waiting);
    ethereum(&mut alone, 1, vec![]);
    assert_eq!(standing(&alone, one), (OrderStatus::Ordered, percent(40) * 4 / 100));
    let mut together = with_service(10, 7, &rules(law, 10));
    let mut cases = judge(&mut together, &[1]);
    ethereum(&mut together, 6, vec![]);
    cases.extend(judge(&mut together, &[2, 3]));
    ethereum(&mut together, 16, vec![]);
    for id in cases {
        assert_eq!(standing(&together, id), (OrderStatus::Ordered, percent(40) * 36 / 100));
    }
    // What comes after the window is another cause.
    let mut apart = with_service(10, 7, &rules(law, 10));
    let first = judge(&mut apart, &[1])[0];
    ethereum(&mut apart, 11, vec![]);
    let second = judge(&mut apart, &[2])[0];
    ethereum(&mut apart, 10, vec![]);
    let expected = (OrderStatus::Ordered, percent(40) * 4 / 100);
    assert_eq!((standing(&apart, first), standing(&apart, second)), (expected, expected));
}

#[test]
fn r11_a_third_of_the_power_goes_at_a_time_and_the_rest_queues_in_order() {
    // Of nine equal members three go in one span of 50 blocks.
    let mut run = with_service(9, 8, &rules(Law::Flat, 0));
    let cases = judge(&mut run, &[1, 2, 3, 4, 5]);
    let statuses = |run: &Run| cases.iter().map(|id| standing(run, *id).0).collect::<Vec<_>>();
    let (go, wait) = (OrderStatus::Ordered, OrderStatus::Waiting);
    assert_eq!(statuses(&run), [go, go, go, wait, wait]);
    ethereum(&mut run, 49, vec![]);
    assert_eq!(statuses(&run), [go, go, go, wait, wait], "one block too early");
    ethereum(&mut run, 1, vec![]);
    assert_eq!(statuses(&run), [go; 5]);
}

#[test]
fn r32_a_service_that_judges_without_end_fills_its_own_queue_and_no_other() {
    let mut run = with_service(3, 12, &rules(Law::Flat, 1_000));
    let other = RegistrationId { service: ServiceId::new([0x60; 32]), number: 1 };
    let of_other = Address::new([0xe9; 20]);
    let its_rules = ServiceRules { sets: vec![of_other].try_into().unwrap(), ..rules(Law::Flat, 0) };
    ethereum(&mut run, 1, vec![set(other.service, of_other, MOST), declared(other, &its_rules)]);
    let mut slots = 1..;
    for _ in 0..512 / 16 {
        let verdicts: Vec<_> =
            slots.by_ref().take(16).map(|slot| item(certified(&run, verdict(&run, 0, slot)))).collect();
        run.produce(verdicts);
    }
    let one_more = item(certified(&run, verdict(&run, 1, 1_000_000)));
    assert!(matches!(run.refusal(one_more), Invalid::Early(_)));
    let elsewhere = Verdict { registration: other, ..verdict(&run, 1, 1) };
    run.produce(vec![item(certified(&run, elsewhere))]);
    assert_eq!(run.ledger.dockets().count(), 513);
}

#[test]
fn r26_the_queue_drains_before_the_stake_can_leave() {
    // One of three weighs a third; a second waits for the throttle, which is never idle, and goes out as old as evidence may be.
    let mut run = with_service(3, 9, &rules(Law::Flat, 1_000));
    let capture = run.ledger.committee().ethereum.number;
    let cases = judge(&mut run, &[1, 2]);
    let left = capture + 150 - run.ledger.anchor(Ethereum).number;
    ethereum(&mut run, left - 1, vec![]);
    assert_eq!(standing(&run, cases[0]).0, OrderStatus::Waiting, "its window is longer than evidence counts");
    ethereum(&mut run, 1, vec![]);
    for id in &cases {
        assert_eq!(standing(&run, *id).0, OrderStatus::Ordered, "both, though two thirds go at once");
    }
    run.until_epoch(2);
    run.produce(vec![]);
    assert!(run.ledger.orders().all(|order| order.expiry <= capture + 170));
    ethereum(&mut run, 21, vec![]);
    for id in cases {
        assert_eq!(standing(&run, id).0, OrderStatus::Escaped, "what its snapshot counted may have left");
    }
    let late = certified_by(&run, Verdict { capture, ..verdict_in(&run, 1, 1) }, &[0, 1, 2]);
    assert_eq!(run.ledger.judge_verdict(&late), Err(Unproven::Expired));
}

/// A verdict in slot 99 of an epoch.
fn verdict_in(run: &Run, accused: usize, epoch: u32) -> Verdict {
    Verdict { slot: slot_of(Epoch::new(epoch), 99).unwrap(), ..verdict(run, accused, 1) }
}

#[test]
fn r09_a_convict_counts_no_more_for_a_service_either() {
    let mut run = with_service(4, 10, &rules(Law::Flat, 0));
    let judged = verdict(&run, 1, 1);
    let by_three = certified_by(&run, judged, &[0, 1, 2]);
    assert!(run.ledger.judge_verdict(&by_three).is_ok());
    let pair = run.network.pair(0, 11);
    run.produce(vec![Item::Evidence(pair)]);
    assert_eq!(run.ledger.judge_verdict(&by_three), Err(Unproven::NoQuorum), "two of the three who are left");
}

fn protocol(adapter: Address, protocol: SetProtocol) -> Fact {
    Fact::ServiceProtocol(SetProtocolSeen { adapter, protocol })
}

fn allocated(run: &Run, at: usize, adapter: Address, asset: u8, magnitude: u64) -> ServiceStakeSeen {
    let id = ServiceStakeId { adapter, operator: run.network.operators[at].id, asset: Address::new([asset; 20]) };
    let stake = Magnitudes {
        shares: 1_000,
        max_magnitude: 100,
        magnitude,
        pending: -i128::from(magnitude / 2),
        effect_block: 1_000,
        member: true,
        ..Magnitudes::NOTHING
    };
    ServiceStakeSeen { id, stake }
}

#[test]
fn r04_what_operators_allocate_to_a_service_has_rows_and_weighs_nothing() {
    let mut run = with_service(3, 12, &rules(Law::Flat, 0));
    let weights = |run: &Run| run.ledger.committee().members.iter().map(|member| member.ether).collect::<Vec<_>>();
    let before = weights(&run);
    let seen = allocated(&run, 1, SET, 9, 60);
    ethereum(&mut run, 1, vec![Fact::ServiceStake(seen)]);
    assert_eq!(run.ledger.service_stakes().count(), 0, "nobody has looked whose protocol the set is");
    assert_eq!(run.ledger.watch(Ethereum).service_sets, [(SET, None)].into());
    let foreign = Address::new([0xe9; 20]);
    let facts = vec![protocol(SET, SetProtocol::EigenLayer), protocol(foreign, SetProtocol::EigenLayer)];
    ethereum(&mut run, 1, facts);
    assert_eq!(
        (run.ledger.set_protocol(&SET), run.ledger.set_protocol(&foreign)),
        (Some(SetProtocol::EigenLayer), None)
    );
    ethereum(&mut run, 1, vec![protocol(SET, SetProtocol::Other)]);
    assert_eq!(run.ledger.set_protocol(&SET), Some(SetProtocol::EigenLayer), "what was found stands");
    let mut stranger = seen;
    stranger.id.operator = palisade_types::OperatorId::new([9; 20]);
    let elsewhere = allocated(&run, 1, foreign, 9, 60);
    ethereum(&mut run, 1, [seen, stranger, elsewhere].map(Fact::ServiceStake).to_vec());
    assert_eq!(
        run.ledger.service_stakes().map(|(id, stake)| (*id, *stake)).collect::<Vec<_>>(),
        [(seen.id, seen.stake)]
    );
    let watch = run.ledger.watch(Ethereum);
    assert_eq!(watch.service_stakes, [(seen.id, seen.stake)].into());
    assert_eq!(
        (seen.stake.slashable_at(999), seen.stake.slashable_at(1_000)),
        (600, 300),
        "what leaves lasts no longer"
    );
    run.until_epoch(3);
    assert_eq!(weights(&run), before, "it is no stake of the network's");
    let gone = ServiceStakeSeen { stake: Magnitudes::NOTHING, ..seen };
    ethereum(&mut run, 1, vec![Fact::ServiceStake(gone), Fact::ServiceStake(gone)]);
    assert_eq!(run.ledger.service_stakes().count(), 0);
}

#[test]
fn r32_no_more_sets_and_no_more_assets_are_followed_than_there_are_places() {
    let mut run = Run::joined(network(2, 13));
    let set_of = |at: usize| Address::new([u8::try_from(at).unwrap() + 1; 20]);
    let service_of = |at: usize| ServiceId::new([u8::try_from(at).unwrap() + 1; 32]);
    let sets = (0..=MAX_FOLLOWED).map(|at| set(service_of(at), set_of(at), MOST));
    let found = (0..=MAX_FOLLOWED).map(|at| protocol(set_of(at), SetProtocol::EigenLayer));
    ethereum(&mut run, 1, sets.chain(found).collect());
    assert_eq!(run.ledger.set_protocol(&set_of(MAX_FOLLOWED - 1)), Some(SetProtocol::EigenLayer));
    assert_eq!(run.ledger.set_protocol(&set_of(MAX_FOLLOWED)), Some(SetProtocol::Beyond));
    let assets = u8::try_from(MAX_SET_ASSETS).unwrap() + 1;
    let all = (0..assets).map(|asset| Fact::ServiceStake(allocated(&run, 0, set_of(0), asset, 10))).collect();
    ethereum(&mut run, 1, all);
    assert_eq!(run.ledger.service_stakes().count(), MAX_SET_ASSETS);
    let beyond = allocated(&run, 0, set_of(MAX_FOLLOWED), 1, 10);
    ethereum(&mut run, 1, vec![Fact::ServiceStake(beyond)]);
    assert_eq!(run.ledger.service_stakes().count(), MAX_SET_ASSETS);
}

/// What a random service may do.
#[derive(Clone, Debug)]
struct Plan {
    maximum: u64,
    most: u64,
    law: Law,
    window: u64,
}

fn plan() -> impl Strategy<Value = Plan> {
    let law = prop_oneof![Just(Law::Flat), (0_u32..1_000).prop_map(Law::Linear), (0_u32..1_000).prop_map(Law::Square)];
    (1_u64..=100, 1_u64..=100, law, 0_u64..30).prop_map(|(maximum, most, law, window)| Plan {
        maximum,
        most,
        law,
        window,
    })
}

/// Service `at` of a plan.
fn service_of(at: usize) -> (RegistrationId, Address) {
    let byte = u8::try_from(at).unwrap() + 1;
    (RegistrationId { service: ServiceId::new([byte; 32]), number: 1 }, Address::new([byte; 20]))
}

fn with_plans(seed: u64, plans: &[Plan]) -> Run {
    let mut run = Run::joined(network(4, seed));
    let mut facts = Vec::new();
    for (at, plan) in plans.iter().enumerate() {
        let (id, adapter) = service_of(at);
        facts.push(set(id.service, adapter, Wad::new(plan.maximum * PERCENT)));
        let fault = FaultRule { fault: 1, most: Wad::new(plan.most * PERCENT), law: plan.law };
        let rules = ServiceRules {
            sets: vec![adapter].try_into().unwrap(),
            faults: vec![fault].try_into().unwrap(),
            ..rules(plan.law, plan.window)
        };
        facts.push(declared(id, &rules));
    }
    ethereum(&mut run, 1, facts);
    run
}

/// How many blocks go by before the verdict, which service judges whom, in which slot, and the share of what it may ask.
type Step = (u64, usize, usize, u64, u64);

/// Plays the steps of the services that `only` picks. Every ledger holds its audit: no case takes from another's sets.
fn play(run: &mut Run, plans: &[Plan], steps: &[Step], only: impl Fn(usize) -> bool) {
    for (blocks, service, accused, slot, share) in steps {
        let service = service % plans.len();
        if only(service) {
            let (registration, _) = service_of(service);
            let part = Wad::new((plans[service].most * PERCENT / 100 * share).max(1));
            let judged = Verdict { registration, part, ..verdict(run, *accused, *slot) };
            let proposed = item(certified(run, judged));
            if run.ledger.admits(&proposed).is_ok() {
                run.produce(vec![proposed]);
            }
        }
        ethereum(run, *blocks, vec![]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Isolation: what one service's verdicts take comes out of its own sets, in every span at most its own maximum of each operator, and
    /// neither weight, nor stake, nor another service's set is touched by it.
    #[test]
    fn r11_a_fault_in_one_service_takes_only_what_is_allocated_to_it(
        seed in 0_u64..1_000,
        plans in prop::collection::vec(plan(), 2..4),
        steps in prop::collection::vec((1_u64..12, 0_usize..4, 0_usize..4, 1_u64..40, 1_u64..=100), 1..12),
    ) {
        let mut run = with_plans(seed, &plans);
        let before: Vec<_> = run.ledger.positions().map(|(id, position)| (*id, *position)).collect();
        play(&mut run, &plans, &steps, |_| true);
        for judged in run.ledger.cases() {
            let Some(Evidence::Verdict(told)) = &judged.evidence else { panic!("only verdicts") };
            let (at, plan) = plans.iter().enumerate().find(|(at, _)| service_of(*at).0 == told.verdict.registration).unwrap();
            for order in &judged.orders {
                let own = SlashTarget::Service(ServiceTarget { adapter: service_of(at).1, asset: None });
                prop_assert_eq!(order.target, own);
                prop_assert!(order.asked <= u128::from(told.verdict.part.get()).min(percent(plan.maximum)));
            }
        }
        for order in run.ledger.orders() {
            let (id, adapter) = (0..plans.len()).map(service_of).find(|(id, _)| id.service == order.service).unwrap();
            prop_assert_eq!((order.service, order.adapter), (id.service, adapter));
        }
        // In any 50 blocks one operator loses at most the registered maximum to one service.
        let released = |docket: &palisade_types::verdict::Docket| match docket.stage {
            palisade_types::verdict::Stage::Let(released) => Some(released.block),
            palisade_types::verdict::Stage::Waiting => None,
        };
        for docket in run.ledger.dockets() {
            let Some(block) = released(docket) else { continue };
            let same = run.ledger.dockets().filter(|other| {
                other.verdict.operator == docket.verdict.operator
                    && other.verdict.registration.service == docket.verdict.registration.service
                    && released(other).is_some_and(|other| other <= block && other + 50 > block)
            });
            let sum: u128 = same.map(|other| run.ledger.case(&other.case).unwrap().orders[0].asked).sum();
            let maximum = run.ledger.service(&docket.verdict.registration.service).unwrap().sets[0].maximum;
            prop_assert!(sum <= u128::from(maximum.get()));
        }
        prop_assert!(run.ledger.operators().all(|one| one.convicted.is_none() && one.jailed.is_none()));
        prop_assert_eq!(run.ledger.positions().map(|(id, position)| (*id, *position)).collect::<Vec<_>>(), before);
    }

    /// Another service's verdicts change nothing of what a service's own verdicts ask, but for when the throttle lets them go.
    #[test]
    fn r11_what_a_service_asks_does_not_depend_on_the_others(
        seed in 0_u64..1_000,
        plans in prop::collection::vec(plan(), 2..3),
        steps in prop::collection::vec((1_u64..5, 0_usize..2, 0_usize..4, 1_u64..40, 1_u64..=100), 1..6),
    ) {
        let (mut alone, mut among) = (with_plans(seed, &plans), with_plans(seed, &plans));
        play(&mut alone, &plans, &steps, |service| service == 0);
        play(&mut among, &plans, &steps, |_| true);
        let asked = |run: &Run| -> Vec<(CaseId, Wad)> {
            let (id, _) = service_of(0);
            let own = run.ledger.dockets().filter(|docket| docket.verdict.registration == id);
            own.map(|docket| (docket.case, docket.verdict.part)).collect()
        };
        prop_assert_eq!(asked(&alone), asked(&among));
    }
}
