package capture

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestTable does the same to a table and to a map, with keys that differ in one
// place only and with many that fall on few places.
func TestTable(t *testing.T) {
	t.Parallel()
	keys := map[string]func(n uint64) ends{
		"ports":     func(n uint64) ends { return ends{endpoint{0, 1, uint16(n)}, endpoint{0, 2, uint16(n >> 8)}} },
		"addresses": func(n uint64) ends { return ends{endpoint{0, mapped | n, 20}, endpoint{0, 2, 21}} },
		"IPv6":      func(n uint64) ends { return ends{endpoint{n, 1, 20}, endpoint{2, n, 21}} },
		"exchanged": func(n uint64) ends { return ends{endpoint{0, 1, uint16(n)}, endpoint{0, 1, ^uint16(n)}} },
	}
	for name, number := range keys {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(1, 2))
			have, want := newTable(), map[ends]*conn{}
			for step := range 200_000 {
				k := number(r.Uint64N(4000))
				c := want[k]
				if got, d := have.find(&k.client, &k.server); got != c || d != FromClient {
					t.Fatalf("step %d: find %v gives %p, %v, want %p, client", step, k, got, d, c)
				}
				if got, d := have.find(&k.server, &k.client); got != c || c != nil && d != FromServer {
					t.Fatalf("step %d: find %v turned round gives %p, %v, want %p, server", step, k, got, d, c)
				}
				switch {
				case c == nil && r.IntN(3) > 0: // so that it fills and empties
					c = &conn{id: step, ends: k}
					want[k] = c
					have.add(c)
				case c != nil && r.IntN(2) > 0:
					delete(want, k)
					have.remove(c)
				}
				if have.used != len(want) {
					t.Fatalf("step %d: %d used, want %d", step, have.used, len(want))
				}
			}
			if len(have.slots) < 2*have.used {
				t.Fatalf("%d places for %d", len(have.slots), have.used)
			}
			order := slices.SortedFunc(maps.Values(want), func(a, b *conn) int { return a.id - b.id })
			if got := have.oldestFirst(); !slices.Equal(got, order) {
				t.Fatalf("%d in order, want %d", len(got), len(order))
			}
		})
	}
}

// TestTableCrowded puts all in one place, where finding means to walk.
func TestTableCrowded(t *testing.T) {
	t.Parallel()
	have := newTable()
	last := len(have.slots) - 1
	var crowd []*conn
	for n := uint64(0); len(crowd) < 20; n++ {
		k := ends{endpoint{hi: n}, endpoint{lo: n}}
		if have.place(&k.client, &k.server) >= last-1 { // and on, past the end
			crowd = append(crowd, &conn{ends: k})
			have.add(crowd[len(crowd)-1])
		}
	}
	for len(crowd) > 0 {
		i := len(crowd) / 2
		have.remove(crowd[i])
		crowd = slices.Delete(crowd, i, i+1)
		for _, c := range crowd {
			if got, _ := have.find(&c.ends.client, &c.ends.server); got != c {
				t.Fatalf("%v is lost with %d left", c.ends, len(crowd))
			}
		}
	}
	if i := slices.IndexFunc(have.slots, func(c *conn) bool { return c != nil }); i >= 0 {
		t.Fatalf("place %d is not empty", i)
	}
}
