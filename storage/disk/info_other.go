//go:build !linux

package disk

import "os"

// fstat says what an open file is.
func fstat(f *os.File, in *info) error {
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	in.set(fi)
	return nil
}
