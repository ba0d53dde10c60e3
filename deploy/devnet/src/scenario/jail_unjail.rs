//! An operator's node is away for too long: he is jailed for what he missed, weighs nothing and loses nothing. When his time is over he
//! comes back by his own word, and counts and attests again (R20).

use super::kills::{Play, status};
use super::report::Report;
use crate::constants::{DUTY_SLOTS, READY_DEADLINE};
use crate::devnet::Devnet;
use crate::operator::Operator;
use crate::progress::{Seen, say, until};
use crate::tools;
use anyhow::{Context, ensure};
use palisade_node::rpc::PalisadeClient;
use palisade_node::rpc::views::OperatorView;
use std::process::Stdio;
use std::time::Duration;

/// How long a window of slots that nobody hurries may take, with a proposer who is away in every fourth height.
const DOWN: Duration = Duration::from_secs(600);
/// What the command says while he may not leave, or is not known to be in jail.
const NOT_YET: &str = "not in jail, or his time is not over";

/// Plays it.
///
/// # Errors
///
/// Names what does not hold.
pub async fn jail_unjail(devnet: &Devnet) -> anyhow::Result<Report> {
    let mut play = Play::open(devnet).await?;
    let (victim, others) = play.operators().split_last().context("a devnet has operators")?;
    let (victim, others) = (victim.clone(), others.to_vec());
    let id = victim.id()?.to_string();
    let before = known(&others[0], &id).await?;
    let seat = before.seat.clone().context("he sits in the committee")?;
    ensure!(before.jailed.is_none() && before.convicted.is_none(), "he is in jail or convicted; reset, and start anew");
    let left = status(&others[0]).await?.head.height;
    play.stop(&victim).await?;

    let mut jailed = Vec::new();
    for operator in &others {
        let what = format!("{} in jail at {}", victim.name(), operator.name());
        let seen = until(&what, DOWN, async || {
            let now = known(operator, &id).await?;
            let missed = now.missed.saturating_sub(before.missed);
            Ok(match now.jailed {
                Some(height) => Seen::There((height, now.convicted, now.missed)),
                None => Seen::NotYet(format!("he missed {missed}")),
            })
        });
        jailed.push(seen.await?);
    }
    let (height, _, missed) = jailed[0];
    ensure!(
        jailed.iter().all(|(at, convicted, _)| (*at, *convicted) == (height, None)),
        "the ledgers do not jail him alike, or convict him: {jailed:?}"
    );
    ensure!(missed * 5 > DUTY_SLOTS * 4, "he is in jail for {missed} missed slots");
    ensure!(height > left, "jailed at {height}, away since {left} only");
    say(format!(
        "jailed at height {height}, away since {left}, {missed} missed slots in all, the last {DUTY_SLOTS} judged"
    ));
    play.done("an operator is away until every ledger jails him, at one height", "four fifths of a window of slots");

    for operator in &others {
        await_seat(operator, &id, false).await?;
    }
    let without = others[0].client()?.committee(None).await?;
    play.done("he weighs nothing in the next committee, which goes on without him", "a boundary");

    victim.start()?;
    let word = leave_jail(&victim).await?;
    say(word);
    let mut freed = Vec::new();
    for operator in play.operators() {
        let what = format!("{} at large at {}", victim.name(), operator.name());
        let seen = until(&what, READY_DEADLINE, async || {
            let now = known(operator, &id).await?;
            Ok(match now.jailed {
                None => Seen::There(now.convicted),
                Some(height) => Seen::NotYet(format!("in jail since {height}")),
            })
        });
        freed.push(seen.await?);
    }
    ensure!(freed.iter().all(Option::is_none), "somebody convicted him: {freed:?}");
    play.done(
        "his time over, `palisade service unjail` lets him out in every ledger",
        "an epoch's Ethereum blocks, a block",
    );

    for operator in play.operators() {
        let now = await_seat(operator, &id, true).await?;
        ensure!(now.as_deref() == Some(&seat.ether), "he weighs {now:?} and weighed {} before", seat.ether);
    }
    let with = others[0].client()?.committee(None).await?;
    ensure!(
        (with.members.len(), without.members.len()) == (others.len() + 1, others.len()),
        "{} seats, then {}",
        without.members.len(),
        with.members.len()
    );
    play.done("he weighs in the next committee what he weighed before", "a boundary");
    play.all_well(std::slice::from_ref(&victim)).await?;
    certified_by(&others[0], &id).await?;
    play.done("he attests again, and certificates name him", "new certificates");
    play.unbroken().await?;
    play.report().await
}

/// What one node's ledger knows of an operator.
async fn known(at: &Operator, id: &str) -> anyhow::Result<OperatorView> {
    let known = at.client()?.operators().await?.into_iter().find(|known| known.id == id);
    known.with_context(|| format!("{}'s ledger does not know {id}", at.name()))
}

/// Waits until he sits, or does not, in the committee of the next block; the answer is what he weighs there.
async fn await_seat(at: &Operator, id: &str, wanted: bool) -> anyhow::Result<Option<String>> {
    let client = at.client()?;
    let what = format!("a committee {} him at {}", if wanted { "with" } else { "without" }, at.name());
    until(&what, READY_DEADLINE, async || {
        let committee = client.committee(None).await?;
        let seat = committee.members.into_iter().find(|member| member.operator == id);
        Ok(if seat.is_some() == wanted {
            Seen::There(seat.map(|seat| seat.ether))
        } else {
            Seen::NotYet(format!("epoch {}", committee.epoch))
        })
    })
    .await
}

/// Asks by the ordinary command until his node signs that he leaves. Until his time is over it is refused.
async fn leave_jail(victim: &Operator) -> anyhow::Result<String> {
    let what = format!("{}'s way out of jail", victim.name());
    until(&what, READY_DEADLINE, async || {
        let mut command = tokio::process::Command::new(tools::ours("palisade")?);
        command.args(["service", "unjail", "--socket"]).arg(victim.service_socket()).stdin(Stdio::null());
        let said = command.output().await?;
        if said.status.success() {
            return Ok(Seen::There(String::from_utf8_lossy(&said.stdout).trim().to_owned()));
        }
        let why = String::from_utf8_lossy(&said.stderr).trim().to_owned();
        let comes = !victim.service_socket().exists() || why.contains(NOT_YET) || why.contains("asking");
        Ok(if comes { Seen::NotYet(why) } else { Seen::Never(why) })
    })
    .await
}

/// Waits for a certificate of a new block that names him.
async fn certified_by(at: &Operator, id: &str) -> anyhow::Result<()> {
    let client = at.client()?;
    let since = client.status().await?.head.height;
    until("a certificate that names him", READY_DEADLINE, async || {
        let newest = client.status().await?.ether_final.map_or(0, |block| block.height);
        if newest <= since {
            return Ok(Seen::NotYet(format!("final up to {newest}")));
        }
        let signers = client.certificate(newest).await?.ether.signers;
        let named = signers.iter().any(|signer| signer == id);
        Ok(if named { Seen::There(()) } else { Seen::NotYet(format!("height {newest} is signed by {signers:?}")) })
    })
    .await
}
