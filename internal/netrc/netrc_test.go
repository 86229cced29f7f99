package netrc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, in string
		want     []Entry
	}{
		{"empty", "", nil},
		{"one line", "machine h login alice password secret account a", []Entry{
			{Machine: "h", Login: "alice", Password: "secret", HasPassword: true, Account: "a"},
		}},
		{"a line each, CRLF, any order", "machine h\r\n\tpassword secret\r\n\tlogin alice\r\n", []Entry{
			{Machine: "h", Login: "alice", Password: "secret", HasPassword: true},
		}},
		{"default", "machine h login a\ndefault login anonymous password me@here", []Entry{
			{Machine: "h", Login: "a"}, {Login: "anonymous", Password: "me@here", HasPassword: true},
		}},
		{"old words", "machine h user a passwd p port 21", []Entry{{Machine: "h", Login: "a", Password: "p", HasPassword: true}}},
		{"comments", "# mine\n machine h # work\n login a\n#machine i\npassword #p", []Entry{
			{Machine: "h", Login: "a", Password: "#p", HasPassword: true},
		}},
		{"quotes as curl has them", `machine h login "a b" password "\"q\" \\ \n\r\t\x"`, []Entry{
			{Machine: "h", Login: "a b", Password: "\"q\" \\ \n\r\tx", HasPassword: true},
		}},
		{"an empty password is one", `machine h password ""`, []Entry{{Machine: "h", HasPassword: true}}},
		{"quote and backslash inside a word", `machine h login a"b password c\d`, []Entry{
			{Machine: "h", Login: `a"b`, Password: `c\d`, HasPassword: true},
		}},
		{"a value like a keyword", "machine machine login password password login", []Entry{
			{Machine: "machine", Login: "password", Password: "login", HasPassword: true},
		}},
		{"macdef", "machine h login a\nmacdef init\ncd /pub\nmachine x\n\nmachine i\nmacdef last\nls", []Entry{
			{Machine: "h", Login: "a", Macros: []Macro{{"init", []string{"cd /pub", "machine x"}}}},
			{Machine: "i", Macros: []Macro{{"last", []string{"ls"}}}},
		}},
		{"macdef of nobody", "macdef x\nmachine y\n\nmachine h", []Entry{{Machine: "h"}}},
		{"byte order mark", "\ufeffmachine h", []Entry{{Machine: "h"}}},
	} {
		f, err := Parse(tt.in)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if diff := cmp.Diff(tt.want, f.Entries); diff != "" {
			t.Errorf("%s: -want +got\n%s", tt.name, diff)
		}
	}
}

// An error tells the line, and nothing of a password.
func TestParseError(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, want string }{
		{"machine h\nlogin a password my secret\n", "line 2: want machine, default, login"},
		{"\n\nlogin a", "line 3: login before the first machine or default"},
		{"machine h\npassword", "line 2: password is the last word"},
		{"machine h\npassword \"secret\n", "line 2: the closing quote is missing in this line"},
		{"machine h\npassword \"secret", "line 2: the closing quote is missing"},
		{"machine h\npassword \"secret\\", "line 2: the closing quote is missing"},
		{"machine \"\"", "line 1: machine with an empty name"},
		{"machine h\nmacdef m\nx\n\nsecret", "line 5: want machine"},
		{"machine h # x\n# y\nsecret", "line 3: want"},
		{"machine a\x00secret", "line 1: a NUL byte"},
	} {
		_, err := Parse(tt.in)
		if _, ok := errors.AsType[*Error](err); !ok || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %s", tt.in, err, tt.want)
		}
		if strings.Contains(fmt.Sprint(err), "secret") {
			t.Errorf("%q: shown in %v", tt.in, err)
		}
	}
}

func TestLookup(t *testing.T) {
	t.Parallel()
	f, err := Parse(`
		machine h login alice password a
		default login anonymous password d
		machine h login bob password b
		machine i password i
	`)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ host, user, password string }{
		{"h", "", "a"},
		{"H.", "", "a"},
		{"h", "alice", "a"},
		{"h", "bob", "b"},
		{"h", "carol", ""},
		{"i", "carol", "i"},
		{"i", "", "i"},
		{"j", "", "d"},
		{"j", "anonymous", "d"},
		{"j", "alice", ""},
	} {
		e, ok := f.Lookup(tt.host, tt.user)
		if ok != (tt.password != "") || e.Password != tt.password {
			t.Errorf("%s for %q: %v, %q; want %q", tt.host, tt.user, ok, e.Password, tt.password)
		}
	}
	var none *File
	if _, ok := none.Lookup("h", ""); ok {
		t.Error("no file has an entry")
	}
}

func TestHidden(t *testing.T) {
	t.Parallel()
	e := Entry{Machine: "h", Login: "a b", Password: "secret", HasPassword: true, Account: "secret"}
	const want = `machine h login "a b" password **** account ****`
	if got := e.String(); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for _, shown := range []string{fmt.Sprintf("%v %+v %#v", e, e, e), fmt.Sprintf("%+v", File{[]Entry{e}}), e.LogValue().String()} {
		if strings.Contains(shown, "secret") {
			t.Errorf("shown: %s", shown)
		}
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "netrc")
	if _, _, err := Load(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v, want %v", err, fs.ErrNotExist)
	}
	save := func(text string, mode fs.FileMode) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		text string
		mode fs.FileMode
		warn bool
	}{
		{"machine h login alice password secret", 0o600, false},
		{"machine h login alice password secret", 0o644, true},
		{"machine h login alice password secret", 0o640, true},
		{"machine h login alice", 0o644, false},
		{"default login anonymous password me@here", 0o644, false},
	} {
		save(tt.text, tt.mode)
		f, warning, err := Load(path)
		if err != nil || len(f.Entries) != 1 {
			t.Fatalf("%v: %v", f, err)
		}
		if warn := tt.warn && runtime.GOOS != "windows"; warn != (warning != "") {
			t.Errorf("%q with mode %o: warning %q", tt.text, tt.mode, warning)
		}
		if tt.warn && runtime.GOOS != "windows" && !strings.Contains(warning, fmt.Sprintf("mode %o", tt.mode)) {
			t.Errorf("%q does not tell the mode", warning)
		}
	}
	save("machine", 0o600)
	if _, _, err := Load(path); err == nil || !strings.HasPrefix(err.Error(), path+": line 1: ") {
		t.Errorf("%v, want it to tell file and line", err)
	}
	save(strings.Repeat("#\n", maxSize/2+1), 0o600)
	if _, _, err := Load(path); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("%v, want it to tell the size", err)
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	if got := Find(func(string) string { return "/x" }); got != "/x" {
		t.Errorf("%s, want what $NETRC says", got)
	}
	if home, err := os.UserHomeDir(); err == nil {
		if got := Find(func(string) string { return "" }); filepath.Dir(got) != home {
			t.Errorf("%s, want it in %s", got, home)
		}
	}
}

// format is the inverse of Parse.
func format(f *File) string {
	var b strings.Builder
	for _, e := range f.Entries {
		if e.Machine == "" {
			b.WriteString("default\n")
		} else {
			fmt.Fprintf(&b, "machine %s\n", quote(e.Machine))
		}
		for _, v := range []struct {
			keyword, value string
			has            bool
		}{{"login", e.Login, e.Login != ""}, {"password", e.Password, e.HasPassword}, {"account", e.Account, e.Account != ""}} {
			if v.has {
				fmt.Fprintf(&b, "%s %s\n", v.keyword, quote(v.value))
			}
		}
		for _, m := range e.Macros {
			fmt.Fprintf(&b, "macdef %s\n", quote(m.Name))
			for _, l := range m.Lines {
				b.WriteString(l + "\n")
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

func FuzzParse(f *testing.F) {
	f.Add("machine h login \"a b\" password \"\\\"\\n\" account c\n# x\nmacdef init\ncd /\n\ndefault login d")
	f.Fuzz(func(t *testing.T, text string) {
		once, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse(format(once))
		if err != nil {
			t.Fatalf("%q: %v", format(once), err)
		}
		if diff := cmp.Diff(once.Entries, again.Entries); diff != "" {
			t.Errorf("%q: -once +again\n%s", format(once), diff)
		}
	})
}
