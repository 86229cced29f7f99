package systemd

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// heard is a manager that writes down when it hears what.
type heard struct {
	net.Conn
	begun time.Time
	at    []time.Duration
	err   error
}

func (h *heard) Write(p []byte) (int, error) {
	if string(p) != "WATCHDOG=1" {
		return 0, errors.New("not a watchdog message")
	}
	h.at = append(h.at, time.Since(h.begun))
	return len(p), h.err
}

func TestWatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := &heard{begun: time.Now()}
		ctx, cancel := context.WithTimeout(t.Context(), 22*time.Second)
		defer cancel()
		sick := func() bool { return time.Since(h.begun) != 10*time.Second }
		if err := (&Notifier{conn: h, watchdog: 10 * time.Second}).Watch(ctx, sick); err != nil {
			t.Fatal(err)
		}
		want := []time.Duration{0, 5 * time.Second, 15 * time.Second, 20 * time.Second}
		if d := cmp.Diff(want, h.at); d != "" {
			t.Errorf("times of messages:\n%s", d)
		}
	})
}

func TestWatchEndsWithItsManager(t *testing.T) {
	t.Parallel()
	h := &heard{err: errors.New("gone")}
	if err := (&Notifier{conn: h, watchdog: time.Hour}).Watch(t.Context(), func() bool { return true }); !errors.Is(err, h.err) {
		t.Error(err)
	}
}
