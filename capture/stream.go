package capture

import (
	"bytes"
	"slices"
	"time"
)

// half is one side of a connection as it is put together. Offsets count the
// bytes of the stream from 0 in 64 bits, so that it may be longer than its
// sequence numbers tell apart.
type half struct {
	known bool   // base is
	base  uint32 // the sequence number of offset 0

	next int64 // all before was given, or given up
	high int64 // the highest that was heard of, whoever said it
	fin  int64 // where the stream ends, -1 while that is not known

	// What the other side acknowledged passed here before, or is missing from
	// the capture: which of the two is only clear a little later, since
	// captures of several queues or interfaces are not quite in order. So
	// acked is what is acknowledged, and agreed what was long enough ago.
	acked, recent, agreed int64

	finAcked bool
	unwanted bool
	waiting  []*piece
	bytes    int // of waiting, as they count

	closedAt Instant // when the window was closed, 0 if it is open

	// Of the last packet, to know a copy of it.
	lastSeq, lastAck, lastID uint32
	lastLength               int
	lastFlags                Flags
	lastWindow               uint16
	lastTime                 Instant
}

// piece waits for bytes before it, or for what its sender had received before.
type piece struct {
	from, to int64
	kept     int64 // how many of them were recorded
	after    int64 // of the other side
	data     []byte
	packet   Packet
}

// pieceCost is what a piece takes beside its bytes.
const pieceCost = 192

const (
	// patience is how many packets of a connection may be out of order: after
	// twice as many what is acknowledged and not there is missing.
	patience = 16
	// pause is the same in time: what was acknowledged before a silence this
	// long does not come any more.
	pause = 100 * time.Millisecond
	// copyGap is the least time between a SYN and the next.
	copyGap = 50 * time.Millisecond
)

// offset is where seq is in the stream: the place nearest to the highest heard
// of, since no segment is 2 GiB away from its window.
func (h *half) offset(seq uint32) int64 {
	return h.high + int64(int32(seq-(h.base+uint32(h.high))))
}

// far is further than packets of one connection are apart, even if many
// between them are not in the capture. It is little of what there is: a number
// by chance is near in one case of 128.
const far = 16 << 20

// near says whether seq may be of this connection.
func (h *half) near(seq uint32) bool {
	n := h.offset(seq) - h.high
	return -far < n && n < far
}

// begin sets where offset 0 is.
func (h *half) begin(base uint32, side *Side) {
	h.known, h.base, side.ISN = true, base, base-1
}

// learn takes the first numbers out of the first segment.
func (c *conn) learn(d Direction, s *Segment) {
	if s.Flags&RST != 0 {
		return // whose number may be any
	}
	first := s.Seq
	if s.Flags&SYN != 0 {
		first++
	}
	c.half[d].begin(first, &c.sides[d])
	if s.Flags&ACK != 0 {
		c.half[d^1].begin(s.Ack, &c.sides[d^1])
	}
}

// take puts a segment where it belongs.
func (t *Tracker) take(c *conn, d Direction, s *Segment, p *Packet) {
	h, o := &c.half[d], &c.half[d^1]
	side := &c.sides[d]
	now := t.decoder.now
	side.Packets++
	c.Last = p.Mark()

	// A copy says nothing new. Where packets have no number, as in IPv6, what
	// comes again at once is one, but for acknowledgements, which a receiver
	// repeats when something is missing.
	if s.Seq == h.lastSeq && s.Length == h.lastLength && s.Ack == h.lastAck && s.Flags == h.lastFlags && s.Window == h.lastWindow && s.id == h.lastID &&
		side.Packets > 1 && (s.id != 0 || now.Sub(h.lastTime) < time.Millisecond && (s.Length > 0 || s.Flags&(SYN|FIN) != 0)) {
		side.Copies++
		return
	}
	h.lastSeq, h.lastLength, h.lastAck, h.lastFlags, h.lastWindow, h.lastID, h.lastTime = s.Seq, s.Length, s.Ack, s.Flags, s.Window, s.id, now

	// Believe what was acknowledged a while ago.
	if c.count++; c.count%patience == 0 {
		h.agreed, h.recent = h.recent, h.acked
		o.agreed, o.recent = o.recent, o.acked
	}
	if now.Sub(c.last) > pause {
		h.agreed, h.recent, o.agreed, o.recent = h.acked, h.acked, o.acked, o.acked
	}
	c.last = now

	seq := s.Seq
	switch {
	case s.Flags&RST != 0:
		// One far from all that was said is of an older connection, or forged:
		// its receiver passes over it (RFC 5961 3.2), and so do we.
		if !h.known || h.near(seq) {
			t.reset(c, d, p)
		}
		return
	case s.Flags&SYN != 0:
		if !t.handshake(c, d, s) {
			return
		}
		seq++
	case !h.known:
		// Who still believes in an older connection answers a SYN by where
		// that one stands, and the client resets it (RFC 9293 3.5.1).
		if d == FromServer && c.SYN.Seen() && s.Flags&ACK != 0 && o.known && !o.near(s.Ack) {
			return
		}
		h.begin(seq, side)
	}
	off := h.offset(seq)
	end := off + int64(s.Length)
	h.high = max(h.high, end)

	// What this side says to have received.
	var after int64
	if s.Flags&ACK != 0 {
		if !o.known {
			o.begin(s.Ack, &c.sides[d^1])
		}
		after = o.offset(s.Ack)
		o.high = max(o.high, after)
		if o.fin >= 0 && after > o.fin {
			after, o.finAcked = o.fin, true
		}
		if after > o.acked {
			o.acked, c.sides[d^1].Acknowledged = after, after
			if after > o.next {
				c.pending = true
			}
		}
		if !c.Ack.Seen() && d == FromClient && c.SYNACK.Seen() && s.Flags&SYN == 0 {
			c.Ack = c.Last
		}
	}
	t.window(c, d, s, now)

	if s.Flags&FIN != 0 {
		if !side.FIN.Seen() {
			side.FIN = c.Last
		}
		if h.fin < 0 && end >= h.next {
			h.fin = end
			if h.acked > end {
				h.acked, h.recent, h.agreed, h.finAcked = end, min(h.recent, end), min(h.agreed, end), true
				side.Acknowledged = end
			}
		}
	}
	if s.Length > 0 {
		switch {
		case end <= h.next && s.Length == 1 && end <= h.acked: // asks whether the other is still there
			side.KeepAlives++
		case end <= h.next:
			side.Retransmitted++
			side.RetransmittedBytes += int64(s.Length)
		case off == h.next && len(h.waiting) == 0 && (after <= o.next || after <= o.agreed):
			t.give(c, d, s.Payload, int64(len(s.Payload)), end, p)
		default:
			t.wait(c, d, off, end, after, s.Payload, p)
		}
	}
	if c.pending {
		t.settle(c, p, false)
	}
	if h.finAcked && o.finAcked && c.done() {
		t.close(c, Finished, p)
	} else if h.finAcked && o.finAcked && !c.ending {
		c.ending = true
		t.ending = append(t.ending, turn{c, c.id})
	}
}

// waiting says that something waits on either side.
func (c *conn) waiting() bool { return len(c.half[0].waiting)+len(c.half[1].waiting) > 0 }

// done says that all is given that both sides had to say.
func (c *conn) done() bool {
	h, o := &c.half[0], &c.half[1]
	return h.fin >= 0 && h.next >= h.fin && o.fin >= 0 && o.next >= o.fin
}

// handshake notes SYN and SYN, ACK. It answers false for one that is not of this
// connection, as far as can be told.
func (t *Tracker) handshake(c *conn, d Direction, s *Segment) bool {
	h, side := &c.half[d], &c.sides[d]
	if !h.known {
		h.begin(s.Seq+1, side)
	} else if h.base != s.Seq+1 {
		// A server that keeps nothing before it knows the client, and another
		// one behind the same address, answer the next SYN by another number.
		// It counts if the one before was lost: nobody has acknowledged that.
		if d != FromServer || s.Flags&ACK == 0 || c.Ack.Seen() || h.high != 0 {
			return false
		}
		h.begin(s.Seq+1, side)
	}
	if s.MaxSegment != 0 {
		side.MaxSegment = s.MaxSegment
	}
	side.WindowScale = s.WindowScale
	if s.Flags&ACK != 0 {
		if !c.SYNACK.Seen() {
			c.SYNACK = c.Last
		}
		return true
	}
	if c.SYNs++; !c.SYN.Seen() {
		c.SYN = c.Last
		return true
	}
	before := c.SYN
	if n := len(c.Again); n > 0 {
		before = c.Again[n-1]
	}
	if d == FromClient && len(c.Again) < 15 && c.Last.Time.Sub(before.Time) > copyGap {
		c.Again = append(c.Again, c.Last)
	}
	return true
}

// window follows how much a side is ready to receive.
func (t *Tracker) window(c *conn, d Direction, s *Segment, now Instant) {
	h, side := &c.half[d], &c.sides[d]
	side.Window = int(s.Window)
	if s.Flags&SYN == 0 && side.WindowScale > 0 && c.sides[d^1].WindowScale > 0 {
		side.Window <<= side.WindowScale - 1
	}
	if s.Window == 0 && s.Flags&(SYN|FIN) == 0 {
		if h.closedAt == 0 {
			h.closedAt = now
			if side.ZeroWindows++; side.ZeroWindows == 1 {
				side.Stall = c.Last
			}
		}
		return
	}
	if h.closedAt != 0 {
		side.Stalled += max(0, now.Sub(h.closedAt))
		h.closedAt = 0
	}
}

// reset ends a connection at once.
func (t *Tracker) reset(c *conn, d Direction, p *Packet) {
	c.sides[d].RST = c.Last
	t.close(c, Reset, p)
}

// give tells of the bytes that are next, up to end, of which so many were kept.
func (t *Tracker) give(c *conn, d Direction, b []byte, kept, end int64, p *Packet) {
	h, side := &c.half[d], &c.sides[d]
	if !side.FirstData.Seen() {
		side.FirstData = p.Mark()
	}
	side.LastData = p.Mark()
	from := h.next
	h.next, side.Bytes = end, end
	if !h.unwanted && len(b) > 0 && !c.stream.Data(d, from, b, p) {
		h.unwanted = true
		for _, w := range h.waiting { // its bytes are not needed any more, only its place
			t.unload(h, w)
		}
	}
	if from+kept < end {
		t.miss(c, d, from+kept, end, p)
	}
}

// unload drops the bytes of a piece.
func (t *Tracker) unload(h *half, w *piece) {
	h.bytes -= len(w.data)
	t.waiting -= len(w.data)
	w.data = nil
}

// miss tells of bytes that are not in the capture.
func (t *Tracker) miss(c *conn, d Direction, from, to int64, p *Packet) {
	h, side := &c.half[d], &c.sides[d]
	side.Missing += to - from
	h.next, side.Bytes = to, to
	if c.stream != nil {
		c.stream.Gap(d, from, to, p)
	}
}

// wait keeps a segment until its turn.
func (t *Tracker) wait(c *conn, d Direction, from, to, after int64, b []byte, p *Packet) {
	h, side := &c.half[d], &c.sides[d]
	c.pending = true
	kept := int64(len(b))
	if over := h.next - from; over > 0 { // what was given stays
		side.RetransmittedBytes += over
		kept = max(0, kept-over)
		b, from = b[min(int64(len(b)), over):], h.next
	}
	at := len(h.waiting)
	if at > 0 && h.waiting[at-1].from >= from {
		at, _ = slices.BinarySearchFunc(h.waiting, from, func(w *piece, from int64) int {
			if w.from < from {
				return -1
			}
			return 1
		})
	}
	if at < len(h.waiting) {
		side.Disordered++
		if w := h.waiting[at]; w.from == from && w.to >= to {
			side.Retransmitted++
			side.RetransmittedBytes += to - from
			return
		}
	} else if from > h.next && at == 0 {
		side.Disordered++
	}
	if h.unwanted {
		// Only where it is matters, so neighbours need one place.
		if at > 0 {
			if w := h.waiting[at-1]; w.to == from && w.data == nil && w.from+w.kept == w.to {
				w.to, w.kept, w.after = to, w.kept+kept, max(w.after, after)
				return
			}
		}
		b = nil
	}
	w := &piece{from: from, to: to, kept: kept, after: after, data: bytes.Clone(b), packet: *p}
	w.packet.Data = nil
	h.waiting = slices.Insert(h.waiting, at, w)
	h.bytes += len(b) + pieceCost
	t.waiting += len(b) + pieceCost
	if !c.waits {
		if len(t.waiters) > 2*t.conns.used+late {
			t.waiters = slices.DeleteFunc(t.waiters, func(c turn) bool {
				if c.gone() || c.closed {
					return true
				}
				c.waits = c.waiting()
				return !c.waits
			})
		}
		c.waits = true
		t.waiters = append(t.waiters, turn{c, c.id})
	}
	if h.bytes > t.options.Waiting {
		t.stats.Impatient++
		t.settle(c, p, true)
	}
	for t.waiting > 4*t.options.Waiting {
		t.relieve(p)
	}
}

// relieve gives what waits on the connection that began to wait first: of all
// it is the least likely that what it waits for still comes.
func (t *Tracker) relieve(p *Packet) {
	c := t.waiters[0]
	t.waiters = t.waiters[1:]
	if c.gone() || c.closed {
		return
	}
	if c.waits = false; c.waiting() {
		t.stats.Impatient++
		t.settle(c.conn, p, true)
	}
}

// settle gives what can be given. What is missing is given up when it was
// acknowledged a while ago; by force, whenever something waits behind it.
func (t *Tracker) settle(c *conn, p *Packet, force bool) {
	for progress := true; progress; {
		progress = false
		for d := range Direction(2) {
			h := &c.half[d]
			sure := h.agreed
			if force {
				sure = h.high
			}
			if len(h.waiting) > 0 {
				sure = min(sure, h.waiting[0].from)
			} else if sure == h.next+1 {
				continue // that may have been a FIN, which takes a number too
			}
			if sure > h.next && (!force || len(h.waiting) > 0) {
				t.miss(c, d, h.next, sure, p)
				progress = true
			}
		}
		for d := range Direction(2) {
			progress = t.drain(c, d, force) || progress
		}
	}
	c.pending = c.waiting() ||
		c.half[0].acked > c.half[0].next || c.half[1].acked > c.half[1].next
}

// drain gives what waits on one side and need not.
func (t *Tracker) drain(c *conn, d Direction, force bool) (progress bool) {
	h, o := &c.half[d], &c.half[d^1]
	n := 0
	for _, w := range h.waiting {
		if w.from > h.next || !force && w.after > o.next && w.after > o.agreed {
			break
		}
		n++
		h.bytes -= len(w.data) + pieceCost
		t.waiting -= len(w.data) + pieceCost
		b, kept, over := w.data, w.kept, h.next-w.from
		w.data = nil
		if w.to <= h.next {
			c.sides[d].Retransmitted++
			over = w.to - w.from
		}
		if over > 0 {
			c.sides[d].RetransmittedBytes += over
			b, kept = b[min(int64(len(b)), over):], max(0, kept-over)
		}
		if w.to > h.next {
			t.give(c, d, b, kept, w.to, &w.packet)
		}
	}
	if n == 0 {
		return false
	}
	if h.waiting = slices.Delete(h.waiting, 0, n); len(h.waiting) == 0 {
		h.waiting = nil
	}
	return true
}

// flush gives all that waits, at the end.
func (t *Tracker) flush(c *conn, p *Packet) {
	if c.pending {
		t.settle(c, p, true)
	}
	for d := range Direction(2) {
		h := &c.half[d]
		// What was acknowledged or is before the FIN existed, though nothing
		// follows it. One byte more than the data is a FIN that was not seen.
		sure := h.acked
		if h.fin >= 0 {
			sure = h.fin
		} else if sure == h.next+1 {
			sure = h.next
		}
		if sure > h.next {
			t.miss(c, d, h.next, sure, p)
		}
		if h.closedAt != 0 {
			c.sides[d].Stalled += max(0, c.last.Sub(h.closedAt))
			h.closedAt = 0
		}
	}
}
