#!/bin/sh
# What toft-storage promises, tried on a host: run as the owner with the hot directory as its argument.
set -eu
hot=$1
cold="/srv/cold storage/it's"
backups=$cold/backups
restored=$HOME/restored
trap 'rm -rf "$restored" "$restored.full"' EXIT

expect() { # WORDS... : the command must fail and say the first argument
    said=$1
    shift
    if "$@" >"$HOME/said" 2>&1; then
        echo "should have failed: $*"
        exit 1
    fi
    grep -qF -- "$said" "$HOME/said" || { cat "$HOME/said"; exit 1; }
}

stamp() { toft-storage list | tail -n 1; }
next() { # a backup of its own second
    before=$(stamp)
    while [ "$(date -u +%Y-%m-%dT%H%M%SZ)" = "$before" ]; do sleep 0.1; done
    toft-storage backup
}

rm -rf "${hot:?}"/* "$restored"
mkdir -p "$hot/tree/empty" "$hot/scratch"
cd "$hot/tree"
printf 'one\n' >'a name'
printf 'two\n' >"$(printf 'new\nline')"
printf q >"it's"
printf '%s\n' dash >./-n
printf x >../scratch/left
printf x >out.tmp
head -c 3000000 /dev/urandom >big
chmod 0751 big
ln -s big link

# as systemd runs it
next
toft-storage verify
toft-storage restore latest "$restored"
rm -f "$hot/tree/out.tmp"
diff -r --no-dereference "$hot/tree" "$restored/tree"
[ -d "$restored/tree/empty" ] && [ ! -e "$restored/scratch" ]
[ "$(stat -c %a "$restored/tree/big")" = 751 ] && [ "$(readlink "$restored/tree/link")" = big ]

# never over what is there
expect 'is not empty' toft-storage restore latest "$restored"
[ -f "$restored/tree/big" ]
expect 'there is no backup' toft-storage restore 2000-01-01T000000Z "$restored.full"

# unchanged files are kept once, and a backup is no link to what it backs up
first=$(stamp)
next
second=$(stamp)
[ "$(stat -c %i "$backups/$first/data/tree/big")" = "$(stat -c %i "$backups/$second/data/tree/big")" ]
[ "$(stat -c %i "$backups/$second/data/tree/big")" != "$(stat -c %i "$hot/tree/big")" ]

# only so many are kept
next
[ "$(toft-storage list | wc -l)" = 2 ]
[ "$(toft-storage list | head -n 1)" = "$second" ]

# a flipped byte is seen, not restored, and healed by the next backup although time and size are the same
third=$(stamp)
reference=$(mktemp)
touch -r "$backups/$third/data/tree/big" "$reference"
printf '\001\002\003' | dd of="$backups/$third/data/tree/big" bs=1 seek=1000 conv=notrunc status=none
touch -r "$reference" "$backups/$third/data/tree/big"
rm -f "$reference"
expect './tree/big' toft-storage verify
expect 'nothing was restored' toft-storage restore latest "$restored.full"
[ ! -e "$restored.full" ] && [ -z "$(ls -d "$restored.full".* 2>/dev/null)" ]
next
toft-storage verify

# what is written to meanwhile is no fault
( i=0; while [ $i -lt 400 ]; do echo $i >>"$hot/tree/log"; i=$((i + 1)); sleep 0.01; done ) &
writer=$!
next
kill $writer 2>/dev/null || :
wait $writer || :
toft-storage verify

# what a killed backup left is swept away; what has a plain name is whole
mkdir "$backups/.2001-01-01T000000Z"
echo 999999998 >"$backups/.2001-01-01T000000Z/pid"
next
[ ! -e "$backups/.2001-01-01T000000Z" ]
for found in "$backups"/*; do [ -f "$found/SHA256SUMS" ]; done

# a volume that is not mounted is not written to
mv "$cold/.toft-storage" "$cold/.away"
expect 'is its volume mounted?' toft-storage backup
mv "$cold/.away" "$cold/.toft-storage"

# directories that may not be written to do not stay for ever, neither of what is not kept nor of what was killed
mkdir -p "$hot/modules/a dir" "$backups/.2001-01-01T000000Z/data/d"
printf x >"$hot/modules/a dir/f"
chmod -R a-w "$hot/modules" "$backups/.2001-01-01T000000Z/data"
next
chmod -R u+w "$hot/modules"
rm -rf "${hot:?}/modules"
next
next
[ "$(find "$backups" -mindepth 1 -maxdepth 1 | wc -l)" = 2 ]

# backups of an empty mount point do not take the place of good ones
rm -rf "${hot:?}"/* "$restored"
expect 'is empty, and its last backup is not' toft-storage backup

# an empty tree can be backed up and restored
printf x >"$hot/out.tmp"
next
rm "$hot/out.tmp"
next
toft-storage restore latest "$restored"
[ -z "$(ls -A "$restored")" ]
