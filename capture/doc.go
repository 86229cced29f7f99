// Package capture reads what was recorded on a wire and gives back the streams
// of bytes that two programs sent each other over TCP.
//
// A [Source] gives packets: [Open] reads pcap and pcapng files, compressed or
// not, and [Live] listens on an interface. A [Tracker] is fed with them and
// tells a [Handler] of each connection, its bytes in order and what is missing
// among them. It makes one pass and keeps only what is open, within limits. A
// [Writer] keeps chosen packets.
//
// It knows no FTP and no other protocol above TCP; that belongs to explain.
package capture

import (
	"fmt"
	"iter"
)

// Source gives packets: a [Reader] those of a file, [Live] those of a wire.
type Source interface {
	// Packets gives each packet in turn. It can be ranged over once. Data of a
	// packet, and the packet, belong to the source again when the next is
	// asked for. An error is the last thing that it gives; a file that is cut
	// or damaged is no error but a note.
	Packets() iter.Seq2[*Packet, error]
	// Interfaces are those known so far; [Packet.Interface] counts in them.
	Interfaces() []Interface
	// Notes tells what was odd so far.
	Notes() []Note
	// Close ends it.
	Close() error
}

// Packet is one record of a capture.
type Packet struct {
	// Number counts from 1 in each file, as other programs do.
	Number int
	// File tells files apart where several are read. The source sets it to
	// what its File field says.
	File int
	// Time is when the packet was seen.
	Time Instant
	// Interface is the index in [Source.Interfaces].
	Interface int
	// Link says what the first bytes are.
	Link Link
	// Length is how many bytes there were; Data may hold less of them.
	Length int
	// Data is what was kept.
	Data []byte
	// Offset is where the record begins in the file, after decompression.
	Offset int64
}

// Interface is one place where packets were seen.
type Interface struct {
	Name        string
	Description string
	Link        Link
	// SnapLength is how much was kept of a packet at most; 0 means all.
	SnapLength int
	// Filter is the expression that chose the packets, where the file has it.
	Filter string
}

// Link is the kind of the first header of a packet, by the numbers of
// https://www.tcpdump.org/linktypes.html.
type Link uint16

// The links that are understood.
const (
	LinkNull     Link = 0   // BSD loopback: an address family in the byte order of the machine
	LinkEthernet Link = 1   // Ethernet
	LinkPPP      Link = 9   // PPP
	LinkRawBSD   Link = 12  // IP without more, as some systems number it
	LinkRawOther Link = 14  // the same by OpenBSD
	LinkPPPHDLC  Link = 50  // PPP in frames as HDLC has them
	LinkPPPoE    Link = 51  // PPPoE session packets without Ethernet
	LinkRaw      Link = 101 // IP without more
	LinkHDLC     Link = 104 // HDLC by Cisco
	LinkLoop     Link = 108 // OpenBSD loopback: the family in network order
	LinkSLL      Link = 113 // Linux "cooked": what tcpdump -i any wrote before 2018
	LinkIPv4     Link = 228 // IPv4 without more
	LinkIPv6     Link = 229 // IPv6 without more
	LinkSLL2     Link = 276 // Linux "cooked", second form: what tcpdump -i any writes
)

var linkNames = map[Link]string{
	LinkNull: "null", LinkEthernet: "Ethernet", LinkPPP: "PPP", LinkRawBSD: "raw IP", LinkRawOther: "raw IP",
	LinkPPPHDLC: "PPP in HDLC", LinkPPPoE: "PPPoE", LinkRaw: "raw IP", LinkHDLC: "Cisco HDLC", LinkLoop: "loopback",
	LinkSLL: "Linux cooked", LinkIPv4: "raw IPv4", LinkIPv6: "raw IPv6", LinkSLL2: "Linux cooked v2",
	// Known by name, so that a report can say what was left out.
	6: "Token Ring", 105: "802.11", 117: "pflog", 127: "802.11 with radiotap", 189: "USB", 220: "USB", 239: "nflog", 251: "Bluetooth",
}

// String is the name of the link, or its number.
func (l Link) String() string {
	if name, ok := linkNames[l]; ok {
		return name
	}
	return fmt.Sprintf("link type %d", uint16(l))
}

// Note is something odd in a capture that a reader of the results should know.
type Note struct {
	// ID is stable: one of the Note… constants.
	ID string
	// Packet is the number of the last packet before it, 0 if none.
	Packet int
	// Offset is where in the file, after decompression.
	Offset int64
	// Count is how many packets or bytes it is about.
	Count int64
	// Text is a sentence about it.
	Text string
}

func (n Note) String() string { return n.Text }

// What notes are about.
const (
	NoteCut        = "cut"        // the file ends within a packet
	NoteDamaged    = "damaged"    // a record makes no sense; what follows is not read
	NoteDropped    = "dropped"    // whoever recorded could not keep up
	NoteLink       = "link"       // packets of a link that is not understood
	NoteSnapped    = "snapped"    // packets of which only the beginning was kept
	NoteUndecoded  = "undecoded"  // packets whose headers are cut or make no sense
	NoteFragments  = "fragments"  // datagrams that never became whole
	NoteForgotten  = "forgotten"  // connections given up because there were too many at once
	NoteImpatience = "impatience" // bytes given up as missing because too much waited behind them
	NoteEmpty      = "no-packets" // a capture without a packet
)
