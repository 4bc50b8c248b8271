package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"strconv"
	"strings"
)

// Record is one of the topic of the ledger.
type Record struct{ Key, Value []byte }

// recordVersion is the first byte of each value. One of a later version is passed over.
const recordVersion = 1

// The key of a record is a text: group, topic and partition, and of a sheet the signal and the agent, which are separated by
// a character that is in none of them but the last.
const keySeparator = "\x00"

func (p Place) key() []byte {
	return []byte(p.Group + keySeparator + p.Topic + keySeparator + strconv.Itoa(int(p.Partition)))
}

func (k sheetKey) key() []byte {
	return append(k.Place.key(), keySeparator+k.signal.String()+keySeparator+k.agent...)
}

func parseKey(key []byte) (place Place, sheet *sheetKey, err error) {
	fields := strings.SplitN(string(key), keySeparator, 5)
	if len(fields) != 3 && len(fields) != 5 {
		return place, nil, fmt.Errorf("%w: key", errRecord)
	}
	partition, err := strconv.ParseInt(fields[2], 10, 32)
	if err != nil {
		return place, nil, fmt.Errorf("%w: key", errRecord)
	}
	place = Place{fields[0], fields[1], int32(partition)}
	if len(fields) == 3 {
		return place, nil, nil
	}
	signal, ok := signalOf(fields[3])
	if !ok {
		return place, nil, fmt.Errorf("%w: key", errRecord)
	}
	return place, &sheetKey{place, fields[4], signal}, nil
}

func (p *partition) append(b []byte) []byte {
	b = append(b, recordVersion)
	for _, n := range []int64{int64(p.generation), p.through, p.since, p.sinceMillis} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	return appendBytes(b, []byte(p.topicID))
}

func parsePartition(b []byte) (p partition, ok bool) {
	d := decoder{b: b}
	version := d.byte()
	p = partition{generation: d.int(), through: d.int64(), since: d.int64(), sinceMillis: d.int64(), topicID: string(d.bytes(maxAgentBytes))}
	return p, version == recordVersion && !d.failed
}

// appendSheet writes what a sheet and its agent are.
func appendSheet(b []byte, s *sheet, a *agent) []byte {
	b = append(b, recordVersion)
	for _, n := range []uint64{
		uint64(s.generation), uint64(s.through), s.records, s.dead, uint64(s.sinceMillis), uint64(a.lastMillis), uint64(a.delayMillis),
		uint64(a.folded.through), a.folded.records, a.folded.missing, uint64(len(s.first)),
	} {
		b = binary.AppendUvarint(b, n)
	}
	for id, first := range s.first {
		b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(id)), first)
	}
	b = binary.AppendUvarint(b, uint64(len(a.runs)))
	for id, r := range a.runs {
		b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(id)), r.floor)
		final := byte(0)
		if r.final {
			final = flagFinal
		}
		b = append(b, final)
		b = appendBytes(b, r.have.encode())
		b = appendBytes(b, r.void.encode())
	}
	return b
}

func appendBytes(b, value []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(value))), value...)
}

// parseSheet reads what appendSheet wrote.
func parseSheet(b []byte) (s sheet, a agent, ok bool) {
	d := decoder{b: b}
	version := d.byte()
	s = sheet{generation: d.int(), through: d.int64(), records: d.uvarint(), dead: d.uvarint(), sinceMillis: d.int64(), first: map[RunID]uint64{}}
	a = agent{lastMillis: d.int64(), delayMillis: d.int64(), runs: map[RunID]*run{}}
	a.folded = folded{RunID(d.uvarint()), d.uvarint(), d.uvarint()}
	for range d.length(2) {
		id := RunID(d.uvarint())
		s.first[id] = d.uvarint()
	}
	for range d.length(5) {
		id := RunID(d.uvarint())
		r := &run{floor: d.uvarint(), final: d.byte()&flagFinal != 0}
		var haveErr, voidErr error
		r.have, haveErr = parseSet(d.bytes(math.MaxInt))
		r.void, voidErr = parseSet(d.bytes(math.MaxInt))
		d.failed = d.failed || haveErr != nil || voidErr != nil
		a.runs[id] = r
	}
	return s, a, version == recordVersion && !d.failed
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

func (b *Book) readPartition(place Place, value []byte) error {
	v, ok := parsePartition(value)
	if !ok {
		return fmt.Errorf("%w: value", errRecord)
	}
	p, known := b.partitions[place]
	if known && !later(v.generation, v.through, p.generation, p.through) {
		// What was written over it has less: it is written again.
		p.dirty = p.dirty || p.own && later(p.generation, p.through, v.generation, v.through)
		return nil
	}
	if !known {
		p = &partition{}
		b.partitions[place] = p
	}
	p.generation, p.through, p.since, p.sinceMillis = v.generation, v.through, v.since, v.sinceMillis
	p.topicID = v.topicID
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
	v, said, ok := parseSheet(value)
	if !ok {
		return fmt.Errorf("%w: value", errRecord)
	}
	a := b.agent(key)
	if said.folded.through > a.folded.through {
		a.folded = said.folded
		maps.DeleteFunc(a.runs, func(id RunID, _ *run) bool { return id <= said.folded.through })
	}
	for id, r := range said.runs {
		if id <= a.folded.through {
			continue
		}
		known := a.run(id)
		known.announce(Announced{Floor: r.floor, Final: r.final, void: r.void})
		known.have.union(r.have)
	}
	if said.lastMillis > a.lastMillis {
		a.lastMillis, a.delayMillis = said.lastMillis, said.delayMillis
	}
	s, known := b.sheets[key]
	if known && !later(v.generation, v.through, s.generation, s.through) {
		if s.own && later(s.generation, s.through, v.generation, v.through) {
			b.dirtySheets[key] = true
		}
		return nil
	}
	if !known {
		s = b.newSheet(key)
	}
	s.generation, s.through, s.records, s.dead, s.sinceMillis = v.generation, v.through, v.records, v.dead, v.sinceMillis
	s.first = v.first
	return nil
}

// Dirty returns what is to be written, agents before their partitions: as long as the topic has one partition, what a
// partition says of itself is not there before what it says of its agents. Each record is to be given to Wrote.
func (b *Book) Dirty() []Record {
	b.mu.Lock()
	defer b.mu.Unlock()
	var records []Record
	for key := range b.dirtySheets {
		records = append(records, Record{key.key(), appendSheet(nil, b.sheets[key], b.agent(key))})
	}
	clear(b.dirtySheets)
	for place, p := range b.partitions {
		if p.dirty {
			p.dirty = false
			records = append(records, Record{place.key(), p.append(nil)})
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
