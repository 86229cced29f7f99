package shell

import (
	"os"
	"strconv"

	"golang.org/x/term"

	"towpath/ftp"
)

// escape shows control characters as \x1b.
func escape(text string) string { return ftp.Escape(text) }

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + one + "s"
}
