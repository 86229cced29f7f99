package ftpserver_test

import (
	"bytes"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"towpath/ftp"
	"towpath/ftpserver"
	"towpath/ftptest"
)

// TestListings: names and options as real clients send them.
func TestListings(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"d/one": "1", "empty/": ""})
	s.Talk(t, `
		# An empty directory is 150, nothing, 226: clients take 550 for failure.
		C: LIST empty
		S: 150
		S: 226
		C: NLST empty
		S: 150
		S: 226
		C: MLSD empty
		S: 150
		S: 226
		C: CWD d
		S: 250
		C: NLST
		S: 150
		D: one\r\n
		S: 226
		C: NLST -CF
		S: 150
		D: one\r\n
		S: 226
		C: NLST -a -l
		S: 150
		D: one\r\n
		S: 226
		C: NLST /d
		S: 150
		D: /d/one\r\n
		S: 226
		C: NLST ../d
		S: 150
		D: ../d/one\r\n
		S: 226
		C: NLST -la /d/
		S: 150
		D: /d/one\r\n
		S: 226
		C: NLST one
		S: 150
		D: one\r\n
		S: 226
		C: NLST o*
		S: 150
		D: one\r\n
		S: 226
		C: NLST /d/[mno]n?
		S: 150
		D: /d/one\r\n
		S: 226
		C: NLST x*
		S: 150
		S: 226
		C: NLST [
		S: 501
		C: EPSV
		S: 229
		C: NLST nothing
		S: 550
		C: EPSV
		S: 229
		C: LIST nothing
		S: 550
		C: EPSV
		S: 229
		C: MLSD nothing
		S: 550
		C: EPSV
		S: 229
		C: MLSD one
		S: 550
		C: LIST\x20
		S: 425`)
	c := s.Login()
	c.Do("CWD d", 250)
	for _, line := range []string{"LIST", "LIST ", "LIST -a", "LIST -la", "LIST -al .", "LIST -l ../d", "LIST one", "LIST -a o*"} {
		got := c.Get(line)
		if strings.Count(got, "\r\n") != 1 || !strings.HasPrefix(got, "-rw") || !strings.HasSuffix(got, " one\r\n") {
			t.Errorf("%q brought %q, want one line for one", line, got)
		}
	}
	if got := c.Get("MLSD"); !strings.HasPrefix(got, "type=file;size=1;modify=") || !strings.HasSuffix(got, "; one\r\n") {
		t.Errorf("MLSD brought %q", got)
	}
	c.Do("OPTS MLST size;type;nonsense;", 200)
	if got := c.Get("MLSD /"); !strings.Contains(got, "type=dir; d\r\n") {
		t.Errorf("MLSD / brought %q, want no size for a directory", got)
	}
	c.Do("OPTS MLST", 200)
	if got := c.Get("MLSD"); got != " one\r\n" {
		t.Errorf("MLSD without facts brought %q", got)
	}
}

// TestFilesLikeOptions: what looks like an option is a name where it is one.
func TestFilesLikeOptions(t *testing.T) {
	t.Parallel()
	ftptest.Serve(t, ftptest.Files{"-a": "x", "b": "y"}).Talk(t, `
		C: NLST -a
		S: 150
		D: -a\r\n
		S: 226
		C: NLST -l -a
		S: 150
		D: -a\r\n
		S: 226
		C: NLST -l b
		S: 150
		D: b\r\n
		S: 226
		C: RETR -a
		S: 150
		D: x
		S: 226
		C: DELE -a
		S: 250
		C: NLST -a
		S: 150
		D: b\r\n
		S: 226`)
}

// TestDOSListing: the listing and SYST say the same.
func TestDOSListing(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"d/": ""}, func(o *ftpserver.Options) { o.DOSListing = true })
	c := s.Login()
	if r := c.Do("SYST", 215); r.Lines[0] != "Windows_NT" {
		t.Errorf("S: %v", r)
	}
	if got := c.Get("LIST"); !strings.Contains(got, "<DIR>          d\r\n") {
		t.Errorf("LIST brought %q", got)
	}
}

// TestFeatures are printed from the command table, one to a line, each behind
// a blank (RFC 2389 3.2).
// A client that sees EPSV in FEAT tries it, and some try nothing else.
func TestFeaturesOfModes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		set  ftptest.Option
		want string
	}{
		{func(*ftpserver.Options) {}, "EPRT EPSV PASV"},
		{func(o *ftpserver.Options) { o.NoPassive = true }, "EPRT"},
		{func(o *ftpserver.Options) { o.NoActive = true }, "EPSV PASV"},
	} {
		s := ftptest.Serve(t, nil, tt.set)
		f := ftp.ParseFeatures(s.Login().Do("FEAT", 211))
		var got []string
		for _, verb := range []string{"EPRT", "EPSV", "PASV"} {
			if f.Has(verb) {
				got = append(got, verb)
			}
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("FEAT lists %q, want %q", got, tt.want)
		}
	}
}

func TestFeatures(t *testing.T) {
	t.Parallel()
	for _, with := range []bool{false, true} {
		var options []ftptest.Option
		if with {
			options = append(options, ftptest.TLS)
		}
		c := ftptest.Serve(t, nil, options...).Login()
		r := c.Do("FEAT", 211)
		shown := map[string]bool{}
		for _, line := range r.Lines[1 : len(r.Lines)-1] {
			if !strings.HasPrefix(line, " ") || strings.HasPrefix(line, "  ") {
				t.Errorf("FEAT line %q, want one blank before it", line)
			}
			if shown[line] {
				t.Errorf("FEAT says %q twice", line)
			}
			shown[line] = true
		}
		for _, want := range []string{
			" EPRT", " EPSV", " UTF8", " TVFS", " SIZE", " MDTM", " REST STREAM", " MFMT", " MODE Z", " HOST", " AVBL",
			" HASH SHA-256*;SHA-512;SHA-1;MD5;CRC32", " XCRC", " XMD5", " CLNT",
		} {
			if !shown[want] {
				t.Errorf("FEAT does not say %q", want)
			}
		}
		for _, want := range []string{" AUTH TLS", " PBSZ", " PROT"} {
			if shown[want] != with {
				t.Errorf("FEAT says %q: %v, and TLS is %v", want, shown[want], with)
			}
		}
	}
	c := ftptest.Serve(t, nil).Login()
	c.Do("OPTS MLST size;", 200)
	r := c.Do("FEAT", 211)
	if all := strings.Join(r.Lines, "\n"); !strings.Contains(all, "\n MLST type;size*;modify;perm;") {
		t.Errorf("S: %v, want the star at size alone", r)
	}
}

// dialogues keeps what all sessions of a server say.
type dialogues struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (d *dialogues) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.all.Write(p)
}

func (d *dialogues) Close() error { return nil }

func (d *dialogues) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.all.String()
}

// keep is the option that fills d.
func (d *dialogues) keep(o *ftpserver.Options) {
	o.Transcript = func(uint64, netip.AddrPort) io.WriteCloser { return d }
}

// TestRepliesTellNoPath: whatever goes wrong on the disk, no reply says where
// on the host that is; and no line but the answer to PASV begins with "227 ",
// since a NAT on the way rewrites those.
func TestRepliesTellNoPath(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "house")
	for name, content := range map[string]string{"a": "a", "b": "b", "227 x": "x", "d/x": "x"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Dir(dir), filepath.Join(dir, "out")); err != nil {
		t.Logf("no symbolic link that leads out: %v", err)
	}
	var said dialogues
	s := ftptest.Serve(t, nil, opened(t, dir), said.keep, func(o *ftpserver.Options) { o.AllowSymlinks = true })
	c := s.Login()
	arguments := []string{
		"", " a", " d", " nothing", " out", " out/x", " a/b", " ../../x", " d/../../../etc", " 227 x", " x\\y",
		" 20200101000000 d", " 20200101000000 nothing", " modify=20200101000000;unix.mode=0644; nothing",
		" 644 nothing", " 644 out", " a nothing", ` "a" "out"`, " " + strings.Repeat("n", 300), " " + strings.Repeat("n/", 300),
	}
	for _, row := range rows() {
		switch {
		case ends[row.Verb], row.Verb == "REIN", row.Verb == "USER", row.Verb == "PASS", row.Beside && row.Verb == "NOOP":
			continue
		}
		for _, arg := range arguments {
			line := row.Verb + arg
			if !row.Moves {
				c.Send(line)
				c.Reply()
				continue
			}
			data := dialPassive(t, c)
			c.Send(line)
			if c.Reply().Code == 150 {
				d := data()
				if row.Verb[0] != 'S' && row.Verb != "APPE" {
					_, _ = io.Copy(io.Discard, d)
				}
				_ = d.Close()
				c.Reply()
			}
		}
	}
	for line := range strings.Lines(said.String()) {
		if strings.HasPrefix(line, "S:") && (strings.Contains(line, filepath.Dir(dir)) || strings.Contains(line, filepath.Base(dir))) {
			t.Errorf("a path of the host: %s", line)
		}
		if strings.HasPrefix(line, "S: 227 ") && !strings.HasPrefix(line, "S: 227 Entering Passive Mode (127,0,0,1,") {
			t.Errorf("a line like an announcement: %s", line)
		}
	}
}

// TestGreetings in several lines are one reply each, whatever the lines hold.
func TestGreetings(t *testing.T) {
	t.Parallel()
	user := withUser(ftpserver.User{Greeting: "Welcome.\n227 (1,2,3,4,5,6)\n230 hello"})
	s := ftptest.Serve(t, nil, user, func(o *ftpserver.Options) { o.Banner = "Two\n220 lines" })
	c := s.Dial()
	if r := c.Expect(220); len(r.Lines) != 2 {
		t.Errorf("S: %v, want two lines", r)
	}
	c.Do("USER a", 331)
	r := c.Do("PASS b", 230)
	if len(r.Lines) != 4 || r.Lines[1] != " 227 (1,2,3,4,5,6)" {
		t.Errorf("S: %v, want four lines and no announcement", r)
	}
	c.Do("NOOP", 200)
}

// TestOpening: 150 comes before the connection is taken, so that a client which
// awaits it does not wait for ever; and for RETR it says how much comes.
func TestOpening(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("0123456789"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := ftptest.Serve(t, nil, opened(t, dir))
	s.Talk(t, `
		C: RETR a
		S: 150 Opening BINARY data connection for a (10 bytes).
		D: 0123456789
		S: 226
		C: REST 4
		S: 350
		C: RETR a
		S: 150 Opening BINARY data connection for a (6 bytes).
		D: 456789
		S: 226
		C: TYPE A
		S: 200
		C: RETR a
		S: 150 Opening ASCII data connection for a.
		D: 0123456789
		S: 226
		C: STOR b
		S: 150 Opening ASCII data connection for b.
		S: 226`)
}

// TestStatus: STAT alone is about the session, with a path a listing.
func TestStatus(t *testing.T) {
	t.Parallel()
	ftptest.Serve(t, ftptest.Files{"d/x": "123"}).Talk(t, `
		C: STAT
		S: 211-Status:
		S:  Connected from 127.0.0.1:
		S:  Logged in as test
		S:  Control connection in clear text, data connections in clear text
		S:  TYPE I, STRU F, MODE S
		S:  No transfer is running
		S: 211 End
		C: STAT d
		S: 213-Listing:
		S:  -rw* x
		S: 213 End
		C: STAT -la /d/x
		S: 213-
		S:  -rw* x
		S: 213 End
		C: STAT nothing
		S: 550
		C: ABOR
		S: 226
		C: HELP XYZZY
		S: 502
		C: HELP size
		S: 214 Syntax: SIZE path`)
}
