//! Orders: what the operators certify where a fault cannot be shown to a contract. "Take this part of what the set at this
//! adapter may take from this operator, for this case." A committee certifies it in the domain of orders; the slot is the
//! order's number, and Orders.sol carries it out (R11).

use crate::attestation::Statement;
use crate::canonical::{Canonical, canonical};
use crate::ids::{Address, CaseId, ChainId, Digest, Domain, OperatorId, ServiceId};
use crate::units::{Epoch, Wad};
use palisade_crypto::hash::keccak256;

/// One order. Its Canonical bytes, 200 of them, are what Orders.sol is told, and their keccak256 is what is signed. A case
/// gets a new one, with a new number, when an epoch ends before it is executed; whichever Orders.sol executes, it takes once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// Counts from 1 over all orders of the ledger; never given twice.
    pub number: u64,
    /// The epoch whose committee certifies it (R3): the one of the block that holds it first.
    pub epoch: Epoch,
    /// The network.
    pub chain: ChainId,
    /// Orders.sol.
    pub contract: Address,
    /// The Ethereum chain on which that contract stands, EIP-155.
    pub evm_chain_id: u64,
    /// What it is for.
    pub case: CaseId,
    /// Whom it takes from.
    pub operator: OperatorId,
    /// Whose operator set: zero for the network's own.
    pub service: ServiceId,
    /// The contract that slashes that set.
    pub adapter: Address,
    /// The part of what the set may take.
    pub wad: Wad,
    /// The Ethereum block of the snapshot that the fault is charged to (R26).
    pub capture: u64,
    /// The last Ethereum block in which it may be executed.
    pub expiry: u64,
}
canonical!(Order {
    number,
    epoch,
    chain,
    contract,
    evm_chain_id,
    case,
    operator,
    service,
    adapter,
    wad,
    capture,
    expiry,
});

/// Names what an order is about: there is one newest order of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OrderId {
    /// The case.
    pub case: CaseId,
    /// The adapter that is to take from the convict.
    pub adapter: Address,
}
canonical!(OrderId { case, adapter });

impl Order {
    /// How many bytes Orders.sol takes.
    pub const LENGTH: usize = 200;

    /// What it is about.
    #[must_use]
    pub const fn id(&self) -> OrderId {
        OrderId { case: self.case, adapter: self.adapter }
    }

    /// What is signed.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::new(keccak256(&self.to_bytes()))
    }

    /// The statement in `domain`, the network's domain of orders.
    #[must_use]
    pub fn statement(&self, domain: Domain) -> Statement {
        Statement { domain, slot: self.number, digest: self.digest() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// The vectors that Vectors.t.sol packs with `abi.encodePacked` and hashes.
    const VECTORS: &str = include_str!("../../../chains/ethereum/contracts/test/vectors/orders.json");

    fn hex<const N: usize>(value: &Value) -> [u8; N] {
        let bytes = hex::decode(value.as_str().unwrap().strip_prefix("0x").unwrap()).unwrap();
        bytes.try_into().unwrap()
    }

    #[test]
    fn an_order_is_packed_and_hashed_as_solidity_does_it() {
        let vectors: Value = serde_json::from_str(VECTORS).unwrap();
        let vectors = vectors["orders"].as_array().unwrap();
        assert!(vectors.len() >= 3);
        for vector in vectors {
            let number = |key: &str| vector[key].as_str().unwrap().parse::<u64>().unwrap();
            let order = Order {
                number: number("number"),
                epoch: Epoch::new(u32::try_from(number("epoch")).unwrap()),
                chain: ChainId::new(hex(&vector["chain"])),
                contract: Address::new(hex(&vector["contract"])),
                evm_chain_id: number("evmChainId"),
                case: CaseId::new(hex(&vector["case"])),
                operator: OperatorId::new(hex(&vector["operator"])),
                service: ServiceId::new(hex(&vector["service"])),
                adapter: Address::new(hex(&vector["adapter"])),
                wad: Wad::new(number("wad")),
                capture: number("capture"),
                expiry: number("expiry"),
            };
            let bytes = hex::<{ Order::LENGTH }>(&vector["bytes"]);
            assert_eq!(order.to_bytes(), bytes);
            assert_eq!(Order::from_bytes(&bytes), Ok(order));
            assert_eq!(*order.digest().as_bytes(), hex(&vector["digest"]));
        }
    }
}
