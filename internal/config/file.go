package config

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// maxFile bounds a configuration file, in bytes.
const maxFile = 1 << 20

// readFile takes the settings of one file.
func (s *Settings) readFile(name string) error {
	data, err := readAll(name)
	if err != nil {
		return err
	}
	s.Read = append(s.Read, name)
	return s.parse(name, data)
}

func readAll(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s: larger than %d bytes: not a configuration", name, maxFile)
	}
	return data, nil
}

// parse takes the settings of a TOML text. The values come from the decoder;
// a second look at the syntax tree tells where each key stands.
func (s *Settings) parse(name string, data []byte) error {
	rows := strings.Split(strings.ReplaceAll(string(data), "\r\n", "\n"), "\n")
	known := map[string]Key{}
	sections := map[string]bool{}
	var names []string
	for _, k := range s.Keys() {
		known[k.Name] = k
		if k.Section() != "" {
			sections[k.Section()] = true
		}
		names = append(names, k.Name)
	}
	fail := func(key string, at unstable.Position, err error) *Error {
		e := &Error{Key: key, Origin: Origin{From: FromFile, Name: name, Line: at.Line}, Err: err}
		if at.Line >= 1 && at.Line <= len(rows) {
			// Columns are counted in bytes there, in characters here.
			row := rows[at.Line-1]
			e.Origin.Column = 1 + utf8.RuneCountInString(row[:min(max(at.Column-1, 0), len(row))])
			if key == "" { // the slip is one of TOML
				key, _, _ = strings.Cut(strings.TrimSpace(row), "=")
				key = strings.TrimSpace(key)
			}
			k, ok := s.key(key)
			if !ok { // it may be a secret with a slip in its name
				k, _ = s.key(Nearest(key, names))
			}
			if !k.Secret() {
				e.Text = row
			}
		}
		return e
	}
	var values map[string]any
	if err := toml.Unmarshal(data, &values); err != nil {
		var d *toml.DecodeError
		if !errors.As(err, &d) {
			return fail("", unstable.Position{}, err)
		}
		var at unstable.Position
		at.Line, at.Column = d.Position()
		return fail("", at, errors.New(strings.TrimPrefix(d.Error(), "toml: ")))
	}

	var errs []error
	done := map[string]bool{}    // keys that were read
	strange := map[string]bool{} // sections that nobody knows
	for _, p := range places(data) {
		full := strings.Join(p.path, ".")
		here := value(values, p.path)
		if key, inside := setting(p.path, known); inside {
			// The elements of a table form belong to the value of their key.
			v := value(values, strings.Split(key, "."))
			if done[key] || v == nil {
				continue
			}
			done[key] = true
			texts, err := known[key].texts(v)
			if err == nil {
				err = known[key].Set(texts...)
			}
			if err != nil {
				e := fail(key, p.at, err)
				e.Value = known[key].open(Plain(v))
				errs = append(errs, e)
				continue
			}
			s.origins[key] = Origin{From: FromFile, Name: name, Line: p.at.Line, Column: p.at.Column}
			continue
		}
		section := p.path[0]
		_, isTable := here.(map[string]any)
		switch {
		case sections[section] && len(p.path) > 1:
			errs = append(errs, fail(full, p.at, fmt.Errorf("unknown key%s", suggest(full, names))))
		case sections[section] && isTable:
			// The header of a section. Its keys follow.
		case sections[section]:
			errs = append(errs, fail(full, p.at, fmt.Errorf("is a section; write [%s] and its keys below", section)))
		case !strange[section]:
			// An unknown section is one mistake, not one for each of its keys.
			strange[section] = true
			all := append(names, slices.Sorted(maps.Keys(sections))...)
			errs = append(errs, fail(full, p.at, fmt.Errorf("unknown key%s", suggest(full, all))))
		}
	}
	return errors.Join(errs...)
}

// Locate makes err one about a key of a TOML text, the file name, which is known
// to be right: it tells the line and shows it. secret keeps it and the value from
// being shown.
func Locate(name string, data []byte, key string, value any, secret bool, err error) *Error {
	e := &Error{Key: key, Origin: Origin{From: FromFile, Name: name}, Err: err}
	if !secret {
		e.Value = Plain(value)
	}
	for _, p := range places(data) {
		if len(p.path) == 0 || p.path[0] != key {
			continue
		}
		rows := strings.Split(string(data), "\n")
		if p.at.Line >= 1 && p.at.Line <= len(rows) {
			row := strings.TrimSuffix(rows[p.at.Line-1], "\r")
			// Columns are counted in bytes there, in characters here.
			e.Origin.Line, e.Origin.Column = p.at.Line, 1+utf8.RuneCountInString(row[:min(max(p.at.Column-1, 0), len(row))])
			if !secret {
				e.Text = row
			}
		}
		break
	}
	return e
}

// place is a key as it stands in the file: a header of a table, or the left
// side of an equal sign.
type place struct {
	path []string
	at   unstable.Position
}

// places walks the syntax tree of a text that is known to be right.
func places(data []byte) []place {
	var p unstable.Parser
	p.Reset(data)
	var all []place
	var table []string
	for p.NextExpression() {
		e := p.Expression()
		here := keyPlace(&p, e)
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			table = here.path
			all = append(all, here)
		case unstable.KeyValue:
			all = appendPlaces(&p, all, table, e)
		}
	}
	return all
}

// appendPlaces adds the key of a pair below prefix, and those in its inline table.
func appendPlaces(p *unstable.Parser, all []place, prefix []string, pair *unstable.Node) []place {
	here := keyPlace(p, pair)
	here.path = append(prefix[:len(prefix):len(prefix)], here.path...)
	all = append(all, here)
	if v := pair.Value(); v.Kind == unstable.InlineTable {
		for it := v.Children(); it.Next(); {
			if it.Node().Kind == unstable.KeyValue {
				all = appendPlaces(p, all, here.path, it.Node())
			}
		}
	}
	return all
}

func keyPlace(p *unstable.Parser, n *unstable.Node) place {
	var here place
	if n.Kind != unstable.KeyValue && n.Kind != unstable.Table && n.Kind != unstable.ArrayTable {
		return here
	}
	for it := n.Key(); it.Next(); {
		if here.path == nil {
			here.at = p.Shape(it.Node().Raw).Start
		}
		here.path = append(here.path, string(it.Node().Data))
	}
	return here
}

// setting finds the key that path names or lies within. A part that holds a
// dot of its own (a quoted key) names none.
func setting(path []string, known map[string]Key) (string, bool) {
	for i := range min(len(path), 2) { // no key has more than a section
		if strings.Contains(path[i], ".") {
			return "", false
		}
		name := strings.Join(path[:i+1], ".")
		if _, ok := known[name]; ok {
			return name, i+1 == len(path) || known[name].table != nil
		}
	}
	return "", false
}

// value finds what stands at path.
func value(m map[string]any, path []string) any {
	var v any = m
	for _, part := range path {
		table, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = table[part]
	}
	return v
}

// texts turns a TOML value into what [field.Set] takes. A list may be written
// as its only value.
func (k Key) texts(v any) ([]string, error) {
	vs, isList := v.([]any)
	switch {
	case isList && !k.List:
		return nil, errors.New("is one value, not a list; write it without brackets")
	case !isList:
		vs = []any{v}
	}
	texts := make([]string, 0, len(vs))
	for _, v := range vs {
		t, err := k.text(v)
		if err != nil {
			return nil, err
		}
		texts = append(texts, t)
	}
	return texts, nil
}

// Plain is a TOML value as a person would say it: a text without quotes, a list
// with commas.
func Plain(v any) string {
	list, ok := v.([]any)
	if !ok {
		return fmt.Sprint(v)
	}
	texts := make([]string, len(list))
	for i, v := range list {
		texts[i] = Plain(v)
	}
	return strings.Join(texts, ", ")
}

// text turns one TOML value into text, and refuses one of the wrong kind by
// saying how it is written.
func (k Key) text(v any) (string, error) {
	switch v := v.(type) {
	case string:
		switch k.Kind {
		case Number:
			return "", fmt.Errorf("%q: is a number; write it without quotes", v)
		case Truth:
			return "", fmt.Errorf("%q: write true or false, without quotes", v)
		}
		return v, nil
	case int64:
		if k.Kind == Number {
			return strconv.FormatInt(v, 10), nil
		}
		switch k.at.(type) {
		case *Duration, *Rate: // their parsers take a bare number, or explain
			return strconv.FormatInt(v, 10), nil
		case *Mode:
			return "", fmt.Errorf("%d: octal digits stand in quotes; write \"022\"", v)
		}
	case bool:
		if k.Kind == Truth {
			return strconv.FormatBool(v), nil
		}
	case map[string]any:
		if k.table != nil {
			return k.table(v)
		}
	}
	if k.Secret() {
		v = "(hidden)"
	}
	switch k.Kind {
	case Number:
		return "", fmt.Errorf("%v: not a whole number", v)
	case Truth:
		return "", fmt.Errorf("%v: neither true nor false", v)
	default:
		return "", fmt.Errorf("%v: not a text; write it in quotes", v)
	}
}

// fromTOML reads a list as TOML writes it.
func (k Key) fromTOML(list string) ([]string, error) {
	var m struct{ V []any }
	if err := toml.Unmarshal([]byte("V = "+list), &m); err != nil {
		return nil, fmt.Errorf("not a list as TOML writes it: %w", err)
	}
	return k.texts(any(m.V))
}
