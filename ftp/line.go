package ftp

import (
	"fmt"
	"io"
)

const (
	// MaxLine is the length of the longest command line, in bytes without its
	// end of line.
	MaxLine = 4096
	// MaxReply is the length of the longest reply, in bytes of all its lines.
	MaxReply = 64 << 10
)

const (
	// smallBuffer is what an idle session costs. Most commands fit.
	smallBuffer = 160
	// maxEmptyReads is how often in a row a source may return neither bytes
	// nor an error.
	maxEmptyReads = 100
)

// Reader reads the lines of a control connection. Its buffer starts small,
// grows up to the longest line allowed only while a line needs it, and is
// small again when all is consumed.
//
// Every method keeps what it has read when the source fails, so that after a
// timeout the next call goes on where the last one stopped.
type Reader struct {
	src io.Reader
	err error // of src, told when the bytes that came with it are consumed

	// buf[start:end] is the line so far, without Telnet, and buf[next:len(buf)]
	// what is still to be looked at: start <= end <= next.
	buf              []byte
	start, end, next int
	telnet           telnet
	tooLong          bool // the line is being skipped

	reply     Reply // the reply so far
	replySize int
}

// NewReader returns a Reader of the lines of src.
func NewReader(src io.Reader) *Reader { return &Reader{src: src} }

// Reset makes r read from src, as a new Reader would, and drops all that was
// buffered.
func (r *Reader) Reset(src io.Reader) {
	buf := r.buf
	if cap(buf) > smallBuffer {
		buf = nil
	}
	*r = Reader{src: src, buf: buf[:0]}
}

// Buffered returns how many bytes were read and not consumed, those of an
// unfinished line included. Unless it is 0 when AUTH is answered, somebody has
// put bytes in front of the TLS handshake.
func (r *Reader) Buffered() int {
	n := r.end - r.start + len(r.buf) - r.next + r.replySize
	if n == 0 && (r.telnet != plain || r.tooLong) {
		n = 1
	}
	return n
}

// ReadLine reads a command line and returns it without its end, which is LF or
// CRLF, and without Telnet commands. Any other CR stays, and NUL too, for
// [ParseCommand] to refuse.
//
// Of a line longer than [MaxLine] it skips the rest and returns [ErrTooLong];
// the next call goes on with the next line. It returns io.EOF between lines,
// io.ErrUnexpectedEOF inside one, and other errors of the source as they are.
func (r *Reader) ReadLine() (string, error) {
	line, err := r.readLine(MaxLine)
	return string(line), err
}

// ReadCommand reads a line and parses it: [Reader.ReadLine], [ParseCommand].
func (r *Reader) ReadCommand() (Command, error) {
	line, err := r.ReadLine()
	if err != nil {
		return Command{}, err
	}
	return ParseCommand(line)
}

// readLine returns a line of at most limit bytes, which is valid until the
// next call.
func (r *Reader) readLine(limit int) ([]byte, error) {
	for {
		if r.scan(limit) {
			return r.take(limit)
		}
		if err := r.fill(limit); err != nil {
			return nil, err
		}
	}
}

// take ends the line in buf[start:end] and returns it.
func (r *Reader) take(limit int) ([]byte, error) {
	line := r.buf[r.start:r.end]
	tooLong := r.tooLong
	r.start, r.end, r.tooLong = r.next, r.next, false
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	if tooLong || len(line) > limit {
		return nil, ErrTooLong
	}
	return line, nil
}

// scan looks at the bytes in the buffer up to the end of a line, and says
// whether there was one.
func (r *Reader) scan(limit int) bool {
	for r.next < len(r.buf) {
		c := r.buf[r.next]
		r.next++
		if r.telnet != plain || c == telnetIAC {
			var what verdict
			r.telnet, what = r.telnet.next(c)
			if what&dropLast != 0 && r.end > r.start {
				r.end--
			}
			if what&dropThis != 0 {
				continue
			}
		}
		switch {
		case c == '\n':
			return true
		case r.tooLong:
		case r.end-r.start > limit: // limit bytes and a CR have room
			r.end, r.tooLong = r.start, true
		default:
			r.buf[r.end] = c
			r.end++
		}
	}
	return false
}

// fill reads more into the buffer when all of it has been looked at.
func (r *Reader) fill(limit int) error {
	if r.err != nil {
		return r.fail()
	}
	n := copy(r.buf, r.buf[r.start:r.end])
	r.buf, r.start, r.end, r.next = r.buf[:n], 0, n, n
	switch {
	case n == 0 && cap(r.buf) != smallBuffer:
		r.buf = make([]byte, 0, smallBuffer)
	case n == cap(r.buf):
		// The line may have limit+1 bytes, so there is always room for one more.
		r.buf = append(make([]byte, 0, min(2*n, limit+2)), r.buf...)
	}
	for range maxEmptyReads {
		n, err := r.src.Read(r.buf[len(r.buf):cap(r.buf)])
		r.buf = r.buf[:len(r.buf)+n]
		r.err = err
		if n > 0 {
			return nil
		}
		if err != nil {
			return r.fail()
		}
	}
	return io.ErrNoProgress
}

// fail returns the error of the source, once.
func (r *Reader) fail() error {
	err := r.err
	r.err = nil
	if err == io.EOF && r.Buffered() > 0 {
		return io.ErrUnexpectedEOF
	}
	return err
}

// ReadReply reads a reply of one line or of several (RFC 959 4.2). It takes
// what servers make of it:
//   - the code on every line, "230-", or on the first and the last only;
//   - blank lines before and inside a reply;
//   - lines inside it that begin with another code, or with the same one but
//     neither a blank nor a hyphen behind it; they are text;
//   - a code with nothing behind it, not even a blank.
//
// What begins with no code from 100 to 699 is no reply, and the error shows it.
// A reply of more than [MaxReply] bytes gives [ErrTooLong]. After either error
// nobody can tell where the next reply begins: the session is lost.
func (r *Reader) ReadReply() (Reply, error) {
	for {
		b, err := r.readLine(MaxReply)
		if err == nil {
			r.replySize += len(b) + len("\r\n")
			if r.replySize > MaxReply {
				err = ErrTooLong
			}
		}
		if err != nil {
			return Reply{}, err
		}
		done, err := r.addLine(string(b))
		if err != nil {
			return Reply{}, err
		}
		if done {
			reply := r.reply
			r.reply, r.replySize = Reply{}, 0
			return reply, nil
		}
	}
}

// addLine adds a line to the reply so far, and says whether it is the last.
func (r *Reader) addLine(line string) (last bool, err error) {
	code, sep, text := cutCode(line)
	if r.reply.Lines == nil {
		if line == "" {
			return false, nil
		}
		if code < 100 || code > 699 {
			return false, fmt.Errorf("not a reply: %s, want a code from 100 to 699 and a blank or hyphen", Escape(clip(line)))
		}
		r.reply.Code = code
	} else if code != r.reply.Code {
		text, sep = line, '-'
	}
	r.reply.Lines = append(r.reply.Lines, text)
	return sep == ' ', nil
}

// cutCode takes the code off a line of a reply. The code is 0 where there is
// none; sep is a blank or a hyphen.
func cutCode(line string) (code int, sep byte, text string) {
	if !startsWithCode(line) {
		return 0, 0, line
	}
	code = int(line[0]-'0')*100 + int(line[1]-'0')*10 + int(line[2]-'0')
	if len(line) == 3 {
		return code, ' ', ""
	}
	if sep = line[3]; sep != ' ' && sep != '-' {
		return 0, 0, line
	}
	return code, sep, line[4:]
}

// clip shortens what a peer sent to what an error can show.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
