package ftpclient_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"towpath/ftpclient"
	"towpath/ftptest"
)

// TestMillionEntries are read in the memory of a few. It runs alone, since it
// looks at all memory.
func TestMillionEntries(t *testing.T) {
	for verb, test := range map[string]struct {
		line    string
		entries int
	}{
		"MLSD": {"type=file;size=7;modify=20240102030405; f%07d\r\n", 1_000_000},
		"LIST": {"-rw-r--r-- 1 u g 7 Jan  2  2024 f%07d\r\n", 100_000}, // ten times as slow under -race
	} {
		t.Run(verb, func(t *testing.T) {
			v := &villain{on: map[string]func(*peer, string){verb: func(p *peer, _ string) {
				var b bytes.Buffer
				for i := range 1000 {
					fmt.Fprintf(&b, test.line, i)
				}
				d := p.data("150 Coming.")
				for range test.entries / 1000 {
					_, _ = d.Write(b.Bytes()) // the client may be gone
				}
				_ = d.Close()
				p.say("226 Done.")
			}}}
			if verb == "MLSD" {
				v.features = []string{"MLST type*;size*;modify*;"}
			}
			c := visit(t, play(t, v))
			held := func() uint64 {
				runtime.GC()
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				return m.HeapAlloc
			}
			before, n := held(), 0
			for e, err := range c.List(testContext(t), "d") {
				if err != nil || e.Size != 7 {
					t.Fatalf("entry %d: %+v, %v", n, e, err)
				}
				if n++; n%(test.entries/4) == 0 {
					if now := held(); now > before+16<<20 {
						t.Fatalf("after %d entries %d MiB more are held", n, (now-before)>>20)
					}
				}
			}
			if n != test.entries {
				t.Errorf("%d entries, want %d", n, test.entries)
			}
		})
	}
}

// TestStalledPeer: nothing moves any more, and the connections stay up.
func TestStalledPeer(t *testing.T) {
	t.Parallel()
	v := play(t, &villain{content: "abc"})
	v.on = map[string]func(*peer, string){
		"RETR": func(p *peer, _ string) {
			d := p.data("150 Coming.")
			_, _ = io.WriteString(d, "a")
			_, _ = d.Read(make([]byte, 1)) // until the client cuts it
			_ = d.Close()
			p.say("426 You have left.")
		},
		"STOR": func(p *peer, _ string) {
			d := p.data("150 Go on.")
			if c, err := p.in.ReadCommand(); err != nil || c.Verb != "ABOR" {
				t.Errorf("during the stall came %v, %v; want ABOR", c, err)
			}
			_ = d.Close()
			p.say("426 Aborted.", "226 Done.")
		},
	}
	c := visit(t, v, func(o *ftpclient.Options) { o.StallTimeout = 300 * time.Millisecond })
	if got, err := fetch(t, c); got != "a" || !errors.Is(err, ftpclient.ErrStalled) {
		t.Errorf("download: %q, %v; want ErrStalled", got, err)
	}
	if _, err := c.Put(testContext(t), "f", bytes.NewReader(noise(64<<20))); !errors.Is(err, ftpclient.ErrStalled) {
		t.Errorf("upload: %v; want ErrStalled", err)
	}
	if n, err := c.Size(testContext(t), "f"); n != 3 || err != nil {
		t.Errorf("afterwards the size is %d, %v", n, err)
	}
}

// full is a place with room for so many bytes.
type full struct{ room int }

var errNoSpace = errors.New("no space left on device")

func (f *full) Write(p []byte) (int, error) {
	n := min(len(p), f.room)
	if f.room -= n; n < len(p) {
		return n, errNoSpace
	}
	return n, nil
}

// TestFullDiskHere: what is at fault is named, nothing is tried again, and the
// session goes on.
func TestFullDiskHere(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"big": strings.Repeat("x", 8<<20)}, ftptest.TLS)
	for name, o := range map[string]func(*ftpclient.Options){"clear": func(*ftpclient.Options) {}, "TLS": explicit, "MODE Z": deflated} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, ctx := login(t, s.Addr, o, func(o *ftpclient.Options) { o.Retries = 5 }), testContext(t)
			if n, err := c.Get(ctx, "big", &full{1 << 20}); n != 1<<20 || !errors.Is(err, errNoSpace) {
				t.Errorf("%d bytes, %v", n, err)
			}
			if n, err := c.Size(ctx, "big"); n != 8<<20 || err != nil {
				t.Errorf("afterwards the size is %d, %v", n, err)
			}
		})
	}
}
