//! The bitcoin side of the devnet: one staker, whose coins are mined at the start, and a vault behind every operator.

use crate::constants::{
    FIRST_BITCOIN_BLOCKS, STAKING_BLOCKS, STAKING_FEE_RATE, START_DEADLINE, VAULT_SATS, VAULT_SLASH_FEES,
};
use crate::progress::{Seen, until};
use anyhow::Context;
use bitcoin::key::XOnlyPublicKey;
use bitcoin::{Amount, FeeRate, Network, Transaction, Txid};
use palisade_bitcoin::client::Client;
use palisade_bitcoin::inclusion::MerkleProof;
use palisade_bitcoin::registration::{self, Presigned};
use palisade_bitcoin::staker::{Coin, Wallet};
use palisade_bitcoin::vault::{CheckedVault, VaultRules};
use palisade_crypto::eots;
use palisade_node::keys;
use palisade_types::{OperatorId, SchnorrKey, VaultRegistration};
use std::path::Path;

/// The staker behind every vault of the devnet.
pub struct Staker {
    wallet: Wallet,
}

/// A vault that was sent and stands in no block yet.
#[derive(Clone, Debug)]
pub struct SentVault {
    operator: OperatorId,
    staking: Transaction,
    vault: CheckedVault,
    tip: u32,
}

impl Staker {
    /// The staker whose key is at `path`; a new one when there is none.
    ///
    /// # Errors
    ///
    /// The key file does not do.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        if !path.exists() {
            keys::write_secret(path, &eots::SecretKey::generate().to_bytes())?;
        }
        let secret = keys::read_secret(path)?;
        let secret = eots::SecretKey::from_bytes(&secret).with_context(|| path.display().to_string())?;
        Ok(Self { wallet: Wallet::new(secret) })
    }

    /// Mines his first coins until some of them can be spent.
    ///
    /// # Errors
    ///
    /// bitcoind does not answer.
    pub async fn mine_first_coins(&self, client: &Client) -> anyhow::Result<()> {
        client.mine(FIRST_BITCOIN_BLOCKS, &self.wallet.address(Network::Regtest)).await?;
        Ok(())
    }

    /// Sends a stake into a vault for each of these operators.
    ///
    /// # Errors
    ///
    /// There are not enough ripe coins, or bitcoind refuses a transaction.
    pub async fn stake(
        &self,
        client: &Client,
        rules: &VaultRules,
        operators: &[(OperatorId, SchnorrKey)],
    ) -> anyhow::Result<Vec<SentVault>> {
        let tip = client.info().await?.blocks;
        let found = client.coins(&self.wallet.script_pubkey()).await?;
        let ripe = found.into_iter().filter(|found| found.is_ripe(tip));
        let mut coins: Vec<Coin> = ripe.map(|found| found.coin).collect();
        let mut sent = Vec::with_capacity(operators.len());
        for (operator, provider) in operators {
            let one = self.build(rules, &coins, *operator, provider, tip)?;
            coins.retain(|coin| one.staking.input.iter().all(|input| input.previous_output != coin.outpoint));
            client.send(&one.staking).await?;
            sent.push(one);
        }
        Ok(sent)
    }

    fn build(
        &self,
        rules: &VaultRules,
        coins: &[Coin],
        operator: OperatorId,
        provider: &SchnorrKey,
        tip: u32,
    ) -> anyhow::Result<SentVault> {
        let provider = XOnlyPublicKey::from_slice(provider.as_bytes())?;
        let terms = rules.terms(self.wallet.key(), vec![provider], STAKING_BLOCKS)?;
        let rate = FeeRate::from_sat_per_vb(STAKING_FEE_RATE).context("the fee rate is no number")?;
        let staking = self.wallet.stake(coins, &terms, Amount::from_sat(VAULT_SATS), rate)?;
        let vault = CheckedVault::check(&staking, 0, terms, &VAULT_SLASH_FEES.map(Amount::from_sat), rules)?;
        Ok(SentVault { operator, staking, vault, tip })
    }

    /// The registration of a vault whose transaction stands in no block yet: the covenant signs first.
    ///
    /// # Errors
    ///
    /// A transaction is too long to be registered.
    pub fn register_unlocked(&self, sent: &SentVault) -> anyhow::Result<VaultRegistration> {
        let signatures = registration::sign(&sent.vault, self.wallet.secret());
        Ok(registration::write(sent.operator, &sent.staking, (None, None), &sent.vault, &signatures)?)
    }

    /// Sends the unbonding transaction of a vault that the covenant has signed.
    ///
    /// # Errors
    ///
    /// It is not this staker's, or bitcoind refuses it.
    pub async fn unbond(&self, client: &Client, presigned: &Presigned) -> anyhow::Result<Txid> {
        Ok(client.send(&self.wallet.unbond(presigned)?).await?)
    }

    /// Waits until the vault's transaction is in a block, and writes the registration that staker and operator agree on.
    ///
    /// # Errors
    ///
    /// No block takes it in.
    pub async fn register(&self, client: &Client, sent: &SentVault) -> anyhow::Result<VaultRegistration> {
        let wanted = sent.staking.compute_txid();
        let mut height = sent.tip;
        let (block, index) = until("a block with the stake", START_DEADLINE, async || {
            while height < client.info().await?.blocks {
                let block = client.block(client.block_hash(height + 1).await?).await?;
                height += 1;
                if let Some(index) = block.txdata.iter().position(|transaction| transaction.compute_txid() == wanted) {
                    return Ok(Seen::There((block, index)));
                }
            }
            Ok(Seen::NotYet(format!("blocks up to {height} do not hold it")))
        })
        .await?;
        let proof = MerkleProof::of(&block, u32::try_from(index)?).context("the block holds the transaction")?;
        let inclusion = registration::inclusion(&proof, block.block_hash(), u64::from(height))?;
        let signatures = registration::sign(&sent.vault, self.wallet.secret());
        let how = (Some(inclusion), None);
        Ok(registration::write(sent.operator, &sent.staking, how, &sent.vault, &signatures)?)
    }
}
