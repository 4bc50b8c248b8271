package securityconverter

import (
	"errors"

	"go.opentelemetry.io/collector/confmap"
)

// settings are those of a party. Text is read as text: a plain map would have a user name of digits, out of a variable,
// as a number, and the component would refuse it.
type settings struct {
	Auth struct {
		Authenticator string            `mapstructure:"authenticator,omitempty"`
		SASL          map[string]string `mapstructure:"sasl,omitempty"`
	} `mapstructure:"auth,omitempty"`
	TLS *tlsSettings `mapstructure:"tls,omitempty"`
}

// tlsSettings are those of configtls whose text may look like something else; the others are as they are.
type tlsSettings struct {
	CAFile       string         `mapstructure:"ca_file"`
	CertFile     string         `mapstructure:"cert_file"`
	KeyFile      string         `mapstructure:"key_file"`
	ClientCAFile string         `mapstructure:"client_ca_file,omitempty"`
	ServerName   string         `mapstructure:"server_name_override,omitempty"`
	Others       map[string]any `mapstructure:",remain"`
}

// readSettings returns the settings of the party with nothing but plain values.
func readSettings(parties *confmap.Conf, party string) (*confmap.Conf, error) {
	conf, err := parties.Sub(party)
	if err != nil {
		return nil, err
	}
	var s settings
	if err := conf.Unmarshal(&s); err != nil {
		// The error may quote what it could not take.
		return nil, errors.New("takes `auth::authenticator`, `auth::sasl` and `tls`, and nothing else")
	}
	leaves := confmap.New()
	return leaves, leaves.Marshal(s)
}
