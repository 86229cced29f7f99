package capture_test

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"towpath/capture"
)

// seg is a TCP segment for a test to put on a wire.
type seg struct {
	from, to netip.AddrPort
	seq, ack uint32
	flags    capture.Flags
	window   uint16
	options  []byte
	data     []byte
	id       uint16
}

func (s seg) tcp() []byte {
	b := binary.BigEndian.AppendUint16(nil, s.from.Port())
	b = binary.BigEndian.AppendUint16(b, s.to.Port())
	b = binary.BigEndian.AppendUint32(b, s.seq)
	b = binary.BigEndian.AppendUint32(b, s.ack)
	b = append(b, byte(5+len(s.options)/4)<<4, byte(s.flags))
	b = binary.BigEndian.AppendUint16(b, s.window)
	b = append(b, 0, 0, 0, 0)
	return append(append(b, s.options...), s.data...)
}

// ip is the segment in IP, of whichever version its addresses are.
func (s seg) ip() []byte { return packetIP(s.from.Addr(), s.to.Addr(), 6, s.id, s.tcp()) }

func packetIP(from, to netip.Addr, proto byte, id uint16, payload []byte) []byte {
	if from.Is4() {
		return fragmentIP(from, to, proto, id, 0, false, payload)
	}
	b := binary.BigEndian.AppendUint16([]byte{0x60, 0, 0, 0}, uint16(len(payload)))
	b = append(b, proto, 64)
	b = append(append(b, from.AsSlice()...), to.AsSlice()...)
	return append(b, payload...)
}

// fragmentIP is a piece of a datagram, at an offset that is a multiple of 8.
func fragmentIP(from, to netip.Addr, proto byte, id uint16, at int, more bool, payload []byte) []byte {
	flags := uint16(at / 8)
	if from.Is4() {
		if more {
			flags |= 0x2000
		}
		b := binary.BigEndian.AppendUint16([]byte{0x45, 0}, uint16(20+len(payload)))
		b = binary.BigEndian.AppendUint16(b, id)
		b = binary.BigEndian.AppendUint16(b, flags)
		b = append(b, 64, proto, 0, 0)
		b = append(append(b, from.AsSlice()...), to.AsSlice()...)
		return append(b, payload...)
	}
	flags <<= 3
	if more {
		flags |= 1
	}
	b := binary.BigEndian.AppendUint16([]byte{proto, 0}, flags)
	b = binary.BigEndian.AppendUint32(b, 0xabcd0000|uint32(id))
	return packetIP(from, to, 44, 0, append(b, payload...))
}

// fragments cuts the segment into datagrams of size payload bytes.
func (s seg) fragments(size int) [][]byte {
	var all [][]byte
	b := s.tcp()
	for at := 0; at < len(b); at += size {
		end := min(at+size, len(b))
		all = append(all, fragmentIP(s.from.Addr(), s.to.Addr(), 6, s.id, at, end < len(b), b[at:end]))
	}
	return all
}

// wrap puts an IP packet into what is around it on a wire.
type wrap struct {
	name string
	link capture.Link
	put  func(ip []byte) []byte
}

func etherType(ip []byte) []byte {
	if ip[0]>>4 == 6 {
		return []byte{0x86, 0xdd}
	}
	return []byte{0x08, 0x00}
}

func pppType(ip []byte) []byte {
	if ip[0]>>4 == 6 {
		return []byte{0x00, 0x57}
	}
	return []byte{0x00, 0x21}
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

var (
	macs = []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}
	a4   = netip.MustParseAddr("198.51.100.1")
	b4   = netip.MustParseAddr("198.51.100.2")
)

// ethernet pads to 60 bytes, as cards do.
func ethernet(b ...[]byte) []byte {
	f := join(append([][]byte{macs}, b...)...)
	return append(f, make([]byte, max(0, 60-len(f)))...)
}

func udp(port uint16, b []byte) []byte {
	h := binary.BigEndian.AppendUint16([]byte{0xc0, 0}, port)
	h = binary.BigEndian.AppendUint16(h, uint16(8+len(b)))
	return join(h, []byte{0, 0}, b)
}

var wraps = []wrap{
	{"Ethernet", capture.LinkEthernet, func(ip []byte) []byte { return ethernet(etherType(ip), ip) }},
	{"VLAN", capture.LinkEthernet, func(ip []byte) []byte { return ethernet([]byte{0x81, 0, 0, 100}, etherType(ip), ip) }},
	{"QinQ", capture.LinkEthernet, func(ip []byte) []byte {
		return ethernet([]byte{0x88, 0xa8, 0, 200, 0x81, 0, 0, 100}, etherType(ip), ip)
	}},
	{"MPLS", capture.LinkEthernet, func(ip []byte) []byte {
		return ethernet([]byte{0x88, 0x47, 0, 1, 0, 64, 0, 2, 1, 64}, ip)
	}},
	{"Ethernet in MPLS", capture.LinkEthernet, func(ip []byte) []byte {
		return ethernet([]byte{0x88, 0x47, 0, 2, 1, 64, 0, 0, 0, 0}, ethernet(etherType(ip), ip))
	}},
	{"PPPoE", capture.LinkEthernet, func(ip []byte) []byte {
		h := binary.BigEndian.AppendUint16([]byte{0x88, 0x64, 0x11, 0, 0, 7}, uint16(2+len(ip)))
		return ethernet(h, pppType(ip), ip)
	}},
	{"SNAP", capture.LinkEthernet, func(ip []byte) []byte {
		return ethernet(binary.BigEndian.AppendUint16(nil, uint16(8+len(ip))), []byte{0xaa, 0xaa, 3, 0, 0, 0}, etherType(ip), ip)
	}},
	{"raw IP", capture.LinkRaw, func(ip []byte) []byte { return ip }},
	{"null, little", capture.LinkNull, func(ip []byte) []byte { return join([]byte{2, 0, 0, 0}, ip) }},
	{"null, big", capture.LinkNull, func(ip []byte) []byte { return join([]byte{0, 0, 0, 30}, ip) }},
	{"loop", capture.LinkLoop, func(ip []byte) []byte { return join([]byte{0, 0, 0, 2}, ip) }},
	{"PPP", capture.LinkPPP, func(ip []byte) []byte { return join([]byte{0xff, 3}, pppType(ip), ip) }},
	{"PPP, short", capture.LinkPPP, func(ip []byte) []byte { return join(pppType(ip)[1:], ip) }},
	{"HDLC", capture.LinkHDLC, func(ip []byte) []byte { return join([]byte{0x0f, 0}, etherType(ip), ip) }},
	{"cooked", capture.LinkSLL, func(ip []byte) []byte {
		return join([]byte{0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0}, etherType(ip), ip)
	}},
	{"cooked v2", capture.LinkSLL2, func(ip []byte) []byte {
		return join(etherType(ip), []byte{0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0}, ip)
	}},
	{"cooked v2, VLAN", capture.LinkSLL2, func(ip []byte) []byte {
		return join([]byte{0x81, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 0, 100}, etherType(ip), ip)
	}},
	{"GRE", capture.LinkEthernet, func(ip []byte) []byte {
		return ethernet([]byte{8, 0}, packetIP(a4, b4, 47, 1, join([]byte{0, 0}, etherType(ip), ip)))
	}},
	{"GRE with all", capture.LinkEthernet, func(ip []byte) []byte {
		return ethernet([]byte{8, 0}, packetIP(a4, b4, 47, 1, join([]byte{0xb0, 0}, etherType(ip), make([]byte, 12), ip)))
	}},
	{"Ethernet in GRE", capture.LinkEthernet, func(ip []byte) []byte {
		return ethernet([]byte{8, 0}, packetIP(a4, b4, 47, 1, join([]byte{0x20, 0, 0x65, 0x58, 0, 0, 0, 9}, ethernet(etherType(ip), ip))))
	}},
	{"ERSPAN", capture.LinkEthernet, func(ip []byte) []byte {
		return ethernet([]byte{8, 0}, packetIP(a4, b4, 47, 1, join([]byte{0x10, 0, 0x88, 0xbe}, make([]byte, 12), ethernet(etherType(ip), ip))))
	}},
	{"VXLAN", capture.LinkEthernet, func(ip []byte) []byte {
		return ethernet([]byte{8, 0}, packetIP(a4, b4, 17, 1, udp(4789, join([]byte{8, 0, 0, 0, 0, 0, 7, 0}, ethernet(etherType(ip), ip)))))
	}},
	{"IP in IP", capture.LinkRaw, func(ip []byte) []byte {
		proto := byte(4)
		if ip[0]>>4 == 6 {
			proto = 41
		}
		return packetIP(a4, b4, proto, 1, ip)
	}},
}

// wire collects packets, one millisecond after the other.
type wire struct {
	wrap    wrap
	packets []*capture.Packet
}

func (w *wire) add(ips ...[]byte) {
	for _, ip := range ips {
		data := w.wrap.put(ip)
		w.packets = append(w.packets, &capture.Packet{Link: w.wrap.link, Length: len(data), Data: data})
	}
}

// number gives packets their numbers and times, in the order in which they are.
func (w *wire) number() {
	for i, p := range w.packets {
		p.Number, p.Time = i+1, capture.InstantOf(time.Unix(1700000000, 0).Add(time.Duration(i)*time.Millisecond))
	}
}

// end is one end of a connection in a test, which counts for itself.
type end struct {
	addr      netip.AddrPort
	next, ack uint32
}

// talk is a connection on a wire.
type talk struct {
	w    *wire
	ends [2]end
	id   uint16
}

func newTalk(w *wire, client, server string, isn uint32) *talk {
	return &talk{w: w, ends: [2]end{
		{addr: netip.MustParseAddrPort(client), next: isn},
		{addr: netip.MustParseAddrPort(server), next: isn * 7},
	}}
}

// segment makes what side d sends next.
func (t *talk) segment(d capture.Direction, flags capture.Flags, data string) seg {
	e, o := &t.ends[d], &t.ends[d^1]
	t.id++
	s := seg{from: e.addr, to: o.addr, seq: e.next, ack: e.ack, flags: flags, window: 64240, data: []byte(data), id: t.id}
	if flags&capture.ACK == 0 {
		s.ack = 0
	}
	e.next += uint32(len(data))
	if flags&(capture.SYN|capture.FIN) != 0 {
		e.next++
	}
	o.ack = e.next // the other has it when it speaks next
	return s
}

func (t *talk) send(d capture.Direction, flags capture.Flags, data string) seg {
	s := t.segment(d, flags, data)
	t.w.add(s.ip())
	return s
}

const (
	client = capture.FromClient
	server = capture.FromServer
	syn    = capture.SYN
	ack    = capture.ACK
	fin    = capture.FIN
	rst    = capture.RST
	psh    = capture.PSH
)

func (t *talk) open() *talk {
	t.send(client, syn, "")
	t.send(server, syn|ack, "")
	t.send(client, ack, "")
	return t
}

func (t *talk) close() {
	t.send(client, fin|ack, "")
	t.send(server, fin|ack, "")
	t.send(client, ack, "")
}

// tb is what tests of testing and of rapid have in common.
type tb interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// heard is what a tracker told of one connection.
type heard struct {
	*capture.Conn
	bytes [2][]byte // with zeros where little is missing
	at    [2]int64
	gaps  [2][][2]int64
	order []capture.Direction // of data, each change
	left  bool                // Close was called
	limit int                 // of bytes wanted from each side, if above 0; below 0, nothing stands for what is missing
	t     tb
}

type listener struct {
	t     tb
	conns []*heard
	limit int
}

func (l *listener) Open(c *capture.Conn) capture.Stream {
	h := &heard{Conn: c, t: l.t, limit: l.limit}
	l.conns = append(l.conns, h)
	return h
}

func (h *heard) Data(d capture.Direction, offset int64, b []byte, p *capture.Packet) bool {
	if h.limit <= 0 && offset != h.at[d] || len(b) == 0 || p == nil || h.left {
		h.t.Fatalf("%v: %d bytes at %d after %d, closed %v", d, len(b), offset, h.at[d], h.left)
	}
	h.at[d] = offset + int64(len(b))
	if h.limit > 0 && len(h.bytes[d]) > h.limit {
		h.t.Fatalf("%v: more bytes though they are not wanted", d)
	}
	h.bytes[d] = append(h.bytes[d], b...)
	if n := len(h.order); n == 0 || h.order[n-1] != d {
		h.order = append(h.order, d)
	}
	return h.limit <= 0 || len(h.bytes[d]) <= h.limit
}

func (h *heard) Gap(d capture.Direction, from, to int64, _ *capture.Packet) {
	if from >= to || h.left || h.limit <= 0 && from != h.at[d] {
		h.t.Fatalf("%v: gap %d to %d after %d, closed %v", d, from, to, h.at[d], h.left)
	}
	h.at[d] = to
	if h.limit == 0 && to-from < 1<<20 {
		h.bytes[d] = append(h.bytes[d], make([]byte, to-from)...)
	}
	if n := len(h.gaps[d]); n > 0 && h.gaps[d][n-1][1] == from {
		h.gaps[d][n-1][1] = to
		return
	}
	h.gaps[d] = append(h.gaps[d], [2]int64{from, to})
}

func (h *heard) Close(c *capture.Conn) {
	if h.left || c != h.Conn {
		h.t.Fatalf("closed %d twice, or another", c.ID)
	}
	h.left = true
}

// hear feeds packets to a tracker, and returns what it told.
func hear(t tb, packets []*capture.Packet, o capture.Options) ([]*heard, *capture.Tracker) {
	t.Helper()
	return (&listener{t: t}).hear(packets, o)
}

func (l *listener) hear(packets []*capture.Packet, o capture.Options) ([]*heard, *capture.Tracker) {
	tr := capture.NewTracker(l, o)
	for _, p := range packets {
		own := *p
		own.Data = slices.Clone(p.Data)
		tr.Packet(&own)
		clear(own.Data) // it belongs to the source again
	}
	tr.Close()
	for _, h := range l.conns {
		if !h.left {
			l.t.Errorf("connection %d was not closed", h.ID)
		}
	}
	return l.conns, tr
}

// one is hear where one connection is expected.
func (w *wire) one(t tb) *heard {
	t.Helper()
	w.number()
	all, _ := hear(t, w.packets, capture.Options{})
	if len(all) != 1 {
		t.Fatalf("%d connections, want 1", len(all))
	}
	return all[0]
}
