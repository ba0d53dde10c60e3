//! A committee whose secret keys a test holds.

use palisade_crypto::bls;
use palisade_types::attestation::Statement;
use palisade_types::block::{HEADER_VERSION, Header};
use palisade_types::canonical::List;
use palisade_types::certificate::{CERTIFICATE_VERSION, Committee, Member, QuorumCertificate};
use palisade_types::chain::{CertifiedOrder, ChainPoint};
use palisade_types::genesis::Genesis;
use palisade_types::ids::{
    BlockId, BlsKey, BlsSignature, ChainId, DomainKind, Ed25519Key, Hash, OperatorId, SchnorrKey,
};
use palisade_types::order::Order;
use palisade_types::units::{Epoch, Height};

/// The committee and its keys, in its order.
pub(crate) struct Council {
    pub(crate) committee: Committee,
    pub(crate) secrets: Vec<bls::SecretKey>,
}

/// The secret of member `seat` of any council made here.
pub(crate) fn secret(seat: usize) -> bls::SecretKey {
    let mut bytes = [0; 32];
    bytes[24..].copy_from_slice(&(1_000 + seat as u64).to_be_bytes());
    bls::SecretKey::from_bytes(&bytes).unwrap()
}

impl Council {
    /// Members with the key ids 1, 2, ... and weights that are nearly equal: more than a third of them weigh more
    /// than a third.
    pub(crate) fn new(members: usize, epoch: Epoch, snapshot: u64) -> Self {
        let secrets: Vec<_> = (0..members).map(secret).collect();
        let seats = secrets.iter().enumerate().map(|(seat, secret)| (operator(seat), seat as u32 + 1, secret));
        let seats = seats.map(|(operator, key, secret)| member(operator, key, secret, 1_000_000_000 + u64::from(key)));
        Self { committee: committee(epoch, snapshot, seats.collect()), secrets }
    }

    /// One member who weighs all, with a key that is registered under this id.
    pub(crate) fn alone(operator: OperatorId, key: u32, secret: &bls::SecretKey, snapshot: u64) -> Self {
        let member = member(operator, key, secret, 1_000_000);
        Self { committee: committee(Epoch::new(1), snapshot, vec![member]), secrets: vec![secret.clone()] }
    }

    /// An order that all have signed.
    pub(crate) fn order(&self, genesis: &Genesis, order: Order) -> CertifiedOrder {
        let statement = order.statement(genesis.domain(DomainKind::Order));
        let certificate = self.certify(&genesis.chain_id(), &statement, &[]);
        CertifiedOrder { order, certificate, committee: self.committee.clone() }
    }

    /// The secret keys as bytes.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = [u8; 32]> {
        self.secrets.iter().map(|secret| *secret.to_bytes())
    }

    /// So many seats, spread over the whole committee.
    pub(crate) fn spread(&self, count: usize) -> Vec<usize> {
        let members = self.secrets.len();
        (0..count).map(|number| number * members / count).collect()
    }

    /// What all but `absent` say.
    pub(crate) fn certify(&self, chain: &ChainId, statement: &Statement, absent: &[usize]) -> QuorumCertificate {
        let message = statement.bls_message(chain);
        let members = self.secrets.len();
        let mut signers = vec![0_u8; members.div_ceil(8)];
        let mut signatures = Vec::new();
        for (seat, secret) in self.secrets.iter().enumerate().filter(|(seat, _)| !absent.contains(seat)) {
            signers[seat / 8] |= 1 << (seat % 8);
            signatures.push(secret.sign(&message));
        }
        QuorumCertificate {
            version: CERTIFICATE_VERSION,
            chain: *chain,
            committee: self.committee.hash(chain),
            domain: statement.domain,
            slot: statement.slot,
            digest: statement.digest,
            members: members as u16,
            signers: signers.try_into().unwrap(),
            signature: BlsSignature::new(bls::Signature::aggregate(&signatures).unwrap().to_bytes()),
        }
    }
}

/// A boundary block's header, as far as contracts read it.
pub(crate) fn header(genesis: &Genesis, height: u64, epoch: u32, next_committee: Hash) -> Header {
    Header {
        version: HEADER_VERSION,
        chain: genesis.chain_id(),
        height: Height::new(height),
        epoch: Epoch::new(epoch),
        parent: BlockId::new([1; 32]),
        items_root: Hash::new([2; 32]),
        state_root: Hash::new([3; 32]),
        next_committee,
    }
}

fn operator(seat: usize) -> OperatorId {
    let mut bytes = [0; 20];
    bytes[12..].copy_from_slice(&(0x1_0000 + seat as u64).to_be_bytes());
    OperatorId::new(bytes)
}

/// A seat whose other keys say nothing here.
pub(crate) fn member(operator: OperatorId, key: u32, secret: &bls::SecretKey, ether: u64) -> Member {
    Member {
        operator,
        key,
        bls: BlsKey::new(secret.public().to_bytes()),
        ed25519: Ed25519Key::new([3; 32]),
        eots: SchnorrKey::new([4; 32]),
        randomness: Hash::ZERO,
        ether,
        bitcoin: 0,
        engine: 1,
    }
}

/// A committee whose weights stood at the Ethereum block `snapshot`.
pub(crate) fn committee(epoch: Epoch, snapshot: u64, members: Vec<Member>) -> Committee {
    let point = |number| ChainPoint { number, hash: Hash::new([6; 32]), log: u32::MAX, time: 1_700_000_000 };
    Committee { epoch, ethereum: point(snapshot), bitcoin: point(700), members: List::try_from(members).unwrap() }
}
