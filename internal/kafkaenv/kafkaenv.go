// Package kafkaenv makes the options of a Kafka client of the environment contract, for the commands: KAFKA_BROKERS,
// KAFKA_SASL_* and KAFKA_TLS_*, as configs/security.d has them for the collector.
package kafkaenv

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/breakwater-otel/breakwater/internal/secretfile"
)

const (
	defaultBrokers   = "127.0.0.1:9092"
	defaultMechanism = "SCRAM-SHA-512" // as in configs/security.d/kafka-sasl.yaml
)

// Brokers returns KAFKA_BROKERS, comma-separated, or its default.
func Brokers(getenv func(string) string) string {
	if brokers := getenv("KAFKA_BROKERS"); brokers != "" {
		return brokers
	}
	return defaultBrokers
}

// Options returns what the environment says of TLS and the login. TLS is on when a variable KAFKA_TLS_* is set;
// KAFKA_TLS=true is for brokers whose certificates the system trusts. A mistake is an error that names the variable.
func Options(getenv func(string) string) ([]kgo.Opt, error) {
	secure, errTLS := tlsConfig(getenv)
	mechanism, errSASL := saslMechanism(getenv)
	if err := errors.Join(errTLS, errSASL); err != nil {
		return nil, err
	}
	var opts []kgo.Opt
	if secure != nil {
		opts = append(opts, kgo.DialTLSConfig(secure))
	}
	if mechanism != nil {
		opts = append(opts, kgo.SASL(mechanism))
	}
	return slices.Clip(opts), nil // callers append to it
}

func saslMechanism(getenv func(string) string) (sasl.Mechanism, error) {
	name, user := getenv("KAFKA_SASL_MECHANISM"), getenv("KAFKA_SASL_USERNAME")
	if name == "" && user == "" && getenv("KAFKA_SASL_PASSWORD_FILE") == "" {
		return nil, nil
	}
	if user == "" {
		return nil, errors.New("KAFKA_SASL_USERNAME is not set, although another KAFKA_SASL_ variable is")
	}
	secret, err := secretfile.ReadVariable("KAFKA_SASL_PASSWORD_FILE", getenv)
	if err != nil {
		return nil, err
	}
	if name == "" {
		name = defaultMechanism
	}
	switch name {
	case "PLAIN":
		return plain.Auth{User: user, Pass: secret.Value}.AsMechanism(), nil
	case "SCRAM-SHA-256":
		return scram.Auth{User: user, Pass: secret.Value}.AsSha256Mechanism(), nil
	case "SCRAM-SHA-512":
		return scram.Auth{User: user, Pass: secret.Value}.AsSha512Mechanism(), nil
	}
	return nil, fmt.Errorf("KAFKA_SASL_MECHANISM is %q; it must be one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512", name)
}

func tlsConfig(getenv func(string) string) (*tls.Config, error) {
	authorities, cert, key, name := getenv("KAFKA_TLS_CA_FILE"), getenv("KAFKA_TLS_CERT_FILE"), getenv("KAFKA_TLS_KEY_FILE"), getenv("KAFKA_TLS_SERVER_NAME")
	on := authorities+cert+key+name != ""
	switch value := getenv("KAFKA_TLS"); value {
	case "true":
		on = true
	case "", "false":
		if value == "false" && on {
			return nil, errors.New("KAFKA_TLS is false, but a KAFKA_TLS_ variable is set")
		}
	default:
		return nil, fmt.Errorf("KAFKA_TLS is %q; it must be true or false", value)
	}
	if !on {
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: name}
	if authorities != "" {
		text, err := os.ReadFile(authorities)
		if err != nil {
			return nil, fmt.Errorf("KAFKA_TLS_CA_FILE: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("KAFKA_TLS_CA_FILE: %s holds no certificate in PEM", authorities)
		}
	}
	switch {
	case cert == "" && key != "":
		return nil, errors.New("KAFKA_TLS_CERT_FILE is not set, although KAFKA_TLS_KEY_FILE is")
	case cert != "" && key == "":
		return nil, errors.New("KAFKA_TLS_KEY_FILE is not set, although KAFKA_TLS_CERT_FILE is")
	case cert != "":
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("KAFKA_TLS_CERT_FILE and KAFKA_TLS_KEY_FILE: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// Explain adds to an error of a client what an operator should look at.
func Explain(err error) error {
	if advice := Advice(err); advice != "" {
		return fmt.Errorf("%w (%s)", err, advice)
	}
	return err
}

// Advice says what an operator should look at, or "" if the error is of another kind.
func Advice(err error) string {
	var (
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
		record   tls.RecordHeaderError
	)
	switch {
	case err == nil:
		return ""
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		return "check KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD_FILE and KAFKA_SASL_MECHANISM"
	case errors.Is(err, kerr.UnsupportedSaslMechanism):
		return "check KAFKA_SASL_MECHANISM"
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.GroupAuthorizationFailed),
		errors.Is(err, kerr.ClusterAuthorizationFailed), errors.Is(err, kerr.TransactionalIDAuthorizationFailed):
		return "check the ACLs of the user in Kafka"
	case errors.As(err, &unknown):
		return "the certificate of the broker is of another authority: check KAFKA_TLS_CA_FILE"
	case errors.As(err, &hostname):
		return "the certificate of the broker is for another name: check KAFKA_BROKERS and KAFKA_TLS_SERVER_NAME"
	case errors.As(err, &invalid):
		return "check the certificate of the broker, its date above all"
	case errors.As(err, &record):
		return "the broker does not speak TLS on this port"
	case strings.Contains(err.Error(), "remote error: tls:"):
		return "the broker does not take our certificate: check KAFKA_TLS_CERT_FILE, its date and its authority"
	}
	return ""
}
