package gateway_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"towpath/ftpserver"
	"towpath/ftptest"
	"towpath/gateway"
)

// authority signs certificates of clients.
type authority struct{ tls.Certificate }

func newAuthority(t testing.TB) authority { return authority{issue(t, nil)} }

// issue makes a certificate that is signed by an authority, or by itself if that is
// nil: then it is one.
func issue(t testing.TB, by *authority) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	name, usage := "client", x509.KeyUsageDigitalSignature
	if by == nil { // OpenSSL takes what bears the name of its issuer for signed by itself
		name, usage = "authority", x509.KeyUsageCertSign
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: by == nil, BasicConstraintsValid: true,
		KeyUsage:    usage,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.Leaf, by.PrivateKey.(*ecdsa.PrivateKey)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// demanded has c let in nobody without a certificate of a.
func (a authority) demanded(c *tls.Config) {
	c.ClientCAs, c.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
	c.ClientCAs.AddCert(a.Leaf)
}

// of makes a client show that it is known to a.
func (a authority) of(t testing.TB, version uint16) *tls.Config {
	c := ftptest.ClientTLS()
	c.Certificates, c.MinVersion, c.MaxVersion = []tls.Certificate{issue(t, &a)}, version, version
	return c
}

var versions = []uint16{tls.VersionTLS12, tls.VersionTLS13}

// TestClientCertificates has the gateway demand a certificate of the client, and
// show its own to a server that demands one of another authority. On both sides
// each data connection resumes the session of its control connection; the server
// takes none that does not.
func TestClientCertificates(t *testing.T) {
	t.Parallel()
	clients, gateways := newAuthority(t), newAuthority(t)
	for _, near := range versions {
		for _, far := range versions {
			t.Run(tls.VersionName(near)+" to "+tls.VersionName(far), func(t *testing.T) {
				t.Parallel()
				srv := ftptest.Serve(t, ftptest.Files{"sea.txt": "0123456789"}, ftptest.TLS, requireResumption, func(o *ftpserver.Options) { gateways.demanded(o.TLS) })
				for _, mode := range []gateway.Mode{gateway.PassiveMode, gateway.ActiveMode} {
					before := srv.Stats()
					g := serve(t, "", terminate, func(o *gateway.Options) {
						clients.demanded(o.TLS)
						o.Route = to{Addr: srv.Addr, TLS: gateway.ExplicitTLS, Config: gateways.of(t, far)}
						o.ClientTLS, o.ServerMode = gateway.RequireTLS, mode
					})
					c := ftptest.Dial(t, g.addr)
					c.Expect(220)
					c.StartTLS(clients.of(t, near))
					enter(c)
					for _, announce := range []func(){c.Passive, c.Active} {
						announce()
						c.Do("RETR sea.txt", 150)
						d := c.Data().(*tls.Conn)
						if s := d.ConnectionState(); !s.DidResume || s.Version != near {
							t.Errorf("the client's data connection resumes %t by %s", s.DidResume, tls.VersionName(s.Version))
						}
						if got := readAll(t, d); got != "0123456789" {
							t.Errorf("%q", got)
						}
						c.Expect(226)
					}
					c.Put("STOR up.txt", "upwards")
					if got := srv.File("up.txt"); got != "upwards" {
						t.Errorf("stored %q", got)
					}
					c.Do("QUIT", 221)
					if s := srv.Stats(); s.Bound-before.Bound != 3 || s.Unbound != 0 || s.Foreign != 0 {
						t.Errorf("%v: data connections with the server: %+v", mode, s)
					}
				}
			})
		}
	}
}

// TestWrongClientCertificate: without a certificate, and with one of another
// authority, nobody hears of the server, and the record says why.
func TestWrongClientCertificate(t *testing.T) {
	t.Parallel()
	clients, others := newAuthority(t), newAuthority(t)
	for _, version := range versions {
		for name, config := range map[string]*tls.Config{
			"none":      {MinVersion: version, MaxVersion: version, InsecureSkipVerify: true},
			"another's": others.of(t, version),
		} {
			t.Run(tls.VersionName(version)+" "+name, func(t *testing.T) {
				t.Parallel()
				if name != "none" {
					// It shows what was not asked for, since nobody else is known.
					own := config.Certificates[0]
					config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil }
				}
				srv := ftptest.Serve(t, nil, ftptest.TLS)
				g := serve(t, srv.Addr, terminate, towards(srv.Addr, gateway.ClearTLS), func(o *gateway.Options) {
					clients.demanded(o.TLS)
					o.ClientTLS = gateway.RequireTLS
				})
				c := ftptest.Dial(t, g.addr)
				c.Expect(220)
				c.Do("AUTH TLS", 234)
				secure := tls.Client(c.Conn, config)
				err := secure.Handshake()
				if err == nil { // in TLS 1.3 it comes behind the handshake
					_, err = secure.Read(make([]byte, 1))
				}
				if err == nil || !strings.Contains(err.Error(), "remote error: tls") {
					t.Errorf("the client hears %v, want an alert", err)
				}
				_ = secure.Close() // it is cut
				if r := g.record(t); r.User != "" || r.TLS || !strings.Contains(r.Reason, "certificate") {
					t.Errorf("%+v", r)
				}
			})
		}
	}
}

// TestServerRefusesGateway: a server that does not know the gateway is not used,
// and the client hears so.
func TestServerRefusesGateway(t *testing.T) {
	t.Parallel()
	gateways, others := newAuthority(t), newAuthority(t)
	for _, version := range versions {
		for _, kind := range []gateway.ServerTLS{gateway.ExplicitTLS, gateway.ImplicitTLS} {
			t.Run(fmt.Sprint(tls.VersionName(version), " ", kind), func(t *testing.T) {
				t.Parallel()
				srv := ftptest.Serve(t, nil, ftptest.TLS, func(o *ftpserver.Options) { gateways.demanded(o.TLS) })
				addr := srv.Addr
				if kind == gateway.ImplicitTLS {
					addr = srv.Implicit
				}
				stranger := others.of(t, version)
				own := stranger.Certificates[0]
				stranger.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil }
				g := serve(t, "", func(o *gateway.Options) { o.Route = to{Addr: addr, TLS: kind, Config: stranger} })
				c, err := net.Dial("tcp", g.addr)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(time.Minute))
				said, err := io.ReadAll(c)
				// In TLS 1.3 we speak on before the server says what it lacks, and what
				// it says may be lost.
				told := version == tls.VersionTLS13 || strings.Contains(string(said), "certificate")
				if err != nil || !strings.HasPrefix(string(said), "421 ") || !told {
					t.Errorf("the client hears %q, %v, want 421 and why", said, err)
				}
			})
		}
	}
}
