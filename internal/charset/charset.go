// Package charset translates file names between UTF-8 and the character sets
// of clients that do not speak UTF-8 (RFC 2640 came late, and devices later).
//
// Its one idea is that no name is lost: bytes that are no text in a charset
// become characters of their own, and those become the same bytes again. Such
// a byte b, always 0x80 or more, is the character U+F780+b, in the private use
// area. So Encode(Decode(b)) is b for all bytes, and Decode(Encode(s)) is s for
// all names that Encode does not refuse.
//
// It knows no paths. But it is safe for them: a slash, a backslash or a control
// character comes out of Decode only where that single byte went in, never as
// part of a longer sequence. (In Shift-JIS the second byte of a character may
// be 0x5C, which is a backslash to those who look at bytes.)
package charset

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
)

// Charset translates names. It is safe for concurrent use.
type Charset struct {
	name    string
	table   encoding.Encoding // nil: UTF-8
	longest int               // bytes of a character
}

// charsets are all that [Lookup] finds: the name first, then its aliases, each
// as [plain] leaves it.
var charsets = []struct {
	Charset
	aliases []string
}{
	{Charset{"UTF-8", nil, utf8.UTFMax}, nil},
	{Charset{"GBK", simplifiedchinese.GBK, 2}, []string{"gb2312", "cp936", "936", "ms936", "windows936", "euccn"}},
	{Charset{"GB18030", simplifiedchinese.GB18030, 4}, nil},
	{Charset{"Big5", traditionalchinese.Big5, 2}, []string{"cp950", "950", "big5hkscs"}},
	{Charset{"Shift-JIS", japanese.ShiftJIS, 2}, []string{"sjis", "cp932", "932", "ms932", "mskanji", "windows31j"}},
	{Charset{"EUC-KR", korean.EUCKR, 2}, []string{"cp949", "949", "uhc", "ksc5601", "ksx1001"}},
	{Charset{"ISO-8859-1", charmap.ISO8859_1, 1}, []string{"latin1", "l1"}},
	{Charset{"Windows-1251", charmap.Windows1251, 1}, []string{"cp1251", "1251"}},
	{Charset{"Windows-1252", charmap.Windows1252, 1}, []string{"cp1252", "1252"}},
}

// Lookup finds a charset by its name or an alias. Case and the signs - _ and
// blank do not count: "shift_jis" is "Shift-JIS".
func Lookup(name string) (*Charset, error) {
	want := plain(name)
	for i := range charsets {
		if c := &charsets[i]; plain(c.name) == want || slices.Contains(c.aliases, want) {
			return &c.Charset, nil
		}
	}
	return nil, fmt.Errorf("charset %q: want one of %s", name, strings.Join(Names(), ", "))
}

// Names lists the names of all charsets.
func Names() []string {
	var names []string
	for _, c := range charsets {
		names = append(names, c.name)
	}
	return names
}

func plain(name string) string {
	return strings.NewReplacer("-", "", "_", "", " ", "").Replace(strings.ToLower(name))
}

// Name returns the name of the charset, as "Shift-JIS".
func (c *Charset) Name() string { return c.name }

// The characters that stand for bytes which are no text.
const (
	rawBase  = 0xF780
	firstRaw = rawBase + 0x80
	lastRaw  = rawBase + 0xFF
)

func isRaw(r rune) bool { return firstRaw <= r && r <= lastRaw }

// Decode turns the bytes of a name into UTF-8.
func (c *Charset) Decode(wire string) string {
	if isASCII(wire) {
		return wire
	}
	var b strings.Builder
	b.Grow(len(wire) + len(wire)/2)
	d := c.translator()
	for len(wire) > 0 {
		r, n := d.next(wire)
		b.WriteRune(r)
		wire = wire[n:]
	}
	return b.String()
}

// Encode turns a name into the bytes of the charset. It fails for a name that
// the charset cannot say, or of which Decode would make another one.
func (c *Charset) Encode(name string) (string, error) {
	if isASCII(name) {
		return name, nil
	}
	d := c.translator()
	b := make([]byte, 0, len(name))
	for i, r := range name {
		switch {
		case r < utf8.RuneSelf:
			b = append(b, byte(r))
		case isRaw(r):
			b = append(b, byte(r-rawBase))
		default:
			wire, ok := d.encode(r)
			if !ok {
				return "", fmt.Errorf("name %q: %s has no character %q (byte %d)", name, c.name, r, i)
			}
			b = append(b, wire...)
		}
	}
	if got := c.Decode(string(b)); got != name {
		return "", fmt.Errorf("name %q: in %s it would be read as %q", name, c.name, got)
	}
	return string(b), nil
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}

// translator does one name; x/text does not say that its own may be shared.
type translator struct {
	longest int
	dec     *encoding.Decoder
	enc     *encoding.Encoder
	wire    [8]byte
	text    [16]byte
}

func (c *Charset) translator() *translator {
	t := &translator{longest: c.longest}
	if c.table != nil {
		t.dec, t.enc = c.table.NewDecoder(), c.table.NewEncoder()
	}
	return t
}

// next returns the first character of wire and how many bytes it takes. These
// are the bytes that encode makes of it, or one byte that is no text.
func (t *translator) next(wire string) (rune, int) {
	if wire[0] < utf8.RuneSelf {
		return rune(wire[0]), 1
	}
	for n := 1; n <= min(t.longest, len(wire)); n++ {
		r, ok := t.decode(wire[:n])
		if !ok {
			continue
		}
		if back, ok := t.encode(r); ok && back == wire[:n] {
			return r, n
		}
		break // a second spelling of r: only bytes bring it back
	}
	return rawBase + rune(wire[0]), 1
}

// decode returns the one character that wire is, if it is one.
func (t *translator) decode(wire string) (rune, bool) {
	text := wire
	if t.dec != nil {
		t.dec.Reset()
		n, _, err := t.dec.Transform(t.text[:], append(t.wire[:0], wire...), true)
		if err != nil {
			return 0, false
		}
		text = string(t.text[:n])
	}
	r, n := utf8.DecodeRuneInString(text)
	return r, n == len(text) && n > 0 && (r != utf8.RuneError || t.dec == nil && n > 1)
}

// encode returns the bytes of one character of 0x80 or more. Control
// characters have none in the old charsets: nobody means them, and terminals
// obey them.
func (t *translator) encode(r rune) (string, bool) {
	if r < utf8.RuneSelf || isRaw(r) {
		return "", false
	}
	if t.enc == nil {
		return string(r), true
	}
	if r == utf8.RuneError || unicode.IsControl(r) {
		return "", false
	}
	t.enc.Reset()
	n, _, err := t.enc.Transform(t.wire[:], utf8.AppendRune(t.text[:0], r), true)
	if err != nil {
		return "", false
	}
	return string(t.wire[:n]), true
}
