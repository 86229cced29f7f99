package ftpserver

import (
	"context"
	"errors"
	"log/slog"
	"path"
	"strings"
	"time"

	"towpath/ftp"
)

// command is what the server knows of a verb. The dispatcher checks it, HELP
// and FEAT are printed from it, and no handler repeats it.
type command struct {
	// run does the work and returns the final reply. What arg holds is said
	// by the argument kind.
	run func(s *session, ctx context.Context, arg string) (ftp.Reply, error)
	// arg is the kind of argument, syntax how HELP shows it.
	arg    argument
	syntax string
	// early commands need no login.
	early bool
	// needs are the rights on the path (arg must be a path kind).
	needs Rights
	// any are rights on the path of which one is enough.
	any Rights
	// moves marks commands that use the data connection: they end what REST,
	// ALLO and the announcements before them said.
	moves bool
	// slow marks commands without data that may take long: the control
	// connection is listened to meanwhile.
	slow bool
	// beside marks what is answered while a transfer runs.
	beside bool
	// feature is the line in FEAT, "" for none.
	feature string
	// featured, if set, says whether and how the feature line is shown.
	featured func(s *session) string
	// defined names the document and section, for the coverage table.
	defined string
}

// argument is the kind of argument that a command takes.
type argument int

const (
	nothing      argument = iota // an argument is an error
	text                         // must be there, given as it came
	optional                     // may be missing, given as it came
	aPath                        // must be there, given as an absolute path
	optionalPath                 // a missing one is the working directory
	newPath                      // as aPath, and fit for a new name
)

// maxBeforeLogin is how many commands a client may send before it has logged
// in. None needs more than a dozen; one that sends FEAT, HOST or empty lines
// without end costs more than it is worth. A login starts the count anew.
const maxBeforeLogin = 100

// command answers one line. Every line that is not empty gets exactly one
// final reply.
func (s *session) command(line string) {
	c, err := ftp.ParseCommand(line)
	if s.transcript != nil && !errors.Is(err, ftp.ErrEmpty) {
		_ = s.transcript.Command(shown(c)) // the session goes on without
	}
	if s.user() == nil {
		if s.before++; s.before > maxBeforeLogin {
			s.ending = true
			s.send(ftp.NewReply(421, "Too many commands without a login. Goodbye."))
			return
		}
	}
	switch {
	case errors.Is(err, ftp.ErrEmpty):
		return // some NAT devices send empty lines; vsftpd is silent too
	case errors.Is(err, ftp.ErrLine):
		s.send(ftp.NewReply(500, "Not a command: CR and NUL cannot be in one."))
		return
	case err != nil: // the line is not shown: it may be a mistyped PASS
		s.send(ftp.NewReply(500, "Not a command: one begins with a verb of letters, and a blank before what follows."))
		return
	}
	if wait := s.pace.delay(); wait > 0 {
		s.pause(wait)
	}
	if r := s.answer(c); r.Code != 0 { // AUTH and CCC have answered already
		s.send(r)
	}
	s.tidy()
}

// answer carries out a command and returns its final reply.
func (s *session) answer(c ftp.Command) ftp.Reply {
	cmd, known := commands[c.Verb]
	if !known {
		return s.unknown(c)
	}
	u := s.user()
	if u == nil && !cmd.early {
		return ftp.NewReply(530, "Please log in with USER and PASS first.")
	}
	arg, err := s.argument(cmd, c.Arg)
	if err == nil {
		err = s.granted(cmd, arg)
	}
	var r ftp.Reply
	if err == nil {
		r, err = s.carryOut(cmd, c.Verb, arg)
	}
	if err != nil {
		r = refusal(err, cmd, c)
		s.note(c, r, err)
	}
	if !cmd.early && (c.Verb != "RNFR" || err != nil) {
		s.renaming = "" // RNTO follows its RNFR at once, or comes to nothing
	}
	if cmd.moves {
		s.restart, s.allo = 0, 0
		if s.extra != nil {
			s.extra.rang = nil
		}
		if l := s.way.passive; l != nil {
			s.later(func() { _ = l.Close() }) // it listens no more whatever Close says
		}
		s.way = dataWay{}
	}
	return r
}

func (s *session) carryOut(cmd *command, verb, arg string) (ftp.Reply, error) {
	if !cmd.slow {
		return cmd.run(s, s.srv.ctx, arg)
	}
	t := s.begin(verb, arg, -1)
	defer s.finish(t)
	r, err := cmd.run(s, t.ctx, arg)
	if cause := t.stopped(); cause != nil {
		return ftp.Reply{}, cause
	}
	return r, err
}

// argument checks what came with the verb, and makes a path of it where the
// command wants one.
func (s *session) argument(cmd *command, arg string) (string, error) {
	switch cmd.arg {
	case nothing:
		if strings.TrimSpace(arg) != "" {
			return "", errSyntax
		}
		return "", nil
	case optional:
		return arg, nil
	case text:
		if strings.TrimSpace(arg) == "" {
			return "", errSyntax
		}
		return arg, nil
	case optionalPath:
		if strings.TrimSpace(arg) == "" {
			return s.cwd, nil
		}
	case aPath, newPath:
		if arg == "" {
			return "", errSyntax
		}
	}
	if cmd.arg == newPath {
		return s.newPath(arg)
	}
	return s.path(arg)
}

// path makes an absolute, clean path in the user's tree of what a client
// named. No other code does that, so that ".." ends at the top everywhere.
func (s *session) path(arg string) (string, error) {
	name := s.decode(arg)
	if strings.ContainsRune(name, 0) {
		return "", errSyntax
	}
	if !strings.HasPrefix(name, "/") {
		name = s.cwd + "/" + name
	}
	return path.Clean(name), nil
}

// newPath is path for a name that is going to be made: one with control
// characters would forge replies and log lines.
func (s *session) newPath(arg string) (string, error) {
	name, err := s.path(arg)
	if err != nil {
		return "", err
	}
	for i := range len(name) {
		if name[i] < ' ' || name[i] == 0x7f {
			return "", errName
		}
	}
	if name == "/" {
		return "", errName
	}
	return name, nil
}

// may tells whether the user has all of these rights on a path.
// granted asks for the rights that the table wants for a command.
func (s *session) granted(cmd *command, path string) error {
	if cmd.any != 0 && s.rights(path)&cmd.any == 0 {
		return &deniedError{cmd.any, path}
	}
	return s.demand(path, cmd.needs)
}

// demand is nil if all of r may be done with the path.
func (s *session) demand(path string, r Rights) error {
	if r == 0 || s.may(path, r) {
		return nil
	}
	return &deniedError{r &^ s.rights(path), path}
}

func (s *session) may(path string, r Rights) bool { return s.rights(path)&r == r }

func (s *session) rights(path string) Rights {
	u := s.user()
	switch {
	case u == nil:
		return 0
	case u.Rights == nil:
		return ReadOnly
	default:
		return u.Rights(path)
	}
}

// decode and encode translate names for clients that do not speak UTF-8.
func (s *session) decode(wire string) string {
	if u := s.user(); u != nil && u.Charset != nil && !s.utf8 {
		return u.Charset.Decode(wire)
	}
	return wire
}

// encode leaves a name that the charset cannot say as it is.
func (s *session) encode(name string) string {
	if u := s.user(); u != nil && u.Charset != nil && !s.utf8 {
		if wire, err := u.Charset.Encode(name); err == nil {
			return wire
		}
	}
	return name
}

// unknown answers a verb that is not in the table.
func (s *session) unknown(c ftp.Command) ftp.Reply {
	switch c.Verb {
	case "GET", "POST", "HEAD", "PUT", "OPTIONS", "CONNECT", "TRACE", "PATCH", "PRI":
		if s.user() == nil {
			// A browser made to talk to us by somebody else's page.
			s.ending = true
			return ftp.NewReply(500, "This is an FTP server. Goodbye.")
		}
	}
	c = shown(c)
	s.note(c, ftp.NewReply(500, ""), nil)
	return ftp.NewReply(500, "Unknown command "+c.Verb+"; HELP lists the known ones.")
}

// shown is c as logs, transcripts and replies may show it. Of a verb that is
// unknown only the first letters are: it may be PASS with the blank forgotten,
// or a password typed where none was asked for.
func shown(c ftp.Command) ftp.Command {
	const most = 4
	if commands[c.Verb] == nil && len(c.Verb) > most {
		c.Verb = c.Verb[:most] + "…"
	}
	return c
}

// note tells the log about a refusal.
func (s *session) note(c ftp.Command, r ftp.Reply, err error) {
	s.log(slog.LevelInfo, "command refused", "command", c, "code", r.Code, "err", err)
}

// pause waits, unless the server ends.
func (s *session) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.srv.ctx.Done():
	}
}
