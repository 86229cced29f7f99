package main

import (
	"fmt"
	"io"
	"strings"
	"sync"

	"towpath/ftp"
	"towpath/internal/columns"
)

// interpreter shows a dialogue, and says in words what announcements mean:
//
//	> PORT 192,168,10,160,192,245
//	* we listen on 192.168.10.160 port 49397 (192*256+245); the server must connect there
type interpreter struct {
	mu   sync.Mutex
	w    io.Writer
	verb string // of the last command
}

func newInterpreter(w io.Writer) *interpreter { return &interpreter{w: w} }

// trace shows dialogues by p while somebody wants to see them.
func (l *sessions) trace(p *interpreter) func(byte, string) {
	return func(dir byte, line string) {
		if l.tracing.Load() > 0 {
			p.line(dir, line)
		} else if verb, _, _ := strings.Cut(line, " "); dir == 'C' {
			p.mu.Lock()
			p.verb = verb // the answer may be shown
			p.mu.Unlock()
		}
	}
}

// line takes a line as ftpclient.Options.Trace does.
func (p *interpreter) line(dir byte, line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	sign, meaning := "<", ""
	if dir == 'C' {
		sign = ">"
		verb, arg, _ := strings.Cut(line, " ")
		p.verb = verb
		meaning = ofCommand(verb, arg)
	} else {
		meaning = ofReply(p.verb, line)
	}
	text := sign + " " + line + "\n"
	if meaning != "" {
		text += "* " + meaning + "\n"
	}
	_, _ = io.WriteString(p.w, columns.ShownLines(text)) // who does not look needs no trace
}

// ofCommand says what a command means that is worth a word.
func ofCommand(verb, arg string) string {
	switch verb {
	case "PORT":
		a, err := ftp.ParseHostPort(arg)
		if err != nil {
			return err.Error()
		}
		p := a.Port()
		return fmt.Sprintf("we listen on %v port %d (%d*256+%d); the server must connect there", a.Addr(), p, p>>8, p&255)
	case "EPRT":
		a, err := ftp.ParseEPRT(arg)
		if err != nil {
			return err.Error()
		}
		return fmt.Sprintf("we listen on %v port %d; the server must connect there", a.Addr(), a.Port())
	}
	return ""
}

// ofReply says what the answer to a verb means.
func ofReply(verb, line string) string {
	code, text, _ := strings.Cut(line, " ")
	switch {
	case verb == "PASV" && code == "227":
		a, err := ftp.ParsePassive(text)
		if err != nil {
			return err.Error()
		}
		p := a.Port()
		private := ""
		if a.Addr().IsPrivate() {
			private = ", a private address,"
		}
		return fmt.Sprintf("the server listens on %v%s port %d (%d*256+%d); we must connect there", a.Addr(), private, p, p>>8, p&255)
	case verb == "EPSV" && code == "229":
		a, err := ftp.ParseExtendedPassive(text)
		if err != nil {
			return err.Error()
		}
		return fmt.Sprintf("the server listens on port %d of the address that we talk to; we must connect there", a.Port())
	case code == "425":
		return "the data connection did not come about"
	case code == "426":
		return "the data connection was cut"
	case verb == "AUTH" && code == "234":
		return "from here on the dialogue is under TLS"
	}
	return ""
}
