#!/bin/sh
# The main job on the embedded default: this machine as a fleet of one. No SSH, no root, no configuration.
set -eu
mine=$(mktemp -d)
trap 'rm -rf "$mine"' EXIT
export XDG_CONFIG_HOME="$mine/config" XDG_STATE_HOME="$mine/state" TOFT_INVENTORY=''
show() {
  printf '\n$ %s\n' "$*"
  shift
  "${TOFT:-toft}" "$@"
}
show toft status
show toft route make -j8
show toft route 'cd api && docker build .' || true
show toft route echo 'make it so'
show toft offload python3 -c 'import platform; print("hello from", platform.node())'
show toft jobs
