package progress

import (
	"os"

	"golang.org/x/term"
)

// Detect finds out what f is: whether it is a terminal, how wide, and whether
// colour is wanted there. NO_COLOR set to anything takes colour away, and
// CLICOLOR_FORCE other than 0 gives it without a terminal, too. A terminal that
// calls itself "dumb" cannot move its cursor, and counts for none.
func Detect(f *os.File, getenv func(string) string) Options {
	o := Options{Terminal: term.IsTerminal(int(f.Fd())) && getenv("TERM") != "dumb"}
	force := getenv("CLICOLOR_FORCE")
	o.Color = (o.Terminal || force != "" && force != "0") && getenv("NO_COLOR") == ""
	o.Width = func() int {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
			return w
		}
		return 80
	}
	return o
}
