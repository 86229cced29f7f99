package gateway_test

import (
	"strings"
	"testing"

	"towpath/ftpclient"
	"towpath/ftptest"
	"towpath/gateway"
)

// TestCCC: behind CCC a gateway that passes TLS can follow again, and the data,
// still under TLS between client and server, goes through it. One that speaks
// TLS itself goes on in the clear with the client.
func TestCCC(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]func(*gateway.Options){"pass": nil, "terminate": {terminate}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := ftptest.Serve(t, ftptest.Files{"sea.txt": "0123456789"}, ftptest.TLS, requireResumption)
			if name == "terminate" {
				options = append(options, towards(srv.Addr, gateway.SameTLS))
			}
			g := serve(t, srv.Addr, options...)
			config := ftptest.ClientTLS()
			config.ServerName = "localhost"
			c, err := ftpclient.Dial(t.Context(), g.addr, ftpclient.Options{
				User: ftptest.User, Password: ftptest.Password, TLS: ftpclient.Explicit, TLSConfig: config, ClearControl: true,
			})
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			for range 2 {
				if _, err := c.Get(t.Context(), "sea.txt", &b); err != nil {
					t.Fatal(err)
				}
			}
			if b.String() != "01234567890123456789" {
				t.Errorf("%q", b.String())
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			r := g.record(t)
			if r.Blind != "" || len(r.Data) == 0 || r.Down < 20 {
				t.Errorf("%+v", r)
			}
		})
	}
}
