package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// What a sandbox does is for good, so the tests start their own program again
// in a role, and compare what it prints with what it should.
const (
	roleVariable = "TOWPATH_SANDBOX_TEST"
	dirVariable  = "TOWPATH_SANDBOX_DIR"
)

var roles = map[string]func(dir string) error{
	"become":           func(dir string) error { return becomeNobody(dir, Plan{}) },
	"become low ports": func(dir string) error { return becomeNobody(dir, Plan{LowPorts: true}) },
	"become rules":     func(dir string) error { return becomeNobody(dir, Plan{Rules: true}) },
	"again":            becomeTwice,
	"not allowed":      becomeRoot,
	"files":            files,
	"confine":          confineTree,
}

func TestMain(m *testing.M) {
	role, ok := roles[os.Getenv(roleVariable)]
	if !ok {
		os.Exit(m.Run())
	}
	if err := role(os.Getenv(dirVariable)); err != nil {
		fmt.Println("error:", err)
	}
}

// play runs a role and returns what it prints.
func play(t *testing.T, role, dir string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), self)
	c.Env = append(os.Environ(), roleVariable+"="+role, dirVariable+"="+dir)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// verdict shows an outcome without numbers that differ from run to run.
func verdict(err error) string {
	switch {
	case err == nil:
		return "done"
	case errors.Is(err, fs.ErrPermission):
		return "denied"
	}
	return err.Error()
}

// bindLow binds a port below 1024, any that is free.
func bindLow() error {
	for port := 1023; port > 0; port-- {
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err == nil {
			return l.Close()
		}
		if !errors.Is(err, unix.EADDRINUSE) {
			return err
		}
	}
	return errors.New("all low ports are in use")
}

// crowd makes sure that there are threads beside the one that runs.
func crowd() {
	var here, leave sync.WaitGroup
	leave.Add(1)
	for range 8 {
		here.Add(1)
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			here.Done()
			leave.Wait()
		}()
	}
	here.Wait()
	leave.Done()
}

// threads returns a field of /proc/…/status, which must be the same for all threads.
func threads(field string) (string, error) {
	all, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil {
		return "", err
	}
	values := map[string]int{}
	for _, name := range all {
		text, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue // that thread has ended
		}
		if err != nil {
			return "", err
		}
		for line := range strings.Lines(string(text)) {
			if v, ok := strings.CutPrefix(line, field+":"); ok {
				values[strings.Join(strings.Fields(v), " ")]++
			}
		}
	}
	if len(values) != 1 {
		return "", fmt.Errorf("%s of %d threads: %v", field, len(all), values)
	}
	for v := range values {
		return v, nil
	}
	panic("unreachable")
}

func becomeNobody(dir string, p Plan) error {
	crowd()
	p.User = "nobody"
	r, err := Enter(p)
	if err != nil {
		return err
	}
	fmt.Println("user", strings.HasPrefix(r.User, "nobody("), r.LowPorts, r.NoNewPrivileges, r.Confined, r.Confinement)
	for _, field := range []string{"Uid", "CapEff", "CapPrm", "CapInh", "CapAmb", "NoNewPrivs"} {
		v, err := threads(field)
		if err != nil {
			return err
		}
		if field == "Uid" {
			nobody, err := Lookup("nobody", "")
			if err != nil {
				return err
			}
			v = strings.ReplaceAll(v, strconv.Itoa(nobody.UID), "nobody")
		}
		fmt.Println(field, v)
	}
	_, err = os.ReadFile(filepath.Join(dir, "secret"))
	fmt.Println("read a file of root:", verdict(err))
	fmt.Println("become root again:", verdict(unix.Setresuid(0, 0, 0)))
	var wg sync.WaitGroup // on other threads than this one, too
	results := make(chan string, 8)
	for range cap(results) {
		wg.Go(func() {
			runtime.LockOSThread() // not unlocked: the thread ends with the goroutine
			results <- verdict(bindLow())
		})
	}
	wg.Wait()
	close(results)
	said := map[string]bool{}
	for s := range results {
		said[s] = true
	}
	fmt.Println("bind a low port:", said)
	return nil
}

func TestBecome(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root can become somebody else; TestNotAllowed shows what others are told")
	}
	if _, err := Lookup("nobody", ""); err != nil {
		t.Skipf("no user to become: %v", err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ role, want string }{
		{"become", `user true false true false not asked for
Uid nobody nobody nobody nobody
CapEff 0000000000000000
CapPrm 0000000000000000
CapInh 0000000000000000
CapAmb 0000000000000000
NoNewPrivs 1
read a file of root: denied
become root again: denied
bind a low port: map[denied:true]
`},
		{"become low ports", `user true true true false not asked for
Uid nobody nobody nobody nobody
CapEff 0000000000000400
CapPrm 0000000000000400
CapInh 0000000000000000
CapAmb 0000000000000000
NoNewPrivs 1
read a file of root: denied
become root again: denied
bind a low port: map[done:true]
`},
		{"become rules", `user true false true false not asked for
Uid nobody nobody nobody nobody
CapEff 0000000000001000
CapPrm 0000000000001000
CapInh 0000000000000000
CapAmb 0000000000000000
NoNewPrivs 1
read a file of root: denied
become root again: denied
bind a low port: map[denied:true]
`},
	} {
		t.Run(tt.role, func(t *testing.T) {
			t.Parallel()
			want := tt.want
			if everybodyBindsLow(t) {
				want = strings.Replace(want, "map[denied:true]", "map[done:true]", 1)
			}
			if got := play(t, tt.role, dir); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// everybodyBindsLow tells whether this system has no privileged ports, as in
// many containers.
func everybodyBindsLow(t *testing.T) bool {
	t.Helper()
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	if err != nil {
		t.Fatal(err)
	}
	start, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return start < 1024
}

// becomeTwice: a process that is the wanted user already needs no right to.
func becomeTwice(string) error {
	id, err := Lookup("nobody", "")
	if err != nil {
		return err
	}
	for range 2 {
		if _, err := Enter(Plan{User: strconv.Itoa(id.UID), Group: strconv.Itoa(id.GID)}); err != nil {
			return err
		}
	}
	_, err = Enter(Plan{User: strconv.Itoa(id.UID), Group: strconv.Itoa(id.GID), LowPorts: true})
	return err
}

func TestBecomeTwice(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root can become somebody else")
	}
	if got := play(t, "again", ""); !strings.Contains(got, "keep the right to bind low ports, which this process does not have") {
		t.Error(got)
	}
}

// becomeRoot tries to become root as somebody else.
func becomeRoot(string) error {
	if os.Getuid() == 0 {
		if _, err := Enter(Plan{User: "nobody"}); err != nil {
			return err
		}
	}
	_, err := Enter(Plan{User: "root"})
	return err
}

func TestNotAllowed(t *testing.T) {
	t.Parallel()
	got := play(t, "not allowed", "")
	for _, want := range []string{"error: become user root(0):", "this process is user ", "start it as root, or leave the user away"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q does not say %q", got, want)
		}
	}
}

// files raises the limit of descriptors from a low one.
func files(string) error {
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 200, Max: 200}); err != nil {
		return err
	}
	for _, want := range []uint64{0, 100, 300} {
		r, err := Enter(Plan{Files: want})
		fmt.Println(want, "wanted,", r.Files, "had:", verdict(err))
		if err != nil {
			fmt.Println(err)
		}
	}
	return nil
}

func TestFiles(t *testing.T) {
	t.Parallel()
	got := play(t, "files", "")
	const low = "0 wanted, 200 had: done\n100 wanted, 200 had: done\n"
	raised := low + "300 wanted, 300 had: done\n"
	refused := low + "300 wanted, 200 had: denied\nlimit of open files is 200, 300 are wanted, and only root may raise it"
	may, err := threads("CapEff")
	if err != nil {
		t.Fatal(err)
	}
	caps, err := strconv.ParseUint(may, 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	if caps>>unix.CAP_SYS_RESOURCE&1 == 1 {
		if got != raised {
			t.Errorf("got\n%s\nwant\n%s", got, raised)
		}
	} else if !strings.HasPrefix(got, refused) {
		t.Errorf("got\n%s\nwant\n%s", got, refused)
	}
}

// confineTree tries all sorts of things in and beside a confined tree.
func confineTree(dir string) error {
	crowd()
	in := func(name string) string { return filepath.Join(dir, name) }
	r, err := Enter(Plan{Write: []string{in("served")}, Read: []string{in("config/link.toml")}})
	if err != nil {
		return err
	}
	fmt.Println("confined", r.Confined)
	if !r.Confined {
		fmt.Println(r.Confinement)
	}
	var wg sync.WaitGroup
	wg.Go(func() { // on a thread of its own
		runtime.LockOSThread()
		for _, try := range []struct {
			what string
			do   func() error
		}{
			{"write", func() error { return os.WriteFile(in("served/a"), []byte("x"), 0o600) }},
			{"overwrite", func() error { return os.WriteFile(in("served/a"), nil, 0o600) }},
			{"rename to another directory", func() error { return os.Rename(in("served/a"), in("served/sub/b")) }},
			{"remove", func() error { return os.Remove(in("served/sub/b")) }},
			{"make a directory", func() error { return os.Mkdir(in("served/d"), 0o700) }},
			{"remove a directory", func() error { return os.Remove(in("served/d")) }},
			{"make a link", func() error { return os.Symlink("../secret/x", in("served/l")) }},
			{"make a FIFO", func() error { return unix.Mkfifo(in("served/fifo"), 0o600) }},
			{"run a program", func() error { return exec.Command(in("served/run")).Run() }},
			{"read through the link", func() error { _, err := os.ReadFile(in("served/l")); return err }},
			{"read beside", func() error { _, err := os.ReadFile(in("secret/x")); return err }},
			{"list beside", func() error { _, err := os.ReadDir(in("secret")); return err }},
			{"write beside", func() error { return os.WriteFile(in("secret/y"), nil, 0o600) }},
			{"rename out", func() error { return os.Rename(in("served/sub"), in("secret/sub")) }},
			{"read the configuration", func() error { _, err := os.ReadFile(in("config/link.toml")); return err }},
			{"read a new configuration", func() error { _, err := os.ReadFile(in("real/other.toml")); return err }},
			{"write the configuration", func() error { return os.WriteFile(in("config/link.toml"), nil, 0o600) }},
			{"look up hosts", func() error { _, err := os.ReadFile("/etc/hosts"); return err }},
			{"use /dev/null", func() error { return os.WriteFile(os.DevNull, []byte("x"), 0) }},
		} {
			fmt.Println(try.what+":", verdict(try.do()))
		}
	})
	wg.Wait()
	return nil
}

func TestConfine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, d := range []string{"served/sub", "config", "real", "secret"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{"secret/x", "real/towpath.toml", "real/other.toml"} {
		if err := os.WriteFile(filepath.Join(dir, f), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "served/run"), []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../real/towpath.toml", filepath.Join(dir, "config/link.toml")); err != nil {
		t.Fatal(err)
	}
	got := play(t, "confine", dir)
	if rest, ok := strings.CutPrefix(got, "confined false\n"); ok {
		words, rest, _ := strings.Cut(rest, "\n")
		if !strings.Contains(words, "kernel") || strings.Contains(rest, "denied") {
			t.Fatalf("not confined, for no reason, or confined all the same:\n%s", got)
		}
		t.Skip("the server runs unconfined: " + words)
	}
	const want = `confined true
write: done
overwrite: done
rename to another directory: done
remove: done
make a directory: done
remove a directory: done
make a link: done
make a FIFO: denied
run a program: denied
read through the link: denied
read beside: denied
list beside: denied
write beside: denied
rename out: denied
read the configuration: done
read a new configuration: done
write the configuration: denied
look up hosts: done
use /dev/null: done
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestConfineNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	gone := filepath.Join(t.TempDir(), "gone")
	if _, err := directories([]string{gone}); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), gone) {
		t.Error(err)
	}
}

func TestReportInTheLog(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	slog.New(slog.NewTextHandler(&b, nil)).Info("sandbox", "sandbox", Report{Files: 1024, Confinement: "not asked for"})
	const want = `sandbox.user=unchanged sandbox.low_ports=false sandbox.rules=false sandbox.no_new_privileges=false sandbox.files=1024 sandbox.confined=false sandbox.confinement="not asked for"`
	if !strings.Contains(b.String(), want) {
		t.Errorf("%s, want %s", &b, want)
	}
}
