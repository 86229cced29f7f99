package firewall

import (
	"errors"
	"fmt"
	"io"
)

// DefaultMark is the bit of the connection mark that stands for a pinhole,
// bit 21.
const DefaultMark = 1 << 21

// DefaultTable is the name of our table.
const DefaultTable = "towpath"

// ErrTaken: a table of that name belongs to another process, which lives.
var ErrTaken = errors.New("another process has it")

// NetfilterOptions say how [OpenNetfilter] does its work. The zero value is
// ready to use.
type NetfilterOptions struct {
	// Table is the name of the table; "" means [DefaultTable]. Only one
	// process at a time can have it.
	Table string
	// Mark is the one bit of the connection mark that a connection gets when
	// it comes through a pinhole; 0 means [DefaultMark].
	Mark uint32
	// NetNS is a file descriptor of the network namespace to work in; 0 means
	// that of the process.
	NetNS int
}

// Rule is what a filter that drops must have in its chains, as nft writes it:
// the leave that a table of ours gives cannot overrule the drop of another.
func (o NetfilterOptions) Rule() string {
	if o.Mark == 0 {
		o.Mark = DefaultMark
	}
	return fmt.Sprintf("ct mark and %#x != 0 accept", o.Mark)
}

// Plan writes the table that [OpenNetfilter] makes, as nft writes it.
func (o NetfilterOptions) Plan(w io.Writer) error {
	o, err := o.withDefaults()
	if err != nil {
		return err
	}
	return o.table().write(w)
}

func (o NetfilterOptions) withDefaults() (NetfilterOptions, error) {
	if o.Table == "" {
		o.Table = DefaultTable
	}
	var err error
	o.Mark, err = oneBit(o.Mark)
	return o, err
}

// oneBit is a mark, or the default.
func oneBit(mark uint32) (uint32, error) {
	switch {
	case mark == 0:
		return DefaultMark, nil
	case mark&(mark-1) != 0:
		return 0, fmt.Errorf("mark %#x: several bits; give one that nobody else uses, as %#x", mark, DefaultMark)
	}
	return mark, nil
}

// pinTable is the table of pinholes, with its sets at hand.
type pinTable struct {
	table
	// pin and via let a connection in, the one as it is and the other to be led
	// on. to says where, as and port by what address the listener sees it; with
	// port the port is said too.
	pin, via, to, as, port map[family]*set
}

func (o NetfilterOptions) table() *pinTable {
	t := &pinTable{table: table{name: o.Table, owner: true}}
	sets := func(name string, data func(family) []field) map[family]*set {
		both := map[family]*set{}
		for _, f := range families {
			s := &set{name: name + map[family]string{v4: "4", v6: "6"}[f], key: pinholeKey(f), timeout: true}
			if data != nil {
				s.data = data(f)
			}
			both[f] = s
			t.sets = append(t.sets, s)
		}
		return both
	}
	endpoint := func(f family) []field { return []field{address(f), service} }
	t.pin, t.via = sets("pin", nil), sets("via", nil)
	t.to, t.port = sets("to", endpoint), sets("port", endpoint)
	t.as = sets("as", func(f family) []field { return []field{address(f)} })

	var admit, lead, mask [][]statement
	for _, f := range families {
		by := byAddresses(f)
		pin, via := in{by, t.pin[f]}, in{by, t.via[f]}
		admit = append(admit, []statement{isNew{}, pin, mark(o.Mark), remove(pin)})
		lead = append(lead, []statement{isNew{}, via, mark(o.Mark), remove(via), translate{f: f, by: in{by, t.to[f]}}})
		for _, as := range []*set{t.port[f], t.as[f]} {
			mask = append(mask, []statement{marked(o.Mark), translate{source: true, f: f, by: in{by, as}}})
		}
	}
	t.chains = []*chain{
		// Before the destination NAT of others: the first that translates wins.
		{"prerouting", "nat", "prerouting", -110, lead},
		{"local", "nat", "output", -110, lead},
		// Before the filter, which is at 0, and behind the destination NAT.
		{"input", "filter", "input", -10, admit},
		{"forward", "filter", "forward", -10, admit},
		{"output", "filter", "output", -10, admit},
		{"postrouting", "nat", "postrouting", 90, mask},
	}
	return t
}
