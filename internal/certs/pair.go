// Package certs finds the certificates of a TLS server: pairs of files that
// are read again when they change, a self-signed one for those who have none,
// and the authorities that sign client certificates.
//
// It does not speak ACME, watches no directories, and decides nothing about
// who must encrypt what: that belongs to ftpserver.
package certs

import (
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"iter"
	"os"
	"strings"
	"time"
)

// Pair names the PEM files of one certificate.
type Pair struct {
	// Cert holds the server's certificate first, then those that vouch for it.
	Cert string
	// Key holds the private key, without a passphrase. Empty: it is in Cert.
	Key string
}

func (p Pair) keyFile() string {
	if p.Key == "" {
		return p.Cert
	}
	return p.Key
}

// Load reads a pair. Its errors name the file and what is wrong with it. A
// certificate that is out of date is none: ask [Valid].
func Load(p Pair) (*tls.Certificate, error) {
	chain, err := readChain(p.Cert)
	if err != nil {
		return nil, fmt.Errorf("certificate %s: %w", p.Cert, err)
	}
	key, err := readKey(p.keyFile())
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", p.keyFile(), err)
	}
	for i, c := range chain {
		if !matches(key, c) {
			continue
		}
		if i > 0 {
			return nil, fmt.Errorf("certificate %s: the key %s belongs to certificate %d of the file; the server's own must come first",
				p.Cert, p.keyFile(), i+1)
		}
		cert := &tls.Certificate{PrivateKey: key, Leaf: c}
		for _, c := range chain {
			cert.Certificate = append(cert.Certificate, c.Raw)
		}
		return cert, nil
	}
	return nil, fmt.Errorf("key %s does not match certificate %s (of %s)", p.keyFile(), p.Cert, subject(chain[0]))
}

// Valid says whether a certificate is in date at a given time, and if not,
// since or until when.
func Valid(c *tls.Certificate, at time.Time) error {
	switch {
	case at.After(c.Leaf.NotAfter):
		return fmt.Errorf("certificate of %s expired on %s", subject(c.Leaf), day(c.Leaf.NotAfter))
	case at.Before(c.Leaf.NotBefore):
		return fmt.Errorf("certificate of %s is not valid before %s (is the clock right?)", subject(c.Leaf), day(c.Leaf.NotBefore))
	}
	return nil
}

// Fingerprint is the SHA-256 digest of a certificate as clients show it:
// upper case hexadecimal pairs parted by colons.
func Fingerprint(c *tls.Certificate) string {
	sum := sha256.Sum256(c.Certificate[0])
	return strings.ReplaceAll(fmt.Sprintf("% X", sum), " ", ":")
}

// readFile reads a file of keys or certificates. The error leaves the name to
// the caller.
func readFile(name string) ([]byte, error) {
	text, err := os.ReadFile(name)
	if pe, ok := errors.AsType[*os.PathError](err); ok {
		return nil, fmt.Errorf("cannot be read: %w", pe.Err)
	}
	return text, err
}

// readChain reads all certificates of a PEM file, at least one.
func readChain(name string) ([]*x509.Certificate, error) {
	text, err := readFile(name)
	if err != nil {
		return nil, err
	}
	var chain []*x509.Certificate
	for block := range blocks(text) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d of the file is damaged: %w", len(chain)+1, err)
		}
		chain = append(chain, c)
	}
	if len(chain) == 0 {
		if _, err := x509.ParseCertificate(text); err == nil {
			return nil, errors.New("is in DER form; PEM is wanted (openssl x509 -inform der -in … -out …)")
		}
		return nil, errors.New("holds no certificate (a PEM block \"BEGIN CERTIFICATE\" is wanted)")
	}
	return chain, nil
}

// readKey reads the first private key of a PEM file.
func readKey(name string) (crypto.Signer, error) {
	text, err := readFile(name)
	if err != nil {
		return nil, err
	}
	for block := range blocks(text) {
		if !strings.HasSuffix(block.Type, "PRIVATE KEY") {
			continue
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
			return nil, errors.New("is locked by a passphrase; a key without one is wanted (openssl pkey -in … -out …)")
		}
		return parseKey(block.Bytes)
	}
	return nil, errors.New("holds no private key (a PEM block \"BEGIN PRIVATE KEY\" is wanted)")
}

// parseKey reads the three forms that private keys come in: PKCS #8, and what
// older tools write for RSA (PKCS #1) and elliptic curves (SEC 1).
func parseKey(der []byte) (crypto.Signer, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		if k, err := x509.ParsePKCS1PrivateKey(der); err == nil {
			return k, nil
		}
		if k, err := x509.ParseECPrivateKey(der); err == nil {
			return k, nil
		}
		return nil, fmt.Errorf("private key is damaged: %w", err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("private key is of a kind that cannot sign (%T)", key)
	}
	return signer, nil
}

// blocks yields the PEM blocks of a text.
func blocks(text []byte) iter.Seq[*pem.Block] {
	return func(yield func(*pem.Block) bool) {
		for {
			block, rest := pem.Decode(text)
			if block == nil || !yield(block) {
				return
			}
			text = rest
		}
	}
}

// matches tells whether a certificate is for the public half of a key.
func matches(key crypto.Signer, c *x509.Certificate) bool {
	k, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(c.PublicKey)
}

// subject names a certificate in messages.
func subject(c *x509.Certificate) string {
	switch {
	case len(c.DNSNames) > 0:
		return c.DNSNames[0]
	case len(c.IPAddresses) > 0:
		return c.IPAddresses[0].String()
	case c.Subject.CommonName != "":
		return c.Subject.CommonName
	}
	return "serial number " + c.SerialNumber.String()
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }
