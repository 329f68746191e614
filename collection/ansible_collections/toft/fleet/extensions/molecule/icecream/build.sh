#!/bin/sh
# Builds the project on the farm: build.sh NAME FILES [COMPILER]. Compares it with a build without the farm, and says how
# often icecc gave up on another node. Leaves it in ~/NAME.program.
set -eu
# shellcheck source=/dev/null
. /etc/profile.d/toft-icecream.sh
[ -n "$ICECC_VERSION" ]
name=$1 compiler=${3:-gcc}
cd "$HOME"
rm -rf project "$name.program"
python3 project.py project "$2"
cd project
make -j8 CC="icecc $compiler" >make.log 2>&1 || { tail -n 20 make.log; exit 1; }
cp program "../$name.program"
if [ ! -e "../local.$compiler.$2" ]; then
    rm -f program ./*.o
    make -j4 CC="$compiler" >make.local 2>&1
    cp program "../local.$compiler.$2"
fi
cmp "../$name.program" "../local.$compiler.$2"
grep -c 'got exception' make.log || :
