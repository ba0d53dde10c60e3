//! `palisade service`: what a local module of a service asks the signer of its operator, by hand (R14), and what a ledger knows of services.

use super::{Node, node_error};
use crate::rpc::PalisadeClient;
use crate::rpc::services::{ServiceSecurityView, ServiceView};
use crate::service::protocol::{Question, Reply, ask};
use anyhow::{Context, bail};
use palisade_types::ids::{Digest, ServiceId};
use palisade_types::service::{FIRST_KIND, RegistrationId, ServiceDomain, ServiceStatement};
use std::path::PathBuf;

#[derive(Debug, clap::Subcommand)]
pub enum Service {
    /// Show where the node's ledger stands: epoch, and the capture that verdicts in its slots are charged to
    Status(Socket),
    /// Have a digest attested in one of the service's domains
    Attest(Attest),
    /// Leave jail, once the time there is over
    Unjail(Socket),
    /// Show every service with its sets and rules, as a node's ledger has them
    List {
        #[command(flatten)]
        node: Node,
    },
    /// Show what stands behind one service: who allocates what to it, who may judge, what was judged
    Show {
        /// The service: its account as 32 bytes of hex
        #[arg(value_name = "SERVICE")]
        service: ServiceId,
        #[command(flatten)]
        node: Node,
    },
}

#[derive(Debug, clap::Args)]
pub struct Socket {
    /// The node's `service.socket`
    #[arg(long, env = "PALISADE_SERVICE_SOCKET", value_name = "FILE")]
    socket: PathBuf,
}

#[derive(Debug, clap::Args)]
pub struct Attest {
    #[command(flatten)]
    at: Socket,
    /// The service: its account as 32 bytes of hex
    #[arg(long, value_name = "HEX")]
    service: ServiceId,
    /// Which of its registrations
    #[arg(long, value_name = "NUMBER")]
    registration: u64,
    /// Which of the registration's domains
    #[arg(long, value_name = "NUMBER", default_value_t = FIRST_KIND)]
    kind: u16,
    /// The slot, with its epoch in the high 24 bits
    #[arg(long, value_name = "NUMBER")]
    slot: u64,
    /// What stands there
    #[arg(long, value_name = "HEX")]
    digest: Digest,
}

impl Service {
    pub async fn act(self) -> anyhow::Result<()> {
        let (socket, question) = match self {
            Self::List { node } => {
                let services = node.client()?.services().await.map_err(node_error)?;
                services.iter().for_each(print_service);
                if services.is_empty() {
                    println!("no service has an operator set");
                }
                return Ok(());
            }
            Self::Show { service, node } => {
                print_security(&node.client()?.service_security(service.to_string()).await.map_err(node_error)?);
                return Ok(());
            }
            Self::Status(at) => (at.socket, Question::Status),
            Self::Unjail(at) => (at.socket, Question::Unjail),
            Self::Attest(Attest { at, service, registration, kind, slot, digest }) => {
                let registration = RegistrationId { service, number: registration };
                let domain = ServiceDomain { registration, kind };
                (at.socket, Question::Attest(ServiceStatement { domain, slot, digest }))
            }
        };
        let reply = ask(&socket, &question).await.with_context(|| format!("asking {}", socket.display()))?;
        match reply {
            Reply::Status(status) => println!(
                "chain {}\noperator {}\nepoch {}\ncapture {}",
                status.chain, status.operator, status.epoch, status.capture
            ),
            Reply::Attested(attestation) => println!(
                "domain {}\nslot {}\nsignature {}",
                attestation.statement.domain, attestation.statement.slot, attestation.signature
            ),
            Reply::Unjailing(unjail) => println!("on its way: out of the jail of height {}", unjail.jailed),
            Reply::Refused(refusal) => bail!("refused: {refusal}"),
        }
        Ok(())
    }
}

fn print_service(service: &ServiceView) {
    println!("service {}", service.id);
    for set in &service.sets {
        println!("  set {}  {}  an order takes at most {} of 1e18", set.adapter, set.protocol, set.maximum);
    }
    for registration in &service.registrations {
        println!(
            "  registration {} since height {}: domains {:?}, verdicts by more than {} of 1e18 of {} micro-dollars, {} members of {} and more",
            registration.number,
            registration.since,
            registration.kinds,
            registration.threshold,
            registration.judges_ether,
            registration.judges,
            registration.bond,
        );
        for fault in &registration.faults {
            let k = fault.k.map_or_else(String::new, |k| format!(", k = {k} hundredths"));
            let window = registration.window_blocks;
            println!(
                "    fault {}: at most {} of 1e18, law {}{k}, window {window} blocks",
                fault.fault, fault.most, fault.law
            );
        }
    }
}

fn print_security(security: &ServiceSecurityView) {
    print_service(&security.service);
    println!("  as of Ethereum block {}, lasting until {}", security.ethereum.number, security.until);
    for stake in &security.stakes {
        let (now, lasting) = (stake.slashable.as_deref().unwrap_or("?"), stake.lasting.as_deref().unwrap_or("?"));
        println!("  {} of {}: {now} shares, lasting {lasting}  (row {})", stake.operator, stake.asset, stake.key);
    }
    for sum in &security.sums {
        println!("  all of {} at {}: {} shares, lasting {}", sum.asset, sum.adapter, sum.slashable, sum.lasting);
    }
    for case in &security.cases {
        println!("  case {case}");
    }
}
