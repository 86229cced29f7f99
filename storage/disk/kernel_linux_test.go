package disk

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"towpath/storage"
)

// TestFull fills a disk of 4 MiB, which lies in a mount namespace of its own
// and goes with the process that made it.
func TestFull(t *testing.T) {
	for name := range forms {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			exe, err := os.Executable()
			must(t, err)
			cmd := exec.Command(exe, t.TempDir(), name)
			cmd.Env = append(os.Environ(), roleEnv+"=full")
			cmd.SysProcAttr = &syscall.SysProcAttr{
				Cloneflags:  syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
				UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
				GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
			}
			out, err := cmd.CombinedOutput()
			if err != nil && os.Getuid() == 0 {
				// Where users may not have namespaces root may still mount.
				cmd = exec.Command(exe, t.TempDir(), name)
				cmd.Env = append(os.Environ(), roleEnv+"=full")
				cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
				out, err = cmd.CombinedOutput()
			}
			if len(out) == 0 && errors.Is(err, fs.ErrPermission) {
				t.Skipf("the kernel forbids a namespace to mount a small disk in: %v", err)
			}
			if reason, ok := strings.CutPrefix(string(out), "skip: "); ok {
				t.Skipf("no small disk could be mounted: %s", reason)
			}
			if err != nil || len(out) > 0 {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

func init() { roles["full"] = fullRole }

// fullRole mounts a small disk over dir, fills it in every way, and prints
// what is wrong.
func fullRole(dir string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		fmt.Printf("skip: %v", err)
		return nil
	}
	if err := unix.Mount("small", dir, "tmpfs", 0, "size=4m"); err != nil {
		fmt.Printf("skip: %v", err)
		return nil
	}
	f, err := Open(dir, forms[os.Args[2]])
	if err != nil {
		return err
	}
	old := strings.Repeat("o", 1<<20)
	big := strings.Repeat("n", 5<<20)
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte(old), 0o644); err != nil {
		return err
	}
	check := func(what string, err error) {
		if !errors.Is(err, storage.ErrFull) || strings.Contains(err.Error(), dir) {
			fmt.Printf("%s: %v\n", what, err)
		}
		if text, err := os.ReadFile(filepath.Join(dir, "f")); string(text) != old {
			fmt.Printf("%s: the file holds %d bytes, %v\n", what, len(text), err)
		}
	}
	for _, keep := range []bool{false, true} {
		for what, send := range map[string]func(storage.Writer) error{
			"write": func(w storage.Writer) error { _, err := io.WriteString(w, big); return err },
			"read from": func(w storage.Writer) error {
				_, err := w.(io.ReaderFrom).ReadFrom(strings.NewReader(big))
				return err
			},
			"splice": func(w storage.Writer) error { return spliceInto(w, big) },
		} {
			w, err := f.Create(background, "/f", storage.How{Owner: "anna"})
			if err != nil {
				return err
			}
			check(what, send(w))
			if err := w.Abort(keep); err != nil {
				return err
			}
			p, err := f.Unfinished(background, "/f", "anna")
			if kept := err == nil && p.Size > 0; kept != keep {
				fmt.Printf("%s: kept %v: %d unfinished bytes, %v\n", what, keep, p.Size, err)
			}
			if room, err := f.Available(background, "/"); keep == (room > 0) || err != nil {
				fmt.Printf("%s: kept %v: %d bytes available, %v\n", what, keep, room, err)
			}
		}
	}

	// There is no room either for a copy to go on from, and none is left.
	if err := f.Discard(background, "/f", "anna"); err != nil {
		return err
	}
	w, err := f.Create(background, "/ballast", storage.How{})
	if err == nil {
		_, err = io.WriteString(w, big[:5<<19])
	}
	if err == nil {
		err = w.Commit()
	}
	if err != nil {
		return err
	}
	_, err = f.Create(background, "/f", storage.How{Owner: "anna", Append: true})
	check("copy", err)
	if err := f.Remove(background, "/ballast"); err != nil {
		return err
	}
	w, err = f.Create(background, "/f", storage.How{Owner: "anna", Append: true})
	if err != nil {
		return err
	}
	if w.Offset() != int64(len(old)) {
		fmt.Printf("offset %d after a failed copy\n", w.Offset())
	}
	return w.Commit()
}

// spliceInto sends text through a TCP connection.
func spliceInto(w storage.Writer, text string) error {
	from, to, err := pipe()
	if err != nil {
		return err
	}
	defer from.Close()
	go func() {
		_, _ = io.WriteString(to, text) // the reader may stop early
		_ = to.Close()
	}()
	_, err = w.(io.ReaderFrom).ReadFrom(from)
	return err
}

// pipe is the two ends of a TCP connection.
func pipe() (server, client *net.TCPConn, err error) {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	if client, err = net.DialTCP("tcp", nil, l.Addr().(*net.TCPAddr)); err != nil {
		return nil, nil, err
	}
	server, err = l.AcceptTCP()
	return server, client, err
}

// TestSockets moves bytes between files and connections, and has the errors
// of the one not taken for those of the other.
func TestSockets(t *testing.T) {
	eachForm(t, func(t *testing.T, f *FS, dir string) {
		text := strings.Repeat("0123456789abcdef", 100_000)
		server, client, err := pipe()
		must(t, err)
		defer server.Close()
		defer client.Close()

		hostWrite(t, filepath.Join(dir, "f"), text)
		r, err := f.Open(t.Context(), "/f", 16)
		must(t, err)
		defer r.Close()
		file, ok := r.(*os.File)
		if !ok {
			t.Fatalf("Open returns a %T", r)
		}
		if err := file.SetReadDeadline(noDeadline); !errors.Is(err, os.ErrNoDeadline) {
			t.Errorf("a poller watches the file: %v", err)
		}
		flags, err := unix.FcntlInt(file.Fd(), unix.F_GETFD, 0)
		must(t, err)
		if flags&unix.FD_CLOEXEC == 0 {
			t.Error("a child process would inherit the file")
		}

		sent := make(chan error, 1)
		go func() {
			_, err := io.Copy(server, file)
			sent <- err
		}()
		w, err := f.Create(t.Context(), "/g", storage.How{Owner: "anna"})
		must(t, err)
		limited := &io.LimitedReader{R: client, N: int64(len(text)) - 16}
		n, err := w.(io.ReaderFrom).ReadFrom(limited)
		if n != int64(len(text))-16 || err != nil || limited.N != 0 {
			t.Fatalf("moved %d bytes, %v; %d left", n, err, limited.N)
		}
		must(t, <-sent)
		must(t, w.Commit())
		if hostRead(t, filepath.Join(dir, "g")) != text[16:] {
			t.Error("the bytes are not those that were sent")
		}

		// The client is late, and then resets the connection.
		w, err = f.Create(t.Context(), "/h", storage.How{Owner: "anna"})
		must(t, err)
		_, err = io.WriteString(server, "part")
		must(t, err)
		head := bufio.NewReader(client)
		_, err = io.CopyN(w, head, 4)
		must(t, err)
		must(t, client.SetReadDeadline(past))
		_, err = w.(io.ReaderFrom).ReadFrom(client)
		netErr, ok := errors.AsType[net.Error](err)
		if _, own := errors.AsType[*fs.PathError](err); !ok || !netErr.Timeout() || own {
			t.Errorf("deadline: %T %v", err, err)
		}
		must(t, client.SetReadDeadline(noDeadline))
		must(t, server.SetLinger(0))
		must(t, server.Close())
		_, err = w.(io.ReaderFrom).ReadFrom(client)
		if _, own := errors.AsType[*fs.PathError](err); !errors.Is(err, syscall.ECONNRESET) || own {
			t.Errorf("reset: %T %v", err, err)
		}
		must(t, w.Abort(true))
		if p, err := f.Unfinished(t.Context(), "/h", "anna"); p.Size != 4 || err != nil {
			t.Errorf("unfinished: %v, %v", p, err)
		}
	})
}

var (
	noDeadline time.Time
	past       = time.Unix(1, 0)
)
