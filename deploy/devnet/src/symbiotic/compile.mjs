// Compiles Symbiotic's core out of its npm package, with the compiler its pragma names, and prints creation codes by name.
// The folder with both packages is the only argument.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const packages = process.argv[2];
const solc = createRequire(`${packages}/`)("solc");
const core = "@symbioticfi/core/src/contracts";
const wanted = [
  "VaultFactory", "DelegatorFactory", "SlasherFactory", "NetworkRegistry", "OperatorRegistry", "VaultConfigurator",
  "service/NetworkMiddlewareService", "service/OptInService", "vault/Vault", "vault/VaultTokenized",
  "delegator/NetworkRestakeDelegator", "delegator/FullRestakeDelegator", "delegator/OperatorSpecificDelegator",
  "delegator/OperatorNetworkSpecificDelegator", "slasher/Slasher", "slasher/VetoSlasher",
];
const files = wanted.map((name) => `${core}/${name}.sol`);
const input = {
  language: "Solidity",
  sources: Object.fromEntries(files.map((file) => [file, { content: readFileSync(`${packages}/${file}`, "utf8") }])),
  settings: {
    optimizer: { enabled: true, runs: 200 },
    evmVersion: "cancun",
    metadata: { bytecodeHash: "none", appendCBOR: false },
    outputSelection: Object.fromEntries(files.map((file) => [file, { "*": ["evm.bytecode.object"] }])),
  },
};
const found = (path) => {
  try {
    return { contents: readFileSync(`${packages}/${path}`, "utf8") };
  } catch {
    return { error: `${path} is not there` };
  }
};
const output = JSON.parse(solc.compile(JSON.stringify(input), { import: found }));
const errors = (output.errors ?? []).filter((error) => error.severity === "error");
for (const error of errors) console.error(error.formattedMessage);
if (errors.length) process.exit(1);
const codes = Object.fromEntries(wanted.map((path) => {
  const name = path.split("/").pop();
  return [name, output.contracts[`${core}/${path}.sol`][name].evm.bytecode.object];
}));
process.stdout.write(JSON.stringify(codes));
