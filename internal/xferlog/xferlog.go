// Package xferlog writes the two logs that other people's programs read: the
// transfer log of wu-ftpd (xferlog), which statistics programs know, and the
// log of vsftpd, which fail2ban knows. It also reads the former.
//
// It logs what the server tells through [ftpserver.Event] and nothing else; the
// server's own log is slog. Whatever a client chose itself, a name of a file or
// of a user, is stripped of all that could end a field or a line.
package xferlog

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"towpath/ftpserver"
)

// stamp is the time as both logs write it, 24 bytes, local and without a zone.
const stamp = time.ANSIC

// Entry is a line of an xferlog, field by field.
type Entry struct {
	// End is when the transfer ended, to the second.
	End time.Time
	// Duration is in whole seconds, at least one.
	Duration time.Duration
	// Host is the client's address, or its name in the logs of old servers.
	Host string
	// Bytes is how many went over the wire.
	Bytes int64
	// Path of the file.
	Path  string
	ASCII bool
	// Special is '_' for nothing, or what a server did to the file on its way:
	// 'C' compressed, 'U' uncompressed, 'T' made an archive.
	Special byte
	// Direction is 'o' for a download, 'i' for an upload, 'd' for a deletion.
	Direction byte
	// Access is 'a' for anonymous, 'g' for a guest, 'r' for a real user.
	Access byte
	User   string
	// Service is the name of the server's service, "ftp".
	Service string
	// Ident is the user that RFC 931 told, "*" for none, as always today.
	Ident string
	// Complete tells a whole transfer from a cut one.
	Complete bool
}

// Of returns the entry for a transfer.
func Of(e ftpserver.TransferEvent) Entry {
	x := Entry{
		End:       e.Start.Add(e.Duration).Truncate(time.Second),
		Duration:  max(e.Duration.Round(time.Second), time.Second), // as vsftpd, which others divide by
		Host:      address(e.Peer),
		Bytes:     e.Bytes,
		Path:      e.Path,
		ASCII:     e.ASCII,
		Special:   '_',
		Direction: 'i',
		Access:    'r',
		User:      e.User,
		Service:   "ftp",
		Ident:     "*",
		Complete:  e.Err == nil,
	}
	if e.Verb == "RETR" {
		x.Direction = 'o'
	}
	if name := strings.ToLower(e.User); name == "anonymous" || name == "ftp" {
		x.Access = 'a'
	}
	return x
}

// AppendTo appends the entry as a line with its end. Blanks and control
// characters in names become '_', and an empty name "?".
func (x Entry) AppendTo(b []byte) []byte {
	flag := func(yes bool, y, n byte) byte {
		if yes {
			return y
		}
		return n
	}
	auth := byte('0')
	if x.Ident != "*" {
		auth = '1'
	}
	b = x.End.AppendFormat(b, stamp)
	b = fmt.Appendf(b, " %d %s %d %s %c %c %c %c %s %s %c %s %c\n",
		int64(x.Duration/time.Second), word(x.Host), x.Bytes, word(x.Path), flag(x.ASCII, 'a', 'b'), x.Special, x.Direction, x.Access,
		word(x.User), word(x.Service), auth, word(x.Ident), flag(x.Complete, 'c', 'i'))
	return b
}

// Parse is the inverse of [Entry.AppendTo] for a line with or without its end.
// The time is read as one of the given zone. Names with blanks, as some servers
// write them, are accepted.
func Parse(line string, zone *time.Location) (Entry, error) {
	x, err := parse(strings.TrimRight(line, "\r\n"), zone)
	if err != nil {
		return Entry{}, fmt.Errorf("xferlog line %q: %w", line, err)
	}
	return x, nil
}

func parse(line string, zone *time.Location) (x Entry, err error) {
	if len(line) < len(stamp)+1 || line[len(stamp)] != ' ' {
		return x, errors.New("too short, or no blank after the time")
	}
	if x.End, err = time.ParseInLocation(stamp, line[:len(stamp)], zone); err != nil {
		return x, errors.New(`does not begin with a time such as "Sat Nov  1 04:00:00 2026"`)
	}
	// The path is what remains between three fields before and nine behind it.
	head := strings.SplitN(line[len(stamp)+1:], " ", 4)
	if len(head) < 4 {
		return x, errors.New("has less than 14 fields")
	}
	tail := strings.Split(head[3], " ")
	if len(tail) < 10 {
		return x, errors.New("has less than 14 fields")
	}
	path, tail := strings.Join(tail[:len(tail)-9], " "), tail[len(tail)-9:]

	seconds, err := number("duration", head[0], math.MaxInt64/int64(time.Second))
	if err != nil {
		return x, err
	}
	if x.Bytes, err = number("size", head[2], math.MaxInt64); err != nil {
		return x, err
	}
	x.Duration, x.Host, x.Path = time.Duration(seconds)*time.Second, head[1], path
	x.User, x.Service, x.Ident = tail[4], tail[5], tail[7]
	for _, f := range []struct{ name, value string }{
		{"host", x.Host}, {"path", x.Path}, {"user", x.User}, {"service", x.Service}, {"ident", x.Ident},
	} {
		if f.value == "" {
			return x, fmt.Errorf("%s is empty", f.name)
		}
	}
	for _, f := range []struct {
		name, value, wanted string
	}{
		{"type", tail[0], "ab"},
		{"special action", tail[1], "_CUT"},
		{"direction", tail[2], "oid"},
		{"access mode", tail[3], "agr"},
		{"authentication", tail[6], "01"},
		{"completion", tail[8], "ci"},
	} {
		if len(f.value) != 1 || !strings.Contains(f.wanted, f.value) {
			return x, fmt.Errorf("%s is %q, one of %q is wanted", f.name, f.value, f.wanted)
		}
	}
	x.ASCII, x.Special, x.Direction, x.Access, x.Complete = tail[0] == "a", tail[1][0], tail[2][0], tail[3][0], tail[8] == "c"
	return x, nil
}

// number reads a decimal number from 0 to most.
func number(name, s string, most int64) (int64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || int64(n) > most {
		return 0, fmt.Errorf("%s is %q, a number from 0 to %d is wanted", name, s, most)
	}
	return int64(n), nil
}

// word makes s one field of a line of blank-separated ones.
func word(s string) string { return clean(s, unicode.IsSpace) }

// clean returns s with a '_' for each character that does not print (control
// characters, line separators, text that changes direction, bytes that are not
// UTF-8) and for those that bad names; "?" when s is empty.
func clean(s string, bad func(rune) bool) string {
	if s == "" {
		return "?"
	}
	var b strings.Builder
	for i, w := 0, 0; i < len(s); i += w {
		var r rune
		r, w = utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && w == 1 || !unicode.IsPrint(r) || bad(r) {
			r = '_'
		}
		b.WriteRune(r)
	}
	return b.String()
}
