package docs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"towpath/ftptest"
)

// TestResume is an example of the README.
func TestResume(t *testing.T) {
	s := ftptest.Serve(t, ftptest.Files{"sea.txt": "0123456789"})
	s.Talk(t, `
		C: REST 4
		S: 350
		C: RETR sea.txt
		S: 150
		D: 456789
		S: 226`)
}

// TestReadme finds the Go code of the README in files that are compiled and
// run.
func TestReadme(t *testing.T) {
	t.Parallel()
	var code strings.Builder
	for _, file := range []string{"docs/readme_test.go", "ftpserver/example_test.go"} {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		code.WriteString(flat(string(text)))
	}
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, part := range strings.Split(string(readme), "```go\n")[1:] {
		found++
		block, _, _ := strings.Cut(part, "```")
		if !strings.Contains(code.String(), flat(block)) {
			t.Errorf("this code of the README is in no example:\n%s", block)
		}
	}
	if found == 0 {
		t.Error("the README shows no Go code")
	}
}

// flat takes away what indents the lines of code.
func flat(code string) string {
	var b strings.Builder
	for line := range strings.Lines(code) {
		b.WriteString(strings.TrimLeft(line, "\t "))
	}
	return b.String()
}
