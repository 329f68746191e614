module toft/tests/tailnet

go 1.26

require tailscale.com v1.98.10
