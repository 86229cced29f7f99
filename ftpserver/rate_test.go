package ftpserver

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/netip"
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
			if err := s.newFlow(tr, newThrottle(rate), nil).pump(to, bytes.NewReader(make([]byte, total)), -1); err != nil {
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

// The rate is the session's: many small transfers move no more than one.
func TestRateOfManyTransfers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate, each, files = 10_000, 1000, 50
		s := &session{srv: &Server{admission: newAdmission(&Options{})}, set: &settings{Options: Options{Log: slog.New(slog.DiscardHandler)}}}
		s.letIn(&User{DownloadRate: rate})
		began := time.Now()
		for range files {
			tr := &transfer{session: s, began: time.Now(), ctx: context.Background()}
			if err := s.newFlow(tr, s.down, nil).pump(io.Discard, bytes.NewReader(make([]byte, each)), -1); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took < (files-1)*each*time.Second/rate {
			t.Errorf("%d bytes took %v, at %d bytes per second", files*each, took, rate)
		}
	})
}

// EPRT has no room for the zone of a link-local address: it is that of the
// control connection.
func TestActiveLinkLocal(t *testing.T) {
	s := &session{
		set:  &settings{Options: Options{Log: slog.New(slog.DiscardHandler)}},
		peer: netip.MustParseAddrPort("[fe80::1%eth0]:40000"),
	}
	if _, err := s.extendedPort(t.Context(), "|2|fe80::1|5000|"); err != nil {
		t.Fatal(err)
	}
	if want := netip.MustParseAddrPort("[fe80::1%eth0]:5000"); s.way.active != want {
		t.Errorf("the data goes to %v, want %v", s.way.active, want)
	}
	if _, err := s.extendedPort(t.Context(), "|2|fe80::2|5000|"); err == nil {
		t.Error("another link-local address is taken")
	}
}
