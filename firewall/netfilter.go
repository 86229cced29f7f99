package firewall

import "fmt"

// DefaultMark is the bit of the connection mark that stands for a pinhole,
// bit 21.
const DefaultMark = 1 << 21

// DefaultTable is the name of our table.
const DefaultTable = "towpath"

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
