//! A chain that took back what was final is suspended, and goes on from a new start anchor (R30).
//!
//! While Bitcoin is suspended its anchor stands still and its stake weighs nothing: not in certificates, which are judged by
//! the parent state, and not in the next committee. Rows of vaults and cases stay, evidence still convicts, Ethereum's side
//! goes on. The new anchor comes with everything that is otherwise on the new chain: the ledger forgets what it took in
//! after the newest older anchor that both chains share, and the facts since then are told anew.

use crate::changes::Draft;
use crate::invalid::Invalid;
use crate::state::State;
use crate::{facts, vaults};
use palisade_types::chain::{ChainKind, ChainPoint};
use palisade_types::observation::{Fact, Observation};
use palisade_types::{Epoch, Row, RowKey, Suspended, Suspension};

/// The most older anchors a follower is told. The oldest is always among them.
const MAX_OLDER: usize = 64;

/// Whether the chain's stake and facts count for nothing now.
pub(crate) fn is_active(state: State<'_>, chain: ChainKind) -> bool {
    state.suspension(chain).is_some_and(|suspension| suspension.resumed.is_none())
}

/// Suspends a chain. Only Bitcoin can be: what its blocks say of vaults can be told anew, and its work says which chain
/// stands. Where Ethereum breaks finality, that is its own protocol's failure, and people decide.
pub(crate) fn suspend(draft: &mut Draft<'_>, suspended: &Suspended) -> Result<(), Invalid> {
    let Suspended { chain, anchor } = *suspended;
    if chain != ChainKind::Bitcoin {
        return Err(Invalid::Refused("a suspension of another chain than Bitcoin"));
    }
    if is_active(draft.state(), chain) {
        return Err(Invalid::Late("a suspension of a suspended chain"));
    }
    if *draft.state().anchor(chain) != anchor {
        return Err(Invalid::Late("a suspension at another anchor"));
    }
    let suspension = Suspension { anchor, since: draft.height, resumed: None };
    draft.put(RowKey::Suspension(chain), Row::Suspension(suspension));
    Ok(())
}

/// Moves a suspended chain's anchor to its new chain, wherever it lies there, and takes in what is true on it.
pub(crate) fn resume(draft: &mut Draft<'_>, observation: &Observation) -> Result<(), Invalid> {
    let (state, chain) = (draft.state(), observation.chain);
    let suspension = state.suspension(chain).filter(|suspension| suspension.resumed.is_none());
    let suspension = *suspension.ok_or(Invalid::Late("a start anchor of a chain that is not suspended"))?;
    if observation.after != suspension.anchor {
        return Err(Invalid::Late("a start anchor in place of another one"));
    }
    let Some((Fact::Rewound(base), told)) = observation.facts.split_first() else {
        return Err(Invalid::Refused("a start anchor that does not say from where all is told"));
    };
    if !older(state, chain).contains(base) || observation.upto.number <= base.number {
        return Err(Invalid::Refused("a start anchor that follows on none agreed on before"));
    }
    if told.iter().any(|fact| facts::source(fact) != Some(chain)) {
        return Err(Invalid::Refused("a fact of the other chain"));
    }
    draft.put(RowKey::Anchor(chain), Row::Anchor(observation.upto));
    vaults::rewind(draft, base.number);
    for fact in told {
        facts::take_in(draft, fact);
    }
    let resumed = Suspension { resumed: Some(draft.height), ..suspension };
    draft.put(RowKey::Suspension(chain), Row::Suspension(resumed));
    Ok(())
}

/// Anchors that were agreed on before the present one, newest first: the snapshots of committees, and genesis' start.
pub(crate) fn older(state: State<'_>, chain: ChainKind) -> Vec<ChainPoint> {
    let (genesis, present) = (state.ledger.genesis_of(), state.anchor(chain));
    let start = match chain {
        ChainKind::Ethereum => genesis.ethereum_start,
        ChainKind::Bitcoin => genesis.bitcoin_start,
    };
    let epochs = (0..=state.epoch().epoch.get()).rev().map(Epoch::new);
    let snapshots = epochs.filter_map(|epoch| state.committee_of(epoch)).map(|committee| match chain {
        ChainKind::Ethereum => committee.ethereum,
        ChainKind::Bitcoin => committee.bitcoin,
    });
    let mut older: Vec<ChainPoint> = Vec::new();
    for point in snapshots.filter(|point| point != present) {
        if older.len() == MAX_OLDER {
            break;
        }
        if older.last() != Some(&point) {
            older.push(point);
        }
    }
    older.retain(|point| *point != start);
    older.push(start);
    older
}
