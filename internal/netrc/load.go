package netrc

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// maxSize is the longest file taken. Whatever is longer is something else.
const maxSize = 1 << 20

// Find returns where the user's file is: $NETRC, or .netrc in the home
// directory (_netrc on Windows, if there is no .netrc). It is "" where there is
// no home. Whether there is such a file it does not look.
func Find(getenv func(string) string) string {
	if path := getenv("NETRC"); path != "" {
		return path
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	path := filepath.Join(home, ".netrc")
	if runtime.GOOS == "windows" {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return filepath.Join(home, "_netrc")
		}
	}
	return path
}

// Load reads a file. Its warning is not empty when others may read passwords in
// it. The error of a missing file is [fs.ErrNotExist].
func Load(path string) (f *File, warning string, err error) {
	in, err := os.Open(path)
	if err != nil {
		return nil, "", err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return nil, "", err
	}
	text, err := io.ReadAll(io.LimitReader(in, maxSize+1))
	if err != nil {
		return nil, "", err
	}
	if len(text) > maxSize {
		return nil, "", fmt.Errorf("%s: more than %d bytes; this is no .netrc", path, maxSize)
	}
	f, err = Parse(string(text))
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", path, err)
	}
	return f, f.exposed(path, info.Mode()), nil
}

// exposed warns of a mode that lets others read passwords. Windows has no such
// modes: what Go shows there are read and write bits for everybody.
func (f *File) exposed(path string, mode fs.FileMode) string {
	if runtime.GOOS == "windows" || !mode.IsRegular() || mode.Perm()&0o077 == 0 {
		return ""
	}
	for _, e := range f.Entries {
		if e.secret() {
			return fmt.Sprintf("%s has mode %03o, so that others may read the passwords in it; chmod 600 %s", path, mode.Perm(), path)
		}
	}
	return ""
}
