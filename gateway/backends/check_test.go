package backends

import (
	"crypto/tls"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"towpath/ftptest"
	"towpath/gateway"
	"towpath/gateway/doors"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	server := ftptest.Serve(t, nil, ftptest.TLS)
	config := ftptest.ClientTLS()
	foreign := &tls.Config{ServerName: "localhost", MinVersion: tls.VersionTLS12} // trusts whom the system does
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name           string
		server         gateway.Server
		user, password string
		fail           string
	}{
		{name: "greeting", server: gateway.Server{Addr: server.Addr}},
		{name: "login", server: gateway.Server{Addr: server.Addr}, user: ftptest.User, password: ftptest.Password},
		{name: "wrong password", server: gateway.Server{Addr: server.Addr}, user: ftptest.User, password: "x", fail: "530"},
		{name: "explicit", server: gateway.Server{Addr: server.Addr, TLS: gateway.ExplicitTLS, Config: config}, user: ftptest.User, password: ftptest.Password},
		{name: "implicit", server: gateway.Server{Addr: server.Implicit, TLS: gateway.ImplicitTLS, Config: config}, user: ftptest.User, password: ftptest.Password},
		{name: "implicit greeting", server: gateway.Server{Addr: server.Implicit, TLS: gateway.ImplicitTLS, Config: config}},
		{name: "unknown certificate", server: gateway.Server{Addr: server.Implicit, TLS: gateway.ImplicitTLS, Config: foreign}, fail: "certificate"},
		{name: "nobody", server: gateway.Server{Addr: closed}, fail: "dial"},
		{name: "nobody to log in to", server: gateway.Server{Addr: closed}, user: "a", password: "b", fail: "dial"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := Check(t.Context(), tt.server, tt.user, tt.password)
			if (err == nil) != (tt.fail == "") || err != nil && !strings.Contains(err.Error(), tt.fail) {
				t.Errorf("%v; want %q", err, tt.fail)
			}
		})
	}
}

// A server that wants to hear the PROXY protocol is checked by it, too.
func TestCheckByPROXY(t *testing.T) {
	t.Parallel()
	raw, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := doors.Balanced(raw, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, nil)
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				if _, err := c.Write([]byte("220-Behind a balancer\r\n220 Ready.\r\n")); err == nil {
					_, _ = c.Read(make([]byte, 64)) // QUIT, or nothing
				}
			}()
		}
	}()
	for _, version := range []int{1, 2} {
		s := gateway.Server{Addr: raw.Addr().String(), Proxy: version}
		if err := Check(t.Context(), s, "", ""); err != nil {
			t.Errorf("version %d: %v", version, err)
		}
	}
}

// A server that takes the connection and says nothing is not waited for.
func TestCheckOfTheDumb(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, user := range []string{"", "anna"} {
		p := pool(t, Options{
			Servers: []Server{{Server: gateway.Server{Addr: l.Addr().String()}}},
			Health:  Health{Interval: time.Hour, Timeout: 50 * time.Millisecond, Fall: 1, User: user},
		})
		p.check(t.Context(), p.set.Health, p.places)
		if s := p.Snapshot()[0]; s.State != "down" || s.Error == "" {
			t.Errorf("user %q: %+v", user, s)
		}
	}
}
