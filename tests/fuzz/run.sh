#!/usr/bin/env bash
# Fuzzes parsers of outside bytes with libFuzzer: `run.sh [SECONDS [NAME...]]`, 30 seconds each and all of them when not said; `run.sh names`
# lists them. As many run at a time as there are processors. It fails when an input crashes, and says where that input lies.
#
# Only our own crates carry the fuzzer's coverage; what they depend on is what every other build made, so that nothing large is compiled
# again. With PALISADE_FUZZ_DEEP=1 the parsers that need no node are built with coverage and the address sanitizer in all
# their dependencies too. Corpora grow from run to run, outside the checkout.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. deploy/setup.sh

place="${PALISADE_FUZZ_DIR:-$HOME/.cache/palisade/fuzz}"
seeds="$CARGO_TARGET_DIR/debug/seeds"
host=$(rustc -vV | sed -n 's/^host: //p')

# With coverage in our own crates only, out of the same target folder as everything else.
build_fuzzer() {
  echo "== building the fuzzer with coverage in our own crates"
  RUSTC_WORKSPACE_WRAPPER="$PWD/tests/fuzz/rustc.sh" CARGO_INCREMENTAL=0 \
    cargo build --quiet --locked --workspace --features palisade-parsers/fuzz --bin fuzz
  fuzzer="$place/fuzzer"
  cp "$CARGO_TARGET_DIR/debug/fuzz" "$fuzzer"
}

# The switch lets the stable compiler use the sanitizer.
build_deep_fuzzer() {
  local flags
  flags=$(grep -oE -e '-C(passes|llvm-args)=[^ ]+' tests/fuzz/rustc.sh | tr '\n' ' ')
  echo "== building the fuzzer with coverage and the address sanitizer everywhere into $place/deep"
  RUSTC_BOOTSTRAP=1 RUSTFLAGS="$flags -Zsanitizer=address" CARGO_TARGET_DIR="$place/deep" cargo build --quiet --release \
    --locked --target "$host" -p palisade-parsers --no-default-features --features fuzz --bin fuzz
  fuzzer="$place/deep/$host/release/fuzz"
}

fuzz() {
  local name="$1" log="$place/$1.log"
  if PALISADE_PARSER="$name" "$fuzzer" "$place/corpus/$name" -artifact_prefix="$place/found/$name-" \
    -max_total_time="$seconds" -max_len=16384 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 >"$log" 2>&1; then
    echo "$name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs in $seconds s"
  else
    tail -n 40 "$log"
    echo "$name: CRASHED; the log is $log, the input lies in $place/found"
    return 1
  fi
}

case "$host" in
x86_64-*-linux-* | aarch64-*-linux-*) ;;
*)
  echo "== fuzzing is skipped: the compiler's coverage for libFuzzer is used on Linux with x86-64 or AArch64 only, and this is $host"
  exit 0
  ;;
esac
cargo build --quiet --locked --workspace --bin seeds
if [ "${1:-}" = names ]; then
  exec "$seeds"
fi
seconds="${1:-30}"
names=("${@:2}")
mkdir -p "$place/corpus" "$place/found"
"$seeds" "$place/corpus"
if [ -n "${PALISADE_FUZZ_DEEP:-}" ]; then
  build_deep_fuzzer
  mapfile -t known < <("$seeds" | sed '/^engine$/,$d') # from there on the names are of the node's
else
  build_fuzzer
  mapfile -t known < <("$seeds")
fi
[ ${#names[@]} -gt 0 ] || names=("${known[@]}")
export -f fuzz
export place fuzzer seconds
echo "== ${#names[@]} of ${#known[@]} parsers, $seconds s each"
printf '%s\n' "${names[@]}" | xargs -P "$(nproc)" -I NAME bash -c 'fuzz NAME'
echo "== no crash"
