package topology

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// Parse reads a network in TOML and validates it. Its errors are [*Error] and
// name the line.
func Parse(data []byte) (*Network, error) {
	var n Network
	err := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields().Decode(&n)
	if err != nil {
		return nil, decodeError(err)
	}
	if err := n.Validate(); err != nil {
		if e, ok := errors.AsType[*Error](err); ok {
			e.Line, e.Column = locate(data, e.Path)
		}
		return nil, err
	}
	return &n, nil
}

// decodeError says in our words what is wrong with the text.
func decodeError(err error) error {
	if m, ok := errors.AsType[*toml.StrictMissingError](err); ok && len(m.Errors) > 0 {
		d := &m.Errors[0]
		line, column := d.Position()
		return &Error{
			Path: strings.Join(d.Key(), "."), Line: line, Column: column,
			Problem: "there is no such key; want one that the manual of doctor names",
		}
	}
	if d, ok := errors.AsType[*toml.DecodeError](err); ok {
		line, column := d.Position()
		path := strings.Join(d.Key(), ".")
		if path == "" {
			path = "TOML"
		}
		return &Error{Path: path, Line: line, Column: column, Problem: strings.TrimPrefix(d.Error(), "toml: ")}
	}
	return fmt.Errorf("network: %w", err)
}

// locate finds where the value of a path like "router[0].interface[1].link"
// stands, or the nearest thing around it.
func locate(data []byte, path string) (line, column int) {
	places := positions(data)
	for path != "" {
		if at, ok := places[path]; ok {
			return at.Line, at.Column
		}
		path = path[:max(strings.LastIndexByte(path, '.'), strings.LastIndexByte(path, '['), 0)]
	}
	return 1, 1
}

// positions tells of each key and table where it stands.
func positions(data []byte) map[string]unstable.Position {
	var p unstable.Parser
	p.Reset(data)
	places := map[string]unstable.Position{}
	count := map[string]int{} // of tables in an array so far
	table := ""
	// enter turns the keys of a header or of a value into a path in which
	// arrays of tables are numbered.
	enter := func(base string, keys unstable.Iterator) (string, *unstable.Node) {
		var last *unstable.Node
		for keys.Next() {
			if last != nil && count[base] > 0 {
				base = fmt.Sprintf("%s[%d]", base, count[base]-1)
			}
			last = keys.Node()
			if base != "" {
				base += "."
			}
			base += string(last.Data)
		}
		return base, last
	}
	for p.NextExpression() {
		e := p.Expression()
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			path, key := enter("", e.Key())
			if e.Kind == unstable.ArrayTable {
				for name := range count { // those within begin anew
					if strings.HasPrefix(name, fmt.Sprintf("%s[%d].", path, count[path])) {
						delete(count, name)
					}
				}
				count[path]++
				path = fmt.Sprintf("%s[%d]", path, count[path]-1)
			}
			table = path
			if key != nil {
				places[path] = p.Shape(key.Raw).Start
			}
		case unstable.KeyValue:
			path, key := enter(table, e.Key())
			if key != nil {
				places[path] = p.Shape(key.Raw).Start
				within(&p, places, path, e.Value())
			}
		}
	}
	return places
}

// within goes on into arrays and inline tables.
func within(p *unstable.Parser, places map[string]unstable.Position, path string, value *unstable.Node) {
	children := value.Children()
	for i := 0; children.Next(); i++ {
		child := children.Node()
		switch {
		case child.Kind == unstable.KeyValue:
			keys := child.Key()
			for keys.Next() {
				name := path + "." + string(keys.Node().Data)
				places[name] = p.Shape(keys.Node().Raw).Start
				within(p, places, name, child.Value())
			}
		case value.Kind == unstable.Array:
			name := fmt.Sprintf("%s[%d]", path, i)
			within(p, places, name, child)
		}
	}
}
