// Package control is the door through which an administrator asks a running
// process, and tells it what to do: a socket in the file system, on which each
// connection carries one order and one answer, both a line of JSON.
//
//	{"do":"drain","names":["10.0.0.5:21"]}
//	{"answer":{"sessions":3}}
//
// It knows no orders, and the mode of the socket alone says who may come in: its
// owner, and root.
package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"time"
)

// Order is what somebody wants.
type Order struct {
	Do    string   `json:"do"`
	Names []string `json:"names,omitempty"`
}

// answer is what he gets: one of the two.
type answer struct {
	Answer json.RawMessage `json:"answer,omitempty"`
	Error  string          `json:"error,omitempty"`
}

const (
	// maxOrder bounds an order, maxAnswer an answer.
	maxOrder  = 64 << 10
	maxAnswer = 1 << 30
	// patience is how long the other side may take to say or hear a line.
	patience = 10 * time.Second
	// longestPath is what a socket address holds on Linux; others hold less.
	longestPath = 107
)

// ErrTaken: another process listens there.
var ErrTaken = errors.New("another process has it")

// Listen makes the socket, for its owner alone. A socket that nobody listens on
// any more, since its process was killed, is taken away first.
func Listen(path string) (net.Listener, error) {
	if len(path) > longestPath {
		return nil, fmt.Errorf("control socket %s: its name has %d bytes; want at most %d", path, len(path), longestPath)
	}
	lc := net.ListenConfig{Control: private}
	l, err := lc.Listen(context.Background(), "unix", path)
	if isTaken(err) {
		c, derr := net.Dial("unix", path)
		if derr == nil {
			_ = c.Close() // there is somebody
			return nil, fmt.Errorf("control socket %s: %w", path, ErrTaken)
		}
		if info, serr := os.Lstat(path); serr != nil || info.Mode().Type() != fs.ModeSocket {
			return nil, fmt.Errorf("control socket %s: something else is there; name another", path)
		}
		if rerr := os.Remove(path); rerr != nil {
			return nil, fmt.Errorf("control socket of a process that is gone: %w", rerr)
		}
		l, err = lc.Listen(context.Background(), "unix", path)
	}
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return l, nil
}

// Serve gives each order to do, one at a time, and answers with what it returns,
// until l is closed.
func Serve(l net.Listener, do func(Order) (any, error)) error {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("control socket: %w", err)
		}
		_ = c.SetDeadline(time.Now().Add(patience)) // else it takes as long as it takes
		_ = serve(c, do)                            // whoever asked is gone
		_ = c.Close()                               // all was said
	}
}

// serve hears an order and answers it.
func serve(c io.ReadWriter, do func(Order) (any, error)) error {
	var a answer
	o, err := readOrder(c)
	if err == nil {
		var got any
		if got, err = do(o); err == nil {
			a.Answer, err = json.Marshal(got)
		}
	}
	if err != nil {
		a = answer{Error: err.Error()}
	}
	return json.NewEncoder(c).Encode(a)
}

func readOrder(r io.Reader) (Order, error) {
	var o Order
	line, err := bufio.NewReader(io.LimitReader(r, maxOrder)).ReadBytes('\n')
	if err != nil {
		return o, fmt.Errorf("an order is one line of at most %d bytes: %w", maxOrder, err)
	}
	if err := json.Unmarshal(line, &o); err != nil {
		return o, fmt.Errorf("an order is JSON: %w", err)
	}
	if o.Do == "" {
		return o, errors.New(`an order says what to do: {"do":"status"}`)
	}
	return o, nil
}

// Ask gives an order to the process that listens at path, and puts the answer
// into to, which may be nil.
func Ask(ctx context.Context, path string, o Order, to any) error {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	if err := json.NewEncoder(c).Encode(o); err != nil {
		return fmt.Errorf("control socket %s: %w", path, err)
	}
	var a answer
	if err := json.NewDecoder(io.LimitReader(c, maxAnswer)).Decode(&a); err != nil {
		return fmt.Errorf("control socket %s: no answer: %w", path, err)
	}
	if a.Error != "" {
		return errors.New(a.Error)
	}
	if to == nil {
		return nil
	}
	if err := json.Unmarshal(a.Answer, to); err != nil {
		return fmt.Errorf("control socket %s: %w", path, err)
	}
	return nil
}
