package ftptest_test

import (
	"testing"

	"towpath/ftptest"
)

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
