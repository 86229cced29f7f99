package dialogue

import (
	"slices"
	"strings"

	"towpath/ftp"
)

// MaxAwaited is how many commands are remembered until they are answered. Those
// beyond are counted and not kept: the replies are still told apart, but what
// such a command did is not known, and [Exchange.Problem] is [ErrTooMany].
const MaxAwaited = 64

// awaited is a command whose final reply has not come.
type awaited struct {
	number  int
	command ftp.Command
	does    deed
	known   bool // false of those beyond MaxAwaited
	started bool // a transfer that has taken its expectation
	begun   bool // 1xx has come
	aborted bool // a transfer whose ABOR was answered before it
}

// transfer reports whether it is a command that moves data.
func (a *awaited) transfer() bool { return a.does.transfer }

// deed is what a verb does when it is answered: one of three things, or nothing.
type deed struct {
	transfer  bool
	announces *announcement
	effect    func(*Tracker, ftp.Command, ftp.Reply) error
}

// deeds holds what verbs do, by their first letters: few have the same, and
// looking through them takes a third of the time of a map.
var deeds = func() (all [32][]verb) {
	add := func(name string, does deed) {
		i := name[0] % 32
		all[i] = append(all[i], verb{name, does})
	}
	for name := range transfers {
		add(name, deed{transfer: true})
	}
	for name, how := range announcements {
		add(name, deed{announces: &how})
	}
	for name, effect := range effects {
		add(name, deed{effect: effect})
	}
	return all
}()

type verb struct {
	name string
	does deed
}

// deedOf is looked up once for each command.
func deedOf(name string) deed {
	if name != "" {
		all := deeds[name[0]%32]
		for i := range all {
			if all[i].name == name {
				return all[i].does
			}
		}
	}
	return deed{}
}

// unanswered reports whether the final reply to a will not come any more,
// because code is not it and nothing else could be awaited before.
func (a *awaited) unanswered(code int) bool {
	switch {
	case a.known && a.command.Verb == "ABOR":
		switch code {
		case 225, 226, 421, 426, 500, 501, 502, 503, 504, 530:
			return false
		}
		return true
	case a.aborted:
		switch code {
		case 226, 250, 421, 425, 426, 451:
			return false
		}
		return true
	}
	return false
}

// queue holds the commands that await a reply, oldest first.
type queue struct {
	list   []awaited // MaxAwaited at most
	beyond int       // those behind list that were only counted
	number int       // commands so far
	taken  awaited   // the last that was taken out
}

func (q *queue) len() int { return len(q.list) + q.beyond }

func (q *queue) push(c ftp.Command) {
	q.number++
	if q.beyond > 0 || len(q.list) == MaxAwaited {
		q.beyond++
		return
	}
	// The readers of ftp keep to MaxLine, others need not.
	if len(c.Verb)+len(c.Arg) > ftp.MaxLine {
		c.Verb = strings.Clone(c.Verb[:min(len(c.Verb), ftp.MaxLine)])
		c.Arg = strings.Clone(c.Arg[:min(len(c.Arg), ftp.MaxLine)])
	}
	q.list = append(q.list, awaited{})
	a := &q.list[len(q.list)-1] // what is built here need not be copied
	a.number, a.command, a.does, a.known = q.number, c, deedOf(c.Verb), true
}

// head returns the oldest command, for reading only if it is not a known one.
// There must be one.
func (q *queue) head() *awaited {
	if len(q.list) == 0 {
		return &awaited{number: q.number - q.beyond + 1}
	}
	return &q.list[0]
}

// meanwhile returns the index of the first command that servers answer while
// data flows, or 0.
func (q *queue) meanwhile() int {
	return max(0, slices.IndexFunc(q.list, func(a awaited) bool {
		switch a.command.Verb {
		case "ABOR", "NOOP", "QUIT", "STAT":
			return true
		}
		return false
	}))
}

// take removes the command at index i and returns it. It stays until the next
// is taken.
func (q *queue) take(i int) *awaited {
	if len(q.list) == 0 {
		q.taken = *q.head()
		q.beyond--
		return &q.taken
	}
	q.taken = q.list[i]
	if len(q.list) == 1 { // as mostly
		q.list[0] = awaited{}
		q.list = q.list[:0]
	} else {
		q.list = slices.Delete(q.list, i, i+1)
	}
	return &q.taken
}

func (q *queue) clear() {
	clear(q.list)
	q.list = q.list[:0]
	q.beyond = 0
}
