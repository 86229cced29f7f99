package records

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"testing"
	"time"
)

// tlsPair speaks TLS over a connection of the loopback; raw is what the client's
// records go through, for a test to hold them up.
func tlsPair(t *testing.T, version uint16) (under *Conn, server, client *tls.Conn, raw *valve) {
	t.Helper()
	web := httptest.NewUnstartedServer(nil) // it has a certificate
	web.StartTLS()
	t.Cleanup(web.Close)
	s, c := tcpPair(t)
	under, raw = Gather(s), &valve{Conn: c}
	server = tls.Server(under, &tls.Config{Certificates: web.TLS.Certificates, MaxVersion: version})
	client = tls.Client(raw, &tls.Config{InsecureSkipVerify: true, MaxVersion: version})
	shaken := make(chan error)
	go func() { shaken <- client.Handshake() }()
	if err := server.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-shaken; err != nil {
		t.Fatal(err)
	}
	return under, server, client, raw
}

// valve collects what is written while it is shut.
type valve struct {
	net.Conn
	shut bool
	held bytes.Buffer
}

func (v *valve) Write(p []byte) (int, error) {
	if v.shut {
		return v.held.Write(p)
	}
	return v.Conn.Write(p)
}

// SetWriteDeadline does nothing: crypto/tls sets one behind close_notify, which
// is still held then.
func (v *valve) SetWriteDeadline(time.Time) error { return nil }

// What comes in pieces that have nothing to do with records arrives whole, with
// a clean end told from a cut.
func TestFill(t *testing.T) {
	t.Parallel()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, clean := range []bool{true, false} {
			under, server, client, raw := tlsPair(t, version)
			rnd := rand.New(rand.NewPCG(1, 2))
			want := make([]byte, 3<<20)
			for i := range want {
				want[i] = byte(rnd.Uint32())
			}
			raw.shut = true
			for b := want; len(b) > 0; {
				n := min(len(b), 1+rnd.IntN(40_000))
				if _, err := client.Write(b[:n]); err != nil {
					t.Fatal(err)
				}
				b = b[n:]
			}
			if clean {
				if err := client.CloseWrite(); err != nil {
					t.Fatal(err)
				}
			}
			go func() {
				for raw.held.Len() > 0 {
					if _, err := raw.Conn.Write(raw.held.Next(1 + rnd.IntN(60_000))); err != nil {
						t.Error(err)
						break
					}
				}
				if err := raw.Conn.(*net.TCPConn).CloseWrite(); err != nil {
					t.Error(err)
				}
			}()
			var got []byte
			var err error
			for buf := make([]byte, 200_000); err == nil; {
				var n int
				n, err = under.Fill(server, buf)
				got = append(got, buf[:n]...)
			}
			if clean && err != io.EOF || !clean && err != ErrNoCloseNotify {
				t.Errorf("%s, close_notify %v: %v", tls.VersionName(version), clean, err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s: %d of %d bytes, or others", tls.VersionName(version), len(got), len(want))
			}
			if under.came.buf != nil {
				t.Error("the buffer was not given back")
			}
		}
	}
}

// Many records that are there come in one read, and none that is not there as a
// whole is waited for.
func TestFillWaitsForNothing(t *testing.T) {
	t.Parallel()
	under, server, client, raw := tlsPair(t, tls.VersionTLS13)
	raw.shut = true
	for range 8 {
		if _, err := client.Write(make([]byte, 10_000)); err != nil {
			t.Fatal(err)
		}
	}
	last := raw.held.Len() - 10
	if _, err := raw.Conn.Write(raw.held.Next(last)); err != nil {
		t.Fatal(err)
	}
	buf, n := make([]byte, 100_000), 0
	for n < 70_000 {
		got, err := under.Fill(server, buf[n:])
		if err != nil {
			t.Fatal(err)
		}
		n += got
	}
	if n != 70_000 {
		t.Errorf("%d bytes, want the 70000 that were there", n)
	}
	if _, err := raw.Conn.Write(raw.held.Next(10)); err != nil {
		t.Fatal(err)
	}
	if got, err := under.Fill(server, buf); got != 10_000 || err != nil {
		t.Errorf("then %d bytes and %v, want 10000", got, err)
	}
}

// However a stream is cut, its records are the same.
func FuzzMeter(f *testing.F) {
	f.Add([]byte{23, 3, 3, 0, 2, 1, 0, 21, 3, 3, 0, 0, 22}, uint8(3))
	f.Fuzz(func(t *testing.T, stream []byte, step uint8) {
		var whole, cut meter
		whole.pass(stream)
		for b := stream; len(b) > 0; {
			n := min(len(b), 1+int(step))
			cut.pass(b[:n])
			b = b[n:]
		}
		if whole.have != cut.have || whole.have == len(whole.head) && whole.left != cut.left {
			t.Fatalf("%d of the head and %d behind it, in pieces %d and %d", whole.have, whole.left, cut.have, cut.left)
		}
		for len(stream) >= 5 {
			n := 5 + int(binary.BigEndian.Uint16(stream[3:]))
			if n > len(stream) {
				break
			}
			stream = stream[n:]
		}
		if want := min(len(stream), 5); whole.have != want {
			t.Fatalf("%d of the next head have passed, want %d", whole.have, want)
		}
	})
}
