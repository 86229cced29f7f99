package capture

import (
	"math/bits"
	"math/rand/v2"
	"slices"
)

// key names both directions of a connection. It is plain memory, to be hashed
// and compared fast.
type key struct{ aHi, aLo, bHi, bLo, ports uint64 }

// is says whether k and o are the same; field by field that needs no call.
func (k *key) is(o *key) bool {
	return k.ports == o.ports && k.aLo == o.aLo && k.bLo == o.bLo && k.aHi == o.aHi && k.bHi == o.bHi
}

// table finds connections by their keys. Each packet asks it once, which is why
// it is no map: a connection stands at the place that the hash of its key says,
// or in the next free one behind.
type table struct {
	slots []*conn   // a power of two, at most three quarters of it used
	used  int       // of slots
	last  *conn     // that was found: most packets are of the same as the one before
	seed  [3]uint64 // nobody can choose addresses that come to one place
}

func newTable() table {
	return table{slots: make([]*conn, 1024), seed: [3]uint64{rand.Uint64(), rand.Uint64(), rand.Uint64()}}
}

// place is where k belongs.
func (t *table) place(k *key) int {
	h, l := bits.Mul64(k.aLo^t.seed[0], k.bLo^t.seed[1])
	m, n := bits.Mul64(k.aHi^h^l, k.bHi^k.ports^t.seed[2])
	return int(m^n) & (len(t.slots) - 1)
}

// find returns the connection of k, nil if there is none.
func (t *table) find(k *key) *conn {
	if t.last != nil && t.last.key.is(k) {
		return t.last
	}
	for i := t.place(k); ; i = t.behind(i) {
		c := t.slots[i]
		if c == nil {
			return nil
		}
		if c.key.is(k) {
			t.last = c
			return c
		}
	}
}

func (t *table) behind(i int) int { return (i + 1) & (len(t.slots) - 1) }

// add takes c, of whose key there is none yet.
func (t *table) add(c *conn) {
	if t.used++; 4*t.used > 3*len(t.slots) {
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
	i := t.place(&c.key)
	for t.slots[i] != nil {
		i = t.behind(i)
	}
	t.slots[i] = c
}

// remove takes c out, which is in. Those that stand behind it since it was
// there move up.
func (t *table) remove(c *conn) {
	gap := t.place(&c.key)
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
		if at := t.place(&t.slots[i].key); (i-at)&mask >= (i-gap)&mask {
			t.slots[gap], gap = t.slots[i], i
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
