package transcript

import (
	"fmt"
	"strconv"
	"strings"

	"towpath/ftp"
)

// Step is one thing that happens in a dialogue: a command line, a whole reply,
// or a piece of data.
type Step struct {
	Who Who
	// Text is the line of the client, as raw as it is to be sent (the end of
	// line is not in it), or the bytes of the data.
	Text string
	// Reply is what the server says. In a script it may be a pattern; see
	// [Match].
	Reply ftp.Reply
	// Number is that of the step's first line.
	Number int
}

// Script reads a transcript as steps: it joins the lines of a reply, and the
// lines of data that stand in a row.
func Script(text string) ([]Step, error) {
	lines, err := Parse(text)
	if err != nil {
		return nil, err
	}
	var steps []Step
	for i := 0; i < len(lines); {
		l := lines[i]
		s := Step{Who: l.Who, Text: l.Text, Number: l.Number}
		n := 1
		switch l.Who {
		case Data:
			for ; i+n < len(lines) && lines[i+n].Who == Data; n++ {
				s.Text += lines[i+n].Text
			}
		case Server:
			s.Text = ""
			if s.Reply, n, err = reply(lines[i:]); err != nil {
				return nil, fmt.Errorf("line %d: %w", l.Number, err)
			}
		}
		steps = append(steps, s)
		i += n
	}
	return steps, nil
}

// reply reads the reply that begins lines, and says how many lines it takes.
// As on the wire, "211-" goes on up to the line that begins with "211 "; the
// lines between belong to it whatever they begin with.
func reply(lines []Line) (r ftp.Reply, n int, err error) {
	code, rest := lines[0].Text, ""
	if len(code) > 3 {
		code, rest = code[:3], code[3:]
	}
	v, err := strconv.ParseUint(code, 10, 16)
	if err != nil || v < 100 || rest != "" && rest[0] != ' ' && rest[0] != '-' {
		return r, 0, fmt.Errorf("%s %q: want a reply: three digits, then nothing, a blank or -", "S:", lines[0].Text)
	}
	r.Code = int(v)
	if rest == "" {
		return ftp.Reply{Code: r.Code, Lines: []string{""}}, 1, nil
	}
	r.Lines = []string{rest[1:]}
	if rest[0] == ' ' {
		return r, 1, nil
	}
	for n = 1; n < len(lines) && lines[n].Who == Server; n++ {
		text := lines[n].Text
		if text == code {
			text += " "
		}
		if last, ok := strings.CutPrefix(text, code+" "); ok {
			r.Lines = append(r.Lines, last)
			return r, n + 1, nil
		}
		r.Lines = append(r.Lines, strings.TrimPrefix(text, code+"-"))
	}
	return r, 0, fmt.Errorf("%s %q: the reply has no last line, which begins with %q", "S:", lines[0].Text, code+" ")
}

// Match says whether got is what the script wants, and if not why. A want of
// nothing but a code takes any text. Otherwise each of its lines must be found
// in got, in this order: a line of got begins with it, and * in it stands for
// any run of bytes.
//
//	S: 227 Entering Passive Mode (127,0,0,1,*).
//	S: 211-
//	S:  MLST
//	S: 211 End
func Match(want, got ftp.Reply) error {
	if want.Code != got.Code {
		return fmt.Errorf("reply is %q, want %d", got, want.Code)
	}
	left := got.Lines
	for _, w := range want.Lines {
		for !begins(left, w) {
			if len(left) == 0 {
				return fmt.Errorf("reply is %q, want %q in it", got, w)
			}
			left = left[1:]
		}
		if w != "" {
			left = left[1:]
		}
	}
	return nil
}

// begins reports whether the first of lines begins with pattern.
func begins(lines []string, pattern string) bool {
	if pattern == "" {
		return true
	}
	if len(lines) == 0 {
		return false
	}
	parts := strings.Split(pattern, "*")
	rest, ok := strings.CutPrefix(lines[0], parts[0])
	for _, p := range parts[1:] {
		if ok {
			_, rest, ok = strings.Cut(rest, p)
		}
	}
	return ok
}
