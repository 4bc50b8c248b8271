// Package otlpview decodes OTLP messages into pdata without copying their
// strings: each string is a view of the bytes of the message. Two thirds of the
// allocations of upstream's decoder, and half of its time, are such copies and
// slices that grow.
package otlpview
