package listing

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"
)

// Dialect is a way to print a directory.
type Dialect uint8

const (
	// Detect finds the dialect of each line, trying first the one before it.
	Detect     Dialect = iota
	MLSx               // MLSD and MLST, RFC 3659
	EPLF               // Bernstein's publicfile and anftpd
	Mac                // NetPresenz and other Mac servers: ls -l with two forks
	Enterprise         // Connect:Enterprise for Unix
	Unix               // ls -l
	DOS                // IIS, Windows CE, and many a printer and camera
	NetWare
	VMS
	OS400 // IBM i, naming formats 0 and 1; takes Unix lines as well
	MVS   // z/OS: data sets, members of a partitioned one, JES jobs
	OS2
)

// dialects is in the order of trying: the strict before the lenient.
var dialects = [...]struct {
	name string
	want string
	read func(*reading, string) (Entry, bool)
}{
	MLSx:       {"MLSx", `facts and a name, "type=file;size=4;modify=20260102030405; sea.txt"`, (*reading).mlsx},
	EPLF:       {"EPLF", `"+facts", a tab and a name`, (*reading).eplf},
	Mac:        {"Mac", `mode, "folder" or the sizes of both forks, size, date and name`, (*reading).mac},
	Enterprise: {"Connect:Enterprise", `flags, "FTP", owner, group, size, date and name`, (*reading).enterprise},
	Unix:       {"Unix", `mode, links, owner, group, size, date and name, "-rw-r--r-- 1 ada crew 4 Jan  2 03:04 sea.txt"`, (*reading).unix},
	DOS:        {"DOS", `date, time, size or <DIR>, and name, "01-02-26  03:04AM  4 sea.txt"`, (*reading).dos},
	NetWare:    {"NetWare", `d or -, rights in brackets, owner, size, date and name`, (*reading).netware},
	VMS:        {"VMS", `name;version, blocks, date, [owner] and (protection)`, (*reading).vms},
	OS400:      {"OS/400", `owner, size, date, time, *TYPE and name, or a Unix line`, (*reading).os400},
	MVS:        {"MVS", `a data set with volume and unit, a member, or a job`, (*reading).mvs},
	OS2:        {"OS/2", `size, attributes, DIR, date, time and name`, (*reading).os2},
}

// String returns the name of d.
func (d Dialect) String() string {
	if d == Detect || int(d) >= len(dialects) {
		return "any dialect"
	}
	return dialects[d].name
}

// Options says how to read a listing. The zero value finds out the dialect and
// takes the server to live in UTC.
type Options struct {
	// Now is the time against which a date without year is read; by default
	// the time when reading starts.
	Now time.Time
	// Location is where the server's clock hangs; nil is UTC. MLSx and EPLF
	// times are UTC always.
	Location *time.Location
	// Dialect holds the reader to one dialect. MLSx lines without any fact and
	// bare names of MVS members are read only when the dialect is held or the
	// lines before have shown it.
	Dialect Dialect
	// MaxLine is the length in bytes beyond which a line is refused, by
	// default [DefaultMaxLine]. Memory is bounded by it.
	MaxLine int
}

// DefaultMaxLine has room for a path and a link target of 4 KiB each.
const DefaultMaxLine = 16 << 10

// LineError is a line of a listing that could not be read.
type LineError struct {
	Line int    // counted from 1; 0 when it was read by itself
	Text string // without its end; the beginning of it when it was too long
	Want string // what would be right
}

// Error shows the line, its beginning if it is long.
func (e *LineError) Error() string {
	where := "listing"
	if e.Line > 0 {
		where = fmt.Sprintf("listing line %d", e.Line)
	}
	return fmt.Sprintf("%s: %.200q: want %s", where, e.Text, e.Want)
}

// maxIdle is how much of a listing may bring nothing: blank lines, headings, or
// one line that does not end. Without it a server could keep a reader for ever
// that never hears of it.
const maxIdle = 1 << 20

var errIdle = fmt.Errorf("no entry within %d bytes", maxIdle)

// Read yields the entries of a listing as they come in, in bounded memory.
//
// A line that cannot be read is yielded as *[LineError], with a zero Entry, in
// its place; reading goes on behind it. So is a last line of MLSx without its end:
// the name in it, and names behind it, may have been cut off. Any other error is r's own, or tells
// that no entry has come within 1 MiB, is yielded last, and means that the
// listing is not complete; the line that it cut is not yielded.
func Read(r io.Reader, o Options) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		maxLine := o.MaxLine
		if maxLine <= 0 {
			maxLine = DefaultMaxLine
		}
		in := bufio.NewReaderSize(r, maxLine+len("\r\n"))
		l := newReading(o)
		var held heldLine
		idle := 0
		for n := 1; ; n++ {
			text, took, ended, err := readLine(in)
			long := took > in.Size()
			if idle += took; err == nil && idle > maxIdle {
				err = errIdle
			}
			if err != nil && err != io.EOF {
				if held.flush(yield) {
					yield(Entry{}, fmt.Errorf("listing line %d: %w", n, err))
				}
				return
			}
			if err == io.EOF && text == "" {
				held.flush(yield)
				return
			}
			if held.text != "" && !long {
				if e, ok := l.vms(held.text + " " + text); ok {
					held = heldLine{}
					l.dialect = VMS
					if !yield(e.finish(), nil) {
						return
					}
					continue
				}
			}
			if !held.flush(yield) {
				return
			}
			if !long && l.noise(text) {
				continue
			}
			if !ended && !long && l.sure(MLSx) {
				yield(Entry{}, &LineError{n, text, "the end of the line: the listing was cut, and its name may be longer"})
				return
			}
			idle = 0
			switch {
			case long:
				if !yield(Entry{}, &LineError{n, text, fmt.Sprintf("at most %d bytes", maxLine)}) {
					return
				}
			case l.may(VMS) && vmsNameOnly(text):
				held = heldLine{n, text, l.want()}
			default:
				e, ok := l.line(text)
				if !ok {
					err := &LineError{n, text, l.want()}
					if !yield(Entry{}, err) {
						return
					}
				} else if !yield(e, nil) {
					return
				}
			}
		}
	}
}

// Parse reads one line, with or without its end. A VMS entry may be broken in
// two by CRLF. The error is a *[LineError]; headings and other lines that are
// no entry are refused too.
func Parse(line string, o Options) (Entry, error) {
	l := newReading(o)
	text := strings.TrimRight(line, "\r\n")
	first, second, two := strings.Cut(text, "\n")
	switch {
	case two && l.may(VMS):
		if e, ok := l.vms(strings.TrimRight(first, "\r") + " " + second); ok {
			return e.finish(), nil
		}
	case !two && !l.noise(text):
		if e, ok := l.line(text); ok {
			return e, nil
		}
	}
	return Entry{}, &LineError{Text: text, Want: l.want()}
}

// readLine returns the next line without CR and LF, and how many bytes it took.
// Of a line longer than the buffer of in it is the beginning. The last line may
// lack its end, ended tells; io.EOF comes with an empty line.
func readLine(in *bufio.Reader) (text string, took int, ended bool, err error) {
	b, err := in.ReadSlice('\n')
	text = strings.TrimRight(string(b), "\r\n")
	took = len(b)
	for errors.Is(err, bufio.ErrBufferFull) {
		if took > maxIdle {
			return text, took, false, errIdle
		}
		b, err = in.ReadSlice('\n')
		took += len(b)
	}
	ended = err == nil
	if err == io.EOF && took > 0 {
		err = nil
	}
	return text, took, ended, err
}

// heldLine is the first half of a VMS entry that the server broke in two
// because the name was long; the second half has the facts.
type heldLine struct {
	line int
	text string
	want string
}

// flush yields the held line, if there is one, as one that cannot be read.
func (h *heldLine) flush(yield func(Entry, error) bool) bool {
	if h.text == "" {
		return true
	}
	err := &LineError{h.line, h.text, h.want}
	*h = heldLine{}
	return yield(Entry{}, err)
}

// reading is what is known while a listing is read.
type reading struct {
	now      time.Time
	location *time.Location
	only     Dialect // the one that the caller wants, or Detect
	dialect  Dialect // of the line before, or Detect
	datasets bool    // the heading of MVS data sets was seen
	members  bool    // the heading of MVS members was seen, or one with statistics
	order    dateOrder
}

func newReading(o Options) *reading {
	l := &reading{now: o.Now, location: o.Location, only: o.Dialect}
	if l.now.IsZero() {
		l.now = time.Now()
	}
	if l.location == nil {
		l.location = time.UTC
	}
	if int(l.only) >= len(dialects) {
		l.only = Detect
	}
	return l
}

// may reports whether lines of d are to be read.
func (l *reading) may(d Dialect) bool { return l.only == Detect || l.only == d }

// sure reports whether d was asked for or has shown itself.
func (l *reading) sure(d Dialect) bool { return l.only == d || l.dialect == d }

// line reads one line, first in the dialect of the line before.
func (l *reading) line(s string) (Entry, bool) {
	if l.only != Detect {
		e, ok := dialects[l.only].read(l, s)
		return e.finish(), ok
	}
	if l.dialect != Detect {
		if e, ok := dialects[l.dialect].read(l, s); ok {
			return e.finish(), true
		}
	}
	for d := MLSx; int(d) < len(dialects); d++ {
		if d == l.dialect {
			continue
		}
		if e, ok := dialects[d].read(l, s); ok {
			l.dialect = d
			return e.finish(), true
		}
	}
	return Entry{}, false
}

// want says what a line should have been.
func (l *reading) want() string {
	switch {
	case l.only != Detect:
		return dialects[l.only].want
	case l.dialect != Detect:
		return dialects[l.dialect].want
	}
	return "a line of MLSD, EPLF, ls -l, DOS, NetWare, VMS, OS/400, MVS or OS/2"
}

// finish notes which facts the line gave. FactMode and FactPerm have no value
// that stands for unknown: those who read them note them.
func (e Entry) finish() Entry {
	for _, f := range [...]struct {
		fact  Facts
		given bool
	}{
		{FactType, e.Type != Other},
		{FactSize, e.Size >= 0},
		{FactModify, !e.Time.IsZero()},
		{FactCreate, !e.Created.IsZero()},
		{FactUnique, e.Unique != ""},
		{FactOwner, e.Owner != ""},
		{FactGroup, e.Group != ""},
		{FactMediaType, e.MediaType != ""},
	} {
		if f.given {
			e.Stated |= f.fact
		}
	}
	return e
}

// totals are the words that ls puts before the number of blocks.
var totals = []string{
	"total", "totale", "totalt", "insgesamt", "razem", "celkem", "итого",
	"合計", "总计", "总用量", "總計", "합계",
}

// noise reports whether s is a line that is known to be no entry, and
// remembers what a heading says of the lines below it.
func (l *reading) noise(s string) bool {
	if strings.TrimSpace(s) == "" {
		// MLSx has a name behind the first blank, though it be a blank.
		return len(s) < 2 || !l.sure(MLSx)
	}
	if l.may(VMS) && vmsNoise(s) || l.may(MVS) && l.mvsHeading(s) {
		return true
	}
	if l.only == MLSx {
		return false
	}
	first, rest := word(s)
	count, rest := word(rest)
	if first == "" || !isDigits(count) || strings.TrimSpace(rest) != "" {
		return false
	}
	for _, t := range totals {
		if strings.EqualFold(first, t) {
			return true
		}
	}
	return false
}

// word returns the first word of s and what follows it, from the blank on.
func word(s string) (w, rest string) {
	s = strings.TrimLeft(s, " ")
	if i := strings.IndexByte(s, ' '); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

// name returns what stands behind the one blank that rest begins with.
func name(rest string) (string, bool) {
	if len(rest) < 2 || rest[0] != ' ' {
		return "", false
	}
	return rest[1:], true
}

// isDigits reports whether s is one or more decimal digits.
func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// number reads decimal digits, at most so many of them (and 9).
func number(s string, most int) (int, bool) {
	if !isDigits(s) || len(s) > most {
		return 0, false
	}
	n := 0
	for i := range len(s) {
		n = n*10 + int(s[i]-'0')
	}
	return n, true
}
