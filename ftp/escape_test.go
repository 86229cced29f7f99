package ftp_test

import (
	"strings"
	"testing"

	"towpath/ftp"
)

// TestEscapeAnywhere: what is harmful is found at each place of texts of each length.
func TestEscapeAnywhere(t *testing.T) {
	t.Parallel()
	const text = "a text that is longer than two words of the machine"
	for n := range len(text) {
		for c := range 256 {
			for at := range n + 1 {
				s := text[:at] + string([]byte{byte(c)}) + text[at:n]
				plain := 0x20 <= c && c < 0x7f
				if got := ftp.Escape(s); (got == s) != plain || !strings.HasPrefix(got, text[:at]) || !strings.HasSuffix(got, text[at:n]) {
					t.Fatalf("%#x at %d of %d: %q", c, at, n, got)
				}
			}
		}
	}
}
