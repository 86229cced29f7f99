package capture

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"strings"
)

// Blocks and options of pcapng, draft-ietf-opsawg-pcapng.
const (
	blockSection    = 0x0a0d0d0a
	blockInterface  = 1
	blockOldPacket  = 2
	blockSimple     = 3
	blockStatistics = 5
	blockPacket     = 6

	byteOrder = 0x1a2b3c4d

	optionEnd         = 0
	optionName        = 2  // of an interface
	optionDescription = 3  // of an interface
	optionResolution  = 9  // of an interface
	optionFilter      = 11 // of an interface
	optionOffset      = 14 // of an interface
	optionApplication = 4  // of a section
	optionDropped     = 5  // in statistics: by the interface
	optionOSDropped   = 7  // in statistics: by the system
)

// clock is how an interface counts time: units in a second, and seconds to add.
type clock struct {
	units  uint64
	offset int64
}

func (c clock) time(t uint64) Instant {
	switch c.units {
	case 1e9:
		return instant(int64(t/1e9)+c.offset, int64(t%1e9))
	case 1e6:
		return instant(int64(t/1e6)+c.offset, int64(t%1e6)*1000)
	}
	hi, lo := bits.Mul64(t%c.units, 1e9) // less than units·10⁹, so the division fits
	nanos, _ := bits.Div64(hi, lo, c.units)
	return instant(int64(t/c.units)+c.offset, int64(nanos))
}

// resolution reads if_tsresol: a power of ten, or of two with the top bit set.
func resolution(b byte) (uint64, bool) {
	n := b & 0x7f
	if b&0x80 != 0 {
		return 1 << n, n < 64
	}
	units := uint64(1)
	for range n {
		if units > 1e18 {
			return 0, false
		}
		units *= 10
	}
	return units, true
}

// openSection reads a section header, which says the order of bytes anew.
func (r *Reader) openSection() error {
	head, err := r.peek(12)
	if err != nil {
		return err
	}
	switch binary.LittleEndian.Uint32(head[8:]) {
	case byteOrder:
		r.order, r.big = binary.LittleEndian, false
	case 0x4d3c2b1a:
		r.order, r.big = binary.BigEndian, true
	default:
		return errDamaged{fmt.Sprintf("a section gives %x for the order of bytes, want 1a2b3c4d either way", head[8:12])}
	}
	size := r.order.Uint32(head[4:])
	if size < 28 || size%4 != 0 || size > largest {
		return errDamaged{fmt.Sprintf("a section header claims %d bytes", size)}
	}
	head, err = r.peek(16)
	if err != nil {
		return err
	}
	if major := r.order.Uint16(head[12:]); major != 1 {
		return errDamaged{fmt.Sprintf("a section is of version %d, want 1", major)}
	}
	r.section = len(r.interfaces) // interfaces count from 0 in each section
	return cut(r.skip(int64(size)))
}

// nextBlock reads blocks until one is a packet.
func (r *Reader) nextBlock(p *Packet) error {
	for {
		p.Offset = r.off
		head, err := r.peek(12) // the smallest block has no body
		if err != nil {
			return err
		}
		kind, size := r.order.Uint32(head), r.order.Uint32(head[4:])
		if kind == blockSection {
			if err := r.openSection(); err != nil {
				return err
			}
			continue
		}
		if size < 12 || size%4 != 0 {
			return errDamaged{fmt.Sprintf("a block claims %d bytes", size)}
		}
		switch kind {
		case blockInterface, blockOldPacket, blockSimple, blockStatistics, blockPacket:
		default: // names, secrets and what else there may be
			if err := r.skip(int64(size)); err != nil {
				return cut(err)
			}
			continue
		}
		if size > largest {
			return errDamaged{fmt.Sprintf("a block claims %d bytes", size)}
		}
		block, err := r.peek(int(size))
		if err != nil {
			return err
		}
		body := block[8 : size-4]
		got := false
		switch kind {
		case blockInterface:
			err = r.addInterface(body)
		case blockStatistics:
			r.statistics(body)
		default:
			got, err = true, r.readPacket(kind, body, p)
		}
		if err != nil {
			return err
		}
		r.take(int(size))
		if got {
			return nil
		}
	}
}

// cut is err for the middle of a block, where an end is no good end.
func cut(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// options calls f with each option, as far as they make sense.
func (r *Reader) options(b []byte, f func(code uint16, value []byte)) {
	for len(b) >= 4 {
		code, n := r.order.Uint16(b), int(r.order.Uint16(b[2:]))
		if code == optionEnd || len(b) < 4+n {
			return
		}
		f(code, b[4:4+n])
		b = b[min(len(b), 4+(n+3)&^3):]
	}
}

func (r *Reader) addInterface(body []byte) error {
	if len(body) < 8 {
		return errDamaged{fmt.Sprintf("an interface is described in %d bytes, want 8 or more", len(body))}
	}
	if len(r.interfaces) >= maxInterfaces {
		return errDamaged{fmt.Sprintf("there are more than %d interfaces", maxInterfaces)}
	}
	i, c := Interface{Link: Link(r.order.Uint16(body)), SnapLength: int(r.order.Uint32(body[4:]) & 0x7fffffff)}, clock{units: 1e6}
	var err error
	r.options(body[8:], func(code uint16, v []byte) {
		switch {
		case code == optionName:
			i.Name = text(v)
		case code == optionDescription:
			i.Description = text(v)
		case code == optionFilter && len(v) > 1 && v[0] == 0: // 1 would be a program
			i.Filter = text(v[1:])
		case code == optionResolution && len(v) == 1:
			units, ok := resolution(v[0])
			if !ok {
				err = errDamaged{fmt.Sprintf("an interface counts time in units of %#x", v[0])}
				return
			}
			c.units = units
		case code == optionOffset && len(v) == 8:
			c.offset = int64(r.order.Uint64(v))
		}
	})
	if err != nil {
		return err
	}
	r.interfaces, r.clocks = append(r.interfaces, i), append(r.clocks, c)
	return nil
}

// text is a string option without what has no place in one line.
func text(v []byte) string {
	v, _, _ = bytes.Cut(v, []byte{0})
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return -1
		}
		return c
	}, strings.ToValidUTF8(string(v), "?"))
}

func (r *Reader) statistics(body []byte) {
	if len(body) < 12 {
		return
	}
	i := r.section + int(r.order.Uint32(body))
	var dropped uint64
	r.options(body[12:], func(code uint16, v []byte) {
		if (code == optionDropped || code == optionOSDropped) && len(v) == 8 {
			dropped += r.order.Uint64(v)
		}
	})
	if dropped == 0 || len(r.notes) > 1000 {
		return
	}
	name := fmt.Sprintf("interface %d", i)
	if i < len(r.interfaces) && r.interfaces[i].Name != "" {
		name = r.interfaces[i].Name
	}
	r.note(NoteDropped, int64(dropped&(1<<62-1)), fmt.Sprintf("%s: %d packets were lost while recording", name, dropped))
}

// readPacket reads the three kinds of packet that there are.
func (r *Reader) readPacket(kind uint32, b []byte, p *Packet) error {
	u32 := func(at int) uint32 {
		if r.big {
			return binary.BigEndian.Uint32(b[at:])
		}
		return binary.LittleEndian.Uint32(b[at:])
	}
	head := 20
	if kind == blockSimple {
		head = 4
	}
	if len(b) < head {
		return errDamaged{fmt.Sprintf("a packet has a header of %d bytes, want %d", len(b), head)}
	}
	var id, kept, length uint32
	var ticks uint64
	switch kind {
	case blockPacket:
		id, ticks, kept, length = u32(0), uint64(u32(4))<<32|uint64(u32(8)), u32(12), u32(16)
	case blockOldPacket: // 16 bits of interface, then a count of drops
		id, ticks, kept, length = uint32(r.order.Uint16(b)), uint64(u32(4))<<32|uint64(u32(8)), u32(12), u32(16)
	case blockSimple: // no time; of the first interface
		length = u32(0)
		kept = min(length, uint32(len(b)-head))
	}
	i := r.section + int(id)
	if i >= len(r.interfaces) || i < r.section {
		return errDamaged{fmt.Sprintf("a packet is of interface %d, and %d are described", id, len(r.interfaces)-r.section)}
	}
	if kept > uint32(len(b)-head) {
		return errDamaged{fmt.Sprintf("a packet claims %d bytes in a block of %d", kept, len(b))}
	}
	if length > 1<<30 {
		return errDamaged{fmt.Sprintf("a packet claims to have been of %d bytes", length)}
	}
	if snap := r.interfaces[i].SnapLength; kind == blockSimple && snap > 0 {
		kept = min(kept, uint32(snap))
	}
	if kind == blockSimple {
		p.Time = 0
	} else {
		p.Time = r.clocks[i].time(ticks)
	}
	p.Interface, p.Link, p.Length = i, r.interfaces[i].Link, int(max(length, kept))
	p.Data = b[head : head+int(kept) : head+int(kept)]
	return nil
}
