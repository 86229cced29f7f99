package explain

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"strings"

	"towpath/ftp"
)

// book is for what sessions say again and again: "230 Login successful", "TYPE
// I". What is in it needs neither be read again nor kept twice.
type book struct {
	pages [2][pages]page // of client and server, by the likeness of the line
	// What is looked at first lies apart, close together: the likeness of the
	// line of each page, and of the last line that belongs there.
	lines, last [2][pages]uint64
	shelf       shelf
}

// pages is how many a book has for each end.
const (
	pageBits = 9
	pages    = 1 << pageBits
)

// page holds a phrase that was said at least twice.
type page struct {
	phrase
	line string
}

// phrase is a line that is understood: a command, or a reply.
type phrase struct {
	command ftp.Command
	reply   ftp.Reply
	shown   string // the argument, or the text, safe to show
}

// phrase takes what may be a line of one end. It answers false if it is several,
// a part of a reply, or none.
func (t *talk) phrase(dir int, line []byte) bool {
	b := t.book
	h := likeness(line)
	n := h >> (64 - pageBits)
	p := &b.pages[dir][n]
	x := &p.phrase
	if b.lines[dir][n] != h || p.line != string(line) {
		if !single(line) {
			return false
		}
		again := b.last[dir][n] == h
		b.last[dir][n] = h
		text := ""
		if again {
			text = string(line)
		} else {
			text = b.shelf.put(line)
		}
		var y phrase
		if !t.understand(&y, dir, text) {
			return false
		}
		if x = &y; again {
			p.phrase, p.line, b.lines[dir][n] = y, text, h
		}
	}
	if dir == fromServer {
		t.reply(x.reply, x.shown)
	} else if x.command.Verb != "" || x.shown != "" {
		t.command(x.command, x.shown)
	}
	return true
}

// likeness tells lines apart fast, by their ends and their length: what differs from
// one session to the next stands at one end. Of two that it takes for each other
// each has to be read anew.
func likeness(line []byte) uint64 {
	n := len(line)
	if n < 8 {
		h := uint64(n)
		for _, c := range line {
			h = h<<8 | uint64(c)
		}
		return h * mix
	}
	first, last := binary.LittleEndian.Uint64(line), binary.LittleEndian.Uint64(line[n-8:])
	h := (first^uint64(n))*mix ^ bits.RotateLeft64(last, 29)
	return h * mix
}

const mix = 0x9e3779b97f4a7c15

// understand reads a line. That of an empty command is an empty phrase.
func (t *talk) understand(p *phrase, dir int, line string) (ok bool) {
	if dir == fromServer {
		if p.reply, ok = ftp.ParseReply(line); ok {
			p.shown = replyText(p.reply)
		}
		return ok
	}
	var err error
	if p.command, err = ftp.ParseCommand(line); err == nil || !errors.Is(err, ftp.ErrEmpty) {
		p.shown = t.opts.shown(p.command)
	}
	return true
}

// shelf keeps strings, many in one piece of memory.
type shelf struct{ b strings.Builder }

// put returns b as a string.
func (s *shelf) put(b []byte) string {
	const size = 4096
	if len(b) > size/16 {
		return string(b)
	}
	if s.b.Cap()-s.b.Len() < len(b) {
		s.b = strings.Builder{}
		s.b.Grow(size)
	}
	from := s.b.Len()
	s.b.Write(b)
	return s.b.String()[from:]
}
