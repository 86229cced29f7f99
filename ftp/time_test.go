package ftp

import (
	"strings"
	"testing"
	"time"
)

func TestParseTime(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]time.Time{
		"19980615100045":                time.Date(1998, 6, 15, 10, 0, 45, 0, time.UTC),
		"19980615100045.014":            time.Date(1998, 6, 15, 10, 0, 45, 14_000_000, time.UTC),
		"19980615100045.000000001":      time.Date(1998, 6, 15, 10, 0, 45, 1, time.UTC),
		"19980615100045.00000000199999": time.Date(1998, 6, 15, 10, 0, 45, 1, time.UTC),
		"20240229235959":                time.Date(2024, 2, 29, 23, 59, 59, 0, time.UTC),
		"20161231235960":                time.Date(2017, 1, 1, 0, 0, 0, 0, time.UTC),
		"00000101000000":                time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		got, err := ParseTime(s)
		if err != nil || !got.Equal(want) || got.Location() != time.UTC {
			t.Errorf("ParseTime(%q) = %v, %v, want %v", s, got, err, want)
		}
	}
}

func TestParseTimeRefuses(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"", "1998", "1998061510004", "199806151000450", "19980615100045.", "19980615100045.x", "19980615100045,5",
		"19980615 100045", "+9980615100045", "19980615100045Z", "19981315100045", "19980632100045", "19980230100045",
		"20230229000000", "19980615240000", "19980615106045", "19980615100061", "1998061510004٥", " 19980615100045",
		"19126" + "0615100045", // the year of servers that count from 1900
	} {
		got, err := ParseTime(s)
		if err == nil {
			t.Errorf("ParseTime(%q) = %v, want an error", s, got)
		} else if !strings.Contains(err.Error(), s) || !strings.Contains(err.Error(), "YYYYMMDDHHMMSS") {
			t.Errorf("ParseTime(%q): the error %q does not say what it was given and what it wants", s, err)
		}
	}
}

func TestFormatTime(t *testing.T) {
	t.Parallel()
	east := time.FixedZone("east", 2*60*60)
	for _, test := range []struct {
		t    time.Time
		want string
	}{
		{time.Date(1998, 6, 15, 10, 0, 45, 999_999_999, time.UTC), "19980615100045"},
		{time.Date(2000, 1, 1, 1, 0, 0, 0, east), "19991231230000"},
		{time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC), "00000101000000"},
		{time.Date(10000, 1, 1, 1, 0, 0, 0, east), "99991231230000"},
		{time.Date(12345, 1, 1, 0, 0, 0, 0, time.UTC), "99991231235959"},
	} {
		if got := FormatTime(test.t); got != test.want {
			t.Errorf("FormatTime(%v) = %q, want %q", test.t, got, test.want)
		}
	}
}

func FuzzTime(f *testing.F) {
	for _, s := range []string{"19980615100045", "19980615100045.014", "20161231235960", "99991231235960"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseTime(s)
		if err != nil {
			return
		}
		whole, _, _ := strings.Cut(s, ".")
		if leap := strings.HasSuffix(whole, "60"); !leap && FormatTime(got) != whole {
			t.Fatalf("%q was read as %v and written as %q", s, got, FormatTime(got))
		}
		again, err := ParseTime(FormatTime(got))
		if err != nil {
			t.Fatalf("%q was read as %v, whose form %q is refused: %v", s, got, FormatTime(got), err)
		}
		if got.Year() <= 9999 && !again.Equal(got.Truncate(time.Second)) {
			t.Fatalf("%q is %v, and again %v", s, got, again)
		}
	})
}
