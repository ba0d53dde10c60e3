//! Proofs that a Babylon account's owner holds a Bitcoin key, in the three forms that wallets can sign.
//!
//! - BIP-340 over the hash of the account's bytes;
//! - BIP-322 ("simple") over the account's address as text, from a P2WPKH address or a Taproot address by its key path. No script is ever
//!   executed: an address that could be spent by somebody else's script proves nothing about the key (GHSA-xq4h-wqm2-668w);
//! - ECDSA over the "Bitcoin Signed Message" hash of the address, compact with recovery, low s only.

use std::str::FromStr as _;

use bitcoin::absolute::LockTime;
use bitcoin::address::NetworkUnchecked;
use bitcoin::consensus::encode;
use bitcoin::ecdsa;
use bitcoin::hashes::Hash as _;
use bitcoin::opcodes::OP_0;
use bitcoin::opcodes::all::OP_RETURN;
use bitcoin::script::Builder;
use bitcoin::secp256k1::{Message, PublicKey, SECP256K1, XOnlyPublicKey};
use bitcoin::sighash::{Prevouts, SighashCache};
use bitcoin::sign_message::{MessageSignature, signed_msg_hash};
use bitcoin::taproot;
use bitcoin::transaction::Version;
use bitcoin::{
    Address, Amount, EcdsaSighashType, Network, OutPoint, ScriptBuf, Sequence, TapSighashType, Transaction, TxIn,
    TxOut, Witness,
};
use palisade_crypto::{eots, sha256_all, tagged_hash};

use super::context::{AddressError, Context, account};

/// A proof of possession as it travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Possession {
    /// A Schnorr signature.
    Bip340([u8; 64]),
    /// A signed message of a wallet.
    Bip322 {
        /// The address whose key signed.
        address: String,
        /// The witness, as consensus encodes it.
        witness: Vec<u8>,
    },
    /// A compact ECDSA signature with its recovery byte.
    Ecdsa([u8; 65]),
}

/// Why a proof shows nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PossessionError {
    /// The type is none of 0, 1, 2.
    #[error("{0} is no type of proof")]
    Type(u32),
    /// The bytes are not of the type's form.
    #[error("the proof has another form")]
    Form,
    /// The account is none.
    #[error(transparent)]
    Account(#[from] AddressError),
    /// The address is of no kind that proves possession, or of another network.
    #[error("the address is neither P2WPKH nor Taproot of this network")]
    Address,
    /// The witness has more items than the key alone needs: a script, or an annex.
    #[error("a witness of {0} items does not spend by the key alone")]
    Witness(usize),
    /// The address is not that of this key.
    #[error("the address is not that of this key")]
    OtherKey,
    /// The signature commits to something else than the whole message.
    #[error("the signature's hash type is not allowed")]
    HashType,
    /// There are two ECDSA signatures for every one; only that with the lower s counts.
    #[error("the signature's s is in the upper half")]
    HighS,
    /// The signature does not hold.
    #[error("the signature does not match")]
    Mismatch,
}

impl Possession {
    /// Reads the message of `MsgCreateBTCDelegation`: a type, and the signature's bytes. BIP-322 is protobuf: field 1 the address, field 2
    /// the witness.
    ///
    /// # Errors
    ///
    /// [`PossessionError::Type`] and [`PossessionError::Form`].
    pub fn read(kind: u32, bytes: &[u8]) -> Result<Self, PossessionError> {
        match kind {
            0 => bytes.try_into().map(Self::Bip340).map_err(|_| PossessionError::Form),
            1 => fields(bytes).map(|(address, witness)| Self::Bip322 { address, witness }),
            2 => bytes.try_into().map(Self::Ecdsa).map_err(|_| PossessionError::Form),
            other => Err(PossessionError::Type(other)),
        }
    }

    /// Checks that the owner of `address` on Babylon holds `key`.
    ///
    /// # Errors
    ///
    /// [`PossessionError`].
    pub fn verify(
        &self,
        key: &XOnlyPublicKey,
        owner: &str,
        context: &Context,
        network: Network,
    ) -> Result<(), PossessionError> {
        let bytes = account(owner)?;
        let text = format!("{}{owner}", context.as_str());
        match self {
            Self::Bip340(signature) => bip340(key, &sha256_all(&[context.as_bytes(), &bytes]), signature),
            Self::Bip322 { address, witness } => {
                let address = address_of(address, network)?;
                let witness = read_witness(witness)?;
                belongs(&address, &witness, key)?;
                verify_message(&address, &witness, text.as_bytes())
            }
            Self::Ecdsa(signature) => ecdsa(key, &text, signature),
        }
    }
}

fn bip340(key: &XOnlyPublicKey, message: &[u8; 32], signature: &[u8; 64]) -> Result<(), PossessionError> {
    eots::PublicKey::from_bytes(&key.serialize())
        .and_then(|key| key.verify_schnorr(message, signature))
        .map_err(|_| PossessionError::Mismatch)
}

fn ecdsa(key: &XOnlyPublicKey, message: &str, bytes: &[u8; 65]) -> Result<(), PossessionError> {
    if !(27..=34).contains(&bytes[0]) {
        return Err(PossessionError::Form);
    }
    let signature = MessageSignature::from_slice(bytes).map_err(|_| PossessionError::Form)?;
    let standard = signature.signature.to_standard();
    let mut low = standard;
    low.normalize_s();
    if low != standard {
        return Err(PossessionError::HighS);
    }
    let signer =
        signature.recover_pubkey(SECP256K1, signed_msg_hash(message)).map_err(|_| PossessionError::Mismatch)?;
    if signer.inner.x_only_public_key().0 == *key { Ok(()) } else { Err(PossessionError::Mismatch) }
}

/// Reads an address, with everything that is not a single key refused.
fn address_of(text: &str, network: Network) -> Result<Address, PossessionError> {
    if text.len() > MAX_ADDRESS {
        return Err(PossessionError::Address);
    }
    let address = Address::<NetworkUnchecked>::from_str(text).map_err(|_| PossessionError::Address)?;
    address.require_network(network).map_err(|_| PossessionError::Address)
}

/// Reads a witness as BIP-322 writes it: all of it, and not more items than a key needs, which [`belongs`] counts.
pub fn read_witness(bytes: &[u8]) -> Result<Witness, PossessionError> {
    if bytes.len() > MAX_WITNESS {
        return Err(PossessionError::Form);
    }
    encode::deserialize(bytes).map_err(|_| PossessionError::Form)
}

/// Whether the address is `key`'s own: by its hash, or by BIP-86's tweak.
fn belongs(address: &Address, witness: &Witness, key: &XOnlyPublicKey) -> Result<(), PossessionError> {
    let script = address.script_pubkey();
    let same = match witness.len() {
        1 if script.is_p2tr() => script == ScriptBuf::new_p2tr(SECP256K1, *key, None),
        2 if script.is_p2wpkh() => {
            let signer = witness.nth(1).and_then(|key| PublicKey::from_slice(key).ok());
            signer.ok_or(PossessionError::Form)?.x_only_public_key().0 == *key
        }
        items if script.is_p2tr() || script.is_p2wpkh() => return Err(PossessionError::Witness(items)),
        _ => return Err(PossessionError::Address),
    };
    if same { Ok(()) } else { Err(PossessionError::OtherKey) }
}

/// The hash of a message (BIP-322).
pub fn message_hash(message: &[u8]) -> [u8; 32] {
    tagged_hash("BIP0322-signed-message", &[message])
}

/// The transaction that cannot be: its only output is locked as the address is, and it commits to the message.
pub fn to_spend(address: &Address, message: &[u8]) -> Transaction {
    let input = TxIn {
        previous_output: OutPoint::null(),
        script_sig: Builder::new().push_opcode(OP_0).push_slice(message_hash(message)).into_script(),
        sequence: Sequence::ZERO,
        witness: Witness::new(),
    };
    let output = TxOut { value: Amount::ZERO, script_pubkey: address.script_pubkey() };
    Transaction { version: Version(0), lock_time: LockTime::ZERO, input: vec![input], output: vec![output] }
}

/// The transaction that spends it, without its witness.
pub fn to_sign(address: &Address, message: &[u8]) -> Transaction {
    let input = TxIn {
        previous_output: OutPoint { txid: to_spend(address, message).compute_txid(), vout: 0 },
        script_sig: ScriptBuf::new(),
        sequence: Sequence::ZERO,
        witness: Witness::new(),
    };
    let output = TxOut { value: Amount::ZERO, script_pubkey: Builder::new().push_opcode(OP_RETURN).into_script() };
    Transaction { version: Version(0), lock_time: LockTime::ZERO, input: vec![input], output: vec![output] }
}

/// Checks a simple signature of BIP-322 by a P2WPKH address or a Taproot address' key path.
///
/// # Errors
///
/// [`PossessionError`].
pub fn verify_message(address: &Address, witness: &Witness, message: &[u8]) -> Result<(), PossessionError> {
    let script = address.script_pubkey();
    let transaction = to_sign(address, message);
    let spent = TxOut { value: Amount::ZERO, script_pubkey: script.clone() };
    let items: Vec<&[u8]> = witness.iter().collect();
    match items[..] {
        [signature] if script.is_p2tr() => verify_taproot(&transaction, &spent, signature),
        [signature, key] if script.is_p2wpkh() => verify_p2wpkh(&transaction, &spent, signature, key),
        _ if script.is_p2tr() || script.is_p2wpkh() => Err(PossessionError::Witness(items.len())),
        _ => Err(PossessionError::Address),
    }
}

fn verify_taproot(transaction: &Transaction, spent: &TxOut, signature: &[u8]) -> Result<(), PossessionError> {
    let signature = taproot::Signature::from_slice(signature).map_err(|_| PossessionError::Form)?;
    if !matches!(signature.sighash_type, TapSighashType::Default | TapSighashType::All) {
        return Err(PossessionError::HashType);
    }
    let hash = SighashCache::new(transaction)
        .taproot_key_spend_signature_hash(0, &Prevouts::All(std::slice::from_ref(spent)), signature.sighash_type)
        .map_err(|_| PossessionError::Form)?;
    let key = XOnlyPublicKey::from_slice(&spent.script_pubkey.as_bytes()[2..]).map_err(|_| PossessionError::Address)?;
    SECP256K1
        .verify_schnorr(&signature.signature, &Message::from_digest(hash.to_byte_array()), &key)
        .map_err(|_| PossessionError::Mismatch)
}

fn verify_p2wpkh(
    transaction: &Transaction,
    spent: &TxOut,
    signature: &[u8],
    key: &[u8],
) -> Result<(), PossessionError> {
    let key = bitcoin::CompressedPublicKey::from_slice(key).map_err(|_| PossessionError::Form)?;
    if ScriptBuf::new_p2wpkh(&key.wpubkey_hash()) != spent.script_pubkey {
        return Err(PossessionError::OtherKey);
    }
    let signature = ecdsa::Signature::from_slice(signature).map_err(|_| PossessionError::Form)?;
    if signature.sighash_type != EcdsaSighashType::All {
        return Err(PossessionError::HashType);
    }
    let hash = SighashCache::new(transaction)
        .p2wpkh_signature_hash(0, &spent.script_pubkey, spent.value, signature.sighash_type)
        .map_err(|_| PossessionError::Form)?;
    SECP256K1
        .verify_ecdsa(&Message::from_digest(hash.to_byte_array()), &signature.signature, &key.0)
        .map_err(|_| PossessionError::Mismatch)
}

/// The two length-delimited fields of a `BIP322Sig`, each once, in order.
fn fields(bytes: &[u8]) -> Result<(String, Vec<u8>), PossessionError> {
    let (address, rest) = field(bytes, 1)?;
    let (witness, rest) = field(rest, 2)?;
    if !rest.is_empty() {
        return Err(PossessionError::Form);
    }
    let address = std::str::from_utf8(address).map_err(|_| PossessionError::Form)?;
    Ok((address.to_owned(), witness.to_vec()))
}

/// One field, whose length fits into two bytes of a varint.
fn field(bytes: &[u8], number: u8) -> Result<(&[u8], &[u8]), PossessionError> {
    let (length, rest) = match bytes {
        [tag, length @ 0..=0x7f, rest @ ..] if *tag == number << 3 | 2 => (usize::from(*length), rest),
        [tag, low @ 0x80..=0xff, high @ 1..=0x7f, rest @ ..] if *tag == number << 3 | 2 => {
            (usize::from(low & 0x7f) | usize::from(*high) << 7, rest)
        }
        _ => return Err(PossessionError::Form),
    };
    rest.split_at_checked(length).ok_or(PossessionError::Form)
}

/// The longest address.
const MAX_ADDRESS: usize = 90;

/// The longest witness: a signature and a key, with room for refusing more by its count of items.
const MAX_WITNESS: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::super::context::module_address;
    use super::*;
    use bitcoin::key::TapTweak as _;
    use bitcoin::secp256k1::{Keypair, SecretKey};
    use proptest::prelude::*;

    const NETWORK: Network = Network::Signet;

    fn secret(number: u8) -> SecretKey {
        SecretKey::from_slice(&[number; 32]).unwrap()
    }

    fn key(number: u8) -> XOnlyPublicKey {
        secret(number).x_only_public_key(SECP256K1).0
    }

    fn owner() -> String {
        module_address("somebody")
    }

    fn none() -> Context {
        Context::none_to_verify_existing_data()
    }

    /// A wallet's signature over the owner's address from the Taproot address of `number`.
    fn taproot(number: u8, message: &str, kind: TapSighashType) -> Possession {
        let address = Address::p2tr(SECP256K1, key(number), None, NETWORK);
        let transaction = to_sign(&address, message.as_bytes());
        let spent = [TxOut { value: Amount::ZERO, script_pubkey: address.script_pubkey() }];
        let hash =
            SighashCache::new(&transaction).taproot_key_spend_signature_hash(0, &Prevouts::All(&spent), kind).unwrap();
        let pair = Keypair::from_secret_key(SECP256K1, &secret(number)).tap_tweak(SECP256K1, None).to_keypair();
        let signature = SECP256K1.sign_schnorr_no_aux_rand(&Message::from_digest(hash.to_byte_array()), &pair);
        let signature = taproot::Signature { signature, sighash_type: kind };
        bip322(&address, &Witness::p2tr_key_spend(&signature))
    }

    fn segwit(number: u8, message: &str, kind: EcdsaSighashType) -> Possession {
        let public = PublicKey::from_secret_key(SECP256K1, &secret(number));
        let address = Address::p2wpkh(&bitcoin::CompressedPublicKey(public), NETWORK);
        let transaction = to_sign(&address, message.as_bytes());
        let hash = SighashCache::new(&transaction)
            .p2wpkh_signature_hash(0, &address.script_pubkey(), Amount::ZERO, kind)
            .unwrap();
        let signature = SECP256K1.sign_ecdsa(&Message::from_digest(hash.to_byte_array()), &secret(number));
        bip322(&address, &Witness::p2wpkh(&ecdsa::Signature { signature, sighash_type: kind }, &public))
    }

    fn bip322(address: &Address, witness: &Witness) -> Possession {
        Possession::Bip322 { address: address.to_string(), witness: encode::serialize(witness) }
    }

    fn compact(number: u8, message: &str) -> [u8; 65] {
        let message = Message::from_digest(signed_msg_hash(message).to_byte_array());
        MessageSignature::new(SECP256K1.sign_ecdsa_recoverable(&message, &secret(number)), true).serialize()
    }

    #[test]
    fn every_form_proves_its_own_key_for_its_own_account_and_nothing_else() {
        for number in 1..=4 {
            // keys of both parities
            let schnorr = |message: &[u8]| {
                let hash = palisade_crypto::sha256(message);
                eots::SecretKey::from_bytes(&[number; 32]).unwrap().sign_schnorr(&hash)
            };
            let proofs = [
                Possession::Bip340(schnorr(&account(&owner()).unwrap())),
                taproot(number, &owner(), TapSighashType::Default),
                taproot(number, &owner(), TapSighashType::All),
                segwit(number, &owner(), EcdsaSighashType::All),
                Possession::Ecdsa(compact(number, &owner())),
            ];
            for proof in proofs {
                assert_eq!(proof.verify(&key(number), &owner(), &none(), NETWORK), Ok(()), "{proof:?}");
                assert!(proof.verify(&key(number + 1), &owner(), &none(), NETWORK).is_err());
                assert!(proof.verify(&key(number), &module_address("else"), &none(), NETWORK).is_err());
                let bound = Context::new(super::super::context::Purpose::StakerPossession, "chain", "verifier");
                assert!(proof.verify(&key(number), &owner(), &bound, NETWORK).is_err());
                assert!(proof.verify(&key(number), "bbn1", &none(), NETWORK).is_err());
            }
        }
    }

    #[test]
    fn what_is_not_a_signature_of_the_whole_message_by_the_key_alone_is_named() {
        let verify = |proof: &Possession| proof.verify(&key(1), &owner(), &none(), NETWORK);
        assert_eq!(
            verify(&taproot(1, &owner(), TapSighashType::SinglePlusAnyoneCanPay)),
            Err(PossessionError::HashType)
        );
        assert_eq!(verify(&segwit(1, &owner(), EcdsaSighashType::None)), Err(PossessionError::HashType));
        assert_eq!(verify(&taproot(2, &owner(), TapSighashType::Default)), Err(PossessionError::OtherKey));
        assert_eq!(verify(&segwit(2, &owner(), EcdsaSighashType::All)), Err(PossessionError::OtherKey));
        let Possession::Bip322 { address, .. } = taproot(1, &owner(), TapSighashType::Default) else { panic!() };
        let with = |address: &str, items: &[&[u8]]| {
            verify(&Possession::Bip322 {
                address: address.to_owned(),
                witness: encode::serialize(&Witness::from_slice(items)),
            })
        };
        // a script path, as GHSA-xq4h-wqm2-668w used it; nothing is executed
        assert_eq!(with(&address, &[&[0x51], &[0xc0; 33]]), Err(PossessionError::Witness(2)));
        assert_eq!(with(&address, &[]), Err(PossessionError::Witness(0)));
        assert_eq!(with(&address, &[&[1; 63]]), Err(PossessionError::Form));
        let p2wsh = Address::p2wsh(bitcoin::Script::new(), NETWORK).to_string();
        assert_eq!(with(&p2wsh, &[&[]]), Err(PossessionError::Address));
        assert_eq!(with("bc1q9vza2e8x573nczrlzms0wvx3gsqjx7vavgkx0l", &[&[]]), Err(PossessionError::Address));
        assert_eq!(with(&"b".repeat(91), &[&[]]), Err(PossessionError::Address));
    }

    #[test]
    fn the_twin_of_a_compact_signature_is_refused() {
        let bytes = compact(1, &owner());
        let mut twin = bytes;
        let s = SecretKey::from_slice(&bytes[33..]).unwrap().negate();
        twin[33..].copy_from_slice(&s.secret_bytes());
        twin[0] = 27 + ((twin[0] - 27) ^ 1);
        let verify = |bytes| Possession::Ecdsa(bytes).verify(&key(1), &owner(), &none(), NETWORK);
        assert_eq!(verify(bytes), Ok(()));
        assert_eq!(verify(twin), Err(PossessionError::HighS));
        for header in [0, 26, 35, 255] {
            let mut other = bytes;
            other[0] = header;
            assert_eq!(verify(other), Err(PossessionError::Form));
        }
        let mut uncompressed = bytes;
        uncompressed[0] -= 4; // the flag says how the key was written, and only its x counts
        assert_eq!(verify(uncompressed), Ok(()));
    }

    #[test]
    fn proofs_are_read_from_their_fields() {
        let good = [&[0x0a, 2][..], b"ab", &[0x12, 3], b"cde"].concat();
        let read = Possession::read(1, &good).unwrap();
        assert_eq!(read, Possession::Bip322 { address: "ab".to_owned(), witness: b"cde".to_vec() });
        let long = [&[0x0a, 0][..], &[0x12, 0x80, 1], &[7; 128]].concat();
        assert!(Possession::read(1, &long).is_ok());
        assert_eq!(Possession::read(1, &[&good[..], &[0]].concat()), Err(PossessionError::Form));
        assert_eq!(Possession::read(1, &good[..8]), Err(PossessionError::Form));
        assert_eq!(Possession::read(0, &[0; 63]), Err(PossessionError::Form));
        assert_eq!(Possession::read(2, &[0; 64]), Err(PossessionError::Form));
        assert_eq!(Possession::read(3, &[]), Err(PossessionError::Type(3)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(kind in 0_u32..4, bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(proof) = Possession::read(kind, &bytes) {
                prop_assert!(proof.verify(&key(1), &owner(), &none(), NETWORK).is_err());
            }
        }
    }
}
