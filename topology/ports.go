package topology

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// PortRange is the ports from Low to High, both included.
type PortRange struct{ Low, High uint16 }

// Ports is a set of ports. It is written "21,50000-50009".
type Ports []PortRange

// Ephemeral are the ports that a system chooses from if nobody asks for one, as
// Linux does.
var Ephemeral = PortRange{32768, 60999}

// ParsePorts reads "21,50000-50009".
func ParsePorts(s string) (Ports, error) {
	var ports Ports
	for part := range strings.SplitSeq(s, ",") {
		low, high, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			high = low
		}
		l, err1 := parsePort(low)
		h, err2 := parsePort(high)
		switch {
		case err1 != nil || err2 != nil:
			return nil, fmt.Errorf("ports %q: want numbers from 1 to 65535 and ranges such as 50000-50009, parted by commas", s)
		case l > h:
			return nil, fmt.Errorf("ports %q: the range is turned round; want %d-%d", s, h, l)
		}
		ports = append(ports, PortRange{l, h})
	}
	return ports, nil
}

func parsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 16)
	if err == nil && n == 0 {
		err = strconv.ErrRange
	}
	return uint16(n), err
}

// Range returns the ports from low to high.
func Range(low, high uint16) Ports { return Ports{{low, high}} }

// Port returns the set of one port.
func Port(p uint16) Ports { return Ports{{p, p}} }

// String is the inverse of [ParsePorts].
func (p Ports) String() string {
	var b strings.Builder
	for i, r := range p {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(r.String())
	}
	return b.String()
}

// String returns "21" or "50000-50009".
func (r PortRange) String() string {
	if r.Low == r.High {
		return strconv.Itoa(int(r.Low))
	}
	return fmt.Sprintf("%d-%d", r.Low, r.High)
}

// Contains says whether port is in the set.
func (p Ports) Contains(port uint16) bool {
	return slices.ContainsFunc(p, func(r PortRange) bool { return r.Low <= port && port <= r.High })
}

// holds says whether each range of q is within one of p.
func (p Ports) holds(q Ports) bool {
	return !slices.ContainsFunc(q, func(r PortRange) bool {
		return !slices.ContainsFunc(p, func(o PortRange) bool { return o.Low <= r.Low && r.High <= o.High })
	})
}

// Fits says whether port is in the set, or the set is empty: a rule that names
// no port is for all.
func (p Ports) Fits(port uint16) bool { return len(p) == 0 || p.Contains(port) }

// MarshalText returns String.
func (p Ports) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText is ParsePorts; an empty text is the empty set.
func (p *Ports) UnmarshalText(text []byte) (err error) {
	*p = nil
	if len(text) > 0 {
		*p, err = ParsePorts(string(text))
	}
	return err
}

// UnmarshalText reads "90s".
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v < 0 {
		return fmt.Errorf("time %q: want a number with a unit, such as 90s, 5m or 2h", text)
	}
	*d = Duration(v)
	return nil
}
