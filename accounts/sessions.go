package accounts

import (
	"errors"
	"fmt"
	"sync"
)

// ErrTooMany: the account has as many sessions as it may have.
var ErrTooMany = errors.New("too many sessions")

// Sessions counts the sessions of each account. The zero value is ready to use.
type Sessions struct {
	mu   sync.Mutex
	open map[string]int
}

// Enter counts one more session of the account called name, unless there are
// limit of them (0: no limit), which is [ErrTooMany]. Calling leave, once or
// more often, ends it.
func (s *Sessions) Enter(name string, limit int) (leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if limit > 0 && s.open[name] >= limit {
		return nil, fmt.Errorf("%w: %q has %d of %d", ErrTooMany, name, s.open[name], limit)
	}
	if s.open == nil {
		s.open = make(map[string]int)
	}
	s.open[name]++
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.open[name]--; s.open[name] == 0 {
			delete(s.open, name)
		}
	}), nil
}

// Open tells how many sessions the account called name has.
func (s *Sessions) Open(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open[name]
}
