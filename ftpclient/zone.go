package ftpclient

import (
	"context"
	"iter"
	"path"
	"slices"
	"sync"
	"time"

	"towpath/ftp/listing"
)

// zone is where the server's clock hangs, as LIST shows it.
type zone struct {
	at *time.Location // given by Options

	mu     sync.Mutex
	found  []sample
	asked  int
	misses int
}

// sample is a file of which both times are known.
type sample struct {
	shown time.Time
	ahead time.Duration // what LIST shows, less UTC
}

const (
	// heldBack is how many entries wait for the first that the zone can be
	// found out by.
	heldBack = 256
	// zoneTries is how many files may be asked for in vain, and zoneAsks how
	// many at all; each costs an MDTM.
	zoneTries = 3
	zoneAsks  = 32
)

// inZone puts the times of a LIST right. Listings show local time and not whose;
// MDTM tells UTC, so that one file shows the difference. It is asked for a file
// whose time of day is shown, in the life of a Client once in summer and once in
// winter, since nothing tells by which rule the server saves daylight; if the two
// differ, or one is not known, also for files of the weeks in which clocks are
// changed.
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
			if err == nil && e.Type == listing.File && timed(e) && plain(e.Name) && c.zone.wants(e.Time) {
				c.measure(ctx, path.Join(dir, c.session.Load().decode(e.Name)), e)
			}
			if c.zone.settled() {
				if !release() || !yield(c.zone.right(e), err) {
					return
				}
				continue
			}
			held = append(held, item{e, err})
			if len(held) >= heldBack && !release() {
				return
			}
		}
		release()
	}
}

// timed tells whether a listing shows the time of day of an entry.
func timed(e listing.Entry) bool { return e.Precision <= time.Minute && !e.Time.IsZero() }

// measure asks for the time of one file.
func (c *Client) measure(ctx context.Context, name string, e listing.Entry) {
	if !c.Features().Has("MDTM") {
		c.zone.settle(sample{shown: e.Time}, zoneAsks)
		return
	}
	truth, err := c.ModTime(ctx, name)
	if err != nil {
		c.zone.miss()
		return
	}
	if d, ok := difference(e.Time, truth); ok {
		c.zone.settle(sample{e.Time, d}, 1)
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

// settled tells whether entries need not wait any more.
func (z *zone) settled() bool {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.at != nil || len(z.found) > 0 || z.misses >= zoneTries
}

// wants tells whether it is worth asking for a file of this time.
func (z *zone) wants(shown time.Time) bool {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.at != nil || z.misses >= zoneTries || z.asked >= zoneAsks {
		return false
	}
	_, sure := z.ahead(shown)
	return !sure
}

func (z *zone) settle(s sample, asked int) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.asked += asked
	i, _ := slices.BinarySearchFunc(z.found, s.shown, func(s sample, t time.Time) int { return s.shown.Compare(t) })
	z.found = slices.Insert(z.found, i, s)
}

func (z *zone) miss() {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.misses++
}

// season is a part of the year. Clocks are changed between the second Sunday of
// March and the first of April, and between the last of September and the first
// of November, north and south of the equator.
type season int

const (
	winter season = iota
	spring
	summer
	autumn
)

func seasonOf(t time.Time) season {
	switch day := t.YearDay(); { // some days more on either side
	case day < 65 || day > 315: // March 6, November 11
		return winter
	case day < 100: // April 10
		return spring
	case day < 264: // September 21
		return summer
	}
	return autumn
}

// ahead is by how much the server is ahead of UTC at a time that it shows, and
// whether that is more than a guess. Who calls holds mu.
func (z *zone) ahead(shown time.Time) (d time.Duration, sure bool) {
	if len(z.found) == 0 {
		return 0, false
	}
	in := seasonOf(shown)
	if in == winter || in == summer {
		for _, s := range z.found {
			if seasonOf(s.shown) == in {
				return s.ahead, true
			}
		}
	}
	i, _ := slices.BinarySearchFunc(z.found, shown, func(s sample, t time.Time) int { return s.shown.Compare(t) })
	before, behind := z.found[max(i-1, 0)], z.found[min(i, len(z.found)-1)]
	near, rest := before, shown.Sub(before.shown).Abs()
	if d := behind.shown.Sub(shown).Abs(); d < rest {
		near, rest = behind, d
	}
	if in == winter || in == summer {
		return near.ahead, false
	}
	between := before.shown.Before(shown) && shown.Before(behind.shown) && behind.shown.Sub(before.shown) < 200*24*time.Hour
	return near.ahead, between && before.ahead == behind.ahead || rest <= 2*24*time.Hour
}

// right puts the time of an entry right, unless only its day is shown.
func (z *zone) right(e listing.Entry) listing.Entry {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.at == nil && !e.Time.IsZero() && e.Precision < 24*time.Hour {
		d, _ := z.ahead(e.Time)
		e.Time = e.Time.Add(-d)
	}
	return e
}
