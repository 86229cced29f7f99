package gateway

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// pair is both ends of a connection.
func pair(t *testing.T) (a, b *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	d, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = c.Close(), d.Close() })
	return c.(*net.TCPConn), d.(*net.TCPConn)
}

// What one end has given and the other has not taken when a deadline strikes is
// not lost: it goes on with the next step.
func TestCarrierKeeps(t *testing.T) {
	t.Parallel()
	source, from := pair(t)
	to, sink := pair(t)
	sea := bytes.Repeat([]byte("all that the sea holds, and more; "), 1<<20)
	go func() {
		_, _ = source.Write(sea) // the comparison tells
		_ = source.Close()
	}()
	patience := 50 * time.Millisecond
	c := carrier{to: &stream{tcp: to}, from: &stream{tcp: from}, arm: func() error {
		return errors.Join(from.SetReadDeadline(time.Now().Add(time.Minute)), to.SetWriteDeadline(time.Now().Add(patience)))
	}}
	defer c.close()
	var err error
	moved := 0
	for n := 0; err == nil; moved += n {
		n, err = c.move(piece)
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) || moved == 0 {
		t.Fatalf("%d bytes moved to one who takes none: %v", moved, err)
	}
	patience = time.Minute
	arrived := make(chan []byte)
	go func() {
		got, _ := io.ReadAll(sink)
		arrived <- got
	}()
	for n := 0; err != io.EOF; moved += n {
		if n, err = c.move(piece); err != nil && err != io.EOF {
			t.Fatal(err)
		}
	}
	_ = to.CloseWrite()
	if got := <-arrived; !bytes.Equal(got, sea) || moved != len(sea) {
		t.Fatalf("%d bytes arrived and %d moved, of %d", len(got), moved, len(sea))
	}
}
