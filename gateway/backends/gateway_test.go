package backends_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"towpath/firewall"
	"towpath/ftp"
	"towpath/ftpclient"
	"towpath/ftpclient/proxy"
	"towpath/ftpserver"
	"towpath/ftptest"
	"towpath/gateway"
	"towpath/gateway/backends"
	"towpath/gateway/doors"
	"towpath/gateway/policy"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// start runs a gateway behind a door, and returns it and where it listens.
func start(t *testing.T, o gateway.Options, door func(net.Listener) net.Listener) (*gateway.Gateway, string) {
	t.Helper()
	o.Ports = firewall.Ports{Low: 20000, High: 32000}
	g, err := gateway.New(o)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	if door != nil {
		l = door(l)
	}
	served := make(chan error, 1)
	go func() { served <- g.Serve(l) }()
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, gateway.ErrClosed) {
			t.Error(err)
		}
	})
	return g, at
}

// behind makes a pool of test servers, each with its name as content of who.txt.
func behind(t *testing.T, o backends.Options, names ...string) (*backends.Pool, map[string]*ftptest.Server) {
	t.Helper()
	all := map[string]*ftptest.Server{}
	for _, name := range names {
		all[name] = ftptest.Serve(t, ftptest.Files{"who.txt": name})
		o.Servers = append(o.Servers, backends.Server{Server: gateway.Server{Name: name, Addr: all[name].Addr}})
	}
	p, err := backends.NewPool(o, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p, all
}

// dial logs in through the gateway.
func dial(t *testing.T, at string, o ftpclient.Options) *ftpclient.Client {
	t.Helper()
	if o.User == "" {
		o.User = ftptest.User
	}
	o.Password = ftptest.Password
	c, err := ftpclient.Dial(t.Context(), at, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // its server may have gone first
	return c
}

// who reads which server a session is with.
func who(t *testing.T, c *ftpclient.Client) string {
	t.Helper()
	var b strings.Builder
	if _, err := c.Get(t.Context(), "/who.txt", &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func states(p *backends.Pool) string {
	var all []string
	for _, s := range p.Snapshot() {
		all = append(all, s.Name+" "+s.State)
	}
	return strings.Join(all, ", ")
}

// Two servers: sessions are spread, and data goes where the session is. One dies:
// its clients find the other at once. It is drained: old sessions go on.
func TestTwoServers(t *testing.T) {
	t.Parallel()
	p, servers := behind(t, backends.Options{Health: backends.Health{Fall: 1, Pause: time.Hour}}, "a", "b")
	_, at := start(t, gateway.Options{Route: p}, nil)
	first, second := dial(t, at, ftpclient.Options{}), dial(t, at, ftpclient.Options{})
	both := []string{who(t, first), who(t, second)}
	slices.Sort(both)
	if !slices.Equal(both, []string{"a", "b"}) {
		t.Fatalf("two sessions are with %v", both)
	}
	onA, onB := first, second
	if who(t, first) == "b" {
		onA, onB = second, first
	}

	if err := p.Drain("a", true); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if got := who(t, dial(t, at, ftpclient.Options{})); got != "b" {
			t.Errorf("a new session is with %s, which is drained", got)
		}
	}
	if got := who(t, onA); got != "a" {
		t.Errorf("the old session is with %s", got)
	}
	if err := p.Drain("a", false); err != nil {
		t.Fatal(err)
	}

	if err := servers["b"].Close(); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		if got := who(t, dial(t, at, ftpclient.Options{})); got != "a" {
			t.Errorf("a session is with %s, which is dead", got)
		}
	}
	if got := states(p); got != "a up, b down" {
		t.Error(got)
	}
	if err := onB.Noop(t.Context()); err == nil {
		t.Error("a session with a dead server goes on")
	}
	if err := servers["a"].Close(); err != nil {
		t.Fatal(err)
	}
	_, err := ftpclient.Dial(t.Context(), at, ftpclient.Options{User: ftptest.User, Password: ftptest.Password})
	refused, ok := errors.AsType[*ftp.Error](err)
	if !ok || refused.Reply.Code != 421 {
		t.Errorf("with all servers dead: %v; want 421", err)
	}
}

// A user always comes to the same server, and some to one of their own.
func TestByUser(t *testing.T) {
	t.Parallel()
	accept := func(o *ftpserver.Options) { o.Login = anyUser(o.Login) }
	one := ftptest.Serve(t, ftptest.Files{"who.txt": "one"}, accept)
	two := ftptest.Serve(t, ftptest.Files{"who.txt": "two"}, accept)
	boss := ftptest.Serve(t, ftptest.Files{"who.txt": "boss"}, accept)
	p, err := backends.NewPool(backends.Options{Balance: backends.ByUser, Servers: []backends.Server{
		{Server: gateway.Server{Name: "one", Addr: one.Addr}},
		{Server: gateway.Server{Name: "two", Addr: two.Addr}},
		{Server: gateway.Server{Name: "boss", Addr: boss.Addr}, Users: []string{"boss*"}},
	}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, at := start(t, gateway.Options{Route: p}, nil)
	seen := map[string]string{}
	for range 2 {
		for _, user := range []string{"anna", "bob", "carol", "dave", "eve", "frank", "boss1"} {
			got := who(t, dial(t, at, ftpclient.Options{User: user}))
			if was := seen[user]; was != "" && was != got {
				t.Errorf("%s was with %s, and now with %s", user, was, got)
			}
			if (got == "boss") != (user == "boss1") {
				t.Errorf("%s is with %s", user, got)
			}
			seen[user] = got
		}
	}
	// These six names part between the two; it depends on names alone.
	if seen["anna"] == seen["bob"] && seen["bob"] == seen["carol"] && seen["carol"] == seen["dave"] && seen["dave"] == seen["eve"] && seen["eve"] == seen["frank"] {
		t.Errorf("all are with %s", seen["anna"])
	}
}

// anyUser lets everybody in who knows the password.
func anyUser(login func(context.Context, ftpserver.Login) (*ftpserver.User, error)) func(context.Context, ftpserver.Login) (*ftpserver.User, error) {
	return func(ctx context.Context, l ftpserver.Login) (*ftpserver.User, error) {
		l.Name = ftptest.User
		return login(ctx, l)
	}
}

// Clients name the server in USER, and are held to what is allowed.
func TestUserAtHost(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"who.txt": "wanted"})
	other := ftptest.Serve(t, nil)
	target, err := policy.ParseTarget(s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	_, at := start(t, gateway.Options{Route: &backends.Forward{Allow: policy.Targets{target}}}, nil)
	if got := who(t, dial(t, at, ftpclient.Options{User: ftptest.User + "@" + s.Addr})); got != "wanted" {
		t.Error(got)
	}
	// Our own client does it by itself.
	gate := ftpclient.Options{Gate: &ftpclient.Gate{Addr: at}, User: ftptest.User, Password: ftptest.Password}
	c, err := ftpclient.Dial(t.Context(), s.Addr, gate)
	if err != nil {
		t.Fatal(err)
	}
	if got := who(t, c); got != "wanted" {
		t.Error(got)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	for _, to := range []string{other.Addr, at, "127.0.0.1:22"} {
		conn := ftptest.Dial(t, at)
		conn.Expect(220)
		conn.Send("USER " + ftptest.User + "@" + to)
		if r := conn.Reply(); r.Code != 530 || !strings.Contains(r.String(), "does not lead there") {
			t.Errorf("%s: %v", to, r)
		}
		// He may think again, and may leave.
		conn.Do("USER "+ftptest.User, 530)
		if to == "127.0.0.1:22" {
			conn.Do("QUIT", 221)
			conn.ExpectEOF()
			continue
		}
		conn.Do("USER "+ftptest.User+"@"+s.Addr, 331)
	}
}

// Rules and limits on the wire.
func TestPolicy(t *testing.T) {
	t.Parallel()
	p, servers := behind(t, backends.Options{}, "a")
	var guard policy.Guard
	set := policy.Policy{}
	for _, text := range []string{
		`deny name="no secrets" path=/secret`,
		"allow do=read",
		"allow do=write path=/in size=1000",
		"deny do=write,delete,admin",
	} {
		r, err := policy.ParseRule(text)
		if err != nil {
			t.Fatal(err)
		}
		set.Rules = append(set.Rules, r)
	}
	guard.Set(&set, policy.Limits{PerClient: 3})
	_, at := start(t, gateway.Options{
		Route: guard.Router(p), Admit: guard.Admit, Allow: guard.Allow, Limit: guard.Limit, Size: guard.Size,
	}, nil)
	c := ftptest.Dial(t, at)
	c.Expect(220)
	c.Do("USER "+ftptest.User, 331)
	c.Do("PASS "+ftptest.Password, 230)
	for _, step := range []struct {
		line string
		code int
	}{
		{"MKD secret", 550},
		{"MKD other", 550},
		{"MKD /in", 257},
		{"CWD in", 250},
		{"DELE /who.txt", 550},
		{"SITE HELP", 550},
		{"CWD ../secret", 550},
		{"RETR ../secret/x", 550},
		{"ALLO 1000", 200},
		{"ALLO 1001", 550},
		{"TYPE I", 200},
	} {
		if r := c.Do(step.line, step.code); step.code == 550 && !strings.Contains(r.String(), "policy of the gateway") {
			t.Errorf("%s: %v", step.line, r)
		}
	}
	c.Put("STOR small", strings.Repeat("x", 1000))
	if got := servers["a"].File("in/small"); len(got) != 1000 {
		t.Errorf("small has %d bytes", len(got))
	}
	c.Passive()
	c.Send("STOR large")
	c.Expect(150)
	d := c.Data()
	if _, err := io.Copy(d, strings.NewReader(strings.Repeat("x", 5000))); err == nil {
		_ = d.Close() // the gateway may have cut it
	}
	if r := c.Reply(); r.Code < 400 {
		t.Errorf("5000 bytes: %v", r)
	}
	if got := c.Get("RETR /who.txt"); got != "a" {
		t.Errorf("who.txt is %q", got)
	}
	// The fourth session of one client is one too many.
	ftptest.Dial(t, at).Expect(220)
	ftptest.Dial(t, at).Expect(220)
	ftptest.Dial(t, at).Expect(421)
}

// Through SOCKS, control and data.
func TestThroughSOCKS(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"who.txt": "wanted"})
	target, err := policy.ParseTarget(s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	f := &backends.Forward{Allow: policy.Targets{target}}
	socks := &doors.SOCKS{
		Data: func(port uint16) bool { return port >= 20000 && port <= 32000 },
		Allow: func(ctx context.Context, client netip.AddrPort, wanted string) error {
			_, err := f.Route(ctx, gateway.Visitor{Client: client, Wanted: wanted}, nil)
			return err
		},
	}
	_, at := start(t, gateway.Options{Route: f, Accepted: socks.Accepted(nil)}, socks.Listen)
	for _, mode := range []ftpclient.Mode{ftpclient.EPSV, ftpclient.PASV} {
		o := ftpclient.Options{Mode: mode, Dialer: &proxy.SOCKS5{Addr: at}, User: ftptest.User, Password: ftptest.Password}
		c, err := ftpclient.Dial(t.Context(), s.Addr, o)
		if err != nil {
			t.Fatal(err)
		}
		if got := who(t, c); got != "wanted" {
			t.Errorf("by %v: %s", mode, got)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	_, err = ftpclient.Dial(t.Context(), "127.0.0.1:22", ftpclient.Options{Dialer: &proxy.SOCKS5{Addr: at}})
	if code, ok := errors.AsType[proxy.ReplyError](err); !ok || code != 2 {
		t.Errorf("port 22: %v; want code 2", err)
	}
}

// elsewhere is a listener that cannot be known by its address, as behind a rule
// that redirects.
type elsewhere struct{ net.Listener }

func (elsewhere) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 21} }

// A rule that redirects the connections of the gateway as well does not make it
// call itself for ever.
func TestLoop(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	itself := backends.Server{Server: gateway.Server{Addr: l.Addr().String()}}
	p, err := backends.NewPool(backends.Options{Servers: []backends.Server{itself}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	g, _ := start(t, gateway.Options{Route: p}, func(own net.Listener) net.Listener {
		_ = own.Close() // the one that is known is the other
		return elsewhere{l}
	})
	c := ftptest.Dial(t, l.Addr().String())
	if r := c.Reply(); r.Code != 421 || !strings.Contains(r.String(), "redirects") {
		t.Errorf("%v", r)
	}
	c.ExpectEOF()
	if n := g.Stats().Sessions; n > 16 {
		t.Errorf("%d sessions came of one", n)
	}
}
