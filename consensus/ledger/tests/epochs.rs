//! When epochs end, who sits in the next, and what their seats weigh.

use palisade_ledger::Invalid;
use palisade_ledger::fixture::{BOND, Run, network};
use palisade_types::{Epoch, Hash, Height, Item};

#[test]
fn r06_epoch_0_orders_blocks_and_weighs_nothing() {
    let mut run = Run::new(network(4, 1));
    let seats = run.ledger.committee().clone();
    assert_eq!(seats.members.len(), 4);
    assert!(!seats.has_weight());
    assert!(seats.members.iter().all(|member| member.engine == 1));
    run.produce(vec![]);
    let certificate = run.certify(1, &[0, 1, 2, 3]);
    run.produce(vec![]);
    assert!(matches!(
        run.refusal(Item::EtherFinal(certificate)),
        Invalid::Refused(_)
    ));
    run.until_height(9);
    assert_eq!(run.ledger.epoch().epoch, Epoch::new(0));
    // Nobody could certify the boundary block, so it is the epoch's last itself.
    let block = run.produce(vec![]);
    assert_ne!(block.header.next_committee, Hash::ZERO);
    assert_eq!(run.ledger.epoch().epoch, Epoch::new(1));
    assert_eq!(run.ledger.epoch().first, Height::new(11));
    // Nobody has stake: the seats go on.
    assert_eq!(run.ledger.committee().members, seats.members);
}

#[test]
fn r10_a_committee_takes_office_when_its_boundary_is_certified() {
    let mut run = Run::joined(network(4, 2));
    assert_eq!(run.ledger.committee().total_ether(), u128::from(BOND) * 4);
    run.until_height(run.ledger.epoch().first.get() + 8);
    let boundary = run.produce(vec![]).header;
    assert_ne!(boundary.next_committee, Hash::ZERO);
    for _ in 0..3 {
        let header = run.produce(vec![]).header;
        assert_eq!(header.next_committee, Hash::ZERO, "only one header names it");
        assert_eq!(header.epoch, Epoch::new(1));
    }
    let certificate = run.certify(boundary.height.get(), &[0, 1, 2]);
    let last = run.produce(vec![Item::EtherFinal(certificate)]).header;
    assert_eq!(last.epoch, Epoch::new(1));
    assert_eq!(run.ledger.epoch().epoch, Epoch::new(2));
    assert_eq!(run.ledger.epoch().first, last.height.next());
    let hash = run.ledger.committee().hash(&run.ledger.chain());
    assert_eq!(hash, boundary.next_committee);
    assert_eq!(run.ledger.epoch_of(last.height), Some(Epoch::new(1)));
    assert_eq!(run.ledger.epoch_of(last.height.next()), Some(Epoch::new(2)));
    assert_eq!(run.ledger.epoch_of(Height::new(0)), None);
    run.ledger.audit().unwrap();
}
