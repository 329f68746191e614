#!/bin/sh
# What a program at HOST PORT says first, asked for through tailscaled.
sleep 3 | timeout 30 /usr/local/bin/tailscale nc "$1" "$2" | head -n 1
