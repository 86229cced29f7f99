package ftpserver_test

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"towpath/ftpserver"
	"towpath/ftptest"
	"towpath/storage/disk"
)

// slowStall is the StallTimeout of slow lines here, and slowFor how long one is
// slow: so long that a server that counts whole pieces sees nothing in time.
const (
	slowStall = 2 * time.Second
	slowFor   = 4 * time.Second
	slowStep  = 20 * time.Millisecond
)

// trickling opens the data connection that was announced, with little room: what is
// not read soon is not acknowledged. Segments are small, so that little moves it.
func trickling(t *testing.T, c *ftptest.Conn) func() *net.TCPConn {
	t.Helper()
	port := passivePort(t, c)
	d := net.Dialer{Timeout: patience, Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) {
			for _, o := range [][3]int{{unix.SOL_SOCKET, unix.SO_RCVBUF, 4 << 10}, {unix.IPPROTO_TCP, unix.TCP_MAXSEG, 536}} {
				if err := unix.SetsockoptInt(int(fd), o[0], o[1], o[2]); err != nil {
					t.Error(err)
				}
			}
		})
	}}
	return func() *net.TCPConn {
		d, err := d.Dial("tcp", port.String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = d.Close() })
		_ = d.SetDeadline(time.Now().Add(patience))
		return d.(*net.TCPConn)
	}
}

// trickle is a connection on which little moves at each step, for so long; then as
// much as there is, or nothing.
type trickle struct {
	*net.TCPConn
	until time.Time
	stops bool
}

var errStopped = errors.New("nothing moves any more")

// step is how many of n bytes move, at most few.
func (c trickle) step(n, few int) (int, error) {
	switch {
	case time.Now().Before(c.until):
		time.Sleep(slowStep)
		return min(n, few), nil
	case c.stops:
		return 0, errStopped
	default:
		return n, nil
	}
}

func (c trickle) Read(p []byte) (int, error) {
	n, err := c.step(len(p), 512)
	if err != nil {
		return 0, err
	}
	return c.TCPConn.Read(p[:n])
}

func (c trickle) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var put int
		if put, err = c.step(len(p)-n, 64); err == nil {
			put, err = c.TCPConn.Write(p[n : n+put])
			n += put
		}
	}
	return n, err
}

// A transfer on a line so slow that a piece takes several StallTimeouts is not
// cut, whatever it goes through: the other end takes or gives bytes all the time.
// It is cut when that ends, and when it is slower than MinRate.
func TestSlowLines(t *testing.T) {
	t.Parallel()
	sea := make([]byte, 8<<20) // more than fits into all buffers on the way
	_, _ = rand.NewChaCha8([32]byte{1}).Read(sea)
	sea = bytes.ReplaceAll(sea, []byte("\n"), []byte(" ")) // the same in ASCII
	record := sea[:16<<10]
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "sea"), sea, 0o600); err != nil {
		t.Fatal(err)
	}
	tree, err := disk.Open(dir, disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	var ends []func()
	for _, test := range []struct {
		name, set, line string
		private, stops  bool
		disk            bool
		minRate         int64
		reply           string
	}{
		{name: "clear", set: "TYPE I", line: "RETR sea"},
		{name: "by the kernel", set: "TYPE I", line: "RETR sea", disk: true},
		{name: "TLS", set: "TYPE I", line: "RETR sea", private: true},
		{name: "ASCII", set: "TYPE A", line: "RETR sea"},
		{name: "MODE Z", set: "MODE Z", line: "RETR sea"},
		{name: "upload", set: "TYPE I", line: "STOR new", private: true},
		{name: "stopped", set: "TYPE I", line: "RETR sea", private: true, stops: true, reply: "No data moved"},
		{name: "upload stopped", set: "TYPE I", line: "STOR new", private: true, stops: true, reply: "No data moved"},
		{name: "too slow", set: "TYPE I", line: "RETR sea", private: true, minRate: 1 << 30, reply: "minimum rate"},
	} {
		s := ftptest.Serve(t, ftptest.Files{"sea": string(sea)}, ftptest.TLS, func(o *ftpserver.Options) {
			o.StallTimeout, o.MinRate = slowStall, test.minRate
			if test.disk {
				o.Login = ftptest.Login(tree)
			}
		})
		c, config := s.Login(), ftptest.ClientTLS()
		config.DynamicRecordSizingDisabled = true // record is one
		if test.private {
			c = overTLS(s, config)
		}
		c.Do(test.set, 200)
		dial := trickling(t, c)
		c.Do(test.line, 150)
		slow := trickle{dial(), time.Now().Add(slowFor), test.stops}
		if test.stops {
			slow.until = time.Now().Add(slowFor / 2)
		}
		var d net.Conn = slow
		if test.private {
			d = tls.Client(slow, config)
		}
		moved := make(chan error, 1)
		var got []byte
		go func() {
			if test.line == "STOR new" {
				_, err := d.Write(record)
				if err == nil {
					err = d.Close()
				}
				moved <- err
				return
			}
			var from io.Reader = d
			var err error
			if test.set == "MODE Z" {
				if from, err = zlib.NewReader(d); err != nil {
					moved <- err
					return
				}
			}
			got, err = io.ReadAll(from)
			moved <- err
		}()
		ends = append(ends, func() {
			r := c.Reply()
			err := <-moved
			switch {
			case test.reply != "":
				if r.Code != 426 || !strings.Contains(r.Lines[0], test.reply) {
					t.Errorf("%s: S: %v, want 426 and %q", test.name, r, test.reply)
				}
				return
			case r.Code != 226 || err != nil:
				t.Errorf("%s: S: %v, and %v", test.name, r, err)
				return
			}
			want := sea
			if test.line == "STOR new" {
				got, want = []byte(s.File("new")), record
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s: %d bytes came of %d", test.name, len(got), len(want))
			}
		})
	}
	// Nor is the end of TLS in a hurry: files that just fill the buffers of a line, of
	// which the last bytes have gone when there is room for close_notify.
	later, cancel := context.WithTimeout(t.Context(), 5500*time.Millisecond) // crypto/tls gives it five
	defer cancel()
	for size := 80 << 10; size <= 200<<10; size += 6 << 10 {
		stops := size/(6<<10)%2 == 0 // and when it ends by a stall, that is what the client hears
		s := ftptest.Serve(t, ftptest.Files{"bay": string(sea[:size])}, ftptest.TLS, func(o *ftpserver.Options) {
			if stops {
				o.StallTimeout = slowStall / 2
			}
		})
		config := ftptest.ClientTLS()
		c := overTLS(s, config)
		dial := trickling(t, c)
		c.Do("RETR bay", 150)
		d := tls.Client(dial(), config)
		if err := d.Handshake(); err != nil {
			t.Fatal(err)
		}
		if stops {
			ends = append(ends, func() {
				if r := c.Reply(); r.Code != 226 && !strings.Contains(r.Lines[0], "No data moved") {
					t.Errorf("%d bytes that are not read: S: %v", size, r)
				}
			})
			continue
		}
		ends = append(ends, func() {
			<-later.Done()
			if got, err := io.ReadAll(d); err != nil || !bytes.Equal(got, sea[:size]) {
				t.Errorf("%d bytes came of %d: %v", len(got), size, err)
			}
			c.Expect(226)
		})
	}
	for _, end := range ends { // all are slow at the same time
		end()
	}
}
