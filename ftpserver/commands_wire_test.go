package ftpserver_test

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"testing"

	"towpath/ftpserver"
	"towpath/ftptest"
	"towpath/storage/mem"
)

// rows are the rows of the command table, in order.
func rows() []ftpserver.CommandRow {
	all := ftpserver.CommandTable()
	slices.SortFunc(all, func(a, b ftpserver.CommandRow) int { return cmp.Compare(a.Verb, b.Verb) })
	return all
}

// withUser lets [ftptest.User] in as u, whatever the password.
func withUser(u ftpserver.User) ftptest.Option {
	return func(o *ftpserver.Options) {
		o.Login = func(_ context.Context, l ftpserver.Login) (*ftpserver.User, error) {
			u := u
			u.Name = l.Name
			return &u, nil
		}
	}
}

// all are the rights of one who may do everything.
func all(string) ftpserver.Rights { return ftpserver.All | ftpserver.Admin }

// alone sends a line and fails the test unless exactly one reply comes.
func alone(t *testing.T, c *ftptest.Conn, line string) int {
	t.Helper()
	c.Send(line)
	r := c.Reply()
	if next := c.Do("NOOP", 200); next.Lines[0] != "Still here." {
		t.Fatalf("C: %s\nS: %v\nS: %v: a second reply", line, r, next)
	}
	return r.Code
}

// ends are the commands after which the session is another one.
var ends = map[string]bool{"QUIT": true}

func TestCommandsBeforeLogin(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"a": "a"})
	for _, row := range rows() {
		if ends[row.Verb] {
			continue
		}
		c := s.Dial()
		c.Expect(220)
		line := row.Verb
		if row.Wants == "text" || row.Wants == "path" {
			line += " a"
		}
		code := alone(t, c, line)
		if row.Verb == "PASS" {
			continue // 503, 530: it is how one logs in
		}
		if refused := code == 530; refused == row.Early {
			t.Errorf("C: %s\nS: %d, want %v for refused before login", line, code, !row.Early)
		}
	}
}

func TestCommandsThatWorkBeforeLogin(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, nil, ftptest.TLS)
	s.Talk(t, `
		S: 220
		C: FEAT
		S: 211
		C: SYST
		S: 215 UNIX
		C: OPTS UTF8 ON
		S: 200
		C: opts utf8 on
		S: 200
		C: Opts Utf-8
		S: 200
		C: CLNT lftp/4.9.2
		S: 200
		C: CSID Name=x;
		S: 200 Name=Towpath;
		C: NOOP
		S: 200
		C: HELP
		S: 214
		C: HELP SITE
		S: 214
		C: HELP retr
		S: 214 Syntax: RETR path
		C: HOST localhost
		S: 220
		C: LANG en
		S: 200
		C: LANG fr
		S: 504
		C: STAT
		S: 211
		C: STAT /
		S: 530
		C: AUTH KERBEROS_V4
		S: 504
		C: AUTH TLS
		S: 234`)
}

func TestCommandsWithoutTheirArgument(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"a": "a"}, func(o *ftpserver.Options) { o.AllowSymlinks = true })
	c := s.Login()
	for _, row := range rows() {
		if row.Wants != "text" && row.Wants != "path" {
			continue
		}
		for _, line := range []string{row.Verb, row.Verb + " ", strings.ToLower(row.Verb)} {
			if code := alone(t, c, line); code != 501 {
				t.Errorf("C: %q\nS: %d, want 501", line, code)
			}
		}
	}
}

func TestCommandsWithTooMuch(t *testing.T) {
	t.Parallel()
	c := ftptest.Serve(t, nil).Login()
	for _, row := range rows() {
		if row.Wants != "nothing" {
			continue
		}
		if code := alone(t, c, row.Verb+" superfluous"); code != 501 {
			t.Errorf("C: %s superfluous\nS: %d, want 501", row.Verb, code)
		}
		if row.Verb == "REIN" {
			continue // with nothing behind it, it works
		}
		if code := alone(t, c, row.Verb+" "); code == 501 {
			t.Errorf("C: %q\nS: 501, and a blank is no argument", row.Verb+" ")
		}
	}
}

func TestCommandsWithoutTheRight(t *testing.T) {
	t.Parallel()
	files := func() *mem.FS { return mem.New(map[string]string{"a": "a", "b": "b", "d/": "", "link/x": ""}) }
	type probe struct {
		before, line string
		missing      ftpserver.Rights
	}
	// What the handlers themselves look at, because the path is only a part
	// of the argument or is made up.
	probes := []probe{
		{"EPSV", "STOU", ftpserver.Write},
		{"EPSV", "STOU a", ftpserver.Write},
		{"EPSV", "LIST", ftpserver.List},
		{"EPSV", "LIST a", ftpserver.List},
		{"EPSV", "LIST *", ftpserver.List},
		{"EPSV", "NLST -a d", ftpserver.List},
		{"", "STAT /", ftpserver.List},
		{"", "CDUP", ftpserver.List | ftpserver.Write | ftpserver.Append},
		{"", "MDTM a", ftpserver.List},
		{"", "MDTM 20200101000000 a", ftpserver.Times},
		{"", "MFMT 20200101000000 a", ftpserver.Times},
		{"", "MFF modify=20200101000000; a", ftpserver.Times},
		{"", "MFF unix.mode=0644; a", ftpserver.Chmod},
		{"", "XCRC a", ftpserver.Read},
		{"", "XSHA256 a 0 1", ftpserver.Read},
		{"", "COMB a b", ftpserver.Copy},
		{"", "COMB a b", ftpserver.Append},
		{"", "COMB a b", ftpserver.Read},
		{"", "COMB a b", ftpserver.Delete},
		{"", "RMDA d", ftpserver.Rmdir},
		{"", "RMDA link", ftpserver.Delete},
		{"", "SITE CHMOD 644 a", ftpserver.Chmod},
		{"", "SITE UTIME 20200101000000 a", ftpserver.Times},
		{"", "SITE SYMLINK a l", ftpserver.Link},
		{"", "SITE SYMLINK a l", ftpserver.Read},
		{"", "SITE WHO", ftpserver.Admin},
		{"RNFR a", "RNTO b", ftpserver.Write},
		{"REST 1|EPSV", "STOR a", ftpserver.Append},
		{"SITE CPFR a", "SITE CPTO b", ftpserver.Write},
	}
	for _, row := range rows() {
		for bit := ftpserver.Rights(1); bit <= ftpserver.Admin; bit <<= 1 {
			if row.Needs&bit != 0 {
				probes = append(probes, probe{"", row.Verb + " /d", bit})
			}
		}
	}
	for _, p := range probes {
		t.Run(p.line, func(t *testing.T) {
			t.Parallel()
			s := ftptest.Serve(t, nil, withUser(ftpserver.User{
				Root:   files(),
				Rights: func(string) ftpserver.Rights { return (ftpserver.All | ftpserver.Admin) &^ p.missing },
			}), func(o *ftpserver.Options) { o.AllowSymlinks = true })
			c := s.Login()
			for line := range strings.SplitSeq(p.before, "|") {
				if line != "" {
					alone(t, c, line)
				}
			}
			if code := alone(t, c, p.line); code != 550 {
				t.Errorf("C: %s\nS: %d without the right %b, want 550", p.line, code, p.missing)
			}
		})
	}
}

// TestReadOnly: nobody who was given no rights may change anything.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, nil, withUser(ftpserver.User{Root: mem.New(map[string]string{"a": "old", "d/": ""})}))
	s.Talk(t, `
		C: RETR a
		S: 150
		D: old
		S: 226
		C: EPSV
		S: 229
		C: STOR a
		S: 550 Permission denied.
		C: EPSV
		S: 229
		C: APPE a
		S: 550
		C: DELE a
		S: 550
		C: MKD e
		S: 550
		C: RMD d
		S: 550
		C: RNFR a
		S: 550
		C: MFMT 20200101000000 a
		S: 550
		C: SITE CHMOD 777 a
		S: 550
		C: SITE WHO
		S: 550`)
}

// TestRenameSequence: RNTO takes what the RNFR just before it named, and
// nothing older.
func TestRenameSequence(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"a": "A", "b": "B"})
	s.Talk(t, `
		C: RNTO c
		S: 503
		C: RNFR a
		S: 350
		C: PWD
		S: 257
		C: RNTO c
		S: 503
		C: RNFR a
		S: 350
		C: RNFR nothing
		S: 550
		C: RNTO c
		S: 503
		C: RNFR a
		S: 350
		C: RNFR
		S: 501
		C: RNTO c
		S: 503
		C: RNFR a
		S: 350
		C: RNFR b
		S: 350
		C: RNTO c
		S: 250
		C: RNTO d
		S: 503
		C: NLST
		S: 150
		D: *
		S: 226`)
	if got := s.File("c"); got != "B" {
		t.Errorf("c holds %q, want what was b", got)
	}
	if got := s.File("a"); got != "A" {
		t.Errorf("a holds %q, it was not to be renamed", got)
	}
}

// TestUserAgain: USER ends a login and leaves the transfer parameters as they
// are (RFC 959 4.1.1); REIN takes them back as well.
func TestUserAgain(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"d/a": "1\n2\n"})
	s.Talk(t, `
		C: CWD d
		S: 250
		C: USER test
		S: 331
		C: PWD
		S: 530
		C: SIZE a
		S: 530
		C: PASS secret
		S: 230
		C: PWD
		S: 257 "/"
		C: SIZE d/a
		S: 213 4
		C: PASS secret
		S: 202
		C: REIN
		S: 220
		C: PWD
		S: 530
		C: PASS secret
		S: 503
		C: USER test
		S: 331
		C: PASS wrong
		S: 530
		C: PASS secret
		S: 503
		C: USER test
		S: 331
		C: PASS secret
		S: 230
		C: SIZE d/a
		S: 213 6
		C: ACCT none
		S: 202
		C: SMNT /
		S: 502`)
}

// TestWhatIsSaidBeforeLogin: clients name themselves and choose facts and
// algorithms before USER.
func TestWhatIsSaidBeforeLogin(t *testing.T) {
	t.Parallel()
	ftptest.Serve(t, ftptest.Files{"a": "a"}).Talk(t, `
		S: 220
		C: OPTS MLST type;size;
		S: 200 MLST OPTS type;size;
		C: OPTS HASH MD5
		S: 200 MD5
		C: USER test
		S: 331
		C: PASS secret
		S: 230
		C: MLST a
		S: 250-
		S:  type=file;size=1; /a
		S: 250 End
		C: HASH a
		S: 213 MD5 0-1 0cc175b9c0f1b6a831c399e269772661 a
		C: REIN
		S: 220
		C: OPTS HASH
		S: 200 SHA-256`)
}

// TestWhatIsNoCommand: what is no command gets one answer too, and an empty line none.
func TestWhatIsNoCommand(t *testing.T) {
	t.Parallel()
	c := ftptest.Serve(t, nil).Login()
	for _, line := range []string{
		"XYZZY", "1234", "R\x00TR a", "RETR a\x00b", "PWD\rDELE a", "\x80\x81", "TOOLONGAVERBFORANYBODY x",
		" PWD", "PWD\tx", strings.Repeat("A", 5000), "NOOP " + strings.Repeat("A", 5000),
	} {
		if code := alone(t, c, line); code != 500 && code != 501 {
			t.Errorf("C: %.40q\nS: %d, want 500 or 501", line, code)
		}
	}
	c.Send("\r\n\r\n\nNOOP")
	c.Expect(200)
	c.Send("nOoP\nPWD")
	c.Expect(200)
	c.Expect(257)
}

// TestHTTP: a browser that was sent here by somebody's page is shown the door.
func TestHTTP(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"GET", "POST", "PUT", "HEAD", "OPTIONS"} {
		c := ftptest.Serve(t, nil).Dial()
		c.Expect(220)
		c.Do(verb+" / HTTP/1.1", 500)
		c.ExpectEOF()
	}
}
