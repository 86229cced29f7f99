package accounts

import (
	"fmt"
	"math"
	"strconv"

	"github.com/dustin/go-humanize"
)

// ParseSize reads a number of bytes: "1048576", "1MiB" (1,048,576) or "1MB"
// (1,000,000).
func ParseSize(s string) (int64, error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n >= 0 && s[0] != '+' {
		return n, nil
	}
	n, err := humanize.ParseBytes(s)
	if err != nil || n > math.MaxInt64 {
		return 0, fmt.Errorf("size %q: want bytes such as 1048576, 500MB or 10GiB", s)
	}
	return int64(n), nil
}

// FormatSize is the inverse of [ParseSize], and exact: it uses a unit only
// where nothing is left over.
func FormatSize(n int64) string {
	if n == 0 {
		return "0"
	}
	for i, unit := range []string{"PiB", "TiB", "GiB", "MiB", "KiB"} {
		if size := int64(1) << (10 * (5 - i)); n%size == 0 {
			return strconv.FormatInt(n/size, 10) + unit
		}
	}
	return strconv.FormatInt(n, 10)
}
