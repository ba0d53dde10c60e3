#!/usr/bin/env bash
# Fuzzes every parser for SECONDS each (30 when not said) and fails on the first crash, whose input stays in tests/fuzz/artifacts.
# It works with the stable toolchain: RUSTC_BOOTSTRAP lets that use the address sanitizer.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ../../deploy/setup.sh
seconds="${1:-30}"

echo "== seeds out of the test vectors"
(cd ../.. && cargo build --quiet --locked --workspace --bin seeds)
"$CARGO_TARGET_DIR/debug/seeds" corpus
cargo fuzz --version >/dev/null 2>&1 || {
  echo "== installing cargo-fuzz from crates.io"
  cargo install --quiet --locked cargo-fuzz@0.13.2
}

# Built apart from everything else, because every crate is built with the fuzzer's flags.
export CARGO_TARGET_DIR="${PALISADE_FUZZ_TARGET_DIR:-$HOME/.cache/palisade/fuzz}"
export RUSTC_BOOTSTRAP=1
echo "== building the targets into $CARGO_TARGET_DIR"
cargo fuzz build --fuzz-dir . --sanitizer address
for place in fuzz_targets/*.rs; do
  name="$(basename "$place" .rs)"
  echo "== $name, $seconds s"
  cargo fuzz run --fuzz-dir . --sanitizer address "$name" -- \
    -max_total_time="$seconds" -max_len=16384 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1
done
echo "== no crash"
