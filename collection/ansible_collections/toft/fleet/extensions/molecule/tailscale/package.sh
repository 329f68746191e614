#!/bin/sh
# Makes a package of the programs that an archive brought, with its files where the vendor's has them.
set -e
cd "$(mktemp -d)"
mkdir -p it/DEBIAN it/usr/bin it/usr/sbin it/usr/lib/systemd/system
cp /usr/local/bin/tailscale it/usr/bin/
cp /usr/local/sbin/tailscaled it/usr/sbin/
sed 's,/usr/local/sbin,/usr/sbin,' /etc/systemd/system/tailscaled.service >it/usr/lib/systemd/system/tailscaled.service
cat >it/DEBIAN/control <<EOF
Package: tailscale
Version: 1.94.1
Architecture: $(dpkg --print-architecture)
Maintainer: toft <nobody@lab.test>
Description: Tailscale of the lab
EOF
dpkg-deb -Znone --build it /root/tailscale.deb
