package ftptest_test

import (
	"context"
	"testing"

	"towpath/ftpclient"
	"towpath/ftpserver"
	"towpath/ftptest"
)

// A test of a program that fetches by FTP: a server for it, and what it left there.
func ExampleServe() {
	test := func(t *testing.T) {
		s := ftptest.Serve(t, ftptest.Files{"in/order.csv": "7;sea"}, func(o *ftpserver.Options) {
			o.NoActive = true // each option of the server can be set
		})
		c, err := ftpclient.Dial(context.Background(), s.Addr, ftpclient.Options{User: ftptest.User, Password: ftptest.Password})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.Rename(t.Context(), "in/order.csv", "done.csv"); err != nil { // the program
			t.Fatal(err)
		}
		if got := s.File("done.csv"); got != "7;sea" {
			t.Errorf("done.csv holds %q", got)
		}
	}
	_ = test // go test runs it as TestOrders
}

func TestTalk(t *testing.T) {
	s := ftptest.Serve(t, ftptest.Files{"sea.txt": "0123456789", "empty/": ""})
	s.Talk(t, `
		C: REST 4
		S: 350
		C: RETR sea.txt
		S: 150
		D: 456789
		S: 226
		C: NLST empty
		S: 150
		S: 226
		C: STOR new.txt
		S: 150
		D: hello
		S: 226
		C: SIZE new.txt
		S: 213 5
		C: PORT *
		S: 200
		C: RETR new.txt
		S: 150
		D: hello
		S: 226
		C: PASV
		S: 227 Entering Passive Mode (127,0,0,1,*).
		C: RETR new.txt
		S: 150
		D: hello
		S: 226
		C: QUIT
		S: 221`)
	if got := s.File("new.txt"); got != "hello" {
		t.Errorf("new.txt holds %q", got)
	}
}
