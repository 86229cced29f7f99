package dialogue

import (
	"cmp"
	"strings"
	"unicode"

	"towpath/ftp"
)

// Login says how far a login has come.
type Login uint8

// The steps of a login.
const (
	LoggedOut    Login = iota
	WantPassword       // USER was answered by 331
	WantAccount        // USER or PASS was answered by 332
	LoggedIn           // 230 or 232
)

// String names the step, as in "logged in".
func (l Login) String() string {
	switch l {
	case LoggedOut:
		return "logged out"
	case WantPassword:
		return "wants a password"
	case WantAccount:
		return "wants an account"
	case LoggedIn:
		return "logged in"
	}
	return "unknown"
}

// State is what the answered commands of a dialogue have brought about.
type State struct {
	// Greeted is true once the server has said 220.
	Greeted bool
	// Closing is true if the server has just taken its leave: 221 to QUIT, or
	// 421. It becomes false if the server says more, as some do after 421.
	Closing bool
	// Awaiting is how many commands have not had their final reply.
	Awaiting int

	Login Login
	// User is the name of the last USER that was accepted, Host that of HOST
	// (RFC 7151).
	User, Host string

	// Type, Mode and Structure are what TYPE, MODE and STRU have set, in upper
	// case: "A", "A N", "I", "L 8"; "S", "Z"; "F", "R".
	Type, Mode, Structure string
	// Offset is where the next transfer starts, as REST said.
	Offset int64
	// RenameFrom is the path of an RNFR that awaits its RNTO.
	RenameFrom string

	// Opaque is true while the control connection is under TLS. Whoever only
	// looks on can follow no further, and calls [Tracker.Resync] if there is
	// clear text again.
	Opaque bool
	// BufferSize is what PBSZ said, empty if it was not accepted (RFC 4217).
	BufferSize string
	// Prot is the level of PROT: "C" is clear, "P" private, which is TLS.
	Prot string

	// EPSVAll is true after EPSV ALL: no other announcement is allowed.
	EPSVAll bool
	// Expectation is the one that the next transfer will use, zero if none.
	Expectation Expectation
	// Transfer is the transfer under way or the last one, zero if none.
	Transfer Transfer
}

// State returns how things stand. The copy does not change any more.
func (t *Tracker) State() State {
	s := t.state
	s.Awaiting = t.queue.len()
	s.Type = cmp.Or(s.Type, typeDefault)
	s.Mode = cmp.Or(s.Mode, "S")
	s.Structure = cmp.Or(s.Structure, "F")
	s.Prot = cmp.Or(s.Prot, "C")
	return s
}

// Login returns [State.Login].
func (t *Tracker) Login() Login { return t.state.Login }

// Transfer returns [State.Transfer] as it is now. It goes on changing.
func (t *Tracker) Transfer() *Transfer { return &t.state.Transfer }

const typeDefault = "A" // RFC 959 3.1.1.1

func (s *State) protected() bool { return s.Prot == "P" }

// forget drops what was prepared for commands to come.
func (s *State) forget() {
	s.Expectation = Expectation{}
	s.Offset = 0
	s.RenameFrom = ""
}

// effects holds what commands do to the state by their final reply. It returns
// the [Exchange.Problem].
var effects = map[string]func(*Tracker, ftp.Command, ftp.Reply) error{
	"USER": user, "PASS": password, "ACCT": password, "REIN": reinitialize, "HOST": host,
	"TYPE": parameter(func(s *State) *string { return &s.Type }),
	"MODE": parameter(func(s *State) *string { return &s.Mode }),
	"STRU": parameter(func(s *State) *string { return &s.Structure }),
	"PBSZ": parameter(func(s *State) *string { return &s.BufferSize }),
	"PROT": parameter(func(s *State) *string { return &s.Prot }),
	"REST": restart, "RNFR": renameFrom, "RNTO": renameTo,
	"AUTH": auth, "ADAT": auth, "CCC": clearControl,
	"ABOR": abort,
}

// parameter keeps the argument of a command that was accepted.
func parameter(of func(*State) *string) func(*Tracker, ftp.Command, ftp.Reply) error {
	return func(t *Tracker, c ftp.Command, r ftp.Reply) error {
		if r.Complete() {
			arg := c.Arg
			if strings.ContainsFunc(arg, unicode.IsSpace) {
				arg = strings.Join(strings.Fields(arg), " ")
			}
			*of(&t.state) = strings.ToUpper(arg)
		}
		return nil
	}
}

// user begins a login and drops the one before. What TYPE, MODE and STRU have
// set stays (RFC 959 4.1.1).
func user(t *Tracker, c ftp.Command, r ftp.Reply) error {
	if !r.Complete() && !r.Intermediate() {
		return nil // vsftpd: "530 Can't change from guest user."
	}
	t.state.forget()
	t.state.User = c.Arg
	t.state.Login = LoggedOut
	return password(t, c, r)
}

func password(t *Tracker, _ ftp.Command, r ftp.Reply) error {
	switch {
	case r.Complete():
		t.state.Login = LoggedIn
	case r.Code == 332:
		t.state.Login = WantAccount
	case r.Intermediate():
		t.state.Login = WantPassword
	case t.state.Login != LoggedIn:
		t.state.Login = LoggedOut
	}
	return nil
}

// reinitialize sets all back, TLS included (RFC 4217 11), but the transfer of
// before, which may have ended or not.
func reinitialize(t *Tracker, _ ftp.Command, r ftp.Reply) error {
	if r.Complete() {
		t.state = State{Greeted: true, Transfer: t.state.Transfer}
	}
	return nil
}

func host(t *Tracker, c ftp.Command, r ftp.Reply) error {
	if r.Complete() {
		t.state.Host = c.Arg
	}
	return nil
}

func restart(t *Tracker, c ftp.Command, r ftp.Reply) error {
	if !r.Intermediate() && !r.Complete() {
		return nil
	}
	n, err := ftp.ParseSize(strings.TrimSpace(c.Arg))
	t.state.Offset = n // 0 after an error: a marker of MODE B, say
	return err
}

func renameFrom(t *Tracker, c ftp.Command, r ftp.Reply) error {
	t.state.RenameFrom = ""
	if r.Intermediate() {
		t.state.RenameFrom = c.Arg
	}
	return nil
}

func renameTo(t *Tracker, _ ftp.Command, _ ftp.Reply) error {
	t.state.RenameFrom = ""
	return nil
}

// auth puts the control connection under TLS, or under another mechanism, and
// drops the login (RFC 2228 3).
func auth(t *Tracker, c ftp.Command, r ftp.Reply) error {
	if r.Code != 234 && r.Code != 235 {
		return nil
	}
	t.state.forget()
	t.state.Login, t.state.User = LoggedOut, ""
	t.state.Opaque = true
	t.state.BufferSize, t.state.Prot = "", ""
	switch strings.ToUpper(strings.TrimSpace(c.Arg)) {
	case "SSL", "TLS-P":
		t.state.Prot = "P" // vsftpd, ProFTPD: data is protected at once
	}
	if c.Verb == "AUTH" && t.queue.len() > 0 {
		t.queue.clear()
		return ErrBehindAUTH
	}
	return nil
}

func clearControl(t *Tracker, _ ftp.Command, r ftp.Reply) error {
	if r.Complete() {
		t.state.Opaque = false
	}
	return nil
}

// abort marks the transfer that it ended, if that has not been answered.
func abort(t *Tracker, _ ftp.Command, r ftp.Reply) error {
	if r.Complete() && t.queue.len() > 0 && t.queue.head().started {
		t.queue.head().aborted = true
	}
	return nil
}
