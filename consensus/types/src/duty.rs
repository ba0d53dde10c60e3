//! Duty: which slots an operator missed lately, and how he leaves jail (R20).

use crate::canonical::{Blob, canonical};
use crate::ids::{ChainId, Ed25519Signature, OperatorId};
use crate::operator::Operator;
use crate::units::Height;
use palisade_crypto::ed25519;

/// The longest window of slots that duty is judged by.
pub const MAX_DUTY_SLOTS: u16 = 1_024;
const RING: usize = MAX_DUTY_SLOTS as usize / 8;

/// What is known of an operator's last slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duty {
    /// One bit a slot, one where he missed it; the oldest is overwritten first.
    pub missed: Blob<RING>,
    /// How many slots the window has: nobody is judged before it is full.
    pub window: u16,
    /// How many were seen since it began, at most the window.
    pub seen: u16,
    /// Where the next slot is written.
    pub next: u16,
    /// Since when he is in jail.
    pub jailed: Option<Jailed>,
    /// The block that let him out last: votes of that time and before are paid for (R18).
    pub freed: Height,
}
canonical!(Duty { missed, window, seen, next, jailed, freed });

/// One stay in jail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jailed {
    /// The Ethereum anchor with which it began; the time is counted from there.
    pub block: u64,
    /// What left with him by the throttle's count, micro-dollars; zero for engine votes, which no throttle holds up (R11).
    pub weight: u64,
}
canonical!(Jailed { block, weight });

impl Duty {
    /// A clean window of so many slots, at most [`MAX_DUTY_SLOTS`].
    #[must_use]
    pub fn new(window: u16) -> Self {
        let window = window.clamp(1, MAX_DUTY_SLOTS);
        let missed = vec![0; usize::from(window).div_ceil(8)].try_into().expect("no longer than the bound");
        Self { missed, window, seen: 0, next: 0, jailed: None, freed: Height::new(0) }
    }

    /// Notes one slot.
    pub fn note(&mut self, missed: bool) {
        let (byte, bit) = (usize::from(self.next / 8), 1_u8 << (self.next % 8));
        let mut bytes = self.missed.to_vec();
        bytes[byte] = if missed { bytes[byte] | bit } else { bytes[byte] & !bit };
        self.missed = bytes.try_into().expect("as long as before");
        self.next = (self.next + 1) % self.window;
        self.seen = (self.seen + 1).min(self.window);
    }

    /// How many slots of the window he missed.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.missed.iter().map(|byte| byte.count_ones()).sum()
    }

    /// Whether he missed more than four fifths of a full window.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.seen == self.window && self.count() * 5 > u32::from(self.window) * 4
    }
}

/// An operator says that he is back. It waits for a block like every item that proves itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unjail {
    /// Who.
    pub operator: OperatorId,
    /// The block that jailed him: one signature opens one stay.
    pub jailed: Height,
    /// By the Ed25519 key of his standing row.
    pub signature: Ed25519Signature,
}
canonical!(Unjail { operator, jailed, signature });

impl Unjail {
    /// What is signed: "PALISADE-UNJAIL-1" | chain id | operator | height u64.
    #[must_use]
    pub fn message(chain: &ChainId, operator: &OperatorId, jailed: Height) -> Vec<u8> {
        [&b"PALISADE-UNJAIL-1"[..], chain.as_bytes(), operator.as_bytes(), &jailed.get().to_be_bytes()].concat()
    }

    /// Whether the key that `operator` has now made it.
    #[must_use]
    pub fn signed_by(&self, chain: &ChainId, operator: &Operator) -> bool {
        let message = Self::message(chain, &self.operator, self.jailed);
        let key = operator.keys_now().and_then(|keys| ed25519::PublicKey::from_bytes(keys.ed25519.as_bytes()).ok());
        self.operator == operator.id
            && key.is_some_and(|key| key.verify(&message, &ed25519::Signature(*self.signature.as_bytes())).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn r20_the_window_slides_slot_by_slot(window in 1_u16..100, slots in prop::collection::vec(any::<bool>(), 0..400)) {
            let mut duty = Duty::new(window);
            for (at, missed) in slots.iter().enumerate() {
                duty.note(*missed);
                let from = (at + 1).saturating_sub(usize::from(window));
                let counted = slots[from..=at].iter().filter(|missed| **missed).count();
                prop_assert_eq!(duty.count() as usize, counted);
                let full = at + 1 >= usize::from(window);
                prop_assert_eq!(duty.is_down(), full && counted * 5 > usize::from(window) * 4);
            }
        }
    }
}
