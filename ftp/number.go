package ftp

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ParseSize reads a size or an offset in bytes, as REST, ALLO and 213 have it:
// decimal digits alone. It is written by strconv.
func ParseSize(s string) (int64, error) {
	if !isNumber(s) {
		return 0, fmt.Errorf("%q: want a number of bytes", clip(s))
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if errors.Is(err, strconv.ErrRange) {
		return 0, fmt.Errorf("%s: want a number of bytes up to %d", clip(s), int64(math.MaxInt64))
	}
	return n, err
}

// ParseRange reads the argument of RANG, "start end": two sizes, both ends
// included. A start behind the end is for the caller to judge: "1 0" takes
// back an earlier range.
func ParseRange(s string) (from, to int64, err error) {
	start, end, ok := strings.Cut(s, " ")
	if !ok {
		return 0, 0, fmt.Errorf("range %q: want two numbers of bytes, start and end", clip(s))
	}
	if from, err = ParseSize(start); err != nil {
		return 0, 0, fmt.Errorf("start of range: %w", err)
	}
	if to, err = ParseSize(end); err != nil {
		return 0, 0, fmt.Errorf("end of range: %w", err)
	}
	return from, to, nil
}
