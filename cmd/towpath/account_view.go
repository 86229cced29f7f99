package main

import (
	"cmp"
	"encoding/json"
	"io"
	"strconv"
	"strings"

	"towpath/accounts"
	"towpath/internal/columns"
)

// accountView is an account as it is shown: with the keys of the file, and
// without its hash.
type accountView struct {
	Name        string              `json:"name"`
	State       string              `json:"state"`
	Password    string              `json:"password"` // scheme of the hash, "any" or "none"
	Comment     string              `json:"comment,omitempty"`
	Home        string              `json:"home"`
	Rights      map[string][]string `json:"rights"`
	Privilege   int                 `json:"privilege"`
	AccessLimit int                 `json:"access_limit"`
	IdleTimeout string              `json:"idle_timeout"`
	Allow       []string            `json:"allow"`
	RequireTLS  bool                `json:"require_tls"`
	QuotaBytes  int64               `json:"quota_bytes"`
	QuotaFiles  int64               `json:"quota_files"`
	RateUp      int64               `json:"rate_up"`
	RateDown    int64               `json:"rate_down"`
	Charset     string              `json:"charset,omitempty"`
	Greeting    string              `json:"greeting,omitempty"`

	rights string // in one line
}

func viewOf(a *accounts.Account) accountView {
	v := accountView{
		Name: a.Name, State: a.State.String(), Password: cmp.Or(accounts.Scheme(a.Hash), "none"),
		Comment: a.Comment, Home: a.Home, Rights: map[string][]string{}, Privilege: a.Privilege,
		AccessLimit: a.AccessLimit, IdleTimeout: a.IdleTimeout.String(), Allow: []string{},
		RequireTLS: a.RequireTLS, QuotaBytes: a.Quota.Bytes, QuotaFiles: a.Quota.Files,
		RateUp: a.UploadRate, RateDown: a.DownloadRate, Charset: a.Charset, Greeting: a.Greeting,
	}
	if a.AnyPassword {
		v.Password = "any"
	}
	for _, n := range a.Networks {
		v.Allow = append(v.Allow, accounts.FormatNetwork(n))
	}
	rules := a.Rights
	if len(rules) == 0 {
		rules = accounts.Rules{{Path: "/", Rights: accounts.ReadOnly}}
	}
	var texts []string
	for _, r := range rules {
		v.Rights[r.Path] = r.Rights.Words()
		text := strings.Join(r.Rights.Words(), ",")
		if r.Path != "/" || len(rules) > 1 {
			text = r.Path + "=" + text
		}
		texts = append(texts, text)
	}
	v.rights = strings.Join(texts, " ")
	return v
}

func (v accountView) write(w io.Writer) error {
	idle := v.IdleTimeout
	if idle == "0s" {
		idle = "as the server says"
	}
	rate := func(n int64) string { return accounts.FormatSize(n) + "/s" }
	var rows [][]string
	for _, line := range [][2]string{
		{"name", v.Name},
		{"state", v.State},
		{"password", v.Password},
		{"comment", v.Comment},
		{"home", cmp.Or(v.Home, "as the server says")},
		{"rights", v.rights},
		{"privilege", strconv.Itoa(v.Privilege)},
		{"sessions at once", accountLimit(int64(v.AccessLimit), accountNumber)},
		{"idle time-out", idle},
		{"allowed from", cmp.Or(strings.Join(v.Allow, " "), "everywhere")},
		{"TLS required", strconv.FormatBool(v.RequireTLS)},
		{"quota, bytes", accountLimit(v.QuotaBytes, accounts.FormatSize)},
		{"quota, files", accountLimit(v.QuotaFiles, accountNumber)},
		{"upload rate", accountLimit(v.RateUp, rate)},
		{"download rate", accountLimit(v.RateDown, rate)},
		{"charset", cmp.Or(v.Charset, "UTF-8")},
		{"greeting", v.Greeting},
	} {
		if line[1] != "" {
			rows = append(rows, []string{line[0] + ":", columns.Shown(line[1])})
		}
	}
	return writeTable(w, rows)
}

// writeTable writes rows in columns, whatever the script of what is in them.
func writeTable(w io.Writer, rows [][]string) error {
	var b strings.Builder
	columns.Table(&b, rows)
	_, err := io.WriteString(w, b.String())
	return err
}

// accountLimit writes a limit, of which 0 is none.
func accountLimit(n int64, format func(int64) string) string {
	if n == 0 {
		return "no limit"
	}
	return format(n)
}

func accountNumber(n int64) string { return strconv.FormatInt(n, 10) }

func writeAccountJSON(w io.Writer, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = w.Write(append(columns.JSON(text), '\n'))
	return err
}
