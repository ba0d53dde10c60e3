//! Covenant members as processes of their own, against a real bitcoind: locked and unlocked, killed between record and answer,
//! asked by the node's own code beside members that lie or never answer, and closed to other users.
#![allow(clippy::unwrap_used)]

use alloy::primitives::Address;
use palisade_bitcoin::covenant::{Presigning, Progress};
use palisade_bitcoin::vault::Versions;
use palisade_crypto::eots;
use palisade_devnet::bitcoind::{self, Bitcoind, Lifetime};
use palisade_devnet::constants::BITCOIN_DEPTH;
use palisade_devnet::contracts::PredictedAddresses;
use palisade_devnet::eigenlayer::EigenLayer;
use palisade_devnet::genesis::{Day, genesis};
use palisade_devnet::staking::Staker;
use palisade_devnet::tools;
use palisade_node::covenant::protocol::{Asked, Question, Refusal, Reply, Status, ask};
use palisade_node::covenant::{Config, ask as node, server};
use palisade_node::genesis_file;
use palisade_node::message::Presigned;
use palisade_node::signing::Signed;
use palisade_types::chain::ChainPoint;
use palisade_types::genesis::Seat;
use palisade_types::ids::Ed25519Key;
use palisade_types::{Canonical, ChainId, Genesis, Hash, OperatorId, SchnorrKey, VaultId, VaultRegistration};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixListener;
use tokio::sync::mpsc;

const PASSPHRASE: &str = "correct horse battery staple";
/// How long anything may take here.
const PATIENCE: Duration = Duration::from_secs(60);

/// One member: its folder, and its process while it runs.
struct Member {
    home: PathBuf,
    public: SchnorrKey,
    process: Option<Child>,
}

impl Member {
    /// Makes the key with the command that people use.
    fn make(home: PathBuf, plain: bool) -> Self {
        let mut command = palisade();
        command.args(["covenant", "init", "--home"]).arg(&home);
        if plain {
            command.arg("--devnet-plain-key");
        }
        let made = typing(&mut command, PASSPHRASE);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let public = server::public(&Config::read(&home.join("covenant.toml")).unwrap()).unwrap();
        Self { home, public, process: None }
    }

    fn config(&self) -> PathBuf {
        self.home.join("covenant.toml")
    }

    fn socket(&self) -> PathBuf {
        self.home.join("run/covenant.sock")
    }

    fn record(&self) -> PathBuf {
        self.home.join("records/signed")
    }

    /// Points it to a network, with changes to its configuration.
    fn configure(&self, network: &Network, more: &str) {
        let text = fs::read_to_string(self.config()).unwrap();
        let (ours, _) = text.split_once("[[bitcoin]]").unwrap();
        let cookie = bitcoind::cookie(&network.dir.path().join("bitcoin")).display().to_string();
        let bitcoin = format!("[[bitcoin]]\nrpc = \"http://127.0.0.1:{}\"\ncookie = \"{cookie}\"\n", network.port);
        fs::write(self.config(), format!("{more}\n{ours}{bitcoin}")).unwrap();
        fs::write(self.home.join("genesis.json"), genesis_file::to_json(&network.genesis)).unwrap();
    }

    /// Starts the process and waits until it listens and stands on Bitcoin.
    async fn start(&mut self) -> Status {
        let log = fs::File::options().create(true).append(true).open(self.home.join("log")).unwrap();
        let mut command = palisade();
        command.args(["covenant", "run", "--config"]).arg(self.config());
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.process = Some(command.spawn().unwrap());
        let began = Instant::now();
        loop {
            if let Ok(Reply::Status(status)) = ask(&self.socket(), &Question::Status, PATIENCE).await
                && status.bitcoin.is_some()
            {
                return status;
            }
            assert_eq!(self.process.as_mut().unwrap().try_wait().unwrap(), None, "{}", self.log());
            assert!(began.elapsed() < PATIENCE, "{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.home.join("log")).unwrap_or_default()
    }

    async fn presign(&self, asked: &Asked) -> Reply {
        ask(&self.socket(), &Question::Presign(Box::new(asked.clone())), PATIENCE).await.unwrap()
    }

    fn command(&self, action: &str, passphrase: &str) -> Output {
        typing(palisade().args(["covenant", action, "--config"]).arg(self.config()), passphrase)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill();
    }
}

fn palisade() -> Command {
    Command::new(tools::ours("palisade").unwrap())
}

/// Runs a command with a line on its standard input.
fn typing(command: &mut Command, line: &str) -> Output {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    // It may end without reading.
    let _ = writeln!(child.stdin.take().unwrap(), "{line}");
    child.wait_with_output().unwrap()
}

/// A bitcoind, a network over it, and a staker.
struct Network {
    dir: TempDir,
    bitcoind: Bitcoind,
    port: u16,
    staker: Staker,
    genesis: Genesis,
    versions: Versions,
}

impl Network {
    async fn start(dir: TempDir, covenant: Vec<SchnorrKey>) -> Self {
        let binary = bitcoind::locate().expect("no bitcoind: run deploy/devnet.sh once to build it");
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let bitcoind = Bitcoind::start(&binary, &dir.path().join("bitcoin"), port, Lifetime::Handle).await.unwrap();
        let staker = Staker::open(&dir.path().join("staker.key")).unwrap();
        staker.mine_first_coins(bitcoind.client()).await.unwrap();
        let genesis = network_of(covenant, final_point(&bitcoind).await);
        let versions = Versions::of(&genesis).unwrap();
        Self { dir, bitcoind, port, staker, genesis, versions }
    }

    fn chain(&self) -> ChainId {
        self.genesis.chain_id()
    }

    /// Stakes behind made-up operators, one for each number, and mines.
    async fn stake(&self, operators: &[u8]) -> Vec<Asked> {
        let client = self.bitcoind.client();
        let whose: Vec<_> = operators.iter().map(|number| (operator(*number), provider(*number))).collect();
        let sent = self.staker.stake(client, self.versions.rules(0).unwrap(), &whose).await.unwrap();
        self.staker.mine_first_coins(client).await.unwrap();
        let mut asked = Vec::new();
        for (sent, (_, provider)) in sent.iter().zip(whose) {
            let registration = self.staker.register(client, sent).await.unwrap();
            asked.push(Asked { chain: self.chain(), provider, registration, parent: None, registered: false });
        }
        asked
    }

    /// Whether every signature of an answer holds.
    fn holds(&self, asked: &Asked, reply: &Reply) -> bool {
        let Reply::Presigned(presigned) = reply else { panic!("{reply:?}") };
        let mut session = Presigning::open(&asked.registration, None, &self.versions).unwrap();
        session.take(presigned.answer.clone()).is_ok()
    }
}

fn operator(number: u8) -> OperatorId {
    OperatorId::new([number; 20])
}

fn provider(number: u8) -> SchnorrKey {
    SchnorrKey::new(eots::SecretKey::from_bytes(&[number; 32]).unwrap().public().to_bytes())
}

/// The devnet's terms for a covenant, on a Bitcoin that starts at a point.
fn network_of(covenant: Vec<SchnorrKey>, bitcoin_start: ChainPoint) -> Genesis {
    let zero = Address::ZERO;
    genesis(Day {
        random: Hash::new(rand::random()),
        ethereum_start: ChainPoint { number: 1, hash: Hash::new([1; 32]), log: u32::MAX, time: 0 },
        bitcoin_start,
        symbiotic: None,
        bitcoin_only: false,
        contracts: PredictedAddresses {
            palisade: zero,
            eigenlayer_adapter: zero,
            orders: zero,
            committee: zero,
            bitcoin_vaults: zero,
        },
        core: nowhere(),
        covenant: covenant.into_iter().zip((20..).map(operator)).collect(),
        seats: vec![Seat {
            operator: operator(1),
            ed25519: Ed25519Key::new([1; 32]),
            peer: vec![1; 38].try_into().unwrap(),
        }],
    })
    .unwrap()
}

fn nowhere() -> EigenLayer {
    let zero = Address::ZERO;
    EigenLayer {
        allocation_manager: zero,
        delegation_manager: zero,
        strategy_manager: zero,
        eigen_pod_manager: zero,
        permission_controller: zero,
        strategy_factory: zero,
        token: zero,
        strategy: zero,
    }
}

async fn final_point(bitcoind: &Bitcoind) -> ChainPoint {
    use bitcoin::hashes::Hash as _;
    let client = bitcoind.client();
    let height = client.info().await.unwrap().blocks - u32::try_from(BITCOIN_DEPTH).unwrap();
    let hash = client.block_hash(height).await.unwrap();
    let time = u64::from(client.header(hash).await.unwrap().time);
    ChainPoint { number: u64::from(height), hash: Hash::new(hash.to_byte_array()), log: u32::MAX, time }
}

/// Waits for a condition.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < PATIENCE, "{what} did not come about");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_signs_only_while_it_is_unlocked_and_the_same_after_it_was_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut member = Member::make(dir.path().join("member"), false);
    let network = Network::start(dir, vec![member.public, provider(200)]).await;
    member.configure(&network, "confirmations = 2");
    let vaults = network.stake(&[1, 2]).await;

    let status = member.start().await;
    assert_eq!(
        (status.chain, status.member, status.unlocked, status.signed),
        (network.chain(), member.public, false, 0)
    );
    assert_eq!(member.presign(&vaults[0]).await, Reply::Refused(Refusal::Locked));

    let wrong = member.command("unlock", "correct horse battery stapler");
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("the passphrase does not open the key"), "{wrong:?}");
    assert_eq!(member.presign(&vaults[0]).await, Reply::Refused(Refusal::Locked));
    let unlocked = member.command("unlock", PASSPHRASE);
    assert!(unlocked.status.success(), "{}", String::from_utf8_lossy(&unlocked.stderr));
    let first = member.presign(&vaults[0]).await;
    assert!(network.holds(&vaults[0], &first));
    assert_eq!(member.presign(&vaults[0]).await, first, "the same again");

    // what it does not sign, each by name
    let refused = async |change: &dyn Fn(&mut Asked)| {
        let mut asked = vaults[1].clone();
        change(&mut asked);
        match member.presign(&asked).await {
            Reply::Refused(refusal) => refusal,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused(&|asked| asked.chain = ChainId::ZERO).await, Refusal::OtherNetwork);
    assert!(matches!(refused(&|asked| asked.provider = provider(1)).await, Refusal::Invalid(_)));
    assert!(matches!(refused(&|asked| asked.registration.staking_time += 1).await, Refusal::Invalid(_)));
    assert!(matches!(refused(&|asked| inclusion(&mut asked.registration).height += 1).await, Refusal::NotYet(_)));
    assert!(matches!(refused(&|asked| inclusion(&mut asked.registration).height += 9_999).await, Refusal::NotYet(_)));
    let mut copy = vaults[0].clone();
    copy.registration.operator = operator(7);
    assert_eq!(member.presign(&copy).await, Reply::Refused(Refusal::Contradiction));

    // before the coins are locked it signs within a quota, and again when their block is known
    let mut early = vaults[0].clone();
    early.registration.inclusion = None;
    let unlocked = member.presign(&early).await;
    assert!(network.holds(&early, &unlocked) && unlocked != first, "the endorsement binds the block");
    early.registration.terms = 1;
    assert!(matches!(member.presign(&early).await, Reply::Refused(Refusal::Invalid(_))));

    // killed between record and answer: the answer is given by the next process
    let recorded = || fs::metadata(member.record()).unwrap().len();
    let before = recorded();
    let mut stream = tokio::net::UnixStream::connect(member.socket()).await.unwrap();
    let question = Question::Presign(Box::new(vaults[1].clone()));
    palisade_node::covenant::protocol::send(&mut stream, &question).await.unwrap();
    until("the record", async || recorded() > before).await;
    let entry = recorded() - before;
    member.kill();
    drop(stream);
    let status = member.start().await;
    assert_eq!((status.signed, status.unlocked), (2, false));
    assert_eq!(member.presign(&vaults[1]).await, Reply::Refused(Refusal::Locked));
    assert!(member.command("unlock", PASSPHRASE).status.success());
    let again = member.presign(&vaults[1]).await;
    assert!(network.holds(&vaults[1], &again));
    assert_eq!(member.presign(&vaults[0]).await, first, "deterministic, over processes");
    assert_eq!(fs::metadata(member.record()).unwrap().len(), before + entry, "nothing was recorded twice");

    assert!(member.command("lock", "").status.success());
    assert_eq!(member.presign(&vaults[1]).await, Reply::Refused(Refusal::Locked));
    let told = member.command("status", "");
    assert!(String::from_utf8_lossy(&told.stdout).contains("locked"));
    let log = member.log();
    assert!(!log.contains(PASSPHRASE) && log.contains("does not open the key"), "{log}");

    // a person releases an output while the process is stopped, and then another registration of it is signed
    let vault = id(&network, &vaults[0]);
    let config = member.config();
    let release = || palisade().args(["covenant", "release", &vault.to_string(), "--config"]).arg(&config).output();
    assert!(String::from_utf8_lossy(&release().unwrap().stderr).contains("is in use"));
    member.kill();
    assert!(release().unwrap().status.success());
    member.start().await;
    assert!(member.command("unlock", PASSPHRASE).status.success());
    assert_eq!(member.presign(&vaults[0]).await, first);
}

fn inclusion(registration: &mut VaultRegistration) -> &mut palisade_types::vault::Inclusion {
    registration.inclusion.as_mut().unwrap()
}

fn id(network: &Network, asked: &Asked) -> VaultId {
    Presigning::open(&asked.registration, None, &network.versions).unwrap().draft().id()
}

/// Asks one member as a node does, until the test drops what it gives.
fn asking(network: &Network, socket: PathBuf) -> (mpsc::Sender<Asked>, mpsc::Receiver<Signed>) {
    let (registrations, asked) = mpsc::channel(64);
    let (signed, signatures) = mpsc::channel(64);
    tokio::spawn(node::run(socket, network.versions.clone(), asked, signed));
    (registrations, signatures)
}

/// Listens as a member might that is no good: it answers with `reply`, or with nothing at all.
fn bad_member(socket: &Path, reply: Option<Vec<u8>>) -> PathBuf {
    let listener = UnixListener::bind(socket).unwrap();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            match &reply {
                Some(reply) => stream.write_all(reply).await.unwrap_or_default(),
                None => kept.push(stream),
            }
        }
    });
    socket.to_owned()
}

fn frame(value: &impl Canonical) -> Vec<u8> {
    let body = [vec![palisade_node::covenant::protocol::VERSION], value.to_bytes()].concat();
    [u32::try_from(body.len()).unwrap().to_be_bytes().to_vec(), body].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_bad_delegation_or_member_blocks_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let mut members = [1, 2].map(|number| Member::make(dir.path().join(format!("member{number}")), true));
    let covenant = [members[0].public, members[1].public, provider(201)];
    let network = Network::start(dir, covenant.to_vec()).await;
    for member in &mut members {
        member.configure(&network, "");
        member.start().await;
    }
    let operators: Vec<u8> = (1..=7).collect();
    let mut vaults = network.stake(&operators).await;
    // one whose block is another, one that the staker did not sign, one whose operator is not behind it
    inclusion(&mut vaults[0].registration).block = Hash::new([9; 32]);
    let staker = vaults[1].registration.slashings[0].staker;
    vaults[2].registration.unbonding_slashings.as_mut_slice()[0].staker = staker;
    vaults[4].provider = provider(99);
    let good: BTreeSet<usize> = [1, 3, 5, 6].into();

    let of_another = members[0].presign(&vaults[1]).await;
    assert!(network.holds(&vaults[1], &of_another));
    let socket = |name: &str| network.dir.path().join(name);
    let sockets = [
        members[0].socket(),
        bad_member(&socket("nonsense"), Some(vec![0, 0, 0, 5, 1, 2, 3, 4, 5])),
        bad_member(&socket("another"), Some(frame(&of_another))),
        bad_member(&socket("endless"), Some(vec![0xff; 4])),
        bad_member(&socket("silent"), None),
        socket("away"),
        members[1].socket(),
    ];
    let mut hands: Vec<_> = sockets.into_iter().map(|socket| asking(&network, socket)).collect();
    let mut sessions: BTreeMap<usize, Presigning> = BTreeMap::new();
    for (index, asked) in vaults.iter().enumerate() {
        if let Ok(session) = Presigning::open(&asked.registration, None, &network.versions) {
            sessions.insert(index, session);
        }
    }
    let mut complete = BTreeSet::new();
    let mut answers = 0;
    let began = Instant::now();
    while complete != good {
        assert!(began.elapsed() < PATIENCE, "complete: {complete:?}; {}", members[0].log());
        for (registrations, signatures) in &mut hands {
            // As the core does: everything that waits is asked again and again.
            vaults.iter().for_each(|asked| drop(registrations.try_send(asked.clone())));
            while let Ok(Signed::Presigned(Presigned { answer, .. })) = signatures.try_recv() {
                answers += 1;
                for (index, session) in &mut sessions {
                    if session.take(answer.clone()).is_ok_and(|progress| progress == Progress::Complete) {
                        complete.insert(*index);
                    }
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(began.elapsed() < Duration::from_secs(30), "nobody waited for the silent one: {:?}", began.elapsed());
    assert!(answers >= 2 * good.len());
    for index in &good {
        sessions[index].finish(&network.versions).unwrap();
    }
    for member in &members {
        let Reply::Status(status) = ask(&member.socket(), &Question::Status, PATIENCE).await.unwrap() else { panic!() };
        assert_eq!(status.signed, 4, "what does not hold left no trace");
    }
    // an endpoint that has not come to the stake's block says nothing about its output
    let client = network.bitcoind.client();
    let at = u32::try_from(inclusion(&mut vaults[1].registration).height).unwrap();
    client.invalidate(client.block_hash(at).await.unwrap()).await.unwrap();
    let reply = members[0].presign(&vaults[1]).await;
    assert!(matches!(reply, Reply::Refused(Refusal::NotYet(_))), "{reply:?}");
}

/// Another user gets neither through the folder nor, were it open, past the process. Needs root, who can become one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_user_gets_no_word() {
    let dir = tempfile::tempdir().unwrap();
    let mut member = Member::make(dir.path().join("member"), true);
    let network = Network::start(dir, vec![member.public, provider(200), provider(201)]).await;
    member.configure(&network, "");
    member.start().await;
    let run = member.home.join("run");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&run), mode(&member.socket()), mode(&member.record())), (0o700, 0o600, 0o600));
    assert_eq!((mode(&member.home.join("covenant.key")), mode(&member.home.join("records"))), (0o600, 0o700));

    // Asks for the status as somebody else: connected or not, and how many bytes came back.
    let script = r#"
        use IO::Socket::UNIX; $SIG{PIPE} = "IGNORE";
        my $socket = IO::Socket::UNIX->new(Peer => $ARGV[0]) or do { print "closed"; exit };
        print $socket "\0\0\0\2\1\3"; $socket->flush; my $reply = ""; sysread($socket, $reply, 100); print "read ", length $reply;
    "#;
    let as_user = |user: u32| {
        let mut perl = Command::new("perl");
        perl.arg("-e").arg(script).arg(member.socket());
        if user != 0 {
            perl.uid(user);
        }
        perl.output().map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let Ok(own) = as_user(0) else { return eprintln!("there is no perl: only the modes were looked at") };
    assert!(own.starts_with("read ") && own != "read 0", "{own}");
    let Ok(stranger) = as_user(65_534) else { return eprintln!("we are not root: only the modes were looked at") };
    assert_eq!(stranger, "closed");
    for folder in run.ancestors().take_while(|folder| folder.starts_with(network.dir.path())) {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::set_permissions(member.socket(), fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(as_user(65_534).unwrap(), "read 0", "{}", member.log());
    assert!(member.log().contains("somebody else"));
    // and a process does not start with its folder open
    member.kill();
    let told = palisade().args(["covenant", "run", "--config"]).arg(member.config()).output().unwrap();
    assert!(String::from_utf8_lossy(&told.stderr).contains("closed to group and others"), "{told:?}");
}

#[test]
fn a_process_does_not_start_with_what_is_not_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let member = Member::make(dir.path().join("member"), true);
    let told = || {
        let run = palisade().args(["covenant", "run", "--config"]).arg(member.config()).output().unwrap();
        assert!(!run.status.success());
        String::from_utf8_lossy(&run.stderr).into_owned()
    };
    fs::write(dir.path().join("cookie"), "a:b").unwrap();
    let config = fs::read_to_string(member.config()).unwrap();
    fs::write(member.config(), config.replace("/var/lib/bitcoind/.cookie", "../cookie")).unwrap();
    assert!(told().contains("genesis.json"), "{}", told());
    let others = network_of(
        vec![provider(200), provider(201), provider(202)],
        ChainPoint { number: 0, hash: Hash::ZERO, log: 0, time: 0 },
    );
    fs::write(member.home.join("genesis.json"), genesis_file::to_json(&others)).unwrap();
    assert!(told().contains("is no member of the covenant"), "{}", told());
    fs::set_permissions(member.home.join("covenant.key"), fs::Permissions::from_mode(0o644)).unwrap();
    assert!(told().contains("others may read it"), "{}", told());
    let again = typing(palisade().args(["covenant", "init", "--home"]).arg(&member.home).arg("--devnet-plain-key"), "");
    assert!(String::from_utf8_lossy(&again.stderr).contains("exists already"));
}
