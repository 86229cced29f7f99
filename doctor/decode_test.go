package doctor_test

import (
	"net/netip"
	"strings"
	"testing"

	"towpath/doctor"
	"towpath/ftp"
)

func TestDecode(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		line    string
		want    string // "opener address port"
		remarks string // their names
	}{
		{"PORT 192,168,10,160,192,245", "server 192.168.10.160 49397", "private"},
		{"port 44,1,1,44,192,245", "server 44.1.1.44 49397", ""},
		{"C: PORT 44,1,1,44,0,21", "server 44.1.1.44 21", "low-port"},
		{"---> PORT 44,1,1,44,192,245\r\n", "server 44.1.1.44 49397", ""},
		{"PORT  44,1,1,44,192,245", "server 44.1.1.44 49397", "form"},
		{"PORT 44,1,1,44, 192, 245", "server 44.1.1.44 49397", "form"},
		{"PORT 44,001,1,44,192,245", "server 44.1.1.44 49397", "form"},
		{"EPRT |1|44.1.1.44|49397|", "server 44.1.1.44 49397", ""},
		{"EPRT |2|fe80::1|49397|", "server fe80::1 49397", "link-local"},
		{"EPRT |2|fd00::1|49397|", "server fd00::1 49397", "private"},
		{"EPRT !1!44.1.1.44!49397!", "server 44.1.1.44 49397", "form"},
		{"|1|44.1.1.44|49397|", "server 44.1.1.44 49397", ""},
		{"LPRT 4,4,44,1,1,44,2,192,245", "server 44.1.1.44 49397", ""},
		{"227 Entering Passive Mode (33,1,1,33,195,80).", "client 33.1.1.33 50000", ""},
		{"< 227 Entering Passive Mode (10,0,0,5,195,80)", "client 10.0.0.5 50000", "private"},
		{"227 Entering Passive Mode. 33,1,1,33,195,80", "client 33.1.1.33 50000", "form"},
		{"227 =33,1,1,33,195,80", "client 33.1.1.33 50000", "form"},
		{"227 ok (33, 1, 1, 33, 195, 80)", "client 33.1.1.33 50000", "form"},
		{"227 Entering Passive Mode (127,0,0,1,195,80)", "client 127.0.0.1 50000", "loopback"},
		{"227 Entering Passive Mode (0,0,0,0,195,80)", "client 0.0.0.0 50000", "unspecified"},
		{"227 Entering Passive Mode (100,64,1,1,195,80)", "client 100.64.1.1 50000", "shared"},
		{"227 Entering Passive Mode (255,255,255,255,195,80)", "client 255.255.255.255 50000", "reserved"},
		{"227 Entering Passive Mode (198,18,0,9,195,80)", "client 198.18.0.9 50000", "reserved"},
		{"EPRT |2|3fff::1|49397|", "server 3fff::1 49397", "example"},
		{"227 Entering Passive Mode (224,0,0,1,0,80)", "client 224.0.0.1 80", "multicast low-port"},
		{"228 Entering Long Passive Mode (4,4,33,1,1,33,2,195,80)", "client 33.1.1.33 50000", ""},
		{"229 Entering Extended Passive Mode (|||6446|)", "client  6446", ""},
		{"229 Entering Extended Passive Mode (|||6446|).", "client  6446", "form"},
		{"229 ok |||6446|", "client  6446", "form"},
		{"229 ok (|1|33.1.1.33|6446|)", "client 33.1.1.33 6446", "form"},
		{"(|||6446|)", "client  6446", ""},
		{"192 245", "  49397", ""},
		{"192,245", "  49397", ""},
		{"33,1,1,33,195,80", " 33.1.1.33 50000", ""},
	} {
		a, err := doctor.Decode(c.line)
		if err != nil {
			t.Errorf("%s: %v", c.line, err)
			continue
		}
		ip := ""
		if a.Address.IsValid() {
			ip = a.Address.String()
		}
		if got := strings.Join([]string{a.Opener, ip, ftp.Escape(portOf(a))}, " "); got != c.want {
			t.Errorf("%s: %q, want %q", c.line, got, c.want)
		}
		var ids []string
		for _, r := range a.Remarks {
			ids = append(ids, r.ID)
		}
		if got := strings.Join(ids, " "); got != c.remarks {
			t.Errorf("%s: remarks %q, want %q", c.line, got, c.remarks)
		}
	}
}

func portOf(a doctor.Announcement) string {
	_, port, _ := strings.Cut(netip.AddrPortFrom(netip.IPv4Unspecified(), a.Port).String(), ":")
	return port
}

// What cannot be read is told with what is wrong.
func TestDecodeUnreadable(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"PORT 192,168,10,160,192":                    "5 numbers; want six",
		"PORT 192,168,10,160,192,245,7":              "7 numbers; want six",
		"PORT 192,168,10,260,192,245":                "260 is no byte of an address; want 0 to 255",
		"PORT 1,2,3,4,1,5000":                        "5000 is no byte of a port; want 0 to 255",
		"PORT 1,2,3,4,0,0":                           "port 0 is none",
		"PORT 192.168.10.160,192,245":                "want six numbers parted by commas",
		"PORT":                                       "want six numbers parted by commas",
		"PORT \x1b[31m":                              `\x1b[31m: want six numbers`,
		"227 Logout.":                                "want six numbers parted by commas",
		"227 Entering Passive Mode (1,2,3,4,5)":      "5 numbers; want six",
		"EPRT |1|1080::8|5282|":                      "want an IPv4 address",
		"EPRT |3|x|5282|":                            "network protocol 3 is not supported",
		"EPRT |1|1.2.3.4|70000|":                     "want a port from 1 to 65535",
		"229 Entering Extended Passive Mode (|||0|)": "want (|||port|) with a port from 1 to 65535",
		"LPRT 6,4,1,2,3,4,2,1,1":                     "LPRT: 6,4,1,2,3,4,2,1,1: want 6,16",
		"PASV":                                       "want the server's 227 that answers it",
		"EPSV ALL":                                   "want the server's 229 that answers it",
		"192 256":                                    "from 0 to 255 each",
		"0,0":                                        "port 0 is none",
		"hello":                                      "no announcement; want a line such as PORT",
		"":                                           "no announcement; want a line such as PORT",
		strings.Repeat("x", 5000):                    "5000 bytes: want one line",
	} {
		if a, err := doctor.Decode(line); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %+v, %v; want an error with %q", line, a, err, want)
		}
	}
}

// FuzzDecode: whatever comes, it is read or refused, and what was read is read
// the same when it is written in the form of the RFCs.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		"PORT 192,168,10,160,192,245", "EPRT |2|::1|21|", "227 =1,2,3,4,5,6", "229 (|||6446|).", "LPRT 4,4,1,2,3,4,2,5,6",
		"228 (4,4,1,2,3,4,2,5,6)", "192 245", "1,2,3,4,5,6", "PORT 1,2,3,4,1,5000", "C: PORT  01, 2,3,4,5,6",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		a, err := doctor.Decode(line)
		if err != nil {
			return
		}
		if a.Port == 0 || a.Means == "" {
			t.Errorf("%q: %+v", line, a)
		}
		again := ""
		at := netip.AddrPortFrom(a.Address, a.Port)
		switch {
		case a.Verb == "PORT":
			again = "PORT " + ftp.FormatHostPort(at)
		case a.Verb == "227":
			again = "227 " + ftp.FormatPassive(at)
		case a.Opener == "server":
			again = "EPRT " + ftp.FormatEPRT(at)
		case a.Opener == "client" && !a.Address.IsValid():
			again = "229 " + ftp.FormatExtendedPassive(a.Port)
		default:
			return
		}
		b, err := doctor.Decode(again)
		if err != nil || b.Address != a.Address || b.Port != a.Port || b.Opener != a.Opener {
			t.Errorf("%q is %+v; %q is %+v, %v", line, a, again, b, err)
		}
	})
}
