// Package ftpurl reads and writes the addresses of files on FTP servers:
// ftp://, ftps:// and ftpes:// (RFC 1738 3.2 in the syntax of RFC 3986).
//
// It makes a URL of text and text of a URL, and keeps passwords out of what is
// shown. It resolves no host and opens no connection; what to do with a path
// that ends in a slash is for its users to say.
package ftpurl

import (
	"cmp"
	"log/slog"
	"net"
	"path"
	"strconv"
	"strings"
)

// Scheme says how a session is protected.
type Scheme uint8

const (
	// FTP is ftp://: clear text, unless TLS is asked for by other means.
	FTP Scheme = iota
	// FTPS is ftps://: TLS from the first byte (implicit), on port 990.
	FTPS
	// FTPES is ftpes://: TLS by AUTH TLS (explicit, RFC 4217).
	FTPES
)

var schemes = [...]struct {
	name string
	port uint16
}{FTP: {"ftp", 21}, FTPS: {"ftps", 990}, FTPES: {"ftpes", 21}}

// String returns "ftp", "ftps" or "ftpes".
func (s Scheme) String() string { return schemes[s].name }

// Port returns the port of a URL that names none.
func (s Scheme) Port() uint16 { return schemes[s].port }

// Type is the ";type=" at the end of a URL: how the file is to be transferred.
type Type byte

const (
	// Unset is a URL without type: an image.
	Unset Type = 0
	// ASCII transfers text: ends of lines are the receiver's.
	ASCII Type = 'a'
	// Image transfers bytes as they are.
	Image Type = 'i'
	// Directory lists the path instead of fetching it.
	Directory Type = 'd'
)

// URL is where a file or a directory is. The zero URL leads nowhere: it has no
// host.
type URL struct {
	Scheme Scheme
	// User is the name to log in by, "" if the URL has none.
	User string
	// Password counts only if HasPassword is set; it may be empty.
	Password    string
	HasPassword bool
	// Host is a name in lower case, or an IP address, IPv6 without brackets.
	Host string
	// Port is 0 if the URL names none. See [URL.Addr].
	Port uint16
	// Path is where the file is, decoded. With a slash in front it is absolute
	// ("/%2Fetc/motd" in the URL), without it begins where the login leads to
	// ("/etc/motd" in the URL). A slash at its end means a directory.
	Path string
	Type Type
}

// Addr returns host:port for a dialer, the port of the scheme if the URL names
// none.
func (u URL) Addr() string {
	return net.JoinHostPort(u.Host, strconv.Itoa(int(cmp.Or(u.Port, u.Scheme.Port()))))
}

// IsDir reports whether the URL says of itself that it is a directory: by a
// slash at its end, by having no path, or by ";type=d".
func (u URL) IsDir() bool {
	return u.Path == "" || strings.HasSuffix(u.Path, "/") || u.Type == Directory
}

// Base returns the last name in the path: "motd" of "/etc/motd" and "etc" of
// "/etc/". It is "" if there is none.
func (u URL) Base() string {
	if b := path.Base(u.Path); b != "." && b != "/" {
		return b
	}
	return ""
}

// Join returns the URL of name in the directory that u is. The name is one
// name, or a relative path.
func (u URL) Join(name string) URL {
	switch {
	case u.Path == "" || strings.HasSuffix(u.Path, "/"):
		u.Path += name
	default:
		u.Path += "/" + name
	}
	u.Type = Unset
	return u
}

// String returns the URL for people and logs: as [Format] does, but with ****
// for the password.
func (u URL) String() string {
	if u.HasPassword {
		return u.format(":****")
	}
	return u.format("")
}

// Redacted is [URL.String] under the name that net/url gives it.
func (u URL) Redacted() string { return u.String() }

// GoString keeps the password out of %#v, too.
func (u URL) GoString() string { return "ftpurl.URL(" + strconv.Quote(u.String()) + ")" }

// LogValue makes a logged URL hide its password.
func (u URL) LogValue() slog.Value { return slog.StringValue(u.String()) }
