package foreign

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// directive is one line of proftpd.conf: a name and its arguments, quotes taken off.
type directive struct {
	line Line
	name string // in lower case: ProFTPD does not tell cases apart
	args []string
	// open and end mark <Name args> and </Name>.
	open, end bool
	// absent marks a section whose lines do not hold.
	absent bool
}

// arg is an argument, "" when there are fewer.
func (d directive) arg(i int) string {
	if i < len(d.args) {
		return d.args[i]
	}
	return ""
}

// on reads a boolean as ProFTPD does.
func (d directive) on() (value, ok bool) {
	switch strings.ToLower(d.arg(0)) {
	case "on", "yes", "true", "1":
		return true, true
	case "off", "no", "false", "0":
		return false, true
	}
	return false, false
}

// proftpdDirective is how one directive is carried over, or why it is not.
type proftpdDirective struct {
	carry func(p *proftpd, d directive)
	why   string
}

// proftpd is a proftpd.conf on its way.
type proftpd struct {
	*Import
	include func(pattern string) ([]source, error)
	opened  map[string]bool // files being read, against circles
	read    int             // files read, against floods

	context []directive // what is open around the line
	port    directive
	address directive
	tls     bool
	options map[string]Line // TLSOptions
	cert    []directive
	require *directive
	verify  directive
	ca      directive
}

// maxIncluded bounds how many files may be included.
const maxIncluded = 1000

// proTo carries the first argument over as it is.
func proTo(key string) func(*proftpd, directive) {
	return func(p *proftpd, d directive) { p.set(key, []Line{d.line}, d.arg(0)) }
}

// proSeconds carries over a time: seconds, or "hh:mm:ss" in newer releases.
func proSeconds(key string) func(*proftpd, directive) {
	return func(p *proftpd, d directive) {
		total := 0
		for part := range strings.SplitSeq(d.arg(0), ":") {
			n, err := strconv.ParseUint(part, 10, 24)
			if err != nil {
				p.note(LooksWrong, d.line, fmt.Sprintf("%q is not a number of seconds", d.arg(0)))
				return
			}
			total = total*60 + int(n)
		}
		p.set(key, []Line{d.line}, seconds(strconv.Itoa(total)))
	}
}

// proCount carries a limit over; "none" leaves ours.
func proCount(key string) func(*proftpd, directive) {
	return func(p *proftpd, d directive) {
		if strings.EqualFold(d.arg(0), "none") {
			p.note(Differs, d.line, "no limit there; "+key+" keeps its default")
			return
		}
		p.set(key, []Line{d.line}, d.arg(0))
	}
}

// proWhen notes something when a switch stands as given.
func proWhen(when bool, kind NoteKind, text string) func(*proftpd, directive) {
	return func(p *proftpd, d directive) {
		if v, ok := d.on(); !ok || v == when {
			p.note(kind, d.line, text)
		}
	}
}

const (
	noModules  = "modules are not read; what they do is said by the keys of Towpath or not at all"
	forAbsent  = "is for a server without that module; all modules are taken to be there"
	noResolver = "Towpath never looks up the names of its clients"
)

// proftpdDirectives are those of ProFTPD 1.3.8 and the modules that
// distributions switch on.
var proftpdDirectives = map[string]proftpdDirective{
	// Where it listens and how it lives.
	"port":            {carry: func(p *proftpd, d directive) { p.port = d }},
	"defaultaddress":  {carry: func(p *proftpd, d directive) { p.address = d }},
	"useipv6":         {carry: proWhen(false, Differs, "an address of listen without IPv6 says the same: 0.0.0.0:21")},
	"socketbindtight": {why: "each address of listen is bound by itself"},
	"servertype": {carry: func(p *proftpd, d directive) {
		if strings.EqualFold(d.arg(0), "inetd") {
			p.note(Differs, d.line, "Towpath listens itself, or takes a socket from systemd")
		}
	}},
	"user":        {carry: proTo("life.user")},
	"group":       {carry: proTo("life.group")},
	"pidfile":     {why: byProcess},
	"rootrevoke":  {why: "root is given up for good as soon as life.user is taken on"},
	"serveradmin": {why: "no reply of Towpath names a person"},
	"servername": {carry: func(p *proftpd, d directive) {
		if !p.has("banner") {
			p.set("banner", []Line{d.line}, d.arg(0))
		}
	}},
	"serverident": {carry: serverIdent},
	"deferwelcome": {
		carry: proWhen(true, NoCounterpart, "the greeting comes first (RFC 959); banner can be a bare word"),
	},
	"displayconnect":     {carry: proTo("banner_file")},
	"displaylogin":       {why: "the text after a login is said for each account"},
	"displayquit":        {why: "goodbye is one line"},
	"displaychdir":       {why: noMessages},
	"displayfirstchdir":  {why: noMessages},
	"displaygoaway":      {why: "a refusal is one line"},
	"multilinerfc2228":   {why: "replies of many lines are written as RFC 959 says"},
	"usereversedns":      {carry: proWhen(true, Differs, noResolver)},
	"identlookups":       {carry: proWhen(true, Differs, noResolver)},
	"loadmodule":         {why: noModules},
	"modulepath":         {why: noModules},
	"modulecontrolsacls": {why: noModules},
	"controlsengine":     {why: noModules},
	"controlsacls":       {why: noModules},
	"controlssocket":     {why: noModules},
	"controlsmaxclients": {why: noModules},
	"controlslog":        {why: noModules},
	"controlsinterval":   {why: noModules},
	"admincontrolsengine": {
		why: noModules,
	},
	"setenv":         {why: "Towpath starts no programs"},
	"scoreboardfile": {why: "sessions are counted in memory; SITE WHO tells who is logged in"},
	"delayengine":    {why: "failed logins take the same time whether the name exists or not: limits.failure_delay"},
	"delaytable":     {why: "failed logins take the same time whether the name exists or not: limits.failure_delay"},
	"tcpnodelay":     {why: isAlways},
	"tcpbacklog":     {why: "the kernel decides: net.core.somaxconn"},
	"socketoptions":  {why: "the kernel decides: net.ipv4.tcp_rmem and tcp_wmem"},

	// Who enters.
	"authpam":             {why: byPAM},
	"authpamconfig":       {why: byPAM},
	"authorder":           {why: byPAM},
	"authuserfile":        {why: "make these accounts with \"towpath account add\"; their password hashes can be taken over as they are"},
	"authgroupfile":       {why: "rights are said for each account, not for groups"},
	"requirevalidshell":   {why: byPAM},
	"useftpusers":         {why: byPAM},
	"persistentpasswd":    {why: byPAM},
	"useralias":           {why: byAccount},
	"userpassword":        {why: byAccount},
	"createhome":          {why: "\"towpath account add\" names the home of an account; directories in it are made by hand"},
	"anonrequirepassword": {why: "anonymous clients are asked for a password, and any will do"},
	"maxloginattempts":    {carry: proCount("limits.max_failures")},
	"accessgrantmsg":      {why: "the text after a login is said for each account"},
	"accessdenymsg":       {why: "a refusal tells no more than that"},
	"rootlogin":           {carry: proWhen(true, NoCounterpart, byPAM)},

	// What they see and may do.
	"defaultroot": {carry: func(p *proftpd, d directive) {
		switch root := d.arg(0); {
		case len(d.args) > 1:
			p.note(NoCounterpart, d.line, "groups have no root of their own; the home is said for each account")
		case strings.HasPrefix(root, "/"):
			p.set("root", []Line{d.line}, root)
		default:
			p.note(Differs, d.line, alwaysInTop+"; the home is said for each account")
		}
	}},
	"defaultchdir":         {why: byAccount},
	"umask":                {carry: proUmask},
	"allowoverwrite":       {carry: proWhen(false, NoCounterpart, byRights+" (write without delete)")},
	"allowstorerestart":    {carry: proWhen(false, NoCounterpart, "cut uploads can always be resumed by who began them")},
	"allowretrieverestart": {carry: proWhen(false, NoCounterpart, "cut downloads can always be resumed")},
	"hiddenstores":         {why: "an upload is whole or not there, under a hidden name until then"},
	"deleteabortedstores":  {why: "an upload is whole or not there, and a cut one can be resumed for files.partial_age"},
	"hidefiles":            {why: byRights},
	"hidenoaccess":         {why: byRights},
	"hideuser":             {why: byRights},
	"hidegroup":            {why: byRights},
	"pathallowfilter":      {why: byRights},
	"pathdenyfilter":       {why: byRights},
	"allowfilter":          {why: byRights},
	"denyfilter":           {why: "commands are read strictly, and patterns are bounded by limits.max_matches"},
	"showsymlinks":         {why: "a symbolic link is followed within home, and nowhere else"},
	"listoptions":          {why: "LIST takes the options that clients send"},
	"useglobbing":          {carry: proWhen(false, NoCounterpart, "patterns are bounded by limits.max_matches")},
	"timesgmt":             {carry: proWhen(false, NoCounterpart, inUTC)},
	"dirfakeuser":          {why: "listings of Towpath tell no owner of the system"},
	"dirfakegroup":         {why: "listings of Towpath tell no owner of the system"},
	"dirfakemode":          {why: "listings tell the real permissions"},
	"defaulttransfermode":  {why: "the type is ASCII until the client says otherwise (RFC 959)"},
	"maxretrievefilesize":  {why: "quotas are said for each account"},
	"maxstorefilesize":     {why: "quotas are said for each account"},
	"useencoding":          {carry: useEncoding},
	"langengine":           {why: "LANG is always there (RFC 2640)"},
	"usesendfile":          {carry: proWhen(false, Differs, "the kernel moves the bytes where it can")},
	"commandbuffersize":    {why: "a line has at most 4 KiB"},

	// Data connections.
	"passiveports":      {carry: passivePorts},
	"masqueradeaddress": {carry: func(p *proftpd, d directive) { p.masquerade(d, "") }},
	"tlsmasqueradeaddress": {carry: func(p *proftpd, d directive) {
		p.masquerade(d, "tls=")
	}},
	"allowforeignaddress": {carry: func(p *proftpd, d directive) {
		if v, ok := d.on(); ok && !v {
			return
		}
		p.set("passive.allow_foreign_data", []Line{d.line}, "true")
		p.set("active.allow_foreign", []Line{d.line}, "true")
		p.note(LooksWrong, d.line, "lets data connections go to and come from any host; wanted for FXP alone")
	}},

	// Limits.
	"maxinstances":          {carry: proCount("limits.max_sessions")},
	"maxclients":            {carry: proCount("limits.max_sessions")},
	"maxclientsperhost":     {carry: proCount("limits.max_per_address")},
	"maxconnectionsperhost": {carry: proCount("limits.max_per_address")},
	"maxclientsperuser":     {why: "access_limit is said for each account"},
	"maxhostsperuser":       {why: "access_limit is said for each account"},
	"maxclientsperclass":    {why: "networks are said for each account"},
	"maxconnectionrate":     {why: "failed logins are slowed down and banned: limits.ban_after; the rest belongs to the firewall"},
	"maxtransfersperhost":   {why: "a session has one transfer: limits.max_per_address"},
	"maxtransfersperuser":   {why: "a session has one transfer: access_limit of the account"},
	"maxcommandrate":        {carry: func(p *proftpd, d directive) { commandRate(p, d) }},
	"transferrate":          {carry: transferRate},
	"transferpriority":      {why: "sessions have no process whose priority could be changed"},
	"timeoutlogin":          {carry: proSeconds("limits.login_timeout")},
	"timeoutidle":           {carry: proSeconds("limits.idle_timeout")},
	"timeoutstalled":        {carry: proSeconds("limits.stall_timeout")},
	"timeoutnotransfer":     {why: "limits.idle_timeout ends sessions that do nothing"},
	"timeoutsession":        {why: "a session that works may last"},
	"timeoutlinger":         {why: "the kernel closes connections"},
	"rlimitmemory":          {why: "systemd sets limits for the process: MemoryMax="},
	"rlimitcpu":             {why: "systemd sets limits for the process: CPUQuota="},
	"rlimitopenfiles":       {why: "systemd sets limits for the process: LimitNOFILE="},
	"quotaengine":           {why: "quotas are said for each account"},
	"ratios":                {why: "ratios of uploads to downloads are out of use"},
	"banengine":             {why: "limits.ban_after and limits.ban_for ban"},
	"bantable":              {why: "bans are kept in memory"},
	"banlog":                {why: "bans are in the log"},
	"banonevent":            {why: "limits.ban_after and limits.ban_for ban"},

	// Logs.
	"transferlog": {carry: func(p *proftpd, d directive) {
		if !strings.EqualFold(d.arg(0), "none") {
			p.set("log.xferlog", []Line{d.line}, d.arg(0))
		}
	}},
	"wtmplog":        {why: "sessions are in the log, not in wtmp"},
	"systemlog":      {why: toStderr},
	"syslogfacility": {why: toStderr},
	"sysloglevel":    {why: "log.level says how much is logged"},
	"debuglevel":     {why: "log.level says how much is logged"},
	"serverlog":      {why: toStderr},
	"extendedlog":    {why: "the log has all of it as fields: log.format = \"json\"; the dialogue goes to log.transcripts"},
	"logformat":      {why: "the log has all of it as fields: log.format = \"json\""},

	// TLS.
	"tlsengine":                 {carry: func(p *proftpd, d directive) { p.tls, _ = d.on() }},
	"tlsrsacertificatefile":     {carry: certificate},
	"tlseccertificatefile":      {carry: certificate},
	"tlscertificatefile":        {carry: certificate},
	"tlsrsacertificatekeyfile":  {carry: certificate},
	"tlseccertificatekeyfile":   {carry: certificate},
	"tlscertificatekeyfile":     {carry: certificate},
	"tlscertificatechainfile":   {why: "append the chain to the file of tls.cert"},
	"tlspkcs12file":             {why: "Towpath reads PEM: convert it with openssl pkcs12"},
	"tlsdsacertificatefile":     {why: "DSA is out of use"},
	"tlsdsacertificatekeyfile":  {why: "DSA is out of use"},
	"tlscacertificatefile":      {carry: func(p *proftpd, d directive) { p.ca = d }},
	"tlscacertificatepath":      {why: "put the authorities into one file, for tls.client_ca"},
	"tlscarevocationfile":       {why: "revocation lists are not read: name an authority of your own in tls.client_ca"},
	"tlsrequired":               {carry: func(p *proftpd, d directive) { p.require = &d }},
	"tlsverifyclient":           {carry: func(p *proftpd, d directive) { p.verify = d }},
	"tlsverifydepth":            {why: "chains are checked whole"},
	"tlsoptions":                {carry: tlsOptions},
	"tlsprotocol":               {carry: tlsProtocol},
	"tlsciphersuite":            {why: noCiphers},
	"tlsserverciphepreference":  {why: noCiphers},
	"tlsservercipherpreference": {why: noCiphers},
	"tlsdhparamfile":            {why: noCiphers},
	"tlsecdhcurve":              {why: noCiphers},
	"tlsrenegotiate":            {why: "TLS 1.3 knows no renegotiation, and Towpath none in 1.2"},
	"tlstimeouthandshake":       {why: "limits.login_timeout covers the handshake"},
	"tlslog":                    {why: "failed handshakes are in the log"},
	"tlssessioncache":           {why: "tickets are private to each session: tls.binding"},
	"tlssessionticketkeys":      {why: "tickets are private to each session: tls.binding"},
	"tlssessiontickets":         {why: "tickets are private to each session: tls.binding"},
	"tlsstapling":               {why: "FTP clients do not ask for stapled answers"},
	"tlsstaplingcache":          {why: "FTP clients do not ask for stapled answers"},
	"tlspassphraseprovider":     {why: "keys with a passphrase are not read: take it off with openssl pkey"},
	"tlscontrolsacls":           {why: noModules},
	"tlsrandomseed":             {why: noCiphers},
}

// sections that are read as if their lines stood outside.
var transparent = []string{"global", "ifmodule", "ifversion"}

// sectionReasons say why the other sections are left out.
var sectionReasons = map[string]string{
	"virtualhost":     "a second server with settings of its own: start a second \"towpath serve\" with this address, or tls.hosts when it differs by certificate alone",
	"directory":       byRights,
	"limit":           byRights,
	"class":           "networks are said for each account",
	"ifclass":         "networks are said for each account",
	"ifuser":          byAccount,
	"ifgroup":         byAccount,
	"ifauthenticated": byAccount,
	"ifdefine":        "whether it holds is said on the command line of proftpd: read it by hand",
}

// readProFTPD reads proftpd.conf, with what it includes.
func readProFTPD(src source, include func(string) ([]source, error)) *Import {
	p := &proftpd{
		Import:  newImport(ProFTPD),
		include: include,
		opened:  map[string]bool{},
		options: map[string]Line{},
	}
	p.file(src)
	for _, d := range p.context {
		p.note(LooksWrong, d.line, "is never closed")
	}
	p.context = nil
	p.encryption()
	p.listening()
	return p.Import
}

// file reads one file.
func (p *proftpd) file(src source) {
	if p.opened[src.name] || p.read >= maxIncluded {
		p.note(LooksWrong, Line{File: src.name, Text: "Include"}, "is included by itself, or too many files are")
		return
	}
	p.read++
	p.opened[src.name] = true
	defer delete(p.opened, src.name)
	var carried string
	start := 0
	for i, raw := range strings.Split(src.text, "\n") {
		raw = strings.TrimSuffix(raw, "\r")
		if carried == "" {
			start = i + 1
		}
		// A line that ends in a backslash goes on in the next.
		if more, ok := strings.CutSuffix(raw, "\\"); ok {
			carried += more + " "
			continue
		}
		text := strings.TrimSpace(carried + raw)
		carried = ""
		if text == "" || text[0] == '#' {
			continue
		}
		d, err := parseDirective(Line{src.name, start, text})
		if err != nil {
			p.note(LooksWrong, d.line, err.Error())
			continue
		}
		p.directive(d)
	}
	if text := strings.TrimSpace(carried); text != "" {
		p.note(LooksWrong, Line{src.name, start, text}, "ends in a backslash, and nothing follows")
	}
}

// parseDirective takes a line apart: words parted by blanks, or in double
// quotes, where a backslash takes the next character as it is.
func parseDirective(l Line) (directive, error) {
	d := directive{line: l}
	text := l.Text
	if strings.HasPrefix(text, "<") {
		inner, ok := strings.CutSuffix(text[1:], ">")
		if !ok {
			return d, errors.New("begins with < and does not end with >")
		}
		if text, d.end = strings.CutPrefix(inner, "/"); !d.end {
			d.open = true
		}
	}
	words, err := splitWords(text)
	if err != nil {
		return d, err
	}
	if len(words) == 0 {
		return d, errors.New("names nothing")
	}
	d.name, d.args = strings.ToLower(words[0]), words[1:]
	return d, nil
}

// splitWords parts words by blanks and respects double quotes.
func splitWords(s string) (words []string, err error) {
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimLeft(s, " \t") {
		var word strings.Builder
		quoted, i := false, 0
		for ; i < len(s); i++ {
			c := s[i]
			if c == '"' {
				quoted = !quoted
				continue
			}
			if c == '\\' && quoted && i+1 < len(s) {
				i++
				word.WriteByte(s[i])
				continue
			}
			if !quoted && (c == ' ' || c == '\t') {
				break
			}
			word.WriteByte(c)
		}
		if quoted {
			return nil, errors.New("a quote is opened and not closed")
		}
		words, s = append(words, word.String()), s[i:]
	}
	return words, nil
}

// directive takes one line in its context.
func (p *proftpd) directive(d directive) {
	switch {
	case d.end:
		if n := len(p.context); n == 0 || p.context[n-1].name != d.name {
			p.note(LooksWrong, d.line, "closes a section that is not open")
		} else {
			p.context = p.context[:n-1]
		}
		return
	case d.open:
		p.open(d)
		return
	}
	if around, ok := p.left(); ok {
		p.within(around, d)
		return
	}
	if d.name == "include" {
		sources, err := p.include(d.arg(0))
		if err != nil {
			p.note(LooksWrong, d.line, err.Error())
		}
		for _, src := range sources {
			p.file(src)
		}
		return
	}
	how, known := proftpdDirectives[d.name]
	switch {
	case !known:
		p.note(NoCounterpart, d.line, "not known to Towpath")
	case how.carry == nil:
		p.note(NoCounterpart, d.line, how.why)
	case len(d.args) == 0:
		p.note(LooksWrong, d.line, "has no value")
	default:
		how.carry(p, d)
	}
}

// left is the innermost open section that is not read as if it were not there.
func (p *proftpd) left() (directive, bool) {
	if open := p.outside(); len(open) > 0 {
		return open[len(open)-1], true
	}
	return directive{}, false
}

// open takes the beginning of a section.
func (p *proftpd) open(d directive) {
	_, inside := p.left()
	p.context = append(p.context, d)
	switch {
	case inside || d.name == "global":
	case d.name == "ifmodule" || d.name == "ifversion":
		if strings.HasPrefix(d.arg(0), "!") {
			p.context[len(p.context)-1].absent = true
			p.note(NoCounterpart, d.line, forAbsent)
		}
	case d.name == "anonymous":
		p.set("anonymous", []Line{d.line}, "true")
		root := d.arg(0)
		if strings.HasPrefix(root, "/") && !p.has("root") {
			p.set("root", []Line{d.line}, root)
		} else {
			p.note(NoCounterpart, d.line, "anonymous clients see root; "+root+" was left out")
		}
	case d.name == "limit":
		// Judged by what stands in it.
	default:
		why, ok := sectionReasons[d.name]
		if !ok {
			why = "not known to Towpath"
		}
		p.note(NoCounterpart, d.line, why)
	}
}

// within takes a line inside a section that is left out.
func (p *proftpd) within(around, d directive) {
	writes := around.name == "limit" && slices.ContainsFunc(around.args, isWrite)
	switch {
	case writes && d.name == "denyall" && len(p.outside()) == 1:
		// <Limit WRITE> DenyAll for the whole server.
		p.set("read_only", []Line{around.line, d.line}, "true")
	case writes && d.name == "denyall" && p.inAnonymous():
		// As in Towpath.
	case around.name == "limit" && d.name == "allowall" && p.inAnonymous():
		p.note(LooksWrong, around.line, "anybody could change files here. "+anonReads)
	case around.name == "anonymous":
		switch d.name {
		case "user", "group", "useralias", "requirevalidshell", "anonrequirepassword":
			p.note(Differs, d.line, "anonymous clients are read-only and run as life.user, like all others")
		default:
			p.note(NoCounterpart, d.line, "has no counterpart for anonymous clients alone")
		}
	default:
		why, ok := sectionReasons[around.name]
		switch {
		case around.absent:
			why = forAbsent
		case !ok:
			why = "not known to Towpath"
		}
		p.note(NoCounterpart, d.line, "in <"+strings.Join(append([]string{around.name}, around.args...), " ")+">: "+why)
	}
}

// outside are the open sections that are left out.
func (p *proftpd) outside() (open []directive) {
	for _, d := range p.context {
		if d.absent || !slices.Contains(transparent, d.name) {
			open = append(open, d)
		}
	}
	return open
}

func (p *proftpd) inAnonymous() bool {
	return slices.ContainsFunc(p.context, func(d directive) bool { return d.name == "anonymous" })
}

// isWrite reports whether the argument of <Limit> names all commands that write.
func isWrite(arg string) bool { return strings.EqualFold(arg, "WRITE") }

func serverIdent(p *proftpd, d directive) {
	on, ok := d.on()
	switch {
	case !ok:
		p.note(LooksWrong, d.line, "is neither on nor off")
	case on && len(d.args) > 1:
		p.set("banner", []Line{d.line}, d.arg(1))
	case !on:
		p.set("banner", []Line{d.line}, "FTP server ready.")
	}
}

// proUmask carries "Umask FILES [DIRECTORIES]" over.
func proUmask(p *proftpd, d directive) {
	if len(d.args) > 1 && d.arg(1) != d.arg(0) {
		p.note(Differs, d.line, "files.umask is for files and directories alike; the one for files was taken")
	}
	p.set("files.umask", []Line{d.line}, d.arg(0))
}

// useEncoding carries "UseEncoding local client" over.
func useEncoding(p *proftpd, d directive) {
	if _, isSwitch := d.on(); isSwitch {
		return
	}
	p.set("files.charset", []Line{d.line}, d.arg(1))
}

func passivePorts(p *proftpd, d directive) {
	low, errLow := strconv.ParseUint(d.arg(0), 10, 16)
	high, errHigh := strconv.ParseUint(d.arg(1), 10, 16)
	switch {
	case errLow != nil || errHigh != nil:
		p.note(LooksWrong, d.line, "is not two port numbers")
		return
	case low > high:
		p.note(LooksWrong, d.line, fmt.Sprintf("the last port, %d, is below the first, %d; turned round to %d-%d", high, low, high, low))
		low, high = high, low
	}
	p.note(Differs, d.line, "when all are in use ProFTPD takes ports outside the range; Towpath answers 425")
	p.set("passive.ports", []Line{d.line}, fmt.Sprintf("%d-%d", low, high))
}

// masquerade carries an address over that clients are told. The one for TLS
// must stand before the one for all.
func (p *proftpd) masquerade(d directive, prefix string) {
	address := d.arg(0)
	if a, err := netip.ParseAddr(address); err == nil {
		noteAddress(p.Import, d.line, a)
	} else if net.ParseIP(address) == nil && !strings.Contains(address, ".") {
		p.note(Differs, d.line, "is a short name or an interface; for an interface write if:"+address)
	}
	for _, s := range p.Settings {
		if s.Key == "passive.external" && prefix != "" {
			p.set("passive.external", append([]Line{d.line}, s.From...), append([]string{prefix + address}, s.Values...)...)
			return
		}
	}
	p.add("passive.external", d.line, prefix+address)
}

// commandRate carries "MaxCommandRate rate [interval]" over.
func commandRate(p *proftpd, d directive) {
	n, err := strconv.ParseUint(d.arg(0), 10, 31)
	every := uint64(1)
	if err == nil && d.arg(1) != "" {
		every, err = strconv.ParseUint(d.arg(1), 10, 31)
	}
	if err != nil || every == 0 {
		p.note(LooksWrong, d.line, "is not a rate")
		return
	}
	p.set("limits.command_rate", []Line{d.line}, strconv.FormatUint(max(n/every, 1), 10))
}

// transferRate carries "TransferRate RETR,STOR kilobytes[:free]" over.
func transferRate(p *proftpd, d directive) {
	rate, _, _ := strings.Cut(d.arg(1), ":")
	kib, err := strconv.ParseFloat(rate, 64)
	if err != nil || math.IsNaN(kib) || kib < 0 || kib > 1e12 {
		p.note(LooksWrong, d.line, fmt.Sprintf("%q is not a rate in KiB per second", rate))
		return
	}
	if len(d.args) > 2 {
		p.note(NoCounterpart, d.line, "rates are for all, or said for each account")
		return
	}
	bytes := strconv.FormatInt(int64(kib*1024), 10)
	for verb := range strings.SplitSeq(strings.ToUpper(d.arg(0)), ",") {
		switch verb {
		case "RETR":
			p.set("limits.download_rate", []Line{d.line}, bytes)
		case "STOR", "APPE", "STOU":
			p.set("limits.upload_rate", []Line{d.line}, bytes)
		}
	}
}

func certificate(p *proftpd, d directive) {
	// One of several kinds: the RSA key was first in proftpd.conf, and a
	// second certificate of another kind has no place here.
	kind := func(d directive) string { return strings.TrimSuffix(strings.TrimSuffix(d.name, "keyfile"), "file") }
	if len(p.cert) > 0 && kind(p.cert[0]) != kind(d) {
		p.note(NoCounterpart, d.line, "there is one certificate; another kind was named before")
		return
	}
	p.cert = append(p.cert, d)
}

func tlsOptions(p *proftpd, d directive) {
	for _, o := range d.args {
		p.options[strings.ToLower(o)] = d.line
		switch strings.ToLower(o) {
		case "nosessionreuserequired", "useimplicitssl":
		case "nocertrequest":
			p.note(Differs, d.line, "no client certificate is asked for unless tls.client_ca is set")
		case "noemptyfragments", "allowweakdh", "allowclientrenegotiations", "allowweaksecurity":
			p.note(LooksWrong, d.line, o+" weakens TLS for old clients. "+noCiphers)
		default:
			p.note(NoCounterpart, d.line, o+" is not known to Towpath")
		}
	}
}

func tlsProtocol(p *proftpd, d directive) {
	var all []string
	for _, a := range d.args {
		all = append(all, strings.ToLower(a))
	}
	has := func(name string) bool { return slices.Contains(all, name) }
	switch {
	case has("sslv23") || has("sslv3") || has("+sslv3") || has("sslv2"):
		p.note(LooksWrong, d.line, "SSL 2 and 3 are broken. "+noCiphers)
	case has("tlsv1.3") && len(all) == 1:
		p.set("tls.min_version", []Line{d.line}, "1.3")
	case has("tlsv1") || has("tlsv1.1"):
		p.note(Differs, d.line, "TLS 1.0 and 1.1 are out of use. "+noCiphers)
	}
}

// listening joins port and address.
func (p *proftpd) listening() {
	number, lines := "21", []Line{{File: "proftpd", Text: "Port 21"}}
	if p.port.name != "" {
		number, lines = p.port.arg(0), []Line{p.port.line}
	}
	if number == "0" {
		p.note(Differs, p.port.line, "the main server does not listen; Towpath was left at its default address")
		return
	}
	var addrs []string
	for _, a := range p.address.args {
		addrs = append(addrs, net.JoinHostPort(a, number))
	}
	if addrs == nil {
		addrs = []string{":" + number}
	} else {
		lines = append(lines, p.address.line)
	}
	if l, implicit := p.options["useimplicitssl"]; implicit && p.has("tls.cert") {
		p.set("listen", append(lines, l))
		p.set("tls.implicit", append(lines, l), addrs[0])
		return
	}
	p.set("listen", lines, addrs...)
}

// encryption joins what TLSEngine switches on.
func (p *proftpd) encryption() {
	if !p.tls {
		for _, d := range p.cert {
			p.note(NoCounterpart, d.line, "has no effect without TLSEngine on")
		}
		p.drop("tls.min_version")
		if p.require != nil {
			p.note(NoCounterpart, p.require.line, "has no effect without TLSEngine on")
		}
		return
	}
	for _, d := range p.cert {
		key := "tls.cert"
		if strings.HasSuffix(d.name, "keyfile") {
			key = "tls.key"
		}
		p.set(key, []Line{d.line}, d.arg(0))
	}
	if !p.has("tls.cert") {
		p.drop("tls.key")
		p.note(LooksWrong, Line{File: "proftpd", Text: "TLSEngine on"}, "there is no certificate: set tls.cert and tls.key, or tls.self_signed")
		return
	}
	if d := p.require; d != nil {
		switch v := strings.ToLower(d.arg(0)); v {
		case "off", "no", "false", "0":
		case "on", "yes", "true", "1", "auth+data":
			p.set("tls.require", []Line{d.line}, "true")
		case "ctrl", "auth", "!data", "ctrl+!data", "auth+!data":
			p.set("tls.require", []Line{d.line}, "true")
			p.note(Differs, d.line, "tls.require covers logins and data together")
		default:
			p.note(LooksWrong, d.line, fmt.Sprintf("%q encrypts data and leaves passwords in clear text, or says nothing", v))
		}
	}
	if l, no := p.options["nosessionreuserequired"]; no {
		p.set("tls.binding", []Line{l}, "prefer")
	} else {
		p.set("tls.binding", []Line{{File: "proftpd", Text: "no TLSOptions NoSessionReuseRequired"}}, "require")
	}
	verify := strings.ToLower(p.verify.arg(0))
	switch asks := verify == "on" || verify == "optional"; {
	case asks && p.ca.name == "":
		p.note(LooksWrong, p.verify.line, "there is no TLSCACertificateFile by which a client certificate could be checked")
	case asks:
		p.set("tls.client_ca", []Line{p.ca.line}, p.ca.arg(0))
		if verify == "on" {
			p.set("tls.client_auth", []Line{p.verify.line}, "require")
		}
	case p.ca.name != "":
		p.note(NoCounterpart, p.ca.line, "has no effect without TLSVerifyClient")
	}
}
