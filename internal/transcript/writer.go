package transcript

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"towpath/ftp"
)

// dataLine is how many bytes of data a D: line holds at most.
const dataLine = 1024

// Writer records a dialogue. Each method writes whole lines by one call of the
// io.Writer below, so that what is kept can be read at any time. After an
// error nothing more is written, and every call returns that error.
//
// It is safe for concurrent use.
type Writer struct {
	mu    sync.Mutex
	w     io.Writer
	clock func() time.Time
	err   error
}

// NewWriter returns a Writer on w. If clock is not nil, each line of the
// client and each reply has a comment before it with the time, in UTC.
func NewWriter(w io.Writer, clock func() time.Time) *Writer {
	return &Writer{w: w, clock: clock}
}

// Command records a command, with its secrets hidden as [ftp.Command.String]
// hides them.
func (w *Writer) Command(c ftp.Command) error {
	// String escapes all but the backslash.
	c.Arg = strings.ReplaceAll(c.Arg, `\`, `\\`)
	return w.write(true, format(Client, c.String()))
}

// Reply records a reply, in as many lines as it has.
func (w *Writer) Reply(r ftp.Reply) error {
	if len(r.Lines) == 0 {
		r.Lines = []string{""}
	}
	var b strings.Builder
	for i, l := range r.Lines {
		switch {
		case i == len(r.Lines)-1 && l == "":
			l = fmt.Sprintf("%03d", r.Code)
		case i == len(r.Lines)-1:
			l = fmt.Sprintf("%03d %s", r.Code, l)
		case i == 0:
			l = fmt.Sprintf("%03d-%s", r.Code, l)
		case codeLike(l):
			l = " " + l // else it could end the reply
		}
		b.WriteString(format(Server, escape(l)))
	}
	return w.write(true, b.String())
}

// codeLike reports whether a line begins with three digits.
func codeLike(l string) bool {
	return len(l) >= 3 && strings.Trim(l[:3], "0123456789") == ""
}

// Data records bytes of the data connection. None at all is recorded too: an
// empty file is a transfer like others.
func (w *Writer) Data(p []byte) error {
	var b strings.Builder
	for first := true; first || len(p) > 0; first = false {
		n := min(len(p), dataLine)
		b.WriteString(format(Data, escape(string(p[:n]))))
		p = p[n:]
	}
	return w.write(false, b.String())
}

// Comment records a remark, which may have several lines.
func (w *Writer) Comment(text string) error {
	var b strings.Builder
	for l := range strings.SplitSeq(text, "\n") {
		b.WriteString(strings.TrimRight("# "+ftp.Escape(l), " ") + "\n")
	}
	return w.write(false, b.String())
}

func (w *Writer) write(timed bool, s string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	if timed && w.clock != nil {
		s = w.clock().UTC().Format("# 2006-01-02T15:04:05.000Z\n") + s
	}
	_, w.err = io.WriteString(w.w, s)
	return w.err
}
