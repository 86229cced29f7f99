package ftpserver_test

import (
	"context"
	"fmt"
	"net"
	"net/textproto"

	"towpath/ftpserver"
	"towpath/storage/mem"
)

// A server needs to know who may enter, and what he sees. Here one user sees a
// tree in memory; disk.Open of towpath/storage/disk gives a directory instead.
func Example() {
	tree := mem.New(map[string]string{"sea.txt": "0123456789"})
	srv, err := ftpserver.New(ftpserver.Options{
		Login: func(_ context.Context, l ftpserver.Login) (*ftpserver.User, error) {
			if l.Name != "alice" || l.Password != "secret" {
				return nil, ftpserver.ErrRefused
			}
			return &ftpserver.User{Name: l.Name, Root: tree}, nil // no Rights: read only
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") // or ":2121"
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Close()
	go srv.Serve(l)

	c, err := textproto.Dial("tcp", l.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	for _, command := range []string{"", "USER alice", "PASS secret", "SIZE sea.txt"} {
		if command != "" {
			if err := c.PrintfLine("%s", command); err != nil {
				fmt.Println(err)
				return
			}
		}
		line, err := c.ReadLine()
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(line)
	}
	// Output:
	// 220 Towpath FTP server ready.
	// 331 Password, please.
	// 230 Logged in.
	// 213 10
}
