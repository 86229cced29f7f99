package capture

import (
	"math"
	"time"
)

// Instant is when something was seen: nanoseconds since the beginning of 1970,
// UTC, from there to 2262. 0 is a time that is not known. There are many, and a
// time.Time is thrice as long. As text, and in JSON, it is one of RFC 3339.
type Instant int64

// InstantOf is t, 0 if it is out of range.
func InstantOf(t time.Time) Instant { return instant(t.Unix(), int64(t.Nanosecond())) }

// instant is so many seconds since 1970, and nanoseconds, which may be more than a
// second.
func instant(sec, nanos int64) Instant {
	if sec < 0 || sec > math.MaxInt64/1_000_000_000-5 { // pcap may say 2³² µs, which are less
		return 0
	}
	return Instant(sec*1e9 + nanos)
}

// Time is i for people, in UTC; the zero Time if it is not known.
func (i Instant) Time() time.Time {
	if i == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(i)).UTC()
}

// IsZero says that it is not known.
func (i Instant) IsZero() bool { return i == 0 }

// Sub is how long i is behind j.
func (i Instant) Sub(j Instant) time.Duration { return time.Duration(i - j) }

// Add is d later.
func (i Instant) Add(d time.Duration) Instant { return i + Instant(d) }

// Before says that i comes before j.
func (i Instant) Before(j Instant) bool { return i < j }

// After says that i comes after j.
func (i Instant) After(j Instant) bool { return i > j }

// Format is [time.Time.Format], in UTC.
func (i Instant) Format(layout string) string { return i.Time().Format(layout) }

func (i Instant) String() string { return i.Time().String() }

// MarshalText writes it as RFC 3339 has it.
func (i Instant) MarshalText() ([]byte, error) { return i.Time().MarshalText() }

// UnmarshalText reads what [Instant.MarshalText] writes.
func (i *Instant) UnmarshalText(b []byte) error {
	var t time.Time
	if err := t.UnmarshalText(b); err != nil {
		return err
	}
	*i = InstantOf(t)
	return nil
}

// Mark names a packet that is gone, by its number in its file, from 1. The zero
// Mark is no packet.
type Mark struct {
	Packet int     `json:"packet"`
	Time   Instant `json:"time,omitzero"`
}

// Seen says that there is such a packet.
func (m Mark) Seen() bool { return m.Packet != 0 }

// Mark says where and when p was seen.
func (p *Packet) Mark() Mark { return Mark{p.Number, p.Time} }
