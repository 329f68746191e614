#!/bin/sh
# Keeps a distribution of WSL running, which its services alone do not, for as long as this runs: a task of Windows does.
# Called with the PORT of sshd. Where WSL has a network of its own, which is behind Windows, Windows passes on what comes
# to that port, to the address that the distribution has this time.
port=$1 interface=eth0

if [ "$(wslinfo --networking-mode 2>/dev/null)" != mirrored ]; then
    address=$(ip -4 -o address show dev $interface | sed -n '1s|.* inet \([0-9.]*\)/.*|\1|p')
    netsh=$(wslpath -u C:/Windows/System32/netsh.exe)
    "$netsh" interface portproxy add v4tov4 listenaddress=0.0.0.0 "listenport=$port" \
        "connectaddress=$address" "connectport=$port" </dev/null ||
        echo "port $port of Windows leads nowhere. Fix: run bootstrap.ps1 again in an elevated PowerShell" >&2
fi
exec sleep infinity
