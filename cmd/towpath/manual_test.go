package main

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"towpath/accounts/userfile"
	"towpath/internal/config"
)

var writeMan = flag.Bool("write-man", false, "write the tables of docs/man anew")

const manDir = "../../docs/man"

// The manual pages are written by hand in mdoc(7), but for what lies between
// two such lines: that is made from the commands, their flags, and the keys of
// the configuration.
//
//	.\" begin flags towpath serve
//	.\" end
var region = regexp.MustCompile(`(?ms)^\.\\" begin ([^\n]*)\n(.*?)^\.\\" end$`)

// TestManual finds the tables of the manual as the program has them. With
// -write-man it writes them.
func TestManual(t *testing.T) {
	pages, err := filepath.Glob(filepath.Join(manDir, "*.[15]"))
	if err != nil || len(pages) < 5 {
		t.Fatalf("found %d pages: %v", len(pages), err)
	}
	for _, page := range pages {
		t.Run(filepath.Base(page), func(t *testing.T) {
			was, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			now := region.ReplaceAllStringFunc(string(was), func(r string) string {
				what := region.FindStringSubmatch(r)[1]
				table, err := manualTable(what)
				if err != nil {
					t.Errorf("%s: %v", what, err)
				}
				return `.\" begin ` + what + "\n" + table + `.\" end`
			})
			if *writeMan && now != string(was) {
				if err := os.WriteFile(page, []byte(now), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(was), now); diff != "" {
				t.Errorf("make man would change it: -page +program\n%s", diff)
			}
		})
	}
}

// TestManualComplete finds a page for every verb that has work to do.
func TestManualComplete(t *testing.T) {
	t.Parallel()
	for _, c := range rootCommand().Commands() {
		if c.Name() == "version" || c.Name() == "help" || c.Name() == "completion" {
			continue
		}
		page := filepath.Join(manDir, "towpath-"+c.Name()+".1")
		if _, err := os.Stat(page); err != nil {
			t.Errorf("towpath %s: %v", c.Name(), err)
		}
	}
}

// TestManualLint asks mandoc.
func TestManualLint(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("mandoc")
	if err != nil {
		t.Skip("mandoc is not installed: the manual pages are not checked")
	}
	pages, err := filepath.Glob(filepath.Join(manDir, "*.[15]"))
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(program, append([]string{"-T", "lint", "-W", "warning"}, pages...)...).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// manualTable makes what a page asks for: "flags COMMAND", "verbs COMMAND" or
// "keys".
func manualTable(what string) (string, error) {
	kind, name, _ := strings.Cut(what, " ")
	switch what {
	case "keys":
		return manualKeys(), nil
	case "words":
		return manualWords(), nil
	}
	c, rest, err := rootCommand().Find(strings.Fields(name)[1:])
	if err != nil || len(rest) > 0 || c.CommandPath() != name {
		return "", fmt.Errorf("no such command: %q", name)
	}
	switch kind {
	case "flags":
		return manualFlags(c), nil
	case "verbs":
		var b strings.Builder
		for _, v := range c.Commands() {
			if !v.IsAvailableCommand() || v.Name() == "help" {
				continue
			}
			fmt.Fprintf(&b, ".Ss %s\n", v.UseLine()[:len(v.CommandPath())+len(v.Use)-len(v.Name())])
			b.WriteString(prose(v.Long))
			if v.Long == "" {
				b.WriteString(prose(v.Short + "."))
			}
			if flags := manualFlags(v); flags != "" {
				b.WriteString(flags)
			}
			if v.Example != "" {
				b.WriteString(".Pp\nExamples:\n.Bd -literal -offset indent\n" + literal(v.Example) + ".Ed\n")
			}
		}
		return b.String(), nil
	}
	return "", fmt.Errorf("no such table: %q", kind)
}

// manualWords is the list of the words of the shell.
func manualWords() string {
	var b strings.Builder
	b.WriteString(".Bl -tag -width Ds\n")
	for _, name := range slices.Sorted(maps.Keys(words())) {
		w := words()[name]
		fmt.Fprintf(&b, `.It Ic \&%s`, name) // some are marks for troff
		if w.args != "" {
			fmt.Fprintf(&b, " Ar %s", word(w.args))
		}
		b.WriteString("\n" + prose(strings.ToUpper(w.help[:1])+w.help[1:]+"."))
	}
	b.WriteString(".El\n")
	return b.String()
}

// manualFlags is the list of the flags that are a command's own.
func manualFlags(c *cobra.Command) string {
	var b strings.Builder
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		arg, text := pflag.UnquoteUsage(f)
		fmt.Fprintf(&b, ".It ")
		if f.Shorthand != "" {
			fmt.Fprintf(&b, "Fl %s , ", f.Shorthand)
		}
		fmt.Fprintf(&b, "Fl Fl %s", f.Name)
		if arg != "" && f.NoOptDefVal == "" {
			fmt.Fprintf(&b, " Ar %s", word(arg))
		}
		b.WriteString("\n")
		text = strings.TrimPrefix(text, arg+": ")
		if !strings.HasSuffix(text, ".") {
			text = strings.ToUpper(text[:1]) + text[1:] + "."
		}
		b.WriteString(prose(text))
		switch f.DefValue {
		case "", "false", "[]", "0", "0s":
		default:
			fmt.Fprintf(&b, "Default: %s.\n", escape(f.DefValue))
		}
	})
	if b.Len() == 0 {
		return ""
	}
	return ".Bl -tag -width Ds\n" + b.String() + ".El\n"
}

// manualKeys is the list of all keys, section by section.
func manualKeys() string {
	var b strings.Builder
	c := config.Default()
	section := "none"
	for _, k := range c.Keys() {
		if k.Section() != section {
			if section != "none" {
				b.WriteString(".El\n")
			}
			section = k.Section()
			title := "Top of the file"
			if section != "" {
				title = "Section [" + section + "]"
			}
			fmt.Fprintf(&b, ".Ss %s\n.Bl -tag -width Ds\n", title)
		}
		fmt.Fprintf(&b, ".It Cm %s", k.Name)
		if k.Arg != "" {
			fmt.Fprintf(&b, " Ar %s", word(k.Arg))
		}
		b.WriteString("\n" + prose(k.Doc))
		_, value, _ := strings.Cut(k.Line(k.Shown()), " = ")
		if value != `""` && value != "[]" && value != "false" {
			fmt.Fprintf(&b, "Default: %s.\n", escape(value))
		}
		if k.Flag != "" {
			fmt.Fprintf(&b, "Flag:\n.Fl Fl %s .\n", k.Flag)
		}
	}
	b.WriteString(".El\n")
	return b.String()
}

// prose turns text into mdoc: paragraphs are parted by empty lines, and each
// sentence begins a line.
func prose(text string) string {
	var b strings.Builder
	for i, p := range strings.Split(strings.TrimSpace(text), "\n\n") {
		if i > 0 {
			b.WriteString(".Pp\n")
		}
		p = strings.Join(strings.Fields(p), " ")
		p = sentence.ReplaceAllString(p, "$1\n$2")
		for line := range strings.Lines(p) {
			b.WriteString(escape(strings.TrimSuffix(line, "\n")) + "\n")
		}
	}
	return b.String()
}

var sentence = regexp.MustCompile(`([.:!?]) ([A-Z])`)

// literal is text whose lines are kept.
func literal(text string) string {
	var b strings.Builder
	for line := range strings.Lines(strings.TrimRight(text, "\n") + "\n") {
		b.WriteString(escape(strings.TrimPrefix(strings.TrimSuffix(line, "\n"), "  ")) + "\n")
	}
	return b.String()
}

// escape makes a text line of what troff might take for something else.
func escape(s string) string {
	s = strings.ReplaceAll(s, `\`, `\e`)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}

// word is one argument of a macro.
func word(s string) string {
	if strings.ContainsAny(s, " ") {
		return `"` + s + `"`
	}
	return s
}

// fence is a block of code in Markdown, with what stands behind its ```.
var fence = regexp.MustCompile("(?ms)^```([^\n]+)\n(.*?)^```$")

// documented returns the blocks of one kind in the documents, by file.
func documented(t *testing.T, kind string) map[string][]string {
	t.Helper()
	blocks := map[string][]string{}
	for _, pattern := range []string{"../../*.md", "../../docs/*.md", "../../docs/decisions/*.md"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range fence.FindAllStringSubmatch(string(text), -1) {
				if m[1] == kind {
					blocks[name] = append(blocks[name], m[2])
				}
			}
		}
	}
	if len(blocks) == 0 {
		t.Fatalf("no document has a block of %s", kind)
	}
	return blocks
}

// TestDocumentedCommands has the program read every command line of ours that
// the documents show: verbs, flags and the values of the flags.
func TestDocumentedCommands(t *testing.T) {
	t.Parallel()
	lines := regexp.MustCompile(`(?m)(?:^|[|;&] *|sudo )(?:go run \./cmd/)?towpath( [^|<>#;&\n]*)?`)
	found := 0
	for name, blocks := range documented(t, "sh") {
		for _, b := range blocks {
			b = strings.ReplaceAll(b, "\\\n", " ")
			for _, m := range lines.FindAllStringSubmatch(b, -1) {
				found++
				if err := accepts(shellWords(m[1])); err != nil {
					t.Errorf("%s: towpath%s: %v", name, m[1], err)
				}
			}
		}
	}
	if found < 5 {
		t.Errorf("found only %d command lines", found)
	}
	for _, c := range withSubcommands(rootCommand()) {
		for line := range strings.Lines(strings.ReplaceAll(c.Example, "\\\n", " ")) {
			for _, m := range lines.FindAllStringSubmatch(strings.TrimSpace(line), -1) {
				if err := accepts(shellWords(m[1])); err != nil {
					t.Errorf("example of %s: towpath%s: %v", c.CommandPath(), m[1], err)
				}
			}
		}
	}
}

// accepts tells why the program would refuse a command line.
func accepts(args []string) error {
	root := rootCommand()
	root.InitDefaultCompletionCmd(args...)
	root.InitDefaultHelpCmd()
	c, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	c.InitDefaultHelpFlag()
	c.InitDefaultVersionFlag()
	if err := c.ParseFlags(rest); err != nil && !errors.Is(err, pflag.ErrHelp) {
		return err
	}
	return c.ValidateArgs(c.Flags().Args())
}

func withSubcommands(c *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{c}
	for _, sub := range c.Commands() {
		all = append(all, withSubcommands(sub)...)
	}
	return all
}

// shellWords splits a line as a shell does, as far as documents need it:
// blanks, and quotes of both kinds.
func shellWords(line string) []string {
	var words []string
	var b strings.Builder
	quote, inside := rune(0), false
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			quote, inside = r, true
		case quote == 0 && r == ' ':
			if inside {
				words = append(words, b.String())
			}
			b.Reset()
			inside = false
		default:
			b.WriteRune(r)
			inside = true
		}
	}
	if inside {
		words = append(words, b.String())
	}
	return words
}

// TestDocumentedSettings reads every configuration that the documents show.
func TestDocumentedSettings(t *testing.T) {
	t.Parallel()
	for name, blocks := range documented(t, "toml") {
		for _, b := range blocks {
			file := filepath.Join(t.TempDir(), "towpath.toml")
			if err := os.WriteFile(file, []byte(b), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := config.Load(config.Sources{File: file}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// TestDocumentedGateways reads every file for a gateway that the documents show.
func TestDocumentedGateways(t *testing.T) {
	t.Parallel()
	for name, blocks := range documented(t, "toml gateway") {
		for _, b := range blocks {
			file := filepath.Join(t.TempDir(), "gateway.toml")
			if err := os.WriteFile(file, []byte(b), 0o600); err != nil {
				t.Fatal(err)
			}
			var v gatewayFlags
			f := pflag.NewFlagSet("gateway", pflag.ContinueOnError)
			v.bind(f)
			if err := f.Parse([]string{"--config", file}); err != nil {
				t.Fatal(err)
			}
			next, err := v.load(f)
			if err == nil {
				g := &gatewayService{}
				_, err = g.options(next)
				err = errors.Join(err, g.close())
			}
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// TestDocumentedAccounts reads every accounts file that the documents show.
func TestDocumentedAccounts(t *testing.T) {
	t.Parallel()
	for name, blocks := range documented(t, "toml accounts") {
		for _, b := range blocks {
			file := filepath.Join(t.TempDir(), "accounts.toml")
			if err := os.WriteFile(file, []byte(b), 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := userfile.Open(file, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			n := 0
			for _, err := range f.List(t.Context()) {
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
				n++
			}
			if n == 0 {
				t.Errorf("%s: no accounts in\n%s", name, b)
			}
		}
	}
}

// TestCompletion has each shell read the script that is made for it.
func TestCompletion(t *testing.T) {
	t.Parallel()
	for _, shell := range []struct {
		name string
		args []string
	}{
		{"bash", []string{"-n"}},
		{"zsh", []string{"-n"}},
		{"fish", []string{"--no-execute"}},
	} {
		t.Run(shell.name, func(t *testing.T) {
			t.Parallel()
			root := rootCommand()
			var script strings.Builder
			root.SetOut(&script)
			root.SetArgs([]string{"completion", shell.name})
			if err := root.Execute(); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(script.String(), "towpath") {
				t.Fatalf("the script is %d bytes and does not name towpath", script.Len())
			}
			program, err := exec.LookPath(shell.name)
			if err != nil {
				t.Skipf("%s is not installed: its completion is made and not read", shell.name)
			}
			file := filepath.Join(t.TempDir(), "completion")
			if err := os.WriteFile(file, []byte(script.String()), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command(program, slices.Concat(shell.args, []string{file})...).CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
