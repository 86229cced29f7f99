package main

import (
	"os"
	"path/filepath"
	"testing"
)

// What fails once passes, what fails twice does not, nor what is grave.
func TestRun(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		body string
		well bool
	}{
		"passes":         {"", true},
		"fails once":     {`if os.Mkdir("seen", 0o700) == nil { t.Error("the first time") }`, true},
		"fails always":   {`t.Error("always")`, false},
		"panics once":    {`if os.Mkdir("seen", 0o700) == nil { panic("the first time") }`, false},
		"races once":     {`if os.Mkdir("seen", 0o700) == nil { t.Error("WARNING: DATA RACE") }`, false},
		"does not build": {`t.Nothing()`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for file, text := range map[string]string{
				"go.mod":    "module m\n\ngo 1.26\n",
				"m_test.go": "package m\n\nimport (\n\t\"os\"\n\t\"testing\"\n)\n\nvar _ = os.Args\n\nfunc TestGood(t *testing.T) {}\n\nfunc TestOne(t *testing.T) {\n" + tt.body + "\n}\n",
			} {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			err := run(dir, []string{"go", "test", "-json", "./..."})
			if (err == nil) != tt.well {
				t.Errorf("the end is %v", err)
			}
		})
	}
}
