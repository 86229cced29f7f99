package roster

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

func silent() *slog.Logger { return slog.New(slog.DiscardHandler) }

// scripted is a listener that answers Accept with what comes from the channel:
// a connection, or an error.
type scripted struct {
	come   chan any
	closed chan struct{}
}

func newScripted() *scripted {
	return &scripted{make(chan any), make(chan struct{})}
}

func (l *scripted) Accept() (net.Conn, error) {
	select {
	case x := <-l.come:
		if err, ok := x.(error); ok {
			return nil, err
		}
		return x.(net.Conn), nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *scripted) Close() error {
	select {
	case <-l.closed:
	default:
		close(l.closed)
	}
	return nil
}

func (l *scripted) Addr() net.Addr { return &net.TCPAddr{Port: 21} }

// A listener that has no descriptors left goes on when there are some again, and
// waits a little longer each time.
func TestAcceptGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, l := New[int](), newScripted()
		taken := make(chan net.Conn, 1)
		done := make(chan error, 1)
		go func() {
			done <- r.Accept(t.Context(), l, silent, func(c net.Conn) { taken <- c })
		}()
		began := time.Now()
		for range 3 {
			l.come <- errors.New("too many open files")
		}
		a, b := net.Pipe()
		l.come <- a
		if got := <-taken; got != a {
			t.Errorf("%v was taken", got)
		}
		if waited := time.Since(began); waited != 35*time.Millisecond { // 5, 10, 20
			t.Errorf("waited %v", waited)
		}
		if !r.ListensAt(func(a net.Addr) bool { return a.(*net.TCPAddr).Port == 21 }) {
			t.Error("it does not listen")
		}
		_ = l.Close()
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("closed by somebody else: %v", err)
		}
		_, _ = a.Close(), b.Close()
		r.Wait()
	})
}

// Who drains takes nobody any more, and waits for those who are there.
func TestDrain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, l := New[string](), newScripted()
		done := make(chan error, 1)
		go func() { done <- r.Accept(t.Context(), l, silent, func(net.Conn) {}) }()
		leave := make(chan struct{})
		if !r.Run("anna", func() { <-leave }) || r.Len() != 1 {
			t.Fatal("anna was not taken")
		}
		synctest.Wait()
		if got := r.Drain(); len(got) != 1 || got[0] != "anna" || !r.Draining() {
			t.Errorf("%q drain", got)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if r.Run("ben", func() { t.Error("ben runs") }) {
			t.Error("ben was taken")
		}
		late := newScripted()
		if err := r.Accept(t.Context(), late, silent, nil); err != nil {
			t.Error(err)
		}
		if _, err := late.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Error("a listener that came too late is open")
		}
		gone := make(chan struct{})
		go func() { r.Wait(); close(gone) }()
		synctest.Wait()
		select {
		case <-gone:
			t.Fatal("it did not wait for anna")
		default:
		}
		close(leave)
		<-gone
	})
}

// A context that ends ends a pause.
func TestAcceptEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, l := New[int](), newScripted()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Accept(ctx, l, silent, nil) }()
		l.come <- io.ErrUnexpectedEOF
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Error("the listener is open")
		}
	})
}
