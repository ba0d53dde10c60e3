#!/bin/sh
# Runs the contracts' tests with forge; arguments are forge's own. Without any, also compares what transactions cost
# with snapshots/gas.json, to the last unit; --gas writes that file anew.
set -eu
cd "$(dirname "$0")"
. ./tools.sh
run() {
  "$FORGE" test --out "${PALISADE_FORGE_CACHE:-/tmp/palisade-forge}"/out --cache-path "${PALISADE_FORGE_CACHE:-/tmp/palisade-forge}"/cache "$@"
}
gas() {
  FORGE_SNAPSHOT_CHECK=$1 run --isolate --match-contract GasTest
}
case "${1:-}" in
  --gas) gas false ;;
  "") run --no-match-contract GasTest && gas true ;;
  *) run "$@" ;;
esac
