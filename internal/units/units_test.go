package units

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestDuration(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"30s": 30 * time.Second, "5m": 5 * time.Minute, "1h30m": 90 * time.Minute, "off": 0, "0": 0, "0s": 0,
		"7d": 7 * day, "250ms": 250 * time.Millisecond, "90s": 90 * time.Second,
	} {
		if d, err := ParseDuration(text); err != nil || d.Std() != want {
			t.Errorf("%s: %v, %v; want %v", text, d.Std(), err, want)
		}
	}
	for text, want := range map[string]string{
		"30":            "write 30s for seconds or 30m for minutes",
		"-5s":           "cannot be negative",
		"":              "not a time",
		"5 min":         "not a time",
		"999999999999d": "not a time",
	} {
		if _, err := ParseDuration(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %q", text, err, want)
		}
	}
}

func TestSize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Size{
		"0": 0, "1": 1, "10MiB": 10 << 20, "10mib": 10 << 20, "10MB": 10e6, "512 KiB": 512 << 10, "7B": 7, "8388607TiB": 8388607 << 40,
	} {
		if n, err := ParseSize(text); err != nil || n != want {
			t.Errorf("%s: %d, %v; want %d", text, n, err, want)
		}
	}
	for _, text := range []string{"", "-1", "MiB", "1.5MiB", "8388608TiB", "9223372036854775808", "1 PiB"} {
		if n, err := ParseSize(text); err == nil {
			t.Errorf("%q: %d; want an error", text, n)
		}
	}
}

func TestSum(t *testing.T) {
	t.Parallel()
	const most = math.MaxInt64
	for _, c := range [][3]int64{{0, 0, 0}, {1, 2, 3}, {most - 1, 1, most}, {most, 0, most}, {most, 1, most}, {most, most, most}} {
		if got := Sum(c[0], c[1]); got != c[2] {
			t.Errorf("%d and %d are %d, want %d", c[0], c[1], got, c[2])
		}
	}
}

// roundTrip checks that what parses is the same after it was written.
func roundTrip[T comparable](f *testing.F, parse func(string) (T, error), format func(T) string, seeds ...string) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := parse(s)
		if err != nil {
			return
		}
		if again, err := parse(format(v)); err != nil || v != again {
			t.Errorf("%q is %v, as text %q, and that is %v, %v", s, v, format(v), again, err)
		}
	})
}

func FuzzDuration(f *testing.F) {
	roundTrip(f, ParseDuration, FormatDuration, "30s", "1h30m", "7d", "off", "1.5h", "1us")
}

func FuzzSize(f *testing.F) { roundTrip(f, ParseSize, FormatSize, "10MiB", "3kB", "0", "1048577") }

func FuzzRate(f *testing.F) { roundTrip(f, ParseRate, FormatRate, "10MiB/s", "off", "7") }
