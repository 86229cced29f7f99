package ftpserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"towpath/ftp"
	"towpath/storage"
)

// cwd is CWD.
func (s *session) chdir(ctx context.Context, dir string) (ftp.Reply, error) {
	fi, err := s.user().Root.Stat(ctx, dir)
	if err != nil {
		return ftp.Reply{}, err
	}
	if !fi.IsDir() {
		return ftp.Reply{}, storage.ErrNotDir
	}
	s.cwd = dir
	return ftp.NewReply(250, "Directory is "+ftp.Quote(s.encode(dir))+"."), nil
}

// cdup is CDUP.
func (s *session) cdup(ctx context.Context, _ string) (ftp.Reply, error) {
	up := path.Dir(s.cwd)
	if s.rights(up)&enter == 0 {
		return ftp.Reply{}, &deniedError{enter, up}
	}
	return s.chdir(ctx, up)
}

func (s *session) pwd(context.Context, string) (ftp.Reply, error) {
	return ftp.NewReply(257, ftp.Quote(s.encode(s.cwd))+" is the working directory."), nil
}

// dele is DELE. Where a cut upload is all there is, that is deleted.
func (s *session) dele(ctx context.Context, name string) (ftp.Reply, error) {
	u := s.user()
	kept, cut := storage.Unfinished(ctx, u.Root, name, u.Name)
	size, err := s.sizeOf(ctx, name)
	if err == nil {
		err = u.Root.Remove(ctx, name)
	}
	gone := err == nil
	switch {
	case gone:
		s.giveBack(size, 1)
	case errors.Is(err, fs.ErrNotExist) && cut == nil:
	default:
		return ftp.Reply{}, err
	}
	if err := s.discard(ctx, name, kept); err != nil && !gone {
		return ftp.Reply{}, err
	}
	return ftp.NewReply(250, "Deleted."), nil
}

// discard throws away what is kept of a cut upload of this user, and what of it
// no longer counted: it would count again, now that its file has gone.
func (s *session) discard(ctx context.Context, name string, kept storage.Part) error {
	u := s.user()
	if err := storage.Discard(ctx, u.Root, name, u.Name); err != nil {
		return err
	}
	s.giveBack(kept.Size, 0)
	return nil
}

// sizeOf is the size of a file where the quota wants to know it, else 0.
func (s *session) sizeOf(ctx context.Context, name string) (int64, error) {
	if s.user().Quota == nil {
		return 0, nil
	}
	fi, err := s.user().Root.Stat(ctx, name)
	if errors.Is(err, fs.ErrPermission) {
		return 0, nil // a link that leads out: it has no size here, and can be removed
	}
	if err != nil {
		return 0, err
	}
	return fi.Size(), nil
}

// giveBack tells the quota what is free again.
func (s *session) giveBack(bytes, files int64) {
	if q := s.user().Quota; q != nil {
		_ = q.Take(-bytes, -files) // giving back never fails
	}
}

// mkd is MKD.
func (s *session) mkd(ctx context.Context, name string) (ftp.Reply, error) {
	if err := s.user().Root.Mkdir(ctx, name); err != nil {
		return ftp.Reply{}, err
	}
	return ftp.NewReply(257, ftp.Quote(s.encode(name))+" created."), nil
}

// rmd is RMD.
func (s *session) rmd(ctx context.Context, name string) (ftp.Reply, error) {
	if name == "/" {
		return ftp.Reply{}, errDenied
	}
	if err := s.user().Root.Rmdir(ctx, name); err != nil {
		return ftp.Reply{}, err
	}
	return ftp.NewReply(250, "Directory removed."), nil
}

// removeAll is RMDA: a directory and all that is in it.
func (s *session) removeAll(ctx context.Context, name string) (ftp.Reply, error) {
	if name == "/" {
		return ftp.Reply{}, errDenied
	}
	fi, err := s.user().Root.Stat(ctx, name)
	if err != nil {
		return ftp.Reply{}, err
	}
	if !fi.IsDir() {
		return ftp.Reply{}, storage.ErrNotDir
	}
	if err := s.removeTree(ctx, name, 0); err != nil {
		return ftp.Reply{}, err
	}
	return ftp.NewReply(250, "Directory and its content removed."), nil
}

// maxDepth bounds walks down a tree.
const maxDepth = 256

// removeTree removes dir from the bottom up. Symbolic links are removed, not
// followed: Remove never goes through one, and what looks like a directory is
// only entered when it cannot be removed as a link.
func (s *session) removeTree(ctx context.Context, dir string, depth int) error {
	if depth > maxDepth {
		return refuse(550, "The tree is too deep.", nil)
	}
	if err := s.demand(dir, Rmdir); err != nil {
		return err
	}
	root := s.user().Root
	type item struct {
		name string
		size int64
	}
	var items []item // listing and removing at once could pass over names
	for fi, err := range root.List(ctx, dir) {
		if err != nil {
			return err
		}
		items = append(items, item{path.Join(dir, fi.Name()), fi.Size()})
	}
	for _, it := range items {
		if err := s.demand(it.name, Delete); err != nil {
			return err
		}
		err := root.Remove(ctx, it.name)
		if errors.Is(err, storage.ErrIsDir) {
			err = s.removeTree(ctx, it.name, depth+1)
		} else if err == nil {
			s.giveBack(it.size, 1)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return root.Rmdir(ctx, dir)
}

// renameFrom is RNFR; RNTO must be the next command.
func (s *session) renameFrom(ctx context.Context, name string) (ftp.Reply, error) {
	if name == "/" {
		return ftp.Reply{}, errDenied
	}
	if _, err := s.user().Root.Stat(ctx, name); err != nil {
		return ftp.Reply{}, err
	}
	s.renaming = name
	return ftp.NewReply(350, "RNTO names the new place."), nil
}

// renameTo is RNTO. A file at the new name is replaced. Since rights belong to
// paths, all that is in a directory must be fit to be renamed with it, and
// nothing becomes readable by having moved.
func (s *session) renameTo(ctx context.Context, name string) (ftp.Reply, error) {
	from := s.renaming
	if from == "" {
		return ftp.Reply{}, refuse(503, "Send RNFR first.", nil)
	}
	root := s.user().Root
	replaced := int64(-1)
	if fi, err := root.Stat(ctx, name); err == nil && !fi.IsDir() && name != from {
		if err := s.demand(name, Write); err != nil {
			return ftp.Reply{}, err
		}
		replaced = fi.Size()
	}
	err := s.each(ctx, from, name, func(old, new string) bool {
		return s.may(old, Rename) && s.may(new, Rename) && (s.may(old, Read) || !s.may(new, Read))
	})
	if err != nil {
		return ftp.Reply{}, err
	}
	owner := s.user().Name
	keptThere, _ := storage.Unfinished(ctx, root, name, owner)
	_, cut := storage.Unfinished(ctx, root, from, owner)
	if err := root.Rename(ctx, from, name); err != nil {
		return ftp.Reply{}, err
	}
	// What is at the new name now is another file than the one whose upload was
	// cut, and may be older: its size is to be told, and APPE to add to it. At
	// the old name the upload may go on, unless it was overtaken. (What another
	// session is writing stays.)
	if name != from {
		_ = s.discard(ctx, name, keptThere)
		if cut != nil {
			_ = s.discard(ctx, from, storage.Part{})
		}
	}
	if replaced >= 0 {
		// Two names may lead to one file by way of a link; then none is gone.
		if _, err := root.Stat(ctx, from); errors.Is(err, fs.ErrNotExist) {
			s.giveBack(replaced, 1)
		}
	}
	return ftp.NewReply(250, "Renamed."), nil
}

// size is SIZE (RFC 3659 4): how many bytes RETR would send, or, where an
// upload of this user was cut, how many have come.
func (s *session) size(ctx context.Context, name string) (ftp.Reply, error) {
	u := s.user()
	if p, ok := s.cutUpload(ctx, name); ok {
		if s.kind == typeASCII {
			return ftp.Reply{}, refuse(550, "What came of a cut upload is counted in TYPE I only.", nil)
		}
		return ftp.NewReply(213, strconv.FormatInt(p.Size, 10)), nil
	}
	fi, err := u.Root.Stat(ctx, name)
	if err != nil {
		return ftp.Reply{}, err
	}
	switch {
	case fi.IsDir():
		return ftp.Reply{}, storage.ErrIsDir
	case !fi.Mode().IsRegular():
		return ftp.Reply{}, storage.ErrNotRegular
	case s.kind != typeASCII:
		return ftp.NewReply(213, strconv.FormatInt(fi.Size(), 10)), nil
	case fi.Size() > maxASCIISize:
		return ftp.Reply{}, refuse(550, "Too large to be counted in ASCII; use TYPE I.", nil)
	}
	release, err := s.slot(ctx)
	if err != nil {
		return ftp.Reply{}, err
	}
	defer release()
	f, err := u.Root.Open(ctx, name, 0)
	if err != nil {
		return ftp.Reply{}, err
	}
	defer f.Close()
	n, err := ftp.ASCIISize(f)
	if err != nil {
		return ftp.Reply{}, err
	}
	return ftp.NewReply(213, strconv.FormatInt(n, 10)), nil
}

// cutUpload finds what is kept of an upload of this user that was cut, if he may
// go on with it.
func (s *session) cutUpload(ctx context.Context, name string) (p storage.Part, ok bool) {
	if !s.may(name, Write) && !s.may(name, Append) {
		return p, false
	}
	u := s.user()
	p, err := storage.Unfinished(ctx, u.Root, name, u.Name)
	return p, err == nil
}

// maxASCIISize bounds the files that SIZE reads through to count line ends.
const maxASCIISize = 64 << 20

// mdtm is MDTM (RFC 3659 3). With a time before the name it sets the time, as
// older clients do it; a file whose name looks like that comes first. Where an
// upload of this user was cut it tells of what SIZE tells, so that who goes on
// with it can see whether the source has changed since.
func (s *session) mdtm(ctx context.Context, arg string) (ftp.Reply, error) {
	name, err := s.path(arg)
	if err != nil {
		return ftp.Reply{}, err
	}
	fi, err := s.user().Root.Stat(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		if stamp, rest, ok := strings.Cut(arg, " "); ok && rest != "" {
			if when, terr := ftp.ParseTime(stamp); terr == nil {
				return s.setTime(ctx, "MDTM", when, rest)
			}
		}
	}
	if denied := s.demand(name, List); denied != nil {
		err = denied // whether it is there or not
	}
	if p, ok := s.cutUpload(ctx, name); ok && (err == nil || errors.Is(err, fs.ErrNotExist)) {
		return ftp.NewReply(213, ftp.FormatTime(p.Modified)), nil
	}
	if err != nil {
		return ftp.Reply{}, err
	}
	return ftp.NewReply(213, ftp.FormatTime(fi.ModTime())), nil
}

// mfmt is MFMT: "time name".
func (s *session) mfmt(ctx context.Context, arg string) (ftp.Reply, error) {
	stamp, name, _ := strings.Cut(arg, " ")
	if name == "" {
		return ftp.Reply{}, errSyntax
	}
	when, err := ftp.ParseTime(stamp)
	if err != nil {
		return ftp.Reply{}, refuse(501, "The time must be YYYYMMDDHHMMSS in UTC.", err)
	}
	return s.setTime(ctx, "MFMT", when, name)
}

func (s *session) setTime(ctx context.Context, verb string, when time.Time, arg string) (ftp.Reply, error) {
	name, err := s.path(arg)
	if err != nil {
		return ftp.Reply{}, err
	}
	if err := s.demand(name, Times); err != nil {
		return ftp.Reply{}, err
	}
	if err := storage.SetTime(ctx, s.user().Root, name, when); err != nil {
		return ftp.Reply{}, err
	}
	if verb == "MFMT" {
		return ftp.NewReply(213, "Modify="+ftp.FormatTime(when)+"; "+arg), nil
	}
	return ftp.NewReply(213, ftp.FormatTime(when)), nil
}

// mfct is MFCT: no tree here keeps a time of creation that could be set.
func (s *session) mfct(context.Context, string) (ftp.Reply, error) {
	return ftp.Reply{}, refuse(504, "The time of creation cannot be set here; MFMT sets the time of modification.", nil)
}

// mff is MFF: "fact=value;fact=value; name".
func (s *session) mff(ctx context.Context, arg string) (ftp.Reply, error) {
	list, rest, ok := strings.Cut(arg, " ")
	if !ok || rest == "" || !strings.HasSuffix(list, ";") {
		return ftp.Reply{}, errSyntax
	}
	name, err := s.path(rest)
	if err != nil {
		return ftp.Reply{}, err
	}
	type change func() error
	var changes []change // all are checked before one is made
	for fact := range strings.SplitSeq(strings.TrimSuffix(list, ";"), ";") {
		key, value, _ := strings.Cut(fact, "=")
		switch strings.ToLower(key) {
		case "modify":
			when, err := ftp.ParseTime(value)
			if err != nil {
				return ftp.Reply{}, refuse(501, "modify wants YYYYMMDDHHMMSS in UTC.", err)
			}
			if err := s.demand(name, Times); err != nil {
				return ftp.Reply{}, err
			}
			changes = append(changes, func() error { return storage.SetTime(ctx, s.user().Root, name, when) })
		case "unix.mode":
			mode, err := parseMode(value)
			if err != nil {
				return ftp.Reply{}, err
			}
			if err := s.demand(name, Chmod); err != nil {
				return ftp.Reply{}, err
			}
			changes = append(changes, func() error { return storage.Chmod(ctx, s.user().Root, name, mode) })
		default:
			return ftp.Reply{}, refuse(504, "The facts that can be set are modify and unix.mode.", nil)
		}
	}
	for _, c := range changes {
		if err := c(); err != nil {
			return ftp.Reply{}, err
		}
	}
	return ftp.NewReply(213, list+" "+rest), nil
}

// parseMode reads permission bits in octal; set-id and sticky bits are masked.
func parseMode(octal string) (fs.FileMode, error) {
	n, err := strconv.ParseUint(octal, 8, 16)
	if err != nil || n > 0o7777 {
		return 0, refuse(501, "The mode must be octal, 000 to 777.", err)
	}
	return fs.FileMode(n & 0o777), nil
}

// avbl is AVBL: how many bytes can still be stored.
func (s *session) avbl(ctx context.Context, dir string) (ftp.Reply, error) {
	n, err := storage.Available(ctx, s.user().Root, dir)
	left := int64(-1)
	if q := s.user().Quota; q != nil {
		if used, most, _, _ := q.Usage(); most > 0 {
			left = max(0, most-used)
		}
	}
	switch {
	case err != nil && left < 0:
		return ftp.Reply{}, err
	case err != nil:
		n = left
	case left >= 0:
		n = min(n, left)
	}
	return ftp.NewReply(213, fmt.Sprint(n)), nil
}
