package ftpserver

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"towpath/internal/ports"
	"towpath/internal/records"
	"towpath/internal/resume"
)

// tcpPair is a connection of the loopback, both ends.
func tcpPair(t testing.TB) (server, client *net.TCPConn) {
	t.Helper()
	p := ports.New(ports.Range{})
	l, err := p.Listen(t.Context(), netip.MustParseAddr("127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err = net.DialTCP("tcp", nil, l.Addr().(*net.TCPAddr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	server, err = l.Accept(t.Context(), time.Now().Add(time.Minute), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return server, client
}

// noise is n bytes that no mistake reproduces.
func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b) // never fails
	return b
}

var tlsVersions = map[string]uint16{"TLS1.2": tls.VersionTLS12, "TLS1.3": tls.VersionTLS13}

func clientConfig(version uint16, cache tls.ClientSessionCache) *tls.Config {
	return &tls.Config{
		InsecureSkipVerify: true, ServerName: "ftp.example",
		MinVersion: version, MaxVersion: version, ClientSessionCache: cache,
	}
}

// Downloads of all sizes arrive whole and end cleanly.
func TestRecordsArrive(t *testing.T) {
	for name, version := range tlsVersions {
		for _, size := range []int{0, 1, 16384, 64<<10 - 1, records.Most, 3*records.Most + 17} {
			server, client := tcpPair(t)
			want := noise(size)
			var wg sync.WaitGroup
			wg.Go(func() {
				c := tls.Server(records.Gather(server), resume.NewBinding(serverTLS(t), BindOff).Data())
				if err := c.Handshake(); err != nil {
					t.Errorf("%s %d: %v", name, size, err)
				}
				for b := want; len(b) > 0; b = b[min(len(b), 100_000):] {
					if _, err := c.Write(b[:min(len(b), 100_000)]); err != nil {
						t.Errorf("%s %d: %v", name, size, err)
					}
				}
				if err := c.Close(); err != nil {
					t.Errorf("%s %d: close: %v", name, size, err)
				}
			})
			got, err := io.ReadAll(tls.Client(client, clientConfig(version, nil)))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: %d of %d bytes, %v", name, len(got), size, err)
			}
			wg.Wait()
		}
	}
}

// An upload that ends with close_notify is whole; one that ends by the end of
// the TCP connection alone is cut (the truncation attack).
func TestUploadEnds(t *testing.T) {
	for name, version := range tlsVersions {
		for _, size := range []int{0, 1000, pipeSize + 1000} {
			for _, clean := range []bool{true, false} {
				server, client := tcpPair(t)
				want := noise(size)
				var wg sync.WaitGroup
				wg.Go(func() {
					c := tls.Client(client, clientConfig(version, nil))
					if _, err := c.Write(want); err != nil {
						t.Errorf("%s %d: %v", name, size, err)
					}
					if err := c.Handshake(); err != nil {
						t.Errorf("%s %d: %v", name, size, err)
					}
					if clean {
						_ = c.CloseWrite() // else what the server says is checked below
					}
					_ = client.CloseWrite()
					_, _ = io.Copy(io.Discard, c) // the ticket must not be left unread: a reset would follow
				})
				c := tls.Server(records.Gather(server), resume.NewBinding(serverTLS(t), BindOff).Data())
				var got bytes.Buffer
				n, err := copyPiped(&got, c, nil)
				if n != int64(size) || !bytes.Equal(got.Bytes(), want) {
					t.Errorf("%s: %d of %d bytes", name, n, size)
				}
				if clean && err != nil || !clean && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("%s %d bytes, close_notify %v: %v", name, size, clean, err)
				}
				_ = c.Close()
				wg.Wait()
			}
		}
	}
}

func TestCopyPiped(t *testing.T) {
	broken := errors.New("broken")
	for _, size := range []int{0, 1, pipeEnough - 1, pipeEnough, pipeSize, 5*pipeSize + 3} {
		want := noise(size)
		for name, src := range map[string]io.Reader{
			"at once":     bytes.NewReader(want),
			"by halves":   iotest.HalfReader(bytes.NewReader(want)),
			"with EOF":    iotest.DataErrReader(bytes.NewReader(want)),
			"then broken": io.MultiReader(bytes.NewReader(want), iotest.ErrReader(broken)),
		} {
			var got bytes.Buffer
			var told int64
			n, err := copyPiped(&got, src, func(n int64) error { told += n; return nil })
			if n != int64(size) || told != n || !bytes.Equal(got.Bytes(), want) {
				t.Errorf("%d bytes %s: %d written, %d told", size, name, n, told)
			}
			if name == "then broken" && err != broken || name != "then broken" && err != nil {
				t.Errorf("%d bytes %s: %v", size, name, err)
			}
		}
	}
}

// fullAfter takes n bytes, like a disk that is full then.
type fullAfter struct{ n int }

var errFull = errors.New("disk full")

func (f *fullAfter) Write(p []byte) (int, error) {
	n := min(f.n, len(p))
	if f.n -= n; n < len(p) {
		return n, errFull
	}
	return n, nil
}

func TestCopyPipedErrors(t *testing.T) {
	for _, room := range []int{0, 1000, pipeSize, 2*pipeSize + 1} {
		n, err := copyPiped(&fullAfter{room}, io.LimitReader(zeros{}, 100<<20), nil)
		sink, ok := errors.AsType[*sinkError](err)
		if !ok || !errors.Is(sink, errFull) || n != int64(room) {
			t.Errorf("room for %d: %d, %v", room, n, err)
		}
	}
	stop := errors.New("quota")
	left := 3 * pipeSize
	n, err := copyPiped(io.Discard, zeros{}, func(n int64) error {
		if left -= int(n); left <= 0 {
			return stop
		}
		return nil
	})
	if err != stop || n != 3*pipeSize-int64(left) {
		t.Errorf("stopped: %d, %v", n, err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// BenchmarkDownload sends a file over TLS with gathered records and without.
func BenchmarkDownload(b *testing.B) {
	for _, gather := range []bool{false, true} {
		b.Run(map[bool]string{false: "plain", true: "gathered"}[gather], func(b *testing.B) {
			server, client := tcpPair(b)
			go func() {
				c := tls.Client(client, clientConfig(tls.VersionTLS13, nil))
				if err := c.Handshake(); err != nil {
					b.Error(err)
				}
				// The peer's cipher is not what is measured.
				_, _ = io.Copy(io.Discard, client)
			}()
			var conn net.Conn = server
			if gather {
				conn = records.Gather(server)
			}
			c := tls.Server(conn, resume.NewBinding(serverTLS(b), BindOff).Data())
			buf := make([]byte, 256<<10)
			b.SetBytes(int64(len(buf)))
			for b.Loop() {
				if _, err := c.Write(buf); err != nil {
					b.Fatal(err)
				}
			}
			_ = c.Close()
		})
	}
}

// BenchmarkUpload stores what comes over TLS, decrypting and writing in turn
// or at the same time.
func BenchmarkUpload(b *testing.B) {
	for _, piped := range []bool{false, true} {
		b.Run(map[bool]string{false: "inturn", true: "piped"}[piped], func(b *testing.B) {
			f, err := os.Create(filepath.Join(b.TempDir(), "upload"))
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			server, client := tcpPair(b)
			const size = 64 << 20
			b.SetBytes(size)
			total := int64(b.N) * size
			go func() {
				c := tls.Client(client, clientConfig(tls.VersionTLS13, nil))
				buf := make([]byte, 256<<10)
				for sent := int64(0); sent < total; sent += int64(len(buf)) {
					if _, err := c.Write(buf); err != nil {
						b.Error(err)
						return
					}
				}
				_ = c.CloseWrite()
			}()
			c := tls.Server(records.Gather(server), resume.NewBinding(serverTLS(b), BindOff).Data())
			for range b.N {
				_, _ = f.Seek(0, io.SeekStart)
				src := io.LimitReader(c, size)
				if piped {
					_, err = copyPiped(f, src, nil)
				} else {
					_, err = io.CopyBuffer(struct{ io.Writer }{f}, src, make([]byte, pipeSize))
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
