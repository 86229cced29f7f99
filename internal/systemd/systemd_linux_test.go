package systemd_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"towpath/internal/systemd"
)

// The protocol lives in the environment and in descriptors of a process, so
// the tests start their own program again, as a service.
const roleVariable = "TOWPATH_SYSTEMD_TEST"

var roles = map[string]func() error{
	"sockets":  serveSockets,
	"notify":   tellAll,
	"watchdog": watch,
}

func TestMain(m *testing.M) {
	role, ok := roles[os.Getenv(roleVariable)]
	if !ok {
		os.Exit(m.Run())
	}
	if err := role(); err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

// service prepares the program in a role. LISTEN_PID and WATCHDOG_PID must be
// the number of a process that is not there yet: a shell that becomes it knows.
func service(t *testing.T, role string, env ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), "/bin/sh", "-c", `for v in $PIDS; do export $v=$$; done; exec "$0"`, self)
	c.Env = append(os.Environ(), append(env, roleVariable+"="+role)...)
	return c
}

func run(t *testing.T, c *exec.Cmd) string {
	t.Helper()
	out, err := c.CombinedOutput()
	if err != nil && !bytes.HasPrefix(out, []byte("error: ")) {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// serveSockets greets one client on each socket it was given.
func serveSockets() error {
	sockets, err := systemd.Sockets()
	if err != nil {
		return err
	}
	fmt.Println(len(sockets), "sockets")
	for _, s := range sockets {
		c, err := s.Accept()
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(c, "220 %s\n", s.Name); err != nil {
			return err
		}
		if err := c.Close(); err != nil {
			return err
		}
	}
	for _, v := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		if os.Getenv(v) != "" {
			return fmt.Errorf("%s is left for children", v)
		}
	}
	again, err := systemd.Sockets()
	if len(again) != 0 {
		return fmt.Errorf("sockets handed over twice")
	}
	return err
}

// listener returns a listening socket and its descriptor to hand over.
func listener(t *testing.T) (net.Addr, *os.File) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := l.Close(); err != nil { // f still listens
		t.Fatal(err)
	}
	return l.Addr(), f
}

func TestSockets(t *testing.T) {
	t.Parallel()
	plainAddr, plain := listener(t)
	implicitAddr, implicit := listener(t)
	c := service(t, "sockets", "PIDS=LISTEN_PID", "LISTEN_FDS=2", "LISTEN_FDNAMES=ftp:ftps")
	c.ExtraFiles = []*os.File{plain, implicit}
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	for _, s := range []struct {
		addr net.Addr
		want string
	}{{plainAddr, "220 ftp\n"}, {implicitAddr, "220 ftps\n"}} {
		conn, err := net.Dial("tcp", s.addr.String())
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(conn)
		if err != nil || string(got) != s.want {
			t.Errorf("%q (%v), want %q", got, err, s.want)
		}
		_ = conn.Close() // read to its end
	}
	if err := c.Wait(); err != nil {
		t.Errorf("%v\n%s", err, &out)
	}
}

// TestSocketsOfOthers: no sockets, and no error, for what is not for us.
func TestSocketsOfOthers(t *testing.T) {
	t.Parallel()
	for _, env := range [][]string{
		nil,
		{"LISTEN_PID=1", "LISTEN_FDS=2"},
		{"PIDS=LISTEN_PID"},
		{"PIDS=LISTEN_PID", "LISTEN_FDS=0"},
		{"PIDS=LISTEN_PID", "LISTEN_FDS=-1"},
		{"PIDS=LISTEN_PID", "LISTEN_FDS=two"},
	} {
		if got := run(t, service(t, "sockets", env...)); got != "0 sockets\n" {
			t.Errorf("%q: %s", env, got)
		}
	}
}

func TestSocketsThatAreNone(t *testing.T) {
	t.Parallel()
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	_, good := listener(t)
	c := service(t, "sockets", "PIDS=LISTEN_PID", "LISTEN_FDS=2", "LISTEN_FDNAMES=ftp:null")
	c.ExtraFiles = []*os.File{good, file}
	if got := run(t, c); !strings.HasPrefix(got, `error: socket "null" of the service manager is no listening stream socket`) {
		t.Error(got)
	}
}

// tellAll tells everything there is to tell.
func tellAll() error {
	n, err := systemd.NewNotifier()
	if err != nil {
		return err
	}
	if os.Getenv("NOTIFY_SOCKET") != "" {
		return fmt.Errorf("NOTIFY_SOCKET is left for children")
	}
	for _, tell := range []func() error{
		func() error { return n.Ready("serving\nMAINPID=1") },
		n.Reloading,
		func() error { return n.Ready("serving again") },
		func() error { return n.Status("2 sessions") },
		func() error { return n.Stopping("draining") },
		func() error { return n.Watch(context.Background(), func() bool { return true }) },
		n.Close,
		func() error { return n.Status("too late") },
	} {
		if err := tell(); err != nil {
			return err
		}
	}
	return nil
}

// manager listens as the service manager does. The name is an abstract socket
// if it begins with @.
func manager(t *testing.T, name string) *net.UnixConn {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // only read from
	return c
}

func TestNotify(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		filepath.Join(t.TempDir(), "notify"),
		"@towpath-test-" + strconv.Itoa(os.Getpid()),
	} {
		m := manager(t, name)
		if got := run(t, service(t, "notify", "NOTIFY_SOCKET="+name)); got != "" {
			t.Fatal(got)
		}
		for _, want := range []string{
			`^READY=1\nSTATUS=serving MAINPID=1$`, // no text of ours makes a second assignment
			`^RELOADING=1\nMONOTONIC_USEC=\d+$`,
			`^READY=1\nSTATUS=serving again$`,
			`^STATUS=2 sessions$`,
			`^STOPPING=1\nSTATUS=draining$`,
		} {
			b := make([]byte, 4096)
			k, err := m.Read(b)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(b[:k]); !regexp.MustCompile(want).MatchString(got) {
				t.Errorf("%q, want %s", got, want)
			}
		}
	}
}

func TestNotifyNobody(t *testing.T) {
	t.Parallel()
	if got := run(t, service(t, "notify", "NOTIFY_SOCKET=")); got != "" {
		t.Error(got)
	}
	gone := filepath.Join(t.TempDir(), "gone")
	if got := run(t, service(t, "notify", "NOTIFY_SOCKET="+gone)); !strings.HasPrefix(got, "error: NOTIFY_SOCKET: ") || !strings.Contains(got, gone) {
		t.Error(got)
	}
	if got := run(t, service(t, "notify", "WATCHDOG_USEC=soon")); !strings.HasPrefix(got, `error: WATCHDOG_USEC="soon", WATCHDOG_PID="": two positive numbers are wanted`) {
		t.Error(got)
	}
}

// watch tells the watchdog once: its time is over when it begins.
func watch() error {
	n, err := systemd.NewNotifier()
	if err != nil {
		return err
	}
	over, cancel := context.WithCancel(context.Background())
	cancel()
	return n.Watch(over, func() bool { return true })
}

func TestWatchdog(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		env  []string
		want string // all that the manager hears
	}{
		{"ours", []string{"WATCHDOG_USEC=10000000", "PIDS=WATCHDOG_PID"}, "WATCHDOG=1"},
		{"of another process", []string{"WATCHDOG_USEC=10000000", "WATCHDOG_PID=1"}, ""},
		{"none", nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			name := filepath.Join(t.TempDir(), "notify")
			m := manager(t, name)
			if got := run(t, service(t, "watchdog", append(tt.env, "NOTIFY_SOCKET="+name)...)); got != "" {
				t.Fatal(got)
			}
			end, err := net.Dial("unixgram", name) // a last message, so that reading ends
			if err != nil {
				t.Fatal(err)
			}
			defer end.Close()
			if _, err := end.Write([]byte("end")); err != nil {
				t.Fatal(err)
			}
			var heard string
			for b := make([]byte, 100); ; {
				k, err := m.Read(b)
				if err != nil {
					t.Fatal(err)
				}
				if string(b[:k]) == "end" {
					break
				}
				heard += string(b[:k])
			}
			if heard != tt.want {
				t.Errorf("the manager heard %q, want %q", heard, tt.want)
			}
		})
	}
}
