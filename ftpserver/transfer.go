package ftpserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"towpath/ftp"
)

// restartAt is REST. It holds for the next transfer command. With TYPE A it
// counts bytes as they go over the wire (RFC 3659 5).
func (s *session) restartAt(_ context.Context, arg string) (ftp.Reply, error) {
	n, err := ftp.ParseSize(strings.TrimSpace(arg))
	if err != nil {
		return ftp.Reply{}, refuse(501, "REST wants a number of bytes, 0 or more.", err)
	}
	s.restart = n
	if s.extra != nil {
		s.extra.rang = nil
	}
	return ftp.NewReply(350, fmt.Sprintf("Restarting at %d. Send STOR, APPE or RETR.", n)), nil
}

// allocate is ALLO: a hint how much will come ("n" or "n R m").
func (s *session) allocate(_ context.Context, arg string) (ftp.Reply, error) {
	f := strings.Fields(arg)
	if len(f) != 1 && (len(f) != 3 || !strings.EqualFold(f[1], "R")) {
		return ftp.Reply{}, errSyntax
	}
	n, err := ftp.ParseSize(f[0])
	if err != nil {
		return ftp.Reply{}, refuse(501, "ALLO wants a number of bytes, 0 or more.", err)
	}
	if err := s.room(n); err != nil {
		return ftp.Reply{}, err
	}
	s.allo = n
	return ftp.NewReply(200, fmt.Sprintf("%d bytes will be welcome.", n)), nil
}

// room asks the quota whether n bytes could be stored now.
func (s *session) room(n int64) error {
	if q := s.user().Quota; q != nil && n > 0 {
		if used, most, _, _ := q.Usage(); most > 0 && n > most-used {
			return ErrQuota
		}
	}
	return nil
}

// abort is ABOR when nothing runs any more: a running transfer was stopped as
// soon as the line was read (see attend.go), and has given its own 426.
func (s *session) abort(context.Context, string) (ftp.Reply, error) {
	s.dropWay()
	return ftp.NewReply(226, "Nothing is running; data connections are closed."), nil
}

// move carries out a command that needs the data connection: 150, connect,
// work, close. What work answers with a nil error is the final reply; work
// must close d itself when it wants to know how that went.
func (s *session) move(t *transfer, opening string, work func(d *dataConn) (ftp.Reply, error)) (ftp.Reply, error) {
	s.send(ftp.NewReply(150, opening)) // by itself: aria2 never sees a 226 that comes along with it
	d, err := s.connect(t)
	if err != nil {
		return ftp.Reply{}, err
	}
	r, err := work(d)
	if err != nil {
		d.discard()
		return ftp.Reply{}, t.named(err)
	}
	return r, nil
}

// flow watches over the bytes of one transfer: it counts them, asks the quota,
// and keeps the clocks and the rate limit of the session.
type flow struct {
	s     *session
	t     *transfer
	limit *throttle
	each  func(n int64) error // asked for each piece, if not nil

	since time.Time // start of the span that MinRate is measured over
	slow  int64     // bytes moved in that span
}

func (s *session) newFlow(t *transfer, limit *throttle, each func(n int64) error) *flow {
	return &flow{s: s, t: t, limit: limit, each: each, since: t.began}
}

// moved takes note of n bytes.
func (f *flow) moved(n int64) error {
	f.t.moved.Add(n)
	if f.each != nil && n > 0 {
		if err := f.each(n); err != nil {
			return err
		}
	}
	set := f.s.set
	if set.MinRate > 0 && set.StallTimeout > 0 && n > 0 { // what the socket holds is not ours to count; see trickles
		f.slow += n
		if gone := time.Since(f.since); gone >= set.StallTimeout {
			if float64(f.slow) < float64(set.MinRate)*gone.Seconds() {
				return errTooSlow
			}
			f.since, f.slow = time.Now(), 0
		}
	}
	return nil
}

// grant says how many of n bytes may move now, after the wait that the rate
// limit asks for.
func (f *flow) grant(n int64) (int64, error) {
	allowed, wait := f.limit.grant(int(n))
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-f.t.ctx.Done():
			return 0, f.t.ctx.Err()
		}
	}
	return int64(allowed), nil
}

// pump moves bytes from src to dst until src ends, or size bytes have gone
// (size < 0: it is not known). It works in pieces, without wrapping the two
// ends, so that between a file and a TCP connection the kernel moves the bytes
// (sendfile, splice).
func (f *flow) pump(dst io.Writer, src io.Reader, size int64) error {
	direct := kernelMoves(dst, src)
	piece, most := int64(firstPiece), int64(bufferBytes)
	var buf *[]byte
	if direct != nil {
		piece, most = kernelPiece, kernelPiece
		f.t.byKernel()
	} else {
		buf = buffers.Get().(*[]byte)
		defer buffers.Put(buf)
	}
	if size < 0 {
		size = math.MaxInt64
	}
	from := io.LimitedReader{R: src}
	for size > 0 {
		n, err := f.grant(min(piece, size))
		if err != nil {
			return err
		}
		began := time.Now()
		var got int64
		if direct != nil {
			from.N = n
			if got, err = direct.ReadFrom(&from); err == nil && got < n {
				err = io.EOF
			}
		} else {
			got, err = carry(dst, src, (*buf)[:n])
		}
		size -= got
		f.limit.refund(int(n - got))
		if merr := f.moved(got); merr != nil {
			return merr
		}
		switch {
		case err == nil:
		case err == io.EOF:
			return nil
		case !errors.Is(err, os.ErrDeadlineExceeded),
			direct == nil && !isTCP(src), // a buffer may be written in part: there is no going on
			!f.t.goOn():
			return err
		}
		// What a buffer brings is counted when all of it is written: that must be
		// before it looks like a stall, on a slow line too.
		switch took := time.Since(began); {
		case direct != nil:
		case took > time.Second:
			piece = max(piece/4, 1<<14)
		case took < time.Second/8:
			piece = min(piece*2, most)
		}
	}
	return nil
}

// kernelMoves returns dst if the kernel can move bytes into it out of src: a
// file into a socket, or a socket into a file. If that is interrupted, no byte
// is lost between the two.
func kernelMoves(dst io.Writer, src io.Reader) io.ReaderFrom {
	switch to := dst.(type) {
	case *net.TCPConn:
		if _, ok := src.(*os.File); ok && sendfileCounts {
			return to
		}
	case io.ReaderFrom:
		if _, ok := src.(*net.TCPConn); ok {
			return to
		}
	}
	return nil
}

// sendfileCounts is whether a file that the kernel sends to a socket can be
// interrupted and gone on with. TransmitFile of Windows does not tell how much has
// gone, so that each piece that took longer than StallTimeout would look like a
// stall; and clients' editions carry out two at a time.
const sendfileCounts = runtime.GOOS != "windows"

// isTCP tells whether src is a socket: reading it can be interrupted.
func isTCP(src io.Reader) bool {
	_, ok := src.(*net.TCPConn)
	return ok
}

// The sizes of the pieces that pump moves between two looks at the clocks: by
// the kernel, where what has moved is known even when the clock strikes, and
// the first one through a buffer.
const (
	kernelPiece = 4 << 20
	firstPiece  = 64 << 10
)

// carry moves what one read brings, so that a slow source is seen to be alive.
func carry(dst io.Writer, src io.Reader, buf []byte) (int64, error) {
	n, err := src.Read(buf)
	if n == 0 {
		return 0, err
	}
	wrote, werr := dst.Write(buf[:n])
	switch {
	case werr != nil:
		err = werr
	case wrote < n:
		err = io.ErrShortWrite
	}
	return int64(wrote), err
}

// buffers serve copies that the kernel cannot do.
var buffers = sync.Pool{New: func() any { b := make([]byte, bufferBytes); return &b }}

// bufferBytes is also what TLS gathers its records to (see records.go).
const bufferBytes = 256 << 10

// tell reports the end of a transfer to the log and to Options.Events.
func (s *session) tell(t *transfer, offset int64, active bool, err error) {
	took := time.Since(t.began)
	level, text, cause := slog.LevelInfo, "transfer complete", slog.Attr{} // an empty one is not shown
	if err != nil {
		level, text, cause = slog.LevelWarn, "transfer failed", slog.Any("err", err)
	}
	if s.set.Log.Enabled(s.srv.ctx, level) { // asked here too, to spare the work
		s.log(level, text, "command", t.verb, "path", ftp.Escape(t.path), "bytes", t.moved.Load(),
			"offset", offset, "took", took.Round(time.Microsecond), cause)
	}
	s.set.Events(TransferEvent{
		Session: s.id, Start: t.began, Duration: took, Peer: s.peer, User: s.user().Name,
		Verb: t.verb, Path: t.path, Bytes: t.moved.Load(), Offset: offset,
		ASCII: s.kind == typeASCII, TLS: s.private, Active: active, Err: err,
	})
}
