package main

import (
	"reflect"
	"strings"
	"testing"

	"towpath/internal/ftpurl"
	"towpath/internal/shell"
)

func TestWithoutSecrets(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"ls -l":                             "ls -l",
		"open ftp://alice:secret@host/pub/": "open ftp://alice@host/pub/",
		"get ftp://a:b@x/1 ftp://a:b@x/2":   "get ftp://a@x/1 ftp://a@x/2",
		"cd x; open ftp://alice:s@h/; ls":   "cd x; open ftp://alice@h/; ls",
		"open 'ftp://alice:secret@host/'":   "",
		"open alice:secret@host":            "",
		"open ftp://alice@host":             "open ftp://alice@host",
		"user alice":                        "user alice",
		"user alice secret":                 "",
		"USER alice secret":                 "",
		"ls; user alice secret":             "",
		"quote PASS secret":                 "",
		"quote site help":                   "quote site help",
		"open --user alice:secret host":     "",
		"open --user=alice:secret host":     "",
		"open --account x host":             "",
		"open --proxy-user me:secret host":  "",
		"alias in 'user alice secret'":      "",
		"!curl ftp://alice:secret@host/":    "",
		"!date":                             "!date",
		`open "ftp://alice:secret@host`:     "",
		"queue user alice secret":           "",
		"bookmark add x ftp://a:b@h/":       "bookmark add x ftp://a@h/",
		"get a@b.txt":                       "get a@b.txt",
	} {
		if got := withoutSecrets(line); got != want {
			t.Errorf("%s: kept as %q, want %q", line, got, want)
		}
	}
}

func FuzzWithoutSecrets(f *testing.F) {
	for _, s := range []string{"", "x y", ";", "'", "\\", "@", "\x00"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		const secret = "Xq7xQ"
		if strings.Contains(before+after, secret) {
			return
		}
		line := before + " open ftp://alice:" + secret + "@host/ " + after
		if got := withoutSecrets(line); strings.Contains(got, secret) {
			commands, err := shell.Parse(line)
			t.Fatalf("%q is kept as %q (%+v, %v)", line, got, commands, err)
		}
	})
}

func TestGuestPath(t *testing.T) {
	t.Parallel()
	g := &guest{at: ftpurl.URL{Host: "h", Path: "/pub/a"}, home: "/home"}
	for name, want := range map[string]string{
		".": "/pub/a/", "..": "/pub", "x": "/pub/a/x", "x/": "/pub/a/x/", "/": "/", "/etc/": "/etc/",
		"../b": "/pub/b", "~": "/home", "~/x": "/home/x", "/../..": "/", "./~": "/pub/a/~",
	} {
		if got := g.path(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	g = &guest{at: ftpurl.URL{Host: "h"}} // a server that does not say where we are
	for name, want := range map[string]string{".": "./", "x/y": "x/y", "..": "..", "/x": "/x"} {
		if got := g.path(name); got != want {
			t.Errorf("at home %s: %s, want %s", name, got, want)
		}
	}
}

// Each name that stands for a verb, and each variable, has what it stands for.
func TestWordsStandForVerbs(t *testing.T) {
	t.Parallel()
	s := &client{root: rootCommand}
	verbs := s.verbs()
	for name, way := range ways {
		c := verbs[way[0]]
		if c == nil {
			t.Errorf("%s: there is no verb %s", name, way[0])
			continue
		}
		if err := c.ParseFlags(way[1:]); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, v := range variables {
		found := v.flag == "" || (&clientFlags{}).set().Lookup(v.flag) != nil
		for _, c := range verbs {
			found = found || v.verb && c.Flags().Lookup(v.flag) != nil
		}
		if !found {
			t.Errorf("set %s: no flag --%s", name, v.flag)
		}
	}
	for name, w := range words() {
		if w.help == "" {
			t.Errorf("%s has no help", name)
		}
	}
}

func FuzzBookmarks(f *testing.F) {
	f.Add("[work]\nurl = 'ftp://a@h/x/'\nflags = { active = 'true', charset = 'latin1' }\n")
	f.Add("[ftp]\nurl = 'ftp://h'")
	f.Add("[x]\nurl = 3")
	f.Add("[x]\nurl = 'ftp://h'\nflags = {}\n")
	f.Fuzz(func(t *testing.T, text string) {
		all, err := parseBookmarks([]byte(text))
		if err != nil {
			return
		}
		written, err := formatBookmarks(all)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseBookmarks(written)
		if err != nil || len(all) > 0 && !reflect.DeepEqual(all, again) {
			t.Fatalf("%q is written %q, which reads %+v, %v, not %+v", text, written, again, err, all)
		}
		for name, b := range again {
			for _, changed := range []bookmark{{}, {URL: "ftp://other"}, b} {
				if all[name] = changed; changed.URL == "" {
					delete(all, name)
				}
				next, err := spliceBookmarks([]byte(text), name, all)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := parseBookmarks(next); err != nil || !reflect.DeepEqual(got, all) {
					t.Fatalf("%q with %s %+v is %q: %+v, %v", text, name, changed, next, got, err)
				}
			}
		}
	})
}
