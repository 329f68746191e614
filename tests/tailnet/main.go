// A control server for tailnets of the lab: Tailscale's own test server (tailscale.com/tstest/integration/testcontrol),
// which speaks the real protocol with real tailscaled, with one auth key and MagicDNS. It is no headscale. It keeps
// everything in memory, has no relay, and its gate (gate.go) does what the test server leaves out.
//
//	control ADDRESS:PORT KEYFILE DOMAIN
package main

import (
	"log"
	"net/http"
	"os"
	"strings"

	"tailscale.com/tailcfg"
	"tailscale.com/tstest/integration/testcontrol"
)

func main() {
	address, domain := os.Args[1], os.Args[3]
	key, err := os.ReadFile(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	host, _, _ := strings.Cut(address, ":")
	server := &testcontrol.Server{
		ExplicitBaseURL:  "http://" + address,
		MagicDNSDomain:   domain,
		DNSConfig:        &tailcfg.DNSConfig{Proxied: true, Domains: []string{domain}},
		DERPMap:          relay(host),
		AllNodesSameUser: true,
		AllOnline:        true,
	}
	stand(server, strings.TrimSpace(string(key)))
	log.Printf("control listens on %s", address)
	log.Fatal(http.ListenAndServe(address, server))
}

// relay names a region that nobody serves: nodes of a lab reach each other directly, and need one to be named.
func relay(host string) *tailcfg.DERPMap {
	node := &tailcfg.DERPNode{Name: "1a", RegionID: 1, HostName: host, IPv4: host, STUNPort: -1, DERPPort: 3340}
	region := &tailcfg.DERPRegion{RegionID: 1, RegionCode: "lab", RegionName: "Lab", Nodes: []*tailcfg.DERPNode{node}}
	return &tailcfg.DERPMap{Regions: map[int]*tailcfg.DERPRegion{1: region}}
}
