package ftpserver

import (
	"bufio"
	"compress/flate"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"towpath/ftp"
)

// MODE Z (draft-preston-ftpext-deflate): the bytes of MODE S as one zlib
// stream (RFC 1950).

// maxDeflated is how many transfers may be in MODE Z at a time.
const maxDeflated = 128

// deflating takes a place for a transfer in MODE Z. It does not wait for one:
// a client may hold its place as long as bytes trickle, and another had better
// go on in MODE S.
func (s *session) deflating() (release func(), err error) {
	select {
	case s.srv.deflated <- struct{}{}:
		return func() { <-s.srv.deflated }, nil
	default:
		return nil, refuse(450, "Too many transfers in MODE Z; use MODE S.", nil)
	}
}

func (s *session) deflateLevel() int {
	if s.extra != nil && s.extra.deflate != 0 {
		return s.extra.deflate
	}
	return 6
}

// deflater compresses into a buffer, since compress/flate writes a few hundred
// bytes at a time. Close ends the stream, not what it goes to.
type deflater struct {
	*zlib.Writer
	out *bufio.Writer
}

func (d deflater) Close() error {
	if err := d.Writer.Close(); err != nil {
		return err
	}
	return d.out.Flush()
}

// newDeflater compresses what goes to w.
func (s *session) newDeflater(w io.Writer) io.WriteCloser {
	out := bufio.NewWriterSize(w, 32<<10)
	z, err := zlib.NewWriterLevel(out, s.deflateLevel())
	if err != nil {
		panic(err) // the level was checked by optsModeZ
	}
	return deflater{z, out}
}

// optsModeZ is OPTS MODE Z LEVEL n.
func (s *session) optsModeZ(arg string) (ftp.Reply, error) {
	f := strings.Fields(strings.ToUpper(arg))
	if len(f) < 1 || f[0] != "Z" || len(f)%2 == 0 {
		return ftp.Reply{}, refuse(501, "OPTS MODE wants Z LEVEL 1 to 9.", nil)
	}
	for i := 1; i < len(f); i += 2 {
		n, err := strconv.Atoi(f[i+1])
		switch {
		case f[i] == "LEVEL" && err == nil && n >= 1 && n <= 9:
			s.more().deflate = n
		case f[i] == "ENGINE" && f[i+1] == "ZLIB":
		default:
			return ftp.Reply{}, refuse(501, fmt.Sprintf("OPTS MODE Z does not know %s %s; it wants LEVEL 1 to 9.", ftp.Escape(f[i]), ftp.Escape(f[i+1])), nil)
		}
	}
	return ftp.NewReply(200, fmt.Sprintf("MODE Z LEVEL is %d.", s.deflateLevel())), nil
}

// inflater expands a MODE Z upload, up to a ratio: a bomb must not fill the
// disk, nor a damaged stream pass for a whole one.
type inflater struct {
	src  *countingReader
	z    io.ReadCloser // nil before the first bytes have come
	out  int64
	most int64
}

// newInflater expands what comes from r.
func (s *session) newInflater(r io.Reader) io.Reader {
	return &inflater{src: &countingReader{r: r}, most: int64(s.set.MaxInflate)}
}

// slack is how much may come out of nearly nothing before the ratio counts.
const slack = 1 << 20

func (i *inflater) Read(p []byte) (int, error) {
	if i.z == nil {
		z, err := zlib.NewReader(i.src)
		if err == io.ErrUnexpectedEOF && i.src.n == 0 {
			return 0, io.EOF // no bytes at all, and no cut: an empty file
		}
		if err != nil {
			return 0, damaged(err)
		}
		i.z = z
	}
	n, err := i.z.Read(p)
	i.out += int64(n)
	if i.most > 0 && i.out > slack+i.src.n*i.most {
		return n, errInflated
	}
	if errors.Is(err, io.EOF) {
		// What follows the stream is nobody's; a clean end of TLS must still come.
		if _, derr := io.Copy(io.Discard, io.LimitReader(i.src, slack)); derr != nil {
			return n, derr
		}
		return n, io.EOF
	}
	return n, damaged(err)
}

// damaged tells a broken stream, and one that is cut, from a broken connection:
// an end of the connection that is unclean is another error than zlib's own.
func damaged(err error) error {
	_, corrupt := errors.AsType[flate.CorruptInputError](err)
	switch {
	case corrupt, errors.Is(err, zlib.ErrChecksum), errors.Is(err, zlib.ErrHeader), errors.Is(err, zlib.ErrDictionary):
		return fmt.Errorf("%w: %w", errCorrupt, err)
	case err == io.ErrUnexpectedEOF:
		return errNoMark
	default:
		return err
	}
}

// countingReader counts the bytes that are read of r.
type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
