// Package gateway lets any FTP client work with any server across NAT: it
// stands between them, relays the dialogue of a session, and gives each side
// addresses that it can reach (an application-level gateway, ALG).
//
// The dialogue passes byte for byte, except for the lines that carry addresses.
// [dialogue.Tracker] says what was agreed with the server; what the client was
// told in its place is the gateway's own. Mode, family of addresses and TLS on
// the two sides are independent. Data goes through a plane in the kernel where
// that can be ([Options.Opener]), and else from socket to socket.
//
// It chooses no servers ([Router]) and judges nobody but by the protocol
// ([Options.Allow]).
package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"towpath/firewall"
	"towpath/ftp"
)

// Options say what a gateway does. Route is required; the zero value of every
// other field is ready to use.
type Options struct {
	// Route says who serves a session.
	Route Router
	// Admit is asked before a session begins, and leave is called at its end.
	// The text of the error goes into the 421. nil admits everybody.
	Admit func(Visitor) (leave func(), err error)
	// Allow judges each command that would go to a server. The text of its
	// error goes into the 550. nil allows all.
	Allow func(Request) error
	// Size is the most bytes that a transfer moves, 0 for no bound. It is asked
	// when a transfer begins, and tightens what Limit says; a session that Limit
	// does not bound may go through the kernel, where nobody counts. nil is no bound.
	Size func(Request) int64
	// Limit bounds the data of a session. It is asked when somebody has logged
	// in. nil is no limit.
	Limit func(Visitor, Server) Limits

	// ServerMode is the mode that is used towards the server, whatever the
	// client uses.
	ServerMode Mode
	// ClientTLS says what AUTH does. Terminate, Require and ServeTLS need TLS.
	ClientTLS ClientTLS
	// TLS holds the certificate that clients are shown; its ClientAuth and
	// ClientCAs count.
	TLS *tls.Config

	// Opener is a data plane in the kernel. It carries clear data of one
	// family; all else, and what it refuses, goes through user space. nil is
	// user space only.
	Opener firewall.Opener
	// Redirect opens the way of data connections to and from clients whose
	// control connection was redirected to us, and who therefore know us by
	// [Visitor.Original]: destination NAT from there to our own listener, and
	// source NAT of what we open to there. nil: such clients are told our own
	// address, and EPSV is refused since they would not ask where it leads.
	Redirect firewall.Opener

	// Ports are those that clients and servers are told; the zero value is
	// 49152-65535.
	Ports firewall.Ports
	// External returns the address to tell a client, where a NAT stands before
	// the gateway. nil, or the zero Addr: the one at which the client reached
	// it.
	External func(Visitor) netip.Addr
	// AllowForeign lists the networks that a client or a server may announce
	// although they are not its own. It opens the door to bounce attacks.
	AllowForeign []netip.Prefix
	// DenyPorts are never announced on, beside all below 1024.
	DenyPorts []uint16
	// Accepted is called with each data connection that comes in, before any
	// other byte is read: a load balancer may have put the true address of the
	// peer in front. It must read no further. nil: the peer is as it seems.
	Accepted func(context.Context, *net.TCPConn) (peer netip.AddrPort, err error)
	// Announce writes to a connection that was made to a server whose
	// [Server.Proxy] is not 0 who the client is, and at which address he called.
	Announce func(to io.Writer, version int, client, local netip.AddrPort) error

	// Banner is what is said in the server's place where the server is not
	// known before USER.
	Banner string

	// ConnectTimeout bounds the connection to a server, with its greeting.
	// Default 10 s.
	ConnectTimeout time.Duration
	// DataTimeout bounds how long a data connection may take to come about,
	// and how long a pinhole stays. Default 10 s, 20 s at most.
	DataTimeout time.Duration
	// LoginTimeout ends a session that has not logged in. Default 1 minute.
	LoginTimeout time.Duration
	// IdleTimeout ends a session that neither says nor moves anything. Default
	// 15 minutes, so that the server's own comes first.
	IdleTimeout time.Duration
	// BlindTimeout ends a session that cannot be read, since TLS passes through
	// it, and in which nothing is said. Its transfers go by unseen, so that it
	// must be longer than they are. Default 24 hours.
	BlindTimeout time.Duration
	// StallTimeout ends a transfer that moves nothing. Default 5 minutes.
	StallTimeout time.Duration
	// KeepAlive is how often TCP asks on both control connections whether the
	// other end lives. It keeps NATs from forgetting them while data flows, by
	// which the 226 would be lost. Default 30 s, negative is never.
	KeepAlive time.Duration

	// Log is told of sessions and of what is wrong. nil is silence.
	Log *slog.Logger
	// Ended is told of each session when it has ended. It may keep the record.
	Ended func(*Record)
	// Transcript returns where the dialogue of a session is kept, or nil.
	Transcript func(session uint64, client netip.AddrPort) io.WriteCloser

	// clock is time.Now but in tests.
	clock func() time.Time
}

// Router says who serves a session.
type Router interface {
	// Route returns the server for v, leaving out those tried, which are names.
	// [ErrNeedUser] makes the gateway greet in the server's place and ask again
	// when [Visitor.User] or Host is known. The text of any other error goes
	// into the 421, or the 530 if it is a [NoWay].
	Route(ctx context.Context, v Visitor, tried []string) (*Seat, error)
}

// ErrNeedUser is what a [Router] answers that must know who it is for.
var ErrNeedUser = errors.New("the server depends on the user")

// NoWay is why a [Router] leads a client nowhere whatever the time: he named a
// server that there is not for him. He hears 530, and may name another.
type NoWay string

// Error is the reason, as the client hears it.
func (n NoWay) Error() string { return string(n) }

// Seat is a place at a server.
type Seat struct {
	Server Server
	// Leave gives the place back, once, and says how it went: nil, or why the
	// server could not be used or was lost. It may be nil.
	Leave func(err error)
}

// Visitor is what is known of a client.
type Visitor struct {
	// Client is where the control connection comes from, Local where it
	// arrived, and Original where the client wanted to go, if it was redirected
	// to us; else it is zero.
	Client   netip.AddrPort `json:"client"`
	Local    netip.AddrPort `json:"local"`
	Original netip.AddrPort `json:"original,omitzero"`
	// Reached is where the client called if a load balancer says so: then Local
	// is only where the balancer did. Wanted is the server, "host:port", that the
	// client asked a door such as SOCKS for.
	Reached netip.AddrPort `json:"reached,omitzero"`
	Wanted  string         `json:"wanted,omitempty"`
	// ServerName is what the client named in TLS (SNI), Host in HOST (RFC
	// 7151), User in USER.
	ServerName string `json:"server_name,omitempty"`
	Host       string `json:"host,omitempty"`
	User       string `json:"user,omitempty"`
	// TLS is true if the control connection of the client is under TLS.
	TLS bool `json:"tls,omitempty"`
}

// Server is where a session goes.
type Server struct {
	// Name is what logs and records call it; "" is Addr.
	Name string
	// Addr is host:port; the host may be a name.
	Addr string
	// TLS is what is spoken with it, and Config how.
	TLS    ServerTLS
	Config *tls.Config
	// Proxy is the version of the PROXY protocol that it wants to hear before
	// anything else, on control and data: 1 or 2, 0 for none.
	Proxy int
	// As is the address that we come from; zero is any of ours.
	As netip.Addr
	// User returns the name to log in with at this server for the one that the
	// client gave ("anna@ftp.example.org" becomes "anna"). nil leaves it.
	User func(string) string
}

func (s *Server) String() string {
	if s.Name != "" {
		return s.Name
	}
	return s.Addr
}

// Request is a command that a client wants done, for [Options.Allow].
type Request struct {
	Visitor Visitor
	Server  *Server
	Command ftp.Command
	// Dir is the directory that the session is in, as the server last told it,
	// and "" if that is not known.
	Dir string
	// RenameFrom is the argument of the RNFR that an RNTO completes.
	RenameFrom string
}

// Limits bound the data of a session. The zero value is none.
type Limits struct {
	// Upload and Download are the most bytes of one transfer; 0 is no limit.
	Upload, Download int64
	// Pace is called after each n bytes of data that went through, and returns
	// when more may follow. nil is as fast as it goes.
	Pace func(ctx context.Context, n int) error
}

func (l Limits) none() bool { return l.Upload == 0 && l.Download == 0 && l.Pace == nil }

// Mode is how data connections with the server come about.
type Mode uint8

// The modes. SameMode does what the client does.
const (
	SameMode Mode = iota
	PassiveMode
	ActiveMode
)

var modes = []string{"same", "passive", "active"}

// String returns "same", "passive" or "active".
func (m Mode) String() string { return modes[m] }

// ParseMode is the inverse of [Mode.String].
func ParseMode(s string) (Mode, error) { return parse[Mode](s, modes) }

// ClientTLS is what becomes of AUTH.
type ClientTLS uint8

// PassTLS hands AUTH to the server, and once it has agreed the gateway is
// blind: addresses cannot be repaired any more. RefuseTLS answers 534.
// TerminateTLS speaks TLS itself; RequireTLS does, and lets nobody log in
// without.
const (
	PassTLS ClientTLS = iota
	RefuseTLS
	TerminateTLS
	RequireTLS
)

var clientTLS = []string{"pass", "refuse", "terminate", "require"}

// String returns "pass", "refuse", "terminate" or "require".
func (c ClientTLS) String() string { return clientTLS[c] }

// ParseClientTLS is the inverse of [ClientTLS.String].
func ParseClientTLS(s string) (ClientTLS, error) { return parse[ClientTLS](s, clientTLS) }

// ServerTLS is what is spoken with a server.
type ServerTLS uint8

// SameTLS asks the server for TLS when the client has asked us, and protects
// data as the client wants it. ClearTLS never does, ExplicitTLS always begins
// with AUTH TLS and protects all data, ImplicitTLS begins with TLS.
const (
	SameTLS ServerTLS = iota
	ClearTLS
	ExplicitTLS
	ImplicitTLS
)

var serverTLS = []string{"same", "clear", "explicit", "implicit"}

// String returns "same", "clear", "explicit" or "implicit".
func (s ServerTLS) String() string { return serverTLS[s] }

// ParseServerTLS is the inverse of [ServerTLS.String].
func ParseServerTLS(s string) (ServerTLS, error) { return parse[ServerTLS](s, serverTLS) }

func parse[T ~uint8](s string, names []string) (T, error) {
	if i := slices.Index(names, s); i >= 0 {
		return T(i), nil
	}
	return 0, fmt.Errorf("%q: want one of %s", s, strings.Join(names, ", "))
}

// The defaults of Options.
const (
	defaultConnect = 10 * time.Second
	defaultData    = 10 * time.Second
	defaultLogin   = time.Minute
	defaultIdle    = 15 * time.Minute
	defaultBlind   = 24 * time.Hour
	defaultStall   = 5 * time.Minute
	defaultAlive   = 30 * time.Second
	longestData    = 20 * time.Second
)

// check completes o, or says what is wrong with it.
func (o Options) check() (Options, error) {
	if o.Route == nil {
		return o, errors.New("gateway: Options.Route is missing; nobody would serve a session")
	}
	if o.TLS == nil && (o.ClientTLS == TerminateTLS || o.ClientTLS == RequireTLS) {
		return o, fmt.Errorf("gateway: ClientTLS %v needs a certificate in Options.TLS", o.ClientTLS)
	}
	if o.DataTimeout > longestData {
		return o, fmt.Errorf("gateway: DataTimeout %v: want at most %v, so that no pinhole is left open", o.DataTimeout, longestData)
	}
	if o.Ports != (firewall.Ports{}) && (o.Ports.Low < 1024 || o.Ports.High < o.Ports.Low) {
		return o, fmt.Errorf("gateway: Ports %v: want a range from 1024 on", o.Ports)
	}
	for _, t := range []struct {
		name  string
		value *time.Duration
		or    time.Duration
	}{
		{"ConnectTimeout", &o.ConnectTimeout, defaultConnect},
		{"DataTimeout", &o.DataTimeout, defaultData},
		{"LoginTimeout", &o.LoginTimeout, defaultLogin},
		{"IdleTimeout", &o.IdleTimeout, defaultIdle},
		{"BlindTimeout", &o.BlindTimeout, defaultBlind},
		{"StallTimeout", &o.StallTimeout, defaultStall},
		{"KeepAlive", &o.KeepAlive, defaultAlive},
	} {
		if *t.value == 0 {
			*t.value = t.or
		}
		if *t.value < 0 && t.value != &o.KeepAlive {
			return o, fmt.Errorf("gateway: %s %v is negative", t.name, *t.value)
		}
	}
	if o.clock == nil {
		o.clock = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Banner == "" {
		o.Banner = "FTP gateway."
	}
	return o, nil
}
