package ftpclient_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"towpath/ftp"
	"towpath/ftp/listing"
	"towpath/ftpclient"
	"towpath/ftptest"
	"towpath/internal/records"
)

// villain is a server that does what it is told, right or wrong. What on has no
// word for is done right, with one file of some content.
type villain struct {
	content  string
	features []string
	greeting string
	tls      *tls.Config
	// on answers a verb in place of what is right.
	on map[string]func(p *peer, arg string)

	addr     string
	sessions atomic.Int32
	mu       sync.Mutex // guards content once sessions are open
}

func (v *villain) stored() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.content
}

func (v *villain) store(content string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.content = content
}

// peer is one session of a villain.
type peer struct {
	*villain
	t        *testing.T
	conn     net.Conn
	raw      net.Conn // under TLS
	in       *ftp.Reader
	listener net.Listener
	target   string // of PORT, "" in passive mode
	private  bool
	deflate  bool // MODE Z was agreed on
	rest     int
	number   int32 // of the session, from 1
}

// play starts a villain.
func play(t *testing.T, v *villain) *villain {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	v.addr = l.Addr().String()
	if v.greeting == "" {
		v.greeting = "220 Welcome."
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(patience))
			p := &peer{villain: v, t: t, conn: c, in: ftp.NewReader(c), number: v.sessions.Add(1)}
			go p.serve()
		}
	}()
	return v
}

func (p *peer) say(lines ...string) {
	_, _ = io.WriteString(p.conn, strings.Join(lines, "\r\n")+"\r\n") // the client may be gone
}

func (p *peer) serve() {
	defer p.conn.Close()
	p.say(p.greeting)
	for {
		c, err := p.in.ReadCommand()
		if err != nil {
			return
		}
		p.obey(c)
		if c.Verb == "QUIT" {
			return
		}
	}
}

func (p *peer) obey(c ftp.Command) {
	if f := p.on[c.Verb]; f != nil {
		f(p, c.Arg)
	} else {
		p.right(c.Verb, c.Arg)
	}
}

// right is what a server should do.
func (p *peer) right(verb, arg string) {
	switch verb {
	case "USER":
		p.say("331 Password?")
	case "PASS":
		p.say("230 In.")
	case "FEAT":
		p.say("211-Features:")
		for _, f := range p.features {
			p.say(" " + f)
		}
		p.say("211 End")
	case "AUTH":
		p.say("234 Go on.")
		c := tls.Server(records.OneByOne(p.conn), p.tls)
		if c.Handshake() != nil {
			return
		}
		p.raw, p.conn = p.conn, c
		p.in.Reset(c)
	case "PROT":
		p.private = true
		p.say("200 Fine.")
	case "EPSV":
		p.say("229 Entering (|||" + p.port() + "|)")
	case "PASV":
		p.open()
		p.say("227 " + ftp.FormatPassive(p.listener.Addr().(*net.TCPAddr).AddrPort()))
	case "REST":
		_, _ = fmt.Sscan(arg, &p.rest)
		p.say("350 Restarting.")
	case "SIZE":
		p.say(fmt.Sprintf("213 %d", len(p.stored())))
	case "RETR":
		d := p.data("150 Coming.")
		_, _ = io.WriteString(d, p.stored()[p.rest:])
		p.rest = 0
		_ = d.Close()
		p.say("226 Done.")
	case "STOR":
		d := p.data("150 Go on.")
		b, _ := io.ReadAll(d)
		_ = d.Close()
		p.store(p.stored()[:p.rest] + string(b))
		p.rest = 0
		p.say("226 Stored.")
	case "TYPE", "NOOP", "OPTS", "PBSZ":
		p.say("200 Fine.")
	case "QUIT":
		p.say("221 Bye.")
	default:
		p.say("502 What?")
	}
}

func (p *peer) open() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		p.t.Error(err)
		return
	}
	p.t.Cleanup(func() { _ = l.Close() })
	p.listener = l
}

func (p *peer) port() string {
	p.open()
	_, port, _ := net.SplitHostPort(p.listener.Addr().String())
	return port
}

// data says that it begins, and makes the data connection.
func (p *peer) data(opening string) net.Conn {
	p.say(opening)
	var c net.Conn
	var err error
	if p.target != "" {
		c, err = net.Dial("tcp", p.target)
	} else {
		c, err = p.listener.Accept()
		_ = p.listener.Close()
	}
	if err != nil {
		c, _ = net.Pipe()
		_ = c.Close()
		return c
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	if p.private {
		return tls.Server(c, p.tls)
	}
	return c
}

// visit opens a session with a villain.
func visit(t *testing.T, v *villain, change ...func(*ftpclient.Options)) *ftpclient.Client {
	t.Helper()
	return login(t, v.addr, change...)
}

// fetch is a Get of everything.
func fetch(t *testing.T, c *ftpclient.Client) (string, error) {
	t.Helper()
	var b bytes.Buffer
	_, err := c.Get(testContext(t), "f", &b)
	return b.String(), err
}

// deadPort is a port on which nobody listens, nor will meanwhile: it is below those
// that the kernel and our pools choose from.
func deadPort(t *testing.T) string {
	t.Helper()
	for range 100 {
		port := fmt.Sprint(2000 + rand.IntN(2000))
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return ""
}

func TestPassiveAddressElsewhere(t *testing.T) {
	t.Parallel()
	v := play(t, &villain{content: "abc", on: map[string]func(*peer, string){
		"PASV": func(p *peer, _ string) {
			p.open()
			a := p.listener.Addr().(*net.TCPAddr).AddrPort().Port()
			p.say(fmt.Sprintf("227 Entering Passive Mode (10,9,8,7,%d,%d).", a>>8, a&255))
		},
	}})
	c := visit(t, v, mode(ftpclient.PASV))
	if got, err := fetch(t, c); got != "abc" || err != nil {
		t.Fatalf("got %q, %v", got, err)
	}
	a := c.Attempts()[0]
	if !a.Foreign || !strings.HasPrefix(a.Target, "127.0.0.1:") || !strings.Contains(a.String(), "10.9.8.7") || !strings.Contains(a.String(), "private") {
		t.Errorf("attempt: %+v: %v", a, a)
	}
}

func TestDeadPortFallsBack(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	v := play(t, &villain{content: "abc", on: map[string]func(*peer, string){
		"EPSV": func(p *peer, _ string) { asked.Add(1); p.say("229 Entering (|||" + deadPort(t) + "|)") },
	}})
	c := visit(t, v)
	for range 2 {
		if got, err := fetch(t, c); got != "abc" || err != nil {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	if asked.Load() != 1 {
		t.Errorf("EPSV was asked for %d times; want what worked to be remembered", asked.Load())
	}
	a := c.Attempts()
	if len(a) != 3 || a[0].Err == nil || a[0].Mode != ftpclient.EPSV || a[1].Err != nil || a[1].Mode != ftpclient.PASV {
		t.Errorf("attempts: %v", a)
	}
	// With one announcement only, the error says what happened.
	_, err := fetch(t, visit(t, v, mode(ftpclient.EPSV)))
	d, ok := errors.AsType[*ftpclient.DataError](err)
	if !ok || d.Attempt.Mode != ftpclient.EPSV {
		t.Fatalf("EPSV alone: %v", err)
	}
	if other, ok := d.Try(); !ok || other != ftpclient.Active {
		t.Errorf("EPSV alone: try %v, %v", other, ok)
	}
	if want := "tried to reach " + d.Attempt.Target + ": connect"; !strings.Contains(err.Error(), want) || strings.Count(err.Error(), d.Attempt.Target) != 1 {
		t.Errorf("EPSV alone: %v; want %q, and the address once", err, want)
	}
}

// TestBothAnnouncements: each mode has two announcements, and goes on to the
// second when the first is refused, or when nothing comes of it.
func TestBothAnnouncements(t *testing.T) {
	t.Parallel()
	dead := func(p *peer, _ string) { p.say("229 Entering (|||" + deadPort(t) + "|)") }
	refuses := func(p *peer, _ string) { p.say("502 Not here.") }
	dials := func(p *peer, arg string) {
		a, err := ftp.ParseHostPort(arg)
		if err != nil {
			t.Error(err)
		}
		p.target = a.String()
		p.say("200 Fine.")
	}
	for _, test := range []struct {
		name  string
		mode  ftpclient.Mode
		avoid []ftpclient.Mode
		on    map[string]func(*peer, string)
		want  []ftpclient.Mode
	}{
		{"EPSV refused", ftpclient.Passive, nil, map[string]func(*peer, string){"EPSV": refuses}, []ftpclient.Mode{ftpclient.EPSV, ftpclient.PASV}},
		{"EPSV dead", ftpclient.Passive, nil, map[string]func(*peer, string){"EPSV": dead}, []ftpclient.Mode{ftpclient.EPSV, ftpclient.PASV}},
		{"EPSV avoided", ftpclient.Passive, []ftpclient.Mode{ftpclient.EPSV}, nil, []ftpclient.Mode{ftpclient.PASV}},
		{"EPRT refused", ftpclient.Active, nil, map[string]func(*peer, string){"PORT": dials}, []ftpclient.Mode{ftpclient.EPRT, ftpclient.PORT}},
		{"EPRT avoided", ftpclient.Active, []ftpclient.Mode{ftpclient.EPRT, ftpclient.EPSV}, map[string]func(*peer, string){"PORT": dials}, []ftpclient.Mode{ftpclient.PORT}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := visit(t, play(t, &villain{content: "abc", on: test.on}), func(o *ftpclient.Options) { o.Mode, o.Avoid = test.mode, test.avoid })
			for range 2 { // what worked is remembered
				if got, err := fetch(t, c); got != "abc" || err != nil {
					t.Fatalf("got %q, %v", got, err)
				}
			}
			var got []ftpclient.Mode
			for _, a := range c.Attempts() {
				got = append(got, a.Mode)
			}
			if want := append(test.want, test.want[len(test.want)-1]); !slices.Equal(got, want) {
				t.Errorf("tried %v, want %v", got, want)
			}
		})
	}
	// When both fail, both are told.
	_, err := fetch(t, visit(t, play(t, &villain{on: map[string]func(*peer, string){"EPSV": dead, "PASV": refuses}}), mode(ftpclient.Passive)))
	d, ok := errors.AsType[*ftpclient.DataError](err)
	if !ok || len(d.Before) != 1 || !strings.Contains(err.Error(), "by EPSV: tried to reach 127.0.0.1:") || !strings.HasSuffix(err.Error(), "by PASV: the server refused it: 502 Not here.") {
		t.Errorf("both fail: %v", err)
	}
	_, err = fetch(t, visit(t, play(t, &villain{on: map[string]func(*peer, string){"EPSV": dead, "PASV": refuses}})))
	d, ok = errors.AsType[*ftpclient.DataError](err)
	if !ok || len(d.Before) != 3 {
		t.Fatalf("all fail: %v", err)
	}
	if other, ok := d.Try(); ok {
		t.Errorf("all fail: try %v", other)
	}
}

// TestAttemptInWords: who reads a message knows what happened on the wire.
func TestAttemptInWords(t *testing.T) {
	t.Parallel()
	retr := ftp.Command{Verb: "RETR", Arg: "f"}
	private := netip.MustParseAddrPort("10.10.220.128:64758")
	a := ftpclient.Attempt{Mode: ftpclient.PASV, Command: retr, Announced: private, Target: "192.168.220.128:64758", Foreign: true}
	const want = "PASV for RETR: the server announced 10.10.220.128:64758, a private address; connected to 192.168.220.128 instead"
	if a.String() != want {
		t.Errorf("%v\nwant %s", a, want)
	}
	v := play(t, &villain{on: map[string]func(*peer, string){
		"PORT": func(p *peer, _ string) { p.say("200 Fine.") },
		"RETR": func(p *peer, _ string) { p.say("150 Coming.") },
		"ABOR": func(p *peer, _ string) { p.say("426 Cut.", "226 Done.") },
	}})
	_, err := fetch(t, visit(t, v, mode(ftpclient.PORT), func(o *ftpclient.Options) { o.DataTimeout = time.Millisecond }))
	d, ok := errors.AsType[*ftpclient.DataError](err)
	if !ok {
		t.Fatal(err)
	}
	p := d.Attempt.Announced.Port()
	if want := fmt.Sprintf("no data connection for RETR by PORT within 1ms: the server must reach 127.0.0.1:%d (%d*256+%d)", p, p>>8, p&255); !strings.HasSuffix(err.Error(), want) {
		t.Errorf("%v\nwant %s", err, want)
	}
	if e, ok := errors.AsType[net.Error](err); !ok || !e.Timeout() {
		t.Errorf("%v: want an error that tells of a time-out", err)
	}
	// Whom we could not reach is named once.
	addr := "127.0.0.1:" + deadPort(t)
	_, err = ftpclient.Dial(testContext(t), addr, ftpclient.Options{})
	if err == nil || strings.Count(err.Error(), addr) != 1 || !strings.HasPrefix(err.Error(), "dial "+addr+": ") {
		t.Errorf("%v; want the address once", err)
	}
}

func TestActiveIsToldInWords(t *testing.T) {
	t.Parallel()
	v := play(t, &villain{on: map[string]func(*peer, string){
		"PORT": func(p *peer, _ string) { p.say("200 Fine.") },
		"RETR": func(p *peer, _ string) { p.say("425 Cannot reach you.") },
	}})
	_, err := fetch(t, visit(t, v, mode(ftpclient.PORT)))
	if _, ok := errors.AsType[*ftpclient.DataError](err); !ok || !strings.Contains(err.Error(), "*256+") || !strings.HasSuffix(err.Error(), "says: 425 Cannot reach you.") {
		t.Errorf("%v", err)
	}
}

// TestLateReply: the reply behind the last byte comes after we gave up. It must
// answer nothing else.
func TestLateReply(t *testing.T) {
	t.Parallel()
	late := make(chan struct{})
	v := &villain{content: "abc", on: map[string]func(*peer, string){
		"RETR": func(p *peer, _ string) {
			d := p.data("150 Coming.")
			_, _ = io.WriteString(d, p.content)
			_ = d.Close()
			<-late
			p.say("226 Done at last.")
		},
		"MDTM": func(p *peer, _ string) { p.say("213 20200102030405") },
	}}
	play(t, v)
	t.Cleanup(func() { close(late) })
	hasty := func(o *ftpclient.Options) { o.StallTimeout = 400 * time.Millisecond }
	c := visit(t, v, hasty)
	if got, err := fetch(t, c); got != "abc" || err != nil {
		t.Errorf("whole by its size: %q, %v", got, err)
	}
	if at, err := c.ModTime(testContext(t), "f"); err != nil || at.Year() != 2020 {
		t.Errorf("the next command was answered %v, %v", at, err)
	}
	w := play(t, &villain{content: "abc", on: map[string]func(*peer, string){
		"RETR": v.on["RETR"],
		"SIZE": func(p *peer, _ string) { p.say("550 No.") },
	}})
	_, err := fetch(t, visit(t, w, hasty))
	if !errors.Is(err, ftpclient.ErrPoisoned) || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("nobody tells the size: %v", err)
	}
}

// TestSilence: a command that is never answered poisons its session.
func TestSilence(t *testing.T) {
	t.Parallel()
	v := play(t, &villain{on: map[string]func(*peer, string){"MDTM": func(*peer, string) {}}})
	c := visit(t, v, func(o *ftpclient.Options) { o.Timeout = 600 * time.Millisecond })
	ctx := testContext(t)
	if _, err := c.ModTime(ctx, "f"); !errors.Is(err, ftpclient.ErrPoisoned) || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("silence: %v", err)
	}
	if err := c.Noop(ctx); !errors.Is(err, ftpclient.ErrPoisoned) {
		t.Errorf("afterwards: %v", err)
	}
	if err := c.Reconnect(ctx); err != nil {
		t.Fatal(err)
	}
	if err := c.Noop(ctx); err != nil {
		t.Errorf("on a new session: %v", err)
	}
}

// TestCancelledCommand: its reply comes later, and is nobody else's.
func TestCancelledCommand(t *testing.T) {
	t.Parallel()
	asked, goOn := make(chan struct{}), make(chan struct{})
	v := play(t, &villain{on: map[string]func(*peer, string){
		"MDTM": func(p *peer, _ string) { close(asked); <-goOn; p.say("213 20200102030405") },
		"SIZE": func(p *peer, _ string) { p.say("213 7") },
	}})
	c := visit(t, v)
	ctx, cancel := context.WithCancel(testContext(t))
	go func() { <-asked; cancel() }()
	if _, err := c.ModTime(ctx, "f"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	close(goOn)
	if n, err := c.Size(testContext(t), "f"); n != 7 || err != nil {
		t.Errorf("size is %d, %v", n, err)
	}
}

// TestFaultsPass: what comes after a fault is what was missing, no more.
func TestFaultsPass(t *testing.T) {
	t.Parallel()
	content := string(noise(200_000))
	again := func(o *ftpclient.Options) {
		o.Retries = 3
		o.Backoff = func(int) time.Duration { return 0 }
	}
	for _, test := range []struct {
		name  string
		fault func(p *peer, d net.Conn)
		once  int // code of the error without retries; 0: none, -1: no reply
	}{
		{"426 after the last byte", func(p *peer, d net.Conn) {
			_, _ = io.WriteString(d, p.content)
			_ = d.Close()
			p.say("426 Broken.")
		}, 426},
		{"data cut", func(p *peer, d net.Conn) {
			_, _ = io.WriteString(d, p.content[:1000])
			_ = d.(*net.TCPConn).SetLinger(0)
			_ = d.Close()
			p.say("426 Cut.")
		}, 426},
		{"end in the middle", func(p *peer, d net.Conn) {
			_, _ = io.WriteString(d, p.content[:1000])
			_ = d.Close()
			p.say("451 Disk.")
		}, 451},
		{"server gone", func(p *peer, d net.Conn) {
			_, _ = io.WriteString(d, p.content[:1000])
			_ = d.Close()
			_ = p.conn.Close()
		}, -1},
		{"421 in the middle", func(p *peer, d net.Conn) {
			_, _ = io.WriteString(d, p.content[:1000])
			p.say("421 Shutting down.")
			_ = d.Close()
			_ = p.conn.Close()
		}, 421},
		{"control gone after the last byte", func(p *peer, d net.Conn) {
			_, _ = io.WriteString(d, p.content)
			_ = d.Close()
			_ = p.conn.Close()
		}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var times atomic.Int32
			v := play(t, &villain{content: content, on: map[string]func(*peer, string){
				"RETR": func(p *peer, arg string) {
					if times.Add(1)%2 == 0 {
						p.right("RETR", arg)
						return
					}
					test.fault(p, p.data("150 Coming."))
				},
			}})
			if got, err := fetch(t, visit(t, v, again)); got != content || err != nil {
				t.Errorf("with retries: %d bytes, %v", len(got), err)
			}
			times.Store(0)
			_, err := fetch(t, visit(t, v))
			e, ok := errors.AsType[*ftp.Error](err)
			if (err == nil) != (test.once == 0) || test.once > 0 && (!ok || e.Reply.Code != test.once) {
				t.Errorf("without retries: %v", err)
			}
		})
	}
}

func TestUploadFaults(t *testing.T) {
	t.Parallel()
	content := noise(8 << 20)
	again := func(o *ftpclient.Options) {
		o.Retries = 3
		o.Backoff = func(int) time.Duration { return 0 }
	}
	v := &villain{features: []string{"REST STREAM", "SIZE"}}
	var times atomic.Int32
	v.on = map[string]func(*peer, string){"STOR": func(p *peer, arg string) {
		if times.Add(1) > 1 {
			p.right("STOR", arg)
			return
		}
		d := p.data("150 Go on.")
		b := make([]byte, 100_000)
		_, _ = io.ReadFull(d, b)
		p.store(string(b))
		_ = d.(*net.TCPConn).SetLinger(0)
		_ = d.Close()
		p.say("426 Cut.")
	}}
	play(t, v)
	c := visit(t, v, again)
	if n, err := c.Put(testContext(t), "f", bytes.NewReader(content)); err != nil || n != int64(len(content)) || v.stored() != string(content) {
		t.Errorf("cut: %d bytes, %v; %d there", n, err, len(v.stored()))
	}

	// The quota is full, and the server neither reads nor closes.
	hold := make(chan struct{})
	t.Cleanup(func() { close(hold) })
	full := play(t, &villain{on: map[string]func(*peer, string){"STOR": func(p *peer, _ string) {
		d := p.data("150 Go on.")
		p.say("552 Quota.")
		go func() { <-hold; _ = d.Close() }()
	}}})
	c = visit(t, full, again)
	_, err := c.Put(testContext(t), "f", bytes.NewReader(noise(64<<20)))
	if e, ok := errors.AsType[*ftp.Error](err); !ok || e.Reply.Code != 552 {
		t.Errorf("quota: %v", err)
	}
	if err := c.Noop(testContext(t)); err != nil {
		t.Errorf("quota, afterwards: %v", err)
	}

	gone := play(t, &villain{})
	gone.on = map[string]func(*peer, string){"STOR": func(p *peer, _ string) {
		b, _ := io.ReadAll(p.data("150 Go on."))
		p.store(string(b))
		_ = p.conn.Close()
	}}
	if _, err := visit(t, gone).Put(testContext(t), "f", strings.NewReader("abc")); err != nil {
		t.Errorf("control gone after the last byte: %v", err)
	}
}

// TestSilentAboutStop is Pure-FTPd: a download that is closed gets no reply, and
// the ABOR behind it one.
func TestSilentAboutStop(t *testing.T) {
	t.Parallel()
	v := play(t, &villain{on: map[string]func(*peer, string){
		"RETR": func(p *peer, _ string) {
			d := p.data("150 Coming.")
			for {
				if _, err := io.WriteString(d, "xxxxxxxxxx"); err != nil {
					break
				}
			}
			_ = d.Close()
		},
		"ABOR": func(p *peer, _ string) { p.say("226 Since you see this ABOR must've succeeded") },
		"SIZE": func(p *peer, _ string) { p.say("213 42") },
	}})
	c, ctx := visit(t, v), testContext(t)
	for range 2 {
		if n, err := c.Get(ctx, "f", io.Discard, ftpclient.First(10)); n != 10 || err != nil {
			t.Fatalf("got %d bytes, %v", n, err)
		}
		if n, err := c.Size(ctx, "f"); n != 42 || err != nil {
			t.Fatalf("size is %d, %v", n, err)
		}
	}
}

// TestAbortForgotten is pyftpdlib: an ABOR that comes before it has taken the data
// connection is answered, and the upload still waits for one. The next would be
// taken for it, so there is none.
func TestAbortForgotten(t *testing.T) {
	t.Parallel()
	v := play(t, &villain{content: "abc", on: map[string]func(*peer, string){
		"STOR": func(p *peer, _ string) { p.say("150 About to open data connection.") },
		"ABOR": func(p *peer, _ string) { p.say("225 ABOR command successful; data channel closed.") },
	}})
	c, ctx := visit(t, v), testContext(t)
	w, err := c.Create(ctx, "f")
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Write([]byte("abc"))
	w.Abort()
	if gone := c.Err(); err != nil || !errors.Is(gone, ftpclient.ErrPoisoned) || !strings.Contains(gone.Error(), "ABOR was answered, and STOR f was not: 225") {
		t.Errorf("write: %v; the session is %v", err, gone)
	}
	if err := c.Reconnect(ctx); err != nil {
		t.Fatal(err)
	}
	if got, err := fetch(t, c); got != "abc" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestNoopDuringTransfer: servers answer a NOOP at once, behind the transfer, or
// not as expected. Each answer finds its command.
func TestNoopDuringTransfer(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"200 Still here.", "500 Only ABOR now.", "later"} {
		t.Run(answer, func(t *testing.T) {
			t.Parallel()
			v := play(t, &villain{on: map[string]func(*peer, string){
				"RETR": func(p *peer, _ string) {
					d := p.data("150 Coming.")
					for range 3 {
						c, err := p.in.ReadCommand()
						if err != nil || c.Verb != "NOOP" {
							t.Errorf("during the transfer came %v, %v", c, err)
						}
						_, _ = io.WriteString(d, "x")
						if answer != "later" {
							p.say(answer)
						}
					}
					_ = d.Close()
					p.say("226 Done.")
					for range 3 {
						if answer == "later" {
							p.say("200 Fine.")
						}
					}
				},
				"SIZE": func(p *peer, _ string) { p.say("213 42") },
			}})
			c := visit(t, v, func(o *ftpclient.Options) { o.KeepAlive = 20 * time.Millisecond })
			for range 2 {
				if got, err := fetch(t, c); got != "xxx" || err != nil {
					t.Fatalf("got %q, %v", got, err)
				}
				if n, err := c.Size(testContext(t), "f"); n != 42 || err != nil {
					t.Fatalf("size is %d, %v", n, err)
				}
			}
		})
	}
}

func TestServerEndsSession(t *testing.T) {
	t.Parallel()
	v := play(t, &villain{on: map[string]func(*peer, string){
		"MDTM": func(p *peer, _ string) { p.say("421 Too long idle."); _ = p.conn.Close() },
	}})
	c := visit(t, v)
	_, err := c.ModTime(testContext(t), "f")
	if e, ok := errors.AsType[*ftp.Error](err); !ok || e.Reply.Code != 421 {
		t.Errorf("%v", err)
	}
	if err := c.Noop(testContext(t)); !errors.Is(err, ftpclient.ErrPoisoned) {
		t.Errorf("afterwards: %v", err)
	}
}

func TestHugeReply(t *testing.T) {
	t.Parallel()
	v := play(t, &villain{on: map[string]func(*peer, string){
		"MDTM": func(p *peer, _ string) { p.say("213-" + strings.Repeat("x", 1<<20)); p.say("213 end") },
	}})
	c := visit(t, v)
	if _, err := c.ModTime(testContext(t), "f"); !errors.Is(err, ftp.ErrTooLong) || !errors.Is(err, ftpclient.ErrPoisoned) {
		t.Errorf("%v", err)
	}
}

// TestRepliesBeforeCommands: nobody answers what was not asked yet.
func TestRepliesBeforeCommands(t *testing.T) {
	t.Parallel()
	early := play(t, &villain{greeting: "220 Hi.\r\n331 Password?\r\n230 In.\r\n211 None"})
	_, err := ftpclient.Dial(testContext(t), early.addr, ftpclient.Options{})
	if !errors.Is(err, ftpclient.ErrUnsolicited) {
		t.Errorf("at login: %v", err)
	}
	two := play(t, &villain{on: map[string]func(*peer, string){
		"MDTM": func(p *peer, _ string) { p.say("213 20200102030405", "250 And more.") },
	}})
	c := visit(t, two)
	_, _ = c.ModTime(testContext(t), "f") // may still be right
	for c.Err() == nil && testContext(t).Err() == nil {
		runtime.Gosched()
	}
	if err := c.Noop(testContext(t)); !errors.Is(err, ftpclient.ErrUnsolicited) || !errors.Is(err, ftpclient.ErrPoisoned) {
		t.Errorf("afterwards: %v", err)
	}
}

func serverTLS() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{ftptest.Certificate()}}
}

func TestInjectedBehindAuth(t *testing.T) {
	t.Parallel()
	v := play(t, &villain{tls: serverTLS(), on: map[string]func(*peer, string){
		"AUTH": func(p *peer, _ string) { p.say("234 Go on.", "230 You are in.") },
	}})
	o := ftpclient.Options{TLS: ftpclient.Explicit, TLSConfig: ftptest.ClientTLS()}
	if _, err := ftpclient.Dial(testContext(t), v.addr, o); !errors.Is(err, ftpclient.ErrInjected) {
		t.Errorf("%v, want ErrInjected", err)
	}
}

// TestNoCloseNotify: an end of TLS that anybody could have made.
func TestNoCloseNotify(t *testing.T) {
	t.Parallel()
	v := play(t, &villain{content: "abcdef", tls: serverTLS()})
	send := func(n int) func(*peer, string) {
		return func(p *peer, _ string) {
			d := p.data("150 Coming.").(*tls.Conn)
			_, _ = io.WriteString(d, p.content[:n])
			_ = d.NetConn().Close()
			p.say("226 Done.")
		}
	}
	v.on = map[string]func(*peer, string){"RETR": send(6), "LIST": send(6)}
	c := visit(t, v, explicit)
	if got, err := fetch(t, c); got != "abcdef" || err != nil {
		t.Errorf("whole by its size: %q, %v", got, err)
	}
	var last error
	for _, err := range c.List(testContext(t), "") {
		last = err
	}
	if !errors.Is(last, ftpclient.ErrCut) {
		t.Errorf("a listing ends with %v, want ErrCut", last)
	}
	w := play(t, &villain{content: "abcdef", tls: serverTLS(), on: map[string]func(*peer, string){"RETR": send(3)}})
	if _, err := fetch(t, visit(t, w, explicit)); !errors.Is(err, ftpclient.ErrCut) {
		t.Errorf("half a file: %v, want ErrCut", err)
	}
}

// TestClearControl ends TLS on the control connection with peers that say so
// too, at once, late or never; the data stays under TLS.
func TestClearControl(t *testing.T) {
	t.Parallel()
	for _, when := range []string{"at once", "late", "never"} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			v := &villain{content: "abc", tls: serverTLS()}
			v.on = map[string]func(*peer, string){"CCC": func(p *peer, _ string) {
				p.say("200 Clear from now on.")
				c := p.conn.(*tls.Conn)
				if when == "at once" {
					_ = c.CloseWrite()
				}
				if n, err := c.Read(make([]byte, 1)); err != io.EOF {
					t.Errorf("behind CCC came %d bytes, %v; want close_notify", n, err)
				}
				p.conn = p.raw
				p.in.Reset(p.raw)
				next, err := p.in.ReadCommand()
				if err != nil {
					t.Errorf("in clear: %v", err)
				}
				if when == "late" {
					_ = c.CloseWrite()
				}
				_ = p.raw.SetDeadline(time.Now().Add(patience)) // crypto/tls forbids writing behind its end
				p.obey(next)
			}}
			c := visit(t, play(t, v), explicit, func(o *ftpclient.Options) { o.ClearControl = true })
			if got, err := fetch(t, c); got != "abc" || err != nil {
				t.Errorf("got %q, %v", got, err)
			}
			if a := c.Attempts(); len(a) != 1 || !a[0].Resumed {
				t.Errorf("data: %v; want it resumed under TLS", a)
			}
		})
	}
}

// TestClearControlFailures: a refusal keeps TLS, and nobody may put in a reply
// on the way out.
func TestClearControlFailures(t *testing.T) {
	t.Parallel()
	clear := func(o *ftpclient.Options) { o.ClearControl = true }
	refusing := play(t, &villain{content: "abc", tls: serverTLS(), on: map[string]func(*peer, string){
		"CCC": func(p *peer, _ string) { p.say("534 Not here.") },
		"SIZE": func(p *peer, arg string) {
			if _, ok := p.conn.(*tls.Conn); !ok {
				t.Error("refused, and yet in clear")
			}
			p.right("SIZE", arg)
		},
	}})
	if n, err := visit(t, refusing, explicit, clear).Size(testContext(t), "f"); n != 3 || err != nil {
		t.Errorf("refused: %d, %v", n, err)
	}
	o := ftpclient.Options{TLS: ftpclient.Explicit, TLSConfig: ftptest.ClientTLS(), ClearControl: true}
	early := play(t, &villain{tls: serverTLS(), on: map[string]func(*peer, string){
		"CCC": func(p *peer, _ string) { p.say("200 Fine.", "211 No features.") },
	}})
	if _, err := ftpclient.Dial(testContext(t), early.addr, o); !errors.Is(err, ftpclient.ErrUnsolicited) {
		t.Errorf("two replies: %v, want ErrUnsolicited", err)
	}
	gone := play(t, &villain{tls: serverTLS(), on: map[string]func(*peer, string){
		"CCC": func(p *peer, _ string) { p.say("200 Fine."); _ = p.raw.Close() },
	}})
	if _, err := ftpclient.Dial(testContext(t), gone.addr, o); err == nil {
		t.Error("a server that is gone let us in")
	}
}

// TestProtocolNames: both kinds of connections say in ALPN what they are, a
// server that knows only "ftp" takes both, and who sets NextProtos has his way.
func TestProtocolNames(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var offered [][]string
	config := serverTLS()
	config.NextProtos = []string{"ftp"} // vsftpd
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		mu.Lock()
		defer mu.Unlock()
		offered = append(offered, hello.SupportedProtos)
		return nil, nil
	}
	v := play(t, &villain{content: "abc", tls: config})
	for _, test := range []struct {
		set  []string
		want [][]string
	}{
		{nil, [][]string{{"ftp"}, {"ftp-data", "ftp"}}},
		{[]string{}, [][]string{nil, nil}},
		{[]string{"x", "ftp"}, [][]string{{"x", "ftp"}, {"x", "ftp"}}},
	} {
		offered = nil
		if got, err := fetch(t, visit(t, v, explicit, func(o *ftpclient.Options) { o.TLSConfig.NextProtos = test.set })); got != "abc" || err != nil {
			t.Errorf("%q: got %q, %v", test.set, got, err)
		}
		mu.Lock()
		if diff := cmp.Diff(test.want, offered); diff != "" {
			t.Errorf("%q: offered -want +got\n%s", test.set, diff)
		}
		mu.Unlock()
	}
}

// TestKeyLog: what SSLKEYLOGFILE gets opens the data connections too. (Under TLS
// 1.2 crypto/tls writes no line for a session that is resumed: its secret is the
// one that was written for the control connection.)
func TestKeyLog(t *testing.T) {
	t.Parallel()
	var keys lockedBuffer
	v := play(t, &villain{content: "abc", tls: serverTLS()})
	c := visit(t, v, explicit, func(o *ftpclient.Options) {
		o.TLSConfig.MinVersion = tls.VersionTLS13
		o.TLSConfig.KeyLogWriter = &keys
	})
	if _, err := fetch(t, c); err != nil {
		t.Fatal(err)
	}
	connections := map[string]bool{}
	for line := range strings.Lines(keys.String()) {
		if f := strings.Fields(line); len(f) == 3 {
			connections[f[1]] = true // the client random
		}
	}
	if len(connections) != 2 {
		t.Errorf("keys of %d connections, want control and data:\n%s", len(connections), keys.String())
	}
}

func TestEndlessListing(t *testing.T) {
	t.Parallel()
	v := play(t, &villain{features: []string{"MLST type*;size*;"}, on: map[string]func(*peer, string){
		"MLSD": func(p *peer, _ string) {
			d := p.data("150 Coming.")
			w := bufio.NewWriterSize(d, 1<<16)
			for i, owner := 0, strings.Repeat("o", 100); ; i++ {
				if _, err := fmt.Fprintf(w, "type=file;size=%d;unix.owner=%s; f%d\r\n", i, owner, i); err != nil {
					break
				}
			}
			_ = d.Close()
			p.say("426 You have left.")
		},
	}})
	c, ctx := visit(t, v), testContext(t)
	n := 0
	for e, err := range c.List(ctx, "d") {
		if err != nil || e.Name != fmt.Sprintf("f%d", n) {
			t.Fatalf("entry %d: %+v, %v", n, e, err)
		}
		if n++; n == 30_000 {
			break
		}
	}
	if err := c.Noop(ctx); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	var last error
	n = 0
	for _, err := range c.List(ctx, "d") {
		if n++; n == 10 {
			if err := c.Noop(ctx); err != nil {
				t.Error(err)
			}
		}
		last = err
	}
	if !errors.Is(last, ftpclient.ErrTooLong) {
		t.Errorf("put aside: %d entries, then %v; want ErrTooLong", n, last)
	}
}

func TestHostileNames(t *testing.T) {
	t.Parallel()
	lines := "type=dir; ..\r\ntype=dir; ../up\r\ntype=file; /etc/passwd\r\ntype=file; good\r\nno facts here at all\r\n"
	v := play(t, &villain{features: []string{"MLST type*;"}, on: map[string]func(*peer, string){
		"MLSD": func(p *peer, _ string) {
			d := p.data("150 Coming.")
			_, _ = io.WriteString(d, lines)
			_ = d.Close()
			p.say("226 Done.")
		},
		"DELE": func(p *peer, arg string) {
			if arg != "d/good" {
				t.Errorf("DELE %s", arg)
			}
			p.say("250 Gone.")
		},
		"MLST": func(p *peer, _ string) { p.say("250-Listing", " type=dir; d", "250 End") },
	}})
	c, ctx := visit(t, v), testContext(t)
	var good []string
	named, unread := 0, 0
	for f, err := range c.Walk(ctx, "d") {
		if _, ok := errors.AsType[*ftpclient.NameError](err); ok {
			named++
		} else if _, ok := errors.AsType[*listing.LineError](err); ok {
			unread++
		} else if err == nil {
			good = append(good, f.Path)
		} else {
			t.Error(err)
		}
	}
	if named != 2 || unread != 1 || len(good) != 1 || good[0] != "d/good" {
		t.Errorf("%d bad names, %d bad lines, good: %q", named, unread, good)
	}
	if err := c.RemoveAll(ctx, "d"); err == nil {
		t.Error("RemoveAll saw nothing")
	}
}

// TestZone: LIST in the server's time, put right by one MDTM.
func TestZone(t *testing.T) {
	t.Parallel()
	truth := time.Now().UTC().Add(-48 * time.Hour).Truncate(time.Minute)
	shown := truth.Add(5*time.Hour + 30*time.Minute)
	var asked atomic.Int32
	v := play(t, &villain{features: []string{"MDTM"}, on: map[string]func(*peer, string){
		"LIST": func(p *peer, _ string) {
			d := p.data("150 Coming.")
			_, _ = io.WriteString(d, "total 2\r\n")
			for _, name := range []string{"drwxr-xr-x 2 u g 0 %s d\r\n", "-rw-r--r-- 1 u g 3 %s a b.txt\r\n", "-rw-r--r-- 1 u g 3 %s c.txt\r\n"} {
				_, _ = fmt.Fprintf(d, name, shown.Format("Jan _2 15:04"))
			}
			_ = d.Close()
			p.say("226 Done.")
		},
		"MDTM": func(p *peer, arg string) {
			asked.Add(1)
			if arg != "dir/a b.txt" {
				t.Errorf("MDTM %q", arg)
			}
			p.say("213 " + ftp.FormatTime(truth.Add(17*time.Second)))
		},
	}})
	c := visit(t, v)
	for range 2 {
		n := 0
		for e, err := range c.List(testContext(t), "dir") {
			if err != nil || !e.Time.Equal(truth) {
				t.Errorf("%s: %v, %v, want %v", e.Name, e.Time, err, truth)
			}
			n++
		}
		if n != 3 {
			t.Errorf("%d entries", n)
		}
	}
	if asked.Load() != 1 {
		t.Errorf("MDTM was asked for %d times", asked.Load())
	}
}

// TestDaylightSaving: a server of Central Europe lists files of a year, whose times
// all come right, for the price of some that are asked for: one of each season, and
// more of those in which clocks are changed.
func TestDaylightSaving(t *testing.T) {
	t.Parallel()
	day := 24 * time.Hour
	began := time.Date(2024, 1, 3, 9, 30, 0, 0, time.UTC)
	for _, test := range []struct {
		name        string
		from, days  int
		saves       bool
		most, least int32
	}{
		{"a year", 0, 360, true, 20, 4},
		{"a half year", 20, 180, false, 8, 2},
		{"a summer", 110, 132, true, 1, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			truth := map[string]time.Time{}
			var asked atomic.Int32
			v := play(t, &villain{features: []string{"MDTM"}, on: map[string]func(*peer, string){
				"LIST": func(p *peer, _ string) {
					d := p.data("150 Coming.")
					for i := test.from; i < test.from+test.days; i += 6 {
						at, ahead := began.Add(time.Duration(i)*day), time.Hour
						summer := at.After(time.Date(2024, 3, 31, 1, 0, 0, 0, time.UTC)) && at.Before(time.Date(2024, 10, 27, 1, 0, 0, 0, time.UTC))
						if test.saves && summer {
							ahead += time.Hour
						}
						name := fmt.Sprintf("f%03d", i)
						truth[name] = at
						_, _ = fmt.Fprintf(d, "%s %20d %s\r\n", at.Add(ahead).Format("01-02-2006  03:04PM"), 3, name)
					}
					_ = d.Close()
					p.say("226 Done.")
				},
				"MDTM": func(p *peer, arg string) {
					asked.Add(1)
					p.say("213 " + ftp.FormatTime(truth[arg].Add(17*time.Second)))
				},
			}})
			c, n := visit(t, v), 0
			for e, err := range c.List(testContext(t), "") {
				if n++; err != nil || !e.Time.Equal(began.Add(time.Duration(test.from+6*(n-1))*day)) {
					t.Errorf("%s: %v, %v", e.Name, e.Time, err)
				}
			}
			if got := asked.Load(); n != test.days/6 || got > test.most || got < test.least {
				t.Errorf("%d entries, MDTM was asked for %d times, want from %d to %d", n, got, test.least, test.most)
			}
			t.Logf("%d of %d were asked for", asked.Load(), n)
		})
	}
}

// TestPoolWaits for a server that wants nobody for a while.
func TestPoolWaits(t *testing.T) {
	t.Parallel()
	v := play(t, &villain{content: "abc"})
	v.on = map[string]func(*peer, string){"USER": func(p *peer, arg string) {
		if p.number <= 2 {
			p.say("421 Too busy.")
			_ = p.conn.Close()
			return
		}
		p.right("USER", arg)
	}}
	for retries, code := range map[int]int{0: 421, 2: 0} {
		v.sessions.Store(0)
		pool, err := ftpclient.NewPool(v.addr, ftpclient.Options{Retries: retries, Backoff: func(int) time.Duration { return 0 }}, 4)
		if err != nil {
			t.Fatal(err)
		}
		err = pool.Do(testContext(t), func(c *ftpclient.Client) error {
			_, err := fetch(t, c)
			return err
		})
		if e, ok := errors.AsType[*ftp.Error](err); (code == 0) != (err == nil) || code != 0 && (!ok || e.Reply.Code != code) {
			t.Errorf("%d retries: %v", retries, err)
		}
		if err := pool.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestQuitIsNoNews: who ends a session himself is not told that it is over, even
// if the server closes instead of answering.
func TestQuitIsNoNews(t *testing.T) {
	t.Parallel()
	v := play(t, &villain{on: map[string]func(*peer, string){
		"QUIT": func(p *peer, _ string) { _ = p.conn.Close() },
		"MDTM": func(p *peer, _ string) { _ = p.conn.Close() },
	}})
	var said lockedBuffer
	told := func(o *ftpclient.Options) { o.Log = slog.New(slog.NewTextHandler(&said, nil)) }
	if err := visit(t, v, told).Close(); err != nil || said.String() != "" {
		t.Errorf("after QUIT: %v, logged %q", err, said.String())
	}
	_, _ = visit(t, v, told).ModTime(testContext(t), "f") // what it says is another test's
	for ctx := testContext(t); !strings.Contains(said.String(), "session over"); runtime.Gosched() {
		if ctx.Err() != nil {
			t.Fatalf("a session that the server ended: logged %q", said.String())
		}
	}
}

// lockedBuffer is one that several goroutines write to.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// TestNobodyThere: the address is said once.
func TestNobodyThere(t *testing.T) {
	t.Parallel()
	addr := "127.0.0.1:" + deadPort(t)
	_, err := ftpclient.Dial(testContext(t), addr, ftpclient.Options{})
	if _, ok := errors.AsType[*net.OpError](err); !ok || strings.Count(err.Error(), addr) != 1 || strings.Count(err.Error(), "dial") != 1 {
		t.Errorf("%v", err)
	}
	_, port, _ := net.SplitHostPort(addr)
	_, err = ftpclient.Dial(testContext(t), "localhost:"+port, ftpclient.Options{})
	if err == nil || !strings.HasPrefix(err.Error(), "dial localhost:"+port+": ") || strings.Count(err.Error(), "dial") != 1 {
		t.Errorf("by name: %v", err)
	}
}

// TestRefusedModeIsNotNoMLSD: that EPSV is not known says nothing about MLSD.
func TestRefusedModeIsNotNoMLSD(t *testing.T) {
	t.Parallel()
	var refusals atomic.Int32
	v := play(t, &villain{features: []string{"MLST type*;"}, on: map[string]func(*peer, string){
		"EPSV": func(p *peer, arg string) {
			if refusals.Add(1) == 1 {
				p.say("500 Unknown command.")
				return
			}
			p.right("EPSV", arg)
		},
		"MLSD": func(p *peer, _ string) {
			d := p.data("150 Coming.")
			_, _ = io.WriteString(d, "type=file; f\r\n")
			_ = d.Close()
			p.say("226 Done.")
		},
	}})
	c := visit(t, v, mode(ftpclient.EPSV))
	for _, err := range c.List(testContext(t), "d") {
		if d, ok := errors.AsType[*ftpclient.DataError](err); !ok || d.Attempt.Mode != ftpclient.EPSV {
			t.Errorf("refused: %v, want a *DataError about EPSV", err)
		}
	}
	n := 0
	for e, err := range c.List(testContext(t), "d") {
		if n++; err != nil || e.Name != "f" {
			t.Errorf("afterwards: %+v, %v", e, err)
		}
	}
	if n != 1 {
		t.Errorf("afterwards: %d entries, want 1", n)
	}
}
