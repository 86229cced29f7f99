package records

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// tcpPair is a connection of the loopback, both ends.
func tcpPair(t testing.TB) (server, client *net.TCPConn) {
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
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(); _ = s.Close() })
	return s.(*net.TCPConn), c.(*net.TCPConn)
}

// What is held goes out though nothing follows: a listing that is made slowly,
// a transfer under a rate limit.
func TestRecordsAreNotHeldLong(t *testing.T) {
	t.Parallel()
	server, client := tcpPair(t)
	c := Gather(server)
	record := []byte{application, 3, 3, 0, 1, 'x'}
	for range 3 {
		if _, err := c.Write(record); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(client, make([]byte, len(record))); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRecordsFlush(t *testing.T) {
	t.Parallel()
	held := []byte{application, 3, 3, 0, 1, 'x'}
	for name, then := range map[string]func(c *Conn) error{
		"enough": func(c *Conn) error { c.enough = 1; _, err := c.Write(held); return err },
		"alert":  func(c *Conn) error { _, err := c.Write([]byte{21, 3, 3, 0, 1, 'x'}); return err },
		"read": func(c *Conn) error {
			_ = c.SetReadDeadline(time.Unix(1, 0))
			_, _ = c.Read(make([]byte, 1))
			return nil
		},
		"flush":      func(c *Conn) error { return c.Flush() },
		"deadline":   func(c *Conn) error { return c.SetWriteDeadline(time.Unix(1, 0)) },
		"closewrite": func(c *Conn) error { return c.CloseWrite() },
		"close":      func(c *Conn) error { return c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			server, client := tcpPair(t)
			c := Gather(server)
			c.armed = true // no timer shall help
			if _, err := c.Write(held); err != nil {
				t.Fatal(err)
			}
			if c.buf == nil || len(*c.buf) != len(held) {
				t.Fatal("the record was not held")
			}
			if err := then(c); err != nil {
				t.Error(err)
			}
			if c.buf != nil {
				t.Error("something is still held")
			}
			got := make([]byte, len(held))
			if _, err := io.ReadFull(client, got); err != nil || !bytes.Equal(got, held) {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

// A failed write is told by everything that follows, Close too.
func TestRecordsErrorStays(t *testing.T) {
	t.Parallel()
	server, _ := tcpPair(t)
	c := Gather(server)
	_ = c.SetDeadline(time.Unix(1, 0))
	if _, err := c.Write([]byte{application}); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"flush": c.Flush(),
		"write": func() error { _, err := c.Write([]byte{application}); return err }(),
		"close": c.Close(),
	} {
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A peer that reads nothing blocks a Write; Close from elsewhere ends it.
func TestRecordsCloseDuringWrite(t *testing.T) {
	t.Parallel()
	server, _ := tcpPair(t)
	c := Gather(server)
	blocked := make(chan error)
	go func() {
		record := append([]byte{application}, make([]byte, 1<<14)...)
		for {
			if _, err := c.Write(record); err != nil {
				blocked <- err
				return
			}
		}
	}()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := <-blocked; !errors.Is(err, net.ErrClosed) {
		t.Errorf("write: %v", err)
	}
}

// What follows a record stays in the connection.
func TestOneByOne(t *testing.T) {
	t.Parallel()
	for _, most := range []int{1, 3, 100} {
		server, client := tcpPair(t)
		record := []byte{21, 3, 3, 0, 2, 1, 0}
		if _, err := client.Write(append(bytes.Repeat(record, 2), "220 Clear."...)); err != nil {
			t.Fatal(err)
		}
		c := OneByOne(server)
		for range 2 {
			var got []byte
			for len(got) < len(record) {
				b := make([]byte, most)
				n, err := c.Read(b)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, b[:n]...)
			}
			if !bytes.Equal(got, record) {
				t.Errorf("%d at a time: read %q, want one record", most, got)
			}
		}
		rest := make([]byte, len("220 Clear."))
		if _, err := io.ReadFull(server, rest); err != nil || string(rest) != "220 Clear." {
			t.Errorf("%d at a time: behind the records %q, %v", most, rest, err)
		}
	}
}
