package ftpserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// toldAge is how long an answer about a host name or an interface is
	// fresh. Go's resolver does not tell the TTL; a minute is what dynamic DNS
	// services give.
	toldAge = time.Minute
	// toldRetry is how soon to ask again after a failure.
	toldRetry = 10 * time.Second
	// toldWait bounds how long a session waits for the first answer, and
	// toldLookup how long an answer may take.
	toldWait   = 5 * time.Second
	toldLookup = 15 * time.Second
)

// lookupFunc finds the addresses of a host name.
type lookupFunc func(ctx context.Context, host string) ([]netip.Addr, error)

// lookupHost asks the resolver of the system.
func lookupHost(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// told chooses the address that a client is told to open its data connection
// to. See [Told].
type told struct {
	rules []toldRule
}

type toldRule struct {
	clients []netip.Prefix
	tls     *bool
	// One of these: a literal address, a name that ages, or neither for "auto".
	literal netip.Addr
	name    *agingAddrs
}

// newTold checks the rules; the error names the one that is wrong, and why.
// Lookup may be nil for [lookupHost].
func newTold(rules []Told, lookup lookupFunc) (*told, error) {
	if lookup == nil {
		lookup = lookupHost
	}
	t := &told{}
	names := map[string]*agingAddrs{}
	for _, r := range rules {
		rule := toldRule{tls: r.TLS}
		for _, p := range r.Clients {
			if !p.IsValid() {
				return nil, fmt.Errorf("told address %q: one of its client networks is no network", r.Address)
			}
			if p.Addr().Is4In6() && p.Bits() >= 96 {
				p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
			}
			rule.clients = append(rule.clients, p.Masked())
		}
		if err := rule.aim(r.Address, lookup, names); err != nil {
			return nil, fmt.Errorf("told address %q: %w", r.Address, err)
		}
		t.rules = append(t.rules, rule)
	}
	return t, nil
}

// aim sets what the rule tells. Names are shared by the rules that use them.
func (r *toldRule) aim(address string, lookup lookupFunc, names map[string]*agingAddrs) error {
	if address == "auto" {
		return nil
	}
	if a, err := netip.ParseAddr(address); err == nil {
		switch {
		case a.Zone() != "":
			return errors.New("an address with a zone means nothing to a client")
		case a.IsUnspecified(), a.IsMulticast():
			return errors.New("no client can connect to it")
		}
		r.literal = a.Unmap()
		return nil
	}
	if names[address] == nil {
		find := func(ctx context.Context) ([]netip.Addr, error) { return lookup(ctx, address) }
		if dev, ok := strings.CutPrefix(address, "if:"); ok {
			if dev == "" {
				return errors.New(`the name of the interface is missing, as in "if:eth0"`)
			}
			find = func(context.Context) ([]netip.Addr, error) { return interfaceAddrs(dev) }
		} else if err := checkHost(address); err != nil {
			return err
		}
		names[address] = &agingAddrs{name: address, find: find}
	}
	r.name = names[address]
	return nil
}

// checkHost says what is wrong with a host name (RFC 1123 2.1). Underscores
// pass: there are such names in private networks.
func checkHost(s string) error {
	if s == "" {
		return errors.New(`it is empty; give an IP address, a host name, "if:eth0" or "auto"`)
	}
	labels := strings.Split(strings.TrimSuffix(s, "."), ".")
	for _, l := range labels {
		bad := strings.IndexFunc(l, func(c rune) bool {
			return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_'
		})
		if bad >= 0 || l == "" || len(l) > 63 || len(s) > 254 {
			return errors.New(`neither an IP address nor a host name, "if:eth0" or "auto"`)
		}
	}
	if strings.Trim(labels[len(labels)-1], "0123456789") == "" {
		return errors.New("no IPv4 address: it has four numbers from 0 to 255")
	}
	return nil
}

// interfaceAddrs are the addresses of a network interface: those that more of
// the world can reach come first.
func interfaceAddrs(dev string) ([]netip.Addr, error) {
	i, err := net.InterfaceByName(dev)
	if err != nil {
		return nil, err
	}
	nets, err := i.Addrs()
	if err != nil {
		return nil, err
	}
	var addrs []netip.Addr
	for _, n := range nets {
		if p, err := netip.ParsePrefix(n.String()); err == nil {
			addrs = append(addrs, p.Addr().Unmap())
		}
	}
	reach := func(a netip.Addr) int {
		switch {
		case a.IsLoopback():
			return 3
		case a.IsLinkLocalUnicast():
			return 2
		case a.IsPrivate():
			return 1
		}
		return 0
	}
	slices.SortStableFunc(addrs, func(a, b netip.Addr) int { return reach(a) - reach(b) })
	return addrs, nil
}

// address is what to tell a client whose control connection comes from client
// and reached local, encrypted or not: what the first rule says that matches,
// or local if none does. It is of the client's family.
//
// A client on a private network that reached us on a private address is on
// the inside. It is told local unless a rule names its network: the address
// for the outside often leads nowhere from within.
//
// A name that has never been resolved makes the session wait, five seconds at
// most; later answers come in the background while the last one serves.
func (t *told) address(ctx context.Context, client, local netip.Addr, secure bool) (netip.Addr, error) {
	client, local = client.Unmap().WithZone(""), local.Unmap()
	inside := isInside(client) && isInside(local)
	for _, r := range t.rules {
		if r.tls != nil && *r.tls != secure || !r.covers(client, inside) {
			continue
		}
		switch {
		case r.name != nil:
			addrs, err := r.name.get(ctx)
			if err != nil {
				return netip.Addr{}, err
			}
			for _, a := range addrs {
				if a = a.Unmap(); a.Is4() == client.Is4() && !a.IsUnspecified() {
					return a.WithZone(""), nil
				}
			}
		case !r.literal.IsValid():
			return local, nil
		case r.literal.Is4() == client.Is4():
			return r.literal, nil
		}
	}
	return local, nil
}

func (r *toldRule) covers(client netip.Addr, inside bool) bool {
	if len(r.clients) == 0 {
		return !inside
	}
	return slices.ContainsFunc(r.clients, func(p netip.Prefix) bool { return p.Contains(client) })
}

func isInside(a netip.Addr) bool {
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast()
}

// agingAddrs are the addresses of a name, asked for again as they age. What
// was once known is told until there is something newer.
type agingAddrs struct {
	name string
	find func(context.Context) ([]netip.Addr, error)

	mu     sync.Mutex
	addrs  []netip.Addr  // the last good answer
	err    error         // of the last lookup
	next   time.Time     // when to ask again
	asking chan struct{} // closed when the lookup under way ends; nil if none is
}

func (g *agingAddrs) get(ctx context.Context) ([]netip.Addr, error) {
	g.mu.Lock()
	if g.asking == nil && !time.Now().Before(g.next) {
		g.asking = make(chan struct{})
		go g.ask()
	}
	asking, addrs, err := g.asking, g.addrs, g.err
	g.mu.Unlock()
	if addrs != nil {
		return addrs, nil
	}
	if asking == nil {
		return nil, fmt.Errorf("told address %q: %w", g.name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, toldWait)
	defer cancel()
	select {
	case <-asking:
	case <-ctx.Done():
		return nil, fmt.Errorf("told address %q: no answer yet: %w", g.name, ctx.Err())
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.addrs == nil {
		return nil, fmt.Errorf("told address %q: %w", g.name, g.err)
	}
	return g.addrs, nil
}

// ask looks the name up. It outlives the session that began it.
func (g *agingAddrs) ask() {
	ctx, cancel := context.WithTimeout(context.Background(), toldLookup)
	defer cancel()
	addrs, err := g.find(ctx)
	if err == nil && len(addrs) == 0 {
		err = errors.New("it has no address")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err = err; err == nil {
		g.addrs = addrs
		g.next = time.Now().Add(toldAge)
	} else {
		g.next = time.Now().Add(toldRetry)
	}
	close(g.asking)
	g.asking = nil
}
