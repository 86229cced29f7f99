package config

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"towpath/internal/quote"
)

// Show says what [Settings.Write] writes.
type Show struct {
	// Effective writes the settings that nobody set, too.
	Effective bool
	// Origin writes behind each setting where it came from.
	Origin bool
	// Secrets writes passwords. Without it a text with passwords hidden cannot
	// be read back.
	Secrets bool
}

// Write writes the settings as TOML, in the order of [Config.Keys].
func (s *Settings) Write(w io.Writer, show Show) error {
	b := bufio.NewWriter(w)
	section, written := "", false
	for _, k := range s.Keys() {
		from := s.Origin(k.Name)
		if from.From == FromDefault && !show.Effective {
			continue
		}
		if k.Section() != section {
			section = k.Section()
			if written {
				fmt.Fprintln(b)
			}
			fmt.Fprintf(b, "[%s]\n", section)
		}
		written = true
		texts := k.Shown()
		if show.Secrets {
			texts = k.Texts()
		}
		line := k.Line(texts)
		if show.Origin {
			line = fmt.Sprintf("%-40s # %s", line, clean(from.String()))
		}
		fmt.Fprintln(b, line)
	}
	return b.Flush()
}

// WriteExample writes a file with every key, its meaning and its default, all
// of them as comments: a file to begin with.
func WriteExample(w io.Writer) error {
	b := bufio.NewWriter(w)
	fmt.Fprint(b, `# Settings of "towpath serve". What is commented out is the default.
#
# A variable wins over this file, as TOWPATH_PASSIVE__PORTS for passive.ports,
# and a flag over both. "towpath config check" looks at the file before it
# counts; "towpath config show --effective --origin" tells what holds, and why.
`)
	c := Default()
	section := ""
	for _, k := range c.Keys() {
		if k.Section() != section {
			section = k.Section()
			fmt.Fprintf(b, "\n[%s]\n", section)
		}
		doc := k.Doc
		if k.Flag != "" {
			doc += " (--" + k.Flag + ")"
		}
		fmt.Fprintf(b, "\n%s#%s\n", Wrap(doc, "# ", 80), k.Line(k.Shown()))
		if e := examples[k.Name]; e != nil {
			fmt.Fprintf(b, "#%s\n", k.Line(e))
		}
	}
	return b.Flush()
}

// examples are values that say more than the default does.
var examples = map[string][]string{
	"listen":           {"192.0.2.1:21", "[2001:db8::1]:21"},
	"user":             {"alice:correct horse"},
	"passive.ports":    {"50000-50100"},
	"passive.external": {"10.0.0.0/8=10.0.0.5", "tls=203.0.113.8", "203.0.113.7"},
	"tls.cert":         {"/etc/towpath/fullchain.pem"},
	"tls.key":          {"/etc/towpath/privkey.pem"},
	"tls.hosts":        {"ftp.example.org=/etc/towpath/org.pem|/etc/towpath/org.key"},
	"tls.implicit":     {":990"},
	"files.charset":    {"gbk"},
	"log.xferlog":      {"/var/log/towpath/xferlog"},
}

// Wrap breaks text into lines of at most width bytes, each after prefix.
func Wrap(text, prefix string, width int) string {
	var b strings.Builder
	line := prefix
	for word := range strings.FieldsSeq(text) {
		if line != prefix && len(line)+1+len(word) > width {
			b.WriteString(line + "\n")
			line = prefix
		}
		if line != prefix {
			line += " "
		}
		line += word
	}
	b.WriteString(line + "\n")
	return b.String()
}

// Line is the setting as it stands in a file below its section: `ports = "50000-50100"`.
func (k Key) Line(texts []string) string {
	return k.Name[strings.LastIndexByte(k.Name, '.')+1:] + " = " + k.toml(texts)
}

// toml is the inverse of [Key.texts].
func (k Key) toml(texts []string) string {
	values := make([]string, len(texts))
	for i, t := range texts {
		if k.Kind == Text {
			t = quote.TOML(t)
		}
		values[i] = t
	}
	if k.List {
		return "[" + strings.Join(values, ", ") + "]"
	}
	return values[0]
}
