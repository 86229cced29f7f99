package ftpclient

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"

	"towpath/ftp"
)

// Client is one session with a server, logged in. It is safe for concurrent
// use; calls wait for each other. A [File] or a listing that is being read lets
// other calls pass.
type Client struct {
	addr string
	set  *Options
	ways *ways
	turn chan struct{} // holds one token while a call uses the session
	calm *calm         // of the pool, if there is one

	session atomic.Pointer[session] // changed by who has the turn
	closed  atomic.Bool

	// Those who have the turn:
	parked parked
	zone   *zone
	noMLSD bool // the server has MLST and not MLSD
}

// parked is a transfer that stands still while its owner does something else. Who
// takes the turn sends it away first.
type parked interface{ makeWay(ctx context.Context) }

// Dial opens a session with the server at addr, "host:port", and logs in.
func Dial(ctx context.Context, addr string, o Options) (*Client, error) {
	set, err := o.check()
	if err != nil {
		return nil, err
	}
	return dialWith(ctx, addr, set, newWays(set))
}

func dialWith(ctx context.Context, addr string, set *Options, w *ways) (*Client, error) {
	s, err := dial(ctx, addr, set)
	if err != nil {
		return nil, err
	}
	c := &Client{addr: addr, set: set, ways: w, turn: make(chan struct{}, 1), zone: &zone{at: set.Location}}
	c.session.Store(s)
	return c, nil
}

// take waits for the turn and returns the session. me is who may be parked on
// it and stays so; nil for calls that need it for themselves.
func (c *Client) take(ctx context.Context, me parked) (*session, error) {
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	s, err := c.mine(ctx, me)
	if err != nil {
		c.give()
	}
	return s, err
}

func (c *Client) mine(ctx context.Context, me parked) (*session, error) {
	if c.closed.Load() {
		return nil, net.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if p := c.parked; p != nil && p != me {
		c.parked = nil
		p.makeWay(ctx)
	}
	s := c.session.Load()
	return s, s.alive()
}

func (c *Client) give() { <-c.turn }

// Reconnect begins a new session in place of one that is lost. On one that is
// not it does nothing.
func (c *Client) Reconnect(ctx context.Context) error {
	s, err := c.take(ctx, nil)
	if err == nil {
		c.give()
		return nil
	}
	if s == nil {
		return err
	}
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer c.give()
	return c.renew(ctx)
}

// renew is Reconnect for who has the turn.
func (c *Client) renew(ctx context.Context) error {
	if c.session.Load().alive() == nil {
		return nil
	}
	c.parked = nil
	var s *session
	again := func() (err error) {
		s, err = dial(ctx, c.addr, c.set)
		return err
	}
	var err error
	if c.calm != nil {
		err = c.calm.dial(ctx, again)
	} else {
		err = again()
	}
	if err != nil {
		return err
	}
	c.session.Store(s)
	if c.closed.Load() { // while we dialled
		s.fail(net.ErrClosed)
		return net.ErrClosed
	}
	return nil
}

// Close says QUIT, if nothing is going on, and ends the session. Calls that are
// under way end with an error.
func (c *Client) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	s := c.session.Load()
	select {
	case c.turn <- struct{}{}:
		if s.alive() == nil && c.parked == nil {
			s.leave()
		}
		c.give()
	default:
	}
	s.fail(net.ErrClosed)
	return nil
}

// Err returns why the session is over, or nil.
func (c *Client) Err() error {
	if c.closed.Load() {
		return net.ErrClosed
	}
	return c.session.Load().alive()
}

// Addr is whom [Dial] was told to reach, "host:port".
func (c *Client) Addr() string { return c.addr }

// Attempts returns the last attempts at data connections, oldest first.
func (c *Client) Attempts() []Attempt {
	c.ways.mu.Lock()
	defer c.ways.mu.Unlock()
	return slices.Clone(c.ways.attempts)
}

// Features returns what the server says it can do.
func (c *Client) Features() ftp.Features { return c.session.Load().features }

// Noop asks the server for a sign of life.
func (c *Client) Noop(ctx context.Context) error {
	_, err := c.do(ctx, "NOOP", "")
	return err
}

// do takes the turn for one command.
func (c *Client) do(ctx context.Context, verb, arg string) (ftp.Reply, error) {
	s, err := c.take(ctx, nil)
	if err != nil {
		return ftp.Reply{}, err
	}
	defer c.give()
	return s.do(ctx, verb, arg)
}

// on takes the turn for one command about a name.
func (c *Client) on(ctx context.Context, verb, name string) (ftp.Reply, error) {
	s, err := c.take(ctx, nil)
	if err != nil {
		return ftp.Reply{}, err
	}
	defer c.give()
	return s.on(ctx, verb, name)
}

// raw are the verbs that Quote does not send: they begin transfers, or change
// what the session knows of itself.
var notRaw = strings.Fields("ABOR ACCT APPE AUTH CCC CDC EPRT EPSV LIST LPRT LPSV MLSD MODE NLST PASS PASV PBSZ PORT PROT QUIT REIN REST RETR RNFR SPSV STOR STOU STRU TYPE USER")

// Quote sends a command as it is and returns its reply; one of 4xx or 5xx comes
// with a *ftp.Error. Commands that use a data connection, or change how the
// session works, give ErrCommand.
func (c *Client) Quote(ctx context.Context, cmd ftp.Command) (ftp.Reply, error) {
	s, err := c.take(ctx, nil)
	if err != nil {
		return ftp.Reply{}, err
	}
	defer c.give()
	return s.quote(ctx, cmd)
}

func (s *session) quote(ctx context.Context, cmd ftp.Command) (ftp.Reply, error) {
	cmd.Verb = strings.ToUpper(cmd.Verb)
	if slices.Contains(notRaw, cmd.Verb) {
		return ftp.Reply{}, fmt.Errorf("%s: %w", cmd.Verb, ErrCommand)
	}
	return s.do(ctx, cmd.Verb, cmd.Arg)
}
