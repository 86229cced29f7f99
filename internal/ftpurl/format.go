package ftpurl

import (
	"strconv"
	"strings"
)

// Format is the inverse of [Parse]: a URL in ASCII, with its password. Use
// [URL.String] for what somebody may see.
func Format(u URL) string {
	if u.HasPassword {
		return u.format(":" + encode(u.Password, ""))
	}
	return u.format("")
}

// format writes the URL with the given text between user and @.
func (u URL) format(password string) string {
	var b strings.Builder
	b.WriteString(u.Scheme.String())
	b.WriteString("://")
	if u.User != "" {
		b.WriteString(encode(u.User, ""))
		b.WriteString(password)
		b.WriteByte('@')
	}
	if strings.Contains(u.Host, ":") {
		b.WriteString("[" + strings.Replace(u.Host, "%", "%25", 1) + "]")
	} else {
		b.WriteString(u.Host)
	}
	if u.Port != 0 {
		b.WriteString(":" + strconv.Itoa(int(u.Port)))
	}
	b.WriteByte('/')
	name := u.Path
	if rest, ok := strings.CutPrefix(name, "/"); ok {
		b.WriteString("%2F")
		name = rest
	}
	b.WriteString(encode(name, "/:@"))
	if u.Type != Unset {
		b.WriteString(";type=" + string(u.Type))
	}
	return b.String()
}

// encode writes %NN for each byte that is not unreserved (RFC 3986 2.3), a
// harmless delimiter, or in also.
func encode(s, also string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case '0' <= c && c <= '9', 'a' <= c|0x20 && c|0x20 <= 'z',
			strings.IndexByte("-._~!$&'()*+,="+also, c) >= 0:
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(digits[c>>4])
			b.WriteByte(digits[c&15])
		}
	}
	return b.String()
}
