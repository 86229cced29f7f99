package firewall

import (
	"errors"
	"fmt"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// Install puts the table into the kernel, in place of one that is there. It
// stays when the process ends, until [Helper.Remove] or a restart.
func (h Helper) Install() error {
	h, err := h.withDefaults()
	if err != nil {
		return err
	}
	return h.change(func(conn *nftables.Conn, table *nftables.Table) error {
		conn.AddTable(table) // so that there is one to delete
		conn.DelTable(table)
		conn.AddTable(table)
		_, err := h.table().fill(conn, table)
		return err
	})
}

// Remove takes the table out of the kernel. If there is none nothing happens.
func (h Helper) Remove() error {
	h, err := h.withDefaults()
	if err != nil {
		return err
	}
	return h.change(func(conn *nftables.Conn, table *nftables.Table) error {
		conn.AddTable(table)
		conn.DelTable(table)
		return nil
	})
}

// change makes one transaction.
func (h Helper) change(f func(*nftables.Conn, *nftables.Table) error) error {
	var options []nftables.ConnOption
	if h.NetNS != 0 {
		options = append(options, nftables.WithNetNSFd(h.NetNS))
	}
	conn, err := nftables.New(options...)
	if err == nil {
		if err = f(conn, &nftables.Table{Name: h.Table, Family: nftables.TableFamilyINet}); err == nil {
			err = conn.Flush()
		}
	}
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("table inet %s: rules need CAP_NET_ADMIN: %w", h.Table, err)
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("table inet %s: the kernel has no helper \"ftp\" (modprobe nf_conntrack_ftp): %w", h.Table, err)
	case err != nil:
		return fmt.Errorf("table inet %s: %w", h.Table, err)
	}
	return nil
}
