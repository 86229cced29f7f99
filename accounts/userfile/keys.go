package userfile

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"towpath/accounts"
	"towpath/internal/charset"
	"towpath/internal/quote"
)

// key is one key of a section: how its value becomes part of an account, and
// how that is written. write is the inverse of read.
type key struct {
	name string
	// personal keys make no sense for all accounts at once.
	personal bool
	// read takes what TOML knows: string, int64, float64, bool, []any,
	// map[string]any or a time.
	read  func(a *accounts.Account, v any) error
	write func(a *accounts.Account) string
}

type account = accounts.Account

// keys are all keys, in the order in which they are written.
var keys = []key{
	personal(secret("password", func(a *account) *string { return &a.Hash })),
	personal(flag("any_password", func(a *account) *bool { return &a.AnyPassword })),
	personal(text("comment", func(a *account) *string { return &a.Comment }, nil)),
	{name: "state", read: readState, write: func(a *account) string { return quote.TOML(a.State.String()) }},
	text("home", func(a *account) *string { return &a.Home }, checkHome),
	{name: "rights", read: readRights, write: writeRights},
	number("privilege", func(a *account) *int { return &a.Privilege }, math.MaxInt32),
	number("access_limit", func(a *account) *int { return &a.AccessLimit }, math.MaxInt32),
	{name: "idle_timeout", read: readIdle, write: func(a *account) string { return quote.TOML(formatDuration(a.IdleTimeout)) }},
	{name: "allow", read: readAllow, write: writeAllow},
	flag("require_tls", func(a *account) *bool { return &a.RequireTLS }),
	size("quota_bytes", func(a *account) *int64 { return &a.Quota.Bytes }),
	number("quota_files", func(a *account) *int64 { return &a.Quota.Files }, math.MaxInt64),
	size("rate_up", func(a *account) *int64 { return &a.UploadRate }),
	size("rate_down", func(a *account) *int64 { return &a.DownloadRate }),
	text("charset", func(a *account) *string { return &a.Charset }, checkCharset),
	text("greeting", func(a *account) *string { return &a.Greeting }, nil),
}

func personal(k key) key {
	k.personal = true
	return k
}

// text is a key whose value is a string.
func text(name string, at func(*account) *string, check func(string) error) key {
	return key{
		name: name,
		read: func(a *account, v any) error {
			s, ok := v.(string)
			if !ok {
				return wrong(v, `text such as "…"`)
			}
			if strings.ContainsRune(s, 0) {
				return wrong(v, "text without NUL")
			}
			if check != nil {
				if err := check(s); err != nil {
					return err
				}
			}
			*at(a) = s
			return nil
		},
		write: func(a *account) string { return quote.TOML(*at(a)) },
	}
}

// secret is a key whose value is a password hash, and is never shown.
func secret(name string, at func(*account) *string) key {
	k := text(name, at, nil)
	k.read = func(a *account, v any) error {
		s, ok := v.(string)
		if !ok {
			return errors.New(`want a password hash in quotes`)
		}
		if s != "" {
			if err := accounts.CheckHash(s); err != nil {
				return err
			}
		}
		*at(a) = s
		return nil
	}
	return k
}

func flag(name string, at func(*account) *bool) key {
	return key{
		name: name,
		read: func(a *account, v any) error {
			b, ok := v.(bool)
			if !ok {
				return wrong(v, "true or false")
			}
			*at(a) = b
			return nil
		},
		write: func(a *account) string { return strconv.FormatBool(*at(a)) },
	}
}

func number[N int | int64](name string, at func(*account) *N, limit int64) key {
	return key{
		name: name,
		read: func(a *account, v any) error {
			n, ok := v.(int64)
			if !ok || n < 0 || n > limit {
				return wrong(v, fmt.Sprintf("a whole number from 0 to %d", limit))
			}
			*at(a) = N(n)
			return nil
		},
		write: func(a *account) string { return strconv.FormatInt(int64(*at(a)), 10) },
	}
}

// size is a key whose value is a number of bytes, or of bytes per second.
func size(name string, at func(*account) *int64) key {
	return key{
		name: name,
		read: func(a *account, v any) error {
			n, ok := v.(int64)
			if s, isText := v.(string); isText {
				var err error
				n, err = accounts.ParseSize(s)
				ok = err == nil
			}
			if !ok || n < 0 {
				return wrong(v, `bytes such as 1048576, "500MB" or "10GiB"`)
			}
			*at(a) = n
			return nil
		},
		write: func(a *account) string {
			s := accounts.FormatSize(*at(a))
			if _, err := strconv.Atoi(s); err == nil {
				return s
			}
			return quote.TOML(s)
		},
	}
}

func readState(a *account, v any) (err error) {
	s, ok := v.(string)
	if !ok {
		return wrong(v, `"active" or "block"`)
	}
	a.State, err = accounts.ParseState(s)
	return err
}

func checkHome(s string) error {
	if s != "" && s[0] != '/' && !filepath.IsAbs(s) {
		return wrong(s, "an absolute path; {user} in it stands for the name")
	}
	return nil
}

func checkCharset(s string) error {
	if s == "" {
		return nil
	}
	_, err := charset.Lookup(s)
	return err
}

func readIdle(a *account, v any) error {
	s, ok := v.(string)
	d, err := time.ParseDuration(s)
	if !ok || err != nil || d < 0 {
		return wrong(v, `a time such as "90s", "15m" or "2h"`)
	}
	a.IdleTimeout = d
	return nil
}

// formatDuration writes a duration as people do: 15m and not 15m0s.
func formatDuration(d time.Duration) string {
	s := d.String()
	if short, ok := strings.CutSuffix(s, "m0s"); ok {
		s = short + "m"
	}
	if short, ok := strings.CutSuffix(s, "h0m"); ok {
		s = short + "h"
	}
	return s
}

func readAllow(a *account, v any) error {
	const want = `networks such as ["192.0.2.0/24", "2001:db8::1"]`
	list, ok := v.([]any)
	if !ok {
		return wrong(v, want)
	}
	a.Networks = nil
	for _, item := range list {
		s, ok := item.(string)
		if !ok {
			return wrong(item, want)
		}
		n, err := accounts.ParseNetwork(s)
		if err != nil {
			return err
		}
		a.Networks = append(a.Networks, n)
	}
	return nil
}

func writeAllow(a *account) string {
	var list []string
	for _, n := range a.Networks {
		list = append(list, accounts.FormatNetwork(n))
	}
	return quoteAll(list)
}

// readRights reads rights for all paths, as "all" or ["list", "write"], or by
// path, as {"/" = "readonly", "/incoming" = ["list", "write"]}.
func readRights(a *account, v any) error {
	byPath, ok := v.(map[string]any)
	if !ok {
		byPath = map[string]any{"/": v}
	}
	if len(byPath) == 0 {
		return wrong(v, `rights for a path, such as {"/" = "readonly"}`)
	}
	var rules accounts.Rules
	for path, words := range byPath {
		r, err := readWords(words)
		if err != nil {
			return fmt.Errorf("for %q: %w", path, err)
		}
		rules = append(rules, accounts.Rule{Path: path, Rights: r})
	}
	if err := rules.Check(); err != nil {
		return err
	}
	slices.SortFunc(rules, func(a, b accounts.Rule) int { return strings.Compare(a.Path, b.Path) })
	a.Rights = rules
	return nil
}

func readWords(v any) (accounts.Rights, error) {
	const want = `words such as "readonly", "all" or ["list", "read", "write"]`
	switch v := v.(type) {
	case string:
		return accounts.ParseRights(v)
	case []any:
		var words []string
		for _, item := range v {
			s, ok := item.(string)
			if !ok {
				return 0, wrong(item, want)
			}
			words = append(words, s)
		}
		return accounts.ParseRights(strings.Join(words, " "))
	}
	return 0, wrong(v, want)
}

func writeRights(a *account) string {
	if len(a.Rights) == 0 {
		return quote.TOML("readonly")
	}
	if len(a.Rights) == 1 && a.Rights[0].Path == "/" {
		return quoteWords(a.Rights[0].Rights)
	}
	rules := slices.Clone(a.Rights)
	slices.SortFunc(rules, func(a, b accounts.Rule) int { return strings.Compare(a.Path, b.Path) })
	var list []string
	for _, r := range rules {
		list = append(list, quote.TOML(r.Path)+" = "+quoteWords(r.Rights))
	}
	return "{ " + strings.Join(list, ", ") + " }"
}

func quoteWords(r accounts.Rights) string {
	if words := r.Words(); len(words) > 1 {
		return quoteAll(words)
	}
	return quote.TOML(r.String())
}

func quoteAll(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = quote.TOML(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// quoteKey writes one part of a TOML key.
func quoteKey(s string) string {
	bare := func(r rune) bool {
		return r == '-' || r == '_' || '0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z'
	}
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !bare(r) }) {
		return s
	}
	return quote.TOML(s)
}

// wrong says what a value is and what it should be.
func wrong(v any, want string) error {
	if s, ok := v.(string); ok {
		return fmt.Errorf("%q: want %s", s, want)
	}
	return fmt.Errorf("%v: want %s", v, want)
}
