package explain

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"towpath/ftp"
	"towpath/ftp/dialogue"
)

// talk follows the dialogue of one session out of the bytes of its control
// connection.
type talk struct {
	*Session
	// follower is what only following needs; it is nil when the session has
	// ended.
	*follower
	opts   *Options
	events events
	book   *book
	// at is where the dialogue stands.
	at Mark

	fresh  bool   // nothing has been said, and it may begin with TLS
	hidden bool   // the control connection is under TLS
	unsure bool   // TYPE may have been said where nobody could read it
	coding string // what MODE has set, if it is another than S
	// missed says that the client received something of the server that is not
	// in the capture: then nobody knows what the server has not said.
	missed  bool
	refused bool   // something was, by 4xx or 5xx
	asking  int    // transfer commands whose turn has not come
	full    bool   // there are more commands than are told
	in      bool   // it has ended logged in
	seen    int    // number of the transfer command told last
	secret  string // the password
	hide    string // the same, to be hidden where a reply repeats it
	odd     []oddity
	terse   bool // findings get no text
	// early is the memory of replies that others follow, evidence and args that of findings.
	early    []Reply
	evidence []int
	args     []any

	link     *link
	peers    *peers  // of the hosts at its ends, while it is open
	place    int     // in trace.talks
	turned   bool    // the capture took the ends for each other
	deals    []*deal // data connections, in the order of their announcements
	deal     *deal   // the one announced last
	moving   *deal   // the one of the transfer command asked last
	vain     int     // announcements of which nothing came
	open     int     // data connections that have not ended
	refusals []*deal // announcements that were not accepted
	shown    []*deal // those of Session.Transfers, one by one
	strays   *talk   // what answered the client in place of the server
	suspects []*link // connections between the same hosts that nobody claims
}

// follower keeps how far a dialogue has come.
type follower struct {
	tracker dialogue.Tracker
	lines   [2]lines // of client and server
	tls     [2]records
	numbers []int32 // index in Commands by the number of the tracker, less one
}

// reset makes f ready for another session. Its buffers stay.
func (f *follower) reset() {
	f.tracker.Reset()
	f.tls = [2]records{}
	f.numbers = f.numbers[:0]
	for i := range f.lines {
		l := &f.lines[i]
		l.bytes, l.skip = nil, false
		if l.reader != nil {
			l.reader.Reset(l)
		}
	}
}

// events is who is told what a dialogue brings about.
type events interface {
	// announced is told of an announcement and its answer. If it was refused or
	// cannot be read, the Expectation is zero.
	announced(t *talk, x *dialogue.Exchange, index int)
	// asked is told of a transfer command whose turn has come.
	asked(t *talk, x *dialogue.Transfer, index int)
	// answered is told of each reply to one.
	answered(t *talk, x *dialogue.Exchange, index int)
	// secured is told that no more can be read for now.
	secured(t *talk)
}

// The ends of a control connection, as they number what is kept for each.
const (
	fromClient = 0
	fromServer = 1
)

// errDry: there are no more bytes for now.
var errDry = errors.New("no more bytes")

// lines makes lines of bytes as they come.
type lines struct {
	reader *ftp.Reader
	bytes  []byte
	skip   bool // up to the end of the line, whose beginning was missed
}

// Read gives the reader what there is.
func (l *lines) Read(b []byte) (int, error) {
	if len(l.bytes) == 0 {
		return 0, errDry
	}
	n := copy(b, l.bytes)
	l.bytes = l.bytes[n:]
	return n, nil
}

// feed takes more bytes, which are not kept.
func (l *lines) feed(b []byte) {
	if l.reader == nil {
		l.reader = ftp.NewReader(l)
	}
	if l.skip {
		_, rest, found := strings.Cut(string(b), "\n")
		if !found {
			return
		}
		b, l.skip = []byte(rest), false
	}
	l.bytes = b
}

// whole returns what b says, without its end, which may be a line by itself. It
// answers false if there may be more to it.
func (l *lines) whole(b []byte) ([]byte, bool) {
	n := len(b) - 1
	if n < 1 || n > ftp.MaxLine || b[n] != '\n' || l.skip || l.reader != nil && l.reader.Buffered() > 0 {
		return nil, false
	}
	if b[n-1] == '\r' {
		n--
	}
	return b[:n], n > 0
}

// single says whether b is one line, and of text.
func single(b []byte) bool {
	return bytes.IndexByte(b, '\n') < 0 && bytes.IndexByte(b, telnetIAC) < 0
}

const telnetIAC = 0xff // begins what is no text

// lose tells that bytes are missing.
func (l *lines) lose() {
	if l.reader != nil {
		l.reader.Reset(l)
	}
	l.skip = true
}

// data takes bytes that one end said.
func (t *talk) data(dir int, b []byte, at Mark) (more bool) {
	t.at = at
	if t.full = t.full || len(t.Commands) >= maxCommands; t.full {
		return false
	}
	if t.fresh {
		if t.fresh, t.hidden = false, isRecord(b[0]); t.hidden {
			t.events.secured(t)
		}
	}
	for len(b) > 0 {
		if t.hidden {
			b = t.opaque(dir, b)
			continue
		}
		if r := &t.tls[dir]; t.Cleared.Packet != 0 && (r.within() || r.starts(b)) { // one end's farewell to TLS may come behind what the other says in clear text
			b, _ = r.pass(b)
			continue
		}
		if line, ok := t.lines[dir].whole(b); ok && t.phrase(dir, line) {
			break
		}
		t.lines[dir].feed(b)
		if dir == fromClient {
			t.commands()
		} else {
			t.replies()
		}
		break
	}
	return true
}

// maxCommands is how many commands of a session are told.
const maxCommands = 200_000

// opaque passes over TLS, and returns what is behind it: clear text, after CCC.
func (t *talk) opaque(dir int, b []byte) []byte {
	if t.Secured.Packet == 0 && t.tls[dir].starts(b) {
		t.Secured, t.TLS = t.at, true
	}
	rest, clear := t.tls[dir].pass(b)
	if why, fatal := t.tls[dir].refusal(); fatal && !t.tls[1-dir].agreed {
		t.note("tls-refused", t.at, "who", who([...]string{"client", "server"}[dir]), "alert", why)
	}
	if !clear {
		return nil
	}
	if t.Cleared.Packet == 0 {
		t.Cleared = t.at
	}
	t.resync()
	for i := range t.lines {
		t.lines[i].lose()
		t.lines[i].skip = false
	}
	t.hidden = false
	return rest
}

// lose tells that bytes of one end are missing.
func (t *talk) lose(dir int) {
	if t.follower == nil {
		return
	}
	t.tls[dir] = records{lost: true}
	if t.hidden {
		return
	}
	t.lines[dir].lose()
	t.resync()
}

// resync goes on behind what could not be read.
func (t *talk) resync() {
	t.tracker.Resync()
	t.unsure = true
}

// close drops what only following needs.
func (t *talk) close() *follower {
	f := t.follower
	t.in = t.loggedIn()
	t.follower = nil
	return f
}

// loggedIn says whether the last login stands.
func (t *talk) loggedIn() bool {
	if t.follower == nil {
		return t.in
	}
	return t.tracker.Login() == dialogue.LoggedIn
}

// drop forgets a deal of which nothing came.
func (t *talk) drop(d *deal) {
	t.deals = slices.DeleteFunc(t.deals, func(x *deal) bool { return x == d })
}

func (t *talk) commands() {
	l := &t.lines[fromClient]
	for {
		c, err := l.reader.ReadCommand()
		switch {
		case errors.Is(err, errDry):
			return
		case errors.Is(err, ftp.ErrEmpty):
			continue
		case err != nil: // a line that is no command; the server will say so
			c = ftp.Command{}
		}
		t.command(c, t.opts.shown(c))
	}
}

// shown is the argument of a command as far as it may be shown.
func (o *Options) shown(c ftp.Command) string {
	switch {
	case c.Verb == "":
		return masked
	case o.ShowSecrets:
		return ftp.Escape(c.Arg)
	}
	return c.ShownArg()
}

func (t *talk) command(c ftp.Command, shown string) {
	t.numbers = append(t.numbers, int32(len(t.Commands)))
	t.Commands = append(t.Commands, Command{})
	said := &t.Commands[len(t.Commands)-1]
	said.Packet, said.Time, said.Verb, said.Arg = t.at.Packet, t.at.Time, c.Verb, shown
	if c.Verb != "" && !t.opts.ShowSecrets && (len(c.Verb) == len(t.secret) && strings.EqualFold(c.Verb, t.secret) || len(c.Verb) > 4 && c.Verb[:4] == "PASS") { // typed where a command was wanted, or without the blank
		said.Verb, said.Arg = masked, ""
	}
	switch c.Verb {
	case "USER":
		t.User = ftp.Escape(c.Arg)
	case "PASS":
		t.PasswordInClear = t.PasswordInClear || c.Arg != ""
		if t.secret, t.hide = c.Arg, ""; !t.opts.ShowSecrets {
			t.hide = ftp.Escape(c.Arg)
		}
	}
	t.tracker.Command(c)
	if moves(c.Verb) {
		t.asking++
		t.turn()
	}
}

// moves says whether a verb moves data.
func moves(verb string) bool {
	switch verb {
	case "RETR", "STOR", "STOU", "APPE", "LIST", "NLST", "MLSD":
		return true
	}
	return false
}

const masked = "****"

func (t *talk) replies() {
	l := &t.lines[fromServer]
	for {
		r, err := l.reader.ReadReply()
		switch {
		case errors.Is(err, errDry):
			return
		case err != nil: // no reply, though it may have been meant for one
			t.note("bad-reply", t.at)
			t.tracker.Resync()
			continue
		}
		t.reply(r, replyText(r))
		if t.hidden { // bytes behind the reply are TLS already
			if n := len(l.bytes); n > 0 {
				b := l.bytes
				l.bytes = nil
				t.opaque(fromServer, b)
			}
			return
		}
	}
}

func (t *talk) reply(r ftp.Reply, text string) {
	t.tracker.Reply(r)
	x := t.tracker.Exchange()
	if t.hide != "" {
		text = t.blot(text, x.Command.Verb)
	}
	t.refused = t.refused || r.Code >= 400
	i := t.index(x.Number)
	if i >= 0 && t.Commands[i].Verb == masked { // "500 SECRET not understood."
		text = masked
	}
	unasked := i < 0
	if unasked {
		i = len(t.Commands)
		t.Commands = append(t.Commands, Command{Time: t.at.Time})
	}
	if c := &t.Commands[i]; unasked || x.Final {
		c.Code, c.Reply, c.Replied = r.Code, text, t.at
	} else {
		t.early = append(t.early, Reply{})
		c.Begun = &t.early[len(t.early)-1]
		c.Begun.Mark, c.Begun.Code, c.Begun.Text = t.at, r.Code, text
	}
	if announces(x.Command.Verb) && x.Final {
		t.events.announced(t, x, i)
	}
	if x.Transfer.Number != 0 {
		t.turnTo(&x.Transfer)
		t.events.answered(t, x, i)
	}
	if t.asking > 0 {
		t.turn()
	}
	switch x.Command.Verb {
	case "TYPE":
		t.unsure = t.unsure && !x.Reply.Complete()
	case "MODE":
		if x.Reply.Complete() {
			t.setMode(x)
		}
	case "AUTH", "ADAT", "CCC", "REIN":
		if x.Command.Verb == "REIN" && x.Reply.Complete() {
			t.coding = ""
		}
		// After CCC the clear text comes behind the last record of TLS.
		was := t.hidden
		if t.hidden = t.tracker.State().Opaque || x.Command.Verb == "CCC" && was; t.hidden && !was {
			t.events.secured(t)
		}
	}
}

// replyText is the text of a reply, safe to show, its lines parted by \n.
func replyText(r ftp.Reply) string {
	if len(r.Lines) == 1 {
		return ftp.Escape(r.Lines[0])
	}
	return strings.TrimPrefix(strings.TrimPrefix(r.String(), strconv.Itoa(r.Code)), " ")
}

// sent is a command as it was told, with its argument as far as it may be shown.
func (t *talk) sent(i int) ftp.Command {
	return ftp.Command{Verb: t.Commands[i].Verb, Arg: t.Commands[i].Arg}
}

// oddity is something to be said of the session that only its following knows.
type oddity struct {
	name string
	at   []Mark
	args []any
}

// note keeps an oddity. The same thing again is one more packet of it.
func (t *talk) note(name string, at Mark, args ...any) {
	for i := range t.odd {
		if o := &t.odd[i]; o.name == name {
			if len(o.at) < maxRefusals {
				o.at = append(o.at, at)
			}
			return
		}
	}
	t.odd = append(t.odd, oddity{name, []Mark{at}, args})
}

// announces says whether a verb is that of an announcement.
func announces(verb string) bool {
	switch verb {
	case "PORT", "EPRT", "LPRT", "PASV", "EPSV", "LPSV", "CPSV", "SPSV":
		return true
	}
	return false
}

// turn tells of a transfer command whose turn has come.
func (t *talk) turn() { t.turnTo(t.tracker.Transfer()) }

func (t *talk) turnTo(x *dialogue.Transfer) {
	if x.Number <= t.seen {
		return
	}
	t.seen = x.Number
	t.asking = max(0, t.asking-1)
	t.events.asked(t, x, t.index(x.Number))
}

// index finds the command with a number of the tracker, -1 for none.
func (t *talk) index(number int) int {
	if number < 1 || number > len(t.numbers) {
		return -1
	}
	return int(t.numbers[number-1])
}

// records walks over TLS records without looking into them.
type records struct {
	head []byte // of a record, up to 5 bytes
	left int    // of the record
	lost bool   // some bytes are missing: where a record begins is not known

	agreed bool   // there was a record of what TLS is for
	kind   byte   // of the record
	alert  []byte // in clear text: level and description
}

// starts says whether b may be the beginning of TLS.
func (r *records) starts(b []byte) bool { return len(b) > 2 && isRecord(b[0]) && b[1] == 3 }

// within says whether a record has begun and not ended.
func (r *records) within() bool { return r.left > 0 || len(r.head) > 0 }

// isRecord: change_cipher_spec 20 to heartbeat 24 (RFC 8446 B.1, RFC 6520 3).
func isRecord(c byte) bool { return 20 <= c && c <= 24 }

// pass walks over b. It returns what is behind the last record if that is
// clear text.
func (r *records) pass(b []byte) (rest []byte, clear bool) {
	if r.lost {
		if looksClear(b) {
			return b, true
		}
		return nil, false
	}
	for len(b) > 0 {
		if r.left > 0 {
			n := min(r.left, len(b))
			if r.kind == tlsAlert && len(r.alert)+r.left == 2 {
				r.alert = append(r.alert, b[:n]...)
			}
			b, r.left = b[n:], r.left-n
			continue
		}
		if len(r.head) == 0 && !isRecord(b[0]) {
			if looksClear(b) {
				return b, true
			}
			r.lost = true
			return nil, false
		}
		r.head = append(r.head, b[0])
		b = b[1:]
		if len(r.head) == 5 {
			r.left = int(r.head[3])<<8 | int(r.head[4])
			r.kind = r.head[0]
			r.agreed = r.agreed || r.kind == tlsData
			r.head = r.head[:0]
		}
	}
	return nil, false
}

// looksClear says whether b is the beginning of a line of a dialogue.
func looksClear(b []byte) bool {
	line, _, ended := strings.Cut(string(b[:min(len(b), 256)]), "\n")
	if !ended {
		return false
	}
	if isReply([]byte(line)) {
		return true
	}
	c, err := ftp.ParseCommand(strings.TrimSuffix(line, "\r"))
	return err == nil && known[c.Verb]
}

// isReply says whether b begins as a reply does.
func isReply(b []byte) bool {
	return len(b) >= 4 && '1' <= b[0] && b[0] <= '6' && isDigit(b[1]) && isDigit(b[2]) && (b[3] == ' ' || b[3] == '-')
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// known holds the verbs by which a dialogue of FTP is told from others: SMTP
// greets by 220 too, POP3 knows USER and PASS.
var known = func() map[string]bool {
	m := map[string]bool{}
	for _, v := range strings.Fields(`USER PASS ACCT AUTH PROT PBSZ CCC FEAT SYST OPTS HOST CLNT PWD XPWD CWD CDUP TYPE MODE STRU
		PASV EPSV PORT EPRT LPRT LPSV RETR STOR STOU APPE LIST NLST MLSD MLST SIZE MDTM MFMT REST ALLO ABOR DELE RMD MKD RNFR RNTO
		SITE STAT REIN SMNT`) {
		m[v] = true
	}
	return m
}()

// sum tells how the port of an announcement comes of its two bytes: of PORT and
// PASV, the others say it in one number.
func sum(verb string, a netip.AddrPort) string {
	if verb != "PORT" && verb != "PASV" {
		return ""
	}
	return fmt.Sprintf("%d*256+%d = %d", a.Port()>>8, a.Port()&255, a.Port())
}
