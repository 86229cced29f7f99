package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// inside marks the process that Enter has begun: "1", or "soon" while it waits
// for users that are lent, and "lent" then.
const inside = "TOWPATH_LAB_INSIDE"

// Enter makes the process root of a user namespace of its own, with namespaces
// for networks and processes. A program calls it before anything else that it
// does for the lab:
//
//	if code, entered, err := lab.Enter(); !entered {
//		return code, err // the program has run inside, and ended with this code
//	}
//
// It does so by running the same command line once more. Whatever that process
// makes, hosts, links, rules and servers, is gone when it ends, and it ends when
// we do, even by kill -9.
func Enter() (code int, entered bool, err error) {
	if part := os.Getenv(role); part != "" {
		os.Exit(play(part))
	}
	switch os.Getenv(inside) {
	case "":
	case "soon":
		return 1, false, awaitUsers()
	case "lent":
		endWithParent()
		fallthrough
	default:
		ownProc()
		return 0, true, os.Unsetenv(inside)
	}
	// The signal at our end is sent when this thread ends, not when the process does.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd, alive := startMapped()
	if alive != nil {
		defer alive.Close()
	} else {
		cmd = again("1")
		cmd.SysProcAttr.UidMappings = mapping(os.Getuid(), "/proc/self/uid_map")
		cmd.SysProcAttr.GidMappings = mapping(os.Getgid(), "/proc/self/gid_map")
		// Without privileges the kernel wants this off.
		cmd.SysProcAttr.GidMappingsEnableSetgroups = os.Getuid() == 0 && has65536("/proc/self/gid_map")
		if err := cmd.Start(); err != nil {
			return 1, false, forbidden(err)
		}
	}
	passed := make(chan os.Signal, 1)
	signal.Notify(passed, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(passed)
	go func() {
		for s := range passed {
			if s != os.Interrupt { // the terminal tells all of the group
				_ = cmd.Process.Signal(s) // it may have ended
			}
		}
	}()
	err = cmd.Wait()
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		if code := e.ExitCode(); code >= 0 {
			return code, false, nil
		}
	}
	if err != nil {
		return 1, false, fmt.Errorf("lab: %w", err)
	}
	return 0, false, nil
}

// again is the same command line in namespaces of its own, whose users are still
// to be said.
func again(mark string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), inside+"="+mark)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWIPC,
		Pdeathsig:  unix.SIGKILL,
	}
	return cmd
}

// ownProc shows our processes in /proc in place of those outside. Where parts of
// /proc are hidden, as in most containers, the kernel forbids it, and we do
// without.
func ownProc() {
	if unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") == nil {
		_ = unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	}
}

// mapping makes us root inside. Root can take all ids along, which servers that
// become somebody else need; others have only their own, and so has a root who
// is root of a namespace with fewer ids.
func mapping(id int, file string) []syscall.SysProcIDMap {
	if os.Getuid() == 0 && has65536(file) {
		return []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 65536}}
	}
	return []syscall.SysProcIDMap{{ContainerID: 0, HostID: id, Size: 1}}
}

// has65536 says whether we know the ids from 0 to 65535, as a line of uid_map
// says: the first here, the first outside, how many.
func has65536(file string) bool {
	text, err := os.ReadFile(file)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		var first, outside, count uint64
		if n, _ := fmt.Sscan(line, &first, &outside, &count); n == 3 && first == 0 && count >= 65536 {
			return true
		}
	}
	return false
}

// forbidden says how to allow what the kernel has refused.
func forbidden(err error) error {
	if !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EACCES) {
		return fmt.Errorf("lab: no namespaces: %w", err)
	}
	for _, k := range []struct{ file, bad, cure string }{
		{"/proc/sys/user/max_user_namespaces", "0", "sysctl user.max_user_namespaces=1000"},
		{"/proc/sys/kernel/unprivileged_userns_clone", "0", "sysctl kernel.unprivileged_userns_clone=1"},
		{"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "sysctl kernel.apparmor_restrict_unprivileged_userns=0"},
	} {
		if b, e := os.ReadFile(k.file); e == nil && strings.TrimSpace(string(b)) == k.bad {
			return fmt.Errorf("lab: this kernel forbids user namespaces (%w); as root, %s allows them", err, k.cure)
		}
	}
	return fmt.Errorf("lab: user namespaces are forbidden here (%w); in Docker, --security-opt seccomp=unconfined or --privileged allows them", err)
}
