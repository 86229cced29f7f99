package capture_test

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"towpath/capture"
)

// TestInstant: what is in range is kept to the nanosecond, what is not is no
// time, and JSON says what it says of a time.Time.
func TestInstant(t *testing.T) {
	t.Parallel()
	for _, at := range []time.Time{
		time.Unix(0, 1), time.Date(2024, 2, 29, 12, 34, 56, 123456789, time.FixedZone("", 3600)),
		time.Date(2262, 4, 1, 0, 0, 0, 999999999, time.UTC), time.Unix(math.MaxUint32, 999999999),
	} {
		i := capture.InstantOf(at)
		b, err := json.Marshal(i)
		want, _ := json.Marshal(at.UTC())
		var back capture.Instant
		if !i.Time().Equal(at) || err != nil || string(b) != string(want) || json.Unmarshal(b, &back) != nil || back != i {
			t.Errorf("%v became %v, %s (%v), and %v again", at, i, b, err, back)
		}
	}
	for _, at := range []time.Time{{}, time.Unix(0, 0), time.Unix(-1, 0), time.Date(2263, 1, 1, 0, 0, 0, 0, time.UTC)} {
		if i := capture.InstantOf(at); !i.IsZero() || !i.Time().IsZero() {
			t.Errorf("%v became %v, want no time", at, i)
		}
	}
	var i capture.Instant
	if err := json.Unmarshal([]byte(`"yesterday"`), &i); err == nil {
		t.Errorf("yesterday is %v, want an error", i)
	}
}

// TestMarkJSON: a packet whose time was not recorded has none.
func TestMarkJSON(t *testing.T) {
	t.Parallel()
	for want, m := range map[string]capture.Mark{`{"packet":3}`: {Packet: 3}, `{"packet":3,"time":"1970-01-01T00:00:01Z"}`: {Packet: 3, Time: 1e9}} {
		if b, err := json.Marshal(m); string(b) != want || err != nil {
			t.Errorf("%v became %s (%v), want %s", m, b, err, want)
		}
	}
}
