#!/usr/bin/env node
// npm's solc with the two switches of the native compiler that forge uses.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const solc = createRequire(`${process.env.PALISADE_TOOLS}/`)("solc");
if (process.argv.includes("--version")) {
  console.log(`solc, the solidity compiler commandline interface\nVersion: ${solc.version()}`);
} else if (process.argv.includes("--standard-json")) {
  process.stdout.write(solc.compile(readFileSync(0, "utf8")));
} else {
  console.error("solc.mjs answers --version and --standard-json only");
  process.exit(2);
}
