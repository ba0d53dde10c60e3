//! Processes that outlive the command that started them. A pid file names each together with the time it was born,
//! so that a number which the system has given to somebody else since is never signalled.

use crate::progress::{Seen, until};
use anyhow::{Context, ensure};
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// How a process is told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// As Ctrl-C: anvil stores its state on this one only.
    Interrupt,
    /// As a service manager does.
    Terminate,
    /// At once, with everything unwritten lost.
    Kill,
    /// It stands still, as on a machine that is frozen,
    Freeze,
    /// and goes on.
    Thaw,
}

impl Signal {
    const fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "INT",
            Self::Terminate => "TERM",
            Self::Kill => "KILL",
            Self::Freeze => "STOP",
            Self::Thaw => "CONT",
        }
    }
}

/// One process, known by its pid file.
#[derive(Clone, Debug)]
pub struct Process {
    name: String,
    pid_file: PathBuf,
}

impl Process {
    /// The process that `pid_file` names, if it names one.
    #[must_use]
    pub fn new(name: &str, pid_file: PathBuf) -> Self {
        Self { name: name.to_owned(), pid_file }
    }

    /// Starts it, in a process group of its own so that a terminal's Ctrl-C is not for it, with both outputs
    /// appended to `log`.
    ///
    /// # Errors
    ///
    /// It runs already, or cannot be started.
    pub fn start(&self, command: &mut Command, log: &Path) -> anyhow::Result<u32> {
        ensure!(self.pid().is_none(), "{} runs already", self.name);
        make_parent(log)?;
        let log = File::options().create(true).append(true).open(log)?;
        let program = command.get_program().to_owned();
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .with_context(|| format!("{} cannot be started", program.display()))?;
        self.record(child.id())?;
        Ok(child.id())
    }

    /// Takes charge of a process that was started elsewhere.
    ///
    /// # Errors
    ///
    /// There is no such process, or the file cannot be written.
    pub fn record(&self, pid: u32) -> anyhow::Result<()> {
        let born = born(pid).with_context(|| format!("{} ended at once", self.name))?;
        make_parent(&self.pid_file)?;
        fs::write(&self.pid_file, format!("{pid} {born}\n"))?;
        Ok(())
    }

    /// Its pid while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        let text = fs::read_to_string(&self.pid_file).ok()?;
        let (pid, then) = text.trim().split_once(' ')?;
        let pid = pid.parse().ok()?;
        (born(pid)? == then.parse::<u64>().ok()?).then_some(pid)
    }

    /// Sends a signal, if it runs.
    ///
    /// # Errors
    ///
    /// The system does not allow it.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let Some(pid) = self.pid() else { return Ok(()) };
        // Every shell has `kill`; a call of the system's own would need unsafe code or one more crate.
        let script = format!("kill -s {} {pid}", signal.name());
        let sent = Command::new("sh").args(["-c", &script]).stdin(Stdio::null()).output()?;
        let gone = self.pid().is_none();
        let said = String::from_utf8_lossy(&sent.stderr);
        ensure!(sent.status.success() || gone, "cannot signal {}: {}", self.name, said.trim());
        Ok(())
    }

    /// Sends a signal and waits until it is gone; who does not go by then is killed. Fine when it does not run.
    ///
    /// # Errors
    ///
    /// It had to be killed, or cannot be.
    pub async fn stop(&self, signal: Signal, patience: Duration) -> anyhow::Result<()> {
        self.signal(signal)?;
        let left = self.gone(patience).await;
        if left.is_err() {
            self.signal(Signal::Kill)?;
            self.gone(patience).await?;
        }
        match fs::remove_file(&self.pid_file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        left.with_context(|| format!("{} had to be killed", self.name))
    }

    async fn gone(&self, patience: Duration) -> anyhow::Result<()> {
        until(&format!("the end of {}", self.name), patience, async || {
            Ok(match self.pid() {
                Some(pid) => Seen::NotYet(format!("process {pid} runs")),
                None => Seen::There(()),
            })
        })
        .await
    }
}

/// When the process was born, in the kernel's ticks since boot; `None` when there is none, or only what is left of
/// one that nobody has waited for.
fn born(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in brackets, and may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    match fields.next()? {
        "Z" | "X" => None,
        _ => fields.nth(18)?.parse().ok(),
    }
}

fn make_parent(file: &Path) -> anyhow::Result<()> {
    let folder = file.parent().context("a file has a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[tokio::test]
    async fn a_process_is_started_found_and_stopped_and_a_stranger_is_left_alone() {
        let folder = std::env::temp_dir().join(format!("palisade-process-{}", std::process::id()));
        let sleeper = Process::new("sleeper", folder.join("sleeper.pid"));
        assert_eq!(sleeper.pid(), None);
        let pid = sleeper.start(Command::new("sleep").arg("600"), &folder.join("sleeper.log")).unwrap();
        assert_eq!(sleeper.pid(), Some(pid));
        assert!(sleeper.start(Command::new("sleep").arg("600"), &folder.join("sleeper.log")).is_err());
        let began = Instant::now();
        sleeper.stop(Signal::Terminate, Duration::from_secs(10)).await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(10));
        assert_eq!(sleeper.pid(), None);
        sleeper.stop(Signal::Terminate, Duration::from_secs(10)).await.unwrap();
        // Our own number with another birthday.
        fs::write(folder.join("sleeper.pid"), format!("{} 1\n", std::process::id())).unwrap();
        assert_eq!(sleeper.pid(), None);
        fs::remove_dir_all(folder).unwrap();
    }
}
