//! What `logs` shows.

use crate::devnet::Devnet;
use crate::layout::everybody;
use anyhow::{Context, ensure};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// How much of each log is shown when nobody in particular is asked for.
const LAST_LINES: usize = 10;
/// How often a log that is followed is looked at.
const LOOK: Duration = Duration::from_millis(300);

/// Shows one log, or the end of all of them, and what is added while it is followed.
///
/// # Errors
///
/// There is no such log.
pub async fn show(devnet: &Devnet, name: Option<&str>, follow: bool) -> anyhow::Result<()> {
    let all: Vec<String> = everybody().collect();
    let shown: Vec<String> = match name {
        Some(name) => {
            ensure!(all.iter().any(|known| known == name), "there is no log {name}; there are {}", all.join(", "));
            vec![name.to_owned()]
        }
        None => all,
    };
    let mut tails = Vec::new();
    for one in &shown {
        let path = devnet.layout().log(one);
        if !path.exists() {
            ensure!(name.is_none(), "{one} has logged nothing yet: {} is not there", path.display());
            continue;
        }
        let text = fs::read(&path).with_context(|| path.display().to_string())?;
        let end = text.len() as u64;
        let text = String::from_utf8_lossy(&text);
        match name {
            Some(_) => print!("{text}"),
            None => {
                let lines: Vec<&str> = text.lines().collect();
                let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
                println!("==> {} <==\n{}\n", path.display(), last.join("\n"));
            }
        }
        tails.push(Tail { name: one.clone(), path, end });
    }
    if follow {
        follow_all(tails, name.is_none()).await?;
    }
    Ok(())
}

struct Tail {
    name: String,
    path: PathBuf,
    end: u64,
}

/// Until the person has seen enough.
async fn follow_all(mut tails: Vec<Tail>, named: bool) -> anyhow::Result<()> {
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        for tail in &mut tails {
            let mut file = File::open(&tail.path)?;
            file.seek(SeekFrom::Start(tail.end))?;
            let mut added = Vec::new();
            tail.end += file.read_to_end(&mut added)? as u64;
            for line in String::from_utf8_lossy(&added).lines() {
                if named {
                    println!("{:<8} {line}", tail.name);
                } else {
                    println!("{line}");
                }
            }
        }
    }
}
