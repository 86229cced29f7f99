package mirror

import (
	"fmt"
	"runtime"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"towpath/ftp"
	"towpath/ftpclient"
)

// NameError is a name that was refused.
type NameError struct {
	Dir, Name string
	Why       string
	Try       string // what to do about it, if there is something
}

// Error shows the name, safe for a terminal.
func (e *NameError) Error() string {
	text := fmt.Sprintf("the name %q in %s was refused: %s", ftp.Escape(e.Name), ftp.Escape(e.Dir), e.Why)
	if e.Try != "" {
		text += "; " + e.Try
	}
	return text
}

// Unwrap returns it as ftpclient tells of such names.
func (e *NameError) Unwrap() error { return &ftpclient.NameError{Dir: e.Dir, Name: e.Name} }

// unfit tells why a name is none of a file in a directory, here or on a server,
// or "".
func unfit(name string) string {
	switch {
	case name == "":
		return "it is empty"
	case name == "." || name == "..":
		return "it means another directory"
	case strings.Contains(name, "/"):
		return "it is a path"
	case strings.IndexFunc(name, unicode.IsControl) >= 0:
		return "it holds a control character"
	}
	return ""
}

// unfitHere tells why no file is made here under a name that a server has given,
// and what to try.
func unfitHere(name, system string, devices bool) (why, try string) {
	if why := unfit(name); why != "" {
		return why, ""
	}
	if device(name) && (system == "windows" || !devices) {
		if system != "windows" {
			try = "AllowDeviceNames (--allow-device-names) takes it"
		}
		return "it is a device on Windows", try
	}
	if system != "windows" {
		return "", ""
	}
	switch {
	case strings.Contains(name, `\`):
		return "it is a path", ""
	case strings.ContainsAny(name, `<>:"|?*`):
		return "Windows allows no <>:\"|?* in names", ""
	case strings.HasSuffix(name, ".") || strings.HasSuffix(name, " "):
		return "Windows drops dots and blanks at the end", ""
	}
	return "", ""
}

// device tells whether a name is that of a device on Windows: with whatever
// ending, in any case, and with blanks behind.
func device(name string) bool {
	name, _, _ = strings.Cut(name, ".")
	name, _, _ = strings.Cut(name, ":")
	name = strings.ToUpper(strings.TrimRight(name, " "))
	switch name {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$":
		return true
	}
	for _, port := range []string{"COM", "LPT"} {
		if n, ok := strings.CutPrefix(name, port); ok {
			switch n {
			case "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "¹", "²", "³":
				return true
			}
		}
	}
	return false
}

// refusal is the error for a name of the source that the target cannot have, or
// nil.
func (r *run) refusal(d *dir, name string) error {
	why, try := unfit(name), ""
	if !r.up {
		why, try = unfitHere(name, runtime.GOOS, r.o.AllowDeviceNames)
	}
	if why == "" {
		return nil
	}
	return &NameError{d.path, name, why, try}
}

// fold is what a name is to those who do not tell capitals from small letters, nor
// é from e with an accent behind it: HFS+ writes the second for the first.
func fold(name string) string { return norm.NFC.String(strings.ToLower(strings.ToUpper(name))) }
