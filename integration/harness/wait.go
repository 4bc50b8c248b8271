package harness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Eventually calls check every interval until it returns nil. When ctx ends
// first, it returns the last error of check, so that the message says what was
// still wrong and not only that time was up. An error wrapped by Permanent ends
// the wait at once.
func Eventually(ctx context.Context, interval time.Duration, check func(context.Context) error) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	last := errors.New("never checked")
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", last, context.Cause(ctx))
		case <-timer.C:
		}
		err := check(ctx)
		if err == nil {
			return nil
		}
		if permanent, ok := errors.AsType[*permanentError](err); ok {
			return permanent.err
		}
		// A check that was cut short by the end of ctx says less than the one before.
		if ctx.Err() == nil || last.Error() == "never checked" {
			last = err
		}
		timer.Reset(interval)
	}
}

// Permanent marks an error that no waiting will cure, for Eventually.
func Permanent(err error) error { return &permanentError{err} }

type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

// httpReady returns a readiness check: a GET of url answers with a 2xx status.
func httpReady(client *http.Client, url string) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		return httpCall(ctx, client, url)
	}
}

// httpCall gets url for its effect.
func httpCall(ctx context.Context, client *http.Client, url string) error {
	body, err := httpGet(ctx, client, url)
	if err != nil {
		return err
	}
	return body.Close()
}

// httpPost posts nothing to url, for its effect.
func httpPost(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, http.NoBody)
	if err != nil {
		return err
	}
	body, err := httpDo(client, req)
	if err != nil {
		return err
	}
	return body.Close()
}

// httpGet returns the body of a 2xx answer. Any other status is an error that
// holds the first 64 KiB of the body.
func httpGet(ctx context.Context, client *http.Client, url string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	return httpDo(client, req)
}

func httpDo(client *http.Client, req *http.Request) (io.ReadCloser, error) {
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 != 2 {
		defer func() { _ = resp.Body.Close() }()
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
		return nil, fmt.Errorf("%s %s: %s: %s", req.Method, req.URL, resp.Status, text)
	}
	return resp.Body, nil
}
