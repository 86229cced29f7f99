package main

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"towpath/firewall"
	"towpath/gateway"
	"towpath/internal/config"
	"towpath/internal/units"
)

// gatewayFlags are those of towpath gateway.
type gatewayFlags struct {
	config string

	// Who is reached, and how.
	listen      []string
	implicit    string
	to          []string
	transparent bool
	install     bool
	redirect    string
	dialled     []string
	from        []string
	except      []string
	explicit    bool
	allow       []string
	socks       string
	socksUsers  []string
	balance     string
	health      units.Duration
	healthUser  string

	// Data.
	serverMode string
	data       string
	table      string
	ports      string
	external   string
	foreign    []string

	// TLS.
	tls        string
	cert, key  string
	selfSigned bool
	clientCA   string
	serverTLS  string
	serverCA   string
	pin        string
	ownCert    string
	ownKey     string
	insecure   bool

	// Proxies before and behind us.
	proxyIn  []string
	proxyOut int

	// What is told, and how it lives.
	log        logFlags
	record     string
	transcript string
	control    string
	drain      units.Duration
	idle       units.Duration
	blindIdle  units.Duration
	sandbox    bool
	user       string
	group      string
	max        int
	maxClient  int
	maxUser    int
	maxServer  int
	readOnly   bool
	rules      []string
	logins     int
	rate       units.Rate
	userRate   units.Rate
}

// logFlags say how the log is written.
type logFlags struct {
	json  bool
	level string
	file  string
}

func gatewayCommand() *cobra.Command {
	var v gatewayFlags
	c := &cobra.Command{
		Use:   "gateway",
		Short: "Carry FTP across NAT: read announcements, rewrite them, and open the way for data",
		Long: `Stands between clients and servers as an application level gateway (ALG): it
reads the announcements on control connections (PORT, EPRT, 227, 229), puts in
the addresses that the other side can reach, and carries the data connections.

Reverse, before servers: --to names them, with several by turns as --balance says.
Forward, before clients: --transparent takes connections that are redirected to
it and goes where they wanted to (--install-rules redirects them); --explicit
takes clients that log in as user@host, --socks those that speak SOCKS5, and
both go where --allow says.

Clear data goes through the kernel where it can (--data auto), and else through
this process, as everything under TLS does. With --tls=terminate TLS ends here,
so that announcements can be read; --server-tls says what servers hear.

SIGTERM lets transfers end, SIGHUP reads configuration and certificates again.
All rules are in tables of the process (--table) and go with it, however it ends.`,
		Example: `  towpath gateway --listen :21 --to 10.0.0.5
  towpath gateway --listen :21 --to 10.0.0.5,10.0.0.6:2121 --balance client --health 10s
  towpath gateway --listen :21 --transparent --install-rules --from 192.168.0.0/16
  towpath gateway --listen 127.0.0.1:2121 --explicit --allow ftp.example.org
  towpath gateway --listen :21 --to 10.0.0.5 --tls terminate --cert gw.pem --server-tls clear
  towpath gateway --listen :21 --to ftp.example.org:990 --server-tls implicit
  towpath gateway plan --transparent --from 192.168.0.0/16`,
		Args: verbs,
		RunE: func(c *cobra.Command, _ []string) error {
			load := func() (*gatewayFlags, error) { return v.load(c.Flags()) }
			return runGateway(c.Context(), load, c.OutOrStdout())
		},
	}
	v.bind(c.Flags())
	c.AddCommand(gatewayPlanCommand(), gatewayKernelCommand(), gatewayStatusCommand(), gatewayDrainCommand(), gatewayUndrainCommand())
	return c
}

func (v *gatewayFlags) bind(f *pflag.FlagSet) {
	f.StringVar(&v.config, "config", "", "read flags from this TOML `FILE`, one key for each; flags win")
	f.StringArrayVar(&v.listen, "listen", nil, "listen on this `ADDRESS`, host:port or :port; may be repeated (default :21, unless --socks or --implicit is said)")
	f.StringVar(&v.implicit, "implicit", "", "listen on this `ADDRESS` for TLS from the first byte")
	f.StringSliceVar(&v.to, "to", nil, "stand before these servers, `HOST[:PORT],...`; behind each may stand weight=N, max=N, drain, name=, hosts= and users= (patterns that it is for), tls=, proxy= and as=")
	f.BoolVar(&v.transparent, "transparent", false, "take connections that are redirected here, and go where they wanted to")
	f.BoolVar(&v.install, "install-rules", false, "with --transparent: redirect connections to this process, in a table of its own, as plan prints it")
	f.StringVar(&v.redirect, "redirect", "nat", "how rules redirect them: `nat|tproxy` (REDIRECT or TPROXY); tproxy leaves packets as they are, needs CAP_NET_ADMIN, and marks and routes of its own")
	f.StringSliceVar(&v.dialled, "dialled", []string{"21"}, "with --install-rules: redirect what is opened to these `PORTS`")
	f.StringSliceVar(&v.from, "from", nil, "with --install-rules: redirect only what comes from these `NETWORKS`")
	f.StringSliceVar(&v.except, "except", nil, "with --install-rules: leave servers in these `NETWORKS` alone")
	f.BoolVar(&v.explicit, "explicit", false, "take clients that log in as user@host[:port]; needs --allow")
	f.StringSliceVar(&v.allow, "allow", nil, "with --explicit and --socks: these `TARGETS` can be reached, networks or patterns of host names, each with :PORTS if not 21")
	f.StringVar(&v.socks, "socks", "", "listen on this `ADDRESS` for SOCKS5; needs --allow")
	f.StringArrayVar(&v.socksUsers, "socks-user", nil, "with --socks: let in whoever says this `NAME:PASSWORD`, and nobody else; may be repeated")
	f.StringVar(&v.balance, "balance", "least", "which of several servers: `least|client|user|order`: that with the least sessions, always the same for a client's address or for a user, or the first that works")
	f.Var(span(&v.health), "health", "look every `TIME` whether each server greets")
	f.StringVar(&v.healthUser, "health-user", "", "and log in there as `NAME:PASSWORD`")

	f.StringVar(&v.serverMode, "server-mode", "same", "how data connections with servers are made: `same|passive|active`")
	f.StringVar(&v.data, "data", "auto", "what carries clear data: `auto|kernel|user`")
	f.StringVar(&v.table, "table", firewall.DefaultTable, "keep rules in tables whose names are this `NAME` or begin with it; each gateway of a host that makes rules needs its own, towpath or one that begins with towpath_")
	f.StringVar(&v.ports, "ports", "", "announce ports of this range, `LOW-HIGH` (default 49152-65535)")
	f.StringVar(&v.external, "external", "", "the `ADDRESS` to tell clients, where a NAT stands before this machine")
	f.StringSliceVar(&v.foreign, "insecure-foreign", nil, "believe announcements that name hosts in these `NETWORKS`, beside the sender's own; opens the door to bounce attacks")

	f.StringVar(&v.tls, "tls", "", "what becomes of AUTH TLS: `pass|refuse|terminate|require`; with pass announcements cannot be repaired (default terminate with a certificate, else pass)")
	f.StringVar(&v.cert, "cert", "", "the certificate that clients see, a PEM `FILE`")
	f.StringVar(&v.key, "key", "", "its key, a PEM `FILE` (default that of --cert)")
	f.BoolVar(&v.selfSigned, "self-signed", false, "make up a certificate")
	f.StringVar(&v.clientCA, "client-ca", "", "ask clients for certificates of the authorities in this PEM `FILE`")
	f.StringVar(&v.serverTLS, "server-tls", "same", "what servers hear: `same|clear|explicit|implicit`, where same is as the client said")
	f.StringVar(&v.serverCA, "ca", "", "believe servers with certificates of the authorities in this PEM `FILE` (default those of the system)")
	f.StringVar(&v.pin, "pin", "", "believe a server whose key has this `HASH`, sha256//BASE64, and no other")
	f.StringVar(&v.ownCert, "client-cert", "", "our own certificate towards servers, a PEM `FILE`")
	f.StringVar(&v.ownKey, "client-key", "", "its key, a PEM `FILE` (default that of --client-cert)")
	f.BoolVar(&v.insecure, "insecure-server", false, "believe any certificate of a server")

	f.StringSliceVar(&v.proxyIn, "proxy-protocol-in", nil, "balancers in these `NETWORKS` say by the PROXY protocol who the client is")
	f.IntVar(&v.proxyOut, "proxy-protocol-out", 0, "say so to servers, in this `VERSION`: 1 or 2")

	f.BoolVar(&v.log.json, "log-json", false, "write the log as JSON")
	f.StringVar(&v.log.level, "log-level", "info", "what is logged: `debug|info|warn|error` and worse")
	f.StringVar(&v.log.file, "log-file", "", "write the log to `FILE` in place of standard error")
	f.StringVar(&v.record, "record", "", "write an account of each session to `FILE`, one object of JSON in a line")
	f.StringVar(&v.transcript, "transcript", "", "keep the dialogue of each session in this `DIRECTORY`")
	f.StringVar(&v.control, "control", "", "where status and drain ask this gateway, a socket at this `PATH` for its user alone, or none (default in the runtime directory: /run/towpath-gateway for root)")
	f.IntVar(&v.max, "max-sessions", 0, "at most `N` sessions in all; 0 is no limit")
	f.IntVar(&v.maxClient, "max-per-client", 0, "and `N` of one client address")
	f.IntVar(&v.maxUser, "max-per-user", 0, "and `N` of one user")
	f.IntVar(&v.maxServer, "max-per-server", 0, "and `N` at one server")
	f.IntVar(&v.logins, "logins-per-minute", 0, "and `N` logins of one client address in a minute")
	f.Var(pace(&v.rate), "rate", "at most this `RATE` for the data of one session, as 10MiB/s")
	f.Var(pace(&v.userRate), "user-rate", "and this `RATE` for all sessions of one user")
	f.StringArrayVar(&v.rules, "rule", nil, "a `RULE` of who may do what, as in \"deny user=anonymous do=write\"; the first that matches counts; may be repeated")
	f.BoolVar(&v.readOnly, "read-only", false, "let nobody change files")
	v.idle, v.blindIdle = units.Duration(15*time.Minute), units.Duration(24*time.Hour)
	f.Var(span(&v.idle), "idle-timeout", "end a session in which nothing is said or moved for `TIME`")
	f.Var(span(&v.blindIdle), "blind-timeout", "and one under TLS that passes through in which nothing is said; it may be moving data that nobody here sees")
	v.drain = units.Duration(time.Minute)
	f.Var(span(&v.drain), "drain-timeout", "how much `TIME` sessions have after SIGTERM")
	f.StringVar(&v.user, "user-id", "", "become this `USER`, by name or number, once ports are bound and rules are made; of all rights the one to change rules is kept if data goes through the kernel or connections are redirected")
	f.StringVar(&v.group, "group-id", "", "and this `GROUP` (default the user's own)")
	f.BoolVar(&v.sandbox, "sandbox", true, "hide all files from the process that it does not need (Linux 5.19)")
}

// load returns the flags with what the configuration says where they are silent.
func (v *gatewayFlags) load(given *pflag.FlagSet) (*gatewayFlags, error) {
	next := *v
	if v.config != "" {
		f := pflag.NewFlagSet("gateway", pflag.ContinueOnError)
		next = gatewayFlags{}
		next.bind(f)
		if err := readFlagFile(v.config, f); err != nil {
			return nil, err
		}
		// What was said on the command line wins. A list replaces a list.
		var err error
		given.Visit(func(g *pflag.Flag) {
			if own := f.Lookup(g.Name); own != nil && err == nil {
				err = replaceFlag(own, g)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return &next, next.check()
}

// check says what is wrong with the flags, by themselves and together.
func (v *gatewayFlags) check() error {
	kinds := 0
	for _, is := range []bool{len(v.to) > 0, v.transparent, v.explicit || v.socks != ""} {
		if is {
			kinds++
		}
	}
	switch {
	case kinds == 0:
		return errors.New("who shall be reached? Name servers (--to HOST), or take redirected connections (--transparent), or let clients say (--explicit, --socks)")
	case kinds > 1:
		return errors.New("--to, --transparent and --explicit or --socks exclude each other: start one gateway for each")
	case (v.explicit || v.socks != "") && len(v.allow) == 0:
		return errors.New("--explicit and --socks need --allow: a gateway that goes wherever it is told to would be an open proxy")
	case len(v.socksUsers) > 0 && v.socks == "":
		return errors.New("--socks-user is for those who come by --socks")
	case v.install && !v.transparent:
		return errors.New("--install-rules redirects connections, which only --transparent takes")
	case v.install && len(v.listen) == 0 && v.implicit != "":
		return errors.New("--install-rules redirects to the first address of --listen, and there is none")
	case len(v.from)+len(v.except) > 0 && !v.install:
		return errors.New("--from and --except are for the rules of --install-rules")
	case !slices.Contains([]string{"nat", "tproxy"}, v.redirect):
		return fmt.Errorf("--redirect %q: want nat or tproxy", v.redirect)
	case v.redirect == "tproxy" && !v.transparent:
		return errors.New("--redirect tproxy is for connections that are redirected, which only --transparent takes")
	case v.cert != "" && v.selfSigned:
		return errors.New("--cert and --self-signed exclude each other")
	case v.key != "" && v.cert == "":
		return errors.New("--key is the key of a certificate, and there is none; want --cert")
	case v.implicit != "" && v.cert == "" && !v.selfSigned:
		return errors.New("--implicit needs a certificate: --cert FILE, or --self-signed")
	case v.pin != "" && v.insecure:
		return errors.New("--pin and --insecure-server exclude each other")
	case v.proxyOut < 0 || v.proxyOut > 2:
		return fmt.Errorf("--proxy-protocol-out %d: want 1 or 2", v.proxyOut)
	case !tableName(v.table):
		return fmt.Errorf("--table %q: want towpath, or towpath_ and letters, digits and underscores, as towpath_two; towpath_ftp is that of gateway kernel", v.table)
	case v.idle == 0 || v.blindIdle == 0:
		return errors.New("--idle-timeout and --blind-timeout want a time, as 15m or 24h: sessions that nobody ends would keep their places for ever")
	case !slices.Contains([]string{"auto", "kernel", "user"}, v.data):
		return fmt.Errorf("--data %q: want auto, kernel or user", v.data)
	}
	if len(v.listen) == 0 && v.implicit == "" && v.socks == "" {
		v.listen = []string{":21"}
	}
	if v.tls == "" {
		v.tls = gateway.PassTLS.String()
		if v.cert != "" || v.selfSigned {
			v.tls = gateway.TerminateTLS.String()
		}
	}
	mode, err := gateway.ParseClientTLS(v.tls)
	if err != nil {
		return fmt.Errorf("--tls %w", err)
	}
	if v.cert == "" && !v.selfSigned && (mode == gateway.TerminateTLS || mode == gateway.RequireTLS) {
		return fmt.Errorf("--tls=%v needs a certificate: --cert FILE, or --self-signed", mode)
	}
	if _, err := gateway.ParseMode(v.serverMode); err != nil {
		return fmt.Errorf("--server-mode %w", err)
	}
	if _, err := gateway.ParseServerTLS(v.serverTLS); err != nil {
		return fmt.Errorf("--server-tls %w", err)
	}
	for _, text := range v.socksUsers {
		if _, err := config.ParseUser(text); err != nil {
			return fmt.Errorf("--socks-user: %w", err)
		}
	}
	if v.healthUser != "" {
		if _, err := config.ParseUser(v.healthUser); err != nil {
			return fmt.Errorf("--health-user: %w", err)
		}
	}
	if _, err := v.dialledPorts(); err != nil {
		return err
	}
	if v.ports != "" {
		if _, err := firewall.ParsePorts(v.ports); err != nil {
			return fmt.Errorf("--ports %w", err)
		}
	}
	if v.external != "" {
		if _, err := netip.ParseAddr(v.external); err != nil {
			return fmt.Errorf("--external %q: want an address, such as 203.0.113.7", v.external)
		}
	}
	for _, list := range []struct {
		flag  string
		texts []string
	}{{"from", v.from}, {"except", v.except}, {"insecure-foreign", v.foreign}, {"proxy-protocol-in", v.proxyIn}} {
		if _, err := prefixes(list.texts); err != nil {
			return fmt.Errorf("--%s %w", list.flag, err)
		}
	}
	return nil
}

// tableName says whether a gateway may have tables of this name: what it finds in
// one that belongs to nobody it takes for its own, and takes away.
func tableName(s string) bool {
	own, more := strings.CutPrefix(s, firewall.DefaultTable+"_")
	if !more {
		return s == firewall.DefaultTable
	}
	return own != "" && own != "ftp" && len(own) <= 32 && !strings.ContainsFunc(own, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

// dialledPorts are those that clients open control connections to.
func (v *gatewayFlags) dialledPorts() ([]uint16, error) {
	var ports []uint16
	for _, text := range v.dialled {
		p, err := strconv.ParseUint(text, 10, 16)
		if err != nil || p == 0 {
			return nil, fmt.Errorf("--dialled %q: want ports from 1 to 65535", text)
		}
		ports = append(ports, uint16(p))
	}
	return ports, nil
}

// prefixes reads networks; an address is a network of one.
func prefixes(texts []string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, t := range texts {
		p, err := netip.ParsePrefix(t)
		if a, aerr := netip.ParseAddr(t); aerr == nil {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("%q: want a network or an address, such as 192.168.0.0/16", t)
		}
		all = append(all, p.Masked())
	}
	return all, nil
}
