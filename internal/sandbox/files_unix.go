//go:build unix

package sandbox

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// raiseFiles raises the number of descriptors that can be open, and returns
// what it is then. The Go runtime has raised the soft limit to the hard one at
// the start; what is left is the hard one, which only root may raise.
func raiseFiles(want uint64) (uint64, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("limit of open files: %w", err)
	}
	have := uint64(limit.Cur)
	if want <= have {
		return have, nil
	}
	assign(&limit.Cur, want)
	if want > uint64(limit.Max) {
		assign(&limit.Max, want)
	}
	err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
	if errors.Is(err, unix.EPERM) {
		return have, fmt.Errorf("limit of open files is %d, %d are wanted, and only root may raise it (LimitNOFILE= in a unit, ulimit -n in a shell): %w", have, want, err)
	}
	if err != nil {
		return have, fmt.Errorf("limit of open files: %d to %d: %w", have, want, err)
	}
	return want, nil
}

// assign sets a field of Rlimit, whose fields are signed on FreeBSD.
func assign[T int64 | uint64](at *T, v uint64) { *at = T(v) }
