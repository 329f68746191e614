#!/bin/sh
# Compiles a small file on each of the nodes named, with ICECC_VERSION from the first argument:
# compile_on.sh VERSION BIN NAME=ADDRESS… Says "NAME ok", or "NAME" and what happened instead; exits 1 then.
set -u
ICECC_VERSION=$1 bin=$2
shift 2
export ICECC_VERSION ICECC_DEBUG=debug
room=$(mktemp -d) && cd "$room" || exit 1
trap 'rm -rf "$room"' EXIT
failed=0
for pair in "$@"; do
    name=${pair%%=*} address=${pair#*=} told=
    for try in 1 2 3 4 5; do
        printf 'int answer(void) { return %s; }\n' "$$$try" >answer.c
        rm -f answer.o
        ICECC_PREFERRED_HOST=$name "$bin/icecc" gcc -O2 -c answer.c -o answer.o >told 2>&1
        told=$(grep -E 'Have to use host|got exception|forced|not |rror' told | tail -n 3 | cut -c 1-300)
        if [ -s answer.o ] && grep -q "Have to use host $address:" told && ! grep -qE 'got exception|local build forced' told; then
            told=ok
            break
        fi
        sleep 3
    done
    echo "$name $told"
    [ "$told" = ok ] || failed=1
done
exit $failed
