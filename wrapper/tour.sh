#!/bin/sh
# The main job on the embedded default: this machine as a fleet of one. No SSH, no root, no configuration.
set -eu
mine=$(mktemp -d)
trap '"${TOFT:-toft}" -q engine stop; rm -rf "$mine"' EXIT
mkdir -m 700 "$mine/run"
export XDG_CONFIG_HOME="$mine/config" XDG_STATE_HOME="$mine/state" XDG_RUNTIME_DIR="$mine/run" TOFT_INVENTORY=''
show() { # the command line as one would type it, and as it is run
  printf '\n$ %s\n' "$1"
  shift
  "${TOFT:-toft}" "$@"
}
show 'toft status' status
show 'toft route make -j8' route make -j8
show "toft route 'cd api && docker build .'" route 'cd api && docker build .' || true
show "toft route echo 'make it so'" route echo 'make it so'
show 'toft offload python3 -c …' offload python3 -c 'import platform; print("hello from", platform.node())'
show 'toft jobs' jobs
