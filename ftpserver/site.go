package ftpserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"towpath/ftp"
	"towpath/storage"
)

// siteCommands are the words of SITE: an allow-list, after login, through the
// same doors as every other command.
var siteCommands map[string]*command

func init() {
	siteCommands = map[string]*command{
		"CHMOD":   {run: (*session).siteChmod, arg: text, syntax: "CHMOD mode path"},
		"UTIME":   {run: (*session).siteUtime, arg: text, syntax: "UTIME YYYYMMDDhhmm[ss] path | UTIME path atime mtime ctime UTC"},
		"SYMLINK": {run: (*session).siteSymlink, arg: text, syntax: "SYMLINK target name"},
		"HELP":    {run: (*session).siteHelp, arg: optional, syntax: "HELP"},
		"WHO":     {run: (*session).siteWho, arg: nothing, syntax: "WHO"},
		"IDLE":    {run: (*session).siteIdle, arg: optional, syntax: "IDLE [seconds]"},
		"QUOTA":   {run: (*session).siteQuota, arg: nothing, syntax: "QUOTA"},
		"CPFR":    {run: (*session).siteCopyFrom, arg: aPath, syntax: "CPFR path", needs: Read | Copy},
		"CPTO":    {run: (*session).siteCopyTo, arg: newPath, syntax: "CPTO path", needs: Write | Copy, slow: true},
	}
}

// site is SITE.
func (s *session) site(_ context.Context, arg string) (ftp.Reply, error) {
	word, rest, _ := strings.Cut(strings.TrimLeft(arg, " "), " ")
	word = strings.ToUpper(word)
	cmd, ok := siteCommands[word]
	if !ok || word == "SYMLINK" && !s.set.AllowSymlinks {
		return ftp.Reply{}, refuse(504, "SITE "+ftp.Escape(word)+" is not known; SITE HELP lists what is.", nil)
	}
	arg, err := s.argument(cmd, rest)
	if err == nil {
		err = s.granted(cmd, arg)
	}
	var r ftp.Reply
	if err == nil {
		r, err = s.carryOut(cmd, "SITE "+word, arg)
	}
	if err != nil {
		return ftp.Reply{}, &replyError{refusal(err, cmd, ftp.Command{Verb: "SITE"}), err}
	}
	return r, nil
}

func (s *session) siteHelp(context.Context, string) (ftp.Reply, error) {
	var lines []string
	for word, cmd := range siteCommands {
		if word != "SYMLINK" || s.set.AllowSymlinks {
			lines = append(lines, " "+cmd.syntax)
		}
	}
	slices.Sort(lines)
	return ftp.NewReply(214, "SITE commands:\n"+strings.Join(lines, "\n")+"\nEnd"), nil
}

// siteChmod is SITE CHMOD: "mode path".
func (s *session) siteChmod(ctx context.Context, arg string) (ftp.Reply, error) {
	octal, rest, _ := strings.Cut(arg, " ")
	if rest == "" {
		return ftp.Reply{}, errSyntax
	}
	mode, err := parseMode(octal)
	if err != nil {
		return ftp.Reply{}, err
	}
	name, err := s.path(rest)
	if err != nil {
		return ftp.Reply{}, err
	}
	if err := s.demand(name, Chmod); err != nil {
		return ftp.Reply{}, err
	}
	if err := storage.Chmod(ctx, s.user().Root, name, mode); err != nil {
		return ftp.Reply{}, err
	}
	return ftp.NewReply(200, fmt.Sprintf("Mode is %03o.", mode)), nil
}

// siteUtime is SITE UTIME in its two forms: "time path", and as Pure-FTPd has
// it, "path atime mtime ctime UTC".
func (s *session) siteUtime(ctx context.Context, arg string) (ftp.Reply, error) {
	when, rest, ok := utimeLong(arg)
	if !ok {
		var stamp string
		stamp, rest, _ = strings.Cut(arg, " ")
		var err error
		if when, err = utimeStamp(stamp); err != nil || rest == "" {
			return ftp.Reply{}, errSyntax
		}
	}
	r, err := s.setTime(ctx, "UTIME", when, rest)
	if err != nil {
		return ftp.Reply{}, err
	}
	r.Code = 200
	return r, nil
}

func utimeLong(arg string) (when time.Time, name string, ok bool) {
	f := strings.Fields(arg)
	if len(f) < 5 || !strings.EqualFold(f[len(f)-1], "UTC") {
		return time.Time{}, "", false
	}
	when, err := utimeStamp(f[len(f)-3])
	if err != nil {
		return time.Time{}, "", false
	}
	name = strings.TrimRight(arg, " ")
	for range 4 {
		name = strings.TrimRight(name[:strings.LastIndexByte(name, ' ')], " ")
	}
	return when, name, true
}

// utimeStamp reads a time whose seconds may be missing.
func utimeStamp(s string) (time.Time, error) {
	if len(s) == len("200601021504") {
		s += "00"
	}
	return ftp.ParseTime(s)
}

// siteSymlink is SITE SYMLINK: "target name". Since rights belong to paths, the
// link must not give any that its target does not.
func (s *session) siteSymlink(ctx context.Context, arg string) (ftp.Reply, error) {
	words, err := splitQuoted(arg)
	if err != nil || len(words) != 2 {
		return ftp.Reply{}, errSyntax
	}
	target, err := s.path(words[0])
	if err != nil {
		return ftp.Reply{}, err
	}
	name, err := s.newPath(words[1])
	if err != nil {
		return ftp.Reply{}, err
	}
	if !s.may(target, Read) || !s.may(name, Link) {
		return ftp.Reply{}, errDenied
	}
	if s.user().Quota != nil {
		// Nobody could tell how much is free again when the link is removed.
		return ftp.Reply{}, refuse(550, "Users with a quota make no links.", nil)
	}
	err = s.each(ctx, target, name, func(old, new string) bool {
		return s.rights(new)&^(s.rights(old)|Link) == 0
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return ftp.Reply{}, err
	}
	if err := storage.Symlink(ctx, s.user().Root, target, name); err != nil {
		return ftp.Reply{}, err
	}
	return ftp.NewReply(200, "Link made."), nil
}

// siteWho is SITE WHO, for those who may see other people's sessions.
func (s *session) siteWho(context.Context, string) (ftp.Reply, error) {
	if err := s.demand("/", Admin); err != nil {
		return ftp.Reply{}, err
	}
	var b strings.Builder
	b.WriteString("Sessions:")
	for _, i := range s.srv.Sessions() {
		fmt.Fprintf(&b, "\n %d %s %v since %s", i.ID, ftp.Escape(orDash(i.User)), i.Peer, i.Began.UTC().Format(time.DateTime))
		if i.Verb != "" {
			fmt.Fprintf(&b, " %s %s %d bytes", i.Verb, ftp.Escape(i.Path), i.Bytes)
		}
	}
	b.WriteString("\nEnd")
	return ftp.NewReply(200, b.String()), nil
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// siteIdle is SITE IDLE: shows or sets the idle time-out.
func (s *session) siteIdle(_ context.Context, arg string) (ftp.Reply, error) {
	if strings.TrimSpace(arg) != "" {
		n, err := strconv.Atoi(strings.TrimSpace(arg))
		if most := int(s.set.MaxIdleTimeout.Seconds()); err != nil || n < 30 || n > most {
			return ftp.Reply{}, refuse(501, fmt.Sprintf("IDLE takes 30 to %d seconds.", most), err)
		}
		s.idle = time.Duration(n) * time.Second
	}
	return ftp.NewReply(200, fmt.Sprintf("Idle time-out is %d seconds, at most %d.", int(s.idle.Seconds()), int(s.set.MaxIdleTimeout.Seconds()))), nil
}

// siteQuota is SITE QUOTA.
func (s *session) siteQuota(context.Context, string) (ftp.Reply, error) {
	q := s.user().Quota
	if q == nil {
		return ftp.NewReply(200, "No quota: no limit."), nil
	}
	usedBytes, maxBytes, usedFiles, maxFiles := q.Usage()
	return ftp.NewReply(200, fmt.Sprintf("Quota:\n bytes: %d used, %s allowed\n files: %d used, %s allowed\nEnd",
		usedBytes, orNoLimit(maxBytes), usedFiles, orNoLimit(maxFiles))), nil
}

func orNoLimit(n int64) string {
	if n <= 0 {
		return "any number"
	}
	return strconv.FormatInt(n, 10)
}

// siteCopyFrom and siteCopyTo are SITE CPFR and CPTO: a copy on the server.
func (s *session) siteCopyFrom(ctx context.Context, name string) (ftp.Reply, error) {
	fi, err := s.user().Root.Stat(ctx, name)
	if err != nil {
		return ftp.Reply{}, err
	}
	switch {
	case fi.IsDir():
		return ftp.Reply{}, storage.ErrIsDir
	case !fi.Mode().IsRegular():
		return ftp.Reply{}, storage.ErrNotRegular
	}
	s.more().cpfr = name
	return ftp.NewReply(350, "CPTO names the copy."), nil
}

func (s *session) siteCopyTo(ctx context.Context, name string) (ftp.Reply, error) {
	from := s.more().cpfr
	if from == "" {
		return ftp.Reply{}, refuse(503, "Send SITE CPFR first.", nil)
	}
	s.more().cpfr = ""
	if from == name {
		return ftp.Reply{}, refuse(553, "A file cannot be copied onto itself.", nil)
	}
	if err := s.demand(from, Read|Copy); err != nil {
		return ftp.Reply{}, err
	}
	if err := s.copyInto(ctx, name, storage.How{}, []string{from}); err != nil {
		return ftp.Reply{}, err
	}
	return ftp.NewReply(250, "Copied."), nil
}
