package firewall_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"time"

	"towpath/firewall"
)

// What a server in the open needs of its own nftables.
func ExampleServer_Plan() {
	server := firewall.Server{Control: []uint16{21}, Passive: firewall.Ports{Low: 50000, High: 50100}}
	set, err := server.Plan(firewall.AtServer)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range set.Rules {
		fmt.Println(r.Way, r.To.Ports, r.Why)
	}
	// Output:
	// in 21 Control connections: clients open them, to port 21.
	// in 50000-50100 Data connections of passive mode: clients open them, to ports 50000-50100.
}

// The same for a list of ports of Docker Compose.
func ExampleFormat_Write() {
	server := firewall.Server{Control: []uint16{21}, Passive: firewall.Ports{Low: 50000, High: 50100}}
	set, err := server.Plan(firewall.AtServer)
	if err != nil {
		fmt.Println(err)
		return
	}
	compose, err := firewall.FormatNamed("compose")
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := compose.Write(os.Stdout, set); err != nil {
		fmt.Println(err)
	}
}

// Leave for one client to open one data connection, within 30 seconds.
func ExampleOpenNetfilter() {
	fw, err := firewall.OpenNetfilter(firewall.NetfilterOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer fw.Close()
	hole, err := fw.Open(context.Background(), firewall.Pinhole{
		From: netip.MustParseAddr("192.0.2.9"),
		To:   netip.MustParseAddrPort("198.51.100.1:50000"),
		Life: 30 * time.Second,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer hole.Close()
}

// What is put into the kernel for pinholes that hang on control connections.
func ExampleConntrackOptions_Plan() {
	if err := (firewall.ConntrackOptions{Ports: []uint16{21, 2121}}).Plan(os.Stdout); err != nil {
		fmt.Println(err)
	}
	// Output:
	// table inet towpath_control {
	// 	flags owner
	//
	// 	ct helper control {
	// 		type "sane" protocol tcp
	// 		l3proto inet
	// 	}
	//
	// 	set ports {
	// 		type inet_service
	// 		elements = { 21, 2121 }
	// 	}
	//
	// 	chain prerouting {
	// 		type filter hook prerouting priority mangle; policy accept;
	// 		ct state new tcp dport @ports ct helper set "control"
	// 	}
	//
	// 	chain output {
	// 		type filter hook output priority mangle; policy accept;
	// 		ct state new tcp dport @ports ct helper set "control"
	// 	}
	//
	// 	chain translate {
	// 		type nat hook prerouting priority dstnat - 10; policy accept;
	// 	}
	// }
}
