package live

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

var update = flag.Bool("update", false, "take the pictures of docs/live.md anew")

// TestLive watches one pipeline through an outage of VictoriaLogs, by the API and in a browser.
func TestLive(t *testing.T) {
	path := harness.RequireChromium(t)
	t.Log("in " + path)
	p := startPipeline(t)
	b := startBrowser(t, p.consumer.LiveURL())

	p.waitState(t, "all well", func(s state) error {
		settled := map[string]bool{}
		for _, topic := range s.Topics {
			settled[topic.Name] = topic.Settled > 0
		}
		switch {
		case s.Status != "ok":
			return fmt.Errorf("the status is %s: %+v", s.Status, s.Problems)
		case len(s.Topics) != 3 || len(s.Topics[0].Partitions) != 6:
			return fmt.Errorf("topics: %+v", s.Topics)
		case !settled["otel-logs-v1"] || !settled["otel-metrics-v1"]:
			return errors.New("nothing is settled")
		case len(s.Backends) != 2 || !s.Backends[0].Up || !s.Backends[1].Up:
			return fmt.Errorf("backends: %+v", s.Backends)
		case len(s.Agents.Hosts) != 1 || s.Agents.Hosts[0].Host != "edge-7" || s.Agents.Hosts[0].Site != "zrh-1":
			return fmt.Errorf("agents: %+v", s.Agents)
		case len(s.History) != 3 || len(s.History[0].Lag) < 3:
			return errors.New("no history")
		}
		return nil
	})
	t.Run("well", func(t *testing.T) { testLooks(t, b, "All well") })
	t.Run("reloads without JavaScript", func(t *testing.T) { testReload(t, b) })
	if *update {
		save(t, "live-phone.png", picture(t, b.tab(t, look{width: 390, height: 844, scale: 1.5, dark: true})))
	}

	// Somebody has the page open while it happens, and has opened the partitions.
	open := b.tab(t, looks[0])
	do(t, open, chromedp.Click(chromedp.CSS("#partitions-0-summary")))
	require.True(t, ask[bool](t, open, `window.mark = true`))

	require.NoError(t, p.logs.Stop(t.Context()))
	p.waitState(t, "VictoriaLogs is down, and what it does not take waits", func(s state) error {
		for _, topic := range s.Topics {
			if topic.Name == "otel-logs-v1" && topic.Lag+topic.Unsettled == 0 {
				return errors.New("nothing waits")
			}
		}
		if s.Status != "critical" || !s.has("backend-down") {
			return fmt.Errorf("the status is %s: %+v", s.Status, s.Problems)
		}
		return nil
	})
	waitText(t, open, "#verdict", "critical problem")
	waitText(t, open, "#problems", "victorialogs")
	waitText(t, open, "#backends", "down")
	assert.True(t, ask[bool](t, open, `window.mark === true`), "it was not loaded again")
	assert.True(t, ask[bool](t, open, `document.getElementById("partitions-0").open`), "what is open stays open")
	assert.Equal(t, "partitions-0-summary", ask[string](t, open, `document.activeElement.id`), "the focus stays")

	lagged := p.waitState(t, "the lag grows", func(s state) error {
		for _, topic := range s.Topics {
			if topic.Name == "otel-logs-v1" && topic.Lag > 0 && topic.LagSeconds > 5 {
				return nil
			}
		}
		return fmt.Errorf("topics: %+v", s.Topics)
	})
	assert.False(t, lagged.has("stalled"), "the cause is reported, not what follows from it")
	t.Run("down", func(t *testing.T) { testLooks(t, b, "critical problem") })
	if *update {
		save(t, "live-desktop.png", picture(t, b.tab(t, look{width: 1180, height: 1000, scale: 1})))
	}

	require.NoError(t, p.logs.Start(t.Context()))
	p.waitState(t, "all well again", func(s state) error {
		if s.Status != "ok" || s.has("backend-down") || !s.has("backend-restarted") {
			return fmt.Errorf("the status is %s: %+v", s.Status, s.Problems)
		}
		return nil
	})
	waitText(t, open, "#verdict", "All well")

	// The consumer ends: the page that is open says that it is old.
	require.NoError(t, p.consumer.Stop(t.Context()))
	waitText(t, open, "#stale", "has not answered since")
}

// testLooks looks at the page in every way: nothing is cut or out of sight, text can be read, and the figures are there.
func testLooks(t *testing.T, b *browser, verdict string) {
	for _, l := range looks {
		t.Run(l.name, func(t *testing.T) {
			ctx := b.tab(t, l)
			assert.Empty(t, complaints(t, ctx))
			// The text that is there to be read, as a person would copy it.
			text := ask[string](t, ctx, `document.body.innerText`)
			for _, want := range []string{verdict, "otel-logs-v1", "otel-metrics-v1", "victorialogs", "victoriametrics", "edge-7", "Delivery ledger", "Dead letters"} {
				assert.Contains(t, text, want)
			}
			assert.Equal(t, l.dark, ask[bool](t, ctx, `matchMedia("(prefers-color-scheme: dark)").matches`))
			lightness := ask[float64](t, ctx, `getComputedStyle(document.body).backgroundColor.match(/\d+/g).reduce((sum, n) => sum + Number(n), 0) / 765`)
			assert.Equal(t, l.dark, lightness < 0.5, "the ground is %v", lightness)

			// All partitions open, too.
			_ = ask[bool](t, ctx, `document.querySelectorAll("details").forEach((d) => { d.open = true }), true`)
			assert.Empty(t, complaints(t, ctx), "with all partitions")
		})
	}
}

// testReload holds that a browser without JavaScript loads the page again by itself.
func testReload(t *testing.T, b *browser) {
	ctx := b.tab(t, look{width: 800, height: 600, scale: 1, noScript: true})
	before := ask[float64](t, ctx, `performance.timeOrigin`)
	patient, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	require.NoError(t, harness.Eventually(patient, 500*time.Millisecond, func(context.Context) error {
		now, err := chromedp.Run(patient, chromedp.Evaluate[float64](`performance.timeOrigin`))
		if err == nil && now == before {
			err = errors.New("it is still the same page")
		}
		return err
	}))
}

func contains(text, part string) error {
	if strings.Contains(text, part) {
		return nil
	}
	return fmt.Errorf("%q is not in %q", part, text)
}

// save writes a picture of docs/live.md.
func save(t *testing.T, name string, png []byte) {
	t.Helper()
	root, err := harness.Root()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(root, "docs", name), png, 0o644))
	t.Logf("docs/%s: %d bytes", name, len(png))
}
