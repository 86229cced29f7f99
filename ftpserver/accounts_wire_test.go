package ftpserver_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"towpath/ftpserver"
	"towpath/ftptest"
	"towpath/storage/mem"
)

// latin1 is the charset whose bytes are the first 256 code points.
type latin1 struct{}

func (latin1) Name() string { return "ISO-8859-1" }

func (latin1) Decode(wire string) string {
	var b strings.Builder
	for i := range len(wire) {
		b.WriteRune(rune(wire[i]))
	}
	return b.String()
}

func (latin1) Encode(name string) (string, error) {
	var b strings.Builder
	for _, r := range name {
		if r > 0xff {
			return "", errors.New("not in ISO-8859-1")
		}
		b.WriteByte(byte(r))
	}
	return b.String(), nil
}

// TestCharset: names go to and fro in the charset of the account, in commands,
// replies and listings, until the client says that it speaks UTF-8.
func TestCharset(t *testing.T) {
	t.Parallel()
	root := mem.New(map[string]string{"été/x": "x"})
	s := ftptest.Serve(t, nil, withUser(ftpserver.User{Root: root, Rights: all, Charset: latin1{}}))
	s.Root = root
	s.Talk(t, `
		C: CWD \xe9t\xe9
		S: 250 Directory is "/\xe9t\xe9".
		C: PWD
		S: 257 "/\xe9t\xe9" is
		C: STOR caf\xe9
		S: 150 Opening BINARY data connection for caf\xe9.
		D: 1
		S: 226
		C: STOU caf\xe9
		S: 150 FILE: caf\xe9.1
		D: 2
		S: 226
		C: NLST c*
		S: 150
		D: *
		S: 226
		C: NLST /\xe9t\xe9/x
		S: 150
		D: /\xe9t\xe9/x\r\n
		S: 226
		C: MLST caf\xe9
		S: 250-Facts of /\xe9t\xe9/caf\xe9
		S:  type=file;size=1;*; /\xe9t\xe9/caf\xe9
		S: 250 End
		C: MFMT 20200101000000 caf\xe9
		S: 213 Modify=20200101000000; caf\xe9
		C: MFF modify=20200101000000; caf\xe9
		S: 213 modify=20200101000000; caf\xe9
		C: XMD5 caf\xe9
		S: 250
		C: HASH caf\xe9
		S: 213 SHA-256 0-1 * caf\xe9
		C: STAT caf\xe9
		S: 213-
		S:  -rw* caf\xe9
		S: 213 End
		C: RNFR caf\xe9.1
		S: 350
		C: RNTO \xfc
		S: 250
		C: MKD \xff\xff
		S: 257 "/\xe9t\xe9/\xff" created.
		C: RMD \xff\xff
		S: 250
		C: OPTS UTF8 ON
		S: 200
		C: PWD
		S: 257 "/\xc3\xa9t\xc3\xa9" is
		C: SIZE caf\xc3\xa9
		S: 213 1
		C: NLST \xc3\xbc
		S: 150
		D: \xc3\xbc\r\n
		S: 226
		C: OPTS UTF8 OFF
		S: 200 Names are ISO-8859-1.
		C: PWD
		S: 257 "/\xe9t\xe9" is`)
	if got := s.File("/été/ü"); got != "2" {
		t.Errorf("ü holds %q", got)
	}
	// Windows' ftp.exe and lftp say it before USER.
	s.Talk(t, `
		S: 220
		C: OPTS UTF8 ON
		S: 200
		C: USER test
		S: 331
		C: PASS secret
		S: 230
		C: CWD \xc3\xa9t\xc3\xa9
		S: 250 Directory is "/\xc3\xa9t\xc3\xa9".
		C: REIN
		S: 220
		C: USER test
		S: 331
		C: PASS secret
		S: 230
		C: CWD \xe9t\xe9
		S: 250 Directory is "/\xe9t\xe9".`)
	// Who has no charset has UTF-8 anyway, and names that are no text pass.
	ftptest.Serve(t, ftptest.Files{}).Talk(t, `
		C: OPTS UTF8 OFF
		S: 504
		C: OPTS UTF8 MAYBE
		S: 501
		C: MKD \xe9
		S: 257 "/\xe9" created.
		C: CWD \xe9
		S: 250`)
}

// TestListingsInCharset: every listing shows the names as the client can say
// them again.
func TestListingsInCharset(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, nil, withUser(ftpserver.User{
		Root: mem.New(map[string]string{"d/café": "x", "d/日本": "y"}), Rights: all, Charset: latin1{},
	}))
	c := s.Login()
	for _, list := range []string{"LIST d", "NLST d", "MLSD d", "LIST d/caf\xe9", "NLST -a d/caf*"} {
		if got := c.Get(list); !strings.Contains(got, "caf\xe9\r\n") {
			t.Errorf("%q brought %q, want caf\\xe9 in it", list, got)
		}
	}
	if got := c.Get("NLST d"); strings.Count(got, "\r\n") != 2 {
		t.Errorf("NLST brought %q: a name that the charset cannot say must not be lost", got)
	}
}

// purse is a quota.
type purse struct {
	mu                               sync.Mutex
	bytes, maxBytes, files, maxFiles int64
}

func (p *purse) Take(bytes, files int64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if bytes > 0 && p.maxBytes > 0 && p.bytes+bytes > p.maxBytes || files > 0 && p.maxFiles > 0 && p.files+files > p.maxFiles {
		return ftpserver.ErrQuota
	}
	p.bytes += bytes
	p.files += files
	return nil
}

func (p *purse) Usage() (usedBytes, maxBytes, usedFiles, maxFiles int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bytes, p.maxBytes, p.files, p.maxFiles
}

// TestQuota: what does not fit is 552, and what goes away is given back.
func TestQuota(t *testing.T) {
	t.Parallel()
	quota := &purse{maxBytes: 40, maxFiles: 2}
	s := ftptest.Serve(t, nil, withUser(ftpserver.User{Root: mem.New(nil), Rights: all, Quota: quota}))
	used := func(bytes, files int64) {
		t.Helper()
		if b, _, f, _ := quota.Usage(); b != bytes || f != files {
			t.Errorf("%d bytes and %d files are used, want %d and %d", b, f, bytes, files)
		}
	}
	s.Talk(t, `
		C: ALLO 41
		S: 552
		C: ALLO 40
		S: 200
		C: STOR a
		S: 150
		D: 0123456789
		S: 226
		C: SITE QUOTA
		S: 200-Quota:
		S:  bytes: 10 used, 40 allowed
		S:  files: 1 used, 2 allowed
		S: 200 End
		C: AVBL
		S: 213 30
		C: ALLO 31
		S: 552`)
	used(10, 1)
	c := s.Login()
	if code := upload(t, c, "STOR b", strings.Repeat("x", 31)); code != 552 {
		t.Errorf("S: %d, want 552", code)
	}
	used(10, 1)
	s.Talk(t, `
		C: STOR b
		S: 150
		D: 01234
		S: 226
		C: STOR c
		S: 552
		C: EPSV
		S: 229
		C: STOU
		S: 552
		C: EPSV
		S: 229
		C: SITE CPFR b
		S: 350
		C: SITE CPTO c
		S: 552`)
	used(15, 2)
	s.Talk(t, `
		C: APPE b
		S: 150
		D: 56
		S: 226`)
	used(17, 2)
	s.Talk(t, `
		C: STOR b
		S: 150
		D: 0
		S: 226`)
	used(11, 2)
	s.Talk(t, `
		C: RNFR b
		S: 350
		C: RNTO a
		S: 250`)
	used(1, 1)
	s.Talk(t, `
		C: SITE CPFR a
		S: 350
		C: SITE CPTO b
		S: 250`)
	used(2, 2)
	s.Talk(t, `
		C: COMB a b
		S: 250`)
	used(2, 1)
	s.Talk(t, `
		C: MKD d
		S: 257
		C: RNFR a
		S: 350
		C: RNTO d/a
		S: 250
		C: RMDA d
		S: 250`)
	used(0, 0)
}

// TestAccount: what else a User says of the session.
func TestAccount(t *testing.T) {
	t.Parallel()
	var closed sync.WaitGroup
	closed.Add(2)
	s := ftptest.Serve(t, nil, ftptest.TLS, withUser(ftpserver.User{
		Root: mem.New(map[string]string{"home/x": "x"}), Home: "/home", Rights: all,
		RequireTLS: true, Greeting: "Welcome back.", Closed: closed.Done,
	}))
	c := s.Dial()
	c.Expect(220)
	c.Do("USER anybody", 331)
	if r := c.Do("PASS x", 230); r.Lines[0] != "Welcome back." {
		t.Errorf("S: %v, want the greeting", r)
	}
	if r := c.Do("PWD", 257); !strings.HasPrefix(r.Lines[0], `"/home"`) {
		t.Errorf("S: %v, want home", r)
	}
	c.Do("EPSV", 229)
	c.Do("RETR x", 521) // data in clear text
	c.Do("USER anybody", 331)
	c.Do("PASS x", 230)
	c.Do("QUIT", 221)
	closed.Wait() // once for each login
}

// TestRightsByPath: the same command is good in one place and not in another.
func TestRightsByPath(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, nil, withUser(ftpserver.User{
		Root: mem.New(map[string]string{"in/": "", "out/x": "x", "hidden/x": "x"}),
		Rights: func(path string) ftpserver.Rights {
			switch {
			case strings.HasPrefix(path, "/in"):
				return ftpserver.Write | ftpserver.List
			case strings.HasPrefix(path, "/hidden"):
				return 0
			}
			return ftpserver.ReadOnly
		},
	}))
	s.Talk(t, `
		C: STOR in/new
		S: 150
		D: 1
		S: 226
		C: RETR in/new
		S: 550
		C: EPSV
		S: 229
		C: DELE in/new
		S: 550
		C: RETR out/x
		S: 150
		D: x
		S: 226
		C: STOR out/x
		S: 550
		C: EPSV
		S: 229
		C: CWD hidden
		S: 550
		C: RETR in/../hidden/x
		S: 550
		C: EPSV
		S: 229
		C: NLST hidden
		S: 550
		C: EPSV
		S: 229
		C: MLST /in
		S: 250-
		S:  type=dir;*perm=cel;* /in
		S: 250 End
		C: MLST /out/x
		S: 250-
		S:  type=file;*perm=r;* /out/x
		S: 250 End`)
}

// TestLoginSequence: refusals cost nothing but the login, and say nothing of
// whether there is such a name.
func TestLoginSequence(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, nil, func(o *ftpserver.Options) {
		login := o.Login
		o.Login = func(ctx context.Context, l ftpserver.Login) (*ftpserver.User, error) {
			switch l.Name {
			case "many":
				return nil, ftpserver.ErrTooMany
			case "broken":
				return nil, errors.New("/etc/secret: the database is down")
			}
			return login(ctx, l)
		}
	})
	s.Talk(t, `
		S: 220
		C: PASS secret
		S: 503
		C: USER test
		S: 331 Password, please.
		C: PASS
		S: 530 Login incorrect.
		C: USER nobody
		S: 331 Password, please.
		C: PASS secret
		S: 530 Login incorrect.
		C: USER test
		S: 331
		C: PASS secret
		S: 230`)
	c := s.Dial()
	c.Expect(220)
	c.Do("USER broken", 331)
	c.Send("PASS x")
	if r := c.Reply(); r.Code/100 == 2 || strings.Contains(r.String(), "/etc") {
		t.Errorf("S: %v, want a refusal that tells nothing", r)
	}
	c.Do("USER many", 331)
	c.Do("PASS x", 421)
	c.ExpectEOF()
}
