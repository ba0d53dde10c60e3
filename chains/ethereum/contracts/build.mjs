// Compiles the contracts with npm's solc. Run build.sh, which finds the compiler.
// What it writes depends on the sources and the settings below only, so that CI can compare.
import { createRequire } from "node:module";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";

const solc = createRequire(`${process.env.PALISADE_TOOLS}/`)("solc");
const check = process.argv.includes("--check");
const SIZE_LIMIT = 24_576; // EIP-170

const files = ["src", "src/interfaces", "devnet"].flatMap((folder) =>
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

const artifacts = new Map();
for (const file of files) {
  for (const [name, contract] of Object.entries(output.contracts[file] ?? {})) {
    const code = contract.evm.bytecode.object;
    if (code.length === 0 || contract.abi.every((item) => item.type === "error")) continue; // interfaces, libraries
    const deployedSize = contract.evm.deployedBytecode.object.length / 2;
    if (deployedSize > SIZE_LIMIT) throw new Error(`${name} has ${deployedSize} bytes, more than ${SIZE_LIMIT}`);
    const artifact = { name, solc: solc.version(), abi: contract.abi, bytecode: `0x${code}`, deployedSize };
    artifacts.set(`${name}.json`, `${JSON.stringify(artifact, null, 1)}\n`);
    console.log(`${name}: ${deployedSize} bytes`);
  }
}

mkdirSync("artifacts", { recursive: true });
const stale = readdirSync("artifacts").filter((name) => !artifacts.has(name));
if (check) {
  const wrong = [...artifacts].filter(([name, text]) =>
    !existsSync(`artifacts/${name}`) || readFileSync(`artifacts/${name}`, "utf8") !== text).map(([name]) => name);
  if (wrong.length + stale.length) {
    console.error(`artifacts differ from the sources: ${[...wrong, ...stale].join(", ")}. Run build.sh.`);
    process.exit(1);
  }
} else {
  for (const name of stale) rmSync(`artifacts/${name}`);
  for (const [name, text] of artifacts) writeFileSync(`artifacts/${name}`, text);
}
