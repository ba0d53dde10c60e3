//! Carries orders against restaked ether to Palisade.sol.
//!
//! One transaction executes a whole case: the contract judges the pair and tries every target that has not shown its
//! loss (R24), so all orders of a case share it. Where a slash may be vetoed, that transaction only asks for it: when the
//! time for a veto is over another one carries it on, to the end. Nothing here says that stake was taken; only an observation
//! does.

use crate::bindings::adapter::EigenLayerAdapter::{self, EigenLayerAdapterErrors};
use crate::bindings::committee::Committee::CommitteeErrors;
use crate::bindings::karak_adapter::KarakAdapter::{self, KarakAdapterErrors};
use crate::bindings::orders::Orders::OrdersErrors;
use crate::bindings::palisade::Palisade::{
    self, Ancestor, Pair, PalisadeErrors, SlashFailed, SlashPending, Slashed, slashAmongCall, slashAncestorAmongCall,
    slashAncestorCall, slashCall,
};
use crate::bindings::symbiotic::{Vault, VetoSlasher};
use crate::bindings::symbiotic_adapter::SymbioticAdapter::{self, SymbioticAdapterErrors};
use crate::client::Ethereum;
use crate::endpoint::{Endpoint, alloy_address, hash_of, unavailable, view_failed};
use crate::outbox::{Draft, Errand, Fate, refused_or};
use alloy::contract;
use alloy::eips::BlockId;
use alloy::hex;
use alloy::primitives::{self, B256, Bytes, LogData, U256};
use alloy::providers::Provider;
use alloy::rpc::types::{Filter, TransactionReceipt};
use alloy::sol_types::{SolCall, SolEvent, SolInterface};
use palisade_crypto::bls;
use palisade_types::canonical::Canonical;
use palisade_types::certificate::QuorumCertificate;
use palisade_types::chain::{ChainError, Execution, Progress};
use palisade_types::contradiction::{CertificatePair, Company};
use palisade_types::evidence::{AncestorFault, Evidence, Unproven};
use palisade_types::genesis::Genesis;
use palisade_types::ids::{Address, BlsSignature, CaseId, ChainId, DomainKind, Hash, OperatorId};
use palisade_types::operator::Operator;
use palisade_types::position::StakeSource;
use palisade_types::slash::Case;
use palisade_types::units::Wad;

/// How many blocks of logs are searched at once for a slash that is done.
const SEARCH_BLOCKS: u64 = 2_000;
/// The kinds of domains whose pairs Palisade.sol judges: its own, and signed with BLS.
const JUDGED: [DomainKind; 4] = [DomainKind::Ledger, DomainKind::VaultClaim, DomainKind::Order, DomainKind::Succession];

/// A case as the contract shows it in the newest block.
struct OnChain {
    /// That block.
    block: u64,
    convicted: bool,
    /// Whether everything behind the target's adapter has shown its loss.
    done: bool,
}

/// What an order is aimed at, and through which adapter.
pub(crate) struct Aim {
    pub(crate) adapter: Address,
    /// What lies there; `None` for a service's own set.
    pub(crate) source: Option<StakeSource>,
}

impl Ethereum {
    /// Carries an order as far as it can be carried now.
    pub(crate) async fn slash(&self, execution: &Execution) -> Result<Progress, ChainError> {
        let order = execution.case.orders.get(execution.order);
        let target = order.ok_or_else(|| refused("the case has no such order"))?.target;
        if execution.case.needs_order() {
            let adapter = self.genesis.contracts.taking_orders(&target);
            let adapter = adapter.ok_or_else(|| refused("no adapter takes orders against this stake"))?;
            let aim = Aim { adapter, source: target.source() };
            return self.first(async |endpoint: Endpoint| self.carry_order(&endpoint, execution, &aim).await).await;
        }
        let source = target.source().ok_or_else(|| refused("a vault is not on Ethereum"))?;
        let adapter = self.genesis.contracts.adapter_of(&source);
        let adapter = adapter.ok_or_else(|| refused("genesis has no adapter to where this stake lies"))?;
        let aim = Aim { adapter, source: Some(source) };
        self.first(async |endpoint: Endpoint| self.carry(&endpoint, execution, &aim).await).await
    }

    async fn carry(&self, endpoint: &Endpoint, execution: &Execution, aim: &Aim) -> Result<Progress, ChainError> {
        let adapter = &aim.adapter;
        // One at a time: nonces are given out in order.
        let mut outbox = self.outbox.lock().await;
        let case = &execution.case;
        let kind = judged(&self.genesis, case)?;
        let seen = on_chain(endpoint, case, kind, adapter).await?;
        if seen.done {
            outbox.forget(&Errand::Case(case.id));
            return Ok(Progress::Executed(taken_in(endpoint, case, aim, seen.block).await?));
        }
        match standing(endpoint, case, aim).await? {
            // Behind another's request nothing is taken yet, but the pair convicts (R9).
            Standing::Waiting if seen.convicted => return Ok(Progress::Waiting),
            Standing::Open | Standing::Waiting => {}
            Standing::Vetoed => return Err(refused("the slash was vetoed")),
            Standing::Taken => return Ok(Progress::Executed(taken_in(endpoint, case, aim, seen.block).await?)),
        }
        let account = self.account.as_ref();
        let account = account.ok_or_else(|| refused("this operator has no account that pays for slashes"))?;
        match outbox.follow(endpoint, account, &Errand::Case(case.id)).await? {
            Some(Fate::Waiting(hash)) => return Ok(Progress::Sent(hash_of(hash))),
            // The block came between the two questions: ask again and it is done, or here is why it is not.
            Some(Fate::Included(receipt)) => return outcome(&receipt, &case.id, aim),
            Some(Fate::Replaced) | None => {}
        }
        let input = evidence(&self.genesis, execution, kind, seen.convicted)?;
        let spare_gas = gas_floors(endpoint, &case.operator).await?;
        if seen.convicted {
            rehearse(endpoint, case, aim).await?;
        }
        let draft = Draft { to: alloy_address(&self.genesis.contracts.palisade), input: input.into(), spare_gas };
        let hash = outbox.send(endpoint, account, Errand::Case(case.id), draft).await?;
        tracing::info!(case = %case.id, operator = %case.operator, transaction = %hash, "sent a slash");
        Ok(Progress::Sent(hash_of(hash)))
    }
}

/// The kind of the network's own domain that a case is of, if Palisade.sol judges there.
fn judged(genesis: &Genesis, case: &Case) -> Result<DomainKind, ChainError> {
    // The contract is bound to the first network of a line (R21); in its domains it judges for ever.
    let kind = JUDGED.into_iter().find(|kind| genesis.origin(&case.domain) == Some((genesis.founder(), *kind)));
    kind.ok_or_else(|| refused("Palisade.sol judges nothing of this domain"))
}

async fn on_chain(
    endpoint: &Endpoint,
    case: &Case,
    kind: DomainKind,
    adapter: &Address,
) -> Result<OnChain, ChainError> {
    let provider = endpoint.provider().await?;
    let block = provider.get_block_number().await;
    let block = block.map_err(|error| unavailable("asking for the newest block", error))?;
    let contract = Palisade::new(alloy_address(&endpoint.genesis().contracts.palisade), provider);
    let adapters = contract.adapters().call().await;
    let adapters = adapters.map_err(|error| view_failed("asking for Palisade.sol's adapters", error))?;
    let bit = adapters.iter().position(|known| *known == alloy_address(adapter));
    let bit = bit.ok_or_else(|| refused("Palisade.sol does not know genesis' adapter"))?;
    let operator = alloy_address(&Address::from(case.operator));
    let state = contract.caseOf(operator, kind.number()).block(block.into()).call().await;
    let state = state.map_err(|error| view_failed("asking Palisade.sol for a case", error))?;
    Ok(OnChain {
        block,
        convicted: state.convicted,
        done: u32::try_from(bit).is_ok_and(|bit| state.done.checked_shr(bit).unwrap_or(0) & 1 == 1),
    })
}

/// How an order stands at its own target, where that can be another way than its adapter stands.
pub(crate) enum Standing {
    /// Something can be done.
    Open,
    /// A request waits for a veto, this one or another that goes first.
    Waiting,
    Vetoed,
    Taken,
}

/// What the Karak adapter knows of a case: it is told of a veto when it happens. A request of another case of the same operator
/// is in the way until it is carried out.
async fn standing_on_karak(endpoint: &Endpoint, case: &Case, aim: &Aim) -> Result<Standing, ChainError> {
    let provider = endpoint.provider().await?;
    let adapter = KarakAdapter::new(alloy_address(&aim.adapter), provider);
    let (operator, id) = (alloy_address(&Address::from(case.operator)), B256::from(*case.id.as_bytes()));
    let failed = |error| view_failed("asking the Karak adapter for a case", error);
    let ordered = case.needs_order();
    if adapter.isVetoed(operator, id, ordered).call().await.map_err(failed)? {
        return Ok(Standing::Vetoed);
    }
    let under_way = adapter.underWay(operator).call().await.map_err(failed)?;
    if under_way.since.is_zero() {
        return Ok(Standing::Open);
    }
    let now = newest_time(provider).await?;
    let veto = adapter.vetoSeconds().call().await.map_err(failed)?;
    let until = under_way.since.saturating_add(veto).saturating_to::<u64>();
    // Another case's goes first.
    let is_ours = under_way.caseId == id && under_way.ordered == ordered;
    Ok(if now < until || !is_ours { Standing::Waiting } else { Standing::Open })
}

async fn newest_time(provider: &impl Provider) -> Result<u64, ChainError> {
    let block = provider.get_block(BlockId::latest()).await;
    let block = block.map_err(|error| unavailable("asking for the newest block", error))?;
    Ok(block.map_or(0, |block| block.header.timestamp))
}

/// What the Symbiotic adapter knows of a case at one vault. It learns of a veto, or that the time for one is over, only when the
/// slash is carried on, so that the slasher is asked, too.
pub(crate) async fn standing(endpoint: &Endpoint, case: &Case, aim: &Aim) -> Result<Standing, ChainError> {
    let vault = match aim.source {
        None | Some(StakeSource::EigenLayer(_)) => return Ok(Standing::Open),
        Some(StakeSource::Symbiotic(vault)) => vault,
        Some(StakeSource::Karak(_)) => return standing_on_karak(endpoint, case, aim).await,
    };
    let (provider, vault) = (endpoint.provider().await?, alloy_address(&vault));
    let adapter = SymbioticAdapter::new(alloy_address(&aim.adapter), provider);
    let (operator, id) = (alloy_address(&Address::from(case.operator)), B256::from(*case.id.as_bytes()));
    let place = U256::from(place_of(endpoint, aim, operator, vault).await?);
    let seen = adapter.progressOf(operator, id, case.needs_order(), place).call().await;
    let seen = seen.map_err(|error| view_failed("asking the Symbiotic adapter for a case", error))?;
    let progress = seen.progress;
    match progress.standing {
        SYMBIOTIC_REQUESTED => {}
        SYMBIOTIC_TAKEN => return Ok(Standing::Taken),
        SYMBIOTIC_VETOED => return Ok(Standing::Vetoed),
        _ if seen.behind => return Ok(Standing::Waiting),
        _ => return Ok(Standing::Open),
    }
    let now = newest_time(provider).await?;
    let until = progress.vetoDeadline.to::<u64>();
    let slasher = Vault::new(vault, provider).slasher().call().await;
    let slasher = slasher.map_err(|error| view_failed("asking a Symbiotic vault for its slasher", error))?;
    let request = VetoSlasher::new(slasher, provider).slashRequests(U256::from(progress.index)).call().await;
    let request = request.map_err(|error| view_failed("asking Symbiotic for a request", error))?;
    Ok(if !request.completed && now < until { Standing::Waiting } else { Standing::Open })
}

/// The adapter's own numbers for how a case stands at a vault.
const SYMBIOTIC_REQUESTED: u8 = 1;
const SYMBIOTIC_TAKEN: u8 = 2;
const SYMBIOTIC_VETOED: u8 = 3;

/// Where the Symbiotic adapter lists a vault among those of an operator.
async fn place_of(
    endpoint: &Endpoint,
    aim: &Aim,
    operator: primitives::Address,
    vault: primitives::Address,
) -> Result<usize, ChainError> {
    let adapter = SymbioticAdapter::new(alloy_address(&aim.adapter), endpoint.provider().await?);
    let vaults = adapter.vaultsOf(operator).call().await;
    let vaults = vaults.map_err(|error| view_failed("asking the Symbiotic adapter for its vaults", error))?;
    let place = vaults.iter().position(|known| known.vault == vault);
    place.ok_or_else(|| refused("the Symbiotic adapter does not know the vault"))
}

/// The transaction in which a target showed its loss, to Palisade.sol or to Orders.sol: their events are one.
pub(crate) async fn taken_in(endpoint: &Endpoint, case: &Case, aim: &Aim, last: u64) -> Result<Hash, ChainError> {
    let (contracts, adapter) = (&endpoint.genesis().contracts, &aim.adapter);
    let teller = if case.needs_order() { &contracts.orders } else { &contracts.palisade };
    let filter = Filter::new()
        .address(alloy_address(teller))
        .event_signature(Slashed::SIGNATURE_HASH)
        .topic1(B256::from(*case.id.as_bytes()))
        .topic3(alloy_address(adapter).into_word());
    search(endpoint, filter, last, MAX_SLASHED_LOGS, |log| tells_of(log, aim)).await
}

/// The transaction of the newest log that fits and is `wanted`, searched backwards from block `last`.
pub(crate) async fn search(
    endpoint: &Endpoint,
    filter: Filter,
    mut last: u64,
    most: usize,
    wanted: impl Fn(&LogData) -> bool,
) -> Result<Hash, ChainError> {
    let genesis = endpoint.genesis();
    loop {
        let from = last.saturating_sub(SEARCH_BLOCKS - 1).max(genesis.ethereum_start.number);
        let logs = endpoint.logs(filter.clone(), from..=last, most).await?;
        let newest = logs.iter().rfind(|log| wanted(&log.inner.data));
        if let Some(hash) = newest.and_then(|log| log.transaction_hash) {
            return Ok(hash_of(hash));
        }
        if from <= genesis.ethereum_start.number {
            let missing = "a case is done and no log of it is there";
            return Err(unavailable("searching for a slash", missing));
        }
        last = from - 1;
    }
}

/// Whether a log of a loss is about what is aimed at. All of EigenLayer's strategies are taken from at once, and one without a loss
/// has a log of its own.
pub(crate) fn tells_of(log: &LogData, aim: &Aim) -> bool {
    let Some(StakeSource::Symbiotic(vault) | StakeSource::Karak(vault)) = aim.source else { return true };
    Slashed::decode_log_data_validate(log).is_ok_and(|slashed| slashed.asset == alloy_address(&vault))
}

/// One log per strategy or vault and case; there are at most 16 of them, and a done target is not tried again.
pub(crate) const MAX_SLASHED_LOGS: usize = 1_024;

/// What a transaction of ours that is in a block did for the case.
fn outcome(receipt: &TransactionReceipt, case: &CaseId, aim: &Aim) -> Result<Progress, ChainError> {
    if !receipt.status() {
        return Err(refused("the transaction reverted in its block"));
    }
    let ours = |topics: &[B256]| {
        topics.get(1) == Some(&B256::from(*case.as_bytes()))
            && topics.get(3) == Some(&alloy_address(&aim.adapter).into_word())
    };
    for log in receipt.logs().iter().filter(|log| ours(log.topics())) {
        match log.topic0() {
            Some(&Slashed::SIGNATURE_HASH) if tells_of(log.data(), aim) => {
                return Ok(Progress::Executed(hash_of(receipt.transaction_hash)));
            }
            Some(&SlashPending::SIGNATURE_HASH) => return Ok(Progress::Waiting),
            Some(&SlashFailed::SIGNATURE_HASH) => {
                let failed = SlashFailed::decode_log_data_validate(log.data());
                return Err(ChainError::Refused(
                    failed.map_or_else(|_| "the adapter failed".to_owned(), |failed| reason(&failed.reason)),
                ));
            }
            _ => {}
        }
    }
    Err(refused("the transaction did nothing for this case"))
}

/// What the contract is told. A case that it has convicted already is not looked at again, so that the ledger's
/// other kinds of evidence lead to a retry too, with nothing but a key of the convict.
fn evidence(
    genesis: &Genesis,
    execution: &Execution,
    kind: DomainKind,
    convicted: bool,
) -> Result<Vec<u8>, ChainError> {
    let Execution { case, operator, company, .. } = execution;
    let told = Pair {
        keyId: 0,
        serviceId: B256::ZERO,
        registration: 0,
        kind: kind.number(),
        slot: case.slot,
        digestA: B256::ZERO,
        digestB: B256::ZERO,
        signatureSum: Bytes::new(),
    };
    let chain = genesis.origin(&case.domain).map_or_else(|| genesis.chain_id(), |(chain, _)| chain);
    match &case.evidence {
        _ if convicted => {
            let row = operator.keys.first().ok_or_else(|| refused("the convict has no key"))?;
            Ok(slashCall { pair: Pair { keyId: row.id, ..told } }.abi_encode())
        }
        Some(Evidence::Pair(pair)) => {
            let row = pair.signed_with(&chain, operator).map_err(unproven)?;
            let pair = Pair {
                keyId: row.id,
                slot: pair.slot,
                digestA: B256::from(*pair.first.0.as_bytes()),
                digestB: B256::from(*pair.second.0.as_bytes()),
                signatureSum: signature_sum(&pair.first.1, &pair.second.1)?,
                ..told
            };
            Ok(slashCall { pair }.abi_encode())
        }
        Some(Evidence::Ancestor(fault)) => {
            Ok(slashAncestorCall { fault: ancestor(&chain, fault, operator)? }.abi_encode())
        }
        Some(Evidence::Certificates(pair)) => {
            let company = company.as_ref().ok_or_else(|| refused("nobody knows who signed with the convict"))?;
            among(pair, company, told)
        }
        _ => Err(refused("Palisade.sol judges attestations only, and has not convicted yet")),
    }
}

/// Two certificates give no signature of the convict's alone away, so that the contract is told who signed with him.
fn among(pair: &CertificatePair, company: &Company, told: Pair) -> Result<Vec<u8>, ChainError> {
    let digest = |certificate: &QuorumCertificate| B256::from(*certificate.digest.as_bytes());
    let sum = signature_sum(&pair.first.signature, &pair.second.signature)?;
    let (with_first, with_second) = (company.first.clone(), company.second.clone());
    let Some(later) = &pair.later else {
        let (a, b) = (digest(&pair.first), digest(&pair.second));
        let pair =
            Pair { keyId: company.key, slot: pair.first.slot, digestA: a, digestB: b, signatureSum: sum, ..told };
        return Ok(slashAmongCall { pair, withFirst: with_first, withSecond: with_second }.abi_encode());
    };
    let fault = Ancestor {
        keyId: company.key,
        laterKeyId: company.key,
        slot: pair.first.slot,
        digest: digest(&pair.first),
        header: later.header.to_bytes().into(),
        named: B256::from(*later.named.as_bytes()),
        siblings: later.proof.siblings.iter().map(|hash| B256::from(*hash.as_bytes())).collect(),
        signatureSum: sum,
    };
    Ok(slashAncestorAmongCall { fault, withFirst: with_first, withSecond: with_second }.abi_encode())
}

fn ancestor(chain: &ChainId, fault: &AncestorFault, operator: &Operator) -> Result<Ancestor, ChainError> {
    let [earlier, later] = fault.signed_with(chain, operator).map_err(unproven)?;
    Ok(Ancestor {
        keyId: earlier.id,
        laterKeyId: later.id,
        slot: fault.slot,
        digest: B256::from(*fault.first.0.as_bytes()),
        header: fault.header.to_bytes().into(),
        named: B256::from(*fault.named.as_bytes()),
        siblings: fault.proof.siblings.iter().map(|hash| B256::from(*hash.as_bytes())).collect(),
        signatureSum: signature_sum(&fault.first.1, &fault.second)?,
    })
}

#[allow(clippy::needless_pass_by_value)] // an error mapper
fn unproven(error: Unproven) -> ChainError {
    ChainError::Refused(error.to_string())
}

fn signature_sum(first: &BlsSignature, second: &BlsSignature) -> Result<Bytes, ChainError> {
    let read = |signature: &BlsSignature| bls::Signature::from_bytes(signature.as_bytes());
    let sum = read(first).and_then(|first| bls::Signature::aggregate(&[first, read(second)?]));
    sum.map(|sum| sum.to_packed().to_vec().into()).map_err(|error| ChainError::Refused(error.to_string()))
}

/// What all adapters may need, one after the other, so that none of their calls can starve.
async fn gas_floors(endpoint: &Endpoint, operator: &OperatorId) -> Result<u64, ChainError> {
    let contracts = &endpoint.genesis().contracts;
    let symbiotic = contracts.symbiotic.map(|symbiotic| symbiotic.adapter);
    let mut floors: u64 = 0;
    let karak = contracts.karak.map(|karak| karak.adapter);
    for adapter in std::iter::once(contracts.eigenlayer_adapter).chain(symbiotic).chain(karak) {
        floors = floors.saturating_add(gas_floor(endpoint, &adapter, operator).await?);
    }
    Ok(floors)
}

async fn gas_floor(endpoint: &Endpoint, adapter: &Address, operator: &OperatorId) -> Result<u64, ChainError> {
    let provider = endpoint.provider().await?;
    let code = provider.get_code_at(alloy_address(adapter)).await;
    if code.map_err(|error| unavailable("asking for the adapter's code", error))?.is_empty() {
        return Ok(0); // the pair still convicts
    }
    let operator = alloy_address(&Address::from(*operator));
    let floor = EigenLayerAdapter::new(alloy_address(adapter), provider).gasFloor(operator).call().await;
    let floor = floor.map_err(|error| view_failed("asking the adapter for its gas", error))?;
    u64::try_from(floor).map_err(|_| refused("the adapter needs more gas than there is"))
}

/// Calls the adapter as the contract would, without sending anything: a target that fails once more is not worth a
/// transaction when the conviction stands already.
async fn rehearse(endpoint: &Endpoint, case: &Case, aim: &Aim) -> Result<(), ChainError> {
    if let Some(StakeSource::Symbiotic(vault)) = aim.source {
        return rehearse_at(endpoint, case, aim, alloy_address(&vault)).await;
    }
    let palisade = alloy_address(&endpoint.genesis().contracts.palisade);
    let adapter = EigenLayerAdapter::new(alloy_address(&aim.adapter), endpoint.provider().await?);
    let operator = alloy_address(&Address::from(case.operator));
    let call = adapter.slash(operator, B256::from(*case.id.as_bytes())).from(palisade);
    match call.call().await {
        Ok(_) => Ok(()),
        Err(contract::Error::TransportError(error)) => Err(refused_or("trying the adapter", error)),
        Err(error) => Err(ChainError::Refused(error.to_string())),
    }
}

/// The same for one vault on Symbiotic: each is tried on its own, and what one refuses the others do not show.
async fn rehearse_at(
    endpoint: &Endpoint,
    case: &Case,
    aim: &Aim,
    vault: primitives::Address,
) -> Result<(), ChainError> {
    let own = alloy_address(&aim.adapter);
    let adapter = SymbioticAdapter::new(own, endpoint.provider().await?);
    let (operator, id) = (alloy_address(&Address::from(case.operator)), B256::from(*case.id.as_bytes()));
    let place = U256::from(place_of(endpoint, aim, operator, vault).await?);
    let whole = U256::from(Wad::ONE.get()); // R26
    match adapter.take(place, operator, id, whole, false).from(own).call().await {
        // Nothing can be done, and so nothing would be taken.
        Ok(done) if done.standing == SYMBIOTIC_OPEN => Err(refused("nothing of it can be slashed there now")),
        Ok(_) => Ok(()),
        Err(contract::Error::TransportError(error)) => Err(refused_or("trying a Symbiotic vault", error)),
        Err(error) => Err(ChainError::Refused(error.to_string())),
    }
}

const SYMBIOTIC_OPEN: u8 = 0;

/// A revert's data in words, as far as the contracts are ours.
pub(crate) fn reason(data: &[u8]) -> String {
    if let Ok(error) = PalisadeErrors::abi_decode(data) {
        return format!("{error:?}");
    }
    if let Ok(error) = OrdersErrors::abi_decode(data) {
        return format!("{error:?}");
    }
    if let Ok(error) = CommitteeErrors::abi_decode(data) {
        return format!("{error:?}");
    }
    if let Ok(error) = EigenLayerAdapterErrors::abi_decode(data) {
        return format!("{error:?}");
    }
    if let Ok(error) = SymbioticAdapterErrors::abi_decode(data) {
        return format!("{error:?}");
    }
    if let Ok(error) = KarakAdapterErrors::abi_decode(data) {
        return format!("{error:?}");
    }
    let shown = data.get(..data.len().min(MAX_REASON_BYTES)).unwrap_or_default();
    format!("reverted with {}", hex::encode_prefixed(shown))
}

/// How much of a foreign revert is shown.
const MAX_REASON_BYTES: usize = 68;

pub(crate) fn refused(why: &str) -> ChainError {
    ChainError::Refused(why.to_owned())
}
