// Compiles the contracts with npm's solc. Run build.sh, which finds the compiler.
// What it writes depends on the sources and the settings below only, so that CI can compare.
import { createRequire } from "node:module";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";

const solc = createRequire(`${process.env.PALISADE_TOOLS}/`)("solc");
const check = process.argv.includes("--check");
const SIZE_LIMIT = 24_576; // EIP-170

const DOUBLES = "test/doubles";

const files = ["src", "src/interfaces", "devnet", DOUBLES].flatMap((folder) =>
  readdirSync(folder).filter((name) => name.endsWith(".sol")).sort().map((name) => `${folder}/${name}`));
const input = {
  language: "Solidity",
  sources: Object.fromEntries(files.map((file) => [file, { content: readFileSync(file, "utf8") }])),
  settings: {
    optimizer: { enabled: true, runs: 1_000_000 },
    viaIR: true,
    evmVersion: "osaka",
    metadata: { bytecodeHash: "none", appendCBOR: false },
    outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] } },
  },
};

const output = JSON.parse(solc.compile(JSON.stringify(input)));
for (const error of output.errors ?? []) console.error(error.formattedMessage);
if (output.errors?.length) process.exit(1); // warnings too

// Test doubles are kept apart from what is deployed.
const artifacts = { artifacts: new Map(), "test/artifacts": new Map() };
for (const file of files) {
  for (const [name, contract] of Object.entries(output.contracts[file] ?? {})) {
    const code = contract.evm.bytecode.object;
    if (code.length === 0 || contract.abi.every((item) => item.type === "error")) continue; // interfaces, libraries
    const deployedSize = contract.evm.deployedBytecode.object.length / 2;
    if (deployedSize > SIZE_LIMIT) throw new Error(`${name} has ${deployedSize} bytes, more than ${SIZE_LIMIT}`);
    const artifact = { name, solc: solc.version(), abi: contract.abi, bytecode: `0x${code}`, deployedSize };
    const folder = file.startsWith(DOUBLES) ? "test/artifacts" : "artifacts";
    artifacts[folder].set(`${name}.json`, `${JSON.stringify(artifact, null, 1)}\n`);
    console.log(`${name}: ${deployedSize} bytes`);
  }
}

const wrong = Object.entries(artifacts).flatMap(([folder, expected]) => {
  mkdirSync(folder, { recursive: true });
  const stale = readdirSync(folder).filter((name) => !expected.has(name)).map((name) => `${folder}/${name}`);
  if (check) {
    const differs = ([name, text]) => !existsSync(`${folder}/${name}`) || readFileSync(`${folder}/${name}`, "utf8") !== text;
    return [...stale, ...[...expected].filter(differs).map(([name]) => `${folder}/${name}`)];
  }
  for (const path of stale) rmSync(path);
  for (const [name, text] of expected) writeFileSync(`${folder}/${name}`, text);
  return [];
});
if (wrong.length) {
  console.error(`artifacts differ from the sources: ${wrong.join(", ")}. Run build.sh.`);
  process.exit(1);
}
