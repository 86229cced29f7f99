package accounts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"time"
)

// ErrRefused: the name or the password is wrong, or the account may not be
// used in this way. The text behind it tells the log which of them; a client
// must not learn it.
var ErrRefused = errors.New("login refused")

// Attempt is what somebody says who wants to log in.
type Attempt struct {
	Name     string
	Password string
	// Peer is the address that the attempt comes from.
	Peer netip.Addr
	// TLS tells whether it comes over TLS.
	TLS bool
}

// LogValue hides the password.
func (t Attempt) LogValue() slog.Value {
	return slog.GroupValue(slog.String("user", t.Name), slog.String("addr", t.Peer.String()), slog.Bool("tls", t.TLS))
}

// AuthOptions say how an [Authenticator] behaves. The zero value is safe.
type AuthOptions struct {
	// Parallel is how many passwords are hashed at once, each in 19 MiB;
	// others wait. Default: one for each processor.
	Parallel int
	// Remember is how long a password that was right need not be hashed again.
	// Default 10 minutes; negative: not at all.
	Remember time.Duration
	// MaxRemembered is how many of them are remembered. Default 10,000.
	MaxRemembered int
	// RefusalStep is what time refusals are rounded up to: one takes a whole
	// number of steps, so that the clock does not tell what was hashed, and
	// how. It should be longer than the slowest hash in use takes. Default 500
	// ms; negative: no rounding.
	RefusalStep time.Duration
}

// Authenticator is the door through which accounts enter. It gives strangers
// nothing to tell one refusal from another:
//
//   - A name that does not exist, or has no hash, has the password compared
//     with a decoy hash, made with the parameters of [Hash].
//   - Accounts that are blocked, or used from a wrong network, or without TLS,
//     are refused only after the password was hashed, right or wrong.
//   - Old hashes are slower or faster than argon2id. Therefore refusals take a
//     whole number of [AuthOptions.RefusalStep].
//
// A password that was right is remembered for a while as a keyed digest of
// name, hash and password, so that a program which logs in for each file pays
// for argon2id once. A new hash, or none, is not among what is remembered;
// neither is a wrong password, ever.
type Authenticator struct {
	// Sessions counts those who entered.
	Sessions Sessions

	store  Store
	step   time.Duration
	slots  chan struct{}
	decoy  string
	recall *recall
}

// NewAuthenticator returns a door to the accounts in store.
func NewAuthenticator(store Store, o AuthOptions) *Authenticator {
	if o.Parallel <= 0 {
		o.Parallel = runtime.GOMAXPROCS(0)
	}
	if o.Remember == 0 {
		o.Remember = 10 * time.Minute
	}
	if o.MaxRemembered <= 0 {
		o.MaxRemembered = 10_000
	}
	if o.RefusalStep == 0 {
		o.RefusalStep = 500 * time.Millisecond
	}
	decoy, err := Hash("decoy")
	if err != nil {
		panic(err) // the word above is a password
	}
	return &Authenticator{
		store:  store,
		step:   o.RefusalStep,
		slots:  make(chan struct{}, o.Parallel),
		decoy:  decoy,
		recall: newRecall(o.Remember, o.MaxRemembered),
	}
}

// Enter verifies t and counts a session of the account, which leave ends. The
// errors are those of [Authenticator.Verify], and [ErrTooMany].
func (a *Authenticator) Enter(ctx context.Context, t Attempt) (account *Account, leave func(), err error) {
	account, err = a.Verify(ctx, t)
	if err != nil {
		return nil, nil, err
	}
	leave, err = a.Sessions.Enter(account.Name, account.AccessLimit)
	if err != nil {
		return nil, nil, err
	}
	return account, leave, nil
}

// Verify returns the account that t may use, or [ErrRefused]. Another error
// means that the store failed or ctx ended, and says nothing about the account.
func (a *Authenticator) Verify(ctx context.Context, t Attempt) (*Account, error) {
	start := time.Now()
	account, err := a.store.Find(ctx, t.Name)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, fmt.Errorf("account %q: %w", t.Name, err)
	}
	if account != nil && a.remembers(account, &t) {
		return account, nil
	}
	if err := a.prove(ctx, account, &t); err != nil {
		return nil, a.refuse(ctx, start, err)
	}
	return account, nil
}

// remembers tells whether t was right a moment ago, and may enter today. It is
// on the path of every login, and keeps its frame small: the stack that a
// session grows to for it stays with the session.
func (a *Authenticator) remembers(account *Account, t *Attempt) bool {
	return account.Hash != "" && !account.AnyPassword && account.admits(t.Peer, t.TLS) == "" &&
		a.recall.knows(a.recall.key(t.Name, account.Hash, t.Password))
}

// refuse returns err when the step in which it came about is over.
func (a *Authenticator) refuse(ctx context.Context, start time.Time, err error) error {
	if wait := a.wait(time.Since(start)); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return err
}

// wait is what is left of the step in which a refusal came about.
func (a *Authenticator) wait(spent time.Duration) time.Duration {
	if a.step <= 0 {
		return 0
	}
	return a.step - spent%a.step
}

// prove hashes the password of t, also where there is no account or it may not
// be used, and tells why t may not enter.
func (a *Authenticator) prove(ctx context.Context, account *Account, t *Attempt) error {
	var why string // nobody may enter
	hash := a.decoy
	switch {
	case account == nil:
		why = "there is no such account"
	case account.admits(t.Peer, t.TLS) != "":
		why = account.admits(t.Peer, t.TLS)
		if CheckHash(account.Hash) == nil {
			hash = account.Hash
		}
	case account.AnyPassword:
		return nil
	case account.Hash == "":
		why = "the account has no password"
	case CheckHash(account.Hash) != nil:
		why = CheckHash(account.Hash).Error()
	default:
		hash = account.Hash
	}

	select {
	case a.slots <- struct{}{}:
		defer func() { <-a.slots }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	key := a.recall.key(t.Name, hash, t.Password)
	// Of many who came at once with the same password, the first has hashed it.
	if why == "" && a.recall.knows(key) {
		return nil
	}
	right, err := Check(hash, t.Password)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrRefused, err)
	case why != "":
		return fmt.Errorf("%w: %s", ErrRefused, why)
	case !right:
		return fmt.Errorf("%w: the password is wrong", ErrRefused)
	}
	a.recall.learn(key)
	return nil
}
