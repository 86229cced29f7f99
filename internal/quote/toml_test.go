package quote

import (
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
)

func FuzzTOML(f *testing.F) {
	for _, s := range []string{"", "plain", `a "b" \c`, "two\nlines\tand\r\x00\x7f", "\xff\xfe", "岸 \u2028 🚢"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		quoted := TOML(s)
		if strings.ContainsAny(quoted, "\r\n") {
			t.Fatalf("%q is more than one line", quoted)
		}
		var got struct{ V string }
		if err := toml.Unmarshal([]byte("V = "+quoted), &got); err != nil {
			t.Fatalf("%q: %v", quoted, err)
		}
		if want := string([]rune(s)); got.V != want {
			t.Errorf("%q became %q, want %q", s, got.V, want)
		}
	})
}
