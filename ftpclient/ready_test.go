package ftpclient_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"towpath/ftp"
	"towpath/ftpclient"
	"towpath/ftptest"
)

// What makes sessions ready is sent on each, also on one in place of a lost one;
// what is refused there, or is none of a user's, ends it.
func TestReady(t *testing.T) {
	t.Parallel()
	s, ctx := ftptest.Serve(t, nil), testContext(t)
	var mu sync.Mutex
	var sent []string
	ready := func(verb, arg string) func(*ftpclient.Options) {
		return func(o *ftpclient.Options) {
			o.Ready = func(quote func(ftp.Command) (ftp.Reply, error)) error {
				_, err := quote(ftp.Command{Verb: verb, Arg: arg})
				return err
			}
			o.Trace = func(dir byte, line string) {
				mu.Lock()
				defer mu.Unlock()
				if dir == 'C' && strings.HasPrefix(line, "SITE") {
					sent = append(sent, line)
				}
			}
		}
	}
	c := login(t, s.Addr, ready("site", "IDLE 60"))
	pool, err := c.Pool(2)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = pool.Close() }()
	err = pool.Do(ctx, func(*ftpclient.Client) error { // the first is c, the second another
		return pool.Do(ctx, func(c *ftpclient.Client) error { return c.Noop(ctx) })
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(sent, []string{"SITE IDLE 60", "SITE IDLE 60"}) {
		t.Errorf("sent %q", sent)
	}
	for verb, want := range map[string]error{"PASV": ftpclient.ErrCommand, "XNONE": nil} {
		o := ftpclient.Options{User: ftptest.User, Password: ftptest.Password}
		ready(verb, "")(&o)
		_, err := ftpclient.Dial(ctx, s.Addr, o)
		if _, refused := errors.AsType[*ftp.Error](err); err == nil || want != nil && !errors.Is(err, want) || want == nil && !refused {
			t.Errorf("%s: %v", verb, err)
		}
	}
}

// The line of the PROXY protocol comes before anything else, TLS as well, and
// names both ends.
func TestProxyLine(t *testing.T) {
	t.Parallel()
	s := ftptest.Serve(t, ftptest.Files{"f": "hemp"}, ftptest.TLS)
	for name, test := range map[string]struct {
		security ftpclient.Security
		server   string
	}{"clear": {ftpclient.Plain, s.Addr}, "explicit": {ftpclient.Explicit, s.Addr}, "implicit": {ftpclient.Implicit, s.Implicit}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = l.Close() })
			lines := make(chan string, 1)
			go func() { // a balancer
				c, err := l.Accept()
				if err != nil {
					return
				}
				defer c.Close()
				in := bufio.NewReader(c)
				line, _ := in.ReadString('\n') // what is missing is seen
				lines <- fmt.Sprintf("%v: %s", c.RemoteAddr(), line)
				out, err := net.Dial("tcp", test.server)
				if err != nil {
					return
				}
				defer out.Close()
				go func() { _, _ = io.Copy(c, out) }() // ends with either
				_, _ = io.Copy(out, in)
			}()
			c := login(t, l.Addr().String(), func(o *ftpclient.Options) { o.ProxyLine, o.TLS = true, test.security })
			got := <-lines
			from, line, _ := strings.Cut(got, ": ")
			host, port, err := net.SplitHostPort(from)
			_, to, _ := net.SplitHostPort(l.Addr().String()) // from the system
			if want := fmt.Sprintf("PROXY TCP4 %s 127.0.0.1 %s %s\r\n", host, port, to); err != nil || line != want {
				t.Errorf("the line is %q, want %q", line, want)
			}
			if got, err := fetch(t, c); got != "hemp" || err != nil {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}
