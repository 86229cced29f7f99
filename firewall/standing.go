package firewall

import "errors"

// Leave is what rules that stand say to a new connection. The zero value is
// [Unsure]: they may ask for what we do not know, as where it comes from.
type Leave int

// The answers.
const (
	Unsure Leave = iota
	Admitted
	Stopped
)

// String gives "unsure", "admitted" or "stopped".
func (l Leave) String() string { return [...]string{"unsure", "admitted", "stopped"}[l] }

// ErrNotPermitted is why the rules of the kernel could not be read.
var ErrNotPermitted = errors.New("reading the rules of the kernel needs CAP_NET_ADMIN (root)")
