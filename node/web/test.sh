#!/usr/bin/env bash
# Compiles the verifier and holds it to the vectors, in the cache: a checkout gets no node_modules.
set -euo pipefail
web="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
cache="$HOME/.cache/palisade/web"
mkdir -p "$cache"
rm -rf "$cache"/{src,test,dist}
cp -r "$web"/{src,test,package.json,package-lock.json,tsconfig.json} "$cache/"
cd "$cache"
if ! cmp -s package-lock.json node_modules/.palisade-lock; then
  npm ci --no-audit --no-fund --loglevel=error
  cp package-lock.json node_modules/.palisade-lock
fi
node_modules/.bin/tsc
PALISADE_PROOFS="$web/../../tests/vectors/proofs/bundles.json" node --test --test-reporter=dot dist/test/
