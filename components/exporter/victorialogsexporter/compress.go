package victorialogsexporter

import (
	"bytes"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"go.opentelemetry.io/collector/config/configcompression"
)

const compressionNone configcompression.Type = "none"

// compressor compresses request bodies with encoders that it uses again. It is safe for concurrent use.
type compressor struct {
	encoding string // the value of Content-Encoding; nothing when bodies are sent as they are
	zstd     *zstd.Encoder
	gzip     sync.Pool // of *gzip.Writer
}

func newCompressor(compression configcompression.Type, level configcompression.Level) (*compressor, error) {
	switch compression {
	case configcompression.TypeZstd:
		encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(int(level))))
		if err != nil {
			return nil, err
		}
		return &compressor{encoding: string(compression), zstd: encoder}, nil
	case configcompression.TypeGzip:
		gzipLevel := int(level)
		if level == 0 {
			gzipLevel = gzip.DefaultCompression
		}
		if _, err := gzip.NewWriterLevel(nil, gzipLevel); err != nil {
			return nil, err
		}
		c := &compressor{encoding: string(compression)}
		c.gzip.New = func() any {
			writer, _ := gzip.NewWriterLevel(nil, gzipLevel) // the level has been tried
			return writer
		}
		return c, nil
	default:
		return &compressor{}, nil
	}
}

// compress returns the body as it is sent.
func (c *compressor) compress(body []byte) ([]byte, error) {
	switch {
	case c.zstd != nil:
		return c.zstd.EncodeAll(body, make([]byte, 0, len(body)/4)), nil
	case c.encoding == "":
		return body, nil
	}
	writer := c.gzip.Get().(*gzip.Writer)
	defer c.gzip.Put(writer)
	var buffer bytes.Buffer
	writer.Reset(&buffer)
	if _, err := writer.Write(body); err != nil {
		return nil, err
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	return buffer.Bytes(), nil
}
