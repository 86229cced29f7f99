// Package topology is a network on paper: links, hosts and routers with their
// addresses, translations, firewalls and helpers, and the FTP session that shall
// cross it.
//
// It only describes, reads, writes and checks; what becomes of packets there is
// for doctor to say, and for lab to show. So all that stands here can be built:
// each interface has a link and addresses, and each rule says what the rules of
// nftables say, in the order in which a Linux router asks them:
//
//	arrives -> forward (destination NAT) -> route -> firewall -> source-nat -> leaves
//	                                          |
//	                                          +-> firewall (out = "self") -> the machine itself
package topology

import (
	"encoding/json"
	"net/netip"
	"slices"
	"time"
)

// Network is links, the machines on them, and one session between two of them.
type Network struct {
	// Name is how the catalogue and reports call it: lower case and hyphens.
	Name string `toml:"name"`
	// Title says in one line what it is.
	Title string `toml:"title,omitempty"`
	// Session is the one that is asked about.
	Session Session `toml:"session"`
	Links   []Link  `toml:"link"`
	// Hosts send and receive, Routers also pass on.
	Hosts   []Node `toml:"host"`
	Routers []Node `toml:"router,omitempty"`
}

// Link is a wire, or a switch: all that stand on it reach each other.
type Link struct {
	Name string `toml:"name"`
	// Subnets hold the addresses that stand on it.
	Subnets []netip.Prefix `toml:"subnets"`
}

// Node is a host or a router.
type Node struct {
	Name       string      `toml:"name"`
	Interfaces []Interface `toml:"interface"`
	// Routes come behind those to the subnets of its own interfaces; of all
	// that fit the longest counts.
	Routes []Route `toml:"route,omitempty"`
	// Forwards are destination NAT, asked in order for the first packet of a
	// connection that arrives.
	Forwards []Forward `toml:"forward,omitempty"`
	// Firewall is asked in order for packets that arrive and belong to no
	// connection that it knows, nor to one that a helper has announced; the
	// first rule that fits counts, and if none does, the packet passes. The
	// addresses and ports are those behind Forwards and before SourceNAT. What
	// a machine sends of itself is not asked about.
	Firewall []Rule `toml:"firewall,omitempty"`
	// StrictlyReplies takes from the firewall what connection tracking calls
	// "related": Firewall is asked also about connections that a helper has
	// announced, and about ICMP errors.
	StrictlyReplies bool `toml:"strictly-replies,omitempty"`
	// SourceNAT is asked in order for the first packet of a connection that
	// leaves, unless a helper has announced it.
	SourceNAT []SourceNAT `toml:"source-nat,omitempty"`
	// ALG reads the announcements of FTP. None if nil.
	ALG *ALG `toml:"alg,omitempty"`
	// Idle is after how long without a packet it forgets a connection. If 0 it
	// remembers for longer than any transfer takes.
	Idle Duration `toml:"idle,omitempty"`
	// Server and Client are the programs of a host.
	Server *Server `toml:"server,omitempty"`
	Client *Client `toml:"client,omitempty"`
}

// Interface puts a node on a link.
type Interface struct {
	Name string `toml:"name"`
	Link string `toml:"link"`
	// Addresses have the length of their subnet with them. The first of each
	// family is the one that packets from here get.
	Addresses []netip.Prefix `toml:"addresses"`
}

// Route says where packets go next.
type Route struct {
	To netip.Prefix `toml:"to"`
	// Via is the next router. It must be on a link of the node.
	Via netip.Addr `toml:"via,omitzero"`
	// Kind is empty for a route that has Via.
	Kind RouteKind `toml:"kind,omitempty"`
}

// RouteKind is for routes that lead nowhere.
type RouteKind string

// The kinds of route that lead nowhere, as Linux calls them.
const (
	Blackhole   RouteKind = "blackhole"   // packets vanish, as inside addresses do on the Internet
	Unreachable RouteKind = "unreachable" // ICMP says so: "no route to host"
)

// Forward is destination NAT: what is sent to Address is sent on to To.
type Forward struct {
	// In is the interface that the packet came in by; any if empty.
	In      string     `toml:"in,omitempty"`
	Address netip.Addr `toml:"address"`
	// Ports are the ports forwarded; all if empty.
	Ports Ports `toml:"ports,omitempty"`
	// To takes the connections: with several, in turn.
	To []netip.Addr `toml:"to"`
	// Port is the port of To that the lowest of Ports becomes, and the others
	// above it. If 0 ports stay as they are.
	Port uint16 `toml:"port,omitempty"`
	// Sticky sends all connections of one client to the same of To.
	Sticky bool `toml:"sticky,omitempty"`
}

// SourceNAT gives packets that leave another source address. Ports stay.
type SourceNAT struct {
	// Out is the interface that the packet leaves by.
	Out string `toml:"out"`
	// From is where packets come from; anywhere if the zero Prefix.
	From netip.Prefix `toml:"from,omitzero"`
	// To is where they go; anywhere if the zero Prefix.
	To netip.Prefix `toml:"to,omitzero"`
	// Ports are the destination ports that it is for; all if empty.
	Ports Ports `toml:"ports,omitempty"`
	// Addresses are what the source becomes: with several, in turn, connection
	// for connection. If empty, the address of Out ("masquerade").
	Addresses []netip.Addr `toml:"addresses,omitempty"`
}

// Self, as the Out of a [Rule], is the machine itself.
const Self = "self"

// Rule is one line of a firewall. What is left empty fits everything.
type Rule struct {
	// In and Out are interfaces; Out can be [Self].
	In    string       `toml:"in,omitempty"`
	Out   string       `toml:"out,omitempty"`
	From  netip.Prefix `toml:"from,omitzero"`
	To    netip.Prefix `toml:"to,omitzero"`
	Ports Ports        `toml:"ports,omitempty"` // destination ports
	Do    Action       `toml:"do"`
}

// Action is what a firewall does with a packet.
type Action string

// The actions of a firewall.
const (
	Accept Action = "accept"
	Drop   Action = "drop"   // without a word
	Reject Action = "reject" // ICMP port unreachable: to the sender it looks like a closed port
	Reset  Action = "reset"  // a TCP RST, as from a closed port
)

// ALG is an application layer gateway: it reads announcements as they pass,
// puts in the addresses of the other side, and lets in the connection that they
// announce.
type ALG struct {
	Kind ALGKind `toml:"kind"`
	// Ports are the ports of control connections that it reads, as the client
	// dialled them where they arrive here, before Forwards.
	Ports Ports `toml:"ports"`
	// TerminateTLS lets a gateway read what is encrypted, by being the server
	// for the client and the client for the server. The kernel cannot.
	TerminateTLS bool `toml:"terminate-tls,omitempty"`
	// ServerMode is the mode in which a gateway asks the server, whatever the
	// client asks for. The client's if empty.
	ServerMode ServerMode `toml:"server-mode,omitempty"`
}

// ServerMode is a mode that a gateway was told to ask servers for.
type ServerMode string

// The modes that a gateway can be told.
const (
	ServerPassive ServerMode = "passive"
	ServerActive  ServerMode = "active"
)

// ALGKind is who reads.
type ALGKind string

// The kinds of ALG.
const (
	// Kernel is nf_conntrack_ftp and nf_nat_ftp of Linux: it reads segments,
	// and only announcements of the sender's own address.
	Kernel ALGKind = "kernel"
	// Gateway is a program that takes control connections, wherever they are
	// sent to, and opens its own in their place: to where Forwards say, and
	// else to where they were sent. It reads lines, takes 227 for the address
	// of its sender whatever stands there, and refuses a PORT with another.
	// The data connections that it expects pass Firewall.
	Gateway ALGKind = "gateway"
)

// Server is an FTP server.
type Server struct {
	// Port is the one of control connections. 21 if 0.
	Port uint16 `toml:"port,omitempty"`
	// Passive are the ports of passive mode: one range. If empty the system
	// chooses, see [Ephemeral].
	Passive Ports `toml:"passive,omitempty"`
	// External is the address that 227 names, whoever asks. The one that the
	// client reached it by if the zero Addr.
	External netip.Addr `toml:"external,omitzero"`
	// DataPort is the port that active mode connects from. If 0 the system
	// chooses.
	DataPort uint16 `toml:"data-port,omitempty"`
	// AllowForeign takes a PORT that names another host than the client, and
	// passive connections of another host. It opens the door to bounce attacks.
	AllowForeign bool `toml:"allow-foreign,omitempty"`
}

// Client is an FTP client.
type Client struct {
	// Kind is Plain if empty.
	Kind ClientKind `toml:"kind,omitempty"`
	// Active are the ports of active mode: one range. If empty the system
	// chooses, see [Ephemeral].
	Active Ports `toml:"active,omitempty"`
	// External is the address that PORT and EPRT name. Its own if the zero Addr.
	External netip.Addr `toml:"external,omitzero"`
	// Wary clients refuse a data connection from another address than the
	// server's.
	Wary bool `toml:"wary,omitempty"`
}

// ClientKind is what a client makes of the address in a 227.
type ClientKind string

// The kinds of client.
const (
	Plain ClientKind = "plain" // connects where the 227 says
	Curl  ClientKind = "curl"  // connects to where the control connection went
)

// Session is the control connection that is asked about, and what goes over it.
type Session struct {
	// From is the host whose client it is.
	From string `toml:"from"`
	// To is what that client dials.
	To netip.AddrPort `toml:"to"`
	// TLS is true if the control connection is encrypted.
	TLS bool `toml:"tls,omitempty"`
	// ClearAgain is CCC (RFC 4217 6): after the login the control connection
	// is in clear text again.
	ClearAgain bool `toml:"clear-again,omitempty"`
	// Lines is how announcements are cut into segments. Whole if empty.
	Lines Lines `toml:"lines,omitempty"`
	// Transfer is how long the transfer takes.
	Transfer Duration `toml:"transfer,omitempty"`
	// KeepAlive is how often one of the ends sends a packet on an idle control
	// connection. Never if 0.
	KeepAlive Duration `toml:"keep-alive,omitempty"`
}

// Lines is how announcements lie in TCP segments.
type Lines string

// How announcements lie in segments.
const (
	Whole  Lines = "whole"   // each in one segment, from its first byte to CRLF
	Split  Lines = "split"   // over two segments
	Joined Lines = "joined"  // behind another line in one segment
	BareLF Lines = "bare-lf" // ended by LF without CR
)

// Duration is a time.Duration that is written as one, "90s".
type Duration time.Duration

// String returns "1m30s".
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText writes what [Duration.UnmarshalText] reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// Nodes returns hosts and routers.
func (n *Network) Nodes() []*Node {
	var all []*Node
	for i := range n.Hosts {
		all = append(all, &n.Hosts[i])
	}
	for i := range n.Routers {
		all = append(all, &n.Routers[i])
	}
	return all
}

// Node returns the host or router of that name, or nil.
func (n *Network) Node(name string) *Node {
	for _, node := range n.Nodes() {
		if node.Name == name {
			return node
		}
	}
	return nil
}

// IsRouter says whether name is one of the routers.
func (n *Network) IsRouter(name string) bool {
	return slices.ContainsFunc(n.Routers, func(r Node) bool { return r.Name == name })
}

// Link returns the link of that name, or nil.
func (n *Network) Link(name string) *Link {
	for i := range n.Links {
		if n.Links[i].Name == name {
			return &n.Links[i]
		}
	}
	return nil
}

// Interface returns the interface of that name, or nil.
func (n *Node) Interface(name string) *Interface {
	for i := range n.Interfaces {
		if n.Interfaces[i].Name == name {
			return &n.Interfaces[i]
		}
	}
	return nil
}

// Has says whether a is an address of the node.
func (n *Node) Has(a netip.Addr) bool {
	for _, i := range n.Interfaces {
		for _, p := range i.Addresses {
			if p.Addr() == a {
				return true
			}
		}
	}
	return false
}

// Stateful says whether the node remembers connections: it does if it
// translates, filters or reads them.
func (n *Node) Stateful() bool {
	return len(n.Forwards) > 0 || len(n.SourceNAT) > 0 || len(n.Firewall) > 0 || n.ALG != nil
}

// ControlPort returns Port, or 21.
func (s *Server) ControlPort() uint16 {
	if s.Port == 0 {
		return 21
	}
	return s.Port
}

// Clone returns a copy that shares nothing with n.
func (n *Network) Clone() *Network {
	b, err := json.Marshal(n)
	var c Network
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil {
		panic("topology: clone: " + err.Error()) // our own types, both ways
	}
	return &c
}
