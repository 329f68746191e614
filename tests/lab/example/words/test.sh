#!/bin/sh
here=$(dirname "$0")
test "$(echo 'one three five' | sh "$here/longest.sh")" = three && echo "words: ok"
