//! Transactions of one account: planned ahead with the addresses they will create, sent without waiting for each
//! other, and looked at together. A devnet that mines every two seconds would else take minutes to set up.

use alloy::network::{EthereumWallet, TransactionBuilder};
use alloy::primitives::{Address, B256, Bytes, TxKind};
use alloy::providers::{DynProvider, Provider, ProviderBuilder};
use alloy::rpc::types::{TransactionReceipt, TransactionRequest};
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::SolCall;
use anyhow::{Context, bail, ensure};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Transactions of one account in order, with the nonces they will have.
pub(crate) struct Plan {
    account: Address,
    nonce: u64,
    transactions: Vec<(&'static str, TransactionRequest)>,
}

impl Plan {
    /// An empty plan of an account whose next nonce is `nonce`.
    pub(crate) fn new(account: Address, nonce: u64) -> Self {
        Self { account, nonce, transactions: Vec::new() }
    }

    /// Adds the creation of a contract and returns its address.
    pub(crate) fn create(&mut self, what: &'static str, code: Vec<u8>) -> Address {
        let address = self.account.create(self.nonce);
        // A whole creation: its fixed price, its bytes in calldata and in state, and what its constructor does.
        let gas = 53_000 + 250 * code.len() as u64 + 1_500_000;
        let request = TransactionRequest::default().with_kind(TxKind::Create).with_input(code);
        self.push(what, request, gas);
        address
    }

    /// Adds a call.
    pub(crate) fn call(&mut self, what: &'static str, to: Address, call: &impl SolCall) {
        let request = TransactionRequest::default().with_to(to).with_input(call.abi_encode());
        self.push(what, request, 2_000_000);
    }

    /// Adds a call whose data somebody else made.
    pub(crate) fn raw(&mut self, what: &'static str, to: Address, input: Bytes) {
        self.push(what, TransactionRequest::default().with_to(to).with_input(input), 2_000_000);
    }

    fn push(&mut self, what: &'static str, request: TransactionRequest, gas: u64) {
        let request = request
            .with_from(self.account)
            .with_nonce(self.nonce)
            .with_gas_limit(gas)
            .with_max_fee_per_gas(MAX_FEE_PER_GAS)
            .with_max_priority_fee_per_gas(PRIORITY_FEE_PER_GAS);
        self.transactions.push((what, request));
        self.nonce += 1;
    }
}

/// One account and its way to the chain.
pub(crate) struct Sender {
    pub(crate) provider: DynProvider,
    pub(crate) account: Address,
}

impl Sender {
    /// The account of `signer` at the endpoint.
    pub(crate) fn new(endpoint: &str, signer: &PrivateKeySigner) -> anyhow::Result<Self> {
        let url = endpoint.parse().with_context(|| format!("{endpoint} is not a URL"))?;
        let provider = ProviderBuilder::new().wallet(EthereumWallet::from(signer.clone())).connect_http(url).erased();
        Ok(Self { provider, account: signer.address() })
    }

    /// The nonce of the next transaction.
    pub(crate) async fn nonce(&self) -> anyhow::Result<u64> {
        Ok(self.provider.get_transaction_count(self.account).pending().await?)
    }

    /// A plan that starts at the next nonce.
    pub(crate) async fn plan(&self) -> anyhow::Result<Plan> {
        Ok(Plan::new(self.account, self.nonce().await?))
    }

    /// Sends everything in order and waits until all of it is in a block.
    ///
    /// # Errors
    ///
    /// Names the first transaction that was refused or failed.
    pub(crate) async fn send(&self, plan: Plan) -> anyhow::Result<Vec<TransactionReceipt>> {
        let mut sent = Vec::with_capacity(plan.transactions.len());
        for (what, request) in plan.transactions {
            let pending = self
                .provider
                .send_transaction(request.clone())
                .await
                .with_context(|| format!("{what} was not accepted"))?;
            sent.push((what, request, *pending.tx_hash()));
        }
        let mut receipts = Vec::with_capacity(sent.len());
        for (what, request, hash) in sent {
            receipts.push(self.receipt(what, request, hash).await?);
        }
        Ok(receipts)
    }

    async fn receipt(
        &self,
        what: &'static str,
        request: TransactionRequest,
        hash: B256,
    ) -> anyhow::Result<TransactionReceipt> {
        let deadline = Instant::now() + INCLUSION_DEADLINE;
        loop {
            if let Some(receipt) = self.provider.get_transaction_receipt(hash).await? {
                if !receipt.status() {
                    bail!("{what} failed: {}", self.reason(request).await);
                }
                return Ok(receipt);
            }
            ensure!(Instant::now() < deadline, "{what} is in no block after {INCLUSION_DEADLINE:?}");
            sleep(POLL).await;
        }
    }

    /// Asks what the transaction would say now: close enough to what it said then.
    async fn reason(&self, mut request: TransactionRequest) -> String {
        request.nonce = None;
        match self.provider.call(request).await {
            Ok(_) => "it would succeed now".to_owned(),
            Err(error) => error.to_string(),
        }
    }
}

/// Waits for the pool's next look, not for a fact.
const POLL: Duration = Duration::from_millis(50);
const INCLUSION_DEADLINE: Duration = Duration::from_secs(60);
/// Devnet's accounts are rich and its blocks are empty.
const MAX_FEE_PER_GAS: u128 = 20_000_000_000;
const PRIORITY_FEE_PER_GAS: u128 = 1_000_000_000;
