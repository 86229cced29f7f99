package listing

import (
	"cmp"
	"io/fs"
	"math"
	"strconv"
	"strings"
	"time"
)

// AppendMLSx appends the line of e as MLSD sends it (RFC 3659 7.2), with CRLF:
//
//	type=file;size=4;modify=20260102030405; sea.txt
//
// Of the facts asked for it writes those that are known, perm in any case, and
// never the size of a directory (FileZilla takes one for a file). A link that
// nobody followed is "OS.unix=slink:target"; a server that can should follow it
// and say what it found, for clients that know only file and dir. A target that
// holds a blank or ";" is left out, as it would end the fact.
func AppendMLSx(b []byte, e *Entry, facts Facts) []byte {
	return append(AppendMLST(b, e, facts), '\r', '\n')
}

// AppendMLST is [AppendMLSx] without CRLF: the middle line of the 250 that
// answers MLST, which RFC 3659 7.2 wants indented by one blank.
func AppendMLST(b []byte, e *Entry, facts Facts) []byte {
	if facts&FactType != 0 && (e.Type != Other || special(e.Mode)) {
		b = append(b, "type="...)
		b = appendType(b, e)
		b = append(b, ';')
	}
	if facts&FactSize != 0 && e.Size >= 0 && !e.Type.IsDir() {
		b = append(b, "size="...)
		b = strconv.AppendInt(b, e.Size, 10)
		b = append(b, ';')
	}
	if facts&FactModify != 0 {
		b = appendStamp(b, "modify=", e.Time)
	}
	if facts&FactCreate != 0 {
		b = appendStamp(b, "create=", e.Created)
	}
	if facts&FactPerm != 0 {
		b = append(b, "perm="...)
		b = e.Perm.append(b)
		b = append(b, ';')
	}
	if facts&FactUnique != 0 {
		b = appendUnique(b, e)
	}
	if facts&FactMode != 0 {
		m := unixMode(e.Mode)
		b = append(b, "unix.mode="...)
		b = append(b, byte('0'+m>>9&7), byte('0'+m>>6&7), byte('0'+m>>3&7), byte('0'+m&7), ';')
	}
	if facts&FactOwner != 0 {
		b = appendFact(b, "unix.owner=", e.Owner)
	}
	if facts&FactGroup != 0 {
		b = appendFact(b, "unix.group=", e.Group)
	}
	if facts&FactMediaType != 0 {
		b = appendFact(b, "media-type=", e.MediaType)
	}
	b = append(b, ' ')
	return appendName(b, e.Name)
}

// specials are the file-like things that RFC 3659 7.5.1.5 lets an OS name.
var specials = [...]struct {
	name string
	mode fs.FileMode
}{
	{"OS.unix=chr", fs.ModeDevice | fs.ModeCharDevice},
	{"OS.unix=blk", fs.ModeDevice},
	{"OS.unix=fifo", fs.ModeNamedPipe},
	{"OS.unix=sock", fs.ModeSocket},
}

const specialBits = fs.ModeDevice | fs.ModeCharDevice | fs.ModeNamedPipe | fs.ModeSocket

// special reports whether m says device, FIFO or socket.
func special(m fs.FileMode) bool { return m&specialBits != 0 }

func appendType(b []byte, e *Entry) []byte {
	switch {
	case e.Type == Link:
		b = append(b, "OS.unix=slink"...)
		if e.Target != "" && !strings.ContainsAny(e.Target, "; ") {
			b = appendName(append(b, ':'), e.Target)
		}
		return b
	case !e.Type.IsDir() && special(e.Mode):
		for _, s := range specials {
			if e.Mode&s.mode == s.mode {
				return append(b, s.name...)
			}
		}
	}
	return append(b, e.Type.String()...)
}

func appendFact(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, name...)
	return append(appendWord(b, value), ';')
}

func appendUnique(b []byte, e *Entry) []byte {
	if e.Unique != "" || e.Inode == 0 {
		return appendFact(b, "unique=", e.Unique)
	}
	b = append(b, "unique="...)
	b = strconv.AppendUint(b, e.Device, 16)
	b = append(b, 'g')
	b = strconv.AppendUint(b, e.Inode, 16)
	return append(b, ';')
}

// appendStamp writes a time fact, YYYYMMDDHHMMSS in UTC (RFC 3659 2.3). A time
// that is unknown or has no year of four digits is left out.
func appendStamp(b []byte, name string, t time.Time) []byte {
	if t.IsZero() {
		return b
	}
	t = t.UTC()
	y, mo, d := t.Date()
	if y < 0 || y > 9999 {
		return b
	}
	h, mi, s := t.Clock()
	b = append(b, name...)
	b = append2(append2(append4(b, y), int(mo)), d)
	b = append2(append2(append2(b, h), mi), s)
	return append(b, ';')
}

// unixMode returns the twelve mode bits as Unix numbers them.
func unixMode(m fs.FileMode) uint32 {
	u := uint32(m.Perm())
	if m&fs.ModeSetuid != 0 {
		u |= 0o4000
	}
	if m&fs.ModeSetgid != 0 {
		u |= 0o2000
	}
	if m&fs.ModeSticky != 0 {
		u |= 0o1000
	}
	return u
}

// fileMode is the inverse of [unixMode].
func fileMode(u uint32) fs.FileMode {
	m := fs.FileMode(u & 0o777)
	if u&0o4000 != 0 {
		m |= fs.ModeSetuid
	}
	if u&0o2000 != 0 {
		m |= fs.ModeSetgid
	}
	if u&0o1000 != 0 {
		m |= fs.ModeSticky
	}
	return m
}

// ParseMLST reads the line between the first and the last of the 250 that
// answers MLST, with or without the blank that indents it. The error is a
// *[LineError].
func ParseMLST(line string) (Entry, error) {
	text := strings.TrimRight(line, "\r\n")
	return Parse(strings.TrimPrefix(text, " "), Options{Dialect: MLSx})
}

// mlsx reads facts that each end in ';', a blank, and all the rest as name. A
// blank inside an owner or such is borne, though RFC 3659 allows none.
func (l *reading) mlsx(s string) (Entry, bool) {
	e := Entry{Size: -1}
	known := l.sure(MLSx)
	for !strings.HasPrefix(s, " ") {
		fact, rest, ok := strings.Cut(s, ";")
		name, value, okFact := strings.Cut(fact, "=")
		if !ok || !okFact {
			return Entry{}, false
		}
		understood, ok := e.setFact(name, value)
		if !ok {
			return Entry{}, false
		}
		known = known || understood
		s = rest
	}
	e.Name = s[1:]
	return e, known && e.Name != ""
}

// setFact notes one fact. It reports whether the fact is one that this package
// knows, and whether the value is one that such a fact can have. An empty value
// says nothing.
func (e *Entry) setFact(name, value string) (known, ok bool) {
	name = strings.ToLower(name)
	if name == "perms" { // FileZilla Server 1.7.3
		name = "perm"
	}
	if name == "perm" {
		e.Perm = ParsePerm(value)
		e.Stated |= FactPerm
		return true, true
	}
	known = factOf(name) != 0
	if value == "" {
		return known, true
	}
	ok = true
	switch name {
	case "type":
		ok = e.setType(value)
	case "size":
		e.Size, ok = readSize(value)
	case "modify":
		e.Time, e.Precision, ok = readStamp(value)
	case "create":
		e.Created, _, ok = readStamp(value)
	case "unique":
		e.Unique = value
	case "unix.mode":
		m, err := strconv.ParseUint(value, 8, 32)
		e.Mode |= fileMode(uint32(m) & 0o7777)
		e.Stated |= FactMode
		ok = err == nil
	case "unix.owner", "unix.ownername":
		e.Owner = value
	case "unix.group", "unix.groupname":
		e.Group = value
	case "unix.uid":
		e.Owner = cmp.Or(e.Owner, value)
	case "unix.gid":
		e.Group = cmp.Or(e.Group, value)
	case "media-type":
		e.MediaType = value
	}
	return known, ok
}

func (e *Entry) setType(value string) (ok bool) {
	if strings.Contains(value, " ") {
		return false
	}
	for i, name := range typeNames[File:] {
		if t := File + Type(i); t != Link && strings.EqualFold(value, name) {
			e.Type = t
			return true
		}
	}
	// "OS.unix=slink:/target", "OS.unix=symlink", "OS.unix=chr-8/1"
	kind, target, _ := strings.Cut(value, ":")
	kind = strings.ToLower(kind)
	if strings.HasPrefix(kind, "os.") && (strings.HasSuffix(kind, "=slink") || strings.HasSuffix(kind, "=symlink")) {
		e.Type, e.Target = Link, target
		return true
	}
	for _, s := range specials {
		if strings.HasPrefix(kind, strings.ToLower(s.name)) {
			e.Type = File
			e.Mode |= s.mode
			e.Stated |= FactMode
			return true
		}
	}
	return true
}

// readStamp reads YYYYMMDDHHMMSS and any fraction behind a point, in UTC.
func readStamp(s string) (time.Time, time.Duration, bool) {
	whole, fraction, fractions := strings.Cut(s, ".")
	if len(whole) != len("YYYYMMDDHHMMSS") || !isDigits(whole) {
		return time.Time{}, 0, false
	}
	part := func(from, to int) int { n, _ := number(whole[from:to], 4); return n }
	c := clock{h: part(8, 10), m: part(10, 12), s: part(12, 14), precision: second}
	ok := c.h < 24 && c.m < 60 && c.s <= 60
	if fractions && ok {
		c.ns, c.precision, ok = readFraction(fraction)
	}
	if !ok {
		return time.Time{}, 0, false
	}
	d, ok := on(part(0, 4), part(4, 6), part(6, 8), c, time.UTC)
	return d.Time, d.precision, ok
}

// readSize reads a size in bytes. The largest number of 64 bits is -1 seen
// without its sign, and so not known.
func readSize(s string) (int64, bool) {
	if !isDigits(s) {
		return -1, false
	}
	u, err := strconv.ParseUint(s, 10, 64)
	if err != nil || u > math.MaxInt64 && u != math.MaxUint64 {
		return -1, false
	}
	return int64(u), true
}
