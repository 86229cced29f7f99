package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"towpath/internal/columns"
	"towpath/internal/exitcode"
	"towpath/internal/ftpurl"
)

// bookmark is a place on a server that has a name.
type bookmark struct {
	URL string `toml:"url"`
	// Flags are those of the client that go with it, by their long names.
	Flags map[string]string `toml:"flags,omitempty"`
}

// bookmarksPath is where bookmarks are kept.
func bookmarksPath() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("bookmarks: %w", err)
	}
	return filepath.Join(dir, "towpath", "bookmarks.toml"), nil
}

// readBookmarks reads the file of bookmarks; there is none without a home that it
// could be in.
func readBookmarks() (text []byte, file string, err error) {
	if file, err = bookmarksPath(); err != nil {
		return nil, "", nil
	}
	text, err = os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, file, nil
	}
	if err != nil {
		return nil, file, fmt.Errorf("bookmarks: %w", err)
	}
	return text, file, nil
}

// loadBookmarks reads the bookmarks. Without a file there are none.
func loadBookmarks() (map[string]bookmark, error) {
	_, all, err := loadBookmarksText()
	return all, err
}

// loadBookmarksText reads the bookmarks, and how they are written.
func loadBookmarksText() (text []byte, all map[string]bookmark, err error) {
	text, file, err := readBookmarks()
	if err != nil {
		return nil, nil, err
	}
	if all, err = parseBookmarks(text); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", file, err)
	}
	return text, all, nil
}

// parseBookmarks reads what formatBookmarks writes, and looks at all of it.
func parseBookmarks(text []byte) (map[string]bookmark, error) {
	all := map[string]bookmark{}
	d := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields()
	if err := d.Decode(&all); err != nil {
		if e, ok := errors.AsType[*toml.StrictMissingError](err); ok {
			return nil, fmt.Errorf("a bookmark has url and flags, and nothing else:\n%s", e.String())
		}
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		b := all[name]
		if err := checkBookmark(name, b); err != nil {
			return nil, err
		}
		if len(b.Flags) == 0 { // "flags = {}" says nothing
			b.Flags = nil
			all[name] = b
		}
	}
	return all, nil
}

func formatBookmarks(all map[string]bookmark) ([]byte, error) { return toml.Marshal(all) }

// spliceBookmarks returns text with bookmarks as all has them where name is
// concerned: changed in its place, added at the end, or left out. The rest of the
// text stays, comments and order too, for it may be written by hand. A text whose
// lines do not tell where the bookmark stands is written anew.
func spliceBookmarks(text []byte, name string, all map[string]bookmark) ([]byte, error) {
	var block []byte
	b, stays := all[name]
	if stays {
		var err error
		if block, err = formatBookmarks(map[string]bookmark{name: b}); err != nil {
			return nil, err
		}
	}
	var next, comment []byte // what stands right above the line
	in, table, placed := false, false, false
	for line := range bytes.Lines(text) {
		key := bytes.TrimLeft(line, " \t")
		header := bytes.HasPrefix(key, []byte("["))
		table = table || header
		switch {
		case header || !table && len(bytes.TrimSpace(key)) > 0 && key[0] != '#':
			in = firstKey(line) == name
		case bytes.HasPrefix(key, []byte("#")):
			comment = append(comment, line...)
			continue
		}
		blank := len(bytes.TrimSpace(key)) == 0
		switch {
		case !in, blank && (stays || len(comment) > 0):
			next = append(append(next, comment...), line...)
		case stays && !placed:
			next = append(append(next, comment...), block...)
			placed = true
		case header && len(next) == 0: // on top of the file it speaks of all of it
			next = append(next, comment...)
		}
		comment = nil
	}
	next = append(next, comment...)
	if stays && !placed {
		if next = bytes.TrimRight(next, "\n"); len(next) > 0 {
			next = append(next, "\n\n"...)
		}
		next = append(next, block...)
	}
	if got, err := parseBookmarks(next); err != nil || !reflect.DeepEqual(got, all) {
		return formatBookmarks(all)
	}
	return next, nil
}

// firstKey is what a line of TOML is about: [work], [work.flags] and work.url are
// about work.
func firstKey(line []byte) string {
	var is map[string]any
	if toml.Unmarshal(line, &is) == nil {
		for key := range is {
			return key
		}
	}
	return ""
}

// checkBookmark says what is wrong with a bookmark.
func checkBookmark(name string, b bookmark) error {
	letter := func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("-_.", r) }
	switch {
	case len(name) < 2 || strings.ContainsFunc(name, func(r rune) bool { return !letter(r) }) || name[0] == '-':
		return misuse("%q cannot be the name of a bookmark: want two letters or more, digits, and - _ . between them", name)
	case slices.Contains([]string{"ftp", "ftps", "ftpes"}, name):
		return misuse("%q begins a URL, and cannot be the name of a bookmark", name)
	}
	if _, err := ftpurl.Parse(b.URL); err != nil {
		return fmt.Errorf("bookmark %s: %w", name, err)
	}
	f := (&clientFlags{}).set()
	for _, flag := range slices.Sorted(maps.Keys(b.Flags)) {
		if f.Lookup(flag) == nil {
			return misuse("bookmark %s: the client has no flag --%s", name, flag)
		}
		if err := f.Set(flag, b.Flags[flag]); err != nil {
			return misuse("bookmark %s: --%s: %w", name, flag, err)
		}
	}
	return nil
}

// set returns a set of flags that v is bound to.
func (v *clientFlags) set() *pflag.FlagSet {
	f := pflag.NewFlagSet("", pflag.ContinueOnError)
	v.bind(f)
	return f
}

// saveBookmarks writes the file anew, for its owner alone.
func saveBookmarks(text []byte) error {
	file, err := bookmarksPath()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("bookmarks: %w", err)
	}
	if target, err := filepath.EvalSymlinks(file); err == nil { // the link stays
		file = target
	}
	return replaceFile(file, text)
}

// replaceFile puts a file in the place of another, whole or not at all.
func replaceFile(file string, text []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(file), ".bookmarks-*") // mode 0600
	if err != nil {
		return fmt.Errorf("bookmarks: %w", err)
	}
	_, err = tmp.Write(text)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), file)
	}
	if err != nil {
		return fmt.Errorf("bookmarks: %w", errors.Join(err, os.Remove(tmp.Name())))
	}
	return nil
}

// place is the URL of a path below a bookmark: from the directory that it names,
// or with a slash in front, from the root.
func (b bookmark) place(p string) (ftpurl.URL, error) {
	u, err := ftpurl.Parse(b.URL)
	switch {
	case err != nil || p == "":
	case strings.HasPrefix(p, "/"):
		u.Path = p
	default:
		dir := strings.HasSuffix(p, "/")
		if u.Path = path.Join(u.Path, p); dir {
			u.Path += "/"
		}
	}
	return u, err
}

// useBookmarks puts URLs in place of NAME: and NAME:PATH, if a bookmark has that
// name, and sets the flags that go with it where none were given.
func useBookmarks(f *pflag.FlagSet, args []string) ([]string, error) {
	var all map[string]bookmark
	args = slices.Clone(args)
	used := ""
	for i, a := range args {
		name, p, ok := strings.Cut(a, ":")
		if !ok || strings.HasPrefix(p, "//") {
			continue
		}
		if all == nil {
			var err error
			if all, err = loadBookmarks(); err != nil {
				return nil, err
			}
		}
		b, ok := all[name]
		if !ok {
			continue
		}
		if used != "" && used != name && !maps.Equal(all[used].Flags, b.Flags) {
			return nil, misuse("the bookmarks %s and %s have different flags, and cannot be used by one command", used, name)
		}
		used = name
		u, err := b.place(p)
		if err != nil {
			return nil, err
		}
		args[i] = ftpurl.Format(u)
		if err := setDefaults(f, b.Flags); err != nil {
			return nil, err
		}
	}
	return args, nil
}

// setDefaults sets flags that were not given, and that do not contradict those.
func setDefaults(f *pflag.FlagSet, values map[string]string) error {
	given := map[string]bool{}
	f.VisitAll(func(l *pflag.Flag) { given[l.Name] = l.Changed })
	for _, group := range [][]string{{"active", "passive", "ftp-port"}, {"ipv4", "ipv6"}, {"netrc-file", "no-netrc", "anonymous"}} {
		if slices.ContainsFunc(group, func(n string) bool { return given[n] }) {
			for _, n := range group {
				given[n] = true
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if f.Lookup(name) == nil || given[name] {
			continue
		}
		if err := f.Set(name, values[name]); err != nil {
			return misuse("--%s: %w", name, err)
		}
	}
	return nil
}

// changed are the flags that were given, by name.
func changed(f *pflag.FlagSet) map[string]string {
	values := map[string]string{}
	f.Visit(func(l *pflag.Flag) { values[l.Name] = l.Value.String() })
	return values
}

func bookmarkCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "bookmark",
		Short: "Keep places on servers under names of their own",
		Long: `Keeps places on servers, with the flags that they need. Where a URL can stand,
NAME: is the place itself and NAME:PATH what lies below it; NAME:/PATH begins at
the root of the server. open NAME opens it in the shell.

A bookmark comes before a local file of the same name; ./NAME:PATH is the file.
Bookmarks are in towpath/bookmarks.toml below $XDG_CONFIG_HOME, and hold no
passwords unless --save-password asks for it; ~/.netrc is the better place.`,
		Example: `  towpath bookmark add work ftpes://alice@ftp.example.org/projects/
  towpath ls work:
  towpath get work:2026/plan.pdf`,
		Args:    verbs,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
		GroupID: clientGroup,
	}
	c.AddCommand(bookmarkAdd(), bookmarkList(), bookmarkShow(), bookmarkRemove(), bookmarkEdit())
	return c
}

// bookmarkVerb makes a verb of bookmark.
func bookmarkVerb(c cobra.Command, run func(c *cobra.Command, args []string) error) *cobra.Command {
	c.RunE = func(c *cobra.Command, args []string) error { return clientError(run(c, args)) }
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return exit(exitcode.Usage, err) })
	return &c
}

func exactly(n int, what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != n {
			return exit(exitcode.Usage, fmt.Errorf("%s wants %s, and got %d arguments", c.CommandPath(), what, len(args)))
		}
		return nil
	}
}

func bookmarkAdd() *cobra.Command {
	v := &clientFlags{}
	var save, force bool
	c := bookmarkVerb(cobra.Command{
		Use:   "add [flags] NAME URL",
		Short: "Keep a URL under a name, with flags that go with it",
		Example: `  towpath bookmark add work ftpes://alice@ftp.example.org/projects/
  towpath bookmark add old --charset=iso-8859-1 --active ftp://192.168.10.5/`,
		Args: exactly(2, "a name and a URL"),
	}, func(c *cobra.Command, args []string) error {
		text, all, err := loadBookmarksText()
		if err != nil {
			return err
		}
		name := args[0]
		u, err := ftpurl.Parse(args[1])
		if err != nil {
			return err
		}
		flags, secret := changed(ofClient(c.Flags())), u.HasPassword
		for flag, value := range flags {
			bare := cutPassword(flag, value)
			if secret = secret || bare != value; !save {
				flags[flag] = bare
			}
		}
		switch {
		case secret && !save:
			u.Password, u.HasPassword = "", false
			fmt.Fprintln(c.ErrOrStderr(), "towpath: the password is not kept; --save-password keeps it, and ~/.netrc is the better place")
		case secret:
			fmt.Fprintln(c.ErrOrStderr(), "towpath: the password is kept in clear text, in a file that only you can read")
		}
		b := bookmark{URL: ftpurl.Format(u)}
		if len(flags) > 0 {
			b.Flags = flags
		}
		if err := checkBookmark(name, b); err != nil {
			return err
		}
		if _, there := all[name]; there && !force {
			return misuse("there is a bookmark %s already; --force replaces it", name)
		}
		all[name] = b
		if text, err = spliceBookmarks(text, name, all); err != nil {
			return fmt.Errorf("bookmarks: %w", err)
		}
		return saveBookmarks(text)
	})
	f := c.Flags()
	f.BoolVar(&save, "save-password", false, "keep passwords, too, in clear text")
	f.BoolVar(&force, "force", false, "replace a bookmark of that name")
	v.bind(f)
	return c
}

// ofClient returns those of the flags that are the client's, as f has them.
func ofClient(f *pflag.FlagSet) *pflag.FlagSet {
	own := (&clientFlags{}).set()
	f.Visit(func(l *pflag.Flag) {
		if own.Lookup(l.Name) != nil {
			_ = own.Set(l.Name, l.Value.String()) // it has passed once
		}
	})
	return own
}

// hidePassword puts **** in place of the password in the value of a flag.
func hidePassword(flag, value string) string {
	switch flag {
	case "user", "proxy-user":
		if name, _, ok := strings.Cut(value, ":"); ok {
			return name + ":****"
		}
	case "proxy", "socks5", "socks5-hostname":
		return ftpurl.Redact(value)
	}
	return value
}

// cutPassword takes the password out of the value of a flag.
func cutPassword(flag, value string) string {
	hidden := hidePassword(flag, value)
	if hidden == value {
		return value
	}
	before, after, _ := strings.Cut(hidden, ":****")
	return before + after
}

// shownURL hides the password of a bookmark.
func (b bookmark) shownURL() string { return columns.Shown(ftpurl.Redact(b.URL)) }

// shownFlags writes the flags as they are given.
func (b bookmark) shownFlags() string {
	var text []string
	for _, name := range slices.Sorted(maps.Keys(b.Flags)) {
		value := hidePassword(name, b.Flags[name])
		if value == "true" {
			text = append(text, "--"+name)
		} else {
			text = append(text, "--"+name+"="+columns.Shown(value))
		}
	}
	return strings.Join(text, " ")
}

// list writes the bookmarks, one in each line.
func listBookmarks(w io.Writer, all map[string]bookmark) error {
	var rows [][]string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		rows = append(rows, []string{name, strings.TrimRight(all[name].shownURL()+"  "+all[name].shownFlags(), " ")})
	}
	return writeTable(w, rows)
}

func bookmarkList() *cobra.Command {
	return bookmarkVerb(cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "Show all bookmarks",
		Args:    cobra.NoArgs,
	}, func(c *cobra.Command, _ []string) error {
		all, err := loadBookmarks()
		if err != nil {
			return err
		}
		return listBookmarks(c.OutOrStdout(), all)
	})
}

// known returns a bookmark that must be there.
func knownBookmark(all map[string]bookmark, name string) (bookmark, error) {
	b, ok := all[name]
	if !ok {
		return b, misuse("there is no bookmark %q; bookmark list shows those that there are", name)
	}
	return b, nil
}

func bookmarkShow() *cobra.Command {
	return bookmarkVerb(cobra.Command{
		Use:   "show NAME",
		Short: "Show one bookmark",
		Args:  exactly(1, "a name"),
	}, func(c *cobra.Command, args []string) error {
		all, err := loadBookmarks()
		if err != nil {
			return err
		}
		b, err := knownBookmark(all, args[0])
		if err != nil {
			return err
		}
		return listBookmarks(c.OutOrStdout(), map[string]bookmark{args[0]: b})
	})
}

func bookmarkRemove() *cobra.Command {
	return bookmarkVerb(cobra.Command{
		Use:   "rm NAME...",
		Short: "Forget bookmarks",
		Args:  wants(1, "the names of bookmarks"),
	}, func(_ *cobra.Command, args []string) error {
		text, all, err := loadBookmarksText()
		if err != nil {
			return err
		}
		for _, name := range args {
			if _, err := knownBookmark(all, name); err != nil {
				return err
			}
			delete(all, name)
			if text, err = spliceBookmarks(text, name, all); err != nil {
				return fmt.Errorf("bookmarks: %w", err)
			}
		}
		return saveBookmarks(text)
	})
}

func bookmarkEdit() *cobra.Command {
	return bookmarkVerb(cobra.Command{
		Use:   "edit",
		Short: "Write the bookmarks by $VISUAL or $EDITOR",
		Long:  "Starts $VISUAL or $EDITOR on a copy, which takes its place if it can be read.",
		Args:  cobra.NoArgs,
	}, func(c *cobra.Command, _ []string) error {
		text, _, err := readBookmarks()
		if err != nil {
			return err
		}
		if len(text) == 0 {
			text = []byte("# [work]\n# url = \"ftpes://alice@ftp.example.org/projects/\"\n# flags = { charset = \"iso-8859-1\", active = \"true\" }\n")
		}
		f, err := os.CreateTemp("", "bookmarks-*.toml")
		if err != nil {
			return err
		}
		_, err = f.Write(text)
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
		e := editorOf(f.Name())
		e.Stdin, e.Stdout, e.Stderr = os.Stdin, os.Stdout, os.Stderr
		if err := e.Run(); err != nil {
			return fmt.Errorf("%s: %w", e.Path, errors.Join(err, os.Remove(f.Name())))
		}
		if text, err = os.ReadFile(f.Name()); err != nil {
			return err
		}
		if _, err = parseBookmarks(text); err != nil {
			return fmt.Errorf("%w; nothing was changed, and what you wrote is in %s", err, f.Name())
		}
		return errors.Join(saveBookmarks(text), os.Remove(f.Name()))
	})
}

// editorOf is the editor of the user, on a file.
func editorOf(file string) *exec.Cmd {
	words := strings.Fields(firstSet("VISUAL", "EDITOR"))
	if len(words) == 0 {
		words = []string{defaultEditor}
	}
	return exec.Command(words[0], append(words[1:], file)...)
}

// firstSet is the first of these variables that has a value.
func firstSet(names ...string) string {
	for _, n := range names {
		if v := os.Getenv(n); v != "" {
			return v
		}
	}
	return ""
}
