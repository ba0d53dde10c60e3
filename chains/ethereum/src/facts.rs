//! What a log of Palisade.sol, or of an adapter, says, in Palisade's words. Pure and strict: the contract cannot be changed, so a log
//! that does not read as it would write it is a lie of the endpoint.

use crate::bindings::orders::Orders::{ServiceDeclared as Declared, ServiceRegistered};
use crate::bindings::palisade::Palisade::{Convicted, KeysRegistered as Registered, Slashed};
use crate::bindings::symbiotic_adapter::SymbioticAdapter::{Listed, Vetoed};
use alloy::primitives::{self, B256, U256};
use alloy::rpc::types::Log;
use alloy::sol_types::SolEvent;
use palisade_crypto::bls;
use palisade_types::canonical::Blob;
use palisade_types::chain::ChainError;
use palisade_types::ids::{
    Address, BlsKey, CaseId, Domain, Ed25519Key, Ed25519Signature, Hash, OperatorId, SchnorrKey, SchnorrSignature,
    ServiceId,
};
use palisade_types::observation::{
    self, ConvictedOnChain, Fact, KeysRegistered, ServiceDeclared, ServiceSetSeen, SlashedOnChain, VetoedOnChain,
};
use palisade_types::operator::KeyRow;
use palisade_types::position::{PositionId, StakeSource};
use palisade_types::service::{RegistrationId, ServiceSet};
use palisade_types::units::Wad;

/// The events that are facts. A failed slash is none: its order stays open.
pub(crate) const EVENTS: [B256; 7] = [
    Registered::SIGNATURE_HASH,
    Convicted::SIGNATURE_HASH,
    Slashed::SIGNATURE_HASH,
    Vetoed::SIGNATURE_HASH,
    ServiceRegistered::SIGNATURE_HASH,
    Declared::SIGNATURE_HASH,
    Listed::SIGNATURE_HASH,
];

/// Those of them that only Orders.sol writes.
pub(crate) const OF_SERVICES: [B256; 2] = [ServiceRegistered::SIGNATURE_HASH, Declared::SIGNATURE_HASH];

/// Where a log stands; an endpoint that leaves this out speaks of a pending block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) block: u64,
    pub(crate) index: u32,
}

impl Place {
    pub(crate) fn of(log: &Log) -> Result<Self, ChainError> {
        let index = log.log_index.and_then(|index| u32::try_from(index).ok());
        match (log.block_number, index) {
            (Some(block), Some(index)) if !log.removed => Ok(Self { block, index }),
            _ => Err(lied("a log of a final block without its place")),
        }
    }
}

/// Reads one log with one of [`EVENTS`].
pub(crate) fn read(log: &Log) -> Result<Fact, ChainError> {
    match log.topic0() {
        Some(&Registered::SIGNATURE_HASH) => registered(log),
        Some(&Convicted::SIGNATURE_HASH) => convicted(log),
        Some(&Slashed::SIGNATURE_HASH) => slashed(log),
        Some(&Vetoed::SIGNATURE_HASH) => vetoed(log),
        Some(&ServiceRegistered::SIGNATURE_HASH) => service_set(log),
        Some(&Declared::SIGNATURE_HASH) => declared(log),
        Some(&Listed::SIGNATURE_HASH) => listed(log),
        _ => Err(lied("a log that was not asked for")),
    }
}

fn registered(log: &Log) -> Result<Fact, ChainError> {
    let event = decode::<Registered>(log)?;
    if Place::of(log)?.block != event.fromBlock {
        return Err(lied("a key row from another block than its log's"));
    }
    let packed: [u8; 192] = exact(&event.bls, "an attestation key")?;
    let bls = bls::PublicKey::from_packed(&packed).map_err(|_| lied("an attestation key that Palisade.sol refuses"))?;
    let row = KeyRow {
        id: event.keyId,
        from: event.fromBlock,
        until: None,
        bls: BlsKey::new(bls.to_bytes()),
        ed25519: Ed25519Key::new(event.ed25519.0),
        eots: SchnorrKey::new(event.eots.0),
        peer: Blob::try_from(event.peerId.to_vec()).map_err(|_| lied("a peer id over its bound"))?,
    };
    Ok(Fact::Keys(Box::new(KeysRegistered {
        operator: OperatorId::new(event.operator.into_array()),
        row,
        ed25519_proof: Ed25519Signature::new(exact(&event.ed25519Proof, "an Ed25519 proof")?),
        eots_proof: SchnorrSignature::new(exact(&event.eotsProof, "an EOTS proof")?),
    })))
}

fn convicted(log: &Log) -> Result<Fact, ChainError> {
    let event = decode::<Convicted>(log)?;
    Ok(Fact::Convicted(ConvictedOnChain {
        case: CaseId::new(event.caseId.0),
        operator: OperatorId::new(event.operator.into_array()),
        domain: Domain::new(event.domain.0),
        slot: event.slot,
    }))
}

fn slashed(log: &Log) -> Result<Fact, ChainError> {
    let event = decode::<Slashed>(log)?;
    let transaction = log.transaction_hash.ok_or_else(|| lied("a log without its transaction"))?;
    Ok(Fact::Slashed(SlashedOnChain {
        case: CaseId::new(event.caseId.0),
        operator: OperatorId::new(event.operator.into_array()),
        adapter: Address::new(event.adapter.into_array()),
        asset: Address::new(event.asset.into_array()),
        before: said(event.before),
        afterwards: said(event.afterwards),
        transaction: Hash::new(transaction.0),
    }))
}

/// The adapter itself says this, and the ledger looks which one it is.
fn vetoed(log: &Log) -> Result<Fact, ChainError> {
    let event = decode::<Vetoed>(log)?;
    let transaction = log.transaction_hash.ok_or_else(|| lied("a log without its transaction"))?;
    Ok(Fact::Vetoed(VetoedOnChain {
        case: CaseId::new(event.caseId.0),
        operator: OperatorId::new(event.operator.into_array()),
        adapter: Address::new(log.address().into_array()),
        asset: Address::new(event.vault.into_array()),
        transaction: Hash::new(transaction.0),
    }))
}

fn service_set(log: &Log) -> Result<Fact, ChainError> {
    let event = decode::<ServiceRegistered>(log)?;
    Ok(Fact::ServiceSet(ServiceSetSeen {
        service: ServiceId::new(event.service.0),
        set: ServiceSet { adapter: Address::new(event.adapter.into_array()), maximum: Wad::new(event.maximum) },
    }))
}

fn declared(log: &Log) -> Result<Fact, ChainError> {
    let event = decode::<Declared>(log)?;
    let rules = Blob::try_from(event.rules.to_vec()).map_err(|_| lied("rules longer than Orders.sol takes"))?;
    let id = RegistrationId { service: ServiceId::new(event.service.0), number: event.registration };
    Ok(Fact::ServiceDeclared(Box::new(ServiceDeclared { id, rules })))
}

/// Only Symbiotic's adapter says this.
fn listed(log: &Log) -> Result<Fact, ChainError> {
    let event = decode::<Listed>(log)?;
    let source = |vault: primitives::Address| StakeSource::Symbiotic(Address::new(vault.into_array()));
    let id = PositionId { operator: OperatorId::new(event.operator.into_array()), source: source(event.vault) };
    Ok(Fact::Listed(observation::Listed { id, like: source(event.like) }))
}

/// What an adapter said of a loss. The network's own say nothing that does not fit; but Orders.sol passes on whatever the adapter of a
/// service says, which may be anything: what is beyond all shares counts as the most there is, so that no follower stands still for it.
fn said(amount: U256) -> u128 {
    u128::try_from(amount).unwrap_or(u128::MAX)
}

/// Amounts as the ledger counts them: EigenLayer's strategies hold less than 1e38 shares, and no token of worth has 2^128
/// units, so all fit.
pub(crate) fn shares(amount: U256) -> Result<u128, ChainError> {
    u128::try_from(amount).map_err(|_| lied("more shares than a strategy can hold"))
}

pub(crate) fn lied(what: &str) -> ChainError {
    ChainError::Lied(what.to_owned())
}

fn decode<E: SolEvent>(log: &Log) -> Result<E, ChainError> {
    E::decode_log_data_validate(log.data())
        .map_err(|error| ChainError::Lied(format!("{} does not decode: {error}", E::SIGNATURE)))
}

fn exact<const N: usize>(bytes: &[u8], what: &str) -> Result<[u8; N], ChainError> {
    bytes.try_into().map_err(|_| ChainError::Lied(format!("{what} of {} bytes", bytes.len())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::primitives::{Bytes, LogData};

    fn event() -> Registered {
        let bls = bls::SecretKey::from_seed(&[7; 32]).public();
        Registered {
            operator: primitives::Address::repeat_byte(1),
            keyId: 3,
            fromBlock: 40,
            bls: bls.to_packed().to_vec().into(),
            ed25519: B256::repeat_byte(2),
            ed25519Proof: vec![3; 64].into(),
            eots: B256::repeat_byte(4),
            eotsProof: vec![5; 64].into(),
            peerId: vec![6; 38].into(),
        }
    }

    fn log(data: LogData) -> Log {
        Log {
            inner: primitives::Log { address: primitives::Address::ZERO, data },
            block_number: Some(40),
            log_index: Some(2),
            transaction_hash: Some(B256::repeat_byte(9)),
            ..Log::default()
        }
    }

    #[test]
    fn r12_a_registration_becomes_an_open_row_with_a_compressed_key() {
        let Ok(Fact::Keys(keys)) = read(&log(event().encode_log_data())) else {
            panic!("no key fact");
        };
        let key = bls::SecretKey::from_seed(&[7; 32]).public();
        assert_eq!(keys.row.bls, BlsKey::new(key.to_bytes()));
        assert_eq!((keys.row.id, keys.row.from, keys.row.until), (3, 40, None));
        assert_eq!(keys.operator, OperatorId::new([1; 20]));
        assert_eq!(&keys.row.peer[..], &[6; 38]);
    }

    #[test]
    fn r14_what_orders_sol_is_told_of_a_service_is_a_fact() {
        let (service, adapter) = (B256::repeat_byte(7), primitives::Address::repeat_byte(8));
        let set = ServiceRegistered { service, adapter, maximum: 5 };
        let set_seen = ServiceSet { adapter: Address::new([8; 20]), maximum: Wad::new(5) };
        let fact = read(&log(set.encode_log_data())).unwrap();
        assert_eq!(fact, Fact::ServiceSet(ServiceSetSeen { service: ServiceId::new([7; 32]), set: set_seen }));
        let told = |length| Declared { service, registration: 3, rules: vec![1; length].into() };
        let Ok(Fact::ServiceDeclared(declared)) = read(&log(told(1_024).encode_log_data())) else {
            panic!("no registration")
        };
        assert_eq!((declared.id.number, declared.rules.len()), (3, 1_024));
        assert!(matches!(read(&log(told(1_025).encode_log_data())), Err(ChainError::Lied(_))));
    }

    #[test]
    fn r24_whatever_a_services_adapter_says_of_a_loss_is_a_fact() {
        let told = |before, afterwards| {
            let event = Slashed {
                caseId: B256::repeat_byte(1),
                operator: primitives::Address::repeat_byte(2),
                adapter: primitives::Address::repeat_byte(3),
                asset: primitives::Address::repeat_byte(4),
                before,
                afterwards,
            };
            match read(&log(event.encode_log_data())) {
                Ok(Fact::Slashed(seen)) => (seen.before, seen.afterwards),
                other => panic!("{other:?}"),
            }
        };
        let most = U256::from(u128::MAX);
        assert_eq!(told(U256::from(9), U256::from(5)), (9, 5));
        assert_eq!(told(most, U256::ZERO), (u128::MAX, 0));
        assert_eq!(told(most + U256::from(1), U256::from(5)), (u128::MAX, 5));
        assert_eq!(told(U256::MAX, U256::MAX), (u128::MAX, u128::MAX));
    }

    #[test]
    fn a_log_that_the_contract_cannot_write_is_a_lie() {
        let refused = |change: fn(&mut Registered)| {
            let mut event = event();
            change(&mut event);
            matches!(read(&log(event.encode_log_data())), Err(ChainError::Lied(_)))
        };
        assert!(refused(|event| event.bls = Bytes::from(vec![0; 192])));
        assert!(refused(|event| event.bls = Bytes::from(vec![1; 191])));
        assert!(refused(|event| event.ed25519Proof = Bytes::from(vec![1; 63])));
        assert!(refused(|event| event.eotsProof = Bytes::new()));
        assert!(refused(|event| event.peerId = Bytes::from(vec![1; 65])));
        assert!(refused(|event| event.fromBlock = 41));
        let mut cut = log(event().encode_log_data());
        cut.inner.data.data = cut.inner.data.data.slice(..100);
        assert!(matches!(read(&cut), Err(ChainError::Lied(_))));
        let mut pending = log(event().encode_log_data());
        pending.block_number = None;
        assert!(matches!(read(&pending), Err(ChainError::Lied(_))));
    }
}
