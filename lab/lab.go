package lab

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"towpath/doctor"
	"towpath/topology"
)

// Lab runs sessions. The zero value is ready to use, in a process that has
// entered ([Enter]).
type Lab struct {
	// Patience is how long servers wait for a data connection; clients wait
	// twice as long. Default 1.5 s.
	Patience time.Duration
	// Server and Client are programs of others, of [Servers] and [Clients]. If
	// empty they are our own halves. They are found by PATH, and in the
	// directories Programs.
	Server, Client string
	Programs       []string
	// Plane is what carries clear data through gateways, one of [Planes]. If
	// empty it is the process, "user".
	Plane string
	// Captures is the directory where the recordings of each case are kept, in
	// one of its own. If empty they are not kept.
	Captures string
}

// Servers and Clients are the programs of others that the lab knows how to run.
var (
	Servers = []string{"vsftpd", "proftpd", "pureftpd"}
	Clients = []string{"curl", "lftp", "tnftp"}
)

// Planes are the ways of clear data through a gateway: the process, and the
// kernel by pinholes of either kind.
var Planes = []string{"user", "conntrack", "nftables"}

// Result is a prediction beside what happened.
type Result struct {
	Network   string         `json:"network"`
	Mode      doctor.Mode    `json:"mode"`
	TLS       bool           `json:"tls"`
	Predicted doctor.Verdict `json:"predicted"`
	Observed  Observation    `json:"observed"`
	// Disagreement is empty if the two say the same: whether it works, and if
	// not, what the client sees and at which machine it fails.
	Disagreement string `json:"disagreement,omitempty"`
	// Unexplained is empty if the recordings tell the cause that was predicted,
	// or of none where it works.
	Unexplained string `json:"unexplained,omitempty"`
	// Skipped says why nothing was run; empty if it was.
	Skipped string `json:"skipped,omitempty"`

	net *topology.Network
}

// Check says what is wrong with the options, before anything is built.
func (l *Lab) Check() error {
	if l.Server != "" && !slices.Contains(Servers, l.Server) {
		return fmt.Errorf("server %q is not known; want %s, or none for our own", l.Server, strings.Join(Servers, ", "))
	}
	if l.Client != "" && !slices.Contains(Clients, l.Client) {
		return fmt.Errorf("client %q is not known; want %s, or none for our own", l.Client, strings.Join(Clients, ", "))
	}
	if l.Plane != "" && !slices.Contains(Planes, l.Plane) {
		return fmt.Errorf("data %q: want %s", l.Plane, strings.Join(Planes, ", "))
	}
	if l.Patience < 0 {
		return fmt.Errorf("patience %v is less than nothing", l.Patience)
	}
	return nil
}

// Observation is what became of one session.
type Observation struct {
	Works bool `json:"works"`
	// Seen is what the client saw, Hop where the packet was seen last that
	// should have gone on. Both are empty if it works.
	Seen doctor.Seen `json:"seen,omitempty"`
	Hop  string      `json:"hop,omitempty"`
	// Captures is the directory of the recordings, one file for each machine,
	// if they are kept.
	Captures string `json:"captures,omitempty"`
	// Explained is the cause of failure that the recordings tell; empty if they
	// tell of none.
	Explained doctor.Cause `json:"explained,omitempty"`
	// Lost is how many packets the recordings lack, since the machine was busy.
	Lost int `json:"lost,omitempty"`
	// Dialogue is what the client sent and heard, as "C: " and "S: " lines.
	Dialogue []string `json:"dialogue,omitempty"`
	// Said is the client's own account of a failure.
	Said string `json:"said,omitempty"`

	sightings []sighting
}

// sighting is one TCP segment on one machine.
type sighting struct {
	at       time.Time
	node     string
	src, dst netip.AddrPort
	syn, ack bool
	fin, rst bool
	length   int    // of the payload
	payload  string // the beginning of it
}
