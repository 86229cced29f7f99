package ftpserver_test

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"towpath/ftp"
	"towpath/ftpserver"
	"towpath/ftptest"
	"towpath/storage/disk"
	"towpath/storage/mem"
)

// opened serves a directory of the host.
func opened(t *testing.T, dir string) ftptest.Option {
	t.Helper()
	fsys, err := disk.Open(dir, disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return ftptest.Root(fsys)
}

// told collects the ends of transfers.
func told(events chan<- ftpserver.TransferEvent) ftptest.Option {
	return func(o *ftpserver.Options) {
		o.Events = func(e ftpserver.Event) {
			if e, ok := e.(ftpserver.TransferEvent); ok {
				events <- e
			}
		}
	}
}

// dialPassive announces passive mode and returns a way to make the data
// connection in clear text.
func dialPassive(t *testing.T, c *ftptest.Conn) func() *net.TCPConn {
	t.Helper()
	r := c.Do("EPSV", 229)
	a, err := ftp.ParseExtendedPassive(r.Lines[0])
	if err != nil {
		t.Fatal(err)
	}
	host := c.RemoteAddr().(*net.TCPAddr).IP
	return func() *net.TCPConn {
		d, err := net.DialTCP("tcp", nil, &net.TCPAddr{IP: host, Port: int(a.Port())})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = d.Close() })
		_ = d.SetDeadline(time.Now().Add(patience))
		return d
	}
}

// cutUpload leaves the beginning of a file behind, as a client that is killed
// does: its control connection ends, and the data as if it were whole.
func cutUpload(t *testing.T, s *ftptest.Server, ended <-chan ftpserver.TransferEvent, command, part string) {
	t.Helper()
	c := s.Login()
	data := dialPassive(t, c)
	c.Do(command, 150)
	d := data()
	if _, err := io.WriteString(d, part); err != nil {
		t.Fatal(err)
	}
	arrived := func(i ftpserver.SessionInfo) bool { return i.Verb != "" && i.Bytes == int64(len(part)) }
	for deadline := time.Now().Add(patience); !slices.ContainsFunc(s.Sessions(), arrived); {
		if time.Now().After(deadline) {
			t.Fatalf("%s: %q does not arrive", command, part)
		}
		time.Sleep(time.Millisecond) // nobody tells
	}
	_ = c.Close()
	_ = d.Close()
	if e := <-ended; e.Err == nil {
		t.Fatalf("%s counts as whole, and the client was killed", command)
	}
}

// TestResume: a cut upload leaves the old file, shows its size to who sent it,
// and goes on by REST and STOR or by APPE.
func TestResume(t *testing.T) {
	t.Parallel()
	for name, resume := range map[string]string{
		"REST STOR": `
			C: REST 4
			S: 350
			C: STOR sea.txt
			S: 150
			D: 456789
			S: 226`,
		"APPE": `
			C: APPE sea.txt
			S: 150
			D: 456789
			S: 226`,
		"REST into the middle": `
			C: REST 2
			S: 350
			C: STOR sea.txt
			S: 150
			D: 23456789
			S: 226`,
		"anew": `
			C: STOR sea.txt
			S: 150
			D: 0123456789
			S: 226`,
	} {
		for place, serve := range map[string]func(*testing.T, ftptest.Option) *ftptest.Server{
			"mem": func(t *testing.T, o ftptest.Option) *ftptest.Server {
				return ftptest.Serve(t, ftptest.Files{"sea.txt": "old"}, o)
			},
			"disk": func(t *testing.T, o ftptest.Option) *ftptest.Server {
				dir := t.TempDir()
				if err := os.WriteFile(filepath.Join(dir, "sea.txt"), []byte("old"), 0o644); err != nil {
					t.Fatal(err)
				}
				return ftptest.Serve(t, nil, o, opened(t, dir))
			},
		} {
			t.Run(name+" "+place, func(t *testing.T) {
				t.Parallel()
				ended := make(chan ftpserver.TransferEvent, 10)
				s := serve(t, told(ended))
				cutUpload(t, s, ended, "STOR sea.txt", "0123")
				s.Talk(t, `
					C: SIZE sea.txt
					S: 213 4
					C: RETR sea.txt
					S: 150
					D: old
					S: 226
					C: REST 5
					S: 350
					C: STOR sea.txt
					S: 554
					C: EPSV
					S: 229
					`+resume+`
					C: SIZE sea.txt
					S: 213 10
					C: RETR sea.txt
					S: 150
					D: 0123456789
					S: 226`)
			})
		}
	}
}

// TestResumeTwice: what is resumed may be cut again.
func TestResumeTwice(t *testing.T) {
	t.Parallel()
	ended := make(chan ftpserver.TransferEvent, 10)
	s := ftptest.Serve(t, nil, told(ended))
	cutUpload(t, s, ended, "STOR new", "01")
	cutUpload(t, s, ended, "APPE new", "23")
	s.Talk(t, `
		C: SIZE new
		S: 213 4
		C: MDTM new
		S: 213
		C: NLST
		S: 150
		S: 226
		C: RETR new
		S: 550
		C: EPSV
		S: 229
		C: APPE new
		S: 150
		D: 45
		S: 226
		C: RETR new
		S: 150
		D: 012345
		S: 226`)
}

// TestDeleteCutUpload: DELE throws away what a cut upload left.
func TestDeleteCutUpload(t *testing.T) {
	t.Parallel()
	ended := make(chan ftpserver.TransferEvent, 10)
	s := ftptest.Serve(t, nil, told(ended))
	cutUpload(t, s, ended, "STOR new", "01")
	s.Talk(t, `
		C: DELE new
		S: 250
		C: SIZE new
		S: 550
		C: DELE new
		S: 550`)
}

// TestAppend and resuming where nothing was cut.
func TestAppend(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"a": "0123"})
	s.Talk(t, `
		C: APPE a
		S: 150
		D: 45
		S: 226
		C: APPE new
		S: 150
		D: n
		S: 226
		C: REST 2
		S: 350
		C: STOR a
		S: 150
		D: XY
		S: 226
		C: RETR a
		S: 150
		D: 01XY
		S: 226
		C: REST 4
		S: 350
		C: RETR a
		S: 150
		S: 226
		C: REST 5
		S: 350
		C: RETR a
		S: 554
		C: EPSV
		S: 229
		C: RETR a
		S: 150
		D: 01XY
		S: 226
		C: REST 1
		S: 350
		C: NLST a
		S: 150
		D: a\r\n
		S: 226
		C: RETR a
		S: 150
		D: 01XY
		S: 226
		C: REST -1
		S: 501
		C: REST 99999999999999999999
		S: 501
		C: ALLO 12
		S: 200
		C: ALLO 12 R 3
		S: 200
		C: ALLO twelve
		S: 501`)
}

// TestOneWriter: a second writer is told to wait (450), and who reads sees the
// old file whole until the new one is.
func TestOneWriter(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"a": "old"})
	first := s.Login()
	data := dialPassive(t, first)
	first.Do("STOR a", 150)
	d := data()
	if _, err := io.WriteString(d, "new"); err != nil {
		t.Fatal(err)
	}
	const meanwhile = `
		C: RETR a
		S: 150
		D: old
		S: 226
		C: STOR a
		S: 450
		C: EPSV
		S: 229
		C: APPE a
		S: 450
		C: EPSV
		S: 229
		C: STOU a
		S: 150 FILE: a.1
		D: mine
		S: 226`
	s.Talk(t, meanwhile)
	_ = d.Close()
	first.Expect(226)
	if got := s.File("a"); got != "new" {
		t.Errorf("a holds %q, want what the first writer sent", got)
	}
}

// TestStoreUnique: the 150 of STOU says the name as RFC 1123 4.1.2.9 wants it.
func TestStoreUnique(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"d/x": "x"})
	s.Talk(t, `
		C: STOU
		S: 150 FILE: stou
		D: 1
		S: 226
		C: STOU
		S: 150 FILE: stou.1
		D: 2
		S: 226
		C: STOU d/x
		S: 150 FILE: x.1
		D: 3
		S: 226
		C: CWD d
		S: 250
		C: STOU x
		S: 150 FILE: x.2
		D: 4
		S: 226
		C: STOU nowhere/x
		S: 550`)
	for name, want := range map[string]string{"stou": "1", "stou.1": "2", "d/x": "x", "d/x.1": "3", "d/x.2": "4"} {
		if got := s.File(name); got != want {
			t.Errorf("%s holds %q, want %q", name, got, want)
		}
	}
}

// TestShortDownload: a file that becomes shorter while it is sent never ends
// in 226, whatever the type and mode, nor in a clean end of the data.
func TestShortDownload(t *testing.T) {
	t.Parallel()
	for _, form := range []string{"TYPE I", "TYPE A", "MODE Z"} {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			name := filepath.Join(dir, "long")
			// More than sockets hold on to, and nothing that deflate makes small.
			const size = 24 << 20
			content := make([]byte, size)
			for i, x := 0, uint32(1); i < size; i++ {
				x ^= x << 13
				x ^= x >> 17
				x ^= x << 5
				content[i] = byte(x)
			}
			if err := os.WriteFile(name, content, 0o644); err != nil {
				t.Fatal(err)
			}
			c := ftptest.Serve(t, nil, opened(t, dir)).Login()
			c.Do(form, 200)
			data := dialPassive(t, c)
			c.Do("RETR long", 150)
			d := data()
			if _, err := io.ReadFull(d, make([]byte, 1024)); err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(name, 1024); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, d); err == nil && form == "TYPE I" {
				t.Error("the data ended as if it were whole")
			}
			if r := c.Reply(); r.Code != 451 && r.Code != 426 {
				t.Errorf("S: %v, want 451 or 426", r)
			}
		})
	}
}

// TestDirectories made, removed, and named in replies.
func TestDirectories(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"full/x": "x"})
	s.Talk(t, `
		C: MKD new
		S: 257 "/new" created.
		C: MKD new
		S: 550
		C: XMKD /new/a "b"
		S: 257 "/new/a ""b""" created.
		C: XCWD new/a "b"
		S: 250
		C: XPWD
		S: 257 "/new/a ""b""" is
		C: CWD ../../..
		S: 250
		C: PWD
		S: 257 "/" is
		C: CDUP
		S: 250
		C: CWD full/x
		S: 550
		C: CWD nowhere
		S: 550
		C: RMD full
		S: 550
		C: RMD full/x
		S: 550
		C: XRMD new/a "b"
		S: 250
		C: RMD /
		S: 550
		C: RMDA /
		S: 550
		C: RMDA full/x
		S: 550
		C: RMDA full
		S: 250
		C: DELE new
		S: 550
		C: MKD a/b/c
		S: 550
		C: NLST
		S: 150
		D: new\r\n
		S: 226`)
}

// TestNamesThatAreMade: names with control bytes are refused when they would be made,
// and shown escaped where they are there.
func TestNamesThatAreMade(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"old\nname", "b"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o644); err != nil {
			t.Skipf("this system makes no such name: %v", err)
		}
	}
	s := ftptest.Serve(t, nil, opened(t, dir))
	s.Talk(t, `
		C: STOR a\tb
		S: 553
		C: EPSV
		S: 229
		C: MKD a\x01
		S: 553
		C: RNFR b
		S: 350
		C: RNTO a\x7fb
		S: 553
		C: COMB a\x1b b
		S: 553
		C: SITE CPFR b
		S: 350
		C: SITE CPTO a\x1b
		S: 553
		C: CWD old\x1bname
		S: 550`)
	c := s.Login()
	for _, list := range []string{"LIST", "NLST", "MLSD"} {
		if got := c.Get(list); strings.Count(got, "\n") != 2 || strings.Count(got, "\r") != 2 {
			t.Errorf("%s shows two names as %q, want two lines", list, got)
		}
	}
	if r := c.Do("STAT /", 213); len(r.Lines) != 4 {
		t.Errorf("S: %v, want a line for each of two names", r)
	}
}

// TestTimes: MDTM, MFMT, MFF and SITE UTIME set and show times to the second.
func TestTimes(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, nil, ftptest.Root(mem.New(map[string]string{"a b": "x", "20200101000000 a": "y"})))
	s.Talk(t, `
		C: MFMT 20010203040506 a b
		S: 213 Modify=20010203040506; a b
		C: MDTM a b
		S: 213 20010203040506
		C: MDTM 19991231235959 a b
		S: 213
		C: MDTM a b
		S: 213 19991231235959
		C: MDTM 20200101000000 a
		S: 213
		C: MDTM nothing
		S: 550
		C: MFF modify=20050607080910;unix.mode=0640; a b
		S: 213 modify=20050607080910;unix.mode=0640; a b
		C: MLST a b
		S: 250-
		S:  type=file;size=1;modify=20050607080910;*unix.mode=0640; /a b
		S: 250 End
		C: MFF modify=20050607080910;owner=7; a b
		S: 504
		C: MFF modify=today; a b
		S: 501
		C: MFF modify=20050607080910 a b
		S: 501
		C: MFMT yesterday a b
		S: 501
		C: MFMT 20010203040506
		S: 501
		C: MFMT 20011303040506 a b
		S: 501
		C: MFCT 20010203040506 a b
		S: 504
		C: SITE UTIME 200203040506 a b
		S: 200
		C: MDTM a b
		S: 213 20020304050600
		C: SITE UTIME a b 20010101000000 20070809101112 20010101000000 UTC
		S: 200
		C: MDTM a b
		S: 213 20070809101112
		C: SITE UTIME later a b
		S: 501
		C: SITE CHMOD 4755 a b
		S: 200 Mode is 755.
		C: SITE CHMOD 999 a b
		S: 501
		C: SITE CHMOD 755
		S: 501`)
}

// TestSite: the other words of SITE.
func TestSite(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"a": "A", "d/": ""})
	s.Talk(t, `
		C: SITE HELP
		S: 214-
		S:  CHMOD mode path
		S:  WHO
		S: 214 End
		C: site help
		S: 214
		C: SITE
		S: 501
		C: SITE EXEC id
		S: 504
		C: SITE SYMLINK a l
		S: 504
		C: SITE WHO
		S: 200-Sessions:
		S:  1 test 127.0.0.1:* since
		S: 200 End
		C: SITE IDLE
		S: 200 Idle time-out is 300 seconds
		C: SITE IDLE 600
		S: 200 Idle time-out is 600 seconds
		C: SITE IDLE 10
		S: 501
		C: SITE IDLE 999999999
		S: 501
		C: SITE QUOTA
		S: 200
		C: SITE CPTO b
		S: 503
		C: SITE CPFR d
		S: 550
		C: SITE CPFR nothing
		S: 550
		C: SITE CPFR a
		S: 350
		C: SITE CPTO b
		S: 250
		C: SITE CPTO c
		S: 503
		C: SITE CPFR a
		S: 350
		C: SITE CPTO a
		S: 553
		C: RETR b
		S: 150
		D: A
		S: 226`)
}

// TestSymlink is offered where it is allowed, and never leads out.
func TestSymlink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("A"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := ftptest.Serve(t, nil, opened(t, dir), func(o *ftpserver.Options) { o.AllowSymlinks = true })
	s.Talk(t, `
		C: SITE HELP
		S: 214-
		S:  SYMLINK
		S: 214 End
		C: SITE SYMLINK a
		S: 501
		C: SITE SYMLINK a l
		S: 200
		C: RETR l
		S: 150
		D: A
		S: 226
		C: SITE SYMLINK ../../../../etc/passwd out
		S: 200
		C: RETR out
		S: 550`)
}

// TestAvailable: how much room there is.
func TestAvailable(t *testing.T) {
	t.Parallel()
	c := ftptest.Serve(t, nil, opened(t, t.TempDir())).Login()
	r := c.Do("AVBL", 213)
	if strings.Trim(r.Lines[0], "0123456789") != "" || r.Lines[0] == "" {
		t.Errorf("S: %v, want a number of bytes", r)
	}
	ftptest.Serve(t, nil).Login().Do("AVBL", 504) // memory does not know
}

// TestJoin: COMB puts files behind the first and removes them.
func TestJoin(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"a": "A", "b c": "B", "d": "D", "e": "E"})
	s.Talk(t, `
		C: COMB a "b c" d
		S: 250
		C: RETR a
		S: 150
		D: ABD
		S: 226
		C: COMB new e
		S: 250
		C: SIZE new
		S: 213 1
		C: SIZE b c
		S: 550
		C: SIZE e
		S: 550
		C: COMB a a
		S: 501
		C: COMB a
		S: 501
		C: COMB a "b
		S: 501
		C: COMB a nothing
		S: 550
		C: SIZE a
		S: 213 3`)
}

// TestJoinToItself: under another name a file is still the same, and not removed.
func TestJoinToItself(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "d"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "d", "f"), []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("d", filepath.Join(dir, "l")); err != nil {
		t.Skip(err)
	}
	s := ftptest.Serve(t, nil, opened(t, dir))
	c := s.Login()
	c.Do("COMB d/f l/f", 501)
	if got := c.Get("RETR d/f"); got != "content" {
		t.Errorf("d/f holds %q", got)
	}
}

// TestJoinAndCutUpload: what COMB and SITE CPTO make has nothing to do with what
// is kept of a cut upload of that name.
func TestJoinAndCutUpload(t *testing.T) {
	t.Parallel()
	ended := make(chan ftpserver.TransferEvent, 10)
	s := ftptest.Serve(t, ftptest.Files{"a": "old", "b": "B", "c": "C"}, told(ended))
	cutUpload(t, s, ended, "STOR a", "cut")
	c := s.Login()
	c.Do("COMB a b nothing", 550)
	if got := c.Get("RETR a"); got != "old" {
		t.Errorf("after a COMB that failed a holds %q", got)
	}
	<-ended // of RETR
	if r := c.Do("SIZE a", 213); r.Lines[0] != "3" {
		t.Errorf("after a COMB that failed SIZE of the cut upload is %v", r)
	}
	c.Do("COMB a b", 250)
	if got := s.File("a"); got != "oldB" {
		t.Errorf("a holds %q after COMB, want %q", got, "oldB")
	}
	// The part is older than the file now, and does not come back with it gone.
	if r := c.Do("SIZE a", 213); r.Lines[0] != "4" {
		t.Errorf("S: %v, want the size of the file", r)
	}
	c.Do("DELE a", 250)
	c.Do("SIZE a", 550)

	cutUpload(t, s, ended, "STOR d", "cut")
	c.Do("SITE CPFR c", 350)
	c.Do("SITE CPTO d", 250)
	c.Do("RNFR d", 350)
	c.Do("RNTO e", 250)
	c.Do("SIZE d", 550)
}

// TestRenameOntoCutUpload: a file that comes to a name by RNTO is what the name
// means from then on, though it is older than the upload that was cut.
func TestRenameOntoCutUpload(t *testing.T) {
	t.Parallel()
	ended := make(chan ftpserver.TransferEvent, 10)
	s := ftptest.Serve(t, ftptest.Files{"whole": "content"}, told(ended))
	cutUpload(t, s, ended, "STOR a", "cut")
	c := s.Login()
	c.Do("RNFR whole", 350)
	c.Do("RNTO a", 250)
	if r := c.Do("SIZE a", 213); r.Lines[0] != "7" {
		t.Errorf("S: %v, want the size of the file", r)
	}
	c.Put("APPE a", "!")
	if got := s.File("a"); got != "content!" {
		t.Errorf("a holds %q after APPE", got)
	}

	// Who makes way for his upload goes on with it.
	<-ended
	cutUpload(t, s, ended, "STOR a", "new")
	c.Do("RNFR a", 350)
	c.Do("RNTO a.old", 250)
	c.Put("APPE a", "er")
	if got := s.File("a"); got != "newer" {
		t.Errorf("a holds %q after APPE", got)
	}
}

// TestDeleteDuringUpload: the file that is there is deleted, and the upload goes on.
func TestDeleteDuringUpload(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"a": "old"})
	c, d := uploading(t, s, "a")
	if _, err := io.WriteString(d, "new!"); err != nil {
		t.Fatal(err)
	}
	other := s.Login()
	for deadline := time.Now().Add(patience); other.Do("SIZE a", 213).Lines[0] != "4"; {
		if time.Now().After(deadline) {
			t.Fatal("the upload does not show")
		}
	}
	other.Do("DELE a", 250)
	other.Do("DELE a", 450)
	_ = d.Close()
	c.Expect(226)
	if got := s.File("a"); got != "new!" {
		t.Errorf("a holds %q", got)
	}
}

// TestStoreUniqueTaken: a name that is taken while the data comes is refused, and
// no other is tried: the data connection has been used.
func TestStoreUniqueTaken(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"b": "B"})
	c := s.Login()
	data := dialPassive(t, c)
	c.Do("STOU x", 150)
	other := s.Login()
	other.Do("RNFR b", 350)
	other.Do("RNTO x", 250)
	_ = data().Close()
	c.Expect(553)
	c.Do("NOOP", 200)
	if got := s.File("x"); got != "B" {
		t.Errorf("x holds %q", got)
	}
}

// endless serves one file that has no end.
type endless struct{ *mem.FS }

func (e endless) Open(context.Context, string, int64) (io.ReadCloser, error) {
	return io.NopCloser(zeros{}), nil
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestAbortBeforeTheData: what is read to find the place that REST means in ASCII
// may be long, and is given up when the client says so.
func TestAbortBeforeTheData(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, nil, ftptest.Root(endless{mem.New(map[string]string{"a": "a"})}))
	c := s.Login()
	c.Do("TYPE A", 200)
	for _, line := range []string{"RETR a", "STOR a"} {
		c.Passive()
		c.Do("REST 9000000000000000000", 350)
		c.Send(line)
		c.Send("ABOR")
		c.Expect(426)
		c.Expect(226)
	}
}

// TestDigests: HASH, RANG and the older X-commands.
func TestDigests(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"a": "123456789", "a 1 2": "x", "d/": ""})
	s.Talk(t, `
		C: HASH a
		S: 213 SHA-256 0-9 15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225 a
		C: OPTS HASH
		S: 200 SHA-256
		C: OPTS HASH crc32
		S: 200 CRC32
		C: FEAT
		S: 211-
		S:  HASH SHA-256;SHA-512;SHA-1;MD5;CRC32*
		S: 211 End
		C: OPTS HASH MD2
		S: 501
		C: HASH a
		S: 213 CRC32 0-9 cbf43926 a
		C: RANG 0 0
		S: 350
		C: HASH a
		S: 213 CRC32 0-1 83dcefb7 a
		C: HASH a
		S: 213 CRC32 0-9 cbf43926 a
		C: RANG 1 0
		S: 350
		C: RANG 5 2
		S: 501
		C: RANG x
		S: 501
		C: RANG 5 99
		S: 350
		C: HASH a
		S: 501
		C: HASH a
		S: 213
		C: HASH d
		S: 550
		C: HASH nothing
		S: 550
		C: XCRC a
		S: 250 CBF43926
		C: XCRC "a"
		S: 250 CBF43926
		C: XCRC a 0 1
		S: 250 83DCEFB7
		C: XCRC "a" 0 1
		S: 250 83DCEFB7
		C: XCRC a 1 2
		S: 250 8CDC1683
		C: XMD5 a
		S: 250 25F9E794323B453885F5181F1B624D0B
		C: XSHA a
		S: 250 F7C3BC1D808E04732ADF679965CCC34CA7AE3441
		C: XSHA1 a
		S: 250 F7C3BC1D808E04732ADF679965CCC34CA7AE3441
		C: XSHA256 a
		S: 250 15E2B0D3C33891EBB0F1EF609EC419420C20E320CE94C65FBC8C3312448EB225
		C: XSHA512 a
		S: 250 D9E6762DD1C8EAF6D61B3C6192FC408D4D6D5F1176D0C29169BC24E71C3F274AD27FCD5811B313D681F7E55EC02D73D499C95455B6B5BB503ACF574FBA8FFE85
		C: XCRC a 5 2
		S: 501
		C: XCRC "a
		S: 501
		C: XCRC nothing
		S: 550`)
}

// TestRange: RANG holds for one RETR, and nothing is stored under it.
func TestRange(t *testing.T) {
	t.Parallel()
	for name, option := range map[string]ftptest.Option{
		"mem": ftptest.Root(mem.New(map[string]string{"a": "0123456789"})),
		"disk": func(o *ftpserver.Options) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "a"), []byte("0123456789"), 0o644); err != nil {
				t.Fatal(err)
			}
			opened(t, dir)(o)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ftptest.Serve(t, nil, option).Talk(t, `
				C: RANG 2 5
				S: 350
				C: RETR a
				S: 150 Opening BINARY data connection for a (4 bytes).
				D: 2345
				S: 226
				C: RETR a
				S: 150
				D: 0123456789
				S: 226
				C: RANG 8 99
				S: 350
				C: RETR a
				S: 150
				D: 89
				S: 226
				C: RANG 11 12
				S: 350
				C: RETR a
				S: 554
				C: EPSV
				S: 229
				C: RANG 2 5
				S: 350
				C: REST 7
				S: 350
				C: RETR a
				S: 150
				D: 789
				S: 226
				C: REST 7
				S: 350
				C: RANG 0 0
				S: 350
				C: RETR a
				S: 150
				D: 0
				S: 226
				C: RANG 2 5
				S: 350
				C: STOR a
				S: 503
				C: EPSV
				S: 229
				C: RANG 2 5
				S: 350
				C: TYPE A
				S: 200
				C: RETR a
				S: 504
				C: EPSV
				S: 229
				C: RETR a
				S: 150
				D: 0123456789
				S: 226`)
		})
	}
}
