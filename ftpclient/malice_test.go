package ftpclient_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"towpath/ftp"
	"towpath/ftpclient"
)

// chatter says something again and again, until the client is gone.
func chatter(p *peer, line string) {
	b := []byte(strings.Repeat(line+"\r\n", 500))
	for {
		if _, err := p.conn.Write(b); err != nil {
			return
		}
	}
}

// TestEndlessReplies: no reply goes on for ever, whatever it is the reply to
// and whatever it is made of.
func TestEndlessReplies(t *testing.T) {
	t.Parallel()
	for name, endless := range map[string]func(*peer, string){
		"of lines":            func(p *peer, _ string) { chatter(p, "213-and more") },
		"of blank lines":      func(p *peer, _ string) { p.say("213-so"); chatter(p, "") },
		"without end of line": func(p *peer, _ string) { chatter(p, "213 \r") },
		"unasked":             func(p *peer, _ string) { chatter(p, "213 20200102030405") },
		"no replies at all":   func(p *peer, _ string) { chatter(p, "<html>") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := visit(t, play(t, &villain{on: map[string]func(*peer, string){"MDTM": endless}}))
			_, _ = c.ModTime(testContext(t), "f") // the first of the unasked ones may be right
			for c.Err() == nil && testContext(t).Err() == nil {
				runtime.Gosched()
			}
			if err := c.Noop(testContext(t)); !errors.Is(err, ftpclient.ErrPoisoned) {
				t.Errorf("afterwards: %v, want ErrPoisoned", err)
			}
		})
	}
	t.Run("greeting", func(t *testing.T) {
		t.Parallel()
		v := play(t, &villain{greeting: strings.Repeat("220-Welcome.\r\n", 1<<17)})
		if _, err := ftpclient.Dial(testContext(t), v.addr, ftpclient.Options{}); !errors.Is(err, ftp.ErrTooLong) {
			t.Errorf("%v, want ErrTooLong", err)
		}
	})
	// A server that says "soon" for ever keeps nobody waiting for ever.
	t.Run("preliminary", func(t *testing.T) {
		t.Parallel()
		v := play(t, &villain{on: map[string]func(*peer, string){"MDTM": func(p *peer, _ string) { chatter(p, "150 Soon.") }}})
		c := visit(t, v, func(o *ftpclient.Options) { o.Timeout = 600 * time.Millisecond })
		if _, err := c.ModTime(testContext(t), "f"); !errors.Is(err, ftpclient.ErrPoisoned) {
			t.Errorf("%v, want ErrPoisoned", err)
		}
	})
}

// sends is what sends data for a command, in writes of their own.
func sends(data func(w io.Writer)) func(*peer, string) {
	return func(p *peer, _ string) {
		d := p.data("150 Coming.")
		data(d)
		_ = d.Close()
		p.say("226 Done.")
	}
}

// repeat writes text until the reader is gone.
func repeat(text string) func(io.Writer) {
	return func(w io.Writer) {
		for {
			if _, err := io.WriteString(w, text); err != nil {
				return
			}
		}
	}
}

// TestEndlessNothing: a listing that goes on and has nothing to say is given up,
// and the session goes on.
func TestEndlessNothing(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"line": "x", "blank lines": "\r\n", "headings": "total 0\r\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := play(t, &villain{on: map[string]func(*peer, string){"LIST": sends(repeat(strings.Repeat(text, 10_000)))}})
			c := visit(t, v)
			var last error
			for e, err := range c.List(testContext(t), "d") {
				if last = err; err == nil {
					t.Fatalf("out of it came %.100q", e.Name)
				}
			}
			if last == nil || !strings.Contains(last.Error(), "no entry within") {
				t.Errorf("it ends with %v", last)
			}
			if err := c.Noop(testContext(t)); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

// TestEndlessNames: what is put into one slice has an end.
func TestEndlessNames(t *testing.T) {
	t.Parallel()
	c := visit(t, play(t, &villain{on: map[string]func(*peer, string){"NLST": sends(repeat(strings.Repeat("name\r\n", 1000)))}}))
	if names, err := c.Names(testContext(t), ""); !errors.Is(err, ftpclient.ErrTooLong) {
		t.Errorf("%d names, %v; want ErrTooLong", len(names), err)
	}
}

// TestEndlessTree: each directory has two others in it, so that no walk comes to
// the depth that it is bounded by in any time to be waited for.
func TestEndlessTree(t *testing.T) {
	t.Parallel()
	var listed, removed atomic.Int32
	v := play(t, &villain{features: []string{"MLST type*;"}, on: map[string]func(*peer, string){
		"MLSD": func(p *peer, arg string) {
			listed.Add(1)
			sends(func(w io.Writer) { _, _ = io.WriteString(w, "type=dir; a\r\ntype=dir; b\r\n") })(p, arg)
		},
		"MLST": func(p *peer, arg string) { p.say("250-Facts", " type=dir; "+arg, "250 End") },
		"RMD":  func(p *peer, _ string) { removed.Add(1); p.say("250 Gone.") },
	}})
	c := visit(t, v, func(o *ftpclient.Options) { o.MaxTree = 500 })
	var last error
	found := 0
	for _, err := range c.Walk(testContext(t), "d") {
		if last = err; err == nil {
			found++
		}
	}
	if !errors.Is(last, ftpclient.ErrTree) || found != 500 {
		t.Errorf("the walk ends with %v behind %d names in %d listings", last, found, listed.Load())
	}
	if err := c.RemoveAll(testContext(t), "d"); !errors.Is(err, ftpclient.ErrTree) {
		t.Errorf("removing it ends with %.200v behind %d", err, removed.Load())
	}
	if err := c.Noop(testContext(t)); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// TestEndlessDepth: each directory has itself in it.
func TestEndlessDepth(t *testing.T) {
	t.Parallel()
	var listed atomic.Int32
	v := play(t, &villain{features: []string{"MLST type*;"}, on: map[string]func(*peer, string){
		"MLSD": func(p *peer, arg string) {
			listed.Add(1)
			sends(func(w io.Writer) { _, _ = io.WriteString(w, "type=dir; d\r\n") })(p, arg)
		},
	}})
	c := visit(t, v)
	var last error
	for _, err := range c.Walk(testContext(t), "") {
		last = err
	}
	if last == nil || !strings.Contains(last.Error(), "deep") {
		t.Errorf("the walk ends with %v behind %d listings", last, listed.Load())
	}
	if err := c.Noop(testContext(t)); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// TestExtendedPassiveElsewhere: RFC 2428 leaves the address of a 229 empty; one
// that stands there is not followed.
func TestExtendedPassiveElsewhere(t *testing.T) {
	t.Parallel()
	v := play(t, &villain{content: "abc", on: map[string]func(*peer, string){
		"EPSV": func(p *peer, _ string) { p.say("229 Entering (|1|10.9.8.7|" + p.port() + "|)") },
	}})
	c := visit(t, v)
	if got, err := fetch(t, c); got != "abc" || err != nil {
		t.Fatalf("got %q, %v", got, err)
	}
	for _, a := range c.Attempts() {
		if !strings.HasPrefix(a.Target, "127.0.0.1:") {
			t.Errorf("went to %v", a)
		}
	}
	// Ports where no data connection leads to are not tried.
	for _, text := range []string{"229 (|||0|)", "229 (|||65536|)", "229 (|||-1|)", "229 (|||a|)", "229 nothing", "227 (127,0,0,1,256,1)", "227 (127,0,0,1,0,0)"} {
		verb := map[string]string{"229": "EPSV", "227": "PASV"}[text[:3]]
		m := map[string]ftpclient.Mode{"EPSV": ftpclient.EPSV, "PASV": ftpclient.PASV}[verb]
		v := play(t, &villain{content: "abc", on: map[string]func(*peer, string){verb: func(p *peer, _ string) { p.say(text) }}})
		_, err := fetch(t, visit(t, v, mode(m)))
		if _, ok := errors.AsType[*ftpclient.DataError](err); !ok {
			t.Errorf("%s: %v, want a *DataError", text, err)
		}
	}
}

// TestStrangerInActiveMode: the first to come to our port is not the server.
// Whom we did not call is sent away, and the server still gets in.
func TestStrangerInActiveMode(t *testing.T) {
	t.Parallel()
	for _, m := range []ftpclient.Mode{ftpclient.EPRT, ftpclient.PORT} {
		t.Run(m.String(), func(t *testing.T) {
			t.Parallel()
			from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
			announced := make(chan netip.AddrPort, 1)
			parse := map[ftpclient.Mode]func(string) (netip.AddrPort, error){ftpclient.EPRT: ftp.ParseEPRT, ftpclient.PORT: ftp.ParseHostPort}[m]
			v := play(t, &villain{on: map[string]func(*peer, string){
				m.String(): func(p *peer, arg string) {
					a, err := parse(arg)
					if err != nil {
						t.Errorf("%s: %v", arg, err)
					}
					announced <- a
					p.say("200 Fine.")
				},
				"RETR": func(p *peer, _ string) {
					p.say("150 Coming.")
					a := <-announced
					thief, err := from.Dial("tcp", a.String())
					switch {
					case err == nil:
						_, _ = io.WriteString(thief, "evil") // it may be closed already
						_, _ = io.Copy(io.Discard, thief)    // until it is sent away
						_ = thief.Close()
					case !errors.Is(err, syscall.ECONNRESET): // so it was sent away before it knew that it was there
						p.say("425 " + err.Error())
						return
					}
					d, err := net.Dial("tcp", a.String())
					if err != nil {
						t.Error(err)
						p.say("425 Cannot reach you.")
						return
					}
					_, _ = fmt.Fprint(d, "good")
					_ = d.Close()
					p.say("226 Done.")
				},
			}})
			got, err := fetch(t, visit(t, v, mode(m)))
			if e, ok := errors.AsType[*ftp.Error](err); ok && e.Reply.Code == 425 && strings.Contains(err.Error(), "assign") {
				t.Skipf("this system has no second address on loopback: %v", err)
			}
			if got != "good" || err != nil {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}
