package firewall

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Conntrack opens pinholes as expectations of the kernel's connection tracking,
// as its own FTP helper does, and hangs them on the control connections that
// [Pinhole.Control] names. So a filter that lets related connections in needs
// no other rule, the rule of [NetfilterOptions.Rule] does as well, and all ends
// with the control connection.
//
// An expectation is only taken for a connection that has a helper. A table gives
// an inert one to control connections when they are opened; the kernel still
// reads nothing in them. One control connection expects one data connection: a
// further pinhole takes the place of the one before.
//
// The kernel translates as the control connection is translated: the listener
// must be one end of it, and see the other.
type Conntrack struct {
	own    *ownTable
	ports  *nftables.Set
	socket *netlink.Conn

	holes
}

// expected is an open pinhole.
type expected struct {
	life
	c      *Conntrack
	master Flow
}

// OpenConntrack makes the table that gives control connections a helper. It
// needs CAP_NET_ADMIN in its network namespace. Close it to take the table away.
func OpenConntrack(o ConntrackOptions) (*Conntrack, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	socket, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: o.NetNS})
	if err != nil {
		return nil, fmt.Errorf("netlink socket for expectations: %w", err)
	}
	t, ports := o.table()
	own, err := t.own(o.NetNS)
	if err != nil {
		_ = socket.Close() // the error tells more
		if errors.Is(err, unix.ENOENT) {
			return nil, fmt.Errorf("the kernel has no helper %q (module nf_conntrack_%s): %w", inert, inert, err)
		}
		return nil, err
	}
	return &Conntrack{own: own, ports: own.sets[ports], socket: socket, holes: newHoles()}, nil
}

// Attend has control connections to one more port take expectations, from the
// next that is opened on.
func (c *Conntrack) Attend(port uint16) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return fmt.Errorf("control connections to port %d: %w", port, io.ErrClosedPipe)
	}
	err := c.own.conn.SetAddElements(c.ports, []nftables.SetElement{{Key: binaryutil.BigEndian.PutUint16(port)}})
	if err == nil {
		err = c.own.conn.Flush()
	}
	if err != nil {
		return fmt.Errorf("control connections to port %d: %w", port, err)
	}
	return nil
}

// Sweep takes away what a process before us has left that was killed: its table
// went with it, but expectations wait until their time is over. It takes those of
// all processes in the namespace that work as we do, so whoever sweeps must be the
// only one.
func (c *Conntrack) Sweep() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return fmt.Errorf("sweeping expectations: %w", io.ErrClosedPipe)
	}
	other, err := c.own.sibling()
	if err == nil && other != "" {
		err = fmt.Errorf("some may be of the process that has the table %s", other)
	}
	if err != nil {
		return fmt.Errorf("sweeping expectations: %w", err)
	}
	r := newRequest()
	r.message(expectDelete, 0, unix.AF_INET) // it means both families
	r.string(ctaExpectHelper, inert)
	if _, err := exchange(c.socket, r); err != nil {
		return fmt.Errorf("sweeping expectations: %w", err)
	}
	return nil
}

// The kernel counts the direction of a connection so.
const (
	fromOpener = 0
	toOpener   = 1
)

// master is the control connection for p to hang on, and in which direction of
// it the data connection goes.
func (p Pinhole) master() (f Flow, direction uint32, err error) {
	translated := p.Via.IsValid() || p.As.IsValid()
	sees := p.From
	if p.As.IsValid() {
		sees = p.As.Addr()
	}
	none := true
	for _, f := range p.Control {
		if f == (Flow{}) {
			continue
		}
		none = false
		switch from, to := f.From.Addr(), f.To.Addr(); {
		case p.To.Addr() == from && sees == to:
			return f, toOpener, nil
		case p.To.Addr() == to && sees == from:
			return f, fromOpener, nil
		case !translated && from.Is4() == p.From.Is4():
			return f, fromOpener, nil
		}
	}
	switch {
	case none:
		err = fmt.Errorf("no control connection for it to hang on: %w", errors.ErrUnsupported)
	case p.As.Port() != 0:
		err = fmt.Errorf("an expectation cannot choose the source port: %w", errors.ErrUnsupported)
	default:
		err = fmt.Errorf("no control connection between %v and %v, as the data connection shall be: %w", sees, p.To.Addr(), errors.ErrUnsupported)
	}
	return Flow{}, 0, err
}

// Open implements [Opener].
func (c *Conntrack) Open(ctx context.Context, p Pinhole) (_ io.Closer, err error) {
	if err := p.Check(); err != nil {
		return nil, fmt.Errorf("pinhole: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("pinhole %v: %w", p, err)
	}
	p = p.Unmap()
	defer func() {
		if err != nil {
			err = fmt.Errorf("pinhole %v: %w", p, err)
		}
	}()
	if p.As.Port() != 0 {
		return nil, fmt.Errorf("an expectation cannot choose the source port: %w", errors.ErrUnsupported)
	}
	master, direction, err := p.master()
	if err != nil {
		return nil, err
	}
	h := &expected{life: life{among: &c.holes, key: holeKey{p.From, p.Dials()}}, c: c, master: master}
	h.withdraw = h.forget

	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, io.ErrClosedPipe
	}
	if err := c.vacate(h.key); err != nil { // a change would leave the old master
		return nil, err
	}
	err = c.expect(p, master, direction)
	if errors.Is(err, unix.EEXIST) { // of one who is gone
		r := newRequest()
		r.forget(h.key)
		if _, err = exchange(c.socket, r); err == nil {
			err = c.expect(p, master, direction)
		}
	}
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil, fmt.Errorf("the kernel knows no control connection %v to %v: %w", master.From, master.To, errors.ErrUnsupported)
	case errors.Is(err, unix.EOPNOTSUPP):
		return nil, fmt.Errorf("control connection %v to %v has no helper, its port was not attended to when it was opened: %w", master.From, master.To, err)
	case err != nil:
		return nil, err
	}
	c.keep(&h.life, p.Life)
	return h, nil
}

// The messages of ctnetlink about expectations, and their attributes
// (linux/netfilter/nfnetlink_conntrack.h).
const (
	expectNew    = unix.NFNL_SUBSYS_CTNETLINK_EXP << 8 // IPCTNL_MSG_EXP_NEW
	expectDelete = unix.NFNL_SUBSYS_CTNETLINK_EXP<<8 | 2
	flowNew      = unix.NFNL_SUBSYS_CTNETLINK << 8 // IPCTNL_MSG_CT_NEW

	ctaExpectMaster, ctaExpectTuple, ctaExpectMask, ctaExpectTimeout = 1, 2, 3, 4
	ctaExpectHelper, ctaExpectNAT, ctaExpectFunction                 = 6, 10, 11
	ctaExpectNATDirection, ctaExpectNATTuple                         = 1, 2

	ctaTupleOriginal, ctaTupleReply                = 1, 2
	ctaTupleIP, ctaTupleProtocol                   = 1, 2
	ctaIPv4Source, ctaIPv6Source                   = 1, 3
	ctaProtocol, ctaSourcePort, ctaDestinationPort = 1, 2, 3
)

// followMaster is the kernel's function that gives the data connection the
// addresses of its control connection.
const followMaster = "nat-follow-master"

// tuple writes one direction of a connection.
func (r *request) tuple(kind uint16, f Flow) {
	r.nest(kind, func() {
		r.nest(ctaTupleIP, func() {
			at := uint16(ctaIPv4Source)
			if f.From.Addr().Is6() {
				at = ctaIPv6Source
			}
			r.address(at, f.From.Addr())
			r.address(at+1, f.To.Addr())
		})
		r.nest(ctaTupleProtocol, func() {
			r.uint8(ctaProtocol, unix.IPPROTO_TCP)
			r.uint16(ctaSourcePort, f.From.Port())
			r.uint16(ctaDestinationPort, f.To.Port())
		})
	})
}

// about begins a message about connections of one family.
func (r *request) about(kind uint16, flags netlink.HeaderFlags, one netip.Addr) {
	family := byte(unix.AF_INET)
	if one.Is6() {
		family = unix.AF_INET6
	}
	r.message(kind, flags, family)
}

// flow is what is expected: from whatever port.
func (k holeKey) flow() Flow { return Flow{netip.AddrPortFrom(k.from, 0), k.to} }

var (
	all4 = netip.AddrFrom4([4]byte{255, 255, 255, 255})
	all6 = netip.MustParseAddr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
)

// expect begins a message that makes or changes an expectation: each must name
// all of it.
func (r *request) expect(flags netlink.HeaderFlags, k holeKey, master Flow) {
	all := all4
	if k.from.Is6() {
		all = all6
	}
	r.about(expectNew, flags, k.from)
	r.tuple(ctaExpectMaster, master)
	r.tuple(ctaExpectTuple, k.flow())
	r.tuple(ctaExpectMask, Flow{netip.AddrPortFrom(all, 0), netip.AddrPortFrom(all, 0xffff)})
}

// forget adds the message that takes an expectation back.
func (r *request) forget(k holeKey) {
	r.about(expectDelete, 0, k.from)
	r.tuple(ctaExpectTuple, k.flow())
}

// expect makes an expectation, and has it last as long as p lives: as long as
// the helper says it would otherwise. The kernel wants to be told that in a
// message of its own.
func (c *Conntrack) expect(p Pinhole, master Flow, direction uint32) error {
	if master.From.Addr().Is6() != p.From.Is6() {
		return fmt.Errorf("the kernel does not translate between IPv4 and IPv6: %w", errors.ErrUnsupported)
	}
	key := holeKey{p.From, p.Dials()}
	r := newRequest()
	r.expect(netlink.Create|netlink.Excl, key, master)
	if p.Via.IsValid() || p.As.IsValid() {
		r.nest(ctaExpectNAT, func() {
			r.uint32(ctaExpectNATDirection, direction)
			r.tuple(ctaExpectNATTuple, Flow{p.To, p.To}) // its source is where it goes
		})
		r.string(ctaExpectFunction, followMaster)
	}
	r.expect(0, key, master)
	r.uint32(ctaExpectTimeout, uint32((p.Life+grace)/time.Second)+1)
	_, err := exchange(c.socket, r)
	return err
}

// Used tells of the connection, as [firewall.Used] asks.
func (h *expected) Used() (netip.AddrPort, bool) {
	h.c.mu.Lock()
	defer h.c.mu.Unlock()
	if h.waits() {
		r := newRequest() // a change that changes nothing, which has no answer but that nothing is there
		r.expect(0, h.key, h.master)
		_ = h.ask(r) // then it is not known
	}
	return netip.AddrPortFrom(h.key.from, 0), h.used
}

// ask sends a request of one message about the expectation. If it is not there
// any more, it was met if its time is not over, nor its control connection.
func (h *expected) ask(r *request) error {
	r.about(flowNew, 0, h.key.from)
	r.tuple(ctaTupleOriginal, h.master)
	wrong, err := exchange(h.c.socket, r)
	if wrong == nil {
		return err
	}
	there, alive := wrong[0], wrong[1] == nil
	if there != unix.ENOENT {
		return there
	}
	if alive {
		h.gone()
	}
	return nil
}

// Plane is the name of this plane, as [firewall.Plane] asks.
func (h *expected) Plane() string { return "conntrack" }

// forget takes the expectation back.
func (h *expected) forget() error {
	r := newRequest()
	r.forget(h.key)
	return h.ask(r)
}

// Close takes the table away, and what is still expected. Connections that came
// through go on.
func (c *Conntrack) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	c.bell.stop()
	var errs []error
	for _, h := range c.open {
		errs = append(errs, h.take())
	}
	return errors.Join(append(errs, c.socket.Close(), c.own.Close())...)
}
