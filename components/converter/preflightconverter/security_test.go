package preflightconverter

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// files are good and bad ones, by the names that the tests have for them.
type files struct {
	dir                                               string
	cert, key, otherKey, expired, expiredKey, openKey string
	secret, open, empty, blanks, missing              string
}

func newFiles(t *testing.T) *files {
	f := &files{dir: t.TempDir()}
	f.cert, f.key = f.pair(t, "own", time.Now().Add(time.Hour))
	_, f.otherKey = f.pair(t, "other", time.Now().Add(time.Hour))
	f.expired, f.expiredKey = f.pair(t, "expired", time.Now().Add(-time.Hour))
	f.secret = f.write(t, "secret", "hunter2\n", 0o600)
	f.open = f.write(t, "open", "hunter2\n", 0o644)
	f.empty = f.write(t, "empty", "\n", 0o600)
	f.blanks = f.write(t, "blanks", " hunter2\n", 0o600)
	f.missing = filepath.Join(f.dir, "missing")
	key, err := os.ReadFile(f.key)
	require.NoError(t, err)
	f.openKey = f.write(t, "open-key", string(key), 0o644)
	return f
}

func (f *files) write(t *testing.T, name, content string, mode os.FileMode) string {
	path := filepath.Join(f.dir, name)
	require.NoError(t, os.WriteFile(path, []byte(content), mode))
	require.NoError(t, os.Chmod(path, mode))
	return path
}

func (f *files) pair(t *testing.T, name string, notAfter time.Time) (cert, key string) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: notAfter.Add(-2 * time.Hour), NotAfter: notAfter}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return f.write(t, name+".pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), 0o600),
		f.write(t, name+"-key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})), 0o600)
}

// checked converts a YAML text in which SECRET and the like stand for files, and returns the error and the warnings.
func checked(t *testing.T, f *files, text string, env map[string]string) (said string, err error) {
	for name, value := range env {
		t.Setenv(name, value)
	}
	text = strings.NewReplacer("CERT", f.cert, "OTHERKEY", f.otherKey, "OPENKEY", f.openKey, "EXPIREDKEY", f.expiredKey, "EXPIRED", f.expired,
		"KEY", f.key, "SECRET", f.secret, "OPEN", f.open, "EMPTY", f.empty, "BLANKS", f.blanks, "MISSING", f.missing).Replace(text)
	retrieved, err := confmap.NewRetrievedFromYAML([]byte(text))
	require.NoError(t, err)
	conf, err := retrieved.AsConf()
	require.NoError(t, err)
	core, logs := observer.New(zap.WarnLevel)
	before := conf.ToStringMap()
	err = NewFactory().Create(confmap.ConverterSettings{Logger: zap.New(core)}).Convert(t.Context(), conf)
	assert.Equal(t, before, conf.ToStringMap(), "the configuration is as it was")
	var warnings []string
	for _, entry := range logs.All() {
		warnings = append(warnings, entry.Message)
	}
	said = strings.Join(warnings, "\n")
	assert.NotContains(t, said, "hunter2")
	if err != nil {
		assert.NotContains(t, err.Error(), "hunter2")
	}
	return said, err
}

func TestSecurityMistakes(t *testing.T) {
	f := newFiles(t)
	sasl := func(settings string) string {
		return "{exporters: {kafka: {auth: {sasl: {" + settings + "}}, tls: {}}}}"
	}
	tests := map[string]struct {
		config string
		env    map[string]string
		want   string
	}{
		"right":                {config: "{exporters: {kafka: {tls: {ca_file: CERT, cert_file: CERT, key_file: KEY}, auth: {sasl: {mechanism: PLAIN, username: u, password: p}}}}}"},
		"no certificate":       {config: "{exporters: {kafka: {tls: {ca_file: '', cert_file: '', key_file: ''}}}}"},
		"certificate, no key":  {config: "{exporters: {kafka: {tls: {cert_file: CERT}}}}", want: "`exporters::kafka::tls::key_file` (KAFKA_TLS_KEY_FILE in the shipped profiles) must be set"},
		"key, no certificate":  {config: "{receivers: {durable_kafka/x: {tls: {key_file: KEY}}}}", want: "`receivers::durable_kafka/x::tls::cert_file` (KAFKA_TLS_CERT_FILE in the shipped profiles) must be set"},
		"in memory":            {config: "{exporters: {kafka: {tls: {cert_pem: x, key_pem: y}}}}"},
		"not the key":          {config: "{exporters: {kafka: {tls: {cert_file: CERT, key_file: OTHERKEY}}}}", want: "are no certificate and its key"},
		"missing certificate":  {config: "{exporters: {kafka: {tls: {cert_file: MISSING, key_file: KEY}}}}", want: "(KAFKA_TLS_CERT_FILE in the shipped profiles): open " + f.missing},
		"missing CA":           {config: "{exporters: {victorialogs: {tls: {ca_file: MISSING}}}}", want: "`exporters::victorialogs::tls::ca_file` (VICTORIALOGS_TLS_CA_FILE in the shipped profiles): open"},
		"no CA":                {config: "{exporters: {remote_write: {tls: {ca_file: SECRET}}}}", want: "(VICTORIAMETRICS_TLS_CA_FILE in the shipped profiles): " + f.secret + " holds no certificate in PEM"},
		"of a backend watched": {config: "{extensions: {durability: {backends: {loki: {tls: {ca_file: MISSING}}}}}}", want: "(LOKI_TLS_CA_FILE in the shipped profiles)"},
		"of no variable":       {config: "{receivers: {syslog: {tcp: {tls: {cert_file: CERT}}}}}", want: "`receivers::syslog::tcp::tls::key_file` must be set"},
		"clients without own":  {config: "{receivers: {otlp: {protocols: {grpc: {tls: {client_ca_file: CERT}}}}}}", want: "(OTLP_TLS_CERT_FILE in the shipped profiles) must be set"},

		"mechanism":        {config: sasl("mechanism: SCRAM, username: u"), want: "`exporters::kafka::auth::sasl::mechanism` (KAFKA_SASL_MECHANISM in the shipped profiles) is \"SCRAM\"; it must be one of PLAIN"},
		"no user":          {config: sasl("mechanism: PLAIN, username: ''"), want: "(KAFKA_SASL_USERNAME in the shipped profiles) must not be empty"},
		"user of digits":   {config: sasl("mechanism: PLAIN, username: 7")},
		"other mechanisms": {config: sasl("mechanism: OAUTHBEARER")},

		"basic":             {config: "{extensions: {basicauth/victorialogs: {client_auth: {username: u, password_file: SECRET}}}}"},
		"basic, digits":     {config: "{extensions: {basicauth/victorialogs: {client_auth: {username: 7, password_file: SECRET}}}}"},
		"basic, no user":    {config: "{extensions: {basicauth/victorialogs: {client_auth: {username: '', password_file: SECRET}}}}", want: "(VICTORIALOGS_USERNAME in the shipped profiles) must not be empty"},
		"basic, colon":      {config: "{extensions: {basicauth: {client_auth: {username: 'a:b', password: x}}}}", want: "must not hold a colon"},
		"basic, no file":    {config: "{extensions: {basicauth/loki: {client_auth: {username: u, password_file: ''}}}}", want: "(LOKI_PASSWORD_FILE in the shipped profiles) is not set"},
		"basic, empty":      {config: "{extensions: {basicauth/loki: {client_auth: {username: u, password_file: EMPTY}}}}", want: "(LOKI_PASSWORD_FILE in the shipped profiles): " + f.empty + " is empty"},
		"basic, blanks":     {config: "{extensions: {basicauth/loki: {client_auth: {username: u, password_file: BLANKS}}}}", want: "begins or ends with blanks, which are not sent"},
		"basic, of servers": {config: "{extensions: {basicauth/x: {htpasswd: {inline: x}}}}"},
		"bearer":            {config: "{extensions: {bearertokenauth/victoriametrics: {filename: MISSING}}}", want: "(VICTORIAMETRICS_TOKEN_FILE in the shipped profiles): open"},
		"bearer, inline":    {config: "{extensions: {bearertokenauth/victoriametrics: {token: x}}}"},

		"login not taken": {
			config: "{receivers: {durable_kafka/logs: {tls: {}}}}", env: map[string]string{"KAFKA_SASL_USERNAME": "u"},
			want: "KAFKA_SASL_USERNAME is set, but `receivers::durable_kafka/logs` has no `auth::sasl`: add --config kafka-sasl.yaml",
		},
		"TLS not taken": {config: "{exporters: {dead_letter_store: {}}}", env: map[string]string{"KAFKA_TLS_CA_FILE": "f"}, want: "KAFKA_TLS_CA_FILE is set, but `exporters::dead_letter_store` has no `tls`"},
		"OTLP not taken": {
			config: "{receivers: {otlp: {protocols: {http: {endpoint: e}}}}}", env: map[string]string{"OTLP_TLS_CLIENT_CA_FILE": "f"},
			want: "OTLP_TLS_CLIENT_CA_FILE is set, but `receivers::otlp::protocols::http` has no `tls`",
		},
		"token not taken": {
			config: "{extensions: {durability: {backends: {victorialogs: {endpoint: 'https://h'}}}}}", env: map[string]string{"VICTORIALOGS_TOKEN_FILE": "f"},
			want: "VICTORIALOGS_TOKEN_FILE is set, but `extensions::durability::backends::victorialogs` has no `auth`: add --config victorialogs-bearer.yaml",
		},
		"TLS without https": {
			config: "{exporters: {victorialogs: {endpoint: 'http://h'}}}", env: map[string]string{"VICTORIALOGS_TLS_CA_FILE": "f"},
			want: "VICTORIALOGS_TLS_CA_FILE is set, but `exporters::victorialogs::endpoint` (VICTORIALOGS_ENDPOINT in the shipped profiles) does not begin with https://",
		},
		"of another part": {config: "{exporters: {victorialogs: {endpoint: 'http://h'}}}", env: map[string]string{"KAFKA_TLS_CA_FILE": "f", "LOKI_TOKEN_FILE": "f"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := checked(t, f, test.config, test.env)
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.want)
		})
	}
}

func TestSecurityWarnings(t *testing.T) {
	f := newFiles(t)
	tests := map[string]struct{ config, want string }{
		"expired":               {"{exporters: {kafka: {tls: {cert_file: EXPIRED, key_file: EXPIREDKEY}}}}", "the certificate in " + f.expired + " expired on"},
		"open key":              {"{exporters: {kafka: {tls: {cert_file: CERT, key_file: OPENKEY}}}}", "(KAFKA_TLS_KEY_FILE in the shipped profiles): every user of this machine may read"},
		"open secret":           {"{extensions: {basicauth/loki: {client_auth: {username: u, password_file: OPEN}}}}", "(LOKI_PASSWORD_FILE in the shipped profiles): every user of this machine may read"},
		"password in the clear": {"{exporters: {kafka: {auth: {sasl: {mechanism: PLAIN, username: u}}}}}", "is PLAIN without TLS"},
		"login in the clear":    {"{exporters: {victorialogs: {endpoint: 'http://logs:9428', auth: {authenticator: a}}}}", "the credentials travel in the clear"},
		"on this machine":       {"{exporters: {victorialogs: {endpoint: 'http://127.0.0.1:9428', auth: {authenticator: a}}}}", ""},
		"by https":              {"{exporters: {victorialogs: {endpoint: 'https://logs:9428', auth: {authenticator: a}}}}", ""},
		"SCRAM without TLS":     {"{exporters: {kafka: {auth: {sasl: {mechanism: SCRAM-SHA-256, username: u}}}}}", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			warnings, err := checked(t, f, test.config, nil)
			require.NoError(t, err)
			if test.want == "" {
				assert.Empty(t, warnings)
				return
			}
			assert.Contains(t, warnings, test.want)
		})
	}
}
