package main

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"towpath/internal/exitcode"
	"towpath/internal/ftpurl"
)

func TestWriteOut(t *testing.T) {
	t.Parallel()
	u, err := ftpurl.Parse("ftp://ftp.example.org/sea.iso")
	if err != nil {
		t.Fatal(err)
	}
	good := outcome{url: u, num: 1, file: "sea.iso", moved: 3000, took: 1500 * time.Millisecond}
	bad := good
	bad.err = exitcode.With(exitcode.NotFound, errors.New("no\nsuch file"))
	up := good
	up.up = true
	for _, test := range []struct {
		format string
		o      outcome
		want   string // on standard output, then on standard error
	}{
		{"%{size_download} %{speed_download} %{time_total}\\n", good, "3000 2000 1.500000\n|"},
		{"%{size_download} %{size_upload}", up, "0 3000|"},
		{"%{urlnum} %{scheme} %{filename_effective} %{url}", good, "1 ftp sea.iso ftp://ftp.example.org/sea.iso|"},
		{"%{exitcode} %{errormsg}", bad, `78 no\x0asuch file|`},
		{"a%{onerror}b", good, "a|"},
		{"a%{onerror}b", bad, "ab|"},
		{"a%{stderr}b%{stdout}c", good, "ac|b"},
		{`100%% \t\r\\ \q %`, good, "100% \t\r\\\\ \\q %|"},
		{"%{json}", good, `{"errormsg":"","exitcode":0,"filename_effective":"sea.iso","scheme":"ftp","size_download":3000,"size_upload":0,` +
			`"speed_download":2000,"speed_upload":0,"time_total":1.500000,"url":"ftp://ftp.example.org/sea.iso","url_effective":"ftp://ftp.example.org/sea.iso","urlnum":1}|`},
		{"@-", good, "from a file 3000|"},
	} {
		w, err := parseWriteOut(test.format, strings.NewReader("from a file %{size_download}"))
		var stdout, stderr bytes.Buffer
		if err == nil {
			err = w.write(&stdout, &stderr, test.o)
		}
		if got := stdout.String() + "|" + stderr.String(); err != nil || got != test.want {
			t.Errorf("%s: %q, %v; want %q", test.format, got, err, test.want)
		}
	}
	for _, wrong := range []string{"%{time_namelookup}", "%{url", "@/nowhere/at/all"} {
		if _, err := parseWriteOut(wrong, nil); err == nil {
			t.Errorf("%s was taken", wrong)
		}
	}
}

// FuzzWriteOut: text without a sign of its own stays as it is, and every other
// format is refused or can be written.
func FuzzWriteOut(f *testing.F) {
	for _, s := range []string{"", "%{url}\\n", "%%", "%{json}%{onerror}", "\\", "%{"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, format string) {
		if strings.HasPrefix(format, "@") {
			return // a file
		}
		w, err := parseWriteOut(format, nil)
		if err != nil {
			if exitcode.Of(err) != exitcode.Usage {
				t.Errorf("%v is no misuse", err)
			}
			return
		}
		var out bytes.Buffer
		if err := w.write(&out, io.Discard, outcome{}); err != nil {
			t.Error(err)
		}
		if !strings.ContainsAny(format, `%\`) && out.String() != format {
			t.Errorf("%q became %q", format, out.String())
		}
	})
}
