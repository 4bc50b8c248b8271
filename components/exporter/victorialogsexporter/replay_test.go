package victorialogsexporter

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
)

// ofReplay is a request of a replay, and long after everything that may have been delivered.
func ofReplay(name, place string) context.Context {
	return client.NewContext(context.Background(), client.Info{
		Metadata: client.NewMetadata(map[string][]string{redeliveredKey: {"1000"}, replayKey: {name, place}}),
	})
}

func idOf(request received) string {
	_, id, _ := strings.Cut(request.header.Get("VL-Extra-Fields"), "=")
	return id
}

func TestReplayHasIDsOfItsOwn(t *testing.T) {
	server := startServer(t)
	server.answerQuery = func(w http.ResponseWriter, _ string) { rowsPresent(w, 0) }
	e, _ := startExporter(t, server, nil)
	require.NoError(t, e.ConsumeLogs(context.Background(), messages("a")))
	for _, place := range []string{"logs/0/1", "logs/0/2", "logs/0/1"} {
		require.NoError(t, e.ConsumeLogs(ofReplay("x", place), messages("a")))
	}
	require.NoError(t, e.ConsumeLogs(ofReplay("y", "logs/0/1"), messages("a")))
	var ids []string
	for _, request := range server.received() {
		ids = append(ids, idOf(request))
	}
	require.Len(t, ids, 5)
	live, first, second, again, other := ids[0], ids[1], ids[2], ids[3], ids[4]
	assert.Regexp(t, "^[0-9a-f]{32}$", live)
	assert.Regexp(t, "^r[0-9a-f]{8}-[0-9a-f]{32}$", first)
	assert.NotEqual(t, first, second, "the same content elsewhere is another record")
	assert.Equal(t, first, again)
	assert.Equal(t, first[:10], second[:10], "the mark of the replay")
	assert.NotEqual(t, first[:10], other[:10])
}

func TestReplayAsksByContentWhereTheIDIsNotThere(t *testing.T) {
	server := startServer(t)
	server.answerQuery = func(w http.ResponseWriter, _ string) { rowsPresent(w, 0) }
	e, _ := startExporter(t, server, nil)
	require.NoError(t, e.ConsumeLogs(ofReplay("x", "logs/0/1"), messages("a", "b")))
	require.Len(t, server.received(), 1)
	id := idOf(server.received()[0])
	asked := server.asked()
	require.Len(t, asked, 3)
	const times = `_time:[2024-11-22T11:40:00.000000001Z, 2024-11-22T11:40:00.000000001Z]`
	assert.Regexp(t, `"delivery_id":in\("[0-9a-f]{32}", "`+id+`"\) \| stats count\(_stream\) as present$`, asked[0].body)
	content := `(` + times + `) "site_name":in("s1") ("delivery_id":="` + id + `" or !"delivery_id":="` + id[:10] + `"*)`
	assert.Equal(t, content+` | stats count(_stream) as present`, asked[1].body)
	assert.Equal(t, content+` | stats count() as present`, asked[2].body)
}

func TestWindows(t *testing.T) {
	second := int64(time.Second)
	assert.Empty(t, windows(nil))
	assert.Equal(t, []window{{5, 5}}, windows([]int64{5}))
	assert.Equal(t, []window{{1, windowGap}, {10 * second, 10 * second}}, windows([]int64{10 * second, 1, windowGap, 2}))
	var times []int64
	for i := range int64(100) {
		times = append(times, i*second, i*second+1)
	}
	got := windows(times)
	assert.Len(t, got, maxWindows)
	assert.Equal(t, int64(0), got[0].from)
	assert.Equal(t, 99*second+1, got[len(got)-1].to)
}
