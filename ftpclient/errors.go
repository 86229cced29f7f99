package ftpclient

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strings"

	"towpath/ftp"
)

var (
	// ErrPoisoned: the session is over, because nobody could tell any more
	// which reply belongs to which command, or because the server or the
	// network ended it. The cause is wrapped beside it. [Client.Reconnect]
	// begins a new one.
	ErrPoisoned = errors.New("the session is lost")
	// ErrUnsolicited: the server said something that nobody had asked for.
	// Taking it for an answer would be how an attacker answers in its place.
	ErrUnsolicited = errors.New("a reply came to no command")
	// ErrInjected: bytes in clear text lay behind the answer to AUTH TLS.
	ErrInjected = errors.New("bytes came in clear text behind the answer to AUTH TLS; somebody may sit between")
	// ErrNoTLS: the server refused TLS. Nothing else was sent to it.
	ErrNoTLS = errors.New("the server refused TLS")
	// ErrUnsupported: the server has no command for it.
	ErrUnsupported = errors.New("the server offers no command for it")
	// ErrCut: the TLS of a data connection ended without close_notify, and
	// nothing else shows that the data is whole.
	ErrCut = fmt.Errorf("the data connection was cut: TLS ended without close_notify: %w", io.ErrUnexpectedEOF)
	// ErrRestart: a download went on in the middle of a file and brought more than
	// the rest of it. The server did not heed REST, or the file has changed; what
	// came is no part of it at that place.
	ErrRestart = errors.New("the download did not go on where it was to")
	// ErrStalled: no byte moved for Options.StallTimeout.
	ErrStalled = errors.New("the transfer stalled")
	// ErrAddress: our external address was to be learned, and the server does
	// not tell it. It can be set as Options.ActiveAddress.
	ErrAddress = errors.New("the server does not tell from where it sees us")
	// ErrCommand: a command that [Client.Quote] does not send, since the
	// session would not know what happened to it.
	ErrCommand = errors.New("this command is not sent raw")
)

// dialError tells that nobody could be reached. What net.Dialer says begins with
// the address too; it is shown twice only where the two differ, as those of a
// name and of the host behind it do.
type dialError struct {
	addr string
	err  error
}

func (e *dialError) Error() string { return fmt.Sprintf("dial %s: %v", e.addr, beyond(e.addr, e.err)) }
func (e *dialError) Unwrap() error { return e.err }

// DataError tells that no data connection came about.
type DataError struct {
	// Attempt is the last one.
	Attempt Attempt
	// Before are the attempts before it for the same command, by other modes.
	Before []Attempt
	Err    error
}

// Error says what happened on the wire. What to try is said by [DataError.Try].
func (e *DataError) Error() string {
	head := "no data connection for " + e.Attempt.Command.Verb
	if len(e.Before) == 0 {
		return fmt.Sprintf("%s by %v%s", head, e.Attempt.Mode, e.Attempt.why(e.Err))
	}
	var b strings.Builder
	b.WriteString(head)
	for _, a := range e.Before {
		fmt.Fprintf(&b, "; by %v%s", a.Mode, strings.TrimSuffix(a.why(a.Err), "."))
	}
	fmt.Fprintf(&b, "; by %v%s", e.Attempt.Mode, e.Attempt.why(e.Err))
	return b.String()
}

// Try returns the mode that may help: [Passive] when only the server has tried
// to reach us, [Active] when only we have tried to reach it, and false when both
// ways have failed.
func (e *DataError) Try() (Mode, bool) {
	passive := e.Attempt.Mode.Passive()
	for _, a := range e.Before {
		if a.Mode.Passive() != passive {
			return 0, false
		}
	}
	if passive {
		return Active, true
	}
	return Passive, true
}

// Unwrap returns the cause: a *ftp.Error or an error of the network.
func (e *DataError) Unwrap() error { return e.Err }

// beyond is what an error of net.Dialer says beyond the address that was dialled.
func beyond(addr string, err error) error {
	op, ok := err.(*net.OpError)
	if !ok || op.Op != "dial" {
		return err
	}
	if op.Addr != nil && op.Addr.String() != addr {
		return fmt.Errorf("%v: %w", op.Addr, op.Err)
	}
	return op.Err
}

// HashError tells that a file and its copy are not the same.
type HashError struct {
	Name, Algorithm string
	Local, Remote   []byte
}

// Error shows both digests.
func (e *HashError) Error() string {
	return fmt.Sprintf("%s of %s is %x here and %x on the server: the copies differ; transfer it again", e.Algorithm, ftp.Escape(e.Name), e.Local, e.Remote)
}

// refusal is a *ftp.Error of which more is known than its code.
type refusal struct {
	said *ftp.Error
	kind error // fs.ErrNotExist, fs.ErrPermission …
}

func (r *refusal) Error() string   { return r.said.Error() }
func (r *refusal) Unwrap() []error { return []error{r.said, r.kind} }

// known adds what the words of a 550 make plain. The code alone says "not
// taken", and everything from a missing file to a full disk is answered by it.
func known(err error) error {
	e, ok := errors.AsType[*ftp.Error](err)
	if !ok || e.Reply.Code != 550 {
		return err
	}
	text := strings.ToLower(e.Reply.String())
	for _, w := range []struct {
		words string
		kind  error
	}{
		{"no such", fs.ErrNotExist},
		{"not found", fs.ErrNotExist},
		{"not exist", fs.ErrNotExist}, // "does not exist", "doesn't exist" is below
		{"n't exist", fs.ErrNotExist},
		{"cannot find", fs.ErrNotExist}, // IIS
		{"can't find", fs.ErrNotExist},
		{"permission", fs.ErrPermission},
		{"denied", fs.ErrPermission},
		{"already exists", fs.ErrExist},
		{"file exists", fs.ErrExist},
	} {
		if strings.Contains(text, w.words) {
			return &refusal{e, w.kind}
		}
	}
	return err
}

// about puts a name to an error.
func about(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: name, Err: known(err)}
}

// refused tells whether err is a refusal with one of these codes.
func refused(err error, codes ...int) bool {
	e, ok := errors.AsType[*ftp.Error](err)
	if !ok {
		return false
	}
	for _, c := range codes {
		if e.Reply.Code == c {
			return true
		}
	}
	return false
}

// concerns tells whether err is a refusal of that very command, and not of one
// that had to come before it, as EPSV comes before MLSD.
func concerns(err error, verb string) bool {
	e, ok := errors.AsType[*ftp.Error](err)
	return ok && e.Command.Verb == verb
}

// unknown tells whether err means that the server does not have the command.
func unknown(err error) bool { return refused(err, 500, 502, 504) }
