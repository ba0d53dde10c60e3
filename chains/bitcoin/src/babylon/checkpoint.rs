//! Babylon's own checkpoints on Bitcoin: two `OP_RETURN`s that together name an epoch, a block hash and who signed it.
//!
//! Part 0 is 78 bytes: tag, version and part in one byte, epoch, block hash, bitmap of signers, submitter. Part 1 is 63 bytes: tag, version and part,
//! the aggregated BLS signature, and the first ten bytes of the hash of part 0 without its first five.

use bitcoin::script::Instruction;
use bitcoin::{Script, Transaction};
use palisade_crypto::sha256;

/// The bytes of part 0.
pub const FIRST_BYTES: usize = 78;
/// The bytes of part 1.
pub const SECOND_BYTES: usize = 63;

/// A checkpoint put together again. Its BLS signature is not checked here: that needs the epoch's validators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The epoch.
    pub epoch: u64,
    /// The block hash its validators signed, together with the epoch.
    pub block_hash: [u8; 32],
    /// Which validators signed.
    pub bitmap: [u8; 13],
    /// The account that sent it to Bitcoin.
    pub submitter: [u8; 20],
    /// The aggregated BLS signature.
    pub signature: [u8; 48],
}

/// One half of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Everything but the signature.
    First {
        /// The epoch.
        epoch: u64,
        /// The block hash.
        block_hash: [u8; 32],
        /// Which validators signed.
        bitmap: [u8; 13],
        /// Who sent it.
        submitter: [u8; 20],
        /// What the second part must carry.
        link: [u8; 10],
    },
    /// The signature.
    Second {
        /// The aggregated BLS signature.
        signature: [u8; 48],
        /// Which first part it belongs to.
        link: [u8; 10],
    },
}

/// Why data is no checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The transaction has no `OP_RETURN`, or several.
    #[error("{0} OP_RETURN outputs instead of one")]
    Outputs(usize),
    /// The script is not one minimal push.
    #[error("the OP_RETURN is not one minimal push")]
    Push,
    /// The data has another length, tag, version or part.
    #[error("the data is no part of a checkpoint")]
    Form,
    /// The parts are not a first and a second one.
    #[error("the parts are not a first and a second one")]
    Parts,
    /// The second part is of another first one.
    #[error("the second part belongs to another checkpoint")]
    Unlinked,
}

impl Part {
    /// Reads the data of an `OP_RETURN` under a tag.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Form`].
    pub fn read(data: &[u8], tag: &[u8; 4]) -> Result<Self, CheckpointError> {
        let form = CheckpointError::Form;
        let (head, body) = data.split_at_checked(5).ok_or(form)?;
        if head[..4] != tag[..] {
            return Err(form);
        }
        match (head[4], data.len()) {
            (0x00, FIRST_BYTES) => Ok(Self::First {
                epoch: u64::from_be_bytes(part(body, 0)),
                block_hash: part(body, 8),
                bitmap: part(body, 40),
                submitter: part(body, 53),
                link: part(&sha256(body), 0),
            }),
            (0x10, SECOND_BYTES) => Ok(Self::Second { signature: part(body, 0), link: part(body, 48) }),
            _ => Err(form),
        }
    }

    /// Reads the only `OP_RETURN` of a transaction.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`].
    pub fn of(transaction: &Transaction, tag: &[u8; 4]) -> Result<Self, CheckpointError> {
        Self::read(op_return(transaction)?, tag)
    }
}

impl Checkpoint {
    /// Puts the two parts together, in their order.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Parts`] and [`CheckpointError::Unlinked`].
    pub fn join(first: &Part, second: &Part) -> Result<Self, CheckpointError> {
        let (Part::First { epoch, block_hash, bitmap, submitter, link }, Part::Second { signature, link: other }) =
            (first, second)
        else {
            return Err(CheckpointError::Parts);
        };
        if link != other {
            return Err(CheckpointError::Unlinked);
        }
        let (epoch, block_hash, bitmap, submitter) = (*epoch, *block_hash, *bitmap, *submitter);
        Ok(Self { epoch, block_hash, bitmap, submitter, signature: *signature })
    }

    /// The 121 bytes Babylon calls the raw checkpoint: everything, without tags and link.
    pub fn to_bytes(&self) -> Vec<u8> {
        [&self.epoch.to_be_bytes()[..], &self.block_hash, &self.bitmap, &self.submitter, &self.signature].concat()
    }

    /// What the validators sign: the epoch, then the block hash.
    pub fn message(&self) -> [u8; 40] {
        part(&self.to_bytes(), 0)
    }
}

/// The data of the one `OP_RETURN` of a transaction.
///
/// # Errors
///
/// [`CheckpointError::Outputs`] and [`CheckpointError::Push`].
pub fn op_return(transaction: &Transaction) -> Result<&[u8], CheckpointError> {
    let scripts: Vec<&Script> = transaction
        .output
        .iter()
        .map(|output| output.script_pubkey.as_script())
        .filter(|script| script.is_op_return())
        .collect();
    match scripts[..] {
        [script] => pushed(script).ok_or(CheckpointError::Push),
        _ => Err(CheckpointError::Outputs(scripts.len())),
    }
}

/// The bytes that `OP_RETURN` and one minimal push carry.
pub(crate) fn pushed(script: &Script) -> Option<&[u8]> {
    let mut instructions = script.instructions_minimal().skip(1);
    match (instructions.next(), instructions.next()) {
        (Some(Ok(Instruction::PushBytes(bytes))), None) => Some(bytes.as_bytes()),
        _ => None,
    }
}

/// `N` bytes of a slice whose length was checked.
fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("a slice of N bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::{Amount, ScriptBuf, TxOut};
    use proptest::prelude::*;

    const TAG: [u8; 4] = *b"bbt4";

    fn parts() -> (Vec<u8>, Vec<u8>) {
        let body: Vec<u8> = (0..73).collect();
        let first = [&TAG[..], &[0], &body].concat();
        let second = [&TAG[..], &[0x10], &[9; 48], &sha256(&body)[..10]].concat();
        (first, second)
    }

    #[test]
    fn two_parts_make_one_checkpoint() {
        let (first, second) = parts();
        let read = |bytes: &[u8]| Part::read(bytes, &TAG);
        let whole = Checkpoint::join(&read(&first).unwrap(), &read(&second).unwrap()).unwrap();
        assert_eq!(whole.epoch, 0x0001_0203_0405_0607);
        assert_eq!(whole.to_bytes(), [&first[5..], &[9; 48]].concat());
        assert_eq!(whole.message()[..], first[5..45]);
        let (first, second) = (read(&first).unwrap(), read(&second).unwrap());
        assert_eq!(Checkpoint::join(&second, &first), Err(CheckpointError::Parts));
        let Part::Second { signature, .. } = second else { panic!() };
        let strange = Part::Second { signature, link: [0; 10] };
        assert_eq!(Checkpoint::join(&first, &strange), Err(CheckpointError::Unlinked));
    }

    #[test]
    fn other_data_is_none() {
        let (first, second) = parts();
        for (place, byte) in [(0, 0), (4, 1), (4, 0x10)] {
            let mut changed = first.clone();
            changed[place] = byte;
            assert_eq!(Part::read(&changed, &TAG), Err(CheckpointError::Form));
        }
        assert_eq!(Part::read(&first[..77], &TAG), Err(CheckpointError::Form));
        assert_eq!(Part::read(&[&second[..], &[0]].concat(), &TAG), Err(CheckpointError::Form));
        assert_eq!(Part::read(&[], &TAG), Err(CheckpointError::Form));
    }

    #[test]
    fn a_transaction_carries_one_minimal_push() {
        let (first, _) = parts();
        let mut transaction = bitcoin::constants::genesis_block(bitcoin::Network::Regtest).txdata.remove(0);
        let with = |scripts: &[Vec<u8>], transaction: &mut Transaction| {
            let output =
                |script: &Vec<u8>| TxOut { value: Amount::ZERO, script_pubkey: ScriptBuf::from_bytes(script.clone()) };
            transaction.output = scripts.iter().map(output).collect();
            Part::of(transaction, &TAG).map(drop)
        };
        let minimal = [&[0x6a, 0x4c, 78][..], &first].concat();
        let long = [&[0x6a, 0x4d, 78, 0][..], &first].concat();
        assert_eq!(with(std::slice::from_ref(&minimal), &mut transaction), Ok(()));
        assert_eq!(with(&[minimal.clone(), vec![0x51]], &mut transaction), Ok(()));
        assert_eq!(with(&[long], &mut transaction), Err(CheckpointError::Push));
        assert_eq!(with(&[], &mut transaction), Err(CheckpointError::Outputs(0)));
        assert_eq!(with(&[minimal.clone(), minimal], &mut transaction), Err(CheckpointError::Outputs(2)));
        assert_eq!(with(&[vec![0x6a]], &mut transaction), Err(CheckpointError::Push));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = Part::read(&bytes, &TAG);
            let _ = pushed(Script::from_bytes(&bytes));
        }
    }
}
