package gateway_test

import (
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"towpath/ftptest"
	"towpath/gateway"
	"towpath/internal/jump"
)

// Somebody sets the clock by a day in the middle of a session, and back. It goes
// on, and its account is in order for those who read it elsewhere.
func TestClockJumps(t *testing.T) {
	t.Parallel()
	for name, by := range map[string]time.Duration{"forward": 24 * time.Hour, "back": -24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var set atomic.Int64
			srv := ftptest.Serve(t, ftptest.Files{"sea.txt": "0123456789"})
			g := serve(t, srv.Addr, func(o *gateway.Options) {
				gateway.SetClock(o, func() time.Time { return jump.Of(time.Now(), time.Duration(set.Load())) })
			})
			began := time.Now()
			c := g.login(t)
			c.Passive()
			set.Store(int64(by))
			c.Do("PORT 192,0,2,1,9,9", 501)
			if got := c.Get("RETR sea.txt"); got != "0123456789" {
				t.Errorf("%q", got)
			}
			c.Passive()
			c.Send("RETR sea.txt")
			c.Expect(150)
			set.Store(0)
			if got := readAll(t, c.Data()); got != "0123456789" {
				t.Errorf("%q", got)
			}
			c.Expect(226)
			c.Do("QUIT", 221)
			b, err := json.Marshal(g.record(t))
			if err != nil {
				t.Fatal(err)
			}
			var r gateway.Record
			if err := json.Unmarshal(b, &r); err != nil { // the monotonic readings are gone
				t.Fatal(err)
			}
			if len(r.Data) != 3 || len(r.Alarms) != 1 {
				t.Fatalf("%s", b)
			}
			times := []time.Time{r.Began, r.Data[0].Opened}
			for _, d := range r.Data[1:] {
				times = append(times, d.Opened, d.Used, d.Closed)
			}
			times = append(times, r.Ended)
			for i, at := range times[1:] {
				if at.Before(times[i]) {
					t.Errorf("%v comes after %v in %s", at, times[i], b)
				}
			}
			if took, most := r.Ended.Sub(r.Began), time.Since(began); took > most {
				t.Errorf("lasted %v of %v", took, most)
			}
			if a := r.Alarms[0].Time; a.Before(r.Began) || a.After(r.Ended) {
				t.Errorf("alarm at %v in %s", a, b)
			}
			if strings.Contains(string(b), "0001-01-01") {
				t.Errorf("a time is missing in %s", b)
			}
		})
	}
}
