//go:build unix && !linux

package sandbox

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// become changes the user, which on these systems belongs to the process.
func become(id Identity, lowPorts, rules bool) error {
	if lowPorts {
		return errors.New("ports below 1024 cannot be kept on this system (use another port than 20 for active mode)")
	}
	if rules {
		return errors.New("the right to change rules cannot be kept on this system")
	}
	if os.Getuid() == id.UID && os.Geteuid() == id.UID && os.Getgid() == id.GID && os.Getegid() == id.GID {
		return nil
	}
	// The groups first, since only root may set them.
	if err := syscall.Setgroups(id.Groups); err != nil {
		return fmt.Errorf("setgroups as user %d: %w", os.Getuid(), err)
	}
	if err := syscall.Setgid(id.GID); err != nil {
		return fmt.Errorf("setgid: %w", err)
	}
	if err := syscall.Setuid(id.UID); err != nil {
		return fmt.Errorf("setuid: %w", err)
	}
	if id.UID != 0 && syscall.Setuid(0) == nil {
		return errors.New("user 0 can be had again after the change")
	}
	return nil
}

// forbidPrivileges: these systems have no such switch.
func forbidPrivileges() (bool, error) { return false, nil }
