package liveextension

import (
	"bytes"
	"embed"
	"encoding/json"
	"net"
	"net/http"
	"slices"
	"strings"
)

//go:embed assets
var assets embed.FS

// contentPolicy lets the page load its own style and script and ask for itself, and nothing else; no other page can frame it.
const contentPolicy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// handler serves the page, what it is made of, and the same as JSON. Other methods than GET and HEAD are refused by the
// patterns.
func (e *liveExtension) handler() (http.Handler, error) {
	page, err := newPage(e.config)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		// Into memory first: an error of the template must not leave half a page.
		var body bytes.Buffer
		if err := page.write(&body, e.state.Load()); err != nil {
			e.settings.Logger.Error("the live page cannot be written: " + err.Error())
			http.Error(w, "the page cannot be written; the log says why", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(body.Bytes()) // a browser that has gone needs nothing
	})
	mux.HandleFunc("GET /api/v1/state", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, e.state.Load().complete()) })
	mux.HandleFunc("GET /api/v1/problems", func(w http.ResponseWriter, _ *http.Request) {
		state := e.state.Load()
		writeJSON(w, map[string]any{"time": state.Time, "status": state.Status, "problems": orEmpty(state.Problems)})
	})
	for path, kind := range map[string]string{
		"style.css": "text/css; charset=utf-8", "live.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml",
	} {
		content, err := assets.ReadFile("assets/" + path)
		if err != nil {
			return nil, err
		}
		mux.HandleFunc("GET /assets/"+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			_, _ = w.Write(content)
		})
	}
	return e.guard(mux), nil
}

// complete has empty lists for those that are nil.
func (s State) complete() State {
	s.Problems, s.Topics, s.Backends, s.Exporters = orEmpty(s.Problems), orEmpty(s.Topics), orEmpty(s.Backends), orEmpty(s.Exporters)
	s.DeadLetters, s.Letters, s.Losses = orEmpty(s.DeadLetters), orEmpty(s.Letters), orEmpty(s.Losses)
	s.Queues, s.History = orEmpty(s.Queues), orEmpty(s.History)
	return s
}

// orEmpty is an empty list for none, so that scripts need not know null.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func writeJSON(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(value) // whoever has gone needs nothing
}

// guard refuses requests by a name that is not ours, and sets what browsers have to know.
func (e *liveExtension) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Cache-Control", "no-store")
		if !e.config.allowsHost(r.Host) {
			http.Error(w, "this page is not served by that name: ask for it as localhost or 127.0.0.1, or add the name to `allowed_hosts` of the live extension",
				http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// allowsHost says whether the Host of a request is a name of the page. Another page can have a name of its own lead to
// 127.0.0.1 (DNS rebinding) and then read what is served there; it cannot have the browser send another name than its own.
func (c *Config) allowsHost(hostport string) bool {
	host := hostport
	if name, _, err := net.SplitHostPort(hostport); err == nil {
		host = name
	}
	if isLoopback(host) || slices.ContainsFunc(c.AllowedHosts, func(allowed string) bool { return strings.EqualFold(allowed, host) }) {
		return true
	}
	bound, _, _ := net.SplitHostPort(c.NetAddr.Endpoint)
	return !isLoopback(bound) && len(c.AllowedHosts) == 0
}
