package ftpclient

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"towpath/ftp"
	"towpath/ftp/listing"
)

// Remove removes a file (DELE).
func (c *Client) Remove(ctx context.Context, name string) error {
	_, err := c.on(ctx, "DELE", name)
	return about("remove", name, err)
}

// Rmdir removes an empty directory (RMD).
func (c *Client) Rmdir(ctx context.Context, dir string) error {
	_, err := c.on(ctx, "RMD", dir)
	return about("rmdir", dir, err)
}

// RemoveAll removes a file, or a directory with all that is in it. Links are
// removed and not followed. That nothing is there is no error. It goes on
// behind errors and returns all of them. Behind Options.MaxTree names it ends by ErrTree.
func (c *Client) RemoveAll(ctx context.Context, name string) error {
	e, err := c.Stat(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !e.Type.IsDir() {
		return c.Remove(ctx, name)
	}
	return c.removeDir(ctx, name, 0, c.set.bounds())
}

func (c *Client) removeDir(ctx context.Context, dir string, depth int, b *bounds) error {
	if err := b.enter(depth); err != nil {
		return about("remove", dir, err)
	}
	var dirs []string
	var failed []error
	for e, err := range c.List(ctx, dir) {
		if err := b.count(); err != nil {
			return errors.Join(append(failed, about("remove", dir, err))...)
		}
		switch {
		case err != nil:
		case !plain(e.Name):
			err = &NameError{dir, e.Name}
		case e.Type == listing.Dir:
			dirs = append(dirs, e.Name)
		default:
			err = c.Remove(ctx, path.Join(dir, e.Name))
		}
		if err != nil {
			failed = append(failed, err)
		}
	}
	for _, d := range dirs {
		if err := c.removeDir(ctx, path.Join(dir, d), depth+1, b); err != nil {
			if failed = append(failed, err); errors.Is(err, ErrTree) {
				return errors.Join(failed...)
			}
		}
	}
	if len(failed) > 0 {
		return errors.Join(failed...)
	}
	return c.Rmdir(ctx, dir)
}

// Rename gives a file or directory another name (RNFR, RNTO). What happens if
// that is taken is up to the server.
func (c *Client) Rename(ctx context.Context, from, to string) error {
	s, err := c.take(ctx, nil)
	if err != nil {
		return about("rename", from, err)
	}
	defer c.give()
	// Looked at first: a RNFR without its RNTO would stay in the air.
	arg, err := s.encode(to)
	if err == nil {
		_, err = ftp.Command{Verb: "RNTO", Arg: arg}.Encode()
	}
	if err != nil {
		return about("rename", to, err)
	}
	if _, err := s.on(ctx, "RNFR", from); err != nil {
		return about("rename", from, err)
	}
	_, err = s.on(ctx, "RNTO", to)
	return about("rename", to, err)
}

// Mkdir makes a directory (MKD).
func (c *Client) Mkdir(ctx context.Context, dir string) error {
	_, err := c.on(ctx, "MKD", dir)
	return about("mkdir", dir, err)
}

// MkdirAll makes a directory and those above it that are missing.
func (c *Client) MkdirAll(ctx context.Context, dir string) error {
	dir = path.Clean(dir)
	if dir == "." || dir == "/" {
		return nil
	}
	first := c.Mkdir(ctx, dir)
	if _, ok := errors.AsType[*ftp.Error](first); first == nil || !ok {
		return first
	}
	if e, err := c.Stat(ctx, dir); err == nil {
		if e.Type == listing.Dir || e.Type == listing.Link {
			return nil
		}
		return about("mkdir", dir, fmt.Errorf("it is a %v: %w", e.Type, fs.ErrExist))
	}
	if up := path.Dir(dir); up != "." && up != "/" && up != dir {
		if err := c.MkdirAll(ctx, up); err != nil {
			return err
		}
		return c.Mkdir(ctx, dir)
	}
	return first
}

// Chmod sets the nine permission bits (SITE CHMOD).
func (c *Client) Chmod(ctx context.Context, name string, mode fs.FileMode) error {
	return c.named(ctx, "chmod", name, "SITE", fmt.Sprintf("CHMOD %03o ", mode.Perm()))
}

// SetTime sets the time of last modification, to the second (MFMT, or MDTM with
// a time as vsftpd has it).
func (c *Client) SetTime(ctx context.Context, name string, t time.Time) error {
	verb := "MDTM"
	switch f := c.Features(); {
	case f.Has("MFMT"):
		verb = "MFMT"
	case !f.Has("MDTM"):
		return about("set time", name, ErrUnsupported)
	}
	return c.named(ctx, "set time", name, verb, ftp.FormatTime(t)+" ")
}

// named sends a command whose argument ends with a name.
func (c *Client) named(ctx context.Context, op, name, verb, before string) error {
	s, err := c.take(ctx, nil)
	if err != nil {
		return about(op, name, err)
	}
	defer c.give()
	arg, err := s.encode(name)
	if err == nil {
		_, err = s.do(ctx, verb, before+arg)
	}
	return about(op, name, err)
}

// Size returns how many bytes a file has (SIZE in TYPE I).
func (c *Client) Size(ctx context.Context, name string) (int64, error) {
	s, err := c.take(ctx, nil)
	if err != nil {
		return 0, about("size", name, err)
	}
	defer c.give()
	n, err := s.size(ctx, name)
	return n, about("size", name, err)
}

func (s *session) size(ctx context.Context, name string) (int64, error) {
	if err := s.setType(ctx, 'I'); err != nil {
		return 0, err
	}
	r, err := s.on(ctx, "SIZE", name)
	if err != nil {
		return 0, err
	}
	return ftp.ParseSize(strings.TrimSpace(r.Lines[len(r.Lines)-1]))
}

// ModTime returns the time of last modification (MDTM).
func (c *Client) ModTime(ctx context.Context, name string) (time.Time, error) {
	r, err := c.on(ctx, "MDTM", name)
	if err != nil {
		return time.Time{}, about("time", name, err)
	}
	t, err := ftp.ParseTime(strings.TrimSpace(r.Lines[len(r.Lines)-1]))
	return t, about("time", name, err)
}
