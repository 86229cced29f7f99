package lab

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
)

// Defenders are what [Lab.Attack] attacks.
var Defenders = []string{"kernel", "gateway"}

// Onslaught is what became of one attack on each of [Defenders].
type Onslaught struct {
	// Check is the number of the check that it tries: see gateway.Checks.
	Check int    `json:"check"`
	Name  string `json:"name"`
	// Fell says by defender what the attacker got, Failed why it could not be
	// played. In neither is who withstood it.
	Fell   map[string]string `json:"fell,omitempty"`
	Failed map[string]string `json:"failed,omitempty"`
}

// WriteOnslaughts writes a table of who withstood what, and below it what
// attackers got.
func WriteOnslaughts(w io.Writer, all []Onslaught) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "CHECK\tATTACK")
	withstood := map[string]int{}
	for _, d := range Defenders {
		fmt.Fprintf(t, "\t%s", d)
	}
	fmt.Fprintln(t)
	for _, o := range all {
		fmt.Fprintf(t, "%d\t%s", o.Check, o.Name)
		for _, d := range Defenders {
			word := "withstands"
			switch {
			case o.Failed[d] != "":
				word = "not played"
			case o.Fell[d] != "":
				word = "falls"
			default:
				withstood[d]++
			}
			fmt.Fprintf(t, "\t%s", word)
		}
		fmt.Fprintln(t)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, o := range all {
		for _, d := range Defenders {
			for _, why := range []string{o.Fell[d], o.Failed[d]} {
				if why != "" {
					if _, err := fmt.Fprintf(w, "%s, %s: %s\n", d, o.Name, why); err != nil {
						return err
					}
				}
			}
		}
	}
	for _, d := range Defenders {
		if _, err := fmt.Fprintf(w, "The %s withstands %d of %d attacks.\n", d, withstood[d], len(all)); err != nil {
			return err
		}
	}
	return nil
}

// WriteOnslaughtsJSON writes them as one array.
func WriteOnslaughtsJSON(w io.Writer, all []Onslaught) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(all)
}
