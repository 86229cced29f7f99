package firewalltest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"time"

	"towpath/firewall"
)

// Fake is a [firewall.Opener] that opens nothing and remembers what it was
// asked. The zero value is ready to use.
type Fake struct {
	// Now is the clock; nil means [time.Now].
	Now func() time.Time
	// Name is that of its plane; "" is "fake".
	Name string
	// Unable has it translate nothing.
	Unable bool

	mu    sync.Mutex
	holes []*fakeHole
	came  [2]netip.AddrPort
}

type fakeHole struct {
	fake *Fake
	firewall.Pinhole
	until time.Time
	by    netip.AddrPort // who came, once he has
}

// Open implements [firewall.Opener].
func (f *Fake) Open(ctx context.Context, p firewall.Pinhole) (io.Closer, error) {
	if err := p.Check(); err != nil {
		return nil, fmt.Errorf("pinhole: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("pinhole %v: %w", p, err)
	}
	p = p.Unmap()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.Unable && (p.Via.IsValid() || p.As.IsValid()) {
		return nil, fmt.Errorf("pinhole %v: translating addresses: %w", p, errors.ErrUnsupported)
	}
	f.remove(func(h *fakeHole) bool { return h.From == p.From && h.Dials() == p.Dials() })
	h := &fakeHole{fake: f, Pinhole: p, until: f.now().Add(p.Life)}
	f.holes = append(f.holes, h)
	return h, nil
}

// Close implements [io.Closer].
func (h *fakeHole) Close() error {
	h.fake.mu.Lock()
	defer h.fake.mu.Unlock()
	h.fake.remove(func(other *fakeHole) bool { return other == h })
	return nil
}

// Used tells of the connection, as [firewall.Used] asks.
func (h *fakeHole) Used() (netip.AddrPort, bool) {
	h.fake.mu.Lock()
	defer h.fake.mu.Unlock()
	return h.by, h.by.IsValid()
}

// Plane is the name of this plane, as [firewall.Plane] asks.
func (h *fakeHole) Plane() string { return cmp.Or(h.fake.Name, "fake") }

// Connect reports whether a connection passes, and uses the pinhole up.
func (f *Fake) Connect(from netip.Addr, to netip.AddrPort) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.expire()
	return f.remove(func(h *fakeHole) bool {
		passes := h.From == from && h.Dials() == to
		if passes {
			h.by = netip.AddrPortFrom(from, 0)
			f.came = [2]netip.AddrPort{h.To, h.by}
			if h.As.IsValid() {
				f.came[1] = h.As
			}
		}
		return passes
	})
}

// Came is where the last connection that passed has ended, and whom the
// listener there has seen.
func (f *Fake) Came() (to, by netip.AddrPort) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.came[0], f.came[1]
}

// Pinholes are those that are open, in the order of their opening.
func (f *Fake) Pinholes() []firewall.Pinhole {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.expire()
	var open []firewall.Pinhole
	for _, h := range f.holes {
		open = append(open, h.Pinhole)
	}
	return open
}

func (f *Fake) now() time.Time {
	if f.Now != nil {
		return f.Now()
	}
	return time.Now()
}

func (f *Fake) expire() {
	now := f.now()
	f.remove(func(h *fakeHole) bool { return !now.Before(h.until) })
}

// remove takes out what is chosen and reports whether there was any.
func (f *Fake) remove(chosen func(*fakeHole) bool) bool {
	kept := f.holes[:0:0]
	for _, h := range f.holes {
		if !chosen(h) {
			kept = append(kept, h)
		}
	}
	removed := len(kept) < len(f.holes)
	f.holes = kept
	return removed
}
