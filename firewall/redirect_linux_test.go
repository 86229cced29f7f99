package firewall_test

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"towpath/firewall"
	"towpath/internal/alone"
)

// gate is the listener of a transparent gateway.
type gate struct {
	net.Listener
	t *testing.T
}

// listenTransparent listens on the router.
func listenTransparent(t *testing.T, network, at string) gate {
	t.Helper()
	l, err := (&net.ListenConfig{Control: firewall.Transparent}).Listen(t.Context(), network, at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // the namespace ends with the test
	return gate{l, t}
}

// next is the connection that a client has opened, by its ends as the client
// knows them; it stays open until the test ends.
func (g gate) next() firewall.Flow {
	g.t.Helper()
	c, err := g.Accept()
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { _ = c.Close() }) // nothing was said
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		g.t.Fatal(err)
	}
	to := c.LocalAddr().(*net.TCPAddr).AddrPort()
	if err := raw.Control(func(fd uintptr) {
		// A sockaddr_in is 16 bytes, and this the type of x/sys that is as long.
		m, err := unix.GetsockoptIPv6Mreq(int(fd), unix.IPPROTO_IP, unix.SO_ORIGINAL_DST)
		if errors.Is(err, unix.ENOENT) {
			return // TPROXY needs no tracking
		}
		if err != nil {
			g.t.Error(err)
			return
		}
		b := m.Multiaddr
		to = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), binary.BigEndian.Uint16(b[2:4]))
	}); err != nil {
		g.t.Fatal(err)
	}
	return firewall.Flow{From: c.RemoteAddr().(*net.TCPAddr).AddrPort(), To: to}
}

// TestRedirection takes connections on their way through a router, in both
// kinds, and only those that it shall take.
func TestRedirection(t *testing.T) {
	t.Parallel()
	if !alone.Inside(t) {
		return
	}
	client, server := routed(t)
	const here = 2121
	g := listenTransparent(t, "tcp4", "0.0.0.0:2121")
	served := netip.AddrPortFrom(inside, 21)
	seen, other := server.listen(t, served), server.listen(t, netip.AddrPortFrom(inside, 22))
	from := netip.AddrPortFrom(visitor, 0)
	open := func(to netip.AddrPort) {
		t.Helper()
		if !client.connect(t, from, to, true) {
			t.Fatalf("no connection to %v", to)
		}
	}
	open(served)
	<-seen
	for _, r := range []firewall.Redirection{
		{},
		{Interfaces: []string{"outside"}, Clients: []netip.Prefix{netip.PrefixFrom(visitor, 24), netip.MustParsePrefix("2001:db8::/32")}},
		{Transparent: true},
		{Transparent: true, Ports: []uint16{2100, 21}, Interfaces: []string{"outside"}, Clients: []netip.Prefix{netip.PrefixFrom(visitor, 32)}},
	} {
		r.To = here
		installed, err := r.Install()
		if err != nil {
			t.Fatalf("%+v: %v", r, err)
		}
		open(served)
		if f := g.next(); f.From.Addr() != visitor || f.To != served {
			t.Errorf("%+v: %v to %v came, want %v to %v", r, f.From, f.To, visitor, served)
		}
		open(netip.AddrPortFrom(inside, 22))
		<-other
		if r.Transparent {
			d := net.Dialer{Timeout: time.Minute, Control: firewall.Transparent, LocalAddr: net.TCPAddrFromAddrPort(from)}
			c, err := d.DialContext(t.Context(), "tcp4", served.String())
			if err != nil {
				t.Fatalf("from the address of the client: %v", err)
			}
			if by := <-seen; by.Addr() != visitor {
				t.Errorf("the server sees %v, want %v", by, visitor)
			}
			_ = c.Close() // nothing was said
		}
		if err := installed.Close(); err != nil {
			t.Fatal(err)
		}
		open(served)
		<-seen
		if err := installed.Close(); err != nil {
			t.Errorf("closing again: %v", err)
		}
	}
	for _, r := range []firewall.Redirection{
		{Except: []netip.Prefix{netip.PrefixFrom(inside, 32)}},
		{Clients: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}},
		{Interfaces: []string{"inside"}, Transparent: true},
		{Ports: []uint16{2121}},
	} {
		r.To = here
		installed, err := r.Install()
		if err != nil {
			t.Fatalf("%+v: %v", r, err)
		}
		open(served)
		<-seen
		if err := installed.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if left := tables(t); left != "" {
		t.Errorf("tables that are left: %q", left)
	}
}

// TestConntrackOfGateway has a transparent gateway on a router whose filter
// knows nothing of it but its control port: data connections of both modes go
// through the kernel, and each end sees whom it talks to.
func TestConntrackOfGateway(t *testing.T) {
	t.Parallel()
	if !alone.Inside(t) {
		return
	}
	client, server := routed(t)
	related(t, 2121)
	l, err := net.Listen("tcp4", "0.0.0.0:2121")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	installed, err := (firewall.Redirection{To: 2121, Interfaces: []string{"outside"}}).Install()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := installed.Close(); err != nil {
			t.Error(err)
		}
	}()
	c := openConntrack(t, firewall.ConntrackOptions{})
	served := netip.AddrPortFrom(inside, 21)
	client.do(t, func() { control(t, visitor, served) })
	asked := gate{l, t}.next()
	server.do(t, func() { hold(t, served) })
	router := netip.MustParseAddr("10.0.0.1")
	onward := control(t, router, served)

	passive, active := netip.AddrPortFrom(inside, 50000), netip.AddrPortFrom(visitor, 40000)
	came := map[netip.AddrPort]<-chan netip.AddrPort{passive: server.listen(t, passive), active: client.listen(t, active)}
	for _, mode := range []struct {
		name string
		by   station
		hole firewall.Pinhole
	}{
		{"passive", client, firewall.Pinhole{From: visitor, Via: netip.AddrPortFrom(inside, 60000), To: passive, As: netip.AddrPortFrom(router, 0)}},
		{"active", server, firewall.Pinhole{From: inside, Via: netip.AddrPortFrom(router, 60000), To: active, As: netip.AddrPortFrom(inside, 0)}},
		{"active, as it is", server, firewall.Pinhole{From: inside, Via: netip.AddrPortFrom(router, 60000), To: active}},
	} {
		mode.hole.Life, mode.hole.Control = time.Minute, [2]firewall.Flow{asked, onward}
		hole, err := c.Open(t.Context(), mode.hole)
		if err != nil {
			t.Fatal(err)
		}
		from := netip.AddrPortFrom(mode.hole.From, 0)
		if !mode.by.connect(t, from, mode.hole.Via, true) {
			t.Fatalf("%s: not connected by %v", mode.name, mode.hole)
		}
		want := mode.hole.As.Addr()
		if !want.IsValid() {
			want = mode.hole.From
		}
		if by := <-came[mode.hole.To]; by.Addr() != want {
			t.Errorf("%s: the listener sees %v, want %v", mode.name, by, want)
		}
		if by, ok := firewall.Used(hole); !ok || by.Addr() != from.Addr() {
			t.Errorf("%s: used by %v, %v, want %v", mode.name, by, ok, from)
		}
		if err := hole.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestRedirectionRefuses checks what needs no kernel.
func TestRedirectionRefuses(t *testing.T) {
	t.Parallel()
	for want, r := range map[string]firewall.Redirection{
		"port 0: name the port":   {},
		"redirection of port 0":   {To: 1, Ports: []uint16{21, 0}},
		"mark 0x3: several bits":  {To: 1, Mark: 3},
		`interface "eth0\" "`:     {To: 1, Interfaces: []string{`eth0" `}},
		"network invalid Prefix":  {To: 1, Clients: make([]netip.Prefix, 1)},
		"network ::ffff:0.0.0.0/": {To: 1, Except: []netip.Prefix{netip.MustParsePrefix("::ffff:0.0.0.0/96")}},
	} {
		if err := r.Plan(t.Output()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want %q", r, err, want)
		}
	}
}
