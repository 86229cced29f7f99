package gateway_test

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"towpath/firewall/firewalltest"
	"towpath/ftp"
	"towpath/gateway"
	"towpath/internal/alive/alivetest"
	"towpath/internal/alone"
)

// seated routes all to one server, and tells how each place was left.
type seated struct {
	addr string
	left chan error
}

func (r *seated) Route(_ context.Context, _ gateway.Visitor, tried []string) (*gateway.Seat, error) {
	if len(tried) > 0 {
		return nil, errNoOther
	}
	return &gateway.Seat{Server: gateway.Server{Addr: r.addr}, Leave: func(err error) { r.left <- err }}, nil
}

// TestHalfOpen has one side vanish without a word, as a machine does that loses
// its cable: asked for nothing, owing an acknowledgement, or in the middle of a
// transfer. All that its session had is given back.
func TestHalfOpen(t *testing.T) {
	t.Parallel()
	if !alone.Inside(t) {
		return
	}
	const clientLost = "the connection to the client was lost: connection timed out"
	// What the wire does before and while somebody vanishes: w.client, w.server
	// and what else of theirs.
	for name, c := range map[string]struct {
		who string
		do  func(w *wire, vanish func(...net.Conn)) (data []net.Conn)
	}{
		"client, idle": {"client", func(w *wire, vanish func(...net.Conn)) []net.Conn {
			w.passive()
			vanish(w.client)
			return nil
		}},
		"client, owing": {"client", func(w *wire, vanish func(...net.Conn)) []net.Conn {
			w.passive()
			w.say("NOOP\r\n")
			w.gets("NOOP\r\n")
			vanish(w.client)
			w.answer("200 Who hears?\r\n")
			return nil
		}},
		"client, fetching": {"client", func(w *wire, vanish func(...net.Conn)) []net.Conn {
			c, s := w.transfers("RETR sea\r\n")
			vanish(w.client, c)
			go func() { _, _ = io.Copy(s, rand.Reader) }() // until it is cut
			return nil
		}},
		"client, storing": {"client", func(w *wire, vanish func(...net.Conn)) []net.Conn {
			c, s := w.transfers("STOR sea\r\n")
			w.write(c, "half of")
			vanish(w.client, c)
			return []net.Conn{s}
		}},
		"server, idle": {"server", func(w *wire, vanish func(...net.Conn)) []net.Conn {
			w.passive()
			vanish(w.server)
			return nil
		}},
		"server, owing": {"server", func(w *wire, vanish func(...net.Conn)) []net.Conn {
			w.passive()
			vanish(w.server)
			w.say("NOOP\r\n")
			return nil
		}},
		"server, sending": {"server", func(w *wire, vanish func(...net.Conn)) []net.Conn {
			c, s := w.transfers("RETR sea\r\n")
			w.write(s, "half of")
			vanish(w.server, s)
			return []net.Conn{c}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var plane firewalltest.Fake
			route := &seated{left: make(chan error, 1)}
			w := &wire{t: t, l: listenOr(t, "127.0.0.1:0")}
			route.addr = w.l.Addr().String()
			w.g = serve(t, "", func(o *gateway.Options) {
				o.Route, o.KeepAlive = route, time.Second
				if strings.HasSuffix(name, "idle") || strings.HasSuffix(name, "owing") {
					o.Opener = &plane
				}
			})
			w.open(w.g.addr)
			w.login()
			data := c.do(w, func(conns ...net.Conn) {
				for _, c := range conns {
					alivetest.Vanish(t, c.(*net.TCPConn))
				}
			})
			for _, d := range data { // what came is not the end of a file
				if got, err := io.ReadAll(d); err == nil || string(got) != "half of" {
					t.Errorf("the other side has %q, %v; want it cut", got, err)
				}
			}
			if c.who == "server" {
				w.hears("421 The connection to the server was lost: connection timed out.\r\n")
				_ = w.client.Close() // it has taken leave
			}
			r, left := w.g.record(t), <-route.left
			switch {
			case c.who == "client" && (r.Reason != clientLost || left != nil):
				t.Errorf("ended since %q, place left with %v", r.Reason, left)
			case c.who == "server" && !errors.Is(left, syscall.ETIMEDOUT):
				t.Errorf("ended since %q, place left with %v", r.Reason, left)
			}
			if open := plane.Pinholes(); len(open) != 0 {
				t.Errorf("left open: %v", open)
			}
			if s := w.g.Stats(); s.Open != 0 {
				t.Errorf("%+v", s)
			}
			if len(r.Data) != 1 || r.Data[0].Closed.IsZero() {
				t.Errorf("%+v", r.Data)
			}
		})
	}
}

// passive has something announced that nobody uses.
func (w *wire) passive() {
	w.t.Helper()
	w.say("PASV\r\n")
	w.gets("PASV\r\n")
	w.answer("227 (127,0,0,1,195,80)\r\n")
	w.line(w.cin)
}

// transfers begins a transfer, and returns the client's end of its data connection
// and the server's.
func (w *wire) transfers(command string) (client, server net.Conn) {
	w.t.Helper()
	data := listenOr(w.t, "127.0.0.1:0")
	w.say("PASV\r\n")
	w.gets("PASV\r\n")
	w.answer("227 (" + ftp.FormatHostPort(at(data)) + ")\r\n")
	told, err := ftp.ParsePassive(strings.TrimPrefix(w.line(w.cin), "227 "))
	if err != nil {
		w.t.Fatal(err)
	}
	if client, err = net.Dial("tcp", told.String()); err != nil {
		w.t.Fatal(err)
	}
	w.turn(command, "150 Here.\r\n")
	if server, err = data.Accept(); err != nil {
		w.t.Fatal(err)
	}
	for _, c := range []net.Conn{client, server} {
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		w.t.Cleanup(func() { _ = c.Close() })
	}
	return client, server
}
