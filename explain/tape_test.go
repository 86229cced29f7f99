package explain

import (
	"encoding/binary"
	"fmt"
	"iter"
	"net/netip"
	"strings"
	"testing"
	"time"

	"towpath/capture"
)

// tape is a capture made for a test: packets of raw IP.
type tape struct {
	packets []capture.Packet
	now     time.Time
	window  uint16 // that is told
}

func newTape() *tape { return &tape{window: 65000, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (p *tape) Packets() iter.Seq2[*capture.Packet, error] {
	return func(yield func(*capture.Packet, error) bool) {
		for i := range p.packets {
			if !yield(&p.packets[i], nil) {
				return
			}
		}
	}
}

func (p *tape) Interfaces() []capture.Interface { return nil }
func (p *tape) Notes() []capture.Note           { return nil }
func (p *tape) Close() error                    { return nil }

const (
	fin = 1
	syn = 2
	rst = 4
	ack = 16
)

// send records a segment.
func (p *tape) send(from, to netip.AddrPort, seq, acked uint32, flags byte, data string) {
	p.now = p.now.Add(time.Millisecond)
	segment := make([]byte, 20, 20+len(data))
	binary.BigEndian.PutUint16(segment, from.Port())
	binary.BigEndian.PutUint16(segment[2:], to.Port())
	binary.BigEndian.PutUint32(segment[4:], seq)
	binary.BigEndian.PutUint32(segment[8:], acked)
	segment[12], segment[13] = 5<<4, flags
	binary.BigEndian.PutUint16(segment[14:], p.window)
	segment = append(segment, data...)
	var ip []byte
	if from.Addr().Is4() {
		ip = make([]byte, 20, 20+len(segment))
		ip[0], ip[8], ip[9] = 0x45, 64, 6
		binary.BigEndian.PutUint16(ip[2:], uint16(20+len(segment)))
		binary.BigEndian.PutUint16(ip[4:], uint16(len(p.packets)+1))
		copy(ip[12:], from.Addr().AsSlice())
		copy(ip[16:], to.Addr().AsSlice())
	} else {
		ip = make([]byte, 40, 40+len(segment))
		ip[0], ip[6], ip[7] = 0x60, 6, 64
		binary.BigEndian.PutUint16(ip[4:], uint16(len(segment)))
		copy(ip[8:], from.Addr().AsSlice())
		copy(ip[24:], to.Addr().AsSlice())
	}
	ip = append(ip, segment...)
	p.packets = append(p.packets, capture.Packet{
		Number: len(p.packets) + 1, Time: capture.InstantOf(p.now), Link: capture.LinkRaw, Length: len(ip), Data: ip,
	})
}

// wire is one connection on a tape.
type wire struct {
	*tape
	ends [2]netip.AddrPort
	seq  [2]uint32
}

func (p *tape) dial(from, to string) *wire {
	w := &wire{tape: p, ends: [2]netip.AddrPort{netip.MustParseAddrPort(from), netip.MustParseAddrPort(to)}}
	w.seq = [2]uint32{uint32(len(p.packets)+1) * 100_000, uint32(len(p.packets)+1) * 200_000}
	return w
}

// flag sends a segment without data from one end.
func (w *wire) flag(end int, flags byte) {
	w.send(w.ends[end], w.ends[1-end], w.seq[end], w.seq[1-end], flags, "")
	if flags&(syn|fin) != 0 {
		w.seq[end]++
	}
}

func (w *wire) open() *wire {
	w.flag(0, syn)
	w.flag(1, syn|ack)
	w.flag(0, ack)
	return w
}

// try is a SYN that comes n times and is not answered.
func (w *wire) try(n int) {
	for range n {
		w.flag(0, syn)
		w.seq[0]--
		w.now = w.now.Add(time.Second)
	}
}

func (w *wire) refuse() {
	w.flag(0, syn)
	w.flag(1, rst|ack)
}

// say sends data from one end, which the other acknowledges.
func (w *wire) say(end int, data string) {
	for data != "" {
		n := min(1400, len(data))
		w.send(w.ends[end], w.ends[1-end], w.seq[end], w.seq[1-end], ack, data[:n])
		w.seq[end] += uint32(n)
		data = data[n:]
	}
	w.flag(1-end, ack)
}

func (w *wire) close(first int) {
	w.flag(first, fin|ack)
	w.flag(1-first, fin|ack)
	w.flag(first, ack)
}

// The addresses of tests.
const (
	clientAt = "192.0.2.7:40000"
	serverAt = "198.51.100.2:21"
)

// talk plays a dialogue of "C: " and "S: " lines on the control connection. A
// line "D: " is a data connection, as "D: client 198.51.100.2:50000 server 1000":
// who opens it (or the address of a stranger), to where, who sends, and how many bytes. In place of the last
// two may stand how it fails: unanswered, refused, reset, or left by the one who
// opened it. A line "L: " is one of the server that is sent twice and gets lost.
func (w *wire) talk(t *testing.T, dialogue string) {
	t.Helper()
	for line := range strings.Lines(dialogue) {
		line = strings.TrimSpace(line)
		kind, text, _ := strings.Cut(line, ": ")
		switch kind {
		case "":
		case "C":
			w.say(0, text+"\r\n")
		case "S":
			w.say(1, strings.ReplaceAll(text, `\n`, "\r\n")+"\r\n")
		case "L":
			for range 2 {
				w.send(w.ends[1], w.ends[0], w.seq[1], w.seq[0], ack, text+"\r\n")
			}
		case "D":
			w.carry(t, text)
		default:
			t.Fatalf("%q: want C:, S:, D: or L:", line)
		}
	}
}

func (w *wire) carry(t *testing.T, text string) {
	t.Helper()
	f := strings.Fields(text)
	if len(f) < 3 {
		t.Fatalf("%q: want opener, address and what happens", text)
	}
	from := netip.AddrPortFrom(w.ends[0].Addr(), 41000+uint16(len(w.packets)))
	switch stranger, err := netip.ParseAddr(f[0]); {
	case err == nil:
		from = netip.AddrPortFrom(stranger, from.Port())
	case f[0] == "server":
		from = netip.AddrPortFrom(w.ends[1].Addr(), 20)
	}
	d := w.dial(from.String(), f[1])
	switch f[2] {
	case "unanswered":
		d.try(3)
	case "refused":
		d.refuse()
	case "reset":
		d.open()
		d.say(1, "the beginning")
		d.flag(1, rst|ack)
	case "left":
		d.open()
		d.flag(0, rst|ack)
	default:
		var size int
		if _, err := fmt.Sscan(f[3], &size); err != nil {
			t.Fatal(err)
		}
		end := 0
		if (f[0] == "client") != (f[2] == "client") {
			end = 1
		}
		d.open()
		d.say(end, strings.Repeat("data\n", (size+4)/5)[:size])
		d.close(end)
	}
}

// played is the story of one session with a dialogue.
func played(t *testing.T, o Options, dialogue string) *Session {
	t.Helper()
	p := newTape()
	w := p.dial(clientAt, serverAt).open()
	w.talk(t, dialogue)
	w.close(0)
	s := told(t, o, p)
	if len(s.Sessions) != 1 {
		t.Fatalf("%d sessions, want 1", len(s.Sessions))
	}
	return s.Sessions[0]
}

func told(t *testing.T, o Options, tapes ...*tape) *Story {
	t.Helper()
	teller := NewTeller(o)
	for i, p := range tapes {
		if err := teller.Read(t.Context(), p, fmt.Sprintf("tape %d", i)); err != nil {
			t.Fatal(err)
		}
	}
	s := teller.Story()
	if err := teller.Close(); err != nil {
		t.Fatal(err)
	}
	checkStory(t, s)
	return s
}
