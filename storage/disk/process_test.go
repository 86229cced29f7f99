//go:build unix

package disk

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"towpath/storage"
)

// roleEnv has the test binary play a part in a test, as a second process.
const roleEnv = "TOWPATH_DISK_TEST"

var roles = map[string]func(dir string) error{
	"write": writeRole,
	"copy":  copyRole,
	"fight": fightRole,
}

func TestMain(m *testing.M) {
	if role := roles[os.Getenv(roleEnv)]; role != nil {
		if err := role(os.Args[1]); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// play starts a role, which prints a line when it is ready and then waits for
// its input to end.
func play(t *testing.T, role, dir string, attr ...func(*exec.Cmd)) (cmd *exec.Cmd, line string, end func()) {
	t.Helper()
	exe, err := os.Executable()
	must(t, err)
	cmd = exec.Command(exe, dir)
	cmd.Env = append(os.Environ(), roleEnv+"="+role)
	for _, set := range attr {
		set(cmd)
	}
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	cmd.Stderr = os.Stderr
	must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // may have ended
	line, err = bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the other process: %q, %v", line, err)
	}
	return cmd, strings.TrimSpace(line), func() { must(t, in.Close()) }
}

// writeRole writes half a file, waits, and commits the whole.
func writeRole(dir string) error {
	f, err := Open(dir, Options{})
	if err != nil {
		return err
	}
	w, err := f.Create(background, "/f", storage.How{Owner: "anna"})
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, "half "); err != nil {
		return err
	}
	fmt.Println("ready")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	if _, err := io.WriteString(w, "whole"); err != nil {
		return err
	}
	return w.Commit()
}

// copyRole leaves what a process leaves that dies while it copies the file to
// go on from.
func copyRole(dir string) error {
	f, err := Open(dir, Options{})
	if err != nil {
		return err
	}
	d, base, _, err := f.place("f")
	if err != nil {
		return err
	}
	for _, suffix := range []string{partSuffix, copySuffix} {
		file, _, err := create(d, partName("anna", base)+suffix, 0o644)
		if err != nil {
			return err
		}
		if suffix == copySuffix {
			if _, err := io.WriteString(file, "the o"); err != nil {
				return err
			}
		}
	}
	fmt.Println("ready")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// TestKill ends the writing process in the hardest way.
func TestKill(t *testing.T) {
	eachForm(t, func(t *testing.T, f *FS, dir string) {
		final := filepath.Join(dir, "f")
		hostWrite(t, final, "the old file")
		cmd, _, _ := play(t, "write", dir)
		must(t, cmd.Process.Kill())
		if err := cmd.Wait(); err == nil {
			t.Fatal("the process ended by itself")
		}
		if text := hostRead(t, final); text != "the old file" {
			t.Errorf("the file holds %q", text)
		}
		for in := range f.List(t.Context(), "/") {
			if in.Name() != "f" {
				t.Errorf("listed %s", in.Name())
			}
		}
		p, err := f.Unfinished(t.Context(), "/f", "anna")
		if p.Size != 5 || err != nil {
			t.Errorf("unfinished: %v, %v", p, err)
		}
		w := begin(t, f, "/f", storage.How{Owner: "anna", Offset: 5}, "and whole")
		must(t, w.Commit())
		if text := hostRead(t, final); text != "half and whole" {
			t.Errorf("the file holds %q", text)
		}
		entries, err := os.ReadDir(dir)
		must(t, err)
		if len(entries) != 1 {
			t.Errorf("left behind: %v", entries)
		}
	})
}

// TestKillWhileCopying resumes nothing from a copy that is not whole.
func TestKillWhileCopying(t *testing.T) {
	eachForm(t, func(t *testing.T, f *FS, dir string) {
		hostWrite(t, filepath.Join(dir, "f"), "the old file")
		cmd, _, _ := play(t, "copy", dir)
		_, err := f.Create(t.Context(), "/f", storage.How{Owner: "anna", Append: true})
		wantErr(t, "while it copies", err, storage.ErrBusy)
		must(t, cmd.Process.Kill())
		if err := cmd.Wait(); err == nil {
			t.Fatal("the process ended by itself")
		}
		if p, err := f.Unfinished(t.Context(), "/f", "anna"); err == nil {
			t.Errorf("%d unfinished bytes", p.Size)
		}
		must(t, begin(t, f, "/f", storage.How{Owner: "anna", Append: true}, " and more").Commit())
		if text := hostRead(t, filepath.Join(dir, "f")); text != "the old file and more" {
			t.Errorf("the file holds %q", text)
		}
		entries, err := os.ReadDir(dir)
		must(t, err)
		if len(entries) != 1 {
			t.Errorf("left behind: %v", entries)
		}
	})
}

// TestTwoProcesses has the second writer of a part refused, and not mixed in.
func TestTwoProcesses(t *testing.T) {
	eachForm(t, func(t *testing.T, f *FS, dir string) {
		cmd, _, end := play(t, "write", dir)
		for _, how := range []storage.How{{Owner: "anna"}, {Owner: "anna", Append: true}, {Owner: "anna", Offset: 5}} {
			_, err := f.Create(t.Context(), "/f", how)
			wantErr(t, "second writer", err, storage.ErrBusy)
		}
		wantErr(t, "discard", f.Discard(t.Context(), "/f", "anna"), storage.ErrBusy)
		if n, err := f.Sweep(t.Context(), -1); n != 0 || err != nil {
			t.Errorf("swept %d, %v", n, err)
		}
		end()
		must(t, cmd.Wait())
		if text := hostRead(t, filepath.Join(dir, "f")); text != "half whole" {
			t.Errorf("the file holds %q", text)
		}
		must(t, begin(t, f, "/f", storage.How{Owner: "anna"}, "next").Commit())
	})
}

// TestManyProcesses lets four processes fight for one name: whoever commits
// leaves a whole file.
func TestManyProcesses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	others := make([]*exec.Cmd, 0, 3)
	for range cap(others) {
		cmd, _, end := play(t, "fight", dir)
		end()
		others = append(others, cmd)
	}
	must(t, fight(dir))
	for _, cmd := range others {
		must(t, cmd.Wait())
	}
	text := hostRead(t, filepath.Join(dir, "f"))
	if len(text) != fightSize || strings.Count(text, text[:1]) != fightSize {
		t.Errorf("%d bytes: a mixture or a half", len(text))
	}
}

const fightSize = 16 << 10

func fight(dir string) error {
	f, err := Open(dir, Options{Sync: SyncOff})
	if err != nil {
		return err
	}
	text := strings.Repeat(string(rune('a'+os.Getpid()%26)), fightSize/4)
	for round := range 300 {
		w, err := f.Create(background, "/f", storage.How{Owner: "anna"})
		if errors.Is(err, storage.ErrBusy) {
			continue
		}
		if err != nil {
			return err
		}
		for range 4 {
			if _, err := io.WriteString(w, text); err != nil {
				return err
			}
		}
		if round%3 == 0 {
			err = w.Abort(round%2 == 0)
		} else {
			err = w.Commit()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func fightRole(dir string) error {
	fmt.Println("ready")
	return fight(dir)
}

// background is the context of a role, which has no test.
var background = context.Background()
