#!/bin/sh
# Prints how USER may log in to this sshd without a password: key files that hold a key, or a program or an authority
# that vouches. Called with USER and the client's ADDRESS.
user=$1 address=$2
home=$(eval echo "~$user")
settings=$(/usr/sbin/sshd -T -C "user=$user,host=$address,addr=$address") || exit
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
