package ftp

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func TestParseHostPort(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"127,0,0,1,4,1":           "127.0.0.1:1025",
		"0,0,0,0,0,1":             "0.0.0.0:1",
		"255,255,255,255,255,255": "255.255.255.255:65535",
		"10,0,0,1,0,22":           "10.0.0.1:22", // low ports are for the server to refuse
	} {
		if got, err := ParseHostPort(s); err != nil || got.String() != want {
			t.Errorf("ParseHostPort(%q) = %v, %v, want %s", s, got, err, want)
		}
	}
}

func TestParseHostPortRefuses(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"", ",", "1,2,3,4,5", "1,2,3,4,5,6,7", "1,2,3,4,5,", ",1,2,3,4,5,6", "1,,3,4,5,6",
		"256,2,3,4,5,6", "1,2,3,4,256,6", "1,2,3,4,1,5000", // the Linux conntrack helper carries 1,5000 over
		"99999999999999999999,2,3,4,5,6", "-1,2,3,4,5,6", "+1,2,3,4,5,6",
		" 1,2,3,4,5,6", "1,2,3,4,5,6 ", "1, 2,3,4,5,6", "1.2.3.4.5.6", "0x7f,0,0,1,4,1",
		"010,0,0,1,4,1", "127,0,0,1,00,22", "1_0,2,3,4,5,6", "١,2,3,4,5,6", "1,2,3,4,0,0",
	} {
		got, err := ParseHostPort(s)
		if err == nil {
			t.Errorf("ParseHostPort(%q) = %v, want an error", s, got)
		} else if !strings.Contains(err.Error(), s) || !strings.Contains(err.Error(), "want") {
			t.Errorf("ParseHostPort(%q): the error %q does not say what it was given and what it wants", s, err)
		}
	}
}

func TestParsePassive(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, text, want string }{
		{"vsftpd, ProFTPD", "Entering Passive Mode (192,168,1,9,195,80).", "192.168.1.9:50000"},
		{"Pure-FTPd", "Entering Passive Mode (192,168,1,9,195,80)", "192.168.1.9:50000"},
		{"pyftpdlib", "Entering passive mode (127,0,0,1,195,80).", "127.0.0.1:50000"},
		{"without parentheses", "Entering Passive Mode 127,0,0,1,195,80", "127.0.0.1:50000"},
		{"behind =: publicfile", "=127,0,0,1,195,80", "127.0.0.1:50000"},
		{"blanks behind the commas", "Entering Passive Mode (127, 0, 0, 1, 195, 80)", "127.0.0.1:50000"},
		{"blanks in front of the commas", "Entering Passive Mode (127 ,0 ,0 ,1 ,195 ,80)", "127.0.0.1:50000"},
		{"zeros in front", "Entering Passive Mode (127,000,000,001,195,080)", "127.0.0.1:50000"},
		{"half a parenthesis", "Entering Passive Mode (127,0,0,1,195,80", "127.0.0.1:50000"},
		{"other numbers in front", "PASV 2 of 10, v1,2: 127,0,0,1,195,80", "127.0.0.1:50000"},
		{"no address: AWS Transfer", "Entering Passive Mode (0,0,0,0,195,80)", "0.0.0.0:50000"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got, err := ParsePassive(test.text); err != nil || got.String() != test.want {
				t.Errorf("ParsePassive(%q) = %v, %v, want %s", test.text, got, err, test.want)
			}
		})
	}
}

func TestParsePassiveRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"",
		"Entering Passive Mode",
		"Logout.", // Pure-FTPd said 227 to that
		"Entering Passive Mode (127,0,0,1,195)",
		"Entering Passive Mode (127,0,0,1,195,80,1)",
		"Entering Passive Mode (127,0,0,1,1,5000)",
		"Entering Passive Mode (1270,0,0,1,195,80)",
		"Entering Passive Mode (127,0,0,1,0,0)",
		"Entering Passive Mode (-127,-0,0,1,195,80)",
		"Entering Passive Mode (127.0.0.1.195.80)",
	} {
		if got, err := ParsePassive(text); err == nil {
			t.Errorf("ParsePassive(%q) = %v, want an error", text, got)
		} else if !strings.Contains(err.Error(), text) {
			t.Errorf("ParsePassive(%q): the error %q does not show the text", text, err)
		}
	}
}

func TestParseEPRT(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"|1|132.235.1.2|6275|":           "132.235.1.2:6275",
		"|2|1080::8:800:200C:417A|5282|": "[1080::8:800:200c:417a]:5282",
		"|2|::1|1|":                      "[::1]:1",
		"!1!10.0.0.1!65535!":             "10.0.0.1:65535",
		":1:10.0.0.1:21:":                "10.0.0.1:21",
		"x1x10.0.0.1x21x":                "10.0.0.1:21",
		"|2|64:ff9b::192.0.2.1|5000|":    "[64:ff9b::c000:201]:5000",
	} {
		if got, err := ParseEPRT(s); err != nil || got.String() != want {
			t.Errorf("ParseEPRT(%q) = %v, %v, want %s", s, got, err, want)
		}
	}
}

func TestParseEPRTRefuses(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"", "|", "||", "|1|10.0.0.1|21", "1|10.0.0.1|21|", "|1|10.0.0.1|21|x|", "|1|10.0.0.1|21||", " |1|10.0.0.1|21|",
		"||10.0.0.1|21|", "|x|10.0.0.1|21|", "|+1|10.0.0.1|21|",
		"|1|::1|21|", "|2|10.0.0.1|21|", "|2|::ffff:10.0.0.1|21|", "|2|fe80::1%eth0|21|", "|2|[::1]|21|",
		"|1|localhost|21|", "|1|10.0.0.01|21|", "|1|10.0.1|21|", "|1||21|",
		"|1|10.0.0.1|0|", "|1|10.0.0.1|65536|", "|1|10.0.0.1||", "|1|10.0.0.1|021|", "|1|10.0.0.1|-1|", "|1|10.0.0.1| 21|",
		"\x00" + "1\x0010.0.0.1\x0021\x00", "é1é10.0.0.1é21é", "91910.0.0.192191",
	} {
		if got, err := ParseEPRT(s); err == nil {
			t.Errorf("ParseEPRT(%q) = %v, want an error", s, got)
		} else if !strings.Contains(err.Error(), "want") {
			t.Errorf("ParseEPRT(%q): the error %q does not say what it wants", s, err)
		}
	}
}

func TestUnsupportedFamily(t *testing.T) {
	t.Parallel()
	for _, parse := range []func() error{
		func() error { _, err := ParseEPRT("|3|x.25|99999|"); return err },
		func() error { _, err := ParseLongPort("3,1,1,2,4,1"); return err },
	} {
		err := parse()
		family, ok := errors.AsType[*UnsupportedFamilyError](err)
		if !ok || family.Family != "3" || !strings.Contains(err.Error(), "3") {
			t.Errorf("got %v, want an UnsupportedFamilyError of family 3", err)
		}
	}
}

func TestParseExtendedPassive(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, text, want string }{
		{"RFC 2428", "Entering Extended Passive Mode (|||6446|)", "invalid AddrPort"},
		{"vsftpd up to 3.0.2: final period", "Entering Extended Passive Mode (|||6446|).", "invalid AddrPort"},
		{"another separator", "Entering Extended Passive Mode (!!!6446!)", "invalid AddrPort"},
		{"no parentheses", "Extended passive: |||6446|", "invalid AddrPort"},
		{"text in front", "I am in a good mood, v1.2.3 - try (|||6446|) now", "invalid AddrPort"},
		{"family alone", "Entering Extended Passive Mode (|1||6446|)", "invalid AddrPort"},
		{"filled in", "Entering Extended Passive Mode (|1|192.0.2.1|6446|)", "192.0.2.1:6446"},
		{"filled in, IPv6", "Entering Extended Passive Mode (|2|2001:db8::1|6446|)", "[2001:db8::1]:6446"},
		{"filled in, no family", "Entering Extended Passive Mode (||192.0.2.1|6446|)", "192.0.2.1:6446"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseExtendedPassive(test.text)
			if err != nil || got.String() != test.want || got.Port() != 6446 {
				t.Errorf("ParseExtendedPassive(%q) = %v port %d, %v, want %s port 6446", test.text, got, got.Port(), err, test.want)
			}
		})
	}
}

func TestParseExtendedPassiveRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "Entering Extended Passive Mode", "Entering Extended Passive Mode ()",
		"Entering Extended Passive Mode (|||0|)", "Entering Extended Passive Mode (|||65536|)",
		"Entering Extended Passive Mode (||||)", "Entering Extended Passive Mode (||6446|)",
		"Entering Extended Passive Mode (|||6446)", "Entering Extended Passive Mode (|||-1|)",
		"Entering Extended Passive Mode (|1|ftp.example.com|6446|)",
		"Entering Extended Passive Mode (aaa6446a)", "(|!|6446|)",
	} {
		if got, err := ParseExtendedPassive(text); err == nil {
			t.Errorf("ParseExtendedPassive(%q) = %v, want an error", text, got)
		} else if !strings.Contains(err.Error(), text) {
			t.Errorf("ParseExtendedPassive(%q): the error %q does not show the text", text, err)
		}
	}
}

func TestParseLongPort(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"4,4,127,0,0,1,2,4,1":                            "127.0.0.1:1025",
		"6,16,32,1,13,184,0,0,0,0,0,0,0,0,0,0,0,1,2,4,1": "[2001:db8::1]:1025",
	} {
		if got, err := ParseLongPort(s); err != nil || got.String() != want {
			t.Errorf("ParseLongPort(%q) = %v, %v, want %s", s, got, err, want)
		}
	}
	for _, s := range []string{
		"", "4", "4,4", "4,4,127,0,0,1,2,4", "4,4,127,0,0,1,2,4,1,1", "4,16,127,0,0,1,2,4,1", "4,4,127,0,0,1,3,4,1",
		"4,4,127,0,0,1,2,0,0", "4,4,127,0,0,256,2,4,1", "6,4,127,0,0,1,2,4,1", "04,4,127,0,0,1,2,4,1",
		"6,16,0,0,0,0,0,0,0,0,0,0,255,255,127,0,0,1,2,4,1",
	} {
		if got, err := ParseLongPort(s); err == nil {
			t.Errorf("ParseLongPort(%q) = %v, want an error", s, got)
		}
	}
}

// The texts that NAT devices and clients read character by character.
func TestFormatAnnouncements(t *testing.T) {
	t.Parallel()
	v4, v6 := netip.MustParseAddrPort("192.168.1.9:50000"), netip.MustParseAddrPort("[fe80::1%eth0]:50000")
	mapped := netip.AddrPortFrom(netip.MustParseAddr("::ffff:192.168.1.9"), 50000)
	for _, test := range [][2]string{
		{FormatPassive(v4), "Entering Passive Mode (192,168,1,9,195,80)."},
		{FormatPassive(mapped), "Entering Passive Mode (192,168,1,9,195,80)."},
		{FormatExtendedPassive(6446), "Entering Extended Passive Mode (|||6446|)"},
		{FormatHostPort(mapped), "192,168,1,9,195,80"},
		{FormatEPRT(mapped), "|1|192.168.1.9|50000|"},
		{FormatEPRT(v6), "|2|fe80::1|50000|"},
		{FormatLongPort(mapped), "4,4,192,168,1,9,2,195,80"},
		{FormatLongPort(v6), "6,16,254,128,0,0,0,0,0,0,0,0,0,0,0,0,0,1,2,195,80"},
	} {
		if test[0] != test[1] {
			t.Errorf("got %q, want %q", test[0], test[1])
		}
	}
}

// What is parsed is written as it was, and nothing but the wire's own form is parsed.
func FuzzHostPort(f *testing.F) {
	f.Add("127,0,0,1,4,1")
	f.Add("010,0,0,1,4,1")
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseHostPort(s)
		if err != nil {
			return
		}
		if got := FormatHostPort(a); got != s {
			t.Fatalf("%q was read as %v and written as %q", s, a, got)
		}
		if got, err := ParsePassive(FormatPassive(a)); got != a || err != nil {
			t.Fatalf("%q is %v, %v, want %v", FormatPassive(a), got, err, a)
		}
	})
}

func FuzzPassive(f *testing.F) {
	f.Add("Entering Passive Mode (127, 0, 0, 001, 4, 1)")
	f.Add("=127,0,0,1,4,1")
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ParsePassive(text)
		if err != nil {
			return
		}
		if got, err := ParsePassive(FormatPassive(a)); got != a || err != nil {
			t.Fatalf("%q is %v, %v, want %v", FormatPassive(a), got, err, a)
		}
	})
}

func FuzzEPRT(f *testing.F) {
	f.Add("|1|132.235.1.2|6275|")
	f.Add("|2|1080::8:800:200C:417A|5282|")
	f.Add("|3|x|1|")
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseEPRT(s)
		if err != nil {
			return
		}
		if got, err := ParseEPRT(FormatEPRT(a)); got != a || err != nil {
			t.Fatalf("%q is %v, %v, want %v", FormatEPRT(a), got, err, a)
		}
		if got, err := ParseLongPort(FormatLongPort(a)); got != a || err != nil {
			t.Fatalf("%q is %v, %v, want %v", FormatLongPort(a), got, err, a)
		}
	})
}

func FuzzExtendedPassive(f *testing.F) {
	f.Add("Entering Extended Passive Mode (|||6446|)")
	f.Add("(|2|::1|6446|).")
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ParseExtendedPassive(text)
		if err != nil {
			return
		}
		want := netip.AddrPortFrom(netip.Addr{}, a.Port())
		if got, err := ParseExtendedPassive(FormatExtendedPassive(a.Port())); got != want || err != nil {
			t.Fatalf("%q is %v, %v, want %v", FormatExtendedPassive(a.Port()), got, err, want)
		}
	})
}

func FuzzLongPort(f *testing.F) {
	f.Add("4,4,127,0,0,1,2,4,1")
	f.Add("6,16,32,1,13,184,0,0,0,0,0,0,0,0,0,0,0,1,2,4,1")
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseLongPort(s)
		if err != nil {
			return
		}
		if got := FormatLongPort(a); got != s {
			t.Fatalf("%q was read as %v and written as %q", s, a, got)
		}
	})
}
