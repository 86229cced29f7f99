package ftpserver_test

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"towpath/ftpserver"
	"towpath/ftptest"
	"towpath/storage/mem"
)

// What is not in the list is not carried out; what is needs a login.
func TestSiteIsAnAllowList(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"a": "a", "b": "b"})
	c := s.Login()
	for _, word := range []string{"EXEC ls", "EXEC", "UMASK 0", "CHOWN root a", "CHGRP 0 a", "GPASS x", "PSWD a b", "MINFO x", "INDEX x", "SHELL", "SYMLINK a l", "LINK a l", "MKFIFO x", "RMDIR x", "CP a c", "X", "\x1b[2J", "exec id"} {
		if code := alone(t, c, "SITE "+word); code != 504 {
			t.Errorf("C: SITE %s\nS: %d, want 504", word, code)
		}
	}
	c = s.Dial()
	c.Expect(220)
	for _, word := range []string{"HELP", "WHO", "CPFR a", "CPTO b", "CHMOD 777 a", "IDLE 7200", "QUOTA", "UTIME 20260101000000 a"} {
		c.Do("SITE "+word, 530)
	}
}

// Who may only deliver goes to his directory first, as scanners do, and sees
// nothing there. The log says which right was missing; the client does not hear it.
func TestMayOnlyDeliver(t *testing.T) {
	t.Parallel()
	var log, transcript safeBuffer
	s := ftptest.Serve(t, nil, watched(&log, &transcript), as(mem.New(map[string]string{"in/old": "old", "out/": ""}), ftpserver.User{
		Rights: func(path string) ftpserver.Rights {
			if path == "/in" || strings.HasPrefix(path, "/in/") {
				return ftpserver.Write
			}
			return 0
		},
	}))
	c := s.Login()
	c.Do("CWD /out", 550)
	c.Do("CWD /in", 250)
	c.Put("STOR scan.pdf", "scan")
	c.Do("SIZE scan.pdf", 550)
	c.Do("STAT /in", 550)
	c.Do("CDUP", 550)
	for _, want := range []string{"/out lacks the right list write append", "/in/scan.pdf lacks the right list\""} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("want %q in the log:\n%s", want, log.String())
		}
		if strings.Contains(transcript.String(), "lacks") {
			t.Errorf("the client was told what is missing:\n%s", transcript.String())
		}
	}
}

// rightsCases are commands on /d/f and the right that each cannot do without.
// TestRightsOfEveryCommand sees that no command with a path is missing.
var rightsCases = []struct {
	verb  string
	lines []string // all but the last are sent first
	needs ftpserver.Rights
}{
	{"CWD", []string{"CWD d"}, ftpserver.List | ftpserver.Write | ftpserver.Append},
	{"RETR", []string{"EPSV", "RETR d/f"}, ftpserver.Read},
	{"STOR", []string{"EPSV", "STOR d/f"}, ftpserver.Write},
	{"STOR", []string{"EPSV", "REST 1", "STOR d/f"}, ftpserver.Append},
	{"STOU", []string{"EPSV", "STOU d/f"}, ftpserver.Write},
	{"APPE", []string{"EPSV", "APPE d/f"}, ftpserver.Append},
	{"LIST", []string{"EPSV", "LIST d"}, ftpserver.List},
	{"LIST", []string{"EPSV", "LIST d/*"}, ftpserver.List},
	{"NLST", []string{"EPSV", "NLST d"}, ftpserver.List},
	{"MLSD", []string{"EPSV", "MLSD d"}, ftpserver.List},
	{"MLST", []string{"MLST d/f"}, ftpserver.List},
	{"STAT", []string{"STAT d"}, ftpserver.List},
	{"RNFR", []string{"RNFR d/f"}, ftpserver.Rename},
	{"RNTO", []string{"RNFR free", "RNTO d/new"}, ftpserver.Rename},
	{"RNTO", []string{"RNFR free", "RNTO d/f"}, ftpserver.Write}, // it would replace the file
	{"DELE", []string{"DELE d/f"}, ftpserver.Delete},
	{"RMD", []string{"RMD d/e"}, ftpserver.Rmdir},
	{"RMDA", []string{"RMDA d/e"}, ftpserver.Rmdir},
	{"RMDA", []string{"RMDA d"}, ftpserver.Delete}, // what is in it
	{"MKD", []string{"MKD d/new"}, ftpserver.Mkdir},
	{"SIZE", []string{"SIZE d/f"}, ftpserver.List},
	{"MDTM", []string{"MDTM d/f"}, ftpserver.List},
	{"MDTM", []string{"MDTM d/none"}, ftpserver.List},
	{"MDTM", []string{"MDTM 20260101000000 d/f"}, ftpserver.Times},
	{"MFMT", []string{"MFMT 20260101000000 d/f"}, ftpserver.Times},
	{"MFF", []string{"MFF modify=20260101000000; d/f"}, ftpserver.Times},
	{"MFF", []string{"MFF unix.mode=777; d/f"}, ftpserver.Chmod},
	{"HASH", []string{"HASH d/f"}, ftpserver.Read},
	{"XCRC", []string{"XCRC d/f"}, ftpserver.Read},
	{"XMD5", []string{"XMD5 d/f"}, ftpserver.Read},
	{"XSHA", []string{"XSHA d/f"}, ftpserver.Read},
	{"XSHA1", []string{"XSHA1 d/f"}, ftpserver.Read},
	{"XSHA256", []string{"XSHA256 d/f"}, ftpserver.Read},
	{"XSHA512", []string{"XSHA512 d/f"}, ftpserver.Read},
	{"AVBL", []string{"AVBL d"}, ftpserver.List},
	{"COMB", []string{"COMB free d/f"}, ftpserver.Read},
	{"COMB", []string{"COMB free d/f"}, ftpserver.Delete},
	{"COMB", []string{"COMB free d/f"}, ftpserver.Copy},
	{"COMB", []string{"COMB d/f free"}, ftpserver.Write},
	{"COMB", []string{"COMB d/f free"}, ftpserver.Append},
	{"COMB", []string{"COMB d/f free"}, ftpserver.Copy},
	{"SITE CHMOD", []string{"SITE CHMOD 777 d/f"}, ftpserver.Chmod},
	{"SITE UTIME", []string{"SITE UTIME 20260101000000 d/f"}, ftpserver.Times},
	{"SITE UTIME", []string{"SITE UTIME d/f 20260101000000 20260101000000 20260101000000 UTC"}, ftpserver.Times},
	{"SITE CPFR", []string{"SITE CPFR d/f"}, ftpserver.Read},
	{"SITE CPFR", []string{"SITE CPFR d/f"}, ftpserver.Copy},
	{"SITE CPTO", []string{"SITE CPFR free", "SITE CPTO d/f"}, ftpserver.Write},
	{"SITE CPTO", []string{"SITE CPFR free", "SITE CPTO d/f"}, ftpserver.Copy},
	{"SITE SYMLINK", []string{"SITE SYMLINK d/f l"}, ftpserver.Read},
	{"SITE SYMLINK", []string{"SITE SYMLINK free d/l"}, ftpserver.Link},
	{"SITE WHO", []string{"SITE WHO"}, ftpserver.Admin},
}

// unprotected commands touch no file.
const unprotected = ` USER PASS ACCT SMNT REIN QUIT HOST PORT PASV EPRT EPSV TYPE STRU MODE REST ALLO ABOR PWD
 SYST HELP NOOP SITE FEAT OPTS LANG CLNT CSID AUTH PBSZ PROT CCC RANG MFCT CDUP XCWD XCUP XMKD XRMD XPWD
 SITE_HELP SITE_IDLE SITE_QUOTA `

// Without its right no command does anything: with all others it is 550, and
// the tree is as before.
func TestRightsOfEveryCommand(t *testing.T) {
	t.Parallel()
	tested := map[string]bool{}
	for _, test := range rightsCases {
		tested[test.verb] = true
		t.Run(fmt.Sprint(test.lines, test.needs), func(t *testing.T) {
			t.Parallel()
			fsys := mem.New(map[string]string{"d/f": "0123", "d/e/": "", "free": "free"})
			u := ftpserver.User{Rights: func(path string) ftpserver.Rights {
				all := ftpserver.All | ftpserver.Admin
				if path == "/d" || strings.HasPrefix(path, "/d/") || test.needs == ftpserver.Admin {
					return all &^ test.needs
				}
				return all
			}}
			s := ftptest.Serve(t, nil, as(fsys, u), func(o *ftpserver.Options) { o.AllowSymlinks = true })
			c := s.Login()
			for i, line := range test.lines {
				c.Send(line)
				r := c.Reply()
				if last := i == len(test.lines)-1; last && r.Code != 550 || !last && !r.Positive() {
					t.Fatalf("C: %s\nS: %v", line, r)
				}
			}
			all := ftptest.Serve(t, nil, ftptest.Root(fsys)).Login()
			if got := all.Get("NLST /d") + all.Get("RETR d/f") + all.Get("RETR free"); !strings.Contains(got, "d/f") || !strings.HasSuffix(got, "0123free") || strings.Contains(got, "new") {
				t.Errorf("the tree has changed: %q", got)
			}
		})
	}
	for _, row := range ftpserver.CommandTable() {
		if !tested[row.Verb] && !strings.Contains(strings.ReplaceAll(unprotected, "\n", ""), " "+strings.ReplaceAll(row.Verb, " ", "_")+" ") {
			t.Errorf("%s is neither tested nor known to touch no file", row.Verb)
		}
	}
}

// Rights belong to paths. Whoever renames a directory must not take along what
// a longer rule protects, nor put it where one forbids, nor read a file by
// having moved it.
func TestRenameGainsNoRights(t *testing.T) {
	t.Parallel()
	const none = ftpserver.Rights(0)
	for name, test := range map[string]struct {
		rules    map[string]ftpserver.Rights
		from, to string
		code     int
	}{
		"free":                    {nil, "/d", "/e", 250},
		"a child is protected":    {map[string]ftpserver.Rights{"/d/sub/f": none}, "/d", "/e", 550},
		"a directory in it":       {map[string]ftpserver.Rights{"/d/sub": none}, "/d", "/e", 550},
		"readable but to stay":    {map[string]ftpserver.Rights{"/d/sub/f": ftpserver.ReadOnly}, "/d", "/e", 550},
		"the new place forbids":   {map[string]ftpserver.Rights{"/e/sub/f": none}, "/d", "/e", 550},
		"unreadable, to readable": {map[string]ftpserver.Rights{"/d/sub/f": ftpserver.Rename | ftpserver.Write}, "/d/sub/f", "/f", 550},
		"in a directory":          {map[string]ftpserver.Rights{"/d/sub/f": ftpserver.Rename | ftpserver.Write}, "/d/sub", "/x", 550},
		"readable, to unreadable": {map[string]ftpserver.Rights{"/f": ftpserver.Rename}, "/d/sub/f", "/f", 250},
		"a rule elsewhere":        {map[string]ftpserver.Rights{"/g": none}, "/d", "/e", 250},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fsys := mem.New(map[string]string{"d/sub/f": "f", "d/g": "g", "g": "g"})
			s := ftptest.Serve(t, nil, as(fsys, ftpserver.User{Rights: restricted(test.rules)}))
			c := s.Login()
			c.Do("RNFR "+test.from, 350)
			c.Do("RNTO "+test.to, test.code)
		})
	}
}

// A link must not give what its target does not.
func TestLinkGainsNoRights(t *testing.T) {
	t.Parallel()
	_, _, root := onDisk(t)
	rules := map[string]ftpserver.Rights{}
	s := ftptest.Serve(t, nil, root, func(o *ftpserver.Options) {
		o.AllowSymlinks = true
		admit := o.Login
		o.Login = rightsOf(admit, func(path string) ftpserver.Rights { return restricted(rules)(path) })
	})
	c := s.Login()
	c.Do("MKD d", 257)
	c.Put("STOR d/f", "f")
	c.Put("STOR d/g", "g")
	c.Do("SITE SYMLINK d l1", 200)
	c.Do("QUIT", 221)
	rules["/d/f"] = ftpserver.ReadOnly
	c = s.Login()
	c.Do("SITE SYMLINK d/f l2", 550) // would make it writable
	c.Do("SITE SYMLINK d l3", 550)
	c.Do("SITE SYMLINK d/g l4", 200)
}

// account is a quota that counts, and what it never may: go below nothing.
type account struct {
	mu                 sync.Mutex
	bytes, files       int64
	maxBytes, maxFiles int64
	below              bool
}

func (a *account) Take(bytes, files int64) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if bytes > 0 && a.bytes+bytes > a.maxBytes || files > 0 && a.files+files > a.maxFiles {
		return ftpserver.ErrQuota
	}
	a.bytes += bytes
	a.files += files
	a.below = a.below || a.bytes < 0 || a.files < 0
	return nil
}

func (a *account) Usage() (int64, int64, int64, int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.bytes, a.maxBytes, a.files, a.maxFiles
}

// want fails unless so much is used.
func (a *account) want(t *testing.T, bytes, files int64) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.bytes != bytes || a.files != files || a.below {
		t.Errorf("%d bytes in %d files are counted, want %d in %d; below nothing: %v", a.bytes, a.files, bytes, files, a.below)
	}
}

// metered serves a tree to a user with a quota.
func metered(t *testing.T, maxBytes, maxFiles int64) (*ftptest.Server, *account) {
	a := &account{maxBytes: maxBytes, maxFiles: maxFiles}
	fsys := mem.New(nil)
	s := ftptest.Serve(t, nil, as(fsys, ftpserver.User{Quota: a, Rights: restricted(nil)}),
		func(o *ftpserver.Options) { o.AllowSymlinks = true })
	s.Root = fsys
	return s, a
}

// Uploads beside each other share the room that there is.
func TestQuotaOfParallelUploads(t *testing.T) {
	t.Parallel()
	const each = 600_000
	s, a := metered(t, 2*each+100, 100)
	var stored sync.Map
	var wg sync.WaitGroup
	for i := range 6 {
		c := s.Login()
		name := fmt.Sprintf("f%d", i)
		port := passivePort(t, c)
		c.Do("STOR "+name, 150)
		d := connect(t, "127.0.0.1", port)
		wg.Go(func() {
			_, _ = io.WriteString(d, strings.Repeat("x", each)) // may be cut off
			_ = d.Close()
			b := make([]byte, 200)
			n, _ := c.Conn.Read(b) // what is no 226 is a refusal
			stored.Store(name, string(b[:min(n, 3)]))
		})
	}
	wg.Wait()
	whole := int64(0)
	stored.Range(func(name, code any) bool {
		switch code {
		case "226":
			whole++
		case "552":
		default:
			t.Errorf("%v is answered %v", name, code)
		}
		return true
	})
	if whole > 2 {
		t.Errorf("%d uploads went in where two have room", whole)
	}
	a.want(t, whole*each, whole)
}

// What the quota has no room for is not kept as a part either.
func TestQuotaKeepsNoParts(t *testing.T) {
	t.Parallel()
	s, a := metered(t, 1000, 100)
	c := s.Login()
	for i := range 5 {
		port := passivePort(t, c)
		name := fmt.Sprintf("f%d", i)
		c.Do("STOR "+name, 150)
		d := connect(t, "127.0.0.1", port)
		_, _ = io.WriteString(d, strings.Repeat("x", 100_000)) // may be cut off
		_ = d.Close()
		c.Expect(552)
		c.Do("SIZE "+name, 550)
	}
	a.want(t, 0, 0)
	c.Do("ALLO 1001", 552)
	c.Do("ALLO 1000", 200)
}

// However a file goes, it is given back once.
func TestQuotaIsGivenBackOnce(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		run          func(s *ftptest.Server, c *ftptest.Conn)
		bytes, files int64
	}{
		"deleted while it is replaced": {func(s *ftptest.Server, c *ftptest.Conn) {
			port := passivePort(t, c)
			c.Do("STOR a", 150)
			s.Login().Do("DELE a", 250)
			d := connect(t, "127.0.0.1", port)
			_, _ = io.WriteString(d, "new") // 226 tells
			_ = d.Close()
			c.Expect(226)
		}, 3 + 10, 2},
		"made while it is made": {func(s *ftptest.Server, c *ftptest.Conn) {
			port := passivePort(t, c)
			c.Do("STOR new", 150)
			other := s.Login()
			other.Do("RNFR b", 350)
			other.Do("RNTO new", 250)
			d := connect(t, "127.0.0.1", port)
			_, _ = io.WriteString(d, "new") // 226 tells
			_ = d.Close()
			c.Expect(226)
		}, 10 + 3, 2},
		"busy": {func(s *ftptest.Server, c *ftptest.Conn) {
			port := passivePort(t, c)
			c.Do("STOR new", 150)
			d := connect(t, "127.0.0.1", port)
			_, _ = io.WriteString(d, "newer") // 226 tells
			other := s.Login()
			other.Passive()
			other.Do("STOR new", 450)
			_ = d.Close()
			c.Expect(226)
		}, 10 + 10 + 5, 3},
		"joined twice": {func(_ *ftptest.Server, c *ftptest.Conn) {
			c.Do("COMB a b b b b", 250)
		}, 50, 1},
		"copied":   {func(_ *ftptest.Server, c *ftptest.Conn) { c.Do("SITE CPFR a", 350); c.Do("SITE CPTO c", 250) }, 30, 3},
		"replaced": {func(_ *ftptest.Server, c *ftptest.Conn) { c.Do("RNFR a", 350); c.Do("RNTO b", 250) }, 10, 1},
		"deleted":  {func(_ *ftptest.Server, c *ftptest.Conn) { c.Do("DELE a", 250); c.Do("DELE a", 550) }, 10, 1},
		"ASCII": {func(_ *ftptest.Server, c *ftptest.Conn) {
			c.Do("TYPE A", 200)
			c.Put("STOR a", "1\r\n2\r\n")
		}, 14, 2},
		"cut and resumed": {func(_ *ftptest.Server, c *ftptest.Conn) {
			port := passivePort(t, c)
			c.Do("STOR new", 150)
			d := connect(t, "127.0.0.1", port)
			_, _ = io.WriteString(d, "12345") // SIZE tells
			c.Do("NOOP", 200)
			c.Send("ABOR")
			c.Expect(426)
			c.Expect(226)
			c.Put("APPE new", "67")
		}, 27, 3},
		"a link": {func(_ *ftptest.Server, c *ftptest.Conn) { c.Do("SITE SYMLINK a l", 550) }, 20, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, a := metered(t, 1000, 100)
			c := s.Login()
			c.Put("STOR a", "0123456789")
			c.Put("STOR b", "0123456789")
			test.run(s, c)
			if name != "cut and resumed" { // how much came before the cut is not certain
				a.want(t, test.bytes, test.files)
				return
			}
			a.want(t, 20+int64(len(s.File("new"))), test.files)
		})
	}
}
