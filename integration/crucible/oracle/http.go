package oracle

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// ask posts a form and returns the body of a 2xx answer. A form, because a query may be longer than a URL may be.
func ask(ctx context.Context, client *http.Client, endpoint string, form url.Values) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 != 2 {
		defer func() { _ = resp.Body.Close() }()
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
		return nil, fmt.Errorf("%s: %s: %s", endpoint, resp.Status, text)
	}
	return resp.Body, nil
}

// instant asks for the one number that an instant query gives, in the API that VictoriaMetrics and Loki share. Without a
// result it is 0.
func instant(ctx context.Context, client *http.Client, endpoint string, form url.Values) (int64, error) {
	body, err := ask(ctx, client, endpoint, form)
	if err != nil {
		return 0, err
	}
	defer func() { _ = body.Close() }()
	var answer struct {
		Status string
		Error  string
		Data   struct {
			Result []struct{ Value [2]any }
		}
	}
	if err := json.NewDecoder(body).Decode(&answer); err != nil {
		return 0, fmt.Errorf("%s: %w", endpoint, err)
	}
	switch {
	case answer.Status != "success":
		return 0, fmt.Errorf("%s: status %q: %s", endpoint, answer.Status, answer.Error)
	case len(answer.Data.Result) == 0:
		return 0, nil
	}
	text, _ := answer.Data.Result[0].Value[1].(string)
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || len(answer.Data.Result) > 1 {
		return 0, fmt.Errorf("%s: %d results, the first is %q", endpoint, len(answer.Data.Result), text)
	}
	return int64(n), nil
}
