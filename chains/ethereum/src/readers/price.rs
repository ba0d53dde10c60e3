//! Price feeds: what a Chainlink-style aggregator says at the anchor. Whether it is believed is decided by genesis' bounds, in the ledger
//! (R23); what cannot be read is an answer too, because a feed that reverts must not hold an anchor up.

use crate::bindings::price::Aggregator;
use crate::endpoint::{alloy_address, state_at};
use crate::inspect::Failed;
use crate::views::Views;
use alloy::primitives::Address;
use alloy::providers::RootProvider;
use palisade_types::chain::{ChainError, ChainPoint, Watch};
use palisade_types::genesis::Genesis;
use palisade_types::observation::Fact;
use palisade_types::position::StakeSource;
use palisade_types::price::{Answer, Feed, Price, PriceSeen, Quote, Round, Trouble};

/// What every feed of genesis says at `upto`, where the ledger would hold something else by it, by asset ascending. What freezes a
/// price is told to people, once.
pub(crate) async fn changes(
    provider: &RootProvider,
    genesis: &Genesis,
    upto: &ChainPoint,
    watch: &Watch,
) -> Result<Vec<Fact>, ChainError> {
    let views = Views::new(provider, state_at(upto));
    let mut facts = Vec::new();
    for asset in &genesis.assets {
        let Price::Feed(feed) = asset.price else { continue };
        let answer = answer(&views, alloy_address(&feed.aggregator)).await.map_err(of_the_endpoint)?;
        let (source, known) = (asset.source, watch.prices.get(&asset.source));
        let quote = feed.follow(known, &answer, upto.time);
        if known != Some(&quote) {
            alarm(&source, &feed, known, &quote, &answer);
            facts.push(Fact::Price(PriceSeen { source, answer }));
        }
    }
    Ok(facts)
}

/// What one aggregator says.
async fn answer(views: &Views<'_>, aggregator: Address) -> Result<Answer, Failed> {
    let Ok(decimals) = views.ask(aggregator, Aggregator::decimalsCall {}).await? else { return Ok(Answer::Nothing) };
    let Ok(round) = views.ask(aggregator, Aggregator::latestRoundDataCall {}).await? else {
        return Ok(Answer::Nothing);
    };
    // A time or a price that no number here holds is none.
    let (Ok(answer), Ok(updated)) = (i128::try_from(round.answer), u64::try_from(round.updatedAt)) else {
        return Ok(Answer::Nothing);
    };
    Ok(Answer::Round(Round { answer, decimals, updated }))
}

fn alarm(source: &StakeSource, feed: &Feed, known: Option<&Quote>, quote: &Quote, answer: &Answer) {
    let before: Option<Trouble> = known.and_then(|known| known.trouble);
    let (protocol, asset, price) = (source.protocol(), source.asset(), quote.price);
    match quote.trouble {
        Some(trouble) if before != Some(trouble) => tracing::error!(
            protocol, %asset, aggregator = %feed.aggregator, trouble = trouble.name(), ?answer, frozen_at = %price,
            "a price feed says what cannot be right; its last good price stays, and a person should look"
        ),
        None if before.is_some() => tracing::info!(protocol, %asset, %price, "a price feed is believed again"),
        _ => {}
    }
}

/// No question of ours is a person's: all that can fail is the endpoint.
fn of_the_endpoint(failed: Failed) -> ChainError {
    match failed {
        Failed::Chain(error) => error,
        Failed::Asked(told) => ChainError::Lied(told),
        Failed::Unknown { expected, found } => ChainError::WrongChain { expected, found },
    }
}
