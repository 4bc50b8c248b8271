package ledger

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	// maxRuns are the runs of an agent that are kept one by one. Older ones that have ended and of which nothing is missing
	// are added up; with keptRuns of any kind the oldest is, whatever it is.
	maxRuns  = 8
	keptRuns = 64
	// clockMargin is by how much the clock of an agent may be ahead of that of a consumer, where it matters whether a run
	// began before the account of its group did.
	clockMargin = 10 * time.Minute
	// patience is how many times GapAfter a hole waits for its agent to stamp again.
	patience = 12
)

// Book is the account of all groups, as far as it was settled here or read from the topic. It is safe for concurrent use.
type Book struct {
	gapAfter time.Duration

	mu          sync.Mutex
	partitions  map[Place]*partition
	sheets      map[sheetKey]*sheet
	agents      map[agentKey]*agent
	groups      map[string]*group
	dirtySheets map[sheetKey]bool
}

// partition is how far the account of a partition goes.
type partition struct {
	generation int
	through    int64 // offsets below it are accounted
	// since is the offset from which on every message was accounted, and sinceMillis when that began; 0 where there never
	// was one that was not.
	since, sinceMillis int64
	topicID            string
	own, dirty         bool
	stamped            bool // some of its messages have stamps
	assignment         *Assignment
	restarts           int
}

// sheet is what the messages of a partition were, of one agent and one signal.
type sheet struct {
	generation    int
	through       int64
	records, dead uint64 // of all messages, and dead letters of those that came for the first time
	// first is, by run, the lowest number in messages from partition.since on, as it was at sinceMillis.
	sinceMillis int64
	first       map[RunID]uint64
	own         bool
}

type sheetKey struct {
	Place
	agent  string
	signal Signal
}

type agentKey struct {
	group, agent string
	signal       Signal
}

// agent is what is known of an agent and a signal over all partitions.
type agent struct {
	runs                    map[RunID]*run
	folded                  folded
	lastMillis, delayMillis int64
	sheets                  map[Place]*sheet
}

// folded are the runs up to one, added up.
type folded struct {
	through          RunID
	records, missing uint64
}

// run is what is known of a run.
type run struct {
	have, void set
	floor      uint64
	final      bool
	holes      []hole // as of the last Review, by number
}

// hole is a range with something behind it, that is missing.
type hole struct {
	span
	since time.Time
	gap   bool
	told  bool
}

// group is what is known of a consumer group.
type group struct {
	watched bool
	// passed: all that was in Kafka at that time is settled.
	passed time.Time
	marks  []mark
	// behind: a partition has been read by a consumer without a ledger, and no account of it began since.
	behind bool
}

// mark is where the partitions ended at a time.
type mark struct {
	at   time.Time
	ends map[Place]int64
}

// NewBook returns an empty account, for which what is missing is a gap after a time.
func NewBook(gapAfter time.Duration) *Book {
	return &Book{
		gapAfter:   gapAfter,
		partitions: make(map[Place]*partition), sheets: make(map[sheetKey]*sheet), agents: make(map[agentKey]*agent),
		groups: make(map[string]*group), dirtySheets: make(map[sheetKey]bool),
	}
}

func (b *Book) group(name string) *group {
	g := b.groups[name]
	if g == nil {
		g = &group{}
		b.groups[name] = g
	}
	return g
}

func (b *Book) agent(key sheetKey) *agent {
	k := agentKey{key.Group, key.agent, key.signal}
	a := b.agents[k]
	if a == nil {
		a = &agent{runs: make(map[RunID]*run), sheets: make(map[Place]*sheet)}
		b.agents[k] = a
	}
	return a
}

func (a *agent) run(id RunID) *run {
	r := a.runs[id]
	if r == nil {
		r = &run{}
		a.runs[id] = r
	}
	return r
}

func (r *run) announce(said Announced) {
	r.floor, r.final = max(r.floor, said.Floor), r.final || said.Final
	r.void.union(said.void)
}

func (b *Book) newSheet(key sheetKey) *sheet {
	s := &sheet{first: make(map[RunID]uint64)}
	b.sheets[key] = s
	b.agent(key).sheets[key.Place] = s
	return s
}

// Watch has the accounts of a group shown.
func (b *Book) Watch(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.group(name).watched = true
}

// Knows reports whether the assignment is that of the last Settle of its partition. Before one that is not, the topic has
// to be read up to its end.
func (b *Book) Knows(a *Assignment) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.partitions[a.Place]
	return p != nil && p.assignment == a
}

// Settle enters what is settled of a partition. It returns how many stamps could not be read.
func (b *Book) Settle(s Settlement, now time.Time) (unreadable int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.assigned(s.Assignment, now)
	if s.Restarts != p.restarts {
		p.restarts = s.Restarts
		p.generation++
		p.through = s.RestartedAt
		p.dirty = true
	}
	if s.Forgotten > 0 {
		p.since, p.sinceMillis = s.Forgotten, now.UnixMilli()
		p.dirty = true
	}
	for i := range s.Messages {
		m := &s.Messages[i]
		if len(m.Stamp) == 0 {
			continue
		}
		stamp, err := Decode(m.Stamp)
		if err != nil {
			unreadable++
			continue
		}
		b.settle(s.Assignment.Place, p, m, &stamp, now)
	}
	if s.Offset > p.through {
		p.through = s.Offset
		// A topic without stamps costs nothing.
		p.dirty = p.dirty || p.stamped
	}
	return unreadable
}

// assigned returns the partition. What the group has committed and nobody has accounted is not in the account, which
// begins anew with what is produced from now on.
func (b *Book) assigned(a *Assignment, now time.Time) *partition {
	p := b.partitions[a.Place]
	if p != nil && p.assignment == a {
		return p
	}
	switch {
	case p == nil:
		p = &partition{through: max(a.Committed, 0)}
		b.partitions[a.Place] = p
		if !a.Fresh {
			p.since, p.sinceMillis = a.End, now.UnixMilli()
		}
	case p.topicID != "" && a.TopicID != "" && p.topicID != a.TopicID, a.End < p.through:
		// The topic was made again: its offsets have other messages.
		p.generation++
		p.through = max(a.Committed, 0)
		if !a.Fresh {
			p.since, p.sinceMillis = a.End, now.UnixMilli()
		}
	case a.Committed > p.through:
		p.through = a.Committed
		p.since, p.sinceMillis = a.End, now.UnixMilli()
	}
	if a.TopicID != "" {
		p.topicID = a.TopicID
	}
	p.assignment, p.restarts = a, 0
	p.own, p.dirty = true, true
	return p
}

func (b *Book) settle(place Place, p *partition, m *Message, stamp *Stamp, now time.Time) {
	key := sheetKey{place, stamp.Agent, stamp.Signal}
	s := b.sheets[key]
	if s == nil {
		s = b.newSheet(key)
	}
	if s.generation == p.generation && m.Offset < s.through {
		return // it is in the account
	}
	s.generation, s.through, s.own = p.generation, m.Offset+1, true
	p.stamped = true
	b.dirtySheets[key] = true
	if s.sinceMillis != p.sinceMillis {
		s.sinceMillis = p.sinceMillis
		clear(s.first)
	}
	a := b.agent(key)
	added, oldest := uint64(0), int64(0)
	for _, r := range stamp.Records {
		if r.Run == 0 {
			continue
		}
		s.records += r.Count
		if r.Run <= a.folded.through {
			continue
		}
		added += a.run(r.Run).have.add(r.First, r.First+r.Count)
		if p.sinceMillis != 0 && m.Offset >= p.since {
			if first, ok := s.first[r.Run]; !ok || r.First < first {
				s.first[r.Run] = r.First
			}
		}
		a.lastMillis = max(a.lastMillis, r.Until)
		if oldest == 0 || r.From < oldest {
			oldest = r.From
		}
	}
	for _, said := range stamp.Runs {
		if said.Run > a.folded.through {
			a.run(said.Run).announce(said)
		}
	}
	if oldest != 0 {
		a.delayMillis = max(0, now.UnixMilli()-oldest)
	}
	dead := m.Dead
	if m.AllDead {
		dead = stamp.Count()
	}
	s.dead += min(dead, added)
	b.fold(key, a)
}

// fold adds up old runs. Records of them that come later are duplicates.
func (b *Book) fold(key sheetKey, a *agent) {
	for len(a.runs) > maxRuns {
		oldest := slices.Min(slices.Collect(maps.Keys(a.runs)))
		r := a.runs[oldest]
		missing := b.missing(key.Group, a, oldest).count()
		if (!r.final || missing > 0 || r.have.end() < r.floor) && len(a.runs) <= keptRuns {
			return
		}
		a.folded.through = oldest
		a.folded.records += r.have.count()
		a.folded.missing += missing
		delete(a.runs, oldest)
		for _, s := range a.sheets {
			delete(s.first, oldest)
		}
	}
}

// missing is what is neither stored nor dead-lettered of a run. Of a run that began before the account of the group did,
// it is what is behind the first record that is in the account of every partition.
func (b *Book) missing(groupName string, a *agent, id RunID) set {
	r := a.runs[id]
	if b.group(groupName).behind {
		return nil
	}
	base, since := uint64(0), int64(0)
	for place, p := range b.partitions {
		if place.Group == groupName {
			since = max(since, p.sinceMillis)
		}
	}
	if since != 0 && !id.Start().After(time.UnixMilli(since).Add(clockMargin)) {
		for place, p := range b.partitions {
			if place.Group != groupName || p.sinceMillis == 0 {
				continue
			}
			s := a.sheets[place]
			if s == nil || s.sinceMillis != p.sinceMillis {
				return nil
			}
			first, ok := s.first[id]
			if !ok {
				return nil
			}
			base = max(base, first)
		}
	}
	return gaps(base, r.floor, r.have, r.void)
}

// Mark says where the partitions of a group end, and how far it has committed. Both are of the same partitions.
func (b *Book) Mark(name string, at time.Time, ends, committed map[Place]int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	g := b.group(name)
	g.behind = false
	for place, offset := range committed {
		if b.partitions[place] == nil && offset > 0 {
			g.behind = true
		}
	}
	// Beyond some hundred marks of a group that never catches up, every other one will do.
	if len(g.marks) >= 128 {
		kept := g.marks[:0]
		for i, m := range g.marks {
			if i%2 == 0 {
				kept = append(kept, m)
			}
		}
		g.marks = kept
	}
	g.marks = append(g.marks, mark{at, ends})
	n := 0
	for n < len(g.marks) && reached(g.marks[n].ends, committed) {
		g.passed = g.marks[n].at
		n++
	}
	g.marks = slices.Delete(g.marks, 0, n)
}

func reached(ends, committed map[Place]int64) bool {
	for place, end := range ends {
		if end > 0 && committed[place] < end {
			return false
		}
	}
	return true
}

// Gap is a range that is missing for longer than the time that NewBook was given.
type Gap struct {
	Group, Agent, Signal string
	Range
	Since time.Time
}

// Review looks for holes, and returns the gaps that it has not returned before.
func (b *Book) Review(now time.Time) []Gap {
	b.mu.Lock()
	defer b.mu.Unlock()
	var found []Gap
	for key, a := range b.agents {
		g := b.group(key.group)
		if !g.watched {
			continue
		}
		newest := RunID(0)
		for id, r := range a.runs {
			if len(r.have) > 0 {
				newest = max(newest, id)
			}
		}
		for id, r := range a.runs {
			until := r.have.end()
			if r.final && newest > id {
				until = r.floor // what was behind it in the queue is here
			}
			r.holes = b.review(g, a, r.holes, b.missing(key.group, a, id), until, now)
			for i := range r.holes {
				h := &r.holes[i]
				if h.gap && !h.told {
					h.told = true
					found = append(found, Gap{
						key.group, key.agent, key.signal.String(), Range{id.String(), h.first, h.end}, h.since,
					})
				}
			}
		}
	}
	return found
}

// review returns the holes that there are now, with what is known of them from before.
func (b *Book) review(g *group, a *agent, before []hole, missing set, until uint64, now time.Time) []hole {
	var holes []hole
	at := 0
	for _, s := range missing {
		if s.first >= until {
			break
		}
		h := hole{span: span{s.first, min(s.end, until)}, since: now}
		for at < len(before) && before[at].end <= h.first {
			at++
		}
		if at < len(before) && before[at].first < h.end {
			h.since, h.told = before[at].since, before[at].told
		}
		age := now.Sub(h.since)
		// Behind the hole are records that were stamped after it was found, so it is not in the queue of the agent, which
		// starts with its oldest only until it has been restarted; and it is not in Kafka.
		stampedSince := a.lastMillis > h.since.UnixMilli() || age >= patience*b.gapAfter
		h.gap = age >= b.gapAfter && stampedSince && !g.passed.Before(h.since)
		holes = append(holes, h)
	}
	return holes
}

// maxRanges are the ranges of an Account.
const maxRanges = 20

// Accounts returns the accounts of the groups that are watched.
func (b *Book) Accounts() []Account {
	b.mu.Lock()
	defer b.mu.Unlock()
	accounts := []Account{}
	for key, a := range b.agents {
		if b.group(key.group).watched {
			accounts = append(accounts, b.account(key, a))
		}
	}
	slices.SortFunc(accounts, func(x, y Account) int {
		return cmp.Or(cmp.Compare(x.Agent, y.Agent), cmp.Compare(x.Signal, y.Signal), cmp.Compare(x.Group, y.Group))
	})
	return accounts
}

func (b *Book) account(key agentKey, a *agent) Account {
	out := Account{
		Group: key.group, Agent: key.agent, Signal: key.signal.String(), Missing: a.folded.missing,
		Delay: time.Duration(a.delayMillis) * time.Millisecond,
	}
	if a.lastMillis != 0 {
		out.LastStamp = time.UnixMilli(a.lastMillis)
	}
	have, came, dead := a.folded.records, uint64(0), uint64(0)
	for _, id := range slices.Sorted(maps.Keys(a.runs)) {
		r := a.runs[id]
		have += r.have.count()
		missing := b.missing(key.group, a, id)
		out.Missing += missing.count()
		for _, s := range missing {
			if len(out.MissingRanges) < maxRanges {
				out.MissingRanges = append(out.MissingRanges, Range{id.String(), s.first, s.end})
			}
		}
		for _, h := range r.holes {
			if out.OldestMissing.IsZero() || h.since.Before(out.OldestMissing) {
				out.OldestMissing = h.since
			}
			if h.gap {
				out.Gap += h.end - h.first
			}
		}
	}
	for _, s := range a.sheets {
		came += s.records
		dead += s.dead
	}
	out.DeadLettered = min(dead, have)
	out.Stored = have - out.DeadLettered
	out.Duplicated = came - min(came, have)
	out.Stamped = have + out.Missing
	return out
}
