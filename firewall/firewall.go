// Package firewall holds what a packet filter must be told about FTP, as data:
// pinholes, each the leave for one data connection, and rule sets, which open
// for good what a server needs.
//
// A [RuleSet] is planned from a few facts ([Server.Plan]) and written in the
// language of a filter ([Formats]). A [Pinhole] is opened by an [Opener]: on
// Linux [Netfilter] does it in the kernel, through netlink and without other
// programs. The package follows no dialogue and knows no announcements: who
// asks for a pinhole has read them.
package firewall

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Pinhole is leave for one TCP connection to be opened.
type Pinhole struct {
	// From is the host that opens the connection, from whatever port.
	From netip.Addr
	// To is where the connection goes, as the filter sees it: behind a
	// destination NAT that is the inside address.
	To netip.AddrPort
	// Life is how long the connection may take to be opened. It may then last.
	Life time.Duration
}

// MaxLife is the longest life of a pinhole: what waits longer for its
// connection has been forgotten.
const MaxLife = time.Hour

// Check says what is wrong with p, and nil if nothing is.
func (p Pinhole) Check() error {
	switch from, to := p.From.Unmap(), p.To.Addr().Unmap(); {
	case !from.IsValid() || from.IsUnspecified():
		return fmt.Errorf("from %v: not a host; name the one that will connect", p.From)
	case !to.IsValid() || to.IsUnspecified():
		return fmt.Errorf("to %v: not a host; name the one that listens", p.To)
	case from.Zone() != "" || to.Zone() != "":
		return fmt.Errorf("%v to %v: no filter knows zones; leave them out", p.From, p.To)
	case from.Is4() != to.Is4():
		return fmt.Errorf("%v to %v: one is IPv4, the other IPv6", from, to)
	case p.To.Port() == 0:
		return fmt.Errorf("to %v: port 0; name the port that listens", p.To)
	case p.Life <= 0 || p.Life > MaxLife:
		return fmt.Errorf("life %v: want more than nothing and at most %v", p.Life, MaxLife)
	}
	return nil
}

// String is for logs: "192.0.2.9 to 192.0.2.1:50000 within 30s".
func (p Pinhole) String() string {
	return fmt.Sprintf("%v to %v within %v", p.From, p.To, p.Life)
}

// Opener opens pinholes. Every implementation passes firewalltest.TestOpener.
type Opener interface {
	// Open lets the connection of p be opened: once, and within its life.
	// Closing takes back what was not used; a connection that was opened goes
	// on. Closing again does nothing. A pinhole that is open already is opened
	// anew, with a new life, and closing the older one then does nothing.
	Open(ctx context.Context, p Pinhole) (io.Closer, error)
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
