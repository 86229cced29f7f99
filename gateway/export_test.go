package gateway

import "time"

// SetClock has sessions read another clock than [time.Now].
func SetClock(o *Options, now func() time.Time) { o.clock = now }

// Held is how many lines of clients wait for the answers to earlier ones.
func (g *Gateway) Held() (n int) {
	for _, s := range g.roster.Sessions() {
		s.with(func() { n += len(s.held) })
	}
	return n
}
