package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"sync"
	"sync/atomic"

	"towpath/ftpclient"
	"towpath/internal/ftpurl"
)

// guest is a run of a verb inside the shell: what it finds there in place of a
// process of its own. A verb does not know of it; what all verbs of the client
// share does.
type guest struct {
	// at is where names begin that are no URLs: the server and the directory.
	at       ftpurl.URL
	home     string // the directory of the login, for ~
	sessions *sessions
	notes    io.Writer // in place of standard error
	// ask asks for a password.
	ask func(ctx context.Context, question string) (string, error)
	// frame shows the rows of what moves, in place of painting them.
	frame func(rows []string)
	width func() int
	color bool
}

type guestKey struct{}

// guestOf returns the guest that runs a verb in a shell, nil outside.
func guestOf(ctx context.Context) *guest {
	if ctx == nil {
		return nil
	}
	g, _ := ctx.Value(guestKey{}).(*guest)
	return g
}

var errNotOpen = errors.New("no server is open; open HOST opens one, and ftp://HOST/PATH names a file of another")

// resolve makes a URL of a name: of a file below the directory that the shell is in.
func (g *guest) resolve(name string) (ftpurl.URL, error) {
	u := g.at
	if u.Host == "" {
		return u, errNotOpen
	}
	if name == "" {
		return u, misuse("a name is empty; . is the directory that we are in")
	}
	u.Path = g.path(name)
	return u, nil
}

// path is the path of a name on the server. A slash at its end stays.
func (g *guest) path(name string) string {
	p := path.Join(g.at.Path, name)
	switch {
	case strings.HasPrefix(name, "/"):
		p = path.Clean(name)
	case name == "~" || strings.HasPrefix(name, "~/"):
		p = path.Join(g.home, strings.TrimPrefix(name, "~"))
	}
	if (strings.HasSuffix(name, "/") || name == ".") && p != "/" {
		p += "/"
	}
	return p
}

// sessions are those that a shell keeps between its verbs. Each verb, and so
// each job, has its own while it runs.
type sessions struct {
	tracing atomic.Int32 // how many want to see the dialogue

	mu        sync.Mutex
	idle      map[string][]*ftpclient.Client
	passwords map[string]string // that were asked for, by login
	closed    bool
}

func newSessions() *sessions {
	return &sessions{idle: map[string][]*ftpclient.Client{}, passwords: map[string]string{}}
}

// mostIdle is how many sessions of one login are kept.
const mostIdle = 2

// take returns a session that nobody uses, or nil.
func (p *sessions) take(key string) *ftpclient.Client {
	p.mu.Lock()
	defer p.mu.Unlock()
	free := p.idle[key]
	if len(free) == 0 {
		return nil
	}
	c := free[len(free)-1] // the last used is the least likely to have been timed out
	p.idle[key] = free[:len(free)-1]
	return c
}

// give keeps a session for the next one.
func (p *sessions) give(key string, c *ftpclient.Client) {
	p.mu.Lock()
	keep := !p.closed && len(p.idle[key]) < mostIdle
	if keep {
		p.idle[key] = append(p.idle[key], c)
	}
	p.mu.Unlock()
	if !keep {
		_ = c.Close() // all that counts has been answered
	}
}

// end closes the sessions that nobody uses.
func (p *sessions) end() {
	p.mu.Lock()
	idle := p.idle
	p.idle = map[string][]*ftpclient.Client{}
	p.mu.Unlock()
	for _, free := range idle {
		for _, c := range free {
			_ = c.Close() // as above
		}
	}
}

// close ends them for good, and forgets the passwords.
func (p *sessions) close() {
	p.mu.Lock()
	p.closed = true
	p.passwords = map[string]string{}
	p.mu.Unlock()
	p.end()
}

// password asks for one, once for each login.
func (g *guest) password(ctx context.Context, u ftpurl.URL, user, question string) (string, error) {
	key := fmt.Sprintf("%s@%s", user, u.Addr())
	g.sessions.mu.Lock()
	known, ok := g.sessions.passwords[key]
	g.sessions.mu.Unlock()
	if ok || g.ask == nil {
		return known, nil
	}
	p, err := g.ask(ctx, question)
	if err != nil {
		return "", err
	}
	g.remember(u, user, p)
	return p, nil
}

// remember keeps a password, and forget lets it be asked for again.
func (g *guest) remember(u ftpurl.URL, user, password string) {
	g.sessions.mu.Lock()
	defer g.sessions.mu.Unlock()
	g.sessions.passwords[fmt.Sprintf("%s@%s", user, u.Addr())] = password
}

func (g *guest) forget(u ftpurl.URL, user string) {
	g.sessions.mu.Lock()
	defer g.sessions.mu.Unlock()
	delete(g.sessions.passwords, fmt.Sprintf("%s@%s", user, u.Addr()))
}

// sameSessions says which flags have sessions in common: all that do not change
// how a session is begun.
func (v *clientFlags) sameSessions() string {
	f := *v
	f.guest, f.taken = nil, ""
	f.trace, f.silent, f.json, f.maxTime = false, false, false, 0
	return fmt.Sprintf("%+v", f)
}
