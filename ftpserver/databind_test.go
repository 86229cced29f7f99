package ftpserver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"slices"
	"sync"
	"testing"
	"time"

	"towpath/internal/resume"
)

// testCertificate is one self-signed certificate for all tests.
var testCertificate = sync.OnceValues(func() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"ftp.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
})

func serverTLS(t testing.TB) *tls.Config {
	t.Helper()
	c, err := testCertificate()
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{c}}
}

// handshake runs a handshake over the loopback; the client reads a byte, as it
// reads a reply, so that it gets the tickets of TLS 1.3.
func handshake(t testing.TB, server, client *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	a, b := tcpPair(t)
	defer a.Close()
	defer b.Close()
	s, c := tls.Server(a, server), tls.Client(b, client)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		_, _ = io.ReadFull(c, make([]byte, 1)) // the server's word counts
		_ = b.Close()
	})
	if err := s.Handshake(); err != nil {
		_ = a.Close()
		return s.ConnectionState(), err
	}
	if _, err := s.Write([]byte("x")); err != nil {
		return s.ConnectionState(), err
	}
	return s.ConnectionState(), nil
}

func TestBinding(t *testing.T) {
	const (
		own       = "ticket of this session"
		afterData = "ticket of an earlier data connection"
		foreign   = "ticket of another session"
		none      = "no ticket"
		unknown   = "ticket of another server"
	)
	type verdict struct {
		bound bool
		err   error
	}
	for _, test := range []struct {
		mode   Binding
		ticket string
		want   verdict
	}{
		{BindOff, own, verdict{bound: true}},
		{BindOff, foreign, verdict{}},
		{BindOff, none, verdict{}},
		{BindPrefer, own, verdict{bound: true}},
		{BindPrefer, afterData, verdict{bound: true}},
		{BindPrefer, foreign, verdict{}},
		{BindPrefer, none, verdict{}},
		{BindPrefer, unknown, verdict{}},
		{BindRequire, own, verdict{bound: true}},
		{BindRequire, afterData, verdict{bound: true}},
		{BindRequire, foreign, verdict{err: resume.ErrForeign}},
		{BindRequire, none, verdict{err: resume.ErrUnbound}},
		{BindRequire, unknown, verdict{err: resume.ErrUnbound}},
	} {
		for name, version := range tlsVersions {
			base := serverTLS(t)
			session, other := resume.NewBinding(base, test.mode), resume.NewBinding(base, test.mode)
			cache := tls.NewLRUClientSessionCache(1)
			begin := func(b *resume.Binding) {
				if _, err := handshake(t, b.Control(), clientConfig(version, cache)); err != nil {
					t.Fatalf("control: %v", err)
				}
			}
			switch test.ticket {
			case own:
				begin(session)
			case afterData:
				begin(session)
				for range 3 {
					if cs, err := handshake(t, session.Data(), clientConfig(version, cache)); err != nil || !cs.DidResume {
						t.Fatalf("data: resumed %v, %v", cs.DidResume, err)
					}
				}
			case foreign:
				begin(other)
			case unknown:
				begin(resume.NewBinding(serverTLS(t), test.mode))
			}
			cs, err := handshake(t, session.Data(), clientConfig(version, cache))
			var got verdict
			if err != nil {
				got.err = err
			} else {
				got.bound, got.err = session.Verify(cs)
			}
			if got.bound != test.want.bound || !errors.Is(got.err, test.want.err) {
				t.Errorf("%s, mode %d, %s: %v, want %v", name, test.mode, test.ticket, got, test.want)
			}
		}
	}
}

// A client that comes back with the ticket of its last session must not keep
// it, or its data connections would be refused as somebody else's.
func TestBindingControlStartsAnew(t *testing.T) {
	for name, version := range tlsVersions {
		base := serverTLS(t)
		cache := tls.NewLRUClientSessionCache(1)
		for range 2 {
			b := resume.NewBinding(base, BindRequire)
			cs, err := handshake(t, b.Control(), clientConfig(version, cache))
			if err != nil || cs.DidResume {
				t.Fatalf("%s: control resumed %v, %v", name, cs.DidResume, err)
			}
			cs, err = handshake(t, b.Data(), clientConfig(version, cache))
			if bound, verr := b.Verify(cs); err != nil || verr != nil || !bound {
				t.Errorf("%s: data bound %v, %v, %v", name, bound, err, verr)
			}
		}
	}
}

// Certificates that are chosen for each client (SNI, reload) are bound as well.
func TestBindingChosenConfig(t *testing.T) {
	for name, version := range tlsVersions {
		base := &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return serverTLS(t), nil }}
		b, other := resume.NewBinding(base, BindRequire), resume.NewBinding(base, BindRequire)
		cache := tls.NewLRUClientSessionCache(1)
		if _, err := handshake(t, b.Control(), clientConfig(version, cache)); err != nil {
			t.Fatal(err)
		}
		if cs, err := handshake(t, b.Data(), clientConfig(version, cache)); err != nil || !cs.DidResume {
			t.Errorf("%s: own session: resumed %v, %v", name, cs.DidResume, err)
		}
		if _, err := handshake(t, other.Data(), clientConfig(version, cache)); !errors.Is(err, resume.ErrForeign) {
			t.Errorf("%s: other session: %v", name, err)
		}
	}
}

func TestALPN(t *testing.T) {
	b := resume.NewBinding(serverTLS(t), BindOff)
	for _, test := range []struct {
		offer         []string
		control, data bool
	}{
		{nil, true, true},
		{[]string{"ftp"}, true, true},
		{[]string{"x-filezilla-ftp", "ftp"}, true, true},
		{[]string{"ftp-data"}, false, true},
		{[]string{"http/1.1"}, false, false},
		{[]string{"h2", "http/1.1"}, false, false},
		{[]string{"smtp"}, false, false},
	} {
		client := clientConfig(tls.VersionTLS13, nil)
		client.NextProtos = test.offer
		if _, err := handshake(t, b.Control(), client); (err == nil) != test.control {
			t.Errorf("control, offer %q: %v", test.offer, err)
		}
		if _, err := handshake(t, b.Data(), client); (err == nil) != test.data {
			t.Errorf("data, offer %q: %v", test.offer, err)
		}
	}
}

func TestBindingLeavesBaseAlone(t *testing.T) {
	protos := make([]string, 1, 8)
	protos[0] = "x-own"
	base := serverTLS(t)
	base.NextProtos, base.MinVersion = protos, tls.VersionTLS10
	b := resume.NewBinding(base, BindOff)
	if c := b.Control(); !slices.Equal(c.NextProtos, []string{"x-own", "ftp"}) || c.MinVersion != tls.VersionTLS12 {
		t.Errorf("control: %q, version %x", c.NextProtos, c.MinVersion)
	}
	if c := b.Data(); !slices.Equal(c.NextProtos, []string{"x-own", "ftp", "ftp-data"}) {
		t.Errorf("data: %q", c.NextProtos)
	}
	if base.WrapSession != nil || len(base.NextProtos) != 1 || protos[:2][1] != "" || base.MinVersion != tls.VersionTLS10 {
		t.Error("the base was changed")
	}
	if first, second := b.Control(), b.Control(); first != second {
		t.Error("a configuration is made twice")
	}
	if first, second := b.Data(), b.Data(); first != second {
		t.Error("a configuration is made twice")
	}
}

func BenchmarkBinding(b *testing.B) {
	base := serverTLS(b)
	b.ReportAllocs()
	for b.Loop() {
		resume.NewBinding(base, BindPrefer).Control()
	}
}

func BenchmarkDataHandshake(b *testing.B) {
	bind := resume.NewBinding(serverTLS(b), BindPrefer)
	client := clientConfig(tls.VersionTLS13, tls.NewLRUClientSessionCache(1))
	for b.Loop() {
		if _, err := handshake(b, bind.Data(), client); err != nil {
			b.Fatal(err)
		}
	}
}
