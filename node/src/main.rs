//! The binary `palisade`.

use std::process::ExitCode;

fn main() -> ExitCode {
    palisade_node::cli::main()
}
