//go:build unix

package main

import (
	"syscall"

	"golang.org/x/sys/unix"

	"towpath/internal/config"
)

// umask makes m count for the whole process, so that new directories obey it
// as new files do.
func umask(m config.Mode) { syscall.Umask(int(m)) }

// descriptors is how many files and connections the process may have open; 0
// if nobody knows.
func descriptors() int {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil || l.Cur >= 1<<31 {
		return 0
	}
	return int(l.Cur)
}
