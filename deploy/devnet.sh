#!/usr/bin/env bash
# The devnet's door: brings what is missing, builds, and hands over to the program palisade-devnet.
#   ./deploy/devnet.sh up | down | status | logs [NAME] [-f] | reset | join | scenario equivocation
# PALISADE_DEVNET_DIR names another state folder than .devnet, PALISADE_DEVNET_PORT another first port than 26500.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. deploy/setup.sh

export PALISADE_DEVNET_DIR="${PALISADE_DEVNET_DIR:-$PWD/.devnet}"
devnet="$CARGO_TARGET_DIR/debug/palisade-devnet"
case "${1:-}" in
  down | status | logs | reset) [ -x "$devnet" ] && exec "$devnet" "$@" ;;  # nothing new is needed for these
esac
install_missing
build
exec "$devnet" "$@"
