package sandbox

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/psx"
)

// become changes the user of all threads for good, and keeps of all
// capabilities those two at most that are asked for.
//
// Users and capabilities belong to threads in Linux. Package syscall changes
// the user on all of them; psx does the same for other calls, with and without
// cgo. No ambient capabilities are needed: nothing is executed from here.
func become(id Identity, lowPorts, rules bool) error {
	if id.UID == 0 {
		return change(id) // who asks for root by name wants what root can do
	}
	var keep uint32
	var rights, names []string
	if lowPorts {
		keep |= 1 << unix.CAP_NET_BIND_SERVICE
		rights, names = append(rights, "to bind low ports"), append(names, "CAP_NET_BIND_SERVICE")
	}
	if rules {
		keep |= 1 << unix.CAP_NET_ADMIN
		rights, names = append(rights, "to change rules"), append(names, "CAP_NET_ADMIN")
	}
	if keep != 0 {
		// Leaving user 0 empties the permitted set unless this flag is set.
		if err := prctl(unix.PR_SET_KEEPCAPS, 1); err != nil {
			return fmt.Errorf("keep capabilities: %w", err)
		}
	}
	if err := change(id); err != nil {
		return err
	}
	// Also if none is kept: a service manager may have given us capabilities
	// that a change of user does not take away.
	if err := capset(keep); err != nil {
		if keep != 0 && errors.Is(err, unix.EPERM) {
			return fmt.Errorf("keep the right %s, which this process does not have (%s): %w", strings.Join(rights, " and "), strings.Join(names, ", "), err)
		}
		return fmt.Errorf("drop capabilities: %w", err)
	}
	if keep != 0 {
		if err := prctl(unix.PR_SET_KEEPCAPS, 0); err != nil {
			return fmt.Errorf("keep no more capabilities: %w", err)
		}
	}
	return check(id)
}

// change sets groups and user: the groups first, since only root may. A process
// that is the wanted one already changes nothing and needs no right to.
func change(id Identity) error {
	if check(id) == nil {
		return nil
	}
	if err := syscall.Setgroups(id.Groups); errors.Is(err, unix.EPERM) {
		return fmt.Errorf("this process is user %d and may not (start it as root, or leave the user away): setgroups: %w", os.Getuid(), err)
	} else if err != nil {
		return fmt.Errorf("setgroups: %w", err)
	}
	if err := syscall.Setresgid(id.GID, id.GID, id.GID); err != nil {
		return fmt.Errorf("setresgid: %w", err)
	}
	if err := syscall.Setresuid(id.UID, id.UID, id.UID); err != nil {
		return fmt.Errorf("setresuid: %w", err)
	}
	return nil
}

// check says whether the process is the wanted user in all three ways there
// are to be one. A saved user 0 would let it become root again.
func check(id Identity) error {
	ruid, euid, suid := unix.Getresuid()
	rgid, egid, sgid := unix.Getresgid()
	if ruid != id.UID || euid != id.UID || suid != id.UID {
		return fmt.Errorf("user is %d/%d/%d after the change", ruid, euid, suid)
	}
	if rgid != id.GID || egid != id.GID || sgid != id.GID {
		return fmt.Errorf("group is %d/%d/%d after the change", rgid, egid, sgid)
	}
	return nil
}

// capset gives all threads the permitted and effective capabilities of a bit
// mask (of the first 32, where all that we may keep are), inheritable none.
func capset(keep uint32) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := [2]unix.CapUserData{{Effective: keep, Permitted: keep}}
	_, _, errno := psx.Syscall3(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&data)), 0)
	if errno != 0 {
		return fmt.Errorf("capset: %w", errno)
	}
	return nil
}

// forbidPrivileges makes set-user-id programs and file capabilities without
// effect for all that is executed from here.
func forbidPrivileges() (bool, error) {
	if err := prctl(unix.PR_SET_NO_NEW_PRIVS, 1); err != nil {
		return false, fmt.Errorf("forbid new privileges: %w", err)
	}
	return true, nil
}

func prctl(option, value uintptr) error {
	if _, _, errno := psx.Syscall6(unix.SYS_PRCTL, option, value, 0, 0, 0, 0); errno != 0 {
		return fmt.Errorf("prctl: %w", errno)
	}
	return nil
}
