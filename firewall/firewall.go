// Package firewall holds what a packet filter must be told about FTP, as data:
// pinholes, each the leave for one data connection, and rule sets, which open
// for good what a server needs.
//
// A [RuleSet] is planned from a few facts ([Server.Plan]) and written in the
// language of a filter ([Formats]). A [Pinhole] is opened by an [Opener]: on
// Linux [Netfilter] and [Conntrack] do it in the kernel, through netlink and
// without other programs; [Probe] says what works. A [Redirection] takes control
// connections, for a gateway. The package follows no dialogue and knows no
// announcements: who asks for a pinhole has read them.
package firewall

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Pinhole is leave for one TCP connection to be opened, and what becomes of its
// addresses on the way. Of an FTP gateway's two:
//
//	passive   client ----> gateway (Via) -- as the gateway --> server (To)
//	active    server ----> gateway (Via) -- as the gateway --> client (To)
type Pinhole struct {
	// From is the host that opens the connection, from whatever port.
	From netip.Addr
	// To is where the connection ends, as the filter sees it: behind a
	// destination NAT that is the inside address.
	To netip.AddrPort
	// Via is where the opener sends the connection, if that is not To: it is
	// led on from there. The zero value translates nothing.
	Via netip.AddrPort
	// As is whom the listener sees, if not From; port 0 is any. The zero value
	// leaves the source as it is.
	As netip.AddrPort
	// Control are the control connections of the session, the client's and the
	// server's, for a plane that hangs the data connection on one of them.
	Control [2]Flow
	// Life is how long the connection may take to be opened. It may then last.
	Life time.Duration
}

// Flow is a TCP connection by its ends: who opened it and to whom, as the
// packets were when they came, before any translation.
type Flow struct{ From, To netip.AddrPort }

// MaxLife is the longest life of a pinhole: what waits longer for its
// connection has been forgotten.
const MaxLife = time.Hour

// Dials is where the opener sends the connection: Via, or To.
func (p Pinhole) Dials() netip.AddrPort {
	if p.Via.IsValid() {
		return p.Via
	}
	return p.To
}

// Unmap returns p with every IPv4 address in its own form, where it was given
// as one of IPv6.
func (p Pinhole) Unmap() Pinhole {
	p.From, p.To, p.Via, p.As = p.From.Unmap(), unmap(p.To), unmap(p.Via), unmap(p.As)
	for i, f := range p.Control {
		p.Control[i] = Flow{unmap(f.From), unmap(f.To)}
	}
	return p
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// Check says what is wrong with p, and nil if nothing is. Between IPv4 and IPv6
// only a Via can lead.
func (p Pinhole) Check() error {
	p = p.Unmap()
	from, to, via, as := p.From, p.To.Addr(), p.Via.Addr(), p.As.Addr()
	given := func(a netip.AddrPort) bool { return a != netip.AddrPort{} }
	switch {
	case !from.IsValid() || from.IsUnspecified():
		return fmt.Errorf("from %v: not a host; name the one that will connect", from)
	case !to.IsValid() || to.IsUnspecified():
		return fmt.Errorf("to %v: not a host; name the one that listens", p.To)
	case given(p.Via) && (!via.IsValid() || via.IsUnspecified()):
		return fmt.Errorf("via %v: not a host; name the one that is dialled", p.Via)
	case given(p.As) && (!as.IsValid() || as.IsUnspecified()):
		return fmt.Errorf("as %v: not a host; name the one that the listener shall see", p.As)
	case from.Zone() != "" || to.Zone() != "" || via.Zone() != "" || as.Zone() != "":
		return fmt.Errorf("%v to %v: no filter knows zones; leave them out", from, p.Dials())
	case from.Is4() != p.Dials().Addr().Is4():
		return fmt.Errorf("%v to %v: one is IPv4, the other IPv6", from, p.Dials().Addr())
	case given(p.As) && as.Is4() != to.Is4():
		return fmt.Errorf("to %v as %v: one is IPv4, the other IPv6", to, as)
	case p.To.Port() == 0:
		return fmt.Errorf("to %v: port 0; name the port that listens", p.To)
	case given(p.Via) && p.Via.Port() == 0:
		return fmt.Errorf("via %v: port 0; name the port that is dialled", p.Via)
	case p.Life <= 0 || p.Life > MaxLife:
		return fmt.Errorf("life %v: want more than nothing and at most %v", p.Life, MaxLife)
	}
	for _, f := range p.Control {
		if f != (Flow{}) && (!f.From.IsValid() || !f.To.IsValid() || f.From.Port() == 0 || f.To.Port() == 0) {
			return fmt.Errorf("control connection %v to %v: want an address and a port at both ends", f.From, f.To)
		}
	}
	return nil
}

// String is for logs: "192.0.2.9 to 192.0.2.1:50000 within 30s", and with
// translation "192.0.2.9 via 192.0.2.1:50000 to 10.0.0.5:6000 as 10.0.0.1 within
// 30s".
func (p Pinhole) String() string {
	via, as := "", ""
	if p.Via.IsValid() {
		via = " via " + p.Via.String()
	}
	switch {
	case p.As.IsValid() && p.As.Port() == 0:
		as = " as " + p.As.Addr().String()
	case p.As.IsValid():
		as = " as " + p.As.String()
	}
	return p.From.String() + via + " to " + p.To.String() + as + " within " + p.Life.String()
}

// Opener opens pinholes. Every implementation passes firewalltest.TestOpener.
type Opener interface {
	// Open lets the connection of p be opened: once, and within its life.
	// Closing takes back what was not used; a connection that was opened goes
	// on. Closing again does nothing. A pinhole that is open already is opened
	// anew, with a new life, and closing the older one then does nothing. What
	// the opener cannot do, such as translating addresses, is
	// [errors.ErrUnsupported].
	Open(ctx context.Context, p Pinhole) (io.Closer, error)
}

// Either is an opener that asks each of the openers, in that order, until one
// does not say [errors.ErrUnsupported]. It needs at least one.
func Either(openers ...Opener) Opener { return either(openers) }

type either []Opener

// Open implements [Opener].
func (e either) Open(ctx context.Context, p Pinhole) (io.Closer, error) {
	var errs []error
	for _, o := range e {
		hole, err := o.Open(ctx, p)
		if err == nil || !errors.Is(err, errors.ErrUnsupported) {
			return hole, err
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// Used reports whether the connection of an open pinhole has come, as far as
// its opener knows, and by whom it was opened; the port is 0 where it is not
// known. Asking is still possible when the pinhole is closed.
func Used(hole io.Closer) (by netip.AddrPort, ok bool) {
	if u, knows := hole.(interface {
		Used() (netip.AddrPort, bool)
	}); knows {
		return u.Used()
	}
	return netip.AddrPort{}, false
}

// Plane is the name of what has opened a pinhole: "conntrack", "nftables", and
// "kernel" if its opener does not say.
func Plane(hole io.Closer) string {
	if p, says := hole.(interface{ Plane() string }); says {
		return p.Plane()
	}
	return "kernel"
}

// Ports are the ports from Low to High. The zero value is all of them.
type Ports struct {
	Low  uint16 `json:"low"`
	High uint16 `json:"high"`
}

// Port is one port alone.
func Port(n uint16) Ports { return Ports{n, n} }

// ParsePorts reads "50000-50100", or one port alone.
func ParsePorts(s string) (Ports, error) {
	low, high, two := strings.Cut(s, "-")
	if !two {
		high = low
	}
	a, errA := strconv.ParseUint(low, 10, 16)
	b, errB := strconv.ParseUint(high, 10, 16)
	switch {
	case errA != nil || errB != nil || a == 0 || b == 0:
		return Ports{}, fmt.Errorf("%q: not ports; write a number from 1 to 65535, or two as 50000-50100", s)
	case a > b:
		return Ports{}, fmt.Errorf("%s: the first port is greater than the last; write %d-%d", s, b, a)
	}
	return Ports{uint16(a), uint16(b)}, nil
}

// FormatPorts is the inverse of [ParsePorts]; all ports are "any".
func FormatPorts(p Ports) string { return p.join("-") }

// Any reports whether p are all ports.
func (p Ports) Any() bool { return p == Ports{} }

// Len is how many ports there are.
func (p Ports) Len() int {
	if p.Any() {
		return 65535
	}
	return int(p.High) - int(p.Low) + 1
}

// join writes a range in the manner of most tools, which differ only in what
// they put between the two numbers.
func (p Ports) join(between string) string {
	switch {
	case p.Any():
		return "any"
	case p.Low == p.High:
		return strconv.Itoa(int(p.Low))
	default:
		return fmt.Sprintf("%d%s%d", p.Low, between, p.High)
	}
}

// String implements [fmt.Stringer].
func (p Ports) String() string { return FormatPorts(p) }

// each calls f for every port; there is no such thing as all of them one by one.
func (p Ports) each(f func(uint16)) {
	for n := int(p.Low); n <= int(p.High); n++ {
		f(uint16(n))
	}
}
