package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"reflect"
	"time"

	"tailscale.com/tailcfg"
	"tailscale.com/tstest/integration/testcontrol"
)

const expiry = 30 * 24 * time.Hour

// A gate stands before the registration of nodes, as real control servers have it: the key is asked of a node that
// joins, not of one that comes back after a restart; who logs out loses the name; who joins gets the tags asked for,
// and a node key that expires.
type gate struct {
	server *testcontrol.Server
	behind http.Handler
	key    string
}

// stand puts a gate into the server. What it guards is inside the encrypted channel, where only the server's own table
// of handlers is, so that one is reached for.
func stand(server *testcontrol.Server, key string) {
	server.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/key?v=1", nil))
	table := (*http.ServeMux)(reflect.ValueOf(server).Elem().FieldByName("mux").UnsafePointer())
	behind, _ := table.Handler(httptest.NewRequest("POST", "/machine/map", nil))
	table.Handle("/machine/register", gate{server, behind, key})
}

func (g gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var wish tailcfg.RegisterRequest
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err == nil {
		err = json.Unmarshal(body, &wish)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	known := g.server.Node(wish.NodeKey) != nil
	if !known && (wish.Auth == nil || wish.Auth.AuthKey != g.key) {
		answer(w, tailcfg.RegisterResponse{Error: "invalid authkey"})
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	said := httptest.NewRecorder()
	g.behind.ServeHTTP(said, r)
	// Before it is said: the node's next words are about itself as it is then.
	g.furnish(&wish)
	w.WriteHeader(said.Code)
	said.Body.WriteTo(w)
}

func answer(w http.ResponseWriter, response tailcfg.RegisterResponse) {
	if err := json.NewEncoder(w).Encode(response); err != nil {
		log.Print(err)
	}
}

func (g gate) furnish(wish *tailcfg.RegisterRequest) {
	node := g.server.Node(wish.NodeKey)
	if node == nil {
		return
	}
	if !wish.Expiry.IsZero() && wish.Expiry.Before(time.Now()) {
		node.Name = fmt.Sprintf("left-%d.", node.ID)
		node.KeyExpiry, node.Expired = wish.Expiry, true
	} else {
		node.KeyExpiry = time.Now().Add(expiry).UTC()
		node.Tags = wish.Hostinfo.RequestTags
	}
	g.server.UpdateNode(node)
}
