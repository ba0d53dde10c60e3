//! A machine of its own for each operator, as far as the network goes: a network namespace with two cables. One leads to the chains and
//! to whoever asks over JSON-RPC, and is never cut; the other to the other nodes, into one of two switches that know nothing of each
//! other. A partition is a cable that is put into the other switch: what was under way is lost without a word, as it is when a line
//! breaks.
//!
//! It takes the right to make namespaces, and `ip` of iproute2.

use crate::layout::Ports;
use crate::operator::{Apart, Operator};
use anyhow::{Context, ensure};
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The cables of a devnet; they go with it.
#[derive(Debug)]
pub struct Links {
    ports: Ports,
    places: Vec<Place>,
    _ways: JoinSet<()>,
}

/// One operator's place.
#[derive(Clone, Debug)]
struct Place {
    namespace: String,
    /// Our end of the cable that is never cut,
    desk: String,
    /// and of the other one.
    cable: String,
    /// The chains, as his node sees them.
    chains: Ipv4Addr,
    /// His node's JSON-RPC, as we see it.
    rpc: Ipv4Addr,
    /// His node, as the others see it.
    host: Ipv4Addr,
}

impl Place {
    fn of(ports: Ports, number: u8) -> Self {
        let [high, low] = ports.first().to_be_bytes();
        let first = ports.first();
        Self {
            namespace: format!("palisade-{first}-{number}"),
            desk: format!("pl{first}d{number}"),
            cable: format!("pl{first}c{number}"),
            chains: Ipv4Addr::new(10, high, low, 4 * number + 1),
            rpc: Ipv4Addr::new(10, high, low, 4 * number + 2),
            // For tests of networks only (RFC 2544); it exists behind the switches and nowhere else.
            host: Ipv4Addr::new(198, 18, 0, number + 1),
        }
    }
}

impl Links {
    /// Lays them, every node in one switch; `None` when this process may not, or there is no `ip`.
    ///
    /// # Errors
    ///
    /// It may, and something failed; nothing is left then.
    pub async fn lay(ports: Ports, operators: &[Operator]) -> anyhow::Result<Option<Self>> {
        let numbers = 0..u8::try_from(operators.len())?;
        let places: Vec<_> = numbers.map(|number| Place::of(ports, number)).collect();
        let mut links = Self { ports, places, _ways: JoinSet::new() };
        links.clear(); // of a run that was killed
        let probe = format!("palisade-{}-probe", ports.first());
        if ip(&format!("netns add {probe}")).is_err() {
            return Ok(None);
        }
        ip(&format!("netns del {probe}"))?;
        for switch in links.switches() {
            ip(&format!("link add {switch} type bridge"))?;
            ip(&format!("link set {switch} up"))?;
        }
        for place in &links.places {
            lay(place, &links.switches()[0])?;
        }
        for (place, operator) in links.places.iter().zip(operators) {
            for port in [ports.ethereum(), ports.bitcoin()] {
                let listener = TcpListener::bind((place.chains, port)).await?;
                links._ways.spawn(lead(listener, Ipv4Addr::LOCALHOST, port));
            }
            let port = operator.rpc_port();
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
                .await
                .with_context(|| format!("{}'s node must not run while cables are laid", operator.name()))?;
            links._ways.spawn(lead(listener, place.rpc, port));
        }
        Ok(Some(links))
    }

    /// Writes the nodes' configurations for their places.
    ///
    /// # Errors
    ///
    /// The disk fails.
    pub fn configure(&self, operators: &[Operator]) -> anyhow::Result<()> {
        let hosts: Vec<_> = self.places.iter().map(|place| place.host.to_string()).collect();
        for (at, (operator, place)) in operators.iter().zip(&self.places).enumerate() {
            let others = operators.iter().zip(&hosts).enumerate().filter(|(other, _)| *other != at);
            let peers: Vec<_> = others.map(|(_, (other, host))| (other, host.as_str())).collect();
            operator.configure_apart(&Apart {
                ports: self.ports,
                chains: &place.chains.to_string(),
                host: &hosts[at],
                rpc: &place.rpc.to_string(),
                peers: &peers,
            })?;
        }
        Ok(())
    }

    /// Starts a node at its place: the one at this place in the list.
    ///
    /// # Errors
    ///
    /// It runs already, or cannot be started.
    pub fn start(&self, operator: &Operator, at: usize) -> anyhow::Result<()> {
        let place = self.places.get(at).context("everybody has a place")?;
        operator.start_in(&place.namespace).map(drop)
    }

    /// Parts the nodes from `at` on from those before.
    ///
    /// # Errors
    ///
    /// The system refuses.
    pub fn part(&self, at: usize) -> anyhow::Result<()> {
        self.plug(at, 1)
    }

    /// Joins all of them again.
    ///
    /// # Errors
    ///
    /// The system refuses.
    pub fn heal(&self) -> anyhow::Result<()> {
        self.plug(0, 0)
    }

    fn plug(&self, from: usize, switch: usize) -> anyhow::Result<()> {
        let switch = &self.switches()[switch];
        self.places.iter().skip(from).try_for_each(|place| ip(&format!("link set {} master {switch}", place.cable)))
    }

    fn switches(&self) -> [String; 2] {
        ["a", "b"].map(|side| format!("pl{}{side}", self.ports.first()))
    }

    /// Takes away what there is of them.
    fn clear(&self) {
        for place in &self.places {
            // With a namespace go its ends of the cables, and with these ours.
            let _ = ip(&format!("netns del {}", place.namespace));
            let _ = ip(&format!("link del {}", place.desk));
            let _ = ip(&format!("link del {}", place.cable));
        }
        for switch in self.switches() {
            let _ = ip(&format!("link del {switch}"));
        }
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        self.clear();
    }
}

fn lay(place: &Place, switch: &str) -> anyhow::Result<()> {
    let Place { namespace, desk, cable, chains, rpc, host } = place;
    ip(&format!("netns add {namespace}"))?;
    ip(&format!("-n {namespace} link set lo up"))?;
    for (ours, his) in [(desk, "desk"), (cable, "cable")] {
        ip(&format!("link add {ours} type veth peer name {his} netns {namespace}"))?;
        ip(&format!("link set {ours} up"))?;
        ip(&format!("-n {namespace} link set {his} up"))?;
    }
    ip(&format!("addr add {chains}/30 dev {desk}"))?;
    ip(&format!("-n {namespace} addr add {rpc}/30 dev desk"))?;
    ip(&format!("-n {namespace} addr add {host}/24 dev cable"))?;
    ip(&format!("link set {cable} master {switch}"))
}

fn ip(arguments: &str) -> anyhow::Result<()> {
    let done = Command::new("ip").args(arguments.split(' ')).stdin(Stdio::null()).output().context("ip")?;
    ensure!(done.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&done.stderr).trim());
    Ok(())
}

/// Leads every connection on to another address.
async fn lead(listener: TcpListener, host: Ipv4Addr, port: u16) {
    let mut under_way = JoinSet::new();
    while let Ok((mut from, _)) = listener.accept().await {
        under_way.spawn(async move {
            if let Ok(mut to) = TcpStream::connect((host, port)).await {
                let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
            }
        });
        while under_way.try_join_next().is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_links_are_short_enough_and_places_apart() {
        let ports = Ports::from(65_000).unwrap();
        let places: Vec<_> = (0..5).map(|number| Place::of(ports, number)).collect();
        assert!(places.iter().all(|place| place.cable.len() < 16 && place.desk.len() < 16));
        let networks: Vec<_> = places.iter().map(|place| place.rpc.octets()[3] / 4).collect();
        assert_eq!(networks, [0, 1, 2, 3, 4], "a network of four addresses each");
        assert!(places.iter().all(|place| place.chains.octets()[3] % 4 == 1 && place.rpc.octets()[3] % 4 == 2));
    }
}
