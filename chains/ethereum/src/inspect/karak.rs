//! Karak: vaults that operators stake whole to services, to several at once. No view lists services or their operators; the core's
//! logs do, as far back as the endpoint gives them.

use super::core::plain;
use super::report::{KarakSeen, KarakSlash, KarakVault, TokenName};
use super::{Failed, Look};
use crate::bindings::core::Token;
use crate::bindings::karak_core::{Core, Vault};
use crate::views::{Gaps, Views, each};
use alloy::primitives::{Address, B256, U256};
use alloy::rpc::types::Log;
use alloy::sol_types::SolEvent;
use std::collections::BTreeSet;

/// The most services, operators and requests that are found by logs.
const MOST_LOGS: usize = 5_000;
/// The most vaults of one operator: Karak's own bound.
const MOST_VAULTS: usize = 32;
const CORE: &str = "Karak's Core";

/// What Karak has of an address, nothing where it is neither operator nor service.
///
/// # Errors
///
/// [`Failed::Unknown`] when there is no such core.
pub(super) async fn look(
    views: &Views<'_>,
    core: Address,
    who: Address,
    look: &Look<'_>,
) -> Result<Option<KarakSeen>, Failed> {
    if !views.has_code(core).await? {
        return Err(Failed::unknown(CORE, &format!("no code at {core}")));
    }
    let teller = Teller { views, core, look };
    let mut gaps = Gaps::default();
    if views.require(core, Core::isDSSRegisteredCall { dss: who }, CORE).await? {
        return teller.service(who, gaps).await.map(Some);
    }
    let vaults = views.require(core, Core::getOperatorVaultsCall { operator: who }, CORE).await?;
    if vaults.is_empty() {
        return Ok(None);
    }
    let services: BTreeSet<Address> = teller
        .logs(Core::DSSRegistered::SIGNATURE_HASH, "services", &mut gaps)
        .await?
        .iter()
        .filter_map(|log| Core::DSSRegistered::decode_log_data_validate(log.data()).ok())
        .map(|event| event.dss)
        .collect();
    let services: Vec<Address> = services.into_iter().collect();
    let staked = each(&services, async |dss| Ok((*dss, teller.staked(who, *dss).await?))).await?;
    let vaults = gaps.first("vaults", vaults, MOST_VAULTS);
    let mut told = Vec::new();
    for vault in vaults {
        let to = staked.iter().filter(|(_, vaults)| vaults.contains(&vault)).map(|(dss, _)| *dss);
        told.push(teller.vault(who, vault, to.collect(), &mut gaps).await?);
    }
    let slashes = teller.slashes(|_, operator| operator == who, &mut gaps).await?;
    Ok(Some(KarakSeen { core: core.to_string(), is_service: false, vaults: told, slashes, gaps: gaps.told() }))
}

struct Teller<'a> {
    views: &'a Views<'a>,
    core: Address,
    look: &'a Look<'a>,
}

impl Teller<'_> {
    async fn service(&self, dss: Address, mut gaps: Gaps) -> Result<KarakSeen, Failed> {
        let operators: BTreeSet<Address> = self
            .logs(Core::RegisteredOperatorToDSS::SIGNATURE_HASH, "operators", &mut gaps)
            .await?
            .iter()
            .filter_map(|log| Core::RegisteredOperatorToDSS::decode_log_data_validate(log.data()).ok())
            .filter(|event| event.dss == dss)
            .map(|event| event.operator)
            .collect();
        let mut vaults = Vec::new();
        for operator in operators {
            for vault in gaps.first("vaults", self.staked(operator, dss).await?, MOST_VAULTS) {
                vaults.push(self.vault(operator, vault, vec![dss], &mut gaps).await?);
            }
        }
        let slashes = self.slashes(|of, _| of == dss, &mut gaps).await?;
        gaps.say("a vault is staked whole, to other services too: what it holds can be lost there".to_owned());
        Ok(KarakSeen { core: self.core.to_string(), is_service: true, vaults, slashes, gaps: gaps.told() })
    }

    async fn staked(&self, operator: Address, dss: Address) -> Result<Vec<Address>, Failed> {
        self.views.require(self.core, Core::fetchVaultsStakedInDSSCall { operator, dss }, CORE).await
    }

    async fn vault(
        &self,
        operator: Address,
        vault: Address,
        staked: Vec<Address>,
        gaps: &mut Gaps,
    ) -> Result<KarakVault, Failed> {
        let views = self.views;
        let name = |view: &str| format!("{view} of vault {vault}");
        let asset = gaps.note(&name("asset"), views.ask(vault, Vault::assetCall {}).await?);
        let asset = match asset {
            Some(token) => {
                let symbol = views.ask(token, Token::symbolCall {}).await?.ok().map(|symbol| plain(&symbol));
                let decimals = views.ask(token, Token::decimalsCall {}).await?.ok();
                Some(TokenName { address: Some(token.to_string()), symbol, decimals })
            }
            None => None,
        };
        let assets = gaps.note(&name("totalAssets"), views.ask(vault, Vault::totalAssetsCall {}).await?);
        let shares = gaps.note(&name("totalSupply"), views.ask(vault, Vault::totalSupplyCall {}).await?);
        // Shares asked back lie with the vault itself.
        let queued = views.ask(vault, Vault::balanceOfCall { account: vault }).await?;
        let queued = gaps.note(&name("balanceOf"), queued);
        let asked = Core::isVaultQueuedForSlashingCall { vault };
        let queued_for_slashing = gaps.note("isVaultQueuedForSlashing", views.ask(self.core, asked).await?);
        let text = |amount: Option<U256>| amount.map(|amount| amount.to_string());
        Ok(KarakVault {
            operator: operator.to_string(),
            vault: vault.to_string(),
            asset,
            assets: text(assets),
            shares: text(shares),
            shares_asked_back: text(queued),
            staked_to: staked.iter().map(Address::to_string).collect(),
            queued_for_slashing,
        })
    }

    /// Requests to slash, newest first. What became of one no view says.
    async fn slashes(
        &self,
        wanted: impl Fn(Address, Address) -> bool,
        gaps: &mut Gaps,
    ) -> Result<Vec<KarakSlash>, Failed> {
        let logs = self.logs(Core::RequestedSlashing::SIGNATURE_HASH, "requests to slash", gaps).await?;
        let mut slashes = Vec::new();
        for log in &logs {
            let Ok(event) = Core::RequestedSlashing::decode_log_data_validate(log.data()) else {
                gaps.say("a request to slash that does not decode".to_owned());
                continue;
            };
            if wanted(event.dss, event.request.operator) {
                let parts = event.request.vaults.iter().zip(&event.request.slashPercentagesWad);
                slashes.push(KarakSlash {
                    block: Views::block_of(log)?,
                    service: event.dss.to_string(),
                    operator: event.request.operator.to_string(),
                    vaults: parts.map(|(vault, part)| (vault.to_string(), part.to_string())).collect(),
                });
            }
        }
        Ok(slashes)
    }

    async fn logs(&self, event: B256, what: &str, gaps: &mut Gaps) -> Result<Vec<Log>, Failed> {
        let first = self.look.question().from_block.unwrap_or(0);
        let blocks = first..=self.look.block().number;
        let (logs, since) = self.views.logs_back(self.core, event, blocks, MOST_LOGS).await?;
        if since > first {
            gaps.say(format!("Karak's {what} before block {since} were not looked for (--from-block)"));
        }
        Ok(logs)
    }
}
