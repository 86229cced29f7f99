package exitcode

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"syscall"
	"testing"

	"towpath/ftp"
	"towpath/ftpclient"
	"towpath/ftpclient/proxy"
	"towpath/internal/ftpurl"
)

func refusal(verb string, code int) error {
	return &ftp.Error{Command: ftp.Command{Verb: verb, Arg: "x"}, Reply: ftp.NewReply(code, "No.")}
}

// The codes are curl's for the same mishap.
func TestOf(t *testing.T) {
	t.Parallel()
	_, badURL := ftpurl.Parse("http://h/")
	data := func(m ftpclient.Mode, target string, err error) error {
		return &ftpclient.DataError{Attempt: ftpclient.Attempt{Mode: m, Target: target}, Err: err}
	}
	late := fmt.Errorf("no connection within 10s: %w", os.ErrDeadlineExceeded)
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	for _, tt := range []struct {
		name string
		err  error
		want int
	}{
		{"nothing", nil, 0},
		{"something", errors.New("x"), 1},
		{"URL", badURL, 3},
		{"no such host", dial(&net.DNSError{IsNotFound: true}), 6},
		{"connection refused", dial(syscall.ECONNREFUSED), 7},
		{"no answer to SYN", dial(os.ErrDeadlineExceeded), 28},
		{"greeting 421", &ftp.Error{Reply: ftp.NewReply(421, "Too many.")}, 8},
		{"proxy forbids", fmt.Errorf("dial h:21: %w", &proxy.Error{Proxy: "p:1080", Target: "h:21", Err: proxy.ReplyError(2)}), 97},
		{"proxy out of reach", fmt.Errorf("proxy p:1080: %w", dial(syscall.ECONNREFUSED)), 7},
		{"login", fmt.Errorf("login: %w", refusal("PASS", 530)), 67},
		{"user", refusal("USER", 530), 67},

		{"EPSV refused", data(ftpclient.EPSV, "", refusal("EPSV", 500)), 13},
		{"227 without numbers", data(ftpclient.PASV, "", errors.New("want six numbers")), 14},
		{"passive port closed", data(ftpclient.PASV, "h:1", dial(syscall.ECONNREFUSED)), 7},
		{"passive port filtered", data(ftpclient.PASV, "h:1", late), 28},
		{"PORT refused", data(ftpclient.PORT, "", refusal("PORT", 500)), 30},
		{"active, 425", data(ftpclient.PORT, "h:1", refusal("RETR", 425)), 10},
		{"active, nobody came", data(ftpclient.EPRT, "h:1", late), 12},
		{"lost meanwhile", data(ftpclient.EPSV, "", fmt.Errorf("%w: %w", ftpclient.ErrPoisoned, io.EOF)), 56},

		{"RETR 550", &fs.PathError{Op: "get", Path: "x", Err: refusal("RETR", 550)}, 78},
		{"RETR 501", refusal("RETR", 501), 19},
		{"RETR 426", refusal("RETR", 426), 18},
		{"not in the listing", &fs.PathError{Op: "stat", Path: "x", Err: fs.ErrNotExist}, 78},
		{"LIST 550", refusal("LIST", 550), 9},
		{"STOR 553", refusal("STOR", 553), 25},
		{"STOR 452", refusal("STOR", 452), 70},
		{"REST 501", refusal("REST", 501), 31},
		{"TYPE 504", refusal("TYPE", 504), 17},
		{"DELE 550", refusal("DELE", 550), 21},
		{"SITE 500", refusal("SITE", 500), 21},
		{"no command for it", fmt.Errorf("chmod: %w", ftpclient.ErrUnsupported), 21},

		{"AUTH refused", fmt.Errorf("%w: %w", ftpclient.ErrNoTLS, refusal("AUTH", 502)), 64},
		{"certificate", &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, 60},
		{"alert", tls.AlertError(40), 35},
		{"no TLS there", tls.RecordHeaderError{}, 35},
		{"injected", ftpclient.ErrInjected, 35},

		{"stalled", ftpclient.ErrStalled, 28},
		{"cut", ftpclient.ErrCut, 18},
		{"another file", &ftpclient.HashError{}, 18},
		{"lost", fmt.Errorf("%w: %w", ftpclient.ErrPoisoned, io.EOF), 56},
		{"late reply", fmt.Errorf("%w: %w", ftpclient.ErrPoisoned, os.ErrDeadlineExceeded), 28},
		{"nobody asked", fmt.Errorf("%w: %w", ftpclient.ErrPoisoned, ftpclient.ErrUnsolicited), 8},

		{"disk full", &fs.PathError{Op: "get", Path: "x", Err: &fs.PathError{Op: "write", Path: "y", Err: syscall.ENOSPC}}, 23},
		{"not writable", &fs.PathError{Op: "get", Path: "x", Err: errors.New("broken pipe")}, 23},
		{"not readable", &fs.PathError{Op: "put", Path: "x", Err: &fs.PathError{Op: "read", Path: "y", Err: syscall.EISDIR}}, 26},
		{"interrupted", fmt.Errorf("get: %w", context.Canceled), 130},
		{"--max-time", fmt.Errorf("get: %w", context.DeadlineExceeded), 28},
		{"told", fmt.Errorf("get: %w", With(Usage, refusal("RETR", 550))), 2},
		{"told twice", With(Read, With(Usage, errors.New("x"))), 26},
	} {
		if got := Of(tt.err); got != tt.want {
			t.Errorf("%s (%v): %d, want %d", tt.name, tt.err, got, tt.want)
		}
	}
	if With(Usage, nil) != nil {
		t.Error("no error got a code")
	}
}
