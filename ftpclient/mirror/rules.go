package mirror

import (
	"fmt"
	"path"
	"regexp"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// Rule takes or leaves what it matches. Of all rules the last that matches
// counts. What none matches is taken if the first rule excludes, or there is
// none, and left if the first includes, as in lftp; but directories are always
// gone into unless a rule excludes them.
type Rule struct {
	include bool
	text    string
	match   func(p string, dir bool) bool
}

// Glob is a rule by pattern: * and ? and [a-z] stay within a name, ** goes
// through directories, {a,b} is either. A pattern without a slash is about names
// anywhere, one with a slash about whole paths below the top; one that ends in
// a slash is about directories only.
func Glob(pattern string, include bool) (Rule, error) {
	p, onlyDirs := strings.CutSuffix(pattern, "/")
	whole := strings.Contains(p, "/")
	p = strings.TrimPrefix(p, "/")
	if p == "" || !doublestar.ValidatePattern(p) {
		return Rule{}, fmt.Errorf("%q is no pattern; want one such as *.txt, sub/**/*.o or cache/", pattern)
	}
	return Rule{include, pattern, func(name string, dir bool) bool {
		if onlyDirs && !dir {
			return false
		}
		if !whole {
			name = path.Base(name)
		}
		return doublestar.MatchUnvalidated(p, name)
	}}, nil
}

// Regexp is a rule by regular expression (RE2), which may match anywhere in the
// path below the top. Directories have a slash behind.
func Regexp(expression string, include bool) (Rule, error) {
	x, err := regexp.Compile(expression)
	if err != nil {
		return Rule{}, fmt.Errorf("%q is no regular expression: %w", expression, err)
	}
	return Rule{include, expression, func(name string, dir bool) bool {
		if dir {
			name += "/"
		}
		return x.MatchString(name)
	}}, nil
}

// takes tells whether the rules take a path.
func (o *Options) takes(p string, dir bool) bool {
	for i := len(o.Rules) - 1; i >= 0; i-- {
		if r := o.Rules[i]; r.match != nil && r.match(p, dir) {
			return r.include
		}
	}
	return dir || len(o.Rules) == 0 || !o.Rules[0].include
}

// guarded tells whether size and time of a file keep it from being taken. What
// is not known does not.
func (o *Options) guarded(e entry) bool {
	return e.size >= 0 && (e.size < o.MinSize || o.MaxSize > 0 && e.size > o.MaxSize) ||
		!e.time.IsZero() && (!o.NewerThan.IsZero() && !e.time.After(o.NewerThan) ||
			!o.OlderThan.IsZero() && !e.time.Before(o.OlderThan))
}
