//go:build !linux

package firewall

import (
	"errors"
	"fmt"
	"io"
	"syscall"
)

var errRedirect = fmt.Errorf("redirecting connections is for Linux: %w", errors.ErrUnsupported)

// Install fails on this system.
func (Redirection) Install() (io.Closer, error) { return nil, errRedirect }

// Transparent fails on this system.
func Transparent(string, string, syscall.RawConn) error { return errRedirect }
