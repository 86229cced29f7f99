package ftp

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReplyAppendTo(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		reply Reply
		want  string
	}{
		{"one line", NewReply(226, "Done."), "226 Done.\r\n"},
		{"no text", NewReply(200, ""), "200 \r\n"},
		{"no lines", Reply{Code: 200}, "200 \r\n"},
		{"a list", NewReply(211, "Features:\n SIZE\n MDTM\nEnd"), "211-Features:\r\n SIZE\r\n MDTM\r\n211 End\r\n"},
		{"an empty line inside", NewReply(220, "a\n\nb"), "220-a\r\n\r\n220 b\r\n"},
		{
			"codes inside are indented",
			NewReply(230, "227 Entering Passive Mode (6,6,6,6,0,22)\n227 Entering Passive Mode (6,6,6,6,0,22)\n230 end\n230 ok"),
			"230-227 Entering Passive Mode (6,6,6,6,0,22)\r\n 227 Entering Passive Mode (6,6,6,6,0,22)\r\n 230 end\r\n230 230 ok\r\n",
		},
		{
			"one reply stays one",
			Reply{550, []string{"a\r\n226 Done.\r\n\x00\x1b\t"}},
			`550 a\x0d\x0a226 Done.\x0d\x0a\x00\x1b\x09` + "\r\n",
		},
		{"bytes of a charset stay", NewReply(257, "\"\xd6\xd0\xff\x9b\""), "257 \"\xd6\xd0\xff\xff\x9b\"\r\n"},
		{"the end of a banner from Windows", NewReply(220, "a\r\nb\r\n"), "220-a\r\n220 b\r\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, string(test.reply.AppendTo(nil))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReplyCodeOutOfRange(t *testing.T) {
	t.Parallel()
	for _, code := range []int{0, 99, 1000, -1} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("AppendTo wrote the code %d", code)
				}
			}()
			NewReply(code, "").AppendTo(nil)
		}()
	}
}

func TestReplyClasses(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]string{
		150: "preliminary positive", 226: "complete positive", 350: "intermediate positive",
		421: "transient", 550: "permanent", 631: "", 0: "",
	} {
		r := Reply{Code: code}
		var is []string
		for _, p := range []struct {
			name string
			true bool
		}{
			{"preliminary", r.Preliminary()},
			{"complete", r.Complete()},
			{"intermediate", r.Intermediate()},
			{"transient", r.Transient()},
			{"permanent", r.Permanent()},
			{"positive", r.Positive()},
		} {
			if p.true {
				is = append(is, p.name)
			}
		}
		if got := strings.Join(is, " "); got != want {
			t.Errorf("%d is %q, want %q", code, got, want)
		}
	}
}

func TestError(t *testing.T) {
	t.Parallel()
	var err error = &Error{Command{"PASS", "hunter2"}, NewReply(530, "Login\x1b incorrect.\nBye.")}
	if got, want := err.Error(), "PASS ****: 530 Login\\x1b incorrect.\nBye."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	err = &Error{Reply: NewReply(421, "Full.")}
	if got, want := err.Error(), "421 Full."; got != want {
		t.Errorf("refused by the greeting: got %q, want %q", got, want)
	}
	if refusal, ok := errors.AsType[*Error](err); !ok || !refusal.Reply.Transient() {
		t.Errorf("errors.AsType finds %v, %v", refusal, ok)
	}
}

func TestReadReply(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, wire string
		want       Reply
	}{
		{"one line", "220 Ready.\r\n", Reply{220, []string{"Ready."}}},
		{"LF alone", "220 Ready.\n", Reply{220, []string{"Ready."}}},
		{"a code and a blank", "200 \r\n", Reply{200, []string{""}}},
		{"a code alone", "200\r\n", Reply{200, []string{""}}},
		{"RFC 959 4.2", "123-First\r\nSecond\r\n 234 numbers\r\n123 Last\r\n", Reply{123, []string{"First", "Second", " 234 numbers", "Last"}}},
		{"vsftpd: FEAT", "211-Features:\r\n EPRT\r\n211 End\r\n", Reply{211, []string{"Features:", " EPRT", "End"}}},
		{"ProFTPD, Pure-FTPd: the code on each line", "220-A\r\n220-B\r\n220 C\r\n", Reply{220, []string{"A", "B", "C"}}},
		{"blank lines inside", "230-A\r\n\r\n230-\r\n230 B\r\n", Reply{230, []string{"A", "", "", "B"}}},
		{"blank lines in front", "\r\n\r\n220 Ready.\r\n", Reply{220, []string{"Ready."}}},
		{"another code inside", "230-A\r\n331 B\r\n226-C\r\n230 D\r\n", Reply{230, []string{"A", "331 B", "226-C", "D"}}},
		{"a 227 in a banner is text", "220-A\r\n227 Entering Passive Mode (1,2,3,4,0,22)\r\n220 B\r\n", Reply{220, []string{"A", "227 Entering Passive Mode (1,2,3,4,0,22)", "B"}}},
		{"a number that is no code", "214-A\r\n2147483648 is 2 GiB\r\n214.\r\n214 B\r\n", Reply{214, []string{"A", "2147483648 is 2 GiB", "214.", "B"}}},
		{"the last line is the code alone", "214-A\r\n214\r\n", Reply{214, []string{"A", ""}}},
		{"RFC 2228", "631 bWFn\r\n", Reply{631, []string{"bWFn"}}},
		{"0xFF doubled", "257 \"\xff\xff\"\r\n", Reply{257, []string{"\"\xff\""}}},
		{"0xFF not doubled", "257 \"\xffa\"\r\n", Reply{257, []string{"\"\xffa\""}}},
		{"longer than a command may be", "257 \"/" + strings.Repeat("x", 2*MaxLine) + "\"\r\n", Reply{257, []string{"\"/" + strings.Repeat("x", 2*MaxLine) + "\""}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := NewReader(strings.NewReader(test.wire + "226 Next.\r\n"))
			got, err := r.ReadReply()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			next, err := r.ReadReply()
			if diff := cmp.Diff(NewReply(226, "Next."), next); diff != "" || err != nil {
				t.Error("next reply:", err, diff)
			}
		})
	}
}

func TestReadReplyRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, wire, want string }{
		{"SSH", "SSH-2.0-OpenSSH_9.2\r\n", "SSH-2.0-OpenSSH_9.2"},
		{"HTTP", "HTTP/1.1 400 Bad Request\r\n", "HTTP/1.1"},
		{"no code", "Ready.\r\n", "Ready."},
		{"two digits", "22 Ready.\r\n", "22 Ready."},
		{"four digits", "2200 Ready.\r\n", "2200 Ready."},
		{"code 099", "099 Ready.\r\n", "from 100 to 699"},
		{"code 700", "700 Ready.\r\n", "from 100 to 699"},
		{"cut", "220-A\r\n22", "unexpected EOF"},
		{"cut between lines", "220-A\r\n", "unexpected EOF"},
		{"one endless line", "220 " + strings.Repeat("x", MaxReply), "too long"},
		{"endless lines", "220-" + strings.Repeat("x\r\n", MaxReply), "too long"},
		{"nothing but blank lines", strings.Repeat("\r\n", MaxReply), "too long"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := NewReader(strings.NewReader(test.wire + "\r\n")).ReadReply()
			if test.name == "cut" || test.name == "cut between lines" {
				_, err = NewReader(strings.NewReader(test.wire)).ReadReply()
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want %q in it", err, test.want)
			}
		})
	}
}

// Any text that is written is one reply when it is read, and no line of it but
// the first and the last can pass for the line of a reply.
func FuzzReply(f *testing.F) {
	f.Add(uint(220), "Ready.")
	f.Add(uint(211), "Features:\n SIZE\n\n227 x\nEnd")
	f.Add(uint(550), "a\r\n226 \xff\x00\xff\xf4")
	f.Fuzz(func(t *testing.T, n uint, text string) {
		want := NewReply(int(100+n%600), text)
		wire := want.AppendTo(nil)
		if len(wire) > MaxReply {
			return
		}
		r := NewReader(bytes.NewReader(wire))
		got, err := r.ReadReply()
		if err != nil {
			t.Fatalf("%q: %v", wire, err)
		}
		if r.Buffered() != 0 {
			t.Fatalf("%q: %d bytes are behind the reply", wire, r.Buffered())
		}
		for i, line := range want.Lines {
			if 0 < i && i < len(want.Lines)-1 && startsWithCode(line) {
				line = " " + line
			}
			want.Lines[i] = strings.ReplaceAll(string(appendText(nil, line)), "\xff\xff", "\xff")
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%q: %s", wire, diff)
		}
		if again := got.AppendTo(nil); !bytes.Equal(again, wire) {
			t.Fatalf("%q was read and written as %q", wire, again)
		}
	})
}

func BenchmarkReplyAppendTo(b *testing.B) {
	for _, r := range []Reply{
		NewReply(226, "Transfer complete."),
		NewReply(211, "Features:\n SIZE\n MDTM\n REST STREAM\n MLST type*;size*;modify*;\nEnd"),
	} {
		b.Run(strings.Fields(r.Lines[0])[0], func(b *testing.B) {
			buf := make([]byte, 0, 512)
			b.ReportAllocs()
			for b.Loop() {
				buf = r.AppendTo(buf[:0])
			}
		})
	}
}
