// A control server for tailnets of the lab: Tailscale's own test server (tailscale.com/tstest/integration/testcontrol),
// which speaks the real protocol with real tailscaled, with one auth key and MagicDNS. It is no headscale. It keeps
// everything in memory. Its relay is in relay.go, and its gate (gate.go) does what the test server leaves out.
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
