package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"towpath/ftp"
	"towpath/ftpclient/mirror"
	"towpath/internal/exitcode"
	"towpath/internal/ftpurl"
	"towpath/internal/progress"
	"towpath/internal/units"
)

// mirrorFlags are those of mirror alone. Their letters are those of lftp.
type mirrorFlags struct {
	clientFlags
	transferFlags
	reverse, onlyNewer, follow bool
	compare, links             string
	minSize, maxSize           string
	newerThan, olderThan       string
	o                          mirror.Options
}

func mirrorCommand() *cobra.Command {
	v := &mirrorFlags{clientFlags: clientFlags{taken: "Pn"}}
	c := clientCommand(cobra.Command{
		Use:   "mirror [flags] SOURCE TARGET",
		Short: "Make a directory like one of a server, or the other way round",
		Long: `Makes TARGET like SOURCE. One of them is a URL, the other a directory here: what
is in SOURCE goes into TARGET, which is made if it is missing.

A file is taken if it is missing in TARGET, or differs in size or time. What
SOURCE has not is deleted only with --delete, and nothing is deleted where a
listing has failed. --dry-run shows what would be done.

A file that comes is NAME.part until it is whole; -c goes on with one that was
cut, and one that another run is fetching is a failure. Failures are told, and
the rest is done; the exit code is that of the first one, as in towpath get.
Names that lead out of their directory, and those of devices on Windows, are
refused, and symbolic links are left out.

Of --include and --exclude, and their likes with -glob, the last that matches
counts. What none matches is taken, unless the first of them is an include.`,
		Example: `  towpath mirror ftp://ftp.example.org/pub/ pub
  towpath mirror -R --delete site ftpes://alice@ftp.example.org/www/
  towpath mirror --dry-run --delete ftp://ftp.example.org/pub/ pub
  towpath mirror -P 8 -X '*.iso' -X 'old/' ftp://ftp.example.org/pub/ pub
  towpath mirror --newer-than 7d --max-size 100MiB ftp://ftp.example.org/pub/ pub`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return fmt.Errorf("mirror wants a SOURCE and a TARGET, one of them a URL; see towpath mirror --help")
			}
			return nil
		},
	}, &v.clientFlags, func(c *cobra.Command, args []string) error { return v.run(c.Context(), c.OutOrStdout(), args) })
	f := c.Flags()
	o := &v.o
	f.BoolVarP(&v.reverse, "reverse", "R", false, "SOURCE is the directory here; it need not be said")
	f.IntVarP(&o.Parallel, "parallel", "P", 4, "move `N` files at the same time; fewer if the server allows no more sessions")
	f.BoolVar(&o.DryRun, "dry-run", false, "show what would be done, and do nothing")
	f.BoolVarP(&o.Delete, "delete", "e", false, "delete in TARGET what SOURCE has not, when all else is done")
	f.BoolVar(&o.DeleteFirst, "delete-first", false, "delete before anything moves")
	f.IntVar(&o.MaxDelete, "max-delete", 0, "delete nothing if it would be more than `N` files and directories")
	f.StringVar(&v.compare, "compare", "time", "files are the same by `time|newer|size|hash`: size and time, not older, size, size and digest")
	f.BoolVarP(&v.onlyNewer, "only-newer", "n", false, "the same as --compare=newer")
	f.BoolVar(&o.OnlyMissing, "only-missing", false, "take only what TARGET has not")
	f.BoolVarP(&o.NoRecursion, "no-recursion", "r", false, "leave out the directories below")
	for _, r := range []struct {
		name, letter, usage string
		make                func(string, bool) (mirror.Rule, error)
		include             bool
	}{
		{"include", "i", "take what this regular `EXPRESSION` matches, directories with a slash behind", mirror.Regexp, true},
		{"exclude", "x", "leave out what this regular `EXPRESSION` matches", mirror.Regexp, false},
		{"include-glob", "I", "take what this `PATTERN` matches: *.txt, sub/**/*.o, cache/", mirror.Glob, true},
		{"exclude-glob", "X", "leave out what this `PATTERN` matches", mirror.Glob, false},
	} {
		f.VarP(&rule{&o.Rules, r.make, r.include}, r.name, r.letter, r.usage)
	}
	f.StringVar(&v.minSize, "min-size", "", "leave out files smaller than `SIZE`: 512, 10KiB, 2MB")
	f.StringVar(&v.maxSize, "max-size", "", "leave out files larger than `SIZE`")
	f.StringVar(&v.newerThan, "newer-than", "", "leave out files not newer than `TIME`: 2026-11-21, 2026-11-21T12:00:00Z, 7d or 12h ago, or that of a file")
	f.StringVar(&v.olderThan, "older-than", "", "leave out files not older than `TIME`")
	f.BoolVarP(&v.follow, "dereference", "L", false, "the same as --links=follow")
	f.StringVar(&v.links, "links", "skip", "symbolic links: `skip|keep|follow`; those that are kept must not lead out of TARGET")
	f.BoolVar(&o.NoPerms, "no-perms", false, "leave permissions as they come")
	f.BoolVar(&o.NoTimes, "no-times", false, "leave files the time at which they came")
	f.BoolVar(&o.Partial, "use-temp-file", false, "send files as NAME.part and rename them, for servers that show a file before it is whole")
	f.BoolVar(&o.AllowDeviceNames, "allow-device-names", false, "take names that are devices on Windows, such as aux.c")
	v.transferFlags.bind(f)
	return c
}

// rule adds to rules, in the order of the command line.
type rule struct {
	rules   *[]mirror.Rule
	make    func(string, bool) (mirror.Rule, error)
	include bool
}

func (r *rule) Set(s string) error {
	made, err := r.make(s, r.include)
	*r.rules = append(*r.rules, made)
	return err
}

func (r *rule) String() string { return "" }
func (r *rule) Type() string   { return "pattern" }

// read makes options of the flags.
func (v *mirrorFlags) read(now time.Time) (err error) {
	o := &v.o
	if err := v.check(); err != nil {
		return err
	}
	if v.from > 0 {
		return misuse("--continue-at %d is a place in one file; want -, or -c", v.from)
	}
	o.Continue, o.Verify = v.resume, v.verify
	if v.limiter != nil {
		o.Limiter = v.limiter
	}
	if o.Parallel < 1 {
		return misuse("--parallel %d: want 1 or more", o.Parallel)
	}
	if o.MaxDelete < 0 || o.MaxDelete > 0 && !o.Delete && !o.DeleteFirst {
		return misuse("--max-delete %d: want 1 or more, together with --delete", o.MaxDelete)
	}
	switch v.compare {
	case "time":
	case "newer":
		o.Compare = mirror.Newer
	case "size":
		o.Compare = mirror.Size
	case "hash":
		o.Compare = mirror.Hash
	default:
		return misuse("--compare %q: want time, newer, size or hash", v.compare)
	}
	if v.onlyNewer {
		if v.compare != "time" && v.compare != "newer" {
			return misuse("-n is --compare=newer, and --compare=%s is asked for", v.compare)
		}
		o.Compare = mirror.Newer
	}
	switch {
	case v.links == "follow", v.links == "skip" && v.follow:
		o.Links = mirror.FollowLinks
	case v.links == "keep" && !v.follow:
		o.Links = mirror.KeepLinks
	case v.links == "skip":
	case v.follow:
		return misuse("-L is --links=follow, and --links=%s is asked for", v.links)
	default:
		return misuse("--links %q: want skip, keep or follow", v.links)
	}
	for _, s := range []struct {
		flag, text string
		to         *int64
	}{{"min-size", v.minSize, &o.MinSize}, {"max-size", v.maxSize, &o.MaxSize}} {
		if s.text == "" {
			continue
		}
		n, err := units.ParseSize(s.text)
		if err != nil {
			return misuse("--%s %w", s.flag, err)
		}
		*s.to = int64(n)
	}
	if o.NewerThan, err = parseWhen("newer-than", v.newerThan, now); err != nil {
		return err
	}
	o.OlderThan, err = parseWhen("older-than", v.olderThan, now)
	return err
}

// parseWhen reads a time: a date, with or without the time of day, how long ago
// it was, or a file, whose time is meant.
func parseWhen(flag, s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return t, nil
		}
	}
	if d, err := units.ParseDuration(s); err == nil && d > 0 {
		return now.Add(-time.Duration(d)), nil
	}
	if info, err := os.Stat(s); err == nil {
		return info.ModTime(), nil
	}
	return time.Time{}, misuse("--%s %q: want a date (2026-11-21), a date and time (2026-11-21T12:00), how long ago it was (7d, 12h), or a file that has that time", flag, s)
}

// ends finds out which of the two is the URL.
func (v *mirrorFlags) ends(args []string) (link, dir string, up bool, err error) {
	from, to := strings.Contains(args[0], "://"), strings.Contains(args[1], "://")
	switch {
	case from && to:
		return "", "", false, misuse("both are URLs; mirror is between a server and a directory here")
	case !from && !to:
		return "", "", false, misuse("neither %s nor %s is a URL; write ftp://HOST/PATH for the one on the server", args[0], args[1])
	case from && v.reverse:
		return "", "", false, misuse("with -R the directory here is the source: towpath mirror -R %s %s; without it, the URL is", args[1], ftpurl.Redact(args[0]))
	case from:
		return args[0], args[1], false, nil
	}
	return args[1], args[0], true, nil
}

func (v *mirrorFlags) run(ctx context.Context, out io.Writer, args []string) error {
	link, dir, up, err := v.ends(args)
	if err == nil {
		err = v.read(time.Now())
	}
	if err != nil {
		return err
	}
	out = &oneWriter{w: out}
	shown := v.progress(out)
	s, ctx, err := v.visit(ctx, shown)
	if err != nil {
		return errors.Join(err, shown.Close())
	}
	defer s.close()
	urls, err := s.parse([]string{link})
	if err != nil {
		return errors.Join(err, shown.Close())
	}
	if t := urls[0].Type; t == ftpurl.ASCII {
		return errors.Join(misuse("%v: ;type=a would change the size of files; mirror moves them as they are", urls[0]), shown.Close())
	}
	pool, err := s.pool(ctx, urls[0], v.o.Parallel)
	if err != nil {
		return errors.Join(ended(ctx, err), shown.Close())
	}
	defer pool.Close()
	t := &teller{ctx: ctx, s: s, shown: shown, out: out, dry: v.o.DryRun}
	v.o.Planned, v.o.Begin, v.o.Failed, v.o.Skipped = t.planned, t.begin, t.failed, t.skipped
	var result mirror.Result
	if up {
		result, err = mirror.Up(ctx, pool, dir, remotePath(urls[0]), v.o)
	} else {
		result, err = mirror.Down(ctx, pool, remotePath(urls[0]), dir, v.o)
	}
	_ = shown.Close() // nobody reading it is no reason to fail
	if e, ok := errors.AsType[*mirror.Error](err); ok {
		if e.Stopped != nil {
			s.fail(ended(ctx, e.Stopped))
		}
		err = nil
	}
	if err != nil {
		code := exitcode.Write
		if up {
			code = exitcode.Read
		}
		return exitcode.With(code, err)
	}
	if err := t.sum(up, result); err != nil {
		return err
	}
	return s.result()
}

// oneWriter lets one write at a time.
type oneWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *oneWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// teller tells how a mirror goes on.
type teller struct {
	ctx   context.Context
	s     *visit
	shown *progress.Progress
	out   io.Writer
	dry   bool

	mu   sync.Mutex // guards s.failed, and
	rows map[string]bool
}

// stepLine is a step as JSON. Event is "plan" in a dry run, else "step".
type stepLine struct {
	Event  string    `json:"event"`
	Op     mirror.Op `json:"op"`
	Path   string    `json:"path"`
	Dir    bool      `json:"dir,omitempty"`
	Size   *int64    `json:"size,omitempty"`
	Target string    `json:"target,omitempty"`
}

func (t *teller) planned(s mirror.Step) {
	moves := s.Op == mirror.Fetch || s.Op == mirror.Send
	switch {
	case t.s.json:
		if moves && !t.dry {
			return // it has events of its own
		}
		l := stepLine{Event: "step", Op: s.Op, Path: s.Path, Dir: s.Dir, Target: s.Target}
		if t.dry {
			l.Event = "plan"
		}
		if moves && s.Size >= 0 {
			l.Size = &s.Size
		}
		_ = writeJSON(t.out, l) // a reader that has gone shows in the sum
	case t.dry:
		fmt.Fprintln(t.out, nameWriter(t.out)(s.String()))
	}
}

func (t *teller) begin(s mirror.Step) mirror.Watcher {
	if s.Op != mirror.Fetch && s.Op != mirror.Send {
		return nil
	}
	f := t.shown.File(s.Path, s.Size)
	return &row{t, s.Path, f, counter(f)}
}

// row is a file that moves.
type row struct {
	t     *teller
	path  string
	f     *progress.File
	count func(int64)
}

func (r *row) Here(n int64)  { r.f.Skip(n) }
func (r *row) Moved(n int64) { r.count(n) }

func (r *row) Done(err error) {
	if err != nil {
		r.t.mu.Lock()
		if r.t.rows == nil {
			r.t.rows = map[string]bool{}
		}
		r.t.rows[r.path] = true
		r.t.mu.Unlock()
		if errors.Is(err, context.Canceled) && r.t.ctx.Err() == nil {
			err = errors.New("given up")
		}
	}
	r.f.Done(bare(r.t.ctx, err))
}

func (t *teller) failed(path string, err error) {
	t.mu.Lock()
	told := t.rows[path]
	t.s.failed = cmp.Or(t.s.failed, exitcode.Of(err))
	t.mu.Unlock()
	if p, ok := err.(*fs.PathError); ok && p.Path == path {
		err = exitcode.With(exitcode.Of(err), p.Err)
	}
	if !told {
		t.shown.File(path, -1).Done(bare(t.ctx, err))
	}
}

func (t *teller) skipped(path, why string) { t.s.note("%s: %s", ftp.Escape(path), why) }

// sumLine is the end as JSON.
type sumLine struct {
	Event   string `json:"event"` // "mirror"
	DryRun  bool   `json:"dry_run,omitempty"`
	Fetched int    `json:"fetched"`
	Sent    int    `json:"sent"`
	Bytes   int64  `json:"bytes"`
	Made    int    `json:"made"`
	Deleted int    `json:"deleted"`
	Retimed int    `json:"retimed"`
	Same    int    `json:"same"`
	Skipped int    `json:"skipped"`
	Failed  int    `json:"failed"`
}

// sum tells what came of it: "142 fetched (1.2 GiB), 3 deleted, 2 failed".
func (t *teller) sum(up bool, r mirror.Result) error {
	l := sumLine{Event: "mirror", DryRun: t.dry, Fetched: r.Moved, Bytes: r.Bytes, Made: r.Made, Deleted: r.Deleted, Retimed: r.Retimed, Same: r.Same, Skipped: r.Skipped, Failed: r.Failed}
	moved := "fetched"
	if up {
		moved, l.Fetched, l.Sent = "sent", 0, r.Moved
	}
	if t.s.json {
		return writeJSON(t.out, l)
	}
	if t.s.silent {
		return nil
	}
	more := ""
	if r.Bytes == math.MaxInt64 { // a server has said sizes that no sum can be made of
		more = "more than "
	}
	text := fmt.Sprintf("%d %s (%s%s)", r.Moved, moved, more, humanize.IBytes(uint64(r.Bytes)))
	for _, c := range []struct {
		n    int
		what string
	}{{r.Deleted, "deleted"}, {r.Retimed, "given their time"}, {r.Same, "the same"}, {r.Skipped, "left out"}, {r.Failed, "failed"}} {
		if c.n > 0 {
			text += fmt.Sprintf(", %d %s", c.n, c.what)
		}
	}
	if t.dry {
		text = "dry run: " + text
	}
	_, err := fmt.Fprintln(t.out, text)
	return err
}
