package ftpserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"path"

	"towpath/ftp"
	"towpath/storage"
)

// stor is STOR: a file that appears whole, in place of the old one. After REST
// it goes on from there.
func (s *session) stor(_ context.Context, name string) (ftp.Reply, error) {
	how := storage.How{}
	if s.restart > 0 {
		if err := s.demand(name, Append); err != nil {
			return ftp.Reply{}, err
		}
		how.Offset = s.restart
	}
	return s.store("STOR", name, how)
}

// appe is APPE: bytes behind those that are there, be it a file or the part
// that a cut upload left.
func (s *session) appe(_ context.Context, name string) (ftp.Reply, error) {
	return s.store("APPE", name, storage.How{Append: true})
}

// stou is STOU: a name that was not there before, made from the argument if
// there is one. The 150 says "FILE: name" (RFC 1123 4.1.2.9).
func (s *session) stou(ctx context.Context, arg string) (ftp.Reply, error) {
	if arg == "" {
		arg = "stou"
	}
	base, err := s.newPath(arg)
	if err != nil {
		return ftp.Reply{}, err
	}
	const most = 10_000
	name := base
	for n := 1; n <= most; n++ {
		if err := s.demand(name, Write); err != nil {
			return ftp.Reply{}, err
		}
		_, err := s.user().Root.Stat(ctx, name)
		if errors.Is(err, fs.ErrNotExist) {
			r, err := s.store("STOU", name, storage.How{Exclusive: true})
			// Once the data has come, another name would need another connection.
			_, late := errors.AsType[*replyError](err)
			if late || !errors.Is(err, fs.ErrExist) && !errors.Is(err, storage.ErrBusy) {
				return r, err
			}
		} else if err != nil {
			return ftp.Reply{}, err
		}
		name = fmt.Sprintf("%s.%d", base, n)
	}
	return ftp.Reply{}, refuse(553, fmt.Sprintf("%s and %d names like it are taken.", path.Base(base), most), nil)
}

// store receives a file. Nothing is seen under its name before all of it is
// there, the data has ended cleanly and the client is still present; until
// then the old file stays, and what came of a cut upload is kept for resuming.
func (s *session) store(verb, name string, how storage.How) (r ftp.Reply, err error) {
	if err := s.ready(); err != nil {
		return ftp.Reply{}, err
	}
	if s.extra != nil && s.extra.rang != nil { // a part must not pass for the whole
		return ftp.Reply{}, refuse(503, "RANG holds for RETR and HASH; use REST before STOR.", nil)
	}
	u := s.user()
	how.Owner, how.Size = u.Name, s.allo
	t := s.begin(verb, name, -1)
	t.up = true // before there is a connection nobody looks at it
	active := s.way.passive == nil
	defer func() {
		s.finish(t)
		s.later(func() { s.tell(t, how.Offset, active, err) })
	}()
	if s.kind == typeASCII && how.Offset > 0 {
		if how.Offset, err = s.localOffset(t.ctx, name, how.Offset); err != nil {
			return ftp.Reply{}, err
		}
	}
	bill, err := s.newBill(t.ctx, name, how)
	if err != nil {
		return ftp.Reply{}, err
	}
	w, err := u.Root.Create(t.ctx, name, how)
	if err != nil {
		bill.tear()
		return ftp.Reply{}, err
	}
	how.Offset = w.Offset()
	defer bill.settle() // after the writer has ended
	if err := bill.begin(how.Offset); err != nil {
		return ftp.Reply{}, errors.Join(err, w.Abort(true))
	}
	opening := "Opening " + s.kindName() + " data connection for " + s.encode(path.Base(name)) + "."
	if verb == "STOU" {
		opening = "FILE: " + s.encode(path.Base(name))
	}
	r, err = s.move(t, opening, func(d *dataConn) (ftp.Reply, error) {
		if err := s.receive(t, d, w, bill); err != nil {
			return ftp.Reply{}, err
		}
		s.later(func() { _ = d.close() }) // all of it has come; how the client takes our end is his
		if err := s.present(t); err != nil {
			return ftp.Reply{}, err
		}
		if err := bill.close(t.ctx); err != nil {
			return ftp.Reply{}, err
		}
		if err := w.Commit(); err != nil {
			if errors.Is(err, fs.ErrExist) { // STOU alone forbids it: somebody was faster
				err = refuse(553, "The name was taken meanwhile.", err)
			}
			return ftp.Reply{}, err
		}
		bill.paid = true
		return ftp.NewReply(226, "Transfer complete."), nil
	})
	if err != nil {
		// What the quota has no room for is not kept either: the parts of many
		// such uploads would be room without limit. Nor is what came out of a
		// damaged stream: nobody could go on from it. What filled the disk would
		// be in everybody's way.
		keep := !errors.Is(err, ErrQuota) && !errors.Is(err, storage.ErrFull) && !errors.Is(err, errCorrupt) && !errors.Is(err, errInflated)
		if aerr := w.Abort(keep); aerr != nil && !errors.Is(aerr, fs.ErrClosed) {
			s.log(slog.LevelError, "unfinished upload could not be put aside", "path", ftp.Escape(name), "err", aerr)
		}
	}
	return r, err
}

// receive moves the data connection into w, out of the form that TYPE, STRU
// and MODE give it. Its nil error means that the data ended cleanly.
func (s *session) receive(t *transfer, d *dataConn, w storage.Writer, bill *bill) error {
	f := s.newFlow(t, s.up, bill.take)
	if s.block == modeStream && s.kind == typeImage {
		if d.tls == nil {
			// A small file is over before a splice has paid for its pipe.
			if err := f.pump(flatWriter{w}, d.tcp, firstPiece); err != nil || t.moved.Load() < firstPiece {
				return err
			}
			return f.pump(w, d.tcp, -1)
		}
		return uncut(f.pipe(w, d.tls))
	}
	var from io.Reader = d.conn
	if s.block == modeDeflate {
		release, err := s.deflating()
		if err != nil {
			return err
		}
		defer release()
		from = s.newInflater(d.conn)
	}
	if s.kind == typeImage {
		return uncut(f.pump(flatWriter{w}, from, -1))
	}
	var to io.WriteCloser
	if s.records {
		to = ftp.NewRecordWriter(w)
	} else {
		to = ftp.NewASCIIWriter(w)
	}
	if err := f.pump(flatWriter{to}, from, -1); err != nil {
		return uncut(err)
	}
	if err := to.Close(); !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	return errNoMark
}

// uncut names what a missing close_notify means. crypto/tls reports an end of
// the connection without one as an unexpected EOF.
func uncut(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return errUnclean
	}
	return err
}

// pipe moves bytes out of TLS with decryption and writing in two goroutines.
func (f *flow) pipe(dst io.Writer, src net.Conn) error {
	_, err := copyPiped(dst, src, func(n int64) error {
		if err := f.moved(n); err != nil {
			return err
		}
		for left := n; left > 0; { // the rate is paid afterwards: the bytes are here already
			paid, err := f.grant(left)
			if err != nil {
				return err
			}
			left -= paid
		}
		return nil
	})
	return err
}

// flatWriter hides every method but Write, so that the buffered path is taken.
type flatWriter struct{ io.Writer }

// localOffset finds the byte of a file that is the nth one in ASCII on the
// wire, for REST with TYPE A. What a cut upload left counts before the file.
func (s *session) localOffset(ctx context.Context, name string, wire int64) (int64, error) {
	root := s.user().Root
	if p, err := storage.Unfinished(ctx, root, name, s.user().Name); err == nil {
		return 0, refuse(554, fmt.Sprintf("The first %d bytes are here as they are stored; resume with TYPE I.", p.Size), nil)
	}
	f, err := root.Open(ctx, name, 0)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return asciiOffset(heeding{ctx, f}, wire)
}

// asciiOffset returns how many bytes of r make n bytes on the wire in ASCII.
func asciiOffset(r io.Reader, n int64) (int64, error) {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	var local, wire int64
	var last byte
	for wire < n {
		k, err := r.Read(*buf)
		for _, c := range (*buf)[:k] {
			if c == '\n' && last != '\r' {
				wire++
			}
			wire++
			local++
			last = c
			if wire >= n {
				break
			}
		}
		if wire >= n {
			break
		}
		if errors.Is(err, io.EOF) {
			return 0, storage.ErrOffset
		}
		if err != nil {
			return 0, err
		}
	}
	if wire != n {
		return 0, refuse(554, fmt.Sprintf("REST %d is inside an end of line.", n), nil)
	}
	return local, nil
}

// bill asks the quota for each byte of an upload as it comes. When it ends, the
// size of the old file is given back if that was replaced, and if the upload
// failed, all that is not kept for resuming.
//
//	newBill --> begin --> take … --> close, Commit, paid --> settle
//	        '-> tear: the writing did not start
type bill struct {
	s        *session
	name     string
	owner    string // of what is kept of a cut upload; "" if none is made use of
	quota    Quota  // nil: nothing to pay
	bytes    int64  // taken, with what an earlier cut upload took
	files    int64  // taken: 1 for a new file
	replaced int64  // bytes of the file that is replaced
	paid     bool
}

// newBill takes leave for a new file, and asks about how.Size bytes beforehand.
func (s *session) newBill(ctx context.Context, name string, how storage.How) (*bill, error) {
	b := &bill{s: s, name: name, owner: how.Owner, quota: s.user().Quota}
	if b.quota == nil {
		return b, nil
	}
	if _, err := s.user().Root.Stat(ctx, name); errors.Is(err, fs.ErrNotExist) {
		if err := b.quota.Take(0, 1); err != nil {
			return nil, err
		}
		b.files = 1
	}
	b.bytes = b.kept(ctx)
	if err := s.room(how.Size - b.bytes); err != nil {
		b.tear()
		return nil, err
	}
	return b, nil
}

// kept is how much of a cut upload lies there; it has been paid for.
func (b *bill) kept(ctx context.Context) int64 {
	p, err := storage.Unfinished(ctx, b.s.user().Root, b.name, b.owner)
	if err != nil {
		return 0
	}
	return p.Size
}

// tear ends the bill of an upload that did not start. What is kept under the
// name is none of its business: another session may be writing it.
func (b *bill) tear() {
	if b.quota != nil {
		_ = b.quota.Take(0, -b.files) // giving back never fails
	}
}

// begin pays for what is there when the writing starts: more than was kept if
// an old file is added to, less if what was kept is thrown away.
func (b *bill) begin(offset int64) error { return b.take(offset - b.bytes) }

func (b *bill) take(n int64) error {
	if b.quota == nil || n == 0 {
		return nil
	}
	if err := b.quota.Take(n, 0); err != nil {
		return err
	}
	b.bytes += n
	return nil
}

// close looks, right before Commit, what will be replaced. That may be another
// file than when the upload began, or none any more: what was deleted
// meanwhile has been given back already.
func (b *bill) close(ctx context.Context) error {
	if b.quota == nil {
		return nil
	}
	fi, err := b.s.user().Root.Stat(ctx, b.name)
	files := int64(1)
	switch {
	case err == nil:
		b.replaced, files = fi.Size(), 0
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := b.quota.Take(0, files-b.files); err != nil {
		return err
	}
	b.files = files
	return nil
}

// settle gives back what is not owed. Giving back never fails.
func (b *bill) settle() {
	if b.quota == nil {
		return
	}
	ctx := context.Background()
	if !b.paid {
		_ = b.quota.Take(b.kept(ctx)-b.bytes, -b.files)
		return
	}
	_ = b.quota.Take(-b.replaced, 0)
	// An ASCII file is smaller than what came over the wire for it.
	if fi, err := b.s.user().Root.Stat(ctx, b.name); err == nil && fi.Size() < b.bytes {
		_ = b.quota.Take(fi.Size()-b.bytes, 0)
	}
}
