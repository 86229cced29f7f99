// Package exitcode tells how a client ends: by the numbers of curl, which
// scripts know.
//
// It looks at errors and nothing else. What an error does not say of itself,
// such as that a local file could not be opened, is put to it by [With].
package exitcode

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"syscall"

	"towpath/ftp"
	"towpath/ftp/listing"
	"towpath/ftpclient"
	"towpath/ftpclient/proxy"
	"towpath/internal/ftpurl"
)

// The codes, as in curl(1), but for General and Interrupted, which are those of
// every shell.
const (
	OK              = 0
	General         = 1   // anything that has no number of its own
	Usage           = 2   // the command line is wrong
	URL             = 3   // a URL is wrong
	Resolve         = 6   // the host has no address
	Connect         = 7   // no connection to it, or no data connection in passive mode
	WeirdReply      = 8   // the server says what FTP does not know
	Access          = 9   // a directory cannot be entered or listed
	AcceptFailed    = 10  // active mode: the server did not connect
	AcceptTimeout   = 12  // active mode: it did not connect in time
	PassiveRefused  = 13  // EPSV and PASV were refused
	PassiveReply    = 14  // a 227 or 229 in which there is no address
	TypeRefused     = 17  // TYPE was refused
	Partial         = 18  // a part of the file came, or another file than was asked for
	RetrieveRefused = 19  // RETR or a listing was refused
	QuoteRefused    = 21  // another command was refused
	Write           = 23  // the file here could not be written
	StoreRefused    = 25  // STOR or APPE was refused
	Read            = 26  // the file here could not be read
	Timeout         = 28  // it took too long
	ActiveRefused   = 30  // PORT and EPRT were refused
	RestartRefused  = 31  // REST was refused
	TLS             = 35  // TLS did not come about
	Receive         = 56  // the connection was lost
	Certificate     = 60  // the certificate is not trusted
	Unprotected     = 64  // the server refused TLS
	Login           = 67  // the login was refused
	DiskFull        = 70  // the server has no room
	NotFound        = 78  // the file is not there
	Proxy           = 97  // the proxy does not do what it is asked
	Interrupted     = 130 // by SIGINT or SIGTERM
)

// coded is an error with a code of its own.
type coded struct {
	error
	code int
}

func (c *coded) Unwrap() error { return c.error }

// With gives err the code that [Of] returns for it. The code nearest to the
// outside counts.
func With(code int, err error) error {
	if err == nil {
		return nil
	}
	return &coded{err, code}
}

// Of returns the code for an error, and OK for nil. Of several causes in it that
// counts which says most: a login that was refused, not the connection that was
// closed for it.
func Of(err error) int {
	if err == nil {
		return OK
	}
	if c, ok := errors.AsType[*coded](err); ok {
		return c.code
	}
	for _, of := range []func(error) int{ofContext, ofURL, ofData, ofTLS, ofTransfer, ofReply, ofNet, ofFile} {
		if code := of(err); code != OK {
			return code
		}
	}
	return General
}

func ofContext(err error) int {
	switch {
	case errors.Is(err, context.Canceled):
		return Interrupted
	case errors.Is(err, context.DeadlineExceeded):
		return Timeout
	}
	return OK
}

func ofURL(err error) int {
	if _, ok := errors.AsType[*ftpurl.Error](err); ok {
		return URL
	}
	return OK
}

// ofData is for data connections that did not come about.
func ofData(err error) int {
	d, ok := errors.AsType[*ftpclient.DataError](err)
	if !ok {
		return OK
	}
	_, refused := errors.AsType[*ftp.Error](d.Err)
	passive, announced := d.Attempt.Mode.Passive(), d.Attempt.Target != ""
	switch {
	case errors.Is(d.Err, ftpclient.ErrPoisoned):
		return ofNet(d.Err)
	case passive && announced && timeout(d.Err):
		return Timeout
	case passive && announced:
		return Connect
	case passive && refused:
		return PassiveRefused
	case passive:
		return PassiveReply
	case !announced:
		return ActiveRefused
	case timeout(d.Err):
		return AcceptTimeout
	}
	return AcceptFailed
}

func ofTLS(err error) int {
	if errors.Is(err, ftpclient.ErrNoTLS) {
		return Unprotected
	}
	for _, is := range []func(error) bool{
		is[*tls.CertificateVerificationError], is[x509.UnknownAuthorityError],
		is[x509.HostnameError], is[x509.CertificateInvalidError],
	} {
		if is(err) {
			return Certificate
		}
	}
	if errors.Is(err, ftpclient.ErrInjected) || is[tls.AlertError](err) || is[tls.RecordHeaderError](err) {
		return TLS
	}
	return OK
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// ofTransfer is for what moved and did not arrive whole.
func ofTransfer(err error) int {
	switch {
	case errors.Is(err, ftpclient.ErrStalled):
		return Timeout
	case errors.Is(err, ftpclient.ErrCut), errors.Is(err, ftpclient.ErrRestart), is[*ftpclient.HashError](err):
		return Partial
	case errors.Is(err, ftpclient.ErrUnsolicited), is[*listing.LineError](err), is[*ftpclient.NameError](err):
		return WeirdReply
	}
	return OK
}

// refusals are the codes for commands that were refused.
var refusals = map[string]int{
	"":     WeirdReply, // the greeting
	"USER": Login, "PASS": Login, "ACCT": Login,
	"AUTH": Unprotected, "PBSZ": Unprotected, "PROT": Unprotected,
	"OPEN": Proxy, // one that speaks FTP itself
	"TYPE": TypeRefused,
	"REST": RestartRefused,
	"RETR": RetrieveRefused,
	"STOR": StoreRefused, "APPE": StoreRefused, "STOU": StoreRefused,
	"LIST": RetrieveRefused, "NLST": RetrieveRefused, "MLSD": RetrieveRefused,
	"CWD": Access, "CDUP": Access, "PWD": Access,
	"PASV": PassiveRefused, "EPSV": PassiveRefused,
	"PORT": ActiveRefused, "EPRT": ActiveRefused,
}

func ofReply(err error) int {
	e, ok := errors.AsType[*ftp.Error](err)
	if !ok {
		if errors.Is(err, ftpclient.ErrUnsupported) {
			return QuoteRefused
		}
		return OK
	}
	verb, code := e.Command.Verb, e.Reply.Code
	switch {
	case code == 452 || code == 552:
		return DiskFull
	case code == 426 || code == 451 && verb == "RETR": // it had begun
		return Partial
	case code == 550:
		switch verb {
		case "RETR", "SIZE", "MDTM", "MLST":
			return NotFound
		case "LIST", "NLST", "MLSD":
			return Access
		}
	}
	if c, ok := refusals[verb]; ok {
		return c
	}
	return QuoteRefused
}

func ofNet(err error) int {
	dns, _ := errors.AsType[*net.DNSError](err)
	op, _ := errors.AsType[*net.OpError](err)
	switch {
	case dns != nil && dns.IsNotFound:
		return Resolve
	case timeout(err):
		return Timeout
	case dns != nil:
		return Resolve
	case op != nil && op.Op == "dial":
		return Connect
	case is[*proxy.Error](err):
		return Proxy
	case errors.Is(err, io.ErrUnexpectedEOF):
		return Partial
	case op != nil, errors.Is(err, ftpclient.ErrPoisoned), errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
		return Receive
	}
	return OK
}

func timeout(err error) bool {
	n, ok := errors.AsType[net.Error](err)
	return ok && n.Timeout() || errors.Is(err, os.ErrDeadlineExceeded)
}

// ofFile is for files here, and for one of the server that it did not speak of.
func ofFile(err error) int {
	p, ok := errors.AsType[*fs.PathError](err)
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return Write
	case errors.Is(err, fs.ErrNotExist):
		return NotFound
	case !ok:
		return OK
	}
	switch p.Op {
	case "get", "write":
		return Write
	case "put", "append", "read":
		return Read
	}
	return OK
}
