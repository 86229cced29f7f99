package config

import (
	"bytes"
	"flag"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"towpath/ftpserver"
)

var update = flag.Bool("update", false, "write golden files anew")

// leaves are the addresses of all fields of a Config that hold values.
func leaves(v reflect.Value, name string, visit func(name string, at uintptr)) {
	for i := range v.NumField() {
		f, full := v.Field(i), name+v.Type().Field(i).Name
		if f.Kind() == reflect.Struct && f.Type().PkgPath() == v.Type().PkgPath() {
			leaves(f, full+".", visit)
			continue
		}
		visit(full, f.Addr().Pointer())
	}
}

func TestEveryFieldHasOneKey(t *testing.T) {
	t.Parallel()
	c := Default()
	keys := map[uintptr][]string{}
	for _, k := range c.Keys() {
		at := reflect.ValueOf(k.at).Pointer()
		keys[at] = append(keys[at], k.Name)
	}
	found := 0
	leaves(reflect.ValueOf(&c).Elem(), "", func(name string, at uintptr) {
		if len(keys[at]) != 1 {
			t.Errorf("Config.%s has the keys %v, want one", name, keys[at])
		}
		found++
	})
	if found != len(c.Keys()) {
		t.Errorf("%d fields and %d keys", found, len(c.Keys()))
	}
}

func TestKeysAreNamedAndDocumented(t *testing.T) {
	t.Parallel()
	c := Default()
	seen := map[string]bool{}
	var sections []string
	for _, k := range c.Keys() {
		for _, name := range []string{k.Name, "--" + k.Flag, k.Env()} {
			if seen[name] && name != "--" {
				t.Errorf("%s is there twice", name)
			}
			seen[name] = true
		}
		if strings.Trim(k.Name, "abcdefghijklmnopqrstuvwxyz_.") != "" || strings.Count(k.Name, ".") > 1 {
			t.Errorf("%s: a key is made of small letters, and at most one section", k.Name)
		}
		if !strings.HasSuffix(k.Doc, ".") {
			t.Errorf("%s: Doc is no sentence: %q", k.Name, k.Doc)
		}
		if (k.Arg == "") != (k.Kind == Truth) {
			t.Errorf("%s: Arg = %q; all but truths take an argument", k.Name, k.Arg)
		}
		if len(sections) == 0 || sections[len(sections)-1] != k.Section() {
			if slices.Contains(sections, k.Section()) {
				t.Errorf("section %q is in two parts", k.Section())
			}
			sections = append(sections, k.Section())
		}
	}
}

func TestKeysTakeWhatTheyGive(t *testing.T) {
	t.Parallel()
	c := Default()
	for _, k := range c.Keys() {
		if err := k.Set(k.Texts()...); err != nil {
			t.Errorf("%s: its default is refused: %v", k.Name, err)
		}
		for range 2 { // another value, and back again
			before := k.Texts()
			if err := k.Set(other(k)...); err != nil {
				t.Errorf("%s: %v", k.Name, err)
			}
			if slices.Equal(before, k.Texts()) {
				t.Errorf("%s: %q stayed", k.Name, before)
			}
			if err := k.Set(before...); err != nil {
				t.Errorf("%s: %v", k.Name, err)
			}
		}
	}
	if diff := cmp.Diff(Default(), c); diff != "" {
		t.Errorf("after setting each to what it is:\n%s", diff)
	}
}

// other are values for k, valid and not the default.
func other(k Key) []string {
	byName := map[string]string{
		"user": "alice:secret", "tls.hosts": "ftp.example.org=a.pem|a.key", "passive.external": "10.0.0.0/8+tls=10.0.0.5",
		"listen": "127.0.0.1:0", "tls.implicit": ":990", "tls.client_auth": "require", "tls.binding": "require",
		"tls.min_version": "1.3", "files.sync": "dir", "files.charset": "gbk", "log.format": "json", "log.level": "debug",
		"passive.ports": "50000-50100", "files.umask": "077",
	}
	v, named := byName[k.Name]
	switch {
	case named:
	case k.Kind == Truth:
		v = map[string]string{"true": "false", "false": "true"}[k.Texts()[0]]
	case k.Kind == Number:
		v = "77"
	case k.Arg == "TIME":
		v = "77s"
	case k.Arg == "RATE":
		v = "77KiB/s"
	default:
		v = "other"
	}
	return []string{v}
}

// notSettings are the fields of ftpserver.Options that no key reaches by
// ServerOptions: serve makes them, out of settings and files.
var notSettings = []string{"Login", "Log", "Events", "Transcript", "TLS", "HostTLS"}

func TestEveryServerOptionHasAKey(t *testing.T) {
	t.Parallel()
	banner := t.TempDir() + "/banner"
	if err := os.WriteFile(banner, []byte("Ahoy.\r\nWelcome.\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	options := func(change func(*Config)) reflect.Value {
		c := Default()
		c.TLS.SelfSigned = true // that tls.require may be set
		change(&c)
		o, err := c.ServerOptions()
		if err != nil {
			t.Fatal(err)
		}
		return reflect.ValueOf(o)
	}
	std := options(func(*Config) {})
	changedBy := map[string]string{}
	c := Default()
	for _, k := range c.Keys() {
		value := other(k)
		switch k.Name {
		case "tls.self_signed", "tls.key", "tls.cert", "tls.client_auth":
			continue // contradict the setting above, and make TLS, not Options
		case "banner_file":
			value = []string{banner}
		}
		o := options(func(c *Config) {
			for _, mine := range c.Keys() {
				if mine.Name == k.Name {
					if err := mine.Set(value...); err != nil {
						t.Fatal(err)
					}
				}
			}
		})
		for i := range o.NumField() {
			name := o.Type().Field(i).Name
			if !slices.Contains(notSettings, name) && !reflect.DeepEqual(o.Field(i).Interface(), std.Field(i).Interface()) {
				if before := changedBy[name]; before != "" && name != "Banner" {
					t.Errorf("Options.%s is changed by %s and %s", name, before, k.Name)
				}
				changedBy[name] = k.Name
			}
		}
	}
	for i := range std.NumField() {
		if name := std.Type().Field(i).Name; changedBy[name] == "" && !slices.Contains(notSettings, name) {
			t.Errorf("no key changes Options.%s", name)
		}
	}
}

func TestServerOptionsSwitchOff(t *testing.T) {
	t.Parallel()
	c := Default()
	c.Limits.IdleTimeout, c.Limits.BanAfter, c.Limits.CommandRate = 0, 0, 0
	o, err := c.ServerOptions()
	if err != nil {
		t.Fatal(err)
	}
	if o.IdleTimeout >= 0 || o.BanAfter >= 0 || o.CommandRate >= 0 {
		t.Errorf("idle %v, ban after %d, command rate %d; want negative, as zero means the default", o.IdleTimeout, o.BanAfter, o.CommandRate)
	}
	if o.Binding != ftpserver.BindPrefer || o.NoPassive || o.NoActive {
		t.Errorf("defaults: binding %v, no passive %v, no active %v", o.Binding, o.NoPassive, o.NoActive)
	}
}

func TestServerOptionsRefuse(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Config){
		"tls.require":     func(c *Config) { c.TLS.Require = true },
		"passive.enable":  func(c *Config) { c.Passive.Enable, c.Active.Enable = false, false },
		"listen":          func(c *Config) { c.Listen = nil },
		"banner_file":     func(c *Config) { c.BannerFile = "/does/not/exist" },
		"tls.key":         func(c *Config) { c.TLS.Key = "key.pem" },
		"tls.client_auth": func(c *Config) { c.TLS.SelfSigned, c.TLS.ClientAuth = true, "require" },
		"user":            func(c *Config) { c.Users = []User{{"a", "b"}, {"a", "c"}} },
	} {
		c := Default()
		change(&c)
		if _, err := c.ServerOptions(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestExample(t *testing.T) {
	t.Parallel()
	const name = "../../deploy/towpath.toml"
	var made bytes.Buffer
	if err := WriteExample(&made); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(name, made.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Load(Sources{File: name})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Default(), s.Config); diff != "" {
		t.Errorf("it changes defaults:\n%s", diff)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(made.String(), string(text)); diff != "" {
		t.Errorf("deploy/towpath.toml is old; go test ./internal/config -update:\n%s", diff)
	}
	// Taken out of their comments, the defaults are the defaults.
	var out []string
	set := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "[") {
			clear(set)
		}
		if bare := strings.TrimPrefix(line, "#"); bare != line && bare[0] != ' ' && bare[0] != '\n' {
			key, _, _ := strings.Cut(bare, " ")
			if set[key] {
				// The second is an example: it must be right as well.
				one := append(slices.Clone(sectionOf(out)), bare)
				if err := new(Settings).reading(strings.Join(one, "")); err != nil {
					t.Errorf("%s%v", bare, err)
				}
				continue
			}
			set[key] = true
			line = bare
		}
		out = append(out, line)
	}
	s = &Settings{Config: Default(), origins: map[string]Origin{}}
	if err := s.parse("towpath.toml", []byte(strings.Join(out, ""))); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Default(), s.Config); diff != "" {
		t.Errorf("its defaults are not the defaults:\n%s", diff)
	}
	if len(s.origins) != len(s.Keys()) {
		t.Errorf("it names %d of %d keys", len(s.origins), len(s.Keys()))
	}
}

// sectionOf is the last header in lines.
func sectionOf(lines []string) []string {
	for _, l := range slices.Backward(lines) {
		if strings.HasPrefix(l, "[") {
			return []string{l}
		}
	}
	return nil
}

// reading parses a text into defaults.
func (*Settings) reading(text string) error {
	s := &Settings{Config: Default(), origins: map[string]Origin{}}
	return s.parse("test.toml", []byte(text))
}
