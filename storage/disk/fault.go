package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// fault makes the error of one operation on one name. No path of the host and
// no name of the operating system's calls is left in it.
func fault(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: name, Err: cause(err)}
}

// linkFault is fault for an operation on two names.
func linkFault(op, from, to string, err error) error {
	return &os.LinkError{Op: op, Old: from, New: to, Err: cause(err)}
}

// cause is what went wrong in the words of package storage. What the system
// said is kept beside them where it says more.
func cause(err error) error {
	for {
		switch e := err.(type) {
		case *fs.PathError:
			err = e.Err
			continue
		case *os.LinkError:
			err = e.Err
			continue
		case *os.SyscallError:
			err = e.Err
			continue
		case syscall.Errno:
			if kind := kinds[e]; kind != nil {
				return fmt.Errorf("%w (%w)", kind, e)
			}
		}
		return err
	}
}

// missing tells whether err says that there is no such file.
func missing(err error) bool { return err != nil && errors.Is(err, fs.ErrNotExist) }

// is tells whether err means kind, as errors.Is would after fault.
func is(err, kind error) bool { return errors.Is(cause(err), kind) }
