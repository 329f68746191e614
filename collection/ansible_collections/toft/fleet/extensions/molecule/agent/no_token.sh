#!/bin/sh
# Fails if the token is anywhere on the host but in its own file: in files, in the journal, in an argument list.
set -u
token=$(sed 's/^[^=]*=//' /etc/toft/agent.token)
[ -n "$token" ] || { echo 'there is no token'; exit 1; }
[ "$(stat -c '%a %U' /etc/toft/agent.token)" = '600 root' ] || { stat /etc/toft/agent.token; exit 1; }
pattern=$(mktemp)
trap 'rm -f "$pattern"' EXIT
printf '%s\n' "$token" >"$pattern"
found=$(
    grep -rlFf "$pattern" /etc /tmp /root /home /srv /var/log /var/tmp /var/lib/toft-agent /run/systemd 2>/dev/null |
        grep -vxe /etc/toft/agent.token -e "$pattern"
    journalctl -q --no-pager | grep -Ff "$pattern"
    cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' ' ' | grep -oFf "$pattern"
)
[ -z "$found" ] || { echo "$found"; exit 1; }
