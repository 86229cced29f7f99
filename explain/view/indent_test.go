package view

import (
	"bytes"
	"encoding/json"
	"testing"
)

// JSON is laid out as encoding/json does it, whatever stands in strings.
func TestIndent(t *testing.T) {
	t.Parallel()
	for _, value := range []any{
		nil, "",
		[]int{},
		struct{}{},
		map[string]any{},
		[]any{1.5, true, nil, []any{[]any{}, map[string]any{"a": []int{1, 2}}}},
		map[string]any{"{[\"\\": "]},:\\", "a": `\"`, "b": "\u2028 <&>", "c": map[string]string{"": ""}},
	} {
		compact, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		var want bytes.Buffer
		if err := json.Indent(&want, compact, "    ", "  "); err != nil {
			t.Fatal(err)
		}
		if got := string(indent(nil, compact, 2)); got != want.String() {
			t.Errorf("%s: got\n%s\nwant\n%s", compact, got, want.String())
		}
	}
}
