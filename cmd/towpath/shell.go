package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"towpath/internal/columns"
	"towpath/internal/exitcode"
	"towpath/internal/ftpurl"
	"towpath/internal/progress"
	"towpath/internal/shell"
)

// shellFlags are those of shell alone.
type shellFlags struct {
	clientFlags
	commands  []string
	keepGoing bool
	noHistory bool
}

func shellCommand() *cobra.Command {
	v := &shellFlags{}
	c := clientCommand(cobra.Command{
		Use:   "shell [flags] [URL | BOOKMARK]",
		Short: "Work on a server by hand, or by a script",
		Long: `Opens a server, and reads commands: the verbs of towpath with names in place of
URLs, and the words of BSD ftp and of lftp. help lists them, help WORD explains
one. Started under the name pftp, it is what is started.

On a terminal there is a line to edit, with history (up, down, Ctrl-R) and
completion (Tab) of words, flags, and files here and there. A command with &
behind it runs in the background; its bars are under the line. Ctrl-C stops the
command that runs, Ctrl-Z sends it to the background, Ctrl-D leaves.

Else it reads a script, of which the first failure is the end, with the exit
code that the command has alone; -e goes on and ends by the first such code.`,
		Example: `  towpath shell ftp://alice@ftp.example.org/pub/
  towpath shell -c 'cd pub; get a.iso b.iso' ftp://ftp.example.org/
  towpath shell -e ftpes://alice@ftp.example.org/ < script`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 2 {
				return fmt.Errorf("shell wants one URL at most, and got %d arguments; -c takes commands", len(args))
			}
			return nil
		},
	}, &v.clientFlags, nil)
	c.RunE = func(c *cobra.Command, args []string) error { return clientError(v.run(c, args)) }
	f := c.Flags()
	f.StringArrayVarP(&v.commands, "command", "c", nil, "run this `LINE` of commands, and leave; may be given again")
	f.BoolVarP(&v.keepGoing, "keep-going", "e", false, "in a script, go on behind failures")
	f.BoolVar(&v.noHistory, "no-history", false, "read and write no history")
	return c
}

// console is what a shell talks through: a screen, or plain files.
type console interface {
	// line reads a line; prompt stands before it.
	line(ctx context.Context, prompt string) (string, error)
	ask(ctx context.Context, question string, hidden bool) (string, error)
	// streams are for the output of a job, and for what is said beside it; end
	// shows what has no end of line.
	streams() (out, notes io.Writer, end func())
	// frame shows rows of a job; it is nil where progress paints by itself.
	frame(job int) func([]string)
	width() int
	// lend gives the terminal to a program.
	lend(c *exec.Cmd) error
	close() error
}

// client is the shell: where it is, and what it was told to be like.
type client struct {
	*shellFlags
	root     func() *cobra.Command
	own      *cobra.Command
	console  console
	screen   bool
	sessions *sessions
	jobs     shell.Jobs
	history  *shell.History
	names    directories

	mu    sync.Mutex // completion, and jobs that end, look on from aside
	at    ftpurl.URL // the server, and the directory on it
	home  string
	was   ftpurl.URL         // the directory before, for cd -
	local string             // the same here, for lcd -
	stop  context.CancelFunc // of the foreground, nil if nothing runs
	front *shell.Job         // in the foreground

	settings map[string]string // flags of verbs that set has set
	begun    map[string]string // flags of the shell as it was started
	aliases  map[string]string
	confirm  bool // prompt on
	ascii    bool
	status   int // the first failure of a script
}

var errBye = errors.New("bye")

func (v *shellFlags) run(c *cobra.Command, args []string) error {
	s := &client{
		shellFlags: v, root: rootCommand, own: c, sessions: newSessions(),
		settings: map[string]string{}, aliases: map[string]string{},
	}
	s.begun = changed(ofClient(c.Flags()))
	v.guest = nil
	if _, err := v.options(); err != nil { // said at once, and not with each word
		return err
	}
	defer s.sessions.close()

	ctx, cancel := context.WithCancel(c.Context())
	defer cancel()
	path := ""
	s.screen = len(v.commands) == 0 && shell.Terminal(os.Stdin) && shell.Terminal(os.Stdout)
	if s.screen && !v.noHistory {
		path = historyPath()
	}
	var err error
	if s.history, err = shell.OpenHistory(path, withoutSecrets); err != nil {
		fmt.Fprintln(os.Stderr, columns.ShownLines("towpath: "+err.Error())) // the shell works without
	}
	if s.screen {
		// Ctrl-C is a key here. While the terminal is lent it is a signal, to
		// the program that has it and to us.
		ctx, cancel = context.WithCancel(context.WithoutCancel(ctx))
		defer cancel()
		defer drain(os.Interrupt, func() {})()
		defer drain(syscall.SIGTERM, cancel)()
		s.console = newScreenConsole(s)
	} else {
		s.console = &plainConsole{in: bufio.NewScanner(os.Stdin), commands: v.commands}
	}
	s.jobs.Ended = s.ended
	err = s.loop(ctx, args)
	s.leave()
	if cerr := s.console.close(); err == nil {
		err = cerr
	}
	if err == nil && s.status != 0 {
		err = exit(s.status, errors.New(""))
	}
	return err
}

// drain calls do at each such signal, until it is ended.
func drain(sig os.Signal, do func()) (end func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, sig)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-c:
				do()
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(c)
		close(done)
	}
}

// historyPath is where lines are kept: $XDG_STATE_HOME/towpath/history.
func historyPath() string {
	dir := os.Getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(dir) {
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		if dir = filepath.Join(home, ".local", "state"); runtime.GOOS == "windows" {
			if dir, err = os.UserCacheDir(); err != nil { // %LocalAppData%
				return ""
			}
		}
	}
	return filepath.Join(dir, "towpath", "history")
}

// withoutSecrets is a line as the history may keep it: a URL goes without its
// password, and a line that may hold one otherwise is not kept.
func withoutSecrets(line string) string {
	commands, err := shell.Parse(line)
	if err != nil && strings.ContainsAny(line, "@:") {
		return ""
	}
	for _, c := range commands {
		if c.Escapes {
			if holdsPassword(c.Outside) {
				return ""
			}
			continue
		}
		verb := strings.ToLower(c.Words[0].Text)
		if inner := map[string]int{"queue": 1, "alias": 2}[verb]; inner > 0 && len(c.Words) > inner {
			text := ""
			for _, w := range c.Words[inner:] {
				text += w.Text + " "
			}
			if text = strings.TrimSpace(text); withoutSecrets(text) != text {
				return ""
			}
		}
		for i, w := range c.Words[1:] {
			text := strings.ToLower(w.Text)
			switch {
			case verb == "user" && i > 0,
				(verb == "quote" || verb == "site") && i == 0 && slices.Contains([]string{"pass", "acct", "pswd", "user", "reln"}, text),
				strings.HasPrefix(text, "--user"), strings.HasPrefix(text, "--proxy-user"), strings.HasPrefix(text, "--account"):
				return ""
			}
			if !holdsPassword(w.Text) {
				continue
			}
			u, err := ftpurl.Parse(w.Text)
			end := w.Start + len(w.Text)
			if err != nil || end > len(line) || line[w.Start:end] != w.Text {
				return ""
			}
			u.Password, u.HasPassword = "", false
			return withoutSecrets(line[:w.Start] + shell.Quote(ftpurl.Format(u)) + line[end:])
		}
	}
	if slices.ContainsFunc(strings.Fields(line), holdsPassword) { // in quotes, or in a comment
		return ""
	}
	return strings.TrimSpace(line)
}

// holdsPassword reports whether a : stands before an @, as in a URL.
func holdsPassword(text string) bool {
	before, _, ok := strings.Cut(text, "@")
	if i := strings.LastIndexByte(text, '@'); ok {
		before = text[:i]
	}
	if _, rest, ok := strings.Cut(before, "://"); ok {
		before = rest
	}
	return ok && strings.Contains(before, ":")
}

// loop opens what was named, and then reads commands to the end.
func (s *client) loop(ctx context.Context, args []string) error {
	if len(args) > 0 {
		words := []shell.Word{{Text: "open"}}
		for _, a := range args {
			words = append(words, shell.Word{Text: a})
		}
		if err := s.do(ctx, shell.Command{Words: words}, 0); err != nil {
			if s.say("", err); !s.screen {
				return exit(codeOf(err), errors.New(""))
			}
		}
	}
	for n := 1; ; n++ {
		line, err := s.console.line(ctx, s.promptText())
		switch {
		case errors.Is(err, io.EOF):
			if err := s.bye(ctx); err == nil || !s.screen {
				return err
			}
			continue
		case err != nil:
			return err
		}
		if err := s.history.Add(line); err != nil {
			s.say("", err)
		}
		switch err := s.line(ctx, line); {
		case errors.Is(err, errBye):
			return nil
		case err == nil:
		default:
			where := ""
			if !s.screen {
				where = fmt.Sprintf("line %d: ", n)
			}
			s.say(where, err)
			if s.screen {
				continue
			}
			if s.status == 0 {
				s.status = codeOf(err)
			}
			if ctx.Err() != nil || !s.keepGoing {
				return nil
			}
		}
	}
}

// line runs the commands of a line, up to the first that fails.
func (s *client) line(ctx context.Context, line string) error {
	commands, err := shell.Parse(line)
	if err != nil {
		return exitcode.With(exitcode.Usage, err)
	}
	for _, c := range commands {
		if err := s.do(ctx, c, 0); err != nil {
			return err
		}
	}
	return nil
}

// say tells of an error.
func (s *client) say(where string, err error) {
	if err == nil || err.Error() == "" {
		return // it was told
	}
	_, notes, end := s.console.streams()
	defer end()
	prefix := ""
	if !s.screen {
		prefix = "towpath: "
	}
	fmt.Fprintln(notes, columns.ShownLines(prefix+where+err.Error())) // what cannot be told is lost
}

// promptText is what stands before the line: who and where we are.
func (s *client) promptText() string {
	if s.at.Host == "" {
		return "towpath> "
	}
	who := s.at.Host
	if s.at.User != "" {
		who = s.at.User + "@" + who
	}
	dir := s.at.Path
	if dir == "" {
		dir = "~"
	}
	return columns.Shown(who+":"+dir) + "> "
}

// ended tells of a job in the background.
func (s *client) ended(j *shell.Job) {
	_, notes, end := s.console.streams()
	defer end()
	tell := func(format string, a ...any) { fmt.Fprintln(notes, columns.ShownLines(fmt.Sprintf(format, a...))) }
	switch err := j.Err(); {
	case err != nil && codeOf(err) == exitcode.Interrupted:
		tell("[%d] killed: %s", j.Number, withoutSecrets(j.Line))
	case err != nil && err.Error() != "":
		tell("[%d] failed: %s: %v", j.Number, withoutSecrets(j.Line), err)
	case err != nil:
		tell("[%d] failed: %s", j.Number, withoutSecrets(j.Line))
	default:
		tell("[%d] done: %s", j.Number, withoutSecrets(j.Line))
	}
	if err := j.Err(); err != nil && !s.screen {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.status == 0 {
			s.status = codeOf(err)
		}
	}
}

// bye is the wish to leave. A script waits for its jobs; on a screen they are
// asked about.
func (s *client) bye(ctx context.Context) error {
	running := s.jobs.List()
	if len(running) == 0 {
		return nil
	}
	if !s.screen {
		for _, j := range running {
			select {
			case <-j.Done():
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	}
	question := fmt.Sprintf("%d jobs are running; leave and end them? [y/N] ", len(running))
	if len(running) == 1 {
		question = "A job is running; leave and end it? [y/N] "
	}
	answer, err := s.console.ask(ctx, question, false)
	if err != nil || !strings.HasPrefix(strings.ToLower(strings.TrimSpace(answer)), "y") {
		return errors.New("still here")
	}
	return nil
}

// leave ends what still runs.
func (s *client) leave() {
	for _, j := range s.jobs.List() {
		s.jobs.Kill(j)
		<-j.Done()
	}
}

// interrupt stops the foreground.
func (s *client) interrupt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stop != nil {
		s.stop()
	}
}

// background sends the foreground to the background, if it is a job.
func (s *client) background() {
	s.mu.Lock()
	j := s.front
	s.mu.Unlock()
	if j != nil {
		s.jobs.Background(j)
	}
}

// foreground is a context that Ctrl-C ends.
func (s *client) foreground(ctx context.Context, j *shell.Job) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	s.mu.Lock()
	s.stop, s.front = cancel, j
	s.mu.Unlock()
	return ctx, func() {
		s.mu.Lock()
		s.stop, s.front = nil, nil
		s.mu.Unlock()
		cancel()
	}
}

// screenConsole is a terminal with a line to edit.
type screenConsole struct{ *shell.Screen }

func newScreenConsole(s *client) *screenConsole {
	return &screenConsole{shell.NewScreen(shell.ScreenOptions{
		In: os.Stdin, Out: os.Stdout, Env: os.Environ(),
		History: s.history.Lines, Complete: s.complete,
		Interrupt: s.interrupt, Background: s.background,
	})}
}

func (c *screenConsole) line(ctx context.Context, prompt string) (string, error) {
	return c.ReadLine(ctx, prompt)
}

func (c *screenConsole) ask(ctx context.Context, question string, hidden bool) (string, error) {
	return c.Ask(ctx, question, hidden)
}

func (c *screenConsole) streams() (out, notes io.Writer, end func()) {
	w := c.Writer()
	return w, w, w.Flush
}

func (c *screenConsole) frame(job int) func([]string) {
	return func(rows []string) { c.Rows(job, rows) }
}
func (c *screenConsole) width() int               { return c.RowWidth() }
func (c *screenConsole) lend(cmd *exec.Cmd) error { return c.Lend(cmd) }
func (c *screenConsole) close() error             { return c.Close() }

// plainConsole is standard input and output.
type plainConsole struct {
	in       *bufio.Scanner
	commands []string // of -c, in place of standard input
}

func (c *plainConsole) line(_ context.Context, prompt string) (string, error) {
	if c.commands != nil {
		if len(c.commands) == 0 {
			return "", io.EOF
		}
		l := c.commands[0]
		c.commands = c.commands[1:]
		return l, nil
	}
	if term.IsTerminal(int(os.Stdin.Fd())) {
		fmt.Fprint(os.Stderr, prompt)
	}
	if !c.in.Scan() {
		if err := c.in.Err(); err != nil {
			return "", exitcode.With(exitcode.Read, fmt.Errorf("standard input: %w", err))
		}
		return "", io.EOF
	}
	return c.in.Text(), nil
}

func (c *plainConsole) ask(_ context.Context, question string, hidden bool) (string, error) {
	in := int(os.Stdin.Fd())
	if !term.IsTerminal(in) {
		if hidden {
			return "", nil // as verbs do without a terminal
		}
		return "", errors.New("there is no terminal to ask at")
	}
	fmt.Fprint(os.Stderr, columns.ShownLines(question))
	if !hidden {
		if !c.in.Scan() {
			return "", io.EOF
		}
		return c.in.Text(), nil
	}
	b, err := term.ReadPassword(in)
	fmt.Fprintln(os.Stderr)
	return string(b), err
}

func (c *plainConsole) streams() (out, notes io.Writer, end func()) {
	return os.Stdout, os.Stderr, func() {}
}
func (c *plainConsole) frame(int) func([]string) { return nil }
func (c *plainConsole) width() int               { return progress.Detect(os.Stderr, os.Getenv).Width() }
func (c *plainConsole) close() error             { return nil }

func (c *plainConsole) lend(cmd *exec.Cmd) error {
	if cmd.Stdin == nil {
		cmd.Stdin = os.Stdin
	}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}
