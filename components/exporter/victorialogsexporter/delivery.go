package victorialogsexporter

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/valyala/fastjson"
	"github.com/zeebo/xxh3"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
)

// redeliveredKey is in the client metadata of a request that may have been delivered before. The value is the time, Unix
// milliseconds, of the last possible earlier delivery, or any other text where that is not known.
const redeliveredKey = "breakwater.redelivered"

// contentAddress identifies what a batch stores: the 128-bit XXH3 hash of its lines, over-long ones last, without
// what is in them because of the clock.
type contentAddress [16]byte

func (b *batch) contentAddress() contentAddress {
	// Its place tells it from another batch of the same content in the request.
	place := uint64(b.from) //nolint:gosec // G115: a count
	if len(b.over.data) == 0 && len(b.lines.volatile) == 0 {
		return xxh3.Hash128Seed(b.lines.data, place).Bytes()
	}
	hasher := xxh3.NewSeed(place)
	for _, l := range [...]*lineBuffer{&b.lines, &b.over} {
		from := 0
		for _, s := range l.volatile {
			_, _ = hasher.Write(l.data[from:s.from])
			_, _ = hasher.WriteString(s.text)
			from = s.to
		}
		_, _ = hasher.Write(l.data[from:])
	}
	return hasher.Sum128().Bytes()
}

func (b *batch) rows() int { return b.lines.rows + b.over.rows }

// streamFields returns the names of the stream fields of the batch's rows as the header has them, sorted where globs
// found them: the same batch makes the same request.
func (b *batch) streamFields(rules *nameRules) string {
	if len(b.streams) == 0 {
		return rules.streamHeader
	}
	names := make([]string, 0, len(b.streams))
	for name := range b.streams {
		names = append(names, name)
	}
	slices.Sort(names)
	found := strings.Join(names, ",")
	if rules.streamHeader == "" {
		return found
	}
	return rules.streamHeader + "," + found
}

// batchKey is what the memory of deliveries knows a batch by.
type batchKey struct {
	tenant  tenant
	address contentAddress
}

// maxRemembered bounds the memory of deliveries. An entry that falls out of it costs a duplicate at worst.
const maxRemembered = 1 << 16

// attempt is what is known of a batch that may be in VictoriaLogs already, as a whole or in part.
type attempt struct {
	// settled is when no row of an earlier attempt can turn up any more: until then its absence proves nothing.
	settled time.Time
	// looked says that it has been looked for rows before that.
	looked bool
	// since is when the first attempt was encoded, where that is known: rows without a time of their own have that one.
	since time.Time
	// compare says that rows may be there twice, so that their number proves nothing.
	compare bool
	// lines and over are how much of the batch has been taken, or refused for good. They are looked at only where
	// nobody can be asked.
	lines, linesRefused bool
	over                int
	overRefused         []int // by the over-long lines of the batch
}

// memory remembers attempts by what was sent. It needs no link to the request, which may come back as another one: from
// a queue, from a retry of a component before this one, or as a part of it.
type memory struct {
	cache *lru.Cache[batchKey, attempt]
	// delivered are what came from a queue on disk and was delivered by this process: the same content that comes again
	// is another request.
	delivered *lru.Cache[batchKey, struct{}]
}

func newMemory() (memory, error) {
	cache, err := lru.New[batchKey, attempt](maxRemembered)
	if err != nil {
		return memory{}, err
	}
	delivered, err := lru.New[batchKey, struct{}](maxRemembered)
	return memory{cache: cache, delivered: delivered}, err
}

func (m memory) get(key batchKey) (attempt, bool) {
	if m.cache.Len() == 0 {
		return attempt{}, false
	}
	return m.cache.Get(key)
}

// delivery is a batch on its way.
type delivery struct {
	*batch
	key     batchKey
	id      string // the content address in hex, nothing where idempotency is off
	streams string
	refusal refusal // what VictoriaLogs refuses for good
	state   attempt // how far it has come
	// replayed is there where other requests may have stored the rows.
	replayed *replayed
	// present is how many of its rows VictoriaLogs has had.
	present int
}

func (e *victoriaLogsExporter) newDelivery(ctx context.Context, b *batch) *delivery {
	address := b.contentAddress()
	d := &delivery{
		batch: b, key: batchKey{b.tenant, address}, streams: b.streamFields(e.rules),
		refusal: refusal{tenant: b.tenant, from: b.from, to: b.to},
	}
	if e.config.Idempotency.Enabled {
		d.id = hex.EncodeToString(address[:])
		if name, place, ok := replayOf(ctx); ok {
			d.replay(name, place)
		}
	}
	return d
}

// deliver sends the batch, unless VictoriaLogs has it. An error says that it has to be tried again; what is refused
// for good is noted in the delivery.
func (e *victoriaLogsExporter) deliver(ctx context.Context, d *delivery) error {
	past, known := e.memory.get(d.key)
	if !e.config.Idempotency.Enabled {
		return e.send(ctx, d, past, nil)
	}
	if !known {
		past, known = e.earlier(ctx, d.key)
	}
	if !known {
		return e.send(ctx, d, attempt{since: time.Unix(0, d.encoded)}, nil)
	}
	e.memory.cache.Add(d.key, past)
	missing, err := e.verify(ctx, d, past)
	if err != nil {
		return err
	}
	if missing != nil && !past.lines {
		// Of what this process has sent itself only the rest is of others.
		d.present = d.rows() - missing.rows()
	}
	return e.send(ctx, d, attempt{since: past.since, compare: past.compare}, missing)
}

// earlier returns what can be said of a request that this process has not sent before, and whether it may have been
// delivered all the same.
func (e *victoriaLogsExporter) earlier(ctx context.Context, key batchKey) (attempt, bool) {
	if values := client.FromContext(ctx).Metadata.Get(redeliveredKey); len(values) > 0 {
		last := time.Now()
		if ms, err := strconv.ParseInt(values[0], 10, 64); err == nil && ms < last.UnixMilli() {
			last = time.UnixMilli(ms)
		}
		return attempt{settled: last.Add(e.config.Idempotency.VisibilityDelay)}, true
	}
	if e.storedQueue && !e.memory.delivered.Contains(key) {
		// It may have been under way when the process before this one was killed.
		return attempt{settled: e.started.Add(e.config.Idempotency.VisibilityDelay)}, true
	}
	return attempt{}, false
}

// send sends what has not been taken of the batch, or, where that is known, what is missing.
func (e *victoriaLogsExporter) send(ctx context.Context, d *delivery, past attempt, missing *missingRows) error {
	lines, rows := d.lines.data, d.lines.rows
	if missing != nil {
		lines, rows = missing.lines, missing.lineRows
	}
	d.state = past
	defer func() { d.note() }()
	if !d.state.lines && len(lines) > 0 {
		err := e.post(ctx, d, jsonLinePath, "application/stream+json", "", lines)
		switch {
		case err == nil:
			e.telemetry.ExporterVictorialogsSentRecords.Add(ctx, int64(rows), e.attributes.jsonline)
		case consumererror.IsPermanent(err):
			d.state.linesRefused, d.refusal.err = true, err
		default:
			e.remember(d, missing, err)
			return err
		}
	}
	d.state.lines = true
	over := splitLines(d.over.data)
	for i := d.state.over; i < len(over); i++ {
		if missing == nil || missing.over[i] {
			err := e.postOTLP(ctx, d, over[i])
			switch {
			case err == nil:
				e.telemetry.ExporterVictorialogsSentRecords.Add(ctx, 1, e.attributes.otlp)
			case consumererror.IsPermanent(err):
				d.state.overRefused = append(d.state.overRefused, i)
				d.refusal.err = errors.Join(d.refusal.err, err)
			default:
				e.remember(d, missing, err)
				return err
			}
		}
		d.state.over = i + 1
	}
	if e.storedQueue {
		e.memory.delivered.Add(d.key, struct{}{})
	}
	if missing != nil && missing.rows() > 0 {
		e.telemetry.ExporterVictorialogsRepairedRecords.Add(ctx, int64(missing.rows()))
	}
	if d.present > 0 {
		e.telemetry.ExporterVictorialogsPresentRecords.Add(ctx, int64(d.present))
	}
	return nil
}

// note makes the refusal of what is known to be refused.
func (d *delivery) note() {
	d.refusal.lines = d.state.linesRefused
	d.refusal.refused = nil
	for _, i := range d.state.overRefused {
		d.refusal.refused = append(d.refusal.refused, d.overRecords[i])
	}
}

// remember keeps what is known of a batch whose delivery has failed.
func (e *victoriaLogsExporter) remember(d *delivery, missing *missingRows, err error) {
	delay, taken := e.ambiguity(err)
	if !taken && missing == nil && (!d.state.lines || d.lines.rows == 0) && d.state.over == 0 {
		e.memory.cache.Remove(d.key)
		return
	}
	state := d.state
	state.settled = time.Now().Add(delay)
	// Of what the server had in part, a row that it had may have been among those that were sent.
	state.compare = state.compare || missing != nil
	e.memory.cache.Add(d.key, state)
}

// ambiguity returns whether the server may have taken what the error is about, and for how long after it rows may turn
// up. A request that nobody answered in time may lie in a buffer or wait for an insert slot; it is waited for as long
// again, which together is the server's -insert.maxQueueDuration for the default timeout.
func (e *victoriaLogsExporter) ambiguity(err error) (time.Duration, bool) {
	visible := e.config.Idempotency.VisibilityDelay
	var sent *maybeTakenError
	switch {
	case !errors.As(err, &sent):
		return visible, false
	case sent.timedOut:
		return max(visible, e.config.Timeout), true
	default:
		return visible, true
	}
}

// maybeTakenError is the failure of a request that left, as a whole or in part.
type maybeTakenError struct {
	err      error
	timedOut bool
}

func (e *maybeTakenError) Error() string { return e.err.Error() }
func (e *maybeTakenError) Unwrap() error { return e.err }

// firstLook is after how long it is looked once more for rows that may become visible: most are within a second. The next
// time is when their absence proves something: looking more often would have the backoff grow beyond that.
const firstLook = time.Second

// errUnsettled is the error for a batch that VictoriaLogs does not show, or not whole, while it still may for so long.
func (a attempt) errUnsettled(wait time.Duration, present, rows int) error {
	if !a.looked {
		wait = min(wait, firstLook)
	}
	err := fmt.Errorf("%d of %d rows of an earlier attempt are visible in VictoriaLogs; the others may become so", present, rows)
	return exporterhelper.NewThrottleRetry(err, wait)
}

// splitLines returns the lines without their newlines.
func splitLines(data []byte) [][]byte {
	var lines [][]byte
	for len(data) > 0 {
		end := slices.Index(data, '\n')
		lines = append(lines, data[:end])
		data = data[end+1:]
	}
	return lines
}

// postOTLP sends the row to the OTLP path of the same server, which has no limit of a line. That path makes a field
// of the severity text, or of a placeholder for it, which is kept out unless the row has a field of that name.
func (e *victoriaLogsExporter) postOTLP(ctx context.Context, d *delivery, line []byte) error {
	logs, err := otlpOf(line)
	if err != nil {
		return consumererror.NewPermanent(err)
	}
	body, err := plogotlp.NewExportRequestFromLogs(logs).MarshalProto()
	if err != nil {
		return consumererror.NewPermanent(err)
	}
	ignore := otlpSeverityField
	if logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).SeverityText() != "" {
		ignore = ""
	}
	return e.post(ctx, d, otlpPath, "application/x-protobuf", ignore, body)
}

// otlpSeverityField is a field that the OTLP path adds to every row.
const otlpSeverityField = "severity"

// otlpOf returns the row of a line as an OTLP record, all its fields as attributes of the record.
func otlpOf(line []byte) (plog.Logs, error) {
	logs := plog.NewLogs()
	record := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	var parser fastjson.Parser
	row, err := parseRow(&parser, line)
	if err != nil {
		return logs, err
	}
	record.SetTimestamp(pcommon.Timestamp(row.time)) //nolint:gosec // G115: positive
	attributes := record.Attributes()
	attributes.EnsureCapacity(len(row.fields))
	for _, f := range row.fields {
		switch f.name {
		case "_msg":
			record.Body().SetStr(f.text)
		case otlpSeverityField:
			record.SetSeverityText(f.text)
		default:
			attributes.PutStr(f.name, f.text)
		}
	}
	return logs, nil
}
