//go:build !linux

package config

import (
	"io/fs"
	"os"
	"runtime"
)

// thisHost asks what can be asked without /proc. Windows and macOS let anybody
// bind low ports.
func thisHost() host {
	h := osHost()
	if runtime.GOOS != "windows" && runtime.GOOS != "darwin" && os.Geteuid() != 0 {
		h.lowest = 1024
	}
	return h
}

// worldReadable knows Unix permissions only; Windows has none of them.
func worldReadable(info fs.FileInfo) bool {
	return runtime.GOOS != "windows" && info.Mode().Perm()&0o004 != 0
}
