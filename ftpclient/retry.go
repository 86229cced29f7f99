package ftpclient

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"time"

	"towpath/ftp"
)

// backoff is how long to wait before retry n: from a half to one second, doubled
// each time up to 30, by chance, so that many clients of a server that comes
// back do not come back in step.
func backoff(n int) time.Duration {
	most := min(time.Second<<min(max(n-1, 0), 5), 30*time.Second)
	return most/2 + rand.N(most/2)
}

// retries counts the attempts at one transfer.
type retries struct {
	c *Client
	n int // failures in a row without progress
}

// again waits before the next attempt and gives it a session, or tells that
// there is none to be made. Who calls has not the turn.
func (r *retries) again(ctx context.Context, err error, progress bool) bool {
	if progress {
		r.n = 0
	}
	for r.n < r.c.set.Retries && passing(err) && ctx.Err() == nil {
		r.n++
		wait := r.c.set.Backoff(r.n)
		r.c.set.Log.Info("taken up again", "err", err, "after", wait, "retry", r.n)
		if sleep(ctx, wait) != nil {
			return false
		}
		if err = r.c.Reconnect(ctx); err == nil {
			return true
		}
	}
	return false
}

// passing tells whether a fault may pass: those of the network, and replies of
// 4xx but 452, a full disk.
func passing(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	if _, ok := errors.AsType[*localError](err); ok {
		return false
	}
	if e, ok := errors.AsType[*ftp.Error](err); ok {
		return e.Reply.Transient() && e.Reply.Code != 452
	}
	if errors.Is(err, ErrPoisoned) || errors.Is(err, ErrStalled) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return true
	}
	_, ok := errors.AsType[net.Error](err)
	return ok
}
