#!/bin/sh
# From the scheduler's own record: how many files each node compiled since a moment: compiled.sh SECONDS [NODE]
# With NODE, waits until that one has been given three.
servers() {
    journalctl --quiet --no-pager --output=cat --unit=icecc-scheduler.service --since="@$1" |
        sed -n 's/.*BEGIN: [0-9]* client=n1(.*) server=\([a-z0-9]*\)(.*/\1/p'
}
if [ $# -gt 1 ]; then
    tries=600
    until [ "$(servers "$1" | grep -cx "$2")" -ge 3 ]; do
        [ $((tries -= 1)) -gt 0 ] || exit 1
        sleep 0.3
    done
fi
servers "$1" | sort | uniq -c |
    awk 'BEGIN { printf "{" } { printf "%s\"%s\": %d", (NR > 1 ? ", " : ""), $2, $1 } END { print "}" }'
