//! A service's module at its operator's socket: what it hands in is attested in a derived domain, counted, certified and told, and nothing
//! else reaches the signer (R14).

#![allow(clippy::unwrap_used, missing_docs)]

use palisade_bitcoin::vault::Versions;
use palisade_ledger::fixture::{Run, network, point};
use palisade_node::core::services::MAX_SLOTS;
use palisade_node::core::{Action, Core};
use palisade_node::handle::{Command, CoreHandle};
use palisade_node::message::Message;
use palisade_node::service::protocol::{MAX_QUESTION, Question, Refusal, Reply, ask};
use palisade_node::service::server;
use palisade_node::signer::SignedLast;
use palisade_node::socket::{self, SocketError};
use palisade_types::chain::ChainKind::{Bitcoin, Ethereum};
use palisade_types::observation::{ServiceDeclared, ServiceSetSeen};
use palisade_types::service::{
    FaultRule, Law, RegistrationId, ServiceDomain, ServiceRules, ServiceSet, ServiceStatement, slot_of,
};
use palisade_types::{Address, Canonical, Digest, Epoch, Fact, MicroUsd, Millis, QuorumCertificate, ServiceId, Wad};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

const SERVICE: ServiceId = ServiceId::new([0x5e; 32]);
const SET: Address = Address::new([0xe1; 20]);
const REGISTRATION: RegistrationId = RegistrationId { service: SERVICE, number: 1 };

/// A ledger of four members with a service of one domain.
fn with_service() -> Run {
    let mut run = Run::joined(network(4, 11));
    let rules = ServiceRules {
        version: ServiceRules::VERSION,
        kinds: vec![256].try_into().unwrap(),
        sets: vec![SET].try_into().unwrap(),
        threshold: ServiceRules::LEAST_THRESHOLD,
        bond: MicroUsd::new(1),
        window_blocks: 0,
        faults: vec![FaultRule { fault: 1, most: Wad::ONE, law: Law::Flat }].try_into().unwrap(),
    };
    let facts = vec![
        Fact::ServiceSet(ServiceSetSeen { service: SERVICE, set: ServiceSet { adapter: SET, maximum: Wad::ONE } }),
        Fact::ServiceDeclared(Box::new(ServiceDeclared {
            id: REGISTRATION,
            rules: rules.to_bytes().try_into().unwrap(),
        })),
    ];
    let upto = run.ledger.anchor(Ethereum).number + 1;
    run.observe(Ethereum, upto, facts);
    run
}

/// The core of a member, whose followers stand where the ledger does.
fn core_of(run: &Run, at: usize) -> Core {
    let versions = Versions::new(run.network.chain, &[]).unwrap();
    let mut core = Core::new(run.network.operators[at].id, versions, run.ledger.clone(), None, SignedLast::default());
    for chain in [Ethereum, Bitcoin] {
        core.stands(Millis::new(1), chain, point(chain, run.ledger.anchor(chain).number));
    }
    drop(core.actions());
    core
}

fn asked(run: &Run, slot: u64, digest: u8) -> ServiceStatement {
    let domain = ServiceDomain { registration: REGISTRATION, kind: 256 };
    ServiceStatement {
        domain,
        slot: slot_of(run.ledger.epoch().epoch, slot).unwrap(),
        digest: Digest::new([digest; 32]),
    }
}

fn certificates(core: &mut Core) -> Vec<QuorumCertificate> {
    let of = |action| match action {
        Action::ServiceCertified(certificate) => Some(certificate),
        _ => None,
    };
    core.actions().into_iter().filter_map(of).collect()
}

/// Member `at` says it, with his own key.
fn said(run: &Run, at: usize, asked: &ServiceStatement) -> Message {
    let statement = asked.statement(&run.network.chain, &run.network.genesis.contracts.palisade).unwrap();
    Message::Attestation(run.network.attest(at, statement))
}

#[test]
fn r14_what_members_say_for_a_service_is_counted_certified_and_passed_on() {
    let run = with_service();
    let (mut core, now) = (core_of(&run, 0), Millis::new(2));
    let asked = asked(&run, 1, 7);
    let Message::Attestation(own) = said(&run, 0, &asked) else { unreachable!() };
    assert_eq!(core.attest_for(&asked).unwrap().statement, asked);
    core.attested(own);
    assert!(
        core.actions().iter().any(|action| matches!(action, Action::Publish(Message::Attestation(one)) if *one == own))
    );
    assert!(core.hear(now, said(&run, 1, &asked)));
    assert!(certificates(&mut core).is_empty(), "two of four are half");
    // What is not certified is said again.
    core.tick(Millis::new(10_000));
    assert!(
        core.actions().iter().any(|action| matches!(action, Action::Publish(Message::Attestation(one)) if *one == own))
    );
    assert!(core.hear(now, said(&run, 2, &asked)));
    let certificate = certificates(&mut core).pop().unwrap();
    assert_eq!(certificate.digest, asked.digest);
    certificate.verify(&run.network.chain, run.ledger.committee(), |_| false).unwrap();
    // Who says it again is answered with the certificate, and takes it.
    assert!(core.hear(now, said(&run, 1, &asked)));
    core.tick(Millis::new(20_000));
    let answers = core.actions();
    let told = answers.iter().find_map(|action| match action {
        Action::Publish(Message::NumberedCertificate(told)) => Some(told.clone()),
        _ => None,
    });
    let mut other = core_of(&run, 1);
    assert!(other.hear(now, Message::NumberedCertificate(told.unwrap())));
    assert_eq!(certificates(&mut other).len(), 1);
    let mut forged = certificate;
    forged.digest = Digest::new([9; 32]);
    assert!(!core_of(&run, 2).hear(now, Message::NumberedCertificate(Box::new(forged))), "the sender pays");
}

#[test]
fn r03_a_services_slot_is_open_in_its_epoch_and_the_next() {
    let mut run = with_service();
    let now = Millis::new(2);
    let first = asked(&run, 1, 7);
    let future = ServiceStatement { slot: slot_of(Epoch::new(9), 1).unwrap(), ..first };
    run.until_epoch(2);
    let mut core = core_of(&run, 0);
    assert!(core.attest_for(&first).is_ok(), "the epoch before is open");
    assert!(core.attest_for(&future).is_err());
    assert!(core.hear(now, said(&run, 1, &future)), "others may be ahead");
    run.until_epoch(3);
    assert!(core_of(&run, 0).attest_for(&first).is_err());
}

#[test]
fn r20_an_own_statement_that_this_node_did_not_make_is_looked_up_at_the_signer() {
    let run = with_service();
    let mut core = core_of(&run, 0);
    assert!(core.hear(Millis::new(2), said(&run, 0, &asked(&run, 1, 7))));
    assert!(core.actions().iter().any(|action| matches!(action, Action::Met(_))));
}

#[test]
fn r32_one_operator_fills_only_so_many_slots_and_a_second_digest_is_not_counted() {
    let run = with_service();
    let (mut core, now) = (core_of(&run, 0), Millis::new(2));
    for slot in 0..u64::from(MAX_SLOTS) + 20 {
        core.hear(now, said(&run, 1, &asked(&run, slot, 7)));
    }
    let domain =
        asked(&run, 0, 7).statement(&run.network.chain, &run.network.genesis.contracts.palisade).unwrap().domain;
    let held = (0..u64::from(MAX_SLOTS) + 20).filter(|slot| !core.said(&domain, asked(&run, *slot, 7).slot).is_empty());
    assert_eq!(held.count(), usize::try_from(MAX_SLOTS).unwrap());
    assert!(core.hear(now, said(&run, 2, &asked(&run, 1, 7))), "another's place is his own");
    assert!(core.hear(now, said(&run, 2, &asked(&run, 1, 8))));
    let digests = core.said(&domain, asked(&run, 1, 7).slot);
    assert!(digests.values().all(|digest| *digest == Digest::new([7; 32])));
    let registration = RegistrationId { number: 2, ..REGISTRATION };
    let unknown = ServiceStatement { domain: ServiceDomain { registration, kind: 256 }, ..asked(&run, 1, 7) };
    core.hear(now, said(&run, 2, &unknown));
    let named = unknown.statement(&run.network.chain, &run.network.genesis.contracts.palisade).unwrap();
    assert!(core.said(&named.domain, named.slot).is_empty(), "no such registration");
}

/// A node's socket with a real core behind it, and a signer that is the fixture's key.
struct Door {
    run: Run,
    path: PathBuf,
    core: Arc<Mutex<Core>>,
    _dir: TempDir,
}

impl Door {
    fn open(member: usize) -> Self {
        let (run, dir) = (with_service(), tempfile::tempdir().unwrap());
        let path = dir.path().join("own/service.sock");
        let core = Arc::new(Mutex::new(core_of(&run, member)));
        let (handle, mut commands) = CoreHandle::channel();
        let (shared, signing) = (core.clone(), run.clone());
        tokio::spawn(async move {
            while let Some(command) = commands.recv().await {
                let mut core = shared.lock().unwrap();
                match command {
                    Command::Read(read) => read(&core),
                    Command::AttestFor(asked, reply) => match core.attest_for(&asked) {
                        Ok(_) => {
                            let Message::Attestation(made) = said(&signing, member, &asked) else { unreachable!() };
                            core.attested(made);
                            let _ = reply.send(Ok(made));
                        }
                        Err(refused) => drop(reply.send(Err(refused.into()))),
                    },
                    Command::Unjail(reply) => {
                        assert_eq!(core.jailed(), None);
                        let _ = reply.send(Err(Refusal::NotInJail));
                    }
                    other => panic!("the socket asks for {other:?}"),
                }
            }
        });
        let listener = socket::listen(&path).unwrap();
        tokio::spawn(server::serve(listener, handle));
        Self { run, path, core, _dir: dir }
    }

    async fn ask(&self, question: Question) -> Reply {
        ask(&self.path, &question).await.unwrap()
    }

    async fn refusal(&self, asked: ServiceStatement) -> Refusal {
        match self.ask(Question::Attest(asked)).await {
            Reply::Refused(refusal) => refusal,
            other => panic!("not refused: {other:?}"),
        }
    }

    /// What comes back for raw bytes; nothing when the connection is closed.
    async fn raw(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = UnixStream::connect(&self.path).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        answer
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r14_a_module_of_our_own_user_is_answered_and_told_what_to_mend() {
    let door = Door::open(0);
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&door.path), mode(door.path.parent().unwrap())), (0o600, 0o700));
    let Reply::Status(status) = door.ask(Question::Status).await else { panic!("no status") };
    assert_eq!((status.chain, status.epoch), (door.run.network.chain, 1));
    assert_eq!(status.capture, door.run.ledger.committee().ethereum.number);
    let good = asked(&door.run, 1, 7);
    let Reply::Attested(made) = door.ask(Question::Attest(good)).await else { panic!("not attested") };
    assert_eq!(Some(made.statement), good.statement(&status.chain, &status.palisade));
    assert_eq!(door.core.lock().unwrap().said(&made.statement.domain, good.slot).len(), 1);
    let named = |number, kind| ServiceDomain { registration: RegistrationId { number, ..REGISTRATION }, kind };
    for domain in [named(2, 256), named(1, 257), named(1, 1), named(0, 256)] {
        assert_eq!(door.refusal(ServiceStatement { domain, ..good }).await, Refusal::UnknownService);
    }
    assert_eq!(
        door.refusal(ServiceStatement { slot: 1, ..good }).await,
        Refusal::NotMember,
        "nobody attests in epoch 0"
    );
    assert!(matches!(door.ask(Question::Unjail).await, Reply::Refused(Refusal::NotInJail)));
}

#[tokio::test(flavor = "multi_thread")]
async fn r14_what_is_no_question_is_refused_and_what_is_too_long_is_not_read() {
    let door = Door::open(0);
    let senseless = [Reply::Refused(Refusal::Senseless).to_bytes()].concat();
    for frame in [&[0, 0, 0, 2, 2, 77][..], &[0, 0, 0, 2, 9, 2], &[0, 0, 0, 3, 2, 2, 2], &[0xff; 64]] {
        assert!(door.raw(frame).await.ends_with(&senseless), "{frame:?}");
    }
    let long = u32::try_from(MAX_QUESTION + 1).unwrap().to_be_bytes();
    assert!(door.raw(&long).await.ends_with(&senseless));
    assert!(door.raw(&[0, 0]).await.is_empty(), "cut off");
    assert!(matches!(door.ask(Question::Status).await, Reply::Status(_)), "and it goes on");
    assert!(matches!(socket::listen(&door.path), Err(SocketError::Listened { .. })));
}
