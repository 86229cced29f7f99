package explain

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"towpath/capture"
	"towpath/ftp"
	"towpath/ftp/dialogue"
)

// maxRefusals is how many refused announcements of a session are told as
// connections that should have been.
const maxRefusals = 16

// describe fills in what an accepted announcement says.
func (d *deal) describe(t *talk, index int) {
	e, x := d.expect, d.transfer
	x.Mode, x.AnnouncedBy, x.Announced, x.Opener = e.Mode().String(), e.Verb, e.To, e.Opener.String()
	d.announced = e.Announced
	x.Protected = e.Protected
	x.Announcement = t.Commands[index].Replied
	if e.Opener == dialogue.Server {
		c := t.Commands[index]
		x.Announcement = c.said()
	}
}

// refuse notes an announcement that was not accepted, or cannot be read.
func (d *deal) refuse(x *dialogue.Exchange, t *talk, index int) {
	d.refused, d.problem = true, x.Problem
	y := d.transfer
	y.Code, y.Reply = x.Reply.Code, t.Commands[index].Reply
	c := t.Commands[index]
	y.Announcement = c.said()
	y.Mode, y.Opener = "passive", "client"
	read := readers[y.AnnouncedBy]
	if read == nil {
		return
	}
	y.Mode, y.Opener = "active", "server"
	if a, err := read(x.Command.Arg); err == nil {
		y.Announced, d.announced = a, a
	} else if d.problem == nil {
		d.problem = err
	}
}

// readers read the announcements that are commands.
var readers = map[string]func(string) (netip.AddrPort, error){"PORT": ftp.ParseHostPort, "EPRT": ftp.ParseEPRT, "LPRT": ftp.ParseLongPort}

// readReply reads an announcement that is a reply.
func readReply(code int, text string) (netip.AddrPort, error) {
	switch code {
	case 227:
		return ftp.ParsePassive(text)
	case 228:
		return ftp.ParseLongPort(text)
	case 229:
		return ftp.ParseExtendedPassive(text)
	}
	return netip.AddrPort{}, fmt.Errorf("%d is no announcement", code)
}

// ask notes the transfer command that uses the connection.
func (d *deal) ask(t *talk, x *dialogue.Transfer, index int) {
	y := d.transfer
	y.Verb, y.Path = x.Verb, ftp.Escape(x.Path)
	y.Protected, y.Offset, y.Type = x.Protected, x.Offset, x.Type
	if t.unsure && strings.HasPrefix(y.Type, "A") { // it is A where nothing was said
		y.Type = ""
	}
	y.Coding = t.coding
	y.CommandAt = index
	y.Code, y.Reply, d.final = 0, "", false
	if index >= 0 {
		y.Asked = t.Commands[index].said()
	}
}

// upload says that the client sends.
func (x *Transfer) upload() bool {
	switch x.Verb {
	case "STOR", "STOU", "APPE":
		return true
	}
	return false
}

// listing says that it is of a directory.
func (x *Transfer) listing() bool {
	switch x.Verb {
	case "LIST", "NLST", "MLSD":
		return true
	}
	return false
}

// best is the connection by which a deal was met: one that came about, if any
// did, and of several the one with the most bytes.
func (d *deal) best() *link {
	if len(d.links) == 0 {
		return nil
	}
	return slices.MaxFunc(d.links, func(a, b *link) int {
		x, y := 0, 0
		if a.established() {
			x = 1
		}
		if b.established() {
			y = 1
		}
		return cmp.Or(x-y, cmp.Compare(a.bytes(), b.bytes()), b.conn.ID-a.conn.ID)
	})
}

// established says that both ends agreed on the connection.
func (l *link) established() bool {
	return l.conn.SYNACK.Seen() && (l.conn.Ack.Seen() || l.conn.Guessed) || l.bytes() > 0
}

// halfOpen says that the one who asked never acknowledged the answer.
func (l *link) halfOpen() bool { return l.conn.SYNACK.Seen() && !l.established() }

func (l *link) bytes() int64 {
	return l.conn.Side(capture.FromClient).Bytes + l.conn.Side(capture.FromServer).Bytes
}

// refused says that the answer to the SYN was a RST.
func (l *link) refused() bool { return l.conn.Refused() }

// backwards says that the capture took the ends for each other: whoever opened
// the connection, it went to the address announced.
func (d *deal) backwards(l *link) bool {
	return l.conn.Guessed && l.conn.Server != d.expect.To && l.conn.Client == d.expect.To
}

// asked are the SYNs by which the connection was wanted.
func (l *link) asked() []Mark {
	all := l.syn[:0]
	if l.conn.SYN.Seen() {
		all = append(all, l.conn.SYN)
	}
	return append(all, l.conn.Again...)
}

// describe fills in what is known of a link; opener is client or server of the
// session.
func (l *link) describe(x *Connection, opener string, backwards bool) {
	c := l.conn
	listener := "client"
	if opener == "client" {
		listener = "server"
	}
	from, to := capture.FromClient, capture.FromServer
	if backwards {
		from, to = to, from
	}
	a, b := c.Side(from), c.Side(to)
	x.From, x.To = c.Addr(from), c.Addr(to)
	x.SYN, x.SYNACK, x.ACK = l.asked(), c.SYNACK, c.Ack
	x.Sent, x.Received, x.Missing = a.Bytes, b.Bytes, a.Missing+b.Missing
	x.Retransmitted = a.Retransmitted + b.Retransmitted
	x.Stalls, x.Stalled = a.ZeroWindows+b.ZeroWindows, a.Stalled+b.Stalled
	x.First, x.Last = a.FirstData, a.LastData
	if f := b.FirstData; x.First.Packet == 0 || f.Packet != 0 && f.Packet < x.First.Packet {
		x.First = f
	}
	if f := b.LastData; f.Packet > x.Last.Packet {
		x.Last = f
	}
	x.Ends = nil
	l.end(x, a.FIN, opener, false)
	l.end(x, b.FIN, listener, false)
	l.end(x, a.RST, opener, true)
	l.end(x, b.RST, listener, true)
}

// end adds one to those of x, if it was seen, and keeps them in order.
func (l *link) end(x *Connection, at Mark, by string, rst bool) {
	if !at.Seen() {
		return
	}
	n := len(x.Ends)
	x.Ends = l.ends[: n+1 : n+1]
	for n > 0 && l.ends[n-1].Packet > at.Packet {
		l.ends[n] = l.ends[n-1]
		n--
	}
	e := &l.ends[n]
	e.Mark, e.By, e.RST = at, by, rst
}

// carry fills in what the connection of a deal carried.
func (d *deal) carry() {
	x := d.transfer
	x.Connection, x.Bytes, x.Complete, x.SHA256, x.Gaps, x.Decoded = nil, 0, false, "", nil, nil
	x.From, x.To = netip.AddrPort{}, netip.AddrPort{}
	l := d.best()
	if l == nil {
		return
	}
	back := d.backwards(l)
	c := &d.carried
	l.describe(c, x.Opener, back)
	x.Connection, x.From, x.To = c, c.From, c.To
	// Who sends: the client if it stores. Where that is not known it is the
	// side that sent more.
	fromOpener := x.upload() == (x.Opener == "client")
	if x.Verb == "" || d.inferred {
		fromOpener = c.Sent > c.Received
	}
	side, dir := c.Received, capture.FromServer
	if fromOpener {
		side, dir = c.Sent, capture.FromClient
	}
	if back {
		dir = dir.Reverse()
	}
	s := l.conn.Side(dir)
	x.Bytes = side
	begun := l.conn.SYN.Seen() || l.conn.SYNACK.Seen()
	// A RST behind a FIN cuts nothing off that was acknowledged.
	x.Complete = begun && s.Missing == 0 && s.FIN.Seen() && (!s.RST.Seen() || s.Acknowledged >= s.Bytes)
	x.sent = dir
	x.SHA256, x.Gaps = l.sink.result(dir)
	if x.Coding != "" {
		l.sink.decoded(dir, x)
	}
}

// gaveUp says that the client ended the session while something was awaited.
func (t *talk) gaveUp() bool {
	side := t.link.conn.Side(t.link.direction(fromClient, t.turned))
	return side.FIN.Seen() || side.RST.Seen()
}

// fresh says that a connection was asked for once, right before the capture
// ended: the answer may have come since.
func (l *link) fresh() bool {
	now := l.trace.tracker.Now()
	return !now.IsZero() && !l.established() && !l.refused() && l.icmp() == nil && l.conn.SYN.Seen() && len(l.asked()) <= 1 && now.Sub(l.conn.First.Time) < time.Second
}

func (l *link) direction(end int, turned bool) capture.Direction {
	if turned {
		end = 1 - end
	}
	return capture.Direction(end)
}

// side is the end of the session that sends in a direction of its connection.
func (t *talk) side(d capture.Direction) int {
	if t.turned {
		d = d.Reverse()
	}
	return int(d)
}

// after is how long the capture goes on behind a mark, as far as the control
// connection shows.
func (t *talk) after(m Mark) time.Duration { return t.link.conn.Last.Time.Sub(m.Time) }
