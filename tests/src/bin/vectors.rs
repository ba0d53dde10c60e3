//! Runs every test vector below the given paths against our code and prints a line for each file.
//!
//! `vectors PATH...`: a line is `passed`, `failed`, `skipped` with its reason, or `unknown`. The exit code
//! is 1 when a file failed, 2 when the paths cannot be read.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use palisade_tests::vectors::report;

fn main() -> ExitCode {
    let paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if paths.is_empty() {
        eprintln!("usage: vectors PATH...");
        return ExitCode::from(2);
    }
    match report(&paths, &mut io::stdout().lock()) {
        Ok(summary) => {
            println!(
                "{} passed, {} failed, {} skipped, {} unknown",
                summary.passed, summary.failed, summary.skipped, summary.unknown
            );
            if summary.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}
