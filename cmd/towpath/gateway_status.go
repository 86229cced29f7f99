package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"towpath/gateway"
	"towpath/gateway/backends"
	"towpath/internal/columns"
	"towpath/internal/control"
)

// gatewayStatus is what a gateway tells about itself.
type gatewayStatus struct {
	SchemaVersion int       `json:"schema_version"`
	Version       string    `json:"version"`
	Process       int       `json:"process"`
	Now           time.Time `json:"now"`
	Began         time.Time `json:"began"`
	Purpose       string    `json:"purpose"`
	// Draining: it takes no sessions any more.
	Draining bool `json:"draining,omitempty"`
	// Data says what carries clear data, Notes what was missing for more.
	Data    string            `json:"data"`
	Notes   []string          `json:"notes,omitempty"`
	Servers []backends.State  `json:"servers,omitempty"`
	Stats   gateway.Stats     `json:"stats"`
	Records []*gateway.Record `json:"sessions,omitempty"`
}

const gatewayStatusVersion = 1

// The orders that a gateway knows.
const (
	orderStatus  = "status"
	orderDrain   = "drain"
	orderUndrain = "undrain"
)

// controlName is the name of the socket, below a directory of its own.
const controlName = "control"

// ownControl is where the socket is if nobody says otherwise: "" where there is no
// place for it.
func ownControl() string {
	if dir, _, _ := strings.Cut(os.Getenv("RUNTIME_DIRECTORY"), ":"); dir != "" {
		return filepath.Join(dir, controlName)
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "towpath-gateway", controlName)
	}
	if runtime.GOOS != "windows" && os.Geteuid() == 0 {
		return systemControl
	}
	return ""
}

// systemControl is that of a gateway of the system.
const systemControl = "/run/towpath-gateway/" + controlName

// openControl makes the socket. Where nobody asked for it, being without is no
// reason not to start.
func (g *gatewayService) openControl(v *gatewayFlags) error {
	path := v.control
	switch path {
	case "none":
		return nil
	case "":
		if path = ownControl(); path == "" {
			return nil
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			g.plane.note("towpath gateway status cannot ask this one: %v", err)
			return nil
		}
	}
	l, err := control.Listen(path)
	switch {
	case err == nil:
		g.control, g.controlPath = l, path
	case v.control != "":
		return fmt.Errorf("--control: %w", err)
	default:
		g.plane.note("towpath gateway status cannot ask this one: %v; --control PATH gives it a name of its own", err)
	}
	return nil
}

// answer does what an administrator wants.
func (g *gatewayService) answer(o control.Order) (any, error) {
	switch o.Do {
	case orderStatus:
		return g.status(), nil
	case orderDrain, orderUndrain:
		if g.pool == nil {
			return nil, errors.New("this gateway stands before no servers of its own (--to)")
		}
		for _, name := range o.Names {
			if err := g.pool.Drain(name, o.Do == orderDrain); err != nil {
				return nil, err
			}
			g.log.Info("told by the administrator", "order", o.Do, "server", name)
		}
		return g.pool.Snapshot(), nil
	}
	return nil, fmt.Errorf("no order %q; there are %s, %s and %s", o.Do, orderStatus, orderDrain, orderUndrain)
}

func (g *gatewayService) status() *gatewayStatus {
	s := &gatewayStatus{
		SchemaVersion: gatewayStatusVersion, Version: version(), Process: os.Getpid(), Now: time.Now(), Began: g.began,
		Purpose: g.flags.Load().purpose(), Draining: g.draining.Load(), Data: g.plane.describe(), Notes: g.plane.notes,
		Stats: g.gateway.Stats(), Records: g.gateway.Records(),
	}
	if g.pool != nil {
		s.Servers = g.pool.Snapshot()
	}
	return s
}

// askGateway asks the gateway at path, or else the one that is found.
func askGateway(ctx context.Context, path string, o control.Order, to any) error {
	paths := []string{path}
	if path == "" {
		paths = []string{systemControl}
		if own := ownControl(); own != "" && own != systemControl {
			paths = []string{own, systemControl}
		}
	}
	for _, p := range paths {
		if _, err := os.Stat(p); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		err := control.Ask(ctx, p, o, to)
		if _, gone := errors.AsType[*net.OpError](err); gone && path == "" && p != systemControl {
			continue // left by one that was killed
		}
		return err
	}
	return fmt.Errorf("no gateway runs with a control socket at %s; name it by --control", strings.Join(paths, " or "))
}

func gatewayStatusCommand() *cobra.Command {
	var asJSON bool
	var path string
	c := &cobra.Command{
		Use:   "status",
		Short: "Show what a running gateway does: servers, sessions, data, counters",
		Long: `Shows what a running gateway does: how its servers are, its sessions with what
each does now, what was opened for data, and what it has counted since its start.

It asks the gateway through its control socket, which is for the user that the
gateway runs as, and for root.`,
		Example: `  towpath gateway status
  towpath gateway status --json --control /run/towpath-gateway/control`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var s gatewayStatus
			if err := askGateway(c.Context(), path, control.Order{Do: orderStatus}, &s); err != nil {
				return exit(exitUnavailable, err)
			}
			if asJSON {
				text, err := json.MarshalIndent(&s, "", "  ")
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(c.OutOrStdout(), "%s\n", columns.JSON(text))
				return err
			}
			return s.write(c.OutOrStdout())
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "write all that is known as JSON")
	bindControlFlag(c, &path)
	return c
}

func bindControlFlag(c *cobra.Command, path *string) {
	c.Flags().StringVar(path, "control", "", "the `PATH` that --control of the gateway names (default as there)")
}

func gatewayDrainCommand() *cobra.Command {
	return gatewayOrderCommand(orderDrain, "Keep new sessions away from servers, and let those that are there go on",
		`Keeps new sessions away from servers of --to, by their names, and lets sessions
that are there go on; status shows how many are left. It holds until undrain, until
the gateway ends, or until the configuration says something else about drain.`)
}

func gatewayUndrainCommand() *cobra.Command {
	return gatewayOrderCommand(orderUndrain, "Let new sessions come to servers again",
		`Lets new sessions come to servers of --to again, by their names, whether drain or
the configuration kept them away.`)
}

func gatewayOrderCommand(order, short, long string) *cobra.Command {
	var path string
	c := &cobra.Command{
		Use: order + " SERVER...", Short: short, Long: long,
		Example: "  towpath gateway " + order + " 10.0.0.5:21",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, names []string) error {
			var s gatewayStatus
			if err := askGateway(c.Context(), path, control.Order{Do: order, Names: names}, &s.Servers); err != nil {
				return exit(exitUnavailable, err)
			}
			return s.writeServers(c.OutOrStdout(), time.Now())
		},
	}
	bindControlFlag(c, &path)
	return c
}

// write shows the status to people.
func (s *gatewayStatus) write(w io.Writer) error {
	state := "running"
	if s.Draining {
		state = "draining"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s, process %d, %s for %s.\n", upperFirst(s.Purpose), s.Process, state, ago(s.Now.Sub(s.Began)))
	fmt.Fprintf(&b, "Clear data goes through %s.\n", s.Data)
	for _, n := range s.Notes {
		b.WriteString("  " + n + "\n")
	}
	if len(s.Servers) > 0 {
		b.WriteString("\n")
		if err := s.writeServers(&b, s.Now); err != nil {
			return err
		}
	}
	if len(s.Records) > 0 {
		b.WriteString("\n")
		rows := [][]string{{"SESSION", "CLIENT", "USER", "SERVER", "FOR", "TO SERVER", "TO CLIENT", "NOW"}}
		for _, r := range s.Records {
			rows = append(rows, []string{
				fmt.Sprint(r.Session), r.Client.String(), dash(r.User), dash(r.Server),
				ago(s.Now.Sub(r.Began)), moved(r, r.Up), moved(r, r.Down), doing(r),
			})
		}
		columns.Table(&b, rows)
	}
	n := s.Stats
	fmt.Fprintf(&b, `
sessions  %d now, %d begun, %d turned away, %d unread under TLS
dialogue  %d commands, %d replies, %d commands refused, %d alarms
data      %d by the kernel, %d by this process, %d between modes or families, %d failed
          %s to servers and %s to clients by this process
ports     %d announced now, %d strangers came to some
`, n.Active, n.Sessions, n.Refused, n.Blind, n.Commands, n.Replies, n.Denied, n.Alarms,
		n.Kernel, n.User, n.Translated, n.Failed, amount(int64(n.Up)), amount(int64(n.Down)), n.Open, n.Strangers)
	_, err := io.WriteString(w, b.String())
	return err
}

func (s *gatewayStatus) writeServers(w io.Writer, now time.Time) error {
	rows := [][]string{{"SERVER", "ADDRESS", "STATE", "SESSIONS", "SO FAR", "FAILED", "LOOKED AT", "WHY"}}
	for _, x := range s.Servers {
		looked := "-"
		if !x.Checked.IsZero() {
			looked = ago(now.Sub(x.Checked)) + " ago"
		}
		rows = append(rows, []string{
			dash(x.Name), fmt.Sprint(x.Addr), fmt.Sprint(x.State), fmt.Sprint(x.Sessions), fmt.Sprint(x.Total),
			fmt.Sprint(x.Failures), looked, dash(x.Error),
		})
	}
	return writeTable(w, rows)
}

// doing is what a session does now.
func doing(r *gateway.Record) string {
	i := slices.IndexFunc(r.Data, func(d gateway.Data) bool { return d.Why == "" })
	switch {
	case r.Blind != "":
		return "unread: " + r.Blind
	case r.Server == "":
		return "looking for a server"
	case i < 0:
		return "-"
	}
	d := r.Data[i]
	if d.Command == "" {
		return fmt.Sprintf("announced, %s: %s", d.ClientMode, dash(d.Pinhole))
	}
	return fmt.Sprintf("%s, %s, by %s", columns.Shown(d.Command), d.ClientMode, d.Plane)
}

// moved is how much went one way. What the kernel moves is not counted.
func moved(r *gateway.Record, n int64) string {
	if n == 0 && slices.ContainsFunc(r.Data, func(d gateway.Data) bool { return d.Down < 0 }) {
		return "-"
	}
	return amount(n)
}

// dash is a text of others as a cell shows it.
func dash(s string) string {
	if s == "" {
		return "-"
	}
	return columns.Shown(s)
}

// amount is a number of bytes.
func amount(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }

// ago is a duration as one reads it.
func ago(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Minute:
		return d.Round(time.Second).String()
	case d < 48*time.Hour:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}

func upperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
