#!/bin/sh
# From the scheduler's own record: how many files each node compiled since a moment: compiled.sh SECONDS
journalctl --quiet --no-pager --output=cat --unit=icecc-scheduler.service --since="@$1" |
    sed -n 's/.*BEGIN: [0-9]* client=n1(.*) server=\([a-z0-9]*\)(.*/\1/p' | sort | uniq -c |
    awk 'BEGIN { printf "{" } { printf "%s\"%s\": %d", (NR > 1 ? ", " : ""), $2, $1 } END { print "}" }'
