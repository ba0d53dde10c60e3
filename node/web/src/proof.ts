// One row of the ledger, believed by a reader who knows nothing but a committee's hash and how far his own Ethereum or Bitcoin is:
// consensus/types/src/proof.rs in TypeScript, written from the format alone and held to the same vectors.

import { keccak_256 } from "@noble/hashes/sha3.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { concatBytes } from "@noble/hashes/utils.js";
import { Malformed, Reader, encoded, equal, number } from "./canonical.js";
import {
  type Certificate,
  type Committee,
  certifies,
  committeeHash,
  keysOf,
  readCertificate,
  readCommittee,
} from "./committee.js";

const HEADER_VERSION = 1;
const MAX_DEPTH = 256;
const MAX_KEY = 256;
const MAX_ROW = 1 << 20;
const MAX_GENESIS = 1 << 20;
const EMPTY = new Uint8Array(32);

/** Where genesis has what proofs need: before its numbers come random bytes, two chains' names and their first anchors. */
const PARAMETERS = 32 + 8 + 32 + 52 + 52;
/** After three u64: the lengths of an epoch. */
const MAX_AGE_BLOCKS = PARAMETERS + 3 * 8;
const TRUST_BLOCKS = MAX_AGE_BLOCKS + 8;
/** How long genesis' numbers are; the registry's address comes after them. */
const PARAMETERS_BYTES = 22 * 8;
const REGISTRY = PARAMETERS + PARAMETERS_BYTES;

/** Why a proof proves nothing. */
export type Reason =
  | "malformed"
  | "other_committee"
  | "trust_expired"
  | "certificate"
  | "wrong_header"
  | "wrong_claim"
  | "wrong_root";

export class Unproven extends Error {
  constructor(readonly reason: Reason) {
    super(`the proof proves nothing: ${reason}`);
  }
}

/** How far a chain of the reader's own is; never what the node says that gave the proof. */
export type Clock = { ethereum: bigint } | { bitcoin: bigint };

/** What was proven. */
export interface Proven {
  /** Canonical bytes of the row's key. */
  key: Uint8Array;
  /** Canonical bytes of the row; `undefined` when there is none under this key. */
  row: Uint8Array | undefined;
  chain: Uint8Array;
  height: bigint;
  epoch: number;
  block: Uint8Array;
  stateRoot: Uint8Array;
}

interface Header {
  version: number;
  chain: Uint8Array;
  height: bigint;
  epoch: number;
  stateRoot: Uint8Array;
  bytes: Uint8Array;
}

type Terminal = "found" | "nothing" | { path: Uint8Array; value: Uint8Array };

interface Bundle {
  genesis: Uint8Array;
  committee: Committee;
  key: Uint8Array;
  row: Uint8Array | undefined;
  /** The other halves on the way, root first. */
  siblings: Uint8Array[];
  terminal: Terminal;
  header: Header;
  certificate: Certificate;
}

/** Checks a bundle, as `ledger_proof_bundle` gives it, under the committee whose hash the reader knows. Throws {@link Unproven}. */
export function verify(bytes: Uint8Array, committee: Uint8Array, now: Clock): Proven {
  const bundle = read(bytes);
  const chain = tagged("PALISADE/genesis/1", bundle.genesis);
  const keys = keysOf(bundle.committee);
  demand(equal(committeeHash(chain, bundle.committee, keys), committee), "other_committee");
  const lifetime = field(bundle.genesis, MAX_AGE_BLOCKS) + field(bundle.genesis, TRUST_BLOCKS);
  const late =
    "ethereum" in now
      ? now.ethereum > bundle.committee.ethereum.number + lifetime
      : now.bitcoin > bundle.committee.bitcoin.number + lifetime;
  demand(!late, "trust_expired");
  const domain = ledgerDomain(chain, bundle.genesis.subarray(REGISTRY, REGISTRY + 20));
  const { certificate, header } = bundle;
  demand(certifies(certificate, chain, domain, bundle.committee, committee, keys), "certificate");
  const block = keccak_256(header.bytes);
  demand(
    header.version === HEADER_VERSION &&
      equal(header.chain, chain) &&
      header.epoch === bundle.committee.epoch &&
      header.height === certificate.slot &&
      equal(block, certificate.digest),
    "wrong_header",
  );
  checkRow(bundle);
  const { key, row } = bundle;
  return { key, row, chain, height: header.height, epoch: header.epoch, block, stateRoot: header.stateRoot };
}

function demand(holds: boolean, reason: Reason): void {
  if (!holds) throw new Unproven(reason);
}

function read(bytes: Uint8Array): Bundle {
  try {
    const input = new Reader(bytes);
    const genesis = input.blob(MAX_GENESIS);
    if (genesis.length < REGISTRY + 20) throw new Malformed("genesis ends too early");
    const committee = readCommittee(input);
    const key = input.blob(MAX_KEY);
    const row = input.bool() ? input.blob(MAX_ROW) : undefined;
    const siblings = input.list(MAX_DEPTH, () => input.take(32));
    const bundle = { genesis, committee, key, row, siblings, terminal: readTerminal(input) };
    const whole = { ...bundle, header: readHeader(input), certificate: readCertificate(input) };
    input.end();
    return whole;
  } catch (error) {
    if (error instanceof Malformed) throw new Unproven("malformed");
    throw error;
  }
}

function readTerminal(input: Reader): Terminal {
  const tag = input.u8();
  switch (tag) {
    case 0:
      return "found";
    case 1:
      return "nothing";
    case 2:
      return { path: input.take(32), value: input.take(32) };
    default:
      throw new Malformed(`unknown Terminal tag ${tag}`);
  }
}

/** version u16 | chain | height u64 | epoch u32 | parent | items root | state root | next committee. */
function readHeader(input: Reader): Header {
  const bytes = input.take(2 + 32 + 8 + 4 + 4 * 32);
  const fields = new Reader(bytes);
  const [version, chain, height, epoch] = [fields.u16(), fields.take(32), fields.u64(), fields.u32()];
  fields.take(64);
  return { version, chain, height, epoch, stateRoot: fields.take(32), bytes };
}

function field(genesis: Uint8Array, at: number): bigint {
  return number(genesis.subarray(at, at + 8));
}

/** The domain in which finality is attested: the network's own (service and registration zero), kind 1. */
function ledgerDomain(chain: Uint8Array, registry: Uint8Array): Uint8Array {
  const tag = new TextEncoder().encode("PALISADE-DOM-1");
  return keccak_256(concatBytes(tag, chain, registry, new Uint8Array(32), encoded(0, 8), encoded(1, 2)));
}

/** The tagged hash of BIP-340. */
function tagged(tag: string, bytes: Uint8Array): Uint8Array {
  const hash = sha256(new TextEncoder().encode(tag));
  return sha256(concatBytes(hash, hash, bytes));
}

function leaf(path: Uint8Array, value: Uint8Array): Uint8Array {
  return keccak_256(concatBytes(Uint8Array.of(0), path, value));
}

/** Bit `depth` of a path, most significant first. */
function bit(path: Uint8Array, depth: number): number {
  return (path[depth >> 3]! >> (7 - (depth & 7))) & 1;
}

/** Goes from the row, or from what stands in its place, to the header's state root. */
function checkRow({ key, row, siblings, terminal, header }: Bundle): void {
  const path = keccak_256(key);
  let below = end(path, row, terminal, siblings.length);
  for (let depth = siblings.length - 1; depth >= 0; depth--) {
    const [left, right] = bit(path, depth) === 1 ? [siblings[depth]!, below] : [below, siblings[depth]!];
    below = keccak_256(concatBytes(Uint8Array.of(1), left, right));
  }
  demand(equal(below, header.stateRoot), "wrong_root");
}

function end(path: Uint8Array, row: Uint8Array | undefined, terminal: Terminal, depth: number): Uint8Array {
  if (terminal === "found" && row !== undefined) return leaf(path, keccak_256(row));
  if (terminal === "nothing" && row === undefined) return EMPTY;
  if (typeof terminal === "object" && row === undefined) {
    const other = terminal.path;
    const sharesTheWay = Array.from({ length: depth }, (_, at) => bit(other, at) === bit(path, at)).every(Boolean);
    demand(!equal(other, path) && sharesTheWay, "wrong_claim");
    return leaf(other, terminal.value);
  }
  throw new Unproven("wrong_claim");
}
