package accounts

import (
	"errors"
	"fmt"
	"math"
	"sync"
)

// Quota limits what an account may store. 0 means no limit.
type Quota struct {
	Bytes, Files int64
}

// ErrQuota: the quota has no room.
var ErrQuota = errors.New("quota exceeded")

// QuotaError tells which limit has no room for what was asked. It is
// [ErrQuota].
type QuotaError struct {
	// Unit is "bytes" or "files".
	Unit string
	// Asked is what was wanted besides Used, Max what is allowed in all.
	Asked, Used, Max int64
}

func (e *QuotaError) Error() string {
	return fmt.Sprintf("quota exceeded: %d more %s, with %d of %d used", e.Asked, e.Unit, e.Used, e.Max)
}

// Is makes e an [ErrQuota].
func (e *QuotaError) Is(target error) bool { return target == ErrQuota }

// Meter counts what an account stores, for all its sessions together. It is
// safe for concurrent use.
type Meter struct {
	mu           sync.Mutex
	bytes, files int64
	quota        Quota
}

// NewMeter returns a meter that starts with what is used already.
func NewMeter(quota Quota, usedBytes, usedFiles int64) *Meter {
	return &Meter{bytes: max(usedBytes, 0), files: max(usedFiles, 0), quota: quota}
}

// Take asks for leave to store so many more bytes and files, and gives a
// [*QuotaError] when there is no room; then nothing is taken. Negative numbers
// give back, which is always granted, even to one who is over the quota.
func (m *Meter) Take(bytes, files int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := take("bytes", m.bytes, bytes, m.quota.Bytes)
	if err != nil {
		return err
	}
	f, err := take("files", m.files, files, m.quota.Files)
	if err != nil {
		return err
	}
	m.bytes, m.files = b, f
	return nil
}

// take returns used+asked, at least 0 and at most what an int64 holds.
func take(unit string, used, asked, limit int64) (int64, error) {
	if asked <= 0 {
		return max(used+asked, 0), nil
	}
	if asked > math.MaxInt64-used || limit > 0 && used+asked > limit {
		if limit == 0 {
			limit = math.MaxInt64
		}
		return 0, &QuotaError{Unit: unit, Asked: asked, Used: used, Max: limit}
	}
	return used + asked, nil
}

// Usage tells what is used and what is allowed (0: no limit).
func (m *Meter) Usage() (usedBytes, maxBytes, usedFiles, maxFiles int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.bytes, m.quota.Bytes, m.files, m.quota.Files
}

func (m *Meter) limit(quota Quota) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.quota = quota
}

// Meters gives all sessions of an account the same [Meter]. The zero value is
// ready to use.
type Meters struct {
	mu   sync.Mutex
	open map[string]*shared
}

type shared struct {
	users int
	ready chan struct{} // closed when meter or err is there
	meter *Meter
	err   error
}

// Open returns the meter of the account called name, which has quota from now
// on. The first session has measure tell what is used already; sessions that
// come meanwhile wait for it. The meter is forgotten, and next time measured
// anew, when each has called its close function.
func (m *Meters) Open(name string, quota Quota, measure func() (bytes, files int64, err error)) (meter *Meter, closer func(), err error) {
	m.mu.Lock()
	s, ok := m.open[name]
	if !ok {
		s = &shared{ready: make(chan struct{})}
		if m.open == nil {
			m.open = make(map[string]*shared)
		}
		m.open[name] = s
	}
	s.users++
	m.mu.Unlock()
	leave := sync.OnceFunc(func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if s.users--; s.users == 0 && m.open[name] == s {
			delete(m.open, name)
		}
	})
	if !ok {
		m.measure(name, s, quota, measure)
	}
	<-s.ready
	if s.err != nil {
		leave()
		return nil, nil, s.err
	}
	s.meter.limit(quota)
	return s.meter, leave, nil
}

// measure fills s in, also when fn panics, so that nobody waits for ever. What
// failed is not kept for the next session.
func (m *Meters) measure(name string, s *shared, quota Quota, fn func() (int64, int64, error)) {
	s.err = fmt.Errorf("usage of %q could not be measured", name)
	defer func() {
		if s.err != nil {
			m.mu.Lock()
			delete(m.open, name)
			m.mu.Unlock()
		}
		close(s.ready)
	}()
	bytes, files, err := fn()
	if err != nil {
		s.err = fmt.Errorf("usage of %q: %w", name, err)
		return
	}
	s.meter, s.err = NewMeter(quota, bytes, files), nil
}
