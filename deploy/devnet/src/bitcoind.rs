//! A real bitcoind on regtest: found, or built once from the source that a crate on crates.io carries; started, mined on, stopped.
//!
//! A bitcoind that is at hand is preferred. The built one is a development version without a wallet: it is for regtest only, lies in a
//! cache outside the checkout, and takes some five minutes of one processor the first time.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use bitcoin::Address;
use palisade_bitcoin::client::{Auth, Client, Endpoint};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

/// The crate whose source holds Bitcoin Core's.
const CRATE: &str = "libbitcoinkernel-sys";
/// Its version.
const CRATE_VERSION: &str = "0.4.1";

/// Finds a bitcoind: `$PALISADE_BITCOIND`, then `PATH`, then the cache.
pub fn locate() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("PALISADE_BITCOIND") {
        return Some(PathBuf::from(named));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join("bitcoind"));
    on_path.chain(cache().map(|cache| cache.join("bitcoind"))).find(|candidate| candidate.is_file())
}

/// Finds a bitcoind, or builds one into the cache, showing what the build says.
///
/// # Errors
///
/// When the build's tools (cargo, cmake, a C++ compiler, libevent, boost) are missing or fail; the message names the step.
pub fn locate_or_build() -> Result<PathBuf> {
    match locate() {
        Some(found) => Ok(found),
        None => build(),
    }
}

/// Where the built bitcoind is kept: outside the checkout, so that a clean build does not lose it.
fn cache() -> Option<PathBuf> {
    let home = std::env::var_os("HOME")?;
    Some(PathBuf::from(home).join(".cache/palisade/bitcoind"))
}

fn build() -> Result<PathBuf> {
    let cache = cache().context("HOME is not set, so there is no cache to build bitcoind into")?;
    fs::create_dir_all(&cache)?;
    let lock = File::create(cache.join("lock"))?;
    lock.lock().context("waiting for another build of bitcoind")?;
    let built = cache.join("bitcoind");
    if built.is_file() {
        return Ok(built); // the one we waited for
    }
    eprintln!("building bitcoind from crate {CRATE} {CRATE_VERSION} (once, about five minutes)");
    let source = fetch(&cache)?;
    let folder = cache.join("build");
    run(Command::new("cmake").arg("-S").arg(source).arg("-B").arg(&folder).args(CMAKE_OPTIONS))?;
    let jobs = std::thread::available_parallelism().map_or(1, usize::from).to_string();
    run(Command::new("cmake").arg("--build").arg(&folder).args(["--target", "bitcoind", "bitcoin-cli", "-j", &jobs]))?;
    for name in ["bitcoin-cli", "bitcoind"] {
        // A rename is seen whole or not at all: nobody finds half a bitcoind.
        let partial = cache.join(format!("{name}.partial"));
        fs::copy(folder.join("bin").join(name), &partial)?;
        fs::rename(&partial, cache.join(name))?;
    }
    fs::remove_dir_all(&folder)?;
    Ok(built)
}

/// No wallet, no tests, no tools: only what mines, relays and answers. Light optimisation, as it is built on the user's machine.
const CMAKE_OPTIONS: [&str; 13] = [
    "-DENABLE_WALLET=OFF",
    "-DENABLE_IPC=OFF",
    "-DBUILD_TESTS=OFF",
    "-DBUILD_BENCH=OFF",
    "-DBUILD_TX=OFF",
    "-DBUILD_UTIL=OFF",
    "-DBUILD_BITCOIN_BIN=OFF",
    "-DENABLE_EXTERNAL_SIGNER=OFF",
    "-DWITH_EMBEDDED_ASMAP=OFF",
    "-DCMAKE_BUILD_TYPE=Release",
    "-DCMAKE_CXX_FLAGS_RELEASE=-O1",
    "-DCMAKE_C_FLAGS_RELEASE=-O2",
    "-DCMAKE_EXE_LINKER_FLAGS=-s",
];

/// Bitcoin Core's source, as cargo unpacks the crate. `cargo info` fetches a crate without making it a dependency.
fn fetch(scratch: &Path) -> Result<PathBuf> {
    run(Command::new("cargo").arg("info").arg(format!("{CRATE}@{CRATE_VERSION}")).current_dir(scratch))?;
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let registries = home.context("neither CARGO_HOME nor HOME is set")?.join("registry/src");
    let unpacked = format!("{CRATE}-{CRATE_VERSION}/bitcoin");
    fs::read_dir(&registries)
        .with_context(|| format!("cargo keeps no sources in {}", registries.display()))?
        .filter_map(Result::ok)
        .map(|registry| registry.path().join(&unpacked))
        .find(|source| source.is_dir())
        .with_context(|| format!("cargo did not unpack {unpacked}"))
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.stdin(Stdio::null()).status();
    let status =
        status.with_context(|| format!("{} cannot be started; is it installed?", command.get_program().display()))?;
    ensure!(status.success(), "{} failed with {status}", command.get_program().display());
    Ok(())
}

/// How long a bitcoind lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// Until somebody stops it: for a devnet that outlives the command that brought it up.
    Detached,
    /// Until the handle is dropped: for tests.
    Handle,
}

/// A running bitcoind on regtest.
#[derive(Debug)]
pub struct Bitcoind {
    client: Client,
    endpoint: Endpoint,
    pid_file: PathBuf,
    child: Option<Child>,
    lifetime: Lifetime,
}

impl Bitcoind {
    /// Starts `binary` with its data in `dir` and its RPC on `rpc_port` of this machine alone, and waits until it answers.
    /// It listens for no peers.
    ///
    /// # Errors
    ///
    /// When it does not start, ends at once, or does not answer in time; its log is `dir/bitcoind.log`.
    pub async fn start(binary: &Path, dir: &Path, rpc_port: u16, lifetime: Lifetime) -> Result<Self> {
        Self::start_with(binary, dir, rpc_port, lifetime, &[]).await
    }

    /// The same, with options of its own.
    ///
    /// # Errors
    ///
    /// As [`Self::start`].
    pub async fn start_with(
        binary: &Path,
        dir: &Path,
        rpc_port: u16,
        lifetime: Lifetime,
        options: &[&str],
    ) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let dir = dir.canonicalize()?;
        let log = File::create(dir.join("bitcoind.log"))?;
        let mut command = Command::new(binary);
        command
            .arg(format!("-datadir={}", dir.display()))
            .arg(format!("-rpcport={rpc_port}"))
            .arg(format!("-pid={}", pid_file(&dir).display()))
            .args(OPTIONS)
            .args(options)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        if lifetime == Lifetime::Detached {
            std::os::unix::process::CommandExt::process_group(&mut command, 0); // a terminal's Ctrl-C is not for it
        }
        let child = command.spawn().with_context(|| format!("cannot start {}", binary.display()))?;
        Self::reach(&dir, rpc_port, Some(child), lifetime).await
    }

    /// Takes up one that runs already, started by another process.
    ///
    /// # Errors
    ///
    /// When it does not answer in time.
    pub async fn attach(dir: &Path, rpc_port: u16) -> Result<Self> {
        Self::reach(&dir.canonicalize()?, rpc_port, None, Lifetime::Detached).await
    }

    async fn reach(dir: &Path, rpc_port: u16, mut child: Option<Child>, lifetime: Lifetime) -> Result<Self> {
        let endpoint = Endpoint { url: format!("http://127.0.0.1:{rpc_port}"), auth: Auth::Cookie(cookie(dir)) };
        let deadline = Instant::now() + START_DEADLINE;
        loop {
            if let Some(client) = answering(&endpoint).await {
                return Ok(Self { client, endpoint, pid_file: pid_file(dir), child, lifetime });
            }
            if let Some(status) = child.as_mut().map(Child::try_wait).transpose()?.flatten() {
                bail!("bitcoind ended with {status}; see {}", dir.join("bitcoind.log").display());
            }
            if Instant::now() > deadline {
                if let Some(mut child) = child {
                    child.kill()?;
                    child.wait()?;
                }
                bail!("bitcoind did not answer in {START_DEADLINE:?}; see {}", dir.join("bitcoind.log").display());
            }
            sleep(POLL).await;
        }
    }

    /// Its RPC.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Where and how others reach it.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Asks it to stop and waits until it has written its state.
    ///
    /// # Errors
    ///
    /// When it does not end in time.
    pub async fn stop(mut self) -> Result<()> {
        self.client.stop().await?;
        let deadline = Instant::now() + STOP_DEADLINE;
        while !self.ended()? {
            ensure!(Instant::now() < deadline, "bitcoind did not stop in {STOP_DEADLINE:?}");
            sleep(POLL).await;
        }
        self.child = None;
        Ok(())
    }

    /// bitcoind removes its pid file last.
    fn ended(&mut self) -> Result<bool> {
        match &mut self.child {
            Some(child) => Ok(child.try_wait()?.is_some()),
            None => Ok(!self.pid_file.exists()),
        }
    }
}

impl Drop for Bitcoind {
    fn drop(&mut self) {
        if let (Lifetime::Handle, Some(child)) = (self.lifetime, &mut self.child) {
            // Nobody is left to tell about a failure, and a process that has ended cannot be killed.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

async fn answering(endpoint: &Endpoint) -> Option<Client> {
    let client = Client::new(endpoint.clone()).ok()?;
    client.info().await.ok()?;
    Some(client)
}

/// The file with the credentials that bitcoind writes at each start.
pub fn cookie(dir: &Path) -> PathBuf {
    dir.join("regtest/.cookie")
}

fn pid_file(dir: &Path) -> PathBuf {
    dir.join("bitcoind.pid")
}

/// Mines one block every interval, until dropped: on regtest nobody else does.
#[derive(Debug)]
pub struct Miner(JoinHandle<()>);

impl Miner {
    /// Mines to `address` through an endpoint. A block that fails is tried again at the next beat.
    ///
    /// # Errors
    ///
    /// When the endpoint's credentials cannot be read.
    pub fn start(endpoint: &Endpoint, address: Address, every: Duration) -> Result<Self> {
        let client = Client::new(endpoint.clone())?;
        Ok(Self(tokio::spawn(async move {
            let mut beat = interval(every);
            beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                beat.tick().await;
                if let Err(error) = client.mine(1, &address).await {
                    tracing::warn!(%error, "no block was mined");
                }
            }
        })))
    }
}

impl Drop for Miner {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A devnet's bitcoind: no peers, no log to the terminal, a burn of any size relayed.
const OPTIONS: [&str; 7] =
    ["-regtest", "-server", "-listen=0", "-dnsseed=0", "-txindex=1", "-rpcthreads=8", "-rpcworkqueue=128"];

/// How long a start may take.
const START_DEADLINE: Duration = Duration::from_secs(60);

/// How long a stop may take.
const STOP_DEADLINE: Duration = Duration::from_secs(60);

/// Between two looks at whether it answers.
const POLL: Duration = Duration::from_millis(50);
