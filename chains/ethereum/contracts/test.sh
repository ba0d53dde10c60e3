#!/bin/sh
# Runs the contracts' tests with forge; arguments are forge's own.
set -eu
cd "$(dirname "$0")"
. ./tools.sh
exec "$FORGE" test --out /tmp/palisade-forge/out --cache-path /tmp/palisade-forge/cache "$@"
