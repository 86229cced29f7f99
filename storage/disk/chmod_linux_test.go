package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"towpath/storage"
)

func init() { roles["no chmod"] = noChmodRole }

// TestNoChmod: a disk that lets nobody change permission bits, such as FAT of
// which all files are root's, takes uploads all the same.
func TestNoChmod(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, line, end := play(t, "no chmod", dir)
	defer end()
	if reason, ok := strings.CutPrefix(line, "skip: "); ok {
		t.Skip(reason)
	}
	if line != "ok" {
		t.Fatal(line)
	}
	if got := hostRead(t, filepath.Join(dir, "f")); got != "content" {
		t.Errorf("the file holds %q", got)
	}
}

// noChmodRole uploads a file where the kernel refuses fchmod.
func noChmodRole(dir string) error {
	unix.Umask(0o077)
	if err := refuse(unix.SYS_FCHMOD); err != nil {
		fmt.Println("skip: no system call can be refused here:", err)
		return nil
	}
	f, err := Open(dir, Options{Mode: 0o644})
	if err != nil {
		return err
	}
	if file, err := os.Open(dir); err != nil {
		return err
	} else if err := file.Chmod(0o755); !errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("chmod is not refused: %w", err)
	}
	w, err := f.Create(background, "/f", storage.How{Owner: "anna"})
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, "content"); err != nil {
		return err
	}
	if err := w.Commit(); err != nil {
		return err
	}
	fmt.Println("ok")
	return nil
}

// refuse has the kernel answer EPERM to a system call of this process.
func refuse(call uint32) error {
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}, // the number of the call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: call},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	runtime.LockOSThread() // what allows it counts for one thread
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return errno
	}
	return nil
}
