// A committee, its hash, and what more than two thirds of its ETH-side weight say: consensus/types/src/certificate.rs in TypeScript.

import { bls12_381 } from "@noble/curves/bls12-381.js";
import { keccak_256 } from "@noble/hashes/sha3.js";
import { concatBytes } from "@noble/hashes/utils.js";
import { Malformed, Reader, encoded, equal, number } from "./canonical.js";

/** The largest committee: a one-word bitmap on chain. */
const MAX_MEMBERS = 256;
const CERTIFICATE_VERSION = 1;
/** The scheme of draft-irtf-cfrg-bls-signature-05 with proofs of possession, signatures in G1. */
const SIGNATURE_DST = "BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_";
const ATTESTATION = new TextEncoder().encode("PALISADE-ATT-1");

type Key = InstanceType<typeof bls12_381.G2.Point>;

/** A final block of a chain; `bytes` is its encoding. */
export interface Point {
  number: bigint;
  bytes: Uint8Array;
}

export interface Member {
  operator: Uint8Array;
  /** The registry's number of the key row. */
  key: Uint8Array;
  /** Compressed, in G2; zero in a seat of epoch 0. */
  bls: Uint8Array;
  ed25519: Uint8Array;
  eots: Uint8Array;
  randomness: Uint8Array;
  /** Micro-dollars. */
  ether: bigint;
  /** Satoshis. */
  bitcoin: bigint;
  engine: bigint;
}

export interface Committee {
  epoch: number;
  /** Where its weights were looked at. */
  ethereum: Point;
  bitcoin: Point;
  members: Member[];
}

export interface Certificate {
  version: number;
  chain: Uint8Array;
  committee: Uint8Array;
  domain: Uint8Array;
  slot: bigint;
  digest: Uint8Array;
  members: number;
  /** Bit i (byte i / 8, bit i % 8 from the lowest) is member i. */
  signers: Uint8Array;
  signature: Uint8Array;
}

function readPoint(input: Reader): Point {
  const bytes = input.take(8 + 32 + 4 + 8);
  return { number: number(bytes.subarray(0, 8)), bytes };
}

export function readCommittee(input: Reader): Committee {
  return {
    epoch: input.u32(),
    ethereum: readPoint(input),
    bitcoin: readPoint(input),
    members: input.list(MAX_MEMBERS, () => ({
      operator: input.take(20),
      key: input.take(4),
      bls: input.take(96),
      ed25519: input.take(32),
      eots: input.take(32),
      randomness: input.take(32),
      ether: input.u64(),
      bitcoin: input.u64(),
      engine: input.u64(),
    })),
  };
}

export function readCertificate(input: Reader): Certificate {
  const version = input.u8();
  const [chain, committee, domain] = [input.take(32), input.take(32), input.take(32)];
  const [slot, digest, members] = [input.u64(), input.take(32), input.u16()];
  const signers = input.take(Math.ceil(members / 8));
  if (members > MAX_MEMBERS) throw new Malformed(`a committee of ${members} is too large`);
  return { version, chain, committee, domain, slot, digest, members, signers, signature: input.take(48) };
}

/** A key, unless the bytes are none: not on the curve, outside its subgroup, or the identity. */
function decodeKey(bytes: Uint8Array): Key | undefined {
  try {
    const key = bls12_381.G2.Point.fromBytes(bytes);
    key.assertValidity();
    return key.is0() || !key.isTorsionFree() ? undefined : key;
  } catch {
    return undefined;
  }
}

/** The keys of the seats, in their order. */
export function keysOf(committee: Committee): (Key | undefined)[] {
  return committee.members.map((member) => decodeKey(member.bls));
}

function sum(keys: Key[]): Key {
  return keys.reduce((total, key) => total.add(key), bls12_381.G2.Point.ZERO);
}

/** Both coordinates, real part first; zero when there is no key. */
function packed(key: Key): Uint8Array {
  if (key.is0()) return new Uint8Array(192);
  const { x, y } = key.toAffine();
  return concatBytes(...[x.c0, x.c1, y.c0, y.c1].map((part) => encoded(part, 48)));
}

/** keccak256(chain id | epoch | snapshot points | total | n | aggregate key | H(key, ether) | H(the rest of each member)). */
export function committeeHash(chain: Uint8Array, committee: Committee, keys: (Key | undefined)[]): Uint8Array {
  const { members } = committee;
  const total = members.reduce((weight, member) => weight + member.ether, 0n);
  const judged = members.map((member) => concatBytes(member.key, encoded(member.ether, 8)));
  const rest = members.map((member) =>
    concatBytes(
      member.operator,
      encoded(member.bitcoin, 8),
      encoded(member.engine, 8),
      member.ed25519,
      member.eots,
      member.randomness,
    ),
  );
  return keccak_256(
    concatBytes(
      chain,
      encoded(committee.epoch, 4),
      committee.ethereum.bytes,
      committee.bitcoin.bytes,
      encoded(total, 16),
      encoded(members.length, 2),
      packed(sum(keys.filter((key) => key !== undefined))),
      keccak_256(concatBytes(...judged)),
      keccak_256(concatBytes(...rest)),
    ),
  );
}

/** Whether more than two thirds of the committee's ETH-side weight signed the certificate, in this very domain. */
export function certifies(
  certificate: Certificate,
  chain: Uint8Array,
  domain: Uint8Array,
  committee: Committee,
  hash: Uint8Array,
  keys: (Key | undefined)[],
): boolean {
  const { members } = committee;
  if (
    certificate.version !== CERTIFICATE_VERSION ||
    !equal(certificate.chain, chain) ||
    !equal(certificate.committee, hash) ||
    !equal(certificate.domain, domain) ||
    certificate.members !== members.length
  ) {
    return false;
  }
  const named = (index: number) => ((certificate.signers[index >> 3]! >> (index & 7)) & 1) === 1;
  for (let index = members.length; index < certificate.signers.length * 8; index++) {
    if (named(index)) return false;
  }
  const weigh = (some: Member[]) => some.reduce((weight, member) => weight + member.ether, 0n);
  if (weigh(members.filter((_, index) => named(index))) * 3n <= weigh(members) * 2n) return false;
  const signers = keys.filter((_, index) => named(index));
  if (!signers.every((key) => key !== undefined)) return false;
  const statement = concatBytes(ATTESTATION, chain, domain, encoded(certificate.slot, 8), certificate.digest);
  return signedBy(sum(signers), keccak_256(statement), certificate.signature);
}

function signedBy(key: Key, message: Uint8Array, bytes: Uint8Array): boolean {
  if (key.is0()) return false;
  try {
    const signature = bls12_381.G1.Point.fromBytes(bytes);
    signature.assertValidity();
    if (signature.is0() || !signature.isTorsionFree()) return false;
    const short = bls12_381.shortSignatures;
    return short.verify(signature, short.hash(message, SIGNATURE_DST), key);
  } catch {
    return false;
  }
}
