//go:build !linux

package lab

import (
	"context"
	"errors"
	"os"

	"towpath/doctor"
	"towpath/topology"
)

var errLinux = errors.New("lab: networks are built out of Linux namespaces; on this system doctor predict says what they would show")

// Enter fails: there are no network namespaces here.
func Enter() (code int, entered bool, err error) { return 1, false, errLinux }

// Case fails: there are no network namespaces here.
func (l *Lab) Case(context.Context, *topology.Network, doctor.Mode) (Result, error) {
	return Result{}, errLinux
}

// Attack fails: there are no network namespaces here.
func (l *Lab) Attack(context.Context, int) ([]Onslaught, error) { return nil, errLinux }

// Shell fails: there are no network namespaces here.
func (l *Lab) Shell(context.Context, *topology.Network, string, func(*os.ProcessState)) error {
	return errLinux
}
