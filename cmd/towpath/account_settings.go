package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"towpath/accounts"
	"towpath/internal/charset"
)

// accountSettings are the flags that say what an account may do.
type accountSettings struct {
	c                                      *cobra.Command
	home, quota, up, down, chars, greeting string
	comment                                string
	rights, allow                          []string
	limit, privilege                       int
	files                                  int64
	idle                                   time.Duration
	tls                                    bool
}

func registerAccountSettings(c *cobra.Command) *accountSettings {
	s := &accountSettings{c: c}
	f := c.Flags()
	f.StringVar(&s.home, "home", "", "`DIR` that the user sees as /; {user} in it stands for the name")
	f.StringArrayVar(&s.rights, "rights", nil, "`WORDS` for all paths or PATH=WORDS, repeatable: none, readonly, all, or of list,read,write,append,delete,rename,mkdir,rmdir,chmod,times,copy,link,admin")
	f.IntVar(&s.limit, "access-limit", 0, "at most `N` sessions at once (0: no limit)")
	f.DurationVar(&s.idle, "idle-timeout", 0, "end sessions that are idle for `TIME`, such as 15m (0: as the server says)")
	f.IntVar(&s.privilege, "privilege", 0, "privilege `LEVEL`; higher is more")
	f.StringSliceVar(&s.allow, "allow", nil, "let the account in from `CIDR` alone, repeatable (\"\": from everywhere)")
	f.BoolVar(&s.tls, "require-tls", false, "refuse logins and data in clear text")
	f.StringVar(&s.quota, "quota-bytes", "", "store at most `SIZE`, such as 10GiB (0: no limit)")
	f.Int64Var(&s.files, "quota-files", 0, "store at most `N` files (0: no limit)")
	f.StringVar(&s.up, "rate-up", "", "upload at most `SIZE` per second (0: no limit)")
	f.StringVar(&s.down, "rate-down", "", "download at most `SIZE` per second (0: no limit)")
	f.StringVar(&s.chars, "charset", "", "`CHARSET` of names for clients without UTF-8: "+strings.Join(charset.Names(), ", "))
	f.StringVar(&s.greeting, "greeting", "", "`TEXT` shown after the login")
	f.StringVar(&s.comment, "comment", "", "`TEXT` for those who keep the accounts")
	_ = c.MarkFlagDirname("home") // the flag is there
	_ = c.RegisterFlagCompletionFunc("charset", cobra.FixedCompletions(charset.Names(), cobra.ShellCompDirectiveNoFileComp))
	return s
}

var accountSettingNames = []string{
	"home", "rights", "access-limit", "idle-timeout", "privilege", "allow", "require-tls", "quota-bytes",
	"quota-files", "rate-up", "rate-down", "charset", "greeting", "comment",
}

func (s *accountSettings) given() bool {
	for _, name := range accountSettingNames {
		if s.c.Flags().Changed(name) {
			return true
		}
	}
	return false
}

// apply changes in a what flags were given for.
func (s *accountSettings) apply(a *accounts.Account) error {
	for _, name := range accountSettingNames {
		if !s.c.Flags().Changed(name) {
			continue
		}
		if err := s.one(name, a); err != nil {
			return exit(exitUsage, fmt.Errorf("--%s: %w", name, err))
		}
	}
	return nil
}

func (s *accountSettings) one(name string, a *accounts.Account) (err error) {
	switch name {
	case "home":
		a.Home = strings.ReplaceAll(s.home, "{user}", a.Name)
		if s.home != "" {
			a.Home, err = filepath.Abs(a.Home)
		}
	case "rights":
		a.Rights, err = parseAccountRules(s.rights)
	case "access-limit":
		a.AccessLimit = s.limit
	case "idle-timeout":
		a.IdleTimeout = s.idle
	case "privilege":
		a.Privilege = s.privilege
	case "allow":
		a.Networks = nil
		for _, text := range s.allow {
			n, err := accounts.ParseNetwork(text)
			if err != nil {
				return err
			}
			a.Networks = append(a.Networks, n)
		}
	case "require-tls":
		a.RequireTLS = s.tls
	case "quota-bytes":
		a.Quota.Bytes, err = accounts.ParseSize(s.quota)
	case "quota-files":
		a.Quota.Files = s.files
	case "rate-up":
		a.UploadRate, err = accounts.ParseSize(s.up)
	case "rate-down":
		a.DownloadRate, err = accounts.ParseSize(s.down)
	case "charset":
		a.Charset = s.chars
		if s.chars != "" {
			_, err = charset.Lookup(s.chars)
		}
	case "greeting":
		a.Greeting = s.greeting
	case "comment":
		a.Comment = s.comment
	}
	return err
}

// parseAccountRules reads WORDS, which are for all paths, and PATH=WORDS.
func parseAccountRules(list []string) (accounts.Rules, error) {
	var rules accounts.Rules
	for _, text := range list {
		path, words := "/", text
		if i := strings.LastIndexByte(text, '='); i >= 0 {
			path, words = text[:i], text[i+1:]
		}
		r, err := accounts.ParseRights(words)
		if err != nil {
			return nil, err
		}
		rules = append(rules, accounts.Rule{Path: path, Rights: r})
	}
	return rules, rules.Check()
}
