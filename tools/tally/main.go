// Command tally runs "go test -json" and shows of it what a person wants to
// know: a line for each package, the output of what failed, what was skipped
// and why, and at the end the sums.
//
//	tally -dir .. go test -json ./...
//
// It ends with code 1 unless the command ended with 0, something passed and
// nothing failed.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// event is one line of test2json; see "go doc cmd/test2json".
type event struct {
	Action     string
	Package    string
	ImportPath string // of build output
	Test       string
	Elapsed    float64
	Output     string
}

func main() {
	dir := flag.String("dir", ".", "the `directory` to run the command in")
	flag.Parse()
	if flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "usage: tally [-dir DIR] go test -json ...")
		os.Exit(64)
	}
	if err := run(*dir, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "tally:", err)
		os.Exit(1)
	}
}

// run runs a command and tells what it tested.
func run(dir string, command []string) error {
	c := exec.Command(command[0], command[1:]...)
	c.Dir, c.Stderr = dir, os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		return err
	}
	well := tally(out, os.Stdout)
	if err := c.Wait(); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(command, " "), err)
	}
	if !well {
		return fmt.Errorf("%s ended well, but its tests did not", strings.Join(command, " "))
	}
	return nil
}

// tally copies the summary of r to w and reports whether all is well.
func tally(r io.Reader, w io.Writer) bool {
	var passed, failed, skipped int
	output := map[string][]string{} // of tests and packages that have not ended
	broken := map[string]bool{}     // packages of which a test has failed
	var skips []string
	in := bufio.NewScanner(r)
	in.Buffer(nil, 1<<24)
	for in.Scan() {
		var e event
		if err := json.Unmarshal(in.Bytes(), &e); err != nil {
			fmt.Fprintln(w, in.Text()) // a word of the go command itself
			continue
		}
		key := e.Package + " " + e.Test
		switch e.Action {
		case "build-output":
			fmt.Fprint(w, e.Output)
		case "output":
			output[key] = append(output[key], e.Output)
		case "pass", "fail", "skip":
			lines := output[key]
			delete(output, key)
			if e.Test == "" {
				fmt.Fprintf(w, "%-4s %-40s %.1fs\n", e.Action, e.Package, e.Elapsed)
				if e.Action == "fail" {
					fmt.Fprint(w, strings.Join(lines, ""))
					if !broken[e.Package] {
						failed++ // it did not build, or was not clean at its end
					}
				}
				continue
			}
			switch e.Action {
			case "pass":
				passed++
			case "skip":
				skipped++
				skips = append(skips, fmt.Sprintf("skip %s %s: %s", e.Package, e.Test, reason(lines)))
			case "fail":
				failed++
				broken[e.Package] = true
				fmt.Fprint(w, strings.Join(lines, ""))
			}
		}
	}
	if err := in.Err(); err != nil {
		fmt.Fprintln(w, "tally:", err)
		failed++
	}
	for _, s := range skips {
		fmt.Fprintln(w, s)
	}
	fmt.Fprintf(w, "%d passed, %d failed, %d skipped\n", passed, failed, skipped)
	return failed == 0 && passed > 0
}

// reason finds what t.Skip was told: its line is indented and begins with the
// place of the call.
func reason(lines []string) string {
	for _, l := range lines {
		l = strings.TrimSpace(l)
		if !strings.HasPrefix(l, "===") && !strings.HasPrefix(l, "---") {
			if _, why, ok := strings.Cut(l, ": "); ok {
				return why
			}
		}
	}
	return "no reason given"
}
