package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

const written = `# Places of mine.

old.url = "ftp://old"
# Where we work.
[work] # since 2024
url = "ftps://work/"
  # they need it
[work.flags]
active = "true"

# At home, behind NAT.
["home.lan"]
url = "ftp://home/" # no TLS
flags = { passive = "true" }
# The end.
`

// What else is in the file of bookmarks is not touched, since people write in it.
func TestSpliceBookmarks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		to   bookmark // "" for none
		want string
	}{
		{"work", bookmark{}, strings.Replace(written, "# Where we work.\n[work] # since 2024\nurl = \"ftps://work/\"\n  # they need it\n[work.flags]\nactive = \"true\"\n\n", "", 1)},
		{"old", bookmark{}, strings.Replace(written, "old.url = \"ftp://old\"\n", "", 1)},
		{"home.lan", bookmark{}, strings.Replace(written, "# At home, behind NAT.\n[\"home.lan\"]\nurl = \"ftp://home/\" # no TLS\nflags = { passive = \"true\" }\n", "", 1)},
		{"home.lan", bookmark{URL: "ftp://there/"}, strings.Replace(written, "[\"home.lan\"]\nurl = \"ftp://home/\" # no TLS\nflags = { passive = \"true\" }\n", "['home.lan']\nurl = 'ftp://there/'\n", 1)},
		{"new", bookmark{URL: "ftp://new/"}, written + "\n[new]\nurl = 'ftp://new/'\n"},
	} {
		all, err := parseBookmarks([]byte(written))
		if err != nil {
			t.Fatal(err)
		}
		if all[c.name] = c.to; c.to.URL == "" {
			delete(all, c.name)
		}
		if got, err := spliceBookmarks([]byte(written), c.name, all); err != nil || string(got) != c.want {
			t.Errorf("%s: %v\n%swant\n%s", c.name, err, got, c.want)
		}
	}
}

// A bookmark keeps no password that was not meant to be kept, whatever it is for,
// and shows none. What was written by hand stays, and so does a link to it.
func TestBookmarkFile(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	kept := filepath.Join(home, "kept.toml")
	if err := os.WriteFile(kept, []byte(written), 0o600); err != nil {
		t.Fatal(err)
	}
	folder := home // where os.UserConfigDir has it under the environment below
	if runtime.GOOS == "darwin" {
		folder = filepath.Join(home, "Library", "Application Support")
	}
	file := filepath.Join(folder, "towpath", "bookmarks.toml")
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(kept, file); err != nil {
		t.Skipf("no links here: %v", err)
	}
	run := func(args ...string) string {
		t.Helper()
		c := command(t, "towpath", append([]string{"bookmark"}, args...)...)
		c.Env = append(c.Env, "XDG_CONFIG_HOME="+home, "AppData="+home, "HOME="+home)
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%q: %v\n%s", args, err, out)
		}
		return string(out)
	}
	const secret = "sesame"
	text := func() string {
		t.Helper()
		b, err := os.ReadFile(kept)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for flag, want := range map[string]string{
		"--user=alice:" + secret:                  "--user=alice",
		"--proxy-user=alice:" + secret:            "--proxy-user=alice",
		"--proxy=socks5://alice:" + secret + "@p": "--proxy=socks5://alice@p",
		"--socks5=alice:" + secret + "@p:1080":    "--socks5=alice@p:1080",
	} {
		if out := run("add", "--force", "new", flag, "ftp://h/"); !strings.Contains(out, "not kept") {
			t.Errorf("%s: %s", flag, out)
		}
		if out := run("show", "new"); strings.Contains(text(), secret) || !strings.HasPrefix(text(), written) || !strings.Contains(out, want+"\n") {
			t.Errorf("%s: %s\n%s", flag, out, text())
		}
		if out := run("add", "--force", "--save-password", "new", flag, "ftp://h/"); !strings.Contains(out, "clear text") || !strings.Contains(text(), secret) {
			t.Errorf("%s: %s\n%s", flag, out, text())
		}
		if out := run("list"); strings.Contains(out, secret) || !strings.Contains(out, ":****") {
			t.Errorf("%s: %s", flag, out)
		}
	}
	if run("rm", "new"); text() != written+"\n" && text() != written {
		t.Errorf("behind all\n%s", text())
	}
	if to, err := os.Readlink(file); err != nil || to != kept {
		t.Errorf("the link leads to %q, %v", to, err)
	}
}
