package progress

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf16"
)

// TestJSON: what comes out does nothing to a terminal, and means the same.
func TestJSON(t *testing.T) {
	t.Parallel()
	for r := range rune(0x3000) {
		if utf16.IsSurrogate(r) {
			continue
		}
		want := "a" + string(r) + "é日"
		b, err := JSON(want)
		if err != nil {
			t.Fatal(err)
		}
		var got string
		if err := json.Unmarshal(b, &got); err != nil || got != want {
			t.Errorf("%q comes back as %q, %v", want, got, err)
		}
		if text := strings.TrimSuffix(string(b), "\n"); strings.ContainsFunc(text, unicode.IsControl) {
			t.Errorf("%q gives %q", want, text)
		}
	}
}
