package ftpserver

import (
	"bytes"
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

// A transfer moves no byte sooner than its rate allows, whatever the sizes of
// the pieces are that the two ends would take.
func TestFlowKeepsItsRate(t *testing.T) {
	for _, rate := range []int64{1 << 10, 100_000, 8 << 20} {
		synctest.Test(t, func(t *testing.T) {
			s := &session{set: &settings{}}
			tr := &transfer{session: s, began: time.Now(), ctx: context.Background()}
			to := &paced{began: time.Now(), rate: rate, t: t}
			total := 5 * rate
			if err := s.newFlow(tr, rate, nil).pump(to, bytes.NewReader(make([]byte, total)), -1); err != nil {
				t.Fatal(err)
			}
			if to.got != total || tr.moved.Load() != total {
				t.Errorf("rate %d: %d bytes came, %d are counted, want %d", rate, to.got, tr.moved.Load(), total)
			}
			if took := time.Since(to.began); took > 5*time.Second {
				t.Errorf("rate %d: five seconds' worth took %v", rate, took)
			}
		})
	}
}

// paced fails the test when more comes than the rate allows: a chunk, a tenth
// of a second's bytes, may be ahead.
type paced struct {
	t     *testing.T
	began time.Time
	rate  int64
	got   int64
}

func (p *paced) Write(b []byte) (int, error) {
	p.got += int64(len(b))
	ahead := max(p.rate/chunksPerSecond, minChunk)
	if most := ahead + int64(time.Since(p.began).Seconds()*float64(p.rate)); p.got > most+1 {
		p.t.Errorf("rate %d: %d bytes after %v, want at most %d", p.rate, p.got, time.Since(p.began), most)
		return 0, io.ErrShortWrite
	}
	return len(b), nil
}
