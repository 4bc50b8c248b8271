package recordfilereceiver

import "sync"

// decoderPool lends decoders of one format.
type decoderPool struct {
	pool sync.Pool
}

func newDecoderPool(format string) *decoderPool {
	return &decoderPool{pool: sync.Pool{New: func() any { return newDecoder(format) }}}
}

func (p *decoderPool) get() decoder  { return p.pool.Get().(decoder) }
func (p *decoderPool) put(d decoder) { p.pool.Put(d) }
