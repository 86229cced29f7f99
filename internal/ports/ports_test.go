package ports

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"
)

var loopback = netip.MustParseAddr("127.0.0.1")

// freeRange finds n ports in a row that nobody uses, so that tests which run
// beside this one do not disturb it.
func freeRange(t testing.TB, n int) Range {
	t.Helper()
	for low := 20000 + random(8000); low < 32000; low += n {
		held := make([]net.Listener, 0, n)
		for i := range n {
			l, err := listenTCP(t.Context(), netip.AddrPortFrom(loopback, uint16(low+i)))
			if err != nil {
				break
			}
			held = append(held, l)
		}
		for _, l := range held {
			_ = l.Close() // was never used
		}
		if len(held) == n {
			return Range{uint16(low), uint16(low + n - 1)}
		}
	}
	t.Fatalf("no %d free ports in a row below 32000", n)
	return Range{}
}

func dial(t testing.TB, from netip.Addr, l *Listener) net.Conn {
	t.Helper()
	c, err := net.DialTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0)), l.Addr().(*net.TCPAddr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestPortsStayInRange(t *testing.T) {
	r := freeRange(t, 8)
	p := New(r)
	var lent []*Listener
	seen := map[uint16]bool{}
	for range 8 {
		l, err := p.Listen(t.Context(), loopback)
		if err != nil {
			t.Fatal(err)
		}
		if seen[l.Port()] || l.Port() < r.Low || l.Port() > r.High {
			t.Errorf("port %d lent twice, or not of %v", l.Port(), r)
		}
		seen[l.Port()] = true
		lent = append(lent, l)
	}
	if _, err := p.Listen(t.Context(), loopback); !errors.Is(err, ErrNone) {
		t.Fatalf("a ninth port of eight: %v, want ErrNone", err)
	}
	for _, l := range lent {
		for range 2 { // the second does nothing
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	got := p.Stats()
	want := Stats{Range: r, Size: 8, Opened: 8, Exhausted: 1}
	if got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
	if l, err := p.Listen(t.Context(), loopback); err != nil {
		t.Errorf("after all were given back: %v", err)
	} else {
		_ = l.Close()
	}
}

// Whoever shares the range with us (another server, an earlier one that still
// drains) does not make us leave it, nor fail while there is a free port.
func TestPortsHeldByOthers(t *testing.T) {
	r := freeRange(t, 4)
	for port := r.Low; port < r.High; port++ {
		l, err := listenTCP(t.Context(), netip.AddrPortFrom(loopback, port))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
	}
	p := New(r)
	for range 20 {
		l, err := p.Listen(t.Context(), loopback)
		if err != nil {
			t.Fatal(err)
		}
		if l.Port() != r.High {
			t.Fatalf("lent %d, which somebody else holds", l.Port())
		}
		_ = l.Close()
	}
	l, err := p.Listen(t.Context(), loopback)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := p.Listen(t.Context(), loopback); !errors.Is(err, ErrNone) {
		t.Errorf("all held: %v, want ErrNone", err)
	}
}

func TestPortsPardon(t *testing.T) {
	p := New(Range{21000, 21001})
	now := time.Now()
	p.free = nil
	p.shunned = []shunnedPort{{21000, now}, {21001, now.Add(time.Second)}}
	p.pardon(now)
	if len(p.free) != 1 || p.free[0] != 21000 || len(p.shunned) != 1 {
		t.Errorf("free %v, shunned %v", p.free, p.shunned)
	}
}

// An address that is not ours is an error of its own, not a lack of ports.
func TestPortsNoSuchAddress(t *testing.T) {
	p := New(Range{})
	_, err := p.Listen(t.Context(), netip.MustParseAddr("192.0.2.1"))
	if err == nil || errors.Is(err, ErrNone) {
		t.Fatalf("listen on 192.0.2.1: %v", err)
	}
	if s := p.Stats(); s.Failed != 1 || s.Used != 0 || len(p.free) != s.Size {
		t.Errorf("stats %+v, %d free", s, len(p.free))
	}
}

func TestPassiveFamilies(t *testing.T) {
	for _, addr := range []string{"127.0.0.1", "::1", "::ffff:127.0.0.1"} {
		t.Run(addr, func(t *testing.T) {
			p := New(Range{})
			l, err := p.Listen(t.Context(), netip.MustParseAddr(addr))
			if err != nil {
				if addr == "::1" {
					t.Skipf("no IPv6 here: %v", err)
				}
				t.Fatal(err)
			}
			defer l.Close()
			want := netip.MustParseAddr(addr).Unmap()
			dial(t, want, l)
			c, err := l.Accept(t.Context(), time.Time{}, func(a netip.Addr) bool { return a == want })
			if err != nil {
				t.Fatal(err)
			}
			_ = c.Close()
		})
	}
}

// Strangers who come first get a reset, and the client still gets in.
func TestPassiveStrangers(t *testing.T) {
	stranger := netip.MustParseAddr("127.0.0.2")
	p := New(Range{})
	l, err := p.Listen(t.Context(), loopback)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var turnedAway []net.Conn
	for range 3 {
		c, err := net.DialTCP("tcp", &net.TCPAddr{IP: stranger.AsSlice()}, l.Addr().(*net.TCPAddr))
		if err != nil {
			t.Skipf("this system has no 127.0.0.2: %v", err)
		}
		defer c.Close()
		turnedAway = append(turnedAway, c)
	}
	own := dial(t, loopback, l)
	c, err := l.Accept(t.Context(), time.Now().Add(time.Minute), func(a netip.Addr) bool { return a == loopback })
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.RemoteAddr().String() != own.LocalAddr().String() {
		t.Errorf("accepted %v, want %v", c.RemoteAddr(), own.LocalAddr())
	}
	for _, c := range turnedAway {
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("a stranger was not cut off")
		}
	}
	if s := p.Stats(); s.Strangers != 3 || s.Accepted != 1 || s.Used != 1 || s.Waiting != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestPassiveAcceptEnds(t *testing.T) {
	all := func(netip.Addr) bool { return true }
	cause := errors.New("aborted")
	for _, test := range []struct {
		name string
		want error
		run  func(ctx context.Context, l *Listener) error
	}{
		{"deadline", os.ErrDeadlineExceeded, func(ctx context.Context, l *Listener) error {
			_, err := l.Accept(ctx, time.Now().Add(-time.Second), all)
			return err
		}},
		{"context", cause, func(ctx context.Context, l *Listener) error {
			ctx, cancel := context.WithCancelCause(ctx)
			go cancel(cause)
			_, err := l.Accept(ctx, time.Time{}, all)
			return err
		}},
		{"close", net.ErrClosed, func(ctx context.Context, l *Listener) error {
			go l.Close()
			_, err := l.Accept(ctx, time.Time{}, all)
			return err
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := New(Range{})
			l, err := p.Listen(t.Context(), loopback)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if err := test.run(t.Context(), l); !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
			if n := p.Stats().TimedOut; (n == 1) != (test.name == "deadline") {
				t.Errorf("%d timed out", n)
			}
		})
	}
}

// The way taken when a connection waits already, and the one when it does not.
func TestPassiveEarlyAndLate(t *testing.T) {
	p := New(Range{})
	for _, early := range []bool{true, false} {
		l, err := p.Listen(t.Context(), loopback)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if isPending(l.TCPListener) {
			t.Error("a connection waits that nobody made")
		}
		if early {
			dial(t, loopback, l)
			if runtime.GOOS == "linux" && !isPending(l.TCPListener) {
				t.Error("a connection waits and is not seen")
			}
		} else {
			go func() {
				for p.Stats().Waiting == 0 {
					runtime.Gosched()
				}
				c, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					t.Error(err)
					return
				}
				defer c.Close()
				_, _ = c.Read(make([]byte, 1)) // until the server closes
			}()
		}
		c, err := l.Accept(t.Context(), time.Now().Add(time.Minute), nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	}
}

func TestPortsConcurrently(t *testing.T) {
	p := New(freeRange(t, 16))
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for range 20 {
				l, err := p.Listen(t.Context(), loopback)
				switch {
				case errors.Is(err, ErrNone):
				case err != nil:
					t.Error(err)
				default:
					_ = l.Close()
				}
				p.Stats()
			}
		})
	}
	wg.Wait()
	s := p.Stats()
	if s.Used != 0 || s.Opened+s.Exhausted != 640 || len(p.free)+len(p.shunned) != 16 {
		t.Errorf("stats %+v, %d free, %d shunned", s, len(p.free), len(p.shunned))
	}
}

// meet is one announcement met, and its connection closed by the server, which
// leaves TIME_WAIT on the passive port as each download does.
func meet(b *testing.B, p *Pool) {
	l, err := p.Listen(b.Context(), loopback)
	if err != nil {
		b.Fatal(err)
	}
	client, err := net.DialTCP("tcp4", nil, l.Addr().(*net.TCPAddr))
	if err != nil {
		b.Fatal(err)
	}
	c, err := l.Accept(b.Context(), time.Now().Add(time.Minute), func(a netip.Addr) bool { return a == loopback })
	if err != nil {
		b.Fatal(err)
	}
	_ = l.Close()
	_ = c.Close()
	_ = client.Close()
}

func BenchmarkPassive(b *testing.B) {
	p := New(Range{})
	for b.Loop() {
		meet(b, p)
	}
}

// BenchmarkPassiveInARow shows whether ports in TIME_WAIT make the next one
// dearer: last/first compares the last thousand of 30,000 with the first.
func BenchmarkPassiveInARow(b *testing.B) {
	for range b.N {
		p := New(Range{})
		thousand := func() time.Duration {
			began := time.Now()
			for range 1000 {
				meet(b, p)
			}
			return time.Since(began)
		}
		first := thousand()
		for range 28 {
			thousand()
		}
		b.ReportMetric(first.Seconds()/thousand().Seconds(), "last/first")
	}
}

// A range of which others hold all must cost little even if it is large.
func BenchmarkPortsExhausted(b *testing.B) {
	p := New(Range{1, 65535})
	p.free = nil
	for b.Loop() {
		if _, err := p.Listen(b.Context(), loopback); !errors.Is(err, ErrNone) {
			b.Fatal(err)
		}
	}
}
