package gateway_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"towpath/firewall"
	"towpath/firewall/firewalltest"
	"towpath/ftp"
	"towpath/ftptest"
	"towpath/gateway"
)

// A plane in the kernel is asked for just what was agreed, when it was, and gives
// it back at the end of the transfer.
func TestKernelPassive(t *testing.T) {
	t.Parallel()
	plane := firewalltest.Fake{Name: "able"}
	w := newWire(t, "127.0.0.1", func(o *gateway.Options) {
		o.Opener = firewall.Either(&firewalltest.Fake{Name: "unable", Unable: true}, &plane)
	})
	w.login()
	w.say("PASV\r\n")
	w.gets("PASV\r\n")
	if p := plane.Pinholes(); len(p) != 0 {
		t.Fatalf("open before the answer: %v", p)
	}
	w.answer("227 (127,0,0,1,195,80)\r\n")
	told, err := ftp.ParsePassive(strings.TrimPrefix(w.line(w.cin), "227 "))
	if err != nil {
		t.Fatal(err)
	}
	p := plane.Pinholes()
	if len(p) != 1 || p[0].From != loopback || p[0].To.String() != "127.0.0.1:50000" || p[0].Via != told || p[0].As != netip.AddrPortFrom(loopback, 0) {
		t.Fatalf("%+v", p)
	}
	if c := p[0].Control; c[0].From.String() != w.client.LocalAddr().String() || c[0].To.String() != w.client.RemoteAddr().String() ||
		c[1].From.String() != w.server.RemoteAddr().String() || c[1].To.String() != w.server.LocalAddr().String() {
		t.Errorf("control connections %v", c)
	}
	if !plane.Connect(loopback, told) {
		t.Fatal("the client cannot come in")
	}
	w.turn("RETR sea\r\n", "150 Here.\r\n")
	w.answer("226 Done.\r\n")
	w.hears("226 Done.\r\n")
	w.turn("QUIT\r\n", "221 Bye.\r\n")
	_ = w.server.Close()
	_ = w.client.Close()
	r := w.g.record(t)
	if len(r.Data) != 1 || r.Data[0].Plane != "able" || r.Data[0].Down != -1 || r.Data[0].Why != "done" || r.Data[0].UsedBy.Addr() != loopback {
		t.Errorf("%+v", r.Data)
	}
	if p := plane.Pinholes(); len(p) != 0 {
		t.Errorf("left open: %v", p)
	}
	if s := w.g.Stats(); s.Kernel != 1 || s.User != 0 || s.Open != 0 {
		t.Errorf("%+v", s)
	}
}

func TestKernelActive(t *testing.T) {
	t.Parallel()
	var plane firewalltest.Fake
	w := newWire(t, "127.0.0.1", func(o *gateway.Options) { o.Opener = &plane })
	w.login()
	own := listenOr(t, "127.0.0.1:0")
	w.say("PORT " + ftp.FormatHostPort(at(own)) + "\r\n")
	c, err := ftp.ParseCommand(w.line(w.sin))
	if err != nil {
		t.Fatal(err)
	}
	told, err := ftp.ParseHostPort(c.Arg)
	if err != nil {
		t.Fatal(err)
	}
	w.answer("200 PORT fine.\r\n")
	w.hears("200 PORT fine.\r\n")
	if p := plane.Pinholes(); len(p) != 0 {
		t.Fatalf("open before the transfer: %v", p)
	}
	w.say("RETR sea\r\n")
	w.gets("RETR sea\r\n")
	p := plane.Pinholes()
	if len(p) != 1 || p[0].From != loopback || p[0].To != at(own) || p[0].Via != told {
		t.Fatalf("%+v", p)
	}
	w.answer("150 Here.\r\n426 Cut.\r\n")
	w.hears("150 Here.\r\n426 Cut.\r\n")
	w.turn("NOOP\r\n", "200 Fine.\r\n") // the end of the transfer has been dealt with
	if p := plane.Pinholes(); len(p) != 0 {
		t.Errorf("left open: %v", p)
	}
}

// What the kernel cannot carry, or must not, goes through user space.
func TestKernelNot(t *testing.T) {
	t.Parallel()
	pace := func(context.Context, int) error { return nil }
	for name, change := range map[string]func(*gateway.Options){
		"it translates nothing": func(o *gateway.Options) { o.Opener = &firewalltest.Fake{Unable: true} },
		"TLS":                   terminate,
		"another mode":          func(o *gateway.Options) { o.ServerMode = gateway.ActiveMode },
		"a limit": func(o *gateway.Options) {
			o.Limit = func(gateway.Visitor, gateway.Server) gateway.Limits { return gateway.Limits{Pace: pace} }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := ftptest.Serve(t, ftptest.Files{"sea.txt": "0123456789"})
			g := serve(t, srv.Addr, func(o *gateway.Options) {
				o.Opener = &firewalltest.Fake{}
				change(o)
				if o.TLS != nil {
					o.Route = to{Addr: srv.Addr, TLS: gateway.ClearTLS}
				}
			})
			c := ftptest.Dial(t, g.addr)
			c.Expect(220)
			if name == "TLS" {
				c.StartTLS(ftptest.ClientTLS())
			}
			enter(c)
			if got := c.Get("RETR sea.txt"); got != "0123456789" {
				t.Errorf("%q", got)
			}
			if s := g.Stats(); s.Kernel != 0 || s.User != 1 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// A file that is larger than may pass is cut, and the client hears why.
func TestLimits(t *testing.T) {
	t.Parallel()
	srv := ftptest.Serve(t, ftptest.Files{"sea.txt": strings.Repeat("0123456789", 100_000)})
	g := serve(t, srv.Addr, func(o *gateway.Options) {
		o.Limit = func(gateway.Visitor, gateway.Server) gateway.Limits {
			return gateway.Limits{Upload: 1000, Download: 1000}
		}
	})
	c := g.login(t)
	c.Passive()
	d := c.Data() // before the command: it is cut soon
	c.Send("RETR sea.txt")
	c.Expect(150)
	for err := error(nil); err == nil; {
		_, err = d.Read(make([]byte, 1<<16))
	}
	if r := c.Expect(426); !strings.Contains(r.String(), "larger than the gateway lets through") {
		t.Error(r)
	}
	c.Passive()
	d = c.Data()
	c.Send("STOR up.txt")
	c.Expect(150)
	_, _ = d.Write(make([]byte, 1<<20)) // it may be cut before all is written
	_ = d.Close()
	if r := c.Expect(426); !strings.Contains(r.String(), "larger than the gateway lets through") {
		t.Error(r)
	}
}

// What may be done is asked with the directory, which the server is asked for.
func TestAllow(t *testing.T) {
	t.Parallel()
	srv := ftptest.Serve(t, ftptest.Files{"quay/sea.txt": "0123456789"})
	g := serve(t, srv.Addr, func(o *gateway.Options) {
		o.Allow = func(r gateway.Request) error {
			if r.Command.Verb == "RETR" && r.Dir == "/quay" || r.Command.Verb == "DELE" {
				return errors.New("not from " + r.Dir + " for " + r.Visitor.User)
			}
			return nil
		}
	})
	c := g.login(t)
	c.Do("CWD quay", 250)
	c.Passive()
	if r := c.Do("RETR sea.txt", 550); r.Lines[0] != "not from /quay for "+ftptest.User {
		t.Error(r)
	}
	c.Do("CDUP", 250)
	c.Do("DELE quay/sea.txt", 550)
	if got := c.Get("RETR quay/sea.txt"); got != "0123456789" {
		t.Errorf("%q", got)
	}
	c.Do("QUIT", 221)
}

// named routes by user.
type named map[string]string

func (n named) Route(_ context.Context, v gateway.Visitor, tried []string) (*gateway.Seat, error) {
	name, host, ok := strings.Cut(v.User, "@")
	switch {
	case v.User == "":
		return nil, gateway.ErrNeedUser
	case len(tried) > 0 || !ok || n[host] == "":
		return nil, errors.New("no such server")
	}
	return &gateway.Seat{Server: gateway.Server{Addr: n[host], User: func(string) string { return name }}}, nil
}

// TestNeedUser: the gateway greets, and the server is known by USER.
func TestNeedUser(t *testing.T) {
	t.Parallel()
	srv := ftptest.Serve(t, ftptest.Files{"sea.txt": "0123456789"})
	g := serve(t, "", func(o *gateway.Options) { o.Route = named{"quay": srv.Addr} }, terminate)
	for _, private := range []bool{false, true} {
		c := ftptest.Dial(t, g.addr)
		c.Expect(220)
		c.Do("FEAT", 211)
		c.Do("PWD", 530)
		if private {
			c.Do("AUTH SSL", 234)
			break // the server speaks none: what comes then is for TestTLS
		}
		c.Do("USER "+ftptest.User+"@quay", 331)
		c.Do("PASS "+ftptest.Password, 230)
		c.Do("TYPE I", 200)
		if got := c.Get("RETR sea.txt"); got != "0123456789" {
			t.Errorf("%q", got)
		}
		c.Do("QUIT", 221)
	}
	c := ftptest.Dial(t, g.addr)
	c.Expect(220)
	c.Do("USER a@nowhere", 421)
	c.ExpectEOF()
}

// A server that cannot be used is passed over before the client sees anything.
type several []string

func (s several) Route(_ context.Context, _ gateway.Visitor, tried []string) (*gateway.Seat, error) {
	if len(tried) >= len(s) {
		return nil, errors.New("none is left")
	}
	return &gateway.Seat{Server: gateway.Server{Addr: s[len(tried)]}}, nil
}

func TestAnotherServer(t *testing.T) {
	t.Parallel()
	dead := listenOr(t, "127.0.0.1:0")
	_ = dead.Close()
	sick := listenOr(t, "127.0.0.1:0")
	go func() {
		c, err := sick.Accept()
		if err != nil {
			return
		}
		_, _ = c.Write([]byte("421 Too many.\r\n"))
		_ = c.Close()
	}()
	srv := ftptest.Serve(t, ftptest.Files{"sea.txt": "0123456789"})
	var routes gateway.Router = several{dead.Addr().String(), sick.Addr().String(), srv.Addr}
	g := serve(t, "", func(o *gateway.Options) { o.Route = routes })
	if got := g.login(t).Get("RETR sea.txt"); got != "0123456789" {
		t.Errorf("%q", got)
	}
}

var _ firewall.Opener = (*firewalltest.Fake)(nil)
