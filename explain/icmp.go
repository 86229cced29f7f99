package explain

import (
	"fmt"

	"towpath/capture"
)

// icmp is the last answer of a router or a host that a connection comes no
// further, nil if there was none.
func (l *link) icmp() *capture.ICMP {
	for i := len(l.conn.Errors) - 1; i >= 0; i-- {
		if e := &l.conn.Errors[i]; unreachable(e) != "" {
			return e
		}
	}
	return nil
}

// stopped names the finding that an answer makes, and what it says.
func stopped(e *capture.ICMP) (name, what string) {
	switch what = unreachable(e); what {
	case "port unreachable", "prohibited":
		return "firewall.icmp", what // a host without a listener answers a SYN by a RST
	}
	return "no-route", what
}

// unreachable says what an answer means, in the words of RFC 792, RFC 1812 5.2.7.1
// and RFC 4443 3; nothing if it stops no connection: packets that are too big are
// sent again in smaller ones.
func unreachable(e *capture.ICMP) string {
	if e.V6 {
		switch {
		case e.Type == 3:
			return "time exceeded"
		case e.Type != 1:
			return ""
		}
		switch e.Code {
		case 0:
			return "no route"
		case 1, 5, 6:
			return "prohibited"
		case 3:
			return "address unreachable"
		case 4:
			return "port unreachable"
		}
		return fmt.Sprintf("code %d", e.Code)
	}
	switch {
	case e.Type == 11:
		return "time exceeded"
	case e.Type != 3 || e.Code == 4:
		return ""
	}
	switch e.Code {
	case 0, 6, 11:
		return "network unreachable"
	case 1, 7, 12:
		return "host unreachable"
	case 2:
		return "protocol unreachable"
	case 3:
		return "port unreachable"
	case 9, 10, 13:
		return "prohibited"
	}
	return fmt.Sprintf("code %d", e.Code)
}
