//! The light client and the vault claims on a real anvil, with certificates made by registered keys.

pub(crate) use crate::council::header;
use crate::council::{self, Council};
use crate::sender::Sender;
use crate::world::{Member, World, applied, case, execution};
use alloy::network::TransactionBuilder;
use alloy::primitives::{Address, B256, Bytes};
use alloy::providers::Provider;
use alloy::rpc::types::TransactionRequest;
use palisade_crypto::hash::keccak256;
use palisade_ethereum::bindings::vaults::BitcoinVaults;
use palisade_ethereum::light::{self, Certified, LastBoundary};
use palisade_ethereum::{Ethereum, ExposedFinality, HandedOver, Shown};
use palisade_types::attestation::Statement;
use palisade_types::block::Header;
use palisade_types::canonical::{Canonical, List};
use palisade_types::chain::{Chain, ChainError, Execution, Progress, Watch};
use palisade_types::contradiction::{CertificatePair, LaterBlock};
use palisade_types::evidence::{AncestorFault, Evidence};
use palisade_types::genesis::Genesis;
use palisade_types::ids::{self, BlockId, Digest, DomainKind, Hash};
use palisade_types::observation::Fact;
use palisade_types::proof::{self, RowProof, Terminal};
use palisade_types::slash::{Case, OrderStatus, SlashOrder, SlashTarget};
use palisade_types::units::{Epoch, Height};
use palisade_types::{Row, RowKey};
use std::time::{Duration, Instant};

/// Who deployed Palisade.sol, and whose fourth creation is the light client.
pub(crate) const DEPLOYER: usize = 0;
/// The accounts of the members.
const MEMBERS: [usize; 4] = [3, 4, 5, 6];

#[tokio::test]
async fn r10_the_light_client_follows_hand_overs_and_a_service_counts_the_vaults() {
    let world = World::without_stake().await;
    let genesis = &*world.genesis;
    let sender = Sender::new(&world.endpoint, &Member::new(DEPLOYER).signer()).unwrap();
    let ethereum = world.connect().await;
    let mut registered = Vec::new();
    for number in MEMBERS {
        let member = Member::new(number);
        let keys = ethereum.register_keys(&member.account(), &member.keys(genesis)).await.unwrap();
        registered.push((member, keys.key_id));
    }
    registered.sort_by_key(|(member, _)| member.id());
    let snapshot = world.provider.get_block_number().await.unwrap();
    let councils: Vec<_> = (1..4).map(|epoch| council_of(&registered, epoch, snapshot)).collect();
    let chain = genesis.chain_id();
    let boundaries: Vec<_> = councils
        .iter()
        .zip(0..)
        .map(|(council, epoch)| header(genesis, 20 * (epoch + 1), epoch as u32, council.committee.hash(&chain)))
        .collect();

    let_pass(&sender).await;
    let light = create(&sender, light::deploy_committee(genesis, &boundaries[0])).await;
    assert_eq!(light.into_array(), *genesis.contracts.committee.as_bytes(), "where genesis says");
    let vaults = create(&sender, light::deploy_vaults(&genesis.contracts.committee)).await;

    // Two hand-overs: by everybody and by an operator's executor, then by three of four and by anybody.
    assert_eq!(ethereum.epoch_in_office().await.unwrap(), Some(Epoch::new(1)));
    for (epoch, absent) in [(1, &[][..]), (2, &[2][..])] {
        let certificate = councils[epoch - 1].certify(&chain, &of_block(genesis, &boundaries[epoch]), absent);
        let committee = &councils[epoch - 1].committee;
        let certified = Certified { certificate: &certificate, committee, with_weights: epoch == 1 };
        let input = light::hand_over(&boundaries[epoch], &certified).unwrap();
        if epoch == 1 {
            executed(&ethereum, &boundaries[epoch], &certified).await;
            assert!(refused(&sender, light, input).await, "a hand-over is done once");
            continue;
        }
        let gas = send(&sender, light, input.clone()).await;
        println!("hand-over by {} of 4: {gas} gas", 4 - absent.len());
        assert!(refused(&sender, light, input).await, "a hand-over is done once");
    }

    // A claim of the newest epoch, posted by anybody, and its revocation.
    let reader = BitcoinVaults::new(vaults, &sender.provider);
    let operator = Address::from([9; 20]);
    let newest = &councils[2];
    for (number, revoked, sats) in [(5, false, 70_000), (9, true, 0)] {
        let claim = claim(number, 3, revoked);
        let digest = Digest::new(keccak256(&claim));
        let statement = Statement { domain: genesis.domain(DomainKind::VaultClaim), slot: number, digest };
        let certificate = newest.certify(&chain, &statement, &[0]);
        let certified = Certified { certificate: &certificate, committee: &newest.committee, with_weights: false };
        let input = light::claim(&claim, &certified).unwrap();
        let gas = send(&sender, vaults, input.clone()).await;
        println!("claim by 3 of 4: {gas} gas");
        assert!(refused(&sender, vaults, input).await, "a claim is taken once");
        let counted = reader.collateralOf(operator, snapshot, 800, B256::ZERO.into(), B256::repeat_byte(1).into());
        assert_eq!(counted.call().await.unwrap().to::<u64>(), sats);
        let shown = reader.collateral(B256::repeat_byte(7), 1).call().await.unwrap();
        assert_eq!((shown.number, shown.revoked, shown.certifiedSince), (number, revoked, snapshot));
        assert_eq!((shown.sats, shown.until, shown.asOf, shown.operator), (70_000, 900, 800, operator));
    }

    // What a node that syncs asks for (R13).
    assert_eq!(ethereum.last_boundary(&genesis.ethereum_start).await.unwrap(), None); // it did not stand there
    world.finalize().await;
    world.finalize().await;
    let tip = ethereum.tip().await.unwrap();
    let last = LastBoundary { epoch: Epoch::new(3), block: boundaries[2].id(), height: Height::new(60), frozen: false };
    assert_eq!(ethereum.last_boundary(&tip).await.unwrap(), Some(last));
}

#[tokio::test]
async fn r09_whose_finality_key_came_out_counts_no_more_at_the_light_client() {
    let world = World::without_stake().await;
    let genesis = &*world.genesis;
    let sender = Sender::new(&world.endpoint, &Member::new(DEPLOYER).signer()).unwrap();
    let ethereum = world.connect().await;
    let mut registered = Vec::new();
    for number in MEMBERS {
        let member = Member::new(number);
        let keys = ethereum.register_keys(&member.account(), &member.keys(genesis)).await.unwrap();
        registered.push((member, keys.key_id));
    }
    registered.sort_by_key(|(member, _)| member.id());
    let snapshot = world.provider.get_block_number().await.unwrap();
    let chain = genesis.chain_id();
    let [office, next] = [1, 2].map(|epoch| council_of(&registered, epoch, snapshot));
    let origin = header(genesis, 20, 0, office.committee.hash(&chain));
    let boundary = header(genesis, 40, 1, next.committee.hash(&chain));
    let_pass(&sender).await;
    let light = create(&sender, light::deploy_committee(genesis, &origin)).await;

    let (member, key) = &registered[0];
    let exposed = ExposedFinality { operator: member.id(), key: *key, secret: *member.eots.to_bytes() };
    let other = ExposedFinality { secret: *registered[1].0.eots.to_bytes(), ..exposed };
    assert!(matches!(ethereum.show_exposed(&other).await, Err(ChainError::Refused(_))));
    assert!(matches!(ethereum.show_exposed(&exposed).await, Ok(Shown::Sent(_))));
    let deadline = Instant::now() + Duration::from_secs(30);
    while ethereum.show_exposed(&exposed).await.unwrap() != Shown::Done {
        assert!(Instant::now() < deadline, "the conviction is in no block");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    // Three of four signed, he among them: two of the three that are left are no quorum. The other three are.
    let statement = of_block(genesis, &boundary);
    let with_him = office.certify(&chain, &statement, &[1]);
    let certified = Certified { certificate: &with_him, committee: &office.committee, with_weights: true };
    assert!(refused(&sender, light, light::hand_over(&boundary, &certified).unwrap()).await);
    let everybody = office.certify(&chain, &statement, &[]);
    let short = Certified { certificate: &everybody, committee: &office.committee, with_weights: false };
    assert!(refused(&sender, light, light::hand_over(&boundary, &short).unwrap()).await, "nobody hides him");
    executed(&ethereum, &boundary, &short).await; // who hands over adds the weights
}

#[tokio::test]
async fn r01_an_attestation_against_an_ancestor_convicts_on_ethereum_too() {
    let world = World::without_stake().await;
    let genesis = &*world.genesis;
    let ethereum = world.connect().await;
    let member = Member::new(1);
    ethereum.register_keys(&member.account(), &member.keys(genesis)).await.unwrap();
    world.finalize().await;
    let seen = ethereum.tip().await.unwrap();
    let mut watch = Watch::default();
    let facts = ethereum.observe(&genesis.ethereum_start, &seen, &watch).await.unwrap();
    applied(&mut watch, &facts);

    let order = SlashOrder {
        target: SlashTarget::EigenLayer(ids::Address::new([3; 20])),
        asked: 1,
        status: OrderStatus::Ordered,
    };
    let fault = ancestor_fault(genesis, &member);
    let evidence = Evidence::Ancestor(Box::new(fault.clone()));
    evidence.prove(&genesis.domains(), &watch.operators[&member.id()], |_| false).unwrap();
    let case = Case { evidence: Some(evidence), slot: fault.slot, ..case(genesis, &member, order) };
    assert!(matches!(ethereum.execute(&execution(&case, &watch)).await.unwrap(), Progress::Sent(_)));
    world.finalize().await;
    world.finalize().await;
    let tip = ethereum.tip().await.unwrap();
    let facts = ethereum.observe(&seen, &tip, &watch).await.unwrap();
    let [Fact::Convicted(convicted)] = facts[..] else { panic!("{facts:?}") };
    assert_eq!((convicted.case, convicted.operator, convicted.slot), (case.id, member.id(), 7));
}

/// Two certificates are carried there whoever stands in both, without a signature of his alone.
#[tokio::test]
async fn r01_who_signed_two_contradicting_certificates_is_convicted_on_ethereum_too() {
    let world = World::without_stake().await;
    let genesis = &*world.genesis;
    let ethereum = world.connect().await;
    let mut registered = Vec::new();
    for number in MEMBERS {
        let member = Member::new(number);
        let keys = ethereum.register_keys(&member.account(), &member.keys(genesis)).await.unwrap();
        registered.push((member, keys.key_id));
    }
    registered.sort_by_key(|(member, _)| member.id());
    world.finalize().await;
    let mut seen = ethereum.tip().await.unwrap();
    let mut watch = Watch::default();
    let facts = ethereum.observe(&genesis.ethereum_start, &seen, &watch).await.unwrap();
    applied(&mut watch, &facts);
    let council = council_of(&registered, 1, seen.number);
    let order = SlashOrder {
        target: SlashTarget::EigenLayer(ids::Address::new([3; 20])),
        asked: 1,
        status: OrderStatus::Ordered,
    };
    let epoch = council.committee.epoch;
    let certify = |slot, digest, absent| {
        let statement = Statement { domain: genesis.domain(DomainKind::Ledger), slot, digest };
        council.certify(&genesis.chain_id(), &statement, &[absent])
    };
    let (first, second) = (certify(7, Digest::new([1; 32]), 3), certify(7, Digest::new([2; 32]), 2));
    let of_one_slot = CertificatePair { epoch, first, second, later: None };
    let fault = ancestor_fault(genesis, &registered[0].0);
    let of_two = CertificatePair {
        epoch,
        first: certify(fault.slot, fault.first.0, 3),
        second: certify(fault.header.height.get(), fault.header.id().into(), 0),
        later: Some(LaterBlock { header: fault.header, named: fault.named, proof: fault.proof }),
    };
    for (pair, accused) in [(of_one_slot, 0), (of_two, 1)] {
        let (member, _) = &registered[accused];
        assert!(
            pair.accused(&genesis.domains(), &council.committee).unwrap().iter().any(|one| one.operator == member.id())
        );
        assert!(pair.holds(&genesis.chain_id(), &council.committee));
        let company = pair.company(&council.committee, &member.id());
        let evidence = Evidence::Certificates(Box::new(pair));
        let case = Case { evidence: Some(evidence), slot: 7, ..case(genesis, member, order) };
        let carried = Execution { company, ..execution(&case, &watch) };
        let unknown = Execution { company: None, ..carried.clone() };
        assert!(matches!(ethereum.execute(&unknown).await, Err(ChainError::Refused(_))));
        assert!(matches!(ethereum.execute(&carried).await.unwrap(), Progress::Sent(_)));
        world.finalize().await;
        world.finalize().await;
        let tip = ethereum.tip().await.unwrap();
        let facts = ethereum.observe(&seen, &tip, &watch).await.unwrap();
        seen = tip;
        let [Fact::Convicted(convicted)] = facts[..] else { panic!("{facts:?}") };
        assert_eq!((convicted.case, convicted.operator, convicted.slot), (case.id, member.id(), 7));
    }
}

/// A block at height 7 is attested, and one at height 8 whose state, a single row, names another at 7.
fn ancestor_fault(genesis: &Genesis, member: &Member) -> AncestorFault {
    let named = BlockId::new([5; 32]);
    let (key, row) = (RowKey::Block(Height::new(7)), Row::Block(named));
    let state_root = proof::leaf(&key.path(), &row.value_hash());
    let later = Header { state_root, ..header(genesis, 8, 1, Hash::ZERO) };
    let digest = Digest::new([6; 32]);
    let sign = |statement: Statement| {
        ids::BlsSignature::new(member.bls.sign(&statement.bls_message(&genesis.chain_id())).to_bytes())
    };
    let domain = genesis.domain(DomainKind::Ledger);
    AncestorFault {
        operator: member.id(),
        domain,
        slot: 7,
        first: (digest, sign(Statement { domain, slot: 7, digest })),
        header: later,
        second: sign(of_block(genesis, &later)),
        named: Hash::new(*named.as_bytes()),
        proof: RowProof { siblings: List::new(), terminal: Terminal::Found },
    }
}

/// An operator hands over; he asks again until it is done, and then it is nothing new.
async fn executed(ethereum: &Ethereum, boundary: &Header, certified: &Certified<'_>) {
    assert!(matches!(ethereum.hand_over(boundary, certified).await, Ok(HandedOver::Sent(_))));
    let deadline = Instant::now() + Duration::from_secs(30);
    while ethereum.hand_over(boundary, certified).await.unwrap() != HandedOver::Done {
        assert!(Instant::now() < deadline, "the hand-over is in no block");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(ethereum.hand_over(boundary, certified).await.unwrap(), HandedOver::Done, "somebody was there before");
    assert_eq!(ethereum.epoch_in_office().await.unwrap(), Some(boundary.epoch.next()));
}

/// The registered members as a committee.
pub(crate) fn council_of(registered: &[(Member, u32)], epoch: u32, snapshot: u64) -> Council {
    let seats = registered.iter().map(|(member, key)| council::member(member.id(), *key, &member.bls, 1_000_000));
    let committee = council::committee(Epoch::new(epoch), snapshot, seats.collect());
    Council { committee, secrets: registered.iter().map(|(member, _)| member.bls.clone()).collect() }
}

fn of_block(genesis: &Genesis, header: &Header) -> Statement {
    let domain = genesis.domain(DomainKind::Ledger);
    Statement { domain, slot: header.height.get(), digest: header.id().into() }
}

/// A claim's bytes, in the format of BitcoinVaults.sol.
fn claim(number: u64, epoch: u32, revoked: bool) -> Vec<u8> {
    let vault = (Hash::new([7; 32]), 1_u32);
    let amounts = (70_000_u64, 900_u64);
    let block = (Hash::new([8; 32]), 800_u64);
    let operator = ids::OperatorId::new([9; 20]);
    [
        (number, epoch).to_bytes(),
        vault.to_bytes(),
        operator.to_bytes(),
        amounts.to_bytes(),
        block.to_bytes(),
        revoked.to_bytes(),
    ]
    .concat()
}

/// The turns of the adapter and of Orders.sol come before the light client's, and this world has neither.
async fn let_pass(sender: &Sender) {
    for _ in 0..2 {
        send(sender, sender.account, Vec::new()).await;
    }
}

pub(crate) async fn create(sender: &Sender, code: Vec<u8>) -> Address {
    let mut plan = sender.plan().await.unwrap();
    let at = plan.create("a contract", code);
    let receipts = sender.send(plan).await.unwrap();
    assert_eq!(receipts[0].contract_address, Some(at));
    at
}

/// Sends a call and returns the gas of the whole transaction.
async fn send(sender: &Sender, to: Address, input: Vec<u8>) -> u64 {
    let nonce = sender.nonce().await.unwrap(); // plans count their own
    let request = TransactionRequest::default().with_to(to).with_input(Bytes::from(input)).with_nonce(nonce);
    let pending = sender.provider.send_transaction(request).await.unwrap();
    let receipt = pending.get_receipt().await.unwrap();
    assert!(receipt.status());
    receipt.gas_used
}

async fn refused(sender: &Sender, to: Address, input: Vec<u8>) -> bool {
    let request = TransactionRequest::default().with_to(to).with_input(Bytes::from(input));
    sender.provider.call(request).await.is_err()
}
