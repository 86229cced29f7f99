package certs

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// soon is how long before its end a certificate is worth a warning.
const soon = 14 * 24 * time.Hour

// Source gives a TLS server its certificates and notices when their files
// change. It is safe for concurrent use.
//
// There is no watcher: a handshake looks at the files, at most once a second,
// and only one of several handshakes does so. A new pair that is no good
// leaves the old one in use, and is reported once.
type Source struct {
	log   *slog.Logger
	pairs []*watched

	mu     sync.Mutex // held by the one who looks
	looked time.Time
}

// watched is one pair. All but cert belongs to the holder of Source.mu.
type watched struct {
	Pair
	cert atomic.Pointer[tls.Certificate]
	seen state
	// fault is what was reported last, so that it is not reported again.
	fault string
	// late is the certificate whose end was reported.
	late *tls.Certificate
}

// Open loads pairs, at least one. The first is for clients that ask for a name
// which no certificate bears, or for none. An expired certificate is served,
// with a warning: a server that stays down helps nobody.
func Open(log *slog.Logger, pairs ...Pair) (*Source, error) {
	if len(pairs) == 0 {
		return nil, errors.New("no certificate files were named")
	}
	s := &Source{log: log, looked: time.Now()}
	for _, p := range pairs {
		w := &watched{Pair: p, seen: look(p)} // looked at before it is read: no change is missed
		cert, err := Load(p)
		if err != nil {
			return nil, err
		}
		w.cert.Store(cert)
		s.pairs = append(s.pairs, w)
		w.remind(log, s.looked, soon)
	}
	return s, nil
}

// Config returns a new configuration that serves the certificates of s, with
// TLS 1.2 as the least version.
func (s *Source) Config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: s.GetCertificate}
}

// GetCertificate is for [tls.Config.GetCertificate]: the first pair that
// serves the name (SNI) and the algorithms of the client, else the first.
func (s *Source) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.refresh()
	if len(s.pairs) > 1 {
		for _, p := range s.pairs {
			if c := p.cert.Load(); hello.SupportsCertificate(c) == nil {
				return c, nil
			}
		}
	}
	return s.pairs[0].cert.Load(), nil
}

// ForHost returns the first certificate that bears a name, for HOST (RFC 7151
// section 3.2.2), which names the host in the clear before TLS begins.
func (s *Source) ForHost(name string) (*tls.Certificate, error) {
	s.refresh()
	for _, p := range s.pairs {
		if c := p.cert.Load(); c.Leaf.VerifyHostname(name) == nil {
			return c, nil
		}
	}
	return nil, fmt.Errorf("no certificate bears the name %q", name)
}

// Certificates returns the certificates now in use, in the order of their pairs.
func (s *Source) Certificates() []*tls.Certificate {
	var all []*tls.Certificate
	for _, p := range s.pairs {
		all = append(all, p.cert.Load())
	}
	return all
}

// refresh looks at the files, if nobody did within the last second.
func (s *Source) refresh() {
	if !s.mu.TryLock() {
		return // somebody is looking; the certificates at hand will do
	}
	defer s.mu.Unlock()
	now := time.Now()
	if now.Sub(s.looked) < time.Second {
		return
	}
	s.looked = now
	for _, p := range s.pairs {
		p.refresh(s.log, now)
	}
}

// refresh takes a changed pair into use if it is good. A pair that is not is
// tried again at the next look: it may be half written, or the process out of
// descriptors.
func (w *watched) refresh(log *slog.Logger, now time.Time) {
	seen := look(w.Pair)
	if !seen.equal(w.seen) {
		cert, err := Load(w.Pair)
		if err == nil && Valid(w.cert.Load(), now) == nil {
			err = Valid(cert, now)
		}
		if err != nil {
			if err.Error() != w.fault {
				w.fault = err.Error()
				log.Error("certificate not reloaded, the old one stays in use", "cert", w.Cert, "err", err)
			}
			return
		}
		w.seen, w.fault = seen, ""
		w.cert.Store(cert)
		log.Info("certificate reloaded", "cert", w.Cert, "fingerprint", Fingerprint(cert), "until", day(cert.Leaf.NotAfter))
	}
	w.remind(log, now, 0)
}

// remind warns once of a certificate that has ended, or ends within a time.
func (w *watched) remind(log *slog.Logger, now time.Time, within time.Duration) {
	cert := w.cert.Load()
	switch err := Valid(cert, now); {
	case w.late == cert:
	case err != nil:
		w.late = cert
		log.Warn("certificate out of date", "cert", w.Cert, "err", err)
	case now.Add(within).After(cert.Leaf.NotAfter):
		log.Warn("certificate ends soon", "cert", w.Cert, "until", day(cert.Leaf.NotAfter))
	}
}

// state is what the files of a pair look like from outside; nil where there is
// no file.
type state [2]os.FileInfo

func look(p Pair) (s state) {
	for i, name := range []string{p.Cert, p.keyFile()} {
		if fi, err := os.Stat(name); err == nil { // Load says why not
			s[i] = fi
		}
	}
	return s
}

func (s state) equal(t state) bool {
	for i := range s {
		a, b := s[i], t[i]
		if a == nil || b == nil || a.Size() != b.Size() || !a.ModTime().Equal(b.ModTime()) || !os.SameFile(a, b) {
			return false
		}
	}
	return true
}
