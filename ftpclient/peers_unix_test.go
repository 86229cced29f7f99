//go:build unix

package ftpclient_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"towpath/ftpclient"
	"towpath/ftptest"
)

// nobody runs the servers of others when the tests run as root.
const nobody = 65534

// stranger is a server of others, in a directory of its own.
type stranger struct {
	dir, root string // what is for it, and what it serves
	ip        string // where it listens
	port      int
	cert, key string // files
	binary    string
	programs  string // what was unpacked and not installed, for all of them
}

// write puts a file into dir.
func (s *stranger) write(t *testing.T, name, text string) string {
	t.Helper()
	at := filepath.Join(s.dir, name)
	if err := os.WriteFile(at, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return at
}

// own gives everything in dir to nobody, if the tests run as root.
func (s *stranger) own(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	err := filepath.WalkDir(s.dir, func(at string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Chown(at, nobody, nobody))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// runner is who runs the servers of others.
func runner(t *testing.T) *user.User {
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

// unpacked is where tools/peers.sh unpacks servers and their libraries.
const unpacked = "../.peers"

// programs is a copy of what was unpacked, "" if nothing was: nobody may not
// look into root's home, where the tree may lie. [TestMain] removes it.
var programs = sync.OnceValues(func() (string, error) {
	if !hasFile(unpacked) {
		return "", nil
	}
	dir, err := os.MkdirTemp("", "ftpclient-programs")
	if err != nil {
		return "", err
	}
	copied = dir
	return dir, errors.Join(os.Chmod(dir, 0o755), os.CopyFS(dir, os.DirFS(unpacked)))
})

var copied string // by programs

// find looks for a program where Debian puts servers, in what tools/peers.sh
// has unpacked, which is below s.programs then, and in PATH.
func (s *stranger) find(t *testing.T, name string) string {
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
	t.Skipf("%s is not in /usr/sbin, %s and PATH (as root on Debian: tools/peers.sh install)", name, unpacked)
	return ""
}

// cmd is a command of a server, with what was unpacked in reach.
func (s *stranger) cmd(argv ...string) *exec.Cmd {
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

// strangers are the servers: what they are called, whom they let in, and the
// command that runs them in the foreground.
var strangers = []struct {
	name, program  string
	user, password string
	resumes        bool   // its data connections must resume the TLS session
	offers         string // what not all of them can do: "MLSD", "time", "digest"
	asRoot         bool   // it runs as root only
	command        func(t *testing.T, s *stranger) []string
}{
	{name: "vsftpd", program: "vsftpd", resumes: true, offers: "time", command: func(t *testing.T, s *stranger) []string {
		if err := os.Mkdir(filepath.Join(s.dir, "empty"), 0o555); err != nil {
			t.Fatal(err)
		}
		listen := "listen=YES\nlisten_address=" + s.ip
		if strings.Contains(s.ip, ":") {
			listen = "listen=NO\nlisten_ipv6=YES\nlisten_address6=" + s.ip
		}
		return []string{s.binary, s.write(t, "vsftpd.conf", listen+fmt.Sprintf(`
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
`, s.port, runner(t).Username, s.root, s.dir, s.cert, s.key))}
	}},
	{name: "ProFTPD", program: "proftpd", user: "test", password: "secret", resumes: true, offers: "MLSD time digest", command: func(t *testing.T, s *stranger) []string {
		me := runner(t)
		group, err := user.LookupGroupId(me.Gid)
		if err != nil {
			t.Skip(err)
		}
		// $1$ is what every crypt(3) knows; the password is "secret".
		users := s.write(t, "users", fmt.Sprintf("test:$1$towpath$ahqmc7Etq45vH1hWO03rW.:%s:%s::%s:/bin/sh\n", me.Uid, me.Gid, s.root))
		conf := fmt.Sprintf(`ServerType standalone
ServerName test
Port %d
DefaultAddress %s
UseIPv6 %s
UseReverseDNS off
PidFile %s/pid
ScoreboardFile none
DelayEngine off
SystemLog none
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
`, s.port, s.ip, map[bool]string{false: "off", true: "on"}[strings.Contains(s.ip, ":")], s.dir, me.Username, group.Name, users, s.root)
		if modules := filepath.Join(filepath.Dir(s.binary), "../lib/proftpd"); hasFile(modules + "/mod_tls.so") {
			conf = "ModulePath " + modules + "\nLoadModule mod_tls.c\nLoadModule mod_digest.c\nLoadModule mod_deflate.c\nDeflateEngine on\n" + conf + fmt.Sprintf(`TLSEngine on
TLSProtocol TLSv1.2 TLSv1.3
TLSRSACertificateFile %s
TLSRSACertificateKeyFile %s
TLSVerifyClient off
`, s.cert, s.key)
		}
		return []string{s.binary, "-n", "-q", "-c", s.write(t, "proftpd.conf", conf)}
	}},
	{name: "pyftpdlib", program: "python3", user: "test", password: "secret", offers: "MLSD time", command: func(t *testing.T, s *stranger) []string {
		if out, err := s.cmd(s.binary, "-c", "import pyftpdlib").CombinedOutput(); err != nil {
			t.Skipf("python3 cannot import pyftpdlib: %s", bytes.TrimSpace(out))
		}
		return []string{s.binary, "-W", "ignore", s.write(t, "server.py", `
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
`), s.ip, fmt.Sprint(s.port), s.root, s.cert, s.key}
	}},
	{name: "Pure-FTPd", program: "pure-ftpd", user: "test", password: "secret", asRoot: true, offers: "MLSD time", command: func(t *testing.T, s *stranger) []string {
		users := s.write(t, "users", fmt.Sprintf("test:$1$towpath$ahqmc7Etq45vH1hWO03rW.:%d:%d::%s/./::::::::::::\n", nobody, nobody, s.root))
		db := filepath.Join(s.dir, "users.pdb")
		if out, err := s.cmd(s.find(t, "pure-pw"), "mkdb", db, "-f", users).CombinedOutput(); err != nil {
			t.Fatalf("pure-pw: %v: %s", err, out)
		}
		both := s.write(t, "both.pem", "")
		for _, part := range []string{s.key, s.cert} {
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
			s.binary, "-S", fmt.Sprintf("%s,%d", s.ip, s.port), "-l", "puredb:" + db, "-E", "-H", "-A", "-f", "none",
			"-U", "022:022", "-u", "1", "-g", filepath.Join(s.dir, "pid"), "-Y", "1", "-2", both,
		}
	}},
}

func hasFile(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// host starts a server of others that ends with the test.
func host(t *testing.T, program string, asRoot bool, command func(*testing.T, *stranger) []string) *stranger {
	t.Helper()
	return hostAt(t, "127.0.0.1", program, asRoot, command)
}

// reserve keeps a port for a server, which says SO_REUSEADDR as they all do: the
// kernel gives it to nobody else before the server listens, and nobody answers.
func reserve(t *testing.T, ip netip.Addr) int {
	t.Helper()
	family, at := syscall.AF_INET6, syscall.Sockaddr(&syscall.SockaddrInet6{Addr: ip.As16()})
	if ip.Is4() {
		family, at = syscall.AF_INET, &syscall.SockaddrInet4{Addr: ip.As4()}
	}
	syscall.ForkLock.RLock()
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Skip(err)
	}
	free := func() { _ = syscall.Close(fd) }
	err = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	if err == nil {
		err = syscall.Bind(fd, at)
	}
	if err != nil {
		free()
		t.Skipf("this server needs an address of its own: %v: %v", ip, err)
	}
	bound, err := syscall.Getsockname(fd)
	if err != nil {
		free()
		t.Fatal(err)
	}
	if runtime.GOOS == "linux" { // others let nobody share it
		t.Cleanup(free)
	} else {
		free()
	}
	switch a := bound.(type) {
	case *syscall.SockaddrInet4:
		return a.Port
	case *syscall.SockaddrInet6:
		return a.Port
	}
	t.Fatalf("bound to %T", bound)
	return 0
}

// hostAt is host at an address of ours.
func hostAt(t *testing.T, ip, program string, asRoot bool, command func(*testing.T, *stranger) []string) *stranger {
	t.Helper()
	if asRoot && os.Geteuid() != 0 {
		t.Skipf("%s runs as root only", program)
	}
	dir, err := os.MkdirTemp("", "ftpclient") // nobody may not look into that of t
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &stranger{dir: dir, ip: ip}
	s.binary = s.find(t, program)
	s.root = filepath.Join(s.dir, "root")
	if err := errors.Join(os.Mkdir(s.root, 0o755), os.Chmod(s.dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	c := ftptest.Certificate()
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	s.cert = s.write(t, "cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})))
	s.key = s.write(t, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
	s.port = reserve(t, netip.MustParseAddr(ip))
	argv := command(t, s)
	s.own(t)
	cmd := s.cmd(argv...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if os.Geteuid() == 0 && !asRoot {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	go func() { _ = cmd.Wait(); close(over) }()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // the group is ours
		<-over
	})
	for end := time.Now().Add(patience); ; {
		if c, err := net.Dial("tcp", s.addr()); err == nil {
			_ = c.Close()
			return s
		}
		select {
		case <-over:
			t.Fatalf("%s did not start: %s", program, out.String())
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(end) {
			t.Fatalf("%s does not listen: %s", program, out.String())
		}
	}
}

func (s *stranger) addr() string { return net.JoinHostPort(s.ip, fmt.Sprint(s.port)) }

// TestUploadIsNotCutShort: OpenSSL servers send TLS 1.3 tickets that lie unread
// with a client that only writes; its close is a reset then, and what a slow
// server has not read yet is lost.
func TestUploadIsNotCutShort(t *testing.T) {
	t.Parallel()
	vsftpd := strangers[0]
	s := host(t, vsftpd.program, false, func(t *testing.T, s *stranger) []string {
		argv := vsftpd.command(t, s)
		conf, err := os.ReadFile(argv[1])
		if err != nil {
			t.Fatal(err)
		}
		s.write(t, filepath.Base(argv[1]), strings.Replace(string(conf), "anon_max_rate=0", "anon_max_rate=4000000", 1))
		return argv
	})
	c := login(t, s.addr(), explicit, func(o *ftpclient.Options) { o.User, o.TLSConfig.MinVersion = "", tls.VersionTLS13 })
	big := noise(8 << 20)
	if n, err := c.Put(testContext(t), "big", bytes.NewReader(big)); n != int64(len(big)) || err != nil {
		t.Errorf("put %d bytes, %v", n, err)
	}
	if got, err := os.ReadFile(filepath.Join(s.root, "big")); err != nil || !bytes.Equal(got, big) {
		t.Errorf("%d bytes arrived, %v", len(got), err)
	}
}
