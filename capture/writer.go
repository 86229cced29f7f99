package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Writer keeps packets in a pcapng file, with times to the nanosecond. What it
// writes, [NewReader] reads back the same.
type Writer struct {
	w      io.Writer
	buf    []byte
	places map[place]uint32
	names  map[place]Interface
	err    error
}

// place is where packets come from: one description is written for each.
type place struct {
	file, index int
	link        Link
}

// NewWriter begins a file.
func NewWriter(w io.Writer) *Writer {
	out := &Writer{w: w, places: map[place]uint32{}, names: map[place]Interface{}}
	const application = "towpath"
	b := out.block(blockSection)
	b = binary.LittleEndian.AppendUint32(b, byteOrder)
	b = binary.LittleEndian.AppendUint16(b, 1)
	b = binary.LittleEndian.AppendUint16(b, 0)
	b = binary.LittleEndian.AppendUint64(b, 1<<64-1) // length not told
	b = appendOption(b, optionApplication, application)
	out.end(append(b, 0, 0, 0, 0))
	return out
}

// Describe says what interface i of a file is, as [Reader.Interfaces] does.
// Without it the file tells its link only. It must come before the first
// packet from there.
func (w *Writer) Describe(file, i int, of Interface) {
	w.names[place{file, i, of.Link}] = of
}

// Write keeps a packet.
func (w *Writer) Write(p *Packet) error {
	if w.err != nil {
		return w.err
	}
	if len(p.Data) > largest-64 || p.Length < len(p.Data) || p.Length > 1<<30 {
		return fmt.Errorf("write packet %d: it has %d bytes of %d, want at most %d", p.Number, len(p.Data), p.Length, largest-64)
	}
	if p.Time < 0 {
		return fmt.Errorf("write packet %d: its time is %v, want one from 1970 to 2262", p.Number, p.Time)
	}
	at := place{p.File, p.Interface, p.Link}
	id, ok := w.places[at]
	if !ok {
		id = uint32(len(w.places))
		if id >= maxInterfaces {
			return errors.New("write packets: too many interfaces")
		}
		w.places[at] = id
		w.describe(at)
	}
	b := w.block(blockPacket)
	b = binary.LittleEndian.AppendUint32(b, id)
	b = binary.LittleEndian.AppendUint32(b, uint32(uint64(p.Time)>>32))
	b = binary.LittleEndian.AppendUint32(b, uint32(p.Time))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(p.Data)))
	b = binary.LittleEndian.AppendUint32(b, uint32(p.Length))
	w.end(pad(append(b, p.Data...)))
	return w.err
}

func (w *Writer) describe(at place) {
	i := w.names[at]
	b := w.block(blockInterface)
	b = binary.LittleEndian.AppendUint16(b, uint16(at.link))
	b = binary.LittleEndian.AppendUint16(b, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(i.SnapLength))
	b = appendOption(b, optionName, text([]byte(i.Name)))
	b = appendOption(b, optionDescription, text([]byte(i.Description)))
	b = appendOption(b, optionResolution, "\x09")
	if i.Filter != "" {
		b = appendOption(b, optionFilter, "\x00"+text([]byte(i.Filter)))
	}
	w.end(append(b, 0, 0, 0, 0))
}

func appendOption(b []byte, code uint16, value string) []byte {
	if value == "" || len(value) > 1<<15 {
		return b
	}
	b = binary.LittleEndian.AppendUint16(b, code)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
	return pad(append(b, value...))
}

func pad(b []byte) []byte {
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// block begins one; its length is not known yet.
func (w *Writer) block(kind uint32) []byte {
	b := binary.LittleEndian.AppendUint32(w.buf[:0], kind)
	return append(b, 0, 0, 0, 0)
}

// end writes a block.
func (w *Writer) end(b []byte) {
	n := uint32(len(b) + 4)
	b = binary.LittleEndian.AppendUint32(b, n)
	binary.LittleEndian.PutUint32(b[4:], n)
	w.buf = b
	if w.err == nil {
		_, w.err = w.w.Write(b)
	}
}

// Err is what writing failed with, if it did.
func (w *Writer) Err() error { return w.err }
