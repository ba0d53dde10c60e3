#!/usr/bin/env bash
# Sets up what is missing and runs every test. Arguments are the test runner's own.
# Every run plays two devnets, one after the other: the main job (kill-all, equivocation, join, vault-slashed, restart), and two of the
# longer scenarios; it fuzzes a third of the parsers and plays an eighth of a thousand seeded worlds. All three are others with each
# commit. `./tests/run.sh --all` takes all of them; `PALISADE_SCENARIOS=vault-expiry,bitcoin-reorg ./tests/run.sh` plays these, and
# `PALISADE_FATES=0..1000` those worlds.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. deploy/setup.sh
all=""
[ "${1:-}" = --all ] && all=1 && shift

OTHERS=(vault-life vault-expansion vault-expiry vault-claim ethereum-reorg rpc-disagreement bitcoin-reorg bitcoin-deep-reorg kill-one kill-two-and-back rejoin-from-genesis rejoin-from-snapshot partition
  doppelganger restored-backup committee-change vault-unbonding-race equivocation-vote slash-order slash-pair deallocation withdrawal-queue partial-slash veto-executed veto-vetoed succession jail-unjail correlated-fault throttle)
if [ -n "$all" ]; then
  PALISADE_SCENARIOS=all
elif [ -z "${PALISADE_SCENARIOS:-}" ]; then
  commits=$(git rev-list --count HEAD 2>/dev/null || echo 0) # a copy without history always plays the same two
  first=$((commits * 2 % ${#OTHERS[@]}))
  PALISADE_SCENARIOS=${OTHERS[first]},${OTHERS[(first + 1) % ${#OTHERS[@]}]}
fi
export PALISADE_SCENARIOS
for name in ${PALISADE_SCENARIOS//,/ }; do
  [[ " all ${OTHERS[*]} " == *" $name "* ]] && continue
  echo "PALISADE_SCENARIOS names '$name'; there are ${OTHERS[*]}, or all" >&2
  exit 2
done
echo "== scenarios: kill-all, equivocation, vault-slashed and PALISADE_SCENARIOS=$PALISADE_SCENARIOS"
echo "   (others by that variable, of: ${OTHERS[*]}; all of them by --all)"

# The worlds whose turn it is: after eight commits each was played.
if [ -z "${PALISADE_FATES:-}" ]; then
  PALISADE_FATES=0..1000
  [ -n "$all" ] || PALISADE_FATES=$(($(git rev-list --count HEAD 2>/dev/null || echo 0) % 8 * 125))
  [ -n "$all" ] || PALISADE_FATES=$PALISADE_FATES..$((PALISADE_FATES + 125))
fi
export PALISADE_FATES
echo "== worlds: PALISADE_FATES=$PALISADE_FATES"

TOOLS="$HOME/.cache/palisade/tools"
CONTRACTS=chains/ethereum/contracts

install_tools() {
  [ -d "$TOOLS/node_modules/solc" ] && ls "$TOOLS"/node_modules/@foundry-rs/{anvil,forge}-*/bin/* >/dev/null 2>&1 && return
  echo "== installing anvil, forge and solc from npm into $TOOLS"
  npm install --no-audit --no-fund --loglevel=error --prefix "$TOOLS" \
    @foundry-rs/anvil@1.7.1 @foundry-rs/forge@1.7.1 solc@0.8.37
}

# Whatever a test that was itself killed left behind: by pid, and only what its pid files name.
end_leftovers() {
  local folder
  for folder in devnet others bitcoin-only; do
    "$CARGO_TARGET_DIR/debug/palisade-devnet" --dir "$PALISADE_TEST_DIR/$folder" reset >/dev/null 2>&1 || true
  done
  rm -rf "$PALISADE_TEST_DIR"
}

# Rule numbers that no test's name starts with: rNN_ or rNN_rMM_.
missing_rules() {
  local tested rule missing=""
  tested=$(grep -rhoE '^\s*(async )?fn (r[0-9]{2}_)+' --include='*.rs' consensus chains storage node deploy tests |
    grep -oE 'r[0-9]{2}' | sort -u
    grep -rhoE 'function (test|testFuzz)_r[0-9]{2}_' --include='*.sol' "$CONTRACTS/test" | grep -oE 'r[0-9]{2}' | sort -u)
  for rule in $(seq 1 32); do
    grep -qx "$(printf 'r%02d' "$rule")" <<<"$tested" || missing+=" R$rule"
  done
  echo "rules of PROTOCOL.md without a test of their own:${missing:- none}"
}

# The parsers whose turn it is: after three commits each had one.
fuzz_share() {
  local names turn=0 count
  mapfile -t names < <(./tests/fuzz/run.sh names)
  count=$(git rev-list --count HEAD 2>/dev/null || echo 0)
  [ -n "$all" ] || mapfile -t names < <(for name in "${names[@]}"; do
    [ $((turn++ % 3)) = $((count % 3)) ] && echo "$name"
  done)
  ./tests/fuzz/run.sh "$FUZZ_SECONDS" "${names[@]}"
}
FUZZ_SECONDS=30

install_missing
install_tools
echo "== contracts: the artifacts are what the sources say, and forge's tests"
PALISADE_TOOLS="$TOOLS/node_modules" "$CONTRACTS/build.sh" --check
PALISADE_TOOLS="$TOOLS/node_modules" "$CONTRACTS/test.sh"
echo "== the verifier of proofs in TypeScript"
node/web/test.sh
echo "== format"
cargo fmt --all --check
echo "== clippy"
cargo clippy --workspace --all-targets --locked -- --deny warnings
build
echo "== bitcoind"
"$CARGO_TARGET_DIR/debug/palisade-devnet" tools
echo "== test vectors"
vectors=(tests/vectors)
[ -d ../shared/vectors ] && vectors+=(../shared/vectors)
"$CARGO_TARGET_DIR/debug/vectors" "${vectors[@]}"
echo "== rules"
missing_rules
echo "== fuzzing"
fuzz_share
echo "== tests"
PALISADE_TEST_DIR=$(mktemp -d)
export PALISADE_TEST_DIR
trap end_leftovers EXIT
if command -v cargo-nextest >/dev/null; then
  cargo nextest run --workspace --all-targets --locked "$@"
else
  cargo test --workspace --all-targets --locked "$@"
fi
