//! Writes the seeds of every parser: `seeds FOLDER` fills `FOLDER/NAME`; `seeds` alone lists the names.

use std::path::PathBuf;

use anyhow::Result;
use palisade_parsers::{PARSERS, seeds};

fn main() -> Result<()> {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        PARSERS.iter().for_each(|parser| println!("{}", parser.name));
        return Ok(());
    };
    for parser in PARSERS {
        let place = folder.join(parser.name);
        std::fs::create_dir_all(&place)?;
        for (number, seed) in seeds::of(parser.name)?.iter().enumerate() {
            std::fs::write(place.join(format!("seed-{number}")), seed)?;
        }
    }
    Ok(())
}
