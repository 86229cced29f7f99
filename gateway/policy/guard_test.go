package policy

import (
	"context"
	"errors"
	"math"
	"net/netip"
	"strings"
	"testing"

	"towpath/ftp"
	"towpath/gateway"
)

// one routes everybody to the same server.
type one struct {
	server gateway.Server
	left   *int
}

func (o one) Route(context.Context, gateway.Visitor, []string) (*gateway.Seat, error) {
	return &gateway.Seat{Server: o.server, Leave: func(error) { *o.left++ }}, nil
}

func TestGuard(t *testing.T) {
	t.Parallel()
	var g Guard
	g.Set(rules(t, true, `
		deny from=203.0.113.0/24
		deny to=secret.example.org
		allow user=anna tls=yes
		allow user=bob path=/pub do=read,write size=1KiB`), Limits{PerClient: 2, PerUser: 1, LoginsPerMinute: 3})
	left := 0
	web := gateway.Server{Name: "ftp.example.org:21 (192.0.2.7)", Addr: "192.0.2.7:21", User: func(s string) string {
		user, _, _ := strings.Cut(s, "@")
		return user
	}}
	secret := web
	secret.Name = "secret.example.org:21 (192.0.2.8)"
	visitor := func(client string) gateway.Visitor { return gateway.Visitor{Client: netip.MustParseAddrPort(client)} }
	say := func(v gateway.Visitor, line string) error {
		c, err := ftp.ParseCommand(line)
		if err != nil {
			t.Fatal(err)
		}
		return g.Allow(gateway.Request{Visitor: v, Server: &web, Command: c, Dir: "/"})
	}
	denied := func(what string, err error, want bool) {
		t.Helper()
		if got := errors.Is(err, ErrDenied); got != want || err != nil && !got {
			t.Errorf("%s: %v", what, err)
		}
	}

	// Who may be led where, before anybody is known.
	for _, tt := range []struct {
		client string
		server gateway.Server
		no     bool
	}{
		{"192.0.2.200:1", web, false},
		{"203.0.113.9:1", web, true},
		{"192.0.2.200:1", secret, true},
	} {
		before := left
		_, err := g.Router(one{tt.server, &left}).Route(t.Context(), visitor(tt.client), nil)
		denied(tt.client+" to "+tt.server.Name, err, tt.no)
		if tt.no && left != before+1 {
			t.Errorf("%s: the seat was kept", tt.client)
		}
	}

	// anna under TLS alone, bob in /pub.
	v := visitor("192.0.2.200:1")
	leave, err := g.Admit(v)
	if err != nil {
		t.Fatal(err)
	}
	v.User = "anna@ftp.example.org"
	denied("anna in clear", say(v, "USER anna"), true)
	v.TLS = true
	denied("anna", say(v, "USER anna"), false)
	denied("anna's password", say(v, "PASS x"), false)
	denied("anna deletes", say(v, "DELE a"), false)
	if l := g.Limit(v, web); l.Upload != 0 || l.Pace != nil {
		t.Errorf("anna's limits are %+v", l)
	}

	w := visitor("192.0.2.200:2")
	leaveBob, err := g.Admit(w)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Admit(visitor("192.0.2.200:3")); err == nil {
		t.Error("a third session of one client")
	}
	w.User, w.TLS = "carol", true
	denied("carol", say(w, "USER carol"), true)
	w.User = "bob"
	denied("bob", say(w, "USER bob"), false)
	denied("bob's password", say(w, "PASS x"), false)
	denied("bob deletes", say(w, "DELE /pub/a"), true)
	denied("bob reads", say(w, "RETR /pub/a"), false)
	if l := g.Limit(w, web); l.Upload != math.MaxInt64 {
		t.Errorf("bob's transfers are not counted: %+v", l)
	}
	if n := g.Size(gateway.Request{Visitor: w, Server: &web, Command: ftp.Command{Verb: "STOR", Arg: "/pub/a"}, Dir: "/"}); n != 1024 {
		t.Errorf("bob's file may have %d bytes", n)
	}

	// One session of anna; another user gives the place back.
	w.User = "anna"
	if err := say(w, "USER anna"); err != nil {
		t.Error(err)
	}
	err = say(w, "PASS x")
	if full, ok := errors.AsType[*Full](err); !ok || !strings.Contains(full.What, "anna") {
		t.Errorf("anna twice: %v", err)
	}
	leave()
	leave()
	// That was the third login of this minute.
	err = say(w, "PASS x")
	if full, ok := errors.AsType[*Full](err); !ok || !strings.Contains(full.What, "logins") {
		t.Errorf("the fourth login: %v", err)
	}
	leaveBob()
	if n := g.Sessions(); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
}

// What passes under TLS unseen cannot be judged, and the settings can be told so.
func TestSighted(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rules string
		want  bool
	}{
		{"", false},
		{"deny from=10.0.0.0/8\ndeny to=web1", false},
		{"deny do=write", true},
		{"deny path=/x", true},
		{"deny user=x", true},
		{"allow size=5", true},
	} {
		if got := rules(t, false, tt.rules).Sighted(); got != tt.want {
			t.Errorf("%q: %v", tt.rules, got)
		}
	}
}

func TestGuardPace(t *testing.T) {
	t.Parallel()
	var g Guard
	g.Set(nil, Limits{UserRate: 1 << 20})
	v := gateway.Visitor{Client: netip.MustParseAddrPort("192.0.2.1:1"), User: "anna"}
	leave, err := g.Admit(v)
	if err != nil {
		t.Fatal(err)
	}
	defer leave()
	l := g.Limit(v, gateway.Server{Addr: "192.0.2.7:21"})
	if l.Pace == nil {
		t.Fatal("no pace")
	}
	if err := l.Pace(t.Context(), 1000); err != nil {
		t.Error(err)
	}
}
