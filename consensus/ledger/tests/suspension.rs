//! R30: a chain that took back what was final is suspended, weighs nothing, and goes on from a new start anchor.

#![allow(clippy::unwrap_used)] // a test that cannot go on has failed

use palisade_ledger::Invalid;
use palisade_ledger::fixture::{Network, Run, network, point};
use palisade_types::certificate::{BitcoinCertificate, Worthless};
use palisade_types::chain::ChainKind::{self, Bitcoin, Ethereum};
use palisade_types::chain::ChainPoint;
use palisade_types::observation::{Observation, VaultConfirmed, VaultSpent};
use palisade_types::slash::OrderStatus;
use palisade_types::vault::{Spend, VaultLoss, VaultStatus};
use palisade_types::{Fact, Hash, Height, Item, Sats, Suspended, VaultId};

/// Four members with equal ether and a vault of a bitcoin each, nonces for checkpoints 10 to 60; Bitcoin's anchor is 205.
fn joined(seed: u64) -> Run {
    let mut run = Run::new(network(4, seed));
    let facts = run.network.joining_facts();
    run.observe(Ethereum, 105, facts);
    let mut items = Vec::new();
    for index in 0..4 {
        items.push(Item::Vault(Box::new(run.network.vault(index, 1, 100_000_000, 201))));
        items.push(Item::Randomness(run.network.randomness(index, 10, 11)));
    }
    run.produce(items);
    run.observe(Bitcoin, 205, vec![]);
    let confirmed = confirmations(&run);
    run.observe(Bitcoin, 206, confirmed);
    run.until_epoch(1);
    run
}

fn confirmations(run: &Run) -> Vec<Fact> {
    run.ledger.vaults().map(|vault| locked(vault.id, 201)).collect()
}

fn locked(id: VaultId, height: u64) -> Fact {
    Fact::VaultConfirmed(VaultConfirmed { id, height })
}

fn vault_of(run: &Run, index: usize) -> VaultId {
    let operator = run.network.operators[index].id;
    run.ledger.vaults().find(|vault| vault.registration.operator == operator).unwrap().id
}

fn spent(id: VaultId, spend: Spend) -> Fact {
    Fact::VaultSpent(VaultSpent { id, spend })
}

fn suspended(run: &Run, chain: ChainKind) -> Item {
    Item::Suspended(Suspended { chain, anchor: *run.ledger.anchor(chain) })
}

/// A block of the chain that took the other's place.
fn other(number: u64) -> ChainPoint {
    ChainPoint { hash: Hash::new([0xee; 32]), ..point(Bitcoin, number) }
}

fn resumed(run: &Run, upto: ChainPoint, facts: Vec<Fact>) -> Item {
    let (chain, after) = (Bitcoin, *run.ledger.anchor(Bitcoin));
    Item::Resumed(Observation { chain, after, upto, facts: facts.try_into().unwrap() })
}

fn checkpoint(run: &Run, slot: u64) -> BitcoinCertificate {
    let id = run.ledger.block_id(Height::new(slot)).unwrap();
    let votes: Vec<_> = (0..4).map(|index| run.network.finality_vote(index, slot, id.into(), 10, 11)).collect();
    run.network.bitcoin_certificate(run.ledger.committee(), &votes)
}

#[test]
fn r30_a_suspended_bitcoin_weighs_nothing_at_once_and_the_rest_goes_on() {
    let mut run = joined(1);
    run.until_height(16);
    let certificate = run.certify(15, &[0, 1, 2]);
    run.produce(vec![Item::EtherFinal(certificate)]);
    let bitcoin_final = Item::BitcoinFinal(checkpoint(&run, 15));
    // The block that suspends is still judged by its parent (R9).
    let both = vec![suspended(&run, Bitcoin), bitcoin_final.clone()];
    assert!(run.ledger.draft(both).2.is_empty());
    let (anchor, since) = (*run.ledger.anchor(Bitcoin), run.ledger.head().height.next());
    run.produce(vec![suspended(&run, Bitcoin)]);
    let suspension = run.ledger.suspension(Bitcoin).unwrap();
    assert_eq!((suspension.anchor, suspension.since, suspension.resumed), (anchor, since, None));
    run.ledger.audit().unwrap();
    let mut seats = run.ledger.committee().members.iter();
    assert!(seats.all(|member| member.bitcoin > 0), "seats stay until the hand-over");
    assert!(matches!(
        run.refusal(bitcoin_final),
        Invalid::Worthless(Worthless::NoQuorum { signed: 0, total: 40_000_000 })
    ));
    let moved = run.network.observed(&run.ledger, Bitcoin, 207, vec![]);
    assert!(matches!(run.refusal(moved), Invalid::Late(_)), "its anchor stands still");
    assert!(matches!(run.refusal(suspended(&run, Bitcoin)), Invalid::Late(_)), "once");
    // Ethereum's anchor, ether finality, evidence and registrations go on.
    run.observe(Ethereum, 107, vec![]);
    let height = run.ledger.head().height.get();
    let certificate = run.certify(height, &[0, 1, 2]);
    run.produce(vec![Item::EtherFinal(certificate)]);
    assert_eq!(run.ledger.finality().ether.unwrap().height.get(), height);
    let vault = run.network.vault(0, 2, 100_000_000, 202);
    run.produce(vec![Item::Vault(Box::new(vault))]);
    let pair = run.network.eots_pair(3, 15, 10, 11);
    run.produce(vec![Item::Evidence(pair)]);
    assert_eq!(run.ledger.cases().next().unwrap().orders.len(), 1, "what is to be taken is ordered all the same");
    // The epoch ends early, and the next committee has no bitcoin.
    run.until_epoch(2);
    let committee = run.ledger.committee();
    assert!(committee.has_weight() && committee.members.iter().all(|member| member.bitcoin == 0 && member.ether > 0));
    assert!(
        run.ledger.vaults().take(4).all(|vault| matches!(vault.status, VaultStatus::Active | VaultStatus::Verified))
    );
    run.ledger.audit().unwrap();
}

#[test]
fn r30_only_the_agreed_anchor_of_bitcoin_can_be_gone() {
    let mut run = joined(2);
    assert!(matches!(run.refusal(suspended(&run, Ethereum)), Invalid::Refused(_)));
    let elsewhere = Item::Suspended(Suspended { chain: Bitcoin, anchor: point(Bitcoin, 205) });
    assert!(matches!(run.refusal(elsewhere), Invalid::Late(_)));
    let told = || vec![Fact::Rewound(point(Bitcoin, 200))];
    assert!(matches!(run.refusal(resumed(&run, other(208), told())), Invalid::Late(_)), "it is not suspended");
    // One item about a chain in one block.
    let moved = run.network.observed(&run.ledger, Bitcoin, 207, vec![]);
    let (block, _, refused) = run.ledger.draft(vec![suspended(&run, Bitcoin), moved]);
    assert_eq!((block.items.len(), refused.len()), (1, 1));
    // No observation rewinds.
    let rewinds = run.network.observed(&run.ledger, Bitcoin, 207, told());
    assert!(matches!(run.refusal(rewinds), Invalid::Refused(_)));
    run.produce(vec![suspended(&run, Bitcoin)]);
    let start = run.network.genesis.bitcoin_start;
    for (upto, facts, early) in [
        (other(208), vec![], false),
        (other(208), confirmations(&run), false),
        (other(208), vec![Fact::Rewound(other(200))], false),
        (other(208), vec![Fact::Rewound(*run.ledger.anchor(Bitcoin))], false),
        (start, vec![Fact::Rewound(start)], false),
        (other(208), vec![Fact::Rewound(start), Fact::Rewound(start)], false),
        (other(208), vec![Fact::Rewound(start), run.network.stake_fact(0, 1)], false),
    ] {
        let refusal = run.refusal(resumed(&run, upto, facts));
        assert!(matches!((&refusal, early), (Invalid::Refused(_), false)), "{refusal:?}");
    }
    let mut stale = resumed(&run, other(208), vec![Fact::Rewound(start)]);
    if let Item::Resumed(observation) = &mut stale {
        observation.after = point(Bitcoin, 205);
    }
    assert!(matches!(run.refusal(stale), Invalid::Late(_)));
}

#[test]
fn r30_a_resumption_tells_anew_what_the_chain_took_back_and_leaves_the_rest() {
    let mut run = joined(3);
    let start = run.network.genesis.bitcoin_start;
    // Epoch 1's committee was drawn at 206: what came later is on shaky ground.
    let shared = run.ledger.committee().bitcoin;
    assert_eq!(shared.number, 206);
    let late = run.network.vault(1, 2, 100_000_000, 208);
    let mut ids: Vec<VaultId> = (0..4).map(|index| vault_of(&run, index)).collect();
    ids.push(Network::vault_id(&late));
    run.produce(vec![Item::Evidence(run.network.eots_pair(3, 15, 10, 11)), Item::Vault(Box::new(late))]);
    let txid = Hash::new([7; 32]);
    let loss = VaultLoss { txid, taken: Sats::new(10_000_000) };
    run.observe(
        Bitcoin,
        210,
        vec![
            locked(ids[4], 208),
            spent(ids[0], Spend::Unbonded(txid)),
            spent(ids[1], Spend::Withdrawn(txid)),
            spent(ids[3], Spend::Slashed(loss)),
        ],
    );
    let order = |run: &Run| run.ledger.cases().next().unwrap().orders[0].status;
    let status = |run: &Run, index: usize| run.ledger.vault(&ids[index]).unwrap().status;
    assert!(matches!(order(&run), OrderStatus::Final(_)));
    assert_eq!(status(&run, 4), VaultStatus::Active);
    run.produce(vec![suspended(&run, Bitcoin)]);
    let watch = run.ledger.watch(Bitcoin);
    assert_eq!(watch.older, [shared, start], "newest first, the present one left out");
    assert_eq!(watch.vaults.len(), 5, "those that seemed over too");
    let rewound = watch.rewound(&shared);
    let statuses: Vec<_> = ids.iter().map(|id| rewound.vaults[id].status).collect();
    let (verified, active) = (VaultStatus::Verified, VaultStatus::Active);
    assert_eq!(statuses, [active, active, active, active, verified], "as far as the shared blocks lock their coins");
    assert_eq!(rewound.vaults[&ids[4]].registration.inclusion, None, "it may come in another block");
    // On the new chain, which is no longer than the old one, the second and the third unbond, the first was never spent, the
    // fifth's staking transaction is not there, and nothing was slashed.
    let told = vec![Fact::Rewound(shared), spent(ids[1], Spend::Unbonded(txid)), spent(ids[2], Spend::Unbonded(txid))];
    run.produce(vec![resumed(&run, other(209), told)]);
    assert_eq!(run.ledger.suspension(Bitcoin), None);
    assert_eq!(*run.ledger.anchor(Bitcoin), other(209));
    let statuses: Vec<_> = (0..5).map(|index| status(&run, index)).collect();
    let unbonding = VaultStatus::Unbonding(txid);
    assert_eq!(statuses, [active, unbonding, unbonding, active, verified]);
    assert_eq!(order(&run), OrderStatus::Ordered, "a reorged slash is to be taken again");
    run.ledger.audit().unwrap();
    // And it is; the fifth's staking transaction comes back, in another block than it was registered with.
    let observation = Observation {
        chain: Bitcoin,
        after: other(209),
        upto: other(211),
        facts: vec![locked(ids[4], 210), spent(ids[3], Spend::Slashed(loss))].try_into().unwrap(),
    };
    run.produce(vec![Item::Observed(observation)]);
    assert_eq!((status(&run, 4), status(&run, 3)), (active, VaultStatus::Slashed(loss)));
    assert_eq!(run.ledger.vault(&ids[4]).unwrap().start, Some(210));
    assert!(matches!(order(&run), OrderStatus::Final(_)));
    let again = Item::Suspended(Suspended { chain: Bitcoin, anchor: other(211) });
    run.produce(vec![again]);
    assert!(run.ledger.suspension(Bitcoin).is_some(), "it can happen again");
}

#[test]
fn r30_a_deeper_reorganisation_goes_back_to_genesis_start() {
    let mut run = joined(4);
    let ids: Vec<VaultId> = (0..4).map(|index| vault_of(&run, index)).collect();
    run.produce(vec![suspended(&run, Bitcoin)]);
    let start = run.network.genesis.bitcoin_start;
    run.produce(vec![resumed(&run, other(230), vec![Fact::Rewound(start)])]);
    assert!(ids.iter().all(|id| run.ledger.vault(id).unwrap().status == VaultStatus::Verified));
    assert!(ids.iter().all(|id| Network::vault_id(&run.ledger.vault(id).unwrap().registration) == *id));
    run.until_epoch(2);
    assert!(run.ledger.committee().members.iter().all(|member| member.bitcoin == 0));
}
