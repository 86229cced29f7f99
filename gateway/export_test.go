package gateway

import "time"

// SetClock has sessions read another clock than [time.Now].
func SetClock(o *Options, now func() time.Time) { o.clock = now }
