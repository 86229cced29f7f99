package accounts

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
)

// Errors of stores.
var (
	// ErrNotFound: there is no account of that name.
	ErrNotFound = errors.New("no such account")
	// ErrExists: there is an account of that name already.
	ErrExists = errors.New("account exists")
)

// Store finds accounts. It is safe for concurrent use. The kit in
// accounts/accountstest says what is asked of one.
type Store interface {
	// Find returns the account of that very name, or an error that is
	// [ErrNotFound]. The account is shared: who gets it must not change it.
	Find(ctx context.Context, name string) (*Account, error)
}

// Editor is a [Store] that can be changed. A change is there for the next Find,
// whole or not at all.
type Editor interface {
	Store
	// Add puts a new account into the store, or says [ErrExists].
	Add(ctx context.Context, a *Account) error
	// Update lets change work on a copy of the account, which then takes its
	// place. Nobody else changes the account meanwhile. If change fails,
	// nothing happens, and its error is returned. The name stays.
	Update(ctx context.Context, name string, change func(*Account) error) error
	// Remove takes the account out of the store, or says [ErrNotFound].
	Remove(ctx context.Context, name string) error
	// List goes through all accounts, in the order of the store.
	List(ctx context.Context) iter.Seq2[*Account, error]
}

// Memory is an [Editor] that forgets everything when the program ends. It
// lists accounts by name.
type Memory struct {
	mu   sync.RWMutex
	byID map[string]*Account
}

// NewMemory returns a store of the accounts given.
func NewMemory(list ...*Account) (*Memory, error) {
	m := &Memory{byID: make(map[string]*Account)}
	for _, a := range list {
		if err := m.Add(context.Background(), a); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// Find implements [Store].
func (m *Memory) Find(_ context.Context, name string) (*Account, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if a, ok := m.byID[name]; ok {
		return a, nil
	}
	return nil, fmt.Errorf("%w: %q", ErrNotFound, name)
}

// Add implements [Editor].
func (m *Memory) Add(_ context.Context, a *Account) error {
	if err := a.Check(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.byID[a.Name]; ok {
		return fmt.Errorf("%w: %q", ErrExists, a.Name)
	}
	m.byID[a.Name] = a.Clone()
	return nil
}

// Update implements [Editor].
func (m *Memory) Update(_ context.Context, name string, change func(*Account) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	old, ok := m.byID[name]
	if !ok {
		return fmt.Errorf("%w: %q", ErrNotFound, name)
	}
	a := old.Clone()
	if err := change(a); err != nil {
		return err
	}
	a.Name = name
	if err := a.Check(); err != nil {
		return err
	}
	m.byID[name] = a.Clone()
	return nil
}

// Remove implements [Editor].
func (m *Memory) Remove(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.byID[name]; !ok {
		return fmt.Errorf("%w: %q", ErrNotFound, name)
	}
	delete(m.byID, name)
	return nil
}

// List implements [Editor].
func (m *Memory) List(context.Context) iter.Seq2[*Account, error] {
	return func(yield func(*Account, error) bool) {
		m.mu.RLock()
		list := make([]*Account, 0, len(m.byID))
		for _, a := range m.byID {
			list = append(list, a)
		}
		m.mu.RUnlock()
		slices.SortFunc(list, func(a, b *Account) int { return strings.Compare(a.Name, b.Name) })
		for _, a := range list {
			if !yield(a, nil) {
				return
			}
		}
	}
}

// Join returns a store that asks each of stores in turn; the first that knows
// a name answers for it.
func Join(stores ...Store) Store { return joined(stores) }

type joined []Store

func (j joined) Find(ctx context.Context, name string) (*Account, error) {
	for _, s := range j {
		a, err := s.Find(ctx, name)
		if !errors.Is(err, ErrNotFound) {
			return a, err
		}
	}
	return nil, fmt.Errorf("%w: %q", ErrNotFound, name)
}
