package topology_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"towpath/topology"
)

// equal lets nil and empty be one, and looks into addresses.
var equal = cmp.Options{
	cmpopts.EquateEmpty(),
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
}

func TestCatalogue(t *testing.T) {
	t.Parallel()
	all := topology.Catalogue()
	if len(all) < 30 {
		t.Errorf("%d networks, want at least 30", len(all))
	}
	seen := map[string]bool{}
	for _, n := range all {
		if seen[n.Name] {
			t.Errorf("%s is there twice", n.Name)
		}
		seen[n.Name] = true
		text, err := n.Format()
		if err != nil {
			t.Errorf("%s: %v", n.Name, err)
			continue
		}
		again, err := topology.Parse(text)
		if err != nil {
			t.Errorf("%s: %v\n%s", n.Name, err, text)
			continue
		}
		if diff := cmp.Diff(n, again, equal); diff != "" {
			t.Errorf("%s: -drawn +read\n%s", n.Name, diff)
		}
		if diff := cmp.Diff(n, n.Clone(), equal); diff != "" {
			t.Errorf("%s: -drawn +cloned\n%s", n.Name, diff)
		}
	}
}

// A catalogue that was changed does not stay so.
func TestCatalogueIsNew(t *testing.T) {
	t.Parallel()
	topology.Catalogue()[0].Routers[0].Name = "spoilt"
	n, err := topology.Lookup(topology.Catalogue()[0].Name)
	if err != nil || n.Routers[0].Name == "spoilt" {
		t.Errorf("%v, %v", n.Routers[0].Name, err)
	}
	if _, err := topology.Lookup("client-outside"); err == nil || !strings.Contains(err.Error(), "client-inside") {
		t.Errorf("%v: want networks that have such names", err)
	}
}

// All textbooks that flags can ask for can be built.
func TestTextbook(t *testing.T) {
	t.Parallel()
	for _, nat := range []topology.End{"", topology.Neither, topology.AtClient, topology.AtServer} {
		for _, fw := range []topology.Strength{"", topology.Open, topology.StatefulFirewall, topology.Strict} {
			for _, at := range []topology.End{"", topology.AtClient, topology.AtServer} {
				b := topology.Textbook{NAT: nat, Firewall: fw, At: at, ALG: true}
				n, err := b.Network()
				if err == nil {
					err = n.Validate()
				}
				if err != nil {
					t.Errorf("%+v: %v", b, err)
				}
			}
		}
	}
	for _, b := range []topology.Textbook{{NAT: "both"}, {Firewall: "shut"}, {At: topology.Neither}, {Client: "wget"}} {
		if _, err := b.Network(); err == nil || !strings.Contains(err.Error(), "want") {
			t.Errorf("%+v: %v, want an error that says what would be right", b, err)
		}
	}
}

const small = `name = "small"

[session]
from = "client"
to = "192.0.2.1:21"

[[link]]
name = "lan"
subnets = ["192.0.2.0/24"]

[[host]]
name = "client"
[host.client]
[[host.interface]]
name = "eth0"
link = "lan"
addresses = ["192.0.2.2/24"]

[[host]]
name = "server"
[host.server]
passive = "50000-50009"
[[host.interface]]
name = "eth0"
link = "lan"
addresses = ["192.0.2.1/24"]

[[router]]
name = "a"
interface = [{ name = "x", link = "lan", addresses = ["192.0.2.11/24"] }]
[[router.route]]
to = "0.0.0.0/0"
via = "192.0.2.12"

[[router]]
name = "b"
[[router.interface]]
name = "y"
link = "lan"
addresses = ["192.0.2.12/24"]
`

// What cannot be is told with its line, its value, and what would be right.
func TestBadNetworks(t *testing.T) {
	t.Parallel()
	if _, err := topology.Parse([]byte(small)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name     string
		old, new string
		line     int
		want     string
	}{
		{"syntax", `name = "small"`, `name = small`, 1, ""},
		{"unknown key", `passive = "50000-50009"`, `pasive = "50000-50009"`, 22, "pasive"},
		{"range turned round", `"50000-50009"`, `"50009-50000"`, 22, "want 50000-50009"},
		{"no number", `"50000-50009"`, `"50000-"`, 22, "want numbers"},
		{"outside its link", `"192.0.2.2/24"`, `"192.0.3.2/24"`, 17, "192.0.3.2/24 is outside its link"},
		{"twice", `"192.0.2.2/24"`, `"192.0.2.1/24"`, 26, "also the address of client"},
		{"no such link", `link = "lan"` + "\n" + `addresses = ["192.0.2.2/24"]`, `link = "lam"` + "\n" + `addresses = ["192.0.2.2/24"]`, 16, "want one of lan"},
		{"inline", `link = "lan", addresses`, `link = "wan", addresses`, 30, "want one of lan"},
		{"missing interface", "[[router.interface]]\nname = \"y\"\nlink = \"lan\"\naddresses = [\"192.0.2.12/24\"]\n", "", 35, "b has no interface"},
		{"via nobody", `"192.0.2.12"`, `"192.0.2.13"`, 33, "address of nobody"},
		{"via a stranger", `"192.0.2.12"`, `"192.0.9.12"`, 33, "no link of a"},
		{"via a host", `"192.0.2.12"`, `"192.0.2.2"`, 33, "the host client"},
		{"bits behind", `"0.0.0.0/0"`, `"10.1.0.0/8"`, 32, "want 10.0.0.0/8"},
		{"subnet of both families", "subnets = [\"192.0.2.0/24\"]", "subnets = [\"::ffff:192.0.2.0/120\"]", 9, "want an address of IPv4"},
		{"zone", "[host.client]", "[host.client]\nexternal = \"fe80::1%eth0\"", 14, "without a zone"},
		{"route twice", "via = \"192.0.2.12\"", "via = \"192.0.2.12\"\n[[router.route]]\nto = \"0.0.0.0/0\"\nvia = \"192.0.2.1\"", 35, "a has a route to 0.0.0.0/0 already"},
		{"route to its own link", `to = "0.0.0.0/0"`, `to = "192.0.2.0/24"`, 32, "none to those of its own interfaces"},
		{"two families", "[[router]]\nname = \"b\"", "[[router]]\nname = \"b\"\nsource-nat = [{ out = \"y\", addresses = [\"192.0.2.12\", \"2001:db8::1\"] }]", 37, "want a rule for each"},
		{"loop", `addresses = ["192.0.2.12/24"]`, "addresses = [\"192.0.2.12/24\"]\n[[router.route]]\nto = \"0.0.0.0/0\"\nvia = \"192.0.2.11\"\n", 33, "a -> b -> a"},
		{"no client", `from = "client"`, `from = "server"`, 4, "want one of [client]"},
		{"name", `name = "small"`, `name = "Small net"`, 1, "small letters"},
		{"forward on a host", "[host.server]", "[[host.forward]]\naddress = \"192.0.2.1\"\nto = [\"192.0.2.2\"]\n[host.server]", 19, "among the routers"},
		{"rule of no interface", "[[router]]\nname = \"b\"", "[[router]]\nname = \"b\"\nfirewall = [{ in = \"eth9\", do = \"drop\" }]", 37, "want one of y"},
		{"action", "[[router]]\nname = \"b\"", "[[router]]\nname = \"b\"\nfirewall = [{ do = \"deny\" }]", 37, "want accept, drop, reject or reset"},
		{"kernel and TLS", "[[router]]\nname = \"b\"", "[[router]]\nname = \"b\"\nalg = { kind = \"kernel\", ports = \"21\", terminate-tls = true }", 37, "want kind = \"gateway\""},
		{"duration", "[[router]]\nname = \"b\"", "[[router]]\nname = \"b\"\nidle = \"3\"", 37, "want a number with a unit"},
	} {
		text := strings.Replace(small, tt.old, tt.new, 1)
		if text == small {
			t.Errorf("%s: nothing was changed", tt.name)
			continue
		}
		_, err := topology.Parse([]byte(text))
		e, ok := errors.AsType[*topology.Error](err)
		if !ok {
			t.Errorf("%s: %v, want an *Error", tt.name, err)
			continue
		}
		if e.Line != tt.line || e.Column < 1 || !strings.Contains(e.Error(), tt.want) {
			t.Errorf("%s: %v\nwant line %d and %q", tt.name, e, tt.line, tt.want)
		}
	}
}

// A link without subnets is told, also where somebody stands on it without an
// address.
func TestNoSubnets(t *testing.T) {
	t.Parallel()
	n, err := topology.Lookup("no-nat")
	if err != nil {
		t.Fatal(err)
	}
	for i := range n.Links {
		n.Links[i].Subnets = nil
	}
	for _, node := range n.Nodes() {
		for i := range node.Interfaces {
			node.Interfaces[i].Addresses = nil
		}
	}
	if err := n.Validate(); err == nil || !strings.Contains(err.Error(), "has no subnet") {
		t.Errorf("%v, want that there is no subnet", err)
	}
}

// What is read is written and read again as the same.
func FuzzParse(f *testing.F) {
	f.Add([]byte(small))
	for _, n := range topology.Catalogue() {
		if text, err := n.Format(); err == nil {
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := topology.Parse(data)
		if err != nil {
			return
		}
		text, err := n.Format()
		if err != nil {
			t.Fatalf("%v\n%s", err, data)
		}
		again, err := topology.Parse(text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if diff := cmp.Diff(n, again, equal); diff != "" {
			t.Fatalf("-first +second\n%s", diff)
		}
	})
}

func FuzzPorts(f *testing.F) {
	f.Add("21,50000-50009")
	f.Add("1-65535")
	f.Add("9-2")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := topology.ParsePorts(s)
		if err != nil {
			return
		}
		again, err := topology.ParsePorts(p.String())
		if err != nil || again.String() != p.String() || !again.Contains(p[0].Low) {
			t.Errorf("%q: %v, %v, %v", s, p, again, err)
		}
	})
}
