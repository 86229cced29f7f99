package gateway_test

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"towpath/ftptest"
	"towpath/gateway"
)

// to routes all to one server.
type to gateway.Server

func (r to) Route(_ context.Context, _ gateway.Visitor, tried []string) (*gateway.Seat, error) {
	if len(tried) > 0 {
		return nil, errNoOther
	}
	return &gateway.Seat{Server: gateway.Server(r)}, nil
}

var errNoOther = errOf("there is no other server")

type errOf string

func (e errOf) Error() string { return string(e) }

// stand is a gateway on loopback.
type stand struct {
	*gateway.Gateway
	addr  string
	ended chan *gateway.Record
}

// serve runs a gateway to a server at addr. It ends with the test.
func serve(t testing.TB, addr string, options ...func(*gateway.Options)) *stand {
	t.Helper()
	s := &stand{ended: make(chan *gateway.Record, 100)}
	o := gateway.Options{
		Route:       to{Addr: addr},
		DataTimeout: 15 * time.Second,
		Ended:       func(r *gateway.Record) { s.ended <- r },
	}
	for _, change := range options {
		change(&o)
	}
	g, err := gateway.New(o)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Gateway, s.addr = g, l.Addr().String()
	done := make(chan error, 1)
	go func() { done <- g.Serve(l) }()
	t.Cleanup(func() {
		_ = g.Close()
		<-done
	})
	return s
}

// login opens a session through the gateway and logs in.
func (s *stand) login(t testing.TB) *ftptest.Conn {
	t.Helper()
	c := ftptest.Dial(t, s.addr)
	c.Expect(220)
	enter(c)
	return c
}

func enter(c *ftptest.Conn) {
	c.Do("USER "+ftptest.User, 331)
	c.Do("PASS "+ftptest.Password, 230)
	c.Do("TYPE I", 200)
}

func (s *stand) record(t testing.TB) *gateway.Record {
	t.Helper()
	select {
	case r := <-s.ended:
		return r
	case <-time.After(30 * time.Second):
		t.Fatal("the session does not end")
		return nil
	}
}

func TestPassiveAndActive(t *testing.T) {
	t.Parallel()
	for _, mode := range []gateway.Mode{gateway.SameMode, gateway.PassiveMode, gateway.ActiveMode} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			srv := ftptest.Serve(t, ftptest.Files{"sea.txt": "0123456789"})
			g := serve(t, srv.Addr, func(o *gateway.Options) { o.ServerMode = mode })
			c := g.login(t)
			if got := c.Get("RETR sea.txt"); got != "0123456789" {
				t.Errorf("passive: %q", got)
			}
			c.Put("STOR up.txt", "upwards")
			if got := srv.File("up.txt"); got != "upwards" {
				t.Errorf("stored %q", got)
			}
			c.Active()
			c.Send("RETR sea.txt")
			c.Expect(150)
			d := c.Data()
			if got := readAll(t, d); got != "0123456789" {
				t.Errorf("active: %q", got)
			}
			c.Expect(226)
			c.Do("QUIT", 221)
			c.ExpectEOF()
			r := g.record(t)
			if len(r.Data) != 3 || r.Down != 20 || r.Up != 7 || len(r.Alarms) != 0 {
				t.Errorf("record %+v", r)
			}
			for _, d := range r.Data {
				if d.Why != "done" || d.Code != 226 {
					t.Errorf("data %+v", d)
				}
			}
		})
	}
}

func readAll(t testing.TB, c net.Conn) string {
	t.Helper()
	b, err := io.ReadAll(c)
	if err != nil {
		t.Error(err)
	}
	_ = c.Close()
	return string(b)
}
