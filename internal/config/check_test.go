package config

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"towpath/ftpserver"
)

// paper is a host with some files, on which low ports need a privilege.
func paper() host {
	pem := []byte("-----BEGIN CERTIFICATE-----\n")
	files := fstest.MapFS{
		"srv":      {Mode: fs.ModeDir | 0o755},
		"cert.pem": {Data: pem, Mode: 0o644},
		"key.pem":  {Data: pem, Mode: 0o600},
		"open.pem": {Data: pem, Mode: 0o644},
		"text":     {Data: []byte("no PEM"), Mode: 0o644},
		"accounts": {Data: []byte("[user.alice]"), Mode: 0o644},
	}
	name := func(s string) string { return strings.TrimPrefix(s, "/") }
	return host{
		lowest:    1024,
		ephemeral: ftpserver.PortRange{Low: 32768, High: 60999},
		stat:      func(s string) (fs.FileInfo, error) { return files.Stat(name(s)) },
		read:      func(s string) ([]byte, error) { return files.ReadFile(name(s)) },
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, text string
		// want are the findings: severity, key, and a part of the text.
		want []string
	}{
		{"nothing to say", "passive.ports = '20000-30000'", nil},
		{"ports not said", "", []string{"hint passive.ports not set"}},
		{"tiny range", "passive.ports = '20000-20003'", []string{"warning passive.ports 4 ports for up to 10000 sessions"}},
		{"small range", "passive.ports = '20000-20200'", []string{"hint passive.ports 201 ports for up to 10000 sessions"}},
		{"small range for few", "passive.ports = '20000-20020'\nlimits.max_sessions = 20", nil},
		{"ephemeral ports", "passive.ports = '50000-60100'", []string{"hint passive.ports 50000-60100 overlaps 32768-60999"}},
		{"low range", "passive.ports = '500-20000'\n", []string{"error passive.ports ports below 1024 are not for this user", "error passive.ports contains port 2121"}},
		{"private address", "passive.ports = '20000-30000'\npassive.external = ['192.168.1.5']", []string{"warning passive.external 192.168.1.5 is private"}},
		{"carrier's NAT", "passive.ports = '20000-30000'\npassive.external = ['100.64.3.4']", []string{"warning passive.external 100.64.3.4 is private"}},
		{"private address, for its own network", "passive.ports = '20000-30000'\npassive.external = ['192.168.0.0/16=192.168.1.5', '203.0.113.7']", nil},
		{"private address, private server", "listen = '192.168.1.5:2121'\npassive.ports = '20000-30000'\npassive.external = ['192.168.1.5']", nil},
		{"loopback address", "passive.ports = '20000-30000'\npassive.external = ['127.0.0.1']", []string{"warning passive.external only clients on this host"}},
		{"loopback server", "listen = '127.0.0.1:2121'\npassive.ports = '20000-30000'\npassive.external = ['127.0.0.1']", nil},
		{"wrong family", "passive.ports = '20000-30000'\npassive.external = ['fd00::/8=203.0.113.7']", []string{"warning passive.external of the other family"}},
		{"never used", "passive.ports = '20000-30000'\npassive.external = ['203.0.113.7', '10.0.0.0/8=10.0.0.5']", []string{"warning passive.external 10.0.0.0/8=10.0.0.5 is never used: 203.0.113.7"}},
		{"never used, by TLS", "passive.ports = '20000-30000'\npassive.external = ['tls=auto', 'tls=203.0.113.7', 'clear=203.0.113.8']", []string{"warning passive.external tls=203.0.113.7 is never used: tls=auto"}},
		{"other family behind", "passive.ports = '20000-30000'\npassive.external = ['203.0.113.7', '2001:db8::7']", nil},
		{"private address of the other family", "passive.ports = '20000-30000'\npassive.external = ['203.0.113.7', 'fd00::7']", []string{"warning passive.external fd00::7 is private"}},
		{"no passive", "passive.enable = false", []string{"warning passive.enable most clients"}},
		{"no mode", "passive.enable = false\nactive.enable = false", []string{"error passive.enable no way to move data", "warning passive.enable most clients"}},
		{"TLS without certificate", "passive.ports = '20000-30000'\ntls.require = true", []string{"error tls.require there is no certificate"}},
		{"implicit without certificate", "passive.ports = '20000-30000'\ntls.implicit = ':9990'", []string{"error tls.implicit there is no certificate"}},
		{"implicit where listen is", "passive.ports = '20000-30000'\ntls.implicit = ':2121'\ntls.self_signed = true", []string{"error tls.implicit also an address of listen"}},
		{"clear passwords", "passive.ports = '20000-30000'\nuser = 'a:b'", []string{"warning tls.cert in clear text"}},
		{"port 21", "listen = ':21'\npassive.ports = '20000-30000'", []string{"error listen :21: ports below 1024 need root or CAP_NET_BIND_SERVICE"}},
		{"port 20", "passive.ports = '20000-30000'\nactive.port = 20", []string{"error active.port port 20 is not for this user"}},
		{"FXP", "passive.ports = '20000-30000'\npassive.allow_foreign_data = true\nactive.allow_foreign = true\nactive.allow_low_ports = true", []string{
			"warning passive.allow_foreign_data steals", "warning active.allow_foreign bounce", "warning active.allow_low_ports system services",
		}},
		{"clocks off", "passive.ports = '20000-30000'\nlimits = { login_timeout = 'off', idle_timeout = 'off', stall_timeout = 'off' }", []string{
			"warning limits.login_timeout off", "warning limits.idle_timeout off", "warning limits.stall_timeout off",
		}},
		{"idle over its maximum", "passive.ports = '20000-30000'\nlimits.idle_timeout = '3h'", []string{"warning limits.max_idle_timeout 2h is less than limits.idle_timeout, 3h"}},
		{"no root", "root = '/none'\npassive.ports = '20000-30000'", []string{"error root /none: file does not exist"}},
		{"root is a file", "root = '/text'\npassive.ports = '20000-30000'", []string{"error root /text is not a directory"}},
		{"no directory for a log", "passive.ports = '20000-30000'\nlog.xferlog = '/none/xferlog'", []string{"error log.xferlog /none"}},
		{"accounts for everybody", "passive.ports = '20000-30000'\naccounts = '/accounts'", []string{"warning accounts can be read by everybody"}},
		{"no accounts", "passive.ports = '20000-30000'\naccounts = '/none'", []string{"error accounts /none: file does not exist"}},
		{"good certificate", "passive.ports = '20000-30000'\ntls = { cert = '/cert.pem', key = '/key.pem' }", nil},
		{"open key", "passive.ports = '20000-30000'\ntls = { cert = '/cert.pem', key = '/open.pem' }", []string{"warning tls.key can be read by everybody"}},
		{"no PEM", "passive.ports = '20000-30000'\ntls = { cert = '/text', key = '/key.pem' }", []string{"error tls.cert holds no PEM block"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := &Settings{Config: Default(), origins: map[string]Origin{}}
			s.Root = "/srv"
			if err := s.parse("f.toml", []byte(tt.text)); err != nil {
				t.Fatal(err)
			}
			found := s.check(paper())
			for i, f := range found {
				line := f.Severity.String() + " " + f.Error()
				if i >= len(tt.want) {
					t.Errorf("too many: %s", line)
					continue
				}
				head := strings.Fields(tt.want[i])
				part := strings.TrimPrefix(tt.want[i], head[0]+" "+head[1]+" ")
				if f.Severity.String() != head[0] || f.Key != head[1] || !strings.Contains(f.Problem+f.Advice, part) {
					t.Errorf("got  %s\nwant %s", line, tt.want[i])
				}
				if f.Advice == "" {
					t.Errorf("%s: no advice", line)
				}
			}
			for _, w := range tt.want[min(len(found), len(tt.want)):] {
				t.Errorf("not found: %s", w)
			}
		})
	}
}

func TestCheckOnThisHost(t *testing.T) {
	t.Parallel()
	file := write(t, t.TempDir(), "f.toml", "listen = ':2121'\nroot = '/does/not/exist'\n")
	s, err := Load(Sources{File: file})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range s.Check() {
		if f.Key == "root" && f.Severity == Wrong && f.Origin == file+":2" {
			return
		}
	}
	t.Errorf("a root that is not there was not found: %v", s.Check())
}
