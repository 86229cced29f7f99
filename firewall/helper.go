package firewall

import (
	"errors"
	"fmt"
	"io"
	"slices"
)

// Helper has the kernel's own FTP helper (nf_conntrack_ftp) read control
// connections. Since Linux 6.0 it reads none that no rule assigns to it.
type Helper struct {
	// Table is the name of the table; "" means "towpath_ftp".
	Table string
	// Ports are those that control connections go to; none are port 21.
	Ports []uint16
	// NetNS is a file descriptor of the network namespace to work in; 0 means
	// that of the process.
	NetNS int
}

// HelperLimits is what the helper cannot do, in sentences; as seen with Linux 6.18.
var HelperLimits = []string{
	"TLS: it reads nothing after AUTH TLS, so passive mode needs forwarded ports and active mode fails behind source NAT.",
	"A command or reply that is split over two segments, has two blanks, or ends in LF alone is dropped for ever: the session hangs.",
	"A command that shares a segment with one before it is not seen: no address is changed and no port opened.",
	"A refused PORT and a 227 that nobody asked for open a port all the same, ports below 1024 too.",
	"An opened port stays open for 5 minutes when the session is over.",
	"A server that announces an address other than its own (pasv_address) is not helped.",
	"Control connections to ports that are not listed are not read.",
	"It does not keep the control connection alive: after a transfer longer than the time-out of a NAT the 226 is lost.",
	"It does not translate between active and passive mode, nor between IPv4 and IPv6.",
}

// Rules are what filters that drop must have in their chains for it, as nft
// writes them: only what the helper expects, and no port below 1024.
func (h Helper) Rules() []string {
	return []string{
		"ct state established accept",
		`ct state related ct helper "ftp" tcp dport 1024-65535 accept`,
	}
}

// Plan writes the table that [Helper.Install] makes, as nft writes it, and in
// remarks what else is needed.
func (h Helper) Plan(w io.Writer) error {
	h, err := h.withDefaults()
	if err != nil {
		return err
	}
	remarks := append([]string{
		"Load:   nft -f FILE     Remove: nft delete table inet " + h.Table,
		"Modules, of which the second is for NAT: modprobe -a nf_conntrack_ftp nf_nat_ftp",
		"(not loose=1, which opens ports for any address that is announced)",
		"In each chain of yours that drops:",
	}, h.Rules()...)
	for _, line := range remarks {
		if _, err := fmt.Fprintf(w, "# %s\n", line); err != nil {
			return err
		}
	}
	return h.table().write(w)
}

func (h Helper) withDefaults() (Helper, error) {
	if h.Table == "" {
		h.Table = DefaultTable + "_ftp"
	}
	if len(h.Ports) == 0 {
		h.Ports = []uint16{21}
	}
	if slices.Contains(h.Ports, 0) {
		return h, errors.New("port 0 for control connections; want 1 to 65535")
	}
	return h, nil
}

func (h Helper) table() *table { return helped(h.Table, "ftp", "ftp", h.Ports) }

// helped is a table that gives connections to some ports a helper. The rules
// stand before the NAT, so they see the port that the client has dialled; when
// the first packet has passed it is too late.
func helped(name, object, helper string, ports []uint16) *table {
	s := portSet("ports", ports)
	rules := [][]statement{{isNew{}, in{[]packet{port}, s}, help(object)}}
	return &table{
		name: name, helpers: map[string]string{object: helper}, sets: []*set{s},
		chains: []*chain{
			{"prerouting", "filter", "prerouting", -150, rules},
			{"output", "filter", "output", -150, rules},
		},
	}
}
