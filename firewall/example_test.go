package firewall_test

import (
	"fmt"
	"os"

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
