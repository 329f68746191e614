#!/bin/sh
# Prints FILE, which need not exist, with KEY=VALUE in [SECTION] and all else as it is. Called with FILE SECTION KEY
# VALUE. For /etc/wsl.conf, and for .wslconfig, where lines end as Windows ends them.
file=$1
[ -e "$file" ] || file=/dev/null
awk -v section="$2" -v key="$3" -v value="$4" '
    function bare(text) { gsub(/^[ \t\r]+|[ \t\r]+$/, "", text); return text }
    function said(text) { sub(/[ \t]#.*/, "", text); return tolower(bare(text)) }
    NR == 1 && /\r$/ { end = "\r" }
    {
        line[NR] = $0
        text = bare($0)
        at = index(text, "=")
        if (text ~ /^\[.*\]$/) {
            here = tolower(text) == "[" tolower(section) "]"
            if (here && !header) header = NR
        } else if (here && text !~ /^[#;]/ && at && said(substr(text, 1, at - 1)) == tolower(key)) {
            found = 1
            if (said(substr(text, at + 1)) != tolower(value)) { line[NR] = key "=" value end; changed = 1 }
        }
    }
    END {
        if (found && !changed) exit 3
        for (i = 1; i <= NR; i++) {
            print line[i]
            if (i == header && !found) print key "=" value end
        }
        if (!header) {
            if (NR && bare(line[NR]) != "") print end
            print "[" section "]" end
            print key "=" value end
        }
    }' "$file"
case $? in
0) ;;
# Nothing to set: to the byte as it is, whether its last line ends or not.
3) cat "$file" ;;
# Whoever writes what this prints must not write half of it.
*) exit 1 ;;
esac
