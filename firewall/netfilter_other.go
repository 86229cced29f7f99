//go:build !linux

package firewall

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Netfilter opens pinholes in the kernel of Linux; elsewhere there is none.
type Netfilter struct{}

var errNetfilter = fmt.Errorf("pinholes in the kernel are for Linux: %w", errors.ErrUnsupported)

// OpenNetfilter fails on this system.
func OpenNetfilter(NetfilterOptions) (*Netfilter, error) { return nil, errNetfilter }

// Open implements [Opener]. It fails on this system.
func (*Netfilter) Open(context.Context, Pinhole) (io.Closer, error) { return nil, errNetfilter }

// Close does nothing on this system.
func (*Netfilter) Close() error { return nil }
