package ftpserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"syscall"

	"towpath/ftp"
	"towpath/storage"
)

// What a handler may answer beside the errors of storage.
var (
	errSyntax   = errors.New("argument missing or malformed")
	errDenied   = errors.New("permission denied")
	errName     = errors.New("name not allowed")
	errAborted  = errors.New("aborted by the client")
	errGone     = errors.New("control connection lost")
	errStalled  = errors.New("no data moved in time")
	errTooSlow  = errors.New("slower than the minimum rate")
	errUnclean  = errors.New("data connection ended without close_notify")
	errChanged  = errors.New("file became shorter while it was sent")
	errInflated = errors.New("compressed data grows beyond the limit")
	errCorrupt  = errors.New("compressed data is damaged")
	errNoMark   = errors.New("compressed data or records end without their end mark")
)

// replyError is an error that knows its reply.
type replyError struct {
	reply ftp.Reply
	cause error
}

func (e *replyError) Error() string {
	if e.cause != nil {
		return e.cause.Error()
	}
	return e.reply.String()
}
func (e *replyError) Unwrap() error { return e.cause }

// refuse is an error that is answered by code and text; cause is for the log.
func refuse(code int, text string, cause error) error {
	return &replyError{ftp.NewReply(code, text), cause}
}

// deniedError tells the log which right a path lacks. The client hears no more than
// of [errDenied].
type deniedError struct {
	lacks Rights
	path  string
}

func (e *deniedError) Error() string {
	return fmt.Sprintf("%v: %s lacks the right %v", errDenied, e.path, e.lacks)
}
func (e *deniedError) Unwrap() error { return errDenied }

// refusal turns an error into the reply that the client may see. Paths of the
// host and the texts of the system stay here.
//
// The codes matter: lftp repeats after 450, 451, 452 and 426 and gives up
// after 550, 552 and 553.
func refusal(err error, cmd *command, c ftp.Command) ftp.Reply {
	if e, ok := errors.AsType[*replyError](err); ok {
		return e.reply
	}
	switch {
	case errors.Is(err, errSyntax):
		return ftp.NewReply(501, "Syntax: "+c.Verb+" "+cmd.syntax)
	case errors.Is(err, errDenied), errors.Is(err, fs.ErrPermission):
		return ftp.NewReply(550, "Permission denied.")
	case errors.Is(err, errName), errors.Is(err, storage.ErrName):
		return ftp.NewReply(553, "This name is not allowed.")
	case errors.Is(err, fs.ErrNotExist):
		return ftp.NewReply(550, "No such file or directory.")
	case errors.Is(err, fs.ErrExist):
		return ftp.NewReply(550, "The name is taken.")
	case errors.Is(err, storage.ErrNotRegular):
		return ftp.NewReply(550, "Not a plain file.")
	case errors.Is(err, storage.ErrIsDir):
		return ftp.NewReply(550, "Is a directory.")
	case errors.Is(err, storage.ErrNotDir):
		return ftp.NewReply(550, "Not a directory.")
	case errors.Is(err, storage.ErrNotEmpty):
		return ftp.NewReply(550, "The directory is not empty.")
	case errors.Is(err, storage.ErrOffset):
		return ftp.NewReply(554, "REST is beyond the end of the file.")
	case errors.Is(err, storage.ErrBusy):
		return ftp.NewReply(450, "Somebody else is writing this file; try again later.")
	case errors.Is(err, storage.ErrFull):
		return ftp.NewReply(452, "No space left on the server.")
	case errors.Is(err, ErrQuota):
		return ftp.NewReply(552, "Your quota has no room for this.")
	case errors.Is(err, storage.ErrUnsupported):
		return ftp.NewReply(504, "The storage behind this server cannot do that.")
	case errors.Is(err, errAborted):
		return ftp.NewReply(426, "Transfer aborted.")
	case errors.Is(err, errStalled):
		return ftp.NewReply(426, "No data moved for too long; transfer aborted.")
	case errors.Is(err, errTooSlow):
		return ftp.NewReply(426, "The transfer was slower than the minimum rate; aborted.")
	case errors.Is(err, errUnclean):
		return ftp.NewReply(426, "The data ended without a TLS close_notify, so it may be cut; not stored.")
	case errors.Is(err, errGone), errors.Is(err, errDraining), errors.Is(err, context.Canceled):
		return ftp.NewReply(426, "Transfer aborted.")
	case errors.Is(err, errChanged):
		return ftp.NewReply(451, "The file became shorter while it was sent.")
	case errors.Is(err, errInflated):
		return ftp.NewReply(552, "The compressed data grows beyond the limit.")
	case errors.Is(err, errNoMark):
		return ftp.NewReply(426, "The data is cut: its end mark is missing.")
	case errors.Is(err, errCorrupt):
		return ftp.NewReply(451, "The data is damaged.")
	case isNetwork(err):
		return ftp.NewReply(426, "The data connection broke.")
	default:
		return ftp.NewReply(451, "Local error.")
	}
}

// isNetwork tells whether an error is the connection's and not the disk's. A
// splice from a socket into a file reports both as a write to the file.
func isNetwork(err error) bool {
	for _, e := range []error{
		syscall.ECONNRESET, syscall.EPIPE, syscall.ETIMEDOUT, syscall.ECONNABORTED, syscall.EHOSTUNREACH,
		syscall.ENETUNREACH, syscall.ENOTCONN, os.ErrDeadlineExceeded, net.ErrClosed, io.ErrUnexpectedEOF,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	_, ok := errors.AsType[*net.OpError](err)
	return ok
}
