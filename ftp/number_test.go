package ftp

import (
	"strconv"
	"strings"
	"testing"
)

func TestParseSize(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]int64{"0": 0, "00": 0, "5000000000": 5_000_000_000, "9223372036854775807": 1<<63 - 1} {
		if got, err := ParseSize(s); err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v, want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "-1", "+1", " 1", "1 ", "1.5", "1e3", "0x10", "1_000", "9223372036854775808", "٣", "99999999999999999999"} {
		got, err := ParseSize(s)
		if err == nil {
			t.Errorf("ParseSize(%q) = %d, want an error", s, got)
		} else if !strings.Contains(err.Error(), s) || !strings.Contains(err.Error(), "want") {
			t.Errorf("ParseSize(%q): the error %q does not say what it was given and what it wants", s, err)
		}
	}
}

func TestParseRange(t *testing.T) {
	t.Parallel()
	for s, want := range map[string][2]int64{"0 99": {0, 99}, "1 0": {1, 0}, "5 5": {5, 5}} {
		from, to, err := ParseRange(s)
		if err != nil || from != want[0] || to != want[1] {
			t.Errorf("ParseRange(%q) = %d, %d, %v, want %d", s, from, to, err, want)
		}
	}
	for s, want := range map[string]string{
		"": "two numbers", "1": "two numbers", "1-2": "two numbers",
		"x 2": "start", "1 x": "end", "1  2": "end", "1 2 3": "end", "1 -1": "end", " 1 2": "start",
	} {
		if from, to, err := ParseRange(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseRange(%q) = %d, %d, %v, want an error with %q", s, from, to, err, want)
		}
	}
}

func FuzzSize(f *testing.F) {
	f.Add("0123", int64(7))
	f.Fuzz(func(t *testing.T, s string, n int64) {
		if got, err := ParseSize(s); err == nil {
			if trimmed := strings.TrimLeft(s[:len(s)-1], "0") + s[len(s)-1:]; strconv.FormatInt(got, 10) != trimmed {
				t.Fatalf("%q was read as %d", s, got)
			}
		}
		if got, err := ParseSize(strconv.FormatInt(n, 10)); (err == nil) != (n >= 0) || n >= 0 && got != n {
			t.Fatalf("ParseSize(%d) = %d, %v", n, got, err)
		}
	})
}

func FuzzRange(f *testing.F) {
	f.Add(int64(0), int64(99))
	f.Fuzz(func(t *testing.T, from, to int64) {
		s := strconv.FormatInt(from, 10) + " " + strconv.FormatInt(to, 10)
		a, b, err := ParseRange(s)
		if valid := from >= 0 && to >= 0; (err == nil) != valid || valid && (a != from || b != to) {
			t.Fatalf("ParseRange(%q) = %d, %d, %v", s, a, b, err)
		}
	})
}
