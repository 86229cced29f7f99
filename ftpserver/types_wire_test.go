package ftpserver_test

import (
	"bytes"
	"compress/zlib"
	"io"
	"strings"
	"testing"

	"towpath/ftpserver"
	"towpath/ftptest"
)

func TestTypes(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"unix": "one\ntwo\n", "dos": "one\r\ntwo\r\n", "cr": "a\rb\n", "open": "one\ntwo", "empty": ""})
	s.Talk(t, `
		C: TYPE A
		S: 200
		C: RETR unix
		S: 150
		D: one\r\ntwo\r\n
		S: 226
		C: SIZE unix
		S: 213 10
		C: RETR dos
		S: 150
		D: one\r\ntwo\r\n
		S: 226
		C: SIZE dos
		S: 213 10
		C: RETR cr
		S: 150
		D: a\rb\r\n
		S: 226
		C: RETR open
		S: 150
		D: one\r\ntwo
		S: 226
		C: RETR empty
		S: 150
		S: 226
		C: SIZE empty
		S: 213 0
		C: TYPE I
		S: 200
		C: SIZE unix
		S: 213 8
		C: RETR unix
		S: 150
		D: one\ntwo\n
		S: 226
		C: TYPE L 8
		S: 200
		C: RETR dos
		S: 150
		D: one\r\ntwo\r\n
		S: 226
		C: TYPE A N
		S: 200
		C: STOR new
		S: 150
		D: one\r\ntwo\rthree\nfour\r
		S: 226
		C: type i
		S: 200
		C: RETR new
		S: 150
		D: one\ntwo\rthree\nfour\r
		S: 226
		C: TYPE E
		S: 504
		C: TYPE A T
		S: 504
		C: TYPE A C
		S: 504
		C: TYPE L 7
		S: 504
		C: TYPE X
		S: 504
		C: STRU P
		S: 504
		C: STRU F
		S: 200
		C: MODE B
		S: 504
		C: MODE C
		S: 504
		C: MODE S
		S: 200`)
}

// TestRestartInASCII: REST counts the bytes of the wire (RFC 3659 5).
func TestRestartInASCII(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"a": "one\ntwo\n"})
	s.Talk(t, `
		C: TYPE A
		S: 200
		C: REST 5
		S: 350
		C: RETR a
		S: 150
		D: two\r\n
		S: 226
		C: REST 10
		S: 350
		C: RETR a
		S: 150
		S: 226
		C: REST 11
		S: 350
		C: RETR a
		S: 554 REST 11 is beyond the end of the file: 10 bytes in ASCII.
		C: EPSV
		S: 229
		C: REST 5
		S: 350
		C: STOR a
		S: 150
		D: 2\r\n
		S: 226
		C: TYPE I
		S: 200
		C: RETR a
		S: 150
		D: one\n2\n
		S: 226
		C: TYPE A
		S: 200
		C: REST 4
		S: 350
		C: STOR a
		S: 554 REST 4 is inside an end of line.
		C: EPSV
		S: 229
		C: APPE a
		S: 150
		D: 3\r\n
		S: 226
		C: TYPE I
		S: 200
		C: RETR a
		S: 150
		D: one\n2\n3\n
		S: 226`)
}

// TestASCIIResumes: a cut upload is counted in stored bytes, so that it is
// resumed with TYPE I, and SIZE says so.
func TestASCIIResumes(t *testing.T) {
	t.Parallel()
	ended := make(chan ftpserver.TransferEvent, 1)
	s := ftptest.Serve(t, nil, told(ended))
	cutUpload(t, s, ended, "STOR a", "one\n")
	s.Talk(t, `
		C: TYPE A
		S: 200
		C: SIZE a
		S: 550
		C: REST 5
		S: 350
		C: STOR a
		S: 554 The first 4 bytes are here as they are stored; resume with TYPE I.
		C: TYPE I
		S: 200
		C: SIZE a
		S: 213 4`)
}

// TestRecords: STRU R in ASCII (RFC 959 3.4.1).
func TestRecords(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"a": "one\ntwo\n"})
	s.Talk(t, `
		C: TYPE A
		S: 200
		C: STRU R
		S: 200
		C: STAT
		S: 211-
		S:  TYPE A, STRU R, MODE S
		S: 211 End
		C: RETR a
		S: 150
		D: one\xff\x01two\xff\x01\xff\x02
		S: 226
		C: STOR b
		S: 150
		D: 1\xff\x012\xff\x03
		S: 226
		C: STOR cut
		S: 150
		D: 1\xff\x012
		S: 426
		C: TYPE I
		S: 200
		C: RETR b
		S: 150
		D: 1\n2\n
		S: 226
		C: RETR cut
		S: 550`)
}

func deflated(t *testing.T, s string) string {
	t.Helper()
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	if _, err := io.WriteString(z, s); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func inflated(t *testing.T, s string) string {
	t.Helper()
	z, err := zlib.NewReader(strings.NewReader(s))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// upload sends content by command and returns the final reply's code.
func upload(t *testing.T, c *ftptest.Conn, command, content string) int {
	t.Helper()
	data := dialPassive(t, c)
	c.Do(command, 150)
	d := data()
	// The server may cut the connection before all is written.
	_, _ = io.WriteString(d, content)
	_ = d.Close()
	return c.Reply().Code
}

func TestDeflate(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("the same line again\n", 1000)
	s := ftptest.Serve(t, ftptest.Files{"a": text})
	c := s.Login()
	c.Do("MODE Z", 200)
	c.Do("OPTS MODE Z LEVEL 9", 200)
	for _, wrong := range []string{"0", "10", "x", ""} {
		c.Do("OPTS MODE Z LEVEL "+wrong, 501)
	}
	c.Do("OPTS MODE Z ENGINE ZLIB LEVEL 3", 200)
	got := c.Get("RETR a")
	if len(got) > len(text)/10 || inflated(t, got) != text {
		t.Errorf("RETR in MODE Z brought %d bytes, which are not the file deflated", len(got))
	}
	if got := inflated(t, c.Get("NLST")); got != "a\r\n" {
		t.Errorf("NLST in MODE Z brought %q", got)
	}
	if code := upload(t, c, "STOR b", deflated(t, text)); code != 226 {
		t.Errorf("STOR in MODE Z: %d", code)
	}
	if s.File("b") != text {
		t.Error("STOR in MODE Z stored something else")
	}
	c.Do("TYPE A", 200)
	if got := inflated(t, c.Get("RETR a")); got != strings.ReplaceAll(text, "\n", "\r\n") {
		t.Errorf("RETR in MODE Z and TYPE A brought %.60q", got)
	}
	if code := upload(t, c, "STOR ascii", deflated(t, "1\r\n2\r\n")); code != 226 || s.File("ascii") != "1\n2\n" {
		t.Errorf("STOR in MODE Z and TYPE A: %d, %q", code, s.File("ascii"))
	}
	c.Do("TYPE I", 200)
	if code := upload(t, c, "STOR empty", ""); code != 226 {
		t.Errorf("STOR of nothing in MODE Z: %d", code)
	}
	whole := deflated(t, text)
	for what, bad := range map[string]struct {
		stream string
		want   int
		left   bool // for resuming
	}{
		"cut":         {whole[:len(whole)/2], 426, true},
		"no stream":   {"this is no zlib stream", 451, false},
		"wrong check": {whole[:len(whole)-1] + "\x00", 451, false},
	} {
		if code := upload(t, c, "STOR bad", bad.stream); code != bad.want {
			t.Errorf("%s: S: %d, want %d", what, code, bad.want)
		}
		c.Do("EPSV", 229)
		c.Do("RETR bad", 550)
		if c.Send("DELE bad"); (c.Reply().Code == 250) != bad.left {
			t.Errorf("%s: want %v for something to resume is left", what, bad.left)
		}
	}
}

// TestDeflateRatio: what grows beyond the ratio is refused, and not stored.
func TestDeflateRatio(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"a": "old"}, func(o *ftpserver.Options) { o.MaxInflate = 10 })
	c := s.Login()
	c.Do("MODE Z", 200)
	if code := upload(t, c, "STOR a", deflated(t, strings.Repeat("\x00", 4<<20))); code != 552 {
		t.Errorf("S: %d, want 552", code)
	}
	if got := s.File("a"); got != "old" {
		t.Errorf("a holds %d bytes, want the old file", len(got))
	}
}
