#!/usr/bin/env python3
"""Side-by-side benchmark of FTP servers on loopback. See README."""
import argparse
import ctypes
import fcntl
import json
import os
import pwd
import re
import resource
import shlex
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
WORK = os.environ.get("BENCH_WORK", "/var/tmp/ftpbench")
BIN, PREFIX = WORK + "/bin", WORK + "/prefix"
USER, PASSWORD = "ftpbench", "bench-pass"
HASH_SALT = "ftpbench"
PORT, LOW, HIGH = 21210, 20000, 31999
CERT, KEY, BOTH = WORK + "/cert.pem", WORK + "/key.pem", WORK + "/both.pem"


def fresh_network():
    """Moves this process, and so what it starts next, into a new network namespace: the connections that
    one sample leaves in TIME_WAIT slow the port search of the next one down by as much as ten times."""
    if ctypes.CDLL(None, use_errno=True).unshare(0x40000000):
        raise OSError(ctypes.get_errno(), "unshare")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, 0x8914, struct.pack("16sH14x", b"lo", 0x41))  # SIOCSIFFLAGS: up, running


def sh(*argv):
    return subprocess.run(argv, capture_output=True, text=True).stdout.strip()


# ---------------------------------------------------------------- peers


class Peer:
    """A server: prepare() writes its files into ctx.etc and returns its command line."""

    name = ""
    root = False  # runs as root, drops privilege itself
    tls = True
    settings = ""

    def __init__(self, name=None):
        self.name = name or self.name

    def missing(self):
        return None

    def version(self):
        return ""

    def prepare(self, ctx, tls):
        raise NotImplementedError

    def env(self, ctx, tls):
        return {}


def need(path):
    return None if os.access(path, os.X_OK) else f"{os.path.basename(path)} is not there (setup.sh)"


class Limit(Peer):
    name = "limit"
    tls = False
    settings = "own C stub, 256 threads, sendfile out, splice in, one passive listener a session, no checks"
    mode = "splice"

    def missing(self):
        return need(BIN + "/limit")

    def prepare(self, ctx, tls):
        return [BIN + "/limit", str(PORT), ctx.home, self.mode]


class GoFloor(Peer):
    name = "go-floor"
    settings = (
        "own Go stub, no checks: goroutine a session, passive ports taken in turn from its range, sendfile, splice, "
        "TLS records gathered into 256 KiB writes, TCP_QUICKACK on TLS data connections"
    )

    def missing(self):
        return need(BIN + "/gofloor")

    def prepare(self, ctx, tls):
        return [
            BIN + "/gofloor", "-listen", f"127.0.0.1:{PORT}", "-root", ctx.home, "-cert", CERT, "-key", KEY, "-lo", str(LOW),
            "-hi", str(HIGH), "-quick", "-batch", str(256 << 10), "-copy", str(256 << 10), "-line", "1024",
        ]


FLOORS = ("limit", "go-floor")  # ours, not peers: left out of «best peer»


class Vsftpd(Peer):
    name = "vsftpd"
    root = True
    settings = (
        "standalone, local user by PAM (pam_unix, MD5-crypt), chroot, sendfile; "
        "isolate, isolate_network and seccomp_sandbox off, no tcp_wrappers, no xferlog, no limits per IP; "
        "TLS: ssl_ciphers HIGH, require_ssl_reuse off"
    )
    isolate = "NO"
    binary = PREFIX + "/usr/sbin/vsftpd"

    def missing(self):
        return need(self.binary)

    def version(self):
        m = re.search(r"_(\d[^_]*)_", " ".join(f for f in os.listdir(WORK + "/debs") if f.startswith("vsftpd_")))
        return m.group(1) if m else ""

    def prepare(self, ctx, tls):
        empty = ctx.etc + "/empty"
        os.makedirs(empty, exist_ok=True)
        os.chmod(empty, 0o555)
        lines = dict(
            listen="YES", listen_ipv6="NO", listen_address="127.0.0.1", listen_port=PORT, background="NO",
            anonymous_enable="NO", local_enable="YES", write_enable="YES", local_root=ctx.home,
            chroot_local_user="YES", allow_writeable_chroot="YES", check_shell="NO", pam_service_name=USER,
            secure_chroot_dir=empty, use_sendfile="YES", xferlog_enable="NO", tcp_wrappers="NO",
            seccomp_sandbox="NO", isolate=self.isolate, isolate_network=self.isolate,
            max_clients=0, max_per_ip=0, idle_session_timeout=3600, data_connection_timeout=600,
            pasv_min_port=LOW, pasv_max_port=HIGH, local_umask="022", ssl_enable="NO",
        )
        if tls:
            lines.update(
                ssl_enable="YES", rsa_cert_file=CERT, rsa_private_key_file=KEY, force_local_logins_ssl="NO",
                force_local_data_ssl="NO", require_ssl_reuse="NO", ssl_ciphers="HIGH", ssl_tlsv1="YES",
            )
        path = ctx.etc + "/vsftpd.conf"
        with open(path, "w") as f:
            f.writelines(f"{k}={v}\n" for k, v in lines.items())
        os.chown(path, 0, 0)
        return [self.binary, path]


class VsftpdDefault(Vsftpd):
    name = "vsftpd-isolated"
    isolate = "YES"
    settings = "as vsftpd, but isolate and isolate_network left on (its defaults; seccomp_sandbox too kills 3.0.3 by SIGSYS here)"


class Proftpd(Peer):
    name = "proftpd"
    root = True
    settings = (
        "standalone, AuthUserFile (MD5-crypt) only, DefaultRoot ~, UseSendfile on, DelayEngine off, "
        "UseReverseDNS and IdentLookups off, ScoreboardFile none, AllowOverride off, no transfer, wtmp or system log, "
        "no MaxInstances; TLS: TLSOptions NoSessionReuseRequired"
    )
    binary = PREFIX + "/usr/sbin/proftpd"

    def missing(self):
        return need(self.binary)

    def version(self):
        m = re.search(r"_(\d[^_]*)_", " ".join(f for f in os.listdir(WORK + "/debs") if f.startswith("proftpd-core")))
        return m.group(1) if m else ""

    def prepare(self, ctx, tls):
        p = pwd.getpwnam(USER)
        passwd = ctx.etc + "/proftpd.passwd"
        with open(passwd, "w") as f:
            f.write(f"{USER}:{ctx.hash}:{p.pw_uid}:{p.pw_gid}::{ctx.home}:/bin/sh\n")
        os.chmod(passwd, 0o600)
        conf = f"""
ModulePath {PREFIX}/usr/lib/proftpd
{"LoadModule mod_tls.c" if tls else ""}
ServerName bench
ServerType standalone
Port {PORT}
DefaultAddress 127.0.0.1
SocketBindTight on
UseIPv6 off
UseReverseDNS off
PidFile {ctx.etc}/proftpd.pid
ScoreboardFile none
DelayEngine off
SystemLog none
TransferLog none
WtmpLog off
User {USER}
Group {pwd.getpwnam(USER).pw_name}
AuthOrder mod_auth_file.c
AuthUserFile {passwd}
RequireValidShell off
DefaultRoot ~
AllowOverride off
AllowOverwrite on
AllowStoreRestart on
UseSendfile on
PassivePorts {LOW} {HIGH}
MaxInstances none
MaxConnectionRate 0
TimeoutIdle 3600
TimeoutNoTransfer 3600
TimeoutStalled 600
TimeoutLogin 600
TimesGMT on
Umask 022
<IfModule mod_ident.c>
IdentLookups off
</IfModule>
<IfModule mod_tls.c>
TLSEngine on
TLSRequired off
TLSProtocol TLSv1.2 TLSv1.3
TLSRSACertificateFile {CERT}
TLSRSACertificateKeyFile {KEY}
TLSOptions NoSessionReuseRequired
TLSVerifyClient off
TLSLog none
</IfModule>
"""
        conf = conf.replace("MaxConnectionRate 0\n", "")
        path = ctx.etc + "/proftpd.conf"
        with open(path, "w") as f:
            f.write(conf)
        return [self.binary, "-n", "-q", "-c", path]


class Pureftpd(Peer):
    name = "pure-ftpd"
    root = True
    settings = (
        "standalone, PureDB (MD5-crypt), chroot, no syslog (-f none), no reverse lookups (-H), "
        "-c/-C 30000, -L 30000:5 (its default lists at most 10000), -E; TLS: -Y 1"
    )
    binary = PREFIX + "/usr/sbin/pure-ftpd"

    def missing(self):
        return need(self.binary) or need(PREFIX + "/usr/bin/pure-pw")

    def version(self):
        m = re.search(r"_(\d[^_]*)_", " ".join(f for f in os.listdir(WORK + "/debs") if f.startswith("pure-ftpd_")))
        return m.group(1) if m else ""

    def prepare(self, ctx, tls):
        p = pwd.getpwnam(USER)
        passwd, db = ctx.etc + "/pureftpd.passwd", ctx.etc + "/pureftpd.pdb"
        with open(passwd, "w") as f:
            f.write(f"{USER}:{ctx.hash}:{p.pw_uid}:{p.pw_gid}::{ctx.home}/./::::::::::::\n")
        os.chmod(passwd, 0o600)
        subprocess.run([PREFIX + "/usr/bin/pure-pw", "mkdb", db, "-f", passwd], check=True)
        argv = [
            self.binary, "-S", f"127.0.0.1,{PORT}", "-l", "puredb:" + db, "-E", "-H", "-A", "-f", "none",
            "-c", "30000", "-C", "30000", "-L", "30000:5", "-I", "60", "-p", f"{LOW}:{HIGH}",
            "-U", "022:022", "-u", "1", "-g", ctx.etc + "/pure.pid",
        ]
        if tls:
            argv += ["-Y", "1", "-2", BOTH]
        else:
            argv += ["-Y", "0"]
        return argv


class Pyftpdlib(Peer):
    name = "pyftpdlib"
    settings = "FTPServer, asynchronous, one process, DummyAuthorizer (clear password), pysendfile, no limits"

    def missing(self):
        return None if os.path.isdir(PREFIX + "/usr/lib/python3/dist-packages/pyftpdlib") else "not unpacked (setup.sh)"

    def version(self):
        m = re.search(r"_(\d[^_]*)_", " ".join(f for f in os.listdir(WORK + "/debs") if "pyftpdlib" in f))
        return (m.group(1) if m else "") + ", " + sh("/usr/bin/python3", "--version")

    def prepare(self, ctx, tls):
        argv = ["/usr/bin/python3", HERE + "/peers/pyftpd.py", str(PORT), ctx.home, USER, PASSWORD, str(LOW), str(HIGH)]
        return argv + ([CERT, KEY] if tls else [])

    def env(self, ctx, tls):
        return {"PYTHONPATH": PREFIX + "/usr/lib/python3/dist-packages", "PYTHONDONTWRITEBYTECODE": "1"}


class Ftpserverlib(Peer):
    name = "ftpserverlib"
    settings = "peers/ftpserverlib, *os.File handles, clear password, no log"

    def missing(self):
        return need(BIN + "/ftpserverlib")

    def version(self):
        m = re.search(r"ftpserverlib (v\S+)", open(HERE + "/peers/ftpserverlib/go.mod").read())
        return m.group(1) if m else ""

    def prepare(self, ctx, tls):
        argv = [
            BIN + "/ftpserverlib", "-listen", f"127.0.0.1:{PORT}", "-root", ctx.home, "-user", USER, "-pass", PASSWORD,
            "-lo", str(LOW), "-hi", str(HIGH),
        ]
        return argv + (["-cert", CERT, "-key", KEY] if tls else [])


class Towpath(Peer):
    name = "towpath"
    settings = (
        "towpath serve, one user (argon2id), log level error, sync off (no peer calls fsync), "
        "no ban, sandbox off; uploads are atomic; TLS: tls-cert, binding prefer"
    )

    def __init__(self, name=None, binary=BIN + "/towpath"):
        super().__init__(name)
        self.binary = binary

    def missing(self):
        return need(self.binary)

    def version(self):
        return sh(self.binary, "version").replace("towpath ", "")

    def prepare(self, ctx, tls):
        argv = [
            self.binary, "serve", ctx.home, "--listen", f"127.0.0.1:{PORT}", "--user", f"{USER}:{PASSWORD}",
            "--passive-ports", f"{LOW}-{HIGH}", "--log-level", "error", "--sync", "off", "--ban-after", "0",
            "--max-sessions", "20000", "--sandbox=false", "--config", "/dev/null",
        ]
        return argv + (["--tls-cert", CERT, "--tls-key", KEY] if tls else [])


class Ours(Peer):
    """OURS_NAME='path/to/binary serve {root} --listen {addr} …' adds a server: another build of ours, or any
    other. OURS_NAME_TLS is its TLS variant ({cert} and {key} are filled in; without it OURS_NAME serves both);
    OURS_USER=root runs them as root."""

    def __init__(self, name, plain, tls, user):
        super().__init__(name)
        self.plain, self.secure = plain, tls or plain
        self.root = user == "root"
        self.settings = "command: " + os.path.basename(shlex.split(plain)[0]) + " " + " ".join(shlex.split(plain)[1:])

    def version(self):
        return os.environ.get("OURS_VERSION", "")

    def prepare(self, ctx, tls):
        etc = f"{ctx.etc}/{self.name}"
        shutil.rmtree(etc, ignore_errors=True)
        os.makedirs(etc)
        if not self.root:
            shutil.chown(etc, USER, pwd.getpwnam(USER).pw_gid)
        fill = dict(
            addr=f"127.0.0.1:{PORT}", host="127.0.0.1", port=str(PORT), root=ctx.home, user=USER, password=PASSWORD,
            low=str(LOW), high=str(HIGH), cert=CERT, key=KEY, hash=ctx.hash, etc=etc,
        )
        text = self.secure if tls else self.plain
        for k, v in fill.items():
            text = text.replace("{" + k + "}", v)
        return shlex.split(text)


def all_peers():
    peers = [Limit(), GoFloor(), Vsftpd(), Proftpd(), Pureftpd(), Pyftpdlib(), Ftpserverlib(), Towpath()]
    for key in sorted(os.environ):
        if re.fullmatch(r"OURS(_[A-Z0-9]+)?", key) and not key.endswith(("_TLS", "_USER", "_VERSION")):
            name = key.lower().replace("_", "-")
            peers.append(Ours(name, os.environ[key], os.environ.get(key + "_TLS"), os.environ.get("OURS_USER", "")))
    return peers


# ---------------------------------------------------------------- running


class Group:
    """Control groups nested in our own: one for the run, weighted above other work, and in it one for
    the server, which gives its processor time (children already gone included) and its memory."""

    def __init__(self):
        self.cpu, self.memory, self.kind = "", "", "none: /proc sums"
        self.made, self.back, self.joins = [], [], []
        base, name = "/sys/fs/cgroup", f"ftpbench-{os.getpid()}"
        mine = {}
        for row in open("/proc/self/cgroup").read().split():
            _, controllers, path = row.split(":", 2)
            for c in controllers.split(","):
                mine[c] = path.rstrip("/")
        try:
            if os.path.exists(base + "/cgroup.controllers"):
                here = base + mine.get("", "")
                top = f"{here}/{name}"
                self.mkdir(top)
                for c in ("cpu", "memory"):
                    for d in (here, top):
                        try:
                            open(d + "/cgroup.subtree_control", "w").write("+" + c)
                        except OSError:
                            pass  # processor time needs no controller
                self.write(top + "/cpu.weight", "10000")
                self.mkdir(top + "/gen")
                self.mkdir(top + "/srv")
                self.enter(top + "/gen", here)
                self.cpu = top + "/srv"
                self.memory = self.cpu if os.path.exists(self.cpu + "/memory.current") else ""
                self.joins, self.kind = [self.cpu], "v2 cpu.stat"
                return
            for c in ("cpu", "cpuacct", "memory"):
                here = f"{base}/{c}{mine.get(c, '')}"
                if not os.path.isdir(here):
                    continue
                top = f"{here}/{name}"
                self.mkdir(top)
                if c == "cpu":
                    self.write(top + "/cpu.shares", "262144")
                if c != "memory":
                    self.enter(top, here)
                self.mkdir(top + "/srv")
                self.joins.append(top + "/srv")
                if c == "cpuacct":
                    self.cpu, self.kind = top + "/srv", "v1 cpuacct"
                if c == "cpu":  # server and generator share one weight
                    self.joins.pop()
                if c == "memory":
                    self.memory = top + "/srv"
        except OSError as e:
            print("control groups:", e, file=sys.stderr)

    def mkdir(self, d):
        if not os.path.isdir(d):
            os.mkdir(d)
            self.made.append(d)

    def write(self, path, text):
        try:
            open(path, "w").write(text)
        except OSError:
            pass

    def enter(self, d, home):
        open(d + "/cgroup.procs", "w").write(str(os.getpid()))
        self.back.append(home)

    def join(self):
        for d in self.joins:
            with open(d + "/cgroup.procs", "w") as f:
                f.write(str(os.getpid()))

    def pids(self):
        try:
            return [int(x) for x in open(self.cpu + "/cgroup.procs").read().split()]
        except OSError:
            return []

    def close(self):
        for d in self.back:
            self.write(d + "/cgroup.procs", str(os.getpid()))
        for d in reversed(self.made):
            for _ in range(20):
                try:
                    os.rmdir(d)
                    break
                except OSError:
                    time.sleep(0.1)


class Context:
    def __init__(self, home, etc, group, own_net=True, pin=False):
        self.home, self.etc, self.group, self.own_net = home, etc, group, own_net
        cores = sorted(os.sched_getaffinity(0))
        self.server_cores = set(cores[:-1]) if pin and len(cores) > 1 else set(cores)
        self.generator_cores = {cores[-1]} if pin else set(cores)
        self.hash = sh("openssl", "passwd", "-1", "-salt", HASH_SALT, PASSWORD)


def descendants(root):
    kids = {}
    for n in os.listdir("/proc"):
        if n.isdigit():
            try:
                kids.setdefault(int(open(f"/proc/{n}/stat").read().rpartition(")")[2].split()[1]), []).append(int(n))
            except (OSError, ValueError, IndexError):
                pass
    out = [root]
    for p in out:
        out.extend(kids.get(p, []))
    return out


class Server:
    def __init__(self, ctx, peer, tls):
        self.ctx = ctx
        if ctx.own_net:
            fresh_network()
        argv = peer.prepare(ctx, tls)
        env = dict(os.environ, **peer.env(ctx, tls))
        user = pwd.getpwnam(USER)

        def child():
            os.setsid()
            os.sched_setaffinity(0, ctx.server_cores)
            ctx.group.join()
            if not peer.root:
                os.setgroups([])
                os.setgid(user.pw_gid)
                os.setuid(user.pw_uid)

        self.log = open(f"{ctx.etc}/{peer.name}.log", "ab")
        self.proc = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, preexec_fn=child, env=env, cwd="/")
        deadline = time.time() + 20
        while True:
            if self.proc.poll() is not None:
                self.stop()
                raise RuntimeError(f"{peer.name} ended with {self.proc.returncode}: {tail(self.log.name)}")
            try:
                with socket.create_connection(("127.0.0.1", PORT), 2) as s:
                    s.settimeout(5)
                    if s.recv(3) == b"220":
                        break
            except OSError:
                pass
            if time.time() > deadline:
                self.stop()
                raise RuntimeError(f"{peer.name} did not answer: {tail(self.log.name)}")
            time.sleep(0.02)
        time.sleep(0.1)

    def stop(self):
        mine = set(self.ctx.group.pids()) | set(descendants(self.proc.pid) if self.proc.poll() is None else [])
        if self.proc.poll() is None:
            self.proc.terminate()
            try:
                self.proc.wait(3)
            except subprocess.TimeoutExpired:
                pass
        for _ in range(100):
            mine = set(self.ctx.group.pids()) | {p for p in mine if os.path.exists(f"/proc/{p}")}
            if self.proc.poll() is not None and not mine:
                break
            for p in mine:
                try:
                    os.kill(p, signal.SIGKILL)
                except OSError:
                    pass
            try:
                self.proc.wait(0.05)
            except subprocess.TimeoutExpired:
                pass
            time.sleep(0.05)
        self.log.close()


def tail(path):
    try:
        return open(path, errors="replace").read()[-300:].replace("\n", " | ")
    except OSError:
        return ""


def loadgen(ctx, server, args, limit, inside=False):
    if args[0] == "stock":
        argv = ["/usr/bin/python3", HERE + "/peers/stock.py", args[1], str(PORT), USER, PASSWORD, ctx.etc, args[2]]
        try:
            return json.loads(subprocess.run(argv, capture_output=True, text=True, timeout=limit).stdout)
        except (subprocess.TimeoutExpired, ValueError) as e:
            return {"measure": "stock", "ok": False, "error": repr(e)[:200]}
    argv = [BIN + "/loadgen", args[0], "-addr", f"127.0.0.1:{PORT}", "-home", ctx.home, "-scratch", ctx.etc]
    if server:
        argv += ["-pid", str(server.proc.pid)]
    if ctx.group.cpu:
        argv += ["-cgroup", ctx.group.cpu, "-memgroup", ctx.group.memory]

    def child():
        os.sched_setaffinity(0, ctx.generator_cores)
        if inside:
            ctx.group.join()

    try:
        p = subprocess.run(argv + args[1:], capture_output=True, text=True, timeout=limit, preexec_fn=child)
        return json.loads(p.stdout)
    except subprocess.TimeoutExpired:
        return {"measure": args[0], "ok": False, "error": f"more than {limit} s"}
    except ValueError:
        return {"measure": args[0], "ok": False, "error": (p.stderr or "no answer")[-200:]}


def measures(quick):
    """name -> (tls, arguments, better, rounds, time limit)"""
    big = 256 << 20 if quick else 1 << 30
    few, sec, runs = (2000, 1, 3) if quick else (10000, 3, 10)
    get = ["-name", "big.bin", "-size", str(big)]
    many = ["-conc", "100" if quick else "200", "-size", str(10 << 20)]
    r = 2 if quick else 5
    s = 1 if quick else 3
    return {
        "get": (0, ["download", *get], "more", r, 60),
        "get-tls": (1, ["download", "-tls", *get], "more", r, 60),
        "put": (0, ["upload", *get], "more", r, 60),
        "put-tls": (1, ["upload", "-tls", *get], "more", r, 60),
        "small-get": (0, ["smallget", "-n", str(few)], "more", s, 120),
        "small-put": (0, ["smallput", "-n", str(few)], "more", s, 120),
        "login-1": (0, ["login", "-seconds", str(sec)], "more", s, 60),
        "login-50": (0, ["login", "-seconds", str(sec), "-conc", "50"], "more", s, 60),
        "list": (0, ["list", "-name", "LIST", "-n", str(runs)], "less", s, 120),
        "mlsd": (0, ["list", "-name", "MLSD", "-n", str(runs)], "less", s, 120),
        "many": (0, ["multi", *many], "more", s, 120),
        "ttfb": (0, ["ttfb", "-n", "500" if quick else "2000"], "less", s, 60),
        "idle": (0, ["idle", "-conc", "20", "-steps", "1000" if quick else "1000,10000"], "less", 1, 240),
    }


def extras(quick):
    big = 256 << 20 if quick else 1 << 30
    get = ["-name", "big.bin", "-size", str(big)]
    many = ["-conc", "100" if quick else "200", "-size", str(10 << 20)]
    few, sec = (300, 1) if quick else (1000, 3)
    return {
        "get-read": (0, ["download", "-drain", "read", *get], "more", 3, 60),
        "get-splice": (0, ["download", "-drain", "splice", *get], "more", 3, 60),
        "many-tls": (1, ["multi", "-tls", *many], "more", 2, 120),
        "small-get-tls": (1, ["smallget", "-tls", "-n", str(few)], "more", 2, 120),
        "small-put-tls": (1, ["smallput", "-tls", "-n", str(few)], "more", 2, 120),
        "login-tls": (1, ["login", "-tls", "-seconds", str(sec)], "more", 2, 60),
        "ttfb-tls": (1, ["ttfb", "-tls", "-n", "300"], "less", 2, 60),
        "stock-ftplib-get-tls": (1, ["stock", "ftplib-get", "50"], "less", 2, 60),
        "stock-ftplib-put-tls": (1, ["stock", "ftplib-put", "50"], "less", 2, 60),
        "stock-lftp-get-tls": (1, ["stock", "lftp-get", "50"], "less", 2, 60),
        "stock-lftp-put-tls": (1, ["stock", "lftp-put", "50"], "less", 2, 60),
        "idle-tls": (1, ["idle", "-tls", "-conc", "20", "-steps", "1000"], "less", 1, 120),
    }


def make_home(home, size):
    p = pwd.getpwnam(USER)
    for d in ("ten", "small", "big", "up"):
        os.makedirs(f"{home}/{d}")
    block = os.urandom(1 << 20)
    with open(home + "/big.bin", "wb") as f:
        for _ in range(size >> 20):
            f.write(block)
    with open(home + "/one", "wb") as f:
        f.write(b"x")
    for i in range(20):
        with open(f"{home}/ten/{i:02d}.bin", "wb") as f:
            f.write(os.urandom(10 << 20))
    for i in range(10000):
        with open(f"{home}/small/f{i:05d}", "wb") as f:
            f.write(block[i : i + 1024])
        with open(f"{home}/big/entry-{i:05d}-report.dat", "wb") as f:
            f.truncate(i * 7)
    for d, _, files in os.walk(home):
        os.chown(d, p.pw_uid, p.pw_gid)
        for f in files:
            os.chown(f"{d}/{f}", p.pw_uid, p.pw_gid)


def clear_up(home):
    p = pwd.getpwnam(USER)
    shutil.rmtree(home + "/up", ignore_errors=True)
    os.makedirs(home + "/up")
    os.chown(home + "/up", p.pw_uid, p.pw_gid)


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--quick", action="store_true", help="small sizes, few rounds: under 4 minutes")
    ap.add_argument("--only", help="measures, comma separated")
    ap.add_argument("--extra", action="store_true", help="the supplementary measures too")
    ap.add_argument("--peers", help="peers, comma separated")
    ap.add_argument("--rounds", type=int, help="rounds for every measure but idle")
    ap.add_argument("--out", default="bench-result.json", help="all single results, JSON")
    ap.add_argument("--root", default="/dev/shm", help="where the served tree is made (default: tmpfs)")
    ap.add_argument("--pin", action="store_true", help="generator on the last core, server on the others: steadier, but no server gets all cores")
    ap.add_argument("--list", action="store_true", help="name the measures and the peers")
    ap.add_argument("--here", action="store_true", help="stay in this network namespace (else: a new one a sample)")
    ap.add_argument("--report", metavar="JSON", nargs="+", help="only print the tables of earlier runs")
    o = ap.parse_args()
    if o.report:
        runs = [json.load(open(f)) for f in o.report]
        whole = runs[0]
        for r in runs[1:]:
            whole["runs"] += r["runs"]
        print(report(whole))
        return
    known = {**measures(o.quick), **extras(o.quick)}
    if o.list:
        print("measures:", *measures(False))
        print("extra:", *extras(False))
        print("peers:", *[p.name for p in all_peers()], VsftpdDefault.name)
        return
    if os.geteuid():
        sys.exit("bench.py: run as root (three of the peers start as root)")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench.py: ended by a signal"))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(65536, soft), max(65536, hard)))
    except (ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    names = o.only.split(",") if o.only else [*measures(o.quick), *(extras(o.quick) if o.extra else [])]
    for n in names:
        if n not in known:
            sys.exit(f"bench.py: no measure {n}")
    peers = all_peers() + ([VsftpdDefault()] if o.peers and VsftpdDefault.name in o.peers else [])
    if o.peers:
        peers = [p for p in peers if p.name in o.peers.split(",")]
    top = f"{o.root}/ftpbench-{os.getpid()}"
    home, etc = top + "/home", top + "/etc"
    os.makedirs(home)
    os.makedirs(etc)
    os.chmod(top, 0o755)
    os.chmod(etc, 0o755)
    group = Group()
    ctx = Context(home, etc, group, not o.here, o.pin)
    out = {"machine": machine(group), "quick": o.quick, "pinned": o.pin, "peers": {}, "left_out": {}, "runs": []}
    began = time.time()
    server = None

    def save():
        with open(o.out, "w") as f:
            json.dump(out, f, indent=1)

    try:
        make_home(home, 256 << 20 if o.quick else 1 << 30)
        ready = {}
        for p in peers:
            why = p.missing()
            if why:
                out["left_out"][p.name] = why
                continue
            out["peers"][p.name] = {"version": p.version(), "settings": p.settings}
            for tls in (False, True):
                if tls and (not p.tls or not any(known[n][0] for n in names)):
                    continue
                try:
                    server = Server(ctx, p, tls)
                    c = loadgen(ctx, server, ["check", *(["-tls"] if tls else [])], 60)
                except RuntimeError as e:
                    c = {"ok": False, "error": str(e)}
                    server = None
                if server:
                    server.stop()
                    server = None
                clear_up(home)
                ready[p.name, tls] = c
                key = p.name + (" (TLS)" if tls else "")
                print(f"check {key}: {'ok' if c['ok'] else c.get('error')} {c.get('tls', '')} {' '.join(c.get('notes', []))}", flush=True)
                if not c["ok"]:
                    out["left_out"][key] = c.get("error") + " | " + tail(f"{etc}/{p.name}.log")
                out["peers"][p.name]["check_tls" if tls else "check"] = c
        for n in names:
            tls, args, better, rounds, limit = known[n]
            for k in range(rounds if n.startswith("idle") or not o.rounds else o.rounds):
                for p in peers:
                    state = ready.get((p.name, bool(tls)))
                    if not state or not state["ok"]:
                        continue
                    if n == "mlsd" and not state.get("extra", {}).get("MLSD_lines"):
                        continue
                    if (n.startswith("idle") and p.name == "limit") or (n.startswith("stock") and p.name in FLOORS):
                        continue  # the C stub has 256 threads; the stubs answer no FEAT, PWD or SIZE
                    try:
                        server = Server(ctx, p, bool(tls))
                        r = loadgen(ctx, server, args, limit)
                    except RuntimeError as e:
                        r = {"ok": False, "error": str(e)}
                    if server:
                        server.stop()
                        server = None
                    clear_up(home)
                    r.update(peer=p.name, name=n, round=k, better=better, load=open("/proc/loadavg").read().split()[0])
                    out["runs"].append(r)
                    print(f"{time.time() - began:6.0f} s  {n:14} {k} {p.name:13} {line(r)}", flush=True)
            save()
        r = loadgen(ctx, None, ["idlefloor", "-n", "5000"], 60, inside=True)
        r.update(peer="limit", name="idle-floor", round=0, better="less")
        out["runs"].append(r)
        r = loadgen(ctx, None, ["crypto"], 60)
        r.update(peer="limit", name="crypto-go", round=0, better="more")
        out["runs"].append(r)
        out["seconds"] = time.time() - began
    finally:
        if server:
            server.stop()
        save()
        shutil.rmtree(top, ignore_errors=True)
        group.close()
    print(report(out))


def machine(group):
    model = re.search(r"model name\s*: (.*)", open("/proc/cpuinfo").read())
    return {
        "cpu": model.group(1) if model else "?", "cores": os.cpu_count(), "kernel": os.uname().release,
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "go": sh("go", "version"), "openssl": sh("openssl", "version"), "cpu_from": group.kind,
        "load_at_start": open("/proc/loadavg").read().split()[:3],
    }


def line(r):
    if not r.get("ok"):
        return "FAILED " + str(r.get("error"))
    if r.get("steps"):
        return "; ".join(
            f"{s['sessions']} sessions: PSS {s['pss_kb_per_session']:.1f} RSS {s['rss_kb_per_session']:.1f} "
            f"group {s['group_kb_per_session']:.1f} system {s['system_kb_per_session']:.1f} KiB each, {s['with']['procs']} processes, opened in {s['open_s']:.1f} s, "
            f"alive {s['alive_of_100']}/100" for s in r["steps"]) + " " + " ".join(r.get("notes") or [])
    return (f"{r['value']:10.1f} {r['unit']}  wall {r['wall_s']:.2f} server {r['server_cpu_s']:.2f} generator {r['generator_cpu_s']:.2f} "
            f"other {r['other_cpu_s']:.2f} s  rss {r['peak']['rss_kb'] / 1024:.0f} MiB {' '.join(r.get('notes') or [])}")


def report(out):
    """Markdown tables: one a measure, peers by median, with ratios."""
    text = [f"machine: {out['machine']}", f"took {out.get('seconds', 0):.0f} s", ""]
    order = []
    for r in out["runs"]:
        if r["name"] not in order:
            order.append(r["name"])
    for n in order:
        rows = {}
        for r in out["runs"]:
            if r["name"] == n:
                rows.setdefault(r["peer"], []).append(r)
        if n.startswith("idle") and n != "idle-floor":
            text += [f"### {n}", "", "| peer | sessions | PSS KiB/session | RSS KiB/session | group KiB/session | machine KiB/session | processes | threads | server CPU ms/login | opened in s | alive /100 | note |", "|---|---|---|---|---|---|---|---|---|---|---|---|"]
            for p, rs in rows.items():
                for r in rs:
                    if not r.get("steps"):
                        text.append(f"| {p} | failed: {r.get('error')} |||||||||||")
                        continue
                    before = 0
                    for s in r["steps"]:
                        text.append(
                            f"| {p} | {s['sessions']} | {s['pss_kb_per_session']:.1f} | {s['rss_kb_per_session']:.1f} | {s['group_kb_per_session']:.1f} | {s['system_kb_per_session']:.1f} "
                            f"| {s['with']['procs']} | {s['with']['threads']} | {s['server_cpu_s'] * 1e3 / max(1, s['sessions'] - before):.2f} | {s['open_s']:.1f} | {s['alive_of_100']} | {' '.join(r.get('notes') or []) if s is r['steps'][-1] else ''} |")
                        before = s["sessions"]
            text.append("")
            continue
        better = next(iter(rows.values()))[0]["better"]
        good = {p: [r for r in rs if r.get("ok")] for p, rs in rows.items()}
        med = {p: statistics.median(r["value"] for r in rs) for p, rs in good.items() if rs}
        if not med:
            continue
        pick = max if better == "more" else min
        real = [v for p, v in med.items() if p not in FLOORS and not p.startswith(("ours", "towpath"))]
        best = pick(real) if real else None
        floor = med.get("limit")
        unit = next(r["unit"] for rs in good.values() for r in rs)
        per = next((r.get("unit_of", "") for rs in good.values() for r in rs), "")
        cost = {p: statistics.median(r.get("server_ms_per_unit", 0) for r in rs) for p, rs in good.items() if rs}
        least = min((v for p, v in cost.items() if p not in FLOORS and not p.startswith(("ours", "towpath")) and v > 0), default=0)
        text += [
            f"### {n} ({unit}; {better} is better)", "",
            f"| peer | median | min | max | of best peer | of limit | wall s | server CPU s | generator CPU s | server CPU ms/{per} | of least | peak RSS MiB | peak PSS MiB | other CPU % | note |",
            "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|"]
        for p in sorted(rows, key=lambda p: -med.get(p, 0) if better == "more" else med.get(p, 1e18)):
            rs = good[p]
            if not rs:
                text.append(f"| {p} | failed: {rows[p][0].get('error')} ||||||||||||||")
                continue
            m = lambda k: statistics.median(r[k] for r in rs)
            ratio = lambda ref: "" if not ref else f"{(med[p] / ref if better == 'more' else ref / med[p]):.2f}"
            wall = m("wall_s") or 1
            notes = sorted({x for r in rs for x in (r.get("notes") or [])} | {r["tls"] for r in rs if r.get("tls")})
            if len(rs) < len(rows[p]):
                notes.append(f"{len(rows[p]) - len(rs)} of {len(rows[p])} failed: {next(r.get('error') for r in rows[p] if not r.get('ok'))}")
            for k in ("p99_us", "done_p50_us", "done_max_us"):
                if rs[0].get("extra", {}).get(k):
                    notes.append(f"{k[:-3]} {statistics.median(r['extra'][k] for r in rs) / 1e3:.2f} ms")
            text.append(
                f"| {p} | {med[p]:.4g} | {min(r['value'] for r in rs):.4g} | {max(r['value'] for r in rs):.4g} | {ratio(best)} | {ratio(floor)} "
                f"| {wall:.2f} | {m('server_cpu_s'):.3f} | {m('generator_cpu_s'):.3f} | {cost[p]:.4g} | {(least / cost[p] if cost[p] else 0):.2f} | {max(r['peak']['rss_kb'] for r in rs) / 1024:.1f} | {max(r['peak']['pss_kb'] for r in rs) / 1024:.1f} "
                f"| {100 * m('other_cpu_s') / wall / (os.cpu_count() or 1):.0f} | {'; '.join(notes)} |")
        text.append("")
    if out.get("left_out"):
        text.append("left out: " + "; ".join(f"{k}: {v}" for k, v in out["left_out"].items()))
    return "\n".join(text)


if __name__ == "__main__":
    main()
