package lab

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// users is how many there are: root and 65535 others.
const users = 65536

// startMapped starts us again with many users, which an administrator has lent
// to an ordinary one (subuid(5)): newuidmap(1) and newgidmap(1) may give them. The
// child lives as long as alive is open. All is nil where nothing is lent, or root
// needs no loan.
func startMapped() (cmd *exec.Cmd, alive io.Closer) {
	if os.Getuid() == 0 {
		return nil, nil
	}
	me, err := user.Current()
	if err != nil {
		return nil, nil
	}
	var loans [][]string // commands, but for whom
	for _, l := range []struct {
		program, file string
		own           int
	}{{"newuidmap", "/etc/subuid", os.Getuid()}, {"newgidmap", "/etc/subgid", os.Getgid()}} {
		program, err := exec.LookPath(l.program)
		if err != nil {
			return nil, nil
		}
		text, err := os.ReadFile(l.file)
		if err != nil {
			return nil, nil
		}
		first, ok := lent(string(text), me)
		if !ok {
			return nil, nil
		}
		loans = append(loans, []string{program, "0", strconv.Itoa(l.own), "1", "1", strconv.FormatUint(first, 10), strconv.Itoa(users - 1)})
	}
	wait, given, err := os.Pipe()
	if err != nil {
		return nil, nil
	}
	defer wait.Close()
	cmd = again("soon")
	cmd.ExtraFiles = []*os.File{wait}
	if cmd.Start() != nil {
		_ = given.Close() // nobody reads it
		return nil, nil   // the way without will say why
	}
	for _, l := range loans {
		if err == nil {
			err = exec.Command(l[0], append([]string{strconv.Itoa(cmd.Process.Pid)}, l[1:]...)...).Run()
		}
	}
	if err == nil {
		_, err = given.WriteString(ours)
	}
	if err != nil {
		_ = given.Close()
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()         // as it must, killed
		return nil, nil
	}
	return cmd, given
}

// ours is what the one outside says when the users are there.
const ours = "ok"

// lent is the first of enough ids that subuid(5) or subgid(5) lends to a user,
// by name or by number.
func lent(text string, to *user.User) (first uint64, ok bool) {
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) != 3 || f[0] != to.Username && f[0] != to.Uid {
			continue
		}
		first, err := strconv.ParseUint(f[1], 10, 32)
		if err != nil {
			continue
		}
		if n, err := strconv.ParseUint(f[2], 10, 32); err == nil && n >= users-1 {
			return first, true
		}
	}
	return 0, false
}

// awaitUsers begins once more when we have our users: as root among them, which
// the kernel makes of us then.
func awaitUsers() error {
	said := make([]byte, len(ours))
	from := os.NewFile(3, "users")
	defer runtime.KeepAlive(from) // it stays open
	if _, err := io.ReadFull(from, said); err != nil {
		return fmt.Errorf("lab: no users were given: %w", err)
	}
	if err := os.Setenv(inside, "lent"); err != nil {
		return err
	}
	return os.NewSyscallError("exec", unix.Exec("/proc/self/exe", os.Args, os.Environ()))
}

// endWithParent takes the place of the signal at his end, which the kernel drops
// when we become root.
func endWithParent() {
	unix.CloseOnExec(3)
	from := os.NewFile(3, "users")
	go func() {
		_, _ = from.Read(make([]byte, 1)) // no word comes
		os.Exit(1)
	}()
}

// manyUsers says whether there are more here than root, whom servers can become.
func manyUsers() bool { return known("/proc/self/uid_map") && known("/proc/self/gid_map") }

// known says whether all ids from 0 to 65535 are known here.
func known(file string) bool {
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	var next uint64
	for in := bufio.NewScanner(f); in.Scan(); {
		var first, outside, count uint64
		if n, _ := fmt.Sscan(in.Text(), &first, &outside, &count); n == 3 && first <= next {
			next = max(next, first+count)
		}
	}
	return next >= users
}
