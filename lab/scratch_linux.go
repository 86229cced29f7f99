package lab

import (
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// scratch is the directory for what is needed only while a case runs. It lies in
// memory and is mounted nowhere, so that not even kill -9 leaves a file behind.
// Kernels before 5.2, and containers that hide parts of /proc, have the usual
// directory for temporary files.
var scratch = sync.OnceValue(func() string {
	at, err := floating()
	if err != nil {
		return os.TempDir()
	}
	return at
})

// floating makes a file system in memory, to be reached through our descriptor.
func floating() (string, error) {
	fs, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return "", err
	}
	defer unix.Close(fs)
	if err := unix.FsconfigSetString(fs, "mode", "0755"); err != nil {
		return "", err
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return "", err
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0) // ours until we end
	if err != nil {
		return "", err
	}
	at := fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd)
	var here, there unix.Stat_t
	if err := unix.Fstat(fd, &here); err != nil {
		return "", err
	}
	if err := unix.Stat(at, &there); err != nil {
		return "", err
	}
	if here.Dev != there.Dev { // a /proc that counts other processes
		return "", unix.ENOENT
	}
	return at, nil
}
