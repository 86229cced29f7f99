package ftp

import "testing"

func TestUnquote(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, text, want string
		ok               bool
	}{
		{"ProFTPD", `"/a b" is the current directory`, "/a b", true},
		{"vsftpd", `"/" is the current directory`, "/", true},
		{"quotes inside", `"/say ""hi"" now" created`, `/say "hi" now`, true},
		{"a quote at the end", `"/a""" created`, `/a"`, true},
		{"no comment", `"/a"`, "/a", true},
		{"the quotes are not closed", `"/a b`, "/a b", true},
		{"text in front", `cwd is "/a".`, "/a", true},
		{"VMS", `"SYS$SYSDEVICE:[ANONYMOUS]" is current directory.`, "SYS$SYSDEVICE:[ANONYMOUS]", true},
		{"MVS", `"'USER.DATA.'" is the working directory name prefix.`, "'USER.DATA.'", true},
		{"nothing in the quotes", `"" is current directory`, "", true},
		{"no quotes", "/home/anna is current directory", "/home/anna", true},
		{"no quotes and no path", "Current directory unknown", "", false},
		{"nothing", "", "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, ok := Unquote(test.text)
			if ok != test.ok || got != test.want {
				t.Errorf("Unquote(%q) = %q, %v, want %q, %v", test.text, got, ok, test.want, test.ok)
			}
		})
	}
}

func FuzzQuote(f *testing.F) {
	f.Add(`/say "hi"`, " created")
	f.Fuzz(func(t *testing.T, path, comment string) {
		if comment != "" && comment[0] == '"' {
			comment = " " + comment
		}
		if got, ok := Unquote(Quote(path) + comment); got != path || !ok {
			t.Fatalf("Unquote(%q) = %q, %v, want %q", Quote(path)+comment, got, ok, path)
		}
	})
}
