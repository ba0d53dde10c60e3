//! An operator's engine key votes for two blocks in one round: he is jailed and loses nothing (R18). A lost log makes such a pair without
//! malice, and no contract can check one.

use super::report::Report;
use super::stake::Stake;
use crate::constants::SLASH_DEADLINE;
use crate::devnet::Devnet;
use crate::equivocation::{Votes, WARNING, hex_of};
use crate::progress::{Seen, say, until};
use anyhow::ensure;
use palisade_node::rpc::PalisadeClient;

/// Two precommits of one height and round.
///
/// # Errors
///
/// Names what does not hold.
pub async fn equivocation_vote(devnet: &Devnet) -> anyhow::Result<Report> {
    let mut stake = Stake::open(devnet).await?;
    let cases = stake.scene.cases().await?;
    let heights = stake.scene.final_heights(&stake.scene.operators).await?;
    say(WARNING);
    let teller = stake.teller().client()?;
    let pair = Votes::sign(&stake.owner, &stake.scene.genesis, &teller).await?;
    let accepted = teller.submit_evidence(hex_of(&pair)).await?;
    ensure!(accepted.case.is_none(), "a pair of engine votes opened case {:?}", accepted.case);
    stake.done("his engine key voted twice, and the pair is accepted over JSON-RPC", "two signature checks");

    let id = stake.owner.id()?.to_string();
    let mut jailed = Vec::new();
    for operator in &stake.scene.operators {
        let client = operator.client()?;
        let what = format!("the jailing in {}'s ledger", operator.name());
        let seen = until(&what, SLASH_DEADLINE, async || {
            let known = client.operators().await?.into_iter().find(|known| known.id == id);
            Ok(match known.and_then(|known| known.jailed) {
                Some(height) => Seen::There(height),
                None => Seen::NotYet("he is at large".to_owned()),
            })
        });
        jailed.push(seen.await?);
    }
    ensure!(
        jailed.windows(2).all(|pair| pair[0] == pair[1]),
        "the ledgers jailed him at different heights: {jailed:?}"
    );
    stake.done("he is jailed in every ledger, at one height", "the next block");
    for operator in &stake.scene.operators {
        let client = operator.client()?;
        until(&format!("a committee without him at {}", operator.name()), SLASH_DEADLINE, async || {
            let committee = client.committee(None).await?;
            let sits = committee.members.iter().any(|member| member.operator == id);
            Ok(if sits { Seen::NotYet(format!("he sits in epoch {}", committee.epoch)) } else { Seen::There(()) })
        })
        .await?;
    }
    stake.done("he has no seat in the next committee", "a boundary block and its certificate");
    let known = teller.operators().await?.into_iter().find(|known| known.id == id);
    ensure!(known.is_some_and(|known| known.convicted.is_none()), "a pair of engine votes convicted him");
    ensure!(cases == stake.scene.cases().await?, "a pair of engine votes opened a case");
    let again = teller.submit_evidence(hex_of(&pair)).await;
    ensure!(again.is_err(), "the same pair is taken twice: {again:?}");
    stake.scene.finalised_since(&stake.scene.operators, &heights).await?;
    stake.unharmed().await?;
    stake.done("he has lost nothing, there is no case, and everybody finalises on", "the next certificates");
    stake.report(true).await
}
