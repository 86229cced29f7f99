package ftp

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseFeatures(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, wire string
		want       Features
	}{
		{
			"RFC 2389", "211-Extensions supported:\r\n MLST type*;size*;\r\n SIZE\r\n REST STREAM\r\n211 END\r\n",
			Features{"MLST": "type*;size*;", "SIZE": "", "REST": "STREAM"},
		},
		{
			"vsftpd: AUTH twice", "211-Features:\r\n AUTH SSL\r\n AUTH TLS\r\n EPRT\r\n211 End\r\n",
			Features{"AUTH": "SSL;TLS", "EPRT": ""},
		},
		{
			"AUTH as a list and again", "211-Features:\r\n AUTH TLS;SSL;\r\n AUTH TLS-C\r\n AUTH\r\n211 End\r\n",
			Features{"AUTH": "TLS;SSL;TLS-C"},
		},
		{"no blank in front", "211-Features:\r\nSIZE\r\n211 End\r\n", Features{"SIZE": ""}},
		{"the code on each line", "211-Features:\r\n211-SIZE\r\n211-MDTM\r\n211 End\r\n", Features{"SIZE": "", "MDTM": ""}},
		{"lower case", "211-features:\r\n mlst Type*;\r\n211 end\r\n", Features{"MLST": "Type*;"}},
		{"empty lines", "211-Features:\r\n\r\n SIZE\r\n \r\n211 End\r\n", Features{"SIZE": ""}},
		{"none", "211 No features.\r\n", Features{}},
		{"none, in two lines", "211-Features:\r\n211 End\r\n", Features{}},
		{"FEAT not known", "500-Unknown\r\n SIZE\r\n500 command.\r\n", Features{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r, err := NewReader(strings.NewReader(test.wire)).ReadReply()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, ParseFeatures(r)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFeatures(t *testing.T) {
	t.Parallel()
	f := ParseFeatures(NewReply(211, "Features:\n MLST type*;\n SIZE\nEnd"))
	if !f.Has("size") || !f.Has("MLST") || f.Has("HASH") {
		t.Errorf("%v: Has is wrong", f)
	}
	if f.Param("mlst") != "type*;" || f.Param("SIZE") != "" || f.Param("HASH") != "" {
		t.Errorf("%v: Param is wrong", f)
	}
	if none := Features(nil); none.Has("SIZE") || none.Param("SIZE") != "" {
		t.Error("the zero value has features")
	}
}
