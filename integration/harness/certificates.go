package harness

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Authority makes certificates for tests.
type Authority struct {
	dir         string
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	// CAFile is its own certificate, in PEM.
	CAFile string
}

// Certificate is a certificate and its key, in PEM.
type Certificate struct {
	CertFile, KeyFile string
	// StoreFile is both, as Kafka wants them.
	StoreFile string
	authority *Authority
}

// NewAuthority makes an authority whose files are in the directory.
func NewAuthority(dir, name string) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	a := &Authority{dir: dir, certificate: certificate, key: key, CAFile: filepath.Join(dir, name+"-ca.pem")}
	return a, os.WriteFile(a.CAFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
}

// IssueOptions say what a certificate is like.
type IssueOptions struct {
	// Hosts are names and addresses that it is for; 127.0.0.1 and localhost by default.
	Hosts []string
	// NotAfter is when it expires; in a day by default.
	NotAfter time.Time
}

// Issue makes a certificate with the common name, for servers and clients. The files of an earlier one of that name are
// replaced.
func (a *Authority) Issue(name string, opts IssueOptions) (Certificate, error) {
	if opts.Hosts == nil {
		opts.Hosts = []string{"127.0.0.1", "localhost"}
	}
	if opts.NotAfter.IsZero() {
		opts.NotAfter = time.Now().Add(24 * time.Hour)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Certificate{}, err
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: opts.NotAfter,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, host := range opts.Hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &key.PublicKey, a.key)
	if err != nil {
		return Certificate{}, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Certificate{}, err
	}
	certText := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyText := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	base := filepath.Join(a.dir, strings.TrimSuffix(filepath.Base(a.CAFile), "-ca.pem")+"-"+name)
	c := Certificate{CertFile: base + ".pem", KeyFile: base + "-key.pem", StoreFile: base + "-store.pem", authority: a}
	for file, text := range map[string][]byte{c.CertFile: certText, c.KeyFile: keyText, c.StoreFile: slices.Concat(keyText, certText)} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			return Certificate{}, err
		}
	}
	return c, nil
}

// ClientTLS is for a client that trusts the authority, with the certificate if there is one.
func (a *Authority) ClientTLS(own *Certificate) (*tls.Config, error) {
	config := &tls.Config{RootCAs: a.pool(), MinVersion: tls.VersionTLS12}
	if own == nil {
		return config, nil
	}
	pair, err := tls.LoadX509KeyPair(own.CertFile, own.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", own.CertFile, err)
	}
	config.Certificates = []tls.Certificate{pair}
	return config, nil
}

// ServerTLS is for a server with the certificate that asks clients for one of the authority.
func (a *Authority) ServerTLS(own Certificate) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(own.CertFile, own.KeyFile)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12,
		ClientCAs: a.pool(), ClientAuth: tls.RequireAndVerifyClientCert,
	}, nil
}

func (a *Authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

// client makes a client of the server out of one that reaches its host.
func (s *BackendSecurity) client(plain *http.Client) *http.Client {
	transport := plain.Transport.(*http.Transport)
	transport.TLSClientConfig = &tls.Config{RootCAs: s.Certificate.authority.pool(), MinVersion: tls.VersionTLS12}
	return &http.Client{Transport: &login{transport, s}}
}

// login is a transport that logs in.
type login struct {
	http.RoundTripper
	secure *BackendSecurity
}

func (l *login) RoundTrip(r *http.Request) (*http.Response, error) {
	password, err := os.ReadFile(l.secure.PasswordFile)
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.SetBasicAuth(l.secure.Username, strings.TrimSuffix(string(password), "\n"))
	return l.RoundTripper.RoundTrip(r)
}
