package gateway

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"

	"towpath/ftp"
	"towpath/ftp/dialogue"
)

// What goes on to the server is one line, and begins with the verb that we have
// seen, to one who knows Telnet and to one who does not.
func FuzzLine(f *testing.F) {
	for _, s := range []string{"PORT 1,2,3,4,5,6\r\n", "pasv\n", "\xff\xf4\xf2ABOR\r\n", "PA\xff\xf1SV\r\n", "\xff\xfb\nPORT\r\n", "NOOP\rPORT\r\n", "a\x00b\n", "\xff\xffx\r\n", "\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		raw := []byte(text)
		if i := bytes.IndexByte(raw, '\n'); i >= 0 {
			raw = raw[:i]
		}
		raw = append(raw, '\n')
		l, err := readLine(raw)
		if err != nil {
			return
		}
		b := l.raw
		if b == nil {
			if b, err = l.command.Encode(); err != nil {
				return // it is refused
			}
		}
		if bytes.IndexByte(b, '\n') != len(b)-1 || bytes.ContainsAny(bytes.TrimSuffix(b, []byte("\r\n")), "\r\x00") {
			t.Fatalf("%q became %q", raw, b)
		}
		if blind := verb(string(trimEnd(b))); blind != l.command.Verb {
			t.Fatalf("%q: %s to us, %s to others", b, l.command.Verb, blind)
		}
	})
}

// Replies pass byte for byte, however they are cut, and each is what the reader
// of package ftp takes it for.
func FuzzReplies(f *testing.F) {
	for _, s := range []string{"220 a\r\n227-x\r\n 227 (1,2,3,4,5,6)\r\n227 y\n", "230-a\r\n\r\n230 b\r\n", "x\r\n200\r\n", "2", "211-\xff\xff\n211 \xff\xfb\x01z\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, src := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text))} {
			in := replies{in: &lines{src: src}}
			var passed []byte
			for {
				raw, r, err := in.next()
				if err != nil {
					if !errors.Is(err, io.EOF) && !errors.Is(err, ftp.ErrTooLong) && r.Code != 0 {
						t.Fatal(r, err)
					}
					break
				}
				passed = append(passed, raw...)
				if r.Code == 0 {
					continue
				}
				want, err := ftp.NewReader(bytes.NewReader(raw)).ReadReply()
				if err == nil && want.String() != r.String() {
					t.Fatalf("%q is %v to us and %v to others", raw, r, want)
				}
			}
			if !strings.HasPrefix(text, string(passed)) {
				t.Fatalf("%q became %q", text, passed)
			}
		}
	})
}

// One announcement in is one out, of the address that is told and of no other.
func FuzzAnnouncement(f *testing.F) {
	f.Add("PORT 192,0,2,1,195,80", false)
	f.Add("EPRT |2|2001:db8::1|50000|", true)
	f.Add("EPRT |2|::|50000|", true)
	f.Add("PASV", false)
	f.Add("EPSV 2", true)
	client4, client6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	told4, told6 := netip.MustParseAddrPort("198.51.100.7:51000"), netip.MustParseAddrPort("[2001:db8:1::7]:51000")
	f.Fuzz(func(t *testing.T, text string, six bool) {
		c, err := ftp.ParseCommand(text)
		if err != nil {
			return
		}
		client := client4
		if six {
			client = client6
		}
		w, refused := (&Options{}).readWish(c, client)
		if refused != nil {
			if refused.code < 400 || strings.ContainsAny(refused.text, "\r\n") {
				t.Fatal(refused)
			}
			return
		}
		if w.mode == dialogue.Active && (w.addr.Addr() != client || w.addr.Port() < 1024) {
			t.Fatalf("%q lets %v be called", text, w.addr)
		}
		for _, told := range []netip.AddrPort{told4, told6} {
			for _, mode := range []dialogue.Mode{dialogue.Active, dialogue.Passive} {
				o := offer(w.verb, mode, told.Addr(), told)
				if _, err := o.Encode(); err != nil {
					t.Fatal(o, err)
				}
				said := netip.AddrPort{}
				switch o.Verb {
				case "PORT":
					said, err = ftp.ParseHostPort(o.Arg)
				case "EPRT":
					said, err = ftp.ParseEPRT(o.Arg)
				}
				if err != nil || (mode == dialogue.Active) != (said == told) {
					t.Fatalf("%q became %v", text, o)
				}
			}
		}
		told := told4
		if six {
			told = told6
		}
		r := answer(w, told)
		if len(r.Lines) != 1 || (w.mode == dialogue.Active) != (r.Code == 200) {
			t.Fatalf("%q is answered %v", text, r)
		}
	})
}
