package gateway_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"strings"
	"testing"
	"time"

	"towpath/ftpserver"
	"towpath/ftptest"
	"towpath/gateway"
)

func terminate(o *gateway.Options) {
	o.ClientTLS = gateway.TerminateTLS
	o.TLS = &tls.Config{Certificates: []tls.Certificate{ftptest.Certificate()}}
}

// towards makes the gateway speak so with the server.
func towards(addr string, kind gateway.ServerTLS) func(*gateway.Options) {
	return func(o *gateway.Options) {
		c := ftptest.ClientTLS()
		c.ServerName = "localhost"
		o.Route = to{Addr: addr, TLS: kind, Config: c}
	}
}

func requireResumption(o *ftpserver.Options) { o.Binding = ftpserver.BindRequire }

// TestTLS has the client under TLS or not, and the server in every way. The
// server refuses data that does not resume the session of its control
// connection.
func TestTLS(t *testing.T) {
	t.Parallel()
	for _, private := range []bool{true, false} {
		for _, kind := range []gateway.ServerTLS{gateway.SameTLS, gateway.ClearTLS, gateway.ExplicitTLS, gateway.ImplicitTLS} {
			name := kind.String() + " from clear"
			if private {
				name = kind.String() + " from TLS"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				srv := ftptest.Serve(t, ftptest.Files{"sea.txt": "0123456789"}, ftptest.TLS, requireResumption)
				addr := srv.Addr
				if kind == gateway.ImplicitTLS {
					addr = srv.Implicit
				}
				for _, mode := range []gateway.Mode{gateway.PassiveMode, gateway.ActiveMode} {
					g := serve(t, srv.Addr, terminate, towards(addr, kind), func(o *gateway.Options) { o.ServerMode = mode })
					c := ftptest.Dial(t, g.addr)
					c.Expect(220)
					if private {
						c.StartTLS(ftptest.ClientTLS())
					}
					enter(c)
					if got := c.Get("RETR sea.txt"); got != "0123456789" {
						t.Errorf("%v: %q", mode, got)
					}
					c.Put("STOR up.txt", strings.Repeat("upwards", 100_000))
					if got := srv.File("up.txt"); got != strings.Repeat("upwards", 100_000) {
						t.Errorf("%v: stored %d bytes", mode, len(got))
					}
					c.Do("QUIT", 221)
					c.ExpectEOF()
					r := g.record(t)
					wantServer := kind == gateway.ExplicitTLS || kind == gateway.ImplicitTLS || kind == gateway.SameTLS && private
					if r.TLS != private || r.ServerTLS != wantServer || len(r.Data) != 2 || len(r.Alarms) != 0 {
						t.Errorf("%v: record %+v", mode, r)
					}
					for _, d := range r.Data {
						if d.ClientTLS != private || d.ServerTLS != wantServer || d.Why != "done" {
							t.Errorf("%v: data %+v", mode, d)
						}
					}
				}
			})
		}
	}
}

func TestTLSPasses(t *testing.T) {
	t.Parallel()
	srv := ftptest.Serve(t, ftptest.Files{"sea.txt": "0123456789"}, ftptest.TLS)
	g := serve(t, srv.Addr)
	c := ftptest.Dial(t, g.addr)
	c.Expect(220)
	c.StartTLS(ftptest.ClientTLS())
	enter(c)
	// On loopback what the server announces leads to it.
	if got := c.Get("RETR sea.txt"); got != "0123456789" {
		t.Errorf("%q", got)
	}
	c.Do("QUIT", 221)
	_ = c.Close()
	if r := g.record(t); r.Blind == "" || r.Advice == "" || len(r.Data) != 0 {
		t.Errorf("record %+v", r)
	}
	if s := g.Stats(); s.Blind != 1 {
		t.Errorf("stats %+v", s)
	}
}

// A session that cannot be read has a time of its own, and what ends it hears
// nothing in the clear.
func TestBlindIdle(t *testing.T) {
	t.Parallel()
	for name, reason := range map[string]string{"idle": "idle time-out under TLS that passes through", "draining": "the gateway is shutting down"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t, "127.0.0.1", func(o *gateway.Options) {
				o.IdleTimeout = time.Hour
				if name == "idle" {
					o.BlindTimeout = 3 * time.Second
				}
			})
			w.turn("AUTH TLS\r\n", "234 Begin.\r\n")
			w.say("\x16\x03\x01\x00\x02hi")
			w.gets("\x16\x03\x01\x00\x02hi")
			if name == "draining" {
				go func() { _ = w.g.Shutdown(t.Context()) }()
			}
			for _, in := range []*bufio.Reader{w.cin, w.sin} {
				if b, err := in.ReadByte(); err != io.EOF {
					t.Errorf("%q, %v; want the end", b, err)
				}
				_ = w.client.Close()
			}
			if r := w.g.record(t); r.Reason != reason || r.Blind == "" {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestTLSRefused(t *testing.T) {
	t.Parallel()
	srv := ftptest.Serve(t, ftptest.Files{"sea.txt": "0123456789"}, ftptest.TLS)
	g := serve(t, srv.Addr, func(o *gateway.Options) { o.ClientTLS = gateway.RefuseTLS })
	c := ftptest.Dial(t, g.addr)
	c.Expect(220)
	c.Do("AUTH TLS", 534)
	enter(c)
	if got := c.Get("RETR sea.txt"); got != "0123456789" {
		t.Errorf("%q", got)
	}
}

func TestTLSRequired(t *testing.T) {
	t.Parallel()
	srv := ftptest.Serve(t, ftptest.Files{"sea.txt": "0123456789"})
	g := serve(t, srv.Addr, terminate, towards(srv.Addr, gateway.ClearTLS), func(o *gateway.Options) { o.ClientTLS = gateway.RequireTLS })
	c := ftptest.Dial(t, g.addr)
	c.Expect(220)
	c.Do("USER "+ftptest.User, 530)
	c.StartTLS(ftptest.ClientTLS())
	enter(c)
	c.Do("PROT C", 534)
	if got := c.Get("RETR sea.txt"); got != "0123456789" {
		t.Errorf("%q", got)
	}
}

// Bytes behind AUTH, before its answer, could be anybody's.
func TestTLSInjection(t *testing.T) {
	t.Parallel()
	srv := ftptest.Serve(t, nil, ftptest.TLS)
	for _, options := range [][]func(*gateway.Options){{terminate}, nil} {
		g := serve(t, srv.Addr, options...)
		c := ftptest.Dial(t, g.addr)
		c.Expect(220)
		if _, err := c.Write([]byte("AUTH TLS\r\nUSER mallory\r\n")); err != nil {
			t.Fatal(err)
		}
		c.Expect(503)
		c.Expect(331)
	}
}
