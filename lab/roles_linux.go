package lab

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"towpath/ftp"
	"towpath/ftpclient"
	"towpath/ftpserver"
	"towpath/internal/certs"
	"towpath/storage/mem"
	"towpath/topology"
)

// A session needs a process for the server and one for the client, since a
// process is on one host. They are this program again, told by a variable which
// part to play and on standard input what to do.
const role = "TOWPATH_LAB_ROLE"

// fileName is what is fetched in each session.
const fileName = "sea.bin"

// serverOrder is what a server has to do.
type serverOrder struct {
	Port     uint16
	Passive  topology.PortRange
	External netip.Addr
	DataPort uint16
	Foreign  bool
	IPv6     bool // for programs that must be told
	TLS      bool
	Lines    topology.Lines
	Size     int64
	Rate     int64         // bytes per second, 0: no limit
	Patience time.Duration // for data connections
}

// clientOrder is what a client has to do: log in, fetch the file, leave.
type clientOrder struct {
	To         netip.AddrPort
	Mode       ftpclient.Mode
	TLS        bool
	ClearAgain bool
	Foreign    bool
	Active     topology.PortRange
	External   netip.Addr
	Local      netip.Addr
	Lines      topology.Lines
	KeepAlive  time.Duration
	Transfer   time.Duration // how long it takes
	Patience   time.Duration
}

// play plays the part that the variable names.
func play(part string) int {
	var err error
	in := json.NewDecoder(os.Stdin)
	switch part {
	case "server":
		var o serverOrder
		if err = in.Decode(&o); err == nil {
			err = o.serve()
		}
	case "gateway":
		var o gatewayOrder
		if err = in.Decode(&o); err == nil {
			err = o.serve()
		}
	case "client":
		var o clientOrder
		if err = in.Decode(&o); err == nil {
			err = json.NewEncoder(os.Stdout).Encode(o.fetch())
		}
	default:
		err = fmt.Errorf("no part %q", part)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "towpath lab:", err)
		return 1
	}
	return 0
}

// cast makes the process that plays a part.
func cast(ctx context.Context, part string, order any) (*exec.Cmd, error) {
	text, err := json.Marshal(order)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), role+"="+part)
	cmd.Stdin = bytes.NewReader(text)
	cmd.Stderr = os.Stderr
	return cmd, nil
}

// serve is a server until it is killed. It says "ready" when it listens.
func (o serverOrder) serve() error {
	tree := mem.New(map[string]string{fileName: string(make([]byte, o.Size))})
	set := ftpserver.Options{
		Login: func(_ context.Context, l ftpserver.Login) (*ftpserver.User, error) {
			return &ftpserver.User{Name: l.Name, Root: tree, DownloadRate: o.Rate}, nil
		},
		PassivePorts: ftpserver.PortRange(o.Passive), ActivePort: o.DataPort,
		AllowForeign: o.Foreign, AllowForeignData: o.Foreign,
		AcceptTimeout: 2 * o.Patience, ConnectTimeout: o.Patience,
		Binding: ftpserver.BindOff,
	}
	if o.External.IsValid() {
		set.Told = []ftpserver.Told{{Clients: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}, Address: o.External.String()}}
	}
	if o.TLS {
		c, err := certs.SelfSigned("", "lab")
		if err != nil {
			return err
		}
		set.TLS = &tls.Config{Certificates: []tls.Certificate{*c}}
	}
	srv, err := ftpserver.New(set)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", fmt.Sprintf(":%d", o.Port))
	if err != nil {
		return err
	}
	if o.Lines != "" && o.Lines != topology.Whole {
		l = cuttingListener{l, o.Lines}
	}
	if _, err := fmt.Println("ready"); err != nil {
		return err
	}
	return srv.Serve(l)
}

// fetch is one session.
func (o clientOrder) fetch() (r clientReport) {
	began := time.Now()
	defer func() { r.Took = time.Since(began) }()
	var mu sync.Mutex
	set := ftpclient.Options{
		User: "ftp", Password: "secret", Mode: o.Mode,
		ActivePorts: ftpclient.PortRange(o.Active), ActiveAddress: o.External, AllowForeign: o.Foreign,
		// An announcement that never arrives is answered by nobody; a 425 comes
		// only when the server's patience is at an end.
		Timeout: 2 * o.Patience, DataTimeout: 2 * o.Patience, StallTimeout: 2 * o.Patience, KeepAlive: -1,
		Trace: func(dir byte, line string) {
			mu.Lock()
			defer mu.Unlock()
			r.Dialogue = append(r.Dialogue, string(dir)+": "+line)
		},
	}
	if o.KeepAlive > 0 {
		set.KeepAlive = o.KeepAlive
	}
	if o.TLS {
		set.TLS = ftpclient.Explicit
		set.TLSConfig = &tls.Config{InsecureSkipVerify: true} // both ends are ours
		set.ClearControl = o.ClearAgain
	}
	if o.Lines != "" && o.Lines != topology.Whole {
		set.Dialer = cuttingDialer{o.Lines}
		if !set.ActiveAddress.IsValid() {
			set.ActiveAddress = o.Local
		}
	}
	ctx := context.Background()
	c, err := ftpclient.Dial(ctx, o.To.String(), set)
	if err != nil {
		r.judge(err)
		return r
	}
	r.LoggedIn = true
	r.Bytes, err = c.Get(ctx, fileName, io.Discard)
	_ = c.Close() // all is known
	mu.Lock()
	defer mu.Unlock()
	// A session that is lost behind the last byte is made good by a second one,
	// which asks for the size. Here it counts as lost.
	if err == nil && !slices.ContainsFunc(r.Dialogue, func(line string) bool { return strings.HasPrefix(line, "S: 226") }) {
		err = errors.New("no 226 came; a second session has asked for the size")
	}
	r.judge(err)
	return r
}

func (r *clientReport) judge(err error) {
	if err == nil {
		r.Done = true
		return
	}
	r.Err = err.Error()
	if e, ok := errors.AsType[*ftp.Error](err); ok {
		r.Code, r.Command = e.Reply.Code, e.Command.Verb
	}
	r.Refused = errors.Is(err, unix.ECONNREFUSED)
	r.Nowhere = errors.Is(err, unix.EHOSTUNREACH) || errors.Is(err, unix.ENETUNREACH)
	r.Reset = errors.Is(err, unix.ECONNRESET)
	r.Impossible = strings.Contains(r.Err, "no mode for data connections is possible")
	r.TimedOut = !r.Refused && !r.Nowhere && !r.Reset && !r.Impossible && r.Code == 0
}

// A cutting connection lets announcements leave as some machines send them:
// over two segments, behind another line, or without CR.
type cutting struct {
	net.Conn
	lines topology.Lines

	replies *bufio.Reader // of a client that has asked for more than it knows
	skip    atomic.Int32  // replies that it does not know of
}

type cuttingListener struct {
	net.Listener
	lines topology.Lines
}

func (l cuttingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &cutting{Conn: c, lines: l.lines}, nil
}

type cuttingDialer struct{ lines topology.Lines }

func (d cuttingDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	var plain net.Dialer
	c, err := plain.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &cutting{Conn: c, lines: d.lines, replies: bufio.NewReader(c)}, nil
}

func (c *cutting) Read(p []byte) (int, error) {
	if c.replies == nil {
		return c.Conn.Read(p)
	}
	if _, err := c.replies.Peek(1); err != nil {
		return 0, err
	}
	for c.skip.Load() > 0 {
		if _, err := c.replies.ReadString('\n'); err != nil {
			return 0, err
		}
		c.skip.Add(-1)
	}
	return c.replies.Read(p)
}

func (c *cutting) Write(p []byte) (int, error) {
	line := string(p)
	verb, _, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
	switch verb {
	case "PORT", "EPRT", "227", "229":
	default:
		return c.Conn.Write(p)
	}
	switch c.lines {
	case topology.Split:
		half := len(p) / 2
		if n, err := c.Conn.Write(p[:half]); err != nil {
			return n, err
		}
		n, err := c.Conn.Write(p[half:])
		return half + n, err
	case topology.Joined:
		before := "NOOP\r\n"
		c.skip.Add(1)
		if verb[0] == '2' {
			c.skip.Add(-1)
			before = verb + "-One moment.\r\n"
		}
		if _, err := c.Conn.Write([]byte(before + line)); err != nil {
			return 0, err
		}
		return len(p), nil
	case topology.BareLF:
		if _, err := c.Conn.Write([]byte(strings.ReplaceAll(line, "\r\n", "\n"))); err != nil {
			return 0, err
		}
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// waitReady waits for the word of a part that it listens.
func waitReady(part string, out io.Reader) error {
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return fmt.Errorf("the %s did not start: %w", part, err)
	}
	if line != "ready\n" {
		return fmt.Errorf("the %s said %q", part, line)
	}
	return nil
}
