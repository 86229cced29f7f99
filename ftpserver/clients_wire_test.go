package ftpserver_test

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"towpath/ftp"
	"towpath/ftpserver"
	"towpath/ftptest"
)

// TestFileZillaUpload is an upload as FileZilla does it: text in TYPE A, then
// a listing in TYPE I.
func TestFileZillaUpload(t *testing.T) {
	t.Parallel()
	for mode, announce := range map[string]string{
		"passive": "C: PASV\nS: 227 Entering Passive Mode (127,0,0,1,*).",
		"active":  "C: PORT *\nS: 200 PORT command successful.",
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := ftptest.Serve(t, ftptest.Files{"www/": ""})
			s.Talk(t, `
				S: 220
				C: USER test
				S: 331
				C: PASS secret
				S: 230
				C: PWD
				S: 257 "/"
				C: CWD /www
				S: 250
				C: TYPE A
				S: 200
				`+announce+`
				C: STOR index.html
				S: 150
				D: <p>\r\n</p>\r\n
				S: 226
				C: TYPE I
				S: 200
				`+announce+`
				C: MLSD
				S: 150
				D: *
				S: 226`)
			if got := s.File("www/index.html"); got != "<p>\n</p>\n" {
				t.Errorf("index.html holds %q", got)
			}
		})
	}
}

// canBind tells whether this process may open connections from port.
func canBind(port int) error {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		return err
	}
	return l.Close()
}

// TestWindowsFTP is Windows' ftp.exe: OPTS before USER, active only, LIST with
// an option, and firewalls in front of it that want the data from port 20.
func TestWindowsFTP(t *testing.T) {
	t.Parallel()
	from := uint16(20)
	if err := canBind(20); err != nil {
		from = freePorts(t, 1).Low
		t.Logf("port 20 cannot be had (%v): it takes root, CAP_NET_BIND_SERVICE or net.ipv4.ip_unprivileged_port_start=20; port %d stands in for it", err, from)
	}
	s := ftptest.Serve(t, ftptest.Files{"readme.txt": "hello\n"}, func(o *ftpserver.Options) { o.ActivePort = from })
	c := s.Dial()
	c.Expect(220)
	c.Do("OPTS UTF8 ON", 200)
	c.Do("USER test", 331)
	c.Do("PASS secret", 230)
	for _, step := range []struct{ command, want string }{
		{"LIST -l", ""},
		{"NLST", "readme.txt\r\n"},
		{"RETR readme.txt", "hello\r\n"},
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		_ = l.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
		c.Do("PORT "+ftp.FormatHostPort(l.Addr().(*net.TCPAddr).AddrPort()), 200)
		c.Do(step.command, 150)
		d, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if a := d.RemoteAddr().(*net.TCPAddr).AddrPort(); a.Port() != from {
			t.Errorf("%s: the data connection comes from %v, want port %d", step.command, a, from)
		}
		got, err := io.ReadAll(d)
		if err != nil {
			t.Fatal(err)
		}
		_ = d.Close()
		c.Expect(226)
		if step.want != "" && string(got) != step.want || len(got) == 0 {
			t.Errorf("%s brought %q, want %q", step.command, got, step.want)
		}
	}
	c.Do("QUIT", 221)
	c.ExpectEOF()
}

// TestDialogues are those of other clients, in the order in which they speak.
func TestDialogues(t *testing.T) {
	t.Parallel()
	for client, script := range map[string]string{
		"lftp": `
			S: 220
			C: FEAT
			S: 211
			C: CLNT lftp/4.9.2
			S: 200
			C: OPTS UTF8 ON
			S: 200
			C: USER test
			S: 331
			C: PASS secret
			S: 230
			C: PWD
			S: 257
			C: TYPE I
			S: 200
			C: SIZE sea.txt
			S: 213 10
			C: MDTM sea.txt
			S: 213
			C: PASV
			S: 227
			C: RETR sea.txt
			S: 150
			D: 0123456789
			S: 226
			C: PASV
			S: 227
			C: STOR new
			S: 150
			D: x
			S: 226
			C: MFMT 20200101000000 new
			S: 213
			C: QUIT
			S: 221`,
		"inetutils": `
			S: 220
			C: SYST
			S: 215
			C: USER test
			S: 331
			C: PASS secret
			S: 230
			C: PORT *
			S: 200
			C: LIST
			S: 150
			D: *
			S: 226`,
		"aria2": `
			S: 220
			C: USER test
			S: 331
			C: PASS secret
			S: 230
			C: TYPE I
			S: 200
			C: PWD
			S: 257 "/"
			C: CWD /
			S: 250
			C: SIZE sea.txt
			S: 213 10
			C: PASV
			S: 227
			C: REST 0
			S: 350
			C: RETR sea.txt
			S: 150
			D: 0123456789
			S: 226`,
		"ncftp": `
			S: 220
			C: USER test
			S: 331
			C: PASS secret
			S: 230
			C: PWD
			S: 257
			C: FEAT
			S: 211
			C: HELP SITE
			S: 214
			C: CLNT NcFTP 3.2.6
			S: 200
			C: OPTS MLST type;size;modify;UNIX.mode;UNIX.owner;UNIX.group;
			S: 200 MLST OPTS
			C: MLST sea.txt
			S: 250
			C: PASV
			S: 227
			C: NLST -CF
			S: 150
			D: sea.txt\r\n
			S: 226`,
		"Net::FTP": `
			S: 220
			C: USER test
			S: 331
			C: PASS secret
			S: 230
			C: HELP ALLO
			S: 214
			C: ALLO 3
			S: 200
			C: PORT *
			S: 200
			C: STOR new
			S: 150
			D: abc
			S: 226`,
		"BusyBox": `
			S: 220
			C: USER test
			S: 331
			C: PASS secret
			S: 230
			C: TYPE I
			S: 200
			C: EPSV
			S: 229 Entering Extended Passive Mode (|||*|)
			C: SIZE sea.txt
			S: 213 10
			C: RETR sea.txt
			S: 150
			D: 0123456789
			S: 226`,
	} {
		t.Run(client, func(t *testing.T) {
			t.Parallel()
			ftptest.Serve(t, ftptest.Files{"sea.txt": "0123456789"}).Talk(t, script)
		})
	}
}

// TestGoodbye: who leaves without QUIT, and who comes back.
func TestGoodbye(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, nil)
	_ = s.Login().Close()
	c := s.Login()
	c.Do("quit", 221)
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("after QUIT: %v, want the end of the connection", err)
	}
}
