package capture_test

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"towpath/capture"
)

// A segment is the same through whatever it was wrapped in.
func TestDecode(t *testing.T) {
	t.Parallel()
	for _, pair := range [][2]string{{"192.0.2.1:21", "192.0.2.2:40000"}, {"[2001:db8::1]:21", "[2001:db8::2]:40000"}} {
		s := seg{
			from: netip.MustParseAddrPort(pair[0]), to: netip.MustParseAddrPort(pair[1]),
			seq: 0xfffffff0, ack: 7, flags: syn | ack | psh, window: 0x1234, data: []byte("220 hello\r\n"),
			options: []byte{2, 4, 5, 0xb4, 1, 3, 3, 7},
		}
		for _, wrap := range wraps {
			data := wrap.put(s.ip())
			got, ok := capture.Decode(&capture.Packet{Link: wrap.link, Length: len(data), Data: data})
			if !ok || got.From() != s.from || got.To() != s.to || got.Seq != s.seq || got.Ack != s.ack || got.Flags != s.flags || got.Window != s.window ||
				string(got.Payload) != string(s.data) || got.Length != len(s.data) || got.MaxSegment != 1460 || got.WindowScale != 8 {
				t.Errorf("%s: %+v, %v", wrap.name, got, ok)
			}
			// Whatever is cut off, what is left says how much there was. (Where
			// the packet has padding its end may be missing without loss.)
			for n := range data {
				got, ok := capture.Decode(&capture.Packet{Link: wrap.link, Length: len(data), Data: data[:n]})
				if ok && (got.Length != len(s.data) || !bytes.HasPrefix(s.data, got.Payload) || got.From() != s.from) {
					t.Errorf("%s cut to %d of %d: %+v", wrap.name, n, len(data), got)
				}
			}
		}
	}
}

func TestExtensionHeaders(t *testing.T) {
	t.Parallel()
	s := seg{from: netip.MustParseAddrPort("[2001:db8::1]:21"), to: netip.MustParseAddrPort("[2001:db8::2]:40000"), flags: ack, data: []byte("x")}
	chain := join(
		[]byte{43, 0, 1, 4, 0, 0, 0, 0},                                                 // hop by hop
		[]byte{60, 0, 0, 0, 0, 0, 0, 0},                                                 // routing
		[]byte{51, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},                        // destination
		[]byte{44, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3}, // authentication
		[]byte{6, 0, 0, 0, 0, 0, 0, 1},                                                  // a fragment that is all
		s.tcp())
	data := packetIP(s.from.Addr(), s.to.Addr(), 0, 0, chain)
	got, ok := capture.Decode(&capture.Packet{Link: capture.LinkIPv6, Length: len(data), Data: data})
	if !ok || string(got.Payload) != "x" {
		t.Errorf("%+v, %v", got, ok)
	}
}

// Where the card cuts packets, IP says no length; and where a router pads, the
// padding is not data.
func TestLengths(t *testing.T) {
	t.Parallel()
	s := seg{from: netip.MustParseAddrPort("192.0.2.1:21"), to: netip.MustParseAddrPort("192.0.2.2:40000"), flags: ack, data: []byte("hello")}
	ip := s.ip()
	ip[2], ip[3] = 0, 0
	got, ok := capture.Decode(&capture.Packet{Link: capture.LinkRaw, Length: len(ip) + 70000, Data: ip})
	if !ok || got.Length != 70005 || string(got.Payload) != "hello" {
		t.Errorf("without a length: %+v, %v", got, ok)
	}
	padded := append(s.ip(), "padding"...)
	got, ok = capture.Decode(&capture.Packet{Link: capture.LinkRaw, Length: len(padded), Data: padded})
	if !ok || got.Length != 5 || string(got.Payload) != "hello" {
		t.Errorf("padded: %+v, %v", got, ok)
	}
}

func TestFlags(t *testing.T) {
	t.Parallel()
	if got := (syn | ack).String(); got != "SYN, ACK" {
		t.Error(got)
	}
}

// Fragments in any order, twice, overlapping, of datagrams by one number after
// the other.
func TestFragments(t *testing.T) {
	t.Parallel()
	for _, addresses := range [][2]string{{"192.0.2.1:40000", "192.0.2.2:21"}, {"[2001:db8::1]:40000", "[2001:db8::2]:21"}} {
		w := &wire{wrap: plain}
		c := newTalk(w, addresses[0], addresses[1], 9).open()
		want := ""
		for i := range 200 {
			data := strings.Repeat(string(rune('a'+i%26)), 900)
			want += data
			s := c.segment(server, ack, data)
			s.id = 5
			f := s.fragments(256)
			if i%3 == 0 {
				slices.Reverse(f)
			}
			w.add(f[0], f[0], f[1], f[3])
			b := s.tcp()
			w.add(fragmentIP(s.from.Addr(), s.to.Addr(), 6, s.id, 248, true, b[248:520]))
			if i%5 == 0 {
				w.add(f[2])
			} else {
				w.add(fragmentIP(s.from.Addr(), s.to.Addr(), 6, s.id, 504, true, b[504:776]))
			}
			for range 70 {
				w.add(c.segment(client, ack, "").ip())
			}
		}
		h := w.one(t)
		h.want(t, "", want)
	}
}

// FuzzDecode: no packet whatever does harm, and what is found is within it.
func FuzzDecode(f *testing.F) {
	s := seg{from: netip.MustParseAddrPort("192.0.2.1:21"), to: netip.MustParseAddrPort("192.0.2.2:40000"), flags: syn, data: []byte("hello"), options: []byte{2, 4, 5, 0xb4}}
	for _, wrap := range wraps {
		f.Add(uint16(wrap.link), wrap.put(s.ip()), uint16(0))
	}
	f.Fuzz(func(t *testing.T, link uint16, data []byte, more uint16) {
		p := &capture.Packet{Number: 1, Time: capture.InstantOf(packetTime), Link: capture.Link(link), Length: len(data) + int(more), Data: data}
		got, ok := capture.Decode(p)
		if !ok {
			return
		}
		if len(got.Payload) > len(data) || got.Length < len(got.Payload) {
			t.Fatalf("%d bytes of %d in a packet of %d", len(got.Payload), got.Length, len(data))
		}
		_, _ = got.From(), got.To()
	})
}

// FuzzTracker: whatever segments come in whatever order, what is told is in
// order, tiles the stream, and little is kept. Each four bytes of input are a
// segment.
func FuzzTracker(f *testing.F) {
	f.Add([]byte("\x02\x00\x00\x00\x12\x80\x00\x00\x10\x00\x00\x05\x10\x80\x01\x09\x11\x00\x05\x00\x11\x80\x01\x00"))
	f.Add([]byte("\x10\x00\x40\x20\x10\x00\x00\x20\x10\x80\x00\x40\x04\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, script []byte) {
		w := &wire{wrap: plain}
		ends := [2]netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:40000"), netip.MustParseAddrPort("192.0.2.2:21")}
		var next [2]uint32
		for ; len(script) >= 4; script = script[4:] {
			d := script[1] >> 7
			s := seg{from: ends[d], to: ends[1-d], flags: capture.Flags(script[0] & 0x3f), window: uint16(script[3])}
			s.seq = next[d] + uint32(int32(int8(script[2])))<<(script[1]&31)
			s.ack = next[1-d] + uint32(int32(int8(script[0]^script[2])))<<(script[1]>>2&31)
			s.data = bytes.Repeat([]byte{script[2] | 1}, int(script[3])*5)
			next[d] = s.seq + uint32(len(s.data))
			w.add(s.ip())
			if script[0]&0x40 != 0 {
				w.add(s.fragments(64)...)
			}
			if p := w.packets[len(w.packets)-1]; script[0]&0x80 != 0 {
				p.Data = p.Data[:max(14, len(p.Data)-int(script[3]))]
			}
		}
		w.number()
		if n := len(w.packets); n > 0 && n%3 == 0 {
			w.packets[n/2].Time = w.packets[n/2].Time.Add(-time.Hour)
		}
		all, _ := (&listener{t: t, limit: -1}).hear(w.packets, capture.Options{Waiting: 4000, Connections: 1})
		for _, h := range all {
			for d := range h.bytes {
				var missing int64
				for _, g := range h.gaps[d] {
					missing += g[1] - g[0]
				}
				if side := h.Side(capture.Direction(d)); side.Missing != missing || side.Bytes < missing {
					t.Fatalf("%d of %d missing, told %d", side.Missing, side.Bytes, missing)
				}
			}
		}
	})
}
