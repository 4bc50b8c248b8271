package deadletterconnector

import (
	"context"
	"errors"
	"reflect"

	"go.opentelemetry.io/collector/consumer/consumererror"
)

// permanentType is what consumererror.NewPermanent returns. IsPermanent looks through
// the whole tree and takes one permanent part for all of it.
var permanentType = reflect.TypeOf(consumererror.NewPermanent(errors.New("")))

// isRefusal reports whether every part of the error is permanent: trying again changes
// nothing. An error that says that time was up is none, whoever calls it permanent.
func isRefusal(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	return allPermanent(err)
}

func allPermanent(err error) bool {
	if err == nil {
		return false
	}
	if reflect.TypeOf(err) == permanentType {
		return true
	}
	switch e := any(err).(type) {
	case interface{ Unwrap() []error }:
		parts := e.Unwrap()
		for _, part := range parts {
			if !allPermanent(part) {
				return false
			}
		}
		return len(parts) > 0
	case interface{ Unwrap() error }:
		return allPermanent(e.Unwrap())
	default:
		return false
	}
}

// mayPass returns the error for the caller, who has to try again. Its tree must not
// have a permanent part, or the caller takes it for a refusal.
func mayPass(err error) error {
	if !consumererror.IsPermanent(err) {
		return err
	}
	return consumererror.NewRetryableError(errors.New(err.Error()))
}

// refusal is what was refused, and why.
type refusal[T any] struct {
	data T
	err  error
}

// refusals returns the records that a refusal names. ok is false when a part of the
// error names none: then it may be about any record of the request.
func (s *signalOf[T]) refusals(err error) (list []refusal[T], ok bool) {
	if err == nil {
		return nil, false
	}
	if data, is := s.data(err); is {
		return []refusal[T]{{data, err}}, !s.empty(data)
	}
	switch e := any(err).(type) {
	case interface{ Unwrap() []error }:
		parts := e.Unwrap()
		for _, part := range parts {
			more, ok := s.refusals(part)
			if !ok {
				return nil, false
			}
			list = append(list, more...)
		}
		return list, len(parts) > 0
	case interface{ Unwrap() error }:
		return s.refusals(e.Unwrap())
	default:
		return nil, false
	}
}
