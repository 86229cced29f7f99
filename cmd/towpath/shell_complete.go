package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"towpath/ftpclient"
	"towpath/internal/shell"
)

// directories keeps listings for completion.
type directories struct {
	mu    sync.Mutex
	known map[string]*listed // by server and directory
}

// listed is one directory, which may still be on its way.
type listed struct {
	done  chan struct{}
	names []string // those of directories with a slash
	more  bool     // than are kept
	err   error
	at    time.Time
}

const (
	mostListed = 20000            // names are kept of a directory
	listedLife = 30 * time.Second // without a command between
)

// forget makes all be listed anew.
func (n *directories) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.known = nil
}

// of returns a directory as it is known, or begins to list it.
func (n *directories) of(key string, list func(*listed)) *listed {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.known[key]
	if l != nil {
		select {
		case <-l.done:
			if l.err != nil || time.Since(l.at) > listedLife {
				l = nil
			}
		default:
		}
	}
	if l == nil {
		if n.known == nil {
			n.known = map[string]*listed{}
		}
		l = &listed{done: make(chan struct{}), at: time.Now()}
		n.known[key] = l
		go func() {
			list(l)
			close(l.done)
		}()
	}
	return l
}

// complete tells what the end of a line can become.
func (s *client) complete(ctx context.Context, line string) shell.Completion {
	c := shell.Unfinished(line)
	if c.Escapes {
		return shell.Completion{Start: len(line)}
	}
	last := c.Words[len(c.Words)-1]
	done := shell.Completion{Start: last.Start}
	pick := func(all []string) shell.Completion {
		for _, n := range all {
			if strings.HasPrefix(n, last.Text) {
				done.Names = append(done.Names, n)
			}
		}
		return done
	}
	if len(c.Words) == 1 {
		s.mu.Lock()
		all := slices.AppendSeq(s.vocabulary(), maps.Keys(s.aliases))
		s.mu.Unlock()
		return pick(all)
	}
	name, err := s.meaning(c.Words[0].Text)
	if err != nil {
		return done
	}
	if strings.HasPrefix(last.Text, "--") {
		return pick(s.flagNames(name))
	}
	for _, p := range s.placesOf(name, c) {
		var part shell.Completion
		switch p {
		case there:
			part = s.remoteNames(ctx, last, name == "cd")
		case here:
			part = localNames(last, name == "lcd")
		case servers:
			part = pick(s.serverNames())
		case vocabulary:
			part = pick(s.vocabulary())
		case settings:
			part = pick(slices.Sorted(maps.Keys(variables)))
		case jobs:
			var all []string
			for _, j := range s.jobs.List() {
				all = append(all, fmt.Sprint(j.Number))
			}
			part = pick(all)
		}
		done.Names = append(done.Names, part.Names...)
		done.Hint = strings.TrimSpace(done.Hint + "\n" + part.Hint)
	}
	return done
}

// flagNames are the flags of a word.
func (s *client) flagNames(name string) []string {
	if way := ways[name]; way != nil {
		name = way[0]
	}
	f := (&clientFlags{}).set()
	if c := s.verbs()[name]; c != nil {
		f = c.Flags()
	} else if name != "open" {
		return nil
	}
	var all []string
	f.VisitAll(func(l *pflag.Flag) {
		if !l.Hidden {
			all = append(all, "--"+l.Name)
		}
	})
	return all
}

// placesOf says where the last word of a command that is being written may be.
func (s *client) placesOf(name string, c shell.Command) []place {
	if w := words()[name]; w.run != nil {
		i := len(c.Words) - 2
		if len(w.places) == 0 {
			return nil
		}
		return []place{w.places[min(i, len(w.places)-1)]}
	}
	verb := name
	if way := ways[name]; way != nil {
		verb = way[0]
	}
	cmd := s.verbs()[verb]
	if cmd == nil {
		return nil
	}
	i := 0
	for _, w := range c.Words[1 : len(c.Words)-1] {
		switch {
		case !strings.HasPrefix(w.Text, "-"):
			i++
		case cmd.Flags().Lookup("reverse") != nil && (w.Text == "-R" || w.Text == "--reverse"):
			_ = cmd.Flags().Set("reverse", "true") // the flag is a switch
		}
	}
	if verb == "put" && name != "mput" && i > 0 { // one more file, or where they go
		return []place{here, there}
	}
	return []place{placeOf(name, cmd, i, i+1)}
}

// serverNames are bookmarks, and what the shell has opened before.
func (s *client) serverNames() []string {
	var all []string
	if marks, err := loadBookmarks(); err == nil {
		all = slices.Collect(maps.Keys(marks))
	}
	for _, l := range s.history.Lines() {
		commands, err := shell.Parse(l)
		if err != nil {
			continue
		}
		for _, c := range commands {
			if len(c.Words) == 2 && c.Words[0].Text == "open" {
				all = append(all, c.Words[1].Text)
			}
		}
	}
	return all
}

// localNames are files here.
func localNames(w shell.Word, onlyDirs bool) shell.Completion {
	c := shell.Completion{Start: w.Start}
	dir, last := filepath.Split(w.Text)
	at := dir
	if at == "" {
		at = "."
	}
	if rest, ok := strings.CutPrefix(dir, "~/"); ok {
		if home, err := os.UserHomeDir(); err == nil {
			at = filepath.Join(home, rest)
		}
	}
	entries, err := os.ReadDir(at)
	if err != nil {
		c.Hint = err.Error()
		return c
	}
	for _, e := range entries {
		name := e.Name()
		if !strings.HasPrefix(name, last) || strings.HasPrefix(name, ".") && !strings.HasPrefix(last, ".") {
			continue
		}
		isDir := e.IsDir()
		if e.Type()&os.ModeSymlink != 0 {
			if info, err := os.Stat(filepath.Join(at, name)); err == nil {
				isDir = info.IsDir()
			}
		}
		switch {
		case isDir:
			c.Names = append(c.Names, guarded(dir, name)+"/")
		case !onlyDirs:
			c.Names = append(c.Names, guarded(dir, name))
		}
	}
	return c
}

// guarded puts ./ before a name that would be taken for a flag, or for home.
func guarded(dir, name string) string {
	if dir == "" && (strings.HasPrefix(name, "-") || strings.HasPrefix(name, "~")) {
		return "./" + name
	}
	return dir + name
}

// remoteNames are files of the server, out of a listing that is kept a while.
func (s *client) remoteNames(ctx context.Context, w shell.Word, onlyDirs bool) shell.Completion {
	done := shell.Completion{Start: w.Start}
	r := s.call("", shell.Command{Words: []shell.Word{{}}})
	if r.at.Host == "" {
		done.Hint = errNotOpen.Error()
		return done
	}
	dir, last := path.Split(w.Text)
	g := &guest{at: r.at, home: r.home, sessions: s.sessions, notes: io.Discard} // and never asks
	abs := g.path(dir + ".")
	if abs != "/" {
		abs = strings.TrimSuffix(abs, "/")
	}
	l := s.names.of(r.at.String()+" "+abs, func(l *listed) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		r.ctx, r.guest = ctx, g
		l.err = r.with(func(ctx context.Context, _ *visit, c *ftpclient.Client) error {
			for e, err := range c.List(ctx, abs) {
				switch {
				case err != nil && odd(err):
					continue
				case err != nil:
					return err
				case len(l.names) == mostListed:
					l.more = true
					return nil
				}
				n := e.Name
				if e.Type.IsDir() {
					n += "/"
				}
				l.names = append(l.names, n)
			}
			return nil
		})
	})
	select {
	case <-l.done:
	case <-ctx.Done():
		done.Hint = "the listing is still coming; Tab again looks anew"
		return done
	}
	if l.err != nil {
		done.Hint = l.err.Error()
		return done
	}
	if l.more {
		done.Hint = fmt.Sprintf("there are more than %d names; those behind are not known", mostListed)
	}
	for _, n := range l.names {
		isDir := strings.HasSuffix(n, "/")
		if onlyDirs && !isDir || !strings.HasPrefix(n, last) || strings.HasPrefix(n, ".") && !strings.HasPrefix(last, ".") {
			continue
		}
		done.Names = append(done.Names, guarded(dir, n))
	}
	return done
}
