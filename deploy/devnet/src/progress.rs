//! What a person sees while a command works, and how it waits: always for a condition, never for a while.

use crate::constants::POLL;
use anyhow::bail;
use std::fmt::Display;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How often something that is waited for is named again.
const REMIND: Duration = Duration::from_secs(10);

/// Says one line, with the seconds since this process began.
pub fn say(line: impl Display) {
    println!("[{:>6}] {line}", seconds(started().elapsed()));
}

/// A duration as tables and progress lines show it.
#[must_use]
pub fn seconds(duration: Duration) -> String {
    format!("{}.{} s", duration.as_secs(), duration.subsec_millis() / 100)
}

fn started() -> &'static Instant {
    static STARTED: OnceLock<Instant> = OnceLock::new();
    STARTED.get_or_init(Instant::now)
}

/// Looks until there is something to see. An error of one look is a reason to look again; only the last one is told.
///
/// # Errors
///
/// Nothing was seen before the deadline, or nothing can be any more; the message names what was waited for and how it stood last.
pub async fn until<T>(
    what: &str,
    deadline: Duration,
    mut look: impl AsyncFnMut() -> anyhow::Result<Seen<T>>,
) -> anyhow::Result<T> {
    let began = Instant::now();
    let mut reminded = began;
    loop {
        let stands = match look().await {
            Ok(Seen::There(seen)) => return Ok(seen),
            Ok(Seen::NotYet(stands)) => stands,
            Ok(Seen::Never(reason)) => bail!("{what}: {reason}"),
            Err(error) => format!("{error:#}"),
        };
        if began.elapsed() > deadline {
            bail!("{what}: not after {}; {stands}", seconds(deadline));
        }
        if reminded.elapsed() > REMIND {
            reminded = Instant::now();
            say(format!("  waiting for {what}: {stands}"));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// What one look shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen<T> {
    /// It is there.
    There(T),
    /// It is not; how things stand.
    NotYet(String),
    /// It will not be, and why.
    Never(String),
}

/// Rows under headings, each column as wide as its widest cell.
#[must_use]
pub fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([headings[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    let head = [line(headings.to_vec()), line(rule.iter().map(String::as_str).collect())];
    let body = rows.iter().map(|row| line(row.iter().map(String::as_str).collect()));
    head.into_iter().chain(body).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_as_wide_as_its_cells() {
        let rows = vec![vec!["a".to_owned(), "long cell".to_owned()], vec!["longer".to_owned(), String::new()]];
        assert_eq!(table(&["x", "y"], &rows), "x       y\n------  ---------\na       long cell\nlonger");
    }

    #[tokio::test]
    async fn waiting_ends_with_what_is_seen_or_with_how_it_stood() {
        let mut looks = 0;
        let seen = until("three looks", Duration::from_secs(60), async || {
            looks += 1;
            Ok(if looks == 3 { Seen::There(looks) } else { Seen::NotYet(looks.to_string()) })
        });
        assert_eq!(seen.await.unwrap(), 3);
        let never = until::<()>("a miracle", Duration::ZERO, async || Ok(Seen::NotYet("nothing moves".to_owned())));
        assert_eq!(never.await.unwrap_err().to_string(), "a miracle: not after 0.0 s; nothing moves");
        let hopeless = until::<()>("a miracle", Duration::from_secs(60), async || Ok(Seen::Never("no".to_owned())));
        assert_eq!(hopeless.await.unwrap_err().to_string(), "a miracle: no");
    }
}
