package gateway_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"strings"

	"towpath/ftpclient"
	"towpath/gateway"
)

// A gateway before one server, which is called in passive mode whatever clients
// do. When a session has ended, its account is told.
func Example() {
	server := stubFor()
	defer server.Close()

	ended := make(chan *gateway.Record, 1)
	g, err := gateway.New(gateway.Options{
		Route:      to{Name: "quay", Addr: server.Addr().String()},
		ServerMode: gateway.PassiveMode,
		Ended:      func(r *gateway.Record) { ended <- r },
	})
	if err != nil {
		log.Fatal(err)
	}
	defer g.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() { _ = g.Serve(l) }()

	c, err := ftpclient.Dial(context.Background(), l.Addr().String(), ftpclient.Options{Mode: ftpclient.Active})
	if err != nil {
		log.Fatal(err)
	}
	var file strings.Builder
	if _, err := c.Get(context.Background(), "sea", &file); err != nil {
		log.Fatal(err)
	}
	if err := c.Close(); err != nil {
		log.Fatal(err)
	}

	r := <-ended
	d := r.Data[0]
	fmt.Printf("%s has %q: %s by the client, %s by the server, %d byte, %s\n", r.Server, file.String(), d.ClientMode, d.ServerMode, d.Down, d.Why)
	// Output: quay has "x": active by the client, passive by the server, 1 byte, done
}

func stubFor() net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go accept(l)
	return l
}
