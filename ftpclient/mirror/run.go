package mirror

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"towpath/ftp"
	"towpath/ftp/listing"
	"towpath/ftpclient"
	"towpath/internal/units"
)

// entry is what a listing tells of one name.
type entry struct {
	name      string
	kind      listing.Type // File, Dir, Link; all else is Other
	size      int64        // -1: not known
	time      time.Time
	precision time.Duration // how exact time is
	mode      fs.FileMode   // permission bits, if known
	knownMode bool
	target    string // of a link
	unique    string // what tells a directory from all others
}

// dir is a directory that is at work.
type dir struct {
	path  string // below the top, "." for the top itself
	up    *dir
	depth int
	entry entry // as its own directory lists it
	fresh bool  // it is not in the target yet
	purge bool  // it is not in the source: all in it goes

	root *os.Root // the local one of the two, while there are tasks in it
	busy int      // tasks and the scan; guarded by run.mu
}

func (d *dir) below(name string) string {
	if d.path == "." {
		return name
	}
	return d.path + "/" + name
}

// side is one of the two ends.
type side interface {
	// list returns the entries of a directory that is there. incomplete tells
	// that lines of it could not be read; it has told so.
	list(ctx context.Context, d *dir) (entries []entry, incomplete bool, err error)
	// follow tells what a link leads to.
	follow(ctx context.Context, d *dir, e entry) (entry, error)
	mkdir(ctx context.Context, d *dir) error
	remove(ctx context.Context, p string, isDir bool) error
	symlink(ctx context.Context, t *task) error
	retime(ctx context.Context, t *task) error
}

// task is a step that waits for a worker, with what it needs.
type task struct {
	step Step
	dir  *dir
	from entry // as the source has it
	to   entry // as the target has it, no name if it has not
	part string
}

// run is one call of Down or Up.
//
//	scan dirs, move files -> delete -> scan and move what stood in the way
type run struct {
	o        Options
	up       bool
	from, to side
	local    *local
	server   *server
	move     func(ctx context.Context, t *task, w Watcher) (int64, error)

	ctx  context.Context
	stop context.CancelCauseFunc

	mu      sync.Mutex
	work    *sync.Cond
	tasks   []*task // served before dirs
	dirs    []*dir  // the last first, which bounds it too
	running int

	result Result
	first  error

	looking bool // the first of two passes: finds out what to delete and no more
	deletes []Step
	doomed  int             // how many deletes were found, also beyond MaxDelete
	kept    map[string]bool // directories that cannot go, since something in them stays
	after   []func()        // queue what stood in the way of something else
}

func newRun(ctx context.Context, o Options, up bool) *run {
	o.Parallel = max(o.Parallel, 1)
	o.MaxDepth = cmp.Or(o.MaxDepth, 100)
	o.MaxEntries = cmp.Or(o.MaxEntries, 1<<20)
	o.Delete = o.Delete || o.DeleteFirst
	r := &run{o: o, up: up, kept: map[string]bool{}}
	r.work = sync.NewCond(&r.mu)
	r.ctx, r.stop = context.WithCancelCause(ctx)
	return r
}

// mirror goes through all phases.
func (r *run) mirror(ctx context.Context) (Result, error) {
	defer r.stop(nil)
	err := r.check()
	if err == nil {
		if r.o.DeleteFirst {
			r.looking = true
			r.pass(func() { r.enqueueTop() })
			r.looking = false
			r.carryOut()
			r.deletes, r.doomed = nil, 0
		}
		r.pass(func() { r.enqueueTop() })
		r.carryOut()
		r.pass(func() {
			for _, f := range r.after {
				f()
			}
		})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	stopped := err
	if stopped == nil && r.ctx.Err() != nil {
		stopped = context.Cause(r.ctx)
	}
	if stopped == nil && r.first == nil {
		return r.result, nil
	}
	return r.result, &Error{Count: r.result.Failed, First: r.first, Stopped: stopped}
}

// check finds out before anything moves what cannot be had.
func (r *run) check() error {
	if r.o.Compare != Hash && !r.o.Verify {
		return nil
	}
	return r.server.with(r.ctx, func(c *ftpclient.Client, _ bool) error {
		if _, _, err := c.Digest(); err != nil {
			return fmt.Errorf("files cannot be compared: %w", err)
		}
		return nil
	})
}

// pass runs workers until all that fill queues, and what comes of it, is done.
func (r *run) pass(fill func()) {
	if r.ctx.Err() != nil {
		return
	}
	stop := context.AfterFunc(r.ctx, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.work.Broadcast()
	})
	defer stop()
	r.running++ // for us, who fill
	var workers sync.WaitGroup
	for range r.o.Parallel {
		workers.Go(r.worker)
	}
	fill()
	r.done()
	workers.Wait()
	r.mu.Lock()
	tasks, dirs := r.tasks, r.dirs
	r.tasks, r.dirs = nil, nil
	r.mu.Unlock()
	for _, t := range tasks { // only if it was stopped
		r.leave(t.dir)
	}
	for _, d := range dirs {
		r.leave(d)
	}
}

func (r *run) worker() {
	for {
		t, d := r.next()
		switch {
		case t != nil:
			r.do(t)
			r.leave(t.dir)
		case d != nil:
			r.scan(d)
			r.leave(d)
		default:
			return
		}
		r.done()
	}
}

// done tells that somebody who may make work has done his.
func (r *run) done() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running--; r.running == 0 {
		r.work.Broadcast()
	}
}

// next returns a task or a directory, or neither when all is done.
func (r *run) next() (*task, *dir) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.ctx.Err() == nil {
		if n := len(r.tasks); n > 0 {
			t := r.tasks[0]
			r.tasks[0] = nil
			r.tasks = r.tasks[1:]
			r.running++
			return t, nil
		}
		if n := len(r.dirs); n > 0 {
			d := r.dirs[n-1]
			r.dirs = r.dirs[:n-1]
			r.running++
			return nil, d
		}
		if r.running == 0 {
			return nil, nil
		}
		r.work.Wait()
	}
	return nil, nil
}

func (r *run) enqueueTop() { r.enter(&dir{path: "."}) }

func (r *run) enter(d *dir) {
	r.mu.Lock()
	defer r.mu.Unlock()
	d.busy++
	r.dirs = append(r.dirs, d)
	r.work.Signal()
}

// mostTasks bounds how many tasks wait. Whoever has more does them himself.
const mostTasks = 4096

func (r *run) add(t *task) {
	r.mu.Lock()
	t.dir.busy++
	wait := len(r.tasks) < mostTasks
	if wait {
		r.tasks = append(r.tasks, t)
		r.work.Signal()
	}
	r.mu.Unlock()
	if !wait {
		r.do(t)
		r.leave(t.dir)
	}
}

// leave closes a directory when nobody works in it any more.
func (r *run) leave(d *dir) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if d.busy--; d.busy == 0 {
		r.local.closeDir(d)
	}
}

// plan tells of a step, and whether it is to be done.
func (r *run) plan(s Step) bool {
	if r.looking {
		return false
	}
	if r.o.Planned != nil {
		r.o.Planned(s)
	}
	if r.o.DryRun {
		r.count(s, 0)
	}
	return !r.o.DryRun
}

func (r *run) count(s Step, moved int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch s.Op {
	case Fetch, Send:
		r.result.Moved++
		if r.o.DryRun {
			moved = max(s.Size, 0)
		}
	case Make, Link:
		r.result.Made++
	case Delete:
		r.result.Deleted++
	case Retime:
		r.result.Retimed++
	}
	r.result.Bytes = units.Sum(r.result.Bytes, moved)
}

// begin tells that a step begins.
func (r *run) begin(s Step) Watcher {
	if r.o.Begin != nil {
		if w := r.o.Begin(s); w != nil {
			return w
		}
	}
	return unwatched{}
}

type unwatched struct{}

func (unwatched) Here(int64)  {}
func (unwatched) Moved(int64) {}
func (unwatched) Done(error)  {}

// fail counts a failure. What ends a run is no failure of the file that it
// happened to.
func (r *run) fail(p string, err error) {
	if r.looking || r.ctx.Err() != nil {
		return
	}
	if why := hopeless(err); why != nil {
		r.stop(why)
		return
	}
	r.mu.Lock()
	r.result.Failed++
	if r.first == nil {
		r.first = err
	}
	r.mu.Unlock()
	if r.o.Failed != nil {
		r.o.Failed(p, err)
	}
}

func (r *run) skip(p, why string) {
	if r.looking {
		return
	}
	r.mu.Lock()
	r.result.Skipped++
	r.mu.Unlock()
	if r.o.Skipped != nil {
		r.o.Skipped(p, why)
	}
}

// hopeless returns why nothing that comes behind an error can go better: no
// session is to be had, or a disk is full.
func hopeless(err error) error {
	if e, ok := errors.AsType[*noSession](err); ok {
		return e.err
	}
	if noRoom(err) {
		return err
	}
	if e, ok := errors.AsType[*ftp.Error](err); ok && (e.Reply.Code == 452 || e.Reply.Code == 552) {
		return err
	}
	return nil
}

// scan compares one directory.
func (r *run) scan(d *dir) {
	var have, there []entry
	var incomplete bool
	var err error
	if !d.purge {
		if have, incomplete, err = r.from.list(r.ctx, d); err != nil {
			r.keep(d.path)
			r.fail(d.path, err)
			return
		}
	}
	if there, err = r.arrive(d); err != nil {
		r.keep(d.path)
		r.fail(d.path, err)
		return
	}
	byName := func(a, b entry) int { return strings.Compare(a.name, b.name) }
	slices.SortStableFunc(have, byName)
	slices.SortStableFunc(there, byName)
	c := comparison{run: r, dir: d, have: have, there: there, moving: map[string]bool{}}
	if incomplete && r.o.Delete {
		r.skip(d.path, "nothing is deleted in it, since its listing could not be read to the end")
	}
	for len(have) > 0 || len(there) > 0 {
		switch {
		case r.ctx.Err() != nil:
			return
		case len(there) == 0 || len(have) > 0 && have[0].name < there[0].name:
			c.take(have[0], entry{})
			have = c.past(have)
		case len(have) == 0 || have[0].name > there[0].name:
			if !incomplete {
				c.surplus(there[0])
			} else {
				r.keep(d.path)
			}
			there = there[1:]
		default:
			c.take(have[0], there[0])
			have, there = c.past(have), there[1:]
		}
	}
	for _, below := range slices.Backward(c.below) { // the last is served first
		r.enter(below)
	}
}

// arrive makes the directory in the target, or lists it.
func (r *run) arrive(d *dir) ([]entry, error) {
	if !d.fresh {
		there, _, err := r.to.list(r.ctx, d)
		if d.path != "." || d.purge || !missing(err) {
			return there, err
		}
		d.fresh = true // the top, as it seems
	}
	s := Step{Op: Make, Path: d.path, Dir: true}
	if !r.plan(s) {
		return nil, nil
	}
	w := r.begin(s)
	err := r.to.mkdir(r.ctx, d)
	w.Done(err)
	if err == nil {
		r.count(s, 0)
	}
	return nil, err
}

// missing tells whether a top that could not be listed may be made. What servers
// say of one that is not there differs (550, 501 by pyftpdlib, 226 by vsftpd),
// and if it is there making it fails.
func missing(err error) bool {
	_, refused := errors.AsType[*ftp.Error](err)
	return refused || errors.Is(err, fs.ErrNotExist)
}

// do does one task.
func (r *run) do(t *task) {
	if t.step.Op == settle {
		r.settle(t)
		return
	}
	w := r.begin(t.step)
	var n int64
	var err error
	switch t.step.Op {
	case Fetch, Send:
		n, err = r.move(r.ctx, t, w)
	case Link:
		err = r.to.symlink(r.ctx, t)
	case Retime:
		err = r.to.retime(r.ctx, t)
	case Delete:
		err = r.to.remove(r.ctx, t.step.Path, t.step.Dir)
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	w.Done(err)
	if err == nil {
		r.count(t.step, n)
		return
	}
	r.mu.Lock()
	r.result.Bytes += n
	r.mu.Unlock()
	if t.step.Op == Delete {
		r.keep(path.Dir(t.step.Path))
	}
	r.fail(t.step.Path, err)
}

// keep tells that a directory of the target cannot go, nor those above it.
func (r *run) keep(p string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for ; !r.kept[p]; p = path.Dir(p) {
		r.kept[p] = true
	}
}

// doom notes what is to be deleted.
func (r *run) doom(s Step) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.doomed++; r.o.MaxDelete <= 0 || r.doomed <= r.o.MaxDelete {
		r.deletes = append(r.deletes, s)
	}
}

// carryOut deletes: files first, then the directories that are empty by that,
// the deepest first.
func (r *run) carryOut() {
	if r.doomed == 0 || r.ctx.Err() != nil {
		return
	}
	if n := r.o.MaxDelete; n > 0 && r.doomed > n {
		for _, s := range r.deletes {
			r.keep(s.Path)
		}
		r.fail(".", fmt.Errorf("%d files and directories would be deleted, and MaxDelete (--max-delete) allows %d: nothing was", r.doomed, n))
		return
	}
	slices.SortFunc(r.deletes, func(a, b Step) int { return strings.Compare(b.Path, a.Path) })
	top := &dir{path: "."}
	r.pass(func() {
		for _, s := range r.deletes {
			if !s.Dir && r.plan(s) {
				r.add(&task{step: s, dir: top})
			}
		}
	})
	for _, s := range r.deletes {
		if s.Dir && !r.kept[s.Path] && r.ctx.Err() == nil && r.plan(s) {
			r.do(&task{step: s, dir: top})
		}
	}
}
