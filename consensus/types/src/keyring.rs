//! A committee's attestation keys, decoded.
//!
//! A key of 96 bytes takes a square root and a subgroup check to read, a quarter of a millisecond; a committee has up to 256, and
//! each certificate asks for them. What was decoded is kept under a hash of the very bytes, so that it can be asked for
//! without anybody having to know when a committee changes, and says the same whether it was kept or not.

use crate::certificate::{Committee, Member};
use crate::ids::BlsKey;
use palisade_crypto::bls::{AggregateKey, PublicKey};
use palisade_crypto::hash::sha256;
use std::sync::{Arc, Mutex, PoisonError};

/// How many committees are kept: those of a few epochs, and another ledger's in the same process. Each takes at most 50 KB.
const KEPT: usize = 16;

/// The newest last.
static KNOWN: Mutex<Vec<([u8; 32], Arc<Keyring>)>> = Mutex::new(Vec::new());

/// The keys of the seats, in their order.
#[derive(Debug)]
pub struct Keyring {
    keys: Vec<Option<PublicKey>>,
    aggregate: [u8; 192],
}

impl Keyring {
    /// The keys of a committee.
    #[must_use]
    pub fn of(committee: &Committee) -> Arc<Self> {
        let bytes: Vec<u8> = committee.members.iter().flat_map(|member| *member.bls.as_bytes()).collect();
        let name = sha256(&bytes);
        if let Some(known) = find(&name) {
            return known;
        }
        let ring = Arc::new(Self::read(&committee.members));
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KEPT {
            known.remove(0);
        }
        known.push((name, ring.clone()));
        ring
    }

    /// The key of a seat; `None` in a seat of epoch 0, and of bytes that are no key.
    #[must_use]
    pub fn key(&self, seat: usize) -> Option<&PublicKey> {
        self.keys.get(seat)?.as_ref()
    }

    /// The sum of all keys, packed; zero when there is none.
    #[must_use]
    pub const fn aggregate(&self) -> &[u8; 192] {
        &self.aggregate
    }

    fn read(members: &[Member]) -> Self {
        let key = |member: &Member| {
            let bytes = Some(&member.bls).filter(|key| **key != BlsKey::ZERO)?;
            PublicKey::from_bytes(bytes.as_bytes()).ok()
        };
        let keys: Vec<_> = members.iter().map(key).collect();
        let sum = AggregateKey::sum(keys.iter().flatten());
        Self { keys, aggregate: sum.to_key().map_or([0; 192], |key| key.to_packed()) }
    }
}

/// What is asked for is moved to the end.
fn find(name: &[u8; 32]) -> Option<Arc<Keyring>> {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let at = known.iter().rposition(|(known, _)| known == name)?;
    let found = known.remove(at);
    let ring = found.1.clone();
    known.push(found);
    Some(ring)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::ChainPoint;
    use crate::ids::{Ed25519Key, Hash, OperatorId, SchnorrKey};
    use crate::units::Epoch;
    use palisade_crypto::bls::SecretKey;

    fn committee(seeds: &[u8]) -> Committee {
        let member = |seed: &u8| Member {
            operator: OperatorId::new([*seed; 20]),
            key: 0,
            bls: match seed {
                0 => BlsKey::ZERO,
                255 => BlsKey::new([7; 96]),
                _ => BlsKey::new(SecretKey::from_seed(&[*seed; 32]).public().to_bytes()),
            },
            ed25519: Ed25519Key::ZERO,
            eots: SchnorrKey::ZERO,
            randomness: Hash::ZERO,
            ether: 1,
            bitcoin: 0,
            engine: 1,
        };
        let point = ChainPoint { number: 1, hash: Hash::ZERO, log: u32::MAX, time: 0 };
        let members = seeds.iter().map(member).collect::<Vec<_>>().try_into().unwrap();
        Committee { epoch: Epoch::new(1), ethereum: point, bitcoin: point, members }
    }

    #[test]
    fn what_is_kept_is_what_is_read_and_another_list_is_another_ring() {
        for turn in 0..3 {
            for first in 1..=2 * KEPT as u8 {
                let committee = committee(&[first, 0, 255, 200]);
                let ring = Keyring::of(&committee);
                let read = Keyring::read(&committee.members);
                assert_eq!((&ring.keys, &ring.aggregate), (&read.keys, &read.aggregate), "turn {turn}");
                assert_eq!(ring.key(0), Some(&SecretKey::from_seed(&[first; 32]).public()));
                assert!(ring.key(1).is_none() && ring.key(2).is_none() && ring.key(4).is_none());
            }
        }
        let (one, same) = (committee(&[1, 2]), committee(&[1, 2]));
        assert!(Arc::ptr_eq(&Keyring::of(&one), &Keyring::of(&same)), "read once");
        assert!(KNOWN.lock().unwrap().len() <= KEPT);
        assert_eq!(Keyring::of(&committee(&[0])).aggregate(), &[0; 192]);
    }
}
