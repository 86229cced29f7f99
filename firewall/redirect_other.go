//go:build !linux

package firewall

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"syscall"
)

var errRedirect = fmt.Errorf("redirecting connections is for Linux: %w", errors.ErrUnsupported)

// Install fails on this system.
func (Redirection) Install() (io.Closer, error) { return nil, errRedirect }

// Original fails on this system.
func Original(syscall.Conn) (netip.AddrPort, error) { return netip.AddrPort{}, errRedirect }

// Transparent fails on this system.
func Transparent(string, string, syscall.RawConn) error { return errRedirect }
