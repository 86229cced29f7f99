package firewall

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync"
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

	mu     sync.Mutex // one request at a time
	holes  map[holeKey]*expected
	closed bool
}

// expected is an open pinhole.
type expected struct {
	c      *Conntrack
	key    holeKey
	master Flow
	until  time.Time
	over   *time.Timer
	used   bool
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
	return &Conntrack{own: own, ports: own.sets[ports], socket: socket, holes: map[holeKey]*expected{}}, nil
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
	err := c.ask(expectDelete, false, func(e *netlink.AttributeEncoder) { e.String(ctaExpectHelper, inert) })
	if err != nil {
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
	h := &expected{c: c, key: holeKey{p.From, p.Dials()}, master: master}

	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, io.ErrClosedPipe
	}
	if old, open := c.holes[h.key]; open {
		if err := old.take(); err != nil { // a change would leave the old master
			return nil, err
		}
	}
	create, err := expectation(p, master, direction)
	if err != nil {
		return nil, err
	}
	err = c.expect(create, p.Life)
	if errors.Is(err, unix.EEXIST) { // of one who is gone
		if err = c.forget(h.key); err == nil {
			err = c.expect(create, p.Life)
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
	h.until = time.Now().Add(p.Life)
	h.over = time.AfterFunc(p.Life, func() { _ = h.expire() }) // else the kernel does it
	c.holes[h.key] = h
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
func tuple(kind uint16, f Flow) func(*netlink.AttributeEncoder) {
	return func(e *netlink.AttributeEncoder) {
		e.Nested(kind, func(e *netlink.AttributeEncoder) error {
			e.Nested(ctaTupleIP, func(e *netlink.AttributeEncoder) error {
				at := uint16(ctaIPv4Source)
				if f.From.Addr().Is6() {
					at = ctaIPv6Source
				}
				e.Bytes(at, f.From.Addr().AsSlice())
				e.Bytes(at+1, f.To.Addr().AsSlice())
				return nil
			})
			e.Nested(ctaTupleProtocol, func(e *netlink.AttributeEncoder) error {
				e.Uint8(ctaProtocol, unix.IPPROTO_TCP)
				e.Uint16(ctaSourcePort, f.From.Port())
				e.Uint16(ctaDestinationPort, f.To.Port())
				return nil
			})
			return nil
		})
	}
}

// request is the body of a message about connections of one family.
func request(is6 bool, parts ...func(*netlink.AttributeEncoder)) ([]byte, error) {
	e := netlink.NewAttributeEncoder()
	e.ByteOrder = binary.BigEndian
	for _, p := range parts {
		p(e)
	}
	b, err := e.Encode()
	header := []byte{unix.AF_INET, unix.NFNETLINK_V0, 0, 0}
	if is6 {
		header[0] = unix.AF_INET6
	}
	return append(header, b...), err
}

// flow is what is expected: from whatever port.
func (k holeKey) flow() Flow { return Flow{netip.AddrPortFrom(k.from, 0), k.to} }

// expect names an expectation, as every message must that makes or changes it.
func (k holeKey) expect(master Flow) []func(*netlink.AttributeEncoder) {
	all := netip.AddrFrom4([4]byte{255, 255, 255, 255})
	if k.from.Is6() {
		all = netip.MustParseAddr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
	}
	return []func(*netlink.AttributeEncoder){
		tuple(ctaExpectMaster, master),
		tuple(ctaExpectTuple, k.flow()),
		tuple(ctaExpectMask, Flow{netip.AddrPortFrom(all, 0), netip.AddrPortFrom(all, 0xffff)}),
	}
}

// expectation is the body of the message that opens p; the kernel wants to be
// told how long it lasts in another.
func expectation(p Pinhole, master Flow, direction uint32) (func(timeout uint32) ([]byte, error), error) {
	if master.From.Addr().Is6() != p.From.Is6() {
		return nil, fmt.Errorf("the kernel does not translate between IPv4 and IPv6: %w", errors.ErrUnsupported)
	}
	parts := holeKey{p.From, p.Dials()}.expect(master)
	translate := func(e *netlink.AttributeEncoder) {
		e.Nested(ctaExpectNAT, func(e *netlink.AttributeEncoder) error {
			e.Uint32(ctaExpectNATDirection, direction)
			tuple(ctaExpectNATTuple, Flow{p.To, p.To})(e) // its source is where it goes
			return nil
		})
		e.String(ctaExpectFunction, followMaster)
	}
	return func(timeout uint32) ([]byte, error) {
		last := func(e *netlink.AttributeEncoder) { e.Uint32(ctaExpectTimeout, timeout) }
		switch {
		case timeout > 0:
			return request(p.From.Is6(), append(parts, last)...)
		case p.Via.IsValid() || p.As.IsValid():
			return request(p.From.Is6(), append(parts, translate)...)
		}
		return request(p.From.Is6(), parts...)
	}, nil
}

// expect makes an expectation, and has it last for that long: as long as the
// helper says it would otherwise.
func (c *Conntrack) expect(body func(timeout uint32) ([]byte, error), life time.Duration) error {
	var messages []netlink.Message
	for _, seconds := range []uint32{0, uint32((life+grace)/time.Second) + 1} {
		data, err := body(seconds)
		if err != nil {
			return err
		}
		flags := netlink.Request
		if seconds == 0 {
			flags |= netlink.Create | netlink.Excl
		}
		messages = append(messages, netlink.Message{Header: netlink.Header{Type: expectNew, Flags: flags}, Data: data})
	}
	return exchange(c.socket, messages...)
}

// forget takes an expectation back.
func (c *Conntrack) forget(k holeKey) error {
	return c.ask(expectDelete, k.from.Is6(), tuple(ctaExpectTuple, k.flow()))
}

// ask sends one message. Whether something is there is asked by a change that
// changes nothing, for which there is no other answer than that.
func (c *Conntrack) ask(what netlink.HeaderType, is6 bool, about ...func(*netlink.AttributeEncoder)) error {
	data, err := request(is6, about...)
	if err != nil {
		return err
	}
	return exchange(c.socket, netlink.Message{Header: netlink.Header{Type: what, Flags: netlink.Request}, Data: data})
}

// Used tells of the connection, as [firewall.Used] asks.
func (h *expected) Used() (netip.AddrPort, bool) {
	h.c.mu.Lock()
	defer h.c.mu.Unlock()
	if h.c.holes[h.key] == h && !h.c.closed && !h.used {
		if err := h.c.ask(expectNew, h.key.from.Is6(), h.key.expect(h.master)...); errors.Is(err, unix.ENOENT) {
			h.gone()
		}
	}
	return netip.AddrPortFrom(h.key.from, 0), h.used
}

// gone says of an expectation that is not there any more whether it was met: if
// its time was not over, nor its control connection.
func (h *expected) gone() {
	if time.Now().Before(h.until.Add(grace)) {
		h.used = h.c.ask(flowNew, h.key.from.Is6(), tuple(ctaTupleOriginal, h.master)) == nil
	}
}

// Plane is the name of this plane, as [firewall.Plane] asks.
func (h *expected) Plane() string { return "conntrack" }

// Close takes the pinhole back if it has not been used.
func (h *expected) Close() error {
	if err := h.expire(); err != nil {
		return fmt.Errorf("closing a pinhole: %w", err)
	}
	return nil
}

func (h *expected) expire() error {
	h.c.mu.Lock()
	defer h.c.mu.Unlock()
	if h.c.holes[h.key] != h { // closed before, or opened anew
		return nil
	}
	delete(h.c.holes, h.key)
	if h.c.closed {
		return nil
	}
	return h.take()
}

func (h *expected) take() error {
	h.over.Stop()
	err := h.c.forget(h.key)
	if errors.Is(err, unix.ENOENT) {
		h.gone()
		return nil
	}
	return err
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
	var errs []error
	for _, h := range c.holes {
		errs = append(errs, h.take())
	}
	return errors.Join(append(errs, c.socket.Close(), c.own.Close())...)
}
