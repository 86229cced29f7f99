package ftpclient_test

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"towpath/ftp"
	"towpath/ftpclient"
	"towpath/ftptest"
)

func deflated(o *ftpclient.Options) { o.Deflate = true }

// packed is s as one zlib stream.
func packed(s string) []byte {
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	_, _ = io.WriteString(z, s) // a Buffer never fails
	_ = z.Close()
	return b.Bytes()
}

// squeezing is a villain that speaks MODE Z only when it was agreed on, and
// sends what send gives for the bytes from rest on.
func squeezing(content string, send func(p *peer, d io.WriteCloser, rest string)) (*villain, *atomic.Int32) {
	var modes atomic.Int32
	v := &villain{content: content, features: []string{"MODE Z", "REST STREAM", "SIZE"}}
	v.on = map[string]func(*peer, string){
		"MODE": func(p *peer, arg string) {
			if p.deflate = arg == "Z"; p.deflate {
				modes.Add(1)
			}
			p.say("200 Fine.")
		},
		"RETR": func(p *peer, arg string) {
			if !p.deflate {
				p.right("RETR", arg)
				return
			}
			d := p.data("150 Coming.")
			rest := p.content[p.rest:]
			p.rest = 0
			send(p, d, rest)
		},
	}
	return v, &modes
}

// TestDeflate moves all that can be moved, compressed, to our own server and back.
func TestDeflate(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("a barge on the canal\n", 20_000)
	for name, o := range map[string]func(*ftpclient.Options){"clear": func(*ftpclient.Options) {}, "TLS": explicit} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := ftptest.Serve(t, ftptest.Files{"text": text, "empty": "", "part": text[:1000]}, ftptest.TLS)
			c, ctx := login(t, s.Addr, o, deflated), testContext(t)
			for _, test := range []struct {
				file, want string
				options    []ftpclient.GetOption
			}{
				{"text", text, nil},
				{"text", text, []ftpclient.GetOption{ftpclient.Verify()}},
				{"text", text, []ftpclient.GetOption{ftpclient.Text()}},
				{"text", text[70_000:], []ftpclient.GetOption{ftpclient.From(70_000)}},
				{"text", text[70_000:70_100], []ftpclient.GetOption{ftpclient.From(70_000), ftpclient.First(100)}},
				{"empty", "", nil},
			} {
				var got bytes.Buffer
				if n, err := c.Get(ctx, test.file, &got, test.options...); err != nil || n < int64(got.Len()) || got.String() != test.want {
					t.Errorf("got %d bytes, %v, want %d", got.Len(), err, len(test.want))
				}
			}
			var last int64
			if n, err := c.Put(ctx, "up", strings.NewReader(text), ftpclient.Verify(), ftpclient.Progress(func(n int64) { last = n })); err != nil || n != int64(len(text)) || last != n {
				t.Errorf("put %d bytes, %v, told %d", n, err, last)
			}
			if n, err := c.Put(ctx, "part", strings.NewReader(text), ftpclient.Resume()); err != nil || n != int64(len(text)-1000) {
				t.Errorf("resumed: %d bytes, %v", n, err)
			}
			if _, err := c.Put(ctx, "none", strings.NewReader("")); err != nil {
				t.Error(err)
			}
			if s.File("up") != text || s.File("part") != text || s.File("none") != "" {
				t.Error("what was put is not what is there")
			}
			n := 0
			for _, err := range c.List(ctx, "/") {
				if n++; err != nil {
					t.Error(err)
				}
			}
			if n != 5 {
				t.Errorf("%d entries, want 5", n)
			}
			f, err := c.Open(ctx, "text")
			if err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 50)
			for _, at := range []int64{300_000, 7} {
				if _, err := f.Seek(at, io.SeekStart); err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(f, b); err != nil || string(b) != text[at:at+50] {
					t.Errorf("at %d: %q, %v", at, b, err)
				}
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestDeflateFaults: what is not whole does not pass for whole, what swells is
// sent plainly, and who refuses MODE Z is left in peace.
func TestDeflateFaults(t *testing.T) {
	t.Parallel()
	content := string(noise(300_000))
	again := func(o *ftpclient.Options) {
		o.Retries = 2
		o.Backoff = func(int) time.Duration { return 0 }
	}
	whole := func(p *peer, d io.WriteCloser, rest string) {
		_, _ = d.Write(packed(rest)) // the client may be gone
		_ = d.Close()
		p.say("226 Done.")
	}

	t.Run("nothing for nothing", func(t *testing.T) {
		t.Parallel()
		v, _ := squeezing("", func(p *peer, d io.WriteCloser, _ string) { _ = d.Close(); p.say("226 Done.") })
		if got, err := fetch(t, visit(t, play(t, v), deflated)); got != "" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	})
	t.Run("cut", func(t *testing.T) {
		t.Parallel()
		var times atomic.Int32
		cut := func(p *peer, d io.WriteCloser, rest string) {
			if times.Add(1) > 1 {
				whole(p, d, rest)
				return
			}
			_, _ = d.Write(packed(rest)[:100_000])
			_ = d.Close()
			p.say("226 Done.") // it lies
		}
		v, _ := squeezing(content, cut)
		if got, err := fetch(t, visit(t, play(t, v), deflated, again)); got != content || err != nil {
			t.Errorf("with retries: %d bytes, %v", len(got), err)
		}
		times.Store(0)
		if _, err := fetch(t, visit(t, v, deflated)); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("without: %v, want an unexpected end", err)
		}
	})
	t.Run("damaged", func(t *testing.T) {
		t.Parallel()
		v, modes := squeezing(content, func(p *peer, d io.WriteCloser, rest string) {
			b := packed(rest)
			b[len(b)-1] ^= 1
			_, _ = d.Write(b)
			_ = d.Close()
			p.say("226 Done.")
		})
		c := visit(t, play(t, v), deflated)
		if _, err := fetch(t, c); err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("%v", err)
		}
		if got, err := fetch(t, c); got != content || err != nil || modes.Load() != 1 {
			t.Errorf("afterwards: %d bytes, %v, MODE Z %d times; want it plain", len(got), err, modes.Load())
		}
	})
	t.Run("swollen", func(t *testing.T) {
		t.Parallel()
		zeros := strings.Repeat("\x00", 8<<20)
		v, modes := squeezing(zeros, whole)
		c := visit(t, play(t, v), deflated)
		if got, err := fetch(t, c); got != zeros || err != nil || modes.Load() != 1 {
			t.Errorf("%d bytes, %v, MODE Z %d times", len(got), err, modes.Load())
		}
		// Without a place to go on from, it is refused.
		var got bytes.Buffer
		_, err := visit(t, v, deflated).Get(testContext(t), "f", &got, ftpclient.Text())
		if err == nil || got.Len() > 7<<20 {
			t.Errorf("as text: %d bytes, %v", got.Len(), err)
		}
	})
	t.Run("endless", func(t *testing.T) {
		t.Parallel()
		v, _ := squeezing("abc", func(p *peer, d io.WriteCloser, rest string) {
			_, err := d.Write(packed(rest))
			for err == nil {
				_, err = d.Write(make([]byte, 1<<16))
			}
			_ = d.Close()
			p.say("426 You have left.")
		})
		if got, err := fetch(t, visit(t, play(t, v), deflated)); got != "abc" || err == nil {
			t.Errorf("got %q, %v", got, err)
		}
	})
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		v, modes := squeezing("abc", whole)
		v.on["MODE"] = func(p *peer, _ string) { modes.Add(1); p.say("504 Not today.") }
		c := visit(t, play(t, v), deflated)
		for range 2 {
			if got, err := fetch(t, c); got != "abc" || err != nil || modes.Load() != 1 {
				t.Errorf("got %q, %v, asked %d times", got, err, modes.Load())
			}
		}
	})
	t.Run("no room", func(t *testing.T) {
		t.Parallel()
		v, modes := squeezing("abc", func(p *peer, d io.WriteCloser, _ string) {
			_ = d.Close()
			p.say("450 Too many transfers in MODE Z.")
		})
		if got, err := fetch(t, visit(t, play(t, v), deflated, again)); got != "abc" || err != nil || modes.Load() != 1 {
			t.Errorf("got %q, %v, MODE Z %d times", got, err, modes.Load())
		}
		_, err := fetch(t, visit(t, v, deflated))
		if e, ok := errors.AsType[*ftp.Error](err); !ok || e.Reply.Code != 450 {
			t.Errorf("without retries: %v", err)
		}
	})
	t.Run("listing", func(t *testing.T) {
		t.Parallel()
		v, _ := squeezing("", nil)
		v.features = append(v.features, "MLST type*;")
		v.on["MLSD"] = func(p *peer, _ string) {
			var b strings.Builder
			for i := range 1000 {
				fmt.Fprintf(&b, "type=file; f%d\r\n", i)
			}
			d := p.data("150 Coming.")
			_, _ = d.Write(packed(b.String()))
			_ = d.Close()
			p.say("226 Done.")
		}
		n := 0
		for e, err := range visit(t, play(t, v), deflated).List(testContext(t), "") {
			if err != nil || e.Name != fmt.Sprintf("f%d", n) {
				t.Fatalf("entry %d: %+v, %v", n, e, err)
			}
			n++
		}
		if n != 1000 {
			t.Errorf("%d entries, want 1000", n)
		}
	})
}
