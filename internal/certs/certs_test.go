package certs_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// issued is a certificate for tests, with its key and both PEM texts.
type issued struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
	lock []byte // the key's PEM
}

// issue makes a certificate for names, in date from one day ago until end. A nil
// parent means that it signs itself.
func issue(t testing.TB, parent *issued, end time.Time, names ...string) *issued {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: end.AddDate(-1, 0, 0), NotAfter: end,
		BasicConstraintsValid: true, IsCA: parent == nil,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	signer, signerKey := tmpl, key
	if parent != nil {
		signer, signerKey = parent.cert, parent.key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, signer, key.Public(), signerKey)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	k, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return &issued{
		cert: c, key: key,
		pem:  pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		lock: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: k}),
	}
}

// inAYear is when certificates of tests end that are in date.
func inAYear() time.Time { return time.Now().AddDate(0, 11, 0) }

// put writes a file below dir and returns its name.
func put(t testing.TB, dir, name string, parts ...[]byte) string {
	t.Helper()
	var text []byte
	for _, p := range parts {
		text = append(text, p...)
	}
	name = filepath.Join(dir, name)
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// replace puts a new file in the place of an old one, as certificate tools do:
// another inode, so that the change shows however coarse the file times are.
func replace(t testing.TB, name string, parts ...[]byte) {
	t.Helper()
	if err := os.Rename(put(t, filepath.Dir(name), "new", parts...), name); err != nil {
		t.Fatal(err)
	}
}

// shake carries out a handshake and returns the certificate the client saw.
func shake(t testing.TB, server *tls.Config, client *tls.Config) (*x509.Certificate, error) {
	t.Helper()
	c, s := pipe(t)
	done := make(chan error, 1)
	go func() {
		done <- tls.Server(s, server).Handshake()
		_ = s.Close() // so that a client that waits for more learns of a refusal
	}()
	conn := tls.Client(c, client)
	err := conn.Handshake()
	if err != nil {
		_ = c.Close()
		<-done
		return nil, err
	}
	seen := conn.ConnectionState().PeerCertificates[0]
	if err := <-done; err != nil {
		return nil, err
	}
	return seen, nil
}
