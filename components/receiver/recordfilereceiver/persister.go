package recordfilereceiver

import (
	"context"
	"errors"
	"sync/atomic"

	"go.opentelemetry.io/collector/extension/xextension/storage"
)

// errGivenUp is what the file reader gets when it wants to store positions past records that were not handed on.
var errGivenUp = errors.New("shutdown before all records were handed on; the next start reads from the position before them")

// positions keeps the read positions. The file reader moves them past a batch whether it was taken or not; after freeze
// they stay where they were stored last.
type positions struct {
	storage.Client
	frozen atomic.Bool
}

func (p *positions) freeze() { p.frozen.Store(true) }

func (p *positions) Set(ctx context.Context, key string, value []byte) error {
	if p.frozen.Load() {
		return errGivenUp
	}
	return p.Client.Set(ctx, key, value)
}

func (p *positions) Batch(ctx context.Context, ops ...*storage.Operation) error {
	if p.frozen.Load() {
		return errGivenUp
	}
	return p.Client.Batch(ctx, ops...)
}
