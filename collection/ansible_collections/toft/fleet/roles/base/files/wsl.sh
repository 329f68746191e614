#!/bin/sh
# What a distribution of WSL needs beside what bootstrap.sh brings: systemd, an sshd, an MTU that a tailnet fits through,
# and what keeps it running. Called as root with do|look PORT MTU WSLCONFIG; WSLCONFIG is where Windows keeps the settings
# of WSL (C:/Users/NAME/.wslconfig) if its network is to be mirrored, and - if not. Prints a line for each thing that it
# does, or would do.
set -eu
mode=$1 port=$2 mtu=$3 wslconfig=$4
here=$(cd "$(dirname "$0")" && pwd)
new=$(mktemp)
trap 'rm -f "$new"' EXIT

case $(uname -r) in
*-Microsoft)
    echo "this is WSL 1, which has no systemd. Fix: in PowerShell, wsl --list --verbose, then wsl --set-version NAME 2" >&2
    exit 1 ;;
esac

missing() { echo "bring: $1" && [ "$mode" = "do" ]; }

install() {
    export DEBIAN_FRONTEND=noninteractive
    if command -v apt-get >/dev/null; then apt-get update -q && apt-get install -q -y --no-install-recommends "$1"
    elif command -v pacman >/dev/null; then
        # -y makes newer packages come beside older ones: only where there is no list of packages to go by.
        y=; [ -n "$(ls -A /var/lib/pacman/sync 2>/dev/null)" ] || y=y
        pacman -S$y --needed --noconfirm "${1%-server}"
    elif command -v dnf >/dev/null; then dnf install -y "$1"
    else echo "neither apt-get, pacman nor dnf is here. Fix: install $1" >&2; return 1
    fi >&2 </dev/null
}

# Called with FILE MODE WHAT, the content that it should have in $new.
have() {
    if ! cmp -s "$new" "$1" && missing "$3"; then
        mkdir -p "${1%/*}"
        cat "$new" >"$1"
        chmod "$2" "$1"
    fi
}

if [ ! -x /usr/lib/systemd/systemd ] && [ ! -x /lib/systemd/systemd ] && missing systemd; then install systemd-sysv; fi
if [ ! -x /usr/sbin/sshd ] && missing sshd; then install openssh-server; fi
if ! command -v ip >/dev/null && missing ip; then install iproute2; fi

sh "$here/ini_set.sh" /etc/wsl.conf boot systemd true >"$new"
have /etc/wsl.conf 0644 "systemd in wsl.conf"
if [ "$wslconfig" != - ]; then
    file=$(wslpath -u "$wslconfig")
    sh "$here/ini_set.sh" "$file" wsl2 networkingMode mirrored >"$new"
    have "$file" 0644 "a mirrored network in .wslconfig"
fi

if [ "$port" = 22 ]; then : >"$new"; else echo "Port $port" >"$new"; fi
if [ -s "$new" ] || [ -e /etc/ssh/sshd_config.d/01-toft-wsl.conf ]; then
    have /etc/ssh/sshd_config.d/01-toft-wsl.conf 0644 "port $port of sshd"
fi
if [ "$mtu" != 0 ]; then
    printf 'INTERFACE=eth0\nMTU=%s\n' "$mtu" >"$new"
    have /etc/default/toft-mtu 0644 "an MTU of $mtu"
    cat "$here/toft-mtu.service" >"$new"
    have /etc/systemd/system/toft-mtu.service 0644 "what sets it at each start"
fi
cat "$here/wsl_hold.sh" >"$new"
have /usr/local/libexec/toft-hold 0755 "what keeps WSL running"

# Called with UNIT WHAT.
start() {
    if ! systemctl is-enabled --quiet "$1" 2>/dev/null && missing "the start of $2"; then systemctl --quiet enable "$1"; fi
}

if [ -e /lib/systemd/system/ssh.service ]; then ssh=ssh; else ssh=sshd; fi
# Where a socket waits for connections in sshd's stead, it is that which starts.
if ! systemctl is-enabled --quiet ssh.socket 2>/dev/null; then start $ssh.service sshd; fi
if [ "$mtu" != 0 ]; then start toft-mtu.service "what sets the MTU"; fi
