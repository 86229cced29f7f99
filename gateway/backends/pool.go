// Package backends chooses the server of each session of a gateway: one of
// several that stand behind it ([Pool]), the one that the client names
// ([Forward]), or the one that he wanted to reach before he was led here
// ([Original]).
//
// It looks at servers, to know which of them work, and moves nothing.
package backends

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"towpath/gateway"
	"towpath/gateway/policy"
	"towpath/internal/roster"
)

// Server is one of those that a [Pool] chooses from.
type Server struct {
	gateway.Server
	// Weight is how many sessions it takes for each one of a server of weight 1.
	// Default 1.
	Weight int
	// Max bounds its sessions at once. 0: no bound.
	Max int
	// Drain keeps new sessions away, and lets those that are there go on.
	Drain bool
	// Hosts are patterns of the names (SNI, HOST) that it is for, Users of the
	// names of users. With none it takes those whom no other server is for.
	Hosts, Users []string
}

// Balance says how one of several servers is chosen.
type Balance uint8

// The ways to choose.
const (
	// Least takes the server with the fewest sessions for its weight.
	Least Balance = iota
	// ByClient leads an address always to the same server, as long as that one
	// works. In IPv6 it is the /64 that counts.
	ByClient
	// ByUser does the same for the name of the user, which has to be known
	// first: the gateway greets in the server's place.
	ByUser
	// InOrder takes the first that works: the others are reserves.
	InOrder
)

var balances = []string{"least", "client", "user", "order"}

// String returns "least", "client", "user" or "order".
func (b Balance) String() string { return balances[b] }

// ParseBalance is the inverse of [Balance.String].
func ParseBalance(s string) (Balance, error) {
	if i := slices.Index(balances, s); i >= 0 {
		return Balance(i), nil
	}
	return 0, fmt.Errorf("%q: not a way to choose a server; write %s or %s", s,
		strings.Join(balances[:len(balances)-1], ", "), balances[len(balances)-1])
}

// Options say which servers there are and how to choose.
type Options struct {
	Servers []Server
	Balance Balance
	Health  Health
}

// Health says when a server counts as working. A server that could not be used
// for a session counts as checked in vain.
type Health struct {
	// Interval is the time between two checks. 0: none is made, and a server that
	// failed is left alone for Pause.
	Interval time.Duration
	// Timeout bounds one check. Default 10 s.
	Timeout time.Duration
	// Rise is how many checks in a row make a server work again, Fall how many
	// make it one that does not. Defaults 2 and 3.
	Rise, Fall int
	// Pause is how long a server that failed is left alone where no check is
	// made. Default 10 s.
	Pause time.Duration
	// User and Password log in. Without, the check ends behind the greeting.
	User, Password string
	// Check looks at a server. Default [Check].
	Check func(ctx context.Context, s gateway.Server, user, password string) error
}

// Pool chooses from several servers, and remembers how they do. It is a
// [gateway.Router].
type Pool struct {
	log *slog.Logger

	mu      sync.Mutex
	set     Options
	places  []*place
	turn    int           // where the next tie begins
	changed chan struct{} // closed when set changes
}

// place is a server and what is known of it. It outlives a reload.
//
//	       Fall failures in a row
//	up -----------------------------> down
//	   <-----------------------------
//	       Rise successes in a row
type place struct {
	Server
	key      string
	drain    bool // Server.Drain, or what [Pool.Drain] has said since
	sessions int
	total    uint64
	failures uint64
	down     bool
	streak   int       // of checks or sessions that spoke against down, or for it
	checked  time.Time // when it was last looked at or used
	err      error     // why it last failed; nil once it has worked again
	again    time.Time // when it may be tried, where no checks are made
}

// NewPool makes a pool. log may be nil.
func NewPool(o Options, log *slog.Logger) (*Pool, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	p := &Pool{log: log, changed: make(chan struct{})}
	return p, p.Set(o)
}

// Set changes servers and settings. A server that stays, by its name, keeps its
// sessions; and its health, if it is still at the same address.
func (p *Pool) Set(o Options) error {
	if len(o.Servers) == 0 {
		return errors.New("backends: no server; name one at least")
	}
	h := &o.Health
	if h.Timeout <= 0 {
		h.Timeout = 10 * time.Second
	}
	if h.Pause <= 0 {
		h.Pause = 10 * time.Second
	}
	if h.Rise <= 0 {
		h.Rise = 2
	}
	if h.Fall <= 0 {
		h.Fall = 3
	}
	if h.Check == nil {
		h.Check = Check
	}
	if int(o.Balance) >= len(balances) {
		return fmt.Errorf("backends: balance %d is not known", o.Balance)
	}
	seen := map[string]bool{}
	for i := range o.Servers {
		s := &o.Servers[i]
		if s.Weight <= 0 {
			s.Weight = 1
		}
		if name := s.String(); seen[name] {
			return fmt.Errorf("backends: server %s is named twice", name)
		}
		seen[s.String()] = true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	old := map[string]*place{}
	for _, x := range p.places {
		old[x.key] = x
	}
	p.places = make([]*place, len(o.Servers))
	for i, s := range o.Servers {
		x := old[s.String()]
		switch {
		case x == nil:
			x = &place{key: s.String()}
		case x.Addr != s.Addr || x.TLS != s.TLS:
			x.down, x.streak, x.err, x.again = false, 0, nil, time.Time{}
		}
		if s.Drain != x.Server.Drain {
			x.drain = s.Drain
		}
		x.Server = s
		p.places[i] = x
	}
	p.set = o
	close(p.changed)
	p.changed = make(chan struct{})
	return nil
}

// Drain keeps new sessions away from a server, or lets them come again. That holds
// until a [Pool.Set] changes [Server.Drain]: one that reads the same settings again
// does not undo it.
func (p *Pool) Drain(name string, drain bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, x := range p.places {
		if x.key == name {
			x.drain = drain
			return nil
		}
	}
	var names []string
	for _, x := range p.places {
		names = append(names, x.key)
	}
	return fmt.Errorf("no server is named %q; there are %s", name, strings.Join(names, ", "))
}

// Errors of [Pool.Route]. Clients are told them.
var (
	ErrNoServer = errors.New("none is for this name")
	ErrDown     = errors.New("none answers now; try again later")
	ErrFull     = errors.New("all are full; try again later")
)

// Route implements [gateway.Router].
func (p *Pool) Route(_ context.Context, v gateway.Visitor, tried []string) (*gateway.Seat, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fit, err := p.fit(v)
	if err != nil {
		return nil, err
	}
	if p.set.Balance == ByUser && v.User == "" && len(fit) > 1 {
		return nil, gateway.ErrNeedUser
	}
	reason := ErrDown
	now := time.Now()
	fit = slices.DeleteFunc(fit, func(x *place) bool {
		switch {
		case slices.Contains(tried, x.key) || x.away(now, p.set.Health.Interval > 0) || x.drain:
			return true
		case x.Max > 0 && x.sessions >= x.Max:
			reason = ErrFull
			return true
		}
		return false
	})
	if len(fit) == 0 {
		return nil, reason
	}
	x := p.choose(fit, v)
	x.sessions++
	x.total++
	var once sync.Once
	return &gateway.Seat{Server: x.named(), Leave: func(err error) {
		once.Do(func() { p.leave(x, err) })
	}}, nil
}

// named is the server with the name that [gateway.Router] is told in tried.
func (x *place) named() gateway.Server {
	s := x.Server.Server
	s.Name = x.key
	return s
}

// away tells whether a server is not to be tried now.
func (x *place) away(now time.Time, checks bool) bool {
	return x.down && (checks || now.Before(x.again))
}

// fit returns the servers that are for v, working or not: those for its host,
// or else those for any host; and of these the same by its user.
func (p *Pool) fit(v gateway.Visitor) ([]*place, error) {
	host := v.Host
	if host == "" {
		host = v.ServerName
	}
	fit := p.places
	for _, by := range []struct {
		of   func(*place) []string
		name string
		same func(pattern, name string) bool
		// known tells that the name will not come any more.
		known bool
	}{
		{func(x *place) []string { return x.Hosts }, host, matchHost, host != "" || v.User != ""},
		{func(x *place) []string { return x.Users }, v.User, policy.Glob, v.User != ""},
	} {
		var named, others []*place
		some := false
		for _, x := range fit {
			patterns := by.of(x)
			some = some || len(patterns) > 0
			switch {
			case len(patterns) == 0:
				others = append(others, x)
			case by.name != "" && slices.ContainsFunc(patterns, func(s string) bool { return by.same(s, by.name) }):
				named = append(named, x)
			}
		}
		if some && !by.known {
			return nil, gateway.ErrNeedUser
		}
		fit = named
		if len(named) == 0 {
			fit = others
		}
	}
	if len(fit) == 0 {
		return nil, ErrNoServer
	}
	return slices.Clone(fit), nil
}

// choose takes one of several that work.
func (p *Pool) choose(fit []*place, v gateway.Visitor) *place {
	switch p.set.Balance {
	case ByClient:
		return rendezvous(fit, roster.Client(v.Client.Addr()).String())
	case ByUser:
		return rendezvous(fit, v.User)
	case InOrder:
		return fit[0]
	}
	p.turn++
	best := fit[p.turn%len(fit)]
	for i := range fit {
		x := fit[(p.turn+i)%len(fit)]
		if (x.sessions+1)*best.Weight < (best.sessions+1)*x.Weight {
			best = x
		}
	}
	return best
}

// rendezvous gives each key its server, such that when one is away only its own
// keys move (highest random weight, with weights as in Schindelhauer and
// Schomaker). It depends on names alone, so that several gateways agree.
func rendezvous(fit []*place, key string) *place {
	best, most := fit[0], math.Inf(-1)
	for _, x := range fit {
		h := fnv.New64a()
		_, _ = h.Write([]byte(key + "\x00" + x.key)) // never fails
		// A number between 0 and 1, from bits that are mixed once more: FNV
		// leaves the last byte in the low ones (the finalizer of splitmix64).
		n := h.Sum64()
		n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
		n = (n ^ n>>27) * 0x94d049bb133111eb
		n ^= n >> 31
		u := (float64(n>>11) + 0.5) / (1 << 53)
		if score := -float64(x.Weight) / math.Log(u); score > most {
			best, most = x, score
		}
	}
	return best
}

// leave gives a place back.
func (p *Pool) leave(x *place, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	x.sessions--
	if err != nil || p.set.Health.Interval <= 0 {
		p.note(x, err)
	}
}

// note takes note of how a server did. Where checks are made, only they make a
// server work again.
func (p *Pool) note(x *place, err error) {
	h := p.set.Health
	x.checked, x.err = time.Now(), err
	if err != nil {
		x.failures++
	}
	if (err != nil) == x.down {
		x.streak = 0 // nothing new
		if err != nil {
			x.again = x.checked.Add(h.Pause)
		}
		return
	}
	x.streak++
	rise := h.Rise
	if h.Interval <= 0 {
		rise = 1 // a session that went well is worth more than a check
	}
	switch {
	case err != nil && x.streak >= h.Fall:
		x.down, x.streak, x.again = true, 0, x.checked.Add(h.Pause)
		p.log.Warn("a server does not work any more", "server", x.key, "addr", x.Addr, "err", err)
	case err == nil && x.streak >= rise:
		x.down, x.streak = false, 0
		p.log.Info("a server works again", "server", x.key, "addr", x.Addr)
	}
}

// Run checks the servers until ctx ends.
func (p *Pool) Run(ctx context.Context) {
	for {
		p.mu.Lock()
		h, changed := p.set.Health, p.changed
		places := slices.Clone(p.places)
		p.mu.Unlock()
		var next <-chan time.Time
		if h.Interval > 0 {
			p.check(ctx, h, places)
			next = time.After(h.Interval)
		}
		select {
		case <-next:
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// check looks at all servers once, side by side.
func (p *Pool) check(ctx context.Context, h Health, places []*place) {
	var all sync.WaitGroup
	for _, x := range places {
		p.mu.Lock()
		s := x.named()
		p.mu.Unlock()
		all.Go(func() {
			once, cancel := context.WithTimeout(ctx, h.Timeout)
			defer cancel()
			err := h.Check(once, s, h.User, h.Password)
			if ctx.Err() != nil {
				return // it is us who ended
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			if x.Addr == s.Addr { // else a reload has put another in its place
				p.note(x, err)
			}
		})
	}
	all.Wait()
}

// State is how a server does.
type State struct {
	Name string `json:"name"`
	Addr string `json:"addr"`
	// State is "up", "down" or "draining".
	State    string `json:"state"`
	Sessions int    `json:"sessions"`
	// Total counts the sessions since the start, Failures the checks and sessions
	// in vain.
	Total    uint64    `json:"total"`
	Failures uint64    `json:"failures"`
	Checked  time.Time `json:"checked,omitzero"`
	// Error is why it last failed, "" if it has worked since.
	Error string `json:"error,omitempty"`
}

// Snapshot tells how the servers do.
func (p *Pool) Snapshot() []State {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]State, len(p.places))
	for i, x := range p.places {
		s := State{
			Name: x.key, Addr: x.Addr, State: "up",
			Sessions: x.sessions, Total: x.total, Failures: x.failures, Checked: x.checked,
		}
		switch {
		case x.down:
			s.State = "down"
		case x.drain:
			s.State = "draining"
		}
		if x.err != nil {
			s.Error = x.err.Error()
		}
		all[i] = s
	}
	return all
}

// matchHost is a pattern of names without regard to case and the last dot.
func matchHost(pattern, name string) bool {
	return policy.Glob(strings.ToLower(pattern), strings.TrimRight(strings.ToLower(name), "."))
}
