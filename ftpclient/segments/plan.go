package segments

import (
	"slices"
	"time"
)

// span is the bytes from one offset up to another.
type span struct{ from, to int64 }

func (s span) size() int64 { return s.to - s.from }

// merge sorts spans and joins those that touch.
func merge(all []span) []span {
	slices.SortFunc(all, func(a, b span) int { return int(min(max(a.from-b.from, -1), 1)) })
	var out []span
	for _, s := range all {
		switch {
		case s.size() <= 0:
		case len(out) > 0 && s.from <= out[len(out)-1].to:
			out[len(out)-1].to = max(out[len(out)-1].to, s.to)
		default:
			out = append(out, s)
		}
	}
	return out
}

// gaps are what of the first size bytes is not in done, which is merged.
func gaps(done []span, size int64) (out []span) {
	at := int64(0)
	for _, s := range done {
		if s.from > at {
			out = append(out, span{at, s.from})
		}
		at = s.to
	}
	if at < size {
		out = append(out, span{at, size})
	}
	return out
}

// plan is who moves what of a file. It keeps no clock and moves nothing.
//
//	todo -- next --> running -- moved … --> done
//	  ^                 |
//	  +----- failed ----+     next also splits what runs, when todo is empty
type plan struct {
	size    int64
	done    []span
	todo    []span
	running []*segment
}

// segment is a span that somebody moves.
type segment struct {
	span            // its end comes nearer when another takes over
	at    int64     // how far it is
	since time.Time // when it began
	stop  func()    // ends its transfer, set by who moves it
}

// newPlan plans what of a file is not done, for n movers.
func newPlan(size int64, done []span, n int) *plan {
	p := &plan{size: size, done: merge(slices.Clone(done))}
	p.todo = gaps(p.done, size)
	for len(p.todo) < n { // split the longest
		i := longest(p.todo)
		if i < 0 || p.todo[i].size() < 2*least {
			break
		}
		parts := int64(n - len(p.todo) + 1)
		s := p.todo[i]
		part := max((s.size()+parts-1)/parts, least)
		var split []span
		for at := s.from; at < s.to; at += part {
			split = append(split, span{at, min(at+part, s.to)})
		}
		p.todo = slices.Replace(p.todo, i, i+1, split...)
	}
	return p
}

func longest(all []span) int {
	best := -1
	for i, s := range all {
		if best < 0 || s.size() > all[best].size() {
			best = i
		}
	}
	return best
}

// next gives out a segment: the first that nobody has, or half of the one that
// would take longest. It gives nil when there is none to gain by.
func (p *plan) next(now time.Time) *segment {
	if len(p.todo) > 0 {
		s := &segment{span: p.todo[0], at: p.todo[0].from, since: now}
		p.todo = p.todo[1:]
		p.running = append(p.running, s)
		return s
	}
	var slowest *segment
	var longest time.Duration
	for _, s := range p.running {
		if left := s.left(now); left > longest {
			slowest, longest = s, left
		}
	}
	if slowest == nil {
		return nil
	}
	middle := slowest.at + (slowest.to-slowest.at)/2
	s := &segment{span: span{middle, slowest.to}, at: middle, since: now}
	slowest.to = middle
	p.running = append(p.running, s)
	return s
}

// worthwhile is the time for which a segment must still run to be split.
const worthwhile = time.Second

// left estimates how long a segment still takes, 0 if it is not worth splitting.
func (s *segment) left(now time.Time) time.Duration {
	rest, moved, took := s.to-s.at, s.at-s.from, now.Sub(s.since)
	if rest < 2*least || took <= 0 {
		return 0
	}
	if moved == 0 { // as long again as it has stood, by the little that is known
		moved = least
	}
	left := time.Duration(float64(took) * float64(rest) / float64(moved))
	if left < worthwhile {
		return 0
	}
	return left
}

// moved takes note that s has come to the offset at, and tells whether it is done.
func (p *plan) moved(s *segment, at int64) bool {
	s.at = min(max(at, s.at), s.to)
	return s.at == s.to
}

// ended takes s out. What it has not moved is to do again.
func (p *plan) ended(s *segment) {
	p.running = slices.DeleteFunc(p.running, func(r *segment) bool { return r == s })
	p.done = merge(append(p.done, span{s.from, s.at}))
	if s.at < s.to {
		p.todo = append(p.todo, span{s.at, s.to})
	}
}

// arrived are the spans that are done, also of segments that run.
func (p *plan) arrived() []span {
	all := slices.Clone(p.done)
	for _, s := range p.running {
		all = append(all, span{s.from, s.at})
	}
	return merge(all)
}

// count is how many bytes have arrived.
func (p *plan) count() (n int64) {
	for _, s := range p.arrived() {
		n += s.size()
	}
	return n
}
