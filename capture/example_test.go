package capture_test

import (
	"bytes"
	"fmt"
	"log"
	"strings"

	"towpath/capture"
)

// conversation prints the lines of connections to port 21, and counts what
// passes on others.
type conversation struct{}

func (conversation) Open(c *capture.Conn) capture.Stream { return lines{c} }

type lines struct{ *capture.Conn }

func (l lines) Data(d capture.Direction, _ int64, b []byte, p *capture.Packet) bool {
	if l.Server.Port() != 21 {
		return false // only counted
	}
	for line := range strings.Lines(string(b)) {
		fmt.Printf("%3d %v: %s\n", p.Number, d, strings.TrimSpace(line))
	}
	return true
}

func (l lines) Gap(d capture.Direction, from, to int64, _ *capture.Packet) {
	fmt.Printf("    %d bytes of the %v are missing\n", to-from, d)
}

func (l lines) Close(c *capture.Conn) {
	fmt.Printf("    %v to %v: %d bytes there, %d back, %v\n", c.Client, c.Server, c.Side(capture.FromClient).Bytes, c.Side(capture.FromServer).Bytes, c.Ended)
}

func Example() {
	r, err := capture.Open("testdata/sv-active-loopback.pcap")
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	t := capture.NewTracker(conversation{}, capture.Options{})
	for p, err := range r.Packets() {
		if err != nil {
			log.Fatal(err)
		}
		t.Packet(p)
	}
	t.Close()
	for _, n := range append(r.Notes(), t.Notes()...) {
		fmt.Println(n)
	}
	// Output:
	//   4 server: 220 (vsFTPd 3.0.3)
	//   6 client: USER anonymous
	//   8 server: 331 Please specify the password.
	//  10 client: PASS anonymous
	//  12 server: 230 Login successful.
	//  14 client: SYST
	//  16 server: 215 UNIX Type: L8
	//  18 client: TYPE I
	//  20 server: 200 Switching to Binary mode.
	//  22 client: PORT 127,0,0,1,156,67
	//  23 server: 200 PORT command successful. Consider using PASV.
	//  25 client: RETR index.html
	//  29 server: 150 Opening BINARY mode data connection for index.html (39 bytes).
	//     127.0.0.1:20 to 127.0.0.1:40003: 39 bytes there, 0 back, finished
	//  36 server: 226 Transfer complete.
	//  38 client: QUIT
	//  39 server: 221 Goodbye.
	//     127.0.0.1:38736 to 127.0.0.1:21: 92 bytes there, 284 back, finished
}

func ExampleDecode() {
	r, err := capture.Open("testdata/sv-active-loopback.pcap")
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	for p, err := range r.Packets() {
		if err != nil {
			log.Fatal(err)
		}
		if s, ok := capture.Decode(p); ok && p.Number <= 3 {
			fmt.Printf("%d %v to %v: %v\n", p.Number, s.From(), s.To(), s.Flags)
		}
	}
	// Output:
	// 1 127.0.0.1:38736 to 127.0.0.1:21: SYN
	// 2 127.0.0.1:21 to 127.0.0.1:38736: SYN, ACK
	// 3 127.0.0.1:38736 to 127.0.0.1:21: ACK
}

// The first packets of a capture, kept in a file of their own.
func ExampleWriter() {
	r, err := capture.Open("testdata/zeek-ipv4.pcap")
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	var file bytes.Buffer
	w := capture.NewWriter(&file)
	for p, err := range r.Packets() {
		if err != nil {
			log.Fatal(err)
		}
		if p.Number > 3 {
			break
		}
		if err := w.Write(p); err != nil {
			log.Fatal(err)
		}
	}

	kept, err := capture.NewReader(&file, "kept")
	if err != nil {
		log.Fatal(err)
	}
	for p := range kept.Packets() {
		fmt.Println(p.Number, p.Time, p.Link, p.Length)
	}
	// Output:
	// 1 2012-02-21 16:52:41.968492 +0000 UTC Ethernet 74
	// 2 2012-02-21 16:52:42.024025 +0000 UTC Ethernet 78
	// 3 2012-02-21 16:52:42.024058 +0000 UTC Ethernet 66
}
