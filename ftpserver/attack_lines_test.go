package ftpserver_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"towpath/ftpserver"
	"towpath/ftptest"
	"towpath/storage/mem"
)

// Each line that is not empty has exactly one answer, whatever it holds; what
// others take for an end of line is none.
func TestHostileLines(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 5000)
	for name, test := range map[string]struct {
		sent  string
		codes []int
	}{
		"LF alone":           {"NOOP\nNOOP\n", []int{200, 200}},
		"CR alone":           {"NOOP\rDELE a\r\n", []int{500}},
		"CR CR LF":           {"NOOP\r\r\n", []int{500}},
		"NUL":                {"DELE a\x00b\r\n", []int{500}},
		"empty":              {"\r\n\n\r\nNOOP\r\n", []int{200}},
		"blank":              {" \r\n", []int{500}},
		"leading blank":      {" NOOP\r\n", []int{500}},
		"tab":                {"NOOP\tx\r\n", []int{500}},
		"IAC IAC":            {"CWD \xff\xff\r\n", []int{550}},
		"IAC at the end":     {"NOOP\xff\r\nNOOP\r\n", []int{500, 200}},
		"IAC IP, IAC DM":     {"\xff\xf4\xff\xf2ABOR\r\n", []int{226}},
		"IAC WILL eats":      {"\xff\xfb\x01NOOP\r\n", []int{200}},
		"only IAC":           {strings.Repeat("\xff", 9000) + "\r\nNOOP\r\n", []int{500, 200}},
		"8 bits":             {"CWD \xe4\xf6\xfc\r\n", []int{550}},
		"8 bits in the verb": {"N\xd6\xd6P\r\n", []int{500}},
		"a reply":            {"226 Transfer complete.\r\n", []int{500}},
		"too long":           {long + "\r\nNOOP\r\n", []int{500, 200}},
		"too long argument":  {"CWD " + long + "\r\nNOOP\r\n", []int{500, 200}},
		"as long as may be":  {"CWD " + long[:4092] + "\r\nNOOP\r\n", []int{550, 200}},
		"U+2028":             {"CWD a\u2028DELE a\r\n", []int{550}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := ftptest.Serve(t, ftptest.Files{"a": "a"})
			c := s.Login()
			if _, err := io.WriteString(c.Conn, test.sent+"SYST\r\n"); err != nil {
				t.Fatal(err)
			}
			for i, code := range append(test.codes, 215) {
				if r := c.Reply(); r.Code != code {
					t.Fatalf("answer %d is %v, want %d", i, r, code)
				}
			}
			s.File("a") // is still there
		})
	}
}

// A line that is cut by the end of the connection is not carried out.
func TestNoEndOfLine(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"a": "a"})
	c := s.Login()
	if _, err := io.WriteString(c.Conn, "DELE a"); err != nil {
		t.Fatal(err)
	}
	if err := c.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	c.ExpectEOF()
	s.File("a")
}

// A line without end costs no more memory than the longest that is allowed.
func TestOverlongLine(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, nil)
	c := s.Login()
	piece := bytes.Repeat([]byte{'x'}, 1<<20)
	for range 16 {
		if _, err := c.Conn.Write(piece); err != nil {
			t.Fatal(err)
		}
	}
	c.Do("", 500) // one answer for all of it
	c.Do("NOOP", 200)
}

// What needs no login costs something as well.
func TestCommandsBeforeLoginAreCounted(t *testing.T) {
	t.Parallel()
	for _, line := range []string{"NOOP", "FEAT", "HOST a", "REIN", "CLNT x", "AUTH KERBEROS", "RETR a", "XYZZY", "USER a", "PASS", ""} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			s := ftptest.Serve(t, nil, ftptest.TLS)
			c := s.Dial()
			c.Expect(220)
			for range 100 {
				c.Send(line)
				if line == "" {
					continue
				}
				if r := c.Reply(); r.Code == 421 {
					t.Fatalf("S: %v, too early", r)
				}
			}
			c.Do("NOOP", 421)
			c.ExpectEOF()
		})
	}
	t.Run("a login starts anew", func(t *testing.T) {
		t.Parallel()
		s := ftptest.Serve(t, nil)
		c := s.Login()
		for range 150 {
			c.Do("NOOP", 200)
		}
		c.Do("REIN", 220)
		for range 90 {
			c.Do("NOOP", 200)
		}
	})
}

// A browser that somebody else's page makes speak to us is shown the door.
func TestHTTPVerbs(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, nil)
	for _, line := range []string{
		"GET / HTTP/1.1", "POST / HTTP/1.1", "HEAD / HTTP/1.0", "PUT / HTTP/1.1",
		"OPTIONS * HTTP/1.1", "CONNECT a:21 HTTP/1.1", "PRI * HTTP/2.0", "get / HTTP/1.1",
	} {
		c := s.Dial()
		c.Expect(220)
		if _, err := io.WriteString(c.Conn, line+"\r\nHost: a\r\n\r\nUSER test\r\nPASS secret\r\n"); err != nil {
			t.Fatal(err)
		}
		c.Expect(500)
		c.ExpectEOF()
	}
}

func TestStrictNumbers(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"a": "0123456789"})
	c := s.Login()
	lines := map[string]int{
		"RANG 5 1": 501, "RANG -1 5": 501, "RANG 0 9223372036854775808": 501,
		"XCRC a -1 5": 550, // "-1" is no number, so the name is "a -1 5"
		"XCRC a 0 11": 501, "XCRC a 11": 501,
		"MDTM 20260230000000 a": 550, // no such day, so no such file
		"SITE CHMOD 8 a":        501, "SITE CHMOD -1 a": 501, "SITE CHMOD +7 a": 501, "SITE CHMOD 77777 a": 501,
		"SITE IDLE -1": 501, "SITE IDLE 99999999999999999999": 501, "SITE IDLE 0": 501,
		"OPTS MODE Z LEVEL 10": 501, "OPTS MODE Z LEVEL -1": 501,
		"PBSZ -1": 503, "TYPE L 9": 504, "TYPE L 8589934600": 504,
	}
	for _, n := range []string{"-1", "+1", "1 0", "0x10", "1e3", "1_000", "1.5", "9223372036854775808", "18446744073709551615", "99999999999999999999999", "NaN", "\xd9\xa1"} {
		lines["REST "+n] = 501
		lines["ALLO "+n] = 501
	}
	for _, when := range []string{"20260230000000", "20261301000000", "-0260101000000", "20260101240000", "2026010100000", "202601010000000", "+2026010100000", "20260101000000.", "2026010100 000"} {
		lines["MFMT "+when+" a"] = 501
		lines["MFF modify="+when+"; a"] = 501
		lines["SITE UTIME "+when+" a"] = 501
	}
	codes(t, c, lines)
	c.Do("REST 9223372036854775807", 350)
	c.Passive()
	c.Do("RETR a", 554)
	c.Do("REST 11", 350)
	c.Passive()
	c.Do("STOR a", 554)
	c.Do("REST 9223372036854775807", 350)
	c.Passive()
	c.Do("STOR new", 554)
	if got := s.File("a"); got != "0123456789" {
		t.Errorf("a holds %q", got)
	}
}

// safeBuffer can be written and read at the same time.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) Close() error { return nil }

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// watched keeps the log and the transcripts.
func watched(log, transcript io.WriteCloser) ftptest.Option {
	return func(o *ftpserver.Options) {
		o.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		o.Transcript = func(uint64, netip.AddrPort) io.WriteCloser { return transcript }
	}
}

// However the password comes, it is in no log and in no transcript.
func TestSecretsStaySecret(t *testing.T) {
	t.Parallel()
	const secret = "Hunter2Hunter2"
	var log, transcript safeBuffer
	s := ftptest.Serve(t, ftptest.Files{"a": "a"}, watched(&log, &transcript))
	for _, line := range []string{
		"PASS " + secret, "pass " + secret, "Pass  " + secret, " PASS " + secret, "PASS\t" + secret,
		"PASS" + secret, "PAS " + secret, "PASSS " + secret, "PASD " + secret, "ACCT " + secret,
		secret, secret + " ", "PASS " + secret + "\x00", "PASS " + secret + "\r", "XPAS " + secret,
		"SITE PSWD old " + secret, "site passwd " + secret, "\xff\xf4PASS " + secret,
		"PASS " + secret + strings.Repeat("x", 5000), "PASSWORD " + secret, "P@SW " + secret,
	} {
		c := s.Dial()
		c.Expect(220)
		c.Do("USER test", 331)
		c.Send(line)
		c.Reply()
		c.Do("QUIT", 221)
		c.ExpectEOF()
		if out := log.String() + transcript.String(); strings.Contains(strings.ToLower(out), "hunter2hunter2") {
			t.Fatalf("after %q the secret is in:\n%s", line, out)
		}
	}
	if !strings.Contains(log.String(), "login failed") || !strings.Contains(transcript.String(), "C: USER test") {
		t.Errorf("log and transcript are not kept:\n%s\n%s", log.String(), transcript.String())
	}
}

// What clients send cannot forge lines of the log, nor speak to a terminal.
func TestLogInjection(t *testing.T) {
	t.Parallel()
	var log, transcript safeBuffer
	s := ftptest.Serve(t, ftptest.Files{"a": "a"}, watched(&log, &transcript), func(o *ftpserver.Options) {
		o.Login = func(_ context.Context, l ftpserver.Login) (*ftpserver.User, error) {
			if l.Password == "wrong" {
				return nil, errors.Join(ftpserver.ErrRefused, errors.New(l.Name))
			}
			return &ftpserver.User{Name: l.Name, Root: mem.New(map[string]string{"a": "a"}), Rights: func(string) ftpserver.Rights { return ftpserver.All | ftpserver.Admin }}, nil
		}
	})
	const hostile = "\x1b]0;x\x07\x1b[2J\x08\x7f\u009b31m"
	c := s.Dial()
	c.Expect(220)
	for _, line := range []string{
		"USER " + hostile, "PASS wrong", "USER " + hostile, "PASS " + hostile,
		"CLNT " + hostile, "HOST " + hostile, hostile, "XYZ" + hostile, "XYZ " + hostile,
		"CWD " + hostile, "RETR " + hostile, "MKD " + hostile, "RNFR " + hostile, "SITE " + hostile, "SITE CHMOD 644 " + hostile,
		"SITE WHO", "STAT", "PWD", "HELP " + hostile, "OPTS " + hostile, "MFMT 20260101000000 " + hostile, "COMB a " + hostile,
	} {
		c.Send(line)
		for _, text := range c.Reply().Lines {
			if i := strings.IndexFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }); i >= 0 {
				t.Errorf("C: %q\nS: %q holds a control byte", line, text)
			}
		}
	}
	c.Passive()
	c.Do("STOR "+hostile, 553)
	c.Do("QUIT", 221)
	c.ExpectEOF()
	for what, out := range map[string]string{"log": log.String(), "transcript": transcript.String()} {
		if i := strings.IndexFunc(out, func(r rune) bool { return r < ' ' && r != '\n' || 0x7f <= r && r < 0xa0 }); i >= 0 {
			t.Errorf("the %s holds a control byte: %q", what, out[max(0, i-80):min(len(out), i+20)])
		}
		if !strings.Contains(out, "x1b") {
			t.Errorf("the %s does not show what came:\n%s", what, out)
		}
	}
}
