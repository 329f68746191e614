#!/bin/sh
# WANT_JSON
# Stands where apt would, which reaches nothing from the lab: the package is on the host already.
set -e
if grep -q '"state": *"absent"' "$1"; then
    dpkg --purge tailscale
else
    dpkg --install /root/tailscale.deb
fi >/dev/null
echo '{"changed": true}'
