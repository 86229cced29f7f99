package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"towpath/ftpserver"
	"towpath/internal/charset"
	"towpath/internal/units"
)

// Key is one setting: where it is kept, how it is called, what it means.
type Key struct {
	// Name is the key in the file, with its section: "passive.ports".
	Name string
	// Flag is the flag of serve that sets it; "" when only a file and the
	// environment do.
	Flag string
	// Arg says what a value looks like, as "A-B".
	Arg string
	// Doc is one or two sentences for help texts.
	Doc string

	field
}

// Env is the environment variable that sets k.
func (k Key) Env() string {
	return "TOWPATH_" + strings.ToUpper(strings.ReplaceAll(k.Name, ".", "__"))
}

// Section is the table of k in the file; "" is the top.
func (k Key) Section() string {
	section, _, ok := strings.Cut(k.Name, ".")
	if !ok {
		return ""
	}
	return section
}

// Kind is how a value is written in TOML.
type Kind int

// The kinds.
const (
	Text   Kind = iota // "…"
	Number             // 20
	Truth              // true, false
)

// field is a place in a [Config] that is set and read as text. A list has any
// number of texts, everything else exactly one.
type field struct {
	Kind Kind
	// List says that the setting has any number of values.
	List bool

	at    any // the pointer, to tell fields apart
	set   func(texts []string) error
	get   func() []string
	shown func() []string
	// table turns the table form of one value into its text; nil: it has none.
	table func(map[string]any) (string, error)
}

// Set gives the setting the values that texts say. On an error it stays as it was.
func (f field) Set(texts ...string) error {
	if !f.List && len(texts) != 1 {
		return fmt.Errorf("%d values; write one", len(texts))
	}
	for _, t := range texts {
		if !utf8.ValidString(t) {
			return fmt.Errorf("%q: not UTF-8", t)
		}
	}
	return f.set(texts)
}

// Texts are the values as [field.Set] takes them, secrets included.
func (f field) Texts() []string { return f.get() }

// Shown are the values with secrets hidden.
func (f field) Shown() []string {
	if f.shown != nil {
		return f.shown()
	}
	return f.get()
}

// Secret reports whether some of the value must not be shown.
func (f field) Secret() bool { return f.shown != nil }

// one makes a field of a single value from its Parse and Format.
func one[T any](at *T, parse func(string) (T, error), format func(T) string) field {
	return field{
		at: at,
		set: func(texts []string) error {
			v, err := parse(texts[0])
			if err == nil {
				*at = v
			}
			return err
		},
		get: func() []string { return []string{format(*at)} },
	}
}

// many makes a field of a list.
func many[T any](at *[]T, parse func(string) (T, error), format func(T) string) field {
	return field{
		List: true,
		at:   at,
		set: func(texts []string) error {
			var vs []T
			for _, t := range texts {
				v, err := parse(t)
				if err != nil {
					return err
				}
				vs = append(vs, v)
			}
			*at = vs
			return nil
		},
		get: func() []string {
			texts := make([]string, 0, len(*at))
			for _, v := range *at {
				texts = append(texts, format(v))
			}
			return texts
		},
	}
}

func text(at *string, check func(string) error) field {
	return one(at, func(s string) (string, error) { return s, check(s) }, func(s string) string { return s })
}

func truth(at *bool) field {
	f := one(at, func(s string) (bool, error) {
		if s != "true" && s != "false" {
			return false, fmt.Errorf("%q: neither true nor false", s)
		}
		return s == "true", nil
	}, strconv.FormatBool)
	f.Kind = Truth
	return f
}

func number(at *int, least, most int) field {
	f := one(at, func(s string) (int, error) {
		n, err := strconv.Atoi(s)
		if err != nil {
			return 0, fmt.Errorf("%q: not a whole number", s)
		}
		if n < least || n > most {
			return 0, fmt.Errorf("%d: out of bounds; write a number from %d to %d", n, least, most)
		}
		return n, nil
	}, strconv.Itoa)
	f.Kind = Number
	return f
}

func clock(at *Duration) field { return one(at, units.ParseDuration, units.FormatDuration) }

func rate(at *Rate) field { return one(at, units.ParseRate, units.FormatRate) }

func file(at *string) field { return text(at, plain) }

const most = 1<<31 - 1

// Keys lists every setting of c, section by section. Setting one changes c.
func (c *Config) Keys() []Key {
	users := many(&c.Users, ParseUser, FormatUser)
	users.shown = func() []string {
		var texts []string
		for _, u := range c.Users {
			texts = append(texts, u.String())
		}
		return texts
	}
	external := many(&c.Passive.External, ParseExternal, FormatExternal)
	external.table = externalTable
	hosts := many(&c.TLS.Hosts, ParseHostCert, FormatHostCert)
	hosts.table = hostTable
	listen := many(&c.Listen, func(s string) (string, error) { return s, listenAddr(s) }, func(s string) string { return s })

	p, a, t, l, f, g, life := &c.Passive, &c.Active, &c.TLS, &c.Limits, &c.Files, &c.Log, &c.Life
	return []Key{
		{"listen", "listen", "ADDR", "Addresses for control connections. :PORT means all addresses of the host, 0.0.0.0:PORT those of IPv4.", listen},
		{"root", "", "DIR", "The directory that is served. serve takes it as its argument.", text(&c.Root, needed)},
		{"banner", "banner", "TEXT", "The greeting. Empty: the server's own.", text(&c.Banner, lines)},
		{"banner_file", "", "FILE", "A file with the greeting, instead of banner.", file(&c.BannerFile)},
		{"accounts", "accounts", "FILE", "The accounts, as written by hand or by \"towpath account\".", file(&c.Accounts)},
		{"user", "user", "NAME:PASSWORD", "Somebody who may log in and use all of root, beside the accounts.", users},
		{"anonymous", "anonymous", "", "Lets anybody in as \"anonymous\", to read.", truth(&c.Anonymous)},
		{"read_only", "read-only", "", "Refuses every change to files, whoever asks.", truth(&c.ReadOnly)},

		{"passive.enable", "passive", "", "Answers PASV and EPSV.", truth(&p.Enable)},
		{"passive.ports", "passive-ports", "A-B", "The ports for passive mode, to be opened in the firewall. any: as the kernel picks them.", one(&p.Ports, ParsePorts, FormatPorts)},
		{"passive.external", "external", "[CIDR=]ADDRESS", "The address that clients are told: an IP address, a host name, if:INTERFACE, or auto; with CIDR= for the clients of one network, with tls= or clear= for sessions that are or are not encrypted. The first that matches counts.", external},
		{"passive.accept_timeout", "", "TIME", "How long a passive port waits for its client.", clock(&p.AcceptTimeout)},
		{"passive.allow_foreign_data", "", "", "DANGER: takes data connections from any host, as FXP needs. A stranger can steal or inject files.", truth(&p.AllowForeignData)},

		{"active.enable", "active", "", "Answers PORT and EPRT.", truth(&a.Enable)},
		{"active.port", "active-port", "PORT", "The local port of active data connections; the classic one is 20. 0: any.", number(&a.Port, 0, 65535)},
		{"active.connect_timeout", "", "TIME", "How long an active data connection may take to come about.", clock(&a.ConnectTimeout)},
		{"active.allow_foreign", "", "", "DANGER: lets PORT and EPRT name any host, as FXP needs. It opens the door to bounce attacks.", truth(&a.AllowForeign)},
		{"active.allow_low_ports", "", "", "DANGER: lets PORT and EPRT name a port below 1024.", truth(&a.AllowLowPorts)},
		{"active.fix_private_port", "fix-private-port", "", "Replaces a private address in PORT by the client's public one: for devices behind a NAT that does not rewrite.", truth(&a.FixPrivatePort)},

		{"tls.cert", "tls-cert", "FILE", "The certificate and its chain, PEM. Read again when it changes.", file(&t.Cert)},
		{"tls.key", "tls-key", "FILE", "The private key, PEM. Empty: it is in tls.cert.", file(&t.Key)},
		{"tls.hosts", "tls-host", "NAME=CERT|KEY", "A further certificate, for clients that ask for this host by SNI or HOST.", hosts},
		{"tls.self_signed", "tls-self-signed", "", "Makes a certificate at start. It encrypts and proves nothing.", truth(&t.SelfSigned)},
		{"tls.require", "require-tls", "", "Refuses logins and data in clear text.", truth(&t.Require)},
		{"tls.implicit", "implicit", "ADDR", "A further address, where TLS starts at once (FTPS, classically :990). Empty: none.", text(&t.Implicit, optional(listenAddr))},
		{"tls.client_ca", "tls-client-ca", "FILE", "Authorities whose client certificates are taken, PEM. Empty: none is asked for.", file(&t.ClientCA)},
		{"tls.client_auth", "", "optional|require", "Whether a client must show a certificate, when tls.client_ca is set.", text(&t.ClientAuth, oneOf("optional", "require"))},
		{"tls.binding", "tls-binding", "prefer|require|off", "Data connections that do not resume the TLS session of their control connection: prefer serves and counts them, require refuses them, off does not look.", text(&t.Binding, oneOf("prefer", "require", "off"))},
		{"tls.min_version", "", "1.2|1.3", "The oldest version of TLS that is spoken.", text(&t.MinVersion, oneOf("1.2", "1.3"))},

		{"limits.max_sessions", "max-sessions", "N", "Sessions at once, in all.", number(&l.MaxSessions, 1, most)},
		{"limits.max_per_address", "max-per-address", "N", "Sessions at once from one address (IPv6: one /64). 0: no limit of its own.", number(&l.MaxPerAddress, 0, most)},
		{"limits.login_timeout", "login-timeout", "TIME", "The time from connecting to being logged in; no command extends it.", clock(&l.LoginTimeout)},
		{"limits.idle_timeout", "idle-timeout", "TIME", "Ends a session that sends no command and moves no data.", clock(&l.IdleTimeout)},
		{"limits.max_idle_timeout", "", "TIME", "The most that a client may ask for by SITE IDLE.", clock(&l.MaxIdleTimeout)},
		{"limits.stall_timeout", "stall-timeout", "TIME", "Ends a transfer in which no byte moves.", clock(&l.StallTimeout)},
		{"limits.min_rate", "min-rate", "RATE", "Ends a transfer that stays slower over a whole stall_timeout. off: only a stall ends it.", rate(&l.MinRate)},
		{"limits.download_rate", "download-rate", "RATE", "The most that one session downloads per second, as 10MiB. An account can say otherwise. off: no limit.", rate(&l.DownloadRate)},
		{"limits.upload_rate", "upload-rate", "RATE", "The most that one session uploads per second. An account can say otherwise. off: no limit.", rate(&l.UploadRate)},
		{"limits.max_failures", "max-failures", "N", "Failed logins that a session may have.", number(&l.MaxFailures, 1, most)},
		{"limits.failure_delay", "", "TIME", "What a failed login costs its address, doubled with each further one.", clock(&l.FailureDelay)},
		{"limits.max_failure_delay", "", "TIME", "The most that a failed login costs.", clock(&l.MaxFailureDelay)},
		{"limits.ban_after", "ban-after", "N", "Failed logins within ban_for after which an address is refused. 0: never.", number(&l.BanAfter, 0, most)},
		{"limits.ban_for", "ban-for", "TIME", "How long an address is refused, and failed logins are remembered.", clock(&l.BanFor)},
		{"limits.command_rate", "", "N", "Commands per second that a session may send on average; more are answered late. 0: no limit.", number(&l.CommandRate, 0, most)},
		{"limits.keep_alive", "", "TIME", "The interval of TCP keep-alive on control connections, for firewalls with a short memory.", clock(&l.KeepAlive)},
		{"limits.max_matches", "", "N", "The most that a pattern in LIST and NLST may match.", number(&l.MaxMatches, 1, most)},
		{"limits.max_inflate", "", "N", "How many times larger a compressed (MODE Z) upload may become.", number(&l.MaxInflate, 1, most)},

		{"files.sync", "sync", "off|close|dir", "What is on the disk before an upload counts as done: off leaves it to the kernel, close forces the file, dir the file and its name.", text(&f.Sync, oneOf("off", "close", "dir"))},
		{"files.umask", "umask", "OCTAL", "The permissions that new files and directories do not get.", one(&f.Umask, ParseMode, FormatMode)},
		{"files.charset", "charset", "NAME", "The file names of clients that do not speak UTF-8. An account can say otherwise.", text(&f.Charset, charsetName)},
		{"files.partial_age", "", "TIME", "How long the part of a cut upload is kept to be resumed. off: for ever.", clock(&f.PartialAge)},
		{"files.allow_symlinks", "", "", "Offers SITE SYMLINK.", truth(&f.AllowSymlinks)},
		{"files.dos_listing", "", "", "Writes LIST in the style of MS-DOS, for devices that read no other.", truth(&f.DOSListing)},

		{"log.format", "log-format", "text|json", "How the log is written.", text(&g.Format, oneOf("text", "json"))},
		{"log.level", "log-level", "LEVEL", "What is logged: debug, info, warn or error and worse.", text(&g.Level, oneOf("debug", "info", "warn", "error"))},
		{"log.file", "log-file", "FILE", "Where the log goes. Empty: standard error.", file(&g.File)},
		{"log.xferlog", "xferlog", "FILE", "A transfer log in the form of wu-ftpd's xferlog.", file(&g.XferLog)},
		{"log.vsftpd", "vsftpd-log", "FILE", "A log of logins and transfers in the form of vsftpd's, as fail2ban reads it.", file(&g.Vsftpd)},
		{"log.transcripts", "transcripts", "DIR", "A directory for the dialogue of every session, without passwords.", file(&g.Transcripts)},

		{"life.drain_timeout", "drain-timeout", "TIME", "How long sessions may go on after SIGTERM. off: they are cut at once.", clock(&life.DrainTimeout)},
		{"life.user", "user-id", "USER", "The user, by name or number, to become once the ports are bound.", file(&life.User)},
		{"life.group", "group-id", "GROUP", "The group to become; the user's own when empty.", file(&life.Group)},
		{"life.sandbox", "sandbox", "", "Confines the process to the directories that it serves (Linux: landlock).", truth(&life.Sandbox)},
	}
}

// charsetName checks the name of a charset.
func charsetName(s string) error {
	_, err := charset.Lookup(s)
	return err
}

// needed refuses the empty text.
func needed(s string) error {
	if s == "" {
		return fmt.Errorf("%q: is needed; write a path, or . for the current directory", s)
	}
	return plain(s)
}

// externalTable reads { clients = ["10.0.0.0/8"], address = "10.0.0.5", tls = true }.
func externalTable(m map[string]any) (string, error) {
	if err := only(m, "clients", "address", "tls"); err != nil {
		return "", err
	}
	var t ftpserver.Told
	var ok bool
	if t.Address, ok = m["address"].(string); !ok {
		return "", fmt.Errorf("address is not there or not a text; write { clients = [\"10.0.0.0/8\"], address = \"10.0.0.5\" }")
	}
	if err := tellable(t.Address); err != nil {
		return "", err
	}
	if v, said := m["tls"]; said {
		b, ok := v.(bool)
		if !ok {
			return "", fmt.Errorf("tls = %v: neither true nor false", v)
		}
		t.TLS = &b
	}
	networks, ok := m["clients"].([]any)
	if s, single := m["clients"].(string); single {
		networks, ok = []any{s}, true
	}
	if _, said := m["clients"]; said && (!ok || len(networks) == 0) {
		return "", fmt.Errorf("clients is not a list of networks; write [\"10.0.0.0/8\"], or leave it out for all clients")
	}
	for _, n := range networks {
		p, err := parseNetwork(fmt.Sprint(n))
		if err != nil {
			return "", err
		}
		t.Clients = append(t.Clients, p)
	}
	return FormatExternal(t), nil
}

// hostTable reads { name = "ftp.example.org", cert = "a.pem", key = "b.pem" }.
func hostTable(m map[string]any) (string, error) {
	if err := only(m, "name", "cert", "key"); err != nil {
		return "", err
	}
	var texts [3]string
	for i, k := range []string{"name", "cert", "key"} {
		v, said := m[k]
		s, ok := v.(string)
		if said && !ok || !said && k != "key" {
			return "", fmt.Errorf("%s is not there or not a text; write { name = \"ftp.example.org\", cert = \"FILE\", key = \"FILE\" }", k)
		}
		texts[i] = s
	}
	return FormatHostCert(HostCert{texts[0], texts[1], texts[2]}), nil
}

// only refuses keys other than those.
func only(m map[string]any, known ...string) error {
	for k := range m {
		if !slices.Contains(known, k) {
			return fmt.Errorf("unknown key %s; known are %s", k, strings.Join(known, ", "))
		}
	}
	return nil
}
