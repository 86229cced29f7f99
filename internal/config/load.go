package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// Settings are a configuration and where each of its values came from.
type Settings struct {
	Config
	origins map[string]Origin
	// Read are the files that were read.
	Read []string
}

// Origin says where the value of a key came from.
func (s *Settings) Origin(key string) Origin { return s.origins[key] }

// Sources are the places where settings come from; all may be left out. What
// is said in a later one of them wins: files, environment, flags, argument.
type Sources struct {
	// File is the file to read, and then only that. Without it: --config of
	// Flags, TOWPATH_CONFIG of Environ, towpath/towpath.toml in the user's
	// configuration directory if it is there, else /etc/towpath/towpath.toml
	// and /etc/towpath/conf.d/*.toml if they are there.
	File string
	// Environ are variables as os.Environ gives them.
	Environ []string
	// Flags are those that [BindFlags] made.
	Flags *pflag.FlagSet
	// Dir is the argument of serve, the directory to serve.
	Dir string
	// Base holds in place of the defaults, and then no file is read: settings
	// taken over from another server.
	Base *Config
}

// system is where the configuration of the machine lies.
const system = "/etc/towpath"

// Load reads the settings. When something is wrong the error, of one or more
// [*Error] joined, tells all of it, and the Settings hold what was right.
func Load(src Sources) (*Settings, error) {
	s := &Settings{Config: Default(), origins: map[string]Origin{}}
	if src.Base != nil {
		s.Config = *src.Base
	}
	files, err := src.files()
	errs := []error{err}
	for _, f := range files {
		errs = append(errs, s.readFile(f))
	}
	errs = append(errs, s.readEnvironment(src.Environ), s.readFlags(src.Flags))
	if src.Dir != "" {
		errs = append(errs, s.set("root", Origin{From: FromArgument, Name: "DIR"}, src.Dir))
	}
	return s, errors.Join(errs...)
}

// files finds what to read. A file that was named must be there, the others may.
func (src Sources) files() ([]string, error) {
	env := map[string]string{}
	for _, v := range src.Environ {
		name, value, _ := strings.Cut(v, "=")
		env[name] = value
	}
	if src.Base != nil {
		return nil, nil
	}
	if src.File != "" {
		return []string{src.File}, nil
	}
	if src.Flags != nil {
		if f := src.Flags.Lookup(ConfigFlag); f != nil && f.Changed {
			return []string{f.Value.String()}, nil
		}
	}
	if f := env[ConfigEnv]; f != "" {
		return []string{f}, nil
	}
	dir := env["XDG_CONFIG_HOME"]
	if home := env["HOME"]; dir == "" && home != "" {
		dir = filepath.Join(home, ".config")
	}
	if filepath.IsAbs(dir) { // the XDG specification wants relative ones ignored
		f := filepath.Join(dir, "towpath", "towpath.toml")
		if there(f) {
			return []string{f}, nil
		}
	}
	var files []string
	if f := filepath.Join(system, "towpath.toml"); there(f) {
		files = append(files, f)
	}
	more, err := filepath.Glob(filepath.Join(system, "conf.d", "*.toml"))
	return append(files, more...), err
}

// there reports whether a file is there. One that cannot be looked at is, so
// that reading it tells why.
func there(name string) bool {
	_, err := os.Stat(name)
	return err == nil || !errors.Is(err, os.ErrNotExist)
}

// set gives a key its texts and remembers who said so.
func (s *Settings) set(name string, from Origin, texts ...string) error {
	k, ok := s.key(name)
	if !ok {
		return &Error{Key: name, Origin: from, Err: errors.New("unknown key")}
	}
	if err := k.Set(texts...); err != nil {
		return &Error{Key: name, Origin: from, Value: k.open(strings.Join(texts, ",")), Err: err}
	}
	s.origins[name] = from
	return nil
}

// open gives what may be shown of a value.
func (k Key) open(value string) string {
	if k.Secret() {
		return ""
	}
	return value
}

func (s *Settings) key(name string) (Key, bool) {
	for _, k := range s.Keys() {
		if k.Name == name {
			return k, true
		}
	}
	return Key{}, false
}

// readEnvironment takes TOWPATH_<SECTION>__<KEY>. A variable with a double
// underscore that sets nothing is a mistake; one without may be meant for
// another part of Towpath.
func (s *Settings) readEnvironment(environ []string) error {
	byEnv := map[string]Key{}
	for _, k := range s.Keys() {
		byEnv[k.Env()] = k
	}
	var errs []error
	for _, v := range environ {
		name, value, _ := strings.Cut(v, "=")
		from := Origin{From: FromEnvironment, Name: name}
		k, ok := byEnv[name]
		switch {
		case ok:
			texts, err := k.fromText(value)
			if err != nil {
				errs = append(errs, &Error{Key: k.Name, Origin: from, Value: k.open(value), Err: err})
				continue
			}
			errs = append(errs, s.set(k.Name, from, texts...))
		case strings.HasPrefix(name, "TOWPATH_") && strings.Contains(name, "__"):
			names := slices.Sorted(maps.Keys(byEnv))
			errs = append(errs, &Error{Origin: from, Err: fmt.Errorf("sets nothing%s", suggest(name, names))})
		}
	}
	return errors.Join(errs...)
}

// fromText splits the value of a variable. A list is parted by commas, or, so
// that a password may hold a comma, written as in TOML: ["a:1,2", "b:3"].
func (k Key) fromText(value string) ([]string, error) {
	switch {
	case !k.List:
		return []string{value}, nil
	case value == "":
		return nil, nil
	case strings.HasPrefix(value, "["):
		return k.fromTOML(value)
	}
	texts := strings.Split(value, ",")
	for i, t := range texts {
		texts[i] = strings.TrimSpace(t)
	}
	return texts, nil
}

// readFlags takes the flags that were given.
func (s *Settings) readFlags(fs *pflag.FlagSet) error {
	if fs == nil {
		return nil
	}
	var errs []error
	for _, k := range s.Keys() {
		if f := fs.Lookup(k.Flag); f != nil && f.Changed {
			if v, ok := f.Value.(*flagValue); ok {
				errs = append(errs, s.set(k.Name, Origin{From: FromFlag, Name: k.Flag}, v.texts...))
			}
		}
	}
	return errors.Join(errs...)
}

// suggest proposes the known name that is meant by name.
func suggest(name string, known []string) string {
	if best := Nearest(name, known); best != "" {
		return "; did you mean " + best + "?"
	}
	return "; \"towpath config keys\" lists all"
}

// Nearest is the known name that is meant by name, or "" if none is near: one that
// differs by few letters, or the only one that is called so in some section.
func Nearest(name string, known []string) string {
	last := name[strings.LastIndexByte(name, '.')+1:]
	var same []string
	best, least := "", 1+len(name)/3
	for _, k := range known {
		if strings.HasSuffix(k, "."+last) {
			same = append(same, k)
		}
		if d := distance(name, k); d < least {
			best, least = k, d
		}
	}
	if len(same) == 1 {
		best = same[0]
	}
	return best
}

// distance is how many letters must be put in, taken out or changed to make b
// of a (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := corner
			if a[i] != b[j] {
				change++
			}
			corner = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
