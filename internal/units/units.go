// Package units reads and writes what has a unit, for people: spans of time, and
// numbers of bytes with and without "a second" behind them. Each Parse has a Format
// that is its inverse.
package units

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is a time span, not negative. Zero is "off": the clock does not run.
type Duration time.Duration

const day = 24 * time.Hour

// ParseDuration reads "30s", "5m", "1h30m", "7d" (days of 24 hours), or "off".
func ParseDuration(s string) (Duration, error) {
	if s == "off" || s == "0" {
		return 0, nil
	}
	if n, err := strconv.ParseUint(s, 10, 64); err == nil {
		return 0, fmt.Errorf("%s: a time needs its unit; write %ds for seconds or %dm for minutes", s, n, n)
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 32)
		if err == nil && n <= uint64(math.MaxInt64/day) {
			return Duration(n) * Duration(day), nil
		}
	}
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%q: not a time; write a number and its unit, as 30s, 5m, 2h or 7d, or off", s)
	case d < 0:
		return 0, fmt.Errorf("%s: a time cannot be negative; write off to switch the clock off", s)
	}
	return Duration(d), nil
}

// FormatDuration is the inverse of [ParseDuration].
func FormatDuration(d Duration) string {
	switch t := time.Duration(d); {
	case t == 0:
		return "off"
	case t%day == 0:
		return strconv.FormatInt(int64(t/day), 10) + "d"
	case t%time.Hour == 0:
		return strconv.FormatInt(int64(t/time.Hour), 10) + "h"
	case t%time.Minute == 0:
		return strings.TrimSuffix(t.String(), "0s")
	default:
		return t.String()
	}
}

// Std is the span as package time has it.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// Size is a number of bytes, not negative.
type Size int64

// bytes go from large to small, so that the first that fits is the best. The
// long ones come before "b", which ends them all.
var bytes = []struct {
	name   string
	factor int64
}{
	{"TiB", 1 << 40},
	{"GiB", 1 << 30},
	{"MiB", 1 << 20},
	{"KiB", 1 << 10},
	{"TB", 1e12},
	{"GB", 1e9},
	{"MB", 1e6},
	{"kB", 1e3},
	{"B", 1},
}

// ParseSize reads a number of bytes: "1048576", "512KiB", "10MiB" (powers of
// 1024), "10MB" (powers of 1000), in either case.
func ParseSize(s string) (Size, error) {
	number, factor := s, int64(1)
	for _, u := range bytes {
		if cut := len(s) - len(u.name); cut > 0 && strings.EqualFold(s[cut:], u.name) {
			number, factor = strings.TrimRight(s[:cut], " "), u.factor
			break
		}
	}
	n, err := strconv.ParseUint(number, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%q: not a number of bytes; write a whole number and a unit, as 512KiB or 10MiB", s)
	}
	if int64(n) > math.MaxInt64/factor {
		return 0, fmt.Errorf("%s: too large; the most is %d bytes", s, int64(math.MaxInt64))
	}
	return Size(int64(n) * factor), nil
}

// FormatSize is the inverse of [ParseSize].
func FormatSize(n Size) string {
	for _, u := range bytes[:4] {
		if n > 0 && int64(n)%u.factor == 0 {
			return strconv.FormatInt(int64(n)/u.factor, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(n), 10)
}

// Rate is a number of bytes per second. Zero is no limit.
type Rate int64

// ParseRate reads a [Size] with or without "/s" behind it, or "off".
func ParseRate(s string) (Rate, error) {
	if s == "off" {
		return 0, nil
	}
	n, err := ParseSize(strings.TrimSuffix(s, "/s"))
	return Rate(n), err
}

// FormatRate is the inverse of [ParseRate].
func FormatRate(r Rate) string {
	if r == 0 {
		return "off"
	}
	return FormatSize(Size(r)) + "/s"
}

// Sum adds numbers of bytes, none of them below 0. What would be more than an int64
// holds is its greatest number: a server may say any size of a file.
func Sum(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}
