package capture

import (
	"math/bits"
	"math/rand/v2"
	"slices"
)

// ends are those of a connection.
type ends struct{ client, server endpoint }

// is compares field by field, which needs no call.
func (e *endpoint) is(f *endpoint) bool { return e.port == f.port && e.lo == f.lo && e.hi == f.hi }

// table finds connections by their ends. Each packet asks it once, which is why
// it is no map: a connection stands at the place that its ends say, whoever of
// them speaks, or in the next free one behind.
type table struct {
	slots []*conn   // a power of two, at most half of it used
	used  int       // of slots
	last  *conn     // that was found: most packets are of the same as the one before
	seed  [3]uint64 // nobody can choose addresses that come to one place
}

func newTable() table {
	return table{slots: make([]*conn, 1024), seed: [3]uint64{rand.Uint64(), rand.Uint64(), rand.Uint64()}}
}

// place is where a connection between a and b belongs.
func (t *table) place(a, b *endpoint) int { return int(t.hash(a)+t.hash(b)) & (len(t.slots) - 1) }

func (t *table) hash(e *endpoint) uint64 {
	h, l := bits.Mul64(e.lo^t.seed[0], uint64(e.port)^t.seed[1])
	h, l = bits.Mul64(h^l^e.hi, t.seed[2])
	return h ^ l
}

// find returns the connection between two ends and which of them speaks, nil if
// there is none.
func (t *table) find(from, to *endpoint) (*conn, Direction) {
	i := -1
	for c := t.last; ; c = t.slots[i] {
		switch {
		case c == nil && i >= 0:
			return nil, FromClient
		case c == nil:
		case from.is(&c.ends.client) && to.is(&c.ends.server):
			t.last = c
			return c, FromClient
		case from.is(&c.ends.server) && to.is(&c.ends.client):
			t.last = c
			return c, FromServer
		}
		if i < 0 {
			i = t.place(from, to)
		} else {
			i = t.behind(i)
		}
	}
}

func (t *table) behind(i int) int { return (i + 1) & (len(t.slots) - 1) }

// add takes c, between whose ends there is none yet.
func (t *table) add(c *conn) {
	if t.used++; 2*t.used > len(t.slots) {
		old := t.slots
		t.slots = make([]*conn, 2*len(old))
		for _, c := range old {
			if c != nil {
				t.put(c)
			}
		}
	}
	t.put(c)
	t.last = c
}

func (t *table) put(c *conn) {
	i := t.place(&c.ends.client, &c.ends.server)
	for t.slots[i] != nil {
		i = t.behind(i)
	}
	t.slots[i] = c
}

// remove takes c out, which is in. Those that stand behind it since it was
// there move up.
func (t *table) remove(c *conn) {
	gap := t.place(&c.ends.client, &c.ends.server)
	for t.slots[gap] != c {
		gap = t.behind(gap)
	}
	t.used--
	if t.last == c {
		t.last = nil
	}
	mask := len(t.slots) - 1
	for i := t.behind(gap); t.slots[i] != nil; i = t.behind(i) {
		// It may move up to the gap unless it belongs behind that.
		c := t.slots[i]
		if at := t.place(&c.ends.client, &c.ends.server); (i-at)&mask >= (i-gap)&mask {
			t.slots[gap], gap = c, i
		}
	}
	t.slots[gap] = nil
}

// oldestFirst returns all connections in the order of their beginning.
func (t *table) oldestFirst() []*conn {
	all := slices.DeleteFunc(slices.Clone(t.slots), func(c *conn) bool { return c == nil })
	slices.SortFunc(all, func(a, b *conn) int { return a.id - b.id })
	return all
}
