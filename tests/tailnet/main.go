// A control server for tailnets of the lab: Tailscale's own test server, which speaks the real protocol with real
// tailscaled, with one auth key and MagicDNS. It keeps everything in memory. Nodes get the tags that they ask for, and
// a key that expires in thirty days.
//
//	control ADDRESS:PORT KEYFILE DOMAIN
package main

import (
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	"tailscale.com/tailcfg"
	"tailscale.com/tstest/integration/testcontrol"
)

const expiry = 30 * 24 * time.Hour

func main() {
	address, domain := os.Args[1], os.Args[3]
	key, err := os.ReadFile(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	host, _, _ := strings.Cut(address, ":")
	server := &testcontrol.Server{
		ExplicitBaseURL:  "http://" + address,
		RequireAuthKey:   strings.TrimSpace(string(key)),
		MagicDNSDomain:   domain,
		DNSConfig:        &tailcfg.DNSConfig{Proxied: true, Domains: []string{domain}},
		DERPMap:          relay(host),
		AllNodesSameUser: true,
		AllOnline:        true,
	}
	go furnish(server)
	log.Printf("control listens on %s", address)
	log.Fatal(http.ListenAndServe(address, server))
}

// relay names a region that nobody serves: nodes of a lab reach each other directly, and need one to be named.
func relay(host string) *tailcfg.DERPMap {
	node := &tailcfg.DERPNode{Name: "1a", RegionID: 1, HostName: host, IPv4: host, STUNPort: -1, DERPPort: 3340}
	region := &tailcfg.DERPRegion{RegionID: 1, RegionCode: "lab", RegionName: "Lab", Nodes: []*tailcfg.DERPNode{node}}
	return &tailcfg.DERPMap{Regions: map[int]*tailcfg.DERPRegion{1: region}}
}

// furnish gives new nodes what a policy would give them.
func furnish(server *testcontrol.Server) {
	for range time.Tick(100 * time.Millisecond) {
		for _, node := range server.AllNodes() {
			if node.KeyExpiry.IsZero() {
				node.KeyExpiry = time.Now().Add(expiry).UTC()
				node.Tags = node.Hostinfo.RequestTags().AsSlice()
				server.UpdateNode(node)
			}
		}
	}
}
