package backends

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"towpath/gateway"
	"towpath/internal/jump"
)

// servers makes servers of names, at addresses that are never dialled.
func servers(names ...string) []Server {
	var all []Server
	for i, name := range names {
		all = append(all, Server{Server: gateway.Server{Name: name, Addr: fmt.Sprintf("192.0.2.%d:21", i+1)}})
	}
	return all
}

func pool(t testing.TB, o Options) *Pool {
	t.Helper()
	p, err := NewPool(o, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// from is a visitor from 10.0.0.0/8.
func from(n int) gateway.Visitor {
	a := netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
	return gateway.Visitor{Client: netip.AddrPortFrom(a, 40000)}
}

// seat routes a visitor, who must get a seat.
func seat(t testing.TB, p gateway.Router, v gateway.Visitor, tried ...string) *gateway.Seat {
	t.Helper()
	s, err := p.Route(t.Context(), v, tried)
	if err != nil {
		t.Fatalf("%v, tried %v: %v", v.Client, tried, err)
	}
	return s
}

func TestLeastSessions(t *testing.T) {
	t.Parallel()
	all := servers("a", "b", "c")
	all[2].Weight = 2
	p := pool(t, Options{Servers: all})
	var seats []*gateway.Seat
	for i := range 40 {
		seats = append(seats, seat(t, p, from(i)))
	}
	count := func() string {
		var b strings.Builder
		for _, s := range p.Snapshot() {
			fmt.Fprintf(&b, "%s=%d ", s.Name, s.Sessions)
		}
		return b.String()
	}
	if got := count(); got != "a=10 b=10 c=20 " {
		t.Errorf("sessions are %s", got)
	}
	for _, s := range seats {
		if s.Server.Name == "a" {
			s.Leave(nil)
			s.Leave(nil) // twice is once
		}
	}
	for i := range 10 {
		if s := seat(t, p, from(i)); s.Server.Name != "a" {
			t.Errorf("session %d goes to %s, and a is empty", i, s.Server.Name)
		}
	}
	if got := count(); got != "a=10 b=10 c=20 " {
		t.Errorf("sessions are %s", got)
	}
}

// A client keeps its server when others come and go, and only those of a server
// that is away move.
func TestHashStays(t *testing.T) {
	t.Parallel()
	for _, by := range []Balance{ByClient, ByUser} {
		names := []string{"a", "b", "c", "d"}
		all := servers(names...)
		p := pool(t, Options{Servers: all, Balance: by})
		who := func(i int) gateway.Visitor {
			if by == ByClient {
				return from(i)
			}
			return gateway.Visitor{Client: from(1).Client, User: fmt.Sprintf("user%d", i)}
		}
		where := map[int]string{}
		share := map[string]int{}
		const most = 4000
		for i := range most {
			s := seat(t, p, who(i))
			where[i] = s.Server.Name
			share[s.Server.Name]++
			s.Leave(nil)
		}
		for _, name := range names {
			if n := share[name]; n < most/len(names)*8/10 || n > most/len(names)*12/10 {
				t.Errorf("by %v: %s has %d of %d", by, name, n, most)
			}
		}
		if err := p.Drain("b", true); err != nil {
			t.Fatal(err)
		}
		for i := range most {
			s := seat(t, p, who(i))
			if s.Server.Name == "b" || where[i] != "b" && s.Server.Name != where[i] {
				t.Fatalf("by %v: %d goes from %s to %s", by, i, where[i], s.Server.Name)
			}
			s.Leave(nil)
		}
		if err := p.Drain("b", false); err != nil {
			t.Fatal(err)
		}
		for i := range most {
			s := seat(t, p, who(i))
			if s.Server.Name != where[i] {
				t.Fatalf("by %v: %d comes back to %s, was at %s", by, i, s.Server.Name, where[i])
			}
			s.Leave(nil)
		}
	}
}

// Others are tried in turn, and when none is left the client is told so.
func TestTried(t *testing.T) {
	t.Parallel()
	for _, by := range []Balance{Least, ByClient, InOrder} {
		p := pool(t, Options{Servers: servers("a", "b", "c"), Balance: by})
		var tried []string
		for range 3 {
			s := seat(t, p, from(7), tried...)
			if slices.Contains(tried, s.Server.Name) {
				t.Fatalf("by %v: %s again, tried %v", by, s.Server.Name, tried)
			}
			tried = append(tried, s.Server.Name)
			s.Leave(errors.New("refused"))
		}
		if _, err := p.Route(t.Context(), from(7), tried); !errors.Is(err, ErrDown) {
			t.Errorf("by %v: %v; want ErrDown", by, err)
		}
	}
}

func TestMaxAndDrain(t *testing.T) {
	t.Parallel()
	all := servers("a", "b")
	all[0].Max = 1
	all[1].Drain = true
	p := pool(t, Options{Servers: all})
	s := seat(t, p, from(1))
	if s.Server.Name != "a" {
		t.Fatal(s.Server.Name)
	}
	if _, err := p.Route(t.Context(), from(2), nil); !errors.Is(err, ErrFull) {
		t.Errorf("%v; want ErrFull", err)
	}
	s.Leave(nil)
	seat(t, p, from(2))
	if states := p.Snapshot(); states[1].State != "draining" || states[0].Total != 2 {
		t.Errorf("%+v", states)
	}
	if err := p.Drain("c", true); err == nil {
		t.Error("an unknown server was drained")
	}
}

// What an administrator drains stays so when the same settings are read again,
// and ends when they change.
func TestDrainOutlivesReload(t *testing.T) {
	t.Parallel()
	set := func(drain bool) Options {
		return Options{Servers: []Server{{Server: gateway.Server{Name: "a", Addr: "192.0.2.1:21"}, Drain: drain}}}
	}
	p, err := NewPool(set(false), nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, step := range []struct {
		do   func() error
		want string
	}{
		{func() error { return nil }, "up"},
		{func() error { return p.Drain("a", true) }, "draining"},
		{func() error { return p.Set(set(false)) }, "draining"},
		{func() error { return p.Set(set(true)) }, "draining"},
		{func() error { return p.Drain("a", false) }, "up"},
		{func() error { return p.Set(set(true)) }, "up"},
		{func() error { return p.Set(set(false)) }, "up"},
		{func() error { return p.Set(set(true)) }, "draining"},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		if got := p.Snapshot()[0].State; got != step.want {
			t.Errorf("step %d: %s, want %s", i, got, step.want)
		}
	}
}

func TestByNames(t *testing.T) {
	t.Parallel()
	all := servers("de", "en", "any", "boss")
	all[0].Hosts = []string{"*.example.de"}
	all[1].Hosts = []string{"ftp.example.com"}
	all[3].Users = []string{"boss*"}
	p := pool(t, Options{Servers: all, Balance: InOrder})
	for _, tt := range []struct {
		sni, host, user string
		want            string // "" is ErrNeedUser
	}{
		{"", "", "", ""},
		{"ftp.example.de", "", "", "de"},
		{"FTP.Example.DE.", "", "boss1", "de"},
		{"", "ftp.example.com", "anna", "en"},
		{"ftp.example.de", "ftp.example.com", "anna", "en"}, // HOST came later
		{"other.example", "", "", ""},                       // boss or any?
		{"other.example", "", "anna", "any"},
		{"", "", "anna", "any"},
		{"", "", "boss1", "boss"},
	} {
		v := from(1)
		v.ServerName, v.Host, v.User = tt.sni, tt.host, tt.user
		s, err := p.Route(t.Context(), v, nil)
		switch {
		case tt.want == "":
			if !errors.Is(err, gateway.ErrNeedUser) {
				t.Errorf("%+v: %v; want ErrNeedUser", tt, err)
			}
		case err != nil:
			t.Errorf("%+v: %v", tt, err)
		case s.Server.Name != tt.want:
			t.Errorf("%+v: %s", tt, s.Server.Name)
		}
	}
	one := pool(t, Options{Servers: all[:1]})
	v := from(1)
	v.ServerName = "ftp.example.com"
	if _, err := one.Route(t.Context(), v, nil); !errors.Is(err, ErrNoServer) {
		t.Errorf("a name that no server is for: %v", err)
	}
}

// sick is a check whose outcome a test sets.
type sick struct {
	mu   sync.Mutex
	down map[string]bool
	n    int
}

func (s *sick) set(name string, down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down[name] = down
}

func (s *sick) check(_ context.Context, x gateway.Server, _, _ string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	if s.down[x.Name] {
		return errors.New("connection refused")
	}
	return nil
}

func TestHealth(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		checks := &sick{down: map[string]bool{}}
		o := Options{Servers: servers("a", "b"), Health: Health{Interval: 10 * time.Second, Rise: 2, Fall: 3, Check: checks.check}}
		p := pool(t, o)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { p.Run(ctx); close(done) }()
		state := func(want string) {
			t.Helper()
			synctest.Wait()
			s := p.Snapshot()
			if got := s[0].State + " " + s[1].State; got != want {
				t.Errorf("%s, want %s: %+v", got, want, s)
			}
		}
		state("up up")
		checks.set("a", true)
		time.Sleep(21 * time.Second)
		state("up up") // two in vain
		time.Sleep(10 * time.Second)
		state("down up")
		if e := p.Snapshot()[0].Error; e != "connection refused" {
			t.Errorf("the error is %q", e)
		}
		for i := range 4 {
			if s := seat(t, p, from(i)); s.Server.Name != "b" {
				t.Errorf("a session goes to %s", s.Server.Name)
			}
		}
		// A reload keeps what is known of those that stay.
		o.Servers = append(servers("a", "b"), Server{Server: gateway.Server{Name: "c", Addr: "192.0.2.9:21"}})
		if err := p.Set(o); err != nil {
			t.Fatal(err)
		}
		state("down up")
		if s := p.Snapshot(); len(s) != 3 || s[1].Sessions != 4 {
			t.Errorf("after the reload: %+v", s)
		}
		checks.set("a", false)
		time.Sleep(11 * time.Second)
		state("down up")
		time.Sleep(10 * time.Second)
		state("up up")

		// One that moved is another server.
		checks.set("a", true)
		time.Sleep(31 * time.Second)
		state("down up")
		o.Servers[0].Addr = "192.0.2.77:21"
		checks.set("a", false)
		if err := p.Set(o); err != nil {
			t.Fatal(err)
		}
		state("up up")
		cancel()
		<-done
	})
}

// Where nobody checks, sessions tell: one that failed is left alone for a while.
func TestHealthBySessions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := pool(t, Options{Servers: servers("a", "b"), Balance: InOrder, Health: Health{Fall: 2, Pause: 30 * time.Second}})
		for range 2 {
			s := seat(t, p, from(1))
			if s.Server.Name != "a" {
				t.Fatal(s.Server.Name)
			}
			s.Leave(errors.New("no route to host"))
		}
		if s := seat(t, p, from(1)); s.Server.Name != "b" {
			t.Errorf("a is tried again at once")
		}
		time.Sleep(31 * time.Second)
		s := seat(t, p, from(1))
		if s.Server.Name != "a" {
			t.Errorf("a is not tried again")
		}
		s.Leave(errors.New("no route to host"))
		if s := seat(t, p, from(1)); s.Server.Name != "b" {
			t.Errorf("a has failed again, and is tried at once")
		}
		time.Sleep(31 * time.Second)
		seat(t, p, from(1)).Leave(nil)
		if s := p.Snapshot(); s[0].State != "up" || s[0].Error != "" {
			t.Errorf("%+v", s[0])
		}
	})
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{
		{},
		{Servers: servers("a", "a")},
		{Servers: servers("a"), Balance: 9},
	} {
		if _, err := NewPool(o, nil); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
	for _, b := range []Balance{Least, ByClient, ByUser, InOrder} {
		if got, err := ParseBalance(b.String()); got != b || err != nil {
			t.Errorf("%v: %v, %v", b, got, err)
		}
	}
	if _, err := ParseBalance("random"); err == nil || !strings.Contains(err.Error(), "write least, client, user or order") {
		t.Error(err)
	}
}

// Many come and go at once while settings change (for the race detector).
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	p := pool(t, Options{Servers: servers("a", "b", "c")})
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 200 {
				s, err := p.Route(t.Context(), from(g*1000+i), nil)
				if err != nil {
					t.Error(err)
					return
				}
				s.Leave(nil)
			}
		})
	}
	for range 20 {
		if err := p.Set(Options{Servers: servers("a", "b", "c")}); err != nil {
			t.Error(err)
		}
		p.Snapshot()
	}
	all.Wait()
	for _, s := range p.Snapshot() {
		if s.Sessions != 0 {
			t.Errorf("%+v", s)
		}
	}
}

// A server that failed is left alone for as long as it shall be, whatever somebody
// sets the clock to meanwhile.
func TestPauseIsMeasured(t *testing.T) {
	t.Parallel()
	const pause, day = time.Minute, 24 * time.Hour
	p := pool(t, Options{Servers: servers("a"), Health: Health{Fall: 1, Pause: pause}})
	seat(t, p, from(1)).Leave(errors.New("connection refused"))
	x := p.places[0]
	for _, by := range []time.Duration{day, -day} {
		for passed, want := range map[time.Duration]bool{0: true, pause - time.Second: true, pause: false} {
			if away := x.away(jump.Of(x.checked.Add(passed), by), false); away != want {
				t.Errorf("%v later, clock set by %v: away %t, want %t", passed, by, away, want)
			}
		}
	}
}
