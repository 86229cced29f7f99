//go:build !unix

package sandbox

import "errors"

func become(_ Identity, _, _ bool) error {
	return errors.New("a process cannot change its user on this system (leave user and group away)")
}

// forbidPrivileges: this system has no such switch.
func forbidPrivileges() (bool, error) { return false, nil }
