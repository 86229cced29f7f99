package policy

import (
	"context"
	"math"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"

	"towpath/gateway"
)

// Guard holds the sessions of a gateway to a policy and its limits. Its methods
// are what [gateway.Options] ask: Admit, Allow, Limit and Size; and
// [Guard.Router] stands before the one that chooses servers. The zero value has
// no rules and no limits.
type Guard struct {
	meter Meter

	mu       sync.Mutex
	policy   *Policy
	sessions map[netip.AddrPort]*held // by the client's end, which one session has
}

// held is what a session holds of the limits.
type held struct {
	// user gives back the place of the user, nil while he has none.
	user func()
	pace Pace
}

// Set changes policy and limits. Sessions that are there are held to the new
// policy from their next command on.
func (g *Guard) Set(p *Policy, l Limits) {
	g.meter.Set(l)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.policy = p
}

func (g *Guard) rules() *Policy {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.policy == nil {
		return &Policy{}
	}
	return g.policy
}

// Sessions returns how many there are.
func (g *Guard) Sessions() int { return g.meter.Sessions() }

// Admit counts a session, or says which limit is reached.
func (g *Guard) Admit(v gateway.Visitor) (leave func(), err error) {
	out, err := g.meter.Enter(v.Client.Addr())
	if err != nil {
		return nil, err
	}
	h := &held{}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.sessions == nil {
		g.sessions = map[netip.AddrPort]*held{}
	}
	g.sessions[v.Client] = h
	return sync.OnceFunc(func() {
		g.mu.Lock()
		if g.sessions[v.Client] == h {
			delete(g.sessions, v.Client)
		}
		user := h.user
		g.mu.Unlock()
		if user != nil {
			user()
		}
		out()
	}), nil
}

// Allow judges a command. With USER it judges anew whether the server may be
// reached; with PASS it counts the login, and the session of the user.
func (g *Guard) Allow(r gateway.Request) error {
	p := g.rules()
	s := session(r.Visitor, r.Server)
	switch r.Command.Verb {
	case "USER":
		g.release(r.Visitor.Client)
		if err := p.Reach(s).Err(); err != nil {
			return err
		}
	case "PASS":
		if err := g.meter.Login(r.Visitor.Client.Addr()); err != nil {
			return err
		}
		if err := g.take(r.Visitor.Client, s.User); err != nil {
			return err
		}
	}
	return p.Command(s, r.Command, r.Dir).Err()
}

// Limit is the pace of a session, and makes its transfers be counted where sizes
// have a bound.
func (g *Guard) Limit(v gateway.Visitor, server gateway.Server) gateway.Limits {
	var l gateway.Limits
	s := session(v, &server)
	if err := g.take(v.Client, s.User); err != nil { // logged in without PASS
		l.Pace = func(context.Context, int) error { return err }
		return l
	}
	g.mu.Lock()
	if h := g.sessions[v.Client]; h != nil && len(h.pace) > 0 {
		l.Pace = h.pace.Wait
	}
	g.mu.Unlock()
	p := g.rules()
	for i := range p.Rules {
		if r := &p.Rules[i]; r.MaxSize > 0 && r.about(s) {
			// How much, Size knows when the command does.
			l.Upload, l.Download = math.MaxInt64, math.MaxInt64
		}
	}
	return l
}

// Size is the most bytes of the file that a command moves; 0 is no bound.
func (g *Guard) Size(r gateway.Request) int64 {
	return g.rules().Command(session(r.Visitor, r.Server), r.Command, r.Dir).MaxSize
}

// take counts a session of a user, once.
func (g *Guard) take(client netip.AddrPort, user string) error {
	g.mu.Lock()
	h := g.sessions[client]
	has := h == nil || h.user != nil
	g.mu.Unlock()
	if has {
		return nil
	}
	leave, pace, err := g.meter.User(user)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	h.user, h.pace = leave, pace
	return nil
}

// release gives the place of a user back: another logs in, in the same session.
func (g *Guard) release(client netip.AddrPort) {
	g.mu.Lock()
	h := g.sessions[client]
	var leave func()
	if h != nil {
		leave, h.user, h.pace = h.user, nil, nil
	}
	g.mu.Unlock()
	if leave != nil {
		leave()
	}
}

// Router asks next for a server, and then the policy whether it may be reached.
func (g *Guard) Router(next gateway.Router) gateway.Router { return guarded{g, next} }

type guarded struct {
	guard *Guard
	next  gateway.Router
}

// Route implements [gateway.Router].
func (r guarded) Route(ctx context.Context, v gateway.Visitor, tried []string) (*gateway.Seat, error) {
	seat, err := r.next.Route(ctx, v, tried)
	if err != nil {
		return nil, err
	}
	if err := r.guard.rules().Reach(session(v, &seat.Server)).Err(); err != nil {
		if seat.Leave != nil {
			seat.Leave(nil)
		}
		return nil, err
	}
	return seat, nil
}

// session is what a policy judges.
func session(v gateway.Visitor, server *gateway.Server) Session {
	s := Session{Client: v.Client.Addr(), User: v.User, TLS: v.TLS}
	if server == nil {
		return s
	}
	if server.User != nil && v.User != "" {
		s.User = server.User(v.User) // "anna" of "anna@ftp.example.org"
	}
	s.Server = server.String()
	host, port, err := net.SplitHostPort(server.Addr)
	if err != nil {
		return s
	}
	n, _ := strconv.ParseUint(port, 10, 16) // 0 is not known
	addr, err := netip.ParseAddr(host)
	if err != nil {
		s.Host = host
	}
	s.Addr = netip.AddrPortFrom(addr.Unmap(), uint16(n))
	// The name by which a client asked is in that of the server: "HOST:PORT (ADDR)".
	name, _, _ := strings.Cut(s.Server, " (")
	if asked, _, err := net.SplitHostPort(name); err == nil && s.Host == "" {
		if _, err := netip.ParseAddr(asked); err != nil {
			s.Host = asked
		}
	}
	return s
}
