package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Record is one of the topic of the ledger.
type Record struct{ Key, Value []byte }

// recordVersion is in each value. A later one may be of any form, and is passed over.
const recordVersion = 1

// The key of a record is an array in JSON: of a partition its Place, and of a sheet the agent and the signal, too.
func (p Place) key() []byte { return mustJSON([]any{p.Group, p.Topic, p.Partition}) }

func (k sheetKey) key() []byte {
	return mustJSON([]any{k.Group, k.Topic, k.Partition, k.agent, k.signal.String()})
}

// partitionValue is the value of a partition.
type partitionValue struct {
	Version     int    `json:"v"`
	Generation  int    `json:"generation"`
	Through     int64  `json:"through"`
	Since       int64  `json:"since"`
	SinceMillis int64  `json:"since_ms"`
	TopicID     string `json:"topic_id,omitempty"`
}

// sheetValue is the value of an agent and a signal in a partition. Sets are those of set.append.
type sheetValue struct {
	Version     int               `json:"v"`
	Generation  int               `json:"generation"`
	Through     int64             `json:"through"`
	Records     uint64            `json:"records"`
	Dead        uint64            `json:"dead,omitempty"`
	SinceMillis int64             `json:"since_ms,omitempty"`
	First       map[string]uint64 `json:"first,omitempty"` // by run
	LastMillis  int64             `json:"last_ms,omitempty"`
	DelayMillis int64             `json:"delay_ms,omitempty"`
	Folded      *foldedValue      `json:"folded,omitempty"`
	Runs        []runValue        `json:"runs,omitempty"`
}

type foldedValue struct {
	Through string `json:"through"` // the last run
	Records uint64 `json:"records"`
	Missing uint64 `json:"missing,omitempty"`
}

type runValue struct {
	Run   string `json:"run"`
	Floor uint64 `json:"floor"`
	Final bool   `json:"final,omitempty"`
	Have  []byte `json:"have"`
	Void  []byte `json:"void,omitempty"`
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // of texts and numbers only
	}
	return b
}

var errRecord = errors.New("not a record of the ledger")

// Read takes in a record of the topic that another consumer has written, or this one before its last start.
func (b *Book) Read(r Record) error {
	place, sheet, err := parseKey(r.Key)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if sheet == nil {
		return b.readPartition(place, r.Value)
	}
	return b.readSheet(*sheet, r.Value)
}

func parseKey(key []byte) (place Place, sheet *sheetKey, err error) {
	var agent, signal string
	fields := []any{&place.Group, &place.Topic, &place.Partition, &agent, &signal}
	var raw []json.RawMessage
	if err := json.Unmarshal(key, &raw); err != nil || len(raw) != 3 && len(raw) != 5 {
		return place, nil, fmt.Errorf("%w: key", errRecord)
	}
	for i, r := range raw {
		if err := json.Unmarshal(r, fields[i]); err != nil {
			return place, nil, fmt.Errorf("%w: key", errRecord)
		}
	}
	if len(raw) == 3 {
		return place, nil, nil
	}
	s, ok := signalOf(signal)
	if !ok {
		return place, nil, fmt.Errorf("%w: key", errRecord)
	}
	return place, &sheetKey{place, agent, s}, nil
}

func (b *Book) readPartition(place Place, value []byte) error {
	var v partitionValue
	if err := json.Unmarshal(value, &v); err != nil || v.Version != recordVersion {
		return fmt.Errorf("%w: value", errRecord)
	}
	p, known := b.partitions[place]
	if known && !later(v.Generation, v.Through, p.generation, p.through) {
		// What was written over it has less: it is written again.
		p.dirty = p.dirty || p.own && later(p.generation, p.through, v.Generation, v.Through)
		return nil
	}
	if !known {
		p = &partition{}
		b.partitions[place] = p
	}
	p.generation, p.through, p.since, p.sinceMillis = v.Generation, v.Through, v.Since, v.SinceMillis
	p.topicID = v.TopicID
	return nil
}

// later compares how far two writers of the same key were.
func later(generation int, through int64, thanGeneration int, thanThrough int64) bool {
	if generation != thanGeneration {
		return generation > thanGeneration
	}
	return through > thanThrough
}

func (b *Book) readSheet(key sheetKey, value []byte) error {
	var v sheetValue
	if err := json.Unmarshal(value, &v); err != nil || v.Version != recordVersion {
		return fmt.Errorf("%w: value", errRecord)
	}
	runs := make([]Announced, len(v.Runs))
	have := make([]set, len(v.Runs))
	for i, r := range v.Runs {
		id, err := parseRunID(r.Run)
		void, voidErr := parseSet(r.Void)
		set, setErr := parseSet(r.Have)
		if err = errors.Join(err, voidErr, setErr); err != nil {
			return fmt.Errorf("%w: run: %w", errRecord, err)
		}
		runs[i], have[i] = Announced{Run: id, Floor: r.Floor, Final: r.Final, void: void}, set
	}
	a := b.agent(key)
	if v.Folded != nil {
		through, err := parseRunID(v.Folded.Through)
		if err != nil {
			return fmt.Errorf("%w: folded: %w", errRecord, err)
		}
		if through > a.folded.through {
			a.folded = folded{through, v.Folded.Records, v.Folded.Missing}
			maps.DeleteFunc(a.runs, func(id RunID, _ *run) bool { return id <= through })
		}
	}
	for i, said := range runs {
		if said.Run <= a.folded.through {
			continue
		}
		r := a.run(said.Run)
		r.announce(said)
		r.have.union(have[i])
	}
	if v.LastMillis > a.lastMillis {
		a.lastMillis, a.delayMillis = v.LastMillis, v.DelayMillis
	}
	s, known := b.sheets[key]
	if known && !later(v.Generation, v.Through, s.generation, s.through) {
		if s.own && later(s.generation, s.through, v.Generation, v.Through) {
			b.dirtySheets[key] = true
		}
		return nil
	}
	if !known {
		s = b.newSheet(key)
	}
	s.generation, s.through, s.records, s.dead, s.sinceMillis = v.Generation, v.Through, v.Records, v.Dead, v.SinceMillis
	clear(s.first)
	for text, first := range v.First {
		if id, err := parseRunID(text); err == nil {
			s.first[id] = first
		}
	}
	return nil
}

// Dirty returns what is to be written, agents before their partitions: as long as the topic has one partition, what a
// partition says of itself is not there before what it says of its agents. Each record is to be given to Wrote.
func (b *Book) Dirty() []Record {
	b.mu.Lock()
	defer b.mu.Unlock()
	var records []Record
	for key := range b.dirtySheets {
		records = append(records, Record{key.key(), b.sheetValue(key)})
	}
	clear(b.dirtySheets)
	for place, p := range b.partitions {
		if p.dirty {
			p.dirty = false
			records = append(records, Record{place.key(), mustJSON(partitionValue{
				recordVersion, p.generation, p.through, p.since, p.sinceMillis, p.topicID,
			})})
		}
	}
	return records
}

// Failed says that records of Dirty could not be written, and are to be written again.
func (b *Book) Failed(records []Record) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range records {
		place, sheet, err := parseKey(r.Key)
		switch {
		case err != nil:
		case sheet != nil:
			b.dirtySheets[*sheet] = true
		default:
			b.partitions[place].dirty = true
		}
	}
}

func (b *Book) sheetValue(key sheetKey) []byte {
	s, a := b.sheets[key], b.agent(key)
	v := sheetValue{
		Version: recordVersion, Generation: s.generation, Through: s.through, Records: s.records, Dead: s.dead,
		SinceMillis: s.sinceMillis, LastMillis: a.lastMillis, DelayMillis: a.delayMillis,
	}
	if len(s.first) > 0 {
		v.First = make(map[string]uint64, len(s.first))
		for id, first := range s.first {
			v.First[id.String()] = first
		}
	}
	if a.folded.through != 0 {
		v.Folded = &foldedValue{a.folded.through.String(), a.folded.records, a.folded.missing}
	}
	for _, id := range slices.Sorted(maps.Keys(a.runs)) {
		r := a.runs[id]
		v.Runs = append(v.Runs, runValue{
			Run: id.String(), Floor: r.floor, Final: r.final, Have: r.have.append(nil), Void: r.void.append(nil),
		})
	}
	return mustJSON(v)
}
