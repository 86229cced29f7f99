//go:build unix

package ftpserver_test

import (
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

	"towpath/ftptest"
)

// urgent sends p with its last byte as urgent data, as Telnet Synch wants it.
func urgent(t *testing.T, c net.Conn, p string) {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	werr := raw.Write(func(fd uintptr) bool {
		err = syscall.Sendmsg(int(fd), []byte(p), nil, nil, syscall.MSG_OOB)
		return err != syscall.EAGAIN
	})
	if err != nil || werr != nil {
		t.Fatal(err, werr)
	}
}

// TestSynch is ABOR as clients really send it: with a TCP urgent pointer.
func TestSynch(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("0123456789abcdef", 2<<20)
	for client, say := range map[string]func(t *testing.T, c *ftptest.Conn){
		"tnftp and inetutils": func(t *testing.T, c *ftptest.Conn) {
			urgent(t, c.Conn, "\xff\xf4\xff")
			c.Send("\xf2ABOR")
		},
		"ncftp": func(t *testing.T, c *ftptest.Conn) {
			urgent(t, c.Conn, "\xff\xf4\xff\xf2")
			c.Send("ABOR")
		},
		"lftp": func(t *testing.T, c *ftptest.Conn) {
			if _, err := io.WriteString(c.Conn, "\xff\xf4"); err != nil {
				t.Fatal(err)
			}
			urgent(t, c.Conn, "\xff\xf2")
			c.Send("ABOR")
		},
	} {
		t.Run(client, func(t *testing.T) {
			t.Parallel()
			c := ftptest.Serve(t, ftptest.Files{"big": big}).Login()
			data := dialPassive(t, c)
			c.Do("RETR big", 150)
			d := data()
			say(t, c)
			c.Expect(426)
			c.Expect(226)
			if got, err := io.ReadAll(d); err == nil && len(got) == len(big) {
				t.Error("the aborted download came whole")
			}
			c.Do("PWD", 257)
		})
	}
}
