package ftp

import (
	"fmt"
	"strings"
	"time"
)

const timeLayout = "20060102150405"

// ParseTime reads a time of MDTM, MFMT and the MLSx facts (RFC 3659 2.3):
// YYYYMMDDHHMMSS in UTC, and perhaps a fraction of the second behind a point,
// of which nine digits count. Second 60 is a leap second and means the next
// minute.
func ParseTime(s string) (time.Time, error) {
	whole, fraction, point := strings.Cut(s, ".")
	if len(whole) != len(timeLayout) || !isNumber(whole) || point && !isNumber(fraction) {
		return time.Time{}, timeError(s)
	}
	leap := strings.HasSuffix(whole, "60")
	if leap {
		whole = whole[:12] + "59"
	}
	t, err := time.Parse(timeLayout, whole)
	if err != nil {
		return time.Time{}, timeError(s)
	}
	if leap {
		t = t.Add(time.Second)
	}
	unit := time.Second
	for i := range min(len(fraction), 9) {
		unit /= 10
		t = t.Add(time.Duration(fraction[i]-'0') * unit)
	}
	return t, nil
}

func timeError(s string) error {
	return fmt.Errorf("time %q: want YYYYMMDDHHMMSS in UTC", clip(s))
}

// FormatTime is the inverse of [ParseTime] for whole seconds; it leaves
// fractions out. Years before 0 or after 9999, which the form cannot say,
// become the nearest second that it can.
func FormatTime(t time.Time) string { return string(AppendTime(nil, t)) }

// AppendTime appends t to b as [FormatTime] writes it.
func AppendTime(b []byte, t time.Time) []byte {
	t = t.UTC()
	switch y := t.Year(); {
	case y < 0:
		return append(b, "00000101000000"...)
	case y > 9999:
		return append(b, "99991231235959"...)
	}
	return t.AppendFormat(b, timeLayout)
}
