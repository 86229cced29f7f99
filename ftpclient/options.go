package ftpclient

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"time"

	"towpath/ftp"
)

// Options say how a client behaves. Every field is safe at its zero value. A
// time of zero means the default that is named; a negative time switches the
// clock off.
type Options struct {
	// User and Password are sent to log in. Default: anonymous, with the
	// password "anonymous@". Account is sent if the server asks for it.
	User, Password, Account string

	// TLS says whether TLS is spoken. It is never given up in silence: a
	// server that refuses it gets no password.
	TLS Security
	// TLSConfig is used for both kinds of connections. ServerName is set to
	// the host that was dialled if it is empty; ClientSessionCache is replaced
	// by one that belongs to the session; NextProtos is left alone unless it is
	// nil, and else offers ftp and ftp-data. Pins, client certificates and key
	// logs are set here.
	TLSConfig *tls.Config
	// ClearControl ends the TLS of the control connection behind the login
	// (CCC), so that a NAT on the way can read the announcements. File names
	// can be read by everybody then, and who sits between can put in commands
	// and replies of his own. The password has gone before, and data stays
	// under TLS. A server that refuses goes on under TLS.
	ClearControl bool

	// Mode says who opens data connections. Default [Auto].
	Mode Mode
	// Avoid are announcements that Auto, Passive and Active leave out.
	Avoid []Mode
	// ActivePorts are the local ports for active mode. Default: any.
	ActivePorts PortRange
	// ActiveAddress is told to the server in active mode, for clients behind a
	// NAT that passes the ports on. Default: the address of our end of the
	// control connection.
	ActiveAddress netip.Addr
	// LearnAddress asks the server, in active mode, from where it sees us, and
	// tells it that address: for clients behind a NAT of which only the NAT
	// knows the address. The NAT must still pass the ports on, so set
	// ActivePorts. vsftpd, ProFTPD, those of BSD and Towpath say it (STAT);
	// with others, and through a NAT of the server's, the announcement fails
	// with [ErrAddress]. ActiveAddress comes first.
	LearnAddress bool
	// AllowForeign connects to the address that 227 names instead of to the
	// server, and in active mode takes connections from any host. A hostile
	// server can use it to reach into our network, a stranger to send a file.
	AllowForeign bool

	// Dialer opens connections, data connections too. Default: a net.Dialer.
	// Unless it is a *net.Dialer, or gives a [Tunnel], data connections go to
	// the host that was dialled, by its name, since our peer may be a proxy;
	// and active mode needs a [Binder]. Package ftpclient/proxy has both.
	Dialer ContextDialer
	// Gate is a proxy that speaks FTP itself. Default: none.
	Gate *Gate
	// LocalAddr is our address for all connections. It needs the default Dialer.
	LocalAddr netip.Addr

	// ProxyLine begins the control connection by a line that tells who we are, for
	// a balancer or server that wants it of all who connect (PROXY protocol,
	// version 1). Others take it for a command.
	ProxyLine bool
	// Ready makes a session ready behind its login, also one that takes the place
	// of a lost one: quote sends as [Client.Quote] does. An error ends the
	// session.
	Ready func(quote func(ftp.Command) (ftp.Reply, error)) error

	// Timeout bounds the wait for a connection and for a reply. Default 30 s.
	Timeout time.Duration
	// DataTimeout bounds the wait for a data connection. Default 10 s.
	DataTimeout time.Duration
	// StallTimeout ends a transfer in which no byte moves, and bounds the wait
	// for the reply behind the last byte, which some servers use to look at
	// the file. Default 60 s. On Linux a byte has moved when the server has
	// acknowledged it, or when it has come; on other systems when it was written to
	// the socket, or when a whole record of TLS has come, up to 16 KiB.
	StallTimeout time.Duration
	// KeepAlive is the time between two NOOPs while a transfer runs, so that
	// no NAT forgets the control connection. Default 30 s.
	KeepAlive time.Duration

	// Deflate compresses what is transferred, listings too, if the server offers
	// it (MODE Z). On a fast line it costs more time than it saves, and the
	// kernel copies nothing by itself then.
	Deflate bool

	// Retries is how often in a row without progress a transfer is taken up
	// again, on a new session if need be, after a fault of the network or a
	// reply of 4xx. Default 0.
	Retries int
	// Backoff is the wait before retry n = 1, 2, … Default: from a half to one
	// second, doubled each time up to 30.
	Backoff func(n int) time.Duration

	// MaxTree bounds how many names [Client.Walk] and [Client.RemoveAll] look at in
	// one tree, which a loop of links or a hostile server may make endless.
	// Default 10,000,000.
	MaxTree int

	// Charset turns names on the wire into UTF-8 and back. Default: names are
	// the bytes of the wire.
	Charset Charset
	// Location is where the server's clock hangs, for LIST. Default: found out
	// by one MDTM.
	Location *time.Location

	// Log receives what is worth knowing. Default: nothing.
	Log *slog.Logger
	// Trace is told each line of the dialogue, without its end, 'C' for ours
	// and 'S' for the server's. Secrets are hidden. It may be called from
	// several goroutines and must return soon.
	Trace func(dir byte, line string)
}

// Security says whether TLS is spoken.
type Security int

// The securities.
const (
	// Plain is clear text.
	Plain Security = iota
	// Explicit is AUTH TLS behind the greeting (RFC 4217), with PROT P.
	Explicit
	// Implicit is TLS from the first byte on, mostly on port 990.
	Implicit
)

// Mode says how data connections come about.
type Mode int

// The modes.
const (
	// Auto tries EPSV, PASV, EPRT and PORT, and goes on to the next also when
	// the data connection fails. What worked is tried first from then on.
	Auto Mode = iota
	// EPSV, PASV, EPRT and PORT are one announcement each, and no other.
	EPSV
	PASV
	EPRT
	PORT
	// Passive tries EPSV and PASV: the client opens data connections.
	Passive
	// Active tries EPRT and PORT: the server opens them.
	Active
)

var modeNames = [...]string{"auto", "EPSV", "PASV", "EPRT", "PORT", "passive", "active"}

// announcements are what a mode tries, in this order.
var announcements = map[Mode][]Mode{
	Auto:    {EPSV, PASV, EPRT, PORT},
	Passive: {EPSV, PASV},
	Active:  {EPRT, PORT},
}

// String returns the verb, or "auto", "passive" or "active".
func (m Mode) String() string {
	if m < 0 || int(m) >= len(modeNames) {
		return fmt.Sprintf("Mode(%d)", int(m))
	}
	return modeNames[m]
}

// Passive tells whether the client opens the data connection.
func (m Mode) Passive() bool { return m == EPSV || m == PASV || m == Passive }

// announcements returns what is tried, in this order.
func (o *Options) announcements() []Mode {
	all, several := announcements[o.Mode]
	if !several {
		return []Mode{o.Mode}
	}
	return slices.DeleteFunc(slices.Clone(all), func(m Mode) bool { return slices.Contains(o.Avoid, m) })
}

// PortRange is a range of ports, both ends included. The zero value is no range.
type PortRange struct{ Low, High uint16 }

// ContextDialer opens connections; *net.Dialer is one.
type ContextDialer interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// Tunnel is a connection of a Dialer that goes through a proxy.
type Tunnel interface {
	net.Conn
	// Peer is the server's address, and not valid where only the proxy knows it.
	Peer() netip.Addr
	// NetConn is the connection to the proxy, over which nothing but the
	// server's bytes moves any more.
	NetConn() net.Conn
}

// Binder is a Dialer by which active mode works: something at the far end of it
// can take connections for us.
type Binder interface {
	// Bind returns a listener for one connection, that of peer, "host:port".
	// Its Addr, a *net.TCPAddr, is what the server is told. It has a
	// SetDeadline, and what it accepts is a Tunnel.
	Bind(ctx context.Context, peer string) (net.Listener, error)
}

// Gate is a proxy that is an FTP server to its clients, and is told by a command
// where to go. All data connections are with it. Under [Explicit] so is TLS: the
// proxy reads all; [Implicit] does not work.
type Gate struct {
	// Addr is the proxy's, "host:port".
	Addr string
	// Style is how it is told the server. Default [UserAtHost].
	Style GateStyle
	// User and Password log in to the proxy itself, if it wants that.
	User, Password string
}

// GateStyle is how a [Gate] is told where to go. The host is followed by its
// port, if that is not 21.
type GateStyle int

// The styles of gates.
const (
	// UserAtHost is "USER alice@ftp.example.org".
	UserAtHost GateStyle = iota
	// OpenHost is "OPEN ftp.example.org", then "USER alice".
	OpenHost
	// SiteHost is "SITE ftp.example.org", then "USER alice".
	SiteHost
)

// check says what is wrong with a gate.
func (g *Gate) check(o *Options) error {
	if _, _, err := net.SplitHostPort(g.Addr); err != nil {
		return fmt.Errorf("ftpclient: Gate.Addr is %q; want host:port: %w", g.Addr, err)
	}
	if g.Style < UserAtHost || g.Style > SiteHost {
		return fmt.Errorf("ftpclient: Gate.Style is %d; want UserAtHost, OpenHost or SiteHost", g.Style)
	}
	if o.TLS == Implicit {
		return errors.New("ftpclient: TLS is Implicit and a Gate is set, which has to read the login; want Explicit, under which it does, or another proxy")
	}
	return nil
}

// Charset translates names.
type Charset interface {
	Decode(wire string) string
	// Encode fails for a name that the charset cannot say.
	Encode(name string) (string, error)
}

// check returns o with its defaults filled in, or says what is wrong with it.
func (o Options) check() (*Options, error) {
	if o.User == "" {
		o.User = "anonymous"
		if o.Password == "" {
			o.Password = "anonymous@"
		}
	}
	// Said before anything is dialled, and in one place for all of them.
	gate := Gate{}
	if o.Gate != nil {
		gate = *o.Gate
		if err := gate.check(&o); err != nil {
			return nil, err
		}
	}
	for _, f := range []struct{ verb, arg string }{
		{"USER", o.User}, {"PASS", o.Password}, {"ACCT", o.Account}, {"USER", gate.User}, {"PASS", gate.Password},
	} {
		if _, err := (ftp.Command{Verb: f.verb, Arg: f.arg}).Encode(); err != nil {
			return nil, fmt.Errorf("ftpclient: %s: %w", f.verb, err)
		}
	}
	switch p := o.ActivePorts; {
	case p.Low > p.High:
		return nil, fmt.Errorf("ftpclient: active ports %d-%d: the first port is greater than the last", p.Low, p.High)
	case p.Low == 0 && p.High != 0:
		return nil, fmt.Errorf("ftpclient: active ports 0-%d: ports go from 1 to 65535", p.High)
	}
	if o.TLS < Plain || o.TLS > Implicit {
		return nil, fmt.Errorf("ftpclient: TLS is %d; want Plain, Explicit or Implicit", o.TLS)
	}
	if o.ClearControl && o.TLS == Plain {
		return nil, errors.New("ftpclient: ClearControl ends TLS behind the login, and TLS is Plain; want Explicit or Implicit")
	}
	if o.Mode < Auto || o.Mode > Active {
		return nil, fmt.Errorf("ftpclient: mode is %v; want auto, passive, active, EPSV, PASV, EPRT or PORT", o.Mode)
	}
	if len(o.announcements()) == 0 {
		return nil, fmt.Errorf("ftpclient: mode is %v, and Avoid is %v: nothing is left to try", o.Mode, o.Avoid)
	}
	if o.LocalAddr.IsValid() && o.Dialer != nil {
		return nil, errors.New("ftpclient: LocalAddr and Dialer are both set; give the Dialer the address")
	}
	for _, d := range []struct {
		at  *time.Duration
		std time.Duration
	}{
		{&o.Timeout, 30 * time.Second},
		{&o.DataTimeout, 10 * time.Second},
		{&o.StallTimeout, time.Minute},
		{&o.KeepAlive, 30 * time.Second},
	} {
		if *d.at == 0 {
			*d.at = d.std
		}
	}
	if o.MaxTree <= 0 {
		o.MaxTree = 10_000_000
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Backoff == nil {
		o.Backoff = backoff
	}
	return &o, nil
}
