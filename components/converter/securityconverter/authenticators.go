package securityconverter

import (
	"maps"
	"slices"

	"go.opentelemetry.io/collector/confmap"
)

// switchOnAuthenticators adds to `service::extensions` what is under `extensions`, is named as an authenticator, and is
// not there. Without it the start would fail, so no configuration that works is changed.
func switchOnAuthenticators(conf *confmap.Conf) error {
	settings := conf.ToStringMap()
	configured, _ := settings["extensions"].(map[string]any)
	on, _ := conf.Get("service::extensions").([]any)
	missing := map[string]bool{}
	for _, section := range []string{"receivers", "processors", "exporters", "connectors", "extensions"} {
		authenticators(settings[section], func(id string) {
			if _, ok := configured[id]; ok && !slices.Contains(on, any(id)) {
				missing[id] = true
			}
		})
	}
	if len(missing) == 0 {
		return nil
	}
	all := slices.Clone(on)
	for _, id := range slices.Sorted(maps.Keys(missing)) {
		all = append(all, id)
	}
	return conf.Merge(confmap.NewFromStringMap(map[string]any{"service": map[string]any{"extensions": all}}))
}

// authenticators calls the function for each `auth::authenticator`, at any depth.
func authenticators(value any, found func(id string)) {
	switch v := value.(type) {
	case []any:
		for _, element := range v {
			authenticators(element, found)
		}
	case map[string]any:
		if auth, ok := v["auth"].(map[string]any); ok {
			if id, ok := auth["authenticator"].(string); ok {
				found(id)
			}
		}
		for _, element := range v {
			authenticators(element, found)
		}
	}
}
