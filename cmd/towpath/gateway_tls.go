package main

import (
	"crypto/tls"
	"fmt"

	"towpath/internal/certs"
)

// clientTLS is what clients are shown: nil without a certificate.
func (g *gatewayService) clientTLS(v *gatewayFlags) (*tls.Config, error) {
	var base *tls.Config
	switch {
	case v.cert != "":
		source, err := certs.Open(g.log, certs.Pair{Cert: v.cert, Key: v.key})
		if err != nil {
			return nil, fmt.Errorf("--cert: %w", err)
		}
		base = source.Config()
		g.fingerprint = certs.Fingerprint(source.Certificates()[0])
	case v.selfSigned:
		if g.selfSigned == nil {
			c, err := certs.SelfSigned(stateDirectory())
			if err != nil {
				return nil, fmt.Errorf("--self-signed: %w", err)
			}
			g.selfSigned = c
		}
		base = &tls.Config{Certificates: []tls.Certificate{*g.selfSigned}, MinVersion: tls.VersionTLS12}
		g.fingerprint = certs.Fingerprint(g.selfSigned)
	default:
		return nil, nil
	}
	if v.clientCA != "" {
		pool, err := certs.Authorities(v.clientCA)
		if err != nil {
			return nil, fmt.Errorf("--client-ca: %w", err)
		}
		base.ClientCAs, base.ClientAuth = pool, tls.RequireAndVerifyClientCert
	}
	return base, nil
}

// serverTLS is how servers are believed, and what they are shown.
func (g *gatewayService) serverTLS(v *gatewayFlags) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(0)}
	if v.serverCA != "" {
		pool, err := certs.Authorities(v.serverCA)
		if err != nil {
			return nil, fmt.Errorf("--ca: %w", err)
		}
		c.RootCAs = pool
	}
	if v.ownCert != "" {
		source, err := certs.Open(g.log, certs.Pair{Cert: v.ownCert, Key: v.ownKey})
		if err != nil {
			return nil, fmt.Errorf("--client-cert: %w", err)
		}
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return source.GetCertificate(&tls.ClientHelloInfo{})
		}
	}
	switch {
	case v.insecure:
		c.InsecureSkipVerify = true
	case v.pin != "":
		want, err := parsePin("--pin", v.pin)
		if err != nil {
			return nil, err
		}
		c.InsecureSkipVerify = true // the key alone is believed
		c.VerifyConnection = func(s tls.ConnectionState) error { return checkPin("--pin", s, want) }
	}
	return c, nil
}
