package disk

import (
	"context"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"towpath/storage"
)

// Remove removes a file or symbolic link. Unfinished parts of it stay.
func (f *FS) Remove(ctx context.Context, name string) error {
	return f.change(ctx, "remove", name, known, func(d directory, base string) error {
		return d.unlink(base)
	})
}

// Mkdir makes a directory that the umask of the process leaves of 0o777.
func (f *FS) Mkdir(ctx context.Context, name string) error {
	return f.change(ctx, "mkdir", name, fresh, func(d directory, base string) error {
		return d.mkdir(base)
	})
}

// Rmdir removes a directory that holds nothing a client can see: unfinished
// parts go with it, unless one is being written (ErrBusy).
func (f *FS) Rmdir(ctx context.Context, name string) error {
	return f.change(ctx, "rmdir", name, known, func(d directory, base string) error {
		err := d.rmdir(base)
		if !is(err, storage.ErrNotEmpty) {
			return err
		}
		rel, _ := known(name)
		inner, openErr := f.tree.dir(rel)
		if openErr != nil {
			return err
		}
		defer inner.close()
		if err := discardAll(inner); err != nil {
			return err
		}
		return d.rmdir(base)
	})
}

// change runs one change of name in the directory that holds it. The top
// itself can be neither made nor removed.
func (f *FS) change(ctx context.Context, op, name string, check func(string) (string, error), run func(d directory, base string) error) error {
	err := f.enter(ctx, true)
	if err == nil {
		defer f.leave()
		err = f.at(name, op, check, run)
	}
	if err != nil {
		return fault(op, name, err)
	}
	return nil
}

func (f *FS) at(name, op string, check func(string) (string, error), run func(d directory, base string) error) error {
	rel, err := check(name)
	if err != nil {
		return err
	}
	if rel == "." {
		return topFaults[op]
	}
	parent, base := splitRel(rel)
	d, err := f.tree.dir(parent)
	if err != nil {
		return err
	}
	defer d.close()
	return run(d, base)
}

// topFaults is why the top cannot be changed.
var topFaults = map[string]error{
	"remove":  storage.ErrIsDir,
	"mkdir":   fs.ErrExist,
	"rmdir":   fs.ErrPermission,
	"rename":  fs.ErrPermission,
	"symlink": fs.ErrExist,
}

// Rename moves a file, directory or symbolic link. A directory at the new name
// is ErrIsDir, even an empty one. Unfinished parts of a file stay behind.
func (f *FS) Rename(ctx context.Context, from, to string) error {
	err := f.enter(ctx, true)
	if err == nil {
		defer f.leave()
		err = f.at(from, "rename", known, func(d directory, base string) error {
			return f.at(to, "rename", fresh, func(toDir directory, toBase string) error {
				var old info
				if err := toDir.lstat(toBase, &old); err == nil && old.mode.IsDir() && from != to {
					return storage.ErrIsDir
				}
				return d.rename(base, toDir, toBase)
			})
		})
	}
	if err != nil {
		return linkFault("rename", from, to, err)
	}
	return nil
}

// SetTime sets the time of last modification of a file or directory.
func (f *FS) SetTime(ctx context.Context, name string, modified time.Time) error {
	return f.adjust(ctx, "settime", name, func(d directory, base string) error {
		return d.chtimes(base, modified)
	})
}

// Chmod sets the nine permission bits of a file or directory.
func (f *FS) Chmod(ctx context.Context, name string, mode fs.FileMode) error {
	return f.adjust(ctx, "chmod", name, func(d directory, base string) error {
		return d.chmod(base, mode.Perm())
	})
}

// adjust runs a change of what is there and has name, or is pointed to by it.
func (f *FS) adjust(ctx context.Context, op, name string, run func(d directory, base string) error) error {
	err := f.enter(ctx, true)
	if err == nil {
		defer f.leave()
		err = f.there(name, run)
	}
	if err != nil {
		return fault(op, name, err)
	}
	return nil
}

func (f *FS) there(name string, run func(d directory, base string) error) error {
	rel, err := known(name)
	if err != nil {
		return err
	}
	d, base, in, err := f.place(rel)
	if err != nil {
		return err
	}
	defer d.close()
	if in == nil {
		return fs.ErrNotExist
	}
	return run(d, base)
}

// Symlink makes name a symbolic link to target: an absolute name is one of the
// tree, a relative one starts at the directory of name. The link is stored
// relative, so it means the same to other programs of the host. Where it leads
// may be missing, and must not lie outside (fs.ErrPermission). A link that is
// moved later may come to lead out, and is refused then.
func (f *FS) Symlink(ctx context.Context, target, name string) error {
	err := f.change(ctx, "symlink", name, fresh, func(d directory, base string) error {
		dir, _ := split(name)
		link, err := linkText(dir, target)
		if err != nil {
			return err
		}
		// The directory may itself be reached by links, so the text alone
		// does not tell where the way would lead: the tree does.
		var in info
		parent, _ := known(dir)
		if err := f.tree.stat(parent+"/"+link, &in); err != nil && !missing(err) {
			return err
		}
		return d.symlink(filepath.FromSlash(link), base)
	})
	if err != nil {
		return &os.LinkError{Op: "symlink", Old: target, New: name, Err: cause(err)}
	}
	return nil
}

// linkText is what a link in dir must say to mean target.
func linkText(dir, target string) (string, error) {
	if target == "" {
		return "", storage.ErrName
	}
	if target[0] == '/' {
		target = path.Clean(target)
	} else {
		// Counted by hand, because path.Join stays at the top silently.
		depth := strings.Count(strings.TrimSuffix(dir, "/"), "/")
		for elem := range strings.SplitSeq(target, "/") {
			switch elem {
			case "", ".":
			case "..":
				depth--
			default:
				depth++
			}
			if depth < 0 {
				return "", errEscapes
			}
		}
		target = path.Join(dir, target)
	}
	if _, err := known(target); err != nil {
		return "", storage.ErrName
	}
	from := strings.Split(strings.Trim(dir, "/"), "/")
	to := strings.Split(strings.Trim(target, "/"), "/")
	for len(from) > 0 && len(to) > 0 && from[0] == to[0] {
		from, to = from[1:], to[1:]
	}
	var steps []string
	for _, elem := range from {
		if elem != "" {
			steps = append(steps, "..")
		}
	}
	return path.Clean(path.Join(append(steps, to...)...)), nil // "." rather than nothing
}

// Available asks the disk, which may differ from directory to directory.
func (f *FS) Available(ctx context.Context, dir string) (n int64, err error) {
	err = f.within(ctx, dir, func(_ directory, _ string, entries *os.File) error {
		n, err = freeBytes(entries)
		return err
	})
	if err != nil {
		return 0, fault("available", dir, err)
	}
	return n, nil
}
