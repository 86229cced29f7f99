package disk

import (
	"os"
	"syscall"

	"towpath/storage"
)

func unixOf(os.FileInfo) storage.Unix { return storage.Unix{} }

func identify(dir *os.File) (identity, error) {
	var by syscall.ByHandleFileInformation
	if err := syscall.GetFileInformationByHandle(syscall.Handle(dir.Fd()), &by); err != nil {
		return identity{}, err
	}
	return identity{uint64(by.VolumeSerialNumber), uint64(by.FileIndexHigh)<<32 | uint64(by.FileIndexLow)}, nil
}
