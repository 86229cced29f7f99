package ftpclient

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"towpath/ftp"
)

// nopConn is no connection.
type nopConn struct{ net.Conn }

func (nopConn) RemoteAddr() net.Addr { return nil }
func (nopConn) LocalAddr() net.Addr  { return nil }

func TestParseDigest(t *testing.T) {
	t.Parallel()
	sum := strings.Repeat("0f", 32)
	for _, test := range []struct {
		reply ftp.Reply
		size  int
		want  string
	}{
		{ftp.NewReply(213, "SHA-256 0-49 "+sum+" sea.txt"), 32, sum},
		{ftp.NewReply(250, sum), 32, sum},
		{ftp.NewReply(250, "\"sea.txt\" "+strings.ToUpper(sum)), 32, sum},
		{ftp.NewReply(250, "ABCDEF"), 4, "00abcdef"},
		{ftp.NewReply(250, "XCRC\nABCDEF01"), 4, "abcdef01"},
		{ftp.NewReply(250, sum[2:]), 32, ""},
		{ftp.NewReply(250, "Command okay."), 4, ""},
		{ftp.NewReply(250, ""), 4, ""},
	} {
		got, err := parseDigest(test.reply, test.size)
		if hex.EncodeToString(got) != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%v: %x, %v, want %s", test.reply, got, err, test.want)
		}
	}
}

func FuzzParseDigest(f *testing.F) {
	f.Add("SHA-256 0-49 ", "sea.txt")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, before, after string) {
		if got, err := parseDigest(ftp.NewReply(250, before+" "+after), 4); err == nil && len(got) != 4 {
			t.Fatalf("%d bytes", len(got))
		}
		sum := sha256.Sum256([]byte(before))
		got, err := parseDigest(ftp.NewReply(213, "SHA-256 0-1 "+hex.EncodeToString(sum[:])+" "+after), len(sum))
		if err != nil || [32]byte(got) != sum {
			t.Fatalf("%x, %v", got, err)
		}
	})
}

// FuzzDeliver: whatever comes, a reply answers one command or ends the session,
// and no command is answered twice.
func FuzzDeliver(f *testing.F) {
	f.Add([]byte{0, 1, 10, 11, 12}, []byte{15, 20, 22, 22, 20})
	f.Add([]byte{0, 1, 2}, []byte{15, 50, 42, 22})
	codes := map[byte]int{10: 120, 15: 150, 20: 200, 22: 226, 25: 250, 42: 421, 46: 426, 50: 500, 55: 550}
	f.Fuzz(func(t *testing.T, commands, replies []byte) {
		s := newSession(&Options{}, "test", "21", nopConn{})
		all := make([]*answer, 0, len(commands))
		for _, c := range commands {
			a := &answer{what: purpose(c % 3), begun: make(chan struct{}), done: make(chan struct{})}
			all = append(all, a)
			s.queue = append(s.queue, a)
		}
		finals := 0
		for _, b := range replies {
			code := codes[b]
			if code == 0 {
				code = 100 + int(b)*2%500
			}
			owed := len(s.queue)
			err := s.deliver(ftp.NewReply(code, "x"))
			if (err != nil) != (owed == 0 || code == 421) {
				if !(code/100 == 1 && owed > 0) {
					t.Fatalf("%d with %d owed: %v", code, owed, err)
				}
			}
			if err == nil && code/100 != 1 {
				finals++
			} else if err != nil && owed > 0 {
				finals++
			}
			if errors.Is(err, ErrUnsolicited) && owed > 0 {
				t.Fatalf("%d was not asked for, and %d are owed", code, owed)
			}
		}
		done := 0
		for _, a := range all {
			select {
			case <-a.done:
				done++
			default:
			}
		}
		if done != finals || done+len(s.queue) != len(all) {
			t.Fatalf("%d finals, %d answered, %d owed of %d", finals, done, len(s.queue), len(all))
		}
	})
}

// FuzzUnveiled: what comes in clear behind the end of TLS is read whole, and none
// of what comes before it.
func FuzzUnveiled(f *testing.F) {
	f.Add(byte(0), []byte("x"), "220 Hi.\r\n")
	f.Add(byte(2), []byte{1, 0}, "220 Hi.\r\n")
	f.Fuzz(func(t *testing.T, n byte, body []byte, text string) {
		if text == "" || text[0] < ' ' || len(body) > 1<<14 {
			return
		}
		var wire []byte
		for range n % 4 {
			wire = append(wire, 21, 3, 3, byte(len(body)>>8), byte(len(body)))
			wire = append(wire, body...)
		}
		u := &unveiled{in: bufio.NewReader(iotest.OneByteReader(bytes.NewReader(append(wire, text...))))}
		if got, err := io.ReadAll(u); string(got) != text || err != nil {
			t.Fatalf("%q, %v, want %q", got, err, text)
		}
	})
}

func TestDifference(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		truth := time.Unix(rapid.Int64Range(0, 1<<32).Draw(t, "truth"), 0).UTC()
		zone := time.Duration(rapid.IntRange(-14*4, 14*4).Draw(t, "quarters")) * 15 * time.Minute
		if got, ok := difference(truth.Truncate(time.Minute).Add(zone), truth); !ok || got != zone {
			t.Fatalf("%v, %v, want %v", got, ok, zone)
		}
		changed := time.Duration(rapid.IntRange(2, 12).Draw(t, "minutes")) * time.Minute
		if got, ok := difference(truth.Truncate(time.Minute).Add(zone+changed), truth); ok {
			t.Fatalf("a file changed %v later gives the zone %v", changed, got)
		}
	})
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(-1, 1000).Draw(t, "n")
		if d := backoff(n); d < time.Second/2 || d > 30*time.Second {
			t.Fatalf("before retry %d: %v", n, d)
		}
	})
}

// TestCalm: eight that want in, and a server that turns three attempts away.
func TestCalm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := &calm{backoff: func(n int) time.Duration { return time.Duration(n) * time.Second }}
		var mu sync.Mutex
		var when []time.Duration // attempts
		begun := time.Now()
		away := &ftp.Error{Reply: ftp.NewReply(421, "Not now.")}
		attempt := func() error {
			mu.Lock()
			defer mu.Unlock()
			when = append(when, time.Since(begun))
			if len(when) <= 3 {
				return away
			}
			return nil
		}
		if err := k.dial(t.Context(), attempt); err != away {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for {
					if err := k.dial(t.Context(), attempt); err == nil {
						return
					} else if err != away {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		// After 1 and 2 seconds one is turned away for all; after 3 more all enter.
		want := []time.Duration{0, 1 * time.Second, 3 * time.Second}
		for range 8 {
			want = append(want, 6*time.Second)
		}
		if !slices.Equal(when, want) {
			t.Errorf("attempts at %v, want %v", when, want)
		}

		// Who gives up waiting leaves the attempt to the next.
		k.faults, k.until = 1, time.Now().Add(time.Hour)
		ctx, cancel := context.WithCancel(t.Context())
		gone := make(chan error, 1)
		go func() { gone <- k.dial(ctx, attempt) }()
		synctest.Wait()
		wg.Go(func() {
			if err := k.dial(t.Context(), attempt); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		cancel()
		if err := <-gone; !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		wg.Wait()
	})
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]Options{
		"first port":    {ActivePorts: PortRange{5, 4}},
		"1 to 65535":    {ActivePorts: PortRange{0, 4}},
		"want Plain":    {TLS: 7},
		"TLS is Plain":  {ClearControl: true},
		"want auto":     {Mode: -1},
		"is left":       {Mode: Active, Avoid: []Mode{EPRT, PORT}},
		"CR, LF or NUL": {User: "a\r\nDELE b"},
	} {
		if _, err := o.check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", o, err, want)
		}
	}
}

// FuzzDeflate: what was deflated is inflated again, however it is cut into
// pieces, and nothing that comes makes more of itself than it may.
func FuzzDeflate(f *testing.F) {
	f.Add([]byte("a barge on the canal"), uint16(3), false)
	f.Add([]byte{}, uint16(0), false)
	f.Add([]byte{0x78, 0x9c, 0x4b, 0x04, 0, 0, 0x62, 0, 0x62}, uint16(1), true)
	f.Fuzz(func(t *testing.T, p []byte, piece uint16, raw bool) {
		a, b := net.Pipe()
		pair := func(c net.Conn) *transfer {
			return &transfer{s: newSession(&Options{StallTimeout: time.Minute}, "test", "21", nopConn{}), answer: &answer{}, data: &dataConn{tcp: c, conn: c}}
		}
		from, to := pair(a), pair(b)
		go func() {
			defer a.Close()
			if raw {
				_, _ = a.Write(p) // the reader may have had enough
				return
			}
			out := newDeflater(from)
			for rest := p; len(rest) > 0; {
				n, err := out.write(t.Context(), rest[:min(len(rest), int(piece)+1)])
				if err != nil {
					t.Error(err)
					return
				}
				rest = rest[n:]
			}
			if err := out.end(t.Context()); err != nil {
				t.Error(err)
			}
		}()
		to.in = newInflater(to)
		var got []byte
		var err error
		for buf := make([]byte, int(piece)+1); err == nil; {
			var n int
			n, err = to.read(t.Context(), buf)
			got = append(got, buf[:n]...)
		}
		_ = b.Close()
		if !raw && (err != io.EOF || !bytes.Equal(got, p)) {
			t.Fatalf("%d of %d bytes, %v", len(got), len(p), err)
		}
		if len(got) > swell+mostInflated*len(p)+int(piece)+1 {
			t.Fatalf("%d bytes came out of %d", len(got), len(p))
		}
	})
}

// A 150 that came together with the end of the session has come: the data that it
// speaks of may be whole.
func TestBegunAtTheEnd(t *testing.T) {
	t.Parallel()
	s := &session{set: &Options{}, dead: make(chan struct{}), err: io.EOF}
	close(s.dead)
	a := &answer{begun: make(chan struct{}), done: make(chan struct{})}
	close(a.begun)
	for range 100 { // which of the two is seen first is left to chance
		if err := s.opening(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
}
