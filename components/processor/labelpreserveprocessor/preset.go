package labelpreserveprocessor

// presetArticle is the label set of Breakwater's profiles.
const presetArticle = "article"

var presetNames = []string{presetArticle}

// presetLabels returns the labels of a preset. What is stamped from the environment is
// not in it: the consumer uses the same preset, and its environment is not the source's.
func presetLabels(name string) []LabelConfig {
	if name != presetArticle {
		return nil
	}
	return []LabelConfig{
		{Name: "site_name"},
		{
			Name: "env",
			Aliases: []string{
				"deployment.environment.name", "deployment_environment_name",
				"deployment.environment", "deployment_environment",
			},
		},
		{Name: "host_name"},
		{Name: "service_name"},
		{Name: "service_namespace"},
		{
			Name: "job",
			From: []SourceConfig{
				{Source: sourceRecord},
				{Source: sourceResource},
				{Source: sourceJoin, Labels: []string{"service_namespace", "service_name"}},
			},
		},
		{
			// Which of its two outputs a line comes from is said of the line, not of
			// the program: on the resource it would split every batch in two.
			Name:    "stream",
			Aliases: []string{"log.iostream", "log_iostream"},
			WriteTo: []string{placeRecord},
			Signals: []string{signalLogs},
		},
	}
}

// labels returns the labels of the preset and those declared, in order.
func (c *Config) labels() []LabelConfig {
	labels := presetLabels(c.Preset)
	preset := make(map[string]int, len(labels))
	for i := range labels {
		preset[labels[i].Name] = i
	}
	for _, declared := range c.Labels {
		i, known := preset[declared.Name]
		if !known {
			labels = append(labels, declared)
			continue
		}
		delete(preset, declared.Name) // a second one is a fault, for Validate to find
		labels[i].override(&declared)
	}
	return labels
}

// override replaces the settings that other gives.
func (l *LabelConfig) override(other *LabelConfig) {
	if other.Aliases != nil {
		l.Aliases = other.Aliases
	}
	if other.From != nil {
		l.From = other.From
	}
	if other.Precedence != nil {
		l.Precedence = other.Precedence
	}
	if other.WriteTo != nil {
		l.WriteTo = other.WriteTo
	}
	if other.Signals != nil {
		l.Signals = other.Signals
	}
	if other.KeepConflict != nil {
		l.KeepConflict = other.KeepConflict
	}
	if other.OnMissing != "" {
		l.OnMissing = other.OnMissing
	}
	if other.Default != "" {
		l.Default = other.Default
	}
	l.Required = l.Required || other.Required
}
