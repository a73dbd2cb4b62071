package main

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"github.com/harkbus/pubsub/stream"
)

// tokenOptions are the flags that begin with --token.
type tokenOptions struct {
	keyFile    string
	algorithms []string
	audience   string
	issuer     string
	adminClaim string

	publishClaim, subscribeClaim, presenceClaim string
	given                                       []string // flags that begin with --token and were set
}

// minSecret is the shortest secret for HMAC, in bytes: that of the shortest
// hash (RFC 7518, section 3.2).
const minSecret = 32

// load returns nil if no key was given.
func (o *tokenOptions) load() (*stream.Tokens, error) {
	if o.keyFile == "" {
		if len(o.given) > 0 {
			return nil, fmt.Errorf("--%s without --token-key: nobody would be asked for a token", o.given[0])
		}
		return nil, nil
	}
	text, err := os.ReadFile(o.keyFile)
	if err != nil {
		return nil, fmt.Errorf("--token-key: %w", err)
	}
	key, err := parseKey(text)
	if err != nil {
		return nil, fmt.Errorf("--token-key: %s: %w", o.keyFile, err)
	}
	return stream.NewTokens(stream.TokenConfig{
		Algorithms: o.algorithms,
		Audience:   o.audience,
		Issuer:     o.issuer,
		AdminClaim: o.adminClaim,

		PublishClaim: o.publishClaim, SubscribeClaim: o.subscribeClaim, PresenceClaim: o.presenceClaim,
		Key: func(string, string) (any, error) { return key, nil },
	})
}

// parseKey returns the public key of a PEM file, or what else is in the file
// as a secret.
func parseKey(text []byte) (any, error) {
	block, _ := pem.Decode(text)
	switch {
	case block == nil:
		secret := bytes.TrimSpace(text)
		if len(secret) < minSecret {
			return nil, fmt.Errorf("the secret has %d bytes; it needs %d", len(secret), minSecret)
		}
		return secret, nil
	case block.Type == "CERTIFICATE":
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return cert.PublicKey, nil
	case block.Type == "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	}
	return nil, errors.New("it must have a PUBLIC KEY or a CERTIFICATE: the server needs no private key")
}
