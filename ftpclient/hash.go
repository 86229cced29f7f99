package ftpclient

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"strings"

	"towpath/ftp"
)

// algorithms in the order in which they are preferred: SHA-256 before SHA-512,
// which costs more and says no more here.
var algorithms = []struct {
	name, verb string // as HASH names it, and the command that knows it alone
	make       func() hash.Hash
}{
	{"SHA-256", "XSHA256", sha256.New},
	{"SHA-512", "XSHA512", sha512.New},
	{"SHA-1", "XSHA1", sha1.New},
	{"MD5", "XMD5", md5.New},
	{"CRC32", "XCRC", func() hash.Hash { return crc32.NewIEEE() }},
}

// Hash asks the server for the digest of a file: SHA-256, SHA-512, SHA-1, MD5 or
// CRC32.
func (c *Client) Hash(ctx context.Context, name, algorithm string) ([]byte, error) {
	s, err := c.take(ctx, nil)
	if err != nil {
		return nil, about("hash", name, err)
	}
	defer c.give()
	sum, err := s.digest(ctx, name, algorithm)
	return sum, about("hash", name, err)
}

// Compare reads r to its end and compares its digest with that of a file on the
// server, as [Verify] does behind a transfer. Without HASH, XSHA512, XSHA256,
// XSHA1, XMD5 or XCRC it gives ErrUnsupported, and reads nothing.
func (c *Client) Compare(ctx context.Context, name string, r io.Reader) error {
	g, err := c.newDigest(ctx)
	if err == nil {
		_, err = io.Copy(g.h, r)
	}
	if err == nil {
		err = g.compare(ctx, name)
	}
	return about("compare", name, err)
}

// Digest returns the best algorithm that the server knows too, for [Client.Hash],
// and a hash of it to begin with here. If there is none it gives ErrUnsupported.
func (c *Client) Digest() (algorithm string, h hash.Hash, err error) {
	s := c.session.Load()
	for _, a := range algorithms {
		if s.hashes(a.name) || s.features.Has(a.verb) {
			return a.name, a.make(), nil
		}
	}
	return "", nil, fmt.Errorf("digest: %w", ErrUnsupported)
}

// newDigest begins a digest of the best kind that the server knows too.
func (c *Client) newDigest(ctx context.Context) (*digest, error) {
	if _, err := c.take(ctx, nil); err != nil {
		return nil, err
	}
	defer c.give()
	name, h, err := c.Digest()
	if err != nil {
		return nil, err
	}
	return &digest{c: c, name: name, h: h}, nil
}

// hashes tells whether HASH knows an algorithm: "SHA-256*;SHA-1".
func (s *session) hashes(algorithm string) bool {
	for f := range strings.SplitSeq(s.features.Param("HASH"), ";") {
		if strings.EqualFold(strings.TrimSuffix(f, "*"), algorithm) {
			return true
		}
	}
	return false
}

func (s *session) digest(ctx context.Context, name, algorithm string) ([]byte, error) {
	for _, a := range algorithms {
		if !strings.EqualFold(a.name, algorithm) {
			continue
		}
		verb := a.verb
		if s.hashes(a.name) {
			verb = "HASH"
			if s.hash == "" {
				for f := range strings.SplitSeq(s.features.Param("HASH"), ";") {
					if chosen, ok := strings.CutSuffix(f, "*"); ok {
						s.hash = chosen
					}
				}
			}
			if !strings.EqualFold(s.hash, a.name) {
				if _, err := s.do(ctx, "OPTS", "HASH "+a.name); err != nil {
					return nil, err
				}
				s.hash = a.name
			}
		} else if !s.features.Has(verb) {
			return nil, fmt.Errorf("%s: %w", a.name, ErrUnsupported)
		}
		if err := s.setType(ctx, 'I'); err != nil {
			return nil, err
		}
		// A digest takes as long as reading the file does.
		arg, err := s.encode(name)
		if err != nil {
			return nil, err
		}
		cmd := ftp.Command{Verb: verb, Arg: arg}
		owed, err := s.send(cmd)
		if err != nil {
			return nil, err
		}
		r, err := s.final(ctx, owed, max(s.set.Timeout, s.set.StallTimeout)*10)
		if err != nil {
			return nil, err
		}
		if !r.Complete() {
			return nil, &ftp.Error{Command: cmd, Reply: r}
		}
		return parseDigest(r, a.make().Size())
	}
	return nil, fmt.Errorf("algorithm %q: want SHA-256, SHA-512, SHA-1, MD5 or CRC32: %w", algorithm, ErrUnsupported)
}

// parseDigest finds the digest of size bytes in a reply to HASH ("213 SHA-256
// 0-49 9f86… name"), XCRC, XMD5 or XSHA* ("250 9f86…", "250 name 9f86…"): the
// first word that can be one. A CRC alone on its line may lack its leading
// zeros (Serv-U).
func parseDigest(r ftp.Reply, size int) ([]byte, error) {
	for _, line := range r.Lines {
		words := strings.Fields(line)
		for _, w := range words {
			w = strings.Trim(w, `"'().`)
			if size == 4 && len(words) == 1 && len(w) > 0 && len(w) < 8 {
				w = strings.Repeat("0", 8-len(w)) + w
			}
			if len(w) == 2*size && isHex(w) {
				return hex.DecodeString(w)
			}
		}
	}
	return nil, fmt.Errorf("no digest of %d bytes in the reply %q", size, ftp.Escape(r.String()))
}

func isHex(s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
			return false
		}
	}
	return true
}
