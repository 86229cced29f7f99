package columns_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"

	"towpath/internal/columns"
)

// What fits is exactly as wide as it should be, and keeps its ends.
func TestFit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		name := columns.Shown(rapid.String().Draw(t, "name"))
		n := rapid.IntRange(0, 40).Draw(t, "columns")
		got := columns.Fit(name, n)
		if w := columns.Width(got); w != n {
			t.Errorf("%q in %d columns is %q, which has %d", name, n, got, w)
		}
		if columns.Width(name) <= n && strings.TrimRight(got, " ") != strings.TrimRight(name, " ") {
			t.Errorf("%q has room in %d columns, and is %q", name, n, got)
		}
		if strings.ContainsFunc(got, unicode.IsControl) {
			t.Errorf("control character in %q", got)
		}
	})
}

// The end is as long as it may be, and no longer.
func TestEnd(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{"": "", "a> ": "a> ", "alice@here:/a/b> ": ":/a/b> ", "日本> ": "日本> ", "x日本語> ": "本語> "} {
		if got := columns.End(s, 7); got != want {
			t.Errorf("%q ends in %q, want %q", s, got, want)
		}
	}
	// A server can make the name of a directory as long as it likes.
	if got := columns.End(strings.Repeat("日", 1<<20)+"> ", 9); got != "日日日> " {
		t.Errorf("%q", got)
	}
}

// What a row could be disordered by, or hides in it, is seen; what belongs to the
// writing of a language stays.
func TestShown(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"a\u202egpj.exe":                 "a\ufffdgpj.exe",
		"\u2066\u2069\u200e\u200f\u061c": "\ufffd\ufffd\ufffd\ufffd\ufffd",
		"pay\u200bpal\u2060\ufeff\u00ad": "pay\ufffdpal\ufffd\ufffd\ufffd",
		"a\u2028b\U000e0041":             "a\ufffdb\ufffd",
		"\x1b[2J\n\xff":                  `\x1b[2J\x0a\xff`,
		"می\u200cخواهم 👩\u200d🚀 \u0600٣": "می\u200cخواهم 👩\u200d🚀 \u0600٣",
	} {
		if got := columns.Shown(s); got != want {
			t.Errorf("%q is shown as %q, want %q", s, got, want)
		}
	}
	if got, want := columns.ShownLines("a\tb\r\n\u202ec\x1b\n"), "a    b\n\ufffdc\\x1b\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Whatever stands in JSON, a terminal shows it as it is, and a program reads what
// was written.
func TestJSON(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.OneOf(rapid.String(), rapid.StringOf(rapid.SampledFrom([]rune("a\x7f\u0080\u009b\u00a0\u202e\u2066\u061c\u200b\U000e0041\\\"名")))).Draw(t, "name")
		text, err := json.Marshal(map[string]string{name: name})
		if err != nil {
			t.Fatal(err)
		}
		safe := columns.JSON(text)
		if strings.ContainsFunc(string(safe), func(r rune) bool {
			return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || strings.ContainsRune("\u200b\U000e0041", r)
		}) {
			t.Errorf("%q is not harmless", safe)
		}
		var got map[string]string
		if err := json.Unmarshal(safe, &got); err != nil || got[name] != name {
			t.Errorf("%q is read as %q: %v", safe, got, err)
		}
	})
}

// Lines are as wide as they may be at most, and hold all that was in the text.
func TestWrap(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{"one two three four", "- one two\n  three\n  four\n"},
		{"客户端连接到服务器。", "- 客户端连\n  接到服务\n  器。\n"},
		{"（主动）模式、被动", "- （主动）\n  模式、被\n  动\n"},
		{"往 192.0.2.1:50000 去", "- 往\n  192.0.2.1:50000\n  去\n"},
		{"", "-\n"},
		{"one            ", "- one\n"},
		{" a  b\u00a0c   d", "- a  b\u00a0c\n  d\n"},
	} {
		var b strings.Builder
		columns.Wrap(&b, "- ", "  ", c.text, 10)
		if b.String() != c.want {
			t.Errorf("%s:\n%swant:\n%s", c.text, b.String(), c.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.SampledFrom([]rune("ab 接到、。（）カッ, "))).Draw(t, "text")
		width := rapid.IntRange(4, 30).Draw(t, "width")
		var b strings.Builder
		columns.Wrap(&b, "", "", text, width)
		squeeze := func(s string) string { return strings.Join(strings.Fields(s), "") }
		if squeeze(b.String()) != squeeze(text) {
			t.Errorf("%q became %q", text, b.String())
		}
		for line := range strings.Lines(b.String()) {
			if line = strings.TrimSuffix(line, "\n"); columns.Width(line) > width && strings.Contains(line, " ") {
				t.Errorf("%q has %d columns of %d", line, columns.Width(line), width)
			}
		}
	})
}

// Columns begin at one place in all rows, whatever stands before them.
func TestTable(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	columns.Table(&b, [][]string{{"モード", "結果"}, {"PORT", "失敗", "客户端"}, {"EPSV", "works"}})
	want := "モード  結果\n" +
		"PORT    失敗   客户端\n" +
		"EPSV    works\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}
