package storage

import (
	"errors"
	"strings"
	"testing"
)

func TestCheckName(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		any, new bool
	}{
		{"/", true, true},
		{"/a", true, true},
		{"/a/b c", true, true},
		{"/...", true, true},
		{"/ü\xff", true, true},
		{`/a\b`, true, true},
		{"/" + strings.Repeat("n", 255), true, true},
		{"/" + strings.Repeat("n", 256), true, false},
		{"/a\nb", true, false},
		{"/a\nb/c", true, true}, // the directory is there already
		{"/\x7f", true, false},
		{"/\x1b", true, false},
		{"/a\x00", false, false},
		{"", false, false},
		{"a", false, false},
		{"/a/", false, false},
		{"//a", false, false},
		{"/.", false, false},
		{"/a/..", false, false},
		{"/../a", false, false},
	} {
		if err := CheckName(test.name); (err == nil) != test.any || err != nil && !errors.Is(err, ErrName) {
			t.Errorf("CheckName(%.20q) = %v", test.name, err)
		}
		if err := CheckNewName(test.name); (err == nil) != test.new || err != nil && !errors.Is(err, ErrName) {
			t.Errorf("CheckNewName(%.20q) = %v", test.name, err)
		}
	}
}
