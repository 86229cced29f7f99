package explain_test

import (
	"context"
	"fmt"
	"log"

	"towpath/explain"
)

// A client inside of a NAT could not fetch a file. It was captured on both
// sides.
func Example() {
	s, err := explain.Explain(context.Background(), []string{
		"testdata/captures/dnat-passive-noalg-client.pcap",
		"testdata/captures/dnat-passive-noalg-server.pcap",
	}, explain.Options{})
	if err != nil {
		log.Fatal(err)
	}
	x := s.Sessions[0]
	fmt.Println(x.Verdict, x.Transfers[0].Cause, x.Transfers[0].Announced, x.Transfers[0].Sum)
	for _, n := range s.Translations[:1] {
		fmt.Println(n.Kind, n.Inside, "is", n.Outside, "outside; announcements", n.Payload)
	}
	// Output:
	// failed inside-address 10.166.2.33:40134 156*256+198 = 40134
	// dnat 10.166.2.33:21 is 10.45.1.1:21 outside; announcements untouched
}

// A session step by step.
func ExampleSession_Steps() {
	s, err := explain.Explain(context.Background(), []string{"testdata/captures/sv-upload-active.pcap"}, explain.Options{})
	if err != nil {
		log.Fatal(err)
	}
	for _, step := range s.Sessions[0].Steps()[11:19] {
		fmt.Printf("%d %s: %s %v\n", step.Packet, step.Speaker, step.Line, step.Says)
	}
	// Output:
	// 14 server: 200 PORT command successful. Consider using PASV. The server has done it.
	// 15 client: NLST The client asks for a listing of a directory.
	// 16 server:  Handshake 1 of 3: the server's port 20 connects to the client's announced 35627.
	// 17 client:  Handshake 2 of 3: the client agrees.
	// 18 server:  Handshake 3 of 3: the connection stands.
	// 19 server: 150 Here comes the directory listing. The server begins.
	// 20 server:  The server sends 25 bytes.
	// 22 server:  The server closes its half of the connection.
}
