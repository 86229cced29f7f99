// Command fuzz runs every fuzz target of a module for a short while.
//
//	go -C tools run ./fuzz -time 2s
//
// Each package is built once; what is found of interest is kept for this run
// only, so that a run costs the same every time. An input that fails is left
// in the testdata of its package, where "go test" will find it.
package main

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

func main() {
	dir := flag.String("dir", "..", "the `directory` of the module")
	each := flag.Duration("time", 2*time.Second, "how long each target runs")
	only := flag.String("run", "", "run the targets that match this `pattern` only")
	flag.Parse()
	pattern, err := regexp.Compile(*only)
	if err == nil {
		err = fuzz(*dir, *each, pattern)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(1)
	}
}

// job is a target, ready to run.
type job struct {
	pkg
	binary, target string
}

// fuzz runs the targets of the module in dir, as many at a time as there are
// processors, each with one worker: starting them takes most of a short run.
func fuzz(dir string, each time.Duration, only *regexp.Regexp) error {
	work, err := os.MkdirTemp("", "fuzz")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	packages, err := targets(dir)
	if err != nil {
		return err
	}
	jobs := make(chan job)
	built := make(chan error, 1)
	go func() {
		defer close(jobs)
		built <- build(packages, work, only, jobs)
	}()
	var mu sync.Mutex
	var ran, failed int
	var wg sync.WaitGroup
	for range runtime.NumCPU() {
		wg.Go(func() {
			for j := range jobs {
				began := time.Now()
				said, err := run(j.dir, j.binary, "-test.run=^$", "-test.fuzz=^"+j.target+"$", "-test.parallel=1",
					"-test.fuzztime="+each.String(), "-test.fuzzcachedir="+filepath.Join(work, j.target))
				mu.Lock()
				ran++
				verdict := "ok"
				if err != nil {
					failed++
					verdict = "FAIL"
					fmt.Print(said)
				}
				fmt.Printf("%-4s %s %s %.1fs\n", verdict, j.name, j.target, time.Since(began).Seconds())
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if err := <-built; err != nil {
		return err
	}
	fmt.Printf("%d fuzz targets ran for %v each, %d failed\n", ran, each, failed)
	if ran == 0 || failed > 0 {
		return fmt.Errorf("%d of %d targets failed", failed, ran)
	}
	return nil
}

// build builds each package that has targets of those wanted, and hands these on.
func build(packages []pkg, work string, only *regexp.Regexp, jobs chan<- job) error {
	for i, p := range packages {
		wanted := slices.DeleteFunc(p.targets, func(t string) bool { return !only.MatchString(t) })
		if len(wanted) == 0 {
			continue
		}
		binary := filepath.Join(work, fmt.Sprintf("test%d", i))
		if said, err := run(p.dir, "go", "test", "-c", "-fuzz=.", "-o", binary, "."); err != nil {
			return fmt.Errorf("%s: %w\n%s", p.dir, err, said)
		}
		for _, t := range wanted {
			jobs <- job{p, binary, t}
		}
	}
	return nil
}

// pkg is a package with fuzz targets.
type pkg struct {
	name, dir string
	targets   []string
}

var declaration = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(\w+ \*testing\.F\)`)

// targets finds the fuzz targets of all packages. The sources are searched,
// since to ask the tests themselves would build each of them once more.
func targets(dir string) ([]pkg, error) {
	list := exec.Command("go", "list", "-f",
		`{{.ImportPath}}{{"\t"}}{{.Dir}}{{range .TestGoFiles}}{{"\t"}}{{.}}{{end}}{{range .XTestGoFiles}}{{"\t"}}{{.}}{{end}}`, "./...")
	list.Dir, list.Stderr = dir, os.Stderr
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	var found []pkg
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		p := pkg{name: f[0], dir: f[1]}
		for _, file := range f[2:] {
			text, err := os.ReadFile(filepath.Join(p.dir, file))
			if err != nil {
				return nil, err
			}
			for _, m := range declaration.FindAllSubmatch(text, -1) {
				p.targets = append(p.targets, string(m[1]))
			}
		}
		if len(p.targets) > 0 {
			found = append(found, p)
		}
	}
	return found, nil
}

// run runs a program in dir. What it said matters when it fails.
func run(dir, name string, args ...string) (said string, err error) {
	var out bytes.Buffer
	c := exec.Command(name, args...)
	c.Dir, c.Stdout, c.Stderr = dir, &out, &out
	err = c.Run()
	if err != nil && ranOut(out.String()) {
		return "", nil
	}
	return cmp.Or(out.String(), fmt.Sprintln(err)), err
}

// ranOut tells whether a target "failed" only because its time was up while a
// worker was at it, which package testing reports like a finding on a busy
// machine (go.dev/issue/75804, put right in Go 1.27). A finding names its input or its line.
func ranOut(said string) bool {
	return deadline.MatchString(said) && !strings.Contains(said, "Failing input") && !strings.Contains(said, ".go:")
}

var deadline = regexp.MustCompile(`(?m)^--- FAIL: \S+ \([0-9.]+s\)\n    context deadline exceeded\n`)
