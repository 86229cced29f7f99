// Package systemd speaks with the service manager that started the program:
// it tells how the service is doing, and takes the sockets it was given.
//
// Nothing here needs systemd. A program that was started by hand finds no
// sockets, and what it tells is heard by nobody. Units are in deploy/systemd.
package systemd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Notifier tells the service manager about the service (sd_notify(3)). A nil
// Notifier is ready to use and tells nobody. Methods may be called from
// several goroutines.
//
// It holds its socket from the start, where daemon.SdNotify opens one for each
// message: a sandbox entered later may forbid that.
type Notifier struct {
	conn     net.Conn
	watchdog time.Duration
}

// NewNotifier connects to the socket named by NOTIFY_SOCKET and clears the
// variables of the protocol, so that no child speaks for us. Without the
// variable it returns nil and no error.
func NewNotifier() (*Notifier, error) {
	name, usec, pid := os.Getenv("NOTIFY_SOCKET"), os.Getenv("WATCHDOG_USEC"), os.Getenv("WATCHDOG_PID")
	interval, err := daemon.SdWatchdogEnabled(true)
	if err != nil {
		return nil, fmt.Errorf("WATCHDOG_USEC=%q, WATCHDOG_PID=%q: two positive numbers are wanted: %w", usec, pid, err)
	}
	if err := os.Unsetenv("NOTIFY_SOCKET"); err != nil || name == "" {
		return nil, err
	}
	conn, err := net.Dial("unixgram", name) // "@name" is an abstract one
	if err != nil {
		return nil, fmt.Errorf("NOTIFY_SOCKET: %w", err)
	}
	return &Notifier{conn: conn, watchdog: interval}, nil
}

// Ready tells that the service serves, after the start or after a reload, with
// a line for systemctl status.
func (n *Notifier) Ready(status string) error {
	return n.send(daemon.SdNotifyReady, "STATUS="+status)
}

// Reloading tells that a reload has begun. [Notifier.Ready] tells its end, also
// when the old configuration stays.
func (n *Notifier) Reloading() error {
	return n.send(daemon.SdNotifyReloading, strings.TrimSpace(daemon.SdNotifyMonotonicUsec()))
}

// Stopping tells that the service is about to end, with a line for systemctl status.
func (n *Notifier) Stopping(status string) error {
	return n.send(daemon.SdNotifyStopping, "STATUS="+status)
}

// Status gives the line that systemctl status shows.
func (n *Notifier) Status(status string) error {
	return n.send("STATUS=" + status)
}

// Watch tells the watchdog twice in its interval that the service lives, as
// long as alive says so, and returns when ctx ends. Where the manager keeps no
// watchdog it returns at once.
func (n *Notifier) Watch(ctx context.Context, alive func() bool) error {
	if n == nil || n.watchdog == 0 {
		return nil
	}
	tick := time.NewTicker(n.watchdog / 2)
	defer tick.Stop()
	for {
		if alive() {
			if err := n.send(daemon.SdNotifyWatchdog); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Close closes the socket.
func (n *Notifier) Close() error {
	if n == nil {
		return nil
	}
	return n.conn.Close()
}

// send sends assignments in one datagram. One that holds a line break would be
// two: the rest of the text goes on behind a blank.
func (n *Notifier) send(assignments ...string) error {
	if n == nil {
		return nil
	}
	for i, a := range assignments {
		assignments[i] = strings.NewReplacer("\r", " ", "\n", " ", "\x00", " ").Replace(a)
	}
	_, err := n.conn.Write([]byte(strings.Join(assignments, "\n")))
	if errors.Is(err, net.ErrClosed) {
		return nil // told after Close: nobody waits for it any more
	}
	if err != nil {
		return fmt.Errorf("notify the service manager: %w", err)
	}
	return nil
}
