package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"towpath/ftp"
	"towpath/ftpclient"
	"towpath/internal/columns"
	"towpath/internal/config"
	"towpath/internal/exitcode"
	"towpath/internal/ftpurl"
	"towpath/internal/shell"
)

// call is one command that is carried out.
type call struct {
	*client
	name   string // as it was written
	words  []shell.Word
	ctx    context.Context
	guest  *guest
	out    io.Writer
	notes  io.Writer
	line   string
	behind bool

	// As the shell was when the command was given; it may change while this runs.
	at     ftpurl.URL
	home   string
	shared clientFlags
	given  map[string]string // flags, of the shell and by set
	text   bool
	asks   bool
}

// call makes a call of a command.
func (s *client) call(name string, c shell.Command) *call {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &call{
		client: s, name: name, words: c.Words[1:], behind: c.Background,
		at: s.at, home: s.home, shared: s.clientFlags, given: changed(ofClient(s.own.Flags())), text: s.ascii, asks: s.confirm,
	}
	maps.Copy(r.given, s.settings)
	c.Background = false
	r.line = c.String()
	return r
}

// texts are the arguments as they are.
func (r *call) texts() []string {
	t := make([]string, len(r.words))
	for i, w := range r.words {
		t[i] = w.Text
	}
	return t
}

// do carries out one command.
func (s *client) do(ctx context.Context, c shell.Command, depth int) error {
	if c.Escapes {
		if err := s.console.lend(outside(c.Outside)); err != nil {
			return fmt.Errorf("!%s: %w", c.Outside, err)
		}
		return nil
	}
	name := c.Words[0].Text
	if text, ok := s.aliases[name]; ok {
		return s.alias(ctx, text, c, depth)
	}
	name, err := s.meaning(name)
	if err != nil {
		return err
	}
	r := s.call(name, c)
	if w, ok := words()[name]; ok && w.run != nil {
		if c.Background {
			return misuse("%s cannot run in the background", name)
		}
		if n := len(r.words); n < w.least || w.most >= 0 && n > w.most {
			return misuse("usage: %s %s", name, w.args)
		}
		return r.here(ctx, w.run)
	}
	return r.job(ctx, func(r *call) error { return r.verb() })
}

// alias puts the text of an alias in place of the first word.
func (s *client) alias(ctx context.Context, text string, c shell.Command, depth int) error {
	if depth > 10 {
		return misuse("the alias %s means itself", c.Words[0].Text)
	}
	commands, err := shell.Parse(text)
	if err != nil {
		return exitcode.With(exitcode.Usage, fmt.Errorf("alias %s: %w", c.Words[0].Text, err))
	}
	for i, one := range commands {
		if i == len(commands)-1 {
			one.Words = append(slices.Clone(one.Words), c.Words[1:]...)
			one.Background = one.Background || c.Background
		}
		if len(one.Words) > 0 && one.Words[0].Text == c.Words[0].Text { // ls for ls -l
			saved := s.aliases[one.Words[0].Text]
			delete(s.aliases, one.Words[0].Text)
			err = s.do(ctx, one, depth+1)
			s.aliases[c.Words[0].Text] = saved
		} else {
			err = s.do(ctx, one, depth+1)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// verbs are the verbs of the client, by name: of the root command as it is.
func (s *client) verbs() map[string]*cobra.Command {
	all := map[string]*cobra.Command{}
	for _, c := range s.root().Commands() {
		if c.GroupID == clientGroup && !slices.Contains(notInShell, c.Name()) {
			all[c.Name()] = c
		}
	}
	return all
}

// notInShell are verbs that the shell has words of its own for.
var notInShell = []string{"shell", "bookmark"}

// meaning finds the word that is meant: by its name, or by what only one word
// begins with.
func (s *client) meaning(name string) (string, error) {
	all := s.vocabulary()
	if slices.Contains(all, name) {
		return name, nil
	}
	var begun []string
	for _, w := range all {
		if name != "" && strings.HasPrefix(w, name) {
			begun = append(begun, w)
		}
	}
	switch len(begun) {
	case 0:
		if best := config.Nearest(name, all); best != "" {
			return "", misuse("%q is no word of the shell; did you mean %s?", name, best)
		}
		return "", misuse("%q is no word of the shell; help lists those that there are", name)
	case 1:
		return begun[0], nil
	}
	return "", misuse("%q may be %s", name, strings.Join(begun, " or "))
}

// vocabulary is all words, in order.
func (s *client) vocabulary() []string {
	all := slices.Collect(maps.Keys(words()))
	for name := range s.verbs() {
		all = append(all, name)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// here carries out a word of the shell itself.
func (r *call) here(ctx context.Context, run func(*call) error) error {
	ctx, end := r.foreground(ctx, nil)
	defer end()
	flush := r.prepare(ctx, 0)
	defer flush()
	return ended(ctx, run(r))
}

// prepare gives a call its place and its streams.
func (r *call) prepare(ctx context.Context, job int) (flush func()) {
	r.ctx = ctx
	out, notes, flush := r.console.streams()
	r.out, r.notes = out, notes
	r.guest = &guest{
		at: r.at, home: r.home, sessions: r.sessions, notes: notes,
		ask: func(ctx context.Context, question string) (string, error) {
			return r.console.ask(ctx, question, true)
		},
		frame: r.console.frame(job), width: r.console.width, color: r.screen && os.Getenv("NO_COLOR") == "",
	}
	return flush
}

// job carries out a command that may run in the background.
func (r *call) job(ctx context.Context, run func(*call) error) error {
	begin := make(chan struct{})
	todo := r.runs(run)
	do := func(ctx context.Context, j *shell.Job) error {
		<-begin // its number is to be seen before its output
		return todo(ctx, j)
	}
	if r.behind {
		j := r.jobs.Start(ctx, r.line, true, do)
		fmt.Fprintf(r.stdnotes(), "[%d] %s\n", j.Number, withoutSecrets(r.line))
		close(begin)
		return nil
	}
	j := r.jobs.Start(ctx, r.line, false, do)
	fctx, end := r.foreground(ctx, j)
	defer end()
	close(begin)
	if !r.jobs.Wait(fctx, j) {
		fmt.Fprintf(r.stdnotes(), "[%d] %s &\n", j.Number, withoutSecrets(r.line))
		return nil
	}
	return j.Err()
}

// runs is what a job does that carries out a call.
func (r *call) runs(run func(*call) error) func(context.Context, *shell.Job) error {
	return func(ctx context.Context, j *shell.Job) error {
		flush := r.prepare(ctx, j.Number)
		defer r.names.forget() // what it has changed is to be seen
		defer flush()
		return ended(ctx, run(r))
	}
}

// stdnotes is for a whole line beside the output.
func (s *client) stdnotes() io.Writer {
	_, notes, _ := s.console.streams()
	return notes
}

// ways says which words are verbs under another name, and with which flags.
var ways = map[string][]string{
	"recv": {"get"}, "mget": {"get"}, "reget": {"get", "--continue"}, "pget": {"get", "--segments=4"},
	"send": {"put"}, "mput": {"put"}, "reput": {"put", "--continue"}, "append": {"put", "--append"},
	"dir": {"ls", "--long"}, "nlist": {"ls"}, "cls": {"ls"},
	"delete": {"rm"}, "mdelete": {"rm"}, "rename": {"mv"},
}

// verb carries out a verb of towpath.
func (r *call) verb() error {
	name, flags := r.name, []string(nil)
	if way := ways[name]; way != nil {
		name, flags = way[0], way[1:]
	}
	c := r.verbs()[name]
	if c == nil {
		return misuse("%s needs the verb %s, which this program has not", r.name, name)
	}
	c.SetOut(r.out)
	c.SetErr(r.notes)
	c.SetContext(context.WithValue(r.ctx, guestKey{}, r.guest))
	c.InitDefaultHelpFlag()
	args, err := r.parse(c, flags)
	if err != nil {
		return err
	}
	if help, err := c.Flags().GetBool("help"); err == nil && help {
		r.explain(c)
		return nil
	}
	if r.screen {
		if f := c.Flags().Lookup("output"); f != nil && f.Value.String() == "-" || name == "put" && slices.Contains(args, "-") {
			return misuse("- is the terminal, which has a line to edit on it; cat shows a file, and ! runs another program")
		}
	}
	if args, err = useBookmarks(c.Flags(), args); err != nil {
		return err
	}
	if r.text && slices.Contains([]string{"get", "put", "cat"}, name) {
		r.guest.at.Type = ftpurl.ASCII
	}
	if err := c.ValidateArgs(args); err != nil {
		return err
	}
	return c.RunE(c, args)
}

// glob marks a word as a pattern while flags are taken out from between.
const glob = "\x00"

// parse takes the flags out of the words, adds what the shell has set, and puts
// names in place of patterns.
func (r *call) parse(c *cobra.Command, flags []string) ([]string, error) {
	f := c.Flags()
	for _, w := range flags {
		name, _, _ := strings.Cut(strings.TrimPrefix(w, "--"), "=")
		if f.Lookup(name) == nil {
			return nil, misuse("%s needs %s --%s, which this program has not", r.name, c.Name(), name)
		}
	}
	line := slices.Clone(flags)
	for i, w := range r.words {
		if w.Pattern != "" && !strings.HasPrefix(w.Text, "-") {
			w.Text = fmt.Sprintf("%s%d", glob, i)
		}
		line = append(line, w.Text)
	}
	pattern := func(mark string) (w shell.Word) {
		var i int
		if _, err := fmt.Sscanf(mark, glob+"%d", &i); err == nil {
			w = r.words[i]
		}
		return w
	}
	if err := c.ParseFlags(line); err != nil {
		return nil, exitcode.With(exitcode.Usage, err)
	}
	var err error
	f.Visit(func(l *pflag.Flag) {
		if v := l.Value.String(); strings.HasPrefix(v, glob) {
			err = cmp.Or(err, l.Value.Set(pattern(v).Text))
		}
	})
	if err != nil {
		return nil, exitcode.With(exitcode.Usage, err)
	}
	if err := setDefaults(f, r.given); err != nil {
		return nil, err
	}
	args := f.Args()
	if r.name == "recv" && len(args) == 2 { // BSD: the second is the name here
		if err := f.Set("output", args[1]); err != nil {
			return nil, err
		}
		args = args[:1]
	}
	var all []string
	for i, a := range args {
		if !strings.HasPrefix(a, glob) {
			all = append(all, a)
			continue
		}
		found, err := r.expand(pattern(a), placeOf(r.name, c, i, len(args)))
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return r.defaults(c, all, len(args))
}

// place is where a word names something.
type place int

const (
	nowhere place = iota
	there         // on the server
	here          // on this machine
	servers
	vocabulary
	settings
	jobs
)

// placeOf says where the argument i of n of a verb is.
func placeOf(name string, c *cobra.Command, i, n int) place {
	up := false
	if f := c.Flags().Lookup("reverse"); f != nil {
		up = f.Value.String() == "true"
	}
	switch c.Name() {
	case "put":
		if name == "mput" || i < max(n-1, 1) {
			return here
		}
	case "mirror":
		if (i == 0) == up {
			return here
		}
	case "chmod":
		if i == 0 {
			return nowhere
		}
	}
	return there
}

// defaults adds the arguments that a shell knows by itself. written is how many there
// were before patterns became names.
func (r *call) defaults(c *cobra.Command, args []string, written int) ([]string, error) {
	switch c.Name() {
	case "ls", "du", "find":
		if len(args) == 0 {
			args = []string{"."}
		}
	case "put":
		if written == 1 || r.name == "mput" && written > 0 {
			args = append(args, ".")
		}
	case "mirror":
		return r.mirrored(c, args)
	}
	return args, nil
}

// mirrored gives mirror a URL and a directory, as it is called outside: lftp's
// one argument is the directory on the side that is read.
func (r *call) mirrored(c *cobra.Command, args []string) ([]string, error) {
	if len(args) == 0 {
		args = []string{"."}
	}
	up := placeOf(r.name, c, 0, 2) == here
	if len(args) == 1 {
		base := path.Base(strings.TrimRight(args[0], "/"))
		if up {
			base = filepath.Base(args[0])
		}
		args = append(args, base)
	}
	for i, a := range args {
		if placeOf(r.name, c, i, 2) != there || strings.Contains(a, "://") {
			continue
		}
		u, err := r.guest.resolve(strings.TrimRight(a, "/") + "/")
		if err != nil {
			return nil, err
		}
		args[i] = ftpurl.Format(u)
	}
	return args, nil
}

// expand finds the names that a pattern means. None is an error.
func (r *call) expand(w shell.Word, where place) ([]string, error) {
	var found []string
	var err error
	switch where {
	case here:
		if found, err = filepath.Glob(localPattern(w.Pattern)); err != nil {
			return nil, misuse("%s: a [ begins a set, and \\[ is the letter", w.Text)
		}
	case there:
		if strings.Contains(w.Text, "://") {
			return []string{w.Text}, nil
		}
		if found, err = r.matches(w); err != nil {
			return nil, err
		}
	default:
		return []string{w.Text}, nil
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s: no name is like it", ftp.Escape(w.Text))
	}
	if !r.asks || len(found) == 1 && where == here {
		return found, nil
	}
	return r.confirmed(found)
}

// confirmed asks about each name.
func (r *call) confirmed(names []string) ([]string, error) {
	var yes []string
	for i, n := range names {
		answer, err := r.console.ask(r.ctx, fmt.Sprintf("%s %s? [y]es, no, all, quit: ", r.name, columns.Shown(n)), false)
		if err != nil {
			return nil, err
		}
		switch a := strings.ToLower(strings.TrimSpace(answer)); {
		case strings.HasPrefix(a, "n"):
		case strings.HasPrefix(a, "q"):
			return nil, errors.New("given up")
		case strings.HasPrefix(a, "a"):
			return append(yes, names[i:]...), nil
		default:
			yes = append(yes, n)
		}
	}
	if len(yes) == 0 {
		return nil, errors.New("nothing is left to do")
	}
	return yes, nil
}

// matches lists a directory of the server for the names like a pattern: the last
// element of a path is the pattern, and those before it are names.
func (r *call) matches(w shell.Word) ([]string, error) {
	dir, last := path.Split(w.Pattern)
	if strings.ContainsAny(unescape(dir, true), "*?[") {
		return nil, misuse("%s: only the last name of a path can be a pattern", ftp.Escape(w.Text))
	}
	dir = unescape(dir, false)
	if _, err := path.Match(last, ""); err != nil {
		return nil, misuse("%s: a [ begins a set, and \\[ is the letter", ftp.Escape(w.Text))
	}
	var found []string
	err := r.with(func(ctx context.Context, _ *visit, c *ftpclient.Client) error {
		for e, err := range c.List(ctx, cmp.Or(strings.TrimSuffix(r.guest.path(cmp.Or(dir, ".")), "/"), "/")) {
			if err != nil && odd(err) {
				continue
			}
			if err != nil {
				return err
			}
			if strings.HasPrefix(e.Name, ".") && !strings.HasPrefix(last, ".") || strings.Contains(e.Name, "/") {
				continue
			}
			if ok, _ := path.Match(last, e.Name); ok { // it was looked at
				found = append(found, dir+e.Name)
			}
		}
		return nil
	})
	slices.Sort(found)
	return found, err
}

// unescape takes the backslashes out of a pattern, and with them, if it is to be
// seen whether it is one, what they stand before.
func unescape(pattern string, drop bool) string {
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		if pattern[i] == '\\' && i+1 < len(pattern) {
			i++
			if drop {
				continue
			}
		}
		b.WriteByte(pattern[i])
	}
	return b.String()
}

// localPattern is a pattern as filepath.Glob takes it: where the backslash parts
// names it cannot quote, and a set of one letter does.
func localPattern(pattern string) string {
	if filepath.Separator == '/' {
		return pattern
	}
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		if pattern[i] == '\\' && i+1 < len(pattern) {
			i++
			if strings.IndexByte("*?[", pattern[i]) >= 0 {
				b.WriteString("[" + pattern[i:i+1] + "]")
				continue
			}
		}
		b.WriteByte(pattern[i])
	}
	return b.String()
}

// shown is a text of the server as the output has it: harmless to a terminal, and
// else as it is but for control characters. Its lines stay lines.
func (r *call) shown(text string) string {
	lines, shown := strings.Split(text, "\n"), nameWriter(r.out)
	for i, l := range lines {
		lines[i] = shown(ftp.Escape(l))
	}
	return strings.Join(lines, "\n")
}

// flags are those that sessions of the shell are begun with.
func (r *call) flags() *clientFlags {
	f := r.shared
	f.guest = r.guest
	return &f
}

// with does something with a session of the server that is open.
func (r *call) with(do func(ctx context.Context, v *visit, c *ftpclient.Client) error) error {
	if r.guest.at.Host == "" {
		return errNotOpen
	}
	v, ctx, err := r.flags().visit(r.ctx, os.Stderr)
	if err != nil {
		return err
	}
	defer v.close()
	c, err := v.client(ctx, r.guest.at)
	if err != nil {
		return err
	}
	return do(ctx, v, c)
}

// codeOf is the code by which an error ends a program.
func codeOf(err error) int {
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.code
	}
	return exitcode.Of(err)
}
