package sandbox

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
)

// Identity is a user and its groups as the kernel knows them.
type Identity struct {
	UID, GID int
	// Groups are the supplementary groups; GID is among them.
	Groups []int

	user, group string
}

// String shows names and numbers, "joe(1000):staff(50)".
func (i Identity) String() string {
	return fmt.Sprintf("%s(%d):%s(%d)", i.user, i.UID, i.group, i.GID)
}

// Lookup finds a user and a group by name or number. Without a group it is the
// primary one of the user, with its supplementary groups; a group that is given
// stands alone. A number without an entry in the user database needs a group.
// Without a user it is the one the process has.
func Lookup(name, group string) (Identity, error) {
	if name == "" {
		name = strconv.Itoa(os.Getuid())
	}
	id := Identity{user: name, group: group}
	u, err := lookup(name, user.Lookup, user.LookupId)
	n, nan := number(name)
	switch {
	case err == nil:
		if id.UID, err = number(u.Uid); err != nil {
			return id, fmt.Errorf("user %q has no number on this system (%q)", name, u.Uid)
		}
		id.user = u.Username
	case nan != nil:
		return id, fmt.Errorf("user %q is not known on this system", name)
	case group == "":
		return id, fmt.Errorf("user %d is not in the user database; a group must be named too", n)
	default:
		id.UID = n
	}
	if group != "" {
		if g, err := lookup(group, user.LookupGroup, user.LookupGroupId); err == nil {
			group, id.group = g.Gid, g.Name
		}
		if id.GID, err = number(group); err != nil {
			return id, fmt.Errorf("group %q is not known on this system", id.group)
		}
		id.Groups = []int{id.GID}
		return id, nil
	}
	if id.GID, err = number(u.Gid); err != nil {
		return id, fmt.Errorf("group of user %q has no number on this system (%q)", name, u.Gid)
	}
	id.group = u.Gid
	if g, err := user.LookupGroupId(u.Gid); err == nil {
		id.group = g.Name
	}
	all, err := u.GroupIds()
	if err != nil {
		return id, fmt.Errorf("groups of user %q: %w", name, err)
	}
	for _, s := range all {
		g, err := number(s)
		if err != nil {
			return id, fmt.Errorf("groups of user %q: %w", name, err)
		}
		id.Groups = append(id.Groups, g)
	}
	return id, nil
}

// lookup finds a user or group by name, else by number. What is no number is
// not looked up as one: the C library takes 4294967296 for 0, which is root.
func lookup[T any](s string, byName, byNumber func(string) (T, error)) (T, error) {
	found, err := byName(s)
	if err != nil {
		if _, nan := number(s); nan == nil {
			return byNumber(s)
		}
	}
	return found, err
}

// number reads a user or group number. The greatest one, -1 to the kernel,
// means "leave as is" there and is never taken.
func number(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err == nil && n == 1<<32-1 {
		err = errors.New("4294967295 is no user or group")
	}
	return int(n), err
}
