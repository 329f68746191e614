#!/bin/sh
# What a machine needs before Ansible can manage it: Python, sudo, a user who may be root, and a key for that user.
# Called as root with do|look USER KEY. Prints a line for each thing that it does, or would do.
set -eu
mode=$1 user=$2 key=$3
rule="$user ALL=(ALL:ALL) NOPASSWD: ALL" sudoers=/etc/sudoers.d/toft-$user

missing() { echo "bring: $1" && [ "$mode" = "do" ]; }

install() {
    export DEBIAN_FRONTEND=noninteractive
    if command -v apt-get >/dev/null; then apt-get update -q && apt-get install -q -y --no-install-recommends "$1"
    elif command -v pacman >/dev/null; then
        # -y makes newer packages come beside older ones: only where there is no list of packages to go by.
        y=; [ -n "$(ls -A /var/lib/pacman/sync 2>/dev/null)" ] || y=y
        pacman -S$y --needed --noconfirm "${1%3}"
    elif command -v dnf >/dev/null; then dnf install -y "$1"
    else echo "neither apt-get, pacman nor dnf is here. Fix: install $1" >&2; return 1
    fi >&2
}

make_user() {
    # No password, and yet not locked: sshd refuses locked users where it does without PAM.
    useradd --create-home --password '*' --shell "$(command -v bash || echo /bin/sh)" "$user"
}

# As the user: a home is not for root to write into.
add_key() {
    # shellcheck disable=SC2016  # "$1" is for the inner shell: the key is no part of its text.
    su -s /bin/sh "$user" -c '
        umask 077 && cd && mkdir -p .ssh && touch .ssh/authorized_keys || exit
        [ -z "$(tail -c 1 .ssh/authorized_keys)" ] || echo >>.ssh/authorized_keys
        printf "%s\n" "$1" >>.ssh/authorized_keys' sh "$key"
}

let_be_root() {
    # A name with a dot in it is not read by sudo.
    printf '%s\n' "$rule" >"$sudoers.new"
    chmod 0440 "$sudoers.new"
    visudo -cqf "$sudoers.new"
    mv "$sudoers.new" "$sudoers"
}

for program in python3 sudo; do
    if ! command -v $program >/dev/null && missing $program; then install $program; fi
done
if ! id -u "$user" >/dev/null 2>&1 && missing "the user $user"; then make_user; fi
home=$(getent passwd "$user" | cut -d: -f6) || home=
if ! grep -qsxF "$key" "$home/.ssh/authorized_keys" && missing "the key of $user"; then add_key; fi
if [ "$(cat "$sudoers" 2>/dev/null)" != "$rule" ] && missing "the right of $user to be root"; then let_be_root; fi
