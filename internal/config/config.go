// Package config holds the settings of "towpath serve": what can be set, what
// each setting is when nobody sets it, and how files, the environment and
// flags set it.
//
// Everything that can be set stands in one table ([Config.Keys]). Flags,
// environment variables, the TOML file, "config show" and "config keys" are
// all made from it, so none of them can forget a setting. The package opens no
// socket and starts nothing: serve does that with what it finds here. The
// configurations of other servers are read by config/foreign.
package config

import (
	"time"

	"towpath/ftpserver"
)

// Config is what an operator can say about a server. [Default] gives the
// values that hold when nothing is said.
type Config struct {
	// Listen are the addresses for control connections, as "host:port" or
	// ":port". None: only TLS.Implicit listens.
	Listen []string
	// Root is the directory that is served.
	Root string
	// Banner is the text of the greeting, BannerFile a file that holds it. At
	// most one is set; neither means the server's own.
	Banner, BannerFile string
	// Accounts is the file of accounts/userfile; "" means none.
	Accounts string
	// Users may log in beside those of Accounts, with Root as home.
	Users []User
	// Anonymous lets anybody in as "anonymous", to read.
	Anonymous bool
	// ReadOnly takes all rights to change files from everybody.
	ReadOnly bool

	Passive Passive
	Active  Active
	TLS     TLS
	Limits  Limits
	Files   Files
	Log     Log
	Life    Life
}

// Passive says how clients may open data connections.
type Passive struct {
	Enable bool
	// Ports is the range; the zero value leaves the choice to the kernel.
	Ports ftpserver.PortRange
	// External says which address clients are told; the first match counts.
	External      []ftpserver.Told
	AcceptTimeout Duration
	// AllowForeignData is [ftpserver.Options.AllowForeignData]: a danger.
	AllowForeignData bool
}

// Active says how the server may open data connections.
type Active struct {
	Enable bool
	// Port is the local port, 0 for any.
	Port           int
	ConnectTimeout Duration
	// AllowForeign and AllowLowPorts are dangers: see [ftpserver.Options].
	AllowForeign, AllowLowPorts bool
	FixPrivatePort              bool
}

// TLS says what is encrypted and by which certificates.
type TLS struct {
	// Cert and Key are PEM files. Key may be empty when Cert holds both.
	Cert, Key string
	// Hosts are further certificates, chosen by SNI and by HOST (RFC 7151).
	Hosts      []HostCert
	SelfSigned bool
	Require    bool
	// Implicit is the address for FTPS without AUTH TLS; "" means none.
	Implicit string
	// ClientCA is a PEM file of authorities for client certificates; "" means
	// that none is asked for. ClientAuth is "optional" or "require".
	ClientCA, ClientAuth string
	// Binding is "prefer", "require" or "off": see [ftpserver.Binding].
	Binding string
	// MinVersion is "1.2" or "1.3".
	MinVersion string
}

// Limits bound what one client, and all together, can take. A Duration of 0 is
// "off"; a number of 0 means no limit where [Config.Keys] says so.
type Limits struct {
	MaxSessions, MaxPerAddress                int
	LoginTimeout, IdleTimeout, MaxIdleTimeout Duration
	StallTimeout                              Duration
	MinRate, DownloadRate, UploadRate         Rate
	MaxFailures                               int
	FailureDelay, MaxFailureDelay             Duration
	BanAfter                                  int
	BanFor                                    Duration
	CommandRate                               int
	KeepAlive                                 Duration
	MaxMatches, MaxInflate                    int
}

// Files says how files are kept and shown.
type Files struct {
	// Sync is "off", "close" or "dir": what is forced to the disk before an
	// upload counts as done.
	Sync  string
	Umask Mode
	// Charset names the bytes of clients that do not speak UTF-8.
	Charset string
	// PartialAge is how long the part of a cut upload waits to be resumed.
	PartialAge Duration
	// AllowSymlinks is [ftpserver.Options.AllowSymlinks].
	AllowSymlinks bool
	// DOSListing is [ftpserver.Options.DOSListing].
	DOSListing bool
}

// Log says what is written down, and where. Passwords never are.
type Log struct {
	// Format is "text" or "json", Level "debug", "info", "warn" or "error".
	Format, Level string
	// File takes the log; "" means standard error.
	File string
	// XferLog and Vsftpd are transfer logs in those two formats; "" means none.
	XferLog, Vsftpd string
	// Transcripts is a directory for the dialogue of each session; "" means none.
	Transcripts string
}

// Life says how the process lives.
type Life struct {
	// DrainTimeout is how long sessions may go on after SIGTERM.
	DrainTimeout Duration
	// User and Group, as names or numbers, are taken on once the ports are
	// bound; "" means no change.
	User, Group string
	// Sandbox confines the process to the directories that it serves.
	Sandbox bool
}

// Default returns the settings that hold when nothing is set.
func Default() Config {
	return Config{
		Listen: []string{":2121"},
		Root:   ".",
		Passive: Passive{
			Enable:        true,
			AcceptTimeout: Duration(30 * time.Second),
		},
		Active: Active{
			Enable:         true,
			ConnectTimeout: Duration(30 * time.Second),
		},
		TLS: TLS{
			ClientAuth: "optional",
			Binding:    "prefer",
			MinVersion: "1.2",
		},
		Limits: Limits{
			MaxSessions:     10_000,
			LoginTimeout:    Duration(30 * time.Second),
			IdleTimeout:     Duration(5 * time.Minute),
			MaxIdleTimeout:  Duration(2 * time.Hour),
			StallTimeout:    Duration(time.Minute),
			MaxFailures:     3,
			FailureDelay:    Duration(time.Second),
			MaxFailureDelay: Duration(10 * time.Second),
			BanAfter:        20,
			BanFor:          Duration(10 * time.Minute),
			CommandRate:     10_000,
			KeepAlive:       Duration(45 * time.Second),
			MaxMatches:      100_000,
			MaxInflate:      1000,
		},
		Files: Files{
			Sync:       "close",
			Umask:      0o022,
			Charset:    "utf-8",
			PartialAge: Duration(24 * time.Hour),
		},
		Log: Log{
			Format: "text",
			Level:  "info",
		},
		Life: Life{
			DrainTimeout: Duration(30 * time.Second),
			Sandbox:      true,
		},
	}
}
