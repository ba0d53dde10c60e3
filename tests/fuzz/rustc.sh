#!/bin/sh
# The compiler as run.sh has cargo call it for this repository's own crates (RUSTC_WORKSPACE_WRAPPER): the same with libFuzzer's
# coverage, which stable Rust can do on Linux. Dependencies are not compiled again.
compiler="$1"
shift
exec "$compiler" "$@" -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
  -Cllvm-args=-sanitizer-coverage-trace-compares
