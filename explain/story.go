// Package explain tells the story of the FTP sessions in captures: who said
// what, which data connection each announcement brought about, and why a
// transfer failed.
//
// Sessions are found by their dialogue, on any port. A data connection is tied
// to the command that it serves by the announcement that made it; under TLS,
// where the announcement cannot be read, by what else is known of it, and the
// story says so. What is not in the capture has not failed: see [Verdict].
// Captures of both sides of a NAT are told together.
//
// Packets and streams belong to package capture, the protocol to ftp and
// ftp/dialogue. Drawing a story for people is done from [Session.Steps].
package explain

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"towpath/capture"
	"towpath/internal/words"
)

// SchemaVersion is that of the JSON of a [Story]. It changes when a name
// vanishes or means something else, not when one is added.
const SchemaVersion = 1

// Story is what captures tell.
type Story struct {
	SchemaVersion int           `json:"schema_version"`
	Captures      []Capture     `json:"captures"`
	Sessions      []*Session    `json:"sessions"`
	Translations  []Translation `json:"translations"`
}

// Capture is one file.
type Capture struct {
	File    string `json:"file"`
	Packets int    `json:"packets"`
	// Link is what the packets begin with, as "Ethernet".
	Link string `json:"link"`
	// Notes say what is odd about the file: a torn end, say.
	Notes []string `json:"notes"`
	// Ahead is by how much its clock is ahead of that of the first capture, as
	// the sessions show that both hold.
	Ahead time.Duration `json:"clock_ahead_ns,omitempty"`
}

// Mark is one packet: its number in its file, from 1, and its time. The zero
// Mark is none.
type Mark = capture.Mark

// Instant is when something was seen.
type Instant = capture.Instant

// Session is one control connection.
type Session struct {
	ID int `json:"id"`
	// Capture is the index of the file in [Story.Captures] to which all its
	// packet numbers belong.
	Capture         int            `json:"capture"`
	Client          netip.AddrPort `json:"client"`
	Server          netip.AddrPort `json:"server"`
	Started         Instant        `json:"started"`
	Ended           Instant        `json:"ended"`
	User            string         `json:"user"`
	PasswordInClear bool           `json:"password_in_clear"`
	TLS             bool           `json:"tls"`
	// Verdict is the worst of its transfers'; of a session without any, whether
	// it came about.
	Verdict   Verdict     `json:"verdict"`
	Commands  []Command   `json:"commands"`
	Transfers []*Transfer `json:"transfers"`
	Findings  []Finding   `json:"findings"`
	// Twin is the ID of the same session as another capture saw it, 0 if none
	// did.
	Twin int `json:"twin,omitempty"`
	// Control is the control connection itself.
	Control Connection `json:"control"`
	// Secured is where TLS began on it, Cleared where it ended (CCC).
	Secured Mark `json:"secured,omitzero"`
	Cleared Mark `json:"cleared,omitzero"`

	far int // from the client: 0 next to it
}

// Before says whether s began before x: the order of sessions in a [Story].
func (s *Session) Before(x *Session) bool {
	return cmp.Or(s.Capture-x.Capture, cmp.Compare(s.Started, x.Started), s.ID-x.ID) < 0
}

// Command is a command with its replies. One that nobody sent has no verb: the
// greeting, a 421 in an idle session.
type Command struct {
	Packet int     `json:"packet"`
	Time   Instant `json:"time"`
	Verb   string  `json:"verb"`
	// Arg is safe to show. It is **** if it may hold a secret and secrets are
	// not to be shown.
	Arg string `json:"arg"`
	// Code and Reply are the last reply, 0 if there was none. Lines of a reply
	// are parted by \n.
	Code  int    `json:"code"`
	Reply string `json:"reply"`
	// Replied is where the last reply ended.
	Replied Mark `json:"replied,omitzero"`
	// Begun is the reply that came before the last one: 150.
	Begun *Reply `json:"begun,omitempty"`
}

// said is where the command stands.
func (c *Command) said() Mark { return Mark{Packet: c.Packet, Time: c.Time} }

// Reply is a reply that others follow.
type Reply struct {
	Mark
	Code int    `json:"code"`
	Text string `json:"text"`
}

// Verdict is what became of a transfer.
type Verdict string

// The verdicts.
const (
	Worked      Verdict = "worked"
	Failed      Verdict = "failed"
	NotCaptured Verdict = "not-captured" // the dialogue says that it worked, and the data is elsewhere
	Unknown     Verdict = "unknown"      // nobody can tell: the end is missing, or under TLS
)

// Transfer is one data connection, or one that should have been.
type Transfer struct {
	// Verb is empty if none was asked for: a client that cannot connect may
	// give up before it says RETR. Under TLS nobody knows.
	Verb string `json:"verb"`
	Path string `json:"path"`
	// Mode is active or passive, AnnouncedBy PORT, EPRT, PASV or EPSV. Both are
	// empty if nothing was announced; the latter also under TLS.
	Mode        string `json:"mode"`
	AnnouncedBy string `json:"announced_by"`
	// Announced is what the announcement named; where it names no address, that
	// is the one of the control connection.
	Announced netip.AddrPort `json:"announced"`
	// Sum is how the port comes of its two bytes, as "192*256+245 = 49397".
	Sum string `json:"sum,omitempty"`
	// Opener is who had to connect: client or server.
	Opener string `json:"opener"`
	// From and To are the ends of the connection as it was seen, opener first.
	From     netip.AddrPort `json:"from"`
	To       netip.AddrPort `json:"to"`
	Verdict  Verdict        `json:"verdict"`
	Bytes    int64          `json:"bytes"` // as they were on the wire
	SHA256   string         `json:"sha256"`
	Complete bool           `json:"complete"`
	Code     int            `json:"code"`
	Reply    string         `json:"reply"`
	// Cause is the ID of the finding that says why it failed.
	Cause string `json:"cause,omitempty"`
	// Inferred says that the connection was not tied by its announcement.
	Inferred bool `json:"inferred,omitempty"`
	// Protected says that the data is under TLS; Bytes are then those of TLS.
	Protected bool `json:"protected,omitempty"`
	// Offset is where in the file it starts (REST).
	Offset int64 `json:"offset,omitempty"`
	// Type is the TYPE, "A" or "I".
	Type string `json:"type,omitempty"`
	// Coding is the MODE if that is not S: "B", "C" or "Z". Decoded is then how
	// many bytes of the file came out of Bytes; SHA256 and File are of those.
	// It is nil if they were not decoded: SHA256 is empty then, and File holds
	// Bytes as they are.
	Coding  string `json:"coding,omitempty"`
	Decoded *int64 `json:"decoded,omitempty"`
	// Asked is where the transfer command stands, Announcement where the
	// announcement does: the command that has it, or the reply. AnnouncedAt is
	// the index of its command in [Session.Commands], CommandAt that of the
	// transfer command; they are -1 if there is none.
	Asked        Mark `json:"asked,omitzero"`
	Announcement Mark `json:"announcement,omitzero"`
	AnnouncedAt  int  `json:"-"`
	CommandAt    int  `json:"-"`
	// Connection is nil if no packet of it was captured.
	Connection *Connection `json:"connection,omitempty"`
	// Gaps are the bytes that are not in the capture; they are known only of
	// what was digested or extracted.
	Gaps []Gap `json:"gaps,omitempty"`
	// File is the name under which it was extracted.
	File string `json:"file,omitempty"`

	sent   capture.Direction // which side of the connection sent Bytes
	undone string            // what is to be said of their decoding
}

// Gap is a range of bytes, the second end not included.
type Gap struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// Duration is how long the bytes took, 0 if that is not known.
func (t *Transfer) Duration() time.Duration {
	if t.Connection == nil || t.Connection.First.Packet == 0 {
		return 0
	}
	return t.Connection.Last.Time.Sub(t.Connection.First.Time)
}

// Rate is bytes per second, 0 if that cannot be told.
func (t *Transfer) Rate() float64 {
	d := t.Duration()
	if d <= 0 {
		return 0
	}
	return float64(t.Bytes) / d.Seconds()
}

// Connection is a TCP connection as it was seen.
type Connection struct {
	From netip.AddrPort `json:"from"` // who opened it
	To   netip.AddrPort `json:"to"`
	// SYN is each time it was asked for; SYNACK the answer, ACK the answer to
	// that: handshake 1, 2 and 3 of 3.
	SYN    []Mark `json:"syn,omitempty"`
	SYNACK Mark   `json:"syn_ack,omitzero"`
	ACK    Mark   `json:"ack,omitzero"`
	// Sent and Received are the bytes from From and those from To.
	Sent     int64 `json:"sent"`
	Received int64 `json:"received"`
	// Missing is how many of them are not in the capture.
	Missing int64 `json:"missing,omitempty"`
	// First and Last are the first and the last packet with bytes.
	First Mark `json:"first,omitzero"`
	Last  Mark `json:"last,omitzero"`
	// Ends are the FIN and RST, in order.
	Ends []End `json:"ends,omitempty"`
	// Retransmitted counts segments that came again, Stalls the times when a
	// receiver had no room.
	Retransmitted int `json:"retransmitted,omitempty"`
	Stalls        int `json:"stalls,omitempty"`
	// Stalled is for how long.
	Stalled time.Duration `json:"stalled_ns,omitempty"`
}

// Established says whether both ends agreed on it, or it began before the
// capture.
func (c *Connection) Established() bool {
	return c.SYNACK.Packet != 0 || c.Sent > 0 || c.Received > 0
}

// Reset returns the first RST, and whether there is one.
func (c *Connection) Reset() (End, bool) {
	for _, e := range c.Ends {
		if e.RST {
			return e, true
		}
	}
	return End{}, false
}

// End is one half of the end of a connection, or all of it if it is a RST.
type End struct {
	Mark
	By  string `json:"by"` // client or server of the session
	RST bool   `json:"rst,omitempty"`
}

// Finding is something that an engineer should know. Its ID is stable.
type Finding struct {
	ID       string   `json:"id"`
	Severity Severity `json:"severity"`
	Packets  []int    `json:"packets"`
	// Text says what it is. It is empty while [Options.Told] is called; [Finding.In]
	// gives it.
	Text string `json:"text"`
	// Advice is what to do, empty if there is nothing.
	Advice string `json:"advice"`
	// Transfer is the index of the transfer in [Session.Transfers], -1 if it is
	// about the session.
	Transfer int `json:"transfer"`

	name string // what is said of it, by its name in package words
	args []any
}

// Severity is how much a finding matters.
type Severity string

// The severities.
const (
	Error   Severity = "error"   // why something failed
	Warning Severity = "warning" // something that is wrong, or dangerous
	Note    Severity = "note"    // something good to know
)

// Translation is what a NAT between two captures made of a session.
type Translation struct {
	// Kind is snat if the client's address was changed, dnat if the server's.
	Kind string `json:"kind"`
	// Inside and Outside are the address that was changed, on either side.
	Inside  netip.AddrPort `json:"inside"`
	Outside netip.AddrPort `json:"outside"`
	// Payload is rewritten if something between changed announcements, untouched
	// if it should have and did not, and not-needed.
	Payload string `json:"payload"`
	// Sessions are the IDs of the session on both sides, the client's first.
	Sessions []int `json:"session_ids"`
	// Rewrites are the announcements, as they were said and as they were heard.
	Rewrites []Rewrite `json:"rewrites,omitempty"`
}

// Rewrite is an announcement on both sides of a NAT.
type Rewrite struct {
	Said      string         `json:"said"`
	Heard     string         `json:"heard"`
	SaidAt    Mark           `json:"said_at"`
	HeardAt   Mark           `json:"heard_at"`
	Announced netip.AddrPort `json:"announced"` // as it was said
	Became    netip.AddrPort `json:"became"`    // as it was heard
	// Shift is by how many bytes sequence numbers behind it differ.
	Shift int `json:"shift"`
	// Payload is rewritten, untouched or not-needed.
	Payload string `json:"payload"`
}

// In returns the story in a language. Names that programs read stay as they
// are. In English it is s itself.
func (s *Story) In(l words.Lang) *Story {
	if l == words.English { // as it was told: there may be many sessions
		return s
	}
	c := *s
	c.Sessions = make([]*Session, len(s.Sessions))
	for i, x := range s.Sessions {
		c.Sessions[i] = x.In(l)
	}
	return &c
}

// In returns the session in a language.
func (s *Session) In(l words.Lang) *Session {
	c := *s
	c.Findings = make([]Finding, len(s.Findings))
	for i, f := range s.Findings {
		c.Findings[i] = f.In(l)
	}
	return &c
}

// Verdict is the worst of the sessions'.
func (s *Story) Verdict() Verdict {
	all := Worked
	for _, x := range s.Sessions {
		all = worse(all, x.Verdict)
	}
	return all
}

// worse returns the verdict that matters more.
func worse(a, b Verdict) Verdict {
	for _, v := range []Verdict{Failed, Unknown, NotCaptured} {
		if a == v || b == v {
			return v
		}
	}
	return Worked
}

// Cause is the ID of the finding that says why the first thing that failed did,
// empty if nothing did. Of a session that several captures hold, the one next
// to the client is asked.
func (s *Story) Cause() string {
	order := slices.Clone(s.Sessions)
	slices.SortStableFunc(order, func(a, b *Session) int { return a.far - b.far })
	for _, x := range order {
		for _, y := range x.Transfers {
			if y.Cause != "" {
				return y.Cause
			}
		}
	}
	for _, x := range order {
		for _, f := range x.Findings {
			if f.Severity == Error {
				return f.ID
			}
		}
	}
	return ""
}
