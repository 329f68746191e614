package main

import (
	"crypto/tls"
	"log"
	"net"
	"net/http"
	"net/http/httptest"

	"tailscale.com/derp/derpserver"
	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
)

// relay starts a relay (DERP) at the host's address, over which nodes find each other before they have found a direct
// way, and names it. Its certificate is one of tests, which nodes are told to take.
func relay(host string) *tailcfg.DERPMap {
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		log.Fatal(err)
	}
	web := httptest.NewUnstartedServer(derpserver.Handler(derpserver.New(key.NewNode(), log.Printf)))
	web.Listener.Close()
	web.Listener = listener
	// The protocol takes the connection over, which HTTP/2 does not let it.
	web.Config.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){}
	web.StartTLS()
	node := &tailcfg.DERPNode{
		Name: "1a", RegionID: 1, HostName: host, IPv4: host, IPv6: "none", STUNPort: -1,
		DERPPort: listener.Addr().(*net.TCPAddr).Port, InsecureForTests: true,
	}
	region := &tailcfg.DERPRegion{RegionID: 1, RegionCode: "lab", RegionName: "Lab", Nodes: []*tailcfg.DERPNode{node}}
	return &tailcfg.DERPMap{Regions: map[int]*tailcfg.DERPRegion{1: region}}
}
