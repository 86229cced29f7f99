package capture_test

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"towpath/capture"
	"towpath/internal/alone"
)

// What passes an interface is told as it happens: on one, whose packets are
// Ethernet, and on all, where they are cooked.
func TestLive(t *testing.T) {
	t.Parallel()
	if !alone.Inside(t) {
		return
	}
	const answer = "220 hello\r\n"
	file := strings.Repeat("0123456789abcdef", 1<<16) // more than passes in one packet
	door, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = door.Close() }() // nothing was written
	go func() {
		for {
			c, err := door.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, answer)
			_, _ = io.Copy(io.Discard, c)
			_ = c.Close() // the test sees what passes on the wire
		}
	}()
	for _, name := range []string{"lo", "any"} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		live, err := capture.Live(ctx, name, capture.LiveOptions{Buffer: 4 << 20})
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", door.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, len(answer))); err != nil {
			t.Fatal(err)
		}
		go func() {
			_, _ = io.WriteString(c, file)
			_ = c.Close()
		}()
		l := &told{listener: &listener{t: t}, closed: cancel}
		tr := capture.NewTracker(l, capture.Options{})
		var last capture.Instant
		for p, err := range live.Packets() {
			if err != nil {
				t.Fatal(err)
			}
			if name == "lo" && p.Link != capture.LinkEthernet || name == "any" && p.Link != capture.LinkSLL2 {
				t.Fatalf("%s: a packet of %v", name, p.Link)
			}
			last = p.Time
			tr.Packet(p)
		}
		tr.Close()
		if len(l.conns) != 1 || l.conns[0].Ended != capture.Finished || l.conns[0].Client.String() != c.LocalAddr().String() {
			t.Fatalf("%s: %d connections, ctx %v", name, len(l.conns), ctx.Err())
		}
		h := l.conns[0]
		if string(h.bytes[server]) != answer || string(h.bytes[client]) != file || h.Side(client).Copies > 0 {
			t.Errorf("%s: %q, %d bytes, want %d; %+v", name, h.bytes[server], len(h.bytes[client]), len(file), *h.Side(client))
		}
		if age := time.Since(last.Time()); age < 0 || age > time.Minute {
			t.Errorf("%s: the last packet is %v old", name, age)
		}
		if n := live.Notes(); len(n) != 0 {
			t.Errorf("%s: notes %v", name, n)
		}
		if err := live.Close(); err != nil {
			t.Error(err)
		}
		cancel()
	}
	if _, err := capture.Live(t.Context(), "none0", capture.LiveOptions{}); err == nil || !strings.HasPrefix(err.Error(), "listen on none0: ") {
		t.Errorf("no such interface: %v", err)
	}
}

// told ends a capture when a connection ends.
type told struct {
	*listener
	closed func()
}

func (l *told) Open(c *capture.Conn) capture.Stream {
	return &ending{l.listener.Open(c), l.closed}
}

type ending struct {
	capture.Stream
	closed func()
}

func (e *ending) Close(c *capture.Conn) {
	e.Stream.Close(c)
	e.closed()
}
