//! Downtime: who is jailed for it, who is not, and how he comes back (R20).

#![allow(clippy::unwrap_used)] // a test that cannot go on has failed

use palisade_ledger::Invalid;
use palisade_ledger::fixture::{Run, network};
use palisade_types::chain::ChainKind::Ethereum;
use palisade_types::duty::Unjail;
use palisade_types::{Ed25519Signature, Evidence, Height, Item, OperatorId, Unproven};

/// The window of a fixture: twelve epochs of ten heights.
const WINDOW: u16 = 120;

fn id(run: &Run, at: usize) -> OperatorId {
    run.network.operators[at].id
}

/// Blocks, each certified by `signers`, until `over` says that it is enough.
fn certified_until(run: &mut Run, signers: &[usize], over: impl Fn(&Run) -> bool) {
    for _ in 0..1_000 {
        if over(run) {
            run.ledger.audit().unwrap();
            return;
        }
        let head = run.ledger.head().height;
        let seated = run.ledger.epoch_of(head) == Some(run.ledger.epoch().epoch);
        let items = seated.then(|| Item::EtherFinal(run.certify(head.get(), signers)));
        run.produce(items.into_iter().collect());
    }
    panic!("it never came");
}

fn is_jailed(run: &Run, at: usize) -> bool {
    run.ledger.operator(&id(run, at)).unwrap().jailed.is_some()
}

fn unjail(run: &Run, at: usize, jailed: Height) -> Unjail {
    let operator = id(run, at);
    let message = Unjail::message(&run.network.chain, &operator, jailed);
    let signature = Ed25519Signature::new(run.network.operators[at].ed25519.sign(&message).0);
    Unjail { operator, jailed, signature }
}

fn ethereum(run: &mut Run, blocks: u64) {
    let upto = run.ledger.anchor(Ethereum).number + blocks;
    run.observe(Ethereum, upto, vec![]);
}

#[test]
fn r20_who_misses_more_than_four_fifths_of_a_full_window_is_jailed_and_loses_nothing() {
    let mut run = Run::joined(network(4, 1));
    certified_until(&mut run, &[0, 1, 2], |run| is_jailed(run, 3));
    let operator = run.ledger.operator(&id(&run, 3)).unwrap().clone();
    let duty = run.ledger.duty(&id(&run, 3)).unwrap();
    assert_eq!((duty.window, duty.seen, operator.missed), (WINDOW, WINDOW, WINDOW.into()), "not before it is full");
    assert_eq!((operator.convicted, run.ledger.cases().count()), (None, 0));
    assert!([0, 1, 2].iter().all(|at| !is_jailed(&run, *at)));
    let epoch = run.ledger.epoch().epoch.get();
    run.until_epoch(epoch + 1);
    assert_eq!(run.ledger.committee().seat(&operator.id), None, "his weight leaves with the next committee");
}

#[test]
fn r20_who_attests_one_slot_in_four_is_not_down() {
    let mut run = Run::joined(network(4, 2));
    for _ in 0..2 * u32::from(WINDOW) {
        let head = run.ledger.head().height;
        let all = head.get().is_multiple_of(4);
        let signers: &[usize] = if all { &[0, 1, 2, 3] } else { &[0, 1, 2] };
        let seated = run.ledger.epoch_of(head) == Some(run.ledger.epoch().epoch);
        let items = seated.then(|| Item::EtherFinal(run.certify(head.get(), signers)));
        run.produce(items.into_iter().collect());
    }
    let duty = run.ledger.duty(&id(&run, 3)).unwrap();
    assert!(duty.seen == WINDOW && duty.count() > u32::from(WINDOW) / 2, "{duty:?}");
    assert!(!is_jailed(&run, 3));
}

#[test]
fn r20_he_leaves_jail_by_his_own_signature_when_his_time_is_over() {
    let mut run = Run::joined(network(4, 3));
    certified_until(&mut run, &[0, 1, 2], |run| is_jailed(run, 3));
    let jailed = run.ledger.operator(&id(&run, 3)).unwrap().jailed.unwrap();
    let word = unjail(&run, 3, jailed);
    assert!(matches!(run.refusal(Item::Unjail(word)), Invalid::Early(_)));
    ethereum(&mut run, 49);
    assert!(matches!(run.refusal(Item::Unjail(word)), Invalid::Early(_)), "one block too early");
    ethereum(&mut run, 1);
    let by_another = Unjail { signature: unjail(&run, 2, jailed).signature, ..word };
    assert!(matches!(run.refusal(Item::Unjail(by_another)), Invalid::Unproven(Unproven::BadSignature)));
    let of_another_stay = unjail(&run, 3, jailed.next());
    assert!(matches!(run.refusal(Item::Unjail(of_another_stay)), Invalid::Late(_)));
    run.produce(vec![Item::Unjail(word)]);
    run.ledger.audit().unwrap();
    assert!(!is_jailed(&run, 3));
    // A slot of the time before may be booked in the same block.
    assert!(run.ledger.duty(&id(&run, 3)).unwrap().seen <= 1, "with a clean window");
    assert!(matches!(run.refusal(Item::Unjail(word)), Invalid::Late(_)), "one word opens one stay");
    let epoch = run.ledger.epoch().epoch.get();
    run.until_epoch(epoch + 2); // the next committee may have been drawn before he came
    assert!(run.ledger.committee().seat(&id(&run, 3)).is_some());
}

#[test]
fn r11_equivocation_is_a_tombstone_and_waits_for_no_throttle() {
    let mut run = Run::joined(network(4, 4));
    certified_until(&mut run, &[0, 1, 2], |run| is_jailed(run, 3));
    let jailed = run.ledger.operator(&id(&run, 3)).unwrap().jailed.unwrap();
    // A quarter of the weight went a moment ago, and nothing more may go by the throttle.
    let height = run.ledger.head().height.get();
    let pairs = [run.network.pair(3, height), run.network.pair(2, height)];
    run.produce(pairs.map(Item::Evidence).to_vec());
    assert!([2, 3].iter().all(|at| run.ledger.operator(&id(&run, *at)).unwrap().convicted.is_some()));
    ethereum(&mut run, 50);
    let word = unjail(&run, 3, jailed);
    assert!(matches!(run.refusal(Item::Unjail(word)), Invalid::Refused(_)));
}

#[test]
fn r11_no_more_than_a_third_of_the_power_is_jailed_for_downtime_in_one_span() {
    let mut run = Run::joined(network(7, 5));
    certified_until(&mut run, &[0, 1, 2, 3, 4], |run| is_jailed(run, 5) && is_jailed(run, 6));
    // Two of seven fit below a third; of four one does. They need no second span.
    assert_eq!(run.ledger.operators().filter(|one| one.jailed.is_some()).count(), 2);
    let mut run = Run::joined(network(4, 6));
    certified_until(&mut run, &[0, 1, 2], |run| is_jailed(run, 3));
    let epoch = run.ledger.epoch().epoch.get();
    run.until_epoch(epoch + 1);
    let (first, second) = (run.network.operators[3].id, run.network.operators[2].id);
    assert!(run.ledger.committee().seat(&first).is_none() && run.ledger.committee().seat(&second).is_some());
}

#[test]
fn r18_who_was_in_jail_for_two_votes_does_not_go_there_again_for_the_same() {
    let mut run = Run::joined(network(4, 7));
    let pair = run.network.vote_pair(1, 12, [b"this", b"that"]);
    run.produce(vec![Item::Evidence(Evidence::Votes(pair.clone()))]);
    let jailed = run.ledger.operator(&pair.operator).unwrap().jailed.unwrap();
    ethereum(&mut run, 50);
    let word = unjail(&run, 1, jailed);
    run.produce(vec![Item::Unjail(word)]);
    assert_eq!(run.ledger.judge_votes(&pair), Err(Unproven::AlreadyConvicted));
    let later = run.network.vote_pair(1, run.ledger.head().height.get() + 1, [b"this", b"that"]);
    assert!(run.ledger.judge_votes(&later).is_ok());
}
