package remotewriteexporter

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
)

// responses has a row for each answer, with what it has to mean. TestResponses sends them all through the exporter.
var responses = []struct {
	status int
	body   string
	want   outcome
}{
	{http.StatusOK, "", outcomeDelivered},
	{http.StatusAccepted, "", outcomeDelivered},
	{http.StatusNoContent, "", outcomeDelivered},
	{http.StatusMovedPermanently, "", outcomeRetry},
	{http.StatusTemporaryRedirect, "", outcomeRetry},
	{http.StatusBadRequest, "cannot unmarshal prompb.WriteRequest", outcomeRefused},
	{http.StatusBadRequest, "out of order sample", outcomeRefused},
	{http.StatusBadRequest, `unsupported path requested: "/api/v2/write"`, outcomeRetry},
	{http.StatusBadRequest, "missing -http.pathPrefix", outcomeRetry},
	{http.StatusBadRequest, "missing route for /api/v1/write", outcomeRetry},
	{http.StatusBadRequest, "cannot read compressed request in 30 seconds: unexpected EOF", outcomeRetry},
	{http.StatusBadRequest, "too big unpacked request; mustn't exceed -maxInsertRequestSize=33554432", outcomeTooLarge},
	{http.StatusBadRequest, "too big packed request; mustn't exceed -maxInsertRequestSize=33554432", outcomeTooLarge},
	{http.StatusUnauthorized, "", outcomeRetry},
	{http.StatusPaymentRequired, "", outcomeRetry},
	{http.StatusForbidden, "", outcomeRetry},
	{http.StatusNotFound, "", outcomeRetry},
	{http.StatusMethodNotAllowed, "", outcomeRetry},
	{http.StatusProxyAuthRequired, "", outcomeRetry},
	{http.StatusRequestTimeout, "", outcomeRetry},
	{http.StatusConflict, "", outcomeRefused},
	{http.StatusRequestEntityTooLarge, "", outcomeTooLarge},
	{http.StatusUnsupportedMediaType, "", outcomeRefused},
	{http.StatusUnprocessableEntity, "label name too long", outcomeRefused},
	{http.StatusTooEarly, "", outcomeRetry},
	{http.StatusUpgradeRequired, "", outcomeRetry},
	{http.StatusTooManyRequests, "", outcomeThrottled},
	{http.StatusInternalServerError, "", outcomeRetry},
	{http.StatusBadGateway, "", outcomeRetry},
	{http.StatusServiceUnavailable, "read-only", outcomeThrottled},
	{http.StatusGatewayTimeout, "", outcomeRetry},
}

func TestClassify(t *testing.T) {
	for _, r := range responses {
		assert.Equal(t, r.want, classify(r.status, r.body), "%d %s", r.status, r.body)
	}
}

func TestReasonsHaveNamesAndTexts(t *testing.T) {
	limits := createDefaultConfig().(*Config).Limits
	texts := map[string]bool{}
	for r := range reasonCount {
		assert.NotEmpty(t, r.String())
		texts[r.explain(&limits)] = true
	}
	assert.Len(t, texts, int(reasonCount))
}
