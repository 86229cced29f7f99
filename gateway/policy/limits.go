package policy

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"towpath/internal/roster"
)

// Limits bound how much of the gateway one client or user takes, and all
// together. 0 is no bound.
type Limits struct {
	// Sessions at once: in all, of one address (IPv6: one /64), of one user.
	Sessions, PerClient, PerUser int
	// LoginsPerMinute are the logins that one address may try on average; as many
	// may come at once.
	LoginsPerMinute int
	// Rate is in bytes per second and bounds one session, UserRate all sessions
	// of one user together.
	Rate, UserRate int64
}

// Full is a limit that is reached.
type Full struct {
	What string // "sessions of 192.0.2.1"
	Most int
}

// Error says it to the client.
func (f *Full) Error() string {
	return fmt.Sprintf("too many %s (%d are the most); try again later", f.What, f.Most)
}

// Meter counts what [Limits] bound. Limits may change while it counts; what is
// there stays. The zero value has no limits.
type Meter struct {
	mu      sync.Mutex
	limits  Limits
	total   int
	clients map[netip.Addr]*client
	users   map[string]*user
}

type client struct {
	sessions int
	logins   *rate.Limiter
}

type user struct {
	sessions int
	pace     *rate.Limiter
}

// Set changes the limits.
func (m *Meter) Set(l Limits) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.limits = l
	for _, c := range m.clients {
		c.logins = nil
	}
	for _, u := range m.users {
		tune(u.pace, l.UserRate)
	}
}

// Sessions returns how many are counted now.
func (m *Meter) Sessions() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.total
}

// maxClients bounds how many addresses are remembered for their logins alone.
const maxClients = 1 << 16

// Enter counts a session of a client, or says which limit is reached. leave, which
// may be called again, gives the place back.
func (m *Meter) Enter(from netip.Addr) (leave func(), err error) {
	from = roster.Client(from)
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.limits
	c := m.client(from)
	if l.Sessions > 0 && m.total >= l.Sessions {
		return nil, &Full{"sessions", l.Sessions}
	}
	if l.PerClient > 0 && c.sessions >= l.PerClient {
		return nil, &Full{"sessions of " + from.String(), l.PerClient}
	}
	m.total++
	c.sessions++
	return sync.OnceFunc(func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.total--
		c.sessions--
	}), nil
}

// client finds or makes the count of an address.
func (m *Meter) client(from netip.Addr) *client {
	if c := m.clients[from]; c != nil {
		return c
	}
	if m.clients == nil {
		m.clients = map[netip.Addr]*client{}
	}
	if len(m.clients) >= maxClients {
		// Those who are not here are forgotten, with what they have tried. Whoever
		// comes by so many addresses is not held by a limit for one.
		for a, c := range m.clients {
			if c.sessions == 0 {
				delete(m.clients, a)
			}
		}
	}
	c := &client{}
	m.clients[from] = c
	return c
}

// Login counts a login that is tried.
func (m *Meter) Login(from netip.Addr) error {
	from = roster.Client(from)
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.limits.LoginsPerMinute
	if n <= 0 {
		return nil
	}
	c := m.client(from)
	if c.logins == nil {
		c.logins = rate.NewLimiter(rate.Limit(float64(n)/60), n)
	}
	if !c.logins.AllowN(time.Now(), 1) {
		return &Full{"logins of " + from.String() + " in a minute", n}
	}
	return nil
}

// User counts a session of a user, as Enter does one of a client. pace bounds its
// data: see [Pace]; it is nil if there is no bound.
func (m *Meter) User(name string) (leave func(), pace Pace, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.limits
	u := m.users[name]
	if u != nil && l.PerUser > 0 && u.sessions >= l.PerUser {
		return nil, nil, &Full{"sessions of user " + name, l.PerUser}
	}
	if u == nil {
		u = &user{pace: rate.NewLimiter(rate.Inf, 0)}
		tune(u.pace, l.UserRate)
		if m.users == nil {
			m.users = map[string]*user{}
		}
		m.users[name] = u
	}
	u.sessions++
	leave = sync.OnceFunc(func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if u.sessions--; u.sessions == 0 {
			delete(m.users, name)
		}
	})
	if l.Rate > 0 {
		own := rate.NewLimiter(rate.Inf, 0)
		tune(own, l.Rate)
		pace = append(pace, own)
	}
	if l.UserRate > 0 {
		pace = append(pace, u.pace)
	}
	return leave, pace, nil
}

// tune sets a limiter to bytes per second; 0 is no limit.
func tune(l *rate.Limiter, n int64) {
	if n <= 0 {
		l.SetLimit(rate.Inf)
		return
	}
	l.SetLimit(rate.Limit(n))
	// A tenth of a second may come at once, and no less than a piece of a copy.
	l.SetBurst(int(min(max(n/10, 64<<10), 1<<30)))
}

// Pace holds up whoever moves bytes faster than he may.
type Pace []*rate.Limiter

// Wait returns when more may follow n bytes that have been moved.
func (p Pace) Wait(ctx context.Context, n int) error {
	for _, l := range p {
		for left := n; left > 0; {
			some := left
			if burst := l.Burst(); l.Limit() != rate.Inf && burst > 0 {
				some = min(some, burst)
			}
			if err := l.WaitN(ctx, some); err != nil {
				return err
			}
			left -= some
		}
	}
	return nil
}
