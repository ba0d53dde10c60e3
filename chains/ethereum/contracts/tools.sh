# Sourced by the scripts beside it: finds the npm tools and names them as FORGE and PALISADE_TOOLS.
if [ -z "${PALISADE_TOOLS:-}" ]; then
  PALISADE_TOOLS="$HOME/.cache/palisade/tools/node_modules"
  [ -d "$PALISADE_TOOLS/solc" ] || PALISADE_TOOLS=/tmp/npm/node_modules
fi
if [ ! -d "$PALISADE_TOOLS/solc" ]; then
  echo "no compiler in $PALISADE_TOOLS. Install the tools with:" >&2
  echo "  npm i --prefix ~/.cache/palisade/tools @foundry-rs/anvil@1.7.1 @foundry-rs/forge@1.7.1 @foundry-rs/cast@1.7.1 solc@0.8.37" >&2
  exit 2
fi
export PALISADE_TOOLS
# The native binary: npm's shim exits 0 even when a test fails.
for FORGE in "$PALISADE_TOOLS"/@foundry-rs/forge-*/bin/forge; do [ -x "$FORGE" ] && break; done
