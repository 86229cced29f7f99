package ftp

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

func TestParseCommand(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, line string
		want       Command
	}{
		{"no argument", "NOOP", Command{Verb: "NOOP"}},
		{"lower case: Windows Explorer", "opts utf8 on", Command{"OPTS", "utf8 on"}},
		{"a blank and no more: rclone, LIST", "LIST ", Command{Verb: "LIST"}},
		{"blanks are of the name", "RETR  a b ", Command{"RETR", " a b "}},
		{"a name in GBK", "CWD \xd6\xd0\xce\xc4", Command{"CWD", "\xd6\xd0\xce\xc4"}},
		{"control bytes are of the name", "DELE a\tb\x7f", Command{"DELE", "a\tb\x7f"}},
		{"PASV of vsftpd behind NATs that tamper", "P@SW", Command{Verb: "P@SW"}},
		{"digits", "XSHA512 f", Command{"XSHA512", "f"}},
		{"HTTP: the server must see the verb to close", "GET / HTTP/1.1", Command{"GET", "/ HTTP/1.1"}},
		{"sixteen letters", "ABCDEFGHIJKLMNOP x", Command{"ABCDEFGHIJKLMNOP", "x"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseCommand(test.line)
			if err != nil || got != test.want {
				t.Errorf("ParseCommand(%q) = %#v, %v, want %#v", test.line, got, err, test.want)
			}
		})
	}
}

func TestParseCommandRefuses(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]error{
		"":                     ErrEmpty,
		" NOOP":                ErrVerb,
		" ":                    ErrVerb,
		"RETR\tx":              ErrVerb,
		"ABCDEFGHIJKLMNOPQ":    ErrVerb,
		"\x16\x03\x01\x02":     ErrVerb,
		"ÄBOR":                 ErrVerb,
		"DELE a\rDELE b":       ErrLine,
		"DELE a\nDELE b":       ErrLine,
		"DELE a\x00":           ErrLine,
		"\x16\x03\x01\x00\x01": ErrLine,
	} {
		if c, err := ParseCommand(line); !errors.Is(err, want) {
			t.Errorf("ParseCommand(%q) = %v, %v, want %v", line, c, err, want)
		}
	}
}

func TestEncode(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		command Command
		want    string
		err     error
	}{
		{Command{Verb: "QUIT"}, "QUIT\r\n", nil},
		{Command{"RETR", " a "}, "RETR  a \r\n", nil},
		{Command{"RETR", "\xff\xfe\xff"}, "RETR \xff\xff\xfe\xff\xff\r\n", nil},
		{Command{"DELE", "x\r\nDELE precious"}, "", ErrLine}, // secsy/goftp sent two commands
		{Command{"DELE", "x\nDELE precious"}, "", ErrLine},
		{Command{"DELE", "x\x00"}, "", ErrLine},
		{Command{"NOOP\r\nDELE", "x"}, "", ErrLine},
		{Command{"", "x"}, "", ErrVerb},
		{Command{"SITE CHMOD", "x"}, "", ErrVerb},
		{Command{"RETR", strings.Repeat("x", MaxLine-5)}, "RETR " + strings.Repeat("x", MaxLine-5) + "\r\n", nil},
		{Command{"RETR", strings.Repeat("x", MaxLine-4)}, "", ErrTooLong},
	} {
		got, err := test.command.Encode()
		if string(got) != test.want || !errors.Is(err, test.err) {
			t.Errorf("%.40q.Encode() = %.40q, %v, want %.40q, %v", test.command, got, err, test.want, test.err)
		}
	}
}

func TestCommandHidesSecrets(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		command Command
		want    string
	}{
		{Command{"USER", "anna"}, "USER anna"},
		{Command{"PASS", "hunter2"}, "PASS ****"},
		{Command{"ACCT", "hunter2"}, "ACCT ****"},
		{Command{"ADAT", "aHVudGVyMg=="}, "ADAT ****"},
		{Command{"PSAS", "hunter2"}, "PSAS ****"},
		{Command{"pass", "hunter2"}, "pass ****"},
		{Command{Verb: "FROB"}, "FROB"},
		{Command{"SITE", "CHMOD 644 a"}, "SITE CHMOD 644 a"},
		{Command{"SITE", "PSWD old new"}, "SITE PSWD ****"},
		{Command{"SITE", "  pswd old new"}, "SITE pswd ****"},
		{Command{"SITE", "GPASS secret"}, "SITE GPASS ****"},
		{Command{"SITE", "ADDUSER bob secret"}, "SITE ADDUSER ****"}, // Serv-U, glftpd
		{Command{"SITE", "CHMOD 644 sea.txt"}, "SITE CHMOD 644 sea.txt"},
		{Command{"SITE", "HELP"}, "SITE HELP"},
		{Command{"RETR", "a\x1b[2J\r\nb"}, `RETR a\x1b[2J\x0d\x0ab`},
		{Command{"RETR", "日本\xff"}, `RETR 日本\xff`},
	} {
		if got := test.command.String(); got != test.want {
			t.Errorf("%q.String() = %q, want %q", fields(test.command), got, test.want)
		}
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("said", "command", test.command)
		if strings.Contains(log.String(), "hunter2") || strings.Contains(log.String(), "secret") {
			t.Errorf("the log shows a secret: %s", &log)
		}
	}
}

func fields(c Command) []string { return []string{c.Verb, c.Arg} }

func TestEscape(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"":               "",
		"plain text":     "plain text",
		"日本語 я":          "日本語 я",
		"\uFFFD":         "\uFFFD",
		"a\tb\r\nc\x00":  `a\x09b\x0d\x0ac\x00`,
		"\x7f":           `\x7f`,
		"\u0085x":        `\xc2\x85x`, // NEL, a C1 control character
		"\xff\xfe":       `\xff\xfe`,
		"\xe6\x97":       `\xe6\x97`, // cut short
		`back\slash`:     `back\slash`,
		"\u00a0no-break": "\u00a0no-break",
		"end\x1b":        `end\x1b`,
	} {
		if got := Escape(s); got != want {
			t.Errorf("Escape(%q) = %q, want %q", s, got, want)
		}
	}
}

// Whatever is parsed can be sent, and is the same command when it arrives.
func FuzzCommand(f *testing.F) {
	for _, line := range []string{"NOOP", "retr  a b ", "CWD \xff\xd6", "P@SW", "x\ry", "", " "} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		c, err := ParseCommand(line)
		if err != nil {
			return
		}
		wire, err := c.Encode()
		if err != nil {
			if errors.Is(err, ErrTooLong) && len(line)+1 >= MaxLine {
				return
			}
			t.Fatalf("ParseCommand(%q) = %q, which Encode refuses: %v", line, fields(c), err)
		}
		got, err := NewReader(bytes.NewReader(wire)).ReadCommand()
		if err != nil || got != c {
			t.Fatalf("sent %q as %q, read %q, %v", fields(c), wire, fields(got), err)
		}
		if s := c.String(); Escape(s) != s {
			t.Fatalf("String() = %q shows control bytes", s)
		}
	})
}
