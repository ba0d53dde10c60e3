//! Vaults: a registration checked whole, against nothing but its signatures checked; and the way from an equivocation to slashing
//! transactions that only have to be sent, against the signatures in them.

#![allow(clippy::unwrap_used)] // the fixture's, which is for tests

#[path = "../../../chains/bitcoin/tests/stake/mod.rs"]
mod stake;

use anyhow::{Context as _, Result, ensure};
use palisade_bitcoin::registration::check_registration;
use palisade_bitcoin::slash::exposed;
use palisade_crypto::eots;
use palisade_race::{Effort, Race, Run, bench, timed};
use palisade_types::evidence::EotsPair;
use palisade_types::randomness::{Commitment, Opening};
use palisade_types::vault::Slashing;
use palisade_types::{
    ChainId, Digest, Domain, Evidence, Hash, Height, List, OperatorId, SchnorrKey, Statement, VaultRegistration,
};
use stake::{People, core_accepts, secret, versions};

const CHAIN: ChainId = ChainId::new([3; 32]);

fn main() -> Result<()> {
    bench("vaults", |effort| {
        let (many, rounds) = if effort == Effort::Whole { (50, 9) } else { (1, 2) };
        registrations(many, rounds)?;
        slashings(many, rounds)
    })
}

/// A covenant of nine of which six answered, one provider, a ladder of two fees.
fn registrations(many: u64, rounds: usize) -> Result<()> {
    let people = People::new(9, 1);
    let versions = versions(&[people.terms(6, 144, 101)]);
    let (_, registration) = people.presigned(&versions, 1_000, 6);
    let provider = SchnorrKey::new(people.providers[0].public().to_bytes());
    let id = check_registration(&registration, None, &versions, &provider, true)?;
    let signed = signatures(&registration);
    println!("a registration carries {signed} signatures");
    let ours = || {
        let check = || check_registration(&registration, None, &versions, &provider, true);
        let (took, outcome) = timed(|| (0..many).try_for_each(|_| check().map(drop)));
        outcome?;
        Ok(Run::of(took).found("vault", format!("{id:?}")))
    };
    let bare = schnorr(signed * many);
    Race::new("registrations, 6 of 9, checked by one thread", (many, "registration"), ours)
        .against("bare Schnorr", bare)
        .run(rounds)
}

fn signatures(registration: &VaultRegistration) -> u64 {
    let of = |slashing: &Slashing| 1 + slashing.covenant.len();
    let slashings = registration.slashings.iter().chain(registration.unbonding_slashings.iter());
    let covenant = registration.unbonding_covenant.len() + registration.endorsements.len();
    (covenant + slashings.map(of).sum::<usize>()) as u64
}

/// So many BIP-340 signatures checked one after the other.
fn schnorr(count: u64) -> impl FnMut() -> Result<Run> {
    let key = secret(1);
    let (public, message) = (key.public(), [7; 32]);
    let signature = key.sign_schnorr(&message);
    move || {
        let (took, outcome) = timed(|| (0..count).try_for_each(|_| public.verify_schnorr(&message, &signature)));
        outcome?;
        Ok(Run::of(took))
    }
}

/// From an EOTS pair to every slashing transaction of the vault with its witness, which Core accepts.
fn slashings(many: u64, rounds: usize) -> Result<()> {
    let people = People::new(9, 1);
    let versions = versions(&[people.terms(6, 144, 101)]);
    let (presigned, _) = people.presigned(&versions, 1_000, 6);
    let vault = presigned.vault();
    let providers = [SchnorrKey::new(people.providers[0].public().to_bytes())];
    let evidence = equivocation(&people.providers[0]);
    let complete = || {
        let secret = exposed(&evidence, &CHAIN, &providers)?;
        (0..vault.slashings().len()).map(|index| presigned.slash(index, &secret)).collect::<Result<Vec<_>, _>>()
    };
    let transactions = complete()?;
    for (transaction, slashing) in transactions.iter().zip(vault.slashings()) {
        ensure!(core_accepts(transaction, &[vault.spent(slashing.held)]), "Core refuses a slashing transaction");
    }
    let count = transactions.len() as u64;
    let ours = || {
        let (took, outcome) = timed(|| (0..many).try_for_each(|_| complete().map(drop)));
        outcome?;
        Ok(Run::of(took).found("first", transactions.first().context("no transaction")?.compute_txid()))
    };
    // Per transaction the quorum's signatures are checked once more after they were decrypted.
    let bare = schnorr(6 * count * many);
    Race::new(format!("from an EOTS pair to {count} slashing transactions"), (many, "case"), ours)
        .against("bare Schnorr", bare)
        .run(rounds)
}

/// Two digests under one nonce.
fn equivocation(guilty: &eots::SecretKey) -> Evidence {
    let (domain, slot) = (Domain::new([5; 32]), 10);
    let nonce = eots::nonce(guilty, CHAIN.as_bytes(), domain.as_bytes(), slot);
    let sign = |digest| {
        let message = Statement { domain, slot, digest }.eots_message(&CHAIN);
        (digest, Hash::new(eots::sign(guilty, &nonce, &message).0))
    };
    let commitment = Commitment { first: Height::new(5), count: 2, root: Hash::ZERO };
    Evidence::EotsPair(EotsPair {
        operator: OperatorId::new([9; 20]),
        domain,
        slot,
        nonce: Hash::new(nonce.public().to_bytes()),
        opening: Opening { commitment, aunts: List::new() },
        first: sign(Digest::new([1; 32])),
        second: sign(Digest::new([2; 32])),
    })
}
