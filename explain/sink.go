package explain

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path"
	"strings"

	"towpath/capture"
	"towpath/ftp"
)

// sink takes the bytes of a connection, to digest them and perhaps to keep them
// in files. A nil sink takes none.
type sink struct {
	link  *link
	store *store
	sides [2]half
}

// half is what one side sent.
type half struct {
	sum     hash.Hash
	file    *os.File
	name    string // of file, in the store
	gaps    []Gap
	decoder *decoder // nil if what comes is the file, or is left as it is
}

// store is the directory of extracted files. Until it is known what a
// connection carries, they have names of their own there.
type store struct {
	root *os.Root
	next int
	err  error // the first
}

// maxGaps is how many gaps of a transfer are told.
const maxGaps = 1000

func newStore(dir string) (*store, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &store{root: root}, nil
}

func (s *store) fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

func newSink(o *Options, s *store, l *link) *sink {
	if !o.Hash && s == nil {
		return nil
	}
	return &sink{link: l, store: s}
}

// write takes the next bytes of one side, and says whether more are wanted.
func (s *sink) write(d capture.Direction, offset int64, b []byte) bool {
	if s == nil {
		return false
	}
	h := &s.sides[d]
	if h.sum == nil {
		h.sum = sha256.New()
		s.decode(h)
	}
	if h.decoder != nil {
		h.decoder.feed(b)
		return true
	}
	s.take(h, offset, b)
	return true
}

// decode has what comes decoded, if it is to be.
func (s *sink) decode(h *half) {
	r, coding := s.link.trace, s.link.coding()
	if coding == "" || r.decoders >= mostDecoders {
		return
	}
	h.decoder = newDecoder(coding, s.link.deal.transfer.Type, func(b []byte) { s.take(h, h.decoder.made-int64(len(b)), b) })
	if h.decoder != nil {
		r.decoders++
	}
}

// take takes bytes of the file.
func (s *sink) take(h *half, offset int64, b []byte) {
	h.sum.Write(b)
	if s.store != nil && s.store.err == nil {
		if err := s.keep(h, offset, b); err != nil {
			s.store.fail(err)
		}
	}
}

// keep writes to the file of one side, and makes it if there is none.
func (s *sink) keep(h *half, offset int64, b []byte) error {
	if h.name == "" {
		s.store.next++
		h.name = fmt.Sprintf(".explain-%d-%d.part", os.Getpid(), s.store.next)
		f, err := s.store.root.OpenFile(h.name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if err != nil {
			return err
		}
		h.file = f
	}
	if h.file == nil {
		return nil
	}
	_, err := h.file.WriteAt(b, offset)
	return err
}

func (s *sink) gap(d capture.Direction, from, to int64) {
	if s == nil {
		return
	}
	h := &s.sides[d]
	if h.decoder != nil {
		h.decoder.lose()
	}
	if len(h.gaps) < maxGaps {
		h.gaps = append(h.gaps, Gap{from, to})
	}
}

func (s *sink) close() {
	if s == nil {
		return
	}
	for i := range s.sides {
		h := &s.sides[i]
		if h.decoder != nil && !h.decoder.ended {
			h.decoder.end()
			s.link.trace.decoders--
		}
		if h.file == nil {
			continue
		}
		if err := h.file.Close(); err != nil {
			s.store.fail(err)
		}
		h.file = nil
	}
}

// result is the digest of what one side sent, and what is missing in it. What
// has gaps has no digest.
func (s *sink) result(d capture.Direction) (sum string, gaps []Gap) {
	if s == nil {
		return "", nil
	}
	h := &s.sides[d]
	switch {
	case len(h.gaps) > 0:
		return "", h.gaps
	case h.sum == nil:
		return hex.EncodeToString(sha256.New().Sum(nil)), nil
	}
	return hex.EncodeToString(h.sum.Sum(nil)), nil
}

// decoded says what a transfer whose bytes are coded is as a file.
func (s *sink) decoded(d capture.Direction, x *Transfer) {
	x.undone = ""
	if s == nil || x.Bytes == 0 { // of no bytes at all some servers make no stream
		return
	}
	h := &s.sides[d]
	if h.decoder == nil {
		if x.SHA256 = ""; !x.Protected {
			x.undone = "undecoded"
		}
		return
	}
	x.Decoded = new(h.decoder.made)
	if !h.decoder.whole() {
		if x.Complete {
			x.undone = h.decoder.undone()
		}
		x.Complete, x.SHA256 = false, ""
	}
}

// drop removes the files of a connection that are still there.
func (s *sink) drop() {
	if s == nil || s.store == nil {
		return
	}
	s.close()
	for i := range s.sides {
		if name := s.sides[i].name; name != "" {
			if err := s.store.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				s.store.fail(err)
			}
			s.sides[i].name = ""
		}
	}
}

// place gives the file of a transfer its name. An empty file was never made.
func (s *store) place(l *link, x *Transfer, name string) {
	l.sink.close()
	h := &l.sink.sides[x.sent]
	if h.name == "" {
		f, err := s.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
		if err == nil {
			err = f.Close()
		}
		if err != nil {
			s.fail(err)
			return
		}
	} else if err := s.root.Rename(h.name, name); err != nil {
		s.fail(err)
		return
	}
	h.name, x.File = "", name
}

// fileName is the name of an extracted file: the numbers of session and
// transfer, and as much of the path as is safe on any system.
func fileName(session, transfer int, x *Transfer) string {
	name := path.Base(strings.ReplaceAll(x.Path, `\`, "/"))
	if x.listing() {
		name = x.Verb + ".txt"
	}
	name = strings.Map(func(r rune) rune {
		switch {
		case r < ' ' || r == 0x7f, strings.ContainsRune(`<>:"/\|?*`, r):
			return '_'
		}
		return r
	}, name)
	for len(name) > 150 {
		name = name[:len(name)-1]
	}
	name = strings.ToValidUTF8(strings.TrimRight(strings.TrimLeft(name, ". "), ". "), "_")
	name = fmt.Sprintf("%04d-%03d-%s", session, transfer+1, cmp.Or(name, "data"))
	switch {
	case x.Bytes == 0:
	case x.Protected:
		name += ".tls"
	case x.Coding != "" && x.Decoded == nil:
		name += ".mode-" + x.Coding
	}
	if !x.Complete {
		name += ".incomplete"
	}
	return ftp.Escape(name)
}
