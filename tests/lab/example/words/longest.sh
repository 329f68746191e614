#!/bin/sh
# The longest word of stdin.
tr -s ' ' '\n' | awk 'length > length(found) { found = $0 } END { print found }'
