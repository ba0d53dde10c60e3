//! What a proven fault costs: orders against exactly what the fault's own proof can take, of exactly the
//! operator who committed it.

use crate::state::State;
use crate::vaults;
use palisade_crypto::eots;
use palisade_types::chain::ChainKind;
use palisade_types::genesis::Asset;
use palisade_types::position::{Moment, mul_div};
use palisade_types::slash::{MAX_ORDERS, OrderStatus, SlashOrder, SlashTarget};
use palisade_types::{Domain, DomainKind, List, OperatorId, SchnorrKey, Vault, Wad};

/// The orders of a new case. A fault under a BLS key takes from Ethereum, a fault under the finality key from
/// Bitcoin: the other stake's judges could not check the proof. A covenant's breach, which no contract can check, takes
/// what a certified order may take on Ethereum (R11, R27).
pub(crate) fn orders(
    state: State<'_>,
    operator: &OperatorId,
    domain: &Domain,
    exposed: Option<[u8; 32]>,
) -> List<SlashOrder, MAX_ORDERS> {
    let genesis = state.ledger.genesis_of();
    let kind = genesis.origin(domain).map(|(_, kind)| kind);
    let orders = if kind == Some(DomainKind::Bitcoin) {
        on_bitcoin(state, operator, exposed)
    } else if kind == Some(DomainKind::Covenant) {
        let takes_orders = |asset: &Asset| genesis.contracts.taking_orders(&asset.source.target());
        on_ethereum(state, operator, |asset| takes_orders(asset).map(|_| genesis.parameters.order_part))
    } else {
        on_ethereum(state, operator, |asset| Some(asset.equivocation))
    };
    orders.try_into().expect("an operator has at most 16 assets and lists 4 more, or has 256 vaults")
}

/// One order per asset, and per vault listed beside it, with something to take: a fixed part (R11) of what a slash would reach now, rounded down in the
/// operator's favour.
fn on_ethereum(state: State<'_>, operator: &OperatorId, part: impl Fn(&Asset) -> Option<Wad>) -> Vec<SlashOrder> {
    let now = now(state);
    let assets = &state.ledger.genesis_of().assets;
    let parts = assets.iter().filter_map(|asset| Some((asset, u128::from(part(asset)?.get()))));
    let orders = parts.flat_map(|(asset, part)| {
        let takeable = state.sources(operator, asset).filter_map(move |id| Some((id, state.position(&id)?)));
        let takeable = takeable.filter(move |(_, position)| position.is_takeable(&now));
        takeable.map(move |(id, position)| SlashOrder {
            target: id.source.target(),
            asked: mul_div(position.takeable(&now), part, Wad::ONE.get().into()),
            status: OrderStatus::Ordered,
        })
    });
    orders.collect()
}

/// The moment of Ethereum's anchor.
pub(crate) fn now(state: State<'_>) -> Moment {
    let anchor = state.anchor(ChainKind::Ethereum);
    Moment { block: anchor.number, time: anchor.time }
}

/// One order per vault that is not over and that the exposed key, if it is known, unlocks. No more than a case can hold were
/// registered, but for expansions that a reorganisation brings back (R30).
fn on_bitcoin(state: State<'_>, operator: &OperatorId, exposed: Option<[u8; 32]>) -> Vec<SlashOrder> {
    let key = exposed
        .and_then(|secret| eots::SecretKey::from_bytes(&secret).ok())
        .map(|secret| SchnorrKey::new(secret.public().to_bytes()));
    let unlocks = |vault: &Vault| key.is_none_or(|key| vault.registration.providers.contains(&key));
    let reachable = |vault: &&Vault| !vaults::is_over(vault) && !vaults::is_forgotten(state, vault) && unlocks(vault);
    let orders = state.vaults_of(operator).filter(reachable).map(|vault| SlashOrder {
        target: SlashTarget::Vault(vault.id),
        asked: crate::weights::of_vault(state, vault).into(),
        status: OrderStatus::Ordered,
    });
    orders.take(MAX_ORDERS).collect()
}
