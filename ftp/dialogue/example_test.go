package dialogue_test

import (
	"fmt"
	"net/netip"

	"towpath/ftp"
	"towpath/ftp/dialogue"
)

// A gateway asks after each reply whether a data connection must be let in.
func ExampleTracker() {
	t := dialogue.Tracker{
		Client: netip.MustParseAddrPort("192.0.2.1:40000"),
		Server: netip.MustParseAddrPort("198.51.100.2:21"),
	}
	t.Reply(ftp.NewReply(220, "Ahoy."))

	t.Command(ftp.Command{Verb: "PORT", Arg: "10,0,0,1,195,80"})
	if _, ok := t.Reply(ftp.NewReply(500, "Illegal PORT command.")); !ok {
		fmt.Println("nothing")
	}

	t.Command(ftp.Command{Verb: "EPSV"})
	if e, ok := t.Reply(ftp.NewReply(229, "Entering Extended Passive Mode (|||50000|)")); ok {
		fmt.Println(e)
	}

	t.Command(ftp.Command{Verb: "RETR", Arg: "sea.txt"})
	transfer := t.State().Transfer
	fmt.Println(transfer.Verb, transfer.Path, "uses expectation", transfer.Expectation.Number)

	// Output:
	// nothing
	// passive by EPSV: client 192.0.2.1 to 198.51.100.2:50000
	// RETR sea.txt uses expectation 1
}
