package certs

import (
	"crypto/x509"
	"fmt"
)

// Authorities reads the certificates of those who sign client certificates,
// for [tls.Config.ClientCAs]. Each file holds one or more in PEM form.
func Authorities(files ...string) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	for _, name := range files {
		chain, err := readChain(name)
		if err != nil {
			return nil, fmt.Errorf("client authorities %s: %w", name, err)
		}
		for _, c := range chain {
			pool.AddCert(c)
		}
	}
	return pool, nil
}
