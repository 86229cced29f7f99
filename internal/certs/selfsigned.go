package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// SelfSignedFile is the name, in a state directory, of the file that keeps a
// self-signed certificate and its key.
const SelfSignedFile = "self-signed.pem"

// life is how long a self-signed certificate is valid, renew how much of it
// must be left for a kept one to be used again.
const (
	life  = 365 * 24 * time.Hour
	renew = 30 * 24 * time.Hour
)

// SelfSigned returns a certificate with an ECDSA P-256 key, signed by itself,
// for this host's name, "localhost", the addresses of its interfaces, and the
// given names (host names, wildcards or IP addresses).
//
// With a state directory it is kept there in [SelfSignedFile] and comes back at
// the next start, so that its fingerprint, which clients remember, stays. A new
// one is made when fewer than 30 days are left, when it lacks a given name (an
// interface address that has changed is no reason), or when the file is
// damaged. With dir empty it lives in memory.
func SelfSigned(dir string, names ...string) (*tls.Certificate, error) {
	for _, n := range names {
		if err := checkName(n); err != nil {
			return nil, err
		}
	}
	if dir == "" {
		cert, _, err := generate(names)
		return cert, err
	}
	file := filepath.Join(dir, SelfSignedFile)
	if cert, err := Load(Pair{Cert: file}); err == nil && usable(cert, names) {
		return cert, nil
	}
	cert, text, err := generate(names)
	if err != nil {
		return nil, err
	}
	if err := keep(file, text); err != nil {
		return nil, fmt.Errorf("keep self-signed certificate: %w", err)
	}
	return cert, nil
}

// checkName refuses what no certificate can bear as a name.
func checkName(n string) error {
	if a, err := netip.ParseAddr(n); err == nil && a.Zone() == "" {
		return nil
	}
	host := strings.TrimPrefix(n, "*.")
	ok := host != "" && len(n) <= 253 && !strings.HasPrefix(host, ".") && !strings.HasSuffix(host, ".") && !strings.Contains(host, "..")
	for _, c := range []byte(host) {
		ok = ok && (c == '-' || c == '.' || c == '_' || '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z')
	}
	if !ok {
		return fmt.Errorf("certificate name %q: a host name, *.domain or an IP address is wanted", n)
	}
	return nil
}

// usable says whether a kept certificate still serves.
func usable(c *tls.Certificate, names []string) bool {
	if Valid(c, time.Now()) != nil || Valid(c, time.Now().Add(renew)) != nil {
		return false
	}
	return !slices.ContainsFunc(names, func(n string) bool {
		if strings.HasPrefix(n, "*.") {
			return !slices.Contains(c.Leaf.DNSNames, n)
		}
		return c.Leaf.VerifyHostname(n) != nil
	})
}

// generate makes a certificate, and its PEM text with the key.
func generate(names []string) (*tls.Certificate, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		NotBefore:             now.Add(-time.Hour), // for clients whose clock is slow
		NotAfter:              now.Add(life),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, n := range append(slices.Clone(names), ownNames()...) {
		if ip := net.ParseIP(n); ip != nil {
			if !slices.ContainsFunc(template.IPAddresses, ip.Equal) {
				template.IPAddresses = append(template.IPAddresses, ip)
			}
		} else if !slices.Contains(template.DNSNames, n) {
			template.DNSNames = append(template.DNSNames, n)
		}
	}
	// A common name holds at most 64 characters (RFC 5280, ub-common-name).
	template.Subject = pkix.Name{Organization: []string{"Towpath self-signed"}}
	if cn := template.DNSNames[0]; len(cn) <= 64 {
		template.Subject.CommonName = cn
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, fmt.Errorf("make self-signed certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, fmt.Errorf("make self-signed certificate: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	text = append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})...)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, text, nil
}

// ownNames are the names under which clients may reach this host. What cannot
// be found out is left away: the certificate serves without it.
func ownNames() []string {
	var names []string
	if host, err := os.Hostname(); err == nil && checkName(host) == nil {
		names = append(names, host)
	}
	names = append(names, "localhost", "127.0.0.1", "::1")
	if addrs, err := net.InterfaceAddrs(); err == nil {
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok {
				names = append(names, n.IP.String())
			}
		}
	}
	return names
}

// keep writes a file that appears whole or not at all, for the owner only.
func keep(file string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(file), ".self-signed-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // fails after the rename, as it should
	if _, err := f.Write(text); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}
