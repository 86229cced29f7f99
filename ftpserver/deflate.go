package ftpserver

import (
	"bufio"
	"compress/flate"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/adler32"
	"io"
	"strconv"
	"strings"
	"sync"

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

// deflater makes one zlib stream. What does not get smaller, as most big files
// do not, goes into it as it is: compressing costs far more than
// sending on a fast line, and lftp asks for MODE Z wherever it is offered.
//
//	compress -- a probe stays as large as it was --> store
//	         <------ the stretch is at an end ------
//
// Close ends the stream, not what it goes to.
type deflater struct {
	out     *bufio.Writer // compress/flate writes a few hundred bytes at a time
	level   int
	z       *flater // of flaters, nil while bytes are stored
	sum     hash.Hash32
	made    int64 // bytes that the flaters have written
	left    int64 // bytes until the probe, or the stretch, is at an end
	before  int64 // made, when the probe began
	stretch int64 // how much is stored next time
}

const (
	probe        = 256 << 10
	firstStretch = 1 << 20
	mostStretch  = 64 << 20
	mostStored   = 1<<16 - 1 // bytes in one stored block (RFC 1951 3.2.4)
)

// flater is a compressor. It writes to whoever has it.
type flater struct {
	*flate.Writer
	d *deflater
}

// flaterOut is what the compressor of a flater writes to.
type flaterOut struct{ *flater }

func (f flaterOut) Write(p []byte) (int, error) {
	f.d.made += int64(len(p))
	return f.d.out.Write(p)
}

// flaters are kept for each level: one takes more than half a megabyte, and
// making it takes longer than compressing a small file.
var flaters [flate.BestCompression + 1]sync.Pool

// newDeflater compresses what goes to w.
func (s *session) newDeflater(w io.Writer) io.WriteCloser {
	d := &deflater{out: bufio.NewWriterSize(w, 32<<10), level: s.deflateLevel(), sum: adler32.New(), stretch: firstStretch}
	_, _ = d.out.Write([]byte{0x78, 0x9c}) // RFC 1950 2.2; a buffer keeps its first error
	d.compress()
	return d
}

// compress begins a probe, without a view of what was before.
func (d *deflater) compress() {
	d.left, d.before = probe, d.made
	z, ok := flaters[d.level].Get().(*flater)
	if ok {
		z.Reset(flaterOut{z})
	} else {
		z = new(flater)
		var err error
		if z.Writer, err = flate.NewWriter(flaterOut{z}, d.level); err != nil {
			panic(err) // the level was checked by optsModeZ
		}
	}
	z.d, d.z = d, z
}

func (d *deflater) Write(p []byte) (n int, err error) {
	for n < len(p) {
		part := p[n:min(int64(len(p)), int64(n)+d.left)]
		_, _ = d.sum.Write(part) // never fails
		if d.z != nil {
			_, err = d.z.Write(part)
		} else {
			err = d.store(part, 0)
		}
		if err != nil {
			return n, err
		}
		n += len(part)
		if d.left -= int64(len(part)); d.left > 0 {
			continue
		}
		if err := d.turn(); err != nil {
			return n, err
		}
	}
	return n, nil
}

// turn is at the end of a probe, or of a stretch.
func (d *deflater) turn() error {
	if d.z == nil {
		d.compress()
		return nil
	}
	if err := d.z.Flush(); err != nil { // what it has made is known then
		return err
	}
	if d.made-d.before <= probe/16*15 {
		d.left, d.before, d.stretch = probe, d.made, firstStretch
		return nil
	}
	d.release()
	d.left = d.stretch
	d.stretch = min(2*d.stretch, mostStretch)
	return nil
}

func (d *deflater) release() {
	d.z.d = nil
	flaters[d.level].Put(d.z)
	d.z = nil
}

// store writes p in stored blocks. They begin where a byte does: behind a Flush,
// and behind each other.
func (d *deflater) store(p []byte, final byte) error {
	for {
		part := p[:min(len(p), mostStored)]
		n := uint16(len(part))
		head := binary.LittleEndian.AppendUint16([]byte{0}, n)
		head = binary.LittleEndian.AppendUint16(head, ^n)
		p = p[len(part):]
		if len(p) == 0 {
			head[0] = final
		}
		_, _ = d.out.Write(head) // a buffer keeps its first error
		if _, err := d.out.Write(part); err != nil || len(p) == 0 {
			return err
		}
	}
}

// Close ends the stream.
func (d *deflater) Close() error {
	if d.z == nil {
		if err := d.store(nil, 1); err != nil {
			return err
		}
	} else {
		if err := d.z.Close(); err != nil {
			return err
		}
		d.release()
	}
	_, _ = d.out.Write(d.sum.Sum(nil)) // a buffer keeps its first error
	return d.out.Flush()
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
