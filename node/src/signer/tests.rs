//! The signer over real records: restarts, restored directories, crashes, and everything it must refuse.

use super::*;
use palisade_agreement::ballot::Step;
use palisade_crypto::{bls, ed25519};
use palisade_storage::{Incarnation, Place, Record};
use palisade_types::canonical::List;
use palisade_types::duty::Unjail;
use palisade_types::ids::{Hash, ServiceId};
use palisade_types::proof::{RowProof, Terminal, leaf};
use palisade_types::row::{Row, RowKey};
use palisade_types::service::{RegistrationId, ServiceDomain, ServiceStatement, slot_of};
use palisade_types::units::Epoch;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use tempfile::TempDir;

const CHAIN: ChainId = ChainId::new([1; 32]);
const DOMAINS: Domains = Domains {
    chain: CHAIN,
    ledger: Domain::new([2; 32]),
    bitcoin: Domain::new([3; 32]),
    claim: Domain::new([4; 32]),
    order: Domain::new([5; 32]),
    succession: Domain::new([6; 32]),
    founder: ChainId::new([1; 32]),
    keys: Domain::new([3; 32]),
    interval: 5,
};
const OPERATOR: OperatorId = OperatorId::new([4; 20]);
/// The newest Ethereum block at every start.
const HEAD: u64 = 1_000;

/// A directory with keys, and everything that is done to it.
struct Home {
    dir: TempDir,
}

impl Home {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = Self { dir };
        create(&home.signer(), &home.incarnation()).unwrap();
        home
    }

    fn signer(&self) -> PathBuf {
        self.dir.path().join("signer")
    }

    fn incarnation(&self) -> PathBuf {
        self.dir.path().join("state/incarnation")
    }

    fn config(&self) -> Config {
        Config {
            dir: self.signer(),
            incarnation: self.incarnation(),
            operator: OPERATOR,
            palisade: Address::new([0x77; 20]),
            domains: DOMAINS,
            ethereum_head: HEAD,
            vote_pause: VOTE_PAUSE,
        }
    }

    fn open(&self) -> Signer {
        Signer::open(&self.config()).unwrap()
    }

    fn records(&self) -> SignatureStore {
        SignatureStore::open(&self.signer().join(RECORDS)).unwrap()
    }

    /// Copies the records aside, as a backup does.
    fn back_up(&self) -> TempDir {
        let backup = tempfile::tempdir().unwrap();
        copy_all(&self.signer().join(RECORDS), backup.path());
        backup
    }

    fn restore(&self, backup: &TempDir) {
        std::fs::remove_dir_all(self.signer().join(RECORDS)).unwrap();
        copy_all(backup.path(), &self.signer().join(RECORDS));
    }
}

fn copy_all(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if path.is_dir() {
            copy_all(&path, &to);
        } else {
            std::fs::copy(path, to).unwrap();
        }
    }
}

/// A block at `height`, whose state is the one row that names `named` at `below`, and the proof of it.
fn block(height: u64, below: u64, named: BlockId) -> (Header, Ancestry) {
    let (key, row) = (RowKey::Block(Height::new(below)), Row::Block(named));
    let header = Header {
        version: 1,
        chain: CHAIN,
        height: Height::new(height),
        epoch: Epoch::new(1),
        parent: BlockId::ZERO,
        items_root: Hash::ZERO,
        state_root: leaf(&key.path(), &row.value_hash()),
        next_committee: Hash::ZERO,
    };
    let proof = RowProof { siblings: List::new(), terminal: Terminal::Found };
    (header, Ancestry { height: Height::new(below), named, proof })
}

/// A checkpoint's block at `height`, whose state names `named` at `below`, with the proof that its vote needs.
fn checkpoint(height: u64, below: u64, named: BlockId) -> (BlockId, Option<Lineage>) {
    let (header, Ancestry { height: last, named, proof }) = block(height, below, named);
    (header.id(), Some(Lineage { header, checkpoint: None, last, named, proof: Some(proof) }))
}

/// The first block of a network that goes on from `last`.
fn successor(last: &Header, byte: u8) -> Header {
    let state_root = Hash::new([byte; 32]);
    Header { chain: ChainId::new([9; 32]), height: last.height.next(), parent: last.id(), state_root, ..*last }
}

#[tokio::test]
async fn r21_after_a_succession_nothing_is_signed_in_the_old_network_whatever_is_restarted() {
    let home = Home::new();
    let (last, _) = block(7, 6, named(6));
    let signer = home.open();
    signer.attest(last, None, 0).await.unwrap();
    signer.close().await;
    let (ours, other) = (successor(&last, 1), successor(&last, 2));
    let name = |first: &Header, last: &Header| attest_succession(&home.config(), 1, first, last, |_| None, 0);
    // Not from a block that leaves out what was attested.
    let (below, _) = block(6, 5, named(5));
    assert!(matches!(name(&successor(&below, 1), &below), Err(ByHand::Refused(Refused::NotSafe(Danger::Behind)))));
    let attestation = name(&ours, &last).unwrap();
    assert_eq!((attestation.statement.domain, attestation.statement.slot), (DOMAINS.succession, 1));
    assert_eq!(name(&ours, &last).unwrap(), attestation, "the same again");
    for _ in 0..2 {
        let signer = home.open();
        assert_attested(&signer, &attestation);
        let (next, ancestry) = block(8, 7, last.id());
        let refused = |result| matches!(result, Err(Refused::NotSafe(Danger::Succeeded)));
        assert!(refused(signer.attest(next, Some(ancestry), 0).await.map(drop)));
        assert!(refused(signer.sign_ballot(ballot(9, None)).await.map(drop)));
        assert!(refused(signer.commit_randomness(Height::new(10), 5).await.map(drop)));
        signer.close().await;
    }
    // Nor is another successor named: that would be a pair.
    assert!(matches!(name(&other, &last), Err(ByHand::Refused(Refused::NotSafe(Danger::Conflict)))));
}

fn named(byte: u8) -> BlockId {
    BlockId::new([byte; 32])
}

fn ballot(height: u64, block: Option<BlockId>) -> Ballot {
    Ballot {
        chain: CHAIN,
        operator: OPERATOR,
        height: Height::new(height),
        round: 0,
        step: Step::Prevote,
        block,
        valid_round: None,
    }
}

fn assert_attested(signer: &Signer, attestation: &Attestation) {
    let key = bls::PublicKey::from_bytes(signer.keys().bls.as_bytes()).unwrap();
    let signature = bls::Signature::from_bytes(attestation.signature.as_bytes()).unwrap();
    assert_eq!(attestation.operator, OPERATOR);
    assert_eq!(key.verify(&attestation.statement.bls_message(&CHAIN), &signature), Ok(()));
}

fn assert_voted(signer: &Signer, vote: &FinalityVote) {
    let key = eots::PublicKey::from_bytes(signer.keys().eots.as_bytes()).unwrap();
    let nonce = eots::PublicNonce::from_bytes(vote.nonce.as_bytes()).unwrap();
    let signature = eots::EotsSignature(*vote.signature.as_bytes());
    let message = vote.statement.eots_message(&CHAIN);
    assert_eq!(eots::verify(&key, &nonce, &message, &signature), Ok(()));
    assert!(vote.opening.opens(&vote.nonce, Height::new(vote.statement.slot), DOMAINS.interval));
}

#[tokio::test]
async fn r15_keys_made_into_the_store_sign_at_once_and_after_every_restart() {
    let home = Home::new();
    let mut last = None;
    for height in 1..4 {
        let signer = home.open();
        assert_eq!(signer.history(), History::Unbroken);
        assert_eq!(signer.signed_last().await, Ok(SignedLast { attested: last, voted: None }));
        let FinalBlock { height: below, id } = last.unwrap_or(FinalBlock { height: Height::new(0), id: named(0) });
        let (header, ancestry) = block(height, below.get(), id);
        let attestation = signer.attest(header, last.map(|_| ancestry), 0).await.unwrap();
        assert_attested(&signer, &attestation);
        signer.sign_ballot(ballot(height, None)).await.unwrap();
        last = Some(FinalBlock { height: header.height, id: header.id() });
        signer.close().await;
    }
}

#[tokio::test]
async fn r15_imported_keys_attest_only_in_epochs_that_start_above_the_wake_up() {
    let (home, twin) = (Home::new(), tempfile::tempdir().unwrap());
    copy_all(&home.signer().join(KEYS), &twin.path().join("signer").join(KEYS));
    let twin = Home { dir: twin };
    let (header, _) = block(7, 0, named(1));
    let later = Config { ethereum_head: HEAD + 500, ..twin.config() };
    for config in [twin.config(), later] {
        let signer = Signer::open(&config).unwrap();
        let History::Waiting(wait) = signer.history() else { panic!("{:?}", signer.history()) };
        assert_eq!((wait.cause, wait.wake_up), (Cause::Imported, HEAD), "the first wake-up stays");
        for early in [0, HEAD - 1, HEAD] {
            assert_eq!(signer.attest(header, None, early).await, Err(Refused::Waiting(wait)));
            assert_eq!(signer.finality_vote(Height::new(5), named(1), None, early).await, Err(Refused::Waiting(wait)));
        }
        assert_eq!(signer.history().vote_pause(), VOTE_PAUSE, "until the first vote");
        assert_eq!(signer.sign_ballot(ballot(7, None)).await, Err(Refused::Pausing));
        signer.close().await;
    }
    let signer = Signer::open(&Config { vote_pause: Duration::ZERO, ..twin.config() }).unwrap();
    assert_attested(&signer, &signer.attest(header, None, HEAD + 1).await.unwrap());
    signer.sign_ballot(ballot(7, None)).await.unwrap();
    signer.close().await;
    let signer = twin.open();
    assert!(matches!(signer.history(), History::Waiting(_)));
    assert_eq!(signer.history().vote_pause(), Duration::ZERO, "a node that starts again waits no second time");
    signer.sign_ballot(ballot(8, None)).await.expect("the pause is kept once");
}

#[tokio::test]
async fn r15_restored_records_wait() {
    let home = Home::new();
    let sign = async |signer: &Signer, height| signer.sign_ballot(ballot(height, None)).await.unwrap();
    let signer = home.open();
    sign(&signer, 1).await;
    signer.close().await;
    let backup = home.back_up();
    let signer = home.open();
    signer.close().await;
    home.restore(&backup);
    let signer = home.open();
    assert!(matches!(signer.history(), History::Waiting(Wait { cause: Cause::Restored, wake_up: HEAD, .. })));
    signer.close().await;
    let signer = home.open();
    assert!(matches!(signer.history(), History::Waiting(_)), "what was found broken stays so");
}

#[tokio::test]
async fn r15_a_copy_of_the_running_store_put_back_before_the_next_start_waits() {
    let home = Home::new();
    let signer = home.open();
    signer.sign_ballot(ballot(1, None)).await.unwrap();
    let backup = home.back_up();
    signer.sign_ballot(ballot(2, None)).await.unwrap();
    signer.close().await;
    home.restore(&backup);
    let signer = home.open();
    assert!(matches!(signer.history(), History::Waiting(Wait { cause: Cause::Truncated, .. })));
}

#[tokio::test]
async fn r15_records_without_their_copy_outside_wait_and_the_copy_is_never_inside() {
    let home = Home::new();
    home.open().close().await;
    std::fs::remove_file(home.incarnation()).unwrap();
    let signer = home.open();
    assert!(matches!(signer.history(), History::Waiting(Wait { cause: Cause::Restored, .. })));
    signer.close().await;
    let inside = Config { incarnation: home.signer().join("incarnation"), ..home.config() };
    assert!(matches!(Signer::open(&inside), Err(OpenError::Inside { .. })));
}

#[tokio::test]
async fn r15_a_crash_while_the_incarnation_is_renewed_breaks_nothing() {
    let home = Home::new();
    home.open().close().await;
    // The store announced a new id, and the copy still holds the old one.
    let mut records = home.records();
    let Incarnation { current, next: None } = records.incarnation().unwrap().unwrap() else { panic!("renewed") };
    records.set_incarnation(&Incarnation { current, next: Some(Hash::new([9; 32])) }).unwrap();
    drop(records);
    let signer = home.open();
    assert_eq!(signer.history(), History::Unbroken);
    signer.close().await;
    // The copy holds the new id, and the store was not told.
    let mut records = home.records();
    let Incarnation { current, .. } = records.incarnation().unwrap().unwrap();
    records.set_incarnation(&Incarnation { current: Hash::new([9; 32]), next: Some(current) }).unwrap();
    drop(records);
    assert_eq!(home.open().history(), History::Unbroken);
}

#[tokio::test]
async fn r15_a_person_releases_a_guard_above_a_height() {
    let home = Home::new();
    std::fs::remove_file(home.incarnation()).unwrap();
    home.open().close().await;
    release(&home.signer(), &CHAIN, Height::new(9)).unwrap();
    let signer = home.open();
    let ((below, _), (above, _)) = (block(9, 0, named(1)), block(10, 0, named(1)));
    assert!(matches!(signer.attest(below, None, HEAD).await, Err(Refused::Waiting(_))));
    signer.attest(above, None, HEAD).await.unwrap();
    assert!(matches!(release(&home.signer(), &CHAIN, Height::new(1)), Err(StoreError::Locked { .. })));
}

#[tokio::test]
async fn r16_a_block_that_does_not_extend_the_last_one_stops_everything_until_a_person_acts() {
    let home = Home::new();
    let signer = home.open();
    let (first, _) = block(7, 0, named(1));
    signer.attest(first, None, 0).await.unwrap();
    let (child, ancestry) = block(9, 7, first.id());
    assert_eq!(signer.attest(child, None, 0).await, Err(Danger::Unproven.into()));
    let (fork, other) = block(9, 7, named(2));
    assert_eq!(signer.attest(fork, Some(other), 0).await, Err(Danger::Fork.into()));
    let refuses = async |signer: &Signer| {
        assert_eq!(signer.attest(child, Some(ancestry.clone()), 0).await, Err(Danger::Stopped.into()));
        assert_eq!(signer.sign_ballot(ballot(9, None)).await, Err(Danger::Stopped.into()));
        assert_eq!(signer.commit_randomness(Height::new(5), 1).await, Err(Danger::Stopped.into()));
    };
    refuses(&signer).await;
    let signer = reopened(&home, signer).await;
    refuses(&signer).await;
    signer.close().await;
    assert!(resume(&home.signer(), &CHAIN).unwrap().is_some());
    let signer = home.open();
    assert!(matches!(resume(&home.signer(), &CHAIN), Err(StoreError::Locked { .. })), "only while it does not run");
    signer.attest(child, Some(ancestry), 0).await.unwrap();
}

async fn reopened(home: &Home, signer: Signer) -> Signer {
    signer.close().await;
    home.open()
}

#[tokio::test]
async fn r16_a_slot_is_attested_with_one_digest_and_again_only_with_the_same() {
    let home = Home::new();
    let signer = home.open();
    let (header, _) = block(7, 0, named(1));
    let attestation = signer.attest(header, None, 0).await.unwrap();
    assert_eq!(signer.attest(header, None, 0).await, Ok(attestation));
    let signer = reopened(&home, signer).await;
    assert_eq!(signer.attest(header, None, 0).await, Ok(attestation));
    let (behind, _) = block(6, 0, named(1));
    assert_eq!(signer.attest(behind, None, 0).await, Err(Danger::Behind.into()), "refused, and nothing stops");
    let (other, _) = block(7, 0, named(2));
    assert_eq!(signer.attest(other, None, 0).await, Err(Danger::Conflict.into()));
    assert_eq!(signer.attest(header, None, 0).await, Err(Danger::Stopped.into()));
    assert_eq!(signer.recorded(DOMAINS.ledger, 7).await, Ok(Some(header.id().into())));
    assert_eq!(signer.recorded(DOMAINS.ledger, 6).await, Ok(None));
}

#[tokio::test]
async fn r18_a_height_round_and_step_is_voted_once() {
    let home = Home::new();
    let signer = home.open();
    let (ours, theirs) = (ballot(7, Some(named(1))), ballot(7, None));
    let signature = signer.sign_ballot(ours).await.unwrap();
    let key = ed25519::PublicKey::from_bytes(signer.keys().ed25519.as_bytes()).unwrap();
    assert_eq!(key.verify(&ours.preimage(), &ed25519::Signature(*signature.as_bytes())), Ok(()));
    let signer = reopened(&home, signer).await;
    assert_eq!(signer.sign_ballot(theirs).await, Err(Danger::Voted.into()));
    assert_eq!(signer.sign_ballot(ours).await, Ok(signature), "a conflict of votes stops nothing");
    signer.sign_ballot(Ballot { round: 1, ..theirs }).await.unwrap();
    signer.sign_ballot(Ballot { step: Step::Precommit, ..theirs }).await.unwrap();
    signer.sign_ballot(ballot(8, None)).await.unwrap();
    assert_eq!(signer.sign_ballot(Ballot { round: 2, ..ours }).await, Err(Danger::Behind.into()));
    let not_ours = Ballot { operator: OperatorId::ZERO, ..ballot(9, None) };
    assert_eq!(signer.sign_ballot(not_ours).await, Err(Danger::Misfit.into()));
}

#[tokio::test]
async fn r18_a_crash_between_record_and_signature_gives_that_signature_and_no_other() {
    let home = Home::new();
    let (header, _) = block(7, 0, named(1));
    let (other, _) = block(7, 0, named(2));
    let (ours, theirs) = (ballot(7, Some(named(1))), ballot(7, Some(named(2))));
    let mut records = home.records();
    let attested = Place::Slot { domain: DOMAINS.ledger, slot: 7 };
    records.remember(&Record { place: attested, digest: header.id().into() }).unwrap();
    let voted = Place::Ballot { chain: CHAIN, height: Height::new(7), round: 0, step: 1 };
    let digest = palisade_agreement::guard::ballot_digest(&ours);
    records.remember(&Record { place: voted, digest }).unwrap();
    drop(records);
    let signer = home.open();
    assert_eq!(signer.history(), History::Unbroken, "the count outside may be behind, never ahead");
    assert_eq!(signer.sign_ballot(theirs).await, Err(Danger::Voted.into()));
    signer.sign_ballot(ours).await.unwrap();
    assert_attested(&signer, &signer.attest(header, None, 0).await.unwrap());
    assert_eq!(signer.attest(other, None, 0).await, Err(Danger::Conflict.into()));
}

#[tokio::test]
async fn r18_a_second_signer_on_one_directory_is_refused() {
    let home = Home::new();
    let signer = home.open();
    assert!(matches!(Signer::open(&home.config()), Err(OpenError::Store(StoreError::Locked { .. }))));
    signer.close().await;
    home.open();
    let (dir, other) = (home.signer(), home.dir.path().join("other"));
    assert!(create(&dir, &other).is_err(), "keys are made once");
    assert!(matches!(create(&other, &home.incarnation()), Err(OpenError::Exists { .. })), "copies are not shared");
}

#[tokio::test]
async fn r18_the_engine_is_answered_and_abstains_when_refused() {
    let home = Home::new();
    let signer = home.open();
    let (requests, served) = mpsc::channel(1);
    let (_, decided) = watch::channel(Height::new(50));
    let serving = tokio::spawn(signer.clone().serve(served, decided)); // an unbroken history knows what it voted
    let ask = async |ballot| {
        let (reply, answer) = oneshot::channel();
        requests.send(SignRequest { ballot, reply }).await.unwrap();
        answer.await
    };
    assert!(ask(ballot(7, None)).await.unwrap().is_ok());
    assert_eq!(ask(ballot(7, Some(named(1)))).await.unwrap(), Err(context::Refused));
    signer.close().await;
    assert!(ask(ballot(8, None)).await.is_err(), "a dropped reply stops the engine");
    serving.await.unwrap();
}

#[tokio::test]
async fn r15_a_guard_that_may_have_forgotten_votes_at_no_height_that_others_have_decided() {
    let home = Home::new();
    let signer = home.open();
    signer.close().await;
    std::fs::remove_file(home.incarnation()).unwrap();
    let signer = Signer::open(&Config { vote_pause: Duration::ZERO, ..home.config() }).unwrap();
    assert_ne!(signer.history(), History::Unbroken);
    let (requests, served) = mpsc::channel(1);
    let (_decided, by_others) = watch::channel(Height::new(7));
    let serving = tokio::spawn(signer.clone().serve(served, by_others));
    let ask = async |ballot| {
        let (reply, answer) = oneshot::channel();
        requests.send(SignRequest { ballot, reply }).await.unwrap();
        answer.await.unwrap()
    };
    assert_eq!(ask(ballot(6, None)).await, Err(context::Refused));
    assert_eq!(ask(ballot(7, None)).await, Err(context::Refused));
    assert!(ask(ballot(8, None)).await.is_ok());
    signer.close().await;
    drop(requests);
    serving.await.unwrap();
}

#[tokio::test]
async fn r19_a_vote_opens_the_promise_also_after_a_restart() {
    let home = Home::new();
    let signer = home.open();
    let vote = async |signer: &Signer, at| signer.finality_vote(Height::new(at), named(1), None, 0).await;
    assert_eq!(vote(&signer, 10).await, Err(Refused::NotCommitted));
    let promise = signer.commit_randomness(Height::new(10), 7).await.unwrap();
    let key = eots::PublicKey::from_bytes(signer.keys().eots.as_bytes()).unwrap();
    let message = RandomnessCommitment::message(&CHAIN, &DOMAINS.bitcoin, &OPERATOR, &promise.commitment);
    assert_eq!(key.verify_schnorr(&message, promise.signature.as_bytes()), Ok(()));
    let first = vote(&signer, 10).await.unwrap();
    assert_voted(&signer, &first);
    let signer = reopened(&home, signer).await;
    assert_eq!(vote(&signer, 10).await, Ok(first));
    let (id, lineage) = checkpoint(40, 10, named(1));
    let last = signer.finality_vote(Height::new(40), id, lineage, 0).await.unwrap();
    assert_voted(&signer, &last);
    assert_eq!(last.opening.commitment, promise.commitment);
    assert_eq!(vote(&signer, 45).await, Err(Refused::NotCommitted));
    assert_eq!(vote(&signer, 12).await, Err(Refused::NotCommitted), "no checkpoint");
    assert_eq!(signer.commit_randomness(Height::new(10), 7).await, Ok(promise), "the same promise again");
}

#[tokio::test]
async fn r19_promises_are_ranges_of_checkpoints_that_never_overlap() {
    let home = Home::new();
    let signer = home.open();
    let promise = async |first, count| signer.commit_randomness(Height::new(first), count).await.err();
    assert_eq!(promise(10, 3).await, None); // 10, 15, 20
    for (first, count, expected) in [
        (5, 1, None),
        (25, 1, None),
        (0, 1, Some(Refused::BadRange)),
        (31, 1, Some(Refused::BadRange)),
        (30, 0, Some(Refused::BadRange)),
        (30, 100_001, Some(Refused::BadRange)),
        (u64::MAX, 2, Some(Refused::BadRange)),
    ] {
        assert_eq!(promise(first, count).await, expected, "{first} x {count}");
    }
    for (first, count) in [(10, 2), (15, 1), (20, 9)] {
        let known = signer.commit_randomness(Height::new(first), count).await.unwrap().commitment;
        assert_eq!((known.first.get(), known.count), (10, 3), "what was promised covers {first} already");
    }
    let known = signer.commit_randomness(Height::new(5), 9).await.unwrap().commitment;
    assert_eq!((known.first.get(), known.count), (5, 1), "the lowest that overlaps");
}

/// The signer dies at any point between the request and the answer: what is on the disk is what it may sign again.
#[tokio::test]
async fn r19_a_crash_between_the_record_of_a_vote_and_its_signature_gives_that_signature_and_no_other() {
    let home = Home::new();
    let signer = home.open();
    signer.commit_randomness(Height::new(5), 3).await.unwrap();
    let twin = {
        // What the signature must be: the same key signs the same vote in another store.
        let other = Home::new();
        copy_all(&home.signer().join(KEYS), &other.signer().join("copied"));
        std::fs::remove_dir_all(other.signer().join(KEYS)).unwrap();
        std::fs::rename(other.signer().join("copied"), other.signer().join(KEYS)).unwrap();
        let signer = other.open();
        signer.commit_randomness(Height::new(5), 3).await.unwrap();
        signer.finality_vote(Height::new(10), named(1), None, HEAD + 1).await.unwrap()
    };
    signer.close().await;
    // The record is durable, the signature was never made.
    let place = Place::Slot { domain: DOMAINS.bitcoin, slot: 10 };
    let digest = Digest::from(named(1));
    home.records().remember(&Record { place, digest }).unwrap();
    let signer = home.open();
    assert_eq!(signer.recorded(DOMAINS.bitcoin, 10).await, Ok(Some(digest)));
    let vote = signer.finality_vote(Height::new(10), named(1), None, 0).await.unwrap();
    assert_voted(&signer, &vote);
    assert_eq!(vote, twin, "nonces follow from key and slot, so a signature that was lost is made again");
    let other = signer.finality_vote(Height::new(10), named(2), None, 0).await;
    assert_eq!(other, Err(Danger::Conflict.into()));
    let any = signer.finality_vote(Height::new(15), named(1), None, 0).await;
    assert_eq!(any, Err(Danger::Stopped.into()), "and a person must look");
    // Before the record there is nothing: either digest may be signed, and only one.
    signer.close().await;
    resume(&home.signer(), &CHAIN).unwrap();
    let signer = home.open();
    assert_eq!(signer.recorded(DOMAINS.bitcoin, 15).await, Ok(None));
    let (id, lineage) = checkpoint(15, 10, named(1));
    signer.finality_vote(Height::new(15), id, lineage, 0).await.unwrap();
    assert_eq!(signer.recorded(DOMAINS.bitcoin, 15).await, Ok(Some(id.into())));
}

#[tokio::test]
async fn r19_promises_of_another_key_in_the_same_directory_are_none_of_this_key() {
    let home = Home::new();
    let signer = home.open();
    let old = signer.commit_randomness(Height::new(10), 5).await.unwrap();
    signer.close().await;
    std::fs::remove_file(home.signer().join(KEYS).join("eots.key")).unwrap();
    keys::write_secret(&home.signer().join(KEYS).join("eots.key"), &keys::random()).unwrap();
    let signer = home.open();
    let vote = signer.finality_vote(Height::new(10), named(1), None, HEAD + 1).await;
    assert_eq!(vote, Err(Refused::NotCommitted));
    let new = signer.commit_randomness(Height::new(10), 5).await.unwrap();
    assert_ne!((new.key, new.commitment.root), (old.key, old.commitment.root));
    let vote = signer.finality_vote(Height::new(10), named(1), None, HEAD + 1).await.unwrap();
    assert_voted(&signer, &vote);
}

#[tokio::test]
async fn r19_no_checkpoint_is_signed_twice_and_none_against_what_was_attested() {
    let home = Home::new();
    let signer = home.open();
    signer.commit_randomness(Height::new(5), 10).await.unwrap();
    let (header, below) = block(10, 5, named(1));
    signer.attest(header, None, 0).await.unwrap();
    signer.finality_vote(Height::new(10), header.id(), None, 0).await.unwrap();
    let (last, id) = (header.height, header.id());
    let late = Some(Lineage { header, checkpoint: Some(below.proof), last, named: id, proof: None });
    signer.finality_vote(Height::new(5), named(1), late, 0).await.expect("late slots are filled in (R22)");
    let signer = reopened(&home, signer).await;
    let other = signer.finality_vote(Height::new(5), named(2), None, 0).await;
    assert_eq!(other, Err(Danger::Conflict.into()));
    signer.close().await;
    resume(&home.signer(), &CHAIN).unwrap();
    let signer = home.open();
    let (child, ancestry) = block(15, 10, header.id());
    signer.attest(child, Some(ancestry), 0).await.unwrap();
    let against = signer.finality_vote(Height::new(15), named(2), None, 0).await;
    assert_eq!(against, Err(Danger::Conflict.into()), "the ledger's domain says otherwise");
}

#[tokio::test]
async fn r16_a_checkpoint_of_another_chain_stops_the_signer_until_a_person_acts_also_after_a_restart() {
    let home = Home::new();
    let signer = home.open();
    signer.commit_randomness(Height::new(5), 10).await.unwrap();
    let vote =
        async |signer: &Signer, height, (id, lineage)| signer.finality_vote(Height::new(height), id, lineage, 0).await;
    let first = checkpoint(5, 0, named(9));
    vote(&signer, 5, (first.0, None)).await.expect("before the first vote there is nothing to extend");
    let ours = checkpoint(10, 5, first.0);
    assert_eq!(vote(&signer, 10, (ours.0, None)).await, Err(Danger::Unproven.into()));
    assert_voted(&signer, &vote(&signer, 10, ours.clone()).await.expect("unproven stops nothing"));
    let signer = reopened(&home, signer).await;
    let voted = Some(FinalBlock { height: Height::new(10), id: ours.0 });
    assert_eq!(signer.signed_last().await, Ok(SignedLast { attested: None, voted }));
    let fork = checkpoint(15, 10, named(7));
    assert_eq!(vote(&signer, 15, fork).await, Err(Danger::Fork.into()));
    let next = checkpoint(15, 10, ours.0);
    assert_eq!(vote(&signer, 15, next.clone()).await, Err(Danger::Stopped.into()));
    assert_eq!(signer.sign_ballot(ballot(16, None)).await, Err(Danger::Stopped.into()), "nothing of this network");
    let signer = reopened(&home, signer).await;
    assert_eq!(vote(&signer, 15, next.clone()).await, Err(Danger::Stopped.into()));
    signer.close().await;
    assert!(resume(&home.signer(), &CHAIN).unwrap().unwrap().contains("not of the chain"));
    let signer = home.open();
    assert_voted(&signer, &vote(&signer, 15, next).await.unwrap());
}

/// Whatever is asked, in whatever order, with restarts, kills and resumptions by an eager person in between: no two
/// digests of one place are ever both signed, and no two attestations contradict each other.
#[tokio::test]
async fn r18_two_digests_of_one_place_are_never_both_signed() {
    for seed in 0..6 {
        let mut random = StdRng::seed_from_u64(seed);
        let home = Home::new();
        let mut signer = home.open();
        signer.commit_randomness(Height::new(5), 4).await.unwrap();
        let mut signed: BTreeMap<(u8, u64), Vec<u8>> = BTreeMap::new();
        let mut check = |kind, slot, what: Vec<u8>| {
            assert_eq!(*signed.entry((kind, slot)).or_insert_with(|| what.clone()), what, "seed {seed}");
        };
        for _ in 0..60 {
            let (height, id) = (random.gen_range(1..20), named(random.gen_range(1..3)));
            match random.gen_range(0..8) {
                0 => {
                    signer = reopened(&home, signer).await;
                }
                1 => {
                    signer.close().await;
                    resume(&home.signer(), &CHAIN).unwrap();
                    signer = home.open();
                }
                2..4 => {
                    if let Ok(signature) = signer.sign_ballot(ballot(height, Some(id))).await {
                        check(0, height, signature.as_bytes().to_vec());
                    }
                }
                4..6 => {
                    let slot = height / 4 * 5;
                    let last = signer.signed_last().await.unwrap().voted;
                    let (below, voted) = last.map_or((0, id), |last| (last.height.get(), last.id));
                    let claimed = if random.gen_bool(0.8) { voted } else { id };
                    let (block, lineage) = checkpoint(slot, below, claimed);
                    if let Ok(vote) = signer.finality_vote(Height::new(slot), block, lineage, 0).await {
                        assert!(claimed == voted || slot == below, "seed {seed}: not an extension");
                        check(1, slot, vote.signature.as_bytes().to_vec());
                    }
                }
                _ => {
                    let last = signer.signed_last().await.unwrap().attested;
                    let FinalBlock { height: below, id: last } =
                        last.unwrap_or(FinalBlock { height: Height::new(0), id });
                    // Now and then the state names another block than the one attested.
                    let claimed = if random.gen_bool(0.8) { last } else { id };
                    let (header, ancestry) = block(height, below.get(), claimed);
                    if let Ok(attestation) = signer.attest(header, Some(ancestry), 0).await {
                        assert!(claimed == last || height == below.get(), "seed {seed}: not an extension");
                        check(2, height, attestation.signature.as_bytes().to_vec());
                    }
                }
            }
        }
        signer.close().await;
    }
}

#[test]
fn a_signer_needs_its_keys_closed_and_whole() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    let key = home.signer().join(KEYS).join("bls.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(Signer::open(&home.config()), Err(OpenError::Key(KeyError::Open { .. }))));
    std::fs::remove_file(&key).unwrap();
    assert!(matches!(Signer::open(&home.config()), Err(OpenError::Key(KeyError::Missing { .. }))));
}

fn met(signer: &Signer, slot: u64, digest: BlockId, anchor: u64) -> Met {
    let statement = Statement { domain: DOMAINS.ledger, slot, digest: digest.into() };
    Met { statement, key: OwnKey::Bls(signer.keys().bls), anchor: Some(anchor) }
}

#[tokio::test]
async fn r20_a_signature_that_an_unbroken_record_does_not_hold_is_a_doppelgangers() {
    let home = Home::new();
    let signer = home.open();
    let (header, _) = block(7, 0, named(1));
    signer.attest(header, None, 0).await.unwrap();
    assert_eq!(signer.meet(met(&signer, 7, header.id(), 0)).await, Ok(Meeting::Ours));
    let older_key = Met { key: OwnKey::Bls(BlsKey::new([9; 96])), ..met(&signer, 3, named(3), 0) };
    assert_eq!(signer.meet(older_key).await, Ok(Meeting::Ours), "an earlier key is in another directory");
    assert_eq!(signer.meet(met(&signer, 8, named(8), 0)).await, Ok(Meeting::Doppelganger));
    assert_eq!(signer.attest(header, None, 0).await, Err(Refused::Doubled), "nothing is signed beside another");
    assert_eq!(signer.sign_ballot(ballot(9, None)).await, Err(Refused::Doubled));
    signer.close().await;
    let signer = home.open();
    assert_eq!(signer.meet(met(&signer, 7, named(2), 0)).await, Ok(Meeting::Doppelganger), "another digest, too");
}

#[tokio::test]
async fn r20_a_waiting_guard_records_what_is_older_than_its_wake_up() {
    let home = Home::new();
    std::fs::remove_file(home.incarnation()).unwrap();
    let signer = home.open();
    let History::Waiting(wait) = signer.history() else { panic!("{:?}", signer.history()) };
    let uncommitted = Met { anchor: None, ..met(&signer, 7, named(7), 0) };
    assert_eq!(signer.meet(uncommitted).await, Ok(Meeting::Ours), "nothing is known of its block yet");
    assert_eq!(signer.recorded(DOMAINS.ledger, 7).await, Ok(None));
    assert_eq!(signer.meet(met(&signer, 7, named(7), wait.wake_up)).await, Ok(Meeting::Learned));
    assert_eq!(signer.meet(met(&signer, 7, named(7), wait.wake_up)).await, Ok(Meeting::Ours));
    let last = FinalBlock { height: Height::new(7), id: named(7) };
    assert_eq!(signer.signed_last().await, Ok(SignedLast { attested: Some(last), voted: None }));
    let signer = reopened(&home, signer).await;
    let (other, _) = block(7, 0, named(1));
    assert_eq!(signer.attest(other, None, HEAD + 1).await, Err(Danger::Conflict.into()), "and never contradicts it");
    assert_eq!(signer.meet(met(&signer, 8, named(8), wait.wake_up + 1)).await, Ok(Meeting::Doppelganger));
}

/// What the keys of one directory signed, taken to another directory that holds the same keys.
#[tokio::test]
async fn r15_imported_records_hold_and_the_guard_waits() {
    let old = Home::new();
    let signer = old.open();
    let (first, _) = block(7, 0, BlockId::ZERO);
    signer.attest(first, None, HEAD + 1).await.unwrap();
    let (second, ancestry) = block(8, 7, first.id());
    signer.attest(second, Some(ancestry), HEAD + 1).await.unwrap();
    signer.close().await;
    let file = interchange::export(&old.signer(), &DOMAINS).unwrap();
    let text = file.to_json();
    let file = interchange::Interchange::from_json(&text).unwrap();

    let new = Home { dir: tempfile::tempdir().unwrap() };
    let keys = OperatorKeys::read(&old.signer().join(KEYS)).unwrap();
    import(&new.signer(), &new.incarnation(), &keys).unwrap();
    let done = interchange::import(&new.signer(), &DOMAINS, &file).unwrap();
    assert_eq!((done.merged.added, done.merged.contradicting, done.foreign_rows), (2, 0, 0));
    let signer = new.open();
    assert!(
        matches!(signer.history(), History::Waiting(wait) if wait.wake_up == HEAD && wait.cause == Cause::Imported)
    );
    // It waits, for an epoch above its wake-up; then it signs what builds on what was imported, and nothing else.
    let (third, ancestry) = block(9, 8, second.id());
    assert!(matches!(signer.attest(third, Some(ancestry.clone()), HEAD).await, Err(Refused::Waiting(_))));
    assert_eq!(signer.recorded(DOMAINS.ledger, 8).await, Ok(Some(second.id().into())));
    let (other, _) = block(6, 1, named(9));
    assert_eq!(
        signer.attest(other, None, HEAD + 1).await,
        Err(Danger::Unnamed.into()),
        "below the lowest imported slot"
    );
    signer.attest(third, Some(ancestry), HEAD + 1).await.unwrap();
    signer.close().await;
}

#[tokio::test]
async fn r15_an_import_into_an_unbroken_guard_makes_it_wait_and_keeps_what_it_signed() {
    let home = Home::new();
    let signer = home.open();
    assert_eq!(signer.history(), History::Unbroken);
    let (first, _) = block(7, 0, BlockId::ZERO);
    let attested = signer.attest(first, None, 0).await.unwrap();
    signer.close().await;
    let mut file = interchange::export(&home.signer(), &DOMAINS).unwrap();
    file.data[0].signed_slots[0].digest = Some(Digest::new([5; 32]).to_string());
    let done = interchange::import(&home.signer(), &DOMAINS, &file).unwrap();
    assert_eq!((done.merged.added, done.merged.contradicting), (0, 1));
    let signer = home.open();
    assert!(matches!(signer.history(), History::Waiting(wait) if wait.wake_up == HEAD));
    let again = signer.attest(first, None, HEAD + 1).await;
    assert_eq!(
        again,
        Err(Danger::Unnamed.into()),
        "the file says that something else was signed there than {attested:?}"
    );
    signer.close().await;
    // The wait is no accident of that one start.
    let signer = home.open();
    assert!(matches!(signer.history(), History::Waiting(wait) if wait.wake_up == HEAD));
    signer.close().await;
}

#[tokio::test]
async fn r15_an_interchange_of_other_keys_or_networks_changes_nothing() {
    let home = Home::new();
    let signer = home.open();
    let (first, _) = block(7, 0, BlockId::ZERO);
    signer.attest(first, None, 0).await.unwrap();
    assert!(matches!(
        interchange::export(&home.signer(), &DOMAINS),
        Err(interchange::ImportError::Open(OpenError::Store(StoreError::Locked { .. })))
    ));
    signer.close().await;
    let file = interchange::export(&home.signer(), &DOMAINS).unwrap();
    let elsewhere = Domains { chain: ChainId::new([9; 32]), ..DOMAINS };
    let refused = interchange::import(&home.signer(), &elsewhere, &file).unwrap_err();
    assert!(refused.to_string().contains("of network"), "{refused}");
    let mut wrong = file.clone();
    wrong.data[0].signed_slots[0].slot = "-1".to_owned();
    assert!(interchange::import(&home.signer(), &DOMAINS, &wrong).unwrap_err().to_string().contains("slot"));
    wrong.data[0].pubkey = "0x00".to_owned();
    assert_eq!(home.open().history(), History::Unbroken, "refused before anything was written");
    let text = file.to_json();
    assert!(interchange::Interchange::from_json(&text.replace("palisade-1", "5")).is_err());
    assert!(interchange::Interchange::from_json(&text.replace("signed_slots", "signed_blocks")).is_err());
    let minified = file.minified();
    assert_eq!(minified.data[0].signed_slots.len(), 1);
}

#[tokio::test]
async fn a_signer_signs_nothing_below_what_was_pruned_and_knows_itself_there() {
    let home = Home::new();
    let signer = home.open();
    let mut last = block(7, 0, BlockId::ZERO).0;
    signer.attest(last, None, 0).await.unwrap();
    let first = last;
    for height in 8..=12 {
        let (header, ancestry) = block(height, height - 1, last.id());
        signer.attest(header, Some(ancestry), 0).await.unwrap();
        last = header;
    }
    let bls = signer.keys().bls;
    signer.close().await;
    assert_eq!(interchange::prune(&home.signer(), &DOMAINS, Height::new(10)).unwrap(), [Some(10), None]);
    let signer = home.open();
    assert_eq!(signer.history(), History::Unbroken, "nothing is forgotten that could be contradicted");
    assert_eq!(signer.attest(first, None, 0).await, Err(Danger::Unnamed.into()));
    let statement = Statement { domain: DOMAINS.ledger, slot: 7, digest: first.id().into() };
    let met = Met { statement, key: OwnKey::Bls(bls), anchor: Some(HEAD + 1) };
    assert_eq!(signer.meet(met).await, Ok(Meeting::Ours), "an old signature of ours makes no doppelganger");
    let (header, ancestry) = block(13, 12, last.id());
    signer.attest(header, Some(ancestry), 0).await.unwrap();
    signer.close().await;
}

/// What a module hands in, in slot 7 of epoch 1.
fn handed_in(service: u8, registration: u64, kind: u16, digest: u8) -> ServiceStatement {
    let registration = RegistrationId { service: ServiceId::new([service; 32]), number: registration };
    let domain = ServiceDomain { registration, kind };
    ServiceStatement { domain, slot: slot_of(Epoch::new(1), 7).unwrap(), digest: Digest::new([digest; 32]) }
}

#[tokio::test]
async fn r14_a_services_domain_is_derived_from_its_registration_and_is_never_the_networks_own() {
    let home = Home::new();
    let signer = home.open();
    let ask = |asked: ServiceStatement| signer.attest_service(asked, Height::new(1), 0);
    let said = ask(handed_in(1, 1, 256, 1)).await.unwrap();
    let palisade = home.config().palisade;
    assert_eq!(said.statement.domain, Domain::of_service(&CHAIN, &palisade, &ServiceId::new([1; 32]), 1, 256));
    let key = bls::PublicKey::from_bytes(signer.keys().bls.as_bytes()).unwrap();
    let signature = bls::Signature::from_bytes(said.signature.as_bytes()).unwrap();
    assert!(key.verify(&said.statement.bls_message(&CHAIN), &signature).is_ok());
    // The same again is the same; another digest is refused, and stops nothing else.
    assert_eq!(ask(handed_in(1, 1, 256, 1)).await, Ok(said));
    assert_eq!(ask(handed_in(1, 1, 256, 2)).await, Err(Danger::Taken.into()));
    let elsewhere = [handed_in(2, 1, 256, 2), handed_in(1, 2, 256, 2), handed_in(1, 1, 257, 2)];
    for asked in elsewhere {
        assert_ne!(
            ask(asked).await.unwrap().statement.domain,
            said.statement.domain,
            "new code, another kind or service"
        );
    }
    let reserved = [handed_in(1, 1, 255, 1), handed_in(1, 1, 4, 1), handed_in(0, 1, 256, 1), handed_in(1, 0, 256, 1)];
    for asked in reserved {
        assert_eq!(ask(asked).await, Err(Refused::Reserved));
    }
    let (header, _) = block(5, 4, named(1));
    assert!(signer.attest(header, None, 0).await.is_ok(), "the network goes on");
    assert_eq!(signer.recorded(said.statement.domain, said.statement.slot).await, Ok(Some(said.statement.digest)));
    signer.close().await;
    let again = home.open();
    let other = again.attest_service(handed_in(1, 1, 256, 2), Height::new(1), 0).await;
    assert_eq!(other, Err(Danger::Taken.into()), "also after a restart");
}

#[tokio::test]
async fn r15_a_waiting_guard_signs_for_no_service_of_an_epoch_that_began_before_it_woke() {
    let home = Home::new();
    home.open().close().await;
    let backup = home.back_up();
    home.open().close().await;
    home.restore(&backup);
    let signer = home.open();
    let ask = |start| signer.attest_service(handed_in(1, 1, 256, 1), Height::new(1), start);
    assert!(matches!(ask(HEAD).await, Err(Refused::Waiting(_))));
    assert!(ask(HEAD + 1).await.is_ok());
}

#[tokio::test]
async fn r20_the_word_to_leave_jail_is_signed_by_the_voting_key() {
    let home = Home::new();
    let signer = home.open();
    let word = signer.unjail(Height::new(9)).await.unwrap();
    let message = Unjail::message(&CHAIN, &OPERATOR, Height::new(9));
    let key = ed25519::PublicKey::from_bytes(signer.keys().ed25519.as_bytes()).unwrap();
    assert!(key.verify(&message, &ed25519::Signature(*word.signature.as_bytes())).is_ok());
    assert_eq!((word.operator, word.jailed), (OPERATOR, Height::new(9)));
}
