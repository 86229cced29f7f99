//go:build !linux

package firewall

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Conntrack opens pinholes as expectations of Linux's connection tracking;
// elsewhere there is none.
type Conntrack struct{}

var errConntrack = fmt.Errorf("expectations in the kernel are for Linux: %w", errors.ErrUnsupported)

// OpenConntrack fails on this system.
func OpenConntrack(ConntrackOptions) (*Conntrack, error) { return nil, errConntrack }

// Attend fails on this system.
func (*Conntrack) Attend(uint16) error { return errConntrack }

// Sweep fails on this system.
func (*Conntrack) Sweep() error { return errConntrack }

// Open implements [Opener]. It fails on this system.
func (*Conntrack) Open(context.Context, Pinhole) (io.Closer, error) { return nil, errConntrack }

// Close does nothing on this system.
func (*Conntrack) Close() error { return nil }
