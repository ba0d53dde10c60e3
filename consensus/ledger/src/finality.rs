//! Certificates in blocks make what they certify final, for all to see. Each is judged by the parent state of
//! the block that holds it: what was convicted before counts neither as signer nor in the total (R9).
//!
//! A certificate takes more than two thirds, and whoever is a little late is not in it. So the block it certifies keeps a roll
//! for some heights, in which supplements (the same slot and digest, more signers) enter who came later. Only when the time
//! is over it is booked who attested and who missed the slot (R20); nothing that is booked is taken back.

use crate::changes::Draft;
use crate::invalid::Invalid;
use crate::{duties, epochs, operators, run, weights};
use palisade_types::certificate::{BitcoinCertificate, Committee, QuorumCertificate, Worthless};
use palisade_types::chain::ChainKind;
use palisade_types::epoch::{FinalBlock, Finality, Roll};
use palisade_types::{Digest, Height, OperatorId, Row, RowKey};

/// For how many heights after the block that holds a certificate others may hold supplements to it (R20).
pub const SUPPLEMENT_HEIGHTS: u64 = 8;
/// How many supplements a block holds; each costs a pairing.
const MAX_SUPPLEMENTS: usize = 4;

/// Takes in a certificate of a block of this epoch (R3), or a supplement.
pub(crate) fn ether(draft: &mut Draft<'_>, certificate: &QuorumCertificate) -> Result<(), Invalid> {
    let parent = draft.parent;
    if parent.genesis_of().is_bitcoin_only() {
        return Err(Invalid::Refused("a BLS certificate where bitcoin stands alone"));
    }
    if certificate.domain != parent.domains().ledger {
        return Err(Invalid::Refused("a certificate of another domain"));
    }
    if let Some(roll) = draft.state().roll(Height::new(certificate.slot)).cloned() {
        return supplement(draft, certificate, roll);
    }
    let block = certified(draft, parent.epoch().first, certificate.slot, &certificate.digest)?;
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
    let is_late = epochs::is_past_age(parent.state(), committee);
    if is_late && !is_boundary {
        return Err(Invalid::Late("a certificate of a committee past its age, not of its hand-over"));
    }
    parent.verify(certificate, committee)?;
    if is_late {
        check_late(draft, committee, certificate)?;
    }
    draft.boundary_certified |= is_boundary;
    if is_newer {
        put(draft, Finality { ether: Some(block), ..finality });
    }
    let until = Height::new(draft.height.get() + SUPPLEMENT_HEIGHTS);
    let roll = Roll { epoch: committee.epoch, signers: certificate.signers.clone(), until };
    draft.put(RowKey::Roll(block.height), Row::Roll(roll));
    Ok(())
}

/// Takes in a certificate of a block that has one: whoever it names besides did not miss the slot (R20). It is judged as
/// every other, and makes nothing final.
fn supplement(draft: &mut Draft<'_>, certificate: &QuorumCertificate, roll: Roll) -> Result<(), Invalid> {
    let (parent, slot) = (draft.parent, Height::new(certificate.slot));
    if draft.supplements >= MAX_SUPPLEMENTS {
        return Err(Invalid::Early("enough supplements in one block"));
    }
    if draft.state().block_id(slot).map(Digest::from) != Some(certificate.digest) {
        return Err(Invalid::Refused("a certificate of another block"));
    }
    let committee = draft
        .state()
        .committee_of(roll.epoch)
        .ok_or(Invalid::Refused("a certificate of a height without a committee"))?;
    if !(0..committee.members.len()).any(|index| certificate.names(index) && !roll.names(index)) {
        return Err(Invalid::Late("a certificate that names nobody new"));
    }
    parent.verify(certificate, committee)?;
    let both = roll.signers.iter().zip(certificate.signers.iter()).map(|(known, new)| known | new);
    let signers = both.collect::<Vec<_>>().try_into().expect("no longer than before");
    draft.supplements += 1;
    draft.put(RowKey::Roll(slot), Row::Roll(Roll { signers, ..roll }));
    Ok(())
}

/// Ends a block: books who attested and who missed the slots for which there is no more time (R20). A convict's record ends
/// with his conviction.
pub(crate) fn close(draft: &mut Draft<'_>) {
    let over = |(_, roll): &(Height, &Roll)| roll.until <= draft.height;
    let over: Vec<(Height, Roll)> =
        draft.state().rolls().filter(over).map(|(slot, roll)| (slot, roll.clone())).collect();
    for (slot, roll) in over {
        draft.take_away(RowKey::Roll(slot));
        let parent = draft.parent.state();
        for (index, member) in
            parent.committee_of(roll.epoch).into_iter().flat_map(|all| all.members.iter().enumerate())
        {
            if !parent.is_convicted(&member.operator) {
                operators::record(draft, &member.operator, roll.names(index));
                duties::record(draft, &member.operator, roll.names(index));
            }
        }
    }
}

/// Takes in a certificate of a checkpoint: the next of an unbroken run, or an epoch's first, with which a run starts
/// again at a certified boundary (R2). What certifies the block before is its BLS certificate, in a BTC-only network that
/// it was decided (R22).
pub(crate) fn bitcoin(draft: &mut Draft<'_>, certificate: &BitcoinCertificate) -> Result<(), Invalid> {
    let parent = draft.parent;
    let domains = parent.domains();
    let interval = domains.interval;
    if certificate.domain != domains.bitcoin || !certificate.slot.is_multiple_of(interval) {
        return Err(Invalid::Refused("a certificate of no checkpoint"));
    }
    let block = certified(draft, run::first_open(parent.state()), certificate.slot, &certificate.digest)?;
    let finality = *draft.state().finality();
    let is_decided_enough = parent.genesis_of().is_bitcoin_only();
    if !is_decided_enough && finality.ether.is_none_or(|newest| newest.height < block.height) {
        return Err(Invalid::Early("a checkpoint that is not ether-final"));
    }
    let run = run::extend(parent.state(), &finality, block.height)?;
    let committee = run::committee(parent.state(), block.height)
        .ok_or(Invalid::Refused("a certificate of a height without a committee"))?;
    if epochs::is_past_age(parent.state(), committee) {
        return Err(Invalid::Late("a certificate of a committee past its age"));
    }
    let convicted = |operator: &OperatorId| parent.state().is_convicted(operator);
    certificate.verify(&parent.chain(), committee, interval, convicted)?;
    check_vaults(draft, committee, certificate)?;
    put(draft, Finality { bitcoin: Some(block), run: Some(run), ..finality });
    Ok(())
}

/// The block that a certificate of an open slot speaks of, as the ledger knows it. `first` is the lowest open one.
fn certified(draft: &Draft<'_>, first: Height, slot: u64, digest: &Digest) -> Result<FinalBlock, Invalid> {
    let height = Height::new(slot);
    if height >= draft.height {
        return Err(Invalid::Early("a certificate of a block that is not there"));
    }
    if height < first {
        return Err(Invalid::Late("a certificate of an epoch before"));
    }
    match draft.state().block_id(height) {
        Some(id) if Digest::from(id) == *digest => Ok(FinalBlock { height, id }),
        _ => Err(Invalid::Refused("a certificate of another block")),
    }
}

/// A late hand-over counts only signers for what can still be taken from them (R5).
fn check_late(draft: &Draft<'_>, committee: &Committee, certificate: &QuorumCertificate) -> Result<(), Worthless> {
    let state = draft.parent.state();
    let parameters = &draft.parent.genesis_of().parameters;
    let end = parameters.after(state.anchor(ChainKind::Ethereum), parameters.execution_blocks);
    let ether = weights::Ether::at(state, end);
    let seats = committee.members.iter().enumerate();
    let seats = seats.filter(|(_, member)| !state.is_convicted(&member.operator));
    let (mut signed, mut total) = (0, 0);
    for (index, member) in seats {
        total += u128::from(member.ether);
        if certificate.names(index) {
            signed += u128::from(member.ether.min(ether.of(&member.operator)));
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

fn put(draft: &mut Draft<'_>, finality: Finality) {
    draft.put(RowKey::Finality, Row::Finality(finality));
}
