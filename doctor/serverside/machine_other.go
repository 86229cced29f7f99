//go:build !linux

package serverside

import (
	"errors"
	"fmt"
)

var errNone = fmt.Errorf("not known on this system: %w", errors.ErrUnsupported)

func listening() ([]uint16, error) { return nil, errNone }

func kernelHelper() (Helper, error) { return Helper{}, nil } // it is Linux's own
