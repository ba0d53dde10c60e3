//! An operator's Ethereum endpoint lies (R30). With three endpoints he goes on and is told which; with two he takes nothing in and
//! attests no block with an anchor that he cannot confirm (R7), the network goes on without him, and he catches up once both say
//! the same again.

use super::report::{Report, Step};
use super::scene::Scene;
use crate::constants::{READY_DEADLINE, STOP_DEADLINE};
use crate::devnet::Devnet;
use crate::operator::Operator;
use crate::process::Signal;
use crate::progress::{Seen, say, until};
use crate::relay::{Lie, Relay};
use anyhow::{Context, ensure};
use palisade_ledger::SUPPLEMENT_HEIGHTS;
use palisade_node::rpc::PalisadeClient;
use palisade_node::rpc::views::StatusView;
use std::time::Instant;

/// Heights by which the network goes on while one of its operators has nobody to believe.
const WITHOUT_HIM: u64 = 20;

/// One operator's endpoint of three lies, and one's of two.
///
/// # Errors
///
/// Names what does not hold.
pub async fn rpc_disagreement(devnet: &Devnet) -> anyhow::Result<Report> {
    let scene = Scene::open(devnet)?;
    let (began, before) = (Instant::now(), scene.holdings().await?);
    let cases = scene.cases().await?;
    let heights = scene.final_heights(&scene.operators).await?;
    let relay = Relay::start(&devnet.anvil().url()).await?;
    let [outvoted, doubtful, others @ ..] = scene.operators.as_slice() else {
        anyhow::bail!("a devnet has four operators")
    };
    let (honest, lying) = (devnet.anvil().url(), relay.endpoint().to_owned());
    // The same anvil by another name: what counts is that two of three say the same.
    let mut play = Play { scene: &scene, began, steps: Vec::new() };
    play.restart(outvoted, &[honest.clone(), honest.replace("127.0.0.1", "localhost"), lying.clone()]).await?;
    play.restart(doubtful, &[honest.clone(), lying]).await?;
    play.done("two operators have a relay among their endpoints, of three and of two", "restarts, new certificates");

    let played = play.lie(&relay, outvoted, doubtful, others).await;
    relay.tell(Lie::None); // whatever happened, nobody keeps an endpoint that lies
    let caught_up = match &played {
        Ok(()) => play.believe_again(doubtful, others).await,
        Err(_) => Ok(()),
    };
    for operator in [outvoted, doubtful] {
        play.restart(operator, std::slice::from_ref(&honest)).await?;
    }
    played?;
    caught_up?;
    scene.finalised_since(&scene.operators, &heights).await?;
    scene.check_roots().await?;
    play.done("everybody has his own endpoint again and finalised on; state roots equal", "the next certificates");
    let now = scene.holdings().await?;
    ensure!(before == now && cases == scene.cases().await?, "somebody lost something to a lying endpoint");
    Ok(Report {
        convict: None,
        steps: play.steps,
        holdings: scene.changes(before, now),
        took: began.elapsed(),
        gas: vec![],
    })
}

struct Play<'a> {
    scene: &'a Scene<'a>,
    began: Instant,
    steps: Vec<Step>,
}

impl Play<'_> {
    fn done(&mut self, what: &'static str, waited_for: &'static str) {
        say(what);
        self.steps.push(Step { what, after: self.began.elapsed(), waited_for });
    }

    /// Starts a node again with these Ethereum endpoints, and waits until it finalises.
    async fn restart(&self, operator: &Operator, endpoints: &[String]) -> anyhow::Result<()> {
        let before = self.scene.final_heights(std::slice::from_ref(operator)).await?;
        operator.process().stop(Signal::Terminate, STOP_DEADLINE).await?;
        operator.configure_with(self.scene.devnet.ports(), &self.scene.operators, endpoints)?;
        operator.start()?;
        self.scene.finalised_since(std::slice::from_ref(operator), &before).await
    }

    async fn lie(
        &mut self,
        relay: &Relay,
        outvoted: &Operator,
        doubtful: &Operator,
        others: &[Operator],
    ) -> anyhow::Result<()> {
        relay.tell(Lie::Hashes);
        let named = "palisade_endpoint_contradictions{chain=\"ethereum\"}";
        until("the alarm about the endpoint of three", READY_DEADLINE, async || {
            let count = outvoted.metric(named).await?.context("the metric is there")?;
            Ok(if count > 0.0 { Seen::There(()) } else { Seen::NotYet("no contradiction".to_owned()) })
        })
        .await?;
        self.done("the endpoint of three that lies is named", "the next question");
        until("the failing follower of two", READY_DEADLINE, async || {
            let count = doubtful.metric("palisade_follower_errors_total{chain=\"ethereum\"}").await?;
            Ok(if count > Some(0.0) { Seen::There(()) } else { Seen::NotYet("it still reads".to_owned()) })
        })
        .await?;
        // What he saw before the lie he may still confirm; the number is his last word on Ethereum.
        let stood = own_final(&status(doubtful).await?)?;
        let teller = others.first().context("somebody has an honest endpoint")?;
        let before = (missed(teller, outvoted).await?, missed(teller, doubtful).await?);
        // Whoever missed a slot is booked when no supplement can name him any more (R20).
        let until_height = ether_final(&status(teller).await?) + WITHOUT_HIM + SUPPLEMENT_HEIGHTS;
        for operator in std::iter::once(outvoted).chain(others) {
            let what = format!("ether finality above height {until_height} on {}", operator.name());
            until(&what, READY_DEADLINE, async || {
                let height = ether_final(&status(operator).await?);
                Ok(if height > until_height { Seen::There(()) } else { Seen::NotYet(height.to_string()) })
            })
            .await?;
        }
        let now = (missed(teller, outvoted).await?, missed(teller, doubtful).await?);
        let (outvoted, doubtful) = (status(outvoted).await?, status(doubtful).await?);
        ensure!(outvoted.contradicted.is_empty() && own_final(&outvoted)? > stood, "the outvoted lie stopped him");
        ensure!(own_final(&doubtful)? == stood, "he goes on although his two endpoints contradict each other");
        ensure!(doubtful.contradicted.is_empty(), "nobody contradicts what he has seen himself");
        // Blocks without an Ethereum anchor he may still attest, once the others have certified what is below (R7).
        let (heard, unheard) = (now.0 - before.0, now.1 - before.1);
        ensure!(unheard >= WITHOUT_HIM / 4, "he missed only {unheard} slots of which he can confirm nothing");
        ensure!(heard < unheard, "the outvoted lie cost him {heard} slots, the doubt {unheard}");
        say(format!("slots missed meanwhile: {heard} by who has three endpoints, {unheard} by who has two"));
        self.done("the network finalised on; who has two endpoints takes nothing in meanwhile", "28 heights");
        Ok(())
    }

    async fn believe_again(&mut self, doubtful: &Operator, others: &[Operator]) -> anyhow::Result<()> {
        let teller = others.first().context("somebody has an honest endpoint")?;
        let goal = ether_final(&status(teller).await?);
        until(&format!("{} attests above {goal}", doubtful.name()), READY_DEADLINE, async || {
            let status = status(doubtful).await?;
            Ok(match status.attested > goal {
                true => Seen::There(()),
                false => Seen::NotYet(format!("confirmed {}, attested {}", status.confirmed, status.attested)),
            })
        })
        .await?;
        self.done("both say the same again, and he attests again", "the next blocks");
        Ok(())
    }
}

/// How many slots an operator has missed, as `teller`'s ledger says.
async fn missed(teller: &Operator, operator: &Operator) -> anyhow::Result<u64> {
    let id = operator.id()?.to_string();
    let known = teller.client()?.operators().await?;
    Ok(known.into_iter().find(|known| known.id == id).context("the ledger knows every operator")?.missed)
}

async fn status(operator: &Operator) -> anyhow::Result<StatusView> {
    Ok(operator.client()?.status().await?)
}

fn ether_final(status: &StatusView) -> u64 {
    status.ether_final.as_ref().map_or(0, |block| block.height)
}

fn own_final(status: &StatusView) -> anyhow::Result<u64> {
    Ok(status.ethereum.own_final.as_ref().context("his endpoints never answered")?.number)
}
