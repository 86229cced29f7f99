package policy

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"towpath/internal/units"
)

// Rule allows or denies what it is about. A condition that is left out holds for
// everything; of several values of one condition, one has to hold.
type Rule struct {
	Allow bool
	// Name is shown to the client whom the rule refuses, if it is not "".
	Name string

	// From are the networks of clients, Users patterns of user names with * and ?.
	From  []netip.Prefix
	Users []string
	// To are the servers, by their names or by where they are.
	To []Target
	// TLS asks whether the client's end of the session is encrypted.
	TLS *bool

	// Do are classes of commands, Verbs single ones.
	Do    Class
	Verbs []string
	// Paths are patterns: * and ? and [a-z] stay within a name, ** goes through
	// directories, {a,b} is either. One that begins with a slash is about whole
	// paths, another about names anywhere. What matches a directory is about all
	// that is in it.
	//
	// Where a path cannot be known, or looks different on some servers (\ for /,
	// upper case for lower), a rule that denies takes it for a match and a rule
	// that allows does not.
	Paths []string

	// MaxSize bounds each file that the rule lets pass, in bytes. 0: no bound.
	MaxSize int64
}

// ParseRule reads a rule as one line:
//
//	allow|deny [name=TEXT] [from=NETWORK,…] [user=PATTERN,…] [to=TARGET,…]
//	           [tls=yes|no] [do=CLASS|VERB,…] [path=PATTERN]… [size=BYTES]
//
// The classes are list, read (with list), write, delete and admin. A condition
// may be said several times, which adds to it. A value with blanks, or with commas
// that do not part values, stands in double quotes.
func ParseRule(s string) (Rule, error) {
	var r Rule
	words, err := split(s)
	if err != nil {
		return Rule{}, err
	}
	if len(words) == 0 || words[0].key != "" || words[0].quoted || words[0].value != "allow" && words[0].value != "deny" {
		return Rule{}, fmt.Errorf("%q: a rule begins with allow or deny, as in: deny user=anonymous do=write", s)
	}
	r.Allow = words[0].value == "allow"
	once := map[string]bool{}
	for _, w := range words[1:] {
		if w.key == "" {
			return Rule{}, fmt.Errorf("%q: not a condition; write KEY=VALUE with one of %s", w.value, strings.Join(ruleKeys, ", "))
		}
		switch w.key {
		case "name", "tls", "size":
			if once[w.key] {
				return Rule{}, fmt.Errorf("%s: said twice; it has one value", w.key)
			}
			once[w.key] = true
		}
		if err := r.set(w); err != nil {
			return Rule{}, err
		}
	}
	if r.MaxSize > 0 && !r.Allow {
		return Rule{}, fmt.Errorf("size=%d: bounds what is allowed; say it in a rule that begins with allow", r.MaxSize)
	}
	if r.MaxSize > 0 && (r.Do != 0 || len(r.Verbs) > 0) && !r.moves() {
		return Rule{}, fmt.Errorf("size=%d: bounds files that move, and this rule is about none; add do=read or do=write", r.MaxSize)
	}
	return r, nil
}

var ruleKeys = []string{"name", "from", "user", "to", "tls", "do", "path", "size"}

// moves tells whether a rule is about commands that move files.
func (r *Rule) moves() bool {
	return r.Do&(Read&^List|Write) != 0 || slices.ContainsFunc(r.Verbs, func(v string) bool {
		return verbs[v].classes&(Read|Write) != 0
	})
}

// set takes one condition.
func (r *Rule) set(w word) error {
	values := []string{w.value}
	if !w.quoted && w.key != "path" && w.key != "name" {
		values = strings.Split(w.value, ",")
	}
	for _, v := range values {
		if v == "" {
			return fmt.Errorf("%s: an empty value; leave the condition out if it is to hold for all", w.key)
		}
		if err := r.add(w.key, v); err != nil {
			return fmt.Errorf("%s: %w", w.key, err)
		}
	}
	return nil
}

func (r *Rule) add(key, v string) error {
	switch key {
	case "name":
		r.Name = v
	case "from":
		n, err := ParseNetwork(v)
		if err != nil {
			return err
		}
		r.From = append(r.From, n)
	case "user":
		r.Users = append(r.Users, v)
	case "to":
		t, err := ParseTarget(v)
		if err != nil {
			return err
		}
		r.To = append(r.To, t)
	case "tls":
		if v != "yes" && v != "no" {
			return fmt.Errorf("%q: write yes or no", v)
		}
		r.TLS = new(bool)
		*r.TLS = v == "yes"
	case "do":
		return r.addDeed(v)
	case "path":
		if !doublestar.ValidatePattern(v) || strings.HasSuffix(v, "/") && v != "/" || strings.HasPrefix(v, "/") && !strings.ContainsAny(v, `*?[{\`) && path.Clean(v) != v {
			return fmt.Errorf("%q: not a pattern; write a path from / on, as /pub/**, or a name, as *.exe", v)
		}
		if !strings.HasPrefix(v, "/") && strings.Contains(v, "/") {
			return fmt.Errorf("%q: a pattern with a slash is about whole paths and begins with one; write /%s or /**/%s", v, v, v)
		}
		r.Paths = append(r.Paths, v)
	case "size":
		n, err := units.ParseSize(v)
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("%s: want bytes greater than 0; what denies files, lets none pass", v)
		}
		r.MaxSize = int64(n)
	default:
		return fmt.Errorf("not known; write one of %s", strings.Join(ruleKeys, ", "))
	}
	return nil
}

// addDeed takes a class or a verb.
func (r *Rule) addDeed(v string) error {
	for _, n := range classNames {
		if strings.EqualFold(v, n.name) {
			r.Do |= n.class
			return nil
		}
	}
	verb := strings.ToUpper(v)
	if verb != v || len(verb) > 16 || strings.ContainsFunc(verb, func(c rune) bool {
		return (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '@'
	}) {
		return fmt.Errorf("%q: neither a class (list, read, write, delete, admin) nor a verb in capitals, as DELE", v)
	}
	if !slices.Contains(r.Verbs, verb) {
		r.Verbs = append(r.Verbs, verb)
	}
	return nil
}

// String writes the rule as [ParseRule] reads it.
func (r Rule) String() string {
	var b strings.Builder
	b.WriteString(map[bool]string{true: "allow", false: "deny"}[r.Allow])
	put := func(key string, values ...string) {
		for _, v := range values {
			b.WriteString(" " + key + "=" + quote(key, v))
		}
	}
	if r.Name != "" {
		put("name", r.Name)
	}
	for _, n := range r.From {
		put("from", FormatNetwork(n))
	}
	put("user", r.Users...)
	for _, t := range r.To {
		put("to", t.String())
	}
	if r.TLS != nil {
		put("tls", map[bool]string{true: "yes", false: "no"}[*r.TLS])
	}
	deeds := slices.Clone(r.Verbs)
	if r.Do != 0 {
		deeds = append(strings.Split(r.Do.String(), ","), deeds...)
	}
	if len(deeds) > 0 {
		b.WriteString(" do=" + strings.Join(deeds, ","))
	}
	put("path", r.Paths...)
	if r.MaxSize > 0 {
		put("size", units.FormatSize(units.Size(r.MaxSize)))
	}
	return b.String()
}

// quote puts a value in quotes where it would not be read back without.
func quote(key, v string) string {
	if strings.ContainsAny(v, " \"") || strings.Contains(v, ",") && key != "path" && key != "name" {
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(v) + `"`
	}
	return v
}

// word is one part of a rule.
type word struct {
	key, value string
	quoted     bool
}

// split parts a rule at its blanks.
func split(s string) ([]word, error) {
	if i := strings.IndexFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f }); i >= 0 {
		return nil, fmt.Errorf("%q: holds a control character; take it out", s)
	}
	var words []word
	for rest := strings.TrimLeft(s, " "); rest != ""; rest = strings.TrimLeft(rest, " ") {
		var w word
		if i := strings.IndexAny(rest, " =\""); i > 0 && rest[i] == '=' {
			w.key, rest = strings.ToLower(rest[:i]), rest[i+1:]
		}
		if !strings.HasPrefix(rest, `"`) {
			w.value, rest, _ = strings.Cut(rest, " ")
			words = append(words, w)
			continue
		}
		var err error
		if w.value, rest, err = unquote(rest); err != nil {
			return nil, err
		}
		w.quoted = true
		words = append(words, w)
	}
	return words, nil
}

// unquote reads a value in quotes, in which \" and \\ stand for " and \.
func unquote(s string) (value, rest string, err error) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\'):
			i++
			b.WriteByte(s[i])
		case s[i] == '"' && i+1 < len(s) && s[i+1] != ' ':
			return "", "", fmt.Errorf("%s: a blank must follow the closing quote", s)
		case s[i] == '"':
			return b.String(), s[i+1:], nil
		default:
			b.WriteByte(s[i])
		}
	}
	return "", "", fmt.Errorf("%s: the closing quote is missing", s)
}

// covers tells whether the paths of a rule are about what a command would do.
func (r *Rule) covers(a action) bool {
	if a.unsure != "" {
		return !r.Allow && a.classes != Own
	}
	if a.path == "" {
		return false
	}
	for _, p := range r.Paths {
		if below(p, a.path) || !r.Allow && loosely(p, a) {
			return true
		}
	}
	return false
}

// below tells whether a pattern matches a path, or a directory on the way to it.
func below(pattern, name string) bool {
	for {
		what := name
		if !strings.HasPrefix(pattern, "/") {
			what = path.Base(name)
		}
		if doublestar.MatchUnvalidated(pattern, what) {
			return true
		}
		if name == "/" {
			return false
		}
		name = path.Dir(name)
	}
}

// loosely tells whether a pattern might match on some server: one that takes
// \ for /, or does not tell capitals from small letters; or whether the path is
// a directory which takes what matches along with it.
func loosely(pattern string, a action) bool {
	small := strings.ToLower(pattern)
	for _, name := range []string{a.path, a.other} {
		if name == "" {
			continue
		}
		if below(small, strings.ToLower(name)) {
			return true
		}
		if base, _ := doublestar.SplitPattern(pattern); a.tree &&
			(!strings.HasPrefix(pattern, "/") || strings.HasPrefix(base+"/", strings.TrimSuffix(name, "/")+"/")) {
			return true
		}
	}
	return false
}

// resolve returns the path that name means in the directory dir ("" if that is not
// known), from the root on and clean; or says why that cannot be known. Links on
// the server lead elsewhere than their names say, and nobody between the two ends
// sees them: what must not be reached has to be out of reach on the server too.
func resolve(dir, name string) (full, unsure string) {
	switch {
	case strings.HasPrefix(name, "~"):
		return "", "the gateway cannot know where ~ leads; write the path from / on"
	case strings.HasPrefix(name, "/"):
		return path.Clean(name), ""
	case !strings.HasPrefix(dir, "/"):
		return "", "the gateway does not know the current directory; send PWD first, or write the path from / on"
	}
	return path.Join(dir, name), ""
}
