package ftpserver

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func prefixes(s ...string) []netip.Prefix {
	var p []netip.Prefix
	for _, s := range s {
		p = append(p, netip.MustParsePrefix(s))
	}
	return p
}

func noLookup(_ context.Context, host string) ([]netip.Addr, error) {
	return nil, errors.New("unexpected lookup of " + host)
}

func TestToldRefuses(t *testing.T) {
	for _, test := range []struct{ address, says string }{
		{"", "is empty"},
		{"1.2.3.400", "no IPv4 address"},
		{"1.2.3", "no IPv4 address"},
		{"10.0.0.0/8", "neither"},
		{"example.org:21", "neither"},
		{"a b", "neither"},
		{"a..b", "neither"},
		{"-\r\n", "neither"},
		{"if:", `"if:eth0"`},
		{"0.0.0.0", "no client"},
		{"::", "no client"},
		{"224.0.0.1", "no client"},
		{"fe80::1%eth0", "zone"},
	} {
		_, err := newTold([]Told{{Address: test.address}}, noLookup)
		if err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%q: %v, want …%s…", test.address, err, test.says)
		}
	}
	if _, err := newTold([]Told{{Clients: make([]netip.Prefix, 1), Address: "192.0.2.1"}}, nil); err == nil {
		t.Error("a network that is none was taken")
	}
}

func TestToldAddress(t *testing.T) {
	yes, no := true, false
	rules := []Told{
		{Clients: prefixes("10.1.0.0/16"), Address: "10.1.0.1"},
		{Clients: prefixes("::ffff:10.2.0.0/112"), Address: "auto"},
		{Clients: prefixes("198.51.100.0/24"), TLS: &yes, Address: "203.0.113.7"},
		{Clients: prefixes("198.51.100.0/24"), TLS: &no, Address: "named.example"},
		{Address: "2001:db8::7"},
		{Address: "203.0.113.9"},
	}
	lookup := func(ctx context.Context, host string) ([]netip.Addr, error) {
		if host != "named.example" {
			return noLookup(ctx, host)
		}
		return []netip.Addr{netip.MustParseAddr("2001:db8::8"), netip.MustParseAddr("::ffff:203.0.113.8")}, nil
	}
	told, err := newTold(rules, lookup)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		client, local string
		tls           bool
		want          string
	}{
		{"10.1.2.3", "10.9.0.1", false, "10.1.0.1"}, // named, though inside
		{"10.2.0.3", "10.9.0.1", false, "10.9.0.1"}, // auto
		{"10.3.0.3", "10.9.0.1", false, "10.9.0.1"}, // inside
		{"::ffff:10.3.0.3", "::ffff:10.9.0.1", true, "10.9.0.1"},
		{"10.3.0.3", "192.0.2.1", false, "203.0.113.9"}, // private, but came to a public address
		{"127.0.0.1", "127.0.0.1", false, "127.0.0.1"},
		{"169.254.0.9", "169.254.0.1", false, "169.254.0.1"},
		{"198.51.100.4", "10.9.0.1", true, "203.0.113.7"},
		{"198.51.100.4", "10.9.0.1", false, "203.0.113.8"},
		{"192.0.2.200", "10.9.0.1", false, "203.0.113.9"},
		{"2001:db8:1::1", "2001:db8::1", false, "2001:db8::7"},
		{"fe80::2%eth0", "fe80::1%eth0", false, "fe80::1%eth0"},
	} {
		got, err := told.address(t.Context(), netip.MustParseAddr(test.client), netip.MustParseAddr(test.local), test.tls)
		if err != nil || got != netip.MustParseAddr(test.want) {
			t.Errorf("client %s at %s, TLS %v: %v, %v, want %s", test.client, test.local, test.tls, got, err, test.want)
		}
	}
}

// A name without an address of the client's family leaves it to the next rule.
func TestToldOtherFamily(t *testing.T) {
	told, err := newTold([]Told{{Address: "six.example"}, {Address: "203.0.113.9"}},
		func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.IPv6LinkLocalAllNodes()}, nil
		})
	if err != nil {
		t.Fatal(err)
	}
	got, err := told.address(t.Context(), netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("10.0.0.1"), false)
	if err != nil || got != netip.MustParseAddr("203.0.113.9") {
		t.Errorf("%v, %v", got, err)
	}
}

func TestToldInterface(t *testing.T) {
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(interfaces, func(i net.Interface) bool { return i.Flags&net.FlagLoopback != 0 && i.Flags&net.FlagUp != 0 })
	if i < 0 {
		t.Skip("this system has no loopback interface that is up")
	}
	outside, local := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("10.0.0.1")
	told, err := newTold([]Told{{Address: "if:" + interfaces[i].Name}}, noLookup)
	if err != nil {
		t.Fatal(err)
	}
	got, err := told.address(t.Context(), outside, local, false)
	if err != nil || !got.IsLoopback() {
		t.Errorf("%v, %v, want an address of %s", got, err, interfaces[i].Name)
	}
	told, err = newTold([]Told{{Address: "if:nosuch0"}}, noLookup)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = told.address(t.Context(), outside, local, false); err == nil || !strings.Contains(err.Error(), "if:nosuch0") {
		t.Errorf("no such interface: %v", err)
	}
}

// A name is asked for again after a minute, in the background; what was known
// serves while the resolver is slow or fails.
func TestToldAges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var answer string
		var failure error
		var took time.Duration
		asked := 0
		told, err := newTold([]Told{{Address: "dyn.example"}}, func(context.Context, string) ([]netip.Addr, error) {
			asked++
			time.Sleep(took)
			if failure != nil {
				return nil, failure
			}
			return []netip.Addr{netip.MustParseAddr(answer)}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		expect := func(want string, wantAsked int) {
			t.Helper()
			began := time.Now()
			got, err := told.address(t.Context(), netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("10.0.0.1"), false)
			waited := time.Since(began)
			time.Sleep(took)
			synctest.Wait()
			if asked > 1 && waited != 0 {
				t.Errorf("waited %v", waited)
			}
			if err != nil || got.String() != want || asked != wantAsked {
				t.Errorf("%v, %v, asked %d times; want %s, %d", got, err, asked, want, wantAsked)
			}
		}
		answer, took = "203.0.113.1", 2*time.Second
		expect("203.0.113.1", 1)
		answer = "203.0.113.2"
		expect("203.0.113.1", 1)
		time.Sleep(time.Minute)
		expect("203.0.113.1", 2) // and asks
		expect("203.0.113.2", 2)
		failure = errors.New("resolver is down")
		time.Sleep(time.Minute)
		expect("203.0.113.2", 3)
		expect("203.0.113.2", 3) // not again at once
		time.Sleep(10 * time.Second)
		failure, answer = nil, "203.0.113.3"
		expect("203.0.113.2", 4)
		expect("203.0.113.3", 4)
	})
}

// The first answer is waited for, but not for long, and a failure is said.
func TestToldFirstAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := errors.New("resolver is down")
		told, err := newTold([]Told{{Address: "dyn.example"}}, func(ctx context.Context, _ string) ([]netip.Addr, error) {
			<-ctx.Done()
			return nil, down
		})
		if err != nil {
			t.Fatal(err)
		}
		ask := func() error {
			_, err := told.address(t.Context(), netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("10.0.0.1"), false)
			return err
		}
		began := time.Now()
		if err := ask(); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "dyn.example") {
			t.Errorf("slow resolver: %v", err)
		}
		if d := time.Since(began); d != toldWait {
			t.Errorf("waited %v", d)
		}
		time.Sleep(toldLookup)
		if err := ask(); !errors.Is(err, down) {
			t.Errorf("after the lookup: %v", err)
		}
		time.Sleep(time.Minute) // lookups still under way end
	})
}
