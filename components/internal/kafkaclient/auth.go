package kafkaclient

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-msk-iam-sasl-signer-go/signer"
	krbclient "github.com/jcmturner/gokrb5/v8/client"
	krbconfig "github.com/jcmturner/gokrb5/v8/config"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/kerberos"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
	"go.opentelemetry.io/collector/component"
	"golang.org/x/oauth2"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/kafka/configkafka"
)

// Values of `auth::sasl::mechanism`, as upstream has them.
const (
	mechanismPlain       = "PLAIN"
	mechanismSCRAMSHA256 = "SCRAM-SHA-256"
	mechanismSCRAMSHA512 = "SCRAM-SHA-512"
	mechanismOAuthBearer = "OAUTHBEARER"
	mechanismAWSMSK      = "AWS_MSK_IAM_OAUTHBEARER"
)

// tokenSource is what an extension for `oauthbearer_token_source` implements.
type tokenSource interface {
	Token(context.Context) (*oauth2.Token, error)
}

func authOptions(host component.Host, cfg configkafka.AuthenticationConfig) ([]kgo.Opt, error) {
	var mechanisms []sasl.Mechanism
	if cfg.PlainText != nil {
		mechanisms = append(mechanisms, plain.Auth{User: cfg.PlainText.Username, Pass: cfg.PlainText.Password}.AsMechanism())
	}
	if cfg.SASL != nil {
		m, err := saslMechanism(host, cfg.SASL)
		if err != nil {
			return nil, err
		}
		mechanisms = append(mechanisms, m)
	}
	if cfg.Kerberos != nil {
		m, err := kerberosMechanism(cfg.Kerberos)
		if err != nil {
			return nil, fmt.Errorf("`auth::kerberos`: %w", err)
		}
		mechanisms = append(mechanisms, m)
	}
	switch len(mechanisms) {
	case 0:
		return nil, nil
	case 1:
		return []kgo.Opt{kgo.SASL(mechanisms[0])}, nil
	default:
		return nil, errors.New("only one of `auth::plain_text`, `auth::sasl` and `auth::kerberos` may be set")
	}
}

func saslMechanism(host component.Host, cfg *configkafka.SASLConfig) (sasl.Mechanism, error) {
	switch cfg.Mechanism {
	case mechanismPlain:
		return plain.Auth{User: cfg.Username, Pass: cfg.Password}.AsMechanism(), nil
	case mechanismSCRAMSHA256:
		return scram.Auth{User: cfg.Username, Pass: cfg.Password}.AsSha256Mechanism(), nil
	case mechanismSCRAMSHA512:
		return scram.Auth{User: cfg.Username, Pass: cfg.Password}.AsSha512Mechanism(), nil
	case mechanismAWSMSK:
		region := cfg.AWSMSK.Region
		return oauth.Oauth(func(ctx context.Context) (oauth.Auth, error) {
			token, _, err := signer.GenerateAuthToken(ctx, region)
			return oauth.Auth{Token: token}, err
		}), nil
	case mechanismOAuthBearer:
		extension, ok := host.GetExtensions()[cfg.OAuthBearerTokenSource]
		if !ok {
			return nil, fmt.Errorf("`auth::sasl::oauthbearer_token_source`: extension %q is not configured", cfg.OAuthBearerTokenSource)
		}
		source, ok := extension.(tokenSource)
		if !ok {
			return nil, fmt.Errorf("`auth::sasl::oauthbearer_token_source`: extension %q has no tokens", cfg.OAuthBearerTokenSource)
		}
		return oauth.Oauth(func(ctx context.Context) (oauth.Auth, error) {
			token, err := source.Token(ctx)
			if err != nil {
				return oauth.Auth{}, err
			}
			return oauth.Auth{Token: token.AccessToken}, nil
		}), nil
	default:
		return nil, fmt.Errorf("`auth::sasl::mechanism` %q is not supported", cfg.Mechanism)
	}
}

func kerberosMechanism(cfg *configkafka.KerberosConfig) (sasl.Mechanism, error) {
	settings := krbconfig.New()
	if cfg.ConfigPath != "" {
		loaded, err := krbconfig.Load(cfg.ConfigPath)
		if err != nil {
			return nil, fmt.Errorf("`config_file`: %w", err)
		}
		settings = loaded
	}
	fast := krbclient.DisablePAFXFAST(cfg.DisablePAFXFAST)
	auth := kerberos.Auth{Service: cfg.ServiceName}
	// Upstream goes by the path alone and ignores use_keytab, too.
	if cfg.KeyTabPath == "" {
		auth.Client = krbclient.NewWithPassword(cfg.Username, cfg.Realm, cfg.Password, settings, fast)
		return auth.AsMechanism(), nil
	}
	keys, err := keytab.Load(cfg.KeyTabPath)
	if err != nil {
		return nil, fmt.Errorf("`keytab_file`: %w", err)
	}
	auth.Client = krbclient.NewWithKeytab(cfg.Username, cfg.Realm, keys, settings, fast)
	return auth.AsMechanism(), nil
}
