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
	"slices"
	"strings"
	"unicode"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"towpath/ftp"
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

// loadBookmarks reads the bookmarks; without a file, or a home that it could be
// in, there are none.
func loadBookmarks() (map[string]bookmark, error) {
	file, err := bookmarksPath()
	if err != nil {
		return map[string]bookmark{}, nil
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]bookmark{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("bookmarks: %w", err)
	}
	all, err := parseBookmarks(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return all, nil
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
func saveBookmarks(all map[string]bookmark) error {
	file, err := bookmarksPath()
	if err != nil {
		return err
	}
	text, err := formatBookmarks(all)
	if err != nil {
		return fmt.Errorf("bookmarks: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("bookmarks: %w", err)
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
		all, err := loadBookmarks()
		if err != nil {
			return err
		}
		name := args[0]
		u, err := ftpurl.Parse(args[1])
		if err != nil {
			return err
		}
		flags := changed(ofClient(c.Flags()))
		_, hasPassword, _ := strings.Cut(flags["user"], ":")
		switch {
		case (u.HasPassword || hasPassword != "") && !save:
			u.Password, u.HasPassword = "", false
			if user, _, ok := strings.Cut(flags["user"], ":"); ok {
				flags["user"] = user
			}
			fmt.Fprintln(c.ErrOrStderr(), "towpath: the password is not kept; --save-password keeps it, and ~/.netrc is the better place")
		case u.HasPassword || hasPassword != "":
			fmt.Fprintln(c.ErrOrStderr(), "towpath: the password is kept in clear text, in a file that only you can read")
		}
		b := bookmark{URL: ftpurl.Format(u), Flags: flags}
		if err := checkBookmark(name, b); err != nil {
			return err
		}
		if _, there := all[name]; there && !force {
			return misuse("there is a bookmark %s already; --force replaces it", name)
		}
		all[name] = b
		return saveBookmarks(all)
	})
	f := c.Flags()
	f.BoolVar(&save, "save-password", false, "keep the password of the URL, too, in clear text")
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

// shownURL hides the password of a bookmark.
func (b bookmark) shownURL() string { return ftp.Escape(ftpurl.Redact(b.URL)) }

// shownFlags writes the flags as they are given.
func (b bookmark) shownFlags() string {
	var text []string
	for _, name := range slices.Sorted(maps.Keys(b.Flags)) {
		value := b.Flags[name]
		if user, _, ok := strings.Cut(value, ":"); name == "user" && ok {
			value = user + ":****"
		}
		if value == "true" {
			text = append(text, "--"+name)
		} else {
			text = append(text, "--"+name+"="+ftp.Escape(value))
		}
	}
	return strings.Join(text, " ")
}

// list writes the bookmarks, one in each line.
func listBookmarks(w io.Writer, all map[string]bookmark) error {
	widest := 0
	for name := range all {
		widest = max(widest, len(name))
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		b := all[name]
		line := strings.TrimRight(fmt.Sprintf("%-*s  %s  %s", widest, name, b.shownURL(), b.shownFlags()), " ")
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
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
		all, err := loadBookmarks()
		if err != nil {
			return err
		}
		for _, name := range args {
			if _, err := knownBookmark(all, name); err != nil {
				return err
			}
			delete(all, name)
		}
		return saveBookmarks(all)
	})
}

func bookmarkEdit() *cobra.Command {
	return bookmarkVerb(cobra.Command{
		Use:   "edit",
		Short: "Write the bookmarks by $VISUAL or $EDITOR",
		Long:  "Starts $VISUAL or $EDITOR on a copy, which takes its place if it can be read.",
		Args:  cobra.NoArgs,
	}, func(c *cobra.Command, _ []string) error {
		all, err := loadBookmarks()
		if err != nil {
			return err
		}
		text, err := formatBookmarks(all)
		if err != nil {
			return err
		}
		if len(all) == 0 {
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
		if all, err = parseBookmarks(text); err != nil {
			return fmt.Errorf("%w; nothing was changed, and what you wrote is in %s", err, f.Name())
		}
		return errors.Join(saveBookmarks(all), os.Remove(f.Name()))
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
