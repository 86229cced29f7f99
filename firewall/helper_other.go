//go:build !linux

package firewall

import (
	"errors"
	"fmt"
)

var errHelper = fmt.Errorf("the FTP helper is of Linux: %w", errors.ErrUnsupported)

// Install fails on this system.
func (Helper) Install() error { return errHelper }

// Remove fails on this system.
func (Helper) Remove() error { return errHelper }
