//! A leaf script, read back: what [`crate::scripts`] writes, recognised in somebody's witness.
//!
//! A script is one of ours or Babylon's only when writing it again from what was read gives the same bytes, so that nothing here has to
//! know every way in which a script could almost be one.

use bitcoin::opcodes::all::{OP_CHECKSIG, OP_CHECKSIGADD, OP_CHECKSIGVERIFY, OP_CSV, OP_NUMEQUAL, OP_NUMEQUALVERIFY};
use bitcoin::opcodes::{Class, ClassifyContext, Opcode};
use bitcoin::script::{Instruction, read_scriptint};
use bitcoin::secp256k1::XOnlyPublicKey;
use bitcoin::{Script, ScriptBuf};

use crate::scripts;

/// The longest script that is read: more keys than any list may have, and a little.
pub const MAX_SCRIPT_BYTES: usize = 4_096;

/// One of the three ways to spend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeafScript {
    /// The staker alone, after `blocks`.
    Timelock {
        /// The staker.
        staker: XOnlyPublicKey,
        /// The lock, in blocks.
        blocks: u16,
    },
    /// The staker and a quorum of the covenant.
    Unbonding {
        /// The staker.
        staker: XOnlyPublicKey,
        /// The covenant, ascending.
        covenant: Vec<XOnlyPublicKey>,
        /// How many of it must sign.
        quorum: u16,
    },
    /// The staker, one provider and a quorum of the covenant.
    Slashing {
        /// The staker.
        staker: XOnlyPublicKey,
        /// The finality providers, ascending.
        providers: Vec<XOnlyPublicKey>,
        /// The covenant, ascending.
        covenant: Vec<XOnlyPublicKey>,
        /// How many of it must sign.
        quorum: u16,
    },
}

/// Why a script is no leaf of a stake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LeafError {
    /// The script is longer than any leaf.
    #[error("a script of {0} bytes is longer than any leaf of a stake")]
    TooLong(usize),
    /// The script is something else.
    #[error("the script is no leaf of a stake")]
    Foreign,
    /// It looks like a leaf, but writing it again gives other bytes: keys out of order or repeated, a number written in another way,
    /// a quorum that cannot be.
    #[error("the script is almost a leaf of a stake, but not written as one")]
    NotCanonical,
}

impl LeafScript {
    /// Recognises a script.
    ///
    /// # Errors
    ///
    /// [`LeafError`].
    pub fn read(script: &Script) -> Result<Self, LeafError> {
        if script.len() > MAX_SCRIPT_BYTES {
            return Err(LeafError::TooLong(script.len()));
        }
        let tokens = tokens(script).ok_or(LeafError::Foreign)?;
        let leaf = Self::of(&tokens).ok_or(LeafError::Foreign)?;
        if leaf.is_possible() && leaf.script() == *script { Ok(leaf) } else { Err(LeafError::NotCanonical) }
    }

    /// The script itself.
    pub fn script(&self) -> ScriptBuf {
        match self {
            Self::Timelock { staker, blocks } => scripts::timelock_script(*staker, *blocks),
            Self::Unbonding { staker, covenant, quorum } => scripts::unbonding_script(*staker, covenant, *quorum),
            Self::Slashing { staker, providers, covenant, quorum } => {
                scripts::slashing_script(*staker, providers, covenant, *quorum)
            }
        }
    }

    /// What people call this leaf.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Timelock { .. } => "timelock",
            Self::Unbonding { .. } => "unbonding",
            Self::Slashing { .. } => "slashing",
        }
    }

    /// The staker.
    pub fn staker(&self) -> XOnlyPublicKey {
        match self {
            Self::Timelock { staker, .. } | Self::Unbonding { staker, .. } | Self::Slashing { staker, .. } => *staker,
        }
    }

    /// The finality providers this leaf names.
    pub fn providers(&self) -> &[XOnlyPublicKey] {
        if let Self::Slashing { providers, .. } = self { providers } else { &[] }
    }

    /// The covenant this leaf names, with its quorum.
    pub fn covenant(&self) -> Option<(&[XOnlyPublicKey], u16)> {
        match self {
            Self::Timelock { .. } => None,
            Self::Unbonding { covenant, quorum, .. } | Self::Slashing { covenant, quorum, .. } => {
                Some((covenant, *quorum))
            }
        }
    }

    fn of(tokens: &[Token]) -> Option<Self> {
        let [Token::Key(staker), Token::Op(OP_CHECKSIGVERIFY), rest @ ..] = tokens else {
            return None;
        };
        let staker = *staker;
        if let [Token::Number(blocks), Token::Op(OP_CSV)] = rest {
            return Some(Self::Timelock { staker, blocks: *blocks });
        }
        let first = Group::read(rest)?;
        if !first.verifies {
            return first.rest.is_empty().then_some(Self::Unbonding {
                staker,
                covenant: first.keys,
                quorum: first.threshold,
            });
        }
        let second = Group::read(first.rest)?;
        (first.threshold == 1 && !second.verifies && second.rest.is_empty()).then_some(Self::Slashing {
            staker,
            providers: first.keys,
            covenant: second.keys,
            quorum: second.threshold,
        })
    }

    /// Ascending keys without repetition, in roles that do not overlap, and a quorum that exists.
    fn is_possible(&self) -> bool {
        let ascends = |keys: &[XOnlyPublicKey]| keys.windows(2).all(|pair| pair[0].serialize() < pair[1].serialize());
        let (staker, providers) = (self.staker(), self.providers());
        let Some((covenant, quorum)) = self.covenant() else {
            return true;
        };
        ascends(providers)
            && ascends(covenant)
            && (1..=covenant.len()).contains(&usize::from(quorum))
            && !providers.contains(&staker)
            && !covenant.contains(&staker)
            && !providers.iter().any(|provider| covenant.contains(provider))
    }
}

/// A list of keys with its threshold, and what follows it.
struct Group<'a> {
    keys: Vec<XOnlyPublicKey>,
    threshold: u16,
    /// Whether it ends in the verifying form.
    verifies: bool,
    rest: &'a [Token],
}

impl<'a> Group<'a> {
    fn read(tokens: &'a [Token]) -> Option<Self> {
        let [Token::Key(first), Token::Op(op), rest @ ..] = tokens else {
            return None;
        };
        match *op {
            OP_CHECKSIGVERIFY => Some(Self { keys: vec![*first], threshold: 1, verifies: true, rest }),
            OP_CHECKSIG if rest.is_empty() => Some(Self { keys: vec![*first], threshold: 1, verifies: false, rest }),
            OP_CHECKSIG => Self::several(*first, rest),
            _ => None,
        }
    }

    fn several(first: XOnlyPublicKey, mut rest: &'a [Token]) -> Option<Self> {
        let mut keys = vec![first];
        while let [Token::Key(key), Token::Op(OP_CHECKSIGADD), after @ ..] = rest {
            keys.push(*key);
            rest = after;
        }
        let [Token::Number(threshold), Token::Op(end), rest @ ..] = rest else {
            return None;
        };
        let verifies = match *end {
            OP_NUMEQUALVERIFY => true,
            OP_NUMEQUAL => false,
            _ => return None,
        };
        Some(Self { keys, threshold: *threshold, verifies, rest })
    }
}

/// What a leaf is made of.
#[derive(Clone, Copy, Debug)]
enum Token {
    Key(XOnlyPublicKey),
    Number(u16),
    Op(Opcode),
}

fn tokens(script: &Script) -> Option<Vec<Token>> {
    script.instructions().map(|instruction| token(&instruction.ok()?)).collect()
}

fn token(instruction: &Instruction<'_>) -> Option<Token> {
    match instruction {
        Instruction::PushBytes(bytes) if bytes.len() == 32 => {
            XOnlyPublicKey::from_slice(bytes.as_bytes()).ok().map(Token::Key)
        }
        Instruction::PushBytes(bytes) => {
            read_scriptint(bytes.as_bytes()).ok().and_then(|number| u16::try_from(number).ok()).map(Token::Number)
        }
        Instruction::Op(op) => match op.classify(ClassifyContext::TapScript) {
            Class::PushNum(number) => u16::try_from(number).ok().map(Token::Number),
            _ => Some(Token::Op(*op)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripts::StakingTerms;
    use palisade_crypto::eots::SecretKey;
    use proptest::prelude::*;

    fn key(number: u8) -> XOnlyPublicKey {
        XOnlyPublicKey::from_slice(&SecretKey::from_bytes(&[number; 32]).unwrap().public().to_bytes()).unwrap()
    }

    fn terms(providers: u8, covenant: u8, quorum: u16, time: u16) -> StakingTerms {
        StakingTerms::new(
            key(1),
            (0..providers).map(|n| key(20 + n)).collect(),
            (0..covenant).map(|n| key(60 + n)).collect(),
            quorum,
            time,
            1_008,
        )
        .unwrap()
    }

    #[test]
    fn what_is_written_is_read_back_for_every_size_of_list() {
        for (providers, covenant, quorum, time) in [(1, 1, 1, 1), (1, 9, 6, 16), (3, 1, 1, 17), (8, 32, 17, 64_000)] {
            let terms = terms(providers, covenant, quorum, time);
            let output = terms.staking_output();
            let read = |script: &Script| LeafScript::read(script).unwrap();
            assert_eq!(read(&output.timelock.script), LeafScript::Timelock { staker: key(1), blocks: time });
            let unbonding = read(&output.unbonding.script);
            assert_eq!(unbonding.covenant(), Some((terms.covenant(), quorum)));
            let slashing = read(&output.slashing.script);
            assert_eq!((slashing.providers(), slashing.staker()), (terms.providers(), key(1)));
            assert_eq!(slashing.covenant(), Some((terms.covenant(), quorum)));
        }
    }

    #[test]
    fn almost_a_leaf_is_none() {
        let read = |script: ScriptBuf| LeafScript::read(&script);
        let mut down = vec![key(60), key(61), key(62)];
        down.sort_unstable_by_key(XOnlyPublicKey::serialize);
        let up = down.clone();
        down.reverse();
        assert!(read(scripts::unbonding_script(key(1), &up, 2)).is_ok());
        for script in [
            scripts::unbonding_script(key(1), &down, 2),
            scripts::unbonding_script(key(1), &up, 4),
            scripts::unbonding_script(up[0], &up, 2),
            scripts::unbonding_script(key(1), &[up[0], up[0]], 1),
            scripts::slashing_script(key(1), &up, &up, 2),
        ] {
            assert_eq!(read(script), Err(LeafError::NotCanonical));
        }
        assert_eq!(read(ScriptBuf::new()), Err(LeafError::Foreign));
        assert_eq!(read(ScriptBuf::from_bytes(vec![0x51])), Err(LeafError::Foreign));
        assert_eq!(read(ScriptBuf::from_bytes(vec![0; 5_000])), Err(LeafError::TooLong(5_000)));
        // 16 as a push of bytes, where a number has its own opcode
        let mut bytes = scripts::timelock_script(key(1), 16).into_bytes();
        bytes.splice(34..35, [1, 16]);
        assert_eq!(read(ScriptBuf::from_bytes(bytes)), Err(LeafError::NotCanonical));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = LeafScript::read(Script::from_bytes(&bytes));
        }

        #[test]
        fn one_changed_byte_never_reads_as_the_same_leaf(place in 0_usize..300, bit in 0_u8..8) {
            let script = terms(2, 3, 2, 128).staking_output().slashing.script;
            let mut bytes = script.to_bytes();
            let place = place % bytes.len();
            bytes[place] ^= 1 << bit;
            let read = LeafScript::read(Script::from_bytes(&bytes));
            prop_assert_ne!(read, LeafScript::read(&script));
        }
    }
}
