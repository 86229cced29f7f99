package ftpserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"

	"towpath/ftp"
)

// retr is RETR, from where REST said or for the part that RANG said.
func (s *session) retr(_ context.Context, name string) (r ftp.Reply, err error) {
	if err := s.ready(); err != nil {
		return ftp.Reply{}, err
	}
	t := s.begin("RETR", name, -1)
	active := s.way.passive == nil
	part := span{s.restart, -1}
	if s.extra != nil && s.extra.rang != nil {
		if s.kind == typeASCII {
			s.finish(t)
			return ftp.Reply{}, refuse(504, "RANG counts bytes as they are stored; use TYPE I.", nil)
		}
		part = *s.extra.rang
	}
	defer func() {
		s.finish(t)
		s.later(func() { s.tell(t, part.from, active, err) })
	}()
	start := part.from
	if s.kind == typeASCII {
		start = 0 // REST counts bytes on the wire: they are passed over
	}
	f, err := s.user().Root.Open(t.ctx, name, start)
	if err != nil {
		return ftp.Reply{}, err
	}
	s.later(func() { _ = f.Close() }) // it was only read
	opening := "Opening " + s.kindName() + " data connection for " + s.encode(path.Base(name))
	src := &source{Reader: f, whole: -1}
	if st, ok := f.(interface{ Stat() (fs.FileInfo, error) }); ok {
		if fi, serr := st.Stat(); serr == nil {
			src.whole = fi.Size() - start
		}
	}
	if part.to >= 0 {
		if src.whole < 0 {
			fi, err := s.user().Root.Stat(t.ctx, name)
			if err != nil {
				return ftp.Reply{}, err
			}
			src.whole = fi.Size() - start
		}
		src.whole = min(src.whole, part.to-start)
	}
	if s.kind == typeASCII {
		if err := s.passOver(t.ctx, src, part.from); err != nil {
			return ftp.Reply{}, err
		}
	} else if src.whole >= 0 {
		t.size.Store(src.whole)
		opening += " (" + strconv.FormatInt(src.whole, 10) + " bytes)"
	}
	return s.move(t, opening+".", func(d *dataConn) (ftp.Reply, error) {
		if err := s.download(t, d, src); err != nil {
			return ftp.Reply{}, err
		}
		return ftp.NewReply(226, "Transfer complete."), nil
	})
}

// source is what a download reads.
type source struct {
	io.Reader
	// whole is how many bytes of the file it takes, -1 unknown.
	whole int64
	// taken counts them where they are not sent as they are stored, else nil.
	taken *countingReader
}

// passOver makes src give text as it goes over the wire, without its first n
// bytes.
func (s *session) passOver(ctx context.Context, src *source, n int64) error {
	src.taken = &countingReader{r: heeding{ctx, src.Reader}}
	if s.records {
		src.Reader = ftp.NewRecordReader(src.taken)
	} else {
		src.Reader = ftp.NewASCIIReader(src.taken)
	}
	got, err := io.CopyN(io.Discard, src.Reader, n)
	if errors.Is(err, io.EOF) {
		return refuse(554, fmt.Sprintf("REST %d is beyond the end of the file: %d bytes in ASCII.", n, got), nil)
	}
	return err
}

// heeding is a reader of a file that may be long, and ends with ctx: ABOR and the
// end of the server need not wait for the end of the file.
type heeding struct {
	ctx context.Context
	io.Reader
}

func (h heeding) Read(p []byte) (int, error) {
	if err := h.ctx.Err(); err != nil {
		return 0, err
	}
	return h.Reader.Read(p)
}

func (s *session) kindName() string {
	if s.kind == typeASCII {
		return "ASCII"
	}
	return "BINARY"
}

// download sends src. It fails if src ends before it is whole.
func (s *session) download(t *transfer, d *dataConn, src *source) error {
	if err := s.sendOut(t, d, src.Reader); err != nil {
		return err
	}
	taken := t.moved.Load()
	if src.taken != nil {
		taken = src.taken.n
	}
	if taken < src.whole {
		return errChanged // never 226 after less than was there
	}
	return d.close()
}

// sendOut moves from into the data connection, deflated if MODE Z is on.
func (s *session) sendOut(t *transfer, d *dataConn, from io.Reader) error {
	f := s.newFlow(t, s.down, nil)
	if s.block != modeDeflate {
		return f.pump(d.conn, from, t.size.Load())
	}
	release, err := s.deflating()
	if err != nil {
		return err
	}
	defer release()
	z := s.newDeflater(d.conn)
	if err := f.pump(z, from, t.size.Load()); err != nil {
		return err
	}
	return z.Close()
}
