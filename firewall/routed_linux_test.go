package firewall_test

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"towpath/firewall"
	"towpath/internal/alone"
)

// The network of these tests: the process stands on the router.
//
//	client 203.0.113.9 ---- 203.0.113.1 router 10.0.0.1 ---- 10.0.0.5 server
var (
	outside = netip.MustParseAddr("203.0.113.1")
	inside  = netip.MustParseAddr("10.0.0.5")
	visitor = netip.MustParseAddr("203.0.113.9")
)

// station is a host in a network namespace of its own.
type station netns.NsHandle

// do runs f on the host. Sockets that f makes itself stay there.
func (s station) do(t *testing.T, f func()) {
	t.Helper()
	runtime.LockOSThread()
	home, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(netns.Set(home), home.Close()); err != nil {
			t.Fatal(err) // the thread stays locked, and ends with the test
		}
		runtime.UnlockOSThread()
	}()
	if err := netns.Set(netns.NsHandle(s)); err != nil {
		t.Fatal(err)
	}
	f()
}

// connect opens a connection from the host and reports whether it came about.
func (s station) connect(t *testing.T, from, to netip.AddrPort, expected bool) bool {
	t.Helper()
	var reached bool
	s.do(t, func() { reached = connect(t, from, to, expected) })
	return reached
}

// listen tells of each connection to a port of the host from where it comes.
func (s station) listen(t *testing.T, at netip.AddrPort) <-chan netip.AddrPort {
	t.Helper()
	var l net.Listener
	var err error
	s.do(t, func() { l, err = net.Listen("tcp", at.String()) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // the namespace ends with the test
	came := make(chan netip.AddrPort, 100)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			came <- c.RemoteAddr().(*net.TCPAddr).AddrPort()
			_ = c.Close() // the other side has what it wanted
		}
	}()
	return came
}

// routed makes the network.
func routed(t *testing.T) (client, server station) {
	t.Helper()
	join := func(name string, router, host netip.Addr) station {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		home, err := netns.Get()
		if err != nil {
			t.Fatal(err)
		}
		ns, err := netns.New()
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(netns.Set(home), home.Close()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := ns.Close(); err != nil {
				t.Error(err)
			}
		})
		there, err := netlink.NewHandleAt(ns)
		if err != nil {
			t.Fatal(err)
		}
		defer there.Close()
		here, err := netlink.NewHandle()
		if err != nil {
			t.Fatal(err)
		}
		defer here.Close()
		if err := here.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: "up", PeerNamespace: netlink.NsFd(ns)}); err != nil {
			t.Fatalf("veth: %v", err)
		}
		for _, end := range []struct {
			h       *netlink.Handle
			link    string
			address netip.Addr
		}{{here, name, router}, {there, "up", host}} {
			link, err := end.h.LinkByName(end.link)
			if err != nil {
				t.Fatal(err)
			}
			address := &netlink.Addr{IPNet: &net.IPNet{IP: end.address.AsSlice(), Mask: net.CIDRMask(24, 32)}}
			if err := errors.Join(end.h.AddrAdd(link, address), end.h.LinkSetUp(link)); err != nil {
				t.Fatal(err)
			}
		}
		if err := there.RouteAdd(&netlink.Route{Dst: &net.IPNet{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)}, Gw: router.AsSlice()}); err != nil {
			t.Fatal(err)
		}
		return station(ns)
	}
	client = join("outside", outside, visitor)
	server = join("inside", netip.MustParseAddr("10.0.0.1"), inside)
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1\n"), 0); err != nil {
		t.Fatal(err)
	}
	// A link comes up when it likes, and a first packet that waits for it may
	// arrive when its sender has given up: in a later pinhole.
	for host, to := range map[station]netip.Addr{client: outside, server: netip.MustParseAddr("10.0.0.1")} {
		l, err := net.Listen("tcp", netip.AddrPortFrom(to, 0).String())
		if err != nil {
			t.Fatal(err)
		}
		if !host.connect(t, netip.AddrPort{}, l.Addr().(*net.TCPAddr).AddrPort(), true) {
			t.Fatalf("no way to %v", to)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return client, server
}

// connect opens a connection from where the thread is, and reports whether it
// came about.
func connect(t *testing.T, from, to netip.AddrPort, expected bool) bool {
	t.Helper()
	patience := 300 * time.Millisecond // a drop is silent
	if expected {
		patience = time.Minute
	}
	reuse := func(_, _ string, c syscall.RawConn) error {
		var serr error
		err := c.Control(func(fd uintptr) {
			serr = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
		})
		return errors.Join(err, serr)
	}
	d := net.Dialer{Timeout: patience, Control: reuse}
	if from.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(from)
	}
	c, err := d.DialContext(t.Context(), "tcp", to.String())
	if err == nil {
		_ = c.Close() // being connected is all that was wanted
		return true
	}
	if e, ok := errors.AsType[net.Error](err); !ok || !e.Timeout() {
		t.Errorf("%v to %v: %v, want a connection or silence", from, to, err)
	}
	return false
}

// TestNetfilterRouted opens pinholes on a router, in a namespace that is not
// the one of the process, for both modes.
func TestNetfilterRouted(t *testing.T) {
	t.Parallel()
	if !alone.Inside(t) {
		return
	}
	client, server := routed(t)
	strict(t)
	control, data := netip.AddrPortFrom(inside, 50000), netip.AddrPortFrom(visitor, 40000)
	server.listen(t, control)
	client.listen(t, data)
	home, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	defer home.Close()
	var n *firewall.Netfilter
	client.do(t, func() { n, err = firewall.OpenNetfilter(firewall.NetfilterOptions{NetNS: int(home)}) })
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}()
	from := func(a netip.Addr) netip.AddrPort { return netip.AddrPortFrom(a, 0) }
	for _, mode := range []struct {
		name string
		by   station
		from netip.Addr
		to   netip.AddrPort
	}{{"passive", client, visitor, control}, {"active", server, inside, data}} {
		if mode.by.connect(t, from(mode.from), mode.to, false) {
			t.Errorf("%s: connected without a pinhole", mode.name)
		}
		hole, err := n.Open(t.Context(), firewall.Pinhole{From: mode.from, To: mode.to, Life: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		if !mode.by.connect(t, from(mode.from), mode.to, true) {
			t.Errorf("%s: not connected through the pinhole", mode.name)
		}
		if mode.by.connect(t, from(mode.from), mode.to, false) {
			t.Errorf("%s: connected a second time through one pinhole", mode.name)
		}
		if err := hole.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestNetfilterLeadsOn opens the pinholes of a gateway that stands between the
// two, for both modes: each end sees only the gateway.
func TestNetfilterLeadsOn(t *testing.T) {
	t.Parallel()
	if !alone.Inside(t) {
		return
	}
	client, server := routed(t)
	strict(t)
	served, called := netip.AddrPortFrom(inside, 50000), netip.AddrPortFrom(visitor, 40000)
	came := map[netip.AddrPort]<-chan netip.AddrPort{served: server.listen(t, served), called: client.listen(t, called)}
	n := openNetfilter(t, firewall.NetfilterOptions{})
	router := netip.MustParseAddr("10.0.0.1")
	for _, mode := range []struct {
		name string
		by   station
		hole firewall.Pinhole
	}{
		{"passive", client, firewall.Pinhole{From: visitor, Via: netip.AddrPortFrom(outside, 60000), To: served, As: netip.AddrPortFrom(router, 0)}},
		{"active", server, firewall.Pinhole{From: inside, Via: netip.AddrPortFrom(router, 60000), To: called, As: netip.AddrPortFrom(outside, 20)}},
		{"active, transparent", server, firewall.Pinhole{From: inside, Via: netip.AddrPortFrom(router, 60000), To: called}},
	} {
		mode.hole.Life = time.Minute
		hole, err := n.Open(t.Context(), mode.hole)
		if err != nil {
			t.Fatal(err)
		}
		from := netip.AddrPortFrom(mode.hole.From, 0)
		if !mode.by.connect(t, from, mode.hole.Via, true) {
			t.Fatalf("%s: not connected by %v", mode.name, mode.hole)
		}
		want := mode.hole.As
		if !want.IsValid() {
			want = from
		}
		if by := <-came[mode.hole.To]; by.Addr() != want.Addr() || want.Port() != 0 && by.Port() != want.Port() {
			t.Errorf("%s: the listener sees %v, want %v", mode.name, by, want)
		}
		if mode.by.connect(t, from, mode.hole.Via, false) {
			t.Errorf("%s: connected a second time by %v", mode.name, mode.hole)
		}
		if by, ok := firewall.Used(hole); !ok || by.Addr() != from.Addr() {
			t.Errorf("%s: used by %v, %v, want %v", mode.name, by, ok, from)
		}
		if err := hole.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestRulesOfARouter loads what is written for a router with NAT, and sends
// packets in both modes through it.
func TestRulesOfARouter(t *testing.T) {
	t.Parallel()
	if !alone.Inside(t) {
		return
	}
	client, server := routed(t)
	facts := firewall.Server{
		Control: []uint16{21}, Passive: firewall.Ports{Low: 50000, High: 50001}, Active: true, ActivePort: 20,
		Inside: []netip.Addr{inside}, External: []netip.Addr{outside},
	}
	came := map[uint16]<-chan netip.AddrPort{}
	for _, port := range []uint16{21, 22, 50001, 50002} {
		came[port] = server.listen(t, netip.AddrPortFrom(inside, port))
	}
	called := client.listen(t, netip.AddrPortFrom(visitor, 40000))
	for _, format := range []struct {
		name            string
		closed          string // makes the router strict
		load            []string
		jump, end, undo string
	}{
		{
			"nftables", "nft add table inet filter; nft add chain inet filter forward '{ type filter hook forward priority filter; policy drop; }'; nft add chain inet filter input '{ type filter hook input priority filter; policy drop; }'",
			[]string{"nft", "-f"},
			"nft insert rule inet filter forward jump towpath_forward", "", "nft flush ruleset",
		},
		{
			"iptables", "iptables -w -P FORWARD DROP; iptables -w -P INPUT DROP",
			[]string{"sh"},
			"", "remove", "iptables -w -P FORWARD ACCEPT; iptables -w -P INPUT ACCEPT",
		},
	} {
		t.Run(format.name, func(t *testing.T) {
			program := strings.Fields(format.closed)[0]
			if _, err := exec.LookPath(program); err != nil {
				t.Skipf("%s is not installed: its rules for a router are compared and not loaded", program)
			}
			shell := func(line string) {
				t.Helper()
				if out, err := exec.Command("sh", "-ec", line).CombinedOutput(); err != nil {
					t.Fatalf("%s: %v\n%s", line, err, out)
				}
			}
			shell(format.closed)
			if client.connect(t, netip.AddrPortFrom(visitor, 0), netip.AddrPortFrom(outside, 21), false) {
				t.Error("connected before there are rules")
			}
			f, err := firewall.FormatNamed(format.name)
			if err != nil {
				t.Fatal(err)
			}
			set, err := facts.Plan(firewall.AtRouter)
			if err != nil {
				t.Fatal(err)
			}
			var rules strings.Builder
			if err := f.Write(&rules, set); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "rules")
			if err := os.WriteFile(file, []byte(rules.String()), 0o600); err != nil {
				t.Fatal(err)
			}
			shell(strings.Join(format.load, " ") + " " + file)
			if format.jump != "" {
				shell(format.jump)
			}
			for port, open := range map[uint16]bool{21: true, 50001: true, 22: false, 50002: false} {
				if got := client.connect(t, netip.AddrPortFrom(visitor, 0), netip.AddrPortFrom(outside, port), open); got != open {
					t.Errorf("port %d from outside: connected is %v, want %v", port, got, open)
				}
				if !open {
					continue
				}
				if from := <-came[port]; from.Addr() != visitor {
					t.Errorf("port %d: the server sees %v, want %v", port, from, visitor)
				}
			}
			if !server.connect(t, netip.AddrPortFrom(inside, 20), netip.AddrPortFrom(visitor, 40000), true) {
				t.Error("active mode: not connected")
			} else if from := <-called; from != netip.AddrPortFrom(outside, 20) {
				t.Errorf("active mode: the client sees %v, want port 20 of %v", from, outside)
			}
			if server.connect(t, netip.AddrPortFrom(inside, 0), netip.AddrPortFrom(visitor, 40000), false) {
				t.Error("active mode: connected from another port than 20")
			}
			if format.end != "" {
				shell(strings.Join(format.load, " ") + " " + file + " " + format.end)
			}
			shell(format.undo)
		})
	}
}
