package certs_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"towpath/internal/certs"
)

func TestSelfSigned(t *testing.T) {
	t.Parallel()
	c, err := certs.SelfSigned("", "ftp.example", "*.lan.example", "192.0.2.7", "2001:db8::7")
	if err != nil {
		t.Fatal(err)
	}
	if k, ok := c.PrivateKey.(*ecdsa.PrivateKey); !ok || k.Curve != elliptic.P256() {
		t.Errorf("key is %T", c.PrivateKey)
	}
	if life := time.Until(c.Leaf.NotAfter); life < 364*24*time.Hour || life > 366*24*time.Hour {
		t.Errorf("valid for %v", life)
	}
	if got := certs.Fingerprint(c); !regexp.MustCompile(`^([0-9A-F]{2}:){31}[0-9A-F]{2}$`).MatchString(got) {
		t.Errorf("fingerprint %q", got)
	}
	roots := x509.NewCertPool()
	roots.AddCert(c.Leaf)
	server := &tls.Config{Certificates: []tls.Certificate{*c}}
	for _, name := range []string{"ftp.example", "x.lan.example", "192.0.2.7", "2001:db8::7", "localhost", "127.0.0.1", "::1"} {
		if _, err := shake(t, server, &tls.Config{ServerName: name, RootCAs: roots}); err != nil {
			t.Errorf("client that trusts it and asks for %s: %v", name, err)
		}
	}
	if _, err := shake(t, server, &tls.Config{ServerName: "other.example", RootCAs: roots}); err == nil {
		t.Error("it vouches for a name it was not given")
	}
}

func TestSelfSignedRefusesNames(t *testing.T) {
	t.Parallel()
	for _, n := range []string{"", "a b", "ex\nample", "*", "*.", "a..b", ".a", "a.", "*.*.a", "müller.example", "fe80::1%eth0", strings.Repeat("a.", 127) + "a"} {
		if _, err := certs.SelfSigned("", n); err == nil || !strings.Contains(err.Error(), "a host name, *.domain or an IP address is wanted") {
			t.Errorf("name %q: %v", n, err)
		}
	}
	// Names longer than a common name can be are fine.
	if _, err := certs.SelfSigned("", strings.Repeat("a", 60)+".long.example"); err != nil {
		t.Error(err)
	}
}

func TestSelfSignedIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		file := filepath.Join(dir, certs.SelfSignedFile)
		last := ""
		for _, step := range []struct {
			what  string
			do    func()
			names []string
			kept  bool
		}{
			{"first start", func() {}, []string{"a.example"}, false},
			{"second start", func() {}, []string{"a.example"}, true},
			{"fewer names", func() {}, nil, true},
			{"another name", func() {}, []string{"a.example", "*.b.example"}, false},
			{"a wildcard it has", func() {}, []string{"*.b.example"}, true},
			{"a name below its wildcard", func() {}, []string{"x.b.example"}, true},
			{"eleven months later", func() { time.Sleep(330 * 24 * time.Hour) }, nil, true},
			{"a week after that", func() { time.Sleep(7 * 24 * time.Hour) }, nil, false},
			{"damaged", func() { replace(t, file, []byte("?")) }, nil, false},
			{"removed", func() {
				if err := os.Remove(file); err != nil {
					t.Fatal(err)
				}
			}, nil, false},
		} {
			step.do()
			c, err := certs.SelfSigned(dir, step.names...)
			if err != nil {
				t.Fatalf("%s: %v", step.what, err)
			}
			if kept := certs.Fingerprint(c) == last; kept != step.kept {
				t.Errorf("%s: kept %v, want %v", step.what, kept, step.kept)
			}
			last = certs.Fingerprint(c)
			if onDisk, err := certs.Load(certs.Pair{Cert: file}); err != nil || certs.Fingerprint(onDisk) != last {
				t.Errorf("%s: not the one on disk (%v)", step.what, err)
			}
		}
		if fi, err := os.Stat(file); err != nil || runtime.GOOS != "windows" && fi.Mode().Perm() != 0o600 {
			t.Errorf("mode of the file with the key: %v, %v", fi.Mode(), err)
		}
		if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) != 1 {
			t.Errorf("files left in the directory: %q, %v", left, err)
		}
	})
}

func TestSelfSignedNeedsItsDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "nowhere")
	if _, err := certs.SelfSigned(dir); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("missing directory: %v", err)
	}
}
