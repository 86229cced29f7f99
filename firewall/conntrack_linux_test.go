package firewall_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"

	"towpath/firewall"
	"towpath/firewall/firewalltest"
	"towpath/internal/alone"
)

// related sets up a filter as an administrator does who has heard of FTP
// helpers: nothing comes in but answers, control connections to one port, and
// what is related.
func related(t *testing.T, control uint16) {
	t.Helper()
	admit(t, strict(t), control)
}

// admit lets control connections into a filter.
func admit(t *testing.T, c *nftables.Conn, control uint16) {
	t.Helper()
	chains, err := c.ListChains()
	if err != nil {
		t.Fatal(err)
	}
	for _, chain := range chains {
		c.AddRule(&nftables.Rule{Table: chain.Table, Chain: chain, Exprs: []expr.Any{
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{6}},
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(control)},
			&expr.Verdict{Kind: expr.VerdictAccept},
		}})
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
}

func openConntrack(t *testing.T, o firewall.ConntrackOptions) *firewall.Conntrack {
	t.Helper()
	c, err := firewall.OpenConntrack(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// sessions gives each pinhole a control connection of its own, between the two
// that the data connection shall be between.
type sessions struct {
	t    *testing.T
	port uint16
	firewall.Opener
}

func (s sessions) Open(ctx context.Context, p firewall.Pinhole) (io.Closer, error) {
	if p.Check() != nil || ctx.Err() != nil {
		return s.Opener.Open(ctx, p)
	}
	from := p.From
	if p.As.IsValid() {
		from = p.As.Addr()
	}
	p.Control[1] = control(s.t, from, netip.AddrPortFrom(p.To.Addr(), s.port))
	return s.Opener.Open(ctx, p)
}

// control opens a control connection, which lasts as long as the test.
func control(t testing.TB, from netip.Addr, to netip.AddrPort) firewall.Flow {
	t.Helper()
	d := net.Dialer{Timeout: time.Minute, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))}
	c, err := d.DialContext(t.Context(), "tcp", to.String())
	if err != nil {
		t.Error(err)
		return firewall.Flow{}
	}
	t.Cleanup(func() { _ = c.Close() }) // nothing was said
	return firewall.Flow{From: c.LocalAddr().(*net.TCPAddr).AddrPort(), To: to}
}

// hold accepts connections and keeps them.
func hold(t testing.TB, at netip.AddrPort) {
	t.Helper()
	l, err := net.Listen("tcp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	var held []net.Conn
	done := make(chan struct{})
	t.Cleanup(func() {
		_ = l.Close() // ends the loop
		<-done
		for _, c := range held {
			_ = c.Close() // nothing was said
		}
	})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			held = append(held, c)
		}
	}()
}

// TestConntrack puts the kit to expectations, with a filter that knows nothing
// of us.
func TestConntrack(t *testing.T) {
	t.Parallel()
	if !alone.Inside(t) {
		return
	}
	const port = 2121
	related(t, port)
	hold(t, netip.AddrPortFrom(firewalltest.Server.Addr(), port))
	hold(t, netip.AddrPortFrom(firewalltest.Server6.Addr(), port))
	came := listenAt(t, firewalltest.Server, firewalltest.Second, firewalltest.Server6)
	firewalltest.TestOpener(t, func(t *testing.T) firewalltest.World {
		return came.world(t, sessions{t, port, openConntrack(t, firewall.ConntrackOptions{Ports: []uint16{port}})})
	})
}

// TestConntrackByMark has a filter that lets nothing related in, but our mark.
func TestConntrackByMark(t *testing.T) {
	t.Parallel()
	if !alone.Inside(t) {
		return
	}
	const port = 2121
	admit(t, dropping(t, expr.CtStateBitESTABLISHED), port)
	hold(t, netip.AddrPortFrom(firewalltest.Server.Addr(), port))
	w := listenAt(t, firewalltest.Server).world(t, sessions{t, port, openConntrack(t, firewall.ConntrackOptions{Ports: []uint16{port}})})
	if _, err := w.Open(t.Context(), firewall.Pinhole{From: firewalltest.Client, Via: firewalltest.Gate, To: firewalltest.Server, Life: time.Minute}); err != nil {
		t.Fatal(err)
	}
	if !w.Connect(firewalltest.Client, firewalltest.Gate, true) {
		t.Error("not connected")
	}
}

// TestConntrackRefuses asks for what no expectation can be.
func TestConntrackRefuses(t *testing.T) {
	t.Parallel()
	if !alone.Inside(t) {
		return
	}
	const port, other = 2121, 2122
	client, server := firewalltest.Client, firewalltest.Server
	for _, p := range []uint16{port, other} {
		hold(t, netip.AddrPortFrom(server.Addr(), p))
	}
	c := openConntrack(t, firewall.ConntrackOptions{Ports: []uint16{port}})
	known := control(t, client, netip.AddrPortFrom(server.Addr(), port))
	unattended := control(t, client, netip.AddrPortFrom(server.Addr(), other))
	gone := firewall.Flow{From: netip.AddrPortFrom(client, 1), To: known.To}
	for name, p := range map[string]firewall.Pinhole{
		"no control connection":            {From: client, To: server},
		"unknown control connection":       {From: client, To: server, Control: [2]firewall.Flow{gone}},
		"control connection without help":  {From: client, To: server, Control: [2]firewall.Flow{unattended}},
		"source that no end of control is": {From: client, To: server, As: netip.AddrPortFrom(firewalltest.Proxy, 0), Control: [2]firewall.Flow{known}},
		"source port":                      {From: client, Via: firewalltest.Gate, To: server, As: netip.AddrPortFrom(client, 20), Control: [2]firewall.Flow{known}},
		"another family":                   {From: client, Via: firewalltest.Gate, To: firewalltest.Server6, Control: [2]firewall.Flow{known}},
	} {
		p.Life = time.Minute
		if _, err := c.Open(t.Context(), p); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v, want %v", name, err, errors.ErrUnsupported)
		} else {
			t.Log(err)
		}
	}
	if err := c.Attend(other); err != nil {
		t.Fatal(err)
	}
	attended := control(t, client, netip.AddrPortFrom(server.Addr(), other))
	hole, err := c.Open(t.Context(), firewall.Pinhole{From: client, To: server, Control: [2]firewall.Flow{attended}, Life: time.Minute})
	if err != nil {
		t.Fatalf("a port that is attended to by now: %v", err)
	}
	if got := firewall.Plane(hole); got != "conntrack" {
		t.Errorf("opened by %q", got)
	}
	if err := hole.Close(); err != nil {
		t.Error(err)
	}
}
