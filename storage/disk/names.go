package disk

import (
	"io/fs"
	"path"
	"path/filepath"
	"runtime"
	"strings"

	"towpath/storage"
)

// prefix begins the names that the tree keeps for itself, in any case of
// letters, since some disks do not tell one case from the other. No client
// sees such a name, or makes one.
const prefix = ".towpath-"

func reserved(elem string) bool {
	return len(elem) >= len(prefix) && elem[0] == '.' && strings.EqualFold(elem[:len(prefix)], prefix)
}

// known checks a name of something that may be there, and returns it relative
// to the top. What cannot be there, by its name, is not there.
func known(name string) (string, error) {
	if err := check(name); err != nil {
		return "", err
	}
	for elem := range strings.SplitSeq(name[1:], "/") {
		if reserved(elem) {
			return "", fs.ErrNotExist
		}
	}
	if name == "/" {
		return ".", nil
	}
	return name[1:], nil
}

// fresh checks a name that is to be given to a file.
func fresh(name string) (rel string, err error) {
	if err := storage.CheckNewName(name); err != nil {
		return "", err
	}
	rel, err = known(name)
	if err == fs.ErrNotExist {
		err = storage.ErrName
	}
	return rel, err
}

// check refuses what is not a name at all, and what Windows would read as
// something else than plain elements.
func check(name string) error {
	err := storage.CheckName(name)
	if err != nil || runtime.GOOS != "windows" || name == "/" {
		return err
	}
	for elem := range strings.SplitSeq(name[1:], "/") {
		if strings.ContainsAny(elem, `\:`) || strings.TrimRight(elem, " .") != elem || !filepath.IsLocal(elem) {
			return storage.ErrName
		}
	}
	return nil
}

// split cuts a clean absolute name into the directory and the last element.
func split(name string) (dir, base string) {
	i := strings.LastIndexByte(name, '/')
	switch {
	case name == "/":
		return "/", "/"
	case i == 0:
		return "/", name[1:]
	}
	return name[:i], name[i+1:]
}

// join is the inverse of split, for a directory that may be written "/.".
func join(dir, base string) string { return path.Join(dir, base) }

// joinRel names an entry of a directory, both relative to the top.
func joinRel(dir, base string) string {
	if dir == "." {
		return base
	}
	return dir + "/" + base
}
