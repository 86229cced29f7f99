package ftpserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"towpath/internal/ports"
	"towpath/internal/resume"
	"towpath/storage"
)

// Options say how a server behaves. Login is the only field that must be set;
// every other field is safe at its zero value. A time of zero means the
// default that is named; a negative time switches the clock off.
type Options struct {
	// Login decides who may enter. See [Login] for what it is told and
	// [ErrRefused] for what it answers. Required.
	Login func(ctx context.Context, l Login) (*User, error)

	// Banner is the text of the greeting; lines are parted by \n. Default
	// "Towpath FTP server ready."
	Banner string
	// Log receives one line for each thing worth knowing. Default: none.
	Log *slog.Logger
	// Events is told of logins, transfers and other ends as they happen, for
	// transfer logs and counters. It must return soon. Default: none.
	Events func(Event)
	// Transcript, if set, is asked at the start of each session for a place to
	// write its dialogue as C: and S: lines. A nil answer means none.
	Transcript func(session uint64, peer netip.AddrPort) io.WriteCloser

	// TLS allows AUTH TLS. If nil the server speaks clear text only. The ALPN
	// protocol "ftp" is added; tickets are made private to each session.
	TLS *tls.Config
	// RequireTLS refuses to log anybody in, and to move data, in clear text.
	// A single user can be held to TLS by [User.RequireTLS].
	RequireTLS bool
	// HostTLS chooses the configuration for a virtual host named by HOST (RFC
	// 7151); SNI is served by TLS.GetCertificate. A host it does not know is
	// refused by an error. Default: HOST is accepted for any name, and means
	// the same server.
	HostTLS func(host string) (*tls.Config, error)
	// Binding says what happens to a data connection over TLS that does not
	// resume the session of its control connection. Default [BindPrefer].
	Binding Binding

	// NoPassive refuses PASV and EPSV.
	NoPassive bool
	// PassivePorts are the ports for passive mode, each chosen at random.
	// Default: [DynamicPorts], 49152-65535.
	PassivePorts PortRange
	// Told chooses the address that PASV tells a client. Default: the address
	// that the control connection reached.
	Told []Told
	// AcceptTimeout is how long a passive port waits for the client. Default
	// 30 seconds.
	AcceptTimeout time.Duration
	// AllowForeignData takes a data connection from any host, as FXP between
	// two servers needs. It lets a stranger steal or inject files.
	AllowForeignData bool

	// NoActive refuses PORT and EPRT.
	NoActive bool
	// ActivePort is the local port from which data connections are opened;
	// the classic one is 20. Default: any.
	ActivePort uint16
	// ConnectTimeout is how long an active data connection may take to come
	// about. Default 30 seconds.
	ConnectTimeout time.Duration
	// AllowForeign lets PORT and EPRT name a host other than the client's own,
	// as FXP needs. It opens the door to bounce attacks.
	AllowForeign bool
	// AllowLowPorts lets PORT and EPRT name a port below 1024.
	AllowLowPorts bool
	// FixPrivatePort replaces a private address in PORT and EPRT by the
	// address of the control connection when that one is public: for devices
	// behind a NAT that does not rewrite.
	FixPrivatePort bool

	// MaxSessions limits the sessions in all. Default 10,000.
	MaxSessions int
	// MaxPerAddress limits the sessions of one client address (IPv6: one /64).
	// Default: no limit but MaxSessions.
	MaxPerAddress int
	// LoginTimeout is the time from connecting to being logged in; no command
	// extends it. Default 30 seconds.
	LoginTimeout time.Duration
	// IdleTimeout ends a session that sends no command and moves no data.
	// Default 5 minutes. SITE IDLE moves it up to MaxIdleTimeout.
	IdleTimeout time.Duration
	// MaxIdleTimeout is the most that SITE IDLE may ask. Default 2 hours.
	MaxIdleTimeout time.Duration
	// StallTimeout ends a transfer in which no byte moves: none that the client
	// acknowledges, and none that comes from him. Default 60 seconds. Where the
	// kernel does not tell (all systems but Linux), bytes count when a whole piece
	// has moved, 256 KiB at most, so that lines below some 4 kB/s may be cut.
	StallTimeout time.Duration
	// MinRate ends a transfer that stays slower, in bytes per second, over a
	// whole StallTimeout. Default 0: only a stall ends it.
	MinRate int64
	// MaxFailures is how many failed logins a session may have. Default 3.
	MaxFailures int
	// FailureDelay is what a failed login costs its address, doubled with each
	// further failure up to MaxFailureDelay. Default 1 second, up to 10.
	FailureDelay, MaxFailureDelay time.Duration
	// BanAfter failed logins within BanFor, an address is refused (421) until
	// BanFor has gone by. Default 20 in 10 minutes; negative: never.
	BanAfter int
	BanFor   time.Duration
	// CommandRate is how many commands a session may send per second on
	// average (bursts of ten times as many); more are answered late. Default
	// 10,000; negative: no limit.
	CommandRate int
	// KeepAlive is the interval of TCP keep-alive on control connections, so
	// that a firewall with a short memory keeps them through long transfers.
	// Default 45 seconds.
	KeepAlive time.Duration

	// MaxMatches limits what a pattern in LIST and NLST may match. Default
	// 100,000.
	MaxMatches int
	// MaxInflate limits how many times larger than what was sent the data of
	// a MODE Z upload may become. Default 1,000, as zlib itself gives for zeros.
	MaxInflate int
	// AllowSymlinks offers SITE SYMLINK.
	AllowSymlinks bool
	// DOSListing writes LIST in the style of MS-DOS, for devices that read no other.
	DOSListing bool
}

// PortRange is a range of ports, both ends included. The zero value is no range.
type PortRange = ports.Range

// DynamicPorts are the ports of passive mode where none are named.
var DynamicPorts = ports.Dynamic

// PassiveStats tells how the ports of passive mode are used. Used and Waiting
// are of now, the others count since the start.
type PassiveStats = ports.Stats

// Told says which address PASV and EPSV tell the clients it is for. The first
// that matches counts.
type Told struct {
	// Clients are the networks it is for. None: all but those who come from a
	// private network and have reached a private address: they are told that
	// one. (Name 0.0.0.0/0 to mean them too.)
	Clients []netip.Prefix
	// TLS limits it to sessions that are (true) or are not (false) encrypted.
	// Nil: both.
	TLS *bool
	// Address is an IP address, a host name (looked up again as it ages), an
	// interface as "if:eth0", or "auto": the address that the control
	// connection reached. An address of the other family than the client's
	// does not match.
	Address string
}

// Binding is what the server asks of TLS data connections.
type Binding = resume.Mode

// The bindings. Resuming proves that the one who opens the data connection is
// the one who holds the control connection; the certificate of the server
// proves nothing of the kind.
const (
	// BindPrefer serves a data connection that resumes nothing, or that wanted
	// to resume another session, and counts it.
	BindPrefer = resume.Prefer
	// BindRequire refuses data connections that do not resume their session.
	BindRequire = resume.Require
	// BindOff does not look.
	BindOff = resume.Off
)

// Login is what is known of somebody who wants to enter.
type Login struct {
	Name     string
	Password string
	// Peer is the client's address, Host the name given by HOST or SNI.
	Peer netip.AddrPort
	Host string
	// TLS is the state of the control connection, nil in clear text. Verified
	// client certificates are in it.
	TLS *tls.ConnectionState
}

// Errors that Options.Login answers; a [User] comes with a nil error.
var (
	// ErrRefused: the name or the password is wrong, or the account may not
	// enter. The client learns no more than that (530).
	ErrRefused = errors.New("login incorrect")
	// ErrTooMany: this user has as many sessions as it may have (421).
	ErrTooMany = errors.New("too many sessions for this user")
)

// Rights say what may be done with a path. They are bits.
type Rights uint16

// The rights.
const (
	List   Rights = 1 << iota // see names and facts: LIST, NLST, MLSD, MLST, STAT, SIZE, MDTM
	Read                      // RETR, HASH
	Write                     // STOR, STOU: make and replace files
	Append                    // APPE and REST before STOR: add to files
	Delete                    // DELE
	Rename                    // RNFR, RNTO
	Mkdir                     // MKD
	Rmdir                     // RMD, RMDA
	Chmod                     // SITE CHMOD, MFF unix.mode
	Times                     // MFMT, MFCT, SITE UTIME
	Copy                      // SITE CPFR and CPTO, COMB, besides Read and Write
	Link                      // SITE SYMLINK, besides AllowSymlinks
	Admin                     // SITE WHO

	ReadOnly = List | Read
	All      = List | Read | Write | Append | Delete | Rename | Mkdir | Rmdir | Chmod | Times | Copy | Link

	// enter is what lets into a directory (CWD, CDUP), each by itself: devices that
	// may only deliver go to their directory first.
	enter = List | Write | Append
)

// rightWords are the rights in the words of accounts, in the order of the bits.
var rightWords = [...]string{"list", "read", "write", "append", "delete", "rename", "mkdir", "rmdir", "chmod", "times", "copy", "link", "admin"}

// String gives the words that accounts have for them, as "list write".
func (r Rights) String() string {
	var words []string
	for i, w := range rightWords {
		if r&(1<<i) != 0 {
			words = append(words, w)
		}
	}
	return strings.Join(words, " ")
}

// User is one who has logged in: what Options.Login answers.
type User struct {
	Name string
	// Root is all that the user can see.
	Root storage.FS
	// Home is the directory in Root where the session starts. Default "/".
	Home string
	// Rights says what may be done with a path (absolute, within Root). Nil
	// means ReadOnly everywhere.
	Rights func(path string) Rights
	// Greeting is shown with the 230; lines are parted by \n.
	Greeting string
	// RequireTLS refuses data in clear text for this user. (That the login was
	// in clear text is for Options.Login to refuse.)
	RequireTLS bool
	// IdleTimeout, if not zero, replaces Options.IdleTimeout.
	IdleTimeout time.Duration
	// DownloadRate and UploadRate limit a session, in bytes per second. 0: no limit.
	DownloadRate, UploadRate int64
	// Charset turns names on the wire into UTF-8 and back for clients that do
	// not speak UTF-8. Nil: UTF-8.
	Charset Charset
	// Quota, if not nil, is asked before and told after each change.
	Quota Quota
	// Closed is called once when the session or this login ends.
	Closed func()
}

// Charset translates names. Both ways it must be reversible for whatever
// Decode makes out of bytes that are no text in it.
type Charset interface {
	Name() string
	Decode(wire string) string
	// Encode fails for a name that the charset cannot say.
	Encode(name string) (string, error)
}

// Quota limits what a user stores. It is safe for concurrent use.
type Quota interface {
	// Take asks for leave to store so many more bytes and files, and gives
	// [ErrQuota] when there is no room. Negative numbers give back.
	Take(bytes, files int64) error
	// Usage tells what is used and what is allowed (0: no limit).
	Usage() (usedBytes, maxBytes, usedFiles, maxFiles int64)
}

// ErrQuota: the user's quota has no room (552).
var ErrQuota = errors.New("quota exceeded")

// check returns o with its defaults filled in, or says what is wrong with it.
func (o Options) check() (Options, error) {
	if o.Login == nil {
		return o, errors.New("ftpserver: Options.Login is not set")
	}
	if o.PassivePorts.Low > o.PassivePorts.High {
		return o, fmt.Errorf("ftpserver: passive ports %d-%d: the first port is greater than the last",
			o.PassivePorts.Low, o.PassivePorts.High)
	}
	if o.PassivePorts.Low == 0 && o.PassivePorts.High != 0 {
		return o, fmt.Errorf("ftpserver: passive ports 0-%d: ports go from 1 to 65535", o.PassivePorts.High)
	}
	if o.NoPassive && o.NoActive {
		return o, errors.New("ftpserver: NoPassive and NoActive together leave no way to move data")
	}
	if o.RequireTLS && o.TLS == nil {
		return o, errors.New("ftpserver: RequireTLS needs TLS")
	}
	if o.Banner == "" {
		o.Banner = "Towpath FTP server ready."
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Events == nil {
		o.Events = func(Event) {}
	}
	for _, d := range []struct {
		at  *time.Duration
		std time.Duration
	}{
		{&o.AcceptTimeout, 30 * time.Second},
		{&o.ConnectTimeout, 30 * time.Second},
		{&o.LoginTimeout, 30 * time.Second},
		{&o.IdleTimeout, 5 * time.Minute},
		{&o.MaxIdleTimeout, 2 * time.Hour},
		{&o.StallTimeout, time.Minute},
		{&o.FailureDelay, time.Second},
		{&o.MaxFailureDelay, 10 * time.Second},
		{&o.BanFor, 10 * time.Minute},
		{&o.KeepAlive, 45 * time.Second},
	} {
		if *d.at == 0 {
			*d.at = d.std
		}
	}
	for _, n := range []struct {
		at  *int
		std int
	}{
		{&o.MaxSessions, 10_000},
		{&o.MaxFailures, 3},
		{&o.BanAfter, 20},
		{&o.CommandRate, 10_000},
		{&o.MaxMatches, 100_000},
		{&o.MaxInflate, 1000},
	} {
		if *n.at == 0 {
			*n.at = n.std
		}
	}
	return o, nil
}
