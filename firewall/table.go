package firewall

import (
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// table is a table of nftables as data. The same value is written for people
// ([table.write]) and put into the kernel (table.install), so what is shown is
// what is done.
type table struct {
	name string
	// owner has the table go with the process that made it.
	owner bool
	// helpers are objects that give a connection a helper, by name.
	helpers map[string]string
	sets    []*set
	chains  []*chain
}

// set is a set of keys, or a map if it has data.
type set struct {
	name      string
	key, data []field
	timeout   bool // its elements come and go; else they are there for good:
	elements  []element
}

// element is one of a set: what it is depends on the key.
type element struct {
	port uint16
	name string // of an interface
	net  netip.Prefix
}

type field string

const (
	address4  field = "ipv4_addr"
	address6  field = "ipv6_addr"
	service   field = "inet_service"
	ifaceName field = "ifname"
)

// chain is a base chain: a hook, and what is done there.
type chain struct {
	name, kind, hook string
	priority         int
	rules            [][]statement
}

// statement is a part of a rule: it matches, or does something.
type statement interface{ text() string }

type (
	// isNew matches the first packet of a connection.
	isNew struct{}
	// isRelated matches the first packet of a connection that was expected.
	isRelated struct{}
	// helpedBy matches a connection that was expected by one with the helper.
	helpedBy string
	// isTCP matches TCP where no port is asked for.
	isTCP struct{}
	// in matches what is in a set, by what the packet shows of the fields.
	in struct {
		what []packet
		set  *set
	}
	// remove takes the key of the packet out of a set.
	remove in
	// marked matches a connection with the bit.
	marked uint32
	// mark sets the bit of the connection.
	mark uint32
	// translate changes the destination, or the source, as a map says.
	translate struct {
		source bool
		f      family
		by     in
	}
	// redirect changes the destination to a port of this host.
	redirect uint16
	// tproxy gives the packet to the listener at a port of this host as it is.
	tproxy struct {
		f    family
		port uint16
	}
	// isFamily matches one family.
	isFamily family
	// transparent matches packets of a socket here that stands for another host.
	transparent struct{}
	// markPacket marks the packet, for the routing.
	markPacket uint32
	// accept ends the chain.
	accept struct{}
	// help gives the connection the helper of an object.
	help string
)

// packet is what can be seen of one.
type packet string

const (
	source4      packet = "ip saddr"
	source6      packet = "ip6 saddr"
	destination4 packet = "ip daddr"
	destination6 packet = "ip6 daddr"
	port         packet = "tcp dport"
	iface        packet = "iifname"
)

// byAddresses is what pinholes go by: who, to whom, to which port.
func byAddresses(f family) []packet {
	if f == v6 {
		return []packet{source6, destination6, port}
	}
	return []packet{source4, destination4, port}
}

// pinholeKey are the fields of [byAddresses].
func pinholeKey(f family) []field { return []field{address(f), address(f), service} }

func address(f family) field {
	if f == v6 {
		return address6
	}
	return address4
}

func join[T ~string](parts []T) string {
	var b strings.Builder
	for i, p := range parts {
		if i > 0 {
			b.WriteString(" . ")
		}
		b.WriteString(string(p))
	}
	return b.String()
}

func (isNew) text() string      { return "ct state new" }
func (isRelated) text() string  { return "ct state related" }
func (s helpedBy) text() string { return fmt.Sprintf("ct helper %q", string(s)) }
func (isTCP) text() string      { return "meta l4proto tcp" }
func (s in) text() string       { return join(s.what) + " @" + s.set.name }
func (accept) text() string     { return "accept" }

func (s remove) text() string     { return fmt.Sprintf("delete @%s { %s }", s.set.name, join(s.what)) }
func (s marked) text() string     { return fmt.Sprintf("ct mark & %#08x != 0x00000000", uint32(s)) }
func (s mark) text() string       { return fmt.Sprintf("ct mark set ct mark | %#08x", uint32(s)) }
func (s redirect) text() string   { return fmt.Sprintf("redirect to :%d", uint16(s)) }
func (s markPacket) text() string { return fmt.Sprintf("meta mark set meta mark | %#08x", uint32(s)) }
func (s help) text() string       { return fmt.Sprintf("ct helper set %q", string(s)) }
func (s isFamily) text() string {
	return "meta nfproto " + map[family]string{v4: "ipv4", v6: "ipv6"}[family(s)]
}
func (transparent) text() string { return "socket transparent 1" }
func (s tproxy) text() string    { return fmt.Sprintf("tproxy %s to :%d", nftFamily(s.f), s.port) }

func (s translate) text() string {
	what := "dnat"
	if s.source {
		what = "snat"
	}
	return fmt.Sprintf("%s %s to %s map @%s", what, nftFamily(s.f), join(s.by.what), s.by.set.name)
}

func (e element) text() string {
	switch {
	case e.name != "":
		return fmt.Sprintf("%q", e.name)
	case e.net.IsValid():
		return host(e.net)
	}
	return fmt.Sprint(e.port)
}

// write writes the table as nft does, and as nft reads it.
func (t *table) write(w io.Writer) error {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("table inet %s {", t.name)
	if t.owner {
		line("\tflags owner\n")
	}
	for _, name := range slices.Sorted(maps.Keys(t.helpers)) {
		line("\tct helper %s {\n\t\ttype %q protocol tcp\n\t\tl3proto inet\n\t}\n", name, t.helpers[name])
	}
	for _, s := range t.sets {
		kind, mapped := "set", ""
		if s.data != nil {
			kind, mapped = "map", " : "+join(s.data)
		}
		line("\t%s %s {\n\t\ttype %s%s", kind, s.name, join(s.key), mapped)
		switch {
		case s.timeout && s.data == nil:
			line("\t\tflags dynamic,timeout")
		case s.timeout:
			line("\t\tflags timeout")
		case s.interval():
			line("\t\tflags interval")
		}
		if len(s.elements) > 0 {
			var all []string
			for _, e := range s.elements {
				all = append(all, e.text())
			}
			line("\t\telements = { %s }", strings.Join(all, ", "))
		}
		line("\t}\n")
	}
	for i, c := range t.chains {
		line("\tchain %s {\n\t\ttype %s hook %s priority %s; policy accept;", c.name, c.kind, c.hook, c.when())
		for _, r := range c.rules {
			var words []string
			for _, s := range r {
				words = append(words, s.text())
			}
			line("\t\t%s", strings.Join(words, " "))
		}
		line("\t}")
		if i < len(t.chains)-1 {
			line("")
		}
	}
	line("}")
	_, err := io.WriteString(w, b.String())
	return err
}

// interval says whether the elements are networks.
func (s *set) interval() bool { return len(s.elements) > 0 && s.elements[0].net.IsValid() }

// when writes a priority as nft does, which knows the usual ones by name.
func (c *chain) when() string {
	for _, k := range []struct {
		name, hook string
		at         int
	}{{"mangle", "", -150}, {"dstnat", "prerouting", -100}, {"filter", "", 0}, {"srcnat", "postrouting", 100}} {
		if k.hook != "" && k.hook != c.hook {
			continue
		}
		switch d := c.priority - k.at; {
		case d == 0:
			return k.name
		case d >= -10 && d < 0:
			return fmt.Sprintf("%s - %d", k.name, -d)
		case d > 0 && d <= 10:
			return fmt.Sprintf("%s + %d", k.name, d)
		}
	}
	return fmt.Sprint(c.priority)
}
