package firewall

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"

	"github.com/google/nftables/binaryutil"
	"golang.org/x/sys/unix"
)

// Netfilter opens pinholes in the kernel, and has it translate their addresses.
// A pinhole is a few elements of sets and maps with time-outs, of which the
// kernel takes the one that lets the connection in out when it has come.
// [NetfilterOptions.Plan] writes the table. Of its rules, those for IPv4:
//
//	prerouting   ip saddr . ip daddr . tcp dport @via4 ct mark set ct mark | 0x00200000
//	             delete @via4 { ip saddr . ip daddr . tcp dport }
//	             dnat ip to ip saddr . ip daddr . tcp dport map @to4
//	forward      ip saddr . ip daddr . tcp dport @pin4 ct mark set ct mark | 0x00200000
//	             delete @pin4 { ip saddr . ip daddr . tcp dport }
//	postrouting  ct mark & 0x00200000 != 0x00000000
//	             snat ip to ip saddr . ip daddr . tcp dport map @as4
//
// A first packet that is sent again passes by the mark. Filters that drop must
// accept the mark, as [NetfilterOptions.Rule] says.
//
// The table belongs to the socket of the process and goes with it, however it
// ends (owner flag, Linux 5.12). Before that, the next start sweeps it away.
type Netfilter struct {
	*ownTable
	pins *pinTable

	holes // conn gathers messages: one transaction at a time
}

// hole is an open pinhole.
type hole struct {
	life
	n     *Netfilter
	parts []part // the first lets the connection in
}

// OpenNetfilter makes the table. It needs CAP_NET_ADMIN in its network
// namespace. Close it to take the table away.
func OpenNetfilter(o NetfilterOptions) (*Netfilter, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	pins := o.table()
	own, err := pins.own(o.NetNS)
	if err != nil {
		return nil, err
	}
	return &Netfilter{ownTable: own, pins: pins, holes: newHoles()}, nil
}

// Open implements [Opener].
func (n *Netfilter) Open(ctx context.Context, p Pinhole) (io.Closer, error) {
	if err := p.Check(); err != nil {
		return nil, fmt.Errorf("pinhole: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("pinhole %v: %w", p, err)
	}
	p = p.Unmap()
	if p.From.Is4() != p.To.Addr().Is4() {
		return nil, fmt.Errorf("pinhole %v: the kernel does not translate between IPv4 and IPv6: %w", p, errors.ErrUnsupported)
	}
	h := &hole{life: life{among: &n.holes, key: holeKey{p.From, p.Dials()}}, n: n, parts: n.parts(p)}
	h.withdraw = h.remove

	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, fmt.Errorf("pinhole %v: %w", p, io.ErrClosedPipe)
	}
	if err := n.vacate(h.key); err != nil { // adding would leave the old life
		return nil, fmt.Errorf("pinhole %v: %w", p, err)
	}
	if err := n.add(h.parts...); err != nil {
		return nil, fmt.Errorf("pinhole %v: %w", p, err)
	}
	n.keep(&h.life, p.Life)
	return h, nil
}

// parts are the elements that p is made of.
func (n *Netfilter) parts(p Pinhole) []part {
	f := family(p.From.Is6())
	of := func(s *set, to netip.AddrPort, value []byte) part {
		e := part{n.sets[s], addressKey(p.From, to), value, p.Life + grace}
		if value != nil {
			e.life += grace // is looked up after what lets the connection in
		}
		return e
	}
	var parts []part
	if p.Via.IsValid() {
		parts = append(parts,
			of(n.pins.via[f], p.Via, nil),
			of(n.pins.to[f], p.Via, addressValue(p.To)))
	} else {
		parts = append(parts, of(n.pins.pin[f], p.To, nil))
	}
	switch {
	case p.As.IsValid() && p.As.Port() == 0:
		parts = append(parts, of(n.pins.as[f], p.To, p.As.Addr().AsSlice()))
	case p.As.IsValid():
		parts = append(parts, of(n.pins.port[f], p.To, addressValue(p.As)))
	}
	return parts
}

// addressKey is a key of the sets; each part of it fills words of four bytes.
func addressKey(from netip.Addr, to netip.AddrPort) []byte {
	return append(from.AsSlice(), addressValue(to)...)
}

func addressValue(a netip.AddrPort) []byte {
	return append(append(a.Addr().AsSlice(), binaryutil.BigEndian.PutUint16(a.Port())...), 0, 0)
}

// Used tells of the connection, as [firewall.Used] asks. From which port it came
// the kernel does not keep.
func (h *hole) Used() (netip.AddrPort, bool) {
	h.n.mu.Lock()
	defer h.n.mu.Unlock()
	if h.waits() {
		there, err := h.n.has(h.parts[0])
		h.used = !there && err == nil
	}
	return netip.AddrPortFrom(h.key.from, 0), h.used
}

// Plane is the name of this plane, as [firewall.Plane] asks.
func (h *hole) Plane() string { return "nftables" }

// remove takes what the pinhole is made of out of the sets. The kernel may have
// taken the first part before, since the connection has come. A transaction
// fails as a whole, so then the others go without it.
func (h *hole) remove() error {
	err := h.n.remove(h.parts...)
	if !errors.Is(err, unix.ENOENT) {
		return err
	}
	h.gone()
	if err := h.n.remove(h.parts[1:]...); !errors.Is(err, unix.ENOENT) {
		return err
	}
	return nil // their time was over as well
}

// Close takes the table away, with all that is open in it. Connections that
// came through go on.
func (n *Netfilter) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil
	}
	n.closed = true
	n.bell.stop()
	return n.ownTable.Close()
}
