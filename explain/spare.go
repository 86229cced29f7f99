package explain

import "towpath/capture"

// spare is what sessions were made of that were let go. Those to come take it:
// of many short sessions each needs the same again.
type spare struct {
	talks     pile[talk]
	followers pile[follower]
	deals     pile[deal]
	links     pile[link]
	peers     pile[peers]
}

// pile is a small heap of things that are free.
type pile[T any] []*T

// mostSpare is how many things a pile holds, mostLong how long their lists may
// be.
const (
	mostSpare = 256
	mostLong  = 64
)

// take takes one off, or makes one.
func (p *pile[T]) take() *T {
	all := *p
	n := len(all) - 1
	if n < 0 {
		return new(T)
	}
	*p = all[:n]
	return all[n]
}

func (p *pile[T]) put(x *T) {
	if len(*p) < mostSpare {
		*p = append(*p, x)
	}
}

// emptied returns a list without what is in it, which stays in its memory until
// others come in its place.
func emptied[T any](list []T) []T {
	if cap(list) > mostLong {
		return nil
	}
	return list[:0]
}

// take takes what a session was made of, unless others know some of it.
func (s *spare) take(t *talk, tracker *capture.Tracker) {
	if t.link.kept {
		return
	}
	for _, d := range t.deals {
		for _, l := range d.links {
			if l.kept {
				return
			}
		}
	}
	for _, d := range t.deals {
		for _, l := range d.links {
			s.drop(l, tracker)
		}
		s.deals.put(d)
	}
	s.drop(t.link, tracker)
	s.talks.put(t)
}

func (s *spare) drop(l *link, tracker *capture.Tracker) {
	tracker.Release(l.conn)
	s.links.put(l)
}

func (s *spare) talk() *talk {
	t := s.talks.take()
	x := t.Session
	if x == nil {
		t.Session = &Session{Commands: make([]Command, 0, 10)}
		return t
	}
	// Lists are put back one by one: of a literal a copy would be made.
	commands, transfers, findings := x.Commands, x.Transfers, x.Findings
	*x = Session{}
	x.Commands, x.Transfers, x.Findings = emptied(commands), emptied(transfers), emptied(findings)
	deals, shown, early, evidence, args := t.deals, t.shown, t.early, t.evidence, t.args
	*t = talk{}
	t.Session, t.deals, t.shown = x, emptied(deals), emptied(shown)
	t.early, t.evidence, t.args = emptied(early), emptied(evidence), emptied(args)
	return t
}

func (s *spare) follower() *follower {
	f := s.followers.take()
	f.reset()
	return f
}

func (s *spare) deal(t *talk) *deal {
	d := s.deals.take()
	links := d.links
	*d = deal{}
	d.talk, d.transfer, d.links = t, &d.own, emptied(links)
	d.own.AnnouncedAt, d.own.CommandAt = -1, -1
	return d
}

func (s *spare) link() *link {
	l := s.links.take()
	head := l.head
	*l = link{}
	l.head[0], l.head[1] = head[0][:0], head[1][:0]
	return l
}
