//! What the ledger says of vaults to contracts on Ethereum, one claim after the other.
//!
//! The row of a vault holds the newest claim about it; nothing else is kept, since only the newest is ever signed. At
//! the end of a block every claim that is no longer what the state says is made again under a new number: when a vault
//! begins to count, when what stands behind it changes, when it is over, outbid by the market (R28), open to anybody's slash (R29) or Bitcoin suspended (R30; revocations), and in every epoch with weight
//! (R3: a claim counts under its own epoch's committee only). In an epoch without weight nobody could certify one (R6).
//!
//! A claim counts exactly what the operator's seat counts (R8): satoshis that one equivocation takes from a vault whose
//! key is his seat's, who has promised nonces, and who is not convicted. Without a seat, or without nonces (R19), there
//! is nothing he could equivocate about, and no claim.
//!
//! The load is bounded: [`MAX_CLAIMS`] a block, revocations first, then by vault; the next block goes on. Every member
//! signs every claim and checks everybody's signature of it.

use crate::changes::Draft;
use crate::state::State;
use crate::weights;
use palisade_types::chain::ChainKind;
use palisade_types::{Claim, Claims, Epoch, Hash, Row, RowKey, Sats, Vault, VaultId};

/// The most claims of one block.
pub(crate) const MAX_CLAIMS: usize = 8;

/// Ends a block: says what is not said yet.
pub(crate) fn close(draft: &mut Draft<'_>) {
    let state = draft.state();
    let before = state.claims();
    let mut claims = Claims { numbers: before.numbers.entered(state.epoch().epoch), ..before };
    let looks =
        before.behind || claims.numbers.epoch != before.numbers.epoch || draft.changed_keys().any(concerns_vaults);
    let due = if looks && state.committee().has_weight() { due(state, claims.numbers.epoch) } else { Vec::new() };
    if looks {
        claims.behind = due.len() > MAX_CLAIMS;
    }
    for claim in due.into_iter().take(MAX_CLAIMS) {
        let claim = Claim { number: claims.numbers.take(), ..claim };
        draft.put(RowKey::Claim(claim.vault), Row::Claim(claim));
    }
    // Without a claim there is nothing to count: a network without vaults has no such row.
    if claims.numbers.next > 1 && claims != before {
        draft.put(RowKey::Claims, Row::Claims(claims));
    }
}

/// Whether a change of the row may change what is to be said of a vault. A new epoch is seen by its number.
const fn concerns_vaults(key: &RowKey) -> bool {
    match key {
        RowKey::Anchor(chain) | RowKey::Suspension(chain) => matches!(chain, ChainKind::Bitcoin),
        // A conviction comes with its case.
        RowKey::Vault(_) | RowKey::Case(_) | RowKey::FeeRate | RowKey::Exposed(_) => true,
        RowKey::Block(_)
        | RowKey::Epoch
        | RowKey::Finality
        | RowKey::Committee(_)
        | RowKey::Operator(_)
        | RowKey::Position(_)
        | RowKey::Price(_)
        | RowKey::Randomness(_)
        | RowKey::EpochFirst(_)
        | RowKey::Claim(_)
        | RowKey::Claims
        | RowKey::Order(_)
        | RowKey::Orders
        | RowKey::Roll(_)
        | RowKey::Service(_)
        | RowKey::Registration(_)
        | RowKey::Docket(_)
        | RowKey::Duty(_)
        | RowKey::Listing(_)
        | RowKey::ServiceStake(_)
        | RowKey::SetProtocol(_)
        | RowKey::Slashed(_)
        | RowKey::Captured(_)
        | RowKey::Account(_)
        | RowKey::Earlier(_) => false,
    }
}

/// Everything that is to be said, still without numbers: revocations first, each part by vault ascending.
fn due(state: State<'_>, epoch: Epoch) -> Vec<Claim> {
    let (mut revocations, mut others) = (Vec::new(), Vec::new());
    let anchor = state.anchor(ChainKind::Bitcoin);
    for vault in state.vaults() {
        let said = state.claim(&vault.id).filter(|said| !said.revoked);
        match (standing(state, vault, anchor.number), said) {
            (Some((sats, until)), said) => {
                let claim = Claim {
                    number: 0,
                    epoch,
                    vault: vault.id,
                    operator: vault.registration.operator,
                    sats,
                    until,
                    block: anchor.hash,
                    height: anchor.number,
                    revoked: false,
                };
                if said.is_none_or(|said| differs(said, &claim)) {
                    others.push(claim);
                }
            }
            (None, Some(said)) => {
                let (block, height) = (anchor.hash, anchor.number);
                revocations.push(Claim { epoch, block, height, revoked: true, ..*said });
            }
            (None, None) => {}
        }
    }
    revocations.append(&mut others);
    revocations
}

/// Whether two claims say different things, or under different committees. A later Bitcoin block alone is no news.
fn differs(said: &Claim, claim: &Claim) -> bool {
    (said.epoch, said.operator, said.sats, said.until) != (claim.epoch, claim.operator, claim.sats, claim.until)
}

/// What can be said of a vault at Bitcoin height `now`: its satoshis, and until when.
fn standing(state: State<'_>, vault: &Vault, now: u64) -> Option<(Sats, u64)> {
    let operator = &vault.registration.operator;
    let (_, seat) = state.committee().seat(operator)?;
    let speaks = seat.randomness != Hash::ZERO && !state.is_convicted(operator);
    if !speaks || !weights::counts(state, vault, &seat.eots, now) {
        return None;
    }
    let sats = weights::of_vault(state, vault);
    (sats > 0).then(|| (Sats::new(sats), weights::counts_until(state, vault)))
}

impl<'a> State<'a> {
    /// The counter; it has a row from the first claim on.
    pub(crate) fn claims(self) -> Claims {
        match self.row(&RowKey::Claims) {
            Some(Row::Claims(claims)) => *claims,
            _ => Claims::default(),
        }
    }

    pub(crate) fn claim(self, vault: &VaultId) -> Option<&'a Claim> {
        match self.row(&RowKey::Claim(*vault)) {
            Some(Row::Claim(claim)) => Some(claim),
            _ => None,
        }
    }

    /// The newest claim about every vault that ever had one, by outpoint ascending.
    pub(crate) fn all_claims(self) -> impl Iterator<Item = &'a Claim> {
        let first = VaultId { txid: Hash::ZERO, output: 0 };
        self.rows_from(RowKey::Claim(first)).map_while(|(_, row)| match row {
            Row::Claim(claim) => Some(claim),
            _ => None,
        })
    }
}
