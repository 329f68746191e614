#!/bin/sh
# Prints how USER may log in to this sshd without a password: key files that hold a key, or a program or an authority
# that vouches. Called with USER and the client's ADDRESS. Ends with 3 where sshd cannot be asked, and does not run: it
# wants host keys, and a directory that its start makes, before it answers.
user=$1 address=$2

runs() {
    if [ -d /run/systemd/system ]; then
        systemctl is-active --quiet ssh.service sshd.service ssh.socket sshd.socket
    elif command -v launchctl >/dev/null; then
        launchctl print system/com.openssh.sshd >/dev/null 2>&1
    else
        [ -f /run/sshd.pid ] && kill -0 "$(cat /run/sshd.pid)" 2>/dev/null
    fi
}

home=$(eval echo "~$user")
settings=$(/usr/sbin/sshd -T -C "user=$user,host=$address,addr=$address") || { runs && exit 1; exit 3; }
value() { printf '%s\n' "$settings" | sed -n "s/^$1 //p"; }

[ "$(value pubkeyauthentication)" = yes ] || exit 0
for pattern in $(value authorizedkeysfile); do
    file=$(printf '%s' "$pattern" | sed "s|%h|$home|g; s|%u|$user|g; s|%%|%|g")
    case $file in none) continue ;; /*) ;; *) file=$home/$file ;; esac
    if grep -Eqs '^[^#]*(ssh-|ecdsa-|sk-)[a-z0-9@.-]+ +AAAA' "$file"; then echo "$file"; fi
done
for name in authorizedkeyscommand trustedusercakeys; do
    case $(value $name) in '' | none) ;; *) echo $name ;; esac
done
