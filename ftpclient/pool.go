package ftpclient

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"
)

// Pool runs several sessions with one server, all with the same login, and as
// many as are wanted at the same time. It learns how many the server allows: a
// 421, or a 530 while others are logged in, means that there are enough.
type Pool struct {
	addr string
	set  *Options
	ways *ways
	calm *calm
	most int

	mu      sync.Mutex
	idle    []*Client
	open    map[*Client]bool // idle or taken
	dialing int
	limit   int       // what the server allows, as learned; most at first
	learned time.Time // when
	changed chan struct{}
	closed  bool
	guest   *Client // whose pool it is; it is not ours to close
}

// learnAgain is how long a limit is believed: those that others have used up
// come free.
const learnAgain = time.Minute

// NewPool returns a pool of at most so many sessions. It dials when the first is
// taken.
func NewPool(addr string, o Options, most int) (*Pool, error) {
	set, err := o.check()
	if err != nil {
		return nil, err
	}
	if most < 1 {
		return nil, fmt.Errorf("ftpclient: a pool of %d sessions: want 1 or more", most)
	}
	return &Pool{
		addr: addr, set: set, ways: newWays(set), calm: &calm{backoff: set.Backoff}, most: most, limit: most,
		open: map[*Client]bool{}, changed: make(chan struct{}),
	}, nil
}

// Pool returns a pool of at most so many sessions: c, which is taken first, and
// others that are opened as it was. Closing the pool leaves c open.
func (c *Client) Pool(most int) (*Pool, error) {
	if most < 1 {
		return nil, fmt.Errorf("ftpclient: a pool of %d sessions: want 1 or more", most)
	}
	return &Pool{
		addr: c.addr, set: c.set, ways: c.ways, calm: &calm{backoff: c.set.Backoff}, most: most, limit: most,
		idle: []*Client{c}, open: map[*Client]bool{c: true}, changed: make(chan struct{}), guest: c,
	}, nil
}

// Take returns a session that nobody else has, dialling or waiting as need be.
// Give takes it back. A server that cannot be reached, or wants nobody now, is
// tried again up to Options.Retries times.
func (p *Pool) Take(ctx context.Context) (*Client, error) {
	tries := 0
	for {
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			return nil, net.ErrClosed
		}
		p.drop()
		if n := len(p.idle); n > 0 {
			c := p.idle[n-1]
			p.idle = p.idle[:n-1]
			p.mu.Unlock()
			return c, nil
		}
		if p.limit < p.most && time.Since(p.learned) > learnAgain {
			p.limit = p.most
		}
		if len(p.open)+p.dialing < p.limit {
			p.dialing++
			p.mu.Unlock()
			c, again, err := p.dial(ctx)
			if err != nil && tries < p.set.Retries && passing(err) {
				tries++
				p.set.Log.Info("dialled again", "err", err, "retry", tries)
				continue
			}
			if !again {
				return c, err
			}
			continue
		}
		wait := p.changed
		p.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// dial opens one more session. again means that the server has enough.
func (p *Pool) dial(ctx context.Context) (c *Client, again bool, err error) {
	var enough error
	err = p.calm.dial(ctx, func() error {
		var err error
		c, err = dialWith(ctx, p.addr, p.set, p.ways)
		if refused(err, 421, 530) && p.others() {
			enough, err = err, nil
		}
		return err
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.tell()
	p.dialing--
	switch {
	case enough != nil:
		// Those that are dialling may be refused too, and lower it further.
		// Two that are refused at the same time saw each other: one may always try.
		p.limit, p.learned = max(len(p.open)+p.dialing, 1), time.Now()
		p.set.Log.Info("the server allows no more sessions", "sessions", p.limit, "err", enough)
		return nil, true, nil
	case err != nil:
		return nil, false, err
	case p.closed:
		_ = c.Close() // never fails
		return nil, false, net.ErrClosed
	}
	c.calm = p.calm
	p.open[c] = true
	return c, false, nil
}

// others tells whether there are sessions beside the one that is being dialled.
func (p *Pool) others() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.open)+p.dialing > 1
}

// drop forgets idle sessions that are over.
func (p *Pool) drop() {
	p.idle = slices.DeleteFunc(p.idle, func(c *Client) bool {
		if c.Err() == nil {
			return false
		}
		delete(p.open, c)
		return true
	})
}

// tell wakes those who wait.
func (p *Pool) tell() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// Give takes back what Take gave. A session that is over is forgotten.
func (p *Pool) Give(c *Client) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.open[c] {
		return
	}
	if p.closed || c.Err() != nil {
		delete(p.open, c)
		p.end(c)
	} else {
		p.idle = append(p.idle, c)
	}
	p.tell()
}

// Do calls f with a session.
func (p *Pool) Do(ctx context.Context, f func(c *Client) error) error {
	c, err := p.Take(ctx)
	if err != nil {
		return err
	}
	defer p.Give(c)
	return f(c)
}

// Limit is how many sessions are opened at most, as far as is known.
func (p *Pool) Limit() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.limit
}

// Close ends all sessions, those that are taken too. Only the one that
// [Client.Pool] was asked of stays.
func (p *Pool) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	all := p.open
	p.open, p.idle = map[*Client]bool{}, nil
	p.tell()
	p.mu.Unlock()
	for c := range all {
		p.end(c)
	}
	return nil
}

func (p *Pool) end(c *Client) {
	if c != p.guest {
		_ = c.Close() // never fails
	}
}
