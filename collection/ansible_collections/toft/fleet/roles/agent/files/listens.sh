#!/bin/sh
# Succeeds if the service's own process is the one that listens at the port: listens.sh SERVICE PORT
set -eu
service=$1 port=$2
if [ "$(uname)" = Darwin ]; then # untested on a real Mac
    pid=$(launchctl print "system/$service" | sed -n 's/^[[:space:]]*pid = //p')
    exec lsof -nP -a -p "${pid:-0}" -iTCP:"$port" -sTCP:LISTEN
fi
# 0 where it does not run.
pid=$(systemctl show --property=MainPID --value "$service.service")
# Each socket's own address, in hexadecimal, is in the second column; 0A is one that listens.
sockets=$(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk -v port="$(printf ':%04X' "$port")" \
    '$4 == "0A" && substr($2, length($2) - 4) == port { print "socket:[" $10 "]" }')
[ -n "$sockets" ]
readlink "/proc/$pid/fd/"* | grep -xF "$sockets"
