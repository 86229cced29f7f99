package firewall

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Standing are the rules that stand in the kernel, of nftables and of iptables
// on top of it, as they were when they were read.
type Standing struct {
	chains  []*standingChain
	helpers map[string]bool // the objects that assign the FTP helper, by table and name
	legacy  bool            // there are rules of the old iptables, which are not read
}

type standingChain struct {
	*nftables.Chain
	rules []*nftables.Rule
	table *standingTable
}

// standingTable is what rules refer to by name.
type standingTable struct {
	key    string
	chains map[string]*standingChain
	sets   map[string]*standingSet
}

type standingSet struct {
	*nftables.Set
	elements []nftables.SetElement
}

// ReadStanding reads the rules of the network namespace with that file
// descriptor, or with 0 of that of the process. It changes nothing. Without
// CAP_NET_ADMIN the error is [ErrNotPermitted].
func ReadStanding(netns int) (*Standing, error) {
	var options []nftables.ConnOption
	if netns != 0 {
		options = append(options, nftables.WithNetNSFd(netns))
	}
	conn, err := nftables.New(options...)
	if err != nil {
		return nil, fmt.Errorf("netlink socket to read rules: %w", err)
	}
	s, err := readStanding(conn)
	switch {
	case errors.Is(err, unix.EPERM):
		return nil, ErrNotPermitted
	case err != nil:
		return nil, fmt.Errorf("reading the rules of the kernel: %w", err)
	}
	return s, nil
}

func readStanding(conn *nftables.Conn) (*Standing, error) {
	s := &Standing{helpers: map[string]bool{}}
	chains, err := conn.ListChains()
	if err != nil {
		return nil, err
	}
	tables := map[string]*standingTable{}
	for _, c := range chains {
		key := fmt.Sprintf("%d %s", c.Table.Family, c.Table.Name)
		t := tables[key]
		if t == nil {
			if t, err = readTable(conn, c.Table, key, s.helpers); err != nil {
				return nil, err
			}
			tables[key] = t
		}
		rules, err := conn.GetRules(c.Table, c)
		if err != nil {
			return nil, err
		}
		chain := &standingChain{c, rules, t}
		t.chains[c.Name] = chain
		s.chains = append(s.chains, chain)
	}
	for _, name := range []string{"/proc/net/ip_tables_names", "/proc/net/ip6_tables_names"} {
		if text, err := os.ReadFile(name); err == nil && len(bytes.TrimSpace(text)) > 0 {
			s.legacy = true
		}
	}
	return s, nil
}

func readTable(conn *nftables.Conn, table *nftables.Table, key string, helpers map[string]bool) (*standingTable, error) {
	t := &standingTable{key, map[string]*standingChain{}, map[string]*standingSet{}}
	sets, err := conn.GetSets(table)
	if err != nil {
		return nil, err
	}
	for _, set := range sets {
		elements, err := conn.GetSetElements(set)
		if err != nil {
			return nil, err
		}
		t.sets[set.Name] = &standingSet{set, elements}
	}
	objects, err := conn.GetNamedObjects(table)
	if err != nil {
		return nil, err
	}
	for _, o := range objects {
		if n, ok := o.(*nftables.NamedObj); ok {
			if h, ok := n.Obj.(*expr.CtHelper); ok && h.Name == "ftp" {
				helpers[key+" "+n.Name] = true
			}
		}
	}
	return t, nil
}

// Input says what the rules say to a new TCP connection from outside to an
// address of this machine, and names the chain that stops it or may do so. The
// address may be unspecified: then it is one that rules do not name.
func (s *Standing) Input(to netip.AddrPort) (Leave, string) {
	all, where := Admitted, ""
	if s.legacy {
		all, where = Unsure, "the old iptables, whose rules are not read"
	}
	for _, c := range s.chains {
		if !c.filters() || !c.family(to.Addr()) {
			continue
		}
		name := fmt.Sprintf("chain %s of table %s", c.Name, c.Table.Name)
		switch w := (&walk{to: to}); w.base(c) {
		case Stopped:
			return Stopped, name
		case Unsure:
			all, where = Unsure, name
		}
	}
	return all, where
}

// Helped says whether a rule assigns the FTP helper to control connections to
// that port: to those that come in, or to our own, that go out.
func (s *Standing) Helped(way Way, port uint16) Leave {
	all := Stopped
	if s.legacy {
		all = Unsure
	}
	for _, c := range s.chains {
		if !c.sees(way) {
			continue
		}
		for _, r := range c.rules {
			if !slices.ContainsFunc(r.Exprs, func(e expr.Any) bool { return s.assigns(c, e) }) {
				continue
			}
			w := &walk{to: netip.AddrPortFrom(netip.IPv4Unspecified(), port)}
			switch m, _ := w.rule(c, r); m {
			case yes:
				return Admitted
			case unknown:
				all = Unsure
			}
		}
	}
	return all
}

// sees says whether the first packets of connections of that way come by the
// chain. One that others jump to may see both.
func (c *standingChain) sees(way Way) bool {
	if c.Hooknum == nil {
		return true
	}
	switch *c.Hooknum {
	case *nftables.ChainHookPrerouting, *nftables.ChainHookInput:
		return way == In
	case *nftables.ChainHookOutput, *nftables.ChainHookPostrouting:
		return way == Out
	}
	return false
}

// assigns says whether an expression gives the FTP helper to a connection: an
// object of nftables, or the target CT of iptables.
func (s *Standing) assigns(c *standingChain, e expr.Any) bool {
	switch e := e.(type) {
	case *expr.Objref:
		return e.Type == int(nftables.ObjTypeCtHelper) && s.helpers[c.table.key+" "+e.Name]
	case *expr.Target:
		info, ok := e.Info.(*xt.Unknown)
		return e.Name == "CT" && ok && bytes.Contains(*info, []byte("ftp\x00"))
	}
	return false
}

// filters says whether packets to this machine come by the chain.
func (c *standingChain) filters() bool {
	return c.Type == nftables.ChainTypeFilter && c.Hooknum != nil &&
		(*c.Hooknum == *nftables.ChainHookInput || *c.Hooknum == *nftables.ChainHookPrerouting)
}

func (c *standingChain) family(a netip.Addr) bool {
	switch c.Table.Family {
	case nftables.TableFamilyINet:
		return true
	case nftables.TableFamilyIPv4:
		return a.Is4()
	case nftables.TableFamilyIPv6:
		return a.Is6()
	}
	return false
}

// walk takes the first packet of a connection through chains.
type walk struct {
	to    netip.AddrPort
	depth int
}

// standingFate is what can become of it: more than one where a rule asks for what is
// not known.
type standingFate struct{ accepted, dropped, goesOn bool }

func (w *walk) base(c *standingChain) Leave {
	f := w.chain(c)
	if f.goesOn {
		if c.Policy != nil && *c.Policy == nftables.ChainPolicyDrop {
			f.dropped = true
		} else {
			f.accepted = true
		}
	}
	switch {
	case f.accepted && f.dropped:
		return Unsure
	case f.dropped:
		return Stopped
	}
	return Admitted
}

func (w *walk) chain(c *standingChain) (f standingFate) {
	if w.depth++; c == nil || w.depth > 16 { // as deep as the kernel lets chains jump
		return standingFate{true, true, true}
	}
	defer func() { w.depth-- }()
	for _, r := range c.rules {
		m, does := w.rule(c, r)
		if m == no {
			continue
		}
		f.accepted, f.dropped = f.accepted || does.accepted, f.dropped || does.dropped
		if does.returns {
			f.goesOn = true
		}
		if m == yes && !does.goesOn {
			return f
		}
	}
	f.goesOn = true
	return f
}

// match is whether a rule is for the packet.
type match int

const (
	no match = iota
	unknown
	yes
)

func (m match) not() match { return yes - m }

func is(b bool) match {
	if b {
		return yes
	}
	return no
}

// effect is what a rule does to what it is for.
type effect struct {
	standingFate
	returns bool
}

// register is the four bytes of one, if they are known, and whether they are
// the name or number of the interface that it comes by.
type register struct {
	data   [4]byte
	known  bool
	iface  bool
	number bool
}

// registers are the sixteen words of the machine that nftables is.
type registers [16]register

func slot(r uint32) int {
	if r >= unix.NFT_REG32_00 {
		return int(r-unix.NFT_REG32_00) % 16
	}
	return int(r-unix.NFT_REG_1) * 4 % 16
}

func (r *registers) put(at uint32, data []byte) {
	for i := slot(at); len(data) > 0 && i < 16; i++ {
		word := register{known: true}
		data = data[copy(word.data[:], data):]
		r[i] = word
	}
}

// forget makes a register unknown, with the length of an IPv6 address.
func (r *registers) forget(at uint32) {
	for i := slot(at); i < min(16, slot(at)+4); i++ {
		r[i] = register{}
	}
}

func (r *registers) get(at uint32, n int) ([]byte, bool) {
	var all []byte
	for i := slot(at); len(all) < n; i++ {
		if i >= 16 || !r[i].known {
			return nil, false
		}
		all = append(all, r[i].data[:]...)
	}
	return all[:n], true
}

// rule says whether it is for the packet, and what it does.
func (w *walk) rule(c *standingChain, r *nftables.Rule) (match, effect) {
	var regs registers
	m, does := yes, effect{standingFate: standingFate{goesOn: true}}
	for _, e := range r.Exprs {
		this := yes
		switch e := e.(type) {
		case *expr.Counter, *expr.Log, *expr.Notrack, *expr.Objref:
		case *expr.Meta:
			if !e.SourceRegister {
				w.meta(&regs, e)
			}
		case *expr.Payload:
			w.payload(&regs, e)
		case *expr.Ct:
			if e.SourceRegister {
				break
			}
			regs.forget(e.Register)
			switch e.Key {
			case expr.CtKeySTATE:
				regs.put(e.Register, binaryutil.NativeEndian.PutUint32(expr.CtStateBitNEW))
			case expr.CtKeyDIRECTION:
				regs.put(e.Register, []byte{0})
			}
		case *expr.Bitwise:
			bitwise(&regs, e)
		case *expr.Immediate:
			regs.forget(e.Register)
			regs.put(e.Register, e.Data)
		case *expr.Cmp:
			this = regs.compare(e)
		case *expr.Range:
			if v, ok := regs.get(e.Register, len(e.FromData)); !ok {
				this = unknown
			} else {
				inside := is(bytes.Compare(v, e.FromData) >= 0 && bytes.Compare(v, e.ToData) <= 0)
				if this = inside; e.Op == expr.CmpOpNeq {
					this = inside.not()
				}
			}
		case *expr.Lookup:
			var verdict *expr.Verdict
			if this, verdict = regs.lookup(c.table.sets[e.SetName], e); verdict != nil && this != no {
				does = w.verdict(c, verdict)
			}
		case *expr.Verdict:
			does = w.verdict(c, e)
		case *expr.Reject:
			does = effect{standingFate: standingFate{dropped: true}}
		case *expr.Match:
			this = w.extension(e)
		case *expr.Target:
			switch e.Name {
			case "REJECT", "DROP":
				does = effect{standingFate: standingFate{dropped: true}}
			case "LOG", "CT", "MARK", "CONNMARK", "TCPMSS":
			default:
				this = unknown
			}
		default: // a limit, a hash, a socket: it depends
			this = unknown
		}
		if m = min(m, this); m == no {
			break
		}
	}
	return m, does
}

func (w *walk) verdict(c *standingChain, v *expr.Verdict) effect {
	switch v.Kind {
	case expr.VerdictAccept:
		return effect{standingFate: standingFate{accepted: true}}
	case expr.VerdictDrop:
		return effect{standingFate: standingFate{dropped: true}}
	case expr.VerdictReturn:
		return effect{returns: true}
	case expr.VerdictJump:
		return effect{standingFate: w.chain(c.table.chains[v.Chain])}
	case expr.VerdictGoto:
		f := w.chain(c.table.chains[v.Chain])
		back := f.goesOn
		f.goesOn = false
		return effect{f, back}
	}
	return effect{standingFate: standingFate{goesOn: true}}
}

func (w *walk) meta(regs *registers, e *expr.Meta) {
	regs.forget(e.Register)
	switch e.Key {
	case expr.MetaKeyL4PROTO:
		regs.put(e.Register, []byte{unix.IPPROTO_TCP})
	case expr.MetaKeyNFPROTO:
		family := byte(unix.NFPROTO_IPV4)
		if w.to.Addr().Is6() {
			family = unix.NFPROTO_IPV6
		}
		regs.put(e.Register, []byte{family})
	case expr.MetaKeyPROTOCOL:
		kind := []byte{0x08, 0x00}
		if w.to.Addr().Is6() {
			kind = []byte{0x86, 0xdd}
		}
		regs.put(e.Register, kind)
	case expr.MetaKeyPKTTYPE:
		regs.put(e.Register, []byte{0}) // to this machine
	case expr.MetaKeyIIFNAME:
		regs[slot(e.Register)].iface = true
	case expr.MetaKeyIIF:
		regs[slot(e.Register)] = register{iface: true, number: true}
	}
}

func (w *walk) payload(regs *registers, e *expr.Payload) {
	if e.OperationType == expr.PayloadWrite {
		return
	}
	regs.forget(e.DestRegister)
	port := binaryutil.BigEndian.PutUint16(w.to.Port())
	six := w.to.Addr().Is6()
	switch {
	case e.Base == expr.PayloadBaseTransportHeader && e.Offset == 2 && e.Len == 2:
		regs.put(e.DestRegister, port)
	case e.Base == expr.PayloadBaseTransportHeader && e.Offset == 13 && e.Len == 1:
		regs.put(e.DestRegister, []byte{0x02}) // SYN
	case e.Base == expr.PayloadBaseNetworkHeader && e.Len == 1 && (!six && e.Offset == 9 || six && e.Offset == 6):
		regs.put(e.DestRegister, []byte{unix.IPPROTO_TCP})
	case e.Base == expr.PayloadBaseNetworkHeader && !w.to.Addr().IsUnspecified() &&
		(!six && e.Offset == 16 && e.Len <= 4 || six && e.Offset == 24 && e.Len <= 16):
		regs.put(e.DestRegister, w.to.Addr().AsSlice()[:e.Len])
	}
}

func bitwise(regs *registers, e *expr.Bitwise) {
	v, ok := regs.get(e.SourceRegister, int(e.Len))
	regs.forget(e.DestRegister)
	if !ok || len(e.Mask) < len(v) || len(e.Xor) < len(v) {
		return
	}
	v = slices.Clone(v)
	for i := range v {
		v[i] = v[i]&e.Mask[i] ^ e.Xor[i]
	}
	regs.put(e.DestRegister, v)
}

func (r *registers) compare(e *expr.Cmp) match {
	if word := r[slot(e.Register)]; word.iface {
		// The connection comes from elsewhere: not by the loopback interface,
		// which has number 1.
		lo := strings.TrimRight(string(e.Data), "\x00") == "lo"
		if word.number {
			lo = len(e.Data) == 4 && binaryutil.NativeEndian.Uint32(e.Data) == 1
		}
		switch {
		case lo && e.Op == expr.CmpOpEq:
			return no
		case lo && e.Op == expr.CmpOpNeq:
			return yes
		}
		return unknown
	}
	v, ok := r.get(e.Register, len(e.Data))
	if !ok {
		return unknown
	}
	c := bytes.Compare(v, e.Data)
	switch e.Op {
	case expr.CmpOpEq:
		return is(c == 0)
	case expr.CmpOpNeq:
		return is(c != 0)
	case expr.CmpOpLt:
		return is(c < 0)
	case expr.CmpOpLte:
		return is(c <= 0)
	case expr.CmpOpGt:
		return is(c > 0)
	case expr.CmpOpGte:
		return is(c >= 0)
	}
	return unknown
}

// lookup finds the value of a register in a set, or its verdict in a map.
func (r *registers) lookup(set *standingSet, e *expr.Lookup) (match, *expr.Verdict) {
	verdicts := e.IsDestRegSet && e.DestRegister == unix.NFT_REG_VERDICT
	if e.IsDestRegSet && !verdicts {
		r.forget(e.DestRegister) // a map to values
	}
	if set == nil {
		return unknown, nil
	}
	n := 0
	for _, el := range set.elements {
		n = max(n, len(el.Key))
	}
	if n == 0 {
		return is(e.Invert), nil
	}
	v, ok := r.get(e.SourceRegister, n)
	switch {
	case !ok && verdicts:
		return unknown, &expr.Verdict{Kind: expr.VerdictJump} // to a chain that nobody knows: anything
	case !ok:
		return unknown, nil
	}
	found := set.find(v)
	switch {
	case found == nil:
		return is(e.Invert), nil
	case verdicts:
		return yes, readVerdict(found.Val)
	}
	return is(!e.Invert), nil
}

// readVerdict reads that of an element, which nftables leaves as it came
// (NFTA_VERDICT_CODE and NFTA_VERDICT_CHAIN).
func readVerdict(data []byte) *expr.Verdict {
	const code, chain = 1, 2
	v := &expr.Verdict{Kind: expr.VerdictJump} // to no chain: anything
	ad, err := netlink.NewAttributeDecoder(data)
	if err != nil {
		return v
	}
	ad.ByteOrder = binary.BigEndian
	for ad.Next() {
		switch ad.Type() {
		case code:
			v.Kind = expr.VerdictKind(int32(ad.Uint32()))
		case chain:
			v.Chain = ad.String()
		}
	}
	if ad.Err() != nil {
		return &expr.Verdict{Kind: expr.VerdictJump}
	}
	return v
}

func (s *standingSet) find(v []byte) *nftables.SetElement {
	if !s.Interval || s.Concatenation {
		for i, el := range s.elements {
			end := el.KeyEnd
			if len(end) == 0 {
				end = el.Key
			}
			if within(v, el.Key, end) {
				return &s.elements[i]
			}
		}
		return nil
	}
	// The elements of an interval set are where intervals begin and end.
	var best *nftables.SetElement
	for i, el := range s.elements {
		if bytes.Compare(el.Key, v) <= 0 && (best == nil || bytes.Compare(el.Key, best.Key) > 0 ||
			bytes.Equal(el.Key, best.Key) && best.IntervalEnd) {
			best = &s.elements[i]
		}
	}
	if best == nil || best.IntervalEnd {
		return nil
	}
	return best
}

// within compares word by word, as the kernel does with concatenations.
func within(v, low, high []byte) bool {
	if len(v) != len(low) || len(v) != len(high) {
		return false
	}
	for i := 0; i < len(v); i += 4 {
		end := min(i+4, len(v))
		if bytes.Compare(v[i:end], low[i:end]) < 0 || bytes.Compare(v[i:end], high[i:end]) > 0 {
			return false
		}
	}
	return true
}

// What xt_conntrack is asked for, and the bit of a new connection.
const (
	conntrackState = 1
	conntrackNew   = 1 << 3
)

// extension is a match of iptables.
func (w *walk) extension(e *expr.Match) match {
	var asked, inverted uint16
	var states uint16
	switch info := e.Info.(type) {
	case *xt.Comment:
		return yes
	case *xt.Tcp:
		inside := is(info.DstPorts[0] <= w.to.Port() && w.to.Port() <= info.DstPorts[1])
		if info.InvFlags&xt.TcpInvDestPorts != 0 {
			inside = inside.not()
		}
		if inside == yes && (info.SrcPorts != [2]uint16{0, 65535} || info.Option != 0 || info.FlagsMask != 0) {
			return unknown
		}
		return inside
	case *xt.Udp:
		return no
	case *xt.ConntrackMtinfo1:
		asked, inverted, states = info.MatchFlags, info.InvertFlags, uint16(info.StateMask)
	case *xt.ConntrackMtinfo2:
		asked, inverted, states = info.MatchFlags, info.InvertFlags, info.StateMask
	case *xt.ConntrackMtinfo3:
		asked, inverted, states = info.MatchFlags, info.InvertFlags, info.StateMask
	default:
		return unknown
	}
	if asked&conntrackState == 0 {
		return unknown
	}
	m := is(states&conntrackNew != 0)
	if inverted&conntrackState != 0 {
		m = m.not()
	}
	if m == yes && asked != conntrackState {
		return unknown
	}
	return m
}
