package ftpserver_test

import (
	"context"
	"fmt"
	"net"
	"net/textproto"
	"os"

	"towpath/accounts"
	"towpath/ftpclient"
	"towpath/ftpserver"
	"towpath/storage/disk"
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

// Accounts with rights, over a directory. Package accounts knows no FTP and this one
// no accounts; what joins them is the function for Login. userfile.Open of
// towpath/accounts/userfile gives the accounts of a file.
func Example_accounts() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	hash, err := accounts.Hash("sea horse")
	if err != nil {
		fmt.Println(err)
		return
	}
	store, err := accounts.NewMemory(&accounts.Account{
		Name: "scanner", Hash: hash, Home: dir, Rights: accounts.Rules{{Path: "/", Rights: accounts.Write}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	auth := accounts.NewAuthenticator(store, accounts.AuthOptions{})
	srv, err := ftpserver.New(ftpserver.Options{
		Login: func(ctx context.Context, l ftpserver.Login) (*ftpserver.User, error) {
			a, err := auth.Verify(ctx, accounts.Attempt{Name: l.Name, Password: l.Password, Peer: l.Peer.Addr(), TLS: l.TLS != nil})
			if err != nil {
				return nil, fmt.Errorf("%w: %w", ftpserver.ErrRefused, err)
			}
			root, err := disk.Open(a.Home, disk.Options{})
			if err != nil {
				return nil, err
			}
			return &ftpserver.User{
				Name: a.Name, Root: root, Closed: func() { root.Close() },
				Rights: func(path string) ftpserver.Rights { return ftpserver.Rights(a.Rights.At(path)) },
			}, nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Close()
	go srv.Serve(l)

	ctx := context.Background()
	c, err := ftpclient.Dial(ctx, l.Addr().String(), ftpclient.Options{User: "scanner", Password: "sea horse"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	w, err := c.Create(ctx, "page.pdf")
	if err == nil {
		_, err = w.Write([]byte("%PDF"))
	}
	if err == nil {
		err = w.Close()
	}
	fmt.Println(err)
	fmt.Println(c.Remove(ctx, "page.pdf"))
	// Output:
	// <nil>
	// remove page.pdf: DELE page.pdf: 550 Permission denied.
}
