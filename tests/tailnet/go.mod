module toft/tests/tailnet

go 1.26

require tailscale.com v1.98.10

tool (
	tailscale.com/cmd/tailscale
	tailscale.com/cmd/tailscaled
)
