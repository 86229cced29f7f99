package roster

import (
	"sync"
	"testing"
	"testing/synctest"
)

// Work that waits for other work is begun all the same, goroutines are kept for
// more, though not too many, and none is left when the crew goes home.
func TestCrew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCrew()
		for round := range 3 {
			var all sync.WaitGroup
			met := make(chan struct{})
			for range 2 * mostResting {
				all.Add(2)
				c.do(func() { defer all.Done(); met <- struct{}{} })
				c.do(func() { defer all.Done(); <-met })
			}
			all.Wait()
			synctest.Wait()
			if n := c.resting.Load(); n != mostResting {
				t.Errorf("round %d: %d rest, want %d", round, n, mostResting)
			}
		}
		c.leave()
		c.leave()
		synctest.Wait()
		if n := c.resting.Load(); n != 0 {
			t.Errorf("%d rest who should have left", n)
		}
		done := make(chan struct{})
		c.do(func() { close(done) }) // a session that ends later than that
		<-done
	})
}
