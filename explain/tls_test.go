package explain

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http/httptest"
	"testing"
)

// recorded keeps what passes one way.
type recorded struct {
	net.Conn
	sent bytes.Buffer
}

func (r *recorded) Write(b []byte) (int, error) {
	r.sent.Write(b)
	return r.Conn.Write(b)
}

// A handshake that resumes a session is told from one that does not.
func TestResumption(t *testing.T) {
	t.Parallel()
	web := httptest.NewTLSServer(nil) // for its certificate
	defer web.Close()
	for name, version := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := &tls.Config{Certificates: web.TLS.Certificates, MaxVersion: version}
			client := web.Client().Transport.(interface{ CloseIdleConnections() })
			client.CloseIdleConnections()
			config := &tls.Config{InsecureSkipVerify: true, MaxVersion: version, ServerName: "example.com", ClientSessionCache: tls.NewLRUClientSessionCache(1)}
			for i, want := range []bool{false, true} {
				a, b := net.Pipe()
				near, far := &recorded{Conn: a}, &recorded{Conn: b}
				done := make(chan error, 1)
				go func() {
					c := tls.Server(far, server)
					_, err := io.WriteString(c, "x")
					done <- err
				}()
				c := tls.Client(near, config)
				if _, err := io.ReadFull(c, make([]byte, 1)); err != nil { // the ticket comes with it
					t.Fatal(err)
				}
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				_ = a.Close()
				_ = b.Close()
				head := func(b []byte) []byte { return b[:min(len(b), tlsHeadSize)] }
				resumed, known := resumption(head(near.sent.Bytes()), head(far.sent.Bytes()))
				if resumed != want || !known || resumed != c.ConnectionState().DidResume {
					t.Errorf("handshake %d: resumed is %v, known %v, want %v", i, resumed, known, want)
				}
			}
		})
	}
}

func FuzzResumption(f *testing.F) {
	f.Add([]byte("\x16\x03\x01\x00\x50\x01\x00\x00\x4c\x03\x03"), []byte("\x16\x03\x01\x00\x50\x02\x00\x00\x4c\x03\x03"))
	f.Fuzz(func(t *testing.T, client, server []byte) {
		if resumed, known := resumption(client, server); resumed && !known {
			t.Error("resumed, and not known")
		}
	})
}
