package view_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"towpath/capture"
	"towpath/explain"
	"towpath/explain/view"
	"towpath/internal/words"
)

// many are sessions of all kinds, of which seven are open at once and end in
// another order than they began.
func many(w *wire) {
	var open []func()
	for i := range 300 {
		c := w.dial(netip.AddrPortFrom(netip.MustParseAddr(client), uint16(20000+i)).String(), server+":21")
		port := 30000 + i
		say := func(lines ...string) { open = append(open, func() { c.talk(lines...) }) }
		pasv := func() {
			say("C: PASV", fmt.Sprintf("S: 227 Entering Passive Mode (198,51,100,2,%d,%d).", port>>8, port&255))
		}
		switch i % 11 {
		case 0, 1, 2: // nothing but a login
			open = append(open, func() { login(c) })
		case 3, 4, 5, 6: // a file, whole or aborted
			say("S: 220 ftp.example.org", "C: USER "+fmt.Sprint("bob", i), "S: 331 Password?", "C: PASS sesame", "S: 230 Hello")
			pasv()
			open = append(open, func() {
				c.talk("C: RETR sea.txt", "S: 150 Here it comes")
				d := w.dial(fmt.Sprintf("%s:%d", client, port), fmt.Sprintf("%s:%d", server, port))
				d.packet(true, capture.PSH|capture.ACK, "0123456789")
				if i%4 == 0 {
					d.packet(true, capture.RST|capture.ACK, "")
					c.talk("S: 426 Broken")
					return
				}
				d.packet(true, capture.FIN|capture.ACK, "")
				c.talk("S: 226 Done")
				open = append(open, func() { d.packet(false, capture.FIN|capture.ACK, "") })
			})
		case 7: // nobody lets it in
			say("S: 220 ftp.example.org", "C: USER eve", "S: 331 Password?", "C: PASS guess", "S: 530 No")
		case 8: // no such file
			open = append(open, func() { login(c) })
			say("C: RETR none", "S: 550 No such file", "C: RETR none", "S: 550 No such file")
		case 9: // a server that names its inside address
			open = append(open, func() { login(c) })
			say("C: PASV", "S: 227 Entering Passive Mode (10,0,0,5,195,80).")
			open = append(open, func() { w.unanswered(fmt.Sprintf("%s:%d", client, port), "10.0.0.5:50000", 1) })
		default: // it never ends
			open = append(open, func() { login(c) })
			continue
		}
		say("C: QUIT", "S: 221 Bye")
		open = append(open, c.close)
		if i%7 == 6 {
			if i%2 == 0 {
				open = apart(open)
			}
			for i := 0; i < len(open); i++ { // it may grow
				open[i]()
			}
			open = nil
		}
	}
	for _, f := range open {
		f()
	}
}

// apart plays the second half of the steps before the first: servers may speak
// unasked, and the file come before its command.
func apart(steps []func()) []func() {
	n := len(steps) / 2
	return slices.Concat(steps[n:], steps[:n])
}

// What is told of sessions that were let go is what is told when all are kept.
func TestDigest(t *testing.T) {
	t.Parallel()
	var digest view.Digest
	file := record(t, many)
	all, err := explain.Explain(t.Context(), []string{file}, explain.Options{})
	if err != nil {
		t.Fatal(err)
	}
	few, err := explain.Explain(t.Context(), []string{file}, explain.Options{Told: digest.Told})
	if err != nil {
		t.Fatal(err)
	}
	if a, b := len(all.Sessions), len(few.Sessions); a != 300 || b > 220 || b < 40 {
		t.Errorf("%d sessions, %d of them kept", a, b)
	}
	for _, l := range []words.Lang{words.English, words.Japanese} {
		want, got := view.New(all, l), view.New(few, l).With(&digest)
		if d := cmp.Diff(text(t, func(b *strings.Builder) error { return want.WriteText(b) }), text(t, func(b *strings.Builder) error { return got.WriteText(b) })); d != "" {
			t.Errorf("%v: -all +few\n%s", l, d)
		}
		if want.Works() || got.Works() {
			t.Error("nothing failed")
		}
	}
}

// What is urgent without being an error is told of a session that came late, too.
func TestDigestUrgent(t *testing.T) {
	t.Parallel()
	file := record(t, func(w *wire) {
		for i := range 60 {
			c := w.dial(netip.AddrPortFrom(netip.MustParseAddr(client), uint16(20000+i)).String(), server+":21")
			login(c)
			if i >= 55 {
				c.talk("C: PORT 203,0,113,9,0,25", "S: 200 OK")
			}
			c.talk("C: QUIT", "S: 221 Bye")
			c.close()
		}
	})
	var digest view.Digest
	few, err := explain.Explain(t.Context(), []string{file}, explain.Options{Told: digest.Told})
	if err != nil {
		t.Fatal(err)
	}
	all, err := explain.Explain(t.Context(), []string{file}, explain.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := text(t, func(b *strings.Builder) error { return view.New(all, words.English).WriteText(b) })
	got := text(t, func(b *strings.Builder) error { return view.New(few, words.English).With(&digest).WriteText(b) })
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-all +few\n%s", d)
	}
	if len(few.Sessions) == len(all.Sessions) {
		t.Error("none was let go")
	}
}
