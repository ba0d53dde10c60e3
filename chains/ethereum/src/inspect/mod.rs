//! What one endpoint shows of an operator, a service or a token, at one final block: for a person with a question, not
//! for the ledger. Nothing is believed beyond that endpoint, and everything says for which block it is true.
//!
//! No genesis is needed: which EigenLayer stands there is probed, and one that is not known is refused by its name.

pub(crate) mod core;
mod failed;
mod karak;
mod operator;
mod report;
mod service;
mod symbiotic;

pub use failed::Failed;
pub use report::{
    AllocationSeen, AsOf, BackingSeen, Block, Bridged, CoreSeen, EscrowSeen, Exposure, Figure, KarakSeen, KarakSlash,
    KarakVault, MagnitudeSeen, MemberSeen, OperatorSeen, Origin, Remote, Report, RequestSeen, Row, ServiceSeen,
    ServiceSet, ServiceTotal, SetSeen, Standing, StrategySeen, SymbioticSeen, TokenName, TokenSeen, VaultSeen,
};

use self::core::Core;
use crate::addresses::{Known, Lrt};
use crate::bindings::core::{Allocations, Delegations};
use crate::endpoint::hash_of;
use crate::readers::lrt;
use crate::transport::Transport;
use crate::views::Views;
use alloy::eips::{BlockId, BlockNumberOrTag};
use alloy::primitives::Address;
use alloy::providers::{Provider, RootProvider};
use alloy::rpc::client::RpcClient;
use alloy::transports::http::reqwest::Url;
use std::time::Duration;

/// The most remote tokens that are asked for.
const MOST_REMOTES: usize = 32;
/// The most strategies that a person may name.
const MOST_STRATEGIES: usize = 64;

/// What is looked at, and how.
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// An address, or a token's name or symbol.
    pub what: String,
    /// The endpoint; it may hold a credential and is never printed.
    pub endpoint: String,
    /// How long one answer may take, in milliseconds.
    pub timeout_ms: u64,
    /// The block; the newest final one without it.
    pub block: Option<u64>,
    /// EigenLayer's DelegationManager, where the chain is not in our table; it wins over the table.
    pub delegation_manager: Option<palisade_types::Address>,
    /// Symbiotic's factory of vaults, where the chain is not in our table; it wins over the table.
    pub symbiotic_factory: Option<palisade_types::Address>,
    /// Karak's core; nothing of Karak's is looked at without it.
    pub karak_core: Option<palisade_types::Address>,
    /// Strategies to look at besides those that are allocated or known.
    pub strategies: Vec<palisade_types::Address>,
    /// Holds here what circulates on other chains; it wins over the table.
    pub lockbox: Option<palisade_types::Address>,
    /// Where a token circulates besides: an endpoint and the token there.
    pub remotes: Vec<(String, palisade_types::Address)>,
    /// The first block in which logs are looked for; as many as the endpoint's patience allows without it.
    pub from_block: Option<u64>,
}

/// Looks.
///
/// # Errors
///
/// [`Failed::Asked`] for a question that makes no sense, [`Failed::Unknown`] for an EigenLayer that is not there or not known,
/// [`Failed::Chain`] when the endpoint does not answer or the block is not final.
pub async fn inspect(question: &Question) -> Result<Report, Failed> {
    let look = Look::new(question).await?;
    look.report().await
}

/// One endpoint at one block, with the core that was found there.
pub(crate) struct Look<'a> {
    question: &'a Question,
    provider: RootProvider,
    known: Option<&'static Known>,
    chain_id: u64,
    block: Block,
}

/// Bytes of an address.
const ADDRESS_BYTES: usize = 20;

/// What a person named.
enum Named {
    Address(Address),
    Token(&'static Lrt),
}

impl<'a> Look<'a> {
    async fn new(question: &'a Question) -> Result<Self, Failed> {
        if question.strategies.len() > MOST_STRATEGIES {
            return Err(Failed::Asked(format!("more than {MOST_STRATEGIES} strategies")));
        }
        if question.remotes.len() > MOST_REMOTES {
            return Err(Failed::Asked(format!("more than {MOST_REMOTES} remote tokens")));
        }
        let provider = provider(&question.endpoint, question.timeout_ms)?;
        let chain_id =
            provider.get_chain_id().await.map_err(|error| Failed::unavailable("asking for the chain id", error))?;
        let block = final_block(&provider, question.block).await?;
        Ok(Self { question, provider, known: Known::of(chain_id), chain_id, block })
    }

    async fn report(&self) -> Result<Report, Failed> {
        let named = self.named()?;
        let state = BlockId::hash(self.block.hash());
        let views = Views::new(&self.provider, state);
        let core = match self.delegation_manager()? {
            Some(manager) => Some(Core::find(&views, manager).await?),
            None => None,
        };
        let mut report = Report {
            asked: self.question.what.clone(),
            chain_id: self.chain_id,
            chain: self.known.map(|known| known.name.to_owned()),
            block: self.block.clone(),
            eigenlayer: core.as_ref().map(Core::seen),
            operator: None,
            service: None,
            token: None,
            symbiotic: Vec::new(),
            karak: None,
            gaps: Vec::new(),
        };
        let token = match &named {
            Named::Token(lrt) => Some(*lrt),
            Named::Address(address) => self.tokens().iter().find(|lrt| lrt.is_at(*address)),
        };
        if let (Some(lrt), Some(core)) = (token, &core) {
            report.token = Some(lrt::look(&views, core, lrt, self).await?);
        }
        let address = match named {
            Named::Address(address) => address,
            Named::Token(lrt) => lrt.token,
        };
        if let Some(core) = &core {
            self.on_eigenlayer(&views, core, address, &mut report).await?;
        }
        if let Some(factory) = self.symbiotic_factory() {
            match symbiotic::look(&views, factory, address, &self.block).await {
                Ok(seen) => report.symbiotic = seen,
                // Our table may be wrong; what a person named must be there.
                Err(why @ Failed::Unknown { .. }) if self.question.symbiotic_factory.is_none() => {
                    report.gaps.push(why.to_string());
                }
                Err(error) => return Err(error),
            }
        }
        if let Some(karak) = self.question.karak_core {
            report.karak = karak::look(&views, crate::endpoint::alloy_address(&karak), address, self).await?;
        }
        if report.is_empty() {
            return Err(self.nothing(&views, address).await?);
        }
        Ok(report)
    }

    async fn on_eigenlayer(
        &self,
        views: &Views<'_>,
        core: &Core,
        address: Address,
        report: &mut Report,
    ) -> Result<(), Failed> {
        if views.require(core.delegations, Delegations::isOperatorCall { operator: address }, CORE).await? {
            report.operator = Some(operator::look(views, core, address, self).await?);
        }
        let count = Allocations::getOperatorSetCountCall { avs: address };
        let sets = views.require(core.allocations, count, CORE).await?;
        if !sets.is_zero() {
            report.service = Some(service::look(views, core, address, sets, self).await?);
        }
        Ok(())
    }

    /// Says what the address is not, and what it may be that somebody mistook it for.
    async fn nothing(&self, views: &Views<'_>, address: Address) -> Result<Failed, Failed> {
        let what = if views.has_code(address).await? { "a contract" } else { "an account without code" };
        Ok(Failed::Asked(format!(
            "{address} is {what} and, at block {}, neither operator nor service of what was looked at, nor a vault of Symbiotic's, nor a token of our table",
            self.block.number
        )))
    }

    fn named(&self) -> Result<Named, Failed> {
        let what = self.question.what.trim();
        if let Some(lrt) = self.tokens().iter().find(|lrt| lrt.is_called(what)) {
            return Ok(Named::Token(lrt));
        }
        let looks_like_an_address = what.starts_with("0x") || what.len() == 2 * ADDRESS_BYTES;
        match what.parse::<Address>() {
            Ok(address) if checksum_holds(what, address) => Ok(Named::Address(address)),
            Ok(address) => Err(Failed::Asked(format!("{what}: the checksum does not hold; was {address} meant?"))),
            Err(_) if looks_like_an_address => {
                Err(Failed::Asked(format!("{what:.80} is no address of 20 bytes in hex")))
            }
            Err(_) => {
                let names = self.tokens().iter().map(|lrt| lrt.symbol).collect::<Vec<_>>().join(", ");
                let known = match names.is_empty() {
                    true => format!("no token is known on chain id {}", self.chain_id),
                    false => format!("known are {names}"),
                };
                Err(Failed::Asked(format!("{what:.80} is neither an address nor a token that is known ({known})")))
            }
        }
    }

    fn tokens(&self) -> &'static [Lrt] {
        self.known.map_or(&[], |known| known.tokens)
    }

    /// Nothing where the chain is not known and another protocol is named.
    fn delegation_manager(&self) -> Result<Option<Address>, Failed> {
        let named = self.question.delegation_manager.map(|address| crate::endpoint::alloy_address(&address));
        let manager = named.or(self.known.map(|known| known.delegation_manager));
        if manager.is_none() && self.symbiotic_factory().is_none() && self.question.karak_core.is_none() {
            return Err(Failed::Asked(format!(
                "chain id {} is not in our table: name EigenLayer's DelegationManager there, Symbiotic's factory of vaults or Karak's core",
                self.chain_id
            )));
        }
        Ok(manager)
    }

    fn symbiotic_factory(&self) -> Option<Address> {
        let named = self.question.symbiotic_factory.map(|address| crate::endpoint::alloy_address(&address));
        named.or(self.known.and_then(|known| known.symbiotic_factory))
    }

    /// Strategies to look at although nobody allocates them.
    pub(crate) fn strategies(&self) -> Vec<Address> {
        let known = self.known.map_or(&[][..], |known| known.strategies);
        let named = self.question.strategies.iter().map(crate::endpoint::alloy_address);
        known.iter().copied().chain(named).collect()
    }

    pub(crate) const fn block(&self) -> &Block {
        &self.block
    }

    pub(crate) const fn question(&self) -> &Question {
        self.question
    }

    /// When a block of the past was, seconds since 1970; nothing when the endpoint no longer knows it.
    pub(crate) async fn time_of(&self, number: u64) -> Result<Option<u64>, Failed> {
        let block = self.provider.get_block_by_number(BlockNumberOrTag::Number(number)).await;
        let block = block.map_err(|error| Failed::unavailable(&format!("asking for block {number}"), error))?;
        Ok(block.map(|block| block.header.timestamp))
    }
}

/// An endpoint of whatever chain, with our bounds on its answers.
pub(crate) fn provider(url: &str, timeout_ms: u64) -> Result<RootProvider, Failed> {
    let bad = |what: &str| Failed::Asked(format!("the endpoint {what}"));
    let url: Url = url.trim().parse().map_err(|_| bad("is no URL"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad("is neither http nor https"));
    }
    let transport = Transport::new(url, Duration::from_millis(timeout_ms.max(1)));
    Ok(RootProvider::new(RpcClient::new(transport.map_err(|_| bad("cannot be spoken to"))?, false)))
}

/// The newest final block, or the one that was asked for if it is final.
pub(crate) async fn final_block(provider: &RootProvider, number: Option<u64>) -> Result<Block, Failed> {
    let ask = async |which: BlockNumberOrTag| {
        let block = provider.get_block_by_number(which).await;
        block.map_err(|error| Failed::unavailable(&format!("asking for block {which}"), error))
    };
    let newest = ask(BlockNumberOrTag::Finalized).await?.ok_or(Failed::not_there(number.unwrap_or(0)))?;
    let block = match number {
        Some(number) if number > newest.header.number => return Err(Failed::not_there(number)),
        Some(number) => {
            let block = ask(BlockNumberOrTag::Number(number)).await?.ok_or(Failed::not_there(number))?;
            if block.header.number != number {
                return Err(Failed::lied("another block than the one asked for"));
            }
            block
        }
        None => newest,
    };
    let (number, time) = (block.header.number, block.header.timestamp);
    Ok(Block { number, hash: hash_of(block.header.hash).to_string(), time })
}

/// Mixed case is a checksum (EIP-55), and one that does not hold is a mistyped address.
fn checksum_holds(typed: &str, address: Address) -> bool {
    let digits = typed.strip_prefix("0x").unwrap_or(typed);
    let is_mixed = digits.bytes().any(|c| c.is_ascii_lowercase()) && digits.bytes().any(|c| c.is_ascii_uppercase());
    !is_mixed || address.to_checksum(None).strip_prefix("0x") == Some(digits)
}

/// What every answer of the core is expected of.
pub(crate) const CORE: &str = "EigenLayer's core, 1.3 to 1.13";

/// A core of which nothing is known: named, and not used.
pub(crate) fn unknown(found: &str) -> Failed {
    Failed::unknown(CORE, found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_address_is_noticed_where_it_has_a_checksum() {
        let address: Address = "0x39053D51B77DC0d36036Fc1fCc8Cb819df8Ef37A".parse().unwrap();
        assert!(checksum_holds("0x39053D51B77DC0d36036Fc1fCc8Cb819df8Ef37A", address));
        assert!(checksum_holds("39053d51b77dc0d36036fc1fcc8cb819df8ef37a", address));
        assert!(!checksum_holds("0x39053D51B77DC0d36036Fc1fCc8Cb819df8Ef37a", address));
    }

    #[test]
    fn an_endpoint_speaks_http() {
        for url in ["", "nowhere", "ftp://x", "ws://127.0.0.1:1"] {
            assert!(matches!(provider(url, 1), Err(Failed::Asked(_))), "{url}");
        }
        assert!(provider("http://127.0.0.1:1", 0).is_ok());
    }
}
