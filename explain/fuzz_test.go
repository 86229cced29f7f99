package explain

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"towpath/capture"
	"towpath/internal/words"
)

// file is a tape as a file of pcapng.
func (p *tape) file(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	w := capture.NewWriter(&b)
	for i := range p.packets {
		if err := w.Write(&p.packets[i]); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// Whatever a file holds, there is a story or an error.
func FuzzExplain(f *testing.F) {
	for _, dialogue := range []string{
		login + "C: PASV\nS: 227 ok (198,51,100,2,195,80).\nC: RETR a\nD: client 198.51.100.2:50000 server 3000\nS: 226 done",
		"S: 220 ready\nC: AUTH TLS\nS: 234 go\nC: \x16\x03\x01\x00\x01x\nD: client 198.51.100.2:50000 server 10",
		"C: PORT 10,0,0,7,195,80\nS: 500 no",
	} {
		p := newTape()
		w := p.dial(clientAt, serverAt).open()
		w.talk(&testing.T{}, dialogue)
		w.close(0)
		f.Add(p.file(f))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		src, err := capture.NewReader(bytes.NewReader(b), "fuzz")
		if err != nil {
			return
		}
		teller := NewTeller(Options{Hash: true})
		if err := teller.Read(t.Context(), src, "fuzz"); err != nil {
			return
		}
		checkStory(t, teller.Story())
		heard(t, b, true)
	})
}

// Whatever is said, the story holds together, can be told again, and in every
// language. Each line of the dialogue begins with C, S, c or s: the small ones
// have no end of line, and what follows them goes on.
func FuzzDialogue(f *testing.F) {
	f.Add("S220 ready\nCUSER anna\nS331 x\nCPASS hidden\nS230 ok\nCPASV\nS227 (198,51,100,2,195,80)\nCRETR a\nS150 x\nS226 x")
	f.Add("S220 x\nCAUTH TLS\nS234 x\nc\x16\x03\x01\x00\x01x\ns\x15\x03\x01\x00\x02xx\nCPASV\nS227 1,2,3,4,5,6")
	f.Add("CPORT 1,2,3,4,5,6\nCPORT 1,2\nCEPRT |2|::1|5|\nS200\nS200\nS999 x\nSnothing\nCLIST\nS125 x\nCABOR\nS426 x\nS226 x")
	f.Add("S220-\n220 x\nCREIN\nS220 x\nCSTOU\nS150 FILE: \x00\x1b[31m\nS250 x\nCQUIT\nS221 x")
	f.Fuzz(func(t *testing.T, dialogue string) {
		p := newTape()
		w := p.dial(clientAt, serverAt).open()
		n := 0
		for line := range strings.Lines(dialogue) {
			if n++; n > 100 {
				break
			}
			line = strings.TrimSuffix(line, "\n")
			if line == "" {
				continue
			}
			text, end := line[1:], 0
			if line[0] == 'S' || line[0] == 's' {
				end = 1
			}
			if line[0] == 'S' || line[0] == 'C' {
				text += "\r\n"
			}
			w.say(end, text)
		}
		w.dial(clientAt, "198.51.100.2:50000").open().close(0)
		w.close(1)
		teller := NewTeller(Options{})
		if err := teller.Read(t.Context(), p, "fuzz"); err != nil {
			t.Fatal(err)
		}
		s := teller.Story()
		checkStory(t, s)
		first := brief(s)
		again := teller.Story()
		if second := brief(again); first != second {
			t.Errorf("told again it is another story:\n%s\nwas\n%s", second, first)
		}
		for _, x := range again.In(words.Japanese).Sessions {
			for _, c := range x.Commands {
				if strings.ContainsAny(c.Arg+c.Verb, "\x00\x1b\x07\r\n") || strings.ContainsAny(c.Reply, "\x00\x1b\x07\r") {
					t.Errorf("%+v could drive a terminal", c)
				}
			}
		}
	})
}

// Captures that were damaged are told as far as they can be.
func TestDamaged(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("testdata", "captures", "*.pcap"))
	if err != nil || len(files) < 10 {
		t.Fatalf("%d captures: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			whole, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for seed := range uint64(40) {
				r := rand.New(rand.NewPCG(seed, uint64(len(whole))))
				b := bytes.Clone(whole)
				for range 1 + r.IntN(50) {
					b[24+r.IntN(len(b)-24)] = byte(r.IntN(256))
				}
				if r.IntN(3) == 0 {
					b = b[:24+r.IntN(len(b)-24)]
				}
				src, err := capture.NewReader(bytes.NewReader(b), file)
				if err != nil {
					t.Fatal(err)
				}
				teller := NewTeller(Options{Hash: true})
				if err := teller.Read(t.Context(), src, file); err != nil {
					t.Fatal(err)
				}
				if checkStory(t, teller.Story()); t.Failed() {
					t.Fatalf("with seed %d", seed)
				}
			}
		})
	}
}
