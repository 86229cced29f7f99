package capture

import (
	"encoding/binary"
	"net/netip"
)

// Segment is what a packet says about TCP, whatever it was wrapped in.
type Segment struct {
	from, to endpoint

	Seq, Ack uint32
	Flags    Flags
	// Window as it stands in the header, not scaled.
	Window uint16
	// Payload is what was recorded of the bytes that it carries, and Length is
	// how many there were. Padding of the link is in neither.
	Payload []byte
	Length  int
	// MaxSegment and WindowScale are told with SYN: 0 if they were not, and a
	// scale is one more than what stands in the header.
	MaxSegment  uint16
	WindowScale uint8

	id uint32 // of the IP packet; with IPv6 there is none
}

// From is who sent it.
func (s *Segment) From() netip.AddrPort { return s.from.addrPort() }

// To is whom it was sent to.
func (s *Segment) To() netip.AddrPort { return s.to.addrPort() }

// Flags of a TCP header.
type Flags uint8

// The flags that matter.
const (
	FIN Flags = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
)

// Has says that all of the flags in g are set.
func (f Flags) Has(g Flags) bool { return f&g == g }

// String is the flags as text books write them: "SYN, ACK".
func (f Flags) String() string {
	var s string
	for i, name := range [...]string{"FIN", "SYN", "RST", "PSH", "ACK", "URG"} {
		if f&(1<<i) != 0 {
			if s != "" {
				s += ", "
			}
			s += name
		}
	}
	return s
}

// endpoint is an address, IPv4 in the way of ::ffff:192.0.2.1, and a port. Two
// numbers compare faster than bytes.
type endpoint struct {
	hi, lo uint64
	port   uint16
}

const mapped = 0xffff << 32

func (e endpoint) addr() netip.Addr {
	if e.hi == 0 && e.lo>>32 == 0xffff {
		return netip.AddrFrom4([4]byte{byte(e.lo >> 24), byte(e.lo >> 16), byte(e.lo >> 8), byte(e.lo)})
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], e.hi)
	binary.BigEndian.PutUint64(b[8:], e.lo)
	return netip.AddrFrom16(b)
}

func (e endpoint) addrPort() netip.AddrPort { return netip.AddrPortFrom(e.addr(), e.port) }

// kind is what a packet turned out to be.
type kind uint8

const (
	other     kind = iota // whole, but not TCP
	tcp                   // a segment
	icmp                  // an error about a segment, which is given as far as quoted
	waiting               // a fragment whose datagram is not whole yet
	malformed             // headers are cut or make no sense
	strange               // a link that is not understood
)

// Decode finds the TCP segment in a packet, through what it may be wrapped in.
// It answers false if there is none. Fragments it does not join; a [Tracker]
// does.
func Decode(p *Packet) (Segment, bool) {
	var d decoder
	k := d.decode(p)
	return d.seg, k == tcp
}

// decoder finds segments. What it finds is overwritten by the next packet.
type decoder struct {
	seg   Segment
	error ICMP // of an icmp, without its packet

	fragments *fragments // nil: fragments are left as they are
	now       Instant    // when the packet was seen
	packet    int64      // counts packets, for the age of fragments
	depth     int        // of things within things
}

// deepest is how many headers may be around TCP. Tunnels in tunnels need a
// dozen; a packet made to keep us busy would have thousands.
const deepest = 32

func be16(b []byte) uint16 { return binary.BigEndian.Uint16(b) }
func be32(b []byte) uint32 { return binary.BigEndian.Uint32(b) }

// Numbers of what is in an Ethernet frame.
const (
	etherIPv4   = 0x0800
	etherIPv6   = 0x86dd
	etherVLAN   = 0x8100
	etherQinQ   = 0x88a8
	etherQinQ1  = 0x9100 // as it was numbered before 802.1ad
	etherQinQ2  = 0x9200
	etherMPLS   = 0x8847
	etherMPLSm  = 0x8848
	etherPPPoE  = 0x8864
	etherPPP    = 0x880b
	etherBridge = 0x6558 // Ethernet in GRE
	etherERSPAN = 0x88be // a mirrored port, in GRE
)

// decode finds what p is.
func (d *decoder) decode(p *Packet) kind {
	b := p.Data
	d.now, d.depth = p.Time, 0
	d.packet++
	// What the packet had beyond Data is told by lengths in IP headers; where
	// they say nothing (TSO), by what is missing here.
	missing := p.Length - len(b)
	switch p.Link {
	case LinkEthernet:
		return d.ethernet(b, missing)
	case LinkRaw, LinkRawBSD, LinkRawOther, LinkIPv4, LinkIPv6:
		return d.ip(b, missing)
	case LinkSLL2:
		if len(b) < 20 {
			return malformed
		}
		return d.ether(be16(b), b[20:], missing)
	case LinkSLL:
		if len(b) < 16 {
			return malformed
		}
		return d.ether(be16(b[14:]), b[16:], missing)
	case LinkNull, LinkLoop:
		if len(b) < 4 {
			return malformed
		}
		return d.ip(b[4:], missing) // the families have other numbers on each system; IP says its version itself
	case LinkPPP, LinkPPPHDLC:
		if len(b) >= 2 && b[0] == 0xff && b[1] == 3 {
			b = b[2:]
		}
		return d.ppp(b, missing)
	case LinkPPPoE:
		return d.pppoe(b, missing)
	case LinkHDLC:
		if len(b) < 4 {
			return malformed
		}
		return d.ether(be16(b[2:]), b[4:], missing)
	}
	return strange
}

func (d *decoder) ethernet(b []byte, missing int) kind {
	if len(b) < 14 {
		return malformed
	}
	t := be16(b[12:])
	if t == etherIPv4 { // nearly always
		return d.ipv4(b[14:], missing)
	}
	return d.ether(t, b[14:], missing)
}

// ether goes through what has a type as Ethernet has it.
func (d *decoder) ether(t uint16, b []byte, missing int) kind {
	for {
		if d.depth++; d.depth > deepest {
			return malformed
		}
		switch t {
		case etherIPv4:
			return d.ipv4(b, missing)
		case etherIPv6:
			return d.ipv6(b, missing)
		case etherVLAN, etherQinQ, etherQinQ1, etherQinQ2: // which VLAN does not matter: it may differ from one direction to the other
			if len(b) < 4 {
				return malformed
			}
			t, b = be16(b[2:]), b[4:]
		case etherMPLS, etherMPLSm:
			return d.mpls(b, missing)
		case etherPPPoE:
			return d.pppoe(b, missing)
		case etherPPP:
			return d.ppp(b, missing)
		case etherBridge:
			return d.ethernet(b, missing)
		default:
			if t > 1500 {
				return other
			}
			// A length, then LLC; with SNAP there is a type after all.
			if len(b) < 8 || b[0] != 0xaa || b[1] != 0xaa || be32(b[2:])>>8 != 0x030000 {
				return other
			}
			t, b = be16(b[6:]), b[8:]
		}
	}
}

// mpls goes down the stack of labels. Nothing says what lies below; it is IP
// when it looks like it, and else may be Ethernet (RFC 4448).
func (d *decoder) mpls(b []byte, missing int) kind {
	for {
		if len(b) < 4 {
			return malformed
		}
		bottom := b[2]&1 != 0
		if b = b[4:]; bottom {
			break
		}
	}
	switch {
	case len(b) == 0:
		return malformed
	case b[0]>>4 == 4 || b[0]>>4 == 6:
		return d.ip(b, missing)
	case b[0]>>4 == 0 && len(b) > 4: // a control word
		b = b[4:]
	}
	return d.ethernet(b, missing)
}

func (d *decoder) pppoe(b []byte, missing int) kind {
	if len(b) < 6 {
		return malformed
	}
	if b[1] != 0 { // not of a session
		return other
	}
	return d.ppp(b[6:], missing)
}

func (d *decoder) ppp(b []byte, missing int) kind {
	if len(b) < 2 {
		return malformed
	}
	t, n := be16(b), 2
	if b[0]&1 != 0 { // one byte, by negotiation (RFC 1661, 6.5)
		t, n = uint16(b[0]), 1
	}
	switch t {
	case 0x0021:
		return d.ipv4(b[n:], missing)
	case 0x0057:
		return d.ipv6(b[n:], missing)
	case 0x0281, 0x0283:
		return d.mpls(b[n:], missing)
	}
	return other
}

func (d *decoder) ip(b []byte, missing int) kind {
	if len(b) == 0 {
		return malformed
	}
	switch b[0] >> 4 {
	case 4:
		return d.ipv4(b, missing)
	case 6:
		return d.ipv6(b, missing)
	}
	return other
}

func (d *decoder) ipv4(b []byte, missing int) kind {
	if len(b) < 20 || b[0]>>4 != 4 {
		return malformed
	}
	head, total := int(b[0]&15)*4, int(be16(b[2:]))
	if total == 0 { // left to the card, which will cut this
		total = len(b) + missing
	}
	if head < 20 || total < head || head > len(b) {
		return malformed
	}
	missing = max(0, total-len(b))
	b = b[:min(len(b), total)] // Ethernet pads to 60 bytes
	s := &d.seg
	s.from.hi, s.from.lo = 0, mapped|uint64(be32(b[12:]))
	s.to.hi, s.to.lo = 0, mapped|uint64(be32(b[16:]))
	s.id = uint32(be16(b[4:]))
	proto, fragment := b[9], be16(b[6:])
	b = b[head:]
	switch {
	case fragment&0x3fff != 0:
		return d.fragment(b, missing, proto, s.id, int(fragment&0x1fff)*8, fragment&0x2000 != 0)
	case proto == protoTCP:
		return d.tcp(b, missing)
	}
	return d.transport(proto, b, missing)
}

func (d *decoder) ipv6(b []byte, missing int) kind {
	if len(b) < 40 || b[0]>>4 != 6 {
		return malformed
	}
	total := 40 + int(be16(b[4:]))
	if total == 40 { // a jumbo, or left to the card
		total = len(b) + missing
	}
	missing = max(0, total-len(b))
	b = b[:min(len(b), total)]
	s := &d.seg
	s.from.hi, s.from.lo = binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(b[16:])
	s.to.hi, s.to.lo = binary.BigEndian.Uint64(b[24:]), binary.BigEndian.Uint64(b[32:])
	s.id = 0
	return d.transport(b[6], b[40:], missing)
}

// Numbers of what is in an IP packet.
const (
	protoHopByHop    = 0
	protoICMP        = 1
	protoIPv4        = 4
	protoTCP         = 6
	protoUDP         = 17
	protoIPv6        = 41
	protoRouting     = 43
	protoFragment    = 44
	protoGRE         = 47
	protoAH          = 51
	protoICMPv6      = 58
	protoDestination = 60
	protoMobility    = 135
	protoHIP         = 139
	protoShim6       = 140
)

// transport goes through the headers that IPv6 has before what counts, and into it.
func (d *decoder) transport(proto uint8, b []byte, missing int) kind {
	for proto != protoTCP {
		if d.depth++; d.depth > deepest {
			return malformed
		}
		switch proto {
		case protoHopByHop, protoRouting, protoDestination, protoMobility, protoHIP, protoShim6, protoAH:
			if len(b) < 8 {
				return malformed
			}
			n := 8 + 8*int(b[1])
			if proto == protoAH {
				n = 8 + 4*int(b[1])
			}
			if n > len(b) {
				return malformed
			}
			proto, b = b[0], b[n:]
		case protoFragment:
			if len(b) < 8 {
				return malformed
			}
			at, more, id := int(be16(b[2:])&^7), b[3]&1 != 0, be32(b[4:])
			if at != 0 || more {
				return d.fragment(b[8:], missing, b[0], id, at, more)
			}
			proto, b = b[0], b[8:] // alone: RFC 6946
		case protoIPv4:
			return d.ipv4(b, missing)
		case protoIPv6:
			return d.ipv6(b, missing)
		case protoGRE:
			return d.gre(b, missing)
		case protoUDP:
			return d.udp(b, missing)
		case protoICMP:
			return d.icmp(b, false)
		case protoICMPv6:
			return d.icmp(b, true)
		default:
			return other
		}
	}
	return d.tcp(b, missing)
}

// gre goes into what GRE carries (RFC 2784 and 2890, and as PPTP uses it).
func (d *decoder) gre(b []byte, missing int) kind {
	if len(b) < 4 {
		return malformed
	}
	flags, t, n := be16(b), be16(b[2:]), 4
	if flags&0x4000 != 0 { // routing, that nobody uses
		return other
	}
	pptp := flags&7 == 1
	if flags&0x8000 != 0 { // checksum
		n += 4
	}
	if flags&0x2000 != 0 { // key
		n += 4
	}
	sequence := flags&0x1000 != 0
	if sequence {
		n += 4
	}
	if pptp && flags&0x0080 != 0 { // acknowledgement
		n += 4
	}
	if t == etherERSPAN && sequence { // type II has a header, type I has none
		n, t = n+8, etherBridge
	} else if t == etherERSPAN {
		t = etherBridge
	}
	if n > len(b) {
		return malformed
	}
	if b = b[n:]; len(b) == 0 {
		return other // PPTP acknowledges without data
	}
	if pptp && len(b) >= 2 && b[0] == 0xff && b[1] == 3 {
		b = b[2:]
	}
	return d.ether(t, b, missing)
}

// udp goes into VXLAN (RFC 7348); 8472 is where Linux had it before 4789 was given.
func (d *decoder) udp(b []byte, missing int) kind {
	if len(b) < 8 {
		return malformed
	}
	if port := be16(b[2:]); port != 4789 && port != 8472 || len(b) < 16 || b[8]&0x08 == 0 {
		return other
	}
	return d.ethernet(b[16:], missing)
}

// tcp reads a segment.
func (d *decoder) tcp(b []byte, missing int) kind {
	if len(b) < 20 {
		return malformed
	}
	head := int(b[12]>>4) * 4
	if head < 20 {
		return malformed
	}
	s := &d.seg
	s.from.port, s.to.port = be16(b), be16(b[2:])
	s.Seq, s.Ack = be32(b[4:]), be32(b[8:])
	s.Flags, s.Window = Flags(b[13]&0x3f), be16(b[14:])
	s.MaxSegment, s.WindowScale = 0, 0
	s.Length = len(b) + missing - head
	if s.Length < 0 {
		return malformed
	}
	if head > len(b) { // only the beginning was kept
		s.Payload = nil
		return tcp
	}
	s.Payload = b[head:]
	if s.Flags&SYN != 0 {
		s.options(b[20:head])
	}
	return tcp
}

// options reads what a SYN may tell (RFC 9293, 3.1, and RFC 7323).
func (s *Segment) options(b []byte) {
	for len(b) > 1 && b[0] != 0 {
		if b[0] == 1 { // padding
			b = b[1:]
			continue
		}
		n := int(b[1])
		if n < 2 || n > len(b) {
			return
		}
		switch {
		case b[0] == 2 && n == 4:
			s.MaxSegment = be16(b[2:])
		case b[0] == 3 && n == 3:
			s.WindowScale = min(b[2], 14) + 1
		}
		b = b[n:]
	}
}

// ICMP is a router's or a host's answer that a packet of a connection got no
// further.
type ICMP struct {
	Mark       // where it was seen
	By         netip.Addr
	V6         bool
	Type, Code uint8
}

// icmp reads errors, which quote the header of what they are about (RFC 792,
// RFC 4443). The segment that it gives has ends and number only.
func (d *decoder) icmp(b []byte, six bool) kind {
	if len(b) < 8 {
		return malformed
	}
	t := b[0]
	if six && t > 4 || !six && t != 3 && t != 11 && t != 12 {
		return other
	}
	d.error = ICMP{By: d.seg.from.addr(), V6: six, Type: t, Code: b[1]}
	b = b[8:]
	var from, to endpoint
	var proto uint8
	switch {
	case six && len(b) >= 40 && b[0]>>4 == 6:
		from.hi, from.lo = binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(b[16:])
		to.hi, to.lo = binary.BigEndian.Uint64(b[24:]), binary.BigEndian.Uint64(b[32:])
		proto, b = b[6], b[40:]
	case !six && len(b) >= 20 && b[0]>>4 == 4:
		head := int(b[0]&15) * 4
		if head < 20 || head > len(b) {
			return malformed
		}
		from.lo, to.lo = mapped|uint64(be32(b[12:])), mapped|uint64(be32(b[16:]))
		proto, b = b[9], b[head:]
	}
	if proto != protoTCP || len(b) < 8 {
		return other
	}
	from.port, to.port = be16(b), be16(b[2:])
	d.seg = Segment{from: from, to: to, Seq: be32(b[4:])}
	return icmp
}
