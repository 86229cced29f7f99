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
	//
	// 	chain input {
	// 		type filter hook input priority filter - 10; policy accept;
	// 		ct state related ct helper "sane" ct mark set ct mark | 0x00200000
	// 	}
	//
	// 	chain forward {
	// 		type filter hook forward priority filter - 10; policy accept;
	// 		ct state related ct helper "sane" ct mark set ct mark | 0x00200000
	// 	}
	// }
}

// The rules of a transparent gateway that listens on port 2121.
func ExampleRedirection_Plan() {
	r := firewall.Redirection{
		To: 2121, Interfaces: []string{"eth1"},
		Clients: []netip.Prefix{netip.MustParsePrefix("192.168.0.0/16")},
	}
	if err := r.Plan(os.Stdout); err != nil {
		fmt.Println(err)
	}
	// Output:
	// table inet towpath_redirect {
	// 	flags owner
	//
	// 	set ports {
	// 		type inet_service
	// 		elements = { 21 }
	// 	}
	//
	// 	set interfaces {
	// 		type ifname
	// 		elements = { "eth1" }
	// 	}
	//
	// 	set clients4 {
	// 		type ipv4_addr
	// 		flags interval
	// 		elements = { 192.168.0.0/16 }
	// 	}
	//
	// 	chain prerouting {
	// 		type nat hook prerouting priority dstnat - 10; policy accept;
	// 		iifname @interfaces ip saddr @clients4 tcp dport @ports redirect to :2121
	// 	}
	// }
}

// What gives the kernel's own FTP helper back to port 21.
func ExampleHelper_Plan() {
	if err := (firewall.Helper{}).Plan(os.Stdout); err != nil {
		fmt.Println(err)
	}
	// Output:
	// # Load:   nft -f FILE     Remove: nft delete table inet towpath_ftp
	// # Modules, of which the second is for NAT: modprobe -a nf_conntrack_ftp nf_nat_ftp
	// # (not loose=1, which opens ports for any address that is announced)
	// # In each chain of yours that drops:
	// # ct state established accept
	// # ct state related ct helper "ftp" tcp dport 1024-65535 accept
	// table inet towpath_ftp {
	// 	ct helper ftp {
	// 		type "ftp" protocol tcp
	// 		l3proto inet
	// 	}
	//
	// 	set ports {
	// 		type inet_service
	// 		elements = { 21 }
	// 	}
	//
	// 	chain prerouting {
	// 		type filter hook prerouting priority mangle; policy accept;
	// 		ct state new tcp dport @ports ct helper set "ftp"
	// 	}
	//
	// 	chain output {
	// 		type filter hook output priority mangle; policy accept;
	// 		ct state new tcp dport @ports ct helper set "ftp"
	// 	}
	// }
}
