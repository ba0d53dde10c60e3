//! The life of a vault in the ledger: registered before or after its coins are locked, expired, expanded, lapsed.

#![allow(clippy::unwrap_used)] // a test that cannot go on has failed

use palisade_ledger::Invalid;
use palisade_ledger::fixture::{Network, Run, network, network_with};
use palisade_types::chain::ChainKind::{Bitcoin, Ethereum};
use palisade_types::observation::VaultSpent;
use palisade_types::slash::{CaseStatus, OrderStatus, SlashTarget};
use palisade_types::vault::{
    LAPSE_BLOCKS, MAX_EXPANSIONS, MAX_VERIFIED, Phase, Spend, Vault, VaultLoss, VaultRegistration, VaultStatus,
};
use palisade_types::{BasisPoints, Fact, Hash, Item, List, Sats, SchnorrKey, VaultId};
use proptest::prelude::*;

const BTC: u64 = 100_000_000;

/// Two operators with keys; Bitcoin's anchor is 200.
fn registered(seed: u64) -> Run {
    began(network(2, seed))
}

fn began(network: Network) -> Run {
    let mut run = Run::new(network);
    let facts = run.network.joining_facts();
    run.observe(Ethereum, 105, facts);
    run
}

fn hold(run: &mut Run, vault: impl FnOnce(&Run) -> VaultRegistration) -> VaultId {
    let vault = vault(run);
    let id = Network::vault_id(&vault);
    run.produce(vec![Item::Vault(Box::new(vault))]);
    id
}

fn refused(run: &Run, vault: &VaultRegistration) -> Invalid {
    run.refusal(Item::Vault(Box::new(vault.clone())))
}

fn status(run: &Run, id: &VaultId) -> VaultStatus {
    run.ledger.vault(id).unwrap().status
}

fn phase(run: &Run, id: &VaultId) -> Phase {
    let vault = run.ledger.vault(id).unwrap();
    let terms = run.ledger.genesis_of().terms(vault.registration.terms).unwrap();
    vault.phase(terms, run.ledger.anchor(Bitcoin).number)
}

fn spent(id: VaultId, spend: Spend) -> Fact {
    Fact::VaultSpent(VaultSpent { id, spend })
}

// ---- before the coins are locked -----------------------------------------------------------------------------------

#[test]
fn a_vault_signed_for_ahead_counts_from_a_confirmation_above_its_anchor_only() {
    let check = |height: u64, active: bool| {
        let mut run = registered(1);
        run.observe(Bitcoin, 202, vec![]);
        let id = hold(&mut run, |run| run.network.prestaked(0, 1, BTC));
        let vault = run.ledger.vault(&id).unwrap();
        assert_eq!((vault.registered, vault.start, vault.status), (202, None, VaultStatus::Verified));
        run.observe(Bitcoin, 205, vec![Network::confirmed(id, height)]);
        let vault = run.ledger.vault(&id).unwrap();
        assert_eq!((vault.start, vault.end_height()), (active.then_some(height), active.then_some(height + 1_000)));
        assert_eq!(vault.status == VaultStatus::Active, active, "{height}");
    };
    check(202, false); // nobody looked there
    check(203, true);
    check(205, true);
    check(206, false); // not final
}

#[test]
fn a_vault_that_stood_in_a_block_by_then_is_registered_again_with_it_and_with_no_other() {
    let mut run = registered(2);
    run.observe(Bitcoin, 210, vec![]);
    let ahead = run.network.prestaked(0, 1, BTC);
    let id = hold(&mut run, |_| ahead.clone());
    run.observe(Bitcoin, 215, vec![]);
    let with = |height| run.network.vault(0, 1, BTC, height);
    assert!(matches!(refused(&run, &ahead), Invalid::Late(_)));
    assert!(matches!(refused(&run, &with(211)), Invalid::Late(_)), "the followers find it there themselves");
    let mut anothers = with(210);
    anothers.operator = run.network.operators[1].id;
    anothers.providers = run.network.vault(1, 1, BTC, 210).providers;
    assert!(matches!(refused(&run, &anothers), Invalid::Late(_)));
    let known = with(210);
    assert_eq!(hold(&mut run, |_| known.clone()), id);
    assert_eq!(run.ledger.vault(&id).unwrap().registered, 215);
    assert!(matches!(refused(&run, &known), Invalid::Late(_)), "only once");
    run.observe(Bitcoin, 216, vec![Network::confirmed(id, 209)]);
    assert_eq!(status(&run, &id), VaultStatus::Verified, "another height than the registration's");
    run.observe(Bitcoin, 217, vec![Network::confirmed(id, 210)]);
    assert_eq!(status(&run, &id), VaultStatus::Active);
}

#[test]
fn r32_what_is_never_locked_lapses_and_makes_room() {
    let mut run = registered(3);
    let quota = u32::try_from(MAX_VERIFIED).unwrap();
    let ahead = |run: &Run, number| Item::Vault(Box::new(run.network.prestaked(0, number, BTC)));
    let all = (0..quota).map(|number| ahead(&run, number)).collect();
    run.produce(all);
    assert!(matches!(run.refusal(ahead(&run, quota)), Invalid::Early(_)));
    run.produce(vec![Item::Vault(Box::new(run.network.prestaked(1, quota, BTC)))]); // another operator's
    run.observe(Bitcoin, 200 + LAPSE_BLOCKS, vec![]);
    assert_eq!(run.ledger.vaults().count(), MAX_VERIFIED + 1);
    run.observe(Bitcoin, 200 + LAPSE_BLOCKS + 1, vec![]);
    assert_eq!(run.ledger.vaults().count(), 0);
    run.ledger.audit().unwrap();
    let again = ahead(&run, quota);
    run.produce(vec![again]);
    assert_eq!(run.ledger.vaults().count(), 1);
}

#[test]
fn r32_promises_of_coins_that_cost_nothing_keep_out_no_stake_that_stands_in_a_block() {
    let mut run = registered(23);
    let quota = u32::try_from(MAX_VERIFIED).unwrap();
    let made_up = (0..quota).map(|number| Item::Vault(Box::new(run.network.prestaked(0, number, BTC)))).collect();
    run.produce(made_up);
    for number in quota..=2 * quota {
        let id = hold(&mut run, |run| run.network.vault(0, number, BTC, 199));
        assert_eq!(status(&run, &id), VaultStatus::Verified);
    }
    assert!(matches!(refused(&run, &run.network.prestaked(0, 99, BTC)), Invalid::Early(_)));
}

#[test]
fn r30_a_stake_whose_block_was_replaced_before_it_was_final_counts_where_it_stands() {
    let check = |named: u64, confirmed: u64, active: bool| {
        let mut run = registered(24);
        run.observe(Bitcoin, 202, vec![]);
        let id = hold(&mut run, |run| run.network.vault(0, 1, BTC, named));
        run.observe(Bitcoin, 206, vec![Network::confirmed(id, confirmed)]);
        assert_eq!(status(&run, &id) == VaultStatus::Active, active, "{named} {confirmed}");
        assert_eq!(run.ledger.vault(&id).unwrap().start, active.then_some(confirmed));
    };
    check(203, 203, true);
    check(203, 205, true); // its block was replaced, and it came two later
    check(204, 203, true); // or earlier
    check(203, 202, false); // that was final when it was registered
    check(203, 207, false); // not final
    check(202, 202, true);
    check(202, 203, false); // a block that was final is not replaced
}

#[test]
fn what_lapses_behind_a_convict_escapes_until_its_coins_are_locked_after_all() {
    let mut run = registered(4);
    let id = hold(&mut run, |run| run.network.prestaked(0, 1, BTC));
    run.produce(vec![Item::Evidence(run.network.exposed_key(0))]);
    let order = |run: &Run| run.ledger.cases().next().unwrap().orders[0];
    assert_eq!((order(&run).target, order(&run).status), (SlashTarget::Vault(id), OrderStatus::Ordered));
    run.observe(Bitcoin, 201 + LAPSE_BLOCKS, vec![]);
    assert_eq!(order(&run).status, OrderStatus::Escaped);
    assert_eq!(run.ledger.cases().next().unwrap().status(), CaseStatus::Final);
    run.ledger.audit().unwrap();
    run.observe(Bitcoin, 205 + LAPSE_BLOCKS, vec![Network::confirmed(id, 203 + LAPSE_BLOCKS)]);
    assert_eq!((status(&run, &id), order(&run).status), (VaultStatus::Active, OrderStatus::Ordered));
}

#[test]
fn a_vault_keeps_for_life_the_terms_it_was_registered_under() {
    let mut run = began(network_with(2, 5, |genesis| {
        let mut stricter = genesis.vaults[0].clone();
        stricter.activation = 210;
        stricter.slash_rate = BasisPoints::new(2_000).unwrap();
        genesis.vaults.push(stricter).unwrap();
    }));
    let of = |vault: VaultRegistration, terms| VaultRegistration { terms, ..vault };
    let ahead = |run: &Run, number, terms| of(run.network.prestaked(0, number, BTC), terms);
    assert!(matches!(refused(&run, &ahead(&run, 1, 1)), Invalid::Early(_)));
    let old = hold(&mut run, |run| ahead(run, 1, 0));
    run.observe(Bitcoin, 210, vec![]);
    assert!(matches!(refused(&run, &ahead(&run, 2, 0)), Invalid::Late(_)));
    let new = hold(&mut run, |run| ahead(run, 2, 1));
    for (height, terms, right) in [(209, 0, true), (209, 1, false), (210, 0, false), (210, 1, true)] {
        let vault = of(run.network.vault(0, 3, BTC, height), terms);
        let admitted = run.ledger.admits(&Item::Vault(Box::new(vault)));
        assert!(
            if right { admitted.is_ok() } else { matches!(admitted, Err(Invalid::Refused(_))) },
            "{height} {terms}"
        );
    }
    run.observe(Bitcoin, 215, vec![Network::confirmed(old, 212), Network::confirmed(new, 212)]);
    run.produce(vec![Item::Evidence(run.network.exposed_key(0))]);
    let case = run.ledger.cases().next().unwrap();
    let asked = |id| case.orders.iter().find(|order| order.target == SlashTarget::Vault(id)).unwrap().asked;
    assert_eq!((asked(old), asked(new)), (10_000_000, 20_000_000));
}

#[test]
fn r04_a_vault_expires_one_unbonding_time_before_its_coins_can_move_and_can_still_be_slashed() {
    let mut run = registered(6);
    let id = hold(&mut run, |run| run.network.vault(0, 1, BTC, 201));
    run.observe(Bitcoin, 205, vec![Network::confirmed(id, 201)]);
    // Locked until 1,201; the unbonding time is 200.
    for (anchor, seen) in [(1_000, Phase::Active), (1_001, Phase::Expired), (1_300, Phase::Expired)] {
        run.observe(Bitcoin, anchor, vec![]);
        assert_eq!((phase(&run, &id), status(&run, &id)), (seen, VaultStatus::Active), "{anchor}");
    }
    run.produce(vec![Item::Evidence(run.network.exposed_key(0))]);
    assert_eq!(run.ledger.cases().next().unwrap().orders[0].target, SlashTarget::Vault(id));
    let loss = VaultLoss { txid: Hash::new([7; 32]), taken: Sats::new(10_000_000) };
    run.observe(Bitcoin, 1_301, vec![spent(id, Spend::Slashed(loss))]);
    assert_eq!(phase(&run, &id), Phase::Slashed);
}

// ---- expansion -----------------------------------------------------------------------------------------------------

/// A run with an active vault of one bitcoin behind operator 0.
fn active(seed: u64) -> (Run, Vault) {
    let mut run = registered(seed);
    let id = hold(&mut run, |run| run.network.vault(0, 1, BTC, 201));
    run.observe(Bitcoin, 205, vec![Network::confirmed(id, 201)]);
    let vault = run.ledger.vault(&id).unwrap().clone();
    (run, vault)
}

/// Spoils a registration.
type Spoil = fn(&mut VaultRegistration);

/// The parent's coins went into `child`, in block `height`.
fn expanded(parent: VaultId, child: VaultId, height: u64) -> Vec<Fact> {
    vec![spent(parent, Spend::Expanded(child.txid)), Network::confirmed(child, height)]
}

#[test]
fn r08_an_expansion_moves_the_weight_from_parent_to_child_in_one_observation() {
    let (mut run, parent) = active(11);
    let child = hold(&mut run, |run| run.network.expanded(&parent, 0, 2, 3 * BTC));
    assert_eq!((phase(&run, &parent.id), phase(&run, &child)), (Phase::Active, Phase::Verified));
    // A confirmation without the parent's spend cannot be.
    run.observe(Bitcoin, 207, vec![Network::confirmed(child, 206)]);
    assert_eq!((phase(&run, &parent.id), phase(&run, &child)), (Phase::Active, Phase::Verified));
    run.observe(Bitcoin, 210, expanded(parent.id, child, 208));
    assert_eq!((phase(&run, &parent.id), phase(&run, &child)), (Phase::Expanded, Phase::Active));
    assert_eq!(status(&run, &parent.id), VaultStatus::Expanded(child.txid));
    assert_eq!(run.ledger.vault(&child).unwrap().start, Some(208));
    // The parent is over: whatever is said of it again changes nothing.
    run.observe(
        Bitcoin,
        211,
        vec![spent(parent.id, Spend::Unexpected(Hash::ZERO)), Network::confirmed(parent.id, 201)],
    );
    assert_eq!(phase(&run, &parent.id), Phase::Expanded);
    run.ledger.audit().unwrap();
}

/// What Babylon had to mend, and what R28 asks: a child that gives its staker or its provider a way out is refused.
#[test]
fn r28_an_expansion_keeps_staker_operator_providers_and_value() {
    let (mut run, parent) = active(12);
    let spoil: [(&str, Spoil); 6] = [
        ("another staker (Babylon #1883)", |child| child.staker = SchnorrKey::new([0xd2; 32])),
        ("less value", |child| child.amount = Sats::new(BTC - 1)),
        ("a block, and so no slashing signed before", |child| {
            child.inclusion = Some(palisade_types::vault::Inclusion {
                block: Hash::ZERO,
                height: 200,
                index: 1,
                siblings: List::new(),
            });
        }),
        ("no endorsement", |child| child.endorsements = List::new()),
        ("no slashing after unbonding", |child| child.unbonding_slashings = List::new()),
        ("a slashing not presigned", |child| child.slashings.as_mut_slice()[0].covenant = List::new()),
    ];
    for (what, spoil) in spoil {
        let mut child = run.network.expanded(&parent, 0, 2, BTC);
        spoil(&mut child);
        assert!(matches!(refused(&run, &child), Invalid::Refused(_)), "{what}");
    }
    let anothers = run.network.expanded(&parent, 1, 2, BTC);
    assert!(matches!(refused(&run, &anothers), Invalid::Refused(_)), "another operator");
    let mut unknown = run.network.expanded(&parent, 0, 2, BTC);
    unknown.expansion.as_mut().unwrap().parent.output = 9;
    assert!(matches!(refused(&run, &unknown), Invalid::Early(_)));
    let ahead = hold(&mut run, |run| run.network.prestaked(0, 5, BTC));
    let unlocked = run.ledger.vault(&ahead).unwrap().clone();
    let too_early = run.network.expanded(&unlocked, 0, 6, BTC);
    assert!(matches!(refused(&run, &too_early), Invalid::Early(_)));
    run.observe(Bitcoin, 206, vec![spent(parent.id, Spend::Unbonded(Hash::ZERO))]);
    let too_late = run.network.expanded(&parent, 0, 2, BTC);
    assert!(matches!(refused(&run, &too_late), Invalid::Late(_)));
}

#[test]
fn r28_an_expansion_leaves_out_no_provider_of_another_service() {
    let mut run = registered(13);
    let mut several = run.network.vault(0, 1, BTC, 201);
    let mut keys = several.providers.to_vec();
    keys.push(SchnorrKey::new([0x77; 32]));
    keys.sort_unstable();
    several.providers = keys.clone().try_into().unwrap();
    let id = hold(&mut run, |_| several.clone());
    run.observe(Bitcoin, 205, vec![Network::confirmed(id, 201)]);
    let parent = run.ledger.vault(&id).unwrap().clone();
    let mut child = run.network.expanded(&parent, 0, 2, BTC);
    assert!(matches!(refused(&run, &child), Invalid::Refused(_)));
    keys.push(SchnorrKey::new([0xfe; 32])); // one more is welcome
    child.providers = keys.try_into().unwrap();
    hold(&mut run, |_| child.clone());
}

#[test]
fn of_several_expansions_one_comes_and_the_others_stay_known() {
    let (mut run, parent) = active(14);
    let child = |run: &Run, number| run.network.expanded(&parent, 0, number, BTC);
    let first = hold(&mut run, |run| child(run, 2));
    let mut twin = child(&run, 2); // another output of the same transaction
    twin.output = 1;
    assert!(matches!(refused(&run, &twin), Invalid::Late(_)));
    let last = 1 + u32::try_from(MAX_EXPANSIONS).unwrap();
    for number in 3..=last {
        hold(&mut run, |run| child(run, number));
    }
    assert!(matches!(refused(&run, &child(&run, last + 1)), Invalid::Early(_)));
    // What the covenant signed lets the coins go for as long as they lie there: it stays known.
    run.observe(Bitcoin, 210 + LAPSE_BLOCKS, vec![]);
    assert_eq!(run.ledger.vaults().count(), 1 + MAX_EXPANSIONS);
    run.observe(Bitcoin, 215 + LAPSE_BLOCKS, expanded(parent.id, first, 212 + LAPSE_BLOCKS));
    // r30: should Bitcoin take that back, another one may come.
    run.observe(Bitcoin, 215 + 2 * LAPSE_BLOCKS, vec![]);
    assert_eq!(run.ledger.vaults().count(), 1 + MAX_EXPANSIONS);
    // r27: and what the covenant signed for it is known for ever; it only takes no room any more, and no case reaches it.
    run.observe(Bitcoin, 216 + 2 * LAPSE_BLOCKS, vec![]);
    assert_eq!(run.ledger.vaults().count(), 1 + MAX_EXPANSIONS);
    let exposed = run.network.exposed_key(0);
    run.produce(vec![Item::Evidence(exposed)]);
    let orders = &run.ledger.cases().next().unwrap().orders;
    assert_eq!(orders.iter().map(|order| order.target).collect::<Vec<_>>(), [SlashTarget::Vault(first)]);
    run.ledger.audit().unwrap();
}

/// R27: the row first, then the parent's covenant's signatures on its first input.
#[test]
fn r27_an_expansion_is_registered_before_its_first_input_is_signed() {
    let (mut run, parent) = active(30);
    let whole = run.network.expanded(&parent, 0, 2, BTC);
    let mut bare = whole.clone();
    bare.expansion.as_mut().unwrap().covenant = List::new();
    let id = hold(&mut run, |_| bare.clone());
    assert!(run.ledger.expects(&bare.bare()).is_ok(), "its covenant may be asked again");
    assert!(matches!(refused(&run, &bare), Invalid::Late(_)), "nothing new");
    let mut other = whole.clone();
    other.top_rate += 1;
    assert!(matches!(refused(&run, &other), Invalid::Late(_)), "another registration of the same coins");
    let mut late = run.clone();
    late.observe(Bitcoin, 206, vec![spent(parent.id, Spend::Unbonded(Hash::ZERO))]);
    assert!(matches!(refused(&late, &whole), Invalid::Late(_)), "there is nothing to let go of");
    let mut guilty = run.clone();
    let exposed = guilty.network.exposed_key(0);
    guilty.produce(vec![Item::Evidence(exposed)]);
    assert!(matches!(refused(&guilty, &whole), Invalid::Late(_)), "a convict's stake stays where it is");
    let before = run.ledger.vault(&id).unwrap().clone();
    hold(&mut run, |_| whole.clone());
    let after = run.ledger.vault(&id).unwrap();
    assert_eq!(after.registration, whole);
    assert_eq!(
        (after.registered, after.since, after.status, after.start),
        (before.registered, before.since, before.status, before.start)
    );
    assert!(matches!(refused(&run, &whole), Invalid::Late(_)), "once");
    assert!(run.ledger.expects(&bare.bare()).is_err());
    run.observe(Bitcoin, 210, expanded(parent.id, id, 208));
    assert_eq!(phase(&run, &id), Phase::Active);
}

#[test]
fn a_parents_other_end_ends_its_expansion() {
    let check = |spend: Spend, over: VaultStatus| {
        let (mut run, parent) = active(15);
        let child = hold(&mut run, |run| run.network.expanded(&parent, 0, 2, BTC));
        run.observe(Bitcoin, 210, vec![spent(parent.id, spend), Network::confirmed(child, 208)]);
        assert_eq!((status(&run, &parent.id), status(&run, &child)), (over, VaultStatus::Verified));
        run.observe(Bitcoin, 210 + LAPSE_BLOCKS + 1, vec![]);
        assert_eq!(status(&run, &child), VaultStatus::Verified, "r27: it stays known");
        run.ledger.audit().unwrap();
    };
    let txid = Hash::new([9; 32]);
    check(Spend::Unbonded(txid), VaultStatus::Unbonding(txid));
    check(Spend::Withdrawn(txid), VaultStatus::Withdrawn(txid));
    check(Spend::Unexpected(txid), VaultStatus::Lost(txid));
    check(Spend::Expanded(txid), VaultStatus::Lost(txid)); // by nothing that was registered
}

/// GHSA-4rm2-cj74-f62h: unbonding a child before its parent was closed locked the parent.
#[test]
fn a_childs_unbonding_before_its_parents_closing_locks_nothing() {
    let (mut run, parent) = active(16);
    let child = hold(&mut run, |run| run.network.expanded(&parent, 0, 2, BTC));
    let unbonded = spent(child, Spend::Unbonded(Hash::new([8; 32])));
    run.observe(Bitcoin, 206, vec![unbonded.clone()]);
    assert_eq!((phase(&run, &parent.id), phase(&run, &child)), (Phase::Active, Phase::Verified));
    // All of it in one gap, in the order of the chain.
    let mut facts = expanded(parent.id, child, 208);
    facts.push(unbonded);
    run.observe(Bitcoin, 210, facts);
    assert_eq!((phase(&run, &parent.id), phase(&run, &child)), (Phase::Expanded, Phase::Unbonding));
}

#[test]
fn a_convict_who_expands_is_slashed_by_the_child() {
    let (mut run, parent) = active(17);
    let child = hold(&mut run, |run| run.network.expanded(&parent, 0, 2, 2 * BTC));
    run.produce(vec![Item::Evidence(run.network.exposed_key(0))]);
    let late = run.network.expanded(&parent, 0, 3, 2 * BTC);
    assert!(matches!(refused(&run, &late), Invalid::Late(_)), "a conviction ends expanding");
    let of = |run: &Run, id| {
        let case = run.ledger.cases().next().unwrap();
        case.orders.iter().find(|order| order.target == SlashTarget::Vault(id)).unwrap().status
    };
    assert_eq!((of(&run, parent.id), of(&run, child)), (OrderStatus::Ordered, OrderStatus::Ordered));
    run.observe(Bitcoin, 210, expanded(parent.id, child, 208));
    assert_eq!((of(&run, parent.id), of(&run, child)), (OrderStatus::Escaped, OrderStatus::Ordered));
    let loss = VaultLoss { txid: Hash::new([7; 32]), taken: Sats::new(20_000_000) };
    run.observe(Bitcoin, 215, vec![spent(child, Spend::Slashed(loss))]);
    assert_eq!(run.ledger.cases().next().unwrap().status(), CaseStatus::Final);
    run.ledger.audit().unwrap();
}

#[test]
fn a_convict_whose_parent_is_slashed_has_nothing_left_in_the_child() {
    let (mut run, parent) = active(18);
    let child = hold(&mut run, |run| run.network.expanded(&parent, 0, 2, 2 * BTC));
    run.produce(vec![Item::Evidence(run.network.exposed_key(0))]);
    let loss = VaultLoss { txid: Hash::new([7; 32]), taken: Sats::new(10_000_000) };
    run.observe(Bitcoin, 210, vec![spent(parent.id, Spend::Slashed(loss))]);
    let case = run.ledger.cases().next().unwrap();
    assert_eq!(case.status(), CaseStatus::Final);
    assert!(run.ledger.vault(&child).is_some(), "the case names it");
    run.ledger.audit().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever followers say, in whatever order: the same coins never count as parent and as child.
    #[test]
    fn r08_a_parent_and_its_child_never_count_together(steps in prop::collection::vec((0_u8..7, 0_usize..3), 1..12)) {
        let (mut run, parent) = active(19);
        let ids: Vec<VaultId> = (2..4).map(|number| {
            let child = run.network.expanded(&parent, 0, number, BTC);
            hold(&mut run, |_| child.clone())
        }).collect();
        let all = [parent.id, ids[0], ids[1]];
        for (number, (what, which)) in (206..).zip(steps) {
            let txid = Hash::new([number as u8; 32]);
            let id = all[which];
            let fact = match what {
                0 | 1 => Network::confirmed(id, number),
                2 => spent(id, Spend::Unbonded(txid)),
                3 | 4 => spent(id, Spend::Expanded(ids[which % 2].txid)),
                5 => spent(id, Spend::Withdrawn(txid)),
                _ => spent(id, Spend::Unexpected(txid)),
            };
            run.observe(Bitcoin, number, vec![fact]);
            let counts = |id: &&VaultId| {
                let status = run.ledger.vault(id).map(|vault| vault.status);
                matches!(status, Some(VaultStatus::Active | VaultStatus::Unbonding(_)))
            };
            prop_assert!(all.iter().filter(counts).count() <= 1);
            prop_assert!(run.ledger.audit().is_ok());
        }
    }
}
