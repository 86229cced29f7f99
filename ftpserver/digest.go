package ftpserver

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"towpath/ftp"
	"towpath/storage"
)

// span is a part of a file: bytes [from, to), to < 0 meaning the end.
type span struct{ from, to int64 }

// algorithms are those of HASH, in the order that FEAT shows.
var algorithms = []struct {
	name string
	make func() hash.Hash
}{
	{"SHA-256", sha256.New},
	{"SHA-512", sha512.New},
	{"SHA-1", sha1.New},
	{"MD5", md5.New},
	{"CRC32", func() hash.Hash { return crc32.NewIEEE() }},
}

func algorithm(name string) (func() hash.Hash, bool) {
	for _, a := range algorithms {
		if strings.EqualFold(a.name, name) {
			return a.make, true
		}
	}
	return nil, false
}

// hashName is the algorithm that OPTS HASH chose.
func (s *session) hashName() string {
	if s.extra != nil && s.extra.hash != "" {
		return s.extra.hash
	}
	return algorithms[0].name
}

// hashFeature is the HASH line of FEAT; the star marks the chosen one.
func hashFeature(s *session) string {
	var b strings.Builder
	b.WriteString("HASH ")
	for i, a := range algorithms {
		if i > 0 {
			b.WriteByte(';')
		}
		b.WriteString(a.name)
		if a.name == s.hashName() {
			b.WriteByte('*')
		}
	}
	return b.String()
}

// hash is HASH (draft-bryan-ftpext-hash): digest of a file, or of the part of
// it that RANG named.
func (s *session) hash(ctx context.Context, name string) (ftp.Reply, error) {
	part := span{0, -1}
	if s.extra != nil && s.extra.rang != nil {
		part = *s.extra.rang
		s.extra.rang = nil // it holds once
	}
	sum, part, err := s.digest(ctx, name, s.hashName(), part)
	if err != nil {
		return ftp.Reply{}, err
	}
	return ftp.NewReply(213, fmt.Sprintf("%s %d-%d %x %s", s.hashName(), part.from, part.to, sum, s.encode(path.Base(name)))), nil
}

// rang is RANG (draft-bryan-ftp-range): "first last", both included; "1 0"
// takes it back. It holds for one RETR, which sends less if the file is
// shorter, or for one HASH.
func (s *session) rang(_ context.Context, arg string) (ftp.Reply, error) {
	from, to, err := ftp.ParseRange(arg)
	if err != nil {
		return ftp.Reply{}, refuse(501, "RANG wants two numbers, the first and the last byte.", err)
	}
	if from > to {
		if from == 1 && to == 0 {
			s.more().rang = nil
			return ftp.NewReply(350, "The whole file again."), nil
		}
		return ftp.Reply{}, refuse(501, fmt.Sprintf("RANG %d %d: the first byte is behind the last.", from, to), nil)
	}
	s.more().rang = &span{from, to + 1}
	s.restart = 0 // the last of the two counts
	return ftp.NewReply(350, fmt.Sprintf("Bytes %d to %d for the next RETR or HASH.", from, to)), nil
}

// xdigest makes the handler of XCRC, XMD5 and their kind: "name", or "name"
// and the first byte and the byte behind the last. Names with blanks may stand
// in quotes.
func xdigest(algo string) func(*session, context.Context, string) (ftp.Reply, error) {
	return func(s *session, ctx context.Context, arg string) (ftp.Reply, error) {
		name, part, err := s.xargument(ctx, arg)
		if err != nil {
			return ftp.Reply{}, err
		}
		if err := s.demand(name, Read); err != nil {
			return ftp.Reply{}, err
		}
		sum, _, err := s.digest(ctx, name, algo, part)
		if err != nil {
			return ftp.Reply{}, err
		}
		return ftp.NewReply(250, strings.ToUpper(fmt.Sprintf("%x", sum))), nil
	}
}

func (s *session) xargument(ctx context.Context, arg string) (string, span, error) {
	part := span{0, -1}
	arg = strings.TrimSpace(arg)
	rest, quoted := strings.CutPrefix(arg, `"`)
	if quoted {
		name, tail, ok := strings.Cut(rest, `"`)
		if !ok {
			return "", part, errSyntax
		}
		if f := strings.Fields(tail); len(f) > 0 {
			var err error
			if part, err = parseSpan(f); err != nil {
				return "", part, err
			}
		}
		p, err := s.path(name)
		return p, part, err
	}
	// "a b 1 20" may be a file of that name, else numbers follow the name.
	p, err := s.path(arg)
	if err != nil {
		return "", part, err
	}
	if _, err := s.user().Root.Stat(ctx, p); err == nil {
		return p, part, nil
	}
	if f := strings.Fields(arg); len(f) >= 2 {
		for n := min(2, len(f)-1); n > 0; n-- {
			q, err := parseSpan(f[len(f)-n:])
			if err == nil {
				name := arg
				for range n {
					name = strings.TrimRight(name, " ")
					name = name[:strings.LastIndexByte(name, ' ')]
				}
				p, err := s.path(strings.TrimRight(name, " "))
				return p, q, err
			}
			if !errors.Is(err, errSyntax) {
				return "", part, err // numbers, but turned round
			}
		}
	}
	return p, part, nil
}

// parseSpan reads "first" or "first end".
func parseSpan(f []string) (span, error) {
	part := span{0, -1}
	if len(f) > 2 {
		return part, errSyntax
	}
	var err error
	if part.from, err = ftp.ParseSize(f[0]); err != nil {
		return part, errSyntax
	}
	if len(f) == 2 {
		if part.to, err = ftp.ParseSize(f[1]); err != nil {
			return part, errSyntax
		}
		if part.to < part.from {
			return part, refuse(501, fmt.Sprintf("The range %d %d is turned round.", part.from, part.to), nil)
		}
	}
	return part, nil
}

// digest computes a digest, one of a bounded number at a time, and returns the
// range with its end filled in.
func (s *session) digest(ctx context.Context, name, algo string, part span) ([]byte, span, error) {
	make, ok := algorithm(algo)
	if !ok {
		return nil, part, errSyntax
	}
	root := s.user().Root
	fi, err := root.Stat(ctx, name)
	if err != nil {
		return nil, part, err
	}
	switch {
	case fi.IsDir():
		return nil, part, storage.ErrIsDir
	case part.to < 0:
		part.to = fi.Size()
	}
	if part.from > fi.Size() || part.to > fi.Size() {
		return nil, part, refuse(501, fmt.Sprintf("The file has %d bytes; the range ends at %d.", fi.Size(), part.to), nil)
	}
	release, err := s.slot(ctx)
	if err != nil {
		return nil, part, err
	}
	defer release()
	sum, err := storage.Hash(ctx, root, name, algo, make(), part.from, part.to)
	return sum, part, err
}

// slot waits for leave to do work that costs processor time.
func (s *session) slot(ctx context.Context) (release func(), err error) {
	select {
	case s.srv.digests <- struct{}{}:
		return func() { <-s.srv.digests }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// comb is COMB: joins the files named after the first to the end of the first,
// and removes them. Names stand in quotes, or have no blanks.
func (s *session) comb(ctx context.Context, arg string) (ftp.Reply, error) {
	words, err := splitQuoted(arg)
	if err != nil || len(words) < 2 {
		return ftp.Reply{}, errSyntax
	}
	names := make([]string, len(words))
	for i, w := range words {
		if names[i], err = s.newPath(w); err != nil {
			return ftp.Reply{}, err
		}
		needs := Read | Delete | Copy
		if i == 0 {
			needs = Write | Append | Copy
		}
		if err := s.demand(names[i], needs); err != nil {
			return ftp.Reply{}, err
		}
		if i > 0 && s.alike(ctx, names[0], names[i]) {
			return ftp.Reply{}, refuse(501, "A file cannot be joined to itself.", nil)
		}
	}
	root := s.user().Root
	if err := s.copyInto(ctx, names[0], storage.How{Append: true}, names[1:]); err != nil {
		return ftp.Reply{}, err
	}
	for _, name := range names[1:] {
		size, err := s.sizeOf(ctx, name)
		if err == nil {
			err = root.Remove(ctx, name)
		}
		switch {
		case err == nil:
			s.giveBack(size, 1)
		case !errors.Is(err, fs.ErrNotExist): // named twice, or gone meanwhile
			return ftp.Reply{}, err
		}
	}
	return ftp.NewReply(250, strconv.Itoa(len(names)-1)+" files joined."), nil
}

// alike tells whether two names are one file, be it by way of a link or of a disk
// that does not tell "A" from "a": what is joined to itself would be removed.
func (s *session) alike(ctx context.Context, a, b string) bool {
	if a == b {
		return true
	}
	var found [2]storage.Unix
	for i, name := range []string{a, b} {
		fi, err := s.user().Root.Stat(ctx, name)
		if err != nil {
			return false
		}
		u, ok := fi.Sys().(*storage.Unix)
		if !ok || u == nil {
			return false
		}
		found[i] = *u
	}
	return found[0].Inode == found[1].Inode && found[0].Device == found[1].Device
}

// copyInto writes the content of the files from to the file to, on the server.
// It names no owner: a cut upload of that name is not what is added to, and what
// comes of a copy that fails is nothing that an upload could go on from.
func (s *session) copyInto(ctx context.Context, to string, how storage.How, from []string) (err error) {
	root := s.user().Root
	bill, err := s.newBill(ctx, to, how)
	if err != nil {
		return err
	}
	w, err := root.Create(ctx, to, how)
	if err != nil {
		bill.tear()
		return err
	}
	defer bill.settle() // after the writer has ended
	defer func() {
		if err != nil {
			_ = w.Abort(false) // err says why
		}
	}()
	if err := bill.begin(w.Offset()); err != nil {
		return err
	}
	for _, name := range from {
		if err := s.copyOne(ctx, w, name, bill); err != nil {
			return err
		}
	}
	if err := bill.close(ctx); err != nil {
		return err
	}
	if err := w.Commit(); err != nil {
		return err
	}
	bill.paid = true
	return nil
}

func (s *session) copyOne(ctx context.Context, w storage.Writer, name string, bill *bill) error {
	r, err := s.user().Root.Open(ctx, name, 0)
	if err != nil {
		return err
	}
	defer r.Close()
	for {
		n, err := io.CopyN(w, r, kernelPiece)
		if err := bill.take(n); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if t := s.current.Load(); t != nil {
			t.moved.Add(n)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// splitQuoted splits words at blanks; a word may stand in quotes.
func splitQuoted(arg string) ([]string, error) {
	var words []string
	for arg = strings.TrimLeft(arg, " "); arg != ""; arg = strings.TrimLeft(arg, " ") {
		if rest, ok := strings.CutPrefix(arg, `"`); ok {
			word, tail, ok := strings.Cut(rest, `"`)
			if !ok || word == "" {
				return nil, errSyntax
			}
			words, arg = append(words, word), tail
			continue
		}
		word, tail, _ := strings.Cut(arg, " ")
		words, arg = append(words, word), tail
	}
	return words, nil
}
