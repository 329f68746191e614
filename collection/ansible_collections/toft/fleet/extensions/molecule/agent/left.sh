#!/bin/sh
# Prints what the role left on the host: files, units, rules of the firewall, whoever listens at PORT.
ls -d /etc/toft/agent* /usr/local/bin/agentapi /usr/local/lib/toft-agent /etc/sudoers.d/toft* \
    /etc/systemd/system/*agent* /etc/systemd/system/*.wants/*agent* /etc/systemd/system/*.d/*agent* \
    /var/lib/toft-agent/.claude/CLAUDE.md 2>/dev/null
systemctl list-units --all --plain --no-legend '*agent*'
nft list tables | grep toft
ss -Hltn "sport = :$1"
exit 0
