package otlpzerocopyencodingextension

// Config has no settings.
type Config struct{}
