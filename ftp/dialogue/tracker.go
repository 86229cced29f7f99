// Package dialogue follows the dialogue of a control connection and says which
// data connections to expect.
//
// Client and server agree on a data connection by what they say: PORT and EPRT,
// or the 227 and 229 that answer PASV and EPSV, announce where one of them
// listens. An announcement counts only with its answer; then it is an
// [Expectation], and the next transfer command uses it. A [Tracker] turns the
// one into the other. It is told of each command and each reply in the order in
// which they pass, be it by one of the two ends, by a gateway between them, or
// by whoever reads a capture of them.
//
// It does no I/O, knows no time, and judges nothing but the protocol: whether a
// foreign address or a low port is to be tolerated is for its user to say.
// Reading lines and the addresses in them belongs to package ftp.
package dialogue

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"

	"towpath/ftp"
)

// Tracker follows one dialogue. The zero value is ready for a connection that
// has just been made and whose greeting has not come.
//
// Commands await their replies in a queue. What a command does, it does when it
// is answered, and so it makes no difference whether a client waits for each
// reply or sends ahead.
//
//	     Command                   2xx to 5xx
//	o -------------> awaited, ------------------> answered
//	                 in turn
//	                  |   ^
//	                  +---+ 1xx: more will follow
//
// What the answers make of announcements and transfers:
//
//	           PORT, EPRT         2xx
//	nothing --------------> asked ----------> Expectation{Opener: Server} --+
//	  ^   ^ --------------> asked ----------> Expectation{Opener: Client} --+
//	  |   |    PASV, EPSV      |  227, 229                                  |
//	  |   +--------------------+                        RETR, STOR, LIST …  |
//	  |      any other answer                          (its turn has come)  |
//	  |                                                                     v
//	  |  226, 250, 425, 426 …                        150, 125         Transfer
//	  +------------------------- Transfer, begun <------------------- asked
//
// Three arrows are not drawn. A transfer that is refused before it begins (550,
// say) leaves its expectation to the next one, since the listener is still
// there (vsftpd, BSD). An expectation falls with the answer to the next
// announcement, whatever it is. And it falls when USER, REIN or AUTH is
// accepted and when the server takes its leave by 221 or 421.
//
// Whatever it is fed, a Tracker keeps no more than [MaxAwaited] commands. It is
// not safe for concurrent use.
type Tracker struct {
	// Client and Server are the ends of the control connection. While they are
	// not set, the addresses that only they can tell stay invalid: who opens a
	// data connection, and to which host after an EPSV.
	Client, Server netip.AddrPort

	state State
	queue queue
	last  Exchange
	made  int // expectations
}

// Command takes note of a command of the client. A line that is no command must
// be told as the zero Command when the server will answer it (500), and left
// out when servers pass over it (an empty line).
func (t *Tracker) Command(c ftp.Command) {
	t.queue.push(c)
	t.start()
}

// Reply takes note of a reply of the server, and returns the expectation that
// it brings about, if it does. [Tracker.Exchange] tells more about the reply.
//
// A reply belongs to the oldest command that awaits one, with these exceptions:
//   - 220 and 120 before anything else are the greeting. If the dialogue is not
//     followed from its start, call [Tracker.Resync] first.
//   - While a transfer is under way, servers may answer ABOR, NOOP, QUIT and
//     STAT before it ends. A code that cannot end a transfer, such as 200, 211
//     or 225, goes to the first of these.
//   - Some servers answer the transfer or the ABOR that ended it, but not both.
//     The one that is left waits no longer when a code comes that cannot be
//     meant for it.
//   - Nobody may have asked: 421 in an idle session. Such a reply changes
//     nothing but [State.Closing].
func (t *Tracker) Reply(r ftp.Reply) (Expectation, bool) {
	t.reply(r)
	return t.last.Expectation, t.last.Expectation.Number != 0
}

func (t *Tracker) reply(r ftp.Reply) {
	a := t.match(r)
	x := &t.last
	x.Number, x.Command, x.Reply, x.Final, x.Problem = 0, ftp.Command{}, r, !r.Preliminary(), nil
	if x.Expectation.Number != 0 {
		x.Expectation = Expectation{}
	}
	if x.Transfer.Number != 0 {
		x.Transfer = Transfer{}
	}
	if a != nil {
		x.Number, x.Command = a.number, a.command
		if x.Final {
			t.settle(a, r)
		} else {
			t.begin(r)
		}
	}
	if t.state.Closing = closing(x.Command, r); t.state.Closing {
		t.state.Expectation = Expectation{}
	}
	t.start()
}

// Resync tells that lines were missed, or that it is not known how the next
// ones belong to those before: a capture that begins in the middle of a session
// or has a gap, or clear text after CCC that was said under TLS. What awaited a
// reply is forgotten, and so are the expectation, the transfer and the REST and
// RNFR that prepared one; no greeting is awaited; lines can be read again. The
// rest of the state stays as it was last known.
func (t *Tracker) Resync() {
	t.queue.clear()
	t.endTransfer(&awaited{begun: true}, 0)
	t.state.forget()
	t.state.Greeted = true
	t.state.Opaque = false
}

// Reset makes t ready for another dialogue, as a new one is. It keeps memory.
func (t *Tracker) Reset() {
	t.queue.clear()
	list := t.queue.list
	*t = Tracker{}
	t.queue.list = list
}

// match finds the command that r answers, nil if nobody asked, and takes it out
// of the queue if r is final.
func (t *Tracker) match(r ftp.Reply) *awaited {
	if !t.state.Greeted {
		switch r.Code {
		case 120, 421:
			return nil
		case 220:
			t.state.Greeted = true
			return nil
		}
		t.state.Greeted = true // it was missed
		t.start()
	}
	for t.queue.len() > 1 && t.queue.head().unanswered(r.Code) {
		if a := t.queue.take(0); a.transfer() {
			t.endTransfer(a, 0)
		}
		t.start()
	}
	if t.queue.len() == 0 {
		return nil
	}
	i := 0
	if h := t.queue.head(); h.transfer() && !ends(r.Code, h.begun) && !r.Preliminary() {
		i = t.queue.meanwhile()
	}
	if r.Preliminary() {
		return t.queue.head()
	}
	return t.queue.take(i)
}

// start lets the transfer command whose turn has come take its expectation.
func (t *Tracker) start() {
	if !t.state.Greeted || t.queue.len() == 0 {
		return
	}
	h := t.queue.head()
	if !h.transfer() || h.started {
		return
	}
	h.started = true
	t.state.Transfer = Transfer{
		Number:      h.number,
		Verb:        h.command.Verb,
		Path:        h.command.Arg,
		Offset:      t.state.Offset,
		Type:        cmp.Or(t.state.Type, typeDefault),
		Protected:   t.state.protected(),
		Expectation: t.state.Expectation,
		Phase:       Asked,
	}
	t.state.Offset = 0
	t.state.Expectation = Expectation{}
}

// begin takes note of a 1xx to the head of the queue.
func (t *Tracker) begin(r ftp.Reply) {
	h := t.queue.head()
	h.begun = true
	if !h.transfer() {
		return
	}
	x := &t.state.Transfer
	x.Phase, x.Code = Begun, r.Code
	// STOU tells the name that it chose (RFC 1123 4.1.2.9).
	if name, ok := strings.CutPrefix(lastLine(r), "FILE: "); ok && x.Verb == "STOU" {
		x.Path = name
	}
	t.last.Transfer = *x
}

// settle does what a command does by its final reply.
func (t *Tracker) settle(a *awaited, r ftp.Reply) {
	if !a.known {
		// It may have been anything, so nothing is expected any more.
		t.state.forget()
		t.last.Problem = ErrTooMany
		return
	}
	if a.transfer() {
		t.endTransfer(a, r.Code)
		t.last.Transfer = t.state.Transfer
		return
	}
	switch {
	case a.does.announces != nil:
		t.last.Expectation, t.last.Problem = t.announce(a.does.announces, a.command, r)
	case a.does.effect != nil:
		t.last.Problem = a.does.effect(t, a.command, r)
	}
}

// announce makes an expectation of an announcement and its answer.
func (t *Tracker) announce(how *announcement, c ftp.Command, r ftp.Reply) (Expectation, error) {
	if c.Verb == "EPSV" && isAll(c.Arg) {
		t.state.EPSVAll = t.state.EPSVAll || r.Complete()
		if r.Code != how.code {
			return Expectation{}, nil
		}
		// ftpserverlib takes ALL for a plain EPSV, and listens.
	}
	t.state.Expectation = Expectation{}
	if !r.Complete() {
		return Expectation{}, nil
	}
	if t.state.EPSVAll && c.Verb != "EPSV" {
		return Expectation{}, fmt.Errorf("%s: %w", c.Verb, ErrEPSVAll)
	}
	if how.code != 0 && r.Code != how.code {
		return Expectation{}, fmt.Errorf("%s answered by %d: want %d", c.Verb, r.Code, how.code)
	}
	addr, err := how.read(c, r)
	if err != nil {
		return Expectation{}, fmt.Errorf("%s answered by %d: %w", c.Verb, r.Code, err)
	}
	t.made++
	e := how.expect(addr, t.Client, t.Server)
	e.Number = t.made
	e.Verb = c.Verb
	e.Protected = t.state.protected()
	if e.Family == 0 && c.Verb == "EPSV" {
		e.Family = epsvFamily(c.Arg)
	}
	t.state.Expectation = e
	return e, nil
}

// endTransfer takes note of how the transfer of a ended; 0 is a reply that did
// not come.
func (t *Tracker) endTransfer(a *awaited, code int) {
	x := &t.state.Transfer
	if x.Phase != Asked && x.Phase != Begun {
		return
	}
	x.Phase, x.Code = Ended, code
	if !a.begun && refused(code) {
		t.state.Expectation, x.Expectation = x.Expectation, Expectation{}
	}
}

// closing reports whether r takes leave of the client: 421 says so to whatever
// command, 221 to QUIT or to none (but FileZilla ends STAT by it).
func closing(c ftp.Command, r ftp.Reply) bool {
	return r.Code == 421 || r.Code == 221 && (c.Verb == "QUIT" || c.Verb == "")
}
