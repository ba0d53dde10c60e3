//! A run in which nobody does anything wrong.

use super::report::Report;
use super::scene::Scene;
use crate::devnet::Devnet;
use crate::progress::{Seen, say, seconds, until};
use anyhow::ensure;
use std::time::{Duration, Instant};

/// A run without evidence: at its end nobody has lost anything, no case is new, and everybody finalised on.
///
/// # Errors
///
/// Names what does not hold.
pub async fn quiet(devnet: &Devnet, length: Duration) -> anyhow::Result<Report> {
    let scene = Scene::open(devnet)?;
    say(format!("a quiet run of {}", seconds(length)));
    let began = Instant::now();
    let (before, cases) = (scene.holdings().await?, scene.cases().await?);
    let heights = scene.final_heights(&scene.operators).await?;
    until("the end of the quiet run", length + Duration::from_secs(60), async || {
        Ok(match began.elapsed() >= length {
            true => Seen::There(()),
            false => Seen::NotYet(format!("{} to go", seconds(length.saturating_sub(began.elapsed())))),
        })
    })
    .await?;
    scene.finalised_since(&scene.operators, &heights).await?;
    let now = scene.holdings().await?;
    ensure!(before == now, "somebody lost something in a quiet run: before {before:?}, now {now:?}");
    ensure!(cases == scene.cases().await?, "a case was opened in a quiet run");
    say("nobody lost anything");
    Ok(Report {
        convict: None,
        steps: vec![],
        holdings: scene.changes(before, now),
        took: began.elapsed(),
        gas: vec![],
    })
}
