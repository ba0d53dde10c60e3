#!/bin/sh
# Compiles src/ and writes artifacts/<Name>.json; with --check, compares instead and fails on a difference.
set -eu
cd "$(dirname "$0")"
. ./tools.sh
exec node build.mjs "$@"
