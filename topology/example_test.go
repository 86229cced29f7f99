package topology_test

import (
	"fmt"

	"towpath/topology"
)

func ExampleParse() {
	_, err := topology.Parse([]byte(`
name = "office"

[[link]]
name = "lan"
subnets = ["192.168.1.7/24"]
`))
	fmt.Println(err)
	// Output: line 6, column 1: link[0].subnets: subnet 192.168.1.7/24 has bits set behind its length; want 192.168.1.0/24
}

func ExampleTextbook() {
	n, err := topology.Textbook{NAT: topology.AtClient, Firewall: topology.Strict}.Network()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(n.Title)
	for _, rule := range n.Node("router").Firewall {
		fmt.Println(rule.Do, rule.Ports)
	}
	// Output:
	// the client behind source NAT, a strict firewall before the client
	// accept 21
	// drop
}
