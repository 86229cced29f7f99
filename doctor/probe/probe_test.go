package probe_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode"

	"towpath/doctor/check"
	"towpath/doctor/probe"
	"towpath/ftpclient"
	"towpath/ftpserver"
	"towpath/ftptest"
	"towpath/internal/words"
)

// target is a server as its user looks at it.
func target(addr string) probe.Target {
	roots := x509.NewCertPool()
	roots.AddCert(ftptest.Certificate().Leaf)
	return probe.Target{Addr: addr, Options: ftpclient.Options{
		User: ftptest.User, Password: ftptest.Password,
		TLSConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		Timeout:   10 * time.Second, DataTimeout: 2 * time.Second,
	}}
}

func run(t *testing.T, target probe.Target) *check.Report {
	t.Helper()
	r, err := probe.Run(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// find returns a check by its name.
func find(t *testing.T, r *check.Report, name string) check.Check {
	t.Helper()
	for _, c := range r.Checks {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no check %s in %s", name, text(t, r))
	return check.Check{}
}

func text(t *testing.T, r *check.Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.WriteText(&b, true); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// expect compares checks, written "✓ name: what is in the evidence or the hint".
func expect(t *testing.T, r *check.Report, verdict string, status int, wants ...string) {
	t.Helper()
	if r.Verdict != verdict || r.Status() != status {
		t.Errorf("verdict %q with status %d, want %q with %d\n%s", r.Verdict, r.Status(), verdict, status, text(t, r))
	}
	for _, want := range wants {
		mark, rest, _ := strings.Cut(want, " ")
		name, words, _ := strings.Cut(rest, ": ")
		c := find(t, r, name)
		if c.Answer.Mark() != mark || !strings.Contains(c.Evidence+"\n"+c.Hint, words) {
			t.Errorf("%s %s: %s\n  %s\nwant %s", c.Answer.Mark(), c.Name, c.Evidence, c.Hint, want)
		}
	}
}

// relay stands between client and server as a NAT does: commands and replies go
// through its functions until TLS begins. Data connections pass it by.
func relay(t *testing.T, server string, command, reply func(line string) string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	same := func(line string) string { return line }
	if command == nil {
		command = same
	}
	if reply == nil {
		reply = same
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s, err := net.Dial("tcp", server)
			if err != nil {
				_ = c.Close()
				continue
			}
			go pass(c, s, command, func(line string) bool { return strings.HasPrefix(line, "AUTH") })
			go pass(s, c, reply, func(line string) bool { return strings.HasPrefix(line, "234") })
		}
	}()
	return l.Addr().String()
}

// pass copies lines, and bytes from the line on that is the last.
func pass(from, to net.Conn, change func(string) string, last func(string) bool) {
	defer from.Close()
	defer to.Close()
	in := bufio.NewReader(from)
	for {
		line, err := in.ReadString('\n')
		if _, werr := io.WriteString(to, change(line)); err != nil || werr != nil {
			return
		}
		if last(line) {
			_, _ = io.Copy(to, in) // its end is the end
			return
		}
	}
}

// replace is a function for relay.
func replace(old, with string) func(string) string {
	return func(line string) string { return strings.Replace(line, old, with, 1) }
}

const allFour = "PASV, EPSV, PORT and EPRT work."

func TestAllIsWell(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"sea.txt": "x"}, ftptest.TLS)
	r := run(t, target(s.Addr))
	expect(t, r, "In clear text and over TLS "+allFour, 0,
		"✓ name: 127.0.0.1 is an address", "✓ route: from 127.0.0.1", "✓ control-port: connected to "+s.Addr,
		"✓ greeting: 220", "✓ auth-tls: TLS 1.3", "✗ certificate: 23 hours left", `✓ login: "test" is let in`, "✓ login-tls",
		"✓ own-address: the server sees us at 127.0.0.1, our own", "✓ epsv: 1 entry", "✓ pasv", "✓ eprt", "✓ port",
		"✓ epsv-tls", "✓ pasv-tls", "✓ eprt-tls", "✓ port-tls: connected from the server",
		"✓ pasv-address: 227 names 127.0.0.1, the address that we reached",
		"✓ pasv-unchanged: in clear text and over TLS", "✓ port-unchanged: no NAT",
		"✓ resumption: 4 of 4 data connections resumed the TLS session; one that does not is served too",
		"✓ clock", "✓ charset: names are in UTF-8")
	if got := s.File("sea.txt"); got != "x" {
		t.Errorf("the file is %q now", got)
	}
}

// Nothing stays open: no session, no port.
func TestLeavesNothing(t *testing.T) {
	t.Parallel()
	open := make(chan int, 1000)
	s := ftptest.Serve(t, nil, ftptest.TLS)
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = front.Close() })
	go func() {
		for {
			c, err := front.Accept()
			if err != nil {
				return
			}
			open <- 1
			b, err := net.Dial("tcp", s.Addr)
			if err != nil {
				_ = c.Close()
				continue
			}
			go func() { _, _ = io.Copy(c, b); _ = c.Close() }()
			go func() { _, _ = io.Copy(b, c); _ = b.Close(); open <- -1 }()
		}
	}()
	run(t, target(front.Addr().String()))
	// The first, one for each mode, and one whose data resumes nothing: all of
	// them begin and end.
	for sum, all := 0, 0; all < 2*(1+4+4+1) || sum > 0; all++ {
		select {
		case n := <-open:
			sum += n
		case <-time.After(time.Minute):
			t.Fatalf("%d sessions are open, and %d began or ended", sum, all)
		}
	}
}

func TestConditions(t *testing.T) {
	t.Parallel()
	clearTLS := func(told ...ftpserver.Told) ftptest.Option {
		return func(o *ftpserver.Options) { o.Told = told }
	}
	for _, c := range []struct {
		name    string
		options []ftptest.Option
		set     func(*probe.Target)
		verdict string
		status  int
		wants   []string
	}{
		{
			name: "passive off", options: []ftptest.Option{func(o *ftpserver.Options) { o.NoPassive = true }},
			verdict: "In clear text PORT and EPRT work, PASV and EPSV fail.", status: 1,
			wants: []string{"✗ pasv: 502 Passive mode is switched off", "✗ epsv: The same as for pasv.", "✗ auth-tls: tls-cert"},
		},
		{
			name: "active off", options: []ftptest.Option{func(o *ftpserver.Options) { o.NoActive = true }},
			verdict: "In clear text PASV and EPSV work, PORT and EPRT fail.", status: 0,
			wants: []string{"✗ port: Use passive mode", "✗ eprt: 502 Active mode is switched off"},
		},
		{
			name: "active is asked for", options: []ftptest.Option{func(o *ftpserver.Options) { o.NoActive = true }},
			set:     func(t *probe.Target) { t.Options.Mode = ftpclient.Active },
			verdict: "In clear text PORT and EPRT fail.", status: 1,
		},
		{
			name: "only one mode", set: func(t *probe.Target) { t.Options.Mode = ftpclient.PASV },
			verdict: "In clear text PASV works.", status: 0,
		},
		{
			name: "wrong external address", options: []ftptest.Option{clearTLS(ftpserver.Told{Address: "192.168.1.5", Clients: everyone})},
			verdict: "In clear text " + allFour + " Look at pasv-address.", status: 1,
			wants: []string{"✓ pasv: the server announced 192.168.1.5", "✗ pasv-address: 227 names 192.168.1.5, which is private", "✓ pasv-unchanged: came through as it is"},
		},
		{
			name: "two external addresses", options: []ftptest.Option{ftptest.TLS, clearTLS(
				ftpserver.Told{Address: "203.0.113.7", Clients: everyone, TLS: new(bool)}, ftpserver.Told{Address: "192.168.1.5", Clients: everyone})},
			verdict: "In clear text and over TLS " + allFour + " Look at pasv-address.", status: 1,
			wants: []string{"? pasv-unchanged: 227 names 203.0.113.7 in clear text, and 192.168.1.5 over TLS"},
		},
		{
			name: "TLS is required", options: []ftptest.Option{ftptest.TLS, func(o *ftpserver.Options) { o.RequireTLS = true }},
			verdict: "Over TLS " + allFour, status: 0,
			wants: []string{"✗ login: 530", "✓ login-tls", "✓ pasv-tls"},
		},
		{
			name: "TLS is asked for", options: []ftptest.Option{ftptest.TLS},
			set:     func(t *probe.Target) { t.Options.TLS = ftpclient.Explicit },
			verdict: "Over TLS " + allFour, status: 0,
			wants: []string{"? login: not tried in clear text", "✓ login-tls", "✓ own-address-tls"},
		},
		{
			name: "TLS is asked for and not there", set: func(t *probe.Target) { t.Options.TLS = ftpclient.Explicit },
			verdict: "There is no session: the server refuses TLS.", status: 1,
			wants: []string{"✗ auth-tls: 502", "? modes: not tried"},
		},
		{
			name: "its certificate is a stranger's", options: []ftptest.Option{ftptest.TLS},
			set: func(t *probe.Target) {
				t.Options.TLS, t.Options.TLSConfig = ftpclient.Explicit, &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
			},
			verdict: "There is no session: its certificate is not believed.", status: 1,
			wants: []string{"✗ certificate: unknown authority"},
		},
		{
			name: "its certificate is a stranger's, and TLS is not asked for", options: []ftptest.Option{ftptest.TLS},
			set:     func(t *probe.Target) { t.Options.TLSConfig.RootCAs = x509.NewCertPool() },
			verdict: "In clear text and over TLS " + allFour, status: 0,
			wants: []string{"✗ certificate: unknown authority"},
		},
		{
			name:    "its certificate is a stranger's, and only TLS would do",
			options: []ftptest.Option{ftptest.TLS, func(o *ftpserver.Options) { o.RequireTLS = true }},
			set:     func(t *probe.Target) { t.Options.TLSConfig.RootCAs = x509.NewCertPool() },
			verdict: "There is no session: the server's certificate is not believed.", status: 1,
			wants: []string{"✗ login-tls: No password was sent"},
		},
		{
			name: "resumption is required", options: []ftptest.Option{ftptest.TLS, func(o *ftpserver.Options) { o.Binding = ftpserver.BindRequire }},
			verdict: "In clear text and over TLS " + allFour, status: 0,
			wants: []string{"✓ resumption: 4 of 4 data connections resumed the TLS session; one that does not is refused (522"},
		},
		{
			name: "wrong password", options: []ftptest.Option{ftptest.TLS}, set: func(t *probe.Target) { t.Options.Password = "guess" },
			verdict: `There is no session: "test" is not let in.`, status: 1,
			wants: []string{"✗ login: PASS ****: 530"},
		},
		{
			name: "nobody was named", set: func(t *probe.Target) { t.Options.User, t.Options.Password = "", "" },
			verdict: `There is no session: "anonymous" is not let in.`, status: 1,
		},
		{
			name: "no such directory", set: func(t *probe.Target) { t.Dir = "missing" },
			verdict: "No mode was tried to its end.", status: 0,
			wants: []string{"? epsv: 550", "? port: 550"},
		},
		{
			name:    "a firewall drops what goes to the passive ports",
			set:     func(t *probe.Target) { t.Options.Dialer = &net.Dialer{ControlContext: drop(t.Addr)} },
			verdict: "In clear text PORT and EPRT work, PASV and EPSV fail.", status: 1,
			wants: []string{"✗ pasv: towpath doctor rules --passive-ports", "✗ epsv"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := ftptest.Serve(t, ftptest.Files{"sea.txt": "x"}, c.options...)
			target := target(s.Addr)
			if c.set != nil {
				c.set(&target)
			}
			expect(t, run(t, target), c.verdict, c.status, c.wants...)
		})
	}
}

// What is on the way is proved by what it leaves.
func TestPath(t *testing.T) {
	t.Parallel()
	inside := func(o *ftpserver.Options) { o.Told = []ftpserver.Told{{Address: "192.168.1.5", Clients: everyone}} }
	port := regexp.MustCompile(`\(\|\|\|\d+\|\)`)
	sixNumbers := regexp.MustCompile(`(\(\d+,\d+,\d+,\d+),\d+,\d+\)`)
	sixth := regexp.MustCompile(`^(PORT .*,)\d+,\d+\r\n|^(EPRT \|1\|127\.0\.0\.1\|)\d+\|\r\n`)
	for _, c := range []struct {
		name           string
		options        []ftptest.Option
		command, reply func(string) string
		verdict        string
		status         int
		wants          []string
	}{
		{
			name: "a helper rewrites 227", options: []ftptest.Option{ftptest.TLS, inside},
			reply:   replace("(192,168,1,5,", "(127,0,0,1,"),
			verdict: "In clear text and over TLS " + allFour + " Look at pasv-address.", status: 1,
			wants: []string{
				"✗ pasv-unchanged: 227 names 127.0.0.1 in clear text, and 192.168.1.5 over TLS, where nobody can change it: a helper (ALG)",
				"✗ pasv-address: 192.168.1.5",
			},
		},
		{
			name: "a NAT, and nobody rewrites PORT",
			reply: func(line string) string {
				line = strings.Replace(line, "Connected from 127.0.0.1:", "Connected from 203.0.113.7:", 1)
				return regexp.MustCompile(`^200 (PORT|EPRT) .*`).ReplaceAllString(line, "500 Illegal $1 command.")
			},
			verdict: "In clear text PASV and EPSV work, PORT and EPRT fail.", status: 0,
			wants: []string{
				"✗ own-address: we are 127.0.0.1, and the server sees us at 203.0.113.7: a NAT",
				"✗ port: We announce an address that is not the one that the server sees us at", "✗ eprt: The same as for port.",
				"? port-unchanged",
			},
		},
		{
			name:    "the server repeats what PORT named",
			reply:   replace("200 PORT command successful.", "500 I won't open a connection to 127.0.0.1 (only to 203.0.113.7)"),
			verdict: "In clear text PASV, EPSV and EPRT work, PORT fails.", status: 0,
			wants: []string{"✓ port-unchanged: the server repeats the address of our PORT", "✗ port: --ftp-port auto"},
		},
		{
			name: "a helper drops PASV",
			command: func(line string) string {
				if strings.HasPrefix(line, "PASV") {
					return ""
				}
				return line
			},
			verdict: "In clear text EPSV, PORT and EPRT work, PASV fails.", status: 1,
			wants: []string{"✗ pasv: dead from the announcement on", "✓ epsv"},
		},
		{
			name: "EPSV is not known", command: replace("EPSV", "XPSV"),
			verdict: "In clear text PASV, PORT and EPRT work, EPSV fails.", status: 0,
			wants: []string{"✗ epsv: 500"},
		},
		{
			name:    "a NAT does not forward the passive ports",
			reply:   func(line string) string { return port.ReplaceAllString(line, "(|||1|)") },
			verdict: "In clear text PASV, PORT and EPRT work, EPSV fails.", status: 1,
			wants: []string{"✗ epsv: Who refuses is not the server", "✓ pasv"},
		},
		{
			name: "the server is behind a NAT that knows nothing", options: []ftptest.Option{inside},
			reply: func(line string) string {
				return sixNumbers.ReplaceAllString(port.ReplaceAllString(line, "(|||1|)"), "${1},0,1)")
			},
			verdict: "In clear text PORT and EPRT work, PASV and EPSV fail. Look at pasv-address.", status: 1,
			wants: []string{"✗ pasv: a NAT before it", "✗ epsv: The same as for pasv.", "✗ pasv-address: 192.168.1.5"},
		},
		{
			name: "nothing of the server's comes in",
			command: func(line string) string {
				return sixth.ReplaceAllStringFunc(line, func(s string) string {
					m := sixth.FindStringSubmatch(s)
					if m[1] != "" {
						return m[1] + "255,254\r\n"
					}
					return m[2] + "65534|\r\n"
				})
			},
			verdict: "In clear text PASV and EPSV work, PORT and EPRT fail.", status: 0,
			wants: []string{"✗ port: 425", "✗ eprt: The same as for port.", "✗ port: towpath doctor rules --side client --mode active"},
		},
		{
			name: "a banner with colours", reply: replace("220 ", "220 \x1b[31mred\x07 "),
			verdict: "In clear text " + allFour, status: 0, wants: []string{`✓ greeting: 220 \x1b[31mred\x07 Towpath`},
		},
		{
			name: "a server that means itself", reply: replace("(127,0,0,1,", "(0,0,0,0,"),
			verdict: "In clear text " + allFour, status: 0, wants: []string{"✗ pasv-address: 0.0.0.0"},
		},
		{
			name: "sent away", reply: replace("220 ", "421 "),
			verdict: "There is no session: the server sends us away.", status: 1, wants: []string{"✗ greeting: 421"},
		},
		{
			name: "no FTP", reply: replace("220 ", "SSH-2.0-"),
			verdict: "There is no session: port PORT does not greet as an FTP server does.", status: 1, wants: []string{"✗ greeting: SSH-2.0"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := ftptest.Serve(t, ftptest.Files{"sea.txt": "x"}, c.options...)
			at := relay(t, s.Addr, c.command, c.reply)
			look := target(at)
			look.Options.Timeout = 2 * time.Second
			r := run(t, look)
			_, port, _ := net.SplitHostPort(at)
			expect(t, r, strings.Replace(c.verdict, "PORT does not greet", port+" does not greet", 1), c.status, c.wants...)
			if out := text(t, r); strings.ContainsAny(out, "\x1b\x07") {
				t.Errorf("orders for the terminal: %q", out)
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	_, port, _ := net.SplitHostPort(addr)
	expect(t, run(t, target(addr)), fmt.Sprintf("There is no session: port %s is closed.", port), 1, "✗ control-port: refused")
}

// A server that waits for TLS is silent.
func TestSilence(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, nil, ftptest.TLS)
	quiet := target(s.Implicit)
	quiet.Options.Timeout = 300 * time.Millisecond
	r := run(t, quiet)
	if c := find(t, r, "greeting"); c.Answer != check.No || !strings.Contains(c.Hint, "ftps://") {
		t.Errorf("%+v", c)
	}
	right := target(s.Implicit)
	right.Options.TLS = ftpclient.Implicit
	expect(t, run(t, right), "Over TLS "+allFour, 0, "✓ auth-tls: TLS from the start", "✓ resumption: 4 of 4")
	wrong := target(s.Addr)
	wrong.Options.TLS = ftpclient.Implicit
	if r := run(t, wrong); r.Status() != 1 || !strings.Contains(r.Verdict, "no TLS from the start") {
		t.Errorf("%s", text(t, r))
	}
}

// Who is interrupted knows nothing for sure.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	look := target(s.Addr)
	look.Begin = func(name string) {
		if name == "pasv" {
			cancel()
		}
	}
	r, err := probe.Run(ctx, look)
	if err != nil {
		t.Fatal(err)
	}
	if r.Status() != 2 || find(t, r, "pasv").Answer != check.Unknown || find(t, r, "time").Answer != check.Unknown {
		t.Errorf("%s", text(t, r))
	}
}

// A session that was silent for a while: it lives, the server ends it, or the
// network has forgotten it.
func TestIdle(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, nil)
	well := target(s.Addr)
	well.Idle = 10 * time.Millisecond
	expect(t, run(t, well), "In clear text "+allFour, 0, "✓ idle: a session lives after 10ms of silence, and a reply comes after")
	server := ftptest.Serve(t, nil, func(o *ftpserver.Options) { o.IdleTimeout = time.Second })
	ends := target(server.Addr)
	ends.Idle = 1500 * time.Millisecond
	expect(t, run(t, ends), "In clear text "+allFour, 0, "? idle: the server itself ends a session")
	lost := target(relay(t, s.Addr, func(line string) string {
		if strings.HasPrefix(line, "NOOP") {
			return "" // dropped on the way
		}
		return line
	}, nil))
	lost.Idle, lost.Options.Timeout = 10*time.Millisecond, 2*time.Second
	expect(t, run(t, lost), "In clear text "+allFour+" Look at idle.", 1, "✗ idle: a session is lost after 10ms", "✗ idle: TCP keep-alive")
}

// Many a NAT lets commands through that forgot the session, and no replies.
func TestIdleReply(t *testing.T) {
	t.Parallel()
	var long atomic.Bool // a transfer by hand, behind which the reply is lost
	s := ftptest.Serve(t, nil)
	target := target(relay(t, s.Addr, func(line string) string {
		if strings.HasPrefix(line, "NLST") {
			long.Store(true)
		}
		return line
	}, func(line string) string {
		if long.Load() && strings.HasPrefix(line, "226") {
			return ""
		}
		return line
	}))
	target.Idle, target.Options.Timeout = 10*time.Millisecond, 2*time.Second
	expect(t, run(t, target), "In clear text "+allFour+" Look at idle.", 1, "✗ idle: commands arrive, and a reply that the server sends by itself does not")
}

// tunnel is a way to the server of which nobody knows what is between.
type tunnel struct{ net.Dialer }

// Through a proxy nothing is said of what only it can see.
func TestThroughProxy(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"sea.txt": "x"}, ftptest.TLS)
	far := target(s.Addr)
	far.Options.Dialer = &tunnel{}
	r := run(t, far)
	expect(t, r, "In clear text and over TLS PASV and EPSV work.", 0, "? route: a proxy is between", "? port: takes no connections", "✓ pasv")
	for _, c := range r.Checks {
		if c.Answer == check.No && c.Name != "certificate" || c.Name == "pasv-address" || c.Name == "own-address" {
			t.Errorf("%+v", c)
		}
	}
}

// Who names an address of his own sees the way from there.
func TestLocalAddr(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, nil)
	from := target(s.Addr)
	from.Options.LocalAddr = netip.MustParseAddr("127.0.0.1")
	expect(t, run(t, from), "In clear text "+allFour, 0, "✓ route: 127.0.0.1")
}

// Each session is left once.
func TestLeaves(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, nil, ftptest.TLS)
	look := target(s.Addr)
	greeted, left := 0, 0
	look.Options.Trace = func(dir byte, line string) {
		switch {
		case dir == 'S' && strings.HasPrefix(line, "220 "):
			greeted++
		case dir == 'C' && line == "QUIT":
			left++
		}
	}
	run(t, look)
	if greeted == 0 || left > greeted {
		t.Errorf("%d sessions, and %d QUIT", greeted, left)
	}
}

// A server that lets in one session at a time is looked at, too.
func TestOneAtATime(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, nil, ftptest.TLS, func(o *ftpserver.Options) { o.MaxPerAddress = 1 })
	expect(t, run(t, target(s.Addr)), "In clear text and over TLS "+allFour, 0, "✓ resumption: is served too")
}

// A report is the same in every language but for its sentences.
func TestLanguages(t *testing.T) {
	t.Parallel()
	served := ftptest.Serve(t, ftptest.Files{"sea.txt": "x"}, ftptest.TLS)
	inside := ftptest.Serve(t, ftptest.Files{"sea.txt": "x"}, func(o *ftpserver.Options) {
		o.Told = []ftpserver.Told{{Address: "10.1.2.3", Clients: everyone}}
	})
	none := ftptest.Serve(t, nil, func(o *ftpserver.Options) { o.NoPassive = true })
	wrong := target(none.Addr)
	wrong.Options.Password = "guess"
	for name, look := range map[string]probe.Target{"served": target(served.Addr), "inside": target(inside.Addr), "no passive mode": target(none.Addr), "no session": wrong} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			look.Idle = time.Millisecond
			english := run(t, look)
			for _, l := range words.Langs[1:] {
				look.Lang = l
				r := run(t, look)
				if got, want := answers(r), answers(english); got != want {
					t.Errorf("in %v:\n%s\nwant\n%s", l, got, want)
				}
				out := text(t, r)
				if strings.ContainsAny(out, "{}") || !strings.ContainsFunc(r.Verdict, func(r rune) bool { return unicode.In(r, unicode.Han, unicode.Katakana) }) {
					t.Errorf("in %v:\n%s", l, out)
				}
				for i, c := range r.Checks {
					if c.Title != words.Say("check."+c.Name).In(l) || english.Checks[i].Title != "" {
						t.Errorf("%s is called %q, in English %q", c.Name, c.Title, english.Checks[i].Title)
					}
					if c.Hint != "" && c.Hint == english.Checks[i].Hint {
						t.Errorf("%s in %v: %s", c.Name, l, c.Hint)
					}
				}
			}
		})
	}
}

// answers are what programs read in a report.
func answers(r *check.Report) string {
	var b strings.Builder
	for _, c := range r.Checks {
		fmt.Fprintln(&b, c.Name, c.Answer, c.Minor, c.Evidence != "", c.Hint != "")
	}
	return b.String()
}

func TestTargets(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		target probe.Target
		want   string
	}{
		{probe.Target{Addr: "ftp.example.org"}, "want host:port"},
		{probe.Target{Addr: "h:21", Options: ftpclient.Options{Mode: ftpclient.EPSV, Avoid: []ftpclient.Mode{ftpclient.EPSV}}}, "none is left to try"},
		{probe.Target{Addr: "h:21", Options: ftpclient.Options{Gate: &ftpclient.Gate{Addr: "gate:21"}}}, "behind the FTP proxy gate:21"},
	} {
		if _, err := probe.Run(t.Context(), c.target); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

func Example() {
	r, err := probe.Run(context.Background(), probe.Target{Addr: "ftp.example.invalid:21"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r.Verdict)
	for _, c := range r.Checks {
		fmt.Println(c.Answer, c.Name)
	}
	if err := r.WriteText(io.Discard, false); err != nil {
		fmt.Println(err)
	}
	// Output:
	// There is no session: the name ftp.example.invalid does not resolve.
	// no name
	// unknown modes
}
