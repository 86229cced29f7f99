package backends

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"towpath/gateway"
	"towpath/gateway/policy"
)

func targets(t testing.TB, list string) (ts policy.Targets) {
	t.Helper()
	for s := range strings.FieldsSeq(list) {
		x, err := policy.ParseTarget(s)
		if err != nil {
			t.Fatal(err)
		}
		ts = append(ts, x)
	}
	return ts
}

func TestForward(t *testing.T) {
	t.Parallel()
	names := map[string][]string{
		"ftp.example.org":  {"192.0.2.5", "2001:db8::5"},
		"evil.example.org": {"127.0.0.1", "192.0.2.5"},
		"self.example.org": {"192.0.2.1"},
	}
	asked := 0
	f := &Forward{
		Allow:     targets(t, "*.example.org:21 *.example.org:2121 198.51.100.0/24"),
		Ourselves: Ourselves(netip.MustParseAddrPort("192.0.2.1:21")),
		Lookup: func(_ context.Context, host string) (all []netip.Addr, err error) {
			asked++
			for _, s := range names[host] {
				all = append(all, netip.MustParseAddr(s))
			}
			if all == nil {
				err = errors.New("no such host")
			}
			return all, err
		},
	}
	for _, tt := range []struct {
		name             string
		v                gateway.Visitor
		tried            []string
		addr, user, fail string
	}{
		{name: "nothing yet", fail: gateway.ErrNeedUser.Error()},
		{name: "no host", v: gateway.Visitor{User: "anna"}, fail: "log in as USER@HOST"},
		{name: "name", v: gateway.Visitor{User: "anna@ftp.example.org"}, addr: "192.0.2.5:21", user: "anna"},
		{
			name: "next address", v: gateway.Visitor{User: "anna@ftp.example.org"},
			tried: []string{"ftp.example.org:21 (192.0.2.5)"}, addr: "[2001:db8::5]:21", user: "anna",
		},
		{
			name: "all tried", v: gateway.Visitor{User: "anna@ftp.example.org"},
			tried: []string{"ftp.example.org:21 (192.0.2.5)", "ftp.example.org:21 (2001:db8::5)"}, fail: "none answers now",
		},
		{name: "port", v: gateway.Visitor{User: "anna@ftp.example.org:2121"}, addr: "192.0.2.5:2121", user: "anna"},
		{name: "user with an @", v: gateway.Visitor{User: "anna@example.com@198.51.100.7"}, addr: "198.51.100.7:21", user: "anna@example.com"},
		{name: "HOST", v: gateway.Visitor{User: "anna", Host: "ftp.example.org"}, addr: "192.0.2.5:21", user: "anna"},
		{name: "SOCKS", v: gateway.Visitor{Wanted: "ftp.example.org:2121"}, addr: "192.0.2.5:2121"},
		{name: "port not allowed", v: gateway.Visitor{User: "anna@198.51.100.7:25"}, fail: "not among those that are allowed"},
		{name: "not allowed", v: gateway.Visitor{User: "anna@203.0.113.1"}, fail: "not among those that are allowed"},
		{name: "a name that leads here", v: gateway.Visitor{User: "anna@evil.example.org"}, fail: "this machine itself"},
		{name: "ourselves", v: gateway.Visitor{User: "anna@self.example.org"}, fail: "it is the gateway itself"},
		{name: "no such name", v: gateway.Visitor{User: "anna@nix.example.org"}, fail: "no such host"},
		{name: "empty user", v: gateway.Visitor{User: "@198.51.100.7"}, fail: "no user before the @"},
		{name: "bad host", v: gateway.Visitor{User: "anna@a b"}, fail: "not a server"},
		{name: "bad port", v: gateway.Visitor{User: "anna@198.51.100.7:0"}, fail: "not a server"},
	} {
		s, err := f.Route(t.Context(), tt.v, tt.tried)
		switch {
		case tt.fail != "":
			if err == nil || !strings.Contains(err.Error(), tt.fail) {
				t.Errorf("%s: %v; want %q", tt.name, err, tt.fail)
			}
			continue
		case err != nil:
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		user := tt.v.User
		if s.Server.User != nil {
			user = s.Server.User(user)
		}
		if s.Server.Addr != tt.addr || user != tt.user {
			t.Errorf("%s: %s as %q", tt.name, s.Server.Addr, user)
		}
		if c := s.Server.Config; c != nil && c.ServerName != "ftp.example.org" {
			t.Errorf("%s: TLS wants %q", tt.name, c.ServerName)
		}
	}
	// What nobody may reach is not even looked up.
	asked = 0
	closed := &Forward{Allow: targets(t, "ftp.example.org"), Lookup: f.Lookup}
	if _, err := closed.Route(t.Context(), gateway.Visitor{User: "a@secret.example.net"}, nil); !errors.Is(err, policy.ErrTarget) || asked != 0 {
		t.Errorf("%v, looked up %d times", err, asked)
	}
	// No list is no proxy.
	if _, err := (&Forward{}).Route(t.Context(), gateway.Visitor{User: "a@198.51.100.7"}, nil); !errors.Is(err, policy.ErrTarget) {
		t.Error(err)
	}
	// Who names nobody goes to the servers that there are.
	both := &Forward{Else: pool(t, Options{Servers: servers("own")})}
	if s := seat(t, both, gateway.Visitor{User: "anna"}); s.Server.Name != "own" {
		t.Error(s.Server.Name)
	}
}

func TestOriginal(t *testing.T) {
	t.Parallel()
	o := &Original{Ourselves: Ourselves(netip.MustParseAddrPort("0.0.0.0:2121"), netip.MustParseAddrPort("192.0.2.1:990"))}
	for _, tt := range []struct {
		original, want string
	}{
		{"198.51.100.7:21", "198.51.100.7:21"},
		{"[::ffff:198.51.100.7]:21", "198.51.100.7:21"},
		{"[2001:db8::7]:990", "[2001:db8::7]:990"},
		{"127.0.0.1:2121", ""},
		{"192.0.2.1:990", ""},
		{"", ""},
	} {
		var v gateway.Visitor
		if tt.original != "" {
			v.Original = netip.MustParseAddrPort(tt.original)
		}
		s, err := o.Route(t.Context(), v, nil)
		switch {
		case tt.want == "":
			if !errors.Is(err, ErrNotRedirected) {
				t.Errorf("%s: %v", tt.original, err)
			}
		case err != nil || s.Server.Addr != tt.want:
			t.Errorf("%s: %v, %v", tt.original, s, err)
		default:
			if _, err := o.Route(t.Context(), v, []string{s.Server.Name}); !errors.Is(err, ErrDown) {
				t.Errorf("%s, tried: %v", tt.original, err)
			}
		}
	}
	both := &Original{Else: pool(t, Options{Servers: servers("own")})}
	if s := seat(t, both, gateway.Visitor{}); s.Server.Name != "own" {
		t.Error(s.Server.Name)
	}
}

func TestParseWhere(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, want string }{
		{"ftp.example.org", "ftp.example.org:21"},
		{"ftp.example.org.:2121", "ftp.example.org.:2121"},
		{"192.0.2.1", "192.0.2.1:21"},
		{"192.0.2.1:990", "192.0.2.1:990"},
		{"2001:db8::1", "[2001:db8::1]:21"},
		{"[2001:db8::1]", "[2001:db8::1]:21"},
		{"[2001:db8::1]:2121", "[2001:db8::1]:2121"},
		{"", ""},
		{":21", ""},
		{"a:b", ""},
		{"a:1:2", ""},
		{"a:+1", ""},
		{"192.0.2.300", ""},
		{"[192.0.2.1]:21", ""},
		{"[2001:db8::1", ""},
		{"2001:db8::1]", ""},
		{"[2001:db8::1]21", ""},
		{"fe80::1%eth0", ""},
		{"a b", ""},
		{"-a", ""},
		{"a..b", ""},
		{"a:65536", ""},
	} {
		w, err := ParseWhere(tt.in)
		if (err != nil) != (tt.want == "") || err == nil && w.String() != tt.want {
			t.Errorf("%q: %v, %v; want %q", tt.in, w, err, tt.want)
		}
	}
}

func FuzzUserAt(f *testing.F) {
	for _, s := range []string{"anna", "anna@h", "a@b@h:21", "a@[2001:db8::1]:2121", "a@2001:db8::1", "@h", "a@", "a@h:0", "a@::ffff:1.2.3.4", "a@[:]:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		user, w, err := ParseUserAt(s)
		if err != nil {
			return
		}
		if w == (Where{}) && user != s {
			t.Fatalf("%q has no host and the user %q", s, user)
		}
		text := FormatUserAt(user, w)
		u2, w2, err := ParseUserAt(text)
		if err != nil || u2 != user || w2 != w {
			t.Fatalf("%q became %q, and that %q, %v, %v", s, text, u2, w2, err)
		}
		if strings.ContainsAny(w.Host, " @[]/\r\n") {
			t.Fatalf("%q has the host %q", s, w.Host)
		}
	})
}

func ExampleParseUserAt() {
	for _, s := range []string{"anna@ftp.example.org", "anna@example.com@[2001:db8::1]:2121"} {
		user, where, err := ParseUserAt(s)
		fmt.Println(user, where, err)
	}
	// Output:
	// anna ftp.example.org:21 <nil>
	// anna@example.com [2001:db8::1]:2121 <nil>
}
