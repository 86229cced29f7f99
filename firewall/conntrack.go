package firewall

import (
	"errors"
	"io"
	"slices"
)

// ConntrackOptions say how [OpenConntrack] does its work. The zero value is
// ready to use.
type ConntrackOptions struct {
	// Table is the name of the table; "" means "towpath_control". Only one
	// process at a time can have it.
	Table string
	// Ports are those that control connections go to, on both sides of a
	// gateway; none are port 21. Connections that are there already stay as
	// they are.
	Ports []uint16
	// Mark is the one bit of the connection mark that data connections get
	// which have been expected; 0 means [DefaultMark]. So a filter may ask for
	// the mark as well.
	Mark uint32
	// NetNS is a file descriptor of the network namespace to work in; 0 means
	// that of the process.
	NetNS int
}

// inert is a helper of the kernel that reads TCP and finds nothing in FTP: it
// waits for an answer that begins with four zero bytes, and we send none.
const inert = "sane"

// Plan writes the table that [OpenConntrack] makes, as nft writes it.
func (o ConntrackOptions) Plan(w io.Writer) error {
	o, err := o.withDefaults()
	if err != nil {
		return err
	}
	t, _ := o.table()
	return t.write(w)
}

func (o ConntrackOptions) withDefaults() (ConntrackOptions, error) {
	if o.Table == "" {
		o.Table = DefaultTable + "_control"
	}
	if len(o.Ports) == 0 {
		o.Ports = []uint16{21}
	}
	if slices.Contains(o.Ports, 0) {
		return o, errors.New("port 0 for control connections; want 1 to 65535")
	}
	var err error
	o.Mark, err = oneBit(o.Mark)
	return o, err
}

// table is what has control connections take expectations, and the set of their
// ports in it.
func (o ConntrackOptions) table() (*table, *set) {
	t := helped(o.Table, "control", inert, o.Ports)
	t.owner = true
	// Without a chain of this type nobody translates at all.
	t.chains = append(t.chains, &chain{"translate", "nat", "prerouting", -110, nil})
	known := [][]statement{{isRelated{}, helpedBy(inert), mark(o.Mark)}}
	for _, hook := range []string{"input", "forward"} {
		t.chains = append(t.chains, &chain{hook, "filter", hook, -10, known})
	}
	return t, t.sets[0]
}

func portSet(name string, ports []uint16) *set {
	s := &set{name: name, key: []field{service}}
	for _, p := range slices.Compact(slices.Sorted(slices.Values(ports))) {
		s.elements = append(s.elements, element{port: p})
	}
	return s
}
