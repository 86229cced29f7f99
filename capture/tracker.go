package capture

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"
)

// Handler is told of connections. All calls come from where the [Tracker] is
// fed, one after the other.
type Handler interface {
	// Open is called with the first packet of a connection, of which c knows
	// the ends and first numbers. A nil Stream means that it is followed
	// without telling anybody.
	Open(c *Conn) Stream
}

// Stream is told what passes on one connection.
type Stream interface {
	// Data gives the next bytes that one side sent: in order, each once. They
	// begin at offset of what that side sent in all; b belongs to the source
	// after the call. p is the packet that brought them; where they waited for
	// others before them, p.Data is nil. The answer says whether more is
	// wanted from this side: if not, its bytes are only counted.
	//
	// The two sides are in order too, as far as the packets say: bytes are
	// given after all that their sender had received before he sent them.
	Data(d Direction, offset int64, b []byte, p *Packet) (more bool)
	// Gap says that bytes [from, to) of one side are not in the capture. It is
	// called whether or not data is wanted. p is the packet that was at hand
	// when it was found out, and nil at the end of the capture.
	Gap(d Direction, from, to int64, p *Packet)
	// Close is called once, when the connection or the capture ends. c does
	// not change afterwards.
	Close(c *Conn)
}

// Direction says which side sent something.
type Direction uint8

// The two directions.
const (
	FromClient Direction = iota
	FromServer
)

// Reverse is the other direction.
func (d Direction) Reverse() Direction { return d ^ 1 }

func (d Direction) String() string {
	if d == FromClient {
		return "client"
	}
	return "server"
}

// Conn is what is known of one TCP connection.
type Conn struct {
	// ID counts connections from 1, in order of their first packets.
	ID int
	// Client sent the SYN, and Server is whom it was sent to. If Guessed, no
	// SYN was seen, and the side with the lower port is taken for the server.
	Client, Server netip.AddrPort
	Guessed        bool

	First, Last Mark
	// The three packets of the handshake, as far as they were seen. SYNs
	// counts how often the client asked; copies by the capture aside. Again
	// are those behind the first, fifteen at most: one that comes within 50 ms
	// of another is taken for a copy of it.
	SYN, SYNACK, Ack Mark
	SYNs             int
	Again            []Mark
	// Errors are answers of routers and hosts, at most four.
	Errors []ICMP
	// Ended says how, once Close is called.
	Ended End

	sides [2]Side
}

// Side is what one side sent.
func (c *Conn) Side(d Direction) *Side { return &c.sides[d] }

// Addr is the address of the one who sends in direction d.
func (c *Conn) Addr(d Direction) netip.AddrPort {
	if d == FromClient {
		return c.Client
	}
	return c.Server
}

// Refused says that the first SYN was answered with a reset.
func (c *Conn) Refused() bool {
	return !c.SYNACK.Seen() && c.SYN.Seen() && c.sides[FromServer].RST.Seen()
}

// Unanswered says that nothing came back to the SYN.
func (c *Conn) Unanswered() bool { return c.SYN.Seen() && c.sides[FromServer].Packets == 0 }

// End says how a connection ended.
type End uint8

// The ends that there are.
const (
	Unfinished End = iota // the capture ended, or nothing more was seen
	Finished              // both sides said FIN
	Reset                 // one side said RST
	Replaced              // a new connection by the same addresses and ports began
	Forgotten             // there were too many connections; see [Options.Connections]
)

func (e End) String() string {
	return [...]string{"unfinished", "finished", "reset", "replaced", "forgotten"}[e]
}

// Side is what one side of a connection sent.
type Side struct {
	Packets int
	// Bytes is how long the stream is as far as it is known, with what is
	// Missing from the capture.
	Bytes, Missing int64
	// Acknowledged is how much of it the other side said to have received.
	Acknowledged int64
	// Retransmitted counts segments sent again, and RetransmittedBytes what
	// was in them and was there already. Copies counts packets captured twice,
	// Disordered those that came before what they follow.
	Retransmitted      int
	RetransmittedBytes int64
	Copies, Disordered int
	// KeepAlives counts segments with one byte that was acknowledged long ago.
	KeepAlives int
	// ZeroWindows counts how often this side closed its window: told the
	// other to wait. Stalled is for how long, and Stall the first of them.
	ZeroWindows int
	Stalled     time.Duration
	Stall       Mark
	// FirstData and LastData are the first and the last packet with new bytes.
	FirstData, LastData Mark
	// FIN and RST are the packets by which it ended.
	FIN, RST Mark
	// ISN is the first sequence number, the SYN's. Without a SYN it is the one
	// before the first byte seen.
	ISN uint32
	// Window is the last that was told, in bytes as far as the scale is known.
	Window int
	// MaxSegment and WindowScale are as in [Segment].
	MaxSegment  uint16
	WindowScale uint8
}

// Options bound what a [Tracker] keeps.
type Options struct {
	// Connections is how many are followed at once. With one more, one that
	// was silent for long is given up. Default 32768, which take less than 64 MiB.
	Connections int
	// Waiting is how many bytes of one side may wait for some before them;
	// then those are given up as missing. Default 8 MiB; four times as much
	// for all connections together.
	Waiting int
}

// Tracker makes streams of packets.
type Tracker struct {
	handler   Handler
	options   Options
	decoder   decoder
	conns     table
	queue     []turn      // by age, for giving up
	ended     [late]*conn // closed, and kept to swallow late packets
	oldest    int         // of ended
	ending    []turn      // both sides are done, but bytes are missing that may still come
	spare     []*conn     // that were forgotten
	states    []*state    // of those that are closed
	released  []*Conn     // that were given back
	ids       int
	waiting   int    // bytes, of all
	waiters   []turn // where some may wait, the first first
	stats     Stats
	strangers map[Link]int64
}

// Stats counts what a [Tracker] was fed with.
type Stats struct {
	Packets     int64
	Segments    int64 // of TCP
	Connections int64
	Malformed   int64 // headers cut, or nonsense
	Strange     int64 // of links that are not understood
	Fragments   int64 // datagrams that never became whole
	Forgotten   int64 // connections given up because there were too many
	Impatient   int64 // holes given up because too much waited behind them
}

// turn is a place in a line. The connection may be gone when it comes, and
// another have taken its memory.
type turn struct {
	*conn
	id int
}

// gone says that the connection is another one now.
func (t turn) gone() bool { return t.id != t.conn.id }

// conn is a connection that is being followed.
type conn struct {
	id      int
	*Conn   // what is told of it; it may be kept when the rest is gone
	ends    ends
	mapped  bool // is in Tracker.conns
	closed  bool // Close was called; late packets are swallowed
	touched bool // since its turn in the queue
	ending  bool // is in Tracker.ending
	waits   bool // is in Tracker.waiters
	// began are the first numbers of both sides, kept when it is closed.
	began [2]struct {
		known bool
		base  uint32
	}
	*state // nil when it is closed
}

// state is what following a connection needs. The next connection takes it over
// while it is still in the processor's cache.
type state struct {
	pending bool // something waits, or was acknowledged and is not there
	count   uint32
	stream  Stream
	last    Instant // time of the last packet
	half    [2]half
}

// late is how many ended connections are remembered, to swallow what comes
// after the end: the last ACK, and copies.
const late = 1024

// NewTracker makes a tracker that tells h.
func NewTracker(h Handler, o Options) *Tracker {
	if o.Connections <= 0 {
		o.Connections = 1 << 15
	}
	if o.Waiting <= 0 {
		o.Waiting = 8 << 20
	}
	return &Tracker{
		handler: h, options: o,
		conns: newTable(), strangers: map[Link]int64{},
		decoder: decoder{fragments: &fragments{}},
	}
}

// Packet takes the next packet. Packets of several files may follow each other,
// where one goes on where the other ends; marks then do not tell which file.
func (t *Tracker) Packet(p *Packet) {
	if t.stats.Packets++; len(t.ending) > 0 && t.stats.Packets%patience == 0 {
		t.endWaiting(p)
	}
	switch t.decoder.decode(p) {
	case tcp:
		t.stats.Segments++
		s := &t.decoder.seg
		c, d := t.conns.find(&s.from, &s.to)
		if c != nil && s.Flags&SYN != 0 && c.anew(s, d) {
			if !c.closed {
				t.close(c, Replaced, p)
			}
			t.remove(c)
			c = nil
		}
		if c == nil {
			c, d = t.open(s, p)
		} else {
			c.touched = true
		}
		if !c.closed {
			t.take(c, d, s, p)
		}
	case icmp:
		t.icmp(&t.decoder.seg, p)
	case malformed:
		t.stats.Malformed++
	case strange:
		t.stats.Strange++
		t.strangers[p.Link]++
	}
}

// anew says that a SYN begins another connection: it has another number than
// the SYN before, and is no copy of one that was not seen. One that is answered
// does so too if it is the same that was refused before: Windows asks again.
func (c *conn) anew(s *Segment, d Direction) bool {
	switch s.Flags & (SYN | ACK | RST) {
	case SYN:
	case SYN | ACK:
		return c.closed && d == FromServer && c.began[FromClient].known && !c.began[d].known
	default:
		return false
	}
	if c.closed {
		return c.began[d].known && c.began[d].base != s.Seq+1
	}
	h := &c.half[d]
	return h.known && h.base != s.Seq+1
}

// open begins a connection by its first segment, and says whose that is.
func (t *Tracker) open(s *Segment, p *Packet) (*conn, Direction) {
	if t.conns.used >= t.options.Connections {
		t.giveUp(p)
	}
	t.ids++
	t.stats.Connections++
	c := t.vacant()
	c.id, c.ends = t.ids, ends{s.from, s.to}
	c.ID, c.First = t.ids, p.Mark()
	c.half[0].fin, c.half[1].fin = -1, -1
	d := FromClient
	switch c.Guessed = s.Flags&SYN == 0; {
	case s.Flags.Has(SYN | ACK), c.Guessed && s.from.port < s.to.port:
		d, c.ends = FromServer, ends{s.to, s.from}
	}
	c.Client, c.Server = c.ends.client.addrPort(), c.ends.server.addrPort()
	c.learn(d, s)
	t.conns.add(c)
	c.mapped = true
	if len(t.queue) > 2*t.conns.used+late {
		t.queue = slices.DeleteFunc(t.queue, func(c turn) bool { return c.gone() || !c.mapped })
	}
	t.queue = append(t.queue, turn{c, c.id})
	if c.stream = t.handler.Open(c.Conn); c.stream == nil {
		c.half[0].unwanted, c.half[1].unwanted = true, true
	}
	return c, d
}

// vacant is a connection of which nothing is known.
func (t *Tracker) vacant() *conn {
	var c *conn
	if n := len(t.spare) - 1; n >= 0 {
		c, t.spare = t.spare[n], t.spare[:n]
		*c = conn{}
	} else {
		c = &conn{}
	}
	if n := len(t.states) - 1; n >= 0 {
		c.state, t.states = t.states[n], t.states[:n]
		*c.state = state{}
	} else {
		c.state = &state{}
	}
	if n := len(t.released) - 1; n >= 0 {
		c.Conn, t.released = t.released[n], t.released[:n]
		*c.Conn = Conn{}
	} else {
		c.Conn = &Conn{}
	}
	return c
}

// Release gives c back, of which nobody may know any more: a connection to come
// takes its memory. It must have been closed. Nobody needs to call it.
func (t *Tracker) Release(c *Conn) {
	if len(t.released) < late {
		t.released = append(t.released, c)
	}
}

// giveUp makes room for one connection: the oldest that was silent since it was
// last looked at goes (the clock of page replacement).
func (t *Tracker) giveUp(p *Packet) {
	for len(t.queue) > 0 {
		c := t.queue[0]
		t.queue = t.queue[1:]
		switch {
		case c.gone() || !c.mapped: // already
		case c.touched && !c.closed:
			c.touched = false
			t.queue = append(t.queue, c)
		default:
			if !c.closed {
				t.stats.Forgotten++
				t.close(c.conn, Forgotten, p)
			}
			t.remove(c.conn)
			return
		}
	}
}

// remove forgets c.
func (t *Tracker) remove(c *conn) {
	if c.mapped {
		t.conns.remove(c)
		c.mapped = false
	}
}

// close gives what still waits and tells the end.
func (t *Tracker) close(c *conn, how End, p *Packet) {
	t.flush(c, p)
	if how == Unfinished && c.done() {
		how = Finished
	}
	c.Ended, c.closed = how, true
	if c.stream != nil {
		c.stream.Close(c.Conn)
	}
	for d := range c.half {
		c.began[d].known, c.began[d].base = c.half[d].known, c.half[d].base
	}
	if len(t.states) < late {
		t.states = append(t.states, c.state)
	}
	c.Conn, c.state = nil, nil
	if how == Finished || how == Reset {
		old := t.ended[t.oldest]
		t.ended[t.oldest] = c
		t.oldest = (t.oldest + 1) % late
		if old != nil {
			t.remove(old)
			if len(t.spare) < late {
				old.id = 0 // so whoever is in a line is gone
				t.spare = append(t.spare, old)
			}
		}
	}
}

// endWaiting closes connections that have nothing to wait for but bytes that
// should have come already.
func (t *Tracker) endWaiting(p *Packet) {
	for len(t.ending) > 0 {
		c := t.ending[0]
		if c.gone() {
			t.ending = t.ending[1:]
			continue
		}
		if !c.closed && len(t.ending) <= late && p.Time.Sub(c.last) < 10*pause {
			return
		}
		if !c.closed {
			t.close(c.conn, Finished, p)
		}
		t.ending = t.ending[1:]
	}
}

// Close ends all connections that are still open, in order of their beginning.
// The tracker can be fed no more.
func (t *Tracker) Close() {
	for _, c := range t.conns.oldestFirst() {
		if !c.closed {
			t.close(c, Unfinished, nil)
		}
	}
	t.conns = newTable()
	clear(t.ended[:])
	t.queue, t.ending, t.waiters, t.spare, t.states, t.released = nil, nil, nil, nil, nil, nil
}

// Stats counts what there was so far.
func (t *Tracker) Stats() Stats {
	s := t.stats
	s.Fragments = t.decoder.fragments.unfinished()
	return s
}

// Now is when the last packet was seen.
func (t *Tracker) Now() Instant { return t.decoder.now }

// Notes tells what was odd so far.
func (t *Tracker) Notes() []Note {
	var notes []Note
	s := t.Stats()
	for _, l := range slices.Sorted(maps.Keys(t.strangers)) {
		notes = append(notes, Note{ID: NoteLink, Count: t.strangers[l], Text: fmt.Sprintf("%d packets left out: %v is not understood", t.strangers[l], l)})
	}
	for _, n := range []struct {
		id    string
		count int64
		text  string
	}{
		{NoteUndecoded, s.Malformed, "%d packets left out: their headers are cut or make no sense"},
		{NoteFragments, s.Fragments, "%d datagrams left out: not all of their fragments were captured"},
		{NoteForgotten, s.Forgotten, "%d connections given up before their end: there were too many at once"},
		{NoteImpatience, s.Impatient, "%d times missing bytes were given up: too much waited behind them"},
	} {
		if n.count > 0 {
			notes = append(notes, Note{ID: n.id, Count: n.count, Text: fmt.Sprintf(n.text, n.count)})
		}
	}
	return notes
}

// icmp tells a connection of an error about it.
func (t *Tracker) icmp(s *Segment, p *Packet) {
	c, _ := t.conns.find(&s.from, &s.to)
	if c == nil || c.closed || len(c.Errors) >= 4 {
		return
	}
	e := t.decoder.error
	e.Mark = p.Mark()
	c.Errors = append(c.Errors, e)
}
