package alive_test

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"towpath/internal/alive"
	"towpath/internal/alive/alivetest"
	"towpath/internal/alone"
)

// pair is a connection by its two ends; the near one is made by its dialler, or
// taken by a listener that was told.
func pair(t *testing.T, every time.Duration, taken bool) (near, far *net.TCPConn) {
	t.Helper()
	lc := net.ListenConfig{KeepAlive: -1}
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if taken && !alive.Listener(l, every) {
		t.Fatal("the listener cannot")
	}
	d := net.Dialer{KeepAlive: -1}
	dialled, err := d.DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	near, far = dialled.(*net.TCPConn), accepted.(*net.TCPConn)
	if taken {
		near, far = far, near
	} else {
		alive.Conn(near, every)
	}
	t.Cleanup(func() { _, _ = near.Close(), far.Close() }) // one of them is lost
	return near, far
}

// Both ways set the same, and a part of a second counts as a whole one.
func TestOptions(t *testing.T) {
	t.Parallel()
	for _, taken := range []bool{false, true} {
		near, _ := pair(t, 29500*time.Millisecond, taken)
		raw, err := near.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		err = raw.Control(func(fd uintptr) {
			for _, o := range []struct{ level, option, want int }{
				{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
				{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 30},
				{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 30},
				{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 4},
				{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 150_000},
			} {
				if got, err := unix.GetsockoptInt(int(fd), o.level, o.option); err != nil || got != o.want {
					t.Errorf("taken %t: option %d is %d, %v, want %d", taken, o.option, got, err, o.want)
				}
			}
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// An end that vanishes is missed, whether it owes an acknowledgement or not.
func TestVanished(t *testing.T) {
	t.Parallel()
	if !alone.Inside(t) {
		return
	}
	for name, owing := range map[string]bool{"silent": false, "owing": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			near, far := pair(t, time.Second, false)
			alivetest.Vanish(t, far)
			if owing {
				if _, err := near.Write([]byte("220 Ahoy.\r\n")); err != nil {
					t.Fatal(err)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			defer context.AfterFunc(ctx, func() { _ = near.SetDeadline(time.Unix(1, 0)) })()
			if n, err := near.Read(make([]byte, 1)); !errors.Is(err, syscall.ETIMEDOUT) {
				t.Errorf("read %d, %v; want %v", n, err, syscall.ETIMEDOUT)
			}
		})
	}
}
