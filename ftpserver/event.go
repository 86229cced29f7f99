package ftpserver

import (
	"net/netip"
	"time"
)

// Event is one of [SessionEvent], [LoginEvent] and [TransferEvent].
type Event interface{ event() }

// SessionEvent tells that a session began, ended, or was not admitted.
type SessionEvent struct {
	Session uint64
	Time    time.Time
	Peer    netip.AddrPort
	What    SessionPhase
	// Reason says why a session was not admitted or was ended by the server.
	Reason string
}

// SessionPhase is what a [SessionEvent] tells.
type SessionPhase int

// The phases.
const (
	SessionBegan SessionPhase = iota
	SessionEnded
	SessionRefused
)

// LoginEvent tells how a login ended.
type LoginEvent struct {
	Session uint64
	Time    time.Time
	Peer    netip.AddrPort
	User    string
	TLS     bool
	// Err is nil when the user was let in.
	Err error
}

// TransferEvent tells how a transfer of a file ended. Listings are not told.
type TransferEvent struct {
	Session uint64
	// Start is when the command came, Duration how long the transfer took.
	Start    time.Time
	Duration time.Duration
	Peer     netip.AddrPort
	User     string
	// Verb is RETR, STOR, STOU or APPE; Path is absolute within the user's tree.
	Verb string
	Path string
	// Bytes went over the data connection, from Offset in the file on.
	Bytes, Offset int64
	ASCII         bool
	TLS           bool
	Active        bool
	// Err is nil when the transfer was whole.
	Err error
}

func (SessionEvent) event()  {}
func (LoginEvent) event()    {}
func (TransferEvent) event() {}
