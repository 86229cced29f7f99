package ftpclient_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"towpath/ftp"
	"towpath/ftpclient"
	"towpath/ftpclient/proxy"
	"towpath/ftptest"
)

// relay is a proxy for tests, of SOCKS5 or, with web, of HTTP CONNECT. It writes
// down what it was asked for.
type relay struct {
	t    *testing.T
	addr string
	web  bool
	// hasty takes a connection that is closed by half for closed, and what it
	// has not passed on by then is lost.
	hasty bool
	login string     // "user:password", "" for none
	names netip.Addr // where every name leads
	// out is from where it dials, and where it takes connections. Default:
	// any, and an address of which it says nothing but "here".
	out netip.Addr
	// from is told as who has connected to a BIND, in place of the truth.
	from netip.Addr

	mu    sync.Mutex
	asked []string
}

func (r *relay) start(t *testing.T) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	r.t, r.addr = t, l.Addr().String()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(patience))
			go func() {
				defer c.Close()
				if r.web {
					r.serveHTTP(c)
				} else {
					r.serveSOCKS(c)
				}
			}()
		}
	}()
	return r
}

func (r *relay) note(what, target string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, what+" "+target)
}

// heard returns what was asked for, and forgets it.
func (r *relay) heard() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.asked
	r.asked = nil
	return a
}

// dial goes where it was asked to.
func (r *relay) dial(target string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(target)
	if err != nil {
		return nil, err
	}
	if _, err := netip.ParseAddr(host); err != nil {
		host = r.names.String()
	}
	d := net.Dialer{}
	if r.out.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(r.out, 0))
	}
	return d.Dial("tcp", net.JoinHostPort(host, port))
}

// join carries bytes both ways until both are at their end.
func (r *relay) join(a, b net.Conn) {
	if r.hasty {
		go func() { _, _ = io.Copy(a, b); _ = a.Close() }()
		_, _ = io.Copy(b, a)
		_ = b.(*net.TCPConn).SetLinger(0)
		_ = b.Close()
		return
	}
	var both sync.WaitGroup
	for _, d := range [][2]net.Conn{{a, b}, {b, a}} {
		both.Go(func() {
			_, _ = io.Copy(d[0], d[1])
			_ = d[0].(*net.TCPConn).CloseWrite()
		})
	}
	both.Wait()
}

func (r *relay) serveHTTP(c net.Conn) {
	req, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return
	}
	r.note(req.Method, req.RequestURI)
	if r.login != "" {
		req.Header.Set("Authorization", req.Header.Get("Proxy-Authorization"))
		if u, p, _ := req.BasicAuth(); u+":"+p != r.login {
			_, _ = io.WriteString(c, "HTTP/1.1 407 Who?\r\nProxy-Authenticate: Basic realm=x\r\n\r\n")
			return
		}
	}
	far, err := r.dial(req.RequestURI)
	if err != nil {
		_, _ = io.WriteString(c, "HTTP/1.1 502 No\r\n\r\n")
		return
	}
	defer far.Close()
	_, _ = io.WriteString(c, "HTTP/1.1 200 Go on\r\nVia: relay\r\n\r\n")
	r.join(c, far)
}

func (r *relay) serveSOCKS(c net.Conn) {
	read := func(n int) []byte {
		b := make([]byte, n)
		_, _ = io.ReadFull(c, b) // zeros do no harm
		return b
	}
	methods := read(int(read(2)[1]))
	switch {
	case r.login == "" && slices.Contains(methods, 0):
		_, _ = c.Write([]byte{5, 0})
	case r.login != "" && slices.Contains(methods, 2):
		_, _ = c.Write([]byte{5, 2})
		user := read(int(read(2)[1]))
		if string(user)+":"+string(read(int(read(1)[0]))) != r.login {
			_, _ = c.Write([]byte{1, 1})
			return
		}
		_, _ = c.Write([]byte{1, 0})
	default:
		_, _ = c.Write([]byte{5, 0xff})
		return
	}
	head := read(4)
	host := ""
	switch head[3] {
	case 1:
		host = netip.AddrFrom4([4]byte(read(4))).String()
	case 4:
		host = netip.AddrFrom16([16]byte(read(16))).String()
	case 3:
		host = string(read(int(read(1)[0])))
	}
	target := net.JoinHostPort(host, strconv.Itoa(int(binary.BigEndian.Uint16(read(2)))))
	say := func(code byte, a netip.AddrPort) {
		b := append([]byte{5, code, 0, 1}, a.Addr().Unmap().AsSlice()...)
		_, _ = c.Write(binary.BigEndian.AppendUint16(b, a.Port()))
	}
	if head[1] == 1 {
		r.note("CONNECT", target)
		far, err := r.dial(target)
		if err != nil {
			say(5, netip.MustParseAddrPort("0.0.0.0:0"))
			return
		}
		defer far.Close()
		say(0, netip.MustParseAddrPort("0.0.0.0:0"))
		r.join(c, far)
		return
	}
	r.note("BIND", target)
	where, here := "127.0.0.1", netip.IPv4Unspecified()
	if r.out.IsValid() {
		where, here = r.out.String(), r.out
	}
	l, err := net.Listen("tcp", net.JoinHostPort(where, "0"))
	if err != nil {
		r.t.Error(err)
		return
	}
	defer l.Close()
	at := l.Addr().(*net.TCPAddr).AddrPort()
	say(0, netip.AddrPortFrom(here, at.Port()))
	far, err := l.Accept()
	if err != nil {
		return
	}
	defer far.Close()
	from := far.RemoteAddr().(*net.TCPAddr).AddrPort()
	if r.from.IsValid() {
		from = netip.AddrPortFrom(r.from, from.Port())
	}
	say(0, from)
	r.join(c, far)
}

// through dials by a proxy as its URL names it.
func through(t *testing.T, url string) func(*ftpclient.Options) {
	t.Helper()
	p, err := proxy.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	d, err := p.Dialer(nil)
	if err != nil {
		t.Fatal(err)
	}
	return func(o *ftpclient.Options) { o.Dialer = d }
}

// TestProxies moves files both ways through each kind of proxy, by each mode
// that it can carry, in clear text and under TLS.
func TestProxies(t *testing.T) {
	t.Parallel()
	big := noise(1 << 20)
	loopback := netip.MustParseAddr("127.0.0.1")
	passive := []ftpclient.Mode{ftpclient.EPSV, ftpclient.PASV}
	all := append(slices.Clone(passive), ftpclient.EPRT, ftpclient.PORT)
	for _, test := range []struct {
		scheme, login, host string
		modes               []ftpclient.Mode
	}{
		{"socks5", "", "127.0.0.1", all},
		{"socks5", "alice:secret", "127.0.0.1", all},
		{"socks5h", "", "ftp.example.org", passive},
		{"http", "", "ftp.example.org", passive},
		{"http", "alice:secret", "127.0.0.1", passive},
	} {
		for _, m := range test.modes {
			for _, security := range []ftpclient.Security{ftpclient.Plain, ftpclient.Explicit} {
				t.Run(fmt.Sprintf("%s %s/%s/%v/%d", test.scheme, test.login, test.host, m, security), func(t *testing.T) {
					t.Parallel()
					s := ftptest.Serve(t, ftptest.Files{"big": string(big)}, ftptest.TLS)
					r := (&relay{web: test.scheme == "http", login: test.login, names: loopback}).start(t)
					login1 := ""
					if test.login != "" {
						login1 = test.login + "@"
					}
					_, port, _ := net.SplitHostPort(s.Addr)
					c := login(t, net.JoinHostPort(test.host, port), mode(m), through(t, test.scheme+"://"+login1+r.addr), func(o *ftpclient.Options) {
						o.TLS = security
						o.TLSConfig.ServerName = "127.0.0.1"
					})
					ctx := testContext(t)
					var got bytes.Buffer
					if _, err := c.Get(ctx, "big", &got); err != nil || !bytes.Equal(got.Bytes(), big) {
						t.Fatalf("got %d bytes, %v", got.Len(), err)
					}
					if n, err := c.Put(ctx, "up", bytes.NewReader(big)); err != nil || n != int64(len(big)) || s.File("up") != string(big) {
						t.Fatalf("put %d bytes, %v", n, err)
					}
					heard := r.heard()
					if len(heard) != 3 || heard[0] != "CONNECT "+net.JoinHostPort(test.host, port) {
						t.Errorf("the proxy was asked for %q; want the server, then two data connections", heard)
					}
					want := "CONNECT " + test.host + ":"
					if !m.Passive() {
						want = "BIND " + test.host + ":" + port
					}
					for _, h := range heard[1:] {
						if !strings.HasPrefix(h, want) {
							t.Errorf("data connection: %q, want %q", h, want)
						}
					}
				})
			}
		}
	}
}

// TestHastyProxy: the end of an upload over TLS is said by TLS, and by TCP only
// when the server has heard it. microsocks and tinyproxy do not know half an end.
func TestHastyProxy(t *testing.T) {
	t.Parallel()
	big := noise(4 << 20)
	s := ftptest.Serve(t, nil, ftptest.TLS)
	for _, scheme := range []string{"socks5", "http"} {
		r := (&relay{web: scheme == "http", hasty: true}).start(t)
		c := login(t, s.Addr, explicit, through(t, scheme+"://"+r.addr))
		if n, err := c.Put(testContext(t), scheme, bytes.NewReader(big)); err != nil || n != int64(len(big)) || s.File(scheme) != string(big) {
			t.Errorf("%s: put %d bytes, %v", scheme, n, err)
		}
	}
}

// TestProxySaysWho: in active mode the proxy tells who has connected, and nobody
// else than the server is believed.
func TestProxySaysWho(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"f": "abc"})
	r := (&relay{from: netip.MustParseAddr("198.51.100.7")}).start(t)
	c := login(t, s.Addr, mode(ftpclient.PORT), through(t, "socks5://"+r.addr))
	_, err := fetch(t, c)
	if _, ok := errors.AsType[*ftpclient.DataError](err); !ok || !strings.Contains(err.Error(), "198.51.100.7 came in its place") {
		t.Errorf("%v; want the stranger named", err)
	}
	// Where active mode cannot be, that is said.
	for url, want := range map[string]string{"socks5h://" + r.addr: "socks5://", "http://" + (&relay{web: true}).start(t).addr: "use passive mode"} {
		_, port, _ := net.SplitHostPort(s.Addr)
		host := "127.0.0.1"
		if strings.HasPrefix(url, "socks5h") {
			r.names, host = netip.MustParseAddr("127.0.0.1"), "ftp.example.org"
		}
		c := login(t, net.JoinHostPort(host, port), mode(ftpclient.Active), through(t, url))
		if _, err := fetch(t, c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", url, err, want)
		}
	}
}

// TestProxyOverTLS: an https:// proxy.
func TestProxyOverTLS(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"f": "abc"}, ftptest.TLS)
	plain := (&relay{web: true}).start(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", serverTLS())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				far, err := net.Dial("tcp", plain.addr)
				if err != nil {
					return
				}
				defer far.Close()
				go func() { _, _ = io.Copy(far, c); _ = far.(*net.TCPConn).CloseWrite() }()
				_, _ = io.Copy(c, far)
			}()
		}
	}()
	d := &proxy.HTTP{Addr: l.Addr().String(), Secure: true, TLSConfig: ftptest.ClientTLS()}
	for _, change := range []func(*ftpclient.Options){func(*ftpclient.Options) {}, explicit} {
		c := login(t, s.Addr, change, func(o *ftpclient.Options) { o.Dialer = d })
		if got, err := fetch(t, c); got != "abc" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
		if n, err := c.Put(testContext(t), "up", strings.NewReader("def")); n != 3 || err != nil || s.File("up") != "def" {
			t.Errorf("put %d bytes, %v", n, err)
		}
	}
}

// TestGates: proxies that speak FTP are told where to go.
func TestGates(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, server string
		gate         ftpclient.Gate
		want         string
	}{
		{"user@host", "ftp.example.org:21", ftpclient.Gate{}, "USER alice@ftp.example.org, PASS secret"},
		{"another port", "ftp.example.org:2121", ftpclient.Gate{}, "USER alice@ftp.example.org:2121, PASS secret"},
		{"IPv6", "[2001:db8::1]:21", ftpclient.Gate{}, "USER alice@[2001:db8::1], PASS secret"},
		{"open", "ftp.example.org:21", ftpclient.Gate{Style: ftpclient.OpenHost}, "OPEN ftp.example.org, USER alice, PASS secret"},
		{"site", "ftp.example.org:99", ftpclient.Gate{Style: ftpclient.SiteHost}, "SITE ftp.example.org:99, USER alice, PASS secret"},
		{"with a login", "ftp.example.org:21", ftpclient.Gate{User: "me", Password: "mine"}, "USER me, PASS mine, USER alice@ftp.example.org, PASS secret"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			var said []string
			listen := func(verb string) func(*peer, string) {
				return func(p *peer, arg string) {
					mu.Lock()
					defer mu.Unlock()
					said = append(said, verb+" "+arg)
					if verb == "OPEN" || verb == "SITE" {
						p.say("220 Connected.")
					} else {
						p.right(verb, arg)
					}
				}
			}
			v := play(t, &villain{content: "abc", on: map[string]func(*peer, string){
				"USER": listen("USER"), "PASS": listen("PASS"), "OPEN": listen("OPEN"), "SITE": listen("SITE"),
			}})
			test.gate.Addr = v.addr
			c := login(t, test.server, func(o *ftpclient.Options) { o.User, o.Password, o.Gate = "alice", "secret", &test.gate })
			if got, err := fetch(t, c); got != "abc" || err != nil {
				t.Errorf("got %q, %v", got, err)
			}
			mu.Lock()
			defer mu.Unlock()
			if got := strings.Join(said, ", "); got != test.want {
				t.Errorf("said %s\nwant %s", got, test.want)
			}
		})
	}
	// A gate that refuses is named.
	v := play(t, &villain{on: map[string]func(*peer, string){"OPEN": func(p *peer, _ string) { p.say("530 Not you.") }}})
	_, err := ftpclient.Dial(testContext(t), "ftp.example.org:21", ftpclient.Options{Gate: &ftpclient.Gate{Addr: v.addr, Style: ftpclient.OpenHost}})
	if e, ok := errors.AsType[*ftp.Error](err); !ok || e.Reply.Code != 530 || !strings.Contains(err.Error(), "proxy "+v.addr) {
		t.Error(err)
	}
	_, err = ftpclient.Dial(context.Background(), "ftp.example.org:990", ftpclient.Options{TLS: ftpclient.Implicit, Gate: &ftpclient.Gate{Addr: v.addr}})
	if err == nil || !strings.Contains(err.Error(), "want Explicit") {
		t.Error(err)
	}
}
