//! Proofs that somebody holds a key, in the forms that wallets sign.

use bitcoin::{Network, XOnlyPublicKey};
use palisade_bitcoin::babylon::context::Context;
use palisade_bitcoin::babylon::possession::{Possession, read_witness};

/// An account of Babylon's that owns nothing here.
const OWNER: &str = "bbn1lhf40qkva2f2n3snjjaglsx2yvwz7da9qa0tup";

/// BIP-341's point, whose secret nobody knows.
const NOBODY: &str = "50929b74c1a04954b78b4b6035e97a5e078a5a0f28ec96d547bfee9ace803ac0";

/// One byte for the form, then the proof; and the same bytes as a witness. Nobody can prove to hold the key that has no secret.
pub(crate) fn proof(bytes: &[u8]) {
    let _ = read_witness(bytes);
    let Some((form, proof)) = bytes.split_first() else { return };
    let Ok(proof) = Possession::read(u32::from(*form), proof) else { return };
    let nobody: XOnlyPublicKey = NOBODY.parse().expect("a point of the curve");
    let context = Context::none_to_verify_existing_data();
    for network in [Network::Bitcoin, Network::Signet, Network::Regtest] {
        assert!(proof.verify(&nobody, OWNER, &context, network).is_err());
    }
}

/// Seeds: each form, with an address of each kind that may prove and of one that may not.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let addresses = [
        "bc1q9vza2e8x573nczrlzms0wvx3gsqjx7vavgkx0l", // BIP-322's own
        "bc1ppv609nr0vr25u07u95waq5lucwfm6tde4nydujnu8npg4q75mr5sxq8lt3",
        "3AxvZHAn6UnNs3KXWxRjc6xLAfmSRpM6Ye",
    ];
    let witness = [&[2, 71][..], &[0x30; 71], &[33, 2], &[7; 32]].concat();
    let signed = addresses.map(|address| [&[1][..], &field(1, address.as_bytes()), &field(2, &witness)].concat());
    signed.into_iter().chain([vec![0; 65], [&[2][..], &[31; 65]].concat(), witness]).collect()
}

/// A protobuf field of bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).expect("a short seed");
    let length = if length < 0x80 { vec![length] } else { vec![length | 0x80, 1] };
    [&[number << 3 | 2], length.as_slice(), bytes].concat()
}
