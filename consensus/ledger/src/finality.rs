//! Certificates in blocks make what they certify final, for all to see. Each is judged by the parent state of
//! the block that holds it: what was convicted before counts neither as signer nor in the total (R9).

use crate::changes::Draft;
use crate::invalid::Invalid;
use crate::{committee, epochs, operators, weights};
use palisade_types::certificate::{BitcoinCertificate, Committee, QuorumCertificate, Worthless};
use palisade_types::chain::ChainKind;
use palisade_types::epoch::{FinalBlock, Finality};
use palisade_types::{Digest, Height, OperatorId, Row, RowKey};

/// Takes in a certificate of a block of this epoch (R3).
pub(crate) fn ether(draft: &mut Draft<'_>, certificate: &QuorumCertificate) -> Result<(), Invalid> {
    let parent = draft.parent;
    if certificate.domain != parent.domains().ledger {
        return Err(Invalid::Refused("a certificate of another domain"));
    }
    let block = certified(draft, certificate.slot, &certificate.digest)?;
    let finality = *draft.state().finality();
    let is_boundary = parent.epoch().boundary.is_some_and(|boundary| boundary.height == block.height);
    let is_newer = finality.ether.is_none_or(|newest| newest.height < block.height);
    // The boundary's own certificate is asked for, though a later block may be certified already (R10).
    if !is_newer && (!is_boundary || draft.boundary_certified) {
        return Err(Invalid::Late("a certificate of a block that is final"));
    }
    let committee = parent.committee();
    if !committee.has_weight() {
        return Err(Invalid::Refused("a certificate in an epoch without weight"));
    }
    let is_late = is_past_age(draft, committee);
    if is_late && !is_boundary {
        return Err(Invalid::Late("a certificate of a committee past its age, not of its hand-over"));
    }
    let convicted = |operator: &OperatorId| parent.state().is_convicted(operator);
    certificate.verify(&parent.chain(), committee, convicted)?;
    if is_late {
        check_late(draft, committee, certificate)?;
    }
    draft.boundary_certified |= is_boundary;
    if is_newer {
        put(draft, Finality { ether: Some(block), ..finality });
    }
    for (index, member) in committee.members.iter().enumerate() {
        if !convicted(&member.operator) {
            operators::record(draft, &member.operator, certificate.names(index));
        }
    }
    Ok(())
}

/// Takes in a certificate of a checkpoint: the next of an unbroken run, or the epoch's first, with which a run
/// starts again at a certified boundary (R2).
pub(crate) fn bitcoin(draft: &mut Draft<'_>, certificate: &BitcoinCertificate) -> Result<(), Invalid> {
    let parent = draft.parent;
    let domains = parent.domains();
    let interval = domains.interval;
    if certificate.domain != domains.bitcoin || !certificate.slot.is_multiple_of(interval) {
        return Err(Invalid::Refused("a certificate of no checkpoint"));
    }
    let block = certified(draft, certificate.slot, &certificate.digest)?;
    let finality = *draft.state().finality();
    if finality.ether.is_none_or(|newest| newest.height < block.height) {
        return Err(Invalid::Early("a checkpoint that is not ether-final"));
    }
    check_run(draft, &finality, block.height)?;
    let committee = parent.committee();
    if is_past_age(draft, committee) {
        return Err(Invalid::Late("a certificate of a committee past its age"));
    }
    let convicted = |operator: &OperatorId| parent.state().is_convicted(operator);
    certificate.verify(&parent.chain(), committee, interval, convicted)?;
    check_vaults(draft, committee, certificate)?;
    put(draft, Finality { bitcoin: Some(block), ..finality });
    Ok(())
}

/// The block that a certificate of this epoch speaks of, as the ledger knows it.
fn certified(draft: &Draft<'_>, slot: u64, digest: &Digest) -> Result<FinalBlock, Invalid> {
    let height = Height::new(slot);
    if height >= draft.height {
        return Err(Invalid::Early("a certificate of a block that is not there"));
    }
    if height < draft.parent.epoch().first {
        return Err(Invalid::Late("a certificate of an epoch before"));
    }
    match draft.state().block_id(height) {
        Some(id) if Digest::from(id) == *digest => Ok(FinalBlock { height, id }),
        _ => Err(Invalid::Refused("a certificate of another block")),
    }
}

/// Whether the committee can only hand over any more (R10), by the parent's anchors.
fn is_past_age(draft: &Draft<'_>, committee: &Committee) -> bool {
    let (ethereum, bitcoin) = epochs::ages(draft.parent.state(), committee);
    ethereum.max(bitcoin) > draft.parent.genesis_of().parameters.max_age_blocks
}

/// A late hand-over counts only signers for what can still be taken from them (R5).
fn check_late(draft: &Draft<'_>, committee: &Committee, certificate: &QuorumCertificate) -> Result<(), Worthless> {
    let state = draft.parent.state();
    let parameters = &draft.parent.genesis_of().parameters;
    let now = state.anchor(ChainKind::Ethereum).number;
    let end = now.saturating_add(parameters.execution_blocks);
    let seats = committee.members.iter().enumerate();
    let seats = seats.filter(|(_, member)| !state.is_convicted(&member.operator));
    let (mut signed, mut total) = (0, 0);
    for (index, member) in seats {
        total += u128::from(member.ether);
        if certificate.names(index) {
            let left = weights::ether(state, &member.operator, end);
            signed += u128::from(member.ether.min(left));
        }
    }
    quorum(signed, total)
}

/// A vault that is spent or lost leaves the signers and stays in the total (R9).
fn check_vaults(draft: &Draft<'_>, committee: &Committee, certificate: &BitcoinCertificate) -> Result<(), Worthless> {
    let state = draft.parent.state();
    let left = weights::bitcoin_left(state, committee);
    let (mut signed, mut total) = (0, 0);
    for (seat, member) in committee.members.iter().enumerate() {
        if state.is_convicted(&member.operator) {
            continue;
        }
        total += u128::from(member.bitcoin);
        if certificate.votes.iter().any(|vote| usize::from(vote.member) == seat) {
            signed += u128::from(left[seat]);
        }
    }
    quorum(signed, total)
}

const fn quorum(signed: u128, total: u128) -> Result<(), Worthless> {
    if signed * 3 > total * 2 { Ok(()) } else { Err(Worthless::NoQuorum { signed, total }) }
}

fn check_run(draft: &Draft<'_>, finality: &Finality, slot: Height) -> Result<(), Invalid> {
    let interval = draft.parent.domains().interval;
    let before_epoch = draft.parent.epoch().first.previous();
    let starts_epoch = committee::next_checkpoint(before_epoch, interval) == Some(slot);
    match finality.bitcoin {
        Some(newest) if newest.height >= slot => Err(Invalid::Late("a certificate of a checkpoint that is final")),
        Some(newest) if newest.height.get() + interval == slot.get() => Ok(()),
        _ if starts_epoch => Ok(()),
        _ => Err(Invalid::Early("a checkpoint that breaks the run")),
    }
}

fn put(draft: &mut Draft<'_>, finality: Finality) {
    draft.put(RowKey::Finality, Row::Finality(finality));
}
