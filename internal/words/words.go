// Package words says things to people in their language: English, Simplified
// and Traditional Chinese, Japanese.
//
// All that is said stands in its tables, the four languages side by side, and
// nowhere else. Who has something to say makes a [Phrase] of a name and
// parameters, and the one who shows it chooses the language. Names are for
// programs and never change with the language; this package knows nothing of
// what the phrases mean.
package words

import (
	"fmt"
	"maps"
	"strings"

	"golang.org/x/text/language"
)

// Lang is a language. The zero value is [English].
type Lang int

// The languages.
const (
	English Lang = iota
	Simplified
	Traditional
	Japanese
)

// Langs are all of them.
var Langs = []Lang{English, Simplified, Traditional, Japanese}

var tags = []language.Tag{
	English:     language.English,
	Simplified:  language.SimplifiedChinese,
	Traditional: language.TraditionalChinese,
	Japanese:    language.Japanese,
}

// String gives the tag of BCP 47: en, zh-Hans, zh-Hant or ja.
func (l Lang) String() string { return tags[l].String() }

var matcher = language.NewMatcher(tags)

// match finds the language that is meant by a tag, and whether there is one.
func match(tag string) (Lang, bool) {
	t, err := language.Parse(tag)
	if err != nil {
		return English, false
	}
	_, i, sure := matcher.Match(t)
	return Lang(i), sure > language.Low
}

// ParseLang reads the name of a language, as en, zh-Hans, zh-Hant or ja, or
// that of a place where it is written: zh-TW, ja_JP.
func ParseLang(s string) (Lang, error) {
	l, ok := match(s)
	if !ok {
		return English, fmt.Errorf("%q: not a language of Towpath; want en, zh-Hans, zh-Hant or ja", s)
	}
	return l, nil
}

// Locale finds the language in variables as os.Environ gives them: the first of
// LC_ALL, LC_MESSAGES and LANG that says something. It is English if that is
// none of ours, or if its letters are not UTF-8, which is all we write.
func Locale(environ []string) Lang {
	env := map[string]string{}
	for _, v := range environ {
		name, value, _ := strings.Cut(v, "=")
		env[name] = value
	}
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		locale := env[name]
		if locale == "" {
			continue
		}
		locale, _, _ = strings.Cut(locale, "@")
		place, charset, named := strings.Cut(locale, ".")
		if named && !strings.EqualFold(strings.ReplaceAll(charset, "-", ""), "utf8") {
			return English
		}
		l, _ := match(place) // C and POSIX are no tags
		return l
	}
	return English
}

// message is one thing to say, in the order of [Langs]. Parameters stand in
// braces.
type message struct{ en, hans, hant, ja string }

func (m message) in(l Lang) string { return [...]string{m.en, m.hans, m.hant, m.ja}[l] }

// tables are all that is said, a file for each.
var tables = []map[string]message{announcements, basics, drawings, predictions, probes, servers, shown, stories, views}

// messages are those of all tables.
var messages = gather(tables...)

func gather(tables ...map[string]message) map[string]message {
	all := map[string]message{}
	for _, t := range tables {
		maps.Copy(all, t)
	}
	return all
}

// Phrase is something to say, in no language yet. The zero value says nothing.
type Phrase struct {
	name string
	args []any
}

// Say makes a phrase of the message with that name. Its parameters follow, each
// as name and value. A value is shown as fmt does, but for those that depend on
// the language: phrases, and lists ([And], [Or]). It panics if there is no such
// message.
func Say(name string, args ...any) Phrase {
	if _, ok := messages[name]; !ok {
		panic("words: no message " + name)
	}
	return Phrase{name, args}
}

// Has says whether there is a message with that name.
func Has(name string) bool {
	_, ok := messages[name]
	return ok
}

// Name is the name of the message, "" of the zero value.
func (p Phrase) Name() string { return p.name }

// In says it.
func (p Phrase) In(l Lang) string {
	text := messages[p.name].in(l)
	if len(p.args) == 0 {
		return text
	}
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "{")
		name, behind, closed := strings.Cut(rest, "}")
		b.WriteString(before)
		if !found || !closed { // every brace of a message is closed
			return b.String()
		}
		if v, ok := p.arg(name); ok {
			b.WriteString(show(v, l)) // what a value holds is not replaced again
		} else {
			b.WriteString("{" + name + "}")
		}
		text = behind
	}
}

// arg is the value of a parameter.
func (p Phrase) arg(name string) (any, bool) {
	for i := 0; i+1 < len(p.args); i += 2 {
		if p.args[i] == name {
			return p.args[i+1], true
		}
	}
	return nil, false
}

// String says it in English, for logs and errors.
func (p Phrase) String() string { return p.In(English) }

// list is values with the word that stands before the last.
type list struct {
	values []string
	last   string
}

// And lists values: "PORT, EPRT and PASV".
func And[T ~string](values []T) any { return newList(values, "list.and") }

// Or lists values: "PORT, EPRT or PASV".
func Or[T ~string](values []T) any { return newList(values, "list.or") }

// List is [And] in a language.
func List[T ~string](l Lang, values []T) string { return newList(values, "list.and").in(l) }

func newList[T ~string](values []T, last string) list {
	all := list{last: last}
	for _, v := range values {
		all.values = append(all.values, string(v))
	}
	return all
}

func (a list) in(l Lang) string {
	n := len(a.values) - 1
	if n < 1 {
		return strings.Join(a.values, "")
	}
	return strings.Join(a.values[:n], Say("list.comma").In(l)) + Say(a.last).In(l) + a.values[n]
}

func show(v any, l Lang) string {
	switch v := v.(type) {
	case Phrase:
		return v.In(l)
	case []Phrase:
		return Sentences(l, v...)
	case list:
		return v.in(l)
	case string:
		return v
	}
	return fmt.Sprint(v)
}

// Sentences says one phrase behind the other. English wants a blank between
// them.
func Sentences(l Lang, phrases ...Phrase) string {
	var all []string
	for _, p := range phrases {
		if s := p.In(l); s != "" {
			all = append(all, s)
		}
	}
	return strings.Join(all, Say("sentence.gap").In(l))
}
