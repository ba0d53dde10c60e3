# Sourced by deploy/devnet.sh and tests/run.sh: one way to get tools, one way to build, so that RocksDB is compiled once.

export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$HOME/.cache/palisade/target}"
[ -d "$HOME/.cargo/bin" ] && PATH="$HOME/.cargo/bin:$PATH"
[ -d /usr/lib/ccache ] && PATH="/usr/lib/ccache:$PATH"
export PATH

# Program that shows a package is there, and the Debian package: RocksDB needs clang, bitcoind the rest.
NEEDED="clang:clang cmake:cmake c++:g++ make:make pkg-config:pkg-config"
# The same for what is no program.
NEEDED_FILES="/usr/include/event2/event.h:libevent-dev /usr/include/boost/version.hpp:libboost-dev"

missing_packages() {
  local entry
  for entry in $NEEDED; do command -v "${entry%%:*}" >/dev/null || printf '%s ' "${entry##*:}"; done
  for entry in $NEEDED_FILES; do [ -e "${entry%%:*}" ] || printf '%s ' "${entry##*:}"; done
  ls /usr/lib/llvm-*/lib/libclang.so* /usr/lib/*/libclang*.so* >/dev/null 2>&1 || printf 'libclang-dev '
}

# Says what it is about to do first; installs only where apt can.
install_missing() {
  local packages sudo=""
  command -v cargo >/dev/null || { echo "Rust is missing: see https://rustup.rs" >&2; exit 1; }
  command -v npm >/dev/null || { echo "Node.js with npm is missing: see https://nodejs.org" >&2; exit 1; }
  packages=$(missing_packages)
  [ -n "$packages" ] || return 0
  [ "$(id -u)" = 0 ] || sudo=sudo
  if ! command -v apt-get >/dev/null || { [ -n "$sudo" ] && ! command -v sudo >/dev/null; }; then
    echo "missing, and apt cannot install it here: $packages" >&2
    exit 1
  fi
  echo "== installing with apt: $packages"
  $sudo apt-get update -qq
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $packages
}

# Everything with every target: another selection has other features and compiles the large dependencies again.
build() {
  echo "== building the workspace into $CARGO_TARGET_DIR (the first time takes about a quarter of an hour)"
  cargo build --workspace --all-targets --locked
}
