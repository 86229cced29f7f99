package accounts

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"
)

// recall knows for a while which passwords were right, and only as digests
// under a key that no other process has.
type recall struct {
	secret [32]byte
	life   time.Duration
	size   int

	mu    sync.Mutex
	until map[digest]time.Time
	// order has the digests as they were learned. Since all live equally long
	// the first is the first to die.
	order []digest
}

type digest [sha256.Size]byte

func newRecall(life time.Duration, size int) *recall {
	m := &recall{life: life, size: size, until: make(map[digest]time.Time)}
	_, _ = rand.Read(m.secret[:]) // crypto/rand.Read never fails
	return m
}

// key is the digest of all that makes a password right.
func (m *recall) key(name, hash, password string) digest {
	mac := hmac.New(sha256.New, m.secret[:])
	for _, s := range []string{name, hash, password} {
		_ = binary.Write(mac, binary.BigEndian, uint64(len(s))) // a hash takes all
		mac.Write([]byte(s))
	}
	return digest(mac.Sum(nil))
}

// knows tells whether d was learned and is not too old.
func (m *recall) knows(d digest) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	until, ok := m.until[d]
	return ok && time.Now().Before(until)
}

// learn remembers d, and forgets what is too old or too much.
func (m *recall) learn(d digest) {
	if m.life <= 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	for len(m.order) > 0 && !now.Before(m.until[m.order[0]]) {
		m.forget()
	}
	if _, ok := m.until[d]; ok {
		return
	}
	if len(m.order) >= m.size {
		m.forget()
	}
	m.order = append(m.order, d)
	m.until[d] = now.Add(m.life)
}

// forget drops the oldest.
func (m *recall) forget() {
	delete(m.until, m.order[0])
	m.order = m.order[1:]
}
