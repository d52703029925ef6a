// Compiles the contracts to artifacts/NAME.json, always to the same bytes.
//
//   node build.mjs           writes the artefacts
//   node build.mjs --check   writes nothing; exits 1 if the committed artefacts are not what the sources give

import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";

const CONTRACTS = ["MicroTransferChannels", "TestToken"];

// Everything that the bytecode depends on. "paris" runs on every chain: it is the last EVM version without PUSH0. No
// metadata hash: a changed comment must not change the bytecode.
const SETTINGS = {
  optimizer: { enabled: true, runs: 200 },
  evmVersion: "paris",
  metadata: { bytecodeHash: "none", appendCBOR: false },
  outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] } },
};

const here = (path) => new URL(path, import.meta.url);
const artifact = (name) => here(`artifacts/${name}.json`);

function fail(sentence) {
  console.error(sentence);
  process.exit(1);
}

function compiler() {
  const pinned = JSON.parse(readFileSync(here("package.json"), "utf8")).devDependencies.solc;
  let solc;
  try {
    solc = createRequire(import.meta.url)("solc");
  } catch {
    fail(`The compiler is not installed: run \`npm ci\` in contracts/ first (solc ${pinned}).`);
  }
  if (!solc.version().startsWith(`${pinned}+`)) {
    fail(`The compiler is solc ${solc.version()}, package.json pins ${pinned}: run \`npm ci\` in contracts/.`);
  }
  return solc;
}

// The ABI as clients of 2018 read it: `constant` tells them whether to call or to send. `internalType` is left out.
function legacy(entry) {
  const plain = ({ name, type, indexed }) => (indexed === undefined ? { name, type } : { indexed, name, type });
  const { type, name, inputs, outputs, stateMutability, anonymous } = entry;
  const payable = stateMutability === "payable";
  switch (type) {
    case "function": {
      const constant = stateMutability === "view" || stateMutability === "pure";
      return { type, name, inputs: inputs.map(plain), outputs: outputs.map(plain), stateMutability, constant, payable };
    }
    case "event":
      return { type, name, inputs: inputs.map(plain), anonymous };
    case "constructor":
      return { type, inputs: inputs.map(plain), stateMutability, payable };
    default:
      return fail(`The ABI has a ${type}, which clients of 2018 do not know.`);
  }
}

function compile() {
  const solc = compiler();
  const files = CONTRACTS.map((name) => `${name}.sol`);
  const sources = Object.fromEntries(files.map((file) => [file, { content: readFileSync(here(file), "utf8") }]));
  const output = JSON.parse(solc.compile(JSON.stringify({ language: "Solidity", sources, settings: SETTINGS })));
  const problems = output.errors ?? [];
  if (problems.length > 0) {
    fail(problems.map((problem) => problem.formattedMessage).join("\n"));
  }
  return CONTRACTS.map((contractName) => {
    const { abi, evm } = output.contracts[`${contractName}.sol`][contractName];
    const content = {
      contractName,
      compiler: { name: "solc", version: solc.version(), optimizer: SETTINGS.optimizer, evmVersion: SETTINGS.evmVersion },
      abi: abi.map(legacy),
      bytecode: `0x${evm.bytecode.object}`,
      deployedBytecode: `0x${evm.deployedBytecode.object}`,
    };
    return [contractName, `${JSON.stringify(content, null, 1)}\n`];
  });
}

function committed(name) {
  try {
    return readFileSync(artifact(name), "utf8");
  } catch {
    return undefined;
  }
}

const built = compile();
if (process.argv.includes("--check")) {
  const stale = built.filter(([name, content]) => committed(name) !== content).map(([name]) => name);
  if (stale.length > 0) {
    fail(`contracts/artifacts is not what the sources give (${stale.join(", ")}): run \`node build.mjs\` and commit it.`);
  }
  console.log("contracts/artifacts is what the sources give.");
} else {
  for (const [name, content] of built) writeFileSync(artifact(name), content);
  console.log(`Wrote ${built.map(([name]) => `artifacts/${name}.json`).join(", ")}.`);
}
