package goclient

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// A server, what a client is told of it, and what Go's client says of it.
type secured struct {
	Name       string `json:"name"`
	Address    string `json:"address"`
	CA         string `json:"ca"`
	ServerName string `json:"server_name"`
	Insecure   bool   `json:"insecure_skip_verify"`
	MinVersion string `json:"min_version"`
	Cert       string `json:"cert"`
	Key        string `json:"key"`
	HTTP2      bool   `json:"enable_http2"`
	Error      string `json:"error"`
	server     *tls.Config
}

var keys = map[string]crypto.Signer{}

// key makes one key of a kind: which one it is does not matter.
func key(kind string) crypto.Signer {
	if known, ok := keys[kind]; ok {
		return known
	}
	name, _, _ := strings.Cut(kind, "/")
	var made crypto.Signer
	var err error
	switch name {
	case "rsa1024":
		made, err = rsa.GenerateKey(rand.Reader, 1024)
	case "rsa1536":
		made, err = rsa.GenerateKey(rand.Reader, 1536)
	case "rsa2048":
		made, err = rsa.GenerateKey(rand.Reader, 2048)
	case "rsa3072":
		made, err = rsa.GenerateKey(rand.Reader, 3072)
	case "rsa4096":
		made, err = rsa.GenerateKey(rand.Reader, 4096)
	case "p224":
		made, err = ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	case "p256":
		made, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "p384":
		made, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "p521":
		made, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "ed25519":
		_, made, err = ed25519.GenerateKey(rand.Reader)
	default:
		panic(kind)
	}
	if err != nil {
		panic(err)
	}
	keys[kind] = made
	return made
}

// A certificate with its key, and the chain that a server shows with it.
type identity struct {
	cert  *x509.Certificate
	key   crypto.Signer
	chain [][]byte
}

func (i identity) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.chain[0]}))
}

func (i identity) keyPEM() string {
	der, err := x509.MarshalPKCS8PrivateKey(i.key)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func (i identity) tls() tls.Certificate {
	return tls.Certificate{Certificate: i.chain, PrivateKey: i.key}
}

var serial = int64(1000)

func template(name string) *x509.Certificate {
	serial++
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
}

func authority(name, kind string, change ...func(*x509.Certificate)) identity {
	made := template(name)
	made.IsCA, made.BasicConstraintsValid, made.KeyUsage = true, true, x509.KeyUsageCertSign
	for _, change := range change {
		change(made)
	}
	return sign(made, kind, nil)
}

func sign(made *x509.Certificate, kind string, by *identity) identity {
	own := key(kind)
	parent, signer := made, own
	var chain [][]byte
	if by != nil {
		parent, signer = by.cert, by.key
		// The root itself is not shown.
		if by.cert.Issuer.String() != by.cert.Subject.String() {
			chain = by.chain
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, made, parent, own.Public(), signer)
	if err != nil {
		panic(fmt.Sprintf("%s: %v", made.Subject, err))
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return identity{cert, own, append([][]byte{der}, chain...)}
}

func leaf(by identity, kind string, change ...func(*x509.Certificate)) identity {
	made := template("server")
	made.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	for _, change := range change {
		change(made)
	}
	return sign(made, kind, &by)
}

type tbs struct {
	Serial    *big.Int
	Algorithm pkix.AlgorithmIdentifier
	Issuer    asn1.RawValue
	Validity  struct{ From, To time.Time }
	Subject   asn1.RawValue
	Key       asn1.RawValue
}

// versionOne makes a certificate without a version and extensions, as `openssl x509 -req` does; by itself or by another, with ECDSA.
func versionOne(kind string, by *identity) identity {
	own := key(kind)
	subject := template("version one").Subject
	name, _ := asn1.Marshal(subject.ToRDNSequence())
	public, err := x509.MarshalPKIXPublicKey(own.Public())
	if err != nil {
		panic(err)
	}
	signer, issuer := own, name
	if by != nil {
		signer, issuer = by.key, by.cert.RawSubject
	}
	algorithm := pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}}
	if _, ok := signer.(*rsa.PrivateKey); ok {
		algorithm = pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}, Parameters: asn1.NullRawValue}
	}
	serial++
	signed := tbs{Serial: big.NewInt(serial), Algorithm: algorithm, Issuer: asn1.RawValue{FullBytes: issuer}, Subject: asn1.RawValue{FullBytes: name}, Key: asn1.RawValue{FullBytes: public}}
	signed.Validity.From, signed.Validity.To = time.Now().Add(-time.Hour).UTC(), time.Now().Add(24*time.Hour).UTC()
	bytes, err := asn1.Marshal(signed)
	if err != nil {
		panic(err)
	}
	digest := sha256.Sum256(bytes)
	signature, err := signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		panic(err)
	}
	der, err := asn1.Marshal(struct {
		Signed    asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{asn1.RawValue{FullBytes: bytes}, algorithm, asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}})
	if err != nil {
		panic(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	if cert.Version != 1 {
		panic("not version 1")
	}
	return identity{cert, own, [][]byte{der}}
}

func dns(names ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = names, nil }
}

func usages(usages ...x509.ExtKeyUsage) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.ExtKeyUsage = usages }
}

func extension(critical bool, id ...int) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: id, Critical: critical, Value: []byte{5, 0}})
	}
}

func dates(from, to time.Duration) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = time.Now().Add(from), time.Now().Add(to) }
}

func servers() []secured {
	var all []secured
	root := authority("root", "p256/root")
	other := authority("other", "p256/other")
	add := func(name string, server *tls.Config, change ...func(*secured)) {
		one := secured{Name: name, CA: root.pem(), HTTP2: true, server: server}
		for _, change := range change {
			change(&one)
		}
		all = append(all, one)
	}
	showing := func(i identity) *tls.Config { return &tls.Config{Certificates: []tls.Certificate{i.tls()}} }
	trusting := func(ca string) func(*secured) { return func(s *secured) { s.CA = ca } }
	insecure := func(s *secured) { s.Insecure, s.CA = true, "" }
	named := func(name string) func(*secured) { return func(s *secured) { s.ServerName = name } }
	plain := func(s *secured) { s.HTTP2 = false }
	// both adds a server for a client that checks it, and for one that does not.
	both := func(name string, i identity, change ...func(*secured)) {
		add(name, showing(i), change...)
		add(name+", unchecked", showing(i), append(change, insecure)...)
	}

	kinds := []string{"rsa1024", "rsa1536", "rsa2048", "rsa3072", "rsa4096", "p224", "p256", "p384", "p521", "ed25519"}
	for _, kind := range kinds {
		ca := authority("root of "+kind, kind)
		for version, number := range map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13} {
			server := showing(leaf(root, kind+"/leaf"))
			server.MinVersion, server.MaxVersion = number, number
			add("key "+kind+" over "+version, server)
			add("key "+kind+" over "+version+", unchecked", server, insecure)
		}
		both("authority "+kind, leaf(ca, "p256"), trusting(ca.pem()))
		both("self-signed "+kind, ca, trusting(ca.pem()), named("x"))
		if kind != "p224" {
			both("version 1 of "+kind, versionOne(kind, &root))
		}
	}
	for name, curve := range map[string]tls.CurveID{"X25519": tls.X25519, "P-256": tls.CurveP256, "P-384": tls.CurveP384, "P-521": tls.CurveP521, "MLKEM": tls.X25519MLKEM768} {
		for version, number := range map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13} {
			server := showing(leaf(root, "p256"))
			server.MaxVersion, server.CurvePreferences = number, []tls.CurveID{curve}
			add("curve "+name+" over "+version, server)
		}
	}
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		for _, kind := range []string{"rsa2048", "p256"} {
			server := showing(leaf(root, kind+"/leaf"))
			server.CipherSuites, server.MaxVersion = []uint16{suite.ID}, tls.VersionTLS12
			if suite.SupportedVersions[len(suite.SupportedVersions)-1] != tls.VersionTLS13 {
				add("suite "+suite.Name+" of "+kind, server)
			}
		}
	}
	for name, number := range map[string]uint16{"TLS10": tls.VersionTLS10, "TLS11": tls.VersionTLS11, "TLS12": tls.VersionTLS12, "TLS13": tls.VersionTLS13} {
		server := showing(leaf(root, "p256"))
		server.MinVersion, server.MaxVersion = number, number
		add("only "+name, server)
		for _, least := range []string{"TLS10", "TLS11", "TLS12", "TLS13"} {
			add("only "+name+", asked from "+least+" on", server, func(s *secured) { s.MinVersion = least })
		}
	}

	// What a server certificate may say.
	both("an authority as a server", leaf(root, "p256", func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }))
	both("self-signed without constraints", sign(func() *x509.Certificate {
		made := template("alone")
		made.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
		return made
	}(), "p256", nil), func(s *secured) { s.CA = "" })
	alone := template("alone")
	alone.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	self := sign(alone, "p256", nil)
	both("self-signed and trusted", self, trusting(self.pem()))
	both("critical extension that nobody knows", leaf(root, "p256", extension(true, 1, 2, 3, 4)))
	both("critical extension of X.509 that nobody knows", leaf(root, "p256", extension(true, 2, 5, 29, 99)))
	both("extension that nobody knows", leaf(root, "p256", extension(false, 1, 2, 3, 4)))
	both("must staple", leaf(root, "p256", func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}, Value: []byte{0x30, 3, 2, 1, 5}}}
	}))
	both("for clients only", leaf(root, "p256", usages(x509.ExtKeyUsageClientAuth)))
	both("for clients and servers", leaf(root, "p256", usages(x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth)))
	both("for anything", leaf(root, "p256", usages(x509.ExtKeyUsageAny)))
	both("for code signing or anything", leaf(root, "p256", usages(x509.ExtKeyUsageCodeSigning, x509.ExtKeyUsageAny)))
	both("key usage of nothing useful", leaf(root, "p256", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }))
	both("expired", leaf(root, "p256", dates(-2*time.Hour, -time.Hour)))
	both("not valid yet", leaf(root, "p256", dates(time.Hour, 2*time.Hour)))
	both("valid for ever", leaf(root, "p256", func(c *x509.Certificate) { c.NotAfter = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC) }))
	both("long serial number", leaf(root, "p256", func(c *x509.Certificate) { c.SerialNumber = new(big.Int).Lsh(big.NewInt(5), 155) }))
	both("no names", leaf(root, "p256", dns()))
	both("no subject and critical names", leaf(root, "p256", func(c *x509.Certificate) { c.Subject = pkix.Name{} }))
	both("a common name only", leaf(root, "p256", dns(), func(c *x509.Certificate) { c.Subject.CommonName = "127.0.0.1" }))
	both("a common name only, a host's", leaf(root, "p256", dns(), func(c *x509.Certificate) { c.Subject.CommonName = "node1.lan" }), named("node1.lan"))
	both("another address", leaf(root, "p256", func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 2)} }))
	both("an address as a name", leaf(root, "p256", dns("127.0.0.1")))
	both("an address of IPv6", leaf(root, "p256", func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv6loopback} }))
	both("a mapped address", leaf(root, "p256", func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: append([]byte{0x30, 18, 0x87, 16}, net.IPv4(127, 0, 0, 1).To16()...)}}
	}))
	both("names of other kinds only", leaf(root, "p256", dns(), func(c *x509.Certificate) {
		c.EmailAddresses, c.URIs = []string{"a@b.example"}, []*url.URL{{Scheme: "spiffe", Host: "cluster.local", Path: "/ns/a"}}
	}))
	both("many names", leaf(root, "p256", func(c *x509.Certificate) {
		for n := range 200 {
			c.DNSNames = append(c.DNSNames, fmt.Sprintf("n%d.example", n))
		}
	}))
	for _, pair := range [][2]string{
		{"*.lan", "node1.lan"}, {"*.lan", "a.node1.lan"}, {"*.lan", "lan"}, {"*.LAN", "Node1.lan"}, {"*.svc.cluster.local", "a.svc.cluster.local"},
		{"*.svc.cluster.local", "a.b.svc.cluster.local"}, {"*", "host"}, {"host", "host"}, {"host", "HOST"}, {"HOST", "host"}, {"a.*.lan", "a.b.lan"},
		{"n*.lan", "n1.lan"}, {"*.*.lan", "a.b.lan"}, {"a_b.lan", "a_b.lan"}, {"*.a_b.lan", "x.a_b.lan"}, {"node1.lan.", "node1.lan"}, {"node1.lan", "node2.lan"},
		{"localhost", "localhost"}, {"xn--bcher-kva.example", "xn--bcher-kva.example"}, {"1.2", "1.2"}, {"-a.lan", "-a.lan"},
	} {
		add("name "+pair[0]+" for "+pair[1], showing(leaf(root, "p256", dns(pair[0]))), named(pair[1]))
	}

	// Who vouches for it.
	intermediate := func(by identity, change ...func(*x509.Certificate)) identity {
		made := template(fmt.Sprintf("intermediate %d", serial))
		made.IsCA, made.BasicConstraintsValid, made.KeyUsage = true, true, x509.KeyUsageCertSign
		for _, change := range change {
			change(made)
		}
		return sign(made, fmt.Sprintf("p256/%d", serial), &by)
	}
	through := intermediate(root)
	both("an intermediate", leaf(through, "p256"))
	both("two intermediates", leaf(intermediate(through), "p256"))
	both("three intermediates", leaf(intermediate(intermediate(through)), "p256"))
	both("another root", leaf(other, "p256"))
	both("another root of the same name", leaf(authority("root", "p256/imposter"), "p256"))
	both("both roots trusted", leaf(other, "p256"), trusting(root.pem()+other.pem()))
	missing := leaf(through, "p256")
	missing.chain = missing.chain[:1]
	both("an intermediate that is not shown", missing)
	both("an intermediate that is trusted", missing, trusting(through.pem()))
	shuffled := leaf(intermediate(through), "p256")
	shuffled.chain[1], shuffled.chain[2] = shuffled.chain[2], shuffled.chain[1]
	both("intermediates in disorder", shuffled)
	surplus := leaf(root, "p256")
	surplus.chain = append(surplus.chain, other.chain[0], root.chain[0], through.chain[0])
	both("certificates to spare", surplus)
	both("an intermediate that is no authority", leaf(intermediate(root, func(c *x509.Certificate) { c.IsCA = false }), "p256"))
	both("an intermediate without constraints", leaf(intermediate(root, func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = false, false }), "p256"))
	both("an intermediate that may not sign", leaf(intermediate(root, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }), "p256"))
	both("an intermediate that says nothing of its use", leaf(intermediate(root, func(c *x509.Certificate) { c.KeyUsage = 0 }), "p256"))
	both("an intermediate that expired", leaf(intermediate(root, dates(-2*time.Hour, -time.Hour)), "p256"))
	both("an intermediate with an extension that nobody knows", leaf(intermediate(root, extension(true, 1, 2, 3, 4)), "p256"))
	both("an intermediate for clients", leaf(intermediate(root, usages(x509.ExtKeyUsageClientAuth)), "p256"))
	both("an intermediate for servers", leaf(intermediate(root, usages(x509.ExtKeyUsageServerAuth)), "p256"))
	both("an intermediate for anything", leaf(intermediate(root, usages(x509.ExtKeyUsageAny)), "p256"))
	short := func(c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = 0, true }
	both("a path of no length that is kept", leaf(intermediate(root, short), "p256"))
	both("a path of no length that is not", leaf(intermediate(intermediate(root, short)), "p256"))
	for name, change := range map[string]func(*x509.Certificate){
		"allowed":       func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"lan"} },
		"elsewhere":     func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"example.org"} },
		"excluded":      func(c *x509.Certificate) { c.ExcludedDNSDomains = []string{"lan"} },
		"excluded else": func(c *x509.Certificate) { c.ExcludedDNSDomains = []string{"example.org"} },
	} {
		critical := func(c *x509.Certificate) { c.PermittedDNSDomainsCritical = true }
		both("names constrained, "+name, leaf(intermediate(root, change, critical), "p256", dns("node1.lan")), named("node1.lan"))
	}
	both("addresses constrained", leaf(intermediate(root, func(c *x509.Certificate) {
		c.PermittedIPRanges = []*net.IPNet{{IP: net.IPv4(127, 0, 0, 0), Mask: net.CIDRMask(8, 32)}}
	}), "p256"))
	both("addresses constrained elsewhere", leaf(intermediate(root, func(c *x509.Certificate) {
		c.PermittedIPRanges = []*net.IPNet{{IP: net.IPv4(10, 0, 0, 0), Mask: net.CIDRMask(8, 32)}}
	}), "p256"))
	for name, change := range map[string]func(*x509.Certificate){
		"expired":                func(c *x509.Certificate) { dates(-2*time.Hour, -time.Hour)(c) },
		"without constraints":    func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid, c.KeyUsage = false, false, 0 },
		"that is none":           func(c *x509.Certificate) { c.IsCA = false },
		"that may not sign":      func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature },
		"without a use":          func(c *x509.Certificate) { c.KeyUsage = 0 },
		"for clients":            usages(x509.ExtKeyUsageClientAuth),
		"for servers":            usages(x509.ExtKeyUsageServerAuth),
		"of no length":           short,
		"with an odd extension":  extension(true, 1, 2, 3, 4),
		"that constrains":        func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"lan"} },
		"with a long serial":     func(c *x509.Certificate) { c.SerialNumber = new(big.Int).Lsh(big.NewInt(5), 155) },
		"of no name":             func(c *x509.Certificate) { c.Subject = pkix.Name{} },
		"with a name of its own": func(c *x509.Certificate) { c.Subject = pkix.Name{Organization: []string{"Ünïcode & Co"}} },
	} {
		ca := authority("root "+name, "p256/"+name, change)
		if name == "that constrains" {
			both("a root "+name, leaf(ca, "p256", dns("node1.lan")), trusting(ca.pem()), named("node1.lan"))
			continue
		}
		both("a root "+name, leaf(ca, "p256"), trusting(ca.pem()))
	}
	for _, kind := range []string{"p256", "rsa1024", "rsa2048", "p521"} {
		ca := versionOne(kind+"/v1", nil)
		both("a root of version 1, "+kind, leaf(ca, "p256"), trusting(ca.pem()))
	}
	for _, algorithm := range []x509.SignatureAlgorithm{x509.SHA1WithRSA, x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA, x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS} {
		for _, kind := range []string{"rsa1024", "rsa2048"} {
			if kind == "rsa1024" && algorithm == x509.SHA512WithRSAPSS {
				continue
			}
			ca := authority("root", kind)
			signed := func(c *x509.Certificate) { c.SignatureAlgorithm = algorithm }
			both(fmt.Sprintf("signed with %v of %s", algorithm, kind), leaf(ca, "p256", signed), trusting(ca.pem()))
		}
	}
	for _, algorithm := range []x509.SignatureAlgorithm{x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512} {
		for _, kind := range []string{"p256", "p384", "p521"} {
			ca := authority("root", kind)
			signed := func(c *x509.Certificate) { c.SignatureAlgorithm = algorithm }
			both(fmt.Sprintf("signed with %v of %s", algorithm, kind), leaf(ca, "p256", signed), trusting(ca.pem()))
		}
	}

	// How a bundle is written.
	good := showing(leaf(root, "p256"))
	block := func(kind, text string) string {
		return "-----BEGIN " + kind + "-----\n" + text + "\n-----END " + kind + "-----\n"
	}
	cut := other.pem()[:len(other.pem())/2]
	for name, ca := range map[string]string{
		"no base64 before it": block("CERTIFICATE", "not base64!") + root.pem(), "no base64 behind it": root.pem() + block("CERTIFICATE", "not base64!"),
		"no certificate before it": block("CERTIFICATE", "aGVsbG8=") + root.pem(), "no certificate behind it": root.pem() + block("CERTIFICATE", "aGVsbG8="),
		"another kind before it": block("PUBLIC KEY", "aGVsbG8=") + root.pem(), "cut before it": cut + "\n" + root.pem(), "cut behind it": root.pem() + cut,
		"a comment before it": "# the root\n\n" + root.pem(), "lines of DOS": strings.ReplaceAll(root.pem(), "\n", "\r\n"), "no last line break": strings.TrimSpace(root.pem()),
		"a line before it without its break": "x" + root.pem(), "blanks around lines": strings.ReplaceAll(root.pem(), "\n", " \n"), "twice": root.pem() + root.pem(),
		"one line": strings.Replace(strings.ReplaceAll(strings.ReplaceAll(root.pem(), "-----BEGIN CERTIFICATE-----\n", "@"), "\n", ""), "@", "-----BEGIN CERTIFICATE-----\n", 1),
		"a header": strings.Replace(root.pem(), "-----\n", "-----\nComment: x\n\n", 1), "trusted": strings.ReplaceAll(root.pem(), "CERTIFICATE", "TRUSTED CERTIFICATE"),
		"X509": strings.ReplaceAll(root.pem(), "CERTIFICATE", "X509 CERTIFICATE"), "empty": "", "no PEM": "hello", "only bad": block("CERTIFICATE", "aGVsbG8="),
		"ends twice": root.pem() + "-----END CERTIFICATE-----\n", "begins twice": "-----BEGIN CERTIFICATE-----\n" + root.pem(),
	} {
		add("bundle: "+name, good, trusting(ca))
	}

	// Who asks.
	clients := authority("clients", "p256/clients")
	pool := x509.NewCertPool()
	pool.AddCert(clients.cert)
	asking := func(auth tls.ClientAuthType, version uint16) *tls.Config {
		server := showing(leaf(root, "p256"))
		server.ClientAuth, server.ClientCAs, server.MaxVersion = auth, pool, version
		return server
	}
	shown := func(i identity) func(*secured) {
		return func(s *secured) {
			s.Cert, s.Key = "", i.keyPEM()
			for _, der := range i.chain {
				s.Cert += string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
			}
		}
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		over := " over " + tls.VersionName(version)
		for _, kind := range kinds {
			if kind != "p224" {
				add("client "+kind+over, asking(tls.RequireAndVerifyClientCert, version), shown(leaf(clients, kind+"/client", usages(x509.ExtKeyUsageClientAuth))))
			}
		}
		for _, auth := range []tls.ClientAuthType{tls.NoClientCert, tls.RequestClientCert, tls.RequireAnyClientCert, tls.VerifyClientCertIfGiven, tls.RequireAndVerifyClientCert} {
			how := fmt.Sprintf(" where it is %v", auth) + over
			add("client of version 1"+how, asking(auth, version), shown(versionOne("p256/client", &clients)))
			add("client of version 1, RSA"+how, asking(auth, version), shown(versionOne("rsa2048/client", &clients)))
			add("client of another authority"+how, asking(auth, version), shown(leaf(other, "p256/client")))
			add("no client"+how, asking(auth, version))
			add("no client over HTTP/1"+how, asking(auth, version), plain)
		}
		add("client through an intermediate"+over, asking(tls.RequireAndVerifyClientCert, version), shown(leaf(intermediate(clients), "p256/client")))
		add("client that is a server"+over, asking(tls.RequireAndVerifyClientCert, version), shown(leaf(clients, "p256/client", usages(x509.ExtKeyUsageServerAuth))))
		add("client that expired"+over, asking(tls.RequireAndVerifyClientCert, version), shown(leaf(clients, "p256/client", dates(-2*time.Hour, -time.Hour))))
		stranger := leaf(clients, "p256/client")
		stranger.key = key("p256/stranger")
		add("client with the key of another"+over, asking(tls.NoClientCert, version), shown(stranger))
	}
	return all
}

// verdict is what Prometheus' client would say: Go's, set up as `github.com/prometheus/common/config` does.
func (s *secured) verdict() error {
	config := &tls.Config{InsecureSkipVerify: s.Insecure, ServerName: s.ServerName, MinVersion: tls.VersionTLS12}
	if version, ok := map[string]uint16{"TLS10": tls.VersionTLS10, "TLS11": tls.VersionTLS11, "TLS13": tls.VersionTLS13}[s.MinVersion]; ok {
		config.MinVersion = version
	}
	if s.CA != "" {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM([]byte(s.CA)) {
			return fmt.Errorf("unable to use specified CA cert")
		}
	}
	if s.Cert != "" {
		pair, err := tls.X509KeyPair([]byte(s.Cert), []byte(s.Key))
		if err != nil {
			return err
		}
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: s.HTTP2, DisableKeepAlives: true}
	response, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Get("https://" + s.Address + "/metrics")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.ReadAll(response.Body)
	return err
}

// TestServeSecured runs many servers over TLS, with the verdict of Go's client on each, until it is ended from outside.
func TestServeSecured(t *testing.T) {
	if os.Getenv("WEFT_SERVE") == "" {
		t.Skip("WEFT_SERVE is not set: this test is run by tests/e2e")
	}
	// Where no authority is named, the machine's are believed: there shall be none.
	t.Setenv("SSL_CERT_FILE", "/dev/null")
	t.Setenv("SSL_CERT_DIR", t.TempDir())
	all := servers()
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		io.WriteString(w, page)
	})
	var done sync.WaitGroup
	for n := range all {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		all[n].Address = listener.Addr().String()
		server := &http.Server{Handler: handler, TLSConfig: all[n].server.Clone(), ErrorLog: log.New(io.Discard, "", 0)}
		if server.TLSConfig.CipherSuites != nil {
			// HTTP/2 wants certain ones.
			server.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){}
		}
		go server.ServeTLS(listener, "", "")
		done.Go(func() {
			if err := all[n].verdict(); err != nil {
				all[n].Error = err.Error()
			}
		})
	}
	done.Wait()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	http.HandleFunc("/verdicts", func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(map[string]any{"servers": all})
	})
	fmt.Println("listening", listener.Addr())
	t.Fatal(http.Serve(listener, nil))
}
