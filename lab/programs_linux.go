package lab

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"towpath/doctor"
	"towpath/internal/certs"
	"towpath/topology"
)

// somebody is the user that a server becomes which will not stay root.
const somebody = 65534

// Programs of others. Each is a function that makes the command; what they
// cannot do is said beforehand, by cannot.

var servers = map[string]func(s serverOrder, dir, program string) (*exec.Cmd, error){
	"vsftpd":   vsftpd,
	"proftpd":  proftpd,
	"pureftpd": pureftpd,
}

var clients = map[string]func(c clientOrder, mode doctor.Mode, program string) *exec.Cmd{
	"curl":  curl,
	"lftp":  lftp,
	"tnftp": tnftp,
}

// find looks for a program where PATH says and where Debian puts servers.
func (l *Lab) find(name string) (string, error) {
	if name == "pureftpd" { // as others than its authors call it
		name = "pure-ftpd"
	}
	if at, err := exec.LookPath(name); err == nil {
		return at, nil
	}
	for _, dir := range append([]string{"/usr/sbin", "/usr/local/sbin"}, l.Programs...) {
		if at, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return filepath.Abs(at)
		}
	}
	return "", fmt.Errorf("%s is not installed", name)
}

// cannot says why a program of others cannot play a part in this session, or "".
func (l *Lab) cannot(n *topology.Network, mode doctor.Mode) string {
	s, active := n.Session, mode == doctor.PORT || mode == doctor.EPRT
	lines := s.Lines != "" && s.Lines != topology.Whole
	strict := slices.ContainsFunc(n.Nodes(), func(m *topology.Node) bool {
		return m.StrictlyReplies && m.ALG != nil && m.ALG.Kind == topology.Gateway
	})
	switch {
	case l.Server == "pureftpd" && !manyUsers():
		return "Pure-FTPd becomes another user, and there is but one here; root has more, and so has who is lent some by /etc/subuid and newuidmap"
	case l.Plane == "conntrack" && strict:
		return "expectations are for a firewall that accepts what is related"
	case (l.Server != "" || l.Client != "") && lines:
		return "only our own programs cut their lines"
	case l.Server == "vsftpd" && s.ClearAgain:
		return "vsftpd has no CCC"
	case (l.Client == "lftp" || l.Client == "tnftp") && s.ClearAgain:
		return l.Client + " has no CCC"
	case (l.Client == "lftp" || l.Client == "tnftp") && s.KeepAlive > 0:
		return l.Client + " sends nothing during a transfer"
	case l.Client == "curl" && active && s.TLS:
		return "curl 7.88 never speaks TLS on a data connection that it has accepted"
	case l.Client == "lftp" && mode == doctor.EPRT && s.To.Addr().Is4():
		return "lftp uses EPRT for IPv6 only"
	case l.Client == "tnftp" && s.TLS:
		return "tnftp has no TLS"
	case l.Client != "" && n.Node(s.From).Client != nil && (n.Node(s.From).Client.External.IsValid() && l.Client != "curl"):
		return l.Client + " announces no address but its own"
	}
	return ""
}

// certificate writes one for both parts of a server into a file.
func certificate(dir string) (string, error) {
	c, err := certs.SelfSigned("", "lab")
	if err != nil {
		return "", err
	}
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "server.pem")
	text := append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})...)
	return file, os.WriteFile(file, text, 0o600)
}

// served makes the directory with the file.
func served(dir string, length int64) (string, error) {
	root := filepath.Join(dir, "served")
	err := os.Mkdir(root, 0o755)
	if err == nil {
		err = os.WriteFile(filepath.Join(root, fileName), nil, 0o644)
	}
	if err == nil {
		err = os.Truncate(filepath.Join(root, fileName), length)
	}
	return root, err
}

func yes(b bool) string {
	if b {
		return "YES"
	}
	return "NO"
}

// whole is a time in the whole seconds that others count in, at least one.
func whole(d time.Duration) int { return max(1, int((d+time.Second-1)/time.Second)) }

func vsftpd(s serverOrder, dir, program string) (*exec.Cmd, error) {
	root, err := served(dir, s.Size)
	if err != nil {
		return nil, err
	}
	conf := fmt.Sprintf(`listen=%s
listen_ipv6=%s
listen_port=%d
background=NO
run_as_launching_user=YES
anonymous_enable=YES
ftp_username=root
no_anon_password=YES
anon_root=%s
local_enable=NO
secure_chroot_dir=%s
xferlog_enable=NO
seccomp_sandbox=NO
isolate=NO
isolate_network=NO
pasv_min_port=%d
pasv_max_port=%d
pasv_promiscuous=%s
port_promiscuous=%s
connect_from_port_20=%s
connect_timeout=%d
accept_timeout=%d
anon_max_rate=%d
ssl_enable=%s
allow_anon_ssl=YES
require_ssl_reuse=NO
ssl_ciphers=HIGH
`, yes(!s.IPv6), yes(s.IPv6), s.Port, root, root, s.Passive.Low, s.Passive.High, yes(s.Foreign), yes(s.Foreign), yes(s.DataPort == 20),
		whole(s.Patience), whole(2*s.Patience), s.Rate, yes(s.TLS))
	if s.External.IsValid() {
		conf += fmt.Sprintf("pasv_address=%v\n", s.External)
	}
	if s.TLS {
		file, err := certificate(dir)
		if err != nil {
			return nil, err
		}
		conf += fmt.Sprintf("rsa_cert_file=%s\nrsa_private_key_file=%s\n", file, file)
	}
	file := filepath.Join(dir, "vsftpd.conf")
	return exec.Command(program, file), os.WriteFile(file, []byte(conf), 0o600)
}

func proftpd(s serverOrder, dir, program string) (*exec.Cmd, error) {
	root, err := served(dir, s.Size)
	if err != nil {
		return nil, err
	}
	users := filepath.Join(dir, "users")
	// $1$ is what every crypt(3) knows; the password is "secret".
	if err := os.WriteFile(users, []byte("ftp:$1$towpath$ahqmc7Etq45vH1hWO03rW.:0:0::"+root+":/bin/sh\n"), 0o600); err != nil {
		return nil, err
	}
	conf := fmt.Sprintf(`ServerType standalone
ServerName lab
Port %d
UseIPv6 %s
UseReverseDNS off
PidFile %s/pid
ScoreboardFile none
DelayEngine off
<IfModule mod_ctrls.c>
ControlsEngine off
</IfModule>
SystemLog none
TransferLog none
WtmpLog off
User root
Group root
RootLogin on
AuthOrder mod_auth_file.c
AuthUserFile %s
RequireValidShell off
DefaultChdir %s
PassivePorts %d %d
AllowForeignAddress %s
TimeoutNoTransfer 60
TimeoutStalled 60
`, s.Port, map[bool]string{true: "on", false: "off"}[s.IPv6], dir, users, root, s.Passive.Low, s.Passive.High, map[bool]string{true: "on", false: "off"}[s.Foreign])
	if s.External.IsValid() {
		conf += fmt.Sprintf("MasqueradeAddress %v\n", s.External)
	}
	if s.Rate > 0 {
		conf += fmt.Sprintf("TransferRate RETR %.2f\n", float64(s.Rate)/1024)
	}
	if s.TLS {
		file, err := certificate(dir)
		if err != nil {
			return nil, err
		}
		modules := filepath.Join(filepath.Dir(program), "../lib/proftpd")
		conf = "ModulePath " + modules + "\nLoadModule mod_tls.c\n" + conf + fmt.Sprintf(`TLSEngine on
TLSRSACertificateFile %s
TLSRSACertificateKeyFile %s
TLSVerifyClient off
TLSOptions NoSessionReuseRequired
`, file, file)
	}
	file := filepath.Join(dir, "proftpd.conf")
	return exec.Command(program, "-n", "-q", "-c", file), os.WriteFile(file, []byte(conf), 0o600)
}

// pureftpd becomes another user for each session, root never: what it serves
// belongs to that user.
func pureftpd(s serverOrder, dir, program string) (*exec.Cmd, error) {
	root, err := served(dir, s.Size)
	if err != nil {
		return nil, err
	}
	users := filepath.Join(dir, "users")
	// $1$ is what every crypt(3) knows; the password is "secret".
	if err := os.WriteFile(users, fmt.Appendf(nil, "ftp:$1$towpath$ahqmc7Etq45vH1hWO03rW.:%d:%[1]d::%s/./::::::::::::\n", somebody, root), 0o600); err != nil {
		return nil, err
	}
	pw, err := exec.LookPath(filepath.Join(filepath.Dir(program), "../bin/pure-pw"))
	if err != nil {
		return nil, fmt.Errorf("pure-ftpd is there and not what writes its users: %w", err)
	}
	mkdb := exec.Command(pw, "mkdb", users+".pdb", "-f", users)
	libraries(mkdb)
	if out, err := mkdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("pure-pw mkdb: %w: %s", err, bytes.TrimSpace(out))
	}
	args := []string{
		"-S", strconv.Itoa(int(s.Port)), "-l", "puredb:" + users + ".pdb", "-E", "-H", "-A", "-u", "1", "-f", "none", "-g", filepath.Join(dir, "pid"),
		"-p", fmt.Sprintf("%d:%d", s.Passive.Low, s.Passive.High),
	}
	if !s.IPv6 {
		args = append(args, "-4")
	}
	if s.External.IsValid() {
		args = append(args, "-P", s.External.String())
	}
	if s.Foreign {
		args = append(args, "-w")
	}
	if s.Rate > 0 {
		args = append(args, "-T", fmt.Sprintf(":%d", s.Rate>>10))
	}
	if s.TLS {
		file, err := certificate(dir)
		if err != nil {
			return nil, err
		}
		args = append(args, "-Y", "1", "-2", file)
	}
	return exec.Command(program, args...), nil
}

// libraries lets a program find what was unpacked beside it.
func libraries(cmd *exec.Cmd) {
	above := filepath.Join(filepath.Dir(cmd.Path), "../..")
	var dirs []string
	for _, at := range []string{"lib/*-linux-gnu*", "usr/lib/*-linux-gnu*"} {
		found, _ := filepath.Glob(filepath.Join(above, at)) // the pattern is well formed
		dirs = append(dirs, found...)
	}
	if above != "/" && len(dirs) > 0 {
		cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+strings.Join(dirs, ":"))
	}
}

// awaitPort waits until a server listens that does not say so itself.
func (h *host) awaitPort(ctx context.Context, port uint16) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		err := h.do(func() error {
			c, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort("localhost", strconv.Itoa(int(port))))
			if err == nil {
				err = c.Close()
			}
			return err
		})
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("nobody listens on port %d of %s: %w", port, h.name, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) }

func curl(c clientOrder, mode doctor.Mode, program string) *exec.Cmd {
	args := []string{
		"-q", "-s", "-S", "-v", "-o", "/dev/null", "-w", "%{size_download}\n", "--connect-timeout", seconds(2 * c.Patience),
		"--max-time", seconds(4*c.Patience + c.Transfer), "--no-keepalive",
	}
	if c.KeepAlive > 0 {
		args = slices.DeleteFunc(args, func(s string) bool { return s == "--no-keepalive" })
		args = append(args, "--keepalive-time", strconv.Itoa(whole(c.KeepAlive)))
	}
	if c.TLS {
		args = append(args, "-k", "--ssl-reqd")
	}
	if c.ClearAgain {
		args = append(args, "--ftp-ssl-ccc", "--ftp-ssl-ccc-mode", "active")
	}
	named := "-"
	if c.External.IsValid() {
		named = c.External.String()
	}
	if c.Active.Low != 0 {
		named += ":" + c.Active.String()
	}
	switch mode {
	case doctor.PORT:
		args = append(args, "--ftp-port", named, "--disable-eprt")
	case doctor.EPRT:
		args = append(args, "--ftp-port", named)
	case doctor.PASV:
		args = append(args, "--disable-epsv")
	}
	if c.Foreign {
		args = append(args, "--no-ftp-skip-pasv-ip")
	}
	return exec.Command(program, append(args, "ftp://ftp:secret@"+c.To.String()+"/"+fileName)...)
}

func lftp(c clientOrder, mode doctor.Mode, program string) *exec.Cmd {
	on := map[bool]string{true: "yes", false: "no"}
	passive := mode == doctor.PASV || mode == doctor.EPSV
	script := []string{
		"debug 6", "set cmd:fail-exit yes", "set net:timeout " + strconv.Itoa(whole(2*c.Patience)), "set net:max-retries 1", "set net:persist-retries 0",
		"set ftp:passive-mode " + on[passive], "set ftp:prefer-epsv " + on[mode == doctor.EPSV], "set ftp:fix-pasv-address no",
		"set ftp:ignore-pasv-address " + on[!c.Foreign], "set ftp:ssl-force " + on[c.TLS], "set ftp:ssl-allow " + on[c.TLS], "set ftp:ssl-protect-data " + on[c.TLS],
		"set ssl:verify-certificate no", "set ftp:use-mode-z no", "set ftp:use-size no", "set ftp:use-mdtm no", "set xfer:clobber yes", "set ftp:use-allo no", "set ftp:sync-mode yes", "set ftp:use-tvfs yes", "set cmd:interactive no",
	}
	if c.Active.Low != 0 {
		script = append(script, fmt.Sprintf("set ftp:port-range %v", c.Active))
	}
	script = append(script, fmt.Sprintf("open -u ftp,secret ftp://%v", c.To), "cat "+fileName+" > /dev/null")
	return exec.Command(program, "--norc", "-c", strings.Join(script, "; "))
}

func tnftp(c clientOrder, mode doctor.Mode, program string) *exec.Cmd {
	flag := "-p"
	if mode == doctor.PORT || mode == doctor.EPRT {
		flag = "-A"
	}
	extended := "epsv4 off\nepsv6 off\n"
	if mode == doctor.EPRT || mode == doctor.EPSV {
		extended = ""
	}
	cmd := exec.Command(program, "-n", "-v", "-d", flag, "-q", strconv.Itoa(whole(2*c.Patience)), c.To.Addr().String(), strconv.Itoa(int(c.To.Port())))
	cmd.Stdin = strings.NewReader("user ftp secret\nbinary\n" + extended + "get " + fileName + " /dev/null\nquit\n")
	return cmd
}

// fetchBy runs a client of others, and reads its story.
func (l *Lab) fetchBy(ctx context.Context, h *host, c clientOrder, mode doctor.Mode) (r clientReport, err error) {
	program, err := l.find(l.Client)
	if err != nil {
		return r, err
	}
	cmd := clients[l.Client](c, mode, program)
	out := &account{end: func() { _ = cmd.Process.Kill() }} // it may have ended
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = append(os.Environ(), "LC_ALL=C", "HOME=/nonexistent", "TERM=dumb")
	began := time.Now()
	if err := h.start(cmd); err != nil {
		return r, fmt.Errorf("%s: %w", l.Client, err)
	}
	over := context.AfterFunc(ctx, func() { kill(cmd) })
	defer over()
	limit := time.AfterFunc(8*c.Patience+c.Transfer, func() { _ = cmd.Process.Kill() }) // it may have ended
	defer limit.Stop()
	err = cmd.Wait()
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended {
		return r, err
	}
	r.Took = time.Since(began)
	r.read(out.said.String(), err == nil)
	return r, nil
}

// account is what a client says. lftp 4.9 goes on with "cat" for ever
// when it has given up, so it is ended.
type account struct {
	said bytes.Buffer
	end  func()
}

func (a *account) Write(p []byte) (int, error) {
	n, err := a.said.Write(p)
	if bytes.Contains(a.said.Bytes(), []byte("Fatal error: max-retries exceeded")) {
		a.end()
	}
	return n, err
}

var (
	curlLine  = regexp.MustCompile(`^[<>] (.*)$`)
	lftpLine  = regexp.MustCompile(`^(--->|<---) (.*)$`)
	tnftpLine = regexp.MustCompile(`^(---> .*|\d{3}[ -].*)$`)
	extended  = regexp.MustCompile(`(?m)^(>|--->) EP(SV|RT)`)
	another   = regexp.MustCompile(`(?m)^.*Failed EPSV attempt|^(>|--->) PASV\s*$|^(>|--->) PORT [\d,]+\s*$`)
	lftpDials = regexp.MustCompile(`(?m)^---- Connecting to `)
	number    = regexp.MustCompile(`(?m)^(\d+)$`)
)

// read makes of what a client has said the dialogue, and the end of it.
//
// Some go on by another announcement when the first fails. That is theirs to do,
// and not asked here: the story ends where they begin with it.
func (r *clientReport) read(said string, good bool) {
	if all := lftpDials.FindAllStringIndex(said, 2); len(all) == 2 { // it tries once more
		said, good = said[:all[1][0]], false
		defer func() { r.Bytes, r.Done = 0, false }()
	}
	if first := extended.FindStringIndex(said); first != nil {
		if at := another.FindStringIndex(said[first[1]:]); at != nil {
			said, good = said[:first[1]+at[0]], false
			defer func() { r.Bytes, r.Done = 0, false }()
		}
	}
	for line := range strings.Lines(said) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case curlLine.MatchString(line):
			r.Dialogue = append(r.Dialogue, map[byte]string{'>': "C: ", '<': "S: "}[line[0]]+line[2:])
		case lftpLine.MatchString(line):
			m := lftpLine.FindStringSubmatch(line)
			r.Dialogue = append(r.Dialogue, map[string]string{"--->": "C: ", "<---": "S: "}[m[1]]+m[2])
		case tnftpLine.MatchString(line):
			r.Dialogue = append(r.Dialogue, "S: "+line)
		}
	}
	r.Err = strings.TrimSpace(said)
	var complete bool
	for i, line := range r.Dialogue {
		text, server := strings.CutPrefix(line, "S: ")
		if !server {
			r.Command, _, _ = strings.Cut(strings.TrimPrefix(line, "C: "), " ")
			continue
		}
		if strings.HasPrefix(text, "230") {
			r.LoggedIn = true
		}
		if strings.HasPrefix(text, "226") {
			complete = true
		}
		// The reply that ended it: what comes behind is polite.
		if code, err := strconv.Atoi(text[:min(3, len(text))]); err == nil && code >= 400 && r.LoggedIn && r.Code == 0 && decisive(r.Command) {
			r.Code = code
			r.Dialogue = slices.Clip(r.Dialogue[:i+1])
			break
		}
	}
	if m := number.FindStringSubmatch(said); m != nil {
		r.Bytes, _ = strconv.ParseInt(m[1], 10, 64) // digits
	}
	r.Done = complete && (good || r.Code == 0)
	if r.Done {
		return
	}
	r.Refused = strings.Contains(said, "refused")
	r.Nowhere = strings.Contains(said, "No route to host") || strings.Contains(said, "unreachable")
	r.TimedOut = r.Code == 0 && !r.Refused && !r.Nowhere
}

// decisive tells whether a refusal of a command ends the session; others, of
// extensions say, are lived with.
func decisive(verb string) bool {
	return slices.Contains([]string{"PORT", "EPRT", "PASV", "EPSV", "RETR"}, cmp.Or(verb, "RETR"))
}
