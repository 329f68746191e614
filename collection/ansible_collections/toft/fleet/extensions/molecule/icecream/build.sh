#!/bin/sh
# Builds the project on the farm: build.sh NAME FILES. Leaves ~/NAME.program and, of a build of its own, ~/NAME.local.
set -eu
. /etc/profile.d/toft-icecream.sh
[ -n "$ICECC_VERSION" ]
name=$1
cd "$HOME"
rm -rf project "$name.program"
python3 project.py project "$2"
cd project
make -j8 CC='icecc gcc' >make.log 2>&1 || { tail -n 20 make.log; exit 1; }
cp program "../$name.program"
if [ ! -e "../local.$2" ]; then
    rm -f program ./*.o
    make -j4 >make.local 2>&1
    cp program "../local.$2"
fi
cmp "../$name.program" "../local.$2"
grep -c 'got exception' make.log || :
