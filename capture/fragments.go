package capture

import "time"

// Limits of what is kept of datagrams that are not whole. TCP avoids
// fragments; who sees more than these at once is shown a flood of them.
const (
	maxDatagrams     = 256
	maxFragmentBytes = 8 << 20
	fragmentLife     = 30 * time.Second // RFC 791 would wait 15, Linux does 30
	// maxHoles is how many pieces of a datagram may lie apart. Networks cut
	// into a few dozen, in order or in reverse; who sends thousands with holes
	// between them wants us to sort.
	maxHoles = 256
	// A copy of a fragment is captured soon after it. Until this many packets
	// later, fragments of a datagram that is whole are taken for copies, and
	// not for a new datagram by the same number: there are only 65536.
	copiesWithin = 64
)

// whole names a datagram whose fragments belong together.
type whole struct {
	fromHi, fromLo, toHi, toLo uint64
	id                         uint32
	proto                      uint8
}

// datagram is one that is being put together.
type datagram struct {
	key    whole
	born   Instant
	done   int64 // the packet that made it whole, or 0
	size   int   // of the whole, or -1 while the last fragment is missing
	data   []byte
	ranges []span // what data holds, in order, never touching
}

type span struct{ from, to int }

// fragments puts datagrams together again (RFC 815 by other means).
type fragments struct {
	open    map[whole]*datagram
	queue   []*datagram // in order of birth
	bytes   int
	dropped int64 // datagrams that never became whole
}

// fragment takes one piece, and goes on when that makes the datagram whole.
func (d *decoder) fragment(b []byte, missing int, proto uint8, id uint32, at int, more bool) kind {
	if d.depth++; d.depth > deepest {
		return malformed
	}
	f := d.fragments
	if f == nil {
		return waiting
	}
	if missing > 0 || at+len(b) > 65535 || more && len(b)%8 != 0 || len(b) == 0 {
		return malformed
	}
	key := whole{d.seg.from.hi, d.seg.from.lo, d.seg.to.hi, d.seg.to.lo, id, proto}
	g := f.open[key]
	if g != nil && (g.done != 0 && d.packet-g.done > copiesWithin || d.now.Sub(g.born) > fragmentLife) {
		f.forget(g)
		g = nil
	}
	if g == nil {
		g = &datagram{key: key, born: d.now, size: -1}
		f.add(g)
	}
	if g.done != 0 || !f.put(g, b, at, more) {
		if len(g.ranges) > maxHoles {
			f.forget(g)
		}
		return waiting
	}
	g.done = d.packet
	data := g.data
	f.bytes -= cap(g.data)
	g.data, g.ranges = nil, nil
	return d.transport(proto, data, 0)
}

func (f *fragments) add(g *datagram) {
	if f.open == nil {
		f.open = map[whole]*datagram{}
	}
	for len(f.queue) > 0 && (len(f.queue) >= maxDatagrams || f.bytes > maxFragmentBytes) {
		old := f.queue[0]
		f.queue = f.queue[1:]
		if f.open[old.key] == old {
			f.forget(old)
		}
	}
	f.open[g.key] = g
	f.queue = append(f.queue, g)
}

// forget drops what is known of g; it leaves the queue when its turn comes.
func (f *fragments) forget(g *datagram) {
	if g.done == 0 {
		f.dropped++
	}
	f.bytes -= cap(g.data)
	g.data, g.ranges = nil, nil
	delete(f.open, g.key)
}

// unfinished counts datagrams that are not whole, now or when they were dropped.
func (f *fragments) unfinished() int64 {
	n := f.dropped
	for _, g := range f.open {
		if g.done == 0 {
			n++
		}
	}
	return n
}

// put stores a piece, and says whether the datagram is whole. Bytes that are
// there already stay as they are.
func (f *fragments) put(g *datagram, b []byte, at int, more bool) bool {
	end := at + len(b)
	if !more && g.size < 0 {
		g.size = end
	}
	if g.size >= 0 && end > g.size {
		return false
	}
	if end > len(g.data) {
		f.bytes -= cap(g.data)
		g.data = append(g.data, make([]byte, end-len(g.data))...)
		f.bytes += cap(g.data)
	}
	// Copy what is new, and join the ranges around.
	joined, from := span{at, end}, at
	kept := g.ranges[:0:0]
	for i, r := range g.ranges {
		switch {
		case r.to < joined.from:
			kept = append(kept, r)
			continue
		case r.from > joined.to:
			kept = append(kept, joined)
			joined = span{-1, -1}
			kept = append(kept, g.ranges[i:]...)
		default:
			if r.from > from {
				copy(g.data[from:], b[from-at:min(end, r.from)-at])
			}
			from = max(from, min(end, r.to))
			joined = span{min(joined.from, r.from), max(joined.to, r.to)}
			continue
		}
		break
	}
	if from < end {
		copy(g.data[from:end], b[from-at:])
	}
	if joined.from >= 0 {
		kept = append(kept, joined)
	}
	g.ranges = kept
	return g.size >= 0 && len(kept) == 1 && kept[0] == span{0, g.size}
}
