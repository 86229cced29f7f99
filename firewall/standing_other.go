//go:build !linux

package firewall

import (
	"errors"
	"fmt"
	"net/netip"
)

// Standing are the rules in the kernel of Linux; elsewhere they are not read.
type Standing struct{}

// ReadStanding fails on this system.
func ReadStanding(int) (*Standing, error) {
	return nil, fmt.Errorf("rules in the kernel are read on Linux: %w", errors.ErrUnsupported)
}

// Input knows nothing on this system.
func (*Standing) Input(netip.AddrPort) (Leave, string) { return Unsure, "" }

// Helped knows nothing on this system.
func (*Standing) Helped(Way, uint16) Leave { return Unsure }
