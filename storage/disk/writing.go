package disk

import "sync"

// target is a name that a writer holds: a directory of the host, so that two
// trees which overlap know of each other, and the name in it.
type target struct {
	dir  identity
	name string
}

// writing is every name that this process writes.
var writing = struct {
	sync.Mutex
	names map[target]struct{}
}{names: make(map[target]struct{})}

// hold takes a name for one writer, and tells whether it was free.
func hold(t target) bool {
	writing.Lock()
	defer writing.Unlock()
	if _, taken := writing.names[t]; taken {
		return false
	}
	writing.names[t] = struct{}{}
	return true
}

func release(t target) {
	writing.Lock()
	defer writing.Unlock()
	delete(writing.names, t)
}
