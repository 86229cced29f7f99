package gateway_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"strings"
	"testing"

	"towpath/ftp"
	"towpath/gateway"
	"towpath/internal/ports"
)

// stub is a server of very few words: it lets everybody in, and every RETR is of
// one byte.
func stub(t testing.TB) net.Listener {
	t.Helper()
	l := listenOr(t, "127.0.0.1:0")
	go accept(l)
	return l
}

func accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go stubSession(c)
	}
}

// stubPorts spares the stub what the kernel's search for a port costs.
var stubPorts = ports.New(ports.Range{Low: 20000, High: 32000})

func stubSession(c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(c)
	_, _ = io.WriteString(c, "220 Stub.\r\n") // the reader notices
	var data *ports.Listener
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		reply := "200 Fine.\r\n"
		switch line[:4] {
		case "USER":
			reply = "331 Password?\r\n"
		case "PASS":
			reply = "230 Welcome.\r\n"
		case "PASV":
			if data, err = stubPorts.Listen(context.Background(), loopback); err != nil {
				reply = "425 " + err.Error() + "\r\n"
				break
			}
			reply = "227 (" + ftp.FormatHostPort(at(data.TCPListener)) + ")\r\n"
		case "RETR":
			d, err := data.AcceptTCP()
			if err != nil {
				return
			}
			_ = data.Close()
			_, _ = io.WriteString(c, "150 Here.\r\n")
			_, _ = io.WriteString(d, "x")
			_ = d.Close()
			reply = "226 Done.\r\n"
		case "QUIT":
			reply = "221 Bye.\r\n"
		}
		if _, err := io.WriteString(c, reply); err != nil || reply[:3] == "221" {
			return
		}
	}
}

// visitor is a client of very few words.
type visitor struct {
	b  testing.TB
	c  net.Conn
	in *bufio.Reader
}

func visit(b testing.TB, addr string) *visitor {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	v := &visitor{b, c, bufio.NewReader(c)}
	v.hear("220")
	return v
}

func (v *visitor) hear(code string) string {
	line, err := v.in.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, code) {
		v.b.Errorf("%q, %v, want %s", line, err, code)
	}
	return line
}

func (v *visitor) do(line, code string) string {
	if _, err := io.WriteString(v.c, line+"\r\n"); err != nil {
		v.b.Error(err)
	}
	return v.hear(code)
}

// session is login, PASV, RETR of a byte, QUIT.
func (v *visitor) session() {
	v.do("USER a", "331")
	v.do("PASS a", "230")
	a, err := ftp.ParsePassive(strings.TrimPrefix(strings.TrimSpace(v.do("PASV", "227")), "227 "))
	if err != nil {
		v.b.Error(err)
		return
	}
	d, err := net.Dial("tcp", a.String())
	if err != nil {
		v.b.Error(err)
		return
	}
	v.do("RETR a", "150")
	if got, err := io.ReadAll(d); string(got) != "x" {
		v.b.Errorf("%q %v", got, err)
	}
	_ = d.Close()
	v.hear("226")
	v.do("QUIT", "221")
	_ = v.c.Close()
}

// fronts are the server itself and a gateway before it, for comparison.
func fronts(b *testing.B, measure func(b *testing.B, addr string)) {
	l := stub(b)
	quiet := func(o *gateway.Options) { o.Ended = nil }
	b.Run("direct", func(b *testing.B) { measure(b, l.Addr().String()) })
	b.Run("gateway", func(b *testing.B) { measure(b, serve(b, l.Addr().String(), quiet).addr) })
}

// BenchmarkRoundTrip is a NOOP with its answer.
func BenchmarkRoundTrip(b *testing.B) {
	fronts(b, func(b *testing.B, addr string) {
		v := visit(b, addr)
		defer v.c.Close()
		b.ReportAllocs()
		for b.Loop() {
			v.do("NOOP", "200")
		}
	})
}

// BenchmarkSession is a whole session with one transfer, 8 at a time.
func BenchmarkSession(b *testing.B) {
	fronts(b, func(b *testing.B, addr string) {
		b.SetParallelism(4)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				visit(b, addr).session()
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "sessions/s")
	})
}

// Many sessions at once, each of which is whole.
func TestManySessions(t *testing.T) {
	t.Parallel()
	g := serve(t, stub(t).Addr().String(), func(o *gateway.Options) { o.Ended = nil })
	const many = 200
	done := make(chan struct{}, many)
	for range many {
		go func() {
			defer func() { done <- struct{}{} }()
			visit(t, g.addr).session()
		}()
	}
	for range many {
		<-done
	}
	if err := g.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if s := g.Stats(); s.Sessions != many || s.User != many || s.Failed != 0 || s.Open != 0 || s.Active != 0 {
		t.Errorf("%+v", s)
	}
}
