// The verifier of the node and this one say the same of every vector; tests/vectors/proofs/bundles.json is written by
// consensus/ledger/tests/proofs.rs.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { hexToBytes } from "@noble/hashes/utils.js";
import { type Clock, Unproven, verify } from "../src/proof.js";

interface Case {
  title: string;
  bundle: string;
  edit: { at: number; remove: number; insert: string };
  committee: string;
  now: { ethereum?: number; bitcoin?: number };
  answer: string;
}

const file = process.env["PALISADE_PROOFS"] ?? "../../tests/vectors/proofs/bundles.json";
const vectors: { bundles: Record<string, string>; cases: Case[] } = JSON.parse(readFileSync(file, "utf8"));

const bytes = (hex: string) => hexToBytes(hex.replace(/^0x/, ""));

function answer(bundle: Uint8Array, { committee, now }: Case): string {
  const clock: Clock =
    now.ethereum === undefined ? { bitcoin: BigInt(now.bitcoin!) } : { ethereum: BigInt(now.ethereum) };
  try {
    verify(bundle, bytes(committee), clock);
    return "ok";
  } catch (error) {
    if (error instanceof Unproven) return error.reason;
    throw error;
  }
}

function edited(bundle: Uint8Array, { at, remove, insert }: Case["edit"]): Uint8Array {
  return Uint8Array.from([...bundle.subarray(0, at), ...bytes(insert), ...bundle.subarray(at + remove)]);
}

for (const vector of vectors.cases) {
  test(`${vector.title}: ${vector.answer}`, () => {
    const bundle = edited(bytes(vectors.bundles[vector.bundle]!), vector.edit);
    assert.equal(answer(bundle, vector), vector.answer);
  });
}

test("there are vectors of every answer", () => {
  const answers = new Set(vectors.cases.map((vector) => vector.answer));
  const all = ["certificate", "malformed", "ok", "other_committee", "trust_expired", "wrong_claim", "wrong_header", "wrong_root"];
  assert.deepEqual([...answers].sort(), all);
});

test("every byte of a bundle counts", () => {
  const good = vectors.cases.find((vector) => vector.answer === "ok")!;
  const bundle = bytes(vectors.bundles[good.bundle]!);
  for (let at = 0; at < bundle.length; at += 41) {
    const tampered = Uint8Array.from(bundle);
    tampered[at]! ^= 1 << at % 8;
    assert.notEqual(answer(tampered, good), "ok", `byte ${at}`);
  }
  for (const length of [0, 1, 200, bundle.length - 1]) {
    assert.notEqual(answer(bundle.subarray(0, length), good), "ok");
  }
});

test("what is proven is told", () => {
  const good = vectors.cases.find((vector) => vector.title === "an operator")!;
  const proven = verify(bytes(vectors.bundles[good.bundle]!), bytes(good.committee), {
    ethereum: BigInt(good.now.ethereum!),
  });
  assert.equal(proven.epoch, 1);
  assert.equal(proven.key[0], 5); // the tag of operators, of key and row
  assert.equal(proven.row?.[0], 5);
});
