package config

import (
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// ConfigFlag names the flag, and environment ConfigEnv the variable, that say
// which file to read.
const (
	ConfigFlag = "config"
	ConfigEnv  = "TOWPATH_CONFIG"
)

// BindFlags gives fs the flags of serve: one for each key that names one, or
// only those of the keys that are wanted; and --config. [Load] reads them from
// fs.
func BindFlags(fs *pflag.FlagSet, wanted ...string) {
	fs.String(ConfigFlag, "", "read settings from this TOML `FILE`")
	c := Default()
	for _, k := range c.Keys() {
		if k.Flag == "" || len(wanted) > 0 && !slices.Contains(wanted, k.Name) {
			continue
		}
		usage := k.Doc
		if k.List {
			usage += " May be repeated."
		}
		f := fs.VarPF(&flagValue{key: k}, k.Flag, "", usage)
		if k.Kind == Truth {
			f.NoOptDefVal = "true"
		}
	}
}

// flagValue is the [pflag.Value] of one key. It checks what it is given at once, so
// that a slip is reported as one of the command line, and keeps the texts.
type flagValue struct {
	key   Key
	texts []string
}

// Set implements [pflag.Value]. The first value of a list replaces its default.
func (f *flagValue) Set(s string) error {
	// pflag repeats what it was given: a bad secret waits for Load to refuse it.
	if err := f.key.Set(s); err != nil && !f.key.Secret() {
		return err
	}
	if !f.key.List {
		f.texts = nil
	}
	f.texts = append(f.texts, s)
	return nil
}

// String implements [pflag.Value], without secrets: pflag prints it as default.
func (f *flagValue) String() string {
	if f.key.get == nil {
		return ""
	}
	s := strings.Join(f.key.Shown(), ",")
	if f.key.Kind == Truth && s == "false" {
		return "" // pflag says nothing of an empty default
	}
	return s
}

// Type implements [pflag.Value]: help shows it behind the name of the flag.
func (f *flagValue) Type() string {
	if f.key.Kind == Truth {
		return "bool"
	}
	return f.key.Arg
}
