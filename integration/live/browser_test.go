package live

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/breakwater-otel/breakwater/integration/harness"
)

// look is how somebody looks at the page.
type look struct {
	name          string
	width, height int64 // CSS pixels
	scale         float64
	dark          bool
	noScript      bool
}

// looks are the ways that are tested. 320 px is the narrowest that WCAG asks for (reflow), 360 px that of small phones.
var looks = []look{
	{"desktop", 1280, 900, 1, false, false},
	{"desktop, dark", 1280, 900, 1, true, false},
	{"tablet", 768, 1024, 1, false, false},
	{"phone", 360, 740, 2, false, false},
	{"phone, dark, without JavaScript", 360, 740, 2, true, true},
	{"the narrowest", 320, 640, 1, false, false},
}

//go:embed complaints.js
var complaintsScript string

// browser is a headless Chromium.
type browser struct {
	ctx context.Context
	url string
}

func startBrowser(t *testing.T, url string) *browser {
	path := harness.RequireChromium(t)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium has none for root
	}
	allocator, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, closeBrowser := chromedp.NewContext(allocator)
	t.Cleanup(closeBrowser)
	b := &browser{ctx: ctx, url: url}
	do(t, ctx) // the browser lives as long as this context
	return b
}

// tab opens the page in a tab of its own.
func (b *browser) tab(t *testing.T, l look) context.Context {
	t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx)
	t.Cleanup(cancel)
	scheme := "light"
	if l.dark {
		scheme = "dark"
	}
	do(t, ctx,
		chromedp.EmulateViewport(l.width, l.height, chromedp.EmulateScale(l.scale)),
		chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
			_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
			})
			return err
		}),
		chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
			_, err := cdp.Call(ctx, target, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: l.noScript})
			return err
		}),
		chromedp.Navigate(b.url),
	)
	return ctx
}

func do(t *testing.T, ctx context.Context, steps ...chromedp.Action[chromedp.Void]) { //nolint:revive // t is first everywhere in tests
	t.Helper()
	require.NoError(t, chromedp.Do(ctx, steps...))
}

// ask evaluates an expression in the page.
func ask[T any](t *testing.T, ctx context.Context, expression string) T { //nolint:revive // t is first everywhere in tests
	t.Helper()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	require.NoError(t, err)
	return value
}

// complaints are what is wrong with how the page looks, each in a sentence: see complaints.js.
func complaints(t *testing.T, ctx context.Context) []string { //nolint:revive // t is first everywhere in tests
	t.Helper()
	return ask[[]string](t, ctx, complaintsScript)
}

// picture takes what can be seen.
func picture(t *testing.T, ctx context.Context) []byte { //nolint:revive // t is first everywhere in tests
	t.Helper()
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	require.NoError(t, err)
	return png
}

// waitText waits until an element of the page that is open has a text in it.
func waitText(t *testing.T, ctx context.Context, selector, text string) { //nolint:revive // t is first everywhere in tests
	t.Helper()
	patient, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	require.NoError(t, harness.Eventually(patient, 250*time.Millisecond, func(context.Context) error {
		found, err := chromedp.Run(patient, chromedp.Evaluate[string](fmt.Sprintf(`document.querySelector(%q).innerText`, selector)))
		if err != nil {
			return err
		}
		return contains(found, text)
	}))
}
