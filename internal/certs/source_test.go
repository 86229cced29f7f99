package certs_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"towpath/internal/certs"
)

// served asks s for the certificate for a name, as a handshake does.
func served(t testing.TB, s *certs.Source, name string) *x509.Certificate {
	t.Helper()
	c, err := s.GetCertificate(&tls.ClientHelloInfo{
		ServerName:        name,
		SupportedVersions: []uint16{tls.VersionTLS13},
		SignatureSchemes:  []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c.Leaf
}

// record returns a logger and what was logged, without times.
func record() (*slog.Logger, *bytes.Buffer) {
	var b bytes.Buffer
	return slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})), &b
}

// TestReload walks through the life of a pair of files. Time is that of the
// bubble, which begins in the year 2000; files have real times, of which only
// a difference counts.
func TestReload(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		first, second, third := issue(t, nil, inAYear(), "one"), issue(t, nil, inAYear(), "two"), issue(t, nil, inAYear(), "three")
		p := certs.Pair{Cert: put(t, dir, "cert.pem", first.pem), Key: put(t, dir, "key.pem", first.lock)}
		log, logged := record()
		s, err := certs.Open(log, p)
		if err != nil {
			t.Fatal(err)
		}
		expect := func(what string, want *issued, lines ...string) {
			t.Helper()
			if got := served(t, s, "x"); !got.Equal(want.cert) {
				t.Errorf("%s: certificate of %s, want %s", what, got.Subject, want.cert.Subject)
			}
			got := strings.FieldsFunc(logged.String(), func(r rune) bool { return r == '\n' })
			if len(got) != len(lines) {
				t.Fatalf("%s: %d lines logged, want %d:\n%s", what, len(got), len(lines), logged)
			}
			for i, l := range lines {
				if !strings.Contains(got[i], l) {
					t.Errorf("%s: logged %s, want %s", what, got[i], l)
				}
			}
			logged.Reset()
		}
		expect("at first", first)

		replace(t, p.Cert, second.pem)
		replace(t, p.Key, second.lock)
		time.Sleep(time.Second - 1)
		expect("within a second", first)
		time.Sleep(time.Nanosecond)
		expect("after a second", second, `level=INFO msg="certificate reloaded" cert=`+p.Cert+" fingerprint=")

		replace(t, p.Cert, third.pem) // the key is yet to come
		time.Sleep(time.Second)
		expect("half replaced", second, `level=ERROR msg="certificate not reloaded, the old one stays in use" cert=`)
		time.Sleep(time.Minute)
		expect("still half replaced", second)
		replace(t, p.Key, third.lock)
		time.Sleep(time.Second)
		expect("whole", third, "certificate reloaded")

		if err := os.Remove(p.Key); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		expect("key gone", third, "key.pem: cannot be read")
		put(t, dir, "key.pem", third.lock)
		time.Sleep(time.Second)
		expect("key back", third, "certificate reloaded")

		ended := issue(t, nil, time.Now().AddDate(0, 0, -1), "ended")
		replace(t, p.Cert, ended.pem)
		replace(t, p.Key, ended.lock)
		time.Sleep(time.Second)
		expect("expired pair", third, "certificate of ended expired on "+time.Now().AddDate(0, 0, -1).UTC().Format(time.DateOnly))

		time.Sleep(365 * 24 * time.Hour)
		expect("both expired", ended, "certificate reloaded", `level=WARN msg="certificate out of date"`)
		time.Sleep(time.Second)
		expect("warned once", ended)
	})
}

func TestOpenWarnsAndRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		ends time.Duration
		want string
	}{
		{"in date", 60 * 24 * time.Hour, ""},
		{"ends soon", 24 * time.Hour, `level=WARN msg="certificate ends soon"`},
		{"ended", -24 * time.Hour, `level=WARN msg="certificate out of date"`},
	} {
		log, logged := record()
		a := issue(t, nil, time.Now().Add(tt.ends), "a")
		if _, err := certs.Open(log, certs.Pair{Cert: put(t, t.TempDir(), "a.pem", a.pem, a.lock)}); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if got := logged.String(); !strings.HasPrefix(got, tt.want) || (tt.want == "") != (got == "") {
			t.Errorf("%s: logged %q, want %q", tt.name, got, tt.want)
		}
	}
	log, _ := record()
	if _, err := certs.Open(log); err == nil {
		t.Error("no pairs at all were accepted")
	}
	if _, err := certs.Open(log, certs.Pair{Cert: "/nowhere"}); err == nil {
		t.Error("a missing file was accepted")
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var pairs []certs.Pair
	ca := issue(t, nil, inAYear(), "authority")
	for i, names := range [][]string{{"main.example"}, {"b.example", "c.example"}, {"*.d.example"}} {
		a := issue(t, ca, inAYear(), names...)
		pairs = append(pairs, certs.Pair{Cert: put(t, dir, fmt.Sprint(i), a.pem, a.lock)})
	}
	s, err := certs.Open(slog.New(slog.DiscardHandler), pairs...)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	for _, tt := range []struct {
		ask, want string
		host      bool // whether HOST knows it too
	}{
		{"main.example", "main.example", true},
		{"c.example", "b.example", true},
		{"x.d.example", "*.d.example", true},
		{"X.D.EXAMPLE", "*.d.example", true},
		{"unknown.example", "main.example", false},
		{"", "main.example", false},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			got, err := shake(t, s.Config(), &tls.Config{ServerName: tt.ask, InsecureSkipVerify: true, MaxVersion: version})
			if err != nil {
				t.Fatalf("SNI %q: %v", tt.ask, err)
			}
			if got.DNSNames[0] != tt.want {
				t.Errorf("SNI %q: certificate of %s, want %s", tt.ask, got.DNSNames[0], tt.want)
			}
		}
		if c, err := s.ForHost(tt.ask); (err == nil) != tt.host || err == nil && c.Leaf.DNSNames[0] != tt.want {
			t.Errorf("HOST %q: %v", tt.ask, err)
		}
	}
	if _, err := shake(t, s.Config(), &tls.Config{ServerName: "b.example", RootCAs: roots}); err != nil {
		t.Errorf("verifying client: %v", err)
	}
	if _, err := shake(t, s.Config(), &tls.Config{ServerName: "b.example", RootCAs: roots, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}); err == nil {
		t.Error("TLS 1.1 was accepted")
	}
	if got := len(s.Certificates()); got != 3 {
		t.Errorf("%d certificates", got)
	}
}

// TestManyHandshakes replaces files under handshakes: each of them sees one
// of the two certificates whole. It is for the race detector.
func TestManyHandshakes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := issue(t, nil, inAYear(), "a"), issue(t, nil, inAYear(), "b")
		p := certs.Pair{Cert: put(t, t.TempDir(), "x.pem", a.pem, a.lock)}
		s, err := certs.Open(slog.New(slog.DiscardHandler), p)
		if err != nil {
			t.Fatal(err)
		}
		replace(t, p.Cert, b.pem, b.lock)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 20 {
					time.Sleep(100 * time.Millisecond)
					if c := served(t, s, "x"); !c.Equal(a.cert) && !c.Equal(b.cert) {
						t.Error("neither the old nor the new certificate")
					}
				}
			})
		}
		wg.Wait()
		if c := served(t, s, "x"); !c.Equal(b.cert) {
			t.Error("the new certificate is not in use")
		}
	})
}
