package ftpclient

import (
	"context"
	"iter"
	"path"
	"sync"
	"time"

	"towpath/ftp/listing"
)

// zone is where the server's clock hangs, as LIST shows it.
type zone struct {
	at *time.Location // given by Options

	mu     sync.Mutex
	known  bool
	tries  int
	behind time.Duration // what LIST shows, less UTC
}

const (
	// heldBack is how many entries wait for the first that the zone can be
	// found out by.
	heldBack = 256
	// zoneTries is how many files are asked for; each costs an MDTM.
	zoneTries = 3
)

// inZone puts the times of a LIST right. Listings show local time and not whose;
// MDTM tells UTC, so that one file shows the difference. It is asked once in
// the life of a Client, for a file whose time of day is shown. (With daylight
// saving, files of the other half of the year may stay an hour off: nothing
// tells which rule the server follows.)
func (c *Client) inZone(ctx context.Context, dir string, entries iter.Seq2[listing.Entry, error]) iter.Seq2[listing.Entry, error] {
	return func(yield func(listing.Entry, error) bool) {
		type item struct {
			e   listing.Entry
			err error
		}
		var held []item
		release := func() bool {
			for _, h := range held {
				if !yield(c.zone.right(h.e), h.err) {
					return false
				}
			}
			held = nil
			return true
		}
		for e, err := range entries {
			if c.zone.settled() {
				if !release() || !yield(c.zone.right(e), err) {
					return
				}
				continue
			}
			held = append(held, item{e, err})
			if err == nil && e.Type == listing.File && e.Precision <= time.Minute && !e.Time.IsZero() && plain(e.Name) {
				c.measure(ctx, path.Join(dir, c.session.Load().decode(e.Name)), e)
			}
			if len(held) >= heldBack && !release() {
				return
			}
		}
		release()
	}
}

// measure asks for the time of one file.
func (c *Client) measure(ctx context.Context, name string, e listing.Entry) {
	if !c.Features().Has("MDTM") {
		c.zone.settle(0)
		return
	}
	truth, err := c.ModTime(ctx, name)
	if err != nil {
		c.zone.miss()
		return
	}
	if d, ok := difference(e.Time, truth); ok {
		c.zone.settle(d)
	} else {
		c.zone.miss()
	}
}

// difference tells by how much shown is ahead of truth, in quarters of an hour
// as zones are; ok is false if that cannot be a zone (the file was changed
// meanwhile).
func difference(shown, truth time.Time) (time.Duration, bool) {
	d := shown.Sub(truth.Truncate(time.Minute))
	round := d.Round(15 * time.Minute)
	if off := (d - round).Abs(); off > time.Minute || round.Abs() > 15*time.Hour {
		return 0, false
	}
	return round, true
}

func (z *zone) settled() bool {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.at != nil || z.known || z.tries >= zoneTries
}

func (z *zone) settle(d time.Duration) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.known, z.behind = true, d
}

func (z *zone) miss() {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.tries++
}

// right moves the time of an entry, unless only its day is shown.
func (z *zone) right(e listing.Entry) listing.Entry {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.known && !e.Time.IsZero() && e.Precision < 24*time.Hour {
		e.Time = e.Time.Add(-z.behind)
	}
	return e
}
