package jump_test

import (
	"testing"
	"time"

	"towpath/internal/jump"
)

// The time of day moves; what is measured by the monotonic clock does not.
func TestOf(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	now := time.Now()
	for _, by := range []time.Duration{0, day, -day} {
		jumped := jump.Of(now, by)
		if d := jumped.Sub(now); d != 0 {
			t.Errorf("set by %v: measured %v", by, d)
		}
		if d := jumped.Round(0).Sub(now.Round(0)); d != by {
			t.Errorf("set by %v: the time of day moved by %v", by, d)
		}
	}
}
