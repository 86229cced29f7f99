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

// emptied returns a list without what is in it.
func emptied[T any](list []T) []T {
	if cap(list) > mostLong {
		return nil
	}
	clear(list)
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
	*x = Session{Commands: emptied(x.Commands), Transfers: emptied(x.Transfers), Findings: emptied(x.Findings)}
	*t = talk{Session: x, deals: emptied(t.deals), shown: emptied(t.shown)}
	return t
}

func (s *spare) follower() *follower {
	f := s.followers.take()
	f.reset()
	return f
}

func (s *spare) deal(t *talk) *deal {
	d := s.deals.take()
	*d = deal{talk: t, links: emptied(d.links)}
	d.transfer = &d.own
	d.own.AnnouncedAt, d.own.CommandAt = -1, -1
	return d
}

func (s *spare) link() *link {
	l := s.links.take()
	*l = link{head: [2][]byte{l.head[0][:0], l.head[1][:0]}}
	return l
}
