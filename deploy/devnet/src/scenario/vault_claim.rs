//! What the ledger says of a vault reaches a contract on Ethereum, where a service can count it, and so does its
//! revocation when the vault unbonds.

use super::report::{Report, Step};
use super::scene::Scene;
use crate::constants::READY_DEADLINE;
use crate::contracts;
use crate::devnet::{Devnet, vault_of};
use crate::operator::Operator;
use crate::progress::{Seen, say, until};
use crate::staking::Staker;
use alloy::primitives::{Address, B256, Bytes};
use anyhow::{Context, ensure};
use palisade_bitcoin::registration::Presigned;
use palisade_bitcoin::vault::Versions;
use palisade_ethereum::bindings::vaults::BitcoinVaults;
use palisade_node::rpc::PalisadeClient;
use palisade_node::rpc::claims::VaultClaimView;
use palisade_node::text::parse_hex_bytes;
use palisade_types::VaultRegistration;
use palisade_types::canonical::Canonical;
use std::time::Instant;

/// An operator's vault is claimed, certified, posted and read back; then it unbonds, and the same with the revocation.
///
/// # Errors
///
/// Names what does not hold.
pub async fn vault_claim(devnet: &Devnet) -> anyhow::Result<Report> {
    let scene = Scene::open(devnet)?;
    ensure!(!scene.genesis.is_bitcoin_only(), "nobody certifies a claim for Ethereum where bitcoin stands alone");
    let (began, before) = (Instant::now(), scene.holdings().await?);
    let mut steps = Vec::new();
    let mut done = |what, waited_for| {
        say(what);
        steps.push(Step { what, after: began.elapsed(), waited_for });
    };
    let teller = scene.operators.first().context("a devnet has operators")?;
    let vaults = teller.client()?.vaults().await?;
    let of = |operator: &Operator| {
        let own = scene.vault(operator).ok()?.outpoint.to_string();
        vaults.iter().any(|vault| vault.id == own && vault.status == "active").then_some(own)
    };
    let found = scene.operators.iter().rev().find_map(|operator| Some((operator, of(operator)?)));
    let (owner, vault) = found.context("no operator's first vault is active any more; reset, and start anew")?;
    let registration = vault_of(owner)?.with_context(|| format!("{} has no vault", owner.name()))?;
    let client = owner.client()?;
    let desk = Desk { scene: &scene, contract: devnet.bitcoin_vaults()?, vault: vault.clone() };

    let (claim, number) = desk.post(false).await?;
    done("the claim is certified, posted and taken by the contract", "a committee's signatures, an Ethereum block");
    let terms = scene.genesis.terms(registration.terms).context("the vault has terms")?;
    let part = registration.amount.slashed_by(terms.slash_rate).get();
    ensure!(claim.sats == part.to_string(), "it claims {} of {part} satoshis", claim.sats);
    let read = desk.collateral().await?;
    ensure!(read.sats == part && !read.revoked && read.number == number, "the contract says {read:?}");
    ensure!(read.operator.0.0 == *owner.id()?.as_bytes(), "the contract names {}", read.operator);
    let counted = desk.counted(&read.operator, read.certifiedSince).await?;
    ensure!(counted == part, "a service counts {counted} of {part} satoshis");
    done("a service reads what an equivocation would take", "a view");

    let text = client.vault(vault).await?.registration.context("vault_get shows it")?;
    let registration = VaultRegistration::from_bytes(&parse_hex_bytes(&text)?)?;
    let staker = Staker::open(&devnet.layout().staker_key())?;
    let presigned = Presigned::held(&registration, &Versions::of(&scene.genesis)?)?;
    staker.unbond(&devnet.bitcoin()?, &presigned).await?;
    let (revoked, number) = desk.post(true).await?;
    ensure!(revoked.sats == claim.sats && revoked.number > claim.number, "the revocation says {revoked:?}");
    done("it unbonds: the revocation is certified, posted and taken", "k Bitcoin blocks, a committee's signatures");
    let read = desk.collateral().await?;
    ensure!(read.revoked && read.number == number, "the contract says {read:?}");
    let counted = desk.counted(&read.operator, 0).await?;
    ensure!(counted == 0, "a service counts {counted} satoshis of a revoked vault");
    let stale = parse_hex_bytes(claim.calldata.as_ref().context("it was posted")?)?;
    ensure!(desk.send(stale).await.is_err(), "the contract took the older claim after its revocation");
    done("nothing counts any more, and the older claim is refused", "a view");
    scene.check_roots().await?;
    let now = scene.holdings().await?;
    Ok(Report { convict: None, steps, holdings: scene.changes(before, now), took: began.elapsed(), gas: vec![] })
}

/// One vault at the contract.
struct Desk<'a> {
    scene: &'a Scene<'a>,
    contract: Address,
    vault: String,
}

impl Desk<'_> {
    /// Posts the newest claim as soon as it is certified and says so. A new epoch makes a new one, whose committee may not
    /// be in office there yet: then the next one is tried.
    async fn post(&self, revoked: bool) -> anyhow::Result<(VaultClaimView, u64)> {
        let operators = &self.scene.operators;
        let client = operators.first().context("a devnet has operators")?.client()?;
        let what = format!("a {} of {} at the contract", if revoked { "revocation" } else { "claim" }, self.vault);
        until(&what, READY_DEADLINE, async || {
            let claim = match client.vault_claim(self.vault.clone()).await {
                Ok(claim) => claim,
                Err(error) => return Ok(Seen::NotYet(error.to_string())),
            };
            let Some(calldata) = claim.calldata.clone().filter(|_| claim.revoked == revoked) else {
                return Ok(Seen::NotYet(format!(
                    "claim {} of epoch {} is not it, or not certified",
                    claim.number, claim.epoch
                )));
            };
            let number = claim.number;
            Ok(match self.send(parse_hex_bytes(&calldata)?).await {
                Ok(()) => Seen::There((claim, number)),
                Err(error) => Seen::NotYet(format!("claim {number} of epoch {}: {error:#}", claim.epoch)),
            })
        })
        .await
    }

    async fn send(&self, calldata: Vec<u8>) -> anyhow::Result<()> {
        // Whoever wants a claim there pays for it. The operators' own accounts are their executors'.
        let account = Devnet::deployer()?;
        contracts::send(&self.scene.devnet.ports().ethereum_url(), &account, self.contract, Bytes::from(calldata)).await
    }

    async fn collateral(&self) -> anyhow::Result<BitcoinVaults::Collateral> {
        let id: palisade_types::VaultId = self.vault.parse()?;
        let contract = BitcoinVaults::new(self.contract, self.scene.devnet.anvil().provider()?);
        Ok(contract.collateral(B256::from(*id.txid.as_bytes()), id.output).call().await?)
    }

    /// What a service counts of an operator, of claims certified since an Ethereum block.
    async fn counted(&self, operator: &Address, since: u64) -> anyhow::Result<u64> {
        use alloy::primitives::U256;
        let contract = BitcoinVaults::new(self.contract, self.scene.devnet.anvil().provider()?);
        let sats = contract.collateralOf(*operator, since, 0, U256::ZERO, U256::from(100)).call().await?;
        Ok(u64::try_from(sats)?)
    }
}
