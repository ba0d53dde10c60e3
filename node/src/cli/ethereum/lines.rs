//! A report as people read it.

use palisade_ethereum::inspect::{
    AllocationSeen, BackingSeen, Bridged, CoreSeen, Figure, KarakSeen, OperatorSeen, Origin, Report, Row, ServiceSeen,
    ServiceSet, SetSeen, Standing, StrategySeen, SymbioticSeen, TokenName, TokenSeen, VaultSeen,
};

/// The most members of a set that are printed; JSON has all of them.
const MOST_MEMBERS: usize = 50;

pub fn lines(report: &Report) -> Vec<String> {
    let chain = report.chain.clone().unwrap_or_else(|| format!("chain id {}", report.chain_id));
    let block = &report.block;
    let mut lines =
        vec![line("true for", &format!("block {} {} of {chain}, time {}", block.number, block.hash, block.time))];
    report.eigenlayer.iter().for_each(|core| lines.extend(of_core(core)));
    if let Some(token) = &report.token {
        lines.push(String::new());
        lines.extend(of_token(token));
    }
    if let Some(operator) = &report.operator {
        lines.push(String::new());
        lines.extend(of_operator(operator));
    }
    if let Some(service) = &report.service {
        lines.push(String::new());
        lines.extend(of_service(service));
    }
    for seen in &report.symbiotic {
        lines.push(String::new());
        lines.extend(of_symbiotic(seen));
    }
    if let Some(karak) = &report.karak {
        lines.push(String::new());
        lines.extend(of_karak(karak));
    }
    report.gaps.iter().for_each(|gap| lines.push(line("not seen", gap)));
    lines
}

fn of_core(core: &CoreSeen) -> [String; 2] {
    let version = core.version.as_ref().map(|version| format!(", calls itself {version}")).unwrap_or_default();
    [
        line("EigenLayer", &format!("{}{version}, DelegationManager {}", core.generation, core.delegation_manager)),
        line(
            "delays",
            &format!("deallocation {} blocks, withdrawal {} blocks", core.deallocation_delay, core.withdrawal_delay),
        ),
    ]
}

fn of_symbiotic(seen: &SymbioticSeen) -> Vec<String> {
    let mut lines = vec![line("Symbiotic", &format!("factory of vaults {}", seen.vault_factory))];
    match &seen.standing {
        Standing::Operator { networks } if networks.is_empty() => lines.push(line("operator", "of no network")),
        Standing::Operator { networks } => {
            networks.iter().for_each(|network| lines.push(line("operator", &format!("opted in to {network}"))));
        }
        Standing::Network { middleware } => {
            lines.push(line("network", &format!("slashed for by {}", middleware.as_deref().unwrap_or("nobody seen"))));
        }
        Standing::Vault => lines.push(line("vault", "itself")),
        Standing::Collateral => lines.push(line("collateral", "of these vaults")),
    }
    if seen.vaults.is_empty() {
        lines.push(line("vaults", "none"));
    }
    seen.vaults.iter().for_each(|vault| lines.extend(of_vault(vault)));
    seen.gaps.iter().for_each(|gap| lines.push(line("not seen", gap)));
    lines
}

fn of_vault(seen: &VaultSeen) -> Vec<String> {
    let not_seen = || "not seen".to_owned();
    let worth = |amount: &Option<String>| {
        amount
            .as_ref()
            .map_or_else(not_seen, |amount| format!("{amount} units{}", value(Some(amount), seen.collateral.as_ref())))
    };
    let veto = seen.veto_duration.map(|seconds| format!(" for {seconds} s")).unwrap_or_default();
    let mut lines = vec![
        line("vault", &format!("{}, version {}", seen.vault, seen.version)),
        line("  divided by", seen.delegator.as_deref().unwrap_or("not seen")),
        line("  slashed by", &format!("{}{veto}", seen.slasher.as_deref().unwrap_or("nobody"))),
        line("  slashed goes to", seen.burner.as_deref().unwrap_or("not seen")),
        line(
            "  epoch",
            &format!(
                "{} of {} s, the next at time {}",
                seen.epoch.as_deref().unwrap_or("?"),
                seen.epoch_duration,
                seen.next_epoch.map_or_else(not_seen, |time| time.to_string())
            ),
        ),
        line("  active", &worth(&seen.active_stake)),
        line("  leaves", &format!("{} with this epoch, still slashable", worth(&seen.withdrawals[0]))),
        line("  leaves", &format!("{} with the next, still slashable", worth(&seen.withdrawals[1]))),
    ];
    seen.hook.iter().for_each(|hook| lines.push(line("  hook", hook)));
    for backing in seen.backings.iter().take(MOST_MEMBERS) {
        lines.extend(of_backing(backing, seen));
    }
    if seen.backings.len() > MOST_MEMBERS {
        lines.push(line("  backs", &format!("and {} more (--json)", seen.backings.len() - MOST_MEMBERS)));
    }
    lines
}

fn of_backing(seen: &BackingSeen, vault: &VaultSeen) -> Vec<String> {
    let worth = |amount: &Option<String>| {
        let amount = amount.as_deref();
        format!("{}{}", amount.unwrap_or("not seen"), value(amount, vault.collateral.as_ref()))
    };
    let place = format!("{} in subnetwork {} of {}", seen.operator, seen.subnetwork, seen.network);
    let mut lines = vec![
        line("  backs", &place),
        line("    stake", &worth(&seen.stake)),
        line(
            "    slashable",
            &format!("{} now, {} by the oldest capture", worth(&seen.slashable), worth(&seen.slashable_by_oldest)),
        ),
    ];
    if seen.slashed.as_deref().is_some_and(|amount| amount != "0") {
        lines.push(line("    slashed", &format!("{} so far", worth(&seen.slashed))));
    }
    seen.resolver.iter().for_each(|resolver| lines.push(line("    may veto", resolver)));
    for request in &seen.requests {
        let asked = worth(&Some(request.amount.clone()));
        let (veto, end) = (request.veto_deadline, request.executable_until);
        lines.push(line(
            "    request",
            &format!("{}: {asked}, to be vetoed until time {veto}, carried out until {end}", request.index),
        ));
    }
    lines
}

fn of_karak(seen: &KarakSeen) -> Vec<String> {
    let standing = if seen.is_service { "a service" } else { "an operator" };
    let mut lines = vec![line("Karak", &format!("{standing}; core {}", seen.core))];
    for vault in &seen.vaults {
        let amount = vault.assets.as_deref();
        let asked = vault.shares_asked_back.as_deref().unwrap_or("not seen");
        let of = vault.shares.as_deref().unwrap_or("not seen");
        lines.push(line("vault", &format!("{} of {}", vault.vault, vault.operator)));
        let held = format!("{}{}", amount.unwrap_or("not seen"), value(amount, vault.asset.as_ref()));
        lines.push(line("  holds", &format!("{held}; {asked} of {of} shares are asked back and still slashable")));
        vault.staked_to.iter().for_each(|service| lines.push(line("  staked to", service)));
        if vault.queued_for_slashing == Some(true) {
            lines.push(line("  warning", "a request to slash it waits"));
        }
    }
    for slash in &seen.slashes {
        let parts = slash.vaults.iter().map(|(vault, part)| format!("{part} of 100e18 of {vault}"));
        let parts = parts.collect::<Vec<_>>().join(", ");
        let said = format!("at block {} by {} of {}: {parts}", slash.block, slash.service, slash.operator);
        lines.push(line("asked to slash", &said));
    }
    seen.gaps.iter().for_each(|gap| lines.push(line("not seen", gap)));
    lines
}

fn of_operator(seen: &OperatorSeen) -> Vec<String> {
    let delay = seen.allocation_delay.map_or("none in force".to_owned(), |delay| format!("{delay} blocks"));
    let mut lines = vec![line("operator", &seen.operator), line("allocation delay", &delay)];
    if seen.strategies.is_empty() {
        lines.push(line("delegated", "nothing"));
    }
    for strategy in &seen.strategies {
        lines.extend(of_strategy(strategy));
    }
    if seen.sets.is_empty() {
        lines.push(line("sets", "none: nobody can slash him"));
    }
    for set in &seen.sets {
        lines.extend(of_set(set, &seen.strategies));
    }
    seen.warnings.iter().for_each(|warning| lines.push(line("warning", warning)));
    seen.gaps.iter().for_each(|gap| lines.push(line("not seen", gap)));
    lines
}

fn of_strategy(seen: &StrategySeen) -> Vec<String> {
    let worth = value(seen.underlying.as_deref(), seen.token.as_ref());
    vec![
        line("strategy", &seen.strategy),
        line("  delegated", &format!("{} shares{worth}: his whole stake, not what a set can take", seen.delegated)),
        line("  queued", &format!("{} shares that are leaving and still slashable", seen.queued)),
        line(
            "  magnitude",
            &format!("{} at most, {} held by sets, {} free", seen.max_magnitude, seen.encumbered, seen.allocatable),
        ),
    ]
}

fn of_set(seen: &SetSeen, strategies: &[StrategySeen]) -> Vec<String> {
    let member = match (seen.member, seen.slashable) {
        (true, true) => "member",
        (true, false) => "member, not slashable",
        (false, true) => "left, still slashable",
        (false, false) => "no member, not slashable",
    };
    let mut lines = vec![line("set", &format!("{} of {}: {member}", seen.id, seen.service))];
    lines.push(line("  slasher", seen.slasher.as_deref().unwrap_or("the service, or whom it appoints")));
    lines.push(line("  slashed goes to", seen.redistribution.as_deref().unwrap_or("nobody: burnt")));
    for allocation in &seen.allocations {
        lines.extend(of_allocation(allocation, strategies));
    }
    lines
}

fn of_allocation(seen: &AllocationSeen, strategies: &[StrategySeen]) -> Vec<String> {
    let name = strategies.iter().find(|strategy| strategy.strategy == seen.strategy);
    let symbol = name.and_then(|strategy| strategy.token.as_ref()?.symbol.clone());
    let symbol = symbol.map(|symbol| format!(" ({symbol})")).unwrap_or_default();
    let outside = if seen.in_set { "" } else { ", no longer in the set" };
    let mut lines = vec![
        line("  allocated", &format!("{} of magnitude in {}{symbol}{outside}", seen.magnitude, seen.strategy)),
        line(
            "    slashable",
            &format!("{} shares now; {} for one deallocation delay whatever he does", seen.slashable, seen.lasting),
        ),
    ];
    if let (Some(pending), Some(block)) = (&seen.pending, seen.effect_block) {
        lines.push(line("    pending", &format!("{pending} of magnitude at block {block}")));
    }
    lines
}

fn of_service(seen: &ServiceSeen) -> Vec<String> {
    let registrar = seen.registrar.as_deref().unwrap_or("not seen");
    let mut lines = vec![line("service", &seen.service), line("registrar", registrar)];
    seen.sets.iter().for_each(|set| lines.extend(of_service_set(set)));
    seen.gaps.iter().for_each(|gap| lines.push(line("not seen", gap)));
    lines
}

fn of_service_set(seen: &ServiceSet) -> Vec<String> {
    let mut lines = vec![line("set", &format!("{}: {} members", seen.id, seen.member_count))];
    lines.push(line("  slasher", seen.slasher.as_deref().unwrap_or("the service, or whom it appoints")));
    if let Some((slasher, block)) = &seen.pending_slasher {
        lines.push(line("  slasher then", &format!("{slasher} from block {block}")));
    }
    lines.push(line("  slashed goes to", seen.redistribution.as_deref().unwrap_or("nobody: burnt")));
    seen.slashes.iter().for_each(|slashes| lines.push(line("  slashes", slashes)));
    for escrow in &seen.escrow {
        let held = escrow.held.iter().map(|(strategy, shares)| format!("{shares} shares of {strategy}"));
        let until = escrow.resolution_block.map(|block| format!(", not before block {block} has passed"));
        let held = held.collect::<Vec<_>>().join(", ");
        lines.push(line("  waits", &format!("slash {}: {held}{}", escrow.slash, until.unwrap_or_default())));
    }
    for ((strategy, token), slashable) in seen.strategies.iter().zip(&seen.slashable) {
        let symbol = symbol(token.as_ref()).map(|symbol| format!(" ({symbol})")).unwrap_or_default();
        lines.push(line("  strategy", &format!("{strategy}{symbol}: {slashable} shares slashable of all members")));
    }
    for member in seen.members.iter().take(MOST_MEMBERS) {
        lines.push(line("  member", &format!("{}: {}", member.operator, member.slashable.join(", "))));
        for (seen, (strategy, _)) in member.allocated.iter().zip(&seen.strategies) {
            if let (Some(pending), Some(block)) = (&seen.pending, seen.effect_block) {
                lines.push(line("    pending", &format!("{pending} of magnitude at block {block} in {strategy}")));
            }
        }
    }
    if seen.members.len() > MOST_MEMBERS {
        lines.push(line("  member", &format!("and {} more (--json)", seen.members.len() - MOST_MEMBERS)));
    }
    lines
}

fn of_token(seen: &TokenSeen) -> Vec<String> {
    let mut lines = vec![
        line("token", &format!("{} of {}, {}", seen.symbol, seen.issuer, seen.token)),
        line("rate", &figure(&seen.rate, "ether for one")),
        line("supply", &figure(&seen.supply, "on this chain")),
        line("backing", &figure(&seen.backing, "ether by its issuer's word")),
    ];
    seen.parts
        .iter()
        .for_each(|(name, part)| lines.push(line("  of it", &format!("{name}: {}", figure(part, "ether")))));
    lines.push(line("accounts", &format!("{} restaking accounts", seen.accounts)));
    seen.rows.iter().for_each(|row| lines.extend(of_row(row)));
    for total in &seen.services {
        let exposed = total.exposed.iter().map(|(name, amount)| format!("{} {name}", decimal(amount, 18)));
        let exposed = exposed.collect::<Vec<_>>().join(", ");
        lines.push(line("exposed to", &format!("set {} of {}: {exposed}", total.id, total.service)));
    }
    lines.extend(of_bridge(&seen.bridged));
    seen.gaps.iter().for_each(|gap| lines.push(line("not seen", gap)));
    lines
}

fn of_row(row: &Row) -> Vec<String> {
    let operator = row.operator.as_deref().unwrap_or("nobody");
    let worth = value(row.underlying.as_deref(), row.token.as_ref());
    let mut lines = vec![
        line("with", &format!("{operator}, {} accounts in {}", row.accounts, row.strategy)),
        line("  at stake", &format!("{} shares{worth}, {} shares in the queue", row.shares, row.queued)),
    ];
    if let Some(time) = row.oldest_checkpoint {
        lines.push(line("  checkpoint", &format!("the stalest pod's was at time {time}")));
    }
    if row.pods_without_checkpoint > 0 {
        lines.push(line(
            "  checkpoint",
            &format!("{} pods have none, or one that is not finished", row.pods_without_checkpoint),
        ));
    }
    for exposure in &row.exposures {
        let worth = value(exposure.underlying.as_deref(), row.token.as_ref());
        let what = match exposure.slashable {
            true => format!("{} shares{worth}", exposure.shares),
            false => "nothing now: not slashable there".to_owned(),
        };
        let part = format!("{} of {}", exposure.magnitude, exposure.max_magnitude);
        lines.push(line("  set", &format!("{} of {}: {what} ({part})", exposure.id, exposure.service)));
    }
    lines
}

fn of_bridge(seen: &Bridged) -> Vec<String> {
    let mut lines = Vec::new();
    if let (Some(lockbox), Some(locked)) = (&seen.lockbox, &seen.locked) {
        lines.push(line("locked here", &format!("{} in {lockbox}", decimal(locked, 18))));
    }
    for remote in &seen.remotes {
        let place = format!("{} on chain id {}, its block {}", remote.token, remote.chain_id, remote.block);
        lines.push(line("there", &format!("{} as {place}", decimal(&remote.supply, 18))));
    }
    match seen.missing.as_deref() {
        Some("0") => lines.push(line("bridge", "at least as much is locked here as circulates there")),
        Some(missing) => {
            lines.push(line("warning", &format!("{} circulate there that are not locked here", decimal(missing, 18))))
        }
        None => {}
    }
    lines
}

/// A number of an issuer: whether it was reported, and how long ago.
fn figure(figure: &Figure, unit: &str) -> String {
    let Some(amount) = &figure.value else { return "not seen".to_owned() };
    let amount = format!("{} {unit}", decimal(amount, 18));
    match (figure.origin, figure.as_of.block, figure.as_of.age_seconds) {
        (Origin::Chain, ..) => amount,
        (Origin::Reported, Some(block), Some(age)) => format!("{amount}, reported for block {block}, {age} s ago"),
        (Origin::Reported, Some(block), None) => format!("{amount}, reported for block {block}"),
        (Origin::Reported, None, _) => format!("{amount}, reported; nobody says when"),
    }
}

/// An amount in a token's own unit, as far as it says what it is.
fn value(amount: Option<&str>, token: Option<&TokenName>) -> String {
    match (amount, token) {
        (Some(amount), Some(token)) => {
            let amount = token.decimals.map_or(amount.to_owned(), |decimals| decimal(amount, decimals));
            let symbol = symbol(Some(token)).unwrap_or_else(|| "units".to_owned());
            format!(" = {amount} {symbol}")
        }
        _ => String::new(),
    }
}

fn symbol(token: Option<&TokenName>) -> Option<String> {
    let token = token?;
    token.symbol.clone().or_else(|| token.address.clone())
}

/// Decimal text with the point moved; no digit is lost, and no number leaves text.
fn decimal(amount: &str, decimals: u8) -> String {
    let decimals = usize::from(decimals);
    if decimals == 0 || !amount.bytes().all(|digit| digit.is_ascii_digit()) {
        return amount.to_owned();
    }
    let padded = format!("{amount:0>width$}", width = decimals + 1);
    let (whole, part) = padded.split_at(padded.len() - decimals);
    match part.trim_end_matches('0') {
        "" => whole.to_owned(),
        part => format!("{whole}.{part}"),
    }
}

fn line(name: &str, value: &str) -> String {
    format!("{name:<18}{value}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_moved_and_no_digit_lost() {
        for (amount, decimals, shown) in [
            ("0", 18, "0"),
            ("1", 18, "0.000000000000000001"),
            ("1500000000000000000", 18, "1.5"),
            ("1000000000000000000000", 18, "1000"),
            ("1234", 2, "12.34"),
            ("1234", 0, "1234"),
            ("-5", 2, "-5"),
            ("7", 255, &format!("0.{}7", "0".repeat(254))),
        ] {
            assert_eq!(decimal(amount, decimals), shown);
        }
    }

    #[test]
    fn a_report_without_an_age_says_so() {
        let as_of = palisade_ethereum::inspect::AsOf::default();
        let told = figure(&Figure { value: Some("1".to_owned()), origin: Origin::Reported, as_of }, "ether");
        assert!(told.ends_with("reported; nobody says when"), "{told}");
        assert_eq!(figure(&Figure { value: None, origin: Origin::Reported, as_of }, "ether"), "not seen");
    }
}
