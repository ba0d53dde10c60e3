//! Programs that the devnet runs: our own, which cargo put beside this one, and anvil.

use anyhow::{Context, bail, ensure};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::progress::say;

/// The npm package with anvil's native binary in a package per platform.
const ANVIL_PACKAGE: &str = "@foundry-rs/anvil@1.7.1";

/// One of this workspace's programs: in `$PALISADE_BIN`, or in the folder of the program that runs, or (when that is a
/// test) in the folder above.
///
/// # Errors
///
/// It is not built.
pub fn ours(name: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let named = std::env::var_os("PALISADE_BIN").map(PathBuf::from);
    let beside = own.ancestors().skip(1).take(2).map(Path::to_path_buf);
    let found = named.into_iter().chain(beside).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.with_context(|| {
        format!("there is no program {name} beside {}; build it: cargo build --workspace --all-targets", own.display())
    })
}

/// The native anvil: `$PALISADE_ANVIL`, then `PATH`, then the cache, then npm, which fills the cache.
///
/// # Errors
///
/// npm is missing or fails, or has no anvil for this platform.
pub fn anvil() -> anyhow::Result<PathBuf> {
    if let Some(named) = std::env::var_os("PALISADE_ANVIL") {
        let named = PathBuf::from(named);
        ensure!(named.is_file(), "PALISADE_ANVIL names {}, which is no file", named.display());
        return Ok(named);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join("anvil")).find(|file| is_native(file));
    if let Some(found) = on_path {
        return Ok(found);
    }
    let cache = cache()?;
    match in_packages(&cache) {
        Some(found) => Ok(found),
        None => install(&cache),
    }
}

/// npm's shims are scripts that hide exit codes and leave children behind; only a binary will do.
fn is_native(file: &Path) -> bool {
    let mut magic = [0; 2];
    File::open(file).and_then(|mut file| file.read_exact(&mut magic)).is_ok_and(|()| magic != *b"#!")
}

fn cache() -> anyhow::Result<PathBuf> {
    let home = std::env::var_os("HOME").context("HOME is not set, so there is no cache for tools")?;
    Ok(PathBuf::from(home).join(".cache/palisade/tools"))
}

fn in_packages(cache: &Path) -> Option<PathBuf> {
    let packages = fs::read_dir(cache.join("node_modules/@foundry-rs")).ok()?.flatten();
    let ours = packages.filter(|package| package.file_name().to_string_lossy().starts_with("anvil-"));
    ours.map(|package| package.path().join("bin/anvil")).find(|file| is_native(file))
}

fn install(cache: &Path) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(cache)?;
    let lock = File::create(cache.join("lock"))?;
    lock.lock().context("waiting for another installation of anvil")?;
    if let Some(found) = in_packages(cache) {
        return Ok(found); // the one we waited for
    }
    say(format!("installing {ANVIL_PACKAGE} from npm into {}", cache.display()));
    let status = Command::new("npm")
        .args(["install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix"])
        .arg(cache)
        .arg(ANVIL_PACKAGE)
        .stdin(Stdio::null())
        .status()
        .context("npm cannot be started; is Node.js installed?")?;
    if !status.success() {
        bail!("npm install {ANVIL_PACKAGE} failed with {status}");
    }
    in_packages(cache).context("npm brought no anvil for this platform")
}
