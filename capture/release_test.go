package capture_test

import (
	"fmt"
	"net/netip"
	"testing"

	"towpath/capture"
)

// giver gives connections back when they have ended, but for every fifth.
type giver struct {
	*listener
	tracker *capture.Tracker
	told    []string
}

func (g *giver) Open(c *capture.Conn) capture.Stream {
	return &given{g.listener.Open(c).(*heard), g}
}

type given struct {
	*heard
	giver *giver
}

func (h *given) Close(c *capture.Conn) {
	h.heard.Close(c)
	h.giver.told = append(h.giver.told, fmt.Sprintf("%+v %q", *c, h.bytes))
	if c.ID%5 != 0 {
		h.giver.tracker.Release(c)
	}
}

// What is told of connections is the same whether or not others take their
// memory. They come and go here, two at a time, and copies of their last
// packets come late.
func TestRelease(t *testing.T) {
	t.Parallel()
	w := &wire{wrap: plain}
	var before *talk
	for i := range 1500 {
		port := uint16(20000 + i%1200) // so some come again
		k := newTalk(w, netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), port).String(), "192.0.2.2:21", uint32(i+1)*100000).open()
		k.send(server, ack, "220 ready\r\n")
		s := k.segment(client, ack, "lost")
		k.send(client, ack, "QUIT\r\n")
		if i%7 == 0 {
			w.add(s.ip()) // out of order
		}
		if before != nil {
			before.close()
			w.packets = append(w.packets, w.packets[len(w.packets)-1])
		}
		if before = k; i%11 == 0 {
			k.send(server, rst|ack, "")
			before = nil
		}
	}
	w.number()
	var told [2][]string
	for i := range told {
		g := &giver{listener: &listener{t: t}}
		g.tracker = capture.NewTracker(g, capture.Options{})
		tracker := g.tracker
		if i == 0 {
			g.tracker = capture.NewTracker(g, capture.Options{}) // where giving back changes nothing
		}
		for _, p := range w.packets {
			tracker.Packet(p)
		}
		tracker.Close()
		told[i] = g.told
	}
	if len(told[0]) != 1500 || len(told[1]) != 1500 {
		t.Fatalf("%d and %d connections, want 1500", len(told[0]), len(told[1]))
	}
	for i, s := range told[0] {
		if s != told[1][i] {
			t.Fatalf("kept:\n%.600s\ngiven back:\n%.600s", s, told[1][i])
		}
	}
}
