package interop

import (
	"path/filepath"
	"strings"
	"testing"
)

// A newcomer runs the server with nothing but an address, and does to the
// letter what it proposes.
func TestNewcomer(t *testing.T) {
	t.Parallel()
	s := serve(t, v4, nil)
	v := &visit{server: s, dir: t.TempDir()}
	s.put("chart.txt", "here be locks\n")
	write(t, v.local("FILE"), sea)

	var tried []string
	for line := range strings.Lines(s.greeting) {
		example := strings.TrimSpace(line)
		program, _, _ := strings.Cut(example, " ")
		var input string
		switch program {
		case "curl":
			need(t, curl)
		case "lftp":
			need(t, lftp)
			input = "set cmd:fail-exit yes\nset net:max-retries 1\nls\nget chart.txt\nput FILE -o again\n" // it opens a shell
		default:
			continue
		}
		tried = append(tried, program)
		out := v.do(t, call{[]string{"sh", "-c", example}, input})
		if !strings.Contains(example, "-T") && !strings.Contains(out, "chart.txt") {
			t.Errorf("%s does not show chart.txt:\n%s", example, out)
		}
	}
	if got := strings.Join(tried, " "); got != "curl curl lftp" {
		t.Errorf("the examples are of %q, want curl twice and lftp", got)
	}
	s.hold("FILE", sea)
	s.hold("again", sea)
	hold(t, filepath.Join(v.dir, "chart.txt"), "here be locks\n")
}
