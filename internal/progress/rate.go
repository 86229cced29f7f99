package progress

import (
	"fmt"
	"math"
	"time"
)

// memory is how fast a rate forgets: after this time what was counts for a
// third.
const memory = 3 * time.Second

// meter measures a rate, and smooths it.
type meter struct {
	first, last time.Time
	at          int64
	rate        float64 // bytes per second
}

func (m *meter) start(now time.Time) { m.first, m.last = now, now }

// add tells that there are at bytes now. In the beginning the rate is the mean
// since the start, as there is nothing to smooth it with.
func (m *meter) add(now time.Time, at int64) {
	dt := now.Sub(m.last)
	if dt <= 0 {
		return
	}
	r := float64(at-m.at) / dt.Seconds()
	mean := 1 - dt.Seconds()/now.Sub(m.first).Seconds()
	keep := min(mean, math.Exp(-dt.Seconds()/memory.Seconds()))
	m.rate = keep*m.rate + (1-keep)*r
	m.last, m.at = now, at
}

// left is how long the rest will take, -1 if nobody knows.
func left(at, size int64, rate float64) time.Duration {
	if size < 0 || rate < 1 {
		return -1
	}
	s := float64(size-at) / rate
	if s > 99*24*3600 {
		return -1
	}
	return time.Duration(s * float64(time.Second))
}

// share is how much of size is there, "45%", or "" where the size is not known.
// It is 100% only when nothing is missing.
func share(at, size int64) string {
	switch {
	case size < 0:
		return ""
	case at >= size:
		return "100%"
	}
	return fmt.Sprintf("%d%%", min(99, int(100*(float64(at)/float64(size)))))
}

// bytes writes a number of bytes in seven columns at most: "999 B", "1.2 KiB",
// "1023 GiB".
func bytes(n float64) string {
	const units = "KMGTPE"
	if n < 1000 {
		return fmt.Sprintf("%.0f B", n)
	}
	i := -1
	for n >= 999.5 && i < len(units)-1 {
		n /= 1024
		i++
	}
	if n < 9.95 {
		return fmt.Sprintf("%.1f %ciB", n, units[i])
	}
	return fmt.Sprintf("%.0f %ciB", n, units[i])
}

// clock writes a time as 0:07, 12:34, 1:02:03 or 3d 04h, and one that is not
// known as "".
func clock(d time.Duration) string {
	if d < 0 {
		return ""
	}
	s := int(d.Round(time.Second).Seconds())
	switch {
	case s >= 24*3600:
		return fmt.Sprintf("%dd %02dh", s/(24*3600), s/3600%24)
	case s >= 3600:
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}
