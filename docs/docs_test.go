// Package docs holds no code. Its tests hold the documents to the tree.
package docs

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// module is the path that our import paths begin with, root where it lies.
const (
	module = "towpath/"
	root   = ".."
)

// imports returns what each room imports, tests aside, on whatever system: the
// files are read, not built. Rooms go by their directory, "ftp/dialogue".
func imports(t *testing.T) map[string][]string {
	t.Helper()
	rooms := map[string]map[string]bool{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		switch {
		case d.IsDir() && rel != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "vendor" || hasModule(name)):
			return fs.SkipDir
		case d.IsDir(), !strings.HasSuffix(name, ".go"), strings.HasSuffix(name, "_test.go"):
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		room := filepath.ToSlash(filepath.Dir(rel))
		if rooms[room] == nil {
			rooms[room] = map[string]bool{}
		}
		for _, i := range f.Imports {
			p, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			rooms[room][p] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for room, set := range rooms {
		all[room] = slices.Sorted(maps.Keys(set))
	}
	return all
}

func hasModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

// outermost tells which rooms are programs, or hold nothing but tests of them:
// they import whom they like, and nobody imports them.
func outermost(room string) bool {
	top, _, _ := strings.Cut(room, "/")
	return top == "cmd" || top == "bench" || top == "examples" || top == "interop"
}

func ours(paths []string) []string {
	var rooms []string
	for _, p := range paths {
		if r, ok := strings.CutPrefix(p, module); ok {
			rooms = append(rooms, r)
		}
	}
	return rooms
}

// pure are the rooms that think, and do not act.
var pure = []string{"ftp", "ftp/dialogue", "ftp/listing", "internal/transcript", "topology", "doctor"}

// TestArrows checks what no arrow may do.
func TestArrows(t *testing.T) {
	t.Parallel()
	all := imports(t)
	// At the bottom stands what knows nobody.
	for _, room := range []string{"ftp", "storage", "accounts", "capture", "firewall"} {
		if got := ours(all[room]); len(got) > 0 {
			t.Errorf("%s imports %v, want nothing of ours", room, got)
		}
	}
	// What thinks can be tested without a socket or a file.
	for _, room := range pure {
		for _, p := range all[room] {
			if p == "net" || p == "os" || p == "syscall" || strings.HasPrefix(p, "net/http") || strings.HasPrefix(p, "golang.org/x/sys") {
				t.Errorf("%s imports %q, want it pure", room, p)
			}
		}
	}
	// Who imports the server takes in no storage, no accounts and no settings.
	for _, room := range []string{"storage/", "accounts", "internal/config", "cmd/"} {
		for _, got := range ours(all["ftpserver"]) {
			if strings.HasPrefix(got, room) {
				t.Errorf("ftpserver imports %s", got)
			}
		}
	}
	for room, paths := range all {
		for _, got := range ours(paths) {
			if outermost(got) && !outermost(room) {
				t.Errorf("%s imports %s; programs are imported by nobody", room, got)
			}
		}
	}
	if len(all) == 0 || len(all["ftpserver"]) == 0 {
		t.Fatalf("found %d rooms and no ftpserver among them", len(all))
	}
}

// documents returns the Markdown files of the project by their path from root.
func documents(t *testing.T) map[string]string {
	t.Helper()
	docs := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/decisions/*.md"} {
		names, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			rel, err := filepath.Rel(root, name)
			if err != nil {
				t.Fatal(err)
			}
			docs[filepath.ToSlash(rel)] = string(text)
		}
	}
	if len(docs) < 5 {
		t.Fatalf("found only %d documents", len(docs))
	}
	return docs
}

var (
	link  = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	place = regexp.MustCompile("`((?:accounts|cmd|deploy|docs|ftp|ftpserver|ftptest|internal|storage|tools)/[\\w./-]*\\w)`")
	order = regexp.MustCompile(`(?m)^\s*(?:\$ )?make ([a-z-]+)`)
	goal  = regexp.MustCompile(`(?m)^([a-z-]+):`)
)

// TestLinks follows the links of the documents within the project, and finds
// the files that they name.
func TestLinks(t *testing.T) {
	t.Parallel()
	for name, text := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			to, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(to, "://") || strings.HasPrefix(to, "mailto:") {
				continue
			}
			target := path.Join(path.Dir(name), to)
			if to == "" {
				target = name
			}
			body, err := os.ReadFile(filepath.Join(root, target))
			if fi, serr := os.Stat(filepath.Join(root, target)); serr == nil && fi.IsDir() {
				continue
			}
			if err != nil {
				t.Errorf("%s: link to %s: %v", name, m[1], err)
				continue
			}
			if anchor != "" && !slices.Contains(anchors(string(body)), anchor) {
				t.Errorf("%s: link to %s: no such heading", name, m[1])
			}
		}
		for _, m := range place.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(root, m[1])); err != nil {
				t.Errorf("%s names %s: %v", name, m[1], err)
			}
		}
	}
}

// anchors are the headings of a document as links name them.
func anchors(text string) []string {
	var found []string
	for line := range strings.Lines(text) {
		if h := strings.TrimLeft(line, "#"); h != line && strings.HasPrefix(h, " ") {
			h = strings.ToLower(strings.TrimSpace(h))
			h = strings.Map(func(r rune) rune {
				switch {
				case r == ' ':
					return '-'
				case r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z':
					return r
				}
				return -1
			}, h)
			found = append(found, h)
		}
	}
	return found
}

// TestMakeTargets finds each "make …" of the documents in the Makefile. (The
// towpath commands in them are tested in cmd/towpath.)
func TestMakeTargets(t *testing.T) {
	t.Parallel()
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	var goals []string
	for _, m := range goal.FindAllStringSubmatch(string(makefile), -1) {
		goals = append(goals, m[1])
	}
	found := 0
	for name, text := range documents(t) {
		for _, m := range order.FindAllStringSubmatch(text, -1) {
			found++
			if !slices.Contains(goals, m[1]) {
				t.Errorf("%s: make %s: the Makefile has no such target", name, m[1])
			}
		}
	}
	if found == 0 {
		t.Error("no document names a make target")
	}
}

// TestDecisions checks that decisions are numbered without gaps and each is
// listed.
func TestDecisions(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("decisions/*.md")
	if err != nil {
		t.Fatal(err)
	}
	index, err := os.ReadFile("decisions/README.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, name := range names {
		base := filepath.Base(name)
		if base == "README.md" {
			continue
		}
		n++
		if want := fmt.Sprintf("%04d-", n); !strings.HasPrefix(base, want) {
			t.Errorf("%s: want a name that begins with %s", base, want)
		}
		if !strings.Contains(string(index), "("+base+")") {
			t.Errorf("decisions/README.md does not list %s", base)
		}
	}
	if n == 0 {
		t.Error("there are no decisions")
	}
}
