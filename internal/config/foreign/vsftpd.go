package foreign

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// vsftpdOption is how one option of vsftpd.conf is carried over: by carry, or,
// where that is nil, not at all for the reason why.
type vsftpdOption struct {
	kind byte // 'b' YES or NO, 'n' number, 's' text
	// std is the default of vsftpd 3.0.3. With always it is carried over when
	// the file does not name the option, because ours is another.
	std    string
	always bool
	carry  func(v *vsftpd, l Line, value string)
	why    string
}

// vsftpd is a vsftpd.conf on its way.
type vsftpd struct {
	*Import
	file  string
	value map[string]string
	line  map[string]Line
}

// get is the value of an option, its default when the file does not name it.
func (v *vsftpd) get(name string) (string, Line) {
	if value, ok := v.value[name]; ok {
		return value, v.line[name]
	}
	std := vsftpdOptions[name].std
	return std, Line{File: "vsftpd", Text: name + "=" + std}
}

func (v *vsftpd) on(name string) bool {
	value, _ := v.get(name)
	return value == "YES"
}

func (v *vsftpd) said(name string) bool {
	_, ok := v.value[name]
	return ok
}

// to carries a value over to a key as it is.
func to(key string) func(*vsftpd, Line, string) {
	return func(v *vsftpd, l Line, value string) { v.set(key, []Line{l}, value) }
}

// toTruth carries YES or NO over.
func toTruth(key string) func(*vsftpd, Line, string) {
	return func(v *vsftpd, l Line, value string) {
		v.set(key, []Line{l}, strconv.FormatBool(value == "YES"))
	}
}

// toSeconds carries over a time in seconds; 0 is off.
func toSeconds(key string) func(*vsftpd, Line, string) {
	return func(v *vsftpd, l Line, value string) { v.set(key, []Line{l}, seconds(value)) }
}

func seconds(n string) string {
	if n == "0" {
		return "off"
	}
	return n + "s"
}

// toFile carries over a path unless it is empty, which means none.
func toFile(key string) func(*vsftpd, Line, string) {
	return func(v *vsftpd, l Line, value string) {
		if value != "" {
			v.set(key, []Line{l}, value)
		}
	}
}

// danger carries over what weakens the server, and says so.
func danger(text string, keys ...string) func(*vsftpd, Line, string) {
	return func(v *vsftpd, l Line, value string) {
		if value != "YES" {
			return
		}
		for _, k := range keys {
			v.set(k, []Line{l}, "true")
		}
		v.note(LooksWrong, l, text)
	}
}

// noted carries nothing over and says something when the value is as given.
func noted(when string, kind NoteKind, text string) func(*vsftpd, Line, string) {
	return func(v *vsftpd, l Line, value string) {
		if value == when {
			v.note(kind, l, text)
		}
	}
}

// elsewhere is for options that another one, or the end, takes up.
func elsewhere(*vsftpd, Line, string) {}

// umask carries an octal number over. vsftpd takes one without a leading zero
// for a decimal, which hardly anybody means.
func umask(v *vsftpd, l Line, value string) {
	base := 10
	if strings.HasPrefix(value, "0") {
		base = 8
	}
	n, err := strconv.ParseUint(value, base, 32)
	if err != nil || n > 0o777 {
		v.note(LooksWrong, l, value+" is not a umask; write an octal number as 022")
		return
	}
	if base == 10 && n > 0 {
		v.note(LooksWrong, l, fmt.Sprintf("without a leading zero vsftpd reads %s as a decimal number, the umask %03o; written so here, and 0%s may have been meant", value, n, value))
	}
	v.set("files.umask", []Line{l}, fmt.Sprintf("%03o", n))
}

// The reasons that several options share.
const (
	byAccount   = "said for each account, in the file that accounts names"
	byPAM       = "Towpath keeps accounts of its own and does not ask PAM or the system: make them with \"towpath account add\""
	byRights    = "said for each account as a right per path, in the file that accounts names"
	isAlways    = "Towpath always does so"
	isNever     = "Towpath never does so"
	byProcess   = "Towpath is one process and starts in the foreground, as systemd wants it"
	noMessages  = "Towpath shows no message per directory"
	inUTC       = "MLSD and MDTM give times in UTC (RFC 3659), and so does Towpath everywhere"
	noCiphers   = "Towpath speaks TLS 1.2 and 1.3 with the ciphers that Go holds to be safe"
	anonReads   = "anonymous clients of Towpath only read: make an account with write rights on one directory instead"
	alwaysInTop = "nobody leaves home in Towpath"
	toStderr    = "the log goes to standard error, where journald takes it up, or to log.file"
)

// vsftpdOptions are those of vsftpd 3.0.3 and the later ones of distributions.
var vsftpdOptions = map[string]vsftpdOption{
	// Where it listens.
	"listen":          {kind: 'b', std: "NO", carry: elsewhere},
	"listen_ipv6":     {kind: 'b', std: "NO", carry: elsewhere},
	"listen_port":     {kind: 'n', std: "21", carry: elsewhere},
	"listen_address":  {kind: 's', carry: elsewhere},
	"listen_address6": {kind: 's', carry: elsewhere},
	"background":      {kind: 'b', std: "NO", why: byProcess},

	// Who enters.
	"anonymous_enable":         {kind: 'b', std: "YES", always: true, carry: toTruth("anonymous")},
	"local_enable":             {kind: 'b', std: "NO", carry: noted("YES", NoCounterpart, byPAM)},
	"guest_enable":             {kind: 'b', std: "NO", carry: elsewhere},
	"guest_username":           {kind: 's', std: "ftp", carry: elsewhere},
	"nopriv_user":              {kind: 's', std: "nobody", why: "the whole server becomes life.user once its ports are bound; sessions have no process of their own"},
	"ftp_username":             {kind: 's', std: "ftp", why: byProcess + "; it runs as life.user"},
	"pam_service_name":         {kind: 's', std: "ftp", why: byPAM},
	"session_support":          {kind: 'b', std: "NO", why: byPAM},
	"check_shell":              {kind: 'b', std: "YES", why: byPAM},
	"user_config_dir":          {kind: 's', why: byAccount},
	"user_sub_token":           {kind: 's', why: "the home of each account is written out in the accounts file"},
	"virtual_use_local_privs":  {kind: 'b', std: "NO", why: byRights},
	"userlist_enable":          {kind: 'b', std: "NO", carry: elsewhere},
	"userlist_deny":            {kind: 'b', std: "YES", carry: elsewhere},
	"userlist_file":            {kind: 's', std: "/etc/vsftpd.user_list", carry: elsewhere},
	"userlist_log":             {kind: 'b', std: "NO", why: "every refused login is logged"},
	"deny_email_enable":        {kind: 'b', std: "NO", why: "what an anonymous client gives as password proves nothing"},
	"banned_email_file":        {kind: 's', std: "/etc/vsftpd.banned_emails", why: "what an anonymous client gives as password proves nothing"},
	"secure_email_list_enable": {kind: 'b', std: "NO", why: "what an anonymous client gives as password proves nothing"},
	"email_password_file":      {kind: 's', std: "/etc/vsftpd.email_passwords", why: "what an anonymous client gives as password proves nothing"},
	"no_anon_password":         {kind: 'b', std: "NO", carry: noted("YES", NoCounterpart, "anonymous clients are asked for a password, and any will do")},
	"tcp_wrappers":             {kind: 'b', std: "NO", carry: noted("YES", NoCounterpart, "hosts.allow is not read; networks are said for each account, and the rest belongs to the firewall")},
	"reverse_lookup_enable":    {kind: 'b', std: "YES", carry: noted("YES", Differs, "Towpath never looks up the names of its clients")},

	// What they see and may do.
	"write_enable": {kind: 'b', std: "NO", always: true, carry: func(v *vsftpd, l Line, value string) {
		v.set("read_only", []Line{l}, strconv.FormatBool(value != "YES"))
	}},
	"local_root":               {kind: 's', carry: elsewhere},
	"anon_root":                {kind: 's', carry: elsewhere},
	"chroot_local_user":        {kind: 'b', std: "NO", carry: elsewhere},
	"chroot_list_enable":       {kind: 'b', std: "NO", carry: noted("YES", NoCounterpart, alwaysInTop)},
	"chroot_list_file":         {kind: 's', std: "/etc/vsftpd.chroot_list", why: alwaysInTop},
	"passwd_chroot_enable":     {kind: 'b', std: "NO", why: "the home of each account is written out in the accounts file"},
	"allow_writeable_chroot":   {kind: 'b', std: "NO", carry: noted("YES", Differs, "Towpath needs no leave for a writable home: no program is run in it and no path leads out of it")},
	"secure_chroot_dir":        {kind: 's', std: "/usr/share/empty", why: "Towpath needs no empty directory; life.sandbox confines it"},
	"anon_upload_enable":       {kind: 'b', std: "NO", carry: noted("YES", LooksWrong, "anybody could leave files here. "+anonReads)},
	"anon_mkdir_write_enable":  {kind: 'b', std: "NO", carry: noted("YES", LooksWrong, "anybody could make directories here. "+anonReads)},
	"anon_other_write_enable":  {kind: 'b', std: "NO", carry: noted("YES", LooksWrong, "anybody could delete and rename here. "+anonReads)},
	"anon_world_readable_only": {kind: 'b', std: "YES", why: "who may read a file is decided by the system's permissions for life.user"},
	"chown_uploads":            {kind: 'b', std: "NO", why: "files belong to life.user"},
	"chown_username":           {kind: 's', std: "root", why: "files belong to life.user"},
	"chown_upload_mode":        {kind: 'n', std: "0600", why: "files belong to life.user; files.umask gives their permissions"},
	"chmod_enable":             {kind: 'b', std: "YES", carry: noted("NO", NoCounterpart, byRights)},
	"mdtm_write":               {kind: 'b', std: "YES", carry: noted("NO", NoCounterpart, byRights)},
	"download_enable":          {kind: 'b', std: "YES", carry: noted("NO", NoCounterpart, byRights)},
	"dirlist_enable":           {kind: 'b', std: "YES", carry: noted("NO", NoCounterpart, byRights)},
	"cmds_allowed":             {kind: 's', why: byRights},
	"cmds_denied":              {kind: 's', why: byRights},
	"deny_file":                {kind: 's', why: byRights},
	"hide_file":                {kind: 's', why: byRights},
	"hide_ids":                 {kind: 'b', std: "NO", why: "listings of Towpath tell no owner of the system"},
	"force_dot_files":          {kind: 'b', std: "NO", why: "names that begin with a dot are listed like all others"},
	"tilde_user_enable":        {kind: 'b', std: "NO", why: isNever},
	"ls_recurse_enable":        {kind: 'b', std: "NO", carry: noted("YES", NoCounterpart, "LIST -R is refused: it makes much work for little")},
	"text_userdb_names":        {kind: 'b', std: "NO", why: "listings of Towpath tell no owner of the system"},
	"use_localtime":            {kind: 'b', std: "NO", carry: noted("YES", NoCounterpart, inUTC)},
	"dirmessage_enable":        {kind: 'b', std: "NO", carry: noted("YES", NoCounterpart, noMessages)},
	"message_file":             {kind: 's', std: ".message", why: noMessages},
	"ascii_upload_enable":      {kind: 'b', std: "NO", carry: noted("NO", Differs, "Towpath converts line ends whenever the client asks for TYPE A (RFC 959)")},
	"ascii_download_enable":    {kind: 'b', std: "NO", carry: noted("NO", Differs, "Towpath converts line ends whenever the client asks for TYPE A (RFC 959)")},
	"utf8_filesystem":          {kind: 'b', std: "NO", why: "names are UTF-8; files.charset says what other clients send"},
	"local_umask":              {kind: 'n', std: "077", carry: umask},
	"anon_umask":               {kind: 'n', std: "077", why: anonReads},
	"file_open_mode":           {kind: 'n', std: "0666", why: "new files get what files.umask leaves of 0666"},
	"lock_upload_files":        {kind: 'b', std: "YES", carry: noted("NO", Differs, "only one client at a time writes a file")},
	"delete_failed_uploads":    {kind: 'b', std: "NO", why: "an upload is whole or not there, and a cut one can be resumed for files.partial_age"},
	"better_stou":              {kind: 'b', std: "NO", why: isAlways},

	// Data connections.
	"pasv_enable":          {kind: 'b', std: "YES", carry: toTruth("passive.enable")},
	"port_enable":          {kind: 'b', std: "YES", carry: toTruth("active.enable")},
	"pasv_min_port":        {kind: 'n', std: "0", carry: elsewhere},
	"pasv_max_port":        {kind: 'n', std: "0", carry: elsewhere},
	"pasv_address":         {kind: 's', carry: elsewhere},
	"pasv_addr_resolve":    {kind: 'b', std: "NO", carry: elsewhere},
	"pasv_promiscuous":     {kind: 'b', std: "NO", carry: danger("a stranger can take over a data connection; wanted for FXP alone", "passive.allow_foreign_data")},
	"port_promiscuous":     {kind: 'b', std: "NO", carry: danger("clients can make the server connect to other hosts and to low ports (bounce attack); wanted for FXP alone", "active.allow_foreign", "active.allow_low_ports")},
	"connect_from_port_20": {kind: 'b', std: "NO", carry: elsewhere},
	"ftp_data_port":        {kind: 'n', std: "20", carry: elsewhere},
	"accept_timeout":       {kind: 'n', std: "60", always: true, carry: toSeconds("passive.accept_timeout")},
	"connect_timeout":      {kind: 'n', std: "60", always: true, carry: toSeconds("active.connect_timeout")},

	// Limits.
	"max_clients":             {kind: 'n', std: "2000", always: true, carry: maxClients},
	"max_per_ip":              {kind: 'n', std: "50", always: true, carry: to("limits.max_per_address")},
	"max_login_fails":         {kind: 'n', std: "3", carry: to("limits.max_failures")},
	"delay_failed_login":      {kind: 'n', std: "1", carry: toSeconds("limits.failure_delay")},
	"delay_successful_login":  {kind: 'n', std: "0", why: "a login that succeeds is not delayed"},
	"idle_session_timeout":    {kind: 'n', std: "300", carry: toSeconds("limits.idle_timeout")},
	"data_connection_timeout": {kind: 'n', std: "300", always: true, carry: toSeconds("limits.stall_timeout")},
	"local_max_rate":          {kind: 'n', std: "0", carry: localRate},
	"anon_max_rate": {kind: 'n', std: "0", carry: func(v *vsftpd, l Line, value string) {
		if value != "0" {
			v.note(NoCounterpart, l, "limits.download_rate is for everybody who has no rate in the accounts file; there is none for anonymous clients alone")
		}
	}},

	// TLS.
	"ssl_enable":                {kind: 'b', std: "NO", carry: elsewhere},
	"implicit_ssl":              {kind: 'b', std: "NO", carry: elsewhere},
	"rsa_cert_file":             {kind: 's', std: "/usr/share/ssl/certs/vsftpd.pem", carry: elsewhere},
	"rsa_private_key_file":      {kind: 's', carry: elsewhere},
	"dsa_cert_file":             {kind: 's', why: "DSA is out of use; Towpath takes RSA, ECDSA and Ed25519"},
	"dsa_private_key_file":      {kind: 's', why: "DSA is out of use; Towpath takes RSA, ECDSA and Ed25519"},
	"dh_param_file":             {kind: 's', why: noCiphers},
	"ecdh_param_file":           {kind: 's', why: noCiphers},
	"ca_certs_file":             {kind: 's', carry: elsewhere},
	"require_cert":              {kind: 'b', std: "NO", carry: elsewhere},
	"validate_cert":             {kind: 'b', std: "NO", carry: elsewhere},
	"ssl_request_cert":          {kind: 'b', std: "YES", why: "client certificates are asked for when tls.client_ca is set"},
	"force_local_logins_ssl":    {kind: 'b', std: "YES", carry: elsewhere},
	"force_local_data_ssl":      {kind: 'b', std: "YES", carry: elsewhere},
	"allow_anon_ssl":            {kind: 'b', std: "NO", carry: noted("NO", Differs, "anonymous clients may encrypt, too")},
	"force_anon_logins_ssl":     {kind: 'b', std: "NO", carry: noted("YES", NoCounterpart, "tls.require is for everybody, and an account can be held to TLS; there is none for anonymous clients alone")},
	"force_anon_data_ssl":       {kind: 'b', std: "NO", carry: noted("YES", NoCounterpart, "tls.require is for everybody, and an account can be held to TLS; there is none for anonymous clients alone")},
	"require_ssl_reuse":         {kind: 'b', std: "YES", carry: elsewhere},
	"ssl_sslv2":                 {kind: 'b', std: "NO", carry: noted("YES", LooksWrong, "SSL 2 protects nothing. "+noCiphers)},
	"ssl_sslv3":                 {kind: 'b', std: "NO", carry: noted("YES", LooksWrong, "SSL 3 is broken. "+noCiphers)},
	"ssl_tlsv1":                 {kind: 'b', std: "YES", carry: noted("YES", Differs, "TLS 1.0 and 1.1 are out of use. "+noCiphers)},
	"ssl_tlsv1_1":               {kind: 'b', std: "NO", carry: noted("YES", Differs, "TLS 1.0 and 1.1 are out of use. "+noCiphers)},
	"ssl_tlsv1_2":               {kind: 'b', std: "YES", carry: elsewhere},
	"ssl_tlsv1_3":               {kind: 'b', std: "YES", carry: elsewhere},
	"ssl_ciphers":               {kind: 's', std: "AES128-SHA:DES-CBC3-SHA", why: noCiphers},
	"ssl_sni_hostname":          {kind: 's', why: "tls.hosts gives each host name a certificate, and none is refused"},
	"strict_ssl_read_eof":       {kind: 'b', std: "NO", carry: noted("NO", Differs, "an upload over TLS that ends without close_notify may be cut, and is not kept as whole")},
	"strict_ssl_write_shutdown": {kind: 'b', std: "NO", why: isAlways},
	"debug_ssl":                 {kind: 'b', std: "NO", why: "log.level = \"debug\" logs more of everything"},

	// Words and logs.
	"ftpd_banner":        {kind: 's', carry: toFile("banner")},
	"banner_file":        {kind: 's', carry: elsewhere},
	"xferlog_enable":     {kind: 'b', std: "NO", carry: elsewhere},
	"xferlog_std_format": {kind: 'b', std: "NO", carry: elsewhere},
	"xferlog_file":       {kind: 's', std: "/var/log/xferlog", carry: elsewhere},
	"vsftpd_log_file":    {kind: 's', std: "/var/log/vsftpd.log", carry: elsewhere},
	"dual_log_enable":    {kind: 'b', std: "NO", carry: elsewhere},
	"log_ftp_protocol":   {kind: 'b', std: "NO", carry: noted("YES", NoCounterpart, "set log.transcripts to a directory: it gets the dialogue of every session, without passwords")},
	"syslog_enable":      {kind: 'b', std: "NO", carry: noted("YES", NoCounterpart, toStderr)},
	"no_log_lock":        {kind: 'b', std: "NO", why: "one process writes the log and needs no lock"},

	// The process.
	"seccomp_sandbox":       {kind: 'b', std: "YES", carry: sandbox},
	"ptrace_sandbox":        {kind: 'b', std: "NO", carry: noted("YES", NoCounterpart, "the sandbox of Towpath is landlock: life.sandbox")},
	"isolate":               {kind: 'b', std: "YES", why: "Towpath starts no processes; life.sandbox confines it"},
	"isolate_network":       {kind: 'b', std: "YES", why: "Towpath starts no processes; life.sandbox confines it"},
	"one_process_model":     {kind: 'b', std: "NO", why: byProcess},
	"run_as_launching_user": {kind: 'b', std: "NO", carry: noted("YES", Differs, "without life.user Towpath stays the user who started it")},
	"setproctitle_enable":   {kind: 'b', std: "NO", why: byProcess + "; SITE WHO tells who is logged in"},
	"async_abor_enable":     {kind: 'b', std: "NO", carry: noted("NO", Differs, "ABOR is heard during transfers")},
	"trans_chunk_size":      {kind: 'n', std: "0", why: "the kernel moves the bytes"},
	"use_sendfile":          {kind: 'b', std: "YES", carry: noted("NO", Differs, "the kernel moves the bytes where it can")},
	"http_enable":           {kind: 'b', std: "NO", carry: noted("YES", NoCounterpart, "Towpath speaks no HTTP; such clients are sent away")},
}

// readVsftpd reads vsftpd.conf: lines of option=value without blanks around
// the sign, and comments from # on.
func readVsftpd(src source) *Import {
	v := &vsftpd{newImport(Vsftpd), src.name, map[string]string{}, map[string]Line{}}
	var order []string
	for i, raw := range strings.Split(src.text, "\n") {
		raw = strings.TrimSuffix(raw, "\r")
		text := strings.TrimSpace(raw)
		if text == "" || text[0] == '#' {
			continue
		}
		l := Line{src.name, i + 1, text}
		name, value, ok := strings.Cut(text, "=")
		if trimmed := strings.TrimSpace(name); trimmed != name || strings.TrimLeft(value, " \t") != value {
			v.note(LooksWrong, l, "vsftpd takes no blanks around the = and will not start; read without them")
			name, value = trimmed, strings.TrimSpace(value)
		}
		option, known := vsftpdOptions[name]
		switch {
		case !ok:
			v.note(LooksWrong, l, "no = in it: vsftpd will not start")
			continue
		case !known:
			v.note(LooksWrong, l, name+" is not an option of vsftpd")
			continue
		}
		value, err := option.read(value)
		if err != nil {
			v.note(LooksWrong, l, err.Error())
			continue
		}
		if before, twice := v.line[name]; twice {
			v.note(LooksWrong, l, fmt.Sprintf("%s is set twice, before in line %d; the last counts", name, before.Number))
		} else {
			order = append(order, name)
		}
		v.value[name], v.line[name] = value, l
	}
	for _, name := range order {
		switch o := vsftpdOptions[name]; {
		case o.carry != nil:
			o.carry(v, v.line[name], v.value[name])
		default:
			v.note(NoCounterpart, v.line[name], o.why)
		}
	}
	for _, name := range sortedKeys(vsftpdOptions) {
		if o := vsftpdOptions[name]; o.always && !v.said(name) {
			_, l := v.get(name)
			o.carry(v, l, o.std)
		}
	}
	v.listening()
	v.passive()
	v.tree()
	v.encryption()
	v.logs()
	v.users()
	return v.Import
}

// read brings a value into its one form: YES or NO, a number, or a text.
func (o vsftpdOption) read(value string) (string, error) {
	switch o.kind {
	case 'b':
		switch strings.ToUpper(value) {
		case "YES", "TRUE", "1":
			return "YES", nil
		case "NO", "FALSE", "0":
			return "NO", nil
		}
		return "", fmt.Errorf("%q is neither YES nor NO", value)
	case 'n':
		if n, err := strconv.ParseUint(value, 10, 31); err != nil {
			return "", fmt.Errorf("%q is not a number", value)
		} else if !strings.HasPrefix(value, "0") {
			return strconv.FormatUint(n, 10), nil
		} else if n == 0 {
			return "0", nil
		}
	}
	return value, nil
}

func maxClients(v *vsftpd, l Line, value string) {
	if value == "0" {
		v.note(Differs, l, "no limit in vsftpd; Towpath has always one, limits.max_sessions")
		return
	}
	v.set("limits.max_sessions", []Line{l}, value)
}

func localRate(v *vsftpd, l Line, value string) {
	if value != "0" {
		v.set("limits.download_rate", []Line{l}, value)
		v.set("limits.upload_rate", []Line{l}, value)
	}
}

func sandbox(v *vsftpd, l Line, value string) {
	v.set("life.sandbox", []Line{l}, strconv.FormatBool(value == "YES"))
	if value == "NO" {
		v.note(LooksWrong, l, "switches a protection off, often because of kernels on which seccomp failed; Towpath's sandbox is landlock, and life.sandbox = true will do no harm")
	}
}

// listening joins listen, listen_ipv6, their addresses and the port.
func (v *vsftpd) listening() {
	port, from := v.get("listen_port")
	four, six := v.on("listen"), v.on("listen_ipv6")
	address4, line4 := v.get("listen_address")
	address6, line6 := v.get("listen_address6")
	lines := []Line{from}
	var addrs []string
	if four && six {
		v.note(LooksWrong, v.line["listen_ipv6"], "listen and listen_ipv6 are both YES: vsftpd will not start; Towpath listens to both")
	}
	if !four && !six {
		_, l := v.get("listen")
		v.note(Differs, l, "vsftpd is started by inetd or systemd for each client; Towpath listens itself, or takes a socket from systemd")
	}
	if four && v.said("listen_address") && address4 != "" {
		lines = append(lines, line4)
		addrs = append(addrs, net.JoinHostPort(address4, port))
	}
	if six && v.said("listen_address6") && address6 != "" {
		lines = append(lines, line6)
		addrs = append(addrs, net.JoinHostPort(address6, port))
	}
	switch {
	case len(addrs) > 0:
	case four && !six:
		lines = append(lines, v.line["listen"])
		addrs = []string{net.JoinHostPort("0.0.0.0", port)}
	case six:
		lines = append(lines, v.line["listen_ipv6"])
		fallthrough
	default:
		addrs = []string{":" + port}
	}
	if v.on("implicit_ssl") && v.on("ssl_enable") {
		v.set("listen", append(lines, v.line["implicit_ssl"]))
		v.set("tls.implicit", append(lines, v.line["implicit_ssl"]), addrs[0])
		return
	}
	v.set("listen", lines, addrs...)
}

// passive joins the ports and the address of passive mode, and port 20.
func (v *vsftpd) passive() {
	minimum, lineMin := v.get("pasv_min_port")
	maximum, lineMax := v.get("pasv_max_port")
	low, _ := strconv.Atoi(minimum)
	high, _ := strconv.Atoi(maximum)
	var from []Line
	for _, name := range []string{"pasv_min_port", "pasv_max_port"} {
		if v.said(name) {
			from = append(from, v.line[name])
		}
	}
	switch {
	case low == 0 && high == 0:
	case low != 0 && high != 0 && low > high:
		v.note(LooksWrong, lineMax, fmt.Sprintf("pasv_max_port=%d is below pasv_min_port=%d; turned round to %d-%d", high, low, high, low))
		v.set("passive.ports", from, fmt.Sprintf("%d-%d", high, low))
	case high == 0:
		v.note(LooksWrong, lineMin, fmt.Sprintf("pasv_min_port=%d and no pasv_max_port: every port up to 65535 must be open", low))
		v.set("passive.ports", from, fmt.Sprintf("%d-65535", low))
	case low == 0:
		v.note(LooksWrong, lineMax, fmt.Sprintf("pasv_max_port=%d and no pasv_min_port: every port from 1024 on must be open", high))
		v.set("passive.ports", from, fmt.Sprintf("%d-%d", min(1024, high), high))
	default:
		v.set("passive.ports", from, fmt.Sprintf("%d-%d", low, high))
	}
	if address, l := v.get("pasv_address"); address != "" {
		a, err := netip.ParseAddr(address)
		switch {
		case err != nil && !v.on("pasv_addr_resolve"):
			v.note(LooksWrong, l, address+" is a name, and pasv_addr_resolve=NO: vsftpd wants a numeric address; Towpath looks names up, and again as they age")
		case err != nil:
			v.note(Differs, l, "vsftpd looks "+address+" up once at start, Towpath again as it ages")
		default:
			noteAddress(v.Import, l, a)
		}
		v.set("passive.external", []Line{l}, address)
	}
	if v.on("connect_from_port_20") {
		port, l := v.get("ftp_data_port")
		v.set("active.port", []Line{v.line["connect_from_port_20"], l}, port)
	} else if v.said("ftp_data_port") {
		v.note(NoCounterpart, v.line["ftp_data_port"], "has no effect without connect_from_port_20=YES")
	}
}

// noteAddress says what looks wrong with an address that clients are told.
func noteAddress(m *Import, l Line, a netip.Addr) {
	switch {
	case a.IsPrivate() || a.IsLinkLocalUnicast():
		m.note(LooksWrong, l, a.String()+" is private: clients from outside cannot connect to it")
	case a.IsLoopback():
		m.note(LooksWrong, l, a.String()+" is this host: no other can connect to it")
	case a.Is6() && !a.Is4In6():
		m.note(LooksWrong, l, a.String()+" is an IPv6 address, which 227 cannot tell; EPSV clients need no address")
	}
}

// tree joins the roots and chroot settings.
func (v *vsftpd) tree() {
	name := "local_root"
	if !v.on("local_enable") && !v.on("guest_enable") || !v.said("local_root") {
		name = "anon_root"
	}
	for _, n := range []string{"local_root", "anon_root"} {
		root, l := v.get(n)
		switch {
		case root == "":
		case n == name:
			v.set("root", []Line{l}, root)
		default:
			v.note(NoCounterpart, l, "there is one root, taken from "+name+"; another home is said for each account")
		}
	}
	if v.said("chroot_local_user") {
		l := v.line["chroot_local_user"]
		switch {
		case !v.on("chroot_local_user"):
			v.note(Differs, l, "NO lets users see the whole machine; "+alwaysInTop)
		case v.on("write_enable") && !v.on("allow_writeable_chroot"):
			v.note(LooksWrong, l, "with write_enable=YES and without allow_writeable_chroot=YES vsftpd refuses users whose home is writable (500 OOPS); Towpath does not")
		default:
			v.note(Differs, l, alwaysInTop)
		}
	}
	if v.said("banner_file") {
		if banner := v.value["banner_file"]; banner != "" {
			if v.has("banner") {
				v.note(Differs, v.line["banner_file"], "overrides ftpd_banner, which was left out")
				v.drop("banner")
			}
			v.set("banner_file", []Line{v.line["banner_file"]}, banner)
		}
	}
}

// encryption joins what ssl_enable switches on.
func (v *vsftpd) encryption() {
	names := []string{
		"implicit_ssl", "rsa_cert_file", "rsa_private_key_file", "ca_certs_file", "require_cert", "validate_cert",
		"force_local_logins_ssl", "force_local_data_ssl", "require_ssl_reuse",
	}
	if !v.on("ssl_enable") {
		for _, n := range names {
			if v.said(n) {
				v.note(NoCounterpart, v.line[n], "has no effect without ssl_enable=YES")
			}
		}
		return
	}
	cert, l := v.get("rsa_cert_file")
	v.set("tls.cert", []Line{v.line["ssl_enable"], l}, cert)
	if key, l := v.get("rsa_private_key_file"); key != "" && key != cert {
		v.set("tls.key", []Line{l}, key)
	}
	logins, data := v.on("force_local_logins_ssl"), v.on("force_local_data_ssl")
	_, loginLine := v.get("force_local_logins_ssl")
	_, dataLine := v.get("force_local_data_ssl")
	switch {
	case logins && !data:
		v.note(Differs, dataLine, "tls.require covers logins and data together")
		fallthrough
	case logins:
		v.set("tls.require", []Line{loginLine, dataLine}, "true")
	case data:
		v.note(LooksWrong, loginLine, "data must be encrypted and passwords need not be; with tls.require = true both must")
	}
	if logins && v.on("anonymous_enable") {
		v.note(Differs, loginLine, "vsftpd means local users; tls.require means anonymous clients, too")
	}
	_, l = v.get("require_ssl_reuse")
	v.set("tls.binding", []Line{l}, map[bool]string{true: "require", false: "prefer"}[v.on("require_ssl_reuse")])
	ca, l := v.get("ca_certs_file")
	checks := v.on("require_cert") || v.on("validate_cert")
	switch {
	case ca != "" && checks:
		v.set("tls.client_ca", []Line{l}, ca)
		if v.on("require_cert") {
			v.set("tls.client_auth", []Line{v.line["require_cert"]}, "require")
		}
	case ca != "":
		v.note(NoCounterpart, l, "has no effect without require_cert=YES or validate_cert=YES")
	case checks:
		name := "require_cert"
		if !v.on(name) {
			name = "validate_cert"
		}
		v.note(LooksWrong, v.line[name], "there is no ca_certs_file by which a client certificate could be checked")
	}
}

// logs joins the five options that say which of two logs are written.
func (v *vsftpd) logs() {
	xfer, lineX := v.get("xferlog_file")
	own, lineV := v.get("vsftpd_log_file")
	std, both := v.on("xferlog_std_format"), v.on("dual_log_enable")
	if !v.on("xferlog_enable") {
		for _, n := range []string{"xferlog_std_format", "xferlog_file", "vsftpd_log_file", "dual_log_enable"} {
			if v.said(n) {
				v.note(NoCounterpart, v.line[n], "has no effect without xferlog_enable=YES")
			}
		}
		return
	}
	if (std || both) && xfer != "" {
		v.set("log.xferlog", []Line{v.line["xferlog_enable"], lineX}, xfer)
	} else if v.said("xferlog_file") {
		v.note(NoCounterpart, lineX, "has no effect with xferlog_std_format=NO: the log is vsftpd_log_file")
	}
	if (!std || both) && own != "" {
		v.set("log.vsftpd", []Line{v.line["xferlog_enable"], lineV}, own)
	} else if v.said("vsftpd_log_file") {
		v.note(NoCounterpart, lineV, "has no effect with xferlog_std_format=YES and without dual_log_enable")
	}
}

// users joins guests and user lists.
func (v *vsftpd) users() {
	if v.on("guest_enable") {
		name, l := v.get("guest_username")
		v.set("life.user", []Line{v.line["guest_enable"], l}, name)
	} else if v.said("guest_username") {
		v.note(NoCounterpart, v.line["guest_username"], "has no effect without guest_enable=YES")
	}
	why := "has no effect without userlist_enable=YES"
	if v.on("userlist_enable") {
		file, _ := v.get("userlist_file")
		why = "the users in " + file + " are kept out: block their accounts, or make none for them"
		if !v.on("userlist_deny") {
			why = "only the users in " + file + " are let in: make accounts for them alone"
		}
	}
	for _, n := range []string{"userlist_enable", "userlist_deny", "userlist_file"} {
		if v.said(n) {
			v.note(NoCounterpart, v.line[n], why)
		}
	}
}
