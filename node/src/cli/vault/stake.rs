//! `palisade vault stake` and `expand`: from a choice to a plan, and with a key file all the way.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use palisade_bitcoin::bitcoin::network;
use palisade_bitcoin::expansion::FundingCoin;
use palisade_bitcoin::plan::{self, Choice, Plan};
use palisade_bitcoin::psbt;
use palisade_bitcoin::staker::{Coin, Wallet};
use palisade_types::ids::OperatorId;

use super::core::Core;
use super::desk::{Desk, Signing, Where, read_psbt, send, write_new};
use crate::text::hex_bytes;

/// Fee rates that somebody may mean, satoshis per virtual byte.
const FEE_RATES: std::ops::RangeInclusive<u64> = 1..=10_000;

/// What a staker chooses.
#[derive(Debug, clap::Args)]
struct Terms {
    /// Blocks for which the coins are locked
    #[arg(long, value_name = "BLOCKS")]
    time: u16,
    /// A finality provider of another service behind the same stake, x-only; once for each
    #[arg(long = "provider", value_name = "KEY")]
    providers: Vec<String>,
    /// A fee of the ladder of slashing transactions, in satoshis, ascending; three rungs from the network's least without it
    #[arg(long = "slash-fee", value_name = "SATS")]
    slash_fees: Vec<u64>,
    /// Fee rate of the staking transaction when we build it, satoshis per virtual byte
    #[arg(long, default_value_t = 5, value_name = "SATS", value_parser = clap::value_parser!(u64).range(FEE_RATES))]
    fee_rate: u64,
    /// Folder of the plan and its PSBTs
    #[arg(long, default_value = "vault", value_name = "DIR")]
    out: PathBuf,
    /// Seconds to wait for the covenant, and then for the coins to be deep enough
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    deadline: u64,
}

#[derive(Debug, clap::Args)]
pub struct Stake {
    /// The operator whose faults it answers for
    #[arg(long, value_name = "ACCOUNT")]
    operator: OperatorId,
    /// The staker's key, x-only
    #[arg(long, value_name = "KEY", required_unless_present = "key_file")]
    staker: Option<String>,
    /// Satoshis, when a key file pays
    #[arg(long, value_name = "SATS", requires = "key_file")]
    amount: Option<u64>,
    /// A PSBT that your wallet funded and did not sign, with an output to the stake's address
    #[arg(long, value_name = "FILE", conflicts_with = "key_file")]
    funded: Option<PathBuf>,
    #[command(flatten)]
    terms: Terms,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    signing: Signing,
    #[command(flatten)]
    core: Core,
}

impl Stake {
    pub async fn act(self) -> anyhow::Result<()> {
        let desk = self.place.open().await?;
        let wallet = self.signing.wallet(&desk.genesis)?;
        let staker = match (&wallet, &self.staker) {
            (Some(wallet), _) => plan::staker(wallet).to_string(),
            (None, staker) => staker.clone().context("--staker is missing")?,
        };
        let choice = self.terms.choose(&desk, self.operator, &staker).await?;
        match (&wallet, &self.funded) {
            (Some(wallet), _) => self.pay(&desk, &choice, wallet).await,
            (None, Some(file)) => lay_out(&choice.funded(&read_psbt(file)?)?, &self.terms.out),
            (None, None) => describe(&desk, &choice),
        }
    }

    /// Registers first and locks the coins then, so that nothing is ever locked under a covenant that does not sign.
    async fn pay(&self, desk: &Desk, choice: &Choice, wallet: &Wallet) -> anyhow::Result<()> {
        let amount = self.amount.context("--amount is missing")?;
        let client = self.core.client()?.context("--bitcoin-rpc or --config is missing: coins are looked for there")?;
        let tip = client.info().await?.blocks;
        let found = client.coins(&wallet.script_pubkey()).await?;
        let mut coins: Vec<Coin> = Vec::new();
        for found in found.into_iter().filter(|found| found.is_ripe(tip)) {
            // What the mempool spends already would conflict.
            if client.unspent(found.coin.outpoint, true).await?.is_some() {
                coins.push(found.coin);
            }
        }
        let (mut plan, staking) = choice.paid(wallet, &coins, amount, self.terms.fee_rate)?;
        let acceptance = client.test(&staking).await?;
        if !acceptance.allowed {
            // Told before anybody presigns what could never be locked.
            bail!("Bitcoin would not take the staking transaction: {}", acceptance.reason.unwrap_or_default());
        }
        plan.sign(wallet);
        let id = desk.register(plan.registration(None, &desk.versions)?, self.terms.deadline).await?;
        send(&staking, Some(client)).await?;
        desk.until(&id, self.terms.deadline, |view| view.status == "active").await?;
        println!("vault {id} is active");
        Ok(())
    }
}

#[derive(Debug, clap::Args)]
pub struct Expand {
    /// The vault that grows, `txid:output`
    vault: String,
    /// The coin that pays, `txid:output`, under a witness program
    #[arg(long, value_name = "COIN")]
    funding: String,
    /// What the new vault holds, in satoshis; everything but the fee without it
    #[arg(long, value_name = "SATS", requires = "change")]
    amount: Option<u64>,
    /// Where the rest goes
    #[arg(long, value_name = "ADDRESS", requires = "amount")]
    change: Option<String>,
    #[command(flatten)]
    terms: Terms,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    signing: Signing,
    #[command(flatten)]
    core: Core,
}

impl Expand {
    pub async fn act(self) -> anyhow::Result<()> {
        let desk = self.place.open().await?;
        let wallet = self.signing.wallet(&desk.genesis)?;
        let parent = desk.registration(&self.vault).await?;
        let status = desk.view(&self.vault).await?.status;
        if status != "active" {
            bail!("vault {} is {status}; only an active one can grow", self.vault);
        }
        let old = desk.presigned(&self.vault).await?;
        let client =
            self.core.client()?.context("--bitcoin-rpc or --config is missing: the coin is looked for there")?;
        let outpoint = plan::coin(&self.funding)?;
        let unspent = client.unspent(outpoint, true).await?.context("the coin is not there, or is spent")?;
        let output = unspent.output().context("the endpoint's answer about the coin makes no sense")?;
        let rest = match (self.amount, &self.change) {
            (Some(amount), Some(address)) => {
                Some((amount, plan::script(address, network(&desk.genesis.bitcoin_genesis)?)?))
            }
            _ => None,
        };
        let kept = parent.providers.iter().map(ToString::to_string);
        let providers: Vec<_> = kept.chain(self.terms.providers.iter().cloned()).collect();
        let choice = self.terms.with(&desk, parent.operator, (&parent.staker.to_string(), &providers)).await?;
        let coin = FundingCoin { outpoint, output };
        let mut plan = choice.expanding(&old, &coin, rest, self.terms.fee_rate)?;
        let Some(wallet) = wallet else { return lay_out(&plan, &self.terms.out) };
        plan.sign(&wallet);
        let id = desk.register(plan.registration(Some(&parent), &desk.versions)?, self.terms.deadline).await?;
        send(&wallet.expand(&desk.presigned(&id).await?)?, Some(client)).await?;
        desk.until(&id, self.terms.deadline, |view| view.status == "active").await?;
        println!("vault {id} is active, {} is expanded", self.vault);
        Ok(())
    }
}

impl Terms {
    async fn choose(&self, desk: &Desk, operator: OperatorId, staker: &str) -> anyhow::Result<Choice> {
        let own = desk.provider(&operator).await?;
        let providers: Vec<_> = std::iter::once(own).chain(self.providers.iter().cloned()).collect();
        self.with(desk, operator, (staker, &providers)).await
    }

    async fn with(&self, desk: &Desk, operator: OperatorId, keys: (&str, &[String])) -> anyhow::Result<Choice> {
        let anchor = desk.anchor().await?;
        Ok(Choice::new(&desk.versions, anchor, operator, keys, self.time, &self.slash_fees)?)
    }
}

/// Where to pay, and how a wallet recognises it.
fn describe(desk: &Desk, choice: &Choice) -> anyhow::Result<()> {
    let address = choice.address(network(&desk.genesis.bitcoin_genesis)?);
    println!("address         {address}");
    println!("at least        {} satoshis", choice.least().to_sat());
    if let Some(descriptors) = choice.descriptors() {
        println!("descriptor      {}", descriptors.staking);
        println!("after unbonding {}", descriptors.unbonding);
    }
    println!(
        "Let your wallet make a PSBT that pays what you stake to this address, from native witness coins, UNSIGNED;"
    );
    println!("then run this again with --funded FILE. Do not pay yet: the covenant must sign first.");
    Ok(())
}

/// The plan, and one PSBT for each signature it needs.
fn lay_out(plan: &Plan, out: &Path) -> anyhow::Result<()> {
    if out.join(PLAN).exists() {
        bail!("{} holds a plan already: name another folder with --out", out.display());
    }
    for (index, request) in plan.requests().iter().enumerate() {
        write_new(&out.join(format!("slashing-{index}.psbt")), psbt::text(&request.psbt(None)).as_bytes())?;
    }
    write_new(&out.join(PLAN), hex_bytes(&plan.bytes()).as_bytes())?;
    println!("vault {}", plan.id());
    println!("Sign every slashing-N.psbt in {} with your wallet, into slashing-N.signed.psbt;", out.display());
    println!("then: palisade vault register {}", out.display());
    Ok(())
}

/// The plan's file in its folder.
pub const PLAN: &str = "plan.hex";
