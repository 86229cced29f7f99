//go:build unix

package strangers

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"towpath/ftptest"
)

// nobody runs the servers of others when the tests run as root.
const nobody = 65534

// Server is a server of others, in a directory of its own.
type Server struct {
	Dir, Root string // what is for it, and what it serves
	IP        string // where it listens
	Port      int
	Cert, Key string // files, of the certificate of ftptest
	Binary    string
	programs  string // what was unpacked and not installed, for all of them
}

// Write puts a file into Dir.
func (s *Server) Write(t testing.TB, name, text string) string {
	t.Helper()
	at := filepath.Join(s.Dir, name)
	if err := os.WriteFile(at, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return at
}

// own gives everything in Dir to nobody, if the tests run as root.
func (s *Server) own(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	err := filepath.WalkDir(s.Dir, func(at string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Chown(at, nobody, nobody))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Runner is who runs the servers of others.
func Runner(t testing.TB) *user.User {
	t.Helper()
	id := os.Geteuid()
	if id == 0 {
		id = nobody
	}
	u, err := user.LookupId(fmt.Sprint(id))
	if err != nil {
		t.Skip(err)
	}
	return u
}

// patience is far more than a server takes to start.
const patience = time.Minute

// unpacked is where tools/peers.sh unpacks servers and their libraries, from
// the directory of a test.
func unpacked() string {
	dir := ".."
	for range 8 {
		if HasFile(filepath.Join(dir, "go.mod")) {
			break
		}
		dir = filepath.Join("..", dir)
	}
	return filepath.Join(dir, ".peers")
}

// programs is a copy of what was unpacked, "" if nothing was: nobody may not
// look into root's home, where the tree may lie. [Main] removes it.
var programs = sync.OnceValues(func() (string, error) {
	from := unpacked()
	if !HasFile(from) {
		return "", nil
	}
	dir, err := os.MkdirTemp("", "strangers-programs")
	if err != nil {
		return "", err
	}
	copied = dir
	return dir, errors.Join(os.Chmod(dir, 0o755), os.CopyFS(dir, os.DirFS(from)))
})

var copied string // by programs

// Main runs the tests of a package that starts servers, for its TestMain, and
// returns the code to exit with.
func Main(m *testing.M) int {
	code := m.Run()
	if copied != "" {
		if err := os.RemoveAll(copied); err != nil {
			fmt.Fprintln(os.Stderr, errors.Join(errors.New("what was unpacked stays"), err))
			code = max(code, 1)
		}
	}
	return code
}

// Find looks for a program where Debian puts servers, in what tools/peers.sh
// has unpacked, which is below s.programs then, and in PATH.
func (s *Server) Find(t testing.TB, name string) string {
	t.Helper()
	var err error
	if s.programs, err = programs(); err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{
		"/usr/bin/" + name, "/usr/sbin/" + name,
		filepath.Join(s.programs, "usr/sbin", name), filepath.Join(s.programs, "usr/bin", name),
		name, // what nobody may run comes last
	} {
		if at, err := exec.LookPath(at); err == nil {
			return at
		}
	}
	t.Skipf("%s is not in /usr/sbin, %s and PATH (as root on Debian: tools/peers.sh install)", name, unpacked())
	return ""
}

// cmd is a command of a server, with what was unpacked in reach.
func (s *Server) cmd(argv ...string) *exec.Cmd {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = os.Environ()
	if s.programs != "" {
		var libraries []string
		for _, at := range []string{"lib/*-linux-gnu*", "usr/lib/*-linux-gnu*"} {
			found, _ := filepath.Glob(filepath.Join(s.programs, at)) // the pattern is well formed
			libraries = append(libraries, found...)
		}
		if libraries != nil {
			cmd.Env = append(cmd.Env, "LD_LIBRARY_PATH="+strings.Join(libraries, ":"))
		}
		cmd.Env = append(cmd.Env, "PYTHONPATH="+filepath.Join(s.programs, "usr/lib/python3/dist-packages")+":"+os.Getenv("PYTHONPATH"))
	}
	return cmd
}

// Peer is a kind of server: what it is called, whom it lets in, and the command
// that runs it in the foreground.
type Peer struct {
	Name, Program  string
	User, Password string
	Resumes        bool   // its data connections must resume the TLS session
	Offers         string // what not all of them can do: "MLSD", "time", "digest"
	AsRoot         bool   // it runs as root only
	Command        func(t testing.TB, s *Server) []string
}

// Start starts a server of this kind on 127.0.0.1 that ends with the test. The
// test is skipped if it is not installed.
func (p *Peer) Start(t testing.TB) *Server {
	t.Helper()
	return Host(t, p.Program, p.AsRoot, p.Command)
}

// Peers are those that everything is tried with.
var Peers = []Peer{
	{Name: "vsftpd", Program: "vsftpd", Resumes: true, Offers: "time", Command: func(t testing.TB, s *Server) []string {
		if err := os.Mkdir(filepath.Join(s.Dir, "empty"), 0o555); err != nil {
			t.Fatal(err)
		}
		listen := "listen=YES\nlisten_address=" + s.IP
		if strings.Contains(s.IP, ":") {
			listen = "listen=NO\nlisten_ipv6=YES\nlisten_address6=" + s.IP
		}
		return []string{s.Binary, s.Write(t, "vsftpd.conf", listen+fmt.Sprintf(`
listen_port=%d
background=NO
run_as_launching_user=YES
anonymous_enable=YES
ftp_username=%s
no_anon_password=YES
anon_root=%s
local_enable=NO
write_enable=YES
anon_upload_enable=YES
anon_mkdir_write_enable=YES
anon_other_write_enable=YES
anon_umask=022
connect_from_port_20=NO
secure_chroot_dir=%s/empty
xferlog_enable=NO
pasv_min_port=49152
pasv_max_port=65535
seccomp_sandbox=NO
isolate=NO
isolate_network=NO
mdtm_write=YES
ssl_enable=YES
allow_anon_ssl=YES
force_local_logins_ssl=NO
force_local_data_ssl=NO
require_ssl_reuse=YES
rsa_cert_file=%s
rsa_private_key_file=%s
ssl_ciphers=HIGH
anon_max_rate=0
`, s.Port, Runner(t).Username, s.Root, s.Dir, s.Cert, s.Key))}
	}},
	{Name: "ProFTPD", Program: "proftpd", User: "test", Password: "secret", Resumes: true, Offers: "MLSD time digest", Command: func(t testing.TB, s *Server) []string {
		me := Runner(t)
		group, err := user.LookupGroupId(me.Gid)
		if err != nil {
			t.Skip(err)
		}
		// $1$ is what every crypt(3) knows; the password is "secret".
		users := s.Write(t, "users", fmt.Sprintf("test:$1$towpath$ahqmc7Etq45vH1hWO03rW.:%s:%s::%s:/bin/sh\n", me.Uid, me.Gid, s.Root))
		// Without SocketBindTight it wants its port on all addresses, and does not
		// start if any server of another test has it on one.
		conf := fmt.Sprintf(`ServerType standalone
ServerName test
Port %d
DefaultAddress %s
SocketBindTight on
UseIPv6 %s
UseReverseDNS off
PidFile %s/pid
ScoreboardFile none
DelayEngine off
<IfModule mod_ctrls.c>
ControlsEngine off
</IfModule>
SystemLog %s
TransferLog none
WtmpLog off
User %s
Group %s
AuthOrder mod_auth_file.c
AuthUserFile %s
RequireValidShell off
AllowOverwrite on
AllowStoreRestart on
AllowRetrieveRestart on
DefaultChdir %s
`, s.Port, s.IP, map[bool]string{false: "off", true: "on"}[strings.Contains(s.IP, ":")], s.Dir, filepath.Join(s.Dir, SystemLog), me.Username, group.Name, users, s.Root)
		if modules := filepath.Join(filepath.Dir(s.Binary), "../lib/proftpd"); HasFile(modules + "/mod_tls.so") {
			conf = "ModulePath " + modules + "\nLoadModule mod_tls.c\nLoadModule mod_digest.c\nLoadModule mod_deflate.c\nDeflateEngine on\n" + conf + fmt.Sprintf(`TLSEngine on
TLSProtocol TLSv1.2 TLSv1.3
TLSECCertificateFile %s
TLSECCertificateKeyFile %s
TLSVerifyClient off
`, s.Cert, s.Key)
		}
		return []string{s.Binary, "-n", "-q", "-c", s.Write(t, "proftpd.conf", conf)}
	}},
	{Name: "pyftpdlib", Program: "python3", User: "test", Password: "secret", Offers: "MLSD time", Command: func(t testing.TB, s *Server) []string {
		if out, err := s.cmd(s.Binary, "-c", "import pyftpdlib").CombinedOutput(); err != nil {
			t.Skipf("python3 cannot import pyftpdlib: %s", bytes.TrimSpace(out))
		}
		return []string{s.Binary, "-W", "ignore", s.Write(t, "server.py", `
import sys
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.servers import MultiprocessFTPServer
ip, port, root, cert, key = sys.argv[1:]
try:
    from pyftpdlib.handlers import TLS_FTPHandler as Handler
    Handler.certfile, Handler.keyfile = cert, key
except ImportError: # it needs OpenSSL for TLS
    from pyftpdlib.handlers import FTPHandler as Handler
Handler.authorizer = DummyAuthorizer()
Handler.authorizer.add_user("test", "secret", root, perm="elradfmwMT")
# A process for each session: 1.5.7 takes the descriptor of an active data
# connection out of its loop once more when the session ends, and whoever has it
# by then, another session or its data, is never heard again.
MultiprocessFTPServer((ip, int(port)), Handler).serve_forever()
`), s.IP, fmt.Sprint(s.Port), s.Root, s.Cert, s.Key}
	}},
	{Name: "Pure-FTPd", Program: "pure-ftpd", User: "test", Password: "secret", AsRoot: true, Offers: "MLSD time", Command: func(t testing.TB, s *Server) []string {
		users := s.Write(t, "users", fmt.Sprintf("test:$1$towpath$ahqmc7Etq45vH1hWO03rW.:%d:%d::%s/./::::::::::::\n", nobody, nobody, s.Root))
		db := filepath.Join(s.Dir, "users.pdb")
		if out, err := s.cmd(s.Find(t, "pure-pw"), "mkdb", db, "-f", users).CombinedOutput(); err != nil {
			t.Fatalf("pure-pw: %v: %s", err, out)
		}
		both := s.Write(t, "both.pem", "")
		for _, part := range []string{s.Key, s.Cert} {
			b, err := os.ReadFile(part)
			if err != nil {
				t.Fatal(err)
			}
			f, err := os.OpenFile(both, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			_, err = f.Write(b)
			if err = errors.Join(err, f.Close()); err != nil {
				t.Fatal(err)
			}
		}
		return []string{
			s.Binary, "-S", fmt.Sprintf("%s,%d", s.IP, s.Port), "-l", "puredb:" + db, "-E", "-H", "-A", "-f", "none",
			"-U", "022:022", "-u", "1", "-g", filepath.Join(s.Dir, "pid"), "-Y", "1", "-2", both,
		}
	}},
}

// HasFile tells whether something lies there.
func HasFile(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// Host starts a program that serves on 127.0.0.1, and ends with the test. The
// test is skipped if it is not there.
func Host(t testing.TB, program string, asRoot bool, command func(testing.TB, *Server) []string) *Server {
	t.Helper()
	return HostAt(t, "127.0.0.1", program, asRoot, command)
}

// The ports that servers listen on. Nobody else comes there: the kernel, and the
// pools of internal/ports, choose above 32767 where they are told no range, and
// tests of the gateway from 20000 on. vsftpd, which chooses for itself, is told one.
const lowPort, highPort = 10000, 19998

// reserve keeps a port for a server, which says SO_REUSEADDR as they all do. It
// is even: ProFTPD makes active data connections from the port below its own.
func reserve(t testing.TB, ip netip.Addr) int {
	t.Helper()
	const tries = 100
	for range tries {
		port := lowPort + 2*rand.IntN((highPort-lowPort)/2+1)
		fd, err := claim(ip, port)
		switch {
		case errors.Is(err, syscall.EADDRINUSE):
			continue
		case err != nil:
			t.Skipf("this server needs an address of its own: %v: %v", ip, err)
		case runtime.GOOS == "linux": // others let nobody share it
			t.Cleanup(func() { _ = syscall.Close(fd) })
		default:
			_ = syscall.Close(fd)
		}
		return port
	}
	t.Fatalf("of %d ports of %v from %d to %d none is free", tries, ip, lowPort, highPort)
	return 0
}

// claim binds a socket that does not listen. Whoever has the port by then, even a
// claim of another process, is in the way of it; afterwards it is in the way of
// nobody who says SO_REUSEADDR, and of other claims.
func claim(ip netip.Addr, port int) (fd int, err error) {
	family, at := syscall.AF_INET6, syscall.Sockaddr(&syscall.SockaddrInet6{Addr: ip.As16(), Port: port})
	if ip.Is4() {
		family, at = syscall.AF_INET, &syscall.SockaddrInet4{Addr: ip.As4(), Port: port}
	}
	syscall.ForkLock.RLock()
	fd, err = syscall.Socket(family, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return 0, err
	}
	if err = syscall.Bind(fd, at); err == nil {
		err = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	}
	if err != nil {
		_ = syscall.Close(fd)
		return 0, err
	}
	return fd, nil
}

// HostAt is [Host] at an address of ours.
func HostAt(t testing.TB, ip, program string, asRoot bool, command func(testing.TB, *Server) []string) *Server {
	t.Helper()
	if asRoot && os.Geteuid() != 0 {
		t.Skipf("%s runs as root only", program)
	}
	const tries = 3
	for i := 1; ; i++ {
		s := prepare(t, ip, program)
		err := s.run(t, asRoot, command(t, s))
		switch {
		case err == nil:
			return s
		case i == tries || !lostPort.MatchString(err.Error()):
			t.Fatal(err)
		}
		t.Logf("%v; another port is tried", err)
	}
}

// lostPort is how servers say that somebody else has their port: vsftpd without
// the reason, the others as the system does.
var lostPort = regexp.MustCompile(`(?i)address (already )?in use|could not bind`)

// prepare makes the directory of a server, and chooses its port.
func prepare(t testing.TB, ip, program string) *Server {
	t.Helper()
	dir, err := os.MkdirTemp("", "strangers") // nobody may not look into that of t
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &Server{Dir: dir, IP: ip}
	s.Binary = s.Find(t, program)
	s.Root = filepath.Join(s.Dir, "root")
	if err := errors.Join(os.Mkdir(s.Root, 0o755), os.Chmod(s.Dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	c := ftptest.Certificate()
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	s.Cert = s.Write(t, "cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})))
	s.Key = s.Write(t, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
	s.Port = reserve(t, netip.MustParseAddr(ip))
	return s
}

// run starts the server, which ends with the test, and waits until it listens.
func (s *Server) run(t testing.TB, asRoot bool, argv []string) error {
	t.Helper()
	out, err := os.Create(filepath.Join(s.Dir, "output"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	s.own(t)
	cmd := s.cmd(argv...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = out, out, out // vsftpd tells its client, on 0, why it cannot start
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if os.Geteuid() == 0 && !asRoot {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var end error
	over := make(chan struct{})
	go func() { end = cmd.Wait(); close(over) }()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // the group is ours
		<-over
	})
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("tcp", s.Addr())
		if err == nil {
			_ = c.Close()
		}
		select {
		case <-over:
			return fmt.Errorf("%s, which was to listen on %s, has ended: %v%s", s.Binary, s.Addr(), cmp.Or(end, errors.New("without an error")), s.said())
		default:
		}
		switch {
		case err == nil:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("%s does not listen on %s: %w%s", s.Binary, s.Addr(), err, s.said())
		}
	}
}

// said is what the server has written so far, to us and to its log.
func (s *Server) said() string {
	var all strings.Builder
	for _, name := range []string{"output", SystemLog} {
		b, err := os.ReadFile(filepath.Join(s.Dir, name))
		if err == nil && len(b) > 0 {
			fmt.Fprintf(&all, "\n%s: %s", name, bytes.TrimSpace(b))
		}
	}
	return all.String()
}

// SystemLog is the file in Dir where ProFTPD says what went wrong; elsewhere it says little.
const SystemLog = "system.log"

// Addr is host:port.
func (s *Server) Addr() string { return net.JoinHostPort(s.IP, fmt.Sprint(s.Port)) }
