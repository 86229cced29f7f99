package explain

import (
	"errors"
	"hash/maphash"
	"strings"

	"towpath/ftp"
)

// book is for what sessions say again and again: "230 Login successful", "TYPE
// I". What is in it needs neither be read again nor kept twice.
type book struct {
	pages [2][512]page // of client and server, by a hash of the line
	shelf shelf
}

// page holds a phrase that was said at least twice.
type page struct {
	phrase
	line string
	last uint64 // hash of the last line that belongs here
}

// phrase is a line that is understood: a command, or a reply.
type phrase struct {
	command ftp.Command
	reply   ftp.Reply
	shown   string // the argument, or the text, safe to show
}

// phrase takes a line of one end. It answers false if it is a part of a reply,
// or none.
func (t *talk) phrase(dir int, line []byte) bool {
	h := maphash.Bytes(seed, line)
	p := &t.book.pages[dir][h%uint64(len(t.book.pages[dir]))]
	x := &p.phrase
	if p.line != string(line) {
		again := p.last == h
		p.last = h
		text := ""
		if again {
			text = string(line)
		} else {
			text = t.book.shelf.put(line)
		}
		y, ok := t.understand(dir, text)
		if !ok {
			return false
		}
		if x = &y; again {
			p.phrase, p.line = y, text
		}
	}
	if dir == fromServer {
		t.reply(x.reply, x.shown)
	} else if x.command.Verb != "" || x.shown != "" {
		t.command(x.command, x.shown)
	}
	return true
}

// understand reads a line. That of an empty command is an empty phrase.
func (t *talk) understand(dir int, line string) (p phrase, ok bool) {
	if dir == fromServer {
		if p.reply, ok = ftp.ParseReply(line); ok {
			p.shown = replyText(p.reply)
		}
		return p, ok
	}
	var err error
	if p.command, err = ftp.ParseCommand(line); errors.Is(err, ftp.ErrEmpty) {
		return p, true
	}
	p.shown = t.opts.shown(p.command)
	return p, true
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
