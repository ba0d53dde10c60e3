//! What the scenarios of services share: operators whose modules fail, cases that a quorum's verdicts open, and what the law and
//! EigenLayer's own arithmetic say that each must lose, to the unit.
//!
//! Two of the operators fail. The others weigh more than two thirds alone, so that nobody needs the guilty to judge themselves; they stake
//! more before it happens.

use super::report::{Gas, Holding, Report, Step};
use super::scene::Scene;
use crate::constants::{
    OPERATORS, READY_DEADLINE, SERVICE_FAULT_WAD, SERVICE_LAW_HUNDREDTHS, SLASH_DEADLINE, STAKE_TOKENS,
};
use crate::contracts::Orders;
use crate::devnet::Devnet;
use crate::eigenlayer::{self, Allocated, EigenLayer};
use crate::operator::Operator;
use crate::progress::{Seen, say, until};
use crate::service::{self, Service, VERDICTS, notary};
use alloy::primitives::{Address, B256, U256};
use alloy::providers::{DynProvider, Provider};
use anyhow::{Context, ensure};
use palisade_node::rpc::PalisadeClient;
use palisade_node::rpc::views::{CaseView, CommitteeView, OrderView};
use palisade_node::text::{hex_bytes, parse_hex_bytes};
use palisade_types::canonical::Canonical;
use palisade_types::proof::LightProof;
use palisade_types::verdict::Docket;
use palisade_types::{CaseId, OperatorId, Row, RowKey};
use std::collections::BTreeMap;
use std::time::Instant;

/// What the honest add to their stake, in the devnet's usual stakes: each of the guilty then weighs about a tenth.
const MORE: u64 = 4;
const WAD: u128 = 1_000_000_000_000_000_000;

/// The services, who fails them and who judges.
pub(super) struct Court<'a> {
    pub(super) scene: Scene<'a>,
    pub(super) services: Vec<Service>,
    pub(super) guilty: Vec<Operator>,
    honest: Vec<Operator>,
    core: EigenLayer,
    provider: DynProvider,
    before: Vec<Holding>,
    had: Vec<Vec<Allocated>>,
    cases: usize,
    began: Instant,
    steps: Vec<Step>,
}

/// A fault that a quorum is to judge.
#[derive(Clone, Debug)]
pub(super) struct Charge {
    /// Which service.
    pub(super) service: usize,
    /// Who.
    pub(super) operator: Operator,
    id: OperatorId,
    /// The slot of the verdict.
    pub(super) slot: u64,
    pub(super) case: CaseId,
    weight: u64,
    total: u128,
}

/// A request to a service, and the epoch in which it is to be answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    service: usize,
    epoch: u32,
    block: u64,
}

impl<'a> Court<'a> {
    pub(super) async fn open(devnet: &'a Devnet) -> anyhow::Result<Self> {
        let scene = Scene::open(devnet)?;
        let client = scene.operators.first().context("a devnet has operators")?.client()?;
        let free = client.operators().await?.iter().all(|one| one.convicted.is_none() && one.jailed.is_none());
        ensure!(free, "somebody is convicted or in jail; reset, and start anew");
        let began = Instant::now();
        let services = service::up(devnet).await?;
        let fails = |operator: &Operator| OPERATORS[OPERATORS.len() - 2..].contains(&operator.name());
        let (guilty, honest) = scene.operators.iter().cloned().partition(fails);
        let mut court = Self {
            core: devnet.network()?.eigenlayer(),
            provider: devnet.anvil().provider()?,
            before: Vec::new(),
            had: Vec::new(),
            cases: 0,
            steps: Vec::new(),
            scene,
            services,
            guilty,
            honest,
            began,
        };
        court.done("two services stand on Ethereum, and every operator allocates to them", "his transactions");
        court.strengthen().await?;
        court.await_registered().await?;
        court.done("the others weigh more than two thirds alone; every ledger knows the services", "an epoch");
        court.before = court.scene.holdings().await?;
        court.had = court.allocated().await?;
        court.cases = court.scene.cases().await?.len();
        Ok(court)
    }

    pub(super) fn done(&mut self, what: &'static str, waited_for: &'static str) {
        say(what);
        self.steps.push(Step { what, after: self.began.elapsed(), waited_for });
    }

    /// The honest stake more, unless they did before, and every committee counts it.
    async fn strengthen(&self) -> anyhow::Result<()> {
        if self.weigh_little(&self.honest[0]).await?.is_ok() {
            return Ok(());
        }
        let url = self.scene.devnet.ports().ethereum_url();
        let amount = U256::from(MORE * STAKE_TOKENS) * U256::from(WAD);
        for operator in &self.honest {
            let account = operator.account()?;
            eigenlayer::stake(&url, &self.core, &account, &account, amount).await?;
        }
        for operator in &self.scene.operators {
            let what = format!("a committee in which two weigh little, at {}", operator.name());
            until(&what, READY_DEADLINE, async || {
                Ok(match self.weigh_little(operator).await? {
                    Ok(()) => Seen::There(()),
                    Err(stands) => Seen::NotYet(stands),
                })
            })
            .await?;
        }
        Ok(())
    }

    /// Whether the guilty weigh less than a quarter together.
    async fn weigh_little(&self, at: &Operator) -> anyhow::Result<Result<(), String>> {
        let committee = at.client()?.committee(None).await?;
        let mut theirs = 0;
        for operator in &self.guilty {
            theirs += weight_in(&committee, &operator.id()?)?;
        }
        let all: u64 = committee.total_ether.parse()?;
        Ok(if theirs > 0 && theirs < all / 4 { Ok(()) } else { Err(format!("they weigh {theirs} of {all}")) })
    }

    async fn await_registered(&self) -> anyhow::Result<()> {
        for operator in &self.scene.operators {
            for service in &self.services {
                let key = RowKey::Registration(service.domain(VERDICTS).registration);
                let what = format!("the registration of {} at {}", service.name, operator.name());
                until(&what, READY_DEADLINE, async || {
                    let Some(Row::Registration(row)) = row(operator, &key).await? else {
                        return Ok(Seen::NotYet("no such row".to_owned()));
                    };
                    let declared = service::rules(service.adapter)?;
                    ensure!(row.rules == declared, "the ledger holds other rules: {:?}", row.rules);
                    Ok(Seen::There(()))
                })
                .await?;
            }
        }
        Ok(())
    }

    // ---- faults ----------------------------------------------------------------------------------------------------

    /// From now on an operator's module of a service is away.
    pub(super) async fn stop(&self, operator: &Operator, service: usize) -> anyhow::Result<()> {
        let process = service::process(self.scene.devnet, &self.services[service], operator);
        process.stop(crate::process::Signal::Terminate, crate::constants::STOP_DEADLINE).await
    }

    /// From now on it answers wrongly.
    pub(super) async fn mislead(&self, operator: &Operator, service: usize) -> anyhow::Result<()> {
        self.stop(operator, service).await?;
        service::start(self.scene.devnet, &self.services[service], operator, &["--wrong"])
    }

    /// Asks every one of the services, in the epoch that comes.
    pub(super) async fn request(&self) -> anyhow::Result<Vec<Request>> {
        let epoch = self.honest[0].client()?.status().await?.epoch + 1;
        let mut requests = Vec::new();
        for (at, named) in self.services.iter().enumerate() {
            let what = B256::new(rand::random());
            let block = service::ask(self.scene.devnet, named, epoch, what).await?;
            requests.push(Request { service: at, epoch, block });
        }
        Ok(requests)
    }

    /// What is to be judged of these operators for a request, once its epoch's committee is known.
    pub(super) async fn charges(&self, request: Request, of: &[&Operator]) -> anyhow::Result<Vec<Charge>> {
        let client = self.honest[0].client()?;
        let what = format!("the committee of epoch {}", request.epoch);
        let committee =
            until(&what, READY_DEADLINE, async || Ok(Seen::There(client.committee(Some(request.epoch)).await?)))
                .await?;
        let (genesis, service) = (&self.scene.genesis, &self.services[request.service]);
        let domain = service.domain(VERDICTS).derive(&genesis.chain_id(), &genesis.contracts.palisade);
        let domain = domain.context("it is a service's domain")?;
        let mut charges = Vec::new();
        for operator in of {
            let id = operator.id()?;
            let place = committee.members.iter().position(|member| member.operator == id.to_string());
            let place = place.with_context(|| format!("{} sits in epoch {}", operator.name(), request.epoch))?;
            let slot = notary::slot(request.epoch, request.block, 0, Some(place)).context("a slot for each seat")?;
            charges.push(Charge {
                service: request.service,
                operator: (*operator).clone(),
                id,
                slot,
                case: CaseId::of_verdict(&genesis.chain_id(), &id, &domain, slot),
                weight: weight_in(&committee, &id)?,
                total: committee.total_ether.parse()?,
            });
        }
        Ok(charges)
    }

    // ---- what the ledgers say --------------------------------------------------------------------------------------

    /// Waits until every ledger holds all of these cases, each as is `wanted`; all must say the same of them. In the order of the charges.
    pub(super) async fn await_cases(
        &self,
        what: &str,
        charges: &[Charge],
        wanted: impl Fn(&CaseView) -> bool,
    ) -> anyhow::Result<Vec<CaseView>> {
        let mut cases = Vec::new();
        for charge in charges {
            let mut views = Vec::new();
            for operator in &self.scene.operators {
                let client = operator.client()?;
                let waits = format!("{}'s case {what}, on {}", charge.operator.name(), operator.name());
                let seen = until(&waits, SLASH_DEADLINE, async || {
                    Ok(match client.case(charge.case.to_string()).await {
                        Ok(case) if wanted(&case) => Seen::There(case),
                        Ok(case) => Seen::NotYet(format!("{}, orders {:?}", case.status, case.orders)),
                        Err(error) => Seen::NotYet(error.to_string()),
                    })
                });
                views.push(seen.await?);
            }
            let told = |view: &CaseView| (view.operator.clone(), view.slot, view.opened, view.evidence.clone());
            ensure!(views.windows(2).all(|pair| told(&pair[0]) == told(&pair[1])), "the ledgers differ: {views:?}");
            cases.extend(views.into_iter().next());
        }
        Ok(cases)
    }

    /// Nobody is judged but who is charged, and none of the guilty was needed for it.
    pub(super) async fn check_judges(&self, charges: &[Charge]) -> anyhow::Result<()> {
        let cases = self.scene.cases().await?.len();
        ensure!(cases == self.cases + charges.len(), "{cases} cases, before {}", self.cases);
        let client = self.honest[0].client()?;
        for charge in charges {
            let kind = self.services[charge.service].kind(VERDICTS);
            let signers = client.attestation_certificate(kind, charge.slot).await?.signers;
            let himself = charge.id.to_string();
            ensure!(!signers.contains(&himself), "{} judged himself: {signers:?}", charge.operator.name());
        }
        for operator in &self.scene.operators {
            let known = operator.client()?.operators().await?;
            let free = known.iter().all(|one| one.convicted.is_none() && one.jailed.is_none());
            ensure!(free, "a verdict convicts nobody and jails nobody: {known:?}");
        }
        Ok(())
    }

    /// What the ledgers keep of the verdicts, proven and the same at everybody, in the order of the charges; `None` while one still waits.
    pub(super) async fn dockets(&self, charges: &[Charge]) -> anyhow::Result<Vec<Docket>> {
        const MOST: u64 = 64;
        let mut found: BTreeMap<CaseId, Docket> = BTreeMap::new();
        for number in 1..MOST {
            if found.len() == charges.len() {
                break;
            }
            if let Some(Row::Docket(docket)) = row(&self.honest[0], &RowKey::Docket(number)).await?
                && charges.iter().any(|charge| charge.case == docket.case)
            {
                found.insert(docket.case, *docket);
            }
        }
        for operator in &self.scene.operators {
            for docket in found.values() {
                let key = RowKey::Docket(docket.number);
                let what = format!("the same docket {} at {}", docket.number, operator.name());
                until(&what, SLASH_DEADLINE, async || {
                    Ok(match row(operator, &key).await? {
                        Some(Row::Docket(other)) if *other == *docket => Seen::There(()),
                        other => Seen::NotYet(format!("{other:?}, not {docket:?}")),
                    })
                })
                .await?;
            }
        }
        let in_order = charges.iter().map(|charge| found.get(&charge.case).copied());
        in_order.collect::<Option<_>>().context("there is a docket for each case")
    }

    /// The part that the law takes when these failed together: min((k x)^2, 1) of what the verdicts ask, every step rounded down.
    pub(super) fn law(at_fault: &[&Charge]) -> anyhow::Result<u64> {
        let weight: u128 = at_fault.iter().map(|charge| u128::from(charge.weight)).sum();
        let total = at_fault.first().context("somebody is at fault")?.total;
        let x = WAD * weight / total;
        let scaled = (x * u128::from(SERVICE_LAW_HUNDREDTHS) / 100).min(WAD);
        let factor = scaled * scaled / WAD;
        Ok(u64::try_from(u128::from(SERVICE_FAULT_WAD) * factor / WAD)?)
    }

    // ---- what the chain says ---------------------------------------------------------------------------------------

    /// What each operator has in each service's set, by the core's own views.
    async fn allocated(&self) -> anyhow::Result<Vec<Vec<Allocated>>> {
        let mut all = Vec::new();
        for operator in &self.scene.operators {
            let account = operator.account()?.address();
            let mut his = Vec::new();
            for service in &self.services {
                let core = service.core(&self.core);
                his.push(eigenlayer::allocated(&self.provider, &core, account, service.adapter).await?);
            }
            all.push(his);
        }
        Ok(all)
    }

    /// Every case was executed for exactly the part that is `due`, and the core's views show exactly what its arithmetic makes of that:
    /// in the set of the service, and in no other. The answer is in which Ethereum blocks, in the order of the charges.
    pub(super) async fn check_losses(
        &self,
        charges: &[Charge],
        cases: &[CaseView],
        due: &[u64],
    ) -> anyhow::Result<Vec<u64>> {
        let mut done = Vec::new();
        for ((charge, case), part) in charges.iter().zip(cases).zip(due) {
            let order = self.check_order(charge, case, *part).await?;
            let hash: B256 = order.transaction.as_deref().context("a final order names its transaction")?.parse()?;
            let receipt = self.provider.get_transaction_receipt(hash).await?.context("the transaction is there")?;
            let place = (receipt.block_number.context("it is in a block")?, receipt.transaction_index);
            let taken: U256 = order.taken.as_deref().context("a final order says what was taken")?.parse()?;
            done.push((place, charge, *part, taken));
        }
        let blocks = done.iter().map(|((block, _), ..)| *block).collect();
        done.sort_by_key(|(place, ..)| *place);
        let mut expected = self.had.clone();
        for (_, charge, part, taken) in done {
            let his = self.scene.operators.iter().position(|one| one.name() == charge.operator.name());
            let his = &mut expected[his.context("he is one of them")?];
            let (had, has) = (his[charge.service], his[charge.service].slashed(part));
            his[charge.service] = has;
            // Of the same stake less is left, and of the other sets' magnitudes all.
            his.iter_mut().for_each(|other| (other.max, other.shares) = (has.max, has.shares));
            let lost: U256 = had.slashable() - has.slashable();
            ensure!(taken == lost, "{} lost {taken} shares, and {part} of 1e18 are {lost}", charge.operator.name());
            say(format!(
                "{} loses {lost} shares of {}: {part} of 1e18",
                charge.operator.name(),
                self.services[charge.service].name
            ));
        }
        let now = self.allocated().await?;
        ensure!(now == expected, "EigenLayer's views say {now:?}, its arithmetic {expected:?}");
        self.check_rows().await?;
        let holdings = self.scene.holdings().await?;
        ensure!(holdings == self.before, "the network's own stake changed: {holdings:?}, before {:?}", self.before);
        Ok(blocks)
    }

    /// What every ledger says that stands behind each service is what the core's own views say now, operator by operator; one row of each
    /// is proven.
    async fn check_rows(&self) -> anyhow::Result<()> {
        let now = self.allocated().await?;
        for operator in &self.scene.operators {
            let client = operator.client()?;
            for (at, service) in self.services.iter().enumerate() {
                let mut wanted = BTreeMap::new();
                for (one, his) in self.scene.operators.iter().zip(&now) {
                    wanted.insert(one.id()?.to_string(), his[at]);
                }
                let what = format!("what stands behind {} at {}", service.name, operator.name());
                let seen = until(&what, SLASH_DEADLINE, async || {
                    let told = client.service_security(service.id().to_string()).await?;
                    let differs = told.stakes.iter().find(|stake| {
                        let right = wanted.get(&stake.operator).is_some_and(|wanted| {
                            let figures = (stake.shares.clone(), stake.magnitude.clone(), stake.max_magnitude.clone());
                            figures == (wanted.shares.to_string(), wanted.current.to_string(), wanted.max.to_string())
                        });
                        !right
                    });
                    Ok(match differs {
                        None if told.stakes.len() == wanted.len() => Seen::There(told),
                        other => Seen::NotYet(format!("{} rows, {other:?}", told.stakes.len())),
                    })
                })
                .await?;
                let sum: U256 = wanted.values().map(Allocated::slashable).sum();
                let [told] = seen.sums.as_slice() else { anyhow::bail!("not one sum: {:?}", seen.sums) };
                ensure!(told.slashable == sum.to_string(), "{} stand behind {what}, not {sum}", told.slashable);
                let protocols: Vec<_> = seen.service.sets.iter().map(|set| set.protocol.as_str()).collect();
                ensure!(protocols == ["eigenlayer"], "{what}: sets of {protocols:?}");
                let stake = seen.stakes.first().context("somebody allocates")?;
                let key = RowKey::from_bytes(&parse_hex_bytes(&stake.key)?)?;
                let proven = row(operator, &key).await?;
                let magnitude = match &proven {
                    Some(Row::ServiceStake(stake)) => Some(stake.magnitude.to_string()),
                    _ => None,
                };
                ensure!(magnitude.as_ref() == Some(&stake.magnitude), "{stake:?} is not proven: {proven:?}");
            }
        }
        Ok(())
    }

    async fn check_order(&self, charge: &Charge, case: &CaseView, part: u64) -> anyhow::Result<OrderView> {
        let service = &self.services[charge.service];
        let [order] = case.orders.as_slice() else { anyhow::bail!("not one order: {:?}", case.orders) };
        ensure!(
            (order.source.as_str(), order.status.as_str()) == ("service", "final"),
            "the case's order is {order:?}"
        );
        ensure!(order.asked == part.to_string(), "{} of 1e18 were asked, the law says {part}", order.asked);
        let orders = Address::from(*self.scene.genesis.contracts.orders.as_bytes());
        let contract = Orders::new(orders, &self.provider);
        let account = charge.operator.account()?.address();
        for (at, other) in self.services.iter().enumerate() {
            let id = B256::from(*other.id().as_bytes());
            let case = B256::from(*charge.case.as_bytes());
            let executed = contract.isExecuted(case, account, id, other.adapter).call().await?;
            ensure!(executed == (at == charge.service), "Orders.sol says {executed} of {case} at {}", other.name);
        }
        ensure!(case.operator == charge.id.to_string(), "the case of {} is {case:?}", service.name);
        Ok(order.clone())
    }

    /// The end of every scenario: modules stop, all ledgers are one, and everybody finalises on.
    pub(super) async fn report(mut self, cases: &[CaseView]) -> anyhow::Result<Report> {
        let heights = self.scene.final_heights(&self.scene.operators).await?;
        self.scene.finalised_since(&self.scene.operators, &heights).await?;
        self.scene.check_roots().await?;
        self.done("everybody finalises on; state roots equal", "the next certificates");
        let now = self.scene.holdings().await?;
        let orders: Vec<&OrderView> = cases.iter().flat_map(|case| &case.orders).collect();
        let gas: Vec<Gas> = self.scene.gas(&orders).await?;
        Ok(Report {
            convict: None,
            holdings: self.scene.changes(self.before, now),
            steps: self.steps,
            took: self.began.elapsed(),
            gas,
        })
    }
}

/// A row of an operator's ledger, out of a proof under its newest block.
async fn row(at: &Operator, key: &RowKey) -> anyhow::Result<Option<Row>> {
    let view = at.client()?.proof(hex_bytes(&key.to_bytes())).await?;
    let proof = LightProof::from_bytes(&parse_hex_bytes(&view.proof)?)?;
    ensure!(proof.key == *key, "a proof of {:?}, not of {key:?}", proof.key);
    Ok(proof.row)
}

fn weight_in(committee: &CommitteeView, operator: &OperatorId) -> anyhow::Result<u64> {
    let seat = committee.members.iter().find(|member| member.operator == operator.to_string());
    Ok(seat.map_or(Ok(0), |seat| seat.ether.parse())?)
}
