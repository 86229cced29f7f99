package gateway

import (
	"context"
	"net"
	"testing"
	"time"

	"towpath/internal/jump"
)

// How long a client may be silent is measured; the time of day has no say in it.
func TestClockJumpEndsNothing(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	o, err := Options{Route: nobody{}}.check()
	if err != nil {
		t.Fatal(err)
	}
	for name, bound := range map[string]time.Duration{"nobody": o.LoginTimeout, "logged in": o.IdleTimeout, "blind": o.BlindTimeout} {
		for _, by := range []time.Duration{0, day, -day} {
			for _, silent := range []time.Duration{0, bound - time.Second, bound} {
				client, ours := net.Pipe()
				go func() { _, _ = client.Read(make([]byte, 512)) }() // the farewell, if there is one
				began := time.Now()
				o.clock = func() time.Time { return jump.Of(began.Add(silent), by) }
				s := &session{set: &settings{Options: o}, ctx: context.Background(), last: began, resynced: name == "logged in", blind: name == "blind"}
				s.gw = &Gateway{ctx: s.ctx}
				s.room.L = &s.mu
				s.rec.Began = began
				s.client.set(ours)
				s.goesOn()
				if ended := s.over; ended != (silent >= bound) {
					t.Errorf("%s, silent for %v of %v, clock set by %v: ended %t", name, silent, bound, by, ended)
				}
				_, _ = client.Close(), ours.Close() // a pipe
			}
		}
	}
}

// nobody serves no session.
type nobody struct{}

func (nobody) Route(context.Context, Visitor, []string) (*Seat, error) { return nil, ErrNeedUser }
