package capture_test

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"towpath/capture"
)

// plain is Ethernet.
var plain = wraps[0]

// session is a dialogue in which each side waits for the other.
func session(w *wire, turns ...string) *talk {
	t := newTalk(w, "192.0.2.1:40000", "192.0.2.2:21", 1000).open()
	for i, line := range turns {
		t.send(capture.Direction(1-i%2), psh|ack, line)
	}
	return t
}

func (h *heard) want(t tb, fromClient, fromServer string) {
	t.Helper()
	if got := string(h.bytes[client]); got != fromClient {
		t.Errorf("client sent %q, want %q", got, fromClient)
	}
	if got := string(h.bytes[server]); got != fromServer {
		t.Errorf("server sent %q, want %q", got, fromServer)
	}
}

func TestDialogue(t *testing.T) {
	t.Parallel()
	for _, wrap := range wraps {
		t.Run(wrap.name, func(t *testing.T) {
			t.Parallel()
			w := &wire{wrap: wrap}
			session(w, "220 hello\r\n", "USER sea\r\n", "331 and?\r\n", "PASS horse\r\n", "230 in\r\n").close()
			h := w.one(t)
			h.want(t, "USER sea\r\nPASS horse\r\n", "220 hello\r\n331 and?\r\n230 in\r\n")
			if h.Client.String() != "192.0.2.1:40000" || h.Server.String() != "192.0.2.2:21" || h.Guessed || h.Ended != capture.Finished {
				t.Errorf("%v to %v, guessed %v, %v", h.Client, h.Server, h.Guessed, h.Ended)
			}
			if h.SYN.Packet != 1 || h.SYNACK.Packet != 2 || h.Ack.Packet != 3 || h.SYNs != 1 {
				t.Errorf("handshake %d %d %d, %d SYNs", h.SYN.Packet, h.SYNACK.Packet, h.Ack.Packet, h.SYNs)
			}
			if s := h.Side(server); s.Bytes != 29 || s.Missing != 0 || s.Acknowledged != 29 || s.Packets != 5 || s.FIN.Packet != 10 {
				t.Errorf("server: %+v", *s)
			}
		})
	}
}

// A reply that is not in the capture is told missing before the command that
// followed it.
func TestMissingReply(t *testing.T) {
	t.Parallel()
	w := &wire{wrap: plain}
	session(w, "220 hello\r\n", "USER sea\r\n", "331 and?\r\n", "PASS horse\r\n", "230 in\r\n").close()
	w.packets = slices.Delete(w.packets, 5, 6) // 331
	h := w.one(t)
	h.want(t, "USER sea\r\nPASS horse\r\n", "220 hello\r\n"+strings.Repeat("\x00", 10)+"230 in\r\n")
	if want := [][2]int64{{11, 21}}; !slices.Equal(h.gaps[server], want) || h.gaps[client] != nil || h.Side(server).Missing != 10 {
		t.Errorf("gaps %v and %v, want %v from the server", h.gaps[client], h.gaps[server], want)
	}
}

func TestAckBeforeData(t *testing.T) {
	t.Parallel()
	w := &wire{wrap: plain}
	session(w, "220 hello\r\n", "USER sea\r\n", "331 and?\r\n", "PASS horse\r\n", "230 in\r\n").close()
	w.packets[5], w.packets[6] = w.packets[6], w.packets[5] // PASS, which acknowledges 331, is captured before it
	h := w.one(t)
	h.want(t, "USER sea\r\nPASS horse\r\n", "220 hello\r\n331 and?\r\n230 in\r\n")
	if want := []capture.Direction{server, client, server, client, server}; !slices.Equal(h.order, want) {
		t.Errorf("order %v, want %v", h.order, want)
	}
}

func TestNoHandshake(t *testing.T) {
	t.Parallel()
	w := &wire{wrap: plain}
	session(w, "220 hello\r\n", "USER sea\r\n", "331 and?\r\n", "PASS horse\r\n", "230 in\r\n").close()
	w.packets = w.packets[5:]
	h := w.one(t)
	h.want(t, "PASS horse\r\n", "331 and?\r\n230 in\r\n")
	if !h.Guessed || h.Server.Port() != 21 || h.Ended != capture.Finished {
		t.Errorf("guessed %v, server %v, %v", h.Guessed, h.Server, h.Ended)
	}
}

// A FIN takes a sequence number: what it takes is not a byte that is missing.
func TestUnseenFIN(t *testing.T) {
	t.Parallel()
	w := &wire{wrap: plain}
	c := session(w, "220 hello\r\n")
	c.segment(server, fin|ack, "") // not captured
	c.send(client, ack, "")
	c.send(client, fin|ack, "")
	h := w.one(t)
	h.want(t, "", "220 hello\r\n")
	if h.Side(server).Missing != 0 || h.Side(server).Bytes != 11 {
		t.Errorf("%+v", *h.Side(server))
	}
}

func TestEnds(t *testing.T) {
	t.Parallel()
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		w := &wire{wrap: plain}
		c := newTalk(w, "192.0.2.1:40000", "192.0.2.2:21", 1)
		c.send(client, syn, "")
		c.ends[1].next = 0
		c.send(server, rst|ack, "")
		h := w.one(t)
		if !h.Refused() || h.Unanswered() || h.Ended != capture.Reset {
			t.Errorf("refused %v, unanswered %v, %v", h.Refused(), h.Unanswered(), h.Ended)
		}
	})
	t.Run("unanswered", func(t *testing.T) {
		t.Parallel()
		w := &wire{wrap: plain}
		c := newTalk(w, "192.0.2.1:40000", "192.0.2.2:21", 1)
		s := c.send(client, syn, "")
		s.id++
		w.add(s.ip())
		s.id++
		w.add(s.ip(), s.ip()) // the last captured twice
		h := w.one(t)
		if h.Refused() || !h.Unanswered() || h.SYNs != 3 || h.Side(client).Copies != 1 {
			t.Errorf("unanswered %v, %d SYNs, %d copies", h.Unanswered(), h.SYNs, h.Side(client).Copies)
		}
	})
	t.Run("asked again", func(t *testing.T) {
		t.Parallel()
		w := &wire{wrap: plain}
		s := newTalk(w, "192.0.2.1:40000", "192.0.2.2:21", 1).send(client, syn, "")
		for range 1000 { // one a millisecond
			s.id++
			w.add(s.ip())
		}
		h := w.one(t)
		var again, want []int
		for _, m := range h.Again {
			again = append(again, m.Packet)
		}
		for i := range 15 {
			want = append(want, 1+51*(i+1))
		}
		if !slices.Equal(again, want) || h.SYN.Packet != 1 || h.SYNs != 1001 {
			t.Errorf("%d SYNs, the first %d, again %v, want 1001, 1, %v", h.SYNs, h.SYN.Packet, again, want)
		}
	})
	t.Run("unreachable", func(t *testing.T) {
		t.Parallel()
		w := &wire{wrap: plain}
		c := newTalk(w, "192.0.2.1:40000", "192.0.2.2:21", 1)
		s := c.send(client, syn, "")
		router := netip.MustParseAddr("192.0.2.254")
		w.add(packetIP(router, s.from.Addr(), 1, 9, join([]byte{3, 13, 0, 0, 0, 0, 0, 0}, s.ip()[:28])))
		h := w.one(t)
		if len(h.Errors) != 1 || h.Errors[0].By != router || h.Errors[0].Type != 3 || h.Errors[0].Code != 13 || h.Errors[0].Packet != 2 {
			t.Errorf("errors %+v", h.Errors)
		}
	})
	t.Run("port used again", func(t *testing.T) {
		t.Parallel()
		w := &wire{wrap: plain}
		session(w, "220 one\r\n").close()
		session(w, "220 one\r\n") // the same SYN again is a copy, and so is all that follows
		c := newTalk(w, "192.0.2.1:40000", "192.0.2.2:21", 77).open()
		c.send(server, ack, "220 two\r\n")
		newTalk(w, "192.0.2.1:40000", "192.0.2.2:21", 777).open() // without an end in between
		w.number()
		all, _ := hear(t, w.packets, capture.Options{})
		if len(all) != 3 {
			t.Fatalf("%d connections, want 3", len(all))
		}
		all[0].want(t, "", "220 one\r\n")
		all[1].want(t, "", "220 two\r\n")
		if all[0].Ended != capture.Finished || all[1].Ended != capture.Replaced || all[2].Ended != capture.Unfinished {
			t.Errorf("%v, %v, %v", all[0].Ended, all[1].Ended, all[2].Ended)
		}
	})
}

func TestSnapLength(t *testing.T) {
	t.Parallel()
	w := &wire{wrap: plain}
	session(w, "220 hello\r\n", "USER sea\r\n", "331 "+strings.Repeat("x", 200)+"\r\n", "PASS horse\r\n").close()
	for _, p := range w.packets {
		p.Data = p.Data[:min(len(p.Data), 14+20+20+20)]
	}
	h := w.one(t)
	if want := [][2]int64{{31, 217}}; !slices.Equal(h.gaps[server], want) || h.gaps[client] != nil {
		t.Errorf("gaps %v, want %v", h.gaps[server], want)
	}
}

func TestStall(t *testing.T) {
	t.Parallel()
	w := &wire{wrap: plain}
	c := session(w, "220 hello\r\n")
	s := c.segment(client, ack, "")
	s.window = 0
	w.add(s.ip())
	c.send(server, ack, "x") // a probe
	c.send(client, ack, "")
	h := w.one(t)
	if s := h.Side(client); s.ZeroWindows != 1 || s.Stalled != 2*time.Millisecond || s.Stall.Packet != 5 {
		t.Errorf("%d times, %v from packet %d, want once, 2ms, from 5", s.ZeroWindows, s.Stalled, s.Stall.Packet)
	}
}

// Each packet twice, as where a port is mirrored in both directions.
func TestTwice(t *testing.T) {
	t.Parallel()
	w := &wire{wrap: plain}
	session(w, "220 hello\r\n", "USER sea\r\n", "331 and?\r\n").close()
	var twice []*capture.Packet
	for _, p := range w.packets {
		again := *p
		twice = append(twice, p, &again)
	}
	w.packets = twice
	h := w.one(t)
	h.want(t, "USER sea\r\n", "220 hello\r\n331 and?\r\n")
	for _, d := range []capture.Direction{client, server} {
		if s := h.Side(d); s.Retransmitted != 0 || s.Copies < 4 || h.SYNs != 1 {
			t.Errorf("%v: %d copies, %d sent again, %d SYNs", d, s.Copies, s.Retransmitted, h.SYNs)
		}
	}
}

// Whatever a network and a capture do to packets within some distance, the
// bytes are those that were sent, in an order in which they can have been.
func TestAnyOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		lossy := rapid.Bool().Draw(t, "lossy")
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		w := &wire{wrap: rapid.SampledFrom(wraps).Draw(t, "wrap")}
		from, to := "192.0.2.1:40000", "192.0.2.2:21"
		if rapid.Bool().Draw(t, "v6") {
			from, to = "[2001:db8::1]:40000", "[2001:db8::2]:21"
		}
		isn := rapid.OneOf(rapid.Uint32(), rapid.Uint32Range(1<<32-3000, 1<<32-1)).Draw(t, "isn")
		c := newTalk(w, from, to, isn).open()

		var sent [2][]byte
		var turns []capture.Direction
		type span struct{ from, to int }
		var seen [2][]span // what was captured at least once
		for range rapid.IntRange(1, 30).Draw(t, "turns") {
			d := capture.Direction(rnd.IntN(2))
			if n := len(turns); n == 0 || turns[n-1] != d {
				turns = append(turns, d)
			}
			turn := make([]byte, 1+rnd.IntN(4000))
			for i := range turn {
				turn[i] = byte(1 + rnd.IntN(255))
			}
			start := c.ends[d].next
			for rest := turn; len(rest) > 0; {
				n := min(len(rest), 1+rnd.IntN(1400))
				s := c.segment(d, ack, string(rest[:n]))
				at := len(sent[d]) + len(turn) - len(rest)
				rest = rest[n:]
				if lossy && rnd.IntN(12) == 0 {
					continue
				}
				seen[d] = append(seen[d], span{at, at + n})
				switch rnd.IntN(10) {
				case 0: // in pieces, in any order
					pieces := s.fragments(8 * (1 + rnd.IntN(80)))
					rnd.Shuffle(len(pieces), func(i, j int) { pieces[i], pieces[j] = pieces[j], pieces[i] })
					if len(pieces) < 8 {
						w.add(pieces...)
						continue
					}
					w.add(s.ip())
				case 1: // again
					w.add(s.ip())
					s.id += 1000
					w.add(s.ip())
				case 2: // and with more before it
					w.add(s.ip())
					over := min(rnd.IntN(500), int(s.seq-start), 1400-n)
					s.seq, s.data, s.id = s.seq-uint32(over), append(slices.Clone(turn[int(s.seq-start)-over:int(s.seq-start)]), s.data...), s.id+1000
					w.add(s.ip())
					seen[d] = append(seen[d], span{at - over, at + n})
				default:
					w.add(s.ip())
				}
				if rnd.IntN(3) == 0 {
					w.add(c.segment(d.Reverse(), ack, "").ip())
				}
			}
			sent[d] = append(sent[d], turn...)
			w.add(c.segment(d.Reverse(), ack, "").ip())
		}
		for range 2 {
			c.send(client, ack, "")
		}
		c.close()

		reach := rapid.IntRange(0, 10).Draw(t, "reach")
		place := map[*capture.Packet]int{}
		for i, p := range w.packets {
			if place[p] = i; i > 2 { // a SYN that comes late begins a connection late
				place[p] += rnd.IntN(reach + 1)
			}
		}
		slices.SortStableFunc(w.packets, func(a, b *capture.Packet) int { return cmp.Compare(place[a], place[b]) })
		w.number()

		all, tr := hear(t, w.packets, capture.Options{})
		if len(all) != 1 {
			t.Fatalf("%d connections, want 1", len(all))
		}
		h := all[0]
		for d := range sent {
			have := make([]bool, len(sent[d]))
			for _, s := range seen[d] {
				for i := s.from; i < s.to; i++ {
					have[i] = true
				}
			}
			want := slices.Clone(sent[d])
			for i := range want {
				if !have[i] {
					want[i] = 0
				}
			}
			if !bytes.Equal(h.bytes[d], want) {
				t.Fatalf("%v: %d bytes differ from %d sent, first at %d; gaps %v", capture.Direction(d), len(h.bytes[d]), len(want), differ(h.bytes[d], want), h.gaps[d])
			}
			if side := h.Side(capture.Direction(d)); side.Bytes != int64(len(want)) || side.Missing != int64(bytes.Count(want, []byte{0})) {
				t.Fatalf("%v: %d bytes and %d missing, want %d and %d", capture.Direction(d), side.Bytes, side.Missing, len(want), bytes.Count(want, []byte{0}))
			}
		}
		if !lossy && !slices.Equal(h.order, turns) {
			t.Fatalf("order %v, want %v", h.order, turns)
		}
		if h.Ended != capture.Finished || len(tr.Notes()) != 0 {
			t.Fatalf("%v, notes %v", h.Ended, tr.Notes())
		}
	})
}

func differ(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// What waits and what is open is bounded, and what was given up is told.
func TestLimits(t *testing.T) {
	t.Parallel()
	t.Run("connections", func(t *testing.T) {
		t.Parallel()
		w := &wire{wrap: plain}
		busy := session(w, "220 hello\r\n")
		for i := range 200 {
			newTalk(w, fmt.Sprintf("192.0.2.9:%d", 1000+i), "192.0.2.2:21", 5).send(client, syn, "")
			busy.send(server, ack, "x")
		}
		w.number()
		all, tr := hear(t, w.packets, capture.Options{Connections: 20})
		all[0].want(t, "", "220 hello\r\n"+strings.Repeat("x", 200))
		if n := tr.Stats().Forgotten; len(all) != 201 || n != 181 {
			t.Errorf("%d connections, %d forgotten", len(all), n)
		}
		if notes := tr.Notes(); len(notes) != 1 || notes[0].ID != capture.NoteForgotten {
			t.Errorf("notes %v", notes)
		}
	})
	t.Run("waiting", func(t *testing.T) {
		t.Parallel()
		w := &wire{wrap: plain}
		c := session(w, "220 hello\r\n")
		c.segment(server, ack, "lost") // and never acknowledged
		for range 100 {
			c.send(server, ack, strings.Repeat("y", 1000))
		}
		w.number()
		all, tr := hear(t, w.packets, capture.Options{Waiting: 10000})
		all[0].want(t, "", "220 hello\r\n\x00\x00\x00\x00"+strings.Repeat("y", 100000))
		if notes := tr.Notes(); len(notes) != 1 || notes[0].ID != capture.NoteImpatience {
			t.Errorf("notes %v", notes)
		}
	})
	t.Run("waiting in all", func(t *testing.T) {
		t.Parallel()
		w := &wire{wrap: plain}
		for i := range 100 {
			c := newTalk(w, fmt.Sprintf("192.0.2.1:%d", 40000+i), "192.0.2.2:21", 5).open()
			c.segment(server, ack, "lost")
			c.send(server, ack, strings.Repeat("y", 1400))
		}
		w.number()
		seen := 0
		l := &listener{t: t}
		tr := capture.NewTracker(l, capture.Options{Waiting: 4000})
		for _, p := range w.packets {
			tr.Packet(p)
		}
		for _, h := range l.conns {
			seen += len(h.bytes[server])
		}
		if want := 90 * 1404; seen != want || tr.Stats().Impatient != 90 { // ten are 4·4000 bytes, as they count
			t.Errorf("%d bytes were given, want %d; impatient %d times", seen, want, tr.Stats().Impatient)
		}
		tr.Close()
	})
	t.Run("fragments", func(t *testing.T) {
		t.Parallel()
		w := &wire{wrap: plain}
		c := session(w, "220 hello\r\n")
		for range 1000 {
			w.add(c.segment(server, ack, strings.Repeat("z", 1000)).fragments(512)[0])
		}
		w.number()
		_, tr := hear(t, w.packets, capture.Options{})
		if notes := tr.Notes(); len(notes) != 1 || notes[0].ID != capture.NoteFragments || notes[0].Count != 1000 {
			t.Errorf("notes %v", notes)
		}
	})
	t.Run("tiny fragments", func(t *testing.T) {
		t.Parallel()
		w := &wire{wrap: plain}
		c := session(w, "220 hello\r\n")
		tiny := c.segment(server, ack, strings.Repeat("z", 60000)).fragments(8)
		for i := range tiny {
			if i%2 == 0 {
				w.add(tiny[i])
			}
		}
		w.number()
		_, tr := hear(t, w.packets, capture.Options{})
		if n := tr.Stats().Fragments; n < 10 || n > 20 {
			t.Errorf("%d datagrams not whole", n)
		}
	})
	t.Run("not wanted", func(t *testing.T) {
		t.Parallel()
		w := &wire{wrap: plain}
		c := session(w, "220 hello\r\n")
		for i := range 100 {
			if s := c.segment(server, ack, strings.Repeat("y", 1000)); i != 50 {
				w.add(s.ip())
			}
		}
		c.send(client, ack, "")
		c.close()
		w.number()
		l := &listener{t: t, limit: 3000}
		tr := capture.NewTracker(l, capture.Options{})
		for _, p := range w.packets {
			tr.Packet(p)
		}
		tr.Close()
		if s := l.conns[0].Side(server); s.Bytes != 100011 || s.Missing != 1000 || len(l.conns[0].gaps[server]) != 1 {
			t.Errorf("%d bytes, %d missing, gaps %v", s.Bytes, s.Missing, l.conns[0].gaps[server])
		}
	})
}

// A server that still believes in an older connection with the same addresses
// and ports answers the SYN by its numbers; the client resets that one, and asks
// again with the SYN that it sent before (RFC 9293 3.5.1).
func TestOlderConnection(t *testing.T) {
	t.Parallel()
	w := &wire{wrap: plain}
	c := newTalk(w, "192.0.2.1:40000", "192.0.2.2:21", 1000)
	first := c.send(client, syn, "")
	w.add(seg{from: first.to, to: first.from, seq: 0x9abcdef0, ack: 0x80000000, flags: ack, window: 500, id: 900}.ip())
	w.add(seg{from: first.from, to: first.to, seq: 0x80000000, flags: rst, id: 901}.ip())
	first.id += 50
	w.add(first.ip())
	c.send(server, syn|ack, "")
	c.send(client, ack, "")
	c.send(server, psh|ack, "220 hello\r\n")
	c.send(client, psh|ack, "QUIT\r\n")
	c.close()
	h := w.one(t)
	h.want(t, "QUIT\r\n", "220 hello\r\n")
	if h.Ended != capture.Finished || h.SYNs != 2 || h.Side(client).Missing != 0 || h.Side(server).Missing != 0 {
		t.Errorf("%v, %d SYNs, %+v, %+v", h.Ended, h.SYNs, *h.Side(client), *h.Side(server))
	}
}

// A reset whose number is nowhere near those of the connection ends nothing.
func TestForgedReset(t *testing.T) {
	t.Parallel()
	w := &wire{wrap: plain}
	c := session(w, "220 hello\r\n", "USER sea\r\n")
	s := c.segment(server, rst, "")
	s.seq += 900_000_000
	w.add(s.ip())
	c.send(server, psh|ack, "331 and?\r\n")
	c.send(server, rst|ack, "")
	h := w.one(t)
	h.want(t, "USER sea\r\n", "220 hello\r\n331 and?\r\n")
	if h.Ended != capture.Reset || h.Side(server).RST.Packet != len(w.packets) {
		t.Errorf("%v, reset by packet %d of %d", h.Ended, h.Side(server).RST.Packet, len(w.packets))
	}
}

// Who was refused may ask again by the same SYN, as Windows does, and be let in.
func TestRefusedAtFirst(t *testing.T) {
	t.Parallel()
	w := &wire{wrap: plain}
	c := newTalk(w, "192.0.2.1:40000", "192.0.2.2:21", 1000)
	s := c.send(client, syn, "")
	refusal := c.segment(server, rst|ack, "")
	refusal.seq = 0
	w.add(refusal.ip())
	s.id += 50
	w.add(s.ip())
	c.send(server, syn|ack, "")
	c.send(client, ack, "")
	c.send(server, psh|ack, "220 hello\r\n")
	c.close()
	w.number()
	all, _ := hear(t, w.packets, capture.Options{})
	if len(all) != 2 || !all[0].Refused() || all[1].Ended != capture.Finished {
		t.Fatalf("%d connections, want one refused and one finished", len(all))
	}
	all[1].want(t, "", "220 hello\r\n")
}

// The next SYN may be answered by another number: that counts which the client
// acknowledges.
func TestAnsweredAnew(t *testing.T) {
	t.Parallel()
	w := &wire{wrap: plain}
	c := newTalk(w, "192.0.2.1:40000", "192.0.2.2:21", 1000)
	s := c.send(client, syn, "")
	lost := c.segment(server, syn|ack, "")
	lost.seq += 1_500_000_000
	w.add(lost.ip())
	s.id += 50
	w.add(s.ip())
	c.ends[server].next-- // as if it had not spoken yet
	c.send(server, syn|ack, "")
	c.send(client, ack, "")
	w.add(lost.ip()) // late, and not of this connection any more
	c.send(server, psh|ack, "220 hello\r\n")
	c.close()
	h := w.one(t)
	h.want(t, "", "220 hello\r\n")
	if h.Ended != capture.Finished || h.Side(server).Missing != 0 {
		t.Errorf("%v, %+v", h.Ended, *h.Side(server))
	}
}
