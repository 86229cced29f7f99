package dialogue

import (
	"errors"

	"towpath/ftp"
)

// What can be wrong with an exchange, besides an announcement that cannot be
// read.
var (
	// ErrEPSVAll: a client that has said EPSV ALL, so that NATs on the way may
	// look away, announced by another verb (RFC 2428 4). The server took it,
	// but nothing is expected.
	ErrEPSVAll = errors.New("not allowed after EPSV ALL")
	// ErrTooMany: the reply to one of more than MaxAwaited commands.
	ErrTooMany = errors.New("too many commands were sent ahead of their replies")
	// ErrBehindAUTH: commands were sent in the clear behind an AUTH, where
	// somebody on the way could have put them. They are forgotten.
	ErrBehindAUTH = errors.New("commands behind AUTH came before TLS")
)

// Exchange is a reply with the command that it answers.
type Exchange struct {
	// Number says which command it is: they are counted from 1 in the order of
	// [Tracker.Command]. It is 0 if nobody asked (the greeting, say).
	Number int
	// Command is zero if nobody asked, and also if it is not known any more:
	// then Problem is ErrTooMany.
	Command ftp.Command
	Reply   ftp.Reply
	// Final is false for 1xx, after which more replies to the command follow.
	Final bool
	// Expectation is what the reply brought about, zero if nothing.
	Expectation Expectation
	// Transfer is how the transfer stands now if the command is a transfer
	// command, and else zero.
	Transfer Transfer
	// Problem is nil, or says why the reply did not do what it seemed to: an
	// announcement that was accepted and yet brings about no expectation, or
	// one of the errors of this package.
	Problem error
}

// Exchange returns what is known of the last reply. The next one overwrites it.
func (t *Tracker) Exchange() *Exchange { return &t.last }
