package foreign

import (
	"bytes"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"towpath/internal/config"
)

var update = flag.Bool("update", false, "write golden files anew")

// imported writes m, and loads what it wrote.
func imported(t *testing.T, m *Import) (string, *config.Settings) {
	t.Helper()
	var b bytes.Buffer
	if err := m.WriteTOML(&b); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "towpath.toml")
	if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := config.Load(config.Sources{File: name})
	if err != nil {
		t.Fatalf("what was written does not load: %v\n%s", err, &b)
	}
	return b.String(), s
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for name, server := range map[string]Server{
		"vsftpd.conf": Vsftpd, "vsftpd-implicit.conf": Vsftpd, "proftpd.conf": ProFTPD,
		"pure-ftpd.conf": PureFTPd, "pure-ftpd.d": PureFTPd, "pure-ftpd.args": PureFTPd,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := Read(filepath.Join("testdata", name), "")
			if err != nil {
				t.Fatal(err)
			}
			if m.Server != server {
				t.Errorf("taken for one of %s", m.Server)
			}
			got, s := imported(t, m)
			if _, err := s.ServerOptions(); err != nil {
				t.Errorf("a server does not start with it: %v", err)
			}
			got = strings.ReplaceAll(got, "testdata"+string(filepath.Separator), "testdata/")
			golden := filepath.Join("testdata", name+".toml")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Every option that a table names is carried over or spoken of in some value,
// unless it stands as Towpath would do anyway.
func TestTables(t *testing.T) {
	t.Parallel()
	for name, o := range vsftpdOptions {
		if (o.carry == nil) == (o.why == "") || !strings.Contains("bns", string(o.kind)) {
			t.Errorf("vsftpd %s: kind %q, carry and why are both there or both not", name, o.kind)
		}
		if _, err := o.read(o.std); err != nil {
			t.Errorf("vsftpd %s: its default: %v", name, err)
		}
	}
	for _, name := range strings.Fields(`pasv_enable port_enable connect_from_port_20 pasv_min_port pasv_max_port
		pasv_address pasv_promiscuous port_promiscuous pasv_addr_resolve listen listen_ipv6 listen_port
		listen_address anonymous_enable local_enable write_enable local_root chroot_local_user max_clients
		max_per_ip idle_session_timeout data_connection_timeout accept_timeout connect_timeout anon_max_rate
		local_max_rate banner_file ftpd_banner ssl_enable rsa_cert_file rsa_private_key_file
		force_local_logins_ssl force_local_data_ssl implicit_ssl require_ssl_reuse userlist_enable
		userlist_deny userlist_file xferlog_enable xferlog_file xferlog_std_format use_localtime hide_ids`) {
		if _, ok := vsftpdOptions[name]; !ok {
			t.Errorf("vsftpd %s is not known", name)
		}
	}
	for name, d := range proftpdDirectives {
		if (d.carry == nil) == (d.why == "") || name != strings.ToLower(name) {
			t.Errorf("proftpd %s: carry and why are both there or both not, or the name has capitals", name)
		}
	}
	letters := map[byte]string{}
	for name, s := range pureftpdSettings {
		if (s.carry == nil) == (s.why == "") || name != strings.ToLower(name) {
			t.Errorf("pure-ftpd %s: carry and why are both there or both not, or the name has capitals", name)
		}
		if before := letters[s.short]; before != "" && s.short != 0 {
			t.Errorf("pure-ftpd -%c is %s and %s", s.short, before, name)
		}
		letters[s.short] = name
	}
}

func TestVsftpd(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, text string
		key, want  string // a line of the result; key "" means a note
	}{
		{"range turned round, both named", "pasv_min_port=50100\npasv_max_port=50000", "", "pasv_max_port=50000 is below pasv_min_port=50100"},
		{"range turned round, as meant", "pasv_min_port=50100\npasv_max_port=50000", "passive.ports", `ports = "50000-50100"`},
		{"name without resolving", "pasv_address=ftp.example.org", "", "pasv_addr_resolve=NO"},
		{"private address", "pasv_address=10.0.0.1", "", "10.0.0.1 is private"},
		{"default: nobody writes", "", "read_only", "read_only = true"},
		{"default: anybody enters", "", "anonymous", "anonymous = true"},
		{"IPv4 alone", "listen=YES", "listen", `listen = ["0.0.0.0:21"]`},
		{"IPv6 and IPv4", "listen_ipv6=YES\nlisten_port=2121", "listen", `listen = [":2121"]`},
		{"implicit TLS", "listen=YES\nssl_enable=YES\nimplicit_ssl=YES\nlisten_port=990", "tls.implicit", `implicit = "0.0.0.0:990"`},
		{"implicit TLS alone", "listen=YES\nssl_enable=YES\nimplicit_ssl=YES\nlisten_port=990", "listen", "listen = []"},
		{"port 20", "connect_from_port_20=YES", "active.port", "port = 20"},
		{"decimal umask", "local_umask=22", "", "as a decimal number, the umask 026"},
		{"octal umask", "local_umask=022", "files.umask", `umask = "022"`},
		{"blanks", "max_clients = 5", "", "no blanks around the ="},
		{"blanks are read over", "max_clients = 5", "limits.max_sessions", "max_sessions = 5"},
		{"trailing carriage return", "max_clients=5\r\n", "limits.max_sessions", "max_sessions = 5"},
		{"twice", "max_clients=5\nmax_clients=6", "limits.max_sessions", "max_sessions = 6"},
		{"twice is told", "max_clients=5\nmax_clients=6", "", "set twice, before in line 1"},
		{"no option", "max_client=5", "", "max_client is not an option"},
		{"neither YES nor NO", "listen=maybe", "", `"maybe" is neither YES nor NO`},
		{"no number", "max_clients=many", "", `"many" is not a number`},
		{"SSL 2", "ssl_sslv2=YES", "", "SSL 2 protects nothing"},
		{"writable home", "chroot_local_user=YES\nwrite_enable=YES", "", "500 OOPS"},
		{"Latin-1", "ftpd_banner=Gr\xfc\xdfe", "banner", `banner = "Grüße"`},
		{"banner file overrides", "ftpd_banner=x\nbanner_file=/etc/issue", "banner_file", `banner_file = "/etc/issue"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := readVsftpd(source{"vsftpd.conf", utf8Text([]byte(tt.text))})
			expect(t, m, tt.key, tt.want)
			imported(t, m)
		})
	}
}

func TestProFTPD(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, text, key, want string }{
		{"range turned round", "PassivePorts 50100 50000", "", "50000, is below the first, 50100"},
		{"range turned round, as meant", "PassivePorts 50100 50000", "passive.ports", `ports = "50000-50100"`},
		{"address for TLS first", "MasqueradeAddress 203.0.113.7\nTLSMasqueradeAddress 203.0.113.8", "passive.external", `external = ["tls=203.0.113.8", "203.0.113.7"]`},
		{"global section", "<Global>\nMaxClientsPerHost 3\n</Global>", "limits.max_per_address", "max_per_address = 3"},
		{"implicit TLS", "Port 990\nTLSEngine on\nTLSRSACertificateFile a.pem\nTLSOptions UseImplicitSSL", "tls.implicit", `implicit = ":990"`},
		{"implicit TLS without certificate", "Port 990\nTLSEngine on\nTLSOptions UseImplicitSSL", "listen", `listen = [":990"]`},
		{"no certificate", "TLSEngine on", "", "there is no certificate"},
		{"writing denied", "<Limit WRITE>\nDenyAll\n</Limit>", "read_only", "read_only = true"},
		{"writing denied to some", "<Directory /x>\n<Limit WRITE>\nDenyAll\n</Limit>\n</Directory>", "", "in <limit WRITE>"},
		{"anonymous upload", "<Anonymous /srv>\n<Limit STOR>\nAllowAll\n</Limit>\n</Anonymous>", "", "anybody could change files here"},
		{"part of writing denied", "<Limit STOR>\nDenyAll\n</Limit>", "", "in <limit STOR>"},
		{"login limited", "<Anonymous /srv>\n<Limit LOGIN>\nDenyAll\n</Limit>\n</Anonymous>", "", "in <limit LOGIN>"},
		{"virtual host", "<VirtualHost 10.0.0.1>\nPort 22\n</VirtualHost>", "listen", `listen = [":21"]`},
		{"line that goes on", "ServerIdent on \\\n  \"Ahoy\"", "banner", `banner = "Ahoy"`},
		{"quote not closed", `ServerName "The`, "", "opened and not closed"},
		{"section not closed", "<Global>\nPort 2121", "", "never closed"},
		{"section not opened", "</Global>", "", "is not open"},
		{"time in parts", "TimeoutIdle 0:10:00", "limits.idle_timeout", `idle_timeout = "600s"`},
		{"no value", "PassivePorts", "", "has no value"},
		{"include that is not there", "Include none.conf", "", "file does not exist"},
		{"rate", "TransferRate RETR 2", "limits.download_rate", `download_rate = "2048"`},
		{"charset", "UseEncoding UTF-8 Shift_JIS", "files.charset", `charset = "Shift_JIS"`},
		{"foreign", "AllowForeignAddress on", "", "wanted for FXP alone"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := readProFTPD(source{"proftpd.conf", tt.text}, nothing)
			expect(t, m, tt.key, tt.want)
			imported(t, m)
		})
	}
}

// nothing is to be included.
func nothing(pattern string) ([]source, error) {
	return nil, &fs.PathError{Op: "open", Path: pattern, Err: fs.ErrNotExist}
}

func TestIncludeInCircles(t *testing.T) {
	t.Parallel()
	again := func(pattern string) ([]source, error) {
		return []source{{pattern, "Include a\nInclude b\nMaxInstances 9\n"}}, nil
	}
	m := readProFTPD(source{"a", "Include b"}, again)
	expect(t, m, "", "included by itself")
	expect(t, m, "limits.max_sessions", "max_sessions = 9")
}

func TestPureFTPd(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, text, key, want string }{
		{"range turned round", "PassivePortRange 50100 50000", "", "50000, is below the first, 50100"},
		{"range of the command line", "-p 30000:50000", "passive.ports", `ports = "30000-50000"`},
		{"value within the word", "-p30000:50000", "passive.ports", `ports = "30000-50000"`},
		{"letters together", "-AEc 5", "limits.max_sessions", "max_sessions = 5"},
		{"value behind an equal sign", "pure-ftpd --maxclientsnumber=5", "limits.max_sessions", "max_sessions = 5"},
		{"value in the next word", "pure-ftpd --maxclientsnumber 5", "limits.max_sessions", "max_sessions = 5"},
		{"no value", "-c", "", "its value is not there"},
		{"no such flag", "-!", "", "is not a flag"},
		{"no such setting", "MaxIdleTimes 3", "", "MaxIdleTimes is not a setting"},
		{"minutes", "MaxIdleTime 15", "limits.idle_timeout", `idle_timeout = "15m"`},
		{"port alone", "Bind 2121", "listen", `listen = [":2121"]`},
		{"address alone", "Bind 192.0.2.1", "listen", `listen = ["192.0.2.1:21"]`},
		{"IPv6 address", "Bind ::1,2121", "listen", `listen = ["[::1]:2121"]`},
		{"default: anybody enters", "", "anonymous", "anonymous = true"},
		{"nobody without a name", "NoAnonymous yes", "anonymous", "anonymous = false"},
		{"TLS demanded", "TLS 3", "tls.require", "require = true"},
		{"TLS allowed", "TLS 1", "tls.cert", `cert = "/etc/ssl/private/pure-ftpd.pem"`},
		{"two files", `TLS 1` + "\n" + `CertFile "/a b.pem","/c.key"`, "tls.key", `key = "/c.key"`},
		{"active mode forced", "NATmode yes", "passive.enable", "enable = false"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := readPureFTPd(source{"pure-ftpd.conf", tt.text})
			expect(t, m, tt.key, tt.want)
			imported(t, m)
		})
	}
}

// expect looks for the line of a key, or when key is "" for a note.
func expect(t *testing.T, m *Import, key, want string) {
	t.Helper()
	if key == "" {
		for _, n := range m.Notes {
			if strings.Contains(n.Text, want) {
				return
			}
		}
		t.Errorf("no note says %q: %v", want, m.Notes)
		return
	}
	for _, s := range m.Settings {
		if s.Key != key {
			continue
		}
		if len(s.From) == 0 {
			t.Errorf("%s comes from no line", key)
		}
		for _, k := range m.scratch.Keys() {
			if k.Name == key && k.Line(s.Values) != want {
				t.Errorf("got %s; want %s", k.Line(s.Values), want)
			}
		}
		return
	}
	t.Errorf("%s was not set", key)
}

func TestRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	unclear := filepath.Join(dir, "unclear")
	if err := os.WriteFile(unclear, []byte("hello\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		path   string
		server Server
		want   string
	}{
		{unclear, "", "cannot tell whose configuration it is: that of vsftpd"},
		{unclear, "wuftpd", `"wuftpd": not a server whose configuration is known`},
		{dir, Vsftpd, "is a directory; vsftpd is configured by a file"},
		{dir, "", "no file in it bears the name of a setting"},
	} {
		if _, err := Read(tt.path, tt.server); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s from %q: %v; want %q", tt.path, tt.server, err, tt.want)
		}
	}
	if _, err := Read(filepath.Join(dir, "none"), ""); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

// fuzz gives any text to a reader: it must not panic, and what is made of it loads.
func fuzz(f *testing.F, read func(source) *Import, seeds ...string) {
	for _, name := range seeds {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m := read(source{"f.conf", utf8Text(data)})
		imported(t, m)
		for _, n := range m.Notes {
			if n.Text == "" || n.Line.Text == "" && n.Line.File == "" {
				t.Errorf("a note without a word: %+v", n)
			}
		}
	})
}

func FuzzVsftpd(f *testing.F) { fuzz(f, readVsftpd, "vsftpd.conf", "vsftpd-implicit.conf") }

func FuzzProFTPD(f *testing.F) {
	fuzz(f, func(src source) *Import { return readProFTPD(src, nothing) }, "proftpd.conf", "proftpd.d/tls.conf")
}

func FuzzPureFTPd(f *testing.F) { fuzz(f, readPureFTPd, "pure-ftpd.conf", "pure-ftpd.args") }
