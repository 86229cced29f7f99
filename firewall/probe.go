package firewall

import (
	"fmt"
	"strings"
)

// Planes is what this machine can do with data connections in the kernel. Of
// each, nil means that it works, as has been tried; otherwise the error says
// what is missing.
type Planes struct {
	// Conntrack: pinholes as expectations ([OpenConntrack]).
	Conntrack error
	// Netfilter: pinholes by sets and maps ([OpenNetfilter]).
	Netfilter error
	// Redirect and Transparent: a [Redirection] of either kind.
	Redirect, Transparent error
	// Helped are those of the ports asked for to which a rule assigns the
	// kernel's FTP helper: it would change addresses a second time.
	Helped []uint16
	// Standing is why that could not be found out.
	Standing error
}

// String tells all, a line for each.
func (p Planes) String() string {
	var b strings.Builder
	for _, plane := range []struct {
		name string
		err  error
	}{
		{"expectations of connection tracking", p.Conntrack},
		{"pinholes by nftables", p.Netfilter},
		{"redirecting connections (REDIRECT)", p.Redirect},
		{"taking connections as they are (TPROXY)", p.Transparent},
	} {
		if plane.err == nil {
			fmt.Fprintf(&b, "%s: yes\n", plane.name)
		} else {
			fmt.Fprintf(&b, "%s: no: %v\n", plane.name, plane.err)
		}
	}
	for _, port := range p.Helped {
		fmt.Fprintf(&b, "port %d: the kernel's FTP helper reads it as well; take its rule away\n", port)
	}
	if p.Standing != nil {
		fmt.Fprintf(&b, "whether the kernel's FTP helper reads the same ports is not known: %v\n", p.Standing)
	}
	return b.String()
}
