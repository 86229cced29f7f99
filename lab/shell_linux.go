package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"towpath/topology"
)

// Shell builds a network, starts its servers, and runs the user's shell on one
// of the hosts, that of the client if at is empty. When the shell ends all is
// gone.
func (l *Lab) Shell(ctx context.Context, n *topology.Network, at string, ended func(*os.ProcessState)) (err error) {
	if at == "" {
		at = n.Session.From
	}
	if n.Node(at) == nil {
		var names []string
		for _, node := range n.Nodes() {
			names = append(names, node.Name)
		}
		return fmt.Errorf("no machine %q in %s; want one of %s", at, n.Name, strings.Join(names, ", "))
	}
	w, err := build(n)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	stop, err := l.serveAll(ctx, w)
	defer stop()
	if err != nil {
		return err
	}
	shell := os.Getenv("SHELL")
	if shell == "" {
		shell = "/bin/sh"
	}
	cmd := exec.Command(shell)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), "PS1="+n.Name+"/"+at+"$ ")
	if err := w.hosts[at].do(cmd.Start); err != nil { // it keeps the terminal: no group of its own
		return err
	}
	err = cmd.Wait()
	if _, ok := errors.AsType[*exec.ExitError](err); ok {
		err = nil // the shell's own business
	}
	ended(cmd.ProcessState)
	return err
}
