//! What the scenarios of a vault's life share: the staker's own commands, Bitcoin's time, and what every ledger must say.

use super::report::{Holding, Report, Step};
use super::scene::Scene;
use super::wallet::Wallet as ForeignWallet;
use crate::bitcoind;
use crate::constants::{
    BITCOIN_DEPTH, READY_DEADLINE, SLASH_DEADLINE, UNBONDING_FEE_SATS, VAULT_SATS, VAULT_SLASH_BASIS_POINTS,
    VAULT_SLASH_FEES, VAULT_SLASH_SCRIPT,
};
use crate::devnet::Devnet;
use crate::equivocation::hex_of;
use crate::operator::Operator;
use crate::progress::{Seen, say, until};
use crate::tools;
use anyhow::{Context, bail, ensure};
use bitcoin::{Address, Network, OutPoint};
use palisade_bitcoin::client::Client;
use palisade_bitcoin::registration::Presigned;
use palisade_bitcoin::staker::{Coin, Wallet};
use palisade_bitcoin::vault::{Held, Versions};
use palisade_crypto::eots;
use palisade_node::keys;
use palisade_node::rpc::PalisadeClient;
use palisade_node::rpc::views::{OrderView, VaultView};
use palisade_node::text::parse_hex_bytes;
use palisade_types::canonical::Canonical;
use palisade_types::evidence::Evidence;
use palisade_types::{BasisPoints, CaseId, DomainKind, OperatorId, Sats, VaultRegistration};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Instant;

/// Blocks mined at once when time is made to pass: committees and anchors, which age in blocks, must keep up.
const STRIDE: u32 = 8;

/// A staker, and one node that he asks.
pub(super) struct Vaults<'a> {
    pub(super) scene: Scene<'a>,
    pub(super) client: Client,
    teller: Operator,
    began: Instant,
    steps: Vec<Step>,
}

impl<'a> Vaults<'a> {
    pub(super) fn open(devnet: &'a Devnet) -> anyhow::Result<Self> {
        let scene = Scene::open(devnet)?;
        let teller = scene.operators.first().context("a devnet has operators")?.clone();
        Ok(Self { client: devnet.bitcoin()?, scene, teller, began: Instant::now(), steps: Vec::new() })
    }

    /// The operator whose node the staker asks; the honest scenarios also stake behind him.
    pub(super) const fn teller(&self) -> &Operator {
        &self.teller
    }

    pub(super) fn done(&mut self, what: &'static str, waited_for: &'static str) {
        say(what);
        self.steps.push(Step { what, after: self.began.elapsed(), waited_for });
    }

    /// The end of every scenario: all ledgers are one.
    pub(super) async fn report(self, convict: Option<&Operator>, before: Vec<Holding>) -> anyhow::Result<Report> {
        self.scene.check_roots().await?;
        let now = self.scene.holdings().await?;
        for ((operator, before), now) in self.scene.operators.iter().zip(&before).zip(&now) {
            let faulty = convict.is_some_and(|convict| convict.name() == operator.name());
            // A fault in Bitcoin's domain takes every vault behind him, and nothing on Ethereum.
            let rest = if faulty { Holding { sats: 0, ..before.clone() } } else { before.clone() };
            ensure!(*now == rest, "{} has {now:?} and must have {rest:?}", operator.name());
        }
        Ok(Report {
            convict: convict.map(|convict| convict.name().to_owned()),
            steps: self.steps,
            holdings: self.scene.changes(before, now),
            took: self.began.elapsed(),
            gas: vec![],
        })
    }

    // ---- the staker's commands -------------------------------------------------------------------------------------

    /// Locks the devnet's usual amount behind an operator with the key in a file; the answer is the vault's name.
    pub(super) async fn stake(&self, operator: OperatorId, blocks: u16) -> anyhow::Result<String> {
        let (operator, amount, blocks) = (operator.to_string(), VAULT_SATS.to_string(), blocks.to_string());
        let choice = ["stake", "--operator", &operator, "--amount", &amount, "--time", &blocks];
        let said = self.vault_by_key(&choice).await?;
        let (presigned, sent) = (said.find("is verified"), said.find("sent "));
        ensure!(presigned.is_some() && presigned < sent, "coins were locked before the covenant signed: {said}");
        let line = said.lines().find(|line| line.contains(" is active")).with_context(|| said.clone())?;
        line.split_whitespace().nth(1).map(str::to_owned).context("the line names a vault")
    }

    /// The same with the key in a wallet of its own, step by step.
    pub(super) async fn stake_by_wallet(
        &self,
        hand: &Hand,
        operator: OperatorId,
        blocks: u16,
    ) -> anyhow::Result<String> {
        let (operator, blocks, staker) = (operator.to_string(), blocks.to_string(), hand.wallet.key());
        let choice = ["stake", "--operator", &operator, "--staker", &staker, "--time", &blocks];
        let address = told(&self.vault(&choice).await?, "address")?;
        let (funded, signed) = (hand.file("staking.psbt"), hand.file("staking.signed.psbt"));
        hand.wallet.fund(&self.coin().await?, &address, VAULT_SATS, Path::new(&funded))?;
        let plan = hand.plan();
        let laid_out = self.vault(&[&choice[..], &["--funded", &funded, "--out", &plan]].concat()).await?;
        let vault = told(&laid_out, "vault")?;
        self.refused(&["register", &plan], "not signed yet").await?;
        hand.sign_plan()?;
        hand.wallet.sign(Path::new(&funded), Path::new(&signed))?;
        self.refused(&["send", &vault, "--signed", &signed], "unknown vault").await?;
        self.vault(&["register", &plan]).await?;
        self.vault(&["send", &vault, "--signed", &signed]).await?;
        Ok(vault)
    }

    /// Asks for one signature by a command that writes a PSBT, and hands the signed one in.
    pub(super) async fn sign_and_send(&self, hand: &Hand, command: &[&str]) -> anyhow::Result<()> {
        let (asked, signed) =
            (hand.file(&format!("{}.psbt", command[0])), hand.file(&format!("{}.signed.psbt", command[0])));
        if !Path::new(&asked).exists() {
            self.vault(&[command, &["--out", &asked]].concat()).await?;
            hand.wallet.sign(Path::new(&asked), Path::new(&signed))?;
        }
        self.vault(&[command, &["--signed", &signed]].concat()).await.map(drop)
    }

    /// Runs `palisade vault` as a staker with a wallet of his own does; the answer is what it printed.
    pub(super) async fn vault(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = self.run(arguments).await?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "palisade vault {arguments:?} failed: {}", complaint.trim());
        Ok(String::from_utf8(output.stdout)?)
    }

    /// The same with his key in a file.
    pub(super) async fn vault_by_key(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let key = self.scene.devnet.layout().staker_key();
        self.vault(&[arguments, &["--key-file", key.to_str().context("the devnet's folder is text")?]].concat()).await
    }

    /// The same for what must be refused.
    pub(super) async fn refused(&self, arguments: &[&str], reason: &str) -> anyhow::Result<()> {
        let output = self.run(arguments).await?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(!output.status.success(), "palisade vault {arguments:?} did it");
        ensure!(complaint.contains(reason), "refused for another reason than {reason}: {}", complaint.trim());
        Ok(())
    }

    async fn run(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        let devnet = self.scene.devnet;
        let mut command = tokio::process::Command::new(tools::ours("palisade")?);
        command.env("PALISADE_GENESIS", devnet.layout().genesis()).env("PALISADE_RPC", self.teller.rpc());
        command.arg("vault").args(arguments);
        if !arguments.first().is_some_and(|command| ["status", "list"].contains(command)) {
            command.args(["--bitcoin-rpc", &devnet.ports().bitcoin_url()]);
            command.arg("--bitcoin-cookie").arg(bitcoind::cookie(&devnet.layout().bitcoin()));
        }
        command.stdin(Stdio::null()).kill_on_drop(true);
        command.output().await.context("palisade cannot be started")
    }

    /// The staker's own address.
    pub(super) fn home(&self) -> anyhow::Result<Address> {
        let secret = keys::read_secret(&self.scene.devnet.layout().staker_key())?;
        Ok(Wallet::new(eots::SecretKey::from_bytes(&secret).context("the staker's key")?).address(Network::Regtest))
    }

    /// A coin of his that can be spent.
    pub(super) async fn coin(&self) -> anyhow::Result<Coin> {
        let tip = self.client.info().await?.blocks;
        let coins = self.client.coins(&self.home()?.script_pubkey()).await?;
        for found in coins.into_iter().filter(|found| found.is_ripe(tip) && found.coin.value.to_sat() > 2 * VAULT_SATS)
        {
            if self.client.unspent(found.coin.outpoint, true).await?.is_some() {
                return Ok(found.coin);
            }
        }
        bail!("the staker has no coin left that is ripe and large enough; reset the devnet")
    }

    /// What `vault status` says.
    pub(super) async fn status(&self, vault: &str) -> anyhow::Result<String> {
        told(&self.vault(&["status", vault]).await?, "status")
    }

    // ---- time ------------------------------------------------------------------------------------------------------

    /// Mines until Bitcoin is this high, no faster than both sides' finality follows.
    pub(super) async fn pass(&self, height: u64) -> anyhow::Result<()> {
        let nobody = Wallet::new(eots::SecretKey::generate()).address(Network::Regtest);
        loop {
            let tip = self.client.info().await?.blocks;
            let left = u32::try_from(height)?.saturating_sub(tip);
            if left == 0 {
                return Ok(());
            }
            self.client.mine(left.min(STRIDE), &nobody).await?;
            let head = self.teller.client()?.status().await?.head.height;
            self.scene.devnet.await_final_above(&self.teller, head, READY_DEADLINE).await?;
        }
    }

    // ---- what the ledgers say --------------------------------------------------------------------------------------

    /// What a pair could take of the active vaults behind an operator, satoshis.
    pub(super) async fn at_risk(&self, operator: OperatorId) -> anyhow::Result<u64> {
        let vaults = self.teller.client()?.vaults().await?;
        let operator = operator.to_string();
        let counted = vaults.iter().filter(|vault| vault.operator == operator && vault.status == "active");
        counted.map(|vault| anyhow::Ok(part(vault.amount.parse()?))).sum()
    }

    /// Waits until every ledger's committee counts so much bitcoin behind an operator.
    pub(super) async fn await_weight(&self, operator: OperatorId, sats: u64) -> anyhow::Result<()> {
        let (id, wanted) = (operator.to_string(), sats.to_string());
        for operator in &self.scene.operators {
            let client = operator.client()?;
            let what = format!("{sats} satoshis at risk in {}'s committee", operator.name());
            until(&what, READY_DEADLINE, async || {
                let members = client.committee(None).await?.members;
                let member = members.into_iter().find(|member| member.operator == id).context("he has no seat")?;
                Ok(if member.bitcoin == wanted { Seen::There(()) } else { Seen::NotYet(member.bitcoin) })
            })
            .await?;
        }
        Ok(())
    }

    /// A vault with everybody's signatures.
    async fn presigned(&self, vault: &str) -> anyhow::Result<Presigned> {
        let shown = self.teller.client()?.vault(vault.to_owned()).await?.registration.context("vault_get shows it")?;
        let registration = VaultRegistration::from_bytes(&parse_hex_bytes(&shown)?)?;
        Ok(Presigned::held(&registration, &Versions::of(&self.scene.genesis)?)?)
    }

    // ---- a fault ---------------------------------------------------------------------------------------------------

    /// The convict's finality key signs twice, and somebody else tells; the answer is the case.
    pub(super) async fn convict(&mut self, convict: &Operator) -> anyhow::Result<String> {
        let [_, pair] = self.scene.equivocate(convict).await?;
        self.done("the operator's finality key has signed twice", "nothing");
        self.submit(convict, &pair).await
    }

    async fn submit(&mut self, convict: &Operator, pair: &Evidence) -> anyhow::Result<String> {
        let accepted = self.teller.client()?.submit_evidence(hex_of(pair)).await?;
        let domain = self.scene.genesis.domain(DomainKind::Bitcoin);
        let case = CaseId::derive(&self.scene.genesis.chain_id(), &convict.id()?, &domain).to_string();
        ensure!(accepted.case.as_deref() == Some(&case), "evidence opened {:?} instead of {case}", accepted.case);
        self.done("the pair is accepted over JSON-RPC", "two signature checks");
        Ok(case)
    }

    /// Waits until every ledger holds the case as final; the answer is its order about this vault.
    async fn await_final(&self, case: &str, vault: &str) -> anyhow::Result<OrderView> {
        let mut views = Vec::new();
        for operator in &self.scene.operators {
            let client = operator.client()?;
            let what = format!("case {case} final on {}", operator.name());
            let seen = until(&what, SLASH_DEADLINE, async || {
                let view = client.case(case.to_owned()).await?;
                Ok(if view.status == "final" { Seen::There(view) } else { Seen::NotYet(view.status) })
            });
            views.push(seen.await?);
        }
        ensure!(views.windows(2).all(|pair| pair[0] == pair[1]), "the ledgers hold different cases: {views:?}");
        let orders = views.into_iter().next().context("a devnet has operators")?.orders;
        orders.into_iter().find(|order| order.target == vault).context("the case has no order about the vault")
    }

    /// Waits for the slash of one output of a vault, and holds Bitcoin against every ledger.
    pub(super) async fn slashed(&mut self, case: &str, vault: &str, held: Held) -> anyhow::Result<()> {
        let presigned = self.presigned(vault).await?;
        let view = self.scene.await_vault(vault, "slashed").await?;
        self.done("the vault is slashed in every ledger", "a Bitcoin block, depth k");
        let order = self.await_final(case, vault).await?;
        self.done("the case is final in every ledger", "depth k of every vault behind him");

        let slashings = presigned.vault().slashings().iter().filter(|slashing| slashing.held == held);
        let txid = view.transaction.clone().context("a slashed vault names its transaction")?;
        let mut slashings = slashings.map(|slashing| &slashing.transaction);
        let expected = slashings.find(|slashing| slashing.compute_txid().to_string() == txid);
        let expected = expected.with_context(|| format!("{txid} is no slashing of the {held:?} output"))?;
        // From here on as bitcoind has it.
        let slashing = self.client.transaction(expected.compute_txid(), None).await?;
        let (from, sats) = match held {
            Held::Staked => (output(vault)?, VAULT_SATS),
            Held::Unbonding => (presigned.vault().unbonded_outpoint(), VAULT_SATS - UNBONDING_FEE_SATS),
        };
        ensure!(
            slashing.input.len() == 1 && slashing.input[0].previous_output == from,
            "another output than {from} was slashed"
        );
        ensure!(self.client.unspent(from, true).await?.is_none(), "{from} is still unspent");
        let sink = slashing.output.first().context("a slashing transaction has outputs")?;
        ensure!(sink.script_pubkey.as_bytes() == VAULT_SLASH_SCRIPT, "the sink is another than genesis names");
        let taken = sink.value.to_sat();
        ensure!(taken == part(sats), "the sink has {taken}, configured are {} of {sats}", part(sats));
        // Its change goes back to the staker: an output that can be looked up, unlike the burnt one.
        let change = OutPoint { txid: slashing.compute_txid(), vout: 1 };
        let unspent = self.client.unspent(change, false).await?.context("Bitcoin does not show the slash")?;
        ensure!(u64::from(unspent.confirmations) > BITCOIN_DEPTH, "told after {} confirmations", unspent.confirmations);
        let left = slashing.output.get(1).context("the staker has the rest")?.value.to_sat();
        let fee = sats - taken - left;
        ensure!(VAULT_SLASH_FEES.contains(&fee), "the fee of {fee} was not signed");

        ensure!(view.taken == Some(taken.to_string()), "the vault says {:?}, the sink has {taken}", view.taken);
        ensure!(order.taken == view.taken && order.transaction == view.transaction, "the order says {order:?}");
        ensure!(order.status == "final", "the order is {}", order.status);
        say(format!(
            "{taken} satoshis of {vault} are burnt, {} blocks deep, for a fee of {fee}",
            unspent.confirmations
        ));
        Ok(())
    }
}

/// What a pair takes of a vault.
pub(super) fn part(sats: u64) -> u64 {
    BasisPoints::new(VAULT_SLASH_BASIS_POINTS).map_or(0, |rate| Sats::new(sats).slashed_by(rate).get())
}

/// What a command printed beside a name.
pub(super) fn told(said: &str, name: &str) -> anyhow::Result<String> {
    let line = said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(line.with_context(|| format!("no {name} in: {said}"))?.trim().to_owned())
}

/// A staker's wallet, and the folder in which he keeps what goes there and comes back.
pub(super) struct Hand {
    pub(super) wallet: ForeignWallet,
    folder: PathBuf,
}

impl Hand {
    /// With a new folder in the devnet's, which stays for people to look at.
    pub(super) fn new(devnet: &Devnet, name: &str) -> anyhow::Result<Self> {
        let all = devnet.layout().root().join("wallet");
        let mut numbers = (1_u32..).map(|number| all.join(format!("{name}-{number}")));
        let folder = numbers.find(|folder| !folder.exists()).context("a number is free")?;
        std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        Ok(Self { wallet: ForeignWallet::open(&devnet.layout().staker_key())?, folder })
    }

    pub(super) fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// The folder of the plan.
    pub(super) fn plan(&self) -> String {
        self.file("plan")
    }

    /// Signs every PSBT of the plan.
    pub(super) fn sign_plan(&self) -> anyhow::Result<()> {
        let plan = PathBuf::from(self.plan());
        for entry in std::fs::read_dir(&plan)? {
            let file = entry?.path();
            if let Some(name) = file.file_name().and_then(|name| name.to_str()?.strip_suffix(".psbt")) {
                self.wallet.sign(&file, &plan.join(format!("{name}.signed.psbt")))?;
            }
        }
        Ok(())
    }
}

/// A vault's staking output.
pub(super) fn output(vault: &str) -> anyhow::Result<OutPoint> {
    vault.parse().with_context(|| vault.to_owned())
}

/// The output that its unbonding transaction made.
pub(super) fn unbonding_output(view: &VaultView) -> anyhow::Result<OutPoint> {
    let txid = view.transaction.as_deref().context("an unbonding vault names its transaction")?;
    Ok(OutPoint { txid: txid.parse()?, vout: 0 })
}
