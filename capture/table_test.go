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
	keys := map[string]func(n uint64) key{
		"ports":     func(n uint64) key { return key{0, 1, 0, 2, n} },
		"addresses": func(n uint64) key { return key{0, mapped | n, 0, 2, 21} },
		"IPv6":      func(n uint64) key { return key{n, 1, 2, n, 21} },
	}
	for name, number := range keys {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(1, 2))
			have, want := newTable(), map[key]*conn{}
			for step := range 200_000 {
				k := number(r.Uint64N(4000))
				c := want[k]
				if got := have.find(&k); got != c {
					t.Fatalf("step %d: find %v gives %p, want %p", step, k, got, c)
				}
				switch {
				case c == nil && r.IntN(3) > 0: // so that it fills and empties
					c = &conn{id: step, key: k}
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
			if 3*len(have.slots) < 4*have.used {
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
		if k := (key{ports: n}); have.place(&k) >= last-1 { // and on, past the end
			crowd = append(crowd, &conn{key: k})
			have.add(crowd[len(crowd)-1])
		}
	}
	for len(crowd) > 0 {
		i := len(crowd) / 2
		have.remove(crowd[i])
		crowd = slices.Delete(crowd, i, i+1)
		for _, c := range crowd {
			if have.find(&c.key) != c {
				t.Fatalf("%v is lost with %d left", c.key, len(crowd))
			}
		}
	}
	if i := slices.IndexFunc(have.slots, func(c *conn) bool { return c != nil }); i >= 0 {
		t.Fatalf("place %d is not empty", i)
	}
}
