package ftpclient_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"towpath/ftpclient"
)

// trickle is a connection on which little moves at each step, for so long; then as
// much as there is, or nothing.
type trickle struct {
	net.Conn
	until time.Time
	stops bool
}

var errStopped = errors.New("nothing moves any more")

// step is how many of n bytes move, at most few.
func (c trickle) step(n, few int) (int, error) {
	switch {
	case time.Now().Before(c.until):
		time.Sleep(20 * time.Millisecond)
		return min(n, few), nil
	case c.stops:
		return 0, errStopped
	default:
		return n, nil
	}
}

func (c trickle) Read(p []byte) (int, error) {
	n, err := c.step(len(p), 128)
	if err != nil {
		return 0, err
	}
	return c.Conn.Read(p[:n])
}

func (c trickle) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var put int
		if put, err = c.step(len(p)-n, 64); err == nil {
			put, err = c.Conn.Write(p[n : n+put])
			n += put
		}
	}
	return n, err
}

// narrow opens the port of a data connection that has little room: what is not read
// soon is not acknowledged. Segments are small, so that little moves it.
func narrow(p *peer, _ string) {
	port := p.port()
	raw, err := p.listener.(*net.TCPListener).SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) {
			for _, o := range [][3]int{{unix.SOL_SOCKET, unix.SO_RCVBUF, 4 << 10}, {unix.IPPROTO_TCP, unix.TCP_MAXSEG, 536}} {
				if err := unix.SetsockoptInt(int(fd), o[0], o[1], o[2]); err != nil {
					p.t.Error(err)
				}
			}
		})
	}
	if err != nil {
		p.t.Error(err)
	}
	p.say("229 Come (|||" + port + "|)")
}

// A transfer on a line so slow that a write, or a record of TLS, takes several
// StallTimeouts is not cut: the other end takes or gives bytes all the time. It is
// cut when that ends.
func TestSlowLines(t *testing.T) {
	t.Parallel()
	sea := noise(2 << 20)
	record := sea[:16<<10]
	file := filepath.Join(t.TempDir(), "sea")
	if err := os.WriteFile(file, sea, 0o600); err != nil {
		t.Fatal(err)
	}
	var ends []func()
	for _, test := range []struct {
		name               string
		private, up, stops bool
		file               bool
	}{
		{name: "upload", up: true},
		{name: "upload by the kernel", up: true, file: true},
		{name: "upload over TLS", up: true, private: true},
		{name: "download over TLS", private: true},
		{name: "upload that stops", up: true, private: true, stops: true},
		{name: "download that stops", private: true, stops: true},
	} {
		came := make(chan []byte, 1)
		data := func(p *peer) net.Conn {
			p.say("150 Now.")
			c, err := p.listener.Accept()
			if err != nil {
				p.t.Error(err)
				return p.conn
			}
			p.t.Cleanup(func() { _ = c.Close() })
			_ = c.SetDeadline(time.Now().Add(patience))
			slow := trickle{c, time.Now().Add(4 * time.Second), test.stops}
			if test.stops {
				slow.until = time.Now().Add(time.Second)
			}
			if p.private {
				return tls.Server(slow, p.tls)
			}
			return slow
		}
		v := &villain{tls: serverTLS()}
		v.tls.DynamicRecordSizingDisabled = true // record is one
		v.on = map[string]func(*peer, string){
			"EPSV": narrow,
			"STOR": func(p *peer, _ string) {
				d := data(p)
				got, err := io.ReadAll(d)
				if err == nil {
					_ = d.Close()
					p.say("226 Done.")
				}
				came <- got
			},
			"RETR": func(p *peer, _ string) {
				d := data(p)
				_, err := d.Write(record)
				if err == nil {
					_ = d.Close()
					p.say("226 Done.")
				}
				came <- record
			},
		}
		change := func(o *ftpclient.Options) {
			o.StallTimeout = 2 * time.Second
			if test.private {
				explicit(o)
			}
		}
		c := visit(t, play(t, v), change)
		ctx, ended := testContext(t), make(chan error, 1)
		var got bytes.Buffer
		go func() {
			var err error
			switch {
			case test.file:
				var f *os.File
				if f, err = os.Open(file); err == nil {
					_, err = c.Put(ctx, "f", f)
					_ = f.Close()
				}
			case test.up:
				_, err = c.Put(ctx, "f", bytes.NewReader(sea))
			default:
				_, err = c.Get(ctx, "f", &got)
			}
			ended <- err
		}()
		ends = append(ends, func() {
			err := <-ended
			switch {
			case test.stops:
				if !errors.Is(err, ftpclient.ErrStalled) {
					t.Errorf("%s: %v, want ErrStalled", test.name, err)
				}
				return
			case err != nil:
				t.Errorf("%s: %v", test.name, err)
				return
			}
			has, want := <-came, sea
			if !test.up {
				has, want = got.Bytes(), record
			}
			if !bytes.Equal(has, want) {
				t.Errorf("%s: %d bytes came of %d", test.name, len(has), len(want))
			}
		})
	}
	for _, end := range ends { // all are slow at the same time
		end()
	}
}
