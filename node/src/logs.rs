//! Where log lines go: standard error, for people or as JSON.

use crate::config::{Log, LogFormat};
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Parts of other crates that say at `warn` what a stranger did wrong: a request that breaks off is no business of
/// the operator's.
const STRANGERS: &str = "jsonrpsee-server=error";

/// Starts logging; once in a process.
///
/// # Errors
///
/// When the filter is none, or logging has started already.
pub fn start(log: &Log) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let logs = tracing_subscriber::fmt().with_env_filter(filter(&log.filter)?).with_writer(std::io::stderr);
    match log.format {
        LogFormat::Pretty => logs.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
    }
}

fn filter(text: &str) -> Result<EnvFilter, tracing_subscriber::filter::ParseError> {
    if text.contains("jsonrpsee") {
        EnvFilter::try_new(text)
    } else {
        EnvFilter::try_new(format!("{text},{STRANGERS}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strangers_mistake_is_not_logged_unless_asked_for() {
        assert!(filter("info").unwrap().to_string().contains(STRANGERS));
        assert!(!filter("info,jsonrpsee-server=debug").unwrap().to_string().contains(STRANGERS));
        assert!(filter("palisade=loud").is_err());
    }
}
