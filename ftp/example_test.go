package ftp_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"towpath/ftp"
)

// A server reads commands and answers each with one reply.
func ExampleReader_ReadCommand() {
	r := ftp.NewReader(strings.NewReader("user anna\r\n\r\nPASS secret\r\nQUIT\r\n"))
	for {
		command, err := r.ReadCommand()
		if errors.Is(err, ftp.ErrEmpty) {
			continue
		}
		if err != nil {
			break
		}
		fmt.Println(command)
	}
	// Output:
	// USER anna
	// PASS ****
	// QUIT
}

func ExampleReply_AppendTo() {
	reply := ftp.NewReply(211, "Features:\n SIZE\n MDTM\nEnd")
	fmt.Printf("%q\n", reply.AppendTo(nil))
	// Output: "211-Features:\r\n SIZE\r\n MDTM\r\n211 End\r\n"
}

// A client reads the address that a passive server announces.
func ExampleParsePassive() {
	reply, err := ftp.NewReader(strings.NewReader("227 Entering Passive Mode (192,0,2,1,195,80).\r\n")).ReadReply()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(ftp.ParsePassive(reply.Lines[0]))
	// Output: 192.0.2.1:50000 <nil>
}

// An active client announces where it listens.
func ExampleCommand_Encode() {
	listen := netip.MustParseAddrPort("[2001:db8::1]:50000")
	line, err := ftp.Command{Verb: "EPRT", Arg: ftp.FormatEPRT(listen)}.Encode()
	fmt.Printf("%q %v\n", line, err)
	line, err = ftp.Command{Verb: "DELE", Arg: "x\r\nDELE precious"}.Encode()
	fmt.Printf("%q %v\n", line, err)
	// Output:
	// "EPRT |2|2001:db8::1|50000|\r\n" <nil>
	// "" CR, LF or NUL inside a command line
}
