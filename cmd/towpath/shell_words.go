package main

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"towpath/ftp"
	"towpath/ftpclient"
	"towpath/internal/exitcode"
	"towpath/internal/ftpurl"
	"towpath/internal/shell"
)

// shellWord is a word of the shell. One without run is a verb of towpath under another
// name; see [ways].
type shellWord struct {
	args, help  string
	least, most int // arguments; most -1: any number
	places      []place
	run         func(*call) error
}

// words are the words of the shell, beside the verbs of towpath.
func words() map[string]shellWord {
	table.Do(fillTable)
	return wordTable
}

var (
	table     sync.Once
	wordTable map[string]shellWord
)

func fillTable() {
	toggle := func(help string, flag string, on bool) shellWord {
		return shellWord{"[on | off]", help, 0, 1, nil, func(r *call) error { return r.toggle(flag, on) }}
	}
	w := map[string]shellWord{
		"open":       {"[FLAG ...] HOST | URL | BOOKMARK [PORT]", "go to a server; the flags are those of towpath ls", 1, -1, []place{servers}, (*call).open},
		"user":       {"NAME [PASSWORD]", "log in as somebody else; without PASSWORD it is asked for", 1, 2, nil, (*call).user},
		"close":      {"", "leave the server", 0, 0, nil, (*call).hangUp},
		"quit":       {"", "leave", 0, 1, nil, (*call).quit},
		"cd":         {"[DIR | -]", "go to a directory of the server; - is the one before, none that of the login", 0, 1, []place{there}, (*call).cd},
		"cdup":       {"", "go to the directory above", 0, 0, nil, func(r *call) error { return r.chdir("..") }},
		"pwd":        {"", "show where we are on the server", 0, 0, nil, (*call).pwd},
		"lcd":        {"[DIR | -]", "go to a directory of this machine", 0, 1, []place{here}, (*call).lcd},
		"lpwd":       {"", "show where we are on this machine", 0, 0, nil, (*call).lpwd},
		"lls":        {"[FILE ...]", "list files of this machine", 0, -1, []place{here}, (*call).lls},
		"more":       {"FILE ...", "show files by $PAGER", 1, -1, []place{there}, (*call).more},
		"edit":       {"FILE", "fetch a file, write it by $VISUAL or $EDITOR, and send it back if it has changed", 1, 1, []place{there}, (*call).edit},
		"size":       {"FILE ...", "show how many bytes files have", 1, -1, []place{there}, (*call).size},
		"modtime":    {"FILE ...", "show when files were changed", 1, -1, []place{there}, (*call).modtime},
		"hash":       {"FILE ... | [on | off]", "show the SHA-256 that the server has of files; without files, show progress or not", 0, -1, []place{there}, (*call).hash},
		"progress":   {"[on | off]", "show progress or not", 0, 1, nil, func(r *call) error { return r.progressing(r.texts()) }},
		"passive":    {"[on | off | auto]", "passive mode, active mode, or what works", 0, 1, nil, (*call).passive},
		"active":     {"[on | off]", "active mode: the server connects to us", 0, 1, nil, (*call).active},
		"debug":      toggle("show the dialogue, and what it means", "trace", true),
		"verbose":    toggle("the same as debug", "trace", true),
		"ascii":      {"", "transfer files as text", 0, 0, nil, func(r *call) error { return r.transferType("ascii") }},
		"binary":     {"", "transfer files as they are", 0, 0, nil, func(r *call) error { return r.transferType("binary") }},
		"type":       {"[ascii | binary]", "show or choose how files are transferred", 0, 1, nil, func(r *call) error { return r.transferType(r.texts()...) }},
		"prompt":     {"[on | off]", "ask about each name that a pattern stands for", 0, 1, nil, (*call).prompt},
		"quote":      {"COMMAND [ARGUMENT ...]", "send a command as it is, and show the reply", 1, -1, nil, (*call).quote},
		"site":       {"COMMAND [ARGUMENT ...]", "quote SITE", 1, -1, nil, func(r *call) error { return r.send("SITE", r.texts()) }},
		"rhelp":      {"[COMMAND]", "ask the server for help", 0, -1, nil, func(r *call) error { return r.send("HELP", r.texts()) }},
		"feat":       {"", "show what the server says it can do", 0, 0, nil, func(r *call) error { return r.send("FEAT", nil) }},
		"system":     {"", "show what the server says it is", 0, 0, nil, func(r *call) error { return r.send("SYST", nil) }},
		"idle":       {"[SECONDS]", "show or set when the server ends a session that does nothing", 0, 1, nil, func(r *call) error { return r.send("SITE", append([]string{"IDLE"}, r.texts()...)) }},
		"status":     {"", "show how the shell is set", 0, 0, nil, (*call).status},
		"stat":       {"[FILE]", "quote STAT; without FILE, about the session", 0, 1, []place{there}, (*call).stat},
		"set":        {"[NAME [VALUE]]", "show or set variables, under the names that lftp has for them; without VALUE, as at the beginning", 0, 2, []place{settings, nowhere}, (*call).set},
		"alias":      {"[NAME [COMMAND ...]]", "show aliases, or give a command a name; without COMMAND the name is forgotten", 0, -1, []place{vocabulary}, (*call).alias},
		"jobs":       {"", "show what runs in the background", 0, 0, nil, (*call).showJobs},
		"wait":       {"[NUMBER | all]", "wait for a job, or for all", 0, 1, []place{jobs}, (*call).wait},
		"fg":         {"[NUMBER]", "wait for the last job, or for one; Ctrl-C ends it, Ctrl-Z leaves it alone", 0, 1, []place{jobs}, (*call).fg},
		"bg":         {"", "Ctrl-Z has sent it to the background already; the same as jobs", 0, 1, []place{jobs}, (*call).showJobs},
		"kill":       {"NUMBER ... | all", "end jobs", 1, -1, []place{jobs}, (*call).kill},
		"queue":      {"COMMAND [ARGUMENT ...]", "run a command in the background, when those queued before it have ended", 1, -1, []place{vocabulary, there}, (*call).enqueue},
		"history":    {"[NUMBER | -c]", "show the last lines, or forget all", 0, 1, nil, (*call).showHistory},
		"bookmark":   {"[list | show NAME | add NAME [URL] | rm NAME | edit]", "keep places; add without URL keeps the one where we are", 0, -1, []place{nowhere, servers}, (*call).bookmark},
		"echo":       {"[TEXT ...]", "write text", 0, -1, nil, func(r *call) error { _, err := fmt.Fprintln(r.out, strings.Join(r.texts(), " ")); return err }},
		"help":       {"[WORD]", "list the words, or explain one", 0, 1, []place{vocabulary}, (*call).help},
		"!":          {"[COMMAND]", "run a program of this machine", 0, -1, nil, nil},
		"bell":       {"", "there is none", 0, 1, nil, func(*call) error { return errors.New("the shell has no bell") }},
		"disconnect": {}, "bye": {}, "exit": {}, "page": {}, "?": {},
	}
	for other, name := range map[string]string{"disconnect": "close", "bye": "quit", "exit": "quit", "page": "more", "?": "help"} {
		same := w[name]
		same.help = "the same as " + name
		w[other] = same
	}
	for name, way := range ways {
		w[name] = shellWord{help: "the same as " + strings.Join(way, " ")}
	}
	w["mput"] = shellWord{help: "send files into the directory where we are"}
	w["recv"] = shellWord{help: "recv REMOTE [LOCAL]: fetch one file, under another name"}
	wordTable = w
}

// open goes to a server.
func (r *call) open() error {
	f := (&clientFlags{}).set()
	if err := f.Parse(r.texts()); err != nil {
		return exitcode.With(exitcode.Usage, err)
	}
	args := f.Args()
	if len(args) < 1 || len(args) > 2 {
		return misuse("usage: open %s", words()["open"].args)
	}
	flags := changed(f)
	u, err := r.whereTo(args[0], flags)
	if err != nil {
		return err
	}
	if len(args) == 2 {
		port, err := strconv.ParseUint(args[1], 10, 16)
		if err != nil || port == 0 {
			return misuse("port %q: want a number from 1 to 65535", args[1])
		}
		u.Port = uint16(port)
	}
	// The flags of a server that was open before are not those of this one.
	for name, value := range r.begun {
		if _, ok := flags[name]; !ok {
			flags[name] = value
		}
	}
	return r.enter(u, flags)
}

// enter goes to a server with these flags. With -n and no user named it waits
// for user, as BSD ftp does; and when a login is refused the server stays, so
// that user can try another.
func (r *call) enter(u ftpurl.URL, flags map[string]string) error {
	own := (&clientFlags{})
	if err := setDefaults(own.set(), flags); err != nil {
		return err
	}
	r.shared = *own
	if u.Port == 0 {
		u.Port = own.port
	}
	if u.User == "" && own.user != "" {
		u.User, u.Password, u.HasPassword = strings.Cut(own.user, ":")
	}
	first := u.Path
	u.Path, u.Type = "", ftpurl.Unset
	r.guest.at, r.guest.home = u, ""
	home := ""
	var err error
	if !own.noNetrc || u.User != "" || own.anonymous {
		err = r.logIn(&home)
	}
	if err != nil && codeOf(err) != exitcode.Login {
		return err
	}
	u.Path = home
	r.mu.Lock()
	r.client.at, r.client.home, r.was = u, home, u
	r.mu.Unlock()
	r.names.forget()
	r.guest.at, r.guest.home = u, home
	if err := errors.Join(err, r.setFlags(flags)); err != nil {
		return err
	}
	if strings.Trim(first, "/") != "" || strings.HasPrefix(first, "/") {
		return r.chdir(first)
	}
	return nil
}

// logIn begins a session, and asks where it is.
func (r *call) logIn(home *string) error {
	return r.with(func(ctx context.Context, v *visit, c *ftpclient.Client) error {
		*home = whereIs(ctx, c) // a server that does not say has names that begin there
		return ctx.Err()
	})
}

// whereIs asks a session where it is; "" if the answer is no path with slashes.
func whereIs(ctx context.Context, c *ftpclient.Client) string {
	reply, err := c.Quote(ctx, ftp.Command{Verb: "PWD"})
	if err != nil || len(reply.Lines) == 0 {
		return ""
	}
	p, ok := ftp.Unquote(reply.Lines[len(reply.Lines)-1])
	if !ok || !strings.HasPrefix(p, "/") {
		return ""
	}
	return p
}

// whereTo reads what open is given: a bookmark, whose flags are added to those
// that are given, a URL, or a host.
func (r *call) whereTo(name string, flags map[string]string) (u ftpurl.URL, err error) {
	if !strings.Contains(name, "://") {
		all, err := loadBookmarks()
		if err != nil {
			return u, err
		}
		mark, p, _ := strings.Cut(name, ":")
		if b, ok := all[mark]; ok {
			for n, value := range b.Flags {
				if _, ok := flags[n]; !ok {
					flags[n] = value
				}
			}
			return b.place(p)
		}
		if strings.Count(name, ":") > 1 && !strings.ContainsAny(name, "[/@") { // an IPv6 address
			name = "[" + name + "]"
		}
		name = "ftp://" + name
	}
	return ftpurl.Parse(name)
}

// setFlags makes these the flags of the shell, and no others.
func (s *client) setFlags(values map[string]string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.own.Flags()
	for name := range changed(ofClient(f)) {
		if err := s.unset(name); err != nil {
			return err
		}
	}
	for name, value := range values {
		if err := f.Set(name, value); err != nil {
			return misuse("--%s: %w", name, err)
		}
	}
	return nil
}

// unset gives a flag its default. Times take no empty text, and are zero then.
func (s *client) unset(name string) error {
	l := s.own.Flags().Lookup(name)
	if t, ok := l.Value.(*seconds); ok {
		*t = 0
	} else if err := l.Value.Set(l.DefValue); err != nil {
		return err
	}
	l.Changed = false
	return nil
}

// user begins anew as somebody else.
func (r *call) user() error {
	if r.guest.at.Host == "" {
		return errNotOpen
	}
	u := r.guest.at
	u.User, u.Password, u.HasPassword = r.words[0].Text, "", false
	if len(r.words) == 2 {
		u.Password, u.HasPassword = r.words[1].Text, true
	}
	u.Path = ""
	r.guest.forget(u, u.User)
	flags := changed(ofClient(r.own.Flags()))
	delete(flags, "anonymous")
	return r.enter(u, flags)
}

func (r *call) hangUp() error {
	if r.guest.at.Host == "" {
		return errNotOpen
	}
	r.mu.Lock()
	r.client.at, r.client.home, r.was = ftpurl.URL{}, "", ftpurl.URL{}
	r.mu.Unlock()
	r.sessions.end()
	r.names.forget()
	return r.setFlags(r.begun)
}

func (r *call) quit() error {
	if err := r.bye(r.ctx); err != nil {
		return err
	}
	return errBye
}

func (r *call) cd() error {
	if len(r.words) == 0 {
		return r.chdir("~")
	}
	dir := r.words[0].Text
	if r.words[0].Pattern != "" {
		found, err := r.matches(r.words[0])
		if err != nil {
			return err
		}
		if len(found) != 1 {
			return fmt.Errorf("%s: %d names are like it; cd goes to one", ftp.Escape(dir), len(found))
		}
		dir = found[0]
	}
	if dir == "-" {
		r.mu.Lock()
		was := r.was
		r.mu.Unlock()
		if was.Host == "" {
			return errNotOpen
		}
		dir = was.Path
		if dir == "" {
			dir = "~"
		}
	}
	return r.chdir(dir)
}

// chdir goes to a directory. Since our names are whole paths, the session only
// tries whether it can go there, and goes back; so all sessions stay alike.
func (r *call) chdir(dir string) error {
	if dir == "" {
		return misuse("a name is empty; cd alone goes to the directory of the login")
	}
	to := r.guest.path(dir)
	if to != "/" {
		to = strings.TrimSuffix(to, "/")
	}
	err := r.with(func(ctx context.Context, _ *visit, c *ftpclient.Client) error {
		reply, err := c.Quote(ctx, ftp.Command{Verb: "CWD", Arg: to})
		if err != nil {
			if _, refused := errors.AsType[*ftp.Error](err); !refused {
				_ = c.Close() // it may go there yet
			}
			return err
		}
		if r.guest.home == "" { // no way back is known
			return errors.Join(c.Close(), ctx.Err())
		}
		if len(reply.Lines) > 1 { // a message about the directory
			for _, l := range reply.Lines[:len(reply.Lines)-1] {
				fmt.Fprintln(r.out, r.shown(l))
			}
		}
		to = cmp.Or(whereIs(ctx, c), to)
		if _, err := c.Quote(ctx, ftp.Command{Verb: "CWD", Arg: r.guest.home}); err != nil {
			return errors.Join(c.Close(), ctx.Err()) // the next session begins at home again
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.was = r.client.at
	r.client.at.Path = to
	return nil
}

func (r *call) pwd() error {
	if r.guest.at.Host == "" {
		return errNotOpen
	}
	u := r.guest.at
	_, err := fmt.Fprintf(r.out, "%s  (%s)\n", r.shown(cmp.Or(u.Path, "~")), r.shown(u.String()))
	return err
}

func (r *call) lcd() error {
	if len(r.jobs.List()) > 0 {
		return errors.New("jobs run, and their files are where we are; wait for them first")
	}
	dir, err := os.UserHomeDir()
	if len(r.words) > 0 {
		dir, err = localName(r.words[0].Text)
	}
	if err != nil {
		return err
	}
	if dir == "-" {
		if r.local == "" {
			return errors.New("there is no directory before this one")
		}
		dir = r.local
	}
	was, _ := os.Getwd() // "" if it is gone
	if err := os.Chdir(dir); err != nil {
		return exitcode.With(exitcode.Read, err)
	}
	r.local = was
	return r.lpwd()
}

// localName puts the home of the user in place of a ~.
func localName(name string) (string, error) {
	rest, ok := strings.CutPrefix(name, "~")
	if !ok || rest != "" && !os.IsPathSeparator(rest[0]) {
		return name, nil
	}
	home, err := os.UserHomeDir()
	return home + rest, err
}

func (r *call) lpwd() error {
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(r.out, dir)
	return err
}

func (r *call) lls() error {
	name, args := "ls", []string{"-lA"}
	if runtime.GOOS == "windows" {
		name, args = "cmd", []string{"/c", "dir"}
	}
	for _, w := range r.words {
		if w.Pattern == "" {
			args = append(args, w.Text)
			continue
		}
		found, err := filepath.Glob(localPattern(w.Pattern))
		if err != nil || len(found) == 0 {
			return fmt.Errorf("%s: no name is like it", w.Text)
		}
		args = append(args, found...)
	}
	c := exec.CommandContext(r.ctx, name, args...)
	c.Stdout, c.Stderr = r.out, r.notes
	return c.Run()
}

// sub carries out another verb in place of this one.
func (r *call) sub(name string, out io.Writer, args ...string) error {
	other := *r
	other.name, other.out, other.words = name, out, nil
	for _, a := range args {
		other.words = append(other.words, shell.Word{Text: a})
	}
	return other.verb()
}

// fetched fetches a file to be looked at, into a directory that is removed.
func (r *call) fetched(name string) (file string, remove func(), err error) {
	dir, err := os.MkdirTemp("", "towpath-")
	if err != nil {
		return "", nil, err
	}
	remove = func() { _ = os.RemoveAll(dir) } // it is below the directory for such things
	base := path.Base(name)
	if !filepath.IsLocal(base) || base == "." {
		base = "file"
	}
	file = filepath.Join(dir, base)
	if err := r.sub("get", r.out, "--output="+file, "--silent", "--", name); err != nil {
		remove()
		return "", nil, err
	}
	return file, remove, nil
}

func (r *call) more() error {
	pager := strings.Fields(firstSet("PAGER"))
	if len(pager) == 0 {
		pager = []string{defaultPager}
	}
	var files []string
	for _, w := range r.words {
		names := []string{w.Text}
		if w.Pattern != "" {
			var err error
			if names, err = r.expand(w, there); err != nil {
				return err
			}
		}
		for _, n := range names {
			file, remove, err := r.fetched(n)
			if err != nil {
				return err
			}
			defer remove()
			files = append(files, file)
		}
	}
	if !r.screen {
		pager = nil // who is no terminal gets it all
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				return err
			}
			if _, err := r.out.Write(text); err != nil {
				return err
			}
		}
		return nil
	}
	return r.console.lend(exec.Command(pager[0], append(pager[1:], files...)...))
}

func (r *call) edit() error {
	name := r.words[0].Text
	file, remove, err := r.fetched(name)
	if err != nil {
		return err
	}
	before, err := os.ReadFile(file)
	if err == nil {
		err = r.console.lend(editorOf(file))
	}
	if err != nil {
		remove()
		return err
	}
	after, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if string(before) == string(after) {
		remove()
		fmt.Fprintln(r.out, "nothing was changed")
		return nil
	}
	if err := r.sub("put", r.out, "--silent", "--", file, name); err != nil {
		return fmt.Errorf("%w; what you wrote is in %s", cmpErr(err), file)
	}
	remove()
	return nil
}

// cmpErr gives words to an error that has been told.
func cmpErr(err error) error {
	if err.Error() == "" {
		return exitcode.With(codeOf(err), errors.New("it was not sent back"))
	}
	return err
}

// files does something to each file that the words name.
func (r *call) files(do func(ctx context.Context, c *ftpclient.Client, name, path string) error) error {
	var all []string
	for _, w := range r.words {
		names := []string{w.Text}
		if w.Pattern != "" {
			var err error
			if names, err = r.expand(w, there); err != nil {
				return err
			}
		}
		all = append(all, names...)
	}
	return r.with(func(ctx context.Context, v *visit, c *ftpclient.Client) error {
		for _, n := range all {
			v.fail(do(ctx, c, n, strings.TrimSuffix(r.guest.path(n), "/")))
		}
		return v.result()
	})
}

func (r *call) size() error {
	return r.files(func(ctx context.Context, c *ftpclient.Client, name, path string) error {
		n, err := c.Size(ctx, path)
		if err == nil {
			_, err = fmt.Fprintf(r.out, "%12d  %s\n", n, r.shown(name))
		}
		return err
	})
}

func (r *call) modtime() error {
	return r.files(func(ctx context.Context, c *ftpclient.Client, name, path string) error {
		t, err := c.ModTime(ctx, path)
		if err == nil {
			_, err = fmt.Fprintf(r.out, "%s  %s\n", t.Local().Format("2006-01-02 15:04:05"), r.shown(name))
		}
		return err
	})
}

func (r *call) hash() error {
	if len(r.words) == 0 || len(r.words) == 1 && (r.words[0].Text == "on" || r.words[0].Text == "off") {
		return r.progressing(r.texts())
	}
	return r.files(func(ctx context.Context, c *ftpclient.Client, name, path string) error {
		sum, err := c.Hash(ctx, path, "SHA-256")
		if err == nil {
			_, err = fmt.Fprintf(r.out, "%s  %s\n", hex.EncodeToString(sum), r.shown(name))
		}
		return err
	})
}

// onOff reads a switch; without an argument it is turned.
func onOff(args []string, now bool) (bool, error) {
	if len(args) == 0 {
		return !now, nil
	}
	switch args[0] {
	case "on", "yes", "true", "1":
		return true, nil
	case "off", "no", "false", "0":
		return false, nil
	}
	return false, misuse("%q: want on or off", args[0])
}

// toggle turns a flag of the shell.
func (r *call) toggle(flag string, value bool) error {
	now := r.own.Flags().Lookup(flag).Value.String() == strconv.FormatBool(value)
	on, err := onOff(r.texts(), now)
	if err != nil {
		return err
	}
	if err := r.setFlag(flag, strconv.FormatBool(on == value)); err != nil {
		return err
	}
	return r.tell(r.name, on)
}

func (r *call) tell(name string, on bool) error {
	word := "off"
	if on {
		word = "on"
	}
	_, err := fmt.Fprintf(r.notes, "%s %s\n", name, word)
	return err
}

// setFlag sets a flag of the shell; "false" and "" take it away.
func (s *client) setFlag(name, value string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if value == "" || value == "false" {
		return s.unset(name)
	}
	if err := s.own.Flags().Set(name, value); err != nil {
		return misuse("%s: %w", name, err)
	}
	return nil
}

func (r *call) progressing(args []string) error {
	on, err := onOff(args, !r.shared.silent)
	if err != nil {
		return err
	}
	if err := r.setFlag("silent", strconv.FormatBool(!on)); err != nil {
		return err
	}
	return r.tell("progress", on)
}

// passive chooses a mode, for sessions from now on.
func (r *call) passive() error {
	mode := "on"
	if r.shared.passive {
		mode = "auto"
	}
	if len(r.words) == 1 {
		mode = r.words[0].Text
	}
	return r.mode(mode)
}

func (r *call) active() error {
	on, err := onOff(r.texts(), r.shared.active)
	if err != nil {
		return err
	}
	if on {
		return r.mode("off")
	}
	return r.mode("auto")
}

func (r *call) mode(passive string) error {
	modes := map[string][2]string{"on": {"true", ""}, "off": {"", "true"}, "auto": {"", ""}}
	m, ok := modes[passive]
	if !ok {
		return misuse("passive %q: want on, off (active mode), or auto (what works)", passive)
	}
	if err := errors.Join(r.setFlag("passive", m[0]), r.setFlag("active", m[1])); err != nil {
		return err
	}
	text := map[string]string{"on": "passive mode: we connect to the server", "off": "active mode: the server connects to us", "auto": "passive or active mode: what works, passive first"}
	_, err := fmt.Fprintln(r.notes, text[passive])
	return err
}

func (r *call) transferType(args ...string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(args) > 0 {
		switch strings.ToLower(args[0]) {
		case "ascii", "a":
			r.ascii = true
		case "binary", "image", "i":
			r.ascii = false
		default:
			return misuse("type %q: want ascii or binary", args[0])
		}
	}
	text := "files are transferred as they are"
	if r.ascii {
		text = "files are transferred as text"
	}
	_, err := fmt.Fprintln(r.notes, text)
	return err
}

func (r *call) prompt() error {
	on, err := onOff(r.texts(), r.asks)
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.confirm = on
	r.mu.Unlock()
	return r.tell("prompt", on)
}

func (r *call) quote() error {
	args := r.texts()
	switch verb := strings.ToUpper(args[0]); {
	case (verb == "CWD" || verb == "XCWD") && len(args) > 1:
		return r.chdir(strings.Join(args[1:], " "))
	case verb == "CDUP" || verb == "XCUP":
		return r.chdir("..")
	case verb == "USER" || verb == "PASS" || verb == "ACCT":
		return misuse("quote %s: logging in is for user and open, which keep passwords out of all that is shown", verb)
	default:
		return r.send(verb, args[1:])
	}
}

// send sends a command as it is, and shows the reply.
func (r *call) send(verb string, args []string) error {
	return r.with(func(ctx context.Context, _ *visit, c *ftpclient.Client) error {
		reply, err := c.Quote(ctx, ftp.Command{Verb: verb, Arg: strings.Join(args, " ")})
		if reply.Code == 0 {
			return err
		}
		if _, werr := fmt.Fprintln(r.out, r.shown(reply.String())); werr != nil {
			return werr
		}
		if err != nil {
			return exit(exitcode.QuoteRefused, errors.New("")) // the reply tells
		}
		return nil
	})
}

func (r *call) stat() error {
	var args []string
	if len(r.words) == 1 {
		args = []string{strings.TrimSuffix(r.guest.path(r.words[0].Text), "/")}
	}
	return r.send("STAT", args)
}

func (r *call) status() error {
	where := "no server is open"
	if r.guest.at.Host != "" {
		where = r.shown(r.guest.at.String())
	}
	kind := "binary"
	if r.text {
		kind = "ascii"
	}
	dir, _ := os.Getwd() // "" if it is gone
	fmt.Fprintf(r.out, "server   %s\nhere     %s\ntype     %s\njobs     %d\n", where, dir, kind, len(r.jobs.List()))
	b := bookmark{Flags: r.given}
	_, err := fmt.Fprintf(r.out, "flags    %s\n", b.shownFlags())
	return err
}

func (r *call) alias() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch len(r.words) {
	case 0:
		for _, n := range slices.Sorted(maps.Keys(r.aliases)) {
			if _, err := fmt.Fprintf(r.out, "alias %s %s\n", shell.Quote(n), shell.Quote(r.aliases[n])); err != nil {
				return err
			}
		}
	case 1:
		delete(r.aliases, r.words[0].Text)
	case 2:
		r.aliases[r.words[0].Text] = r.words[1].Text
	default:
		r.aliases[r.words[0].Text] = shell.Command{Words: r.words[1:]}.String()
	}
	return nil
}

func (r *call) showJobs() error {
	for _, j := range r.jobs.List() {
		if _, err := fmt.Fprintf(r.out, "[%d] %s\n", j.Number, withoutSecrets(j.Line)); err != nil {
			return err
		}
	}
	return nil
}

// named returns the job that a word names, or the last.
func (r *call) job1() (*shell.Job, error) {
	all := r.jobs.List()
	if len(r.words) == 0 {
		if len(all) == 0 {
			return nil, errors.New("no job runs")
		}
		return all[len(all)-1], nil
	}
	return r.numbered(r.words[0].Text)
}

func (r *call) numbered(text string) (*shell.Job, error) {
	n, err := strconv.Atoi(strings.TrimPrefix(text, "%"))
	if err != nil {
		return nil, misuse("%q is no number of a job; jobs shows them", text)
	}
	return r.jobs.Find(n)
}

func (r *call) wait() error {
	all := r.jobs.List()
	if len(r.words) == 1 && r.words[0].Text != "all" {
		j, err := r.numbered(r.words[0].Text)
		if err != nil {
			return err
		}
		all = []*shell.Job{j}
	}
	for _, j := range all {
		select {
		case <-j.Done():
		case <-r.ctx.Done():
			return r.ctx.Err() // the jobs go on
		}
	}
	return nil
}

func (r *call) fg() error {
	j, err := r.job1()
	if err != nil {
		return err
	}
	fmt.Fprintln(r.notes, withoutSecrets(j.Line))
	ctx, end := r.foreground(r.ctx, j)
	defer end()
	if !r.jobs.Wait(ctx, j) {
		_, err := fmt.Fprintf(r.notes, "[%d] %s &\n", j.Number, withoutSecrets(j.Line))
		return err
	}
	return j.Err()
}

func (r *call) kill() error {
	all := r.jobs.List()
	if r.words[0].Text != "all" {
		all = nil
		for _, w := range r.words {
			j, err := r.numbered(w.Text)
			if err != nil {
				return err
			}
			all = append(all, j)
		}
	}
	for _, j := range all {
		r.jobs.Kill(j)
	}
	for _, j := range all {
		<-j.Done()
	}
	return nil
}

func (r *call) enqueue() error {
	name, err := r.meaning(r.words[0].Text)
	if err != nil {
		return err
	}
	if w, ok := words()[name]; ok && w.run != nil {
		return misuse("%s cannot run in the background", name)
	}
	q := r.client.call(name, shell.Command{Words: r.words})
	r.guest = nil
	j := r.jobs.Queue(context.WithoutCancel(r.ctx), q.line, q.runs((*call).verb))
	_, err = fmt.Fprintf(r.notes, "[%d] %s\n", j.Number, withoutSecrets(q.line))
	return err
}

func (r *call) showHistory() error {
	lines, n := r.history.Lines(), 50
	if len(r.words) == 1 {
		if r.words[0].Text == "-c" {
			return r.history.Clear()
		}
		var err error
		if n, err = strconv.Atoi(r.words[0].Text); err != nil || n < 1 {
			return misuse("history %q: want how many lines, or -c to forget all", r.words[0].Text)
		}
	}
	for _, l := range lines[max(0, len(lines)-n):] {
		if _, err := fmt.Fprintln(r.out, r.shown(l)); err != nil {
			return err
		}
	}
	return nil
}

// bookmark is towpath bookmark, and knows where we are.
func (r *call) bookmark() error {
	args := r.texts()
	if len(args) == 0 {
		args = []string{"list"}
	}
	if len(args) == 2 && args[0] == "add" {
		if r.guest.at.Host == "" {
			return errNotOpen
		}
		u := r.guest.at
		u.Password, u.HasPassword = "", false
		u.Path = r.guest.path(".")
		for name, value := range changed(ofClient(r.own.Flags())) {
			if !slices.Contains([]string{"trace", "silent", "json", "user"}, name) {
				args = append(args, "--"+name+"="+value)
			}
		}
		args = append(args, ftpurl.Format(u))
	}
	if args[0] == "edit" && r.screen {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		return r.console.lend(exec.Command(self, "bookmark", "edit"))
	}
	root := r.root()
	root.SetArgs(append([]string{"bookmark"}, args...))
	root.SetOut(r.out)
	root.SetErr(r.notes)
	return root.ExecuteContext(r.ctx)
}

// help lists all words, or explains one.
func (r *call) help() error {
	if len(r.words) == 0 {
		verbs := r.verbs()
		fmt.Fprintln(r.out, "The verbs of towpath, with names in place of URLs:")
		for _, n := range slices.Sorted(maps.Keys(verbs)) {
			fmt.Fprintf(r.out, "  %-11s %s\n", n, verbs[n].Short)
		}
		fmt.Fprintln(r.out, "\nWords of the shell:")
		for _, n := range slices.Sorted(maps.Keys(words())) {
			fmt.Fprintf(r.out, "  %-11s %s\n", n, words()[n].help)
		}
		_, err := fmt.Fprintln(r.out, "\nCOMMAND & runs it in the background, ; parts two commands, ! runs a program here.")
		return err
	}
	name, err := r.meaning(r.words[0].Text)
	if err != nil {
		return err
	}
	w, own := words()[name]
	if own && ways[name] == nil {
		_, err := fmt.Fprintf(r.out, "%s\n  %s\n", strings.TrimSpace("usage: "+name+" "+w.args), w.help)
		return err
	}
	if way := ways[name]; way != nil {
		fmt.Fprintf(r.out, "%s: %s\n\n", name, w.help)
		name = way[0]
	}
	if c := r.verbs()[name]; c != nil {
		r.explain(c)
	}
	return nil
}

// explain shows the help of a verb.
func (r *call) explain(c *cobra.Command) {
	c.SetOut(r.out)
	c.InitDefaultHelpFlag()
	_ = c.Help() // who does not look needs none
}
