package firewall

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Netfilter opens pinholes in the kernel. They are elements of two sets, one
// for each family, which the kernel takes out when their time is over and when
// the connection has come:
//
//	table inet towpath {
//		flags owner
//		set pin4 {
//			type ipv4_addr . ipv4_addr . inet_service
//			flags dynamic,timeout
//		}
//		chain forward {
//			type filter hook forward priority filter - 10; policy accept;
//			ct state new ip saddr . ip daddr . tcp dport @pin4 \
//				ct mark set ct mark or 0x200000 \
//				delete @pin4 { ip saddr . ip daddr . tcp dport }
//		}
//	}
//
// and so for pin6 and the hooks input and output. A first packet that is sent
// again passes by the mark. Filters that drop must accept the mark, as
// [NetfilterOptions.Rule] says.
//
// The table belongs to the socket of the process and goes with it, however it
// ends (owner flag, Linux 5.12). Before that, the next start sweeps it away.
type Netfilter struct {
	conn  *nftables.Conn
	table *nftables.Table
	pins  map[family]*nftables.Set

	mu     sync.Mutex // conn gathers messages: one transaction at a time
	holes  map[string]*hole
	closed bool
}

// hole is an open pinhole.
type hole struct {
	n   *Netfilter
	set *nftables.Set
	key []byte
}

const (
	// tableOwner is NFT_TABLE_F_OWNER, which x/sys/unix does not have.
	tableOwner = 0x2
	// dynsetDelete is NFT_DYNSET_OP_DELETE.
	dynsetDelete = 2
)

// OpenNetfilter makes the table. It needs CAP_NET_ADMIN in its network
// namespace. Close it to take the table away.
func OpenNetfilter(o NetfilterOptions) (_ *Netfilter, err error) {
	o, err = o.withDefaults()
	if err != nil {
		return nil, err
	}
	var socket *netlink.Conn // nftables.Conn cannot set the flags of a table
	options := []nftables.ConnOption{nftables.AsLasting(), nftables.WithSockOptions(func(c *netlink.Conn) error {
		socket = c
		return nil
	})}
	if o.NetNS != 0 {
		options = append(options, nftables.WithNetNSFd(o.NetNS))
	}
	conn, err := nftables.New(options...)
	if err != nil {
		return nil, fmt.Errorf("netlink socket for pinholes: %w", err)
	}
	defer func() {
		if err != nil {
			_ = conn.CloseLasting() // the error tells more
		}
	}()
	n := &Netfilter{
		conn:  conn,
		table: &nftables.Table{Name: o.Table, Family: nftables.TableFamilyINet},
		pins:  map[family]*nftables.Set{},
		holes: map[string]*hole{},
	}
	if err := n.own(socket); err != nil {
		return nil, err
	}
	if err := n.build(o.Mark); err != nil {
		return nil, fmt.Errorf("table inet %s: %w", o.Table, err)
	}
	return n, nil
}

// own makes the table anew, as one of socket. What is left of a process that
// could not have the flag is taken away.
func (n *Netfilter) own(socket *netlink.Conn) error {
	err := n.newTable(socket, tableOwner)
	if errors.Is(err, unix.EEXIST) {
		n.conn.DelTable(n.table)
		if err = n.conn.Flush(); err == nil {
			err = n.newTable(socket, tableOwner)
		}
	}
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) { // before Linux 5.12
		err = n.newTable(socket, 0)
		if errors.Is(err, unix.EEXIST) {
			n.conn.DelTable(n.table)
			if err = n.conn.Flush(); err == nil {
				err = n.newTable(socket, 0)
			}
		}
	}
	if errors.Is(err, unix.EPERM) {
		tables, lerr := n.conn.ListTablesOfFamily(n.table.Family)
		if lerr == nil {
			for _, t := range tables {
				if t.Name == n.table.Name {
					return fmt.Errorf("table inet %s: another process has it; end that, or choose another name: %w", n.table.Name, err)
				}
			}
		}
		return fmt.Errorf("table inet %s: pinholes need CAP_NET_ADMIN: %w", n.table.Name, err)
	}
	if err != nil {
		return fmt.Errorf("table inet %s: %w", n.table.Name, err)
	}
	return nil
}

// newTable makes the table with flags, in a transaction of its own.
func (n *Netfilter) newTable(socket *netlink.Conn, flags uint32) error {
	attributes, err := netlink.MarshalAttributes([]netlink.Attribute{
		{Type: unix.NFTA_TABLE_NAME, Data: []byte(n.table.Name + "\x00")},
		{Type: unix.NFTA_TABLE_FLAGS, Data: binaryutil.BigEndian.PutUint32(flags)},
	})
	if err != nil {
		return err
	}
	header := func(family byte, subsystem uint16) []byte {
		return append([]byte{family, unix.NFNETLINK_V0}, binaryutil.BigEndian.PutUint16(subsystem)...)
	}
	_, err = socket.SendMessages([]netlink.Message{
		{
			Header: netlink.Header{Type: unix.NFNL_MSG_BATCH_BEGIN, Flags: netlink.Request},
			Data:   header(0, unix.NFNL_SUBSYS_NFTABLES),
		},
		{
			Header: netlink.Header{
				Type:  unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWTABLE,
				Flags: netlink.Request | netlink.Acknowledge | netlink.Create | netlink.Excl,
			},
			Data: append(header(byte(n.table.Family), 0), attributes...),
		},
		{
			Header: netlink.Header{Type: unix.NFNL_MSG_BATCH_END, Flags: netlink.Request},
			Data:   header(0, unix.NFNL_SUBSYS_NFTABLES),
		},
	})
	if err != nil {
		return err
	}
	_, err = socket.Receive() // the one acknowledgement
	return err
}

// build fills the table with sets, chains and rules.
func (n *Netfilter) build(mark uint32) error {
	for _, f := range families {
		set := &nftables.Set{
			Table: n.table, Name: "pin4", Dynamic: true, HasTimeout: true, Concatenation: true,
			KeyType: nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeIPAddr, nftables.TypeInetService),
		}
		if f == v6 {
			set.Name = "pin6"
			set.KeyType = nftables.MustConcatSetType(nftables.TypeIP6Addr, nftables.TypeIP6Addr, nftables.TypeInetService)
		}
		if err := n.conn.AddSet(set, nil); err != nil {
			return err
		}
		n.pins[f] = set
	}
	// Before the filter, which is at 0, and behind the destination NAT.
	priority := nftables.ChainPriorityRef(-10)
	for _, hook := range []struct {
		name string
		at   *nftables.ChainHook
	}{
		{"input", nftables.ChainHookInput},
		{"forward", nftables.ChainHookForward},
		{"output", nftables.ChainHookOutput},
	} {
		chain := n.conn.AddChain(&nftables.Chain{
			Name: hook.name, Table: n.table, Type: nftables.ChainTypeFilter, Hooknum: hook.at, Priority: priority,
		})
		for _, f := range families {
			n.conn.AddRule(&nftables.Rule{Table: n.table, Chain: chain, Exprs: admit(f, n.pins[f], mark)})
		}
	}
	return n.conn.Flush()
}

// admit is the rule that marks a connection for which there is a pinhole, and
// closes the pinhole behind it.
func admit(f family, pins *nftables.Set, mark uint32) []expr.Any {
	version, source, length := byte(unix.NFPROTO_IPV4), uint32(12), uint32(4)
	if f == v6 {
		version, source, length = unix.NFPROTO_IPV6, 8, 16
	}
	// The key lies in neighbouring registers of four bytes.
	words := length / 4
	const key = unix.NFT_REG32_00
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{version}},
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_TCP}},
		&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
		bit(expr.CtStateBitNEW, 0),
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},

		&expr.Payload{DestRegister: key, Base: expr.PayloadBaseNetworkHeader, Offset: source, Len: length},
		&expr.Payload{DestRegister: key + words, Base: expr.PayloadBaseNetworkHeader, Offset: source + length, Len: length},
		&expr.Payload{DestRegister: key + 2*words, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Lookup{SourceRegister: key, SetName: pins.Name, SetID: pins.ID},
		&expr.Dynset{SrcRegKey: key, SetName: pins.Name, SetID: pins.ID, Operation: dynsetDelete},

		&expr.Ct{Key: expr.CtKeyMARK, Register: 1},
		bit(^mark, mark),
		&expr.Ct{Key: expr.CtKeyMARK, Register: 1, SourceRegister: true},
	}
}

// bit is register 1, and mask, xor other.
func bit(mask, other uint32) *expr.Bitwise {
	return &expr.Bitwise{
		SourceRegister: 1, DestRegister: 1, Len: 4,
		Mask: binaryutil.NativeEndian.PutUint32(mask), Xor: binaryutil.NativeEndian.PutUint32(other),
	}
}

// Open implements [Opener].
func (n *Netfilter) Open(ctx context.Context, p Pinhole) (io.Closer, error) {
	if err := p.Check(); err != nil {
		return nil, fmt.Errorf("pinhole: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("pinhole %v: %w", p, err)
	}
	if p.Via.IsValid() || p.As.IsValid() {
		return nil, fmt.Errorf("pinhole %v: translating addresses: %w", p, errors.ErrUnsupported)
	}
	from, to := p.From.Unmap(), p.To.Addr().Unmap()
	key := append(from.AsSlice(), to.AsSlice()...)
	key = append(key, binaryutil.BigEndian.PutUint16(p.To.Port())...)
	key = append(key, 0, 0) // each part fills words of four bytes
	h := &hole{n: n, set: n.pins[family(from.Is6())], key: key}

	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, fmt.Errorf("pinhole %v: %w", p, io.ErrClosedPipe)
	}
	if _, open := n.holes[string(key)]; open {
		if err := n.take(h); err != nil { // adding would leave the old life
			return nil, fmt.Errorf("pinhole %v: %w", p, err)
		}
	}
	life := max(p.Life.Round(time.Millisecond), time.Millisecond) // the kernel's unit
	if err := n.conn.SetAddElements(h.set, []nftables.SetElement{{Key: key, Timeout: life}}); err != nil {
		return nil, fmt.Errorf("pinhole %v: %w", p, err)
	}
	if err := n.conn.Flush(); err != nil {
		return nil, fmt.Errorf("pinhole %v: %w", p, err)
	}
	n.holes[string(key)] = h
	return h, nil
}

// Close takes the pinhole back if it has not been used.
func (h *hole) Close() error {
	h.n.mu.Lock()
	defer h.n.mu.Unlock()
	if h.n.holes[string(h.key)] != h { // closed before, or opened anew
		return nil
	}
	delete(h.n.holes, string(h.key))
	if h.n.closed {
		return nil
	}
	if err := h.n.take(h); err != nil {
		return fmt.Errorf("closing a pinhole: %w", err)
	}
	return nil
}

// take takes the element of h out of its set. The kernel may have done it
// before: the connection has come, or its time is over.
func (n *Netfilter) take(h *hole) error {
	if err := n.conn.SetDeleteElements(h.set, []nftables.SetElement{{Key: h.key}}); err != nil {
		return err
	}
	if err := n.conn.Flush(); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	return nil
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
	n.conn.DelTable(n.table)
	if err := errors.Join(n.conn.Flush(), n.conn.CloseLasting()); err != nil {
		return fmt.Errorf("table inet %s: %w", n.table.Name, err)
	}
	return nil
}

func (o NetfilterOptions) withDefaults() (NetfilterOptions, error) {
	if o.Table == "" {
		o.Table = DefaultTable
	}
	if o.Mark == 0 {
		o.Mark = DefaultMark
	}
	if o.Mark&(o.Mark-1) != 0 {
		return o, fmt.Errorf("mark %#x: several bits; give one that nobody else uses, as %#x", o.Mark, DefaultMark)
	}
	return o, nil
}
