package firewall

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// The hooks of the kernel, and the kinds of chains, by the names that nft has
// for them.
var (
	hooks = map[string]*nftables.ChainHook{
		"prerouting": nftables.ChainHookPrerouting, "input": nftables.ChainHookInput, "forward": nftables.ChainHookForward,
		"output": nftables.ChainHookOutput, "postrouting": nftables.ChainHookPostrouting,
	}
	kinds = map[string]nftables.ChainType{
		"filter": nftables.ChainTypeFilter, "nat": nftables.ChainTypeNAT, "route": nftables.ChainTypeRoute,
	}
	fieldTypes = map[field]nftables.SetDatatype{
		address4: nftables.TypeIPAddr, address6: nftables.TypeIP6Addr, service: nftables.TypeInetService, ifaceName: nftables.TypeIFName,
	}
)

// installed is a table in the kernel.
type installed struct {
	table *nftables.Table
	sets  map[*set]*nftables.Set
}

// fill puts everything that t has into a table that there is, as part of the
// transaction that conn gathers.
func (t *table) fill(conn *nftables.Conn, in *nftables.Table) (*installed, error) {
	k := &installed{in, map[*set]*nftables.Set{}}
	for _, s := range t.sets {
		made := &nftables.Set{
			Table: in, Name: s.name, KeyType: dataType(s.key), Concatenation: len(s.key) > 1,
			HasTimeout: s.timeout, Dynamic: s.timeout && s.data == nil, Interval: s.interval(),
		}
		if s.data != nil {
			made.IsMap, made.DataType = true, dataType(s.data)
		}
		if s.key[0] == ifaceName {
			made.KeyByteOrder = binaryutil.NativeEndian // or nft shows no names
		}
		var elements []nftables.SetElement
		for _, e := range s.elements {
			elements = append(elements, e.encode()...)
		}
		if err := conn.AddSet(made, elements); err != nil {
			return nil, fmt.Errorf("set %s: %w", s.name, err)
		}
		k.sets[s] = made
	}
	for _, name := range slices.Sorted(maps.Keys(t.helpers)) {
		conn.AddObj(&nftables.NamedObj{
			Table: in, Name: name, Type: nftables.ObjTypeCtHelper,
			Obj: &expr.CtHelper{Name: t.helpers[name], L4Proto: unix.IPPROTO_TCP},
		})
	}
	for _, c := range t.chains {
		made := conn.AddChain(&nftables.Chain{
			Name: c.name, Table: in, Type: kinds[c.kind], Hooknum: hooks[c.hook],
			Priority: nftables.ChainPriorityRef(nftables.ChainPriority(c.priority)),
		})
		for _, rule := range c.rules {
			var exprs []expr.Any
			for _, s := range rule {
				exprs = append(exprs, k.exprs(s)...)
			}
			conn.AddRule(&nftables.Rule{Table: in, Chain: made, Exprs: exprs})
		}
	}
	return k, nil
}

func dataType(fields []field) nftables.SetDatatype {
	var types []nftables.SetDatatype
	for _, f := range fields {
		types = append(types, fieldTypes[f])
	}
	if len(types) == 1 {
		return types[0]
	}
	return nftables.MustConcatSetType(types...)
}

// encode is the element as the kernel has it: a network is two, where it begins
// and where it is over.
func (e element) encode() []nftables.SetElement {
	switch {
	case e.name != "":
		return []nftables.SetElement{{Key: padded(e.name)}}
	case !e.net.IsValid():
		return []nftables.SetElement{{Key: binaryutil.BigEndian.PutUint16(e.port)}}
	}
	low := e.net.Masked().Addr().AsSlice()
	high := append([]byte(nil), low...)
	for i := e.net.Bits(); i < len(high)*8; i++ {
		high[i/8] |= 0x80 >> (i % 8)
	}
	interval := []nftables.SetElement{{Key: low}}
	if last, _ := netip.AddrFromSlice(high); last.Next().IsValid() {
		interval = append(interval, nftables.SetElement{Key: last.Next().AsSlice(), IntervalEnd: true})
	}
	return interval
}

// padded is a name as interfaces and helpers have it: of 16 bytes.
func padded(name string) []byte {
	b := make([]byte, unix.IFNAMSIZ)
	copy(b, name)
	return b
}

// Keys lie in neighbouring registers of four bytes, and what a map has for them
// behind the longest.
const (
	keyAt  = unix.NFT_REG32_00
	dataAt = unix.NFT_REG32_00 + 9
)

// exprs is the statement in the kernel's own small steps.
func (k *installed) exprs(s statement) []expr.Any {
	equal := func(data ...byte) *expr.Cmp { return &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: data} }
	switch s := s.(type) {
	case isNew:
		return state(expr.CtStateBitNEW)
	case isRelated:
		return state(expr.CtStateBitRELATED)
	case helpedBy:
		return []expr.Any{&expr.Ct{Key: expr.CtKeyHELPER, Register: 1}, equal(padded(string(s))...)}
	case isTCP:
		return []expr.Any{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, equal(unix.IPPROTO_TCP)}
	case isFamily:
		return []expr.Any{&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1}, equal(version(family(s)))}
	case in:
		set := k.sets[s.set]
		return append(fetch(s.what), &expr.Lookup{SourceRegister: keyAt, SetName: set.Name, SetID: set.ID})
	case remove:
		set := k.sets[s.set]
		return append(fetch(s.what), &expr.Dynset{SrcRegKey: keyAt, SetName: set.Name, SetID: set.ID, Operation: dynsetDelete})
	case marked:
		return []expr.Any{
			&expr.Ct{Key: expr.CtKeyMARK, Register: 1},
			bit(uint32(s), 0),
			&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
		}
	case mark:
		return []expr.Any{
			&expr.Ct{Key: expr.CtKeyMARK, Register: 1},
			bit(^uint32(s), uint32(s)),
			&expr.Ct{Key: expr.CtKeyMARK, Register: 1, SourceRegister: true},
		}
	case translate:
		set := k.sets[s.by.set]
		n := &expr.NAT{Type: expr.NATTypeDestNAT, Family: uint32(version(s.f)), RegAddrMin: dataAt}
		if s.source {
			n.Type = expr.NATTypeSourceNAT
		}
		if len(s.by.set.data) > 1 {
			n.RegProtoMin, n.Specified = dataAt+addressWords(s.f), true
		}
		return append(fetch(s.by.what),
			&expr.Lookup{SourceRegister: keyAt, DestRegister: dataAt, IsDestRegSet: true, SetName: set.Name, SetID: set.ID}, n)
	case redirect:
		return []expr.Any{
			&expr.Immediate{Register: 1, Data: binaryutil.BigEndian.PutUint16(uint16(s))},
			&expr.Redir{RegisterProtoMin: 1, Flags: unix.NF_NAT_RANGE_PROTO_SPECIFIED},
		}
	case tproxy:
		return []expr.Any{
			&expr.Immediate{Register: 1, Data: binaryutil.BigEndian.PutUint16(s.port)},
			&expr.TProxy{Family: version(s.f), TableFamily: unix.NFPROTO_INET, RegPort: 1},
		}
	case transparent:
		return []expr.Any{&expr.Socket{Key: expr.SocketKeyTransparent, Register: 1}, equal(1)}
	case markPacket:
		return []expr.Any{
			&expr.Meta{Key: expr.MetaKeyMARK, Register: 1},
			bit(^uint32(s), uint32(s)),
			&expr.Meta{Key: expr.MetaKeyMARK, Register: 1, SourceRegister: true},
		}
	case help:
		return []expr.Any{&expr.Objref{Type: int(nftables.ObjTypeCtHelper), Name: string(s)}}
	case accept:
		return []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}}
	}
	panic(fmt.Sprintf("firewall: no statement %T", s)) // the list above is whole
}

// version is a family as the kernel counts them.
func version(f family) byte {
	if f == v6 {
		return unix.NFPROTO_IPV6
	}
	return unix.NFPROTO_IPV4
}

// addressWords is how many registers an address takes.
func addressWords(f family) uint32 {
	if f == v6 {
		return 4
	}
	return 1
}

// fetch puts what a packet shows into registers from keyAt on, when it has made
// sure that the packet shows it.
func fetch(what []packet) []expr.Any {
	var sure, put []expr.Any
	at := uint32(keyAt)
	for _, p := range what {
		switch p {
		case port:
			sure = append(sure, (*installed)(nil).exprs(isTCP{})...)
			put = append(put, &expr.Payload{DestRegister: at, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2})
			at++
		case iface:
			put = append(put, &expr.Meta{Key: expr.MetaKeyIIFNAME, Register: at})
			at += 4
		default:
			f := family(p == source6 || p == destination6)
			offset, length := uint32(12), 4*addressWords(f)
			if f == v6 {
				offset = 8
			}
			if p == destination4 || p == destination6 {
				offset += length
			}
			if at == keyAt {
				sure = append(sure, (*installed)(nil).exprs(isFamily(f))...)
			}
			put = append(put, &expr.Payload{DestRegister: at, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length})
			at += length / 4
		}
	}
	return append(sure, put...)
}

// state matches a state of the connection tracking.
func state(of uint32) []expr.Any {
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
		bit(of, 0),
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
	}
}

// bit is register 1, and mask, xor other.
func bit(mask, other uint32) *expr.Bitwise {
	return &expr.Bitwise{
		SourceRegister: 1, DestRegister: 1, Len: 4,
		Mask: binaryutil.NativeEndian.PutUint32(mask), Xor: binaryutil.NativeEndian.PutUint32(other),
	}
}

const (
	// tableOwner is NFT_TABLE_F_OWNER, which x/sys/unix does not have.
	tableOwner = 0x2
	// dynsetDelete is NFT_DYNSET_OP_DELETE.
	dynsetDelete = 2
)

// ownTable is a table that belongs to a socket of ours, and goes with it.
type ownTable struct {
	conn   *nftables.Conn
	socket *netlink.Conn // of conn, which cannot do everything
	*installed
}

// own puts t into the kernel as a table of this process, in a network namespace
// or with 0 in that of the process.
func (t *table) own(netns int) (_ *ownTable, err error) {
	o := &ownTable{installed: &installed{table: &nftables.Table{Name: t.name, Family: nftables.TableFamilyINet}}}
	options := []nftables.ConnOption{nftables.AsLasting(), nftables.WithSockOptions(func(c *netlink.Conn) error {
		o.socket = c
		return nil
	})}
	if netns != 0 {
		options = append(options, nftables.WithNetNSFd(netns))
	}
	if o.conn, err = nftables.New(options...); err != nil {
		return nil, fmt.Errorf("netlink socket for table inet %s: %w", t.name, err)
	}
	defer func() {
		if err != nil {
			_ = o.conn.CloseLasting() // the error tells more
		}
	}()
	if err := o.make(); err != nil {
		return nil, err
	}
	if o.installed, err = t.fill(o.conn, o.table); err == nil {
		err = o.conn.Flush()
	}
	if err != nil {
		return nil, fmt.Errorf("table inet %s: %w", t.name, err)
	}
	return o, nil
}

// Close takes the table away.
func (o *ownTable) Close() error {
	o.conn.DelTable(o.table)
	if err := errors.Join(o.conn.Flush(), o.conn.CloseLasting()); err != nil {
		return fmt.Errorf("table inet %s: %w", o.table.Name, err)
	}
	return nil
}

// own makes the table anew, as one of o.socket. What is left of a process that
// could not have the flag is taken away.
func (o *ownTable) make() error {
	err := o.newTable(tableOwner)
	if errors.Is(err, unix.EEXIST) {
		o.conn.DelTable(o.table)
		if err = o.conn.Flush(); err == nil {
			err = o.newTable(tableOwner)
		}
	}
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) { // before Linux 5.12
		err = o.newTable(0)
		if errors.Is(err, unix.EEXIST) {
			o.conn.DelTable(o.table)
			if err = o.conn.Flush(); err == nil {
				err = o.newTable(0)
			}
		}
	}
	if errors.Is(err, unix.EPERM) {
		all, lerr := o.tables()
		if lerr == nil {
			for _, t := range all {
				if t.name == o.table.Name {
					return fmt.Errorf("table inet %s: %w: %s", o.table.Name, ErrTaken, t.who())
				}
			}
		}
		return fmt.Errorf("table inet %s: rules need CAP_NET_ADMIN: %w", o.table.Name, err)
	}
	if err != nil {
		return fmt.Errorf("table inet %s: %w", o.table.Name, err)
	}
	return nil
}

// tableThere is a table of the family inet that is there, and the port of the netlink
// socket that it belongs to, 0 if to none.
type tableThere struct {
	name string
	port uint32
}

// who is the process that a table belongs to. The first netlink socket of a process
// has the number of that as its port, the others any above all such numbers.
func (t tableThere) who() string {
	const mostProcesses = 1 << 22 // PID_MAX_LIMIT
	if t.port == 0 || t.port > mostProcesses {
		return "whose number is not known"
	}
	who := fmt.Sprintf("process %d", t.port)
	if name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", t.port)); err == nil {
		who += " (" + strings.TrimSpace(string(name)) + ")"
	}
	return who
}

// tables lists those of the family inet.
func (o *ownTable) tables() ([]tableThere, error) {
	const owner = 7 // NFTA_TABLE_OWNER
	answers, err := o.socket.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETTABLE, Flags: netlink.Request | netlink.Dump},
		Data:   []byte{unix.NFPROTO_INET, unix.NFNETLINK_V0, 0, 0},
	})
	if err != nil {
		return nil, fmt.Errorf("listing the tables of the kernel: %w", err)
	}
	var all []tableThere
	for _, a := range answers {
		var t tableThere
		ad, err := netlink.NewAttributeDecoder(a.Data[min(4, len(a.Data)):])
		if err != nil {
			return nil, err
		}
		ad.ByteOrder = binary.BigEndian
		for ad.Next() {
			switch ad.Type() {
			case unix.NFTA_TABLE_NAME:
				t.name = ad.String()
			case owner:
				t.port = ad.Uint32()
			}
		}
		if err := ad.Err(); err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

// sibling is the name of a table of another process that lives which ends as that
// of o does from its last underscore on: it is for the same, if both keep to such
// names as the default ones. It is "" if there is none.
func (o *ownTable) sibling() (name string, err error) {
	all, err := o.tables()
	if err != nil {
		return "", err
	}
	i := max(0, strings.LastIndexByte(o.table.Name, '_'))
	for _, t := range all {
		if t.port != 0 && t.name != o.table.Name && strings.HasSuffix(t.name, o.table.Name[i:]) {
			return t.name, nil
		}
	}
	return "", nil
}

// newTable makes the table with flags, in a transaction of its own.
func (o *ownTable) newTable(flags uint32) error {
	return transaction(o.socket, func(r *request) {
		r.change(unix.NFT_MSG_NEWTABLE, netlink.Create|netlink.Excl)
		r.string(unix.NFTA_TABLE_NAME, o.table.Name)
		r.uint32(unix.NFTA_TABLE_FLAGS, flags)
	})
}

// part is an element of a set, with what a map has for it.
type part struct {
	set        *nftables.Set
	key, value []byte
	life       time.Duration
}

// element adds a message about one element.
func (o *ownTable) element(r *request, kind uint16, flags netlink.HeaderFlags, p part) {
	r.change(kind, flags)
	r.string(unix.NFTA_SET_ELEM_LIST_TABLE, o.table.Name)
	r.string(unix.NFTA_SET_ELEM_LIST_SET, p.set.Name)
	r.nest(unix.NFTA_SET_ELEM_LIST_ELEMENTS, func() {
		r.nest(unix.NFTA_LIST_ELEM, func() {
			r.nest(unix.NFTA_SET_ELEM_KEY, func() { r.bytes(unix.NFTA_DATA_VALUE, p.key) })
			if kind != unix.NFT_MSG_NEWSETELEM {
				return
			}
			if p.value != nil {
				r.nest(unix.NFTA_SET_ELEM_DATA, func() { r.bytes(unix.NFTA_DATA_VALUE, p.value) })
			}
			r.uint64(unix.NFTA_SET_ELEM_TIMEOUT, uint64(p.life.Milliseconds()))
		})
	})
}

// add puts all parts into their sets, or none.
func (o *ownTable) add(parts ...part) error {
	return o.each(unix.NFT_MSG_NEWSETELEM, netlink.Create, parts)
}

// remove takes all parts out of their sets. If one is not there it is
// [unix.ENOENT], and the others stay.
func (o *ownTable) remove(parts ...part) error {
	return o.each(unix.NFT_MSG_DELSETELEM, 0, parts)
}

func (o *ownTable) each(kind uint16, flags netlink.HeaderFlags, parts []part) error {
	return transaction(o.socket, func(r *request) {
		for _, p := range parts {
			o.element(r, kind, flags, p)
		}
	})
}

// has says whether a part is still in its set.
func (o *ownTable) has(p part) (bool, error) {
	r := newRequest()
	o.element(r, unix.NFT_MSG_GETSETELEM, 0, p)
	_, err := exchange(o.socket, r)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	return true, err
}
