package capture

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"

	"github.com/klauspost/compress/zstd"
)

const (
	// bufferSize is how much is read at once: little enough that what was read
	// is still in the processor's cache when it is looked at.
	bufferSize = 1 << 18
	// largest is the longest record that is believed. What writes captures
	// keeps at most 256 KiB of a packet; a record that claims more than this is
	// damage, and following it would read the file as one packet.
	largest = 16 << 20
	// maxInterfaces bounds what a file can make us remember.
	maxInterfaces = 1 << 16
)

// Reader reads a capture file of whichever format, from its beginning to its
// end, and is a [Source].
type Reader struct {
	// File is given to each packet, to tell files apart.
	File int

	name       string
	src        io.Reader
	closers    []func() error
	compressed bool

	// What is read and not yet used is buf[r:w]; buf[r] is byte off of the file.
	buf  []byte
	r, w int
	off  int64
	err  error // why src gives no more

	pcapng     bool
	order      binary.ByteOrder // of the section
	big        bool             // order, for the fast way
	nanos      int64            // nanoseconds in a unit of pcap time
	header     int              // bytes before each packet of pcap
	interfaces []Interface
	clocks     []clock // of each interface
	section    int     // index of the first interface of this section
	packet     Packet
	notes      []Note
	snapped    int64
}

// Open opens a capture, whose format is found by looking; "-" is standard input.
func Open(name string) (*Reader, error) {
	if name == "-" {
		return NewReader(os.Stdin, "standard input")
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	r, err := NewReader(f, name)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	r.closers = append(r.closers, f.Close)
	return r, nil
}

// errFormat is what [NewReader] answers when src is no capture.
var errFormat = errors.New("not a capture file")

// IsFormat tells whether err says that something is no capture file, or none
// of a kind that is understood.
func IsFormat(err error) bool { return errors.Is(err, errFormat) }

// NewReader reads a capture from src; name is for messages. It reads the
// header at once and answers with an error when there is none.
func NewReader(src io.Reader, name string) (*Reader, error) {
	r := &Reader{name: name, src: src, buf: make([]byte, bufferSize)}
	if err := r.open(); err != nil {
		_ = r.Close() // opened for nothing
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return r, nil
}

// The first bytes of a file. gzip and zstd may be around a capture once.
const (
	magicGzip   = "\x1f\x8b"
	magicZstd   = "\x28\xb5\x2f\xfd"
	magicPcapng = "\x0a\x0d\x0d\x0a"
)

func (r *Reader) open() error {
	head, err := r.peek(4)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && err != io.EOF {
		return err
	}
	if len(head) < 4 {
		if len(head) == 0 {
			return fmt.Errorf("%w: it is empty", errFormat)
		}
		return fmt.Errorf("%w: it has %d bytes, %x", errFormat, len(head), head)
	}
	switch magic := string(head); {
	case magic[:2] == magicGzip && !r.compressed:
		z, err := gzip.NewReader(r.rest())
		if err != nil {
			return fmt.Errorf("gzip: %w", err)
		}
		return r.within(z, z.Close)
	case magic == magicZstd && !r.compressed:
		z, err := zstd.NewReader(r.rest(), zstd.WithDecoderMaxMemory(128<<20), zstd.WithDecoderConcurrency(2))
		if err != nil {
			return fmt.Errorf("zstd: %w", err)
		}
		return r.within(z, func() error { z.Close(); return nil })
	case magic == magicPcapng:
		r.pcapng = true
		if err := r.openSection(); errors.As(err, new(errDamaged)) || errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("%w: pcapng, but %v", errFormat, err)
		} else if err != nil {
			return err
		}
		return nil
	}
	return r.openPcap(head)
}

// rest is what src had, from its first byte.
func (r *Reader) rest() io.Reader {
	return bufio.NewReaderSize(io.MultiReader(bytes.NewReader(slices.Clone(r.buf[r.r:r.w])), r.src), bufferSize)
}

// within goes on with what was compressed.
func (r *Reader) within(z io.Reader, closer func() error) error {
	r.closers = append(r.closers, closer)
	r.src, r.compressed, r.r, r.w, r.err = z, true, 0, 0, nil
	return r.open()
}

func (r *Reader) openPcap(head []byte) error {
	r.nanos, r.header = 1000, 16
	switch binary.LittleEndian.Uint32(head) {
	case 0xa1b2c3d4:
		r.order = binary.LittleEndian
	case 0xa1b23c4d:
		r.order, r.nanos = binary.LittleEndian, 1
	case 0xa1b2cd34: // by patches of Kuznetzov, with more in each header
		r.order, r.header = binary.LittleEndian, 24
	case 0xd4c3b2a1:
		r.order = binary.BigEndian
	case 0x4d3cb2a1:
		r.order, r.nanos = binary.BigEndian, 1
	case 0x34cdb2a1:
		r.order, r.header = binary.BigEndian, 24
	default:
		return fmt.Errorf("%w: it begins with %q%s, want pcap or pcapng", errFormat, head, stranger(head))
	}
	r.big = r.order == binary.BigEndian
	head, err := r.peek(24)
	if err != nil {
		return fmt.Errorf("%w: it ends within its header", errFormat)
	}
	if major := r.order.Uint16(head[4:]); major != 2 {
		return fmt.Errorf("%w: pcap version %d, want 2", errFormat, major)
	}
	r.packet.Link = Link(r.order.Uint32(head[20:])) // above it there may be the length of a checksum
	r.interfaces = []Interface{{Link: r.packet.Link, SnapLength: int(r.order.Uint32(head[16:]) & 0x7fffffff)}}
	r.take(24)
	return nil
}

// stranger names formats that people take for pcap.
func stranger(head []byte) string {
	switch string(head) {
	case "snoo":
		return " (snoop)"
	case "GMBU", "RTSS":
		return " (Network Monitor)"
	case "TRSN":
		return " (Sniffer)"
	case "BZh9", "\xfd7zX", "PK\x03\x04":
		return " (compressed, but not with gzip or zstd)"
	}
	return ""
}

// peek gives the next n bytes without using them, and fewer with an error:
// io.EOF if there is none, io.ErrUnexpectedEOF if there are fewer, and
// whatever src failed with.
func (r *Reader) peek(n int) ([]byte, error) {
	if r.w-r.r < n {
		r.fill(n)
		if have := r.w - r.r; have < n {
			switch {
			case r.err != io.EOF:
				return r.buf[r.r:r.w], r.err
			case have == 0:
				return nil, io.EOF
			}
			return r.buf[r.r:r.w], io.ErrUnexpectedEOF
		}
	}
	return r.buf[r.r : r.r+n], nil
}

// fill reads until n bytes are there or src has no more.
func (r *Reader) fill(n int) {
	if len(r.buf)-r.r < n || r.r == r.w {
		if n > len(r.buf) { // n is at most what largest allows
			r.buf = append(make([]byte, 0, n), r.buf[r.r:r.w]...)[:n]
		} else {
			copy(r.buf, r.buf[r.r:r.w])
		}
		r.r, r.w = 0, r.w-r.r
	}
	for empty := 0; r.w-r.r < n && r.err == nil; {
		var k int
		k, r.err = r.src.Read(r.buf[r.w:])
		r.w += k
		if empty++; k > 0 {
			empty = 0
		} else if empty == 100 && r.err == nil {
			r.err = io.ErrNoProgress
		}
	}
}

// take uses n bytes that peek gave.
func (r *Reader) take(n int) {
	r.r += n
	r.off += int64(n)
}

// skip uses n bytes, however many.
func (r *Reader) skip(n int64) error {
	for n > 0 {
		if r.r == r.w {
			if _, err := r.peek(1); err != nil {
				return err
			}
		}
		k := min(n, int64(r.w-r.r))
		r.take(int(k))
		n -= k
	}
	return nil
}

// Packets gives each packet of the file. See [Source].
func (r *Reader) Packets() iter.Seq2[*Packet, error] {
	return func(yield func(*Packet, error) bool) {
		p := &r.packet
		p.File = r.File
		for {
			p.Offset = r.off
			var err error
			if r.pcapng {
				err = r.nextBlock(p)
			} else {
				err = r.nextRecord(p)
			}
			if err != nil {
				if err = r.ended(err); err != nil {
					yield(nil, fmt.Errorf("read %s: %w", r.name, err))
				}
				return
			}
			p.Number++
			if p.Length > len(p.Data) {
				r.snapped++
			}
			if !yield(p, nil) {
				return
			}
		}
	}
}

// errDamaged says that a record makes no sense.
type errDamaged struct{ what string }

func (e errDamaged) Error() string { return e.what }

// ended makes notes of why there is no more, and returns what is no note.
func (r *Reader) ended(err error) error {
	n := r.packet.Number
	switch d, damaged := errors.AsType[errDamaged](err); {
	case err == io.EOF:
		if n == 0 {
			r.note(NoteEmpty, 0, "the file holds no packets")
		}
	case damaged:
		r.note(NoteDamaged, 0, fmt.Sprintf("after packet %d, at byte %d, %s; the rest is not read", n, r.off, d.what))
	case errors.Is(err, io.ErrUnexpectedEOF):
		r.note(NoteCut, int64(r.w-r.r), fmt.Sprintf("the file is cut: it ends within the record after packet %d, at byte %d", n, r.off))
	case r.compressed && !errors.As(err, new(*os.PathError)):
		r.note(NoteDamaged, 0, fmt.Sprintf("after packet %d, at byte %d, what is compressed cannot be read on: %v", n, r.off, err))
	default:
		return err
	}
	return nil
}

func (r *Reader) note(id string, count int64, text string) {
	r.notes = append(r.notes, Note{ID: id, Packet: r.packet.Number, Offset: r.off, Count: count, Text: text})
}

// nextRecord reads one packet of a pcap file.
func (r *Reader) nextRecord(p *Packet) error {
	if r.w-r.r < r.header {
		if _, err := r.peek(r.header); err != nil {
			return err
		}
	}
	head := r.buf[r.r : r.r+16]
	var sec, frac, kept, length uint32
	if r.big {
		sec, frac = binary.BigEndian.Uint32(head), binary.BigEndian.Uint32(head[4:])
		kept, length = binary.BigEndian.Uint32(head[8:]), binary.BigEndian.Uint32(head[12:])
	} else {
		sec, frac = binary.LittleEndian.Uint32(head), binary.LittleEndian.Uint32(head[4:])
		kept, length = binary.LittleEndian.Uint32(head[8:]), binary.LittleEndian.Uint32(head[12:])
	}
	if kept > largest || length > 1<<30 {
		return errDamaged{fmt.Sprintf("a record claims %d bytes, kept of %d", kept, length)}
	}
	size := r.header + int(kept)
	if r.w-r.r < size {
		if _, err := r.peek(size); err != nil {
			return err
		}
	}
	p.Time = instant(int64(sec), int64(frac)*r.nanos)
	p.Length = int(max(length, kept))
	p.Data = r.buf[r.r+r.header : r.r+size : r.r+size]
	r.take(size)
	return nil
}

// Interfaces are those that the file named so far. pcap has one, without a name.
func (r *Reader) Interfaces() []Interface { return slices.Clone(r.interfaces) }

// Notes tells what was odd so far.
func (r *Reader) Notes() []Note {
	notes := slices.Clone(r.notes)
	if r.snapped > 0 {
		notes = append(notes, Note{ID: NoteSnapped, Packet: r.packet.Number, Offset: r.off, Count: r.snapped, Text: fmt.Sprintf("of %d packets only the beginning was recorded", r.snapped)})
	}
	return notes
}

// Close closes what [Open] opened.
func (r *Reader) Close() error {
	var err error
	for _, c := range slices.Backward(r.closers) {
		err = errors.Join(err, c())
	}
	r.closers = nil
	return err
}
