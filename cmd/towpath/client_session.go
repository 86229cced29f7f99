package main

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	osuser "os/user"
	"slices"
	"strings"
	"time"

	"github.com/lmittmann/tint"
	"golang.org/x/term"

	"towpath/ftp"
	"towpath/ftpclient"
	"towpath/ftpclient/proxy"
	"towpath/internal/columns"
	"towpath/internal/exitcode"
	"towpath/internal/ftpurl"
	"towpath/internal/netrc"
)

// visit is one run of a client verb: the sessions that it has opened, one for
// each login.
type visit struct {
	*clientFlags
	options ftpclient.Options
	route   route
	logins  *netrc.File
	exposed string    // warns of the mode of their file, until it was told
	notes   io.Writer // for what is said beside the result
	open    map[string]*ftpclient.Client
	failed  int // the code of the first failure that was told
	cancel  context.CancelFunc
	began   time.Time
}

// visit begins a run. Whoever begins it ends it by close.
func (v *clientFlags) visit(ctx context.Context, notes io.Writer) (*visit, context.Context, error) {
	if v.guest != nil && notes == os.Stderr {
		notes = v.guest.notes
	}
	s := &visit{clientFlags: v, notes: notes, open: map[string]*ftpclient.Client{}, cancel: func() {}, began: time.Now()}
	var err error
	if s.options, err = v.options(); err != nil {
		return nil, nil, err
	}
	if s.route, err = v.route(os.Getenv); err != nil {
		return nil, nil, err
	}
	switch v.tls {
	case "", "off", "try", "require":
	default:
		return nil, nil, misuse("--tls %q: want off, try or require", v.tls)
	}
	if err := s.loadLogins(); err != nil {
		return nil, nil, err
	}
	level := slog.LevelWarn
	if v.retry > 0 || v.trace {
		level = slog.LevelInfo // retries are seen, and their reason
	}
	lasting := notes // for what a session says, which may outlive the verb
	if v.guest != nil {
		lasting = v.guest.notes
	}
	s.options.Log = slog.New(tint.NewTextHandler(lasting, &tint.Options{Level: level, NoColor: true, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	switch {
	case v.guest != nil:
		s.options.Trace = v.guest.sessions.trace(newInterpreter(lasting))
		if v.trace {
			v.guest.sessions.tracing.Add(1)
		}
	case v.trace:
		s.options.Trace = newInterpreter(notes).line
	}
	if v.maxTime > 0 {
		ctx, s.cancel = context.WithTimeout(ctx, time.Duration(v.maxTime))
	}
	return s, ctx, nil
}

// loadLogins reads the .netrc. Only one that was asked for must be there.
func (s *visit) loadLogins() error {
	if s.noNetrc || s.anonymous {
		if s.netrc != "" {
			return misuse("--netrc-file, and at the same time -n or -a, which take no login from it")
		}
		return nil
	}
	path := cmp.Or(s.netrc, netrc.Find(os.Getenv))
	if path == "" {
		return nil
	}
	f, warning, err := netrc.Load(path)
	if errors.Is(err, fs.ErrNotExist) && s.netrc == "" {
		return nil
	}
	if err != nil {
		return misuse("logins: %w", err)
	}
	s.logins, s.exposed = f, warning
	return nil
}

// close ends the sessions, and tells what was remarkable about their data
// connections.
func (s *visit) close() {
	for key, c := range s.open {
		s.remark(slices.DeleteFunc(c.Attempts(), func(a ftpclient.Attempt) bool { return a.Start.Before(s.began) }))
		if s.guest != nil {
			s.guest.sessions.give(key, c)
			continue
		}
		_ = c.Close() // all that counts has been answered
	}
	if s.guest != nil && s.trace {
		s.guest.sessions.tracing.Add(-1)
	}
	s.cancel()
}

// remark tells once of each way that has failed although another worked, and of
// addresses that were announced and not followed.
func (s *visit) remark(attempts []ftpclient.Attempt) {
	told := map[ftpclient.Mode]bool{}
	for i, a := range attempts {
		if told[a.Mode] || a.Err == nil && !a.Foreign {
			continue
		}
		way := a.Mode // that worked, or works now
		for _, later := range attempts[i:] {
			if later.Err == nil {
				way = later.Mode
				break
			}
		}
		switch {
		case a.Err == nil:
			s.note("%v", a)
		case way != a.Mode:
			s.note("%s; went on by %v", strings.TrimSuffix(a.String(), "."), way)
		default: // the error has told
			continue
		}
		told[a.Mode] = true
	}
}

func (s *visit) note(format string, a ...any) {
	if s.guest == nil { // who sits in a shell knows who speaks
		format = "towpath: " + format
	}
	fmt.Fprintln(s.notes, columns.ShownLines(fmt.Sprintf(format, a...))) // what cannot be told is lost
}

// fail tells of an error and goes on.
func (s *visit) fail(err error) {
	if err == nil {
		return
	}
	s.note("%v", advised(err))
	s.failed = cmp.Or(s.failed, exitcode.Of(err))
}

// ended puts the end of a context into the words of its user.
func ended(ctx context.Context, err error) error {
	if ctx.Err() == nil || !errors.Is(err, ctx.Err()) {
		return err
	}
	text := "interrupted"
	if errors.Is(err, context.DeadlineExceeded) {
		text = "the time of --max-time is over"
	}
	return exitcode.With(exitcode.Of(err), errors.New(text))
}

// result is what the run ends by, when each failure has been told.
func (s *visit) result() error {
	if s.failed == 0 {
		return nil
	}
	return exit(s.failed, errors.New(""))
}

// parse reads URLs, all of them before anything is done.
func (s *visit) parse(args []string) ([]ftpurl.URL, error) {
	urls := make([]ftpurl.URL, len(args))
	for i, a := range args {
		u, err := s.address(a)
		if err != nil {
			return nil, err
		}
		if u.Port == 0 {
			u.Port = s.port
		}
		if u.User == "" && s.user != "" {
			u.User, u.Password, u.HasPassword = strings.Cut(s.user, ":")
		}
		urls[i] = u
	}
	return urls, nil
}

// address reads a URL. In a shell it may be the name of a file there.
func (s *visit) address(a string) (ftpurl.URL, error) {
	if s.guest != nil && !strings.Contains(a, "://") {
		return s.guest.resolve(a)
	}
	return ftpurl.Parse(a)
}

// client returns a session for a URL, the same for all URLs of one login.
func (s *visit) client(ctx context.Context, u ftpurl.URL) (*ftpclient.Client, error) {
	key := ftpurl.Format(ftpurl.URL{Scheme: u.Scheme, Host: u.Host, Port: u.Port, User: u.User, Password: u.Password, HasPassword: u.HasPassword})
	if s.guest != nil {
		key += " " + s.sameSessions()
		if s.open[key] == nil {
			if c := s.guest.sessions.take(key); c != nil {
				if err := c.Err(); err != nil {
					s.note("%s: the session had ended (%v); beginning another", u.Host, err)
				}
				s.open[key] = c
			}
		}
	}
	if c := s.open[key]; c != nil {
		return c, c.Reconnect(ctx)
	}
	c, _, err := s.dial(ctx, u)
	if err != nil {
		return nil, err
	}
	s.open[key] = c
	return c, nil
}

// pool returns up to n sessions for a URL. Whoever gets it closes it.
func (s *visit) pool(ctx context.Context, u ftpurl.URL, n int) (*ftpclient.Pool, error) {
	c, o, err := s.dial(ctx, u) // what --tls=try comes to is found out once
	if err != nil {
		return nil, err
	}
	_ = c.Close() // it has done nothing
	return ftpclient.NewPool(u.Addr(), o, n)
}

// dial opens a session for a URL, and returns the options that it took.
func (s *visit) dial(ctx context.Context, u ftpurl.URL) (*ftpclient.Client, ftpclient.Options, error) {
	o, try, err := s.plan(ctx, u)
	if err != nil {
		return nil, o, err
	}
	c, err := ftpclient.Dial(ctx, u.Addr(), o)
	if errors.Is(err, ftpclient.ErrNoTLS) && try {
		s.note("%s: no TLS (%v); going on in clear text, as --tls=try says", u.Host, err)
		o.TLS, o.ClearControl = ftpclient.Plain, false
		c, err = ftpclient.Dial(ctx, u.Addr(), o)
	}
	if err != nil {
		if s.guest != nil && exitcode.Of(err) == exitcode.Login {
			s.guest.forget(u, o.User)
		}
		return nil, o, hinted(err, u)
	}
	return c, o, nil
}

// plan is how a session for a URL is opened: login, TLS, and the way there. try
// means that it goes on in clear text if TLS is refused.
func (s *visit) plan(ctx context.Context, u ftpurl.URL) (o ftpclient.Options, try bool, err error) {
	o = s.options
	if err := s.login(ctx, &o, u); err != nil {
		return o, false, err
	}
	want := s.tls
	if s.sslReqd {
		want = "require"
	}
	switch {
	case u.Scheme == ftpurl.FTPS:
		o.TLS = ftpclient.Implicit
	case u.Scheme == ftpurl.FTPES, want == "require", want == "try":
		o.TLS = ftpclient.Explicit
	}
	if o.ClearControl = s.sslCCC; s.sslCCC && o.TLS == ftpclient.Plain {
		return o, false, misuse("--ftp-ssl-ccc ends TLS behind the login, and %s is spoken in clear text; want ftpes:// or --tls=require", u)
	}
	note, err := s.route.lead(&o, u)
	if err != nil {
		return o, false, err
	}
	if note != "" {
		s.note("%s", note)
	}
	return o, want == "try" && u.Scheme == ftpurl.FTP, nil
}

// login finds out who we are: by the URL and --user, the .netrc, or asking.
func (s *visit) login(ctx context.Context, o *ftpclient.Options, u ftpurl.URL) error {
	o.User, o.Password = u.User, u.Password
	if s.anonymous {
		if u.User != "" && u.User != "anonymous" && u.User != "ftp" {
			return misuse("-a logs in as anonymous, and the URL or --user says %q", u.User)
		}
		o.User = ""
	}
	if e, ok := s.logins.Lookup(u.Host, o.User); ok && !u.HasPassword && !s.anonymous {
		o.User, o.Password = cmp.Or(o.User, e.Login), e.Password
		o.Account = cmp.Or(o.Account, e.Account)
		if s.exposed != "" && e.HasPassword {
			s.note("%s", s.exposed)
			s.exposed = ""
		}
		if e.HasPassword {
			return nil
		}
	}
	switch {
	case u.HasPassword && o.User != "":
		return nil
	case o.User == "" || o.User == "anonymous" || o.User == "ftp":
		o.User = cmp.Or(o.User, "anonymous")
		o.Password = cmp.Or(os.Getenv("FTPANONPASS"), "anonymous@")
		return nil
	}
	if s.guest != nil {
		p, err := s.guest.password(ctx, u, o.User, fmt.Sprintf("Password of %s on %s: ", columns.Shown(o.User), columns.Shown(u.Host)))
		o.Password = p
		return err
	}
	if in := int(os.Stdin.Fd()); term.IsTerminal(in) {
		fmt.Fprintf(os.Stderr, "Password of %s on %s: ", columns.Shown(o.User), columns.Shown(u.Host))
		b, err := term.ReadPassword(in)
		fmt.Fprintln(os.Stderr)
		if err != nil {
			return fmt.Errorf("password: %w", err)
		}
		o.Password = string(b)
	}
	return nil
}

// wantsTLS reports whether a server turns away who comes in clear text: 530 "Non-anonymous
// sessions must use encryption." (vsftpd), 550 "SSL/TLS required on the control channel"
// (ProFTPD), 421 "Sorry, cleartext sessions and weak ciphers are not accepted" (Pure-FTPd).
func wantsTLS(r ftp.Reply) bool {
	text := strings.ToLower(r.String())
	return strings.Contains(text, "tls") || strings.Contains(text, "ssl") || strings.Contains(text, "encryption") || strings.Contains(text, "cleartext")
}

// hinted adds to an error of dialling what to try.
func hinted(err error, u ftpurl.URL) error {
	text := ""
	switch exitcode.Of(err) {
	case exitcode.Login:
		e, _ := errors.AsType[*ftp.Error](err)
		switch {
		case e != nil && u.Scheme == ftpurl.FTP && wantsTLS(e.Reply):
			text = "write ftpes:// or --tls=require for TLS"
		case e != nil && (e.Reply.Code == 421 || e.Reply.Code == 500):
			// It has no room, or has stumbled, as vsftpd's "500 OOPS" over a home that is missing.
		case u.User != "":
			text = "is the password right? A .netrc, the URL or --user can hold it"
		default:
			text = "no user was named; write ftp://USER@HOST/, or put the login in ~/.netrc"
			if me, e := osuser.Current(); e == nil {
				text = fmt.Sprintf("no user was named; write ftp://%s@%s/, say, or put the login in ~/.netrc", me.Username, u.Host)
			}
		}
	case exitcode.Connect:
		if u.Port == 0 && u.Scheme == ftpurl.FTPS {
			text = "ftps:// is TLS from the start, on port 990; TLS on port 21 is ftpes://"
		}
	case exitcode.TLS:
		if u.Scheme == ftpurl.FTPS {
			text = "is this a port for TLS from the start? If not, write ftpes://"
		}
	case exitcode.Certificate:
		text = "--cacert FILE believes another authority, -k any certificate"
		if _, ok := errors.AsType[x509.HostnameError](err); ok {
			text = "reach the server by a name that its certificate has; -k believes any certificate"
		}
		if _, ok := errors.AsType[*proxy.Error](err); ok {
			text = "--proxy-cacert FILE believes another authority"
		}
	case exitcode.Proxy:
		if errors.Is(err, proxy.ErrLogin) {
			text = "--proxy-user NAME:PASSWORD logs in to the proxy"
		}
	case exitcode.Unprotected:
		text = "write ftp:// without --tls or --ssl-reqd to go on in clear text"
	}
	if text == "" {
		return err
	}
	return &hint{err, text}
}

// advised adds to an error of a data connection, or about a pattern, what to try.
func advised(err error) error {
	if _, told := errors.AsType[*hint](err); told {
		return err
	}
	if e, ok := errors.AsType[*ftp.Error](err); ok && e.Reply.Code == 550 && strings.ContainsAny(e.Command.Arg, "*?") {
		return &hint{err, "patterns are for the shell: towpath shell -c 'get *.txt' ftp://HOST/, say"}
	}
	d, ok := errors.AsType[*ftpclient.DataError](err)
	if !ok || errors.Is(err, ftpclient.ErrPoisoned) || errors.Is(err, context.Canceled) {
		return err
	}
	if errors.Is(err, ftpclient.ErrAddress) {
		return &hint{err, "--ftp-port ADDRESS names it, -p does without"}
	}
	other, ok := d.Try()
	_, refused := errors.AsType[*ftp.Error](d.Err)
	switch {
	case !ok:
		return &hint{err, "both ways are shut; is a firewall between?"}
	case other == ftpclient.Passive:
		return &hint{err, "behind NAT use -p"}
	case refused:
		return &hint{err, "try active mode, -A"}
	}
	return &hint{err, "is the port open in the server's firewall? If not, try active mode, -A"}
}

// hint is an error with what to try.
type hint struct {
	error
	try string
}

func (h *hint) Error() string { return strings.TrimSuffix(h.error.Error(), ".") + "; " + h.try }
func (h *hint) Unwrap() error { return h.error }
