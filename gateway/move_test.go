package gateway_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"towpath/ftp"
	"towpath/gateway"
)

// A line on which a piece takes longer than the stall time-out, and on which
// something moves all the time, loses nothing and is not cut. What is slow is the
// client: it reads a little at each tick.
func TestSlowLine(t *testing.T) {
	t.Parallel()
	sea := make([]byte, 24<<20) // more than fits into all buffers on the way
	_, _ = rand.NewChaCha8([32]byte{1}).Read(sea)
	w := newWire(t, "127.0.0.1", func(o *gateway.Options) { o.StallTimeout = 1500 * time.Millisecond })
	w.login()
	data := listenOr(t, "127.0.0.1:0")
	w.say("PASV\r\n")
	w.gets("PASV\r\n")
	w.answer("227 (" + ftp.FormatHostPort(at(data)) + ")\r\n")
	told, err := ftp.ParsePassive(w.line(w.cin)[len("227 "):])
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", told.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	w.say("RETR sea\r\n")
	w.gets("RETR sea\r\n")
	s, err := data.Accept()
	if err != nil {
		t.Fatal(err)
	}
	w.answer("150 Here.\r\n")
	w.hears("150 Here.\r\n")
	sent := make(chan error, 1)
	go func() {
		_, err := s.Write(sea)
		sent <- errorOr(err, s.Close())
	}()
	got := make([]byte, 4<<20)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for p := got; len(p) > 0; <-tick.C {
		n := min(32<<10, len(p))
		if _, err := io.ReadFull(c, p[:n]); err != nil {
			t.Fatal(err)
		}
		p = p[n:]
	}
	rest, err := io.ReadAll(c)
	got = append(got, rest...)
	if err != nil || !bytes.Equal(got, sea) {
		t.Fatalf("%d bytes came of %d: %v", len(got), len(sea), err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	w.answer("226 Done.\r\n")
	w.hears("226 Done.\r\n")
}

func errorOr(a, b error) error {
	if a != nil {
		return fmt.Errorf("sending: %w", a)
	}
	return b
}
