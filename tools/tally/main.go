// Command tally runs "go test -json" and shows of it what a person wants to
// know: a line for each package, the output of what failed, what was skipped
// and why, and at the end the sums.
//
//	tally -dir .. go test -json ./...
//
// A few tests that fail among all the others are run once more by themselves, and
// those that then pass are called unreliable, loudly. A race of data, a panic and
// what does not build are never tried again.
//
// It ends with code 1 unless the command ended with 0, something passed and
// nothing failed, or nothing failed twice.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
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

// run runs a command, whose last argument is the packages, and tells what it
// tested.
func run(dir string, command []string) error {
	r, err := try(dir, command)
	if err != nil || r.well() {
		return err
	}
	all := strings.Join(command, " ")
	if r.broken || len(r.failed) == 0 || len(r.failed) > mostAgain {
		return fmt.Errorf("%s: not all is well", all)
	}
	for _, f := range r.failed {
		fmt.Printf("again, by itself: %s %s\n", f.pkg, f.test)
		once := append(slices.Clone(command[:len(command)-1]), "-count=1", "-run", "^"+f.test+"$", f.pkg)
		if again, err := try(dir, once); err != nil || !again.well() {
			return fmt.Errorf("%s %s failed twice", f.pkg, f.test)
		}
	}
	for _, f := range r.failed {
		fmt.Printf("UNRELIABLE: %s %s failed among the others, and passed by itself\n", f.pkg, f.test)
	}
	fmt.Printf("%d passed, 0 failed, %d skipped\n", r.passed+len(r.failed), r.skipped)
	return nil
}

// mostAgain is how many tests may be tried again: more do not fail by chance.
const mostAgain = 3

// try runs a command. The error says that it could not be run.
func try(dir string, command []string) (*result, error) {
	c := exec.Command(command[0], command[1:]...)
	c.Dir, c.Stderr = dir, os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.Start(); err != nil {
		return nil, err
	}
	r := tally(out, os.Stdout)
	if err := c.Wait(); err != nil && r.failures == 0 {
		return nil, fmt.Errorf("%s: %w", strings.Join(command, " "), err)
	}
	return r, nil
}

// result is what came of a run.
type result struct {
	passed, failures, skipped int
	// failed are the tests that failed, those of the first level.
	failed []failure
	// broken says that something failed that is not for trying again.
	broken bool
}

type failure struct{ pkg, test string }

func (r *result) well() bool { return r.failures == 0 && r.passed > 0 }

// grave is in the output of a test that did not fail by chance.
var grave = regexp.MustCompile(`(?m)WARNING: DATA RACE|^panic:|^fatal error:|testing\.go:\d+: race detected`)

// tally copies the summary of r to w.
func tally(r io.Reader, w io.Writer) *result {
	got := &result{}
	output := map[string][]string{} // of tests and packages that have not ended
	failing := map[string]bool{}    // packages of which a test has failed
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
			got.broken = got.broken || grave.MatchString(e.Output)
		case "pass", "fail", "skip":
			lines := output[key]
			delete(output, key)
			if e.Test == "" {
				fmt.Fprintf(w, "%-4s %-40s %.1fs\n", e.Action, e.Package, e.Elapsed)
				if e.Action == "fail" {
					fmt.Fprint(w, strings.Join(lines, ""))
					if !failing[e.Package] { // it did not build, or was not clean at its end
						got.failures++
						got.broken = true
					}
				}
				continue
			}
			switch e.Action {
			case "pass":
				got.passed++
			case "skip":
				got.skipped++
				skips = append(skips, fmt.Sprintf("skip %s %s: %s", e.Package, e.Test, reason(lines)))
			case "fail":
				got.failures++
				failing[e.Package] = true
				if !strings.Contains(e.Test, "/") {
					got.failed = append(got.failed, failure{e.Package, e.Test})
				}
				fmt.Fprint(w, strings.Join(lines, ""))
			}
		}
	}
	if err := in.Err(); err != nil {
		fmt.Fprintln(w, "tally:", err)
		got.failures++
		got.broken = true
	}
	for _, s := range skips {
		fmt.Fprintln(w, s)
	}
	fmt.Fprintf(w, "%d passed, %d failed, %d skipped\n", got.passed, got.failures, got.skipped)
	return got
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
