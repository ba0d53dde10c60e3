//! Writes the seeds of every parser: `seeds FOLDER` fills `FOLDER/NAME`.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use palisade_parsers::{PARSERS, seeds};

fn main() -> Result<()> {
    let folder = PathBuf::from(std::env::args_os().nth(1).context("usage: seeds FOLDER")?);
    for parser in PARSERS {
        let place = folder.join(parser.name);
        std::fs::create_dir_all(&place)?;
        for (number, seed) in seeds::of(parser.name)?.iter().enumerate() {
            std::fs::write(place.join(format!("seed-{number}")), seed)?;
        }
    }
    Ok(())
}
