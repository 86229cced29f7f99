package gateway

import (
	"bytes"
	"io"
	"strings"

	"towpath/ftp"
)

// lines reads the lines of one side of a control connection just as they came,
// so that they can go on just so. What it has read stays when the source fails:
// after a time-out the next call goes on.
type lines struct {
	src io.Reader
	buf []byte
	// buf[start:] is what was not handed out, up to seen without an LF.
	start, seen int
	skipping    bool // the rest of a line that was too long
}

// firstBuffer is what an idle session costs on each side.
const firstBuffer = 512

func (l *lines) reset(src io.Reader) { *l = lines{src: src} }

// buffered is how many bytes were read and not handed out.
func (l *lines) buffered() int { return len(l.buf) - l.start }

// next returns the next line with its LF, valid until the next call. Of a line
// of more than limit bytes it skips the rest and returns [ftp.ErrTooLong].
func (l *lines) next(limit int) ([]byte, error) {
	for {
		if i := bytes.IndexByte(l.buf[l.seen:], '\n'); i >= 0 {
			line := l.buf[l.start : l.seen+i+1]
			l.start = l.seen + i + 1
			l.seen = l.start
			if l.skipping || len(line) > limit+len("\r\n") {
				l.skipping = false
				return nil, ftp.ErrTooLong
			}
			return line, nil
		}
		l.seen = len(l.buf)
		if len(l.buf)-l.start > limit+len("\r\n") {
			l.skipping = true
		}
		if l.skipping {
			l.start = len(l.buf)
		}
		if err := l.fill(); err != nil {
			return nil, err
		}
	}
}

func (l *lines) fill() error {
	if l.start > 0 {
		n := copy(l.buf, l.buf[l.start:])
		l.buf, l.start, l.seen = l.buf[:n], 0, l.seen-l.start
	}
	if len(l.buf) == cap(l.buf) {
		l.buf = append(make([]byte, 0, max(firstBuffer, 2*cap(l.buf))), l.buf...)
	}
	n, err := l.src.Read(l.buf[len(l.buf):cap(l.buf)])
	l.buf = l.buf[:len(l.buf)+n]
	if n > 0 {
		return nil // the error comes again
	}
	return err
}

// rest takes out what was read and not handed out.
func (l *lines) rest() []byte {
	b := l.buf[l.start:]
	l.start, l.seen = len(l.buf), len(l.buf)
	return b
}

const iac = 0xff // begins a Telnet command (RFC 854)

// line is a command line of a client.
type line struct {
	raw     []byte // as it came, with its end; nil if it is not to go on so
	command ftp.Command
	synch   bool // an interrupt of Telnet came before it
	ahead   bool // it came before the answer to a line that it waited for
}

// readLine reads a command line that has its end. Where Telnet is in it, and
// the verb is not the same to those who know Telnet and to those who do not,
// raw is left out: then it goes on as [ftp.Command.Encode] writes it, so that
// nobody finds another command in it than we did.
func readLine(raw []byte) (line, error) {
	text := string(trimEnd(raw))
	l := line{raw: raw}
	if bytes.IndexByte(raw, iac) >= 0 {
		plain, err := ftp.NewReader(bytes.NewReader(raw)).ReadLine()
		if err != nil { // the LF belongs to a Telnet command
			return l, ftp.ErrLine
		}
		if verb(plain) != verb(text) {
			l.raw = nil
		}
		l.synch = bytes.HasPrefix(raw, []byte{iac, telnetIP})
		text = plain
	}
	var err error
	l.command, err = ftp.ParseCommand(text)
	return l, err
}

const (
	telnetIP = 0xf4 // interrupt process
	telnetDM = 0xf2 // data mark
)

// verb is the first word of a line, in upper case.
func verb(s string) string {
	v, _, _ := strings.Cut(s, " ")
	return strings.ToUpper(v)
}

func trimEnd(raw []byte) []byte {
	raw = bytes.TrimSuffix(raw, []byte("\n"))
	return bytes.TrimSuffix(raw, []byte("\r"))
}

// replies gathers the lines of a server into replies (RFC 959 4.2).
type replies struct {
	in      *lines
	pending []byte // the lines of a reply of several, so far
	code    string
}

// next returns a reply, and its bytes as they came, which are valid until the
// next call. What is no reply is returned with a zero Reply: it may pass, and
// means nothing.
func (r *replies) next() ([]byte, ftp.Reply, error) {
	for {
		raw, err := r.in.next(ftp.MaxReply)
		if err != nil {
			return nil, ftp.Reply{}, err
		}
		text := trimEnd(raw)
		code, last := replyCode(text)
		switch {
		case r.code != "":
			if len(r.pending)+len(raw) > ftp.MaxReply {
				return nil, ftp.Reply{}, ftp.ErrTooLong
			}
			r.pending = append(r.pending, raw...)
			if code != r.code || !last {
				continue
			}
			all := r.pending
			r.pending, r.code = nil, ""
			reply, err := ftp.NewReader(bytes.NewReader(all)).ReadReply()
			return all, reply, err
		case code == "":
			return raw, ftp.Reply{}, nil
		case last:
			n := int(code[0]-'0')*100 + int(code[1]-'0')*10 + int(code[2]-'0')
			if len(text) > 3 {
				text = text[4:]
			} else {
				text = nil
			}
			if bytes.IndexByte(text, iac) >= 0 {
				reply, err := ftp.NewReader(bytes.NewReader(raw)).ReadReply()
				return raw, reply, err
			}
			return raw, ftp.Reply{Code: n, Lines: []string{string(text)}}, nil
		default:
			r.code = code
			r.pending = append(r.pending[:0:0], raw...)
		}
	}
}

// replyCode is the code that a line begins with, "" if with none, and whether
// it can be the last line of a reply.
func replyCode(text []byte) (code string, last bool) {
	if len(text) < 3 || text[0] < '1' || text[0] > '6' || !digit(text[1]) || !digit(text[2]) {
		return "", false
	}
	switch {
	case len(text) == 3 || text[3] == ' ':
		return string(text[:3]), true
	case text[3] == '-':
		return string(text[:3]), false
	}
	return "", false
}

func digit(c byte) bool { return '0' <= c && c <= '9' }
