#!/usr/bin/env bash
# The devnet's door: brings what is missing, builds, and hands over to the program palisade-devnet.
#   ./deploy/devnet.sh up                     4 operators on real chains; ready when everything is final on both
#   ./deploy/devnet.sh up --bitcoin-only      the same with nothing staked on Ethereum: bitcoin stands alone
#   ./deploy/devnet.sh join                   a fifth operator
#   ./deploy/devnet.sh scenario equivocation  one of them signs twice and loses his stake on both chains
#   ./deploy/devnet.sh scenario vault-life    a staker locks coins, unbonds and withdraws
#   ./deploy/devnet.sh scenario vault-slashed | vault-unbonding-race | vault-expansion | vault-expiry
#   ./deploy/devnet.sh scenario vault-claim | slash-order | deallocation | withdrawal-queue | partial-slash
#   ./deploy/devnet.sh scenario slash-pair    or equivocation-attestation: the attestation key alone signs twice
#   ./deploy/devnet.sh scenario equivocation-vote | veto-executed | veto-vetoed
#   ./deploy/devnet.sh scenario bitcoin-reorg | bitcoin-deep-reorg | ethereum-reorg | rpc-disagreement | quiet
#   ./deploy/devnet.sh scenario kill-one | kill-two-and-back | kill-all | doppelganger | jail-unjail
#   ./deploy/devnet.sh scenario partition | rejoin-from-genesis | rejoin-from-snapshot | restored-backup
#   ./deploy/devnet.sh scenario committee-change | succession | correlated-fault | throttle
#   ./deploy/devnet.sh service up             two small services that the operators stand behind
#   ./deploy/devnet.sh status | logs [NAME] [-f] | down | reset
# PALISADE_DEVNET_DIR names another state folder than .devnet, PALISADE_DEVNET_PORT another first port than 26500.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. deploy/setup.sh

export PALISADE_DEVNET_DIR="${PALISADE_DEVNET_DIR:-$PWD/.devnet}"
devnet="$CARGO_TARGET_DIR/debug/palisade-devnet"
case "${1:-help}" in
  help | -h | --help)
    sed -n 's/^#   \|^# \(PALISADE\)/  \1/p' "${BASH_SOURCE[0]}"
    exit 0
    ;;
  down | status | logs | reset) # nothing new is needed for these
    if [ -x "$devnet" ]; then exec "$devnet" "$@"; fi
    if [ ! -e "$PALISADE_DEVNET_DIR" ]; then
      echo "no devnet in $PALISADE_DEVNET_DIR"
      exit 0
    fi
    ;;
  up | join | scenario | equivocate | mine | tools) ;;
  *)
    echo "there is no '$1'; ./deploy/devnet.sh help says what there is" >&2
    exit 2
    ;;
esac
install_missing
build
exec "$devnet" "$@"
