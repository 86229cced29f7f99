package ftpclient

import (
	"context"
	"io"
)

// order is how a transfer was asked for.
type order struct {
	offset   int64
	limit    int64 // < 0: none
	expect   int64 // bytes of the whole file, 0: not known
	resume   bool
	text     bool
	verify   bool
	progress func(int64)
	limiter  Limiter
}

// GetOption changes what [Client.Get] does.
type GetOption interface{ forGet(*order) }

// PutOption changes what [Client.Put] does.
type PutOption interface{ forPut(*order) }

// TransferOption is both.
type TransferOption func(*order)

func (f TransferOption) forGet(o *order) { f(o) }
func (f TransferOption) forPut(o *order) { f(o) }

// From starts at that byte of the file on the server (REST). The first byte that
// is written or read here is that one.
func From(offset int64) TransferOption { return func(o *order) { o.offset = max(offset, 0) } }

// First stops a download after n bytes, which is no error, and ends an upload as
// if what is read had no more.
func First(n int64) TransferOption { return func(o *order) { o.limit = max(n, 0) } }

// Expect tells a download how many bytes the file has, as SIZE or a listing said. If
// the server calls it done behind fewer, it is asked for the size again: files do
// change; but if it still says more, the data was cut, and the error is
// io.ErrUnexpectedEOF. An upload pays no heed to it.
func Expect(size int64) TransferOption { return func(o *order) { o.expect = size } }

// Resume goes on where an earlier transfer stopped. A download goes on at the
// end of what is written to, which must be an io.Seeker; an upload at the size
// of the file on the server, and what is read must be an io.Seeker.
func Resume() TransferOption { return func(o *order) { o.resume = true } }

// Text moves the file as TYPE A: lines end with LF here and CRLF on the wire.
// Such a transfer cannot be resumed, taken up again or verified.
func Text() TransferOption { return func(o *order) { o.text = true } }

// Progress is told how many bytes of this call have moved in all, after each
// piece of up to 4 MiB. It may go down when a retry begins further back.
func Progress(f func(moved int64)) TransferOption { return func(o *order) { o.progress = f } }

// Verify compares digests when all is done, by HASH, XSHA512, XSHA256, XSHA1,
// XMD5 or XCRC. Files that differ give a *HashError, servers that have none of
// these ErrUnsupported before anything moves. It costs the copy in the kernel,
// and for a transfer that does not begin at 0, reading again what is here.
func Verify() TransferOption { return func(o *order) { o.verify = true } }

// Limited moves bytes no faster than l allows. Transfers that share one share its
// rate. The kernel moves them all the same, in pieces of its burst.
func Limited(l Limiter) TransferOption { return func(o *order) { o.limiter = l } }

// Limiter gives leave for bytes to move; *rate.Limiter of golang.org/x/time is
// one.
type Limiter interface {
	// WaitN waits until n bytes may move; n is Burst at most.
	WaitN(ctx context.Context, n int) error
	Burst() int
}

func (o *order) kind() byte {
	if o.text {
		return 'A'
	}
	return 'I'
}

func (o *order) moved(n int64) {
	if o.progress != nil {
		o.progress(n)
	}
}

// digesting is a writer that passes on what it has written to a hash.
type digesting struct {
	w io.Writer
	h io.Writer
}

func (d digesting) Write(p []byte) (int, error) {
	n, err := d.w.Write(p)
	_, _ = d.h.Write(p[:n]) // a hash never fails
	return n, err
}
