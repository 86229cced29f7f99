package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/landlock-lsm/go-landlock/landlock"
	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
)

// systemFiles are what the system's own look-ups read while the server runs:
// names of hosts (resolv.conf, hosts, nsswitch.conf), of users, time zones. The
// directory /etc and not its files, since DHCP clients put a new resolv.conf in
// place of the old one; what is secret there is guarded by its mode.
var systemFiles = []string{"/etc", "/etc/resolv.conf", "/etc/localtime", "/usr/share/zoneinfo"}

// What Landlock is asked to allow. It denies what is in neither, above all to
// execute anything; a file server makes no devices, sockets and FIFOs either.
const (
	reading landlock.AccessFSSet = ll.AccessFSReadFile | ll.AccessFSReadDir
	writing landlock.AccessFSSet = reading | ll.AccessFSWriteFile | ll.AccessFSTruncate | ll.AccessFSRefer |
		ll.AccessFSMakeReg | ll.AccessFSMakeDir | ll.AccessFSMakeSym | ll.AccessFSRemoveFile | ll.AccessFSRemoveDir
)

// leastABI is the version of Landlock that can rename from one directory to
// another (Linux 5.19). RNFR and RNTO do; version 1 would always refuse.
const leastABI = 2

// confine hides all files but those below the given paths from all threads.
func confine(write, read []string) (bool, string, error) {
	abi, err := ll.LandlockGetABIVersion()
	switch {
	case err != nil:
		return false, fmt.Sprintf("this kernel has no Landlock, or has it switched off (%v)", err), nil
	case abi < leastABI:
		return false, fmt.Sprintf("Landlock version %d of this kernel cannot rename between directories; Linux 5.19 can", abi), nil
	}
	writable, err := directories(write)
	if err != nil {
		return false, "", err
	}
	readable, err := directories(read)
	if err != nil {
		return false, "", err
	}
	system, err := directories(slices.DeleteFunc(slices.Clone(systemFiles), missing))
	if err != nil {
		return false, "", err
	}
	// Version 5 knows all rights to files that are used here. Later ones would
	// also forbid unix sockets, which the service manager listens on.
	err = landlock.V5.BestEffort().RestrictPaths(
		landlock.PathAccess(writing, writable...),
		landlock.PathAccess(reading, readable...),
		landlock.PathAccess(reading, system...),
		landlock.PathAccess(ll.AccessFSReadFile|ll.AccessFSWriteFile, os.DevNull),
	)
	if err != nil {
		return false, "", fmt.Errorf("landlock: %w", err)
	}
	return true, fmt.Sprintf("Landlock version %d: write %q, read %q", abi, writable, readable), nil
}

// directories returns the directories that rules are for: a directory itself,
// the one that holds a file, and both ends of a symbolic link.
func directories(paths []string) ([]string, error) {
	var dirs []string
	add := func(p string) error {
		fi, err := os.Stat(p)
		if err != nil {
			return fmt.Errorf("landlock: %w", err)
		}
		if !fi.IsDir() {
			p = filepath.Dir(p)
		}
		if !slices.Contains(dirs, p) {
			dirs = append(dirs, p)
		}
		return nil
	}
	for _, p := range paths {
		p, err := filepath.Abs(p)
		if err != nil {
			return nil, fmt.Errorf("landlock: %w", err)
		}
		real, err := filepath.EvalSymlinks(p)
		if err != nil {
			return nil, fmt.Errorf("landlock: %w", err)
		}
		if err := errors.Join(add(p), add(real)); err != nil {
			return nil, err
		}
	}
	return dirs, nil
}

func missing(p string) bool {
	_, err := os.Stat(p)
	return errors.Is(err, fs.ErrNotExist)
}
