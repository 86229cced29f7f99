package main

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"towpath/firewall"
	"towpath/ftptest"
	"towpath/internal/alone"
)

// host is one in a network namespace of its own.
type host netns.NsHandle

// do runs f on the host. Sockets and processes that f makes itself stay there.
func (h host) do(t *testing.T, f func()) {
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
	if err := netns.Set(netns.NsHandle(h)); err != nil {
		t.Fatal(err)
	}
	f()
}

// around makes two hosts with the process on the router between them:
//
//	client 203.0.113.9 ---- 203.0.113.1  router  10.0.0.1 ---- 10.0.0.5 server
//	     2001:db8:1::9 ---- 2001:db8:1::1   2001:db8:2::1 ---- 2001:db8:2::5
func around(t *testing.T) (client, server host) {
	t.Helper()
	here, err := netlink.NewHandle()
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	join := func(name string, router, far [2]string) host {
		runtime.LockOSThread()
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
		runtime.UnlockOSThread()
		t.Cleanup(func() { _ = ns.Close() }) // it ends with the process at the latest
		there, err := netlink.NewHandleAt(ns)
		if err != nil {
			t.Fatal(err)
		}
		defer there.Close()
		if err := here.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: "up", PeerNamespace: netlink.NsFd(ns)}); err != nil {
			t.Fatalf("veth: %v", err)
		}
		for _, end := range []struct {
			h    *netlink.Handle
			link string
			own  [2]string
		}{{here, name, router}, {there, "up", far}, {there, "lo", [2]string{}}} {
			link, err := end.h.LinkByName(end.link)
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range end.own {
				if text == "" {
					continue
				}
				a, err := netlink.ParseAddr(text)
				if err != nil {
					t.Fatal(err)
				}
				if a.IP.To4() == nil {
					a.Flags = unix.IFA_F_NODAD // usable at once
				}
				if err := end.h.AddrAdd(link, a); err != nil {
					t.Fatal(err)
				}
			}
			if err := end.h.LinkSetUp(link); err != nil {
				t.Fatal(err)
			}
		}
		for _, text := range router {
			by := netip.MustParsePrefix(text).Addr()
			if err := there.RouteAdd(&netlink.Route{Dst: &net.IPNet{IP: make(net.IP, by.BitLen()/8), Mask: net.CIDRMask(0, by.BitLen())}, Gw: by.AsSlice()}); err != nil {
				t.Fatal(err)
			}
		}
		return host(ns)
	}
	client = join("clients", [2]string{"203.0.113.1/24", "2001:db8:1::1/64"}, [2]string{"203.0.113.9/24", "2001:db8:1::9/64"})
	server = join("servers", [2]string{"10.0.0.1/24", "2001:db8:2::1/64"}, [2]string{"10.0.0.5/24", "2001:db8:2::5/64"})
	for _, name := range []string{"ipv4/ip_forward", "ipv6/conf/all/forwarding"} {
		if err := os.WriteFile("/proc/sys/net/"+name, []byte("1\n"), 0); err != nil {
			t.Fatal(err)
		}
	}
	return client, server
}

// Clients whose packets pass a gateway reach their server through it, by both
// ways to redirect them, both versions of IP, both modes, and both planes. When
// it is killed nothing of it works, and when it ends nothing is left.
func TestGatewayTransparent(t *testing.T) {
	t.Parallel()
	if !alone.Inside(t) {
		return
	}
	client, server := around(t)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "sea.bin"), content(100_000))
	var srv *process
	server.do(t, func() {
		srv = start(t, command(t, "towpath", "serve", dir, "--listen", ":21", "--user", user, "--log-format", "json"))
	})
	srv.out.await(t, `^  tcp 21 +control connections$`)

	// talk is a session of the client with the server, in both modes.
	talk := func(at string) {
		t.Helper()
		client.do(t, func() {
			c := ftptest.Dial(t, at)
			c.Expect(220)
			c.Do("USER test", 331)
			c.Do("PASS secret", 230)
			c.Do("TYPE I", 200)
			for _, mode := range []func(){c.Passive, c.Active} {
				mode()
				c.Send("RETR sea.bin")
				c.Expect(150)
				d := c.Data()
				// Where the client is led through, everybody he sees is his server.
				if got := d.RemoteAddr().(*net.TCPAddr).IP.String(); !strings.Contains(at, got) {
					t.Errorf("data comes from %s, want %s", got, at)
				}
				var b bytes.Buffer
				if _, err := b.ReadFrom(d); err != nil || b.String() != content(100_000) {
					t.Errorf("%d bytes, %v", b.Len(), err)
				}
				c.Expect(226)
			}
			c.Do("QUIT", 221)
		})
	}
	run := func(args ...string) *process {
		t.Helper()
		g := start(t, command(t, "towpath", append([]string{"gateway", "--transparent", "--install-rules", "--listen", ":2121", "--log-json"}, args...)...))
		g.out.await(t, `^  tcp 2121 +control connections$`)
		g.out.await(t, `^Try:$`)
		return g
	}
	// led tells whether the routes of TPROXY are there.
	led := func() bool {
		t.Helper()
		rules, err := netlink.RuleList(netlink.FAMILY_ALL)
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(rules, func(r netlink.Rule) bool { return r.Table == firewall.DefaultRoutes })
	}
	for _, tt := range []struct {
		args  []string
		kill  bool
		plane string
	}{
		{args: []string{"--redirect", "tproxy", "--data", "user"}, plane: "user"},
		{args: []string{"--redirect", "tproxy"}, plane: "conntrack", kill: true},
		{args: []string{"--data", "user"}, plane: "user"},
	} {
		record := filepath.Join(t.TempDir(), "record")
		g := run(append(tt.args, "--record", record)...)
		for _, at := range []string{"10.0.0.5:21", "[2001:db8:2::5]:21"} {
			talk(at)
		}
		holds(t, record, `"session":1,`)
		holds(t, record, `"session":2,`)
		if tt.kill {
			g.kill()
		} else {
			g.signal(syscall.SIGTERM)
			if code := g.wait(); code != 0 {
				t.Errorf("%q: exit code %d", tt.args, code)
			}
		}
		if led() != tt.kill {
			t.Errorf("%q: the routes stay: %v, want %v", tt.args, led(), tt.kill)
		}
		if n := strings.Count(read(t, record), `"plane":"`+tt.plane+`"`); n != 4 {
			t.Errorf("%q: %d data connections by %q, want 4:\n%s", tt.args, n, tt.plane, read(t, record))
		}
		// Clients go straight again.
		client.do(t, func() {
			c := ftptest.Dial(t, "10.0.0.5:21")
			c.Expect(220)
			c.Do("QUIT", 221)
		})
	}
}
