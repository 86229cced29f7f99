package listing

import "strings"

// netware reads a Novell server, which prints rights in brackets:
//
//	d [RWCEAFMS] rwinston                          512 Nov 24  2005 Favorites
//	- [R----F--] rhesus             214059       Oct 20 15:27    cx.exe
//
// Some print more than one blank before the name; none of them belongs to it.
func (l *reading) netware(s string) (Entry, bool) {
	e := Entry{Size: -1}
	switch {
	case strings.HasPrefix(s, "d"):
		e.Type = Dir
	case strings.HasPrefix(s, "-"):
		e.Type = File
	default:
		return Entry{}, false
	}
	rights, rest, ok := strings.Cut(strings.TrimLeft(s[1:], " "), "]")
	rights, bracket := strings.CutPrefix(rights, "[")
	if !ok || !bracket || strings.Trim(rights, "SRWCEMFA-") != "" || !strings.HasPrefix(rest, " ") {
		return Entry{}, false
	}
	if e.Owner, rest, ok = l.sizeAndDate(&e, rest); !ok || !strings.HasPrefix(rest, " ") {
		return Entry{}, false
	}
	e.Name = strings.TrimLeft(rest, " ")
	return e, e.Name != ""
}
