package mirror

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"

	"towpath/ftp/listing"
)

// comparison is that of one directory.
type comparison struct {
	*run
	dir         *dir
	have, there []entry           // sorted by name
	moving      map[string]bool   // files that come or go
	below       []*dir            // directories that come next
	folded      map[string]string // those that were taken, for twin
	all         map[string]string // and all of the source, for alias
}

// past returns what is behind the first entry, and refuses others of its name.
func (c *comparison) past(entries []entry) []entry {
	name := entries[0].name
	for entries = entries[1:]; len(entries) > 0 && entries[0].name == name; entries = entries[1:] {
		if c.o.takes(c.dir.below(name), entries[0].kind == listing.Dir) {
			c.fail(c.dir.below(name), &NameError{Dir: c.dir.path, Name: name, Why: "it is listed twice; the first counts"})
		}
	}
	return entries
}

// take brings one entry of the source over, to that of the same name in the
// target, if there is one.
func (c *comparison) take(e, to entry) {
	p := c.dir.below(e.name)
	if !c.o.takes(p, e.kind == listing.Dir) {
		return
	}
	if err := c.refusal(c.dir, e.name); err != nil {
		c.fail(p, err)
		return
	}
	if twin, ok := c.twin(e.name); ok {
		c.fail(p, &NameError{Dir: c.dir.path, Name: e.name, Why: fmt.Sprintf("the target does not tell it from %q", twin)})
		return
	}
	if e.kind == listing.Link && c.o.Links == FollowLinks {
		var err error
		if e, err = c.from.follow(c.ctx, c.dir, e); err != nil {
			c.fail(p, err)
			return
		}
		if !c.o.takes(p, e.kind == listing.Dir) {
			return
		}
	}
	if to.kind == listing.Link && c.up {
		// What a link on the server leads to is the server's affair.
		if led, err := c.to.follow(c.ctx, c.dir, to); err == nil {
			to = led
		}
	}
	switch e.kind {
	case listing.Dir:
		c.directory(p, e, to)
	case listing.File:
		c.file(p, e, to)
	case listing.Link:
		c.link(p, e, to)
	default:
		c.skip(p, "it is neither file nor directory")
	}
}

// twin finds a name before this one that the target takes for the same, and
// that is not.
func (c *comparison) twin(name string) (string, bool) {
	if c.up {
		return "", false
	}
	if c.folded == nil {
		c.folded = make(map[string]string, len(c.have))
	}
	key := fold(name)
	other, ok := c.folded[key]
	if !ok {
		c.folded[key] = name
		return "", false
	}
	return other, other != name && c.local.caseBlind()
}

func (c *comparison) directory(p string, e, to entry) {
	if c.o.NoRecursion {
		return
	}
	d := &dir{path: p, up: c.dir, depth: c.dir.depth + 1, entry: e, fresh: to.name == ""}
	if d.depth > c.o.MaxDepth {
		c.fail(p, about(p, "more than %d directories deep; does a link lead back?", c.o.MaxDepth))
		return
	}
	for above := c.dir; above != nil && e.unique != ""; above = above.up {
		if above.entry.unique == e.unique {
			c.skip(p, "it contains itself, by a link")
			return
		}
	}
	if to.name == "" || to.kind == listing.Dir {
		if c.looking && d.fresh {
			return
		}
		c.below = append(c.below, d)
		return
	}
	c.inTheWay(p, to, func() { d.fresh = true; c.enter(d) })
}

func (c *comparison) file(p string, e, to entry) {
	if c.o.guarded(e) {
		return
	}
	t := &task{dir: c.dir, from: e, to: to, part: c.partOf(e.name), step: Step{Op: c.transfer(), Path: p, Size: e.size, Time: e.time}}
	switch {
	case to.name == "":
	case to.kind == listing.Dir:
		c.inTheWay(p, to, func() { t.to = entry{}; c.queueMove(t) })
		return
	default:
		switch c.verdict(e, to) {
		case same:
			c.unchanged()
			return
		case perhaps:
			if t.step.Op = settle; !c.looking {
				c.add(t)
			}
			return
		}
	}
	c.moving[e.name] = true
	c.queueMove(t)
}

// transfer is how files move.
func (r *run) transfer() Op {
	if r.up {
		return Send
	}
	return Fetch
}

func (r *run) unchanged() {
	if r.looking {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Same++
}

// queueMove plans the way of a file.
func (r *run) queueMove(t *task) {
	if r.plan(t.step) {
		r.add(t)
	}
}

// partOf is what a file is called until it is whole: NAME.part, or with more of
// them if the source has a file of that name. As with brackets, each name of the
// source opens one that a free name closes, so that no two get the same.
func (c *comparison) partOf(name string) string {
	for open := 1; open > 0; {
		if name += partial; has(c.have, name) {
			open++
		} else {
			open--
		}
	}
	return name
}

// partial is what an unfinished file is called behind its name.
const partial = ".part"

// verdicts about two files of one name.
type verdict int

const (
	same verdict = iota
	differs
	perhaps // the digests tell
)

// verdict compares what the listings tell of two files.
func (r *run) verdict(e, to entry) verdict {
	sizes := e.size >= 0 && to.size >= 0 && e.size != to.size
	switch {
	case r.o.OnlyMissing:
		return same
	case to.kind != listing.File: // a link
		return differs
	case r.o.Compare == Newer && !e.time.IsZero() && !to.time.IsZero():
		return is(e.time.Sub(to.time) >= granularity(e, to))
	case sizes:
		return differs
	case r.o.Compare == Size:
		return same
	case r.o.Compare == Hash:
		return perhaps
	case e.time.IsZero() || to.time.IsZero():
		return same
	}
	later := e.time.Sub(to.time)
	if later.Abs() < granularity(e, to) {
		return same
	}
	return is(later > 0 || r.keepsTimes())
}

func is(different bool) verdict {
	if different {
		return differs
	}
	return same
}

// granularity is by how much times must differ to be different: LIST tells
// minutes, or of old files days, and MFMT sets seconds.
func granularity(a, b entry) time.Duration { return max(a.precision, b.precision, time.Second) }

// keepsTimes tells whether copies have the time of what they were copied from.
func (r *run) keepsTimes() bool { return !r.o.NoTimes && (!r.up || r.server.setsTimes()) }

// settle compares the digests of two files of one size, and goes on as they
// tell: the file moves, gets its time, or stays as it is.
func (r *run) settle(t *task) {
	algorithm, theirs, err := r.server.digest(r.ctx, t.step.Path)
	var ours []byte
	if err == nil {
		ours, err = r.local.digest(r.ctx, t.dir, t.from.name, algorithm)
	}
	switch {
	case err != nil:
		r.fail(t.step.Path, err)
	case !bytes.Equal(ours, theirs):
		t.step.Op = r.transfer()
		r.queueMove(t)
	case r.keepsTimes() && t.from.time.Sub(t.to.time).Abs() >= granularity(t.from, t.to):
		t.step.Op = Retime
		if r.plan(t.step) {
			r.do(t)
		}
	default:
		r.unchanged()
	}
}

func (c *comparison) link(p string, e, to entry) {
	switch {
	case c.o.Links != KeepLinks:
		c.skip(p, "it is a symbolic link; --links=keep or follow takes it")
	case c.up:
		c.skip(p, "it is a symbolic link, and FTP cannot make one")
	case e.target == "":
		c.skip(p, "it is a symbolic link, and the server does not say where it leads")
	case !inside(p, e.target):
		c.fail(p, about(p, "a link that leads out of the target, to %q, was refused", e.target))
	case to.kind == listing.Link && to.target == e.target:
		c.unchanged()
	default:
		t := &task{dir: c.dir, from: e, to: to, part: c.partOf(e.name), step: Step{Op: Link, Path: p, Target: e.target}}
		if to.name != "" && to.kind == listing.Dir {
			c.inTheWay(p, to, func() { c.queueMove(t) })
			return
		}
		c.queueMove(t)
	}
}

// inside tells whether a link at p that says target leads to a place below the
// top, as far as words tell.
func inside(p, target string) bool {
	if strings.HasPrefix(target, "/") || strings.ContainsAny(target, "\x00\\:") {
		return false
	}
	to := path.Join(path.Dir(p), target)
	return to != ".." && !strings.HasPrefix(to, "../")
}

// inTheWay is for what is of another kind in the target: with Delete it goes,
// and then begins what has to wait for it.
func (c *comparison) inTheWay(p string, to entry, then func()) {
	what := "a " + to.kind.String()
	if to.kind == listing.Dir {
		what = "a directory"
	}
	if !c.o.Delete {
		c.fail(p, about(p, "%s is in its place; Delete (--delete) removes it", what))
		return
	}
	if c.o.DeleteFirst && !c.looking {
		if !c.o.DryRun { // it should have gone
			c.fail(p, about(p, "%s is in its place and was not removed", what))
			return
		}
		then()
		return
	}
	c.condemn(p, to)
	if c.looking {
		return
	}
	c.mu.Lock()
	c.dir.busy++
	d := c.dir
	c.after = append(c.after, func() {
		defer c.leave(d)
		if c.kept[p] {
			c.fail(p, about(p, "%s is in its place and was not removed", what))
			return
		}
		then()
	})
	c.mu.Unlock()
}

// surplus deletes what the source has not.
func (c *comparison) surplus(to entry) {
	p := c.dir.below(to.name)
	switch {
	case !c.o.Delete || c.o.DeleteFirst && !c.looking:
		return
	case unfit(to.name) != "":
		// No name of ours leads there.
		c.fail(p, &NameError{Dir: c.dir.path, Name: to.name, Why: unfit(to.name)})
	case !c.o.takes(p, to.kind == listing.Dir):
	case c.o.NoRecursion && to.kind == listing.Dir:
	case strings.HasSuffix(to.name, partial) && c.moving[strings.TrimSuffix(to.name, partial)]:
		// It is about to become the file, or stays to be continued.
	case c.alias(to.name):
		c.skip(p, "it is not deleted, since the target may not tell it from a name that differs in capitals or in how accents are written")
	default:
		c.condemn(p, to)
		return
	}
	c.keep(c.dir.path)
}

// alias tells whether a surplus name may be what the target calls a file of the
// source: they differ in capitals, or in how accents are written, and only one of
// them is there. Of a server nobody knows; once it shows both, it does tell them
// apart.
func (c *comparison) alias(name string) bool {
	if c.all == nil {
		c.all = make(map[string]string, len(c.have))
		for _, e := range c.have {
			c.all[fold(e.name)] = e.name
		}
	}
	other, ok := c.all[fold(name)]
	return ok && !has(c.there, other) && (c.up || c.local.caseBlind() || norm.NFC.String(name) == norm.NFC.String(other))
}

// condemn deletes an entry of the target and all that is in it.
func (c *comparison) condemn(p string, to entry) {
	isDir := to.kind == listing.Dir
	c.doom(Step{Op: Delete, Path: p, Dir: isDir, Size: to.size, Time: to.time})
	if !isDir {
		return
	}
	if c.dir.depth >= c.o.MaxDepth {
		c.keep(p)
		c.fail(p, about(p, "more than %d directories deep; it is not deleted", c.o.MaxDepth))
		return
	}
	c.below = append(c.below, &dir{path: p, up: c.dir, depth: c.dir.depth + 1, entry: to, purge: true})
}

// about is an error that is about a path.
func about(p, format string, a ...any) error {
	return &fs.PathError{Op: "mirror", Path: p, Err: fmt.Errorf(format, a...)}
}

// has finds a name among sorted entries.
func has(entries []entry, name string) bool {
	lo, hi := 0, len(entries)
	for lo < hi {
		if mid := (lo + hi) / 2; entries[mid].name < name {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo < len(entries) && entries[lo].name == name
}
