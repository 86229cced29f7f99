package gateway

import (
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// splicer moves bytes from socket to socket by splice(2), through a pipe in
// which they stay when a deadline strikes between the two halves of the way.
// (*net.TCPConn).ReadFrom does the same and throws them away.
type splicer struct {
	r, w     int // the ends of the pipe
	held     int // bytes in it
	from, to syscall.RawConn
}

// mostSpliced is how much goes through the pipe at once; it has room for that
// where the system allows it.
const mostSpliced = 1 << 20

// newSplicer returns nil where there can be none.
func newSplicer(to, from *net.TCPConn) *splicer {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil
	}
	_, _ = unix.FcntlInt(uintptr(fds[0]), unix.F_SETPIPE_SZ, mostSpliced) // it works with less
	s := &splicer{r: fds[0], w: fds[1]}
	var ferr, terr error
	s.from, ferr = from.SyscallConn()
	s.to, terr = to.SyscallConn()
	if ferr != nil || terr != nil {
		s.close()
		return nil
	}
	return s
}

// move moves at most n bytes, as many as the other end takes at once. The error
// is io.EOF when all has arrived and no more comes.
// Waiting for the one and for the other has a time of its own, which arm gives.
func (s *splicer) move(n int, arm func() error) (int, error) {
	if s.held == 0 {
		got, err := splice(s.from.Read, func(fd int) (int64, error) {
			return unix.Splice(fd, nil, s.w, nil, min(n, mostSpliced), unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		})
		if err == nil && got == 0 {
			err = io.EOF
		}
		if err != nil {
			return 0, err
		}
		s.held = got
		if err := arm(); err != nil {
			return 0, err
		}
	}
	put, err := splice(s.to.Write, func(fd int) (int64, error) {
		return unix.Splice(s.r, nil, fd, nil, s.held, unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
	})
	s.held -= put
	return put, err
}

// splice does one call on a socket as soon as that is ready, or its deadline strikes.
func splice(when func(func(fd uintptr) bool) error, call func(fd int) (int64, error)) (int, error) {
	var n int64
	var err error
	werr := when(func(fd uintptr) bool {
		for {
			if n, err = call(int(fd)); err != unix.EINTR {
				return err != unix.EAGAIN
			}
		}
	})
	if werr != nil {
		return 0, werr
	}
	return int(max(n, 0)), os.NewSyscallError("splice", err)
}

func (s *splicer) close() {
	_ = unix.Close(s.r)
	_ = unix.Close(s.w)
}
