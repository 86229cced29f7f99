package lab

import (
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// scratch is the directory for what is needed only while a case runs. It lies in
// memory and is seen by nobody outside, so that not even kill -9 leaves a file
// behind. It covers /sys, where no user keeps files and no FTP program looks
// (ProFTPD wants a path that it can follow, so that it must be somewhere). Where
// that is forbidden it is the usual directory for temporary files.
var scratch = sync.OnceValue(func() string {
	const at = "/sys"
	if unix.Mount("lab", at, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755") != nil {
		return os.TempDir()
	}
	return at
})
