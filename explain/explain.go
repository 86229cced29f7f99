package explain

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"towpath/capture"
)

// Explain reads captures and tells their story. A file that cannot be read to
// its end is told up to there, with a note; one that is no capture is an error.
func Explain(ctx context.Context, files []string, o Options) (*Story, error) {
	t := NewTeller(o)
	s, err := t.read(ctx, files)
	if err = errors.Join(err, t.Close()); err != nil {
		return nil, err
	}
	return s, nil
}

func (t *Teller) read(ctx context.Context, files []string) (*Story, error) {
	for _, name := range files {
		src, err := capture.Open(name)
		if err != nil {
			return nil, err
		}
		err = t.Read(ctx, src, name)
		if err = errors.Join(err, src.Close()); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return t.Story(), nil
}

// Teller tells a story as packets come. It is not safe for concurrent use.
type Teller struct {
	opts   Options
	traces []*trace
	files  []Capture
	store  *store
}

// NewTeller makes a Teller.
func NewTeller(o Options) *Teller { return &Teller{opts: o} }

// Read takes all packets of a source, which becomes a capture of the story. It
// ends early, without an error, when the context does.
func (t *Teller) Read(ctx context.Context, src capture.Source, name string) error {
	return t.Watch(ctx, src, name, nil)
}

// Watch is [Teller.Read] that calls told behind each packet. There
// [Teller.Story] tells what is known so far.
func (t *Teller) Watch(ctx context.Context, src capture.Source, name string, told func(*capture.Packet)) error {
	if t.opts.Extract != "" && t.store == nil {
		s, err := newStore(t.opts.Extract)
		if err != nil {
			return err
		}
		t.store = s
	}
	r := newTrace(len(t.traces), &t.opts, t.store)
	t.traces = append(t.traces, r)
	t.files = append(t.files, Capture{File: name})
	file := &t.files[len(t.files)-1]
	tracker := capture.NewTracker(r, capture.Options{})
	r.tracker = tracker
	var failed error
	done := ctx.Done()
reading:
	for p, err := range src.Packets() {
		if err != nil {
			failed = err
			break
		}
		tracker.Packet(p)
		file.Packets++
		if told != nil {
			r.tellEnded()
			told(p)
		}
		if file.Packets&0xff == 1 {
			if file.Packets == 1 {
				file.Link = p.Link.String()
			}
			select {
			case <-done:
				break reading
			default:
			}
		}
	}
	tracker.Close()
	r.tellEnded()
	for _, n := range slices.Concat(src.Notes(), tracker.Notes()) {
		file.Notes = append(file.Notes, n.Text)
	}
	if r.rest > 0 {
		file.Notes = append(file.Notes, fmt.Sprintf("%d sessions left out: there are more than %d", r.rest, t.opts.maxSessions()))
	}
	return failed
}

// Story tells what is known so far. It can be asked for again when more has
// come.
func (t *Teller) Story() *Story {
	s := &Story{SchemaVersion: SchemaVersion, Captures: slices.Clone(t.files), Sessions: []*Session{}, Translations: []Translation{}}
	var talks []*talk
	last := 0
	for i, r := range t.traces {
		if s.Captures[i].Notes == nil {
			s.Captures[i].Notes = []string{}
		}
		var apart []*talk
		apart, last = r.apart(last)
		talks = append(talks, apart...)
	}
	for _, x := range talks {
		x.conclude()
	}
	guesses(talks)
	groups := pairs(talks)
	clocks(s, groups)
	for _, g := range groups {
		t.join(s, g)
	}
	for _, x := range talks {
		if t.opts.Filter.takes(x.Session) {
			s.Sessions = append(s.Sessions, x.Session)
		}
	}
	return s
}

// apart returns the sessions in order, without those that are only the answers
// to others that came from another address than was asked. It numbers them from
// behind last, also those that were let go, and returns the last number.
func (r *trace) apart(last int) ([]*talk, int) {
	asked := map[netip.AddrPort]*talk{}
	for _, t := range r.talks {
		if t == nil {
			continue
		}
		if c := t.link.conn; c.SYN.Seen() && !t.link.established() {
			asked[t.Client] = t
		}
	}
	order := make([]int, len(r.talks))
	for i := range order {
		order[i] = i
	}
	if !slices.IsSorted(r.starts) {
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(r.starts[a], r.starts[b]) })
	}
	var all []*talk
	for _, i := range order {
		t := r.talks[i]
		if t == nil {
			last++
			continue
		}
		c := t.link.conn
		if x := asked[t.Client]; x != nil && x != t && !c.SYN.Seen() && c.SYNACK.Seen() && len(t.Commands) == 0 {
			x.strays = t
			continue
		}
		last++
		t.ID = last
		all = append(all, t)
	}
	return all, last
}

// Close gives extracted files their names, and tells what went wrong with them.
// What belongs to no session that is told is not kept.
func (t *Teller) Close() error {
	if t.store == nil {
		return nil
	}
	for _, r := range t.traces {
		for _, x := range r.talks {
			if !t.opts.Filter.takes(x.Session) {
				continue
			}
			for i, d := range x.shown {
				if l := d.best(); l != nil && l.established() && l.sink != nil {
					t.store.place(l, d.transfer, fileName(x.ID, i, d.transfer))
				}
			}
		}
		for _, l := range r.links {
			l.sink.drop()
		}
	}
	err := errors.Join(t.store.err, t.store.root.Close())
	t.store = nil
	return err
}

func (o *Options) maxSessions() int { return cmp.Or(max(0, o.MaxSessions), 1_000_000) }
