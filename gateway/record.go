package gateway

import (
	"net/netip"
	"time"
)

// SchemaVersion is that of [Record] in JSON. It grows when a field changes its
// meaning; new fields do not change it.
const SchemaVersion = 1

// Record is the account of one session.
type Record struct {
	SchemaVersion int       `json:"schema_version"`
	Session       uint64    `json:"session"`
	Began         time.Time `json:"began"`
	Ended         time.Time `json:"ended"`
	Visitor
	// Server is the name of the server, ServerAddr the address that was
	// connected to, and From the one that it saw us at.
	Server     string         `json:"server,omitempty"`
	ServerAddr netip.AddrPort `json:"server_addr,omitzero"`
	From       netip.AddrPort `json:"from,omitzero"`
	ServerTLS  bool           `json:"server_tls,omitempty"`
	// Blind says why the dialogue could not be followed to its end, "" if it
	// could. Advice is what to do about it.
	Blind  string `json:"blind,omitempty"`
	Advice string `json:"advice,omitempty"`
	// Commands and Replies are how many passed, Refused how many commands were
	// answered by the gateway since they may not.
	Commands int `json:"commands"`
	Replies  int `json:"replies"`
	Refused  int `json:"refused,omitempty"`
	// Data are the data connections, in the order of their announcements, up
	// to [MaxData]; DataMore counts those beyond.
	Data     []Data `json:"data,omitempty"`
	DataMore int    `json:"data_more,omitempty"`
	// Alarms are what the session did that it should not have: what it was and
	// which check it failed. At most [MaxAlarms].
	Alarms []Alarm `json:"alarms,omitempty"`
	// Up and Down are bytes of data to the server and to the client that went
	// through user space.
	Up   int64 `json:"up"`
	Down int64 `json:"down"`
	// Reason is why the session ended.
	Reason string `json:"reason"`
}

const (
	// MaxData bounds [Record.Data], MaxAlarms [Record.Alarms].
	MaxData   = 256
	MaxAlarms = 32
)

// Data is the account of one data connection: the client announced X, the
// server was told Y, Z was opened, used and closed.
type Data struct {
	Number int `json:"number"`
	// ClientSaid and ServerSaid are what each side announced, word for word;
	// the one that listens. ClientTold and ServerTold are what each was told in
	// its place.
	ClientSaid string `json:"client_said,omitempty"`
	ClientTold string `json:"client_told,omitempty"`
	ServerSaid string `json:"server_said,omitempty"`
	ServerTold string `json:"server_told,omitempty"`
	// ClientMode and ServerMode are "active" or "passive".
	ClientMode string `json:"client_mode"`
	ServerMode string `json:"server_mode"`
	// Plane is "user", or the plane in the kernel that carried it: "conntrack",
	// "nftables".
	Plane string `json:"plane"`
	// Pinhole is what was opened: who may come, where to, and where that leads.
	Pinhole string    `json:"pinhole,omitempty"`
	Opened  time.Time `json:"opened,omitzero"`
	// UsedBy is who came, and when. In the kernel it is not always known.
	UsedBy netip.AddrPort `json:"used_by,omitzero"`
	Used   time.Time      `json:"used,omitzero"`
	Closed time.Time      `json:"closed,omitzero"`
	// Why is why it was closed: "done", or what went wrong.
	Why string `json:"why"`
	// Command is the transfer that used it, ClientTLS and ServerTLS say where
	// it was under TLS.
	Command   string `json:"command,omitempty"`
	ClientTLS bool   `json:"client_tls,omitempty"`
	ServerTLS bool   `json:"server_tls,omitempty"`
	// Up and Down are the bytes to the server and to the client; -1 if the
	// kernel moved them.
	Up   int64 `json:"up"`
	Down int64 `json:"down"`
	// Code is that of the last reply to the transfer.
	Code int `json:"code,omitempty"`
}

// Alarm is something that a session should not have done.
type Alarm struct {
	Time time.Time `json:"time"`
	// Check is the number of the check that caught it: see [Checks].
	Check int    `json:"check"`
	What  string `json:"what"`
}

// Checks are what a gateway must not be fooled by, by number.
var Checks = map[int]string{
	1:  "server speaks first, and a client that does not speak FTP is cut",
	2:  "no data connection before login",
	3:  "lines are read as lines, however they are cut",
	4:  "addresses and ports are read strictly, low ports refused",
	5:  "a client announces its own address",
	6:  "a reply announces only where an announcement was asked for",
	7:  "nothing is opened before the announcement is answered",
	8:  "an opening is for one peer, once, for seconds",
	9:  "one opening for each session",
	10: "EPSV ALL holds",
	11: "a server announces its own address",
	12: "no connection to ourselves",
	13: "TLS is passed, refused or terminated, as was chosen",
	14: "no second gateway on the same port",
	15: "a server sees control and data come from one address",
	16: "nothing relies on the ports that browsers shun",
}

// Stats are counters since the start, and gauges.
type Stats struct {
	// Sessions have begun, Refused were turned away, Active are there now.
	Sessions uint64 `json:"sessions"`
	Refused  uint64 `json:"refused"`
	Active   int    `json:"active"`
	// Commands and Replies have passed; Denied were answered by the gateway.
	Commands uint64 `json:"commands"`
	Replies  uint64 `json:"replies"`
	Denied   uint64 `json:"denied"`
	// Kernel and User count data connections by their plane, Translated those
	// whose mode or family differs on the two sides, Failed those that did not
	// come about.
	Kernel     uint64 `json:"kernel"`
	User       uint64 `json:"user"`
	Translated uint64 `json:"translated"`
	Failed     uint64 `json:"failed"`
	// Strangers came to a port that was not announced to them.
	Strangers uint64 `json:"strangers"`
	// Up and Down are bytes of data that went through user space.
	Up   uint64 `json:"up"`
	Down uint64 `json:"down"`
	// Blind sessions went under TLS that was passed through.
	Blind  uint64 `json:"blind"`
	Alarms uint64 `json:"alarms"`
	// Open are the announced ports now.
	Open int `json:"open"`
}
