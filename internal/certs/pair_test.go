package certs_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"towpath/internal/certs"
)

// pipe is a pair of connected sockets; net.Pipe would deadlock on the alert
// that both ends of a failed handshake may send.
func pipe(t testing.TB) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = client.Close() // may be closed already
		_ = server.Close()
	})
	return client, server
}

func TestLoad(t *testing.T) {
	t.Parallel()
	ca := issue(t, nil, inAYear(), "authority")
	a := issue(t, ca, inAYear(), "a.example")
	b := issue(t, ca, inAYear(), "b.example")
	sec1, err := x509.MarshalECPrivateKey(a.key)
	if err != nil {
		t.Fatal(err)
	}
	locked := pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")})
	oldLocked := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED"}, Bytes: []byte("x")})
	damaged := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw[:40]})
	tests := []struct {
		name      string
		cert, key []byte // key nil: in the certificate's file
		want      string // part of the error; empty: none
	}{
		{"two files", a.pem, a.lock, ""},
		{"one file", bytes.Join([][]byte{a.pem, a.lock}, nil), nil, ""},
		{"one file, key first", bytes.Join([][]byte{a.lock, a.pem}, nil), nil, ""},
		{"chain", bytes.Join([][]byte{a.pem, ca.pem}, nil), a.lock, ""},
		{"SEC 1 key behind its parameters", a.pem, append([]byte("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"),
			pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1})...), ""},
		{"key of another", a.pem, b.lock, "key.pem does not match certificate "},
		{"chain in the wrong order", bytes.Join([][]byte{ca.pem, a.pem}, nil), a.lock, "belongs to certificate 2 of the file; the server's own must come first"},
		{"damaged certificate", bytes.Join([][]byte{a.pem, damaged}, nil), a.lock, "cert.pem: certificate 2 of the file is damaged"},
		{"DER", a.cert.Raw, a.lock, "cert.pem: is in DER form"},
		{"no certificate", []byte("hello"), a.lock, "cert.pem: holds no certificate"},
		{"no key", a.pem, a.pem, "key.pem: holds no private key"},
		{"no key in one file", a.pem, nil, "cert.pem: holds no private key"},
		{"locked key", a.pem, locked, "key.pem: is locked by a passphrase"},
		{"locked key of old openssl", a.pem, oldLocked, "key.pem: is locked by a passphrase"},
		{"damaged key", a.pem, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")}), "key.pem: private key is damaged"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			p := certs.Pair{Cert: put(t, dir, "cert.pem", tt.cert)}
			if tt.key != nil {
				p.Key = put(t, dir, "key.pem", tt.key)
			}
			c, err := certs.Load(p)
			switch {
			case tt.want == "" && err != nil:
				t.Fatal(err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), dir)):
				t.Fatalf("error %v, want one that says %q and names the file in %s", err, tt.want, dir)
			case tt.want == "" && !c.Leaf.Equal(a.cert):
				t.Fatalf("certificate of %v", c.Leaf.DNSNames)
			}
		})
	}
	t.Run("missing file", func(t *testing.T) {
		t.Parallel()
		_, err := certs.Load(certs.Pair{Cert: filepath.Join(t.TempDir(), "nowhere.pem")})
		if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "nowhere.pem: cannot be read") {
			t.Fatal(err)
		}
	})
}

func TestLoadRSA(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{DNSNames: []string{"rsa.example"}, NotAfter: inAYear()}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	file := put(t, t.TempDir(), "rsa.pem",
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	if _, err := certs.Load(certs.Pair{Cert: file}); err != nil {
		t.Fatal(err)
	}
}

func TestValid(t *testing.T) {
	t.Parallel()
	a := issue(t, nil, time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC), "a.example")
	c, err := certs.Load(certs.Pair{Cert: put(t, t.TempDir(), "a.pem", a.pem, a.lock)})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		at   time.Time
		want string
	}{
		{time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC), ""},
		{time.Date(2026, 3, 4, 5, 6, 8, 0, time.UTC), "certificate of a.example expired on 2026-03-04"},
		{time.Date(2025, 3, 4, 5, 6, 6, 0, time.UTC), "certificate of a.example is not valid before 2025-03-04 (is the clock right?)"},
	} {
		got := ""
		if err := certs.Valid(c, tt.at); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("at %v: %q, want %q", tt.at, got, tt.want)
		}
	}
}

func TestAuthorities(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	one, two := issue(t, nil, inAYear(), "one"), issue(t, nil, inAYear(), "two")
	other := issue(t, nil, inAYear(), "other")
	pool, err := certs.Authorities(put(t, dir, "both.pem", one.pem, two.pem))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		by *issued
		ok bool
	}{{one, true}, {two, true}, {other, false}} {
		client := issue(t, tt.by, inAYear(), "client")
		_, err := client.cert.Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
		if (err == nil) != tt.ok {
			t.Errorf("client signed by %s: %v", tt.by.cert.Subject.CommonName, err)
		}
	}
	if _, err := certs.Authorities(put(t, dir, "empty.pem", nil)); err == nil || !strings.Contains(err.Error(), "empty.pem: holds no certificate") {
		t.Errorf("empty file: %v", err)
	}
}

// FuzzLoad feeds damaged files; whatever loads must be of use to crypto/tls.
func FuzzLoad(f *testing.F) {
	a := issue(f, nil, inAYear(), "a.example")
	f.Add(append(bytes.Clone(a.pem), a.lock...))
	f.Add(a.cert.Raw)
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := certs.Load(certs.Pair{Cert: put(t, t.TempDir(), "x.pem", text)})
		if err != nil {
			return
		}
		if c.Leaf == nil || c.PrivateKey == nil || !bytes.Equal(c.Certificate[0], c.Leaf.Raw) {
			t.Fatalf("half a certificate: %+v", c)
		}
	})
}
