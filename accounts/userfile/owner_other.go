//go:build !unix

package userfile

import (
	"io/fs"
	"os"
)

// inherit does nothing: a new file has the permissions of its directory here.
func inherit(*os.File, fs.FileInfo) error { return nil }
