package gateway_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"towpath/ftp"
	"towpath/ftptest"
	"towpath/gateway"
)

// cuttings are the ways in which a text may be cut into segments.
var cuttings = map[string]func(string) []string{
	"in one":           func(s string) []string { return []string{s} },
	"byte by byte":     func(s string) []string { return strings.Split(s, "") },
	"line by line":     func(s string) []string { return strings.SplitAfter(s, "\n") },
	"across lines":     func(s string) []string { return strings.SplitAfter(s, " ") },
	"CR here, LF next": func(s string) []string { return strings.SplitAfter(s, "\r") },
}

// allAtOnce logs in, announces by verb and fetches name without waiting for any
// reply, and returns the file.
func allAtOnce(t *testing.T, addr, user, password, verb, name string, cut func(string) []string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	replies := ftp.NewReader(c)
	if _, err := replies.ReadReply(); err != nil {
		t.Fatal(err)
	}
	announcement, own := verb, net.Listener(nil)
	if verb == "PORT" || verb == "EPRT" {
		own = listenOr(t, "127.0.0.1:0")
		announcement = "PORT " + ftp.FormatHostPort(at(own))
		if verb == "EPRT" {
			announcement = "EPRT " + ftp.FormatEPRT(at(own))
		}
	}
	for _, piece := range cut(fmt.Sprintf("USER %s\r\nPASS %s\r\nTYPE I\r\n%s\r\nRETR %s\r\n", user, password, announcement, name)) {
		if _, err := io.WriteString(c, piece); err != nil {
			t.Fatal(err)
		}
	}
	got := make(chan string, 1)
	fetch := func(d net.Conn, err error) {
		if err != nil {
			t.Error(err)
			got <- ""
			return
		}
		got <- readAll(t, d)
	}
	if own != nil {
		go func() { fetch(own.Accept()) }()
	}
	var codes []int
	for {
		r, err := replies.ReadReply()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("behind %v: %v", codes, err)
		}
		codes = append(codes, r.Code)
		var told netip.AddrPort
		switch r.Code {
		case 227:
			told, err = ftp.ParsePassive(r.Lines[0])
		case 229:
			told, err = ftp.ParseExtendedPassive(r.Lines[0])
			told = netip.AddrPortFrom(loopback, told.Port())
		case 226:
			_, err = io.WriteString(c, "QUIT\r\n")
		}
		if err != nil {
			t.Fatal(err)
		}
		if told.IsValid() {
			go func() { fetch(net.Dial("tcp", told.String())) }()
		}
	}
	text := strings.Trim(fmt.Sprint(codes), "[]")
	for _, want := range []string{" 200 227 ", " 200 229 ", " 200 200 "} {
		before, after, ok := strings.Cut(text, want)
		if ok && strings.HasPrefix(before, "331 230") != strings.HasPrefix(before, "230") && strings.HasSuffix(after, " 226 221") {
			return <-got
		}
	}
	t.Fatalf("the replies were %v", codes)
	return ""
}

// What a client sends ahead of the answer to its login counts when that is there,
// however it is cut.
func TestSentAheadOfLogin(t *testing.T) {
	t.Parallel()
	srv := ftptest.Serve(t, ftptest.Files{"sea.txt": "0123456789"})
	for name, cut := range cuttings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, verb := range []string{"PASV", "EPSV", "PORT", "EPRT"} {
				g := serve(t, srv.Addr)
				if got := allAtOnce(t, g.addr, ftptest.User, ftptest.Password, verb, "sea.txt", cut); got != "0123456789" {
					t.Errorf("%s: %q", verb, got)
				}
				if r := g.record(t); len(r.Data) != 1 || r.Data[0].Why != "done" || len(r.Alarms) != 0 || r.Refused != 0 {
					t.Errorf("%s: %+v", verb, r)
				}
			}
		})
	}
}

// A login that fails, or that wants more than was said, opens nothing to what came
// with it. Nobody is suspected for it.
func TestSentAheadOfNoLogin(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"530 No.\r\n", "332 Account?\r\n"} {
		soon := time.Now().Add(30 * time.Second)
		w := newWire(t, "127.0.0.1")
		w.say("USER anna\r\nPASS y\r\nNOOP\r\nPASV\r\nPORT 127,0,0,1,200,1\r\nRETR sea\r\nUSER anna\r\nPASS x\r\nPASV\r\n")
		w.gets("USER anna\r\nPASS y\r\nNOOP\r\n")
		for w.g.Held() < 6 { // else the answer may come before they are looked at
			if time.Now().After(soon) {
				t.Fatalf("%d lines are held, want 6", w.g.Held())
			}
			time.Sleep(time.Millisecond) // nobody tells
		}
		w.answer("331 Password?\r\n" + answer + "200 Noop.\r\n")
		w.hears("331 Password?\r\n" + answer)
		w.gets("RETR sea\r\nUSER anna\r\nPASS x\r\n")
		w.hears("200 Noop.\r\n530 Log in first.\r\n530 Log in first.\r\n")
		w.answer("530 No.\r\n331 Password?\r\n230 Welcome.\r\n")
		w.gets("PASV\r\n")
		w.answer("425 no\r\n")
		w.hears("530 No.\r\n331 Password?\r\n230 Welcome.\r\n425 no\r\n")
		_, _ = w.client.Close(), w.server.Close()
		if r := w.g.record(t); len(r.Alarms) != 0 || r.Refused != 2 {
			t.Errorf("%+v", r)
		}
	}
}

// REIN takes the login away from what was sent behind it.
func TestSentAheadOfREIN(t *testing.T) {
	t.Parallel()
	w := newWire(t, "127.0.0.1")
	w.login()
	w.say("REIN\r\nPASV\r\nUSER anna\r\n")
	w.gets("REIN\r\n")
	w.answer("220 Ahoy.\r\n")
	w.gets("USER anna\r\n")
	w.hears("220 Ahoy.\r\n530 Log in first.\r\n")
}

// A server that never answers a login holds the client no longer than a client may
// take for it, however much was sent ahead.
func TestSentAheadForEver(t *testing.T) {
	t.Parallel()
	for _, many := range []int{1, 1000} {
		t.Run(fmt.Sprint(many), func(t *testing.T) {
			t.Parallel()
			w := newWire(t, "127.0.0.1", func(o *gateway.Options) { o.LoginTimeout = 3 * time.Second })
			w.say("USER anna\r\n" + strings.Repeat("PASV\r\n", many))
			w.gets("USER anna\r\n")
			w.hears("421 Nobody logged in in time. Goodbye.\r\n")
			_ = w.client.Close()
			if r := w.g.record(t); r.Reason != "login time-out" || len(r.Data) != 0 {
				t.Errorf("%+v", r)
			}
		})
	}
}

// A client that ends its side with the last line still has all of its lines heard.
func TestSentAheadAndGone(t *testing.T) {
	t.Parallel()
	w := newWire(t, "127.0.0.1")
	w.say("USER anna\r\nEPSV\r\nNOOP\r\n")
	if err := w.client.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	w.gets("USER anna\r\n")
	w.answer("230 Welcome.\r\n")
	w.gets("EPSV\r\n")
	w.answer("425 No.\r\n")
	w.gets("NOOP\r\n")
	w.answer("200 Noop.\r\n")
	w.hears("230 Welcome.\r\n425 No.\r\n200 Noop.\r\n")
	if _, err := w.sin.ReadByte(); err != io.EOF {
		t.Errorf("%v, want the end", err)
	}
}

// Where there are rules, what is sent ahead is judged when it is known who says it,
// and where he is.
func TestSentAheadOfRules(t *testing.T) {
	t.Parallel()
	var asked []string // by one session, in turn
	w := newWire(t, "127.0.0.1", func(o *gateway.Options) {
		o.Allow = func(r gateway.Request) error {
			asked = append(asked, r.Command.Verb+" in "+r.Dir)
			return nil
		}
	})
	w.say("USER anna\r\nPASS x\r\nCWD in\r\nDELE a\r\nNOOP\r\n")
	w.gets("USER anna\r\nPASS x\r\n")
	w.answer("331 Password?\r\n230 Welcome.\r\n")
	w.gets("PWD\r\n")
	w.answer("257 \"/\"\r\n")
	w.gets("CWD in\r\n")
	w.answer("250 Done.\r\n")
	w.gets("PWD\r\n")
	w.answer("257 \"/in\"\r\n")
	w.gets("DELE a\r\nNOOP\r\n")
	w.answer("250 Gone.\r\n200 Noop.\r\n")
	w.hears("331 Password?\r\n230 Welcome.\r\n250 Done.\r\n250 Gone.\r\n200 Noop.\r\n")
	if got, want := strings.Join(asked, ", "), "USER in , PASS in , CWD in /, DELE in /in, NOOP in /in"; got != want {
		t.Errorf("asked %s, want %s", got, want)
	}
}
