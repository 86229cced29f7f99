package probe_test

import (
	"context"
	"net/netip"
	"os"
	"syscall"
)

// everyone is every client, those from private networks too.
var everyone = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}

// drop lets connections to one address through alone; to others nobody answers.
func drop(but string) func(context.Context, string, string, syscall.RawConn) error {
	return func(_ context.Context, network, address string, _ syscall.RawConn) error {
		if address == but || network[:3] == "udp" {
			return nil
		}
		return os.ErrDeadlineExceeded
	}
}
