package ftpclient

import (
	"context"
	"fmt"
	"strings"

	"towpath/ftp"
)

// Copy copies a file on the server itself (SITE CPFR and CPTO, as ProFTPD's
// mod_copy has them). It gives ErrUnsupported where there is no such command.
// What happens if to is there already is up to the server.
func (c *Client) Copy(ctx context.Context, from, to string) error {
	s, err := c.take(ctx, nil)
	if err != nil {
		return about("copy", from, err)
	}
	defer c.give()
	if err = s.copy(ctx, from, to); unknown(err) {
		err = fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	return about("copy", from, err)
}

func (s *session) copy(ctx context.Context, from, to string) error {
	// Both are looked at first: a CPFR without its CPTO would stay in the air.
	source, err := s.encode(from)
	if err != nil {
		return err
	}
	target, err := s.encode(to)
	if err != nil {
		return err
	}
	cmd := ftp.Command{Verb: "SITE", Arg: "CPTO " + target}
	if _, err := cmd.Encode(); err != nil {
		return err
	}
	if _, err := s.do(ctx, "SITE", "CPFR "+source); err != nil {
		return err
	}
	return s.long(ctx, cmd)
}

// long sends a command that takes as long as reading and writing a file does.
func (s *session) long(ctx context.Context, cmd ftp.Command) error {
	owed, err := s.send(cmd)
	if err != nil {
		return err
	}
	r, err := s.final(ctx, owed, max(s.set.Timeout, s.set.StallTimeout)*10)
	if err == nil && !r.Complete() {
		err = &ftp.Error{Command: cmd, Reply: r}
	}
	return err
}

// Join adds the files parts to the end of the file name on the server, in that
// order, and removes them (COMB). A name that is not there is made. It gives
// ErrUnsupported where there is no such command.
func (c *Client) Join(ctx context.Context, name string, parts ...string) error {
	s, err := c.take(ctx, nil)
	if err != nil {
		return about("join", name, err)
	}
	defer c.give()
	return about("join", name, s.join(ctx, append([]string{name}, parts...)))
}

func (s *session) join(ctx context.Context, names []string) error {
	if !s.features.Has("COMB") {
		return ErrUnsupported
	}
	arg := ""
	for _, n := range names {
		word, err := s.encode(n)
		if err != nil {
			return err
		}
		if strings.Contains(word, `"`) {
			return fmt.Errorf("COMB puts names in quotes, and cannot say %s", ftp.Escape(n))
		}
		arg += ` "` + word + `"`
	}
	return s.long(ctx, ftp.Command{Verb: "COMB", Arg: arg[1:]})
}
