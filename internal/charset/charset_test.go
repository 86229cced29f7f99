package charset_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"towpath/internal/charset"
)

func lookup(t testing.TB, name string) *charset.Charset {
	t.Helper()
	c, err := charset.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestLookup(t *testing.T) {
	t.Parallel()
	for alias, want := range map[string]string{
		"utf8": "UTF-8", "UTF-8": "UTF-8", "gbk": "GBK", "CP936": "GBK", "gb18030": "GB18030", "BIG5": "Big5",
		"shift_jis": "Shift-JIS", "Shift-JIS": "Shift-JIS", "sjis": "Shift-JIS", "windows-31j": "Shift-JIS",
		"euc-kr": "EUC-KR", "latin1": "ISO-8859-1", "ISO 8859-1": "ISO-8859-1", "cp1251": "Windows-1251",
		"windows-1252": "Windows-1252",
	} {
		if got := lookup(t, alias).Name(); got != want {
			t.Errorf("Lookup(%q) is %s, want %s", alias, got, want)
		}
	}
	for _, name := range []string{"", "utf-7", "ebcdic"} {
		if _, err := charset.Lookup(name); err == nil || !strings.Contains(err.Error(), "Shift-JIS") {
			t.Errorf("Lookup(%q): %v: want an error that names the charsets", name, err)
		}
	}
	for _, name := range charset.Names() {
		if got := lookup(t, name).Name(); got != name {
			t.Errorf("Lookup(%q) is %s", name, got)
		}
	}
}

// What the bytes of each charset mean, and how bytes that mean nothing look.
func TestDecode(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ charset, wire, name string }{
		{"gbk", "\xc4\xe3\xba\xc3.txt", "你好.txt"},
		{"gb18030", "\xc4\xe3\x94\x39\xda\x33", "你💩"},
		{"gb18030", "\x81\x30\x81\x30", "\uf8010\uf8010"}, // U+0080, a control character
		{"big5", "\xb3\x5c\xa5\x5c", "許功"},                // second bytes are backslashes
		{"sjis", "\x95\x5c\x8e\xa6", "表示"},
		{"sjis", "\xb1", "ｱ"},
		{"sjis", "\x95/etc", "\uf815/etc"}, // a first byte alone does not eat the slash
		{"sjis", "a\x95", "a\uf815"},
		{"euc-kr", "\xc7\xd1\xb1\xdb", "한글"},
		{"latin1", "caf\xe9", "café"},
		{"latin1", "\x9b31m", "\uf81b31m"}, // CSI, which terminals obey
		{"cp1251", "\xcf\xf0\xe8\xe2\xe5\xf2", "Привет"},
		{"cp1251", "\x98", "\uf818"}, // the one hole in the table
		{"utf8", "na\xc3\xafve \xff", "naïve \uf87f"},
		{"utf8", "\xef\xa0\x95", "\uf86f\uf820\uf815"}, // U+F815 itself is not text
	} {
		c := lookup(t, tt.charset)
		if got := c.Decode(tt.wire); got != tt.name {
			t.Errorf("%s: Decode(%q) = %+q, want %+q", tt.charset, tt.wire, got, tt.name)
		}
		if got, err := c.Encode(tt.name); got != tt.wire || err != nil {
			t.Errorf("%s: Encode(%+q) = %q, %v, want %q", tt.charset, tt.name, got, err, tt.wire)
		}
	}
}

// A name is refused rather than changed.
func TestEncodeRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ charset, name string }{
		{"latin1", "漢"},
		{"cp1251", "é"},
		{"gbk", "💩"},
		{"sjis", "\u0085"},
		{"sjis", "\uf815\\"},       // would become 表
		{"utf8", "\uf843\uf829"},   // would become é
		{"utf8", "\xff"},           // no UTF-8
		{"big5", "\u00ca\u0304x漢"}, // one character on the wire, two here
		{"latin1", "\ufffd"},
	} {
		if got, err := lookup(t, tt.charset).Encode(tt.name); err == nil {
			t.Errorf("%s: Encode(%+q) = %q, want an error", tt.charset, tt.name, got)
		}
	}
}

// checkBytes tells whether what Decode makes of b is safe and comes back.
func checkBytes(t testing.TB, c *charset.Charset, b string) {
	t.Helper()
	name := c.Decode(b)
	if !utf8.ValidString(name) {
		t.Fatalf("%s: Decode(%q) = %q is not UTF-8", c.Name(), b, name)
	}
	back, err := c.Encode(name)
	if back != b || err != nil {
		t.Fatalf("%s: Encode(Decode(%q)) = %q, %v (by %+q)", c.Name(), b, back, err, name)
	}
	// Each ASCII character of the name is the ASCII byte that it seems to be:
	// the bytes before it, decoded alone, are the name before it.
	for i, r := range name {
		if c.Name() != "UTF-8" && r >= 0x80 && unicode.IsControl(r) {
			t.Fatalf("%s: Decode(%q) = %+q has a control character", c.Name(), b, name)
		}
		if r >= 0x80 {
			continue
		}
		before, err := c.Encode(name[:i])
		if err != nil || len(before) >= len(b) || b[:len(before)] != before || b[len(before)] != byte(r) {
			t.Fatalf("%s: Decode(%q) = %+q: %q at %d was not such a byte", c.Name(), b, name, r, i)
		}
	}
}

// checkText tells whether a name that Encode takes comes back.
func checkText(t testing.TB, c *charset.Charset, name string) {
	t.Helper()
	wire, err := c.Encode(name)
	if err != nil {
		return
	}
	if back := c.Decode(wire); back != name {
		t.Fatalf("%s: Decode(Encode(%+q)) = %+q (by %q)", c.Name(), name, back, wire)
	}
}

func FuzzRoundTrip(f *testing.F) {
	for _, s := range []string{"", "plain", "\x95\x5c", "\x95/", "\x81\x30\x81\x30", "\x88\x62", "caf\xe9", "표", "\uf815\\", "\x80", "\xff\xfe"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, name := range charset.Names() {
			c := lookup(t, name)
			checkBytes(t, c, s)
			checkText(t, c, s)
		}
	})
}

// Every pair of bytes, since two bytes are what most characters are.
func TestAllPairs(t *testing.T) {
	t.Parallel()
	for _, name := range charset.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := lookup(t, name)
			for a := 0x80; a < 0x100; a++ {
				for b := range 0x100 {
					checkBytes(t, c, string([]byte{byte(a), byte(b), '/', byte(a)}))
				}
			}
		})
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	// Text in a charset is what its characters say, and none of them is refused.
	alphabet := map[string]string{
		"GBK": "你好世界中文文件", "GB18030": "你好💩é", "Big5": "許功蓋中文", "Shift-JIS": "表示ソ能十ｱあ",
		"EUC-KR": "한글파일", "ISO-8859-1": "éüßñÅ", "Windows-1251": "Приветмир", "Windows-1252": "é€“”", "UTF-8": "é漢💩\u0085\ufffd",
	}
	for _, name := range charset.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := lookup(t, name)
			letters := []rune(alphabet[name] + "aZ09._-/\\~")
			if len(letters) < 13 {
				t.Fatalf("no letters for %s", name)
			}
			rapid.Check(t, func(t *rapid.T) {
				s := rapid.StringOf(rapid.SampledFrom(letters)).Draw(t, "name")
				wire, err := c.Encode(s)
				if err != nil {
					t.Fatalf("Encode(%q): %v", s, err)
				}
				if back := c.Decode(wire); back != s {
					t.Fatalf("Decode(Encode(%q)) = %q", s, back)
				}
			})
		})
	}
}
