package victorialogsexporter

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/consumer/consumererror"
)

func TestClassify(t *testing.T) {
	tests := []struct {
		status int
		body   string
		want   outcome
	}{
		{status: 200, want: outcomeDelivered},
		{status: 204, want: outcomeDelivered},
		{status: 201, want: outcomeRetry},
		{status: 301, want: outcomeRetry},
		{status: 307, want: outcomeRetry},
		{status: 400, body: "cannot parse JSON", want: outcomePermanent},
		{status: 400, body: "requests to /insert/* are disabled with -insert.disable command-line flag", want: outcomeRetry},
		{status: 400, body: `unsupported path requested: "/x/insert/jsonline"`, want: outcomeRetry},
		{status: 400, body: `missing -http.pathPrefix="/x" in the requested path "/insert/jsonline"`, want: outcomeRetry},
		{status: 400, body: `missing route for "http://host/insert/jsonline"`, want: outcomeRetry},
		{status: 401, want: outcomeRetry},
		{status: 403, want: outcomeRetry},
		{status: 404, want: outcomeRetry},
		{status: 405, want: outcomeRetry},
		{status: 408, want: outcomeRetry},
		{status: 411, want: outcomePermanent},
		{status: 413, want: outcomePermanent},
		{status: 415, want: outcomePermanent},
		{status: 429, want: outcomeThrottled},
		{status: 431, want: outcomePermanent},
		{status: 500, want: outcomeRetry},
		{status: 502, want: outcomeRetry},
		{status: 503, want: outcomeThrottled},
		{status: 504, want: outcomeRetry},
		{status: 529, want: outcomeRetry},
	}
	for _, test := range tests {
		t.Run(http.StatusText(test.status), func(t *testing.T) {
			got := classify(test.status, test.body)
			assert.Equal(t, test.want, got)
			response := &http.Response{Status: http.StatusText(test.status), Header: http.Header{}}
			err := responseError(got, "http://127.0.0.1", response, test.body)
			assert.Equal(t, test.want == outcomePermanent, consumererror.IsPermanent(err))
		})
	}
}

func TestDescribe(t *testing.T) {
	assert.Equal(t, "no body", describe(" \n"))
	assert.Equal(t, "a b", describe("a\n  b\n"))
	got := describe(`cannot parse JSON: unexpected end; line contents: "{\"password\":\"hunter2\"}"`)
	assert.NotContains(t, got, "hunter2")
	assert.Contains(t, got, "cannot parse JSON")
}
