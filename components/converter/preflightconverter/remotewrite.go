package preflightconverter

import (
	"errors"
	"fmt"
	"net/url"

	"go.opentelemetry.io/collector/confmap"

	"github.com/breakwater-otel/breakwater/components/internal/componentids"
)

// remoteWriteType is the type of the exporter whose endpoints are looked at. It takes a path for a URL, and then tries
// again and again without a word in the log.
const remoteWriteType = "prometheusremotewrite"

func checkRemoteWrite(conf *confmap.Conf) error {
	var errs []error
	for id, settings := range componentids.OfTypes(conf, "exporters", remoteWriteType) {
		endpoint, _ := settings["endpoint"].(string)
		u, err := url.Parse(endpoint)
		if err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" {
			continue
		}
		errs = append(errs, fmt.Errorf("`exporters::%s::endpoint` (VICTORIAMETRICS_ENDPOINT in the shipped profiles) must be a URL "+
			"that begins with http:// or https:// and has a host", id))
	}
	return errors.Join(errs...)
}
