package listing

import (
	"io/fs"
	"strings"
	"time"
)

// halfYear is the age up to which ls shows the time of day, else the year:
// half of a mean Gregorian year.
const halfYear = 31556952 / 2 * time.Second

const monthNames = "JanFebMarAprMayJunJulAugSepOctNovDec"

// AppendUnix appends the line of e as ls -l prints it, with CRLF:
//
//	-rw-r--r--    1 ftp      ftp             4 Jan  2 03:04 sea.txt
//
// A time older than half a year, or after now, shows the year in place of the
// time of day (POSIX, ls). What is not known is written as: owner and group
// "ftp", one link, size 0, 1 January 1970. Blanks in owner and group become
// '_', for readers count columns.
func AppendUnix(b []byte, e *Entry, now time.Time) []byte {
	b = appendMode(b, e)
	b = appendPadded(append(b, ' '), int64(max(e.Links, 1)), 4, ' ')
	b = appendColumn(append(b, ' '), e.Owner)
	b = appendColumn(append(b, ' '), e.Group)
	b = appendPadded(append(b, ' '), e.Size, 12, ' ')
	b = appendDate(append(b, ' '), e.Time, now)
	b = appendName(append(b, ' '), e.Name)
	if e.Type == Link && e.Target != "" {
		b = appendName(append(b, " -> "...), e.Target)
	}
	return append(b, '\r', '\n')
}

// typeLetters are the first letters of a mode for what is no file, directory
// or link.
var typeLetters = [...]struct {
	letter byte
	mode   fs.FileMode
}{
	{'c', fs.ModeDevice | fs.ModeCharDevice},
	{'b', fs.ModeDevice},
	{'p', fs.ModeNamedPipe},
	{'s', fs.ModeSocket},
}

func typeLetter(e *Entry) byte {
	switch e.Type {
	case Dir, CDir, PDir:
		return 'd'
	case Link:
		return 'l'
	}
	for _, t := range typeLetters {
		if e.Mode&t.mode == t.mode {
			return t.letter
		}
	}
	if e.Type == Other {
		return '?'
	}
	return '-'
}

// appendMode writes the ten letters of a mode, "-rw-r--r--".
func appendMode(b []byte, e *Entry) []byte {
	m := e.Mode
	at := len(b)
	b = append(b, "?rwxrwxrwx"...)
	b[at] = typeLetter(e)
	for i := range 9 {
		if m&(1<<(8-i)) == 0 {
			b[at+1+i] = '-'
		}
	}
	for _, x := range [...]struct {
		bit fs.FileMode
		at  int
		set byte // the letter when x is set too; its capital when not
	}{{fs.ModeSetuid, 3, 's'}, {fs.ModeSetgid, 6, 's'}, {fs.ModeSticky, 9, 't'}} {
		switch {
		case m&x.bit == 0:
		case b[at+x.at] == 'x':
			b[at+x.at] = x.set
		default:
			b[at+x.at] = x.set - 'a' + 'A'
		}
	}
	return b
}

// appendColumn writes an owner or group, left-aligned to eight.
func appendColumn(b []byte, s string) []byte {
	if s == "" {
		s = "ftp"
	}
	b = appendWord(b, s)
	for n := len(s); n < 8; n++ {
		b = append(b, ' ')
	}
	return b
}

// appendDate writes "Jan  2 03:04" or "Jan  2  2006".
func appendDate(b []byte, t, now time.Time) []byte {
	y, mo, d := t.Date()
	if t.IsZero() || y < 0 || y > 9999 {
		t = time.Unix(0, 0).UTC()
		y, mo, d = t.Date()
	}
	b = append(b, monthNames[3*mo-3:3*mo]...)
	b = appendPadded(append(b, ' '), int64(d), 2, ' ')
	b = append(b, ' ')
	if age := now.Sub(t); age < 0 || age >= halfYear {
		return append4(append(b, ' '), y)
	}
	h, mi, _ := t.Clock()
	return append2(append(append2(b, h), ':'), mi)
}

// unix reads a line of ls -l and of the many that imitate it: links or group
// may be missing, an ACL sign may stand behind the mode, devices have "major,
// minor" for a size.
func (l *reading) unix(s string) (Entry, bool) {
	e, rest, ok := readMode(s)
	if !ok {
		return Entry{}, false
	}
	if links, behind := word(rest); isDigits(links) {
		e.Links, _ = number(links, 9)
		rest = behind
	} else if links == "" || links[0] >= '0' && links[0] <= '9' {
		return Entry{}, false // two columns grew together
	}
	who, rest, ok := l.sizeAndDate(&e, rest)
	if !ok {
		return Entry{}, false
	}
	e.Owner, e.Group = ownerAndGroup(who)
	if e.Name, ok = name(rest); !ok {
		return Entry{}, false
	}
	if e.Type == Link {
		e.Name, e.Target = cutArrow(e.Name, e.Size)
	}
	return e, e.Name != ""
}

// readMode reads the ten letters of a mode, and the sign behind them that
// tells of an ACL or such.
func readMode(s string) (e Entry, rest string, ok bool) {
	if len(s) < 11 {
		return Entry{}, "", false
	}
	e = Entry{Size: -1, Stated: FactMode}
	switch s[0] {
	case 'd':
		e.Type = Dir
	case 'l':
		e.Type = Link
	case '?':
		e.Type = Other
	case '-', 'f', 'D': // D is a Solaris door
		e.Type = File
	default:
		e.Type = File
		for _, t := range typeLetters {
			if t.letter == s[0] {
				e.Mode = t.mode
			}
		}
		if e.Mode == 0 {
			return Entry{}, "", false
		}
	}
	const letters = "rwxrwxrwx"
	for i := range 9 {
		switch c := s[1+i]; {
		case c == letters[i]:
			e.Mode |= 1 << (8 - i)
		case c == '-':
		case i == 2 && c|0x20 == 's':
			e.Mode |= fs.ModeSetuid
		case i == 5 && c|0x20 == 's':
			e.Mode |= fs.ModeSetgid
		case i == 5 && c|0x20 == 'l': // mandatory locking: set-group-id without x
			e.Mode |= fs.ModeSetgid
		case i == 8 && c|0x20 == 't':
			e.Mode |= fs.ModeSticky
		default:
			return Entry{}, "", false
		}
		if c := s[1+i]; c == 's' || c == 't' {
			e.Mode |= 1 << (8 - i)
		}
	}
	rest = s[10:]
	if strings.IndexByte("+.@*", rest[0]) >= 0 {
		rest = rest[1:]
	} else if rest[0] != ' ' {
		return Entry{}, "", false
	}
	return e, rest, true
}

// maxWords is how many words may stand up to the size: Cygwin has groups of
// many words.
const maxWords = 32

// sizeAndDate finds the first size with a date behind it in s, and returns
// what stands before and behind them.
func (l *reading) sizeAndDate(e *Entry, s string) (before, rest string, ok bool) {
	behind := s
	for range maxWords {
		var w string
		if w, behind = word(behind); w == "" {
			break
		}
		at := len(s) - len(behind) - len(w)
		size, ok := readSize(w)
		if !ok && !(special(e.Mode) && isDevice(w)) {
			continue
		}
		d, rest, ok := l.readDate(behind)
		if !ok {
			continue
		}
		before := s[:at]
		if head, ok := cutMajor(before); ok && special(e.Mode) {
			before, size = head, -1
		}
		e.Size, e.Time, e.Precision = size, d.Time, d.precision
		return strings.TrimSpace(before), rest, true
	}
	return "", "", false
}

// isDevice reports whether w is "major,minor".
func isDevice(w string) bool {
	major, minor, ok := strings.Cut(w, ",")
	return ok && isDigits(major) && isDigits(minor)
}

// cutMajor takes a last word "major," off s.
func cutMajor(s string) (string, bool) {
	s = strings.TrimRight(s, " ")
	i := strings.LastIndexByte(s, ' ') + 1
	if major, ok := strings.CutSuffix(s[i:], ","); ok && isDigits(major) {
		return s[:i], true
	}
	return s, false
}

// ownerAndGroup parts what stands between links and size: at the first double
// blank, else at the first blank. There may be an owner alone.
func ownerAndGroup(s string) (owner, group string) {
	owner, group, ok := strings.Cut(s, "  ")
	if !ok {
		owner, group, _ = strings.Cut(s, " ")
	}
	return owner, strings.TrimSpace(group)
}

// cutArrow parts the name of a link from its target. Where either holds an
// arrow itself, the size tells, for it is the length of the target.
func cutArrow(s string, size int64) (name, target string) {
	const arrow = " -> "
	if at := int64(len(s)) - size - int64(len(arrow)); size >= 0 && at > 0 && s[at:at+int64(len(arrow))] == arrow {
		return s[:at], s[at+int64(len(arrow)):]
	}
	name, target, _ = strings.Cut(s, arrow)
	return name, target
}

// enterprise reads Connect:Enterprise, which prints flags in place of a mode:
// "-C--E-----FTP B QUA1I1      18128       41 Aug 12 13:56 QUADTEST".
func (l *reading) enterprise(s string) (Entry, bool) {
	const flags = 10
	if len(s) < flags || !strings.HasPrefix(s[flags:], "FTP ") {
		return Entry{}, false
	}
	for i := range flags {
		if c := s[i]; c != '-' && (c < 'A' || c > 'Z') {
			return Entry{}, false
		}
	}
	e := Entry{Type: File, Size: -1}
	code, rest := word(s[flags+len("FTP "):])
	if len(code) != 1 {
		return Entry{}, false
	}
	who, rest, ok := l.sizeAndDate(&e, rest)
	if !ok {
		return Entry{}, false
	}
	e.Owner, e.Group = ownerAndGroup(who)
	e.Name, ok = name(rest)
	return e, ok
}
