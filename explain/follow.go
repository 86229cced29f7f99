package explain

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"

	"towpath/capture"
	"towpath/ftp"
	"towpath/ftp/dialogue"
)

// trace follows what one capture holds.
type trace struct {
	opts  *Options
	store *store
	index int
	// tracker is where the connections come from.
	tracker *capture.Tracker
	talks   []*talk // nil where one was let go
	// starts are when talks began, also those that were let go.
	starts []Instant
	// met counts connections by the first sequence number of the client, where
	// sessions are let go: those that are open or kept. NATs leave it as it is.
	met map[uint32]int32
	// awaited are the data connections that must follow, by the ports that they
	// go to. The newest is first, behind it those that [deal.older] leads to.
	awaited [1 << 16]*deal
	// recent are the last connections that nobody has claimed, for
	// announcements that were captured behind them.
	recent map[netip.AddrPort]*link
	order  []*link // of recent, oldest first
	// peers are the hosts between which sessions are open; nil until somebody
	// asks.
	peers map[hosts]*peers
	// secret are the sessions under TLS, by their clients.
	secret map[netip.Addr][]*talk
	// spare is what sessions had that have ended.
	spare spare
	// failed are the last connections that did not come about.
	failed []*link
	// links are those with files.
	links []*link
	// decoders are how many are at work.
	decoders int
	// ended are sessions that are to be told of.
	ended []*talk
	// rest counts the sessions that were too many.
	rest int
	book book
}

// hosts are two addresses, the lesser first.
type hosts [2]netip.Addr

// peers are two hosts with the sessions that are open between them.
type peers struct {
	hosts hosts
	talks []*talk
}

// between finds the sessions that are open between the ends of a connection.
// Where all connections are of sessions nobody asks, and nothing is kept for it.
func (r *trace) between(c *capture.Conn) []*talk {
	if r.peers == nil {
		r.peers = map[hosts]*peers{}
		for _, t := range r.talks {
			if t != nil && t.follower != nil {
				r.enter(t)
			}
		}
	}
	if p := r.peers[hostsOf(c)]; p != nil {
		return p.talks
	}
	return nil
}

func hostsOf(c *capture.Conn) hosts {
	a, b := c.Client.Addr(), c.Server.Addr()
	if b.Less(a) {
		a, b = b, a
	}
	return hosts{a, b}
}

// enter makes t one of the sessions of its peers.
func (r *trace) enter(t *talk) {
	if r.peers == nil {
		return
	}
	ends := hostsOf(t.link.conn)
	p := r.peers[ends]
	if p == nil {
		p = r.spare.peers.take()
		p.hosts, p.talks = ends, p.talks[:0]
		r.peers[ends] = p
	}
	t.peers, p.talks = p, append(p.talks, t)
}

// leave ends that.
func (r *trace) leave(t *talk) {
	p := t.peers
	if p == nil {
		return
	}
	if p.talks = slices.DeleteFunc(p.talks, func(x *talk) bool { return x == t }); len(p.talks) == 0 {
		delete(r.peers, p.hosts)
		r.spare.peers.put(p)
	}
	t.peers = nil
}

const (
	// maxRecent is how many connections nobody claims are remembered.
	maxRecent = 1024
	// maxFailed is how many connections that did not come about are kept, for
	// captures of other places to ask for.
	maxFailed = 4096
	// maxSuspects is how many connections a session may have that could be
	// its own, where announcements cannot be read.
	maxSuspects = 4096
	// maxBacklog is how much is kept of a connection until it is known
	// whether it is a dialogue.
	maxBacklog = 2048
)

func newTrace(index int, o *Options, s *store) *trace {
	return &trace{
		opts: o, store: s, index: index, ended: make([]*talk, 0, 16),
		met: map[uint32]int32{}, recent: map[netip.AddrPort]*link{}, secret: map[netip.Addr][]*talk{},
	}
}

// deal is a data connection as it was agreed upon, and what became of it.
type deal struct {
	talk     *talk
	transfer *Transfer
	// The memory of transfer, and of its connection.
	own     Transfer
	carried Connection
	expect  dialogue.Expectation
	// announced is what the announcement says, word for word.
	announced netip.AddrPort
	links     []*link
	older     *deal      // behind it in trace.awaited
	agreed    Mark       // where the announcement was answered
	control   netip.Addr // of the server's end of the control connection
	refused   bool       // the announcement was
	problem   error      // with the announcement
	stalled   bool       // the announcement was never answered
	inferred  bool
	final     bool // the last reply has come
	answered  Mark // where the last reply so far stands
}

// link is a connection that is not, or not yet, known to be a dialogue.
type link struct {
	trace *trace
	conn  *capture.Conn
	syn   [1]Mark // of the first SYN
	ends  [4]End  // of both ends a FIN and a RST
	talk  *talk   // it is the control connection of
	deal  *deal   // it serves
	// head is how each side begins.
	head    [2][]byte
	backlog []said
	size    int    // of backlog
	other   bool   // it is no dialogue
	met     bool   // it is counted in trace.met, as isn
	isn     uint32 // the first sequence number of the client
	closed  bool
	kept    bool // others may know of it when its session is gone
	sink    *sink
}

// said is a segment that waits until its connection is understood.
type said struct {
	dir   int
	bytes []byte
	at    Mark
}

// Open makes [trace] a [capture.Handler].
func (r *trace) Open(c *capture.Conn) capture.Stream {
	l := r.spare.link()
	l.trace, l.conn = r, c
	if r.store != nil {
		r.links = append(r.links, l)
	}
	if d := r.claim(l); d != nil {
		l.sink = newSink(r.opts, r.store, l)
		d.take(l)
		return l
	}
	l.meet()
	if s := newSink(r.opts, r.store, l); s != nil && r.between(c) != nil {
		l.sink = s
	}
	switch {
	case isControl(c.Server.Port()), c.Guessed && isControl(c.Client.Port()):
		r.talkOn(l)
	default:
		r.remember(l)
	}
	return l
}

// implicitPort is where control connections begin with TLS (ftps in the registry
// of IANA).
const implicitPort = 990

// isControl says whether a port is of control connections, whatever is said
// there.
func isControl(port uint16) bool { return port == 21 || port == implicitPort }

// claim finds the deal that a connection meets.
func (r *trace) claim(l *link) *deal {
	c := l.conn
	d := r.claimed(c.Client.Addr(), c.Server)
	if d == nil && c.Guessed {
		d = r.claimed(c.Server.Addr(), c.Client)
	}
	return d
}

// claimed finds the deal of a connection by its ends.
func (r *trace) claimed(from netip.Addr, to netip.AddrPort) (any *deal) {
	for d := r.awaited[to.Port()]; d != nil; d = d.older {
		switch {
		case !d.goesTo(to.Addr()):
		case d.expect.From == from:
			return d
		default:
			any = d
		}
	}
	return any
}

// remember keeps a connection that nobody claims for a while.
func (r *trace) remember(l *link) {
	l.kept = true
	to := l.conn.Server
	r.recent[to] = l
	r.order = append(r.order, l)
	if len(r.order) > maxRecent {
		old := r.order[0]
		r.order[0], r.order = nil, r.order[1:]
		if to := old.conn.Server; r.recent[to] == old {
			delete(r.recent, to)
		}
	}
	for _, t := range r.between(l.conn) {
		t.suspectLink(l)
	}
	// Under TLS an announcement may also lead a client elsewhere.
	for _, t := range r.secret[l.conn.Client.Addr()] {
		if t.Server.Addr() != to.Addr() {
			t.suspectLink(l)
		}
	}
}

func (t *talk) suspectLink(l *link) {
	if len(t.suspects) < maxSuspects {
		t.suspects = append(t.suspects, l)
	}
}

// secured makes [trace] events.
func (r *trace) secured(t *talk) {
	r.secret[t.Client.Addr()] = append(r.secret[t.Client.Addr()], t)
}

// talkOn begins a session on a connection.
func (r *trace) talkOn(l *link) {
	if len(r.talks) >= r.opts.maxSessions() {
		r.rest++
		l.other = true
		return
	}
	c := l.conn
	t := r.spare.talk()
	t.Capture, t.Client, t.Server, t.Started = r.index, c.Client, c.Server, c.First.Time
	t.follower, t.opts, t.events, t.book, t.link = r.spare.follower(), r.opts, r, &r.book, l
	t.fresh = c.Server.Port() == implicitPort || c.Guessed && c.Client.Port() == implicitPort
	if c.Guessed && isControl(c.Client.Port()) && !isControl(c.Server.Port()) {
		t.Client, t.Server, t.turned = c.Server, c.Client, true
	}
	t.tracker.Client, t.tracker.Server = t.Client, t.Server
	if c.Guessed { // it begins before the capture
		t.resync()
	}
	l.talk = t
	r.talks = append(r.talks, t)
	r.starts = append(r.starts, t.Started)
	t.place, t.ID = len(r.talks)-1, len(r.talks)
	r.enter(t)
}

// meet counts a connection by its first sequence number.
func (l *link) meet() {
	if l.trace.opts.Told != nil {
		l.met, l.isn = true, l.conn.Side(capture.FromClient).ISN
		l.trace.met[l.isn]++
	}
}

// part counts it no more.
func (l *link) part() {
	if !l.met {
		return
	}
	if n := l.trace.met[l.isn]; n > 1 {
		l.trace.met[l.isn] = n - 1
	} else {
		delete(l.trace.met, l.isn)
	}
	l.met = false
}

// Data makes [link] a [capture.Stream].
func (l *link) Data(d capture.Direction, offset int64, b []byte, p *capture.Packet) bool {
	at := p.Mark()
	switch {
	case l.talk != nil:
		return l.talk.data(l.talk.side(d), b, at)
	case l.deal != nil || l.other:
		l.look(d, b)
		return l.sink.write(d, offset, b) || l.other && l.deal == nil && len(l.head[d]) < tlsHeadSize && l.isTLS()
	}
	l.look(d, b)
	l.sink.write(d, offset, b)
	l.backlog = append(l.backlog, said{int(d), bytes.Clone(b), at})
	l.size += len(b)
	switch l.judge() {
	case isDialogue:
		l.trace.talkOn(l)
		if l.talk == nil {
			return false
		}
		for _, s := range l.backlog {
			l.talk.data(l.talk.side(capture.Direction(s.dir)), s.bytes, s.at)
		}
		l.sink.drop()
		l.backlog, l.sink = nil, nil
		return true
	case isOther:
		l.other, l.backlog = true, nil
		return l.sink != nil || l.isTLS()
	}
	return true
}

// headSize is how much is kept of the beginning of each side, and tlsHeadSize
// how much if that is TLS: a client's hello with its tickets.
const (
	headSize    = 64
	tlsHeadSize = 2048
)

func (l *link) look(d capture.Direction, b []byte) {
	most := headSize
	if l.deal == nil && l.isTLS() {
		most = tlsHeadSize
	}
	if n := most - len(l.head[d]); n > 0 {
		l.head[d] = append(l.head[d], b[:min(n, len(b))]...)
	}
}

// What a connection is judged to be.
type judgement int

const (
	undecided judgement = iota
	isDialogue
	isOther
)

// judge says whether a connection is a dialogue of FTP: the server greets as
// one, or the client says what only clients of FTP say and is answered by codes.
func (l *link) judge() judgement {
	var said [2][]byte
	for _, s := range l.backlog {
		said[s.dir] = append(said[s.dir], s.bytes...)
	}
	client, server := said[fromClient], said[fromServer]
	answers := isReply(server)
	switch {
	case len(server) >= 4 && !answers, len(server) > 0 && !isDigit(server[0]), len(client) > 0 && !isLetter(client[0]):
		return isOther
	}
	line, _, whole := bytes.Cut(client, []byte("\n"))
	verb, _, _ := strings.Cut(strings.TrimSuffix(string(line), "\r"), " ")
	asks := whole && known[strings.ToUpper(verb)]
	greeting, _, greeted := bytes.Cut(server, []byte("\n"))
	switch {
	case answers && asks, answers && greeted && bytes.Contains(bytes.ToUpper(greeting), []byte("FTP")):
		return isDialogue
	case whole && !asks, l.size > maxBacklog:
		return isOther
	}
	return undecided
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// Gap makes [link] a [capture.Stream].
func (l *link) Gap(d capture.Direction, from, to int64, _ *capture.Packet) {
	if t := l.talk; t != nil {
		if t.side(d) == fromServer && to <= l.conn.Side(d).Acknowledged {
			t.missed = true
		}
		t.lose(t.side(d))
		return
	}
	l.sink.gap(d, from, to)
}

// Close makes [link] a [capture.Stream].
func (l *link) Close(*capture.Conn) {
	l.backlog, l.closed = nil, true
	if l.talk == nil && !l.established() {
		if r := l.trace; len(r.failed) < maxFailed {
			r.failed = append(r.failed, l)
		}
		l.kept = true
	}
	if l.sink.close(); l.sink != nil && l.deal == nil && !l.trace.suspected(l) {
		l.sink.drop()
	}
	switch {
	case l.talk != nil:
		l.trace.forget(l.talk)
		l.trace.tell(l.talk)
	case l.deal != nil:
		l.part()
		l.deal.talk.open--
		l.trace.tell(l.deal.talk)
	default:
		l.part()
	}
}

// tell gives a session to who wants to be told of it, unless others may have to
// say more about it.
func (r *trace) tell(t *talk) {
	if r.opts.Told == nil || r.store != nil || t.follower != nil || t.open > 0 || r.holds(t) {
		return
	}
	if r.ended = append(r.ended, t); len(r.ended) == cap(r.ended) {
		r.tellEnded()
	}
}

// tellEnded concludes the sessions that have ended, and lets go those that are
// not kept. They are done some at a time, while the code for it is in the
// processor's cache.
func (r *trace) tellEnded() {
	for _, t := range r.ended {
		t.terse = true
		t.conclude()
		t.terse = false
	}
	for _, t := range r.ended {
		if !r.opts.Filter.takes(t.Session) || !r.opts.Told(t.Session) {
			r.talks[t.place] = nil
			t.link.part()
			r.spare.take(t, r.tracker)
		}
	}
	r.ended = r.ended[:0]
}

// holds says whether a session must wait for what others have to say.
func (r *trace) holds(t *talk) bool {
	c := t.link.conn
	return !t.link.established() || !c.SYN.Seen() && c.SYNACK.Seen() && len(t.Commands) == 0 ||
		len(t.suspects) > 0 || len(t.refusedLogins()) > 0 || r.met[t.link.isn] > 1
}

// suspected says whether a connection may be found to be a session's, though no
// announcement claims it.
func (r *trace) suspected(l *link) bool {
	return slices.ContainsFunc(r.between(l.conn), func(t *talk) bool { return slices.Contains(t.suspects, l) })
}

// forget ends what a session awaits.
func (r *trace) forget(t *talk) {
	if f := t.close(); f != nil {
		r.spare.followers.put(f)
	}
	if t.deal != nil {
		r.unwait(t.deal)
	}
	if len(r.secret) > 0 {
		leave(r.secret, t.Client.Addr(), t)
	}
	r.leave(t)
}

// leave takes x out of a list, which is mostly of it alone.
func leave[K, V comparable](lists map[K][]V, at K, x V) {
	all := lists[at]
	if len(all) > 1 {
		lists[at] = slices.DeleteFunc(all, func(y V) bool { return x == y })
	} else if len(all) == 1 && all[0] == x {
		delete(lists, at)
	}
}

// take ties a connection to a deal.
func (d *deal) take(l *link) {
	l.deal, l.other = d, true
	d.links = append(d.links, l)
	if !l.closed {
		d.talk.open++
	}
}

// goesTo says whether the connection of a deal may go to a host: to the one that
// the announcement says, and since many clients do not believe the address in a
// 227, to the server.
func (d *deal) goesTo(host netip.Addr) bool {
	return host == d.expect.To.Addr() || d.expect.Opener == dialogue.Client && host == d.control
}

func (r *trace) await(d *deal) {
	first := &r.awaited[d.expect.To.Port()]
	d.older, *first = *first, d
}

func (r *trace) unwait(d *deal) {
	for at := &r.awaited[d.expect.To.Port()]; *at != nil; at = &(*at).older {
		if *at == d {
			*at, d.older = d.older, nil
			return
		}
	}
}

// announced makes [trace] events.
func (r *trace) announced(t *talk, x *dialogue.Exchange, index int) {
	if old := t.deal; old != nil {
		r.unwait(old)
		if old.unused() {
			// One where the server listened in vain says something if no other
			// came to more.
			if t.vain++; old.expect.Opener == dialogue.Server || t.vain > maxRefusals {
				t.drop(old)
			}
		}
	}
	t.deal = nil
	e := x.Expectation
	d := r.spare.deal(t)
	d.expect, d.agreed, d.control = e, t.at, t.Server.Addr()
	d.transfer.AnnouncedBy, d.transfer.AnnouncedAt = x.Command.Verb, index
	switch {
	case e != (dialogue.Expectation{}):
		d.describe(t, index)
		t.suspect(e, d.transfer.Announcement)
	case x.Reply.Code >= 400 || x.Problem != nil:
		d.refuse(x, t, index)
		if len(t.refusals) < maxRefusals {
			t.refusals = append(t.refusals, d)
		}
		return
	default:
		return
	}
	t.deal = d
	t.deals = append(t.deals, d)
	r.await(d)
	for _, host := range [...]netip.Addr{e.To.Addr(), d.control} {
		to := netip.AddrPortFrom(host, e.To.Port())
		l := r.recent[to]
		if d.goesTo(host) && l != nil && l.deal == nil && l.talk == nil && !l.conn.First.Time.Before(t.Commands[index].Time) {
			delete(r.recent, to)
			d.take(l)
		}
	}
}

// unused says that nothing came of an announcement.
func (d *deal) unused() bool { return d.transfer.Verb == "" && len(d.links) == 0 }

// asked makes [trace] events.
func (r *trace) asked(t *talk, x *dialogue.Transfer, index int) {
	d := t.deal
	switch {
	case d == nil || d.expect.Number != x.Expectation.Number:
		d = r.spare.deal(t)
		t.deals = append(t.deals, d)
	case d.transfer.Verb != "": // the one before was refused; the listener is still there
		next := r.spare.deal(t)
		next.expect, next.announced, next.agreed, next.control, next.final, next.answered = d.expect, d.announced, d.agreed, d.control, d.final, d.answered
		next.own = *d.transfer
		t.deals = append(t.deals, next)
		r.unwait(d)
		next.links, d.links = d.links, next.links
		for _, l := range next.links {
			l.deal = next
		}
		r.await(next)
		d, t.deal = next, next
	}
	t.moving = d
	d.ask(t, x, index)
}

// answered makes [trace] events.
func (r *trace) answered(t *talk, x *dialogue.Exchange, index int) {
	d := t.moving
	if d == nil || d.transfer.CommandAt != index {
		return
	}
	d.transfer.Code, d.transfer.Reply = x.Reply.Code, t.Commands[index].Reply
	if x.Final {
		d.transfer.Path = ftp.Escape(x.Transfer.Path) // STOU has learnt it
	}
	if b := t.Commands[index].Begun; !x.Final && b != nil {
		d.transfer.Reply = b.Text
	}
	d.final = x.Final
	d.answered = t.at
}
